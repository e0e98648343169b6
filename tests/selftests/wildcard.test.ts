// SPDX-License-Identifier: GPL-2.0-or-later
/**
 * Which addresses meet on a port, each in both orders: wildcard and specific, IPv4 and IPv6,
 * v4-mapped, IPV6_V6ONLY; and which options excuse it. After the kernel's bind_wildcard.c.
 */
import { describe } from "vitest";
import { EVERY, kindsOf, lines, type Protocol, rule } from "./world.js";

/** Where a socket is bound; "only" is IPV6_V6ONLY. */
interface Place {
	family: "" | "6";
	address: string;
	only: boolean;
}

const place = (text: string): Place => {
	const [address, only] = text.split(" ");
	return {
		family: address.startsWith("[") ? "6" : "",
		address,
		only: only === "only",
	};
};

const PLACES = [
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

/** Rows: where the first socket is. Columns: where the second wants to be; x: it cannot. */
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
 * TCP looks for a specific address in bhash2: in the bucket of the address, and in that of the
 * wildcard. At the base those are of one family, so that an IPv4 address does not meet :: nor a
 * v4-mapped address that is there already.
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

/** 6.1.176 looks for v4-mapped addresses there as well, and then misses ::ffff:0.0.0.0. */
const TCP_STABLE: Matrix = UDP.map((row, i) => (i === 9 ? "xxxx.....x.." : row));

/** SCTP takes any wildcard for every address of the socket that is compared, in its own ways. */
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

/** The matrix of a protocol in a kernel; those that the tables do not name compare in full. */
function matrixOf(protocol: Protocol, version: string): Matrix {
	if (protocol === "sctp") return SCTP;
	if (protocol === "udp" || protocol === "udplite" || version === "*") return UDP;
	return version === "6.3" ? TCP_BASE : TCP_STABLE;
}

/** " = 0 | 6.3: EADDRINUSE", by a function of the version. */
function answers(meets: (version: string) => boolean): string {
	const text = (version: string) => (meets(version) ? "EADDRINUSE" : "0");
	const usual = text("*");
	const others = EVERY.filter((version) => text(version) !== usual);
	return [` = ${usual}`, ...others.map((version) => `${version}: ${text(version)}`)].join(" | ");
}

/** Whether the second of two sockets of one user may meet the first; options by their initials. */
function shared(mine: string, yours: string, listening: boolean): boolean {
	const both = (option: string) => mine.includes(option) && yours.includes(option);
	return both("P") || (both("A") && !listening);
}

const OPTIONS: Readonly<Record<string, string[]>> = {
	"": [],
	A: ["SO_REUSEADDR"],
	P: ["SO_REUSEPORT"],
	AP: ["SO_REUSEADDR", "SO_REUSEPORT"],
};

function made(protocol: Protocol, name: string, { family, only }: Place, options = ""): string {
	const all = [...OPTIONS[options], ...(only ? ["IPV6_V6ONLY"] : [])];
	return `${protocol}${family} ${name}${all.length === 0 ? "" : ` with ${all.join(" ")}`}`;
}

/** One row: the first socket at a place, and after it a second at each. */
function row(protocol: Protocol, first: number, mine: string, yours: string, listens: boolean) {
	const at = place(PLACES[first]);
	return `
		${lines(PLACES.map(place), (to, second) => {
			const meets = (version: string) =>
				matrixOf(protocol, version)[first][second] === "x" && !shared(mine, yours, listens);
			return `
				${made(protocol, "a", at, mine)}
				a bind ${at.address}:5000
				${listens ? "a listen 1" : ""}
				${made(protocol, "b", to, yours)}
				b bind ${to.address}:5000${answers(meets)}
				close a b
			`;
		})}
	`;
}

const ALL = Object.keys(OPTIONS).flatMap((mine) =>
	Object.keys(OPTIONS).map((yours) => [mine, yours] as const),
);
const SOME = [
	["", ""],
	["A", "A"],
	["P", "P"],
	["A", "P"],
] as const;

const optionNames = (options: string) => OPTIONS[options].join(" and ") || "no option";

for (const [protocol, combinations, states] of [
	["tcp", ALL, ["bound", "listening"]],
	["udp", ALL, ["bound"]],
	["udplite", SOME, ["bound"]],
	["mptcp", SOME, ["bound", "listening"]],
	["dccp", SOME, ["bound"]],
	["sctp", ALL, ["bound", "listening"]],
] as const) {
	for (const state of states) {
		describe(`a port of ${protocol}, ${state}`, () => {
			for (const [mine, yours] of combinations) {
				for (const [first, name] of PLACES.entries()) {
					rule(
						`${protocol}: ${state} at ${name} with ${optionNames(mine)}, and with ${optionNames(yours)} at each place`,
						row(protocol, first, mine, yours, state === "listening"),
					);
				}
			}
		});
	}
}

/** As in the selftest: what both sockets of a pair leave to six others without options. */
const SIX = ["0.0.0.0", "127.0.0.1", "[::]", "[::1]", "[::ffff:0.0.0.0]", "[::ffff:127.0.0.1]"];

describe("bind_wildcard", () => {
	for (const protocol of ["tcp", "udp"] as const) {
		for (const [test, options] of [
			["plain", ""],
			["reuse_addr", "A"],
			["reuse_port", "P"],
		] as const) {
			for (const [first, name] of PLACES.entries()) {
				const programs = lines(PLACES, (_, second) => {
					const order = [first, second, ...SIX.map((address) => PLACES.indexOf(address))];
					/** Which of the eight sockets cannot be bound; each meets those before it. */
					const failed = (version: string) => {
						const matrix = matrixOf(protocol, version);
						const bound: number[] = [];
						return order.map((to, i) => {
							const excused = i === 1 && options !== "";
							const meets = !excused && bound.some((from) => matrix[from][to] === "x");
							if (!meets) bound.push(to);
							return meets;
						});
					};
					const sockets = [..."abcdefgh"];
					return `
						${lines(sockets, (socket, i) => {
							const to = place(PLACES[order[i]]);
							return `
								${made(protocol, socket, to, i < 2 ? options : "")}
								${socket} bind ${to.address}:5000${answers((version) => failed(version)[i])}
							`;
						})}
						close all
					`;
				});
				rule(`${protocol}: bind_wildcard.${test}: ${name}, each place, and six others`, programs);
			}
		}
	}
});

describe("IPV6_V6ONLY", () => {
	for (const { name, protocol } of kindsOf("tcp", "udp", "udplite", "mptcp", "dccp").filter(
		(kind) => kind.family === 6,
	)) {
		rule(
			`${name}: keeps v4-mapped addresses out, and cannot be set once there is an address`,
			`
			${name} a b with IPV6_V6ONLY
			a bind [::ffff:127.0.0.1]:5000 = EINVAL
			a bind [::ffff:0.0.0.0]:5000 = EINVAL
			a getopt IPV6_V6ONLY 4 = 01000000
			a bind [::]:5000
			a set IPV6_V6ONLY 0 = EINVAL
			${protocol} c
			c bind 0.0.0.0:5000
			${name} d
			d bind [::]:5000 = EADDRINUSE
			b connect [::ffff:127.0.0.1]:5000 = ENETUNREACH
			`,
		);
	}
});

describe("a port that bind() chooses", () => {
	// With one port in the range, the second socket has only the first one's to choose.
	for (const protocol of ["tcp", "udp"] as const) {
		for (const [mine, yours] of SOME) {
			for (const [first, name] of PLACES.entries()) {
				const at = place(PLACES[first]);
				// TCP does not share a port of its own choice, UDP does.
				const excused = protocol === "udp" && shared(mine, yours, false);
				rule(
					`${protocol}: with ${optionNames(yours)} is not the one at ${name} with ${optionNames(mine)}, where they meet${excused ? " otherwise" : ""}`,
					`
					sysctl ipv4.ip_local_port_range 40000 40000
					${lines(PLACES.map(place), (to, second) => {
						const meets = (version: string) =>
							matrixOf(protocol, version)[first][second] === "x" && !excused;
						return `
							${made(protocol, "a", at, mine)}
							a bind ${at.address}:0
							${made(protocol, "b", to, yours)}
							b bind ${to.address}:0${answers(meets)}
							close a b
						`;
					})}
					`,
				);
			}
		}
	}
});
