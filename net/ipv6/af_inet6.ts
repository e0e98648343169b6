// SPDX-License-Identifier: GPL-2.0-or-later
/** net/ipv6/af_inet6.c: socket(), bind() and getsockname() of AF_INET6 sockets. */

import { CAP_NET_BIND_SERVICE, ns_capable } from "../../include/linux/capability.js";
import type { Sk, Sock } from "../../include/linux/handle.js";
import {
	INET6_DGRAM_OPS,
	INET6_STREAM_OPS,
	type ProtoOps,
	SOCK_DGRAM,
	SOCK_STREAM,
} from "../../include/linux/net.js";
import {
	AF_INET6,
	SIN6_LEN_RFC2133,
	SIZEOF_SOCKADDR_IN6,
	SOL_IP,
	SOL_IPV6,
	SOL_TCP,
	SOL_UDP,
	SOL_UDPLITE,
	type Sockaddr,
} from "../../include/linux/socket.js";
import { inet_addr_valid_or_nonlocal, ipv6_only_sock } from "../../include/net/inet_sock.js";
import { inet_port_requires_bind_service, inet_reset_saddr } from "../../include/net/ip.js";
import {
	__ipv6_addr_needs_scope_id,
	IPV6_ADDR_ANY,
	IPV6_ADDR_MAPPED,
	IPV6_ADDR_MULTICAST,
	ipv6_addr_any,
	ipv6_addr_copy,
	ipv6_addr_type,
	ipv6_can_nonlocal_bind,
	ipv6_iface_scope_id,
	LOOPBACK4_IPV6,
} from "../../include/net/ipv6.js";
import { type Net, RT_TABLE_LOCAL } from "../../include/net/net_namespace.js";
import type { InetProtosw, NetProtoFamily } from "../../include/net/protocol.js";
import {
	INET_BIND_ADDRESS_NO_PORT,
	SOCK_BINDADDR_LOCK,
	SOCK_BINDPORT_LOCK,
	sk_net,
	sk_prot,
	sock_graft,
} from "../../include/net/sock.js";
import type { Stack } from "../../include/net/stack.js";
import { TCP_CLOSE, TCPF_CLOSE, TCPF_SYN_SENT } from "../../include/net/tcp_states.js";
import {
	EACCES,
	EADDRNOTAVAIL,
	EAFNOSUPPORT,
	EINVAL,
	ENODEV,
	ENOPROTOOPT,
	ENOTCONN,
} from "../../include/uapi/asm-generic/errno.js";
import { IPPROTO_MAX, IPPROTO_TCP, IPPROTO_UDP } from "../../include/uapi/linux/in.js";
import { dev_get_by_index } from "../core/dev.js";
import { NotModelled, proto_register, sk_alloc, sock_no_listen } from "../core/sock.js";
import {
	findProtosw,
	inet_accept,
	inet_dgram_connect,
	inet_listen,
	inet_recvmsg,
	inet_release,
	inet_sendmsg,
	inet_shutdown,
	inet_stream_connect,
	inetConnectWait,
	ownsLevel,
} from "../ipv4/af_inet.js";
import { inet_addr_type_table } from "../ipv4/fib_frontend.js";
import { do_ip_getsockopt, do_ip_setsockopt } from "../ipv4/ip_sockglue.js";
import { tcp_getsockopt, tcp_setsockopt } from "../ipv4/tcp.js";
import { udp_lib_getsockopt, udp_lib_setsockopt } from "../ipv4/udp.js";
import { l3mdev_fib_table_by_index } from "../l3mdev/l3mdev.js";
import { sock_register } from "../socket.js";
import { ipv6_chk_addr } from "./addrconf.js";
import { do_ipv6_getsockopt, do_ipv6_setsockopt } from "./ipv6_sockglue.js";
import { tcpv6_prot } from "./tcp_ipv6.js";
import { udp_v6_push_pending_frames, udpv6_prot } from "./udp.js";

/** Makes the sock of a new AF_INET6 socket. Returns 0 or a negative errno. */
function inet6_create(k: Stack, net: Net, sock: Sock, protocol: number): number {
	if (protocol < 0 || protocol >= IPPROTO_MAX) return -EINVAL;
	const answer = findProtosw(k.protocols.inetsw6, k.socket.type[sock], protocol);
	if (typeof answer === "number") return answer;
	k.socket.ops[sock] = answer.ops.ops;
	const { prot } = answer;
	const sk = sk_alloc(k, net, AF_INET6, prot.prot, k.socket.type[sock], answer.protocol);
	k.sock.skc_ipv6only[sk] = net.ipv6.bindv6only & 1;
	sock_graft(k, sk, sock);
	prot.init?.(k, sk);
	return 0;
}

/**
 * bind() to an IPv6 address. The socket becomes IPv6-only unless the address is the wildcard or
 * v4-mapped. Returns 0 or a negative errno.
 */
