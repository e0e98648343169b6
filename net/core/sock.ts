// SPDX-License-Identifier: GPL-2.0-or-later
/** net/core/sock.c: allocation and release of socks, and the options of level SOL_SOCKET. */

import { CAP_NET_RAW, ns_capable } from "../../include/linux/capability.js";
import type { Ifindex, Sk } from "../../include/linux/handle.js";
import type { SparseColumn } from "../../include/linux/slab.js";
import { AF_INET6 } from "../../include/linux/socket.js";
import { HZ } from "../../include/linux/timer.js";
import type { Net } from "../../include/net/net_namespace.js";
import { leavesEhash } from "../../include/net/refused_ports.js";
import {
	GLOBAL_ROOT_UID,
	type Proto,
	SEND_SHUTDOWN,
	SK_CAN_REUSE,
	SK_NO_REUSE,
	SOCK_BINDPORT_LOCK,
	SOCK_BROADCAST,
	SOCK_KEEPOPEN,
	SOCK_LINGER,
	SOCK_LOCALROUTE,
	type SockTable,
	sk_net,
	sk_prot,
	sock_error,
	sock_orphan,
	sock_valbool_flag,
	TIMEO_NOWAIT,
} from "../../include/net/sock.js";
import type { Stack } from "../../include/net/stack.js";
import { TCP_CLOSE, TCP_LISTEN } from "../../include/net/tcp_states.js";
import {
	EDOM,
	EFAULT,
	EINVAL,
	ENODEV,
	ENOPROTOOPT,
	EOPNOTSUPP,
	EPERM,
	EPIPE,
} from "../../include/uapi/asm-generic/errno.js";
import {
	SO_ACCEPTCONN,
	SO_ATTACH_REUSEPORT_CBPF,
	SO_ATTACH_REUSEPORT_EBPF,
	SO_BINDTODEVICE,
	SO_BINDTOIFINDEX,
	SO_BROADCAST,
	SO_DOMAIN,
	SO_DONTROUTE,
	SO_ERROR,
	SO_KEEPALIVE,
	SO_LINGER,
	SO_PROTOCOL,
	SO_RCVTIMEO_NEW,
	SO_RCVTIMEO_OLD,
	SO_REUSEADDR,
	SO_REUSEPORT,
	SO_SNDTIMEO_NEW,
	SO_SNDTIMEO_OLD,
	SO_TYPE,
	SOL_SOCKET,
} from "../../include/uapi/asm-generic/socket.js";
import { IFNAMSIZ } from "../../include/uapi/linux/if.js";
import { l3mdev_master_ifindex_by_index } from "../l3mdev/l3mdev.js";
import { dev_get_by_index, process_backlog } from "./dev.js";

/** Thrown for what the model leaves out (net/README.md), so that it never guesses. */
export class NotModelled extends Error {
	override readonly name = "NotModelled";
}

/**
 * include/net/sock.h: sk_dev_equal_l3scope. Whether `dif` is the device of the socket, or its VRF.
 */
export function sk_dev_equal_l3scope(k: Stack, sk: Sk, dif: Ifindex): boolean {
	const bound_dev_if = k.sock.skc_bound_dev_if[sk];
	if (bound_dev_if === 0 || bound_dev_if === dif) return true;
	return l3mdev_master_ifindex_by_index(sk_net(k, sk), dif) === bound_dev_if;
}

/** Returns and clears the soft error, a positive errno; 0 if there is none. */
function takeSoftError(k: Stack, sk: Sk): number {
	const err = k.sock.sk_err_soft[sk];
	k.sock.sk_err_soft[sk] = 0;
	return err;
}

/** The first `optlen` bytes of an int in memory (little-endian). */
export function intBytes(value: number, optlen = 4): Uint8Array {
	const bytes = new Uint8Array(4);
	new DataView(bytes.buffer).setInt32(0, value | 0, true);
	return bytes.slice(0, Math.min(optlen, 4));
}

/** The int at a byte offset of an option value. */
export function intAt(optval: Uint8Array, offset = 0): number {
	return new DataView(optval.buffer, optval.byteOffset, optval.byteLength).getInt32(offset, true);
}

/** SO_RCVTIMEO, SO_SNDTIMEO as read. Both a time without limit and none at all read as 0. */
function sock_get_timeout(timeo: number): Uint8Array {
	const bytes = new Uint8Array(16);
	const view = new DataView(bytes.buffer);
	if (timeo > 0) {
		view.setBigInt64(0, BigInt(Math.floor(timeo / HZ)), true);
		view.setBigInt64(8, BigInt((timeo % HZ) * (1_000_000 / HZ)), true);
	}
	return bytes;
}

