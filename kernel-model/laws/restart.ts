// SPDX-License-Identifier: GPL-2.0-or-later
/**
 * A server that ends can be started again at once if it sets SO_REUSEADDR: "bind() should allow reuse
 * of local addresses ... except when there is an active listening socket" (socket(7)). Connections
 * that go on, or that are in TIME_WAIT, do not matter.
 *
 * Meant exceptions: none.
 */
import { isBound, type Law } from "./law.js";

export const restart: Law = {
	id: "restart",
	rule: "A server with SO_REUSEADDR gets its port again after it was closed",
	harm: "A server cannot be restarted until its old connections are gone.",
	judge(program) {
		const { kind, sockets } = program;
		if (kind === null || !kind.reuse || program.answer === 0 || sockets.length === 0) return null;
		if (!sockets.every(({ kind: one, closed }) => one.reuse && closed)) return null;
		const first = sockets.find((socket) => isBound(socket) && socket.step === program.lastStep);
		return first === undefined ? null : { expected: "success", beside: [program.lastStep] };
	},
};
