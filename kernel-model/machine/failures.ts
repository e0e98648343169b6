// SPDX-License-Identifier: GPL-2.0-or-later
/**
 * Says why a system call failed. The reason is found after the call, from its arguments, its error
 * and the state. Each function below makes the checks of a kernel function in the kernel's order
 * and yields each check that the call does not pass. The first of these with the error of the call
 * is the reason. This file has the door and the small calls. bind_failures.ts and its neighbours
 * have the others. explain.ts explains searches and conflicts, from trace points.
 */
import { NR_OPEN } from "../../include/linux/fs.js";
import {
	SOCK_CLOEXEC,
	SOCK_DCCP,
	SOCK_DGRAM,
	SOCK_MAX,
	SOCK_NONBLOCK,
	SOCK_PACKET,
	SOCK_RAW,
	SOCK_RDM,
	SOCK_SEQPACKET,
	SOCK_STREAM,
	SOCK_TYPE_MASK,
	SS_CONNECTING,
	SS_DISCONNECTING,
	SS_UNCONNECTED,
} from "../../include/linux/net.js";
import { AF_INET6 } from "../../include/linux/socket.js";
import { sk_net } from "../../include/net/sock.js";
import { TCP_LISTEN } from "../../include/net/tcp_states.js";
import * as E from "../../include/uapi/asm-generic/errno.js";
import { IPPROTO_DCCP, IPPROTO_MAX, IPPROTO_UDPLITE } from "../../include/uapi/linux/in.js";
import { type Asked, family, protocolName, type Reason, state } from "./asked.js";
import { bindReasons, needsService } from "./bind_failures.js";
import { busy, connectReasons, isDccp } from "./connect_failures.js";
import { sockDestination } from "./describe.js";
import type { Kernel } from "./kernel.js";
import { nth } from "./nth.js";
import { getsockoptReasons, setsockoptReasons } from "./option_failures.js";
import { isSctp, isUdp } from "./sharing.js";
import type { Syscall } from "./syscall.js";
import type { Task } from "./task.js";
import { recvReasons, sendReasons } from "./transfer_failures.js";

/** Begins the sentence if no check explains an error. */
const UNKNOWN = "the model does not know the check that failed";

/** What an error means, for errors that no check explains. */
const MEANINGS: ReadonlyMap<number, string> = new Map([
	[E.EPERM, "the task lacks a privilege"],
	[E.EAGAIN, "it would have to wait"],
	[E.EACCES, "it is not permitted"],
	[E.EFAULT, "a pointer is bad"],
	[E.EBUSY, "another task is busy with the socket"],
	[E.ENODEV, "there is no such device"],
	[E.EINVAL, "an argument, or the state of the socket, does not allow it"],
	[E.EMFILE, "no descriptor is left below RLIMIT_NOFILE"],
	[E.EPIPE, "the socket cannot send (any more)"],
	[E.EMSGSIZE, "the datagram is too long"],
	[E.ENOPROTOOPT, "the protocol has no such option"],
	[E.EOPNOTSUPP, "the protocol has no such call, or no such option"],
	[E.EADDRNOTAVAIL, "the address or the port is not available"],
	[E.ECONNABORTED, "the connection was aborted"],
	[E.ECONNRESET, "the connection was reset"],
	[E.EISCONN, "the socket is connected"],
	[E.ENOTCONN, "the socket is not connected"],
	[E.ETIMEDOUT, "nobody answered"],
	[E.ECONNREFUSED, "the peer refused"],
	[E.EHOSTUNREACH, "the host cannot be reached"],
	[E.ENETUNREACH, "the network cannot be reached"],
]);

// Descriptors and pointers

/** System calls whose kernel function is not called __sys_NAME. */
const FUNCTIONS: ReadonlyMap<string, string> = new Map([
	["close", "close"],
	["accept", "__sys_accept4"],
	["send", "__sys_sendto"],
	["write", "ksys_write"],
	["writev", "do_writev"],
	["read", "ksys_read"],
	["recv", "__sys_recvfrom"],
]);

function* fdReasons(task: Task, call: Syscall): Iterable<Reason> {
	const where = FUNCTIONS.get(call.name) ?? `__sys_${call.name}`;
	const sock = task.socketOf(call.fd);
	if (sock === -E.EBADF) yield [E.EBADF, where, `descriptor ${call.fd} is not open`];
	else if (sock < 0) yield [E.ENOTSOCK, where, `descriptor ${call.fd} is not a socket`];
}

