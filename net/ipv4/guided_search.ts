// SPDX-License-Identifier: GPL-2.0-or-later
/**
 * The kernel's searches, guided by bitmaps of refused ports. C has no such file. The searches choose
 * the same port from the same draws, but pass over 32 ports at a time, or over 1,024 if the bits of
 * all are set.
 *
 * Invariant: a bit is set only if the kernel's check refuses the port in every search that reads the
 * bitmap. A search visits the kernel's candidates in the kernel's order, leaves out those whose bit is
 * set, and makes the kernel's check on the others. So the first port that it accepts is the kernel's. A
 * refusal sets a bit if it lasts until a socket leaves the port. A socket that leaves clears bits.
 * Clearing a bit is always safe.
 *
 * There is a bitmap of four-tuples in use for each (address, destination, destination port), one of
 * buckets that connect() cannot share, and one of conflicts for each address that bind() names, for
 * TCP and for UDP. Other sockets use the kernel's own scans: AF_INET6 sockets (but not connections
 * to v4-mapped addresses), sockets with a device, with SO_REUSEADDR in bind(), or with SO_REUSEPORT
 * in UDP's bind().
 */
import type { Ifindex, Port, Sk } from "../../include/linux/handle.js";
import { ipv4_is_loopback } from "../../include/linux/in.js";
import { hlist_add_head, hlist_del_init } from "../../include/linux/list.js";
import { AF_INET } from "../../include/linux/socket.js";
import type { PortGuide } from "../../include/net/guide.js";
import { type InetHashinfo, tcp_or_dccp_get_hashinfo } from "../../include/net/inet_hashtables.js";
import type { Net } from "../../include/net/net_namespace.js";
import type { Stack } from "../../include/net/stack.js";
import { TCP_TIME_WAIT } from "../../include/net/tcp_states.js";
import { udp_port_hash } from "../../include/net/udp.js";
import {
	CANDIDATE_CONFLICT,
	CANDIDATE_CONFLICT_ANY,
	CANDIDATE_NOT_SHAREABLE,
	CANDIDATE_OK,
	CANDIDATE_TIME_WAIT,
	CANDIDATE_TUPLE_IN_USE,
} from "../../include/trace/events/port_search.js";
import { IPPROTO_UDPLITE } from "../../include/uapi/linux/in.js";
import { bindCandidate, bindScan } from "./inet_connection_sock.js";
import { connectCandidate, connectScan, skOverIpv6 } from "./inet_hashtables.js";
import { udp_get_table_prot, udpCandidate, udpScan } from "./udp.js";

const WORDS = 65536 / 32;
const ALL = 0xffffffff;
const EVEN = 0x55555555;
const ODD = 0xaaaaaaaa;
/**
 * After the words of a bitmap follow two summaries with one bit for each word: all even ports of the
 * word are set, and all odd ports are set.
 */
const FULL_EVEN = WORDS;
const FULL_ODD = FULL_EVEN + WORDS / 32;
const MAP_WORDS = FULL_ODD + WORDS / 32;

/** Most bitmaps. The oldest gives way to a new one. */
const MAPS = 1024;
/** Slots of the table that finds a bitmap, a power of two. */
const SLOTS = 1024;
/** A search makes a bitmap at this refusal. */
const WORTH_A_MAP = 16;

/** Kinds of bitmaps, by the search that reads them. */
const TUPLES = 0;
const BUCKETS = 1;
const BINDS = 2;
const UDP = 3;
const UDPLITE = 4;
const KINDS = 5;

export class GuidedSearch implements PortGuide {
	/** MAP_WORDS words for each bitmap. Bitmap 0 stands for none and stays empty. */
	private words = new Uint32Array(4 * MAP_WORDS);
	/** No bitmap from here on was ever used. */
	private limit = 1;
	/** The bitmap that gives way next, once there are MAPS. */
	private oldest = 1;
	/** The key of each bitmap: its kind, namespace, address, destination, destination port. */
	private readonly kind = new Uint8Array(MAPS + 1);
	private readonly net = new Uint16Array(MAPS + 1);
	private readonly saddr = new Uint32Array(MAPS + 1);
	private readonly daddr = new Uint32Array(MAPS + 1);
	private readonly dport = new Uint16Array(MAPS + 1);
	/** TUPLES: tcp_tw_reuse when its bits were set. */
	private readonly tw_reuse = new Uint8Array(MAPS + 1);
	private readonly slots = new Int32Array(SLOTS);
	private readonly slot_next = new Int32Array(MAPS + 1);
	private readonly slot_pprev = new Int32Array(MAPS + 1);
	/** Chains of all bitmaps of a kind. */
	private readonly kinds = new Int32Array(KINDS);
	private readonly kind_next = new Int32Array(MAPS + 1);
	private readonly kind_pprev = new Int32Array(MAPS + 1);

