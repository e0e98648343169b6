// SPDX-License-Identifier: GPL-2.0-or-later
/** Laws about the choice of ports: on answers made up by hand, and on the model. */
import { describe, expect, it } from "vitest";
import { EADDRINUSE, EADDRNOTAVAIL } from "../../include/uapi/asm-generic/errno.js";
import { playScript, readScript } from "../../kernel-model/check/player.js";
import { Answers, NONE } from "../../kernel-model/laws/answers.js";
import {
	type Bound,
	type Kind,
	PLAIN,
	placeOf,
	type Step,
	V4_ANY,
} from "../../kernel-model/laws/kinds.js";
import { LISTEN_FAILED } from "../../kernel-model/laws/lab.js";
import { type Breach, Program } from "../../kernel-model/laws/law.js";
import { SEARCH_LAWS } from "../../kernel-model/laws/laws.js";
import { KINDS, type Protocol } from "../../kernel-model/laws/protocols.js";
import { searchBoundsOf } from "../../kernel-model/laws/search_bounds.js";
import { SearchScript } from "../../kernel-model/laws/search_script.js";
import {
	CHOSEN,
	candidates,
	named,
	range,
	SEARCH_HOST,
	type Search,
	search,
	startsOf,
} from "../../kernel-model/laws/searches.js";
import { left } from "../text.js";

const TWO = range(0, 1);

function kindOf(search: Search, more: Partial<Kind> = {}): Kind {
	return {
		...PLAIN,
		place: placeOf("127.0.0.1"),
		...more,
		search,
	};
}

const opens = (search: Search, more: Partial<Kind> = {}): Step => ({
	do: "bind",
	kind: kindOf(search, more),
});

/** Answers made up by hand. */
class Made extends Answers {
	private readonly known = new Map<string, number>();

	constructor(protocol: Protocol, steps: readonly Step[]) {
		super("6.18.44", protocol, { name: "made", programs: "", depth: 1, searches: true, steps });
	}

	says(program: readonly Step[], answer: number): readonly number[] {
		const numbers = program.map((step) => this.find(step));
		this.known.set(numbers.join(), answer);
		return numbers;
	}

	override answer(program: ArrayLike<number>): number {
		return this.known.get(Array.from(program).join()) ?? NONE;
	}
}

/**
 * What a law says of the last program of a table. Each program is a list of steps and the answer of
 * the last one.
 */
function judged(
	id: string,
	table: readonly (readonly [program: readonly Step[], answer: number])[],
	protocol: Protocol = "tcp",
): Breach | null {
	const made = new Made(protocol, [...new Set(table.flatMap(([program]) => program))]);
	let last: readonly number[] = [];
	let answer = NONE;
	for (const [program, says] of table) {
		last = made.says(program, says);
		answer = says;
	}
	const law = SEARCH_LAWS.find((law) => law.id === id);
	if (law === undefined) throw new Error(`no law ${id}`);
	return law.judge(new Program(made, last, answer));
}

/**
 * How many programs of a bound break each law, on the model. Those for which `odd` is true are
 * counted apart. `plain` leaves out steps with options and with the wildcard.
 */
function explored(
	version: string,
	protocol: Protocol,
	name: string,
	odd: (program: Program) => boolean = () => false,
	plain = false,
): Record<string, number> {
	const bound = searchBoundsOf(protocol, 1).find((bound: Bound) => bound.name === name);
	if (bound === undefined) throw new Error(`no bound ${name}`);
	const steps = bound.steps.filter(
		(step) =>
			!plain ||
			step.do !== "bind" ||
			(!step.kind.reuse && step.kind.place !== V4_ANY && step.kind.search?.to !== 1),
	);
	const answers = new Answers(version, protocol, { ...bound, steps });
	answers.explore();
	const found: Record<string, number> = {};
	answers.forEach((steps, answer) => {
		const program = new Program(answers, steps.slice(), answer);
		for (const law of SEARCH_LAWS) {
			if (law.judge(program) === null) continue;
			const key = odd(program) ? `${law.id}, odd` : law.id;
			found[key] = (found[key] ?? 0) + 1;
		}
	});
	return found;
}

const hold0 = opens(named(0));
const hold1 = opens(named(1));
const zero = opens(search("zero", null, TWO));

