// SPDX-License-Identifier: GPL-2.0-or-later
/**
 * Scripts and recordings of IPv6 and UDP: reading of AF_INET6 addresses and messages in strace's
 * styles, UDP calls that choose a port, and comparisons.
 */
import { describe, expect, it } from "vitest";
import {
	type Outcome,
	Player,
	type PlayOptions,
	playScript,
	readScript,
} from "../../kernel-model/check/player.js";
import { Recording } from "../../kernel-model/check/recording.js";
import { errnoName } from "../../kernel-model/index.js";
import type { Address } from "../../kernel-model/machine/address.js";
import { Operands } from "../../kernel-model/script/operands.js";
import { type CallLine, ScriptError } from "../../kernel-model/script/strace.js";
import { in4, in6 } from "../text.js";

const DEVICES: Readonly<Record<string, number>> = { lo: 1, dummy0: 7 };

const operandsOf = (call: CallLine) =>
	new Operands(
		"script",
		call,
		() => 0,
		(name) => DEVICES[name] ?? null,
	);

function callOf(text: string): CallLine {
	const [line] = readScript(text, "script").lines;
	if (line?.kind !== "call") throw new Error(`not a call: ${text}`);
	return line;
}

/** The operands of a call. */
const read = (text: string): Operands => operandsOf(callOf(text));

/** The address that a bind() passes. */
const bound = (struct: string, length = 28): Address | null | undefined =>
	read(`bind(3, ${struct}, ${length}) = 0`).sockaddr(1, length)?.address;

const address6 = (port: number, address = "::1", scope_id = 0, flowinfo = 0): Address => ({
	family: "AF_INET6",
	address,
	port,
	flowinfo,
	scope_id,
});

describe("an address of AF_INET6", () => {
	it.each([
		["as strace prints it", in6(8080), address6(8080)],
		["with a device", in6(1, "fe80::1", 'if_nametoindex("lo")'), address6(1, "fe80::1", 1)],
		[
			"with another device",
			in6(1, "ff02::1", 'if_nametoindex("dummy0")'),
			address6(1, "ff02::1", 7),
		],
		["with the number of a device", in6(1, "fe80::1", 9), address6(1, "fe80::1", 9)],
		["with the largest scope", in6(1, "::1", 4294967295), address6(1, "::1", 4294967295)],
		[
			"with flow information",
			in6(80).replace("htonl(0)", "htonl(291)"),
			address6(80, "::1", 0, 291),
		],
		["v4-mapped", in6(80, "::ffff:127.0.0.1"), address6(80, "::ffff:127.0.0.1")],
		["that is not written the shortest way", in6(80, "0:0::01"), address6(80)],
		[
			"as -X raw prints it",
			String.raw`{sa_family=0xa, sin6_port="\x13\x88", sin6_flowinfo="\x00\x00\x01\x23", sin6_addr="\xfe\x80\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x01", sin6_scope_id=1}`,
			address6(5000, "fe80::1", 1, 291),
		],
		[
			"as -X verbose prints it",
			String.raw`{sa_family=0xa /* AF_INET6 */, sin6_port="\x13\x88" /* htons(5000) */, sin6_flowinfo="\x00\x00\x01\x23" /* htonl(291) */, sin6_addr="\xfe\x80\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x01" /* inet_pton(AF_INET6, "fe80::1") */, sin6_scope_id=1 /* if_nametoindex("lo") */}`,
			address6(5000, "fe80::1", 1, 291),
		],
		[
			"written by hand without the fields that are 0",
			'{sa_family=AF_INET6, sin6_port=htons(80), sin6_addr=inet_pton(AF_INET6, "2001:db8::1")}',
			address6(80, "2001:db8::1"),
		],
	])("is read %s", (_, struct, address) => {
		expect(bound(struct)).toEqual(address);
	});

	it("may be too short for its scope, and missing bytes count as 0", () => {
		const whole =
			'{sa_family=AF_INET6, sin6_port=htons(7000), sin6_flowinfo=htonl(5), inet_pton(AF_INET6, "::1", &sin6_addr)}';
		expect(bound(whole, 24)).toEqual(address6(7000, "::1", 0, 5));
		const part = String.raw`{sa_family=AF_INET6, sa_data="\33X\0\0\0\5\0\0\0\0\0\0\0\0"}`;
		expect(bound(part, 16)).toEqual(address6(7000, "::", 0, 5));
		const most = String.raw`{sa_family=AF_INET6, sa_data="\33X\0\0\0\5 \1\r\270\0\0\0\0\0\0\0\0\0\0\0"}`;
		expect(bound(most, 23)).toEqual(address6(7000, "2001:db8::", 0, 5));
		expect(bound("{sa_family=AF_INET6}", 2)).toEqual(address6(0, "::"));
		expect(bound(in6(80), 16)).toEqual(address6(80));
	});

	it("is read from the bytes in memory if the family is AF_UNSPEC", () => {
		const sa_data = String.raw`"\0\1\2\3\4\5\6\7\10\t\n\v\f\r\16\17\20\21\22\23\24\25\26\27\30\31"`;
		expect(bound(`{sa_family=AF_UNSPEC, sa_data=${sa_data}}`)).toEqual({
			family: "AF_UNSPEC",
			port: 1,
			flowinfo: 0x02030405,
			address: "607:809:a0b:c0d:e0f:1011:1213:1415",
			scope_id: 0x19181716,
		});
		const v4 = String.raw`{sa_family=AF_UNSPEC, sa_data="\23\210\177\0\0\1\0\0\0\0\0\0\0\0"}`;
		const address: Address = { family: "AF_UNSPEC", address: "127.0.0.1", port: 5000 };
		expect(bound(v4, 16)).toEqual(address);
		expect(bound("{sa_family=AF_UNSPEC}", 2)).toEqual({ ...address, address: "0.0.0.0", port: 0 });
	});

	it("keeps its family whatever the length is", () => {
		expect(bound(in4(80), 28)).toEqual({ family: "AF_INET", address: "127.0.0.1", port: 80 });
		expect(bound(in6(80), 40)).toEqual(address6(80));
		expect(bound('{sa_family=AF_UNIX, sun_path="/x"}', 110)).toBe(null);
	});

	it.each([
		["a text that is no address", in6(80, "::g"), /an IPv6 address/],
		["an IPv4 address", in6(80, "127.0.0.1"), /an IPv6 address/],
		["a zone in the address", in6(80, "fe80::1%lo"), /an IPv6 address/],
		["an unknown device", in6(80, "fe80::1", 'if_nametoindex("eth9")'), /a device/],
		["a port that is too large", in6(65536), /65535/],
		["no port", '{sa_family=AF_INET6, inet_pton(AF_INET6, "::1", &sin6_addr)}', /sin6_port/],
		["nothing but a port", "{sa_family=AF_INET6, sin6_port=htons(1)}", /inet_pton/],
		["flow information without htonl", in6(80).replace("htonl(0)", "0"), /htonl/],
	])("is refused with %s", (_, struct, message) => {
		expect(() => bound(struct)).toThrow(ScriptError);
		expect(() => bound(struct)).toThrow(message);
	});
});

