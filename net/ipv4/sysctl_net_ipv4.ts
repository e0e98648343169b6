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

/** A sysctl file. */
export interface SysctlFile {
	/** Its text, or a negative errno. */
	read(net: Net): string | number;
	/**
	 * Writes `text`, which is not empty, at a position in the file. Returns the number of bytes
	 * that the write took, or a negative errno; then nothing changes.
	 */
	write(net: Net, text: string, pos: number): number;
	/** A write at position 0 leaves the position: do_proc_douintvec_w. */
	stays?: boolean;
}

const U8_MAX = 255;
const INT_MIN = -0x80000000;
const INT_MAX = 0x7fffffff;
const UINT_MAX = 0xffffffff;

/** Longest text that is parsed, bytes: PAGE_SIZE - 1. */
const MAX_WRITE = 4095;

/** Longest number with its sign, bytes: TMPBUFLEN - 1. */
const MAX_NUMBER = 21;

const SPACE = " \t\n\v\f\r";

function proc_skip_spaces(text: string, at: number): number {
	while (at < text.length && SPACE.includes(text[at])) at++;
	return at;
}

function proc_skip_char(text: string, at: number, c: string): number {
	while (text[at] === c) at++;
	return at;
}

/**
 * proc_get_long: the number at `at` in any base of C, followed by the end or by one of `followers`.
 * Returns null for EINVAL.
 */
function proc_get_long(
	text: string,
	at: number,
	followers: string,
): { value: number; end: number } | null {
	const shown = text.slice(at, at + MAX_NUMBER);
	const match = /^(-?)(0[xX][0-9a-fA-F]+|0[0-7]*|[1-9][0-9]*)/.exec(shown);
	if (match === null || match[0].length === MAX_NUMBER) return null;
	const end = at + match[0].length;
	if (end < text.length && !followers.includes(text[end])) return null;
	const digits = match[2];
	const value = /^0[0-7]+$/.test(digits) ? Number.parseInt(digits, 8) : Number(digits);
	return { value: match[1] === "" ? value : -value, end };
}

/**
 * Parses integers in any base of C as do_proc_dointvec does, or as do_proc_douintvec_w if `limit`
 * is UINT_MAX. Returns the integers and the bytes that were taken, or null for EINVAL.
 */
function parseInts(
	text: string,
	count: number,
	limit = INT_MAX,
): { values: number[]; taken: number } | null {
	const values: number[] = [];
	const page = text.slice(0, MAX_WRITE);
	let at = 0;
	while (values.length < count) {
		at = proc_skip_spaces(page, at);
		if (at === page.length) break;
		const number = proc_get_long(page, at, " \t\n");
		if (number === null) return null;
		const { value, end } = number;
		if (value > limit || value < -limit - 1) return null;
		values.push(value);
		at = end;
	}
	if (values.length === 0) return null;
	return { values, taken: text.length - (page.length - proc_skip_spaces(page, at)) };
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
	stays = false,
): SysctlFile {
	return {
		read: (net) => `${get(net)}\n`,
		write: (net, text, pos) => {
			if (pos !== 0) return text.length;
			const parsed = parseInts(text, 1, Math.max(max, INT_MAX));
			if (parsed === null) return -EINVAL;
			const [value] = parsed.values;
			if (value < min || value > max) return -EINVAL;
			if (min >= 0 && isNegative(value)) return -EINVAL;
			set(net, value);
			return stays ? text.length : parsed.taken;
		},
		stays,
	};
}

/** An int: proc_dointvec, proc_dointvec_minmax, proc_dointvec_jiffies. */
function number(key: NumberSetting, min: number, max: number, stays = false): SysctlFile {
	const set = (net: Net, value: number) => {
		net.ipv4[key] = value;
	};
	return sysctlNumber((net) => net.ipv4[key], set, min, max, stays);
}

/** An unsigned number: proc_dou8vec_minmax, proc_douintvec, proc_douintvec_minmax. */
const unsigned = (key: NumberSetting, min: number, max: number) => number(key, min, max, true);

