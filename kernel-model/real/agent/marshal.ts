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

/** Makes requests of calls. */
export class Marshaller {
	constructor(
		private readonly operandsOf: (call: CallLine, portOf: (fd: number) => number) => Operands,
		private readonly nameOf: (ifindex: number) => string | undefined,
	) {}

	/** Null for a call that the agent cannot make. Throws ScriptError for bad arguments. */
	marshal(call: CallLine): Marshalled | null {
		return REQUESTS.get(call.name)?.(new Arguments(call, this.operandsOf, this.nameOf)) ?? null;
	}
}

/** The arguments of a call, as words of a request and as they are after the answer. */
class Arguments {
	readonly operands: Operands;
	/** The descriptor of the last port_of() that was read; null if there was none. */
	private symbolic: number | null = null;

	constructor(
		readonly call: CallLine,
		operandsOf: (call: CallLine, portOf: (fd: number) => number) => Operands,
		private readonly nameOf: (ifindex: number) => string | undefined,
	) {
		this.operands = operandsOf(call, (fd) => {
			this.symbolic = fd;
			return 0;
		});
	}

	get fd(): number {
		return this.operands.int(0, "a file descriptor");
	}

	has(index: number): boolean {
		return this.call.args[index] !== undefined;
	}

	/** The request of a call. Its arguments stay as they are, or `args` gives them. */
	request(
		words: readonly (string | number)[],
		args: (answer: CallAnswer) => Arg[] = () => this.call.args,
	): Marshalled {
		return { request: [this.call.name, ...words].join(" "), args };
	}

	/** The memory of an address, or a pointer. The port may be the port of another socket. */
	address(index: number, length: number): string {
		const { value } = this.call.args[index] ?? arg(NULL);
		if (value.kind === "null") return "0";
		if (value.kind === "int") return String(value.value);
		const pointed = this.operands.sockaddr(index, length);
		const bytes = hex(sockaddrBytes(pointed?.address ?? null, pointed?.family ?? 0));
		if (this.symbolic === null) return `=${bytes}`;
		return `=${bytes.slice(0, PORT_AT)}P${this.symbolic};${bytes.slice(PORT_AT + 4)}?`;
	}

	/** The arguments with the port in place of port_of(). */
	resolved(index: number, answer: CallAnswer): Arg[] {
		const { args } = this.call;
		if (this.symbolic === null) return args;
		const shown = readSockaddr(memoryOf(answer, 0), SIZEOF_SOCKADDR_STORAGE);
		return args.map((given, i) =>
			i === index && shown !== null ? arg(sockaddrValue(shown, this.nameOf)) : given,
		);
	}

	/** Buffers for an address and its length, from the argument at `index` on. */
	buffers(index: number): string {
		const pointer = this.call.args[index]?.value;
		const length = this.call.args[index + 1]?.value;
		if (length === undefined) return `?${ADDRESS_SIZE} =${int32(128)}?`;
		if (pointer?.kind === "null" && length.kind === "null") return NO_BUFFERS;
		return `?${ADDRESS_SIZE} =${int32(this.operands.length(index + 1, "an address length"))}?`;
	}

	/** The arguments with the address and the length that the kernel wrote to memory `at` on. */
	filled(index: number, answer: CallAnswer, at: number): Arg[] {
		const args = [...this.call.args];
		const length = lengthOf(answer.memory[at + 1]);
		const room = this.has(index + 1) ? this.operands.length(index + 1, "a length") : 128;
		if (answer.result < 0 || answer.memory[at + 1] === undefined) return args;
		const shown = readSockaddr(memoryOf(answer, at), Math.min(length, room));
		while (args.length < index + 2) args.push(arg(NULL));
		args[index] = arg(shown === null ? NULL : sockaddrValue(shown, this.nameOf));
		args[index + 1] = arg(lengthValue(length));
		return args;
	}
}

/** Two NULL pointers in place of buffers for an address and its length. */
const NO_BUFFERS = "0 0";

