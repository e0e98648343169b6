// SPDX-License-Identifier: GPL-2.0-or-later
/**
 * A headless Chromium, driven over a pipe by its DevTools protocol: messages in JSON, each ended by
 * a zero byte.
 */
import { type ChildProcess, spawn, spawnSync } from "node:child_process";
import { existsSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Readable, Writable } from "node:stream";

/** The path of the browser; null if none is installed. */
export function findChromium(): string | null {
	const named = process.env.CHROMIUM;
	if (named !== undefined && existsSync(named)) return named;
	for (const name of ["chromium", "chromium-browser", "google-chrome"]) {
		const { stdout, status } = spawnSync("sh", ["-c", `command -v ${name}`], { encoding: "utf8" });
		if (status === 0) return stdout.trim();
	}
	return null;
}

type Params = Record<string, unknown>;

interface Waiting {
	done(answer: unknown): void;
	failed(error: Error): void;
}

/** Milliseconds after which a browser that does not answer is taken to be dead. */
const PATIENCE = 60_000;

export class Chromium {
	private readonly child: ChildProcess;
	private readonly profile: string;
	private readonly waiting = new Map<number, Waiting>();
	private readonly listeners: ((method: string, params: unknown, session: string) => void)[] = [];
	private next = 1;
	private rest = "";

	constructor(path: string) {
		this.profile = mkdtempSync(join(tmpdir(), "inet-port-model-chromium-"));
		const flags = [
			"--headless",
			"--no-sandbox",
			"--disable-gpu",
			"--disable-quic",
			"--disable-dev-shm-usage",
			"--no-first-run",
			"--disable-background-networking",
			"--disable-component-update",
			"--disable-sync",
			"--hide-scrollbars",
			"--force-color-profile=srgb",
			"--remote-debugging-pipe",
			`--user-data-dir=${this.profile}`,
		];
		const stdio: ("ignore" | "pipe")[] = ["ignore", "ignore", "ignore", "pipe", "pipe"];
		this.child = spawn(path, flags, { stdio });
		const output = this.child.stdio[4] as Readable;
		output.setEncoding("utf8");
		output.on("data", (text: string) => this.read(text));
		this.child.on("exit", () => {
			for (const { failed } of this.waiting.values()) failed(new Error("the browser has ended"));
			this.waiting.clear();
		});
	}

	/**
	 * Sends a command. `session` is the page's; none for the browser itself. The caller knows the form
	 * of the answer.
	 */
	send<T = unknown>(method: string, params: Params = {}, session?: string): Promise<T> {
		const id = this.next++;
		const input = this.child.stdio[3] as Writable;
		const message = {
			id,
			method,
			params,
			...(session === undefined ? {} : { sessionId: session }),
		};
		return new Promise((done, failed) => {
			const timer = setTimeout(() => failed(new Error(`${method} is not answered`)), PATIENCE);
			this.waiting.set(id, {
				done: (answer) => {
					clearTimeout(timer);
					done(answer as T);
				},
				failed: (error) => {
					clearTimeout(timer);
					failed(error);
				},
			});
			input.write(`${JSON.stringify(message)}\0`);
		});
	}

	on(listener: (method: string, params: unknown, session: string) => void): void {
		this.listeners.push(listener);
	}

	private read(text: string): void {
		const parts = (this.rest + text).split("\0");
		this.rest = parts.pop() ?? "";
		for (const part of parts) {
			const { id, result, error, method, params, sessionId } = JSON.parse(part);
			if (id === undefined) {
				for (const listener of this.listeners) listener(method, params, sessionId ?? "");
				continue;
			}
			const waiting = this.waiting.get(id);
			this.waiting.delete(id);
			if (error === undefined) waiting?.done(result);
			else waiting?.failed(new Error(`${error.message} ${error.data ?? ""}`));
		}
	}

	async close(): Promise<void> {
		const ended = new Promise((done) => this.child.once("exit", done));
		await this.send("Browser.close").catch(() => this.child.kill("SIGKILL"));
		await ended;
		rmSync(this.profile, { recursive: true, force: true, maxRetries: 5 });
	}
}

/** A tab of the browser. */
export class Tab {
	/** Every request that the tab or a worker of it made, and every message on its console. */
	readonly requests: string[] = [];
	readonly errors: string[] = [];

	private constructor(
		private readonly browser: Chromium,
		private readonly session: string,
		private readonly target: string,
	) {}

