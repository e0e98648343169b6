// SPDX-License-Identifier: GPL-2.0-or-later
/** What a call of a script becomes in a program: its name and its arguments. */
import { AF_INET, AF_INET6 } from "../../../include/linux/socket.js";
import { RLIMIT_NOFILE } from "../../../include/uapi/asm-generic/resource.js";
import { CLONE_NEWNET } from "../../../include/uapi/linux/sched.js";
import { nth } from "../../machine/nth.js";
import { Operands, type SockaddrOperand } from "../../script/operands.js";
import type { Arg, CallLine, Value } from "../../script/strace.js";
import { isSysctlPath, SYSCTL_PATH } from "../../script/sysctl_path.js";
import { accessMode, sockaddrBytes } from "../agent/marshal.js";
import type { Argument, Fd, Port, Scope } from "./plan.js";

/** Most data that a call sends or receives, bytes. */
const MOST_DATA = 1 << 20;
/** Longest option value or odd address, bytes. */
const MOST_MEMORY = 1024;

/** A call as a program makes it. */
export interface Translated {
	name: string;
	args: Argument[];
}

export class Translator {
	/** The device of the last if_nametoindex(). */
	private device: string | null = null;
	/** The descriptor of the last port_of(). */
	private socket: number | null = null;

	constructor(
		private readonly file: string,
		/** The descriptor with a number. */
		readonly fdOf: (number: number) => Fd,
		/** The port that a script shows as a number: a variable or the number. */
		private readonly portOf: (number: number) => Port,
	) {}

	operands(call: CallLine): Operands {
		this.device = null;
		this.socket = null;
		return new Operands(
			this.file,
			call,
			(fd) => {
				this.socket = fd;
				return 0;
			},
			(name) => {
				this.device = name;
				return 1;
			},
		);
	}

	/** The name and arguments of a call; null if a program cannot make it. */
	translate(call: CallLine, returns: readonly number[]): Translated | null {
		const { name } = call;
		const of = new CallArguments(call, this.operands(call), this);
		switch (name) {
			case "socket": {
				const args = [of.number(0, "an address family"), of.number(1, "a type")];
				return { name, args: [...args, of.maybe(2, "a protocol")] };
			}
			case "bind":
			case "connect":
				return { name, args: [of.fd(), of.address(1, of.operands.length(2, "an address length"))] };
			case "listen":
				return { name, args: [of.fd(), of.number(1, "a backlog")] };
			case "shutdown":
				return { name, args: [of.fd(), of.number(1, "SHUT_RD, SHUT_WR or SHUT_RDWR")] };
			case "close":
			case "dup":
				return { name, args: [of.fd()] };
			case "dup2":
			case "dup3": {
				const to = of.operands.int(1, "a descriptor");
				// A number that is open is the number of a variable.
				const target: Argument = { kind: "fd", fd: this.fdOf(to) };
				const flags = name === "dup3" ? [of.maybe(2, "flags")] : [];
				return { name, args: [of.fd(), target, ...flags] };
			}
			case "fcntl": {
				const more = of.has(2) ? [of.number(2, "an argument")] : [];
				return { name, args: [of.fd(), of.number(1, "a command"), ...more] };
			}
			case "prlimit64":
			case "setrlimit": {
				const first = name === "setrlimit" ? 0 : 1;
				const limit = of.operands.rlimit(first + 1);
				if (limit === null || of.operands.flags(first) !== RLIMIT_NOFILE) return null;
				if (first === 1 && of.operands.int(0, "a process") !== 0) return null;
				return {
					name: "setrlimit",
					args: [of.number(first, "a limit"), { kind: "limit", ...limit }],
				};
			}
			case "setuid":
				return { name, args: [of.number(0, "a user")] };
			case "setresuid":
				return { name, args: [0, 1, 2].map((index) => of.number(index, "a user")) };
			case "unshare": {
				// Other namespaces do not concern ports, and may not be allowed here.
				const flags = of.operands.flags(0) & CLONE_NEWNET;
				if (flags === 0) return null;
				return { name, args: [{ kind: "names", names: ["CLONE_NEWNET"], extra: 0 }] };
			}
			case "open":
			case "openat":
				return this.open(of, returns);
			case "accept":
				return { name, args: [of.fd(), of.has(1) ? of.filled(1) : { kind: "nothing" }] };
			case "accept4": {
				const wanted: Argument = of.has(1) ? of.filled(1) : { kind: "nothing" };
				return { name, args: [of.fd(), wanted, of.maybe(3, "flags")] };
			}
			case "getsockname":
			case "getpeername":
				return { name, args: [of.fd(), of.filled(1)] };
			case "setsockopt":
				return { name, args: [of.fd(), ...this.option(of)] };
			case "getsockopt": {
				const room = of.has(4) ? of.operands.length(4, "an option length") : 16;
				const value: Argument = { kind: "value", room: Math.min(room, MOST_MEMORY) };
				return { name, args: [of.fd(), of.number(1, "a level"), of.number(2, "an option"), value] };
			}
			case "send":
			case "sendto":
			case "write":
				return this.send(of);
			case "read":
			case "recv":
			case "recvfrom": {
				const room: Argument = {
					kind: "room",
					size: clamp(of.operands.int(2, "a size"), 0, 65536),
				};
				if (name === "read") return { name, args: [of.fd(), room] };
				const from: Argument =
					name === "recvfrom" && of.has(4) ? of.filled(4) : { kind: "nothing" };
				return { name: "recvfrom", args: [of.fd(), room, of.maybe(3, "flags"), from] };
			}
			default:
				return null;
		}
	}

