// SPDX-License-Identifier: GPL-2.0-or-later
/**
 * The model's side of the page. It answers requests, in a worker or in the page itself. Long work
 * is done in slices, so that a newer request can replace it.
 */

import { count } from "../machine/count.js";
import { besides, type Differing } from "./beside.js";
import type { PortView } from "./bucket.js";
import type { Loaded, Shown } from "./outcomes.js";
import type { StepWords } from "./search_steps.js";
import { type LineView, optionsOf, Session, type Wanted } from "./session.js";
import type { Setting } from "./setting.js";

/** What the page may ask, with what it gets. */
export interface Questions {
	/** Plays a script. */
	open: { ask: Wanted; get: Loaded };
	look: { ask: { line: number }; get: LineView | null };
	/** The steps [from, to) of the line that was looked at last, in words. */
	words: { ask: { from: number; to: number }; get: StepWords[] };
	port: { ask: { port: number; after: boolean }; get: PortView };
	beside: {
		ask: { text: string; versions: [string, string]; setting: Setting };
		get: Differing[];
	};
}

export type Kind = keyof Questions;

export interface Request<K extends Kind = Kind> {
	id: number;
	kind: K;
	ask: Questions[K]["ask"];
}

export type Reply =
	| { id: number; kind: "done"; get: unknown }
	/** It goes on: what is done so far, in words, and the lines that were played. */
	| { id: number; kind: "progress"; soFar: string; news: Shown[] }
	/** A newer request replaced it. */
	| { id: number; kind: "replaced" }
	| { id: number; kind: "failed"; message: string };

export class Desk {
	private session: Session | null = null;
	/** The numbers of the last `open` and `beside`. */
	private opened = 0;
	private compared = 0;

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

	/** Ends the work that goes on, at its next pause. */
	stop(): void {
		this.opened++;
		this.compared++;
	}

	private async get(request: Request): Promise<unknown> {
		if (isKind(request, "open")) return await this.open(request.id, request.ask);
		if (isKind(request, "beside")) return await this.beside(request.id, request.ask);
		const { session } = this;
		if (session === null) throw new Error("no script is open");
		if (isKind(request, "look")) return session.look(request.ask.line);
		if (isKind(request, "port")) return session.port(request.ask.port, request.ask.after);
		if (isKind(request, "words")) return session.words(request.ask.from, request.ask.to);
		throw new Error(`unknown request ${request.kind}`);
	}

	/** Compares two versions. */
	private async beside(
		id: number,
		{ text, versions, setting }: Questions["beside"]["ask"],
	): Promise<Differing[] | typeof REPLACED> {
		const mine = ++this.compared;
		const { uid, host } = optionsOf(setting);
		const options = {
			...(uid === undefined ? {} : { uid }),
			...(host === undefined ? {} : { host }),
		};
		const comparing = besides(text, versions, options);
		const report = (soFar: unknown) => ({ soFar: String(soFar), news: [] });
		return await this.inSlices(id, comparing, report, () => mine === this.compared);
	}

	private async open(id: number, wanted: Wanted): Promise<Loaded | typeof REPLACED> {
		const mine = ++this.opened;
		const report = (session: Session) => ({
			soFar: session.at > 0 ? `line ${count(session.at)}` : "",
			news: session.news(),
		});
		const isLast = () => mine === this.opened;
		const opened = await this.inSlices(id, Session.open(wanted), report, isLast);
		if (opened === REPLACED) return REPLACED;
		this.session = opened.session;
		return opened.loaded;
	}

	/** Does long work in slices, until it ends or a newer request replaces it. */
	private async inSlices<T, R>(
		id: number,
		work: Iterator<T, R>,
		report: (step: T) => { soFar: string; news: Shown[] },
		isLast: () => boolean,
	): Promise<R | typeof REPLACED> {
		let since = performance.now();
		let told = since;
		for (;;) {
			const next = work.next();
			if (next.done === true) return next.value;
			const now = performance.now();
			if (now - since < this.slice) continue;
			if (now - told >= TOLD) {
				this.tell({ id, kind: "progress", ...report(next.value) });
				told = now;
			}
			await this.pause();
			if (!isLast()) return REPLACED;
			since = performance.now();
		}
	}
}

/** Milliseconds between two reports of long work. */
const TOLD = 100;

const REPLACED = Symbol("replaced");

function isKind<K extends Kind>(request: Request, kind: K): request is Request<K> {
	return request.kind === kind;
}
