// SPDX-License-Identifier: GPL-2.0-or-later
/** The port allocator over random programs, against the rules in oracle.ts. */
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import {
	TCP_ESTABLISHED,
	TCP_LISTEN,
	TCP_SYN_SENT,
	TCP_TIME_WAIT,
} from "../../include/net/tcp_states.js";
import {
	CANDIDATE_CONFLICT,
	CANDIDATE_CONFLICT_ANY,
	CANDIDATE_NOT_SHAREABLE,
	CANDIDATE_OK,
	CANDIDATE_RESERVED,
	CANDIDATE_TIME_WAIT,
	CANDIDATE_TUPLE_IN_USE,
	SEARCH_BIND,
	SEARCH_CONNECT,
	SEARCH_UDP,
} from "../../include/trace/events/port_search.js";
import {
	type Address,
	EADDRNOTAVAIL,
	EINPROGRESS,
	Kernel,
	SO_BINDTODEVICE,
	SOL_SOCKET,
} from "../../kernel-model/index.js";
import { asFamily } from "./addresses.js";
import * as checks from "./checks.js";
import { addressesMeet, marksOf, type Protocol, type Sock } from "./oracle.js";
import { BASE, type Options, type Profile, type Program, programs } from "./program.js";
import { always, isDefault } from "./replay.js";
import { boundTo, type Call, type Check, play, type Run } from "./run.js";

/** Most sockets are bound to no device. */
const devices = ["", "lo", "dummy0", "vrf0", "dummy1"] as const;
const common = { devices, length: 100 };
const MIXED: Profile = { ...common, bind: 6, autobind: 3, connect: 4, session: 3, sysctl: 2 };
const BINDING: Profile = { ...common, bind: 10, autobind: 2, connect: 2, session: 2, sysctl: 1 };
const SEARCHING: Profile = { ...common, bind: 3, autobind: 8, connect: 8, session: 3, sysctl: 3 };
const CONNECTING: Profile = { ...common, bind: 2, autobind: 1, connect: 8, session: 8, sysctl: 2 };
const TCP: readonly Protocol[] = ["tcp"];
const UDP: readonly Protocol[] = ["udp"];
/** One port has so many sockets that UDP searches by address. */
const CROWDED: Profile = {
	devices: ["", "lo"],
	length: 160,
	bind: 12,
	autobind: 1,
	connect: 1,
	session: 0,
	sysctl: 0,
	protocols: UDP,
	reuse: [7, 4],
	ports: 1,
	room: 40,
	wildcards: 1,
	opens: 80,
	tasks: 4,
};
/** Sockets of both families on few ports, most of them without options that let them share. */
const DUAL: Profile = {
	...BINDING,
	devices: ["", "", "lo"],
	protocols: ["tcp", "tcp", "udp"],
	families: [4, 6],
	reuse: [1, 2],
	ports: 2,
	mapped: 6,
	opens: 24,
	tasks: 4,
};
/** No option set. */
const PLAIN: Options = {
	protocol: 0,
	family: 0,
	v6only: false,
	reuseaddr: false,
	reuseport: false,
	addressOnly: false,
	freebind: false,
	abort: false,
	device: "",
	range: null,
};
/**
 * Sockets with and without a device do not conflict here, nor sockets of a VRF and its member.
 * Where they do, the kernel allows two equal connections. Another test checks this.
 */
const APART = {
	"in and out of a VRF": ["", "vrf0"],
	"each on its device": ["lo", "dummy0", "vrf0"],
} as const;

/** Plays programs of a profile with a check after every call. */
function holds(seed: number, runs: number, profile: Profile, ...all: Check[]): void {
	always(programs(profile), { seed, runs }, (program) => {
		play(program, all);
	});
}