	/** An open() of a setting. Another file of a recording is /dev/null here. */
	private open({ call, operands }: CallArguments, returns: readonly number[]) {
		const index = call.name === "open" ? 0 : 1;
		const value = call.args[index]?.value;
		const recorded = call.result !== null;
		const whole = value?.kind === "string" && !value.truncated;
		const path = whole || !recorded ? operands.string(index, SYSCTL_PATH) : "";
		const names = ["O_RDONLY", "O_WRONLY", "O_RDWR"];
		if (isSysctlPath(path)) {
			const mode = names[accessMode(call.args[index + 1])] ?? "O_RDONLY";
			const args: Argument[] = [
				{ kind: "path", path },
				{ kind: "names", names: [mode], extra: 0 },
			];
			return { name: "open", args };
		}
		if (!recorded) throw operands.error(value, SYSCTL_PATH);
		if (returns.some((result) => result < 0)) return null;
		const args: Argument[] = [
			{ kind: "path", path: "/dev/null" },
			{ kind: "names", names: ["O_RDWR"], extra: 0 },
		];
		return { name: "open", args };
	}

	/** The level, the option, and its value. */
	private option({ call, operands }: CallArguments): Argument[] {
		const [level, option] = [1, 2].map((index) => {
			const value = operands.int(index, index === 1 ? "a level" : "an option");
			return namesOf(nth(call.args, index), value);
		});
		const length = operands.int(4, "an option length");
		const { value } = nth(call.args, 3);
		const bytes = operands.optval(3, clamp(length, 0, MOST_MEMORY));
		const where = [level, option].filter((arg) => arg !== undefined);
		if (bytes === null || value.kind === "int") {
			return [...where, { kind: "pointer", value: value.kind === "int" ? value.value : 0, length }];
		}
		if (value.kind !== "string" && bytes.length > 0 && bytes.length % 4 === 0) {
			const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
			const ints = Array.from({ length: bytes.length / 4 }, (_, i) => view.getInt32(i * 4, true));
			return [...where, { kind: "ints", ints, length }];
		}
		return [...where, { kind: "bytes", bytes, length }];
	}