	// The search that runs: its kind and socket, its bitmaps (0: none), and its refusals.
	private search = TUPLES;
	private sk: Sk = 0;
	private l3mdev: Ifindex = 0;
	private relax = false;
	private own = 0;
	private shared = 0;
	private refusals = 0;
	/** The port that it accepted, and otherwise its last candidate. */
	private port: Port = 0;

	constructor(private readonly k: Stack) {}

	connectScan(
		net: Net,
		sk: Sk,
		port: Port,
		l3mdev: Ifindex,
		high: number,
		remaining: number,
		step: number,
		scan_step: number,
	): number {
		const { k } = this;
		const S = k.sock;
		const tcp = tcp_or_dccp_get_hashinfo(k, sk) === k.tcp_hashinfo;
		if (!tcp || S.skc_bound_dev_if[sk] !== 0 || skOverIpv6(S, sk)) {
			return connectScan(k, net, sk, port, l3mdev, high, remaining, step, scan_step);
		}
		const { sysctl_tcp_tw_reuse } = net.ipv4;
		this.begin(TUPLES, net, sk, S.skc_daddr[sk], S.skc_dport[sk]);
		if (this.own !== 0 && this.tw_reuse[this.own] !== sysctl_tcp_tw_reuse) {
			this.empty(this.own);
			this.tw_reuse[this.own] = sysctl_tcp_tw_reuse;
		}
		this.shared = this.find(BUCKETS, net.id, 0, 0, 0);
		this.l3mdev = l3mdev;
		const i =
			scan_step === step
				? this.pass(net, port, high, remaining, step)
				: this.stroll(net, port, high, remaining, step, scan_step);
		if (i < remaining) {
			k.found_port = this.port;
			k.blocker = 0;
			// The caller takes the four-tuple.
			if (this.own !== 0) this.set(this.own, this.port);
		} else {
			k.found_port = 0;
			connectCandidate(k, net, sk, this.port, l3mdev);
		}
		return i;
	}

	bindScan(
		net: Net,
		sk: Sk,
		port: Port,
		l3mdev: Ifindex,
		high: number,
		remaining: number,
		relax: boolean,
	): number {
		const { k } = this;
		const S = k.sock;
		const tcp = tcp_or_dccp_get_hashinfo(k, sk) === k.tcp_hashinfo;
		const plain =
			tcp && S.skc_family[sk] === AF_INET && S.skc_reuse[sk] === 0 && S.skc_bound_dev_if[sk] === 0;
		if (!plain) return bindScan(k, net, sk, port, l3mdev, high, remaining, relax);
		this.begin(BINDS, net, sk, 0, 0);
		this.l3mdev = l3mdev;
		this.relax = relax;
		const i = this.pass(net, port, high, remaining, 2);
		if (i < remaining) {
			k.blocker = 0;
			// The caller takes the port.
			if (this.own !== 0) this.set(this.own, this.port);
		} else {
			bindCandidate(k, net, sk, this.port, l3mdev, relax);
		}
		return i;
	}

	udpScan(net: Net, sk: Sk, low: number, high: number, first: number, last: number): number {
		const { k } = this;
		const S = k.sock;
		const { mask } = udp_get_table_prot(k, sk);
		const plain =
			S.skc_family[sk] === AF_INET &&
			S.skc_reuse[sk] === 0 &&
			S.skc_reuseport[sk] === 0 &&
			S.skc_bound_dev_if[sk] === 0;
		if (!plain || mask < 31) return udpScan(k, net, sk, low, high, first, last);
		this.begin(S.sk_protocol[sk] === IPPROTO_UDPLITE ? UDPLITE : UDP, net, sk, 0, 0);
		const reserved = net.ipv4.sysctl_local_reserved_ports;
		// Chain c has the ports c, c + mask + 1 and so on: one bit of every `fold` words.
		const fold = (mask + 1) >>> 5;
		const lowWord = low >>> 5;
		const highWord = high >>> 5;
		const lowBits = -1 << (low & 31);
		const highBits = -1 >>> (31 - (high & 31));
		let chains = ((last - first - 1) & 0xffff) + 1;
		let chain = first & mask;
		while (chains > 0) {
			const bit = chain & 31;
			const span = Math.min(32 - bit, chains);
			const own = this.own * MAP_WORDS;
			let word = chain >>> 5;
			if (word < lowWord) word += Math.ceil((lowWord - word) / fold) * fold;
			let open = 0;
			for (; word <= highWord; word += fold) {
				let free = ~(this.words[own + word] | reserved[word]);
				if (word === lowWord) free &= lowBits;
				if (word === highWord) free &= highBits;
				open |= free;
			}
			open &= (-1 << bit) & (-1 >>> (32 - bit - span));
			while (open !== 0) {
				const lowest = open & -open;
				const at = (chain & ~31) + 31 - Math.clz32(lowest);
				if (this.hasOpenPort(net, at, low, high, mask))
					return (first + ((at - first) & mask)) & 0xffff;
				open ^= lowest;
			}
			chain = (chain + span) & mask;
			chains -= span;
		}
		return -1;
	}