describe("in random programs", { timeout: 600_000 }, () => {
	it("a chosen port lies in the effective range", () => {
		holds(1, 100, SEARCHING, checks.chosenPortsLieInTheEffectiveRange);
	});
	it("a reserved port is never chosen", () => {
		holds(2, 100, SEARCHING, checks.chosenPortsAreNotReserved);
	});
	for (const [where, devices] of Object.entries(APART)) {
		it(`two connections never share four-tuple and device, ${where}`, () => {
			holds(3, 120, { ...CONNECTING, devices }, checks.connectionsAreUnique);
		});
	}
	it("bind to a port succeeds unless a socket conflicts", () => {
		holds(4, 150, BINDING, checks.bindAgreesWithTheRules);
	});
	it("bind to a port with many UDP sockets succeeds as the rules say", () => {
		holds(19, 60, CROWDED, checks.bindAgreesWithTheRules);
	});
	it("bind to a port with sockets of both families succeeds as the rules say", () => {
		holds(22, 120, DUAL, checks.bindAgreesWithTheRules, checks.listenAgreesWithTheRules);
	});
	it("a search among sockets of both families takes the first acceptable port", () => {
		const autobind = { bind: 6, autobind: 8, connect: 4 };
		holds(23, 100, { ...DUAL, ...autobind }, checks.searchesTakeTheFirstAcceptablePort);
	});
	it("listen checks its port again", () => {
		holds(5, 150, { ...BINDING, protocols: TCP }, checks.listenAgreesWithTheRules);
	});
	it("connect from a bound port succeeds unless its four-tuple is taken", () => {
		holds(6, 150, { ...CONNECTING, protocols: TCP }, checks.connectAgreesWithTheRules);
	});
	it("connect and sendto of a UDP socket without a port choose one, or fail with EAGAIN", () => {
		holds(20, 100, { ...SEARCHING, protocols: UDP }, checks.udpTakesAPortBeforeItSends);
	});
	it("a search takes the first acceptable port of the kernel's order", () => {
		holds(7, 150, SEARCHING, checks.searchesTakeTheFirstAcceptablePort);
	});
	it("a search of UDP takes the first acceptable port of the kernel's order", () => {
		holds(21, 100, { ...SEARCHING, protocols: UDP }, checks.searchesTakeTheFirstAcceptablePort);
	});
	it("a search over time-wait sockets takes the first acceptable port", () => {
		holds(8, 150, { ...CONNECTING, protocols: TCP }, checks.searchesTakeTheFirstAcceptablePort);
	});
	it("a search fails only if no port is acceptable", () => {
		holds(9, 150, SEARCHING, checks.searchesFailOnlyIfNoPortIsAcceptable);
	});
	it("bind takes odd ports and connect even ports as long as there are any", () => {
		holds(10, 100, SEARCHING, checks.parityIsKept);
	});
	it("fastreuse and fastreuseport of a bucket follow from its history", () => {
		holds(11, 150, MIXED, checks.bucketsRememberTheirOwners);
	});
	it("a socket that is dissolved keeps only the address and port that bind named", () => {
		holds(12, 150, MIXED, checks.disconnectingKeepsOnlyWhatBindNamed);
	});
	it("an accepted socket that is dissolved keeps only the address and port that bind named", () => {
		holds(17, 150, CONNECTING, checks.disconnectingKeepsOnlyWhatBindNamed);
	});
	it("a search of connect starts after the start of the last search for its destination", () => {
		always(callers, { seed: 18, runs: 60 }, (program) => {
			play(program, [checks.startsMoveOn()]);
		});
	});
	for (const [where, devices] of Object.entries(APART)) {
		it(`tables are consistent after every call and empty at the end, ${where}`, () => {
			always(programs({ ...MIXED, devices }), { seed: 13, runs: 120 }, (program) => {
				checks.isEmpty(play(program, [checks.kernelVerifies]).kernel);
			});
		});
	}
	it("the same seed gives the same run", () => {
		always(programs(MIXED), { seed: 14, runs: 50 }, (program) => {
			expect(play(program, []).transcript).toEqual(play(program, []).transcript);
		});
	});
});

