// SPDX-License-Identifier: GPL-2.0-or-later
/**
 * What families and protocols register at boot (include/net/protocol.h, struct net_proto_family
 * of include/linux/net.h). The lists are static variables in C.
 */
import type { Sock } from "../linux/handle.js";
import type { ProtoOps } from "../linux/net.js";
import type { Net } from "./net_namespace.js";
import type { Proto } from "./sock.js";
import type { Segment, Stack } from "./stack.js";

/** struct inet_protosw: an entry that socket() looks up by type and protocol. */
export interface InetProtosw {
	readonly type: number;
	readonly protocol: number;
	readonly prot: Proto;
	readonly ops: ProtoOps;
}

/** struct net_protocol: the receiver of an IP protocol. */
export interface NetProtocol {
	handler(k: Stack, skb: Segment): void;
}

/** struct net_proto_family. */
export interface NetProtoFamily {
	readonly family: number;
	/** Makes the sock of a new struct socket. Returns 0 or a negative errno. */
	create(k: Stack, net: Net, sock: Sock, protocol: number): number;
}

/** All families and protocols of one kernel. None is added after boot. */
export class Protocols {
	/** net/core/sock.c: the protocols, indexed by PROT_*. */
	readonly proto_list: Proto[] = [];
	/**
	 * The struct proto_ops, indexed by INET_STREAM_OPS and the other numbers of
	 * include/linux/net.ts.
	 */
	readonly proto_ops: ProtoOps[] = [];
	/** net/socket.c: the families, by AF_*. */
	readonly net_families = new Map<number, NetProtoFamily>();
	/** net/ipv4/af_inet.c. The first entry of a type is its default. */
	readonly inetsw: InetProtosw[] = [];
	/** net/ipv6/af_inet6.c. */
	readonly inetsw6: InetProtosw[] = [];
	/** net/ipv4/protocol.c: the receivers, by the number of the IP protocol. */
	readonly inet_protos = new Map<number, NetProtocol>();
}
