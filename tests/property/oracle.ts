// SPDX-License-Identifier: GPL-2.0-or-later
/**
 * A second opinion on ports, written from the rules: it walks plain lists of sockets and keeps a
 * diary of each port. It does not use buckets, hash tables or chains, and shares no code with net/,
 * so it does not repeat mistakes of net/.
 */
import { AF_INET } from "../../include/linux/socket.js";
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
	SEARCH_UDP,
} from "../../include/trace/events/port_search.js";
import {
	IPPROTO_TCP,
	IPPROTO_UDP,
	IPPROTO_UDPLITE,
	type Kernel,
} from "../../kernel-model/index.js";
import { type Addr, ANY4, addr, addr4, addr6, type Family, portaddrHash } from "./addresses.js";

const LOOPBACK_DEVICE = 1;
/** UDP searches a port with a longer chain by address. */
const LONG_CHAIN = 10;
/** The IPv4 address as which IPv4 sockets see an IPv6 address. */
const STAND_IN = addr("127.0.0.6");

export type Protocol = "tcp" | "udp" | "udplite";

const PROTOCOLS: Readonly<Record<number, Protocol>> = {
	[IPPROTO_TCP]: "tcp",
	[IPPROTO_UDP]: "udp",
	[IPPROTO_UDPLITE]: "udplite",
};

/** The settings of a namespace, as the program has written them. */
export interface Settings {
	range: readonly [number, number];
	reserved: ReadonlySet<number>;
	autobindReuse: boolean;
	twReuse: number;
	nonlocalBind: boolean;
	/** net.ipv6.ip_nonlocal_bind. */
	nonlocalBind6: boolean;
}

/** What decides which addresses a socket has. */
interface Place {
	family: Family;
	/** The socket is IPv6 only. */
	v6only: boolean;
	address: Addr;
}

/** One row of the table of sockets. */
export interface Sock extends Place {
	sk: number;
	protocol: Protocol;
	net: number;
	state: number;
	device: number;
	/** The VRF of the socket's device, 0 if none. */
	l3mdev: number;
	port: number;
	peer: Addr;
	peerPort: number;
	reuseaddr: boolean;
	reuseport: boolean;
	/** The socket is in a reuseport group. */
	grouped: boolean;
	/** The user of the socket's file; root if it has no file. */
	uid: number;
	/** IP_LOCAL_PORT_RANGE. */
	range: readonly [number, number];
	/** The substate of a time-wait socket. */
	substate: number;
	/** The second of the last segment of a time-wait socket. */
	lastSegment: number;
	/** Sequence number. A connection: when it was made. A UDP socket: when it got its port. */
	arrival: number;
	/** A UDP socket: sequence number of when it got its address. */
	moved: number;
}

/** The state of a socket when bind(), connect() or listen() gave it a port. */
interface Join extends Place {
	by: "bind" | "connect" | "listen";
	reuseaddr: boolean;
	reuseport: boolean;
	grouped: boolean;
	uid: number;
}

/** The kernel's memory of the sockets that joined a port. -1 means that only connect() did. */
interface Marks {
	fastreuse: number;
	/** 0 none, 1 any address of the user, 2 only addresses that the remembered one covers. */
	fastreuseport: number;
	/** The last socket that the kernel had to look at. */
	who: Place & { uid: number };
}

/**
 * One scan of a search over ports from `low` to below `high`. Each pass tries `remaining` / 2.
 */
export interface Scan {
	low: number;
	high: number;
	remaining: number;
	half: number;
	relax: boolean;
}

export interface Verdict {
	verdict: number;
	/** Each of these sockets may be named as the conflicting one. */
	blockers: readonly Sock[];
}

/** The number, namespace and VRF of a port. Together they identify a port of TCP. */
export function portKey(net: number, l3mdev: number, port: number): string {
	return `${net}/${l3mdev}/${port}`;
}

/** The IPv4 destination address of packets to a socket; 0 for every address, null for none. */
function ipv4Of({ v6only, address }: Place): number | null {
	if (v6only) return null;
	return address.kind === "IPv6" && address.wildcard ? 0 : address.v4;
}