	private send({ call, operands }: CallArguments): Translated | null {
		const { name } = call;
		const size = operands.messages()?.messages[0]?.size ?? null;
		const { value } = nth(call.args, 1);
		if (size === null || size > MOST_DATA) return null;
		const fd: Argument = { kind: "fd", fd: this.fdOf(operands.int(0, "a descriptor")) };
		let data: Argument = { kind: "zeros", length: size };
		if (value.kind === "string" && value.bytes.length >= size && size <= 256) {
			data = { kind: "bytes", bytes: value.bytes.subarray(0, size), length: size };
		} else if (value.kind === "int" || value.kind === "null") {
			data = { kind: "pointer", value: value.kind === "int" ? value.value : 0, length: size };
		}
		if (name === "write") return { name, args: [fd, data] };
		const given = call.args[3];
		const flags: Argument =
			given === undefined ? { kind: "int", value: 0 } : namesOf(given, operands.int(3, "flags"));
		const to = call.args[5] === undefined ? null : operands.length(5, "an address length");
		const target: Argument =
			to === null
				? { kind: "pointer", value: 0, length: 0 }
				: this.sockaddr(operands.arg(4, "an address"), operands.sockaddr(4, to), to);
		return { name: "sendto", args: [fd, data, flags, target] };
	}

	/** A port of an address: of the socket that port_of() names, or as the script shows it. */
	private port(number: number): Port {
		if (this.socket !== null) return { kind: "socket", fd: this.fdOf(this.socket) };
		return this.portOf(number);
	}

	/** An address that the program passes. */
	sockaddr(value: Value, pointed: SockaddrOperand | null, length: number): Argument {
		if (pointed === null) {
			return { kind: "pointer", value: value.kind === "int" ? value.value : 0, length };
		}
		const { family, address } = pointed;
		if (address !== null && family === AF_INET) {
			return { kind: "in4", address: address.address, port: this.port(address.port), length };
		}
		if (address !== null && family === AF_INET6) {
			const scope: Scope = this.device === null ? (address.scope_id ?? 0) : { device: this.device };
			const { flowinfo = 0 } = address;
			const port = this.port(address.port);
			return { kind: "in6", address: address.address, port, flowinfo, scope, length };
		}
		const bytes = sockaddrBytes(address, family).subarray(0, clamp(length, 0, 128));
		return { kind: "bytes", bytes, length };
	}
}

/** The arguments of one call. */
class CallArguments {
	constructor(
		readonly call: CallLine,
		readonly operands: Operands,
		private readonly translator: Translator,
	) {}

	has(index: number): boolean {
		return this.call.args[index] !== undefined;
	}

	fd(): Argument {
		return { kind: "fd", fd: this.translator.fdOf(this.operands.int(0, "a descriptor")) };
	}

	number(index: number, what: string): Argument {
		const value = this.operands.int(index, what);
		const arg = this.call.args[index];
		return arg === undefined ? { kind: "int", value } : namesOf(arg, value);
	}

	/** A number; 0 if the script leaves it out. */
	maybe(index: number, what: string): Argument {
		return this.has(index) ? this.number(index, what) : { kind: "int", value: 0 };
	}

	/** An address that the program passes. */
	address(index: number, length: number): Argument {
		const value = this.operands.arg(index, "an address");
		return this.translator.sockaddr(value, this.operands.sockaddr(index, length), length);
	}

	/** Memory for an address that the kernel fills in. */
	filled(index: number): Argument {
		const { args } = this.call;
		const [pointer, length] = [args[index]?.value, args[index + 1]?.value];
		if (length === undefined) return { kind: "name", room: 128 };
		if (pointer?.kind === "null" && length.kind === "null") return { kind: "nothing" };
		return { kind: "name", room: this.operands.length(index + 1, "an address length") };
	}
}

/** A number by the names that the script has for it. */
function namesOf({ value }: Arg, number: number): Argument {
	if (value.kind !== "flags") return { kind: "int", value: number };
	return { kind: "names", names: value.names, extra: value.extra };
}

function clamp(value: number, low: number, high: number): number {
	return Math.min(Math.max(value, low), high);
}
