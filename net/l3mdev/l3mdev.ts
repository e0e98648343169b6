// SPDX-License-Identifier: GPL-2.0-or-later
/**
 * net/l3mdev/l3mdev.c, include/net/l3mdev.h: VRF devices, as far as ports and routes need them.
 * With the first VRF comes a rule that searches the table of a VRF between the local and the main
 * table.
 */
import type { Ifindex } from "../../include/linux/handle.js";
import { type NetDevice, netif_is_l3_master } from "../../include/linux/netdevice.js";
import type { FlowiOif, Net } from "../../include/net/net_namespace.js";
import { dev_get_by_index } from "../core/dev.js";

/** ifindex of the VRF that a device is or belongs to, 0 if none. */
export function l3mdev_master_ifindex(dev: NetDevice): Ifindex {
	return dev.l3mdev_table !== 0 ? dev.ifindex : dev.master;
}

/** ifindex of the VRF that a device is or belongs to, 0 if none. */
export function l3mdev_master_ifindex_by_index(net: Net, ifindex: Ifindex): Ifindex {
	if (ifindex === 0) return 0;
	const dev = dev_get_by_index(net, ifindex);
	return dev === null ? 0 : l3mdev_master_ifindex(dev);
}

/** Routing table of the VRF that a device is or belongs to, 0 if none. */
export function l3mdev_fib_table_by_index(net: Net, ifindex: Ifindex): number {
	const master = l3mdev_master_ifindex_by_index(net, ifindex);
	return master === 0 ? 0 : (dev_get_by_index(net, master)?.l3mdev_table ?? 0);
}

/**
 * include/net/inet_sock.h: inet_sk_bound_l3mdev. The l3mdev of a socket's bind bucket: the VRF of
 * the device that it is bound to. 0 if there is none or if tcp_l3mdev_accept is on.
 */
export function inet_sk_bound_l3mdev(net: Net, bound_dev_if: Ifindex): Ifindex {
	if (bound_dev_if === 0 || net.ipv4.sysctl_tcp_l3mdev_accept !== 0) return 0;
	return l3mdev_master_ifindex_by_index(net, bound_dev_if);
}

/** net->ipv4.fib_has_custom_rules: whether lookups use rules. The first VRF sets it. */
export function fib_has_custom_rules(net: Net): boolean {
	for (const dev of net.devices) if (dev.l3mdev_table !== 0) return true;
	return false;
}

/** Sets the VRF of a flow from its output device. If the output device is the VRF, sets it to 0. */
export function l3mdev_update_flow(net: Net, fl: FlowiOif): void {
	if (fl.oif === 0) return;
	const dev = dev_get_by_index(net, fl.oif);
	if (dev === null) return;
	if (fl.l3mdev === 0) fl.l3mdev = l3mdev_master_ifindex(dev);
	if (netif_is_l3_master(dev)) fl.oif = 0;
}
