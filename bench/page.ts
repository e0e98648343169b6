// SPDX-License-Identifier: GPL-2.0-or-later
/**
 * The page in a headless Chromium. `node dist/bench/page.js` prints figures of its size and speed.
 * With --picture it makes the picture of the README.
 */
import { spawnSync } from "node:child_process";
import { existsSync, mkdtempSync, rmSync, statSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath, pathToFileURL } from "node:url";
import { playScript, readScript } from "../kernel-model/check/player.js";
import { Chromium, findChromium, Tab } from "../tests/page/chromium.js";

const MAIN = fileURLToPath(new URL("../kernel-model/cli/main.js", import.meta.url));
const READY =
	"document.querySelector('.story h2') && document.querySelector('main').getAttribute('aria-busy') === 'false'";
const DRAWN = 31;
/** How often the long page is opened. The first time is that of a new process. */
const OPENED = 3;
/** Milliseconds until Chromium is calm. */
const CALM = 2000;

/** A recording of 10,000 lines: clients that connect from a range, close and connect again. */
function tenThousand(): string {
	const at = (address: string, port: number) =>
		`{sa_family=AF_INET, sin_port=htons(${port}), sin_addr=inet_addr("${address}")}, 16`;
	const lines = [
		"$ ip addr add 192.0.2.10/32 dev lo",
		"$ ip route add default dev lo answer accept",
	];
	for (let i = 0; lines.length < 10_000; i++) {
		const fd = 3 + (i % 400);
		if (i >= 400) lines.push(`close(${fd})`);
		lines.push(
			"socket(AF_INET, SOCK_STREAM, IPPROTO_TCP)",
			`setsockopt(${fd}, SOL_IP, IP_BIND_ADDRESS_NO_PORT, [1], 4)`,
			`bind(${fd}, ${at("192.0.2.10", 0)})`,
			`connect(${fd}, ${at(`198.51.100.${1 + (i % 200)}`, 443)})`,
			`getsockname(${fd}, NULL, [16])`,
		);
	}
	lines.length = 10_000;
	const played = playScript(readScript(lines.join("\n"), "bench"), { version: "7.3", seed: 1 });
	const texts = new Map(played.map(({ line, text }) => [line, text]));
	return `${lines.map((line, i) => texts.get(i + 1) ?? line).join("\n")}\n`;
}

/** Makes a page. Returns its address. */
function pageOf(folder: string, name: string, ...args: string[]): string {
	const html = join(folder, `${name}.html`);
	const { status, stderr } = spawnSync(process.execPath, [MAIN, "page", ...args, "-o", html]);
	if (status !== 0) throw new Error(String(stderr));
	console.log(`${name}.html: ${statSync(html).size} bytes`);
	return pathToFileURL(html).href;
}

/**
 * How long a page of 10,000 lines takes to show its lines, the first verdicts, all verdicts, and the
 * line that it opens on, ms.
 */
async function opening(tab: Tab, url: string): Promise<void> {
	await tab.send("Page.addScriptToEvaluateOnNewDocument", {
		source: `new MutationObserver(() => {
			if (document.querySelector('.line')) window.shown ??= performance.now();
			if (document.querySelector('.line.match')) window.begun ??= performance.now();
			if (/as recorded/.test(document.querySelector('.summary')?.textContent)) window.judged ??= performance.now();
			if (${READY}) window.played ??= performance.now();
		}).observe(document, { subtree: true, childList: true, attributes: true });`,
	});
	await tab.go(url);
	await tab.until("window.played");
	const times = await tab.value<number[]>("[shown, begun, judged, played].map(Math.round)");
	const [shown, begun, judged, played] = times;
	console.log(
		`10,000 lines: shown after ${shown} ms, first verdicts after ${begun} ms, all after ${judged} ms, a line explained after ${played} ms`,
	);
}

/** How long the grid of the default range takes to be drawn, ms. */
async function drawing(tab: Tab, url: string): Promise<void> {
	await tab.go(url);
	await tab.until("window.played");
	await tab.value(`(() => { const box = document.getElementById('example');
		box.value = 'default-range'; box.dispatchEvent(new Event('change')); })()`);
	await tab.until("/^bind/.test(document.querySelector('.story h2').lastChild.textContent)");
	const frames = "requestAnimationFrame(() => requestAnimationFrame(done))";
	const took: number[] = [];
	for (let i = 0; i < DRAWN; i++) {
		await tab.value("document.querySelector('.canvas').focus()");
		await tab.press(i % 2 === 0 ? "ArrowLeft" : "ArrowRight");
		await tab.value(`new Promise((done) => ${frames})`);
		took.push(Number(await tab.value("document.querySelector('.range').dataset.took")));
	}
	took.sort((a, b) => a - b);
	const median = took[(DRAWN - 1) / 2];
	console.log(`28,232 ports: drawn in ${median} ms (median), ${took.at(-1)} ms (longest)`);
}

/** The picture of the README: a search at one of its candidates. */
async function picture(tab: Tab, url: string, file: string): Promise<void> {
	await tab.size(1280, 800, false);
	await tab.go(url);
	await tab.until("document.querySelector('.steps [aria-current]')");
	await tab.value("document.querySelector('.lines').focus()");
	for (let i = 0; i < 4; i++) await tab.press("ArrowLeft");
	await tab.until("document.querySelector('.place').textContent.startsWith('13 ')");
	await tab.until("/ 40/.test(document.querySelector('.steps [aria-current]')?.textContent ?? '')");
	await tab.value("document.activeElement.blur()");
	await new Promise((done) => setTimeout(done, 500));
	writeFileSync(file, await tab.picture());
	console.log(`${file}: ${statSync(file).size} bytes`);
}

/** Says in one line why there are no figures. */
function fail(why: string): void {
	process.stderr.write(`bench/page: ${why}\n`);
	process.exitCode = 2;
}

async function main(): Promise<void> {
	const path = findChromium();
	if (path === null) return fail("no Chromium is installed");
	if (!existsSync(new URL("../kernel-model/page/bundle/model.js", import.meta.url))) {
		return fail("the page is not bundled: run npm run bundle");
	}
	const folder = mkdtempSync(join(tmpdir(), "inet-port-model-figures-"));
	const browser = new Chromium(path);
	try {
		const tab = await Tab.open(browser);
		if (process.argv.includes("--picture")) {
			await picture(tab, pageOf(folder, "empty"), "kernel-model/page/picture.png");
			return;
		}
		const script = join(folder, "ten.strace");
		writeFileSync(script, tenThousand());
		const page = pageOf(folder, "10000", script, "--kernel", "7.3");
		// Chromium loads pages of its own when it starts.
		await new Promise((done) => setTimeout(done, CALM));
		for (let i = 0; i < OPENED; i++) await opening(tab, page);
		await drawing(tab, pageOf(folder, "empty"));
	} finally {
		await browser.close();
		rmSync(folder, { recursive: true, force: true });
	}
}

await main();
