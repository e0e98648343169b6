// SPDX-License-Identifier: GPL-2.0-or-later
/** Tasks: a user, a network namespace, file descriptors, and the system calls by their names. */
import {
	CAP_FULL_SET,
	CAP_NET_ADMIN,
	CAP_SETUID,
	CAP_SYS_RESOURCE,
} from "../../include/linux/capability.js";
import { NR_OPEN } from "../../include/linux/fs.js";
import {
	INET_STREAM_OPS,
	INET6_STREAM_OPS,
	MPTCP_STREAM_OPS,
	MPTCP_V6_STREAM_OPS,
	O_NONBLOCK,
	SOCK_CLOEXEC,
	SOCK_NONBLOCK,
	SOCK_TYPE_MASK,
} from "../../include/linux/net.js";
import {
	AF_INET,
	MSG_DONTWAIT,
	SIZEOF_SOCKADDR_IN,
	SIZEOF_SOCKADDR_IN6,
	SIZEOF_SOCKADDR_STORAGE,
} from "../../include/linux/socket.js";
import { JIFFY } from "../../include/linux/timer.js";
import { sk_net } from "../../include/net/sock.js";
import { noTrace } from "../../include/trace/events/port_search.js";
import {
	EAGAIN,
	EBADF,
	ECONNABORTED,
	EFAULT,
	EINVAL,
	EMFILE,
	ENOTSOCK,
	ENOTTY,
	EPERM,
	ERESTARTSYS,
} from "../../include/uapi/asm-generic/errno.js";
import { processBacklogAndWorks } from "../../net/core/dev.js";
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
import { type Address, fromSockaddr, Ipv4Texts, toSockaddr } from "./address.js";
import { checkBoolean, checkInt, checkInteger, checkObject, checkSize } from "./arguments.js";
import { FdTable, type OpenPath } from "./fd_table.js";
import type { Kernel } from "./kernel.js";
import { NetNamespace } from "./net.js";
import { add, nth } from "./nth.js";
import type { Syscall } from "./syscall.js";

export interface TaskOptions {
	net: NetNamespace;
	/** Effective user; 0 if not given. User 0 has every capability. */
	uid?: number;
	/** RLIMIT_NOFILE: every descriptor is below it. The default and maximum is NR_OPEN. */
	nofile?: number;
}

/** RLIMIT_NOFILE of a process: struct rlimit. Threads share it, fork() copies it. */
interface Limit {
	rlim_cur: number;
	rlim_max: number;
}

/** Stands for no user: include/linux/uidgid.h: INVALID_UID. */
const INVALID_UID = 0xffffffff;

/** Bytes of an address of its family. toSockaddr() checks the address. */
function addressLength(address: Address): number {
	return address?.family === "AF_INET6" ? SIZEOF_SOCKADDR_IN6 : SIZEOF_SOCKADDR_IN;
}

/** net/socket.c: move_addr_to_user, as far as it may fail. `addrlen` is null for a bad pointer. */
function move_addr_to_user(addrlen: number | null): number {
	if (addrlen === null) return -EFAULT;
	return checkInt("addrlen", addrlen) < 0 ? -EINVAL : 0;
}

/** The operations of sockets that may have a connection of MPTCP, or be its peer. */
const MAY_CONNECT: ReadonlySet<number> = new Set([
	INET_STREAM_OPS,
	INET6_STREAM_OPS,
	MPTCP_STREAM_OPS,
	MPTCP_V6_STREAM_OPS,
]);

/**
 * One task. System calls return the kernel's result: a value from 0 up, or a negative errno.
 * -ERESTARTSYS (-512) means that the call would sleep.
 *
 * They throw TypeError or RangeError, with the argument's name, for an argument that no program can
 * pass. They throw Error after the task has exited. A call that throws has changed nothing.
 */
