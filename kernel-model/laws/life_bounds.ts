// SPDX-License-Identifier: GPL-2.0-or-later
/** Programs of connections: how they begin, end and are forgotten, and programs of many sockets. */
import {
	type Action,
	actions,
	type Bound,
	binds,
	clientsAt,
	DUAL,
	type Kind,
	kinds,
	type Place,
	placeOf,
	type Step,
	V4_ANY,
	V4_ONE,
	V6_ANY,
} from "./kinds.js";
import { KINDS, type Protocol } from "./protocols.js";
import { PEER, range, search } from "./searches.js";

/** Seconds after which connect() may take over a connection in TIME_WAIT (tcp_tw_reuse_delay). */
const TW_REUSE = 2;
/** Seconds after which a connection is gone that ended at both ends: longer than TIME_WAIT. */
export const FORGOTTEN = 65;

const V6_ONE = placeOf("[::1]");

/** What a program of connections does to its sockets. */
const LIFE: readonly Action[] = ["connect", "accept", "close"];

/** The life of a connection at one address: it begins, each end closes, time passes. */
function lifeOf(name: string, place: Place, to: number): Bound {
	const all = kinds({ places: [place], users: 1, listens: true });
	return {
		name,
		programs: `up to six steps at ${place.name}: servers, clients, each end closes, time passes`,
		depth: 6,
		steps: [
			...binds(all.filter(({ reuseport }) => !reuseport)),
			...actions(LIFE, 2),
			{ do: "client", to },
			{ do: "part" },
			{ do: "wait", seconds: TW_REUSE },
			{ do: "wait", seconds: FORGOTTEN },
		],
	};
}

/** Connections from one port that the kernel chooses: each end closes, time passes, another begins. */
function reconnectsOf(): Bound {
	const all = kinds({ places: [V4_ONE, V6_ONE, DUAL], users: 1 }).filter(
		({ reuseport }) => !reuseport,
	);
	return {
		name: "reconnects",
		programs: "up to six steps: connections from one port, each end closes, time passes",
		depth: 6,
		sockets: 2,
		reconnects: true,
		steps: [
			...binds(
				all.flatMap((kind) =>
					(["late", "connect"] as const).map((how) => ({
						...kind,
						search: search(how, PEER, range(0, 0)),
					})),
				),
			),
			...actions(["close"], 2),
			{ do: "part" },
			{ do: "wait", seconds: TW_REUSE },
			{ do: "wait", seconds: FORGOTTEN },
		],
	};
}

/** Listeners, a client that is accepted or waits, and sockets that come later. */
function guestsOf(places: readonly Place[]): Bound {
	const all = kinds({ places, users: 1, listens: true });
	return {
		name: "guests",
		programs: "up to five steps: a server, a client that is accepted or waits, two sockets",
		depth: 5,
		steps: [
			...binds(all.filter(({ reuse }) => !reuse)),
			...actions(["accept"], 1),
			{ do: "client", to: 0 },
		],
	};
}

/** Sockets that connect to a peer, which then sends a datagram. */
function peersOf(): Bound {
	const places = [V4_ONE, V4_ANY];
	const all = kinds({ places, users: 1 }).filter(({ reuse, reuseport }) => reuse || reuseport);
	return {
		name: "peers",
		programs: "up to seven steps: two sockets that connect and disconnect, a datagram of the peer",
		depth: 7,
		sockets: 2,
		alternate: true,
		steps: [...binds(all), ...actions(["connect", "disconnect"], 2), { do: "ask", to: 0 }],
	};
}

/** Sockets some of which come with ten others on other addresses. */
function crowdsOf(listens: boolean, delivers: boolean): Bound {
	const places = [V4_ONE, V4_ANY, DUAL, V6_ANY];
	const all = kinds({ places, users: 1, listens }).filter((kind) => kind.listens === listens);
	const crowds = all.flatMap((kind): Kind[] =>
		kind.place === V4_ONE ? [{ ...kind, crowd: true }] : [],
	);
	const clients: Step[] = delivers ? [...clientsAt(places), { do: "who" }] : [];
	return {
		name: "crowds",
		programs: "up to four steps: sockets, some with ten others on other addresses, a client",
		depth: delivers ? 4 : 3,
		steps: [...binds([...all, ...crowds]), ...clients],
	};
}

/**
 * The bounds of a protocol. Connections of DCCP, and the lives of MPTCP's connections, are left
 * out.
 */
export function lifeBoundsOf(protocol: Protocol): Bound[] {
	const { listens } = KINDS[protocol];
	const associates = protocol === "sctp" || protocol === "dccp";
	const bounds = [crowdsOf(listens, !associates)];
	if (listens && protocol !== "dccp") bounds.push(guestsOf([V4_ONE, V4_ANY, V6_ONE]));
	if (protocol === "tcp") {
		bounds.push(lifeOf("lives", V4_ONE, 0), lifeOf("IPv6 lives", V6_ONE, 2), reconnectsOf());
	}
	if (!listens) bounds.push(peersOf());
	return bounds;
}
