// SPDX-License-Identifier: GPL-2.0-or-later
/**
 * The kernel's own search, guided by bitmaps. It chooses the same port from the same draws, but
 * passes over 32 ports at a time, or over 1,024 if their bits are all set.
 *
 * Invariant: a bit is set only if the kernel's check refuses the port in every search that reads
 * the bitmap, until a socket leaves the port or a sysctl is written. A search visits the kernel's
 * candidates in the kernel's order, leaves out those whose bit is set, and makes the kernel's check
 * on the others. So it leaves out only ports that the linear scan refuses, and the first accepted
 * port is the same. A refusal sets a bit. A socket that may have left a port clears its bits.
 * Clearing a bit is always safe.
 *
 * There is a bitmap of four-tuples in use for each (address, destination, destination port), one of
 * buckets that connect() cannot share, and one of conflicts for each address that plain sockets
 * bind to; the reserved ports are the namespace's own bitmap. A time-wait socket can give way just
 * because time passes, so it sets no bit. The kernel's own search is used for sockets that the
 * bitmaps do not cover: IPv6, bound to a device, or bind() with SO_REUSEADDR, SO_REUSEPORT or
 * ip_autobind_reuse.
 */
import { gcd } from "../../include/linux/math.js";
import { AF_INET } from "../../include/linux/socket.js";
import { sk_net } from "../../include/net/sock.js";
import {
	CANDIDATE_CONFLICT,
	CANDIDATE_CONFLICT_ANY,
	CANDIDATE_NOT_SHAREABLE,
	CANDIDATE_OK,
	CANDIDATE_TUPLE_IN_USE,
} from "../../include/trace/events/port_search.js";
import type { Kernel } from "../../kernel-model/index.js";
import { secure_ipv4_port_ephemeral } from "../../net/core/secure_seq.js";
import { INET_TABLE_PERTURB_SIZE } from "../../net/ipv4/inet_hashtables.js";
import { type Chooser, LEAVE_TO_KERNEL, type Search, type Strategy } from "../strategy.js";

const WORDS = 65536 / 32;
const EVEN = 0x55555555;
const ODD = 0xaaaaaaaa;
/**
 * After the words of a bitmap follow two summary bitmaps with one bit per word: all even ports of
 * the word are set, and all odd ports are set.
 */
const FULL_EVEN = WORDS;
const FULL_ODD = FULL_EVEN + WORDS / 32;
const MAP_WORDS = FULL_ODD + WORDS / 32;
/** Most bitmaps of destinations that are kept. The oldest is dropped first. */
const DESTINATIONS = 256;
const NONE: Uint32Array = new Uint32Array(MAP_WORDS);

/** Mask of a word's ports that a search with this step visits from this port on. */
function parity(port: number, step: number): number {
	if (step === 1) return 0xffffffff;
	return (port & 1) === 0 ? EVEN : ODD;
}

function setPort(map: Uint32Array, port: number): void {
	const word = port >>> 5;
	map[word] |= 1 << (port & 31);
	const odd = (port & 1) !== 0;
	const [mask, full] = odd ? [ODD, FULL_ODD] : [EVEN, FULL_EVEN];
	if ((~map[word] & mask) === 0) map[full + (word >>> 5)] |= 1 << (word & 31);
}

function clearPort(map: Uint32Array, port: number): void {
	const word = port >>> 5;
	map[word] &= ~(1 << (port & 31));
	map[((port & 1) !== 0 ? FULL_ODD : FULL_EVEN) + (word >>> 5)] &= ~(1 << (word & 31));
}

/** Bitmaps by key. A bitmap is made when its first bit is set. */
class Bitmaps {
	private readonly maps = new Map<string, Uint32Array>();

	constructor(private readonly most: number) {}

	/** The bitmap of a key. If there is none, an empty one that must not be written. */
	find(key: string): Uint32Array {
		return this.maps.get(key) ?? NONE;
	}

	make(key: string): Uint32Array {
		if (this.maps.size === this.most) {
			const [oldest] = this.maps.keys();
			this.maps.delete(oldest);
		}
		const map = new Uint32Array(MAP_WORDS);
		this.maps.set(key, map);
		return map;
	}

	clear(port: number): void {
		for (const map of this.maps.values()) clearPort(map, port);
	}

	forget(): void {
		this.maps.clear();
	}
}

const tupleKey = ({ saddr, daddr, dport }: Search): string => `${saddr} ${daddr} ${dport}`;
const conflictKey = ({ saddr }: Search): string => String(saddr);

