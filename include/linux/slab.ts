// SPDX-License-Identifier: GPL-2.0-or-later
/**
 * Slabs: tables of records, one typed array for each field (include/linux/slab.h: kmem_cache).
 *
 * A record is a handle from 1 up; 0 is NULL. The handle that was freed last is used first again. A
 * table grows by doubling, which replaces its arrays. Do not keep a column in a local variable
 * across an allocation.
 */
import type { Column } from "./handle.js";

type Numbers = Int8Array | Uint8Array | Uint16Array | Int32Array | Uint32Array | Float64Array;

/**
 * A column that has the same value in almost all records, usually 0. Only the others take memory.
 * `get` and `set` stand for an index, because an array has a place for each record.
 */
export class SparseColumn<Handle extends number, Value extends number = number> {
	private readonly values = new Map<Handle, Value>();

	/** `usual` is the value of almost all records. */
	constructor(private readonly usual: Value) {}

	get(handle: Handle): Value {
		return this.values.size === 0 ? this.usual : (this.values.get(handle) ?? this.usual);
	}

	set(handle: Handle, value: Value): void {
		if (value !== this.usual) this.values.set(handle, value);
		else if (this.values.size > 0) this.values.delete(handle);
	}

	add(handle: Handle, value: number): void {
		this.set(handle, (this.get(handle) + value) as Value);
	}

	/** Memory of the column, about, bytes. */
	get byteLength(): number {
		return this.values.size * 40;
	}
}

/** Rows of a table after its first allocation. */
const FIRST_ROWS = 256;

/**
 * One table. A subclass declares its columns as fields (`skc_num = this.u16()`) and nothing else.
 * Invariant: each handle below `limit` is either in use or in `free`.
 *
 * All columns except those of IPv6 addresses lie in one buffer, the widest elements first. So four
 * loops over views of the buffer can clear or copy a record.
 */
export abstract class Slab<Handle extends number = number> {
	/** Rows of each column, including the row of handle 0. */
	capacity = 1;
	/** Records in use. */
	used = 0;
	/** No handle from here on was ever allocated. */
	limit = 1;
	/**
	 * Views of the buffer, one for each element size. Each covers the columns of this size and
	 * wider.
	 */
	private doubles = new Float64Array(0);
	private words = new Int32Array(0);
	private halves = new Uint16Array(0);
	private bytes = new Int8Array(0);
	/** Where the columns of 4, 2 and 1 bytes begin, in elements of their size. */
	private firstWord = 0;
	private firstHalf = 0;
	private firstByte = 0;
	private free = new Int32Array(0);
	private freed = 0;
	private columns: Numbers[] = [];
	private addresses: Uint32Array[] = [];
	private readonly sparse_columns: SparseColumn<Handle, number>[] = [];

	protected i8<Value extends number = number>(): Column<Int8Array, Handle, Value> {
		return this.column<Int8Array, Value>(new Int8Array(1));
	}
	protected u8<Value extends number = number>(): Column<Uint8Array, Handle, Value> {
		return this.column<Uint8Array, Value>(new Uint8Array(1));
	}
	protected u16<Value extends number = number>(): Column<Uint16Array, Handle, Value> {
		return this.column<Uint16Array, Value>(new Uint16Array(1));
	}
	protected i32<Value extends number = number>(): Column<Int32Array, Handle, Value> {
		return this.column<Int32Array, Value>(new Int32Array(1));
	}
	protected u32<Value extends number = number>(): Column<Uint32Array, Handle, Value> {
		return this.column<Uint32Array, Value>(new Uint32Array(1));
	}
	protected f64<Value extends number = number>(): Column<Float64Array, Handle, Value> {
		return this.column<Float64Array, Value>(new Float64Array(1));
	}
	/**
	 * A column of IPv6 addresses: four words for each record, from `handle * 4` on, most
	 * significant first. It has rows only up to the highest handle that was passed to in6Alloc().
	 */
	protected in6(): Uint32Array {
		const array = new Uint32Array(4);
		this.addresses.push(array);
		return array;
	}

	/** New records have the value `usual`. */
	protected sparse<Value extends number = number>(
		usual: Value = 0 as Value,
	): SparseColumn<Handle, Value> {
		const column = new SparseColumn<Handle, Value>(usual);
		this.sparse_columns.push(column);
		return column;
	}

	private column<A, Value extends number>(array: Numbers): Column<A, Handle, Value> {
		this.columns.push(array);
		return array as unknown as Column<A, Handle, Value>;
	}

	/** Assigns the new arrays to the fields that hold the old ones. */
	private replace(arrays: ReadonlyMap<unknown, Numbers>): void {
		const fields = this as unknown as Record<string, unknown>;
		for (const name of Object.keys(fields)) {
			const array = arrays.get(fields[name]);
			if (array !== undefined) fields[name] = array;
		}
	}

