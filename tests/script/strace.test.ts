// SPDX-License-Identifier: GPL-2.0-or-later

import fc from "fast-check";
import { describe, expect, it } from "vitest";
import {
	type Arg,
	type CallLine,
	decodeString,
	formatCall,
	parseScript,
	type Result,
	ScriptError,
	type ScriptLine,
	type Value,
} from "../../kernel-model/script/strace.js";

const FIXED = { seed: 20240607, numRuns: 1000 };

// Trees are compared without columns. Other tests check the columns.
const int = (value: number, symbol: string | null = null): Value => ({
	kind: "int",
	value,
	symbol,
	column: 0,
});
const bits = (extra: number, ...names: string[]): Value => ({
	kind: "flags",
	names,
	extra,
	column: 0,
});
const flags = (...names: string[]): Value => bits(0, ...names);
const bytes = (list: number[], truncated = false): Value => ({
	kind: "string",
	bytes: Uint8Array.from(list),
	truncated,
	column: 0,
});
const str = (text: string, truncated = false): Value =>
	bytes([...Buffer.from(text, "latin1")], truncated);
const array = (...items: Value[]): Value => ({
	kind: "array",
	items,
	negated: false,
	truncated: false,
	column: 0,
});
const not = (...items: Value[]): Value => ({
	kind: "array",
	items,
	negated: true,
	truncated: false,
	column: 0,
});
const more = <V extends Value>(value: V): V => ({ ...value, truncated: true });
const struct = (fields: Record<string, Value>): Value => ({
	kind: "struct",
	fields: Object.entries(fields).map(([name, value]) => ({
		name: name.startsWith("?") ? null : name,
		value,
	})),
	truncated: false,
	column: 0,
});
const fn = (name: string, ...args: Value[]): Value => ({ kind: "call", name, args, column: 0 });
const change = (before: Value, after: Value): Value => ({
	kind: "change",
	before,
	after,
	column: 0,
});
const NULL: Value = { kind: "null", column: 0 };
const other = (text: string): Value => ({ kind: "other", text, column: 0 });
const arg = (value: Value, fd: string | null = null): Arg => ({ name: null, value, fd });
const named = (name: string, value: Value): Arg => ({ name, value, fd: null });
const done = (value: number | null, errno: string | null = null, note: string | null = null) =>
	({ value, errno, note, column: 0 }) satisfies Result;

const inet = (port: number, address: string): Value =>
	struct({
		sa_family: flags("AF_INET"),
		sin_port: fn("htons", int(port)),
		sin_addr: fn("inet_addr", str(address)),
	});

/** A string keeps its text until its bytes are needed. */
function isString(value: unknown): value is Extract<Value, { kind: "string" }> {
	return typeof value === "object" && value !== null && "kind" in value && value.kind === "string";
}

function withoutColumns<T>(tree: T): T {
	return JSON.parse(
		JSON.stringify(tree, (key, value: unknown) => {
			if (key === "column") {
				return 0;
			}
			if (isString(value)) {
				const { kind, bytes, truncated } = value;
				return { kind, bytes, truncated, column: 0 };
			}
			return value instanceof Uint8Array ? { hex: Buffer.from(value).toString("hex") } : value;
		}),
	) as T;
}

function parse(text: string): ScriptLine[] {
	return parseScript(text, "test.strace").lines;
}

function isCall(line: ScriptLine): line is CallLine {
	return line.kind === "call";
}

function parseCalls(text: string): CallLine[] {
	return parse(text).filter(isCall);
}

function parseCall(text: string): CallLine {
	const lines = parse(text);
	expect(lines).toHaveLength(1);
	const [line] = lines;
	if (!isCall(line)) {
		throw new Error(`not a call: ${text}`);
	}
	return line;
}

function errorOf(text: string, isRelevant?: (name: string) => boolean): ScriptError {
	try {
		parseScript(text, "f.strace", isRelevant);
	} catch (error) {
		if (error instanceof ScriptError) {
			return error;
		}
		throw error;
	}
	throw new Error(`parsed: ${text}`);
}

