// SPDX-License-Identifier: GPL-2.0-or-later
/** Tasks: a user, a network namespace, file descriptors, and the system calls by their names. */

import { CAP_FULL_SET } from "../../include/linux/capability.js";
import {
	O_NONBLOCK,
	SOCK_CLOEXEC,
	SOCK_NONBLOCK,
	SOCK_TYPE_MASK,
} from "../../include/linux/net.js";
import { Slab } from "../../include/linux/slab.js";
import { AF_INET, SIZEOF_SOCKADDR_IN, SIZEOF_SOCKADDR_IN6 } from "../../include/linux/socket.js";
import { noTrace } from "../../include/trace/events/port_search.js";
import {
	EBADF,
	ECONNABORTED,
	EINVAL,
	EMFILE,
	ENOTSOCK,
	EPERM,
	ERESTARTSYS,
} from "../../include/uapi/asm-generic/errno.js";
import { process_backlog } from "../../net/core/dev.js";
import { intBytes } from "../../net/core/sock.js";
import { runTimers } from "../../net/ipv4/tcp_timer.js";
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
import { checkBoolean, checkInt, checkInteger, checkObject, checkSize } from "./arguments.js";
import type { Kernel } from "./kernel.js";
import { NetNamespace } from "./net.js";
import { add, nth } from "./nth.js";
import type { Syscall } from "./syscall.js";

export interface TaskOptions {
	net: NetNamespace;
	/** User; 0, who has every capability, if not given. */
	uid?: number;
	/** RLIMIT_NOFILE: every descriptor is below it. NR_OPEN, which is the most, if not given. */
	nofile?: number;
}

/** fs.nr_open as kernels have it: fs/file.c: sysctl_nr_open. */
export const NR_OPEN = 1 << 20;

/** The user that is none: include/linux/uidgid.h: INVALID_UID. */
const INVALID_UID = 0xffffffff;

/** Open files: struct file. Shared by dup() and fork(). */
export class FileTable extends Slab {
	/** The struct socket, 0 if it is none. */
	socket = this.i32();
	/** Descriptors that name it, in all tasks, and those in flight. */
	f_count = this.i32();
	/** Descriptors in flight that name it: net/unix/garbage.c: unix_inflight. */
	inflight = this.i32();
}

