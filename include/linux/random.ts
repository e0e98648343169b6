// SPDX-License-Identifier: GPL-2.0-or-later
/**
 * Random draws (include/linux/random.h, drivers/char/random.c).
 *
 * Every draw that decides a port goes through this interface, of the same kind and in the
 * same order as in the modelled kernel, so that a run can be repeated from a seed, from
 * the draws that a real kernel made, or from a result that a real kernel gave.
 */
import { mulU32High } from "./math.js";

export abstract class Random {
	/** A u32. */
	abstract get_random_u32(): number;
	/** A u16. */
	abstract get_random_u16(): number;
	/** A u8. */
	abstract get_random_u8(): number;

	/** Fills a secret that is drawn once in a kernel's life (get_random_bytes, net_get_random_once). */
	get_random_bytes(words: Uint32Array): void {
		for (let i = 0; i < words.length; i++) words[i] = this.get_random_u32();
	}

	/**
	 * What secure_ipv4_port_ephemeral (`family` 4) or secure_ipv6_port_ephemeral (6) gave in the
	 * kernel whose draws these are: into `offset`, low half first. False where nobody knows.
	 */
	portEphemeral(_family: 4 | 6, _offset: Uint32Array): boolean {
		return false;
	}

	/**
	 * A number in [0, ceil), for a ceil that the compiler does not know:
	 * drivers/char/random.c: __get_random_u32_below. Multiplies and rejects, so that every
	 * number is equally likely; ceil 0 gives any u32.
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
	 * A number in [0, ceil) for a constant ceil: include/linux/random.h:
	 * get_random_u32_below, which then draws no more bits than it needs.
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
