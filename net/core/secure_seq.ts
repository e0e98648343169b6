// SPDX-License-Identifier: GPL-2.0-or-later
/** net/core/secure_seq.c: port_offset, which decides where connect()'s search for a port begins. */
import type { Port } from "../../include/linux/handle.js";
import { siphash, siphash_4u32 } from "../../include/linux/siphash.js";
import type { Stack } from "../../include/net/stack.js";
import { swab16, swab32 } from "../../include/uapi/linux/swab.js";

/** port_offset changes once in this time, ms. */
export const EPHEMERAL_PORT_SHUFFLE_PERIOD = 10_000;

function net_secret_init(k: Stack): Uint32Array {
	if (k.net_secret === null) {
		k.net_secret = new Uint32Array(4);
		k.random.get_random_bytes(k.net_secret);
	}
	return k.net_secret;
}

function timeseed(k: Stack): number {
	return Math.floor(k.timers.now / EPHEMERAL_PORT_SHUFFLE_PERIOD);
}

/** secure_ipv4_port_ephemeral over IPv6. An address is an array and the index of its first word. */
export function secure_ipv6_port_ephemeral(
	k: Stack,
	saddr: Uint32Array,
	si: number,
	daddr: Uint32Array,
	di: number,
	dport: Port,
): void {
	if (k.random.portEphemeral(6, k.port_offset)) return;
	portOffset6(k, saddr, si, daddr, di, dport, timeseed(k));
}

/** secure_ipv6_port_ephemeral at a time: jiffies / EPHEMERAL_PORT_SHUFFLE_PERIOD. */
export function portOffset6(
	k: Stack,
	saddr: Uint32Array,
	si: number,
	daddr: Uint32Array,
	di: number,
	dport: Port,
	seed: number,
): void {
	const combined = k.port_ephemeral_data;
	for (let word = 0; word < 4; word++) {
		combined[word] = swab32(saddr[si + word]);
		combined[4 + word] = swab32(daddr[di + word]);
	}
	combined[8] = seed;
	combined[9] = swab16(dport);
	siphash(combined, 38, net_secret_init(k), k.port_offset, k.siphash_state);
}

/**
 * A u64 hash of source address, destination address and destination port, stored in k.port_offset.
 * Its low half selects the entry of table_perturb, its high half is added to this entry.
 */
export function secure_ipv4_port_ephemeral(
	k: Stack,
	saddr: number,
	daddr: number,
	dport: Port,
): void {
	if (k.random.portEphemeral(4, k.port_offset)) return;
	portOffset4(k, saddr, daddr, dport, timeseed(k));
}

/** secure_ipv4_port_ephemeral at a time: jiffies / EPHEMERAL_PORT_SHUFFLE_PERIOD. */
export function portOffset4(
	k: Stack,
	saddr: number,
	daddr: number,
	dport: Port,
	seed: number,
): void {
	const out = k.port_offset;
	const secret = net_secret_init(k);
	// Programs often connect to the same destination again.
	const last = k.last_port_ephemeral;
	if (
		last.secret !== secret ||
		last.saddr !== saddr ||
		last.daddr !== daddr ||
		last.dport !== dport ||
		last.seed !== seed
	) {
		siphash_4u32(swab32(saddr), swab32(daddr), swab16(dport), seed, secret, out, k.siphash_state);
		last.secret = secret;
		last.saddr = saddr;
		last.daddr = daddr;
		last.dport = dport;
		last.seed = seed;
		last.low = out[0];
		last.high = out[1];
	}
	out[0] = last.low;
	out[1] = last.high;
}
