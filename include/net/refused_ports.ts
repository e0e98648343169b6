// SPDX-License-Identifier: GPL-2.0-or-later
/**
 * Ports that a search refused and would refuse again. The kernel has no such table. The scans
 * bindScan, connectScan and udpScan pass over these ports with one look each. Otherwise they read
 * the bucket of the port, its owners and their addresses.
 *
 * A record holds the key of a search and one port. The key is all that the refusal depends on: the
 * namespace and the address, for connect() also the destination. Only plain sockets search by a key:
 * they use IPv4, have no device, and in bind() neither SO_REUSEADDR nor SO_REUSEPORT.
 *
 * Invariant: the kernel's check refuses the port of each record in every search by its key. So a
 * socket that leaves its port removes the records of the port. A record may be missing: then the
 * search looks at the port itself. `kernel.verify()` checks each record.
 */
import type { Port, Sk } from "../linux/handle.js";
import { IPPROTO_DCCP } from "../uapi/linux/in.js";
import type { Net } from "./net_namespace.js";
import type { Stack } from "./stack.js";

/**
 * Words of a record: saddr, daddr, dport in the upper half and the port in the lower, the id of the
 * namespace. The id of an empty record is 0.
 */
const WORDS_LOG = 2;

/** A search makes a table at this refusal. So programs of a few calls make none. */
const WORTH_A_TABLE = 16;

export class RefusedPorts {
	/** One slot for each port of the largest range that was searched, times `ways`. */
	private records = new Int32Array(1 << WORDS_LOG);
	/** Number of slots - 1. */
	private mask = 0;
	/** Output of skip: the first port that it does not skip. */
	port: Port = 0;

	/**
	 * If the key is an address, a port has a slot in each of 4 ways. The address decides the way, so
	 * that forgetPort() finds all records of a port. If there is a destination as well, `ways` is 1,
	 * and the key decides which slot a port has.
	 */
	constructor(private readonly ways: 1 | 4) {}

	/** Adding this to a port gives its slot. `net` is the namespace's id. */
	private mix(net: number, saddr: number, daddr: number, dport: Port): number {
		const hash = Math.imul(saddr, 0x9e3779b1) ^ Math.imul(daddr ^ (dport << 7), 0x85ebca6b);
		const mixed = hash ^ (hash >>> 15);
		const of_net = Math.imul(net, 0x2545);
		if (this.ways === 1) return (mixed + of_net) | 0;
		return (Math.imul(mixed & 3, (this.mask + 1) >> 2) + of_net) | 0;
	}

	/** Whether a search adds a record for its refusal number `refusals`. */
	pays(refusals: number): boolean {
		return this.mask !== 0 || refusals >= WORTH_A_TABLE;
	}

	/** Adds a record. `ports`: how many ports the search may look at. */
	remember(
		net: number,
		saddr: number,
		daddr: number,
		dport: Port,
		port: Port,
		ports: number,
	): void {
		if (ports * this.ways > this.mask + 1) this.grow(ports * this.ways);
		const { records } = this;
		const at = ((port + this.mix(net, saddr, daddr, dport)) & this.mask) << WORDS_LOG;
		records[at] = saddr;
		records[at | 1] = daddr;
		records[at | 2] = (dport << 16) | port;
		records[at | 3] = net;
	}

	/** Makes room for `slots` records. Forgets all. */
	private grow(slots: number): void {
		let size = 256;
		while (size < slots) size *= 2;
		this.records = new Int32Array(size << WORDS_LOG);
		this.mask = size - 1;
	}

	/** Removes the record of a key and a port. Only with one way. */
	forget(net: number, saddr: number, daddr: number, dport: Port, port: Port): void {
		if (this.mask === 0) return;
		const { records } = this;
		const at = ((port + this.mix(net, saddr, daddr, dport)) & this.mask) << WORDS_LOG;
		if (records[at | 2] === ((dport << 16) | port)) records[at | 3] = 0;
	}

	/** Removes the records of a port, whatever the address. Only with 4 ways. */
	forgetPort(net: number, port: Port): void {
		const { records, mask } = this;
		if (mask === 0) return;
		for (let way = 0; way < 4; way++) {
			const slot = (port + Math.imul(net, 0x2545) + way * ((mask + 1) >> 2)) & mask;
			const at = slot << WORDS_LOG;
			if (records[at | 2] === port && records[at | 3] === net) records[at | 3] = 0;
		}
	}

