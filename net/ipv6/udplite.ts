// SPDX-License-Identifier: GPL-2.0-or-later
/** net/ipv6/udplite.c: UDP-Lite of AF_INET6 socks; see net/ipv4/udplite.ts. */
import { SOCK_DGRAM } from "../../include/linux/net.js";
import { PROT_UDPLITEV6, type Proto } from "../../include/net/sock.js";
import type { Stack } from "../../include/net/stack.js";
import { udp_lib_hash } from "../../include/net/udp.js";
import { IPPROTO_UDPLITE } from "../../include/uapi/linux/in.js";
import { proto_register } from "../core/sock.js";
import { udp_destroy_sock, udp_disconnect, udp_lib_close, udp_lib_unhash } from "../ipv4/udp.js";
import { inet6_dgram_ops, inet6_register_protosw } from "./af_inet6.js";
import { ip6_datagram_connect } from "./datagram.js";
import { udp_v6_get_port, udp_v6_rehash, udpv6_recvmsg, udpv6_sendmsg } from "./udp.js";

const udplitev6_prot: Proto = {
	name: "UDPLITEv6",
	prot: PROT_UDPLITEV6,
	close: udp_lib_close,
	connect: ip6_datagram_connect,
	disconnect: udp_disconnect,
	destroy: udp_destroy_sock,
	sendmsg: udpv6_sendmsg,
	recvmsg: udpv6_recvmsg,
	hash: udp_lib_hash,
	unhash: udp_lib_unhash,
	rehash: udp_v6_rehash,
	get_port: udp_v6_get_port,
	no_autobind: false,
};

export function udplitev6_init(k: Stack): void {
	proto_register(k, udplitev6_prot);
	inet6_register_protosw(k, {
		type: SOCK_DGRAM,
		protocol: IPPROTO_UDPLITE,
		prot: udplitev6_prot,
		ops: inet6_dgram_ops,
	});
}
