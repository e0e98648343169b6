// SPDX-License-Identifier: GPL-2.0-or-later
/** Converts the arguments of a recorded call to the operands of the system call. */

import {
	SHUT_RD,
	SHUT_RDWR,
	SHUT_WR,
	SOCK_CLOEXEC,
	SOCK_DCCP,
	SOCK_DGRAM,
	SOCK_NONBLOCK,
	SOCK_PACKET,
	SOCK_RAW,
	SOCK_RDM,
	SOCK_SEQPACKET,
	SOCK_STREAM,
} from "../../include/linux/net.js";
import {
	AF_INET,
	AF_INET6,
	AF_NETLINK,
	AF_UNIX,
	AF_UNSPEC,
	MSG_DONTROUTE,
	MSG_DONTWAIT,
	MSG_ERRQUEUE,
	MSG_FASTOPEN,
	MSG_MORE,
	MSG_OOB,
	MSG_PEEK,
	MSG_TRUNC,
	MSG_WAITALL,
	SIN6_LEN_RFC2133,
	SIZEOF_SA_FAMILY,
	SIZEOF_SOCKADDR_IN,
} from "../../include/linux/socket.js";
import { errnoNumber } from "../../include/uapi/asm-generic/errno.js";
import { RLIMIT_NOFILE } from "../../include/uapi/asm-generic/resource.js";
import * as genericOptions from "../../include/uapi/asm-generic/socket.js";
import * as inOptions from "../../include/uapi/linux/in.js";
import {
	CLONE_FILES,
	CLONE_NEWNET,
	CLONE_NEWUSER,
	CLONE_THREAD,
} from "../../include/uapi/linux/sched.js";
import * as tcpOptions from "../../include/uapi/linux/tcp.js";
import { type Address, formatIpv4, formatIpv6, parseIpv4, parseIpv6 } from "../machine/address.js";
import { OPTION_LEVELS } from "../machine/asked.js";
import { nth } from "../machine/nth.js";
import { optionNamed, type SocketOption, socketOption, socketOptions } from "./options.js";
import { argFd, type CallLine, decodeString, ScriptError, type Value } from "./strace.js";

/** The constants by name that calls on ports use. */
const CONSTANTS = new Map<string, number>([
	...socketOptions().map(({ name, number }): [string, number] => [name, number]),
	...Object.entries({
		...genericOptions,
		...inOptions,
		...tcpOptions,
		...OPTION_LEVELS,
		AF_INET,
		AF_INET6,
		AF_NETLINK,
		AF_UNIX,
		AF_LOCAL: AF_UNIX,
		AF_UNSPEC,
		SOCK_CLOEXEC,
		SOCK_DCCP,
		SOCK_DGRAM,
		SOCK_NONBLOCK,
		SOCK_PACKET,
		SOCK_RAW,
		SOCK_RDM,
		SOCK_SEQPACKET,
		SOCK_STREAM,
		SHUT_RD,
		SHUT_RDWR,
		SHUT_WR,
		MSG_OOB,
		MSG_PEEK,
		MSG_TRUNC,
		MSG_WAITALL,
		MSG_DONTROUTE,
		MSG_DONTWAIT,
		MSG_ERRQUEUE,
		MSG_MORE,
		MSG_NOSIGNAL: 0x4000,
		MSG_FASTOPEN,
		F_DUPFD: 0,
		F_GETFD: 1,
		F_SETFD: 2,
		F_GETFL: 3,
		F_SETFL: 4,
		F_DUPFD_CLOEXEC: 1030,
		FD_CLOEXEC: 1,
		RLIMIT_NOFILE,
		SIOCGSKNS: 0x894c,
		O_RDONLY: 0,
		O_WRONLY: 1,
		O_RDWR: 2,
		O_CLOEXEC: SOCK_CLOEXEC,
		O_NONBLOCK: SOCK_NONBLOCK,
		CLONE_FILES,
		CLONE_THREAD,
		CLONE_NEWNET,
		CLONE_NEWUSER,
		NULL: 0,
	}),
]);

/** The value of a constant by its name; null for an unknown name. */
export function constantNamed(name: string): number | null {
	return CONSTANTS.get(name) ?? null;
}

