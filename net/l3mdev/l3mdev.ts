// SPDX-License-Identifier: GPL-2.0-or-later
/** net/l3mdev/l3mdev.c, include/net/l3mdev.h: VRF devices, as far as ports and routes ask. */
import type { Net, NetDevice } from "../../include/net/net_namespace.js";

export function dev_get_by_index(net: Net, ifindex: number): NetDevice | null {
	return net.devices.find((dev) => dev.ifindex === ifindex) ?? null;
}

/** ifindex of the VRF that a device is, or is enslaved to; 0 if none. */
export function l3mdev_master_ifindex_by_index(net: Net, ifindex: number): number {
	if (ifindex === 0) return 0;
	const dev = dev_get_by_index(net, ifindex);
	if (dev === null) return 0;
	return dev.l3mdev_table !== 0 ? dev.ifindex : dev.master;
}

/** Routing table of the VRF that a device is, or is enslaved to; 0 if none. */
export function l3mdev_fib_table_by_index(net: Net, ifindex: number): number {
	const master = l3mdev_master_ifindex_by_index(net, ifindex);
	return master === 0 ? 0 : (dev_get_by_index(net, master)?.l3mdev_table ?? 0);
}

/** Which bind buckets a socket belongs to: include/net/inet_sock.h. */
export function inet_sk_bound_l3mdev(net: Net, bound_dev_if: number): number {
	if (bound_dev_if === 0 || net.ipv4.sysctl_tcp_l3mdev_accept !== 0) return 0;
	return l3mdev_master_ifindex_by_index(net, bound_dev_if);
}
