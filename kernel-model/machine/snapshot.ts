// SPDX-License-Identifier: GPL-2.0-or-later
/**
 * Snapshots of everything that can be reached from some objects, such as a kernel and its player.
 * Restoring writes the contents back into the same objects, so references to them stay valid.
 *
 * Large typed arrays are kept in pages. Each page is compared with its contents at the last
 * snapshot, because hot paths write tables directly and do not track changes. Snapshots share
 * unchanged pages.
 */
import { nth } from "./nth.js";

/**
 * Bytes of a page and of a chunk. Chunks are compared first; pages that differ are copied. A chunk
 * has 32 pages, a bit of a number each.
 */
const PAGE = 512;
const CHUNK = 32 * PAGE;
/** Arrays up to this size are copied whole, bytes. */
const SMALL = 1024;

/**
 * The contents of an object: its own properties, the elements of an array, the entries of a Map or
 * Set.
 */
interface Copy {
	keys: readonly string[];
	values: readonly unknown[];
}

/** The pages of one chunk; null is a page of zeros. */
type Chunk = readonly (Uint8Array | null)[];
/** The chunks of a buffer. Snapshots share unchanged chunks. */
type Pages = readonly Chunk[];

const ZEROS: Chunk = new Array<null>(CHUNK / PAGE).fill(null);

/** The contents of a buffer at the last snapshot. */
interface Shadow {
	/** The bytes of each chunk; null for a chunk of zeros, so an empty table costs nothing. */
	bytes: (Uint8Array | null)[];
	/** Holds the bytes of all chunks; null before the first. */
	store: Uint8Array | null;
	pages: Pages;
}

const ZERO_BYTES = new Uint8Array(CHUNK);

/** The contents of some objects at one moment. */
export class Snapshot {
	/** @internal */
	constructor(
		/** @internal */
		readonly objects: readonly object[],
		/** @internal */
		readonly copies: readonly Copy[],
		/** @internal */
		readonly buffers: readonly ArrayBufferLike[],
		/** @internal */
		readonly pages: readonly Pages[],
		/** Bytes copied for this snapshot: those that changed since the snapshot before. */
		readonly copied: number,
	) {}
}

const NO_KEYS: readonly string[] = [];

export class Snapshots {
	private readonly last = new WeakMap<object, Copy>();
	private readonly shadows = new WeakMap<ArrayBufferLike, Shadow>();
	private copied = 0;
	/** Where the next copies of pages go. In browsers each allocation of a page would cost 10 us. */
	private room = new Uint8Array(0);

	/**
	 * Properties named in `hooks` are not saved or restored: they lead to observers, not to state.
	 */
	constructor(
		private readonly roots: readonly object[],
		private readonly hooks: ReadonlySet<string>,
	) {}

	take(): Snapshot {
		const seen = new Set<object>(this.roots);
		const objects: object[] = [...this.roots];
		const copies: Copy[] = [];
		const buffers = new Set<ArrayBufferLike>();
		this.copied = 0;
		const reach = (value: unknown) => {
			if (typeof value !== "object" || value === null) return;
			if (ArrayBuffer.isView(value) && !isSmall(value)) buffers.add(value.buffer);
			else if (!seen.has(value)) {
				seen.add(value);
				objects.push(value);
			}
		};
		for (let i = 0; i < objects.length; i++) {
			const object = nth(objects, i);
			const copy = this.copy(object);
			copies.push(copy);
			if (!ArrayBuffer.isView(object)) for (const value of copy.values) reach(value);
		}
		const pages = [...buffers].map((buffer) => this.pagesOf(buffer));
		return new Snapshot(objects, copies, [...buffers], pages, this.copied);
	}

	restore(snapshot: Snapshot): void {
		const { objects, copies, buffers, pages } = snapshot;
		for (const [i, object] of objects.entries()) {
			const copy = nth(copies, i);
			restoreObject(object, copy, this.hooks);
			this.last.set(object, copy);
		}
		for (const [i, buffer] of buffers.entries()) this.restoreBuffer(buffer, nth(pages, i));
	}

