// SPDX-License-Identifier: GPL-2.0-or-later
/**
 * net/sctp/socket.c: ports and addresses of SCTP sockets, and the system calls on them.
 *
 * Left out: peeled-off sockets, ASCONF (off by default), and options that do not affect ports.
 * Buffers have no limits.
 */

import { CAP_NET_BIND_SERVICE, ns_capable } from "../../include/linux/capability.js";
import type { Port, Sk, Sock } from "../../include/linux/handle.js";
import { hlist_add_head, hlist_del_init } from "../../include/linux/list.js";
import { SOCK_SEQPACKET, SS_CONNECTED, SS_UNCONNECTED } from "../../include/linux/net.js";
import {
	AF_INET,
	AF_INET6,
	AF_UNSPEC,
	MSG_DONTWAIT,
	MSG_MORE,
	MSG_PEEK,
	SIN6_LEN_RFC2133,
	SIZEOF_SA_FAMILY,
	SIZEOF_SOCKADDR_IN,
	SOL_SCTP,
	type Sockaddr,
	sockaddr_in,
} from "../../include/linux/socket.js";
import {
	inet_is_local_reserved_port,
	inet_port_requires_bind_service,
} from "../../include/net/ip.js";
import { ipv6_addr_v4mapped } from "../../include/net/ipv6.js";
import type { Net } from "../../include/net/net_namespace.js";
import {
	SCTP_I_WANT_MAPPED_V4_ADDR,
	SCTP_NODELAY,
	SCTP_REUSE_PORT,
	SCTP_SOCKET_TCP,
	SCTP_SOCKET_UDP,
	SCTP_SOCKOPT_BINDX_ADD,
	SCTP_SOCKOPT_BINDX_REM,
	SCTP_SS_CLOSED,
	SCTP_SS_CLOSING,
	SCTP_SS_ESTABLISHED,
	SCTP_SS_LISTENING,
	SCTP_STATE_CLOSED,
	SCTP_STATE_ESTABLISHED,
	type SctpAddr,
	type SctpAssociation,
	type SctpEndpoint,
	sctp_phashfn,
	sctp_sk,
	sctp_sstate,
	sctp_style,
	sctpAddrDup,
} from "../../include/net/sctp.js";
import {
	PROT_SCTP,
	PROT_SCTPV6,
	type Proto,
	RCV_SHUTDOWN,
	SEND_SHUTDOWN,
	SHUTDOWN_MASK,
	SOCK_LINGER,
	sk_net,
	sock_error,
	sock_graft,
	TIMEO_NOWAIT,
} from "../../include/net/sock.js";
import type { Stack } from "../../include/net/stack.js";
import {
	CANDIDATE_CONFLICT,
	CANDIDATE_OK,
	CANDIDATE_RESERVED,
	SEARCH_BIND,
} from "../../include/trace/events/port_search.js";
import {
	EACCES,
	EADDRINUSE,
	EADDRNOTAVAIL,
	EAGAIN,
	EALREADY,
	EBUSY,
	ECONNREFUSED,
	EFAULT,
	EINPROGRESS,
	EINVAL,
	EISCONN,
	ENOTCONN,
	EOPNOTSUPP,
	EPIPE,
	ERESTARTSYS,
	ETIMEDOUT,
} from "../../include/uapi/asm-generic/errno.js";
import { IPPROTO_SCTP } from "../../include/uapi/linux/in.js";
import {
	intAt,
	intBytes,
	NotModelled,
	sk_alloc,
	sk_common_release,
	sock_i_uid,
} from "../core/sock.js";
import { inetGetsockopt, inetSetsockopt } from "../ipv4/af_inet.js";
import { inet_sk_get_local_port_range } from "../ipv4/inet_connection_sock.js";
import { inet6Getsockopt, inet6Setsockopt } from "../ipv6/af_inet6.js";
import {
	sctp_assoc_add_peer,
	sctp_assoc_migrate,
	sctp_assoc_set_bind_addr_from_ep,
	sctp_association_free,
	sctp_association_new,
} from "./associola.js";
import {
	sctp_add_bind_addr,
	sctp_bind_addr_conflict,
	sctp_bind_addr_dup,
	sctp_bind_addr_match,
	sctp_del_bind_addr,
} from "./bind_addr.js";
import {
	sctp_endpoint_add_asoc,
	sctp_endpoint_destroy,
	sctp_endpoint_free,
	sctp_endpoint_is_peeled_off,
	sctp_endpoint_lookup_assoc,
	sctp_endpoint_new,
} from "./endpointola.js";
import {
	sctp_hash_endpoint,
	sctp_unhash_endpoint,
	sctpLockSock,
	sctpReleaseSock,
} from "./input.js";
import {
	sctp_primitive_ABORT,
	sctp_primitive_ASSOCIATE,
	sctp_primitive_SEND,
	sctp_primitive_SHUTDOWN,
} from "./primitive.js";
import { type SctpAf, sctp_get_af_specific, sctp_pf } from "./protocol.js";

/** Checks the address of a peer. Returns 0 or -EINVAL. Converts a v4-mapped address to AF_INET. */
function sctp_verify_addr(k: Stack, sk: Sk, addr: SctpAddr, len: number): number {
	const af = sctp_sockaddr_af(k, sk, addr, len);
	if (af === null) return -EINVAL;
	if (!af.addr_valid(k, addr, sk)) return -EINVAL;
	return sctp_pf(k, sk).send_verify(k, sk, addr) ? 0 : -EINVAL;
}

