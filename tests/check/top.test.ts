// SPDX-License-Identifier: GPL-2.0-or-later
/** What `record` wrote on top of a recording decides how its lines are judged. */
import { describe, expect, test } from "vitest";
import {
	type PlayOptions,
	partsOf,
	playLines,
	playScript,
	readScript,
} from "../../kernel-model/check/player.js";
import { TOP } from "../../kernel-model/script/top.js";
import { in4 } from "../text.js";

const LO = `$ ip link set dev lo up
$ ip addr replace 127.0.0.1/8 scope host dev lo
`;
const topped = (facts: string, calls: string) =>
	`${TOP}\n# kernel: 6.18.44\n${facts}# end of the top\n${calls}`;
const played = (text: string, options: PlayOptions = {}) =>
	playScript(readScript(text, "x.strace"), { version: "6.18.44", ...options }).filter(
		({ call }) => call !== "$",
	);
const verdicts = (text: string, options: PlayOptions = {}) =>
	played(text, options).map(({ verdict }) => verdict);

const PRIVILEGED = `7 1.0 socket(AF_INET, SOCK_STREAM, IPPROTO_TCP) = 3
7 1.1 bind(3, ${in4(80)}, 16) = `;
const REFUSED = `${PRIVILEGED}-1 EACCES (Permission denied)\n`;
const TAKEN = `${PRIVILEGED}0\n`;

