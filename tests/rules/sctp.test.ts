// SPDX-License-Identifier: GPL-2.0-or-later
/** SCTP: choice and sharing of ports, and the effect of connections on them. */
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { sockaddr_in } from "../../include/linux/socket.js";
import {
	SCTP_SCOPE_GLOBAL,
	SCTP_SCOPE_LINK,
	SCTP_SCOPE_LOOPBACK,
	SCTP_SCOPE_PRIVATE,
	SCTP_SCOPE_UNUSABLE,
} from "../../include/net/sctp.js";
import {
	type Address,
	AF_INET,
	AF_INET6,
	IP_LOCAL_PORT_RANGE,
	IPPROTO_SCTP,
	NotModelled,
	SO_BINDTODEVICE,
	SO_LINGER,
	SO_REUSEADDR,
	SO_REUSEPORT,
	SOCK_SEQPACKET,
	SOL_IP,
	SOL_SOCKET,
} from "../../kernel-model/index.js";
import { parseIpv4, parseIpv6 } from "../../kernel-model/machine/address.js";
import { sctp_get_af_specific } from "../../net/sctp/protocol.js";
import {
	addressOf,
	ConstantRandom,
	outcome,
	TWO_DEVICES,
	World,
	type WorldOptions,
} from "../world.js";

const SCTP_INITMSG = 2;
const SCTP_REUSE_PORT = 36;
const SCTP_BINDX_ADD = 100;
const SCTP_BINDX_REM = 101;

const make = (options?: WorldOptions) =>
	new World({ protocol: "sctp", setup: TWO_DEVICES, ...options });

let w: World;
beforeEach(() => {
	w = make();
});
afterEach(() => {
	w.check();
	for (const fd of w.task.socketDescriptors()) w.task.close(fd);
	w.check();
});

/** Addresses as they lie in memory one after another, each as long as its family says. */
function packed(addresses: readonly Address[]): Uint8Array {
	const parts = addresses.map(({ family, address, port }) => {
		const v4 = family === "AF_INET";
		const bytes = new DataView(new ArrayBuffer(v4 ? 16 : 28));
		bytes.setUint16(0, v4 ? AF_INET : AF_INET6, true);
		bytes.setUint16(2, port);
		if (v4) bytes.setUint32(4, parseIpv4(address) ?? 0);
		else
			for (const [i, word] of (parseIpv6(address) ?? []).entries())
				bytes.setUint32(8 + 4 * i, word);
		return [...new Uint8Array(bytes.buffer)];
	});
	return Uint8Array.from(parts.flat());
}

function bindx(fd: number, option: number, ...texts: string[]): string | number {
	return outcome(w.task.setsockopt(fd, IPPROTO_SCTP, option, packed(texts.map(addressOf))));
}

/** A one-to-many socket. */
const many = (family = AF_INET, flags = "") => w.socket(family, flags, w.task, SOCK_SEQPACKET);

function device(fd: number, name: string): number {
	return w.task.setsockopt(fd, SOL_SOCKET, SO_BINDTODEVICE, Buffer.from(`${name}\0`));
}

