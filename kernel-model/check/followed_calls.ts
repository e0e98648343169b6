// SPDX-License-Identifier: GPL-2.0-or-later
/**
 * Calls that do not concern ports, but make, move or close descriptors, set O_NONBLOCK, or start
 * io_uring. The model does not make them. It takes over what they did, because later calls depend
 * on it.
 */
import type { Task } from "../machine/task.js";
import { fionbio, systemCall } from "../script/calls.js";
import { fdOf } from "../script/operands.js";
import type { CallLine, Value } from "../script/strace.js";
import { isFd } from "./descriptors.js";
import type { World } from "./world.js";

/** Roles of calls that make descriptors. */
const MAKES_DESCRIPTORS: ReadonlySet<string> = new Set(["file", "descriptor", "socket"]);

/** Calls that make two descriptors, and the argument that shows them. */
const PAIRS: ReadonlyMap<string, number> = new Map([
	["pipe", 0],
	["pipe2", 0],
	["socketpair", 3],
]);

export class FollowedCalls {
	constructor(private readonly world: World) {}

	/** Takes over what a call did that succeeded on the kernel. */
	follow(call: CallLine): void {
		const { world } = this;
		const task = world.task(call.pid ?? 0);
		if (!world.kernel.tasks.has(task)) return;
		const { name } = call;
		const made = call.result?.value ?? -1;
		if (name === "close_range") this.closeRange(task, call);
		else if (name === "lseek") this.seek(task, call, made);
		else if (name === "ioctl") this.setNonblock(task, call);
		else if (name === "pidfd_getfd") this.copyDescriptor(task, call, made);
		else {
			if (startsUring(call)) world.startsUring(task, call.line);
			if (name === "pidfd_open") this.notePidfd(task, call, made);
			if (MAKES_DESCRIPTORS.has(systemCall(name)?.role ?? "")) this.makeFiles(task, call, made);
		}
	}

	/** Closes the sockets in a range of descriptors, unless a flag says otherwise. */
	private closeRange(task: Task, call: CallLine): void {
		const [first, last] = call.args.map(({ value }) => (value.kind === "int" ? value.value : -1));
		if (first === undefined || last === undefined) return;
		const cloexec = call.args[2]?.value;
		if (cloexec?.kind === "flags" && cloexec.names.length > 0) return;
		for (const fd of task.socketDescriptors()) {
			if (fd >= first && fd <= (last < 0 ? Number.POSITIVE_INFINITY : last)) task.close(fd);
		}
	}

	/** lseek() moved the position of a file to `position`, in bytes. */
	private seek(task: Task, call: CallLine, position: number): void {
		const fd = numberOf(call.args[0]?.value);
		const file = fd === null ? null : task.pathOf(fd);
		if (file !== null) file.position = position;
	}

	/** ioctl(FIONBIO) sets or clears O_NONBLOCK. */
	private setNonblock(task: Task, call: CallLine): void {
		const on = fionbio(call);
		const fd = fdOf(call) ?? -1;
		if (on !== null && task.socketOf(fd) > 0) task.setNonblock(fd, on);
	}

	/** Notes which process a new pidfd stands for. */
	private notePidfd(task: Task, call: CallLine, pidfd: number): void {
		const pid = numberOf(call.args[0]?.value);
		if (pid !== null) this.world.pidfds.set(`${task.pid} ${pidfd}`, pid);
	}

	/** pidfd_getfd() copied a descriptor of another process to the descriptor `made`. */
	private copyDescriptor(task: Task, call: CallLine, made: number): void {
		const { tasks, pidfds } = this.world;
		const pidfd = numberOf(call.args[0]?.value);
		const fd = numberOf(call.args[1]?.value);
		if (pidfd === null || fd === null) return;
		const from = tasks.get(pidfds.get(`${task.pid} ${pidfd}`) ?? -1);
		const file = from?.fileOf(fd) ?? 0;
		if (file !== 0) task.installFile(file, made, true);
	}

	/**
	 * A call made one descriptor or two. If the model has another file there, a call that is not
	 * recorded has closed it.
	 */
	private makeFiles(task: Task, call: CallLine, made: number): void {
		const pair = PAIRS.get(call.name);
		if (pair === undefined) {
			if (task.socketOf(made) > 0 || task.pathOf(made) !== null) task.openOther(made);
			return;
		}
		const fds = call.args[pair]?.value;
		if (fds?.kind !== "array") return;
		for (const fd of fds.items) if (isFd(fd)) task.openOther(fd.value);
	}
}

function numberOf(value: Value | undefined): number | null {
	return value?.kind === "int" ? value.value : null;
}

/** Whether a call hands calls to io_uring, or lets a thread of the kernel look for them. */
function startsUring({ name, args }: CallLine): boolean {
	if (name === "io_uring_enter") {
		const count = args[1]?.value;
		return count?.kind !== "int" || count.value > 0;
	}
	if (name !== "io_uring_setup") return false;
	const params = args[1]?.value;
	const flags =
		params?.kind === "struct" ? params.fields.find((each) => each.name === "flags") : null;
	return flags?.value.kind === "flags" && flags.value.names.includes("IORING_SETUP_SQPOLL");
}
