// SPDX-License-Identifier: GPL-2.0-or-later
/**
 * Sharing is mutual: if two sockets can have a port in one order, they can in the other.
 *
 * Meant exception: with SO_REUSEADDR on both, a socket may begin to listen beside one that is
 * bound, but no socket gets the port of one that listens (socket(7), SO_REUSEADDR). So the law
 * leaves out pairs in which one listens and both have SO_REUSEADDR.
 */
import type { Law } from "./law.js";

export const order: Law = {
	id: "order",
	rule: "Two sockets that share a port in one order share it in the other",
	harm: "A program works or fails by the order in which its servers start.",
	judge(program) {
		const second = program.kind;
		const [first] = program.sockets;
		if (program.length !== 2 || program.answer === 0 || second === null || !first) return null;
		const listens = first.kind.listens || second.listens;
		if (listens && first.kind.reuse && second.reuse) return null;
		const reversed = [program.lastStep, first.step];
		return program.ask(reversed) === 0 ? { expected: "success", beside: reversed } : null;
	},
};
