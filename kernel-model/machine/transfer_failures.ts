// SPDX-License-Identifier: GPL-2.0-or-later
/** Why a send or a receive failed. See failures.ts. */
import { SOCK_STREAM, SS_CONNECTED } from "../../include/linux/net.js";
import {
	AF_INET,
	AF_INET6,
	AF_UNSPEC,
	SIN6_LEN_RFC2133,
	SIZEOF_SA_FAMILY,
	SIZEOF_SOCKADDR_IN,
} from "../../include/linux/socket.js";
import { ipv6_only_sock } from "../../include/net/inet_sock.js";
import {
	__ipv6_addr_needs_scope_id,
	type In6Addr,
	ipv6_addr_any,
	ipv6_addr_type,
	ipv6_addr_v4mapped,
} from "../../include/net/ipv6.js";
import { SEND_SHUTDOWN } from "../../include/net/sock.js";
import { TFO_CLIENT_ENABLE } from "../../include/net/tcp.js";
import {
	TCP_CLOSE,
	TCP_CLOSE_WAIT,
	TCP_ESTABLISHED,
	TCP_LISTEN,
	TCP_SYN_RECV,
	TCP_SYN_SENT,
	tcpStateName,
} from "../../include/net/tcp_states.js";
import * as E from "../../include/uapi/asm-generic/errno.js";
import { INADDR_LOOPBACK } from "../../include/uapi/linux/in.js";
import { type Address, formatIpv4, toSockaddr } from "./address.js";
import { addrlenReasons, sctpPeer, shortAddress, v6 } from "./address_failures.js";
import { type Asked, anAddress, type Reason } from "./asked.js";
import { needsService } from "./bind_failures.js";
import {
	connectReasons,
	datagram4Route,
	errorReasons,
	isDccp,
	protocolFunction,
} from "./connect_failures.js";
import { describeAddress, sockDestination } from "./describe.js";
import { nth } from "./nth.js";
import { route6Reasons } from "./route_failures.js";
import { isSctp, isUdp } from "./sharing.js";

/** net/sctp/socket.c: sctp_sendmsg_parse, and the functions that run after it. */
function* sctpSend(a: Asked): Iterable<Reason> {
	const { k, call, sk } = a;
	const { address = null, length = 0, size = 0 } = call;
	const where = "sctp_sendmsg_parse";
	if (k.sock.skc_state[sk] === TCP_LISTEN && k.sock.sk_type[sk] === SOCK_STREAM) {
		yield [E.EPIPE, where, "the socket listens and cannot send"];
	}
	if (size === 0) yield [E.EINVAL, where, "a message has at least one byte"];
	if (address !== null) {
		yield* sctpPeer(a, toSockaddr(address), length, address.address);
		const why = `the socket is connected, and not to ${describeAddress(address)}`;
		yield [E.EADDRNOTAVAIL, "sctp_sendmsg_new_asoc", why];
	}
	const none = "no port is left, or the message would have to wait";
	yield [E.EAGAIN, "sctp_connect_new_asoc", none];
	yield needsService(a, "sctp_connect_new_asoc", nth(k.sock.skc_num, sk));
	yield [E.EPIPE, "sctp_sendmsg", "there is no association that can send"];
	const shuts = "the association is being shut down";
	yield [E.ESHUTDOWN, "sctp_sf_error_shutdown", shuts];
	yield [
		E.ENETUNREACH,
		"sctp_bind_addr_copy",
		"no address of the socket has the scope of the destination",
	];
}

/** net/core/stream.c. Sends of TCP, MPTCP and DCCP call it unless the socket is connected. */
const WAIT_CONNECT = "sk_stream_wait_connect";

