// SPDX-License-Identifier: GPL-2.0-or-later
import { describe, expect, test } from "vitest";
import {
	choosesPort,
	isFork,
	isReadStrictly,
	isReceive,
	isRelevant,
	isSend,
	systemCall,
} from "../../kernel-model/script/calls.js";

describe("the table of system calls", () => {
	test("names each way to make a process", () => {
		for (const name of ["fork", "vfork", "clone", "clone3"]) expect(isFork(name)).toBe(true);
		expect(isFork("execve")).toBe(false);
	});

	test("marks the calls that may choose a port", () => {
		const choosing = ["bind", "connect", "listen", "sendto", "sendmsg", "sendmmsg", "write"];
		for (const name of choosing) expect(choosesPort(name), name).toBe(true);
		for (const name of ["accept", "getsockname", "recvfrom", "close"]) {
			expect(choosesPort(name), name).toBe(false);
		}
	});

	test("lets calls that wait take effect when they return", () => {
		for (const name of ["accept", "accept4", "recvfrom", "read"]) {
			expect(systemCall(name)?.acts, name).toBe("returned");
		}
		for (const name of ["connect", "bind", "close", "sendto"]) {
			expect(systemCall(name)?.acts, name).toBe("called");
		}
	});

	test("lists calls that move descriptors, and marks them as not modelled", () => {
		for (const name of ["pidfd_getfd", "io_uring_setup", "close_range", "ioctl", "socketpair"]) {
			expect(systemCall(name)?.bearsOn, name).toBe("files");
			expect(isRelevant(name), name).toBe(false);
		}
		expect(systemCall("getpid")).toBeNull();
	});

	test("reads a call strictly if every form of it concerns ports", () => {
		for (const name of ["bind", "connect", "socket"]) expect(isReadStrictly(name)).toBe(true);
		for (const name of ["sendmsg", "fcntl", "execve", "mmap"]) {
			expect(isReadStrictly(name), name).toBe(false);
		}
	});

	test("counts positioned reads and writes as calls on files, not on sockets", () => {
		expect(isSend("writev")).toBe(true);
		expect(isReceive("readv")).toBe(true);
		expect(isSend("pwrite64")).toBe(false);
		expect(isReceive("pread64")).toBe(false);
	});
});
