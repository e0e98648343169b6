// SPDX-License-Identifier: GPL-2.0-or-later
/** What a kernel has, as far as a question to it can tell. */
import { SOL_IP, SOL_IPV6, SOL_TCP } from "../../../include/linux/socket.js";
import { ENOPROTOOPT } from "../../../include/uapi/asm-generic/errno.js";
import { SOL_SOCKET } from "../../../include/uapi/asm-generic/socket.js";
import { socketOptions } from "../../script/options.js";
import { type Agent, readAnswer } from "./agent.js";

const IPV4_STREAM = "socket 2 1 0";
const IPV6_STREAM = "socket 10 1 0";

/** The request for a socket that has the options of a level. */
const SOCKETS: ReadonlyMap<number, string> = new Map([
	[SOL_SOCKET, IPV4_STREAM],
	[SOL_IP, IPV4_STREAM],
	[SOL_TCP, IPV4_STREAM],
	[SOL_IPV6, IPV6_STREAM],
]);

/**
 * The options that matter for ports and that a kernel does not have, by getsockopt(). A kernel may
 * accept and ignore such an option in setsockopt().
 */
export async function missingOptions(agent: Agent): Promise<string[]> {
	await agent.request("reset");
	const missing: string[] = [];
	for (const [level, socket] of SOCKETS) {
		const fd = readAnswer(await agent.request(`0 ${socket}`)).result;
		if (fd < 0) continue;
		const options = socketOptions().filter(
			(option) => option.level === level && option.concern === "ports",
		);
		const answers = await agent.requests(
			options.map(({ number }) => `0 getsockopt ${fd} ${level} ${number} ?16 =10000000?`),
		);
		for (const [i, { name }] of options.entries())
			if (readAnswer(answers[i] ?? "").result === -ENOPROTOOPT) missing.push(name);
		await agent.request(`0 close ${fd}`);
	}
	return missing;
}
