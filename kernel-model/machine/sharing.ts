// SPDX-License-Identifier: GPL-2.0-or-later
/** Which sockets have a port, by which rule they share it, and how much of a range is left. */
import { tcp_or_dccp_get_hashinfo } from "../../include/net/inet_hashtables.js";
import { LOOPBACK_IFINDEX, type Net } from "../../include/net/net_namespace.js";
import { sk_net, sk_timer } from "../../include/net/sock.js";
import type { Stack } from "../../include/net/stack.js";
import { TCP_FIN_WAIT2, TCP_LISTEN, TCP_TIME_WAIT } from "../../include/net/tcp_states.js";
import { udp_hashslot, udp_port_hash } from "../../include/net/udp.js";
import {
	CANDIDATE_OK,
	CANDIDATE_RESERVED,
	SEARCH_BIND,
	SEARCH_UDP,
} from "../../include/trace/events/port_search.js";
import { IPPROTO_SCTP, IPPROTO_UDP, IPPROTO_UDPLITE } from "../../include/uapi/linux/in.js";
import { sock_i_uid } from "../../net/core/sock.js";
import { bindCandidate, inet_rcv_saddr_equal } from "../../net/ipv4/inet_connection_sock.js";
import {
	bindBucketFind,
	bindBucketOwners,
	connectCandidate,
} from "../../net/ipv4/inet_hashtables.js";
import { udp_get_table_prot, udpCandidate } from "../../net/ipv4/udp.js";
import { inet_sk_bound_l3mdev } from "../../net/l3mdev/l3mdev.js";
import { sctpCandidate } from "../../net/sctp/socket.js";
import { count, describeSock, plural, seconds, sockDestination, sockSource } from "./describe.js";
import type { Kernel } from "./kernel.js";
import { nth } from "./nth.js";

/**
 * Whether a sock is UDP's. UDP has one rule for ports that it chooses and ports that programs name.
 */
export function isUdp(k: Stack, sk: number): boolean {
	return k.sock.sk_protocol[sk] === IPPROTO_UDP || k.sock.sk_protocol[sk] === IPPROTO_UDPLITE;
}

export function isSctp(k: Stack, sk: number): boolean {
	return k.sock.sk_protocol[sk] === IPPROTO_SCTP;
}

/**
 * How a port is asked for: a program names it, the kernel's search chooses it, or the search
 * chooses it with ip_autobind_reuse.
 */
export type Asking = "named" | "chosen" | "relaxed";

/** Says why two sockets with SO_REUSEPORT do not share a port. */
function reuseportRule(k: Stack, sk: number, sk2: number): string {
	const users = [sock_i_uid(k, sk), sock_i_uid(k, sk2)];
	return users[0] === users[1]
		? "a member of a SO_REUSEPORT group does not join another one"
		: `SO_REUSEPORT needs the same user (${users.join(", ")})`;
}

/**
 * The rule that keeps two sockets from sharing a port: a rule of inet_bind_conflict,
 * udp_lib_lport_inuse or sctp_get_port_local.
 */
export function conflictRule(k: Stack, sk: number, sk2: number, asking: Asking): string {
	const S = k.sock;
	const reuse = S.skc_reuse[sk] !== 0 && S.skc_reuse[sk2] !== 0;
	const reuseport = S.skc_reuseport[sk] !== 0 && S.skc_reuseport[sk2] !== 0;
	const listens = S.skc_state[sk2] === TCP_LISTEN;
	if (!isUdp(k, sk) && asking === "chosen") return "a port that the kernel chooses is not shared";
	if (!isUdp(k, sk) && asking === "relaxed") {
		if (!reuse) return "not both have SO_REUSEADDR";
		return listens
			? "SO_REUSEADDR does not share with a listener"
			: "ip_autobind_reuse does not share a port of a SO_REUSEPORT socket of the same user";
	}
	const rules: string[] = [];
	if (reuseport) rules.push(reuseportRule(k, sk, sk2));
	if (reuse && listens) rules.push("SO_REUSEADDR does not share with a listener");
	if (rules.length > 0) return rules.join("; ");
	return "not both have SO_REUSEADDR, nor both SO_REUSEPORT";
}

/** The kernel function that finds the conflict of `sk` with another socket. */
export function conflictFunction(k: Stack, sk: number, fast: boolean): string {
	if (isUdp(k, sk)) return fast ? "udp_lib_lport_inuse2" : "udp_lib_lport_inuse";
	return isSctp(k, sk) ? "sctp_get_port_local" : "inet_bind_conflict";
}

/** The rule by which two sockets with overlapping addresses share a port; null if there is none. */
function sharingRule(k: Stack, sk: number, sk2: number): string | null {
	const S = k.sock;
	const listens = S.skc_state[sk2] === TCP_LISTEN;
	if (S.skc_reuse[sk] !== 0 && S.skc_reuse[sk2] !== 0 && (isUdp(k, sk) || !listens)) {
		return isUdp(k, sk)
			? "both have SO_REUSEADDR"
			: "both have SO_REUSEADDR, and the other one does not listen";
	}
	if (S.skc_reuseport[sk] === 0 || S.skc_reuseport[sk2] === 0) return null;
	if (S.skc_state[sk2] === TCP_TIME_WAIT)
		return "both have SO_REUSEPORT, and the other one is in TIME_WAIT";
	const uid = sock_i_uid(k, sk);
	return uid === sock_i_uid(k, sk2) ? `both have SO_REUSEPORT, of the same user (${uid})` : null;
}

