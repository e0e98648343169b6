// SPDX-License-Identifier: GPL-2.0-or-later
/**
 * Asks a kernel for the answers of a rule. The program of the rule runs on the model, and its calls
 * are written as a script. `live` plays the script on the kernel, and the model judges the recording.
 * Then the program runs once more, and the recording answers its calls.
 *
 *     ASK_KERNEL=running npx vitest run tests/rules/selftests -t "by kernel" --testTimeout=180000
 *
 * asks the kernel underneath. ASK_KERNEL=6.12 asks a stock kernel in a virtual machine.
 */
import { mkdtempSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll } from "vitest";
import { MSG_MORE } from "../include/linux/socket.js";
import { ERESTARTSYS } from "../include/uapi/asm-generic/errno.js";
import { readScript } from "../kernel-model/check/player.js";
import { type Address, AF_INET, AF_INET6 } from "../kernel-model/index.js";
import { versionFor } from "../kernel-model/machine/versions.js";
import type { Agent } from "../kernel-model/real/agent/agent.js";
import { type Abilities, KINDS } from "../kernel-model/real/campaign/abilities.js";
import { abilitiesOf } from "../kernel-model/real/campaign/campaign.js";
import { judge, readRecording, recordScript } from "../kernel-model/real/live.js";
import { startAgent } from "../kernel-model/real/vm/machine.js";
import { errnoOf, Operands } from "../kernel-model/script/operands.js";
import { type CallLine, formatValue } from "../kernel-model/script/strace.js";
import { optionValue } from "../kernel-model/script/values.js";
import { type DeviceName, sockaddrText } from "./property/transcript.js";
import { type Calls, EVERY, HOST, OnlyModel, Removed, type Target, World } from "./world.js";

/** Pid of the task of root. The task of another user is a child with its user id added. */
const ROOT = 100;

const FAMILIES: ReadonlyMap<number, string> = new Map([
	[AF_INET, "AF_INET"],
	[AF_INET6, "AF_INET6"],
]);
const stringText = (text: string) =>
	formatValue({ kind: "string", bytes: Buffer.from(text), truncated: false, column: 0 });

/** Writes the calls of a program as lines of a script. The model answers them. */
class Writer implements Target {
	readonly script: string[] = HOST.map((command) => `$ ${command}`);
	private readonly forked: boolean;

	constructor(
		private readonly world: World,
		program: string,
	) {
		const users = new Set(
			[...program.matchAll(/^\s*user ([0-9]+)/gm)].map(([, uid]) => Number(uid)),
		);
		users.delete(0);
		this.forked = users.size > 0;
		for (const uid of users) {
			this.write(0, `fork() = ${ROOT + uid}`);
			this.write(uid, `setuid(${uid})`);
		}
	}

	private write(uid: number, text: string): void {
		this.script.push(this.forked ? `${ROOT + uid} ${text}` : text);
	}

	sysctl(name: string, text: string): number {
		const path = `/proc/sys/${name.replaceAll(".", "/")}`;
		const fd = this.world.task.openOther();
		this.world.task.close(fd);
		this.write(0, `openat(AT_FDCWD, ${stringText(path)}, O_WRONLY)`);
		this.write(0, `write(${fd}, ${stringText(text)}, ${Buffer.byteLength(text)})`);
		this.write(0, `close(${fd})`);
		return this.world.model.sysctl(name, text);
	}

	ip(words: readonly string[]): void {
		this.script.push(`$ ${words.join(" ")}`);
		this.world.model.ip(words);
	}

	pass(ms: number): void {
		this.script.push(`$ sleep ${ms / 1000}`);
		this.world.model.pass(ms);
	}

