// SPDX-License-Identifier: GPL-2.0-or-later
/**
 * The state of one kernel, as far as ported code needs it. C's global variables are fields here, so
 * that many kernels can live in one process. Ported functions take it as `k`.
 */
import type { DccpSocks } from "../linux/dccp.js";
import type { Ifindex, Port, Sk, Tb, Tb2 } from "../linux/handle.js";
import type { Random } from "../linux/random.js";
import type { SiphashState } from "../linux/siphash.js";
import type { Sockaddr } from "../linux/socket.js";
import type { TimerQueue } from "../linux/timer.js";
import type { ChangeName } from "../linux/version.js";
import type { PortSearchTrace } from "../trace/events/port_search.js";
import type { Draws } from "./draws.js";
import type { PortGuide } from "./guide.js";
import type { InetHashinfo } from "./inet_hashtables.js";
import type { In6Addr } from "./ipv6.js";
import type { MptcpSocks } from "./mptcp.js";
import type { Net } from "./net_namespace.js";
import type { Protocols } from "./protocol.js";
import type { SctpGlobals } from "./sctp.js";
import type { SockTable } from "./sock.js";
import type { SockReuseport } from "./sock_reuseport.js";
import type { SocketTable } from "./socket.js";
import type { Datagram, UdpTable } from "./udp.js";

/**
 * What secrets decide: chains by hash_mix of a namespace; hashes of TCP's and of UDP's four-tuples,
 * over IPv4 and over IPv6; the numbers of secure_tcp_seq. "work" is no secret, but as unknown: the
 * worker of MPTCP runs between two files that a task closes, not after them. "memory" is not modelled:
 * large segments fill the memory of a sock or change its window, so the next one does not take the fast
 * path of tcp_rcv_established.
 */
export type SecretKind =
	| "hash_mix"
	| "ehash"
	| "ehash6"
	| "udp"
	| "udp6"
	| "seq"
	| "work"
	| "memory";

/** What check mode has to say about reuseport groups of listeners. */
export interface AcceptQueueGuest {
	/** Is called before a listener leaves its group. */
	leaves(listener: Sk): void;
	/**
	 * The member that gets a SYN. The hash selected `member` with the secret `of`. An IPv6 source
	 * address has its words in `saddr` from `si` on.
	 */
	selects(member: Sk, of: SecretKind, sport: Port, saddr: number | In6Addr, si?: number): Sk;
}

