// SPDX-License-Identifier: GPL-2.0-or-later
/** The whole page: what was asked for, what was answered, and which part shows it. */

import { plural } from "../../machine/count.js";
import type { Differing } from "../beside.js";
import type { Start } from "../document.js";
import { examples } from "../examples.js";
import { fragmentOf, linkedIn } from "../link.js";
import { type Loaded, noResults, type Results, take } from "../outcomes.js";
import { STEP_SKIP, type StepWords } from "../search_steps.js";
import type { LineView } from "../session.js";
import { NO_SETTING, type Setting, settingWords } from "../setting.js";
import { Editor, MistakeBar } from "./editor.js";
import { buildFrame, type Frame } from "./frame.js";
import { Header } from "./header.js";
import { Lines } from "./lines.js";
import { Model, Replaced } from "./model.js";
import { PortPanel } from "./port.js";
import { Range } from "./range.js";
import { SocketTable } from "./sockets.js";
import { Stepper } from "./stepper.js";
import { headline, Story } from "./story.js";

/** Longest script that is edited here, characters. */
const EDITABLE = 1 << 20;

/** What a script of the user's own begins with. */
const BEGUN = "# A line without a result gets the model's result. The examples show the syntax.\n";

export class Page {
	private readonly model = new Model();
	/** A second model compares versions, so that the first one still answers. */
	private other: Model | null = null;
	private readonly frame: Frame;
	private readonly header: Header;
	private readonly lines: Lines;
	private readonly editor: Editor;
	private readonly mistakes: MistakeBar;
	private readonly story: Story;
	private readonly stepper: Stepper;
	private readonly range: Range;
	private readonly portPanel: PortPanel;
	private readonly sockets: SocketTable;

	private text = "";
	private texts: string[] = [];
	private setting: Setting = NO_SETTING;
	private file: string | null = null;
	private loaded: Loaded | null = null;
	private view: LineView | null = null;
	private differing: Differing[] = [];
	private line = 0;
	private port = 0;
	private step = 0;
	private editing = false;
	/** Numbers of the last requests: older answers are dropped. */
	private opened = 0;
	private looked = 0;

	constructor(body: HTMLElement) {
		this.header = new Header({
			example: (id) => this.example(id),
			own: () => this.own(),
			settings: () => this.open(this.line),
			beside: () => this.compare(),
			link: () => this.link(),
			file: (file) => this.openFile(file),
		});
		this.stepper = new Stepper(
			(from, to) => this.words(from, to),
			(step) => this.stepped(step),
			(text) => this.say(text),
		);
		this.lines = new Lines(
			(line) => this.look(line),
			(event) => /^(ArrowLeft|ArrowRight| )$/.test(event.key) && this.stepper.key(event.key),
		);
		// At first nothing has the focus. The keys are then those of the lines.
		addEventListener("keydown", (event) => {
			if (document.activeElement === document.body && !this.editing) this.lines.pressed(event);
		});
		this.editor = new Editor(
			(text) => this.edited(text),
			(line) => {
				if (this.loaded !== null && line <= this.texts.length) this.look(line);
			},
		);
		this.mistakes = new MistakeBar(({ line, column }) => {
			this.edit(true);
			this.editor.go(line, column);
		});
		this.story = new Story((line) => this.goTo(line));
		this.range = new Range((port) => {
			this.stepper.reach(port);
			this.inspect(port);
		});
		this.portPanel = new PortPanel();
		this.sockets = new SocketTable((port) => this.inspect(port));
		this.frame = buildFrame(body, {
			header: this.header.element,
			lines: this.lines.element,
			editor: this.editor.element,
			mistakes: this.mistakes.element,
			story: this.story.element,
			words: this.story.words,
			stepper: this.stepper.element,
			range: this.range.element,
			port: this.portPanel.element,
			sockets: this.sockets.element,
			edit: () => this.edit(!this.editing),
			next: () => this.lines.next(),
			scope: () => this.drawRange(),
		});
	}

	/** Shows what the fragment holds, or what the file was made with. */
	async begin(): Promise<void> {
		addEventListener("hashchange", () => this.fromFragment());
		if (await this.fromFragment()) return;
		const start: Start = JSON.parse(document.getElementById("start")?.textContent ?? "{}");
		if (start.text === null) {
			this.example(examples()[0]?.id ?? "");
			return;
		}
		this.file = start.file;
		this.header.set(start.version, start.beside, start.seed);
		this.take(start.text, start.setting);
		this.open(0);
	}