/** bind() of a sock without a port. Returns 0 or a negative errno. */
function sctp_bind(k: Stack, sk: Sk, addr: Sockaddr, addr_len: number): number {
	if (sctp_sk(k, sk).ep.bind_addr.port !== 0) return -EINVAL;
	return sctp_do_bind(k, sk, sctpAddrDup(addr), addr_len);
}

/**
 * The functions for the family of an address. null if the sock cannot use the family or `len` is
 * too short.
 */
function sctp_sockaddr_af(k: Stack, sk: Sk, addr: SctpAddr, len: number): SctpAf | null {
	const pf = sctp_pf(k, sk);
	if (len < SIZEOF_SOCKADDR_IN) return null; // struct sockaddr
	if (!pf.af_supported(k, addr.sin_family, sk)) return null;
	if (addr.sin_family === AF_INET6) {
		if (len < SIN6_LEN_RFC2133) return null;
		if (ipv6_addr_v4mapped(addr.sin6_addr, 0) && !pf.af_supported(k, AF_INET, sk)) return null;
	}
	const af = sctp_get_af_specific(addr.sin_family);
	return af === null || len < af.sockaddr_len ? null : af;
}

/**
 * Binds a sock to an address, or adds an address to a bound sock. Changes `addr`: converts a
 * v4-mapped address to AF_INET and stores the port. Returns 0 or a negative errno.
 */
function sctp_do_bind(k: Stack, sk: Sk, addr: SctpAddr, len: number): number {
	const net = sk_net(k, sk);
	const sp = sctp_sk(k, sk);
	const pf = sctp_pf(k, sk);
	const bp = sp.ep.bind_addr;
	if (sctp_sockaddr_af(k, sk, addr, len) === null) return -EINVAL;
	let snum = addr.sin_port;
	if (!pf.bind_verify(k, sk, addr)) return -EADDRNOTAVAIL;

	// A bound sock adds an address. The port has to be the same; 0 stands for it.
	if (bp.port !== 0) {
		if (snum === 0) snum = bp.port;
		else if (snum !== bp.port) return -EINVAL;
	}
	if (
		snum !== 0 &&
		inet_port_requires_bind_service(net, snum) &&
		!ns_capable(k, CAP_NET_BIND_SERVICE)
	) {
		return -EACCES;
	}
	if (sctp_bind_addr_match(k, bp, addr, sk)) return -EINVAL;

	addr.sin_port = snum;
	if (sctp_get_port_local(k, sk, addr) !== 0) return -EADDRINUSE;
	if (bp.port === 0) bp.port = k.sock.skc_num[sk];
	sctp_add_bind_addr(bp, addr);
	k.sock.inet_sport[sk] = k.sock.skc_num[sk]; // for getsockname()
	pf.to_sk_saddr(k, addr, sk);
	return 0;
}

/** The addresses in a program's buffer. The calls below change them in place. */
class PackedAddrs {
	private readonly view: DataView;

	constructor(private readonly bytes: Uint8Array) {
		this.view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
	}

	get size(): number {
		return this.bytes.length;
	}

	/** The functions for the address at an offset, null if SCTP does not support its family. */
	af(at: number): SctpAf | null {
		// A walk with wrong address lengths may end behind the last address.
		return at + 2 > this.size ? null : sctp_get_af_specific(this.view.getUint16(at, true));
	}

	read(at: number, af: SctpAf): SctpAddr {
		if (at + af.sockaddr_len > this.size) throw new NotModelled("sctp_bindx() beyond its buffer");
		const addr = sockaddr_in(
			this.view.getUint32(at + 4),
			this.view.getUint16(at + 2),
			af.sa_family,
		);
		if (af.sa_family === AF_INET6) {
			for (let i = 0; i < 4; i++) addr.sin6_addr[i] = this.view.getUint32(at + 8 + i * 4);
			addr.sin6_scope_id = this.view.getUint32(at + 24, true);
		}
		return addr;
	}

	/** Writes the fields that may have changed: family, port and IPv4 address. */
	write(at: number, addr: SctpAddr): void {
		this.view.setUint16(at, addr.sin_family, true);
		this.view.setUint16(at + 2, addr.sin_port);
		this.view.setUint32(at + 4, addr.sin_addr);
	}
}

/** Adds addresses. If one fails, removes those before it again. Returns 0 or a negative errno. */
function sctp_bindx_add(k: Stack, sk: Sk, addrs: PackedAddrs, addrcnt: number): number {
	let at = 0;
	for (let cnt = 0; cnt < addrcnt; cnt++) {
		const af = addrs.af(at);
		let retval = -EINVAL;
		if (af !== null) {
			const sa_addr = addrs.read(at, af);
			retval = sctp_do_bind(k, sk, sa_addr, af.sockaddr_len);
			addrs.write(at, sa_addr);
			at += af.sockaddr_len;
		}
		if (retval < 0) {
			if (cnt > 0) sctp_bindx_rem(k, sk, addrs, cnt);
			return retval;
		}
	}
	return 0;
}

/**
 * Removes addresses, but not the last one of the sock. If one fails, adds those before it again.
 */