/** Descriptors from here on, which only odd programs have, are not in an array. */
const FAR = 1 << 16;

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
		if (fd < FAR) return fd >= 0 && fd < this.end ? nth(this.near, fd) : 0;
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
		if (fd >= FAR) {
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
		if (fd < FAR) this.near[fd] = 0;
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

/** Bytes that a program passes for an address of its family; toSockaddr() refuses what is none. */
function addressLength(address: Address): number {
	return address?.family === "AF_INET6" ? SIZEOF_SOCKADDR_IN6 : SIZEOF_SOCKADDR_IN;
}

/**
 * One task. System calls return what the kernel returns: a value from 0 up, or a negative
 * errno. -ERESTARTSYS (-512) says that the call would sleep.
 *
 * They throw TypeError or RangeError for an argument that no program can pass, with its name,
 * and Error once the task has exited. Whatever they throw, nothing has changed.
 */
export class Task {
	/** As explanations name the task; of a recording's it is the recorded one. */
	pid: number;
	/** RLIMIT_NOFILE. */
	readonly nofile: number;
	/** Effective user, who is also that of files; real and saved user. */
	private euid = 0;
	private ruid = 0;
	private suid = 0;
	private namespace: NetNamespace;
	private files = new FdTable();
	private exited = false;

	/** @internal Use Kernel.createTask(). */
	constructor(
		readonly kernel: Kernel,
		options: TaskOptions,
	) {
		checkObject("options", options, "options with a net");
		const { net, uid = 0, nofile = NR_OPEN } = options;
		this.namespace = this.checkNet("net", net);
		this.uid = uid;
		this.nofile = checkInteger("nofile", nofile, 3, NR_OPEN, `a number from 3 to ${NR_OPEN}`);
		this.pid = kernel.takePid();
		for (const fd of [0, 1, 2]) this.open(0, false, fd);
		kernel.tasks.add(this);
	}

	private checkNet(argument: string, net: unknown): NetNamespace {
		if (!(net instanceof NetNamespace) || this.kernel.nets[net.net.id - 1] !== net.net) {
			throw new TypeError(`${argument}: expected a namespace of this kernel`);
		}
		return net;
	}

	/** Network namespace; setting it is setns(). */
	get net(): NetNamespace {
		return this.namespace;
	}

	set net(net: NetNamespace) {
		this.running();
		this.namespace = this.checkNet("net", net);
	}

	/** Effective user. Setting it sets the real and the saved user as well. */
	get uid(): number {
		return this.euid;
	}

	set uid(uid: number) {
		this.running();
		checkInteger("uid", uid, 0, INVALID_UID - 1, "a user from 0 to 4294967294");
		this.ruid = uid;
		this.euid = uid;
		this.suid = uid;
	}

	/** Root has every capability, other users have none. */
	get privileged(): boolean {
		return this.euid === 0;
	}

	/** setuid(): 0, -EINVAL or -EPERM. `uid` -1 is no user. */
	setuid(uid: number): number {
		this.running();
		const user = checkInt("uid", uid) >>> 0;
		if (user === INVALID_UID) return this.returns(-EINVAL, "setuid", -1);
		if (this.privileged) this.uid = user;
		else if (user !== this.ruid && user !== this.suid) return this.returns(-EPERM, "setuid", -1);
		this.euid = user;
		return 0;
	}

	/** setresuid(): 0 or -EPERM. -1 keeps a user as it is. */
	setresuid(ruid: number, euid: number, suid: number): number {
		this.running();
		const real = checkInt("ruid", ruid) >>> 0;
		const effective = checkInt("euid", euid) >>> 0;
		const saved = checkInt("suid", suid) >>> 0;
		for (const user of [real, effective, saved]) {
			const known = [INVALID_UID, this.ruid, this.euid, this.suid].includes(user);
			if (!known && !this.privileged) return this.returns(-EPERM, "setresuid", -1);
		}
		if (real !== INVALID_UID) this.ruid = real;
		if (effective !== INVALID_UID) this.euid = effective;
		if (saved !== INVALID_UID) this.suid = saved;
		return 0;
	}

	/** Tells the tracer, if it wants to know, of a call that returns. */
	private returns(
		result: number,
		name: string,
		fd: number,
		address: Address | null = null,
		length = 0,
		number = 0,
	): number {
		if (this.kernel.trace.sys_exit === undefined) return result;
		return this.exits(result, { name, fd, address, length, number });
	}

	private exits(result: number, call: Syscall): number {
		this.kernel.trace.sys_exit?.(this, call, result);
		return result;
	}

	/** A task that has exited makes no calls. */
	private running(): void {
		if (this.exited) throw new Error(`task ${this.pid} has exited and makes no calls`);
	}

	// Descriptors

	/** The file that a descriptor names, 0 if none is open. */
	private fget(fd: number, argument = "fd"): number {
		this.running();
		return this.files.file(checkInt(argument, fd));
	}

	/** The number that a recording shows for a new descriptor; any will do. */
	private checkAt(at: number | undefined): number | undefined {
		if (at === undefined) return undefined;
		return checkInteger("at", at, 0, 0x7fffffff, "a descriptor from 0 to 2147483647");
	}

	private install(file: number, cloexec: boolean, at?: number): number {
		const fd = at ?? this.files.lowestFree();
		// The file may be the one that `at` names.
		add(this.kernel.file.f_count, file, 1);
		// In a recording its close() may be missing.
		if (at !== undefined && this.files.file(at) !== 0) this.close(at);
		this.files.set(fd, file, cloexec);
		return fd;
	}

	/** Whether the limit leaves a descriptor: get_unused_fd_flags. */
	private full(at: number | undefined): boolean {
		return at === undefined && this.files.lowestFree() >= this.nofile;
	}

	/** A new open file. */
	private open(socket: number, cloexec: boolean, at?: number): number {
		const file = this.kernel.file.kmem_cache_zalloc();
		this.kernel.file.socket[file] = socket;
		return this.install(file, cloexec, at);
	}

	/** A system call on a socket begins, and its task is current: the socket, or a negative errno. */
	private enters(fd: number): number {
		this.kernel.cap_effective = this.privileged ? CAP_FULL_SET : 0;
		return this.socketOf(fd);
	}

	/** The struct socket that a descriptor names, or a negative errno. */
	socketOf(fd: number): number {
		const file = this.fget(fd);
		if (file === 0) return -EBADF;
		const sock = nth(this.kernel.file.socket, file);
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

	/** @internal The table of descriptors, which threads share. */
	get descriptors(): unknown {
		return this.files;
	}

	/** The open file that a descriptor names, 0 if none. */
	fileOf(fd: number): number {
		return this.files.file(fd);
	}

	/** Lets a descriptor name an open file, as SCM_RIGHTS and pidfd_getfd() do: receive_fd. */
	installFile(file: number, at: number, cloexec = false): number {
		// What the descriptor named before may be the same file.
		this.holdFile(file);
		const fd = this.install(file, cloexec, at);
		this.dropFile(file);
		return fd;
	}

	/** Keeps an open file in flight, while no descriptor may name it: unix_inflight. */
	holdFile(file: number): void {
		add(this.kernel.file.f_count, file, 1);
		add(this.kernel.file.inflight, file, 1);
	}

	/** Ends that: unix_notinflight. */
	dropFile(file: number): void {
		add(this.kernel.file.inflight, file, -1);
		this.release(file, false);
	}

	/** Bytes of memory that the table of descriptors takes. */
	get fdTableSize(): number {
		return this.files.byteLength;
	}

	/** Opens something that is not a modelled socket: its descriptor, or -EMFILE. */
	openOther(at?: number): number {
		this.running();
		this.checkAt(at);
		return this.full(at) ? -EMFILE : this.open(0, false, at);
	}

	private release(file: number, exiting: boolean): void {
		const F = this.kernel.file;
		add(F.f_count, file, -1);
		if (F.f_count[file] !== 0) return;
		const sock = nth(F.socket, file);
		F.kmem_cache_free(file);
		if (sock !== 0) __sock_release(this.kernel, sock, exiting);
	}

	/** 0 or -EBADF. */
	close(fd: number): number {
		const file = this.fget(fd);
		if (file === 0) return this.returns(-EBADF, "close", fd);
		this.files.delete(fd | 0);
		this.release(file, false);
		return 0;
	}

	/** The new descriptor, -EBADF or -EMFILE. `at` is the number that a recording shows. */
	dup(fd: number, at?: number): number {
		const file = this.fget(fd);
		this.checkAt(at);
		const err = file === 0 ? -EBADF : this.full(at) ? -EMFILE : 0;
		return err !== 0 ? this.returns(err, "dup", fd) : this.install(file, false, at);
	}

	/** `newfd`, or -EBADF: of a descriptor that is not open, of a number that is none. */
	dup2(fd: number, newfd: number): number {
		const file = this.fget(fd);
		const at = checkInt("newfd", newfd);
		const same = at === (fd | 0);
		const result = !same ? this.ksys_dup3(file, at, false) : file === 0 ? -EBADF : at;
		return result < 0 ? this.exits(result, { name: "dup2", fd, newfd: at }) : result;
	}

	/** The same, but -EINVAL for equal numbers, and for flags other than O_CLOEXEC. */
	dup3(fd: number, newfd: number, flags: number): number {
		const file = this.fget(fd);
		const at = checkInt("newfd", newfd);
		const wrong = (checkInt("flags", flags) & ~SOCK_CLOEXEC) !== 0 || at === (fd | 0);
		const result = wrong ? -EINVAL : this.ksys_dup3(file, at, (flags & SOCK_CLOEXEC) !== 0);
		return result < 0 ? this.exits(result, { name: "dup3", fd, newfd: at }) : result;
	}

	/** fs/file.c: ksys_dup3, from its check of the limit on. */
	private ksys_dup3(file: number, newfd: number, cloexec: boolean): number {
		if (newfd < 0 || newfd >= this.nofile || file === 0) return -EBADF;
		return this.install(file, cloexec, newfd);
	}

	/** fcntl(F_SETFL), ioctl(FIONBIO). */
	setNonblock(fd: number, nonblock: boolean): number {
		const sock = this.enters(fd);
		checkBoolean("nonblock", nonblock);
		if (sock < 0) return sock;
		const { flags } = this.kernel.socket;
		flags[sock] = nonblock ? nth(flags, sock) | O_NONBLOCK : nth(flags, sock) & ~O_NONBLOCK;
		return 0;
	}

	private nonblocking(sock: number): boolean {
		return (nth(this.kernel.socket.flags, sock) & O_NONBLOCK) !== 0;
	}

	// Processes

	/** A child with the same open files; `share` for a thread, whose descriptors are the same ones. */
	fork(share = false): Task {
		this.running();
		const { net, uid, nofile } = this;
		const child = new Task(this.kernel, { net, uid, nofile });
		child.ruid = this.ruid;
		child.suid = this.suid;
		for (const fd of child.files.open()) child.close(fd);
		if (share) {
			child.files = this.files;
			return child;
		}
		child.files = new FdTable();
		for (const fd of this.files.open()) {
			const file = this.files.file(fd);
			add(this.kernel.file.f_count, file, 1);
			child.files.set(fd, file, this.files.closeOnExec(fd));
		}
		return child;
	}

	/** execve(): closes what is marked close-on-exec. */
	execve(): void {
		this.running();
		this.closeAll(
			this.files.open().filter((fd) => this.files.closeOnExec(fd)),
			false,
		);
	}

	/** Ends the task and closes its files; files shared with a thread stay. */
	exit(): void {
		this.running();
		this.exited = true;
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
			else add(F.f_count, file, -1);
		}
		for (const file of works.reverse()) this.release(file, exiting);
	}

	/** unshare(CLONE_NEWNET): a namespace of its own, lo down. */
	unshareNet(): NetNamespace {
		this.running();
		this.net = this.kernel.createNet({ lo: "down", parent: this.net });
		return this.net;
	}

	// Sockets. `at` is the descriptor that a recording shows; the lowest free one if not given.

	/** Throws NotModelled for sockets that the model leaves out. */
	socket(family: number, type: number, protocol: number, at?: number): number {
		this.running();
		checkInt("family", family);
		checkInt("type", type);
		checkInt("protocol", protocol);
		this.checkAt(at);
		const flags = type & ~SOCK_TYPE_MASK;
		const kernel = this.kernel;
		const { net } = this.net;
		let sock = -EINVAL;
		if ((flags & ~(SOCK_CLOEXEC | SOCK_NONBLOCK)) === 0) {
			sock = sock_create(kernel, net, family, type & SOCK_TYPE_MASK, protocol, this.uid);
		}
		if (sock >= 0 && this.full(at)) {
			__sock_release(kernel, sock, false);
			sock = -EMFILE;
		}
		if (sock < 0) return this.exits(sock, { name: "socket", fd: -1, family, type, protocol });
		kernel.socket.flags[sock] = flags & O_NONBLOCK;
		return this.open(sock, (flags & SOCK_CLOEXEC) !== 0, at);
	}

	/** A TCP socket over IPv4. */
	tcp(): number {
		return this.socket(AF_INET, 1, 0);
	}

	/** `addrlen` by default that of the family. */
	bind(fd: number, address: Address, addrlen = addressLength(address)): number {
		const sock = this.enters(fd);
		const name = toSockaddr(address);
		const length = checkInt("addrlen", addrlen);
		const err = sock < 0 ? sock : __sys_bind(this.kernel, sock, name, length);
		return this.returns(err, "bind", fd, address, length);
	}

	listen(fd: number, backlog: number): number {
		const sock = this.enters(fd);
		const length = checkInt("backlog", backlog);
		const err = sock < 0 ? sock : __sys_listen(this.kernel, sock, length);
		return this.returns(err, "listen", fd, null, 0, length);
	}

	/** `nonblock` overrides the file's O_NONBLOCK. */
	connect(
		fd: number,
		address: Address,
		addrlen = addressLength(address),
		nonblock?: boolean,
	): number {
		const sock = this.enters(fd);
		const name = toSockaddr(address);
		const length = checkInt("addrlen", addrlen);
		if (sock < 0) return this.returns(sock, "connect", fd, address, length);
		const block = nonblock ?? this.nonblocking(sock);
		const err = __sys_connect(this.kernel, sock, name, length, block);
		return this.returns(err, "connect", fd, address, length);
	}

	/** What a blocking connect() that slept returns now, or -ERESTARTSYS again. */
	connectSleeping(fd: number): number {
		const sock = this.enters(fd);
		if (sock < 0) return this.exits(sock, { name: "connect", fd });
		const err = sock_ops(this.kernel, sock).connect_wait(this.kernel, sock);
		process_backlog(this.kernel);
		return this.kernel.trace === noTrace ? err : this.exits(err, { name: "connect", fd });
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
		const sock = this.enters(fd);
		checkInt("flags", flags);
		if (address !== undefined) checkObject("address", address);
		this.checkAt(at);
		let wrong = 0;
		if ((flags & ~(SOCK_CLOEXEC | SOCK_NONBLOCK)) !== 0) wrong = -EINVAL;
		else if (sock < 0) wrong = sock;
		else if (this.full(at)) wrong = -EMFILE;
		if (wrong !== 0) return this.returns(wrong, "accept4", fd, null, 0, flags);
		const kernel = this.kernel;
		const newsock = do_accept(kernel, sock, this.uid, nonblock ?? this.nonblocking(sock));
		if (newsock < 0) return this.returns(newsock, "accept4", fd);
		kernel.socket.flags[newsock] = flags & O_NONBLOCK;
		if (address !== undefined) {
			const peer = sock_ops(kernel, newsock).getname(kernel, newsock, 2);
			if (typeof peer === "number") {
				__sock_release(kernel, newsock, false);
				return this.returns(-ECONNABORTED, "accept4", fd);
			}
			Object.assign(address, fromSockaddr(peer));
		}
		return this.open(newsock, (flags & SOCK_CLOEXEC) !== 0, at);
	}

	private getname(fd: number, peer: number): Address | number {
		const sock = this.enters(fd);
		const name = sock < 0 ? sock : sock_ops(this.kernel, sock).getname(this.kernel, sock, peer);
		if (typeof name !== "number") return fromSockaddr(name);
		return this.returns(name, peer === 0 ? "getsockname" : "getpeername", fd);
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
		const sock = this.enters(fd);
		checkInt("level", level);
		checkInt("optname", optname);
		if (optval !== null && typeof optval !== "number" && !(optval instanceof Uint8Array)) {
			throw new TypeError("optval: expected a 32-bit integer, a Uint8Array or null");
		}
		const bytes = typeof optval === "number" ? intBytes(checkInt("optval", optval)) : optval;
		const length = checkInt("optlen", optlen ?? bytes?.length ?? 0);
		const err =
			sock < 0 ? sock : __sys_setsockopt(this.kernel, sock, level, optname, bytes, length);
		if (err === 0) return 0;
		return this.exits(err, { name: "setsockopt", fd, level, optname, optval: bytes, length });
	}

	/** The bytes written to a buffer of `optlen` bytes, or a negative errno. */
	getsockopt(fd: number, level: number, optname: number, optlen = 4): Uint8Array | number {
		const sock = this.enters(fd);
		checkInt("level", level);
		checkInt("optname", optname);
		const length = checkInt("optlen", optlen);
		const value = sock < 0 ? sock : __sys_getsockopt(this.kernel, sock, level, optname, length);
		if (typeof value !== "number") return value;
		return this.exits(value, { name: "getsockopt", fd, level, optname, length });
	}

	shutdown(fd: number, how: number): number {
		const sock = this.enters(fd);
		checkInt("how", how);
		const err = sock < 0 ? sock : __sys_shutdown(this.kernel, sock, how);
		return this.returns(err, "shutdown", fd, null, 0, how);
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
		const sock = this.enters(fd);
		const len = checkSize("size", size);
		const to = address === null ? null : toSockaddr(address);
		const length = checkInt("addrlen", addrlen);
		if (sock < 0) return this.exits(sock, { name: "sendto", fd, address, length, size });
		const block = nonblock ?? this.nonblocking(sock);
		const sent = __sys_sendto(this.kernel, sock, len, to, length, block);
		return sent < 0 ? this.exits(sent, { name: "sendto", fd, address, length, size }) : sent;
	}

	/** Receives at most `size` bytes: the number, 0 at the end of a stream, or a negative errno. */
	recv(fd: number, size: number, nonblock?: boolean): number {
		const sock = this.enters(fd);
		const len = checkSize("size", size);
		if (sock < 0) return this.returns(sock, "recvfrom", fd);
		const got = __sys_recvfrom(this.kernel, sock, len, nonblock ?? this.nonblocking(sock));
		return got < 0 ? this.returns(got, "recvfrom", fd) : got;
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
			runTimers(this.kernel, expiry);
			result = this.connectSleeping(fd);
		}
		return result;
	}
}
