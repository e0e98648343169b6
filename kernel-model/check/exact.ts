// SPDX-License-Identifier: GPL-2.0-or-later
/**
 * Recordings with the draws of the kernel's port searches. They are scripts. Comments hold the
 * draws:
 *
 *     # kernel 6.12.117, with the draws of its port searches
 *     # table_perturb[46939] = 0x6bf5759f
 *     connect(3, …) = 0
 *     # draw off4 inet_hash_connect 0x37a94b54f7a9b75b
 *     # draw u8 __inet_hash_connect 208
 *     bind(4, …) = 0
 *     # draw below inet_csk_get_port 19876 of 28232
 *
 * Draws follow the call that made them, in order. Entries of table_perturb that the program uses
 * are listed twice: at the beginning with their values before the program, at the end with their
 * values after it. The model plays such a recording with these draws and must give every result.
 *
 * The secrets of the kernel's hashes follow the first line:
 *
 *     # secret inet_ehash_secret = 0x05e3b4a9
 *     # secret udp6_ehash_secret is unknown
 *     # secret net_hash_mix = 0x4a367978
 *     # other UDP sockets: 127.0.0.1 ports 49153, 33012, net_hash_mix = 0x1f5217c6
 *
 * net_hash_mix is that of the first namespace. After a call that made a namespace, it is that of
 * this namespace. The "other UDP sockets" are those of the agent. They are in the same tables, so
 * they count in the length of a chain. With the secrets the model also says which member of a
 * reuseport group gets a connection or a datagram. Older recordings do not have them. Choices that
 * depend on a missing or unknown secret stay open.
 */
import { SOCK_DGRAM } from "../../include/linux/net.js";
import { Random } from "../../include/linux/random.js";
import { AF_INET } from "../../include/linux/socket.js";
import { JIFFY } from "../../include/linux/timer.js";
import type { ChangeName } from "../../include/linux/version.js";
import type { SecretKind } from "../../include/net/stack.js";
import {
	EPHEMERAL_PORT_SHUFFLE_PERIOD,
	portOffset4,
	portOffset6,
} from "../../net/core/secure_seq.js";
import { INET_TABLE_PERTURB_SIZE } from "../../net/ipv4/inet_hashtables.js";
import type { Address } from "../machine/address.js";
import type { Kernel } from "../machine/kernel.js";
import { nth } from "../machine/nth.js";
import { type KernelDraw, SeededRandom } from "../machine/random.js";
import type { CallLine, Parsed } from "../script/strace.js";

const HEADER =
	/^# kernel (\S+), with the draws of its port searches(?:; slots of UDP's tables: ([0-9]+))?$/;
const DRAW = /^# draw (\w+) (\S+) (0x[0-9a-f]+|[0-9]+)(?: of ([0-9]+))?$/;
const SECRET = /^# secret (\w+)(?: = 0x([0-9a-f]+)| is unknown)$/;
const OTHERS =
	/^# other UDP sockets: 127\.0\.0\.1 ports ([0-9]+), ([0-9]+), net_hash_mix = (0x[0-9a-f]+)$/;
const PERTURB = /^# table_perturb\[([0-9]+)\] = (0x[0-9a-f]+)$/;

/**
 * Time stamps of live recordings begin here, in seconds. Those of strace are seconds since 1970.
 */
export const EPOCH = 1e9;

/**
 * First line of a recording with draws. The step of UDP's search depends on the size of its tables,
 * which depends on the machine's memory.
 */
export function drawsHeader(release: string, udp: number | null): string {
	const slots = udp === null ? "" : `; slots of UDP's tables: ${udp}`;
	return `# kernel ${release}, with the draws of its port searches${slots}`;
}

/** A draw as a recording's comment. */
export function drawLine({ kind, caller, value, ceil }: KernelDraw): string {
	const shown = kind.startsWith("off") ? `0x${value.toString(16)}` : String(value);
	return `# draw ${kind} ${caller} ${shown}${ceil === null ? "" : ` of ${ceil}`}`;
}

/** One number of table_perturb as a recording's comment. */
export function perturbLine(index: number, value: number): string {
	return `# table_perturb[${index}] = 0x${value.toString(16)}`;
}

/** A secret as a recording's comment; null if it could not be had. `hex` has no prefix. */
export function secretLine(name: string, hex: string | null): string {
	return `# secret ${name}${hex === null ? " is unknown" : ` = 0x${hex}`}`;
}

