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

/** Words of a key: saddr, daddr, dport in the upper half and the namespace's id in the lower, next. */
const KEY_LOG = 2;

/** All records are forgotten when another key than these is needed. */
const MAX_KEYS = 1 << 14;

/**
 * A search makes a table at this refusal, and at this port that takes() has seen. So programs of a few
 * calls make none.
 */
const WORTH_A_TABLE = 16;
const MANY_PORTS = 256;

export class RefusedPorts {
	/**
	 * A record is one word: the number of its key in the upper half, the port in the lower. 0 is an
	 * empty record. There is one slot for each port of the largest range that was searched, times
	 * `ways`.
	 */
	private records = new Int32Array(1);
	/** Number of slots - 1. */
	private mask = 0;
	/** The keys, from number 1 on. Those with the same hash are a chain from `heads` on. */
	private keys = new Int32Array(1 << KEY_LOG);
	private heads = new Int32Array(1);
	/** Number of keys. */
	private used = 0;
	/** Ports that takes() has seen without a table. */
	private taken = 0;
	/** Output of skip: the first port that it does not skip. */
	port: Port = 0;

	/**
	 * If the key is an address, a port has a slot in each of 4 ways. The key decides the way, so that
	 * forgetPort() finds all records of a port. If there is a destination as well, `ways` is 1, and the
	 * key decides which slot a port has.
	 */
	constructor(
		private readonly ways: 1 | 4,
		private readonly max_keys = MAX_KEYS,
	) {}

	/** Where the chain of a key begins. */
	private head(net: number, saddr: number, daddr: number, dport: Port): number {
		const hash = Math.imul(saddr ^ (net << 5), 0x9e3779b1) ^ Math.imul(daddr ^ dport, 0x85ebca6b);
		return (hash ^ (hash >>> 15)) & (this.heads.length - 1);
	}

	/** The number of a key, 0 if it has no record. */
	private find(net: number, saddr: number, daddr: number, dport: Port): number {
		const { keys } = this;
		const ports = (dport << 16) | net;
		saddr |= 0;
		daddr |= 0;
		let key = this.heads[this.head(net, saddr, daddr, dport)];
		for (; key !== 0; key = keys[(key << KEY_LOG) | 3]) {
			const at = key << KEY_LOG;
			if (keys[at] === saddr && keys[at | 1] === daddr && keys[at | 2] === ports) break;
		}
		return key;
	}

	/** Adds a key, which has no number yet. */
	private add(net: number, saddr: number, daddr: number, dport: Port): number {
		if (this.used === this.max_keys) {
			this.records.fill(0);
			this.heads.fill(0);
			this.used = 0;
		}
		const key = ++this.used;
		if (key << KEY_LOG === this.keys.length) this.growKeys();
		this.write(key, saddr, daddr, (dport << 16) | net);
		return key;
	}

	/** Stores a key in its place and at the head of its chain. */
	private write(key: number, saddr: number, daddr: number, ports: number): void {
		const { keys, heads } = this;
		const head = this.head(ports & 0xffff, saddr, daddr, ports >>> 16);
		const at = key << KEY_LOG;
		keys[at] = saddr;
		keys[at | 1] = daddr;
		keys[at | 2] = ports;
		keys[at | 3] = heads[head];
		heads[head] = key;
	}

	private growKeys(): void {
		const old = this.keys;
		this.keys = new Int32Array(old.length * 2);
		this.heads = new Int32Array(old.length >> KEY_LOG);
		for (let at = 1 << KEY_LOG; at < old.length; at += 1 << KEY_LOG) {
			this.write(at >> KEY_LOG, old[at], old[at | 1], old[at | 2]);
		}
	}

	/** Adding this to a port gives its slot. */
	private mix(key: number): number {
		if (this.ways === 1) return Math.imul(key, 0x9e3779b1) >>> 8;
		return Math.imul(key & 3, (this.mask + 1) >> 2);
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
		const key = this.find(net, saddr, daddr, dport) || this.add(net, saddr, daddr, dport);
		this.records[(port + this.mix(key)) & this.mask] = (key << 16) | port;
	}

