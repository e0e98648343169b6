// SPDX-License-Identifier: GPL-2.0-or-later
/** What tests of real kernels need. */
import { spawnSync } from "node:child_process";

/** Why the agent cannot run here, null if it can. */
export function obstacle(): string | null {
	if (spawnSync("cc", ["--version"]).status !== 0) return "no C compiler (cc)";
	if (spawnSync("unshare", ["-rn", "true"]).status !== 0) return "no user namespaces (unshare -rn)";
	return null;
}