// socket()

const TYPES: ReadonlyMap<number, string> = new Map([
	[SOCK_STREAM, "SOCK_STREAM"],
	[SOCK_DGRAM, "SOCK_DGRAM"],
	[SOCK_RAW, "SOCK_RAW"],
	[SOCK_RDM, "SOCK_RDM"],
	[SOCK_SEQPACKET, "SOCK_SEQPACKET"],
	[SOCK_DCCP, "SOCK_DCCP"],
	[SOCK_PACKET, "SOCK_PACKET"],
]);

function* socketReasons({ k, call }: Asked): Iterable<Reason> {
	const { family: af = 0, type = 0, protocol = 0 } = call;
	const kind = type & SOCK_TYPE_MASK;
	if ((type & ~SOCK_TYPE_MASK & ~(SOCK_CLOEXEC | SOCK_NONBLOCK)) !== 0) {
		yield [E.EINVAL, "__sys_socket", "the type has flags other than SOCK_CLOEXEC, SOCK_NONBLOCK"];
	}
	if (kind >= SOCK_MAX) yield [E.EINVAL, "__sock_create", `there is no socket type ${kind}`];
	const create = af === AF_INET6 ? "inet6_create" : "inet_create";
	if (protocol < 0 || protocol >= IPPROTO_MAX) {
		yield [E.EINVAL, create, `protocol ${protocol} is not one of 0 to ${IPPROTO_MAX - 1}`];
	}
	// since 7.1, 56520b398e5e
	if (protocol === IPPROTO_UDPLITE && k.changes.has("udplite-removed")) {
		yield [E.EPROTONOSUPPORT, create, "kernels have no UDP-Lite since 7.1"];
	}
	// since 6.16, 2a63dd0edf38
	if (protocol === IPPROTO_DCCP && k.changes.has("dccp-removed")) {
		yield [E.ESOCKTNOSUPPORT, create, "kernels have no DCCP since 6.16"];
		yield [E.EPROTONOSUPPORT, create, "kernels have no DCCP since 6.16"];
	}
	const sockets = `${TYPES.get(kind) ?? `type ${kind}`} sockets of ${family(af)}`;
	const named = protocolName(protocol);
	yield [E.EPROTONOSUPPORT, create, `${sockets} have no protocol ${named}`];
	yield [E.ESOCKTNOSUPPORT, create, `no protocol has ${sockets}`];
	yield [E.EMFILE, "get_unused_fd_flags", "no descriptor is left below RLIMIT_NOFILE"];
}

// The other calls

function* listenReasons(a: Asked): Iterable<Reason> {
	const { k, sk, ssk, sock, call } = a;
	if (isUdp(k, sk)) yield [E.EOPNOTSUPP, "sock_no_listen", "datagram sockets do not listen"];
	const sctp = isSctp(k, sk);
	const stream = sk !== ssk ? "mptcp_listen" : "inet_listen";
	const where = sctp ? "sctp_inet_listen" : isDccp(a) ? "inet_dccp_listen" : stream;
	if (sctp && (call.number ?? 0) < 0) yield [E.EINVAL, where, "the backlog is negative"];
	if (k.socket.state[sock] !== SS_UNCONNECTED) {
		const to = sockDestination(k, ssk);
		const own = k.socket.state[sock];
		const why =
			own === SS_CONNECTING
				? `a connect() to ${to} is under way`
				: `the socket is connected to ${to}`;
		const ends = `the socket was shut down while it connected to ${to}`;
		yield [E.EINVAL, where, own === SS_DISCONNECTING ? ends : why];
	}
	const type = k.socket.type[sock];
	if (type !== SOCK_STREAM && type !== SOCK_DCCP && !sctp) {
		yield [E.EINVAL, where, `sockets of type ${type} do not listen`];
	}
	if (sctp && call.number === 0)
		yield [E.EINVAL, where, "the socket does not listen, so there is nothing to end"];
	yield [E.EINVAL, where, `the socket is in state ${state(a)}, neither CLOSE nor LISTEN`];
	yield [E.EAGAIN, "sctp_listen_start", "the socket has no port, and none is left for it"];
	yield [E.EBUSY, "reuseport_add_sock", "the socket belongs to another SO_REUSEPORT group"];
	yield [E.ENOMEM, "reuseport_grow", "the group of SO_REUSEPORT sockets takes no more"];
}

