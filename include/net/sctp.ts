// SPDX-License-Identifier: GPL-2.0-or-later
/**
 * SCTP's port buckets, endpoints and associations, as far as ports go (include/net/sctp/structs.h,
 * constants.h, sctp.h, sm.h, include/uapi/linux/sctp.h).
 */
import type { Ifindex, Port, Sk } from "../linux/handle.js";
import { Slab } from "../linux/slab.js";
import { AF_INET, AF_INET6, type Sockaddr } from "../linux/socket.js";
import { ipv6_addr_set_v4mapped } from "./ipv6.js";
import type { Net, RouteAnswer } from "./net_namespace.js";
import type { Stack } from "./stack.js";
import { TCP_CLOSE, TCP_CLOSE_WAIT, TCP_ESTABLISHED, TCP_LISTEN } from "./tcp_states.js";

/** sp->type: a one-to-many socket (SOCK_SEQPACKET), a one-to-one socket (SOCK_STREAM). */
export const SCTP_SOCKET_UDP = 0;
export const SCTP_SOCKET_TCP = 2;

/** States of an SCTP sock, in skc_state. */
export const SCTP_SS_CLOSED = TCP_CLOSE;
export const SCTP_SS_LISTENING = TCP_LISTEN;
export const SCTP_SS_ESTABLISHED = TCP_ESTABLISHED;
export const SCTP_SS_CLOSING = TCP_CLOSE_WAIT;

/** States of an association (enum sctp_state). */
export const SCTP_STATE_CLOSED = 0;
export const SCTP_STATE_COOKIE_WAIT = 1;
export const SCTP_STATE_COOKIE_ECHOED = 2;
export const SCTP_STATE_ESTABLISHED = 3;
export const SCTP_STATE_SHUTDOWN_PENDING = 4;
export const SCTP_STATE_SHUTDOWN_SENT = 5;
export const SCTP_STATE_SHUTDOWN_RECEIVED = 6;
export const SCTP_STATE_SHUTDOWN_ACK_SENT = 7;

/** Types of chunks (enum sctp_cid). */
export const SCTP_CID_DATA = 0;
export const SCTP_CID_INIT = 1;
export const SCTP_CID_INIT_ACK = 2;
export const SCTP_CID_SACK = 3;
export const SCTP_CID_ABORT = 6;
export const SCTP_CID_SHUTDOWN = 7;
export const SCTP_CID_SHUTDOWN_ACK = 8;
export const SCTP_CID_COOKIE_ECHO = 10;
export const SCTP_CID_COOKIE_ACK = 11;
export const SCTP_CID_SHUTDOWN_COMPLETE = 14;

/**
 * Timers of an association, as kinds of k.timers. T1 is T1-init or T1-cookie, of which only one runs.
 */
export const SCTP_TIMEOUT_T1 = 4;
export const SCTP_TIMEOUT_T2_SHUTDOWN = 5;
export const SCTP_TIMEOUT_T5_SHUTDOWN_GUARD = 6;
export const SCTP_TIMEOUT_SACK = 7;
export const SCTP_TIMEOUT_T3_RTX = 8;

/**
 * Defaults of net.sctp: rto_initial, rto_min, rto_max and sack_timeout, ms; max_init_retransmits,
 * association_max_retrans.
 */
export const SCTP_RTO_INITIAL = 3000;
export const SCTP_RTO_MIN = 1000;
export const SCTP_RTO_MAX = 60_000;
export const SCTP_SACK_TIMEOUT = 200;
export const SCTP_MAX_INIT_RETRANS = 8;
export const SCTP_MAX_RETRANS = 10;

/** Scope of an address. A larger number is a narrower scope. */
export const SCTP_SCOPE_GLOBAL = 0;
export const SCTP_SCOPE_PRIVATE = 1;
export const SCTP_SCOPE_LINK = 2;
export const SCTP_SCOPE_LOOPBACK = 3;
export const SCTP_SCOPE_UNUSABLE = 4;

