// SPDX-License-Identifier: GPL-2.0-or-later
/** Descriptors: dup(), fork(), execve(), and sockets of other kinds. */
import { describe, expect, it } from "vitest";
import {
	type Address,
	AF_INET,
	EADDRINUSE,
	EAGAIN,
	EBADF,
	ECONNREFUSED,
	EINVAL,
	ENOTSOCK,
	EPROTONOSUPPORT,
	ERESTARTSYS,
	ESOCKTNOSUPPORT,
	Kernel,
	NotModelled,
	SO_REUSEADDR,
	SO_REUSEPORT,
	SOCK_CLOEXEC,
	SOCK_NONBLOCK,
	SOCK_STREAM,
	SOL_SOCKET,
	type Task,
} from "../../kernel-model/index.js";
import { rule } from "../world.js";

describe("descriptors", () => {
	rule(
		"that dup() made keep a socket open until the last one is closed",
		`
		s bind 127.0.0.1:5000
		s listen 1
		c connect 127.0.0.1:5000
		s accept t
		c dup d
		c close
		t state = ESTABLISHED
		d send 1 = 1
		t recv 9 = 1
		d close
		t state = CLOSE_WAIT
		s dup u
		s close
		e connect 127.0.0.1:5000
		u accept v
		u close
		f connect 127.0.0.1:5000 = ECONNREFUSED
		`,
	);

	function boot(uid = 0): Task {
		const kernel = new Kernel();
		return kernel.createTask({ net: kernel.createNet(), uid });
	}
	const local = (port: number): Address => ({ family: "AF_INET", address: "127.0.0.1", port });

	it("that are not open give EBADF in every call, and those of other files give ENOTSOCK", () => {
		const task = boot();
		const other = task.openOther();
		const gone = task.tcp();
		task.close(gone);
		for (const [fd, errno] of [
			[gone, EBADF],
			[-1, EBADF],
			[0, ENOTSOCK],
			[other, ENOTSOCK],
		]) {
			expect(task.bind(fd, local(5000))).toBe(-errno);
			expect(task.bind(fd, local(5000), 3)).toBe(-errno);
			expect(task.listen(fd, 1)).toBe(-errno);
			expect(task.connect(fd, local(5000))).toBe(-errno);
			expect(task.accept(fd)).toBe(-errno);
			expect(task.getsockname(fd)).toBe(-errno);
			expect(task.getpeername(fd)).toBe(-errno);
			expect(task.setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, 1)).toBe(-errno);
			expect(task.getsockopt(fd, SOL_SOCKET, SO_REUSEADDR)).toBe(-errno);
			expect(task.shutdown(fd, 2)).toBe(-errno);
		}
		expect(task.close(gone)).toBe(-EBADF);
		expect(task.dup(gone)).toBe(-EBADF);
		expect(task.dup2(gone, gone)).toBe(-EBADF);
		expect(task.dup2(gone, 7)).toBe(-EBADF);
		expect(task.dup3(gone, 7, 0)).toBe(-EBADF);
		expect(task.accept4(task.tcp(), 1)).toBe(-EINVAL);
	});

	it("get the lowest free numbers", () => {
		const task = boot();
		const fds = [task.tcp(), task.tcp(), task.tcp(), task.tcp()];
		expect(fds).toEqual([3, 4, 5, 6]);
		task.close(4);
		task.close(3);
		expect([task.tcp(), task.dup(6), task.tcp()]).toEqual([3, 4, 7]);
	});

	it("that dup2() and dup3() overwrite are closed first", () => {
		const task = boot();
		const [a, b] = [task.tcp(), task.tcp()];
		expect(task.bind(b, local(5000))).toBe(0);
		expect(task.dup2(a, a)).toBe(a);
		expect(task.dup3(a, a, 0)).toBe(-EINVAL);
		expect(task.dup3(a, 9, 1)).toBe(-EINVAL);
		expect(task.dup2(a, b)).toBe(b);
		expect(task.bind(a, local(5000))).toBe(0);
		expect(task.getsockname(b)).toEqual(local(5000));
		expect(task.dup3(a, 9, SOCK_CLOEXEC)).toBe(9);
		task.execve();
		expect(task.getsockname(9)).toBe(-EBADF);
		expect(task.getsockname(b)).toEqual(local(5000));
	});

	it("belong to one process, and parent and child share the sockets behind them", () => {
		const parent = boot();
		const server = parent.tcp();
		expect(parent.bind(server, local(5000))).toBe(0);
		expect(parent.listen(server, 8)).toBe(0);
		const child = parent.fork();
		expect(parent.close(server)).toBe(0);
		expect(parent.getsockname(server)).toBe(-EBADF);

		const client = parent.tcp();
		expect(parent.connect(client, local(5000))).toBe(0);
		const accepted = child.accept(server);
		expect(child.getsockname(accepted)).toEqual(local(5000));
		expect(parent.send(client, 3)).toBe(3);
		expect(child.recv(accepted, 9)).toBe(3);

		// The end of a process closes what only it had open.
		child.exit();
		expect(parent.recv(client, 9)).toBe(0);
		expect(parent.connect(parent.tcp(), local(5000))).toBe(-ECONNREFUSED);
		parent.kernel.verify();
	});

	it("of a process that exits are released from the last to the first", () => {
		const parent = boot();
		const child = parent.fork();
		const server = child.tcp();
		child.bind(server, local(5000));
		child.listen(server, 1);
		const client = child.tcp();
		child.bind(client, local(5001));
		child.connect(client, local(5000));
		expect(child.accept(server)).toBeGreaterThan(client);
		child.exit();
		// The accepted end closed first and is time-wait. The client's end is gone.
		expect(parent.bind(parent.tcp(), local(5000))).toBe(-EADDRINUSE);
		expect(parent.bind(parent.tcp(), local(5001))).toBe(0);
	});

	it("of a thread are those of its process", () => {
		const process = boot();
		const thread = process.fork(true);
		const fd = thread.tcp();
		expect(process.bind(fd, local(5000))).toBe(0);
		thread.exit();
		expect(process.getsockname(fd)).toEqual(local(5000));
		process.exit();
		expect(process.kernel.tcp_hashinfo.bind_bucket_cachep.used).toBe(0);
	});

	it("of a child with another user id lead to sockets of the user who made them", () => {
		const parent = boot();
		const first = parent.tcp();
		parent.setsockopt(first, SOL_SOCKET, SO_REUSEPORT, 1);
		expect(parent.bind(first, local(5000))).toBe(0);
		const second = parent.tcp();
		parent.setsockopt(second, SOL_SOCKET, SO_REUSEPORT, 1);
		const child = parent.fork();
		child.uid = 1000;
		const third = child.tcp();
		child.setsockopt(third, SOL_SOCKET, SO_REUSEPORT, 1);
		expect(child.bind(third, local(5000))).toBe(-EADDRINUSE);
		expect(child.bind(second, local(5000))).toBe(0);
	});

	it("that do not block give EAGAIN, and others give ERESTARTSYS where the call would sleep", () => {
		const task = boot();
		const server = task.socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
		expect(task.bind(server, local(5000))).toBe(0);
		expect(task.listen(server, 1)).toBe(0);
		expect(task.accept(server)).toBe(-EAGAIN);
		expect(task.setNonblock(server, false)).toBe(0);
		expect(task.accept(server)).toBe(-ERESTARTSYS);
		const client = task.tcp();
		expect(task.connect(client, local(5000))).toBe(0);
		expect(task.recv(client, 1)).toBe(-ERESTARTSYS);
		// accept4() takes the flag of the new descriptor from its argument alone.
		task.setNonblock(server, true);
		const accepted = task.accept4(server, 0);
		expect(task.recv(accepted, 1)).toBe(-ERESTARTSYS);
		task.setNonblock(accepted, true);
		expect(task.recv(accepted, 1)).toBe(-EAGAIN);
	});

	it("that are high stay open when the lower ones become so many that a larger table is needed", () => {
		const task = boot();
		const fd = task.tcp();
		const high = 100_000;
		expect(task.dup2(fd, high)).toBe(high);
		const sock = task.socketOf(fd);
		for (let n = fd + 1; n < high; n++) expect(task.dup(fd)).toBe(n);
		expect(task.socketOf(high)).toBe(sock);
		expect(task.dup(fd)).toBe(high + 1);
		expect(task.close(high)).toBe(0);
		expect(task.socketOf(high)).toBe(-EBADF);
		expect(task.dup(fd)).toBe(high);
		task.kernel.verify();
	});

	it("of other kinds of sockets give the kernel's error, or throw NotModelled", () => {
		const task = boot();
		expect(task.socket(AF_INET, SOCK_STREAM | 0x100, 0)).toBe(-EINVAL);
		expect(task.socket(AF_INET, 15, 0)).toBe(-EINVAL);
		expect(task.socket(AF_INET, SOCK_STREAM, -1)).toBe(-EINVAL);
		expect(task.socket(AF_INET, SOCK_STREAM, 263)).toBe(-EINVAL);
		expect(task.socket(AF_INET, SOCK_STREAM, 17)).toBe(-EPROTONOSUPPORT);
		expect(task.socket(AF_INET, 4, 0)).toBe(-ESOCKTNOSUPPORT);
		expect(() => task.socket(AF_INET, 3, 17)).toThrow(NotModelled); // raw
		expect(() => task.socket(AF_INET, 2, 1)).toThrow(NotModelled); // ping
		expect(() => task.socket(16, 3, 0)).toThrow(NotModelled); // netlink
		expect(task.socket(AF_INET, SOCK_STREAM, 6)).toBeGreaterThan(2);
	});
});
