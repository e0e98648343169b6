// SPDX-License-Identifier: GPL-2.0-or-later
/** The page in a real browser, opened from a file. */
import { spawnSync } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath, pathToFileURL } from "node:url";
import { afterAll, afterEach, beforeAll, describe, expect, it } from "vitest";
import { Chromium, findChromium, Tab } from "./chromium.js";

const MAIN = fileURLToPath(new URL("../../dist/kernel-model/cli/main.js", import.meta.url));
const path = findChromium();
const skipped = path === null ? ": skipped, no Chromium is installed" : "";

const folder = mkdtempSync(join(tmpdir(), "inet-port-model-page-"));

/** The address of a page made from a script; without one the playground. */
function pageOf(name: string, script: string | null, ...options: string[]): string {
	const html = join(folder, `${name}.html`);
	const input: string[] = [];
	if (script !== null) {
		input.push(join(folder, `${name}.strace`));
		writeFileSync(input[0] ?? "", script);
	}
	const args = [MAIN, "page", ...input, ...options, "-o", html];
	const { status, stderr } = spawnSync(process.execPath, args, { encoding: "utf8" });
	expect([status, stderr]).toEqual([0, ""]);
	return pathToFileURL(html).href;
}

const READY = "document.querySelector('main')?.getAttribute('aria-busy') === 'false'";
const HEADLINE = "document.querySelector('.story h2')?.lastChild.textContent";
const ROWS = "[...document.querySelectorAll('.line')].map((row) => row.textContent)";
const STEP = "document.querySelector('.place').textContent";
const CURRENT = "document.querySelector('.steps [aria-current] .what')?.textContent";
const choose = (id: string, value: string) =>
	`(() => { const box = document.getElementById('${id}'); box.value = '${value}';
	box.dispatchEvent(new Event('change')); })()`;
const click = (selector: string) => `document.querySelector(${JSON.stringify(selector)}).click()`;
/** Presses a button on top. */
const press = (text: string) =>
	`[...document.querySelectorAll('.acts button')].find((one) => one.textContent === '${text}').click()`;

const at = (address: string, port: number) =>
	`{sa_family=AF_INET, sin_port=htons(${port}), sin_addr=inet_addr("${address}")}, 16`;