/** Sockets that connect to two destinations from a wide range, without other sockets. */
const callers: fc.Arbitrary<Program> = fc.record({
	seed: fc.nat(0xffff),
	version: fc.constant("6.3" as const),
	protocols: fc.constant(TCP),
	families: fc.constant([4, 6] as const),
	slots: fc.constant(64),
	udpSlots: fc.constant(256),
	room: fc.constant(14),
	range: fc.integer({ min: 30, max: 2000 }).map((size) => [BASE, BASE + size] as const),
	autobindReuse: fc.constant(false),
	twReuse: fc.constant(2),
	ops: fc.array(
		fc.record({
			op: fc.constant("open" as const),
			task: fc.nat(3),
			options: fc.nat(1).map((family) => ({ ...PLAIN, family })),
			bind: fc.constant(null),
			next: fc.constant("connect" as const),
			backlog: fc.constant(0),
			target: fc.record({
				v4: fc.constant("198.51.100.1"),
				v6: fc.constantFrom("2001:db8:1::1", "2001:db8:1::1", "::ffff:198.51.100.1"),
				port: fc.constantFrom(80, 81),
			}),
		}),
		{ maxLength: 60, size: "max" },
	),
});

/** The first programs of a profile. They are the same in every run. */
function sample(profile: Profile, seed: number): Program[] {
	return fc.sample(programs(profile), { seed, numRuns: 60 });
}

describe("the seed of a program", { timeout: 600_000 }, () => {
	it("changes the result of most programs that search", () => {
		let searching = 0;
		let changed = 0;
		for (const program of sample(SEARCHING, 15)) {
			let searches = 0;
			const count: Check = (_run, { search }) => {
				// One candidate leaves no choice.
				if (search !== null && search.scans[0].remaining > 2) searches++;
			};
			const one = play(program, [count]).transcript;
			if (searches < 3) continue;
			searching++;
			const other = play(program, [], program.seed + 1).transcript;
			if (one.join("\n") !== other.join("\n")) changed++;
		}
		expect(searching).toBeGreaterThan(20);
		expect(changed / searching).toBeGreaterThan(0.8);
	});
});

const KINDS: Readonly<Record<number, string>> = {
	[SEARCH_BIND]: "bind",
	[SEARCH_CONNECT]: "connect",
	[SEARCH_UDP]: "UDP",
};

/** What bind() to a port shows: `me` is the socket as it asked. */
function metAtPort(version: string, me: Sock, { before, bound }: Call): string[] {
	if (bound === null) return [];
	const seen: string[] = [];
	const udp = me.protocol !== "tcp";
	const who = udp ? (bound.fast ? "crowded UDP" : "UDP") : "TCP";
	if (udp) seen.push(`${who} bind is answered ${bound.verdict}`);
	const blocker = before.sockets.find((sock) => sock.sk === bound.blocker);
	if (blocker !== undefined) {
		seen.push(`${who} over IPv${me.family} conflicts with IPv${blocker.family}`);
		if (!addressesMeet(me, blocker)) seen.push(`${who} takes an IPv6 address for an IPv4 one`);
	} else if (udp || !bound.fast) {
		const against = before.sockets.filter(
			(other) =>
				other.protocol === me.protocol &&
				other.net === me.net &&
				other.l3mdev === me.l3mdev &&
				other.port === bound.port &&
				addressesMeet(me, other) &&
				(other.device === 0 || me.device === 0 || other.device === me.device) &&
				!(me.reuseaddr && other.reuseaddr),
		);
		if (against.some((other) => !(me.reuseport && other.reuseport))) {
			const shared = against.some((other) => me.reuseport && other.reuseport);
			seen.push(shared && udp ? "UDP asks the first alone" : `${who} of ${version} misses one`);
		}
	}
	return seen;
}