	static async open(browser: Chromium, width = 1280, height = 800, dark = false): Promise<Tab> {
		const created = { url: "about:blank" };
		const { targetId } = await browser.send<{ targetId: string }>("Target.createTarget", created);
		const { sessionId } = await browser.send<{ sessionId: string }>("Target.attachToTarget", {
			targetId,
			flatten: true,
		});
		const tab = new Tab(browser, sessionId, targetId);
		browser.on((method, params, session) => {
			if (session !== sessionId) return;
			if (method === "Network.requestWillBeSent") {
				tab.requests.push((params as { request: { url: string } }).request.url);
			}
			if (method === "Runtime.exceptionThrown" || method === "Log.entryAdded") {
				tab.errors.push(JSON.stringify(params).slice(0, 2000));
			}
		});
		for (const domain of ["Page", "Runtime", "Network", "Log", "DOM"]) {
			await tab.send(`${domain}.enable`);
		}
		await tab.size(width, height, dark);
		return tab;
	}

	send<T = unknown>(method: string, params: Params = {}): Promise<T> {
		return this.browser.send<T>(method, params, this.session);
	}

	/** Sets the size of the window, and the colours that its user prefers. */
	async size(width: number, height: number, dark = false, scale = 1): Promise<void> {
		const mobile = width < 500;
		const metrics = { width, height, deviceScaleFactor: scale, mobile };
		await this.send("Emulation.setDeviceMetricsOverride", metrics);
		const features = [{ name: "prefers-color-scheme", value: dark ? "dark" : "light" }];
		await this.send("Emulation.setEmulatedMedia", { features });
	}

	async go(url: string): Promise<void> {
		await this.send("Page.navigate", { url });
		await this.until("document.readyState === 'complete'");
	}

	/** The value of an expression in the page, whose form the caller knows. Throws if it throws. */
	async value<T = unknown>(expression: string): Promise<T> {
		const params = { expression, returnByValue: true, awaitPromise: true };
		const { result, exceptionDetails } = await this.send<{
			result: { value: T };
			exceptionDetails?: unknown;
		}>("Runtime.evaluate", params);
		if (exceptionDetails !== undefined) throw new Error(JSON.stringify(exceptionDetails));
		return result.value;
	}

	/** Waits until an expression is true. */
	async until(expression: string, patience = 60_000): Promise<void> {
		const end = performance.now() + patience;
		for (;;) {
			const holds = await this.value(`Boolean(${expression})`).catch(() => false);
			if (holds === true) return;
			if (performance.now() > end) {
				const errors = this.errors.join("\n");
				throw new Error(`it never holds: ${expression}\n${errors}`);
			}
			await new Promise((done) => setTimeout(done, 30));
		}
	}

	/** Presses a key, as a person does. */
	async press(key: string): Promise<void> {
		const codes: Readonly<Record<string, number>> = {
			ArrowLeft: 37,
			ArrowUp: 38,
			ArrowRight: 39,
			ArrowDown: 40,
			Home: 36,
			End: 35,
			PageUp: 33,
			PageDown: 34,
			Tab: 9,
			Enter: 13,
			Escape: 27,
		};
		const code = { key, code: key, windowsVirtualKeyCode: codes[key] ?? 0 };
		const text = key === "Enter" ? { text: "\r" } : key.length === 1 ? { text: key } : {};
		await this.send("Input.dispatchKeyEvent", { type: "keyDown", ...code, ...text });
		await this.send("Input.dispatchKeyEvent", { type: "keyUp", ...code });
	}

	/** Chooses a file for a file input, as its dialog does. */
	async chooseFile(selector: string, path: string): Promise<void> {
		const { root } = await this.send<{ root: { nodeId: number } }>("DOM.getDocument");
		const within = { nodeId: root.nodeId, selector };
		const { nodeId } = await this.send<{ nodeId: number }>("DOM.querySelector", within);
		await this.send("DOM.setFileInputFiles", { nodeId, files: [path] });
	}

	/** A picture of the window, PNG. */
	async picture(whole = false): Promise<Buffer> {
		const params = { format: "png", captureBeyondViewport: whole };
		const { data } = await this.send<{ data: string }>("Page.captureScreenshot", params);
		return Buffer.from(data, "base64");
	}

	async close(): Promise<void> {
		await this.browser.send("Target.closeTarget", { targetId: this.target });
	}
}