describe("SCTP's search for a port", () => {
	it("begins at the port after the drawn one, and wraps around at the end of the range", () => {
		for (const [draw, first] of [
			[0, 40001],
			[0x7fffffff, 40002],
			[0xffffffff, 40000],
		]) {
			w = make({ random: new ConstantRandom(draw) });
			w.range(40000, 40003);
			const ports = [0, 1, 2, 3].map(() => w.port(w.bound("127.0.0.1:0")));
			expect(ports[0]).toBe(first);
			expect(ports).toEqual([0, 1, 2, 3].map((i) => 40000 + ((first + i) % 4)));
		}
	});
	it("passes over ports that are in use on another address, whatever the options allow", () => {
		w.range(40000, 40002);
		w.bound("AP 127.0.0.1:40000");
		w.bound("AP [::1]:40002");
		expect(w.port(w.bound("AP 192.0.2.1:0"))).toBe(40001);
		expect(w.tryBind("AP 192.0.2.1:0").result).toBe("EADDRINUSE");
	});
	it("passes over reserved ports, and bind() can still name them", () => {
		w.range(40000, 40002);
		w.net.setSysctl("net.ipv4.ip_local_reserved_ports", "40000,40002");
		expect(w.port(w.bound("any:0"))).toBe(40001);
		expect(w.tryBind("any:0").result).toBe("EADDRINUSE");
		expect(w.tryBind("any:40002").result).toBe(0);
	});
	it("stays inside the socket's own range", () => {
		w.range(40000, 40009);
		const fd = w.socket();
		const range = (40005 << 16) | 40005;
		expect(w.task.setsockopt(fd, SOL_IP, IP_LOCAL_PORT_RANGE, range)).toBe(0);
		expect(w.bind(fd, "any:0")).toBe(0);
		expect(w.port(fd)).toBe(40005);
	});
	it("fails with EADDRINUSE in bind(), and with EAGAIN in listen(), connect() and sendto()", () => {
		w.range(40000, 40000);
		w.bound("any:0");
		expect(w.tryBind("any:0").result).toBe("EADDRINUSE");
		expect(w.listen(w.socket())).toBe("EAGAIN");
		expect(w.start(w.socket(), "127.0.0.1:9")).toBe("EAGAIN");
		expect(w.sendto(many(), 1, "127.0.0.1:9")).toBe("EAGAIN");
	});
	it("is made by listen() on the wildcard, and a backlog of 0 ends listening and keeps the port", () => {
		w.range(40000, 40000);
		const fd = w.socket();
		expect(w.listen(fd, 0)).toBe("EINVAL");
		expect(w.name(fd)).toBe("0.0.0.0:0");
		expect(w.listen(fd)).toBe(0);
		expect(w.name(fd)).toBe("0.0.0.0:40000");
		expect(w.listen(fd, 0)).toBe(0);
		expect(w.connect(w.bound("any:500"), "127.0.0.1:40000")).toBe("ECONNREFUSED");
		expect(w.port(fd)).toBe(40000);
	});
});