	/**
	 * Passes over reserved ports and ports with a record of this key. Takes the same steps as the
	 * loop of __inet_hash_connect: from `port` on by `scan_step`, wraps around at `high`, and adds
	 * `step` to the distance `i` for each port. Returns the distance to the first other port, and
	 * stores this port in `port`. Returns `remaining` or more if there is none; then the last port is
	 * `port` - `scan_step`.
	 *
	 * It is one loop without calls that reads one array, so that the JavaScript engine keeps its
	 * variables in registers. The engine checks at every read whether the array is still what it
	 * was, and how long it is.
	 */
	skip(
		net: Net,
		saddr: number,
		daddr: number,
		dport: Port,
		port: Port,
		high: number,
		remaining: number,
		step: number,
		scan_step: number,
		i: number,
	): number {
		const { records } = this;
		const mask = this.mask | 0;
		const mix = this.mix(net.id, saddr, daddr, dport) | 0;
		const reserved = net.ipv4.sysctl_local_reserved_ports;
		const id = net.id | 0;
		const ports = (dport << 16) | 0;
		saddr |= 0;
		daddr |= 0;
		high |= 0;
		remaining |= 0;
		step |= 0;
		scan_step |= 0;
		i |= 0;
		let candidate = port | 0;
		for (; i < remaining; i = (i + step) | 0, candidate = (candidate + scan_step) | 0) {
			if (candidate >= high) candidate = (candidate - remaining) | 0;
			const at = ((candidate + mix) & mask) << WORDS_LOG;
			if (
				records[at | 2] === (ports | candidate) &&
				records[at] === saddr &&
				records[at | 1] === daddr &&
				records[at | 3] === id
			) {
				continue;
			}
			if ((reserved[candidate >>> 5] & (1 << (candidate & 31))) === 0) break;
		}
		this.port = candidate;
		return i;
	}

	/**
	 * As skip(), for the search of UDP: passes over chains of `chain_mask` + 1 slots, from the chain
	 * of port `first` to the one before `last`. Returns the `first` of the first chain that has
	 * another port in [low, high], -1 if there is none.
	 */
	skipChains(
		net: Net,
		saddr: number,
		chain_mask: number,
		low: number,
		high: number,
		first: number,
		last: number,
	): number {
		const { records } = this;
		const mask = this.mask | 0;
		const mix = this.mix(net.id, saddr, 0, 0) | 0;
		const reserved = net.ipv4.sysctl_local_reserved_ports;
		const id = net.id | 0;
		saddr |= 0;
		chain_mask |= 0;
		low |= 0;
		high |= 0;
		first |= 0;
		last |= 0;
		let port = (low + ((first - low) & chain_mask)) | 0;
		for (;;) {
			if (port <= high) {
				const at = ((port + mix) & mask) << WORDS_LOG;
				if (
					(records[at | 2] === port && records[at] === saddr && records[at | 3] === id) ||
					(reserved[port >>> 5] & (1 << (port & 31))) !== 0
				) {
					port = (port + chain_mask + 1) | 0;
					continue;
				}
				return first;
			}
			first = (first + 1) & 0xffff;
			if (first === last) return -1;
			port = (low + ((first - low) & chain_mask)) | 0;
		}
	}

	/** The records: namespace, address, destination, port. For verification. */
	*[Symbol.iterator](): Generator<readonly [number, number, number, Port, Port]> {
		const { records } = this;
		for (let at = 0; at < records.length; at += 1 << WORDS_LOG) {
			const ports = records[at | 2];
			if (records[at | 3] === 0) continue;
			yield [
				records[at | 3],
				records[at] >>> 0,
				records[at | 1] >>> 0,
				ports >>> 16,
				ports & 0xffff,
			];
		}
	}
}

/**
 * Call this before a socket leaves ehash, before a time-wait socket takes its place there, and before
 * its device changes. The socket still has its four-tuple.
 */
export function leavesEhash(k: Stack, sk: Sk): void {
	const S = k.sock;
	const hinfo = S.sk_protocol[sk] === IPPROTO_DCCP ? k.dccp_hashinfo : k.tcp_hashinfo;
	hinfo.refused_tuples.forget(
		S.skc_net[sk],
		S.skc_rcv_saddr[sk],
		S.skc_daddr[sk],
		S.skc_dport[sk],
		S.skc_num[sk],
	);
	k.guide?.leavesEhash(sk);
}
