// SPDX-License-Identifier: GPL-2.0-or-later
/**
 * The script that a program becomes, and the model on which its calls are made. Set-up commands are
 * here. Calls are in process.ts.
 */
import type { Address } from "../../machine/address.js";
import { Kernel } from "../../machine/kernel.js";
import type { NetNamespace } from "../../machine/net.js";
import { nth } from "../../machine/nth.js";
import { runSetup } from "../../script/setup.js";
import type { Abilities, Kind } from "./abilities.js";
import type { Endpoint } from "./endpoint.js";
import { Process } from "./process.js";
import {
	NAMESPACE_RANGES,
	ONE_PORT,
	SCOPED,
	SCOPED_VRF,
	V4,
	V6,
	VRF4,
	VRF6,
	WIDE_RANGES,
} from "./vocabulary.js";

/** Most live sockets of a process, in usual programs and in programs with many. */
export const LIVE = 20;
const MANY = 400;

export class Script {
	readonly lines: string[] = [];
	readonly processes: Process[];
	/** The namespace of the first process. */
	net: NetNamespace;
	/** Namespaces that the program has made besides the first one. */
	namespaces = 0;
	private readonly kernel: Kernel;
	private pids = 1000;

	/** `world` is a number from 0 to 255. It chooses the range and other facts of the namespace. */
	constructor(
		private readonly world: number,
		readonly can: Abilities,
	) {
		this.kernel = new Kernel({ version: can.version, seed: 1 });
		this.net = this.kernel.createNet();
		this.processes = [new Process(this, 0, this.kernel.createTask({ net: this.net }))];
	}

	/** The process that the others are children of. */
	get first(): Process {
		return nth(this.processes, 0);
	}

	newPid(): number {
		return ++this.pids;
	}

	/** Whether programs leave something out: a name of WITHOUT, an operation or a socket option. */
	without(name: string): boolean {
		return this.can.without?.includes(name) === true;
	}

	/** The family of a socket: IPv6 if it is wanted and not left out. */
	six(wanted: boolean): boolean {
		return wanted && !this.without("ipv6");
	}

	/** A port that bind() leaves to the kernel, or a fixed one if programs leave autobind out. */
	get anyPort(): number {
		return this.without("autobind") ? 40003 : 0;
	}

	/** Many sockets in wide ranges, which are still used up. */
	get many(): boolean {
		return this.can.long === true && this.world % 8 === 2;
	}

	/** Most live sockets of a process. */
	get live(): number {
		return this.many ? MANY : LIVE;
	}

	/** Whether the program lets seconds pass. */
	get pauses(): boolean {
		return this.can.long === true && this.world % 32 === 5;
	}

	/** Few programs have MPTCP, because the agent waits for its worker after each call. */
	get kinds(): readonly Kind[] {
		const { kinds } = this.can;
		const others = kinds.filter((kind) => kind !== "mptcp");
		return this.world % 4 === 3 || others.length === 0 ? kinds : others;
	}

	/** Whether the program has link-local addresses. */
	get scoped(): boolean {
		const left = this.without("scopes") || this.without("ipv6");
		return !left && (this.world >> 2) % 4 === 1;
	}

	/** Whether the program has a VRF. */
	get inVrf(): boolean {
		return this.can.vrf && this.world >= 128;
	}

	/** Addresses to which the sockets of a family are bound. */
	here(six: boolean): string[] {
		const base = six ? V6 : V4;
		const scoped = six && this.scoped ? SCOPED : [];
		if (!this.inVrf) return [...base, ...scoped];
		const devices = scoped.length > 0 ? SCOPED_VRF : [];
		return [...base, ...(six ? VRF6 : VRF4), ...scoped, ...devices];
	}

	/** An endpoint as the model takes it. */
	address({ six, address, port }: Endpoint): Address {
		const [text = address, scope] = address.split("%");
		if (scope === undefined) return { family: six ? "AF_INET6" : "AF_INET", address, port };
		const device = this.net.net.devices.find(({ name }) => name === scope);
		const scope_id = device?.ifindex ?? (Number(scope) || 0);
		return { family: "AF_INET6", address: text, port, scope_id };
	}

	/** The namespace at the start: addresses, routes, a VRF and the range. */
	setupFirst(): void {
		this.addresses();
		if (this.inVrf) this.setupVrf();
		this.portRange();
	}

	/** A namespace that a process made: lo, addresses, routes and the range. */
	setupNext(): void {
		this.setup("ip link set lo up");
		this.addresses();
		this.portRange();
	}

	/** Writes a set-up command and runs it on the model. */
	setup(command: string): void {
		runSetup(this.kernel, this.net, command.split(" "));
		this.lines.push(`$ ${command}`);
	}

	/** Addresses and routes of lo. */
	private addresses(): void {
		this.setup("ip addr add 192.0.2.10/32 dev lo");
		this.setup("ip addr add 2001:db8::10/128 dev lo nodad");
		if (this.scoped) {
			this.setup("ip addr add fe80::1/64 dev lo nodad");
			this.setup("ip addr add fe80::2/64 dev lo nodad");
		}
		if (!this.without("routes")) {
			this.setup("ip route add default dev lo");
			// SO_DONTROUTE does not take a route with a gateway.
			if ((this.world >> 5) % 2 === 1) {
				this.setup("ip route add 198.51.100.0/24 via 192.0.2.77");
				this.setup("ip route add 203.0.113.0/25 via 192.0.2.10 dev lo");
			}
			this.setup("ip route add prohibit 203.0.113.200/32");
			this.setup("ip -6 route add unreachable 2001:db8:2::/48");
		}
	}

	private setupVrf(): void {
		const mac = (last: number) => (this.scoped ? ` address 02:00:00:00:00:0${last}` : "");
		for (const command of [
			"link add vrf0 type vrf table 10",
			"link set vrf0 up",
			`link add dummy0${mac(1)} type dummy`,
			`link add dummy1${mac(2)} type dummy`,
			"link set dummy0 master vrf0",
			"link set dummy0 up",
			"link set dummy1 up",
			"addr add 198.51.100.10/24 dev dummy0",
			"addr add 2001:db8:1::10/64 dev dummy0 nodad",
			"addr add 203.0.113.10/24 dev dummy1",
			"addr add 2001:db8:3::10/64 dev dummy1 nodad",
		]) {
			this.setup(`ip ${command}`);
		}
		// The model does not have this setting.
		this.first.writeSysctl("net.ipv4.icmp_ratelimit", "0");
	}

	private portRange(): void {
		const { world } = this;
		const range = this.without("order")
			? nth(ONE_PORT, world % ONE_PORT.length)
			: this.many
				? nth(WIDE_RANGES, (world >> 3) % 4)
				: nth(NAMESPACE_RANGES, world % 5);
		this.sysctl("net.ipv4.ip_local_port_range", range);
	}

	private sysctl(name: string, value: string): void {
		try {
			runSetup(this.kernel, this.net, ["sysctl", "-w", `${name}=${value}`]);
		} catch {
			// The kernel may accept a call that the model refuses or does not have.
		}
		this.lines.push(`$ sysctl -w ${name}="${value}"`);
	}
}
