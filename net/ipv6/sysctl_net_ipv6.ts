// SPDX-License-Identifier: GPL-2.0-or-later
/** net/ipv6/sysctl_net_ipv6.c: the files below /proc/sys/net/ipv6 that affect ports. */
import type { Net, NetnsIpv6 } from "../../include/net/net_namespace.js";
import { ENOENT } from "../../include/uapi/asm-generic/errno.js";
import { proc_sys_write, type SysctlFile, sysctlNumber } from "../ipv4/sysctl_net_ipv4.js";

/** A file with a u8 without narrower bounds. Every value except 0 means yes. */
function flag(key: keyof NetnsIpv6): SysctlFile {
	const set = (net: Net, value: number) => {
		net.ipv6[key] = value;
	};
	return sysctlNumber((net) => net.ipv6[key], set, 0, 255, true);
}

const FILES: Readonly<Record<string, SysctlFile>> = {
	bindv6only: flag("bindv6only"),
	ip_nonlocal_bind: flag("ip_nonlocal_bind"),
};

/** The file below /proc/sys/net/ipv6 with a name; undefined if the model does not have it. */
export function sysctlFile6(name: string): SysctlFile | undefined {
	return Object.hasOwn(FILES, name) ? FILES[name] : undefined;
}

/** Names of the files below /proc/sys/net/ipv6 that the model has. */
export const SYSCTLS6: readonly string[] = Object.keys(FILES);

/** The content of a file below /proc/sys/net/ipv6, or -ENOENT. */
export function sysctlRead6(net: Net, name: string): string | number {
	return sysctlFile6(name)?.read(net) ?? -ENOENT;
}

/**
 * Writes to a file below /proc/sys/net/ipv6. Returns 0, or a negative errno; then nothing changes.
 * An empty write changes nothing.
 */
export function sysctlWrite6(net: Net, name: string, text: string): number {
	const file = sysctlFile6(name);
	return file === undefined
		? -ENOENT
		: Math.min(proc_sys_write(net, file, text, { position: 0 }), 0);
}