/** The cases that a call shows, by name. The checks must meet all of them. */
function met({ kernel }: Run, call: Call): string[] {
	const { before, search, bound, tuple, name } = call;
	const seen: string[] = [];
	if (call.name === "bind") {
		const me = boundTo(before.find(call.file.sk), call.address);
		seen.push(...metAtPort(kernel.version, me, call));
	}
	if (search !== null) {
		const kind = KINDS[search.kind];
		seen.push(`${kind} ${search.chosen === 0 ? "finds no port" : "finds a port"}`);
		for (const scan of search.scans) {
			for (const skip of scan.skips) seen.push(`${kind} passes over for ${skip.verdict}`);
			if (scan.relax) seen.push("bind scans again, relaxed");
			if (scan.half === 2) seen.push("bind scans the upper half");
		}
		const { me, moment, chosen } = search;
		const tw = moment.sockets.some(
			(sock) =>
				sock.state === TCP_TIME_WAIT &&
				sock.port === chosen &&
				sock.peerPort === me.peerPort &&
				[sock.address, sock.peer].map((end) => asFamily(end, 4).text).join() ===
					[me.address, me.peer].map((end) => asFamily(end, 4).text).join(),
		);
		if (tw && search.kind === SEARCH_CONNECT && me.l3mdev === 0) {
			seen.push("connect takes over a time-wait socket");
		}
	}
	if (bound !== null && call.name !== "other" && call.file.protocol === "tcp") {
		seen.push(`${name} ${bound.fast ? "passes unseen" : `is answered ${bound.verdict}`}`);
		const blocker = before.sockets.find((sock) => sock.sk === bound.blocker);
		if (blocker !== undefined) seen.push(`${name} conflicts with state ${blocker.state}`);
	}
	if (tuple !== null) seen.push(`bound connect is answered ${tuple.verdict}`);
	const over = tuple?.me ?? (search?.kind === SEARCH_CONNECT ? search.me : undefined);
	if (over !== undefined) seen.push(`IPv${over.family} connects to ${over.peer.kind}`);
	for (const diary of before.diaries.values()) {
		const { fastreuse, fastreuseport } = marksOf(diary);
		seen.push(`marks ${fastreuse}/${fastreuseport}`);
	}
	return seen;
}

/** Sockets of one four-tuple, on lo and on no device: two of them can be in the kernel's table. */
describe("a four-tuple that several sockets hold on different devices", () => {
	const LO = Uint8Array.from([..."lo"].map((c) => c.charCodeAt(0)));

	/** One port to choose, and connections to a listener that end in TIME_WAIT at the client. */
	function world() {
		const kernel = new Kernel();
		const net = kernel.createNet();
		net.addRoute({ to: "default", dev: "lo" });
		net.setSysctl("net.ipv4.ip_local_port_range", `${BASE} ${BASE}`);
		const task = kernel.createTask({ net });
		const server = task.tcp();
		const name = { family: "AF_INET", address: "127.0.0.1", port: 9000 } as const;
		task.bind(server, name);
		task.listen(server, 4);
		const connect = (onLo: boolean, to: Address = name) => {
			const fd = task.tcp();
			if (onLo) task.setsockopt(fd, SOL_SOCKET, SO_BINDTODEVICE, LO);
			return { fd, result: task.connect(fd, to, 16, true) };
		};
		const session = (onLo: boolean) => {
			const { fd, result } = connect(onLo);
			expect(result).toBe(-EINPROGRESS);
			const accepted = task.accept4(server, 0, {}, true);
			expect(accepted).toBeGreaterThan(0);
			task.close(fd);
			task.close(accepted);
		};
		/** Devices of the sockets that hold the clients' four-tuple, by state. */
		const holders = (state: number) => {
			const S = kernel.sock;
			return S.handles()
				.filter((sk) => S.skc_num[sk] === BASE && S.skc_state[sk] === state)
				.map((sk) => S.skc_bound_dev_if[sk])
				.sort();
		};
		return { kernel, connect, session, holders };
	}
	const nobody: Address = { family: "AF_INET", address: "198.51.100.1", port: 80 };

	it("can be taken without a device while a socket on a device holds it, and not the reverse", () => {
		const one = world();
		expect(one.connect(true, nobody).result).toBe(-EINPROGRESS);
		expect(one.connect(false, nobody).result).toBe(-EINPROGRESS);
		expect(one.holders(TCP_SYN_SENT)).toEqual([0, 1]);
		expect(one.connect(true, nobody).result).toBe(-EADDRNOTAVAIL);

		const other = world();
		expect(other.connect(false, nobody).result).toBe(-EINPROGRESS);
		expect(other.connect(true, nobody).result).toBe(-EADDRNOTAVAIL);
	});

	it("is given up only by the time-wait socket that came last", () => {
		const { kernel, connect, session, holders } = world();
		session(true);
		session(false);
		expect(holders(TCP_TIME_WAIT)).toEqual([0, 1]);
		expect(connect(true).result).toBe(-EADDRNOTAVAIL); // not in the same second
		kernel.advance(1000);
		expect(connect(true).result).toBe(-EINPROGRESS);
		// The kernel's search stops at the first match, so two sockets on lo hold it now.
		expect(holders(TCP_TIME_WAIT)).toEqual([1]);
		expect(holders(TCP_ESTABLISHED)).toEqual([1]);
	});
});

