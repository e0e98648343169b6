// SPDX-License-Identifier: GPL-2.0-or-later
import { describe, expect, test } from "vitest";
import { playScript, readScript } from "../../kernel-model/check/player.js";

const ROUTE = "1 socket(AF_NETLINK, SOCK_RAW|SOCK_CLOEXEC, NETLINK_ROUTE) = 3\n";
const header = (type: string, seq = 7) =>
	`{nlmsg_len=40, nlmsg_type=${type}, nlmsg_flags=NLM_F_REQUEST|NLM_F_ACK|0x600, nlmsg_seq=${seq}, nlmsg_pid=0}`;
const message = (body: string) =>
	`1 sendmsg(3, {msg_name={sa_family=AF_NETLINK, nl_pid=0, nl_groups=00000000}, msg_namelen=12, msg_iov=[{iov_base=${body}, iov_len=40}], msg_iovlen=1, msg_controllen=0, msg_flags=0}, 0) = 40\n`;
const decoded = (local: string) =>
	message(
		`[${header("RTM_NEWADDR")}, {ifa_family=AF_INET, ifa_prefixlen=32, ifa_flags=0, ifa_scope=RT_SCOPE_UNIVERSE, ifa_index=if_nametoindex("lo")}, [[{nla_len=8, nla_type=IFA_LOCAL}, inet_addr("${local}")], [{nla_len=8, nla_type=IFA_ADDRESS}, inet_addr("${local}")]]]`,
	);
/** Adds 192.0.2.10/32 to lo, as strace prints it for a program in a user namespace. */
const BYTES = message(
	String.raw`[${header("0x14 /* NLMSG_??? */")}, "\x02\x20\x00\x00\x01\x00\x00\x00\x08\x00\x02\x00\xc0\x00\x02\x0a\x08\x00\x01\x00\xc0\x00\x02\x0a"]`,
);
const answer = (error: string, seq = 7) =>
	`1 recvmsg(3, {msg_name={sa_family=AF_NETLINK, nl_pid=0, nl_groups=00000000}, msg_namelen=12, msg_iov=[{iov_base=[{nlmsg_len=36, nlmsg_type=NLMSG_ERROR, nlmsg_flags=NLM_F_CAPPED, nlmsg_seq=${seq}, nlmsg_pid=5}, {error=${error}, msg={nlmsg_len=40, nlmsg_type=0x14 /* NLMSG_??? */, nlmsg_flags=NLM_F_REQUEST, nlmsg_seq=${seq}, nlmsg_pid=0}}], iov_len=32768}], msg_iovlen=1, msg_controllen=0, msg_flags=0}, 0) = 36\n`;
const bind = (address: string, result: string, pid = 1) =>
	`${pid} socket(AF_INET, SOCK_STREAM, IPPROTO_IP) = 9
${pid} bind(9, {sa_family=AF_INET, sin_port=htons(80), sin_addr=inet_addr("${address}")}, 16) = ${result}
${pid} close(9) = 0
`;
// In a namespace that never had an address, bind() accepts every address.
const UP = "$ ip link set lo up\n";
const BAD = "-1 EADDRNOTAVAIL (Cannot assign requested address)";

function binds(text: string) {
	return playScript(readScript(text, "r"), { alone: true })
		.filter(({ call }) => call === "bind")
		.map(({ verdict }) => verdict)
		.filter((verdict) => verdict !== "ignored");
}

describe("what a program asks of rtnetlink", () => {
	test.each([
		["as strace decodes it", decoded("192.0.2.10")],
		["as bytes", BYTES],
	])("is done on the model at that moment, %s", (_, request) => {
		const before = bind("192.0.2.10", BAD);
		expect(binds(UP + before + ROUTE + request + bind("192.0.2.10", "0"))).toEqual([
			"match",
			"match",
		]);
		expect(binds(UP + bind("192.0.2.10", "0"))).toEqual(["mismatch"]);
	});

	test("is not run if the kernel refuses it", () => {
		const text = UP + ROUTE + BYTES + answer("-EPERM") + bind("192.0.2.10", BAD);
		expect(binds(text)).toEqual(["match"]);
		const done = UP + ROUTE + BYTES + answer("0") + bind("192.0.2.10", BAD);
		expect(binds(done)).toEqual(["mismatch"]);
	});

	test("counts on a socket of NETLINK_ROUTE only", () => {
		const other = ROUTE.replace("NETLINK_ROUTE", "NETLINK_GENERIC");
		expect(binds(UP + other + BYTES + bind("192.0.2.10", BAD))).toEqual(["match"]);
	});

	test("a message without a model makes later results undecided, by name", () => {
		const rule = message(`[${header("RTM_NEWRULE")}, {family=AF_INET}, []]`);
		const outcomes = playScript(readScript(UP + ROUTE + rule + bind("127.0.0.1", BAD), "r"), {
			alone: true,
		});
		const found = outcomes.find(({ verdict }) => verdict === "undecided");
		expect(found?.reason).toContain("RTM_NEWRULE");
	});

	test("ends with the process: a file opened later is no netlink socket", () => {
		const text = `${UP}1 clone(child_stack=NULL, flags=SIGCHLD) = 2
${ROUTE.replace("1 ", "2 ")}2 +++ exited with 0 +++
1 openat(AT_FDCWD, "/tmp/log", O_WRONLY) = 3
1 write(3, "2026-11-29 14:47:24"..., 133) = 133
`;
		expect(binds(text + bind("127.0.0.1", "0"))).toEqual(["match"]);
		expect(binds(text + bind("127.0.0.1", BAD))).toEqual(["mismatch"]);
	});

	test("is not run twice if the command line of ip says the same", () => {
		const ip =
			'1 execve("/sbin/ip", ["ip", "addr", "add", "192.0.2.10/32", "dev", "lo"], 0x0 /* 1 var */) = 0\n';
		const text = UP + ip + ROUTE + BYTES + answer("0") + bind("192.0.2.10", "0");
		expect(binds(text)).toEqual(["match"]);
	});

	test("is used if the command line of ip is not understood", () => {
		const ip = '1 execve("/sbin/ip", ["ip", "-batch", "-"], 0x0 /* 1 var */) = 0\n';
		const text = UP + ip + ROUTE + BYTES + answer("0");
		expect(binds(text + bind("192.0.2.10", "0"))).toEqual(["match"]);
		expect(binds(text + bind("192.0.2.11", "0"))).toEqual(["mismatch"]);
		expect(binds(UP + ip + bind("127.0.0.1", BAD))).toEqual(["undecided"]);
		expect(binds(text + bind("127.0.0.1", BAD))).toEqual(["mismatch"]);
	});
});
