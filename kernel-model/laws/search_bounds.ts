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

/**
 * The bounds of a size, as boundsOf(). 1 is quick; 2 has IPv6, SO_REUSEPORT, and longer programs; 3
 * has them all together.
 */
export function searchBoundsOf(protocol: Protocol, size: number): Bound[] {
	const { listens, number } = KINDS[protocol];
	const two = range(0, 1);
	const one = range(0, 0);
	const options = size > 1 ? [NONE, REUSE, REUSEPORT] : [NONE, REUSE];
	const places = size > 2 ? [V4_ANY, V4_ONE, DUAL, V6_ANY] : [V4_ANY, V4_ONE];
	const undo: ("close" | "disconnect")[] =
		number === IPPROTO_SCTP ? ["close"] : ["close", "disconnect"];
	const asking = (places: readonly Place[], options: readonly Options[], within: Range): Step[] => [
		...sockets(places, options, everyStart("zero", null, within)),
		...sockets(places, options, everyStart("zero", 0, within)),
		...sockets(places, options, everyStart("late", 0, within)),
		...sockets(
			places.filter((place) => place.name !== V4_ONE.name),
			[NONE],
			[...everyStart("connect", 0, within), ...everyStart("connect", 1, within)],
		),
	];
	const holders = sockets(
		[V4_ONE],
		[NONE],
		[0, 1, 2, 3, 4].map((port) => named(port)),
	);
	const found: Bound[] = [
		{
			name: "searches",
			programs: "up to three sockets; the kernel chooses one of two ports, or bind() names it",
			depth: 3,
			searches: true,
			steps: [
				...sockets(places, options, [named(0), named(1)]),
				...sockets(places, [NONE], [named(0, 0)]),
				...asking(places, options, two),
			],
		},
		{
			name: "release",
			programs: "up to four steps: one port, sockets that search and connect, closes",
			depth: size > 2 ? 5 : 4,
			searches: true,
			steps: [
				...sockets([V4_ANY, V4_ONE, V4_TWO], [NONE], [named(0), named(0, 0)]),
				...sockets([V4_ONE, V4_TWO], [REUSE], [named(0), named(0, 0)]),
				...sockets([V4_ONE], [NONE], [search("zero", null, one), search("zero", 0, one)]),
				...sockets([V4_ONE, V4_TWO], [NONE], [search("late", 0, one), search("late", 1, one)]),
				...sockets([V4_ANY], [NONE], [search("connect", 0, one), search("connect", 1, one)]),
				...acts(undo, 2),
			],
		},
		{
			name: "ranges",
			programs: "up to two holders of a port, then a search in one of many ranges",
			depth: 3,
			searches: true,
			steps: [
				...holders,
				...sockets(
					[V4_ONE],
					[NONE],
					[0, 1, 2].map((port) => search("late", 0, range(port, port))),
				),
				...last(
					RANGES.flatMap((within) => [
						...sockets([V4_ONE], [NONE, REUSE], everyStart("zero", null, within)),
						...sockets([V4_ONE], [NONE], everyStart("late", 0, within)),
						...sockets([V4_ANY], [NONE], everyStart("connect", 0, within)),
					]),
				),
			],
		},
		{
			name: "devices",
			programs: "up to three sockets on one port, with and without a device, that connect",
			depth: 3,
			searches: true,
			steps: [false, true].flatMap((device) =>
				(size > 1 ? ([0, 1] as const) : ([0] as const)).flatMap((user) => {
					const more = { device, user };
					return [
						...sockets([V4_ANY, V4_ONE, MAPPED_ONE], [NONE, REUSE], [named(0), named(0, 0)], more),
						...sockets([V4_ANY, V6_ANY], [NONE], [search("connect", 0, one)], more),
						...sockets([V4_ONE, V6_ONE], [NONE], [search("late", 0, one)], more),
						...sockets([V4_ONE], [NONE], [search("zero", null, one), search("zero", 0, one)], more),
					];
				}),
			),
		},
		{
			name: "autobind_reuse",
			programs: "up to three sockets of one port, with ip_autobind_reuse",
			depth: 3,
			searches: true,
			steps: [
				...sockets(
					[V4_ANY, V4_ONE],
					[NONE, REUSE, REUSEPORT, BOTH],
					[
						named(0),
						search("zero", null, range(0, 0, { shares: true })),
						search("zero", 0, range(0, 0, { shares: true })),
					],
				),
			],
		},
	];
	if (listens) {
		found.push({
			name: "listeners",
			programs: "up to three sockets; the kernel chooses one of two ports for listeners",
			depth: 3,
			searches: true,
			steps: [
				...sockets([V4_ANY, DUAL], options, [named(0), named(1)]),
				...sockets([V4_ANY, DUAL], options, [named(0), named(1)], { listens: true }),
				...sockets([V4_ANY, DUAL], options, everyStart("zero", null, two), { listens: true }),
				...sockets([V4_ANY, DUAL], options, everyStart("listen", null, two), { listens: true }),
			],
		});
	}
	return found;
}
