// SPDX-License-Identifier: GPL-2.0-or-later
/** Why bind() failed. See failures.ts. */
import { CAP_NET_BIND_SERVICE } from "../../include/linux/capability.js";
import { SOCK_STREAM } from "../../include/linux/net.js";
import {
	AF_INET,
	AF_INET6,
	AF_UNSPEC,
	SIN6_LEN_RFC2133,
	SIZEOF_SOCKADDR_IN,
	SIZEOF_SOCKADDR_IN6,
	type Sockaddr,
} from "../../include/linux/socket.js";
import { inet_addr_valid_or_nonlocal } from "../../include/net/inet_sock.js";
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
	ipv6_addr_type,
	ipv6_addr_v4mapped,
	ipv6_can_nonlocal_bind,
} from "../../include/net/ipv6.js";
import { RT_TABLE_LOCAL } from "../../include/net/net_namespace.js";
import { TCP_CLOSE } from "../../include/net/tcp_states.js";
import * as E from "../../include/uapi/asm-generic/errno.js";
import { dev_get_by_index } from "../../net/core/dev.js";
import { inet_addr_type_table } from "../../net/ipv4/fib_frontend.js";
import { ipv6_chk_addr } from "../../net/ipv6/addrconf.js";
import {
	l3mdev_fib_table_by_index,
	l3mdev_master_ifindex_by_index,
} from "../../net/l3mdev/l3mdev.js";
import { formatIpv4, toSockaddr } from "./address.js";
import {
	addrlenReasons,
	sctpAddress,
	shortAddress,
	v6,
	v6OnlyReasons,
} from "./address_failures.js";
import { type Asked, anAddress, type Reason, state, subflowReasons } from "./asked.js";
import { deviceName } from "./describe.js";
import { nth } from "./nth.js";
import { isSctp } from "./sharing.js";

// bind()

export function needsService(a: Asked, where: string, port: number): Reason {
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

/** The checks of __inet_bind and __inet6_bind that follow those of the address's family. */
function* portReasons(a: Asked, where: string, port: number): Iterable<Reason> {
	const needed = port !== 0 && inet_port_requires_bind_service(a.net, port);
	if (needed && !a.task.capable(CAP_NET_BIND_SERVICE)) yield needsService(a, where, port);
	if (isActive(a)) yield inUse(a, where);
}

/** net/ipv4/af_inet.c: inet_bind, __inet_bind. */
function* inetBind(a: Asked, addr: Sockaddr, length: number): Iterable<Reason> {
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
	yield* portReasons(a, where, addr.sin_port);
}

/** net/ipv6/af_inet6.c: inet6_bind, __inet6_bind. */
function* inet6Bind(a: Asked, addr: Sockaddr, length: number): Iterable<Reason> {
	const { k, net, ssk } = a;
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
	yield* portReasons(a, where, addr.sin_port);
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

export function* bindReasons(a: Asked): Iterable<Reason> {
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