describe("an address that the kernel fills in", () => {
	const shown = (args: string) => read(`getsockname(3, ${args}) = 0`).shownAddress(1);

	it("counts if the program's buffer had room for it", () => {
		expect(shown(`${in6(5000)}, [28]`)).toEqual(address6(5000));
		expect(shown(`${in6(5000)}, [128 => 28]`)).toEqual(address6(5000));
		const { scope_id: _, ...scopeless } = address6(5000);
		const part = in6(5000).replace(", sin6_scope_id=0", "");
		expect(shown(`${part}, [24 => 28]`)).toEqual(scopeless);
		for (const less of [
			String.raw`{sa_family=AF_INET6, sa_data="\317\350\0\0\0\0\0\0\0\0\0\0\0\0"}, [16 => 28]`,
			"{sa_family=AF_INET6}, [2 => 28]",
			String.raw`{sa_family=AF_INET, sa_data="\23\210"}, [4 => 16]`,
			"0x7f1802df0b30, [1 => 28]",
			"0x7f1802df0b30, [28]",
		]) {
			expect(shown(less)).toBe(null);
		}
	});

	it("is the address of the sender in calls that receive", () => {
		expect(read(`recvfrom(3, "x", 9, 0, ${in6(4000)}, [28]) = 1`).shownSenders()).toEqual([
			address6(4000),
		]);
		expect(read('recvfrom(3, "x", 9, 0, NULL, NULL) = 1').shownSenders()).toEqual([]);
		const header = (name: string) =>
			`{msg_name=${name}, msg_namelen=128 => 28, msg_iov=[{iov_base="ab", iov_len=100}], msg_iovlen=1, msg_control=[{cmsg_len=20, cmsg_level=SOL_IPV6, cmsg_type=0x32, cmsg_data="\\x00"}], msg_controllen=24, msg_flags=MSG_TRUNC}`;
		expect(read(`recvmsg(3, ${header(in6(4000))}, 0) = 2`).shownSenders()).toEqual([
			address6(4000),
		]);
		expect(read("recvmsg(3, {msg_namelen=128}, 0) = -1 EAGAIN").shownSenders()).toEqual([]);
		const several = [in6(4000), in6(4001, "::ffff:127.0.0.1")]
			.map((name) => `{msg_hdr=${header(name)}, msg_len=2}`)
			.join(", ");
		expect(read(`recvmmsg(3, [${several}], 2, 0, NULL) = 2`).shownSenders()).toEqual([
			address6(4000),
			address6(4001, "::ffff:127.0.0.1"),
		]);
	});
});

describe("the messages of a call that sends", () => {
	const none = { to: null, badPointer: false, addrlen: 0, control: false };
	const one = (text: string) => {
		const sent = read(text).messages();
		expect(sent?.whole).toBe(true);
		expect(sent?.messages).toHaveLength(1);
		return sent?.messages[0];
	};

	it("are one for write, writev and sendto, with or without an address", () => {
		expect(one('write(3, "zz", 2) = 2')).toEqual({ ...none, size: 2 });
		expect(one('write(3, "zz"..., 4096) = 4096')).toEqual({ ...none, size: 4096 });
		expect(
			one('writev(3, [{iov_base="a", iov_len=1}, {iov_base="bc", iov_len=2}], 2) = 3'),
		).toEqual({ ...none, size: 3 });
		expect(one('sendto(3, "abc", 3, MSG_NOSIGNAL, NULL, 0) = 3')).toEqual({ ...none, size: 3 });
		expect(one('sendto(3, "abc", 3, 0)')).toEqual({ ...none, size: 3 });
		expect(one('sendto(3, "abc")')).toEqual({ ...none, size: 3 });
		expect(one(`sendto(3, "abc", 3, 0, ${in6(53)}, 28) = 3`)).toEqual({
			to: { family: 10, address: address6(53) },
			badPointer: false,
			addrlen: 28,
			size: 3,
			control: false,
		});
	});

	it("may have an address at a bad pointer", () => {
		const bad = { ...none, badPointer: true, size: 1 };
		expect(one('sendto(3, "x", 1, 0, 0x1, 28) = -1 EFAULT')).toEqual({ ...bad, addrlen: 28 });
		expect(one('sendto(3, "x", 1, 0, 0x7f1802dd3b10, 1) = -1 EINVAL')).toEqual({
			...bad,
			addrlen: 1,
		});
	});

	it("are read from the headers of sendmsg and sendmmsg", () => {
		const header = (name: string, length: number, more = "") =>
			`{msg_name=${name}, msg_namelen=${length}, msg_iov=[{iov_base="ab", iov_len=2}, {iov_base="c", iov_len=1}], msg_iovlen=2, ${more}msg_controllen=0, msg_flags=0}`;
		expect(one(`sendmsg(3, ${header("NULL", 0)}, 0) = 3`)).toEqual({ ...none, size: 3 });
		const control = "msg_control=[{cmsg_len=20, cmsg_level=SOL_IP, cmsg_type=IP_TOS}], ";
		expect(one(`sendmsg(3, ${header(in4(53), 16, control)}, 0) = 3`)).toMatchObject({
			to: { family: 2, address: { address: "127.0.0.1", port: 53 } },
			addrlen: 16,
			size: 3,
			control: true,
		});
		const several = `[{msg_hdr=${header(in6(53), 28)}, msg_len=3}, {msg_hdr=${header("NULL", 0)}}`;
		const sent = read(`sendmmsg(3, ${several}], 2, 0) = 1`).messages();
		expect(sent).toMatchObject({ whole: true });
		expect(sent?.messages.map(({ to }) => to?.address?.port ?? null)).toEqual([53, null]);
		expect(read(`sendmmsg(3, ${several}, ...], 40, 0) = 40`).messages()?.whole).toBe(false);
		expect(read("sendmsg(3, 0x7ffe, 0) = 3").messages()).toBe(null);
	});
});

