// SPDX-License-Identifier: GPL-2.0-or-later
/**
 * Says why a system call failed. The reason is found after the call, from its arguments, its error
 * and the state. Each function below makes the checks of a kernel function in the kernel's order
 * and yields each check that the call does not pass. The first of these with the error of the call
 * is the reason. explain.ts explains searches and conflicts, from trace points.
 */
import { CAP_NET_BIND_SERVICE } from "../../include/linux/capability.js";
import { NR_OPEN } from "../../include/linux/fs.js";
import {
	ipv4_is_lbcast,
	ipv4_is_local_multicast,
	ipv4_is_loopback,
	ipv4_is_multicast,
	ipv4_is_zeronet,
} from "../../include/linux/in.js";
import {
	SOCK_CLOEXEC,
	SOCK_DCCP,
	SOCK_DGRAM,
	SOCK_MAX,
	SOCK_NONBLOCK,
	SOCK_PACKET,
	SOCK_RAW,
	SOCK_RDM,
	SOCK_SEQPACKET,
	SOCK_STREAM,
	SOCK_TYPE_MASK,
	SS_CONNECTED,
	SS_CONNECTING,
	SS_DISCONNECTING,
	SS_UNCONNECTED,
} from "../../include/linux/net.js";
import {
	AF_INET,
	AF_INET6,
	AF_UNSPEC,
	SIN6_LEN_RFC2133,
	SIZEOF_SA_FAMILY,
	SIZEOF_SOCKADDR_IN,
	SIZEOF_SOCKADDR_IN6,
	SIZEOF_SOCKADDR_STORAGE,
	type Sockaddr,
} from "../../include/linux/socket.js";
import { inet_addr_valid_or_nonlocal, ipv6_only_sock } from "../../include/net/inet_sock.js";
import { inet_port_requires_bind_service } from "../../include/net/ip.js";
import {
	__ipv6_addr_needs_scope_id,
	type In6Addr,
	IPV6_ADDR_ANY,
	IPV6_ADDR_LINKLOCAL,
	IPV6_ADDR_LOOPBACK,
	IPV6_ADDR_MAPPED,
	IPV6_ADDR_MULTICAST,
	IPV6_ADDR_UNICAST,
	ipv6_addr_any,
	ipv6_addr_type,
	ipv6_addr_v4mapped,
	ipv6_can_nonlocal_bind,
} from "../../include/net/ipv6.js";
import {
	type FibRoute,
	IFF_UP,
	type Net,
	RT_SCOPE_LINK,
	RT_TABLE_LOCAL,
	RTN_BROADCAST,
	RTN_UNICAST,
} from "../../include/net/net_namespace.js";
import { SEND_SHUTDOWN, SOCK_BROADCAST, sk_net } from "../../include/net/sock.js";
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
import {
	INADDR_LOOPBACK,
	IPPROTO_DCCP,
	IPPROTO_MAX,
	IPPROTO_UDPLITE,
} from "../../include/uapi/linux/in.js";
import { dev_get_by_index } from "../../net/core/dev.js";
import { __ip_dev_find } from "../../net/ipv4/devinet.js";
import { fib_lookup, inet_addr_type_table } from "../../net/ipv4/fib_frontend.js";
import { ipv6_chk_addr } from "../../net/ipv6/addrconf.js";
import {
	l3mdev_fib_table_by_index,
	l3mdev_master_ifindex_by_index,
} from "../../net/l3mdev/l3mdev.js";
import { type Address, formatIpv4, formatIpv6, toSockaddr } from "./address.js";
import {
	type Asked,
	anAddress,
	family,
	ownFamily,
	protocolName,
	type Reason,
	state,
	subflowReasons,
} from "./asked.js";
import { describeAddress, describeSock, deviceName, plural, sockDestination } from "./describe.js";
import type { Kernel } from "./kernel.js";
import { nth } from "./nth.js";
import { getsockoptReasons, setsockoptReasons } from "./option_failures.js";
import { isSctp, isUdp, listenersOn } from "./sharing.js";
import type { Syscall } from "./syscall.js";
import type { Task } from "./task.js";

/** Begins the sentence if no check explains an error. */
const UNKNOWN = "the model does not know the check that failed";

/** What an error means, for errors that no check explains. */
const MEANINGS: ReadonlyMap<number, string> = new Map([
	[E.EPERM, "the task lacks a privilege"],
	[E.EAGAIN, "it would have to wait"],
	[E.EACCES, "it is not permitted"],
	[E.EFAULT, "a pointer is bad"],
	[E.EBUSY, "another task is busy with the socket"],
	[E.ENODEV, "there is no such device"],
	[E.EINVAL, "an argument, or the state of the socket, does not allow it"],
	[E.EMFILE, "no descriptor is left below RLIMIT_NOFILE"],
	[E.EPIPE, "the socket cannot send (any more)"],
	[E.EMSGSIZE, "the datagram is too long"],
	[E.ENOPROTOOPT, "the protocol has no such option"],
	[E.EOPNOTSUPP, "the protocol has no such call, or no such option"],
	[E.EADDRNOTAVAIL, "the address or the port is not available"],
	[E.ECONNABORTED, "the connection was aborted"],
	[E.ECONNRESET, "the connection was reset"],
	[E.EISCONN, "the socket is connected"],
	[E.ENOTCONN, "the socket is not connected"],
	[E.ETIMEDOUT, "nobody answered"],
	[E.ECONNREFUSED, "the peer refused"],
	[E.EHOSTUNREACH, "the host cannot be reached"],
	[E.ENETUNREACH, "the network cannot be reached"],
]);