/** What makes the request of each call, by the call's name. */
const REQUESTS: ReadonlyMap<string, (of: Arguments) => Marshalled> = new Map(
	Object.entries({
		socket,
		bind: named,
		connect: named,
		listen: (of: Arguments) => of.request([of.fd, of.operands.int(1, "a backlog")]),
		shutdown: (of: Arguments) =>
			of.request([of.fd, of.operands.int(1, "SHUT_RD, SHUT_WR or SHUT_RDWR")]),
		close: (of: Arguments) => of.request([of.fd]),
		dup: (of: Arguments) => of.request([of.fd]),
		dup2: (of: Arguments) => of.request([of.fd, of.operands.int(1, "a file descriptor")]),
		dup3: (of: Arguments) =>
			of.request([of.fd, of.operands.int(1, "a file descriptor"), of.operands.int(2, "flags")]),
		fcntl: (of: Arguments) =>
			of.request([of.fd, of.operands.int(1, "a command"), of.operands.int(2, "an argument")]),
		prlimit64: setrlimit,
		setrlimit,
		setuid: (of: Arguments) => of.request([of.operands.int(0, "a user")]),
		setresuid: (of: Arguments) =>
			of.request([0, 1, 2].map((index) => of.operands.int(index, "a user"))),
		open,
		openat: open,
		unshare: (of: Arguments) => of.request([of.operands.int(0, "flags")]),
		setns: (of: Arguments) => of.request([of.fd, of.operands.int(1, "CLONE_NEWNET")]),
		ioctl: (of: Arguments) => of.request([of.fd, of.operands.int(1, "SIOCGSKNS")]),
		accept,
		accept4: accept,
		getsockname: (of: Arguments) =>
			of.request([of.fd, of.buffers(1)], (answer) => of.filled(1, answer, 0)),
		getpeername: (of: Arguments) =>
			of.request([of.fd, of.buffers(1)], (answer) => of.filled(1, answer, 0)),
		setsockopt,
		getsockopt,
		send,
		sendto: send,
		write,
		read,
		recv: receive,
		recvfrom: receive,
	}),
);

function socket(of: Arguments): Marshalled {
	const protocol = of.has(2) ? of.operands.int(2, "a protocol") : 0;
	const family = of.operands.int(0, "an address family");
	return of.request([family, of.operands.int(1, "a type"), protocol]);
}

/** bind() or connect(). */
function named(of: Arguments): Marshalled {
	const length = of.operands.length(2, "an address length");
	return of.request([of.fd, of.address(1, length), length], (answer) => of.resolved(1, answer));
}

/** The agent has prlimit64() alone. */
function setrlimit({ call, operands }: Arguments): Marshalled {
	const first = call.name === "setrlimit" ? 0 : 1;
	const limit = operands.rlimit(first + 1);
	const bytes = new BigUint64Array([BigInt(limit?.cur ?? 0), BigInt(limit?.max ?? 0)]);
	const memory = limit === null ? "0" : `=${hex(new Uint8Array(bytes.buffer))}`;
	const pid = first === 0 ? 0 : operands.int(0, "process 0");
	return {
		request: `prlimit64 ${pid} ${operands.int(first, "RLIMIT_NOFILE")} ${memory} 0`,
		args: () => call.args.map((given, i) => (i > first + 1 ? arg(NULL) : given)),
	};
}

/** open() or openat() of a setting. */
function open({ call, operands }: Arguments): Marshalled {
	const index = call.name === "open" ? 0 : 1;
	const path = operands.string(index, SYSCTL_PATH);
	if (!isSysctlPath(path)) throw operands.error(call.args[index]?.value, SYSCTL_PATH);
	return {
		request: openRequest(path, accessMode(call.args[index + 1])),
		args: () => call.args,
	};
}

function accept(of: Arguments): Marshalled {
	const { call, operands } = of;
	const flags = call.name === "accept" ? [] : [of.has(3) ? operands.int(3, "flags") : 0];
	// With a NULL pointer the kernel does not look at the length.
	const address = call.args[1]?.value.kind ?? "null";
	const buffers = address === "null" ? NO_BUFFERS : of.buffers(1);
	return of.request([of.fd, buffers, ...flags], (answer) =>
		buffers === NO_BUFFERS ? call.args : of.filled(1, answer, 0),
	);
}

