// SPDX-License-Identifier: GPL-2.0-or-later
/** Makes the script of a random program, operation by operation. */
import type { Abilities } from "./abilities.js";
import { NOFILE, type Process } from "./process.js";
import { exit, fork, nofile, setns, sysctl, unshare, wait } from "./process_operations.js";
import type { Numbers, OperationKind, Program } from "./program.js";
import { crowd, flood, group, meet, pile } from "./scenes.js";
import { Script } from "./script.js";
import { onSocket, socket } from "./socket_operations.js";
import { pick } from "./vocabulary.js";

/** A program that lets time pass does so after this many operations. */
const PAUSE = 80;

/** The program as a script. */
export function renderProgram({ world, operations }: Program, abilities: Abilities): string[] {
	const script = new Script(world, abilities);
	script.setupFirst();
	for (const [i, { kind, n }] of operations.entries()) {
		// A program gets many sockets if its ranges do not change.
		if (script.many && kind === "close" && i % 4 !== 0) continue;
		if (script.many && (kind === "bind" || kind === "connect")) {
			for (let j = 0; j < 4; j++) {
				operate(script, "socket", n);
				operate(script, kind, n);
			}
		} else operate(script, kind, n);
		if (script.pauses && i % PAUSE === PAUSE - 1) script.setup("sleep 1.1");
	}
	return script.lines;
}

/** Operations that need no socket, by kind. */
const WITHOUT_SOCKET: Partial<Record<OperationKind, (process: Process, n: Numbers) => void>> = {
	nofile,
	sysctl,
	fork: ({ script }, n) => fork(script, n),
	exit: ({ script }, n) => exit(script, n),
	unshare,
	wait: ({ script }, n) => wait(script, n),
	flood,
	pile,
	meet,
	group,
	crowd,
	socket,
};

/** An operation of a process. The first number chooses the process. */
function operate(script: Script, kind: OperationKind, n: Numbers): void {
	if (script.without(kind)) return;
	const process = pick(script.processes, Math.max(0, n[0] - 128));
	if (process.narrow > 0 && --process.narrow === 0) process.setNofile(NOFILE);
	const without = WITHOUT_SOCKET[kind];
	if (without !== undefined) without(process, n);
	else if (process.fds.size === 0) socket(process, n);
	else if (kind === "setns") setns(process, n);
	else onSocket(kind, process, n);
}
