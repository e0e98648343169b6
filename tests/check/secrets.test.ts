// SPDX-License-Identifier: GPL-2.0-or-later
/** Results that a secret of the kernel decides. The check goes back and decides otherwise. */
import { describe, expect, it } from "vitest";
import { playScript, readScript } from "../../kernel-model/check/player.js";
import { Kernel } from "../../kernel-model/machine/kernel.js";

const ADDRESS = '{sa_family=AF_INET, sin_port=htons(81), sin_addr=inet_addr("127.0.0.1")}';

/**
 * Three listeners of a reuseport group, and a connection to one of them. A hash chooses the
 * listener.
 */
const GROUP = [
	...[3, 4, 5].flatMap((fd) => [
		`socket(AF_INET, SOCK_STREAM|SOCK_NONBLOCK, IPPROTO_IP) = ${fd}`,
		`setsockopt(${fd}, SOL_SOCKET, SO_REUSEPORT, [1], 4) = 0`,
		`bind(${fd}, ${ADDRESS}, 16) = 0`,
		`listen(${fd}, 3) = 0`,
	]),
	"socket(AF_INET, SOCK_STREAM, IPPROTO_IP) = 6",
	`connect(6, ${ADDRESS}, 16) = 0`,
];

const verdicts = (lines: readonly string[]) =>
	playScript(readScript([...GROUP, ...lines].join("\n"), "recording"), {
		version: "6.18.44",
		alone: true,
	})
		.slice(GROUP.length)
		.map(({ verdict, reason }) => (reason === null ? verdict : `${verdict}: ${reason}`));

describe("a connection to a reuseport group", () => {
	for (const closed of [3, 4, 5]) {
		const others = [3, 4, 5].filter((fd) => fd !== closed);
		const none = others.map((fd) => `accept(${fd}, NULL, NULL) = -1 EAGAIN`);

		it(`is reset with listener ${closed} where no other listener has it`, () => {
			expect(verdicts([`close(${closed}) = 0`, ...none])).toEqual(["match", "match", "match"]);
		});

		it(`is not reset with listener ${closed} where another accepts it`, () => {
			const lines = [`close(${closed}) = 0`, none[0], `accept(${others[1]}, NULL, NULL) = 7`];
			expect(verdicts(lines)).toEqual(["match", "match", "match"]);
		});

		it(`cannot be both lost and alive once listener ${closed} is closed`, () => {
			const lines = [`close(${closed}) = 0`, ...none, `getpeername(6, ${ADDRESS}, [16]) = 0`];
			expect(verdicts(lines)).toEqual([
				"match",
				"match",
				"match",
				"mismatch: the kernel says 0, the model ENOTCONN",
			]);
		});
	}
});

describe("a full queue of a reuseport group", () => {
	const from = (port: number) => ADDRESS.replace("81", String(port));
	const lines = [
		...[3, 4].flatMap((fd) => [
			`socket(AF_INET, SOCK_STREAM|SOCK_NONBLOCK, IPPROTO_IP) = ${fd}`,
			`setsockopt(${fd}, SOL_SOCKET, SO_REUSEPORT, [1], 4) = 0`,
			`bind(${fd}, ${ADDRESS}, 16) = 0`,
			`listen(${fd}, 0) = 0`, // has room for one client
		]),
		...[5, 6].flatMap((fd) => [
			`socket(AF_INET, SOCK_STREAM|SOCK_NONBLOCK, IPPROTO_IP) = ${fd}`,
			`bind(${fd}, ${from(4000 + fd)}, 16) = 0`,
			`connect(${fd}, ${ADDRESS}, 16) = -1 EINPROGRESS`,
		]),
	];
	const differ = (accepts: readonly string[]) => differIn([...lines, ...accepts]);
	const differIn = (recording: readonly string[]) =>
		playScript(readScript(recording.join("\n"), "recording"), {
			version: "6.18.44",
			alone: true,
		}).filter(({ verdict }) => verdict === "mismatch").length;
	const accept = (fd: number, port: number) =>
		`accept(${fd}, ${from(port)}, [16]) = ${port - 3998}`;

	it.each([3, 4])(
		"had room for the client that listener %i accepts: the other waits elsewhere",
		(fd) => {
			expect(differ([accept(fd, 4006), `accept(${fd}, NULL, NULL) = -1 EAGAIN`])).toBe(0);
			expect(differ([accept(fd, 4005), `accept(${fd}, NULL, NULL) = -1 EAGAIN`])).toBe(0);
		},
	);

	it.each([3, 4])("had room in listener %i for a client with the port of another one", (fd) => {
		const other = from(4005).replace("127.0.0.1", "127.0.0.2");
		const text = lines.join("\n").replace(from(4005), other).replace(from(4006), from(4005));
		const accepts = [accept(fd, 4005), `accept(${fd}, NULL, NULL) = -1 EAGAIN`];
		expect(differIn([text, ...accepts])).toBe(0);
	});

	it.each([3, 4])("did not have room for both in listener %i", (fd) => {
		expect(differ([accept(fd, 4005), accept(fd, 4006)])).toBe(1);
	});
});

