// SPDX-License-Identifier: GPL-2.0-or-later
/**
 * The model behind the page. It runs in a worker made from the page's own program. Where workers
 * are forbidden it runs in the page, in slices.
 */
import { Desk, type Kind, type Questions, type Reply, type Request } from "../desk.js";

/** Milliseconds of work between two pauses, in a worker and in the page. */
const SLICE_WORKER = 100;
const SLICE_PAGE = 12;

/** A newer request replaced this one. */
export class Replaced extends Error {}

const pause = () => new Promise<void>((go) => setTimeout(go, 0));

/** Answers requests of the page. Called in a worker. */
export function serve(): void {
	const desk = new Desk(SLICE_WORKER, pause, (reply) => postMessage(reply));
	addEventListener("message", async ({ data }: MessageEvent<Request>) => {
		const reply = await desk.answer(data);
		postMessage(reply);
	});
}

interface Waiting {
	done(get: unknown): void;
	failed(error: Error): void;
	progress(soFar: string): void;
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
		progress: (soFar: string) => void = () => {},
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
			const program = document.getElementById("program")?.textContent ?? "";
			this.url ??= URL.createObjectURL(new Blob([program], { type: "text/javascript" }));
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
		this.desk = new Desk(SLICE_PAGE, pause, (reply) => this.take(reply));
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
			waiting.progress(reply.soFar);
			return;
		}
		this.waiting.delete(reply.id);
		if (reply.kind === "done") waiting.done(reply.get);
		else if (reply.kind === "replaced") waiting.failed(new Replaced());
		else waiting.failed(new Error(reply.message));
	}
}
