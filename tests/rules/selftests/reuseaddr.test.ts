// SPDX-License-Identifier: GPL-2.0-or-later
/**
 * SO_REUSEADDR and SO_REUSEPORT: the state of buckets, and ranges with every port taken. After the
 * kernel's reuseaddr_conflict.c and reuseaddr_ports_exhausted.c.
 */
import { describe } from "vitest";
import { kindsOf, lines, rule } from "../../world.js";

describe("reuseaddr_conflict", () => {
	for (const protocol of ["tcp", "mptcp", "dccp", "sctp"]) {
		// A listener on an address, and wildcards of both families.
		for (const [mine, lo, own, other, otherAny] of [
			[`${protocol}`, "127.0.0.1", "0.0.0.0", `${protocol}6`, "[::]"],
			[`${protocol}6`, "[::1]", "[::]", `${protocol}`, "0.0.0.0"],
		] as const) {
			const options = (kind: string, option: string) =>
				kind.endsWith("6") ? `${option} IPV6_V6ONLY` : option;
			const program = (option: string, meets: string, user = 0) => `
				user ${user}
				${mine} l with ${options(mine, option)}
				l bind ${lo}:9999
				l listen 1
				user 0
				${mine} a b c with ${options(mine, option)}
				${other} x with ${options(other, option)}
				a bind ${own}:9999 = ${meets}
				x bind ${otherAny}:9999
				b bind ${own}:9999 = ${meets}
				close x
				c bind ${own}:9999 = ${meets}
			`;
			rule(
				`reuseaddr_conflict: ${mine}: a wildcard with SO_REUSEADDR conflicts with a listener on an address`,
				program("SO_REUSEADDR", "EADDRINUSE"),
			);
			rule(
				`${mine}: a wildcard with SO_REUSEPORT shares the port of a listener on an address`,
				program("SO_REUSEPORT", "0"),
			);
			rule(
				`${mine}: a wildcard with SO_REUSEPORT conflicts with a listener of another user`,
				program("SO_REUSEPORT", "EADDRINUSE", 1000),
			);
		}
	}
});

/** Whether each of two sockets has SO_REUSEADDR and SO_REUSEPORT. */
const CHOICES = [0, 1, 2, 3].flatMap((mine) =>
	[0, 1, 2, 3].map((yours) => ({
		addr: [(mine & 1) !== 0, (yours & 1) !== 0] as const,
		port: [(mine & 2) !== 0, (yours & 2) !== 0] as const,
	})),
);

type Choice = (typeof CHOICES)[number];

const options = ({ addr, port }: Choice, i: 0 | 1) =>
	[...(addr[i] ? ["SO_REUSEADDR"] : []), ...(port[i] ? ["SO_REUSEPORT"] : [])].join(" ");

describe("reuseaddr_ports_exhausted", () => {
	for (const { name, protocol, lo, any } of kindsOf(
		"tcp",
		"mptcp",
		"dccp",
		"sctp",
		"udp",
		"udplite",
	)) {
		const dgram = protocol.startsWith("udp");
		for (const reuse of [0, 1]) {
			for (const users of [
				[0, 0],
				[10, 20],
			]) {
				const same = users[0] === users[1];
				/**
				 * Whether the second socket gets the only port. `listening`: the first socket listens.
				 */
				const gets = ({ addr, port }: Choice, listening: boolean): boolean => {
					const bothAddr = addr[0] && addr[1];
					const group = port[0] && port[1] && same;
					if (protocol === "sctp") return false;
					if (dgram) return bothAddr || group;
					// The search avoids the port of a SO_REUSEPORT group, although the sockets could share it.
					return reuse === 1 && bothAddr && !group && !listening;
				};
				const sockets = (choice: Choice) =>
					lines([0, 1] as const, (i) => {
						const all = options(choice, i);
						return `user ${users[i]}\n${name} ${"ab"[i]}${all === "" ? "" : ` with ${all}`}`;
					});
				const answer = (gotten: boolean) => (gotten ? "0" : "EADDRINUSE");
				rule(
					`reuseaddr_ports_exhausted: ${name}, ip_autobind_reuse ${reuse}, ${same ? "same" : "different"} euid: bind() shares the only port as the options allow`,
					`
					sysctl ipv4.ip_local_port_range 32768 32768
					sysctl ipv4.ip_autobind_reuse ${reuse}
					${lines(CHOICES, (choice) => {
						const gotten = gets(choice, false);
						return `
							${sockets(choice)}
							a bind ${lo}:0
							b bind ${lo}:0 = ${answer(gotten)}
							${gotten && !dgram ? "a listen 5\nb listen 5 = EADDRINUSE" : ""}
							close a b
						`;
					})}
					# On the wildcard.
					${lines(CHOICES, (choice) => {
						return `
							${sockets(choice)}
							a bind ${lo}:0
							b bind ${any}:0 = ${answer(gets(choice, false))}
							close a b
						`;
					})}
					`,
				);
				if (dgram || protocol === "sctp") continue;
				rule(
					`${name}, ip_autobind_reuse ${reuse}, ${same ? "same" : "different"} euid: bind() does not choose the port of a listener`,
					`
					sysctl ipv4.ip_local_port_range 32768 32768
					sysctl ipv4.ip_autobind_reuse ${reuse}
					${lines(CHOICES, (choice) => {
						return `
							${sockets(choice)}
							a bind ${lo}:0
							a listen 5
							b bind ${lo}:0 = ${answer(gets(choice, true))}
							close a b
						`;
					})}
					`,
				);
			}
		}
	}

	for (const { name, lo } of kindsOf("tcp", "mptcp", "dccp")) {
		rule(
			`${name}: bind() chooses free ports first with ip_autobind_reuse`,
			`
			sysctl ipv4.ip_local_port_range 32768 32771
			sysctl ipv4.ip_autobind_reuse 1
			${name} a b c d e f with SO_REUSEADDR
			a bind ${lo}:0
			b bind ${lo}:0
			c bind ${lo}:0
			d bind ${lo}:0
			ports a b c d = 32768-32771
			e bind ${lo}:0
			f bind ${lo}:0
			e port = 32768..32771
			f port = 32768..32771
			`,
		);
	}
});