// Addresses in words

const v6 = (addr: In6Addr, at = 0): string => formatIpv6(addr, at);

// Descriptors and pointers

/** System calls whose kernel function is not called __sys_NAME. */
const FUNCTIONS: ReadonlyMap<string, string> = new Map([
	["close", "close"],
	["accept", "__sys_accept4"],
	["send", "__sys_sendto"],
	["write", "ksys_write"],
	["writev", "do_writev"],
	["read", "ksys_read"],
	["recv", "__sys_recvfrom"],
]);

function* fdReasons(task: Task, call: Syscall): Iterable<Reason> {
	const where = FUNCTIONS.get(call.name) ?? `__sys_${call.name}`;
	const sock = task.socketOf(call.fd);
	if (sock === -E.EBADF) yield [E.EBADF, where, `descriptor ${call.fd} is not open`];
	else if (sock < 0) yield [E.ENOTSOCK, where, `descriptor ${call.fd} is not a socket`];
}

function* addrlenReasons({ length = 0 }: Syscall): Iterable<Reason> {
	if (length >= 0 && length <= SIZEOF_SOCKADDR_STORAGE) return;
	const why = `the length of the address is ${length}, not one of 0 to ${SIZEOF_SOCKADDR_STORAGE}`;
	yield [E.EINVAL, "move_addr_to_kernel", why];
}

/** What has a number of bytes. */
const SIZES: ReadonlyMap<number, string> = new Map([
	[SIZEOF_SA_FAMILY, "the family alone has"],
	[SIZEOF_SOCKADDR_IN, "struct sockaddr_in has"],
	[SIN6_LEN_RFC2133, "struct sockaddr_in6 has at least"],
	[SIZEOF_SOCKADDR_IN6, "struct sockaddr_in6 has"],
]);

function shortAddress(where: string, length: number, least: number): Reason {
	const why = `an address of ${plural(length, "byte")} is too short: ${SIZES.get(least) ?? "it needs"} ${least}`;
	return [E.EINVAL, where, why];
}

// socket()

const TYPES: ReadonlyMap<number, string> = new Map([
	[SOCK_STREAM, "SOCK_STREAM"],
	[SOCK_DGRAM, "SOCK_DGRAM"],
	[SOCK_RAW, "SOCK_RAW"],
	[SOCK_RDM, "SOCK_RDM"],
	[SOCK_SEQPACKET, "SOCK_SEQPACKET"],
	[SOCK_DCCP, "SOCK_DCCP"],
	[SOCK_PACKET, "SOCK_PACKET"],
]);

function* socketReasons({ k, call }: Asked): Iterable<Reason> {
	const { family: af = 0, type = 0, protocol = 0 } = call;
	const kind = type & SOCK_TYPE_MASK;
	if ((type & ~SOCK_TYPE_MASK & ~(SOCK_CLOEXEC | SOCK_NONBLOCK)) !== 0) {
		yield [E.EINVAL, "__sys_socket", "the type has flags other than SOCK_CLOEXEC, SOCK_NONBLOCK"];
	}
	if (kind >= SOCK_MAX) yield [E.EINVAL, "__sock_create", `there is no socket type ${kind}`];
	const create = af === AF_INET6 ? "inet6_create" : "inet_create";
	if (protocol < 0 || protocol >= IPPROTO_MAX) {
		yield [E.EINVAL, create, `protocol ${protocol} is not one of 0 to ${IPPROTO_MAX - 1}`];
	}
	// since 7.1, 56520b398e5e
	if (protocol === IPPROTO_UDPLITE && k.changes.has("udplite-removed")) {
		yield [E.EPROTONOSUPPORT, create, "kernels have no UDP-Lite since 7.1"];
	}
	// since 6.16, 2a63dd0edf38
	if (protocol === IPPROTO_DCCP && k.changes.has("dccp-removed")) {
		yield [E.ESOCKTNOSUPPORT, create, "kernels have no DCCP since 6.16"];
		yield [E.EPROTONOSUPPORT, create, "kernels have no DCCP since 6.16"];
	}
	const sockets = `${TYPES.get(kind) ?? `type ${kind}`} sockets of ${family(af)}`;
	const named = protocolName(protocol);
	yield [E.EPROTONOSUPPORT, create, `${sockets} have no protocol ${named}`];
	yield [E.ESOCKTNOSUPPORT, create, `no protocol has ${sockets}`];
	yield [E.EMFILE, "get_unused_fd_flags", "no descriptor is left below RLIMIT_NOFILE"];
}

// bind()

function needsService(a: Asked, where: string, port: number): Reason {
	const start = a.net.ipv4.sysctl_ip_prot_sock;
	const user = `user ${a.task.uid} has no CAP_NET_BIND_SERVICE`;
	return [
		E.EACCES,
		where,
		`port ${port} is below ip_unprivileged_port_start (${start}), and ${user}`,
	];
}

