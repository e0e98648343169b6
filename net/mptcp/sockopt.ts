// SPDX-License-Identifier: GPL-2.0-or-later
/**
 * net/mptcp/sockopt.c: the options of an MPTCP socket, and which of them are passed to its subflow.
 */
import type { Sk, Sock } from "../../include/linux/handle.js";
import { AF_INET6, SOL_IP, SOL_IPV6, SOL_MPTCP, SOL_TCP } from "../../include/linux/socket.js";
import type { MptcpSock } from "../../include/net/mptcp.js";
import {
	INET_BIND_ADDRESS_NO_PORT,
	INET_FREEBIND,
	INET_TRANSPARENT,
	SOCK_LINGER,
	sk_net,
} from "../../include/net/sock.js";
import type { Stack } from "../../include/net/stack.js";
import { EFAULT, EINVAL, ENOPROTOOPT, EOPNOTSUPP } from "../../include/uapi/asm-generic/errno.js";
import {
	SO_BINDTODEVICE,
	SO_BINDTOIFINDEX,
	SO_BROADCAST,
	SO_DONTROUTE,
	SO_KEEPALIVE,
	SO_LINGER,
	SO_RCVTIMEO_NEW,
	SO_RCVTIMEO_OLD,
	SO_REUSEADDR,
	SO_REUSEPORT,
	SO_SNDTIMEO_NEW,
	SO_SNDTIMEO_OLD,
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
import {
	TCP_DEFER_ACCEPT,
	TCP_KEEPCNT,
	TCP_KEEPIDLE,
	TCP_KEEPINTVL,
} from "../../include/uapi/linux/tcp.js";
import { intAt, intBytes, NotModelled, sk_setsockopt } from "../core/sock.js";
import { inetGetsockopt, inetSetsockopt } from "../ipv4/af_inet.js";
import { do_ip_getsockopt, do_ip_setsockopt } from "../ipv4/ip_sockglue.js";
import {
	__tcp_sock_set_cork,
	__tcp_sock_set_nodelay,
	tcp_sock_set_keepcnt,
	tcp_sock_set_keepidle_locked,
	tcp_sock_set_keepintvl,
} from "../ipv4/tcp.js";
import { inet6Getsockopt, inet6Setsockopt } from "../ipv6/af_inet6.js";
import { __mptcp_nmpc_socket, mptcp_sk } from "./protocol.js";

/** Options that only this file uses (include/uapi/linux/in.h, in6.h). */
const IP_TOS = 1;

/** The numbers of a list of named options. */
function numbersOf(options: Readonly<Record<string, number>>): ReadonlySet<number> {
	return new Set(Object.values(options));
}

/** Options of SOL_SOCKET that are accepted and have no effect. */
const SOL_SOCKET_IGNORED = numbersOf({
	SO_DONTROUTE,
	SO_BROADCAST,
	SO_NO_CHECK: 11,
	SO_BSDCOMPAT: 14,
	SO_PASSCRED: 16,
	SO_PASSSEC: 34,
	SO_RXQ_OVFL: 40,
	SO_WIFI_STATUS: 41,
	SO_NOFCS: 43,
	SO_SELECT_ERR_QUEUE: 45,
});

/** Options of SOL_SOCKET that are passed on but do not affect ports. */
const SOL_SOCKET_OTHER = numbersOf({
	SO_DEBUG: 1,
	SO_SNDBUF: 7,
	SO_RCVBUF: 8,
	SO_PRIORITY: 12,
	SO_RCVLOWAT: 18,
	SO_TIMESTAMP_OLD: 29,
	SO_SNDBUFFORCE: 32,
	SO_RCVBUFFORCE: 33,
	SO_TIMESTAMPNS_OLD: 35,
	SO_MARK: 36,
	SO_TIMESTAMPING_OLD: 37,
	SO_BUSY_POLL: 46,
	SO_INCOMING_CPU: 49,
	SO_TIMESTAMP_NEW: 63,
	SO_TIMESTAMPNS_NEW: 64,
	SO_TIMESTAMPING_NEW: 65,
	SO_PREFER_BUSY_POLL: 69,
	SO_BUSY_POLL_BUDGET: 70,
});

/** mptcp_supported_sockopt() of level SOL_IP. */
const SOL_IP_SUPPORTED = numbersOf({
	IP_TOS,
	IP_TTL: 2,
	IP_RECVOPTS: 6,
	IP_RETOPTS: 7,
	IP_PKTINFO: 8,
	IP_MTU_DISCOVER: 10,
	IP_RECVERR: 11,
	IP_RECVTTL: 12,
	IP_RECVTOS: 13,
	IP_FREEBIND,
	IP_PASSSEC: 18,
	IP_TRANSPARENT,
	IP_RECVORIGDSTADDR: 20,
	IP_MINTTL: 21,
	IP_CHECKSUM: 23,
	IP_BIND_ADDRESS_NO_PORT,
	IP_RECVFRAGSIZE: 25,
	IP_RECVERR_RFC4884: 26,
});

/** mptcp_supported_sockopt() of level SOL_IPV6. */
const SOL_IPV6_SUPPORTED = numbersOf({
	IPV6_2292PKTINFO: 2,
	IPV6_2292HOPOPTS: 3,
	IPV6_2292DSTOPTS: 4,
	IPV6_2292RTHDR: 5,
	IPV6_2292PKTOPTIONS: 6,
	IPV6_2292HOPLIMIT: 8,
	IPV6_FLOWINFO: 11,
	IPV6_UNICAST_HOPS: 16,
	IPV6_MTU_DISCOVER: 23,
	IPV6_MTU: 24,
	IPV6_RECVERR: 25,
	IPV6_V6ONLY,
	IPV6_RECVERR_RFC4884: 31,
	IPV6_FLOWLABEL_MGR: 32,
	IPV6_FLOWINFO_SEND: 33,
	IPV6_RECVPKTINFO: 49,
	IPV6_PKTINFO: 50,
	IPV6_RECVHOPLIMIT: 51,
	IPV6_RECVHOPOPTS: 53,
	IPV6_RECVRTHDR: 56,
	IPV6_RECVDSTOPTS: 58,
	IPV6_RECVPATHMTU: 60,
	IPV6_DONTFRAG: 62,
	IPV6_RECVTCLASS: 66,
	IPV6_TCLASS: 67,
	IPV6_AUTOFLOWLABEL: 70,
	IPV6_MINHOPCOUNT: 73,
	IPV6_RECVORIGDSTADDR: 74,
	IPV6_TRANSPARENT,
	IPV6_RECVFRAGSIZE: 77,
	IPV6_FREEBIND,
});

const SO_SNDBUF = 7;
const SO_RCVBUF = 8;
const TCP_NODELAY = 1;
const TCP_CORK = 3;

/**
 * Options that count as set on the socket (sockopt_seq_inc), so that a subflow that is made later
 * copies all options, IPV6_V6ONLY included. The options of addresses and ports are made with the
 * subflow, or make it.
 */
const COUNTED: ReadonlyMap<number, ReadonlySet<number>> = new Map([
	// SO_DEBUG, SO_PRIORITY, SO_SNDBUFFORCE, SO_RCVBUFFORCE, SO_MARK, SO_INCOMING_CPU
	[SOL_SOCKET, new Set([1, SO_SNDBUF, SO_RCVBUF, SO_KEEPALIVE, 12, SO_LINGER, 32, 33, 36, 49])],
	[SOL_IP, new Set([1])], // IP_TOS
	// TCP_KEEPIDLE, TCP_KEEPINTVL, TCP_KEEPCNT, TCP_CONGESTION
	[SOL_TCP, new Set([TCP_NODELAY, TCP_CORK, 4, 5, 6, 13])],
]);

/** Notes that an option was set that the model does not have otherwise. */
export function mptcpCountOption(k: Stack, sk: Sk, level: number, optname: number): void {
	const msk = k.mptcp.socks.get(sk);
	if (msk !== undefined && COUNTED.get(level)?.has(optname) === true) msk.options_set = true;
}

/** mptcp_supported_sockopt() of level SOL_TCP. */
const SOL_TCP_SUPPORTED = numbersOf({
	TCP_NODELAY: 1,
	TCP_MAXSEG: 2,
	TCP_CORK: 3,
	TCP_KEEPIDLE: 4,
	TCP_KEEPINTVL: 5,
	TCP_KEEPCNT: 6,
	TCP_SYNCNT: 7,
	TCP_LINGER2: 8,
	TCP_DEFER_ACCEPT: 9,
	TCP_WINDOW_CLAMP: 10,
	TCP_QUICKACK: 12,
	TCP_CONGESTION: 13,
	TCP_THIN_LINEAR_TIMEOUTS: 16,
	TCP_THIN_DUPACK: 17,
	TCP_USER_TIMEOUT: 18,
	TCP_TIMESTAMP: 24,
	TCP_NOTSENT_LOWAT: 25,
	TCP_SAVE_SYN: 27,
	TCP_FASTOPEN_CONNECT: 30,
	TCP_INQ: 36,
	TCP_TX_DELAY: 37,
});

/** Options of TCP fast open. MPTCP takes them since mptcp-defer-accept-succeeds. */
const SOL_TCP_FASTOPEN = numbersOf({
	TCP_FASTOPEN: 23,
	TCP_FASTOPEN_KEY: 33,
	TCP_FASTOPEN_NO_COOKIE: 34,
});

/** Options of level SOL_TCP that MPTCP handles and that do not affect ports. */
const SOL_TCP_OTHER = numbersOf({
	TCP_NODELAY: 1,
	TCP_MAXSEG: 2,
	TCP_CORK: 3,
	TCP_CONGESTION: 13,
	TCP_NOTSENT_LOWAT: 25,
	TCP_FASTOPEN_CONNECT: 30,
	TCP_INQ: 36,
});

/** Options of level SOL_TCP that MPTCP handles before mptcp-tcp-options-refused as well. */
const SOL_TCP_EARLY = numbersOf({
	TCP_NODELAY: 1,
	TCP_CORK: 3,
	TCP_CONGESTION: 13,
	TCP_FASTOPEN_CONNECT: 30,
	TCP_INQ: 36,
});

/** The other options of getsockopt() of level SOL_TCP. */
const SOL_TCP_READABLE = numbersOf({
	TCP_NODELAY: 1,
	TCP_MAXSEG: 2,
	TCP_CORK: 3,
	TCP_INFO: 11,
	TCP_CONGESTION: 13,
	TCP_FASTOPEN: 23,
	TCP_NOTSENT_LOWAT: 25,
	TCP_CC_INFO: 26,
	TCP_FASTOPEN_CONNECT: 30,
	TCP_ULP: 31,
	TCP_FASTOPEN_KEY: 33,
	TCP_FASTOPEN_NO_COOKIE: 34,
	TCP_INQ: 36,
	TCP_IS_MPTCP: 43,
});

const SOL_MPTCP_READABLE = numbersOf({
	MPTCP_INFO: 1,
	MPTCP_TCPINFO: 2,
	MPTCP_SUBFLOW_ADDRS: 3,
});

/** The subflow after a fallback to TCP. 0 if the connection is MPTCP or not established yet. */
function __mptcp_tcp_fallback(msk: MptcpSock): Sock {
	return msk.fallback ? msk.socket : 0;
}

/** An int that does not affect ports. */
function mptcp_setsockopt_sol_socket_int(
	k: Stack,
	sk: Sk,
	level: number,
	optname: number,
	optval: Uint8Array | null,
	optlen: number,
): number {
	if (optlen < 4) return -EINVAL;
	if (optval === null || optval.length < 4) return -EFAULT;
	mptcpCountOption(k, sk, level, optname);
	return 0;
}

/**
 * tcp_setsockopt of C, which takes all levels: sets an option of the struct socket of a subflow.
 */
function subflowSetsockopt(
	k: Stack,
	ssock: Sock,
	level: number,
	optname: number,
	optval: Uint8Array | null,
	optlen: number,
): number {
	return k.sock.skc_family[k.socket.sk[ssock]] === AF_INET6
		? inet6Setsockopt(k, ssock, level, optname, optval, optlen)
		: inetSetsockopt(k, ssock, level, optname, optval, optlen);
}

function subflowGetsockopt(
	k: Stack,
	ssock: Sock,
	level: number,
	optname: number,
	optlen: number,
): Uint8Array | number {
	return k.sock.skc_family[k.socket.sk[ssock]] === AF_INET6
		? inet6Getsockopt(k, ssock, level, optname, optlen)
		: inetGetsockopt(k, ssock, level, optname, optlen);
}

/** Whether the first subflow exists. Since mptcp-set-up-while-closed it is made when it is needed. */
function subflowMade(k: Stack, msk: MptcpSock): boolean {
	return msk.accessed || !k.changes.has("mptcp-set-up-while-closed"); // since 6.4, ddb1a072f858
}

function mptcp_setsockopt_sol_socket_linger(
	k: Stack,
	sk: Sk,
	optval: Uint8Array | null,
	optlen: number,
): number {
	const S = k.sock;
	const msk = mptcp_sk(k, sk);
	const ssk = msk.first;
	if (optlen < 8) return -EINVAL;
	if (optval === null || optval.length < 8) return -EFAULT;
	const ret = sk_setsockopt(k, sk, SO_LINGER, optval, 8);
	if (ret !== 0) return ret;
	msk.options_set = true;
	if ((S.sk_flags[sk] & SOCK_LINGER) === 0) S.sk_flags[ssk] &= ~SOCK_LINGER;
	else {
		S.sk_lingertime.set(ssk, S.sk_lingertime.get(sk));
		S.sk_flags[ssk] |= SOCK_LINGER;
	}
	return 0;
}

/** setsockopt() of level SOL_SOCKET. Only MPTCP handles this level itself. */
function mptcp_setsockopt_sol_socket(
	k: Stack,
	sk: Sk,
	optname: number,
	optval: Uint8Array | null,
	optlen: number,
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
			const ret = sk_setsockopt(k, ssk, optname, optval, optlen);
			if (ret !== 0) return ret;
			if (optname === SO_REUSEPORT) S.skc_reuseport[sk] = S.skc_reuseport[ssk];
			else if (optname === SO_REUSEADDR) S.skc_reuse[sk] = S.skc_reuse[ssk];
			else S.skc_bound_dev_if[sk] = S.skc_bound_dev_if[ssk];
			return 0;
		}
		case SO_LINGER:
			return mptcp_setsockopt_sol_socket_linger(k, sk, optval, optlen);
		case SO_KEEPALIVE: {
			const msk = mptcp_sk(k, sk);
			// since 6.10, a65198136eaa
			if (!k.changes.has("mptcp-keepalive")) {
				if (optlen < 4) return -EINVAL;
				if (optval === null || optval.length < 4) return -EFAULT;
				msk.options_set = true;
				return subflowMade(k, msk) ? sk_setsockopt(k, msk.first, optname, optval, optlen) : 0;
			}
			// mptcp_sol_socket_intval
			const ret = sk_setsockopt(k, sk, optname, optval, optlen);
			if (ret !== 0) return ret;
			msk.options_set = true;
			return sk_setsockopt(k, msk.first, optname, optval, optlen);
		}
		case SO_RCVTIMEO_OLD:
		case SO_RCVTIMEO_NEW:
		case SO_SNDTIMEO_OLD:
		case SO_SNDTIMEO_NEW:
			// Not passed to the subflow. So accept(), which waits for the subflow, has no limit.
			return sk_setsockopt(k, sk, optname, optval, optlen);
		case SO_SNDBUF:
		case SO_RCVBUF:
			return mptcp_setsockopt_sol_socket_int(k, sk, SOL_SOCKET, optname, optval, optlen);
		default:
			if (SOL_SOCKET_IGNORED.has(optname)) return 0;
			if (!SOL_SOCKET_OTHER.has(optname)) return -EOPNOTSUPP;
			throw new NotModelled(`setsockopt level ${SOL_SOCKET} option ${optname}`);
	}
}