describe("an SCTP port that bind() names", () => {
	// Sockets that are bound first, the socket that is bound last, and its result.
	const CASES: readonly (readonly [before: string[], last: string, result: number | string])[] = [
		[["any:500"], "any:501", 0],
		[["any:500"], "any:500", "EADDRINUSE"],
		[["127.0.0.1:500"], "any:500", "EADDRINUSE"],
		[["any:500"], "127.0.0.1:500", "EADDRINUSE"],
		[["127.0.0.1:500"], "192.0.2.1:500", 0],
		[["A any:500"], "A any:500", 0],
		[["A any:500"], "any:500", "EADDRINUSE"],
		[["any:500"], "A any:500", "EADDRINUSE"],
		// A socket without the option prevents sharing, except with sockets that do not overlap.
		[["A 127.0.0.1:500", "192.0.2.1:500"], "A 127.0.0.1:500", 0],
		[["A 127.0.0.1:500", "192.0.2.1:500"], "A any:500", "EADDRINUSE"],
		// A listener shares with nobody.
		[["AL any:500"], "A any:500", "EADDRINUSE"],
		[["AL 127.0.0.1:500"], "A 192.0.2.1:500", 0],
		[["P any:500"], "P any:500", 0],
		[["PL any:500"], "P any:500", 0],
		[["PL any:500"], "PL any:500", 0],
		[["P any:500"], "A any:500", "EADDRINUSE"],
		// A socket that shares by one option is not checked for the other.
		[["AP any:500", "A any:500"], "P any:500", 0],
		[["P 127.0.0.1:500", "192.0.2.1:500"], "P 127.0.0.1:500", 0],
		[["P 127.0.0.1:500", "192.0.2.1:500"], "P any:500", "EADDRINUSE"],
		[["[::]:500"], "any:500", "EADDRINUSE"],
		[["any:500"], "[::]:500", "EADDRINUSE"],
		[["[::]:500"], "127.0.0.1:500", "EADDRINUSE"],
		[["[::1]:500"], "127.0.0.1:500", 0],
		[["[::1]:500"], "any:500", "EADDRINUSE"],
		[["6 [::]:500"], "any:500", 0],
		[["any:500"], "6 [::]:500", 0],
		[["6 [::]:500"], "6 [::1]:500", "EADDRINUSE"],
		[["[::ffff:127.0.0.1]:500"], "127.0.0.1:500", "EADDRINUSE"],
		[["[::ffff:127.0.0.1]:500"], "192.0.2.1:500", 0],
	];
	it.each(CASES)(
		"gives a result that follows from the sockets before: after %j, %s gives %s",
		(before, last, result) => {
			for (const spec of before) w.bound(spec);
			expect(w.tryBind(last).result).toBe(result);
		},
	);

	it("is shared by sockets of one user with SO_REUSEPORT, and of all users with SO_REUSEADDR", () => {
		const other = w.user(1001);
		w.bound("P any:5000", w.user(1000));
		expect(w.tryBind("P any:5000", other).result).toBe("EADDRINUSE");
		expect(w.tryBind("P any:5000", w.user(1000)).result).toBe(0);
		w.bound("A any:5001", w.user(1000));
		expect(w.tryBind("A any:5001", other).result).toBe(0);
	});
	it("is still shared after its first socket has cleared SO_REUSEADDR, but not with a socket without the option", () => {
		const first = w.bound("A any:500");
		w.task.setsockopt(first, SOL_SOCKET, SO_REUSEADDR, 0);
		expect(w.tryBind("A any:500").result).toBe(0);
		// The bucket is not checked any more.
		expect(w.tryBind("any:500").result).toBe("EADDRINUSE");
	});
	it("below 1024 needs root", () => {
		const user = w.user(1000);
		const fd = w.socket(AF_INET, "", user);
		expect(w.bind(fd, "any:1023", user)).toBe("EACCES");
		expect(w.bind(fd, "any:1024", user)).toBe(0);
	});
	it("below 1024 stays with a socket that another user gets, and this user can neither connect nor send", () => {
		const [sender, bound] = [many(), w.bound("any:501")];
		expect(w.bind(sender, "any:500")).toBe(0);
		const user = w.task.fork();
		user.uid = 1000;
		const to = addressOf("127.0.0.1:9");
		expect(outcome(user.sendto(sender, 1, to))).toBe("EACCES");
		expect(outcome(user.connect(bound, to))).toBe("EACCES");
		expect(w.name(bound)).toBe("0.0.0.0:501");
		user.exit();
		expect(w.connect(bound, "127.0.0.1:9")).toBe("ECONNREFUSED");
	});
	it("needs an address of the host that fits the socket's family", () => {
		const fd = w.socket();
		expect(w.bind(fd, "203.0.113.1:500")).toBe("EADDRNOTAVAIL");
		expect(w.bind(fd, "224.0.0.1:500")).toBe("EADDRNOTAVAIL");
		expect(w.bind(fd, "[::1]:500")).toBe("EINVAL");
		expect(w.bind(w.socket(AF_INET6), "[2001:db8::2]:500")).toBe("EADDRNOTAVAIL");
		expect(w.bind(w.socket(AF_INET6, "6"), "[::ffff:127.0.0.1]:500")).toBe("EINVAL");
		expect(w.bind(w.socket(AF_INET6), "127.0.0.1:500")).toBe(0);
	});
	it("is checked again by listen(), and only on the address of the socket", () => {
		w.bound("[2001:db8::1]:500");
		const fd = w.bound("[::1]:500");
		expect(w.listen(fd)).toBe(0);
	});
	it("is free on an address of the device to which the socket is bound", () => {
		const fd = w.socket(AF_INET6);
		expect(device(fd, "lo")).toBe(0);
		expect(w.bind(fd, "[::1]:500")).toBe(0);
		const gone = w.socket(AF_INET6);
		expect(device(gone, "dummy0")).toBe(0);
		w.run("ip link del dummy0");
		expect(w.bind(gone, "[::1]:501")).toBe("EADDRNOTAVAIL");
	});
	it("cannot be changed by another bind()", () => {
		const fd = w.bound("127.0.0.1:500");
		expect(w.bind(fd, "192.0.2.1:500")).toBe("EINVAL");
		expect(w.bind(fd, "127.0.0.1:0")).toBe("EINVAL");
		expect(w.name(fd)).toBe("127.0.0.1:500");
	});
	it("is free when the last socket on it is closed", () => {
		const fds = [w.bound("A any:500"), w.bound("A any:500")];
		w.close(fds[1]);
		expect(w.tryBind("any:500").result).toBe("EADDRINUSE");
		w.close(fds[0]);
		expect(w.tryBind("any:500").result).toBe(0);
	});
});

