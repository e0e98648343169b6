// SPDX-License-Identifier: GPL-2.0-or-later
/**
 * The program of the model. A worker answers requests. Where workers are forbidden, the page runs
 * this program as well and takes the desk from it.
 */
import { Desk, type Request } from "../desk.js";
import { pause } from "./pause.js";

/** Milliseconds of work between two pauses. */
const SLICE = 100;

function serve(): void {
	const desk = new Desk(SLICE, pause, (reply) => postMessage(reply));
	addEventListener("message", async ({ data }: MessageEvent<Request>) => {
		const reply = await desk.answer(data);
		postMessage(reply);
	});
}

if (typeof document === "undefined") serve();
else Object.assign(globalThis, { inetPortModelDesk: Desk });