const OBSERVED: [string, Arg[], Result | null][] = [
	[
		"socket(AF_INET, SOCK_STREAM|SOCK_CLOEXEC, IPPROTO_IP) = 3<TCP:[51115]>",
		[arg(flags("AF_INET")), arg(flags("SOCK_STREAM", "SOCK_CLOEXEC")), arg(flags("IPPROTO_IP"))],
		done(3),
	],
	[
		"setsockopt(3, SOL_IP, 0x33 /* IP_??? */, [-329258400], 4) = 0",
		[
			arg(int(3)),
			arg(flags("SOL_IP")),
			arg(int(0x33, "IP_???")),
			arg(array(int(-329258400))),
			arg(int(4)),
		],
		done(0),
	],
	[
		'setsockopt(6<UDP:[0.0.0.0:55897]>, 0x63 /* SOL_?? */, 99, "abc", 3) = -1 ENOPROTOOPT' +
			" (Protocol not available)",
		[
			arg(int(6), "UDP:[0.0.0.0:55897]"),
			arg(int(0x63, "SOL_??")),
			arg(int(99)),
			arg(str("abc")),
			arg(int(3)),
		],
		done(-1, "ENOPROTOOPT", "Protocol not available"),
	],
	[
		"setsockopt(3, SOL_SOCKET, SO_LINGER, {l_onoff=1, l_linger=0}, 8) = 0 <0.000012>",
		[
			arg(int(3)),
			arg(flags("SOL_SOCKET")),
			arg(flags("SO_LINGER")),
			arg(struct({ l_onoff: int(1), l_linger: int(0) })),
			arg(int(8)),
		],
		done(0),
	],
	[
		'bind(4<TCP:[51117]>, {sa_family=AF_INET, sin_port=htons(60131), sin_addr=inet_addr("127.0.0.1")},' +
			" 16) = -1 EADDRINUSE (Address already in use)",
		[arg(int(4), "TCP:[51117]"), arg(inet(60131, "127.0.0.1")), arg(int(16))],
		done(-1, "EADDRINUSE", "Address already in use"),
	],
	[
		"bind(5, {sa_family=AF_INET6, sin6_port=htons(0), sin6_flowinfo=htonl(0)," +
			' inet_pton(AF_INET6, "::1", &sin6_addr), sin6_scope_id=if_nametoindex("lo")}, 28) = 0',
		[
			arg(int(5)),
			arg(
				struct({
					sa_family: flags("AF_INET6"),
					sin6_port: fn("htons", int(0)),
					sin6_flowinfo: fn("htonl", int(0)),
					"?": fn("inet_pton", flags("AF_INET6"), str("::1"), other("&sin6_addr")),
					sin6_scope_id: fn("if_nametoindex", str("lo")),
				}),
			),
			arg(int(28)),
		],
		done(0),
	],
	[
		// -X raw
		'bind(3, {sa_family=0x2, sin_port="\\x00\\x00", sin_addr="\\x7f\\x00\\x00\\x01"}, 16) = 0',
		[
			arg(int(3)),
			arg(
				struct({
					sa_family: int(2),
					sin_port: bytes([0, 0]),
					sin_addr: bytes([127, 0, 0, 1]),
				}),
			),
			arg(int(16)),
		],
		done(0),
	],
	[
		// -X verbose
		'connect(5, {sa_family=0x2 /* AF_INET */, sin_port="\\xea\\xc5" /* htons(60101) */,' +
			' sin_addr="\\x7f\\x00\\x00\\x01" /* inet_addr("127.0.0.1") */}, 16) = 0',
		[
			arg(int(5)),
			arg(
				struct({
					sa_family: int(2, "AF_INET"),
					sin_port: bytes([0xea, 0xc5]),
					sin_addr: bytes([127, 0, 0, 1]),
				}),
			),
			arg(int(16)),
		],
		done(0),
	],
	[
		"socket(0x2 /* AF_INET */, 0x1 /* SOCK_STREAM */|0x80000 /* SOCK_CLOEXEC */, 0 /* IPPROTO_IP */) = 3",
		[
			arg(int(2, "AF_INET")),
			arg(int(0x80001, "SOCK_STREAM|SOCK_CLOEXEC")),
			arg(int(0, "IPPROTO_IP")),
		],
		done(3),
	],
	["socket(0x2, 0x1|0x80000, 0) = 0x3", [arg(int(2)), arg(int(0x80001)), arg(int(0))], done(3)],
	[
		"accept4(3<TCP:[127.0.0.1:60131]>, {sa_family=AF_INET, sin_port=htons(47476)," +
			' sin_addr=inet_addr("127.0.0.1")}, [128 => 16], SOCK_CLOEXEC) =' +
			" 4<TCP:[127.0.0.1:60131->127.0.0.1:47476]>",
		[
			arg(int(3), "TCP:[127.0.0.1:60131]"),
			arg(inet(47476, "127.0.0.1")),
			arg(array(change(int(128), int(16)))),
			arg(flags("SOCK_CLOEXEC")),
		],
		done(4),
	],
	[
		"getsockname(9<UNIX-STREAM:[51541->51542]>, {sa_family=AF_UNIX}, [110->2]) = 0",
		[
			arg(int(9), "UNIX-STREAM:[51541->51542]"),
			arg(struct({ sa_family: flags("AF_UNIX") })),
			arg(array(change(int(110), int(2)))),
		],
		done(0),
	],
	[
		'getpeername(8<UNIX-STREAM:[51536,@"a]>b"]>, 0x7ffd105d3d10, [110]) = -1 ENOTCONN' +
			" (Transport endpoint is not connected)",
		[arg(int(8), 'UNIX-STREAM:[51536,@"a]>b"]'), arg(int(0x7ffd105d3d10)), arg(array(int(110)))],
		done(-1, "ENOTCONN", "Transport endpoint is not connected"),
	],
	["close(5<TCPv6:[[::1]:42715]>) = 0", [arg(int(5), "TCPv6:[[::1]:42715]")], done(0)],
	[
		"dup2(1</dev/null<char 1:3>>, 4</tmp/a (deleted)>(deleted)) = 4</dev/null<char 1:3>>",
		[arg(int(1), "/dev/null<char 1:3>"), arg(int(4), "/tmp/a (deleted)(deleted)")],
		done(4),
	],
	[
		'bind(8, {sa_family=AF_UNIX, sun_path=@"abs"}, 6) = 0',
		[
			arg(int(8)),
			arg(struct({ sa_family: flags("AF_UNIX"), sun_path: bytes([0, 97, 98, 115]) })),
			arg(int(6)),
		],
		done(0),
	],
	[
		'connect(3, {sa_family=AF_UNSPEC, sa_data="\\0\\0\\0\\0\\0\\0\\0\\0\\0\\0\\0\\0\\0\\0"}, 16) = 0',
		[
			arg(int(3)),
			arg(struct({ sa_family: flags("AF_UNSPEC"), sa_data: bytes(new Array(14).fill(0)) })),
			arg(int(16)),
		],
		done(0),
	],
	[
		'recvfrom(4, "x\\"\\\\\\1\\0012\\08\\377y\\n"..., 200, MSG_DONTWAIT|0x800000, NULL, NULL) = 109',
		[
			arg(int(4)),
			arg(bytes([120, 34, 92, 1, 1, 50, 0, 56, 255, 121, 10], true)),
			arg(int(200)),
			arg(bits(0x800000, "MSG_DONTWAIT")),
			arg(NULL),
			arg(NULL),
		],
		done(109),
	],
	[
		"clone(child_stack=NULL, flags=CLONE_CHILD_CLEARTID|CLONE_CHILD_SETTID|SIGCHLD," +
			" child_tidptr=0x7f59ebe85e50) = 25814<python3>",
		[
			named("child_stack", NULL),
			named("flags", flags("CLONE_CHILD_CLEARTID", "CLONE_CHILD_SETTID", "SIGCHLD")),
			named("child_tidptr", int(0x7f59ebe85e50)),
		],
		done(25814),
	],
	[
		"clone3({flags=CLONE_VM|CLONE_THREAD, exit_signal=SIGCHLD, stack_size=0x7fff80, ...} =>" +
			" {parent_tid=[25813]}, 88) = 25813",
		[
			arg(
				change(
					more(
						struct({
							flags: flags("CLONE_VM", "CLONE_THREAD"),
							exit_signal: flags("SIGCHLD"),
							stack_size: int(0x7fff80),
						}),
					),
					struct({ parent_tid: array(int(25813)) }),
				),
			),
			arg(int(88)),
		],
		done(25813),
	],
	[
		'execve("/sbin/ip", ["ip", "addr", "add 192.0.2.1/32 d"..., ...], 0x7ffd /* 22 vars */) = 0',
		[
			arg(str("/sbin/ip")),
			arg(more(array(str("ip"), str("addr"), str("add 192.0.2.1/32 d", true)))),
			arg(int(0x7ffd, "22 vars")),
		],
		done(0),
	],
	[
		'openat(AT_FDCWD</work>, "/proc/sys/net", O_WRONLY|O_CREAT|O_CLOEXEC, 0666) = 3',
		[
			arg(flags("AT_FDCWD"), "/work"),
			arg(str("/proc/sys/net")),
			arg(flags("O_WRONLY", "O_CREAT", "O_CLOEXEC")),
			arg(int(0o666)),
		],
		done(3),
	],
	[
		'newfstatat(AT_FDCWD, "/", {st_mode=S_IFDIR|0755, st_rdev=makedev(0x1, 0x3), ...}, 0) = 0',
		[
			arg(flags("AT_FDCWD")),
			arg(str("/")),
			arg(
				more(
					struct({
						st_mode: bits(0o755, "S_IFDIR"),
						st_rdev: fn("makedev", int(1), int(3)),
					}),
				),
			),
			arg(int(0)),
		],
		done(0),
	],
	[
		"rt_sigprocmask(SIG_BLOCK, ~[RTMIN RT_1], [], 8) = 0",
		[arg(flags("SIG_BLOCK")), arg(not(flags("RTMIN"), flags("RT_1"))), arg(array()), arg(int(8))],
		done(0),
	],
	[
		"pselect6(7, [4 6], NULL, NULL, {tv_sec=0, tv_nsec=1}, NULL) = 1 (in [4], left {tv_sec=0})",
		[
			arg(int(7)),
			arg(array(int(4), int(6))),
			arg(NULL),
			arg(NULL),
			arg(struct({ tv_sec: int(0), tv_nsec: int(1) })),
			arg(NULL),
		],
		done(1, null, "in [4], left {tv_sec=0}"),
	],
	[
		"poll([{fd=5<TCP:[127.0.0.1:47476->127.0.0.1:60131]>, events=POLLIN}], 1, 3000) = 1" +
			' ([{fd=5, revents=POLLIN|0x40, x=")"}])',
		[arg(array(struct({ fd: int(5), events: flags("POLLIN") }))), arg(int(1)), arg(int(3000))],
		done(1, null, '[{fd=5, revents=POLLIN|0x40, x=")"}]'),
	],
	[
		"sendmsg(9, {msg_name=NULL, msg_control=[{cmsg_type=SCM_RIGHTS, cmsg_data=[0</dev/null>, 1]}]," +
			" msg_flags=0}, MSG_NOSIGNAL) = 1",
		[
			arg(int(9)),
			arg(
				struct({
					msg_name: NULL,
					msg_control: array(
						struct({ cmsg_type: flags("SCM_RIGHTS"), cmsg_data: array(int(0), int(1)) }),
					),
					msg_flags: int(0),
				}),
			),
			arg(flags("MSG_NOSIGNAL")),
		],
		done(1),
	],
	[
		"wait4(25814, [{WIFEXITED(s) && WEXITSTATUS(s) == 3}], 0, NULL) = 25814",
		[
			arg(int(25814)),
			arg(array(struct({ "?": other("WIFEXITED(s) && WEXITSTATUS(s) == 3") }))),
			arg(int(0)),
			arg(NULL),
		],
		done(25814),
	],
	["exit_group(0)   = ?", [arg(int(0))], done(null)],
	// strace -s 0
	[
		"sendto(3, ..., 32, 0, NULL, 0) = 32",
		[arg(int(3)), arg(other("...")), arg(int(32)), arg(int(0)), arg(NULL), arg(int(0))],
		done(32),
	],
	["clock_nanosleep(0,  <unfinished ...>) = ?", [arg(int(0))], done(null)],
	[
		"pause()           = ? ERESTARTNOHAND (To be restarted if no handler)",
		[],
		done(null, "ERESTARTNOHAND", "To be restarted if no handler"),
	],
	["read(0, 0x1, 2) = ? <unavailable>", [arg(int(0)), arg(int(1)), arg(int(2))], done(null)],
	[
		"fcntl(6, F_GETFL) = 0x8002 (flags O_RDWR|O_LARGEFILE)",
		[arg(int(6)), arg(flags("F_GETFL"))],
		done(0x8002, null, "flags O_RDWR|O_LARGEFILE"),
	],
	[
		"listen(3, 5) = -1 EADDRINUSE (Address already in use) (INJECTED) <0.000010>",
		[arg(int(3)), arg(int(5))],
		done(-1, "EADDRINUSE", "Address already in use, INJECTED"),
	],
	["umask(022) = 077", [arg(int(0o22))], done(0o77)],
	["brk(NULL) = 0x5645ba910000", [arg(NULL)], done(0x5645ba910000)],
	[
		"restart_syscall(<... resuming interrupted read ...>) = 1",
		[arg(other("<... resuming interrupted read ...>"))],
		done(1),
	],
	[
		"prlimit64(0, RLIMIT_STACK, NULL, {rlim_cur=8192*1024, rlim_max=RLIM64_INFINITY}) = 0",
		[
			arg(int(0)),
			arg(flags("RLIMIT_STACK")),
			arg(NULL),
			arg(struct({ rlim_cur: int(8192 * 1024), rlim_max: flags("RLIM64_INFINITY") })),
		],
		done(0),
	],
	[
		"ioctl(0, TCGETS, {B38400 opost isig icanon -echo ...}) = 0",
		[
			arg(int(0)),
			arg(flags("TCGETS")),
			arg(more(struct({ "?": other("B38400 opost isig icanon -echo") }))),
		],
		done(0),
	],
	[
		"ioctl(0, SNDCTL_TMR_START or TCSETS, {c_cc[VMIN]=1, c_cc=[[VINTR]=0x3, [17]=0]}) = 0",
		[
			arg(int(0)),
			arg(other("SNDCTL_TMR_START or TCSETS")),
			arg(
				struct({
					"c_cc[VMIN]": int(1),
					c_cc: array(other("[VINTR]=0x3"), other("[17]=0")),
				}),
			),
		],
		done(0),
	],
	[
		"sendto(3, [{nlmsg_len=40, nl_groups=0000000f}, [{nla_len=10}, 00:1a:22:33:44:ff]], 40) = 40",
		[
			arg(int(3)),
			arg(
				array(
					struct({ nlmsg_len: int(40), nl_groups: int(15) }),
					array(struct({ nla_len: int(10) }), other("00:1a:22:33:44:ff")),
				),
			),
			arg(int(40)),
		],
		done(40),
	],
	[
		"capget({pid=0}, {effective=1<<CAP_CHOWN|1<<CAP_KILL}) = 0",
		[arg(struct({ pid: int(0) })), arg(struct({ effective: other("1<<CAP_CHOWN|1<<CAP_KILL") }))],
		done(0),
	],
	[
		// 6.1 with -X raw
		'statx(-100, "/", |0x900, 0x25e, NULL) = 0',
		[arg(int(-100)), arg(str("/")), arg(int(0x900)), arg(int(0x25e)), arg(NULL)],
		done(0),
	],
	[
		"quotactl(0 /* QCMD(0 /* Q_??? */, USRQUOTA) */, NULL) = 0",
		[arg(int(0, "QCMD(0 /* Q_??? */, USRQUOTA)")), arg(NULL)],
		done(0),
	],
	// Syntax that only scripts have.
	[
		"setsockopt(3, SOL_IP, IP_LOCAL_PORT_RANGE, [60000, 3], 4)",
		[
			arg(int(3)),
			arg(flags("SOL_IP")),
			arg(flags("IP_LOCAL_PORT_RANGE")),
			arg(array(int(60000), int(3))),
			arg(int(4)),
		],
		null,
	],
	[
		"f(port_of(3), 1<<3, 60511 << 16 | 60000, (1 + 2) * 3, 010, -0x10, ~0, 0 /* none */) = 0 /* ok */",
		[
			arg(fn("port_of", int(3))),
			arg(int(8)),
			arg(int(3965708896)),
			arg(int(9)),
			arg(int(8)),
			arg(int(-16)),
			arg(other("~0")),
			arg(int(0, "none")),
		],
		done(0),
	],
];

