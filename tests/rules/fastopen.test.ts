// SPDX-License-Identifier: GPL-2.0-or-later
/** TCP fast open: a send that connects, and a connect() that leaves the SYN to the first send. */
import { beforeEach, describe, expect, it } from "vitest";
import { errnoName, Kernel, type NetNamespace, type Task } from "../../kernel-model/index.js";
import { verify } from "../../kernel-model/machine/verify.js";

const [SOL_TCP, TCP_FASTOPEN, TCP_FASTOPEN_CONNECT, TCP_FASTOPEN_NO_COOKIE] = [6, 23, 30, 34];
const MSG_FASTOPEN = 0x20000000;
const [SHUT_WR, SOL_SOCKET, SO_ERROR] = [1, 1, 4];
const AF_INET6 = 10;

const [LISTENS, CLOSED] = [8000, 9];
let k: Kernel;
let net: NetNamespace;
let task: Task;
let listener: number;

const at = (port: number) => ({ family: "AF_INET", address: "127.0.0.1", port }) as const;
const said = (result: number) => (result < 0 ? errnoName(-result) : result);

function socket(nonblock = true): number {
	const fd = task.tcp();
	task.setNonblock(fd, nonblock);
	return fd;
}

const fastOpen = (fd: number, port: number, size = 1) =>
	said(task.sendto(fd, size, at(port), 16, undefined, MSG_FASTOPEN));
const option = (fd: number, name: number, value: number) =>
	said(task.setsockopt(fd, SOL_TCP, name, value));
const connect = (fd: number, port: number) => said(task.connect(fd, at(port)));
const sysctl = (value: number) => net.setSysctl("net.ipv4.tcp_fastopen", `${value}`);
const accept = () => said(task.accept(listener));

function portOf(fd: number): number {
	const name = task.getsockname(fd);
	return typeof name === "number" ? name : name.port;
}

/** The listener gives the client a cookie. */
function getCookie(): void {
	sysctl(3);
	expect(option(listener, TCP_FASTOPEN, 5)).toBe(0);
	const fd = socket(false);
	expect(fastOpen(fd, LISTENS)).toBe(1);
	task.close(fd);
	task.close(task.accept(listener));
}

beforeEach(() => {
	k = new Kernel({ version: "6.18.44", seed: 1 });
	net = k.createNet();
	task = k.createTask({ net });
	listener = socket();
	task.bind(listener, at(LISTENS));
	task.listen(listener, 5);
	return () => {
		verify(k);
		task.exit();
		verify(k);
	};
});