	private async fromFragment(): Promise<boolean> {
		const linked = await linkedIn(location.hash);
		if (linked === null) return false;
		const { text, version, beside, seed, line, setting } = linked;
		this.header.set(version, beside, seed);
		this.header.noExample();
		this.take(text, setting);
		this.open(line);
		return true;
	}

	private example(id: string): void {
		const example = examples().find((one) => one.id === id);
		if (example === undefined) {
			this.own();
			return;
		}
		this.file = null;
		this.header.set(example.version, example.beside ?? null, 1);
		this.header.example(id);
		this.take(example.text);
		this.open(0);
	}

	/** Begins a script of the user's own. */
	private own(): void {
		this.file = null;
		this.header.noExample();
		this.take(BEGUN);
		this.open(0);
		this.edit(true);
		this.editor.go(2, 1);
	}

	private async openFile(file: File): Promise<void> {
		this.file = file.name;
		this.header.noExample();
		this.take(await file.text());
		this.open(0);
	}

	/** Takes a new script, and what is known beside it. */
	private take(text: string, setting = NO_SETTING): void {
		this.setting = setting;
		this.setText(text);
		this.edit(false);
		this.editor.text = text.length > EDITABLE ? "" : text;
	}

	private setText(text: string): void {
		this.text = text;
		this.texts = text.split("\n");
		if (this.texts.at(-1) === "") this.texts.pop();
		this.frame.title(this.file, this.texts.length);
		this.frame.editable(text.length <= EDITABLE);
		this.loaded = null;
		this.lines.mark(null, []);
		this.lines.show(this.texts, null);
	}

	private edited(text: string): void {
		this.file = null;
		this.header.noExample();
		this.setText(text);
		this.open(this.editor.line);
	}

	/** Plays the script, then looks at a line; 0 is the line that the session chooses. */
	private async open(line: number): Promise<void> {
		const mine = ++this.opened;
		const { version, seed } = this.header;
		this.frame.busy(true);
		try {
			const script = { text: this.text, version, seed, setting: this.setting };
			const played = noResults(this.texts.length);
			const loaded = await this.model.ask("open", script, (soFar, news) => {
				if (mine !== this.opened) return;
				this.frame.busy(true, soFar);
				for (const shown of news) take(played, shown);
				this.results(played);
			});
			if (mine !== this.opened) return;
			this.loaded = loaded;
			this.header.played(loaded.version, loaded.doubt);
			this.results(loaded);
			this.mistakes.show(loaded.mistake);
			this.frame.summary(loaded, settingWords(this.setting));
			const wanted = line === 0 ? loaded.opens : Math.min(line, this.texts.length);
			const { mistake } = loaded;
			const to = mistake === null ? wanted : Math.min(wanted || mistake.line, mistake.line);
			this.lines.go(to);
			await this.look(to);
			if (mine !== this.opened) return;
			this.frame.busy(false);
			this.compare();
		} catch (error) {
			if (error instanceof Replaced || mine !== this.opened) return;
			this.frame.busy(false);
			this.frame.failed(error);
		}
	}

	private results(results: Results): void {
		this.lines.show(this.texts, results);
		this.editor.results(results);
	}

	private goTo(line: number): void {
		this.lines.go(line);
		this.look(line);
	}

	private async look(line: number): Promise<void> {
		const mine = ++this.looked;
		this.line = line;
		const view = await this.model.ask("look", { line }).catch((error: unknown) => {
			if (!(error instanceof Replaced)) this.frame.failed(error);
			return null;
		});
		if (mine !== this.looked || view === null) return;
		this.view = view;
		this.port = view.port || view.steps.low || this.port || view.before.low;
		this.frame.searched(view);
		this.tell(view);
		this.sockets.show(view);
		this.stepper.show(view.steps);
		if (view.steps.kinds.length === 0) this.stepped(0);
		this.say(`Line ${line}: ${headline(view)}`);
	}

