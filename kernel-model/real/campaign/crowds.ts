// SPDX-License-Identifier: GPL-2.0-or-later
/**
 * Programs that random ones reach too seldom: every option of every kind of socket, and more
 * sockets on one port than a search by port looks at one by one.
 */
import { nth } from "../../machine/nth.js";
import { SeededRandom } from "../../machine/random.js";
import { type Abilities, KINDS, type Kind } from "./abilities.js";
import { in4, in6 } from "./endpoint.js";
import { FLAGS, READ } from "./vocabulary.js";

const FAMILIES = ["AF_INET", "AF_INET6"] as const;
type Family = (typeof FAMILIES)[number];

function socketOf(kind: Kind, family: Family): string {
	const { name, protocol } = KINDS[kind];
	return `socket(${family}, ${name}|SOCK_NONBLOCK, ${protocol})`;
}

/** For each kind and family: each option set and read. */
export function optionPrograms(able: Abilities): string[][] {
	const flags = new Map(FLAGS.map(([level, name]) => [`${level}, ${name}`, true]));
	const programs: string[][] = [];
	for (const kind of able.kinds) {
		for (const family of FAMILIES) {
			const lines = [socketOf(kind, family)];
			for (const option of flags.keys()) {
				lines.push(`getsockopt(3, ${option})`);
				lines.push(`setsockopt(3, ${option}, [1], 4)`, `getsockopt(3, ${option})`);
			}
			lines.push("setsockopt(3, SOL_IP, IP_LOCAL_PORT_RANGE, [2621480000], 4)");
			for (const [level, name] of READ)
				if (!flags.has(`${level}, ${name}`)) lines.push(`getsockopt(3, ${level}, ${name})`);
			programs.push(lines);
		}
	}
	return programs;
}

const PORT = "5000";
const MOST = 24;

/**
 * Sockets of one kind on one port, at random, without end: at many addresses, with few options, and
 * some that close or listen.
 */
export function* crowdPrograms(able: Abilities, seed: number): Generator<string[]> {
	const random = new SeededRandom(seed ^ 0x5bd1e995);
	const below = (ceil: number) => random.__get_random_u32_below(ceil);
	// Most conflicts are those of TCP and UDP.
	const kinds: Kind[] = [...able.kinds, "tcp", "udp", "udp"];
	for (;;) {
		const kind = nth(kinds, below(kinds.length));
		const [withOption, withSix] = [below(4), below(4)];
		const addresses = 1 + below(20);
		const sockets = below(2) === 0 ? 3 + below(4) : 12 + below(MOST - 12);
		// A wildcard socket refuses most of those that come after it.
		const wildcardsFrom = below(2) === 0 ? 0 : Math.floor(sockets * 0.7);
		const open: number[] = [];
		const lines: string[] = [];
		for (let i = 0; i < sockets; i++) {
			const six = below(4) < withSix;
			let fd = 3;
			while (open.includes(fd)) fd++;
			open.push(fd);
			lines.push(socketOf(kind, six ? "AF_INET6" : "AF_INET"));
			for (const option of ["SOL_SOCKET, SO_REUSEADDR", "SOL_SOCKET, SO_REUSEPORT"])
				if (below(6) < withOption) lines.push(`setsockopt(${fd}, ${option}, [1], 4)`);
			if (six && below(4) === 0) lines.push(`setsockopt(${fd}, SOL_IPV6, IPV6_V6ONLY, [1], 4)`);
			const early = i < wildcardsFrom;
			const one = `127.0.0.${1 + (early ? i : below(addresses))}`;
			const four = !early && below(3) === 0 ? "0.0.0.0" : one;
			const wide = early ? 2 : below(3);
			const address = wide === 0 ? "::" : wide === 1 ? "::1" : `::ffff:${four}`;
			lines.push(
				six ? `bind(${fd}, ${in6(PORT, address)}, 28)` : `bind(${fd}, ${in4(PORT, four)}, 16)`,
			);
			if ((kind === "tcp" || kind === "mptcp") && below(8) === 0) lines.push(`listen(${fd}, 1)`);
			if (!early && below(6) === 0) {
				const [closed = fd] = open.splice(below(open.length), 1);
				lines.push(`close(${closed})`);
			}
		}
		yield lines;
	}
}