/** UDP sockets of another namespace on 127.0.0.1, as a recording's comment. */
export function othersLine({ ports: [first, second], hashMix }: OtherSockets): string {
	return `# other UDP sockets: 127.0.0.1 ports ${first}, ${second}, net_hash_mix = 0x${hashMix.toString(16)}`;
}

/** Two UDP sockets of another namespace. The first one is connected to the second one. */
interface OtherSockets {
	ports: readonly [number, number];
	hashMix: number;
}

/** The secrets of a recording. */
export interface Secrets {
	/** Secrets of hashes by the names of the kernel's variables, as hexadecimal numbers. */
	byName: ReadonlyMap<string, string>;
	/** net_hash_mix of the first namespace; null if it is not known. */
	hashMix: number | null;
	/** net_hash_mix of the namespaces that calls made. */
	byCall: ReadonlyMap<CallLine, number>;
	others: OtherSockets | null;
}

/** The draws of a recording. */
export interface Draws {
	/** Release of the kernel that made them. */
	release: string;
	/** Slots of UDP's tables; null if the recording does not say. */
	udp: number | null;
	byCall: ReadonlyMap<CallLine, readonly KernelDraw[]>;
	/** Numbers of table_perturb before the first call, and after the last one. */
	before: ReadonlyMap<number, number>;
	after: ReadonlyMap<number, number>;
	/** Null if the recording has no secrets. */
	secrets: Secrets | null;
	total: number;
}

/** Reads the draws of a recording; null if it has none. */
export function readDraws(script: Parsed): Draws | null {
	let release: string | null = null;
	let udp: number | null = null;
	const byCall = new Map<CallLine, KernelDraw[]>();
	const before = new Map<number, number>();
	const after = new Map<number, number>();
	const byName = new Map<string, string>();
	const mixes = new Map<CallLine, number>();
	let hashMix: number | null = null;
	let others: OtherSockets | null = null;
	let hasSecrets = false;
	let total = 0;
	let call: CallLine | null = null;
	for (const line of script.lines) {
		if (line.kind === "call") call = line;
		if (line.kind !== "comment") continue;
		const header = HEADER.exec(line.text);
		release ??= header?.[1] ?? null;
		if (header?.[2] !== undefined) udp ??= Number(header[2]);
		const [, kind = "", caller = "", value, ceil] = DRAW.exec(line.text) ?? [];
		if (value !== undefined && call !== null) {
			const draws = byCall.get(call) ?? [];
			const bound = ceil === undefined ? null : Number(ceil);
			draws.push({ kind, caller, value: BigInt(value), ceil: bound });
			byCall.set(call, draws);
			total++;
		}
		const [, index, number] = PERTURB.exec(line.text) ?? [];
		if (number !== undefined)
			(before.has(Number(index)) ? after : before).set(Number(index), Number(number));
		const [, name, hex] = SECRET.exec(line.text) ?? [];
		if (name !== undefined) hasSecrets = true;
		if (name !== undefined && hex !== undefined) {
			if (name !== "net_hash_mix") byName.set(name, hex);
			else if (call === null) hashMix = Number.parseInt(hex, 16);
			else mixes.set(call, Number.parseInt(hex, 16));
		}
		const [, first, second, mix] = OTHERS.exec(line.text) ?? [];
		if (mix !== undefined)
			others = { ports: [Number(first), Number(second)], hashMix: Number(mix) };
	}
	if (release === null) return null;
	const secrets = hasSecrets ? { byName, hashMix, byCall: mixes, others } : null;
	return { release, udp, byCall, before, after, secrets, total };
}

/** Whether a line is the first of a recording with draws. */
export function isHeader(line: string): boolean {
	return line.startsWith("# kernel") && HEADER.test(line);
}

/** Splits a file into its recordings, each with the number of lines before it. */
export function splitRecordings(text: string): { text: string; above: number }[] {
	const parts: { text: string; above: number }[] = [];
	let lines: string[] = [];
	let above = 0;
	for (const line of text.split("\n")) {
		if (HEADER.test(line) && lines.some((other) => HEADER.test(other))) {
			parts.push({ text: `${lines.join("\n")}\n`, above });
			above += lines.length;
			lines = [];
		}
		lines.push(line);
	}
	parts.push({ text: lines.join("\n"), above });
	return parts;
}

