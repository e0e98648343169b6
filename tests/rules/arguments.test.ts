// SPDX-License-Identifier: GPL-2.0-or-later
/**
 * Arguments of the library. An argument that no program can pass throws a TypeError or RangeError
 * with its name, and changes nothing. An argument that the kernel refuses gives the kernel's errno.
 */
import { beforeEach, describe, expect, it } from "vitest";
import {
	type Address,
	EBADF,
	EINVAL,
	EMFILE,
	EPERM,
	Kernel,
	type KernelOptions,
	type NetNamespace,
	type RouteOptions,
	SeededRandom,
	Socket,
	SocketError,
	type SocketKind,
	type Task,
} from "../../kernel-model/index.js";

const LO: Address = { family: "AF_INET", address: "127.0.0.1", port: 8080 };

let kernel: Kernel;
let net: NetNamespace;
let task: Task;
beforeEach(() => {
	kernel = new Kernel();
	net = kernel.createNet();
	task = kernel.createTask({ net });
});

/** A value of a type that the declarations would refuse. */
function wrong<T>(value: unknown): T {
	return value as T;
}

/** The error of a call, such as "TypeError fd"; "none" if it returned. */
function thrown(run: () => unknown): string {
	try {
		run();
	} catch (error) {
		if (!(error instanceof Error)) throw error;
		return `${error.name} ${error.message.split(":")[0]}`;
	}
	return "none";
}

