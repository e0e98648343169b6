// SPDX-License-Identifier: GPL-2.0-or-later
/** The page runs in a browser: what it imports may not import from Node.js. */
import { readFileSync } from "node:fs";
import { dirname, join, normalize } from "node:path";
import { fileURLToPath } from "node:url";
import { expect, it } from "vitest";

const ROOT = fileURLToPath(new URL("../..", import.meta.url));
const IMPORT = /\b(?:import|export)\b[^;]*?\bfrom\s+"([^"]+)"|\bimport\s*\(?\s*"([^"]+)"/g;

/** Every file that a file imports, at any depth, and the modules that are no files. */
function walk(entry: string): { files: Set<string>; modules: string[] } {
	const files = new Set([entry]);
	const modules: string[] = [];
	for (const file of files) {
		for (const [, from, bare] of readFileSync(join(ROOT, file), "utf8").matchAll(IMPORT)) {
			const path = from ?? bare ?? "";
			if (!path.startsWith(".")) modules.push(`${file} imports ${path}`);
			else files.add(normalize(join(dirname(file), path.replace(/\.js$/, ".ts"))));
		}
	}
	return { files, modules };
}

it("nothing that the page needs imports from Node.js or from a package", () => {
	const page = walk("kernel-model/page/view/main.ts");
	const model = walk("kernel-model/page/view/program.ts");
	expect([...page.modules, ...model.modules]).toEqual([]);
	expect([...page.files]).toContain("kernel-model/page/view/header.ts");
	expect([...model.files]).toContain("net/ipv4/inet_hashtables.ts");
	expect([...model.files]).toContain("kernel-model/check/search.ts");
});

it("only the snapshots ask whether there is a Buffer", () => {
	const { files } = walk("kernel-model/page/view/program.ts");
	const users = [...files].filter((file) =>
		/\bBuffer\./.test(
			readFileSync(join(ROOT, file), "utf8").replace(/\/\*[\s\S]*?\*\/|\/\/.*/g, ""),
		),
	);
	expect(users).toEqual(["kernel-model/machine/snapshot.ts"]);
});
