// SPDX-License-Identifier: GPL-2.0-or-later
/** Explanations: what a search did and why, and why a call failed, in a few lines. */
import { tcp_or_dccp_get_hashinfo } from "../../include/net/inet_hashtables.js";
import { sk_net } from "../../include/net/sock.js";
import { TCP_CLOSE, TCP_LISTEN } from "../../include/net/tcp_states.js";
import {
	CANDIDATE_CONFLICT,
	CANDIDATE_CONFLICT_ANY,
	CANDIDATE_NOT_SHAREABLE,
	CANDIDATE_OK,
	CANDIDATE_RESERVED,
	CANDIDATE_TIME_WAIT,
	CANDIDATE_TUPLE_IN_USE,
	SEARCH_BIND,
	SEARCH_CONNECT,
	SEARCH_UDP,
} from "../../include/trace/events/port_search.js";
import {
	EADDRINUSE,
	EADDRNOTAVAIL,
	EINPROGRESS,
	ERESTARTSYS,
} from "../../include/uapi/asm-generic/errno.js";
import { skOverIpv6 } from "../../net/ipv4/inet_hashtables.js";
import type { Address } from "./address.js";
import { count, describeSock, plural, sockDestination, sockSource } from "./describe.js";
import { failureReason } from "./failures.js";
import type { Kernel } from "./kernel.js";
import { nth } from "./nth.js";
import {
	type Asking,
	conflictFunction,
	conflictRule,
	describeConnections,
	describeRange,
	describeSharing,
	describeTakeOver,
	describeTimeWait,
	isSctp,
	isUdp,
} from "./sharing.js";
import type { KernelTrace, Syscall } from "./syscall.js";
import type { Task } from "./task.js";

export { describeAddress, describeSock, sockDestination, sockSource } from "./describe.js";

/** The words for each verdict on a candidate, used beside counts. */
const VERDICTS: Readonly<Record<number, string>> = {
	[CANDIDATE_RESERVED]: "reserved",
	[CANDIDATE_NOT_SHAREABLE]: "bucket not shareable by connect",
	[CANDIDATE_TUPLE_IN_USE]: "four-tuple in use",
	[CANDIDATE_TIME_WAIT]: "four-tuple in TIME_WAIT",
	[CANDIDATE_CONFLICT]: "conflict",
	[CANDIDATE_CONFLICT_ANY]: "conflict with a wildcard socket",
};

/**
 * Says in one clause why a port was or would be passed over. `chosen`: a search chooses the port;
 * else a program names it.
 */
export function explainVerdict(
	k: Kernel,
	sk: number,
	port: number,
	verdict: number,
	sk2: number,
	chosen: boolean,
): string {
	return verdictClause(k, sk, port, verdict, sk2, chosen ? "chosen" : "named");
}

function verdictClause(
	k: Kernel,
	sk: number,
	port: number,
	verdict: number,
	sk2: number,
	asking: Asking,
): string {
	switch (verdict) {
		case CANDIDATE_OK:
			return `port ${port} is free`;
		case CANDIDATE_RESERVED:
			return `port ${port} is in ip_local_reserved_ports`;
		case CANDIDATE_NOT_SHAREABLE:
			return `port ${port} is not shareable by connect: a bind() uses it, ${describeSock(k, sk2)}`;
		case CANDIDATE_TUPLE_IN_USE:
			return `port ${port}: the four-tuple is in use by ${describeSock(k, sk2)}`;
		case CANDIDATE_TIME_WAIT: {
			const held = `the four-tuple is held by ${describeSock(k, sk2)}`;
			return `port ${port}: ${held}, which may not be reused yet: ${describeTimeWait(k, sk2)}`;
		}
		default: {
			const rule = conflictRule(k, sk, sk2, asking);
			return `port ${port} conflicts with ${describeSock(k, sk2)}: ${rule}`;
		}
	}
}

/**
 * Says where a search's range comes from. A bound of IP_LOCAL_PORT_RANGE has an effect only if it
 * is within the namespace's range (inet_sk_get_local_port_range).
 */
export function describeRangeOrigin(k: Kernel, sk: number): string {
	const S = k.sock;
	const { range } = sk_net(k, sk).ipv4.ip_local_ports;
	const namespace = `the namespace's ${range.join("-")}`;
	const low = nth(S.local_port_range_lo, sk);
	const high = nth(S.local_port_range_hi, sk);
	if (low === 0 && high === 0) return "the namespace's";
	const within = (port: number) => range[0] <= port && port <= range[1];
	const own = `IP_LOCAL_PORT_RANGE ${low === 0 ? "" : low}-${high === 0 ? "" : high}`;
	const counts = [low, high].filter((bound) => bound !== 0).map(within);
	if (counts.every((counted) => counted)) return `${own} within ${namespace}`;
	if (counts.every((counted) => !counted)) {
		return `${own} lies outside ${namespace} and has no effect`;
	}
	const [inside, outside] = within(low) ? ["low", "high"] : ["high", "low"];
	const [takes, lies] = within(low) ? [low, high] : [high, low];
	return `${own}: its ${inside} bound ${takes} is within ${namespace}; its ${outside} bound ${lies} lies outside and has no effect`;
}