/** The IPv6 destination address; :: for every address. */
function ipv6Of({ address }: Place): Addr | null {
	return address.kind === "IPv6" ? address : null;
}

/** Whether packets to one IPv4 or IPv6 address can reach both sockets. */
export function addressesMeet(a: Place, b: Place): boolean {
	const [a4, b4] = [ipv4Of(a), ipv4Of(b)];
	if (a4 !== null && b4 !== null && (a4 === b4 || a4 === 0 || b4 === 0)) return true;
	const [a6, b6] = [ipv6Of(a), ipv6Of(b)];
	return a6 !== null && b6 !== null && (a6 === b6 || a6.wildcard || b6.wildcard);
}

/**
 * The same if a new socket looks at every socket in turn. A new IPv4 socket treats a socket on an
 * IPv6 address that is open to IPv4 as a socket on 127.0.0.6. Only connections are such sockets,
 * because bind() to an IPv6 address closes a socket to IPv4.
 */
function meetsOneByOne(me: Place, other: Place): boolean {
	if (addressesMeet(me, other)) return true;
	const mistaken = me.family === 4 && other.address.kind === "IPv6" && !other.address.wildcard;
	return mistaken && addressesMeet(me, { ...other, address: STAND_IN });
}

/**
 * A remembered address covers another one if every socket that conflicts with the other also
 * conflicts with it. Two :: always do. :: counts as 0.0.0.0 for a remembered IPv4 address.
 */
function covers(old: Place, me: Place): boolean {
	if (old.family === 4) {
		const mine = me.address.v4 ?? (me.address.wildcard ? 0 : STAND_IN.v4);
		return !me.v6only && (old.address === ANY4 || old.address.v4 === mine);
	}
	if (old.address.kind === "mapped") {
		return me.address.v4 !== null && (old.address.wildcard || old.address.v4 === me.address.v4);
	}
	if (old.address.wildcard) return me.address.v4 === null || !old.v6only;
	return old.address === me.address;
}

/**
 * A socket with SO_REUSEPORT passes if the port remembers a socket of the same user that covers it.
 */
function remembered({ fastreuseport, who }: Marks, me: Join): boolean {
	if (fastreuseport <= 0 || !me.reuseport || me.grouped || who.uid !== me.uid) return false;
	return fastreuseport === 1 || covers(who, me);
}

/** SO_REUSEADDR has no effect on a listener. */
function effectiveReuse(join: Join): boolean {
	return join.reuseaddr && join.by !== "listen";
}