/** The names of Linux's errors from 1 up (include/uapi/asm-generic/errno.h); - is no error. */
const ERRORS =
	"EPERM ENOENT ESRCH EINTR EIO ENXIO E2BIG ENOEXEC EBADF ECHILD EAGAIN ENOMEM EACCES " +
	"EFAULT ENOTBLK EBUSY EEXIST EXDEV ENODEV ENOTDIR EISDIR EINVAL ENFILE EMFILE ENOTTY " +
	"ETXTBSY EFBIG ENOSPC ESPIPE EROFS EMLINK EPIPE EDOM ERANGE EDEADLK ENAMETOOLONG " +
	"ENOLCK ENOSYS ENOTEMPTY ELOOP - ENOMSG EIDRM ECHRNG EL2NSYNC EL3HLT EL3RST ELNRNG " +
	"EUNATCH ENOCSI EL2HLT EBADE EBADR EXFULL ENOANO EBADRQC EBADSLT - EBFONT ENOSTR " +
	"ENODATA ETIME ENOSR ENONET ENOPKG EREMOTE ENOLINK EADV ESRMNT ECOMM EPROTO EMULTIHOP " +
	"EDOTDOT EBADMSG EOVERFLOW ENOTUNIQ EBADFD EREMCHG ELIBACC ELIBBAD ELIBSCN ELIBMAX " +
	"ELIBEXEC EILSEQ ERESTART ESTRPIPE EUSERS ENOTSOCK EDESTADDRREQ EMSGSIZE EPROTOTYPE " +
	"ENOPROTOOPT EPROTONOSUPPORT ESOCKTNOSUPPORT EOPNOTSUPP EPFNOSUPPORT EAFNOSUPPORT " +
	"EADDRINUSE EADDRNOTAVAIL ENETDOWN ENETUNREACH ENETRESET ECONNABORTED ECONNRESET " +
	"ENOBUFS EISCONN ENOTCONN ESHUTDOWN ETOOMANYREFS ETIMEDOUT ECONNREFUSED EHOSTDOWN " +
	"EHOSTUNREACH EALREADY EINPROGRESS ESTALE EUCLEAN ENOTNAM ENAVAIL EISNAM EREMOTEIO " +
	"EDQUOT ENOMEDIUM EMEDIUMTYPE ECANCELED ENOKEY EKEYEXPIRED EKEYREVOKED EKEYREJECTED " +
	"EOWNERDEAD ENOTRECOVERABLE ERFKILL EHWPOISON";

/** Errors by name. Some have two names. */
const ERRNO = new Map<string, number>([
	...ERRORS.split(" ")
		.map((name, i): [string, number] => [name, i + 1])
		.filter(([name]) => name !== "-"),
	["EWOULDBLOCK", 11],
	["EDEADLOCK", 35],
	["ENOTSUP", 95],
]);

/** The positive errno of a name as strace prints it; null for an unknown name. */
export function errnoOf(name: string): number | null {
	return errnoNumber(name) ?? ERRNO.get(name) ?? null;
}

/** A sockaddr argument of a call. */
export interface SockaddrOperand {
	family: number;
	/** Null for families other than AF_INET, AF_INET6 and AF_UNSPEC. */
	address: Address | null;
}

/** One message that a call sends: a datagram, or a part of a stream. */
export interface Message {
	/** The destination; null if there is none. */
	to: SockaddrOperand | null;
	/** The pointer to the address is bad. */
	badPointer: boolean;
	/** The length of the address that the program passes, bytes. */
	addrlen: number;
	/** Bytes of data; null if strace does not print all of it. */
	size: number | null;
	/** The message has control messages. */
	control: boolean;
}

type Struct = Extract<Value, { kind: "struct" }>;

const field = (struct: Struct, name: string): Value | undefined =>
	struct.fields.find((f) => f.name === name)?.value;

/** Reads the arguments of one call. Throws ScriptError at an argument that does not fit. */
export class Operands {
	constructor(
		private readonly file: string,
		private readonly call: CallLine,
		/** The port of port_of(fd); null if the descriptor has no port. */
		private readonly portOf: (fd: number) => number | null,
		/** The ifindex of a device name; null if there is no such device. */
		private readonly ifindexOf: (name: string) => number | null,
	) {}

	error(value: Value | undefined, expected: string): ScriptError {
		const { line, column, text } = this.call;
		const found = value === undefined ? "no such argument" : describe(value);
		return new ScriptError(this.file, line, value?.column ?? column + text.length, expected, found);
	}

