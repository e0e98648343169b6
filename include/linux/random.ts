// SPDX-License-Identifier: GPL-2.0-or-later
/**
 * Random draws (include/linux/random.h, drivers/char/random.c).
 *
 * Every random draw that decides a port goes through this interface. The draws are of the same
 * kind and in the same order as in the modelled kernel. So a run can be repeated from a seed, from
 * the draws that a real kernel made, or from a result of a real kernel.
 */
import { mulU32High } from "./math.js";

export abstract class Random {
	/** A u32. */
	abstract get_random_u32(): number;
	/** A u16. */
	abstract get_random_u16(): number;
	/** A u8. */
	abstract get_random_u8(): number;

	/** Fills a secret that a kernel draws only once (get_random_bytes, net_get_random_once). */
	get_random_bytes(words: Uint32Array): void {
		for (let i = 0; i < words.length; i++) words[i] = this.get_random_u32();
	}

	/** hash_mix of a new namespace: net/core/net_namespace.c: setup_net (get_random_bytes). */
	netHashMix(): number {
		return this.get_random_u32();
	}

	/**
	 * The result of secure_ipv4_port_ephemeral (`family` 4) or secure_ipv6_port_ephemeral (6) in
	 * the real kernel that made these draws. Stored in `offset`, low half first. Returns false if
	 * it is not known; then the model computes it.
	 */
	portEphemeral(_family: 4 | 6, _offset: Uint32Array): boolean {
		return false;
	}

	/**
	 * drivers/char/random.c: __get_random_u32_below. A number in [0, ceil), for a ceil that is not
	 * a compile-time constant in C. Multiplies and rejects, so that every number is equally likely.
	 * If ceil is 0, any u32.
	 */
	__get_random_u32_below(ceil: number): number {
		let rand = this.get_random_u32();
		if (ceil === 0) return rand;
		if (Math.imul(rand, ceil) >>> 0 < ceil) {
			const bound = (0x100000000 - ceil) % ceil;
			while (Math.imul(rand, ceil) >>> 0 < bound) rand = this.get_random_u32();
		}
		return mulU32High(rand, ceil);
	}

	/**
	 * include/linux/random.h: get_random_u32_below for a ceil that is a compile-time constant in C.
	 * A number in [0, ceil). Draws only a u8 or u16 if that is enough.
	 */
	getRandomU32BelowConst(ceil: number): number {
		if (ceil <= 1) return 0;
		for (;;) {
			if (ceil <= 0x100) {
				const mult = ceil * this.get_random_u8();
				if ((ceil & (ceil - 1)) === 0 || (mult & 0xff) >= 0x100 % ceil) return mult >>> 8;
			} else if (ceil <= 0x10000) {
				const mult = ceil * this.get_random_u16();
				if ((ceil & (ceil - 1)) === 0 || (mult & 0xffff) >= 0x10000 % ceil) return mult >>> 16;
			} else {
				const rand = this.get_random_u32();
				const low = Math.imul(rand, ceil) >>> 0;
				if ((ceil & (ceil - 1)) === 0 || low >= 0x100000000 % ceil) return mulU32High(rand, ceil);
			}
		}
	}
}