describe("Task:", () => {
	type Case = [name: string, call: (task: Task) => unknown, error: string];
	const cases: Case[] = [
		["close of NaN", (t) => t.close(Number.NaN), "TypeError fd"],
		["close of descriptor 0.5", (t) => t.close(0.5), "TypeError fd"],
		["close of a text", (t) => t.close(wrong("3")), "TypeError fd"],
		["close of undefined", (t) => t.close(wrong(undefined)), "TypeError fd"],
		["close of a descriptor of more than 32 bits", (t) => t.close(4294967299), "RangeError fd"],
		["close of Infinity", (t) => t.close(Number.POSITIVE_INFINITY), "RangeError fd"],
		["dup of NaN", (t) => t.dup(Number.NaN), "TypeError fd"],
		["dup to descriptor 1.5", (t) => t.dup(1, 1.5), "TypeError at"],
		["dup to descriptor -1", (t) => t.dup(1, -1), "RangeError at"],
		["dup2 to NaN", (t) => t.dup2(1, Number.NaN), "TypeError newfd"],
		["dup3 to NaN", (t) => t.dup3(1, Number.NaN, 0), "TypeError newfd"],
		["dup3 with a text as flags", (t) => t.dup3(1, 5, wrong("O")), "TypeError flags"],
		["socket with a text as family", (t) => t.socket(wrong("AF_INET"), 1, 0), "TypeError family"],
		["socket with type 1.5", (t) => t.socket(2, 1.5, 0), "TypeError type"],
		["socket with protocol 2^40", (t) => t.socket(2, 1, 2 ** 40), "RangeError protocol"],
		["socket at descriptor -3", (t) => t.socket(2, 1, 0, -3), "RangeError at"],
		["openOther at descriptor 0.1", (t) => t.openOther(0.1), "TypeError at"],
		["bind to port -1", (t) => t.bind(3, { ...LO, port: -1 }), "RangeError port"],
		["bind to port 65536", (t) => t.bind(3, { ...LO, port: 65536 }), "RangeError port"],
		["bind to port 80.5", (t) => t.bind(3, { ...LO, port: 80.5 }), "TypeError port"],
		["bind to null", (t) => t.bind(3, wrong(null)), "TypeError address"],
		["bind to a text", (t) => t.bind(3, wrong("127.0.0.1")), "TypeError address"],
		[
			"bind to an IPv6 address as AF_INET",
			(t) => t.bind(3, { ...LO, address: "::1" }),
			"RangeError address",
		],
		[
			"bind to an unknown family",
			(t) => t.bind(3, wrong({ ...LO, family: 2 })),
			"TypeError family",
		],
		["bind with a length of NaN", (t) => t.bind(3, LO, Number.NaN), "TypeError addrlen"],
		[
			"bind on a closed descriptor, port 65536",
			(t) => t.bind(9, wrong({ ...LO, port: 65536 })),
			"RangeError port",
		],
		["connect with scope -1", (t) => t.connect(3, { ...LO, scope_id: -1 }), "RangeError scope_id"],
		[
			"connect with flowinfo 0.5",
			(t) => t.connect(3, { ...LO, flowinfo: 0.5 }),
			"TypeError flowinfo",
		],
		["listen with backlog 0.5", (t) => t.listen(3, 0.5), "TypeError backlog"],
		["accept4 with flags of NaN", (t) => t.accept4(3, Number.NaN), "TypeError flags"],
		["accept into a text", (t) => t.accept(3, wrong("")), "TypeError address"],
		["shutdown of direction 0.5", (t) => t.shutdown(3, 0.5), "TypeError how"],
		["setsockopt of a text", (t) => t.setsockopt(3, 1, 2, wrong("1")), "TypeError optval"],
		["setsockopt of NaN", (t) => t.setsockopt(3, 1, 2, Number.NaN), "TypeError optval"],
		["setsockopt of level 0.5", (t) => t.setsockopt(3, 0.5, 2, 1), "TypeError level"],
		["setsockopt of option 0.5", (t) => t.setsockopt(3, 1, 0.5, 1), "TypeError optname"],
		["setsockopt with length 0.5", (t) => t.setsockopt(3, 1, 2, 1, 0.5), "TypeError optlen"],
		["getsockopt with length 0.5", (t) => t.getsockopt(3, 1, 2, 0.5), "TypeError optlen"],
		["send of -1 bytes", (t) => t.send(3, -1), "RangeError size"],
		["send of NaN bytes", (t) => t.send(3, Number.NaN), "TypeError size"],
		["recv of 0.5 bytes", (t) => t.recv(3, 0.5), "TypeError size"],
		["setNonblock to a number", (t) => t.setNonblock(3, wrong(1)), "TypeError nonblock"],
		["setuid of user 0.5", (t) => t.setuid(0.5), "TypeError uid"],
		["assignment of user -1", (t) => Object.assign(t, { uid: -1 }), "RangeError uid"],
		[
			"assignment of an object that is no namespace",
			(t) => Object.assign(t, { net: {} }),
			"TypeError net",
		],
		[
			"assignment of a namespace of another kernel",
			(t) => Object.assign(t, { net: new Kernel().createNet() }),
			"TypeError net",
		],
	];

	it.each(cases)("%s throws and changes nothing", (_name, call, error) => {
		expect(task.tcp()).toBe(3);
		const files = task.openFiles();
		expect(thrown(() => call(task))).toBe(error);
		expect(task.openFiles()).toEqual(files);
		expect(task.getsockname(3)).toMatchObject({ port: 0 });
		kernel.verify();
	});

	it("a call with a descriptor that fits an int and is not open returns EBADF", () => {
		for (const fd of [-1, -2147483648, 2147483647, 4294967295, 7]) {
			expect(task.close(fd)).toBe(-EBADF);
			expect(task.dup(fd)).toBe(-EBADF);
			expect(task.dup2(fd, 5)).toBe(-EBADF);
			expect(task.bind(fd, LO)).toBe(-EBADF);
		}
	});

	it("dup2 and dup3 to a number that no descriptor can have return EBADF and change nothing", () => {
		const fd = task.tcp();
		const files = task.openFiles();
		for (const newfd of [-1, -2, 2147483647, 2147483648, 4294967295, 1 << 20]) {
			expect(task.dup2(fd, newfd)).toBe(-EBADF);
			expect(task.dup3(fd, newfd, 0)).toBe(-EBADF);
		}
		expect(task.openFiles()).toEqual(files);
		expect(task.close(fd)).toBe(0);
		kernel.verify();
	});

	it("dup2 of a descriptor onto itself returns it if it is open, and dup3 returns EINVAL in both cases", () => {
		expect(task.dup2(2, 2)).toBe(2);
		expect(task.dup2(7, 7)).toBe(-EBADF);
		expect(task.dup2(-1, -1)).toBe(-EBADF);
		expect(task.dup3(7, 7, 0)).toBe(-EINVAL);
		expect(task.dup3(7, -1, 1)).toBe(-EINVAL);
	});

	it("dup of a descriptor onto its own number keeps the file open", () => {
		const fd = task.tcp();
		expect(task.dup(fd, fd)).toBe(fd);
		expect(task.getsockname(fd)).toMatchObject({ port: 0 });
		expect(task.dup(2, 2)).toBe(2);
		kernel.verify();
	});

	it("RLIMIT_NOFILE bounds every new descriptor, and a socket that gets no descriptor is freed", () => {
		const small = kernel.createTask({ net, nofile: 5 });
		expect(small.dup2(1, 5)).toBe(-EBADF);
		expect(small.dup2(1, 4)).toBe(4);
		expect(small.tcp()).toBe(3);
		expect(small.tcp()).toBe(-EMFILE);
		expect(small.dup(1)).toBe(-EMFILE);
		expect(small.openOther()).toBe(-EMFILE);
		expect(small.fork().tcp()).toBe(-EMFILE);
		kernel.verify();
	});

	it("setrlimit() changes the limit for calls to come, and descriptors beyond it stay open", () => {
		const small = kernel.createTask({ net });
		const fd = small.tcp();
		expect(small.setrlimit(fd, 1024)).toBe(0);
		expect(small.getsockname(fd)).toMatchObject({ port: 0 });
		expect(small.dup(fd)).toBe(-EMFILE);
		expect(small.dup2(1, fd)).toBe(-EBADF);
		expect(small.close(1)).toBe(0);
		expect(small.dup(fd)).toBe(1);
		expect(small.setrlimit(0, 1024)).toBe(0);
		expect(small.close(1)).toBe(0);
		expect(small.tcp()).toBe(-EMFILE);
		expect(small.setrlimit(fd + 2, 1024)).toBe(0);
		expect([small.tcp(), small.tcp(), small.tcp()]).toEqual([1, 4, -EMFILE]);
		kernel.verify();
	});

	it("setrlimit() refuses a soft limit above the hard one, and raises the hard one only for root", () => {
		const user = kernel.createTask({ net, uid: 1000 });
		expect(user.setrlimit(9, 8)).toBe(-EINVAL);
		expect(user.setrlimit(9, 2 ** 20 + 1)).toBe(-EPERM);
		expect(user.setrlimit(9, 10)).toBe(0);
		expect(user.setrlimit(9, 11)).toBe(-EPERM);
		expect(user.setrlimit(10, 10)).toBe(0);
		const root = kernel.createTask({ net });
		expect(root.setrlimit(9, 10)).toBe(0);
		expect(root.setrlimit(9, 11)).toBe(0);
		expect(root.setrlimit(9, 2 ** 20 + 1)).toBe(-EPERM);
	});

	it("fork() copies the limit of descriptors, and a thread shares it", () => {
		const parent = kernel.createTask({ net, nofile: 4 });
		const [child, thread] = [parent.fork(), parent.fork(true)];
		expect(parent.setrlimit(5, 1024)).toBe(0);
		expect([child.nofile, thread.nofile]).toEqual([4, 5]);
	});

	it("fcntl(F_DUPFD) takes the lowest free descriptor from its argument on", () => {
		const small = kernel.createTask({ net, nofile: 6 });
		const fd = small.tcp();
		expect(small.dupfd(fd, 5, false)).toBe(5);
		expect(small.dupfd(fd, 5, false)).toBe(-EMFILE);
		expect(small.dupfd(fd, 6, false)).toBe(-EINVAL);
		expect(small.dupfd(fd, -1, false)).toBe(-EINVAL);
		expect(small.dupfd(9, 6, false)).toBe(-EBADF);
		expect(small.dupfd(fd, 0, true)).toBe(4);
		kernel.verify();
	});

	it("accept without a free descriptor leaves the connection in the queue", () => {
		const small = kernel.createTask({ net, nofile: 4 });
		const listener = small.tcp();
		small.bind(listener, LO);
		small.listen(listener, 1);
		task.connect(task.tcp(), LO);
		expect(small.accept(listener)).toBe(-EMFILE);
		small.close(2);
		expect(small.accept(listener)).toBe(2);
		kernel.verify();
	});

	it("a task that has exited makes no calls", () => {
		const fd = task.tcp();
		task.exit();
		const calls: ((task: Task) => unknown)[] = [
			(t) => t.tcp(),
			(t) => t.close(fd),
			(t) => t.dup(1),
			(t) => t.dup2(1, 5),
			(t) => t.dup3(1, 5, 0),
			(t) => t.bind(fd, LO),
			(t) => t.listen(fd, 1),
			(t) => t.connect(fd, LO),
			(t) => t.connectSleeping(fd),
			(t) => t.connectAndWait(fd, LO),
			(t) => t.accept(fd),
			(t) => t.accept4(fd, 0),
			(t) => t.getsockname(fd),
			(t) => t.getpeername(fd),
			(t) => t.setsockopt(fd, 1, 2, 1),
			(t) => t.getsockopt(fd, 1, 2),
			(t) => t.shutdown(fd, 2),
			(t) => t.send(fd, 1),
			(t) => t.sendto(fd, 1, LO),
			(t) => t.recv(fd, 1),
			(t) => t.setNonblock(fd, true),
			(t) => t.openOther(),
			(t) => t.fork(),
			(t) => t.execve(),
			(t) => t.unshareNet(),
			(t) => t.setuid(1),
			(t) => t.setresuid(1, 1, 1),
			(t) => Object.assign(t, { uid: 1 }),
			(t) => Object.assign(t, { net }),
			(t) => t.exit(),
			(t) => new Socket(t),
		];
		for (const call of calls) expect(() => call(task)).toThrow(/has exited and makes no calls/);
		kernel.verify();
	});

	it("a thread makes calls after another thread of its process has exited", () => {
		const fd = task.tcp();
		const thread = task.fork(true);
		task.exit();
		expect(thread.bind(fd, LO)).toBe(0);
		kernel.verify();
	});

	it("setuid refuses -1, and only root becomes another user", () => {
		expect(task.setuid(-1)).toBe(-EINVAL);
		expect(task.setuid(1000)).toBe(0);
		expect(task.setuid(0)).toBe(-EPERM);
		expect(task.setuid(1000)).toBe(0);
		expect(task.privileged).toBe(false);
	});

	it("setresuid keeps an id for which it gets -1, and a user may return to each of its three ids", () => {
		expect(task.setresuid(-1, 1000, -1)).toBe(0);
		expect(task.privileged).toBe(false);
		expect(task.setresuid(2000, -1, -1)).toBe(-EPERM);
		expect(task.setresuid(-1, 0, -1)).toBe(0);
		expect(task.privileged).toBe(true);
		expect(task.setresuid(1000, 1000, 1000)).toBe(0);
		expect(task.setresuid(0, -1, -1)).toBe(-EPERM);
		const child = task.fork();
		expect(child.setresuid(-1, 0, -1)).toBe(-EPERM);
	});
});

