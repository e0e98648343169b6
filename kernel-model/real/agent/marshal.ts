// SPDX-License-Identifier: GPL-2.0-or-later
/** Makes the agent's requests from the arguments of calls, and recorded lines from its answers. */

import { getSystemErrorName } from "node:util";
import {
	AF_INET,
	AF_INET6,
	AF_UNIX,
	AF_UNSPEC,
	SIZEOF_SOCKADDR_IN,
	SIZEOF_SOCKADDR_IN6,
	SIZEOF_SOCKADDR_STORAGE,
	type Sockaddr,
} from "../../../include/linux/socket.js";
import { EINTR, errnoName } from "../../../include/uapi/asm-generic/errno.js";
import { type Address, fromSockaddr, toSockaddr } from "../../machine/address.js";
import { nth } from "../../machine/nth.js";
import type { Operands } from "../../script/operands.js";
import { type Arg, type CallLine, formatCall, type Value } from "../../script/strace.js";
import { isSysctlPath, SYSCTL_PATH } from "../../script/sysctl_path.js";
import { lengthValue, NULL, optionValue, sockaddrValue } from "../../script/values.js";
import { type CallAnswer, memoryOf } from "./agent.js";

/** A request for the agent, and the arguments with the values that its answer fills in. */
export interface Marshalled {
	/** The request without the task. */
	request: string;
	/** The arguments as strace would print them. */
	args(answer: CallAnswer): Arg[];
}

const ADDRESS_SIZE = SIZEOF_SOCKADDR_STORAGE + 32;

const hex = (bytes: Uint8Array) => Buffer.from(bytes).toString("hex");

export const O_RDONLY = 0;
export const O_WRONLY = 1;
const ACCESS_MODES: ReadonlyMap<string, number> = new Map([
	["O_RDONLY", O_RDONLY],
	["O_WRONLY", O_WRONLY],
	["O_RDWR", 2],
]);

/** The access mode of an open. Without flags in the script the file is opened for writing. */
export function accessMode(flags: Arg | undefined): number {
	const value = flags?.value;
	if (value?.kind === "int") return value.value & 3;
	if (value?.kind !== "flags") return O_WRONLY;
	const modes = [...ACCESS_MODES].filter(([mode]) => value.names.includes(mode));
	return modes[0]?.[1] ?? 0;
}

/** A request that opens a file by its full path. */
export function openRequest(path: string, flags: number): string {
	return `openat -100 =${hex(new TextEncoder().encode(`${path}\0`))} ${flags} 0`;
}

/** Offset of the port in a sockaddr, in hex digits. */
const PORT_AT = 4;

export function sockaddrBytes(address: Address | null, family: number): Uint8Array {
	const bytes = new Uint8Array(ADDRESS_SIZE);
	const view = new DataView(bytes.buffer);
	view.setUint16(0, address === null && family < 0 ? AF_UNIX : family, true);
	if (address === null) return bytes;
	const name = toSockaddr(address);
	view.setUint16(2, name.sin_port);
	view.setUint32(4, name.sin_addr);
	if (address.family === "AF_INET6" || (family === AF_UNSPEC && address.address.includes(":"))) {
		for (let i = 0; i < 4; i++) view.setUint32(8 + i * 4, nth(name.sin6_addr, i));
		view.setUint32(24, name.sin6_scope_id, true);
	}
	return bytes;
}

/** The address in a sockaddr; null if it is truncated or of another family. */
function readSockaddr(bytes: Uint8Array, length: number): Address | null {
	const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
	const size = Math.min(bytes.length, length);
	if (size < 2) return null;
	const family = view.getUint16(0, true);
	const needed = family === AF_INET ? SIZEOF_SOCKADDR_IN : SIZEOF_SOCKADDR_IN6;
	if ((family !== AF_INET && family !== AF_INET6) || size < needed) return null;
	const name: Sockaddr = {
		sin_family: family,
		sin_port: view.getUint16(2),
		sin_addr: view.getUint32(4),
		sin6_addr: new Uint32Array(4),
		sin6_scope_id: 0,
	};
	if (family === AF_INET6) {
		for (let i = 0; i < 4; i++) name.sin6_addr[i] = view.getUint32(8 + i * 4);
		name.sin6_scope_id = view.getUint32(24, true);
	}
	return fromSockaddr(name);
}

function lengthOf(memory: Uint8Array | undefined): number {
	return memory?.length === 4
		? new DataView(memory.buffer, memory.byteOffset).getInt32(0, true)
		: 0;
}

function int32(value: number): string {
	const bytes = new Uint8Array(4);
	new DataView(bytes.buffer).setInt32(0, value | 0, true);
	return hex(bytes);
}

const int = (value: number): Value => ({ kind: "int", value, symbol: null, column: 0 });
const arg = (value: Value): Arg => ({ name: null, value, fd: null });

/** Makes requests. `symbolic` is the descriptor of the last port_of(), or null. */
export class Marshaller {
	constructor(
		private readonly operandsOf: (call: CallLine, portOf: (fd: number) => number) => Operands,
		private readonly nameOf: (ifindex: number) => string | undefined,
	) {}

