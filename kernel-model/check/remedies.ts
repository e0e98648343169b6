// SPDX-License-Identifier: GPL-2.0-or-later
/** The choices that a contradiction depends on, each with an alternative, nearest first. */

import { JIFFY } from "../../include/linux/timer.js";
import { EADDRINUSE, EADDRNOTAVAIL, EAGAIN } from "../../include/uapi/asm-generic/errno.js";
import { nth } from "../machine/nth.js";
import { systemCall } from "../script/calls.js";
import { fdOf } from "../script/operands.js";
import type { Remedy } from "./facts.js";
import type { Event } from "./order.js";
import type { Player } from "./play.js";
import type { Contradiction } from "./turn.js";
import type { Guess } from "./world.js";

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

/** Most choices of each kind. */
const OVERLAPS = 16;
const GUESSES = 16;
const QUESTIONS = 24;
const CLOSES = 16;

/** Most connections from one port that are looked at. */
const SAME_PORT = 4;
/** How far from its line a call that was moved is looked for, events. */
const MOVED = 32;
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

/** The remedies are collected at once, because a remedy that is tried changes what the world shows. */
export function remediesOf(player: Player, contradiction: Contradiction): Remedy[] {
	const { name, args } = contradiction.call;
	const asked = args[2]?.value;
	const option = asked?.kind === "flags" ? (asked.names[0] ?? "") : "";
	if (/^[gs]etsockopt$/.test(name) && !OF_STATE.has(option)) {
		// Other options depend on no choice, except those of an MPTCP socket: they depend on the
		// protocol of the listener that took the connection.
		const { world } = player;
		const isMptcp = world.kernel.mptcp.socks.has(world.sk(contradiction.task, contradiction.call));
		return isMptcp ? [...secrets(player, contradiction)] : [];
	}
	return [
		...orders(player, contradiction),
		...exchanges(player, contradiction),
		...ports(player, contradiction),
		...reads(player, contradiction),
		...secrets(player, contradiction),
		...clocks(player, contradiction),
		...lateTimers(player, contradiction),
		...ends(player, contradiction),
	];
}

/** Other orders of overlapping calls. */
function orders(player: Player, { index }: Contradiction): Remedy[] {
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
		if (earlier) remedies.push(moving(player, second, before(second, i, first)));
		if (later) remedies.push(moving(player, first, after(first, j, second)));
		if (!earlier && !later) remedies.push(swapping(player, first, second));
	}
	return remedies;
}

function between(a: number, b: number): number {
	return (a + b) / 2;
}