	private copy(object: object): Copy {
		const now = contents(object, this.hooks);
		const before = this.last.get(object);
		if (before !== undefined && same(before.values, now.values) && same(before.keys, now.keys)) {
			return before;
		}
		this.copied += 8 * now.values.length;
		this.last.set(object, now);
		return now;
	}

	private shadowOf(buffer: ArrayBufferLike): Shadow {
		const known = this.shadows.get(buffer);
		if (known !== undefined) return known;
		const chunks = Math.ceil(buffer.byteLength / CHUNK);
		const shadow: Shadow = {
			bytes: new Array<Uint8Array | null>(chunks).fill(null),
			store: null,
			pages: new Array<Chunk>(chunks).fill(ZEROS),
		};
		this.shadows.set(buffer, shadow);
		return shadow;
	}

	private pagesOf(buffer: ArrayBufferLike): Pages {
		const shadow = this.shadowOf(buffer);
		const now = bytesOf(buffer);
		let changed: Chunk[] | null = null;
		forEachDifference(now, shadow.bytes, (at, pages) => {
			changed ??= [...shadow.pages];
			const chunk = nth(shadow.pages, at).slice();
			const base = at * CHUNK;
			for (let rest = pages; rest !== 0; rest &= rest - 1) {
				const page = lowest(rest);
				const start = base + page * PAGE;
				chunk[page] = this.kept(now.subarray(start, start + PAGE));
			}
			shadowed(shadow, at).set(now.subarray(base, base + CHUNK));
			changed[at] = chunk;
		});
		if (changed !== null) shadow.pages = changed;
		return shadow.pages;
	}

	/** A copy of a page. */
	private kept(page: Uint8Array): Uint8Array {
		const { length } = page;
		if (this.room.length < length) this.room = new Uint8Array(CHUNK);
		const copy = this.room.subarray(0, length);
		copy.set(page);
		this.room = this.room.subarray(length);
		this.copied += length;
		return copy;
	}

	private restoreBuffer(buffer: ArrayBufferLike, pages: Pages): void {
		const shadow = this.shadowOf(buffer);
		for (let at = 0; at < pages.length; at++) {
			if (pages[at] === shadow.pages[at]) continue;
			const bytes = shadowed(shadow, at);
			for (const [i, page] of nth(pages, at).entries()) {
				if (page === nth(shadow.pages, at)[i]) continue;
				if (page === null) bytes.fill(0, i * PAGE, (i + 1) * PAGE);
				else bytes.set(page, i * PAGE);
			}
		}
		shadow.pages = pages;
		const now = bytesOf(buffer);
		forEachDifference(now, shadow.bytes, (at, differing) => {
			const bytes = nth(shadow.bytes, at) ?? ZERO_BYTES;
			for (let rest = differing; rest !== 0; rest &= rest - 1) {
				const start = lowest(rest) * PAGE;
				const to = at * CHUNK + start;
				now.set(bytes.subarray(start, start + Math.min(PAGE, now.length - to)), to);
			}
		});
	}
}

/** The bytes of a chunk, made writable. */
function shadowed(shadow: Shadow, at: number): Uint8Array {
	const known = nth(shadow.bytes, at);
	if (known !== null) return known;
	// Memory that is not written takes no room.
	shadow.store ??= new Uint8Array(shadow.bytes.length * CHUNK);
	const bytes = shadow.store.subarray(at * CHUNK, (at + 1) * CHUNK);
	shadow.bytes[at] = bytes;
	return bytes;
}

/**
 * Compares a chunk, which begins at `base`, with its bytes at the last snapshot. Bit i of the result
 * is set if page i differs.
 */
type Compare = (now: Uint8Array, base: number, chunk: Uint8Array) => number;

/** Browsers have no Buffer. Its compare() is several times faster than a loop. */
const NODE = typeof Buffer !== "undefined";

const bytesOf = (buffer: ArrayBufferLike): Uint8Array =>
	NODE ? Buffer.from(buffer) : new Uint8Array(buffer);

