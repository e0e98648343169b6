// SPDX-License-Identifier: GPL-2.0-or-later
/** net/ipv4/af_inet.c: bind(), connect(), listen() and the other calls on an AF_INET socket. */

import { CAP_NET_BIND_SERVICE, ns_capable } from "../../include/linux/capability.js";
import type { Sk, Sock } from "../../include/linux/handle.js";
import {
	INET_DGRAM_OPS,
	INET_STREAM_OPS,
	type ProtoOps,
	SOCK_DGRAM,
	SOCK_RAW,
	SOCK_STREAM,
	SS_CONNECTED,
	SS_CONNECTING,
	SS_DISCONNECTING,
	SS_UNCONNECTED,
} from "../../include/linux/net.js";
import {
	AF_INET,
	AF_UNSPEC,
	MSG_ERRQUEUE,
	MSG_OOB,
	SIZEOF_SA_FAMILY,
	SIZEOF_SOCKADDR_IN,
	SOL_DCCP,
	SOL_IP,
	SOL_TCP,
	SOL_UDP,
	SOL_UDPLITE,
	type Sockaddr,
	sockaddr_in,
} from "../../include/linux/socket.js";
import { fastopen_queue_tune } from "../../include/linux/tcp.js";
import { JIFFY } from "../../include/linux/timer.js";
import {
	inet_addr_valid_or_nonlocal,
	inet_sk_flowi_flags,
	ip_sock_rt_scope,
} from "../../include/net/inet_sock.js";
import { inet_port_requires_bind_service } from "../../include/net/ip.js";
import {
	type Net,
	RT_TABLE_LOCAL,
	RTN_BROADCAST,
	RTN_MULTICAST,
} from "../../include/net/net_namespace.js";
import type { InetProtosw, NetProtoFamily } from "../../include/net/protocol.js";
import {
	INET_BIND_ADDRESS_NO_PORT,
	INET_DEFER_CONNECT,
	RCV_SHUTDOWN,
	SHUTDOWN_MASK,
	SOCK_BINDADDR_LOCK,
	SOCK_BINDPORT_LOCK,
	SOCK_LINGER,
	type SockTable,
	sk_net,
	sk_prot,
	sock_error,
	sock_graft,
	WAITS,
	WAITS_DISCONNECTED,
	WAITS_NOT,
} from "../../include/net/sock.js";
import type { Stack } from "../../include/net/stack.js";
import { TFO_SERVER_ENABLE, TFO_SERVER_WO_SOCKOPT1 } from "../../include/net/tcp.js";
import {
	TCP_CLOSE,
	TCP_LISTEN,
	TCP_SYN_SENT,
	TCPF_CLOSE,
	TCPF_LISTEN,
	TCPF_SYN_RECV,
	TCPF_SYN_SENT,
} from "../../include/net/tcp_states.js";
import {
	EACCES,
	EADDRNOTAVAIL,
	EAFNOSUPPORT,
	EAGAIN,
	EALREADY,
	ECONNABORTED,
	EINPROGRESS,
	EINVAL,
	EISCONN,
	ENOPROTOOPT,
	ENOTCONN,
	EOPNOTSUPP,
	EPIPE,
	EPROTONOSUPPORT,
	ERESTARTSYS,
	ESOCKTNOSUPPORT,
} from "../../include/uapi/asm-generic/errno.js";
import {
	INADDR_ANY,
	IPPROTO_DCCP,
	IPPROTO_ICMP,
	IPPROTO_ICMPV6,
	IPPROTO_IP,
	IPPROTO_MAX,
	IPPROTO_TCP,
	IPPROTO_UDP,
	IPPROTO_UDPLITE,
} from "../../include/uapi/linux/in.js";
import {
	NotModelled,
	proto_register,
	release_sock,
	sk_alloc,
	sock_no_listen,
} from "../core/sock.js";
import { ip6_dst_lookup_flow } from "../ipv6/ip6_output.js";
import { l3mdev_fib_table_by_index } from "../l3mdev/l3mdev.js";
import { sock_register } from "../socket.js";
import { inet_addr_type_table } from "./fib_frontend.js";
import { inet_csk_accept, inet_csk_listen_start } from "./inet_connection_sock.js";
import { skOverIpv6 } from "./inet_hashtables.js";
import { do_ip_getsockopt, do_ip_setsockopt } from "./ip_sockglue.js";
import { inet_add_protocol } from "./protocol.js";
import { ip_route_output_flow } from "./route.js";
import { tcp_getsockopt, tcp_setsockopt, tcpSendmsgWait } from "./tcp.js";
import { tcp_prot, tcp_v4_rcv } from "./tcp_ipv4.js";
import {
	udp_lib_getsockopt,
	udp_lib_setsockopt,
	udp_prot,
	udp_push_pending_frames,
} from "./udp.js";

