// SPDX-License-Identifier: GPL-2.0-or-later
/** Runs a search of a program: sets the ranges, steers where the kernel begins, makes the calls. */
import { SOL_IP, type Sockaddr } from "../../include/linux/socket.js";
import { KernelDraws } from "../../include/net/draws.js";
import type { Net } from "../../include/net/net_namespace.js";
import { EINPROGRESS } from "../../include/uapi/asm-generic/errno.js";
import { IP_BIND_ADDRESS_NO_PORT, IP_LOCAL_PORT_RANGE } from "../../include/uapi/linux/in.js";
import { intBytes } from "../../net/core/sock.js";
import { sysctlRead } from "../../net/ipv4/sysctl_net_ipv4.js";
import { __sys_bind, __sys_connect, __sys_listen, __sys_setsockopt } from "../../net/socket.js";
import type { Kernel } from "../machine/kernel.js";
import { nth } from "../machine/nth.js";
import type { Kind } from "./kinds.js";
import { LISTEN_FAILED, peerOf } from "./lab.js";
import {
	BASE,
	CHOSEN,
	DESTINATION_PORTS,
	ELSEWHERE,
	PEER,
	PENDING,
	type Range,
	type Search,
} from "./searches.js";
import { lengthOf, sockaddrOf } from "./sockaddr.js";

/** Every search begins at the place `start` of its range, and draws `start` for its step. */
class Steered extends KernelDraws {
	start = 0;

	override bindOffset(_sk: number, _low: number, _high: number, remaining: number): number {
		return this.start % remaining;
	}

	override connectOffset(_sk: number, _low: number, _high: number, remaining: number): number {
		return this.start % remaining;
	}

	override connectStep(_sk?: number, upper = 1): number {
		return this.start % upper;
	}

	override sctpOffset(_sk: number, _low: number, _high: number, remaining: number): number {
		return this.start % remaining;
	}

	/** reciprocal_scale() of the result is the start. */
	override udpRand(_sk?: number, low = 0, high = 0): number {
		const remaining = high - low + 1;
		return Math.ceil(((this.start % remaining) * 2 ** 32) / remaining) >>> 0;
	}
}

/** The sysctls of a range, ready for the kernel's tables. */
interface Settings {
	readonly range: [number, number];
	readonly reserved: Uint32Array;
	/** The value of IP_LOCAL_PORT_RANGE. */
	readonly own: Uint8Array | null;
}

const ON = intBytes(1);

/** The address of a destination, for a socket of a kind. */
export function destinationOf(kind: Kind, to: number): string {
	const { place } = kind;
	if (to === PEER) return peerOf(place);
	if (place.family === "AF_INET") return "198.51.100.1";
	return place.v6 === null ? "::ffff:198.51.100.1" : "2001:db8:1::1";
}

/** The value of IP_LOCAL_PORT_RANGE for bounds that are places. */
export function rangeValue([low, high]: readonly [number, number]): number {
	return (((BASE + high) << 16) | (BASE + low)) >>> 0;
}

export class Searching {
	private readonly draws: Steered;
	private readonly settings = new Map<Range, Settings>();
	private readonly destinations = new Map<string, Sockaddr>();

	private readonly hasStepWidth: boolean;

	constructor(
		private readonly k: Kernel,
		private readonly net: Net,
	) {
		this.hasStepWidth = typeof sysctlRead(net, "ip_local_port_step_width") === "string";
		this.draws = new Steered(k);
		k.draws = this.draws;
	}

	private set(within: Range): Settings {
		let settings = this.settings.get(within);
		if (settings === undefined) {
			const reserved = new Uint32Array(2048);
			for (const place of within.reserved) {
				const port = BASE + place;
				reserved[port >>> 5] = (reserved[port >>> 5] ?? 0) | (1 << (port & 31));
			}
			settings = {
				range: [BASE + within.low, BASE + within.high],
				reserved,
				own: within.own === null ? null : intBytes(rangeValue(within.own)),
			};
			this.settings.set(within, settings);
		}
		const { ipv4 } = this.net;
		ipv4.ip_local_ports.range = settings.range;
		ipv4.sysctl_local_reserved_ports = settings.reserved;
		ipv4.sysctl_ip_autobind_reuse = within.shares ? 1 : 0;
		ipv4.sysctl_ip_local_port_step_width = this.hasStepWidth ? within.width : 0;
		return settings;
	}

	private destination(kind: Kind, to: number): Sockaddr {
		const address = destinationOf(kind, to);
		const key = `${address} ${to}`;
		let found = this.destinations.get(key);
		if (found === undefined) {
			found = sockaddrOf(address, nth(DESTINATION_PORTS, to));
			this.destinations.set(key, found);
		}
		return found;
	}

	/**
	 * Makes the calls of a search on a new socket. `address` is where it binds to. Returns 0 if
	 * bind() named the port, CHOSEN or PENDING and the place if a search chose one, an errno if the socket has
	 * no port, and LISTEN_FAILED and an errno if it has one but could not listen or connect.
	 */
	ask(sock: number, kind: Kind, search: Search, address: Sockaddr, length: number): number {
		const { k } = this;
		const { own } = this.set(search.range);
		this.draws.start = search.start;
		const answer = this.calls(sock, kind, search, address, length, own);
		this.draws.start = 0;
		if ((answer !== 0 && answer !== PENDING) || search.how === "named") return answer;
		const place = nth(k.sock.skc_num, nth(k.socket.sk, sock)) - BASE;
		if (place < 0 || place >= ELSEWHERE - CHOSEN) return ELSEWHERE;
		return answer === PENDING ? PENDING + place : CHOSEN + place;
	}

	private calls(
		sock: number,
		kind: Kind,
		{ how, to }: Search,
		address: Sockaddr,
		length: number,
		own: Uint8Array | null,
	): number {
		const { k } = this;
		if (own !== null) {
			const err = __sys_setsockopt(k, sock, SOL_IP, IP_LOCAL_PORT_RANGE, own, own.length);
			if (err !== 0) return -err;
		}
		if (how === "late") {
			const err = __sys_setsockopt(k, sock, SOL_IP, IP_BIND_ADDRESS_NO_PORT, ON, ON.length);
			if (err !== 0) return -err;
		}
		if (how !== "connect" && how !== "listen") {
			const err = __sys_bind(k, sock, address, length);
			if (err !== 0) return -err;
		}
		if (how === "listen" || kind.listens) {
			const err = -__sys_listen(k, sock, 1);
			if (err !== 0) return this.failed(sock, err);
		}
		if (to === null) return 0;
		const peer = this.destination(kind, to);
		const err = -__sys_connect(k, sock, peer, lengthOf(peer), true);
		if (err === EINPROGRESS) return to === PEER ? PENDING : 0;
		return err === 0 ? 0 : this.failed(sock, err);
	}

	/** The answer of listen() or connect() that failed: it tells whether the socket has a port. */
	private failed(sock: number, err: number): number {
		const { k } = this;
		return nth(k.sock.skc_num, nth(k.socket.sk, sock)) === 0 ? err : LISTEN_FAILED + err;
	}
}
