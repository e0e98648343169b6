// SPDX-License-Identifier: GPL-2.0-or-later
/**
 * Random calls of the library with odd arguments. A call returns, or throws TypeError, RangeError
 * or NotModelled. verify() holds after each call. Every failed call has a reason.
 *
 * HOSTILE_CALLS=1000000 sets the number of calls, HOSTILE_SEED=7 the seed. Both have fixed
 * defaults.
 */
import { expect, it } from "vitest";
import {
	type Address,
	Kernel,
	NotModelled,
	SearchExplainer,
	SeededRandom,
	Socket,
	SocketError,
	type Task,
	VERSIONS,
} from "../../kernel-model/index.js";

/** The beginning of an explanation without a reason: kernel-model/machine/failures.ts. */
const UNKNOWN = "the model does not know the check that failed";
const CALLS = Number(process.env.HOSTILE_CALLS ?? 3000);
const SEED = Number(process.env.HOSTILE_SEED ?? 1);
/** Calls of one kernel. */
const LIFE = 300;
/** One in this many calls has a bad argument. */
const ODD = 12;

const ODD_VALUES: readonly unknown[] = [
	Number.NaN,
	Number.POSITIVE_INFINITY,
	-1,
	0.5,
	2 ** 31,
	2 ** 32 + 3,
	2 ** 53,
	1e300,
	-0,
	"3",
	"constructor",
	"",
	null,
	undefined,
	{},
	[],
	true,
	new Uint8Array(3),
];

const ADDRESSES = [
	"0.0.0.0",
	"127.0.0.1",
	"127.0.0.2",
	"192.0.2.1",
	"224.0.0.1",
	"255.255.255.255",
];
const ADDRESSES6 = [
	"::",
	"::1",
	"::ffff:127.0.0.1",
	"::ffff:0.0.0.0",
	"2001:db8::1",
	"fe80::1",
	"ff02::1",
];
const PORTS = [0, 0, 1, 80, 40000, 40001, 40002, 40003, 65535];
const LEVELS = [0, 1, 6, 17, 41, 132, 136, 269, 284];
const SYSCTLS = [
	["net.ipv4.ip_local_port_range", "40000 40007"],
	["net.ipv4.ip_local_port_range", "1 65535"],
	["net.ipv4.ip_local_reserved_ports", "40001,40003-40005"],
	["net.ipv4.ip_autobind_reuse", "1"],
	["net.ipv4.tcp_tw_reuse", "1"],
	["net.ipv4.tcp_fin_timeout", "-5"],
	["net.ipv4.tcp_max_tw_buckets", "2"],
	["net.ipv4.tcp_syn_retries", "1"],
	["net.ipv6.bindv6only", "1"],
	["net.ipv4.ip_nonlocal_bind", "1"],
	["net.ipv4.udp_child_hash_entries", "256"],
] as const;
const PREFIXES = [
	"192.0.2.1/24",
	"192.0.2.2/32",
	"127.0.0.1/8",
	"2001:db8::1/64",
	"198.51.100.0/24",
	"default",
];

class Hostile {
	readonly calls: string[] = [];
	private readonly kernel: Kernel;
	private readonly explainer: SearchExplainer;
	private readonly tasks: Task[] = [];

	constructor(
		private readonly random: SeededRandom,
		version: string,
		seed: number,
	) {
		const tables = { ehash: 16, bhash: 16, lhash2: 4, udp: 256 };
		this.kernel = new Kernel({ version, seed, tables });
		// Every other kernel explains its calls. This must not change results.
		this.explainer = new SearchExplainer(this.kernel);
		if (seed % 2 === 1) this.kernel.trace = this.explainer;
		const net = this.kernel.createNet();
		net.setSysctl("net.ipv4.ip_local_port_range", "40000 40007");
		net.addAddress("192.0.2.1/24", "lo");
		net.addRoute({ to: "default", dev: "lo" });
		this.tasks.push(this.kernel.createTask({ net }), this.kernel.createTask({ net, uid: 1000 }));
	}

	private below(ceil: number): number {
		return this.random.get_random_u32() % ceil;
	}

	private pick<T>(values: readonly T[]): T {
		return values[this.below(values.length)];
	}

