// SPDX-License-Identifier: GPL-2.0-or-later
/** The agent, a program that makes system calls on a real kernel: agent.c has its protocol. */

import { type ChildProcess, spawn, spawnSync } from "node:child_process";
import { createHash } from "node:crypto";
import { accessSync, constants, existsSync, lstatSync, mkdirSync, readFileSync } from "node:fs";
import { homedir, tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import type { KernelDraw } from "../../machine/random.js";

/** The agent cannot be had, or does not answer as it should. One line. */
export class AgentError extends Error {}

/** agent.c, beside this file or, seen from dist/, in the sources. */
function sourceFile(): string {
	for (const path of ["./agent.c", "../../../../kernel-model/real/agent/agent.c"]) {
		const file = fileURLToPath(new URL(path, import.meta.url));
		if (existsSync(file)) return file;
	}
	throw new AgentError("agent.c: not found beside the program");
}

/** Whether a folder is there, this user's own, and nobody else's to write to. */
function isOwnFolder(folder: string): boolean {
	const stat = lstatSync(folder);
	return stat.isDirectory() && stat.uid === process.getuid?.() && (stat.mode & 0o022) === 0;
}

/**
 * Where what is made once is kept: in the user's cache, or where none can be made, in the
 * temporary directory. Throws AgentError.
 */
export function cacheFolder(): string {
	const base = process.env.XDG_CACHE_HOME || join(homedir() || tmpdir(), ".cache");
	const folder = join(base, "inet-port-model");
	try {
		mkdirSync(folder, { recursive: true });
		accessSync(folder, constants.W_OK | constants.X_OK);
		return folder;
	} catch {
		// Others can make names there: what they made is not used.
		const other = join(tmpdir(), `inet-port-model-${process.getuid?.() ?? 0}`);
		try {
			mkdirSync(other, { mode: 0o700 });
		} catch {
			// It may be there.
		}
		if (existsSync(other) && isOwnFolder(other)) return other;
		throw new AgentError(`no folder for the cache can be made: neither ${folder} nor ${other}`);
	}
}

/** Compiles $4 with $1 to $2, which gets its name $3 when it is whole; also when its caller is gone. */
const COMPILE = `
	compiler=$1 part=$2 binary=$3 source=$4
	shift 4
	trap '' INT HUP TERM
	command -v "$compiler" >/dev/null || exit 127
	"$compiler" "$@" -o "$part" "$source" && mv "$part" "$binary" && exit
	rm -f "$part"
	exit 1
`;

/** The compiled agent: made when first needed, or when agent.c has changed. Throws AgentError. */
export function agentBinary(isStatic = false): string {
	const file = sourceFile();
	const flags = ["-O2", ...(isStatic ? ["-static"] : [])];
	const digest = createHash("sha256").update(readFileSync(file)).update(flags.join(" "));
	const name = `port-agent-${process.arch}-${digest.digest("hex").slice(0, 16)}`;
	const binary = join(cacheFolder(), name);
	if (existsSync(binary)) return binary;
	const compilers = process.env.CC ? [process.env.CC] : ["cc", "gcc", "clang"];
	for (const compiler of compilers) {
		const part = `${binary}.${process.pid}`;
		const words = ["-c", COMPILE, "sh", compiler, part, binary, file, ...flags];
		const made = spawnSync("/bin/sh", words, { encoding: "utf8" });
		if (made.status === 127) continue; // there is none of this name
		if (made.status !== 0) {
			const said = made.error?.message ?? made.stderr.trim().split("\n")[0];
			throw new AgentError(`${compiler} cannot compile agent.c: ${said}`);
		}
		return binary;
	}
	throw new AgentError(
		`no C compiler (${compilers.join(", ")}) to make the agent: install one, or give --agent COMMAND`,
	);
}

/** How long an agent may take for an answer, in ms, if nothing else is said. */
export const PATIENCE = 60_000;
/** How long what it has begun may outlive it, in ms. */
const AFTERLIFE = 1000;
/** Longer answers are none. */
const LONGEST = 4 << 20;

export interface Hello {
	release: string;
	/** The highest user id that a task can have. */
	users: number;
}

/** An agent at work: requests go out as they come, answers arrive in order. */
export class Agent {
	private readonly waiting: { resolve(line: string): void; reject(error: Error): void }[] = [];
	private rest = "";
	private failure: AgentError | null = null;
	private said = "";
	private timer: NodeJS.Timeout | null = null;
	private afterlife: NodeJS.Timeout | null = null;
	hello: Hello = { release: "", users: 0 };

	private constructor(
		private readonly child: ChildProcess,
		/** How long it may take for an answer, ms; 0 for any time. */
		private readonly patience: number,
	) {
		child.stdout?.setEncoding("latin1");
		child.stdout?.on("data", (data: string) => this.receive(data));
		child.stderr?.on("data", (data: Buffer) => {
			this.said = (this.said + data.toString()).slice(-2000);
		});
		child.on("error", (error) => this.fail(error.message));
		// What the agent began may hold its output open, and outlive it by that.
		child.on("exit", () => {
			this.afterlife = setTimeout(() => this.ended(), AFTERLIFE);
		});
		child.on("close", () => this.ended());
		child.stdin?.on("error", () => {}); // its end says more
	}

	private ended(): void {
		if (this.afterlife !== null) clearTimeout(this.afterlife);
		const lines = this.said.trim().split(/[\r\n]+/);
		const own = /(?:port-agent|agent\.sh): /;
		// A virtual machine's console says more, of less use.
		const reason = lines.filter((line) => own.test(line)).at(-1) ?? lines.at(-1) ?? "";
		this.fail(reason === "" ? "the agent has ended" : reason.replace(/^.*?port-agent: /, ""));
		this.end();
	}

	/**
	 * Starts the agent here, or a command that speaks its protocol, which may take `patience`
	 * ms for an answer, 0 for any time. Throws AgentError.
	 */
	static async start(command?: string, patience = PATIENCE): Promise<Agent> {
		if (command?.trim() === "") throw new AgentError("--agent: expected a command, found none");
		const child =
			command === undefined
				? spawn(agentBinary(), { stdio: "pipe" })
				: spawn(command, { stdio: "pipe", shell: true });
		const agent = new Agent(child, patience);
		const [name, protocol, release = "", users = ""] = (await agent.request("hello")).split(" ");
		if (name !== "port-agent" || protocol !== "1" || !/^([0-9]+-)?[0-9]+$/.test(users)) {
			agent.end();
			throw new AgentError("the agent's command does not speak its protocol, version 1");
		}
		agent.hello = { release, users: Number(users.split("-").at(-1)) };
		return agent;
	}

	private receive(data: string): void {
		const lines = (this.rest + data).split("\n");
		this.rest = lines.pop() ?? "";
		for (const line of lines) {
			const next = this.waiting.shift();
			if (next === undefined) this.giveUp("it says what it was not asked");
			else next.resolve(line);
		}
		if (this.rest.length > LONGEST) this.giveUp("its answer has no end");
		else this.await(0);
	}

	/** From now on the next answer is waited for, for so much longer than usual. */
	private await(longer: number): void {
		if (this.timer !== null) clearTimeout(this.timer);
		this.timer = null;
		if (this.patience === 0 || this.waiting.length === 0) return;
		this.timer = setTimeout(() => {
			this.giveUp(`no answer within ${(this.patience + longer) / 1000} s`);
		}, this.patience + longer);
	}

	private giveUp(reason: string): void {
		this.fail(reason);
		this.end();
	}

	private fail(reason: string): void {
		this.failure ??= new AgentError(`agent: ${reason}`);
		if (this.timer !== null) clearTimeout(this.timer);
		for (const { reject } of this.waiting.splice(0)) reject(this.failure);
	}

	/**
	 * Sends requests, all at once, and gives their answers, which may take so many ms longer
	 * than others. Throws AgentError.
	 */
	requests(lines: readonly string[], longer = 0): Promise<string[]> {
		if (this.failure !== null) return Promise.reject(this.failure);
		if (lines.length === 0) return Promise.resolve([]);
		const answers = lines.map(
			() => new Promise<string>((resolve, reject) => this.waiting.push({ resolve, reject })),
		);
		this.child.stdin?.write(`${lines.join("\n")}\n`);
		this.await(longer);
		return Promise.all(answers);
	}

	async request(line: string, longer = 0): Promise<string> {
		const [answer = ""] = await this.requests([line], longer);
		return answer;
	}

	/** Ends it, and with it everything that it made. */
	end(): void {
		this.failure ??= new AgentError("agent: it was ended");
		if (this.timer !== null) clearTimeout(this.timer);
		if (this.afterlife !== null) clearTimeout(this.afterlife);
		this.child.removeAllListeners("exit");
		this.child.stdin?.end();
		this.child.kill();
		// A process that it has left behind would keep this one waiting.
		this.child.stdout?.destroy();
		this.child.stderr?.destroy();
	}
}

/** A system call's answer, as agent.c writes it. */
export interface CallAnswer {
	/** A negative errno on an error. */
	result: number;
	/** Seconds. */
	begin: number;
	end: number;
	memory: Uint8Array[];
	/** None unless they were asked for. */
	draws: KernelDraw[];
}

function readDraw(text: string): KernelDraw {
	const [, kind = "", caller = "", value, ceil] =
		/^(\w+)@(.+)=(\w+)(?:\/([0-9]+))?$/.exec(text) ?? [];
	if (value === undefined) throw new AgentError(`agent: ${text}`);
	return { kind, caller, value: BigInt(value), ceil: ceil === undefined ? null : Number(ceil) };
}

/** The memory that an answer has to bring. Throws AgentError where it does not. */
export function memoryOf({ memory }: CallAnswer, i: number): Uint8Array {
	const bytes = memory[i];
	if (bytes === undefined) throw new AgentError(`agent: an answer without memory ${i}`);
	return bytes;
}

const NUMBERS = /^-?[0-9]+ [0-9]+ [0-9]+( |$)/;
const MEMORY = /^(-|[0-9a-f]+)$/;

/** Throws AgentError for what is no answer to a system call. */
export function readAnswer(line: string): CallAnswer {
	const [result, begin, end, ...rest] = line.split(" ");
	const shown = rest.filter((word) => !word.includes("@"));
	const whole = shown.every((word) => MEMORY.test(word) && (word === "-" || word.length % 2 === 0));
	if (!NUMBERS.test(line) || !whole) {
		const said = line.startsWith("! ")
			? line.slice(2)
			: `no answer to a call: ${line.slice(0, 40)}`;
		throw new AgentError(`agent: ${said}`);
	}
	return {
		result: Number(result),
		begin: Number(begin) / 1e9,
		end: Number(end) / 1e9,
		memory: shown.map((hex) => (hex === "-" ? new Uint8Array(0) : Buffer.from(hex, "hex"))),
		draws: rest.filter((word) => word.includes("@")).map(readDraw),
	};
}

/** The same, to this request: with the memory that it asks for. */
export function readAnswerTo(request: string, line: string): CallAnswer {
	const answer = readAnswer(line);
	const asked = request.split(" ").filter((word) => word.includes("?"));
	const fits = asked.every((word, i) => {
		const { length } = answer.memory[i] ?? { length: -1 };
		return word.startsWith("?") ? length === Number(word.slice(1)) : length >= 0;
	});
	if (!fits) throw new AgentError("agent: no answer to a call: memory is missing");
	return answer;
}
