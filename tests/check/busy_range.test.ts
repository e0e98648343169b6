// SPDX-License-Identifier: GPL-2.0-or-later
import { describe, expect, test } from "vitest";
import { playScript, readScript } from "../../kernel-model/check/player.js";
import { in4 } from "../text.js";

const SETUP =
	'$ sysctl -w net.ipv4.ip_local_port_range="40000 40003" net.ipv4.ip_local_reserved_ports=40001\n';
const bind = (fd: number, port: number, result = "") =>
	`socket(AF_INET, SOCK_STREAM, 0)${result === "" ? "" : ` = ${fd}`}
bind(${fd}, ${in4(port)}, 16)${result}
`;
const outcomesOf = (text: string) => playScript(readScript(SETUP + text, "s"));

describe("a range without a free port", () => {
	test("a script that meets it prints figures", () => {
		const text = [bind(3, 40000), bind(4, 40002), bind(5, 40003), bind(6, 0)].join("");
		const last = outcomesOf(text).at(-1);
		expect(last?.result).toBe(-98);
		expect(last?.explanation).toEqual([
			expect.stringMatching(
				/^of the 4 ports 40000-40003 at this moment: 0 free, 3 taken, 1 reserved/,
			),
		]);
	});

	test("a mismatch has figures, on either side", () => {
		const busy = "= -1 EADDRINUSE (Address already in use)";
		const free = outcomesOf(bind(3, 40000, " = 0") + bind(4, 0, ` ${busy}`)).at(-1);
		expect(free?.verdict).toBe("mismatch");
		expect(free?.reason).toMatch(/of the 4 ports 40000-40003 at this moment: [1-9] free/);
		const all = [40000, 40002, 40003].map((port, i) => bind(3 + i, port, " = 0")).join("");
		const none = outcomesOf(all + bind(6, 0, " = 0")).at(-1);
		expect(none?.reason).toContain("0 free, 3 taken, 1 reserved");
	});

	test("no figures are printed if the program named the port", () => {
		const last = outcomesOf(bind(3, 40000) + bind(4, 40000)).at(-1);
		expect(last?.explanation).toEqual([]);
	});

	const client = (fd: number, result = "") =>
		`socket(AF_INET, SOCK_STREAM, 0)${result === "" ? "" : ` = ${fd}`}
connect(${fd}, {sa_family=AF_INET, sin_port=htons(80), sin_addr=inet_addr("127.0.0.1")}, 16)${result}
`;
	const listener = (result = "") => `${bind(3, 80, result)}listen(3, 8)${result}\n`;

	test("connect() counts the ports for its own destination", () => {
		const last = outcomesOf(listener() + [4, 5, 6, 7].map((fd) => client(fd)).join("")).at(-1);
		expect(last?.result).toBe(-99);
		expect(last?.explanation).toEqual([
			expect.stringMatching(/^of the 4 ports .*: 0 free, 3 taken, 1 reserved, 0 in TIME_WAIT/),
		]);
		// For another destination port all ports are free.
		const other = client(7).replace("80", "81");
		const text = `${bind(9, 81)}listen(9, 8)\n`.replaceAll("9,", "4,");
		const clients = [5, 6, 7].map((fd) => client(fd)).join("");
		const free = outcomesOf(listener() + text + clients + other.replace("7,", "8,")).at(-1);
		expect(free?.result).toBe(0);
	});

	test("connect() counts the ports in TIME_WAIT, and says for how long", () => {
		const twice = [4, 4].map(() => `${client(4)}accept(3)\nclose(4)\nclose(5)\n`).join("");
		const last = outcomesOf(listener() + twice + client(4) + client(5)).at(-1);
		expect(last?.result).toBe(-99);
		expect(last?.explanation[0]).toMatch(/1 taken, 1 reserved, 2 in TIME_WAIT \(.* in 60\.0 s/);
	});

	test("a mismatch of connect() has figures, on either side", () => {
		const none = "= -1 EADDRNOTAVAIL (Cannot assign requested address)";
		const begin = listener(" = 0") + client(4, " = 0");
		const free = outcomesOf(begin + client(5, ` ${none}`)).at(-1);
		expect(free?.verdict).toBe("mismatch");
		expect(free?.reason).toContain("of the 4 ports 40000-40003 at this moment: 2 free, 1 taken");
		const more = [5, 6].map((fd) => client(fd, " = 0")).join("");
		const full = outcomesOf(begin + more + client(7, " = 0")).at(-1);
		expect(full?.verdict).toBe("mismatch");
		expect(full?.reason).toContain("0 free, 3 taken, 1 reserved");
	});

	test("the port that the kernel chose is checked for the destination of the connect()", () => {
		const shown = (fd: number, port: number) =>
			`${client(fd, " = 0")}getsockname(${fd}, ${in4(port)}, [16]) = 0\n`;
		const all = shown(4, 40000) + shown(5, 40002) + shown(6, 40003);
		const found = outcomesOf(listener(" = 0") + all + shown(7, 40002));
		const last = found.find(({ verdict }) => verdict === "mismatch");
		expect(last?.call).toBe("connect");
		expect(last?.reason).toContain("port 40002: the four-tuple is in use by fd 5");
		expect(last?.reason).toContain("0 free, 3 taken, 1 reserved");
	});

	test("a datagram that is sent has figures", () => {
		const send = (fd: number) => `socket(AF_INET, SOCK_DGRAM, 0)
sendto(${fd}, "x", 1, 0, {sa_family=AF_INET, sin_port=htons(9), sin_addr=inet_addr("127.0.0.1")}, 16)
`;
		const last = outcomesOf([3, 4, 5, 6].map(send).join("")).at(-1);
		expect(last?.result).toBe(-11);
		expect(last?.explanation).toEqual([expect.stringContaining("0 free, 3 taken, 1 reserved")]);
	});

	test("the figures do not change later results", () => {
		const script = `${listener()}${[4, 5, 6, 7].map((fd) => client(fd)).join("")}close(4)\n$ sleep 61\n${client(4)}getsockname(4)\n`;
		const parsed = readScript(SETUP + script, "s");
		const texts = [true, false].map((explain) =>
			playScript(parsed, { explain, seed: 5 }).map(({ text }) => text),
		);
		expect(texts[0]).toEqual(texts[1]);
	});
});
