// SPDX-License-Identifier: GPL-2.0-or-later
/**
 * Changes that give programs the same answers: how bind buckets hold their sockets, and at which
 * ports connect() looks with the lock of the bucket and without it.
 */
import { describe, expect, it } from "vitest";
import { noTrace } from "../../include/trace/events/port_search.js";
import {
	AF_INET,
	AF_INET6,
	IPPROTO_TCP,
	Kernel,
	SO_REUSEADDR,
	SOCK_STREAM,
	SOL_SOCKET,
	type Task,
} from "../../kernel-model/index.js";
import { bindBucketFind, bindBucketOwners } from "../../net/ipv4/inet_hashtables.js";

const BEFORE_LINK = ["6.1.176", "6.3", "6.6"];
const SINCE_LINK = ["6.8", "6.12", "7.3"];
const BEFORE_RCU = ["6.1.176", "6.3", "6.14"];
const SINCE_RCU = ["6.15", "6.18.44", "7.3"];
const SERVER = 50_000;

const v4 = (port: number, address = "127.0.0.1") => ({ family: "AF_INET", address, port }) as const;
const v6 = (port: number, address = "::1") => ({ family: "AF_INET6", address, port }) as const;

function boot(version: string) {
	const k = new Kernel({ version, tables: { bhash: 256, ehash: 256, lhash2: 64, udp: 256 } });
	const net = k.createNet();
	const task = k.createTask({ net });
	net.setSysctl("net.ipv4.tcp_tw_reuse", "0");
	const listener = task.socket(AF_INET6, SOCK_STREAM, IPPROTO_TCP);
	expect(task.bind(listener, v6(SERVER, "::"))).toBe(0);
	expect(task.listen(listener, 100)).toBe(0);
	return { k, net, task, listener };
}

type World = ReturnType<typeof boot>;

const sockOf = ({ k, task }: World, fd: number) => k.socket.sk[task.socketOf(fd)];

function opened(task: Task, family: number): number {
	const fd = task.socket(family, SOCK_STREAM, IPPROTO_TCP);
	expect(task.setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, 1)).toBe(0);
	return fd;
}

/** The owners of a port, in the order of the kernel's loops. */
function owners({ k, net }: World, port: number): number[] {
	const tb = bindBucketFind(k.tcp_hashinfo, net.net, port, 0);
	return tb === 0 ? [] : bindBucketOwners(k, k.tcp_hashinfo, tb);
}

describe("a bind bucket", () => {
	/** Four sockets of one port on two addresses, in turn: the owners are told by their number. */
	const four = (world: World): number[] => {
		const fds = [1, 2, 1, 2].map((last) => {
			const fd = opened(world.task, AF_INET);
			expect(world.task.bind(fd, v4(4000, `127.0.0.${last}`))).toBe(0);
			return fd;
		});
		const socks = fds.map((fd) => sockOf(world, fd));
		return owners(world, 4000).map((sk) => socks.indexOf(sk));
	};

	it("has its sockets in the order of bind(), the last one first, before 6.8", () => {
		for (const version of BEFORE_LINK)
			expect([version, four(boot(version))]).toEqual([version, [3, 2, 1, 0]]);
	});

	it("has them address by address, the last new address first, since 6.8", () => {
		for (const version of SINCE_LINK)
			expect([version, four(boot(version))]).toEqual([version, [3, 1, 2, 0]]);
	});

	it("holds one bind2 bucket for each address since 6.8, none before", () => {
		for (const version of [...BEFORE_LINK, ...SINCE_LINK]) {
			const world = boot(version);
			four(world);
			const { bind_bucket_cachep: T, bind2_bucket_cachep: T2 } = world.k.tcp_hashinfo;
			let held = 0;
			let tb2 = T.bhash2[bindBucketFind(world.k.tcp_hashinfo, world.net.net, 4000, 0)];
			for (; tb2 !== 0; tb2 = T2.bhash_node_next[tb2]) held++;
			expect([version, held]).toEqual([version, SINCE_LINK.includes(version) ? 2 : 0]);
		}
	});

	it("has a time-wait socket among the owners of its bind2 bucket since 6.8, in a deathrow before", () => {
		for (const version of [...BEFORE_LINK, ...SINCE_LINK]) {
			const world = boot(version);
			const { k, net, task, listener } = world;
			const fd = opened(task, AF_INET);
			expect(task.bind(fd, v4(4000))).toBe(0);
			expect(task.connect(fd, v4(SERVER))).toBe(0);
			const child = task.accept(listener);
			task.close(fd);
			task.close(child);
			const T2 = k.tcp_hashinfo.bind2_bucket_cachep;
			const [tw] = owners(world, 4000);
			const tb2 = k.sock.icsk_bind2_hash[tw];
			const lists = [T2.owners[tb2], T2.deathrow[tb2]];
			expect([version, lists]).toEqual([version, SINCE_LINK.includes(version) ? [tw, 0] : [0, tw]]);
			k.verify();
			k.advance(61_000);
			expect(owners({ ...world, k, net }, 4000)).toEqual([]);
			k.verify();
		}
	});
});

