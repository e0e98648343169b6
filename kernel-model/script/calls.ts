// SPDX-License-Identifier: GPL-2.0-or-later
import { type Arg, type CallLine, ScriptError } from "./syntax.js";

/** System calls: one row per call, with everything that the rooms know about it. */

/** What a call does, as far as ports are concerned. */
type Role =
	/** Makes a process or a thread. */
	| "fork"
	/** Ends a process or a thread. */
	| "exit"
	/** Executes another program. */
	| "execve"
	/** Changes the namespaces of the caller. */
	| "namespace"
	/** Changes the user or the capabilities of the caller. */
	| "user"
	/** Changes the limits of the caller. */
	| "limit"
	/** Makes one socket or a pair. */
	| "socket"
	/** Duplicates a descriptor, or takes one from another process. */
	| "descriptor"
	/** Makes a descriptor that is not a socket. */
	| "file"
	| "close"
	/** Accepts a connection. */
	| "accept"
	/** Binds, connects or queries a socket. */
	| "name"
	| "option"
	| "send"
	| "receive"
	/** Waits for descriptors. */
	| "wait";

/** A system call. */
interface SystemCall {
	name: string;
	role: Role;
	/** How many arguments the call takes; null if this is not checked. */
	most: number | null;
	/**
	 * What the call affects. "ports": the model plays the call. "files": the call makes, moves or
	 * passes descriptors; the model only tracks them. "nothing": the call is passed over.
	 */
	bearsOn: "ports" | "files" | "nothing";
	/** Whether the call takes effect when it begins or when it returns. */
	acts: "called" | "returned";
	/** The call may choose a port for its socket. */
	chooses: boolean;
	/** Only forms that the reader knows affect ports. Other forms are not an error. */
	tolerant: boolean;
	/** The call fails with ENOTSOCK on a file. */
	onlySockets: boolean;
	/**
	 * The call may make a network namespace. The kernel then draws the secrets of the namespace.
	 */
	makesNamespaces: boolean;
	/**
	 * Errors caused by limits of the process or the machine. Few recordings show these limits.
	 */
	limits: readonly string[];
}

type Row = Partial<Omit<SystemCall, "name" | "role" | "most">>;

/** Errors of a call that makes a descriptor: by RLIMIT_NOFILE, fs.file-max and memory. */
const DESCRIPTOR_LIMITS = ["EMFILE", "ENFILE"];

const TABLE = new Map<string, SystemCall>();

/** Rows of calls: their names, each with its number of arguments if this is checked ("bind/3"). */
function row(role: Role, names: string, what: Row): void {
	for (const word of names.split(" ")) {
		const [name = "", most] = word.split("/");
		TABLE.set(name, {
			name,
			role,
			most: most === undefined ? null : Number(most),
			bearsOn: "ports",
			acts: "called",
			chooses: false,
			tolerant: false,
			onlySockets: false,
			makesNamespaces: false,
			limits: DESCRIPTOR_LIMITS,
			...what,
		});
	}
}

row("fork", "fork vfork", {});
row("fork", "clone clone3", { makesNamespaces: true });
row("exit", "exit exit_group", {});
row("execve", "execve", { tolerant: true });
row("execve", "execveat", { bearsOn: "files" });
row("namespace", "unshare/1 setns/2", { makesNamespaces: true });
row("user", "setuid setresuid", {});
row("user", "setreuid setfsuid capset prctl", { bearsOn: "nothing" });

row("limit", "prlimit64 setrlimit", { tolerant: true, limits: [] });

// A number may be free only since a close() that began after the call. So calls that make descriptors
// act when they return.
row("socket", "socket/3", { acts: "returned" });
row("name", "bind/3 connect/3", { chooses: true, onlySockets: true });
// listen() binds a socket that has no port.
row("name", "listen/2", { chooses: true, onlySockets: true });
row("name", "getsockname/3 getpeername/3 shutdown/2", { onlySockets: true });
row("option", "setsockopt/5 getsockopt/5", { onlySockets: true });
row("accept", "accept/3 accept4/4", { acts: "returned", onlySockets: true });
row("send", "write/3", { chooses: true });
row("send", "writev/3 send/4 sendto/6 sendmsg/3 sendmmsg/4", { chooses: true, tolerant: true });
row("receive", "read/3 readv/3 recv/4 recvfrom/6 recvmsg/3 recvmmsg/5", {
	acts: "returned",
	tolerant: true,
});

row("close", "close/1", {});
row("descriptor", "dup/1", { acts: "returned" });
row("descriptor", "dup2/2 dup3/3", {});
row("descriptor", "fcntl/3", { acts: "returned", tolerant: true });
row("file", "open openat", { acts: "returned" });
// A write to a setting depends on the position of the file.
row("file", "lseek", { bearsOn: "files" });

