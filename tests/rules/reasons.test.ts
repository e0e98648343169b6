// SPDX-License-Identifier: GPL-2.0-or-later
/** The check that a call did not pass, and the kernel function that makes it. */
import { describe, expect, it } from "vitest";
import { Kernel } from "../../kernel-model/index.js";
import { failureReason } from "../../kernel-model/machine/failures.js";
import type { Syscall } from "../../kernel-model/machine/syscall.js";
import type { Task } from "../../kernel-model/machine/task.js";

const [EBADF, EMFILE, EINVAL, EPIPE, ENOTSOCK, ENOTCONN] = [9, 24, 22, 32, 88, 107];
const [AF_INET, SOCK_STREAM, SOCK_DCCP, IPPROTO_DCCP, IPPROTO_MPTCP] = [2, 1, 6, 33, 262];

function boot(version = "6.12"): [Kernel, Task] {
	const k = new Kernel({ version, seed: 1 });
	return [k, k.createTask({ net: k.createNet(), uid: 0 })];
}

describe("accept4()", () => {
	it("looks for the descriptor, the flags, a free descriptor and a socket in this order", () => {
		const [, task] = boot();
		const file = task.openOther();
		expect(task.accept4(77, 1)).toBe(-EBADF);
		expect(task.accept4(file, 1)).toBe(-EINVAL);
		expect(task.accept4(file, 0)).toBe(-ENOTSOCK);
		while (task.openOther() >= 0);
		expect(task.accept4(file, 1)).toBe(-EINVAL);
		expect(task.accept4(file, 0)).toBe(-EMFILE);
	});
});

describe("the reason of an error", () => {
	const why = (k: Kernel, task: Task, call: Syscall, errno: number) =>
		failureReason(k, task, call, errno).slice(1).join(": ");

	it.each([
		["sk_stream_error", SOCK_STREAM, 0],
		["mptcp_sendmsg", SOCK_STREAM, IPPROTO_MPTCP],
		["dccp_sendmsg", SOCK_DCCP, IPPROTO_DCCP],
	])("EPIPE of a send on a socket that is not connected is in %s", (where, type, protocol) => {
		const [k, task] = boot();
		const fd = task.socket(AF_INET, type, protocol);
		const call = { name: "sendto", fd, size: 1 };
		expect(why(k, task, call, EPIPE)).toBe(`${where}: the socket is not connected`);
	});

	it.each([
		["tcp_recvmsg_locked", SOCK_STREAM, 0],
		["mptcp_recvmsg", SOCK_STREAM, IPPROTO_MPTCP],
		["dccp_recvmsg", SOCK_DCCP, IPPROTO_DCCP],
	])("ENOTCONN of a receive is in %s", (where, type, protocol) => {
		const [k, task] = boot();
		const fd = task.socket(AF_INET, type, protocol);
		const call = { name: "recvfrom", fd };
		expect(why(k, task, call, ENOTCONN)).toBe(`${where}: the socket is not connected`);
	});

	it("names the descriptor before the flags of accept4()", () => {
		const [k, task] = boot();
		const call = { name: "accept4", fd: 77, number: 1 };
		expect(why(k, task, call, EBADF)).toBe("__sys_accept4: descriptor 77 is not open");
		expect(why(k, task, { ...call, fd: 0 }, EINVAL)).toContain("there are flags other than");
	});

	it("of a listen() on an MPTCP socket is in mptcp_listen", () => {
		const [k, task] = boot();
		const fd = task.socket(AF_INET, SOCK_STREAM, IPPROTO_MPTCP);
		expect(why(k, task, { name: "listen", fd }, EINVAL)).toMatch(/^mptcp_listen: /);
	});
});
