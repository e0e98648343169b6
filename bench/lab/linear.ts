// SPDX-License-Identifier: GPL-2.0-or-later
/**
 * The kernel's own searches: __inet_hash_connect and inet_csk_find_open_port of the model itself.
 */
import type { Strategy } from "../strategy.js";

/** The model's own search in a version, with ip_local_port_step_width if it is not 0. */
export function kernelSearch(version: string, stepWidth = 0): Strategy {
	if (stepWidth === 0) {
		return { name: version, source: "net/ipv4/inet_hashtables.c: __inet_hash_connect", version };
	}
	return {
		name: `${version}, step width ${stepWidth}`,
		source: "commit 7da62262ec96: ip_local_port_step_width, since 7.1",
		version,
		sysctls: { "net.ipv4.ip_local_port_step_width": String(stepWidth) },
	};
}

/**
 * 6.6 searches one parity after the other. 7.3 does as 6.8: a socket with its own range takes every
 * port in turn. The third has a random step, as since 7.1.
 */
export const strategies: readonly Strategy[] = [
	kernelSearch("6.6"),
	kernelSearch("7.3"),
	kernelSearch("7.3", 128),
];