	arg(index: number, what: string): Value {
		const value = this.call.args[index]?.value;
		if (value === undefined) throw this.error(undefined, what);
		return value;
	}

	/** An integer, or known constants. */
	int(index: number, what: string): number {
		return this.intOf(this.arg(index, what), what);
	}

	intOf(value: Value, what: string): number {
		const number = this.maybeInt(value);
		if (number === null) throw this.error(value, what);
		// strace prints some ints unsigned. The kernel takes the low 32 bits of a longer number.
		return number | 0;
	}

	/** A size_t, limited to the largest exact integer. */
	private size(index: number): number {
		const value = this.arg(index, "a size");
		const number = this.maybeInt(value);
		if (number === null) throw this.error(value, "a size");
		return Math.min(number < 0 ? Number.MAX_SAFE_INTEGER : number, Number.MAX_SAFE_INTEGER);
	}

	private maybeInt(value: Value): number | null {
		if (value.kind === "int") return value.value;
		if (value.kind === "null") return 0;
		const socket = onlyArgument(value, "port_of");
		if (socket !== null) {
			const fd = this.maybeInt(socket);
			return fd === null ? null : this.portOf(fd | 0);
		}
		if (value.kind !== "flags") return null;
		let number = value.extra;
		for (const name of value.names) {
			const known = CONSTANTS.get(name);
			if (known === undefined) return null;
			number |= known;
		}
		return number;
	}

	/** The known bits of a flags argument. Unknown names are left out. */
	flags(index: number): number {
		const value = this.call.args[index]?.value;
		return value === undefined ? 0 : knownBits(value);
	}

	/** The bits of a named argument or field, `flags` of clone and clone3. */
	namedFlags(name: string): number {
		for (const arg of this.call.args) {
			if (arg.name === name) return knownBits(arg.value);
			const struct = arg.value.kind === "change" ? arg.value.before : arg.value;
			if (struct.kind !== "struct") continue;
			for (const field of struct.fields) if (field.name === name) return knownBits(field.value);
		}
		return 0;
	}

	/**
	 * A struct rlimit, with infinity for no limit; null for NULL and for memory that is not shown.
	 */
	rlimit(index: number): { cur: number; max: number } | null {
		const value = this.call.args[index]?.value;
		if (value?.kind !== "struct") return null;
		const [cur, max] = ["rlim_cur", "rlim_max"].map((name) => {
			const given = field(value, name);
			if (given?.kind === "int" && given.value >= 0) return given.value;
			const none = given?.kind === "flags" && /^RLIM(64)?_INFINITY$/.test(given.names.join("|"));
			if (none) return Number.MAX_SAFE_INTEGER;
			throw this.error(given ?? value, `a number, or RLIM64_INFINITY, as ${name}`);
		});
		return cur === undefined || max === undefined ? null : { cur, max };
	}

	/**
	 * An address of `length` bytes that a program passes; null for a bad or NULL pointer. If it is
	 * too short for a port or an address, these are 0. The call then fails because of its length.
	 */
	sockaddr(index: number, length: number): SockaddrOperand | null {
		return this.sockaddrOf(this.arg(index, "an address"), length);
	}

	private sockaddrOf(value: Value, length: number): SockaddrOperand | null {
		if (value.kind === "null" || (value.kind === "int" && value.value !== 0)) return null;
		if (value.kind === "string" && length < SIZEOF_SA_FAMILY) return null;
		if (value.kind !== "struct") {
			throw this.error(
				value,
				'an address such as {sa_family=AF_INET, sin_port=htons(80), sin_addr=inet_addr("127.0.0.1")}',
			);
		}
		const sa_family = field(value, "sa_family");
		if (sa_family === undefined) throw this.error(value, "a field sa_family");
		const family = this.maybeInt(sa_family);
		if (family === null) return { family: -1, address: null };
		if (family === AF_UNSPEC) return { family, address: this.memory("AF_UNSPEC", value) };
		if (family === AF_INET) {
			const short = length < SIZEOF_SOCKADDR_IN && !isWhole(value);
			const address = short ? this.memory("AF_INET", value) : this.sockaddr_in(value);
			return { family, address };
		}
		if (family === AF_INET6) {
			const short = length < SIN6_LEN_RFC2133 && !isWhole(value);
			const address = short ? this.memory("AF_INET6", value) : this.sockaddr_in6(value);
			return { family, address };
		}
		return { family, address: null };
	}