	/** Null for a call that the agent cannot make. Throws ScriptError for bad arguments. */
	marshal(call: CallLine): Marshalled | null {
		let symbolic: number | null = null;
		const operands = this.operandsOf(call, (fd) => {
			symbolic = fd;
			return 0;
		});
		const { name } = call;
		const fd = () => operands.int(0, "a file descriptor");
		const plain = (...numbers: number[]): Marshalled => ({
			request: [name, ...numbers].join(" "),
			args: () => call.args,
		});
		/** The memory of an address, or a pointer. The port may be the port of another socket. */
		const address = (index: number, length: number): string => {
			const { value } = call.args[index] ?? arg(NULL);
			if (value.kind === "null") return "0";
			if (value.kind === "int") return String(value.value);
			const pointed = operands.sockaddr(index, length);
			const bytes = hex(sockaddrBytes(pointed?.address ?? null, pointed?.family ?? 0));
			if (symbolic === null) return `=${bytes}`;
			return `=${bytes.slice(0, PORT_AT)}P${symbolic};${bytes.slice(PORT_AT + 4)}?`;
		};
		/** The arguments with the port in place of port_of(). */
		const resolved = (index: number, answer: CallAnswer): Arg[] => {
			if (symbolic === null) return call.args;
			const shown = readSockaddr(memoryOf(answer, 0), SIZEOF_SOCKADDR_STORAGE);
			return call.args.map((given, i) =>
				i === index && shown !== null ? arg(sockaddrValue(shown, this.nameOf)) : given,
			);
		};
		/** Buffers for an address and its length, from the argument at `index` on. */
		const buffers = (index: number): string => {
			const pointer = call.args[index]?.value;
			const length = call.args[index + 1]?.value;
			if (length === undefined) return `?${ADDRESS_SIZE} =${int32(128)}?`;
			if (pointer?.kind === "null" && length.kind === "null") return "0 0";
			return `?${ADDRESS_SIZE} =${int32(operands.length(index + 1, "an address length"))}?`;
		};
		const filled = (index: number, answer: CallAnswer, at: number): Arg[] => {
			const args = [...call.args];
			const length = lengthOf(answer.memory[at + 1]);
			const room = args[index + 1] === undefined ? 128 : operands.length(index + 1, "a length");
			if (answer.result < 0 || answer.memory[at + 1] === undefined) return args;
			const shown = readSockaddr(memoryOf(answer, at), Math.min(length, room));
			while (args.length < index + 2) args.push(arg(NULL));
			args[index] = arg(shown === null ? NULL : sockaddrValue(shown, this.nameOf));
			args[index + 1] = arg(lengthValue(length));
			return args;
		};
		switch (name) {
			case "socket": {
				const protocol = call.args[2] === undefined ? 0 : operands.int(2, "a protocol");
				return plain(operands.int(0, "an address family"), operands.int(1, "a type"), protocol);
			}
			case "bind":
			case "connect": {
				const length = operands.length(2, "an address length");
				return {
					request: `${name} ${fd()} ${address(1, length)} ${length}`,
					args: (answer) => resolved(1, answer),
				};
			}
			case "listen":
				return plain(fd(), operands.int(1, "a backlog"));
			case "shutdown":
				return plain(fd(), operands.int(1, "SHUT_RD, SHUT_WR or SHUT_RDWR"));
			case "close":
			case "dup":
				return plain(fd());
			case "dup2":
				return plain(fd(), operands.int(1, "a file descriptor"));
			case "dup3":
				return plain(fd(), operands.int(1, "a file descriptor"), operands.int(2, "flags"));
			case "fcntl":
				return plain(fd(), operands.int(1, "a command"), operands.int(2, "an argument"));
			case "prlimit64":
			case "setrlimit": {
				const first = name === "setrlimit" ? 0 : 1;
				const limit = operands.rlimit(first + 1);
				const bytes = new BigUint64Array([BigInt(limit?.cur ?? 0), BigInt(limit?.max ?? 0)]);
				const memory = limit === null ? "0" : `=${hex(new Uint8Array(bytes.buffer))}`;
				const pid = first === 0 ? 0 : operands.int(0, "process 0");
				return {
					request: `prlimit64 ${pid} ${operands.int(first, "RLIMIT_NOFILE")} ${memory} 0`,
					args: () => call.args.map((given, i) => (i > first + 1 ? arg(NULL) : given)),
				};
			}
			case "setuid":
				return plain(operands.int(0, "a user"));
			case "setresuid":
				return plain(...[0, 1, 2].map((index) => operands.int(index, "a user")));
			case "open":
			case "openat": {
				const index = name === "open" ? 0 : 1;
				const path = operands.string(index, SYSCTL_PATH);
				if (!isSysctlPath(path)) throw operands.error(call.args[index]?.value, SYSCTL_PATH);
				return {
					request: openRequest(path, accessMode(call.args[index + 1])),
					args: () => call.args,
				};
			}
			case "unshare":
				return plain(operands.int(0, "flags"));
			case "setns":
				return plain(fd(), operands.int(1, "CLONE_NEWNET"));
			case "ioctl":
				return plain(fd(), operands.int(1, "SIOCGSKNS"));
			case "accept":
			case "accept4": {
				const flags = name === "accept" ? "" : ` ${call.args[3] ? operands.int(3, "flags") : 0}`;
				// With a NULL pointer the kernel does not look at the length.
				const address = call.args[1]?.value.kind ?? "null";
				const wanted = address === "null" ? "0 0" : buffers(1);
				return {
					request: `${name} ${fd()} ${wanted}${flags}`,
					args: (answer) => (wanted === "0 0" ? call.args : filled(1, answer, 0)),
				};
			}
			case "getsockname":
			case "getpeername":
				return { request: `${name} ${fd()} ${buffers(1)}`, args: (answer) => filled(1, answer, 0) };
			case "setsockopt": {
				const length = operands.int(4, "an option length");
				const { value } = call.args[3] ?? arg(NULL);
				const bytes = operands.optval(3, Math.min(Math.max(length, 0), 1024));
				const pointer = value.kind === "int" ? String(value.value) : "0";
				const memory = bytes === null || value.kind === "int" ? pointer : `=${hex(bytes)}`;
				const [level, option] = [operands.int(1, "a level"), operands.int(2, "an option")];
				return {
					request: `setsockopt ${fd()} ${level} ${option} ${memory} ${length}`,
					args: () => call.args,
				};
			}
			case "getsockopt": {
				const length = call.args[4] === undefined ? 16 : operands.length(4, "an option length");
				const [level, option] = [operands.int(1, "a level"), operands.int(2, "an option")];
				return {
					request: `getsockopt ${fd()} ${level} ${option} ?256 =${int32(length)}?`,
					args: (answer) => {
						const args = call.args.slice(0, 3);
						if (answer.result < 0) return call.args;
						const [value, size] = [memoryOf(answer, 0), memoryOf(answer, 1)];
						args.push(arg(optionValue(value.subarray(0, lengthOf(size)))));
						const before: Value = int(length);
						const after: Value = int(lengthOf(size));
						const change: Value = { kind: "change", before, after, column: 0 };
						const items = [length === lengthOf(size) ? after : change];
						args.push(arg({ kind: "array", items, negated: false, truncated: false, column: 0 }));
						return args;
					},
				};
			}
			case "send":
			case "sendto":
			case "write": {
				const size = operands.messages()?.messages[0]?.size ?? 0;
				const { value } = call.args[1] ?? arg(NULL);
				const data = new Uint8Array(Math.max(size, 0));
				if (value.kind === "string") data.set(value.bytes.subarray(0, data.length));
				if (name === "write") {
					return { request: `write ${fd()} =${hex(data)} ${size}`, args: () => call.args };
				}
				const flags = call.args[3] === undefined ? 0 : operands.int(3, "flags");
				const named = call.args[5] !== undefined;
				const length = named ? operands.length(5, "an address length") : 0;
				const to = named ? address(4, length) : "0";
				return {
					request: `sendto ${fd()} =${hex(data)} ${size} ${flags} ${to} ${length}`,
					args: (answer) => resolved(4, answer),
				};
			}
			case "read":
			case "recv":
			case "recvfrom": {
				const size = Math.min(Math.max(operands.int(2, "a size"), 0), 65536);
				const data = (answer: CallAnswer): Value => {
					if (answer.result < 0) return NULL;
					const bytes = memoryOf(answer, 0).subarray(0, answer.result);
					return { kind: "string", bytes, truncated: false, column: 0 };
				};
				const withData = (answer: CallAnswer, args: Arg[]) =>
					args.map((given, i) => (i === 1 ? arg(data(answer)) : given));
				if (name === "read") {
					return {
						request: `read ${fd()} ?${size} ${size}`,
						args: (answer) => withData(answer, call.args),
					};
				}
				const flags = call.args[3] === undefined ? 0 : operands.int(3, "flags");
				const from = name === "recv" || call.args[4] === undefined ? "0 0" : buffers(4);
				return {
					request: `recvfrom ${fd()} ?${size} ${size} ${flags} ${from}`,
					args: (answer) => withData(answer, from === "0 0" ? call.args : filled(4, answer, 1)),
				};
			}
			default:
				return null;
		}
	}
}

/** The name of an errno, also of one that no modelled call returns. */
function nameOfErrno(errno: number): string {
	const name = errnoName(errno);
	return /^E[0-9]/.test(name) ? getSystemErrorName(-errno) : name;
}

/** The end of a recorded line, after the arguments. */
function recordedResult(answer: CallAnswer, limit: number): string {
	const { result, begin, end } = answer;
	if (result === -EINTR && end - begin >= limit / 1000) {
		return " = ? ERESTARTSYS (To be restarted if SA_RESTART is set)";
	}
	if (result < 0) return ` = -1 ${nameOfErrno(-result)}`;
	return ` = ${result}`;
}

/** The call as strace would record it. */
export function recordedText(
	call: CallLine,
	marshalled: Marshalled,
	answer: CallAnswer,
	limit: number,
): string {
	return formatCall(call.name, marshalled.args(answer)) + recordedResult(answer, limit);
}