describe.skipIf(path === null)(`the page${skipped}`, () => {
	let browser: Chromium;
	let tab: Tab;
	beforeAll(() => {
		browser = new Chromium(path ?? "");
	});
	afterAll(async () => {
		await browser.close();
		rmSync(folder, { recursive: true, force: true });
	});
	afterEach(async () => {
		// A request to the network, an exception or a refused policy fails every test.
		const outside = tab.requests.filter((url) => !/^(file|blob|about):/.test(url));
		expect([outside, tab.errors]).toEqual([[], []]);
		await tab.close();
	});

	const open = async (url: string, width = 1280, height = 800) => {
		tab = await Tab.open(browser, width, height);
		await tab.go(url);
		await tab.until(`${READY} && ${HEADLINE}`);
	};
	/** Waits for the headline of a line, and returns it. */
	const headline = async (pattern: RegExp): Promise<string> => {
		await tab.until(`${pattern}.test(${HEADLINE} ?? '')`);
		return await tab.value<string>(HEADLINE);
	};

	it("opens on the line that failed, and says why", async () => {
		await open(pageOf("empty", null));
		expect(await tab.value(HEADLINE)).toBe("connect() fails with EADDRNOTAVAIL");
		const story = await tab.value("document.querySelector('.story').textContent");
		expect(story).toContain("No port is left.");
		expect(story).toContain("0 free, 10 taken, 2 reserved");
		expect(await tab.value("document.querySelector('.line[aria-selected=true]').id")).toBe(
			"line-29",
		);
	});

	it("steps through a search with the keyboard, forward and back", async () => {
		await open(pageOf("steps", null));
		await tab.until(`${CURRENT} === 'no port is left'`);
		expect(await tab.value(STEP)).toBe("17 / 17");
		await tab.value("document.querySelector('.controls input').focus()");
		await tab.press("Home");
		await tab.until(`/connect searches 40000-40011/.test(${CURRENT})`);
		await tab.press("ArrowRight");
		await tab.press("ArrowRight");
		await tab.until(`/^pass 1 over the even ports/.test(${CURRENT})`);
		await tab.press("ArrowRight");
		await tab.until(`/^port 400[0-9]+/.test(${CURRENT})`);
		const forward = await tab.value(CURRENT);
		await tab.press("ArrowRight");
		await tab.until(`${CURRENT} !== ${JSON.stringify(forward)}`);
		await tab.press("ArrowLeft");
		await tab.until(`${CURRENT} === ${JSON.stringify(forward)}`);
		await tab.press("PageDown");
		await tab.until(`/^pass 2 over the odd ports/.test(${CURRENT})`);
		// The lines of the script have the same keys.
		await tab.value("document.querySelector('.lines').focus()");
		await tab.press("ArrowLeft");
		await tab.until(`/^port 400/.test(${CURRENT})`);
		await tab.press("ArrowUp");
		await headline(/^socket/);
	});

	it("plays an example in another version, and marks what differs in a second one", async () => {
		await open(pageOf("versions", null));
		await tab.value(choose("example", "backport"));
		await headline(/connect\(\) succeeds/);
		await tab.until("document.querySelector('.line.differs')");
		expect(await tab.value("document.querySelector('.line.differs').textContent")).toContain(
			"6.12: EADDRNOTAVAIL",
		);
		await tab.value(click(".line.differs"));
		await tab.until("document.querySelector('.beside')");
		expect(await tab.value("document.querySelector('.beside').textContent")).toContain(
			"fastreuse-recomputed",
		);
		await tab.value(choose("version", "6.12"));
		await headline(/connect\(\) fails with EADDRNOTAVAIL/);
		await tab.until("/The same version/.test(document.querySelector('.comparison').textContent)");
	});

	it("plays an edited script, and shows a mistake at its place", async () => {
		await open(
			pageOf("edit", `socket(AF_INET, SOCK_STREAM, 0)\nbind(3, ${at("127.0.0.1", 5000)})\n`),
		);
		expect(await headline(/bind/)).toBe("bind() succeeds: port 5000");
		await tab.value(click(".script .bar button:last-child"));
		const edit = (text: string) =>
			tab.value(`(() => { const area = document.querySelector('textarea');
			area.value = ${JSON.stringify(text)}; area.dispatchEvent(new Event('input')); })()`);
		await edit(
			`socket(AF_INET, SOCK_STREAM, 0)\nbind(3, ${at("127.0.0.1", 5000)})\nlisten(3, x y)\n`,
		);
		await tab.until("document.querySelector('.mistake-bar')?.textContent");
		const said = await tab.value("document.querySelector('.mistake-bar').textContent");
		expect(said).toMatch(/^Line 3, column [0-9]+: expected .*, found 'y'$/);
		const gutter =
			"[...document.querySelectorAll('.gutter .result')].map((each) => each.textContent)";
		// The lines above the mistake are played, after the mistake is shown.
		await tab.until(`${gutter}.includes("! mistake")`);
		expect(await tab.value(gutter)).toEqual(["= 3", "= 0", "! mistake", ""]);
		await tab.value(click(".mistake-bar button"));
		expect(await tab.value("document.querySelector('textarea').selectionStart")).toBeGreaterThan(
			100,
		);
		await edit(`socket(AF_INET, SOCK_STREAM, 0)\nbind(3, ${at("192.0.2.1", 5000)})\n`);
		await headline(/bind\(\) fails with EADDRNOTAVAIL/);
		// The line of the cursor is the one that is looked at.
		await tab.value("document.querySelector('textarea').setSelectionRange(0, 0)");
		await tab.press("ArrowRight");
		await headline(/socket\(\) succeeds/);
		expect(await tab.value("document.querySelector('.mistake-bar').hidden")).toBe(true);
	});

	it("goes from failure to failure, and shows the range that fits each line", async () => {
		const socket = "socket(AF_INET, SOCK_STREAM, 0)";
		const lines = [socket, `bind(3, ${at("192.0.2.1", 5000)})`, `bind(3, ${at("127.0.0.1", 0)})`];
		await open(pageOf("next", `${[...lines, `bind(3, ${at("127.0.0.1", 5000)})`].join("\n")}\n`));
		const line = "document.querySelector('.line[aria-selected=true]').dataset.line";
		const scope = "document.getElementById('scope').value";
		expect([await tab.value(line), await tab.value(scope)]).toEqual(["2", "namespace"]);
		const next = click(".script .bar button");
		await tab.value(next);
		await tab.until(`${line} === '4' && /EINVAL/.test(${HEADLINE})`);
		await tab.value(next);
		await tab.until(`${line} === '2' && /EADDRNOTAVAIL/.test(${HEADLINE})`);
		await tab.value("document.querySelector('.lines').focus()");
		await tab.press("ArrowDown");
		await headline(/succeeds/);
		expect(await tab.value(scope)).toBe("search");
	});

	it("opens a file, and begins a script of one's own", async () => {
		await open(pageOf("file", null));
		const script = join(folder, "chosen.strace");
		writeFileSync(script, `socket(AF_INET, SOCK_STREAM, 0)\nbind(3, ${at("127.0.0.1", 7000)})\n`);
		await tab.chooseFile("#file", script);
		expect(await headline(/7000/)).toBe("bind() succeeds: port 7000");
		expect(await tab.value("document.querySelector('.script h2').textContent")).toBe(
			"chosen.strace",
		);
		await tab.value(choose("example", ""));
		await tab.until("document.activeElement?.tagName === 'TEXTAREA'");
		await tab.send("Input.insertText", { text: "socket(AF_INET, SOCK_DGRAM, 0)" });
		await tab.until(
			"[...document.querySelectorAll('.gutter .result')].some((each) => each.textContent === '= 3')",
		);
		await tab.value(press("New script"));
		await tab.until("!/SOCK_DGRAM/.test(document.activeElement?.value ?? 'SOCK_DGRAM')");
	});

	it("shows all steps of a short search, and leads from a port to its step", async () => {
		const client = (fd: number) =>
			`socket(AF_INET, SOCK_STREAM|SOCK_NONBLOCK, 0)\nconnect(${fd}, ${at("198.51.100.1", 80)})\n`;
		const setUp = `$ ip addr add 192.0.2.10/32 dev lo
$ ip route add default dev lo
$ sysctl -w net.ipv4.ip_local_port_range="40000 40001"
`;
		await open(pageOf("steps", setUp + [3, 4, 5].map(client).join("")));
		expect(await tab.value(HEADLINE)).toBe("connect() fails with EADDRNOTAVAIL");
		const count = await tab.value<number>("document.querySelectorAll('.steps li').length");
		expect(`/ ${count}`).toBe(
			await tab.value("document.querySelector('.place').textContent.slice(-3)"),
		);
		await tab.value("document.querySelector('.canvas').focus()");
		await tab.press("Home");
		await tab.until(`/^.?port 40000/.test(${CURRENT})`);
		// Without a focus the keys are those of the lines.
		await tab.value("document.activeElement.blur()");
		await tab.press("Home");
		await tab.until("document.querySelector('.lines [aria-selected=true]')?.dataset.line === '1'");
	});

	it("gives a link that holds script, versions and seed", async () => {
		await open(pageOf("link", `socket(AF_INET, SOCK_STREAM, 0)\nbind(3, ${at("127.0.0.1", 0)})\n`));
		await tab.value(choose("version", "6.12"));
		await tab.value(choose("seed", "7"));
		await tab.until(`${READY} && /bind.. succeeds/.test(${HEADLINE})`);
		const before = await tab.value(HEADLINE);
		await tab.value(press("Copy link"));
		await tab.until("location.hash.startsWith('#s=')");
		const url = await tab.value<string>("location.href");
		await tab.close();
		// The empty playground shows the same.
		const [, fragment] = url.split("#");
		await open(`${pageOf("linked", null)}#${fragment}`);
		expect(await headline(/bind/)).toBe(before);
		expect(await tab.value("document.getElementById('version').value")).toBe("6.12");
		expect(await tab.value("document.getElementById('seed').value")).toBe("7");
	});

	it("plays with what is known beside the script, and puts it into the link", async () => {
		const script = `socket(AF_INET, SOCK_STREAM, 0)\nbind(3, ${at("127.0.0.1", 80)})\n`;
		await open(pageOf("setting", script, "--uid", "1000", "--alone"));
		expect(await headline(/bind/)).toBe("bind() fails with EACCES");
		expect(await tab.value("document.querySelector('.summary').textContent")).toContain(
			"user 1000, alone in its network namespace",
		);
		await tab.value(press("Copy link"));
		await tab.until("location.hash.startsWith('#s=')");
		const [, fragment] = (await tab.value<string>("location.href")).split("#");
		await tab.close();
		await open(`${pageOf("setting-linked", null)}#${fragment}`);
		expect(await headline(/bind/)).toBe("bind() fails with EACCES");
		// An example is played without it.
		await tab.value(choose("example", "exhausted"));
		await headline(/connect/);
		expect(await tab.value("document.querySelector('.summary').textContent")).not.toContain("user");
	});

	it("shows markup of a script as text", async () => {
		const attack = "<img src=x onerror=alert(1)></script><script>window.hacked=1</script>";
		const script = [
			`# ${attack}\u2028\u2029`,
			`socket(AF_INET, SOCK_STREAM, 0) = 3`,
			`setsockopt(3, SOL_SOCKET, SO_BINDTODEVICE, "<b>${"x".repeat(9)}", 13)`,
			`bind(3, ${at("127.0.0.1", 5000)}) = -1 EADDRINUSE (${attack})`,
			`<!-- ${attack}`,
			"",
		].join("\n");
		await open(pageOf("attack", script));
		expect(await tab.value("window.hacked")).toBeUndefined();
		const parts = "document.querySelectorAll('main img, main script, main b, main style').length";
		expect(await tab.value(parts)).toBe(0);
		expect(await tab.value(ROWS)).toContainEqual(expect.stringContaining("<img src=x"));
	});

	it("draws a search over the whole range, and a port of it closely", async () => {
		const fill = [
			"$ sysctl -w net.ipv4.ip_local_reserved_ports=32768-60990",
			"socket(AF_INET, SOCK_STREAM, 0)",
			`bind(3, ${at("127.0.0.1", 0)})`,
		];
		await open(pageOf("whole", `${fill.join("\n")}\n`));
		expect(await headline(/bind/)).toMatch(/^bind\(\) succeeds: port 609/);
		const size = "document.querySelector('.canvas canvas').width";
		expect(await tab.value(size)).toBeGreaterThan(300);
		const legend = await tab.value("document.querySelector('.legend').textContent");
		expect(legend).toContain("reserved 28,223");
		await tab.value("document.querySelector('.as-text summary').click()");
		await tab.until("document.querySelectorAll('.as-text li').length > 1");
		expect(await tab.value("document.querySelector('.as-text li').textContent")).toBe(
			"ports 32768-60990: reserved",
		);
		await tab.value("document.querySelector('.canvas').focus()");
		await tab.press("Home");
		await tab.until("/^Port 32768 reserved/.test(document.querySelector('.port h3').textContent)");
		await tab.press("ArrowRight");
		await tab.until("/^Port 32769 reserved/.test(document.querySelector('.port h3').textContent)");
	});

	it("plays 100,000 lines while it answers", async () => {
		const calls = ["socket(AF_INET, SOCK_STREAM, IPPROTO_TCP) = 3", `close(3) = 0`];
		const script = `${Array.from({ length: 50_000 }, () => calls.join("\n")).join("\n")}\n`;
		tab = await Tab.open(browser);
		await tab.go(pageOf("long", script));
		await tab.until("document.querySelector('.line')");
		// The lines are there before the play has ended, and only some of them.
		expect(await tab.value("document.querySelectorAll('.line').length")).toBeLessThan(100);
		let answered = 0;
		while ((await tab.value(READY)) !== true && answered < 5000) answered++;
		await tab.until(READY);
		await tab.value("document.querySelector('.lines').focus()");
		await tab.press("End");
		await tab.until("document.querySelector('#line-100000 .result')?.textContent === '= 0'");
		const before = await tab.value("document.querySelector('.summary').textContent");
		expect(before).toContain("100,000 lines");
	});

	it("works where workers are forbidden", async () => {
		tab = await Tab.open(browser);
		await tab.send("Page.addScriptToEvaluateOnNewDocument", {
			source: "window.Worker = class { constructor() { throw new Error('forbidden'); } };",
		});
		await tab.go(pageOf("slices", null));
		expect(await headline(/connect/)).toBe("connect() fails with EADDRNOTAVAIL");
	});
});