function sctp_bindx_rem(k: Stack, sk: Sk, addrs: PackedAddrs, addrcnt: number): number {
	const bp = sctp_sk(k, sk).ep.bind_addr;
	let at = 0;
	for (let cnt = 0; cnt < addrcnt; cnt++) {
		let retval = -EBUSY;
		if (bp.address_list.length > 1) {
			const af = addrs.af(at);
			retval = -EINVAL;
			if (af !== null) {
				const sa_addr = addrs.read(at, af);
				retval = bindxRemOne(k, sk, sa_addr, af);
				addrs.write(at, sa_addr);
				at += af.sockaddr_len;
			}
		}
		if (retval < 0) {
			if (cnt > 0) sctp_bindx_add(k, sk, addrs, cnt);
			return retval;
		}
	}
	return 0;
}

function bindxRemOne(k: Stack, sk: Sk, sa_addr: SctpAddr, af: SctpAf): number {
	const bp = sctp_sk(k, sk).ep.bind_addr;
	if (!af.addr_valid(k, sa_addr, sk)) return -EADDRNOTAVAIL;
	if (sa_addr.sin_port !== 0 && sa_addr.sin_port !== bp.port) return -EINVAL;
	sa_addr.sin_port = bp.port;
	return sctp_del_bind_addr(bp, sa_addr);
}

/** sctp_bindx(): `op` is SCTP_SOCKOPT_BINDX_ADD or _REM. */
function sctp_setsockopt_bindx(k: Stack, sk: Sk, kopt: Uint8Array, op: number): number {
	const addrs = new PackedAddrs(kopt);
	if (addrs.size === 0) return -EINVAL;
	let addrcnt = 0;
	for (let walk_size = 0; walk_size < addrs.size; addrcnt++) {
		const af = addrs.af(walk_size);
		if (af === null || walk_size + af.sockaddr_len > addrs.size) return -EINVAL;
		walk_size += af.sockaddr_len;
	}
	return op === SCTP_SOCKOPT_BINDX_ADD
		? sctp_bindx_add(k, sk, addrs, addrcnt)
		: sctp_bindx_rem(k, sk, addrs, addrcnt);
}

/** Makes an association with a peer. Binds a port first if the sock has none. */
function sctp_connect_new_asoc(
	k: Stack,
	ep: SctpEndpoint,
	daddr: SctpAddr,
): SctpAssociation | number {
	const { sk } = ep;
	if (sctp_endpoint_is_peeled_off(k, ep, daddr)) return -EADDRNOTAVAIL;
	if (ep.bind_addr.port === 0) {
		if (sctp_autobind(k, sk) !== 0) return -EAGAIN;
	} else if (
		inet_port_requires_bind_service(sk_net(k, sk), ep.bind_addr.port) &&
		!ns_capable(k, CAP_NET_BIND_SERVICE)
	) {
		return -EACCES;
	}
	const asoc = sctp_association_new(k, ep, sk, daddr, false);
	const scope = sctp_get_af_specific(daddr.sin_family)?.scope(daddr) ?? 0;
	const err = sctp_assoc_set_bind_addr_from_ep(k, asoc, scope);
	if (err < 0) {
		sctp_association_free(k, asoc);
		return err;
	}
	sctp_endpoint_add_asoc(k, ep, asoc);
	sctp_assoc_add_peer(k, asoc, daddr);
	return asoc;
}

function __sctp_connect(
	k: Stack,
	sk: Sk,
	daddr: SctpAddr,
	addrs_size: number,
	nonblock: boolean,
): number {
	const { ep } = sctp_sk(k, sk);
	if (
		sctp_sstate(k, sk, SCTP_SS_ESTABLISHED) ||
		sctp_sstate(k, sk, SCTP_SS_CLOSING) ||
		(sctp_style(k, sk, SCTP_SOCKET_TCP) && sctp_sstate(k, sk, SCTP_SS_LISTENING))
	) {
		return -EISCONN;
	}
	const err = sctp_verify_addr(k, sk, daddr, addrs_size);
	if (err !== 0) return err;
	const known = sctp_endpoint_lookup_assoc(k, ep, daddr);
	if (known !== null) return known.state >= SCTP_STATE_ESTABLISHED ? -EISCONN : -EALREADY;
	const asoc = sctp_connect_new_asoc(k, ep, daddr);
	if (typeof asoc === "number") return asoc;

	sctpLockSock(k, sk);
	sctp_primitive_ASSOCIATE(k, asoc);
	k.sock.skc_dport[sk] = asoc.peer.port; // for getpeername()
	sctp_pf(k, sk).to_sk_daddr(k, daddr, sk);
	k.sock.sk_err[sk] = 0;
	return sctp_wait_for_connect(k, asoc, nonblock);
}

/**
 * close(). Shuts the associations down, or aborts them if data was not read or SO_LINGER is on with
 * time 0. Releases the port when all have ended.
 */
function sctp_close(k: Stack, sk: Sk): void {
	const S = k.sock;
	const sp = sctp_sk(k, sk);
	S.sk_shutdown[sk] = SHUTDOWN_MASK;
	S.skc_state[sk] = SCTP_SS_CLOSING;
	const data_was_unread = sp.receive_queue.length !== 0;
	const linger = (S.sk_flags[sk] & SOCK_LINGER) !== 0 && S.sk_lingertime.get(sk) === 0;
	sctpLockSock(k, sk);
	for (const asoc of [...sp.ep.asocs]) {
		if (asoc.state === SCTP_STATE_CLOSED) sctp_association_free(k, asoc);
		else if (data_was_unread || linger) sctp_primitive_ABORT(k, asoc);
		else sctp_primitive_SHUTDOWN(k, asoc);
	}
	sctpReleaseSock(k);
	sk_common_release(k, sk);
	if (sp.ep.asocs.length === 0) sctp_endpoint_destroy(k, sp.ep);
}

