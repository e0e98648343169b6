// SPDX-License-Identifier: GPL-2.0-or-later
/**
 * Conflicts between sockets of both families on a port. The basic rule: an IPv6 socket that is open
 * to IPv4 counts as an IPv4 socket and an IPv6 socket, and a v4-mapped address is the IPv4 address.
 * A table lists the versions with exceptions.
 */
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import {
	type Address,
	EADDRINUSE,
	IPV6_V6ONLY,
	Kernel,
	SO_BINDTODEVICE,
	SO_REUSEADDR,
	SO_REUSEPORT,
	SOL_IPV6,
	SOL_SOCKET,
} from "../../kernel-model/index.js";
import { addr } from "./addresses.js";
import { addressesMeet, type Protocol } from "./oracle.js";
import { always } from "./replay.js";
import { open } from "./sockets.js";

const PORT = 40_000;
/** Slots of UDP's table. Ports that differ by a multiple of it share a chain. */
const SLOTS = 256;
/** With this many more sockets UDP searches a port by address. */
const CROWD = 12;

/** Addresses of sockets. "::, IPv6 only" has IPV6_V6ONLY. */
const PLACES = [
	"0.0.0.0",
	"127.0.0.1",
	"192.0.2.10",
	"::",
	"::, IPv6 only",
	"::1",
	"2001:db8::10",
	"::ffff:0.0.0.0",
	"::ffff:127.0.0.1",
	"::ffff:192.0.2.10",
] as const;
type Place = (typeof PLACES)[number];

const VERSIONS = ["6.3", "6.1.176", "6.12.107", "6.18.44"] as const;
type Version = (typeof VERSIONS)[number];
const PROTOCOLS: readonly Protocol[] = ["tcp", "udp", "udplite"];

/** A socket, and how it is bound and used. */
interface Step {
	place: Place;
	/** SO_REUSEADDR, SO_REUSEPORT. */
	reuse?: boolean;
	group?: boolean;
	device?: boolean;
	listen?: boolean;
}

interface Setting {
	version: Version;
	protocol: Protocol;
	/** UDP: more sockets on the chain of the port. */
	crowd: boolean;
}

const addressOf = (place: Place) => place.split(",")[0];

/** Binds sockets to the port one after another. Returns the results. */
function attempt({ version, protocol, crowd }: Setting, steps: readonly Step[]): number[] {
	const tables = { ehash: 64, bhash: 64, lhash2: 16, udp: SLOTS };
	const kernel = new Kernel({ version, tables });
	const net = kernel.createNet();
	net.addAddress("192.0.2.10/32", "lo");
	net.addAddress("2001:db8::10/128", "lo");
	const task = kernel.createTask({ net });
	for (let i = 1; crowd && i <= CROWD; i++) {
		const { fd, name } = open(task, protocol, "0.0.0.0");
		expect(task.bind(fd, { ...name, port: PORT + i * SLOTS })).toBe(0);
	}
	return steps.flatMap(({ place, reuse, group, device, listen }) => {
		const { fd, name } = open(task, protocol, addressOf(place));
		if (place.endsWith("only")) task.setsockopt(fd, SOL_IPV6, IPV6_V6ONLY, 1);
		if (reuse) task.setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, 1);
		if (group) task.setsockopt(fd, SOL_SOCKET, SO_REUSEPORT, 1);
		if (device) {
			const lo = Uint8Array.from([..."lo"].map((letter) => letter.charCodeAt(0)));
			task.setsockopt(fd, SOL_SOCKET, SO_BINDTODEVICE, lo);
		}
		const bound = task.bind(fd, { ...name, port: PORT });
		const heard = bound === 0 && listen && protocol === "tcp" ? task.listen(fd, 1) : 0;
		kernel.verify();
		// Closes sockets that did not get the port, so that only the others count.
		if (bound !== 0) task.close(fd);
		return [bound, heard];
	});
}

function is(place: Place, ...kinds: ("IPv4" | "mapped" | "IPv6" | "wildcard" | "one")[]): boolean {
	const { kind, wildcard } = addr(addressOf(place));
	return kinds.every((which) =>
		which === "wildcard" ? wildcard : which === "one" ? !wildcard : which === kind,
	);
}

/** An exception: a socket gets the port although it conflicts with another one. */
interface Exception {
	version: Version;
	protocol: "tcp" | "udp";
	/** Only with a crowded chain. */
	crowd?: true;
	newcomer: (place: Place) => boolean;
	there: (place: Place) => boolean;
	reason: string;
}

