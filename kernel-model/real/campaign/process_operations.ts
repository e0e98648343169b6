// SPDX-License-Identifier: GPL-2.0-or-later
/** Operations on processes, namespaces and settings. */
import { nth } from "../../machine/nth.js";
import { NOFILE, Process } from "./process.js";
import type { Numbers } from "./program.js";
import type { Script } from "./script.js";
import { ONE_PORT, PORT_RANGE, pick, SLEEPS, SYSCTLS, VRF_SYSCTLS } from "./vocabulary.js";

/** Most processes besides the first one. */
const CHILDREN = 3;
/** Most namespaces of a program besides the first one. */
const NAMESPACES = 2;
/** Most operations under a low limit of descriptors. */
const NARROW = 16;

/** The first process forks. The child may become another user, and closes some descriptors. */
export function fork(script: Script, [, b, c]: Numbers): void {
	if (script.processes.length > CHILDREN) return;
	const parent = script.first;
	const pid = script.newPid();
	parent.say(`fork() = ${pid}`);
	const child = new Process(script, pid, parent.task.fork());
	for (const [fd, sock] of parent.fds) child.fds.set(fd, sock);
	child.narrow = parent.narrow;
	script.processes.push(child);
	const uid = nth([0, 1000, 1001], b % 3);
	if (uid !== 0 && script.can.users >= uid && !script.without("users")) {
		child.say(`setuid(${uid})`);
		child.task.uid = uid;
	}
	for (const [i, fd] of [...child.fds.keys()].entries()) {
		if ((c >> (i % 8)) % 2 === 1) child.close(fd);
	}
}

/** A process ends, but not the first one. */
export function exit({ processes }: Script, [, b]: Numbers): void {
	if (processes.length === 1) return;
	const at = 1 + (b % (processes.length - 1));
	const process = nth(processes, at);
	processes.splice(at, 1);
	process.say("exit_group(0)");
	process.task.exit();
}

/**
 * A process moves to a new namespace. Its sockets and the other processes stay in the old one.
 * Only in the namespace of the first process lo comes up, because this needs set-up commands.
 */
export function unshare(process: Process, [, b, c]: Numbers): void {
	const { script, task } = process;
	const first = process === script.first;
	// Set-up commands need a descriptor.
	if (b % 2 === 1 || script.namespaces >= NAMESPACES || process.narrow > 0) return;
	if (!first && script.without("order")) return;
	script.namespaces++;
	process.say("unshare(CLONE_NEWNET)");
	if (task.privileged) task.unshareNet();
	if (!first) return;
	script.net = task.net;
	// Sometimes lo stays down.
	if (c % 8 === 7 && !script.without("order")) return;
	script.setupNext();
}

/** A process moves to the namespace of one of its sockets. */
export function setns(process: Process, [, b]: Numbers): void {
	const { script, task } = process;
	const fd = pick([...process.fds.keys()], b);
	const file = process.socketNamespace(fd);
	if (file < 0) return;
	process.say(`setns(${file}, CLONE_NEWNET)`);
	const net = task.pathOf(file)?.net ?? null;
	if (net !== null) task.net = net;
	if (process === script.first) script.net = task.net;
	process.say(`close(${file})`);
	task.close(file);
}

/** For some operations the process gets few descriptors, or none. */
export function nofile(process: Process, [, b, c, d]: Numbers): void {
	const open = process.fds.size + 3;
	process.setNofile(pick([open, open + 1, open + 2, open + 4, open - 1, 3, 0], b));
	if (d % 16 === 15) process.setNofile(NOFILE + 1, NOFILE); // EINVAL
	process.narrow = 1 + (c % NARROW);
}

/** A process writes a setting of its namespace. */
export function sysctl(process: Process, [, b, c]: Numbers): void {
	const { script } = process;
	const { can } = script;
	const names = can.sysctls.filter(
		(name) =>
			(script.inVrf || !VRF_SYSCTLS.includes(name)) && !(script.many && name === PORT_RANGE),
	);
	const name = pick(names, b);
	const order = name === PORT_RANGE && script.without("order");
	const values = order ? ONE_PORT : (SYSCTLS[name] ?? [""]);
	const timed = can.exact === true && name.endsWith("tw_reuse_delay");
	process.writeSysctl(name, timed ? nth(values, 0) : pick(values, c));
}

/** Time passes. */
export function wait(script: Script, [, b]: Numbers): void {
	script.setup(`sleep ${nth(SLEEPS, b % SLEEPS.length)}`);
}
