// SPDX-License-Identifier: GPL-2.0-or-later
/**
 * A second opinion on ports, written from the rules: it walks plain lists of sockets and
 * keeps a diary of each port. It never looks at buckets, hash tables or chains and shares
 * no code with net/, so that a mistake there is not made here as well.
 */
import {
	TCP_CLOSE,
	TCP_FIN_WAIT2,
	TCP_LISTEN,
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
} from "../../include/trace/events/port_search.js";
import type { Kernel } from "../../kernel-model/index.js";

const ANY = 0;
const LOOPBACK_DEVICE = 1;

/** The settings of a namespace, as the program wrote them. */
export interface Settings {
	range: readonly [number, number];
	reserved: ReadonlySet<number>;
	autobindReuse: boolean;
	twReuse: number;
	nonlocalBind: boolean;
}

/** One row of the table of sockets. */
export interface Sock {
	sk: number;
	net: number;
	state: number;
	device: number;
	/** The VRF of its device, 0 if none. */
	l3mdev: number;
	address: number;
	port: number;
	peer: number;
	peerPort: number;
	reuseaddr: boolean;
	reuseport: boolean;
	/** In a reuseport group. */
	grouped: boolean;
	/** The user of its file, root if no file names it. */
	uid: number;
	/** IP_LOCAL_PORT_RANGE. */
	range: readonly [number, number];
	/** Of a time-wait socket. */
	substate: number;
	/** Of a time-wait socket: the second of its last segment. */
	lastSegment: number;
	/** Of a connection: the later it came, the more. */
	arrival: number;
}

/** What a socket that was given a port by bind(), connect() or listen() was like then. */
export interface Join {
	by: "bind" | "connect" | "listen";
	reuseaddr: boolean;
	reuseport: boolean;
	grouped: boolean;
	uid: number;
	address: number;
}

/** What the kernel remembers of the joins of a port; -1 means that only connect() was there. */
export interface Marks {
	fastreuse: number;
	/** 0 none, 1 any address of the user, 2 only addresses that the remembered one covers. */
	fastreuseport: number;
	uid: number;
	address: number;
}

/** One scan of a search: ports from `low` to below `high`, of which each pass tries `remaining` / 2. */
export interface Scan {
	low: number;
	high: number;
	remaining: number;
	half: number;
	relax: boolean;
}

export interface Verdict {
	verdict: number;
	/** Any of these may be named as the one in the way. */
	blockers: readonly Sock[];
}

/** The port's number, its namespace and its VRF: what makes a port a port of its own. */
export function portKey(net: number, l3mdev: number, port: number): string {
	return `${net}/${l3mdev}/${port}`;
}

/** A socket of the user with SO_REUSEPORT passes where the port remembers one that covers it. */
function remembered(marks: Marks, me: Join): boolean {
	if (marks.fastreuseport <= 0 || !me.reuseport || me.grouped || marks.uid !== me.uid) return false;
	return marks.fastreuseport === 1 || marks.address === ANY || marks.address === me.address;
}

/** SO_REUSEADDR counts for nothing on a socket that listens. */
function effectiveReuse(join: Join): boolean {
	return join.reuseaddr && join.by !== "listen";
}

/** What a port remembers of its joins since its first owner came. */
export function marksOf(joins: readonly Join[]): Marks {
	const [first, ...others] = joins;
	const marks: Marks = { fastreuse: -1, fastreuseport: -1, uid: 0, address: ANY };
	const remember = (join: Join, fastreuseport: number) => {
		marks.fastreuseport = fastreuseport;
		marks.uid = join.uid;
		marks.address = join.address;
	};
	if (first.by !== "connect") {
		marks.fastreuse = effectiveReuse(first) ? 1 : 0;
		if (first.reuseport) remember(first, 1);
		else marks.fastreuseport = 0;
	}
	for (const join of others) {
		if (join.by === "connect") continue;
		if (!effectiveReuse(join)) marks.fastreuse = 0;
		if (!join.reuseport) marks.fastreuseport = 0;
		else if (!remembered(marks, join)) remember(join, 2);
	}
	return marks;
}