describe("Kernel:", () => {
	const options: [string, unknown, string][] = [
		["a version that is a number", { version: 6.3 }, "TypeError version"],
		[
			"a version that is unknown",
			{ version: "2.4" },
			'RangeError unknown kernel version "2.4"; known',
		],
		["a seed that is NaN", { seed: Number.NaN }, "TypeError seed"],
		["a seed below 0", { seed: -1 }, "RangeError seed"],
		[
			"a table of half a bucket",
			{ tables: { ehash: 0.5 } },
			"RangeError size of ehash must be a power of two up to 16777216, is 0.5",
		],
		[
			"a table of 2^32 buckets",
			{ tables: { udp: 2 ** 32 } },
			"RangeError size of udp must be a power of two up to 16777216, is 4294967296",
		],
		["a phase beyond the jiffy", { clock: { phase: 4, lateness: 0 } }, "RangeError clock.phase"],
		[
			"half a jiffy of lateness",
			{ clock: { phase: 0, lateness: 0.5 } },
			"TypeError clock.lateness",
		],
		["a number as secrets", { secrets: 7 }, "TypeError secrets"],
		["a number as source of draws", { random: 7 }, "TypeError random"],
		["null as options", null, "TypeError options"],
	];
	it.each(options)("%s is refused by an error that names it", (_name, given, error) => {
		expect(thrown(() => new Kernel(wrong<KernelOptions>(given)))).toBe(error);
	});

	it("the clock advances by a finite time only", () => {
		const before = kernel.now;
		expect(thrown(() => kernel.advance(Number.POSITIVE_INFINITY))).toBe("RangeError ms");
		expect(thrown(() => kernel.advance(1e300))).toBe("RangeError ms");
		expect(thrown(() => kernel.advance(-1))).toBe("RangeError ms");
		expect(thrown(() => kernel.advance(Number.NaN))).toBe("TypeError ms");
		expect(thrown(() => kernel.advance(wrong("1")))).toBe("TypeError ms");
		expect(kernel.now).toBe(before);
	});

	it("a connect that waits returns even if the clock cannot advance", () => {
		kernel.advance(Number.MAX_SAFE_INTEGER - kernel.now);
		net.addRoute({ to: "default", dev: "lo" });
		const result = task.connectAndWait(task.tcp(), { ...LO, address: "192.0.2.1" });
		expect(result).toBeLessThan(0);
		kernel.verify();
	});

	it("createTask and createNet refuse wrong arguments and namespaces of another kernel", () => {
		const other = new Kernel().createNet();
		expect(thrown(() => kernel.createTask({ net: other }))).toBe("TypeError net");
		expect(thrown(() => kernel.createTask(wrong({})))).toBe("TypeError net");
		expect(thrown(() => kernel.createTask(wrong(undefined)))).toBe("TypeError options");
		expect(thrown(() => kernel.createTask({ net, uid: 1.5 }))).toBe("TypeError uid");
		expect(thrown(() => kernel.createTask({ net, nofile: 2 ** 30 }))).toBe("RangeError nofile");
		expect(thrown(() => kernel.createNet({ parent: other }))).toBe("TypeError parent");
		expect(thrown(() => kernel.createNet({ lo: wrong("sideways") }))).toBe("RangeError lo");
		expect(thrown(() => kernel.createNet({ name: wrong(7) }))).toBe("TypeError name");
		expect(kernel.tasks.size).toBe(1);
		expect(kernel.nets).toHaveLength(1);
	});

	it("SeededRandom refuses a seed that is not an integer", () => {
		expect(thrown(() => new SeededRandom(Number.NaN))).toBe("TypeError seed");
	});
});

