// SPDX-License-Identifier: GPL-2.0-or-later
import type { Net } from "../../include/net/net_namespace.js";

/**
 * Makes a call while the range of a namespace is one port and nothing is reserved. A search in
 * the call can choose no other port.
 */
export function withOnlyPort<T>({ ipv4 }: Net, port: number, call: () => T): T {
	const { range } = ipv4.ip_local_ports;
	const reserved = ipv4.sysctl_local_reserved_ports.slice();
	ipv4.ip_local_ports.range = [port, port];
	ipv4.sysctl_local_reserved_ports.fill(0);
	try {
		return call();
	} finally {
		ipv4.ip_local_ports.range = range;
		ipv4.sysctl_local_reserved_ports.set(reserved);
	}
}
