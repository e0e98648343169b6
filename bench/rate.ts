// SPDX-License-Identifier: GPL-2.0-or-later
/**
 * How many connections a second one address can make to one destination. A program connects, closes
 * at once, and does so again as often as it finds a port. Each connection leaves a time-wait socket,
 * which holds its port. Counts are exact, on the virtual clock.
 */
import {
	EADDRNOTAVAIL,
	EINPROGRESS,
	IP_LOCAL_PORT_RANGE,
	Kernel,
	SOL_IP,
} from "../kernel-model/index.js";

interface RateOptions {
	version: string;
	/** Ports of the range: IP_LOCAL_PORT_RANGE of every socket. */
	ports: number;
	/** Whether tcp_tw_reuse is 1. Otherwise it is 0. */
	reuse: boolean;
}

const LOW = 40_000;
/** The program tries again after this time, ms: a jiffy. */
const STEP = 4;
/** After it used every port it waits this time first, ms, because no port is free before. */
const WAIT = { reuse: 900, timeWait: 59_000 };
/** How often it uses every port: until the rate no longer changes, and then counted. */
const ROUNDS = { before: 2, counted: 2 };

/** Connections a second, once the rate no longer changes. */
export function connectionRate({ version, ports, reuse }: RateOptions): number {
	const kernel = new Kernel({ version, search: "guided" });
	const net = kernel.createNet();
	net.setSysctl("net.ipv4.tcp_tw_reuse", reuse ? "1" : "0");
	const task = kernel.createTask({ net });
	const to = { family: "AF_INET", address: "127.0.0.1", port: 443 } as const;
	const server = task.tcp();
	task.bind(server, to);
	task.listen(server, 16);
	const range = ((LOW + ports - 1) << 16) | LOW;

	/** Connects and closes until there is no port. Returns how often. */
	const connections = (): number => {
		for (let count = 0; ; count++) {
			const fd = task.tcp();
			task.setsockopt(fd, SOL_IP, IP_LOCAL_PORT_RANGE, range);
			const result = task.connect(fd, to, undefined, true);
			task.close(fd);
			if (result === -EADDRNOTAVAIL) return count;
			if (result !== -EINPROGRESS && result !== 0) throw new Error(`connect: ${result}`);
			task.close(task.accept4(server, 0, undefined, true));
		}
	};
	const round = (): { made: number; at: number } => {
		let made = connections();
		for (; made === 0; made = connections()) kernel.advance(STEP);
		const at = kernel.now;
		kernel.advance(reuse ? WAIT.reuse : WAIT.timeWait);
		return { made, at };
	};
	for (let n = 0; n < ROUNDS.before; n++) round();
	const first = round();
	let { made, at } = first;
	let total = 0;
	for (let n = 0; n < ROUNDS.counted; n++) {
		total += made;
		({ made, at } = round());
	}
	return (total * 1000) / (at - first.at);
}