/** Binds a socket without a port to any open port. Returns 0, or -EAGAIN if there is none. */
function inet_autobind(k: Stack, sk: Sk): number {
	const S = k.sock;
	if (S.skc_num[sk] !== 0) return 0;
	if (sk_prot(k, sk).get_port(k, sk, 0) !== 0) return -EAGAIN;
	S.inet_sport[sk] = S.skc_num[sk];
	return 0;
}

/** listen(). Returns 0 or a negative errno. */
export function inet_listen(k: Stack, sock: Sock, backlog: number): number {
	const sk = k.socket.sk[sock];
	const S = k.sock;
	if (k.socket.state[sock] !== SS_UNCONNECTED || k.socket.type[sock] !== SOCK_STREAM) {
		return -EINVAL;
	}
	const old_state = S.skc_state[sk];
	if (((1 << old_state) & (TCPF_CLOSE | TCPF_LISTEN)) === 0) return -EINVAL;
	S.sk_max_ack_backlog.set(sk, backlog >>> 0);
	// On a socket that listens already, listen() only changes the backlog.
	if (old_state === TCP_LISTEN) return 0;
	const { sysctl_tcp_fastopen } = sk_net(k, sk).ipv4;
	if (
		(sysctl_tcp_fastopen & TFO_SERVER_WO_SOCKOPT1) !== 0 &&
		(sysctl_tcp_fastopen & TFO_SERVER_ENABLE) !== 0 &&
		S.fastopenq_max_qlen.get(sk) === 0
	) {
		fastopen_queue_tune(k, sk, backlog);
	}
	return inet_csk_listen_start(k, sk);
}

/**
 * The entry of a type and a protocol. Protocol 0 is the default of the type. Returns a negative
 * errno if there is no entry. Throws NotModelled for raw and ping sockets.
 */
export function findProtosw(
	table: readonly InetProtosw[],
	type: number,
	protocol: number,
): InetProtosw | number {
	if (type === SOCK_RAW) throw new NotModelled("raw sockets");
	if (type === SOCK_DGRAM && (protocol === IPPROTO_ICMP || protocol === IPPROTO_ICMPV6)) {
		throw new NotModelled("ping sockets");
	}
	let err = -ESOCKTNOSUPPORT;
	for (const answer of table) {
		if (answer.type !== type) continue;
		if (protocol === IPPROTO_IP || answer.protocol === protocol) return answer;
		err = -EPROTONOSUPPORT;
	}
	return err;
}

/** Makes the sock of a new AF_INET socket. Returns 0 or a negative errno. */
function inet_create(k: Stack, net: Net, sock: Sock, protocol: number): number {
	if (protocol < 0 || protocol >= IPPROTO_MAX) return -EINVAL;
	const answer = findProtosw(k.protocols.inetsw, k.socket.type[sock], protocol);
	if (typeof answer === "number") return answer;
	k.socket.ops[sock] = answer.ops.ops;
	const { prot } = answer;
	const sk = sk_alloc(k, net, AF_INET, prot.prot, k.socket.type[sock], answer.protocol);
	sock_graft(k, sk, sock);
	prot.init?.(k, sk);
	return 0;
}

/** The last close() of a socket. If the task exits (`exiting`), SO_LINGER has no effect. */
export function inet_release(k: Stack, sock: Sock, exiting: boolean): void {
	const sk = k.socket.sk[sock];
	if (sk === 0) return;
	const linger = (k.sock.sk_flags[sk] & SOCK_LINGER) !== 0 && !exiting;
	sk_prot(k, sk).close(k, sk, linger ? (k.sock.sk_lingertime.get(sk) >>> 0) * 1000 : 0);
	k.socket.sk[sock] = 0;
}

