// SPDX-License-Identifier: GPL-2.0-or-later
/** The bounds whose sockets search for ports. */
import { IPPROTO_SCTP } from "../../include/uapi/linux/in.js";
import {
	type Bound,
	DUAL,
	type Kind,
	PLAIN,
	type Place,
	placeOf,
	type Step,
	V4_ANY,
	V6_ANY,
} from "./kinds.js";
import { KINDS, type Protocol } from "./protocols.js";
import { named, type Range, range, type Search, search, startsOf } from "./searches.js";

const V4_ONE = placeOf("127.0.0.1");
const V4_TWO = placeOf("127.0.0.2");
const V6_ONE = placeOf("[::1]");
const MAPPED_ONE = placeOf("[::ffff:127.0.0.1]");

type Options = Pick<Kind, "reuse" | "reuseport">;
const NONE: Options = { reuse: false, reuseport: false };
const REUSE: Options = { reuse: true, reuseport: false };
const REUSEPORT: Options = { reuse: false, reuseport: true };
const BOTH: Options = { reuse: true, reuseport: true };

/** Every socket with one of the places, options and searches. */
function sockets(
	places: readonly Place[],
	options: readonly Options[],
	searches: readonly Search[],
	more: Partial<Kind> = {},
): Step[] {
	return searches.flatMap((search) =>
		options.flatMap((set) =>
			places.map(
				(place): Step => ({ do: "bind", kind: { ...PLAIN, ...set, place, ...more, search } }),
			),
		),
	);
}

const last = (steps: readonly Step[]): Step[] =>
	steps.map((step) => (step.do === "bind" ? { ...step, last: true } : step));

/** A search from every start of its range. */
function everyStart(
	how: "zero" | "listen" | "connect" | "late",
	to: number | null,
	within: Range,
): Search[] {
	return Array.from({ length: startsOf(within) }, (_, start) => search(how, to, within, start));
}

function acts(names: readonly ("close" | "disconnect")[], sockets: number): Step[] {
	const steps: Step[] = [];
	for (let socket = 0; socket < sockets; socket++)
		for (const action of names) steps.push({ do: "act", action, socket });
	return steps;
}

/** A range of one port, and one of two. */
const ONE = range(0, 0);
const TWO = range(0, 1);

/** Ranges of a bound that asks whether a wider one helps. */
const RANGES: readonly Range[] = [
	range(0, 0),
	range(2, 2),
	range(3, 3),
	range(4, 4),
	range(0, 1),
	range(0, 2),
	range(0, 3),
	range(0, 4),
	range(0, 3, { reserved: [1] }),
	range(0, 2, { reserved: [0, 2] }),
	range(0, 4, { reserved: [0, 1, 3] }),
	range(0, 3, { own: [1, 2] }),
	range(0, 3, { own: [2, 2] }),
	range(0, 3, { own: [1, 3] }),
	range(0, 1, { own: [1, 7] }),
	range(1, 2, { own: [4, 7] }),
	range(2, 3, { own: [0, 2] }),
	range(0, 7, { reserved: [0, 1, 3, 4, 6, 7], width: 8 }),
];

/** Sockets that search within a range, in each way but listen(). */
function searching(places: readonly Place[], options: readonly Options[], within: Range): Step[] {
	return [
		...sockets(places, options, everyStart("zero", null, within)),
		...sockets(places, options, everyStart("zero", 0, within)),
		...sockets(places, options, everyStart("late", 0, within)),
		...sockets(
			places.filter((place) => place.name !== V4_ONE.name),
			[NONE],
			[...everyStart("connect", 0, within), ...everyStart("connect", 1, within)],
		),
	];
}

function searches(size: number, options: readonly Options[]): Bound {
	const places = size > 2 ? [V4_ANY, V4_ONE, DUAL, V6_ANY] : [V4_ANY, V4_ONE];
	return {
		name: "searches",
		programs: "up to three sockets; the kernel chooses one of two ports, or bind() names it",
		depth: 3,
		searches: true,
		steps: [
			...sockets(places, options, [named(0), named(1)]),
			...sockets(places, [NONE], [named(0, 0)]),
			...searching(places, options, TWO),
		],
	};
}

