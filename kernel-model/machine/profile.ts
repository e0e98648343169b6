// SPDX-License-Identifier: GPL-2.0-or-later
/**
 * The profile for a kernel by any name: a version, a release of a distribution as `uname -r` prints
 * it. Names of releases hide facts. So the profile comes with a sentence that says what is known.
 */
import { CHANGES } from "../../include/linux/version.js";
import {
	changesOf,
	compareReleases,
	DEFAULT_VERSION,
	seriesOf,
	VERSIONS,
	versionFor,
} from "./versions.js";

/** A profile, and how well it stands for a kernel. */
export interface Profile {
	/** A name of VERSIONS. */
	name: string;
	/** What is not known of the kernel, in sentences; null if the profile is that of the release. */
	doubt: string | null;
}

/** How a distribution names its kernels. The first that matches is taken. */
interface Naming {
	/** Whose name it is. */
	whose: string;
	release: RegExp;
	/** Finds the stable release in `uname -v`, or in /proc/version_signature after it. */
	stable?: RegExp;
	/** Where the stable release is shown, if `build` does not have it. */
	shownBy?: string;
	/** What the vendor adds, in a sentence. */
	adds?: string;
}

const RED_HAT =
	"Red Hat takes changes of the network code from much later kernels, and the name does not show which";

const NAMINGS: readonly Naming[] = [
	{ whose: "Red Hat", release: /\.el[0-9]+(_[0-9]+)?(\.|$)/, adds: RED_HAT },
	{
		whose: "Oracle",
		release: /\.el[0-9]+uek/,
		adds: "Oracle takes changes from later kernels, and the name does not show which",
	},
	{
		whose: "Amazon",
		release: /\.amzn[0-9]+/,
		adds: "Amazon adds changes of its own",
	},
	{
		whose: "Android",
		release: /-android[0-9]+-/,
		adds: "Android adds changes of its own",
	},
	{
		whose: "WSL",
		release: /-microsoft/i,
		adds: "Microsoft adds changes of its own",
	},
	{
		whose: "SUSE",
		release: /^[0-9.]+-[0-9.]+-(default|azure|rt)$/,
		adds: "SUSE takes changes from later kernels, and the name does not show which",
	},
	{
		whose: "Ubuntu",
		release:
			/-(generic|lowlatency|aws|azure|gcp|oracle|kvm|raspi|oem|ibm|gke|nvidia)(-[0-9a-z.]+)*$/,
		stable: /\bUbuntu \S+ ([0-9]+\.[0-9]+\.[0-9]+)/,
		shownBy: "/proc/version_signature shows it",
	},
	{
		whose: "Debian",
		release: /-(amd64|arm64|armmp|686|i386|riscv64|s390x|ppc64el|powerpc64le)$|\bdeb[0-9]+\b/,
		stable: /\bDebian ([0-9]+\.[0-9]+\.[0-9]+)/,
		shownBy: "uname -v shows it",
	},
];

/** "6.8.0-40-generic": the numbers, and the rest. */
const RELEASE = /^([0-9]{1,3})\.([0-9]{1,4})(?:\.([0-9]{1,5}))?((?:\.[0-9]+)*)(?![0-9])([!-~]*)$/;
const CANDIDATE = /^-rc[0-9]+/;
/** A kernel that is built from a git tree at the base commit has its name at the end. */
const AT_BASE = /-g91d0b78c5177[0-9a-f]*(-dirty)?\+?$/;
const OLDEST = "6.1";
/** Most names of changes in a sentence. `kernels` lists all. */
const SHOWN = 4;

/**
 * The change that a name of a version with a change seems to mean: "6.3+orphan-uidd" means orphan-uid.
 * Null if all its changes are known, or if it is a release of another kind.
 */
export function misspeltChange(release: string): string | null {
	const [, version = "", words = ""] = /^([0-9.]+)[+-](.*)$/.exec(release) ?? [];
	if (!VERSIONS.some(({ name }) => name === version) || changesOf(release) !== null) return null;
	let [most, nearest] = [LEAST_ALIKE - 1, ""];
	for (const { name } of CHANGES) {
		const alike = alikeTo(name, words);
		if (alike > most) [most, nearest] = [alike, name];
	}
	return nearest === "" ? null : nearest;
}

/** Letters that a misspelt name of a change has in common with the name, at least. */
const LEAST_ALIKE = 5;

