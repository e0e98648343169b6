// SPDX-License-Identifier: GPL-2.0-or-later
/** Evidence about the port of a disconnected socket, played without a search. */
import { describe, expect, it } from "vitest";
import { Player, readScript } from "../../kernel-model/check/player.js";
import { in4 } from "../text.js";

const SETUP = `$ ip addr add 192.0.2.10/32 dev lo
$ ip route add 198.51.100.0/24 dev lo
$ sysctl -w net.ipv4.ip_local_port_range="50000 59999"
`;
const FAR = in4(80, "198.51.100.1");
const UNSPEC = `{sa_family=AF_UNSPEC, sa_data="\\0\\0\\0\\0\\0\\0\\0\\0\\0\\0\\0\\0\\0\\0"}`;
const socket = (fd: number) => `socket(AF_INET, SOCK_STREAM|SOCK_NONBLOCK, IPPROTO_IP) = ${fd}`;
const name = (fd: number, address: string) => `getsockname(${fd}, ${address}, [128 => 16]) = 0`;

const differences = (lines: string[]) =>
	[...new Player(readScript(SETUP + lines.join("\n"), "recording")).play()]
		.filter(({ verdict }) => verdict === "mismatch")
		.map(({ text, reason }) => `${text}: ${reason}`);

describe("getsockname() after a connect() was ended", () => {
	it("shows the port that the connect() chose, after AF_UNSPEC", () => {
		const lines = [
			socket(3),
			`connect(3, ${FAR}, 16) = -1 EINPROGRESS`,
			`connect(3, ${UNSPEC}, 16) = 0`,
			name(3, in4(53232, "0.0.0.0")),
		];
		expect(differences(lines)).toEqual([]);
	});

	it("shows the port that bind() named, after another connect()", () => {
		const lines = [
			socket(3),
			`bind(3, ${in4(40000, "0.0.0.0")}, 16) = 0`,
			`connect(3, ${FAR}, 16) = -1 EINPROGRESS`,
			`connect(3, ${UNSPEC}, 16) = 0`,
			`connect(3, ${FAR}, 16) = -1 EINPROGRESS`,
			name(3, in4(40000, "192.0.2.10")),
		];
		expect(differences(lines)).toEqual([]);
	});

	it("shows the port that the next connect() chose", () => {
		const lines = [
			socket(3),
			`connect(3, ${FAR}, 16) = -1 EINPROGRESS`,
			name(3, in4(53232, "192.0.2.10")),
			`connect(3, ${UNSPEC}, 16) = 0`,
			`connect(3, ${FAR}, 16) = -1 EINPROGRESS`,
			name(3, in4(53246, "192.0.2.10")),
		];
		expect(differences(lines)).toEqual([]);
	});

	it("shows the port that bind() chose if AF_UNSPEC found no connection", () => {
		const lines = [
			socket(3),
			`bind(3, ${in4(0)}, 16) = 0`,
			`connect(3, ${UNSPEC}, 16) = 0`,
			name(3, in4(53233)),
		];
		expect(differences(lines)).toEqual([]);
	});
});

describe("accept() shows the port of a client", () => {
	const listener = [socket(3), `bind(3, ${in4(51009)}, 16) = 0`, "listen(3, 100) = 0", socket(4)];
	const accepted = [
		`connect(4, ${in4(51009)}, 16) = -1 EINPROGRESS`,
		`accept4(3, ${in4(58914)}, [128 => 16], SOCK_NONBLOCK) = 5`,
	];

	it("of a listener that shut down what it sends, which goes on listening", () => {
		expect(differences([...listener, "shutdown(3, SHUT_WR) = 0", ...accepted])).toEqual([]);
	});

	it("that was connected elsewhere before, with a port that getsockname() showed", () => {
		const before = [
			`connect(4, ${FAR}, 16) = -1 EINPROGRESS`,
			name(4, in4(53232, "192.0.2.10")),
			"shutdown(4, SHUT_RDWR) = 0",
		];
		expect(differences([...listener, ...before, ...accepted])).toEqual([]);
	});
});
