// SPDX-License-Identifier: GPL-2.0-or-later
/** net/dccp/ipv6.c: connect() over IPv6, requests and their children. */
import {
	DCCP_CLOSED,
	DCCP_REQUESTING,
	DCCP_ROLE_CLIENT,
	dccp_sk,
} from "../../include/linux/dccp.js";
import type { Sk } from "../../include/linux/handle.js";
import { INET6_DCCP_OPS, type ProtoOps, SOCK_DCCP } from "../../include/linux/net.js";
import {
	AF_INET6,
	SIN6_LEN_RFC2133,
	SIZEOF_SOCKADDR_IN,
	SIZEOF_SOCKADDR_IN6,
	type Sockaddr,
	sockaddr_in,
} from "../../include/linux/socket.js";
import { ipv6_only_sock } from "../../include/net/inet_sock.js";
import {
	IPV6_ADDR_LINKLOCAL,
	IPV6_ADDR_MAPPED,
	IPV6_ADDR_MULTICAST,
	in6addr_loopback,
	ipv6_addr_any,
	ipv6_addr_copy,
	ipv6_addr_type,
	LOOPBACK4_IPV6,
} from "../../include/net/ipv6.js";
import {
	ICSK_IPV6_MAPPED,
	PROT_DCCP_V6,
	type Proto,
	type RequestSockOps,
	sk_acceptq_is_full,
	sk_net,
} from "../../include/net/sock.js";
import type { Segment, Stack } from "../../include/net/stack.js";
import { EAFNOSUPPORT, EINVAL, ENETUNREACH } from "../../include/uapi/asm-generic/errno.js";
import { IPPROTO_DCCP } from "../../include/uapi/linux/in.js";
import { proto_register } from "../core/sock.js";
import {
	inet_accept,
	inet_recvmsg,
	inet_release,
	inet_sendmsg,
	inet_shutdown,
	inet_stream_connect,
	inet_wait_for_connect,
} from "../ipv4/af_inet.js";
import { inet_csk_get_port } from "../ipv4/inet_connection_sock.js";
import {
	inet_bhash2_reset_saddr,
	inet_bhash2_update_saddr,
	inet_hash,
	inet_put_port,
	inet_unhash,
} from "../ipv4/inet_hashtables.js";
import {
	inet6_bind,
	inet6_getname,
	inet6_register_protosw,
	inet6Getsockopt,
	inet6Setsockopt,
} from "../ipv6/af_inet6.js";
import { inet6_hash_connect } from "../ipv6/inet6_hashtables.js";
import { ip6_dst_lookup_flow } from "../ipv6/ip6_output.js";
import { tcp_v6_init_req } from "../ipv6/tcp_ipv6.js";
import {
	dccp_reqsk_destructor,
	dccp_v4_connect,
	dccpConnRequest,
	dccpGetsockopt,
	dccpInheritPort,
	dccpSetsockopt,
} from "./ipv4.js";
import { dccp_create_openreq_child } from "./minisocks.js";
import { dccp_connect, dccp_make_response, dccp_sync_mss } from "./output.js";
import {
	dccp_close,
	dccp_destroy_sock,
	dccp_disconnect,
	dccp_init_sock,
	dccp_recvmsg,
	dccp_sendmsg,
	dccp_set_state,
	inet_dccp_listen,
} from "./proto.js";
import { dccp_write_timer } from "./timer.js";

/** A Request for a listener over IPv6. Returns the code of a Reset, 0 if it is answered. */
export function dccp_v6_conn_request(k: Stack, sk: Sk, skb: Segment): number {
	const { v6 } = skb;
	if (v6 === null) return 0;
	return dccpConnRequest(k, sk, skb, (req) => {
		tcp_v6_init_req(k, sk, req, skb, v6.saddr, v6.daddr);
	});
}

/** Makes the child of a request over IPv6. Returns 0 if the accept queue is full. */
export function dccp_v6_request_recv_sock(k: Stack, sk: Sk, req: Sk): Sk {
	if (sk_acceptq_is_full(k, sk)) return 0;
	const newsk = dccp_create_openreq_child(k, sk, req);
	const S = k.sock;
	const at = newsk * 4;
	ipv6_addr_copy(S.skc_v6_daddr, at, S.skc_v6_daddr, req * 4);
	ipv6_addr_copy(S.np_saddr, at, S.skc_v6_rcv_saddr, req * 4);
	ipv6_addr_copy(S.skc_v6_rcv_saddr, at, S.skc_v6_rcv_saddr, req * 4);
	S.skc_bound_dev_if[newsk] = S.skc_bound_dev_if[req];
	S.skc_daddr[newsk] = LOOPBACK4_IPV6;
	S.inet_saddr[newsk] = LOOPBACK4_IPV6;
	S.skc_rcv_saddr[newsk] = LOOPBACK4_IPV6;
	dccp_sync_mss(k, newsk);
	dccpInheritPort(k, sk, newsk);
	return newsk;
}

/**
 * connect(). Calls dccp_v4_connect if the destination is v4-mapped. Returns 0 or a negative errno.
 */
