// SPDX-License-Identifier: GPL-2.0-or-later
/**
 * net/mptcp/sockopt.c: which options an MPTCP socket has, and which of them reach its
 * subflow.
 */
import { AF_INET6, SOL_IP, SOL_IPV6, SOL_MPTCP, SOL_TCP } from "../../include/linux/socket.js";
import type { MptcpSock } from "../../include/net/mptcp.js";
import {
	INET_BIND_ADDRESS_NO_PORT,
	INET_FREEBIND,
	INET_TRANSPARENT,
	SOCK_LINGER,
} from "../../include/net/sock.js";
import type { Stack } from "../../include/net/stack.js";
import { EFAULT, EINVAL, ENOPROTOOPT, EOPNOTSUPP } from "../../include/uapi/asm-generic/errno.js";
import {
	SO_BINDTODEVICE,
	SO_BINDTOIFINDEX,
	SO_BROADCAST,
	SO_LINGER,
	SO_REUSEADDR,
	SO_REUSEPORT,
	SOL_SOCKET,
} from "../../include/uapi/asm-generic/socket.js";
import {
	IP_BIND_ADDRESS_NO_PORT,
	IP_FREEBIND,
	IP_LOCAL_PORT_RANGE,
	IP_TRANSPARENT,
	IPV6_FREEBIND,
	IPV6_TRANSPARENT,
	IPV6_V6ONLY,
} from "../../include/uapi/linux/in.js";
import { intBytes, NotModelled, sk_setsockopt } from "../core/sock.js";
import { inet_getsockopt, inet_setsockopt } from "../ipv4/af_inet.js";
import { do_ip_getsockopt, do_ip_setsockopt } from "../ipv4/ip_sockglue.js";
import { inet6_getsockopt, inet6_setsockopt } from "../ipv6/af_inet6.js";
import { __mptcp_nmpc_socket, mptcp_sk } from "./protocol.js";

/** Options that only this file asks for (include/uapi/linux/in.h, in6.h, tcp.h, socket.h). */
const IP_TOS = 1;

/** SO_NO_CHECK, SO_DONTROUTE, SO_BSDCOMPAT … SO_SELECT_ERR_QUEUE: taken, and of no effect. */
const SOL_SOCKET_IGNORED = new Set([11, 5, SO_BROADCAST, 14, 16, 34, 40, 41, 43, 45]);

/**
 * Those of SOL_SOCKET that are passed on but do not bear on ports: SO_DEBUG, buffers,
 * SO_KEEPALIVE, SO_PRIORITY, SO_RCVLOWAT, time-outs, time stamps, SO_MARK, busy polling,
 * SO_INCOMING_CPU.
 */
const SOL_SOCKET_OTHER = new Set([
	1, 7, 8, 9, 12, 18, 20, 21, 29, 32, 33, 35, 36, 37, 46, 49, 63, 64, 65, 66, 67, 69, 70,
]);

/** mptcp_supported_sockopt() of level SOL_IP: IP_TOS … IP_RECVERR_RFC4884, without multicast. */
const SOL_IP_SUPPORTED = new Set([
	1, 2, 6, 7, 8, 10, 11, 12, 13, 15, 18, 19, 20, 21, 23, 24, 25, 26,
]);

/** ... of level SOL_IPV6. */
const SOL_IPV6_SUPPORTED = new Set([
	2, 3, 4, 5, 6, 8, 11, 16, 23, 24, 25, 26, 31, 32, 33, 49, 50, 51, 53, 56, 58, 60, 62, 66, 67, 70,
	73, 74, 75, 77, 78,
]);

/** ... of level SOL_TCP; none of them bears on ports. */
const SOL_TCP_SUPPORTED = new Set([
	1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 12, 13, 16, 17, 18, 24, 25, 27, 30, 36, 37,
]);

/** What getsockopt() of level SOL_TCP has: TCP_NODELAY … TCP_INQ. */
const SOL_TCP_READABLE = new Set([1, 3, 4, 5, 6, 9, 11, 13, 26, 30, 31, 36]);