	leavesBucket(hinfo: InetHashinfo, net: number, port: Port): void {
		if (hinfo !== this.k.tcp_hashinfo) return;
		this.clearAll(BUCKETS, net, port);
		this.clearAll(BINDS, net, port);
	}

	leavesEhash(sk: Sk): void {
		const S = this.k.sock;
		const { skc_rcv_saddr, skc_daddr, skc_dport } = S;
		const map = this.find(TUPLES, S.skc_net[sk], skc_rcv_saddr[sk], skc_daddr[sk], skc_dport[sk]);
		if (map !== 0) this.clear(map, S.skc_num[sk]);
	}

	leavesUdp(sk: Sk): void {
		const S = this.k.sock;
		const port = udp_port_hash(S, sk);
		this.clearAll(UDP, S.skc_net[sk], port);
		this.clearAll(UDPLITE, S.skc_net[sk], port);
	}

	private begin(search: number, net: Net, sk: Sk, daddr: number, dport: Port): void {
		this.search = search;
		this.sk = sk;
		this.own = this.find(search, net.id, this.k.sock.skc_rcv_saddr[sk], daddr, dport);
		this.shared = 0;
		this.refusals = 0;
	}

	/**
	 * One pass of the kernel's search. Candidates begin at `port` and are `step` apart. A candidate
	 * at or above `high` goes back by `remaining`. Returns the distance, `remaining` or more if every
	 * port is refused.
	 */
	private pass(net: Net, port: Port, high: number, remaining: number, step: number): number {
		const all = Math.ceil(remaining / step);
		const first = Math.min(all, Math.ceil((high - port) / step));
		const found = this.scan(net, port, first, step);
		if (found !== 0) {
			this.port = found;
			return found - port;
		}
		const wrapped = port + first * step - remaining;
		const second = this.scan(net, wrapped, all - first, step);
		if (second !== 0) {
			this.port = second;
			return first * step + second - wrapped;
		}
		this.port = port + (all - 1) * step;
		if (all > first) this.port -= remaining;
		return all * step;
	}

	/** The first acceptable port among `count` ports from `from` on, `step` apart; 0 if none. */
	private scan(net: Net, from: Port, count: number, step: number): Port {
		if (count <= 0) return 0;
		const reserved = net.ipv4.sysctl_local_reserved_ports;
		const last = from + (count - 1) * step;
		let parity = ALL | 0;
		if (step === 2) parity = (from & 1) === 0 ? EVEN : ODD | 0;
		let within = -1 << (from & 31);
		for (let word = from >>> 5; word <= last >>> 5; word++) {
			const { words } = this;
			if ((word & 31) === 0 && this.isFull(word >>> 5, parity)) {
				word += 31;
				within = -1;
				continue;
			}
			const taken = words[this.own * MAP_WORDS + word] | words[this.shared * MAP_WORDS + word];
			let free = ~(taken | reserved[word]) & parity & within;
			while (free !== 0) {
				const lowest = free & -free;
				const port = (word << 5) + 31 - Math.clz32(lowest);
				if (port > last) return 0;
				if (this.accepts(net, port)) return port;
				free ^= lowest;
			}
			within = -1;
		}
		return 0;
	}

	/** Whether all ports of these parities are set in the 32 words from summary word `at` on. */
	private isFull(at: number, parity: number): boolean {
		const { words } = this;
		const own = this.own * MAP_WORDS + at;
		const shared = this.shared * MAP_WORDS + at;
		const even = words[own + FULL_EVEN] === ALL || words[shared + FULL_EVEN] === ALL;
		const odd = words[own + FULL_ODD] === ALL || words[shared + FULL_ODD] === ALL;
		return ((parity & EVEN) === 0 || even) && ((parity & ODD) === 0 || odd);
	}

