// SPDX-License-Identifier: GPL-2.0-or-later
/**
 * net/ipv4/udplite.c: UDP-Lite. It is UDP with a table of its own (k.udplite_table). Partial
 * checksums are left out.
 */
import { SOCK_DGRAM } from "../../include/linux/net.js";
import { PROT_UDPLITE, type Proto } from "../../include/net/sock.js";
import type { Stack } from "../../include/net/stack.js";
import { udp_lib_hash } from "../../include/net/udp.js";
import { IPPROTO_UDPLITE } from "../../include/uapi/linux/in.js";
import { proto_register } from "../core/sock.js";
import { inet_dgram_ops, inet_register_protosw } from "./af_inet.js";
import { ip4_datagram_connect } from "./datagram.js";
import {
	udp_destroy_sock,
	udp_disconnect,
	udp_lib_close,
	udp_lib_unhash,
	udp_recvmsg,
	udp_sendmsg,
	udp_v4_get_port,
	udp_v4_rehash,
} from "./udp.js";

const udplite_prot: Proto = {
	name: "UDP-Lite",
	prot: PROT_UDPLITE,
	close: udp_lib_close,
	connect: ip4_datagram_connect,
	disconnect: udp_disconnect,
	destroy: udp_destroy_sock,
	sendmsg: udp_sendmsg,
	recvmsg: udp_recvmsg,
	hash: udp_lib_hash,
	unhash: udp_lib_unhash,
	rehash: udp_v4_rehash,
	get_port: udp_v4_get_port,
	no_autobind: false,
};

export function udplite4_register(k: Stack): void {
	proto_register(k, udplite_prot);
	inet_register_protosw(k, {
		type: SOCK_DGRAM,
		protocol: IPPROTO_UDPLITE,
		prot: udplite_prot,
		ops: inet_dgram_ops,
	});
}