describe("SCTP_REUSE_PORT", () => {
	it("has the effect of SO_REUSEADDR", () => {
		const fds = [w.socket(), w.socket()];
		for (const fd of fds) {
			expect(w.task.setsockopt(fd, IPPROTO_SCTP, SCTP_REUSE_PORT, 1)).toBe(0);
			expect(w.bind(fd, "any:500")).toBe(0);
		}
		expect(w.tryBind("A any:500").result).toBe(0);
		expect(w.tryBind("any:500").result).toBe("EADDRINUSE");
		expect(w.task.getsockopt(fds[0], IPPROTO_SCTP, SCTP_REUSE_PORT)).toEqual(
			Uint8Array.of(1, 0, 0, 0),
		);
	});
	it("needs a value", () => {
		expect(outcome(w.task.setsockopt(w.socket(), IPPROTO_SCTP, SCTP_REUSE_PORT, null, 4))).toBe(
			"EFAULT",
		);
	});
	it("can be set only on one-to-one sockets without a port", () => {
		const set = (fd: number) => outcome(w.task.setsockopt(fd, IPPROTO_SCTP, SCTP_REUSE_PORT, 1));
		expect(set(many())).toBe("EOPNOTSUPP");
		expect(set(w.bound("any:500"))).toBe("EFAULT");
	});
});

describe("further addresses of an SCTP socket", () => {
	it("have the port of the first address", () => {
		const fd = w.bound("127.0.0.1:500");
		expect(bindx(fd, SCTP_BINDX_ADD, "192.0.2.1:500", "198.51.100.1:0")).toBe(0);
		expect(w.tryBind("192.0.2.1:500").result).toBe("EADDRINUSE");
		expect(w.tryBind("198.51.100.1:500").result).toBe("EADDRINUSE");
		expect(w.tryBind("127.0.0.2:500").result).toBe(0);
		expect(bindx(fd, SCTP_BINDX_ADD, "127.0.0.2:501")).toBe("EINVAL");
	});
	it("are either all added or none", () => {
		w.bound("198.51.100.1:500");
		const fd = w.bound("127.0.0.1:500");
		expect(bindx(fd, SCTP_BINDX_ADD, "192.0.2.1:500", "198.51.100.1:500")).toBe("EADDRINUSE");
		expect(w.tryBind("192.0.2.1:500").result).toBe(0);
		expect(bindx(fd, SCTP_BINDX_ADD, "127.0.0.1:500")).toBe("EINVAL");
	});
	it("can be added to a socket without a port, and then a port is chosen", () => {
		w.range(40000, 40000);
		const fd = w.socket();
		expect(bindx(fd, SCTP_BINDX_ADD, "127.0.0.1:0", "192.0.2.1:0")).toBe(0);
		expect(w.name(fd)).toBe("192.0.2.1:40000");
		expect(w.tryBind("127.0.0.1:40000").result).toBe("EADDRINUSE");
		expect(w.tryBind("192.0.2.1:40000").result).toBe("EADDRINUSE");
	});
	it("are refused if the list is empty, or has an address that is not unicast", () => {
		const fd = w.bound("127.0.0.1:500");
		expect(bindx(fd, SCTP_BINDX_ADD, "192.0.2.1:500")).toBe(0);
		expect(bindx(fd, SCTP_BINDX_ADD)).toBe("EINVAL");
		expect(bindx(fd, SCTP_BINDX_REM)).toBe("EINVAL");
		expect(bindx(fd, SCTP_BINDX_REM, "224.0.0.1:500")).toBe("EADDRNOTAVAIL");
	});
	it("can be removed, except the last one", () => {
		const fd = w.bound("127.0.0.1:500");
		expect(bindx(fd, SCTP_BINDX_REM, "127.0.0.1:500")).toBe("EBUSY");
		expect(bindx(fd, SCTP_BINDX_ADD, "192.0.2.1:500")).toBe(0);
		expect(bindx(fd, SCTP_BINDX_REM, "127.0.0.1:501")).toBe("EINVAL");
		expect(bindx(fd, SCTP_BINDX_REM, "127.0.0.1:500")).toBe(0);
		expect(w.tryBind("127.0.0.1:500").result).toBe(0);
		expect(bindx(fd, SCTP_BINDX_REM, "192.0.2.1:500")).toBe("EBUSY");
	});
});