const EXCEPTIONS: readonly Exception[] = [
	{
		version: "6.3",
		protocol: "tcp",
		newcomer: (place) => is(place, "IPv4", "one"),
		there: (place) => is(place, "IPv6", "wildcard"),
		reason: "inet_bind2_bucket_match_addr_any takes buckets of the newcomer's family only",
	},
	{
		version: "6.3",
		protocol: "tcp",
		newcomer: (place) => is(place, "IPv4", "one"),
		there: (place) => is(place, "mapped", "wildcard"),
		reason: "as above; and a mapped wildcard is no wildcard to it",
	},
	{
		version: "6.3",
		protocol: "tcp",
		newcomer: (place) => is(place, "IPv4", "one"),
		there: (place) => is(place, "mapped", "one"),
		reason: "inet_bind2_bucket_addr_match: buckets of two families are never of one address",
	},
	{
		version: "6.1.176",
		protocol: "tcp",
		newcomer: (place) => is(place, "mapped", "one"),
		there: (place) => is(place, "mapped", "wildcard"),
		reason:
			"inet_use_hash2_on_bind sends a mapped address to bhash2, where inet_bind2_bucket_match_addr_any takes only :: of its family for a wildcard (seen on Debian's 6.1.176)",
	},
	{
		version: "6.3",
		protocol: "udp",
		crowd: true,
		newcomer: (place) => is(place, "wildcard"),
		there: (place) => is(place, "one"),
		reason:
			"udp_lib_get_port looks for more than ten by address: of the newcomer and of the wildcard, which are one here",
	},
];

/** Whether a version misses a conflict. */
function missed({ version, protocol, crowd }: Setting, newcomer: Place, there: Place): boolean {
	return EXCEPTIONS.some(
		(exception) =>
			exception.version === version &&
			exception.protocol === (protocol === "tcp" ? "tcp" : "udp") &&
			(exception.crowd === undefined || crowd) &&
			exception.newcomer(newcomer) &&
			exception.there(there),
	);
}

/** The plain rule. */
function meet(a: Place, b: Place): boolean {
	const [one, other] = [a, b].map((place) => {
		const address = addr(addressOf(place));
		const closed = place.endsWith("only") || is(place, "IPv6", "one");
		return { family: address.family, address, v6only: closed };
	});
	return addressesMeet(one, other);
}

describe("two sockets on a port", () => {
	for (const version of VERSIONS) {
		for (const protocol of PROTOCOLS) {
			for (const crowd of protocol === "tcp" ? [false] : [false, true]) {
				const setting = { version, protocol, crowd };
				const title = `${protocol} on ${version}${crowd ? ", with a crowd" : ""}`;
				it(`conflict if their addresses overlap: ${title}`, () => {
					const wrong: string[] = [];
					for (const there of PLACES) {
						for (const newcomer of PLACES) {
							const results = attempt(setting, [{ place: there }, { place: newcomer }]);
							const fails = meet(newcomer, there) && !missed(setting, newcomer, there);
							const expected = [0, 0, fails ? -EADDRINUSE : 0, 0];
							if (results.join() === expected.join()) continue;
							wrong.push(`${there}, then ${newcomer}: ${results}, not ${expected}`);
						}
					}
					expect(wrong).toEqual([]);
				});
			}
		}
	}
	it("share it in every exception of the table although their addresses overlap", () => {
		for (const { version, protocol, crowd = false, newcomer, there } of EXCEPTIONS) {
			const pairs = PLACES.filter(there).flatMap((a) =>
				PLACES.filter((b) => newcomer(b) && meet(a, b)).map((b) => [a, b] as const),
			);
			expect(pairs.length).toBeGreaterThan(0);
			for (const [a, b] of pairs) {
				const results = attempt({ version, protocol, crowd }, [{ place: a }, { place: b }]);
				expect(results).toEqual([0, 0, 0, 0]);
			}
		}
	});
});

