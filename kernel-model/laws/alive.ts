// SPDX-License-Identifier: GPL-2.0-or-later
/**
 * A connection that is half closed still exists: its other end may send (RFC 9293, section 3.6). A
 * new connection does not take its four-tuple. In TIME_WAIT both ends are closed, and tcp_tw_reuse
 * lets connect() take the four-tuple (Documentation/networking/ip-sysctl.rst).
 *
 * Meant exceptions: after tcp_fin_timeout the closed end forgets the connection. UDP has no
 * connections.
 */
import { ERESTARTSYS } from "../../include/uapi/asm-generic/errno.js";
import type { Kind } from "./kinds.js";
import { peerOf } from "./lab.js";
import type { Law, Program } from "./law.js";
import { FORGOTTEN } from "./life_bounds.js";
import { KINDS } from "./protocols.js";
import { chosenPlace, PEER } from "./searches.js";

/** The kind of the socket that connects to the peer at a step of the program, and gets through. */
function connectedAt(program: Program, at: number): { kind: Kind; socket: number } | null {
	const step = program.stepAt(at);
	const answer =
		at === program.before.length ? program.answer : program.ask(program.before.slice(0, at + 1));
	if (answer === null) return null;
	if (step.do === "bind" && step.kind.search?.to === PEER) {
		const socket = program.sockets.filter((socket) => socket.at < at).length;
		return chosenPlace(answer) === null ? null : { kind: step.kind, socket };
	}
	if (step.do !== "act" || step.action !== "connect") return null;
	const held = program.sockets[step.socket];
	// A connect() that sleeps has its four-tuple.
	if (held === undefined || (answer !== 0 && answer !== ERESTARTSYS)) return null;
	return { kind: held.kind, socket: step.socket };
}

export const alive: Law = {
	id: "alive",
	rule: "connect() does not take the four-tuple of a connection whose other end is open",
	harm: "A program that still sends loses its connection, because another one begins on the same ports.",
	judge(program) {
		if (!KINDS[program.answers.protocol].listens) return null;
		const mine = connectedAt(program, program.before.length);
		if (mine === null) return null;
		/** Connections whose other end is open. */
		let open: { kind: Kind; socket: number; at: number }[] = [];
		for (const at of program.before.keys()) {
			const step = program.stepAt(at);
			if (step.do === "part" || (step.do === "wait" && step.seconds === FORGOTTEN)) open = [];
			const one = connectedAt(program, at);
			if (one !== null) open.push({ ...one, at });
		}
		const address = peerOf(mine.kind.place).replace("::ffff:", "");
		const twin = open.find(
			({ kind, socket }) =>
				socket !== mine.socket && peerOf(kind.place).replace("::ffff:", "") === address,
		);
		if (twin === undefined) return null;
		const beside = program.without(new Set(stepsOf(program, twin.socket)));
		return { expected: "EADDRNOTAVAIL", beside: beside ?? [program.lastStep] };
	},
};

/** Where the program makes and uses a socket. */
function stepsOf(program: Program, socket: number): number[] {
	const found: number[] = [];
	for (const at of program.before.keys()) {
		const step = program.stepAt(at);
		if (step.do === "act" && step.socket === socket) found.push(at);
		else if (program.sockets[socket]?.at === at) found.push(at);
	}
	return found;
}
