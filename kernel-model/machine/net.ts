// SPDX-License-Identifier: GPL-2.0-or-later
/** A network namespace as `ip` and `sysctl` see it: devices, addresses, routes and sysctls. */
import { inet_make_mask } from "../../include/linux/inetdevice.js";
import { type NetDevice, netif_is_l3_master } from "../../include/linux/netdevice.js";
import {
	type In6Addr,
	ipv6_addr_any,
	ipv6_addr_prefix,
	ipv6_addr_v4mapped,
} from "../../include/net/ipv6.js";
import {
	IFA_HOST,
	IFA_LINK,
	IFF_LOOPBACK,
	IFF_UP,
	type Net,
	type RouteAnswer,
	RT_SCOPE_HOST,
	RT_SCOPE_LINK,
	RT_SCOPE_UNIVERSE,
	RT_TABLE_DEFAULT,
	RT_TABLE_LOCAL,
	RT_TABLE_MAIN,
	RTN_BLACKHOLE,
	RTN_LOCAL,
	RTN_PROHIBIT,
	RTN_UNICAST,
	RTN_UNREACHABLE,
} from "../../include/net/net_namespace.js";
import {
	EEXIST,
	EINVAL,
	ENODEV,
	ENOENT,
	EOPNOTSUPP,
} from "../../include/uapi/asm-generic/errno.js";
import { INADDR_LOOPBACK } from "../../include/uapi/linux/in.js";
import { __ip_dev_find, inet_del_ifa, inet_insert_ifa } from "../../net/ipv4/devinet.js";
import {
	fib_add_ifaddr,
	fib_disable_ip,
	inet_addr_type_table,
} from "../../net/ipv4/fib_frontend.js";
import { type FibPattern, fib_table_delete, fib_table_insert } from "../../net/ipv4/fib_trie.js";
import { rt_cache_flush } from "../../net/ipv4/route.js";
import {
	proc_sys_write,
	sysctlFile,
	sysctlRead,
	sysctlWrite,
} from "../../net/ipv4/sysctl_net_ipv4.js";
import {
	addrconf_ifdown,
	addrconfIfup,
	inet6_addr_add,
	inet6_addr_del,
	ipv6_chk_addr,
} from "../../net/ipv6/addrconf.js";
import { IP6_RT_PRIO_USER, ip6_route_add, ip6_route_del } from "../../net/ipv6/route.js";
import { sysctlFile6, sysctlRead6, sysctlWrite6 } from "../../net/ipv6/sysctl_net_ipv6.js";
import { type Address, formatIpv6, parseIpv4, parseIpv6, toSockaddr } from "./address.js";
import {
	checkBoolean,
	checkObject,
	checkString,
	checkUint,
	checkWord,
	shownText,
	shownValue,
} from "./arguments.js";
import { nth } from "./nth.js";

/** A route as `ip route add` describes it. */
export interface RouteOptions {
	/** "default", "198.51.100.0/24", "2001:db8::/32" or a single address. */
	to: string;
	/** The family of "default". If not given, the family of its gateway or source, else 4. */
	family?: 4 | 6;
	type?: "unicast" | "local" | "blackhole" | "unreachable" | "prohibit";
	/** Name of the output device. */
	dev?: string;
	via?: string;
	/** With `via`: the gateway is on the device's link, even if no other route says so. */
	onlink?: boolean;
	src?: string;
	metric?: number;
	scope?: "global" | "link" | "host";
	/**
	 * A number, "main", "local" or "default"; if not given, "local" for a route of type local, else
	 * "main".
	 */
	table?: number | string;
	/** Name of the VRF whose table gets the route. */
	vrf?: string;
	/**
	 * How hosts behind the route answer a SYN; "blackhole" (no answer) if not given. For an IPv6
	 * route through lo the kernel itself answers with ICMPv6 "no route".
	 */
	answer?: Exclude<RouteAnswer, "unreachable">;
}

/** The options of `ip addr add` besides prefix and device. */
export interface AddressOptions {
	/** IPv4 only. If not given, "host" for 127.0.0.0/8, else "global". */
	scope?: "global" | "link" | "host";
	/** IPv4 only: an address, "+" for the last address of the subnet, "-" for the first. */
	broadcast?: string;
	/** IPv6 only, `preferred_lft 0`: another address is preferred as a source. */
	deprecated?: boolean;
}

