// SPDX-License-Identifier: GPL-2.0-or-later
/** What became of the sockets of a program that searches, as its answers tell. */
import { EADDRINUSE, EADDRNOTAVAIL, EAGAIN } from "../../include/uapi/asm-generic/errno.js";
import type { Kind, Step } from "./kinds.js";
import { isBound, type Program } from "./law.js";
import type { Protocol } from "./protocols.js";
import { chosenPlace, range, type Search, search } from "./searches.js";

/** A socket that is open before the last step of a program. */
interface Holder {
	readonly kind: Kind;
	/** Its port as a place; null if it has none, or if no answer tells it. */
	place: number | null;
	/** Whether bind() gave it the port. */
	readonly byBind: boolean;
	/** The destination that it is connected to; null if it is not connected. */
	to: number | null;
}

/** Whether connect() of an unbound socket binds it first, without regard to the destination. */
export function bindsFirst(protocol: Protocol): boolean {
	return protocol === "udp" || protocol === "udplite" || protocol === "sctp";
}

/** Whether a search goes by the rules of bind(), not of connect(). */
export function searchesAsBind(protocol: Protocol, { how }: Search): boolean {
	return how === "zero" || how === "listen" || (how !== "named" && bindsFirst(protocol));
}

/** Whether an answer says that a search found no port. */
export function foundNone({ how }: Search, answer: number): boolean {
	if (answer === EADDRINUSE) return how !== "named";
	// After bind() these say that connect() failed.
	const connects = how === "connect" || how === "late";
	return connects && (answer === EADDRNOTAVAIL || answer === EAGAIN);
}

/** The search of a step that opens a socket, null for other steps. */
export function searchOf(step: Step): Search | null {
	return step.do === "bind" ? (step.kind.search ?? null) : null;
}

/** The local address of a socket that is bound or connected. */
export function addressOf({ place }: Kind): string {
	if (place.address === "::") return "::1";
	const address = place.address.replace("::ffff:", "");
	return address === "0.0.0.0" ? "127.0.0.1" : address;
}

/**
 * The open sockets before the last step. connect() with AF_UNSPEC takes the port from a socket that
 * got it from connect().
 */
export function holdersOf(program: Program): Holder[] {
	const holders: (Holder | null)[] = program.sockets.map(({ kind, answer, closed }) => {
		const { search } = kind;
		if (search === undefined || closed) return null;
		const byBind = search.how === "named" || search.how === "zero" || search.how === "listen";
		const known = search.how === "named" ? search.port : chosenPlace(answer);
		const bound = isBound({ answer });
		const to = answer === 0 || chosenPlace(answer) !== null ? search.to : null;
		return { kind, place: bound ? known : null, byBind, to };
	});
	for (const number of program.before.keys()) {
		const step = program.stepAt(number);
		if (step.do !== "act" || step.action !== "disconnect") continue;
		const holder = holders[step.socket];
		if (!holder) continue;
		holder.to = null;
		if (!holder.byBind) holder.place = null;
	}
	return holders.filter((holder) => holder !== null);
}

/** The number of a step that opens a socket of a kind which asks so; -1 if the bound has none. */
export function stepOf(program: Program, kind: Kind, search: Search): number {
	return program.answers.find({ do: "bind", kind: { ...kind, search } });
}

/** The program with another last step; null if the bound does not have the step. */
export function withLast(program: Program, kind: Kind, search: Search): number[] | null {
	const step = stepOf(program, kind, search);
	return step < 0 ? null : [...program.before, step];
}

/**
 * The same search in the range of one place: null if the bound does not have it, or if it finds no
 * port. It goes the way that the search of the wider range should have gone.
 */
export function narrowed(program: Program, kind: Kind, place: number): number[] | null {
	const asked = kind.search;
	if (asked === undefined || asked.how === "named") return null;
	const { shares } = asked.range;
	const beside = withLast(
		program,
		kind,
		search(asked.how, asked.to, range(place, place, { shares })),
	);
	const answer = beside === null ? null : program.ask(beside);
	return answer !== null && chosenPlace(answer) !== null ? beside : null;
}
