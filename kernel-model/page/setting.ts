// SPDX-License-Identifier: GPL-2.0-or-later
/** What is known beside the script: the options --uid, --alone and --host of `run`. */

/** A file about the host, with its text. */
export interface HostText {
	file: string;
	text: string;
}

export interface Setting {
	/** The user who makes the calls; null if the recording shows it. */
	uid: number | null;
	/** The program had a network namespace of its own. */
	alone: boolean;
	/** Outputs of ip, ss and sysctl from before the recording. */
	host: readonly HostText[];
}

/** Nothing is known. */
export const NO_SETTING: Setting = { uid: null, alone: false, host: [] };

export function isPlain({ uid, alone, host }: Setting): boolean {
	return uid === null && !alone && host.length === 0;
}

/** "user 1000, alone in its namespace, host from ss.txt"; "" if nothing is known. */
export function settingWords({ uid, alone, host }: Setting): string {
	return [
		...(uid === null ? [] : [`user ${uid}`]),
		...(alone ? ["alone in its network namespace"] : []),
		...(host.length === 0 ? [] : [`host from ${host.map(({ file }) => file).join(", ")}`]),
	].join(", ");
}