/** Whether two sockets on one port could both get a packet that is for one of them. */
function addressesMeet(a: Sock, b: Sock): boolean {
	return a.address === b.address || a.address === ANY || b.address === ANY;
}

/**
 * Whether two sockets whose addresses meet cannot share a port. `relax`: SO_REUSEADDR of
 * both helps, unless the other listens. `chosen`: the program chose the port, so that
 * SO_REUSEPORT of both helps, if they are one user's or the other is in TIME_WAIT.
 */
function conflict(me: Sock, other: Sock, relax: boolean, chosen: boolean): boolean {
	if (me.device !== 0 && other.device !== 0 && me.device !== other.device) return false;
	const sameUser = other.state === TCP_TIME_WAIT || other.uid === me.uid;
	const group = me.reuseport && other.reuseport && !me.grouped && sameUser;
	if (me.reuseaddr && other.reuseaddr && other.state !== TCP_LISTEN) {
		// Reuse lets in, but a kernel that chooses keeps clear of the ports of a group.
		return !relax || (!chosen && group);
	}
	return !chosen || !group;
}

/** The ports that one pass tries, in order: every other one, and from the end on to the start. */
function passFrom(scan: Scan, start: number): number[] {
	const ports: number[] = [];
	for (let step = 0; step < scan.remaining; step += 2) {
		const port = start + step;
		ports.push(port < scan.high ? port : port - scan.remaining);
	}
	return ports;
}

/** The passes of a scan that starts at an offset: bind() tries odd offsets first, connect() even ones. */
export function passes(kind: number, scan: Scan, offset: number): number[][] {
	const even = passFrom(scan, scan.low + (offset & ~1));
	if (kind !== SEARCH_BIND && scan.remaining === 1) return [even];
	const odd = passFrom(scan, scan.low + (offset | 1));
	return kind === SEARCH_BIND ? [odd, even] : [even, odd];
}

/** A moment: every socket, every port's diary, every setting. */
export class World {
	constructor(
		readonly sockets: readonly Sock[],
		/** By portKey. */
		readonly diaries: ReadonlyMap<string, readonly Join[]>,
		private readonly settings: ReadonlyMap<number, Settings>,
		private readonly now: number,
		/** Versions differ in whether a time-wait socket in FIN_WAIT2 gives way. */
		private readonly finWait2GivesWay: boolean,
	) {}

	find(sk: number): Sock {
		const found = this.sockets.find((sock) => sock.sk === sk);
		if (found === undefined) throw new Error(`no socket ${sk}`);
		return found;
	}

	settingsOf(net: number): Settings {
		const found = this.settings.get(net);
		if (found === undefined) throw new Error(`no namespace ${net}`);
		return found;
	}

	/** The other sockets on a port of the socket's namespace and VRF. */
	private on(me: Sock, port: number): Sock[] {
		return this.sockets.filter(
			(other) =>
				other.sk !== me.sk &&
				other.net === me.net &&
				other.l3mdev === me.l3mdev &&
				other.port === port,
		);
	}

	/** Low and high, inclusive: each bound of the socket counts if it lies in what is left. */
	effectiveRange(me: Sock): [number, number] {
		let [low, high] = this.settingsOf(me.net).range;
		const within = (bound: number) => low <= bound && bound <= high;
		if (within(me.range[0])) low = me.range[0];
		if (within(me.range[1])) high = me.range[1];
		return [low, high];
	}

	isReserved(me: Sock, port: number): boolean {
		return this.settingsOf(me.net).reserved.has(port);
	}

	private blockers(me: Sock, port: number, relax: boolean, chosen: boolean): Sock[] {
		return this.on(me, port).filter(
			(other) => addressesMeet(me, other) && conflict(me, other, relax, chosen),
		);
	}