/** The memory of a port since it got its first owner. */
export function marksOf(joins: readonly Join[]): Marks {
	const [first, ...others] = joins;
	const marks: Marks = { fastreuse: -1, fastreuseport: -1, who: first };
	const remember = (join: Join, fastreuseport: number) => {
		marks.fastreuseport = fastreuseport;
		marks.who = join;
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

/** Sockets on different devices do not conflict. */
function devicesMeet(a: Sock, b: Sock): boolean {
	return a.device === 0 || b.device === 0 || a.device === b.device;
}

/**
 * Whether two TCP sockets whose addresses meet cannot share a port. `relax`: SO_REUSEADDR of
 * both helps, unless the other listens. `chosen`: the program chose the port, so that
 * SO_REUSEPORT of both helps, if they are one user's or the other is in TIME_WAIT.
 */
function conflict(me: Sock, other: Sock, relax: boolean, chosen: boolean): boolean {
	if (!devicesMeet(me, other)) return false;
	const sameUser = other.state === TCP_TIME_WAIT || other.uid === me.uid;
	const group = me.reuseport && other.reuseport && !me.grouped && sameUser;
	if (me.reuseaddr && other.reuseaddr && other.state !== TCP_LISTEN) {
		// Reuse would let the socket in, but a search avoids the ports of a group.
		return !relax || (!chosen && group);
	}
	return !chosen || !group;
}

/** Whether a UDP socket conflicts with another on its port, apart from SO_REUSEPORT. */
function udpMeets(me: Sock, other: Sock): boolean {
	if (me.reuseaddr && other.reuseaddr) return false;
	return devicesMeet(me, other) && meetsOneByOne(me, other);
}

/** SO_REUSEPORT of both lets sockets of one user share. */
function udpShares(me: Sock, other: Sock): boolean {
	return me.reuseport && other.reuseport && !me.grouped && me.uid === other.uid;
}

/** The ports of one pass, in order: every other port from the start, wrapping around at the end. */
function passFrom(scan: Scan, start: number): number[] {
	const ports: number[] = [];
	for (let step = 0; step < scan.remaining; step += 2) {
		const port = start + step;
		ports.push(port < scan.high ? port : port - scan.remaining);
	}
	return ports;
}

/**
 * The passes of a scan that starts at an offset: bind() tries odd offsets first, connect() even
 * ones.
 */
export function passes(kind: number, scan: Scan, offset: number): number[][] {
	const even = passFrom(scan, scan.low + (offset & ~1));
	if (kind !== SEARCH_BIND && scan.remaining === 1) return [even];
	const odd = passFrom(scan, scan.low + (offset | 1));
	return kind === SEARCH_BIND ? [odd, even] : [even, odd];
}

/**
 * Every port of a range in the order of UDP's search, for one random u32. The u32 selects a port of
 * the range. The search advances by an odd multiple of the table's size until it is back, then
 * continues with the next port.
 */
export function udpOrder(low: number, high: number, rand: number, slots: number): number[] {
	const start = low + Math.floor((rand * (high - low + 1)) / 2 ** 32);
	const leaps = rand % 2 === 0 ? rand + 1 : rand;
	const leap = Number((BigInt(leaps) * BigInt(slots)) % 65536n);
	const ports: number[] = [];
	for (let chain = 0; chain < slots; chain++) {
		for (let i = 0; i < 65536 / slots; i++) {
			const port = (start + chain + i * leap) % 65536;
			if (low <= port && port <= high) ports.push(port);
		}
	}
	return ports;
}

/** The parts of a Moment. */
interface Contents {
	sockets: readonly Sock[];
	diaries: ReadonlyMap<string, readonly Join[]>;
	settings: ReadonlyMap<number, Settings>;
	now: number;
	/** The family of the first socket on the IPv4 wildcard of a port, by portKey. */
	wildcardFamilies: ReadonlyMap<string, Family>;
	kernel: Kernel;
}

/** The state at one moment: every socket, every port's diary, every setting. */
export class Moment {
	readonly sockets: readonly Sock[];
	/** The diary of each port, by portKey. */
	readonly diaries: ReadonlyMap<string, readonly Join[]>;
	/** The kernel of the option, not a later one. */
	private readonly base: boolean;
	/** Slots of UDP's tables. */
	private readonly slots: number;

	constructor(private readonly contents: Contents) {
		this.sockets = contents.sockets;
		this.diaries = contents.diaries;
		this.base = contents.kernel.version === "6.3";
		this.slots = contents.kernel.udp_table.hash.length;
	}

	find(sk: number): Sock {
		const found = this.sockets.find((sock) => sock.sk === sk);
		if (found === undefined) throw new Error(`no socket ${sk}`);
		return found;
	}

	settingsOf(net: number): Settings {
		const found = this.contents.settings.get(net);
		if (found === undefined) throw new Error(`no namespace ${net}`);
		return found;
	}

	/**
	 * The other sockets on a port: for TCP of the socket's namespace and VRF, for UDP of its
	 * namespace.
	 */
	private on(me: Sock, port: number): Sock[] {
		return this.sockets.filter(
			(other) =>
				other.sk !== me.sk &&
				other.protocol === me.protocol &&
				other.net === me.net &&
				(other.l3mdev === me.l3mdev || me.protocol !== "tcp") &&
				other.port === port,
		);
	}

	/**
	 * The effective range, both bounds inclusive. A bound of the socket counts if it lies in the
	 * remaining range.
	 */
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

	/**
	 * Whether TCP searches conflicts by address and by the wildcard, instead of checking every
	 * owner of the port.
	 */
	private byAddress({ address }: Sock): boolean {
		if (address.wildcard) return false;
		return address.kind !== "mapped" || !this.base;
	}

	private meets(me: Sock, other: Sock): boolean {
		return this.byAddress(me)
			? addressesMeet(me, other) && !this.missed(me, other)
			: meetsOneByOne(me, other);
	}

	/** Sockets with a conflicting address that TCP's search by address does not find. */
	private missed(me: Sock, other: Sock): boolean {
		// The base looks at sockets of the same family only.
		if (this.base) return me.family !== other.family;
		// Later kernels look at ::, and at 0.0.0.0 for a mapped address. For a mapped address
		// they miss ::ffff:0.0.0.0, and sockets that came to 0.0.0.0 after a socket on it.
		if (me.address.kind !== "mapped" || other.address.v4 !== 0) return false;
		const key = portKey(other.net, other.l3mdev, other.port);
		return this.contents.wildcardFamilies.get(key) === 6;
	}

	private blockers(me: Sock, port: number, relax: boolean, chosen: boolean): Sock[] {
		return this.on(me, port).filter(
			(other) => this.meets(me, other) && conflict(me, other, relax, chosen),
		);
	}

	/**
	 * bind() to a port, or listen() on it. `fast`: the port's memory lets a TCP socket pass, or
	 * a UDP socket's port is looked for by address.
	 */
	explicit(me: Sock, port: number, by: "bind" | "listen"): Verdict & { fast: boolean } {
		if (me.protocol !== "tcp") return this.explicitUdp(me, port);
		const diary = this.diaries.get(portKey(me.net, me.l3mdev, port));
		if (diary !== undefined) {
			const marks = marksOf(diary);
			const join = { ...me, by };
			if ((marks.fastreuse > 0 && effectiveReuse(join)) || remembered(marks, join)) {
				return { verdict: CANDIDATE_OK, blockers: [], fast: true };
			}
		}
		const blockers = this.blockers(me, port, true, true);
		return { ...this.bindVerdict(me, blockers), fast: false };
	}

	private bindVerdict(me: Sock, blockers: readonly Sock[]): Verdict {
		if (blockers.length === 0) return { verdict: CANDIDATE_OK, blockers };
		// A search by address looks for wildcard sockets first.
		const wildcard = blockers.filter((other) => other.address.wildcard);
		return this.byAddress(me) && wildcard.length > 0
			? { verdict: CANDIDATE_CONFLICT_ANY, blockers: wildcard }
			: { verdict: CANDIDATE_CONFLICT, blockers };
	}

	/**
	 * UDP checks the sockets on the port one after another, the last one first (but see
	 * letsOthersGoFirst). It stops at the first conflict. If SO_REUSEPORT resolves this conflict,
	 * the others are not checked.
	 */
	private explicitUdp(me: Sock, port: number): Verdict & { fast: boolean } {
		const others = this.on(me, port).sort((a, b) => b.arrival - a.arrival);
		const firstOf = (asked: readonly Sock[]) => {
			const first = asked.find((other) => udpMeets(me, other));
			return first === undefined || udpShares(me, first) ? null : first;
		};
		const fast = this.chainIsLong(me, port);
		let first = fast ? null : firstOf(others);
		if (fast) {
			// Checks only the sockets of its own address, then those of the wildcard. The last one
			// on the address comes first.
			const slots = [this.second(me.net, me.address, port), this.second(me.net, ANY4, port)];
			for (const slot of new Set(slots)) {
				const asked = others
					.filter((other) => this.second(other.net, other.address, port) === slot)
					.sort((a, b) => b.moved - a.moved);
				first ??= firstOf(asked);
			}
		}
		return first === null
			? { verdict: CANDIDATE_OK, blockers: [], fast }
			: { verdict: CANDIDATE_CONFLICT, blockers: [first], fast };
	}

	/** Whether more than ten sockets have this port, or a port on the same chain of the table. */
	private chainIsLong(me: Sock, port: number): boolean {
		if (!this.base && me.address.wildcard) return false;
		const first = (sock: { net: number; port: number }) =>
			(sock.port + this.contents.kernel.nets[sock.net - 1].hash_mix) % this.slots;
		const chain = this.sockets.filter(
			(other) =>
				other.protocol === me.protocol &&
				other.port !== 0 &&
				first(other) === first({ net: me.net, port }),
		);
		return chain.length > LONG_CHAIN;
	}

	/** The chain of an address and a port in UDP's table. */
	private second(net: number, address: Addr, port: number): number {
		return portaddrHash(this.contents.kernel.nets[net - 1], address, port) & (this.slots - 1);
	}

	/** The verdict of a search on a port. */
	candidate(kind: number, me: Sock, port: number, relax: boolean): Verdict {
		if (kind === SEARCH_UDP) {
			// All sockets are checked here.
			const blockers = this.on(me, port).filter(
				(other) => udpMeets(me, other) && !udpShares(me, other),
			);
			if (blockers.length > 0) return { verdict: CANDIDATE_CONFLICT, blockers };
		}
		if (this.isReserved(me, port)) return { verdict: CANDIDATE_RESERVED, blockers: [] };
		if (kind === SEARCH_UDP) return { verdict: CANDIDATE_OK, blockers: [] };
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
	 * Whether a connection from a port is possible: its four-tuple is free on its device, or a
	 * time-wait socket that gives way holds it. `bound`: the port was chosen before connect().
	 */
	tuple(me: Sock, port: number, bound: boolean): Verdict {
		const holders = this.sockets.filter(
			(other) =>
				other.sk !== me.sk &&
				isConnection(other) &&
				other.net === me.net &&
				other.port === port &&
				other.peerPort === me.peerPort &&
				sameAddress(other.peer, me.peer) &&
				sameAddress(other.address, me.address) &&
				// A socket without a device holds the tuple for all sockets outside VRFs.
				(other.device === 0 ? me.l3mdev === 0 : [me.device, me.l3mdev].includes(other.device)),
		);
		// With devices several sockets can hold the tuple. The kernel checks only the last one.
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
		// Later kernels do not reuse one that still waits for the peer's FIN.
		if (tw.substate === TCP_FIN_WAIT2 && !this.base) return false;
		const { twReuse } = this.settingsOf(me.net);
		const loopback = tw.device === LOOPBACK_DEVICE || isLoopback(tw.address) || isLoopback(tw.peer);
		if (twReuse === 0 || (twReuse === 2 && !loopback)) return false;
		return Math.floor(this.contents.now / 1000) > tw.lastSegment;
	}

	/** The scans that a search makes until one of them finds a port. */
	scans(kind: number, me: Sock): Scan[] {
		const [first, last] = this.effectiveRange(me);
		const end = last + 1;
		const scan = (low: number, high: number, half: number, relax: boolean): Scan => {
			const size = high - low;
			const even = size > 1 && kind !== SEARCH_UDP;
			return { low, high, remaining: even ? size - (size % 2) : size, half, relax };
		};
		if (kind !== SEARCH_BIND) return [scan(first, end, 0, false)];
		const scans: Scan[] = [];
		for (const relax of this.settingsOf(me.net).autobindReuse ? [false, true] : [false]) {
			if (me.reuseaddr && end - first >= 4) {
				// Sockets with SO_REUSEADDR keep to the lower half, an even number of ports, if
				// they can.
				const middle = first + 2 * Math.floor((end - first) / 4);
				scans.push(scan(first, middle, 1, relax), scan(middle, end, 2, relax));
			} else {
				scans.push(scan(first, end, 0, relax));
			}
		}
		return scans;
	}

	/** The order in which UDP's search goes through a range, for the number that it drew. */
	udpOrder(me: Sock, rand: number): number[] {
		const [low, high] = this.effectiveRange(me);
		return udpOrder(low, high, rand, this.slots);
	}
}

/** An IPv4 address and its v4-mapped form are the same end of a connection. */
function sameAddress(a: Addr, b: Addr): boolean {
	return a === b || (a.v4 !== null && a.v4 === b.v4);
}

function isLoopback({ v4, text }: Addr): boolean {
	return v4 !== null ? v4 >>> 24 === 127 : text === "::1";
}

/** An IPv6 socket with SO_REUSEPORT is checked after all sockets that were there before it. */
function letsOthersGoFirst({ family, reuseport }: Sock): boolean {
	return family === 6 && reuseport;
}

/** Whether a socket holds a four-tuple. */
export function isConnection({ protocol, state, port }: Sock): boolean {
	return protocol === "tcp" && state !== TCP_CLOSE && state !== TCP_LISTEN && port !== 0;
}

/** Keeps the diaries of a kernel's ports and takes snapshots of its sockets. */
export class Oracle {
	/** Settings by number of the namespace. */
	readonly settings = new Map<number, Settings>();
	/** Users of the sockets that files name. */
	readonly users = new Map<number, number>();
	/** The VRF of each device that is a VRF or is in one. The same in every namespace. */
	readonly vrfs = new Map<number, number>();
	private readonly diaries = new Map<string, readonly Join[]>();
	/**
	 * Sequence number and state of each connection when it was made, or of each UDP socket when it
	 * got its port.
	 */
	private readonly arrivals = new Map<number, { what: string; arrival: number }>();
	/** When each UDP socket came to its address. */
	private readonly moves = new Map<number, { address: Addr; moved: number }>();
	private wildcardFamilies = new Map<string, Family>();
	private arrived = 0;

	constructor(private readonly kernel: Kernel) {}

	private sockets(): Sock[] {
		const S = this.kernel.sock;
		return S.handles().map((sk) => {
			const v4 = S.skc_family[sk] === AF_INET;
			return {
				sk,
				protocol: PROTOCOLS[S.sk_protocol[sk]],
				family: v4 ? 4 : 6,
				v6only: S.skc_ipv6only[sk] !== 0,
				net: S.skc_net[sk],
				state: S.skc_state[sk],
				device: S.skc_bound_dev_if[sk],
				l3mdev: this.vrfs.get(S.skc_bound_dev_if[sk]) ?? 0,
				address: v4 ? addr4(S.skc_rcv_saddr[sk]) : addr6(S.skc_v6_rcv_saddr, sk * 4),
				port: S.skc_num[sk],
				peer: v4 ? addr4(S.skc_daddr[sk]) : addr6(S.skc_v6_daddr, sk * 4),
				peerPort: S.skc_dport[sk],
				reuseaddr: S.skc_reuse[sk] !== 0,
				reuseport: S.skc_reuseport[sk] !== 0,
				grouped: S.sk_reuseport_cb[sk] !== 0,
				uid: this.users.get(sk) ?? 0,
				range: [S.local_port_range_lo[sk], S.local_port_range_hi[sk]],
				substate: S.tw_substate[sk],
				lastSegment: S.ts_recent_stamp[sk],
				arrival: this.arrivals.get(sk)?.arrival ?? 0,
				moved: this.moves.get(sk)?.moved ?? 0,
			};
		});
	}

	moment(sockets: readonly Sock[] = this.sockets()): Moment {
		return new Moment({
			sockets,
			diaries: new Map(this.diaries),
			settings: new Map(this.settings),
			now: this.kernel.now,
			wildcardFamilies: this.wildcardFamilies,
			kernel: this.kernel,
		});
	}

	/** A TCP socket got a port, or listens on its port. `me` is its state before the call. */
	join(me: Sock, port: number, by: Join["by"]): void {
		const key = portKey(me.net, me.l3mdev, port);
		this.diaries.set(key, [...(this.diaries.get(key) ?? []), { ...me, by }]);
	}

	/**
	 * After every call: notes new sockets, and forgets the diaries of ports without sockets.
	 * `connected`: the socket before the call, if the call was a connect() that reached the port
	 * search. Returns the current moment.
	 */
	settle(connected: Sock | null): Moment {
		const sockets = this.sockets();
		const tcp = sockets.filter(({ protocol, port }) => protocol === "tcp" && port !== 0);
		const owned = new Set(tcp.map((sock) => portKey(sock.net, sock.l3mdev, sock.port)));
		for (const key of this.diaries.keys()) if (!owned.has(key)) this.diaries.delete(key);
		this.settleWildcards(tcp, connected);
		this.settleArrivals(sockets);
		this.settleMoves(sockets, connected);
		for (const sock of sockets) {
			sock.arrival = this.arrivals.get(sock.sk)?.arrival ?? 0;
			sock.moved = this.moves.get(sock.sk)?.moved ?? 0;
		}
		return this.moment(sockets);
	}

	/** The IPv4 wildcard of a port has the family of the first socket on it. */
	private settleWildcards(tcp: readonly Sock[], connected: Sock | null): void {
		const families = new Map<string, Family>();
		for (const sock of tcp.filter(({ address }) => address.v4 === 0)) {
			const key = portKey(sock.net, sock.l3mdev, sock.port);
			const alone = !tcp.some(
				(other) =>
					other.sk !== sock.sk &&
					other.address.v4 === 0 &&
					portKey(other.net, other.l3mdev, other.port) === key,
			);
			// A connection that failed has left the wildcard for a while.
			const back = alone && sock.sk === connected?.sk;
			families.set(key, (back ? undefined : this.wildcardFamilies.get(key)) ?? sock.family);
		}
		this.wildcardFamilies = families;
	}

	private settleArrivals(sockets: readonly Sock[]): void {
		const there = new Map<number, string>();
		const udpLast = new Set<number>();
		for (const sock of sockets) {
			const { sk, protocol, net, device, address, port, peer, peerPort, state } = sock;
			if (isConnection(sock)) {
				const kind = state === TCP_TIME_WAIT ? "time-wait" : "full";
				const tuple = [device, address.text, port, peer.text, peerPort];
				there.set(sk, [kind, net, ...tuple].join(" "));
			} else if (protocol !== "tcp" && port !== 0) {
				there.set(sk, `${protocol} ${net} ${port}`);
				if (letsOthersGoFirst(sock)) udpLast.add(sk);
			}
		}
		for (const [sk, { what }] of this.arrivals) {
			if (there.get(sk) !== what) this.arrivals.delete(sk);
		}
		for (const [sk, what] of there) {
			if (this.arrivals.has(sk)) continue;
			this.arrived++;
			// A child of a listener comes after all others, and so does a UDP socket that lets
			// others go first.
			const last = what.startsWith("full") ? !this.users.has(sk) : udpLast.has(sk);
			this.arrivals.set(sk, { what, arrival: last ? -this.arrived : this.arrived });
		}
	}

	private settleMoves(sockets: readonly Sock[], connected: Sock | null): void {
		const there = new Set<number>();
		for (const sock of sockets) {
			if (sock.protocol === "tcp" || sock.port === 0) continue;
			there.add(sock.sk);
			const { sk, net, port, address } = sock;
			const old = this.moves.get(sk);
			if (old?.address === address) continue;
			const slot = (of: Addr) => portaddrHash(this.kernel.nets[net - 1], of, port);
			const sameSlot = (of: Addr) =>
				((slot(of) ^ slot(address)) & this.kernel.udp_table.mask) === 0;
			if (old !== undefined && sameSlot(old.address)) {
				this.moves.set(sk, { address, moved: old.moved });
				continue;
			}
			// A socket that comes from another address does not: connect() chooses the port before
			// the address.
			const came = connected?.sk === sk && !sameSlot(connected.address);
			const last = old === undefined && letsOthersGoFirst(sock) && !came;
			this.arrived++;
			this.moves.set(sk, { address, moved: last ? -this.arrived : this.arrived });
		}
		for (const sk of this.moves.keys()) if (!there.has(sk)) this.moves.delete(sk);
	}
}
