// SPDX-License-Identifier: GPL-2.0-or-later
/** net/sctp/transport.c: the way to the primary address of a peer. */
import { AF_UNSPEC, sockaddr_in } from "../../include/linux/socket.js";
import type { SctpAddr, SctpAssociation } from "../../include/net/sctp.js";
import type { Stack } from "../../include/net/stack.js";
import { sctp_get_af_specific, sctp_pf } from "./protocol.js";

/**
 * Finds the way. Its source address becomes the sock's own, for getsockname(), and be it a
 * listener's; the wildcard where no address of the association will do but some other
 * would (sctp_transport_pmtu).
 */
export function sctp_transport_route(k: Stack, asoc: SctpAssociation, daddr: SctpAddr): void {
	const af = sctp_get_af_specific(daddr.sin_family);
	if (af === null) return;
	asoc.dst = af.get_dst(k, asoc, daddr);
	const saddr = asoc.dst?.saddr ?? sockaddr_in(0, 0, AF_UNSPEC);
	asoc.dst ??= af.getAnyDst(k, asoc, daddr);
	if (asoc.dst !== null) sctp_pf(k, asoc.sk).to_sk_saddr(k, saddr, asoc.sk);
}