	/** bind() to a port, or listen() on it. `unseen`: the port's memory lets it pass. */
	explicit(me: Sock, port: number, by: "bind" | "listen"): Verdict & { unseen: boolean } {
		const diary = this.diaries.get(portKey(me.net, me.l3mdev, port));
		if (diary !== undefined) {
			const marks = marksOf(diary);
			const join = { ...me, by };
			if ((marks.fastreuse > 0 && effectiveReuse(join)) || remembered(marks, join)) {
				return { verdict: CANDIDATE_OK, blockers: [], unseen: true };
			}
		}
		const blockers = this.blockers(me, port, true, true);
		return { ...this.bindVerdict(me, blockers), unseen: false };
	}

	private bindVerdict(me: Sock, blockers: readonly Sock[]): Verdict {
		if (blockers.length === 0) return { verdict: CANDIDATE_OK, blockers };
		// A socket of one address looks for wildcard sockets first.
		const wildcard = blockers.filter((other) => other.address === ANY);
		return me.address !== ANY && wildcard.length > 0
			? { verdict: CANDIDATE_CONFLICT_ANY, blockers: wildcard }
			: { verdict: CANDIDATE_CONFLICT, blockers };
	}

	/** What a search says of a port. */
	candidate(kind: number, me: Sock, port: number, relax: boolean): Verdict {
		if (this.isReserved(me, port)) return { verdict: CANDIDATE_RESERVED, blockers: [] };
		if (kind === SEARCH_BIND) {
			return this.bindVerdict(me, this.blockers(me, port, relax, false));
		}
		const diary = this.diaries.get(portKey(me.net, me.l3mdev, port));
		if (diary === undefined) return { verdict: CANDIDATE_OK, blockers: [] };
		const { fastreuse, fastreuseport } = marksOf(diary);
		if (fastreuse >= 0 || fastreuseport >= 0) {
			return { verdict: CANDIDATE_NOT_SHAREABLE, blockers: this.on(me, port) };
		}
		return this.tuple(me, port, false);
	}

	/**
	 * Whether a connection from a port can be: its four-tuple is free on its device, or held
	 * by a time-wait socket that gives way. `bound`: the port was chosen before connect().
	 */
	tuple(me: Sock, port: number, bound: boolean): Verdict {
		const holders = this.sockets.filter(
			(other) =>
				other.sk !== me.sk &&
				isConnection(other) &&
				other.net === me.net &&
				other.address === me.address &&
				other.port === port &&
				other.peer === me.peer &&
				other.peerPort === me.peerPort &&
				// A socket without a device holds the tuple for all, but for those in a VRF.
				(other.device === 0 ? me.l3mdev === 0 : [me.device, me.l3mdev].includes(other.device)),
		);
		// With devices several sockets can hold it. The kernel asks only the last to come.
		const last = holders.sort((a, b) => b.arrival - a.arrival).slice(0, 1);
		const verdict = last.some((other) => other.state !== TCP_TIME_WAIT)
			? CANDIDATE_TUPLE_IN_USE
			: last.some((other) => !this.givesWay(me, other, bound))
				? CANDIDATE_TIME_WAIT
				: CANDIDATE_OK;
		return { verdict, blockers: verdict === CANDIDATE_OK ? [] : last };
	}

	private givesWay(me: Sock, tw: Sock, bound: boolean): boolean {
		if (bound) return true;
		if (tw.substate === TCP_FIN_WAIT2 && !this.finWait2GivesWay) return false;
		const { twReuse } = this.settingsOf(me.net);
		const loopback =
			tw.device === LOOPBACK_DEVICE || tw.address >>> 24 === 127 || tw.peer >>> 24 === 127;
		if (twReuse === 0 || (twReuse === 2 && !loopback)) return false;
		return Math.floor(this.now / 1000) > tw.lastSegment;
	}