describe("listen() of an SCTP socket that shares some of its addresses with a listener", () => {
	for (const [version, again] of [
		["6.11", 0],
		["6.12", "EEXIST"],
	] as const) {
		it(`fails with EEXIST, and gives ${again} the next time in ${version}`, () => {
			w = make({ version });
			const [first, second] = [0, 1].map(() => {
				const fd = w.socket();
				w.task.setsockopt(fd, SOL_SOCKET, SO_REUSEPORT, 1);
				expect(w.task.bind(fd, addressOf("127.0.0.1:500"))).toBe(0);
				return fd;
			});
			expect(bindx(second, SCTP_BINDX_ADD, "127.0.0.2:500")).toBe(0);
			const listen = (fd: number) => outcome(w.task.listen(fd, 8));
			expect([listen(first), listen(second), listen(second)]).toEqual([0, "EEXIST", again]);
		});
	}
});

describe("an SCTP connection over loopback", () => {
	it("exists at once, and the accepted socket shares the listener's port", () => {
		w.range(40000, 40000);
		const listener = w.bound("L any:500");
		const client = w.socket();
		expect(w.connect(client, "127.0.0.1:500")).toBe(0);
		expect([w.name(client), w.peer(client)]).toEqual(["127.0.0.1:40000", "127.0.0.1:500"]);
		const server = w.accepted(listener);
		expect([w.name(server), w.peer(server)]).toEqual(["127.0.0.1:500", "127.0.0.1:40000"]);
		expect(w.accept(listener)).toBe("EAGAIN");
		w.close(listener);
		expect(w.tryBind("any:500").result).toBe("EADDRINUSE");
		w.close(server);
		expect(w.tryBind("any:500").result).toBe(0);
	});
	it("that ended before accept() gives a closed socket that cannot listen", () => {
		const listener = w.bound("L any:500");
		const client = w.socket();
		expect(w.connect(client, "127.0.0.1:500")).toBe(0);
		w.close(client);
		const server = w.accepted(listener);
		expect(w.recv(server)).toBe(0);
		expect(w.listen(server)).toBe("EINVAL");
	});
	it("changes the name of the listener to the address of its end", () => {
		const listener = w.bound("L any:500");
		expect(w.connect(w.socket(), "192.0.2.1:500")).toBe(0);
		expect(w.name(listener)).toBe("192.0.2.1:500");
		// Only the name has changed.
		expect(w.connect(w.socket(), "127.0.0.1:500")).toBe(0);
	});
	it("carries messages, and ends with close()", () => {
		const listener = w.bound("L any:500");
		const client = w.socket();
		w.connect(client, "127.0.0.1:500");
		const server = w.accepted(listener);
		expect(w.sendto(client, 10, null)).toBe(10);
		expect(w.sendto(client, 5, null)).toBe(5);
		expect([w.recv(server, 4), w.recv(server), w.recv(server)]).toEqual([4, 6, 5]);
		w.close(client);
		expect(w.recv(server)).toBe("EAGAIN");
		w.kernel.advance(250); // the second message is acknowledged
		expect(w.recv(server)).toBe(0);
		expect(w.error(server)).toBe(0);
	});
	it("is reset by close() with SO_LINGER of 0 s", () => {
		const listener = w.bound("L any:500");
		const client = w.socket();
		w.connect(client, "127.0.0.1:500");
		const server = w.accepted(listener);
		w.task.setsockopt(client, SOL_SOCKET, SO_LINGER, Uint8Array.of(1, 0, 0, 0, 0, 0, 0, 0));
		w.close(client);
		expect(w.recv(server)).toBe("ECONNRESET");
	});
	it("is refused if nobody listens, and the socket keeps its port", () => {
		w.range(40000, 40000);
		const fd = w.socket();
		expect(w.connect(fd, "127.0.0.1:9")).toBe("ECONNREFUSED");
		expect(w.name(fd)).toBe("127.0.0.1:40000");
		expect(w.connect(w.socket(), "127.0.0.1:9")).toBe("EAGAIN");
		w.bound("L any:9");
		expect(w.connect(fd, "127.0.0.1:9")).toBe(0);
	});
	it("is refused if the backlog is full", () => {
		const listener = w.bound("any:500");
		w.listen(listener, 1);
		const connect = () => w.connect(w.socket(), "127.0.0.1:500");
		expect([connect(), connect(), connect()]).toEqual([0, 0, "ECONNREFUSED"]);
	});
	it("keeps sockets that share its port from connecting to an address of its peer", () => {
		w.bound("L any:500");
		w.bound("L any:501");
		const fds = [w.bound("A 127.0.0.1:600"), w.bound("A 127.0.0.1:600")];
		expect(w.connect(fds[0], "127.0.0.1:500")).toBe(0);
		expect(w.connect(fds[1], "127.0.0.1:500")).toBe("EADDRNOTAVAIL");
		expect(w.connect(fds[1], "192.0.2.1:500")).toBe("EADDRNOTAVAIL");
		expect(w.connect(fds[1], "127.0.0.1:501")).toBe(0);
	});
	it("of a one-to-many socket begins with the first message", () => {
		w.range(40000, 40000);
		const server = many();
		w.bind(server, "any:500");
		w.listen(server);
		const client = many();
		expect(w.sendto(client, 7, "127.0.0.1:500")).toBe(7);
		expect(w.port(client)).toBe(40000);
		expect(w.recv(server)).toBe(7);
		expect(w.peer(client)).toBe("ENOTCONN");
		expect(w.accept(server)).toBe("EOPNOTSUPP");
	});
	it("does not begin with an empty message, which fails", () => {
		const [server, client] = [w.bound("L any:500"), many()];
		expect(w.sendto(client, 0, "127.0.0.1:500")).toBe("EINVAL");
		expect(w.name(client)).toBe("0.0.0.0:0");
		expect(w.sendto(w.socket(), 0, null)).toBe("EINVAL");
		expect(w.sendto(server, 0, null)).toBe("EPIPE");
		expect(w.accept(server)).toBe("EAGAIN");
	});
	it("may lead from an IPv4 socket to an IPv6 socket", () => {
		const listener = w.bound("L [::]:500");
		const client = w.socket();
		expect(w.connect(client, "127.0.0.1:500")).toBe(0);
		expect(w.name(w.accepted(listener))).toBe("[::ffff:127.0.0.1]:500");
		w.close(listener);
	});
});

