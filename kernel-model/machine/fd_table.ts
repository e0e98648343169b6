// SPDX-License-Identifier: GPL-2.0-or-later
/** Open files, and the tables of descriptors that refer to them. */
import { Slab } from "../../include/linux/slab.js";
import type { NetNamespace } from "./net.js";
import { nth } from "./nth.js";

/** An open file with a path: a setting, a file that keeps a network namespace, or NETLINK_ROUTE. */
export interface OpenPath {
	path: string;
	/** The namespace of the setting, or the one that the file keeps; null if it is not known. */
	net: NetNamespace | null;
	writable: boolean;
	/** f_pos, bytes. */
	position: number;
}

/** Open files: struct file. Shared by dup() and fork(). */
export class FileTable extends Slab {
	/** The struct socket; 0 if the file is not a socket. */
	socket = this.i32();
	/** Descriptors of the file in all tasks, and descriptors in flight. */
	f_count = this.i32();
	/** Descriptors of the file in flight: net/unix/garbage.c: unix_inflight. */
	inflight = this.i32();
	/** Files with a path that matters. */
	readonly paths = new Map<number, OpenPath>();
}

/** The array of descriptors grows to this length for a single high descriptor. */
const NEAR = 1 << 16;

/** struct fdtable: shared by threads, copied by fork(). */
export class FdTable {
	/** The file of each descriptor: negative if close-on-exec, 0 if not open. */
	private near = new Int32Array(64);
	/** The same for descriptors that lie beyond the array. Few programs have one. */
	private readonly far = new Map<number, number>();
	/** No descriptor below next_fd is free, and none in the array from `end` on is open. */
	private next_fd = 0;
	private end = 0;

	/** The lowest descriptor from `start` on that is not open. */
	lowestFree(start = 0): number {
		while (this.get(this.next_fd) !== 0) this.next_fd++;
		let fd = Math.max(start, this.next_fd);
		while (this.get(fd) !== 0) fd++;
		return fd;
	}

	private get(fd: number): number {
		if (fd < this.near.length) return fd >= 0 && fd < this.end ? nth(this.near, fd) : 0;
		return this.far.size === 0 ? 0 : (this.far.get(fd) ?? 0);
	}

	/** The file of a descriptor; 0 if it is not open. */
	file(fd: number): number {
		return Math.abs(this.get(fd));
	}

	closeOnExec(fd: number): boolean {
		return this.get(fd) < 0;
	}

	set(fd: number, file: number, cloexec: boolean): void {
		const entry = cloexec ? -file : file;
		if (fd >= this.near.length) {
			// Programs get the lowest free descriptor, so most of a larger array is in use.
			if (fd >= Math.max(NEAR, 2 * this.near.length)) {
				this.far.set(fd, entry);
				return;
			}
			this.grow(2 ** Math.ceil(Math.log2(fd + 1)));
		}
		this.near[fd] = entry;
		if (fd >= this.end) this.end = fd + 1;
	}

	private grow(length: number): void {
		const near = new Int32Array(length);
		near.set(this.near);
		this.near = near;
		for (const [fd, entry] of this.far) {
			if (fd >= length) continue;
			this.far.delete(fd);
			this.set(fd, Math.abs(entry), entry < 0);
		}
	}

	delete(fd: number): void {
		if (fd < this.near.length) this.near[fd] = 0;
		else this.far.delete(fd);
		this.next_fd = Math.min(this.next_fd, fd);
	}

	/** Open descriptors, lowest first. */
	open(): number[] {
		const fds: number[] = [];
		for (let fd = 0; fd < this.end; fd++) if (this.near[fd] !== 0) fds.push(fd);
		return fds.concat([...this.far.keys()].sort((a, b) => a - b));
	}

	/** Memory of the table, about, bytes. */
	get byteLength(): number {
		return this.near.byteLength + this.far.size * 40;
	}
}
