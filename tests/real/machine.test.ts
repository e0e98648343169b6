// SPDX-License-Identifier: GPL-2.0-or-later
/** Virtual machines: if one part is killed at some time, no other part stays. */
import { spawn, spawnSync } from "node:child_process";
import {
	existsSync,
	mkdirSync,
	mkdtempSync,
	readdirSync,
	readFileSync,
	rmSync,
	writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterAll, describe, expect, it } from "vitest";
import { AgentError, agentBinary, cacheFolder } from "../../kernel-model/real/agent/agent.js";
import { startMachine } from "../../kernel-model/real/vm/machine.js";
import { descendants, isAlive, until } from "./processes.js";

const MAIN = fileURLToPath(new URL("../../dist/kernel-model/cli/main.js", import.meta.url));
const IMAGE = "6.1";

/** Why no machine can be booted here, null if it can. */
function obstacle(): string | null {
	for (const tool of ["qemu-system-x86_64", "cc"])
		if (spawnSync("sh", ["-c", `command -v ${tool}`]).status !== 0) return `no ${tool}`;
	const images = join(cacheFolder(), "images");
	const there = existsSync(images) && readdirSync(images).some((name) => name.startsWith(IMAGE));
	return there ? null : `no image of ${IMAGE} in the cache (images.sh get ${IMAGE})`;
}
const missing = obstacle();
const skipped = missing === null ? "" : `: skipped, ${missing}`;

const folder = mkdtempSync(join(tmpdir(), "inet-port-model-machine-"));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

const nameOf = (pid: number): string => {
	try {
		return readFileSync(`/proc/${pid}/comm`, "utf8").trim();
	} catch {
		return "";
	}
};
const qemu = (pids: readonly number[]) => pids.find((pid) => nameOf(pid).startsWith("qemu"));

describe.skipIf(missing !== null)(
	`no process and no file of a virtual machine stays${skipped}`,
	() => {
		it("when the emulator is killed, and the next request to the agent fails with one line", async () => {
			const before = new Set(descendants(process.pid));
			const agent = await startMachine(IMAGE);
			const parts = descendants(process.pid).filter((pid) => !before.has(pid));
			const emulator = qemu(parts);
			expect(emulator).toBeDefined();
			process.kill(emulator ?? 0, "SIGKILL");
			const asked = agent.request("hello");
			await expect(asked).rejects.toThrow(AgentError);
			await expect(asked).rejects.toThrow(/^agent: [^\n]+$/);
			expect(await until(() => parts.every((pid) => !isAlive(pid)))).toBe(true);
		});

		const temporary = join(folder, "tmp");
		const script = join(folder, "sleeps.strace");
		writeFileSync(script, "$ sleep 3600\n");
		mkdirSync(temporary);
		it.each(["SIGTERM", "SIGINT", "SIGKILL"] as const)(
			"when %s ends live while the machine boots",
			async (signal) => {
				agentBinary(true); // Compiles the agent first, so no compiler is among its processes.
				const child = spawn(process.execPath, [MAIN, "live", "--image", IMAGE, script], {
					stdio: "ignore",
					env: { ...process.env, TMPDIR: temporary },
				});
				const pid = child.pid ?? 0;
				expect(await until(() => qemu(descendants(pid)) !== undefined)).toBe(true);
				const parts = descendants(pid);
				child.kill(signal);
				expect(await until(() => parts.every((part) => !isAlive(part)))).toBe(true);
				expect(readdirSync(temporary)).toEqual([]);
			},
		);

		it("when the disk is full before the initramfs is complete, and the error says so", () => {
			if (spawnSync("unshare", ["-rm", "true"]).status !== 0) return;
			const disk = join(folder, "disk");
			mkdirSync(disk);
			// The images and the agent exist, but there is no room for another file.
			const cache = cacheFolder();
			const command =
				`mount -t tmpfs -o size=64m none ${disk} && mkdir -p ${disk}/inet-port-model/images && ` +
				`mount --bind ${cache}/images ${disk}/inet-port-model/images && cp ${agentBinary(true)} ${disk}/inet-port-model/ && ` +
				`dd if=/dev/zero of=${disk}/full bs=64k 2>/dev/null; XDG_CACHE_HOME=${disk} TMPDIR=${disk} ` +
				`${process.execPath} ${MAIN} live --image ${IMAGE} ${script}; echo $?; find ${disk} -name 'initrd*' -o -name '.new*'`;
			const done = spawnSync("unshare", ["-rm", "sh", "-c", command], { encoding: "utf8" });
			expect(done.stderr).toMatch(/^inet-port-model: [^\n]*(ENOSPC|No space)[^\n]*\n$/i);
			expect(done.stdout).toBe("2\n");
		});
	},
);
