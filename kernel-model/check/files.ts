// SPDX-License-Identifier: GPL-2.0-or-later
/**
 * Files that matter to ports: the settings below /proc/sys/net, and files that keep a network
 * namespace.
 */
import { EACCES, EBADF, EMFILE, EPERM } from "../../include/uapi/asm-generic/errno.js";
import type { OpenPath } from "../machine/fd_table.js";
import type { NetNamespace } from "../machine/net.js";
import { isModelledSysctl } from "../script/setup.js";
import type { Value } from "../script/strace.js";
import { isSysctlPath, SYSCTL_PATH } from "../script/sysctl_path.js";
import type { Descriptors } from "./descriptors.js";
import { type Handled, IGNORED, type ModelCall } from "./model_call.js";
import type { World } from "./world.js";

export class Files {
	constructor(
		private readonly world: World,
		private readonly descriptors: Descriptors,
	) {}

	/** open() or openat(). In a script without results the files exist. */
	open(modelCall: ModelCall): Handled {
		const { call, operands, recorded } = modelCall;
		if (call.result === null) {
			const index = call.name === "open" ? 0 : 1;
			if (!isSysctlPath(operands.string(index, SYSCTL_PATH)))
				throw operands.error(call.args[index]?.value, SYSCTL_PATH);
		}
		const succeeded = recorded !== null && recorded >= 0;
		// The model does not have the permissions of files. C looks for a descriptor first.
		const knows = this.world.knowsDescriptors(modelCall.task);
		if (knows && this.opensSysctl(modelCall) && (succeeded || recorded === -EMFILE))
			return { result: this.opened(modelCall) };
		if (succeeded) this.opened(modelCall, this.descriptors.recordedFd(modelCall));
		return recorded === null ? { result: this.opened(modelCall) } : IGNORED;
	}

	/** Whether a call opens a file below /proc/sys/net. */
	private opensSysctl({ call, operands }: ModelCall): boolean {
		const index = call.name === "open" ? 0 : 1;
		const shown = call.args[index]?.value.kind === "string";
		return shown && isSysctlPath(operands.string(index, SYSCTL_PATH));
	}

	private opened({ task, call, operands }: ModelCall, at?: number): number {
		const { world } = this;
		const index = call.name === "open" ? 0 : 1;
		const value = call.args[index]?.value;
		if (value?.kind !== "string" || (value.truncated && call.result !== null))
			return task.openOther(at);
		const path = operands.string(index, "a path");
		const flags = call.args[index + 1]?.value;
		const open = (net: NetNamespace | null) =>
			task.openPath({ path, net, writable: writes(flags), position: 0 }, closes(flags), at);
		if (isSysctlPath(path)) return open(task.net);
		const of = /^\/proc\/(self|thread-self|[0-9]+)(\/task\/[0-9]+)?\/ns\/net$/.exec(path)?.[1];
		if (of !== undefined) {
			const pid = /^[0-9]/.test(of) ? Number(of) : (call.pid ?? 0);
			return open((pid === call.pid ? task : world.tasks.get(pid))?.net ?? null);
		}
		if (/^(\/var)?\/run\/netns\//.test(path)) {
			const name = path.replace(/^\/var/, "");
			const known = world.namedNets.get(name);
			const net = known ?? world.kernel.createNet();
			if (known === undefined) {
				world.namedNets.set(name, net);
				world.netDoubts.set(net.net.id, `${path} is a namespace from before the recording`);
			}
			return open(net);
		}
		return task.openOther(at);
	}

	writeSysctl({ task, operands, recorded }: ModelCall, file: OpenPath): Handled {
		// fs/read_write.c: ksys_write.
		if (!file.writable) return { result: -EBADF };
		const name = sysctlOf(file);
		if (!isModelledSysctl(name)) return IGNORED;
		const text = operands.written();
		if (recorded === -EACCES || recorded === -EPERM) return IGNORED;
		const taken = (file.net ?? task.net).writeSysctl(name, text, file);
		if (taken >= 0) this.world.privileged = true;
		return { result: taken };
	}

	/** A read of a setting moves the position of the file. */
	readSysctl({ task, operands, call, recorded }: ModelCall, file: OpenPath): Handled {
		if (recorded !== null) {
			file.position += Math.max(recorded, 0);
			return IGNORED;
		}
		const text = (file.net ?? task.net).getSysctl(sysctlOf(file));
		if (typeof text === "number" || call.args[2] === undefined) return IGNORED;
		const taken = file.position > 0 ? 0 : Math.min(operands.int(2, "a size"), text.length);
		file.position += taken;
		return { result: taken };
	}

	/** ioctl(SIOCGSKNS). Another user may have the capability over the namespace. */
	opensNamespace(modelCall: ModelCall): Handled {
		const { task, operands, recorded } = modelCall;
		if (recorded === -EPERM) return IGNORED;
		const fd = operands.int(0, "a file descriptor");
		return { result: task.socketNamespace(fd, this.descriptors.recordedFd(modelCall)) };
	}
}

/** Whether open() flags allow writing. A script may leave the flags out; then they do. */
function writes(flags: Value | undefined): boolean {
	if (flags?.kind === "int") return (flags.value & 3) !== 0;
	if (flags?.kind !== "flags") return true;
	return flags.names.includes("O_WRONLY") || flags.names.includes("O_RDWR");
}

/** Whether open() flags close the descriptor at execve(). */
function closes(flags: Value | undefined): boolean {
	return flags?.kind === "flags" && flags.names.includes("O_CLOEXEC");
}

/** The name of the setting of an open file, with dots. */
function sysctlOf({ path }: OpenPath): string {
	return path.slice("/proc/sys/".length).replaceAll("/", ".");
}