/** Results of Debian's kernel, run by tests/recordings/programs/vm.sh. */
describe("on 6.1.176", () => {
	const debian = { version: "6.1.176", crowd: false } as const;
	/** Whether each socket gets the port. */
	const got = (protocol: Protocol, ...steps: Step[]) =>
		attempt({ ...debian, protocol }, steps)
			.filter((_, i) => i % 2 === 0)
			.map((bound) => bound === 0);

	it("the first socket on the IPv4 wildcard decides how later ones are found", () => {
		const ipv4: Step = { place: "0.0.0.0", reuse: true };
		const mapped: Step = { place: "::ffff:0.0.0.0", reuse: true };
		const newcomer: Step = { place: "::ffff:127.0.0.1" };
		expect(got("tcp", ipv4, mapped, newcomer)).toEqual([true, true, false]);
		expect(got("tcp", mapped, ipv4, newcomer)).toEqual([true, true, true]);
		expect(got("tcp", mapped, newcomer)).toEqual([true, true]);
		expect(got("tcp", ipv4, newcomer)).toEqual([true, false]);
	});

	it("the last of several sockets on a UDP port decides, but IPv6 sockets of a group count as the oldest", () => {
		const alone: Step = { place: "127.0.0.1" };
		const member: Step = { place: "192.0.2.10", group: true };
		const member6: Step = { place: "::ffff:192.0.2.10", group: true };
		const newcomer: Step = { place: "0.0.0.0", group: true };
		expect(got("udp", alone, member, newcomer)).toEqual([true, true, true]);
		expect(got("udp", member, alone, newcomer)).toEqual([true, true, false]);
		expect(got("udp", alone, member6, newcomer)).toEqual([true, true, false]);
		expect(got("udp", member6, alone, newcomer)).toEqual([true, true, false]);
	});

	for (const [protocol, stand_in] of [
		["udp", -EADDRINUSE],
		["tcp", 0],
	] as const) {
		it(`an IPv6 connection of ${protocol} conflicts with 0.0.0.0 as an IPv4 socket does`, () => {
			const kernel = new Kernel({ version: "6.1.176" });
			const task = kernel.createTask({ net: kernel.createNet() });
			const server = open(task, protocol, "::1");
			const to = { ...server.name, port: 9999 };
			task.setsockopt(server.fd, SOL_IPV6, IPV6_V6ONLY, 1);
			task.bind(server.fd, to);
			task.listen(server.fd, 1);
			const { fd: client } = open(task, protocol, "::1");
			expect(task.connect(client, to)).toBe(0);
			const { port } = task.getsockname(client) as Address;
			const results = [
				"0.0.0.0",
				"127.0.0.6",
				"127.0.0.1",
				"::ffff:0.0.0.0",
				"::ffff:127.0.0.6",
			].map((place) => {
				const { fd, name } = open(task, protocol, place);
				const result = task.bind(fd, { ...name, port });
				task.close(fd);
				return result;
			});
			// TCP searches by the address and does not find IPv4 sockets there.
			expect(results).toEqual([-EADDRINUSE, stand_in, 0, 0, 0]);
		});
	}
});

const step: fc.Arbitrary<Step> = fc.record({
	place: fc.constantFrom(...PLACES),
	reuse: fc.boolean(),
	device: fc.nat(3).map((n) => n === 3),
	listen: fc.nat(2).map((n) => n === 2),
});

const scene = fc.record({
	version: fc.constantFrom(...VERSIONS),
	protocol: fc.constantFrom<Protocol>("tcp", "tcp", "udp", "udplite"),
	crowd: fc.boolean(),
	others: fc.array(step, { maxLength: 5 }),
	/** The socket in question, and the socket that is bound after it. */
	it: step,
	next: step,
});

/** The result of the last bind(). */
const last = (results: readonly number[]) => results.at(-2);

describe("among sockets on a port", { timeout: 600_000 }, () => {
	it("a socket open to both families gets the port if a socket of each family would", () => {
		always(scene, { seed: 41, runs: 400 }, ({ others, it, ...setting }) => {
			const result = (place: Place) => last(attempt(setting, [...others, { ...it, place }]));
			const one = [result("0.0.0.0"), result("::, IPv6 only")];
			expect(result("::")).toBe(one.includes(-EADDRINUSE) ? -EADDRINUSE : 0);
		});
	});

	it("a socket open to both families conflicts with a socket if one of the two families would", () => {
		always(scene, { seed: 42, runs: 400 }, ({ others, it, next, ...setting }) => {
			const both = attempt(setting, [...others, { ...it, place: "::" }, next]);
			const each = attempt(setting, [
				...others,
				{ ...it, place: "0.0.0.0" },
				{ ...it, place: "::, IPv6 only" },
				next,
			]);
			// Only if both get the port and may listen.
			if (both.slice(-4, -2).some((result) => result !== 0)) return;
			expect(each.slice(-6, -2)).toEqual([0, 0, 0, 0]);
			if (missed(setting, next.place, "::")) {
				expect(last(both)).toBe(last(attempt(setting, [...others, next])));
			} else {
				expect(last(both)).toBe(last(each));
			}
		});
	});

	it("a v4-mapped address conflicts as the IPv4 address", () => {
		const mapped = (place: Place): Place =>
			is(place, "IPv4") ? (`::ffff:${place}` as Place) : place;
		const ipv4 = fc.constantFrom<Place>("0.0.0.0", "127.0.0.1", "192.0.2.10");
		const input = fc.record({ scene, place: ipv4 });
		always(input, { seed: 43, runs: 400 }, ({ scene, place }) => {
			const { others, it, next, ...setting } = scene;
			const plain = { ...it, place };
			const six = { ...it, place: mapped(place) };
			// The socket as the last one to be bound.
			const all = [...others, plain, next].map((other) => other.place);
			if (all.some((there) => missed(setting, place, there) || missed(setting, six.place, there))) {
				return;
			}
			const results = attempt(setting, [...others, plain, next]);
			expect(attempt(setting, [...others, six, next])).toEqual(
				missed(setting, next.place, six.place)
					? [...results.slice(0, -2), last(attempt(setting, [...others, next])), results.at(-1)]
					: results,
			);
		});
	});
});
