// SPDX-License-Identifier: GPL-2.0-or-later
/** The choices that a contradiction depends on, each with an alternative, nearest first. */

import { JIFFY } from "../../include/linux/timer.js";
import { nth } from "../machine/nth.js";
import { systemCall } from "../script/calls.js";
import type { Remedy } from "./facts.js";
import type { Event } from "./order.js";
import type { Player } from "./play.js";
import { exchangedPorts, otherPorts } from "./port_remedies.js";
import type { Contradiction } from "./turn.js";

/** Calls whose order may matter. */
const ORDERED = new Set([
	"accept",
	"accept4",
	"bind",
	"close",
	"connect",
	"dup",
	"dup2",
	"dup3",
	"exit",
	"exit_group",
	"listen",
	"send",
	"sendmsg",
	"sendto",
	"setsockopt",
	"shutdown",
	"socket",
	"write",
	"writev",
]);

/** Most overlapping events whose order is changed. */
const OVERLAPS = 16;
/** Most questions to secrets that are answered otherwise. */
const QUESTIONS = 24;
/** Most closes before which data was not read. */
const CLOSES = 16;
/** How far back the end of a process is looked for, events. */
const ENDS = 32;
/** The least time between the lines around an end for which its moment matters, seconds. */
const GAP = 0.001;

/**
 * Options whose result depends on the socket's port or state: setsockopt(IPV6_V6ONLY) fails once
 * the socket has a port. do_tcp_setsockopt(), ipv6_setsockopt(), sk_getsockopt().
 */
const OF_STATE = new Set([
	"IP_PROTOCOL",
	"IPV6_ADDRFORM",
	"IPV6_V6ONLY",
	"SO_ACCEPTCONN",
	"SO_ERROR",
	"TCP_FASTOPEN",
	"TCP_FASTOPEN_CONNECT",
	"TCP_FASTOPEN_NO_COOKIE",
]);

/**
 * The remedies of a contradiction, nearest first. May set `truncated`. All are collected at once,
 * because a remedy that is tried changes what the world shows.
 */
export function remediesOf(player: Player, contradiction: Contradiction): Remedy[] {
	const { name, args } = contradiction.call;
	const asked = args[2]?.value;
	const option = asked?.kind === "flags" ? (asked.names[0] ?? "") : "";
	if (/^[gs]etsockopt$/.test(name) && !OF_STATE.has(option)) {
		// Other options depend on no choice, except those of an MPTCP socket: they depend on the
		// protocol of the listener that took the connection.
		const { world } = player;
		const isMptcp = world.kernel.mptcp.socks.has(world.sk(contradiction.task, contradiction.call));
		return isMptcp ? [...otherSecrets(player, contradiction)] : [];
	}
	return [
		...otherOrders(player, contradiction),
		...exchangedPorts(player, contradiction),
		...otherPorts(player, contradiction),
		...unreadData(player, contradiction),
		...otherSecrets(player, contradiction),
		...otherClocks(player, contradiction),
		...lateTimers(player, contradiction),
		...otherEnds(player, contradiction),
	];
}

/** Other orders of overlapping calls. */
function otherOrders(player: Player, { index }: Contradiction): Remedy[] {
	const { events } = player;
	const failing = events.get(index);
	const remedies: Remedy[] = [];
	const name = ({ line }: Event) => (line.kind === "call" ? line.name : line.kind);
	for (const at of events.overlapping(index, OVERLAPS)) {
		const other = events.get(at);
		if (!ORDERED.has(name(other))) continue;
		if (other.line.kind === "exit" && player.world.settled) continue;
		const before = (event: Event, i: number, of: Event) =>
			between(Math.max(events.at(i - 1)?.at ?? event.begin, event.begin), of.at);
		const after = (event: Event, i: number, of: Event) =>
			between(of.at, Math.min(events.at(i + 1)?.at ?? event.end, event.end));
		const [first, i, second, j] =
			at < index ? [other, at, failing, index] : [failing, index, other, at];
		// Moves the second before the first, or the first after the second, or both.
		const earlier = second.begin < first.at;
		const later = first.end > second.at;
		if (earlier) remedies.push(move(player, second, before(second, i, first)));
		if (later) remedies.push(move(player, first, after(first, j, second)));
		if (!earlier && !later) remedies.push(swap(player, first, second));
	}
	return remedies;
}

function between(a: number, b: number): number {
	return (a + b) / 2;
}

function move(player: Player, event: Event, to: number): Remedy {
	const { events } = player;
	const from = event.at;
	return {
		what: `line ${event.begin} acts ${to < from ? "earlier" : "later"}`,
		line: Math.min(from, to),
		moves: [event],
		apply: () => events.move(events.indexOf(event), to),
		undo: () => events.move(events.indexOf(event), from),
	};
}

/** Moves two calls into the time in which both run. The second one acts first. */
function swap({ events }: Player, first: Event, second: Event): Remedy {
	const [was, wasSecond] = [first.at, second.at];
	const from = Math.max(first.begin, second.begin);
	const third = (Math.min(first.end, second.end) - from) / 3;
	const to = (a: number, b: number) => {
		events.move(events.indexOf(second), b);
		events.move(events.indexOf(first), a);
	};
	return {
		what: `line ${second.begin} acts before line ${first.begin}`,
		line: was,
		moves: [first, second],
		apply: () => to(from + 2 * third, from + third),
		undo: () => to(was, wasSecond),
	};
}