function moving(player: Player, event: Event, to: number): Remedy {
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
function swapping({ events }: Player, first: Event, second: Event): Remedy {
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

/**
 * Which of two connects that overlap came first. Their ports were inferred from the order of the
 * accepts, so each has the port of the other.
 */
function* exchanges(player: Player, { call, task }: Contradiction): Generator<Remedy> {
	const { world, events } = player;
	const { skc_num, skc_dport } = world.kernel.sock;
	const sk = world.portSk(task, call);
	if (sk === 0) return;
	const about = [nth(skc_num, sk), nth(skc_dport, sk)];
	// Connections to several destinations may have the port.
	const guesses = about.flatMap((port) => world.guesses.get(port)?.slice(-SAME_PORT) ?? []);
	for (const guess of guesses.reverse()) {
		if (guess.how === "guessed" || guess.line >= call.line) continue;
		const index = eventAt(events, guess.line);
		if (index < 0) continue;
		for (const at of events.overlapping(index, OVERLAPS)) {
			const other = events.get(at).line;
			if (other.kind !== "call" || other.name !== "connect") continue;
			const theirs = guessOf(world.guesses, other.line);
			if (theirs !== null) yield exchanging(player, guess, theirs);
		}
	}
}

/** The index of the event of a call; -1 if it is not held. */
function eventAt(events: Player["events"], line: number): number {
	const from = events.from(line);
	for (let at = from; at < Math.min(events.end, from + MOVED); at++) {
		if (events.get(at).begin === line) return at;
	}
	return -1;
}

/** The port that was inferred for a call; null if none was. */
function guessOf(guesses: Player["world"]["guesses"], line: number): Guess | null {
	for (const each of guesses.values()) {
		for (const guess of each) if (guess.line === line && guess.how !== "guessed") return guess;
	}
	return null;
}

/** Decides that two calls chose each other's port. */
function exchanging(player: Player, a: Guess, b: Guess): Remedy {
	const [first, second] = [wanting(player, a.line, b.port), wanting(player, b.line, a.port)];
	return {
		what: `line ${a.line} chose port ${b.port}, and line ${b.line} port ${a.port}`,
		line: Math.min(a.line, b.line),
		decides: { ...first.decides, ...second.decides },
		apply: () => {
			first.apply();
			second.apply();
		},
		undo: () => {
			second.undo();
			first.undo();
		},
	};
}

/** Other ports for calls whose port no line shows directly. */
function* ports(player: Player, contradiction: Contradiction): Generator<Remedy> {
	const { world, facts } = player;
	const { sock: S } = world.kernel;
	const { call, revealed } = contradiction;

	// Not every assignment of ports to the clients of a reuseport group is tried.
	const sk = world.portSk(contradiction.task, call);
	const isLikely = (at: number) => guessesOf(player, at).some(({ how }) => how === "likely");
	if (isLikely(nth(S.skc_num, sk)) || isLikely(nth(S.skc_dport, sk)))
		contradiction.truncated = true;

	yield* portsInTheWay(player, contradiction);
	// The port of the call itself may be inferred wrongly, unless the search has already decided it.
	const inferred = revealed !== null && !revealed.exact && !facts.ports.has(call.line);
	if (inferred && !facts.notInferred.has(call.line)) yield forgetting(player, call.line);
	yield* portsOfClients(player, contradiction);
	yield* portsTaken(player, contradiction, sk);
}

/** The guesses by which sockets have a port, the latest first. */
function guessesOf({ world }: Player, port: number): Guess[] {
	return [...(world.guesses.get(port) ?? [])].reverse();
}

/** The socket in the way may have its port by a guess. */
function* portsInTheWay(player: Player, contradiction: Contradiction): Generator<Remedy> {
	const { world, facts } = player;
	const { sock: S } = world.kernel;
	const { call, blocker } = contradiction;
	const inTheWay = new Set<number>();
	if (blocker !== 0) inTheWay.add(nth(S.skc_num, blocker));
	if (contradiction.port !== 0) inTheWay.add(contradiction.port);
	inTheWay.delete(0);
	for (const port of inTheWay) {
		// With many guessed ports, not every assignment to connections is tried.
		const guesses = guessesOf(player, port);
		if (world.guesses.size > GUESSES && guesses.length > 0) contradiction.truncated = true;
		for (const { line, how } of guesses) {
			if (line >= call.line) continue;
			if (how !== "guessed" && !facts.notInferred.has(line)) yield forgetting(player, line);
			if (facts.avoided.get(line)?.has(port) !== true) yield avoiding(player, line, port);
		}
	}
}

/**
 * The port that accept(), getsockname() or getpeername() shows belongs to a client that has another
 * port on the model.
 */
function* portsOfClients(player: Player, contradiction: Contradiction): Generator<Remedy> {
	const { world, facts } = player;
	const { call } = contradiction;
	const operands = world.operands(call);
	const tells = /^(accept4?|getsockname|getpeername)$/.test(call.name);
	const told = tells ? (operands.shownAddress(1) ?? world.evidence.peers.get(call) ?? null) : null;
	if (told === null || told.port === 0) return;
	if (world.guesses.size > GUESSES) contradiction.truncated = true;
	for (const port of clientPorts(player, contradiction).slice(0, GUESSES)) {
		const guesses = guessesOf(player, port);
		if (guesses.length > 2) contradiction.truncated = true;
		for (const { line } of guesses.slice(0, 2)) {
			if (facts.ports.get(line) !== told.port) yield wanting(player, line, told.port);
		}
	}
}

/** The ports on the model of the clients that a call may show. */
function clientPorts({ world }: Player, { call, task, result }: Contradiction): number[] {
	const { sock: S, socket } = world.kernel;
	const fd = fdOf(call) ?? -1;
	if (!/^accept/.test(call.name)) {
		const name = call.name === "getsockname" ? task.getsockname(fd) : task.getpeername(fd);
		return typeof name === "number" ? [] : [name.port];
	}
	const ports: number[] = [];
	const peer = result >= 0 ? task.getpeername(result) : -1;
	if (typeof peer !== "number") ports.push(peer.port);
	const sock = task.socketOf(fd);
	if (sock <= 0) return ports;
	const listener = world.subflow(nth(socket.sk, sock));
	let child = S.rskq_accept_head.get(listener);
	for (; child !== 0; child = S.dl_next.get(child)) ports.push(nth(S.skc_dport, child));
	return ports;
}

/** The port was taken on the kernel but is free here. A call whose port nothing shows took it. */
function* portsTaken(player: Player, contradiction: Contradiction, sk: number): Generator<Remedy> {
	const { world, facts } = player;
	const { call, result, recorded } = contradiction;
	const busy = recorded === -EADDRINUSE || recorded === -EADDRNOTAVAIL || recorded === -EAGAIN;
	if (!busy || result < 0 || /^accept/.test(call.name)) return;
	const port = nth(world.kernel.sock.skc_num, sk);
	if (port === 0) return;
	let left = GUESSES;
	const all = [...world.guesses.values()].flat().sort((a, b) => b.line - a.line);
	for (const { line, port: other } of all) {
		if (other === port || facts.ports.has(line) || line >= call.line) continue;
		if (left-- === 0) {
			contradiction.truncated = true;
			return;
		}
		yield wanting(player, line, port);
	}
}

/** Decides that a call chose a port. */
function wanting({ facts }: Player, line: number, port: number): Remedy {
	const before = facts.ports.get(line);
	return {
		what: `line ${line} chose port ${port}`,
		line,
		decides: { [`port ${line}`]: port },
		apply: () => facts.ports.set(line, port),
		undo: () => {
			if (before === undefined) facts.ports.delete(line);
			else facts.ports.set(line, before);
		},
	};
}

/** Decides that a call did not choose a port. */
function avoiding({ facts }: Player, line: number, port: number): Remedy {
	const before = facts.avoided.get(line);
	const shown = facts.ports.get(line);
	return {
		what: `line ${line} did not choose port ${port}`,
		line,
		decides: { [`port ${line}`]: 0, [`avoid ${line} ${port}`]: 1 },
		apply: () => {
			facts.avoided.set(line, new Set([...(before ?? []), port]));
			facts.ports.delete(line);
		},
		undo: () => {
			if (before === undefined) facts.avoided.delete(line);
			else facts.avoided.set(line, before);
			if (shown !== undefined) facts.ports.set(line, shown);
		},
	};
}

/** Decides that the inferred port of a call is wrong. */
function forgetting({ facts }: Player, line: number): Remedy {
	const known = facts.notInferred.has(line);
	return {
		what: `line ${line} chose another port`,
		line,
		decides: { [`forget ${line}`]: 1 },
		apply: () => facts.notInferred.add(line),
		undo: () => {
			if (!known) facts.notInferred.delete(line);
		},
	};
}

/** Decides that data was not read before a close. The close then resets the connection. */
function* reads(
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
function* secrets(player: Player, { task, call }: Contradiction): Generator<Remedy> {
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
		yield deciding(player, question);
	}
	for (let back = 1; back <= QUESTIONS; back++) {
		const question = world.questions - back;
		if (!questionLines.has(question)) return;
		if (facts.secrets.includes(question)) continue;
		yield deciding(player, question);
	}
}

/** Decides that a question to a secret has the other answer. */
function deciding({ world: { questionLines }, facts }: Player, question: number): Remedy {
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
function* clocks(player: Player, { call, recorded, result }: Contradiction): Generator<Remedy> {
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
		yield delaying(player, call.line, from, ms, what);
	}
}

/** Decides that the clock is `ms` behind the time stamps from line `from` to line `to`. */
function delaying({ facts }: Player, to: number, from: number, ms: number, what: string): Remedy {
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
		yield delaying(player, call.line, from, JIFFY, what);
	}
}

/**
 * Decides when a process ended. A recording without the time of an end shows only that it came
 * before the next line. A time that strace printed may be late.
 */
function* ends({ events, facts }: Player, { call, index }: Contradiction): Generator<Remedy> {
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
