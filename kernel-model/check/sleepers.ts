// SPDX-License-Identifier: GPL-2.0-or-later
/** The connect() calls that sleep while other calls go on beside them (World.sleeping). */
import type { Event } from "./order.js";
import type { Turn } from "./turn.js";
import type { World } from "./world.js";

/** Most calls that are kept. */
const SLEEPERS = 4096;

/** A call that sleeps. */
export interface Sleeper extends Turn {
	event: Event;
	/** The sock of its descriptor when it fell asleep. */
	sk: number;
}

export class Sleepers {
	/**
	 * Calls that sleep or slept, by line. A call that has returned is kept, because after a return to
	 * a mark it may sleep again.
	 */
	private readonly kept = new Map<number, Sleeper>();

	constructor(private readonly world: World) {}

	/** A call has begun to sleep. */
	add(turn: Turn, event: Event): void {
		const { task, call } = turn;
		this.kept.set(call.line, { ...turn, event, sk: this.world.sk(task, call) });
		const [oldest] = this.kept.keys();
		if (oldest !== undefined && this.kept.size > SLEEPERS) this.kept.delete(oldest);
	}

	/**
	 * Ends the sleep of the calls that return before a place in the order of acting, and yields them.
	 * Leaves out a call whose process has ended, or whose descriptor another thread has closed.
	 */
	*wake(before: number): Generator<Sleeper> {
		const { world } = this;
		const { sleeping } = world;
		for (const line of [...sleeping]) {
			const sleeper = this.kept.get(line);
			if (sleeper !== undefined && sleeper.event.end > before) continue;
			sleeping.splice(sleeping.indexOf(line), 1);
			if (sleeper === undefined) continue;
			const { task, call, sk } = sleeper;
			if (world.kernel.tasks.has(task) && world.sk(task, call) === sk) yield sleeper;
		}
	}
}
