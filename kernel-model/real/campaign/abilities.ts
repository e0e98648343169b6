// SPDX-License-Identifier: GPL-2.0-or-later
/** What a kernel can do, and what programs leave out. */
import { SOCK_DCCP, SOCK_DGRAM, SOCK_SEQPACKET, SOCK_STREAM } from "../../../include/linux/net.js";

/** The features of the kernel. */
export interface Abilities {
	version: string;
	/** Kinds of sockets that the kernel has. */
	kinds: readonly Kind[];
	/** The highest user id. */
	users: number;
	/** Whether devices can be made, including a VRF. */
	vrf: boolean;
	/** Sysctls of SYSCTLS (vocabulary.ts) that the kernel has. */
	sysctls: readonly string[];
	/** Results must not depend on single milliseconds. */
	exact?: boolean;
	/** Also makes programs with hundreds of sockets, and programs that let seconds pass. */
	long?: boolean;
	/** What programs leave out: names of WITHOUT, of operations and of socket options. */
	without?: readonly string[];
}

/** What programs can leave out, besides operations and socket options. */
export const WITHOUT: Readonly<Record<string, string>> = {
	ipv6: "sockets of IPv6",
	routes: "routes of the namespace",
	away: "destinations that are not addresses of the host",
	order: "ranges of more than one port, so that no search has a choice",
	autobind: "ports that the kernel chooses",
	users: "other users",
	mapped: "v4-mapped addresses and sockets of both families",
	wildcard: "wildcard addresses",
	scopes: "link-local addresses and their scopes",
};

export const KINDS = {
	tcp: { type: SOCK_STREAM, name: "SOCK_STREAM", protocol: "IPPROTO_TCP", number: 6 },
	udp: { type: SOCK_DGRAM, name: "SOCK_DGRAM", protocol: "IPPROTO_UDP", number: 17 },
	udplite: { type: SOCK_DGRAM, name: "SOCK_DGRAM", protocol: "IPPROTO_UDPLITE", number: 136 },
	mptcp: { type: SOCK_STREAM, name: "SOCK_STREAM", protocol: "IPPROTO_MPTCP", number: 262 },
	sctp: { type: SOCK_STREAM, name: "SOCK_STREAM", protocol: "IPPROTO_SCTP", number: 132 },
	sctpMany: { type: SOCK_SEQPACKET, name: "SOCK_SEQPACKET", protocol: "IPPROTO_SCTP", number: 132 },
	dccp: { type: SOCK_DCCP, name: "SOCK_DCCP", protocol: "IPPROTO_DCCP", number: 33 },
} as const;
export type Kind = keyof typeof KINDS;

export function isDatagram(kind: Kind): boolean {
	return kind === "udp" || kind === "udplite";
}