	calls(uid: number): Calls {
		const calls = this.world.user(uid);
		const write = (text: string) => this.write(uid, text);
		const { kernel, net } = this.world;
		// The kernel has other numbers of devices.
		const nameOf: DeviceName = (id) => net.net.devices.find(({ ifindex }) => ifindex === id)?.name;
		const addressText = (address: Address, length?: number) => {
			const text = sockaddrText(address, nameOf);
			return length === undefined ? text : text.replace(/[0-9]+$/, String(length));
		};
		/** Writes a call of a file that has O_NONBLOCK. */
		const nonblocking = (fd: number, text: string) => {
			write(`fcntl(${fd}, F_SETFL, O_RDWR|O_NONBLOCK)`);
			write(text);
			write(`fcntl(${fd}, F_SETFL, O_RDWR)`);
		};
		return {
			socket: (family, type, protocol) => {
				const kind = Object.values(KINDS).find(
					(known) => known.type === type && known.number === protocol,
				);
				write(`socket(${FAMILIES.get(family)}, ${kind?.name}, ${kind?.protocol})`);
				return calls.socket(family, type, protocol);
			},
			bind: (fd, address, length) => {
				write(`bind(${fd}, ${addressText(address, length)})`);
				return calls.bind(fd, address, length);
			},
			listen: (fd, backlog) => {
				write(`listen(${fd}, ${backlog})`);
				return calls.listen(fd, backlog);
			},
			connect: (fd, address, length, nonblock) => {
				const text = `connect(${fd}, ${addressText(address, length)})`;
				if (nonblock) nonblocking(fd, text);
				else write(text);
				return calls.connect(fd, address, length, nonblock);
			},
			connectAndWait: (fd, address) => {
				write(`connect(${fd}, ${addressText(address)})`);
				const { now } = kernel;
				const result = calls.connectAndWait(fd, address);
				if (kernel.now !== now) throw new OnlyModel("connect: it waits for a timer");
				return result;
			},
			accept4: (fd, flags, address, nonblock) => {
				nonblocking(fd, `accept4(${fd}, NULL, NULL, ${flags})`);
				return calls.accept4(fd, flags, address, nonblock);
			},
			dup: (fd) => {
				write(`dup(${fd})`);
				return calls.dup(fd);
			},
			close: (fd) => {
				write(`close(${fd})`);
				return calls.close(fd);
			},
			shutdown: (fd, how) => {
				write(`shutdown(${fd}, ${how})`);
				return calls.shutdown(fd, how);
			},
			sendto: (fd, size, address, length, nonblock, flags = 0) => {
				const to = address === null ? "NULL, 0" : addressText(address, length);
				const more = (flags & MSG_MORE) !== 0 ? "|MSG_MORE" : "";
				write(`sendto(${fd}, "a", ${size}, MSG_DONTWAIT|MSG_NOSIGNAL${more}, ${to})`);
				return calls.sendto(fd, size, address, length, nonblock, flags);
			},
			recv: (fd, size, nonblock) => {
				write(`recvfrom(${fd}, "", ${size}, MSG_DONTWAIT, NULL, NULL)`);
				return calls.recv(fd, size, nonblock);
			},
			getsockname: (fd) => {
				write(`getsockname(${fd})`);
				return calls.getsockname(fd);
			},
			getpeername: (fd) => {
				write(`getpeername(${fd})`);
				return calls.getpeername(fd);
			},
			setsockopt: (fd, level, name, value, length) => {
				const text =
					value === null
						? "NULL"
						: typeof value === "number"
							? `[${value}]`
							: formatValue(optionValue(value));
				const size = length ?? (typeof value === "number" ? 4 : (value?.length ?? 0));
				write(`setsockopt(${fd}, ${level}, ${name}, ${text}, ${size})`);
				return calls.setsockopt(fd, level, name, value, length);
			},
			getsockopt: (fd, level, name, length = 4) => {
				write(`getsockopt(${fd}, ${level}, ${name}, NULL, [${length}])`);
				return calls.getsockopt(fd, level, name, length);
			},
		};
	}
}

/** The length that a getsockopt() returned. */
function lengthAfter(call: CallLine): number {
	const value = call.args[4]?.value;
	let length = value?.kind === "array" ? value.items[0] : value;
	if (length?.kind === "change") length = length.after;
	return length?.kind === "int" ? length.value : 0;
}

/** Answers the calls of a program from a recording of its script. */
class Replay implements Target {
	private at = 0;

	constructor(
		private readonly lines: readonly CallLine[],
		private readonly file: string,
	) {}

	private next(name: string): CallLine {
		const call = this.lines[this.at++];
		if (call?.name === name) return call;
		throw new Error(
			`the kernel's answers lead to ${name}(), the model's to ${call?.name ?? "the end"}`,
		);
	}

	private result(name: string): number {
		const { result } = this.next(name);
		if (result?.value === null || result === null) return -ERESTARTSYS;
		return result.errno === null ? result.value : -(errnoOf(result.errno) ?? 0);
	}

	private operands(call: CallLine): Operands {
		const none = () => null;
		return new Operands(this.file, call, none, none);
	}

	private name(name: string): Address | number {
		const result = this.result(name);
		if (result < 0) return result;
		const call = this.lines[this.at - 1];
		return this.operands(call).sockaddr(1, 128)?.address ?? 0;
	}

