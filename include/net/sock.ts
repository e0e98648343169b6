// SPDX-License-Identifier: GPL-2.0-or-later
/**
 * Sockets: struct sock_common, sock, inet_sock, inet_connection_sock, tcp_sock and
 * inet_timewait_sock as columns of one table (include/net/sock.h, inet_sock.h,
 * inet_connection_sock.h, inet_timewait_sock.h, include/linux/tcp.h).
 *
 * As in the kernel, a time-wait socket shares the common part with a full socket, so both
 * can sit on one chain; skc_state tells them apart. A handle is a row; 0 is NULL.
 */
import type { Ifindex, Port, Sk, Sock, Tb, Tb2 } from "../linux/handle.js";
import { hlist_add_head, hlist_add_tail_rcu } from "../linux/list.js";
import { Slab } from "../linux/slab.js";
import { AF_INET6, type Sockaddr } from "../linux/socket.js";
import type { Stack } from "./stack.js";

export const SK_NO_REUSE = 0;
export const SK_CAN_REUSE = 1;
export const SK_FORCE_REUSE = 2;

/** sk_userlocks: the program chose the address, the port. */
export const SOCK_BINDADDR_LOCK = 4;
export const SOCK_BINDPORT_LOCK = 8;
/** The port was chosen by connect(): since 6.18 (fastreuse-recomputed); tw_connect_bind as well. */
export const SOCK_CONNECT_BIND = 16;

/** sk_flags. */
export const SOCK_DEAD = 1;
export const SOCK_LINGER = 2;
/** The peer's FIN has arrived. */
export const SOCK_DONE = 4;
export const SOCK_BROADCAST = 8;
/** A TCP sock is a subflow of MPTCP: tp->is_mptcp. */
export const SOCK_MPTCP = 16;
/** Of a request: its third segment came, but could not become a connection (inet_rsk(req)->acked). */
export const REQ_ACKED = 32;

export const RCV_SHUTDOWN = 1;
export const SEND_SHUTDOWN = 2;
export const SHUTDOWN_MASK = 3;

/** inet_flags (bit fields of struct inet_sock at the base commit). */
export const INET_FREEBIND = 1;
export const INET_TRANSPARENT = 2;
export const INET_BIND_ADDRESS_NO_PORT = 4;

/** IP_RECVERR and IPV6_RECVERR: ICMP errors are told to sockets that are not connected, too. */
export const INET_RECVERR = 8;
export const INET_RECVERR6 = 16;
/** inet_csk(sk)->icsk_af_ops is ipv6_mapped: what the socket sends goes out over IPv4. */
export const ICSK_IPV6_MAPPED = 32;

export const GLOBAL_ROOT_UID = 0;

/** Values of skc_prot. */
export const PROT_TCP = 0;
export const PROT_TCPV6 = 1;
export const PROT_UDP = 2;
export const PROT_UDPV6 = 3;
export const PROT_UDPLITE = 4;
export const PROT_UDPLITEV6 = 5;
export const PROT_SCTP = 6;
export const PROT_SCTPV6 = 7;
export const PROT_DCCP_V4 = 8;
export const PROT_DCCP_V6 = 9;
export const PROT_MPTCP = 10;
export const PROT_MPTCPV6 = 11;

/**
 * struct proto: what a transport protocol does with its socks. Functions return 0 or a
 * negative errno, sendmsg and recvmsg the number of bytes.
 */
export interface Proto {
	readonly name: string;
	/** PROT_*: what skc_prot says of its socks. */
	readonly prot: number;
	/** What a new sock needs besides its columns. */
	readonly init?: (k: Stack, sk: Sk) => void;
	/** `timeout` in ms: how long close() may wait for data to leave (SO_LINGER). */
	close(k: Stack, sk: Sk, timeout: number): void;
	connect(k: Stack, sk: Sk, addr: Sockaddr, addr_len: number): number;
	disconnect(k: Stack, sk: Sk): number;
	readonly shutdown?: (k: Stack, sk: Sk, how: number) => void;
	/** `addr` is null where the call names no destination. */
	sendmsg(
		k: Stack,
		sk: Sk,
		addr: Sockaddr | null,
		addr_len: number,
		size: number,
		nonblock: boolean,
	): number;
	recvmsg(k: Stack, sk: Sk, size: number, nonblock: boolean): number;
	/** Only where a protocol does not take the family's own bind(). */
	readonly bind?: (k: Stack, sk: Sk, addr: Sockaddr, addr_len: number) => number;
	hash(k: Stack, sk: Sk): number;
	unhash(k: Stack, sk: Sk): void;
	/** After the local address or the device has changed. */
	readonly rehash?: (k: Stack, sk: Sk) => void;
	/** The local port: the given one, or any if snum is 0. */
	get_port(k: Stack, sk: Sk, snum: Port): number;
	readonly put_port?: (k: Stack, sk: Sk) => void;
	/** connect() and sendto() leave the choice of a port to the protocol itself. */
	readonly no_autobind: boolean;
}

