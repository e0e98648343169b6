// SPDX-License-Identifier: GPL-2.0-or-later
/**
 * Decisions of the kernel that no system call shows: random draws, the clock, answers of other
 * hosts. Ported code asks for them here. KernelDraws answers from the model's own random numbers,
 * clock and routes. Check mode answers with values that lead to an observed result.
 */
import type { Port, Sk } from "../linux/handle.js";
import type { RouteAnswer } from "./net_namespace.js";
import type { Stack } from "./stack.js";

export interface Draws {
	/** The search of bind(): an offset in [0, remaining) from `low`. */
	bindOffset(sk: Sk, low: number, high: number, remaining: number, relax: boolean): number;
	/**
	 * The search of connect(): an offset in [0, remaining) from `low`. The kernel draws nothing
	 * here. It takes `offset`, which it computed from port_offset and table_perturb.
	 */
	connectOffset(
		sk: Sk,
		low: number,
		high: number,
		remaining: number,
		step: number,
		offset: number,
	): number;
	/**
	 * connect() with ip_local_port_step_width: a number in [0, upper). One more is the step it
	 * tries first.
	 */
	connectStep(sk: Sk, upper: number): number;
	/** The search of SCTP: an offset in [0, remaining) from `low`. */
	sctpOffset(sk: Sk, low: number, high: number, remaining: number): number;
	/** The search of UDP in [low, high]: a u32 (`rand` of udp_lib_get_port). */
	udpRand(sk: Sk, low: number, high: number): number;
	/**
	 * Whether enough time has passed for connect()'s search to reuse the four-tuple of a time-wait
	 * socket on `port` (tcp_twsk_unique). `ticked` is the answer of the model's clock. `unsure`
	 * means that the time is so close to the limit that the real clock may give the other answer.
	 */
	secondTicked(sk: Sk, port: Port, ticked: boolean, unsure: boolean): boolean;
	/** What another host answers to a packet. `answer` is what the route is configured to say. */
	remoteAnswer(sk: Sk, answer: RouteAnswer): RouteAnswer;
	/**
	 * Whether another host acknowledges data and keepalive probes although its route says that it
	 * does not answer.
	 */
	remoteAcks(sk: Sk): boolean;
	/** Whether there is a fast open cookie for the destination of a connection. */
	fastopenCookie(sk: Sk, known: boolean): boolean;
}

/** The kernel's own draws. */
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

	fastopenCookie(_sk: Sk, known: boolean): boolean {
		return known;
	}

	remoteAnswer(_sk: Sk, answer: RouteAnswer): RouteAnswer {
		return answer;
	}

	remoteAcks(): boolean {
		return false;
	}
}