describe("connect()'s search", () => {
	/** The looks of a connect() at the ports of a range that is searched from below. */
	const looks = (
		world: World,
		range: string,
		to: ReturnType<typeof v4> | ReturnType<typeof v6>,
	) => {
		const { k, net, task } = world;
		net.setSysctl("net.ipv4.ip_local_port_range", range);
		const found: [port: number, locked: boolean][] = [];
		k.trace = { ...noTrace, look: (port, locked) => found.push([port, locked]) };
		const fd = task.socket(to.family === "AF_INET" ? AF_INET : AF_INET6, SOCK_STREAM, IPPROTO_TCP);
		const result = task.connect(fd, to);
		k.trace = noTrace;
		return { result, found };
	};

	for (const to of [v4(SERVER), v6(SERVER)]) {
		const { family } = to;
		it(`looks at a free port without the lock of its bucket, then with it, since 6.15 (${family})`, () => {
			for (const version of SINCE_RCU) {
				expect([version, looks(boot(version), "40000 40000", to)]).toEqual([
					version,
					{
						result: 0,
						found: [
							[40000, false],
							[40000, true],
						],
					},
				]);
			}
		});

		it(`looks at a free port with the lock only, before 6.15 (${family})`, () => {
			for (const version of BEFORE_RCU) {
				expect([version, looks(boot(version), "40000 40000", to)]).toEqual([
					version,
					{ result: 0, found: [[40000, true]] },
				]);
			}
		});

		it(`takes no lock for a port whose four-tuple is in use, or that bind() chose, since 6.15 (${family})`, () => {
			for (const version of [...BEFORE_RCU, ...SINCE_RCU]) {
				const locked = BEFORE_RCU.includes(version);
				const world = boot(version);
				const { task } = world;
				const bound = task.socket(AF_INET, SOCK_STREAM, IPPROTO_TCP);
				expect(task.bind(bound, v4(40001))).toBe(0);
				expect(looks(world, "40000 40000", to).result).toBe(0);
				for (const port of [40000, 40001]) {
					expect([version, looks(world, `${port} ${port}`, to)]).toEqual([
						version,
						{ result: -99, found: [[port, locked]] },
					]);
				}
			}
		});

		it(`leaves a time-wait socket to the look with the lock (${family})`, () => {
			for (const version of [...BEFORE_RCU, ...SINCE_RCU]) {
				const world = boot(version);
				const { net, task, listener } = world;
				net.setSysctl("net.ipv4.ip_local_port_range", "40000 40000");
				const fd = task.socket(
					to.family === "AF_INET" ? AF_INET : AF_INET6,
					SOCK_STREAM,
					IPPROTO_TCP,
				);
				expect(task.connect(fd, to)).toBe(0);
				const child = task.accept(listener);
				task.close(fd);
				task.close(child);
				const expected = BEFORE_RCU.includes(version)
					? [[40000, true]]
					: [
							[40000, false],
							[40000, true],
						];
				expect([version, looks(world, "40000 40000", to)]).toEqual([
					version,
					{ result: -99, found: expected },
				]);
			}
		});
	}

	it("takes a reserved port for no look at all", () => {
		for (const version of [...BEFORE_RCU, ...SINCE_RCU]) {
			const world = boot(version);
			world.net.setSysctl("net.ipv4.ip_local_reserved_ports", "40000");
			expect(looks(world, "40000 40000", v4(SERVER))).toEqual({ result: -99, found: [] });
		}
	});
});