export function* sendReasons(a: Asked): Iterable<Reason> {
	const { k, call, sk } = a;
	const { address = null, length = 0 } = call;
	const S = k.sock;
	if (address !== null) yield* addrlenReasons(call);
	if (isSctp(k, sk)) yield* sctpSend(a);
	if (!isUdp(k, sk)) {
		yield* errorReasons(a, null);
		if (isDccp(a)) {
			const where = "dccp_sendmsg";
			const { size = 0 } = call;
			yield [E.EMSGSIZE, where, `${size} bytes do not fit into one packet`];
		}
		yield [E.EAGAIN, WAIT_CONNECT, "the connection is not established yet"];
		const own = nth(S.skc_state, sk);
		const why =
			own === TCP_CLOSE || own === TCP_LISTEN
				? "is not connected"
				: "was shut down for sending, or its peer is gone";
		// In these states the connection is there, or may come.
		const waits = [TCP_ESTABLISHED, TCP_CLOSE_WAIT, TCP_SYN_SENT, TCP_SYN_RECV].includes(own);
		const where = waits ? protocolFunction(a, "tcp_sendmsg_locked", "sendmsg") : WAIT_CONNECT;
		yield [E.EPIPE, where, `the socket ${why} (state ${tcpStateName(own)})`];
		yield* fastopenReasons(a);
		return;
	}
	yield [E.EAGAIN, "inet_autobind", "the socket has no port, and none is left for it"];
	yield* S.skc_family[sk] === AF_INET6 ? udp6Send(a) : udp4Send(a, address, length);
	yield* errorReasons(a, null);
	if ((nth(S.sk_shutdown, sk) & SEND_SHUTDOWN) !== 0) {
		yield [E.EPIPE, "sock_alloc_send_pskb", "the socket was shut down for sending"];
	}
}

/** net/ipv4/udp.c: udp_sendmsg. `address` is AF_INET also if the program gave a v4-mapped one. */
function* udp4Send(a: Asked, address: Address | null, length: number): Iterable<Reason> {
	const { k, sk } = a;
	const { size = 0 } = a.call;
	const where = "udp_sendmsg";
	if (size > 0xffff) yield [E.EMSGSIZE, where, `${size} bytes are more than 65535`];
	if (address === null) {
		if (k.sock.skc_state[sk] !== TCP_ESTABLISHED) {
			yield [E.EDESTADDRREQ, where, "no address is given, and the socket is not connected"];
		}
		yield* datagram4Route(a, where, nth(k.sock.skc_daddr, sk));
	} else {
		const addr = toSockaddr(address);
		const { sin_family: af } = addr;
		if (length < SIZEOF_SOCKADDR_IN) yield shortAddress(where, length, SIZEOF_SOCKADDR_IN);
		if (af !== AF_INET && af !== AF_UNSPEC) {
			const why = `an AF_INET socket does not send to ${anAddress(af)}`;
			yield [E.EAFNOSUPPORT, where, why];
		}
		if (addr.sin_port === 0) yield [E.EINVAL, where, "the destination's port is 0"];
		yield* datagram4Route(a, where, addr.sin_addr);
	}
	yield [E.EMSGSIZE, "__ip_append_data", `${size} bytes do not fit into one datagram`];
}

