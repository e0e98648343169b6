// SPDX-License-Identifier: GPL-2.0-or-later
/** The check that a call did not pass, and the kernel function that makes it. */
import { describe, expect, it } from "vitest";
import { SOCK_DCCP, SOCK_STREAM } from "../../include/linux/net.js";
import { AF_INET, AF_INET6, SOL_IP, SOL_IPV6, SOL_TCP } from "../../include/linux/socket.js";
import * as E from "../../include/uapi/asm-generic/errno.js";
import {
	IP_TRANSPARENT,
	IPPROTO_DCCP,
	IPPROTO_MPTCP,
	IPPROTO_SCTP,
	IPV6_TRANSPARENT,
	IPV6_V6ONLY,
} from "../../include/uapi/linux/in.js";
import { TCP_QUICKACK } from "../../include/uapi/linux/tcp.js";
import { Kernel } from "../../kernel-model/index.js";
import { failureReason } from "../../kernel-model/machine/failures.js";
import type { Syscall } from "../../kernel-model/machine/syscall.js";
import type { Task } from "../../kernel-model/machine/task.js";

function boot(version = "6.12"): [Kernel, Task] {
	const k = new Kernel({ version, seed: 1 });
	return [k, k.createTask({ net: k.createNet(), uid: 0 })];
}

describe("accept4()", () => {
	it("checks the descriptor, the flags, a free descriptor and the socket in this order", () => {
		const [, task] = boot();
		const file = task.openOther();
		expect(task.accept4(77, 1)).toBe(-E.EBADF);
		expect(task.accept4(file, 1)).toBe(-E.EINVAL);
		expect(task.accept4(file, 0)).toBe(-E.ENOTSOCK);
		while (task.openOther() >= 0);
		expect(task.accept4(file, 1)).toBe(-E.EINVAL);
		expect(task.accept4(file, 0)).toBe(-E.EMFILE);
	});
});

describe("the reason of an error", () => {
	const why = (k: Kernel, task: Task, call: Syscall, errno: number) =>
		failureReason(k, task, call, errno).slice(1).join(": ");

	it("names the value at NULL for EFAULT of an option of SOL_TCP", () => {
		const [k, task] = boot();
		const fd = task.socket(AF_INET, SOCK_STREAM, 0);
		const call = {
			name: "setsockopt",
			fd,
			level: SOL_TCP,
			optname: TCP_QUICKACK,
			optval: null,
			length: 24,
		};
		expect(why(k, task, call as unknown as Syscall, E.EFAULT)).toBe(
			"do_tcp_setsockopt: the value is at NULL",
		);
	});

	it("names the short value for EINVAL of an option of SOL_TCP", () => {
		const [k, task] = boot();
		const fd = task.socket(AF_INET, SOCK_STREAM, 0);
		expect(task.setsockopt(fd, SOL_TCP, TCP_QUICKACK, null, 0)).toBe(-E.EINVAL);
		const call = {
			name: "setsockopt",
			fd,
			level: SOL_TCP,
			optname: TCP_QUICKACK,
			optval: null,
			length: 0,
		};
		expect(why(k, task, call as unknown as Syscall, E.EINVAL)).toBe(
			"do_tcp_setsockopt: a value of 0 bytes is too short: the option has 4",
		);
	});

	it.each([
		["do_ip_setsockopt: IP_TRANSPARENT", AF_INET, SOL_IP, IP_TRANSPARENT],
		["do_ipv6_setsockopt: IPV6_TRANSPARENT", AF_INET6, SOL_IPV6, IPV6_TRANSPARENT],
	])("names the missing capability for EPERM of %s", (where, family, level, optname) => {
		const k = new Kernel({ version: "6.12", seed: 1 });
		const task = k.createTask({ net: k.createNet(), uid: 1000 });
		const fd = task.socket(family, SOCK_STREAM, 0);
		expect(task.setsockopt(fd, level, optname, 1)).toBe(-E.EPERM);
		const optval = new Uint8Array([1, 0, 0, 0]);
		const call = { name: "setsockopt", fd, level, optname, optval, length: 4 };
		expect(why(k, task, call as unknown as Syscall, E.EPERM)).toBe(
			`${where} needs CAP_NET_RAW or CAP_NET_ADMIN, and user 1000 has neither`,
		);
	});

	it("names an earlier connect() for ECONNREFUSED of a later one", () => {
		const [k, task] = boot();
		const fd = task.socket(AF_INET6, SOCK_STREAM, 0);
		const address = { family: "AF_INET", address: "127.0.0.1", port: 1 } as const;
		const call = { name: "connect", fd, address, length: 16 } as Syscall;
		expect(why(k, task, call, E.ECONNREFUSED)).toBe(
			"tcp_reset: the peer has answered an earlier connect() with a RST",
		);
	});

	it("names IPV6_V6ONLY for EINVAL of an SCTP bind() to a v4-mapped address", () => {
		const [k, task] = boot();
		const fd = task.socket(AF_INET6, SOCK_STREAM, IPPROTO_SCTP);
		expect(task.setsockopt(fd, SOL_IPV6, IPV6_V6ONLY, 1)).toBe(0);
		const address = { family: "AF_INET6", address: "::ffff:127.0.0.1", port: 4001 } as const;
		expect(task.bind(fd, address)).toBe(-E.EINVAL);
		const call = { name: "bind", fd, address, length: 28 } as Syscall;
		expect(why(k, task, call, E.EINVAL)).toMatch(/^sctp_sockaddr_af: the socket is IPV6_V6ONLY/);
	});

	it.each([
		["TCP", SOCK_STREAM, 0],
		["MPTCP", SOCK_STREAM, IPPROTO_MPTCP],
		["DCCP", SOCK_DCCP, IPPROTO_DCCP],
	])("names the state of the socket for EPIPE of a send on a %s socket", (_, type, protocol) => {
		const [k, task] = boot();
		const fd = task.socket(AF_INET, type, protocol);
		const call = { name: "sendto", fd, size: 1 };
		expect(why(k, task, call, E.EPIPE)).toBe(
			"sk_stream_wait_connect: the socket is not connected (state CLOSE)",
		);
	});

	it.each([
		["tcp_recvmsg_locked", SOCK_STREAM, 0],
		["mptcp_recvmsg", SOCK_STREAM, IPPROTO_MPTCP],
		["dccp_recvmsg", SOCK_DCCP, IPPROTO_DCCP],
	])("names %s for ENOTCONN of a receive", (where, type, protocol) => {
		const [k, task] = boot();
		const fd = task.socket(AF_INET, type, protocol);
		const call = { name: "recvfrom", fd };
		expect(why(k, task, call, E.ENOTCONN)).toBe(`${where}: the socket is not connected`);
	});

	it("names the descriptor before the flags of accept4()", () => {
		const [k, task] = boot();
		const call = { name: "accept4", fd: 77, number: 1 };
		expect(why(k, task, call, E.EBADF)).toBe("__sys_accept4: descriptor 77 is not open");
		expect(why(k, task, { ...call, fd: 0 }, E.EINVAL)).toContain("there are flags other than");
	});

	it("names mptcp_listen for EINVAL of a listen() on an MPTCP socket", () => {
		const [k, task] = boot();
		const fd = task.socket(AF_INET, SOCK_STREAM, IPPROTO_MPTCP);
		expect(why(k, task, { name: "listen", fd }, E.EINVAL)).toMatch(/^mptcp_listen: /);
	});
});
