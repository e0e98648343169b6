// SPDX-License-Identifier: GPL-2.0-or-later
/** Why connect() failed, and why a connection ended. See failures.ts. */
import { ipv4_is_multicast } from "../../include/linux/in.js";
import { SS_CONNECTED, SS_CONNECTING, SS_DISCONNECTING } from "../../include/linux/net.js";
import {
	AF_INET,
	AF_INET6,
	AF_UNSPEC,
	SIN6_LEN_RFC2133,
	SIZEOF_SA_FAMILY,
	SIZEOF_SOCKADDR_IN,
	SIZEOF_SOCKADDR_IN6,
	type Sockaddr,
} from "../../include/linux/socket.js";
import { ipv6_only_sock } from "../../include/net/inet_sock.js";
import { ipv6_addr_any, ipv6_addr_v4mapped } from "../../include/net/ipv6.js";
import { RT_TABLE_LOCAL, RTN_BROADCAST } from "../../include/net/net_namespace.js";
import { SOCK_BROADCAST } from "../../include/net/sock.js";
import { TCP_CLOSE, TCP_LISTEN, tcpStateName } from "../../include/net/tcp_states.js";
import * as E from "../../include/uapi/asm-generic/errno.js";
import { IPPROTO_DCCP } from "../../include/uapi/linux/in.js";
import { inet_addr_type_table } from "../../net/ipv4/fib_frontend.js";
import { l3mdev_fib_table_by_index } from "../../net/l3mdev/l3mdev.js";
import { type Address, formatIpv4, toSockaddr } from "./address.js";
import {
	addrlenReasons,
	scopeReasons,
	sctpPeer,
	shortAddress,
	v6OnlyReasons,
} from "./address_failures.js";
import { type Asked, anAddress, type Reason, state } from "./asked.js";
import { needsService } from "./bind_failures.js";
import { describeSock, sockDestination } from "./describe.js";
import { isHostAddress } from "./net.js";
import { nth } from "./nth.js";
import { route6Reasons, routeReasons, routeTo } from "./route_failures.js";
import { isSctp, isUdp, listenersOn } from "./sharing.js";

// connect()

/** The function that stores ECONNREFUSED when the answer arrives. */
function refusal(a: Asked): string {
	if (isSctp(a.k, a.sk)) return "sctp_cmd_set_sk_err";
	return isDccp(a) ? "dccp_rcv_reset" : "tcp_reset";
}

/** Why a destination answers a SYN with a RST. */
function* refusedReasons(a: Asked, address: Address | null): Iterable<Reason> {
	const { k, net, ssk } = a;
	const to = address ?? null;
	const port = to?.port ?? k.sock.skc_dport[ssk];
	if (to === null && port === 0) {
		yield [E.ECONNREFUSED, refusal(a), "the peer has answered an earlier connect() with a RST"];
		return;
	}
	const host = to === null ? "the destination" : to.address;
	const listeners = listenersOn(k, net.id, port ?? 0);
	const local = to === null || isHostAddress(a.net, to);
	const where = refusal(a);
	if (!local) {
		yield [E.ECONNREFUSED, where, `the host behind the route to ${host} answers with a RST`];
		return;
	}
	const named = listeners.slice(0, 3).map((sk) => describeSock(k, sk));
	const but =
		listeners.length === 0
			? `no socket listens on port ${port}`
			: `no listener on port ${port} takes it: ${named.join(", ")}`;
	yield [E.ECONNREFUSED, where, `${host} is this host, and ${but}`];
}

/** The error that the end of a connection, or an ICMP message, left on the socket. */
export function* errorReasons(a: Asked, address: Address | null): Iterable<Reason> {
	const host = address?.address ?? "the destination";
	if (!isUdp(a.k, a.sk)) yield* refusedReasons(a, address);
	else {
		const why = "an earlier datagram met no socket, and ICMP said port unreachable";
		const six = a.k.sock.skc_family[a.sk] === AF_INET6;
		// since 7.1, 56520b398e5e: UDP-Lite shared these functions before
		const alone = a.k.changes.has("udplite-removed");
		const icmp = alone
			? six
				? "udpv6_err"
				: "udp_err"
			: six
				? "__udp6_lib_err"
				: "__udp4_lib_err";
		yield [E.ECONNREFUSED, icmp, why];
	}
	if (isDccp(a)) yield* dccpErrorReasons(host);
	yield [E.ETIMEDOUT, "tcp_write_timeout", `${host} has answered no SYN (tcp_syn_retries)`];
	yield [E.EHOSTUNREACH, "tcp_v4_err", `a router says that ${host} is unreachable`];
	yield [E.ENETUNREACH, "tcp_v6_err", `a router says that no route leads to ${host}`];
	yield [E.ECONNRESET, "tcp_reset", "the peer, or a disconnect, has reset the connection"];
}