	/** A value, or sometimes a bad one. */
	private maybe<T>(value: T): T {
		return this.below(ODD * 8) === 0 ? (this.pick(ODD_VALUES) as T) : value;
	}

	private fd(): number {
		return this.maybe(
			this.below(20) === 0 ? this.pick([-1, 2147483647, 70_000, 0]) : this.below(14),
		);
	}

	private address(): Address {
		const family = this.pick([
			"AF_INET",
			"AF_INET",
			"AF_INET6",
			"AF_INET6",
			"AF_UNSPEC",
			"AF_OTHER",
		] as const);
		const address = this.pick(family === "AF_INET6" ? ADDRESSES6 : ADDRESSES);
		const port = this.maybe(this.pick(PORTS));
		const scope_id = this.maybe(this.pick([0, 0, 0, 1, 7]));
		return this.maybe({ family: this.maybe(family), address: this.maybe(address), port, scope_id });
	}

	private length(): number | undefined {
		return this.below(10) === 0
			? this.maybe(this.pick([-1, 0, 2, 8, 16, 24, 28, 128, 129]))
			: undefined;
	}

	private size(): number {
		return this.maybe(this.pick([0, 1, 100, 65_507, 65_508, 2 ** 32]));
	}

	/** One random call. */
	private call(task: Task): unknown {
		const [fd, below] = [this.fd(), (ceil: number) => this.below(ceil)];
		switch (this.pick(CALLS_BY_NAME)) {
			case "socket":
				return task.socket(
					this.maybe(this.pick([2, 2, 10, 10, 1])),
					this.maybe(this.pick([1, 1, 2, 2, 5, 6, 3, 0x801, 0x80001])),
					this.maybe(this.pick([0, 0, 0, 6, 17, 33, 132, 136, 262])),
				);
			case "bind":
				return task.bind(fd, this.address(), this.length());
			case "listen":
				return task.listen(fd, this.maybe(this.pick([0, 1, 5, -1])));
			case "connect":
				return task.connect(fd, this.address(), this.length(), this.pick([true, false, undefined]));
			case "connectAndWait":
				return task.connectAndWait(fd, this.address());
			case "connectSleeping":
				return task.connectSleeping(fd);
			case "accept":
				return task.accept4(fd, this.maybe(this.pick([0, 0x800, 0x80000, 1])), {}, true);
			case "names":
				return [task.getsockname(fd), task.getpeername(fd)];
			case "setsockopt": {
				const value = this.pick<number | Uint8Array | null>([
					0,
					1,
					1,
					1,
					-1,
					(40003 << 16) | 40001,
					null,
					new Uint8Array(8),
					new Uint8Array(16),
				]);
				const option = this.pick([2, 15, 13, 25, 24, 51, 26, 1, 36, 12, 100, 8, 62, below(80)]);
				return task.setsockopt(
					fd,
					this.maybe(this.pick(LEVELS)),
					this.maybe(option),
					this.maybe(value),
					this.length(),
				);
			}
			case "getsockopt":
				return task.getsockopt(
					fd,
					this.maybe(this.pick(LEVELS)),
					this.maybe(below(80)),
					this.length(),
				);
			case "shutdown":
				return task.shutdown(fd, this.maybe(this.pick([0, 1, 2, 3])));
			case "send":
				return task.sendto(fd, this.size(), this.pick([null, this.address()]), this.length(), true);
			case "recv":
				return task.recv(fd, this.size(), true);
			case "close":
				return task.close(fd);
			case "dup":
				return task.dup(fd, this.pick([undefined, undefined, this.fd()]));
			case "dup2":
				return task.dup2(fd, this.fd());
			case "dup3":
				return task.dup3(fd, this.fd(), this.maybe(this.pick([0, 0x80000, 1])));
			case "setNonblock":
				return task.setNonblock(fd, this.maybe(this.pick([true, false])));
			case "fork":
				if (this.tasks.length < 5) this.tasks.push(task.fork(this.pick([true, false])));
				return 0;
			case "exit":
				if (this.tasks.length > 2) task.exit();
				return 0;
			case "execve":
				return task.execve();
			case "unshare":
				return this.kernel.nets.length < 4 ? task.unshareNet() : 0;
			case "setuid":
				return task.setuid(this.maybe(this.pick([0, 1000, -1])));
			case "setresuid":
				return task.setresuid(this.pick([0, -1, 1000]), this.pick([0, -1, 1000]), this.maybe(-1));
			case "advance":
				return this.kernel.advance(this.maybe(this.pick([0, 1, 40, 1000, 60_000, 200_000])));
			case "sysctl": {
				const [name, value] = this.pick(SYSCTLS);
				return task.net.setSysctl(this.maybe(name), this.maybe(value));
			}
			case "address":
				return this.below(2) === 0
					? task.net.addAddress(this.maybe(this.pick(PREFIXES)), this.maybe("lo"))
					: task.net.delAddress(this.maybe(this.pick(PREFIXES)), this.maybe("lo"));
			case "route": {
				const type = this.maybe(
					this.pick(["unicast", "blackhole", "unreachable", "local"] as const),
				);
				const answer = this.maybe(this.pick([undefined, "accept", "refuse"] as const));
				const route = {
					to: this.maybe(this.pick(PREFIXES)),
					dev: "lo",
					type,
					...(answer && { answer }),
				};
				return this.below(2) === 0 ? task.net.addRoute(route) : task.net.delRoute(route);
			}
			case "link":
				return task.net.setLink(this.maybe("lo"), this.maybe(this.below(3) !== 0));
			case "Socket":
				return new Socket(task, fd)
					.bind(this.maybe("127.0.0.1"), this.maybe(this.pick(PORTS)))
					.explain();
		}
	}

