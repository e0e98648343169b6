// SPDX-License-Identifier: GPL-2.0-or-later
/** UDP's hash tables and their inline functions (include/net/udp.h, include/linux/udp.h). */

import { BITS_TO_LONGS } from "../linux/bitmap.js";
import type { Heads, Ifindex, Port, Sk } from "../linux/handle.js";
import type { In6Addr } from "./ipv6.js";
import type { Net } from "./net_namespace.js";
import { RefusedPorts } from "./refused_ports.js";
import type { SockTable } from "./sock.js";
import type { Stack } from "./stack.js";

/** A datagram that a sock has received: a struct sk_buff with its headers. */
export interface Datagram {
	/** Bytes of data. */
	len: number;
	/** Source port. */
	sport: Port;
	/** Source address over IPv4, host order; over IPv6 it is 0. */
	saddr: number;
	/** Source address over IPv6; null over IPv4. */
	v6_saddr: In6Addr | null;
	/** inet6_iif: the device that received it over IPv6. */
	iif: Ifindex;
}

/** Number of ports. */
const MAX_UDP_PORTS = 65536;
const UDP_HTABLE_SIZE_MIN = 256;
/** Fewest slots of a table that belongs to one namespace. */
export const UDP_HTABLE_SIZE_MIN_PERNET = 128;
export const UDP_HTABLE_SIZE_MAX = 65536;
/** Slots on a machine with 24 GiB: one for every 2 MiB, rounded up to a power of two. */
export const UDP_HTABLE_SIZE_DEFAULT = 16_384;

/**
 * struct udp_table. Every bound sock is on two chains: one of `hash` by its port, one of `hash2` by
 * its address and port. `hash` and `hash2` hold the first sock of each chain (struct udp_hslot).
 * `count` and `count2` hold the number of socks on each chain. Chains of `hash` are linked by
 * node_next, those of `hash2` by bind_node_next. The skc_hash of a sock holds both hashes.
 *
 * Since udp-hash4 a connected sock with an address is on a third chain, of `hash4`, by its
 * four-tuple. These chains are linked by bind2_node_next. `hash4_cnt` counts these socks for each
 * slot of `hash2`.
 */
export class UdpTable {
	// Each is allocated when it is first read, so that a kernel without sockets is small.
	private heads: Heads<Sk> | null = null;
	private counts: Uint32Array | null = null;
	private heads2: Heads<Sk> | null = null;
	private counts2: Uint32Array | null = null;
	private heads4: Heads<Sk> | null = null;
	private counts4: Uint32Array | null = null;
	/** Number of slots - 1. */
	readonly mask: number;
	/** log2 of the number of slots. */
	readonly log: number;
	/**
	 * Scratch of the search and of udpCandidate: the ports of one chain that are in use, one bit
	 * each. In C it is on the stack.
	 */
	readonly bitmap: Uint32Array;
	/**
	 * sk_receive_queue of a sock: its datagrams, the oldest first. Freeing a sock clears only its
	 * columns. Delete its queue before.
	 */
	readonly receive_queue = new Map<Sk, Datagram[]>();
	/** Ports with a sock on an address or on the wildcard, for bind(). */
	readonly refused = new RefusedPorts(4);
	/**
	 * Secrets of the hashes of lookups, drawn at first use. In C they are static variables, shared
	 * by UDP and UDP-Lite. So only those of k.udp_table are used.
	 */
	udp_ehash_secret: number | null = null;
	udp6_ehash_secret: number | null = null;
	udp_ipv6_hash_secret: number | null = null;

	/** Throws RangeError if `size` is not a power of two or no kernel has a table of this size. */
	constructor(size = UDP_HTABLE_SIZE_DEFAULT, min = UDP_HTABLE_SIZE_MIN) {
		const power = Number.isInteger(size) && (size & (size - 1)) === 0;
		if (!power || size < min || size > UDP_HTABLE_SIZE_MAX) {
			throw new RangeError(
				`size of udp must be a power of two from ${min} to ${UDP_HTABLE_SIZE_MAX}, is ${size}`,
			);
		}
		this.mask = size - 1;
		this.log = Math.log2(size);
		this.bitmap = new Uint32Array(BITS_TO_LONGS(udpPortsPerChain(this.log)));
	}

	get hash(): Heads<Sk> {
		this.heads ??= this.newHeads();
		return this.heads;
	}
	get count(): Uint32Array {
		this.counts ??= this.newCounts();
		return this.counts;
	}
	get hash2(): Heads<Sk> {
		this.heads2 ??= this.newHeads();
		return this.heads2;
	}
	get count2(): Uint32Array {
		this.counts2 ??= this.newCounts();
		return this.counts2;
	}
	get hash4(): Heads<Sk> {
		this.heads4 ??= this.newHeads();
		return this.heads4;
	}
	get hash4_cnt(): Uint32Array {
		this.counts4 ??= this.newCounts();
		return this.counts4;
	}

	private newHeads(): Heads<Sk> {
		return new Int32Array(this.mask + 1);
	}
	private newCounts(): Uint32Array {
		return new Uint32Array(this.mask + 1);
	}
}

/** The number of ports that share one chain of the first hash, in a table of 2^log slots. */
export function udpPortsPerChain(log: number): number {
	return MAX_UDP_PORTS >>> log;
}

/** Slot of a local port in the first hash. */
function udp_hashfn(net: Net, num: Port, mask: number): number {
	return (num + net.hash_mix) & mask;
}

export function udp_hashslot(table: UdpTable, net: Net, num: Port): number {
	return udp_hashfn(net, num, table.mask);
}

/** Slot of a hash of address and port in the second hash. */
export function udp_hashslot2(table: UdpTable, hash: number): number {
	return hash & table.mask;
}

/** Is never called: udp_lib_get_port hashes a sock. Throws Error. */
export function udp_lib_hash(_k: Stack, sk: Sk): number {
	throw new Error(`udp_lib_hash: socket ${sk}`);
}

/** Slot of a hash of a four-tuple in the third hash. */
export function udp_hashslot4(table: UdpTable, hash: number): number {
	return hash & table.mask;
}

/** include/linux/udp.h: udp_hashed4. Whether a sock is on a chain of the third hash. */
export function udp_hashed4(S: SockTable, sk: Sk): boolean {
	return S.bind2_node_pprev[sk] !== 0;
}

/** up->udp_port_hash: the port in the first hash of a sock. It stays after the sock is unhashed. */
export function udp_port_hash(S: SockTable, sk: Sk): Port {
	return S.skc_hash[sk] & 0xffff;
}

/** up->udp_portaddr_hash: the second hash of a sock, 16 bits. */
export function udp_portaddr_hash(S: SockTable, sk: Sk): number {
	return S.skc_hash[sk] >>> 16;
}

export function setUdpHashes(S: SockTable, sk: Sk, port: Port, portaddr: number): void {
	S.skc_hash[sk] = (portaddr << 16) | port;
}

/**
 * Whether a sock bound to bound_dev_if (0: none) receives datagrams of device `dif`, or of its VRF
 * `sdif` (0: none).
 */
export function udp_sk_bound_dev_eq(
	net: Net,
	bound_dev_if: Ifindex,
	dif: Ifindex,
	sdif: Ifindex,
): boolean {
	if (bound_dev_if === 0) return sdif === 0 || net.ipv4.sysctl_udp_l3mdev_accept !== 0;
	return bound_dev_if === dif || bound_dev_if === sdif;
}