/** bind() of an AF_INET socket: the bind of its protocol if it has one, otherwise __inet_bind. */
export function inet_bind(k: Stack, sock: Sock, addr: Sockaddr, addr_len: number): number {
	const sk = k.socket.sk[sock];
	const { bind } = sk_prot(k, sk);
	if (bind !== undefined) return bind(k, sk, addr, addr_len);
	if (addr_len < SIZEOF_SOCKADDR_IN) return -EINVAL;
	return __inet_bind(k, sk, addr);
}

/** bind() to an IPv4 address. Returns 0 or a negative errno. */
function __inet_bind(k: Stack, sk: Sk, addr: Sockaddr): number {
	const S = k.sock;
	const net = sk_net(k, sk);
	if (addr.sin_family !== AF_INET) {
		// Compatibility: AF_UNSPEC counts as AF_INET, but only with the wildcard address.
		if (addr.sin_family !== AF_UNSPEC || addr.sin_addr !== INADDR_ANY) return -EAFNOSUPPORT;
	}

	const table = l3mdev_fib_table_by_index(net, S.skc_bound_dev_if[sk]) || RT_TABLE_LOCAL;
	const chk_addr_ret = inet_addr_type_table(net, addr.sin_addr, table);
	if (!inet_addr_valid_or_nonlocal(net, S.inet_flags[sk], addr.sin_addr, chk_addr_ret)) {
		return -EADDRNOTAVAIL;
	}
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

	S.skc_rcv_saddr[sk] = addr.sin_addr;
	S.inet_saddr[sk] = addr.sin_addr;
	if (chk_addr_ret === RTN_MULTICAST || chk_addr_ret === RTN_BROADCAST) {
		S.inet_saddr[sk] = 0; // use an address of the device as source
	}
	if (snum !== 0 || (S.inet_flags[sk] & INET_BIND_ADDRESS_NO_PORT) === 0) {
		const err = sk_prot(k, sk).get_port(k, sk, snum);
		if (err !== 0) {
			S.inet_saddr[sk] = 0;
			S.skc_rcv_saddr[sk] = 0;
			return err;
		}
	}
	if (S.skc_rcv_saddr[sk] !== INADDR_ANY) S.sk_userlocks[sk] |= SOCK_BINDADDR_LOCK;
	if (snum !== 0) S.sk_userlocks[sk] |= SOCK_BINDPORT_LOCK;
	S.inet_sport[sk] = S.skc_num[sk];
	S.skc_daddr[sk] = 0;
	S.skc_dport[sk] = 0;
	return 0;
}

/** connect() of a datagram socket. Binds a port first. AF_UNSPEC disconnects the socket instead. */
export function inet_dgram_connect(k: Stack, sock: Sock, addr: Sockaddr, addr_len: number): number {
	const sk = k.socket.sk[sock];
	const prot = sk_prot(k, sk);
	if (addr_len < SIZEOF_SA_FAMILY) return -EINVAL;
	if (addr.sin_family === AF_UNSPEC) return prot.disconnect(k, sk);
	if (inet_autobind(k, sk) !== 0) return -EAGAIN;
	return prot.connect(k, sk, addr, addr_len);
}

/**
 * Continues a blocking connect(). Returns 0, a negative errno, or -ERESTARTSYS if it would sleep
 * again.
 */
export function inet_wait_for_connect(k: Stack, sock: Sock): number {
	const sk = k.socket.sk[sock];
	const { skc_state, sk_wait_pending } = k.sock;
	const state = skc_state[sk];
	if (sk_wait_pending[sk] === WAITS_DISCONNECTED) {
		sk_wait_pending[sk] = WAITS_NOT;
		return -EPIPE;
	}
	if (((1 << state) & (TCPF_SYN_SENT | TCPF_SYN_RECV)) !== 0) {
		const until = k.sock.wait_until.get(sk);
		if (until !== 0 && k.timers.now >= until) {
			k.sock.wait_until.set(sk, 0);
			sk_wait_pending[sk] = WAITS_NOT;
			return -k.sock.wait_err[sk];
		}
		sk_wait_pending[sk] = WAITS;
		return -ERESTARTSYS;
	}
	k.sock.wait_until.set(sk, 0);
	sk_wait_pending[sk] = WAITS_NOT;
	if (state === TCP_CLOSE) {
		// The connection was refused, timed out, or was reset at once.
		const err = sock_error(k, sk);
		k.socket.state[sock] = SS_UNCONNECTED;
		if (sk_prot(k, sk).disconnect(k, sk) !== 0) k.socket.state[sock] = SS_DISCONNECTING;
		return err !== 0 ? err : -ECONNABORTED;
	}
	k.socket.state[sock] = SS_CONNECTED;
	return 0;
}

