// SPDX-License-Identifier: GPL-2.0-or-later
/** The page for everybody: names, focus, contrast, a narrow screen. */
import { spawnSync } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath, pathToFileURL } from "node:url";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { Chromium, findChromium, Tab } from "./chromium.js";

const MAIN = fileURLToPath(new URL("../../dist/kernel-model/cli/main.js", import.meta.url));
const path = findChromium();
const skipped = path === null ? ": skipped, no Chromium is installed" : "";
const folder = mkdtempSync(join(tmpdir(), "inet-port-model-access-"));

/** The elements with text whose contrast with their background is too low (WCAG 1.4.3). */
const CONTRAST = `(() => {
	const parse = (colour) => {
		const canvas = document.createElement('canvas').getContext('2d', { willReadFrequently: true });
		canvas.fillStyle = colour;
		canvas.fillRect(0, 0, 1, 1);
		return [...canvas.getImageData(0, 0, 1, 1).data];
	};
	const channel = (c) => (c /= 255) <= 0.03928 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4;
	const light = ([r, g, b]) => 0.2126 * channel(r) + 0.7152 * channel(g) + 0.0722 * channel(b);
	const over = (top, below) => top.map((c, i) => i === 3 ? 255 :
		(c * top[3] + below[i] * (255 - top[3])) / 255);
	const backgroundOf = (element) => {
		const layers = [];
		for (let at = element; at !== null; at = at.parentElement) {
			layers.push(parse(getComputedStyle(at).backgroundColor));
		}
		return layers.reverse().reduce((below, top) => over(top, below), [255, 255, 255, 255]);
	};
	const poor = [];
	for (const element of document.querySelectorAll('body *')) {
		const text = [...element.childNodes].some((node) => node.nodeType === 3 && node.data.trim());
		const box = element.getBoundingClientRect();
		if (!text || box.width < 2 || box.height < 2 || element.closest('script, style, dialog, .unseen, option')) continue;
		const back = backgroundOf(element);
		const [one, other] = [light(over(parse(getComputedStyle(element).color), back)), light(back)];
		const ratio = (Math.max(one, other) + 0.05) / (Math.min(one, other) + 0.05);
		if (ratio < 4.5) poor.push(element.className + ' ' + element.textContent.slice(0, 30) + ' ' + ratio.toFixed(2));
	}
	return poor;
})()`;

/** The controls without a name for screen readers. */
const NAMELESS = `[...document.querySelectorAll('button, input, select, textarea, summary, [role], canvas')]
	.filter((element) => element.closest('[hidden]') === null)
	.filter((element) => !['CANVAS'].includes(element.tagName) || element.closest('[aria-label]') === null)
	.filter((element) => !(element.getAttribute('aria-label') || element.labels?.length ||
		element.textContent.trim() || ['presentation', 'alert', 'status'].includes(element.getAttribute('role'))))
	.map((element) => element.outerHTML.slice(0, 100))`;

describe.skipIf(path === null)(`everybody can use the page${skipped}`, () => {
	let browser: Chromium;
	const html = join(folder, "page.html");
	beforeAll(() => {
		browser = new Chromium(path ?? "");
		const { status } = spawnSync(process.execPath, [MAIN, "page", "-o", html]);
		expect(status).toBe(0);
	});
	afterAll(async () => {
		await browser.close();
		rmSync(folder, { recursive: true, force: true });
	});

	const open = async (width: number, height: number, dark = false) => {
		const tab = await Tab.open(browser, width, height, dark);
		await tab.go(pathToFileURL(html).href);
		await tab.until("document.querySelector('.steps [aria-current]')");
		await tab.until("document.querySelector('.port h3')");
		return tab;
	};

	it.each([
		["light", false],
		["dark", true],
	])("all text stands out from its background, %s", async (_, dark) => {
		const tab = await open(1280, 800, dark);
		expect(await tab.value(CONTRAST)).toEqual([]);
		const dense = "document.querySelectorAll('body *').length";
		expect(await tab.value(dense)).toBeGreaterThan(200);
		await tab.close();
	});

	it("every control has a name", async () => {
		const tab = await open(1280, 800);
		expect(await tab.value(NAMELESS)).toEqual([]);
		await tab.close();
	});

	it("the Tab key reaches the controls in the order in which they stand", async () => {
		const tab = await open(1280, 800);
		const places: string[] = [];
		for (let i = 0; i < 40; i++) {
			await tab.press("Tab");
			const place = await tab.value<string>(
				"(({ id, className, title, ariaLabel, textContent }) => id || title || ariaLabel || className || textContent)(document.activeElement)",
			);
			if (places.includes(place)) continue;
			places.push(place);
		}
		const order = [
			"example",
			"version",
			"beside",
			"seed",
			"Lines of the script",
			"First step (Home)",
		];
		const found = order.map((place) => places.indexOf(place));
		expect(found).not.toContain(-1);
		expect([...found].sort((a, b) => a - b)).toEqual(found);
		expect(places).toContain("Step of the search");
		expect(places).toContain("Port of the range");
		await tab.close();
	});

	it("a line and a step are read out", async () => {
		const tab = await open(1280, 800);
		const live = "document.querySelector('[aria-live=polite]').textContent";
		expect(await tab.value(live)).toBe("Line 29: connect() fails with EADDRNOTAVAIL");
		await tab.value("document.querySelector('.lines').focus()");
		await tab.press("ArrowLeft");
		await tab.until(
			`/^port 400[0-9]+: the four-tuple is in use .*__inet_check_established$/.test(${live})`,
		);
		const active = "document.querySelector('.lines').getAttribute('aria-activedescendant')";
		expect(await tab.value(active)).toBe("line-29");
		await tab.close();
	});

	it.each([360, 390, 768, 1280])("nothing is wider than a screen of %d pixels", async (width) => {
		const tab = await open(width, 800);
		const wide = `[...document.querySelectorAll('body *')]
			.filter((element) => !element.closest('.scrolls, .lines, .editor, pre, dialog, .unseen, .steps li'))
			.filter((element) => element.getBoundingClientRect().right > innerWidth + 0.5)
			.map((element) => element.className || element.tagName)`;
		expect(await tab.value("document.documentElement.scrollWidth")).toBe(width);
		expect(await tab.value(wide)).toEqual([]);
		await tab.close();
	});
});