function* acceptReasons(a: Asked): Iterable<Reason> {
	const { k, sk, call } = a;
	if (((call.number ?? 0) & ~(SOCK_CLOEXEC | SOCK_NONBLOCK)) !== 0) {
		yield [E.EINVAL, "__sys_accept4", "there are flags other than SOCK_CLOEXEC, SOCK_NONBLOCK"];
	}
	yield [E.EMFILE, "get_unused_fd_flags", "no descriptor is left below RLIMIT_NOFILE"];
	yield* fdReasons(a.task, call);
	if (sk === 0) return;
	if (isUdp(k, sk))
		yield [E.EOPNOTSUPP, "sock_no_accept", "datagram sockets do not accept connections"];
	const where = isSctp(k, sk) ? "sctp_accept" : "inet_csk_accept";
	if (isSctp(k, sk)) {
		yield [E.EOPNOTSUPP, where, "a one-to-many socket does not accept connections"];
	}
	// since 6.6, 3f326a821b99
	const neverListens = !k.changes.has("mptcp-accepted-set-up");
	if (neverListens && k.mptcp.socks.get(sk)?.initial === false) {
		yield [E.EINVAL, "mptcp_stream_accept", "the socket was accepted, and does not listen"];
	}
	if (k.sock.skc_state[a.ssk] !== TCP_LISTEN) {
		yield [E.EINVAL, where, `the socket does not listen: its state is ${state(a)}`];
	}
	yield* copyReasons(call);
	yield [E.EINVAL, where, "the socket does not listen"];
	yield [E.EAGAIN, where, "no connection waits, and the socket does not block"];
	yield [E.ECONNABORTED, "do_accept", "the connection was reset before its peer could be named"];
}

/** The kernel cannot copy an address to the program. */
function* copyReasons({ length = 0 }: Syscall): Iterable<Reason> {
	const where = "move_addr_to_user";
	if (length < 0) yield [E.EINVAL, where, `the length of the memory for the address is ${length}`];
	yield [E.EFAULT, where, "the memory for the address, or for its length, cannot be written"];
}

function* getpeernameReasons(a: Asked): Iterable<Reason> {
	const where = a.k.sock.skc_family[a.ssk] === AF_INET6 ? "inet6_getname" : "inet_getname";
	if (a.k.sock.skc_dport[a.ssk] === 0) {
		yield [E.ENOTCONN, where, "the socket has no peer, or its port is 0"];
	}
	yield [E.ENOTCONN, where, `the socket is in state ${state(a)}`];
	yield* copyReasons(a.call);
}

function* shutdownReasons(a: Asked): Iterable<Reason> {
	const { call } = a;
	const how = call.number ?? 0;
	if (how < 0 || how > 2) {
		yield [E.EINVAL, "inet_shutdown", `${how} is none of SHUT_RD, SHUT_WR, SHUT_RDWR`];
	}
	yield busy(a);
	if (isSctp(a.k, a.sk)) {
		yield [E.EOPNOTSUPP, "sctp_disconnect", "an SCTP listener cannot be shut down"];
	}
	yield [E.ENOTCONN, "inet_shutdown", "the socket is not connected"];
}

function* dupReasons({ task, call }: Asked): Iterable<Reason> {
	const { newfd = -1 } = call;
	if (call.name === "dup3") {
		const why =
			newfd === call.fd ? "both descriptors are the same" : "there are flags other than O_CLOEXEC";
		yield [E.EINVAL, "ksys_dup3", why];
	}
	const where = call.name === "dup" ? "dup" : "ksys_dup3";
	if (call.newfd !== undefined && (newfd < 0 || newfd >= task.nofile)) {
		const why = `descriptor ${newfd} is not one of 0 to ${task.nofile - 1} (RLIMIT_NOFILE)`;
		yield [E.EBADF, where, why];
	}
	yield [E.EBADF, where, `descriptor ${call.fd} is not open`];
	yield [E.EMFILE, "get_unused_fd_flags", "no descriptor is left below RLIMIT_NOFILE"];
}

function* dupfdReasons({ task, call }: Asked): Iterable<Reason> {
	yield [E.EBADF, "do_fcntl", `descriptor ${call.fd} is not open`];
	const why = `descriptor ${call.newfd} is not one of 0 to ${task.nofile - 1} (RLIMIT_NOFILE)`;
	yield [E.EINVAL, "f_dupfd", why];
	yield [E.EMFILE, "alloc_fd", "no descriptor is left below RLIMIT_NOFILE"];
}

