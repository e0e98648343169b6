// SPDX-License-Identifier: GPL-2.0-or-later
/** Kernels for virtual machines: a new series in Debian's list of packages is picked up. */
import { spawnSync } from "node:child_process";
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { gunzipSync } from "node:zlib";
import { afterAll, afterEach, describe, expect, it } from "vitest";
import { AgentError } from "../../kernel-model/real/agent/agent.js";
import { debianSeries, machineCommand } from "../../kernel-model/real/vm/machine.js";

const SCRIPT = fileURLToPath(new URL("../../kernel-model/real/vm/images.sh", import.meta.url));
const MAIN = fileURLToPath(new URL("../../dist/kernel-model/cli/main.js", import.meta.url));
const EXACT = fileURLToPath(new URL("../recordings/exact/7.3.strace.gz", import.meta.url));

const cache = mkdtempSync(join(tmpdir(), "inet-port-model-images-"));
const folder = join(cache, "inet-port-model", "images");
mkdirSync(folder, { recursive: true });
const usual = process.env.XDG_CACHE_HOME;
afterAll(() => rmSync(cache, { recursive: true, force: true }));
afterEach(() => {
	if (usual === undefined) delete process.env.XDG_CACHE_HOME;
	else process.env.XDG_CACHE_HOME = usual;
});

/** Makes the list of packages: VERSION PACKAGE SIZE a line. It is new, so none is fetched. */
function packages(...lines: string[]): void {
	const text = lines.map((line) => `${line} ${"0".repeat(64)} pool/none.deb\n`).join("");
	writeFileSync(join(folder, "index"), text);
	process.env.XDG_CACHE_HOME = cache;
}

const LIST = [
	"6.12.118-1 linux-image-6.12.118+deb13-cloud-amd64 34000000",
	"6.1.192-2 linux-image-6.1.0-56-cloud-amd64 26000000",
	"6.1.176-1 linux-image-6.1.0-50-cloud-amd64 26000000",
	"10.0.2-1~bpo15+1 linux-binary-10.0.2+deb15-cloud-amd64 13000000",
	"7.10.2-1~bpo13+1 linux-binary-7.10.2+deb13-cloud-amd64 13000000",
	"7.9.4-1~bpo13+1 linux-binary-7.9.4+deb13-cloud-amd64 13000000",
	"7.9.4-1~bpo13+1 linux-modules-7.9.4+deb13-cloud-amd64 60000000",
	"7.9.3-1~bpo13+1 linux-binary-7.9.3+deb13-cloud-amd64 13000000",
];

describe("images.sh finds the series in the list of packages", () => {
	it("of every number from 6.1 on, oldest first, with the newest release of each", () => {
		packages(...LIST);
		const { stdout, status } = spawnSync(SCRIPT, ["--cache", folder, "list"], { encoding: "utf8" });
		expect(stdout.split("\n")).toEqual([
			"6.1 6.1.192-2 linux-image-6.1.0-56-cloud-amd64",
			"6.12 6.12.118-1 linux-image-6.12.118+deb13-cloud-amd64",
			"7.9 7.9.4-1~bpo13+1 linux-binary-7.9.4+deb13-cloud-amd64,linux-modules-7.9.4+deb13-cloud-amd64",
			"7.10 7.10.2-1~bpo13+1 linux-binary-7.10.2+deb13-cloud-amd64",
			"10.0 10.0.2-1~bpo15+1 linux-binary-10.0.2+deb15-cloud-amd64",
			"",
		]);
		expect(status).toBe(0);
		expect(debianSeries()).toEqual(["6.1", "6.12", "7.9", "7.10", "10.0"]);
	});

	it("without older ones, metapackages, candidates, and modules that have no image", () => {
		packages(
			"5.10.220-1 linux-image-5.10.0-31-cloud-amd64 26000000",
			"6.0.12-1 linux-image-6.0.0-6-cloud-amd64 26000000",
			"6.12.118-1 linux-image-6.12-cloud-amd64 1512",
			"7.8.1-1 linux-modules-7.8.1+deb13-cloud-amd64 60000000",
			"7.11~rc3-1~exp1 linux-binary-7.11~rc3-cloud-amd64 13000000",
			"7.9.4-1~bpo13+1 linux-binary-7.9.4+deb13-cloud-amd64 13000000",
		);
		expect(debianSeries()).toEqual(["7.9"]);
	});

	it("and names them when another one is asked for", () => {
		packages(...LIST);
		expect(() => machineCommand("7.8")).toThrow(
			new AgentError(
				"image 7.8: Debian has no kernel 7.8; it has the series 6.1 6.12 7.9 7.10 10.0",
			),
		);
		expect(() => machineCommand("7.x")).toThrow(
			"image 7.x: 7.x is no series such as 6.12, and no release of one",
		);
	});
});

describe("a kernel of a series that is newer than the model", () => {
	const replayed = (series: string) => {
		const text = gunzipSync(readFileSync(EXACT)).toString();
		const file = join(cache, `${series}.strace`);
		writeFileSync(file, text.replaceAll("# kernel 7.3.", `# kernel ${series}.`));
		return spawnSync(process.execPath, [MAIN, "replay", "--load", file], { encoding: "utf8" });
	};

	it("has a profile that is a guess, and replay says so once", () => {
		const { stdout, stderr, status } = replayed("7.99");
		expect(stdout).toMatch(/^7\.99\.[0-9]+ +7\.3 /m);
		expect(stderr).toMatch(
			/^kernel 7\.99\.[0-9]+: the nearest profile is 7\.3: 7\.99 is newer than every kernel that was read, so this profile is a guess until replay and fuzz confirm it\n$/,
		);
		expect(status).toBe(0);
	});

	it("and of the newest known series nothing is said", () => {
		expect(replayed("7.3").stderr).toBe("");
	});
});