/** net/ipv6/udp.c: udpv6_sendmsg. */
function* udp6Send(a: Asked): Iterable<Reason> {
	const { k, call, sk } = a;
	const { address = null, length = 0, size = 0 } = call;
	const S = k.sock;
	const where = "udpv6_sendmsg";
	const addr = address === null ? null : toSockaddr(address);
	const af = addr?.sin_family ?? AF_UNSPEC;
	if (addr !== null) {
		if (length < SIZEOF_SA_FAMILY) yield shortAddress(where, length, SIZEOF_SA_FAMILY);
		if (af === AF_INET6 && length < SIN6_LEN_RFC2133) {
			yield shortAddress(where, length, SIN6_LEN_RFC2133);
		}
		if (af !== AF_INET6 && af !== AF_INET && af !== AF_UNSPEC) {
			const why = `an AF_INET6 socket does not send to ${anAddress(af)}`;
			yield [E.EINVAL, where, why];
		}
	}
	// AF_UNSPEC stands for no address.
	if (af === AF_UNSPEC && S.skc_state[sk] !== TCP_ESTABLISHED) {
		const given = addr === null ? "no address is given" : "AF_UNSPEC stands for no address";
		yield [E.EDESTADDRREQ, where, `${given}, and the socket is not connected`];
	}
	let daddr: In6Addr = S.skc_v6_daddr.slice(sk * 4, sk * 4 + 4);
	if (addr !== null && af === AF_INET6) daddr = addr.sin6_addr;
	const over4 = ipv6_addr_any(daddr, 0) && ipv6_addr_v4mapped(S.np_saddr, sk * 4);
	if (af === AF_INET || over4 || ipv6_addr_v4mapped(daddr, 0)) {
		if (ipv6_only_sock(k, sk)) {
			yield [E.ENETUNREACH, where, "the socket is IPV6_V6ONLY, and the address is one of IPv4"];
		}
		const port = af === AF_UNSPEC ? nth(S.skc_dport, sk) : (address?.port ?? 0);
		const v4 = over4 ? INADDR_LOOPBACK : nth(daddr, 3);
		if (af === AF_INET) yield* udp4Send(a, address, length);
		else {
			const to = { family: "AF_INET", address: formatIpv4(v4), port } as const;
			yield* udp4Send(a, to, SIZEOF_SOCKADDR_IN);
		}
		return;
	}
	if (addr !== null && af === AF_INET6) {
		if (addr.sin_port === 0) yield [E.EINVAL, where, "the destination's port is 0"];
		const scoped = __ipv6_addr_needs_scope_id(ipv6_addr_type(daddr, 0));
		if (scoped && addr.sin6_scope_id === 0 && S.skc_bound_dev_if[sk] === 0) {
			const why = `${v6(daddr)} is valid on one link only, and no device is named`;
			yield [E.EINVAL, where, why];
		}
	}
	yield* route6Reasons(a, daddr);
	yield [E.EMSGSIZE, "__ip6_append_data", `${size} bytes do not fit into one datagram`];
	yield [E.ENODEV, where, `the device ${addr?.sin6_scope_id || S.skc_bound_dev_if[sk]} is gone`];
}

/** net/ipv4/tcp.c: tcp_sendmsg_fastopen. Only a send that connects fails with these errors. */
function* fastopenReasons(a: Asked): Iterable<Reason> {
	const { k, call, sock, ssk, net } = a;
	const where = "tcp_sendmsg_fastopen";
	const { sysctl_tcp_fastopen } = net.ipv4;
	const unspec = call.address?.family === "AF_UNSPEC";
	const why = `net.ipv4.tcp_fastopen is ${sysctl_tcp_fastopen}, without ${TFO_CLIENT_ENABLE}`;
	yield [E.EOPNOTSUPP, where, unspec ? "the address is of AF_UNSPEC" : why];
	const before = "the socket asked for a cookie when it connected";
	if (k.sock.fastopen_req.has(ssk)) yield [E.EALREADY, where, before];
	if (call.address != null) {
		yield* connectReasons(a);
		return;
	}
	const to = sockDestination(k, ssk);
	if (k.socket.state[sock] === SS_CONNECTED) {
		yield [E.EISCONN, "__inet_stream_connect", `the socket is connected to ${to}`];
	}
	const sent = `the socket does not block, and the SYN to ${to} is not answered yet`;
	yield [E.EINPROGRESS, "__inet_stream_connect", sent];
	yield [E.EINVAL, "__inet_stream_connect", "no address is given, and there was no connect()"];
}

export function* recvReasons(a: Asked): Iterable<Reason> {
	const { k, ssk } = a;
	const where = isUdp(k, a.sk)
		? "__skb_recv_udp"
		: protocolFunction(a, "tcp_recvmsg_locked", "recvmsg");
	yield* errorReasons(a, null);
	if (k.sock.skc_state[ssk] === TCP_LISTEN) {
		yield [E.ENOTCONN, where, "a listener cannot receive"];
	}
	yield [E.ENOTCONN, where, "the socket is not connected"];
	yield [E.EAGAIN, where, "nothing has arrived, and the call does not block"];
}
