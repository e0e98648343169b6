// SPDX-License-Identifier: GPL-2.0-or-later
/** Tasks: a user, a network namespace, file descriptors, and the system calls by their names. */

import {
	O_NONBLOCK,
	SOCK_CLOEXEC,
	SOCK_NONBLOCK,
	SOCK_TYPE_MASK,
} from "../../include/linux/net.js";
import { Slab } from "../../include/linux/slab.js";
import { AF_INET, SIZEOF_SOCKADDR_IN, SIZEOF_SOCKADDR_IN6 } from "../../include/linux/socket.js";
import {
	EBADF,
	ECONNABORTED,
	EINVAL,
	ENOTSOCK,
	ERESTARTSYS,
} from "../../include/uapi/asm-generic/errno.js";
import { intBytes } from "../../net/core/sock.js";
import { tcp_v4_rcv_all } from "../../net/ipv4/tcp_ipv4.js";
import {
	__sock_release,
	__sys_bind,
	__sys_connect,
	__sys_getsockopt,
	__sys_listen,
	__sys_recvfrom,
	__sys_sendto,
	__sys_setsockopt,
	__sys_shutdown,
	do_accept,
	sock_create,
	sock_ops,
} from "../../net/socket.js";
import { type Address, fromSockaddr, toSockaddr } from "./address.js";
import type { Kernel } from "./kernel.js";
import type { NetNamespace } from "./net.js";

export interface TaskOptions {
	net: NetNamespace;
	/** User; 0, who has every capability, if not given. */
	uid?: number;
}

/** Open files: struct file. Shared by dup() and fork(). */
export class FileTable extends Slab {
	/** The struct socket, 0 if it is none. */
	socket = this.i32();
	/** Descriptors that name it, in all tasks. */
	f_count = this.i32();
}

/** Descriptors from here on, which only odd programs have, are not in an array. */
const NR_OPEN = 1 << 20;

/** struct fdtable: shared by threads, copied by fork(). */
class FdTable {
	/** By descriptor: its file, negative where it is marked close-on-exec, 0 if none is open. */
	private near = new Int32Array(64);
	private readonly far = new Map<number, number>();
	/** No descriptor below it is free, and none from `end` on is open. */
	private next_fd = 0;
	private end = 0;

	lowestFree(): number {
		while (this.get(this.next_fd) !== 0) this.next_fd++;
		return this.next_fd;
	}

	private get(fd: number): number {
		if (fd < NR_OPEN) return fd >= 0 && fd < this.end ? this.near[fd] : 0;
		return this.far.get(fd) ?? 0;
	}

	/** The file that a descriptor names, 0 if it is not open. */
	file(fd: number): number {
		return Math.abs(this.get(fd));
	}

	closeOnExec(fd: number): boolean {
		return this.get(fd) < 0;
	}

	set(fd: number, file: number, cloexec: boolean): void {
		const entry = cloexec ? -file : file;
		if (fd >= NR_OPEN) {
			this.far.set(fd, entry);
			return;
		}
		if (fd >= this.near.length) {
			const near = new Int32Array(2 ** Math.ceil(Math.log2(fd + 1)));
			near.set(this.near);
			this.near = near;
		}
		this.near[fd] = entry;
		if (fd >= this.end) this.end = fd + 1;
	}

	delete(fd: number): void {
		if (fd < NR_OPEN) this.near[fd] = 0;
		else this.far.delete(fd);
		this.next_fd = Math.min(this.next_fd, fd);
	}

	/** Open descriptors, lowest first. */
	open(): number[] {
		const fds: number[] = [];
		for (let fd = 0; fd < this.end; fd++) if (this.near[fd] !== 0) fds.push(fd);
		return fds.concat([...this.far.keys()].sort((a, b) => a - b));
	}

	/** Bytes of memory that the array takes. */
	get byteLength(): number {
		return this.near.byteLength;
	}
}

/** Bytes that a program passes for an address of its family. */
function addressLength(address: Address): number {
	return address.family === "AF_INET6" ? SIZEOF_SOCKADDR_IN6 : SIZEOF_SOCKADDR_IN;
}