describe("the top of a recording", () => {
	test("says which user made the calls", () => {
		const own = `# namespace: own\n${LO}`;
		const of = (user: string) => `# user: ${user}\n${own}`;
		expect(verdicts(topped(of("1000"), REFUSED))).toEqual(["match", "match"]);
		expect(verdicts(topped(of("0"), REFUSED))).toEqual(["match", "mismatch"]);
		expect(verdicts(topped(of("0"), REFUSED), { uid: 1000 })).toEqual(["match", "match"]);
	});

	test("says which capabilities the user had", () => {
		const of = (user: string) => `# user: ${user}\n# namespace: own\n${LO}`;
		const service = of("1000, capabilities: net_bind_service");
		expect(verdicts(topped(service, TAKEN))).toEqual(["match", "match"]);
		expect(verdicts(topped(service, REFUSED))).toEqual(["match", "mismatch"]);
		expect(verdicts(topped(of("0, capabilities: none"), REFUSED))).toEqual(["match", "match"]);
	});

	test("may be wrong about the user: a refused bind() then leaves its socket unbound", () => {
		const calls = `${REFUSED}7 1.2 listen(3, 5) = 0
7 1.3 getsockname(3, ${in4(45001, "0.0.0.0")}, [16]) = 0
`;
		const outcomes = played(topped(`# user: 0\n# namespace: shared\n${LO}`, calls));
		expect(new Set(outcomes.map(({ verdict }) => verdict))).toEqual(new Set(["match"]));
		expect(outcomes[1]?.learnt).toBe("the user is not root");
	});

	test("gives every capability to the maker of a user namespace", () => {
		const top = `# user: 1000, capabilities: none\n# namespace: own\n${LO}`;
		const unshare = "7 0.5 unshare(CLONE_NEWUSER|CLONE_NEWNET) = 0\n";
		expect(verdicts(topped(top, `${unshare}${TAKEN}`)).slice(1)).toEqual(["match", "match"]);
	});

	test("says whether somebody else may use the namespace", () => {
		const calls = `7 1.0 socket(AF_INET, SOCK_STREAM, IPPROTO_TCP) = 3
7 1.1 bind(3, ${in4(5000)}, 16) = -1 EADDRINUSE (Address already in use)
`;
		expect(verdicts(topped(`# namespace: own\n${LO}`, calls))[1]).toBe("mismatch");
		expect(verdicts(topped(`# namespace: shared\n${LO}`, calls))[1]).toBe("undecided");
		expect(verdicts(topped(`# namespace: shared\n${LO}`, calls), { alone: true })[1]).toBe(
			"mismatch",
		);
	});

	test("gives the sockets that were there", () => {
		const calls = `7 1.0 socket(AF_INET, SOCK_STREAM, IPPROTO_TCP) = 3
7 1.1 bind(3, ${in4(5000)}, 16) = -1 EADDRINUSE (Address already in use)
7 1.2 connect(3, ${in4(5000)}, 16) = 0
`;
		const ss = "# ss: tcp LISTEN 0 128 127.0.0.1:5000 0.0.0.0:* ino:33\n";
		const [, bind, connect] = played(topped(`# namespace: shared\n${ss}${LO}`, calls));
		expect([bind?.verdict, connect?.verdict]).toEqual(["match", "match"]);
	});

	test("gives a process its descriptors, and its threads the same", () => {
		const ss = '# ss: udp UNCONN 0 0 127.0.0.1:53 0.0.0.0:* users:(("d",pid=8,fd=5)) ino:1\n';
		const facts = `# namespace: shared\n# threads of 8: 9\n${ss}${LO}`;
		const calls = `9 1.0 getsockname(5, ${in4(53)}, [16]) = 0
9 1.1 socket(AF_INET, SOCK_DGRAM, IPPROTO_IP) = 6
8 1.2 bind(6, ${in4(54)}, 16) = 0
8 1.3 close(5) = 0
9 1.4 bind(5, ${in4(55)}, 16) = -1 EBADF (Bad file descriptor)
`;
		expect(new Set(verdicts(topped(facts, calls)))).toEqual(new Set(["match"]));
	});

	test("runs its set-up commands once", () => {
		const shows = (port: number) => `7 1.0 socket(AF_INET, SOCK_DGRAM, IPPROTO_IP) = 3
7 1.1 bind(3, ${in4(0, "192.0.2.7")}, 16) = 0
7 1.2 getsockname(3, ${in4(port, "192.0.2.7")}, [16]) = 0
`;
		// A second "ip link add" would be an error.
		const eth = `$ ip link add name eth0 type dummy
$ ip link set dev eth0 up
$ ip addr add 192.0.2.7/32 dev eth0
$ sysctl 'net.ipv4.ip_local_port_range=40000 50000'
`;
		const of = (port: number) => verdicts(topped(`# namespace: own\n${eth}`, shows(port)));
		expect(of(45000)).toEqual(["match", "match", "match"]);
		expect(of(35000)).toContain("mismatch");
	});

	test("is not an error where it is wrong; facts are then learnt", () => {
		const calls = `7 1.0 socket(AF_INET, SOCK_DGRAM, IPPROTO_IP) = 3
7 1.1 bind(3, ${in4(0, "192.0.2.7")}, 16) = 0
`;
		const wrong = "$ ip addr add 192.0.2.7/99 dev eth0\n$ sysctl net.ipv4.no_such=1\n";
		const outcomes = played(topped(`# namespace: own\n${LO}${wrong}`, calls));
		expect(outcomes.map(({ verdict }) => verdict)).toEqual(["match", "match"]);
		expect(outcomes[1]?.learnt).toBe("address 192.0.2.7");
	});

	test("is the same for a recording that is played while it is read", () => {
		const text = topped(`# user: 1000\n# namespace: own\n${LO}`, REFUSED);
		const lines = text.trimEnd().split("\n");
		const [part] = partsOf(lines[Symbol.iterator](), "x.strace");
		const top = part?.top ?? null;
		expect(top?.uid).toBe(1000);
		const items = [
			...playLines(lines, "x.strace", 0, { version: "6.18.44" }, { ahead: 4, back: 4 }, top),
		];
		const outcomes = items.flatMap((item) => (item.kind === "outcome" ? [item.outcome] : []));
		const shown = outcomes.filter(({ call }) => call !== "$").map(({ verdict }) => verdict);
		expect(shown).toEqual(["match", "match"]);
	});
});
