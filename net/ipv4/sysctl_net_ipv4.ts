// SPDX-License-Identifier: GPL-2.0-or-later
/**
 * net/ipv4/sysctl_net_ipv4.c, kernel/sysctl.c: the files below /proc/sys/net/ipv4 that affect
 * ports, parsed as the kernel parses them.
 */
import type { Port } from "../../include/linux/handle.js";
import { HZ } from "../../include/linux/timer.js";
import type { ChangeName } from "../../include/linux/version.js";
import type { Net, NetnsIpv4 } from "../../include/net/net_namespace.js";
import { MAX_TCP_SYNCNT, TCP_RTO_MAX } from "../../include/net/tcp.js";
import { UDP_HTABLE_SIZE_MAX } from "../../include/net/udp.js";
import { EINVAL, ENOENT } from "../../include/uapi/asm-generic/errno.js";

/** A sysctl file. `read` returns its text. `write` returns 0 or a negative errno. */
export interface SysctlFile {
	read(net: Net): string | number;
	write(net: Net, text: string): number;
}

const U8_MAX = 255;
const INT_MIN = -0x80000000;
const INT_MAX = 0x7fffffff;
const UINT_MAX = 0xffffffff;

/** Longest write, bytes: PAGE_SIZE - 1. */
const MAX_WRITE = 4095;

const SPACE = " \t\n\v\f\r";

/**
 * Parses integers in any base of C as proc_dointvec does, or as proc_douintvec if `limit` is
 * UINT_MAX. Returns null for EINVAL.
 */
function parseInts(text: string, count: number, limit = INT_MAX): number[] | null {
	const values: number[] = [];
	let rest = text.slice(0, MAX_WRITE);
	while (values.length < count) {
		let start = 0;
		while (start < rest.length && SPACE.includes(rest[start])) start++;
		rest = rest.slice(start);
		if (rest === "") break;
		const match = /^(-?)(0[xX][0-9a-fA-F]+|0[0-7]*|[1-9][0-9]*)/.exec(rest);
		if (match === null) return null;
		const after = rest[match[0].length];
		if (after !== undefined && !" \t\n".includes(after)) return null;
		const digits = match[2];
		const value = /^0[0-7]+$/.test(digits) ? Number.parseInt(digits, 8) : Number(digits);
		if (value > limit + (match[1] === "" ? 0 : 1)) return null;
		values.push(match[1] === "" ? value : -value);
		rest = rest.slice(match[0].length);
	}
	return values.length > 0 ? values : null;
}

/** Names of the settings that are one number. */
type NumberSetting = {
	[K in keyof NetnsIpv4]: NetnsIpv4[K] extends number ? K : never;
}[keyof NetnsIpv4];

/**
 * A file with a number between bounds: proc_dou8vec_minmax, proc_dointvec_minmax,
 * proc_dointvec_jiffies, proc_douintvec_minmax. If no negative value is allowed, a minus sign is an
 * error even before 0.
 */
export function sysctlNumber(
	get: (net: Net) => number,
	set: (net: Net, value: number) => void,
	min: number,
	max: number,
): SysctlFile {
	return {
		read: (net) => `${get(net)}\n`,
		write: (net, text) => {
			const values = parseInts(text, 1, Math.max(max, INT_MAX));
			if (values === null || values[0] < min || values[0] > max) return -EINVAL;
			if (min >= 0 && Object.is(values[0], -0)) return -EINVAL;
			set(net, values[0]);
			return 0;
		},
	};
}

function number(key: NumberSetting, min: number, max: number): SysctlFile {
	const set = (net: Net, value: number) => {
		net.ipv4[key] = value;
	};
	return sysctlNumber((net) => net.ipv4[key], set, min, max);
}