const USEC_PER_SEC = 1_000_000n;

/** MAX_SCHEDULE_TIMEOUT / HZ - 1: longer times have no limit. */
const LONGEST_TIMEO = (2n ** 63n - 1n) / BigInt(HZ) - 1n;

/**
 * SO_RCVTIMEO, SO_SNDTIMEO: two 64-bit numbers, seconds and microseconds. A time of 0 is without
 * limit. A negative one does not wait. A time of more than 2^53 jiffies counts as without limit.
 */
function sock_set_timeout(
	timeo: SparseColumn<Sk>,
	sk: Sk,
	optval: Uint8Array,
	optlen: number,
): number {
	if (optlen < 16) return -EINVAL;
	if (optval.length < 16) return -EFAULT;
	const view = new DataView(optval.buffer, optval.byteOffset, optval.byteLength);
	const tv_sec = view.getBigInt64(0, true);
	const tv_usec = view.getBigInt64(8, true);
	if (tv_usec < 0n || tv_usec >= USEC_PER_SEC) return -EDOM;
	if (tv_sec < 0n) {
		timeo.set(sk, TIMEO_NOWAIT);
		return 0;
	}
	timeo.set(sk, 0);
	if (tv_sec < LONGEST_TIMEO) {
		const jiffies = Number(tv_sec) * HZ + Math.ceil(Number(tv_usec) / (1_000_000 / HZ));
		if (jiffies <= Number.MAX_SAFE_INTEGER) timeo.set(sk, jiffies);
	}
	return 0;
}

function sock_bindtoindex_locked(k: Stack, sk: Sk, ifindex: Ifindex): number {
	// Only a privileged task may change or remove the device once one is set.
	if (k.sock.skc_bound_dev_if[sk] !== 0 && !ns_capable(k, CAP_NET_RAW)) return -EPERM;
	if (ifindex < 0) return -EINVAL;
	leavesEhash(k, sk);
	k.sock.skc_bound_dev_if[sk] = ifindex;
	sk_prot(k, sk).rehash?.(k, sk);
	return 0;
}

function sock_setbindtodevice(k: Stack, sk: Sk, optval: Uint8Array | null, optlen: number): number {
	const net = sk_net(k, sk);
	const length = Math.min(optlen, IFNAMSIZ - 1);
	if (length > 0 && (optval === null || optval.length < length)) return -EFAULT;
	let devname = "";
	for (let i = 0; i < length && optval !== null && optval[i] !== 0; i++) {
		devname += String.fromCharCode(optval[i]);
	}
	let index = 0;
	if (devname !== "") {
		const dev = net.devices.find((candidate) => candidate.name === devname);
		if (dev === undefined) return -ENODEV;
		index = dev.ifindex;
	}
	return sock_bindtoindex_locked(k, sk, index);
}

/**
 * Whether the current task has a capability, in setsockopt(). C makes an exception for BPF
 * programs.
 */
export function sockopt_ns_capable(k: Stack, cap: number): boolean {
	return ns_capable(k, cap);
}

/** MAX_SCHEDULE_TIMEOUT / HZ, truncated to an int as in getsockopt(). */
const LINGER_FOREVER = Number(BigInt.asIntN(32, (2n ** 63n - 1n) / BigInt(HZ)));

/**
 * The time of SO_LINGER as getsockopt() returns it, seconds. The kernel keeps it in jiffies. Before
 * so-linger-clamp a negative time was multiplied in 32 bits and wrapped around.
 */
function lingerTime(l_linger: number, clamps: boolean): number {
	if (clamps) return l_linger < 0 ? LINGER_FOREVER : l_linger;
	return Math.floor((Math.imul(l_linger, HZ) >>> 0) / HZ);
}

/** The column of SO_RCVTIMEO or SO_SNDTIMEO. */
function timeoColumn(S: SockTable, optname: number): SparseColumn<Sk> {
	return optname === SO_RCVTIMEO_OLD || optname === SO_RCVTIMEO_NEW ? S.sk_rcvtimeo : S.sk_sndtimeo;
}

/**
 * setsockopt() of level SOL_SOCKET. `optval` is null for a NULL pointer. Returns 0 or a negative
 * errno. Throws NotModelled for an option that the model leaves out.
 */