function inUse(a: Asked, where: string): Reason {
	const { k, ssk } = a;
	const why =
		k.sock.skc_state[ssk] !== TCP_CLOSE
			? `the socket is in state ${state(a)}, not CLOSE`
			: `the socket has port ${k.sock.skc_num[ssk]} already, and keeps it`;
	return [E.EINVAL, where, why];
}

function isActive({ k, ssk }: Asked): boolean {
	return k.sock.skc_state[ssk] !== TCP_CLOSE || k.sock.skc_num[ssk] !== 0;
}

/** inet_bind_sk and inet6_bind_sk are part of inet_bind and inet6_bind before 6.6, e6d360ff87f0. */
function bindFunction({ k }: Asked, name: string): string {
	// The same release has this change: since 6.6, 3f326a821b99.
	return k.changes.has("mptcp-accepted-set-up") ? `${name}_sk` : name;
}

/** "this host", or the device or the VRF whose addresses the socket can have. */
function ownPlace({ k, net, ssk }: Asked, device: number, scoped: boolean): string {
	if (device === 0) return "this host";
	if (scoped) return `device ${deviceName(k, ssk, device)}`;
	const vrf = l3mdev_master_ifindex_by_index(net, device);
	return vrf === 0 ? "this host" : `VRF ${deviceName(k, ssk, vrf)}`;
}

function notOurs(a: Asked, where: string, addr: number): Reason {
	const place = ownPlace(a, nth(a.k.sock.skc_bound_dev_if, a.ssk), false);
	const options = isSctp(a.k, a.sk)
		? "neither IP_FREEBIND nor net.ipv4.ip_nonlocal_bind is set"
		: "none of IP_FREEBIND, IP_TRANSPARENT and net.ipv4.ip_nonlocal_bind is set";
	const why = `${formatIpv4(addr)} is not an address of ${place}, and ${options}`;
	return [E.EADDRNOTAVAIL, where, why];
}

function notOurs6(a: Asked, where: string, addr: In6Addr, device: number): Reason {
	const scoped = (ipv6_addr_type(addr, 0) & (IPV6_ADDR_LINKLOCAL | IPV6_ADDR_LOOPBACK)) !== 0;
	const options = "none of IPV6_FREEBIND, IPV6_TRANSPARENT and net.ipv6.ip_nonlocal_bind is set";
	const why = `${v6(addr)} is not an address of ${ownPlace(a, device, scoped)}, and ${options}`;
	return [E.EADDRNOTAVAIL, where, why];
}

/** Whether __inet_bind refuses an IPv4 address. */
function isForeign({ k, ssk, net }: Asked, addr: number): boolean {
	const table = l3mdev_fib_table_by_index(net, nth(k.sock.skc_bound_dev_if, ssk)) || RT_TABLE_LOCAL;
	const type = inet_addr_type_table(net, addr, table);
	return !inet_addr_valid_or_nonlocal(net, nth(k.sock.inet_flags, ssk), addr, type);
}

/** net/ipv4/af_inet.c: inet_bind, __inet_bind. */
function* inetBind(a: Asked, addr: Sockaddr, length: number): Iterable<Reason> {
	const { task, net } = a;
	const where = "__inet_bind";
	if (length < SIZEOF_SOCKADDR_IN) {
		yield shortAddress(bindFunction(a, "inet_bind"), length, SIZEOF_SOCKADDR_IN);
	}
	if (addr.sin_family === AF_UNSPEC && addr.sin_addr !== 0) {
		yield [E.EAFNOSUPPORT, where, "AF_UNSPEC counts as AF_INET only with the address 0.0.0.0"];
	} else if (addr.sin_family !== AF_INET && addr.sin_family !== AF_UNSPEC) {
		const why = `an AF_INET socket does not take ${anAddress(addr.sin_family)}`;
		yield [E.EAFNOSUPPORT, where, why];
	}
	if (isForeign(a, addr.sin_addr)) yield notOurs(a, where, addr.sin_addr);
	const port = addr.sin_port;
	if (
		port !== 0 &&
		inet_port_requires_bind_service(net, port) &&
		!task.capable(CAP_NET_BIND_SERVICE)
	) {
		yield needsService(a, where, port);
	}
	if (isActive(a)) yield inUse(a, where);
}

/** A v4-mapped address on a socket that takes IPv6 alone. */
function* v6OnlyReasons(
	{ k, ssk }: Asked,
	errno: number,
	where: string,
	addr: In6Addr,
): Iterable<Reason> {
	if (!ipv6_only_sock(k, ssk)) return;
	yield [errno, where, `the socket is IPV6_V6ONLY, and ${v6(addr)} is an IPv4 address`];
}