	/** As pass(), for a random step between the candidates (since 7.1). */
	private stroll(
		net: Net,
		port: Port,
		high: number,
		remaining: number,
		step: number,
		scan_step: number,
	): number {
		const reserved = net.ipv4.sysctl_local_reserved_ports;
		const begin = port;
		let i = 0;
		// The lowest port of the pass. It has the parity of `port`.
		let lowest = Math.min(port, high - remaining);
		if (step === 2 && ((lowest ^ port) & 1) !== 0) lowest++;
		if (!this.hasUnknown(net, lowest, high, step)) i = remaining;
		for (; i < remaining; i += step, port += scan_step) {
			if (port >= high) port -= remaining;
			const word = port >>> 5;
			const own = this.words[this.own * MAP_WORDS + word];
			const taken = own | this.words[this.shared * MAP_WORDS + word] | reserved[word];
			if ((taken & (1 << (port & 31))) !== 0) continue;
			if (this.accepts(net, port)) {
				this.port = port;
				return i;
			}
		}
		const last = begin + (Math.ceil(remaining / step) - 1) * scan_step;
		this.port = last < high ? last : last - Math.ceil((last - high + 1) / remaining) * remaining;
		return i;
	}

	/** Whether a port in [from, high[ of the parity of `from` has no bit set; of any, if step is 1. */
	private hasUnknown(net: Net, from: Port, high: number, step: number): boolean {
		const { words } = this;
		const reserved = net.ipv4.sysctl_local_reserved_ports;
		let parity = ALL | 0;
		if (step === 2) parity = (from & 1) === 0 ? EVEN : ODD | 0;
		const last = high - 1;
		let within = -1 << (from & 31);
		for (let word = from >>> 5; word <= last >>> 5; word++) {
			if (word === last >>> 5) within &= -1 >>> (31 - (last & 31));
			const taken = words[this.own * MAP_WORDS + word] | words[this.shared * MAP_WORDS + word];
			if ((~(taken | reserved[word]) & parity & within) !== 0) return true;
			within = -1;
		}
		return false;
	}

	/** Makes the kernel's check of a port, and sets the bit of a lasting refusal. */
	private accepts(net: Net, port: Port): boolean {
		const { k, sk, l3mdev } = this;
		const verdict =
			this.search === TUPLES
				? connectCandidate(k, net, sk, port, l3mdev)
				: bindCandidate(k, net, sk, port, l3mdev, this.relax);
		if (verdict === CANDIDATE_OK) return true;
		this.refusals++;
		if (verdict === CANDIDATE_NOT_SHAREABLE) {
			if (this.shared === 0) this.shared = this.make(BUCKETS, net.id, 0, 0, 0);
			this.set(this.shared, port);
		} else if (this.lasts(net, verdict)) {
			this.refuse(port);
		}
		return false;
	}

	/** Whether the socket k.blocker refuses its port until it leaves the port. */
	private lasts(net: Net, verdict: number): boolean {
		const { k } = this;
		const S = k.sock;
		const sk2 = k.blocker;
		if (verdict === CANDIDATE_CONFLICT) return true;
		if (verdict === CANDIDATE_CONFLICT_ANY) {
			// Otherwise a new bucket of IPv6-only sockets may hide this one.
			return k.changes.has("bhash2-every-wildcard-bucket"); // since 6.9, d91ef1e1b55f
		}
		// While sk2 is an owner, the bucket exists.
		if (S.icsk_bind_hash[sk2] !== k.found_tb) return false;
		if (verdict === CANDIDATE_TUPLE_IN_USE) return S.skc_state[sk2] < TCP_TIME_WAIT;
		if (verdict !== CANDIDATE_TIME_WAIT) return false;
		// tcp_twsk_unique: never, whatever time it is.
		if (net.ipv4.sysctl_tcp_tw_reuse === 0) return true;
		if (net.ipv4.sysctl_tcp_tw_reuse !== 2 || S.skc_family[sk2] !== AF_INET) return false;
		return !ipv4_is_loopback(S.skc_daddr[sk2]) && !ipv4_is_loopback(S.skc_rcv_saddr[sk2]);
	}