row("close", "close_range", { bearsOn: "files" });
row("descriptor", "fcntl64 pidfd_getfd", { acts: "returned", bearsOn: "files" });
row("socket", "socketpair", { acts: "returned", bearsOn: "files" });
row(
	"file",
	"creat openat2 open_tree pipe pipe2 eventfd eventfd2 signalfd signalfd4 inotify_init " +
		"inotify_init1 fanotify_init timerfd_create epoll_create epoll_create1 memfd_create " +
		"memfd_secret userfaultfd perf_event_open bpf pidfd_open mq_open fsopen fsmount fspick " +
		"landlock_create_ruleset",
	{ acts: "returned", bearsOn: "files" },
);
// Its rings make calls of every kind. strace does not see them.
row("file", "io_uring_setup", { bearsOn: "files" });
row("wait", "io_uring_enter io_uring_register", { bearsOn: "files", acts: "returned" });
// ioctl() can change devices, addresses and routes. FIONBIO changes O_NONBLOCK.
row("option", "ioctl", { bearsOn: "files" });
row("send", "sendfile sendfile64 splice vmsplice pwrite64 pwritev pwritev2", {
	bearsOn: "nothing",
});
row("receive", "pread64 preadv preadv2 tee", { bearsOn: "nothing", acts: "returned" });
row("wait", "poll ppoll select _newselect pselect6 epoll_ctl epoll_wait epoll_pwait epoll_pwait2", {
	bearsOn: "nothing",
	acts: "returned",
});
row("exit", "kill tkill tgkill", { bearsOn: "nothing" });

/** The row of a system call; null for a call without a row. */
export function systemCall(name: string): SystemCall | null {
	return TABLE.get(name) ?? null;
}

/** Whether a system call may affect ports. */
export function isRelevant(name: string): boolean {
	return TABLE.get(name)?.bearsOn === "ports";
}

/** Whether a call opens the namespace of a socket. Other forms of ioctl() are passed over. */
export function opensNamespace(call: CallLine): boolean {
	const request = call.name === "ioctl" ? call.args[1]?.value : undefined;
	return request?.kind === "flags" && request.names[0] === "SIOCGSKNS";
}

/** What an ioctl(FIONBIO) sets O_NONBLOCK of its descriptor to; null for another call. */
export function fionbio(call: CallLine): boolean | null {
	if (call.name !== "ioctl") return null;
	const [fd, request, arg] = call.args.map(({ value }) => value);
	if (fd?.kind !== "int" || request?.kind !== "flags" || arg?.kind !== "array") return null;
	const [on] = arg.items;
	return request.names[0] === "FIONBIO" && on?.kind === "int" ? on.value !== 0 : null;
}

/** The fcntl() that has the effect of an ioctl(FIONBIO); another call as it is. */
export function asFcntl(call: CallLine): CallLine {
	const on = fionbio(call);
	const [fd, request, arg] = call.args;
	if (on === null || fd === undefined || request === undefined || arg === undefined) return call;
	const flags = on ? ["O_RDWR", "O_NONBLOCK"] : ["O_RDWR"];
	return {
		kind: "call",
		name: "fcntl",
		args: [fd, named(request, ["F_SETFL"]), named(arg, flags)],
		text: `fcntl(${fd.value.kind === "int" ? fd.value.value : ""}, F_SETFL, ${flags.join("|")})`,
		line: call.line,
		column: call.column,
		endLine: call.endLine,
		pid: call.pid,
		time: call.time,
		endTime: call.endTime,
		result: call.result,
		split: call.split,
		unresumed: call.unresumed,
		opaque: false,
		problem: null,
	};
}

/** The constants `names` in the place of an argument. */
function named({ value: { column } }: Arg, names: string[]): Arg {
	return { name: null, fd: null, value: { kind: "flags", names, extra: 0, column } };
}

/** Whether a call that the reader does not understand is an error in a script. */
export function isReadStrictly(name: string): boolean {
	const call = TABLE.get(name);
	return call?.bearsOn === "ports" && !call.tolerant;
}

/** Whether a call may choose a port for its socket. */
export function choosesPort(name: string): boolean {
	return TABLE.get(name)?.chooses === true;
}

/** Whether a call makes a process or a thread. */
export function isFork(name: string): boolean {
	return TABLE.get(name)?.role === "fork";
}

/** Whether a call sends on a socket, or writes a file. */
export function isSend(name: string): boolean {
	const call = TABLE.get(name);
	return call?.role === "send" && call.bearsOn === "ports";
}

/** Whether a call receives from a socket, or reads a file. */
export function isReceive(name: string): boolean {
	const call = TABLE.get(name);
	return call?.role === "receive" && call.bearsOn === "ports";
}

/**
 * Whether somebody typed a call. Such a call has no result. A recorded call has none only if the
 * recording ended during the call.
 */
export function isTyped(call: CallLine): boolean {
	return call.result === null && !call.unresumed;
}

/** Throws ScriptError for a typed call that has an unknown name or too many arguments. */
export function checkTyped(file: string, { line, column, name, args }: CallLine): void {
	const call = systemCall(name);
	if (call === null) {
		const expected = "a system call that concerns ports or descriptors";
		throw new ScriptError(file, line, column, expected, name);
	}
	const extra = args[call.most ?? args.length];
	if (extra !== undefined)
		throw new ScriptError(file, line, extra.value.column, ") after the last argument", "one more");
}

/**
 * The errors of bind(), connect(), listen() and autobind if a port search finds no port.
 */
export const EXHAUSTED: ReadonlySet<string> = new Set(["EADDRINUSE", "EADDRNOTAVAIL", "EAGAIN"]);

/** The system calls that a recording must have: those that play, or that make and move files. */
export function recordedCalls(): string[] {
	return [...TABLE.values()].filter(({ bearsOn }) => bearsOn !== "nothing").map(({ name }) => name);
}
