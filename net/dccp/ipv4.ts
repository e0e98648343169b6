// SPDX-License-Identifier: GPL-2.0-or-later
/** net/dccp/ipv4.c: DCCP over IPv4. */

import type { Sk } from "../../include/linux/handle.js";
import type { ProtoOps } from "../../include/linux/net.js";
import { INET_DCCP_OPS, SOCK_DCCP } from "../../include/linux/net.js";
import { AF_INET, SIZEOF_SOCKADDR_IN, type Sockaddr } from "../../include/linux/socket.js";
import {
	inet_sk_flowi_flags,
	sk_daddr_set,
	sk_rcv_saddr_set,
} from "../../include/net/inet_sock.js";
import { RTN_BROADCAST, RTN_MULTICAST } from "../../include/net/net_namespace.js";
import type { Proto } from "../../include/net/sock.js";
import { PROT_DCCP_V4 } from "../../include/net/sock.js";
import type { Stack } from "../../include/net/stack.js";
import { EAFNOSUPPORT, EINVAL, ENETUNREACH } from "../../include/uapi/asm-generic/errno.js";
import { IPPROTO_DCCP } from "../../include/uapi/linux/in.js";
import { proto_register, sk_net } from "../core/sock.js";
import {
	inet_accept,
	inet_bind,
	inet_getname,
	inet_recvmsg,
	inet_register_protosw,
	inet_release,
	inet_sendmsg,
	inet_shutdown,
	inet_wait_for_connect,
	inetGetsockopt,
	inetSetsockopt,
} from "../ipv4/af_inet.js";
import { inet_csk_get_port } from "../ipv4/inet_connection_sock.js";
import {
	inet_bhash2_reset_saddr,
	inet_bhash2_update_saddr,
	inet_hash,
	inet_hash_connect,
	inet_put_port,
	inet_unhash,
} from "../ipv4/inet_hashtables.js";
import { ip_route_connect } from "../ipv4/route.js";
import {
	DCCP_CLOSED,
	DCCP_REQUESTING,
	dccp_close,
	dccp_connect,
	dccp_disconnect,
	dccp_init_sock,
	dccp_recvmsg,
	dccp_sendmsg,
	dccp_set_state,
	dccpCheckModelled,
	dccpStreamConnect,
	inet_dccp_listen,
} from "./proto.js";

/**
 * connect(). Has the same steps as tcp_v4_connect: looks up the route and the source address, then
 * finds the local port. Returns 0 or a negative errno. Throws NotModelled.
 */
export function dccp_v4_connect(k: Stack, sk: Sk, addr: Sockaddr, addr_len: number): number {
	const S = k.sock;
	const net = sk_net(k, sk);
	if (addr_len < SIZEOF_SOCKADDR_IN) return -EINVAL;
	if (addr.sin_family !== AF_INET) return -EAFNOSUPPORT;

	let err = ip_route_connect(
		net,
		addr.sin_addr,
		S.inet_saddr[sk],
		S.skc_bound_dev_if[sk],
		inet_sk_flowi_flags(k, sk),
	);
	if (err < 0) return err;
	if (net.fl4.type === RTN_MULTICAST || net.fl4.type === RTN_BROADCAST) return -ENETUNREACH;
	const { saddr, daddr } = net.fl4;
	dccpCheckModelled(k, sk, { ...addr, sin_addr: daddr }, AF_INET);

	if (S.inet_saddr[sk] === 0) inet_bhash2_update_saddr(k, sk, saddr);
	else sk_rcv_saddr_set(k, sk, S.inet_saddr[sk]);
	S.skc_dport[sk] = addr.sin_port;
	sk_daddr_set(k, sk, daddr);

	dccp_set_state(k, sk, DCCP_REQUESTING);
	err = inet_hash_connect(k, sk);
	if (err !== 0) {
		dccp_set_state(k, sk, DCCP_CLOSED);
		inet_bhash2_reset_saddr(k, sk);
		S.skc_dport[sk] = 0;
		return err;
	}
	dccp_connect(k, sk);
	return 0;
}

export const dccp_v4_prot: Proto = {
	name: "DCCP",
	prot: PROT_DCCP_V4,
	init: dccp_init_sock,
	close: dccp_close,
	connect: dccp_v4_connect,
	disconnect: dccp_disconnect,
	sendmsg: dccp_sendmsg,
	recvmsg: dccp_recvmsg,
	hash: inet_hash,
	unhash: inet_unhash,
	get_port: inet_csk_get_port,
	put_port: inet_put_port,
	no_autobind: false,
};

export const inet_dccp_ops: ProtoOps = {
	ops: INET_DCCP_OPS,
	release: inet_release,
	bind: inet_bind,
	connect: dccpStreamConnect,
	connect_wait: inet_wait_for_connect,
	accept: inet_accept,
	getname: inet_getname,
	listen: inet_dccp_listen,
	shutdown: inet_shutdown,
	setsockopt: inetSetsockopt,
	getsockopt: inetGetsockopt,
	sendmsg: inet_sendmsg,
	recvmsg: inet_recvmsg,
};

export function dccp_v4_init(k: Stack): void {
	proto_register(k, dccp_v4_prot);
	inet_register_protosw(k, {
		type: SOCK_DCCP,
		protocol: IPPROTO_DCCP,
		prot: dccp_v4_prot,
		ops: inet_dccp_ops,
	});
}