/** sk_wait_pending, and what sk_disconnects tells a connect() that sleeps. */
export const WAITS_NOT = 0;
export const WAITS = 1;
export const WAITS_DISCONNECTED = 2;

/**
 * inet->cork.fl of a sock that was connected and whose last connect() to another address
 * failed. That connect() has left its own addresses there, and has dropped the route that
 * was remembered (sk_dst_cache). The next send looks up the right route, and remembers it;
 * the one after that finds it remembered and so takes the addresses from here.
 */
export interface CorkFlow {
	saddr: number;
	daddr: number;
	dport: Port;
	/** The route to the right destination is remembered again. */
	cached: boolean;
}

/**
 * All socks of a kernel. A row with skc_state TCP_TIME_WAIT is a time-wait socket: it keeps the
 * columns of struct sock_common except skc_prot, and sk_protocol, inet_sport, snd_isn, rcv_isn,
 * ts_recent_stamp, ts_recent_ms, tw_substate, and of sk_userlocks the bit SOCK_CONNECT_BIND
 * (inet_twsk_alloc, tcp_time_wait). Every other column of it is 0.
 */
export class SockTable extends Slab<Sk> {
	// struct sock_common, shared by full and time-wait sockets
	skc_net = this.u16();
	skc_family = this.u8();
	skc_state = this.u8();
	skc_reuse = this.u8();
	skc_reuseport = this.u8();
	skc_ipv6only = this.u8();
	skc_bound_dev_if = this.i32<Ifindex>();
	/** Local address that lookups match; 0 is the wildcard. */
	skc_rcv_saddr = this.u32();
	skc_daddr = this.u32();
	/** The same of an AF_INET6 socket, four words a row; skc_rcv_saddr then has what IPv4 sees of it. */
	skc_v6_rcv_saddr = this.in6();
	skc_v6_daddr = this.in6();
	/** Local port, 0 while unbound. */
	skc_num = this.u16<Port>();
	skc_dport = this.u16<Port>();
	/**
	 * Hash of the four-tuple, valid while on an ehash chain. Of a UDP socket two hashes of 16
	 * bits (skc_u16hashes): of its port in the low half, of address and port in the high half.
	 */
	skc_hash = this.u32();
	/** Chain of the ehash bucket, for listeners of the lhash2 bucket, for UDP of the first hash. */
	node_next = this.i32<Sk>();
	node_pprev = this.i32();
	/** Owners of the bind bucket; for UDP the chain of the second hash (skc_portaddr_node). */
	bind_node_next = this.i32<Sk>();
	bind_node_pprev = this.i32();
	/**
	 * Owners of the bind2 bucket, or for time-wait sockets its deathrow; for connected UDP
	 * sockets the chain of the third hash (udp_lrpa_node).
	 */
	bind2_node_next = this.i32<Sk>();
	bind2_node_pprev = this.i32();
	/** icsk_bind_hash, tw_tb: the bind bucket, 0 while unbound. */
	icsk_bind_hash = this.i32<Tb>();
	/** icsk_bind2_hash, tw_tb2. */
	icsk_bind2_hash = this.i32<Tb2>();