describe("ranges", () => {
	it("a bound of the socket counts if it lies between those of the namespace", () => {
		expect(candidates(range(0, 3))).toEqual([0, 1, 2, 3]);
		expect(candidates(range(0, 3, { own: [1, 2] }))).toEqual([1, 2]);
		expect(candidates(range(0, 1, { own: [1, 7] }))).toEqual([1]);
		expect(candidates(range(1, 2, { own: [4, 7] }))).toEqual([1, 2]);
		expect(candidates(range(0, 3, { reserved: [1] }))).toEqual([0, 2, 3]);
		expect(startsOf(range(0, 3, { reserved: [1] }))).toBe(4);
	});

	it("a search begins where its start says", () => {
		for (const protocol of ["tcp", "udp", "sctp"] as const) {
			const steps = [0, 1, 2, 3].flatMap((start) => [
				opens(search("zero", null, range(0, 3), start)),
				...(protocol === "sctp" ? [] : [opens(search("late", 0, range(0, 3), start))]),
			]);
			const bound: Bound = { name: "starts", programs: "", depth: 1, searches: true, steps };
			const answers = new Answers("6.18.44", protocol, bound);
			answers.explore();
			const places = steps.map((_, number) => answers.answer([number]) - CHOSEN);
			expect(new Set(places)).toEqual(new Set([0, 1, 2, 3]));
		}
	});
});

describe("found: bind() to port 0 gets a port if bind() to one of the range would", () => {
	const plain = opens(named(1));
	it("finds a search that fails beside a free port", () => {
		const table = [
			[[hold0], 0],
			[[hold0, plain], 0],
			[[hold0, zero], EADDRINUSE],
		] as const;
		expect(judged("found", table)).toMatchObject({ expected: "success" });
	});

	it("shows beside it the search in the range of the free port alone", () => {
		const narrow = opens(search("zero", null, range(1, 1)));
		const table = [
			[[hold0], 0],
			[[hold0, plain], 0],
			[[hold0, narrow], CHOSEN + 1],
			[[hold0, zero], EADDRINUSE],
		] as const;
		expect(judged("found", table)?.beside).toEqual([0, 2]);
	});

	it("finds a port that bind() would refuse", () => {
		const table = [
			[[hold0], 0],
			[[hold0, hold0], EADDRINUSE],
			[[hold0, zero], CHOSEN],
		] as const;
		expect(judged("found", table)).toMatchObject({ expected: "another port, or failure" });
	});

	it("says nothing of a port that only SO_REUSEADDR lets the socket share", () => {
		const reuse = { reuse: true };
		const holder = opens(named(0), reuse);
		const one = range(0, 0);
		const asker = opens(search("zero", null, one), reuse);
		const table = [
			[[holder], 0],
			[[holder, holder], 0],
			[[holder, hold0], EADDRINUSE],
			[[holder, asker], EADDRINUSE],
		] as const;
		expect(judged("found", table)).toBeNull();
		const shares = opens(search("zero", null, range(0, 0, { shares: true })), reuse);
		const other = [...table.slice(0, 3), [[holder, shares], EADDRINUSE]] as const;
		expect(judged("found", other)).toMatchObject({ expected: "success" });
	});
});

describe("unshared: a port that bind() chooses is shared with no other socket", () => {
	it("finds a port that the socket has only because of SO_REUSEADDR", () => {
		const reuse = { reuse: true };
		const holder = opens(named(0), reuse);
		const asker = opens(search("zero", null, TWO), reuse);
		const table = [
			[[holder], 0],
			[[holder, hold0], EADDRINUSE],
			[[holder, asker], CHOSEN],
		] as const;
		expect(judged("unshared", table)).toMatchObject({ expected: "another port, or failure" });
		expect(judged("unshared", [...table, [[holder, asker], CHOSEN + 1]])).toBeNull();
	});
});

