// SPDX-License-Identifier: GPL-2.0-or-later
/**
 * Who shares a port is a matter of the options that sockets have: socket(7) says that each socket of
 * a group has SO_REUSEPORT "set", not that it had the option at some time. An option that is set or
 * cleared after bind() counts as one that was so from the start.
 *
 * Meant exception: a listener. The law is stated for sockets that do not listen.
 */
import type { Action, Kind } from "./kinds.js";
import { isBound, type Law } from "./law.js";

const CHANGES: Readonly<Partial<Record<Action, Partial<Kind>>>> = {
	reuse: { reuse: true },
	noreuse: { reuse: false },
	reuseport: { reuseport: true },
	noreuseport: { reuseport: false },
};

export const changed: Law = {
	id: "changed",
	rule: "An option that changes after bind() counts as if it had been so before",
	harm: "A socket that gave up an option still shares its port, or one that set it cannot share.",
	judge(program) {
		if (program.length !== 3 || program.last.do !== "bind") return null;
		const [first] = program.sockets;
		const step = program.stepAt(1);
		if (first === undefined || step.do !== "act" || first.kind.listens) return null;
		const change = CHANGES[step.action];
		if (change === undefined || !isBound(first)) return null;
		const to = program.answers.find({ do: "bind", kind: { ...first.kind, ...change } });
		if (to < 0) return null;
		const beside = [to, program.lastStep];
		const other = program.ask(beside);
		if (other === null || other === program.answer) return null;
		return { expected: other === 0 ? "success" : "failure", beside };
	},
};
