// SPDX-License-Identifier: GPL-2.0-or-later
/** net/dccp/ipv4.c: connect() over IPv4, the delivery of packets, requests and their children. */

import {
	DCCP_CLOSED,
	DCCP_LISTEN,
	DCCP_NEW_SYN_RECV,
	DCCP_OPEN,
	DCCP_PKT_DATA,
	DCCP_PKT_REQUEST,
	DCCP_PKT_RESET,
	DCCP_REQUESTING,
	DCCP_RESET_CODE_BAD_SERVICE_CODE,
	DCCP_RESET_CODE_NO_CONNECTION,
	DCCP_RESET_CODE_TOO_BUSY,
	DCCP_ROLE_CLIENT,
	DCCP_TIME_WAIT,
	DCCP_TIMEOUT_INIT,
	dccp_sk,
	dccpFlags,
	dccphType,
} from "../../include/linux/dccp.js";
import type { Ifindex, Sk, Sock } from "../../include/linux/handle.js";
import { INET_DCCP_OPS, type ProtoOps, SOCK_DCCP } from "../../include/linux/net.js";
import {
	AF_INET,
	AF_INET6,
	SIZEOF_SOCKADDR_IN,
	SOL_DCCP,
	type Sockaddr,
} from "../../include/linux/socket.js";
import { inet_csk_reqsk_queue_is_full } from "../../include/net/inet_connection_sock.js";
import { sk_daddr_set, sk_rcv_saddr_set } from "../../include/net/inet_hashtables.js";
import { inet_sk_flowi_flags, ip_sock_rt_scope } from "../../include/net/inet_sock.js";
import { rt6_need_strict } from "../../include/net/ip6_route.js";
import { type In6Addr, ipv6_addr_copy } from "../../include/net/ipv6.js";
import { type Net, RTN_BROADCAST, RTN_MULTICAST } from "../../include/net/net_namespace.js";
import { reqsk_free } from "../../include/net/request_sock.js";
import {
	ICSK_IPV6_MAPPED,
	PROT_DCCP_V4,
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
	inet_bind,
	inet_getname,
	inet_recvmsg,
	inet_register_protosw,
	inet_release,
	inet_sendmsg,
	inet_shutdown,
	inet_stream_connect,
	inet_wait_for_connect,
	inetGetsockopt,
	inetSetsockopt,
} from "../ipv4/af_inet.js";
import {
	inet_csk_get_port,
	inet_csk_reqsk_queue_drop,
	inet_csk_reqsk_queue_hash_add,
} from "../ipv4/inet_connection_sock.js";
import {
	__inet_inherit_port,
	__inet_lookup_established,
	__inet_lookup_listener,
	inet_bhash2_reset_saddr,
	inet_bhash2_update_saddr,
	inet_ehash_nolisten,
	inet_hash,
	inet_hash_connect,
	inet_put_port,
	inet_unhash,
} from "../ipv4/inet_hashtables.js";
import { inet_add_protocol } from "../ipv4/protocol.js";
import { ip_route_connect, ipSegmentRoute } from "../ipv4/route.js";
import { newIsn, turnAround } from "../ipv4/tcp_output.js";
import { __inet6_lookup_established, inet6_lookup_listener } from "../ipv6/inet6_hashtables.js";
import { inet6_sdif, ip6LocalDeliverIfindex } from "../ipv6/route.js";
import { l3mdev_master_ifindex_by_index } from "../l3mdev/l3mdev.js";
import { dccp_rcv_established, dccp_rcv_state_process } from "./input.js";
import {
	dccp_check_req,
	dccp_child_process,
	dccp_create_openreq_child,
	dccp_reqsk_init,
} from "./minisocks.js";
import { dccp_connect, dccp_make_response, dccp_sync_mss } from "./output.js";
import {
	dccp_close,
	dccp_destroy_sock,
	dccp_disconnect,
	dccp_init_sock,
	dccp_recvmsg,
	dccp_sendmsg,
	dccp_set_state,
	do_dccp_getsockopt,
	do_dccp_setsockopt,
	inet_dccp_listen,
} from "./proto.js";
import { dccp_write_timer } from "./timer.js";

/**
 * connect(). Has the same steps as tcp_v4_connect: looks up the route and the source address, then
 * finds the local port and sends a Request. Returns 0 or a negative errno.
 */
