// SPDX-License-Identifier: GPL-2.0-or-later
/** What a review finds. The model of another version stands in for the kernel. */
import { readFileSync } from "node:fs";
import { describe, expect, it } from "vitest";
import { type Abilities, KINDS, type Kind } from "../../kernel-model/real/campaign/abilities.js";
import { canonical } from "../../kernel-model/real/campaign/canonical.js";
import { crowdPrograms, optionPrograms } from "../../kernel-model/real/campaign/crowds.js";
import { probesOf } from "../../kernel-model/real/campaign/sources.js";
import {
	closed,
	named,
	scriptOf,
	withoutProcess,
	withoutResults,
} from "../../kernel-model/real/campaign/symbols.js";
import { SYSCTLS } from "../../kernel-model/real/campaign/vocabulary.js";
import {
	byWeight,
	CLASSES,
	type Class,
	classOf,
	type Difference,
	type Review,
	review,
} from "../../kernel-model/real/review.js";
import { in4, in6 } from "../text.js";
import { modelKernel } from "./model_kernel.js";

const TCP = "socket(AF_INET, SOCK_STREAM, IPPROTO_TCP)";
const set = (fd: number, option: string) => `setsockopt(${fd}, SOL_SOCKET, ${option}, [1], 4)`;

/** The results of a script in which every socket() and fork() succeeds. */
function sockets(script: readonly string[]): Map<number, number> {
	const next = new Map<string, number>();
	const results = new Map<number, number>();
	for (const [at, line] of script.entries()) {
		const pid = /^[0-9]+/.exec(line)?.[0] ?? "";
		if (!/socket\(|accept4?\(|dup\(/.test(line)) continue;
		const fd = next.get(pid) ?? 3;
		next.set(pid, fd + 1);
		results.set(at, fd);
	}
	return results;
}

const formOf = (...script: string[]) => canonical(named(script, sockets(script)));

describe("the form of a script", () => {
	const plain = [TCP, set(3, "SO_REUSEADDR"), set(3, "SO_REUSEPORT"), `bind(3, ${in4(5000)}, 16)`];

	it("does not depend on the order of options, ports, addresses and protocol numbers", () => {
		const other = [
			"socket(AF_INET, SOCK_STREAM|SOCK_NONBLOCK, IPPROTO_IP)",
			set(3, "SO_REUSEPORT"),
			set(3, "SO_REUSEADDR"),
			`bind(3, ${in4(40001, "127.0.0.9")}, 16)`,
		];
		expect(formOf(...other)).toBe(formOf(...plain));
	});

	it("does not depend on when sockets are made", () => {
		const bind = (fd: number) => `bind(${fd}, ${in4(5000)}, 16)`;
		const late = [TCP, bind(3), TCP, set(4, "SO_REUSEADDR"), bind(4)];
		const early = [TCP, TCP, set(3, "SO_REUSEADDR"), bind(4), bind(3)];
		expect(formOf(...early)).toBe(formOf(...late));
	});

	it("tells a wildcard, a mapped address, a privileged port and an option from others", () => {
		const bind = (address: string, port = 5000) =>
			formOf("socket(AF_INET6, SOCK_STREAM, IPPROTO_TCP)", `bind(3, ${in6(port, address)}, 28)`);
		const forms = [
			bind("::"),
			bind("::1"),
			bind("::ffff:127.0.0.1"),
			bind("::1", 81),
			bind("::1", 0),
		];
		expect(new Set(forms).size).toBe(forms.length);
		expect(formOf(TCP, `bind(3, ${in4(5000)}, 16)`)).not.toBe(formOf(...plain));
	});

	it("tells two sockets on one port from two on different ports", () => {
		const two = (port: number) =>
			formOf(TCP, `bind(3, ${in4(5000)}, 16)`, TCP, `bind(4, ${in4(port)}, 16)`);
		expect(two(5000)).not.toBe(two(5001));
		expect(two(5001)).toBe(two(6000));
	});
});

describe("a script with named descriptors", () => {
	const script = [TCP, TCP, `bind(4, ${in4("port_of(3)")}, 16)`, "listen(3, 1)"];

	it("becomes the same script again", () => {
		expect(scriptOf(named(script, sockets(script)))).toEqual(script);
	});

	it("loses the lines that need a socket with the socket, and numbers the others anew", () => {
		const lines = named(script, sockets(script));
		expect(scriptOf(closed(lines.slice(1)))).toEqual([TCP]);
		expect(scriptOf(closed(lines.filter((_, i) => i !== 1)))).toEqual([TCP, "listen(3, 1)"]);
	});

	it("loses a process, whose parent makes its calls", () => {
		const forked = [TCP, "fork() = 100", "100 setuid(1000)", `100 bind(3, ${in4(5000)}, 16)`];
		const lines = withoutProcess(named(forked, sockets(forked)), 100);
		expect(scriptOf(lines)).toEqual([TCP, `bind(3, ${in4(5000)}, 16)`]);
	});
});

describe("differences", () => {
	const lines = (script: string[]) => named(script, sockets(script));
	const bind = `bind(3, ${in4(5000)}, 16)`;

	it("matter most if a call is allowed that was refused, above all between two users", () => {
		const answers = { call: "bind", kernel: "ok", model: "EADDRINUSE" };
		const users = ["fork() = 100", TCP, bind, "100 setuid(1000)", `100 ${TCP}`, `100 ${bind}`];
		const one: Class[] = [
			classOf(lines(users), answers),
			classOf(lines([TCP, bind]), answers),
			classOf(lines(users), { call: "bind", kernel: "EADDRINUSE", model: "ok" }),
			classOf(lines(users), { call: "bind", kernel: "EACCES", model: "EADDRINUSE" }),
			classOf(lines(users), { call: "bind", kernel: "the kernel chose port N", model: "ok" }),
			classOf(lines(users), { call: "bind", kernel: "other draws", model: "ok" }),
		];
		expect(one).toEqual([...CLASSES]);
	});

	it("of ports come first, in the order of their class, then of how often they were seen", () => {
		const found = (what: Class, cases: number, call = "bind") =>
			({ class: what, cases, call, script: [] }) as never;
		const all: Difference[] = [
			found("another error", 9),
			found("refused, was allowed", 5, "getsockopt"),
			found("refused, was allowed", 1),
			found("allowed, was refused", 1),
			found("refused, was allowed", 3),
		];
		expect(all.sort(byWeight).map((one) => `${one.class} ${one.cases}`)).toEqual([
			"allowed, was refused 1",
			"refused, was allowed 3",
			"refused, was allowed 1",
			"another error 9",
			"refused, was allowed 5",
		]);
	});
});

function ableOf(version: string): Abilities {
	const kinds: Kind[] = ["tcp", "udp", "mptcp"];
	return { version, kinds, users: 65_535, vrf: true, sysctls: Object.keys(SYSCTLS) };
}

const example = (change: string) => {
	const file = new URL(`../examples/changes/${change}.strace`, import.meta.url);
	return withoutResults(readFileSync(file, "utf8"));
};

/** Reviews the model of a version against another. */
function compare(base: string, kernel: string, programs: readonly (readonly string[])[]) {
	return review({ ask: modelKernel(kernel), base, programs, operations: 100_000 });
}

const shown = ({ differences }: Review) =>
	differences.map((one) => `${one.class}: ${one.call}, ${one.at} ${one.file}`);

describe("a review", () => {
	it("of the base itself finds no difference", async () => {
		const crowds = crowdPrograms(ableOf("6.12"), 1);
		const programs = Array.from({ length: 10 }, () => crowds.next().value as string[]);
		const done = await compare("6.12", "6.12", [...programs, ...optionPrograms(ableOf("6.12"))]);
		expect(done.differences).toEqual([]);
		expect(done.programs).toBe(16);
		expect(done.operations).toBeGreaterThan(300);
	});

	it("goes on after a difference: two causes of one program are both found, with their functions", async () => {
		const socket = "socket(AF_INET, SOCK_STREAM, IPPROTO_MPTCP)";
		const both = [
			...example("fastreuse-recomputed"),
			socket,
			"setsockopt(7, SOL_IP, IP_FREEBIND, [1], 4)",
			"getsockopt(7, SOL_IP, IP_FREEBIND)",
		];
		const done = await compare("6.12", "6.18", [both]);
		expect(shown(done)).toEqual([
			"allowed, was refused: connect, __inet_hash_connect net/ipv4/inet_hashtables.ts",
			"allowed, was refused: getsockopt, mptcp_getsockopt_v4 net/mptcp/sockopt.ts",
		]);
		expect(done.differences[1].script).toEqual([socket, "getsockopt(3, SOL_IP, IP_FREEBIND)"]);
		expect(done.differing).toBe(1);
	});

	it("groups the same smallest script under other names", async () => {
		const [first, second] = [5000, 6000].map((port) => {
			const crowd = Array.from({ length: 11 }, (_, i) => [
				"socket(AF_INET, SOCK_DGRAM, IPPROTO_UDP)",
				...(i === 4 && port === 6000 ? [set(i + 3, "SO_REUSEADDR")] : []),
				`bind(${i + 3}, ${in4(port, `127.0.0.${i + 2}`)}, 16)`,
			]);
			return [
				...crowd.flat(),
				"socket(AF_INET, SOCK_DGRAM, IPPROTO_UDP)",
				`bind(14, ${in4(port, "0.0.0.0")}, 16)`,
			];
		});
		const done = await compare("6.18", "6.18.44", [first, second]);
		expect(shown(done)).toEqual(["refused, was allowed: bind, udp_lib_get_port net/ipv4/udp.ts"]);
		expect(done.differences[0]).toMatchObject({ cases: 2, others: [], again: true, least: true });
		expect(done.differences[0].script).toHaveLength(24);
	});

	it("finds the sockets and sysctls that only one of the two has", async () => {
		const kinds = Object.keys(KINDS).filter((kind) => kind === "udplite" || kind === "tcp");
		const probes = probesOf(kinds as Kind[], Object.keys(SYSCTLS));
		expect(shown(await compare("7.0", "7.1", probes))).toEqual([
			"allowed, was refused: write, the sysctl net.ipv4.ip_local_port_step_width net/ipv4/sysctl_net_ipv4.ts",
			"refused, was allowed: socket, inet_create of IPPROTO_UDPLITE net/ipv4/af_inet.ts",
		]);
	});

	it("ends when it is interrupted, and says where to go on", async () => {
		let plays = 0;
		const programs = Array.from({ length: 10 }, () => [TCP]);
		const ask = modelKernel("6.12");
		const done = await review({
			ask: (script) => {
				plays++;
				return ask(script);
			},
			base: "6.12",
			programs,
			operations: 100,
			from: 2,
			stopped: () => plays >= 3,
		});
		expect(done).toMatchObject({ programs: 2, next: 4, operations: 2 });
	});
});
