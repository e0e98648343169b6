// SPDX-License-Identifier: GPL-2.0-or-later
/**
 * Set-up commands: what `ip`, `sysctl` and `sleep` do to the modelled kernel. The syntax
 * is iproute2's and procps', as far as ports depend on it.
 */
import { errnoName } from "../../include/uapi/asm-generic/errno.js";
import { SYSCTLS } from "../../net/ipv4/sysctl_net_ipv4.js";
import { SYSCTLS6 } from "../../net/ipv6/sysctl_net_ipv6.js";
import type { AddressOptions, RouteOptions } from "../machine/net.js";

/** A word of a command that cannot be used; `word` is its index in argv. */
export class SetupError extends Error {
	constructor(
		readonly word: number,
		readonly expected: string,
		/** Negative, where the kernel refuses what is well written. */
		readonly errno: number | null = null,
	) {
		super(expected);
	}
}

/** What set-up commands change: a modelled namespace, or a real one. All return 0 or -errno. */
export interface SetupTarget {
	/** A dummy device, or a VRF where `table` is not 0. */
	addLink(name: string, table: number, mac?: string): number;
	setLink(name: string, up: boolean): number;
	setMac(name: string, mac: string): number;
	setAddrGenMode(name: string, mode: "eui64" | "none"): number;
	setMaster(name: string, master: string | null): number;
	addAddress(prefix: string, dev: string, options: AddressOptions): number;
	delAddress(prefix: string, dev: string): number;
	addRoute(options: RouteOptions): number;
	replaceRoute(options: RouteOptions): number;
	delRoute(options: RouteOptions): number;
	setSysctl(name: string, text: string): number;
}

class Words {
	at = 0;
	constructor(readonly argv: readonly string[]) {}

	get done(): boolean {
		return this.at >= this.argv.length;
	}

	next(expected: string): string {
		const word = this.argv[this.at];
		if (word === undefined) throw new SetupError(this.at, expected);
		this.at++;
		return word;
	}

	/** The next word, which must be one of these, or begin one of them as iproute2 allows. */
	choose<T extends string>(choices: readonly T[]): T {
		const word = this.next(choices.join(" or "));
		const found =
			choices.find((choice) => choice === word) ??
			choices.find((choice) => choice.startsWith(word));
		if (found === undefined) throw new SetupError(this.at - 1, choices.join(" or "));
		return found;
	}
}

function check(words: Words, result: number): void {
	if (result < 0)
		throw new SetupError(
			0,
			`a command that succeeds (it fails with ${errnoName(-result)})`,
			result,
		);
	if (!words.done) throw new SetupError(words.at, "the end of the command");
}

/** Runs a method that throws RangeError for malformed text, blaming the word at `at`. */
function parsed<T>(at: number, run: () => T): T {
	try {
		return run();
	} catch (error) {
		if (error instanceof RangeError) throw new SetupError(at, error.message.replace(/^not /, ""));
		throw error;
	}
}

function number(words: Words, expected: string, least: number): number {
	const value = Number(words.next(expected));
	if (!(Number.isInteger(value) && value >= least)) throw new SetupError(words.at - 1, expected);
	return value;
}

function ipLink(net: SetupTarget, words: Words): void {
	const verb = words.choose(["add", "set"]);
	if (verb === "add") {
		let mac: string | undefined;
		let at = words.at;
		let name = words.next("a device name");
		while (name === "name" || name === "dev") name = words.next("a device name");
		let word = words.choose(["type", "address"]);
		if (word === "address") {
			at = words.at;
			mac = words.next("a MAC address");
			word = words.choose(["type"]);
		}
		const type = words.choose(["dummy", "vrf"]);
		let table = 0;
		if (type === "vrf") {
			words.choose(["table"]);
			table = number(words, "a table number", 1);
		}
		check(
			words,
			parsed(at, () => net.addLink(name, table, mac)),
		);
		return;
	}
	let name = words.next("a device name");
	if (name === "dev") name = words.next("a device name");
	while (!words.done) {
		const word = words.choose([
			"up",
			"down",
			"master",
			"vrf",
			"nomaster",
			"address",
			"addrgenmode",
		]);
		let result = 0;
		if (word === "up" || word === "down") result = net.setLink(name, word === "up");
		else if (word === "address") {
			const mac = words.next("a MAC address");
			result = parsed(words.at - 1, () => net.setMac(name, mac));
		} else if (word === "addrgenmode") {
			result = net.setAddrGenMode(name, words.choose(["eui64", "none"]));
		} else result = net.setMaster(name, word === "nomaster" ? null : words.next("a VRF"));
		if (result < 0) check(words, result);
	}
}

const SCOPES = ["global", "link", "host"] as const;