/** The error of a sock that cannot send. */
function sctp_error(k: Stack, sk: Sk, err: number): number {
	return err === -EPIPE ? sock_error(k, sk) || -EPIPE : err;
}

/**
 * Sends a message of `size` bytes. If the sock has no association with the address, begins one.
 * Returns `size` or a negative errno.
 */
function sctp_sendmsg(
	k: Stack,
	sk: Sk,
	addr: Sockaddr | null,
	addr_len: number,
	size: number,
	flags: number,
): number {
	const one_to_one = sctp_style(k, sk, SCTP_SOCKET_TCP);
	const { ep } = sctp_sk(k, sk);
	// sctp_sendmsg_parse: an empty message is allowed only with SCTP_EOF or SCTP_ABORT.
	if (one_to_one && sctp_sstate(k, sk, SCTP_SS_LISTENING)) return sctp_error(k, sk, -EPIPE);
	if (size === 0) return -EINVAL;

	let asoc: SctpAssociation | null = null;
	const connected = sctp_sstate(k, sk, SCTP_SS_ESTABLISHED) || sctp_sstate(k, sk, SCTP_SS_CLOSING);
	if (addr !== null) {
		const daddr = sctpAddrDup(addr);
		const err = sctp_verify_addr(k, sk, daddr, Math.min(addr_len, 28));
		if (err !== 0) return err;
		asoc = sctp_endpoint_lookup_assoc(k, ep, daddr);
		if (asoc === null) {
			if (one_to_one && connected) return -EADDRNOTAVAIL;
			const made = sctp_connect_new_asoc(k, ep, daddr);
			if (typeof made === "number") return sctp_error(k, sk, made);
			asoc = made;
			sctpLockSock(k, sk);
			sctp_primitive_ASSOCIATE(k, asoc);
			asoc.force_delay = (flags & MSG_MORE) !== 0;
			sctp_primitive_SEND(k, asoc, size);
			sctpReleaseSock(k);
			const nonblock = (flags & MSG_DONTWAIT) !== 0;
			const waiting = !nonblock && !asoc.dead && asoc.state < SCTP_STATE_ESTABLISHED;
			return waiting ? -ERESTARTSYS : size;
		}
	} else if (one_to_one && connected) {
		asoc = ep.asocs[0] ?? null;
	}
	if (asoc === null || (asoc.state === SCTP_STATE_CLOSED && one_to_one)) {
		return sctp_error(k, sk, -EPIPE);
	}
	sctpLockSock(k, sk);
	asoc.force_delay = (flags & MSG_MORE) !== 0;
	const err = sctp_primitive_SEND(k, asoc, size);
	sctpReleaseSock(k);
	return err === 0 ? size : sctp_error(k, sk, err);
}

/**
 * Receives at most `size` bytes of a message. Returns the number of bytes, 0 at the end, or a
 * negative errno.
 */
function sctp_recvmsg(k: Stack, sk: Sk, size: number, flags: number): number {
	const S = k.sock;
	const sp = sctp_sk(k, sk);
	if (sp.type === SCTP_SOCKET_TCP && sctp_sstate(k, sk, SCTP_SS_LISTENING)) return -ENOTCONN;
	const message = sp.receive_queue[0];
	if (message !== undefined) {
		const copied = Math.min(size, message.size);
		if ((flags & MSG_PEEK) !== 0) return copied;
		message.size -= copied;
		if (message.size === 0) sp.receive_queue.shift();
		return copied;
	}
	const err = sock_error(k, sk);
	if (err !== 0) return err;
	if ((S.sk_shutdown[sk] & RCV_SHUTDOWN) !== 0) return 0;
	if ((flags & MSG_DONTWAIT) !== 0) return -EAGAIN;
	// sctp_wait_for_packet
	if (sp.ep.asocs.length === 0 && !sctp_sstate(k, sk, SCTP_SS_LISTENING)) return -ENOTCONN;
	return -ERESTARTSYS;
}

/** SCTP_NODELAY. */
function sctp_setsockopt_nodelay(k: Stack, sk: Sk, kopt: Uint8Array): number {
	if (kopt.length < 4) return -EINVAL;
	sctp_sk(k, sk).nodelay = intAt(kopt) !== 0;
	return 0;
}

/** SCTP_I_WANT_MAPPED_V4_ADDR. */
function sctp_setsockopt_mappedv4(k: Stack, sk: Sk, kopt: Uint8Array): number {
	if (kopt.length < 4) return -EINVAL;
	sctp_sk(k, sk).v4mapped = intAt(kopt) !== 0;
	return 0;
}

/** SCTP_REUSE_PORT. Allowed only on a one-to-one socket that is not bound. */
function sctp_setsockopt_reuse_port(k: Stack, sk: Sk, kopt: Uint8Array): number {
	const sp = sctp_sk(k, sk);
	if (sp.type !== SCTP_SOCKET_TCP) return -EOPNOTSUPP;
	if (sp.ep.bind_addr.port !== 0) return -EFAULT;
	if (kopt.length < 4) return -EINVAL;
	sp.reuse = intAt(kopt) !== 0;
	return 0;
}

/**
 * setsockopt() of all levels except SOL_SOCKET. Options of IP go to the sock's family.
 */