/** Every socket on a port with the protocol, namespace and VRF of `sk`. */
export function portOwners(k: Stack, sk: number, port: number): number[] {
	const S = k.sock;
	const net = sk_net(k, sk);
	if (isUdp(k, sk)) {
		const owners: number[] = [];
		const table = udp_get_table_prot(k, sk);
		let sk2 = nth(table.hash, udp_hashslot(table, net, port));
		for (; sk2 !== 0; sk2 = nth(S.node_next, sk2)) {
			if (S.skc_net[sk2] === net.id && udp_port_hash(S, sk2) === port) owners.push(sk2);
		}
		return owners;
	}
	if (isSctp(k, sk)) return [];
	const hinfo = tcp_or_dccp_get_hashinfo(k, sk);
	const l3mdev = inet_sk_bound_l3mdev(net, nth(S.skc_bound_dev_if, sk));
	const tb = bindBucketFind(hinfo, net, port, l3mdev);
	return tb === 0 ? [] : bindBucketOwners(k, hinfo, tb);
}

/** The sockets of a namespace that listen on a port. */
export function listenersOn({ sock: S }: Stack, net: number, port: number): number[] {
	const listeners: number[] = [];
	for (let sk = 1; sk < S.limit; sk++) {
		if (S.skc_state[sk] !== TCP_LISTEN || S.skc_num[sk] !== port) continue;
		if (S.skc_net[sk] === net) listeners.push(sk);
	}
	return listeners;
}

/** Most sockets that are named one by one. */
const EXAMPLES = 3;

/**
 * Says with which sockets a socket shares its port after bind() or listen(), and by which rule.
 * `why` is the reason given if no rule applies.
 */
export function describeSharing(k: Kernel, sk: number, port: number, why: string): string[] {
	const S = k.sock;
	const dev = S.skc_bound_dev_if[sk];
	const lines: string[] = [];
	const rest = new Map<string, number>();
	for (const sk2 of portOwners(k, sk, port)) {
		const dev2 = S.skc_bound_dev_if[sk2];
		if (sk2 === sk || (dev !== 0 && dev2 !== 0 && dev !== dev2)) continue;
		if (!inet_rcv_saddr_equal(k, sk, sk2, true)) continue;
		const rule = sharingRule(k, sk, sk2) ?? `by no rule: ${why}`;
		if (lines.length < EXAMPLES) {
			lines.push(`port ${port} is shared with ${describeSock(k, sk2)}: ${rule}`);
		} else rest.set(rule, (rest.get(rule) ?? 0) + 1);
	}
	for (const [rule, n] of rest) lines.push(`  and with ${plural(n, "more socket")}: ${rule}`);
	return lines;
}

/** Says with which sockets a connection will share its port. */
export function describeConnections(k: Kernel, sk: number, port: number): string[] {
	const owners = portOwners(k, sk, port).filter(
		(sk2) => sk2 !== sk && k.sock.skc_state[sk2] !== TCP_TIME_WAIT,
	);
	const [first] = owners;
	if (first === undefined) return [];
	const others = plural(owners.length, "other connection");
	const eg = owners.length === 1 ? ":" : ", e.g.";
	return [
		`port ${port} is shared with ${others}${eg} ${describeSock(k, first)}: each has its four-tuple`,
	];
}

/** Time until a time-wait socket expires, ms. */
function timeLeft(k: Kernel, tw: number): number {
	return Math.max((k.timers.expiry(sk_timer(tw)) ?? k.now) - k.now, 0);
}