/** ipv4_local_port_range: two ports in ascending order. The low one must not be privileged. */
const ip_local_port_range: SysctlFile = {
	read: (net) => `${net.ipv4.ip_local_ports.range.join("\t")}\n`,
	write: (net, text, pos) => {
		if (pos !== 0) return text.length;
		const parsed = parseInts(text, 2);
		if (parsed === null) return -EINVAL;
		const { values, taken } = parsed;
		if (values.some((port) => port < 1 || port > 65535)) return -EINVAL;
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
		return taken;
	},
};

/** ipv4_privileged_ports: the first port that a task without privilege may bind. */
const ip_unprivileged_port_start: SysctlFile = {
	read: (net) => `${net.ipv4.sysctl_ip_prot_sock}\n`,
	write: (net, text, pos) => {
		if (pos !== 0) return text.length;
		const parsed = parseInts(text, 1);
		if (parsed === null) return -EINVAL;
		const [first] = parsed.values;
		if (first < 0 || first > 65535) return -EINVAL;
		if (net.ipv4.ip_local_ports.range[0] < first) return -EINVAL;
		net.ipv4.sysctl_ip_prot_sock = first;
		return parsed.taken;
	},
};

/**
 * proc_do_large_bitmap: a set of ports such as "1,5-9,4000". A write at position 0 replaces the
 * whole set. A write at another position adds to it.
 */
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
	write: (net, text, pos) => {
		const parsed = parseBitmap(text);
		if (parsed === null) return -EINVAL;
		const { bitmap, taken } = parsed;
		if (pos !== 0) {
			const before = net.ipv4.sysctl_local_reserved_ports;
			for (let i = 0; i < bitmap.length; i++) bitmap[i] |= before[i];
		}
		net.ipv4.sysctl_local_reserved_ports = bitmap;
		return taken;
	},
};

/**
 * The ports of a text and the bytes that were taken, or null for EINVAL. Of a text longer than a
 * page the number at the end of the page is left to the next write.
 */
function parseBitmap(whole: string): { bitmap: Uint32Array; taken: number } | null {
	const bitmap = new Uint32Array(65536 / 32);
	const text = whole.slice(0, MAX_WRITE);
	const skipped = whole.length - text.length;
	let at = proc_skip_char(text, 0, "\n");
	while (at < text.length) {
		const saved = at;
		const first = proc_get_long(text, at, "-,\n");
		if (skipped > 0 && text.length - (first?.end ?? at) <= 1) return { bitmap, taken: saved };
		if (first === null || first.value >= 65536 || isNegative(first.value)) return null;
		let last = first.value;
		at = first.end + 1;
		if (text[first.end] === "-") {
			const bound = proc_get_long(text, at, ",\n\0");
			if (skipped > 0 && (bound?.end ?? at) === text.length) return { bitmap, taken: saved };
			if (bound === null || bound.value >= 65536 || isNegative(bound.value)) return null;
			if (first.value > bound.value) return null;
			last = bound.value;
			at = bound.end + 1;
		}
		for (let port = first.value; port <= last; port++) bitmap[port >>> 5] |= 1 << (port & 31);
		at = proc_skip_char(text, at, "\n");
	}
	return { bitmap, taken: text.length };
}

/** Whether a minus sign stands before a number, even before 0. */
function isNegative(value: number): boolean {
	return value < 0 || Object.is(value, -0);
}

/** A file that exists only in kernels with a behaviour change. */
function since(change: ChangeName, file: SysctlFile): SysctlFile {
	return {
		read: (net) => (net.changes.has(change) ? file.read(net) : -ENOENT),
		write: (net, text, pos) => (net.changes.has(change) ? file.write(net, text, pos) : -ENOENT),
		stays: file.stays === true,
	};
}

