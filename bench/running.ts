// SPDX-License-Identifier: GPL-2.0-or-later
/** Runs the workloads on a real kernel through the agent. The agent times each call. */
import { SOCK_DGRAM, SOCK_NONBLOCK, SOCK_STREAM } from "../include/linux/net.js";
import { AF_INET } from "../include/linux/socket.js";
import { errnoName } from "../include/uapi/asm-generic/errno.js";
import { parseIpv4 } from "../kernel-model/machine/address.js";
import { Agent, AgentError, readAnswer } from "../kernel-model/real/agent/agent.js";
import { RealSetup } from "../kernel-model/real/agent/rtnetlink.js";
import { ANY_PORT, HOST, PEER, PORT_RANGE, PORTS, type Workload } from "./workload.js";

/** Calls per request. An answer has at most 256 KiB. */
const AT_ONCE = 500;
const AF_NETLINK = 16;
const SOCK_RAW = 3;
const LO_IFINDEX = 1;
const O_WRONLY = 1;
const AT_FDCWD = -100;
/** Offset of the error in NLMSG_ERROR, after its header. */
const NETLINK_ERROR_AT = 16;

const hex = (bytes: Uint8Array): string => `=${Buffer.from(bytes).toString("hex")}`;
const path = (name: string): string => hex(Buffer.from(`${name}\0`));

function sockaddr({ address, port }: { address: string; port: number }): string {
	const bytes = Buffer.alloc(16);
	bytes.writeUInt16LE(AF_INET);
	bytes.writeUInt16BE(port, 2);
	bytes.writeUInt32BE(parseIpv4(address) ?? 0, 4);
	return `${hex(bytes)} ${bytes.length}`;
}

/** socket(), and the call whose search is measured. */
function attempt({ type, call }: Workload): string {
	const kind = type === "SOCK_DGRAM" ? SOCK_DGRAM : SOCK_STREAM | SOCK_NONBLOCK;
	return `socket ${AF_INET} ${kind} 0 / ${call} $ ${sockaddr(call === "bind" ? ANY_PORT : PEER)}`;
}

export class RunningKernel {
	private constructor(private readonly agent: Agent) {}

	/** Throws AgentError if the agent cannot be started. */
	static async start(command: string | undefined): Promise<RunningKernel> {
		return new RunningKernel(await Agent.start(command));
	}

	get release(): string {
		return this.agent.hello.release;
	}

	end(): void {
		this.agent.end();
	}

	private async call(request: string): Promise<{ result: number; memory: Uint8Array[] }> {
		return readAnswer(await this.agent.request(`0 ${request}`));
	}

	/**
	 * Makes a namespace with the range, an address, and a route to a device without other hosts.
	 */
	private async boot(): Promise<void> {
		await this.agent.requests(["reset", "limit 0"]);
		const setup = new RealSetup();
		setup.setLink("lo", true);
		setup.addAddress(`${HOST}/32`, "lo", {});
		setup.addRoute({ to: "default", dev: "lo" });
		setup.setSysctl("net.ipv4.ip_local_port_range", PORT_RANGE);
		for (const action of setup.actions) {
			let result = 0;
			if (action.kind === "sysctl") {
				const { result: fd } = await this.call(
					`openat ${AT_FDCWD} ${path(action.path)} ${O_WRONLY} 0`,
				);
				const text = Buffer.from(action.text);
				({ result } = await this.call(`write ${fd} ${hex(text)} ${text.length}`));
				await this.call(`close ${fd}`);
			} else if (action.kind === "netlink") {
				const { result: fd } = await this.call(`socket ${AF_NETLINK} ${SOCK_RAW} 0`);
				const message = action.message(action.names.map(() => LO_IFINDEX));
				await this.call(`sendto ${fd} ${hex(message)} ${message.length} 0 0 0`);
				const { memory } = await this.call(`recvfrom ${fd} ?4096 4096 0 0 0`);
				result = Buffer.from(memory[0]).readInt32LE(NETLINK_ERROR_AT);
				await this.call(`close ${fd}`);
			}
			if (result < 0) throw new AgentError(`agent: ${action.kind}: ${errnoName(-result)}`);
		}
	}

	/**
	 * Time of each call of a workload, ns. `calls` is one round of calls; the second one is timed.
	 */
	private async repeat(calls: string, times: number, expected: number): Promise<number[]> {
		const width = calls.split(" / ").length * 2;
		const taken: number[] = [];
		while (taken.length < times) {
			const count = Math.min(AT_ONCE, times - taken.length);
			const answer = await this.agent.request(`0 repeat ${count} ${calls}`);
			if (answer.startsWith("!")) throw new AgentError(`agent: ${answer.slice(2)}`);
			const numbers = answer.split(" ").map(Number);
			for (let at = 0; at < numbers.length; at += width) {
				const [fd, , result, ns] = numbers.slice(at, at + 4);
				if (fd < 0) throw new AgentError(`agent: socket ${taken.length + 1}: ${errnoName(-fd)}`);
				if (result !== expected) {
					const said = result < 0 ? errnoName(-result) : String(result);
					throw new AgentError(`agent: call ${taken.length + 1} of ${times}: ${said}`);
				}
				taken.push(ns);
			}
		}
		return taken;
	}

	/** Fills the range in a fresh namespace. Returns the total time of the calls, ns. */
	async fill(workload: Workload): Promise<number> {
		await this.boot();
		const taken = await this.repeat(attempt(workload), PORTS, workload.success);
		return taken.reduce((sum, ns) => sum + ns, 0);
	}

	/** Time of each of `times` calls after fill(), ns. They find no port. */
	exhausted(workload: Workload, times: number): Promise<number[]> {
		return this.repeat(`${attempt(workload)} / close $`, times, workload.full);
	}
}
