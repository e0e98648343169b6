// SPDX-License-Identifier: GPL-2.0-or-later
/** Kinds of sockets, and the steps of which small programs are made. */
import { KINDS, type Protocol } from "./protocols.js";
import type { Search } from "./searches.js";

/** Where a socket is bound: a family and a class of address. */
export interface Place {
	/** Its name in tables: "[::] V6ONLY". */
	readonly name: string;
	readonly family: "AF_INET" | "AF_INET6";
	readonly address: string;
	/** Whether the socket has IPV6_V6ONLY. */
	readonly v6only: boolean;
	/** The IPv4 address: 1 or 2, 0 for the wildcard; null if the place has none. */
	readonly v4: 0 | 1 | 2 | null;
	/** The IPv6 address, likewise. */
	readonly v6: 0 | 1 | 2 | null;
}

const v4 = (address: string, n: 0 | 1 | 2): Place => ({
	name: address,
	family: "AF_INET",
	address,
	v6only: false,
	v4: n,
	v6: null,
});
const v6 = (address: string, n: 0 | 1 | 2): Place => ({
	...v4(address, n),
	name: `[${address}]`,
	family: "AF_INET6",
	v4: null,
	v6: n,
});

export const V4_ANY = v4("0.0.0.0", 0);
/** `[::]` of a socket that takes IPv4 as well. */
export const DUAL: Place = { ...v6("::", 0), v4: 0 };
export const V6_ANY: Place = { ...v6("::", 0), name: "[::] V6ONLY", v6only: true };
/** IPv4 addresses of IPv6 sockets. */
const mapped = (place: Place, n: 0 | 1 | 2): Place => ({
	...v6(`::ffff:${place.address}`, n),
	v4: n,
	v6: null,
});
export const V4_ONE = v4("127.0.0.1", 1);
const V4_TWO = v4("127.0.0.2", 2);

/** Every place, the more common ones first. */
export const PLACES: readonly Place[] = [
	V4_ANY,
	V4_ONE,
	DUAL,
	V6_ANY,
	v6("::1", 1),
	mapped(V4_ANY, 0),
	mapped(V4_ONE, 1),
	V4_TWO,
	v6("2001:db8::2", 2),
	mapped(V4_TWO, 2),
];

/** The place with a name. Throws Error if there is none. */
export function placeOf(name: string): Place {
	const found = PLACES.find((place) => place.name === name);
	if (found === undefined) throw new Error(`no place ${name}`);
	return found;
}

/** Commands that give the host the addresses of PLACES that it lacks. */
export const HOST: readonly string[] = ["ip addr add 2001:db8::2/128 dev lo nodad"];

/** A socket that is bound, and may listen. */
export interface Kind {
	readonly place: Place;
	readonly reuse: boolean;
	readonly reuseport: boolean;
	/** The user: 0 or 1. They are two ordinary users. */
	readonly user: 0 | 1;
	/** Whether the socket is bound to the device lo. */
	readonly device: boolean;
	readonly listens: boolean;
	/** A stranger differs in its port, its protocol, its namespace or its VRF from the other sockets. */
	readonly stranger: "" | "port" | "protocol" | "namespace" | "vrf" | "other vrf";
	/** Whether ten more sockets of the kind come with it, each on an address of its own (CROWD). */
	readonly crowd?: true;
	/** How the options are set: once, in the other order, or twice. */
	readonly options: "" | "reversed" | "repeated";
	/** How the socket gets its port; not given if bind() names the one port of the bound. */
	readonly search?: Search;
}

/** A socket on the IPv4 wildcard without options. */
export const PLAIN: Kind = {
	place: V4_ANY,
	reuse: false,
	reuseport: false,
	user: 0,
	device: false,
	listens: false,
	stranger: "",
	options: "",
};

/** The addresses of the ten sockets that come with a socket on 127.0.0.1. */
export const CROWD: readonly string[] = Array.from({ length: 10 }, (_, i) => `127.0.1.${i + 1}`);

/** VRFs of strangers: names, and commands that make them. */
export const VRFS = { vrf: "red", "other vrf": "blue" } as const;
export const VRF_HOST: readonly string[] = [
	"ip link add red type vrf table 100",
	"ip link set red up",
	"ip link add blue type vrf table 200",
	"ip link set blue up",
];

/** What a program does to a socket that it has bound. */
const ACTIONS = [
	"close",
	"listen",
	"connect",
	"disconnect",
	"reuse",
	"noreuse",
	"reuseport",
	"noreuseport",
] as const;
/** "accept" takes a client from the queue of a listener, and keeps it. */
export type Action = (typeof ACTIONS)[number] | "accept";

/** A client that connects to, or sends a datagram to, an address. */
export const CLIENTS = ["127.0.0.1", "127.0.0.2", "::1"] as const;