export function sctp_setsockopt(
	k: Stack,
	sock: Sock,
	level: number,
	optname: number,
	optval: Uint8Array | null,
	optlen: number,
): number {
	const sk = k.socket.sk[sock];
	if (level !== SOL_SCTP) {
		return k.sock.skc_family[sk] === AF_INET6
			? inet6Setsockopt(k, sock, level, optname, optval, optlen)
			: inetSetsockopt(k, sock, level, optname, optval, optlen);
	}
	if (optlen > 0 && (optval === null || optval.length < optlen)) return -EFAULT;
	const kopt = optval === null ? new Uint8Array(0) : optval.slice(0, optlen);
	switch (optname) {
		case SCTP_SOCKOPT_BINDX_ADD:
		case SCTP_SOCKOPT_BINDX_REM:
			return sctp_setsockopt_bindx(k, sk, kopt, optname);
		case SCTP_NODELAY:
			return sctp_setsockopt_nodelay(k, sk, kopt);
		case SCTP_I_WANT_MAPPED_V4_ADDR:
			return sctp_setsockopt_mappedv4(k, sk, kopt);
		case SCTP_REUSE_PORT:
			return sctp_setsockopt_reuse_port(k, sk, kopt);
		default:
			throw new NotModelled(`setsockopt level ${level} option ${optname}`);
	}
}

/** connect(). Returns 0 or a negative errno, -ERESTARTSYS if it would sleep. */
function sctp_connect(
	k: Stack,
	sk: Sk,
	addr: Sockaddr,
	addr_len: number,
	nonblock: boolean,
): number {
	const af = sctp_get_af_specific(addr.sin_family);
	if (af === null || addr_len < af.sockaddr_len) return -EINVAL;
	return __sctp_connect(k, sk, sctpAddrDup(addr), af.sockaddr_len, nonblock);
}

export function sctp_inet_connect(
	k: Stack,
	sock: Sock,
	addr: Sockaddr,
	addr_len: number,
	nonblock: boolean,
): number {
	if (addr_len < SIZEOF_SA_FAMILY) return -EINVAL;
	if (addr.sin_family === AF_UNSPEC) return -EOPNOTSUPP;
	return sctp_connect(k, k.socket.sk[sock], addr, addr_len, nonblock);
}

/** Continues a blocking connect() that slept. */
export function sctpConnectWait(k: Stack, sock: Sock): number {
	const sk = k.socket.sk[sock];
	if ((k.sock.sk_shutdown[sk] & RCV_SHUTDOWN) !== 0) return 0;
	const err = k.sock.sk_err[sk];
	if (err !== 0) return err === ETIMEDOUT ? -ETIMEDOUT : -ECONNREFUSED;
	return sctp_sstate(k, sk, SCTP_SS_ESTABLISHED) ? 0 : -ERESTARTSYS;
}

/** shutdown() of the receiving side of a listener, since sctp-listener-shutdown. */
function sctp_disconnect(k: Stack, sk: Sk): number {
	if (!k.changes.has("sctp-listener-shutdown")) return -EOPNOTSUPP; // since 6.11, cda91d5b911a
	if (!sctp_style(k, sk, SCTP_SOCKET_TCP)) return -EOPNOTSUPP;
	k.sock.sk_shutdown[sk] |= RCV_SHUTDOWN;
	return 0;
}

/**
 * Makes the sock of the next association that waits for accept(). Returns it or a negative errno.
 */
function sctp_accept(k: Stack, sk: Sk, nonblock: boolean): number {
	const { ep } = sctp_sk(k, sk);
	if (!sctp_style(k, sk, SCTP_SOCKET_TCP)) return -EOPNOTSUPP;
	if (!sctp_sstate(k, sk, SCTP_SS_LISTENING)) return -EINVAL;
	const shut = (k.sock.sk_shutdown[sk] & RCV_SHUTDOWN) !== 0;
	if (shut && k.changes.has("sctp-listener-shutdown")) return -EINVAL; // since 6.11, cda91d5b911a
	const asoc = ep.asocs[0];
	if (asoc === undefined) {
		// sctp_wait_for_accept
		return nonblock || k.sock.sk_rcvtimeo.get(sk) === TIMEO_NOWAIT ? -EAGAIN : -ERESTARTSYS;
	}
	const newsk = sctpCreateAcceptSk(k, sk, asoc);
	sctp_sock_migrate(k, sk, newsk, asoc);
	return newsk;
}

/** accept(). Returns 0 or a negative errno. */
export function sctpInetAccept(k: Stack, sock: Sock, newsock: Sock, nonblock: boolean): number {
	const newsk = sctp_accept(k, k.socket.sk[sock], nonblock);
	if (newsk < 0) return newsk;
	sock_graft(k, newsk, newsock);
	k.socket.state[newsock] = SS_CONNECTED;
	return 0;
}

/** Makes the SCTP fields of a new sock: one-to-one or one-to-many by its type. */
function sctp_init_sock(k: Stack, sk: Sk): void {
	k.sctp_globals.socks.set(sk, {
		type: k.sock.sk_type[sk] === SOCK_SEQPACKET ? SCTP_SOCKET_UDP : SCTP_SOCKET_TCP,
		reuse: false,
		nodelay: false,
		v4mapped: true,
		ep: sctp_endpoint_new(sk),
		receive_queue: [],
	});
}

function sctp_destroy_sock(k: Stack, sk: Sk): void {
	sctp_endpoint_free(k, sctp_sk(k, sk).ep);
}