/** How many letters two words begin with alike. */
function alikeTo(name: string, word: string): number {
	let at = 0;
	while (at < name.length && name[at] === word[at]) at++;
	return at;
}

/**
 * The profile that is nearest to a kernel. `release` is a name of VERSIONS or what `uname -r`
 * prints, `build` what `uname -v` prints. Null if the text is no release.
 */
export function profileFor(release: string, build = ""): Profile | null {
	if (VERSIONS.some(({ name }) => name === release)) return { name: release, doubt: null };
	const [, major, minor, patch, , rest = ""] = RELEASE.exec(release) ?? [];
	if (major === undefined || minor === undefined) return null;
	if (AT_BASE.test(rest)) return { name: DEFAULT_VERSION, doubt: null };
	if (/^[+-]/.test(rest) && changesOf(release) !== null) return { name: release, doubt: null };
	const series = `${Number(major)}.${Number(minor)}`;
	const naming = NAMINGS.find((each) => each.release.test(release));
	const shown = naming?.stable?.exec(build)?.[1];
	const doubts: string[] = [];
	let stable = shown ?? (patch === undefined ? series : `${series}.${Number(patch)}`);
	if (naming !== undefined) {
		if (shown !== undefined) doubts.push(`${naming.whose}'s ${release} is stable ${shown}`);
		else if (patch === "0") {
			const where = naming.shownBy === undefined ? "" : ` (${naming.shownBy})`;
			doubts.push(
				`${naming.whose}'s ${release} has fixes of a stable release that it does not name${where}`,
			);
			stable = series;
		}
		if (naming.adds !== undefined) doubts.push(naming.adds);
	}
	if (CANDIDATE.test(rest)) doubts.push(`${release} may lack changes of ${series}`);
	const { name, lacks } = nearest(stable);
	doubts.push(...lacks);
	return { name, doubt: doubts.length === 0 ? null : doubts.join("; ") };
}

/** The first names of a list, and the number of others. */
function listOf(names: readonly string[]): string {
	const first = names.slice(0, SHOWN).join(", ");
	return names.length > SHOWN ? `${first} and ${names.length - SHOWN} more` : first;
}

/** Whether a release is of a series that is newer than every modelled one. Its profile is a guess. */
export function isUnreadSeries(release: string): boolean {
	const newest = VERSIONS.at(-1)?.name ?? "";
	return RELEASE.test(release) && compareReleases(seriesOf(release), seriesOf(newest)) > 0;
}

/** The nearest profile to a release, and how they may differ. */
function nearest(stable: string): { name: string; lacks: string[] } {
	const series = seriesOf(stable);
	const first = VERSIONS.find((version) => seriesOf(version.name) === series);
	const found = versionFor(stable);
	const oldest = VERSIONS[0]?.name ?? "";
	if (compareReleases(series, OLDEST) < 0) {
		const why = `no kernel before ${OLDEST} is modelled: such a kernel lacks bhash2 and other changes`;
		return { name: oldest, lacks: [why] };
	}
	if (found === null && first !== undefined) {
		// Only a later release of the series is known.
		const backported = CHANGES.filter(({ backports }) =>
			backports.some((each: string) => each === first.name),
		);
		const list = listOf(backported.map(({ name }) => name));
		const what = `${first.name} has changes of later kernels, and ${stable} may lack them: ${list}`;
		return { name: first.name, lacks: [what] };
	}
	if (found === null || seriesOf(found) === oldest) {
		const next = VERSIONS.find(({ name }) => compareReleases(name, stable) > 0)?.name ?? oldest;
		const names = CHANGES.filter(
			({ since }) => since === null || compareReleases(since, stable) > 0,
		);
		const has = new Set(VERSIONS.find(({ name }) => name === next)?.has ?? []);
		const list = names.filter(({ name }) => has.has(name)).map(({ name }) => name);
		return { name: next, lacks: [`${stable} lacks a change of ${next}: ${listOf(list)}`] };
	}
	const lacks: string[] = [];
	if (isUnreadSeries(stable)) {
		lacks.push(
			`${series} is newer than every kernel that was read, so this profile is a guess until replay and fuzz confirm it`,
		);
	} else if (compareReleases(stable, found) > 0 && stable !== series && stable !== `${series}.0`) {
		lacks.push(`which fixes of later kernels ${stable} has was not looked up`);
	}
	return { name: found, lacks };
}