/** Which addresses `ip addr flush` removes: those that match every given option. */
export interface FlushOptions {
	/** Name of the device; every device if not given. */
	dev?: string;
	/** Addresses within this prefix. */
	to?: string;
	family?: 4 | 6;
	scope?: "global" | "link" | "host";
}

const TYPES = {
	unicast: RTN_UNICAST,
	local: RTN_LOCAL,
	blackhole: RTN_BLACKHOLE,
	unreachable: RTN_UNREACHABLE,
	prohibit: RTN_PROHIBIT,
} as const;

const SCOPES = { global: RT_SCOPE_UNIVERSE, link: RT_SCOPE_LINK, host: RT_SCOPE_HOST } as const;

const TABLES: Readonly<Record<string, number>> = {
	main: RT_TABLE_MAIN,
	local: RT_TABLE_LOCAL,
	default: RT_TABLE_DEFAULT,
};

/** Prefixes of sysctl names. */
const IPV4 = "net.ipv4.";
const IPV6 = "net.ipv6.";

type Prefix =
	| { family: 4; addr: number; plen: number }
	| { family: 6; addr: In6Addr; plen: number };

/** Parses a prefix. `family` is the family of "default". */
function parsePrefix(text: string, family: 4 | 6 | undefined): Prefix {
	checkString("prefix", text);
	const all = family === 6 ? "::/0" : "0.0.0.0/0";
	const [host = "", length, more] = (text === "default" ? all : text).split("/");
	if (more !== undefined) throw new RangeError(`not a prefix: ${shownText(text)}`);
	const plen = /^[0-9]+$/.test(length ?? "0") ? Number(length ?? 128) : Number.POSITIVE_INFINITY;
	if (host.includes(":")) {
		const addr = parseIpv6(host);
		if (addr === null || plen > 128) throw new RangeError(`not an IPv6 prefix: ${shownText(text)}`);
		return { family: 6, addr, plen };
	}
	const addr = parseIpv4(host);
	if (addr === null || (length !== undefined && plen > 32)) {
		throw new RangeError(`not an IPv4 prefix: ${shownText(text)}`);
	}
	return { family: 4, addr, plen: length === undefined ? 32 : plen };
}

/** An IPv4 address; 0 if not given. */
function parse4(text: string | undefined): number {
	const value = text === undefined ? 0 : parseIpv4(checkString("address", text));
	if (value === null) throw new RangeError(`not an IPv4 address: ${shownText(text ?? "")}`);
	return value;
}

function parse6(text: string | undefined): In6Addr | null {
	if (text === undefined) return null;
	const value = parseIpv6(checkString("address", text));
	if (value === null) throw new RangeError(`not an IPv6 address: ${shownText(text)}`);
	return value;
}

function parseMac(text: string): Uint8Array {
	checkString("mac", text);
	if (!/^[0-9a-f]{1,2}(:[0-9a-f]{1,2}){5}$/i.test(text)) {
		throw new RangeError(`not a MAC address: ${shownText(text)}`);
	}
	return Uint8Array.from(text.split(":"), (byte) => Number.parseInt(byte, 16));
}

const SCOPE_NAMES = ["global", "link", "host"] as const;
const TYPE_NAMES = ["unicast", "local", "blackhole", "unreachable", "prohibit"] as const;
const ANSWERS = ["blackhole", "accept", "refuse"] as const;

/** Throws TypeError or RangeError for a bad word or number in a route. */
function checkRoute({ type, scope, answer, metric, family, onlink }: RouteOptions): void {
	if (type !== undefined) checkWord("type", type, TYPE_NAMES);
	if (scope !== undefined) checkWord("scope", scope, SCOPE_NAMES);
	if (answer !== undefined) checkWord("answer", answer, ANSWERS);
	if (metric !== undefined) checkUint("metric", metric);
	if (onlink !== undefined) checkBoolean("onlink", onlink);
	if (family !== undefined && family !== 4 && family !== 6) {
		throw new RangeError(`family: expected 4 or 6, found ${shownValue(family)}`);
	}
}

