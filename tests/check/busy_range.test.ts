// SPDX-License-Identifier: GPL-2.0-or-later
import { describe, expect, test } from "vitest";
import { playScript, readScript } from "../../kernel-model/check/player.js";

const SETUP =
	'$ sysctl -w net.ipv4.ip_local_port_range="40000 40003" net.ipv4.ip_local_reserved_ports=40001\n';
const bind = (fd: number, port: number, result = "") =>
	`socket(AF_INET, SOCK_STREAM, 0)${result === "" ? "" : ` = ${fd}`}
bind(${fd}, {sa_family=AF_INET, sin_port=htons(${port}), sin_addr=inet_addr("127.0.0.1")}, 16)${result}
`;
const outcomesOf = (text: string) => playScript(readScript(SETUP + text, "s"));

describe("a range without a free port", () => {
	test("is told in figures by a script that meets it", () => {
		const text = [bind(3, 40000), bind(4, 40002), bind(5, 40003), bind(6, 0)].join("");
		const last = outcomesOf(text).at(-1);
		expect(last?.result).toBe(-98);
		expect(last?.explanation).toEqual([
			expect.stringMatching(
				/^of the 4 ports 40000-40003 at this moment: 0 free, 3 taken, 1 reserved/,
			),
		]);
	});

	test("is told in figures by a mismatch, on either side", () => {
		const busy = "= -1 EADDRINUSE (Address already in use)";
		const free = outcomesOf(bind(3, 40000, " = 0") + bind(4, 0, ` ${busy}`)).at(-1);
		expect(free?.verdict).toBe("mismatch");
		expect(free?.reason).toMatch(/of the 4 ports 40000-40003 at this moment: [1-9] free/);
		const all = [40000, 40002, 40003].map((port, i) => bind(3 + i, port, " = 0")).join("");
		const none = outcomesOf(all + bind(6, 0, " = 0")).at(-1);
		expect(none?.reason).toContain("0 free, 3 taken, 1 reserved");
	});

	test("is no matter where a port was named", () => {
		const last = outcomesOf(bind(3, 40000) + bind(4, 40000)).at(-1);
		expect(last?.explanation).toEqual([]);
	});
});