/** ipv4_local_port_range: two ports in ascending order. The low one must not be privileged. */
const ip_local_port_range: SysctlFile = {
	read: (net) => `${net.ipv4.ip_local_ports.range.join("\t")}\n`,
	write: (net, text) => {
		const values = parseInts(text, 2);
		if (values === null || values.some((port) => port < 1 || port > 65535)) return -EINVAL;
		const ports = net.ipv4.ip_local_ports;
		const low = values[0];
		const high = values[1] ?? ports.range[1];
		if (high < low || low < net.ipv4.sysctl_ip_prot_sock) return -EINVAL;
		// With an odd number of ports the two parities do not have the same number of ports.
		if (((low ^ high) & 1) === 0 && !ports.warned) {
			ports.warned = true;
			net.log.push("ip_local_port_range: prefer different parity for start/end values.");
		}
		ports.range = [low, high];
		return 0;
	},
};

/** ipv4_privileged_ports: the first port that a task without privilege may bind. */
const ip_unprivileged_port_start: SysctlFile = {
	read: (net) => `${net.ipv4.sysctl_ip_prot_sock}\n`,
	write: (net, text) => {
		const values = parseInts(text, 1);
		if (values === null || values[0] < 0 || values[0] > 65535) return -EINVAL;
		if (net.ipv4.ip_local_ports.range[0] < values[0]) return -EINVAL;
		net.ipv4.sysctl_ip_prot_sock = values[0];
		return 0;
	},
};

/** proc_do_large_bitmap: a set of ports such as "1,5-9,4000". A write replaces the whole set. */
const ip_local_reserved_ports: SysctlFile = {
	read: (net) => {
		const bitmap = net.ipv4.sysctl_local_reserved_ports;
		const has = (port: Port) => (bitmap[port >>> 5] & (1 << (port & 31))) !== 0;
		const ranges: string[] = [];
		for (let port: Port = 0; port < 65536; port++) {
			if (!has(port)) continue;
			let last = port;
			while (last < 65535 && has(last + 1)) last++;
			ranges.push(last === port ? `${port}` : `${port}-${last}`);
			port = last;
		}
		return `${ranges.join(",")}\n`;
	},
	write: (net, text) => {
		const bitmap = parseBitmap(text.slice(0, MAX_WRITE));
		if (bitmap === null) return -EINVAL;
		net.ipv4.sysctl_local_reserved_ports = bitmap;
		return 0;
	},
};

function parseBitmap(text: string): Uint32Array | null {
	const bitmap = new Uint32Array(65536 / 32);
	let at = 0;
	const skipNewlines = () => {
		while (text[at] === "\n") at++;
	};
	// proc_get_long: a number, followed by the end or by one of `followers`.
	const number = (followers: string): number | null => {
		const match = /^(0[xX][0-9a-fA-F]+|0[0-7]*|[1-9][0-9]*)/.exec(text.slice(at, at + 22));
		if (match === null) return null;
		const after = text[at + match[0].length];
		if (after !== undefined && !followers.includes(after)) return null;
		at += match[0].length;
		const digits = match[0];
		return /^0[0-7]+$/.test(digits) ? Number.parseInt(digits, 8) : Number(digits);
	};
	skipNewlines();
	while (at < text.length) {
		const first = number("-,\n");
		if (first === null || first >= 65536) return null;
		let last = first;
		const separator = text[at++];
		if (separator === "-") {
			const bound = number(",\n\0");
			if (bound === null || bound >= 65536 || first > bound) return null;
			last = bound;
			at++;
		}
		for (let port = first; port <= last; port++) bitmap[port >>> 5] |= 1 << (port & 31);
		skipNewlines();
	}
	return bitmap;
}

/** A file that exists only in kernels with a behaviour change. */
function since(change: ChangeName, file: SysctlFile): SysctlFile {
	return {
		read: (net) => (net.changes.has(change) ? file.read(net) : -ENOENT),
		write: (net, text) => (net.changes.has(change) ? file.write(net, text) : -ENOENT),
	};
}