/** writebias of C: a send with data waits for the connection. */
function writeWaits(S: SockTable, sk: Sk): void {
	const req = S.fastopen_req.get(sk);
	if (req !== undefined) req.write_pending = req.data;
}

/**
 * connect(), or a send that connects (`is_sendmsg`). A send may pass no address. Returns 0 or a
 * negative errno. A blocking call that would sleep returns -ERESTARTSYS. inet_wait_for_connect
 * finishes it after the clock or another task has moved on.
 */
export function __inet_stream_connect(
	k: Stack,
	sock: Sock,
	addr: Sockaddr | null,
	addr_len: number,
	nonblock: boolean,
	is_sendmsg: boolean,
): number {
	const sk = k.socket.sk[sock];
	const S = k.sock;
	const prot = sk_prot(k, sk);
	if (addr !== null && addr_len < SIZEOF_SA_FAMILY) return -EINVAL;
	if (addr !== null && addr.sin_family === AF_UNSPEC) {
		// since 6.6, 419ce133ab92
		if (S.sk_wait_pending[sk] === WAITS && k.changes.has("tcp-disconnect-epipe")) {
			S.sk_wait_pending[sk] = WAITS_DISCONNECTED;
		}
		const err = prot.disconnect(k, sk);
		k.socket.state[sock] = err !== 0 ? SS_DISCONNECTING : SS_UNCONNECTED;
		return err;
	}

	let err: number;
	switch (k.socket.state[sock]) {
		case SS_CONNECTED:
			return -EISCONN;
		case SS_CONNECTING:
			err = -EALREADY;
			if ((S.inet_flags[sk] & INET_DEFER_CONNECT) !== 0) err = is_sendmsg ? -EINPROGRESS : -EISCONN;
			break;
		case SS_UNCONNECTED:
			if (S.skc_state[sk] !== TCP_CLOSE) return -EISCONN;
			S.sk_wait_pending[sk] = WAITS_NOT;
			if (addr === null) return -EINVAL; // its length of 0 is too short for a protocol
			err = prot.connect(k, sk, addr, addr_len);
			if (err < 0) return err;
			k.socket.state[sock] = SS_CONNECTING;
			if ((S.inet_flags[sk] & INET_DEFER_CONNECT) !== 0) return 0;
			err = -EINPROGRESS;
			break;
		default:
			return -EINVAL;
	}
	if (((1 << S.skc_state[sk]) & (TCPF_SYN_SENT | TCPF_SYN_RECV)) !== 0) {
		if (nonblock) return err;
		const timeo = S.sk_sndtimeo.get(sk);
		S.wait_until.set(sk, timeo === 0 ? 0 : k.timers.expiryIn(timeo * JIFFY));
		S.wait_err[sk] = -err;
		if (S.fastopen_req.size > 0) writeWaits(S, sk);
		release_sock(k, sk);
	}
	return inet_wait_for_connect(k, sock);
}

/** connect() of a stream socket. See __inet_stream_connect. */
export function inet_stream_connect(
	k: Stack,
	sock: Sock,
	addr: Sockaddr,
	addr_len: number,
	nonblock: boolean,
): number {
	const err = __inet_stream_connect(k, sock, addr, addr_len, nonblock, false);
	const sk = k.socket.sk[sock];
	// For other protocols the end of the system call delivers.
	if (sk_prot(k, sk).release_cb !== undefined) release_sock(k, sk);
	return err;
}

/** Continues a blocking connect() or a send that connects. Returns the result of the call. */
export function inetConnectWait(k: Stack, sock: Sock): number {
	const err = inet_wait_for_connect(k, sock);
	if (k.sock.fastopen_req.size === 0) return err;
	return tcpSendmsgWait(k, k.socket.sk[sock], err);
}

/** accept(): attaches the next connection to newsock. Returns 0 or a negative errno. */
export function inet_accept(k: Stack, sock: Sock, newsock: Sock, nonblock: boolean): number {
	const sk2 = inet_csk_accept(k, k.socket.sk[sock], nonblock);
	if (sk2 < 0) return sk2;
	sock_graft(k, sk2, newsock);
	k.socket.state[newsock] = SS_CONNECTED;
	return 0;
}

