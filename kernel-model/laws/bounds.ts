// SPDX-License-Identifier: GPL-2.0-or-later
/** All bounds of a protocol: sockets that name their port, and sockets that search for one. */
import { type Bound, boundsOf } from "./kinds.js";
import { lifeBoundsOf } from "./life_bounds.js";
import type { Protocol } from "./protocols.js";
import { searchBoundsOf } from "./search_bounds.js";

/** SCTP's connect() fails without a route after its search has chosen, so its searches are left out. */
export function allBoundsOf(protocol: Protocol, size: number): Bound[] {
	const searches = protocol === "sctp" ? [] : searchBoundsOf(protocol, size);
	return [...boundsOf(protocol, size), ...lifeBoundsOf(protocol), ...searches];
}
