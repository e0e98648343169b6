// SPDX-License-Identifier: GPL-2.0-or-later
/** A send with MSG_FASTOPEN connects an MPTCP socket: mptcp_sendmsg_fastopen. */
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { errnoName, Kernel, type NetNamespace, type Task } from "../../kernel-model/index.js";
import { verify } from "../../kernel-model/machine/verify.js";

const [AF_INET, SOCK_STREAM, IPPROTO_MPTCP] = [2, 1, 262];
const MSG_FASTOPEN = 0x20000000;
const [SOL_SOCKET, SO_ERROR, SO_LINGER] = [1, 4, 13];
const LINGER_ZERO = Uint8Array.of(1, 0, 0, 0, 0, 0, 0, 0);
const NO_ERROR = new Uint8Array(4);
const [LISTENS, CLOSED] = [8000, 9];

let k: Kernel;
let net: NetNamespace;
let task: Task;
let listener: number;

const at = (port: number) => ({ family: "AF_INET", address: "127.0.0.1", port }) as const;
const said = (result: number) => (result < 0 ? errnoName(-result) : result);

function socket(nonblock: boolean): number {
	const fd = task.socket(AF_INET, SOCK_STREAM, IPPROTO_MPTCP);
	task.setNonblock(fd, nonblock);
	return fd;
}

const fastOpen = (fd: number, port: number | null, size = 8) => {
	const to = port === null ? null : at(port);
	return said(task.sendto(fd, size, to, to === null ? 0 : 16, undefined, MSG_FASTOPEN));
};
const connect = (fd: number, port: number) => said(task.connect(fd, at(port)));
const send = (fd: number, size: number) => said(task.send(fd, size));
const recv = (fd: number) => said(task.recv(fd, 100, true));
const accept = () => said(task.accept(listener));
const error = (fd: number) => task.getsockopt(fd, SOL_SOCKET, SO_ERROR);

function portOf(fd: number): number {
	const name = task.getsockname(fd);
	return typeof name === "number" ? name : name.port;
}

/** `listens`: the listener's protocol. A connection to one of TCP falls back to TCP. */
function boot(version: string, listens: "mptcp" | "tcp" = "mptcp"): void {
	k = new Kernel({ version, seed: 1 });
	net = k.createNet();
	task = k.createTask({ net });
	listener = listens === "tcp" ? task.tcp() : socket(true);
	task.setNonblock(listener, true);
	task.bind(listener, at(LISTENS));
	task.listen(listener, 5);
}

beforeEach(() => boot("6.18.44"));

afterEach(() => {
	verify(k);
	task.exit();
	verify(k);
});

describe("sendto(MSG_FASTOPEN) of an MPTCP socket", () => {
	it("chooses an even port, connects, and sends the data", () => {
		const fd = socket(false);
		expect(fastOpen(fd, LISTENS)).toBe(8);
		expect(portOf(fd) % 2).toBe(0);
		expect(task.getpeername(fd)).toMatchObject({ port: LISTENS });
		expect(recv(task.accept(listener))).toBe(8);
	});

	it("fails with EINPROGRESS on a socket that does not block, and does not send the data", () => {
		const fd = socket(true);
		expect(fastOpen(fd, LISTENS)).toBe("EINPROGRESS");
		const child = task.accept(listener);
		expect(recv(child)).toBe("EAGAIN");
		expect(send(fd, 2)).toBe(2);
		expect(recv(child)).toBe(2);
	});

	it("fails with EINVAL on a connected socket, which stays connected", () => {
		const fd = socket(false);
		connect(fd, LISTENS);
		expect(fastOpen(fd, LISTENS)).toBe("EINVAL");
		expect(send(fd, 3)).toBe(3);
	});

	it("sends on a connected socket before 6.4, as if the flag were not there", () => {
		boot("6.3");
		const fd = socket(false);
		connect(fd, LISTENS);
		expect(fastOpen(fd, LISTENS)).toBe(8);
		expect(recv(task.accept(listener))).toBe(8);
	});

	it("fails with ECONNREFUSED as connect() does, and can be tried again", () => {
		const fd = socket(false);
		expect(fastOpen(fd, CLOSED)).toBe("ECONNREFUSED");
		expect(error(fd)).toEqual(NO_ERROR);
		expect(fastOpen(fd, LISTENS)).toBe(8);
	});

	it("returns and takes away the error of a connect() that was refused", () => {
		const fd = socket(true);
		expect(connect(fd, CLOSED)).toBe("EINPROGRESS");
		expect(fastOpen(fd, null)).toBe("ECONNREFUSED");
		expect(error(fd)).toEqual(NO_ERROR);
		expect(connect(fd, LISTENS)).toBe("EINPROGRESS");
		expect(accept()).toBeGreaterThan(0);
	});

	it("fails with EINVAL without an address", () => {
		expect(fastOpen(socket(true), null)).toBe("EINVAL");
	});

	it("fails with EOPNOTSUPP if the sysctl lacks the client's bit", () => {
		net.setSysctl("net.ipv4.tcp_fastopen", "2");
		const fd = socket(true);
		expect(fastOpen(fd, LISTENS)).toBe("EOPNOTSUPP");
		expect(portOf(fd)).toBe(0);
	});

	it("stops a listener", () => {
		const fd = socket(true);
		task.listen(fd, 5);
		expect(fastOpen(fd, LISTENS)).toBe("EISCONN");
		expect(connect(fd, LISTENS)).toBe("EINPROGRESS");
	});

	it("sends data with the SYN where no cookie is needed, also to a port without a listener", () => {
		net.setSysctl("net.ipv4.tcp_fastopen", "5");
		const fd = socket(true);
		expect(fastOpen(fd, LISTENS)).toBe(8);
		expect(recv(task.accept(listener))).toBe(8);
		const refused = socket(true);
		expect(fastOpen(refused, CLOSED)).toBe(8);
		expect(send(refused, 1)).toBe("ECONNREFUSED");
	});

	it.each([
		["6.3", "EISCONN"],
		["6.4", "EINPROGRESS"],
	])("after a reset, %s: the next connect() is %s", (version, next) => {
		boot(version, "tcp");
		const fd = socket(false);
		connect(fd, LISTENS);
		const child = task.accept(listener);
		task.setsockopt(child, SOL_SOCKET, SO_LINGER, LINGER_ZERO);
		task.close(child);
		expect(fastOpen(fd, LISTENS)).toBe("EISCONN");
		task.setNonblock(fd, true);
		expect(connect(fd, LISTENS)).toBe(next);
	});
});
