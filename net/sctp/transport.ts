// SPDX-License-Identifier: GPL-2.0-or-later
/** net/sctp/transport.c: the route to the primary address of a peer. */
import { AF_UNSPEC, sockaddr_in } from "../../include/linux/socket.js";
import type { SctpAddr, SctpAssociation } from "../../include/net/sctp.js";
import type { Stack } from "../../include/net/stack.js";
import { sctp_get_af_specific, sctp_pf } from "./protocol.js";

/**
 * Looks up the route of an association to `daddr`. The sock gets its source address, for
 * getsockname(), even if the sock listens. If only a source address that does not belong to the
 * association has a route, the sock gets the wildcard (sctp_transport_pmtu).
 */
export function sctp_transport_route(k: Stack, asoc: SctpAssociation, daddr: SctpAddr): void {
	const af = sctp_get_af_specific(daddr.sin_family);
	if (af === null) return;
	asoc.dst = af.get_dst(k, asoc, daddr);
	const saddr = asoc.dst?.saddr ?? sockaddr_in(0, 0, AF_UNSPEC);
	asoc.dst ??= af.getAnyDst(k, asoc, daddr);
	if (asoc.dst !== null) sctp_pf(k, asoc.sk).to_sk_saddr(k, saddr, asoc.sk);
}
