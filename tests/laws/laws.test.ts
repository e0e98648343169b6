// SPDX-License-Identifier: GPL-2.0-or-later
/** Each law: a program that obeys it, and the answer by which the same program would break it. */
import { describe, expect, it } from "vitest";
import { EADDRINUSE, EADDRNOTAVAIL } from "../../kernel-model/index.js";
import { Answers } from "../../kernel-model/laws/answers.js";
import {
	type Action,
	type Bound,
	DUAL,
	type Kind,
	PLAIN,
	placeOf,
	type Step,
	V6_ANY,
} from "../../kernel-model/laws/kinds.js";
import { SOCKET } from "../../kernel-model/laws/lab.js";
import { Program } from "../../kernel-model/laws/law.js";
import { ALL_LAWS } from "../../kernel-model/laws/laws.js";
import { FORGOTTEN } from "../../kernel-model/laws/life_bounds.js";
import type { Protocol } from "../../kernel-model/laws/protocols.js";
import { CHOSEN, PEER, range, search } from "../../kernel-model/laws/searches.js";

const bind = (kind: Partial<Kind>): Step => ({ do: "bind", kind: { ...PLAIN, ...kind } });
const act = (action: Action, socket: number): Step => ({ do: "act", action, socket });
/**
 * Judges a program by one law, with its true answer or another one. The bound has the steps of the
 * program and those of `more`.
 */
function judged(
	id: string,
	program: readonly Step[],
	{
		version = "7.3",
		protocol = "tcp",
		more = [],
		answer,
	}: {
		version?: string;
		protocol?: Protocol;
		more?: readonly Step[];
		answer?: number;
	} = {},
): string | null {
	const steps = [...program, ...more].filter(
		(step, i, all) =>
			all.findIndex((other) => JSON.stringify(other) === JSON.stringify(step)) === i,
	);
	const bound: Bound = { name: "test", programs: "", depth: program.length, steps };
	const answers = new Answers(version, protocol, bound);
	answers.explore();
	const numbers = program.map((step) => answers.find(step));
	const law = ALL_LAWS.find((one) => one.id === id);
	if (law === undefined) throw new Error(`no law ${id}`);
	const it = new Program(answers, numbers, answer ?? answers.answer(numbers));
	return law.judge(it)?.expected ?? null;
}

const ONE = placeOf("127.0.0.1");
const RP = { reuseport: true };
const RA = { reuse: true };

/** A program, what else the law looks up, the wrong answer, and what the law expects instead. */
const OBEYED: readonly (readonly [string, readonly Step[], readonly Step[], number, string])[] = [
	["held", [bind({}), bind({ place: V6_ANY }), bind({})], [], 0, "EADDRINUSE"],
	["shared", [bind(RA), bind(RA), bind(RA)], [], EADDRINUSE, "success"],
	["order", [bind(RA), bind({ ...RA, place: DUAL })], [], EADDRINUSE, "success"],
	["strangers", [bind({ stranger: "port" }), bind({})], [], EADDRINUSE, "success"],
	["strangers", [bind({ stranger: "protocol" }), bind({})], [], EADDRINUSE, "success"],
	["strangers", [bind({ stranger: "namespace" }), bind({})], [], EADDRINUSE, "success"],
	["failed", [bind(RA), bind({}), bind(RA)], [], EADDRINUSE, "success"],
	["closed", [bind({}), act("close", 0), bind({})], [], EADDRINUSE, "success"],
	[
		"options",
		[bind({ ...RA, ...RP, options: "reversed" })],
		[bind({ ...RA, ...RP })],
		1,
		"success",
	],
	[
		"disconnect",
		[bind(RA), act("connect", 0), act("disconnect", 0), bind(RA)],
		[],
		EADDRINUSE,
		"success",
	],
	[
		"named",
		[bind({}), act("connect", 0), bind({ place: placeOf("127.0.0.2") })],
		[bind({ place: placeOf("127.0.0.1") })],
		EADDRINUSE,
		"success",
	],
	[
		"mapped",
		[bind(RA), bind({ ...RA, place: placeOf("[::ffff:0.0.0.0]") })],
		[],
		EADDRINUSE,
		"success",
	],
	["dual", [bind({ place: DUAL }), bind({})], [bind({ place: V6_ANY })], 0, "failure"],
	["v6only", [bind({ place: V6_ANY }), bind({})], [], EADDRINUSE, "success"],
	[
		"reach",
		[
			bind({ ...RP, listens: true }),
			bind({ ...RP, place: placeOf("127.0.0.1"), listens: true }),
			{ do: "client", to: 0 },
			{ do: "who" },
		],
		[],
		SOCKET,
		"socket 2",
	],
	[
		"keeps",
		[
			bind({ ...RP, listens: true }),
			{ do: "client", to: 0 },
			bind({ ...RP, place: placeOf("127.0.0.1"), listens: true }),
			{ do: "who" },
		],
		[],
		SOCKET + 1,
		"socket 1",
	],
	["strangers", [bind({ stranger: "vrf" }), bind({})], [], EADDRINUSE, "success"],
	["changed", [bind(RA), act("noreuse", 0), bind(RA)], [bind({})], 0, "failure"],
	["users", [bind(RP), bind({ ...RP, user: 1 })], [bind({}), bind({ user: 1 })], 0, "EADDRINUSE"],
	["crowd", [bind({ place: ONE, crowd: true }), bind({})], [bind({ place: ONE })], 0, "failure"],
	[
		"guests",
		[
			bind({ ...RP, place: ONE, listens: true }),
			{ do: "client", to: 0 },
			bind({ place: placeOf("[::1]"), listens: true }),
			bind({ ...RP, place: ONE, listens: true }),
		],
		[],
		EADDRINUSE,
		"success",
	],
	[
		"restart",
		[
			bind({ ...RA, place: ONE, listens: true }),
			{ do: "client", to: 0 },
			act("accept", 0),
			act("close", 0),
			bind({ ...RA, place: ONE, listens: true }),
		],
		[],
		EADDRINUSE,
		"success",
	],
	[
		"forgotten",
		[
			bind({ place: ONE }),
			act("connect", 0),
			act("close", 0),
			{ do: "part" },
			{ do: "wait", seconds: FORGOTTEN },
			bind({ place: ONE }),
		],
		[],
		EADDRINUSE,
		"success",
	],
	[
		"recycled",
		[
			bind({ place: ONE, search: search("late", PEER, range(0, 0)) }),
			act("close", 0),
			{ do: "part" },
			{ do: "wait", seconds: 2 },
			bind({ place: ONE, search: search("late", PEER, range(0, 0)) }),
		],
		[],
		EADDRNOTAVAIL,
		"success",
	],
	[
		"apart",
		[bind({ search: search("connect", 0, range(0, 1)) })],
		[bind({ search: search("zero", null, range(0, 1)) })],
		CHOSEN + 1,
		"another port",
	],
	[
		"alive",
		[
			bind({ place: ONE, search: search("late", PEER, range(0, 0)) }),
			act("close", 0),
			{ do: "wait", seconds: 2 },
			bind({ place: ONE, search: search("late", PEER, range(0, 0)) }),
		],
		[],
		CHOSEN,
		"EADDRNOTAVAIL",
	],
];