/**
 * One task. System calls return what the kernel returns: a value from 0 up, or a negative
 * errno. -ERESTARTSYS (-512) says that the call would sleep.
 */
export class Task {
	readonly pid: number;
	uid: number;
	net: NetNamespace;
	private files = new FdTable();

	constructor(
		readonly kernel: Kernel,
		options: TaskOptions,
	) {
		this.pid = kernel.takePid();
		this.uid = options.uid ?? 0;
		this.net = options.net;
		for (const fd of [0, 1, 2]) this.open(0, false, fd);
		kernel.tasks.add(this);
	}

	/** Root has every capability, other users have none. */
	get privileged(): boolean {
		return this.uid === 0;
	}

	// Descriptors

	private install(file: number, cloexec: boolean, at?: number): number {
		const fd = at ?? this.files.lowestFree();
		if (at !== undefined) this.close(at); // in a recording: its close() was not recorded
		this.kernel.file.f_count[file]++;
		this.files.set(fd, file, cloexec);
		return fd;
	}

	/** A new open file. */
	private open(socket: number, cloexec: boolean, at?: number): number {
		const file = this.kernel.file.kmem_cache_zalloc();
		this.kernel.file.socket[file] = socket;
		return this.install(file, cloexec, at);
	}

	/** The struct socket that a descriptor names, or a negative errno. */
	socketOf(fd: number): number {
		const file = this.files.file(fd);
		if (file === 0) return -EBADF;
		const sock = this.kernel.file.socket[file];
		return sock === 0 ? -ENOTSOCK : sock;
	}

	/** Descriptors that name sockets, lowest first. */
	socketDescriptors(): number[] {
		return this.files.open().filter((fd) => this.kernel.file.socket[this.files.file(fd)] !== 0);
	}

	/** The open file of each descriptor, lowest descriptor first. */
	openFiles(): number[] {
		return this.files.open().map((fd) => this.files.file(fd));
	}

	/** Bytes of memory that the table of descriptors takes. */
	get fdTableSize(): number {
		return this.files.byteLength;
	}

	/** Opens something that is not a modelled socket. */
	openOther(at?: number): number {
		return this.open(0, false, at);
	}

	private release(file: number, exiting: boolean): void {
		const F = this.kernel.file;
		F.f_count[file]--;
		if (F.f_count[file] !== 0) return;
		const sock = F.socket[file];
		F.kmem_cache_free(file);
		if (sock !== 0) __sock_release(this.kernel, sock, exiting);
	}

	close(fd: number): number {
		const file = this.files.file(fd);
		if (file === 0) return -EBADF;
		this.files.delete(fd);
		this.release(file, false);
		return 0;
	}

	dup(fd: number, at?: number): number {
		const file = this.files.file(fd);
		if (file === 0) return -EBADF;
		return this.install(file, false, at);
	}

	dup2(fd: number, newfd: number): number {
		if (newfd === fd && this.files.file(fd) !== 0) return fd;
		return this.dup(fd, newfd);
	}

	dup3(fd: number, newfd: number, flags: number): number {
		if (newfd === fd || (flags & ~SOCK_CLOEXEC) !== 0) return -EINVAL;
		const file = this.files.file(fd);
		if (file === 0) return -EBADF;
		return this.install(file, (flags & SOCK_CLOEXEC) !== 0, newfd);
	}

	/** fcntl(F_SETFL), ioctl(FIONBIO). */
	setNonblock(fd: number, nonblock: boolean): number {
		const sock = this.socketOf(fd);
		if (sock < 0) return sock;
		const { flags } = this.kernel.socket;
		flags[sock] = nonblock ? flags[sock] | O_NONBLOCK : flags[sock] & ~O_NONBLOCK;
		return 0;
	}

	private nonblocking(sock: number): boolean {
		return (this.kernel.socket.flags[sock] & O_NONBLOCK) !== 0;
	}

	// Processes

	/** A child with the same open files; `share` for a thread, whose descriptors are the same ones. */
	fork(share = false): Task {
		const child = new Task(this.kernel, { net: this.net, uid: this.uid });
		for (const fd of child.files.open()) child.close(fd);
		if (share) {
			child.files = this.files;
			return child;
		}
		child.files = new FdTable();
		for (const fd of this.files.open()) {
			const file = this.files.file(fd);
			this.kernel.file.f_count[file]++;
			child.files.set(fd, file, this.files.closeOnExec(fd));
		}
		return child;
	}