/** net/ipv6/af_inet6.c: inet6_bind, __inet6_bind. */
function* inet6Bind(a: Asked, addr: Sockaddr, length: number): Iterable<Reason> {
	const { k, task, net, ssk } = a;
	const where = "__inet6_bind";
	if (length < SIN6_LEN_RFC2133) {
		yield shortAddress(bindFunction(a, "inet6_bind"), length, SIN6_LEN_RFC2133);
	}
	if (addr.sin_family !== AF_INET6) {
		const why = `an AF_INET6 socket does not take ${anAddress(addr.sin_family)}`;
		yield [E.EAFNOSUPPORT, where, why];
		return;
	}
	const type = ipv6_addr_type(addr.sin6_addr, 0);
	const multicast = (type & IPV6_ADDR_MULTICAST) !== 0;
	if (multicast && k.sock.sk_type[ssk] === SOCK_STREAM) {
		yield [
			E.EINVAL,
			where,
			`a stream does not bind to the multicast address ${v6(addr.sin6_addr)}`,
		];
	}
	const port = addr.sin_port;
	if (
		port !== 0 &&
		inet_port_requires_bind_service(net, port) &&
		!task.capable(CAP_NET_BIND_SERVICE)
	) {
		yield needsService(a, where, port);
	}
	if (isActive(a)) yield inUse(a, where);
	const device = nth(k.sock.skc_bound_dev_if, ssk);
	const scope = length >= SIZEOF_SOCKADDR_IN6 ? addr.sin6_scope_id : 0;
	const lost = (dev: number): Reason => [E.ENODEV, where, `there is no device ${dev}`];
	if (type === IPV6_ADDR_MAPPED) {
		yield* v6OnlyReasons(a, E.EINVAL, where, addr.sin6_addr);
		if (device !== 0 && dev_get_by_index(net, device) === null) yield lost(device);
		const v4 = nth(addr.sin6_addr, 3);
		if (isForeign(a, v4)) yield notOurs(a, where, v4);
	} else if (type !== IPV6_ADDR_ANY) {
		let dev = device;
		if (__ipv6_addr_needs_scope_id(type)) {
			dev = scope || device;
			if (dev === 0) {
				const why = `${v6(addr.sin6_addr)} needs a device: set the scope or SO_BINDTODEVICE`;
				yield [E.EINVAL, where, why];
			}
		}
		if (dev !== 0 && dev_get_by_index(net, dev) === null) yield lost(dev);
		const nonlocal = ipv6_can_nonlocal_bind(net, nth(k.sock.inet_flags, ssk));
		if (!multicast && !nonlocal && !ipv6_chk_addr(net, addr.sin6_addr, 0, dev, false)) {
			yield notOurs6(a, where, addr.sin6_addr, dev);
		}
	}
}

/** net/sctp/socket.c: sctp_sockaddr_af. */
function* sctpAddress(a: Asked, addr: Sockaddr, length: number): Iterable<Reason> {
	const where = "sctp_sockaddr_af";
	const { sin_family: af } = addr;
	const six = a.k.sock.skc_family[a.sk] === AF_INET6;
	if (length < SIZEOF_SOCKADDR_IN) yield shortAddress(where, length, SIZEOF_SOCKADDR_IN);
	if (af !== AF_INET && (af !== AF_INET6 || !six)) {
		const why = `an ${ownFamily(a)} socket does not take ${anAddress(af)}`;
		yield [E.EINVAL, where, why];
		return;
	}
	const mapped = af === AF_INET6 && ipv6_addr_v4mapped(addr.sin6_addr, 0);
	if (af === AF_INET && six) {
		const only = "the socket is IPV6_V6ONLY, and the address is one of IPv4";
		if (ipv6_only_sock(a.k, a.sk)) yield [E.EINVAL, where, only];
	}
	if (mapped) yield* v6OnlyReasons(a, E.EINVAL, where, addr.sin6_addr);
	const least = af === AF_INET6 ? SIZEOF_SOCKADDR_IN6 : SIZEOF_SOCKADDR_IN;
	if (length < least) yield shortAddress(where, length, least);
}

/** net/sctp/ipv6.c: sctp_inet6_bind_verify, sctp_v6_available. */
function* sctp6Available(a: Asked, { sin6_addr: addr, sin6_scope_id }: Sockaddr): Iterable<Reason> {
	const { k, net, sk } = a;
	const type = ipv6_addr_type(addr, 0);
	if ((type & IPV6_ADDR_LINKLOCAL) !== 0) {
		const where = "sctp_inet6_bind_verify";
		if (sin6_scope_id === 0) {
			yield [E.EADDRNOTAVAIL, where, `${v6(addr)} needs a device: set the scope`];
		} else if (dev_get_by_index(net, sin6_scope_id) === null) {
			yield [E.EADDRNOTAVAIL, where, `there is no device ${sin6_scope_id}`];
		}
		const nonlocal = ipv6_can_nonlocal_bind(net, nth(k.sock.inet_flags, sk));
		if (!nonlocal && !ipv6_chk_addr(net, addr, 0, sin6_scope_id, false)) {
			yield notOurs6(a, where, addr, sin6_scope_id);
		}
	}
	if ((type & IPV6_ADDR_UNICAST) === 0) {
		yield [E.EADDRNOTAVAIL, "sctp_v6_available", `${v6(addr)} is not a unicast address`];
	}
	yield notOurs6(a, "sctp_v6_available", addr, 0);
}