	/** Whether a chain of the first hash of UDP has a port of the range that the sock can take. */
	private hasOpenPort(net: Net, chain: number, low: number, high: number, mask: number): boolean {
		const reserved = net.ipv4.sysctl_local_reserved_ports;
		for (let port = low + ((chain - low) & mask); port <= high; port += mask + 1) {
			const word = port >>> 5;
			const taken = this.words[this.own * MAP_WORDS + word] | reserved[word];
			if ((taken & (1 << (port & 31))) !== 0) continue;
			if (udpCandidate(this.k, net, this.sk, port) === CANDIDATE_OK) return true;
			this.refusals++;
			this.refuse(port);
		}
		return false;
	}

	/** Sets a bit of the running search's own bitmap. */
	private refuse(port: Port): void {
		if (this.own === 0) {
			if (this.refusals < WORTH_A_MAP) return;
			const { sk, search } = this;
			const S = this.k.sock;
			const connects = search === TUPLES;
			const daddr = connects ? S.skc_daddr[sk] : 0;
			const dport = connects ? S.skc_dport[sk] : 0;
			const net = S.skc_net[sk];
			this.own = this.make(search, net, S.skc_rcv_saddr[sk], daddr, dport);
			const { ipv4 } = this.k.nets[net - 1];
			this.tw_reuse[this.own] = ipv4.sysctl_tcp_tw_reuse;
		}
		this.set(this.own, port);
	}

	/** The bitmap of a key, 0 if there is none. */
	private find(kind: number, net: number, saddr: number, daddr: number, dport: Port): number {
		let map = this.slots[slotOf(kind, net, saddr, daddr, dport)];
		for (; map !== 0; map = this.slot_next[map]) {
			if (
				this.kind[map] === kind &&
				this.net[map] === net &&
				this.saddr[map] === saddr &&
				this.daddr[map] === daddr &&
				this.dport[map] === dport
			) {
				break;
			}
		}
		return map;
	}

	private make(kind: number, net: number, saddr: number, daddr: number, dport: Port): number {
		let map = this.limit;
		if (map <= MAPS) {
			this.limit++;
			if (this.limit * MAP_WORDS > this.words.length) {
				const words = new Uint32Array(Math.min(this.limit * 2, MAPS + 1) * MAP_WORDS);
				words.set(this.words);
				this.words = words;
			}
		} else {
			// The running search goes on without the bitmap that gives way.
			map = this.oldest;
			this.oldest = map === MAPS ? 1 : map + 1;
			if (map === this.own) this.own = 0;
			if (map === this.shared) this.shared = 0;
			hlist_del_init(this.slots, this.slot_next, this.slot_pprev, map);
			hlist_del_init(this.kinds, this.kind_next, this.kind_pprev, map);
			this.empty(map);
		}
		this.kind[map] = kind;
		this.net[map] = net;
		this.saddr[map] = saddr;
		this.daddr[map] = daddr;
		this.dport[map] = dport;
		const slot = slotOf(kind, net, saddr, daddr, dport);
		hlist_add_head(this.slots, this.slot_next, this.slot_pprev, slot, map);
		hlist_add_head(this.kinds, this.kind_next, this.kind_pprev, kind, map);
		return map;
	}

	private empty(map: number): void {
		this.words.fill(0, map * MAP_WORDS, (map + 1) * MAP_WORDS);
	}

	private set(map: number, port: Port): void {
		const { words } = this;
		const base = map * MAP_WORDS;
		const word = port >>> 5;
		const bits = words[base + word] | (1 << (port & 31));
		words[base + word] = bits;
		const odd = (port & 1) !== 0;
		if ((~bits & (odd ? ODD : EVEN)) !== 0) return;
		words[base + (odd ? FULL_ODD : FULL_EVEN) + (word >>> 5)] |= 1 << (word & 31);
	}

	private clear(map: number, port: Port): void {
		const { words } = this;
		const base = map * MAP_WORDS;
		const word = port >>> 5;
		words[base + word] &= ~(1 << (port & 31));
		const full = (port & 1) !== 0 ? FULL_ODD : FULL_EVEN;
		words[base + full + (word >>> 5)] &= ~(1 << (word & 31));
	}

	/** Clears the bit of a port in every bitmap of a kind and a namespace. */
	private clearAll(kind: number, net: number, port: Port): void {
		for (let map = this.kinds[kind]; map !== 0; map = this.kind_next[map]) {
			if (this.net[map] === net) this.clear(map, port);
		}
	}
}

/** The slot of a key. */
function slotOf(kind: number, net: number, saddr: number, daddr: number, dport: Port): number {
	let hash =
		Math.imul(saddr ^ (dport << 3) ^ kind, 0x9e3779b1) ^ Math.imul(daddr ^ net, 0x85ebca6b);
	hash ^= hash >>> 15;
	return hash & (SLOTS - 1);
}