/** net/core/dev.c: dev_valid_name. */
function dev_valid_name(name: string): boolean {
	if (name === "" || name === "." || name === "..") return false;
	return new TextEncoder().encode(name).length < IFNAMSIZ && !/[/:\s\0]/.test(name);
}
const IFNAMSIZ = 16;

/**
 * Methods return 0 or a negative errno, as the kernel answers `ip` and `sysctl`. Malformed text
 * throws RangeError, a value of the wrong type TypeError. The message says what is wrong.
 */
export class NetNamespace {
	constructor(readonly net: Net) {}

	private device(name: string): NetDevice | null {
		checkString("device", name);
		return this.net.devices.find((dev) => dev.name === name) ?? null;
	}

	/**
	 * `ip link add NAME type dummy`, or `type vrf table N`. Without `mac` the device has a random
	 * MAC address, so its link-local address is unknown. A call that depends on this address throws
	 * NotModelled.
	 */
	addLink(name: string, vrfTable = 0, mac?: string): number {
		checkUint("vrfTable", vrfTable);
		const dev_addr = mac === undefined ? null : parseMac(mac);
		if (!dev_valid_name(checkString("name", name))) return -EINVAL;
		if (this.device(name) !== null) return -EEXIST;
		const ifindex = Math.max(...this.net.devices.map((dev) => dev.ifindex)) + 1;
		this.net.devices.push({
			ifindex,
			name,
			flags: 0,
			master: 0,
			l3mdev_table: vrfTable,
			ifa_list: [],
			addr_list: [],
			...(dev_addr === null ? {} : { dev_addr }),
		});
		rt_cache_flush(this.net);
		return 0;
	}

	/** `ip link delete NAME`: removes its addresses and routes too. */
	delLink(name: string): number {
		const dev = this.device(name);
		if (dev === null) return -ENODEV;
		if ((dev.flags & IFF_LOOPBACK) !== 0) return -EOPNOTSUPP;
		for (const slave of this.net.devices) {
			if (slave.master === dev.ifindex) this.changeUpper(slave, 0);
		}
		this.setLink(name, false);
		fib_disable_ip(this.net, dev, true);
		addrconf_ifdown(this.net, dev);
		this.net.devices.splice(this.net.devices.indexOf(dev), 1);
		rt_cache_flush(this.net);
		return 0;
	}

	/** `ip link set NAME name OTHER`. */
	renameLink(name: string, to: string): number {
		const dev = this.device(name);
		if (dev === null) return -ENODEV;
		if (!dev_valid_name(checkString("to", to))) return -EINVAL;
		if (this.device(to) !== null) return -EEXIST;
		dev.name = to;
		return 0;
	}

	/** `ip link set NAME up|down`. lo gets 127.0.0.1/8 and ::1 when it comes up. */
	setLink(name: string, up: boolean): number {
		const dev = this.device(name);
		checkBoolean("up", up);
		if (dev === null) return -ENODEV;
		if (((dev.flags & IFF_UP) !== 0) === up) return 0;
		dev.flags ^= IFF_UP;
		rt_cache_flush(this.net);
		if (up) {
			if ((dev.flags & IFF_LOOPBACK) !== 0) {
				inet_insert_ifa(this.net, dev, INADDR_LOOPBACK, 8, RT_SCOPE_HOST, 0);
			}
			for (const ifa of dev.ifa_list) fib_add_ifaddr(this.net, dev, ifa);
			addrconfIfup(this.net, dev);
		} else {
			fib_disable_ip(this.net, dev, false);
			addrconf_ifdown(this.net, dev);
		}
		return 0;
	}

	/**
	 * `ip link set NAME address MAC`: the link-local address changes when the device next comes up.
	 */
	setMac(name: string, mac: string): number {
		const dev = this.device(name);
		const dev_addr = parseMac(mac);
		if (dev === null) return -ENODEV;
		dev.dev_addr = dev_addr;
		return 0;
	}