/** Errors that a Reset of DCCP, or its lack, leaves on the socket. */
function* dccpErrorReasons(host: string): Iterable<Reason> {
	const where = "dccp_rcv_reset";
	yield [E.ETIMEDOUT, "dccp_write_timeout", `${host} has answered no Request`];
	yield [E.EUSERS, where, `${host} answers with a Reset: its listener's accept queue is full`];
	yield [E.EBADRQC, where, `${host} answers with a Reset: its listener has another service code`];
	yield [E.ENOMSG, where, "the socket connects to itself, and has answered its Request"];
	yield [E.ECONNRESET, where, "the peer, or a disconnect, has aborted the connection"];
}

/** Says how a connection attempt ended. */
function* endReasons(a: Asked, address: Address | null): Iterable<Reason> {
	yield* errorReasons(a, address);
	const where = "__inet_stream_connect";
	yield [E.ECONNABORTED, where, "the connection was aborted, and another call has its error"];
	yield [E.EPIPE, where, "another task has disconnected the socket meanwhile"];
}

export function isDccp({ k, ssk }: Asked): boolean {
	return k.sock.sk_protocol[ssk] === IPPROTO_DCCP;
}

/** The kernel function of a call: `tcp`, or of another protocol the one with this name. */
export function protocolFunction(a: Asked, tcp: string, name: string): string {
	if (a.sk !== a.ssk) return `mptcp_${name}`;
	if (isDccp(a)) return `dccp_${name}`;
	return isSctp(a.k, a.sk) ? `sctp_${name}` : tcp;
}

/** A disconnect of a socket in whose connect() another task sleeps. */
export const busy = (a: Asked): Reason => [
	E.EBUSY,
	protocolFunction(a, "tcp_disconnect", "disconnect"),
	"another task sleeps in a connect() of this socket",
];

function* tcp4Connect(a: Asked, addr: Sockaddr, length: number): Iterable<Reason> {
	const where = isDccp(a) ? "dccp_v4_connect" : "tcp_v4_connect";
	if (length < SIZEOF_SOCKADDR_IN) yield shortAddress(where, length, SIZEOF_SOCKADDR_IN);
	if (addr.sin_family !== AF_INET) {
		const why = `an AF_INET socket does not connect to ${anAddress(addr.sin_family)}`;
		yield [E.EAFNOSUPPORT, where, why];
	}
	yield* tcp4Route(a, where, addr.sin_addr);
	yield* endReasons(a, a.call.address ?? null);
}

function* tcp4Route({ k, net, ssk }: Asked, where: string, daddr: number): Iterable<Reason> {
	const type = inet_addr_type_table(net, daddr, RT_TABLE_LOCAL);
	const { inet_saddr, skc_bound_dev_if } = k.sock;
	const crowd = daddr !== 0 && (ipv4_is_multicast(daddr) || type === RTN_BROADCAST);
	if (
		crowd &&
		typeof routeTo(net, daddr, nth(inet_saddr, ssk), nth(skc_bound_dev_if, ssk)) !== "number"
	) {
		const why = `${formatIpv4(daddr)} is a multicast or broadcast address`;
		yield [E.ENETUNREACH, where, why];
	}
	yield* routeReasons(net, daddr, nth(inet_saddr, ssk), nth(skc_bound_dev_if, ssk));
}