/** net/sctp/socket.c: sctp_bind, sctp_do_bind. */
function* sctpBind(a: Asked, addr: Sockaddr, length: number): Iterable<Reason> {
	const { k, task, net, sk } = a;
	const bound = k.sock.skc_num[sk];
	if (bound !== 0) yield [E.EINVAL, "sctp_bind", `the socket has port ${bound} already`];
	yield* sctpAddress(a, addr, length);
	const mapped = addr.sin_family === AF_INET6 && ipv6_addr_v4mapped(addr.sin6_addr, 0);
	if (addr.sin_family === AF_INET6 && !mapped) yield* sctp6Available(a, addr);
	else yield notOurs(a, "sctp_v4_available", mapped ? nth(addr.sin6_addr, 3) : addr.sin_addr);
	const port = addr.sin_port;
	if (
		port !== 0 &&
		inet_port_requires_bind_service(net, port) &&
		!task.capable(CAP_NET_BIND_SERVICE)
	) {
		yield needsService(a, "sctp_do_bind", port);
	}
}

/** net/sctp/socket.c: sctp_verify_addr. `text` is the address in words. */
function* sctpPeer(a: Asked, addr: Sockaddr, length: number, text: string): Iterable<Reason> {
	const { net } = a;
	yield* sctpAddress(a, addr, length);
	const type = addr.sin_family === AF_INET6 ? ipv6_addr_type(addr.sin6_addr, 0) : 0;
	if (addr.sin_family === AF_INET6 && type !== IPV6_ADDR_MAPPED) {
		if ((type & IPV6_ADDR_UNICAST) === 0) {
			yield [E.EINVAL, "sctp_v6_addr_valid", `${text} is not a unicast address`];
		}
		if ((type & IPV6_ADDR_LINKLOCAL) !== 0) {
			const scope = addr.sin6_scope_id;
			const why = `${text} is valid on one link only, and its scope names no device`;
			if (scope === 0 || dev_get_by_index(net, scope) === null) {
				yield [E.EINVAL, "sctp_inet6_send_verify", why];
			}
		}
		return;
	}
	yield [E.EINVAL, "sctp_v4_addr_valid", `${text} is not a unicast address that a peer can have`];
}

function* bindReasons(a: Asked): Iterable<Reason> {
	const { k, call, sk, ssk } = a;
	yield* addrlenReasons(call);
	if (call.address === null || call.address === undefined) return;
	const addr = toSockaddr(call.address);
	const { length = 0 } = call;
	if (isSctp(k, sk)) yield* sctpBind(a, addr, length);
	else {
		yield* subflowReasons(a, "mptcp_bind");
		yield* k.sock.skc_family[ssk] === AF_INET6
			? inet6Bind(a, addr, length)
			: inetBind(a, addr, length);
	}
}

// Routes

/**
 * The route of a flow, the error of its lookup, or null if the flow needs no route. `oif` is the
 * device of the socket, on whose link a destination without a route is.
 */
function routeTo(net: Net, daddr: number, saddr: number, oif: number): FibRoute | number | null {
	if (daddr === 0) return null;
	const several = ipv4_is_multicast(daddr) || ipv4_is_lbcast(daddr);
	if (several && oif === 0 && saddr !== 0 && __ip_dev_find(net, saddr) !== null) return null;
	if (oif !== 0 && (ipv4_is_local_multicast(daddr) || ipv4_is_lbcast(daddr))) return null;
	const flow = { oif, l3mdev: 0 };
	const route = fib_lookup(net, daddr, flow, 0);
	if (typeof route !== "number" || flow.oif === 0) return route;
	return !ipv4_is_multicast(daddr) && flow.l3mdev !== 0 ? route : null;
}

/** net/ipv4/route.c: ip_route_output_key_hash_rcu, and the functions that it calls. */
function* routeReasons(net: Net, daddr: number, saddr: number, oif: number): Iterable<Reason> {
	const where = "ip_route_output_key_hash_rcu";
	const [to, from] = [formatIpv4(daddr), formatIpv4(saddr)];
	if (saddr !== 0) {
		if (ipv4_is_multicast(saddr) || ipv4_is_lbcast(saddr) || ipv4_is_zeronet(saddr)) {
			yield [E.EINVAL, where, `the source ${from} is not a unicast address`];
		}
		if (__ip_dev_find(net, saddr) === null) {
			yield [E.ENETUNREACH, where, `the source ${from} is not an address of a device of this host`];
		}
	}
	const dev = oif === 0 ? null : dev_get_by_index(net, oif);
	if (oif !== 0 && dev === null) yield [E.ENODEV, where, `there is no device ${oif}`];
	if (dev !== null && (dev.flags & IFF_UP) === 0) {
		yield [E.ENETUNREACH, where, `device ${dev.name} is down`];
	}
	const route = routeTo(net, daddr, saddr, oif);
	if (typeof route === "number") {
		if (route === -E.EINVAL) yield [E.EINVAL, "fib_lookup", `the route to ${to} is a blackhole`];
		else if (route === -E.EACCES) yield [E.EACCES, "fib_lookup", `the route to ${to} prohibits it`];
		else if (route === -E.EHOSTUNREACH) {
			yield [E.EHOSTUNREACH, "fib_lookup", `the route to ${to} is unreachable`];
		} else yield [E.ENETUNREACH, "fib_lookup", `no route leads to ${to}`];
	}
	if (ipv4_is_zeronet(daddr) && daddr !== 0) {
		yield [E.EINVAL, "__mkroute_output", `${to} is not a destination: 0.0.0.0/8 is this network`];
	}
	const out = route === null || typeof route === "number" ? dev : dev_get_by_index(net, route.oif);
	const by = out === null ? "" : `, and the route to ${to} leaves by ${out.name}`;
	if (ipv4_is_loopback(saddr)) {
		yield [E.EINVAL, "__mkroute_output", `the source ${from} is a loopback address${by}`];
	}
	if (route !== null && typeof route !== "number" && route.scope < RT_SCOPE_LINK) {
		const why = `the route to ${to} leads through a gateway, which SO_DONTROUTE or MSG_DONTROUTE forbids`;
		if (route.prefsrc === 0 || __ip_dev_find(net, route.prefsrc) !== null)
			yield [E.ENETUNREACH, "fib_lookup", why];
	}
	const source = `the source that the route to ${to} brings is not an address of this host`;
	yield [E.ENETUNREACH, where, source];
	yield [E.EINVAL, "__mkroute_output", `the source does not fit the route to ${to}`];
	yield [E.ENODEV, where, `the route to ${to} has no device`];
}

