// SPDX-License-Identifier: GPL-2.0-or-later
/**
 * Sockets: struct sock_common, sock, inet_sock, inet_connection_sock, tcp_sock and
 * inet_timewait_sock as columns of one table (include/net/sock.h, inet_sock.h,
 * inet_connection_sock.h, inet_timewait_sock.h, include/linux/tcp.h).
 *
 * As in the kernel, a time-wait socket and a full socket share struct sock_common. So both can be
 * on one chain. skc_state tells them apart. A handle is a row; 0 is NULL.
 */

import type { Ifindex, Port, Sk, Sock, Tb, Tb2 } from "../linux/handle.js";
import { hlist_add_head, hlist_add_tail_rcu } from "../linux/list.js";
import { Slab } from "../linux/slab.js";
import { AF_INET6, type Sockaddr } from "../linux/socket.js";
import { TIMER_KINDS } from "../linux/timer.js";
import { TCP_MSS_DEFAULT } from "../uapi/linux/tcp.js";
import { TCP_RTO_MAX, TCP_RTO_MIN } from "./inet_connection_sock.js";
import type { In6Addr } from "./ipv6.js";
import type { Net } from "./net_namespace.js";
import type { Stack } from "./stack.js";

export const SK_NO_REUSE = 0;
export const SK_CAN_REUSE = 1;
export const SK_FORCE_REUSE = 2;

/** sk_userlocks: bind() named the address (_BINDADDR_LOCK) or the port (_BINDPORT_LOCK). */
export const SOCK_BINDADDR_LOCK = 4;
export const SOCK_BINDPORT_LOCK = 8;
/** connect() chose the port. Read since 6.18 (fastreuse-recomputed). Also tw_connect_bind. */
export const SOCK_CONNECT_BIND = 16;

/** sk_flags. */
export const SOCK_DEAD = 1;
export const SOCK_LINGER = 2;
/** The peer's FIN has arrived. */
export const SOCK_DONE = 4;
export const SOCK_BROADCAST = 8;
/** A TCP sock is a subflow of MPTCP: tp->is_mptcp. */
export const SOCK_MPTCP = 16;
/** A request: its third segment came, but did not make a connection yet (inet_rsk(req)->acked). */
export const REQ_ACKED = 32;
/** SO_KEEPALIVE. */
export const SOCK_KEEPOPEN = 64;
/** SO_DONTROUTE. */
export const SOCK_LOCALROUTE = 128;

export const RCV_SHUTDOWN = 1;
export const SEND_SHUTDOWN = 2;
export const SHUTDOWN_MASK = 3;

/** Of sk_rcvtimeo and sk_sndtimeo. A negative time was set: the call does not sleep. */
export const TIMEO_NOWAIT = -1;

/** inet_flags (bit fields of struct inet_sock at the base commit). */
export const INET_FREEBIND = 1;
export const INET_TRANSPARENT = 2;
export const INET_BIND_ADDRESS_NO_PORT = 4;

/** IP_RECVERR and IPV6_RECVERR: a socket that is not connected gets ICMP errors as well. */
export const INET_RECVERR = 8;
export const INET_RECVERR6 = 16;
/** connect() chose the port and set the destination, but the first send sends the SYN. */
export const INET_DEFER_CONNECT = 64;
/** inet_csk(sk)->icsk_af_ops is ipv6_mapped: the socket sends over IPv4. */
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
 * struct proto: the operations of a transport protocol on its socks. They return 0 or a negative
 * errno. sendmsg and recvmsg return the number of bytes or a negative errno.
 */