	/** execve(): closes what is marked close-on-exec. */
	execve(): void {
		this.closeAll(
			this.files.open().filter((fd) => this.files.closeOnExec(fd)),
			false,
		);
	}

	/** Ends the task and closes its files; files shared with a thread stay. */
	exit(): void {
		this.kernel.tasks.delete(this);
		for (const other of this.kernel.tasks) if (other.files === this.files) return;
		this.closeAll(this.files.open(), true);
	}

	/**
	 * Closes descriptors, lowest first. The files whose last ones they are wait for the task to
	 * leave the kernel, and are released in reverse: kernel/task_work.c: task_work_run.
	 */
	private closeAll(fds: readonly number[], exiting: boolean): void {
		const F = this.kernel.file;
		const works: number[] = [];
		for (const fd of fds) {
			const file = this.files.file(fd);
			this.files.delete(fd);
			if (F.f_count[file] === 1) works.push(file);
			else F.f_count[file]--;
		}
		for (const file of works.reverse()) this.release(file, exiting);
	}

	/** unshare(CLONE_NEWNET): a namespace of its own, lo down. */
	unshareNet(): NetNamespace {
		this.net = this.kernel.createNet({ lo: "down", parent: this.net });
		return this.net;
	}

	// Sockets. `at` is the descriptor that a recording shows; the lowest free one if not given.

	/** Throws NotModelled for sockets that the model leaves out. */
	socket(family: number, type: number, protocol: number, at?: number): number {
		const flags = type & ~SOCK_TYPE_MASK;
		if ((flags & ~(SOCK_CLOEXEC | SOCK_NONBLOCK)) !== 0) return -EINVAL;
		const kernel = this.kernel;
		const { net } = this.net;
		const sock = sock_create(kernel, net, family, type & SOCK_TYPE_MASK, protocol, this.uid);
		if (sock < 0) return sock;
		kernel.socket.flags[sock] = flags & O_NONBLOCK;
		return this.open(sock, (flags & SOCK_CLOEXEC) !== 0, at);
	}

	/** A TCP socket over IPv4. */
	tcp(): number {
		return this.socket(AF_INET, 1, 0);
	}

	/** `addrlen` by default that of the family. Throws RangeError for a malformed address. */
	bind(fd: number, address: Address, addrlen = addressLength(address)): number {
		const sock = this.socketOf(fd);
		if (sock < 0) return sock;
		return __sys_bind(this.kernel, sock, toSockaddr(address), addrlen, this.privileged);
	}

	listen(fd: number, backlog: number): number {
		const sock = this.socketOf(fd);
		return sock < 0 ? sock : __sys_listen(this.kernel, sock, backlog);
	}

	/** `nonblock` overrides the file's O_NONBLOCK. */
	connect(
		fd: number,
		address: Address,
		addrlen = addressLength(address),
		nonblock?: boolean,
	): number {
		const sock = this.socketOf(fd);
		if (sock < 0) return sock;
		const block = nonblock ?? this.nonblocking(sock);
		this.kernel.cap_net_bind_service = this.privileged;
		return __sys_connect(this.kernel, sock, toSockaddr(address), addrlen, block);
	}

	/** What a blocking connect() that slept returns now, or -ERESTARTSYS again. */
	connectSleeping(fd: number): number {
		const sock = this.socketOf(fd);
		if (sock < 0) return sock;
		const err = sock_ops(this.kernel, sock).connect_wait(this.kernel, sock);
		tcp_v4_rcv_all(this.kernel);
		return err;
	}

	accept(fd: number, address?: Partial<Address>): number {
		return this.accept4(fd, 0, address);
	}

