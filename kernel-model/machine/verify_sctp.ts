// SPDX-License-Identifier: GPL-2.0-or-later
/** Self-check of SCTP's tables. verify.ts checks the other tables. */
import {
	type SctpAssociation,
	type SctpEndpoint,
	sctp_ep_hashfn,
	sctp_phashfn,
} from "../../include/net/sctp.js";
import { sk_net } from "../../include/net/sock.js";
import { IPPROTO_SCTP } from "../../include/uapi/linux/in.js";
import type { Kernel } from "./kernel.js";
import { nth } from "./nth.js";

function fail(what: string): never {
	throw new Error(`verify: SCTP: ${what}`);
}

/** Throws an Error that names the first thing that is wrong. */
export function verifySctp(k: Kernel): void {
	const S = k.sock;
	const { socks, transport_hashtable, ep_hashtable } = k.sctp_globals;
	const owned = verifyBuckets(k);
	/** How often each association and each endpoint is in a table. */
	const entered = new Map<SctpAssociation, number>();
	for (const list of transport_hashtable.values()) {
		if (list.length === 0) fail("an empty list of associations is left");
		for (const asoc of list) entered.set(asoc, (entered.get(asoc) ?? 0) + 1);
	}
	const listed = new Map<SctpEndpoint, number[]>();
	for (const [slot, list] of ep_hashtable.entries()) {
		for (const ep of list) listed.set(ep, [...(listed.get(ep) ?? []), slot]);
	}
	const live = new Set(S.handles());
	for (const sk of live) {
		if (S.sk_protocol[sk] !== IPPROTO_SCTP) continue;
		if (!socks.has(sk)) fail(`socket ${sk} has no endpoint`);
	}
	for (const [sk, { ep }] of socks) {
		const what = `socket ${sk}`;
		if (!live.has(sk)) fail(`${what} is freed but has an endpoint`);
		if (ep.sk !== sk) fail(`${what} has another's endpoint`);
		const port = S.skc_num[sk];
		if (owned.has(sk) !== (port !== 0)) fail(`${what} has port ${port}, or has it not`);
		const { bind_addr } = ep;
		if (bind_addr.port !== port) fail(`${what} has port ${port}, its list ${bind_addr.port}`);
		if (bind_addr.address_list.some(({ sin_port }) => sin_port !== port)) {
			fail(`${what} has addresses of another port`);
		}
		verifyEndpoint(k, ep, listed.get(ep) ?? []);
		listed.delete(ep);
		for (const asoc of ep.asocs) {
			verifyAssociation(k.sctp_globals, asoc, ep);
			if (entered.get(asoc) !== asoc.peer.transports.length) {
				fail(`${what} has too many ways, or too few`);
			}
			entered.delete(asoc);
		}
	}
	if (entered.size > 0) fail("ways of associations that are no more");
	const { asocs, packets, backlog } = k.sctp_globals;
	const all = [...socks.values()].flatMap(({ ep }) => ep.asocs);
	if (asocs.filter((asoc) => asoc !== null).length !== all.length) fail("lost associations");
	if (packets.length > 0 || backlog.length > 0) fail("packets are in flight");
	if (listed.size > 0) fail("an endpoint that is no more listens");
}

/**
 * Checks that buckets are on the right chains and that their owners point to them. Returns the
 * owners.
 */
function verifyBuckets(k: Kernel): Set<number> {
	const S = k.sock;
	const { port_hashtable, bucket_cachep: T } = k.sctp_globals;
	const owned = new Set<number>();
	const keys = new Set<string>();
	let seen = 0;
	for (let slot = 0; slot < port_hashtable.length; slot++) {
		let before = ~slot;
		for (let pp = nth(port_hashtable, slot); pp !== 0; pp = nth(T.node_next, pp)) {
			if (T.node_pprev[pp] !== before) fail(`link back of bucket ${pp} is broken`);
			before = pp;
			seen++;
			const what = `bucket of port ${T.port[pp]}`;
			if (sctp_phashfn(nth(k.nets, nth(T.net, pp) - 1), nth(T.port, pp)) !== slot)
				fail(`${what} is misplaced`);
			if (T.owner[pp] === 0) fail(`${what} has no owner`);
			const key = `${T.net[pp]} ${T.port[pp]}`;
			if (keys.has(key)) fail(`${what}: there is a second one`);
			keys.add(key);
			let prev = ~pp;
			for (let sk = nth(T.owner, pp); sk !== 0; sk = nth(S.bind_node_next, sk)) {
				if (S.bind_node_pprev[sk] !== prev || owned.has(sk)) fail(`${what}: broken list`);
				prev = sk;
				owned.add(sk);
				if (S.icsk_bind_hash[sk] !== pp) fail(`${what}: socket ${sk} does not know it`);
				if (S.skc_num[sk] !== T.port[pp] || S.skc_net[sk] !== T.net[pp]) {
					fail(`${what}: socket ${sk} has another port`);
				}
			}
		}
	}
	const { length } = T.handles();
	if (seen !== length) fail(`${length} buckets, ${seen} on chains`);
	return owned;
}

/** A listening endpoint is once on the list of its port. Other endpoints are not listed. */
function verifyEndpoint(k: Kernel, ep: SctpEndpoint, slots: readonly number[]): void {
	if (ep.hashent === -1 ? slots.length !== 0 : slots.length !== 1 || slots[0] !== ep.hashent) {
		fail(`socket ${ep.sk} is listed ${slots.length} times`);
	}
	if (ep.hashent !== -1) {
		const net = sk_net(k, ep.sk);
		if (sctp_ep_hashfn(net, ep.bind_addr.port) !== ep.hashent) fail(`${ep.sk} is misplaced`);
	}
}

function verifyAssociation(
	{ asocs }: Kernel["sctp_globals"],
	asoc: SctpAssociation,
	ep: SctpEndpoint,
): void {
	const what = `association of socket ${ep.sk}`;
	if (asoc.dead) fail(`${what} is freed`);
	if (asoc.ep !== ep || asoc.sk !== ep.sk) fail(`${what} is another's`);
	if (asocs[asoc.id] !== asoc) fail(`${what} has the number of another one`);
	if (asoc.temp) fail(`${what} is temporary`);
	const { control_chunk_list, transmitted, next_tsn } = asoc.outqueue;
	if (control_chunk_list.length > 0) fail(`${what} has chunks that were not sent`);
	const ordered = transmitted.every(({ tsn }, i) => {
		const after = transmitted[i + 1]?.tsn ?? next_tsn;
		return tsn < after;
	});
	if (!ordered) fail(`${what}: data is out of order`);
}