/** Which addresses an association may use, because of its own socket and of its peer. */
export const SCTP_ADDR6_ALLOWED = 0x00000001;
export const SCTP_ADDR4_PEERSUPP = 0x00000002;
export const SCTP_ADDR6_PEERSUPP = 0x00000004;
export const SCTP_ADDR4_ALLOWED = 0x00000008;

/** Options of level SOL_SCTP. */
export const SCTP_NODELAY = 3;
export const SCTP_I_WANT_MAPPED_V4_ADDR = 12;
export const SCTP_REUSE_PORT = 36;
export const SCTP_SOCKOPT_BINDX_ADD = 100;
export const SCTP_SOCKOPT_BINDX_REM = 101;

/**
 * union sctp_addr. The family tells which address it is. A v4-mapped address is converted in place.
 */
export type SctpAddr = Sockaddr;

/** struct sctp_bind_addr: the addresses of an endpoint or association. They share one port. */
export interface SctpBindAddr {
	/** 0 while unbound. */
	port: Port;
	address_list: SctpAddr[];
}

/** struct sctp_endpoint: the addresses that one sock is bound to, and its associations. */
export interface SctpEndpoint {
	sk: Sk;
	bind_addr: SctpBindAddr;
	/**
	 * The associations, oldest first. They are also the accept queue of a listening one-to-one
	 * socket.
	 */
	asocs: SctpAssociation[];
	/** Slot in ep_hashtable while the sock listens, otherwise -1. */
	hashent: number;
	/** The sock was closed. The port is held until the last association has ended. */
	dead: boolean;
}

/** struct sctp_cookie: the tags of an association, and those of an older one that it would replace. */
interface SctpCookie {
	my_vtag: number;
	peer_vtag: number;
	my_ttag: number;
	peer_ttag: number;
}

/** The parts of an INIT or INIT ACK that matter here. */
export interface SctpInit {
	init_tag: number;
	/** The addresses that it lists. A single address is not listed. */
	addrs: readonly SctpAddr[];
}

/** struct sctp_signed_cookie: what an INIT ACK has the peer send back. */
export interface SctpSignedCookie {
	c: Readonly<SctpCookie>;
	peer_addr: SctpAddr;
	peer_init: SctpInit;
	/** The local addresses that the INIT ACK lists. */
	addrs: readonly SctpAddr[];
}

/** A DATA chunk that was sent. */
export interface SctpDataChunk {
	tsn: number;
	size: number;
}

/** What a chunk and its packet carry besides addresses. */
export interface SctpChunkContent {
	/** SCTP_CID_*. */
	type: number;
	vtag: number;
	tbit?: boolean;
	init?: SctpInit | null;
	cookie?: SctpSignedCookie | null;
	tsn?: number;
	size?: number;
	sack_imm?: boolean;
	ctsn?: number;
}

/** struct sctp_outq: what an association sends, and TSNs, which count from 1. */
interface SctpOutq {
	/** Sizes of the messages that have no TSN yet, bytes. */
	out_chunk_list: number[];
	/** Data that the peer has not acknowledged. */
	transmitted: SctpDataChunk[];
	/** All of `transmitted` has to be sent again. */
	retransmit: boolean;
	/** Control chunks that leave together when a packet or call has been processed. */
	control_chunk_list: { to: SctpAddr | null; content: SctpChunkContent }[];
	/** The next TSN, and the last one that the peer has acknowledged. */
	next_tsn: number;
	ctsn_ack_point: number;
	/** The chunk whose round trip is measured (rtt_in_progress, rto_pending), 0 if none. */
	rtt_tsn: number;
}