/**
 * getsockname() (`peer` 0), getpeername() (1), and the address that accept() returns (2). Returns
 * the address or a negative errno.
 */
export function inet_getname(k: Stack, sock: Sock, peer: number): Sockaddr | number {
	const sk = k.socket.sk[sock];
	const S = k.sock;
	if (peer !== 0) {
		const unconnected = ((1 << S.skc_state[sk]) & (TCPF_CLOSE | TCPF_SYN_SENT)) !== 0;
		if (S.skc_dport[sk] === 0 || (unconnected && peer === 1)) return -ENOTCONN;
		return sockaddr_in(S.skc_daddr[sk], S.skc_dport[sk]);
	}
	const sin_addr = S.skc_rcv_saddr[sk] !== 0 ? S.skc_rcv_saddr[sk] : S.inet_saddr[sk];
	return sockaddr_in(sin_addr, S.inet_sport[sk]);
}

/** Binds a port before a socket sends. Returns 0, or -EAGAIN if there is no open port. */
function inet_send_prepare(k: Stack, sk: Sk): number {
	return sk_prot(k, sk).no_autobind ? 0 : inet_autobind(k, sk);
}

/** sendto(), sendmsg(), send(), write(). Returns the number of bytes or a negative errno. */
export function inet_sendmsg(
	k: Stack,
	sock: Sock,
	addr: Sockaddr | null,
	addr_len: number,
	size: number,
	flags: number,
): number {
	const sk = k.socket.sk[sock];
	const err = inet_send_prepare(k, sk);
	if (err !== 0) return err;
	return sk_prot(k, sk).sendmsg(k, sk, addr, addr_len, size, flags);
}

export function inet_recvmsg(k: Stack, sock: Sock, size: number, flags: number): number {
	const sk = k.socket.sk[sock];
	if ((flags & (MSG_OOB | MSG_ERRQUEUE)) !== 0) throw new NotModelled("MSG_OOB, MSG_ERRQUEUE");
	return sk_prot(k, sk).recvmsg(k, sk, size, flags);
}

/** shutdown(). `how` is SHUT_RD, SHUT_WR or SHUT_RDWR, 0 to 2. Returns 0 or a negative errno. */
export function inet_shutdown(k: Stack, sock: Sock, how: number): number {
	const sk = k.socket.sk[sock];
	const S = k.sock;
	how++; // RCV_SHUTDOWN, SEND_SHUTDOWN or both
	if ((how & ~SHUTDOWN_MASK) !== 0 || how === 0) return -EINVAL;

	if (k.socket.state[sock] === SS_CONNECTING) {
		const connecting = TCPF_SYN_SENT | TCPF_SYN_RECV | TCPF_CLOSE;
		k.socket.state[sock] =
			((1 << S.skc_state[sk]) & connecting) !== 0 ? SS_DISCONNECTING : SS_CONNECTED;
	}
	const state = S.skc_state[sk];
	if (state === TCP_SYN_SENT || (state === TCP_LISTEN && (how & RCV_SHUTDOWN) !== 0)) {
		const err = sk_prot(k, sk).disconnect(k, sk);
		k.socket.state[sock] = err !== 0 ? SS_DISCONNECTING : SS_UNCONNECTED;
		return err;
	}
	if (state === TCP_LISTEN) return 0;
	S.sk_shutdown[sk] |= how;
	sk_prot(k, sk).shutdown?.(k, sk, how);
	return state === TCP_CLOSE ? -ENOTCONN : 0;
}

/**
 * setsockopt() of an AF_INET socket on all levels except SOL_SOCKET. Returns 0 or a negative errno.
 */
export function inetSetsockopt(
	k: Stack,
	sock: Sock,
	level: number,
	optname: number,
	optval: Uint8Array | null,
	optlen: number,
): number {
	const sk = k.socket.sk[sock];
	if (level === SOL_IP) return do_ip_setsockopt(k, sk, optname, optval, optlen);
	if (level === SOL_TCP && k.sock.sk_protocol[k.socket.sk[sock]] === IPPROTO_TCP) {
		return tcp_setsockopt(k, k.socket.sk[sock], optname, optval, optlen);
	}
	if (ownsLevel(k, sock, level)) {
		if (level === SOL_UDP || level === SOL_UDPLITE) {
			return udp_lib_setsockopt(k, sk, optname, optval, optlen, udp_push_pending_frames);
		}
		throw new NotModelled(`setsockopt level ${level} option ${optname}`);
	}
	return -ENOPROTOOPT;
}