export interface Proto {
	readonly name: string;
	/** PROT_*: the skc_prot of its socks. */
	readonly prot: number;
	/** Initializes a new sock, if its columns are not enough. */
	readonly init?: (k: Stack, sk: Sk) => void;
	/** `timeout`: how long close() may wait for data to be sent, ms (SO_LINGER). */
	close(k: Stack, sk: Sk, timeout: number): void;
	connect(k: Stack, sk: Sk, addr: Sockaddr, addr_len: number): number;
	disconnect(k: Stack, sk: Sk): number;
	readonly shutdown?: (k: Stack, sk: Sk, how: number) => void;
	/** `addr` is null if the call names no destination. `flags`: MSG_DONTWAIT, MSG_FASTOPEN. */
	sendmsg(
		k: Stack,
		sk: Sk,
		addr: Sockaddr | null,
		addr_len: number,
		size: number,
		flags: number,
	): number;
	/** `flags`: MSG_DONTWAIT, MSG_PEEK, MSG_TRUNC, MSG_WAITALL. Stores a sender in k.msg_name. */
	recvmsg(k: Stack, sk: Sk, size: number, flags: number): number;
	/** Only if the protocol does not use the bind() of its family. */
	readonly bind?: (k: Stack, sk: Sk, addr: Sockaddr, addr_len: number) => number;
	hash(k: Stack, sk: Sk): number;
	unhash(k: Stack, sk: Sk): void;
	/** SO_KEEPALIVE is set (`on`) or cleared. Called before the flag changes. */
	readonly keepalive?: (k: Stack, sk: Sk, on: boolean) => void;
	/** Called after the local address or the device changed. */
	readonly release_cb?: (k: Stack, sk: Sk) => void;
	readonly rehash?: (k: Stack, sk: Sk) => void;
	/** Binds the sock to the local port snum, or to any port if snum is 0. */
	get_port(k: Stack, sk: Sk, snum: Port): number;
	readonly put_port?: (k: Stack, sk: Sk) => void;
	/** destroy, beyond what tcp_v4_destroy_sock does. */
	readonly destroy?: (k: Stack, sk: Sk) => void;
	/** icsk_retransmit_timer, if it is not TCP's. */
	readonly write_timer?: (k: Stack, sk: Sk) => void;
	/** rsk_prot: the operations of its requests, if they are not TCP's. */
	readonly rsk_prot?: RequestSockOps;
	/** The protocol chooses a port itself in connect() and sendto(). */
	readonly no_autobind: boolean;
}

/** struct request_sock_ops. */
export interface RequestSockOps {
	/** Answers the packet that made a request again. */
	rtx_syn_ack(k: Stack, req: Sk): void;
	/** req->timeout: the time between two answers, ms. */
	readonly timeout: number;
	destructor(k: Stack, req: Sk): void;
}

/**
 * Values of sk_wait_pending: no connect() sleeps on the sock; one sleeps; one sleeps and the sock
 * was disconnected meanwhile (sk_disconnects of C).
 */
export const WAITS_NOT = 0;
export const WAITS = 1;
export const WAITS_DISCONNECTED = 2;

/**
 * inet->cork.fl of a connected sock, if it is not the flow of the connection. A connect() to another
 * address that failed stored its own addresses there and dropped the cached route (sk_dst_cache). The
 * next send looks up the right route and caches it. Every later send finds the cached route and takes
 * the wrong addresses of cork.fl. A datagram to another address that was held back stores its addresses
 * there as well, and the route stays cached.
 */
interface CorkFlow {
	saddr: number;
	daddr: number;
	dport: Port;
	/** The route to the right destination is cached again. */
	cached: boolean;
}

/**
 * struct udp_sock: pending, len, and the cork of a datagram that MSG_MORE or UDP_CORK holds back. Over
 * IPv4 the addresses are in cork.fl, so a connect() changes them.
 */
export interface UdpPending {
	/** pending: AF_INET or AF_INET6. */
	family: number;
	/** Data so far, bytes. */
	len: number;
	/** Over IPv4, host order; 0 over IPv6. */
	saddr: number;
	daddr: number;
	/** Over IPv6; null over IPv4. */
	v6: { saddr: In6Addr; daddr: In6Addr } | null;
	dport: Port;
	/** The route: whether it leads back to this host, by which device, and through which VRF. */
	arrives: boolean;
	dif: Ifindex;
	sdif: Ifindex;
	oif: Ifindex;
	/** The route refuses the datagram. */
	refused: boolean;
}

/** include/net/tcp.h: struct tcp_fastopen_request. A fast open that is in progress. */
export interface TcpFastopenRequest {
	/** A send makes the request, not a connect(). */
	sends: boolean;
	/** The send has data that is not in the SYN. */
	data: boolean;
	/** Bytes of the send, and how many of them are in the SYN. */
	size: number;
	copied: number;
	/** sk_write_pending: the send waits for the connection. */
	write_pending: boolean;
}