function setsockopt(of: Arguments): Marshalled {
	const { call, operands } = of;
	const length = operands.int(4, "an option length");
	const { value } = call.args[3] ?? arg(NULL);
	const bytes = operands.optval(3, Math.min(Math.max(length, 0), 1024));
	const pointer = value.kind === "int" ? String(value.value) : "0";
	const memory = bytes === null || value.kind === "int" ? pointer : `=${hex(bytes)}`;
	const [level, option] = [operands.int(1, "a level"), operands.int(2, "an option")];
	return of.request([of.fd, level, option, memory, length]);
}

function getsockopt(of: Arguments): Marshalled {
	const { call, operands } = of;
	const length = of.has(4) ? operands.length(4, "an option length") : 16;
	const [level, option] = [operands.int(1, "a level"), operands.int(2, "an option")];
	return of.request([of.fd, level, option, `?256 =${int32(length)}?`], (answer) => {
		if (answer.result < 0) return call.args;
		const size = lengthOf(memoryOf(answer, 1));
		const value = optionValue(memoryOf(answer, 0).subarray(0, size));
		const change: Value = { kind: "change", before: int(length), after: int(size), column: 0 };
		const items = [length === size ? int(size) : change];
		const shown: Value = { kind: "array", items, negated: false, truncated: false, column: 0 };
		return [...call.args.slice(0, 3), arg(value), arg(shown)];
	});
}

/** The data of a send, and its size. */
function sent({ call, operands }: Arguments): [string, number] {
	const size = operands.messages()?.messages[0]?.size ?? 0;
	const { value } = call.args[1] ?? arg(NULL);
	const data = new Uint8Array(Math.max(size, 0));
	if (value.kind === "string") data.set(value.bytes.subarray(0, data.length));
	return [`=${hex(data)}`, size];
}

function write(of: Arguments): Marshalled {
	const [data, size] = sent(of);
	return of.request([of.fd, data, size]);
}

/** send() or sendto(). */
function send(of: Arguments): Marshalled {
	const { operands } = of;
	const [data, size] = sent(of);
	const flags = of.has(3) ? operands.int(3, "flags") : 0;
	const length = of.has(5) ? operands.length(5, "an address length") : 0;
	const to = of.has(5) ? of.address(4, length) : "0";
	return {
		request: `sendto ${of.fd} ${data} ${size} ${flags} ${to} ${length}`,
		args: (answer) => of.resolved(4, answer),
	};
}

/** The size of a receive's buffer, bytes. */
function bufferSize({ operands }: Arguments): number {
	return Math.min(Math.max(operands.int(2, "a size"), 0), 65536);
}

/** Arguments with the data that a receive returned. */
function withData(answer: CallAnswer, args: readonly Arg[]): Arg[] {
	const data = (): Value => {
		if (answer.result < 0) return NULL;
		const bytes = memoryOf(answer, 0).subarray(0, answer.result);
		return { kind: "string", bytes, truncated: false, column: 0 };
	};
	return args.map((given, i) => (i === 1 ? arg(data()) : given));
}

function read(of: Arguments): Marshalled {
	const size = bufferSize(of);
	return of.request([of.fd, `?${size}`, size], (answer) => withData(answer, of.call.args));
}

/** recv() or recvfrom(). */
function receive(of: Arguments): Marshalled {
	const { call, operands } = of;
	const size = bufferSize(of);
	const flags = of.has(3) ? operands.int(3, "flags") : 0;
	const from = call.name === "recv" || !of.has(4) ? NO_BUFFERS : of.buffers(4);
	return {
		request: `recvfrom ${of.fd} ?${size} ${size} ${flags} ${from}`,
		args: (answer) => withData(answer, from === NO_BUFFERS ? call.args : of.filled(4, answer, 1)),
	};
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