const compareBuffers: Compare = (now, base, chunk) => {
	const buffer = now as Buffer;
	const length = Math.min(CHUNK, buffer.length - base);
	if (buffer.compare(chunk, 0, length, base, base + length) === 0) return 0;
	let pages = 0;
	for (let start = 0; start < length; start += PAGE) {
		const end = Math.min(start + PAGE, length);
		if (buffer.compare(chunk, start, end, base + start, base + end) !== 0) {
			pages |= 1 << (start / PAGE);
		}
	}
	return pages;
};

/** Tables are aligned to words. */
export const compareWords: Compare = (now, base, chunk) => {
	const length = Math.min(CHUNK, now.length - base);
	const words = length >> 2;
	const a = new Int32Array(now.buffer, now.byteOffset + base, words);
	const b = new Int32Array(chunk.buffer, chunk.byteOffset, words);
	let pages = 0;
	for (let i = 0; i < words; i++) {
		if (a[i] === b[i]) continue;
		pages |= 1 << ((i * 4) / PAGE);
		// The rest of the page does not matter.
		i |= PAGE / 4 - 1;
	}
	for (let i = 4 * words; i < length; i++) {
		if (now[base + i] !== chunk[i]) pages |= 1 << (i / PAGE);
	}
	return pages;
};

const compare = NODE ? compareBuffers : compareWords;

/** The lowest of the pages whose bits are set. */
const lowest = (pages: number): number => 31 - Math.clz32(pages & -pages);

/** Calls back for each chunk that differs, in order, with a bit for each page that differs. */
function forEachDifference(
	now: Uint8Array,
	before: readonly (Uint8Array | null)[],
	differs: (chunk: number, pages: number) => void,
): void {
	for (let at = 0; at < before.length; at++) {
		const pages = compare(now, at * CHUNK, nth(before, at) ?? ZERO_BYTES);
		if (pages !== 0) differs(at, pages);
	}
}

/** Whether an array is copied whole: it is small and covers its whole buffer. */
function isSmall(view: ArrayBufferView): boolean {
	return view.byteLength <= SMALL && view.byteLength === view.buffer.byteLength;
}

function contents(object: object, hooks: ReadonlySet<string>): Copy {
	if (Array.isArray(object)) return { keys: NO_KEYS, values: object.slice() };
	if (object instanceof Map) return { keys: NO_KEYS, values: [...object].flat(1) };
	if (object instanceof Set) return { keys: NO_KEYS, values: [...object] };
	if (ArrayBuffer.isView(object)) {
		return { keys: NO_KEYS, values: [...(object as unknown as Iterable<number>)] };
	}
	const fields = object as Record<string, unknown>;
	const keys = Object.keys(fields).filter(
		(key) => !hooks.has(key) && typeof fields[key] !== "function",
	);
	return { keys, values: keys.map((key) => fields[key]) };
}

function same(a: readonly unknown[], b: readonly unknown[]): boolean {
	if (a.length !== b.length) return false;
	for (let i = 0; i < a.length; i++) if (!Object.is(a[i], b[i])) return false;
	return true;
}

function restoreObject(object: object, copy: Copy, hooks: ReadonlySet<string>): void {
	const { keys, values } = copy;
	if (same(contents(object, hooks).values, values)) {
		if (keys.length === 0 || same(Object.keys(object), keys)) return;
	}
	if (Array.isArray(object)) {
		object.length = 0;
		object.length = values.length;
		for (let i = 0; i < values.length; i++) if (i in values) object[i] = values[i];
	} else if (object instanceof Map) {
		object.clear();
		for (let i = 0; i < values.length; i += 2) object.set(values[i], values[i + 1]);
	} else if (object instanceof Set) {
		object.clear();
		for (const value of values) object.add(value);
	} else if (ArrayBuffer.isView(object)) {
		(object as Uint8Array).set(values as number[]);
	} else {
		const fields = object as Record<string, unknown>;
		const kept = new Set(keys);
		for (const key of Object.keys(fields)) {
			// The property was added after the snapshot, such as an optional one.
			const state = !hooks.has(key) && typeof fields[key] !== "function";
			if (state && !kept.has(key)) delete fields[key];
		}
		for (const [i, key] of keys.entries()) {
			if (!Object.is(fields[key], values[i])) fields[key] = values[i];
		}
	}
}
