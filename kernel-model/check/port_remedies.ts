// SPDX-License-Identifier: GPL-2.0-or-later
/** Other ports for calls: remedies for a contradiction that a wrong guess of a port may cause. */
import { EADDRINUSE, EADDRNOTAVAIL, EAGAIN } from "../../include/uapi/asm-generic/errno.js";
import { nth } from "../machine/nth.js";
import { fdOf } from "../script/operands.js";
import type { Remedy } from "./facts.js";
import type { Player } from "./play.js";
import type { Contradiction } from "./turn.js";
import type { Guess } from "./world.js";

/** Most calls with a guessed port that are looked at. */
const GUESSES = 16;
/** Most connects that overlap a connect() and are looked at. */
const OVERLAPS = 16;
/** Most connections from one port that are looked at. */
const SAME_PORT = 4;
/** How far from its line a call that was moved is looked for, events. */
const MOVED = 32;

/**
 * Which of two connects that overlap came first. Their ports were inferred from the order of the
 * accepts, so each has the port of the other.
 */
export function* exchangedPorts(player: Player, { call, task }: Contradiction): Generator<Remedy> {
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
			if (theirs !== null) yield exchange(player, guess, theirs);
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
function exchange(player: Player, a: Guess, b: Guess): Remedy {
	const [first, second] = [choose(player, a.line, b.port), choose(player, b.line, a.port)];
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
export function* otherPorts(player: Player, contradiction: Contradiction): Generator<Remedy> {
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
	if (inferred && !facts.notInferred.has(call.line)) yield dropInferred(player, call.line);
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
			if (how !== "guessed" && !facts.notInferred.has(line)) yield dropInferred(player, line);
			if (facts.avoided.get(line)?.has(port) !== true) yield avoid(player, line, port);
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
			if (facts.ports.get(line) !== told.port) yield choose(player, line, told.port);
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
		yield choose(player, line, port);
	}
}

/** Decides that a call chose a port. */
function choose({ facts }: Player, line: number, port: number): Remedy {
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
function avoid({ facts }: Player, line: number, port: number): Remedy {
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
function dropInferred({ facts }: Player, line: number): Remedy {
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