	/** `ip link set NAME addrgenmode eui64|none`: whether the device gets a link-local address. */
	setAddrGenMode(name: string, mode: "eui64" | "none"): number {
		const dev = this.device(name);
		checkWord("mode", mode, ["eui64", "none"]);
		if (dev === null) return -ENODEV;
		dev.addr_gen_none = mode === "none";
		return 0;
	}

	/**
	 * `ip link set NAME master VRF`; null is nomaster. The device loses its IPv6 addresses and all
	 * its routes. If the device is up, the routes of its IPv4 addresses are added to the VRF's
	 * table.
	 */
	setMaster(name: string, master: string | null): number {
		const dev = this.device(name);
		const vrf = master === null ? null : this.device(master);
		if (dev === null || (master !== null && vrf === null)) return -ENODEV;
		if (dev.master === (vrf?.ifindex ?? 0)) return 0;
		if (dev.master !== 0) this.changeUpper(dev, 0);
		if (vrf === null) return 0;
		if (!netif_is_l3_master(vrf) || (dev.flags & IFF_LOOPBACK) !== 0) return -EOPNOTSUPP;
		if (netif_is_l3_master(dev)) return -EINVAL;
		this.changeUpper(dev, vrf.ifindex);
		return 0;
	}

	private changeUpper(dev: NetDevice, master: number): void {
		dev.master = master;
		rt_cache_flush(this.net);
		fib_disable_ip(this.net, dev, true);
		addrconf_ifdown(this.net, dev);
		if ((dev.flags & IFF_UP) === 0) return;
		this.setLink(dev.name, false);
		this.setLink(dev.name, true);
	}

	/** `ip addr add PREFIX dev NAME`. */
	addAddress(prefix: string, name: string, options: AddressOptions = {}): number {
		const dev = this.device(name);
		const { family, addr, plen } = parsePrefix(prefix, undefined);
		checkObject("options", options);
		if (options.scope !== undefined) checkWord("scope", options.scope, SCOPE_NAMES);
		if (dev === null) return -ENODEV;
		if (family === 6) {
			const { deprecated = false } = options;
			return inet6_addr_add(this.net, dev, { addr, prefix_len: plen, deprecated });
		}
		const scope = options.scope ?? (addr >>> 24 === 127 ? "host" : "global");
		const mask = inet_make_mask(plen);
		let broadcast = 0;
		if (options.broadcast === "+") broadcast = (addr | ~mask) >>> 0;
		else if (options.broadcast === "-") broadcast = (addr & mask) >>> 0;
		else broadcast = parse4(options.broadcast);
		return inet_insert_ifa(this.net, dev, addr, plen, SCOPES[scope], broadcast);
	}

	/** `ip addr replace PREFIX dev NAME`: adds an address, or changes an existing one. */
	replaceAddress(prefix: string, name: string, options: AddressOptions = {}): number {
		const result = this.addAddress(prefix, name, options);
		const dev = this.device(name);
		if (result !== -EEXIST || dev === null) return result;
		const { family, addr } = parsePrefix(prefix, undefined);
		if (family === 6 && options.deprecated !== undefined) {
			for (const ifa of dev.addr_list) {
				if (formatIpv6(ifa.addr) === formatIpv6(addr)) ifa.deprecated = options.deprecated;
			}
		}
		return 0;
	}

	/**
	 * `ip addr del PREFIX dev NAME`. An IPv4 address without a length removes the first equal
	 * address.
	 */
	delAddress(prefix: string, name: string): number {
		const dev = this.device(name);
		const { family, addr, plen } = parsePrefix(prefix, undefined);
		if (dev === null) return -ENODEV;
		if (family === 6) return inet6_addr_del(this.net, dev, addr, plen);
		const any = prefix.includes("/") ? undefined : dev.ifa_list.find((i) => i.ifa_local === addr);
		return inet_del_ifa(this.net, dev, addr, any?.ifa_prefixlen ?? plen);
	}

