// SPDX-License-Identifier: GPL-2.0-or-later
/**
 * The door through which others come into the ported code: whatever no system call shows is
 * asked here. By default the kernel's own draws, clock and routes answer. Check mode answers
 * with what would lead to an observed result.
 */
import type { Port, Sk } from "../linux/handle.js";
import type { RouteAnswer } from "./net_namespace.js";
import type { Stack } from "./stack.js";

export interface Draws {
	/** bind(): an offset in [0, remaining) from `low`. */
	bindOffset(sk: Sk, low: number, high: number, remaining: number, relax: boolean): number;
	/**
	 * connect(): an offset in [0, remaining) from `low`. The kernel does not draw it here: it
	 * starts at `offset`, which secure_seq and table_perturb gave.
	 */
	connectOffset(
		sk: Sk,
		low: number,
		high: number,
		remaining: number,
		step: number,
		offset: number,
	): number;
	/** connect() with ip_local_port_step_width: a number in [0, upper), one less than the step. */
	connectStep(sk: Sk, upper: number): number;
	/** SCTP's search: an offset in [0, remaining) from `low`. */
	sctpOffset(sk: Sk, low: number, high: number, remaining: number): number;
	/** UDP's search of [low, high]: a u32. */
	udpRand(sk: Sk, low: number, high: number): number;
	/**
	 * Whether so much time has passed that connect()'s search at a port may take over a
	 * time-wait socket's four-tuple: `ticked`, as the clock says. `unsure` says that it is so
	 * close that a clock which ticks at another moment may say otherwise.
	 */
	secondTicked(sk: Sk, port: Port, ticked: boolean, unsure: boolean): boolean;
	/** What a host outside this kernel answers to a packet: `answer`, as its route says. */
	remoteAnswer(sk: Sk, answer: RouteAnswer): RouteAnswer;
}

/** The kernel's own. */
export class KernelDraws implements Draws {
	constructor(private readonly k: Stack) {}

	bindOffset(_sk: Sk, _low: number, _high: number, remaining: number): number {
		return this.k.random.__get_random_u32_below(remaining);
	}

	connectOffset(
		_sk: Sk,
		_low: number,
		_high: number,
		_remaining: number,
		_step: number,
		offset: number,
	): number {
		return offset;
	}

	connectStep(_sk: Sk, upper: number): number {
		return this.k.random.__get_random_u32_below(upper);
	}

	sctpOffset(_sk: Sk, _low: number, _high: number, remaining: number): number {
		return this.k.random.__get_random_u32_below(remaining);
	}

	udpRand(): number {
		return this.k.random.get_random_u32();
	}

	secondTicked(_sk: Sk, _port: number, ticked: boolean): boolean {
		return ticked;
	}

	remoteAnswer(_sk: Sk, answer: RouteAnswer): RouteAnswer {
		return answer;
	}
}
