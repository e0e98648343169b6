// SPDX-License-Identifier: GPL-2.0-or-later
/**
 * Calls of a process: fork(), execve(), exit(), its user, its limit of descriptors, and the network
 * namespace that it enters.
 */
import { CAP_FULL_SET } from "../../include/linux/capability.js";
import { EPERM } from "../../include/uapi/asm-generic/errno.js";
import { RLIMIT_NOFILE } from "../../include/uapi/asm-generic/resource.js";
import { CLONE_NEWNET, CLONE_NEWUSER } from "../../include/uapi/linux/sched.js";
import { type Handled, IGNORED, type ModelCall } from "./model_call.js";
import type { Netlink } from "./netlink.js";
import type { World } from "./world.js";

export class Processes {
	constructor(
		private readonly world: World,
		private readonly netlink: Netlink,
	) {}

	fork({ call, recorded }: ModelCall): Handled {
		const { world } = this;
		if (recorded === null || recorded <= 0) return IGNORED;
		world.fork(call, recorded);
		if (world.recording.leavesChildrenOut) {
			world.endsAlone(`process ${recorded}, which the recording does not follow`);
		}
		return IGNORED;
	}

	exit({ task, call }: ModelCall): Handled {
		this.netlink.ends(task);
		this.world.exit(call.pid ?? 0, call.line);
		return IGNORED;
	}

	/** execve() closes descriptors. A run of ip changes the namespace. */
	execve({ task, call, operands, recorded }: ModelCall): Handled {
		if (recorded === null || recorded < 0) return IGNORED;
		task.execve();
		this.netlink.ends(task);
		const argv = operands.strings(1);
		const program = argv?.[0]?.replace(/^.*\//, "");
		// The writes of sysctl to its files are recorded.
		if (argv === null || program !== "ip") return IGNORED;
		const exit = this.world.recording.exitAfter(call.pid ?? 0, call.line);
		if (exit !== null && exit.status !== 0) return IGNORED;
		this.world.privileged = true;
		this.netlink.ip(task, call.line, argv);
		return IGNORED;
	}

	/** setuid() or setresuid(). The recording shows whether the call succeeded. */
	setUser({ task, call, operands, recorded }: ModelCall): Handled {
		const user = (index: number) => operands.int(index, "a user");
		const sets = call.name === "setuid" ? 0 : 1; // the argument with the effective user
		if (call.result === null) {
			const result = sets === 0 ? task.setuid(user(0)) : task.setresuid(user(0), user(1), user(2));
			return { result };
		}
		if (recorded !== 0) return IGNORED;
		const wanted = user(sets);
		// -1 leaves a user of setresuid() as it is.
		if (wanted >= 0 || sets === 0) {
			task.uid = Math.max(wanted, 0);
			this.world.privileged = true;
		}
		return IGNORED;
	}

	/** A call that sets RLIMIT_NOFILE. Recordings do not show the limit before it. */
	setrlimit({ call, operands, task, recorded }: ModelCall): Handled {
		const { world } = this;
		const first = call.name === "setrlimit" ? 0 : 1;
		if (operands.flags(first) !== RLIMIT_NOFILE) return IGNORED;
		const wanted = operands.rlimit(first + 1);
		if (wanted === null || recorded === -EPERM) return IGNORED;
		const pid = first === 0 ? 0 : operands.int(0, "a process");
		const other = pid === 0 ? task : world.tasks.get(pid);
		if (other === undefined || !world.kernel.tasks.has(other)) return IGNORED;
		return { result: other.setrlimit(wanted.cur, wanted.max) };
	}

	unshare({ task, call, operands, recorded }: ModelCall): Handled {
		const succeeded = recorded !== null && recorded >= 0;
		if (succeeded && (operands.flags(0) & CLONE_NEWUSER) !== 0) task.capabilities = CAP_FULL_SET;
		if ((operands.flags(0) & CLONE_NEWNET) === 0) return IGNORED;
		if (call.result === null) {
			if (!task.privileged) return { result: -EPERM };
			task.unshareNet();
			return { result: 0 };
		}
		if (succeeded) task.unshareNet();
		return IGNORED;
	}

	/** Enters the namespace of a process (pidfd), or the namespace that a file keeps. */
	setns({ task, call, operands, recorded }: ModelCall): Handled {
		const fd = operands.int(0, "a file descriptor");
		const flags = operands.flags(1);
		if (flags !== 0 && (flags & CLONE_NEWNET) === 0) return IGNORED;
		if (recorded !== null && recorded < 0) return IGNORED;
		const { world } = this;
		const file = task.pathOf(fd);
		const process = world.tasks.get(world.pidfds.get(`${task.pid} ${fd}`) ?? -1);
		const setting = file !== null && /^(\/proc\/sys\/|NETLINK_ROUTE$)/.test(file.path);
		const known = (setting ? null : file?.net) ?? process?.net ?? null;
		if (known !== null) {
			task.net = known;
			return recorded === null ? { result: 0 } : IGNORED;
		}
		if (recorded === null) {
			if (flags === 0) return IGNORED;
			throw operands.error(call.args[0]?.value, "a descriptor of a network namespace");
		}
		// With flags 0 the namespace may be of any type. Only a network namespace matters.
		if (flags === 0 && (file === null || setting)) return IGNORED;
		task.net = world.kernel.createNet();
		world.netDoubts.set(task.net.net.id, `line ${call.line} enters a namespace that is not known`);
		return IGNORED;
	}
}