describe("tuple: connect() gets a port unless each is bound or connected to the destination", () => {
	const one = range(0, 0);
	const to = (destination: number) => opens(search("late", destination, one));
	it("finds a connect() that fails beside a connection to another destination", () => {
		const table = [
			[[to(1)], CHOSEN],
			[[to(0)], CHOSEN],
			[[to(1), to(0)], EADDRNOTAVAIL],
		] as const;
		expect(judged("tuple", table)).toMatchObject({
			expected: "success with the port at place 0",
		});
	});

	it("says nothing if the port is connected to the destination, or bound", () => {
		const twice = [
			[[to(0)], CHOSEN],
			[[to(0), to(0)], EADDRNOTAVAIL],
		] as const;
		expect(judged("tuple", twice)).toBeNull();
		const beside = [
			[[hold0], 0],
			[[hold0, to(0)], EADDRNOTAVAIL],
		] as const;
		expect(judged("tuple", beside)).toBeNull();
	});

	it("counts a port as free once the socket that bound it is closed", () => {
		const close: Step = { do: "act", action: "close", socket: 0 };
		const table = [
			[[to(0)], CHOSEN],
			[[hold0], 0],
			[[hold0, close], 0],
			[[hold0, close, to(0)], EADDRNOTAVAIL],
		] as const;
		expect(judged("tuple", table)).not.toBeNull();
	});
});

describe("late: where bind() to port 0 and connect() succeed, the late choice succeeds", () => {
	it("finds a late choice that fails alone", () => {
		const late = opens(search("late", 0, TWO));
		const early = opens(search("zero", 0, TWO, 1));
		const table = [
			[[hold0], 0],
			[[hold0, early], CHOSEN + 1],
			[[hold0, late], EADDRNOTAVAIL],
		] as const;
		expect(judged("late", table)).toMatchObject({ expected: "success" });
		const both = [
			[[hold0], 0],
			[[hold0, early], EADDRINUSE],
			[[hold0, late], EADDRNOTAVAIL],
		] as const;
		expect(judged("late", both)).toBeNull();
	});

	it("finds a chosen port with which connect() fails", () => {
		const early = opens(search("zero", 0, TWO));
		expect(judged("late", [[[early], EADDRNOTAVAIL]])).not.toBeNull();
		expect(judged("late", [[[early], LISTEN_FAILED + EADDRNOTAVAIL]])).not.toBeNull();
	});
});

describe("within: a port that the kernel chooses is in the range and not reserved", () => {
	it("finds a port outside the range and a reserved one", () => {
		const asker = opens(search("zero", null, range(0, 2, { reserved: [1] })));
		expect(judged("within", [[[asker], CHOSEN + 3]])).toMatchObject({
			expected: "a place among 0, 2",
		});
		expect(judged("within", [[[asker], CHOSEN + 1]])).not.toBeNull();
		expect(judged("within", [[[asker], CHOSEN + 2]])).toBeNull();
	});
});

describe("wider: a search does not fail in a range if it succeeds in a part of it", () => {
	it("finds a search that a wider range makes fail", () => {
		const narrow = opens(search("zero", null, range(1, 1)));
		const apart = opens(search("zero", null, range(5, 5)));
		const table = [
			[[hold0], 0],
			[[hold0, narrow], CHOSEN + 1],
			[[hold0, zero], EADDRINUSE],
		] as const;
		expect(judged("wider", table)).toMatchObject({ expected: "success" });
		const other = [
			[[hold0], 0],
			[[hold0, apart], CHOSEN + 5],
			[[hold0, zero], EADDRINUSE],
		] as const;
		expect(judged("wider", other)).toBeNull();
	});
});

describe("start: whether a search finds a port does not depend on where it begins", () => {
	it("finds a search that fails from one start alone", () => {
		const table = [
			[[hold0], 0],
			[[hold0, opens(search("zero", null, TWO, 1))], CHOSEN + 1],
			[[hold0, zero], EADDRINUSE],
		] as const;
		expect(judged("start", table)).toMatchObject({ expected: "success" });
	});
});

describe("whichever: later calls go the same way, whichever port was chosen", () => {
	const other = opens(search("zero", null, TWO, 1));
	const listen: Step = { do: "act", action: "listen", socket: 0 };
	it("finds a call that fails after one choice and succeeds after the other", () => {
		const table = [
			[[other], CHOSEN + 1],
			[[other, listen], 0],
			[[zero], CHOSEN],
			[[zero, listen], EADDRINUSE],
		] as const;
		expect(judged("whichever", table)).toMatchObject({ expected: "success" });
	});

	it("does not compare the ports themselves, and says nothing if a call names a port", () => {
		const table = [
			[[other], CHOSEN + 1],
			[[other, zero], CHOSEN],
			[[zero], CHOSEN],
			[[zero, zero], CHOSEN + 1],
		] as const;
		expect(judged("whichever", table)).toBeNull();
		const names = [
			[[other], CHOSEN + 1],
			[[other, hold1], EADDRINUSE],
			[[zero], CHOSEN],
			[[zero, hold1], 0],
		] as const;
		expect(judged("whichever", names)).toBeNull();
	});
});