describe("the call that chose a port", () => {
	/** Call and port of each choice that a recording shows, in the order of its lines. */
	const choices = (text: string) => {
		const { chosen } = Recording.of(readScript(text, "script")).evidence;
		return [...chosen]
			.sort(([a], [b]) => a.line - b.line)
			.map(([call, { port, exact }]) => `${call.name} ${port}${exact ? "" : " inferred"}`);
	};
	const UDP = "socket(AF_INET6, SOCK_DGRAM|SOCK_CLOEXEC, IPPROTO_IP) = 3\n";
	const shows = (port: number, fd = 3) => `getsockname(${fd}, ${in6(port, "::")}, [28]) = 0\n`;

	it("is for UDP a connect, even if it fails, or a send", () => {
		expect(choices(`${UDP}connect(3, ${in6(53)}, 28) = 0\n${shows(40000)}`)).toEqual([
			"connect 40000",
		]);
		const failed = `connect(3, ${in6(53, "fe80::1")}, 28) = -1 ENETUNREACH (Network is unreachable)\n`;
		expect(choices(UDP + failed + shows(40000))).toEqual(["connect 40000"]);
		const other = `connect(3, {sa_family=0x63 /* AF_??? */, sa_data="\\0\\0"}, 4) = -1 EAFNOSUPPORT (Address family not supported by protocol)\n`;
		expect(choices(UDP + other + shows(40000))).toEqual(["connect 40000"]);
		for (const send of [
			`sendto(3, "x", 1, 0, ${in6(53)}, 28) = 1\n`,
			'sendto(3, "x", 1, 0, NULL, 0) = -1 EDESTADDRREQ (Destination address required)\n',
			'write(3, "x", 1) = -1 EDESTADDRREQ (Destination address required)\n',
			`sendmsg(3, {msg_name=${in6(53)}, msg_namelen=28, msg_iov=[], msg_iovlen=0, msg_controllen=0, msg_flags=0}, 0) = 0\n`,
		]) {
			expect(choices(UDP + send + shows(40000))).toEqual([
				`${send.slice(0, send.indexOf("("))} 40000`,
			]);
		}
	});

	it("is no call after the port is known, and no bind to a port", () => {
		const later = `connect(3, ${in6(53)}, 28) = 0\nsendto(3, "x", 1, 0, NULL, 0) = 1\n`;
		expect(
			choices(`${UDP}bind(3, ${in6(0)}, 28) = 0\n${shows(40000)}${later}${shows(40000)}`),
		).toEqual(["bind 40000"]);
		expect(choices(`${UDP}bind(3, ${in6(5000)}, 28) = 0\n${later}${shows(5000)}`)).toEqual([]);
	});

	it("is a new call after connect to AF_UNSPEC, unless bind named the port", () => {
		const dissolve = "connect(3, {sa_family=AF_UNSPEC}, 2) = 0\n";
		const connect = `connect(3, ${in6(53)}, 28) = 0\n`;
		expect(choices(`${UDP}${connect}${shows(40000)}${dissolve}${connect}${shows(40002)}`)).toEqual([
			"connect 40000",
			"connect 40002",
		]);
		expect(
			choices(`${UDP}bind(3, ${in6(5000)}, 28) = 0\n${connect}${dissolve}${connect}${shows(5000)}`),
		).toEqual([]);
	});

	it("follows from the sender's address in another call if only one sender's port is unknown", () => {
		const server = `${UDP}bind(3, ${in6(5000)}, 28) = 0\n`;
		const client = (fd: number) =>
			`socket(AF_INET6, SOCK_DGRAM, IPPROTO_UDP) = ${fd}\nsendto(${fd}, "x", 1, 0, ${in6(5000)}, 28) = 1\n`;
		const received = (port: number) => `recvfrom(3, "x", 9, 0, ${in6(port)}, [28]) = 1\n`;
		expect(choices(server + client(4) + received(40000))).toEqual(["sendto 40000 inferred"]);
		expect(choices(server + client(4) + client(5) + received(40000))).toEqual([]);
		expect(
			choices(server + client(4) + received(40000) + client(5) + received(40000) + received(40001)),
		).toEqual(["sendto 40000 inferred", "sendto 40001 inferred"]);
		// The port that the socket itself shows is the right one.
		expect(choices(server + client(4) + received(40000) + shows(40001, 4))).toEqual([
			"sendto 40001",
		]);
	});

	it("is for DCCP a send as well, and SCTP keeps the port of a failed connect", () => {
		const refused = `connect(3, ${in6(53)}, 28) = -1 ECONNREFUSED (Connection refused)\n`;
		const send = 'sendto(3, "x", 1, 0, NULL, 0) = -1 EPIPE (Broken pipe)\n';
		const dccp = "socket(AF_INET6, SOCK_DCCP, IPPROTO_DCCP) = 3\n";
		expect(choices(dccp + send + shows(40000))).toEqual(["sendto 40000"]);
		expect(choices(dccp + refused + send + shows(40000))).toEqual(["sendto 40000"]);
		const sctp = "socket(AF_INET6, SOCK_STREAM, IPPROTO_SCTP) = 3\n";
		expect(choices(sctp + refused + shows(40000))).toEqual(["connect 40000"]);
		const tcp = "socket(AF_INET6, SOCK_STREAM, IPPROTO_TCP) = 3\n";
		expect(choices(tcp + send + refused + shows(40000))).toEqual(["connect 40000"]);
	});

	it("is for TCP over IPv6 the same call as over IPv4", () => {
		const text = `
socket(AF_INET6, SOCK_STREAM, IPPROTO_IP) = 3
bind(3, ${in6(5000, "::")}, 28) = 0
listen(3, 8) = 0
socket(AF_INET, SOCK_STREAM, IPPROTO_IP) = 4
connect(4, ${in4(5000)}, 16) = 0
accept4(3, ${in6(40000, "::ffff:127.0.0.1")}, [28], SOCK_CLOEXEC) = 5
socket(AF_INET6, SOCK_STREAM, IPPROTO_MPTCP) = 6
connect(6, ${in6(5000)}, 28) = 0
getsockname(6, ${in6(40002)}, [28]) = 0
write(6, "x", 1) = 1
`;
		expect(choices(text)).toEqual(["connect 40000 inferred", "connect 40002"]);
	});
});

/** The outcomes of system calls, without set-up commands. */
function play(text: string, options: PlayOptions = {}): Outcome[] {
	const outcomes = [...new Player(readScript(text, "script"), options).play()];
	return outcomes.filter((outcome) => outcome.call !== "$");
}

/** Call and result or error, with the verdict if it is not the expected one. */
function tell(outcomes: readonly Outcome[], expected: Outcome["verdict"]): string[] {
	return outcomes.map(({ call, result, verdict }) => {
		const value = result === null ? "?" : result < 0 ? errnoName(-result) : String(result);
		return `${call} ${value}${verdict === expected ? "" : ` ${verdict}`}`;
	});
}