function ipAddr(net: SetupTarget, words: Words): void {
	const verb = words.choose(["add", "delete"]);
	const at = words.at;
	const prefix = words.next("an address");
	const options: AddressOptions = {};
	let dev: string | null = null;
	while (!words.done) {
		const word = words.choose([
			"dev",
			"scope",
			"brd",
			"broadcast",
			"nodad",
			"valid_lft",
			"preferred_lft",
		]);
		if (word === "dev") dev = words.next("a device name");
		else if (word === "scope") options.scope = words.choose(SCOPES);
		else if (word === "valid_lft") words.choose(["forever"]);
		else if (word === "preferred_lft") {
			options.deprecated = words.choose(["forever", "0", "0sec"]) !== "forever";
		} else if (word !== "nodad") options.broadcast = words.next("an address");
	}
	if (dev === null) throw new SetupError(words.at, "dev NAME");
	const name = dev;
	check(
		words,
		parsed(at, () =>
			verb === "add" ? net.addAddress(prefix, name, options) : net.delAddress(prefix, name),
		),
	);
}

const ROUTE_TYPES = ["unicast", "local", "blackhole", "unreachable", "prohibit"] as const;

function ipRoute(net: SetupTarget, words: Words, family: 4 | 6 | undefined): void {
	const verb = words.choose(["add", "replace", "delete"]);
	const options: RouteOptions = family === undefined ? { to: "" } : { to: "", family };
	let word = words.next("a destination");
	const type = ROUTE_TYPES.find((candidate) => candidate === word);
	if (type !== undefined) {
		options.type = type;
		word = words.next("a destination");
	}
	if (word === "to") word = words.next("a destination");
	const at = words.at - 1;
	options.to = word;
	while (!words.done) {
		switch (
			words.choose([
				"dev",
				"via",
				"src",
				"metric",
				"scope",
				"proto",
				"protocol",
				"table",
				"vrf",
				"onlink",
				"answer",
			])
		) {
			case "dev":
				options.dev = words.next("a device name");
				break;
			case "via":
				options.via = words.next("a gateway");
				break;
			case "src":
				options.src = words.next("an address");
				break;
			case "metric":
				options.metric = number(words, "a metric", 0);
				break;
			case "scope":
				options.scope = words.choose(SCOPES);
				break;
			case "table":
				options.table = words.next("a table");
				break;
			case "vrf":
				options.vrf = words.next("a VRF");
				break;
			case "onlink":
				options.onlink = true;
				break;
			case "answer":
				options.answer = words.choose(["blackhole", "accept", "refuse"]);
				break;
			default:
				words.next("a value");
		}
	}
	check(
		words,
		parsed(at, () => {
			if (verb === "delete") return net.delRoute(options);
			return verb === "add" ? net.addRoute(options) : net.replaceRoute(options);
		}),
	);
}

function sysctl(net: SetupTarget, words: Words): void {
	while (!words.done) {
		const word = words.next("NAME=VALUE");
		if (["-w", "-q", "-n", "-e"].includes(word)) continue;
		const [name, ...value] = word.split("=");
		if (value.length === 0) throw new SetupError(words.at - 1, "NAME=VALUE");
		writeSysctl(net, name.trim().replaceAll("/", "."), value.join("=").trim(), words.at - 1);
	}
}

/** Whether a dotted name is one of the files that the model has. */
export function isModelledSysctl(name: string): boolean {
	const ipv6 = /^net\.ipv6\.(.*)$/.exec(name);
	return ipv6 === null
		? SYSCTLS.includes(name.replace(/^net\.ipv4\./, ""))
		: SYSCTLS6.includes(ipv6[1]);
}

function writeSysctl(net: SetupTarget, name: string, value: string, word: number): void {
	if (!isModelledSysctl(name)) {
		throw new SetupError(
			word,
			`one of net.ipv4.{${SYSCTLS.join(",")}} and net.ipv6.{${SYSCTLS6.join(",")}}`,
		);
	}
	const result = net.setSysctl(name, `${value}\n`);
	if (result < 0) {
		const expected = `a value that ${name} takes (${errnoName(-result)})`;
		throw new SetupError(word, expected, result);
	}
}

/** The options of `ip` itself; the family, if they say one. */
function ipOptions(words: Words): 4 | 6 | undefined {
	let family: 4 | 6 | undefined;
	while (words.argv[words.at]?.startsWith("-")) {
		const option = words.next("an option").replace(/^--?/, "");
		if (option === "4" || option === "6") family = option === "4" ? 4 : 6;
		else if (option === "f" || option === "family") {
			family = words.choose(["inet", "inet6"]) === "inet" ? 4 : 6;
		} else if (/^(b|batch|n|netns|rc|rcvbuf)$/.test(option)) {
			throw new SetupError(words.at - 1, "a command of this namespace");
		}
	}
	return family;
}

/** Runs one command; throws SetupError and has changed nothing of that command where it cannot. */
export function runSetup(
	clock: { advance(ms: number): void },
	net: SetupTarget,
	argv: readonly string[],
): void {
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
		const family = ipOptions(words);
		const object = words.choose(["link", "address", "route"]);
		if (object === "link") ipLink(net, words);
		else if (object === "address") ipAddr(net, words);
		else ipRoute(net, words, family);
	} else {
		throw new SetupError(0, "ip, sysctl or sleep");
	}
}