	/**
	 * A search by an address accepts a port, and its socket takes the port before the next search.
	 * Adds the record that another search would add.
	 */
	takes(net: number, saddr: number, port: Port, ports: number): void {
		if (this.mask !== 0) this.remember(net, saddr, 0, 0, port, ports);
		else if (++this.taken === MANY_PORTS) this.grow(ports * this.ways);
	}

	/** Makes room for `slots` records. Forgets all. */
	private grow(slots: number): void {
		let size = 256;
		while (size < slots) size *= 2;
		this.records = new Int32Array(size);
		this.mask = size - 1;
	}

	/** Removes the record of a key and a port. Only with one way. */
	forget(net: number, saddr: number, daddr: number, dport: Port, port: Port): void {
		if (this.mask === 0) return;
		const key = this.find(net, saddr, daddr, dport);
		const slot = (port + this.mix(key)) & this.mask;
		if (this.records[slot] === ((key << 16) | port)) this.records[slot] = 0;
	}

	/** Removes the records of a port, whatever the address. Only with 4 ways. */
	forgetPort(net: number, port: Port): void {
		const { records, keys, mask } = this;
		if (mask === 0) return;
		for (let way = 0; way < 4; way++) {
			const slot = (port + this.mix(way)) & mask;
			const key = records[slot] >>> 16;
			if ((records[slot] & 0xffff) !== port) continue;
			if ((keys[(key << KEY_LOG) | 2] & 0xffff) === net) records[slot] = 0;
		}
	}

	/**
	 * Passes over reserved ports and ports with a record of this key. Takes the same steps as the
	 * loop of __inet_hash_connect: from `port` on by `scan_step`, wraps around at `high`, and adds
	 * `step` to the distance `i` for each port. Returns the distance to the first other port, and
	 * stores this port in `port`. Returns `remaining` or more if there is none; then the last port is
	 * `port` - `scan_step`.
	 *
	 * It is one loop without calls that reads one word for each port, so that the JavaScript engine
	 * keeps its variables in registers.
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
		const key = this.find(net.id, saddr, daddr, dport);
		const mask = this.mask | 0;
		const mix = this.mix(key) | 0;
		const record = (key << 16) | 0;
		const reserved = net.ipv4.sysctl_local_reserved_ports;
		high |= 0;
		remaining |= 0;
		step |= 0;
		scan_step |= 0;
		i |= 0;
		let candidate = port | 0;
		for (; i < remaining; i = (i + step) | 0, candidate = (candidate + scan_step) | 0) {
			if (candidate >= high) candidate = (candidate - remaining) | 0;
			if (records[(candidate + mix) & mask] === (record | candidate)) continue;
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
		const key = this.find(net.id, saddr, 0, 0);
		const mask = this.mask | 0;
		const mix = this.mix(key) | 0;
		const record = (key << 16) | 0;
		const reserved = net.ipv4.sysctl_local_reserved_ports;
		chain_mask |= 0;
		low |= 0;
		high |= 0;
		first |= 0;
		last |= 0;
		const chains = (chain_mask + 1) | 0;
		const wrap = (low + chains) | 0;
		let left = (((last - first - 1) & 0xffff) + 1) | 0;
		// The lowest port of a chain in the range.
		let lowest = (low + ((first - low) & chain_mask)) | 0;
		let port = lowest;
		for (;;) {
			if (port <= high) {
				if (
					records[(port + mix) & mask] !== (record | port) &&
					(reserved[port >>> 5] & (1 << (port & 31))) === 0
				) {
					return (last - left) & 0xffff;
				}
				port = (port + chains) | 0;
				if (port <= high) continue;
			}
			left = (left - 1) | 0;
			if (left === 0) return -1;
			lowest = (lowest + 1) | 0;
			if (lowest === wrap) lowest = low;
			port = lowest;
		}
	}

	/** The records: namespace, address, destination, port. For verification. */
	*[Symbol.iterator](): Generator<readonly [number, number, number, Port, Port]> {
		const { records, keys } = this;
		for (const record of records) {
			if (record === 0) continue;
			const at = (record >>> 16) << KEY_LOG;
			const ports = keys[at | 2];
			const [saddr, daddr] = [keys[at] >>> 0, keys[at | 1] >>> 0];
			yield [ports & 0xffff, saddr, daddr, ports >>> 16, record & 0xffff];
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