describe("a call", () => {
	it.each(OBSERVED)("is read: %s", (text, args, result) => {
		const call = parseCall(text);
		expect(withoutColumns(call.args)).toEqual(withoutColumns(args));
		expect(withoutColumns(call.result)).toEqual(result);
	});

	it("keeps its text without padding, pid and time", () => {
		expect(parseCall("12    1700000000.000001 close(3)       = 0 <0.1>\r\n").text).toBe(
			"close(3) = 0 <0.1>",
		);
		expect(parseCall("  bind(3,  0) ").text).toBe("bind(3,  0)");
	});

	it("keeps flags of more than 32 bits", () => {
		const [{ value }] = parseCall("f(CLONE_NEWNET|0x200000000|0x80000000|1)").args;
		expect(value).toMatchObject({ names: ["CLONE_NEWNET"], extra: 0x280000001 });
	});

	it("may have every escape in a string", () => {
		const [{ value }] = parseCall(
			'f("\\n\\t\\r\\v\\f\\a\\b\\e\\"\\\'\\\\\\?\\0\\18\\1234\\x4g\\x41a")',
		).args;
		expect(withoutColumns(value)).toEqual(
			withoutColumns(
				bytes([10, 9, 13, 11, 12, 7, 8, 27, 34, 39, 92, 63, 0, 1, 56, 0o123, 52, 4, 103, 0x41, 97]),
			),
		);
	});

	it("has strings of UTF-8, else of Latin-1", () => {
		const [utf8, latin1] = parseCall('f("\\303\\251é", "\\351")').args;
		expect(utf8.value.kind === "string" && decodeString(utf8.value)).toBe("éé");
		expect(latin1.value.kind === "string" && decodeString(latin1.value)).toBe("é");
	});

	it("has the columns of the line for its parts", () => {
		const text = "12    bind(3<x>, {a=AF_INET, b=htons(60000)}, [28 => 16]) = -1 EINVAL (No)";
		const call = parseCall(text);
		const [fd, address, length] = call.args;
		expect(call.column).toBe(text.indexOf("bind") + 1);
		expect(fd.value.column).toBe(text.indexOf("3<") + 1);
		expect(address.value.column).toBe(text.indexOf("{") + 1);
		expect(call.result?.column).toBe(text.indexOf("-1") + 1);
		if (address.value.kind !== "struct" || length.value.kind !== "array") {
			throw new Error("another tree");
		}
		expect(address.value.fields.map((field) => field.value.column)).toEqual([
			text.indexOf("AF_INET") + 1,
			text.indexOf("htons") + 1,
		]);
		const [{ kind, column }] = length.value.items;
		expect([kind, column]).toEqual(["change", text.indexOf("28") + 1]);
	});
});

