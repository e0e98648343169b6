// SPDX-License-Identifier: GPL-2.0-or-later
/** The files that a script may open: the settings of its network namespace. */

const FOLDER = "/proc/sys/net/";

/** What an error says that a path should be. */
export const SYSCTL_PATH = `the path of a file below ${FOLDER}, without "." and ".."`;

/** Whether a path is that of a file below /proc/sys/net/, normalised: no part empty, . or .. */
export function isSysctlPath(path: string): boolean {
	if (!path.startsWith(FOLDER) || path.includes("\0")) return false;
	const parts = path.slice(FOLDER.length).split("/");
	return parts.every((part) => part !== "" && part !== "." && part !== "..");
}
