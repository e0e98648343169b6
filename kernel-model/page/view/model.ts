// SPDX-License-Identifier: GPL-2.0-or-later
/**
 * The model behind the page. It runs in a worker made from the text of its program, which the
 * document holds. Where workers are forbidden it runs in the page, in slices.
 */
import type { Desk, Kind, Questions, Reply, Request } from "../desk.js";
import type { Shown } from "../outcomes.js";
import { el } from "./dom.js";
import { pause } from "./pause.js";

/** Milliseconds of work in the page between two pauses. */
const SLICE = 12;

/** A newer request replaced this one. */
export class Replaced extends Error {}

const programText = () => document.getElementById("model")?.textContent ?? "";

/** Runs the program of the model in the page. Returns the class of its desk. */
function deskClass(): typeof Desk {
	const place = globalThis as { inetPortModelDesk?: typeof Desk };
	// A script element that is put into the document runs at once.
	if (place.inetPortModelDesk === undefined) document.head.append(el("script", {}, programText()));
	if (place.inetPortModelDesk === undefined)
		throw new Error("the program of the model did not run");
	return place.inetPortModelDesk;
}

interface Waiting {
	done(get: unknown): void;
	failed(error: Error): void;
	progress(soFar: string, news: readonly Shown[]): void;
	request: Request;
}

export class Model {
	private worker: Worker | null = null;
	private desk: Desk | null = null;
	private next = 1;
	private readonly waiting = new Map<number, Waiting>();
	private url: string | null = null;

	constructor() {
		this.start();
	}

	/** Asks the model. Throws Replaced if a newer request of the kind replaces this one. */
	ask<K extends Kind>(
		kind: K,
		ask: Questions[K]["ask"],
		progress: (soFar: string, news: readonly Shown[]) => void = () => {},
	): Promise<Questions[K]["get"]> {
		const id = this.next++;
		return new Promise((done, failed) => {
			const request: Request<K> = { id, kind, ask };
			const take = (get: unknown) => done(get as Questions[K]["get"]);
			this.waiting.set(id, { done: take, failed, progress, request });
			this.send(request);
		});
	}

	/** Ends work that goes on, and begins anew. */
	restart(): void {
		this.worker?.terminate();
		this.desk?.stop();
		for (const { failed } of this.waiting.values()) failed(new Replaced());
		this.waiting.clear();
		this.start();
	}

	/** Whether work goes on. */
	get busy(): boolean {
		return this.waiting.size > 0;
	}

	private start(): void {
		if (this.desk !== null) return;
		try {
			this.url ??= URL.createObjectURL(new Blob([programText()], { type: "text/javascript" }));
			const worker = new Worker(this.url);
			worker.addEventListener("message", ({ data }: MessageEvent<Reply>) => this.take(data));
			worker.addEventListener("error", (event) => {
				event.preventDefault();
				this.withoutWorker(worker);
			});
			this.worker = worker;
		} catch {
			this.withoutWorker(null);
		}
	}

	/** Runs the model in the page from now on. */
	private withoutWorker(worker: Worker | null): void {
		if (worker !== this.worker || this.desk !== null) return;
		worker?.terminate();
		this.worker = null;
		this.desk = new (deskClass())(SLICE, pause, (reply) => this.take(reply));
		for (const { request } of [...this.waiting.values()]) this.send(request);
	}

	private send(request: Request): void {
		if (this.worker !== null) this.worker.postMessage(request);
		else this.desk?.answer(request).then((reply) => this.take(reply));
	}

	private take(reply: Reply): void {
		const waiting = this.waiting.get(reply.id);
		if (waiting === undefined) return;
		if (reply.kind === "progress") {
			waiting.progress(reply.soFar, reply.news);
			return;
		}
		this.waiting.delete(reply.id);
		if (reply.kind === "done") waiting.done(reply.get);
		else if (reply.kind === "replaced") waiting.failed(new Replaced());
		else waiting.failed(new Error(reply.message));
	}
}