	private nonblocking(name: string): number {
		this.next("fcntl");
		const result = this.result(name);
		this.next("fcntl");
		return result;
	}

	sysctl(): number {
		const opened = this.result("openat");
		const written = this.result("write");
		this.next("close");
		return opened < 0 ? opened : Math.min(written, 0);
	}

	ip(): void {}

	pass(): void {}

	calls(): Calls {
		return {
			socket: () => this.result("socket"),
			bind: () => this.result("bind"),
			listen: () => this.result("listen"),
			connect: (_fd, _address, _length, nonblock) =>
				nonblock ? this.nonblocking("connect") : this.result("connect"),
			connectAndWait: () => this.result("connect"),
			accept4: () => this.nonblocking("accept4"),
			dup: () => this.result("dup"),
			close: () => this.result("close"),
			shutdown: () => this.result("shutdown"),
			sendto: () => this.result("sendto"),
			recv: () => this.result("recvfrom"),
			getsockname: () => this.name("getsockname"),
			getpeername: () => this.name("getpeername"),
			setsockopt: () => this.result("setsockopt"),
			getsockopt: () => {
				const result = this.result("getsockopt");
				if (result < 0) return result;
				const call = this.lines[this.at - 1];
				return this.operands(call).returned(3, lengthAfter(call)) ?? 0;
			},
		};
	}
}

/** The script of a program, as the model of a version makes it. Throws OnlyModel. */
function scriptOf(program: string, version: string): string {
	const world = new World({ version });
	const writer = new Writer(world, program);
	world.run(program, writer);
	return `${writer.script.join("\n")}\n`;
}

interface Asked {
	agent: Agent;
	/** The profile of the kernel. */
	version: string;
	able: Abilities;
}

let asked: Promise<Asked> | null = null;
afterAll(async () => (await asked)?.agent.end());

async function start(kernel: string): Promise<Asked> {
	const agent = await startAgent(undefined, kernel === "running" ? undefined : kernel);
	const version = versionFor(agent.hello.release);
	if (version === null) throw new Error(`no profile of kernel ${agent.hello.release}`);
	return { agent, version, able: await abilitiesOf(agent, version) };
}

/**
 * Runs a rule's program on a kernel, "running" or a series. Returns why the kernel cannot be asked,
 * null if it has answered. Throws Error if an answer differs from the rule or from the model.
 */
export async function askKernel(
	kernel: string,
	name: string,
	program: string,
	versions: readonly string[],
): Promise<string | null> {
	asked ??= start(kernel);
	const { agent, version, able } = await asked;
	if (!versions.includes(EVERY.includes(version) ? version : "*")) return `not of ${version}`;
	let script: string;
	try {
		script = scriptOf(program, version);
	} catch (error) {
		if (error instanceof OnlyModel || error instanceof Removed) return error.message;
		throw error;
	}
	const users = [...script.matchAll(/setuid\(([0-9]+)\)/g)].map(([, uid]) => Number(uid));
	if (users.some((uid) => uid > able.users)) return `no user ids above ${able.users}`;
	if (!able.vrf && /^\$ ip link add /m.test(script)) return "no devices of its own";
	const absent = Object.values(KINDS).find(
		({ protocol, number }) =>
			script.includes(` ${protocol})`) && !able.kinds.some((kind) => KINDS[kind].number === number),
	);
	if (absent !== undefined) return `no ${absent.protocol}`;

	const file = "script";
	const recording = await recordScript(readScript(script, file), agent);
	try {
		const mismatch = judge(recording, file, { version }).find(
			({ verdict }) => verdict === "mismatch",
		);
		if (mismatch !== undefined)
			throw new Error(`line ${mismatch.line}: ${mismatch.text}: ${mismatch.reason}`);
		const calls = readRecording(recording, file).lines.filter(
			(line): line is CallLine => line.kind === "call" && Number.isInteger(line.line),
		);
		const own = calls.filter(({ name }) => name !== "fork" && name !== "setuid");
		new World({ version }).run(program, new Replay(own, file));
	} catch (error) {
		const path = join(mkdtempSync(join(tmpdir(), "rule-")), "script.strace");
		writeFileSync(path, script);
		const what = error instanceof Error ? error.message : String(error);
		throw new Error(`${name}, kernel ${agent.hello.release}, ${path}\n${what}`, { cause: error });
	}
	return null;
}
