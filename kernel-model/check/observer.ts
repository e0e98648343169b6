// SPDX-License-Identifier: GPL-2.0-or-later
/**
 * Check mode: can the modelled kernel do what a real one did? When a search draws its start, the
 * observer supplies the start that makes the observed port the first candidate of its pass. The
 * model then chooses this port if and only if some draw leads to it, because the start does not
 * decide whether a candidate is acceptable.
 *
 * One thing depends on the start: in a range of odd length the pass over the parity of low leaves
 * out either the first or the last port.
 */
import type { Draws } from "../../include/net/draws.js";
import type { Net, RouteAnswer } from "../../include/net/net_namespace.js";
import { sk_net } from "../../include/net/sock.js";
import { CANDIDATE_OK } from "../../include/trace/events/port_search.js";
import { bindCandidate } from "../../net/ipv4/inet_connection_sock.js";
import { connectCandidate } from "../../net/ipv4/inet_hashtables.js";
import { udpCandidate } from "../../net/ipv4/udp.js";
import { inet_sk_bound_l3mdev } from "../../net/l3mdev/l3mdev.js";
import { sctpCandidate } from "../../net/sctp/socket.js";
import type { Kernel } from "../machine/kernel.js";
import { nth } from "../machine/nth.js";
import type { SeededRandom } from "../machine/random.js";

/** Facts about the call that is being played. */
interface Observation {
	/** The port that the kernel chose; null if the recording does not show it. */
	port: number | null;
	/** The call failed because no port was left. */
	exhausted: boolean;
	remote: RouteAnswer | null;
	/**
	 * Whether the destination gave a fast open cookie. Null if the call does not show it, or if the
	 * model knows.
	 */
	cookie?: boolean | null;
	/** Ports that the call is known not to have chosen. */
	avoided?: ReadonlySet<number> | null;
}

/** The window of connect()'s last search, for the check of table_perturb. */
export interface ConnectWindow {
	sk: number;
	low: number;
	high: number;
	remaining: number;
	/** 2; since 6.8 it is 1 for a socket with a range of its own. */
	step: number;
}

const NOTHING: Observation = { port: null, exhausted: false, remote: null };

export class RecordingObserver implements Draws {
	private observation = NOTHING;
	/** Set by connect()'s search, null if the call did not search. */
	window: ConnectWindow | null = null;

	constructor(
		private readonly kernel: Kernel,
		/** Ports that the recording names. A guess avoids them if it can. */
		protected readonly named: ReadonlySet<number>,
	) {}

	/** Before each call. */
	expect(observation: Observation): void {
		this.observation = observation;
		this.window = null;
	}

	/** After each call, because an observation does not apply to timers that run later. */
	rest(): void {
		this.observation = NOTHING;
	}

	bindOffset(sk: number, low: number, high: number, remaining: number, relax: boolean): number {
		const net = sk_net(this.kernel, sk);
		const l3mdev = inet_sk_bound_l3mdev(net, nth(this.kernel.sock.skc_bound_dev_if, sk));
		const acceptable = (port: number) =>
			bindCandidate(this.kernel, net, sk, port, l3mdev, relax) === CANDIDATE_OK;
		return this.offset(low, high, remaining, acceptable);
	}

	connectOffset(sk: number, low: number, high: number, remaining: number, step: number): number {
		const net: Net = sk_net(this.kernel, sk);
		const l3mdev = inet_sk_bound_l3mdev(net, nth(this.kernel.sock.skc_bound_dev_if, sk));
		this.window = { sk, low, high, remaining, step };
		const acceptable = (port: number) =>
			connectCandidate(this.kernel, net, sk, port, l3mdev) === CANDIDATE_OK;
		const offset = this.offset(low, high, remaining, acceptable);
		// connect()'s first pass leaves a port out. If this pass must find no port, it may have to
		// leave out the other end of the range. The observed port is then not its first candidate.
		const odd_length = high - low !== remaining;
		if (step === 2 && odd_length && remaining >= 4 && (offset & 1) !== 0) {
			if (offset === 1 && acceptable(low)) return remaining - 2;
			if (offset > 1 && acceptable(low + remaining)) return 0;
		}
		return offset;
	}

	/** The random part of connect()'s step. Always 1: the supplied start does not depend on it. */
	connectStep(_sk: number, _upper: number): number {
		return 0;
	}

