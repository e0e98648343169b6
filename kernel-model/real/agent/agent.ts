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
	for (const path of ["./agent.c", "../../../../kernel-model/real/agent/agent.c"]) {
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
	private timer: NodeJS.Timeout | null = null;
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
		child.on("close", () => {
			const lines = this.said.trim().split(/[\r\n]+/);
			const own = /(?:port-agent|agent\.sh): /;
			// A virtual machine's console says more, of less use.
			const reason = lines.filter((line) => own.test(line)).at(-1) ?? lines.at(-1) ?? "";
			this.fail(reason === "" ? "the agent has ended" : reason.replace(/^.*?port-agent: /, ""));
		});
		child.stdin?.on("error", () => {}); // its end says more
	}

	/**
	 * Starts the agent here, or a command that speaks its protocol, which may take `patience`
	 * ms for an answer, 0 for any time. Throws AgentError.
	 */
	static async start(command?: string, patience = 0): Promise<Agent> {
		const child =
			command === undefined
				? spawn(agentBinary(), { stdio: "pipe" })
				: spawn(command, { stdio: "pipe", shell: true });
		const agent = new Agent(child, patience);
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
		this.await(0);
	}

	/** From now on the next answer is waited for, for so much longer than usual. */
	private await(longer: number): void {
		if (this.timer !== null) clearTimeout(this.timer);
		this.timer = null;
		if (this.patience === 0 || this.waiting.length === 0) return;
		this.timer = setTimeout(() => {
			this.fail(`no answer within ${(this.patience + longer) / 1000} s`);
			this.end();
		}, this.patience + longer);
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
		const [answer] = await this.requests([line], longer);
		return answer;
	}

	/** Ends it, and with it everything that it made. */
	end(): void {
		this.child.stdin?.end();
		this.child.kill();
	}
}

/** A draw that a kernel's port search made. */
export interface KernelDraw {
	/** u8, u16, u32, below, off4 or off6. */
	kind: string;
	/** The kernel's function that drew it. */
	caller: string;
	value: bigint;
	/** Of below, what the value is below; null of others. */
	ceil: number | null;
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
	const [, kind, caller, value, ceil] = /^(\w+)@(.+)=(\w+)(?:\/([0-9]+))?$/.exec(text) ?? [];
	if (value === undefined) throw new AgentError(`agent: ${text}`);
	return { kind, caller, value: BigInt(value), ceil: ceil === undefined ? null : Number(ceil) };
}

/** Throws AgentError for what is no answer to a system call. */
export function readAnswer(line: string): CallAnswer {
	const [result, begin, end, ...rest] = line.split(" ");
	if (end === undefined || result === "!")
		throw new AgentError(`agent: ${line.replace(/^! /, "")}`);
	return {
		result: Number(result),
		begin: Number(begin) / 1e9,
		end: Number(end) / 1e9,
		memory: rest
			.filter((word) => !word.includes("@"))
			.map((hex) => (hex === "-" ? new Uint8Array(0) : Buffer.from(hex, "hex"))),
		draws: rest.filter((word) => word.includes("@")).map(readDraw),
	};
}
