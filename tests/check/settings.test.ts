// SPDX-License-Identifier: GPL-2.0-or-later
/**
 * Writes to open files below /proc/sys/net: kernel/sysctl.c keeps the position of the file, and
 * duplicates share it. All results were seen on 6.18.44.
 */
import { describe, expect, it, test } from "vitest";
import { playScript, readScript } from "../../kernel-model/check/player.js";
import { Kernel } from "../../kernel-model/machine/kernel.js";
import { in4 } from "../text.js";

const open = (file: string, fd: number, flags = "O_WRONLY") =>
	`openat(AT_FDCWD, "/proc/sys/net/ipv4/${file}", ${flags}) = ${fd}`;
const write = (fd: number, text: string, taken = text.length) =>
	`write(${fd}, "${text}", ${text.length}) = ${taken}`;
const bind = (fd: number, address: string, result: string) => [
	`socket(AF_INET, SOCK_STREAM, IPPROTO_TCP) = ${fd}`,
	`bind(${fd}, ${in4(0, address)}, 16) = ${result}`,
];
/** A bind() that the kernel chose a port for. */
const chosen = (fd: number, port: number) => [
	...bind(fd, "127.0.0.1", "0"),
	`getsockname(${fd}, ${in4(port, "127.0.0.1")}, [16]) = 0`,
];

function differing(lines: readonly string[]): (string | null)[] {
	const outcomes = playScript(readScript(lines.join("\n"), "f"), { version: "6.18.44" });
	return outcomes.filter(({ verdict }) => verdict === "mismatch").map(({ text }) => text);
}

describe("the position of a file of a setting", () => {
	it("makes a second write to ip_local_port_range without effect", () => {
		expect(
			differing([
				open("ip_local_port_range", 3),
				write(3, "40000 40000"),
				write(3, "41000 41000"),
				...chosen(4, 40000),
			]),
		).toEqual([]);
	});

	it("makes a write after a read without effect, until lseek() goes back", () => {
		expect(
			differing([
				'$ sysctl -w net.ipv4.ip_local_port_range="42000 42000"',
				open("ip_local_port_range", 3, "O_RDWR"),
				'read(3, "42000\\t42000\\n", 64) = 12',
				write(3, "41000 41000"),
				...chosen(4, 42000),
				"lseek(3, 0, SEEK_SET) = 0",
				write(3, "41000 41000"),
				...chosen(5, 41000),
			]),
		).toEqual([]);
	});

	it("makes a second write to ip_local_reserved_ports add to the first one", () => {
		expect(
			differing([
				'$ sysctl -w net.ipv4.ip_local_port_range="40000 40005"',
				open("ip_local_reserved_ports", 3),
				write(3, "40000-40003"),
				write(3, "40005"),
				...chosen(4, 40004),
				...bind(5, "127.0.0.1", "-1 EADDRINUSE (Address already in use)"),
			]),
		).toEqual([]);
	});

	it("stays after a write to an unsigned setting, so a second write has an effect", () => {
		expect(
			differing([
				open("ip_nonlocal_bind", 3),
				write(3, "0"),
				write(3, "1"),
				...bind(4, "192.0.2.1", "0"),
			]),
		).toEqual([]);
	});
});

describe("a duplicate of a file of a setting", () => {
	it.each([
		["dup", "dup(3) = 1"],
		["dup2", "dup2(3, 1) = 1"],
		["dup3", "dup3(3, 1, 0) = 1"],
		["fcntl", "fcntl(3, F_DUPFD, 1) = 1"],
	])("by %s writes to it, as the redirection of a shell does", (_, call) => {
		expect(
			differing([
				open("ip_local_port_range", 3),
				"close(1) = 0",
				call,
				"close(3) = 0",
				write(1, "40000 40000"),
				...chosen(3, 40000),
			]),
		).toEqual([]);
	});

	it("shares its position", () => {
		expect(
			differing([
				open("ip_local_port_range", 3),
				"dup(3) = 4",
				write(3, "40000 40000"),
				write(4, "41000 41000"),
				...chosen(5, 40000),
			]),
		).toEqual([]);
	});

	it("is inherited by a child", () => {
		expect(
			differing([
				`7 ${open("ip_local_port_range", 3)}`,
				"7 fork() = 8",
				`8 ${write(3, "40000 40000")}`,
				...chosen(4, 40000).map((line) => `7 ${line}`),
			]),
		).toEqual([]);
	});

	it("is closed at execve() if it has O_CLOEXEC, and a pipe with its number is no setting", () => {
		expect(
			differing([
				open("ip_local_port_range", 3, "O_WRONLY|O_CLOEXEC"),
				'execve("/bin/x", ["x"], NULL) = 0',
				write(3, "40000 40000"),
				open("ip_local_port_range", 5),
				"pipe([5, 6]) = 0",
				write(5, "40000 40000"),
				...chosen(7, 32769),
			]),
		).toEqual([]);
	});
});

test("writev() writes all of its parts to a setting", () => {
	expect(
		differing([
			open("ip_local_port_range", 3),
			'writev(3, [{iov_base="40000", iov_len=5}, {iov_base=" 40000", iov_len=6}], 2) = 11',
			...chosen(4, 40000),
		]),
	).toEqual([]);
});

test("a setting belongs to the namespace in which it was opened", () => {
	expect(
		differing([
			open("ip_local_port_range", 3),
			"unshare(CLONE_NEWNET) = 0",
			write(3, "40000 40000"),
			"$ ip link set lo up",
			open("ip_local_port_range", 4),
			write(4, "41000 41000"),
			...chosen(5, 41000),
		]),
	).toEqual([]);
});

describe("a write to a setting", () => {
	const net = () => new Kernel({ version: "6.18.44" }).createNet();
	const written = (name: string, text: string, position = 0) => {
		const space = net();
		const file = { position };
		const taken = space.writeSysctl(`net.ipv4.${name}`, text, file);
		return [taken, file.position, space.getSysctl(`net.ipv4.${name}`)];
	};

	it("of ints takes the numbers and the white space after them", () => {
		expect(written("ip_local_port_range", "40000 40001 40002\n")).toEqual([
			12,
			12,
			"40000\t40001\n",
		]);
		expect(written("tcp_fin_timeout", "3 4\n")).toEqual([2, 2, "3\n"]);
	});

	it("of an unsigned number takes all of the text", () => {
		expect(written("ip_nonlocal_bind", "3 4\n")).toEqual([4, 0, "3\n"]);
		expect(written("ip_nonlocal_bind", "3 4\n", 1)).toEqual([4, 5, "0\n"]);
	});

	it("refuses a number of 21 characters", () => {
		expect(written("tcp_fin_timeout", `${"0".repeat(20)}5`)[0]).toBe(-22);
		expect(written("tcp_fin_timeout", `${"0".repeat(19)}5`)[0]).toBe(20);
	});

	it("leaves a port at the end of a page to the next write", () => {
		const text = `${"5,".repeat(2046)}40000,40001\n`;
		expect(written("ip_local_reserved_ports", text)).toEqual([4092, 4092, "5\n"]);
	});
});
