// SPDX-License-Identifier: GPL-2.0-or-later
/**
 * The model's side of the page. It answers requests, in a worker or in the page itself. Long work
 * is done in slices, so that a newer request can replace it.
 */

import { count } from "../machine/count.js";
import { besides, type Differing } from "./beside.js";
import type { PortView } from "./bucket.js";
import type { Loaded } from "./outcomes.js";
import type { StepWords } from "./search_steps.js";
import { type LineView, Session, type Wanted } from "./session.js";

/** What the page may ask, with what it gets. */
export interface Questions {
	/** Plays a script. */
	open: { ask: Wanted; get: Loaded };
	look: { ask: { line: number }; get: LineView | null };
	/** The steps [from, to) of the line that was looked at last, in words. */
	words: { ask: { from: number; to: number }; get: StepWords[] };
	port: { ask: { port: number; after: boolean }; get: PortView };
	beside: { ask: { text: string; versions: [string, string] }; get: Differing[] };
}

export type Kind = keyof Questions;

export interface Request<K extends Kind = Kind> {
	id: number;
	kind: K;
	ask: Questions[K]["ask"];
}

export type Reply =
	| { id: number; kind: "done"; get: unknown }
	/** It goes on: what is done so far, in words. */
	| { id: number; kind: "progress"; soFar: string }
	/** A newer request replaced it. */
	| { id: number; kind: "replaced" }
	| { id: number; kind: "failed"; message: string };

export class Desk {
	private session: Session | null = null;
	/** The number of the last `open`. */
	private opened = 0;

	/**
	 * `slice`: milliseconds of work between two pauses. `pause`: waits until other events are
	 * handled. `tell` gets reports of long work.
	 */
	constructor(
		private readonly slice: number,
		private readonly pause: () => Promise<void>,
		private readonly tell: (reply: Reply) => void,
	) {}

	async answer(request: Request): Promise<Reply> {
		const { id } = request;
		try {
			const get = await this.get(request);
			return get === REPLACED ? { id, kind: "replaced" } : { id, kind: "done", get };
		} catch (error) {
			return {
				id,
				kind: "failed",
				message: error instanceof Error ? error.message : String(error),
			};
		}
	}

	private async get(request: Request): Promise<unknown> {
		if (isKind(request, "open")) return await this.open(request.id, request.ask);
		if (isKind(request, "beside")) return this.beside(request.id, request.ask);
		const { session } = this;
		if (session === null) throw new Error("no script is open");
		if (isKind(request, "look")) return session.look(request.ask.line);
		if (isKind(request, "port")) return session.port(request.ask.port, request.ask.after);
		if (isKind(request, "words")) return session.words(request.ask.from, request.ask.to);
		throw new Error(`unknown request ${request.kind}`);
	}

	/** Compares two versions. This is done in one piece. */
	private beside(id: number, { text, versions }: Questions["beside"]["ask"]): Differing[] {
		let told = performance.now();
		return besides(text, versions, (play, line) => {
			if (performance.now() - told < TOLD) return;
			told = performance.now();
			this.tell({ id, kind: "progress", soFar: `play ${play}, line ${line}` });
		});
	}

	private async open(id: number, wanted: Wanted): Promise<Loaded | typeof REPLACED> {
		const mine = ++this.opened;
		const playing = Session.open(wanted);
		let since = performance.now();
		for (;;) {
			const next = playing.next();
			if (next.done === true) {
				this.session = next.value.session;
				return next.value.loaded;
			}
			if (performance.now() - since < this.slice) continue;
			if (next.value > 0) {
				const soFar = `line ${count(next.value)}`;
				this.tell({ id, kind: "progress", soFar });
			}
			await this.pause();
			if (mine !== this.opened) return REPLACED;
			since = performance.now();
		}
	}
}

/** Milliseconds between two reports of a comparison. */
const TOLD = 250;

const REPLACED = Symbol("replaced");

function isKind<K extends Kind>(request: Request, kind: K): request is Request<K> {
	return request.kind === kind;
}