/** MPTCP_INFO, MPTCP_TCPINFO, MPTCP_SUBFLOW_ADDRS. */
const SOL_MPTCP_READABLE = new Set([1, 2, 3]);

/** The subflow that stands for the socket, 0 if the connection is MPTCP or not there yet. */
function __mptcp_tcp_fallback(msk: MptcpSock): number {
	return msk.fallback ? msk.socket : 0;
}

/** tcp_setsockopt of a subflow's struct socket. */
function tcp_setsockopt(
	k: Stack,
	ssock: number,
	level: number,
	optname: number,
	optval: Uint8Array | null,
	optlen: number,
	cap_net_raw: boolean,
): number {
	return k.sock.skc_family[k.socket.sk[ssock]] === AF_INET6
		? inet6_setsockopt(k, ssock, level, optname, optval, optlen, cap_net_raw)
		: inet_setsockopt(k, ssock, level, optname, optval, optlen, cap_net_raw);
}

function tcp_getsockopt(
	k: Stack,
	ssock: number,
	level: number,
	optname: number,
	optlen: number,
): Uint8Array | number {
	return k.sock.skc_family[k.socket.sk[ssock]] === AF_INET6
		? inet6_getsockopt(k, ssock, level, optname, optlen)
		: inet_getsockopt(k, ssock, level, optname, optlen);
}

function mptcp_setsockopt_sol_socket_linger(
	k: Stack,
	sk: number,
	optval: Uint8Array | null,
	optlen: number,
): number {
	const S = k.sock;
	const msk = mptcp_sk(k, sk);
	const ssk = msk.first;
	if (optlen < 8) return -EINVAL;
	if (optval === null || optval.length < 8) return -EFAULT;
	const ret = sk_setsockopt(k, sk, SO_LINGER, optval, 8, false);
	if (ret !== 0) return ret;
	msk.options_set = true;
	if ((S.sk_flags[sk] & SOCK_LINGER) === 0) S.sk_flags[ssk] &= ~SOCK_LINGER;
	else {
		S.sk_lingertime[ssk] = S.sk_lingertime[sk];
		S.sk_flags[ssk] |= SOCK_LINGER;
	}
	return 0;
}

/** Unlike with other protocols, also level SOL_SOCKET comes here. */
function mptcp_setsockopt_sol_socket(
	k: Stack,
	sk: number,
	optname: number,
	optval: Uint8Array | null,
	optlen: number,
	cap_net_raw: boolean,
): number {
	const S = k.sock;
	switch (optname) {
		case SO_REUSEPORT:
		case SO_REUSEADDR:
		case SO_BINDTODEVICE:
		case SO_BINDTOIFINDEX: {
			const msk = mptcp_sk(k, sk);
			if (__mptcp_nmpc_socket(k, sk) === 0) return -EINVAL;
			const ssk = msk.first;
			const ret = sk_setsockopt(k, ssk, optname, optval, optlen, cap_net_raw);
			if (ret !== 0) return ret;
			if (optname === SO_REUSEPORT) S.skc_reuseport[sk] = S.skc_reuseport[ssk];
			else if (optname === SO_REUSEADDR) S.skc_reuse[sk] = S.skc_reuse[ssk];
			else S.skc_bound_dev_if[sk] = S.skc_bound_dev_if[ssk];
			return 0;
		}
		case SO_LINGER:
			return mptcp_setsockopt_sol_socket_linger(k, sk, optval, optlen);
		default:
			if (SOL_SOCKET_IGNORED.has(optname)) return 0;
			if (!SOL_SOCKET_OTHER.has(optname)) return -EOPNOTSUPP;
			throw new NotModelled(`setsockopt level ${SOL_SOCKET} option ${optname}`);
	}
}

