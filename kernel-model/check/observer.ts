// SPDX-License-Identifier: GPL-2.0-or-later
/**
 * Check mode: could the modelled kernel have done what a real one did? Where a search is
 * about to draw its start, the observer gives the start that makes the observed port the
 * first candidate of its pass. The model then picks that port if and only if some draw
 * leads there, because whether a candidate is acceptable does not depend on the start.
 *
 * One thing does depend on it: in a range of odd length the pass over the parity of low
 * leaves out either the first or the last port, by the start.
 */
import type { Draws } from "../../include/net/draws.js";
import type { Net, RouteAnswer } from "../../include/net/net_namespace.js";
import { CANDIDATE_OK } from "../../include/trace/events/port_search.js";
import { sk_net } from "../../net/core/sock.js";
import { bindCandidate } from "../../net/ipv4/inet_connection_sock.js";
import { connectCandidate } from "../../net/ipv4/inet_hashtables.js";
import { udpCandidate } from "../../net/ipv4/udp.js";
import { inet_sk_bound_l3mdev } from "../../net/l3mdev/l3mdev.js";
import { sctpCandidate } from "../../net/sctp/socket.js";
import type { Kernel } from "../machine/kernel.js";
import { nth } from "../machine/nth.js";
import type { SeededRandom } from "../machine/random.js";

/** What is known of the call that is being played. */
export interface Observation {
	/** The port that the kernel chose; null if the recording does not show it. */
	port: number | null;
	/** The call failed for want of a port. */
	exhausted: boolean;
	remote: RouteAnswer | null;
	/** Ports that it is known not to have chosen. */
	avoided?: ReadonlySet<number> | null;
}

/** The window of connect()'s last search, for the check of table_perturb. */
export interface ConnectWindow {
	sk: number;
	low: number;
	high: number;
	remaining: number;
	/** 2, or 1 since 6.8 where the socket has a range of its own. */
	step: number;
}

const NOTHING: Observation = { port: null, exhausted: false, remote: null };

export class RecordingObserver implements Draws {
	private observation = NOTHING;
	/** Set by connect()'s search, null if the call did not search. */
	window: ConnectWindow | null = null;

	constructor(
		private readonly kernel: Kernel,
		/** Ports that the recording names: an unseen choice keeps clear of them if it can. */
		protected readonly named: ReadonlySet<number>,
	) {}

	/** Before each call. */
	expect(observation: Observation): void {
		this.observation = observation;
		this.window = null;
	}

	/** After each call: what its timers do later is not what was observed of it. */
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
		// connect()'s first pass is the one that leaves a port out. If it must find nothing, it
		// may have to leave out the other one, and reach the port from further off.
		const odd_length = high - low !== remaining;
		if (step === 2 && odd_length && remaining >= 4 && (offset & 1) !== 0) {
			if (offset === 1 && acceptable(low)) return remaining - 2;
			if (offset > 1 && acceptable(low + remaining)) return 0;
		}
		return offset;
	}

	/** The steps of connect()'s search are the same for every start that is given here: 1. */
	connectStep(_sk: number, _upper: number): number {
		return 0;
	}

	/**
	 * UDP's search looks first at the port that its draw scales to, and at every other port of
	 * the range after it: so each acceptable port is the result of some draw, and no other is.
	 */
	sctpOffset(sk: number, low: number, high: number, remaining: number): number {
		const net = sk_net(this.kernel, sk);
		const acceptable = (port: number) => sctpCandidate(this.kernel, net, port) === CANDIDATE_OK;
		let { port } = this.observation;
		if (port === null && !this.observation.exhausted) {
			port = this.unseen(low, high + 1, acceptable);
		}
		// The search begins one behind the offset.
		if (port === null || port < low || port > high) return 0;
		return (port - low + remaining - 1) % remaining;
	}

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
	 * The offset to start from; its lowest bit only tells the passes apart, so the offset of
	 * a port serves bind's search, which sets it, and connect's, which clears it, alike.
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
		// Nothing must be found here: of the two ports that one pass cannot reach both of, leave
		// out the acceptable one.
		const odd_length = high - low !== remaining;
		return odd_length && remaining >= 4 && acceptable(low) ? 2 : 0;
	}

	/** A choice for a port that the recording does not show. */
	protected unseen(
		low: number,
		high: number,
		acceptable: (port: number) => boolean,
	): number | null {
		let fallback: number | null = null;
		// From the top: servers and ranges in scripts tend to begin at the bottom.
		for (let port = high - 1; port >= low; port--) {
			if (!acceptable(port)) continue;
			if (this.observation.avoided?.has(port)) continue;
			if (!this.named.has(port)) return port;
			fallback ??= port;
		}
		return fallback;
	}

	/**
	 * A recording does not show when the kernel's second ticks. So a time-wait socket less
	 * than a second old gives way where its port was chosen, and stays elsewhere.
	 */
	secondTicked(_sk: number, port: number, ticked: boolean, unsure: boolean): boolean {
		return unsure ? port === this.observation.port : ticked;
	}

	remoteAnswer(_sk: number, answer: RouteAnswer): RouteAnswer {
		return this.observation.remote ?? answer;
	}
}

/**
 * A kernel's own choices: a port that is wished for, where some draw leads there, and one
 * drawn by `random` where none is. Without `random` it is the highest that it can be, so that
 * two kernels in the same state choose the same.
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

	/** The clock is the model's, to the millisecond. */
	override secondTicked(_sk: number, _port: number, ticked: boolean): boolean {
		return ticked;
	}
}