describe.skipIf(!isDefault)("the random programs of these tests", { timeout: 600_000 }, () => {
	it("show every case that the checks name", () => {
		const counts = new Map<string, number>();
		const count: Check = (run, call) => {
			for (const what of met(run, call)) counts.set(what, (counts.get(what) ?? 0) + 1);
		};
		for (const profile of [MIXED, BINDING, SEARCHING, CONNECTING]) {
			always(programs({ ...profile, protocols: TCP }), { seed: 16, runs: 100 }, (program) => {
				play(program, [count]);
			});
		}
		const more = [
			{ ...SEARCHING, protocols: UDP },
			{ ...BINDING, protocols: UDP },
			CROWDED,
			CROWDED,
			DUAL,
			DUAL,
		];
		for (const [i, profile] of more.entries()) {
			always(programs(profile), { seed: 16 + i, runs: 60 }, (program) => {
				play(program, [count]);
			});
		}
		const rules = [
			"bind finds a port",
			"bind finds no port",
			"bind scans again, relaxed",
			"bind scans the upper half",
			`bind passes over for ${CANDIDATE_RESERVED}`,
			`bind passes over for ${CANDIDATE_CONFLICT}`,
			`bind passes over for ${CANDIDATE_CONFLICT_ANY}`,
			"connect finds a port",
			"connect finds no port",
			"connect takes over a time-wait socket",
			`connect passes over for ${CANDIDATE_RESERVED}`,
			`connect passes over for ${CANDIDATE_NOT_SHAREABLE}`,
			`connect passes over for ${CANDIDATE_TUPLE_IN_USE}`,
			`connect passes over for ${CANDIDATE_TIME_WAIT}`,
			"bind passes unseen",
			`bind is answered ${CANDIDATE_OK}`,
			`bind is answered ${CANDIDATE_CONFLICT}`,
			`bind is answered ${CANDIDATE_CONFLICT_ANY}`,
			`bind conflicts with state ${TCP_LISTEN}`,
			`bind conflicts with state ${TCP_TIME_WAIT}`,
			"listen passes unseen",
			`listen is answered ${CANDIDATE_OK}`,
			`listen is answered ${CANDIDATE_CONFLICT}`,
			`bound connect is answered ${CANDIDATE_OK}`,
			`bound connect is answered ${CANDIDATE_TUPLE_IN_USE}`,
			"IPv4 connects to IPv4",
			"IPv6 connects to IPv6",
			"IPv6 connects to mapped",
			"UDP finds a port",
			"UDP finds no port",
			`UDP passes over for ${CANDIDATE_RESERVED}`,
			`UDP passes over for ${CANDIDATE_CONFLICT}`,
			...["UDP", "crowded UDP"].flatMap((who) => [
				`${who} bind is answered ${CANDIDATE_OK}`,
				`${who} bind is answered ${CANDIDATE_CONFLICT}`,
			]),
			...["TCP", "UDP", "crowded UDP"].flatMap((who) =>
				[4, 6].flatMap((me) =>
					[4, 6].map((other) => `${who} over IPv${me} conflicts with IPv${other}`),
				),
			),
			...["-1/-1", "-1/0", "-1/2", "0/0", "0/1", "0/2", "1/0", "1/1", "1/2"].map(
				(marks) => `marks ${marks}`,
			),
		];
		expect(rules.filter((rule) => (counts.get(rule) ?? 0) < 5)).toEqual([]);
		// Rare cases, and exceptions. families.test.ts has all of these exceptions.
		const rare = [
			"UDP asks the first alone",
			"TCP takes an IPv6 address for an IPv4 one",
			"UDP takes an IPv6 address for an IPv4 one",
			"TCP of 6.3 misses one",
			"TCP of 6.1.176 misses one",
			"crowded UDP of 6.3 misses one",
		];
		expect(rare.filter((rule) => !counts.has(rule))).toEqual([]);
	});
});