export class BitmapGuided implements Chooser {
	/** Buckets with fastreuse or fastreuseport >= 0: no connect() shares them. */
	private readonly unshareable = new Uint32Array(WORDS);
	private readonly tuples = new Bitmaps(DESTINATIONS);
	private readonly conflicts = new Bitmaps(DESTINATIONS);

	// The last search: its bitmaps, and how far the kernel's search would have gone.
	private own = NONE;
	private shared = NONE;
	private reserved = NONE;
	private i = 0;
	private step = 2;

	// The destination of the last search. Most programs connect to the same one again.
	private saddr = 0;
	private daddr = 0;
	private dport = 0;
	private last = NONE;

	constructor(private readonly kernel: Kernel) {}

	choose(search: Search): number {
		const S = this.kernel.sock;
		const { sk } = search;
		if (S.skc_family[sk] !== AF_INET || S.skc_bound_dev_if[sk] !== 0) return LEAVE_TO_KERNEL;
		const { ipv4 } = sk_net(this.kernel, sk);
		this.reserved = ipv4.sysctl_local_reserved_ports;
		if (search.kind === "connect") {
			this.shared = this.unshareable;
			this.own = this.destination(search);
			return this.connect(search, ipv4.sysctl_ip_local_port_step_width);
		}
		if (S.skc_reuse[sk] !== 0 || S.skc_reuseport[sk] !== 0) return LEAVE_TO_KERNEL;
		if (ipv4.sysctl_ip_autobind_reuse !== 0) return LEAVE_TO_KERNEL;
		this.shared = NONE;
		this.own = this.conflicts.find(conflictKey(search));
		return this.bind(search);
	}

	taken(_search: Search, _port: number, draw: number): void {
		const { kernel, step } = this;
		const table = kernel.table_perturb;
		if (table === null) return;
		const index = kernel.port_offset[0] & (INET_TABLE_PERTURB_SIZE - 1);
		table[index] += Math.max(this.i, draw * step) + step;
	}

	released(port: number): void {
		this.unshareable[port >>> 5] &= ~(1 << (port & 31));
		this.tuples.clear(port);
		this.conflicts.clear(port);
	}

	forget(): void {
		this.unshareable.fill(0);
		this.tuples.forget();
		this.conflicts.forget();
		this.last = NONE;
	}

	private destination(search: Search): Uint32Array {
		const { saddr, daddr, dport } = search;
		if (
			this.last === NONE ||
			this.saddr !== saddr ||
			this.daddr !== daddr ||
			this.dport !== dport
		) {
			this.last = this.tuples.find(tupleKey(search));
			this.saddr = saddr;
			this.daddr = daddr;
			this.dport = dport;
		}
		return this.last;
	}

	/** __inet_hash_connect, up to the port. */
	private connect(search: Search, step_width: number): number {
		const { kernel } = this;
		const { low } = search;
		const high = search.high + 1;
		const local = search.local && kernel.changes.has("connect-range-step-1");
		const step = local ? 1 : 2;
		let remaining = high - low;
		if (!local && remaining > 1) remaining &= ~1;
		this.step = step;

		secure_ipv4_port_ephemeral(kernel, search.saddr, search.daddr, search.dport);
		const table = kernel.table_perturb;
		if (table === null) return LEAVE_TO_KERNEL;
		const index = kernel.port_offset[0] & (INET_TABLE_PERTURB_SIZE - 1);
		let offset = ((table[index] + kernel.port_offset[1]) >>> 0) % remaining;
		if (!local) offset &= ~1;
		const stride = this.stride(step_width, remaining, step);
		for (;;) {
			const port =
				stride === step
					? this.pass(search, low, high, remaining, offset, step)
					: this.stroll(search, low, high, remaining, offset, step, stride);
			if (port !== 0) return port;
			if (local || (offset & 1) !== 0 || remaining <= 1) return 0;
			offset++;
		}
	}

	/** connect_scan_step: the distance between two candidates, since 7.1. */
	private stride(step_width: number, remaining: number, step: number): number {
		if (step_width === 0 || remaining <= 1) return step;
		const range = Math.floor(remaining / step);
		const upper = Math.min(range, step_width);
		let stride = 1 + this.kernel.random.__get_random_u32_below(upper);
		while (gcd(stride, range) !== 1) {
			stride++;
			if (((stride | range) & 1) === 0) stride++;
			if (stride > upper) {
				stride = 1;
				break;
			}
		}
		return stride * step;
	}