/** Every call of a script matches. Calls with the given names may be ignored instead. */
function matches(text: string, passedOver: readonly string[] = []): void {
	const outcomes = play(text);
	const others = outcomes
		.filter(
			({ call, verdict }) =>
				verdict !== "match" && !(verdict === "ignored" && passedOver.includes(call)),
		)
		.map(({ line, text, verdict, reason }) => `${line}: ${text}: ${verdict} ${reason}`);
	expect(others).toEqual([]);
	expect(outcomes.length).toBeGreaterThan(0);
}

/** The only mismatch of a script. */
function mismatch(text: string, options: PlayOptions = {}): { call: string; reason: string } {
	const found = play(text, options).filter(({ verdict }) => verdict === "mismatch");
	expect(found.map(({ text, reason }) => `${text}: ${reason}`)).toHaveLength(1);
	return { call: found[0].call, reason: found[0].reason ?? "" };
}

const UDP6 = "socket(AF_INET6, SOCK_DGRAM, IPPROTO_IP)";

describe("a script", () => {
	it("without results prints the model's results, and addresses as strace prints them", () => {
		const outcomes = play(`
${UDP6}
bind(3, ${in6(5000)}, 28)
getsockname(3)
socket(AF_INET6, SOCK_DGRAM, IPPROTO_UDP)
sendto(4, "x", 1, 0)
sendto(4, "hello", 5, 0, ${in6("port_of(3)")}, 28)
connect(4, ${in6(5001)}, 28)
send(4, "x")
sendto(4, "x")
write(4, "xyz", 3)
getpeername(4)
`);
		expect(tell(outcomes, "unrecorded")).toEqual([
			"socket 3",
			"bind 0",
			"getsockname 0",
			"socket 4",
			"sendto EDESTADDRREQ",
			"sendto 5",
			"connect 0",
			"send 1",
			"sendto ECONNREFUSED",
			"write 3",
			"getpeername 0",
		]);
		expect(outcomes[2].text).toBe(`getsockname(3, ${in6(5000)}) = 0`);
		expect(outcomes[2].address).toEqual(address6(5000));
		expect(outcomes[10].text).toBe(`getpeername(4, ${in6(5001)}) = 0`);
	});

	it("names the device of a link-local address", () => {
		const outcomes = play(`
$ ip link add dummy0 type dummy
$ ip link set dummy0 up
$ ip -6 addr add fe80::7/64 dev dummy0
${UDP6}
bind(3, ${in6(5000, "fe80::7", 'if_nametoindex("dummy0")')}, 28)
getsockname(3)
bind(3, ${in6(5000, "fe80::7", 'if_nametoindex("lo")')}, 28)
socket(AF_INET6, SOCK_STREAM, IPPROTO_TCP)
bind(4, ${in6(5000, "fe80::7", 'if_nametoindex("lo")')}, 28)
bind(4, ${in6(5000, "fe80::7", 2)}, 28)
`);
		expect(tell(outcomes, "unrecorded")).toEqual([
			"socket 3",
			"bind 0",
			"getsockname 0",
			"bind EINVAL",
			"socket 4",
			"bind EADDRNOTAVAIL",
			"bind 0",
		]);
		const name = in6(5000, "fe80::7", 'if_nametoindex("dummy0")');
		expect(outcomes[2].text).toBe(`getsockname(3, ${name}) = 0`);
	});

	it("stops at a device that is not there", () => {
		const text = `${UDP6}\nbind(3, ${in6(0, "fe80::7", 'if_nametoindex("eth0")')}, 28)\n`;
		expect(() => play(text)).toThrow(/script:2:.*device/);
	});
});

// The results of Linux 6.18.44 and of every version before.
const REAL = `
socket(AF_INET, SOCK_DGRAM|SOCK_CLOEXEC, IPPROTO_IP) = 3
bind(3, ${in4(5000)}, 16) = 0
socket(AF_INET, SOCK_DGRAM|SOCK_CLOEXEC, IPPROTO_IP) = 4
sendto(4, "hello", 5, 0, ${in4(5000)}, 16) = 5
getsockname(4, ${in4(39648, "0.0.0.0")}, [16]) = 0
recvfrom(3, "hello", 100, 0, ${in4(39648)}, [16]) = 5
socket(AF_INET, SOCK_DGRAM|SOCK_CLOEXEC, IPPROTO_IP) = 5
connect(5, ${in4(5000)}, 16) = 0
getsockname(5, ${in4(34041)}, [16]) = 0
sendto(5, "a", 1, 0, NULL, 0)     = 1
write(5, "zz", 2)                 = 2
writev(5, [{iov_base="a", iov_len=1}, {iov_base="bc", iov_len=2}], 2) = 3
sendmsg(5, {msg_name=NULL, msg_namelen=0, msg_iov=[{iov_base="ab", iov_len=2}, {iov_base="c", iov_len=1}], msg_iovlen=2, msg_controllen=0, msg_flags=0}, 0) = 3
recvmsg(3, {msg_name=${in4(34041)}, msg_namelen=16, msg_iov=[{iov_base="a", iov_len=100}], msg_iovlen=1, msg_controllen=0, msg_flags=0}, 0) = 1
sendmsg(4, {msg_name=${in4(5001)}, msg_namelen=16, msg_iov=[{iov_base="abc", iov_len=3}], msg_iovlen=1, msg_controllen=0, msg_flags=0}, 0) = 3
socket(AF_INET, SOCK_DGRAM|SOCK_CLOEXEC, IPPROTO_IP) = 6
connect(6, ${in4(5999)}, 16) = 0
sendto(6, "x", 1, 0, NULL, 0)     = 1
sendto(6, "y", 1, 0, NULL, 0)     = -1 ECONNREFUSED (Connection refused)
sendto(6, "z", 1, 0, NULL, 0)     = 1
getsockopt(6, SOL_SOCKET, SO_ERROR, [ECONNREFUSED], [4]) = 0
sendto(6, "z", 1, 0, NULL, 0)     = 1
close(3) = 0
${UDP6} = 3
setsockopt(3, SOL_IPV6, IPV6_V6ONLY, [0], 4) = 0
bind(3, ${in6(5000, "::")}, 28) = 0
getsockname(3, ${in6(5000, "::")}, [28]) = 0
${UDP6} = 7
sendto(7, "hello", 5, 0, ${in6(5000)}, 28) = 5
getsockname(7, ${in6(39633, "::")}, [28]) = 0
recvfrom(3, "hello", 100, 0, ${in6(39633)}, [28]) = 5
sendto(7, "x", 1, 0, NULL, 0)     = -1 EDESTADDRREQ (Destination address required)
sendto(7, "x", 1, 0, 0x7f1802dd3b10, 1) = -1 EINVAL (Invalid argument)
sendto(7, "x", 1, 0, ${in6(7000)}, 200) = -1 EINVAL (Invalid argument)
sendto(7, "x", 1, 0, 0x1, 28)     = -1 EFAULT (Bad address)
sendmmsg(7, [{msg_hdr={msg_name=${in6(5000)}, msg_namelen=28, msg_iov=[{iov_base="abcd", iov_len=4}], msg_iovlen=1, msg_controllen=0, msg_flags=0}, msg_len=4}, {msg_hdr={msg_name=NULL, msg_namelen=0, msg_iov=[{iov_base="abcd", iov_len=4}], msg_iovlen=1, msg_controllen=0, msg_flags=0}}], 2, 0) = 1
`;

