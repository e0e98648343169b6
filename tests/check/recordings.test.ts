// SPDX-License-Identifier: GPL-2.0-or-later
/**
 * Recordings of real programs on a real kernel (tests/recordings), and scripts: how the player
 * reads and judges each call.
 */
import { readdirSync, readFileSync } from "node:fs";
import { describe, expect, it } from "vitest";
import {
	type Outcome,
	Player,
	type PlayOptions,
	playScript,
	readScript,
	type Verdict,
} from "../../kernel-model/check/player.js";
import { errnoName, VERSIONS } from "../../kernel-model/index.js";
import { in4 } from "../text.js";

const FOLDER = new URL("../recordings/", import.meta.url);

/** Calls that a recording must have. Each must match. */
const SHOWS: Readonly<Record<string, readonly string[]>> = {
	"load.strace": ["socket", "setsockopt", "bind", "listen", "connect", "accept4", "shutdown"],
	"redis.strace": ["socket", "setsockopt", "bind", "listen", "connect", "accept4"],
	"three_ways-by_hand.strace": ["socket", "setsockopt", "bind", "connect", "getsockname"],
	"three_ways-closing.strace": ["socket", "bind", "listen", "connect", "accept4", "shutdown"],
	"three_ways-namespace_range.strace": ["socket", "setsockopt", "bind", "connect", "getsockname"],
	"three_ways-socket_range.strace": ["socket", "setsockopt", "bind", "connect", "getsockname"],
	"time_wait.strace": ["socket", "setsockopt", "bind", "listen", "connect", "accept4"],
	"web.strace": ["socket", "setsockopt", "bind", "listen", "connect", "accept4"],
};

/** The outcomes of system calls, without set-up commands. */
function play(text: string, options: PlayOptions = {}, file = "script"): Outcome[] {
	const outcomes = [...new Player(readScript(text, file), options).play()];
	return outcomes.filter((outcome) => outcome.call !== "$");
}

const files = readdirSync(FOLDER).filter((file) => file.endsWith(".strace"));
const read = (file: string) => readFileSync(new URL(file, FOLDER), "utf8");

/** Recordings of random calls. */
const isStorm = (file: string) => file.startsWith("storm");

/** The profile of the kernel that the first line names. */
function profileOf(file: string): string {
	const [line] = read(file).split("\n", 1);
	const found = VERSIONS.find(({ name }) => line.includes(`${name}-`));
	if (found === undefined) throw new Error(`${file} is of a kernel that has no profile: ${line}`);
	return found.name;
}

describe("recordings", () => {
	it.each(
		files
			.filter((file) => !isStorm(file))
			.flatMap((file) => {
				const profile = profileOf(file);
				// None of them shows a difference between Debian's 6.1 and the base commit.
				return profile === "6.1.176"
					? [profile, "6.3"].map((name) => [file, name])
					: [[file, profile]];
			}),
	)("%s is what kernel %s does", (file, version) => {
		const outcomes = play(read(file), { version }, file);
		const mismatches = outcomes
			.filter(({ verdict }) => verdict === "mismatch")
			.map(({ line, text, reason }) => `${file}:${line}: ${text}: ${reason}`);
		expect(mismatches).toEqual([]);
		// In a recording, each call has a result.
		expect(outcomes.filter(({ verdict }) => verdict === "unrecorded")).toEqual([]);
		const matches = outcomes.filter(({ verdict }) => verdict === "match");
		expect(matches.length).toBeGreaterThan(100);
		const calls = new Set(matches.map(({ call }) => call));
		for (const call of SHOWS[file] ?? []) expect(calls).toContain(call);
	});

	it.each(files.filter(isStorm))("%s has a way that explains every line", (file) => {
		const outcomes = playScript(readScript(read(file), file), { version: profileOf(file) });
		const differ = outcomes
			.filter(({ verdict }) => verdict === "mismatch" || verdict === "undecided")
			.map(({ line, text, reason }) => `${file}:${line}: ${text}: ${reason}`);
		expect(differ).toEqual([]);
	});

	it("are those that this test knows, and others", () => {
		expect(files).toEqual(expect.arrayContaining(Object.keys(SHOWS)));
	});

	it("with one line altered are not what the kernel does", () => {
		const text = read("three_ways-by_hand.strace");
		const version = "6.1.176";
		for (const [was, is] of [
			// A free port is recorded as taken, and a taken port as free.
			["16) = 0\n", "16) = -1 EADDRINUSE (Address already in use)\n"],
			["16) = -1 EADDRINUSE (Address already in use)\n", "16) = 0\n"],
			["16) = -1 EADDRNOTAVAIL (Cannot assign requested address)\n", "16) = -1 EINPROGRESS\n"],
		]) {
			const at = text.indexOf(was, text.indexOf("bind("));
			expect(at).toBeGreaterThan(0);
			const altered = text.slice(0, at) + is + text.slice(at + was.length);
			const line = text.slice(0, at).split("\n").length;
			const first = play(altered, { version }).find(({ verdict }) => verdict === "mismatch");
			expect(first?.line).toBe(line);
		}
	});
});