describe("NetNamespace:", () => {
	type Case = [name: string, call: (net: NetNamespace) => unknown, error: string];
	const route = (options: object) => (n: NetNamespace) =>
		n.addRoute({ to: "default", dev: "lo", ...options } as RouteOptions);
	const cases: Case[] = [
		["a device without a name", (n) => n.addLink(wrong(undefined)), "TypeError name"],
		["a VRF of table -1", (n) => n.addLink("vrf0", -1), "RangeError vrfTable"],
		[
			"a MAC address of two bytes",
			(n) => n.addLink("dummy0", 0, "00:11"),
			"RangeError not a MAC address",
		],
		["a device that is a number", (n) => n.setLink(wrong(1), true), "TypeError device"],
		["a text as the state of a link", (n) => n.setLink("lo", wrong("up")), "TypeError up"],
		[
			"an unknown address generation mode",
			(n) => n.setAddrGenMode("lo", wrong("x")),
			"RangeError mode",
		],
		["a prefix that is a number", (n) => n.addAddress(wrong(7), "lo"), "TypeError prefix"],
		[
			"a prefix of two lengths",
			(n) => n.addAddress("192.0.2.1/8/9", "lo"),
			"RangeError not a prefix",
		],
		[
			"an address with an unknown scope",
			(n) => n.addAddress("192.0.2.1/32", "lo", { scope: wrong("x") }),
			"RangeError scope",
		],
		["a route of an unknown type", route({ type: "constructor" }), "RangeError type"],
		["a route of an unknown scope", route({ scope: "toString" }), "RangeError scope"],
		["a route with an unknown answer", route({ answer: "maybe" }), "RangeError answer"],
		["a route of metric -1", route({ metric: -1 }), "RangeError metric"],
		["a route of family 5", route({ family: 5 }), "RangeError family"],
		["a route in an unknown table", route({ table: "constructor" }), "RangeError not a table"],
		["null as a route", (n) => n.addRoute(wrong(null)), "TypeError route"],
		["a sysctl without a name", (n) => n.getSysctl(wrong(undefined)), "TypeError name"],
		[
			"a number as the text of a sysctl",
			(n) => n.setSysctl("net.ipv4.tcp_tw_reuse", wrong(1)),
			"TypeError text",
		],
	];
	const world = () => [net.net.devices, net.net.routes, net.net.routes6, net.net.ipv4];
	it.each(cases)("%s is refused by an error that names it", (_name, call, error) => {
		const before = structuredClone(world());
		expect(thrown(() => call(net))).toBe(error);
		expect(world()).toEqual(before);
	});

	it("a device name that no file can have, or of more than 15 bytes, gives EINVAL", () => {
		for (const name of ["", ".", "..", "a/b", "a b", "a:b", "0123456789abcdef", "nul\0"]) {
			expect(net.addLink(name)).toBe(-EINVAL);
		}
		expect(net.addLink("0123456789abcde")).toBe(0);
	});

	it("a property that every JavaScript object has is no sysctl", () => {
		for (const name of ["constructor", "toString", "__proto__", "net.ipv6.constructor"]) {
			expect(net.getSysctl(name)).toBe(-2);
			expect(net.setSysctl(name, "1")).toBe(-2);
			expect(net.setSysctl(name, "")).toBe(-2);
		}
	});
});

