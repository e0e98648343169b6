// SPDX-License-Identifier: GPL-2.0-or-later
/** net/core/secure_seq.c: where connect()'s search for a port begins, for one destination. */
import { siphash_4u32 } from "../../include/linux/siphash.js";
import type { Stack } from "../../include/net/stack.js";
import { swab16, swab32 } from "../../include/uapi/linux/swab.js";

/** The offsets are shuffled anew every ten seconds (EPHEMERAL_PORT_SHUFFLE_PERIOD), in ms. */
export const EPHEMERAL_PORT_SHUFFLE_PERIOD = 10_000;

/**
 * A u64 for (source address, destination address, destination port), into k.port_offset:
 * its low half picks the slot of table_perturb, its high half is added to it.
 */
export function secure_ipv4_port_ephemeral(
	k: Stack,
	saddr: number,
	daddr: number,
	dport: number,
): void {
	if (k.net_secret === null) {
		k.net_secret = new Uint32Array(4);
		k.random.get_random_bytes(k.net_secret);
	}
	siphash_4u32(
		swab32(saddr),
		swab32(daddr),
		swab16(dport),
		Math.floor(k.timers.now / EPHEMERAL_PORT_SHUFFLE_PERIOD),
		k.net_secret,
		k.port_offset,
	);
}