/** shutdown() of a one-to-one socket: shuts its association down. */
function sctp_shutdown(k: Stack, sk: Sk, how: number): void {
	if (!sctp_style(k, sk, SCTP_SOCKET_TCP)) return;
	const asoc = sctp_sk(k, sk).ep.asocs[0];
	if ((how & SEND_SHUTDOWN) === 0 || asoc === undefined) return;
	k.sock.skc_state[sk] = SCTP_SS_CLOSING;
	sctpLockSock(k, sk);
	sctp_primitive_SHUTDOWN(k, asoc);
	sctpReleaseSock(k);
}

/** getsockopt() of all levels except SOL_SOCKET. Returns the bytes written, or a negative errno. */
export function sctp_getsockopt(
	k: Stack,
	sock: Sock,
	level: number,
	optname: number,
	optlen: number,
): Uint8Array | number {
	const sk = k.socket.sk[sock];
	if (level !== SOL_SCTP) {
		return k.sock.skc_family[sk] === AF_INET6
			? inet6Getsockopt(k, sock, level, optname, optlen)
			: inetGetsockopt(k, sock, level, optname, optlen);
	}
	if (optlen < 0) return -EINVAL;
	switch (optname) {
		case SCTP_I_WANT_MAPPED_V4_ADDR:
			return optlen < 4 ? -EINVAL : intBytes(sctp_sk(k, sk).v4mapped ? 1 : 0);
		case SCTP_NODELAY:
			return optlen < 4 ? -EINVAL : intBytes(sctp_sk(k, sk).nodelay ? 1 : 0);
		case SCTP_REUSE_PORT:
			return optlen < 4 ? -EINVAL : intBytes(sctp_sk(k, sk).reuse ? 1 : 0);
		default:
			throw new NotModelled(`getsockopt level ${level} option ${optname}`);
	}
}

/** The bind bucket of a port, 0 if there is none. */
function findBucket(k: Stack, net: Net, port: Port): number {
	const { port_hashtable, bucket_cachep: T } = k.sctp_globals;
	let pp = port_hashtable[sctp_phashfn(net, port)];
	while (pp !== 0 && (T.port[pp] !== port || T.net[pp] !== net.id)) pp = T.node_next[pp];
	return pp;
}

/**
 * The body of the loop over ports in sctp_get_port_local. Returns CANDIDATE_OK if nobody uses the
 * port, else the reason to skip it. Stores an owner of the port in k.blocker, 0 if none.
 */
export function sctpCandidate(k: Stack, net: Net, port: Port): number {
	k.blocker = 0;
	if (inet_is_local_reserved_port(net, port)) return CANDIDATE_RESERVED;
	const pp = findBucket(k, net, port);
	if (pp === 0) return CANDIDATE_OK;
	k.blocker = k.sctp_globals.bucket_cachep.owner[pp];
	return CANDIDATE_CONFLICT;
}

/** Whether the sock has SO_REUSEADDR or SCTP_REUSE_PORT. */
function skReuse(k: Stack, sk: Sk): boolean {
	return k.sock.skc_reuse[sk] !== 0 || sctp_sk(k, sk).reuse;
}

/**
 * Binds a sock to the port of an address. If the port is 0, binds it to a port that nobody uses:
 * the first one after a random port. Also checks the port of a bound sock again, for listen() and
 * for further addresses. icsk_bind_hash stands for sp->bind_hash. Returns 0, or 1 if the sock
 * cannot have the port.
 */
function sctp_get_port_local(k: Stack, sk: Sk, addr: SctpAddr): number {
	const S = k.sock;
	const T = k.sctp_globals.bucket_cachep;
	const reuse = skReuse(k, sk);
	const reuseport = S.skc_reuseport[sk] !== 0;
	const net = sk_net(k, sk);
	const uid = sock_i_uid(k, sk);
	let pp = 0;
	let snum = addr.sin_port;

	success: {
		if (snum === 0) {
			inet_sk_get_local_port_range(k, sk);
			const { low, high } = k;
			let remaining = high - low + 1;
			k.trace.search(SEARCH_BIND, sk, low, high);
			const offset = k.draws.sctpOffset(sk, low, high, remaining);
			k.trace.scan(low, remaining, offset, 0, false);
			let rover = offset + low;
			do {
				rover++;
				if (rover < low || rover > high) rover = low;
				const verdict = sctpCandidate(k, net, rover);
				if (verdict === CANDIDATE_OK) break;
				k.trace.skip(rover, verdict, k.blocker);
			} while (--remaining > 0);
			k.trace.chosen(remaining <= 0 ? 0 : rover);
			if (remaining <= 0) return 1;
			snum = rover;
		} else {
			pp = findBucket(k, net, snum);
			k.blocker = 0;
			if (pp !== 0 && T.owner[pp] !== 0) {
				if (
					(T.fastreuse[pp] !== 0 && reuse && S.skc_state[sk] !== SCTP_SS_LISTENING) ||
					(T.fastreuseport[pp] !== 0 && reuseport && T.fastuid[pp] === uid)
				) {
					k.trace.bound(sk, snum, true, CANDIDATE_OK, 0);
					break success;
				}
				const l3mdev = k.changes.has("sctp-l3mdev"); // since 6.2, 0af03170637f
				const bound_dev_if = S.skc_bound_dev_if[sk];
				for (let sk2 = T.owner[pp]; sk2 !== 0; sk2 = S.bind_node_next[sk2]) {
					const bound_dev_if2 = S.skc_bound_dev_if[sk2];
					if (
						sk === sk2 ||
						(reuse && skReuse(k, sk2) && S.skc_state[sk2] !== SCTP_SS_LISTENING) ||
						(reuseport && S.skc_reuseport[sk2] !== 0 && uid === sock_i_uid(k, sk2))
					) {
						continue;
					}
					if (
						(!l3mdev ||
							bound_dev_if === 0 ||
							bound_dev_if2 === 0 ||
							bound_dev_if === bound_dev_if2) &&
						sctp_bind_addr_conflict(k, sctp_sk(k, sk2).ep.bind_addr, addr, sk2, sk)
					) {
						k.blocker = sk2;
						k.trace.bound(sk, snum, false, CANDIDATE_CONFLICT, sk2);
						return 1;
					}
				}
			}
			k.trace.bound(sk, snum, false, CANDIDATE_OK, 0);
		}
		if (pp === 0) pp = sctp_bucket_create(k, net, snum);

		if (T.owner[pp] === 0) {
			T.fastreuse[pp] = reuse && S.skc_state[sk] !== SCTP_SS_LISTENING ? 1 : 0;
			if (reuseport) {
				T.fastreuseport[pp] = 1;
				T.fastuid[pp] = uid;
			} else {
				T.fastreuseport[pp] = 0;
			}
		} else {
			if (T.fastreuse[pp] !== 0 && (!reuse || S.skc_state[sk] === SCTP_SS_LISTENING)) {
				T.fastreuse[pp] = 0;
			}
			if (T.fastreuseport[pp] !== 0 && (!reuseport || T.fastuid[pp] !== uid)) {
				T.fastreuseport[pp] = 0;
			}
		}
	}
	if (S.icsk_bind_hash[sk] === 0) bindToBucket(k, sk, pp, snum);
	return 0;
}