/** A recorded draw in words: kind, value, bound and caller. */
function shownDraw({ kind, caller, value, ceil }: KernelDraw): string {
	return `${kind} ${value}${ceil === null ? "" : ` of ${ceil}`} in ${caller}`;
}

/**
 * Supplies the recorded draws call by call. Draws outside of calls, and draws that do not choose a
 * port (secrets of hashes), come from a seed.
 */
export class ExactRandom extends Random {
	private readonly other = new SeededRandom(0);
	private draws: readonly KernelDraw[] | null = null;
	private next = 0;
	private fault: string | null = null;
	/** net_hash_mix of the next namespace; null to draw it from a seed. */
	hashMix: number | null = null;

	/** Begins a call with its draws. */
	begin(draws: readonly KernelDraw[]): void {
		this.draws = draws;
		this.next = 0;
		this.fault = null;
	}

	/** Ends a call. Returns how the model's draws differ from the kernel's; null if they do not. */
	end(): string | null {
		const { draws, next } = this;
		this.draws = null;
		if (this.fault !== null || draws === null || next >= draws.length) return this.fault;
		const left = draws.slice(next).map(shownDraw).join(", ");
		return `the kernel drew ${left}, the model did not`;
	}

	/** The next draw. Returns null and sets `fault` if the kernel's draw is of another kind. */
	private take(kind: string, ceil: number | null, shown: string): KernelDraw | null {
		const draw = this.draws?.[this.next];
		if (this.fault !== null) return null;
		if (draw === undefined) {
			this.fault = `the model draws ${shown}, the kernel drew nothing more`;
			return null;
		}
		if (draw.kind !== kind || draw.ceil !== ceil) {
			this.fault = `the model draws ${shown}, the kernel drew ${shownDraw(draw)}`;
			return null;
		}
		this.next++;
		return draw;
	}

	override get_random_u32(): number {
		if (this.draws === null) return this.other.get_random_u32();
		return Number(this.take("u32", null, "u32")?.value ?? 0);
	}

	override get_random_u16(): number {
		if (this.draws === null) return this.other.get_random_u16();
		return Number(this.take("u16", null, "u16")?.value ?? 0);
	}

	override get_random_u8(): number {
		if (this.draws === null) return this.other.get_random_u8();
		return Number(this.take("u8", null, "u8")?.value ?? 0);
	}

	override __get_random_u32_below(ceil: number): number {
		if (this.draws === null) return this.other.__get_random_u32_below(ceil);
		return Number(this.take("below", ceil, `below ${ceil}`)?.value ?? 0);
	}

	override netHashMix(): number {
		return this.hashMix ?? this.other.get_random_u32();
	}

	override get_random_bytes(words: Uint32Array): void {
		this.other.get_random_bytes(words);
	}

	override portEphemeral(family: 4 | 6, offset: Uint32Array): boolean {
		if (this.draws === null) return false;
		const value = this.take(`off${family}`, null, `off${family}`)?.value ?? 0n;
		offset[0] = Number(value & 0xffffffffn);
		offset[1] = Number(value >> 32n);
		return true;
	}
}

/** table_perturb at the beginning of a recording. Unused entries are 0. */
export function perturbTable(draws: Draws): Uint32Array {
	const table = new Uint32Array(INET_TABLE_PERTURB_SIZE);
	for (const [index, value] of draws.before) table[index] = value;
	return table;
}

/**
 * How the model's table_perturb differs from the kernel's after the recording; null if it does not.
 */
export function perturbDiffers(draws: Draws, table: Uint32Array | null): string | null {
	for (const [index, value] of draws.after) {
		const own = table?.[index] ?? 0;
		if (own !== value)
			return `the kernel leaves table_perturb[${index}] at ${value}, the model at ${own}`;
	}
	return null;
}