function mptcp_setsockopt_v6(
	k: Stack,
	sk: Sk,
	optname: number,
	optval: Uint8Array | null,
	optlen: number,
): number {
	const S = k.sock;
	if (optname !== IPV6_V6ONLY && optname !== IPV6_TRANSPARENT && optname !== IPV6_FREEBIND) {
		return -EOPNOTSUPP;
	}
	const msk = mptcp_sk(k, sk);
	const ssock = __mptcp_nmpc_socket(k, sk);
	if (ssock === 0) return -EINVAL;
	const ret = subflowSetsockopt(k, ssock, SOL_IPV6, optname, optval, optlen);
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

/** Whether MPTCP supports an option. */
function mptcp_supported_sockopt(k: Stack, level: number, optname: number): boolean {
	switch (level) {
		case SOL_IP:
			if (optname === IP_LOCAL_PORT_RANGE) return k.changes.has("mptcp-local-port-range"); // since 6.8, ae5439658cce
			return SOL_IP_SUPPORTED.has(optname);
		case SOL_IPV6:
			return SOL_IPV6_SUPPORTED.has(optname);
		case SOL_TCP:
			if (SOL_TCP_FASTOPEN.has(optname)) return k.changes.has("mptcp-defer-accept-succeeds"); // since 6.2, caea64675d8b
			return SOL_TCP_SUPPORTED.has(optname);
		default:
			return false;
	}
}

/** Sets an option on the socket and on its subflow (mptcp_setsockopt_sol_ip_set_transparent). */
function mptcp_setsockopt_sol_ip_set(
	k: Stack,
	sk: Sk,
	optname: number,
	optval: Uint8Array | null,
	optlen: number,
): number {
	const S = k.sock;
	const err = do_ip_setsockopt(k, sk, optname, optval, optlen);
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
	sk: Sk,
	optname: number,
	optval: Uint8Array | null,
	optlen: number,
): number {
	switch (optname) {
		case IP_FREEBIND:
		case IP_TRANSPARENT:
			return mptcp_setsockopt_sol_ip_set(k, sk, optname, optval, optlen);
		case IP_BIND_ADDRESS_NO_PORT:
		case IP_LOCAL_PORT_RANGE:
			if (!k.changes.has("mptcp-local-port-range")) return -EOPNOTSUPP; // since 6.8, ae5439658cce
			return mptcp_setsockopt_sol_ip_set(k, sk, optname, optval, optlen);
		case IP_TOS:
			throw new NotModelled(`setsockopt level ${SOL_IP} option ${optname}`);
		default:
			return -EOPNOTSUPP;
	}
}

/** TCP_DEFER_ACCEPT of the subflow, while the subflow can still be set up. */
function deferAccept(k: Stack, sk: Sk, optval: Uint8Array | null, optlen: number): number {
	const ssock = __mptcp_nmpc_socket(k, sk);
	const ret =
		ssock === 0 ? 0 : subflowSetsockopt(k, ssock, SOL_TCP, TCP_DEFER_ACCEPT, optval, optlen);
	return k.changes.has("mptcp-defer-accept-succeeds") ? 0 : ret; // since 6.2, caea64675d8b
}

/**
 * __mptcp_setsockopt_set_val: sets a keepalive option on the subflow, and keeps its value if it is
 * right. Nobody checks the value while there is no subflow (mptcp-set-up-while-closed).
 */
function setKeepalive(k: Stack, sk: Sk, optname: number, val: number): number {
	const msk = mptcp_sk(k, sk);
	const [field, set_val] = KEEPALIVE[optname];
	const err = set_val(k, msk.first, val);
	if (subflowMade(k, msk) && err !== 0) return err;
	msk[field] = val;
	msk.options_set = true;
	return 0;
}

/** The field of the MPTCP sock, and the setter of the subflow, of each keepalive option. */
const KEEPALIVE: Readonly<
	Record<
		number,
		[
			"keepalive_idle" | "keepalive_intvl" | "keepalive_cnt",
			(k: Stack, sk: Sk, val: number) => number,
		]
	>
> = {
	[TCP_KEEPIDLE]: ["keepalive_idle", tcp_sock_set_keepidle_locked],
	[TCP_KEEPINTVL]: ["keepalive_intvl", tcp_sock_set_keepintvl],
	[TCP_KEEPCNT]: ["keepalive_cnt", tcp_sock_set_keepcnt],
};

/** setsockopt() of level SOL_TCP. */
function mptcp_setsockopt_sol_tcp(
	k: Stack,
	sk: Sk,
	optname: number,
	optval: Uint8Array | null,
	optlen: number,
): number {
	if (optname === TCP_DEFER_ACCEPT) return deferAccept(k, sk, optval, optlen);
	const early = SOL_TCP_EARLY.has(optname) || SOL_TCP_FASTOPEN.has(optname);
	if (!early && !k.changes.has("mptcp-tcp-options-refused")) return -EOPNOTSUPP; // since 6.9, 7f71a337b515
	if (SOL_TCP_OTHER.has(optname) || SOL_TCP_FASTOPEN.has(optname)) {
		throw new NotModelled(`setsockopt level ${SOL_TCP} option ${optname}`);
	}
	if (optlen < 4) return -EINVAL;
	if (optval === null || optval.length < 4) return -EFAULT;
	// since 6.10, bd11dc4fb969
	const keepalive = optname in KEEPALIVE && k.changes.has("mptcp-keepalive");
	return keepalive ? setKeepalive(k, sk, optname, intAt(optval)) : -ENOPROTOOPT;
}

/** setsockopt() of all levels. Returns 0 or a negative errno. Throws NotModelled. */
export function mptcp_setsockopt(
	k: Stack,
	sock: Sock,
	level: number,
	optname: number,
	optval: Uint8Array | null,
	optlen: number,
): number {
	const sk = k.socket.sk[sock];
	if (level === SOL_SOCKET) {
		return mptcp_setsockopt_sol_socket(k, sk, optname, optval, optlen);
	}
	if (!mptcp_supported_sockopt(k, level, optname)) return -ENOPROTOOPT;
	const ssock = __mptcp_tcp_fallback(mptcp_sk(k, sk));
	if (ssock !== 0) return subflowSetsockopt(k, ssock, level, optname, optval, optlen);
	if (level === SOL_IP) return mptcp_setsockopt_v4(k, sk, optname, optval, optlen);
	if (level === SOL_IPV6) return mptcp_setsockopt_v6(k, sk, optname, optval, optlen);
	if (optname === TCP_NODELAY || optname === TCP_CORK) {
		const err = mptcp_setsockopt_sol_socket_int(k, sk, SOL_TCP, optname, optval, optlen);
		const { first } = mptcp_sk(k, sk);
		if (err !== 0 || optval === null || first === 0) return err;
		const set = optname === TCP_CORK ? __tcp_sock_set_cork : __tcp_sock_set_nodelay;
		set(k, first, intAt(optval) !== 0);
		return 0;
	}
	return mptcp_setsockopt_sol_tcp(k, sk, optname, optval, optlen);
}

/**
 * An int as getsockopt() writes it: one byte if the buffer is shorter than an int and the value
 * fits.
 */
function mptcp_put_int_option(optlen: number, val: number): Uint8Array | number {
	if (optlen < 0) return -EINVAL;
	if (optlen > 0 && optlen < 4 && val >= 0 && val <= 255) return Uint8Array.of(val);
	return intBytes(val, optlen);
}

function mptcp_getsockopt_v4(
	k: Stack,
	sk: Sk,
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
	sk: Sk,
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
 * getsockopt() of all levels except SOL_SOCKET. Returns the bytes written, or a negative errno.
 * Throws NotModelled.
 */
export function mptcp_getsockopt(
	k: Stack,
	sock: Sock,
	level: number,
	optname: number,
	optlen: number,
): Uint8Array | number {
	const sk = k.socket.sk[sock];
	const ssock = __mptcp_tcp_fallback(mptcp_sk(k, sk));
	if (ssock !== 0) return subflowGetsockopt(k, ssock, level, optname, optlen);
	if (level === SOL_IP) return mptcp_getsockopt_v4(k, sk, optname, optlen);
	if (level === SOL_IPV6) return mptcp_getsockopt_v6(k, sk, optname, optlen);
	// since 6.10, bd11dc4fb969
	const early = optname in KEEPALIVE && !k.changes.has("mptcp-keepalive");
	if (level === SOL_TCP && !early) {
		const { ipv4 } = sk_net(k, sk);
		const msk = mptcp_sk(k, sk);
		switch (optname) {
			case TCP_DEFER_ACCEPT:
				return subflowGetsockopt(k, msk.socket, level, optname, optlen);
			case TCP_KEEPIDLE:
				return mptcp_put_int_option(optlen, msk.keepalive_idle || ipv4.sysctl_tcp_keepalive_time);
			case TCP_KEEPINTVL:
				return mptcp_put_int_option(optlen, msk.keepalive_intvl || ipv4.sysctl_tcp_keepalive_intvl);
			case TCP_KEEPCNT:
				return mptcp_put_int_option(optlen, msk.keepalive_cnt || ipv4.sysctl_tcp_keepalive_probes);
			default:
		}
	}
	const readable =
		(level === SOL_TCP && SOL_TCP_READABLE.has(optname)) ||
		(level === SOL_MPTCP && SOL_MPTCP_READABLE.has(optname));
	if (!readable) return -EOPNOTSUPP;
	throw new NotModelled(`getsockopt level ${level} option ${optname}`);
}
