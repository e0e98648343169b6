// SPDX-License-Identifier: GPL-2.0-or-later
/**
 * SipHash-2-4 of four u32 words, or of any number of words (include/linux/siphash.h,
 * lib/siphash.c). A u64 is two u32 halves, so that nothing is allocated.
 */

/** A 128-bit key: four u32 words, key[0] low, key[0] high, key[1] low, key[1] high. */
type SiphashKey = Uint32Array;

/** Scratch memory that the caller supplies: v0 to v3, low and high halves. */
export type SiphashState = Int32Array;

export function newSiphashState(): SiphashState {
	return new Int32Array(8);
}

/**
 * One round. The halves are int32 because they add faster. A sum carries if it is smaller unsigned.
 */
function sipround(state: SiphashState): void {
	let v0l = state[0];
	let v0h = state[1];
	let v1l = state[2];
	let v1h = state[3];
	let v2l = state[4];
	let v2h = state[5];
	let v3l = state[6];
	let v3h = state[7];
	let t: number;

	t = (v0l + v1l) | 0;
	v0h = (v0h + v1h + (t >>> 0 < v0l >>> 0 ? 1 : 0)) | 0;
	v0l = t;
	t = ((v1l << 13) | (v1h >>> 19)) ^ v0l;
	v1h = ((v1h << 13) | (v1l >>> 19)) ^ v0h;
	v1l = t;
	t = v0l;
	v0l = v0h;
	v0h = t;

	t = (v2l + v3l) | 0;
	v2h = (v2h + v3h + (t >>> 0 < v2l >>> 0 ? 1 : 0)) | 0;
	v2l = t;
	t = ((v3l << 16) | (v3h >>> 16)) ^ v2l;
	v3h = ((v3h << 16) | (v3l >>> 16)) ^ v2h;
	v3l = t;

	t = (v0l + v3l) | 0;
	v0h = (v0h + v3h + (t >>> 0 < v0l >>> 0 ? 1 : 0)) | 0;
	v0l = t;
	t = ((v3l << 21) | (v3h >>> 11)) ^ v0l;
	v3h = ((v3h << 21) | (v3l >>> 11)) ^ v0h;
	v3l = t;

	t = (v2l + v1l) | 0;
	v2h = (v2h + v1h + (t >>> 0 < v2l >>> 0 ? 1 : 0)) | 0;
	v2l = t;
	t = ((v1l << 17) | (v1h >>> 15)) ^ v2l;
	v1h = ((v1h << 17) | (v1l >>> 15)) ^ v2h;
	v1l = t;
	t = v2l;
	v2l = v2h;
	v2h = t;

	state[0] = v0l;
	state[1] = v0h;
	state[2] = v1l;
	state[3] = v1h;
	state[4] = v2l;
	state[5] = v2h;
	state[6] = v3l;
	state[7] = v3h;
}

function absorb(state: SiphashState, low: number, high: number): void {
	state[6] ^= low;
	state[7] ^= high;
	sipround(state);
	sipround(state);
	state[0] ^= low;
	state[1] ^= high;
}

/** "somepseudorandomlygeneratedbytes", SipHash's initial state, under a key. */
function preamble(state: SiphashState, key: SiphashKey): void {
	state[0] = 0x70736575 ^ key[0];
	state[1] = 0x736f6d65 ^ key[1];
	state[2] = 0x6e646f6d ^ key[2];
	state[3] = 0x646f7261 ^ key[3];
	state[4] = 0x6e657261 ^ key[0];
	state[5] = 0x6c796765 ^ key[1];
	state[6] = 0x79746573 ^ key[2];
	state[7] = 0x74656462 ^ key[3];
}

/** Stores the low and the high half of the u64 in out. */
function postamble(state: SiphashState, out: Uint32Array): void {
	state[4] ^= 0xff;
	sipround(state);
	sipround(state);
	sipround(state);
	sipround(state);
	out[0] = state[0] ^ state[2] ^ state[4] ^ state[6];
	out[1] = state[1] ^ state[3] ^ state[5] ^ state[7];
}

/**
 * Hashes four u32 words. Stores the low half of the u64 in out[0] and the high half in out[1]. The
 * first word is the low half of the first message word, as in the kernel.
 */
export function siphash_4u32(
	first: number,
	second: number,
	third: number,
	fourth: number,
	key: SiphashKey,
	out: Uint32Array,
	state: SiphashState,
): void {
	preamble(state, key);
	absorb(state, first, second);
	absorb(state, third, fourth);
	absorb(state, 0, 16 << 24); // no tail: the last word holds only the length, 16 bytes
	postamble(state, out);
}

/**
 * Hashes the first `len` bytes of little-endian words. The remaining bytes of the last word must be
 * 0.
 */
export function siphash(
	data: Uint32Array,
	len: number,
	key: SiphashKey,
	out: Uint32Array,
	state: SiphashState,
): void {
	preamble(state, key);
	const whole = len >>> 3;
	for (let i = 0; i < whole; i++) absorb(state, data[2 * i], data[2 * i + 1]);
	const left = len & 7;
	const low = left > 0 ? data[2 * whole] : 0;
	const high = left > 4 ? data[2 * whole + 1] : 0;
	absorb(state, low, high | (len << 24));
	postamble(state, out);
}