function mptcp_setsockopt_v6(
	k: Stack,
	sk: number,
	optname: number,
	optval: Uint8Array | null,
	optlen: number,
	cap_net_raw: boolean,
): number {
	const S = k.sock;
	if (optname !== IPV6_V6ONLY && optname !== IPV6_TRANSPARENT && optname !== IPV6_FREEBIND) {
		return -EOPNOTSUPP;
	}
	const msk = mptcp_sk(k, sk);
	const ssock = __mptcp_nmpc_socket(k, sk);
	if (ssock === 0) return -EINVAL;
	const ret = tcp_setsockopt(k, ssock, SOL_IPV6, optname, optval, optlen, cap_net_raw);
	if (ret !== 0) return ret;
	if (optname === IPV6_V6ONLY) S.skc_ipv6only[sk] = S.skc_ipv6only[msk.first];
	else
		copyInetFlags(k, msk.first, sk, optname === IPV6_FREEBIND ? INET_FREEBIND : INET_TRANSPARENT);
	return 0;
}

function copyInetFlags(k: Stack, from: number, to: number, flags: number): void {
	const { inet_flags } = k.sock;
	inet_flags[to] = (inet_flags[to] & ~flags) | (inet_flags[from] & flags);
}

/** Whether the socket has an option at all, set or not. */
function mptcp_supported_sockopt(k: Stack, level: number, optname: number): boolean {
	switch (level) {
		case SOL_IP:
			if (optname === IP_LOCAL_PORT_RANGE) return k.changes.has("mptcp-local-port-range"); // since 6.8, ae5439658cce
			return SOL_IP_SUPPORTED.has(optname);
		case SOL_IPV6:
			return SOL_IPV6_SUPPORTED.has(optname);
		case SOL_TCP:
			return SOL_TCP_SUPPORTED.has(optname);
		default:
			return false;
	}
}

/** Sets an option of the socket and hands it on: mptcp_setsockopt_sol_ip_set_transparent. */
function mptcp_setsockopt_sol_ip_set(
	k: Stack,
	sk: number,
	optname: number,
	optval: Uint8Array | null,
	optlen: number,
	cap_net_raw: boolean,
): number {
	const S = k.sock;
	const err = do_ip_setsockopt(k, sk, optname, optval, optlen, cap_net_raw);
	if (err !== 0) return err;
	const msk = mptcp_sk(k, sk);
	if (__mptcp_nmpc_socket(k, sk) === 0) return -EINVAL;
	if (optname === IP_LOCAL_PORT_RANGE) {
		S.local_port_range_lo[msk.first] = S.local_port_range_lo[sk];
		S.local_port_range_hi[msk.first] = S.local_port_range_hi[sk];
	} else {
		const flags: Record<number, number> = {
			[IP_FREEBIND]: INET_FREEBIND,
			[IP_TRANSPARENT]: INET_TRANSPARENT,
			[IP_BIND_ADDRESS_NO_PORT]: INET_BIND_ADDRESS_NO_PORT,
		};
		copyInetFlags(k, sk, msk.first, flags[optname]);
	}
	return 0;
}

function mptcp_setsockopt_v4(
	k: Stack,
	sk: number,
	optname: number,
	optval: Uint8Array | null,
	optlen: number,
	cap_net_raw: boolean,
): number {
	switch (optname) {
		case IP_FREEBIND:
		case IP_TRANSPARENT:
			return mptcp_setsockopt_sol_ip_set(k, sk, optname, optval, optlen, cap_net_raw);
		case IP_BIND_ADDRESS_NO_PORT:
		case IP_LOCAL_PORT_RANGE:
			if (!k.changes.has("mptcp-local-port-range")) return -EOPNOTSUPP; // since 6.8, ae5439658cce
			return mptcp_setsockopt_sol_ip_set(k, sk, optname, optval, optlen, cap_net_raw);
		case IP_TOS:
			throw new NotModelled(`setsockopt level ${SOL_IP} option ${optname}`);
		default:
			return -EOPNOTSUPP;
	}
}

/** setsockopt() of every level. Returns 0 or a negative errno; throws NotModelled. */
export function mptcp_setsockopt(
	k: Stack,
	sock: number,
	level: number,
	optname: number,
	optval: Uint8Array | null,
	optlen: number,
	cap_net_raw: boolean,
): number {
	const sk = k.socket.sk[sock];
	if (level === SOL_SOCKET) {
		return mptcp_setsockopt_sol_socket(k, sk, optname, optval, optlen, cap_net_raw);
	}
	if (!mptcp_supported_sockopt(k, level, optname)) return -ENOPROTOOPT;
	const ssock = __mptcp_tcp_fallback(mptcp_sk(k, sk));
	if (ssock !== 0) return tcp_setsockopt(k, ssock, level, optname, optval, optlen, cap_net_raw);
	if (level === SOL_IP) return mptcp_setsockopt_v4(k, sk, optname, optval, optlen, cap_net_raw);
	if (level === SOL_IPV6) return mptcp_setsockopt_v6(k, sk, optname, optval, optlen, cap_net_raw);
	throw new NotModelled(`setsockopt level ${level} option ${optname}`);
}

