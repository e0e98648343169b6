// SPDX-License-Identifier: GPL-2.0-or-later
/** Other systems with the system calls of Linux: programs that run the agent on their own kernel. */
import { spawnSync } from "node:child_process";
import { Agent, AgentError, agentBinary } from "./agent/agent.js";

interface System {
	/** Its name in messages. */
	title: string;
	/** Its program, and Debian's package with it. */
	program: string;
	install: string;
	/** The version in the output of the program's --version. */
	version: RegExp;
	/** The command that runs the agent there. */
	command(agent: string): string;
}

const quoted = (word: string) => `'${word.replaceAll("'", "'\\''")}'`;

const SYSTEMS: Readonly<Record<string, System>> = {
	gvisor: {
		title: "gVisor",
		program: "runsc",
		install: "apt-get install runsc",
		version: /^runsc version (\S+)/,
		// Its own network stack, and no privileges. The sandbox gets a read-only view of the files,
		// which the agent hides from scripts.
		command: (agent) => `exec runsc --rootless --network=none do ${quoted(agent)} --inside gvisor`,
	},
};

/** The names of --system. */
const SYSTEM_NAMES: readonly string[] = Object.keys(SYSTEMS);

/** Why a system cannot run here; null if its program is installed. */
export function missingSystem(name: string): string | null {
	const system = SYSTEMS[name];
	if (system === undefined) return `expected one of ${SYSTEM_NAMES.join(", ")}, found ${name}`;
	const { program, title, install } = system;
	const { error } = spawnSync(program, ["--version"]);
	return error === undefined ? null : `${title}: ${program} is not installed (${install})`;
}

/** The version of a system's program; null if it does not say one. */
export function systemVersion(name: string): string | null {
	const system = SYSTEMS[name];
	if (system === undefined) return null;
	const { stdout } = spawnSync(system.program, ["--version"], { encoding: "utf8" });
	return system.version.exec(stdout ?? "")?.[1] ?? null;
}

/** Starts the agent in a system. Throws AgentError. */
export async function startSystem(name: string): Promise<Agent> {
	const system = SYSTEMS[name];
	const missing = missingSystem(name);
	if (system === undefined || missing !== null) throw new AgentError(`--system: ${missing}`);
	const version = systemVersion(name);
	const agent = await Agent.start(system.command(agentBinary()));
	agent.hello.name = version === null ? system.title : `${system.title} ${version}`;
	return agent;
}
