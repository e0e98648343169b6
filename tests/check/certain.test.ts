// SPDX-License-Identifier: GPL-2.0-or-later
/**
 * A difference that no choice can explain is a mismatch at once, with the rule. Other differences
 * are searched.
 */
import { describe, expect, it } from "vitest";
import { playScript, readScript } from "../../kernel-model/index.js";
import { in4 } from "../text.js";

/** A listener, and a client whose port no call shows. */
const BEGIN = `socket(AF_INET, SOCK_STREAM, IPPROTO_IP) = 3
bind(3, ${in4(8080)}, 16) = 0
listen(3, 5) = 0
socket(AF_INET, SOCK_STREAM, IPPROTO_IP) = 4
connect(4, ${in4(8080)}, 16) = 0
`;
const accept = (port: number, fd: number) => `accept(3, ${in4(port)}, [16 => 16]) = ${fd}\n`;

function last(text: string, alone = true) {
	const outcomes = playScript(readScript(text, "certain.strace"), { version: "6.18", alone });
	return outcomes[outcomes.length - 1];
}

describe("a client that accept() tells of", () => {
	it("cannot have a port that no call named and that was in no range", () => {
		const { verdict, reason } = last(BEGIN + accept(7, 5));
		expect(verdict).toBe("mismatch");
		expect(reason).toContain("no client can have port 7: no call named it, and it was in no range");
	});

	it("may have a port of the range that was in effect at its connect()", () => {
		const ranged = `$ sysctl -w net.ipv4.ip_local_port_range="2001 2003"\n${BEGIN}$ sysctl -w net.ipv4.ip_local_port_range="50000 50001"\n`;
		expect(last(ranged + accept(2001, 5)).verdict).toBe("match");
	});

	it("may have bound to it", () => {
		const bound = BEGIN.replace("connect", `bind(4, ${in4(7)}, 16) = 0\nconnect`);
		expect(last(bound + accept(7, 5)).verdict).toBe("match");
	});

	it("may be outside the recording, if the program did not have its namespace to itself", () => {
		expect(last(BEGIN + accept(7, 5), false).verdict).toBe("undecided");
	});

	it("is not accepted twice while both ends are open", () => {
		const other = `socket(AF_INET, SOCK_STREAM, IPPROTO_IP) = 6\nconnect(6, ${in4(8080)}, 16) = 0\n`;
		const twice = BEGIN + accept(40000, 5) + other + accept(40000, 7);
		const { verdict, reason } = last(twice);
		expect(verdict).toBe("mismatch");
		expect(reason).toContain("was accepted before, and both its ends are open");
		expect(last(BEGIN + accept(40000, 5) + other + accept(40002, 7)).verdict).toBe("match");
	});

	it("is accepted again after its first connection was reset", () => {
		const reset = `setsockopt(4, SOL_SOCKET, SO_LINGER, {l_onoff=1, l_linger=0}, 8) = 0\nclose(4) = 0\n`;
		const again = `socket(AF_INET, SOCK_STREAM, IPPROTO_IP) = 4\nconnect(4, ${in4(8080)}, 16) = 0\n`;
		expect(last(BEGIN + accept(40000, 5) + reset + again + accept(40000, 6)).verdict).toBe("match");
	});
});

describe("a port that is refused", () => {
	const bind = (port: number) =>
		`socket(AF_INET, SOCK_STREAM, IPPROTO_IP) = 6\nbind(6, ${in4(port)}, 16) = -1 EADDRINUSE (Address already in use)\n`;

	it("cannot be another socket's if no call named it and it was in no range", () => {
		const { verdict, reason } = last(BEGIN + bind(9999));
		expect(verdict).toBe("mismatch");
		expect(reason).toContain("no socket of the recording can have port 9999");
	});

	it("may be the port of a client that no call shows", () => {
		expect(last(BEGIN + bind(40000)).verdict).toBe("match");
	});
});

describe("a port that a search chose", () => {
	it("was in a range", () => {
		const chosen = `socket(AF_INET, SOCK_STREAM, IPPROTO_IP) = 6
bind(6, ${in4(0)}, 16) = 0
getsockname(6, ${in4(2002)}, [16 => 16]) = 0
`;
		const text = BEGIN + chosen;
		const bind = playScript(readScript(text, "certain.strace"), { version: "6.18", alone: true });
		expect(bind.find(({ verdict }) => verdict === "mismatch")?.reason).toContain(
			"no search can choose port 2002: it was in no range",
		);
		expect(last(`$ sysctl -w net.ipv4.ip_local_port_range="2001 2003"\n${text}`).verdict).toBe(
			"match",
		);
	});
});

describe("a small recording", () => {
	it("is searched to the end: the second port of a range that connect() never comes to differs", () => {
		const ranged = `$ sysctl -w net.ipv4.ip_local_port_range="2001 2003"\n${BEGIN}`;
		expect(last(ranged + accept(2002, 5)).verdict).toBe("mismatch");
	});

	it("moves the clock of a line once: with a port in TIME_WAIT, another that is refused differs", () => {
		const calls = `${BEGIN}getsockname(4, ${in4(40000)}, [16 => 16]) = 0
${accept(40000, 5)}close(4) = 0
close(5) = 0
socket(AF_INET, SOCK_STREAM, IPPROTO_IP) = 4
bind(4, ${in4(40010)}, 16) = -1 EADDRINUSE (Address already in use)`;
		const stamped = calls.split("\n").map((line, i) => `${(1000 + i / 100).toFixed(6)} ${line}`);
		expect(last(`${stamped.join("\n")}\n`).verdict).toBe("mismatch");
	});
});