const FILES: Readonly<Record<string, SysctlFile>> = {
	ip_local_port_range,
	ip_local_reserved_ports,
	ip_unprivileged_port_start,
	ip_nonlocal_bind: unsigned("sysctl_ip_nonlocal_bind", 0, 255),
	ip_autobind_reuse: unsigned("sysctl_ip_autobind_reuse", 0, 1),
	tcp_tw_reuse: unsigned("sysctl_tcp_tw_reuse", 0, 2),
	tcp_tw_reuse_delay: since("tcp-tw-reuse-delay", unsigned("sysctl_tcp_tw_reuse_delay", 1, 60_000)), // since 6.14, ca6a6f93867a
	ip_local_port_step_width: since(
		"port-step-width", // since 7.1, 7da62262ec96
		unsigned("sysctl_ip_local_port_step_width", 0, UINT_MAX),
	),
	// The kernel keeps it in jiffies, which limits the number of seconds.
	tcp_fin_timeout: number("sysctl_tcp_fin_timeout", -INT_MAX / HZ, INT_MAX / HZ),
	tcp_fastopen: number("sysctl_tcp_fastopen", INT_MIN, INT_MAX),
	tcp_syn_retries: unsigned("sysctl_tcp_syn_retries", 1, MAX_TCP_SYNCNT),
	tcp_syn_linear_timeouts: since(
		"tcp-syn-linear-timeouts", // since 6.5, ccce324dabfe
		unsigned("sysctl_tcp_syn_linear_timeouts", 0, MAX_TCP_SYNCNT),
	),
	tcp_synack_retries: unsigned("sysctl_tcp_synack_retries", 0, U8_MAX),
	tcp_retries1: unsigned("sysctl_tcp_retries1", 0, U8_MAX),
	tcp_retries2: unsigned("sysctl_tcp_retries2", 0, U8_MAX),
	tcp_orphan_retries: unsigned("sysctl_tcp_orphan_retries", 0, U8_MAX),
	tcp_keepalive_time: number("sysctl_tcp_keepalive_time", -INT_MAX / HZ, INT_MAX / HZ),
	tcp_keepalive_intvl: number("sysctl_tcp_keepalive_intvl", -INT_MAX / HZ, INT_MAX / HZ),
	tcp_keepalive_probes: unsigned("sysctl_tcp_keepalive_probes", 0, U8_MAX),
	tcp_abort_on_overflow: unsigned("sysctl_tcp_abort_on_overflow", 0, U8_MAX),
	tcp_rfc1337: unsigned("sysctl_tcp_rfc1337", 0, U8_MAX),
	tcp_rto_min_us: since("tcp-rto-min-us", number("sysctl_tcp_rto_min_us", 1, INT_MAX)), // since 6.11, f086edef71be
	tcp_rto_max_ms: since("tcp-rto-max", number("sysctl_tcp_rto_max_ms", 1000, TCP_RTO_MAX)), // since 6.15, 54a378f43425
	tcp_l3mdev_accept: unsigned("sysctl_tcp_l3mdev_accept", 0, 1),
	udp_l3mdev_accept: unsigned("sysctl_udp_l3mdev_accept", 0, 1),
	tcp_max_tw_buckets: number("sysctl_tcp_max_tw_buckets", INT_MIN, INT_MAX),
	udp_child_hash_entries: since(
		"udp-child-hash-entries", // since 6.2, 9804985bf27f
		unsigned("sysctl_udp_child_hash_entries", 0, UDP_HTABLE_SIZE_MAX),
	),
};

/** The file below /proc/sys/net/ipv4 with a name; undefined if the model does not have it. */
export function sysctlFile(name: string): SysctlFile | undefined {
	return Object.hasOwn(FILES, name) ? FILES[name] : undefined;
}

/** Names of the files below /proc/sys/net/ipv4 that the model has. */
export const SYSCTLS: readonly string[] = Object.keys(FILES);

/** The content of a file below /proc/sys/net/ipv4, or -ENOENT. */
export function sysctlRead(net: Net, name: string): string | number {
	return sysctlFile(name)?.read(net) ?? -ENOENT;
}

/**
 * Writes to a file below /proc/sys/net/ipv4. Returns 0, or a negative errno; then nothing changes.
 * An empty write changes nothing.
 */
export function sysctlWrite(net: Net, name: string, text: string): number {
	const file = sysctlFile(name);
	return file === undefined
		? -ENOENT
		: Math.min(proc_sys_write(net, file, text, { position: 0 }), 0);
}

/**
 * fs/proc/proc_sysctl.c: proc_sys_write. Writes at the position of an open file and moves it.
 * Returns the number of bytes that the write took, or a negative errno; then nothing changes.
 */
export function proc_sys_write(
	net: Net,
	file: SysctlFile,
	text: string,
	open: { position: number },
): number {
	if (text === "") return 0;
	const { position } = open;
	const taken = file.write(net, text, position);
	if (taken > 0 && !(file.stays === true && position === 0)) open.position = position + taken;
	return taken;
}