describe("a recording of UDP", () => {
	it("matches the model", () => {
		matches(REAL, ["recvfrom", "recvmsg"]);
	});

	it.each([
		['sendto(6, "x", 1, 0, NULL, 0)     = 1', "-1 ECONNREFUSED", /the model 1/],
		['sendto(6, "y", 1, 0, NULL, 0)     = -1 ECONNREFUSED', "1", /the model ECONNREFUSED/],
		['sendto(7, "x", 1, 0, NULL, 0)     = -1 EDESTADDRREQ', "1", /the model EDESTADDRREQ/],
		[`bind(3, ${in6(5000, "::")}, 28) = 0`, "-1 EADDRINUSE", /the model 0/],
	])("does not match if this result is altered: %s", (was, result, reason) => {
		expect(REAL).toContain(was);
		const altered = REAL.replace(was, `${was.slice(0, was.lastIndexOf("=") + 1)} ${result}`);
		const first = play(altered).find(({ verdict }) => verdict === "mismatch");
		expect(first?.text).toContain(was.slice(0, 20));
		expect(first?.reason).toMatch(reason);
	});

	it("passes over errors that depend on memory, sizes and filters", () => {
		for (const error of ["EPERM", "ENOBUFS", "EMSGSIZE", "EAGAIN"]) {
			matches(
				`${UDP6} = 3
bind(3, ${in6(5000)}, 28) = 0
sendto(3, "x", 1, MSG_DONTWAIT, ${in6(53)}, 28) = -1 ${error}
`,
				["sendto"],
			);
		}
	});

	const RANGE = `
$ sysctl -w net.ipv4.ip_local_port_range="40000 40003" net.ipv4.ip_local_reserved_ports=40001
${UDP6} = 3
bind(3, ${in6(40000)}, 28) = 0
${UDP6} = 4
`;
	it.each([
		["bind", (fd: number) => `bind(${fd}, ${in6(0)}, 28) = 0`],
		["connect", (fd: number) => `connect(${fd}, ${in6(53)}, 28) = 0`],
		["sendto", (fd: number) => `sendto(${fd}, "x", 1, 0, ${in6(53)}, 28) = 1`],
		[
			"sendto",
			(fd: number) =>
				`sendto(${fd}, "x", 1, 0, NULL, 0) = -1 EDESTADDRREQ (Destination address required)`,
		],
	])("matches if %s can choose the port, else the mismatch names the reason", (call, choice) => {
		const shown = (port: number, fd = 4) =>
			`${choice(fd)}\ngetsockname(${fd}, ${in6(port, call === "sendto" ? "::" : "::1")}, [28]) = 0\n`;
		for (const port of [40002, 40003]) matches(RANGE + shown(port));
		expect(mismatchOf(RANGE + shown(40004))).toMatch(new RegExp(`^${call}: .*not in 40000-40003`));
		expect(mismatchOf(RANGE + shown(40001))).toMatch(new RegExp(`^${call}: .*reserved`));
		expect(mismatchOf(RANGE + shown(40000))).toMatch(
			new RegExp(`^${call}: .*conflicts with fd 3 \\(\\[::1\\]:40000`),
		);
	});
	/** The first mismatch, which is the choice of the port. The wrong address is a second one. */
	const mismatchOf = (text: string) => {
		const first = play(text).find(({ verdict }) => verdict === "mismatch");
		return `${first?.call}: ${first?.reason}`;
	};

	it("matches EADDRINUSE of bind, and EAGAIN of other calls, if no port is left", () => {
		const text = `
$ sysctl -w net.ipv4.ip_local_port_range="40000 40000"
${UDP6} = 3
bind(3, ${in6(40000, "::")}, 28) = 0
${UDP6} = 4
bind(4, ${in6(0)}, 28) = -1 EADDRINUSE (Address already in use)
connect(4, ${in6(53)}, 28) = -1 EAGAIN (Resource temporarily unavailable)
sendto(4, "x", 1, 0, ${in6(53)}, 28) = -1 EAGAIN (Resource temporarily unavailable)
`;
		matches(text);
		const free = text.replace("bind(3", "#bind(3");
		expect(play(free).filter(({ verdict }) => verdict === "mismatch")[0].call).toBe("bind");
	});

	it("gives up a port that bind did not name at connect to AF_UNSPEC", () => {
		matches(`
$ sysctl -w net.ipv4.ip_local_port_range="40000 40001"
${UDP6} = 3
connect(3, ${in6(53)}, 28) = 0
getsockname(3, ${in6(40000)}, [28]) = 0
connect(3, {sa_family=AF_UNSPEC, sa_data="\\0\\0\\0\\0\\0\\0\\0\\0\\0\\0\\0\\0\\0\\0"}, 16) = 0
getsockname(3, ${in6(0, "::")}, [28]) = 0
connect(3, ${in6(53)}, 28) = 0
getsockname(3, ${in6(40001)}, [28]) = 0
`);
	});

	it("shows a sender's port in another socket's receive call, so the answer arrives", () => {
		const recording = (port: number) => `
$ sysctl -w net.ipv4.ip_local_port_range="40000 40003"
${UDP6} = 3
bind(3, ${in6(5000)}, 28) = 0
${UDP6} = 4
sendto(4, "x", 1, 0, ${in6(5000)}, 28) = 1
recvfrom(3, "x", 9, 0, ${in6(port)}, [28]) = 1
connect(3, ${in6(port)}, 28) = 0
sendto(3, "x", 1, 0, NULL, 0) = 1
sendto(3, "x", 1, 0, NULL, 0) = 1
`;
		for (const port of [40000, 40003]) matches(recording(port), ["recvfrom"]);
		expect(mismatchOf(recording(40004))).toMatch(/^sendto: .*not in 40000-40003/);
	});

	it("gives the error to the call that waited for a datagram", () => {
		matches(
			`
10 ${UDP6} = 3
10 connect(3, ${in6(5999)}, 28) = 0
10 clone(child_stack=0x7f1000, flags=CLONE_VM|CLONE_FS|CLONE_FILES|CLONE_THREAD) = 11
11 recvfrom(3,  <unfinished ...>
10 sendto(3, "x", 1, 0, NULL, 0) = 1
11 <... recvfrom resumed>0x7f2000, 9, 0, NULL, NULL) = -1 ECONNREFUSED (Connection refused)
10 sendto(3, "x", 1, 0, NULL, 0) = 1
10 getsockopt(3, SOL_SOCKET, SO_ERROR, [ECONNREFUSED], [4]) = 0
10 getsockopt(3, SOL_SOCKET, SO_ERROR, [0], [4]) = 0
`,
			["clone", "recvfrom"],
		);
	});

	it("may show refusals by hosts elsewhere", () => {
		matches(`
$ ip route add 198.51.100.0/24 dev lo
$ ip addr add 192.0.2.1/32 dev lo
socket(AF_INET, SOCK_DGRAM, IPPROTO_IP) = 3
connect(3, ${in4(53, "198.51.100.1")}, 16) = 0
sendto(3, "x", 1, 0, NULL, 0) = 1
sendto(3, "x", 1, 0, NULL, 0) = -1 ECONNREFUSED (Connection refused)
sendto(3, "x", 1, 0, NULL, 0) = 1
`);
	});
});

