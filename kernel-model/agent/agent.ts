// SPDX-License-Identifier: GPL-2.0-or-later
/** The agent, a program that makes system calls on a real kernel: agent.c has its protocol. */
import { type ChildProcess, spawn, spawnSync } from "node:child_process";
import { createHash } from "node:crypto";
import { existsSync, mkdirSync, readFileSync, renameSync } from "node:fs";
import { homedir, tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";

/** The agent cannot be had, or does not answer as it should. One line. */
export class AgentError extends Error {}

/** agent.c, beside this file or, seen from dist/, in the sources. */
function sourceFile(): string {
	for (const path of ["./agent.c", "../../../kernel-model/agent/agent.c"]) {
		const file = fileURLToPath(new URL(path, import.meta.url));
		if (existsSync(file)) return file;
	}
	throw new AgentError("agent.c: not found beside the program");
}

/** Where what is made once is kept. */
export function cacheFolder(): string {
	const base = process.env.XDG_CACHE_HOME || join(homedir() || tmpdir(), ".cache");
	const folder = join(base, "inet-port-model");
	mkdirSync(folder, { recursive: true });
	return folder;
}

/** The compiled agent: made when first needed, or when agent.c has changed. */
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
		const made = spawnSync(compiler, [...flags, "-o", part, file], { encoding: "utf8" });
		if (made.error !== undefined) continue; // there is none of this name
		if (made.status !== 0) {
			const said = made.stderr.trim().split("\n")[0];
			throw new AgentError(`${compiler} cannot compile agent.c: ${said}`);
		}
		renameSync(part, binary);
		return binary;
	}
	throw new AgentError(
		`no C compiler (${compilers.join(", ")}) to make the agent: install one, or give --agent COMMAND`,
	);
}

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
	hello: Hello = { release: "", users: 0 };

	private constructor(private readonly child: ChildProcess) {
		child.stdout?.setEncoding("latin1");
		child.stdout?.on("data", (data: string) => this.receive(data));
		child.stderr?.on("data", (data: Buffer) => {
			this.said = (this.said + data.toString()).slice(-2000);
		});
		child.on("error", (error) => this.fail(error.message));
		child.on("close", () => {
			const reason = this.said.trim().split("\n").at(-1) ?? "";
			this.fail(reason === "" ? "the agent has ended" : reason.replace(/^port-agent: /, ""));
		});
		child.stdin?.on("error", () => {}); // its end says more
	}

	/** Starts the agent here, or a command that speaks its protocol. Throws AgentError. */
	static async start(command?: string): Promise<Agent> {
		const child =
			command === undefined
				? spawn(agentBinary(), { stdio: "pipe" })
				: spawn(command, { stdio: "pipe", shell: true });
		const agent = new Agent(child);
		const [name, protocol, release, users = ""] = (await agent.request("hello")).split(" ");
		if (name !== "port-agent" || protocol !== "1" || release === undefined) {
			agent.end();
			throw new AgentError("the agent's command does not speak its protocol, version 1");
		}
		agent.hello = { release, users: Number(users.split("-").at(-1)) };
		return agent;
	}

	private receive(data: string): void {
		const lines = (this.rest + data).split("\n");
		this.rest = lines.pop() ?? "";
		for (const line of lines) this.waiting.shift()?.resolve(line);
	}

	private fail(reason: string): void {
		this.failure ??= new AgentError(`agent: ${reason}`);
		for (const { reject } of this.waiting.splice(0)) reject(this.failure);
	}

	/** Sends requests, all at once, and gives their answers. Throws AgentError. */
	requests(lines: readonly string[]): Promise<string[]> {
		if (this.failure !== null) return Promise.reject(this.failure);
		if (lines.length === 0) return Promise.resolve([]);
		const answers = lines.map(
			() => new Promise<string>((resolve, reject) => this.waiting.push({ resolve, reject })),
		);
		this.child.stdin?.write(`${lines.join("\n")}\n`);
		return Promise.all(answers);
	}

	async request(line: string): Promise<string> {
		const [answer] = await this.requests([line]);
		return answer;
	}

	/** Ends it, and with it everything that it made. */
	end(): void {
		this.child.stdin?.end();
		this.child.kill();
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
}

/** Throws AgentError for what is no answer to a system call. */
export function readAnswer(line: string): CallAnswer {
	const [result, begin, end, ...memory] = line.split(" ");
	if (end === undefined || result === "!")
		throw new AgentError(`agent: ${line.replace(/^! /, "")}`);
	return {
		result: Number(result),
		begin: Number(begin) / 1e9,
		end: Number(end) / 1e9,
		memory: memory.map((hex) => (hex === "-" ? new Uint8Array(0) : Buffer.from(hex, "hex"))),
	};
}