/** net/ipv6/ip6_output.c: ip6_dst_lookup_tail. */
function* route6Reasons(a: Asked, daddr: In6Addr): Iterable<Reason> {
	const to = v6(daddr);
	const S = a.k.sock;
	const at = a.ssk * 4;
	const where = "ip6_dst_lookup_tail";
	const mapped = ipv6_addr_v4mapped(S.np_saddr, at) || ipv6_addr_v4mapped(S.skc_v6_rcv_saddr, at);
	yield [E.EADDRNOTAVAIL, "ipv6_dev_get_saddr", `no address of this host is a source for ${to}`];
	yield [E.ENETUNREACH, where, `no route leads to ${to}`];
	yield [E.EINVAL, where, `the route to ${to} is a blackhole`];
	yield [E.EACCES, where, `the route to ${to} prohibits it`];
	yield [E.EHOSTUNREACH, where, `the route to ${to} is unreachable`];
	if (mapped) {
		const why = `the socket is on an IPv4 address, and ${to} is one of IPv6`;
		yield [E.EAFNOSUPPORT, where, why];
	}
}

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

/** Whether a destination is an address of this host. */
export function isHostAddress(net: Net, { family: af, address, port }: Address): boolean {
	const addr = toSockaddr({ family: af, address, port });
	if (af === "AF_INET6" && !ipv6_addr_v4mapped(addr.sin6_addr, 0)) {
		return ipv6_addr_any(addr.sin6_addr, 0) || ipv6_chk_addr(net, addr.sin6_addr, 0, 0, false);
	}
	const v4 = af === "AF_INET6" ? nth(addr.sin6_addr, 3) : addr.sin_addr;
	if (v4 === 0) return true;
	const type = inet_addr_type_table(net, v4, RT_TABLE_LOCAL);
	return type !== RTN_UNICAST || __ip_dev_find(net, v4) !== null;
}