describe("the parser of lines that are no calls", () => {
	it("reads comments, exits and signals", () => {
		const text = [
			"# a comment",
			"",
			"  \t",
			"strace: exec: Permission denied",
			"/usr/bin/strace: Process 12 detached",
			"[ Process PID=12 runs in 32 bit mode. ]",
			" > /lib/libc.so.6(bind+0x7) [0x1]",
			" | 00000  68 69   hi |",
			"12    1.500000 +++ exited with 3 +++",
			"+++ killed by SIGSEGV (core dumped) +++",
			"[pid    13] +++ superseded by execve in pid 14 +++",
			"12    --- SIGCHLD {si_signo=SIGCHLD, si_pid=3} ---",
			"--- stopped by SIGTSTP ---",
		];
		const lines = parse(`${text.join("\n")}\n`);
		expect(lines.slice(0, 8)).toEqual(
			text.slice(0, 8).map((line, n) => ({ kind: "comment", line: n + 1, text: line })),
		);
		expect(lines.slice(8)).toEqual([
			{
				kind: "exit",
				line: 9,
				pid: 12,
				time: 1.5,
				status: 3,
				signal: null,
				since: 0,
				dying: false,
				text: "+++ exited with 3 +++",
			},
			{
				kind: "exit",
				line: 10,
				pid: null,
				time: null,
				status: null,
				signal: "SIGSEGV",
				since: 0,
				dying: false,
				text: "+++ killed by SIGSEGV (core dumped) +++",
			},
			{
				kind: "exit",
				line: 11,
				pid: 13,
				time: null,
				status: null,
				signal: null,
				superseded: 14,
				since: 11,
				dying: false,
				text: "+++ superseded by execve in pid 14 +++",
			},
			{
				kind: "signal",
				line: 12,
				pid: 12,
				time: null,
				text: "--- SIGCHLD {si_signo=SIGCHLD, si_pid=3} ---",
			},
			{ kind: "signal", line: 13, pid: null, time: null, text: "--- stopped by SIGTSTP ---" },
		]);
	});

	it("splits set-up commands like a shell", () => {
		const text = ' $ sysctl  -w a="60000 60511"\\ b \'x\\y\' "" "\\"\\n\\$" ';
		expect(parse(text)).toEqual([
			{
				kind: "setup",
				line: 1,
				column: 2,
				argv: ["sysctl", "-w", "a=60000 60511 b", "x\\y", "", '"\\n$'],
				argColumns: [4, 12, 15, 34, 40, 43],
				text: text.trim(),
			},
		]);
		expect(parse("$ip addr")).toMatchObject([{ argv: ["ip", "addr"], argColumns: [2, 5] }]);
	});

	it("splits every quoted set-up command as a shell does", () => {
		const word = fc.string({ unit: "binary-ascii" }).filter((text) => !/[\n\r]/.test(text));
		fc.assert(
			fc.property(fc.array(word, { minLength: 1 }), (words) => {
				const quoted = words.map((text) => `'${text.replaceAll("'", "'\\''")}'`);
				expect(parse(`$ ${quoted.join(" ")}`)).toMatchObject([{ argv: words }]);
			}),
			FIXED,
		);
	});
});