/** An int as getsockopt() writes it: as one byte where the buffer is shorter and it fits. */
function mptcp_put_int_option(optlen: number, val: number): Uint8Array | number {
	if (optlen < 0) return -EINVAL;
	if (optlen > 0 && optlen < 4 && val >= 0 && val <= 255) return Uint8Array.of(val);
	return intBytes(val, optlen);
}

function mptcp_getsockopt_v4(
	k: Stack,
	sk: number,
	optname: number,
	optlen: number,
): Uint8Array | number {
	const flags = k.sock.inet_flags[sk];
	switch (optname) {
		case IP_TOS:
			throw new NotModelled(`getsockopt level ${SOL_IP} option ${optname}`);
		case IP_FREEBIND:
			if (!k.changes.has("mptcp-getsockopt-flags")) return -EOPNOTSUPP; // since 6.15, e2f4ac7bab22
			return mptcp_put_int_option(optlen, (flags & INET_FREEBIND) !== 0 ? 1 : 0);
		case IP_TRANSPARENT:
			if (!k.changes.has("mptcp-getsockopt-flags")) return -EOPNOTSUPP; // since 6.15, e2f4ac7bab22
			return mptcp_put_int_option(optlen, (flags & INET_TRANSPARENT) !== 0 ? 1 : 0);
		case IP_BIND_ADDRESS_NO_PORT:
		case IP_LOCAL_PORT_RANGE:
			if (!k.changes.has("mptcp-local-port-range")) return -EOPNOTSUPP; // since 6.8, ae5439658cce
			return do_ip_getsockopt(k, sk, optname, optlen);
		default:
			return -EOPNOTSUPP;
	}
}

function mptcp_getsockopt_v6(
	k: Stack,
	sk: number,
	optname: number,
	optlen: number,
): Uint8Array | number {
	const flags = k.sock.inet_flags[sk];
	if (!k.changes.has("mptcp-getsockopt-flags")) return -EOPNOTSUPP; // since 6.15, e2f4ac7bab22
	switch (optname) {
		case IPV6_V6ONLY:
			return mptcp_put_int_option(optlen, k.sock.skc_ipv6only[sk]);
		case IPV6_TRANSPARENT:
			return mptcp_put_int_option(optlen, (flags & INET_TRANSPARENT) !== 0 ? 1 : 0);
		case IPV6_FREEBIND:
			return mptcp_put_int_option(optlen, (flags & INET_FREEBIND) !== 0 ? 1 : 0);
		default:
			return -EOPNOTSUPP;
	}
}

/**
 * getsockopt() of levels other than SOL_SOCKET: the bytes that are written, or a negative
 * errno; throws NotModelled.
 */
export function mptcp_getsockopt(
	k: Stack,
	sock: number,
	level: number,
	optname: number,
	optlen: number,
): Uint8Array | number {
	const sk = k.socket.sk[sock];
	const ssock = __mptcp_tcp_fallback(mptcp_sk(k, sk));
	if (ssock !== 0) return tcp_getsockopt(k, ssock, level, optname, optlen);
	if (level === SOL_IP) return mptcp_getsockopt_v4(k, sk, optname, optlen);
	if (level === SOL_IPV6) return mptcp_getsockopt_v6(k, sk, optname, optlen);
	const readable =
		(level === SOL_TCP && SOL_TCP_READABLE.has(optname)) ||
		(level === SOL_MPTCP && SOL_MPTCP_READABLE.has(optname));
	if (!readable) return -EOPNOTSUPP;
	throw new NotModelled(`getsockopt level ${level} option ${optname}`);
}