function* tcp6Connect(a: Asked, addr: Sockaddr, length: number): Iterable<Reason> {
	const { k, ssk } = a;
	const where = isDccp(a) ? "dccp_v6_connect" : "tcp_v6_connect";
	if (length < SIN6_LEN_RFC2133) yield shortAddress(where, length, SIN6_LEN_RFC2133);
	if (addr.sin_family !== AF_INET6) {
		const why = `an AF_INET6 socket does not connect to ${anAddress(addr.sin_family)}`;
		yield [E.EAFNOSUPPORT, where, why];
		return;
	}
	yield* scopeReasons(a, where, addr, length, true);
	const daddr = addr.sin6_addr;
	const on4 = ipv6_addr_any(daddr, 0) && ipv6_addr_v4mapped(k.sock.skc_v6_rcv_saddr, ssk * 4);
	if (ipv6_addr_v4mapped(daddr, 0) || on4) {
		yield* v6OnlyReasons(a, E.ENETUNREACH, where, daddr);
		yield* tcp4Route(a, isDccp(a) ? "dccp_v4_connect" : "tcp_v4_connect", nth(daddr, 3));
	} else yield* route6Reasons(a, daddr);
	yield* endReasons(a, a.call.address ?? null);
}

function* dgramConnect(a: Asked, addr: Sockaddr, length: number): Iterable<Reason> {
	const { k, ssk } = a;
	yield [E.EAGAIN, "inet_autobind", "the socket has no port, and none is left for it"];
	if (k.sock.skc_family[ssk] !== AF_INET6) {
		yield* datagram4(a, addr, length);
		return;
	}
	const where = "__ip6_datagram_connect";
	if (addr.sin_family === AF_INET) {
		if (ipv6_only_sock(k, ssk)) {
			yield [E.EAFNOSUPPORT, where, "the socket is IPV6_V6ONLY, and the address is one of IPv4"];
		}
		yield* datagram4(a, addr, length);
		return;
	}
	if (length < SIN6_LEN_RFC2133) yield shortAddress(where, length, SIN6_LEN_RFC2133);
	if (addr.sin_family !== AF_INET6) {
		const why = `an AF_INET6 socket does not connect to ${anAddress(addr.sin_family)}`;
		yield [E.EAFNOSUPPORT, where, why];
		return;
	}
	const daddr = addr.sin6_addr;
	const on4 = ipv6_addr_any(daddr, 0) && ipv6_addr_v4mapped(k.sock.skc_v6_rcv_saddr, ssk * 4);
	if (ipv6_addr_v4mapped(daddr, 0) || on4) {
		yield* v6OnlyReasons(a, E.ENETUNREACH, where, daddr);
		yield* datagram4Route(a, "__ip4_datagram_connect", nth(daddr, 3));
		return;
	}
	yield* scopeReasons(a, where, addr, length, false);
	yield* route6Reasons(a, daddr);
}

function* datagram4(a: Asked, addr: Sockaddr, length: number): Iterable<Reason> {
	const where = "__ip4_datagram_connect";
	if (length < SIZEOF_SOCKADDR_IN) yield shortAddress(where, length, SIZEOF_SOCKADDR_IN);
	if (addr.sin_family !== AF_INET) {
		const why = `an AF_INET socket does not connect to ${anAddress(addr.sin_family)}`;
		yield [E.EAFNOSUPPORT, where, why];
	}
	yield* datagram4Route(a, where, addr.sin_addr);
}

export function* datagram4Route(
	{ k, net, ssk }: Asked,
	where: string,
	daddr: number,
): Iterable<Reason> {
	const device = nth(k.sock.skc_bound_dev_if, ssk);
	if ((nth(k.sock.sk_flags, ssk) & SOCK_BROADCAST) === 0) {
		const table = l3mdev_fib_table_by_index(net, device) || RT_TABLE_LOCAL;
		const broadcast = inet_addr_type_table(net, daddr, table) === RTN_BROADCAST;
		if (broadcast && daddr !== 0) {
			const why = `${formatIpv4(daddr)} is a broadcast address, and SO_BROADCAST is not set`;
			yield [E.EACCES, where, why];
		}
	}
	yield* routeReasons(net, daddr, nth(k.sock.inet_saddr, ssk), device);
}