describe("pids and times", () => {
	const stamps = (text: string) =>
		parseCalls(text).map((call) => [call.pid, call.time, call.endTime]);

	it.each([
		["close(3) = 0", null, null],
		["[pid   123] close(3) = 0", 123, null],
		["123   close(3) = 0", 123, null],
		["123<python3> close(3) = 0", 123, null],
		["123   1700000000.123456 close(3) = 0", 123, 1700000000.123456],
		["1700000000.123456 close(3) = 0", null, 1700000000.123456],
		["1700000000 close(3) = 0", null, 1700000000],
		["[pid 123<a b>] 12:00:01 close(3) = 0", 123, 43201],
		["12:00:01.123456 close(3) = 0", null, 43201.123456],
		["12:00:01 (+     0.000123) close(3) = 0", null, 43201],
		["     0.000123 close(3) = 0", null, 0.000123],
		["     2 close(3) = 0", null, 2],
		["123        2 close(3) = 0", 123, 2],
		["123 /* 5 in strace's PID NS */ close(3) = 0", 123, null],
		["123   [   3] [00007f525b1e5c47] close(3) = 0", 123, null],
		["123   12:00:01 [????????????????] close(3) = 0", 123, 43201],
	])("are read: %s", (text, pid, time) => {
		expect(stamps(text)).toEqual([[pid, time, null]]);
		expect(parseCall(text)).toMatchObject({
			text: "close(3) = 0",
			column: text.indexOf("close") + 1,
		});
	});

	it("are sums of deltas, and lines of every kind count", () => {
		const text = [
			"     0.000000 a() = 0",
			"1          1.100000 --- SIGIO {} ---",
			"     0.200000 a() = 0",
			"     0.000003 a( <unfinished ...>",
			"     0.000010 <... a resumed>) = 0",
		].join("\n");
		expect(stamps(text)).toEqual([
			[null, 0, null],
			[null, 1.3, null],
			[null, 1.300003, 1.300013],
		]);
	});

	it("are seconds since a fixed time, not deltas, if the first one is not 0", () => {
		expect(stamps("1 1000.000000 a() = 0\n1 1000.250000 a() = 0")).toEqual([
			[1, 1000, null],
			[1, 1000.25, null],
		]);
	});

	it("go on after midnight, and after a clock is set back", () => {
		const text = ["23:59:59.5", "00:00:00", "00:00:01", "00:00:00", "23:00:00", "00:30:00"];
		const times = parseCalls(text.map((time) => `${time} a() = 0`).join("\n")).map((c) => c.time);
		expect(times).toEqual([86399.5, 86400, 86401, 86400, 169200, 174600]);
	});

	it("include the end of a call if strace had -T", () => {
		expect(stamps("1700000000.000000 a() = 0 <0.500000>")).toEqual([
			[null, 1700000000, 1700000000.5],
		]);
		expect(stamps("a() = 0 <0.500000>")).toEqual([[null, null, null]]);
	});
});

