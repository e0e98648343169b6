// SPDX-License-Identifier: GPL-2.0-or-later
/**
 * Changes that recorded programs make by rtnetlink. The model runs the equivalent commands, unless
 * the recording shows that the kernel refused the request.
 */
import type { Task } from "../machine/task.js";
import { isReceive } from "../script/calls.js";
import { netlinkAnswers, netlinkRequest } from "../script/netlink.js";
import { fdOf } from "../script/operands.js";
import { runSetup, SetupError } from "../script/setup.js";
import type { CallLine } from "../script/strace.js";
import type { World } from "./world.js";

/** How many later lines are searched for the answer to a request. */
const AHEAD = 200;

/** The path of a NETLINK_ROUTE socket among the open files. */
const NETLINK_ROUTE = "NETLINK_ROUTE";

export class Netlink {
	/** Processes of ip whose command line was run. Their messages are ignored. */
	private readonly done = new Set<number>();
	/** Processes of ip whose command line was not understood, with the reason. */
	private readonly pending = new Map<number, string>();

	constructor(private readonly world: World) {}

	/** A socket of another family was opened. */
	opened(task: Task, fd: number, call: CallLine): void {
		const shown = call.args.map(({ value }) => JSON.stringify(value)).join(" ");
		if (!/"AF_NETLINK"/.test(shown) || !/"NETLINK_ROUTE"/.test(shown)) return;
		const file = { path: NETLINK_ROUTE, net: task.net, writable: true, position: 0 };
		this.world.kernel.file.paths.set(task.fileOf(fd), file);
	}

	/** A process runs ip. Its words are run. If they are not understood, its messages are. */
	ip(task: Task, line: number, argv: readonly string[]): void {
		const { pid } = task;
		try {
			runSetup(this.world.kernel, task.net, argv);
			this.done.add(pid);
		} catch (error) {
			if (!(error instanceof SetupError)) throw error;
			const why = `line ${line} runs \`${argv.join(" ")}\`, not understood`;
			// In doubt until its messages show the command.
			this.pending.set(pid, why);
			this.world.netDoubts.set(task.net.net.id, why);
		}
	}

	/** A process calls execve() or ends: its ip command is over. */
	ends(task: Task): void {
		this.done.delete(task.pid);
		this.pending.delete(task.pid);
	}

	/** A send on a descriptor that is not an internet socket. */
	send(task: Task, fd: number, call: CallLine): void {
		const { path, net = null } = task.pathOf(fd) ?? {};
		if (path !== NETLINK_ROUTE || net === null || this.done.has(task.pid)) return;
		const nameOf = (index: number) => net.net.devices.find((d) => d.ifindex === index)?.name;
		const { commands, seqs, unmodelled } = netlinkRequest(call, nameOf);
		const doubt = (why: string) => {
			this.world.netDoubts.set(net.net.id, `line ${call.line} sends a netlink request: ${why}`);
		};
		const { netDoubts } = this.world;
		const told = commands.length > 0 || unmodelled.length > 0;
		if (told && netDoubts.get(net.net.id) === this.pending.get(task.pid)) {
			netDoubts.delete(net.net.id);
		}
		for (const [i, words] of commands.entries()) {
			const answer = this.answer(fd, call, seqs[i] ?? null);
			if (answer !== undefined && answer !== null) continue;
			try {
				runSetup(this.world.kernel, net, words);
				this.world.privileged = true;
			} catch (error) {
				if (!(error instanceof SetupError)) throw error;
				// If the thing exists already, or is gone already, the request is fulfilled.
				if (error.errno === null) doubt(`\`${words.join(" ")}\`, which is not understood`);
				else if (answer === null) doubt(`\`${words.join(" ")}\`, which the model cannot do`);
			}
		}
		if (unmodelled.length > 0) doubt(`${unmodelled.join(", ")}, which is not modelled`);
	}

	/**
	 * The error in the kernel's answer; null for none, undefined if the recording does not show it.
	 */
	private answer(fd: number, call: CallLine, seq: number | null): string | null | undefined {
		if (seq === null) return undefined;
		for (const line of this.world.recording.linesFrom(call, AHEAD)) {
			if (line.kind !== "call" || line.pid !== call.pid || !isReceive(line.name)) continue;
			if (line.line <= call.line || fdOf(line) !== fd) continue;
			const found = netlinkAnswers(line).find((answer) => answer.seq === seq);
			if (found !== undefined) return found.error;
		}
		return undefined;
	}
}
