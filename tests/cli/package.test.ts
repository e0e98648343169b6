// SPDX-License-Identifier: GPL-2.0-or-later
/** The package: what its tarball holds, and how a program loads it. */
import { spawnSync } from "node:child_process";
import { existsSync, readFileSync } from "node:fs";
import { dirname, join, normalize } from "node:path";
import { describe, expect, it } from "vitest";

interface Packed {
	files: { path: string }[];
}

const packed = spawnSync("npm", ["pack", "--dry-run", "--json", "--ignore-scripts"], {
	encoding: "utf8",
});
const [{ files } = { files: [] }] = JSON.parse(packed.stdout || "[]") as Packed[];
const paths = files.map(({ path }) => path);

describe("the tarball", () => {
	it("has the scripts that the README plays", () => {
		const shown = [...readFileSync("README.md", "utf8").matchAll(/tests\/examples\/\S+\.strace/g)];
		expect(shown.length).toBeGreaterThan(0);
		for (const [path] of shown) expect(paths).toContain(path);
	});

	it("has every picture and every page that its pages link to", () => {
		const pages = paths.filter((path) => path.endsWith(".md"));
		const missing = pages.flatMap((page) =>
			[...readFileSync(page, "utf8").matchAll(/!\[[^\]]*\]\(([^)#:]+)\)/g)]
				.map(([, to = ""]) => normalize(join(dirname(page), to)))
				.filter((path) => !paths.includes(path)),
		);
		expect(missing).toEqual([]);
	});

	it("has source maps that hold their sources", () => {
		const map = "dist/kernel-model/index.js.map";
		expect(paths).toContain(map);
		if (!existsSync(map)) return;
		const { sourcesContent } = JSON.parse(readFileSync(map, "utf8"));
		expect(sourcesContent[0]).toContain("SPDX-License-Identifier");
	});

	it("has the program and the style of the page", () => {
		expect(paths).toContain("dist/kernel-model/page/bundle/page.js");
		expect(paths).toContain("dist/kernel-model/page/bundle/model.js");
		expect(paths).toContain("dist/kernel-model/page/bundle/page.css");
	});

	it("has what the agent and the virtual machines need", () => {
		expect(paths).toContain("kernel-model/real/agent/agent.c");
		expect(paths.some((path) => path.startsWith("kernel-model/real/vm/"))).toBe(true);
	});
});

describe("a program", () => {
	const print = "console.log(typeof api.Kernel, typeof api.recordScript, typeof api.explore)";
	// Node 20.17 to 22.11 can require() an ES module only with an option.
	const [major = 0, minor = 0] = process.versions.node.split(".").map(Number);
	const requires = major > 22 || (major === 22 && minor >= 12) || (major === 20 && minor >= 19);

	it.each([
		["imports", "module", `import * as api from "inet-port-model"; ${print}`],
		["requires", "commonjs", `const api = require("inet-port-model"); ${print}`],
	])("%s the package", (_, type, text) => {
		if (type === "commonjs" && !requires) return;
		const run = spawnSync(process.execPath, [`--input-type=${type}`, "-e", text], {
			encoding: "utf8",
		});
		expect([run.stdout, run.status]).toEqual(["function function function\n", 0]);
	});
});