function dccp_v6_connect(k: Stack, sk: Sk, usin: Sockaddr, addr_len: number): number {
	const S = k.sock;
	const at = sk * 4;
	dccp_sk(k, sk).role = DCCP_ROLE_CLIENT;
	if (addr_len < SIN6_LEN_RFC2133) return -EINVAL;
	if (usin.sin_family !== AF_INET6) return -EAFNOSUPPORT;

	// The wildcard as destination means this host.
	const daddr = usin.sin6_addr.slice();
	if (ipv6_addr_any(daddr, 0)) daddr.set(in6addr_loopback);
	const addr_type = ipv6_addr_type(daddr, 0);
	if ((addr_type & IPV6_ADDR_MULTICAST) !== 0) return -ENETUNREACH;
	if ((addr_type & IPV6_ADDR_LINKLOCAL) !== 0) {
		if (addr_len >= SIZEOF_SOCKADDR_IN6 && usin.sin6_scope_id !== 0) {
			const bound = S.skc_bound_dev_if[sk];
			if (bound !== 0 && bound !== usin.sin6_scope_id) return -EINVAL;
			S.skc_bound_dev_if[sk] = usin.sin6_scope_id;
		}
		// A link-local address needs a device.
		if (S.skc_bound_dev_if[sk] === 0) return -EINVAL;
	}
	ipv6_addr_copy(S.skc_v6_daddr, at, daddr, 0);

	if (addr_type === IPV6_ADDR_MAPPED) {
		if (ipv6_only_sock(k, sk)) return -ENETUNREACH;
		const sin = sockaddr_in(daddr[3], usin.sin_port);
		S.inet_flags[sk] |= ICSK_IPV6_MAPPED;
		const err = dccp_v4_connect(k, sk, sin, SIZEOF_SOCKADDR_IN);
		if (err !== 0) {
			S.inet_flags[sk] &= ~ICSK_IPV6_MAPPED;
			S.skc_dport[sk] = 0;
			return err;
		}
		ipv6_addr_copy(S.np_saddr, at, S.skc_v6_rcv_saddr, at);
		return 0;
	}

	const bound = !ipv6_addr_any(S.skc_v6_rcv_saddr, at);
	const from = bound ? S.skc_v6_rcv_saddr : S.np_saddr;
	let err = ip6_dst_lookup_flow(k, sk, from, at, daddr, 0, S.skc_bound_dev_if[sk]);
	if (err < 0) {
		S.skc_dport[sk] = 0;
		return err;
	}
	const saddr = sk_net(k, sk).fl6.saddr.slice();
	if (bound) ipv6_addr_copy(S.np_saddr, at, S.skc_v6_rcv_saddr, at);
	else {
		inet_bhash2_update_saddr(k, sk, saddr);
		ipv6_addr_copy(S.np_saddr, at, saddr, 0);
	}
	S.skc_rcv_saddr[sk] = LOOPBACK4_IPV6;
	S.skc_dport[sk] = usin.sin_port;

	dccp_set_state(k, sk, DCCP_REQUESTING);
	err = inet6_hash_connect(k, sk);
	if (err !== 0) {
		dccp_set_state(k, sk, DCCP_CLOSED);
		inet_bhash2_reset_saddr(k, sk);
		S.skc_dport[sk] = 0;
		return err;
	}
	dccp_connect(k, sk);
	return 0;
}

const dccp6_request_sock_ops: RequestSockOps = {
	rtx_syn_ack: dccp_make_response,
	timeout: 0,
	destructor: dccp_reqsk_destructor,
};

const dccp_v6_prot: Proto = {
	name: "DCCPv6",
	prot: PROT_DCCP_V6,
	init: dccp_init_sock,
	close: dccp_close,
	connect: dccp_v6_connect,
	disconnect: dccp_disconnect,
	sendmsg: dccp_sendmsg,
	recvmsg: dccp_recvmsg,
	hash: inet_hash,
	unhash: inet_unhash,
	get_port: inet_csk_get_port,
	put_port: inet_put_port,
	destroy: dccp_destroy_sock,
	write_timer: dccp_write_timer,
	rsk_prot: dccp6_request_sock_ops,
	no_autobind: false,
};

const inet6_dccp_ops: ProtoOps = {
	ops: INET6_DCCP_OPS,
	release: inet_release,
	bind: inet6_bind,
	connect: inet_stream_connect,
	connect_wait: inet_wait_for_connect,
	accept: inet_accept,
	getname: inet6_getname,
	listen: inet_dccp_listen,
	shutdown: inet_shutdown,
	setsockopt: dccpSetsockopt(inet6Setsockopt),
	getsockopt: dccpGetsockopt(inet6Getsockopt),
	sendmsg: inet_sendmsg,
	recvmsg: inet_recvmsg,
};

export function dccp_v6_init(k: Stack): void {
	proto_register(k, dccp_v6_prot);
	inet6_register_protosw(k, {
		type: SOCK_DCCP,
		protocol: IPPROTO_DCCP,
		prot: dccp_v6_prot,
		ops: inet6_dccp_ops,
	});
}