describe("the parser of split calls", () => {
	it("joins the halves of interleaved processes", () => {
		const lines = [
			"10    1.0 accept4(3,  <unfinished ...>",
			'11    1.0 connect(4, {sa_family=AF_INET, sin_port=htons(80), sin_addr=inet_addr("127.0.0.1")}, 16 <unfinished ...>',
			"12    1.0 close(9) = 0",
			"11    1.0 <... connect resumed>)       = -1 EINPROGRESS (Operation now in progress)",
			"10    1.0 <... accept4 resumed>{sa_family=AF_UNIX}, [16], SOCK_CLOEXEC) = 5",
			"10    1.0 read(5,  <unfinished ...>",
		];
		const calls = parseCalls(lines.join("\n"));
		expect(
			calls.map(({ name, line, endLine, pid, time, endTime, split, unresumed, text }) => ({
				name,
				line,
				endLine,
				pid,
				time,
				endTime,
				split,
				unresumed,
				text,
			})),
		).toEqual([
			{
				name: "accept4",
				line: 1,
				endLine: 5,
				pid: 10,
				time: 1,
				endTime: 5,
				split: true,
				unresumed: false,
				text: "accept4(3, {sa_family=AF_UNIX}, [16], SOCK_CLOEXEC) = 5",
			},
			{
				name: "connect",
				line: 2,
				endLine: 4,
				pid: 11,
				time: 2,
				endTime: 4,
				split: true,
				unresumed: false,
				text: 'connect(4, {sa_family=AF_INET, sin_port=htons(80), sin_addr=inet_addr("127.0.0.1")}, 16) = -1 EINPROGRESS (Operation now in progress)',
			},
			{
				name: "close",
				line: 3,
				endLine: 3,
				pid: 12,
				time: 3,
				endTime: null,
				split: false,
				unresumed: false,
				text: "close(9) = 0",
			},
			{
				name: "read",
				line: 6,
				endLine: 6,
				pid: 10,
				time: 6,
				endTime: null,
				split: false,
				unresumed: true,
				text: "read(5,",
			},
		]);
		const [accept, , , read] = calls;
		expect(accept.args).toHaveLength(4);
		expect(accept.args.map(({ value }) => value.column)).toEqual([
			lines[0].indexOf("3,") + 1,
			lines[4].indexOf("{") + 1,
			lines[4].indexOf("[") + 1,
			lines[4].indexOf("SOCK") + 1,
		]);
		expect(accept.result?.column).toBe(lines[4].length);
		expect(withoutColumns(read.args)).toEqual([arg(int(5))]);
		expect(read.result).toBeNull();
	});

	it("joins halves at every place, also with the space that strace 5.1 wrote", () => {
		const [first, second] = parseCalls(
			[
				"1 clone3({flags=0} <unfinished ...>",
				"1 <... clone3 resumed> => {parent_tid=[2]}, 88) = 2",
				"1 read(3,  <unfinished ...>",
				'1 <... read resumed> "a", 1) = 1',
				"1 vfork( <unfinished ...>",
				"1 <... vfork resumed> )      = 3",
			].join("\n"),
		);
		expect(first.text).toBe("clone3({flags=0} => {parent_tid=[2]}, 88) = 2");
		expect(second.text).toBe('read(3, "a", 1) = 1');
	});

	it("ends the calls of a process that is killed", () => {
		const lines = parse(
			[
				"1 read(3,  <unfinished ...>",
				"2 sendmsg(4, {msg_name=NULL, msg_iov=[{iov <unfinished ...>",
				"2 +++ killed by SIGKILL +++",
				"2 sendmsg(5, NULL, 0) = 0",
				"1 <... read resumed> <unfinished ...>) = ?",
				"1 futex(0x1 <detached ...>",
			].join("\n"),
		);
		expect(lines).toMatchObject([
			{ name: "read", unresumed: false, split: true, result: { value: null } },
			{ name: "sendmsg", unresumed: true, args: [{ value: { value: 4 } }], endLine: 2 },
			{ kind: "exit" },
			{ name: "sendmsg", unresumed: false },
			{ name: "futex", unresumed: true, args: [{ value: { value: 1 } }] },
		]);
	});

	it("follows a thread that takes over its process by execve", () => {
		const lines = parse(
			[
				"10 pause( <unfinished ...>",
				'11 execve("/bin/true", ["true"], NULL <unfinished ...>',
				"10 <... pause resumed>) = ?",
				"10 +++ superseded by execve in pid 11 +++",
				"10 <... execve resumed>) = 0",
			].join("\n"),
		);
		expect(lines).toMatchObject([
			{ name: "pause" },
			{ name: "execve", pid: 11, endLine: 5, result: { value: 0 } },
			{ kind: "exit", pid: 10 },
		]);
	});

	it("finds pids that a terminal does not show, and joins calls that strace's messages interrupt", () => {
		const lines = parse(
			[
				'execve("/bin/sh", ["sh"], NULL) = 0',
				"clone3({flags=0}strace: Process 101 attached",
				" => {parent_tid=[101]}, 88) = 101",
				"[pid   101] read(3, /usr/bin/strace: Process 102 attached",
				"strace: Process 103 attached",
				" <unfinished ...>",
				"[pid   100] wait4(-1,  <unfinished ...>",
				'[pid   101] <... read resumed>"", 1) = 0',
				"[pid   102] +++ exited with 0 +++",
				"[pid   103] +++ exited with 0 +++",
				"[pid   101] +++ exited with 0 +++",
				"<... wait4 resumed>NULL, 0, NULL) = 101",
				"+++ exited with 0 +++",
			].join("\n"),
		);
		expect(
			lines.map((line) => [
				line.line,
				line.kind === "call" ? line.endLine : line.line,
				"pid" in line ? line.pid : "",
				line.kind === "call" ? line.text : line.kind,
			]),
		).toEqual([
			[1, 1, 100, 'execve("/bin/sh", ["sh"], NULL) = 0'],
			[2, 2, 100, "clone3({flags=0} => {parent_tid=[101]}, 88) = 101"],
			[4, 8, 101, 'read(3, "", 1) = 0'],
			[7, 12, 100, "wait4(-1, NULL, 0, NULL) = 101"],
			[9, 9, 102, "exit"],
			[10, 10, 103, "exit"],
			[11, 11, 101, "exit"],
			[13, 13, 100, "exit"],
		]);
		const broken = "clone3({flags=0}strace: Process 1 attached\n => {a b}, 88) = 1";
		expect(parseCalls(broken)[0].problem).toMatchObject({ line: 2, column: 8 });
	});

	it("guesses no pids without strace's messages", () => {
		const calls = parseCalls("a() = 0\n[pid 2] a() = 0\na() = 0\n");
		expect(calls.map((call) => call.pid)).toEqual([null, 2, null]);
	});
});

