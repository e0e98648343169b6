// SPDX-License-Identifier: GPL-2.0-or-later
/** net/sctp/bind_addr.c: lists of bound addresses, and whether two lists overlap. */
import type { Sk } from "../../include/linux/handle.js";
import { AF_INET, AF_INET6, AF_UNSPEC } from "../../include/linux/socket.js";
import type { Net } from "../../include/net/net_namespace.js";
import {
	SCTP_ADDR4_ALLOWED,
	SCTP_ADDR4_PEERSUPP,
	SCTP_ADDR6_ALLOWED,
	SCTP_ADDR6_PEERSUPP,
	SCTP_SCOPE_GLOBAL,
	SCTP_SCOPE_LINK,
	SCTP_SCOPE_UNUSABLE,
	type SctpAddr,
	type SctpBindAddr,
	sctp_sk,
	sctpAddrDup,
} from "../../include/net/sctp.js";
import type { Stack } from "../../include/net/stack.js";
import { EEXIST, EINVAL, ENETUNREACH } from "../../include/uapi/asm-generic/errno.js";
import { sctp_cmp_addr_exact } from "./associola.js";
import { sctp_copy_local_addr_list, sctp_get_af_specific, sctp_pf } from "./protocol.js";

/**
 * Copies the addresses that are usable in `scope`. The wildcard is replaced by the addresses of the
 * namespace. `flags` are SCTP_ADDR*. Returns 0, or -ENETUNREACH if no address is left.
 */
export function sctp_bind_addr_copy(
	net: Net,
	dest: SctpBindAddr,
	src: SctpBindAddr,
	scope: number,
	flags: number,
): number {
	dest.port = src.port;
	for (const addr of src.address_list) sctp_copy_one_addr(net, dest, addr, scope, flags);
	// Global scope, but there are only link-local addresses: the host may be behind a NAT.
	if (dest.address_list.length === 0 && scope === SCTP_SCOPE_GLOBAL) {
		for (const addr of src.address_list) {
			sctp_copy_one_addr(net, dest, addr, SCTP_SCOPE_LINK, flags);
		}
	}
	return dest.address_list.length === 0 ? -ENETUNREACH : 0;
}

/** Copies all addresses. For accept(). */
export function sctp_bind_addr_dup(dest: SctpBindAddr, src: SctpBindAddr): void {
	dest.port = src.port;
	for (const addr of src.address_list) sctp_add_bind_addr(dest, addr);
}

/** Appends a copy of an address. If it has no port, it gets the port of the list. */
export function sctp_add_bind_addr(bp: SctpBindAddr, addr: SctpAddr): void {
	const copy = sctpAddrDup(addr);
	if (copy.sin_port === 0) copy.sin_port = bp.port;
	bp.address_list.push(copy);
}

/** Removes an address. Returns 0, or -EINVAL if the list does not contain it. */
export function sctp_del_bind_addr(bp: SctpBindAddr, del_addr: SctpAddr): number {
	const index = bp.address_list.findIndex((addr) => sctp_cmp_addr_exact(addr, del_addr));
	if (index === -1) return -EINVAL;
	bp.address_list.splice(index, 1);
	return 0;
}

/** Whether an address of the list matches, for sock `sk`. Wildcards match as well. */
export function sctp_bind_addr_match(k: Stack, bp: SctpBindAddr, addr: SctpAddr, sk: Sk): boolean {
	const pf = sctp_pf(k, sk);
	for (const laddr of bp.address_list) if (pf.cmp_addr(k, laddr, addr, sk)) return true;
	return false;
}

/**
 * Compares the addresses of sock `sk` with the `cnt2` addresses of sock `sk2`. Returns 0 if they
 * are the same, -EEXIST if they overlap, 1 if they do not overlap.
 */
export function sctp_bind_addrs_check(k: Stack, sk: Sk, sk2: Sk, cnt2: number): number {
	const { af } = sctp_pf(k, sk);
	const list2 = sctp_sk(k, sk2).ep.bind_addr.address_list;
	let exist = false;
	let cnt = 0;
	for (const laddr of sctp_sk(k, sk).ep.bind_addr.address_list) {
		if (!list2.some((laddr2) => af.cmp_addr(laddr, laddr2))) {
			cnt = 0;
			break;
		}
		exist = true;
		cnt++;
	}
	if (cnt === cnt2) return 0;
	return exist ? -EEXIST : 1;
}

/**
 * Whether the address that sock `addr_sk` asks for equals or covers an address in the list of sock
 * `bp_sk`. If one of the socks is IPv6, its comparison is used.
 */
export function sctp_bind_addr_conflict(
	k: Stack,
	bp: SctpBindAddr,
	addr: SctpAddr,
	bp_sk: number,
	addr_sk: number,
): boolean {
	const family = k.sock.skc_family;
	const sk = family[bp_sk] !== AF_INET6 && family[addr_sk] === AF_INET6 ? addr_sk : bp_sk;
	return sctp_bind_addr_match(k, bp, addr, sk);
}

/** Whether the list contains exactly this address (C returns its state, or -1). */
export function sctp_bind_addr_state(bp: SctpBindAddr, addr: SctpAddr): boolean {
	const af = sctp_get_af_specific(addr.sin_family);
	return af !== null && bp.address_list.some((laddr) => af.cmp_addr(laddr, addr));
}

function sctp_copy_one_addr(
	net: Net,
	dest: SctpBindAddr,
	addr: SctpAddr,
	scope: number,
	flags: number,
): void {
	if (sctp_is_any(null, 0, addr)) {
		sctp_copy_local_addr_list(net, dest, scope, flags);
	} else if (sctp_in_scope(addr, scope) && sctpAddrSupported(addr, flags)) {
		sctp_add_bind_addr(dest, addr);
	}
}

/** Whether both ends support the family of an address. `flags` are SCTP_ADDR*. */
export function sctpAddrSupported(addr: SctpAddr, flags: number): boolean {
	const needed =
		addr.sin_family === AF_INET
			? SCTP_ADDR4_ALLOWED | SCTP_ADDR4_PEERSUPP
			: SCTP_ADDR6_ALLOWED | SCTP_ADDR6_PEERSUPP;
	return (flags & needed) === needed;
}

/**
 * Whether an address is the wildcard. AF_UNSPEC stands for the family of sock `sk` (k null: no
 * sock).
 */
export function sctp_is_any(k: Stack | null, sk: Sk, addr: SctpAddr): boolean {
	let fam = addr.sin_family;
	if (fam === AF_UNSPEC && k !== null) fam = k.sock.skc_family[sk];
	return sctp_get_af_specific(fam)?.is_any(addr) ?? false;
}

/** Whether an address is usable in `scope`. net.sctp.addr_scope_policy is 1. */
export function sctp_in_scope(addr: SctpAddr, scope: number): boolean {
	const addr_scope = sctp_get_af_specific(addr.sin_family)?.scope(addr) ?? SCTP_SCOPE_UNUSABLE;
	return addr_scope !== SCTP_SCOPE_UNUSABLE && addr_scope <= scope;
}