/** Makes a sock an owner of a bind bucket. icsk_bind_hash stands for sp->bind_hash. */
function bindToBucket(k: Stack, sk: Sk, pp: number, snum: Port): void {
	const S = k.sock;
	const { owner } = k.sctp_globals.bucket_cachep;
	S.skc_num[sk] = snum;
	hlist_add_head(owner, S.bind_node_next, S.bind_node_pprev, pp, sk);
	S.icsk_bind_hash[sk] = pp;
}

/**
 * Checks or binds a port for the local address of a sock. Returns 0, or 1 if it cannot have the
 * port.
 */
function sctp_get_port(k: Stack, sk: Sk, snum: Port): number {
	const addr = sctp_pf(k, sk).af.from_sk(k, sk);
	addr.sin_port = snum;
	return sctp_get_port_local(k, sk, addr);
}

/**
 * Starts to listen. Binds any port if the sock has none. Returns 0 or a negative errno. On an error
 * the sock is closed, but keeps a port that it got. Without sctp-listen-resets-state a sock that
 * found no port, or could not be hashed, stays in the state of a listener, although nobody can reach
 * it.
 */
function sctp_listen_start(k: Stack, sk: Sk, backlog: number): number {
	const S = k.sock;
	const { ep } = sctp_sk(k, sk);
	S.skc_state[sk] = SCTP_SS_LISTENING;
	let err = 0;
	// since 6.12, 8beee4d8dee7 if no port is free; since 6.12, 4d5c70e6155d if it cannot be hashed
	let reset = k.changes.has("sctp-listen-resets-state");
	if (ep.bind_addr.port === 0) {
		if (sctp_autobind(k, sk) !== 0) err = -EAGAIN;
	} else if (sctp_get_port(k, sk, S.skc_num[sk]) !== 0) {
		err = -EADDRINUSE;
		reset = true;
	}
	if (err === 0) {
		S.sk_max_ack_backlog.set(sk, backlog >>> 0);
		err = sctp_hash_endpoint(k, ep);
	}
	if (err !== 0 && reset) S.skc_state[sk] = SCTP_SS_CLOSED;
	return err;
}

/** listen(). A backlog of 0 stops listening. Returns 0 or a negative errno. */
export function sctp_inet_listen(k: Stack, sock: Sock, backlog: number): number {
	const sk = k.socket.sk[sock];
	const S = k.sock;
	if (backlog < 0) return -EINVAL;
	if (k.socket.state[sock] !== SS_UNCONNECTED) return -EINVAL;
	const listening = sctp_sstate(k, sk, SCTP_SS_LISTENING);
	if (!listening && !sctp_sstate(k, sk, SCTP_SS_CLOSED)) return -EINVAL;
	if (backlog === 0) {
		if (!listening) return -EINVAL;
		sctp_unhash_endpoint(k, sctp_sk(k, sk).ep);
		S.skc_state[sk] = SCTP_SS_CLOSED;
		if (skReuse(k, sk)) {
			const pp = S.icsk_bind_hash[sk];
			if (pp === 0) throw new NotModelled("listen(0) where no port was found: C follows NULL");
			k.sctp_globals.bucket_cachep.fastreuse[pp] = 1;
		}
		return 0;
	}
	if (!listening) return sctp_listen_start(k, sk, backlog);
	S.sk_max_ack_backlog.set(sk, backlog >>> 0);
	return 0;
}

/** Makes a bind bucket without owners and puts it at the head of its chain. */
function sctp_bucket_create(k: Stack, net: Net, snum: Port): number {
	const { port_hashtable, bucket_cachep: T } = k.sctp_globals;
	const pp = T.kmem_cache_zalloc();
	T.port[pp] = snum;
	T.net[pp] = net.id;
	hlist_add_head(port_hashtable, T.node_next, T.node_pprev, sctp_phashfn(net, snum), pp);
	return pp;
}

