// SPDX-License-Identifier: GPL-2.0-or-later
/** From the arguments of a recorded call to what the system call takes. */
import { constants } from "node:os";
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
} from "../include/linux/net.js";
import {
	AF_INET,
	AF_INET6,
	AF_NETLINK,
	AF_UNIX,
	AF_UNSPEC,
	SOL_IP,
	SOL_TCP,
} from "../include/linux/socket.js";
import * as socketOptions from "../include/uapi/asm-generic/socket.js";
import * as inOptions from "../include/uapi/linux/in.js";
import { type Address, parseIpv4 } from "./address.js";
import { type Arg, type CallLine, decodeString, ScriptError, type Value } from "./strace.js";

/** Constants by name, where a call that concerns ports may have them. */
const CONSTANTS = new Map<string, number>(
	Object.entries({
		...socketOptions,
		...inOptions,
		AF_INET,
		AF_INET6,
		AF_NETLINK,
		AF_UNIX,
		AF_LOCAL: AF_UNIX,
		AF_UNSPEC,
		SOL_IP,
		SOL_TCP,
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
		O_CLOEXEC: SOCK_CLOEXEC,
		O_NONBLOCK: SOCK_NONBLOCK,
		CLONE_FILES: 0x400,
		CLONE_THREAD: 0x10000,
		CLONE_NEWNET: 0x40000000,
		NULL: 0,
	}),
);

/** Errors by name, all that this platform knows. */
const ERRNO = new Map<string, number>(Object.entries(constants.errno));

/** A positive errno of a name as strace prints it; null if it has no number here. */
export function errnoOf(name: string): number | null {
	return ERRNO.get(name) ?? (name === "ERESTARTSYS" ? 512 : null);
}

/** A sockaddr as a call has it. */
export interface SockaddrOperand {
	family: number;
	/** Null for families other than AF_INET and AF_UNSPEC. */
	address: Address | null;
}