describe("twins: no two connected sockets that share a device have the same four-tuple", () => {
	const one = range(0, 0);
	const connected = opens(search("connect", 0, one), { place: V4_ANY });
	const late = opens(search("late", 0, one));
	it("finds a second connection with the same addresses and ports", () => {
		const table = [
			[[connected], CHOSEN],
			[[connected, late], CHOSEN],
		] as const;
		expect(judged("twins", table)).not.toBeNull();
		expect(judged("twins", table, "udp")).toBeNull();
	});

	it("shows beside it the program in which the other socket has the same device", () => {
		const other = opens(search("connect", 0, one), { place: V4_ANY, device: true });
		const table = [
			[[connected], CHOSEN],
			[[connected, late], EADDRNOTAVAIL],
			[[other], CHOSEN],
			[[other, late], CHOSEN],
		] as const;
		const made = judged("twins", table);
		expect(made?.beside).toEqual([0, 1]);
	});

	it("says nothing of another port, another destination, or a connection that was dissolved", () => {
		const far = opens(search("late", 1, one));
		const dissolve: Step = { do: "act", action: "disconnect", socket: 0 };
		expect(
			judged("twins", [
				[[connected], CHOSEN],
				[[connected, late], CHOSEN + 1],
			]),
		).toBeNull();
		expect(
			judged("twins", [
				[[connected], CHOSEN],
				[[connected, far], CHOSEN],
			]),
		).toBeNull();
		const table = [
			[[connected], CHOSEN],
			[[connected, dissolve], 0],
			[[connected, dissolve, late], CHOSEN],
		] as const;
		expect(judged("twins", table)).toBeNull();
	});
});

describe("as a script", () => {
	const lines = (step: Step, answer: number, script = new SearchScript("tcp", false)) => {
		if (step.do !== "bind" || step.kind.search === undefined) return [];
		const { settings, calls } = script.lines(step.kind, step.kind.search, 3, answer);
		return [...settings.map((command) => `$ ${command}`), ...calls];
	};
	const one = 'sin_port=htons(0), sin_addr=inet_addr("127.0.0.1")}, 16)';

	it("a search that found a port has a range of this port alone", () => {
		expect(lines(zero, CHOSEN + 1)).toEqual([
			'$ sysctl -w net.ipv4.ip_local_port_range="5001 5001"',
			`bind(3, {sa_family=AF_INET, ${one} = 0`,
		]);
	});

	it("a search that found none has its range and the reserved ports, which the next one clears", () => {
		const asker = opens(search("zero", null, range(0, 2, { reserved: [1], own: [1, 2] })));
		const script = new SearchScript("tcp", false);
		expect(lines(asker, EADDRINUSE, script)).toEqual([
			'$ sysctl -w net.ipv4.ip_local_port_range="5000 5002"',
			'$ sysctl -w net.ipv4.ip_local_reserved_ports="5001"',
			`setsockopt(3, SOL_IP, IP_LOCAL_PORT_RANGE, [${(5002 << 16) | 5001}], 4) = 0`,
			`bind(3, {sa_family=AF_INET, ${one} = -1 EADDRINUSE`,
		]);
		expect(lines(zero, CHOSEN, script)[1]).toBe('$ sysctl -w net.ipv4.ip_local_reserved_ports=""');
	});

	it.each([
		["tcp", "7.3", "searches"],
		["tcp", "6.8", "listeners"],
		["tcp", "6.1.176", "ranges"],
		["tcp", "7.3", "ranges"],
		["udp", "6.12", "searches"],
		["sctp", "6.12", "ranges"],
	] as const)(
		"%s of %s, %s: a program gives the answers of its table",
		(protocol, version, name) => {
			const bound = searchBoundsOf(protocol, 1).find((bound) => bound.name === name);
			if (bound === undefined) throw new Error(`no bound ${name}`);
			const answers = new Answers(version, protocol, { ...bound, depth: 2 });
			answers.explore();
			let n = 0;
			answers.forEach((steps) => {
				if (n++ % 37 !== 0) return;
				const script = new SearchScript(protocol, version === "7.3");
				const text = SEARCH_HOST.map((command) => `$ ${command}`);
				for (const [i, number] of steps.entries()) {
					const step = answers.steps[number];
					if (step?.do !== "bind" || step.kind.search === undefined) continue;
					const { place, reuse } = step.kind;
					const { words } = KINDS[protocol];
					const fd = i + 3;
					text.push(`socket(${place.family}, ${words.replace(",", "|SOCK_NONBLOCK,")}) = ${fd}`);
					if (place.v6only) text.push(`setsockopt(${fd}, SOL_IPV6, IPV6_V6ONLY, [1], 4) = 0`);
					if (reuse) text.push(`setsockopt(${fd}, SOL_SOCKET, SO_REUSEADDR, [1], 4) = 0`);
					const answer = answers.answer(steps.slice(0, i + 1));
					const { settings, calls } = script.lines(step.kind, step.kind.search, fd, answer);
					text.push(...settings.map((command) => `$ ${command}`), ...calls);
				}
				const lines = text.join("\n");
				expect(left(playScript(readScript(lines, "s"), { version })), lines).toEqual([]);
			});
			expect(n).toBeGreaterThan(500);
		},
	);

	it("an answer above LISTEN_FAILED is the errno of the call after bind()", () => {
		const listener = opens(search("zero", null, TWO), { listens: true });
		expect(lines(listener, LISTEN_FAILED + EADDRINUSE).slice(1)).toEqual([
			`bind(3, {sa_family=AF_INET, ${one} = 0`,
			"listen(3, 1) = -1 EADDRINUSE",
		]);
		const late = opens(search("late", 0, TWO));
		expect(lines(late, EADDRNOTAVAIL).slice(2)).toEqual([
			`bind(3, {sa_family=AF_INET, ${one} = 0`,
			'connect(3, {sa_family=AF_INET, sin_port=htons(80), sin_addr=inet_addr("198.51.100.1")}, 16) = -1 EADDRNOTAVAIL',
		]);
	});
});

