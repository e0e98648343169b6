// SPDX-License-Identifier: GPL-2.0-or-later
/**
 * Starts the agent, a program that makes system calls on a real kernel, and speaks with it. agent.c
 * describes its protocol.
 */

import { type ChildProcess, spawn, spawnSync } from "node:child_process";
import { createHash } from "node:crypto";
import { accessSync, constants, existsSync, lstatSync, mkdirSync, readFileSync } from "node:fs";
import { homedir, tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import type { KernelDraw } from "../../machine/random.js";
import { VERSION_NAMES } from "../../machine/versions.js";
import { missingOptions } from "./features.js";

/** The agent cannot be started, or breaks its protocol. The message is one line. */
export class AgentError extends Error {}

/** The path of agent.c: beside this file, or in the sources if this file is in dist/. */
function sourceFile(): string {
	for (const path of ["./agent.c", "../../../../kernel-model/real/agent/agent.c"]) {
		const file = fileURLToPath(new URL(path, import.meta.url));
		if (existsSync(file)) return file;
	}
	throw new AgentError("agent.c: not found beside the program");
}

/** Whether a folder exists, belongs to this user and cannot be written by others. */
function isOwnFolder(folder: string): boolean {
	const stat = lstatSync(folder);
	return stat.isDirectory() && stat.uid === process.getuid?.() && (stat.mode & 0o022) === 0;
}

/**
 * The folder for the compiled agent and other files that are made once: in the user's cache, else
 * in the temporary directory. Throws AgentError.
 */
export function cacheFolder(): string {
	const base = process.env.XDG_CACHE_HOME || join(homedir() || tmpdir(), ".cache");
	const folder = join(base, "inet-port-model");
	try {
		mkdirSync(folder, { recursive: true });
		accessSync(folder, constants.W_OK | constants.X_OK);
		return folder;
	} catch {
		// Other users can make names there. A folder of another user is not used.
		const other = join(tmpdir(), `inet-port-model-${process.getuid?.() ?? 0}`);
		try {
			mkdirSync(other, { mode: 0o700 });
		} catch {
			// The folder may exist.
		}
		if (existsSync(other) && isOwnFolder(other)) return other;
		throw new AgentError(`cannot make a folder for the cache: neither ${folder} nor ${other}`);
	}
}

/** Compiles $4 with $1 to $2, then renames $2 to $3. Goes on if its caller ends. */
const COMPILE = `
	compiler=$1 part=$2 binary=$3 source=$4
	shift 4
	trap '' INT HUP TERM
	command -v "$compiler" >/dev/null || exit 127
	"$compiler" "$@" -o "$part" "$source" && mv "$part" "$binary" && exit
	rm -f "$part"
	exit 1
`;

/**
 * The path of the compiled agent. Compiles it at the first use and after changes to agent.c. Throws
 * AgentError.
 */
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
		if (made.status === 127) continue; // there is no compiler of this name
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

/** Default time limit for an answer, ms. */
const PATIENCE = 60_000;
/** How long processes of the agent may outlive it, ms. */
const AFTERLIFE = 1000;
/** Longest answer, characters. */
const LONGEST = 4 << 20;

export interface Hello {
	/** The release that `uname -r` names. */
	release: string;
	/** The highest user id that a task can have. */
	users: number;
	/** The system if it is not Linux itself: the argument of the agent's --inside. Else null. */
	system: string | null;
	/** The kernel as messages name it: its release, or the system and its version. */
	name: string;
	/** The release to model: the kernel's own, or the newest that can be modelled. */
	models: string;
	/** Options that a system other than Linux does not have, even if it accepts them. */
	lacks: readonly string[];
}

/**
 * A running agent. Requests are sent at once. Answers arrive in the order of requests.
 *
 * An agent inside a system such as gVisor cannot make a new network namespace with its own settings.
 * There `reset` ends the sandbox and starts the command again.
 */
export class Agent {
	private readonly waiting: { resolve(line: string): void; reject(error: Error): void }[] = [];
	private rest = "";
	private failure: AgentError | null = null;
	private said = "";
	private timer: NodeJS.Timeout | null = null;
	private afterlife: NodeJS.Timeout | null = null;
	hello: Hello = { release: "", users: 0, system: null, name: "", models: "", lacks: [] };
	private child: ChildProcess;
	/** Whether the agent has begun a script. */
	private used = false;

	private constructor(
		private readonly command: string | undefined,
		/** Time limit for an answer, ms; 0 for no limit. */
		private readonly patience: number,
	) {
		this.child = this.run();
	}

	/** Starts the command. */
	private run(): ChildProcess {
		const child =
			this.command === undefined
				? spawn(agentBinary(), { stdio: "pipe" })
				: spawn(this.command, { stdio: "pipe", shell: true });
		child.stdout?.setEncoding("latin1");
		child.stdout?.on("data", (data: string) => this.receive(data));
		child.stderr?.on("data", (data: Buffer) => {
			this.said = (this.said + data.toString()).slice(-2000);
		});
		child.on("error", (error) => this.fail(error.message));
		// Processes of the agent may outlive it and hold its output open.
		child.on("exit", () => {
			this.afterlife = setTimeout(() => this.ended(), AFTERLIFE);
		});
		child.on("close", () => this.ended());
		child.stdin?.on("error", () => {}); // its exit gives the reason
		return child;
	}

	/** Ends the agent's processes and starts them again. Throws AgentError. */
	private async renew(): Promise<void> {
		this.release();
		this.rest = this.said = "";
		this.used = false;
		this.child = this.run();
		await this.request("hello");
	}

	/** Lets the processes end. They end when their input does. */
	private release(): void {
		const { child } = this;
		child.removeAllListeners("exit");
		child.removeAllListeners("close");
		child.stdout?.removeAllListeners("data");
		child.stdin?.end();
		// A process that the agent has left behind would keep this process alive.
		child.stdout?.destroy();
		child.stderr?.destroy();
	}

	private ended(): void {
		if (this.afterlife !== null) clearTimeout(this.afterlife);
		const lines = this.said.trim().split(/[\r\n]+/);
		const own = /(?:port-agent|boot\.sh): /;
		// The console of a virtual machine has more lines, but they are less useful.
		const reason = lines.filter((line) => own.test(line)).at(-1) ?? lines.at(-1) ?? "";
		this.fail(reason === "" ? "the agent has ended" : reason.replace(/^.*?port-agent: /, ""));
		this.end();
	}

	/**
	 * Starts the agent here, or a command that speaks its protocol. `patience` is the time limit
	 * for an answer, ms; 0 for no limit. Throws AgentError.
	 */
	static async start(command?: string, patience = PATIENCE): Promise<Agent> {
		if (command?.trim() === "") throw new AgentError("--agent: expected a command, found none");
		const agent = new Agent(command, patience);
		const said = await agent.request("hello");
		const [name, protocol, release = "", users = "", system = null] = said.split(" ");
		if (name !== "port-agent" || protocol !== "1" || !/^([0-9]+-)?[0-9]+$/.test(users)) {
			agent.end();
			throw new AgentError("the agent's command does not speak its protocol, version 1");
		}
		agent.hello = {
			release,
			users: Number(users.split("-").at(-1)),
			system,
			name: system === null ? release : system,
			models: system === null ? release : (VERSION_NAMES.at(-1) ?? release),
			lacks: [],
		};
		if (system !== null) agent.hello.lacks = await missingOptions(agent);
		return agent;
	}

	private receive(data: string): void {
		const lines = (this.rest + data).split("\n");
		this.rest = lines.pop() ?? "";
		for (const line of lines) {
			const next = this.waiting.shift();
			if (next === undefined) this.giveUp("it sent an answer without a request");
			else next.resolve(line);
		}
		if (this.rest.length > LONGEST) this.giveUp("its answer is too long");
		else this.await(0);
	}

	/** Waits for the next answer, `longer` ms more than usual. */
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
	 * Sends requests, all at once, and returns their answers. The time limit is `longer` ms more
	 * than usual. Throws AgentError.
	 */
	async requests(lines: readonly string[], longer = 0): Promise<string[]> {
		if (this.failure !== null) throw this.failure;
		if (lines.length === 0) return [];
		if (lines[0] === "reset" && this.hello.system !== null && this.used) await this.renew();
		this.used ||= lines[0] === "reset";
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

	/** Ends the agent, its processes and its namespaces. */
	end(): void {
		this.failure ??= new AgentError("agent: it was ended");
		if (this.timer !== null) clearTimeout(this.timer);
		if (this.afterlife !== null) clearTimeout(this.afterlife);
		this.release();
		this.child.kill();
	}
}

/** The answer to a system call, as agent.c writes it. */
export interface CallAnswer {
	/** The kernel's result; a negative errno on an error. */
	result: number;
	/** When the call began, seconds of CLOCK_MONOTONIC. */
	begin: number;
	end: number;
	memory: Uint8Array[];
	/** The draws of port searches; empty unless they were asked for. */
	draws: KernelDraw[];
	/** net_hash_mix of the namespaces that were made; empty unless draws were asked for. */
	hashMixes: number[];
}

function readDraw(text: string): KernelDraw {
	const [, kind = "", caller = "", value, ceil] =
		/^(\w+)@(.+)=(\w+)(?:\/([0-9]+))?$/.exec(text) ?? [];
	if (value === undefined) throw new AgentError(`agent: ${text}`);
	return { kind, caller, value: BigInt(value), ceil: ceil === undefined ? null : Number(ceil) };
}

/** Memory `i` of an answer. Throws AgentError if the answer does not have it. */
export function memoryOf({ memory }: CallAnswer, i: number): Uint8Array {
	const bytes = memory[i];
	if (bytes === undefined) throw new AgentError(`agent: an answer without memory ${i}`);
	return bytes;
}

const NUMBERS = /^-?[0-9]+ [0-9]+ [0-9]+( |$)/;
const MEMORY = /^(-|[0-9a-f]+)$/;

/** Reads an answer to a system call. Throws AgentError if the line is not one. */
export function readAnswer(line: string): CallAnswer {
	const [result, begin, end, ...rest] = line.split(" ");
	const shown = rest.filter((word) => !word.includes("@"));
	const whole = shown.every((word) => MEMORY.test(word) && (word === "-" || word.length % 2 === 0));
	if (!NUMBERS.test(line) || !whole) {
		const said = line.startsWith("! ")
			? line.slice(2)
			: `not an answer to a call: ${line.slice(0, 40)}`;
		throw new AgentError(`agent: ${said}`);
	}
	const drawn = rest.filter((word) => word.includes("@")).map(readDraw);
	return {
		result: Number(result),
		begin: Number(begin) / 1e9,
		end: Number(end) / 1e9,
		memory: shown.map((hex) => (hex === "-" ? new Uint8Array(0) : Buffer.from(hex, "hex"))),
		draws: drawn.filter(({ kind }) => kind !== "mix"),
		hashMixes: drawn.filter(({ kind }) => kind === "mix").map(({ value }) => Number(value)),
	};
}

/**
 * Reads the answer to a request. Throws AgentError also if memory that the request asks for is
 * missing.
 */
export function readAnswerTo(request: string, line: string): CallAnswer {
	const answer = readAnswer(line);
	const asked = request.split(" ").filter((word) => word.includes("?"));
	const fits = asked.every((word, i) => {
		const { length } = answer.memory[i] ?? { length: -1 };
		return word.startsWith("?") ? length === Number(word.slice(1)) : length >= 0;
	});
	if (!fits) throw new AgentError("agent: not an answer to a call: memory is missing");
	return answer;
}
