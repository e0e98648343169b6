// SPDX-License-Identifier: GPL-2.0-or-later
/**
 * How a socket of a program gets its port, if the program has more ports than one: bind() names the
 * port, or the kernel searches for one. A search is a part of a kind of socket (Kind.search).
 */

/** The first port of every range. Ports are counted from it: place 0 is port 5000. */
export const BASE = 5000;

/** The ports that a search may choose from. */
export interface Range {
	/** Its name in tables: "0-3 without 1". */
	readonly name: string;
	/** Bounds of ip_local_port_range as places, both inclusive. */
	readonly low: number;
	readonly high: number;
	/** Places in ip_local_reserved_ports. */
	readonly reserved: readonly number[];
	/** IP_LOCAL_PORT_RANGE of the socket as places; null if the option is not set. */
	readonly own: readonly [low: number, high: number] | null;
	/** Whether ip_autobind_reuse is on. */
	readonly shares: boolean;
	/** ip_local_port_step_width, 0 on kernels that do not have it. */
	readonly width: number;
}

/**
 * How a socket asks for its port. "named": bind() to a port. "zero": bind() to port 0. "listen":
 * listen() without bind(). "connect": connect() without bind(). "late": bind() to port 0 with
 * IP_BIND_ADDRESS_NO_PORT, then connect().
 */
type Asking = "named" | "zero" | "listen" | "connect" | "late";

export interface Search {
	/** Its name in tables. Two searches with the same name are the same. */
	readonly name: string;
	readonly how: Asking;
	/** The place that bind() names; 0 for a search. */
	readonly port: number;
	/** The destination that the socket connects to, 0 or 1; null if it does not connect. */
	readonly to: number | null;
	readonly range: Range;
	/**
	 * Where the kernel begins to search: a place, counted from the start of the range. If the kernel
	 * draws the step of the search as well (Range.width), it draws the same number, modulo the
	 * number of steps.
	 */
	readonly start: number;
}

/**
 * Destinations of connections: ports of a host that does not answer, and the peer, which is on this
 * host and accepts.
 */
export const DESTINATION_PORTS = [80, 81, 6000] as const;
/** The number of the peer among destinations. */
export const PEER = 2;

/** Commands that give the host routes to the destinations. */
export const SEARCH_HOST: readonly string[] = [
	"ip route add 198.51.100.0/24 dev lo src 127.0.0.1",
	"ip -6 route add 2001:db8:1::/48 dev lo src ::1",
];

/** An answer from it on names the place that a search chose: 3000 is place 0. */
export const CHOSEN = 3000;
/** The search chose a port below BASE or above place 31. */
export const ELSEWHERE = 3032;
/** Likewise, but the peer has not answered: 3100 is place 0. */
export const PENDING = 3100;

/** The range of ports of a namespace, from place `low` to place `high`. */
export function range(
	low: number,
	high: number,
	more: Partial<Pick<Range, "reserved" | "own" | "shares" | "width">> = {},
): Range {
	const { reserved = [], own = null, shares = false, width = 0 } = more;
	let name = `${low}-${high}`;
	if (reserved.length > 0) name += ` without ${reserved.join(",")}`;
	if (own !== null) name += ` own ${own[0]}-${own[1]}`;
	if (shares) name += " autobind_reuse";
	if (width > 0) name += ` step_width ${width}`;
	return { name, low, high, reserved, own, shares, width };
}

const ONE = range(0, 0);

/** bind() to the port at a place, and connect() if `to` is a destination. */
export function named(port: number, to: number | null = null): Search {
	const name = `named ${port}${to === null ? "" : ` to ${to}`}`;
	return { name, how: "named", port, to, range: ONE, start: 0 };
}

/** A search in a range from a start. */
export function search(
	how: Exclude<Asking, "named">,
	to: number | null,
	within: Range,
	start = 0,
): Search {
	const name = `${how} ${within.name} from ${start}${to === null ? "" : ` to ${to}`}`;
	return { name, how, port: 0, to, range: within, start };
}

/**
 * The places that a search may choose: those in the effective range that are not reserved. Each
 * bound of IP_LOCAL_PORT_RANGE replaces the namespace's bound if it lies between the namespace's
 * bounds (ip(7), IP_LOCAL_PORT_RANGE).
 */
export function candidates({ low, high, own, reserved }: Range): number[] {
	const inside = (place: number) => low <= place && place <= high;
	const from = own !== null && inside(own[0]) ? own[0] : low;
	const until = own !== null && inside(own[1]) ? own[1] : high;
	const found: number[] = [];
	for (let place = from; place <= until; place++) {
		if (!reserved.includes(place)) found.push(place);
	}
	return found;
}

/** How many places a search may start from. */
export function startsOf(within: Range): number {
	const { low, high } = within;
	const all = candidates({ ...within, reserved: [] });
	return Math.min(all.length, high - low + 1);
}

/** The place that an answer names; null if a search chose none. */
export function chosenPlace(answer: number): number | null {
	if (answer >= PENDING) return answer - PENDING;
	return answer >= CHOSEN ? answer - CHOSEN : null;
}