describe("SCTP's connect() to another host", () => {
	it("chooses its port before the host answers", () => {
		w.range(40000, 40000);
		const fd = w.socket();
		expect(w.start(fd, "203.0.113.1:500")).toBe("EINPROGRESS");
		expect(w.name(fd)).toBe("198.51.100.1:40000");
		expect(w.peer(fd)).toBe("ENOTCONN");
		expect(w.start(fd, "203.0.113.1:500")).toBe("EALREADY");
	});
	it("without a route keeps the port as well", () => {
		w.range(40000, 40000);
		const fd = w.socket();
		w.start(fd, "10.1.2.3:500");
		expect(w.port(fd)).toBe(40000);
		expect(w.start(w.socket(), "203.0.113.1:500")).toBe("EAGAIN");
	});
});

describe("the answer to SCTP's connect()", () => {
	it("is that of the route if the host is another one", () => {
		for (const [answer, result] of [
			["refuse", "ECONNREFUSED"],
			["accept", 0],
		] as const) {
			w.net.replaceRoute({ to: "203.0.113.0/24", dev: "dummy0", answer });
			expect(w.connect(w.socket(), "203.0.113.1:500")).toBe(result);
		}
	});
	it("reaches a socket that is bound to another address than the route prefers", () => {
		w.run("ip -6 addr add 2001:db8::2/128 dev lo nodad");
		w.bound("L [::]:500");
		expect(w.connect(w.bound("[2001:db8::2]:600"), "[2001:db8::1]:500")).toBe(0);
	});
	it("does not come if no address of the socket has the scope of the destination", () => {
		const fd = w.bound("[2001:db8::1]:600");
		expect(w.start(fd, "[::1]:9")).toBe("EINPROGRESS");
		expect(w.error(fd)).toBe(0);
		expect(w.start(fd, "[::1]:9")).toBe("EALREADY");
	});
	it("is ENETUNREACH if the only address of the socket is a loopback address of smaller scope", () => {
		expect(w.start(w.bound("[::1]:600"), "[2001:db8::1]:9")).toBe("ENETUNREACH");
		expect(w.start(w.bound("127.0.0.1:601"), "192.0.2.1:9")).toBe("ENETUNREACH");
	});
	it("is EISCONN for a one-to-many socket that has an association with the host", () => {
		w.bound("L any:500");
		const fd = many();
		expect(w.connect(fd, "127.0.0.1:500")).toBe(0);
		expect(w.connect(fd, "127.0.0.1:500")).toBe("EISCONN");
		const waits = many();
		expect(w.start(waits, "203.0.113.1:500")).toBe("EINPROGRESS");
		expect(w.start(waits, "203.0.113.1:500")).toBe("EALREADY");
	});
});