	private grow(): void {
		const rows = this.capacity === 1 ? FIRST_ROWS : this.capacity * 2;
		const width = this.columns.reduce((sum, column) => sum + column.BYTES_PER_ELEMENT, 0);
		const buffer = new ArrayBuffer(rows * width);
		const grown = new Map<unknown, Numbers>();
		let end = 0;
		const ends = [8, 4, 2, 1].map((bytes) => {
			for (const old of this.columns) {
				if (old.BYTES_PER_ELEMENT !== bytes) continue;
				const View = old.constructor as new (
					on: ArrayBuffer,
					at: number,
					length: number,
				) => Numbers;
				const array = new View(buffer, end, rows);
				array.set(old);
				grown.set(old, array);
				end += bytes * rows;
			}
			return end;
		});
		this.replace(grown);
		this.columns = [...grown.values()];
		this.capacity = rows;
		this.doubles = new Float64Array(buffer, 0, ends[0] / 8);
		this.words = new Int32Array(buffer, 0, ends[1] / 4);
		this.halves = new Uint16Array(buffer, 0, ends[2] / 2);
		this.bytes = new Int8Array(buffer);
		this.firstWord = ends[0] / 4;
		this.firstHalf = ends[1] / 2;
		this.firstByte = ends[2];
	}

	/**
	 * Allocates rows for the IPv6 addresses of a record. Call it before the first address is
	 * stored.
	 */
	in6Alloc(handle: Handle): void {
		if (this.addresses.length === 0 || this.addresses[0].length > handle * 4) return;
		let rows = this.addresses[0].length / 4;
		while (rows <= handle) rows = rows === 1 ? FIRST_ROWS : rows * 2;
		const grown = new Map<unknown, Uint32Array>();
		for (const old of this.addresses) {
			const array = new Uint32Array(rows * 4);
			array.set(old);
			grown.set(old, array);
		}
		this.replace(grown);
		this.addresses = [...grown.values()];
	}

	/** Allocates a record. All its fields are zero. */
	kmem_cache_zalloc(): Handle {
		this.used++;
		if (this.freed > 0) {
			const handle = this.free[--this.freed] as Handle;
			this.clear(handle);
			return handle;
		}
		if (this.limit === this.capacity) this.grow();
		return this.limit++ as Handle;
	}

	private clear(handle: Handle): void {
		for (const column of this.sparse_columns) column.set(handle, 0);
		const { capacity, doubles, words, halves, bytes } = this;
		for (let i: number = handle; i < doubles.length; i += capacity) doubles[i] = 0;
		for (let i = this.firstWord + handle; i < words.length; i += capacity) words[i] = 0;
		for (let i = this.firstHalf + handle; i < halves.length; i += capacity) halves[i] = 0;
		for (let i = this.firstByte + handle; i < bytes.length; i += capacity) bytes[i] = 0;
		for (const array of this.addresses) {
			if (handle * 4 < array.length) array.fill(0, handle * 4, handle * 4 + 4);
		}
	}

	kmem_cache_free(handle: Handle): void {
		this.used--;
		if (this.freed === this.free.length) {
			const free = new Int32Array(Math.max(FIRST_ROWS, this.freed * 2));
			free.set(this.free);
			this.free = free;
		}
		this.free[this.freed++] = handle;
	}

	/** Copies all fields of one record to another, including links (net/core/sock.c: sock_copy). */
	copy(to: Handle, from: Handle): void {
		for (const column of this.sparse_columns) column.set(to, column.get(from));
		const { capacity, doubles, words, halves, bytes } = this;
		const by = to - from;
		for (let i: number = from; i < doubles.length; i += capacity) doubles[i + by] = doubles[i];
		for (let i = this.firstWord + from; i < words.length; i += capacity) words[i + by] = words[i];
		for (let i = this.firstHalf + from; i < halves.length; i += capacity)
			halves[i + by] = halves[i];
		for (let i = this.firstByte + from; i < bytes.length; i += capacity) bytes[i + by] = bytes[i];
		if (this.addresses.length === 0 || from * 4 >= this.addresses[0].length) return;
		this.in6Alloc(to);
		for (const array of this.addresses) array.copyWithin(to * 4, from * 4, from * 4 + 4);
	}

	/** Memory of the table, bytes. */
	get byteLength(): number {
		const arrays = [this.bytes, this.free, ...this.addresses, ...this.sparse_columns];
		return arrays.reduce((sum, array) => sum + array.byteLength, 0);
	}

	/** The handles in use, lowest first. For verification and listings. */
	handles(): Handle[] {
		const free = new Set(this.free.subarray(0, this.freed));
		const handles: Handle[] = [];
		for (let handle = 1; handle < this.limit; handle++) {
			if (!free.has(handle)) handles.push(handle as Handle);
		}
		return handles;
	}
}
