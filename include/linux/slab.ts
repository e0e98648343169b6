// SPDX-License-Identifier: GPL-2.0-or-later
/**
 * Slabs: tables of records, one typed array a field (include/linux/slab.h: kmem_cache).
 *
 * A record is a handle from 1 up; 0 is NULL. Freed handles are used again, last freed
 * first. Tables grow by doubling, which replaces the arrays: code that allocates must not
 * keep a column in a local across the allocation.
 */

type Column = Int8Array | Uint8Array | Uint16Array | Int32Array | Uint32Array | Float64Array;

/**
 * One table. A subclass declares its columns as fields (`skc_num = this.u16()`) and
 * nothing else. Invariant: each handle below `limit` is either in use or in `free`.
 */
export abstract class Slab {
	/** Records that the columns have room for, handle 0 included. */
	capacity: number;
	/** Records in use. */
	used = 0;
	/** Handles from here on were never given out. */
	limit = 1;
	private free: Int32Array;
	private freed = 0;
	private columns: Column[] = [];

	constructor(capacity = 256) {
		this.capacity = capacity;
		this.free = new Int32Array(capacity);
	}

	protected i8(): Int8Array {
		return this.column(new Int8Array(this.capacity));
	}
	protected u8(): Uint8Array {
		return this.column(new Uint8Array(this.capacity));
	}
	protected u16(): Uint16Array {
		return this.column(new Uint16Array(this.capacity));
	}
	protected i32(): Int32Array {
		return this.column(new Int32Array(this.capacity));
	}
	protected u32(): Uint32Array {
		return this.column(new Uint32Array(this.capacity));
	}
	protected f64(): Float64Array {
		return this.column(new Float64Array(this.capacity));
	}
	/** IPv6 addresses: four words a record, from `handle * 4` on, most significant first. */
	protected in6(): Uint32Array {
		return this.column(new Uint32Array(this.capacity * 4));
	}

	private column<T extends Column>(array: T): T {
		this.columns.push(array);
		return array;
	}

	/** Elements that one record has in a column. */
	private stride(column: Column): number {
		return column.length / this.capacity;
	}

	private grow(): void {
		const fields = this as unknown as Record<string, unknown>;
		this.capacity *= 2;
		const grown = new Map<unknown, Column>();
		for (const old of [this.free, ...this.columns]) {
			const array = new (old.constructor as new (length: number) => Column)(old.length * 2);
			array.set(old);
			grown.set(old, array);
		}
		for (const name of Object.keys(fields)) {
			const array = grown.get(fields[name]);
			if (array !== undefined) fields[name] = array;
		}
		this.columns = [...grown.values()].slice(1);
	}

	/** A record with every field zero. */
	kmem_cache_zalloc(): number {
		this.used++;
		if (this.freed > 0) {
			const handle = this.free[--this.freed];
			for (const column of this.columns) {
				const stride = this.stride(column);
				for (let i = 0; i < stride; i++) column[handle * stride + i] = 0;
			}
			return handle;
		}
		if (this.limit === this.capacity) this.grow();
		return this.limit++;
	}

	kmem_cache_free(handle: number): void {
		this.used--;
		this.free[this.freed++] = handle;
	}

	/** Copies every field of one record to another, links included (net/core/sock.c: sock_copy). */
	copy(to: number, from: number): void {
		for (const column of this.columns) {
			const stride = this.stride(column);
			for (let i = 0; i < stride; i++) column[to * stride + i] = column[from * stride + i];
		}
	}

	/** Bytes of table memory that one record takes. */
	get recordSize(): number {
		return this.columns.reduce(
			(sum, column) => sum + column.BYTES_PER_ELEMENT * this.stride(column),
			4,
		);
	}

	/** The handles in use, lowest first: for verification and listings. */
	handles(): number[] {
		const free = new Set(this.free.subarray(0, this.freed));
		const handles: number[] = [];
		for (let handle = 1; handle < this.limit; handle++) {
			if (!free.has(handle)) handles.push(handle);
		}
		return handles;
	}
}
