// SPDX-License-Identifier: GPL-2.0-or-later
/** What a tracer is told of system calls (include/trace/events/syscalls.h). */
import type { PortSearchTrace } from "../../include/trace/events/port_search.js";
import type { Address } from "./address.js";
import type { Task } from "./task.js";

/** A system call with the arguments that its errors depend on. */
export interface Syscall {
	/** As __sys_NAME has it: "bind", "accept4", "sendto". */
	name: string;
	fd: number;
	/** null: none, or a pointer that leads nowhere. */
	address?: Address | null;
	/** Bytes of the address, or of the option's value. */
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

/** A tracer of searches that may be told of each system call, once it returns, as well. */
export interface KernelTrace extends PortSearchTrace {
	/** `result` as the kernel returns it. */
	sys_exit?(task: Task, call: Syscall, result: number): void;
}