function __inet6_bind(k: Stack, sk: Sk, addr: Sockaddr, addr_len: number): number {
	const S = k.sock;
	const net = sk_net(k, sk);
	const at = sk * 4;
	if (addr.sin_family !== AF_INET6) return -EAFNOSUPPORT;
	const addr_type = ipv6_addr_type(addr.sin6_addr, 0);
	if ((addr_type & IPV6_ADDR_MULTICAST) !== 0 && S.sk_type[sk] === SOCK_STREAM) return -EINVAL;

	const snum = addr.sin_port;
	if (
		snum !== 0 &&
		inet_port_requires_bind_service(net, snum) &&
		!ns_capable(k, CAP_NET_BIND_SERVICE)
	) {
		return -EACCES;
	}
	// The socket is connected, listens, or is bound already.
	if (S.skc_state[sk] !== TCP_CLOSE || S.skc_num[sk] !== 0) return -EINVAL;

	let v4addr = 0;
	if (addr_type === IPV6_ADDR_MAPPED) {
		if (ipv6_only_sock(k, sk)) return -EINVAL;
		const dev_if = S.skc_bound_dev_if[sk];
		if (dev_if !== 0 && dev_get_by_index(net, dev_if) === null) return -ENODEV;
		// The same checks as in __inet_bind.
		v4addr = addr.sin6_addr[3];
		const table = l3mdev_fib_table_by_index(net, dev_if) || RT_TABLE_LOCAL;
		const chk_addr_ret = inet_addr_type_table(net, v4addr, table);
		if (!inet_addr_valid_or_nonlocal(net, S.inet_flags[sk], v4addr, chk_addr_ret)) {
			return -EADDRNOTAVAIL;
		}
	} else if (addr_type !== IPV6_ADDR_ANY) {
		if (__ipv6_addr_needs_scope_id(addr_type)) {
			if (addr_len >= SIZEOF_SOCKADDR_IN6 && addr.sin6_scope_id !== 0) {
				S.skc_bound_dev_if[sk] = addr.sin6_scope_id;
			}
			if (S.skc_bound_dev_if[sk] === 0) return -EINVAL;
		}
		const dev_if = S.skc_bound_dev_if[sk];
		if (dev_if !== 0 && dev_get_by_index(net, dev_if) === null) return -ENODEV;
		v4addr = LOOPBACK4_IPV6;
		if (
			(addr_type & IPV6_ADDR_MULTICAST) === 0 &&
			!ipv6_can_nonlocal_bind(net, S.inet_flags[sk]) &&
			!ipv6_chk_addr(net, addr.sin6_addr, 0, dev_if, false)
		) {
			return -EADDRNOTAVAIL;
		}
	}

	S.skc_rcv_saddr[sk] = v4addr;
	S.inet_saddr[sk] = v4addr;
	ipv6_addr_copy(S.skc_v6_rcv_saddr, at, addr.sin6_addr, 0);
	if ((addr_type & IPV6_ADDR_MULTICAST) === 0) {
		ipv6_addr_copy(S.np_saddr, at, addr.sin6_addr, 0);
	}
	const saved_ipv6only = S.skc_ipv6only[sk];
	if (addr_type !== IPV6_ADDR_ANY && addr_type !== IPV6_ADDR_MAPPED) S.skc_ipv6only[sk] = 1;

	if (snum !== 0 || (S.inet_flags[sk] & INET_BIND_ADDRESS_NO_PORT) === 0) {
		const err = sk_prot(k, sk).get_port(k, sk, snum);
		if (err !== 0) {
			S.skc_ipv6only[sk] = saved_ipv6only;
			inet_reset_saddr(k, sk);
			return err;
		}
	}
	if (addr_type !== IPV6_ADDR_ANY) S.sk_userlocks[sk] |= SOCK_BINDADDR_LOCK;
	if (snum !== 0) S.sk_userlocks[sk] |= SOCK_BINDPORT_LOCK;
	S.inet_sport[sk] = S.skc_num[sk];
	S.skc_dport[sk] = 0;
	S.skc_daddr[sk] = 0;
	return 0;
}

/** bind() of an AF_INET6 socket: the bind of its protocol if it has one, otherwise __inet6_bind. */
export function inet6_bind(k: Stack, sock: Sock, addr: Sockaddr, addr_len: number): number {
	const sk = k.socket.sk[sock];
	const { bind } = sk_prot(k, sk);
	if (bind !== undefined) return bind(k, sk, addr, addr_len);
	if (addr_len < SIN6_LEN_RFC2133) return -EINVAL;
	return __inet6_bind(k, sk, addr, addr_len);
}

/**
 * getsockname() (`peer` 0), getpeername() (1), and the address that accept() returns (2). Returns
 * the address or a negative errno.
 */