	/**
	 * An address that strace prints as bytes in sa_data, because its family is unknown or it is
	 * short.
	 */
	private memory(family: "AF_INET" | "AF_INET6" | "AF_UNSPEC", struct: Struct): Address {
		const data = field(struct, "sa_data");
		const bytes = padded(data?.kind === "string" ? data.bytes : new Uint8Array(0), 26);
		const view = new DataView(bytes.buffer);
		const port = view.getUint16(0);
		const sin_addr = view.getUint32(2);
		const words = Uint32Array.from([6, 10, 14, 18], (at) => view.getUint32(at));
		if (family === "AF_INET" || (family === "AF_UNSPEC" && words.every((word) => word === 0))) {
			return { family, address: formatIpv4(sin_addr), port };
		}
		const scope_id = view.getUint32(22, true);
		return { family, address: formatIpv6(words), port, flowinfo: sin_addr, scope_id };
	}

	private sockaddr_in(struct: Struct): Address {
		const sin_port = field(struct, "sin_port");
		const sin_addr = field(struct, "sin_addr");
		if (sin_port === undefined) throw this.error(struct, "a field sin_port");
		if (sin_addr === undefined) throw this.error(struct, "a field sin_addr");
		const port = this.port(sin_port);
		return { family: "AF_INET", address: this.inetAddr(sin_addr), port };
	}

	/**
	 * sin6_flowinfo and sin6_scope_id are 0 if missing. strace prints no scope for a short address.
	 */
	private sockaddr_in6(struct: Struct): Address {
		const sin6_port = field(struct, "sin6_port");
		const sin6_addr = in6Addr(struct);
		if (sin6_port === undefined) throw this.error(struct, "a field sin6_port");
		if (sin6_addr === undefined) throw this.error(struct, 'inet_pton(AF_INET6, "::1", &sin6_addr)');
		const flowinfo = field(struct, "sin6_flowinfo");
		const scope_id = field(struct, "sin6_scope_id");
		return {
			family: "AF_INET6",
			address: this.inetPton(sin6_addr),
			port: this.port(sin6_port),
			flowinfo: flowinfo === undefined ? 0 : this.flowinfo(flowinfo),
			scope_id: scope_id === undefined ? 0 : this.scope(scope_id),
		};
	}

	/** An address that the kernel filled in; null if strace does not show all of it. */
	shownAddress(index: number): Address | null {
		return this.shown(this.call.args[index]?.value);
	}

	private shown(value: Value | undefined): Address | null {
		if (value?.kind !== "struct" || value.fields.length === 0) return null;
		const address = this.sockaddrOf(value, SIZEOF_SA_FAMILY)?.address ?? null;
		// The program's buffer was too short for the address.
		if (address === null || (address.family !== "AF_UNSPEC" && !isWhole(value))) return null;
		if (address.family === "AF_INET6" && field(value, "sin6_scope_id") === undefined) {
			const { scope_id: _, ...rest } = address;
			return rest;
		}
		return address;
	}

	/** The senders' addresses of the messages that recvfrom(), recvmsg() or recvmmsg() returns. */
	shownSenders(): Address[] {
		if (this.call.name === "recvfrom") {
			const sender = this.shownAddress(4);
			return sender === null ? [] : [sender];
		}
		return this.headers().flatMap((header) => this.shown(field(header, "msg_name")) ?? []);
	}

	/**
	 * The data of each message that a call sends or receives, as far as strace prints it, one
	 * character a byte. Null for a message without printed data.
	 */
	data(): (string | null)[] {
		const { name, args } = this.call;
		const single = !/msg$/.test(name);
		const values = single
			? [args[1]?.value]
			: this.headers().map((header) => {
					const iov = field(header, "msg_iov");
					const [first] = iov?.kind === "array" ? iov.items : [];
					return first?.kind === "struct" ? field(first, "iov_base") : undefined;
				});
		return values.map((value) =>
			value?.kind === "string" && value.bytes.length > 0
				? String.fromCharCode(...value.bytes)
				: null,
		);
	}