describe("Socket:", () => {
	it("the constructor and the calls refuse a wrong task, kind, address, port or range", () => {
		expect(thrown(() => new Socket(wrong(undefined)))).toBe("TypeError task");
		expect(thrown(() => new Socket(task, 0.5))).toBe("TypeError kind");
		expect(thrown(() => new Socket(task, wrong(null)))).toBe("TypeError kind");
		const kinds: [object, string][] = [
			[{ protocol: "constructor" }, "RangeError protocol"],
			[{ family: "AF_UNIX" }, "RangeError family"],
		];
		for (const [kind, error] of kinds) {
			expect(thrown(() => new Socket(task, kind as SocketKind))).toBe(error);
		}
		const socket = new Socket(task);
		expect(thrown(() => socket.bind("127.0.0.1", 65536))).toBe("RangeError port");
		expect(thrown(() => socket.bind(wrong(undefined)))).toBe("TypeError address");
		expect(thrown(() => socket.localPortRange(-1, 5))).toBe("RangeError low");
		expect(thrown(() => socket.localPortRange(1, 70000))).toBe("RangeError high");
		expect(task.socketDescriptors()).toEqual([3]);
	});

	it("a second close() fails with EBADF and leaves the next socket's descriptor open", () => {
		const first = new Socket(task);
		first.close();
		const second = new Socket(task);
		expect(second.fd).toBe(3);
		for (const call of [() => first.close(), () => first.bind("127.0.0.1"), () => first.accept()]) {
			expect(call).toThrow(SocketError);
			expect(call).toThrow(/EBADF/);
		}
		expect(() => first.localAddress).toThrow(/EBADF/);
		expect(second.bind("127.0.0.1", 80).localAddress.port).toBe(80);
	});
});