	/** Makes one call and checks the kernel. */
	step(): void {
		const live = this.tasks.filter((task) => this.kernel.tasks.has(task));
		const task = this.pick(live);
		this.tasks.splice(0, this.tasks.length, ...live);
		this.explainer.begin();
		try {
			this.call(task);
		} catch (error) {
			const told =
				error instanceof TypeError || error instanceof RangeError
					? /^[a-z_.A-Z]+: expected|^not an? |^ms: /.test(error.message)
					: error instanceof NotModelled || error instanceof SocketError;
			if (!told) throw error;
		}
		this.kernel.verify();
		const unknown = this.explainer.lines.find((line) => line.includes(UNKNOWN));
		if (unknown !== undefined) throw new Error(`a failure without its reason: ${unknown}`);
	}
}

const CALLS_BY_NAME = [
	...new Array<"socket">(8).fill("socket"),
	...new Array<"bind">(8).fill("bind"),
	...new Array<"connect">(6).fill("connect"),
	...new Array<"listen">(4).fill("listen"),
	...new Array<"accept">(4).fill("accept"),
	...new Array<"setsockopt">(6).fill("setsockopt"),
	...new Array<"send">(4).fill("send"),
	...new Array<"close">(4).fill("close"),
	"connectAndWait",
	"connectSleeping",
	"names",
	"getsockopt",
	"shutdown",
	"shutdown",
	"recv",
	"dup",
	"dup2",
	"dup3",
	"setNonblock",
	"fork",
	"exit",
	"execve",
	"unshare",
	"setuid",
	"setresuid",
	"advance",
	"advance",
	"sysctl",
	"address",
	"route",
	"link",
	"Socket",
] as const;

it("verify() passes after every hostile call, and a call that is refused names the argument", {
	timeout: 86_400_000,
}, async () => {
	for (let done = 0, life = 0; done < CALLS; life++) {
		// vitest's worker answers its parent between kernels.
		await new Promise(setImmediate);
		const random = new SeededRandom(SEED * 1_000_003 + life);
		const { name } = VERSIONS[life % VERSIONS.length];
		const hostile = new Hostile(random, name, life);
		for (let i = 0; i < LIFE && done < CALLS; i++, done++) {
			try {
				hostile.step();
			} catch (error) {
				const where = `seed ${SEED}, kernel ${life} (${name}), call ${i}`;
				throw new Error(`${where}: ${error instanceof Error ? error.stack : error}`);
			}
		}
	}
	expect(CALLS).toBeGreaterThan(0);
});