describe("sendto(MSG_FASTOPEN)", () => {
	it("chooses an even port, as connect() does", () => {
		const fd = socket(false);
		expect(fastOpen(fd, LISTENS)).toBe(1);
		expect(portOf(fd) % 2).toBe(0);
		expect(task.getpeername(fd)).toMatchObject({ port: LISTENS });
		expect(accept()).toBeGreaterThan(0);
	});

	it("shares the port of a connection to another destination", () => {
		net.setSysctl("net.ipv4.ip_local_port_range", "40000 40000");
		const first = socket(false);
		expect(fastOpen(first, LISTENS)).toBe(1);
		expect(fastOpen(socket(false), LISTENS)).toBe("EADDRNOTAVAIL");
		const other = task.tcp();
		task.bind(other, { ...at(LISTENS), address: "127.0.0.2" });
		task.listen(other, 5);
		const second = socket(false);
		const to = { ...at(LISTENS), address: "127.0.0.2" };
		expect(task.sendto(second, 1, to, 16, undefined, MSG_FASTOPEN)).toBe(1);
		expect(portOf(second)).toBe(40000);
	});

	it("fails with EINPROGRESS on a socket that does not block, and does not send the data", () => {
		const fd = socket();
		expect(fastOpen(fd, LISTENS)).toBe("EINPROGRESS");
		const child = task.accept(listener);
		expect(said(task.recv(child, 10, true))).toBe("EAGAIN");
		expect(said(task.send(fd, 2))).toBe(2);
		expect(said(task.recv(child, 10, true))).toBe(2);
	});

	it("fails with ECONNREFUSED as connect() does, and gives up the port", () => {
		const blocking = socket(false);
		expect(fastOpen(blocking, CLOSED)).toBe("ECONNREFUSED");
		const fd = socket();
		expect(fastOpen(fd, CLOSED)).toBe("EINPROGRESS");
		expect(fastOpen(fd, CLOSED)).toBe("ECONNREFUSED");
		for (const each of [blocking, fd]) {
			const taken = task.tcp();
			expect(task.bind(taken, at(portOf(each)))).toBe(0);
		}
	});

	it("fails with EISCONN on a connected socket", () => {
		const fd = socket(false);
		connect(fd, LISTENS);
		expect(fastOpen(fd, LISTENS)).toBe("EISCONN");
	});

	it("fails with EINVAL without an address", () => {
		expect(said(task.sendto(socket(), 1, null, 0, undefined, MSG_FASTOPEN))).toBe("EINVAL");
	});

	it("fails with EOPNOTSUPP if the sysctl lacks the client's bit, and for AF_UNSPEC", () => {
		const unspec = { family: "AF_UNSPEC", address: "0.0.0.0", port: 0 } as const;
		const fd = socket();
		expect(said(task.sendto(fd, 1, unspec, 16, undefined, MSG_FASTOPEN))).toBe("EOPNOTSUPP");
		sysctl(2);
		expect(fastOpen(fd, LISTENS)).toBe("EOPNOTSUPP");
		expect(portOf(fd)).toBe(0);
	});

	it("fails with EALREADY after a connect() that asked for a cookie", () => {
		const fd = socket();
		option(fd, TCP_FASTOPEN_CONNECT, 1);
		expect(connect(fd, LISTENS)).toBe("EINPROGRESS");
		expect(fastOpen(fd, LISTENS)).toBe("EALREADY");
	});

	it("sends data at once with a cookie, also to a port on which nobody listens", () => {
		getCookie();
		const fd = socket();
		expect(fastOpen(fd, LISTENS)).toBe(1);
		expect(said(task.recv(task.accept(listener), 10, true))).toBe(1);
		const refused = socket();
		expect(fastOpen(refused, CLOSED)).toBe(1);
		expect(fastOpen(refused, CLOSED)).toBe("ECONNREFUSED");
	});

	it("delays the last segment of the handshake if it sends no data", () => {
		expect(fastOpen(socket(false), LISTENS, 0)).toBe(0);
		expect(accept()).toBe("EAGAIN");
		k.advance(1000);
		expect(accept()).toBeGreaterThan(0);
	});

	it("needs no cookie with TCP_FASTOPEN_NO_COOKIE, or with bit 0x4 of the sysctl", () => {
		const fd = socket();
		expect(option(fd, TCP_FASTOPEN_NO_COOKIE, 1)).toBe(0);
		expect(fastOpen(fd, LISTENS)).toBe(1);
		expect(option(fd, TCP_FASTOPEN_NO_COOKIE, 0)).toBe("EINVAL");
		sysctl(5);
		expect(fastOpen(socket(), LISTENS)).toBe(1);
	});

	it("connects and sends the data after it has slept", () => {
		for (let i = 0; i < 6; i++) connect(socket(), LISTENS);
		const fd = socket(false);
		expect(task.sendto(fd, 3, at(LISTENS), 16, undefined, MSG_FASTOPEN)).toBe(-512);
		for (let i = 0; i < 6; i++) task.accept(listener);
		expect(task.waitForConnect(fd)).toBe(3);
		expect(said(task.recv(task.accept(listener), 10, true))).toBe(3);
	});

	it("connects over IPv6 as over IPv4, with a cookie for each address", () => {
		const v6 = (port: number) => ({ family: "AF_INET6", address: "::1", port }) as const;
		const server = task.socket(AF_INET6, 1, 0);
		task.bind(server, v6(5000));
		task.listen(server, 5);
		getCookie();
		option(server, TCP_FASTOPEN, 5);
		const results = [1, 2].map(() => {
			const fd = task.socket(AF_INET6, 1, 0);
			task.setNonblock(fd, true);
			return said(task.sendto(fd, 1, v6(5000), 28, undefined, MSG_FASTOPEN));
		});
		expect(results).toEqual(["EINPROGRESS", 1]);
	});
});

