// SPDX-License-Identifier: GPL-2.0-or-later
/** The sockets of a namespace, as `ss -anp` prints them. */
import { AF_INET6 } from "../../include/linux/socket.js";
import type { Net } from "../../include/net/net_namespace.js";
import { sk_timer } from "../../include/net/sock.js";
import {
	TCP_CLOSE,
	TCP_CLOSE_WAIT,
	TCP_CLOSING,
	TCP_ESTABLISHED,
	TCP_FIN_WAIT1,
	TCP_FIN_WAIT2,
	TCP_LAST_ACK,
	TCP_LISTEN,
	TCP_NEW_SYN_RECV,
	TCP_SYN_RECV,
	TCP_SYN_SENT,
	TCP_TIME_WAIT,
} from "../../include/net/tcp_states.js";
import {
	IPPROTO_DCCP,
	IPPROTO_MPTCP,
	IPPROTO_SCTP,
	IPPROTO_TCP,
	IPPROTO_UDP,
	IPPROTO_UDPLITE,
} from "../../include/uapi/linux/in.js";
import { deviceName, sockDestination, sockSource } from "../machine/describe.js";
import type { Kernel } from "../machine/kernel.js";
import { nth } from "../machine/nth.js";

/** The names of ss for the states of TCP. */
const STATES: Readonly<Record<number, string>> = {
	[TCP_ESTABLISHED]: "ESTAB",
	[TCP_SYN_SENT]: "SYN-SENT",
	[TCP_SYN_RECV]: "SYN-RECV",
	[TCP_NEW_SYN_RECV]: "SYN-RECV",
	[TCP_FIN_WAIT1]: "FIN-WAIT-1",
	[TCP_FIN_WAIT2]: "FIN-WAIT-2",
	[TCP_TIME_WAIT]: "TIME-WAIT",
	[TCP_CLOSE]: "UNCONN",
	[TCP_CLOSE_WAIT]: "CLOSE-WAIT",
	[TCP_LAST_ACK]: "LAST-ACK",
	[TCP_LISTEN]: "LISTEN",
	[TCP_CLOSING]: "CLOSING",
};

const NETIDS: Readonly<Record<number, string>> = {
	[IPPROTO_TCP]: "tcp",
	[IPPROTO_MPTCP]: "mptcp",
	[IPPROTO_UDP]: "udp",
	[IPPROTO_UDPLITE]: "udpl",
	[IPPROTO_SCTP]: "sctp",
	[IPPROTO_DCCP]: "dccp",
};

/** A line of ss. */
export interface SocketRow {
	netid: string;
	state: string;
	/** A listener: connections that wait, and how many may wait. Else bytes to read, and 0. */
	recvQ: number;
	sendQ: number;
	local: string;
	peer: string;
	/** The descriptors that name it: "fd 3", or "pid 7 fd 3" if there are several processes. */
	users: string;
	/** Options and timers: "SO_REUSEADDR", "57 s left". */
	notes: string;
	port: number;
}

/** The sockets of a namespace, those with a port first, in the order of their ports. */
export function socketRows(
	k: Kernel,
	net: Net,
	most: number,
): { rows: SocketRow[]; count: number } {
	const { sock: S } = k;
	const users = usersOf(k);
	const rows: SocketRow[] = [];
	let count = 0;
	const handles = S.handles().filter((sk) => S.skc_net[sk] === net.id);
	// Sockets that have descriptors come first if there are too many.
	const named = handles.filter((sk) => users.has(sk));
	const others = handles.filter((sk) => !users.has(sk));
	for (const sk of [...named, ...others]) {
		count++;
		if (rows.length < most) rows.push(rowOf(k, sk, users.get(sk)?.join(", ") ?? ""));
	}
	rows.sort((a, b) => (a.port || 65536) - (b.port || 65536));
	return { rows, count };
}

/** The descriptors of each sock. */
function usersOf(k: Kernel): Map<number, string[]> {
	const users = new Map<number, string[]>();
	for (const task of k.tasks) {
		for (const fd of task.socketDescriptors()) {
			const sk = nth(k.socket.sk, task.socketOf(fd));
			const words = k.tasks.size > 1 ? `pid ${task.pid} fd ${fd}` : `fd ${fd}`;
			const known = users.get(sk);
			if (known === undefined) users.set(sk, [words]);
			else known.push(words);
		}
	}
	return users;
}

function rowOf(k: Kernel, sk: number, users: string): SocketRow {
	const { sock: S } = k;
	const state = nth(S.skc_state, sk);
	const port = nth(S.skc_num, sk);
	const protocol = nth(S.sk_protocol, sk);
	const tcp = protocol === IPPROTO_TCP || protocol === IPPROTO_MPTCP || protocol === IPPROTO_DCCP;
	const bound = tcp && state === TCP_CLOSE && port !== 0;
	const device = nth(S.skc_bound_dev_if, sk);
	const on = device === 0 ? "" : `%${deviceName(k, sk, device)}`;
	const dual = S.skc_family[sk] === AF_INET6 && S.skc_ipv6only[sk] === 0;
	const source = sockSource(k, sk);
	const wildcard = source === "0.0.0.0" ? "0.0.0.0" : source === "[::]" && dual ? "*" : source;
	const empty = wildcard === "*" ? "*" : S.skc_family[sk] === AF_INET6 ? "[::]" : "0.0.0.0";
	const notes: string[] = [];
	if (bound) notes.push("bound");
	const expires = k.timers.expiry(sk_timer(sk));
	if (state === TCP_TIME_WAIT && expires !== null) {
		notes.push(`${((expires - k.now) / 1000).toFixed(1)} s left`);
	}
	if (S.skc_reuse[sk] !== 0) notes.push("SO_REUSEADDR");
	if (S.skc_reuseport[sk] !== 0) notes.push("SO_REUSEPORT");
	if (S.rsk_listener.get(sk) !== 0) notes.push("not accepted yet");
	const [low, high] = [nth(S.local_port_range_lo, sk), nth(S.local_port_range_hi, sk)];
	if (low !== 0 || high !== 0) notes.push(`IP_LOCAL_PORT_RANGE ${low || ""}-${high || ""}`);
	return {
		netid: NETIDS[protocol] ?? String(protocol),
		state: STATES[state] ?? String(state),
		recvQ: (state === TCP_LISTEN ? S.sk_ack_backlog : S.rcv_unread).get(sk),
		sendQ: state === TCP_LISTEN ? S.sk_max_ack_backlog.get(sk) : 0,
		local: `${wildcard}${on}:${port === 0 ? "*" : port}`,
		peer: S.skc_dport[sk] === 0 ? `${empty}:*` : sockDestination(k, sk),
		users,
		notes: notes.join(", "),
		port,
	};
}
