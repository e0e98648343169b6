// SPDX-License-Identifier: GPL-2.0-or-later
/**
 * Set-up commands: `ip`, `sysctl` and `sleep`. Their syntax is that of iproute2 and procps, as far
 * as ports depend on it.
 */
import { errnoName } from "../../include/uapi/asm-generic/errno.js";
import { SYSCTLS } from "../../net/ipv4/sysctl_net_ipv4.js";
import { SYSCTLS6 } from "../../net/ipv6/sysctl_net_ipv6.js";
import { SetupError, type SetupTarget, Words } from "./command.js";
import { ip } from "./ip.js";
import { sysctlConcern } from "./sysctls.js";

export { SetupError, type SetupTarget } from "./command.js";

/** Options of sysctl with a value that do not set anything. */
const PATTERN = /^(-r|--pattern)$/;
/** Options that read files. The model has no files. */
const FILES = /^(-[a-zA-Z]*[pf][^=]*|--load(=.*)?|--system)$/;

function sysctl(net: SetupTarget, words: Words): void {
	let optional = false;
	let writes = false;
	let ends = false;
	const given: { word: string; at: number }[] = [];
	while (!words.done) {
		const at = words.at;
		const word = words.next("NAME=VALUE");
		if (ends || !word.startsWith("-")) {
			given.push({ word, at });
			continue;
		}
		if (word === "--") ends = true;
		else if (FILES.test(word)) {
			throw new SetupError(at, "NAME=VALUE, as there is no file of settings", null, true);
		} else if (PATTERN.test(word)) words.next("a pattern");
		else if (/^(-[a-zA-Z]*e[a-zA-Z]*|--ignore)$/.test(word)) optional = true;
		if (/^(-[a-zA-Z]*w[a-zA-Z]*|--write)$/.test(word)) writes = true;
	}
	for (const { word, at } of given) {
		const equals = word.indexOf("=");
		if (equals < 0) {
			if (writes || given.length === 1) throw new SetupError(at, "NAME=VALUE");
			throw new SetupError(at, "NAME=VALUE in one word");
		}
		const name = sysctlName(word.slice(0, equals).trim());
		if (optional && !isModelledSysctl(name)) continue;
		writeSysctl(net, name, word.slice(equals + 1).trim(), at, words);
	}
	if (given.length === 0) throw new SetupError(words.at, "NAME=VALUE");
}

/**
 * The name of a setting with dots. The first of "." and "/" in the name is the separator. The other
 * one is then part of a name.
 */
export function sysctlName(name: string): string {
	const slash = name.indexOf("/");
	const dot = name.indexOf(".");
	return slash >= 0 && (dot < 0 || slash < dot)
		? [...name].map((c) => (c === "/" ? "." : c === "." ? "/" : c)).join("")
		: name;
}

/** The names of all settings that the model has. */
export const SYSCTL_NAMES: readonly string[] = [
	...SYSCTLS.map((name) => `net.ipv4.${name}`),
	...SYSCTLS6.map((name) => `net.ipv6.${name}`),
];

/** Whether the model has the setting with a dotted name. */
export function isModelledSysctl(name: string): boolean {
	const [, ipv6] = /^net\.ipv6\.(.*)$/.exec(name) ?? [];
	return ipv6 === undefined
		? SYSCTLS.includes(name.replace(/^net\.ipv4\./, ""))
		: SYSCTLS6.includes(ipv6);
}

function writeSysctl(
	net: SetupTarget,
	name: string,
	value: string,
	word: number,
	words: Words,
): void {
	if (!isModelledSysctl(name)) {
		const concern = sysctlConcern(name);
		if (concern === "none") {
			words.passed.push(name);
			return;
		}
		throw new SetupError(
			word,
			`one of net.ipv4.{${SYSCTLS.join(",")}} and net.ipv6.{${SYSCTLS6.join(",")}}`,
			null,
			concern === "ports",
		);
	}
	const result = net.setSysctl(name, `${value}\n`);
	if (result < 0) {
		const expected = `a value that ${name} takes (${errnoName(-result)})`;
		throw new SetupError(word, expected, result);
	}
}

/**
 * Runs one command. Returns the words that do not concern ports. Throws SetupError; the word in the
 * error has changed nothing.
 */
export function runSetup(
	clock: { advance(ms: number): void },
	net: SetupTarget,
	argv: readonly string[],
): string[] {
	const words = new Words(argv);
	const command = words.next("a command").replace(/^.*\//, "");
	if (command === "sysctl") {
		sysctl(net, words);
	} else if (command === "sleep") {
		const word = words.next("seconds");
		const seconds = /^[0-9]*\.?[0-9]+$/.test(word) ? Number(word) : Number.NaN;
		if (Number.isNaN(seconds)) throw new SetupError(1, "seconds, such as 1.5");
		if (!words.done) throw new SetupError(words.at, "the end of the command");
		try {
			clock.advance(seconds * 1000);
		} catch (error) {
			if (!(error instanceof RangeError)) throw error;
			throw new SetupError(1, "fewer seconds: the clock ends first");
		}
	} else if (command === "ip") {
		ip(net, words);
	} else {
		throw new SetupError(0, "ip, sysctl or sleep");
	}
	return words.passed;
}