/**
 * All socks of a kernel. A row with skc_state TCP_TIME_WAIT is a time-wait socket. It has the
 * columns of struct sock_common except skc_prot, and also sk_protocol, inet_sport, snd_isn,
 * rcv_isn, ts_recent_stamp, ts_recent_ms, tw_substate, and the bit SOCK_CONNECT_BIND of
 * sk_userlocks (inet_twsk_alloc, tcp_time_wait). Its other columns are 0.
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
	/**
	 * Local address of an AF_INET6 socket, four words a row. Its skc_rcv_saddr is the IPv4 view of
	 * it.
	 */
	skc_v6_rcv_saddr = this.in6();
	skc_v6_daddr = this.in6();
	/** Local port, 0 while unbound. */
	skc_num = this.u16<Port>();
	skc_dport = this.u16<Port>();
	/**
	 * Hash of the four-tuple, valid while the socket is on an ehash chain. A UDP socket has two
	 * hashes of 16 bits here (skc_u16hashes): of its port in the low half, of address and port in
	 * the high half.
	 */
	skc_hash = this.u32();
	/** Chain of the ehash bucket. Listeners: of the lhash2 bucket. UDP: of the first hash. */
	node_next = this.i32<Sk>();
	node_pprev = this.i32();
	/**
	 * Owners of the bind2 bucket since 6.8, of the bind bucket before. UDP: the chain of the second
	 * hash (skc_portaddr_node).
	 */
	bind_node_next = this.i32<Sk>();
	bind_node_pprev = this.i32();
	/**
	 * Until 6.8 owners of the bind2 bucket; time-wait sockets: its deathrow. Connected UDP sockets:
	 * the chain of the third hash (udp_lrpa_node).
	 */
	bind2_node_next = this.i32<Sk>();
	bind2_node_pprev = this.i32();
	/** icsk_bind_hash, tw_tb: the bind bucket, 0 while unbound. */
	icsk_bind_hash = this.i32<Tb>();
	/** icsk_bind2_hash, tw_tb2: the bind2 bucket, 0 while unbound. */
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
	/** SO_LINGER, in seconds as getsockopt() returns them. A negative value means no limit. */
	sk_lingertime = this.sparse();
	/**
	 * SO_RCVTIMEO and SO_SNDTIMEO: how long a call sleeps, in jiffies. 0: without limit.
	 * TIMEO_NOWAIT: not at all.
	 */
	sk_rcvtimeo = this.sparse();
	sk_sndtimeo = this.sparse();
	/**
	 * The user, as sock_i_uid() returns it. Before orphan-uid it is root if no file refers to the
	 * sock.
	 */
	sk_uid = this.u32();
	/** The struct socket, 0 for orphans and for connections that were not accepted yet. */
	sk_socket = this.i32<Sock>();
	sk_reuseport_cb = this.i32();
	/**
	 * The CPU that received the last datagram of a connected sock, plus 1. 0: none. There is one
	 * CPU, number 0.
	 */
	sk_incoming_cpu = this.u8();
	/** Whether a blocking connect() sleeps: WAITS_NOT, WAITS or WAITS_DISCONNECTED. */
	sk_wait_pending = this.u8();
	/**
	 * When a connect() that sleeps returns at the latest (SO_SNDTIMEO), ms since boot, and the errno
	 * that it then returns. 0: it sleeps without limit.
	 */
	wait_until = this.sparse();
	wait_err = this.u8();
	sk_ack_backlog = this.sparse();
	sk_max_ack_backlog = this.sparse();

	// struct inet_sock
	/**
	 * Source address. It differs from skc_rcv_saddr after a bind to a broadcast or multicast
	 * address.
	 */
	inet_saddr = this.u32();
	inet_sport = this.u16<Port>();
	inet_flags = this.u8();
	/** struct ipv6_pinfo: the IPv6 source address, np->saddr. */
	np_saddr = this.in6();
	/** IP_LOCAL_PORT_RANGE. A bound that is not set is 0. */
	local_port_range_lo = this.u16<Port>();
	local_port_range_hi = this.u16<Port>();

	/**
	 * The wrong destination of a connected AF_INET sock, see CorkFlow. Other socks have no entry.
	 */
	readonly cork_fl = new Map<Sk, CorkFlow>();
	/** Datagrams that are held back. Other socks have no entry. */
	readonly udp_pending = new Map<Sk, UdpPending>();
	/** UDP_FLAGS_CORK: the option UDP_CORK, 0 or 1. */
	udp_cork = this.u8();

	/** struct udp_sock: the third hash, of the four-tuple, 16 bits. */
	udp_lrpa_hash = this.u16();

	// struct inet_connection_sock: accept queue of a listener, link of a queued child
	rskq_accept_head = this.sparse<Sk>();
	rskq_accept_tail = this.sparse<Sk>();
	dl_next = this.sparse<Sk>();
	/**
	 * The listener of a request, or of a connection in its accept queue. 0 once the listener is
	 * freed.
	 */
	rsk_listener = this.sparse<Sk>();
	/** Number of requests of a listener: icsk_accept_queue.qlen. */
	rskq_qlen = this.sparse();
	/** TCP_DEFER_ACCEPT, as a number of SYN-ACK retransmissions. */
	rskq_defer_accept = this.sparse();
	/** TCP_FASTOPEN of a listener: fastopenq.max_qlen. 0: no fast open. */
	fastopenq_max_qlen = this.sparse();

	// struct tcp_sock, the fields that the end of a connection needs
	/** Data received and not read yet, bytes. */
	rcv_unread = this.sparse();
	/**
	 * Data sent (snd_nxt) and acknowledged (snd_una) since the SYN, and the end of the last small
	 * segment (snd_sml), bytes.
	 */
	snd_nxt = this.sparse();
	snd_una = this.sparse();
	snd_sml = this.sparse();
	/** Data in the write queue that was not sent yet: Nagle's algorithm or TCP_CORK holds it, bytes. */
	snd_held = this.sparse();
	/** TCP_NODELAY and TCP_CORK: TCP_NAGLE_*. */
	nonagle = this.u8();
	/** Data received since the SYN, and the part of it that this side has acknowledged, bytes. */
	rcv_nxt = this.sparse();
	rcv_wup = this.sparse();
	/** icsk_ack.ato: shortest delay of an acknowledgement, ms. 0 until data has arrived. */
	icsk_ack_ato = this.u8();
	/** icsk_ack.pending: ICSK_ACK_*. */
	icsk_ack_pending = this.u8();
	/** icsk_ack.quick: how many segments are acknowledged at once. */
	icsk_ack_quick = this.u8();
	/** icsk_ack.lrcvtime: when data arrived last, jiffies. */
	icsk_ack_lrcvtime = this.sparse();
	/** icsk_ack.rcv_mss: the length of a full segment of the peer, bytes. */
	icsk_ack_rcv_mss = this.sparse<number>(TCP_MSS_DEFAULT);
	/**
	 * The sequence spaces that this side sends in (snd_isn) and expects (rcv_isn). One number
	 * stands for all sequence numbers of one side of a connection. 0: none yet. Odd: the sequence
	 * numbers continue those of another connection, they do not follow the clock.
	 */
	snd_isn = this.u32();
	rcv_isn = this.u32();
	/**
	 * The sequence space that the next connection continues. 0: it takes numbers from the clock.
	 */
	write_seq = this.u32();
	/** When a segment out of window was last answered, ms since boot. 0: never. */
	last_oow_ack_time = this.sparse();
	/** TCP_LINGER2, seconds. 0: as the sysctl says. -1: do not linger. */
	linger2 = this.i8();
	/** TCP_FASTOPEN_CONNECT and TCP_FASTOPEN_NO_COOKIE, 0 or 1. */
	fastopen_connect = this.u8();
	fastopen_no_cookie = this.u8();
	/** Data that was sent with the SYN, bytes. The peer gets it with the ACK of its SYN-ACK. */
	syn_data = this.u16();
	/** Fast opens in progress. Other socks have no entry. */
	readonly fastopen_req = new Map<Sk, TcpFastopenRequest>();
	/** icsk_ack.pingpong: the peers take turns, so acknowledgements wait for data. 0 or 1. */
	pingpong = this.u8();
	/**
	 * Whether pred_flags of tcp_sock are set: the next segment with data that came in order takes the
	 * fast path of tcp_rcv_established. 0 or 1.
	 */
	pred_flags = this.u8();
	/** Retransmissions of a SYN, FIN or data. A request: timeouts of its SYN-ACK (num_timeout). */
	icsk_retransmits = this.u8();
	/** TCP_SYNCNT. 0: as tcp_syn_retries, or of a listener tcp_synack_retries, says. */
	icsk_syn_retries = this.u8();
	/** TCP_USER_TIMEOUT, ms. 0: none. */
	icsk_user_timeout = this.sparse();
	/** Timeout of the SYN, FIN or data that is sent now, ms. */
	icsk_rto = this.u32();
	/** TCP_RTO_MAX_MS and TCP_RTO_MIN_US: longest and shortest timeout, ms. */
	icsk_rto_max = this.sparse<number>(TCP_RTO_MAX);
	icsk_rto_min = this.sparse<number>(TCP_RTO_MIN);
	/**
	 * When the first SYN was sent, a FIN or data for the second time, or when the first probe was due
	 * (icsk_probes_tstamp), ms since boot.
	 */
	retrans_stamp = this.f64();
	/** sk_err_soft: why a segment could not be sent again, a positive errno. */
	sk_err_soft = this.u16();
	/**
	 * Data that was sent and not acknowledged, and the part of it that has not arrived, bytes. The
	 * peer cannot acknowledge data that reached it by way of lo if its own address is gone.
	 */
	snd_unacked = this.sparse();
	snd_lost = this.sparse();
	/** What the timer for retransmissions does: ICSK_TIME_RETRANS, _PROBE0 or _LOSS_PROBE. */
	icsk_pending = this.u8();
	/** TCP_KEEPIDLE and TCP_KEEPINTVL, seconds, and TCP_KEEPCNT. 0: as the sysctls say. */
	keepalive_time = this.sparse();
	keepalive_intvl = this.sparse();
	keepalive_probes = this.sparse();
	/** Keepalive probes without an answer. */
	icsk_probes_out = this.u8();
	/** rx_opt.ts_recent_stamp, tw_ts_recent_stamp: time of the last segment, seconds. 0: none. */
	ts_recent_stamp = this.u32();
	/** The time of the last segment in ms. tcp_twsk_unique compares it with a delay in ms. */
	ts_recent_ms = this.f64();

	// struct inet_timewait_sock
	tw_substate = this.u8();
}