describe("on the model", () => {
	it("two ports: TCP obeys every law", () => {
		expect(explored("6.18.44", "tcp", "searches")).toEqual({});
	});

	it("listeners whose port the kernel chooses obey every law", () => {
		expect(explored("6.3", "tcp", "listeners")).toEqual({});
	});

	it("UDP's bind() chooses a port that sockets with SO_REUSEADDR share", () => {
		expect(Object.keys(explored("7.3", "udp", "searches"))).toEqual(["unshared"]);
	});

	it("after a socket has bound a port and closed, connect() uses the port only since 6.18", () => {
		const laws = (version: string) =>
			Object.keys(explored(version, "tcp", "release", undefined, true)).sort();
		expect(laws("6.18.44")).toEqual(["late"]);
		expect(laws("6.18.44-fastreuse-recomputed")).toEqual(["late", "tuple"]);
	});

	it("connect() in a range that the socket sets loses no port since 6.8", () => {
		const own = (version: string) => {
			const found = explored(version, "tcp", "ranges", ({ kind }) => {
				return kind?.search?.how === "late" && kind.search.range.own !== null;
			});
			return Object.keys(found).filter((key) => key.endsWith("odd"));
		};
		expect(own("6.8")).toEqual([]);
		expect(own("6.8-connect-range-step-1").sort()).toEqual(["tuple, odd", "wider, odd"]);
	});

	it("a random step of connect()'s search reaches every port", () => {
		const found = explored(
			"7.3",
			"tcp",
			"ranges",
			({ kind }) => (kind?.search?.range.width ?? 0) > 0,
		);
		expect(Object.keys(found).filter((key) => key.endsWith("odd"))).toEqual([]);
	});

	it("the last port of a range with an odd number of ports is lost, and nothing else", () => {
		const found = explored("6.18.44", "tcp", "ranges", ({ kind }) => {
			if (kind?.search === undefined) return false;
			const ports = candidates({ ...kind.search.range, reserved: [] });
			return ports.length > 1 && ports.length % 2 === 1;
		});
		expect(Object.keys(found).sort()).toEqual(
			["found", "start", "tuple", "wider"].map((id) => `${id}, odd`),
		);
	});

	it("a socket without a device takes the four-tuple of one with a device", () => {
		const found = explored("6.18.44", "tcp", "devices", (program) => {
			const { kind, sockets } = program;
			return kind?.device === false && sockets.some((socket) => socket.kind.device);
		});
		expect(Object.keys(found)).toEqual(["twins, odd"]);
	});
});