/** A chunk of a packet. */
export interface SctpPacket {
	net: Net;
	/** SCTP_CID_*. */
	type: number;
	/** Whether it is the first chunk of its packet, and whether it is the last one. */
	first: boolean;
	end_of_packet: boolean;
	src: SctpAddr;
	dest: SctpAddr;
	/** The device that receives it. */
	dif: Ifindex;
	vtag: number;
	/** SCTP_CHUNK_FLAG_T: the tag is that of the packet that this one answers. */
	tbit: boolean;
	/** Of INIT and INIT ACK. */
	init: SctpInit | null;
	/** Of INIT ACK and COOKIE ECHO. */
	cookie: SctpSignedCookie | null;
	/** Of DATA: its number, bytes, and whether the peer shall acknowledge it at once. */
	tsn: number;
	size: number;
	sack_imm: boolean;
	/** Of SACK and SHUTDOWN: all data up to this TSN has arrived. */
	ctsn: number;
	/** The receiver, once it is known: null for the control sock, which answers for nobody. */
	ep: SctpEndpoint | null;
	asoc: SctpAssociation | null;
	/** The address of the peer by which the association was found. */
	transport: SctpAddr | null;
}

/** The route to an address of a peer: fields of struct sctp_transport. */
export interface SctpDst {
	/** The source address, without a port. */
	saddr: SctpAddr;
	/**
	 * Whether the source address belongs to the association, so that answers find the association.
	 */
	bound: boolean;
	/** The device that packets have to leave by, 0 for any. */
	oif: Ifindex;
	/**
	 * Device on which this kernel receives packets to the address, 0 if another host receives them.
	 */
	dif: Ifindex;
	/** The answer of another host. */
	answer: RouteAnswer;
}

/** struct sctp_association. */
export interface SctpAssociation {
	ep: SctpEndpoint;
	sk: Sk;
	/** SCTP_STATE_*. */
	state: number;
	/** The addresses of the endpoint that the peer can reach. */
	bind_addr: SctpBindAddr;
	peer: {
		port: Port;
		primary_addr: SctpAddr;
		/** transport_addr_list: the addresses of the peer, the primary one first. */
		transports: SctpAddr[];
		/** All data up to this TSN has arrived. 0 before the first. */
		ctsn: number;
		/** The next packet with data is acknowledged at once. */
		sack_needed: boolean;
		/** The address that the last data came from. */
		last_data_from: SctpAddr | null;
	};
	/** The route to the primary address, null if there is none. */
	dst: SctpDst | null;
	/** Its number in SctpGlobals.asocs, -1 if it is temporary. */
	id: number;
	/** Only carries an INIT ACK or a cookie. It is in no table. */
	temp: boolean;
	c: SctpCookie;
	/** The last send had MSG_MORE, so its data waits for more. */
	force_delay: boolean;
	/** The cookie of the peer, while a COOKIE ECHO has no answer. */
	cookie: SctpSignedCookie | null;
	/** Time until the next T1 expires, ms, and the counters by which it doubles. */
	t1: number;
	init_err_counter: number;
	init_cycle: number;
	init_sent_count: number;
	/** Retransmission timeout of the primary address, ms. */
	rto: number;
	overall_error_count: number;
	outqueue: SctpOutq;
	/** It was freed. Only a call or packet that holds it may still use it. */
	dead: boolean;
}

/** struct sctp_sock. */
interface SctpSock {
	/** SCTP_SOCKET_*. */
	type: number;
	/** SCTP_REUSE_PORT. It has the effect of SO_REUSEADDR. */
	reuse: boolean;
	/** SCTP_NODELAY. */
	nodelay: boolean;
	/** SCTP_I_WANT_MAPPED_V4_ADDR. */
	v4mapped: boolean;
	ep: SctpEndpoint;
	/** Messages received and not read yet. */
	receive_queue: SctpMessage[];
}

/** A received message of an association. */
interface SctpMessage {
	asoc: SctpAssociation;
	size: number;
}

/**
 * struct sctp_bind_bucket: one for each (namespace, port) that has an owner. Invariant: `owner` is
 * empty only inside the functions that create and destroy a bucket.
 */
class SctpBindBucketTable extends Slab {
	net = this.u16();
	port = this.u16();
	fastreuse = this.u8();
	fastreuseport = this.u8();
	fastuid = this.u32();
	/** Chain of the hash bucket. */
	node_next = this.i32();
	node_pprev = this.i32();
	/** First owner. Owners are linked by bind_node of the sockets. */
	owner = this.i32();
}