/** Call and result or error, with the verdict if it is not the expected one. */
function tell(outcomes: readonly Outcome[], expected: Verdict = "match"): string[] {
	return outcomes.map(({ call, result, verdict }) => {
		const value = result === null ? "?" : result < 0 ? errnoName(-result) : String(result);
		return `${call} ${value}${verdict === expected ? "" : ` ${verdict}`}`;
	});
}

/** Every call of a script matches. Calls with the given names may be ignored instead. */
function matches(
	text: string,
	passedOver: readonly string[] = [],
	options: PlayOptions = {},
): void {
	const outcomes = play(text, options);
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
function mismatch(text: string): { line: number; reason: string } {
	const found = play(text).filter(({ verdict }) => verdict === "mismatch");
	expect(found).toHaveLength(1);
	return { line: found[0].line, reason: found[0].reason ?? "" };
}

describe("a script", () => {
	it("without results gives the model's own", () => {
		const outcomes = play(`
# Two sockets on one port.
socket(AF_INET, SOCK_STREAM, IPPROTO_IP)
setsockopt(3, SOL_SOCKET, SO_REUSEADDR, [1], 4)
bind(3, ${in4(5000)}, 16)
socket(AF_INET, SOCK_STREAM|SOCK_CLOEXEC, IPPROTO_TCP)
bind(4, {sa_family=AF_INET, sin_port=htons(5000), sin_addr=htonl(INADDR_ANY)}, 16)
listen(3, 1)
getsockname(3)
shutdown(4, SHUT_RDWR)
close(3)
close(3)
`);
		expect(tell(outcomes, "unrecorded")).toEqual([
			"socket 3",
			"setsockopt 0",
			"bind 0",
			"socket 4",
			"bind EADDRINUSE",
			"listen 0",
			"getsockname 0",
			"shutdown ENOTCONN",
			"close 0",
			"close EBADF",
		]);
		expect(outcomes[2]).toMatchObject({ line: 5, pid: null, recorded: null, recordedError: null });
		expect(outcomes[6].address).toEqual({ family: "AF_INET", address: "127.0.0.1", port: 5000 });
		expect(outcomes[4].text).toContain("= -1 EADDRINUSE");
	});

	it("gives the same results for the same seed, and other ports for another", () => {
		const text = `
socket(AF_INET, SOCK_STREAM, IPPROTO_IP)
bind(3, ${in4(0)}, 16)
getsockname(3)
`;
		const port = (seed: number) => play(text, { seed })[2].address?.port;
		expect(port(1)).toBe(port(1));
		expect(new Set([1, 2, 3, 4].map(port)).size).toBe(4);
	});

	it("may have results for some lines only", () => {
		const outcomes = play(`
socket(AF_INET, SOCK_STREAM, IPPROTO_IP) = 7
bind(7, ${in4(5000)}, 16)
listen(7, 1) = 0
bind(7, ${in4(5000)}, 16) = -1 EINVAL (Invalid argument)
listen(7, 2) = -1 EINVAL (Invalid argument)
`);
		expect(tell(outcomes)).toEqual([
			"socket 7",
			"bind 0 unrecorded",
			"listen 0",
			"bind EINVAL",
			"listen 0 mismatch",
		]);
		expect(outcomes[3]).toMatchObject({ recorded: -22, recordedError: "EINVAL", result: -22 });
		expect(outcomes[4].reason).toContain("EINVAL");
	});

	it("prepares devices, addresses, routes, files and time in $ lines", () => {
		matches(`
$ ip link add dummy0 type dummy
$ ip link set dummy0 up
$ ip addr add 192.0.2.1/24 dev dummy0
$ ip -4 a a 192.0.2.2/24 dev dummy0
$ /sbin/ip route add 198.51.100.0/24 via 192.0.2.254 dev dummy0 answer accept
$ ip r a 203.0.113.0/25 dev dummy0 answer refuse
$ ip route add prohibit 203.0.113.128/25
$ sysctl -w net.ipv4.ip_local_port_range="40000 40001" net/ipv4/ip_local_reserved_ports=40001
socket(AF_INET, SOCK_STREAM, IPPROTO_IP) = 3
connect(3, ${in4(80, "198.51.100.1")}, 16) = 0
getsockname(3, ${in4(40000, "192.0.2.1")}, [16]) = 0
socket(AF_INET, SOCK_STREAM, IPPROTO_IP) = 4
connect(4, ${in4(80, "203.0.113.1")}, 16) = -1 ECONNREFUSED (Connection refused)
connect(4, ${in4(80, "203.0.113.129")}, 16) = -1 EACCES (Permission denied)
bind(4, ${in4(40001, "192.0.2.2")}, 16) = 0
$ ip addr del 192.0.2.2/24 dev dummy0
socket(AF_INET, SOCK_STREAM, IPPROTO_IP) = 5
bind(5, ${in4(40001, "192.0.2.2")}, 16) = -1 EADDRNOTAVAIL (Cannot assign requested address)
$ sysctl -w net.ipv4.ip_nonlocal_bind=1
bind(5, ${in4(40001, "192.0.2.3")}, 16) = 0
close(3) = 0
$ sleep 62
bind(5, ${in4(40001, "192.0.2.3")}, 16) = -1 EINVAL (Invalid argument)
`);
	});

	it("may say port_of(fd) for the port of a socket", () => {
		const outcomes = play(`
socket(AF_INET, SOCK_STREAM, IPPROTO_IP) = 3
listen(3, 1)
socket(AF_INET, SOCK_STREAM, IPPROTO_IP) = 4
connect(4, ${in4("port_of(3)")}, 16)
getpeername(4)
getsockname(3)
`);
		expect(outcomes[3].result).toBe(0);
		expect(outcomes[4].address?.port).toBe(outcomes[5].address?.port);
	});

	it("that would sleep waits, and goes on where the call ends", () => {
		const outcomes = play(`
$ ip route add 198.51.100.0/24 dev lo
$ ip addr add 192.0.2.10/32 dev lo
$ sysctl -w net.ipv4.tcp_syn_retries=1
socket(AF_INET, SOCK_STREAM, IPPROTO_IP)
connect(3, ${in4(80, "198.51.100.1")}, 16)
socket(AF_INET, SOCK_STREAM, IPPROTO_IP)
bind(4, ${in4(5000)}, 16)
listen(4, 1)
accept(4, NULL, NULL)
socket(AF_INET, SOCK_STREAM|SOCK_NONBLOCK, IPPROTO_IP)
connect(5, ${in4(80, "198.51.100.1")}, 16)
`);
		expect(tell(outcomes, "unrecorded")).toEqual([
			"socket 3",
			"connect ETIMEDOUT",
			"socket 4",
			"bind 0",
			"listen 0",
			// No client will ever come.
			"accept ?",
			"socket 5",
			"connect EINPROGRESS",
		]);
	});

	it("passes over calls that do not concern ports", () => {
		matches(
			`
openat(AT_FDCWD, "/etc/hosts", O_RDONLY|O_CLOEXEC) = 3
read(3, "127.0.0.1 localhost\\n", 4096) = 20
poll([{fd=3, events=POLLIN}], 1, 0) = 1 ([{fd=3, revents=POLLIN}])
socket(AF_UNIX, SOCK_STREAM|SOCK_CLOEXEC, 0) = 4
connect(4, {sa_family=AF_UNIX, sun_path="/run/nscd/socket"}, 110) = -1 ENOENT (No such file or directory)
socket(AF_INET, SOCK_RAW|SOCK_CLOEXEC, IPPROTO_ICMP) = 5
bind(5, ${in4(0)}, 16) = 0
socket(AF_NETLINK, SOCK_RAW|SOCK_CLOEXEC, NETLINK_ROUTE) = 6
bind(6, {sa_family=AF_NETLINK, nl_pid=0, nl_groups=00000000}, 12) = 0
socket(AF_INET6, SOCK_DGRAM, IPPROTO_ICMPV6) = 7
setsockopt(7, SOL_IPV6, IPV6_UNICAST_HOPS, [1], 4) = 0
setsockopt(5, SOL_SOCKET, SO_REUSEADDR, [1], 4) = 0
`,
			["openat", "read", "poll", "socket", "connect", "bind", "setsockopt"],
		);
		matches(
			`
socket(AF_INET, SOCK_STREAM, IPPROTO_IP) = 3
setsockopt(3, SOL_TCP, TCP_NODELAY, [1], 4) = 0
setsockopt(3, SOL_SOCKET, SO_OOBINLINE, [1], 4) = 0
setsockopt(3, SOL_SOCKET, SO_RCVTIMEO_OLD, "\\x01\\0\\0"..., 16) = 0
getsockopt(3, SOL_SOCKET, SO_SNDBUF, [16384], [4]) = 0
ioctl(3, FIONBIO, [1]) = 0
`.replace("socket(", "dup(0) = 3\nsocket("),
			["dup", "setsockopt", "getsockopt", "ioctl"],
		);
	});
});

describe("a recording", () => {
	it("of processes has calls in two parts, and descriptors of a parent", () => {
		const text = `
10 socket(AF_INET, SOCK_STREAM, IPPROTO_IP) = 3
10 bind(3, ${in4(5000)}, 16) = 0
10 listen(3, 8) = 0
10 clone(child_stack=NULL, flags=CLONE_CHILD_CLEARTID|CLONE_CHILD_SETTID|SIGCHLD, child_tidptr=0x7fa) = 11
11 accept4(3,  <unfinished ...>
10 socket(AF_INET, SOCK_STREAM, IPPROTO_IP) = 4
10 connect(4, ${in4(5000)}, 16 <unfinished ...>
11 <... accept4 resumed>${in4(40000)}, [16], SOCK_CLOEXEC) = 4
10 <... connect resumed>) = 0
10 getsockname(4, ${in4(40000)}, [16]) = 0
11 getpeername(4, ${in4(40000)}, [16]) = 0
11 close(4) = 0
11 exit_group(0) = ?
11 +++ exited with 0 +++
10 recvfrom(4, "", 1, 0, NULL, NULL) = 0
10 close(3) = 0
10 connect(4, ${in4(5000)}, 16) = -1 EISCONN (Transport endpoint is already connected)
10 +++ exited with 0 +++
`;
		matches(text, ["clone", "exit_group", "recvfrom"]);
		const accepted = play(text).find(({ call }) => call === "accept4");
		expect(accepted).toMatchObject({ line: 6, pid: 11, result: 4, recorded: 4 });
		expect(accepted?.address).toEqual({ family: "AF_INET", address: "127.0.0.1", port: 40000 });
	});

	it("closes what only an ended process had open", () => {
		matches(
			`
[pid    10] socket(AF_INET, SOCK_STREAM, IPPROTO_IP) = 3
[pid    10] fork() = 11
[pid    11] socket(AF_INET, SOCK_STREAM, IPPROTO_IP) = 4
[pid    11] bind(4, ${in4(5000)}, 16) = 0
[pid    10] bind(3, ${in4(5000)}, 16) = -1 EADDRINUSE (Address already in use)
[pid    11] +++ killed by SIGKILL +++
[pid    10] bind(3, ${in4(5000)}, 16) = 0
`,
			["fork"],
		);
	});

	it("shows options that strace does not know as bytes", () => {
		const text = `
socket(AF_INET, SOCK_STREAM, IPPROTO_IP) = 3
setsockopt(3, SOL_IP, 0x33 /* IP_??? */, "\\x40\\x9c\\x40\\x9c", 4) = 0
getsockopt(3, SOL_IP, 0x33 /* IP_??? */, "\\x40\\x9c\\x40\\x9c", [4]) = 0
setsockopt(3, SOL_IP, 0x33 /* IP_??? */, "\\x41\\x9c\\x40\\x9c", 4) = -1 EINVAL (Invalid argument)
bind(3, ${in4(0)}, 16) = 0
getsockname(3, ${in4(40000)}, [128 => 16]) = 0
`;
		matches(text);
		matches(text.replaceAll("0x33 /* IP_??? */", "IP_LOCAL_PORT_RANGE"));
	});

	it("shows descriptors with what they are, and times in any of strace's forms", () => {
		for (const [first, second] of [
			["", ""],
			["1700000000.000001 ", "1700000000.250000 "],
			["23:59:59.500000 ", "00:00:00.500000 "],
			["23:59:59 ", "00:00:01 "],
			["     0.000000 ", "     0.250000 "],
			["77 1700000000.000001 ", "77 1700000000.250000 "],
			["[pid 77] ", "[pid 77] "],
		]) {
			matches(`
${first}socket(AF_INET, SOCK_STREAM, IPPROTO_IP) = 3<TCP:[4711]>
${second}bind(3<TCP:[4711]>, ${in4(5000)}, 16) = 0
${second}listen(3<TCP:[127.0.0.1:5000]>, 8) = 0 <0.000021>
`);
		}
	});

	it("lets time pass: TIME_WAIT ends after a minute", () => {
		const recording = (later: number, result: string) => `
1700000000.000000 socket(AF_INET, SOCK_STREAM, IPPROTO_IP) = 3
1700000000.001000 bind(3, ${in4(5000)}, 16) = 0
1700000000.002000 listen(3, 8) = 0
1700000000.003000 socket(AF_INET, SOCK_STREAM, IPPROTO_IP) = 4
1700000000.004000 connect(4, ${in4(5000)}, 16) = 0
1700000000.005000 accept(3, NULL, NULL) = 5
1700000000.006000 close(5) = 0
1700000000.007000 close(4) = 0
1700000000.008000 close(3) = 0
1700000000.009000 socket(AF_INET, SOCK_STREAM, IPPROTO_IP) = 3
${(1_700_000_000.01 + later).toFixed(6)} bind(3, ${in4(5000)}, 16) = ${result}
`;
		matches(recording(0, "-1 EADDRINUSE (Address already in use)"));
		matches(recording(59, "-1 EADDRINUSE (Address already in use)"));
		matches(recording(63, "0"));
		expect(mismatch(recording(59, "0")).line).toBe(12);
		expect(mismatch(recording(63, "-1 EADDRINUSE (Address already in use)")).line).toBe(12);
	});

	it("sets up by writing to files below /proc/sys/net, and by ip", () => {
		matches(
			`
20 openat(AT_FDCWD, "/proc/sys/net/ipv4/ip_local_port_range", O_WRONLY|O_CREAT|O_TRUNC, 0666) = 3
20 write(3, "40000 40001\\n", 12) = 12
20 close(3) = 0
20 openat(AT_FDCWD, "/proc/sys/net/ipv4/ip_local_port_range", O_WRONLY) = 3
20 write(3, "40001 40000\\n", 12) = -1 EINVAL (Invalid argument)
20 close(3) = 0
20 vfork() = 21
21 execve("/usr/sbin/ip", ["ip", "addr", "add", "192.0.2.10/32", "dev", "lo"], 0x7ffd /* 9 vars */) = 0
21 exit_group(0) = ?
21 +++ exited with 0 +++
20 vfork() = 22
22 execve("/usr/sbin/ip", ["ip", "addr", "add", "192.0.2.11/32", "dev", "lo"], 0x7ffd /* 9 vars */) = 0
22 exit_group(2) = ?
22 +++ exited with 2 +++
20 socket(AF_INET, SOCK_STREAM, IPPROTO_IP) = 3
20 bind(3, ${in4(0, "192.0.2.11")}, 16) = -1 EADDRNOTAVAIL (Cannot assign requested address)
20 bind(3, ${in4(0, "192.0.2.10")}, 16) = 0
20 getsockname(3, ${in4(40001, "192.0.2.10")}, [16]) = 0
`.replace(/^20 close.*\n/gm, ""),
			["openat", "vfork", "execve", "exit_group"],
		);
		expect(
			mismatch(`
openat(AT_FDCWD, "/proc/sys/net/ipv4/ip_local_port_range", O_WRONLY) = 3
write(3, "40001 40000\\n", 12) = 12
`).line,
		).toBe(3);
	});

	it("changes the user, and the namespace", () => {
		matches(
			`
socket(AF_INET, SOCK_STREAM, IPPROTO_IP) = 3
bind(3, ${in4(80)}, 16) = 0
setuid(1000) = 0
socket(AF_INET, SOCK_STREAM, IPPROTO_IP) = 4
bind(4, ${in4(81)}, 16) = -1 EACCES (Permission denied)
unshare(CLONE_NEWUSER|CLONE_NEWNET) = 0
socket(AF_INET, SOCK_STREAM, IPPROTO_IP) = 5
connect(5, ${in4(80)}, 16) = -1 ENETUNREACH (Network is unreachable)
bind(5, ${in4(5000, "0.0.0.0")}, 16) = 0
bind(4, ${in4(5000, "0.0.0.0")}, 16) = 0
`,
			["setuid", "unshare"],
		);
	});

	it("shows by receiving calls whether data was left unread", () => {
		const recording = (receive: string, result: string) => `
socket(AF_INET, SOCK_STREAM, IPPROTO_IP) = 3
bind(3, ${in4(5000)}, 16) = 0
listen(3, 8) = 0
socket(AF_INET, SOCK_STREAM, IPPROTO_IP) = 4
bind(4, ${in4(6000)}, 16) = 0
connect(4, ${in4(5000)}, 16) = 0
accept(3, NULL, NULL) = 5
sendto(5, "hello", 5, 0, NULL, 0) = 5
${receive}
close(4) = 0
close(5) = 0
socket(AF_INET, SOCK_STREAM, IPPROTO_IP) = 4
bind(4, ${in4(6000)}, 16) = ${result}
`;
		// If no call receives, read() was not recorded, so the data counts as read.
		matches(recording("", "-1 EADDRINUSE (Address already in use)"), ["sendto"]);
		const all = 'recvfrom(4, "hello", 9, 0, NULL, NULL) = 5';
		matches(recording(all, "-1 EADDRINUSE (Address already in use)"), ["sendto", "recvfrom"]);
		// A close() that resets leaves no TIME_WAIT.
		const part = 'recvfrom(4, "hel", 3, 0, NULL, NULL) = 3';
		matches(recording(part, "0"), ["sendto", "recvfrom"]);
	});

	it("finds the port of a connection in accept() where getsockname() does not show it", () => {
		const recording = (port: number) => `
$ sysctl -w net.ipv4.ip_local_port_range="40000 40003"
socket(AF_INET, SOCK_STREAM, IPPROTO_IP) = 3
bind(3, ${in4(5000)}, 16) = 0
listen(3, 8) = 0
socket(AF_INET, SOCK_STREAM, IPPROTO_IP) = 4
connect(4, ${in4(5000)}, 16) = 0
accept(3, ${in4(port)}, [16]) = 5
`;
		matches(recording(40000));
		matches(recording(40002));
		expect(play(recording(40001)).some(({ verdict }) => verdict === "mismatch")).toBe(true);
	});
});

describe("a port that the modelled kernel cannot have chosen", () => {
	const START = `
$ ip addr add 192.0.2.10/32 dev lo
$ ip route add 198.51.100.0/24 dev lo
$ sysctl -w net.ipv4.ip_local_port_range="40000 40005" net.ipv4.ip_local_reserved_ports=40003
socket(AF_INET, SOCK_STREAM|SOCK_NONBLOCK, IPPROTO_IP) = 3
bind(3, ${in4(40004, "192.0.2.10")}, 16) = 0
socket(AF_INET, SOCK_STREAM|SOCK_NONBLOCK, IPPROTO_IP) = 4
connect(4, ${in4(80, "198.51.100.1")}, 16) = -1 EINPROGRESS (Operation now in progress)
getsockname(4, ${in4(40002, "192.0.2.10")}, [16]) = 0
socket(AF_INET, SOCK_STREAM|SOCK_NONBLOCK, IPPROTO_IP) = 5
`;
	const bind = (port: number) => `${START}
bind(5, ${in4(0, "192.0.2.10")}, 16) = 0
getsockname(5, ${in4(port, "192.0.2.10")}, [16]) = 0
`;
	const connect = (port: number) => `${START}
connect(5, ${in4(80, "198.51.100.1")}, 16) = -1 EINPROGRESS (Operation now in progress)
getsockname(5, ${in4(port, "192.0.2.10")}, [16]) = 0
`;
	it.each([
		["bind", 40006, bind(40006), /not in 40000-40005/],
		["bind", 39999, bind(39999), /not in 40000-40005/],
		["bind", 40003, bind(40003), /ip_local_reserved_ports/],
		["bind", 40004, bind(40004), /conflicts with fd 3 \(192\.0\.2\.10:40004/],
		["bind", 40002, bind(40002), /conflicts with fd 4 \(192\.0\.2\.10:40002/],
		// Odd ports are left, and the search visits them first.
		["bind", 40000, bind(40000), /40000 is free/],
		["connect", 40006, connect(40006), /not in 40000-40005/],
		["connect", 40003, connect(40003), /ip_local_reserved_ports/],
		["connect", 40004, connect(40004), /not shareable by connect.*fd 3/],
		["connect", 40002, connect(40002), /four-tuple is in use by fd 4/],
		// An even port is left, and the search visits it first.
		["connect", 40001, connect(40001), /40001 is free/],
	])("by %s is a mismatch that says why: %i", (call, port, text, reason) => {
		const [first] = play(text).filter(({ verdict }) => verdict === "mismatch");
		expect(first).toMatchObject({ call, line: 12 });
		expect(first.reason).toContain(`chose port ${port}`);
		expect(first.reason).toMatch(reason);
	});

	it.each([
		["bind", bind(40001)],
		["bind", bind(40005)],
		["connect", connect(40000)],
	])("by %s is none of those that are left", (_call, text) => {
		matches(text);
	});
});

describe("explanations", () => {
	it("say how each search went, and why each call failed", () => {
		const outcomes = play(
			`
$ ip route add 198.51.100.0/24 dev lo
$ ip addr add 192.0.2.10/32 dev lo
$ sysctl -w net.ipv4.ip_local_port_range="40000 40003"
socket(AF_INET, SOCK_STREAM|SOCK_NONBLOCK, IPPROTO_IP) = 3
bind(3, ${in4(40000, "192.0.2.10")}, 16)
socket(AF_INET, SOCK_STREAM|SOCK_NONBLOCK, IPPROTO_IP) = 4
setsockopt(4, SOL_IP, IP_LOCAL_PORT_RANGE, [2621545536], 4)
connect(4, ${in4(80, "198.51.100.1")}, 16)
bind(3, ${in4(40000)}, 16)
socket(AF_INET, SOCK_STREAM|SOCK_NONBLOCK, IPPROTO_IP) = 5
bind(5, ${in4(40000, "0.0.0.0")}, 16)
`,
			{ explain: true },
		);
		const [, , , , connect, again, , wildcard] = outcomes;
		const text = connect.explanation.join("\n");
		expect(text).toContain("40000-40001");
		expect(text).toContain("passed over");
		expect(text).toMatch(/chose 40001/);
		expect(again.explanation).toEqual([
			"__inet_bind: the socket has port 40000 already, and keeps it",
		]);
		expect(wildcard.explanation.join("\n")).toMatch(/conflicts with fd 3/);
	});

	it("are printed only with --explain", () => {
		const outcomes = play(`
socket(AF_INET, SOCK_STREAM, IPPROTO_IP) = 3
bind(3, ${in4(0)}, 16)
`);
		expect(outcomes.flatMap(({ explanation }) => explanation)).toEqual([]);
	});
});