/** The kernel function in which a search ends. */
function searchFunction(k: Kernel, sk: number, kind: number): string {
	if (kind === SEARCH_UDP) return "udp_lib_get_port";
	if (isSctp(k, sk)) return "sctp_get_port_local";
	return kind === SEARCH_BIND ? "inet_csk_find_open_port" : "__inet_hash_connect";
}

/** Collects explanations in `lines`. begin() empties `lines`. */
export class SearchExplainer implements KernelTrace {
	lines: string[] = [];
	private sk = 0;
	private kind = SEARCH_BIND;
	private low = 0;
	private high = 0;
	/** Candidates passed over so far in the whole search. */
	private passedOver = 0;
	/** `lines` already says why bind(), listen() or connect() fails. */
	private told = false;
	/** The kernel returned from the call. */
	private exited = false;
	/** Destinations of connect() calls that sleep, by sock. */
	private readonly destinations = new Map<number, Address>();
	private relax = false;
	/** First port of the pass; -1 in a search without passes. */
	private passStart = -1;
	private skipped = 0;
	/** Ports of both parities were skipped. */
	private mixed = false;
	private counts = new Map<number, number>();
	private first = new Map<number, string>();

	constructor(private readonly k: Kernel) {}

	search(kind: number, sk: number, low: number, high: number): void {
		this.sk = sk;
		this.kind = kind;
		this.low = low;
		this.high = high;
		this.passedOver = 0;
		this.passStart = -1;
		const call = kind === SEARCH_BIND ? "bind" : kind === SEARCH_UDP ? "udp bind" : "connect";
		this.lines.push(`${call} searches ${low}-${high} (${describeRangeOrigin(this.k, sk)})`);
	}

	scan(low: number, remaining: number, offset: number, half: number, relax: boolean): void {
		this.flush();
		this.relax = relax;
		const part = ["", "lower half: ", "upper half: "][half];
		const rule = relax ? ", sharing with SO_REUSEADDR sockets (ip_autobind_reuse)" : "";
		this.lines.push(`${part}${plural(remaining, "port")} from ${low + offset}${rule}`);
		// If the number of ports is odd, the pass over the parity of low leaves one out.
		const high = half === 1 ? low + remaining : this.high + 1;
		if (remaining > 1 && high - low !== remaining) {
			const left = (offset & ~1) === 0 ? low + remaining : low;
			this.lines.push(`an odd number of ports: from this start ${left} is never looked at`);
		}
	}

	look(): void {}

	pass(port: number): void {
		this.flush();
		this.passStart = port;
	}

	skip(port: number, verdict: number, sk2: number): void {
		this.skipped++;
		if (((port ^ this.passStart) & 1) !== 0) this.mixed = true;
		this.passedOver++;
		this.counts.set(verdict, (this.counts.get(verdict) ?? 0) + 1);
		if (!this.first.has(verdict)) {
			const asking = this.relax ? "relaxed" : "chosen";
			this.first.set(verdict, verdictClause(this.k, this.sk, port, verdict, sk2, asking));
		}
	}

	/** "14,116 even ports passed over: 14,110 four-tuple in use, 6 reserved; e.g. …" */
	private flush(): void {
		if (this.skipped === 0) return;
		// since 6.8 a pass of connect() may look at every port, 207184853dbd
		const either = this.passStart < 0 || this.mixed;
		const parity = either ? "" : (this.passStart & 1) === 0 ? "even " : "odd ";
		const counts = [...this.counts]
			.sort((a, b) => b[1] - a[1])
			.map(([verdict, n]) => `${count(n)} ${VERDICTS[verdict] ?? verdict}`);
		this.lines.push(`${plural(this.skipped, `${parity}port`)} passed over: ${counts.join(", ")}`);
		for (const [verdict, example] of this.first) {
			if (verdict !== CANDIDATE_RESERVED) this.lines.push(`  e.g. ${example}`);
		}
		this.skipped = 0;
		this.mixed = false;
		this.counts = new Map();
		this.first = new Map();
	}

	chosen(port: number): void {
		const { k, sk, kind, low, high, relax } = this;
		this.flush();
		// The range is busy, or no port of it is left.
		if (port === 0 || this.passedOver * 2 >= high - low + 1) {
			this.lines.push(describeRange(k, kind, sk, low, high, relax, port));
		}
		if (port === 0) {
			this.told = true;
			this.lines.push(`${searchFunction(k, sk, kind)}: no port is left`);
			return;
		}
		this.lines.push(`chose ${port}`);
		if (kind === SEARCH_CONNECT) {
			if (k.found_tw !== 0) this.lines.push(describeTakeOver(k, k.found_tw));
			this.lines.push(...describeConnections(k, sk, port));
		} else {
			const why = "the search found another socket first and stopped there";
			this.lines.push(...describeSharing(k, sk, port, why));
		}
	}