/** Sets the secrets of a recording in a kernel. Unknown ones stay the kernel's own. */
export function placeSecrets(k: Kernel, { byName }: Secrets): void {
	const word = (name: string) => {
		const hex = byName.get(name);
		return hex === undefined ? null : Number.parseInt(hex, 16);
	};
	const table = k.udp_table;
	k.inet_ehash_secret = word("inet_ehash_secret") ?? k.inet_ehash_secret;
	k.inet6_ehash_secret = word("inet6_ehash_secret") ?? k.inet6_ehash_secret;
	k.ipv6_hash_secret =
		word("ipv6_hash_secret") ?? word("tcp_ipv6_hash_secret") ?? k.ipv6_hash_secret;
	const key = byName.get("net_secret")?.match(/[0-9a-f]{8}/g) ?? [];
	if (key.length === 4) k.net_secret = Uint32Array.from(key, (hex) => Number.parseInt(hex, 16));
	table.udp_ehash_secret = word("udp_ehash_secret");
	table.udp6_ehash_secret = word("udp6_ehash_secret");
	table.udp_ipv6_hash_secret = word("udp_ipv6_hash_secret");
}

/** What a recording's secrets decide in a kernel with these changes. */
export function knownSecrets(
	{ byName, hashMix }: Secrets,
	changes: ReadonlySet<ChangeName>,
): ReadonlySet<SecretKind> {
	const known = new Set<SecretKind>();
	if (hashMix === null) return known;
	known.add("hash_mix");
	const has = (...names: string[]) => names.some((name) => byName.has(name));
	const whole = changes.has("ehash6-whole-tuple"); // since 7.1, 854587e69ef3
	const own = changes.has("udp6-ehash-own-secret"); // since 6.5, 51d03e2f2203
	if (has("inet_ehash_secret")) known.add("ehash");
	if (has("ipv6_hash_secret", "tcp_ipv6_hash_secret") && (whole || has("inet6_ehash_secret")))
		known.add("ehash6");
	if (has("udp_ehash_secret")) known.add("udp");
	if (has("udp_ipv6_hash_secret") && (!own || has("udp6_ehash_secret"))) known.add("udp6");
	return known;
}

/** Jiffies at boot, with 250 a second: INITIAL_JIFFIES, five minutes before they leave 32 bits. */
const INITIAL_JIFFIES = 2 ** 32 - (300 * 1000) / JIFFY;
/**
 * Jiffies may be behind the clock by up to this number, because a kernel begins to count them a
 * little later. They may be ahead by one.
 */
const JIFFIES_LATE = 250;

/**
 * How the port_offset that a call drew differs from the model's hash of the socket's addresses;
 * null if it does not. `sk` has its addresses, `begin` and `end` are seconds since boot. The hash
 * changes every ten seconds.
 */
export function offsetDiffers(
	k: Kernel,
	sk: number,
	draws: readonly KernelDraw[],
	begin: number,
	end: number,
): string | null {
	const draw = draws.find(({ kind }) => kind.startsWith("off"));
	const { skc_daddr, skc_rcv_saddr, skc_dport, skc_v6_daddr, skc_v6_rcv_saddr } = k.sock;
	if (draw === undefined || skc_dport[sk] === 0) return null;
	const seedOf = (time: number, jiffies: number) => {
		const now = INITIAL_JIFFIES + (time * 1000) / JIFFY + jiffies;
		return Math.floor((now * JIFFY) / EPHEMERAL_PORT_SHUFFLE_PERIOD);
	};
	const dport = nth(skc_dport, sk);
	const last = seedOf(end, 1);
	for (let seed = seedOf(begin, -JIFFIES_LATE); seed <= last; seed++) {
		if (draw.kind === "off4")
			portOffset4(k, nth(skc_rcv_saddr, sk), nth(skc_daddr, sk), dport, seed);
		else portOffset6(k, skc_v6_rcv_saddr, sk * 4, skc_v6_daddr, sk * 4, dport, seed);
		const [low, high] = k.port_offset;
		if ((BigInt(high ?? 0) << 32n) + BigInt(low ?? 0) === draw.value) return null;
	}
	return `the kernel drew ${shownDraw(draw)}, which is not the hash of the socket's addresses`;
}

/** Makes the sockets of another namespace. The next namespace that is made is this one. */
export function placeOthers(k: Kernel, { ports: [first, second] }: OtherSockets): void {
	const task = k.createTask({ net: k.createNet() });
	const at = (port: number): Address => ({ family: "AF_INET", address: "127.0.0.1", port });
	const [from, to] = [task.socket(AF_INET, SOCK_DGRAM, 0), task.socket(AF_INET, SOCK_DGRAM, 0)];
	task.bind(to, at(second));
	task.bind(from, at(first));
	task.connect(from, at(second));
}