	/** Says what happened at a line. */
	private tell(view: LineView): void {
		const mistake = this.loaded?.mistake ?? null;
		if (mistake?.line === view.line) {
			this.story.mistaken(mistake, this.texts[view.line - 1] ?? "");
			return;
		}
		this.story.show(view, this.differing.find(({ line }) => line === view.line) ?? null);
	}

	private words(from: number, to: number): Promise<StepWords[]> {
		return this.model.ask("words", { from, to }).catch(() => []);
	}

	/** Shows the range, the port and the sockets at a step of the search. */
	private stepped(step: number): void {
		const { view } = this;
		this.step = step;
		if (view === null) return;
		const port = view.steps.ports[step] ?? 0;
		if (port !== 0) this.port = port;
		this.inspect(this.port);
	}

	/** Whether the last step is shown: the state is that after the call. */
	private get after(): boolean {
		return this.view === null || this.step >= this.view.steps.kinds.length - 1;
	}

	private drawRange(): void {
		const { view, step } = this;
		if (view === null) return;
		const { steps } = view;
		const tried = new Uint8Array(65536);
		for (let i = 0; i <= step; i++)
			if (steps.kinds[i] === STEP_SKIP) tried[steps.ports[i] ?? 0] = 1;
		const [low, high] = this.frame.scope(view, this.port);
		const skips = steps.kinds[step] === STEP_SKIP;
		const now = steps.ports[step] ?? 0;
		this.range.show({
			cells: this.after ? view.after : view.before,
			tried,
			low,
			high,
			current: skips ? now : 0,
			chosen: skips ? 0 : now,
		});
	}

	private async inspect(port: number): Promise<void> {
		const { view } = this;
		if (view === null) return;
		this.port = port;
		this.drawRange();
		this.range.focus(port);
		this.sockets.mark(port);
		const { after } = this;
		const shown = await this.model.ask("port", { port, after }).catch(() => null);
		if (shown === null || this.port !== port || this.view !== view) return;
		const when = after ? "after the line" : "while the search goes on";
		this.portPanel.show(shown, after ? view.after : view.before, when);
	}

	/** Plays the script in the second version, and marks the lines that differ. */
	private async compare(): Promise<void> {
		const { beside } = this.header;
		const mine = this.opened;
		if (this.other?.busy === true) this.other.restart();
		this.differing = [];
		this.lines.mark(null, []);
		const { loaded } = this;
		if (beside === null || loaded === null || beside === loaded.version) {
			this.frame.compared(beside === null ? null : "The same version");
			return;
		}
		this.frame.compared(`Comparing with ${beside} …`);
		const above = loaded.mistake === null ? this.texts.length : loaded.mistake.line - 1;
		const text = this.texts.slice(0, above).join("\n");
		this.other ??= new Model();
		const versions: [string, string] = [loaded.version, beside];
		try {
			const asked = { text, versions, setting: this.setting };
			const differing = await this.other.ask("beside", asked, (soFar) =>
				this.frame.compared(`Comparing with ${beside}: ${soFar}`),
			);
			if (mine !== this.opened || beside !== this.header.beside) return;
			this.differing = differing;
			this.lines.mark(beside, differing);
			const count = differing.length;
			this.frame.compared(
				count === 0
					? `${beside} gives the same results. How it searches is not compared`
					: `${plural(count, "line")} differ in ${beside}`,
			);
			if (this.view !== null) this.tell(this.view);
		} catch (error) {
			if (!(error instanceof Replaced)) this.frame.compared(String(error));
		}
	}

	private edit(on: boolean): void {
		if (this.editing && !on) this.lines.go(Math.max(1, this.line));
		this.editing = on;
		this.frame.editing(on);
		if (!on) return;
		this.editor.shown();
		this.editor.go(Math.max(1, this.line), 1);
	}

	/** Puts a link to what is shown into the address bar and on the clipboard. */
	private async link(): Promise<void> {
		const { version, beside, seed } = this.header;
		const { text, line, setting } = this;
		const fragment = await fragmentOf({ text, version, beside, seed, line, setting });
		history.replaceState(null, "", fragment);
		const copied = await navigator.clipboard?.writeText(location.href).then(
			() => true,
			() => false,
		);
		const what = copied === true ? "The link is copied" : "The link is in the address bar";
		this.header.linked(`${what} (${plural(fragment.length, "character")})`);
		this.say(what);
	}

	private say(text: string): void {
		this.frame.say(text);
	}
}
