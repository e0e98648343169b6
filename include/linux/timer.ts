// SPDX-License-Identifier: GPL-2.0-or-later
/** Length of a jiffy, ms. HZ=250, as in Debian's kernels. */
export const JIFFY = 4;
/** Jiffies per second. */
export const HZ = 1000 / JIFFY;

/**
 * kernel/time/timer.c: calc_wheel_index. The level of the wheel for a delay in jiffies, 0 to 7. Each
 * level is eight times coarser than the one before.
 */
function wheelLevel(delta: number): number {
	let level = 0;
	for (let start = 63; delta >= start && level < 7; start *= 8) level++;
	return level;
}

/** calc_index. How many jiffies late a timer expires on a level. Expiry times are rounded up. */
function wheelDelay(expires: number, level: number): number {
	const gran = 8 ** level;
	return gran - (((expires % gran) + gran) % gran);
}

/** Kinds of timers that an owner can have. From 4 on the owner is an association of SCTP. */
export const TIMER_KINDS = 16;
const TIMER_KINDS_LOG = 4;

/** More than the number of times that timers are armed. A level counts more than this number. */
const LEVEL = 2 ** 49;

/**
 * Timers on a virtual clock (include/linux/timer.h).
 *
 * A timer is a small number that its owner chooses: the number of the owner times TIMER_KINDS, plus
 * the kind of the timer. Pending timers form a binary heap. Of timers that expire in the same jiffy,
 * those of the coarsest level run first, and on a level the one that was armed last (__run_timers,
 * enqueue_timer).
 */
export class TimerQueue {
	/** Time since boot, ms. It does not start at 0, so that no time stamp is 0. */
	now: number;
	/**
	 * The heap: timer, expiry, and order among timers of this expiry: the level, then the number of
	 * its arming. The timer at index 0 expires first.
	 */
	private heap = new Int32Array(256);
	private expires = new Float64Array(256);
	private order = new Float64Array(256);
	private size = 0;
	/**
	 * By kind, then by owner: the timer's index in the heap plus one, 0 if it is not pending. A kind
	 * that is never armed takes no memory.
	 */
	private readonly places = Array.from({ length: TIMER_KINDS }, () => new Int32Array(1));
	/** How many times a timer was armed. */
	armed = 0;
	/**
	 * The jiffies when `now` is 0, modulo the wheel's coarsest level here. null if they are not
	 * known; then timers are as exact as on the wheel's first level.
	 */
	wheel: number | null = null;

	/**
	 * `phase` is the point in a jiffy where the clock starts, 0 to 4 ms. `lateness` is how many
	 * jiffies late a timer runs because the machine is busy.
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

	/** The pending timers, in no order. */
	handles(): Int32Array {
		return this.heap.slice(0, this.size);
	}

	/** Memory of the queue, bytes. */
	get byteLength(): number {
		const arrays = [this.heap, this.expires, this.order, ...this.places];
		return arrays.reduce((sum, array) => sum + array.byteLength, 0);
	}

	/** When a timer expires, ms since boot. null if it is not pending. */
	expiry(timer: number): number | null {
		const place = this.placeOf(timer);
		return place !== 0 ? this.expires[place - 1] : null;
	}

	/** The timer that expires first, null if none is pending. */
	first(): number | null {
		return this.size === 0 ? null : this.heap[0];
	}