	/** Fills `address` with the peer's. */
	accept4(
		fd: number,
		flags: number,
		address?: Partial<Address>,
		nonblock?: boolean,
		at?: number,
	): number {
		const sock = this.socketOf(fd);
		if ((flags & ~(SOCK_CLOEXEC | SOCK_NONBLOCK)) !== 0) return -EINVAL;
		if (sock < 0) return sock;
		const kernel = this.kernel;
		const newsock = do_accept(kernel, sock, this.uid, nonblock ?? this.nonblocking(sock));
		if (newsock < 0) return newsock;
		kernel.socket.flags[newsock] = flags & O_NONBLOCK;
		if (address !== undefined) {
			const peer = sock_ops(kernel, newsock).getname(kernel, newsock, 2);
			if (typeof peer === "number") {
				__sock_release(kernel, newsock, false);
				return -ECONNABORTED;
			}
			Object.assign(address, fromSockaddr(peer));
		}
		return this.open(newsock, (flags & SOCK_CLOEXEC) !== 0, at);
	}

	private getname(fd: number, peer: number): Address | number {
		const sock = this.socketOf(fd);
		if (sock < 0) return sock;
		const name = sock_ops(this.kernel, sock).getname(this.kernel, sock, peer);
		return typeof name === "number" ? name : fromSockaddr(name);
	}

	getsockname(fd: number): Address | number {
		return this.getname(fd, 0);
	}

	getpeername(fd: number): Address | number {
		return this.getname(fd, 1);
	}

	/**
	 * `optval` is an int, the bytes themselves, or null for a NULL pointer; `optlen` the
	 * length that the program says, by default that of the value. Throws NotModelled for an
	 * option that the model leaves out.
	 */
	setsockopt(
		fd: number,
		level: number,
		optname: number,
		optval: number | Uint8Array | null,
		optlen?: number,
	): number {
		const sock = this.socketOf(fd);
		if (sock < 0) return sock;
		const bytes = typeof optval === "number" ? intBytes(optval) : optval;
		const length = optlen ?? bytes?.length ?? 0;
		return __sys_setsockopt(this.kernel, sock, level, optname, bytes, length, this.privileged);
	}

	/** The bytes written to a buffer of `optlen` bytes, or a negative errno. */
	getsockopt(fd: number, level: number, optname: number, optlen = 4): Uint8Array | number {
		const sock = this.socketOf(fd);
		if (sock < 0) return sock;
		return __sys_getsockopt(this.kernel, sock, level, optname, optlen);
	}

	shutdown(fd: number, how: number): number {
		const sock = this.socketOf(fd);
		return sock < 0 ? sock : __sys_shutdown(this.kernel, sock, how);
	}

	/** Sends `size` bytes (whatever they are): the number sent, or a negative errno. */
	send(fd: number, size: number, nonblock?: boolean): number {
		return this.sendto(fd, size, null, 0, nonblock);
	}

	/** The same to an address, or with null to where the socket is connected. */
	sendto(
		fd: number,
		size: number,
		address: Address | null,
		addrlen = address === null ? 0 : addressLength(address),
		nonblock?: boolean,
	): number {
		const sock = this.socketOf(fd);
		if (sock < 0) return sock;
		const to = address === null ? null : toSockaddr(address);
		const block = nonblock ?? this.nonblocking(sock);
		this.kernel.cap_net_bind_service = this.privileged;
		return __sys_sendto(this.kernel, sock, size, to, addrlen, block);
	}

	/** Receives at most `size` bytes: the number, 0 at the end of a stream, or a negative errno. */
	recv(fd: number, size: number, nonblock?: boolean): number {
		const sock = this.socketOf(fd);
		if (sock < 0) return sock;
		return __sys_recvfrom(this.kernel, sock, size, nonblock ?? this.nonblocking(sock));
	}

	/**
	 * A blocking connect(): as connect(), but lets the clock run until it is decided. Still
	 * -ERESTARTSYS if nothing that is due can decide it.
	 */
	connectAndWait(fd: number, address: Address): number {
		let result = this.connect(fd, address, undefined, false);
		while (result === -ERESTARTSYS) {
			const timer = this.kernel.timers.first();
			const expiry = timer === null ? null : this.kernel.timers.expiry(timer);
			if (expiry === null) break;
			this.kernel.advance(Math.max(0, expiry - this.kernel.now));
			result = this.connectSleeping(fd);
		}
		return result;
	}
}
