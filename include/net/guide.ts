// SPDX-License-Identifier: GPL-2.0-or-later
/**
 * A guide of the searches: it knows ports that a search would refuse, so that the search need not
 * look at them. Its three functions give the answers of bindScan, connectScan and udpScan. The other
 * functions tell it what may make a refused port acceptable. The kernel has no guide.
 */
import type { Ifindex, Port, Sk } from "../linux/handle.js";
import type { InetHashinfo } from "./inet_hashtables.js";
import type { Net } from "./net_namespace.js";

export interface PortGuide {
	/** See bindScan. */
	bindScan(
		net: Net,
		sk: Sk,
		port: Port,
		l3mdev: Ifindex,
		high: number,
		remaining: number,
		relax: boolean,
	): number;
	/** See connectScan. */
	connectScan(
		net: Net,
		sk: Sk,
		port: Port,
		l3mdev: Ifindex,
		high: number,
		remaining: number,
		step: number,
		scan_step: number,
	): number;
	/** See udpScan. */
	udpScan(net: Net, sk: Sk, low: number, high: number, first: number, last: number): number;

	/** A socket left a bucket of a port, or its address in the bucket changed. */
	leavesBucket(hinfo: InetHashinfo, net: number, port: Port): void;
	/**
	 * A socket leaves ehash, a time-wait socket takes its place there, or its device changes. It
	 * still has its four-tuple.
	 */
	leavesEhash(sk: Sk): void;
	/** A UDP sock leaves its port, or its address changes. It still has its port. */
	leavesUdp(sk: Sk): void;
}