	/**
	 * Arms a timer, or moves a pending one, to `delay` ms from now. Time is counted in jiffies and
	 * the wheel rounds up. So the timer expires up to one jiffy late. A timer that stays in its
	 * bucket of the wheel keeps its place there.
	 */
	mod_timer(timer: number, delay: number): void {
		const delta = Math.ceil(delay / JIFFY);
		const level = wheelLevel(delta);
		const expires = this.expiryOn(level, delta);
		const place = this.placeOf(timer);
		if (place !== 0 && this.expires[place - 1] === expires) {
			if (Math.floor(this.order[place - 1] / LEVEL) === level) return;
		}
		this.del_timer(timer);
		const kind = timer & (TIMER_KINDS - 1);
		const owner = timer >>> TIMER_KINDS_LOG;
		const { length } = this.places[kind];
		if (owner >= length) {
			this.places[kind] = resized(this.places[kind], Math.max(owner + 1, 256, length * 2));
		}
		if (this.size === this.heap.length) {
			this.heap = resized(this.heap, this.size * 2);
			this.expires = resized(this.expires, this.size * 2);
			this.order = resized(this.order, this.size * 2);
		}
		const order = level * LEVEL + this.armed++;
		const hole = this.siftUp(this.size++, expires, order);
		this.put(hole, timer, expires, order);
	}

	/** When a timer of `delay` ms that is armed now would expire, ms since boot. */
	expiryIn(delay: number): number {
		const delta = Math.ceil(delay / JIFFY);
		return this.expiryOn(wheelLevel(delta), delta);
	}

	/** When a timer of `delta` jiffies on a level of the wheel would expire, ms since boot. */
	private expiryOn(level: number, delta: number): number {
		const expires = Math.floor(this.now / JIFFY) + delta;
		const late = this.wheel === null ? 1 : wheelDelay(expires + this.wheel, level);
		return (expires + late + this.lateness) * JIFFY;
	}

	/** Disarms a timer. Returns whether it was pending. */
	del_timer(timer: number): boolean {
		const place = this.placeOf(timer);
		if (place === 0) return false;
		let hole = place - 1;
		this.setPlace(timer, 0);
		const last = --this.size;
		if (hole < last) {
			const expires = this.expires[last];
			const order = this.order[last];
			hole = this.siftDown(this.siftUp(hole, expires, order), expires, order);
			this.put(hole, this.heap[last], expires, order);
		}
		return true;
	}

	private placeOf(timer: number): number {
		const places = this.places[timer & (TIMER_KINDS - 1)];
		const owner = timer >>> TIMER_KINDS_LOG;
		return owner < places.length ? places[owner] : 0;
	}

	private setPlace(timer: number, place: number): void {
		this.places[timer & (TIMER_KINDS - 1)][timer >>> TIMER_KINDS_LOG] = place;
	}

	private put(index: number, timer: number, expires: number, order: number): void {
		this.heap[index] = timer;
		this.expires[index] = expires;
		this.order[index] = order;
		this.setPlace(timer, index + 1);
	}

	/** Whether the timer at an index of the heap runs after one with this expiry and order. */
	private after(index: number, expires: number, order: number): boolean {
		const difference = this.expires[index] - expires;
		return difference !== 0 ? difference > 0 : this.order[index] < order;
	}

	private move(to: number, from: number): void {
		this.put(to, this.heap[from], this.expires[from], this.order[from]);
	}

	/** Moves a hole of the heap up to the place of a timer with this expiry. Returns its index. */
	private siftUp(hole: number, expires: number, order: number): number {
		while (hole > 0) {
			const parent = (hole - 1) >> 1;
			if (!this.after(parent, expires, order)) break;
			this.move(hole, parent);
			hole = parent;
		}
		return hole;
	}

	/**
	 * Moves a hole of the heap down to the place of a timer with this expiry. Returns its index.
	 */
	private siftDown(hole: number, expires: number, order: number): number {
		for (;;) {
			let child = 2 * hole + 1;
			if (child >= this.size) break;
			const right = child + 1;
			if (right < this.size && this.after(child, this.expires[right], this.order[right])) child++;
			if (this.after(child, expires, order)) break;
			this.move(hole, child);
			hole = child;
		}
		return hole;
	}
}

function resized<T extends Int32Array | Float64Array>(array: T, length: number): T {
	const larger = new (array.constructor as new (length: number) => T)(length);
	larger.set(array);
	return larger;
}
