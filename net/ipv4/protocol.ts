// SPDX-License-Identifier: GPL-2.0-or-later
/** net/ipv4/protocol.c: the transport protocols above IP. */
import type { NetProtocol } from "../../include/net/protocol.js";
import type { Stack } from "../../include/net/stack.js";

export function inet_add_protocol(k: Stack, prot: NetProtocol, protocol: number): void {
	k.protocols.inet_protos.set(protocol, prot);
}