export class Task {
	/** The pid in explanations. A task of a recording has its recorded pid. */
	pid: number;
	private limit: Limit;
	/** Effective, real and saved user. The effective user is also the owner of new files. */
	private euid = 0;
	private ruid = 0;
	private suid = 0;
	/** Capabilities while the effective user is root, and while it is another user. */
	private ofRoot = CAP_FULL_SET;
	private ofOthers = 0;
	private namespace: NetNamespace;
	private readonly texts = new Ipv4Texts();
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
		checkInteger("nofile", nofile, 3, NR_OPEN, `a number from 3 to ${NR_OPEN}`);
		this.limit = { rlim_cur: NR_OPEN, rlim_max: NR_OPEN };
		this.pid = kernel.takePid();
		for (const fd of [0, 1, 2]) this.open(0, false, fd);
		this.limit.rlim_cur = nofile;
		kernel.tasks.add(this);
	}

	private checkNet(argument: string, net: unknown): NetNamespace {
		if (!(net instanceof NetNamespace) || this.kernel.nets[net.net.id - 1] !== net.net) {
			throw new TypeError(`${argument}: expected a namespace of this kernel`);
		}
		return net;
	}

	/** Network namespace. Setting it acts as setns(). */
	get net(): NetNamespace {
		return this.namespace;
	}

	set net(net: NetNamespace) {
		this.running();
		this.namespace = this.checkNet("net", net);
	}

	/** RLIMIT_NOFILE, the soft limit. */
	get nofile(): number {
		return this.limit.rlim_cur;
	}

	/**
	 * setrlimit(RLIMIT_NOFILE): kernel/sys.c: do_prlimit. Returns 0, -EINVAL or -EPERM. Descriptors
	 * beyond the limit stay open. C asks for CAP_SYS_RESOURCE in the first user namespace; the model
	 * has only one.
	 */
	setrlimit(rlim_cur: number, rlim_max: number): number {
		this.running();
		for (const [name, limit] of Object.entries({ rlim_cur, rlim_max }))
			checkInteger(name, limit, 0, Number.MAX_SAFE_INTEGER, "a number of descriptors");
		const { limit } = this;
		let err = 0;
		if (rlim_cur > rlim_max) err = -EINVAL;
		else if (rlim_max > NR_OPEN) err = -EPERM;
		else if (rlim_max > limit.rlim_max && !this.capable(CAP_SYS_RESOURCE)) err = -EPERM;
		if (err !== 0) return this.returns(err, "prlimit64", -1, null, 0, rlim_max);
		limit.rlim_cur = rlim_cur;
		limit.rlim_max = rlim_max;
		return 0;
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

	/** Whether the effective user is root. */
	get privileged(): boolean {
		return this.euid === 0;
	}

	/**
	 * The capabilities over the network namespace, one bit each. By default root has all and other
	 * users have none. Setting them applies to the present kind of user: another user who becomes
	 * root has all, and root who becomes another user has none.
	 */
	get capabilities(): number {
		return this.privileged ? this.ofRoot : this.ofOthers;
	}

	set capabilities(bits: number) {
		this.running();
		[this.ofRoot, this.ofOthers] = this.privileged ? [bits, 0] : [CAP_FULL_SET, bits];
	}

	/** Whether the task has a capability. */
	capable(cap: number): boolean {
		return (this.capabilities & (1 << cap)) !== 0;
	}

	/** setuid(). Returns 0, -EINVAL or -EPERM. `uid` -1 is not a user. */
	setuid(uid: number): number {
		this.running();
		const user = checkInt("uid", uid) >>> 0;
		if (user === INVALID_UID) return this.returns(-EINVAL, "setuid", -1);
		if (this.capable(CAP_SETUID)) this.uid = user;
		else if (user !== this.ruid && user !== this.suid) return this.returns(-EPERM, "setuid", -1);
		this.euid = user;
		return 0;
	}

	/** setresuid(). Returns 0 or -EPERM. -1 keeps a user unchanged. */
	setresuid(ruid: number, euid: number, suid: number): number {
		this.running();
		const real = checkInt("ruid", ruid) >>> 0;
		const effective = checkInt("euid", euid) >>> 0;
		const saved = checkInt("suid", suid) >>> 0;
		for (const user of [real, effective, saved]) {
			const known = [INVALID_UID, this.ruid, this.euid, this.suid].includes(user);
			if (!known && !this.capable(CAP_SETUID)) return this.returns(-EPERM, "setresuid", -1);
		}
		if (real !== INVALID_UID) this.ruid = real;
		if (effective !== INVALID_UID) this.euid = effective;
		if (saved !== INVALID_UID) this.suid = saved;
		return 0;
	}

	/** Reports a call that returns to the tracer, if the tracer wants it. */
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

	/** Throws Error if the task has exited. */
	private running(): void {
		if (this.exited) throw new Error(`task ${this.pid} has exited and makes no calls`);
	}

	// Descriptors

	/** The file of a descriptor; 0 if it is not open. */
	private fget(fd: number, argument = "fd"): number {
		this.running();
		return this.files.file(checkInt(argument, fd));
	}

	/** Checks the number of a new descriptor in a recording. It need not be the lowest free one. */
	private checkAt(at: number | undefined): number | undefined {
		if (at === undefined) return undefined;
		return checkInteger("at", at, 0, 0x7fffffff, "a descriptor from 0 to 2147483647");
	}

	private install(file: number, cloexec: boolean, at?: number): number {
		const fd = at ?? this.files.lowestFree();
		// `at` may name the same file.
		add(this.kernel.file.f_count, file, 1);
		// The recording may lack the close() of `at`.
		if (at !== undefined && this.files.file(at) !== 0) this.close(at);
		this.files.set(fd, file, cloexec);
		return fd;
	}

	/** Whether RLIMIT_NOFILE leaves no descriptor from `start` on: fs/file.c: alloc_fd. */
	private full(at: number | undefined, start = 0): boolean {
		return at === undefined && this.files.lowestFree(start) >= this.nofile;
	}

	/** Opens a file and returns its descriptor. */
	private open(socket: number, cloexec: boolean, at?: number): number {
		const file = this.kernel.file.kmem_cache_zalloc();
		this.kernel.file.socket[file] = socket;
		return this.install(file, cloexec, at);
	}

	/**
	 * Begins a system call on a socket and makes its task current. Returns the socket, or a
	 * negative errno.
	 */
	private enters(fd: number): number {
		this.kernel.cap_effective = this.capabilities;
		return this.socketOf(fd);
	}

	/** The struct socket of a descriptor, or -EBADF or -ENOTSOCK. */
	socketOf(fd: number): number {
		const file = this.fget(fd);
		if (file === 0) return -EBADF;
		const sock = nth(this.kernel.file.socket, file);
		return sock === 0 ? -ENOTSOCK : sock;
	}

	/** Descriptors of sockets, lowest first. */
	socketDescriptors(): number[] {
		return this.files.open().filter((fd) => this.kernel.file.socket[this.files.file(fd)] !== 0);
	}

	/** The open file of each descriptor, lowest descriptor first. */
	openFiles(): number[] {
		return this.files.open().map((fd) => this.files.file(fd));
	}

	/** @internal The table of descriptors. Threads share it. */
	get descriptors(): unknown {
		return this.files;
	}

	/** The open file of a descriptor; 0 if it is not open. */
	fileOf(fd: number): number {
		return this.files.file(fd);
	}

	/** Gives an open file the descriptor `at`, as SCM_RIGHTS and pidfd_getfd() do: receive_fd. */
	installFile(file: number, at: number, cloexec = false): number {
		// The descriptor may already name the same file.
		this.holdFile(file);
		const fd = this.install(file, cloexec, at);
		this.dropFile(file);
		return fd;
	}

	/** Puts an open file in flight, where it needs no descriptor: unix_inflight. */
	holdFile(file: number): void {
		add(this.kernel.file.f_count, file, 1);
		add(this.kernel.file.inflight, file, 1);
	}

	/** Takes an open file out of flight: unix_notinflight. */
	dropFile(file: number): void {
		add(this.kernel.file.inflight, file, -1);
		this.release(file, false);
	}

	/** Bytes of memory of the table of descriptors. */
	get fdTableSize(): number {
		return this.files.byteLength;
	}

	/** Opens a file that is not a modelled socket. Returns its descriptor, or -EMFILE. */
	openOther(at?: number): number {
		this.running();
		this.checkAt(at);
		return this.full(at) ? -EMFILE : this.open(0, false, at);
	}

	/** Opens a file with a path that matters. Returns its descriptor, or -EMFILE. */
	openPath(path: OpenPath, cloexec: boolean, at?: number): number {
		this.running();
		this.checkAt(at);
		if (this.full(at)) return -EMFILE;
		const fd = this.open(0, cloexec, at);
		this.kernel.file.paths.set(this.files.file(fd), path);
		return fd;
	}

	/** The open file of a descriptor if its path matters, else null. */
	pathOf(fd: number): OpenPath | null {
		return this.kernel.file.paths.get(this.files.file(fd)) ?? null;
	}

	private release(file: number, exiting: boolean, more = false): void {
		const F = this.kernel.file;
		add(F.f_count, file, -1);
		if (F.f_count[file] !== 0) return;
		const sock = nth(F.socket, file);
		F.paths.delete(file);
		F.kmem_cache_free(file);
		if (sock !== 0) __sock_release(this.kernel, sock, exiting, more);
	}

	/** close(). Returns 0 or -EBADF. */
	close(fd: number): number {
		const file = this.fget(fd);
		if (file === 0) return this.returns(-EBADF, "close", fd);
		this.files.delete(fd | 0);
		this.release(file, false);
		return 0;
	}

	/**
	 * dup(). Returns the new descriptor, -EBADF or -EMFILE. `at` is the new descriptor in a
	 * recording.
	 */
	dup(fd: number, at?: number): number {
		const file = this.fget(fd);
		this.checkAt(at);
		const err = file === 0 ? -EBADF : this.full(at) ? -EMFILE : 0;
		return err !== 0 ? this.returns(err, "dup", fd) : this.install(file, false, at);
	}

	/** dup2(). Returns `newfd`, or -EBADF if `fd` is not open or `newfd` is out of range. */
	dup2(fd: number, newfd: number): number {
		const file = this.fget(fd);
		const at = checkInt("newfd", newfd);
		const same = at === (fd | 0);
		const result = !same ? this.ksys_dup3(file, at, false) : file === 0 ? -EBADF : at;
		return result < 0 ? this.exits(result, { name: "dup2", fd, newfd: at }) : result;
	}

	/**
	 * dup3(). Like dup2(), but -EINVAL for equal descriptors and for flags other than O_CLOEXEC.
	 */
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

	/**
	 * fcntl(F_DUPFD), fcntl(F_DUPFD_CLOEXEC): fs/fcntl.c: f_dupfd. Returns the lowest free descriptor
	 * from `from` on, -EBADF, -EINVAL if `from` is not below the limit, or -EMFILE.
	 */
	dupfd(fd: number, from: number, cloexec: boolean): number {
		const file = this.fget(fd);
		const start = checkInt("from", from);
		let err = 0;
		if (file === 0) err = -EBADF;
		else if (start < 0 || start >= this.nofile) err = -EINVAL;
		else if (this.full(undefined, start)) err = -EMFILE;
		if (err !== 0) return this.exits(err, { name: "fcntl", fd, newfd: start });
		return this.install(file, cloexec, this.files.lowestFree(start));
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

	/**
	 * Makes a child with the same open files. `share`: the child is a thread and shares the table
	 * of descriptors.
	 */
	fork(share = false): Task {
		this.running();
		const { net, uid } = this;
		const child = new Task(this.kernel, { net, uid });
		child.limit = share ? this.limit : { ...this.limit };
		child.ruid = this.ruid;
		child.suid = this.suid;
		child.ofRoot = this.ofRoot;
		child.ofOthers = this.ofOthers;
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

	/** execve(): closes the close-on-exec descriptors. */
	execve(): void {
		this.running();
		this.closeAll(
			this.files.open().filter((fd) => this.files.closeOnExec(fd)),
			false,
		);
	}

	/** Ends the task and closes its files. A table that a thread shares stays open. */
	exit(): void {
		this.running();
		this.exited = true;
		this.kernel.tasks.delete(this);
		for (const other of this.kernel.tasks) if (other.files === this.files) return;
		this.closeAll(this.files.open(), true);
	}

	/**
	 * Closes descriptors, lowest first. Files that lose their last descriptor are released when the
	 * task leaves the kernel, in reverse order: kernel/task_work.c: task_work_run. After each file
	 * another thread may run there (cond_resched), such as the worker of MPTCP. So the worker does its
	 * work before the next file, or later. This matters only if the next files have a connection.
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
		const { kernel } = this;
		while (works.length > 0) {
			this.release(works.pop() ?? 0, exiting, true);
			if (kernel.mptcp.works.length === 0) continue;
			const meets = works.some((file) => this.mayConnect(file));
			if (!meets || kernel.askSecret("work")) processBacklogAndWorks(kernel);
		}
	}

	/** Whether a file is a socket that may have a connection of MPTCP, or of TCP with one. */
	private mayConnect(file: number): boolean {
		const sock = nth(this.kernel.file.socket, file);
		return sock !== 0 && MAY_CONNECT.has(nth(this.kernel.socket.ops, sock));
	}

	/** unshare(CLONE_NEWNET): moves the task to a new namespace whose lo is down. */
	unshareNet(): NetNamespace {
		this.running();
		this.net = this.kernel.createNet({ lo: "down", parent: this.net });
		return this.net;
	}

	/**
	 * ioctl(SIOCGSKNS): net/socket.c: sock_ioctl. Opens the namespace of a socket. Returns the new
	 * descriptor, which setns() takes, -EBADF, -ENOTTY, -EPERM or -EMFILE.
	 */
	socketNamespace(fd: number, at?: number): number {
		const sock = this.enters(fd);
		this.checkAt(at);
		let err = 0;
		if (sock < 0) err = sock === -ENOTSOCK ? -ENOTTY : sock;
		else if (!this.capable(CAP_NET_ADMIN)) err = -EPERM;
		if (err !== 0) return this.exits(err, { name: "ioctl", fd });
		const net = new NetNamespace(sk_net(this.kernel, nth(this.kernel.socket.sk, sock)));
		const path = { path: `net:[${net.net.id}]`, net, writable: false, position: 0 };
		const result = this.openPath(path, true, at);
		return result < 0 ? this.exits(result, { name: "ioctl", fd }) : result;
	}

	// Sockets. `at` is the new descriptor in a recording; the lowest free one if not given.

	/** socket(). Throws NotModelled for sockets that the model leaves out. */
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

	/** socket(AF_INET, SOCK_STREAM, 0). */
	tcp(): number {
		return this.socket(AF_INET, 1, 0);
	}

	/** bind(). `addrlen` is in bytes; by default the size of the family's address. */
	bind(fd: number, address: Address, addrlen = addressLength(address)): number {
		const sock = this.enters(fd);
		const name = toSockaddr(address, this.texts);
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

	/** connect(). `nonblock` overrides the file's O_NONBLOCK. */
	connect(
		fd: number,
		address: Address,
		addrlen = addressLength(address),
		nonblock?: boolean,
	): number {
		const sock = this.enters(fd);
		const name = toSockaddr(address, this.texts);
		const length = checkInt("addrlen", addrlen);
		if (sock < 0) return this.returns(sock, "connect", fd, address, length);
		const block = nonblock ?? this.nonblocking(sock);
		const err = __sys_connect(this.kernel, sock, name, length, block);
		return this.returns(err, "connect", fd, address, length);
	}

	/**
	 * Returns the result of a blocking connect() that slept, or of a send that connects;
	 * -ERESTARTSYS if it still sleeps.
	 */
	connectSleeping(fd: number): number {
		const sock = this.enters(fd);
		if (sock < 0) return this.exits(sock, { name: "connect", fd });
		const err = sock_ops(this.kernel, sock).connect_wait(this.kernel, sock);
		processBacklogAndWorks(this.kernel);
		return this.kernel.trace === noTrace ? err : this.exits(err, { name: "connect", fd });
	}

	accept(fd: number, address?: Partial<Address>): number {
		return this.accept4(fd, 0, address);
	}

	/**
	 * accept4(). Fills `address` with the peer's address. `addrlen` is the size in bytes of the
	 * memory for it, as the program says; null for a bad pointer. If the address cannot be copied,
	 * the connection is lost.
	 */
	accept4(
		fd: number,
		flags: number,
		address?: Partial<Address>,
		nonblock?: boolean,
		at?: number,
		addrlen: number | null = SIZEOF_SOCKADDR_STORAGE,
	): number {
		const sock = this.enters(fd);
		checkInt("flags", flags);
		if (address !== undefined) checkObject("address", address);
		this.checkAt(at);
		let wrong = 0;
		if (sock === -EBADF) wrong = sock;
		else if ((flags & ~(SOCK_CLOEXEC | SOCK_NONBLOCK)) !== 0) wrong = -EINVAL;
		else if (this.full(at)) wrong = -EMFILE;
		else if (sock < 0) wrong = sock;
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
			const err = move_addr_to_user(addrlen);
			if (err < 0) {
				__sock_release(kernel, newsock, false);
				return this.returns(err, "accept4", fd, null, addrlen ?? 0);
			}
			Object.assign(address, fromSockaddr(peer));
		}
		return this.open(newsock, (flags & SOCK_CLOEXEC) !== 0, at);
	}

	private getname(fd: number, peer: number, addrlen: number | null): Address | number {
		const sock = this.enters(fd);
		const name = sock < 0 ? sock : sock_ops(this.kernel, sock).getname(this.kernel, sock, peer);
		const err = typeof name === "number" ? name : move_addr_to_user(addrlen);
		if (typeof name !== "number" && err === 0) return fromSockaddr(name);
		const syscall = peer === 0 ? "getsockname" : "getpeername";
		return this.returns(err, syscall, fd, null, addrlen ?? 0);
	}

	/** getsockname(). `addrlen` as in accept4(). */
	getsockname(fd: number, addrlen: number | null = SIZEOF_SOCKADDR_STORAGE): Address | number {
		return this.getname(fd, 0, addrlen);
	}

	/** getpeername(). `addrlen` as in accept4(). */
	getpeername(fd: number, addrlen: number | null = SIZEOF_SOCKADDR_STORAGE): Address | number {
		return this.getname(fd, 1, addrlen);
	}

	/**
	 * setsockopt(). `optval` is an int, bytes, or null for a NULL pointer. `optlen` is the length
	 * that the program passes, by default the size of the value. Throws NotModelled for an option
	 * that the model leaves out.
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

	/**
	 * getsockopt(). Returns the bytes written to a buffer of `optlen` bytes, or a negative errno.
	 */
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

	/**
	 * send() of `size` bytes; their contents do not matter. Returns the number sent, or a negative
	 * errno.
	 */
	send(fd: number, size: number, nonblock?: boolean): number {
		return this.sendto(fd, size, null, 0, nonblock);
	}

	/**
	 * sendto(). Null sends to the address that the socket is connected to. With MSG_FASTOPEN in
	 * `flags` a TCP socket connects first.
	 */
	sendto(
		fd: number,
		size: number,
		address: Address | null,
		addrlen = address === null ? 0 : addressLength(address),
		nonblock?: boolean,
		flags = 0,
	): number {
		const sock = this.enters(fd);
		const len = checkSize("size", size);
		const to = address === null ? null : toSockaddr(address, this.texts);
		const length = checkInt("addrlen", addrlen);
		if (sock < 0) return this.exits(sock, { name: "sendto", fd, address, length, size });
		const msg = checkInt("flags", flags) & ~MSG_DONTWAIT;
		const block = nonblock ?? (this.nonblocking(sock) || (flags & MSG_DONTWAIT) !== 0);
		const msg_flags = block ? msg | MSG_DONTWAIT : msg;
		const sent = __sys_sendto(this.kernel, sock, len, to, length, msg_flags);
		return sent < 0 ? this.exits(sent, { name: "sendto", fd, address, length, size }) : sent;
	}

	/**
	 * recv() of at most `size` bytes. Returns the number, 0 at the end of a stream, or a negative
	 * errno. `flags`: MSG_DONTWAIT, MSG_PEEK, MSG_TRUNC, MSG_WAITALL. Throws NotModelled for MSG_OOB
	 * and MSG_ERRQUEUE.
	 */
	recv(fd: number, size: number, nonblock?: boolean, flags = 0): number {
		const sock = this.enters(fd);
		const len = checkSize("size", size);
		if (sock < 0) return this.returns(sock, "recvfrom", fd);
		const msg = checkInt("flags", flags) & ~MSG_DONTWAIT;
		const block = nonblock ?? (this.nonblocking(sock) || (flags & MSG_DONTWAIT) !== 0);
		const msg_flags = block ? msg | MSG_DONTWAIT : msg;
		const got = __sys_recvfrom(this.kernel, sock, len, msg_flags);
		return got < 0 ? this.returns(got, "recvfrom", fd) : got;
	}

	/**
	 * recvfrom(). As recv(), and fills `address` with the sender of a datagram. A stream has no
	 * sender: `address` keeps its fields.
	 */
	recvfrom(
		fd: number,
		size: number,
		flags: number,
		address: Partial<Address>,
		nonblock?: boolean,
	): number {
		checkObject("address", address);
		const got = this.recv(fd, size, nonblock, flags);
		const { msg_name } = this.kernel;
		if (got >= 0 && msg_name !== null) Object.assign(address, fromSockaddr(msg_name));
		return got;
	}

	/**
	 * A blocking connect(). Lets the clock run until the connection succeeds or fails. Returns
	 * -ERESTARTSYS if no timer can decide it.
	 */
	connectAndWait(fd: number, address: Address): number {
		const result = this.connect(fd, address, undefined, false);
		return result === -ERESTARTSYS ? this.waitForConnect(fd) : result;
	}

	/** Lets the clock run until a connect(), or a send that connects, has slept to its end. */
	waitForConnect(fd: number): number {
		const { timers, sock } = this.kernel;
		let result = -ERESTARTSYS;
		while (result === -ERESTARTSYS) {
			const until = sock.wait_until.get(this.sockOf(fd)) || null;
			const timer = timers.first();
			const expiry = timer === null ? null : timers.expiry(timer);
			if (expiry === null && until === null) break;
			runTimers(this.kernel, Math.min(expiry ?? Infinity, until ?? Infinity));
			result = this.connectSleeping(fd);
		}
		return result;
	}

	/** The sock of a descriptor; 0 if it is not a socket. */
	private sockOf(fd: number): number {
		const sock = this.socketOf(fd);
		return sock < 0 ? 0 : nth(this.kernel.socket.sk, sock);
	}

	/**
	 * Repeats a call that sleeps while the clock runs. Returns its result, or -EAGAIN when the time
	 * of SO_RCVTIMEO is over. Without such a time returns -ERESTARTSYS at once.
	 */
	waitForInput(fd: number, attempt: () => number): number {
		const { timers, sock } = this.kernel;
		const timeo = sock.sk_rcvtimeo.get(this.sockOf(fd));
		if (timeo <= 0) return -ERESTARTSYS;
		const until = timers.expiryIn(timeo * JIFFY);
		while (timers.now < until) {
			const timer = timers.first();
			const expiry = timer === null ? null : timers.expiry(timer);
			runTimers(this.kernel, Math.min(expiry ?? until, until));
			const result = attempt();
			if (result !== -ERESTARTSYS) return result;
		}
		return -EAGAIN;
	}
}