export function sk_setsockopt(
	k: Stack,
	sk: Sk,
	optname: number,
	optval: Uint8Array | null,
	optlen: number,
): number {
	const S = k.sock;
	if (optname === SO_BINDTODEVICE) {
		return sock_setbindtodevice(k, sk, optval, optlen);
	}
	if (optlen < 4) return -EINVAL;
	if (optval === null || optval.length < 4) return -EFAULT;
	const val = intAt(optval);
	switch (optname) {
		case SO_REUSEADDR:
			S.skc_reuse[sk] = val !== 0 ? SK_CAN_REUSE : SK_NO_REUSE;
			return 0;
		case SO_REUSEPORT:
			S.skc_reuseport[sk] = val !== 0 ? 1 : 0;
			return 0;
		case SO_BROADCAST:
			sock_valbool_flag(S, sk, SOCK_BROADCAST, val !== 0);
			return 0;
		case SO_DONTROUTE:
			sock_valbool_flag(S, sk, SOCK_LOCALROUTE, val !== 0);
			return 0;
		case SO_KEEPALIVE:
			sk_prot(k, sk).keepalive?.(k, sk, val !== 0);
			sock_valbool_flag(S, sk, SOCK_KEEPOPEN, val !== 0);
			return 0;
		case SO_RCVTIMEO_OLD:
		case SO_RCVTIMEO_NEW:
		case SO_SNDTIMEO_OLD:
		case SO_SNDTIMEO_NEW:
			return sock_set_timeout(timeoColumn(S, optname), sk, optval, optlen);
		case SO_BINDTOIFINDEX:
			return sock_bindtoindex_locked(k, sk, val);
		case SO_ATTACH_REUSEPORT_CBPF:
		case SO_ATTACH_REUSEPORT_EBPF:
			throw new NotModelled("selection by BPF from a reuseport group");
		case SO_TYPE:
		case SO_PROTOCOL:
		case SO_DOMAIN:
		case SO_ERROR:
		case SO_ACCEPTCONN:
			return -ENOPROTOOPT;
		case SO_LINGER: {
			if (optlen < 8) return -EINVAL;
			if (optval.length < 8) return -EFAULT;
			if (val === 0) {
				S.sk_flags[sk] &= ~SOCK_LINGER;
			} else {
				// so-linger-clamp: since 6.6, bc1fb82ae117
				const clamps = k.changes.has("so-linger-clamp");
				S.sk_lingertime.set(sk, lingerTime(intAt(optval, 4), clamps));
				S.sk_flags[sk] |= SOCK_LINGER;
			}
			return 0;
		}
		default:
			throw new NotModelled(`setsockopt level ${SOL_SOCKET} option ${optname}`);
	}
}

/**
 * getsockopt() of level SOL_SOCKET. Returns the bytes written, at most `optlen`, or a negative
 * errno.
 */
export function sk_getsockopt(
	k: Stack,
	sk: Sk,
	optname: number,
	optlen: number,
): Uint8Array | number {
	const S = k.sock;
	if (optlen < 0) return -EINVAL;
	switch (optname) {
		case SO_REUSEADDR:
			return intBytes(S.skc_reuse[sk], optlen);
		case SO_REUSEPORT:
			return intBytes(S.skc_reuseport[sk], optlen);
		case SO_BROADCAST:
			return intBytes((S.sk_flags[sk] & SOCK_BROADCAST) !== 0 ? 1 : 0, optlen);
		case SO_DONTROUTE:
			return intBytes((S.sk_flags[sk] & SOCK_LOCALROUTE) !== 0 ? 1 : 0, optlen);
		case SO_KEEPALIVE:
			return intBytes((S.sk_flags[sk] & SOCK_KEEPOPEN) !== 0 ? 1 : 0, optlen);
		case SO_RCVTIMEO_OLD:
		case SO_RCVTIMEO_NEW:
		case SO_SNDTIMEO_OLD:
		case SO_SNDTIMEO_NEW:
			return sock_get_timeout(timeoColumn(S, optname).get(sk)).slice(0, Math.min(optlen, 16));
		case SO_BINDTOIFINDEX:
			return intBytes(S.skc_bound_dev_if[sk], optlen);
		case SO_TYPE:
			return intBytes(S.sk_type[sk], optlen);
		case SO_PROTOCOL:
			return intBytes(S.sk_protocol[sk], optlen);
		case SO_DOMAIN:
			return intBytes(S.skc_family[sk], optlen);
		case SO_ERROR:
			return intBytes(-sock_error(k, sk) || takeSoftError(k, sk), optlen);
		case SO_ACCEPTCONN:
			return intBytes(S.skc_state[sk] === TCP_LISTEN ? 1 : 0, optlen);
		case SO_LINGER: {
			const ling = new Uint8Array(8);
			const view = new DataView(ling.buffer);
			view.setInt32(0, (S.sk_flags[sk] & SOCK_LINGER) !== 0 ? 1 : 0, true);
			view.setInt32(4, S.sk_lingertime.get(sk), true);
			return ling.slice(0, Math.min(optlen, 8));
		}
		case SO_BINDTODEVICE: {
			const index = S.skc_bound_dev_if[sk];
			if (index === 0) return new Uint8Array(0);
			if (optlen < IFNAMSIZ) return -EINVAL;
			const dev = dev_get_by_index(sk_net(k, sk), index);
			if (dev === null) return -ENODEV;
			return Uint8Array.from([...dev.name, "\0"].map((c) => c.charCodeAt(0)));
		}
		default:
			throw new NotModelled(`getsockopt level ${SOL_SOCKET} option ${optname}`);
	}
}

