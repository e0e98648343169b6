// SPDX-License-Identifier: GPL-2.0-or-later
/** The proof of a mismatch: the rule, and the lines of the recording that it needs. */
import { errnoName } from "../../include/uapi/asm-generic/errno.js";
import { nth } from "../machine/nth.js";
import { listenersOn, portOwners } from "../machine/sharing.js";
import type { Ground } from "./origins.js";
import type { Proof } from "./outcome.js";
import type { Contradiction } from "./turn.js";
import type { World } from "./world.js";

/** Most sockets whose lines a proof names. */
const SOCKETS = 4;

/** Rules about the range of a search. */
const OF_RANGE = /is not in \d+-\d+|^of the [\d,]+ ports?|; of the [\d,]+ ports?|was in no range/;

/** Proves that a recorded result is impossible. */
export function prove(world: World, contradiction: Contradiction): Proof {
	const { task, call, blocker } = contradiction;
	const { origins } = world;
	const sk = world.portSk(task, call);
	const [rule, socks] = ruleOf(world, contradiction, sk);
	const grounds: Ground[] = [];
	for (const other of [...(blocker === 0 ? [] : [blocker]), ...socks].slice(0, SOCKETS)) {
		grounds.push(...origins.of(other));
	}
	if (sk !== 0 && OF_RANGE.test(rule)) grounds.push(...origins.range(sk));
	if (sk !== 0) {
		const own = origins.of(sk).filter(({ line }) => line < call.line);
		grounds.push(...(own.length === 0 ? origins.maker(sk) : own));
	}
	const accepts = /^accept/.test(call.name);
	const told = accepts ? (world.operands(call).shownAddress(1)?.port ?? 0) : 0;
	const line = told !== 0 ? origins.connectedFrom(told) : 0;
	if (line !== 0) grounds.push({ line, what: `connected from port ${told}` });
	return proofOf(rule, grounds, call.line);
}

/** A proof from a rule and the lines that it needs. `line` is the mismatch. */
export function proofOf(rule: string, grounds: readonly Ground[], line: number): Proof {
	const lines = new Map<number, string[]>();
	for (const { line: at, what } of grounds) {
		if (at === 0 || at >= line) continue;
		const said = lines.get(at) ?? [];
		if (!said.includes(what)) said.push(what);
		lines.set(at, said);
	}
	const sorted = [...lines].sort(([a], [b]) => a - b);
	return {
		rule,
		lines: [...sorted.map(([at]) => at), line],
		grounds: sorted.map(([at, said]) => `line ${at} ${said.join(", and ")}`),
	};
}

/** The rule that excludes a recorded result, and the socks that it is about. */
function ruleOf(world: World, contradiction: Contradiction, sk: number): [string, number[]] {
	const { call, result, recorded, certain, rule, reason } = contradiction;
	if (certain !== null) return [certain, []];
	if (rule !== null) return [rule, []];
	if (result !== recorded && result >= 0) return succeeds(world, contradiction, sk);
	switch (call.name) {
		case "accept":
		case "accept4":
			return ["the connection that is recorded is not the one that the listener's queue gives", []];
		case "getsockname":
			return ["getsockname() gives the address that the socket was bound or connected with", []];
		case "getpeername":
			return ["getpeername() gives the address that the socket is connected to", []];
		case "getsockopt":
			return ["getsockopt() gives the value that was set, or the default", []];
		default:
			return [reason, []];
	}
}

/** The rule by which a call succeeds on the model, if it failed on the kernel. */
function succeeds(world: World, contradiction: Contradiction, sk: number): [string, number[]] {
	const k = world.kernel;
	const S = k.sock;
	const { call, recorded, result } = contradiction;
	// An error that the model does not have has no number.
	const name = call.result?.errno ?? errnoName(-(recorded ?? 0));
	const error = recorded !== null && recorded < 0 ? name : null;
	if (error === null) return [`${call.name}() returns ${result}`, []];
	if (sk !== 0 && error === "EADDRINUSE") {
		const port = nth(S.skc_num, sk);
		const owners = portOwners(k, sk, port).filter((other) => other !== sk);
		return owners.length === 0
			? [`no other socket has port ${port}`, []]
			: [`no socket on port ${port} conflicts with this one`, owners];
	}
	if (sk !== 0 && error === "ECONNREFUSED") {
		const port = nth(S.skc_dport, sk);
		const listeners = listenersOn(k, nth(S.skc_net, sk), port);
		if (listeners.length > 0) return [`a socket listens on port ${port}`, listeners];
	}
	return [`no check of ${call.name}() fails with ${error} here`, []];
}