export function inet6_getname(k: Stack, sock: Sock, peer: number): Sockaddr | number {
	const sk = k.socket.sk[sock];
	const S = k.sock;
	const at = sk * 4;
	const name: Sockaddr = {
		sin_family: AF_INET6,
		sin_port: S.inet_sport[sk],
		sin_addr: 0, // the flow label, without IPV6_FLOWINFO_SEND
		sin6_addr: new Uint32Array(4),
		sin6_scope_id: 0,
	};
	let from = ipv6_addr_any(S.skc_v6_rcv_saddr, at) ? S.np_saddr : S.skc_v6_rcv_saddr;
	if (peer !== 0) {
		const unconnected = ((1 << S.skc_state[sk]) & (TCPF_CLOSE | TCPF_SYN_SENT)) !== 0;
		if (S.skc_dport[sk] === 0 || (unconnected && peer === 1)) return -ENOTCONN;
		name.sin_port = S.skc_dport[sk];
		from = S.skc_v6_daddr;
	}
	ipv6_addr_copy(name.sin6_addr, 0, from, at);
	name.sin6_scope_id = ipv6_iface_scope_id(name.sin6_addr, 0, S.skc_bound_dev_if[sk]);
	return name;
}

/**
 * Registers a type and protocol of AF_INET6 at boot. The first protocol of a type is its default.
 */
export function inet6_register_protosw(k: Stack, p: InetProtosw): void {
	k.protocols.inetsw6.push(p);
	k.protocols.proto_ops[p.ops.ops] = p.ops;
}

/**
 * setsockopt() of an AF_INET6 socket on all levels except SOL_SOCKET. Returns 0 or a negative
 * errno.
 */
export function inet6Setsockopt(
	k: Stack,
	sock: Sock,
	level: number,
	optname: number,
	optval: Uint8Array | null,
	optlen: number,
): number {
	const sk = k.socket.sk[sock];
	if (level === SOL_IP) return do_ip_setsockopt(k, sk, optname, optval, optlen);
	if (level === SOL_IPV6) return do_ipv6_setsockopt(k, sk, optname, optval, optlen);
	if (level === SOL_TCP && k.sock.sk_protocol[k.socket.sk[sock]] === IPPROTO_TCP) {
		return tcp_setsockopt(k, sk, optname, optval, optlen);
	}
	if (ownsLevel(k, sock, level)) {
		if (level === SOL_UDP || level === SOL_UDPLITE) {
			return udp_lib_setsockopt(k, sk, optname, optval, optlen, udp_v6_push_pending_frames);
		}
		throw new NotModelled(`setsockopt level ${level} option ${optname}`);
	}
	return -ENOPROTOOPT;
}

export function inet6Getsockopt(
	k: Stack,
	sock: Sock,
	level: number,
	optname: number,
	optlen: number,
): Uint8Array | number {
	const sk = k.socket.sk[sock];
	if (level === SOL_IP) return do_ip_getsockopt(k, sk, optname, optlen);
	if (level === SOL_IPV6) return do_ipv6_getsockopt(k, sk, optname, optlen);
	if (level === SOL_TCP && k.sock.sk_protocol[k.socket.sk[sock]] === IPPROTO_TCP) {
		return tcp_getsockopt(k, sk, optname, optlen);
	}
	if (ownsLevel(k, sock, level)) {
		if (level === SOL_UDP || level === SOL_UDPLITE) {
			return udp_lib_getsockopt(k, k.socket.sk[sock], optname, optlen);
		}
		throw new NotModelled(`getsockopt level ${level} option ${optname}`);
	}
	return -ENOPROTOOPT;
}

const inet6_stream_ops: ProtoOps = {
	ops: INET6_STREAM_OPS,
	release: inet_release,
	bind: inet6_bind,
	connect: inet_stream_connect,
	connect_wait: inetConnectWait,
	accept: inet_accept,
	getname: inet6_getname,
	listen: inet_listen,
	shutdown: inet_shutdown,
	setsockopt: inet6Setsockopt,
	getsockopt: inet6Getsockopt,
	sendmsg: inet_sendmsg,
	recvmsg: inet_recvmsg,
};

export const inet6_dgram_ops: ProtoOps = {
	...inet6_stream_ops,
	ops: INET6_DGRAM_OPS,
	connect: inet_dgram_connect,
	connect_wait: () => 0,
	accept: sock_no_listen,
	listen: sock_no_listen,
};

const inet6_family_ops: NetProtoFamily = { family: AF_INET6, create: inet6_create };

/** Registers AF_INET6 at boot, after inet_init(). Includes tcpv6_init and udpv6_init. */
export function inet6_init(k: Stack): void {
	proto_register(k, tcpv6_prot);
	proto_register(k, udpv6_prot);
	sock_register(k, inet6_family_ops);
	inet6_register_protosw(k, {
		type: SOCK_DGRAM,
		protocol: IPPROTO_UDP,
		prot: udpv6_prot,
		ops: inet6_dgram_ops,
	});
	inet6_register_protosw(k, {
		type: SOCK_STREAM,
		protocol: IPPROTO_TCP,
		prot: tcpv6_prot,
		ops: inet6_stream_ops,
	});
}
