// SPDX-License-Identifier: GPL-2.0-or-later
/** The kernel's own searches: __inet_hash_connect and inet_csk_find_open_port of the model itself. */
import type { Strategy } from "../strategy.js";

export const strategies: readonly Strategy[] = [
	{
		name: "6.6",
		source: "net/ipv4/inet_hashtables.c before 6.8: one parity, then the other",
		version: "6.6",
	},
	{
		name: "6.12",
		source: "since 6.8: a socket with a range of its own takes every port in turn",
		version: "6.12",
	},
	{
		name: "7.3",
		source: "the same, ip_local_port_step_width 0",
		version: "7.3",
	},
	{
		name: "7.3 step width 128",
		source: "commit 7da62262ec96, since 7.1: a random step",
		version: "7.3",
		sysctls: { "net.ipv4.ip_local_port_step_width": "128" },
	},
];