function* sctpConnect(a: Asked, addr: Sockaddr, length: number): Iterable<Reason> {
	const { k, sk } = a;
	if (length < SIZEOF_SA_FAMILY) yield shortAddress("sctp_inet_connect", length, SIZEOF_SA_FAMILY);
	const af = a.call.address?.family ?? "AF_UNSPEC";
	if (af === "AF_UNSPEC") {
		yield [E.EOPNOTSUPP, "sctp_inet_connect", "SCTP does not dissolve an association by AF_UNSPEC"];
	}
	const to = sockDestination(k, sk);
	const text = a.call.address?.address ?? "";
	const six = af === "AF_INET6";
	const least = six ? SIZEOF_SOCKADDR_IN6 : SIZEOF_SOCKADDR_IN;
	if (!six && af !== "AF_INET") {
		yield [E.EINVAL, "sctp_connect", "SCTP connects to addresses of AF_INET and AF_INET6"];
	}
	if (length < least) yield shortAddress("sctp_connect", length, least);
	const listens = k.sock.skc_state[sk] === TCP_LISTEN;
	const taken = listens ? "the socket listens" : `the socket is connected to ${to}`;
	yield [E.EISCONN, "__sctp_connect", taken];
	yield [E.EALREADY, "__sctp_connect", `an association with ${to} is under way`];
	yield* sctpPeer(a, addr, length, text);
	yield [E.EAGAIN, "sctp_connect_new_asoc", "the socket has no port, and none is left for it"];
	yield needsService(a, "sctp_connect_new_asoc", nth(k.sock.skc_num, sk));
	yield [
		E.EADDRNOTAVAIL,
		"sctp_connect_new_asoc",
		"the peer belongs to a socket that was peeled off",
	];
	yield [
		E.EINPROGRESS,
		"sctp_wait_for_connect",
		`the socket does not block, and ${to} has not answered yet`,
	];
	yield [
		E.ENETUNREACH,
		"sctp_bind_addr_copy",
		"no address of the socket has the scope of the destination",
	];
	yield [E.ECONNREFUSED, "sctp_wait_for_connect", "the peer answers with ABORT, or not at all"];
	yield [E.ECONNABORTED, "inet_wait_for_connect", "the association was aborted meanwhile"];
}

export function* connectReasons(a: Asked): Iterable<Reason> {
	const { k, call, sk, ssk, sock } = a;
	const { length = 0 } = call;
	yield* addrlenReasons(call);
	if (call.address === undefined) yield* endReasons(a, null);
	if (call.address === null || call.address === undefined) return;
	const addr = toSockaddr(call.address);
	if (isSctp(k, sk)) {
		yield* sctpConnect(a, addr, length);
		return;
	}
	const dgram = isUdp(k, sk);
	const where = dgram ? "inet_dgram_connect" : "__inet_stream_connect";
	if (length < SIZEOF_SA_FAMILY) yield shortAddress(where, length, SIZEOF_SA_FAMILY);
	if (addr.sin_family === AF_UNSPEC) {
		yield busy(a);
	}
	if (dgram) {
		yield* dgramConnect(a, addr, length);
		return;
	}
	const S = k.sock;
	if (addr.sin_family !== AF_UNSPEC) {
		switch (k.socket.state[sock]) {
			case SS_CONNECTED:
				yield [E.EISCONN, where, `the socket is connected to ${sockDestination(k, ssk)}`];
				break;
			case SS_CONNECTING: {
				const why = `a connect() to ${sockDestination(k, ssk)} is under way`;
				yield [E.EALREADY, where, why];
				const sent = `the socket does not block, and the SYN to ${sockDestination(k, ssk)} is not answered yet`;
				yield [E.EINPROGRESS, where, sent];
				yield* endReasons(a, null);
				break;
			}
			case SS_DISCONNECTING:
				yield [E.EINVAL, where, "the socket was shut down while it connected"];
				break;
			default:
				if (S.skc_state[sk] !== TCP_CLOSE) {
					const why = `the socket is in state ${tcpStateName(nth(S.skc_state, sk))}`;
					yield [E.EISCONN, where, why];
				}
		}
	}
	if (sk !== ssk && addr.sin_family !== AF_UNSPEC && S.skc_state[ssk] !== TCP_CLOSE) {
		yield [E.EINVAL, "mptcp_connect", `the first subflow is in state ${state(a)}`];
	}
	yield* S.skc_family[ssk] === AF_INET6
		? tcp6Connect(a, addr, length)
		: tcp4Connect(a, addr, length);
	// The connect() before it had begun, and its error was not fetched yet.
	yield* endReasons(a, null);
}