/** Frees a bind bucket if it has no owner left. */
function sctp_bucket_destroy(k: Stack, pp: number): void {
	const { port_hashtable, bucket_cachep: T } = k.sctp_globals;
	if (T.owner[pp] !== 0) return;
	hlist_del_init(port_hashtable, T.node_next, T.node_pprev, pp);
	T.kmem_cache_free(pp);
}

/** __sctp_put_port: releases the port of a sock. */
export function sctp_put_port(k: Stack, sk: Sk): void {
	const S = k.sock;
	const pp = S.icsk_bind_hash[sk];
	const { owner } = k.sctp_globals.bucket_cachep;
	hlist_del_init(owner, S.bind_node_next, S.bind_node_pprev, sk);
	S.icsk_bind_hash[sk] = 0;
	S.skc_num[sk] = 0;
	sctp_bucket_destroy(k, pp);
}

/** Binds a sock to the wildcard address and any port. Returns 0 or a negative errno. */
function sctp_autobind(k: Stack, sk: Sk): number {
	const { af } = sctp_pf(k, sk);
	const autoaddr = af.inaddr_any(k.sock.skc_num[sk]);
	return sctp_do_bind(k, sk, autoaddr, af.sockaddr_len);
}

/** The end of connect(). Returns 0, a negative errno, or -ERESTARTSYS if it would sleep. */
function sctp_wait_for_connect(k: Stack, asoc: SctpAssociation, nonblock: boolean): number {
	const S = k.sock;
	const { sk } = asoc;
	const shut = (S.sk_shutdown[sk] & RCV_SHUTDOWN) !== 0;
	sctpReleaseSock(k);
	if (nonblock) return -EINPROGRESS;
	if (shut || asoc.state === SCTP_STATE_ESTABLISHED) return 0;
	return asoc.dead ? -ECONNREFUSED : -ERESTARTSYS;
}

/**
 * Makes the sock for accept() from the listener: sctp_v4_create_accept_sk or
 * sctp_v6_create_accept_sk, since sctp-accept-clones sctp_clone_sock.
 */
function sctpCreateAcceptSk(k: Stack, sk: Sk, asoc: SctpAssociation): Sk {
	const S = k.sock;
	const net = sk_net(k, sk);
	const newsk = sk_alloc(k, net, S.skc_family[sk], S.skc_prot[sk], S.sk_type[sk], IPPROTO_SCTP);
	sctp_init_sock(k, newsk);
	// sctp_copy_sock
	S.skc_bound_dev_if[newsk] = S.skc_bound_dev_if[sk];
	S.sk_flags[newsk] = S.sk_flags[sk];
	S.skc_reuse[newsk] = S.skc_reuse[sk];
	S.sk_shutdown[newsk] = S.sk_shutdown[sk];
	S.sk_lingertime.set(newsk, S.sk_lingertime.get(sk));
	S.inet_sport[newsk] = S.inet_sport[sk];
	S.skc_dport[newsk] = asoc.peer.port;
	// since 6.19, 16942cf4d3e3
	if (k.changes.has("sctp-accept-clones")) {
		S.skc_reuseport[newsk] = S.skc_reuseport[sk];
		S.skc_ipv6only[newsk] = S.skc_ipv6only[sk];
		S.inet_flags[newsk] = S.inet_flags[sk];
		S.local_port_range_lo[newsk] = S.local_port_range_lo[sk];
		S.local_port_range_hi[newsk] = S.local_port_range_hi[sk];
	}
	sctp_pf(k, sk).copySkAddrs(k, newsk, sk, asoc);
	return newsk;
}

/**
 * Moves an association to the sock that accept() made for it. This sock shares the listener's port.
 */
function sctp_sock_migrate(k: Stack, oldsk: number, newsk: Sk, assoc: SctpAssociation): void {
	const S = k.sock;
	const oldsp = sctp_sk(k, oldsk);
	const newsp = sctp_sk(k, newsk);
	newsp.reuse = oldsp.reuse;
	newsp.v4mapped = oldsp.v4mapped;
	newsp.nodelay = oldsp.nodelay;
	bindToBucket(k, newsk, S.icsk_bind_hash[oldsk], S.skc_num[oldsk]);
	sctp_bind_addr_dup(newsp.ep.bind_addr, oldsp.ep.bind_addr);
	newsp.receive_queue = oldsp.receive_queue.filter(({ asoc }) => asoc === assoc);
	oldsp.receive_queue = oldsp.receive_queue.filter(({ asoc }) => asoc !== assoc);
	sctp_assoc_migrate(k, assoc, newsk);
	if (assoc.state === SCTP_STATE_CLOSED) S.sk_shutdown[newsk] |= RCV_SHUTDOWN;
	else S.skc_state[newsk] = SCTP_SS_ESTABLISHED;
}

export const sctp_prot: Proto = {
	name: "SCTP",
	prot: PROT_SCTP,
	init: sctp_init_sock,
	close: sctp_close,
	connect: (k, sk, addr, addr_len) => sctp_connect(k, sk, addr, addr_len, true),
	disconnect: sctp_disconnect,
	shutdown: sctp_shutdown,
	sendmsg: sctp_sendmsg,
	recvmsg: sctp_recvmsg,
	bind: sctp_bind,
	hash: () => 0,
	unhash: () => {},
	get_port: sctp_get_port,
	destroy: sctp_destroy_sock,
	no_autobind: true,
};

export const sctpv6_prot: Proto = { ...sctp_prot, name: "SCTPv6", prot: PROT_SCTPV6 };
