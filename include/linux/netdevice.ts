// SPDX-License-Identifier: GPL-2.0-or-later
/** Devices (include/linux/netdevice.h). */
import type { Inet6Ifaddr, InIfaddr } from "../net/net_namespace.js";
import type { Ifindex } from "./handle.js";

/**
 * A device: lo, a dummy, or a VRF master (`l3mdev_table` is its routing table). None has duplicate
 * address detection.
 */
export interface NetDevice {
	ifindex: Ifindex;
	name: string;
	flags: number;
	/** ifindex of the VRF that the device belongs to, 0 if none. */
	master: number;
	/** Routing table of a VRF master, 0 on other devices. */
	l3mdev_table: number;
	/** IPv4 addresses, in the order of the kernel's list. */
	ifa_list: InIfaddr[];
	/** IPv6 addresses, in the order of the kernel's list (idev->addr_list). */
	addr_list: Inet6Ifaddr[];
	/** MAC address of a dummy. If absent, the kernel chose a random one. */
	dev_addr?: Uint8Array;
	/** The device makes no link-local address (IN6_ADDR_GEN_MODE_NONE). */
	addr_gen_none?: boolean;
}

/** Whether a device is a VRF. */
export function netif_is_l3_master(dev: NetDevice): boolean {
	return dev.l3mdev_table !== 0;
}
