// SPDX-License-Identifier: GPL-2.0-or-later
/**
 * Which addresses conflict on a port, in both orders: wildcard and specific, IPv4 and IPv6,
 * v4-mapped, IPV6_V6ONLY. Also which options allow sharing. After the kernel's bind_wildcard.c.
 */
import { describe } from "vitest";
import { kindsOf, lines, type Protocol, rule } from "../../world.js";
import {
	answers,
	made,
	matrixOf,
	OPTIONS,
	optionNames,
	PLACES,
	place,
	SOME,
	shared,
} from "./matrices.js";

/** One row: the first socket at one address, then a second socket at each address. */
function row(protocol: Protocol, first: number, mine: string, yours: string, listens: boolean) {
	const at = place(PLACES[first]);
	return `
		${lines(PLACES.map(place), (to, second) => {
			const meets = (version: string) =>
				matrixOf(protocol, version)[first][second] === "x" &&
				!shared(protocol, mine, yours, listens);
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
				rule(
					`${protocol}: ${state} with ${optionNames(mine)}: bind() with ${optionNames(yours)} conflicts as the matrix of addresses says`,
					lines(PLACES, (_, first) => row(protocol, first, mine, yours, state === "listening")),
				);
			}
		});
	}
}

/** As in the selftest: two sockets are bound, then six others without options. */
const SIX = ["0.0.0.0", "127.0.0.1", "[::]", "[::1]", "[::ffff:0.0.0.0]", "[::ffff:127.0.0.1]"];

describe("bind_wildcard", () => {
	for (const protocol of ["tcp", "udp"] as const) {
		for (const [test, options] of [
			["plain", ""],
			["reuse_addr", "A"],
			["reuse_port", "P"],
		] as const) {
			const programs = lines(PLACES, (_, first) =>
				lines(PLACES, (_, second) => {
					const order = [first, second, ...SIX.map((address) => PLACES.indexOf(address))];
					/** The sockets that cannot be bound, of eight bound in turn. */
					const failed = (version: string) => {
						const matrix = matrixOf(protocol, version);
						const bound: number[] = [];
						/**
						 * In 6.1.176 an IPv4 address and its v4-mapped form share a bucket of TCP,
						 * and the first of the two decides its family. So after ::ffff:0.0.0.0 a
						 * v4-mapped address does not find 0.0.0.0 either.
						 */
						const seen = (from: number, at: number) => {
							const opened = bound.indexOf(9);
							const other = version === "6.1.176" && protocol === "tcp" && from === 0;
							return other && opened >= 0 && opened < at ? 9 : from;
						};
						return order.map((to, i) => {
							const excused = i === 1 && options !== "";
							const meets =
								!excused && bound.some((from, at) => matrix[seen(from, at)][to] === "x");
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
				}),
			);
			rule(`${protocol}: bind_wildcard.${test}`, programs);
		}
	}
});

describe("IPV6_V6ONLY", () => {
	for (const { name, protocol } of kindsOf("tcp", "udp", "udplite", "mptcp", "dccp").filter(
		(kind) => kind.family === 6,
	)) {
		rule(
			`${name}: excludes v4-mapped addresses, and cannot be changed after bind()`,
			`
			${name} a b with IPV6_V6ONLY
			a bind [::ffff:127.0.0.1]:5000 = EINVAL
			a bind [::ffff:0.0.0.0]:5000 = EINVAL
			a getopt IPV6_V6ONLY 4 = 01000000${protocol === "mptcp" ? " | 6.3: EOPNOTSUPP" : ""}
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
	// The range has one port, so the second socket can only choose the port of the first.
	for (const protocol of ["tcp", "udp"] as const) {
		for (const [mine, yours] of SOME) {
			// TCP does not share a port of its own choice, UDP does.
			const excused = protocol === "udp" && shared(protocol, mine, yours, false);
			const cell = (first: number, second: number) => {
				const at = place(PLACES[first]);
				const to = place(PLACES[second]);
				const meets = (version: string) =>
					matrixOf(protocol, version)[first][second] === "x" && !excused;
				return `
					${made(protocol, "a", at, mine)}
					a bind ${at.address}:0
					${made(protocol, "b", to, yours)}
					b bind ${to.address}:0${answers(meets)}
					close a b
				`;
			};
			rule(
				`${protocol}: for a socket with ${optionNames(yours)} ${excused ? "may be" : "is not"} the port of a conflicting socket with ${optionNames(mine)}`,
				`
				sysctl ipv4.ip_local_port_range 40000 40000
				${lines(PLACES, (_, first) => lines(PLACES, (_, second) => cell(first, second)))}
				`,
			);
		}
	}
});
