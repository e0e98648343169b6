// SPDX-License-Identifier: GPL-2.0-or-later
/**
 * The hash of a TCP four-tuple in each version. The numbers come from a C program that was written
 * only from the published description of lookup3's hashword().
 */
import { describe, expect, it } from "vitest";
import { Kernel } from "../../kernel-model/index.js";
import { parseIpv4, parseIpv6 } from "../../kernel-model/machine/address.js";
import { inet_ehashfn } from "../../net/ipv4/inet_hashtables.js";
import { inet6_ehashfn } from "../../net/ipv6/inet6_hashtables.js";

/** A kernel with the secrets of the C program. */
function withSecrets(version: string) {
	const k = new Kernel({ version, seed: 1 });
	const { net } = k.createNet();
	net.hash_mix = 0x9e3779b9;
	k.inet_ehash_secret = 0x01020304;
	k.inet6_ehash_secret = 0x0a0b0c0d;
	k.ipv6_hash_secret = 0xf00dcafe;
	return { k, net };
}

type Tuple = readonly [laddr: string, lport: number, faddr: string, fport: number];

function hashOf(version: string, [laddr, lport, faddr, fport]: Tuple): number {
	const { k, net } = withSecrets(version);
	const [l4, f4] = [parseIpv4(laddr), parseIpv4(faddr)];
	if (l4 !== null && f4 !== null) return inet_ehashfn(k, net, l4, lport, f4, fport);
	const [l6, f6] = [parseIpv6(laddr), parseIpv6(faddr)];
	if (l6 === null || f6 === null) throw new Error("no address");
	return inet6_ehashfn(k, net, l6, 0, lport, f6, 0, fport);
}

const LOOPBACK4: Tuple = ["127.0.0.1", 40001, "192.0.2.7", 443];
const OTHER4: Tuple = ["192.0.2.10", 65535, "198.51.100.1", 1];
const LOOPBACK6: Tuple = ["::1", 40001, "2001:db8::7", 443];
const OTHER6: Tuple = ["2001:db8:1:2:3:4:5:6", 65535, "2001:db8:ffff:1:2:3:4:5", 1];

describe("the hash of a four-tuple", () => {
	for (const [versions, tuple, hash] of [
		[["6.3", "6.1.176", "6.14"], LOOPBACK4, 0xcec7f64a],
		[["6.15", "6.18.44", "7.3"], LOOPBACK4, 0x7469dc7e],
		[["6.3", "6.1.176", "6.14"], OTHER4, 0x92b561c8],
		[["6.15", "6.18.44", "7.3"], OTHER4, 0x0d6aa1e3],
		[["6.3", "6.4"], LOOPBACK6, 0x8af5d40a],
		[["6.1.176", "6.5", "6.14"], LOOPBACK6, 0x3c5bfd03],
		[["6.15", "7.0"], LOOPBACK6, 0x03ff6d94],
		[["7.1", "7.3"], LOOPBACK6, 0x0c16c357],
		[["6.3", "6.4"], OTHER6, 0xc9015b55],
		[["6.1.176", "6.5", "6.14"], OTHER6, 0x277d8895],
		[["6.15", "7.0"], OTHER6, 0xc3a77bd9],
		[["7.1", "7.3"], OTHER6, 0x034c2589],
	] as const) {
		for (const version of versions) {
			it(`of ${tuple.join(" ")} is 0x${hash.toString(16)} in ${version}`, () => {
				expect(hashOf(version, tuple)).toBe(hash);
			});
		}
	}

	it("moves by the distance of the local ports since 6.15, over both families", () => {
		for (const version of ["6.15", "7.3"]) {
			for (const tuple of [OTHER4, OTHER6]) {
				const [laddr, lport, faddr, fport] = tuple;
				const other = hashOf(version, [laddr, lport - 1000, faddr, fport]);
				expect((hashOf(version, tuple) - other) >>> 0).toBe(1000);
			}
		}
	});

	it("does not depend on the network part of the local IPv6 address before 7.1", () => {
		const [, lport, faddr, fport] = OTHER6;
		const net = (laddr: string): Tuple => [laddr, lport, faddr, fport];
		const same = (version: string) =>
			hashOf(version, net("2001:db8:1::7")) === hashOf(version, net("2001:db8:2::7"));
		expect(["6.3", "6.5", "7.0", "7.1", "7.3"].map(same)).toEqual([true, true, true, false, false]);
	});
});