	/** inet_csk_find_open_port for a socket without SO_REUSEADDR. */
	private bind(search: Search): number {
		const { low } = search;
		const high = search.high + 1;
		let remaining = high - low;
		if (remaining > 1) remaining &= ~1;
		const offset = this.kernel.random.__get_random_u32_below(remaining) | 1;
		if (remaining === 1) return this.accepts(search, low) ? low : 0;
		return (
			this.pass(search, low, high, remaining, offset, 2) ||
			this.pass(search, low, high, remaining, offset - 1, 2)
		);
	}

	/**
	 * One pass of the kernel's search. Candidates begin at low + offset and advance by `step`. A
	 * candidate at or above high goes back by `remaining`. Returns the port, or 0. Sets `i` as the
	 * kernel does.
	 */
	private pass(
		search: Search,
		low: number,
		high: number,
		remaining: number,
		offset: number,
		step: number,
	): number {
		const all = Math.ceil(remaining / step);
		const first = Math.min(all, Math.ceil((high - low - offset) / step));
		const port = this.scan(search, low + offset, first, step);
		if (port !== 0) {
			this.i = port - low - offset;
			return port;
		}
		const wrapped = low + offset + first * step - remaining;
		const second = this.scan(search, wrapped, all - first, step);
		if (second !== 0) this.i = first * step + second - wrapped;
		return second;
	}

	/** The first acceptable port among `count` ports from `from` on, `step` apart; 0 if none. */
	private scan(search: Search, from: number, count: number, step: number): number {
		if (count <= 0) return 0;
		const { own, shared, reserved } = this;
		const last = from + (count - 1) * step;
		const mask = parity(from, step);
		const full = (from & 1) === 0 ? FULL_EVEN : FULL_ODD;
		let within = -1 << (from & 31);
		for (let word = from >>> 5; word <= last >>> 5; word++) {
			if (step === 2 && (word & 31) === 0 && own[full + (word >>> 5)] === 0xffffffff) {
				word += 31;
				within = -1;
				continue;
			}
			let free = ~(own[word] | shared[word] | reserved[word]) & mask & within;
			while (free !== 0) {
				const lowest = free & -free;
				const port = (word << 5) + 31 - Math.clz32(lowest);
				if (port > last) return 0;
				if (this.accepts(search, port)) return port;
				free ^= lowest;
			}
			within = -1;
		}
		return 0;
	}

	/** As pass(), but for a random stride. Checks bit by bit. */
	private stroll(
		search: Search,
		low: number,
		high: number,
		remaining: number,
		offset: number,
		step: number,
		stride: number,
	): number {
		const { own, shared, reserved } = this;
		let port = low + offset;
		for (let i = 0; i < remaining; i += step, port += stride) {
			if (port >= high) port -= remaining;
			const word = port >>> 5;
			if (((own[word] | shared[word] | reserved[word]) & (1 << (port & 31))) !== 0) continue;
			if (!this.accepts(search, port)) continue;
			this.i = i;
			return port;
		}
		return 0;
	}

	/** Makes the kernel's check, and sets the bit of a lasting refusal. */
	private accepts(search: Search, port: number): boolean {
		const verdict = search.look(port);
		if (verdict === CANDIDATE_OK) return true;
		if (verdict === CANDIDATE_NOT_SHAREABLE) this.shared[port >>> 5] |= 1 << (port & 31);
		else if (verdict === CANDIDATE_TUPLE_IN_USE) {
			if (this.own === NONE) this.own = this.last = this.tuples.make(tupleKey(search));
			setPort(this.own, port);
		} else if (verdict === CANDIDATE_CONFLICT || verdict === CANDIDATE_CONFLICT_ANY) {
			if (this.own === NONE) this.own = this.conflicts.make(conflictKey(search));
			setPort(this.own, port);
		}
		return false;
	}
}

/** The bitmap-guided search in a given kernel version, with given settings of the namespace. */
export function bitmapGuided(
	version: string,
	name = `bitmap, ${version}`,
	sysctls: Readonly<Record<string, string>> = {},
): Strategy {
	return {
		name,
		source: "the kernel's search, guided by bitmaps (bench/lab/bitmap.ts)",
		version,
		sysctls,
		start: (kernel) => new BitmapGuided(kernel),
	};
}

export const strategies: readonly Strategy[] = [bitmapGuided("7.3", "bitmap-guided")];