/** sock_net: the namespace of a sock. */
export function sk_net(k: Stack, sk: Sk): Net {
	return k.nets[k.sock.skc_net[sk] - 1];
}

/** sk->sk_prot: the operations of a sock's protocol. IPV6_ADDRFORM may change it. */
export function sk_prot(k: Stack, sk: Sk): Proto {
	return k.protocols.proto_list[k.sock.skc_prot[sk]];
}

/** The number of the timer in k.timers. It is also tw_timer of a time-wait socket. */
export function sk_timer(sk: Sk): number {
	return sk * TIMER_KINDS + 2;
}

/** Holds a sock, so that its handle is not used again while a call still reads it. */
export function sock_hold(k: Stack, sk: Sk): void {
	k.held = sk;
	k.held_freed = false;
}

/**
 * Puts a sock on a chain linked by node_next: at the tail if it is AF_INET6 and has SO_REUSEPORT.
 */
export function sk_add_node_rcu(S: SockTable, sk: Sk, list: Int32Array, slot: number): void {
	if (S.skc_reuseport[sk] !== 0 && S.skc_family[sk] === AF_INET6) {
		hlist_add_tail_rcu(list, S.node_next, S.node_pprev, slot, sk);
	} else {
		hlist_add_head(list, S.node_next, S.node_pprev, slot, sk);
	}
}