describe("errors", () => {
	const LINE = "a system call, '$ command' or '# comment'";
	const CASES: [string, number, number, string][] = [
		["hello world", 1, 1, "expected a system call, '$ command' or '# comment', found 'hello'"],
		[
			"\n  123 OSError: no",
			2,
			7,
			"expected a system call, '$ command' or '# comment', found 'OSError'",
		],
		["bind 3", 1, 1, "expected a system call, '$ command' or '# comment', found 'bind'"],
		["bind(3", 1, 7, "expected ',' or ')', found the end of the line"],
		["bind(3,", 1, 8, "expected a value, found the end of the line"],
		["bind(3, {a=1 b=2}, 16)", 1, 14, "expected ',' or '}', found 'b'"],
		["bind(3, {a=1, }, 16)", 1, 15, "expected a field, found '}'"],
		["bind(3, {a=, b=1}, 16)", 1, 12, "expected a value, found ','"],
		["bind(3, {a=htons(1}, 16)", 1, 19, "expected ',' or ')', found '}'"],
		["f([1, 2)", 1, 8, "expected ',' or ']', found ')'"],
		["f([1, ])", 1, 7, "expected a value, found ']'"],
		['f("abc)', 1, 8, "expected '\"', found the end of the line"],
		['f("a\\q")', 1, 5, "expected an escape sequence, found '\\'"],
		['f("a\\777")', 1, 5, "expected an octal escape up to \\377, found '\\'"],
		["f(0x)", 1, 3, "expected a number, found '0x'"],
		["f(12ab)", 1, 3, "expected a number, found '12ab'"],
		["f(089)", 1, 3, "expected a number, found '089'"],
		["f(3<TCP:[1)", 1, 12, "expected '>', found the end of the line"],
		["f(1 /* a)", 1, 10, "expected '*/', found the end of the line"],
		["f(127.0.0.1)", 1, 6, "expected ',' or ')', found '.0.0.1'"],
		["f() 0", 1, 5, "expected '=' or the end of the line, found '0'"],
		["f() =", 1, 6, "expected a number or '?', found the end of the line"],
		["f() = EINVAL", 1, 7, "expected a number or '?', found 'EINVAL'"],
		["f() = 0 # fine", 1, 9, "expected the end of the line, found '#'"],
		["f() = 0 (a", 1, 11, "expected ')', found the end of the line"],
		[
			"+++ done +++",
			1,
			1,
			"expected '+++ exited with …', '+++ killed by …' or '+++ superseded by …', found '+'",
		],
		["$", 1, 2, "expected a command, found the end of the line"],
		["$ ip 'a", 1, 8, 'expected "\'", found the end of the line'],
		['$ ip "a', 1, 8, "expected '\"', found the end of the line"],
		["$ ip \\", 1, 7, "expected a character after '\\', found the end of the line"],
	];

	it.each(CASES)("name the place and what was expected: %j", (text, line, column, message) => {
		const error = errorOf(text);
		expect(error.message).toBe(`f.strace:${line}:${column}: ${message}`);
		expect(error).toMatchObject({ file: "f.strace", line, column });
		expect(message).toContain(`expected ${error.expected}, found`);
	});

	const RECORDED: [string, number, number, string][] = [
		["bind(3, ) = 0", 1, 9, "expected a value, found ')'"],
		["12    bind(3 4) = 0", 1, 14, "expected ',' or ')', found '4'"],
		[
			"a() = 0\n1 <... a resumed>) = 0",
			2,
			3,
			"expected an earlier 'a(… <unfinished ...>', found '<'",
		],
		[
			"1 a( <unfinished ...>\n1 <... b resumed>) = 0",
			2,
			3,
			"expected an earlier 'b(… <unfinished ...>', found '<'",
		],
		[
			"1 a(3,  <unfinished ...>\n1 <... a resumed>4 5) = 0",
			2,
			20,
			"expected ',' or ')', found '5'",
		],
		["1 a(3 4,  <unfinished ...>\n1 <... a resumed>4) = 0", 1, 7, "expected ',' or ')', found '4'"],
		["1 a(3 4,  <unfinished ...>", 1, 7, "expected ',' or ')', found '4'"],
		["a() = 0\n--- SIGCHLD {} ---\nTraceback (most)", 3, 1, `expected ${LINE}, found 'Traceback'`],
		["1000000000.5 a(3 4", 1, 18, "expected ',' or ')', found '4'"],
	];

	it.each(RECORDED)("are problems of a line in a recording: %j", (text, ...place) => {
		const [line, column, message] = place;
		const problems = parseScript(text, "f.strace").lines.flatMap((parsed) => {
			if (parsed.kind === "unknown") return [parsed.problem];
			return isCall(parsed) && parsed.problem !== null ? [parsed.problem] : [];
		});
		expect(problems).toHaveLength(1);
		const [{ expected, found }] = problems;
		expect(problems).toMatchObject([{ line, column }]);
		expect(`expected ${expected}, found ${found}`).toBe(message);
	});

	it("leave the result of a recorded call if it can be read", () => {
		const [line] = parseScript("socket(AF_NEW 1) = 5", "f").lines;
		expect(line).toMatchObject({ opaque: true, args: [], result: { value: 5 } });
	});

	it("do not count in calls that are not relevant", () => {
		const isRelevant = (name: string) => name === "bind";
		const text = [
			"foo({a b c = 0",
			"1 foo(<<,  <unfinished ...>",
			"1 <... foo resumed>) = 0",
			"1 <... bar resumed>) = 0",
			"foo(1) = 0",
		];
		const { lines } = parseScript(text.join("\n"), "f", isRelevant);
		expect(lines).toMatchObject([
			{ name: "foo", opaque: true, args: [], result: null, text: "foo({a b c = 0" },
			{ name: "foo", opaque: true, args: [], line: 2, endLine: 3, split: true },
			{ name: "bar", opaque: true, args: [], line: 4, result: { value: 0 } },
			{ name: "foo", opaque: false, result: { value: 0 } },
		]);
		expect(errorOf("foo(<<)\nbind(<<)", isRelevant)).toMatchObject({ line: 2, column: 6 });
		expect(errorOf("Traceback", isRelevant)).toMatchObject({ line: 1, column: 1 });
	});

	it("are all ScriptError, and their columns lie inside the line", () => {
		const fragment = fc.constantFrom(
			...'bind( , ) = -1 0x1F 077 3<TCP:[a->b]> { } [ ] ~ " \\ /* */ | << & && == => -> NULL A a= ... : or'.split(
				" ",
			),
			" ",
			"\n",
			"$ ",
			"# ",
			"[pid 7] ",
			"7 ",
			"12:00:00 ",
			" <unfinished ...>\n",
			"<... bind resumed>",
			"+++ exited with 0 +++",
			"--- SIGIO ---",
			"strace: Process 7 attached\n",
			"<... resuming interrupted x ...>",
		);
		const noise = fc.oneof(
			fc.string({ unit: "binary" }),
			fc.array(fragment, { maxLength: 30 }).map((parts) => parts.join("")),
			fc.array(fragment, { maxLength: 20 }).map((parts) => `bind(${parts.join("")}`),
		);
		fc.assert(
			fc.property(noise, fc.boolean(), (text, relevant) => {
				try {
					parseScript(text, "f", () => relevant);
				} catch (error) {
					if (!(error instanceof ScriptError)) {
						throw error;
					}
					const line = text.split("\n")[error.line - 1];
					expect(error.column).toBeGreaterThanOrEqual(1);
					expect(error.column).toBeLessThanOrEqual(line.length + 1);
				}
			}),
			{ ...FIXED, numRuns: 5000 },
		);
	});
});