describe("the scope of an IPv4 address in SCTP", () => {
	it.each([
		["127.0.0.1", SCTP_SCOPE_LOOPBACK],
		["169.254.1.1", SCTP_SCOPE_LINK],
		["169.255.1.1", SCTP_SCOPE_GLOBAL],
		["10.1.2.3", SCTP_SCOPE_PRIVATE],
		["11.1.2.3", SCTP_SCOPE_GLOBAL],
		["172.16.0.1", SCTP_SCOPE_PRIVATE],
		["172.31.255.1", SCTP_SCOPE_PRIVATE],
		["172.32.0.1", SCTP_SCOPE_GLOBAL],
		["192.168.0.1", SCTP_SCOPE_PRIVATE],
		["192.169.0.1", SCTP_SCOPE_GLOBAL],
		["198.17.255.1", SCTP_SCOPE_GLOBAL],
		["198.18.0.1", SCTP_SCOPE_PRIVATE],
		["198.19.255.1", SCTP_SCOPE_PRIVATE],
		["198.20.0.1", SCTP_SCOPE_GLOBAL],
		["192.88.99.1", SCTP_SCOPE_UNUSABLE],
		["224.0.0.1", SCTP_SCOPE_UNUSABLE],
		["0.0.0.0", SCTP_SCOPE_UNUSABLE],
	])("of %s is %i", (address, scope) => {
		const addr = sockaddr_in(parseIpv4(address) ?? 0, 0);
		expect(sctp_get_af_specific(AF_INET)?.scope(addr)).toBe(scope);
	});
});

describe("SCTP sockets on different devices", () => {
	function two(): (string | number)[] {
		const [a, b, c] = [w.socket(), w.socket(), w.socket()];
		device(a, "lo");
		device(b, "dummy0");
		return [w.bind(a, "any:500"), w.bind(b, "any:500"), w.bind(c, "any:500")];
	}
	it("have separate ports since sctp-l3mdev", () => {
		expect(two()).toEqual([0, 0, "EADDRINUSE"]);
	});
	it("share their ports before sctp-l3mdev", () => {
		w = make({ version: "6.1.176" });
		expect(two()).toEqual([0, "EADDRINUSE", "EADDRINUSE"]);
	});
});

describe("an option of SCTP that is not modelled", () => {
	it("throws NotModelled", () => {
		const fd = w.socket();
		expect(() => w.task.setsockopt(fd, IPPROTO_SCTP, SCTP_INITMSG, 1)).toThrow(NotModelled);
	});
});