function release(size: number, undo: readonly ("close" | "disconnect")[]): Bound {
	return {
		name: "release",
		programs: "up to four steps: one port, sockets that search and connect, closes",
		depth: size > 2 ? 5 : 4,
		searches: true,
		steps: [
			...sockets([V4_ANY, V4_ONE, V4_TWO], [NONE], [named(0), named(0, 0)]),
			...sockets([V4_ONE, V4_TWO], [REUSE], [named(0), named(0, 0)]),
			...sockets([V4_ONE], [NONE], [search("zero", null, ONE), search("zero", 0, ONE)]),
			...sockets([V4_ONE, V4_TWO], [NONE], [search("late", 0, ONE), search("late", 1, ONE)]),
			...sockets([V4_ANY], [NONE], [search("connect", 0, ONE), search("connect", 1, ONE)]),
			...acts(undo, 2),
		],
	};
}

function ranges(): Bound {
	const holders = [
		...[0, 1, 2, 3, 4].map((port) => named(port)),
		...[0, 1, 2].map((port) => search("late", 0, range(port, port))),
	];
	const searching = RANGES.flatMap((within) => [
		...sockets([V4_ONE], [NONE, REUSE], everyStart("zero", null, within)),
		...sockets([V4_ONE], [NONE], everyStart("late", 0, within)),
		...sockets([V4_ANY], [NONE], everyStart("connect", 0, within)),
	]);
	return {
		name: "ranges",
		programs: "up to two holders of a port, then a search in one of many ranges",
		depth: 3,
		searches: true,
		steps: [...sockets([V4_ONE], [NONE], holders), ...last(searching)],
	};
}

function devices(size: number): Bound {
	const users = size > 1 ? ([0, 1] as const) : ([0] as const);
	const kinds = [false, true].flatMap((device) => users.map((user) => ({ device, user })));
	return {
		name: "devices",
		programs: "up to three sockets on one port, with and without a device, that connect",
		depth: 3,
		searches: true,
		steps: kinds.flatMap((more) => [
			...sockets([V4_ANY, V4_ONE, MAPPED_ONE], [NONE, REUSE], [named(0), named(0, 0)], more),
			...sockets([V4_ANY, V6_ANY], [NONE], [search("connect", 0, ONE)], more),
			...sockets([V4_ONE, V6_ONE], [NONE], [search("late", 0, ONE)], more),
			...sockets([V4_ONE], [NONE], [search("zero", null, ONE), search("zero", 0, ONE)], more),
		]),
	};
}

function autobindReuse(): Bound {
	const shared = range(0, 0, { shares: true });
	return {
		name: "autobind_reuse",
		programs: "up to three sockets of one port, with ip_autobind_reuse",
		depth: 3,
		searches: true,
		steps: sockets(
			[V4_ANY, V4_ONE],
			[NONE, REUSE, REUSEPORT, BOTH],
			[named(0), search("zero", null, shared), search("zero", 0, shared)],
		),
	};
}

function listeners(options: readonly Options[]): Bound {
	const places = [V4_ANY, DUAL];
	return {
		name: "listeners",
		programs: "up to three sockets; the kernel chooses one of two ports for listeners",
		depth: 3,
		searches: true,
		steps: [
			...sockets(places, options, [named(0), named(1)]),
			...sockets(places, options, [named(0), named(1)], { listens: true }),
			...sockets(places, options, everyStart("zero", null, TWO), { listens: true }),
			...sockets(places, options, everyStart("listen", null, TWO), { listens: true }),
		],
	};
}

/**
 * The bounds of a size, as boundsOf(). 1 is quick. 2 adds SO_REUSEPORT and another user. 3 adds
 * IPv6 and longer programs.
 */
export function searchBoundsOf(protocol: Protocol, size: number): Bound[] {
	const { listens, number } = KINDS[protocol];
	const options = size > 1 ? [NONE, REUSE, REUSEPORT] : [NONE, REUSE];
	const undo = number === IPPROTO_SCTP ? (["close"] as const) : (["close", "disconnect"] as const);
	return [
		searches(size, options),
		release(size, undo),
		ranges(),
		devices(size),
		autobindReuse(),
		...(listens ? [listeners(options)] : []),
	];
}