describe("a recording of TCP over IPv6", () => {
	const ACCEPTED = `
$ sysctl -w net.ipv4.ip_local_port_range="40000 40003"
socket(AF_INET6, SOCK_STREAM|SOCK_CLOEXEC, IPPROTO_IP) = 6
bind(6, ${in6(6000, "::")}, 28) = 0
listen(6, 5)                      = 0
socket(AF_INET6, SOCK_STREAM|SOCK_CLOEXEC, IPPROTO_IP) = 7
connect(7, ${in6(6000)}, 28) = 0
getsockname(7, ${in6(40002)}, [28]) = 0
getpeername(7, ${in6(6000)}, [28]) = 0
accept4(6, ${in6(40002)}, [28], SOCK_CLOEXEC) = 8
getsockname(8, ${in6(6000)}, [128 => 28]) = 0
socket(AF_INET, SOCK_STREAM|SOCK_CLOEXEC, IPPROTO_IP) = 9
connect(9, ${in4(6000)}, 16) = 0
accept4(6, ${in6(40000, "::ffff:127.0.0.1")}, [28], SOCK_CLOEXEC) = 11
getpeername(11, ${in6(40000, "::ffff:127.0.0.1")}, [28]) = 0
getsockname(11, ${in6(6000, "::ffff:127.0.0.1")}, [28]) = 0
socket(AF_INET6, SOCK_STREAM|SOCK_CLOEXEC, IPPROTO_IP) = 12
connect(12, ${in6(6000, "::ffff:127.0.0.1")}, 28) = 0
getsockname(12, ${in6(40002, "::ffff:127.0.0.1")}, [28]) = 0
accept4(6, ${in6(40002, "::ffff:127.0.0.1")}, [28], SOCK_CLOEXEC) = 13
`;

	it("matches accept() with the client's address, v4-mapped for an IPv4 client", () => {
		matches(ACCEPTED);
	});

	it("is a mismatch with another address, scope or family", () => {
		const accept = `accept4(6, ${in6(40002)}`;
		for (const [other, is] of [
			[in6(40002, "::2"), "[::1]:40002"],
			[in6(40002, "::1", 3), "[::1]:40002"],
			[in4(40002), "[::1]:40002"],
		]) {
			const { call, reason } = mismatch(ACCEPTED.replace(accept, `accept4(6, ${other}`));
			expect(call).toBe("accept4");
			expect(reason).toBe(`the model accepts ${is}`);
		}
		const peer = `getpeername(7, ${in6(6000)}, [28])`;
		const { reason } = mismatch(ACCEPTED.replace(peer, `getpeername(7, ${in6(6001)}, [28])`));
		expect(reason).toBe("the model's address is [::1]:6000");
		// Only the bytes that fit into the program's buffer are compared.
		matches(ACCEPTED.replace(peer, "getpeername(7, {sa_family=AF_INET6}, [2 => 28])"));
	});

	it("explains a mismatch with IPv6 addresses", () => {
		const text = `${ACCEPTED}socket(AF_INET6, SOCK_STREAM, IPPROTO_IP) = 14
connect(14, ${in6(6000)}, 28) = 0
getsockname(14, ${in6(40002)}, [28]) = 0
`;
		const found = play(text).find(({ verdict }) => verdict === "mismatch");
		expect(found).toMatchObject({ call: "connect" });
		expect(found?.reason).toContain("fd 7 ([::1]:40002 -> [::1]:6000 ESTABLISHED)");
	});

	it.each(["IPPROTO_TCP", "IPPROTO_MPTCP"])(
		"takes the recorded client from the listener's queue: %s",
		(protocol) => {
			const recording = (first: number, second: number) => `
socket(AF_INET6, SOCK_STREAM, ${protocol}) = 3
bind(3, ${in6(6000, "::")}, 28) = 0
listen(3, 5) = 0
${[4, 5]
	.map(
		(fd) => `socket(AF_INET6, SOCK_STREAM|SOCK_NONBLOCK, ${protocol}) = ${fd}
bind(${fd}, ${in6(40000 + fd)}, 28) = 0
connect(${fd}, ${in6(6000)}, 28) = -1 EINPROGRESS (Operation now in progress)
`,
	)
	.join("")}
accept(3, ${in6(first)}, [28]) = 6
accept(3, ${in6(second)}, [28]) = 7
`;
			matches(recording(40004, 40005));
			matches(recording(40005, 40004));
		},
	);

	it("is checked for the offset that successive connects share, and v4-mapped connects share IPv4's offset", () => {
		const start = `
$ sysctl -w net.ipv4.ip_local_port_range="40000 49999"
1000.0 socket(AF_INET6, SOCK_STREAM, IPPROTO_IP) = 3
1000.0 bind(3, ${in6(6000, "::")}, 28) = 0
1000.0 listen(3, 100) = 0
`.replaceAll("1000.0", "1700000000.000000");
		const connects = (ports: readonly number[], to: (n: number) => [string, string]) =>
			ports
				.map((port, n) => {
					const [socket, connect] = to(n);
					const time = `1700000000.${String(100_000 + n * 100).padStart(6, "0")} `;
					const fd = 10 + n;
					const name = socket === "AF_INET" ? in4(port) : in6(port, connect);
					const target = socket === "AF_INET" ? `${in4(6000)}, 16` : `${in6(6000, connect)}, 28`;
					return `${time}socket(${socket}, SOCK_STREAM, IPPROTO_IP) = ${fd}
${time}connect(${fd}, ${target}) = 0
${time}getsockname(${fd}, ${name}, [28]) = 0
`;
				})
				.join("");
		const v6 = (): [string, string] => ["AF_INET6", "::1"];
		// One step may come from a change of the secret, but not two in so short a time.
		const jumps = [41000, 45000, 45004, 47000];
		expect(mismatch(start + connects(jumps, v6), { settled: true }).reason).toMatch(
			/searches to \[::1\] -> \[::1\]:6000 may go on from/,
		);
		matches(start + connects([41000, 41004, 41010], v6));
		// A program in another namespace may have connected in between.
		matches(start + connects(jumps, v6));
		const beside = play(start + connects(jumps, v6), { settled: true, shared: true });
		expect(beside.filter(({ verdict }) => verdict !== "match")).toEqual([]);
		const mixed = (n: number): [string, string] =>
			n % 2 === 0 ? ["AF_INET", "127.0.0.1"] : ["AF_INET6", "::ffff:127.0.0.1"];
		expect(mismatch(start + connects(jumps, mixed), { settled: true }).reason).toMatch(
			/searches to 127\.0\.0\.1 -> 127\.0\.0\.1:6000 may go on from/,
		);
	});
});