describe("a connection that its listener reset", () => {
	const client = ADDRESS.replace("81", "4000");
	const lines = [
		...[3, 4, 5].flatMap((fd) => [
			`socket(AF_INET, SOCK_STREAM|SOCK_NONBLOCK, IPPROTO_IP) = ${fd}`,
			`setsockopt(${fd}, SOL_SOCKET, SO_REUSEPORT, [1], 4) = 0`,
			`bind(${fd}, ${ADDRESS}, 16) = 0`,
			`listen(${fd}, 3) = 0`,
		]),
		"socket(AF_INET, SOCK_STREAM|SOCK_NONBLOCK, IPPROTO_IP) = 6",
		`connect(6, ${ADDRESS}, 16) = -1 EINPROGRESS`,
	];
	const orders = [3, 4, 5].flatMap((one) =>
		[3, 4, 5].filter((fd) => fd !== one).map((other) => [one, other] as const),
	);

	it.each(orders)("waited in the queue of the second of two that end, %i and %i", (one, other) => {
		const ends = [
			`close(${one}) = 0`,
			`connect(6, ${ADDRESS}, 16) = 0`,
			`close(${other}) = 0`,
			`bind(6, ${client}, 16) = 0`,
		];
		const script = readScript([...lines, ...ends].join("\n"), "recording");
		const outcomes = playScript(script, { version: "6.18.44", alone: true });
		expect(outcomes.filter(({ verdict }) => verdict === "mismatch")).toEqual([]);
	});
});

describe("a client that nobody accepted", () => {
	const address =
		'{sa_family=AF_INET6, sin6_port=htons(81), sin6_flowinfo=htonl(0), inet_pton(AF_INET6, "::1", &sin6_addr), sin6_scope_id=0}';
	const group = [
		...[3, 4].flatMap((fd) => [
			`socket(AF_INET6, SOCK_STREAM|SOCK_NONBLOCK, IPPROTO_IP) = ${fd}`,
			`setsockopt(${fd}, SOL_SOCKET, SO_REUSEPORT, [1], 4) = 0`,
			`bind(${fd}, ${address}, 28) = 0`,
			`listen(${fd}, 3) = 0`,
		]),
		"socket(AF_INET6, SOCK_STREAM|SOCK_NONBLOCK, IPPROTO_IP) = 5",
		`connect(5, ${address}, 28) = -1 EINPROGRESS`,
	];
	const differing = (lines: readonly string[]) =>
		playScript(readScript([...group, ...lines].join("\n"), "recording"), {
			version: "6.18.44",
			alone: true,
		}).flatMap(({ verdict, line, reason }) => (verdict === "mismatch" ? [line, reason] : []));
	const only = (result: string) => `setsockopt(5, SOL_IPV6, IPV6_V6ONLY, [1], 4) = ${result}`;

	// A reset client gives its port up, and IPV6_V6ONLY fails for a socket that has a port.
	for (const closed of [3, 4]) {
		it(`lost its port with listener ${closed}, as IPV6_V6ONLY shows`, () => {
			expect(differing([`close(${closed}) = 0`, only("0")])).toEqual([]);
		});

		it(`kept its port without listener ${closed}, as IPV6_V6ONLY shows`, () => {
			expect(differing([`close(${closed}) = 0`, only("-1 EINVAL")])).toEqual([]);
		});
	}

	it("lost its port or kept it, as IP_PROTOCOL shows, which returns the port", () => {
		const told = (port: string) => [
			"close(4) = 0",
			`getsockopt(5, SOL_IP, IP_PROTOCOL, [${port}], [4]) = 0`,
		];
		expect(differing(told("0"))).toEqual([]);
		// getsockname() shows the port that the search chose.
		const shown = address.replace("81", "40000");
		const named = `getsockname(5, ${shown}, [28]) = 0`;
		const kept = playScript(readScript([...group, named, ...told("40000")].join("\n"), "r"), {
			version: "6.18.44",
			alone: true,
		});
		expect(kept.filter(({ verdict }) => verdict === "mismatch")).toEqual([]);
	});

	it("lost its port if both listeners are closed", () => {
		const both = ["close(3) = 0", "close(4) = 0"];
		expect(differing([...both, only("0")])).toEqual([]);
		const line = group.length + 3;
		const reason = "the kernel says EINVAL, the model 0";
		expect(differing([...both, only("-1 EINVAL")])).toEqual([line, reason]);
	});
});

