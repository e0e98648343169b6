// SPDX-License-Identifier: GPL-2.0-or-later
/** `matrix` plays a script once for all versions that it cannot tell apart. */
import { describe, expect, it } from "vitest";
import { compareVersions, type Difference } from "../../kernel-model/check/matrix.js";
import { readScript, VERSIONS } from "../../kernel-model/index.js";
import { in4 } from "../text.js";

function compare(text: string): { differences: Difference[]; plays: number } {
	let plays = 0;
	const differences = compareVersions(readScript(text, "test"), (count) => {
		plays = count;
	});
	return { differences, plays };
}

const CONNECT = `$ ip addr add 192.0.2.10/32 dev lo
$ ip route add default dev lo
socket(AF_INET, SOCK_STREAM|SOCK_NONBLOCK, IPPROTO_IP)
connect(3, ${in4(80, "198.51.100.1")}, 16)
socket(AF_INET, SOCK_STREAM|SOCK_CLOEXEC|SOCK_NONBLOCK, 0)
connect(4, ${in4(80, "198.51.100.1")}, 16)
`;

describe("a script that asks for no change", () => {
	it("is played once for each seed and each set of ports that searches chose", () => {
		const { differences, plays } = compare(CONNECT);
		expect(differences).toEqual([]);
		// Four seeds choose four pairs of ports, and each of them is a wish.
		expect(plays).toBe(8);
	});
});

describe("versions are told apart", () => {
	const having = (change: string) =>
		VERSIONS.filter(({ has }) => has.includes(change)).map(({ name }) => name);

	it.each([
		["socket(AF_INET, SOCK_DGRAM, IPPROTO_UDPLITE)", "udplite-removed"],
		["socket(AF_INET6, SOCK_DGRAM, 136)", "udplite-removed"],
		["socket(AF_INET, 6, 0)", "dccp-removed"],
		["socket(AF_INET, SOCK_DCCP, IPPROTO_DCCP)", "dccp-removed"],
	])("by %s: %s", (call, change) => {
		const { differences } = compare(`${CONNECT}${call}\n`);
		expect(differences).toHaveLength(1);
		expect(differences[0]?.changes).toEqual([change]);
		expect(differences[0]?.answers.map(({ versions }) => versions)).toContainEqual(having(change));
	});

	describe.each([
		["tcp_syn_linear_timeouts", "tcp-syn-linear-timeouts", 3],
		["tcp_tw_reuse_delay", "tcp-tw-reuse-delay", 3],
		["ip_local_port_step_width", "port-step-width", 3],
		["udp_child_hash_entries", "udp-child-hash-entries", 4],
	])("by the sysctl %s, which older kernels do not have", (file, change, value) => {
		it.each([
			["sysctl", `$ sysctl -w net.ipv4.${file}=${value}\n`],
			[
				"write()",
				`openat(AT_FDCWD, "/proc/sys/net/ipv4/${file}", O_WRONLY)\nwrite(3, "${value}", 1)\n`,
			],
		])("in a %s", (_, script) => {
			const { differences } = compare(script);
			expect(differences.flatMap(({ changes }) => changes)).toEqual([change]);
			const answers = differences.flatMap(({ answers }) => answers);
			expect(answers.find(({ error }) => error !== "ENOENT")?.versions).toEqual(having(change));
			expect(answers).toHaveLength(2);
		});
	});

	it("by the time at which a SYN that nobody answers is given up", () => {
		const { differences } = compare(`$ ip addr add 192.0.2.10/32 dev lo
$ ip route add default dev lo answer blackhole
$ sysctl -w net.ipv4.tcp_syn_retries=3
socket(AF_INET, SOCK_STREAM|SOCK_NONBLOCK, IPPROTO_IP)
connect(3, ${in4(80, "203.0.113.1")}, 16)
$ sleep 17
getpeername(3)
getsockopt(3, SOL_SOCKET, SO_ERROR, NULL, [4])
`);
		expect(differences.flatMap(({ changes }) => changes)).toContain("tcp-syn-linear-timeouts");
	});
});
