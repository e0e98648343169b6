// SPDX-License-Identifier: GPL-2.0-or-later
/** The files that a script may open: the settings of its network namespace. */

const FOLDER = "/proc/sys/net/";

/** The expected path, for an error. */
export const SYSCTL_PATH = `the path of a file below ${FOLDER}, without "." and ".."`;

/** Whether a path is a normalised path below /proc/sys/net/: no component is empty, "." or "..". */
export function isSysctlPath(path: string): boolean {
	if (!path.startsWith(FOLDER) || path.includes("\0")) return false;
	const parts = path.slice(FOLDER.length).split("/");
	return parts.every((part) => part !== "" && part !== "." && part !== "..");
}