/** A datagram of the peer of two sockets, the second of which is connected to it. */
const ASKED: readonly Step[] = [
	bind({ ...RA, place: ONE }),
	bind({ ...RA, place: ONE }),
	act("connect", 1),
	{ do: "ask", to: 0 },
];

describe("the law", () => {
	it.each(OBEYED)(
		"%s is obeyed by 7.3, and a wrong answer breaks it",
		(id, program, more, wrong, expected) => {
			expect(judged(id, program, { more })).toBeNull();
			expect(judged(id, program, { more, answer: wrong })).toBe(expected);
		},
	);

	it("peer is obeyed by 7.3, and a wrong answer breaks it", () => {
		expect(judged("peer", ASKED, { protocol: "udp" })).toBeNull();
		expect(judged("peer", ASKED, { protocol: "udp", answer: SOCKET })).toBe("socket 2");
	});

	it("named knows that connect() gives the wildcard an address", () => {
		const program = [bind({}), act("connect", 0), bind({ place: placeOf("127.0.0.2") })];
		const more = [bind({ place: placeOf("127.0.0.1") })];
		expect(judged("named", program, { more })).toBeNull();
	});

	it("order leaves out a listener and SO_REUSEADDR", () => {
		expect(judged("order", [bind({ ...RA, listens: true }), bind(RA)])).toBeNull();
	});

	it("held says nothing of a holder that was closed", () => {
		expect(judged("held", [bind({}), act("close", 0), bind({})])).toBeNull();
	});
});

/** Programs that kernels answer against a law, each with a kernel that does so and one that does not. */
const BROKEN: readonly (readonly [string, Protocol, readonly Step[], string, string])[] = [
	[
		"held",
		"tcp",
		[bind({}), bind({ ...RP, place: V6_ANY }), bind({ ...RP, place: DUAL })],
		"7.3",
		"",
	],
	["held", "udp", [bind(RA), bind({ ...RA, ...RP }), bind(RP)], "7.3", ""],
	["held", "sctp", [bind({ ...RA, ...RP }), bind(RA), bind(RP)], "7.3", ""],
	["dual", "tcp", [bind({ place: DUAL }), bind({ place: placeOf("127.0.0.1") })], "6.3", "6.12"],
	["changed", "tcp", [bind(RA), act("noreuse", 0), bind(RA)], "6.6", "6.8"],
	[
		"guests",
		"tcp",
		[
			bind({ ...RP, place: ONE, listens: true }),
			{ do: "client", to: 0 },
			bind({ place: placeOf("[::1]"), listens: true }),
			bind({ ...RP, place: ONE, listens: true }),
		],
		"6.12",
		"6.17",
	],
	["crowd", "udp", [bind({ place: ONE, crowd: true }), bind({})], "6.12", "7.0"],
	["strangers", "udp", [bind({ stranger: "vrf" }), bind({})], "7.3", ""],
	[
		"strangers",
		"sctp",
		[bind({ stranger: "vrf" }), bind({ stranger: "other vrf" })],
		"6.1.176",
		"6.3",
	],
	[
		"alive",
		"tcp",
		[
			bind({ place: ONE, search: search("late", PEER, range(0, 0)) }),
			act("close", 0),
			{ do: "wait", seconds: 2 },
			bind({ place: ONE, search: search("late", PEER, range(0, 0)) }),
		],
		"6.11",
		"6.12",
	],
];

describe("a kernel", () => {
	it.each(BROKEN)("breaks %s (%s)", (id, protocol, program, version, other) => {
		const more = [bind({}), bind({ place: V6_ANY }), bind({ place: ONE }), act("connect", 0)];
		expect(judged(id, program, { version, protocol, more })).not.toBeNull();
		if (other !== "") expect(judged(id, program, { version: other, protocol, more })).toBeNull();
	});
});
