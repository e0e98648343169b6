// SPDX-License-Identifier: GPL-2.0-or-later
/** The system calls that a tracer sees (include/trace/events/syscalls.h). */
import type { PortSearchTrace } from "../../include/trace/events/port_search.js";
import type { Address } from "./address.js";
import type { Task } from "./task.js";

/** A system call with the arguments that its errors depend on. */
export interface Syscall {
	/** NAME of __sys_NAME: "bind", "accept4", "sendto". */
	name: string;
	fd: number;
	/** null: no address, or a bad pointer. */
	address?: Address | null;
	/** Length in bytes of the address or of the option's value. */
	length?: number;
	/** Backlog, SHUT_*, or flags. */
	number?: number;
	newfd?: number;
	/** Bytes to send. */
	size?: number;
	family?: number;
	type?: number;
	protocol?: number;
	level?: number;
	optname?: number;
	optval?: Uint8Array | null;
}

/** A tracer of searches that may also see each system call when it returns. */
export interface KernelTrace extends PortSearchTrace {
	/** `result` is the kernel's return value: 0 or above, or -errno. */
	sys_exit?(task: Task, call: Syscall, result: number): void;
}
