// SPDX-License-Identifier: GPL-2.0-or-later
/** All bounds of a protocol: sockets that name their port, and sockets that search for one. */
import { type Bound, boundsOf } from "./kinds.js";
import type { Protocol } from "./protocols.js";
import { searchBoundsOf } from "./search_bounds.js";

export function allBoundsOf(protocol: Protocol, size: number): Bound[] {
	return [...boundsOf(protocol, size), ...searchBoundsOf(protocol, size)];
}
