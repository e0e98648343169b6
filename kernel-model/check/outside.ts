// SPDX-License-Identifier: GPL-2.0-or-later
/**
 * Clients that the recording does not show. A puppet socket stands for such a client. It connects
 * from the port that accept() returns. When the connection is established, the puppet is removed
 * and sends nothing.
 */
import { AF_INET, AF_INET6, SOL_IP } from "../../include/linux/socket.js";
import { TCP_CLOSE, TCP_ESTABLISHED, TCP_LISTEN } from "../../include/net/tcp_states.js";
import { IP_BIND_ADDRESS_NO_PORT } from "../../include/uapi/linux/in.js";
import { NotModelled } from "../../net/core/sock.js";
import { tcp_set_state } from "../../net/ipv4/tcp.js";
import { type Address, hostPrefix, isLoopback, isWildcard, unmapped } from "../machine/address.js";
import { nth } from "../machine/nth.js";
import type { Task } from "../machine/task.js";
import type { CallLine } from "../script/strace.js";
import { withOnlyPort } from "./only_port.js";
import type { World } from "./world.js";

/** The highest port for clients whose port nothing shows. */
const LAST = 65_535;

const named = (address: string, port: number): Address => ({
	family: address.includes(":") ? "AF_INET6" : "AF_INET",
	address,
	port,
});

export class Outside {
	constructor(private readonly world: World) {}

	/**
	 * Connects the client that an accept() on a task's `fd` returns. `peer` is the client's address;
	 * null if it is not known. Returns false if the client cannot connect.
	 */
	connect(task: Task, fd: number, call: CallLine, peer: Address | null): boolean {
		const { evidence } = this.world;
		const to = evidence.locals.get(call) ?? null;
		if (peer !== null) return this.from(task, fd, peer, to);
		const own = task.getsockname(fd);
		if (typeof own === "number") return false;
		const six = own.family === "AF_INET6" && !own.address.startsWith("::ffff:");
		const address = six ? "::1" : "127.0.0.1";
		for (let tries = 0; tries < 16; tries++) {
			const port = LAST - (this.world.unseenClients++ % 2048);
			if (evidence.named.has(port)) continue;
			if (this.from(task, fd, named(address, port), to)) return true;
		}
		return false;
	}

	private from(task: Task, fd: number, peer: Address, to: Address | null): boolean {
		const { kernel } = this.world;
		const S = kernel.sock;
		const listener = this.world.portSkOfFd(task, fd);
		const own = task.getsockname(fd);
		if (typeof own === "number" || S.skc_state[listener] !== TCP_LISTEN) return false;
		const from = unmapped(peer.address);
		const shown = unmapped(to?.address ?? own.address);
		const address = isWildcard(shown) ? from : shown;
		const { draws } = kernel;
		kernel.draws = kernel.ownDraws;
		const puppet = kernel.createTask({ net: task.net, uid: 0 });
		try {
			return this.made(puppet, named(from, peer.port), named(address, own.port));
		} catch (error) {
			if (!(error instanceof NotModelled || error instanceof RangeError)) throw error;
			return false;
		} finally {
			puppet.exit();
			kernel.draws = draws;
		}
	}

	private made(puppet: Task, from: Address, to: Address): boolean {
		const { kernel, outsideClientPorts } = this.world;
		const { net } = puppet;
		const fd = puppet.socket(from.family === "AF_INET6" ? AF_INET6 : AF_INET, 1, 0);
		puppet.setsockopt(fd, SOL_IP, IP_BIND_ADDRESS_NO_PORT, 1);
		const here = [from, to].filter(({ address }) => {
			return !isLoopback(address) && net.addAddress(hostPrefix(address), "lo", {}) === 0;
		});
		withOnlyPort(net.net, from.port, () => {
			if (puppet.bind(fd, { ...from, port: 0 }) === 0) puppet.connect(fd, to, undefined, true);
		});
		const sk = nth(kernel.socket.sk, puppet.socketOf(fd));
		const connected = kernel.sock.skc_state[sk] === TCP_ESTABLISHED;
		tcp_set_state(kernel, sk, TCP_CLOSE);
		for (const { address } of here) net.delAddress(hostPrefix(address), "lo");
		if (connected) outsideClientPorts.add(from.port);
		return connected;
	}
}