/** Reads the arguments of one call; what does not fit is a ScriptError at its place. */
export class Operands {
	constructor(
		private readonly file: string,
		private readonly call: CallLine,
		/** What port_of(fd) stands for; null where the descriptor has no port. */
		private readonly portOf: (fd: number) => number | null,
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

	/** A whole number, or constants that are known. */
	int(index: number, what: string): number {
		return this.intOf(this.arg(index, what), what);
	}

	intOf(value: Value, what: string): number {
		const number = this.maybeInt(value);
		if (number === null) throw this.error(value, what);
		// strace prints some ints unsigned.
		return number > 0x7fffffff && number <= 0xffffffff ? number | 0 : number;
	}

	private maybeInt(value: Value): number | null {
		if (value.kind === "int") return value.value;
		if (value.kind === "null") return 0;
		if (value.kind === "call" && value.name === "port_of" && value.args.length === 1) {
			const fd = this.maybeInt(value.args[0]);
			return fd === null ? null : this.portOf(fd);
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

	/** Bits of a flags argument that are known; unknown names are left out. */
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
	 * An address of `length` bytes that a program passes; null for a pointer to none. Where
	 * it is too short for a port or an address, those are 0: the call fails for its length.
	 */
	sockaddr(index: number, length: number): SockaddrOperand | null {
		return this.sockaddrOf(this.arg(index, "an address"), length);
	}

	private sockaddrOf(value: Value, length: number): SockaddrOperand | null {
		if (value.kind === "null" || (value.kind === "int" && value.value !== 0)) return null;
		if (value.kind === "string" && length < 2) return null;
		if (value.kind !== "struct") {
			throw this.error(
				value,
				'an address such as {sa_family=AF_INET, sin_port=htons(80), sin_addr=inet_addr("127.0.0.1")}',
			);
		}
		const field = (name: string) => value.fields.find((f) => f.name === name)?.value;
		const sa_family = field("sa_family");
		if (sa_family === undefined) throw this.error(value, "a field sa_family");
		const family = this.maybeInt(sa_family);
		if (family === null) return { family: -1, address: null };
		if (family === AF_UNSPEC) {
			// The address lies behind the port in sa_data; strace prints it as bytes.
			const data = field("sa_data");
			const bytes = data?.kind === "string" ? data.bytes : new Uint8Array(0);
			const address = [2, 3, 4, 5].map((i) => bytes[i] ?? 0).join(".");
			const port = ((bytes[0] ?? 0) << 8) | (bytes[1] ?? 0);
			return { family, address: { family: "AF_UNSPEC", address, port } };
		}
		if (family !== AF_INET) return { family, address: null };
		const sin_port = field("sin_port");
		const sin_addr = field("sin_addr");
		if (length < 16 && (sin_port === undefined || sin_addr === undefined)) {
			return { family, address: { family: "AF_INET", address: "0.0.0.0", port: 0 } };
		}
		if (sin_port === undefined) throw this.error(value, "a field sin_port");
		if (sin_addr === undefined) throw this.error(value, "a field sin_addr");
		const port = this.port(sin_port);
		return { family, address: { family: "AF_INET", address: this.inetAddr(sin_addr), port } };
	}

	/** An address that the kernel filled in; null where strace shows none. */
	shownAddress(index: number): Address | null {
		const value = this.call.args[index]?.value;
		if (value?.kind !== "struct" || value.fields.length === 0) return null;
		const whole = value.fields.some((field) => field.name === "sin_addr");
		return this.sockaddrOf(value, whole ? 16 : 2)?.address ?? null;
	}

	private port(value: Value): number {
		// strace -X raw prints the bytes.
		if (value.kind === "string" && value.bytes.length === 2) {
			return (value.bytes[0] << 8) | value.bytes[1];
		}
		if (value.kind !== "call" || value.name !== "htons" || value.args.length !== 1) {
			throw this.error(value, "a port such as htons(80)");
		}
		const port = this.intOf(value.args[0], "a port from 0 to 65535");
		if (port < 0 || port > 65535) throw this.error(value.args[0], "a port from 0 to 65535");
		return port;
	}

	private inetAddr(value: Value): string {
		const expected = 'an address such as inet_addr("127.0.0.1")';
		if (value.kind === "string" && value.bytes.length === 4) return value.bytes.join(".");
		if (value.kind === "flags" && value.names.length === 1) {
			const known = CONSTANTS.get(value.names[0]);
			if (known !== undefined) {
				return [known >>> 24, (known >>> 16) & 255, (known >>> 8) & 255, known & 255].join(".");
			}
		}
		if (value.kind === "call" && value.name === "htonl" && value.args.length === 1) {
			return this.inetAddr(value.args[0]);
		}
		const text = value.kind === "call" && value.name === "inet_addr" ? value.args[0] : undefined;
		if (text?.kind !== "string") throw this.error(value, expected);
		const dotted = decodeString(text);
		if (parseIpv4(dotted) === null) throw this.error(text, "an IPv4 address");
		return dotted;
	}

	/** What an address length says: `16`, or before and after a call, `[128 => 16]`. */
	length(index: number, what: string): number {
		let value = this.arg(index, what);
		if (value.kind === "array" && value.items.length === 1) value = value.items[0];
		if (value.kind === "change") value = value.before;
		if (value.kind === "array" && value.items.length === 1) value = value.items[0];
		return this.intOf(value, what);
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
			const field = (name: string) => {
				const found = value.fields.find((f) => f.name === name);
				if (found === undefined) throw this.error(value, `a field ${name}`);
				return this.intOf(found.value, "a number");
			};
			return padded(littleEndian([field("l_onoff"), field("l_linger")]), length);
		}
		if (value.kind === "int" && value.value !== 0) return new Uint8Array(0); // a bad pointer
		throw this.error(value, "an option value such as [1]");
	}

	/** The bytes that a getsockopt() returned, as far as strace shows them; null if it does not. */
	returned(index: number, length: number): Uint8Array | null {
		const value = this.call.args[index]?.value;
		if (value === undefined) return null;
		if (value.kind === "array" && length < 4) {
			return padded(littleEndian([this.intOf(value.items[0], "a number")]), length);
		}
		// SO_ERROR is printed by name: [ECONNREFUSED].
		if (value.kind === "array" && value.items.length === 1 && value.items[0].kind === "flags") {
			const { names } = value.items[0];
			const errno = names.length === 1 ? errnoOf(names[0]) : null;
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

	/** The strings of an array, execve's argv; null where one is truncated. */
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

function knownBits(value: Value): number {
	if (value.kind === "int") return value.value;
	if (value.kind !== "flags") return 0;
	return value.names.reduce((bits, name) => bits | (CONSTANTS.get(name) ?? 0), value.extra);
}

function littleEndian(ints: number[]): Uint8Array {
	const bytes = new Uint8Array(ints.length * 4);
	const view = new DataView(bytes.buffer);
	for (const [i, int] of ints.entries()) view.setInt32(i * 4, int | 0, true);
	return bytes;
}

/** Cut or filled with zeros to a length. */
function padded(bytes: Uint8Array, length: number): Uint8Array {
	const exact = new Uint8Array(Math.max(0, length));
	exact.set(bytes.subarray(0, exact.length));
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

/** Arguments without the ones of a given index, for messages. */
export function argFd(args: readonly Arg[]): number | null {
	const value = args[0]?.value;
	return value?.kind === "int" ? value.value : null;
}
