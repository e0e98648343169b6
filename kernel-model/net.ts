// SPDX-License-Identifier: GPL-2.0-or-later
/** A network namespace from outside: its devices, addresses, routes and sysctls. */
import {
	IFF_LOOPBACK,
	IFF_UP,
	type Net,
	type NetDevice,
	type RouteAnswer,
	RT_SCOPE_HOST,
	RT_SCOPE_LINK,
	RT_SCOPE_UNIVERSE,
	RT_TABLE_LOCAL,
	RT_TABLE_MAIN,
	RTN_BLACKHOLE,
	RTN_LOCAL,
	RTN_PROHIBIT,
	RTN_UNICAST,
	RTN_UNREACHABLE,
} from "../include/net/net_namespace.js";
import { EEXIST, ENODEV } from "../include/uapi/asm-generic/errno.js";
import { INADDR_LOOPBACK } from "../include/uapi/linux/in.js";
import { inet_del_ifa, inet_insert_ifa, inet_make_mask } from "../net/ipv4/devinet.js";
import { fib_sync } from "../net/ipv4/fib_frontend.js";
import { sysctl_read, sysctl_write } from "../net/ipv4/sysctl_net_ipv4.js";
import { parseIpv4 } from "./address.js";

/** What a route is, as `ip route add` says it. */
export interface RouteOptions {
	/** "default", "198.51.100.0/24" or a single address. */
	to: string;
	type?: "unicast" | "local" | "blackhole" | "unreachable" | "prohibit";
	/** Name of the output device. */
	dev?: string;
	via?: string;
	src?: string;
	metric?: number;
	/** What hosts behind it do with a SYN; "blackhole" (nothing) if not given. */
	answer?: RouteAnswer;
}

const TYPES = {
	unicast: RTN_UNICAST,
	local: RTN_LOCAL,
	blackhole: RTN_BLACKHOLE,
	unreachable: RTN_UNREACHABLE,
	prohibit: RTN_PROHIBIT,
} as const;

function parsePrefix(text: string): { addr: number; plen: number } {
	const [host, length] = text === "default" ? ["0.0.0.0", "0"] : text.split("/");
	const addr = parseIpv4(host);
	const plen = length === undefined ? 32 : Number(length);
	if (addr === null || !/^[0-9]*$/.test(length ?? "") || plen > 32) {
		throw new RangeError(`not an IPv4 prefix: ${text}`);
	}
	return { addr, plen };
}

/**
 * Methods return 0 or a negative errno, as the kernel answers `ip` and `sysctl`; malformed
 * text throws RangeError.
 */
export class NetNamespace {
	constructor(readonly net: Net) {}

	private device(name: string): NetDevice | null {
		return this.net.devices.find((dev) => dev.name === name) ?? null;
	}

	/** `ip link add NAME type dummy`, or `type vrf table N`. */
	addLink(name: string, vrfTable = 0): number {
		if (this.device(name) !== null) return -EEXIST;
		const ifindex = Math.max(...this.net.devices.map((dev) => dev.ifindex)) + 1;
		this.net.devices.push({
			ifindex,
			name,
			flags: 0,
			master: 0,
			l3mdev_table: vrfTable,
			ifa_list: [],
		});
		return 0;
	}

	/** `ip link set NAME up|down`. lo brings 127.0.0.1/8 with it. */
	setLink(name: string, up: boolean): number {
		const dev = this.device(name);
		if (dev === null) return -ENODEV;
		if (up) {
			dev.flags |= IFF_UP;
			if ((dev.flags & IFF_LOOPBACK) !== 0) {
				inet_insert_ifa(dev, INADDR_LOOPBACK, 8, RT_SCOPE_HOST);
			}
		} else {
			dev.flags &= ~IFF_UP;
			this.net.routes = this.net.routes.filter((route) => route.oif !== dev.ifindex);
		}
		fib_sync(this.net);
		return 0;
	}