export function dccp_v4_connect(k: Stack, sk: Sk, addr: Sockaddr, addr_len: number): number {
	const S = k.sock;
	const net = sk_net(k, sk);
	dccp_sk(k, sk).role = DCCP_ROLE_CLIENT;
	if (addr_len < SIZEOF_SOCKADDR_IN) return -EINVAL;
	if (addr.sin_family !== AF_INET) return -EAFNOSUPPORT;

	let err = ip_route_connect(
		net,
		addr.sin_addr,
		S.inet_saddr[sk],
		S.skc_bound_dev_if[sk],
		inet_sk_flowi_flags(k, sk),
		ip_sock_rt_scope(k, sk),
	);
	if (err < 0) return err;
	if (net.fl4.type === RTN_MULTICAST || net.fl4.type === RTN_BROADCAST) return -ENETUNREACH;
	const { saddr, daddr } = net.fl4;

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

/**
 * Makes the child of a request over IPv4. The child of an AF_INET6 listener has v4-mapped addresses.
 * Returns 0 if the accept queue is full.
 */
export function dccp_v4_request_recv_sock(k: Stack, sk: Sk, req: Sk): Sk {
	if (sk_acceptq_is_full(k, sk)) return 0;
	const newsk = dccp_create_openreq_child(k, sk, req);
	const S = k.sock;
	sk_daddr_set(k, newsk, S.skc_daddr[req]);
	sk_rcv_saddr_set(k, newsk, S.skc_rcv_saddr[req]);
	S.inet_saddr[newsk] = S.skc_rcv_saddr[req];
	if (S.skc_family[newsk] === AF_INET6) {
		ipv6_addr_copy(S.np_saddr, newsk * 4, S.skc_v6_rcv_saddr, newsk * 4);
		S.inet_flags[newsk] |= ICSK_IPV6_MAPPED;
	}
	dccp_sync_mss(k, newsk);
	dccpInheritPort(k, sk, newsk);
	return newsk;
}

/** Gives a child its listener's port and puts it into ehash. */
export function dccpInheritPort(k: Stack, sk: Sk, newsk: Sk): void {
	if (__inet_inherit_port(k, sk, newsk) < 0) {
		throw new Error(`listener ${sk} has no bind bucket`);
	}
	inet_ehash_nolisten(k, newsk, true);
}

/**
 * dccp_v4_ctl_send_reset, dccp_v6_ctl_send_reset: answers a packet with a Reset, by the device that
 * received it. No answer if only a route to lo brought the packet here and its address is not local.
 */
export function dccp_ctl_send_reset(k: Stack, skb: Segment, code: number): void {
	const { net, v6, saddr } = skb;
	const type = dccphType(skb.flags);
	if (type === DCCP_PKT_RESET || !skb.local) return;
	let { dif } = skb;
	let local = true;
	if (v6 === null) ({ dif, local } = ipSegmentRoute(net, saddr, dif));
	else {
		const iif = inet6_iif(net, v6.daddr, dif);
		// Outside a VRF only a link-local address or ::1 needs the receiving device.
		const free = l3mdev_master_ifindex_by_index(net, iif) === 0 && !rt6_need_strict(v6.saddr, 0);
		dif = ip6LocalDeliverIfindex(net, v6.saddr, 0, free ? 0 : iif);
	}
	if (dif === 0) return;
	// A Request and a packet with data acknowledge nothing.
	const without_ack = type === DCCP_PKT_REQUEST || type === DCCP_PKT_DATA;
	const seq = without_ack ? 0 : skb.ack;
	const flags = dccpFlags(DCCP_PKT_RESET, code);
	const reset = { ...skb, flags, dif, local, length: 0, seq, ack: skb.seq };
	turnAround(reset);
	k.loopback.push(reset);
}

/** dccp_v4_reqsk_destructor, dccp_v6_reqsk_destructor. */
export function dccp_reqsk_destructor(k: Stack, req: Sk): void {
	k.dccp.dreq_service.delete(req);
}

const dccp_request_sock_ops: RequestSockOps = {
	rtx_syn_ack: dccp_make_response,
	// Nothing sets it, so from the second time on a Response is sent again at the next jiffy.
	timeout: 0,
	destructor: dccp_reqsk_destructor,
};

/** net/dccp/dccp.h: whether a listener does not have the service code of a Request. */
function dccp_bad_service_code(k: Stack, sk: Sk, service: number): boolean {
	const dp = dccp_sk(k, sk);
	return dp.service !== service && !dp.service_list.includes(service);
}

/**
 * The part of conn_request that is the same over IPv4 and IPv6. `init` sets the addresses of the
 * request. Returns the code of the Reset that refuses the Request, 0 if it is answered.
 */
export function dccpConnRequest(k: Stack, sk: Sk, skb: Segment, init: (req: Sk) => void): number {
	if (dccp_bad_service_code(k, sk, skb.service)) return DCCP_RESET_CODE_BAD_SERVICE_CODE;
	if (inet_csk_reqsk_queue_is_full(k, sk) || sk_acceptq_is_full(k, sk)) {
		return DCCP_RESET_CODE_TOO_BUSY;
	}
	const req = dccp_reqsk_init(k, sk, skb);
	init(req);
	k.sock.rcv_isn[req] = skb.seq;
	k.sock.snd_isn[req] = newIsn(k, false);
	if (!dccp_make_response(k, req)) {
		reqsk_free(k, req);
		return DCCP_RESET_CODE_TOO_BUSY;
	}
	inet_csk_reqsk_queue_hash_add(k, sk, req, DCCP_TIMEOUT_INIT);
	return 0;
}

/** A Request for a listener. Returns the code of the Reset that refuses it, 0 if it is answered. */
export function dccp_v4_conn_request(k: Stack, sk: Sk, skb: Segment): number {
	return dccpConnRequest(k, sk, skb, (req) => {
		sk_rcv_saddr_set(k, req, skb.daddr);
		sk_daddr_set(k, req, skb.saddr);
	});
}

/** dccp_v4_do_rcv, dccp_v6_do_rcv: a packet for a sock. */
function dccp_do_rcv(k: Stack, sk: Sk, skb: Segment): void {
	if (k.sock.skc_state[sk] === DCCP_OPEN) {
		dccp_rcv_established(k, sk, skb);
		return;
	}
	const code = dccp_rcv_state_process(k, sk, skb);
	if (code !== 0) dccp_ctl_send_reset(k, skb, code);
}

/**
 * include/linux/ipv6.h: inet6_iif. The VRF that a packet to `daddr` came through on device `dif`,
 * otherwise the device.
 */
function inet6_iif(net: Net, daddr: In6Addr, dif: Ifindex): Ifindex {
	return inet6_sdif(net, daddr, 0, dif) || dif;
}

/**
 * __inet_lookup_skb, __inet6_lookup_skb: the sock that receives a packet, 0 if none. DCCP asks for
 * one device only. Over IPv4 this is the device that has the address, so a socket that is bound to
 * a VRF receives nothing. Over IPv6 this is the VRF, so a socket that is bound to a device of the
 * VRF receives nothing.
 */
function dccpLookup(k: Stack, skb: Segment): Sk {
	const { net, v6, saddr, daddr, sport, dport, dif } = skb;
	const hinfo = k.dccp_hashinfo;
	if (v6 === null) {
		return (
			__inet_lookup_established(k, net, hinfo, saddr, sport, daddr, dport, dif, 0) ||
			__inet_lookup_listener(k, net, hinfo, saddr, sport, daddr, dport, dif, 0)
		);
	}
	const { saddr: from, daddr: to } = v6;
	const iif = inet6_iif(net, to, dif);
	return (
		__inet6_lookup_established(k, net, hinfo, from, 0, sport, to, 0, dport, iif, 0) ||
		inet6_lookup_listener(k, net, hinfo, from, 0, sport, to, 0, dport, iif, 0)
	);
}

/** Delivers a packet to its connection or listener. Also dccp_v6_rcv. */
function dccp_v4_rcv(k: Stack, skb: Segment): void {
	const S = k.sock;
	for (;;) {
		const sk = dccpLookup(k, skb);
		if (sk === 0 || S.skc_state[sk] === DCCP_TIME_WAIT) {
			// no_dccp_socket:
			dccp_ctl_send_reset(k, skb, DCCP_RESET_CODE_NO_CONNECTION);
			return;
		}
		if (S.skc_state[sk] !== DCCP_NEW_SYN_RECV) {
			dccp_do_rcv(k, sk, skb);
			return;
		}
		const listener = S.rsk_listener.get(sk);
		if (listener !== 0 && S.skc_state[listener] === DCCP_LISTEN) {
			const child = dccp_check_req(k, listener, skb, sk);
			const code = child === 0 ? 0 : dccp_child_process(k, child, skb);
			if (code !== 0) dccp_ctl_send_reset(k, skb, code);
			return;
		}
		inet_csk_reqsk_queue_drop(k, sk);
	}
}

/** setsockopt() of DCCP over the level of its own. `others` has the other levels. */
export function dccpSetsockopt(others: ProtoOps["setsockopt"]): ProtoOps["setsockopt"] {
	return (k, sock, level, optname, optval, optlen) =>
		level === SOL_DCCP
			? do_dccp_setsockopt(k, k.socket.sk[sock], optname, optval, optlen)
			: others(k, sock, level, optname, optval, optlen);
}

/** getsockopt() of DCCP over the level of its own. `others` has the other levels. */
export function dccpGetsockopt(others: ProtoOps["getsockopt"]): ProtoOps["getsockopt"] {
	return (k: Stack, sock: Sock, level, optname, optlen) =>
		level === SOL_DCCP
			? do_dccp_getsockopt(k, k.socket.sk[sock], optname, optlen)
			: others(k, sock, level, optname, optlen);
}

const dccp_v4_prot: Proto = {
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
	destroy: dccp_destroy_sock,
	write_timer: dccp_write_timer,
	rsk_prot: dccp_request_sock_ops,
	no_autobind: false,
};

const inet_dccp_ops: ProtoOps = {
	ops: INET_DCCP_OPS,
	release: inet_release,
	bind: inet_bind,
	connect: inet_stream_connect,
	connect_wait: inet_wait_for_connect,
	accept: inet_accept,
	getname: inet_getname,
	listen: inet_dccp_listen,
	shutdown: inet_shutdown,
	setsockopt: dccpSetsockopt(inetSetsockopt),
	getsockopt: dccpGetsockopt(inetGetsockopt),
	sendmsg: inet_sendmsg,
	recvmsg: inet_recvmsg,
};

export function dccp_v4_init(k: Stack): void {
	proto_register(k, dccp_v4_prot);
	inet_add_protocol(k, { handler: dccp_v4_rcv }, IPPROTO_DCCP);
	inet_register_protosw(k, {
		type: SOCK_DCCP,
		protocol: IPPROTO_DCCP,
		prot: dccp_v4_prot,
		ops: inet_dccp_ops,
	});
}