describe("TCP_FASTOPEN_CONNECT", () => {
	it("lets connect() connect at once if there is no cookie", () => {
		const fd = socket(false);
		expect(option(fd, TCP_FASTOPEN_CONNECT, 1)).toBe(0);
		expect(connect(fd, CLOSED)).toBe("ECONNREFUSED");
	});

	it("lets connect() choose the port and leave the SYN to the first send if there is a cookie", () => {
		getCookie();
		const fd = socket();
		option(fd, TCP_FASTOPEN_CONNECT, 1);
		expect(connect(fd, LISTENS)).toBe(0);
		expect(portOf(fd)).toBeGreaterThan(0);
		expect(accept()).toBe("EAGAIN");
		expect(said(task.getpeername(fd) as number)).toBe("ENOTCONN");
		expect(said(task.bind(task.tcp(), at(portOf(fd))))).toBe("EADDRINUSE");
		expect(connect(fd, LISTENS)).toBe("EISCONN");
		expect(said(task.send(fd, 2))).toBe(2);
		expect(accept()).toBeGreaterThan(0);
		expect(task.getpeername(fd)).toMatchObject({ port: LISTENS });
	});

	it("reports a refusal at the first send on a socket that blocks, and at the second send on others", () => {
		getCookie();
		const [blocking, fd] = [socket(false), socket()];
		for (const each of [blocking, fd]) {
			option(each, TCP_FASTOPEN_CONNECT, 1);
			expect(connect(each, CLOSED)).toBe(0);
		}
		expect(said(task.send(blocking, 2))).toBe("ECONNREFUSED");
		expect(said(task.send(blocking, 2))).toBe("EPIPE");
		expect(said(task.send(fd, 2))).toBe(2);
		expect(said(task.send(fd, 2))).toBe("ECONNREFUSED");
	});

	it("gives up the port if the socket is shut down or closed before it sends", () => {
		getCookie();
		const [shut, closed] = [socket(), socket()];
		for (const fd of [shut, closed]) {
			option(fd, TCP_FASTOPEN_CONNECT, 1);
			connect(fd, LISTENS);
		}
		const ports = [portOf(shut), portOf(closed)];
		expect(task.shutdown(shut, SHUT_WR)).toBe(0);
		task.close(closed);
		expect(ports.map((port) => task.bind(task.tcp(), at(port)))).toEqual([0, 0]);
		expect(task.getsockopt(shut, SOL_SOCKET, SO_ERROR)).toEqual(Uint8Array.of(104, 0, 0, 0));
		expect(connect(shut, LISTENS)).toBe(0);
	});

	it("accepts 0 and 1 on a closed socket if the sysctl has the client's bit", () => {
		const fd = socket();
		expect(option(fd, TCP_FASTOPEN_CONNECT, 2)).toBe("EINVAL");
		expect(option(fd, TCP_FASTOPEN_CONNECT, 1)).toBe(0);
		expect(task.getsockopt(fd, SOL_TCP, TCP_FASTOPEN_CONNECT)).toEqual(Uint8Array.of(1, 0, 0, 0));
		connect(fd, LISTENS);
		expect(option(fd, TCP_FASTOPEN_CONNECT, 0)).toBe("EINVAL");
		sysctl(0);
		expect(option(fd, TCP_FASTOPEN_CONNECT, 0)).toBe("EOPNOTSUPP");
	});
});

describe("TCP_FASTOPEN", () => {
	/** Whether the listener has given a cookie. */
	function gaveCookie(): boolean {
		fastOpen(socket(false), LISTENS);
		return fastOpen(socket(), LISTENS) === 1;
	}

	it("sets a queue of 0 to somaxconn on a listener, and fails with EINVAL on a connection", () => {
		expect(option(listener, TCP_FASTOPEN, -1)).toBe("EINVAL");
		expect(option(listener, TCP_FASTOPEN, 5000)).toBe(0);
		expect(task.getsockopt(listener, SOL_TCP, TCP_FASTOPEN)).toEqual(Uint8Array.of(0, 16, 0, 0));
		const fd = socket(false);
		connect(fd, LISTENS);
		expect(option(fd, TCP_FASTOPEN, 5)).toBe("EINVAL");
		expect(task.getsockopt(task.accept(listener), SOL_TCP, TCP_FASTOPEN)).toEqual(
			new Uint8Array(4),
		);
	});

	it("lets the listener give cookies if the sysctl has the server's bit", () => {
		option(listener, TCP_FASTOPEN, 5);
		expect(gaveCookie()).toBe(false);
		sysctl(3);
		expect(gaveCookie()).toBe(true);
	});

	it("lets the listener give no cookie without a queue, or if the sysctl needs no cookie", () => {
		sysctl(3);
		expect(gaveCookie()).toBe(false);
		option(listener, TCP_FASTOPEN, 5);
		sysctl(0x203);
		expect(gaveCookie()).toBe(false);
	});

	it("is set for every socket that begins to listen while the sysctl has bit 0x400", () => {
		sysctl(0x403);
		task.shutdown(listener, 0);
		expect(task.listen(listener, 7)).toBe(0);
		expect(task.getsockopt(listener, SOL_TCP, TCP_FASTOPEN)).toEqual(Uint8Array.of(7, 0, 0, 0));
		expect(gaveCookie()).toBe(true);
	});

	it("is not set by listen() if the sysctl lacks bit 0x400 or the server's bit", () => {
		for (const value of [0x401, 3]) {
			sysctl(value);
			task.shutdown(listener, 0);
			expect(task.listen(listener, 7)).toBe(0);
			expect(task.getsockopt(listener, SOL_TCP, TCP_FASTOPEN)).toEqual(new Uint8Array(4));
		}
	});

	it("lets accept() return a client that sent data with a cookie, also with TCP_DEFER_ACCEPT", () => {
		getCookie();
		task.setsockopt(listener, SOL_TCP, 9, 5);
		expect(fastOpen(socket(), LISTENS)).toBe(1);
		expect(accept()).toBeGreaterThan(0);
	});
});