	/**
	 * The bytes that a receive has room for, and the known bits of its flags. The size is null if
	 * strace does not print it.
	 */
	receives(): { size: number | null; flags: number } {
		const { name, args } = this.call;
		if (name === "read") return { size: this.size(2), flags: 0 };
		if (name === "recv" || name === "recvfrom") return { size: this.size(2), flags: this.flags(3) };
		if (name === "readv") return { size: vectorSize(args[1]?.value), flags: 0 };
		const [header] = name === "recvmsg" ? this.headers() : [];
		const iov = header === undefined ? undefined : field(header, "msg_iov");
		return {
			size: iov === undefined ? null : vectorSize(iov),
			flags: this.flags(name === "recvmsg" ? 2 : 3),
		};
	}

	/** The struct msghdr of sendmsg() or recvmsg(), or all of sendmmsg() or recvmmsg(). */
	private headers(): Struct[] {
		const value = this.call.args[1]?.value;
		if (value?.kind === "struct") return [value];
		if (value?.kind !== "array") return [];
		return value.items.flatMap((item) => {
			const header = item.kind === "struct" ? field(item, "msg_hdr") : undefined;
			return header?.kind === "struct" ? [header] : [];
		});
	}

	/**
	 * The messages that a call sends; null if strace does not print them. `whole` is false if
	 * strace leaves out the last ones.
	 */
	messages(): { messages: Message[]; whole: boolean } | null {
		const { name, args } = this.call;
		const one = (size: number | null) => {
			const messages = [{ to: null, badPointer: false, addrlen: 0, size, control: false }];
			return { messages, whole: true };
		};
		if (name === "writev") return one(vectorSize(args[1]?.value));
		if (name === "write" || name === "send" || name === "sendto") {
			const data = args[1]?.value;
			const bytes = data?.kind === "string" && !data.truncated ? data.bytes.length : null;
			const size = args[2] === undefined ? bytes : this.size(2);
			if (name !== "sendto" || args[4] === undefined) return one(size);
			const addrlen = this.length(5, "an address length");
			const message = this.message(args[4].value, addrlen, size, false);
			return { messages: [message], whole: true };
		}
		const value = args[1]?.value;
		if (value?.kind !== "struct" && value?.kind !== "array") return null;
		const messages = this.headers().map((header) => {
			const msg_name = field(header, "msg_name") ?? { kind: "null", column: value.column };
			const msg_namelen = field(header, "msg_namelen");
			const control = field(header, "msg_control");
			return this.message(
				msg_name,
				msg_namelen === undefined ? 0 : this.intOf(msg_namelen, "an address length"),
				vectorSize(field(header, "msg_iov")),
				control !== undefined && control.kind !== "null",
			);
		});
		const whole =
			value.kind === "struct" || (!value.truncated && messages.length === value.items.length);
		return { messages, whole };
	}

	private message(name: Value, addrlen: number, size: number | null, control: boolean): Message {
		const none = name.kind === "null";
		const to = none || addrlen < SIZEOF_SA_FAMILY ? null : this.sockaddrOf(name, addrlen);
		return { to, badPointer: !none && to === null, addrlen: none ? 0 : addrlen, size, control };
	}

	private port(value: Value): number {
		// strace -X raw prints a port as its bytes.
		if (value.kind === "string" && value.bytes.length === 2) {
			return (nth(value.bytes, 0) << 8) | nth(value.bytes, 1);
		}
		const number = onlyArgument(value, "htons");
		if (number === null) throw this.error(value, "a port such as htons(80)");
		const port = this.maybeInt(number);
		if (port === null || port < 0 || port > 65535)
			throw this.error(number, "a port from 0 to 65535");
		return port;
	}

	private flowinfo(value: Value): number {
		if (value.kind === "string" && value.bytes.length === 4) return bigEndian(value.bytes, 0);
		const number = onlyArgument(value, "htonl");
		if (number === null) throw this.error(value, "flow information such as htonl(0)");
		return this.intOf(number, "a number") >>> 0;
	}

	/** An ifindex: `2`, or a device by its name. */
	private scope(value: Value): number {
		const name = onlyArgument(value, "if_nametoindex");
		if (name === null) return this.intOf(value, 'a device such as if_nametoindex("lo")') >>> 0;
		if (name.kind !== "string") throw this.error(name, "the name of a device");
		const ifindex = this.ifindexOf(decodeString(name));
		if (ifindex === null) throw this.error(name, "a device of this network namespace");
		return ifindex;
	}

