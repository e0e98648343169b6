// SPDX-License-Identifier: GPL-2.0-or-later
/**
 * `inet-port-model matrix`: each script of tests/examples/changes shows its change, between the
 * versions that VERSIONS lists. Random draws are not a difference. Also tests the command line.
 */
import { readdirSync, readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { describe, expect, it } from "vitest";
import {
	compareVersions,
	type Difference,
	formatVersions,
	reportMatrix,
} from "../../kernel-model/check/matrix.js";
import {
	type BehaviourChange,
	CHANGES,
	Kernel,
	readScript,
	ScriptError,
	VERSIONS,
} from "../../kernel-model/index.js";
import { changesOf } from "../../kernel-model/machine/versions.js";
import { in4 } from "../text.js";

const EXAMPLES = fileURLToPath(new URL("../examples/changes/", import.meta.url));
const RECORDINGS = fileURLToPath(new URL("../recordings/", import.meta.url));

const example = (name: string) => readFileSync(`${EXAMPLES}${name}.strace`, "utf8");
const compare = (text: string): Difference[] => compareVersions(readScript(text, "test"));
/** Changes that no script shows, and why. */
const WITHOUT_SCRIPT: Readonly<Record<string, string>> = {
	"mptcp-connect-ignores-fin": "matrix passes over the data of streams",
	"mptcp-fallback-mapping": "matrix passes over the data of streams",
	"mptcp-partial-packets": "matrix passes over the data of streams",
	"mptcp-reset-is-no-end": "matrix passes over the data of streams",
	"synack-rto-max": "a script for it needs TCP_RTO_MAX_MS, so it differs by tcp-rto-max first",
	"tcp-disconnect-busy": "no call of a script comes while a connect() sleeps",
	"tcp-disconnect-epipe": "no call of a script comes while a connect() sleeps",
};

type Has = (change: string) => boolean;

/** The versions of one side, and the changes that make them. */
type Side = [side: (has: Has) => boolean, changes: string[]];

/** The second change mends the first one. */
const FASTCLOSE: Side = [
	(has) => has("mptcp-fastclose-once") && !has("mptcp-disconnect-resets"),
	["mptcp-fastclose-once", "mptcp-disconnect-resets"],
];

/**
 * Scripts whose difference depends on more than one change: the versions of one side, and the named
 * changes.
 */
const TOGETHER: Readonly<Record<string, Side>> = {
	"bhash2-addr-type": [
		(has) => has("bhash2-v4mapped-on-bind") && !has("bhash2-addr-type"),
		["bhash2-v4mapped-on-bind", "bhash2-addr-type"],
	],
	"bhash2-every-wildcard-bucket": [
		(has) => has("bhash2-dual-stack-wildcard") && !has("bhash2-every-wildcard-bucket"),
		["bhash2-dual-stack-wildcard", "bhash2-every-wildcard-bucket"],
	],
	"bhash2-v4mapped-on-bind": [
		(has) => has("bhash2-v4mapped-on-bind") && !has("bhash2-v6only-v4mapped"),
		["bhash2-v4mapped-on-bind", "bhash2-v6only-v4mapped"],
	],
	"bhash2-v6only-v4mapped": [
		(has) => has("bhash2-v4mapped-on-bind") && !has("bhash2-v6only-v4mapped"),
		["bhash2-v4mapped-on-bind", "bhash2-v6only-v4mapped"],
	],
	"mptcp-syn-fallback": [
		(has) => !has("mptcp-set-up-while-closed") || has("mptcp-syn-fallback"),
		["mptcp-set-up-while-closed", "mptcp-syn-fallback"],
	],
	"udp-reuseport-rescored": [
		(has) => has("udp-reuseport-rescored") && !has("udp-hash4"),
		["udp-reuseport-rescored", "udp-hash4"],
	],
	"udp-reuseport-rescored-upwards": [
		(has) => !has("udp-reuseport-rescored") || has("udp-reuseport-rescored-upwards"),
		["udp-reuseport-rescored", "udp-reuseport-rescored-upwards"],
	],
	// 6.1 has both functions, but refuses MSG_FASTOPEN.
	"mptcp-fastopen-unconnects": [
		(has) => has("mptcp-msg-fastopen") && has("mptcp-fastopen-unconnects"),
		["mptcp-fastopen-unconnects"],
	],
	"mptcp-fastclose-once": FASTCLOSE,
	"mptcp-disconnect-resets": FASTCLOSE,
};

/**
 * The results of the versions with the change, and of the others, on the first line that differs.
 */
const ANSWERS: Readonly<Record<string, [yes: string, no: string]>> = {
	"bhash2-addr-type": ["0", "EADDRINUSE"],
	"backlog-zero-holds-one": ["EAGAIN", "5 127.0.0.1"],
	"bhash2-dual-stack-wildcard": ["EADDRINUSE", "0"],
	"bhash2-every-wildcard-bucket": ["0", "EADDRINUSE"],
	"bhash2-v4mapped-address": ["EADDRINUSE", "0"],
	"bhash2-v4mapped-on-bind": ["EADDRINUSE", "0"],
	"bhash2-v4mapped-wildcard": ["EADDRINUSE", "0"],
	"bhash2-v6only-v4mapped": ["EADDRINUSE", "0"],
	"bind2-device-of-bucket": ["EADDRINUSE", "0"],
	"connect-range-step-1": ["0", "0"],
	"datagram-connect-keeps-device": ["0 [0]", "0 [1]"],
	"dccp-removed": ["ESOCKTNOSUPPORT", "3"],
	"fastreuse-recomputed": ["0", "EADDRNOTAVAIL"],
	"first-bind-not-fast": ["EADDRINUSE", "0"],
	"mptcp-accepted-set-up": ["0", "EINVAL"],
	"mptcp-defer-accept-succeeds": ["0", "EINVAL"],
	"mptcp-disconnect-resets": ["EINVAL", "0"],
	"mptcp-fastclose-once": ["EINVAL", "0"],
	"mptcp-getsockopt-flags": ["0 [1]", "EOPNOTSUPP"],
	"mptcp-keepalive": ["0 [7200]", "EOPNOTSUPP"],
	"mptcp-linger-zero-aborts": ["ENOTCONN", "0 127.0.0.1"],
	"mptcp-set-up-while-closed": ["EINVAL", "0"],
	"mptcp-tcp-options-refused": ["ENOPROTOOPT", "EOPNOTSUPP"],
	"mptcp-fastopen-unconnects": ["EINPROGRESS", "EISCONN"],
	"udp6-connect-changes-cork": ["ECONNREFUSED", "1"],
	"mptcp-msg-fastopen": ["EISCONN", "EOPNOTSUPP"],
	"mptcp-local-port-range": ["0", "ENOPROTOOPT"],
	"mptcp-subflow-shutdown": ["0", "EADDRINUSE"],
	"mptcp-syn-fallback": ["0", "EINVAL"],
	"orphan-uid": ["0", "EADDRINUSE"],
	"port-step-width": ["0", "ENOENT"],
	"prefsrc-removed-on-every-device": ["0 2001:db8:2::1", "0 2001:db8:1::1"],
	"sctp-accept-clones": ["0", "EADDRINUSE"],
	"sctp-l3mdev": ["0", "EADDRINUSE"],
	"sctp-listen-resets-state": ["EAGAIN", "0"],
	"sctp-listener-shutdown": ["0", "EOPNOTSUPP"],
	"simultaneous-synack-accepted": ["0", "EALREADY"],
	"ip-protocol-option": ["0 [5000]", "ENOPROTOOPT"],
	"so-linger-clamp": ["0 [1, -1752346657]", "0 [1, 17179866]"],
	"source-address-within-vrf": ["0 192.0.2.1", "0 198.51.100.1"],
	"syn-recv-shutdown-deferred": ["ENOTCONN", "0"],
	"tcp-rto-max": ["0", "ENOPROTOOPT"],
	"tcp-rto-min-option": ["0", "ENOPROTOOPT"],
	"tcp-rto-min-us": ["0", "ENOENT"],
	"tcp-syn-linear-timeouts": ["EADDRINUSE", "0"],
	"tcp-tw-reuse-delay": ["0", "ENOENT"],
	"tw-fin-wait2-not-reused": ["EADDRNOTAVAIL", "0"],
	"udp-child-hash-entries": ["0", "ENOENT"],
	"udp-hash4": ["ECONNREFUSED", "1"],
	"udp-hash4-reconnect": ["ECONNREFUSED", "1"],
	"udp-reuseport-rescored": ["0 [111]", "0 [0]"],
	"udp-reuseport-rescored-upwards": ["0 [0]", "0 [111]"],
	"udp-wildcard-hash2-shortcut-fixed": ["EADDRINUSE", "0"],
	"udplite-removed": ["EPROTONOSUPPORT", "3"],
};

describe("a change", () => {
	it("that is modelled has a script, or a reason why not", () => {
		const changes: readonly BehaviourChange[] = CHANGES;
		const modelled = changes
			.filter((change) => change.modelled && !change.internal)
			.map(({ name }) => name);
		const scripts = readdirSync(EXAMPLES).map((file) => file.replace(/\.strace$/, ""));
		expect([...scripts, ...Object.keys(WITHOUT_SCRIPT)].sort()).toEqual(modelled.sort());
		expect(Object.keys(ANSWERS).sort()).toEqual(scripts.sort());
	});

	it.each(Object.keys(ANSWERS))("%s shows in its script, on the versions that have it", (name) => {
		const [side, changes] = TOGETHER[name] ?? [(has: Has) => has(name), [name]];
		const expected = new Map(
			VERSIONS.map(({ name: version, has }) => [
				version,
				side((change) => has.includes(change)) ? "yes" : "no",
			]),
		);
		const found = compare(example(name));
		expect(found.length).toBeGreaterThan(0);
		const [first] = found;
		expect(first.changes).toEqual(changes);
		expect(first.answers).toHaveLength(2);
		const [yes, no] = ANSWERS[name];
		for (const { versions, result, error, address, value } of first.answers) {
			const sides = new Set(versions.map((version) => expected.get(version)));
			expect([...sides]).toHaveLength(1);
			const told = address?.address ?? value;
			const answer = `${error ?? result}${told === undefined ? "" : ` ${told}`}`;
			expect(answer).toBe(sides.has("yes") ? yes : no);
		}
		// Only this change makes lines differ.
		if (TOGETHER[name] === undefined) {
			for (const difference of found) expect(difference.changes).toEqual(changes);
		}
		const change = CHANGES.find((change) => change.name === name);
		const release = change?.since ?? change?.backports.join(", ");
		expect(example(name)).toMatch(`# change: ${name}; first release ${release}\n`);
	});
});

describe("the script of tcp-tw-reuse-delay", () => {
	it.each(["0.2", "0.5", "0.8"])("shows the same %s s later", (seconds) => {
		const text = example("tcp-tw-reuse-delay").replace("\nclose(4)", `\n$ sleep ${seconds}$&`);
		const answers = compare(text).map(({ answers }) =>
			answers.map(({ error, result }) => error ?? result),
		);
		expect(answers).toEqual([
			["ENOENT", 0],
			[0, "EADDRNOTAVAIL"],
			["EADDRNOTAVAIL", 0],
		]);
	});
});

describe("a version", () => {
	it("may be written as another version with changes added and removed", () => {
		const base = changesOf("6.3") ?? new Set();
		expect(changesOf("6.3+orphan-uid")).toEqual(new Set([...base, "orphan-uid"]));
		expect(changesOf("6.3+orphan-uid-sctp-l3mdev+udplite-removed")).toEqual(
			new Set([...base, "orphan-uid", "udplite-removed"].filter((name) => name !== "sctp-l3mdev")),
		);
		for (const wrong of ["6.3+", "6.3-", "6.3+orphan", "6.3+orphan-uidx", "6.2+orphan-uid", "+"]) {
			expect(changesOf(wrong), wrong).toBe(null);
			expect(() => new Kernel({ version: wrong })).toThrow(RangeError);
		}
	});

	it("is shown in a range with the versions that follow it", () => {
		expect(formatVersions(["6.4", "6.5", "6.6", "6.9", "7.1", "7.2", "7.3"])).toBe(
			"6.4 – 6.6, 6.9, 7.1 – 7.2, 7.3",
		);
	});
});

describe("versions do not differ", () => {
	it("by ports that they draw", () => {
		expect(
			compare(`socket(AF_INET, SOCK_STREAM, IPPROTO_IP)
bind(3, ${in4(0)}, 16)
listen(3, 8)
getsockname(3)
socket(AF_INET, SOCK_STREAM, IPPROTO_IP)
connect(4, ${in4("port_of(3)")}, 16)
getsockname(4)
accept(3)
socket(AF_INET, SOCK_DGRAM, IPPROTO_IP)
bind(6, ${in4(0)}, 16)
getsockname(6)
socket(AF_INET6, SOCK_STREAM, IPPROTO_SCTP)
listen(7, 8)
getsockname(7)
`),
		).toEqual([]);
	});

	it("by the member of a group that a secret hash chooses", () => {
		const group = (fd: number) => `socket(AF_INET, SOCK_STREAM|SOCK_NONBLOCK, IPPROTO_IP)
setsockopt(${fd}, SOL_SOCKET, SO_REUSEPORT, [1], 4)
bind(${fd}, ${in4(5000)}, 16)
listen(${fd}, 8)
`;
		const clients = Array.from(
			{ length: 8 },
			(_, i) => `socket(AF_INET, SOCK_STREAM, IPPROTO_IP)
connect(${i + 6}, ${in4(5000)}, 16)
`,
		);
		const accepts = [3, 4, 5].map((fd) => `accept(${fd})\n`.repeat(4));
		const text = `${group(3)}${group(4)}${group(5)}${clients.join("")}${accepts.join("")}`;
		expect(compare(text)).toEqual([]);
	});

	it("in an empty script", () => {
		expect(compare("")).toEqual([]);
	});

	it.each(["load", "redis", "three_ways-closing"])("in the recording %s", (name) => {
		const file = `${RECORDINGS}${name}.strace`;
		expect(compareVersions(readScript(readFileSync(file, "utf8"), file))).toEqual([]);
	});
});

describe("a recorded result", () => {
	it("decides nothing", () => {
		const bare = example("first-bind-not-fast");
		const results = ["3", "0", "0", "0", "4", "0", "-1 ETIMEDOUT (Connection timed out)"];
		const calls = bare.trimEnd().split("\n");
		const recorded = calls.map((call) =>
			call.startsWith("#") ? call : `${call} = ${results.shift()}`,
		);
		expect(recorded.at(-1)).toContain("ETIMEDOUT");
		expect(compare(recorded.join("\n"))).toEqual(compare(bare));
	});

	it("supplies descriptors, processes and drawn ports", () => {
		const differences = compare(`10 socket(AF_INET, SOCK_STREAM, IPPROTO_IP) = 7
10 bind(7, ${in4(0)}, 16) = 0
10 clone(child_stack=NULL, flags=CLONE_CHILD_SETTID|SIGCHLD) = 11
11 listen(7, 5) = 0
11 getsockname(7, ${in4(45000)}, [16]) = 0
10 socket(AF_INET, SOCK_DGRAM, IPPROTO_UDPLITE) = 20
10 bind(20, ${in4(0)}, 16) = 0
10 socket(AF_INET, SOCK_STREAM, IPPROTO_IP) = 9
10 connect(9, ${in4(45000)}, 16) = 0
10 getsockname(9, ${in4(45001)}, [16]) = 0
11 +++ exited with 0 +++
`);
		const without = VERSIONS.filter(({ has }) => has.includes("udplite-removed")).map(
			({ name }) => name,
		);
		expect(differences).toEqual([
			{
				line: 6,
				call: "socket",
				text: "socket(AF_INET, SOCK_DGRAM, IPPROTO_UDPLITE)",
				answers: [
					{ versions: expect.arrayContaining(["7.0"]), result: 20 },
					{ versions: without, result: -93, error: "EPROTONOSUPPORT" },
				],
				changes: ["udplite-removed"],
			},
			{
				line: 7,
				call: "bind",
				text: `bind(20, ${in4(0)}, 16)`,
				answers: [
					{ versions: expect.arrayContaining(["7.0"]), result: 0, port: expect.any(Number) },
					{ versions: without, result: -9, error: "EBADF" },
				],
				changes: ["udplite-removed"],
			},
		]);
	});
});

describe("a port", () => {
	it("differs if one version cannot choose the port of the other", () => {
		const [connect] = compare(readFileSync(`${EXAMPLES}../range.strace`, "utf8"));
		expect(connect).toMatchObject({ call: "connect", changes: ["connect-range-step-1"] });
		// Of four ports 40002 is reserved. A step of two visits 40000 first.
		expect(connect.answers.map(({ error, port }) => [error, port])).toEqual([
			["EINPROGRESS", 40000],
			["EINPROGRESS", expect.toSatisfy((port) => port === 40001 || port === 40003)],
		]);
	});
});

describe("the changes behind a difference", () => {
	it("are all that change the result", () => {
		const sockets = `socket(AF_INET, SOCK_DGRAM, IPPROTO_UDPLITE)
socket(AF_INET, SOCK_DCCP, IPPROTO_DCCP)
socket(AF_INET, SOCK_STREAM, IPPROTO_IP)
`;
		const [, , tcp] = compare(sockets);
		expect(tcp.answers.map(({ result }) => result)).toEqual([5, 4, 3]);
		expect(tcp.changes).toEqual(["dccp-removed", "udplite-removed"]);
	});

	it("are a pair if neither alone changes the result", () => {
		// The kernel must accept the option and search every port of the range.
		const text = `$ sysctl -w net.ipv4.ip_local_port_range="50000 50002"
$ sysctl -w net.ipv4.ip_local_reserved_ports=50000-50001
socket(AF_INET, SOCK_STREAM, IPPROTO_IP)
bind(3, ${in4(80)}, 16)
listen(3, 8)
socket(AF_INET, SOCK_STREAM, IPPROTO_MPTCP)
setsockopt(4, SOL_IP, IP_LOCAL_PORT_RANGE, [50002<<16|50000], 4)
connect(4, ${in4(80)}, 16)
`;
		const connect = compare(text).find(({ call }) => call === "connect");
		expect(connect?.answers.map(({ error, port }) => error ?? port)).toEqual([
			"EADDRNOTAVAIL",
			50002,
		]);
		expect(connect?.changes).toEqual(["connect-range-step-1+mptcp-local-port-range"]);
	});
});

describe("the report", () => {
	const plain = (_style: string, text: string) => text;

	it("shows lines, versions, answers and changes", () => {
		const script = readScript(example("dccp-removed"), "dccp.strace");
		expect(reportMatrix(script, false, plain)).toMatchObject({
			differ: true,
			output: `dccp.strace:3: socket(AF_INET, SOCK_DCCP, IPPROTO_DCCP)
    6.1.176 – 6.15: 3
    6.16 – 7.3:     ESOCKTNOSUPPORT
    # dccp-removed (6.16, 2a63dd0edf38)
# dccp.strace: 1 of 1 lines differ between versions: dccp-removed
`,
		});
	});

	it("shows the arguments that a recorded program passed", () => {
		const [, name] = compare(`${example("udp-wildcard-hash2-shortcut-fixed")}
getsockname(14, ${in4(0, "0.0.0.0")}, [16]) = 0
`);
		expect(name.text).toBe("getsockname(14, ...)");
	});

	it("is the same each time", () => {
		const text = example("connect-range-step-1");
		expect(compare(text)).toEqual(compare(text));
	});

	it("is an error for a line that no version can play", () => {
		for (const text of ["bind(3, {oops", "$ sysctl -w net.ipv4.nope=1", "$ ip link set nope up"]) {
			expect(() => compare(text), text).toThrow(ScriptError);
		}
	});
});