describe("a recording of several programs", () => {
	/**
	 * A connection that is closed before its data is read. `result` is the result of a bind() to
	 * its port.
	 */
	const recording = (before: string, result: string) => `
10 socket(AF_INET6, SOCK_STREAM, IPPROTO_IP) = 3
10 bind(3, ${in6(5000)}, 28) = 0
10 listen(3, 8) = 0
${before}
11 socket(AF_INET6, SOCK_STREAM, IPPROTO_IP) = 5
11 bind(5, ${in6(6000)}, 28) = 0
11 connect(5, ${in6(5000)}, 28) = 0
10 accept(3, NULL, NULL) = 4
10 sendto(4, "hello", 5, 0, NULL, 0) = 5
11 close(5) = 0
10 close(4) = 0
10 socket(AF_INET6, SOCK_STREAM, IPPROTO_IP) = 4
10 bind(4, ${in6(6000)}, 28) = ${result}
10 socket(AF_INET6, SOCK_STREAM, IPPROTO_IP) = 5
10 recvfrom(5, 0x7f, 1, 0, NULL, NULL) = -1 ENOTCONN (Transport endpoint is not connected)
`;
	const passedOver = ["fork", "execve", "sendto", "recvfrom", "openat", "read"];
	const FORK = "10 fork() = 11\n";
	const inUse = "-1 EADDRINUSE (Address already in use)";

	it("treats a child as the program that it was forked from, so data that is not received is unread", () => {
		matches(recording(FORK, "0"), passedOver);
	});

	it("takes data as read in a program that shows no call that receives", () => {
		const exec = '11 execve("/bin/server", ["server"], 0x7ffd /* 9 vars */) = 0\n';
		matches(recording(FORK + exec, inUse), passedOver);
	});

	it("takes data as unread if only this explains the recording", () => {
		const exec = '11 execve("/bin/server", ["server"], 0x7ffd /* 9 vars */) = 0\n';
		const text = recording(FORK + exec, "0");
		expect(play(text).some(({ verdict }) => verdict === "mismatch")).toBe(true);
		const outcomes = playScript(readScript(text, "script"));
		expect(outcomes.some(({ verdict }) => verdict === "mismatch")).toBe(false);
	});

	it("takes nothing as read if every read() is recorded", () => {
		const exec = `${FORK}11 execve("/bin/server", ["server"], 0x7ffd /* 9 vars */) = 0
11 openat(AT_FDCWD, "/etc/hosts", O_RDONLY) = 9
11 read(9, "#", 4096) = 1
`;
		matches(recording(exec, "0"), passedOver);
	});
});

describe("a SYN that meets TIME_WAIT at a server", () => {
	/**
	 * The server closed first. A socket that `before` prepared connects from the same port,
	 * `later` s after, and asks `peer` who its peer is.
	 */
	const recording = (before: string, peer: string, later = 0) =>
		`
socket(AF_INET, SOCK_STREAM, IPPROTO_TCP) = 3
bind(3, ${in4(5000)}, 16) = 0
listen(3, 5) = 0
socket(AF_INET, SOCK_STREAM, IPPROTO_TCP) = 4
setsockopt(4, SOL_SOCKET, SO_REUSEADDR, [1], 4) = 0
bind(4, ${in4(6000)}, 16) = 0
connect(4, ${in4(5000)}, 16) = 0
accept(3, NULL, NULL) = 5
close(5) = 0
${before}
close(4) = 0
TIME setsockopt(7, SOL_SOCKET, SO_REUSEADDR, [1], 4) = 0
TIME bind(7, ${in4(6000)}, 16) = 0
TIME connect(7, ${in4(5000)}, 16) = -1 EINPROGRESS (Operation now in progress)
TIME getpeername(7, ${peer}
`
			.trim()
			.split("\n")
			.map((line) =>
				line.replace(/^(TIME )?/, (late) => `${1700000000 + (late === "" ? 0 : later)}.000000 `),
			)
			.join("\n");
	const differs = (text: string) =>
		playScript(readScript(`${text}\n`, "script")).some(({ verdict }) => verdict === "mismatch");
	const SOCKET = "socket(AF_INET, SOCK_STREAM|SOCK_NONBLOCK, IPPROTO_TCP) = 7";
	const DISCONNECT = "connect(7, {sa_family=AF_UNSPEC}, 16) = 0";
	const CONNECTED = `${in4(5000)}, [16]) = 0`;
	const REFUSED = "0x7ffe1000, [16]) = -1 ENOTCONN (Transport endpoint is not connected)";

	it("is newer if its sequence number comes from the clock", () => {
		expect(differs(recording(SOCKET, CONNECTED))).toBe(false);
		expect(differs(recording(SOCKET, REFUSED))).toBe(true);
	});

	// tcp_disconnect leaves a number in write_seq that does not come from the clock.
	it("may be newer or older if its socket was disconnected before", () => {
		const before = `${SOCKET}\n${DISCONNECT}`;
		expect(differs(recording(before, CONNECTED))).toBe(false);
		expect(differs(recording(before, REFUSED))).toBe(false);
	});

	it("is newer if its time stamp is a second later", () => {
		const before = `${SOCKET}\n${DISCONNECT}`;
		expect(differs(recording(before, CONNECTED, 1))).toBe(false);
		expect(differs(recording(before, REFUSED, 1))).toBe(true);
	});

	it("is newer if its socket had the same connection before", () => {
		const text = (peer: string) =>
			recording("shutdown(4, SHUT_RDWR) = 0\nconnect(4, {sa_family=AF_UNSPEC}, 16) = 0", peer)
				.replaceAll("(7, ", "(4, ")
				.replace(/.*close\(4\).*\n.*\n.*\n/, ""); // it is still bound
		expect(differs(text(CONNECTED))).toBe(false);
		expect(differs(text(REFUSED))).toBe(true);
	});
});