/**
 * sctp_port_hashsize of a machine with 24 GiB: two pages of buckets (net/sctp/protocol.c:
 * sctp_init).
 */
const SCTP_PORT_HASHSIZE = 512;
const SCTP_EP_HASHSIZE = 64;

/** struct sctp_globals, and the SCTP fields of each sock. */
export class SctpGlobals {
	readonly port_hashtable = new Int32Array(SCTP_PORT_HASHSIZE);
	readonly bucket_cachep = new SctpBindBucketTable();
	/** Listening endpoints by slot, the last added first. */
	readonly ep_hashtable: SctpEndpoint[][] = [];
	/** Associations by namespace, local port and one address of the peer, the last added first. */
	readonly transport_hashtable = new Map<string, SctpAssociation[]>();
	/** sctp_sk(): the SCTP fields of each sock. */
	readonly socks = new Map<number, SctpSock>();
	/** Associations by number, for their timers. */
	readonly asocs: (SctpAssociation | null)[] = [];
	/** Tags of associations are counted. In C they are random. */
	vtags = 0;
	/** Packets in flight over loopback. */
	readonly packets: SctpPacket[] = [];
	/** The sock that a call holds, 0 if none. Packets for it wait in `backlog`. */
	owned: Sk = 0;
	readonly backlog: SctpPacket[] = [];
	/** sctp_generate_timeout_event: a timer of the association with a number. It is set at boot. */
	timeout: (k: Stack, asoc: number, kind: number) => void = () => {};

	constructor() {
		for (let i = 0; i < SCTP_EP_HASHSIZE; i++) this.ep_hashtable.push([]);
	}
}

/** Slot of a port in port_hashtable. */
export function sctp_phashfn(net: Net, lport: Port): number {
	return (net.hash_mix + lport) & (SCTP_PORT_HASHSIZE - 1);
}

/** Slot of a port in ep_hashtable. */
export function sctp_ep_hashfn(net: Net, lport: Port): number {
	return (net.hash_mix + lport) & (SCTP_EP_HASHSIZE - 1);
}

export function sctp_sk(k: Stack, sk: Sk): SctpSock {
	const sp = k.sctp_globals.socks.get(sk);
	if (sp === undefined) throw new Error(`socket ${sk} is not SCTP's`);
	return sp;
}

/** Whether the sock is one-to-one or one-to-many: `type` is SCTP_SOCKET_*. */
export function sctp_style(k: Stack, sk: Sk, type: number): boolean {
	return sctp_sk(k, sk).type === type;
}

export function sctp_sstate(k: Stack, sk: Sk, state: number): boolean {
	return k.sock.skc_state[sk] === state;
}

/** A copy of an address. */
export function sctpAddrDup(addr: SctpAddr): SctpAddr {
	return { ...addr, sin6_addr: addr.sin6_addr.slice() };
}

/** Converts a v4-mapped address to AF_INET, in place. */
export function sctp_v6_map_v4(addr: SctpAddr): void {
	addr.sin_family = AF_INET;
	addr.sin_addr = addr.sin6_addr[3];
}

/** Converts an AF_INET address to v4-mapped, in place. */
export function sctp_v4_map_v6(addr: SctpAddr): void {
	addr.sin_family = AF_INET6;
	// The array of an AF_INET address may be that of others.
	addr.sin6_addr = new Uint32Array(4);
	ipv6_addr_set_v4mapped(addr.sin_addr, addr.sin6_addr, 0);
	addr.sin_addr = 0; // sin6_flowinfo
	addr.sin6_scope_id = 0;
}

export function sctp_vtag_verify(packet: SctpPacket, asoc: SctpAssociation): boolean {
	return packet.vtag === asoc.c.my_vtag;
}

/** The tag of an ABORT or SHUTDOWN COMPLETE may also be a reflected one. */
export function sctp_vtag_verify_either(
	{ tbit, vtag }: SctpPacket,
	{ c }: SctpAssociation,
): boolean {
	return tbit ? c.peer_vtag !== 0 && vtag === c.peer_vtag : vtag === c.my_vtag;
}
