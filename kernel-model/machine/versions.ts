// SPDX-License-Identifier: GPL-2.0-or-later
/**
 * Kernel versions as sets of the behaviour changes in include/linux/version.ts. Ported code
 * asks for a change by name (`k.changes.has(...)`); only this file knows versions.
 */
import { type BehaviourChange, CHANGES, type ChangeName } from "../../include/linux/version.js";

/** A version that can be modelled. */
export interface KernelVersion {
	/** Its name in `--kernel` and `new Kernel({ version })`. */
	name: string;
	description: string;
	/** Names of CHANGES that it has. */
	has: readonly string[];
}

/** The numbers of a release: [6, 12, 107] for "6.12.107". */
function numbers(release: string): [number, number, number] {
	const [a = 0, b = 0, c = 0] = release.split(/[.-]/).map((part) => Number.parseInt(part, 10) || 0);
	return [a, b, c];
}

/** Below 0 if a release is older than another one, above 0 if it is newer. */
export function compareReleases(one: string, other: string): number {
	const [a, b] = [numbers(one), numbers(other)];
	return a[0] - b[0] || a[1] - b[1] || a[2] - b[2];
}

/** The series of a release: "6.12" for "6.12.107". */
export function seriesOf(release: string): string {
	const [major, minor] = numbers(release);
	return `${major}.${minor}`;
}

/** The changes of a release. A stable release also has the changes that its series got by then. */
function changesSince(release: string): string[] {
	const series = seriesOf(release);
	const backported = (first: string) =>
		seriesOf(first) === series && compareReleases(first, release) <= 0;
	return CHANGES.filter(
		({ since, backports }) =>
			(since !== null && compareReleases(since, series) <= 0) || backports.some(backported),
	).map(({ name }) => name);
}

const BASE: KernelVersion = {
	name: "6.3",
	description: "the commit that added the option, 91d0b78c5177 (the default)",
	has: [...changesSince("6.2"), "ip-local-port-range"],
};

const STABLE: Readonly<Record<string, string>> = {
	"6.1.176": "stable, with the option and later fixes",
	"6.1.189": "stable (Debian 12), with 6.15's mptcp-connect-ignores-fin",
	"6.3.0": "mainline, the release: with a fix that is younger than the commit",
	"6.3.8": "stable, with 6.4's tcp-disconnect-busy and ip-protocol-option",
	"6.11.11": "stable, with 6.12's sctp-listen-resets-state",
	"6.12.107": "stable (Debian 13)",
	"6.12.118": "stable (Debian 13), with datagram-connect-keeps-device",
	"6.13.7": "stable, with 6.14's backlog-zero-holds-one",
	"6.16.12": "stable, with 6.17's orphan-uid",
	"6.17.8": "stable, with 6.18's fastreuse-recomputed",
	"6.17.13": "stable, with 6.18's mptcp-fastclose-once",
	"6.18.5": "stable, with 6.19's mptcp-disconnect-resets",
	"6.18.44": "stable, with 7.0's UDP fix",
	"6.19.14": "stable, with 7.0's UDP fix",
	"7.0.13": "stable, with 7.1's mptcp-linger-zero-aborts",
	"7.2.12": "stable, with 7.3's udp-hash4-reconnect",
};

const RELEASES =
	"6.1.176 6.1.189 6.3.0 6.3.8 6.4 6.5 6.6 6.8 6.9 6.10 6.11 6.11.11 6.12 6.12.107 6.12.118 6.13 6.13.7 6.14 6.15 6.16 6.16.12 6.17 6.17.8 6.17.13 6.18 6.18.5 6.18.44 6.19 6.19.14 7.0 7.0.13 7.1 7.2 7.2.12 7.3";

/** Every version that can be modelled, oldest first. */
export const VERSIONS: readonly KernelVersion[] = [
	BASE,
	...RELEASES.split(" ").map((name) => ({
		name,
		description: STABLE[name] ?? "mainline",
		has: changesSince(name),
	})),
].sort((a, b) => compareReleases(a.name, b.name));

/** The names of all versions, oldest first. */
export const VERSION_NAMES: readonly string[] = VERSIONS.map(({ name }) => name);

/**
 * The version to model for a kernel with this `uname -r`: the newest known release of its series
 * that is not newer, else the newest mainline release before it. Null before 6.3.
 */
export function versionFor(release: string): string | null {
	const older = VERSIONS.filter(({ name }) => compareReleases(name, release) <= 0);
	const series = older.filter(({ name }) => seriesOf(name) === seriesOf(release));
	const mainline = older.filter(({ name }) => name.split(".").length === 2);
	return (series.at(-1) ?? mainline.at(-1))?.name ?? null;
}

export const DEFAULT_VERSION = "6.3";

/** Every name that ported code may ask for. */
const ASKED: ReadonlySet<string> = new Set(
	CHANGES.filter(({ modelled }) => modelled).map(({ name }) => name),
);

function isChangeName(name: string): name is ChangeName {
	return ASKED.has(name);
}

/** A change to add or remove. Longer names come first because one name may begin another. */
const EDIT = new RegExp(
	`([+-])(${[...ASKED].sort((a, b) => b.length - a.length).join("|")})(?![^+-])`,
	"gy",
);

/**
 * The changes of a version that ported code asks for; null for an unknown version.
 * `6.3+one-other` is 6.3 with the change `one` and without `other`.
 */
export function changesOf(version: string): ReadonlySet<ChangeName> | null {
	const [release = ""] = version.split(/[+-]/, 1);
	const found = VERSIONS.find((candidate) => candidate.name === release);
	if (found === undefined) return null;
	const changes = new Set(found.has.filter(isChangeName));
	let end = release.length;
	EDIT.lastIndex = end;
	for (let edit = EDIT.exec(version); edit !== null; edit = EDIT.exec(version)) {
		const [, sign, name = ""] = edit;
		if (!isChangeName(name)) return null;
		if (sign === "+") changes.add(name);
		else changes.delete(name);
		end = EDIT.lastIndex;
	}
	return end === version.length ? changes : null;
}

const ALL: readonly BehaviourChange[] = CHANGES;

/** Changes that give programs the same answers. */
const INTERNAL: ReadonlySet<string> = new Set(
	ALL.filter(({ internal }) => internal === true).map(({ name }) => name),
);

/**
 * changesOf() without those that give programs the same answers. Versions with the same set answer
 * alike, with the same secrets as well.
 */
export function answeringChangesOf(version: string): ReadonlySet<ChangeName> | null {
	const changes = changesOf(version);
	return changes && new Set([...changes].filter((name) => !INTERNAL.has(name)));
}

/** A set of changes that remembers which ones were asked for. */
export class AskedChanges extends Set<ChangeName> {
	readonly asked = new Set<ChangeName>();

	override has(name: ChangeName): boolean {
		this.asked.add(name);
		return super.has(name);
	}
}