	/** The scans that a search makes until one of them finds a port. */
	scans(kind: number, me: Sock): Scan[] {
		const [first, last] = this.effectiveRange(me);
		const scan = (low: number, high: number, half: number, relax: boolean): Scan => {
			const size = high - low;
			return { low, high, remaining: size > 1 ? size - (size % 2) : size, half, relax };
		};
		const end = last + 1;
		if (kind !== SEARCH_BIND) return [scan(first, end, 0, false)];
		const scans: Scan[] = [];
		for (const relax of this.settingsOf(me.net).autobindReuse ? [false, true] : [false]) {
			if (me.reuseaddr && end - first >= 4) {
				// Sockets with SO_REUSEADDR keep to the lower half, an even number of ports, if they can.
				const middle = first + 2 * Math.floor((end - first) / 4);
				scans.push(scan(first, middle, 1, relax), scan(middle, end, 2, relax));
			} else {
				scans.push(scan(first, end, 0, relax));
			}
		}
		return scans;
	}
}

/** Whether a socket holds a four-tuple. */
export function isConnection(sock: Sock): boolean {
	return sock.state !== TCP_CLOSE && sock.state !== TCP_LISTEN && sock.port !== 0;
}

/** Keeps the diaries of a kernel's ports and takes pictures of its sockets. */
export class Oracle {
	/** By number of the namespace. */
	readonly settings = new Map<number, Settings>();
	/** Users of the sockets that files name. */
	readonly users = new Map<number, number>();
	/** VRF of each device that is one or belongs to one; the same in every namespace. */
	readonly vrfs = new Map<number, number>();
	private readonly diaries = new Map<string, readonly Join[]>();
	/** When each connection came, and what it was then. */
	private readonly arrivals = new Map<number, { what: string; arrival: number }>();
	private arrived = 0;

	constructor(private readonly kernel: Kernel) {}

	private sockets(): Sock[] {
		const S = this.kernel.sock;
		return S.handles().map((sk) => ({
			sk,
			net: S.skc_net[sk],
			state: S.skc_state[sk],
			device: S.skc_bound_dev_if[sk],
			l3mdev: this.vrfs.get(S.skc_bound_dev_if[sk]) ?? 0,
			address: S.skc_rcv_saddr[sk],
			port: S.skc_num[sk],
			peer: S.skc_daddr[sk],
			peerPort: S.skc_dport[sk],
			reuseaddr: S.skc_reuse[sk] !== 0,
			reuseport: S.skc_reuseport[sk] !== 0,
			grouped: S.sk_reuseport_cb[sk] !== 0,
			uid: this.users.get(sk) ?? 0,
			range: [S.local_port_range_lo[sk], S.local_port_range_hi[sk]],
			substate: S.tw_substate[sk],
			lastSegment: S.ts_recent_stamp[sk],
			arrival: this.arrivals.get(sk)?.arrival ?? 0,
		}));
	}

	world(): World {
		return new World(
			this.sockets(),
			new Map(this.diaries),
			new Map(this.settings),
			this.kernel.now,
			this.kernel.version === "6.3",
		);
	}

	/** A socket was given a port, or listens on its port: `me` is the socket as it asked. */
	join(me: Sock, port: number, by: Join["by"]): void {
		const key = portKey(me.net, me.l3mdev, port);
		this.diaries.set(key, [...(this.diaries.get(key) ?? []), { ...me, by }]);
	}

	/** After every call: notes who came, and forgets the past of ports without sockets. */
	settle(): void {
		const sockets = this.sockets();
		const owned = new Set(sockets.map((sock) => portKey(sock.net, sock.l3mdev, sock.port)));
		for (const key of this.diaries.keys()) if (!owned.has(key)) this.diaries.delete(key);

		const connections = new Map(
			sockets.filter(isConnection).map((sock) => {
				const { net, device, address, port, peer, peerPort, state } = sock;
				const kind = state === TCP_TIME_WAIT ? "time-wait" : "full";
				return [sock.sk, [kind, net, device, address, port, peer, peerPort].join(" ")];
			}),
		);
		for (const [sk, { what }] of this.arrivals) {
			if (connections.get(sk) !== what) this.arrivals.delete(sk);
		}
		for (const [sk, what] of connections) {
			if (this.arrivals.has(sk)) continue;
			this.arrived++;
			// The child of a listener queues up behind all others.
			const child = what.startsWith("full") && !this.users.has(sk);
			this.arrivals.set(sk, { what, arrival: child ? -this.arrived : this.arrived });
		}
	}
}