describe("a SYN from ::1 to a port without a listener", () => {
	// tcp_v6_send_response looks for ::1 by the device that has the destination.
	it.each([
		["lo", "2001:db8::10/128", "-1 ENOTCONN (Transport endpoint is not connected)"],
		["dummy1", "2001:db8:3::10/64", "0"],
	])("is refused if the destination is an address of lo: %s", (dev, prefix, result) => {
		matches(`
$ ip link add dummy1 address 02:00:00:00:00:01 type dummy
$ ip link set dummy1 up
$ ip addr add ${prefix} dev ${dev} nodad
socket(AF_INET6, SOCK_STREAM|SOCK_NONBLOCK, IPPROTO_TCP) = 3
bind(3, ${in6(40003)}, 28) = 0
connect(3, ${in6(40007, prefix.split("/")[0])}, 28) = -1 EINPROGRESS (Operation now in progress)
shutdown(3, SHUT_WR) = ${result}
`);
	});
});

describe("an MPTCP socket", () => {
	// mptcp_sockopt_sync_locked: with setsockopt_seq, a new subflow gets the options of the socket.
	it.each([
		["", "-1 EINVAL (Invalid argument)"],
		["setsockopt(3, SOL_SOCKET, SO_LINGER, {l_onoff=1, l_linger=0}, 8) = 0", "0"],
	])(
		"uses bindv6only at the time of bind(), or at the time of socket() after an option was set: %s",
		(option, result) => {
			const text = `
socket(AF_INET6, SOCK_STREAM, IPPROTO_MPTCP) = 3
${option}
$ sysctl -w net.ipv6.bindv6only=1
bind(3, ${in6(40001, "::ffff:127.0.0.1")}, 28) = ${result}
`;
			expect(tell(play(text, { version: "6.18.44" }), "match").at(-1)).toBe(
				`bind ${result.split(" ")[1] ?? result}`,
			);
		},
	);

	// tcp_disconnect of the subflow leaves ECONNRESET there, and no call reports it.
	it("reports no error of its disconnect when its next connect() fails", () => {
		matches(`
			$ ip route add default dev lo
			$ sysctl -w net.ipv4.ip_local_port_range="40001 40001"
			socket(AF_INET, SOCK_STREAM|SOCK_NONBLOCK, IPPROTO_MPTCP) = 3
			connect(3, {sa_family=AF_INET, sin_port=htons(80), sin_addr=inet_addr("198.51.100.1")}, 16) = -1 EINPROGRESS (Operation now in progress)
			shutdown(3, SHUT_RD) = 0
			socket(AF_INET, SOCK_STREAM|SOCK_NONBLOCK, IPPROTO_TCP) = 4
			connect(4, {sa_family=AF_INET, sin_port=htons(80), sin_addr=inet_addr("198.51.100.1")}, 16) = -1 EINPROGRESS (Operation now in progress)
			connect(3, {sa_family=AF_INET, sin_port=htons(80), sin_addr=inet_addr("198.51.100.1")}, 16) = -1 EADDRNOTAVAIL (Cannot assign requested address)
			getsockopt(3, SOL_SOCKET, SO_ERROR, [0], [4]) = 0
		`);
	});
});

describe("a socket that is not modelled", () => {
	it("is passed over, and so are options that do not concern ports", () => {
		matches(
			`
socket(AF_UNIX, SOCK_DGRAM|SOCK_CLOEXEC, 0) = 3
connect(3, {sa_family=AF_UNIX, sun_path="/dev/log"}, 110) = 0
sendto(3, "x", 1, MSG_NOSIGNAL, NULL, 0) = 1
socket(AF_NETLINK, SOCK_RAW|SOCK_CLOEXEC, NETLINK_ROUTE) = 4
bind(4, {sa_family=AF_NETLINK, nl_pid=0, nl_groups=00000000}, 12) = 0
socket(AF_PACKET, SOCK_DGRAM, htons(ETH_P_ALL)) = 5
bind(5, {sa_family=AF_PACKET, sll_protocol=htons(ETH_P_ALL), sll_ifindex=if_nametoindex("eth0"), sll_hatype=ARPHRD_NETROM, sll_pkttype=PACKET_HOST, sll_halen=0}, 20) = 0
socket(AF_INET, SOCK_RAW, IPPROTO_ICMP) = 6
bind(6, ${in4(0)}, 16) = 0
socket(AF_INET6, SOCK_DGRAM, IPPROTO_ICMPV6) = 7
sendto(7, "x", 1, 0, ${in6(0)}, 28) = 1
`,
			["socket", "connect", "bind", "sendto"],
		);
		matches(
			`
${UDP6} = 3
setsockopt(3, SOL_IPV6, IPV6_UNICAST_HOPS, [64], 4) = 0
setsockopt(3, SOL_IPV6, 0x63 /* IPV6_??? */, [1], 4) = -1 ENOPROTOOPT (Protocol not available)
setsockopt(3, SOL_UDP, UDP_SEGMENT, [1400], 4) = 0
setsockopt(3, SOL_SOCKET, SO_RCVBUF, [8388608], 4) = 0
`.replace(UDP6, `dup(0) = 3\n${UDP6}`),
			["dup", "setsockopt"],
		);
	});

	it("may be missing in the recorded kernel", () => {
		matches(
			`
socket(AF_INET6, SOCK_STREAM, IPPROTO_IP) = -1 EAFNOSUPPORT (Address family not supported by protocol)
socket(AF_INET, SOCK_STREAM, IPPROTO_SCTP) = -1 EPROTONOSUPPORT (Protocol not supported)
socket(AF_INET, SOCK_DCCP, IPPROTO_DCCP) = -1 ESOCKTNOSUPPORT (Socket type not supported)
socket(AF_INET, SOCK_STREAM, IPPROTO_MPTCP) = -1 EPROTONOSUPPORT (Protocol not supported)
socket(AF_INET, SOCK_DGRAM, IPPROTO_UDPLITE) = -1 EPROTONOSUPPORT (Protocol not supported)
`,
			["socket"],
		);
		// Node.js does not have this error.
		matches("socket(AF_INET, SOCK_RDM, IPPROTO_IP) = -1 ESOCKTNOSUPPORT");
		expect(mismatch("socket(AF_INET, SOCK_RDM, IPPROTO_IP) = -1 EWHATEVER").reason).toBe(
			"the kernel says EWHATEVER, the model ESOCKTNOSUPPORT",
		);
		const none = "-1 EPROTONOSUPPORT (Protocol not supported)";
		expect(mismatch(`socket(AF_INET, SOCK_DGRAM, IPPROTO_UDP) = ${none}`).call).toBe("socket");
	});
});
