// SPDX-License-Identifier: GPL-2.0-or-later
/** The table of refused ports against a set of all that it was told. It may forget, but not invent. */
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { RefusedPorts } from "../../include/net/refused_ports.js";
import { Kernel } from "../../kernel-model/index.js";
import { always } from "./replay.js";

const DEFAULTS = { seed: 18, runs: 500 };

/** The ports of a range, [LOW, HIGH[. */
const LOW = 40_000;
const HIGH = 40_012;
const PORTS = HIGH - LOW;
const RESERVED = 40_007;

const port = fc.integer({ min: LOW, max: HIGH - 1 });
const address = fc.constantFrom(0, 0x7f000001, 0x7f000002, 0xc000020a, 0xc000020b, 0xffffffff);
const key = fc.record({ net: fc.constantFrom(1, 2), saddr: address, daddr: address, dport: port });
type Key = { net: number; saddr: number; daddr: number; dport: number };
const step = fc.record({ does: fc.constantFrom("add", "add", "add", "forget"), key, port });
const steps = fc.array(step, { minLength: 1, maxLength: 60 });

const named = ({ net, saddr, daddr, dport }: Key, port: number) =>
	[net, saddr, daddr, dport, port].join();
const plain = (key: Key): Key => ({ ...key, daddr: 0, dport: 0 });

const kernel = new Kernel();
const nets = [1, 2].map(() => {
	const net = kernel.createNet();
	net.setSysctl("net.ipv4.ip_local_reserved_ports", `${RESERVED}`);
	return net.net;
});

/** Ports from `from` on, `step` apart, as __inet_hash_connect visits them. */
const visited = (from: number, step: number) =>
	Array.from({ length: PORTS / step }, (_, n) => LOW + ((from - LOW + n * step) % PORTS));

describe("the table of refused ports", () => {
	for (const ways of [1, 4] as const) {
		it(`has no record that it was not told, or was told to forget: ${ways} ways`, () => {
			always(fc.tuple(steps, fc.constantFrom(1, 2, 3, 1 << 14)), DEFAULTS, ([steps, keys]) => {
				const table = new RefusedPorts(ways, keys);
				const told = new Set<string>();
				for (const { does, key: whole, port } of steps) {
					const key = ways === 4 ? plain(whole) : whole;
					if (does === "add") {
						table.remember(key.net, key.saddr, key.daddr, key.dport, port, PORTS);
						told.add(named(key, port));
						const records = [...table].map((record) => record.join());
						expect(records).toContain(named(key, port));
					} else if (ways === 4) {
						table.forgetPort(key.net, port);
						for (const name of told) {
							if (name.startsWith(`${key.net},`) && name.endsWith(`,${port}`)) told.delete(name);
						}
					} else {
						table.forget(key.net, key.saddr, key.daddr, key.dport, port);
						told.delete(named(key, port));
					}
					for (const record of table) expect(told).toContain(record.join());
				}
			});
		});
	}

	it("passes over its records of a key and reserved ports, and stops at the first other port", () => {
		always(
			fc.tuple(steps, key, port, fc.constantFrom(1, 2)),
			DEFAULTS,
			([steps, key, from, step]) => {
				const table = new RefusedPorts(1);
				for (const { key: other, port } of steps) {
					const { net, saddr, daddr, dport } = port % 2 === 0 ? key : other;
					table.remember(net, saddr, daddr, dport, port, PORTS);
				}
				const { net, saddr, daddr, dport } = key;
				const records = new Set([...table].map((record) => record.join()));
				const passes = (port: number) => port === RESERVED || records.has(named(key, port));
				const open = visited(from, step).findIndex((port) => !passes(port));
				const space = nets[net - 1];
				const i = table.skip(space, saddr, daddr, dport, from, HIGH, PORTS, step, step, 0);
				expect(i).toBe(open < 0 ? PORTS : open * step);
				if (open >= 0) expect(table.port).toBe(visited(from, step)[open]);
			},
		);
	});

	it("passes over the chains whose ports are all recorded or reserved", () => {
		always(
			fc.tuple(steps, key, port, fc.constantFrom(3, 7, 15)),
			DEFAULTS,
			([steps, key, first, mask]) => {
				const table = new RefusedPorts(4);
				for (const { key: other, port } of steps) {
					const { net, saddr } = port % 4 === 0 ? other : key;
					table.remember(net, saddr, 0, 0, port, PORTS);
				}
				const records = new Set([...table].map((record) => record.join()));
				const passes = (port: number) => port === RESERVED || records.has(named(plain(key), port));
				const ofChain = (chain: number) =>
					visited(LOW, 1).filter((port) => (port & mask) === chain);
				const firsts = Array.from({ length: mask + 1 }, (_, n) => first + n);
				const open = firsts.find((first) => !ofChain(first & mask).every(passes)) ?? -1;
				const last = first + mask + 1;
				const space = nets[key.net - 1];
				expect(table.skipChains(space, key.saddr, mask, LOW, HIGH - 1, first, last)).toBe(open);
			},
		);
	});
});
