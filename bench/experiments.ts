// SPDX-License-Identifier: GPL-2.0-or-later
/**
 * The experiments behind the curves. Everything except times is exact, and the same for the same
 * seed.
 */
import { sockaddr_in } from "../include/linux/socket.js";
import { EADDRINUSE, EADDRNOTAVAIL, EINPROGRESS, SeededRandom } from "../kernel-model/index.js";
import { BitmapGuided } from "./lab/bitmap.js";
import type { Strategy } from "./strategy.js";
import { HERE, THERE, Trial } from "./trial.js";

export type Range = readonly [number, number];
export type Kind = "connect" | "bind";

/** The kernel's default ip_local_port_range: 28,232 ports. */
export const DEFAULT_RANGE: Range = [32_768, 60_999];

export const portsOf = ([low, high]: Range): number => high - low + 1;

/** A point of a curve. Occupancy of the range is 0 to 1. */
export interface Cost {
	occupancy: number;
	/** Mean number of candidates per call. */
	looks: number;
	/** Mean number of them for which connect() takes the lock of the bucket. */
	locks: number;
	/** Median time of a call, microseconds. */
	micros: number;
}

export interface CostOptions {
	kind: Kind;
	/** Whether every socket sets IP_LOCAL_PORT_RANGE to the whole range. */
	option?: boolean;
	range?: Range;
	/**
	 * For long searches of the kernel, one call in `every` is counted and another one is timed. For
	 * short searches it is one in four.
	 */
	every?: number;
	/** Points of a curve besides the one at 0. */
	bins?: number;
	seed?: number;
}

/** Fewest candidates of a long search. */
const LONG = 500;

function median(values: number[]): number {
	if (values.length === 0) return Number.NaN;
	values.sort((a, b) => a - b);
	return values[values.length >> 1];
}

const mean = (values: readonly number[]): number =>
	values.reduce((sum, value) => sum + value, 0) / values.length;

/**
 * Fills a range with connections to one destination, or with bind() to one address. Returns the
 * cost of the calls as the range fills. The bitmap-guided search makes the calls that are neither
 * counted nor timed, because it chooses the same ports.
 */
export function costs(strategy: Strategy, options: CostOptions): Cost[] {
	const { kind, option = false, range = DEFAULT_RANGE, every = 48, bins = 50, seed = 1 } = options;
	const own = strategy.start === undefined;
	const trial = new Trial(
		own ? { ...strategy, start: (kernel) => new BitmapGuided(kernel) } : strategy,
		{ range, seed },
	);
	const ports = portsOf(range);
	const there = sockaddr_in(THERE, 53);
	const here = sockaddr_in(HERE, 0);
	const looks: number[][] = Array.from({ length: bins + 1 }, () => []);
	const locks: number[][] = Array.from({ length: bins + 1 }, () => []);
	const micros: number[][] = Array.from({ length: bins + 1 }, () => []);
	let long = false;
	for (let n = 0; n < ports; n++) {
		const gap = long ? every : Math.min(every, 4);
		const counted = !own || n % gap === 0;
		const timed = !own || n % gap === gap >> 1;
		trial.counting = counted;
		trial.kernelOnly = own && (counted || timed);
		const fd = trial.tcp(option ? range : undefined);
		const began = performance.now();
		const result = kind === "connect" ? trial.connect(fd, there) : trial.bind(fd, here);
		const took = performance.now() - began;
		// A search may give up although a port is free. There are then more calls than ports.
		const full = result === -EADDRNOTAVAIL || result === -EADDRINUSE;
		if (!full && result !== 0 && result !== -EINPROGRESS) {
			throw new Error(`${strategy.name}: ${kind} ${n} of ${ports}: ${result}`);
		}
		const bin = n === 0 ? 0 : 1 + Math.floor((n / ports) * bins);
		if (counted) {
			looks[bin].push(trial.looks);
			locks[bin].push(trial.locks);
			long = trial.looks > LONG;
		}
		if (timed) micros[bin].push(took * 1000);
	}
	return looks.map((counts, bin) => ({
		occupancy: bin === 0 ? 0 : (2 * bin - 1) / (2 * bins),
		looks: mean(counts),
		locks: mean(locks[bin]),
		micros: bin === 0 ? Number.NaN : median(micros[bin]),
	}));
}

/** Which ports short connections get. */
export interface Shares {
	/** Connections from each port of the range. */
	counts: Uint32Array;
	low: number;
	/**
	 * Number of ports that can get connections: all, or those of low's parity, without the reserved
	 * ones.
	 */
	usable: number;
	connections: number;
	/** The port used most. */
	peak: number;
	/** Connections from the most used port, divided by the mean. */
	peakFactor: number;
	/**
	 * Share of the connections that would need another port to make the use of ports even, 0 to 1.
	 */
	misplaced: number;
}

export interface ShareOptions {
	/** One destination for all, or a random one for each connection. */
	destinations: "one" | "many";
	range?: Range;
	reserved?: Range;
	connections?: number;
	seed?: number;
}

export const SHARE_RANGE: Range = [40_000, 40_999];
export const SHARE_RESERVED: Range = [40_400, 40_499];