/** Decides that data was not read before a close. The close then resets the connection. */
function* unreadData(
	{ world, facts }: Player,
	{ port, blocker, call }: Contradiction,
): Generator<Remedy> {
	const about = new Set([port]);
	if (blocker !== 0) about.add(nth(world.kernel.sock.skc_num, blocker));
	const closes = [...world.closesAssumedRead].reverse().slice(0, CLOSES);
	for (const { line, ports } of closes) {
		if (facts.unread.has(line) || line >= call.line) continue;
		if (!about.has(0) && !ports.some((each) => about.has(each))) continue;
		yield {
			what: `data was not read before line ${line}`,
			line,
			decides: { [`unread ${line}`]: 1 },
			apply: () => facts.unread.add(line),
			undo: () => facts.unread.delete(line),
		};
	}
}

/** Other answers to questions to secrets. */
function* otherSecrets(player: Player, { task, call }: Contradiction): Generator<Remedy> {
	const { world, facts } = player;
	const { questionLines } = world;
	// Questions about this connection come first, at any distance.
	const sk = world.portSk(task, call);
	const { skc_num, skc_dport } = world.kernel.sock;
	const port = /^accept/.test(call.name)
		? (world.operands(call).shownAddress(1)?.port ?? world.evidence.peers.get(call)?.port ?? 0)
		: nth(skc_num, sk);
	for (const [question, client] of world.queues.questions) {
		const about = port !== 0 && (client === port || client === skc_dport[sk]);
		if (!about || !questionLines.has(question) || facts.secrets.includes(question)) continue;
		yield answerOtherwise(player, question);
	}
	for (let back = 1; back <= QUESTIONS; back++) {
		const question = world.questions - back;
		if (!questionLines.has(question)) return;
		if (facts.secrets.includes(question)) continue;
		yield answerOtherwise(player, question);
	}
}

/** Decides that a question to a secret has the other answer. */
function answerOtherwise({ world: { questionLines }, facts }: Player, question: number): Remedy {
	const line = questionLines.get(question) ?? 0;
	return {
		what: `a secret, the memory of a socket or the worker of MPTCP decided otherwise in line ${line}`,
		line,
		decides: { [`secret ${question}`]: 1 },
		apply: () => facts.secrets.push(question),
		undo: () => facts.secrets.splice(facts.secrets.indexOf(question), 1),
	};
}

/** Decides that timers ran a little earlier or later than the time stamps say. */
function* otherClocks(
	player: Player,
	{ call, recorded, result }: Contradiction,
): Generator<Remedy> {
	if (call.time === null) return;
	if (!player.world.kernel.nets.some(({ tw_count }) => tw_count > 0)) return;
	const { facts } = player;
	if (recorded === null || result === recorded) return;
	// The clock of a line is moved only once.
	if (facts.clockShifts.some(({ to }) => to === call.line)) return;
	for (const [from, ms] of [
		[call.line, -8],
		[call.line, -40],
		[Math.max(0, call.line - 40), 8],
		[Math.max(0, call.line - 40), 40],
	] as const) {
		const what = `the clock is ${Math.abs(ms)} ms ${ms < 0 ? "ahead" : "behind"}`;
		yield shiftClock(player, call.line, from, ms, what);
	}
}

/** Decides that the clock is `ms` behind the time stamps from line `from` to line `to`. */
function shiftClock({ facts }: Player, to: number, from: number, ms: number, what: string): Remedy {
	const late = { from, to, ms };
	return {
		what,
		line: from,
		decides: { [`clock ${to} ${from}`]: ms },
		apply: () => facts.clockShifts.push(late),
		undo: () => facts.clockShifts.splice(facts.clockShifts.indexOf(late), 1),
	};
}

/** Decides that timers which ran some lines before ran one jiffy later. */
function* lateTimers(player: Player, { call }: Contradiction): Generator<Remedy> {
	const { facts, clock } = player;
	if (call.time === null || facts.clockShifts.some(({ to }) => to === call.line)) return;
	for (const from of [...clock.timerLines].reverse()) {
		if (from > call.line) continue;
		const what = `the timers before line ${from} ran ${JIFFY} ms later`;
		yield shiftClock(player, call.line, from, JIFFY, what);
	}
}

/**
 * Decides when a process ended. A recording without the time of an end shows only that it came
 * before the next line. A time that strace printed may be late.
 */
function* otherEnds({ events, facts }: Player, { call, index }: Contradiction): Generator<Remedy> {
	if (call.time === null) return;
	for (let at = index - 1; at >= Math.max(events.first + 1, index - ENDS); at--) {
		const { line } = events.get(at);
		if (line.kind === "setup" || facts.endTimes.has(line.line)) continue;
		if (line.kind === "call" && systemCall(line.name)?.role !== "exit") continue;
		const [before, after] = [timeOf(events.get(at - 1)), timeOf(events.get(at + 1))];
		const time = line.kind === "exit" && line.time !== null ? before : after;
		if (time === null || before === null || after === null || after - before < GAP) continue;
		yield {
			what: `the process of line ${line.line} ended ${time === before ? "earlier" : "later"}`,
			line: line.line,
			decides: { [`end ${line.line}`]: time },
			apply: () => facts.endTimes.set(line.line, time),
			undo: () => facts.endTimes.delete(line.line),
		};
	}
}

function timeOf({ line }: Event): number | null {
	return line.kind === "setup" ? null : line.time;
}