	/** `ip link set NAME master VRF`; null: nomaster. */
	setMaster(name: string, master: string | null): number {
		const dev = this.device(name);
		const vrf = master === null ? null : this.device(master);
		if (dev === null || (master !== null && vrf === null)) return -ENODEV;
		dev.master = vrf?.ifindex ?? 0;
		fib_sync(this.net);
		return 0;
	}

	/** `ip addr add PREFIX dev NAME`; a scope that is not given is host for 127/8, else global. */
	addAddress(prefix: string, name: string, scope?: "global" | "link" | "host"): number {
		const dev = this.device(name);
		const { addr, plen } = parsePrefix(prefix);
		if (dev === null) return -ENODEV;
		const scopes = { global: RT_SCOPE_UNIVERSE, link: RT_SCOPE_LINK, host: RT_SCOPE_HOST };
		const err = inet_insert_ifa(
			dev,
			addr,
			plen,
			scopes[scope ?? (addr >>> 24 === 127 ? "host" : "global")],
		);
		fib_sync(this.net);
		return err;
	}

	/** `ip addr del PREFIX dev NAME`. */
	delAddress(prefix: string, name: string): number {
		const dev = this.device(name);
		const { addr, plen } = parsePrefix(prefix);
		if (dev === null) return -ENODEV;
		const err = inet_del_ifa(dev, addr, plen);
		fib_sync(this.net);
		return err;
	}

	/** `ip route add`. */
	addRoute(options: RouteOptions): number {
		const { addr, plen } = parsePrefix(options.to);
		const type = TYPES[options.type ?? "unicast"];
		const dev = options.dev === undefined ? null : this.device(options.dev);
		if (options.dev !== undefined && dev === null) return -ENODEV;
		if (dev === null && (type === RTN_UNICAST || type === RTN_LOCAL)) return -ENODEV;
		const parse = (text: string | undefined) => {
			const value = text === undefined ? 0 : parseIpv4(text);
			if (value === null) throw new RangeError(`not an IPv4 address: ${text}`);
			return value;
		};
		const gateway = parse(options.via);
		const route = {
			table: type === RTN_LOCAL ? RT_TABLE_LOCAL : RT_TABLE_MAIN,
			dst: (addr & inet_make_mask(plen)) >>> 0,
			plen,
			type,
			scope:
				type === RTN_LOCAL
					? RT_SCOPE_HOST
					: type === RTN_UNICAST && gateway === 0
						? RT_SCOPE_LINK
						: RT_SCOPE_UNIVERSE,
			oif: dev?.ifindex ?? 0,
			prefsrc: parse(options.src),
			gateway,
			metric: options.metric ?? 0,
			answer: options.answer ?? ("blackhole" as const),
		};
		const same = this.net.routes.some(
			(other) =>
				other.table === route.table &&
				other.dst === route.dst &&
				other.plen === route.plen &&
				other.metric === route.metric,
		);
		if (same) return -EEXIST;
		this.net.routes.push(route);
		return 0;
	}

	/** `ip route del`. Returns 0, or -3 (ESRCH) if there is no such route. */
	delRoute(to: string): number {
		const { addr, plen } = parsePrefix(to);
		const index = this.net.routes.findIndex((route) => route.dst === addr && route.plen === plen);
		if (index === -1) return -3;
		this.net.routes.splice(index, 1);
		return 0;
	}

	/** Reads "net.ipv4.ip_local_port_range" and its like; a negative errno if there is none. */
	getSysctl(name: string): string | number {
		return sysctl_read(this.net, name.replace(/^net\.ipv4\./, ""));
	}

	/** Writes it: 0, or a negative errno and nothing is changed. */
	setSysctl(name: string, text: string): number {
		return sysctl_write(this.net, name.replace(/^net\.ipv4\./, ""), text);
	}

	/** Lines that the kernel would have logged. */
	get log(): readonly string[] {
		return this.net.log;
	}
}