/** Connects and closes again, one connection at a time, past a block of reserved ports. */
export function shares(strategy: Strategy, options: ShareOptions): Shares {
	const { range = SHARE_RANGE, reserved = SHARE_RESERVED, seed = 1 } = options;
	const { destinations, connections = 100_000 } = options;
	const trial = new Trial(strategy, { range, seed, reserved: reserved.join("-") });
	trial.counting = false;
	const random = new SeededRandom(seed + 1);
	const [low, high] = range;
	const counts = new Uint32Array(portsOf(range));
	const to = sockaddr_in(THERE, 443);
	for (let n = 0; n < connections; n++) {
		if (destinations === "many") {
			to.sin_addr = elsewhere(random);
			to.sin_port = 1 + random.__get_random_u32_below(65_535);
		}
		const fd = trial.tcp();
		const result = trial.connect(fd, to);
		if (result !== -EINPROGRESS) throw new Error(`${strategy.name}: connection ${n}: ${result}`);
		counts[trial.port(fd) - low]++;
		trial.close(fd);
	}
	const odd = counts.some((count, index) => (index & 1) === 1 && count > 0);
	let usable = 0;
	for (let port = low; port <= high; port++) {
		if (port >= reserved[0] && port <= reserved[1]) continue;
		if (odd || ((port - low) & 1) === 0) usable++;
	}
	const average = connections / usable;
	const most = counts.reduce((best, count, index) => (count > counts[best] ? index : best), 0);
	return {
		counts,
		low,
		usable,
		connections,
		peak: low + most,
		peakFactor: counts[most] / average,
		misplaced: counts.reduce((sum, count) => sum + Math.max(0, count - average), 0) / connections,
	};
}

/** A random address of 198.18.0.0/15, the network for such tests. */
function elsewhere(random: SeededRandom): number {
	return 0xc6120000 + random.__get_random_u32_below(1 << 17);
}

export interface PredictionOptions {
	/** Most connections to other destinations between two connections to the watched one. */
	others?: number;
	/** Share of the range that connections to the destination hold all the time, 0 to 1. */
	held?: number;
	option?: boolean;
	range?: Range;
	/** Number of watched connections. The guesser learns from half of them. */
	connections?: number;
	seed?: number;
}

/** Numbers of guesses for which the chance is computed. */
export const GUESSES = [1, 2, 3, 4, 6, 8, 12, 16, 32, 64, 128, 256, 512, 1024] as const;

/**
 * The chance to guess the source port of the next connection to a destination, by number of
 * guesses. The guesser knows the port before. It learns the distances between successive ports from
 * half of the connections, and is tested on the other half.
 */
export function predictions(strategy: Strategy, options: PredictionOptions = {}): number[] {
	const { others = 0, held = 0, option = false, range = DEFAULT_RANGE, seed = 1 } = options;
	const { connections = 20_000 } = options;
	const own = strategy.start === undefined;
	const trial = new Trial(
		own ? { ...strategy, start: (kernel) => new BitmapGuided(kernel) } : strategy,
		{ range, seed },
	);
	trial.counting = false;
	const ports = portsOf(range);
	const random = new SeededRandom(seed + 1);
	const there = sockaddr_in(THERE, 53);
	const other = sockaddr_in(THERE, 443);
	const open = (to: typeof there): number => {
		const fd = trial.tcp(option ? range : undefined);
		const result = trial.connect(fd, to);
		if (result !== -EINPROGRESS) throw new Error(`${strategy.name}: connect: ${result}`);
		return fd;
	};
	for (let n = 0; n < held * ports; n++) open(there);

	const distances: number[] = [];
	let before = 0;
	for (let n = 0; n <= connections; n++) {
		const between = others === 0 ? 0 : random.__get_random_u32_below(others + 1);
		for (let m = 0; m < between; m++) {
			other.sin_addr = elsewhere(random);
			trial.close(open(other));
		}
		const fd = open(there);
		const port = trial.port(fd);
		if (n > 0) distances.push((port - before + ports) % ports);
		before = port;
		trial.close(fd);
	}

	const seen = new Uint32Array(ports);
	const half = distances.length >> 1;
	for (const distance of distances.slice(0, half)) seen[distance]++;
	const order = Array.from(seen.keys()).sort((a, b) => seen[b] - seen[a] || a - b);
	const rank = new Uint32Array(ports);
	order.forEach((distance, index) => {
		rank[distance] = index + 1;
	});
	const tried = distances.slice(half);
	return GUESSES.map(
		(guesses) => tried.filter((distance) => rank[distance] <= guesses).length / tried.length,
	);
}

/** Fills a range by connect() to one destination. Returns the time and the ports. */
export function fill(
	strategy: Strategy,
	range: Range = DEFAULT_RANGE,
): { ms: number; ports: Uint16Array } {
	const trial = new Trial(strategy, { range });
	trial.counting = false;
	const there = sockaddr_in(THERE, 53);
	const ports = new Uint16Array(portsOf(range));
	const fds = Array.from(ports, () => trial.tcp());
	const began = performance.now();
	for (const fd of fds) {
		const result = trial.connect(fd, there);
		if (result !== -EINPROGRESS) throw new Error(`${strategy.name}: connect(${fd}): ${result}`);
	}
	const ms = performance.now() - began;
	for (const [n, fd] of fds.entries()) ports[n] = trial.port(fd);
	return { ms, ports };
}

/** As fill(), but returns the time of the strategy's own searches only. */
export function searchTime(strategy: Strategy, range: Range = DEFAULT_RANGE): number {
	let ms = 0;
	fill(
		{
			...strategy,
			start(kernel) {
				const chooser = strategy.start?.(kernel);
				if (chooser === undefined) throw new Error(`${strategy.name} has no search of its own`);
				return {
					choose(search) {
						const began = performance.now();
						const port = chooser.choose(search);
						ms += performance.now() - began;
						return port;
					},
					taken: (search, port, draw) => chooser.taken?.(search, port, draw),
					released: (port) => chooser.released?.(port),
					forget: () => chooser.forget?.(),
				};
			},
		},
		range,
	);
	return ms;
}