describe("formatCall", () => {
	const integer = fc.oneof(
		fc.integer(),
		fc.integer({ min: Number.MIN_SAFE_INTEGER, max: Number.MAX_SAFE_INTEGER }),
		fc.nat(100),
	);
	const constant = fc.stringMatching(/^[A-Z][A-Z0-9_]{0,10}$/).filter((name) => name !== "NULL");
	const name = fc.stringMatching(/^[a-z_][a-z0-9_]{0,8}$/);
	const symbol = fc
		.stringMatching(/^[ -~]{0,12}$/)
		.map((text) => text.trim())
		.filter((text) => !`${text} `.includes("*/") && !`/${text}`.includes("/*"));
	const OTHERS = [
		"&sin6_addr",
		"1<<CAP_CHOWN|1<<CAP_KILL",
		"TCGETS or SNDCTL_TMR_TIMEBASE",
		"00:11:22:33:44:55",
		"WIFEXITED(s) && WEXITSTATUS(s) == 3",
		"[VMIN]=1",
		"~0x10",
		"???",
		"<... resuming interrupted poll ...>",
	];
	const scalar = fc.oneof(
		fc.tuple(integer, fc.option(symbol)).map(([value, text]) => int(value, text)),
		fc
			.tuple(fc.oneof(fc.constant(0), integer), fc.array(constant, { minLength: 1, maxLength: 3 }))
			.map(([extra, names]) => bits(extra, ...names)),
	);
	const { plain, value } = fc.letrec<{ plain: Value; value: Value }>((tie) => ({
		plain: fc.oneof(
			{ depthSize: "small", withCrossShrink: true },
			scalar,
			fc.constant(NULL),
			fc.tuple(fc.uint8Array(), fc.boolean()).map(([list, cut]) => bytes([...list], cut)),
			fc
				.tuple(fc.array(tie("value"), { maxLength: 4 }), fc.boolean(), fc.boolean())
				.map(([items, negated, truncated]) => ({
					kind: "array" as const,
					// "[VMIN]=1" is an item of arrays only, which is what array() below checks.
					items,
					negated,
					truncated,
					column: 0,
				})),
			fc
				.tuple(
					fc.array(fc.record({ name: fc.option(name), value: tie("value") }), { maxLength: 4 }),
					fc.boolean(),
				)
				.map(([fields, truncated]) => ({ kind: "struct" as const, fields, truncated, column: 0 })),
			fc.tuple(name, fc.array(tie("value"), { maxLength: 3 })).map(([f, args]) => fn(f, ...args)),
			fc.constantFrom(...OTHERS.filter((text) => !text.startsWith("["))).map(other),
			fc.constantFrom(...OTHERS).map((text) => array(other(text))),
		),
		value: fc.oneof(
			{ depthSize: "small" },
			{ weight: 5, arbitrary: tie("plain") },
			{
				weight: 1,
				arbitrary: fc.tuple(tie("plain"), tie("plain")).map(([a, b]) => change(a, b)),
			},
		),
	}));
	const descriptor = fc.constantFrom(
		"/dev/null<char 1:3>",
		"/tmp/[x(deleted)",
		"TCP:[127.0.0.1:1->127.0.0.1:2]",
		"TCPv6:[[::1]:42715]",
		'UNIX-STREAM:[1->2,"/a]>b"]',
		"anon_inode:[eventpoll]",
		"python3",
		"[x",
	);
	const argument = fc.oneof(
		fc.record({ name: fc.option(name), value, fd: fc.constant(null) }),
		fc.record({ name: fc.option(name), value: scalar, fd: descriptor }),
	);

	it("prints a text that reads back as the same tree", () => {
		expect(plain).toBeDefined();
		fc.assert(
			fc.property(name, fc.array(argument, { maxLength: 5 }), (callName, args) => {
				const text = formatCall(callName, args);
				const call = parseCall(text);
				expect(call).toMatchObject({ name: callName, result: null, opaque: false, text });
				expect(withoutColumns(call.args)).toEqual(withoutColumns(args));
			}),
			FIXED,
		);
	});

	it.each(OBSERVED)("prints again %s", (text, args) => {
		const call = parseCall(text);
		const again = parseCall(formatCall(call.name, call.args));
		expect(withoutColumns(again.args)).toEqual(withoutColumns(args));
	});

	it("prints what strace prints", () => {
		for (const text of [
			'bind(4<TCP:[51117]>, {sa_family=AF_INET, sin_port=htons(60131), sin_addr=inet_addr("127.0.0.1")}, 16)',
			"setsockopt(3, SOL_IP, 0x33 /* IP_??? */, [-329258400], 4)",
			"clone3({flags=CLONE_VM|0x8, ...} => {parent_tid=[25813]}, 88)",
			'recvfrom(4, "x\\"\\\\\\1\\0012\\0018\\377y\\n"..., 200, 0, NULL, [])',
		]) {
			const call = parseCall(text);
			expect(formatCall(call.name, call.args)).toBe(text);
		}
	});

	it("prints calls that read back the same wherever strace splits and interleaves them", () => {
		const recorded = fc.record({
			pid: fc.integer({ min: 1, max: 4 }),
			args: fc.array(argument, { minLength: 1, maxLength: 3 }),
			// The argument after which strace was interrupted, and the number of other lines in between.
			at: fc.option(fc.nat(2)),
			result: fc.nat(),
		});
		fc.assert(
			fc.property(
				fc.array(recorded, { maxLength: 12 }),
				fc.infiniteStream(fc.nat(3)),
				(calls, delays) => {
					const lines: string[] = [];
					const due = new Map<number, { left: number; text: string }>();
					const resume = (pid: number) => {
						lines.push(due.get(pid)?.text ?? "");
						due.delete(pid);
					};
					for (const { pid, args, at, result } of calls) {
						for (const [waiting, { left }] of due) {
							if (waiting === pid || left <= 0) {
								resume(waiting);
							}
						}
						for (const waiting of due.values()) {
							waiting.left--;
						}
						const head = formatCall("f", args.slice(0, at ?? 0)).slice(0, -1);
						const rest = formatCall("f", args.slice(at ?? 0)).slice(2);
						if (at === null || at >= args.length) {
							lines.push(`${pid} ${formatCall("f", args)} = ${result}`);
						} else {
							lines.push(`${pid} ${head}${at === 0 ? "" : ", "} <unfinished ...>`);
							const left = delays.next().value ?? 0;
							due.set(pid, { left, text: `${pid} <... f resumed>${rest} = ${result}` });
						}
					}
					for (const pid of [...due.keys()]) {
						resume(pid);
					}
					expect(
						withoutColumns(
							parseCalls(lines.join("\n")).map((call) => [call.pid, call.text, call.args]),
						),
					).toEqual(
						withoutColumns(
							calls.map(({ pid, args, result }) => [
								pid,
								`${formatCall("f", args)} = ${result}`,
								args,
							]),
						),
					);
				},
			),
			{ ...FIXED, numRuns: 300 },
		);
	});
});

describe("the parser of long input", () => {
	// A parser that is not linear does not end within the time limit.
	it("reads 100,000 lines", () => {
		const text =
			"12345 1700000000.123456 connect(4<TCP:[1]>, {sa_family=AF_INET, sin_port=htons(80)," +
			' sin_addr=inet_addr("127.0.0.1")}, 16) = -1 EINPROGRESS (Operation now in progress)\n';
		expect(parse(text.repeat(100_000))).toHaveLength(100_000);
	});

	it.each([
		["open brackets", `f(${"[{(".repeat(100_000)}`],
		["unary operators", `f(${"~-&!".repeat(100_000)}1)`],
		["operators", `f(${"1|A<<".repeat(50_000)}1)`],
		["descriptors without end", `f(${"3<[".repeat(50_000)}`],
		["comments without end", `f(${"1 /* ".repeat(50_000)}`],
		["paths before a message", `f(${"/a".repeat(100_000)} strace: Process x attached`],
		["spaces", `f(${" ".repeat(500_000)}`],
		["digits", `f(${"9".repeat(500_000)})`],
		["words", `f({${"a -b ".repeat(50_000)}`],
		["unfinished calls", "1 f( <unfinished ...>\n".repeat(50_000)],
		["quotes", `$ ${"'a'".repeat(100_000)}`],
		["half a bracket", `${"[pid ".repeat(100_000)}`],
	])("ends on %s", (_name, text) => {
		try {
			expect(parse(text)).toBeDefined();
		} catch (error) {
			expect(error).toBeInstanceOf(ScriptError);
		}
	});
});