export function inetGetsockopt(
	k: Stack,
	sock: Sock,
	level: number,
	optname: number,
	optlen: number,
): Uint8Array | number {
	if (level === SOL_IP) return do_ip_getsockopt(k, k.socket.sk[sock], optname, optlen);
	if (level === SOL_TCP && k.sock.sk_protocol[k.socket.sk[sock]] === IPPROTO_TCP) {
		return tcp_getsockopt(k, k.socket.sk[sock], optname, optlen);
	}
	if (ownsLevel(k, sock, level)) {
		if (level === SOL_UDP || level === SOL_UDPLITE) {
			return udp_lib_getsockopt(k, k.socket.sk[sock], optname, optlen);
		}
		throw new NotModelled(`getsockopt level ${level} option ${optname}`);
	}
	return -EOPNOTSUPP;
}

/**
 * Whether a level is that of the socket's protocol. None of its options affects ports. UDP and
 * UDP-Lite take each other's level until 7.1, where UDP-Lite goes.
 */
export function ownsLevel(k: Stack, sock: Sock, level: number): boolean {
	const protocol = k.sock.sk_protocol[k.socket.sk[sock]];
	if (protocol === IPPROTO_DCCP) return level === SOL_DCCP;
	if (protocol !== IPPROTO_UDP && protocol !== IPPROTO_UDPLITE) return level === protocol;
	// since 7.1, 56520b398e5e
	return level === SOL_UDP || (level === SOL_UDPLITE && !k.changes.has("udplite-removed"));
}

const inet_stream_ops: ProtoOps = {
	ops: INET_STREAM_OPS,
	release: inet_release,
	bind: inet_bind,
	connect: inet_stream_connect,
	connect_wait: inetConnectWait,
	accept: inet_accept,
	getname: inet_getname,
	listen: inet_listen,
	shutdown: inet_shutdown,
	setsockopt: inetSetsockopt,
	getsockopt: inetGetsockopt,
	sendmsg: inet_sendmsg,
	recvmsg: inet_recvmsg,
};

export const inet_dgram_ops: ProtoOps = {
	...inet_stream_ops,
	ops: INET_DGRAM_OPS,
	connect: inet_dgram_connect,
	connect_wait: () => 0,
	accept: sock_no_listen,
	listen: sock_no_listen,
};

const inet_family_ops: NetProtoFamily = { family: AF_INET, create: inet_create };

/**
 * Registers a type and protocol of AF_INET at boot. The first protocol of a type is its default.
 */
export function inet_register_protosw(k: Stack, p: InetProtosw): void {
	k.protocols.inetsw.push(p);
	k.protocols.proto_ops[p.ops.ops] = p.ops;
}

/**
 * inet_sk_rebuild_header, inet6_sk_rebuild_header: looks up the route of a connection again. Returns
 * 0 or a negative errno.
 */
export function inet_sk_rebuild_header(k: Stack, sk: Sk): number {
	const S = k.sock;
	const oif = S.skc_bound_dev_if[sk];
	return skOverIpv6(S, sk)
		? ip6_dst_lookup_flow(k, sk, S.np_saddr, sk * 4, S.skc_v6_daddr, sk * 4, oif)
		: ip_route_output_flow(
				sk_net(k, sk),
				S.skc_daddr[sk],
				S.skc_rcv_saddr[sk],
				oif,
				inet_sk_flowi_flags(k, sk),
				ip_sock_rt_scope(k, sk),
			);
}

/** Registers AF_INET and its permanent protocols at boot. Other protocols register later. */
export function inet_init(k: Stack): void {
	proto_register(k, tcp_prot);
	proto_register(k, udp_prot);
	sock_register(k, inet_family_ops);
	inet_add_protocol(k, { handler: tcp_v4_rcv }, IPPROTO_TCP);
	inet_register_protosw(k, {
		type: SOCK_STREAM,
		protocol: IPPROTO_TCP,
		prot: tcp_prot,
		ops: inet_stream_ops,
	});
	inet_register_protosw(k, {
		type: SOCK_DGRAM,
		protocol: IPPROTO_UDP,
		prot: udp_prot,
		ops: inet_dgram_ops,
	});
}
