// SPDX-License-Identifier: GPL-2.0-or-later
/** Length of a jiffy, ms: HZ=250, as Debian's kernels have it. */
export const JIFFY = 4;

/**
 * kernel/time/timer.c: calc_wheel_index. How many jiffies after its time a timer expires: the
 * wheel has levels, each eight times coarser than the one before, and rounds up.
 */
function wheel_delay(expires: number, delta: number): number {
	let gran = 1;
	for (let start = 63; delta >= start && gran < 1 << 21; start *= 8) gran *= 8;
	return gran - (((expires % gran) + gran) % gran);
}

/**
 * Timers on a virtual clock (include/linux/timer.h).
 *
 * A timer is a small number that its owner chose. Pending timers form a binary heap,
 * ordered by time and then by the order of arming, so that a run is the same every time.
 */
export class TimerQueue {
	/** Milliseconds since boot; starts late enough that no time stamp is 0. */
	now: number;
	/** Timers, the first to expire at index 0. */
	private heap = new Int32Array(256);
	private size = 0;
	/** By timer: index in the heap plus one, 0 while not pending. */
	private place = new Int32Array(256);
	private expires = new Float64Array(256);
	private order = new Float64Array(256);
	private armed = 0;
	/**
	 * Jiffies when `now` is 0, modulo the wheel's coarsest level here, where they are known.
	 * Where not, timers are as exact as those of the wheel's first level.
	 */
	wheel: number | null = null;

	/**
	 * `phase` is where in a jiffy the clock starts, 0 to 4 ms; `lateness` how many jiffies a
	 * timer runs after its time, because the machine was busy.
	 */
	constructor(
		phase = 0,
		private readonly lateness = 0,
	) {
		this.now = 1_000_000 + phase;
	}

	/** Number of pending timers. */
	get pending(): number {
		return this.size;
	}

	/** When a timer expires, ms since boot; null if it is not pending. */
	expiry(timer: number): number | null {
		return timer < this.place.length && this.place[timer] !== 0 ? this.expires[timer] : null;
	}

	/** The timer that expires first, or null. */
	first(): number | null {
		return this.size === 0 ? null : this.heap[0];
	}

	/**
	 * Arms a timer, or moves a pending one, to `delay` ms from now. Time is counted in
	 * jiffies, and the wheel rounds up: it expires up to one jiffy late.
	 */
	mod_timer(timer: number, delay: number): void {
		this.del_timer(timer);
		if (timer >= this.place.length) this.grow(timer);
		if (this.size === this.heap.length) this.heap = resized(this.heap, this.size * 2);
		const delta = Math.ceil(delay / JIFFY);
		const expires = Math.floor(this.now / JIFFY) + delta;
		const late = this.wheel === null ? 1 : wheel_delay(expires + this.wheel, delta);
		this.expires[timer] = (expires + late + this.lateness) * JIFFY;
		this.order[timer] = this.armed++;
		this.put(this.size, timer);
		this.size++;
		this.siftUp(this.size - 1);
	}

	/** Disarms a timer; true if it was pending. */
	del_timer(timer: number): boolean {
		if (timer >= this.place.length || this.place[timer] === 0) return false;
		const hole = this.place[timer] - 1;
		this.place[timer] = 0;
		this.size--;
		if (hole < this.size) {
			this.put(hole, this.heap[this.size]);
			this.siftUp(hole);
			this.siftDown(hole);
		}
		return true;
	}

	private grow(timer: number): void {
		const length = Math.max(timer + 1, this.place.length * 2);
		this.place = resized(this.place, length);
		this.expires = resized(this.expires, length);
		this.order = resized(this.order, length);
	}

	private put(index: number, timer: number): void {
		this.heap[index] = timer;
		this.place[timer] = index + 1;
	}

	private before(a: number, b: number): boolean {
		const difference = this.expires[a] - this.expires[b];
		return difference !== 0 ? difference < 0 : this.order[a] < this.order[b];
	}

	private siftUp(index: number): void {
		const timer = this.heap[index];
		while (index > 0) {
			const parent = (index - 1) >> 1;
			if (!this.before(timer, this.heap[parent])) break;
			this.put(index, this.heap[parent]);
			index = parent;
		}
		this.put(index, timer);
	}

	private siftDown(index: number): void {
		const timer = this.heap[index];
		for (;;) {
			let child = 2 * index + 1;
			if (child >= this.size) break;
			if (child + 1 < this.size && this.before(this.heap[child + 1], this.heap[child])) child++;
			if (!this.before(this.heap[child], timer)) break;
			this.put(index, this.heap[child]);
			index = child;
		}
		this.put(index, timer);
	}
}

function resized<T extends Int32Array | Float64Array>(array: T, length: number): T {
	const larger = new (array.constructor as new (length: number) => T)(length);
	larger.set(array);
	return larger;
}