const FILES: Readonly<Record<string, SysctlFile>> = {
	ip_local_port_range,
	ip_local_reserved_ports,
	ip_unprivileged_port_start,
	ip_nonlocal_bind: number("sysctl_ip_nonlocal_bind", 0, 255),
	ip_autobind_reuse: number("sysctl_ip_autobind_reuse", 0, 1),
	tcp_tw_reuse: number("sysctl_tcp_tw_reuse", 0, 2),
	tcp_tw_reuse_delay: since("tcp-tw-reuse-delay", number("sysctl_tcp_tw_reuse_delay", 1, 60_000)), // since 6.14, ca6a6f93867a
	ip_local_port_step_width: since(
		"port-step-width", // since 7.1, 7da62262ec96
		number("sysctl_ip_local_port_step_width", 0, UINT_MAX),
	),
	// The kernel keeps it in jiffies, which limits the number of seconds.
	tcp_fin_timeout: number("sysctl_tcp_fin_timeout", -INT_MAX / HZ, INT_MAX / HZ),
	tcp_fastopen: number("sysctl_tcp_fastopen", INT_MIN, INT_MAX),
	tcp_syn_retries: number("sysctl_tcp_syn_retries", 1, MAX_TCP_SYNCNT),
	tcp_syn_linear_timeouts: since(
		"tcp-syn-linear-timeouts", // since 6.5, ccce324dabfe
		number("sysctl_tcp_syn_linear_timeouts", 0, MAX_TCP_SYNCNT),
	),
	tcp_synack_retries: number("sysctl_tcp_synack_retries", 0, U8_MAX),
	tcp_retries1: number("sysctl_tcp_retries1", 0, U8_MAX),
	tcp_retries2: number("sysctl_tcp_retries2", 0, U8_MAX),
	tcp_orphan_retries: number("sysctl_tcp_orphan_retries", 0, U8_MAX),
	tcp_keepalive_time: number("sysctl_tcp_keepalive_time", -INT_MAX / HZ, INT_MAX / HZ),
	tcp_keepalive_intvl: number("sysctl_tcp_keepalive_intvl", -INT_MAX / HZ, INT_MAX / HZ),
	tcp_keepalive_probes: number("sysctl_tcp_keepalive_probes", 0, U8_MAX),
	tcp_abort_on_overflow: number("sysctl_tcp_abort_on_overflow", 0, U8_MAX),
	tcp_rfc1337: number("sysctl_tcp_rfc1337", 0, U8_MAX),
	tcp_rto_min_us: since("tcp-rto-min-us", number("sysctl_tcp_rto_min_us", 1, INT_MAX)), // since 6.11, f086edef71be
	tcp_rto_max_ms: since("tcp-rto-max", number("sysctl_tcp_rto_max_ms", 1000, TCP_RTO_MAX)), // since 6.15, 54a378f43425
	tcp_l3mdev_accept: number("sysctl_tcp_l3mdev_accept", 0, 1),
	udp_l3mdev_accept: number("sysctl_udp_l3mdev_accept", 0, 1),
	tcp_max_tw_buckets: number("sysctl_tcp_max_tw_buckets", INT_MIN, INT_MAX),
	udp_child_hash_entries: since(
		"udp-child-hash-entries", // since 6.2, 9804985bf27f
		number("sysctl_udp_child_hash_entries", 0, UDP_HTABLE_SIZE_MAX),
	),
};

function fileOf(name: string): SysctlFile | undefined {
	return Object.hasOwn(FILES, name) ? FILES[name] : undefined;
}

/** Names of the files below /proc/sys/net/ipv4 that the model has. */
export const SYSCTLS: readonly string[] = Object.keys(FILES);

/** The content of a file below /proc/sys/net/ipv4, or -ENOENT. */
export function sysctlRead(net: Net, name: string): string | number {
	return fileOf(name)?.read(net) ?? -ENOENT;
}

/**
 * Writes to a file below /proc/sys/net/ipv4. Returns 0, or a negative errno; then nothing changes.
 * An empty write changes nothing.
 */
export function sysctlWrite(net: Net, name: string, text: string): number {
	if (text === "" && fileOf(name) !== undefined) return 0;
	return fileOf(name)?.write(net, text) ?? -ENOENT;
}