/** Makes a sock in TCP_CLOSE: sk_alloc and sock_init_data. */
export function sk_alloc(
	k: Stack,
	net: Net,
	family: number,
	prot: number,
	type: number,
	protocol: number,
): Sk {
	const sk = k.sock.kmem_cache_zalloc();
	const S = k.sock;
	if (family === AF_INET6) S.in6Alloc(sk);
	S.skc_net[sk] = net.id;
	S.skc_family[sk] = family;
	S.skc_prot[sk] = prot;
	S.skc_state[sk] = TCP_CLOSE;
	S.sk_type[sk] = type;
	S.sk_protocol[sk] = protocol;
	return sk;
}

/** Frees a sock. If a call holds it, sock_put() frees it later. */
export function sk_free(k: Stack, sk: Sk): void {
	if (k.held === sk) k.held_freed = true;
	else k.sock.kmem_cache_free(sk);
}

/**
 * sk_clone_lock: a copy of a listener for a child. The port lock and the reuseport group are not
 * copied.
 */
export function sk_clone(k: Stack, sk: Sk): Sk {
	const newsk = k.sock.kmem_cache_zalloc();
	const S = k.sock;
	S.copy(newsk, sk);
	S.node_next[newsk] = 0;
	S.node_pprev[newsk] = 0;
	S.bind_node_next[newsk] = 0;
	S.bind_node_pprev[newsk] = 0;
	S.bind2_node_next[newsk] = 0;
	S.bind2_node_pprev[newsk] = 0;
	S.sk_socket[newsk] = 0;
	if (!k.changes.has("orphan-uid")) S.sk_uid[newsk] = GLOBAL_ROOT_UID; // since 6.17, c51da3f7a161
	S.sk_reuseport_cb[newsk] = 0;
	S.sk_ack_backlog.set(newsk, 0);
	S.sk_err[newsk] = 0;
	S.sk_userlocks[newsk] &= ~SOCK_BINDPORT_LOCK;
	return newsk;
}

/**
 * The user of a socket: that of its inode. If no file refers to the socket (an orphan, or a
 * connection that was not accepted yet), it is root. Since 6.17 (orphan-uid) such a socket keeps
 * its user, or has the user of its listener.
 */
export function sock_i_uid(k: Stack, sk: Sk): number {
	return k.sock.sk_uid[sk];
}

/**
 * sock_alloc_send_pskb: the checks before data is sent. Returns and clears the pending error of the
 * sock, or returns -EPIPE after shutdown(), or 0.
 */
export function sock_alloc_send_skb(k: Stack, sk: Sk): number {
	const err = sock_error(k, sk);
	if (err !== 0) return err;
	return (k.sock.sk_shutdown[sk] & SEND_SHUTDOWN) !== 0 ? -EPIPE : 0;
}

/** sock_no_listen, sock_no_accept: listen() and accept() of a datagram socket. */
export function sock_no_listen(): number {
	return -EOPNOTSUPP;
}

/** Delivers what arrived while the call held the sock, and tells its protocol. */
export function release_sock(k: Stack, sk: Sk): void {
	process_backlog(k);
	sk_prot(k, sk).release_cb?.(k, sk);
}

/**
 * The last close() of a sock: no file refers to it any more. The caller frees the sock, unless
 * something still holds it (sock_put of C).
 */
export function sk_common_release(k: Stack, sk: Sk): void {
	const prot = sk_prot(k, sk);
	prot.destroy?.(k, sk);
	prot.unhash(k, sk);
	sock_orphan(k, sk);
}

/** Registers a protocol at boot. */
export function proto_register(k: Stack, prot: Proto): void {
	k.protocols.proto_list[prot.prot] = prot;
}