function* namespaceReasons({ call }: Asked): Iterable<Reason> {
	const where = "sock_ioctl";
	yield [E.EBADF, where, `descriptor ${call.fd} is not open`];
	yield [E.ENOTTY, where, `descriptor ${call.fd} is not a socket`];
	yield [E.EPERM, where, "SIOCGSKNS needs CAP_NET_ADMIN"];
	yield [E.EMFILE, "get_unused_fd_flags", "no descriptor is left below RLIMIT_NOFILE"];
}

function* limitReasons({ call }: Asked): Iterable<Reason> {
	const where = "do_prlimit";
	yield [E.EINVAL, where, "the soft limit is above the hard limit"];
	if ((call.number ?? 0) > NR_OPEN) {
		yield [E.EPERM, where, `the hard limit is above fs.nr_open, which is ${NR_OPEN}`];
	}
	yield [E.EPERM, where, "the hard limit would rise, and the user has no CAP_SYS_RESOURCE"];
}

function* userReasons({ task, call }: Asked): Iterable<Reason> {
	const why = `user ${task.uid} has no CAP_SETUID, and can only return to its real or saved user`;
	yield [E.EPERM, `__sys_${call.name}`, why];
	yield [E.EINVAL, `__sys_${call.name}`, "-1 is not a user"];
}

const REASONS: Readonly<Record<string, (a: Asked) => Iterable<Reason>>> = {
	socket: socketReasons,
	bind: bindReasons,
	listen: listenReasons,
	connect: connectReasons,
	accept4: acceptReasons,
	getpeername: getpeernameReasons,
	getsockname: (a) => copyReasons(a.call),
	shutdown: shutdownReasons,
	sendto: sendReasons,
	recvfrom: recvReasons,
	setsockopt: (a) =>
		setsockoptReasons(a, needsService(a, "sctp_do_bind", nth(a.k.sock.skc_num, a.sk))),
	getsockopt: getsockoptReasons,
	dup: dupReasons,
	dup2: dupReasons,
	dup3: dupReasons,
	fcntl: dupfdReasons,
	ioctl: namespaceReasons,
	prlimit64: limitReasons,
	setuid: userReasons,
	setresuid: userReasons,
};

/** Calls with the address of a destination. */
const TAKE_ADDRESS = new Set(["bind", "connect", "sendto", "sendmsg", "sendmmsg"]);

/** Calls that do not need a socket. */
const ANY_FILE = new Set([
	"dup",
	"dup2",
	"dup3",
	"fcntl",
	"prlimit64",
	"setuid",
	"setresuid",
	"socket",
]);

function* everyReason(a: Asked): Iterable<Reason> {
	const { call } = a;
	// accept4() checks its flags before it looks for a socket.
	if (!ANY_FILE.has(call.name) && call.name !== "accept4") yield* fdReasons(a.task, call);
	if (TAKE_ADDRESS.has(call.name)) {
		yield [E.EFAULT, "move_addr_to_kernel", "the address is at NULL, or cannot be read"];
	}
	if (call.name === "write" || call.name === "writev") {
		const why = "the sysctl does not take this value";
		yield [E.EINVAL, "proc_sys_call_handler", why];
	}
	if (a.sk !== 0 || ANY_FILE.has(call.name) || call.name === "accept4") {
		yield* REASONS[call.name]?.(a) ?? [];
	}
}

/**
 * Says why a call failed with `errno`, which is positive. If no check above has this error, says
 * what the error means.
 */
export function failureReason(k: Kernel, task: Task, call: Syscall, errno: number): Reason {
	const sock = ANY_FILE.has(call.name) && call.newfd === undefined ? -1 : task.socketOf(call.fd);
	const sk = sock > 0 ? nth(k.socket.sk, sock) : 0;
	const ssk = k.mptcp.socks.get(sk)?.first ?? sk;
	const net = sk === 0 ? task.net.net : sk_net(k, sk);
	const asked: Asked = { k, task, call, sock: Math.max(sock, 0), sk, ssk, net, errno };
	for (const reason of everyReason(asked)) if (reason[0] === errno) return reason;
	const meaning = MEANINGS.get(errno) ?? "the kernel refuses";
	return [errno, `__sys_${call.name}`, `${UNKNOWN}: ${meaning}`];
}