/** Sets or clears a flag of a sock. */
export function sock_valbool_flag(S: Stack["sock"], sk: Sk, bit: number, valbool: boolean): void {
	if (valbool) S.sk_flags[sk] |= bit;
	else S.sk_flags[sk] &= ~bit;
}

/**
 * An accept queue is full only above its backlog: it holds one connection more than listen() asked
 * for.
 */
export function sk_acceptq_is_full(k: Stack, sk: Sk): boolean {
	return k.sock.sk_ack_backlog.get(sk) >>> 0 > k.sock.sk_max_ack_backlog.get(sk);
}

export function sock_put(k: Stack, sk: Sk): void {
	k.held = 0;
	if (k.held_freed) k.sock.kmem_cache_free(sk);
}

/** Detaches a sock from its struct socket: no file refers to it any more. */
export function sock_orphan(k: Stack, sk: Sk): void {
	k.sock.sk_flags[sk] |= SOCK_DEAD;
	k.sock.sk_socket[sk] = 0;
	if (!k.changes.has("orphan-uid")) k.sock.sk_uid[sk] = GLOBAL_ROOT_UID; // since 6.17, c51da3f7a161
}

export function sock_graft(k: Stack, sk: Sk, socket: number): void {
	k.sock.sk_socket[sk] = socket;
	k.sock.sk_uid[sk] = k.socket.i_uid[socket];
	k.socket.sk[socket] = sk;
}

/** Returns and clears the pending error: 0 or a negative errno. */
export function sock_error(k: Stack, sk: Sk): number {
	const err = k.sock.sk_err[sk];
	k.sock.sk_err[sk] = 0;
	return err === 0 ? 0 : -err;
}

/** Whether connect() chose the socket's port. C has it since 6.18. */
export function sk_is_connect_bind(k: Stack, sk: Sk): boolean {
	return (k.sock.sk_userlocks[sk] & SOCK_CONNECT_BIND) !== 0;
}