	private inetPton(value: Value): string {
		if (value.kind === "string" && value.bytes.length === 16) {
			const { bytes } = value;
			return formatIpv6(Uint32Array.from([0, 4, 8, 12], (at) => bigEndian(bytes, at)));
		}
		const text =
			value.kind === "call" && value.name === "inet_pton"
				? value.args.find((arg) => arg.kind === "string")
				: undefined;
		if (text?.kind !== "string") {
			throw this.error(value, 'an address such as inet_pton(AF_INET6, "::1", &sin6_addr)');
		}
		const words = parseIpv6(decodeString(text));
		if (words === null) throw this.error(text, "an IPv6 address");
		return formatIpv6(words);
	}

	private inetAddr(value: Value): string {
		const expected = 'an address such as inet_addr("127.0.0.1")';
		if (value.kind === "string" && value.bytes.length === 4) return value.bytes.join(".");
		if (value.kind === "flags" && value.names.length === 1) {
			const known = CONSTANTS.get(nth(value.names, 0));
			if (known !== undefined) {
				return formatIpv4(known);
			}
		}
		const number = onlyArgument(value, "htonl");
		if (number !== null) return this.inetAddr(number);
		const text = value.kind === "call" && value.name === "inet_addr" ? value.args[0] : undefined;
		if (text?.kind !== "string") throw this.error(value, expected);
		const dotted = decodeString(text);
		if (parseIpv4(dotted) === null) throw this.error(text, "an IPv4 address");
		return dotted;
	}

	/** An address length: `16`, or `[128 => 16]`, which is the length before and after a call. */
	length(index: number, what: string): number {
		let value = this.arg(index, what);
		value = onlyItem(value) ?? value;
		if (value.kind === "change") value = value.before;
		value = onlyItem(value) ?? value;
		return this.intOf(value, what);
	}

	/** The option of setsockopt() or getsockopt(); null for an unknown one. */
	option(): SocketOption | null {
		const value = this.call.args[2]?.value;
		if (value?.kind === "flags" && value.names.length === 1)
			return optionNamed(nth(value.names, 0));
		const level = this.call.args[1]?.value;
		const number = value === undefined ? null : this.maybeInt(value);
		const of = level === undefined ? null : this.maybeInt(level);
		return number === null || of === null ? null : socketOption(of, number);
	}

	/** The bytes of an option value, `length` of them; null for a NULL pointer. */
	optval(index: number, length: number): Uint8Array | null {
		const value = this.arg(index, "an option value");
		if (value.kind === "null") return null;
		if (value.kind === "string") {
			if (!value.truncated) return padded(value.bytes, length);
			throw this.error(value, "a whole option value (strace -s 64)");
		}
		if (value.kind === "array") {
			const ints = value.items.map((item) => this.intOf(item, "a number"));
			return padded(littleEndian(ints), length);
		}
		if (value.kind === "struct") {
			const int = (name: string) => {
				const found = field(value, name);
				if (found === undefined) throw this.error(value, `a field ${name}`);
				return this.intOf(found, "a number");
			};
			const shape = this.option()?.shape ?? "linger";
			if (shape === "linger")
				return padded(littleEndian([int("l_onoff"), int("l_linger")]), length);
			if (shape === "timeval") {
				const longs = new BigInt64Array([BigInt(int("tv_sec")), BigInt(int("tv_usec"))]);
				return padded(new Uint8Array(longs.buffer), length);
			}
		}
		if (value.kind === "int" && value.value !== 0) {
			// strace prints a pointer if it cannot read all bytes of the option.
			const { result } = this.call;
			const readable = result !== null && result.errno !== "EFAULT";
			return new Uint8Array(readable ? length : 0);
		}
		throw this.error(value, "an option value such as [1]");
	}

	/** The bytes that a getsockopt() returned; null if strace does not show them. */
	returned(index: number, length: number): Uint8Array | null {
		const value = this.call.args[index]?.value;
		if (value === undefined) return null;
		if (value.kind === "array" && length < 4) {
			return padded(littleEndian([this.intOf(nth(value.items, 0), "a number")]), length);
		}
		// SO_ERROR is printed by name: [ECONNREFUSED].
		const item = onlyItem(value);
		if (item?.kind === "flags") {
			const [name = ""] = item.names;
			const errno = item.names.length === 1 ? errnoOf(name) : null;
			if (errno !== null) return littleEndian([errno]);
		}
		if (value.kind === "string" && value.truncated) return null;
		return this.optval(index, length);
	}