	/**
	 * SCTP's search begins one after its offset and visits every port of the range. So some draw
	 * leads to each acceptable port, and to no other port.
	 */
	sctpOffset(sk: number, low: number, high: number, remaining: number): number {
		const net = sk_net(this.kernel, sk);
		const acceptable = (port: number) => sctpCandidate(this.kernel, net, port) === CANDIDATE_OK;
		let { port } = this.observation;
		if (port === null && !this.observation.exhausted) {
			port = this.unseen(low, high + 1, acceptable);
		}
		// The offset before the port.
		if (port === null || port < low || port > high) return 0;
		return (port - low + remaining - 1) % remaining;
	}

	/**
	 * UDP's search begins at the port that its draw scales to and visits every port of the
	 * range. So some draw leads to each acceptable port, and to no other port.
	 */
	udpRand(sk: number, low: number, high: number): number {
		const net = sk_net(this.kernel, sk);
		const acceptable = (port: number) => udpCandidate(this.kernel, net, sk, port) === CANDIDATE_OK;
		let { port } = this.observation;
		if (port === null && !this.observation.exhausted) {
			port = this.unseen(low, high + 1, acceptable);
		}
		if (port === null || port < low || port > high) return 0;
		// The least u32 that reciprocal_scale() maps to the port's offset.
		return Math.ceil(((port - low) * 0x100000000) / (high - low + 1));
	}

	/**
	 * The offset to start from. Its lowest bit only selects the pass. bind()'s search sets the bit
	 * and connect()'s search clears it, so the offset of a port serves both.
	 */
	private offset(
		low: number,
		high: number,
		remaining: number,
		acceptable: (port: number) => boolean,
	): number {
		if (remaining === 1) return 0;
		let { port } = this.observation;
		if (port === null && !this.observation.exhausted) {
			port = this.unseen(low, high, acceptable);
		}
		if (port !== null && port >= low && port < high && acceptable(port)) {
			const offset = port - low;
			// The last port of an odd range comes right after the last even offset.
			return offset === remaining ? remaining - 2 : offset;
		}
		// The search must find no port. One pass cannot reach both ends of the range, so it leaves
		// out the acceptable one.
		const odd_length = high - low !== remaining;
		return odd_length && remaining >= 4 && acceptable(low) ? 2 : 0;
	}

	/** Guesses a port that the recording does not show. */
	protected unseen(
		low: number,
		high: number,
		acceptable: (port: number) => boolean,
	): number | null {
		let fallback: number | null = null;
		// Begins at the top, because servers and ranges in scripts tend to begin at the bottom.
		for (let port = high - 1; port >= low; port--) {
			if (!acceptable(port)) continue;
			if (this.observation.avoided?.has(port)) continue;
			if (!this.named.has(port)) return port;
			fallback ??= port;
		}
		return fallback;
	}

	/**
	 * A recording does not show when the kernel's second ticks. So a time-wait socket less than a
	 * second old gives way if its port was chosen, and else does not.
	 */
	secondTicked(_sk: number, port: number, ticked: boolean, unsure: boolean): boolean {
		return unsure ? port === this.observation.port : ticked;
	}

	fastopenCookie(_sk: number, known: boolean): boolean {
		return this.observation.cookie ?? known;
	}

	remoteAnswer(_sk: number, answer: RouteAnswer): RouteAnswer {
		return this.observation.remote ?? answer;
	}

	/** A recording does not show what other hosts acknowledge. Most connections do not break. */
	remoteAcks(): boolean {
		return true;
	}
}

/**
 * A kernel's own choices. A search chooses the wished port if some draw leads to it. Without a
 * wish, `random` draws the start. Without `random`, the search chooses the highest possible port,
 * so two kernels in the same state choose the same.
 */
export class OwnObserver extends RecordingObserver {
	constructor(
		kernel: Kernel,
		named: ReadonlySet<number>,
		private readonly random: SeededRandom | null,
	) {
		super(kernel, named);
	}

	protected override unseen(
		low: number,
		high: number,
		acceptable: (port: number) => boolean,
	): number | null {
		if (this.random === null) return super.unseen(low, high, acceptable);
		const first = this.random.__get_random_u32_below(high - low);
		let fallback: number | null = null;
		for (let i = 0; i < high - low; i++) {
			const port = low + ((first + i) % (high - low));
			if (!acceptable(port)) continue;
			if (!this.named.has(port)) return port;
			fallback ??= port;
		}
		return fallback;
	}

	/** The model's clock is exact to the millisecond. */
	override secondTicked(_sk: number, _port: number, ticked: boolean): boolean {
		return ticked;
	}
}
