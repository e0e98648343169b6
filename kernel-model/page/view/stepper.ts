// SPDX-License-Identifier: GPL-2.0-or-later
/** One search as steps to go forward and back: start, passes, candidates, and what was chosen. */

import { count } from "../../machine/count.js";
import {
	STEP_BOUND,
	STEP_CHOSEN,
	STEP_SKIP,
	STEP_TUPLE,
	type Steps,
	type StepWords,
} from "../search_steps.js";
import { el, fill, type Icon, iconButton, setIcon } from "./dom.js";

/** Rows of words around the current step. A search of few steps shows all of them, as whole lines. */
const BEFORE = 1;
const ROWS = 4;
const FEW = 12;
/** A search is played in about so many milliseconds, and no step is shorter than a frame. */
const WHOLE = 6000;
const LONGEST = 700;

export class Stepper {
	readonly element: HTMLElement;
	private readonly slider = el("input", {
		type: "range",
		min: 0,
		"aria-label": "Step of the search",
	});
	private readonly place = el("output", { class: "place" });
	private readonly rows = el("ol", { class: "steps" });
	private readonly controls: HTMLElement;
	private readonly play: HTMLButtonElement;
	private steps: Steps | null = null;
	private at = 0;
	private timer = 0;
	private asked = 0;

	/**
	 * `words` asks for steps in words. `moved` is called with the step that is shown. `say` reads a
	 * text out.
	 */
	constructor(
		private readonly words: (from: number, to: number) => Promise<StepWords[]>,
		private readonly moved: (step: number) => void,
		private readonly say: (text: string) => void,
	) {
		const button = (icon: Icon, label: string, act: () => void) =>
			iconButton(icon, label, () => {
				this.stop();
				act();
			});
		this.play = iconButton("play", "Play the search", () => this.toggle());
		this.controls = el(
			"div",
			{ class: "controls", role: "group", "aria-label": "Steps of the search" },
			button("first", "First step (Home)", () => this.go(0)),
			button("previousPass", "Pass before (Page Up)", () => this.go(this.landmark(-1))),
			button("back", "Step back (Left)", () => this.go(this.at - 1)),
			this.play,
			button("next", "Step forward (Right)", () => this.go(this.at + 1)),
			button("nextPass", "Next pass (Page Down)", () => this.go(this.landmark(1))),
			button("last", "Last step (End)", () => this.go(this.end)),
			this.slider,
			this.place,
		);
		this.slider.addEventListener("input", () => {
			this.stop();
			this.go(Number(this.slider.value));
		});
		this.element = el("div", { class: "stepper" }, this.controls, this.rows);
		this.element.addEventListener("keydown", (event) => {
			if (event.altKey || event.ctrlKey || event.metaKey) return;
			if (event.key === " " && event.target !== this.slider) return;
			if (this.key(event.key)) event.preventDefault();
		});
	}

	/** Shows the steps of a call, at its last step. */
	show(steps: Steps): void {
		this.stop();
		this.steps = steps;
		this.slider.max = String(this.end);
		this.element.hidden = steps.kinds.length === 0;
		this.at = -1;
		if (steps.kinds.length > 0) this.go(this.end, false);
	}

	/** Handles a key of the stepper, or of the list of lines. */
	key(key: string): boolean {
		const to: Readonly<Record<string, () => number>> = {
			ArrowRight: () => this.at + 1,
			ArrowLeft: () => this.at - 1,
			PageDown: () => this.landmark(1),
			PageUp: () => this.landmark(-1),
			Home: () => 0,
			End: () => this.end,
		};
		if (this.steps === null || this.steps.kinds.length === 0) return false;
		if (key === " ") {
			this.toggle();
			return true;
		}
		const step = to[key];
		if (step === undefined) return false;
		this.stop();
		this.go(step());
		return true;
	}

	private get end(): number {
		return Math.max(0, (this.steps?.kinds.length ?? 0) - 1);
	}

	/** The next step that is not a candidate. */
	private landmark(by: 1 | -1): number {
		let step = this.at + by;
		while (step > 0 && step < this.end && this.steps?.kinds[step] === STEP_SKIP) step += by;
		return step;
	}

	private go(step: number, aloud = true): void {
		const to = Math.min(Math.max(step, 0), this.end);
		if (to === this.at) return;
		this.at = to;
		this.slider.value = String(to);
		this.place.textContent = `${count(to + 1)} / ${count(this.end + 1)}`;
		this.moved(to);
		this.write(aloud);
	}

	/** Goes to the step that looked at a port, if there is one. */
	reach(port: number): void {
		const { kinds, ports } = this.steps ?? {};
		const step = ports?.findIndex((other, i) => other === port && kinds?.[i] === STEP_SKIP) ?? -1;
		if (step < 0) return;
		this.stop();
		this.go(step);
	}

	private async write(aloud: boolean): Promise<void> {
		const asked = ++this.asked;
		const few = this.end < FEW;
		const from = few ? 0 : Math.max(0, Math.min(this.at - BEFORE, this.end - ROWS + 1));
		const to = few ? this.end + 1 : Math.min(from + ROWS, this.end + 1);
		const words = await this.words(from, to);
		if (asked !== this.asked) return;
		this.rows.classList.toggle("few", few);
		fill(
			this.rows,
			...words.map(({ where, text }, i) => {
				const step = from + i;
				const row = el(
					"li",
					{ "aria-current": step === this.at ? "step" : null, value: step + 1 },
					el("span", { class: "sign", "aria-hidden": "true" }, this.sign(step)),
					el("span", { class: "what" }, text),
					el("code", {}, where),
				);
				row.addEventListener("click", () => {
					this.stop();
					this.go(step);
				});
				return row;
			}),
		);
		const now = words[this.at - from];
		const said = now === undefined ? "" : `${now.text}, ${now.where}`;
		this.slider.setAttribute("aria-valuetext", said);
		if (aloud && this.timer === 0 && document.activeElement !== this.slider) this.say(said);
	}

	private sign(step: number): string {
		const { kinds, ports, verdicts } = this.steps ?? {};
		switch (kinds?.[step]) {
			case STEP_SKIP:
				return "✕";
			case STEP_CHOSEN:
				return ports?.[step] === 0 ? "■" : "✓";
			case STEP_BOUND:
			case STEP_TUPLE:
				return verdicts?.[step] === 0 ? "✓" : "■";
			default:
				return "›";
		}
	}

	private toggle(): void {
		if (this.timer !== 0) {
			this.stop();
			return;
		}
		if (this.at >= this.end) this.go(0);
		setIcon(this.play, "pause", "Pause (Space)");
		const steps = this.end + 1;
		const pause = Math.min(LONGEST, Math.max(16, WHOLE / steps));
		const stride = Math.max(1, Math.round((steps * pause) / WHOLE));
		this.timer = setInterval(() => {
			if (this.at >= this.end) this.stop();
			else this.go(this.at + stride);
		}, pause);
	}

	private stop(): void {
		if (this.timer !== 0) clearInterval(this.timer);
		this.timer = 0;
		setIcon(this.play, "play", "Play (Space)");
	}
}