export type Step =
	/** `last`: no step follows. */
	| { readonly do: "bind"; readonly kind: Kind; readonly last?: true }
	| { readonly do: "act"; readonly action: Action; readonly socket: number }
	/** A client comes, and stays. */
	| { readonly do: "client"; readonly to: number }
	/** Which socket has the client. */
	| { readonly do: "who" }
	/** The peer of the sockets sends a datagram to an address: which socket has it? */
	| { readonly do: "ask"; readonly to: number }
	/** The other ends of all connections are closed. */
	| { readonly do: "part" }
	| { readonly do: "wait"; readonly seconds: number };

/** The steps of programs, and how long the programs are. */
export interface Bound {
	readonly name: string;
	/** What its programs are, in a few words. */
	readonly programs: string;
	readonly depth: number;
	readonly steps: readonly Step[];
	/** Most sockets of a program, if there is a limit. */
	readonly sockets?: number;
	/** Whether its sockets connect only if they are not connected, and disconnect only if they are. */
	readonly alternate?: true;
	/** Whether its sockets search for ports. Then the laws of searches judge its programs. */
	readonly searches?: true;
	/** Whether its sockets search for ports of connections that end. Then the laws of time judge. */
	readonly reconnects?: true;
}

/** All kinds of sockets at some places that differ in what the options name. */
export function kinds(options: {
	places: readonly Place[];
	users: number;
	devices?: boolean;
	listens?: boolean;
	strangers?: readonly Kind["stranger"][];
	options?: readonly Kind["options"][];
}): Kind[] {
	const found: Kind[] = [];
	const both = [false, true];
	for (const stranger of options.strangers ?? [""])
		for (const set of options.options ?? [""])
			for (const device of options.devices ? both : [false])
				for (const listens of options.listens ? both : [false])
					for (const user of options.users > 1 ? ([0, 1] as const) : ([0] as const))
						for (const reuseport of both)
							for (const reuse of both)
								for (const place of options.places)
									found.push({
										place,
										reuse,
										reuseport,
										user,
										device,
										listens,
										stranger,
										options: set,
									});
	return found;
}

export const binds = (found: readonly Kind[]): Step[] =>
	found.map((kind) => ({ do: "bind", kind }));

/** The actions on each of the first sockets of a program. */
export function actions(names: readonly Action[], sockets: number): Step[] {
	const steps: Step[] = [];
	for (let socket = 0; socket < sockets; socket++)
		for (const action of names) steps.push({ do: "act", action, socket });
	return steps;
}

const WIDE = PLACES.slice(0, 4);

/**
 * The bounds of a size. 1 is quick and has one user; 2 has two users, devices and all places, and
 * more kinds in the longer programs; 3 has two users in these as well.
 */
export function boundsOf(protocol: Protocol, size: number): Bound[] {
	const { listens } = KINDS[protocol];
	const users = size > 1 ? 2 : 1;
	const places = size > 1 ? PLACES : PLACES.slice(0, 7);
	const narrow = size > 1 ? places.slice(0, 7) : WIDE;
	const names: Action[] = listens ? [...ACTIONS] : ACTIONS.filter((action) => action !== "listen");
	if (protocol === "sctp") names.splice(names.indexOf("disconnect"), 1);
	// A connection of DCCP leaves a time-wait socket, which the next program would meet.
	if (protocol === "dccp") names.splice(names.indexOf("connect"), 2);
	return [
		{
			name: "sockets",
			programs: "up to three sockets",
			depth: 3,
			steps: binds(kinds({ places, users, devices: size > 1, listens })),
		},
		{
			name: "steps",
			programs: "up to four steps: sockets, closes, listens, option changes, connections",
			depth: 4,
			steps: [
				...binds(kinds({ places: narrow, users: size > 2 ? 2 : 1, listens: listens && size > 1 })),
				...actions(names, 2),
			],
		},
		{
			name: "options",
			programs: "pairs of sockets of two users, options set in another order or twice",
			depth: 2,
			steps: binds(kinds({ places: WIDE, users: 2, options: ["", "reversed", "repeated"] })),
		},
		{
			name: "strangers",
			programs: "up to three sockets, some on another port, protocol, namespace or VRF",
			depth: 3,
			steps: binds(
				kinds({
					places: [V4_ANY, DUAL, V6_ANY],
					users: 1,
					strangers: ["", "port", "protocol", "namespace", "vrf", "other vrf"],
				}),
			),
		},
		// An association of SCTP or DCCP outlives its program, so the next one would meet it.
		...(protocol === "sctp" || protocol === "dccp" ? [] : [clientsOf(places, listens, size)]),
	];
}

/** Sockets and a client. Sockets of protocols with connections listen. */
function clientsOf(places: readonly Place[], listens: boolean, size: number): Bound {
	const all = kinds({ places, users: 1, devices: size > 1, listens });
	return {
		name: "clients",
		programs: "up to four sockets, or some and a client that comes before or after the last one",
		depth: 4,
		steps: [
			...binds(all.filter((kind) => kind.listens === listens)),
			...clientsAt(places),
			{ do: "who" },
		],
	};
}

/** A client for each address of some places. */
export function clientsAt(places: readonly Place[]): Step[] {
	return [...CLIENTS.keys()]
		.filter((to) => places.some(({ address }) => address === CLIENTS[to]))
		.map((to): Step => ({ do: "client", to }));
}