export interface Stack {
	/** Behaviour changes that the modelled version has. */
	readonly changes: ReadonlySet<ChangeName>;
	readonly random: Random;
	readonly timers: TimerQueue;
	/** Families and protocols that registered at boot. */
	readonly protocols: Protocols;
	/** Tables of records, and hash tables. */
	readonly sock: SockTable;
	readonly socket: SocketTable;
	readonly tcp_hashinfo: InetHashinfo;
	readonly dccp_hashinfo: InetHashinfo;
	readonly dccp: DccpSocks;
	readonly sctp_globals: SctpGlobals;
	readonly mptcp: MptcpSocks;
	/**
	 * The UDP table that namespaces share. A namespace may have a table of its own: Net.udp_table.
	 */
	readonly udp_table: UdpTable;
	readonly udplite_table: UdpTable;
	/** Namespaces. nets[id - 1] is the namespace with this id. */
	readonly nets: Net[];
	readonly reuseport: Map<number, SockReuseport>;
	next_reuseport_id: number;
	/** Secrets. They are drawn at first use, as with net_get_random_once. */
	inet_ehash_secret: number | null;
	inet6_ehash_secret: number | null;
	ipv6_hash_secret: number | null;
	net_secret: Uint32Array | null;
	table_perturb: Uint32Array | null;
	/** Result of secure_ipv4_port_ephemeral or secure_ipv6_port_ephemeral: low half, high half. */
	readonly port_offset: Uint32Array;
	/** The last hash of secure_ipv4_port_ephemeral and its inputs. */
	readonly last_port_ephemeral: PortEphemeral;
	/**
	 * Scratch: the input of secure_ipv6_port_ephemeral's hash: two addresses, the time, the port.
	 */
	readonly port_ephemeral_data: Uint32Array;
	readonly siphash_state: SiphashState;
	/**
	 * current_cred()->cap_effective: capabilities of the task that makes the call, one bit each.
	 */
	cap_effective: number;
	/** Output of inet_sk_get_local_port_range: the range, both bounds inclusive. */
	low: number;
	high: number;
	/** Output of the check of a port: the socket that conflicts, 0 if none. */
	blocker: Sk;
	/** Output of connectScan: the port, 0 if none. Also of the functions that scans call. */
	found_port: Port;
	/**
	 * Output of the check of a port: its bind bucket and, in bind(), its bind2 bucket. 0 if none.
	 */
	found_tb: Tb;
	found_tb2: Tb2;
	/** Output of check_established: the time-wait socket to replace, 0 if none. */
	found_tw: Sk;
	/** The sock that a call holds (sk_refcnt), and whether it was freed meanwhile. */
	held: Sk;
	held_freed: boolean;
	/** The last sequence space that a connection got. */
	last_isn: number;
	/**
	 * Decides between two outcomes if the outcome depends on a secret of the kernel. false: the
	 * likelier outcome, or the one with the model's own secret. Check mode tries both
	 * (KernelOptions).
	 */
	askSecret(of: SecretKind): boolean;
	/** Output of a receive: the sender of the datagram (msg_name). null if there is none. */
	msg_name: Sockaddr | null;
	/** Output of __skb_recv_udp: 0 or a negative errno. */
	recv_err: number;
	/** Check mode's part in reuseport groups of listeners; null without check mode. */
	accept_queues: AcceptQueueGuest | null;
	/**
	 * For check mode: is called after a datagram was put into the queue of a sock, and before the
	 * queue of a sock is dropped.
	 */
	datagram_queues: {
		arrives(table: UdpTable, sk: Sk, datagram: Datagram): void;
		leaves(table: UdpTable, sk: Sk): void;
	} | null;
	/** Segments in flight over loopback. */
	readonly loopback: Segment[];
	/** The tracer that searches report to. noTrace if nobody traces. */
	trace: PortSearchTrace;
	/** Guides the searches past ports that they would refuse. null: nothing does, as in the kernel. */
	readonly guide: PortGuide | null;
	/**
	 * Random draws and other decisions that no system call shows: the kernel's own, or check
	 * mode's.
	 */
	draws: Draws;
}

/** A hash of secure_ipv4_port_ephemeral, and its inputs: secret, addresses, port and time. */
interface PortEphemeral {
	secret: Uint32Array | null;
	saddr: number;
	daddr: number;
	dport: Port;
	seed: number;
	/** The halves of the hash. */
	low: number;
	high: number;
}

/**
 * A TCP segment or a DCCP packet in flight over loopback. `seq` and `ack` are the sequence spaces of the sender and
 * the receiver (snd_isn, rcv_isn).
 */
export interface Segment {
	net: Net;
	/** IPPROTO_TCP or IPPROTO_DCCP. */
	protocol: number;
	/** TCPHDR_*, or the type of a DCCP packet and the code of a Reset. */
	flags: number;
	/** IPv4 address in host order, 0 over IPv6. */
	saddr: number;
	daddr: number;
	/** IPv6 addresses, null over IPv4. */
	v6: { saddr: In6Addr; daddr: In6Addr } | null;
	sport: Port;
	dport: Port;
	/** Device that receives it. */
	dif: Ifindex;
	/** The route is to a local address. false: the route to another address leads to lo. */
	local: boolean;
	length: number;
	seq: number;
	ack: number;
	/** Data that it acknowledges, bytes since the SYN. */
	acked: number;
	/** Where the sender's data ends, with what it holds back, bytes since the SYN. For DATA_FIN. */
	write_seq: number;
	/** A SYN: write_seq of the sender. */
	isn_from: number;
	/** A SYN: it replaced a time-wait socket, which set the sequence number of the answer. */
	tcp_tw_isn: boolean;
	/** A Request of DCCP: dccph_req_service. */
	service: number;
}
