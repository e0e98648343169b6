// SPDX-License-Identifier: GPL-2.0-or-later
/** net/ipv4/ip_sockglue.c: the options of level SOL_IP that affect ports. */

import { CAP_NET_ADMIN, CAP_NET_RAW } from "../../include/linux/capability.js";
import type { Sk } from "../../include/linux/handle.js";
import { SOL_IP } from "../../include/linux/socket.js";
import {
	INET_BIND_ADDRESS_NO_PORT,
	INET_FREEBIND,
	INET_RECVERR,
	INET_TRANSPARENT,
} from "../../include/net/sock.js";
import type { Stack } from "../../include/net/stack.js";
import { EFAULT, EINVAL, ENOPROTOOPT, EPERM } from "../../include/uapi/asm-generic/errno.js";
import {
	IP_BIND_ADDRESS_NO_PORT,
	IP_FREEBIND,
	IP_LOCAL_PORT_RANGE,
	IP_PROTOCOL,
	IP_RECVERR,
	IP_TRANSPARENT,
} from "../../include/uapi/linux/in.js";
import { intAt, intBytes, NotModelled, sockopt_ns_capable } from "../core/sock.js";

function setFlag(k: Stack, sk: Sk, flag: number, val: number): void {
	if (val !== 0) k.sock.inet_flags[sk] |= flag;
	else k.sock.inet_flags[sk] &= ~flag;
}

/**
 * setsockopt() of level SOL_IP. A value shorter than an int is read as one unsigned byte, an empty
 * value as 0. Returns 0 or a negative errno. Throws NotModelled for an option that is left out.
 */
export function do_ip_setsockopt(
	k: Stack,
	sk: Sk,
	optname: number,
	optval: Uint8Array | null,
	optlen: number,
): number {
	const S = k.sock;
	switch (optname) {
		case IP_RECVERR:
		case IP_FREEBIND:
		case IP_TRANSPARENT:
		case IP_BIND_ADDRESS_NO_PORT:
		case IP_LOCAL_PORT_RANGE:
			break;
		case IP_PROTOCOL:
			return -ENOPROTOOPT; // a socket can only show it
		default:
			throw new NotModelled(`setsockopt level ${SOL_IP} option ${optname}`);
	}
	let val = 0;
	const copied = optlen >= 4 ? 4 : optlen >= 1 ? 1 : 0;
	if (copied > 0) {
		if (optval === null || optval.length < copied) return -EFAULT;
		val = copied === 4 ? intAt(optval) : optval[0];
	}
	switch (optname) {
		case IP_BIND_ADDRESS_NO_PORT:
			setFlag(k, sk, INET_BIND_ADDRESS_NO_PORT, val);
			return 0;
		case IP_RECVERR:
			setFlag(k, sk, INET_RECVERR, val);
			return 0;
		case IP_FREEBIND:
			if (optlen < 1) return -EINVAL;
			setFlag(k, sk, INET_FREEBIND, val);
			return 0;
		case IP_TRANSPARENT:
			if (
				val !== 0 &&
				!sockopt_ns_capable(k, CAP_NET_RAW) &&
				!sockopt_ns_capable(k, CAP_NET_ADMIN)
			) {
				return -EPERM;
			}
			if (optlen < 1) return -EINVAL;
			setFlag(k, sk, INET_TRANSPARENT, val);
			return 0;
		default: {
			// IP_LOCAL_PORT_RANGE: the low bound is in the low half. A bound that is not set is 0.
			const lo = val & 0xffff;
			const hi = val >>> 16;
			if (optlen !== 4) return -EINVAL;
			if (lo !== 0 && hi !== 0 && lo > hi) return -EINVAL;
			S.local_port_range_lo[sk] = lo;
			S.local_port_range_hi[sk] = hi;
			return 0;
		}
	}
}

/**
 * getsockopt() of level SOL_IP. Returns the bytes written, or a negative errno. Writes one byte if
 * the buffer is shorter than an int and the value fits in a byte.
 */
export function do_ip_getsockopt(
	k: Stack,
	sk: Sk,
	optname: number,
	optlen: number,
): Uint8Array | number {
	const S = k.sock;
	if (optlen < 0) return -EINVAL;
	let val: number;
	switch (optname) {
		case IP_BIND_ADDRESS_NO_PORT:
			val = (S.inet_flags[sk] & INET_BIND_ADDRESS_NO_PORT) !== 0 ? 1 : 0;
			break;
		case IP_RECVERR:
			val = (S.inet_flags[sk] & INET_RECVERR) !== 0 ? 1 : 0;
			break;
		case IP_FREEBIND:
			val = (S.inet_flags[sk] & INET_FREEBIND) !== 0 ? 1 : 0;
			break;
		case IP_TRANSPARENT:
			val = (S.inet_flags[sk] & INET_TRANSPARENT) !== 0 ? 1 : 0;
			break;
		case IP_LOCAL_PORT_RANGE:
			val = (S.local_port_range_hi[sk] << 16) | S.local_port_range_lo[sk];
			break;
		case IP_PROTOCOL:
			// The number of a raw socket's protocol and a port are the same field.
			if (!k.changes.has("ip-protocol-option")) return -ENOPROTOOPT; // since 6.4, 3632679d9e4f
			val = S.skc_num[sk];
			break;
		default:
			throw new NotModelled(`getsockopt level ${SOL_IP} option ${optname}`);
	}
	if (optlen > 0 && optlen < 4 && val >= 0 && val <= 255) return Uint8Array.of(val);
	return intBytes(val, optlen);
}
