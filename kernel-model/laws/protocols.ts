// SPDX-License-Identifier: GPL-2.0-or-later
/** The protocols that laws are put to. */
import { SOCK_DCCP, SOCK_DGRAM, SOCK_STREAM } from "../../include/linux/net.js";
import {
	IPPROTO_DCCP,
	IPPROTO_MPTCP,
	IPPROTO_SCTP,
	IPPROTO_TCP,
	IPPROTO_UDP,
	IPPROTO_UDPLITE,
} from "../../include/uapi/linux/in.js";

export type Protocol = "tcp" | "udp" | "udplite" | "mptcp" | "sctp" | "dccp";

interface ProtocolKind {
	readonly type: number;
	readonly number: number;
	/** The words of a socket() call. */
	readonly words: string;
	/** Whether its sockets listen for connections. */
	readonly listens: boolean;
	/** The protocol of its strangers. */
	readonly other: Protocol;
}

export const KINDS: Readonly<Record<Protocol, ProtocolKind>> = {
	tcp: {
		type: SOCK_STREAM,
		number: IPPROTO_TCP,
		words: "SOCK_STREAM, IPPROTO_TCP",
		listens: true,
		other: "udp",
	},
	udp: {
		type: SOCK_DGRAM,
		number: IPPROTO_UDP,
		words: "SOCK_DGRAM, IPPROTO_UDP",
		listens: false,
		other: "tcp",
	},
	udplite: {
		type: SOCK_DGRAM,
		number: IPPROTO_UDPLITE,
		words: "SOCK_DGRAM, IPPROTO_UDPLITE",
		listens: false,
		other: "udp",
	},
	mptcp: {
		type: SOCK_STREAM,
		number: IPPROTO_MPTCP,
		words: "SOCK_STREAM, IPPROTO_MPTCP",
		listens: true,
		other: "udp",
	},
	sctp: {
		type: SOCK_STREAM,
		number: IPPROTO_SCTP,
		words: "SOCK_STREAM, IPPROTO_SCTP",
		listens: true,
		other: "tcp",
	},
	dccp: {
		type: SOCK_DCCP,
		number: IPPROTO_DCCP,
		words: "SOCK_DCCP, IPPROTO_DCCP",
		listens: true,
		other: "tcp",
	},
};

export const PROTOCOLS = Object.keys(KINDS) as readonly Protocol[];
