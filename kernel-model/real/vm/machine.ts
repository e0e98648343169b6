// SPDX-License-Identifier: GPL-2.0-or-later
/**
 * Virtual machines in which the agent is /init. boot.sh boots them. images.sh provides their
 * kernels.
 */
import { spawnSync } from "node:child_process";
import { createHash } from "node:crypto";
import { existsSync, readdirSync, readFileSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { join, resolve } from "node:path";
import { fileURLToPath } from "node:url";
import { Agent, AgentError, agentBinary, cacheFolder } from "../agent/agent.js";
import { startSystem } from "../systems.js";

/** Time limit for an answer, ms. The machine has to boot, perhaps on a busy host. */
const PATIENCE = 120_000;
/** Most attempts to boot. On a busy host a kernel may panic because its checks of clocks fail. */
const BOOTS = 3;

/** The path of a shell script: beside this file, or in the sources if this file is in dist/. */
function scriptFile(name: string): string {
	for (const path of [`./${name}`, `../../../../kernel-model/real/vm/${name}`]) {
		const file = fileURLToPath(new URL(path, import.meta.url));
		if (existsSync(file)) return file;
	}
	throw new AgentError(`${name}: not found beside the program`);
}

/** One file of an initramfs, in cpio's newc format. */
function member(name: string, mode: number, data: Uint8Array): Buffer[] {
	const path = Buffer.from(`${name}\0`);
	const fields = [0, mode, 0, 0, 1, 0, data.length, 0, 0, 0, 0, path.length, 0];
	const header = `070701${fields.map((n) => n.toString(16).padStart(8, "0")).join("")}`;
	const padding = (length: number) => Buffer.alloc((4 - (length % 4)) % 4);
	return [
		Buffer.from(header),
		path,
		padding(header.length + path.length),
		Buffer.from(data),
		padding(data.length),
	];
}

/** Removes incomplete files of killed processes. Their names end with a pid. */
function removeParts(folder: string): void {
	for (const name of readdirSync(folder)) {
		const pid = /^initrd-\w+\.cpio\.([0-9]+)$/.exec(name)?.[1];
		if (pid !== undefined && !existsSync(`/proc/${pid}`))
			rmSync(join(folder, name), { force: true });
	}
}

/** Makes an initramfs with the agent and modules. `folder` is "-" if there are no modules. */
function initramfs(folder: string): string {
	const parts = member("init", 0o100755, readFileSync(agentBinary(true)));
	if (folder !== "-") {
		parts.push(...member("modules", 0o040755, Buffer.alloc(0)));
		for (const name of readdirSync(folder).sort())
			parts.push(...member(`modules/${name}`, 0o100644, readFileSync(join(folder, name))));
	}
	parts.push(...member("TRAILER!!!", 0, Buffer.alloc(0)));
	const archive = Buffer.concat(parts);
	const digest = createHash("sha256").update(archive).digest("hex").slice(0, 16);
	const cache = cacheFolder();
	const file = join(cache, `initrd-${digest}.cpio`);
	if (!existsSync(file)) {
		const part = `${file}.${process.pid}`;
		try {
			removeParts(cache);
			writeFileSync(part, archive);
			renameSync(part, file);
		} catch (error) {
			rmSync(part, { force: true });
			throw new AgentError(`initramfs: ${error instanceof Error ? error.message : error}`);
		}
	}
	return file;
}

const quoted = (word: string) => `'${word.replaceAll("'", "'\\''")}'`;

/** What images.sh prints. Throws AgentError with its last line of errors, after `what`. */
function images(what: string, ...words: string[]): string {
	// If the usual cache cannot be used, images go to cacheFolder().
	const cache = join(cacheFolder(), "images");
	const got = spawnSync(scriptFile("images.sh"), ["--cache", cache, ...words], {
		encoding: "utf8",
		stdio: ["ignore", "pipe", "pipe"],
	});
	if (got.status === 0) return (got.stdout ?? "").trim();
	const said = (got.stderr ?? "").trim().split("\n").at(-1) || "images.sh failed";
	throw new AgentError(`${what}: ${said.replace(/^images.sh: /, "")}`);
}

/**
 * The series of kernels in Debian's list of packages from 6.1 on, oldest first. The list may be a
 * day old. Throws AgentError if there is none.
 */
export function debianSeries(): string[] {
	const lines = images("list of kernels", "list").split("\n");
	return lines.map((line) => line.split(" ", 1)[0] ?? "").filter((series) => series !== "");
}

/**
 * The command that boots an image and speaks the agent's protocol. `image` is a series such
 * as 6.12, a release of one, or a file: BZIMAGE or BZIMAGE:MODULES, a folder with the modules
 * that were built with it. Throws AgentError.
 */
export function machineCommand(image: string): string {
	const [path = "", modules] = image.split(":");
	const isFile = path.includes("/") || existsSync(path);
	const words = isFile
		? ["file", resolve(path), ...(modules === undefined ? [] : [resolve(modules)])]
		: ["get", image];
	const [, , vmlinuz = "", folder] = images(`image ${image}`, ...words).split(" ");
	if (folder === undefined) throw new AgentError(`image ${image}: images.sh failed`);
	const command = [scriptFile("boot.sh"), vmlinuz, initramfs(folder)];
	return `exec ${command.map(quoted).join(" ")}`;
}

/** Boots an image and starts its agent; see machineCommand(). Throws AgentError. */
export async function startMachine(image: string): Promise<Agent> {
	const command = machineCommand(image);
	for (let tries = BOOTS; ; tries--) {
		try {
			return await Agent.start(command, PATIENCE);
		} catch (error) {
			if (!(error instanceof AgentError) || tries === 1) throw error;
		}
	}
}

/**
 * Starts the agent: here, by --agent COMMAND, in the virtual machine of --image, or in the system of
 * --system.
 */
export async function startAgent(
	command: unknown,
	image: unknown,
	system?: unknown,
): Promise<Agent> {
	if ([command, image, system].filter((value) => value !== undefined).length > 1)
		throw new AgentError("--agent, --image or --system, only one of them");
	if (image !== undefined) return startMachine(String(image));
	if (system !== undefined) return startSystem(String(system));
	return Agent.start(command === undefined ? undefined : String(command));
}