	bound(sk: number, port: number, fast: boolean, verdict: number, sk2: number): void {
		const { k } = this;
		this.sk = sk;
		const udp = isUdp(k, sk);
		const listen = !udp && k.sock.skc_state[sk] === TCP_LISTEN;
		const call = udp ? "udp bind" : listen ? "listen" : "bind";
		if (verdict !== CANDIDATE_OK) {
			this.told = true;
			const clause = verdictClause(k, sk, port, verdict, sk2, "named");
			this.lines.push(`${conflictFunction(k, sk, fast)}: ${clause}`);
			return;
		}
		let why = "the searched buckets do not hold it";
		if (udp) {
			const where = fast ? ", by the chains of its address and of the wildcard" : "";
			this.lines.push(`${call}${where}: no socket on port ${port} conflicts`);
			why = fast
				? "it is not on a searched chain"
				: "the search found another socket first and stopped there";
		} else if (fast) {
			this.lines.push(
				`${call}: the bucket of port ${port} is shared without a check of its owners`,
			);
			why = "the bucket caches a socket like this one, so no owner was checked";
		} else {
			this.lines.push(`${call}: no owner of port ${port} conflicts`);
		}
		this.lines.push(...describeSharing(k, sk, port, why));
	}

	bucket(tb: number, fastreuse: number, fastreuseport: number): void {
		const T = tcp_or_dccp_get_hashinfo(this.k, this.sk).bind_bucket_cachep;
		const before = `fastreuse ${fastreuse}, fastreuseport ${fastreuseport}`;
		const after = `fastreuse ${T.fastreuse[tb]}, fastreuseport ${T.fastreuseport[tb]}`;
		this.lines.push(
			before === after ? `its bucket: ${after}` : `its bucket: ${before} -> ${after}`,
		);
	}

	tuple(sk: number, port: number, verdict: number, sk2: number): void {
		const { k } = this;
		if (verdict !== CANDIDATE_OK) {
			this.told = true;
			const clause = verdictClause(k, sk, port, verdict, sk2, "named");
			const six = skOverIpv6(k.sock, sk) ? "6" : "";
			this.lines.push(`__inet${six}_check_established: ${clause}`);
		} else if (k.found_tw !== 0) {
			const why = "a time-wait socket had its four-tuple and gives way to a bound port";
			this.lines.push(`connect keeps port ${port}: ${why} (tcp_twsk_unique)`);
		} else {
			this.lines.push(`connect keeps port ${port}: its four-tuple is free`);
		}
	}

	/** A call begins: clears what is left of the call before. */
	begin(): void {
		this.lines = [];
		this.told = false;
		this.exited = false;
	}

	/**
	 * Returns the lines on a call. The call may have failed before it reached a task: for a
	 * descriptor that is not open, or a bad pointer.
	 */
	end(task: Task, name: string, fd: number, result: number): string[] {
		if (result < 0 && result !== -ERESTARTSYS && !this.exited && this.k.trace === this) {
			this.failed(task, { name, fd, address: null }, result);
		}
		return this.lines;
	}

	sys_exit(task: Task, call: Syscall, result: number): void {
		const { told } = this;
		this.told = false;
		this.exited = true;
		const sock = task.socketOf(call.fd);
		if (result === -ERESTARTSYS) {
			if (call.address != null) this.destinations.set(sock, call.address);
			return;
		}
		let asked = call;
		if (call.name === "connect") {
			const address = call.address === undefined ? this.destinations.get(sock) : call.address;
			if (address !== undefined) asked = { length: 16, ...call, address };
			this.destinations.delete(sock);
			if (result === 0 || result === -EINPROGRESS) this.connected(sock);
		}
		if (result >= 0 || (told && (result === -EADDRINUSE || result === -EADDRNOTAVAIL))) return;
		this.failed(task, asked, result);
	}

	/** Adds a line that says why a call failed. */
	private failed(task: Task, call: Syscall, result: number): void {
		const [, where, why] = failureReason(this.k, task, call, -result);
		this.lines.push(`${where}: ${why}`);
	}

	/** Adds a line if a socket is connected to itself. */
	private connected(sock: number): void {
		const { k } = this;
		const sk = k.socket.sk[sock] ?? 0;
		const ssk = k.mptcp.socks.get(sk)?.first ?? sk;
		if (k.sock.skc_state[ssk] === TCP_CLOSE) return; // AF_UNSPEC has disconnected it
		const source = `${sockSource(k, ssk)}:${k.sock.skc_num[ssk]}`;
		if (isUdp(k, ssk) || source !== sockDestination(k, ssk)) return;
		this.lines.push(
			`${source} is both source and destination: the socket is connected to itself, and no accept() returns it`,
		);
	}
}