function isLoopback(k: Stack, tw: number): boolean {
	const to = sockDestination(k, tw);
	const loopback = (address: string) =>
		/^(127\.|\[::ffff:127\.)/.test(address) || /^\[::1\]/.test(address);
	const { skc_bound_dev_if } = k.sock;
	return skc_bound_dev_if[tw] === LOOPBACK_IFINDEX || loopback(to) || loopback(sockSource(k, tw));
}

/** Time since the last segment of a time-wait socket, ms. */
function sinceLast(k: Kernel, tw: number): number {
	return k.now - nth(k.sock.ts_recent_ms, tw);
}

/** "tcp_tw_reuse is 2 (over loopback only)". */
function describeTwReuse(net: Net): string {
	const reuse = net.ipv4.sysctl_tcp_tw_reuse;
	const meaning = ["never", "always", "over loopback only"][reuse] ?? "";
	return `tcp_tw_reuse is ${reuse} (${meaning})`;
}

/**
 * Says why the four-tuple of a time-wait socket cannot be reused now, and when it can:
 * tcp_twsk_unique.
 */
export function describeTimeWait(k: Kernel, tw: number): string {
	const S = k.sock;
	const net = sk_net(k, tw);
	const reuse = net.ipv4.sysctl_tcp_tw_reuse;
	const ends = `it ends in ${seconds(timeLeft(k, tw))}`;
	if (S.ts_recent_stamp[tw] === 0) return `it has no time stamps; ${ends}`;
	// since 6.12, 0d9e5df4a257
	if (k.changes.has("tw-fin-wait2-not-reused") && S.tw_substate[tw] === TCP_FIN_WAIT2) {
		return `it is in FIN_WAIT2, which tcp_tw_reuse does not cover; ${ends}`;
	}
	if (reuse === 0) return `${describeTwReuse(net)}; ${ends}`;
	if (reuse === 2 && !isLoopback(k, tw)) {
		return `${describeTwReuse(net)}, and the connection is not over loopback; ${ends}`;
	}
	const passed = sinceLast(k, tw);
	// since 6.14, ca6a6f93867a
	if (k.changes.has("tcp-tw-reuse-delay")) {
		const delay = net.ipv4.sysctl_tcp_tw_reuse_delay;
		const free = `it may be reused in ${seconds(Math.max(delay - passed, 0) + 1)}`;
		return `${describeTwReuse(net)} and tcp_tw_reuse_delay is ${delay} ms, of which ${Math.floor(passed)} have passed; ${free}`;
	}
	const free = `it may be reused in ${seconds(1000 - (k.now % 1000))}`;
	return `${describeTwReuse(net)}, but only in a later second than its last segment came; ${free}`;
}

/** Says that a connection takes the four-tuple of a time-wait socket, and why it may. */
export function describeTakeOver(k: Kernel, tw: number): string {
	const net = sk_net(k, tw);
	const delay = k.changes.has("tcp-tw-reuse-delay") // since 6.14, ca6a6f93867a
		? `, more than tcp_tw_reuse_delay (${net.ipv4.sysctl_tcp_tw_reuse_delay} ms)`
		: ", and the second has changed";
	const last = `its last segment came ${seconds(sinceLast(k, tw))} ago${delay}`;
	return `it takes over the four-tuple of ${describeSock(k, tw)}: ${describeTwReuse(net)}, ${last}`;
}

/** The verdict of a search on one port now: CANDIDATE_*. */
export function searchVerdict(
	k: Kernel,
	kind: number,
	sk: number,
	port: number,
	relax: boolean,
): number {
	const net = sk_net(k, sk);
	if (kind === SEARCH_UDP) return udpCandidate(k, net, sk, port);
	if (isSctp(k, sk)) return sctpCandidate(k, net, port);
	const l3mdev = inet_sk_bound_l3mdev(net, nth(k.sock.skc_bound_dev_if, sk));
	return kind === SEARCH_BIND
		? bindCandidate(k, net, sk, port, l3mdev, relax)
		: connectCandidate(k, net, sk, port, l3mdev);
}

/**
 * "of the 4 ports 40000-40003 now 0 are free, 2 taken, 1 reserved, 1 in TIME_WAIT (ends in 57.2
 * s)": the state of the range for one search. `chosen` is the port that the search chose. Keeps the
 * results of the search unchanged.
 */
export function describeRange(
	k: Kernel,
	kind: number,
	sk: number,
	low: number,
	high: number,
	relax: boolean,
	chosen = 0,
): string {
	const { low: k_low, high: k_high, found_port, found_tb, found_tb2, found_tw, blocker, draws } = k;
	k.draws = k.ownDraws;
	let free = 0;
	let taken = 0;
	let reserved = 0;
	const ends: number[] = [];
	for (let port = low; port <= high; port++) {
		// The socket may already have the chosen port.
		const verdict = port === chosen ? CANDIDATE_OK : searchVerdict(k, kind, sk, port, relax);
		const waits = verdict !== CANDIDATE_OK && k.sock.skc_state[k.blocker] === TCP_TIME_WAIT;
		if (verdict === CANDIDATE_OK) free++;
		else if (verdict === CANDIDATE_RESERVED) reserved++;
		else if (waits && !isUdp(k, sk)) ends.push(timeLeft(k, k.blocker));
		else taken++;
	}
	Object.assign(k, { low: k_low, high: k_high, found_port, found_tb, found_tb2, found_tw });
	Object.assign(k, { blocker, draws });
	const first = seconds(ends.reduce((a, b) => Math.min(a, b), Number.POSITIVE_INFINITY));
	const last = seconds(ends.reduce((a, b) => Math.max(a, b), 0));
	let until = "";
	if (ends.length === 1) until = ` (ends in ${first})`;
	else if (ends.length > 1 && first === last) until = ` (all end in ${first})`;
	else if (ends.length > 1) until = ` (the first ends in ${first}, the last in ${last})`;
	const all = plural(high - low + 1, "port");
	const counts = `${count(free)} free, ${count(taken)} taken, ${count(reserved)} reserved`;
	const waiting =
		isUdp(k, sk) || isSctp(k, sk) ? "" : `, ${count(ends.length)} in TIME_WAIT${until}`;
	return `of the ${all} ${low}-${high} at this moment: ${counts}${waiting}`;
}
