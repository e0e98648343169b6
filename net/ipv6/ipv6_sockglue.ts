// SPDX-License-Identifier: GPL-2.0-or-later
/** net/ipv6/ipv6_sockglue.c: the options of level SOL_IPV6 that affect ports. */

import { CAP_NET_ADMIN, CAP_NET_RAW } from "../../include/linux/capability.js";
import type { Sk } from "../../include/linux/handle.js";
import { INET_DGRAM_OPS, INET_STREAM_OPS } from "../../include/linux/net.js";
import { AF_INET, SOL_IPV6 } from "../../include/linux/socket.js";
import { ipv6_only_sock } from "../../include/net/inet_sock.js";
import { ipv6_addr_v4mapped } from "../../include/net/ipv6.js";
import {
	INET_FREEBIND,
	INET_RECVERR6,
	INET_TRANSPARENT,
	PROT_TCP,
	PROT_UDP,
	PROT_UDPLITE,
} from "../../include/net/sock.js";
import type { Stack } from "../../include/net/stack.js";
import { TCP_ESTABLISHED } from "../../include/net/tcp_states.js";
import {
	EADDRNOTAVAIL,
	EFAULT,
	EINVAL,
	ENOPROTOOPT,
	ENOTCONN,
	EPERM,
} from "../../include/uapi/asm-generic/errno.js";
import {
	IPPROTO_TCP,
	IPPROTO_UDP,
	IPPROTO_UDPLITE,
	IPV6_ADDRFORM,
	IPV6_FREEBIND,
	IPV6_RECVERR,
	IPV6_TRANSPARENT,
	IPV6_V6ONLY,
} from "../../include/uapi/linux/in.js";
import { intAt, intBytes, NotModelled, sockopt_ns_capable } from "../core/sock.js";

/**
 * setsockopt() of level SOL_IPV6. A value shorter than an int is read as 0. Returns 0 or a negative
 * errno. Throws NotModelled for an option that is left out.
 */
export function do_ipv6_setsockopt(
	k: Stack,
	sk: Sk,
	optname: number,
	optval: Uint8Array | null,
	optlen: number,
): number {
	const S = k.sock;
	let val = 0;
	if (optval !== null && optlen >= 4) {
		if (optval.length < 4) return -EFAULT;
		val = intAt(optval);
	}
	const flag = (bit: number): number => {
		if (optlen < 4) return -EINVAL;
		if (val !== 0) S.inet_flags[sk] |= bit;
		else S.inet_flags[sk] &= ~bit;
		return 0;
	};
	switch (optname) {
		case IPV6_ADDRFORM:
			if (optlen < 4) return -EINVAL;
			return val === AF_INET ? addrForm(k, sk) : -EINVAL;
		case IPV6_V6ONLY:
			if (optlen < 4 || S.skc_num[sk] !== 0) return -EINVAL;
			S.skc_ipv6only[sk] = val !== 0 ? 1 : 0;
			return 0;
		case IPV6_FREEBIND:
			return flag(INET_FREEBIND);
		case IPV6_TRANSPARENT:
			if (
				val !== 0 &&
				!sockopt_ns_capable(k, CAP_NET_ADMIN) &&
				!sockopt_ns_capable(k, CAP_NET_RAW)
			) {
				return -EPERM;
			}
			return flag(INET_TRANSPARENT);
		case IPV6_RECVERR:
			return flag(INET_RECVERR6);
		default:
			throw new NotModelled(`setsockopt level ${SOL_IPV6} option ${optname}`);
	}
}

/**
 * IPV6_ADDRFORM: turns a socket that is connected to a v4-mapped address into an AF_INET socket.
 * Does not change the tables: its bind2 bucket stays an AF_INET6 bucket.
 */
function addrForm(k: Stack, sk: Sk): number {
	const S = k.sock;
	const protocol = S.sk_protocol[sk];
	// C also checks sk_prot, which a ULP such as TLS replaces. The model has none.
	if (protocol !== IPPROTO_TCP && protocol !== IPPROTO_UDP && protocol !== IPPROTO_UDPLITE) {
		return -ENOPROTOOPT;
	}
	if (S.skc_state[sk] !== TCP_ESTABLISHED) return -ENOTCONN;
	if (ipv6_only_sock(k, sk) || !ipv6_addr_v4mapped(S.skc_v6_daddr, sk * 4)) return -EADDRNOTAVAIL;
	const prots: Record<number, number> = {
		[IPPROTO_TCP]: PROT_TCP,
		[IPPROTO_UDP]: PROT_UDP,
		[IPPROTO_UDPLITE]: PROT_UDPLITE,
	};
	S.skc_prot[sk] = prots[protocol];
	k.socket.ops[S.sk_socket[sk]] = protocol === IPPROTO_TCP ? INET_STREAM_OPS : INET_DGRAM_OPS;
	S.skc_family[sk] = AF_INET;
	return 0;
}

/** getsockopt() of level SOL_IPV6. Returns the bytes written, or a negative errno. */
export function do_ipv6_getsockopt(
	k: Stack,
	sk: Sk,
	optname: number,
	optlen: number,
): Uint8Array | number {
	const S = k.sock;
	switch (optname) {
		case IPV6_ADDRFORM:
			if (![IPPROTO_UDP, IPPROTO_UDPLITE, IPPROTO_TCP].includes(S.sk_protocol[sk])) {
				return -ENOPROTOOPT;
			}
			if (S.skc_state[sk] !== TCP_ESTABLISHED) return -ENOTCONN;
			return intBytes(S.skc_family[sk], optlen);
		case IPV6_V6ONLY:
			return intBytes(S.skc_ipv6only[sk], optlen);
		case IPV6_FREEBIND:
			return intBytes((S.inet_flags[sk] & INET_FREEBIND) !== 0 ? 1 : 0, optlen);
		case IPV6_TRANSPARENT:
			return intBytes((S.inet_flags[sk] & INET_TRANSPARENT) !== 0 ? 1 : 0, optlen);
		case IPV6_RECVERR:
			return intBytes((S.inet_flags[sk] & INET_RECVERR6) !== 0 ? 1 : 0, optlen);
		default:
			throw new NotModelled(`getsockopt level ${SOL_IPV6} option ${optname}`);
	}
}