describe("a datagram to a reuseport group", () => {
	const unlike = (lines: readonly string[]) => {
		const script = readScript(lines.join("\n"), "recording");
		const options = { version: "6.18.44", alone: true, settled: true };
		return playScript(script, options).filter(({ verdict }) => verdict !== "match");
	};
	const udp = (fd: number, port: number) => [
		`socket(AF_INET, SOCK_DGRAM|SOCK_NONBLOCK, IPPROTO_UDP) = ${fd}`,
		`setsockopt(${fd}, SOL_SOCKET, SO_REUSEPORT, [1], 4) = 0`,
		`bind(${fd}, ${ADDRESS.replace("81", String(port))}, 16) = 0`,
	];

	it.each([3, 4])("stands before one that arrived after the member %i connected", (fd) => {
		const lines = [
			...[...udp(3, 81), ...udp(4, 81), ...udp(5, 4005), ...udp(6, 4006)],
			`sendto(5, "a", 1, 0, ${ADDRESS}, 16) = 1`,
			`connect(${fd}, ${ADDRESS.replace("81", "4006")}, 16) = 0`,
			`sendto(6, "", 0, 0, ${ADDRESS}, 16) = 0`,
			`recvfrom(${fd}, "a", 1, MSG_DONTWAIT) = 1`,
			`recvfrom(${fd}, "", 1, MSG_DONTWAIT) = 0`,
		];
		expect(unlike(lines)).toEqual([]);
	});

	const cases = [3, 4].flatMap((first) => [4005, 4006].map((port) => [first, port] as const));
	it.each(cases)(
		"may be either of two that look alike: member %i took the one not from %i",
		(first, port) => {
			const lines = [
				...[...udp(3, 81), ...udp(4, 81), ...udp(5, 4005), ...udp(6, 4006)],
				...[5, 6].map((fd) => `sendto(${fd}, "alike", 5, 0, ${ADDRESS}, 16) = 5`),
				`recvfrom(${first}, "alike", 16, MSG_DONTWAIT, NULL, NULL) = 5`,
				`recvfrom(${7 - first}, "alike", 16, MSG_DONTWAIT, ${ADDRESS.replace("81", String(port))}, [16]) = 5`,
			];
			expect(unlike(lines)).toEqual([]);
		},
	);
});

describe("an answer of a secret", () => {
	it("is not asked for if the kernel has the secret", () => {
		const kernel = new Kernel({ secrets: [0], known: new Set(["ehash"]) });
		expect(kernel.askSecret("ehash")).toBe(false);
		expect(kernel.secrets_asked).toBe(0);
		expect(kernel.askSecret("ehash6")).toBe(true);
	});

	it("that was decided after a snapshot stays decided when the kernel goes back to it", () => {
		const secrets: number[] = [];
		const kernel = new Kernel({ secrets });
		const snapshot = kernel.snapshot();
		expect(kernel.askSecret("ehash")).toBe(false);
		secrets.push(0);
		kernel.restore(snapshot);
		expect(kernel.askSecret("ehash")).toBe(true);
	});
});
