// SPDX-License-Identifier: GPL-2.0-or-later
/** Which addresses conflict on a port, and which options allow sharing. */
import { EVERY, type Protocol } from "../../world.js";

/** Addresses of sockets. "only" is IPV6_V6ONLY. */
interface Place {
	family: "" | "6";
	address: string;
	only: boolean;
}

export const place = (text: string): Place => {
	const [address, only] = text.split(" ");
	return {
		family: address.startsWith("[") ? "6" : "",
		address,
		only: only === "only",
	};
};

export const PLACES = [
	"0.0.0.0",
	"127.0.0.1",
	"127.0.0.2",
	"[::]",
	"[::] only",
	"[::1]",
	"[::1] only",
	"[2001:db8::10]",
	"[2001:db8::10] only",
	"[::ffff:0.0.0.0]",
	"[::ffff:127.0.0.1]",
	"[::ffff:127.0.0.2]",
];

/**
 * Rows are addresses of the first socket. Columns, in the same order, are addresses of the second
 * socket. x is a conflict.
 */
type Matrix = readonly string[];

/** UDP compares every socket on the port with the new one: inet_rcv_saddr_equal() in full. */
const UDP: Matrix = [
	"xxxx.....xxx", // 0.0.0.0
	"xx.x.....xx.", // 127.0.0.1
	"x.xx.....x.x", // 127.0.0.2
	"xxxxxxxxxxxx", // ::
	"...xxxxxx...", // :: only
	"...xxxx.....", // ::1
	"...xxxx.....", // ::1 only
	"...xx..xx...", // 2001:db8::10
	"...xx..xx...", // 2001:db8::10 only
	"xxxx.....xxx", // ::ffff:0.0.0.0
	"xx.x.....xx.", // ::ffff:127.0.0.1
	"x.xx.....x.x", // ::ffff:127.0.0.2
];

/**
 * TCP searches bhash2 for a specific address: the bucket of the address and the bucket of the
 * wildcard. At the base these are of one family, so an IPv4 address does not conflict with :: or an
 * existing v4-mapped address.
 */
const TCP_BASE: Matrix = [
	"xxxx.....xxx",
	"xx.x.....xx.",
	"x.xx.....x.x",
	"x..xxxxxxxxx",
	"...xxxxxx...",
	"...xxxx.....",
	"...xxxx.....",
	"...xx..xx...",
	"...xx..xx...",
	"x..x.....xxx",
	"x..x.....xx.",
	"x..x.....x.x",
];

/** 6.1.176 also searches there for v4-mapped addresses, and misses ::ffff:0.0.0.0. */
const TCP_STABLE: Matrix = UDP.map((row, i) => (i === 9 ? "xxxx.....x.." : row));

/** SCTP has its own rules: a wildcard counts as every address of the other socket. */
const SCTP: Matrix = [
	"xxxx.x.x.xxx",
	"xx.x.....xx.",
	"x.xx.....x.x",
	"xxxxxxxxxxxx",
	"...xxxxxx...",
	"x..xxxx..x..",
	"...xxxx.....",
	"x..xx..xxx..",
	"...xx..xx...",
	"xxxxxxxxxxxx",
	"xx.xx....xx.",
	"x.xxx....x.x",
];

/** The matrix of a protocol in a kernel. Current kernels compare sockets of TCP as those of UDP. */
export function matrixOf(protocol: Protocol, version: string): Matrix {
	if (protocol === "sctp") return SCTP;
	if (protocol === "udp" || protocol === "udplite") return UDP;
	if (version === "6.3") return TCP_BASE;
	return version === "6.1.176" ? TCP_STABLE : UDP;
}

/** The results " = 0 | 6.3: EADDRINUSE" from a function of the version. */
export function answers(meets: (version: string) => boolean): string {
	const text = (version: string) => (meets(version) ? "EADDRINUSE" : "0");
	const usual = text("*");
	const others = EVERY.filter((version) => text(version) !== usual);
	return [` = ${usual}`, ...others.map((version) => `${version}: ${text(version)}`)].join(" | ");
}

/** Whether two sockets of one user may share a port. Options are given by initials. */
export function shared(
	protocol: Protocol,
	mine: string,
	yours: string,
	listening: boolean,
): boolean {
	const both = (option: string) => mine.includes(option) && yours.includes(option);
	// An SCTP listener with SO_REUSEPORT does not clear the bucket's fastreuse.
	const hidden = protocol === "sctp" && mine === "AP";
	return both("P") || (both("A") && (!listening || hidden));
}

export const OPTIONS: Readonly<Record<string, string[]>> = {
	"": [],
	A: ["SO_REUSEADDR"],
	P: ["SO_REUSEPORT"],
	AP: ["SO_REUSEADDR", "SO_REUSEPORT"],
};

export function made(
	protocol: Protocol,
	name: string,
	{ family, only }: Place,
	options = "",
): string {
	const all = [...OPTIONS[options], ...(only ? ["IPV6_V6ONLY"] : [])];
	return `${protocol}${family} ${name}${all.length === 0 ? "" : ` with ${all.join(" ")}`}`;
}

/** Options of two sockets that are worth trying everywhere. */
export const SOME = [
	["", ""],
	["A", "A"],
	["P", "P"],
	["A", "P"],
] as const;

export const optionNames = (options: string) => OPTIONS[options].join(" and ") || "no option";
