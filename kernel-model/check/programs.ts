// SPDX-License-Identifier: GPL-2.0-or-later
/**
 * Which processes of a recording run one program, and whether the recording shows that the program
 * receives. A process that has ended is kept only while a process that descends from it is kept.
 */
export class Programs {
	/** Processes of which the recording shows that they receive from a connection. */
	readonly receivers = new Set<number>();
	/** The maker of each process, as far as the recording is read. */
	private readonly parents = new Map<number, number>();
	/** Numbers of kept processes that a process made. */
	private readonly children = new Map<number, number>();
	/** Processes that executed another program. */
	private readonly executors = new Set<number>();
	/** Processes that have ended. */
	private readonly ended = new Set<number>();

	/** Number of processes that are kept. */
	get size(): number {
		const { receivers, parents, children, executors, ended } = this;
		return Math.max(receivers.size, parents.size, children.size, executors.size, ended.size);
	}

	forks(pid: number, child: number): void {
		this.ended.delete(child);
		const before = this.parents.get(child);
		this.parents.set(child, pid);
		this.children.set(pid, (this.children.get(pid) ?? 0) + 1);
		// The pid is reused.
		if (before !== undefined) this.leaves(before);
	}

	execs(pid: number): void {
		this.executors.add(pid);
	}

	receives(pid: number): void {
		this.receivers.add(pid);
	}

	/** A process has ended. No call of it is played any more. */
	ends(pid: number): void {
		this.ended.add(pid);
		this.release(pid);
	}

	private release(pid: number): void {
		if (!this.ended.has(pid) || this.children.has(pid)) return;
		if (this.receivers.delete(pid)) {
			const program = this.programOf(pid);
			if (program !== pid) this.receivers.add(program);
		}
		const parent = this.parents.get(pid);
		for (const each of [this.ended, this.executors, this.parents]) each.delete(pid);
		if (parent !== undefined) this.leaves(parent);
	}

	/** A process that `pid` made is not kept any more. */
	private leaves(pid: number): void {
		const left = (this.children.get(pid) ?? 1) - 1;
		if (left > 0) {
			this.children.set(pid, left);
			return;
		}
		this.children.delete(pid);
		this.release(pid);
	}

	/** The process that executed the program of a process: itself, or the process it descends from. */
	programOf(pid: number): number {
		// If pids are reused, a process may seem to descend from itself.
		const seen = new Set<number>();
		for (;;) {
			const parent = this.executors.has(pid) ? undefined : this.parents.get(pid);
			if (parent === undefined || seen.has(parent)) return pid;
			seen.add(pid);
			pid = parent;
		}
	}

	/** Whether the recording shows that the program of a process receives from a connection. */
	programReceives(pid: number): boolean {
		const { receivers } = this;
		if (receivers.has(pid)) return true;
		const program = this.programOf(pid);
		for (const receiver of receivers) if (this.programOf(receiver) === program) return true;
		return false;
	}
}
