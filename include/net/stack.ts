// SPDX-License-Identifier: GPL-2.0-or-later
/**
 * The state of one kernel that the ported code works on: what are globals in C are fields
 * here, so that many kernels live in one process. Ported functions take it as `k`.
 */
import type { Ifindex, Port, Sk, Tb, Tb2 } from "../linux/handle.js";
import type { Random } from "../linux/random.js";
import type { SiphashState } from "../linux/siphash.js";
import type { TimerQueue } from "../linux/timer.js";
import type { ChangeName } from "../linux/version.js";
import type { PortSearchTrace } from "../trace/events/port_search.js";
import type { Draws } from "./draws.js";
import type { InetHashinfo } from "./inet_hashtables.js";
import type { In6Addr } from "./ipv6.js";
import type { MptcpSocks } from "./mptcp.js";
import type { Net } from "./net_namespace.js";
import type { Protocols } from "./protocol.js";
import type { SctpGlobals } from "./sctp.js";
import type { SockTable } from "./sock.js";
import type { SockReuseport } from "./sock_reuseport.js";
import type { SocketTable } from "./socket.js";
import type { UdpTable } from "./udp.js";

export interface Stack {
	/** Behaviour changes that the modelled version has. */
	readonly changes: ReadonlySet<ChangeName>;
	readonly random: Random;
	readonly timers: TimerQueue;
	/** Families and protocols, as they registered at boot. */
	readonly protocols: Protocols;
	/** Tables. */
	readonly sock: SockTable;
	readonly socket: SocketTable;
	readonly tcp_hashinfo: InetHashinfo;
	readonly dccp_hashinfo: InetHashinfo;
	readonly sctp_globals: SctpGlobals;
	readonly mptcp: MptcpSocks;
	/** The one that namespaces share, unless they have their own: Net.udp_table. */
	readonly udp_table: UdpTable;
	readonly udplite_table: UdpTable;
	/** Namespaces; nets[id - 1] has that id. */
	readonly nets: Net[];
	readonly reuseport: Map<number, SockReuseport>;
	next_reuseport_id: number;
	/** Secrets, drawn at first use as the kernel's net_get_random_once. */
	inet_ehash_secret: number | null;
	inet6_ehash_secret: number | null;
	ipv6_hash_secret: number | null;
	net_secret: Uint32Array | null;
	table_perturb: Uint32Array | null;
	/** Result of secure_ipv4_port_ephemeral: low and high half. */
	readonly port_offset: Uint32Array;
	/** The last hash of secure_ipv4_port_ephemeral, by what it was made of. */
	readonly last_port_ephemeral: PortEphemeral;
	/** What secure_ipv6_port_ephemeral hashes: two addresses, the time, the port. */
	readonly port_ephemeral_data: Uint32Array;
	readonly siphash_state: SiphashState;
	/** Capabilities of the task that makes the call, a bit each: current_cred()->cap_effective. */
	cap_effective: number;
	/** Left by inet_sk_get_local_port_range: the range, both bounds inclusive. */
	low: number;
	high: number;
	/** Found by the last check of a candidate: the socket in the way, 0 if none. */
	blocker: Sk;
	/** Found by connectScan: the port, 0 if none. */
	found_port: Port;
	/** Found by the last check of a candidate: its bind bucket and, for bind(), its bind2 bucket. */
	found_tb: Tb;
	found_tb2: Tb2;
	/** Found by the last check of a four-tuple: the time-wait socket to take over, 0 if none. */
	found_tw: Sk;
	/** The sock that a call holds, and whether it was freed meanwhile (sk_refcnt). */
	held: Sk;
	held_freed: boolean;
	/** The last sequence space that was given out. */
	last_isn: number;
	/**
	 * Which of two ways it goes where that hangs on a secret: false is the likelier, or what
	 * the model did already; check mode tries both (KernelOptions).
	 */
	askSecret(): boolean;
	/** Check mode: told of a listener before it leaves its reuseport group. */
	accept_queues: { leaves(listener: Sk): void } | null;
	/** Segments on their way over loopback. */
	readonly loopback: Segment[];
	/** Where searches report what they do; noTrace: nowhere. */
	trace: PortSearchTrace;
	/** Who draws, and answers what else no system call shows: the kernel itself, or check mode. */
	draws: Draws;
}

/** A hash that secure_ipv4_port_ephemeral made: of a secret, addresses, port and time. */
export interface PortEphemeral {
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
 * A TCP segment in flight over loopback. `seq` and `ack` name the sequence spaces of
 * sender and receiver (snd_isn, rcv_isn).
 */
export interface Segment {
	net: Net;
	flags: number;
	/** Over IPv4, host order; 0 over IPv6. */
	saddr: number;
	daddr: number;
	/** Over IPv6, null over IPv4. */
	v6: { saddr: In6Addr; daddr: In6Addr } | null;
	sport: Port;
	dport: Port;
	/** Device on which it is received. */
	dif: Ifindex;
	/** Its route is one to a local address, rather than one by way of lo. */
	local: boolean;
	length: number;
	seq: number;
	ack: number;
	/** Of a SYN: write_seq of who sent it. */
	isn_from: number;
	/** Of a SYN: time-wait gave way to it and set the number of the answer. */
	tcp_tw_isn: boolean;
}