	/** A string that is not truncated. */
	string(index: number, what: string): string {
		const value = this.arg(index, what);
		if (value.kind !== "string") throw this.error(value, what);
		if (value.truncated) throw this.error(value, `the whole of ${what} (strace -s 4096)`);
		return decodeString(value);
	}

	/** The text that write() or writev() writes. */
	written(): string {
		const what = "the text that is written";
		const value = this.arg(1, what);
		if (value.kind !== "array") {
			const text = this.string(1, what);
			const size = this.call.args[2] === undefined ? text.length : this.size(2);
			return text.slice(0, size).padEnd(Math.min(size, 4096), "\0");
		}
		return value.items
			.map((item) => {
				const base = item.kind === "struct" ? field(item, "iov_base") : undefined;
				if (base?.kind !== "string" || base.truncated) throw this.error(value, what);
				return decodeString(base);
			})
			.join("");
	}

	/** The strings of an array, such as execve's argv; null if one is truncated. */
	strings(index: number): string[] | null {
		const value = this.call.args[index]?.value;
		if (value?.kind !== "array" || value.truncated) return null;
		const strings: string[] = [];
		for (const item of value.items) {
			if (item.kind !== "string" || item.truncated) return null;
			strings.push(decodeString(item));
		}
		return strings;
	}
}

/**
 * The address in a struct sockaddr_in6. strace prints inet_pton(…) without a field name, or bytes
 * with one.
 */
function in6Addr(struct: Struct): Value | undefined {
	const unnamed = struct.fields.find(
		({ name, value }) => name === null && value.kind === "call" && value.name === "inet_pton",
	);
	return unnamed?.value ?? field(struct, "sin6_addr");
}

/** Whether strace printed a port and an address, not bytes. */
function isWhole(struct: Struct): boolean {
	return field(struct, "sin_addr") !== undefined || in6Addr(struct) !== undefined;
}

/** Bytes of an array of struct iovec; null if strace does not print all of them. */
function vectorSize(value: Value | undefined): number | null {
	if (value?.kind === "null") return 0;
	if (value?.kind !== "array" || value.truncated) return null;
	let size = 0;
	for (const item of value.items) {
		const iov_len = item.kind === "struct" ? field(item, "iov_len") : undefined;
		if (iov_len?.kind !== "int") return null;
		size += iov_len.value;
	}
	return size;
}

function bigEndian(bytes: Uint8Array, at: number): number {
	return new DataView(bytes.buffer, bytes.byteOffset).getUint32(at);
}

function knownBits(value: Value): number {
	// The kernel takes the low 32 bits of a longer number.
	if (value.kind === "int") return value.value | 0;
	if (value.kind !== "flags") return 0;
	return value.names.reduce((bits, name) => bits | (CONSTANTS.get(name) ?? 0), value.extra);
}

function littleEndian(ints: number[]): Uint8Array {
	// In browsers a DataView, or a part of a small array, costs an allocation of 10 us.
	const bytes = new Uint8Array(ints.length * 4);
	for (let at = 0; at < bytes.length; at++) bytes[at] = nth(ints, at >> 2) >>> (8 * (at & 3));
	return bytes;
}

/** The only argument of a call such as htons(80); null for another value. */
function onlyArgument(value: Value, name: string): Value | null {
	if (value.kind !== "call" || value.name !== name || value.args.length !== 1) return null;
	return value.args[0] ?? null;
}

/** The only item of a list such as [16]; null for another value. */
function onlyItem(value: Value): Value | null {
	return value.kind === "array" && value.items.length === 1 ? (value.items[0] ?? null) : null;
}

/** Returns `bytes` truncated or zero-filled to `length`. */
function padded(bytes: Uint8Array, length: number): Uint8Array {
	const exact = new Uint8Array(Math.max(0, length));
	const end = Math.min(bytes.length, exact.length);
	for (let at = 0; at < end; at++) exact[at] = nth(bytes, at);
	return exact;
}

function describe(value: Value): string {
	switch (value.kind) {
		case "int":
			return String(value.value);
		case "flags":
			return value.names.join("|");
		case "string":
			return JSON.stringify(decodeString(value));
		case "null":
			return "NULL";
		case "other":
			return value.text;
		default:
			return `a ${value.kind}`;
	}
}

/** The first argument of a call if it is a descriptor or another number; else null. */
export function fdOf(call: CallLine): number | null {
	return call.firstFd === undefined ? argFd(call.args) : call.firstFd;
}