	/**
	 * `ip addr flush`. An address that is removed together with another one, as secondaries are, is
	 * not an error.
	 */
	flushAddresses(options: FlushOptions): number {
		checkObject("options", options);
		if (options.scope !== undefined) checkWord("scope", options.scope, SCOPE_NAMES);
		if (options.dev !== undefined) checkString("dev", options.dev);
		const { family } = options;
		const within = options.to === undefined ? null : parsePrefix(options.to, family);
		const scope = options.scope === undefined ? null : SCOPES[options.scope];
		const devices = this.net.devices.filter(({ name }) => name === (options.dev ?? name));
		if (devices.length === 0) return -ENODEV;
		for (const dev of devices) {
			for (const ifa of family === 6 ? [] : [...dev.ifa_list]) {
				if (scope !== null && ifa.ifa_scope !== scope) continue;
				if (within !== null && within.family !== 4) continue;
				if (
					within !== null &&
					((ifa.ifa_local ^ within.addr) & inet_make_mask(within.plen)) !== 0
				) {
					continue;
				}
				inet_del_ifa(this.net, dev, ifa.ifa_local, ifa.ifa_prefixlen);
			}
			for (const ifa of family === 4 ? [] : [...dev.addr_list]) {
				const { host, link } = { host: ifa.scope === IFA_HOST, link: ifa.scope === IFA_LINK };
				const found = host ? RT_SCOPE_HOST : link ? RT_SCOPE_LINK : RT_SCOPE_UNIVERSE;
				if (scope !== null && found !== scope) continue;
				if (within !== null && within.family !== 6) continue;
				if (within !== null) {
					const prefix = ipv6_addr_prefix(ifa.addr, within.plen);
					if (formatIpv6(prefix) !== formatIpv6(ipv6_addr_prefix(within.addr, within.plen))) {
						continue;
					}
				}
				inet6_addr_del(this.net, dev, ifa.addr, ifa.prefix_len);
			}
		}
		return 0;
	}

	private prefixOf(options: RouteOptions): Prefix {
		checkObject("route", options, "a route { to, … }");
		checkRoute(options);
		const other = options.via ?? options.src ?? "";
		return parsePrefix(options.to, options.family ?? (other.includes(":") ? 6 : 4));
	}

	/** The table of a route, or -ENODEV if there is no such VRF. */
	private tableOf(options: RouteOptions): number {
		if (options.vrf !== undefined) return this.device(options.vrf)?.l3mdev_table || -ENODEV;
		const { table } = options;
		if (table === undefined) return options.type === "local" ? RT_TABLE_LOCAL : RT_TABLE_MAIN;
		const named = Object.hasOwn(TABLES, table) ? TABLES[table] : undefined;
		const number = named ?? Number(table);
		if (!(Number.isInteger(number) && number > 0 && number <= 0xffffffff))
			throw new RangeError(`not a table: ${shownText(String(table))}`);
		return number;
	}

	/** `ip route add`. */
	addRoute(options: RouteOptions): number {
		return this.newRoute(options, "exclusive");
	}

	/** `ip route replace`: replaces the route with the same prefix and metric, or adds one. */
	replaceRoute(options: RouteOptions): number {
		return this.newRoute(options, "replace");
	}

	/** `ip route append`: adds it after the routes with the same prefix and metric. */
	appendRoute(options: RouteOptions): number {
		return this.newRoute(options, "append");
	}

	private newRoute(options: RouteOptions, mode: "exclusive" | "append" | "replace"): number {
		const { family, addr, plen } = this.prefixOf(options);
		const type = TYPES[options.type ?? "unicast"];
		const table = this.tableOf(options);
		const dev = options.dev === undefined ? null : this.device(options.dev);
		const { metric, onlink = false, answer } = options;
		if (table < 0 || (options.dev !== undefined && dev === null)) return -ENODEV;
		const oif = dev?.ifindex ?? 0;
		if (family === 6) {
			const route = {
				table,
				dst: ipv6_addr_prefix(addr, plen),
				plen,
				type,
				oif,
				prefsrc: parse6(options.src),
				gateway: parse6(options.via),
				metric: metric || IP6_RT_PRIO_USER,
				onlink,
				...(answer === undefined ? {} : { answer }),
			};
			return ip6_route_add(this.net, route, mode);
		}
		const gateway = parse4(options.via);
		const prefsrc = parse4(options.src);
		if ((addr & ~inet_make_mask(plen)) !== 0) return -EINVAL;
		let scope: "global" | "link" | "host" = "global";
		if (type === RTN_LOCAL) scope = "host";
		else if (type === RTN_UNICAST && gateway === 0) scope = "link";
		const route = {
			table,
			dst: addr,
			plen,
			type,
			kernel: false,
			scope: SCOPES[options.scope ?? scope],
			oif,
			prefsrc,
			gateway,
			metric: metric ?? 0,
			answer: answer ?? ("blackhole" as const),
		};
		return fib_table_insert(this.net, route, mode, onlink);
	}