	// struct sock
	/** skc_prot: one of PROT_*, for sk_prot(). */
	skc_prot = this.u8();
	sk_type = this.u8();
	sk_protocol = this.u16();
	sk_userlocks = this.u8();
	sk_flags = this.u8();
	sk_shutdown = this.u8();
	/** Pending error, a positive errno. */
	sk_err = this.u16();
	/** SO_LINGER, in seconds as getsockopt() shows them; a negative one stands for no end. */
	sk_lingertime = this.i32();
	/** User, as sock_i_uid() tells it: root where no file names the sock, before orphan-uid. */
	sk_uid = this.u32();
	/** The struct socket, 0 for orphans and for children not accepted yet. */
	sk_socket = this.i32<Sock>();
	sk_reuseport_cb = this.i32();
	/**
	 * CPU on which the last datagram of a connected sock was received, plus 1; 0: none. There
	 * is one CPU, number 0.
	 */
	sk_incoming_cpu = this.u8();
	/** A blocking connect(): WAITS_NOT, WAITS, WAITS_DISCONNECTED. */
	sk_wait_pending = this.u8();
	sk_ack_backlog = this.u32();
	sk_max_ack_backlog = this.u32();

	// struct inet_sock
	/** Address that is sent from; differs from skc_rcv_saddr for broadcast and multicast binds. */
	inet_saddr = this.u32();
	inet_sport = this.u16<Port>();
	inet_flags = this.u8();
	/** struct ipv6_pinfo: the address that is sent from, np->saddr. */
	np_saddr = this.in6();
	/** IP_LOCAL_PORT_RANGE, 0 for a bound that is not set. */
	local_port_range_lo = this.u16<Port>();
	local_port_range_hi = this.u16<Port>();

	/**
	 * Where a connected sock of AF_INET sends by mistake: see CorkFlow. Entries only for socks
	 * whose last connect() failed.
	 */
	readonly cork_fl = new Map<Sk, CorkFlow>();

	/** struct udp_sock: the hash of the third chain, of the four-tuple, 16 bits. */
	udp_lrpa_hash = this.u16();

	// struct inet_connection_sock: accept queue of a listener, link of a queued child
	rskq_accept_head = this.i32<Sk>();
	rskq_accept_tail = this.i32<Sk>();
	dl_next = this.i32<Sk>();
	/** The listener whose queue a child waits in, or of a request; 0 once the listener is gone. */
	rsk_listener = this.i32<Sk>();
	/** Requests of a listener: icsk_accept_queue.qlen. */
	rskq_qlen = this.u16();
	/** TCP_DEFER_ACCEPT, in retransmits of a SYN-ACK. */
	rskq_defer_accept = this.u8();

	// struct tcp_sock, as far as ends of connections need it
	/** Bytes received and not read yet. */
	rcv_unread = this.f64();
	/** Shortest delay of an acknowledgement, ms: icsk_ack.ato, 0 until data has arrived. */
	icsk_ack_ato = this.u8();
	/**
	 * Whose sequence numbers this side sends, and whose it expects: each connection has one
	 * number that stands for all of its own. 0: none yet; odd: they go on from another
	 * connection's instead of following the clock.
	 */
	snd_isn = this.u32();
	rcv_isn = this.u32();
	/** Whose numbers the next connection goes on from; 0: it takes them from the clock. */
	write_seq = this.u32();
	/** When a segment out of window was last answered, ms; 0: never. */
	last_oow_ack_time = this.f64();
	/** TCP_LINGER2, seconds: 0 is as the sysctl says, -1 not at all. */
	linger2 = this.i8();
	/** icsk_ack.pingpong, as far as TCP_QUICKACK turns it on and off. */
	pingpong = this.u8();
	/** SYNs or FINs sent again; of a request, timeouts of its SYN-ACK (num_timeout). */
	icsk_retransmits = this.u8();
	/** rx_opt.ts_recent_stamp, tw_ts_recent_stamp: second of the last segment, 0: none. */
	ts_recent_stamp = this.u32();
	/** The same in ms, which only check mode needs. */
	ts_recent_ms = this.f64();

	// struct inet_timewait_sock
	tw_substate = this.u8();
}

/** Puts a sock on a chain linked by node_next: at its end if the sock is AF_INET6 and in a group. */
export function sk_add_node_rcu(S: SockTable, sk: Sk, list: Int32Array, slot: number): void {
	if (S.skc_reuseport[sk] !== 0 && S.skc_family[sk] === AF_INET6) {
		hlist_add_tail_rcu(list, S.node_next, S.node_pprev, slot, sk);
	} else {
		hlist_add_head(list, S.node_next, S.node_pprev, slot, sk);
	}
}