/** The error that the end of a connection, or an ICMP message, left on the socket. */
function* errorReasons(a: Asked, address: Address | null): Iterable<Reason> {
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

function isDccp({ k, ssk }: Asked): boolean {
	return k.sock.sk_protocol[ssk] === IPPROTO_DCCP;
}

/** The kernel function of a call: `tcp`, or of another protocol the one with this name. */
function protocolFunction(a: Asked, tcp: string, name: string): string {
	if (a.sk !== a.ssk) return `mptcp_${name}`;
	if (isDccp(a)) return `dccp_${name}`;
	return isSctp(a.k, a.sk) ? `sctp_${name}` : tcp;
}

/** A disconnect of a socket in whose connect() another task sleeps. */
const busy = (a: Asked): Reason => [
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

/** The checks of an IPv6 destination before its route is looked up. */
function* scopeReasons(
	{ k, ssk }: Asked,
	where: string,
	addr: Sockaddr,
	length: number,
	stream: boolean,
): Iterable<Reason> {
	const type = ipv6_addr_type(addr.sin6_addr, 0);
	const to = v6(addr.sin6_addr);
	if (stream && (type & IPV6_ADDR_MULTICAST) !== 0) {
		yield [E.ENETUNREACH, where, `${to} is a multicast address`];
	}
	const linked = stream ? (type & IPV6_ADDR_LINKLOCAL) !== 0 : __ipv6_addr_needs_scope_id(type);
	if (!linked) return;
	const scope = length >= SIZEOF_SOCKADDR_IN6 ? addr.sin6_scope_id : 0;
	const device = nth(k.sock.skc_bound_dev_if, ssk);
	if (scope !== 0 && device !== 0 && scope !== device) {
		const bound = deviceName(k, ssk, device);
		yield [
			E.EINVAL,
			where,
			`the scope ${scope} of ${to} is not the device of the socket (${bound})`,
		];
	}
	if (scope === 0 && device === 0) {
		yield [E.EINVAL, where, `${to} is valid on one link only, and no device is named`];
	}
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

function* datagram4Route({ k, net, ssk }: Asked, where: string, daddr: number): Iterable<Reason> {
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

function* connectReasons(a: Asked): Iterable<Reason> {
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

// The other calls

function* listenReasons(a: Asked): Iterable<Reason> {
	const { k, sk, ssk, sock, call } = a;
	if (isUdp(k, sk)) yield [E.EOPNOTSUPP, "sock_no_listen", "datagram sockets do not listen"];
	const sctp = isSctp(k, sk);
	const stream = sk !== ssk ? "mptcp_listen" : "inet_listen";
	const where = sctp ? "sctp_inet_listen" : isDccp(a) ? "inet_dccp_listen" : stream;
	if (sctp && (call.number ?? 0) < 0) yield [E.EINVAL, where, "the backlog is negative"];
	if (k.socket.state[sock] !== SS_UNCONNECTED) {
		const to = sockDestination(k, ssk);
		const own = k.socket.state[sock];
		const why =
			own === SS_CONNECTING
				? `a connect() to ${to} is under way`
				: `the socket is connected to ${to}`;
		const ends = `the socket was shut down while it connected to ${to}`;
		yield [E.EINVAL, where, own === SS_DISCONNECTING ? ends : why];
	}
	const type = k.socket.type[sock];
	if (type !== SOCK_STREAM && type !== SOCK_DCCP && !sctp) {
		yield [E.EINVAL, where, `sockets of type ${type} do not listen`];
	}
	if (sctp && call.number === 0)
		yield [E.EINVAL, where, "the socket does not listen, so there is nothing to end"];
	yield [E.EINVAL, where, `the socket is in state ${state(a)}, neither CLOSE nor LISTEN`];
	yield [E.EAGAIN, "sctp_listen_start", "the socket has no port, and none is left for it"];
	yield [E.EBUSY, "reuseport_add_sock", "the socket belongs to another SO_REUSEPORT group"];
	yield [E.ENOMEM, "reuseport_grow", "the group of SO_REUSEPORT sockets takes no more"];
}

function* acceptReasons(a: Asked): Iterable<Reason> {
	const { k, sk, call } = a;
	if (((call.number ?? 0) & ~(SOCK_CLOEXEC | SOCK_NONBLOCK)) !== 0) {
		yield [E.EINVAL, "__sys_accept4", "there are flags other than SOCK_CLOEXEC, SOCK_NONBLOCK"];
	}
	yield [E.EMFILE, "get_unused_fd_flags", "no descriptor is left below RLIMIT_NOFILE"];
	yield* fdReasons(a.task, call);
	if (sk === 0) return;
	if (isUdp(k, sk))
		yield [E.EOPNOTSUPP, "sock_no_accept", "datagram sockets do not accept connections"];
	const where = isSctp(k, sk) ? "sctp_accept" : "inet_csk_accept";
	if (isSctp(k, sk)) {
		yield [E.EOPNOTSUPP, where, "a one-to-many socket does not accept connections"];
	}
	// since 6.6, 3f326a821b99
	const neverListens = !k.changes.has("mptcp-accepted-set-up");
	if (neverListens && k.mptcp.socks.get(sk)?.initial === false) {
		yield [E.EINVAL, "mptcp_stream_accept", "the socket was accepted, and does not listen"];
	}
	if (k.sock.skc_state[a.ssk] !== TCP_LISTEN) {
		yield [E.EINVAL, where, `the socket does not listen: its state is ${state(a)}`];
	}
	yield* copyReasons(call);
	yield [E.EINVAL, where, "the socket does not listen"];
	yield [E.EAGAIN, where, "no connection waits, and the socket does not block"];
	yield [E.ECONNABORTED, "do_accept", "the connection was reset before its peer could be named"];
}

/** The kernel cannot copy an address to the program. */
function* copyReasons({ length = 0 }: Syscall): Iterable<Reason> {
	const where = "move_addr_to_user";
	if (length < 0) yield [E.EINVAL, where, `the length of the memory for the address is ${length}`];
	yield [E.EFAULT, where, "the memory for the address, or for its length, cannot be written"];
}

function* getpeernameReasons(a: Asked): Iterable<Reason> {
	const where = a.k.sock.skc_family[a.ssk] === AF_INET6 ? "inet6_getname" : "inet_getname";
	if (a.k.sock.skc_dport[a.ssk] === 0) {
		yield [E.ENOTCONN, where, "the socket has no peer, or its port is 0"];
	}
	yield [E.ENOTCONN, where, `the socket is in state ${state(a)}`];
	yield* copyReasons(a.call);
}

function* shutdownReasons(a: Asked): Iterable<Reason> {
	const { call } = a;
	const how = call.number ?? 0;
	if (how < 0 || how > 2) {
		yield [E.EINVAL, "inet_shutdown", `${how} is none of SHUT_RD, SHUT_WR, SHUT_RDWR`];
	}
	yield busy(a);
	if (isSctp(a.k, a.sk)) {
		yield [E.EOPNOTSUPP, "sctp_disconnect", "an SCTP listener cannot be shut down"];
	}
	yield [E.ENOTCONN, "inet_shutdown", "the socket is not connected"];
}

/** net/core/stream.c. Sends of TCP, MPTCP and DCCP call it unless the socket is connected. */
const WAIT_CONNECT = "sk_stream_wait_connect";

function* sendReasons(a: Asked): Iterable<Reason> {
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

function* recvReasons(a: Asked): Iterable<Reason> {
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

function* dupReasons({ task, call }: Asked): Iterable<Reason> {
	const { newfd = -1 } = call;
	if (call.name === "dup3") {
		const why =
			newfd === call.fd ? "both descriptors are the same" : "there are flags other than O_CLOEXEC";
		yield [E.EINVAL, "ksys_dup3", why];
	}
	const where = call.name === "dup" ? "dup" : "ksys_dup3";
	if (call.newfd !== undefined && (newfd < 0 || newfd >= task.nofile)) {
		const why = `descriptor ${newfd} is not one of 0 to ${task.nofile - 1} (RLIMIT_NOFILE)`;
		yield [E.EBADF, where, why];
	}
	yield [E.EBADF, where, `descriptor ${call.fd} is not open`];
	yield [E.EMFILE, "get_unused_fd_flags", "no descriptor is left below RLIMIT_NOFILE"];
}

function* dupfdReasons({ task, call }: Asked): Iterable<Reason> {
	yield [E.EBADF, "do_fcntl", `descriptor ${call.fd} is not open`];
	const why = `descriptor ${call.newfd} is not one of 0 to ${task.nofile - 1} (RLIMIT_NOFILE)`;
	yield [E.EINVAL, "f_dupfd", why];
	yield [E.EMFILE, "alloc_fd", "no descriptor is left below RLIMIT_NOFILE"];
}

function* namespaceReasons({ call }: Asked): Iterable<Reason> {
	const where = "sock_ioctl";
	yield [E.EBADF, where, `descriptor ${call.fd} is not open`];
	yield [E.ENOTTY, where, `descriptor ${call.fd} is not a socket`];
	yield [E.EPERM, where, "SIOCGSKNS needs CAP_NET_ADMIN"];
	yield [E.EMFILE, "get_unused_fd_flags", "no descriptor is left below RLIMIT_NOFILE"];
}

function* limitReasons({ call }: Asked): Iterable<Reason> {
	const where = "do_prlimit";
	yield [E.EINVAL, where, "the soft limit is above the hard limit"];
	if ((call.number ?? 0) > NR_OPEN) {
		yield [E.EPERM, where, `the hard limit is above fs.nr_open, which is ${NR_OPEN}`];
	}
	yield [E.EPERM, where, "the hard limit would rise, and the user has no CAP_SYS_RESOURCE"];
}

function* userReasons({ task, call }: Asked): Iterable<Reason> {
	const why = `user ${task.uid} has no CAP_SETUID, and can only return to its real or saved user`;
	yield [E.EPERM, `__sys_${call.name}`, why];
	yield [E.EINVAL, `__sys_${call.name}`, "-1 is not a user"];
}

const REASONS: Readonly<Record<string, (a: Asked) => Iterable<Reason>>> = {
	socket: socketReasons,
	bind: bindReasons,
	listen: listenReasons,
	connect: connectReasons,
	accept4: acceptReasons,
	getpeername: getpeernameReasons,
	getsockname: (a) => copyReasons(a.call),
	shutdown: shutdownReasons,
	sendto: sendReasons,
	recvfrom: recvReasons,
	setsockopt: (a) =>
		setsockoptReasons(a, needsService(a, "sctp_do_bind", nth(a.k.sock.skc_num, a.sk))),
	getsockopt: getsockoptReasons,
	dup: dupReasons,
	dup2: dupReasons,
	dup3: dupReasons,
	fcntl: dupfdReasons,
	ioctl: namespaceReasons,
	prlimit64: limitReasons,
	setuid: userReasons,
	setresuid: userReasons,
};

/** Calls with the address of a destination. */
const TAKE_ADDRESS = new Set(["bind", "connect", "sendto", "sendmsg", "sendmmsg"]);

/** Calls that do not need a socket. */
const ANY_FILE = new Set([
	"dup",
	"dup2",
	"dup3",
	"fcntl",
	"prlimit64",
	"setuid",
	"setresuid",
	"socket",
]);

function* everyReason(a: Asked): Iterable<Reason> {
	const { call } = a;
	// accept4() checks its flags before it looks for a socket.
	if (!ANY_FILE.has(call.name) && call.name !== "accept4") yield* fdReasons(a.task, call);
	if (TAKE_ADDRESS.has(call.name)) {
		yield [E.EFAULT, "move_addr_to_kernel", "the address is at NULL, or cannot be read"];
	}
	if (call.name === "write" || call.name === "writev") {
		const why = "the sysctl does not take this value";
		yield [E.EINVAL, "proc_sys_call_handler", why];
	}
	if (a.sk !== 0 || ANY_FILE.has(call.name) || call.name === "accept4") {
		yield* REASONS[call.name]?.(a) ?? [];
	}
}

/**
 * Says why a call failed with `errno`, which is positive. If no check above has this error, says
 * what the error means.
 */
export function failureReason(k: Kernel, task: Task, call: Syscall, errno: number): Reason {
	const sock = ANY_FILE.has(call.name) && call.newfd === undefined ? -1 : task.socketOf(call.fd);
	const sk = sock > 0 ? nth(k.socket.sk, sock) : 0;
	const ssk = k.mptcp.socks.get(sk)?.first ?? sk;
	const net = sk === 0 ? task.net.net : sk_net(k, sk);
	const asked: Asked = { k, task, call, sock: Math.max(sock, 0), sk, ssk, net, errno };
	for (const reason of everyReason(asked)) if (reason[0] === errno) return reason;
	const meaning = MEANINGS.get(errno) ?? "the kernel refuses";
	return [errno, `__sys_${call.name}`, `${UNKNOWN}: ${meaning}`];
}