	/** `ip route del`: deletes the first matching route. Returns 0 or -ESRCH. */
	delRoute(route: string | RouteOptions): number {
		const options = typeof route === "string" ? { to: route } : route;
		const { family, addr, plen } = this.prefixOf(options);
		const table = this.tableOf(options);
		const dev = options.dev === undefined ? null : this.device(options.dev);
		if (table < 0 || (options.dev !== undefined && dev === null)) return -ENODEV;
		if (family === 6) {
			const dst = ipv6_addr_prefix(addr, plen);
			const gateway = parse6(options.via);
			const { metric = 0 } = options;
			return ip6_route_del(this.net, table, dst, plen, metric, dev?.ifindex ?? 0, gateway);
		}
		const pattern: FibPattern = { table, dst: addr, plen };
		if (options.type !== undefined) pattern.type = TYPES[options.type];
		if (options.scope !== undefined) pattern.scope = SCOPES[options.scope];
		if (options.metric) pattern.metric = options.metric;
		if (dev !== null) pattern.oif = dev.ifindex;
		const gateway = parse4(options.via);
		if (gateway !== 0) pattern.gateway = gateway;
		if (options.src !== undefined) pattern.prefsrc = parse4(options.src);
		return (addr & ~inet_make_mask(plen)) !== 0 ? -EINVAL : fib_table_delete(this.net, pattern);
	}

	/**
	 * Reads a sysctl such as "net.ipv4.ip_local_port_range". Returns a negative errno if there is
	 * no such sysctl.
	 */
	getSysctl(name: string): string | number {
		checkString("name", name);
		if (name.startsWith(IPV6)) return sysctlRead6(this.net, name.slice(IPV6.length));
		return sysctlRead(this.net, name.startsWith(IPV4) ? name.slice(IPV4.length) : name);
	}

	/** Writes a sysctl. Returns 0, or a negative errno and changes nothing. */
	setSysctl(name: string, text: string): number {
		checkString("name", name);
		checkString("text", text);
		if (name.startsWith(IPV6)) return sysctlWrite6(this.net, name.slice(IPV6.length), text);
		return sysctlWrite(this.net, name.startsWith(IPV4) ? name.slice(IPV4.length) : name, text);
	}

	/**
	 * Writes to an open file of a sysctl, and moves its position in bytes. Returns the number of
	 * bytes that the write took, or a negative errno and changes nothing.
	 */
	writeSysctl(name: string, text: string, file: { position: number }): number {
		checkString("name", name);
		checkString("text", text);
		const six = name.startsWith(IPV6);
		const setting = name.startsWith(IPV4) ? name.slice(IPV4.length) : name;
		const found = six ? sysctlFile6(name.slice(IPV6.length)) : sysctlFile(setting);
		return found === undefined ? -ENOENT : proc_sys_write(this.net, found, text, file);
	}

	/** Lines that the kernel has logged. */
	get log(): readonly string[] {
		return this.net.log;
	}
}

/** Whether a destination is an address of this host. */
export function isHostAddress(net: Net, { family: af, address, port }: Address): boolean {
	const addr = toSockaddr({ family: af, address, port });
	if (af === "AF_INET6" && !ipv6_addr_v4mapped(addr.sin6_addr, 0)) {
		return ipv6_addr_any(addr.sin6_addr, 0) || ipv6_chk_addr(net, addr.sin6_addr, 0, 0, false);
	}
	const v4 = af === "AF_INET6" ? nth(addr.sin6_addr, 3) : addr.sin_addr;
	if (v4 === 0) return true;
	const type = inet_addr_type_table(net, v4, RT_TABLE_LOCAL);
	return type !== RTN_UNICAST || __ip_dev_find(net, v4) !== null;
}
