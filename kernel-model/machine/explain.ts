// SPDX-License-Identifier: GPL-2.0-or-later
/** Explanations: what a search did and why, in a few lines. */
import { AF_INET6 } from "../../include/linux/socket.js";
import { SOCK_DEAD } from "../../include/net/sock.js";
import type { Stack } from "../../include/net/stack.js";
import { TCP_LISTEN, TCP_TIME_WAIT, tcpStateName } from "../../include/net/tcp_states.js";
import {
	CANDIDATE_CONFLICT,
	CANDIDATE_CONFLICT_ANY,
	CANDIDATE_NOT_SHAREABLE,
	CANDIDATE_OK,
	CANDIDATE_RESERVED,
	CANDIDATE_TIME_WAIT,
	CANDIDATE_TUPLE_IN_USE,
	type PortSearchTrace,
	SEARCH_BIND,
	SEARCH_UDP,
} from "../../include/trace/events/port_search.js";
import { IPPROTO_UDP, IPPROTO_UDPLITE } from "../../include/uapi/linux/in.js";
import { sock_i_uid } from "../../net/core/sock.js";
import { type Address, formatIpv4, formatIpv6 } from "./address.js";
import type { Kernel } from "./kernel.js";

const number = (n: number): string => n.toLocaleString("en-US");

/** What a verdict on a candidate means, for counts. */
const VERDICTS: Readonly<Record<number, string>> = {
	[CANDIDATE_RESERVED]: "reserved",
	[CANDIDATE_NOT_SHAREABLE]: "bucket not shareable by connect",
	[CANDIDATE_TUPLE_IN_USE]: "four-tuple in use",
	[CANDIDATE_TIME_WAIT]: "four-tuple in TIME_WAIT",
	[CANDIDATE_CONFLICT]: "conflict",
	[CANDIDATE_CONFLICT_ANY]: "conflict with a wildcard socket",
};

/** 127.0.0.1:80, [::1]:80, [fe80::1%2]:80. */
export function describeAddress({ family, address, port, scope_id = 0 }: Address): string {
	if (family !== "AF_INET6") return `${address}:${port}`;
	return `[${address}${scope_id === 0 ? "" : `%${scope_id}`}]:${port}`;
}

/** The local address of a socket; an AF_INET6 socket's as it has it, v4-mapped or not. */
export function sockSource(k: Stack, sk: number): string {
	const S = k.sock;
	if (S.skc_family[sk] !== AF_INET6) return formatIpv4(S.skc_rcv_saddr[sk]);
	return `[${formatIpv6(S.skc_v6_rcv_saddr, sk * 4)}]`;
}

/** The address and port that a socket is connected to. */
export function sockDestination(k: Stack, sk: number): string {
	const S = k.sock;
	const daddr =
		S.skc_family[sk] !== AF_INET6
			? formatIpv4(S.skc_daddr[sk])
			: `[${formatIpv6(S.skc_v6_daddr, sk * 4)}]`;
	return `${daddr}:${S.skc_dport[sk]}`;
}

/** A socket as a reader knows it: its descriptor, its addresses, its state. */
export function describeSock(k: Kernel, sk: number): string {
	const S = k.sock;
	const local = `${sockSource(k, sk)}:${S.skc_num[sk]}`;
	const peer = S.skc_dport[sk] !== 0 ? ` -> ${sockDestination(k, sk)}` : "";
	const state = S.skc_state[sk];
	let owner = "";
	if (state === TCP_TIME_WAIT) owner = "a time-wait socket";
	else if (S.rsk_listener[sk] !== 0) owner = "a connection not accepted yet";
	else if ((S.sk_flags[sk] & SOCK_DEAD) !== 0) owner = "an orphan";
	const socket = S.sk_socket[sk];
	for (const task of socket === 0 ? [] : k.tasks) {
		const fd = task.socketDescriptors().find((candidate) => task.socketOf(candidate) === socket);
		if (fd !== undefined) {
			owner = k.tasks.size > 1 ? `fd ${fd} of pid ${task.pid}` : `fd ${fd}`;
			break;
		}
	}
	const flags = [
		S.skc_reuse[sk] !== 0 ? ", SO_REUSEADDR" : "",
		S.skc_reuseport[sk] !== 0 ? ", SO_REUSEPORT" : "",
		S.skc_bound_dev_if[sk] !== 0 ? `, device ${S.skc_bound_dev_if[sk]}` : "",
	].join("");
	return `${owner} (${local}${peer} ${tcpStateName(state)}${flags})`;
}

/** UDP asks the same of a port that it chooses and of one that a program chose. */
function isUdp(k: Stack, sk: number): boolean {
	return k.sock.sk_protocol[sk] === IPPROTO_UDP || k.sock.sk_protocol[sk] === IPPROTO_UDPLITE;
}

/** Which rule of inet_bind_conflict, or of udp_lib_lport_inuse, keeps two sockets from sharing a port. */
function conflictRule(k: Kernel, sk: number, sk2: number, chosen: boolean): string {
	const S = k.sock;
	if (chosen && !isUdp(k, sk)) return "a port that the kernel chooses is not shared";
	const reuse = S.skc_reuse[sk] !== 0 && S.skc_reuse[sk2] !== 0;
	if (reuse && S.skc_state[sk2] === TCP_LISTEN)
		return "SO_REUSEADDR does not share with a listener";
	if (reuse) return "SO_REUSEADDR does not help a listener";
	if (S.skc_reuseport[sk] !== 0 && S.skc_reuseport[sk2] !== 0) {
		return `SO_REUSEPORT needs the same user (${sock_i_uid(k, sk)}, ${sock_i_uid(k, sk2)})`;
	}
	return "not both have SO_REUSEADDR, nor both SO_REUSEPORT";
}

/** Why one port was or would be passed over, in a clause. */
export function explainVerdict(
	k: Kernel,
	sk: number,
	port: number,
	verdict: number,
	sk2: number,
	chosen: boolean,
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
		case CANDIDATE_TIME_WAIT:
			return `port ${port}: the four-tuple is held by ${describeSock(k, sk2)}, which may not be reused yet`;
		default: {
			const rule = conflictRule(k, sk, sk2, chosen);
			return `port ${port} conflicts with ${describeSock(k, sk2)}: ${rule}`;
		}
	}
}

/** Collects explanations; `lines` is emptied by whoever prints them. */
export class SearchExplainer implements PortSearchTrace {
	lines: string[] = [];
	private sk = 0;
	private high = 0;
	private relax = false;
	/** First port of the pass, -1 in a search that has no passes. */
	private passStart = -1;
	private skipped = 0;
	private counts = new Map<number, number>();
	private first = new Map<number, string>();

	constructor(private readonly k: Kernel) {}

	search(kind: number, sk: number, low: number, high: number): void {
		this.sk = sk;
		this.high = high;
		const S = this.k.sock;
		const { range } = this.k.nets[S.skc_net[sk] - 1].ipv4.ip_local_ports;
		const own = [S.local_port_range_lo[sk], S.local_port_range_hi[sk]];
		const origin =
			own[0] === 0 && own[1] === 0
				? "the namespace's"
				: `IP_LOCAL_PORT_RANGE ${own.join("-")} within the namespace's ${range.join("-")}`;
		this.passStart = -1;
		const call = kind === SEARCH_BIND ? "bind" : kind === SEARCH_UDP ? "udp bind" : "connect";
		this.lines.push(`${call} searches ${low}-${high} (${origin})`);
	}

	scan(low: number, remaining: number, offset: number, half: number, relax: boolean): void {
		this.flush();
		this.relax = relax;
		const part = ["", "lower half: ", "upper half: "][half];
		const rule = relax ? ", sharing with SO_REUSEADDR sockets (ip_autobind_reuse)" : "";
		const ports = remaining === 1 ? "port" : "ports";
		this.lines.push(`${part}${number(remaining)} ${ports} from ${low + offset}${rule}`);
		// Of an odd number of ports the pass over the parity of low leaves one out.
		const high = half === 1 ? low + remaining : this.high + 1;
		if (remaining > 1 && high - low !== remaining) {
			const left = (offset & ~1) === 0 ? low + remaining : low;
			this.lines.push(`an odd number of ports: from this start ${left} is never looked at`);
		}
	}

	pass(port: number): void {
		this.flush();
		this.passStart = port;
	}

	skip(port: number, verdict: number, sk2: number): void {
		this.skipped++;
		this.counts.set(verdict, (this.counts.get(verdict) ?? 0) + 1);
		if (!this.first.has(verdict)) {
			const chosen = !this.relax;
			this.first.set(verdict, explainVerdict(this.k, this.sk, port, verdict, sk2, chosen));
		}
	}

	/** "14,116 even ports passed over: 14,110 four-tuple in use, 6 reserved; e.g. …" */
	private flush(): void {
		if (this.skipped === 0) return;
		const parity = this.passStart < 0 ? "" : (this.passStart & 1) === 0 ? "even " : "odd ";
		const counts = [...this.counts]
			.sort((a, b) => b[1] - a[1])
			.map(([verdict, count]) => `${number(count)} ${VERDICTS[verdict] ?? verdict}`);
		const plural = this.skipped === 1 ? "port" : "ports";
		this.lines.push(`${number(this.skipped)} ${parity}${plural} passed over: ${counts.join(", ")}`);
		for (const [verdict, example] of this.first) {
			if (verdict !== CANDIDATE_RESERVED) this.lines.push(`  e.g. ${example}`);
		}
		this.skipped = 0;
		this.counts = new Map();
		this.first = new Map();
	}

	chosen(port: number): void {
		this.flush();
		this.lines.push(port === 0 ? "no port is left" : `chose ${port}`);
	}

	bound(sk: number, port: number, fast: boolean, verdict: number, sk2: number): void {
		if (isUdp(this.k, sk)) {
			const where = fast ? ", by the chains of its address and of the wildcard" : "";
			const free = `no socket on port ${port} conflicts`;
			const what =
				verdict === CANDIDATE_OK ? free : explainVerdict(this.k, sk, port, verdict, sk2, false);
			this.lines.push(`udp bind${where}: ${what}`);
			return;
		}
		const call = this.k.sock.skc_state[sk] === TCP_LISTEN ? "listen" : "bind";
		if (verdict !== CANDIDATE_OK) {
			this.lines.push(`${call}: ${explainVerdict(this.k, sk, port, verdict, sk2, false)}`);
		} else if (fast) {
			this.lines.push(`${call}: the bucket of port ${port} is shared without a look at its owners`);
		} else {
			this.lines.push(`${call}: no owner of port ${port} conflicts`);
		}
	}

	bucket(tb: number, fastreuse: number, fastreuseport: number): void {
		const T = this.k.tcp_hashinfo.bind_bucket_cachep;
		const before = `fastreuse ${fastreuse}, fastreuseport ${fastreuseport}`;
		const after = `fastreuse ${T.fastreuse[tb]}, fastreuseport ${T.fastreuseport[tb]}`;
		this.lines.push(
			before === after ? `its bucket: ${after}` : `its bucket: ${before} -> ${after}`,
		);
	}

	tuple(sk: number, port: number, verdict: number, sk2: number): void {
		if (verdict === CANDIDATE_OK) {
			this.lines.push(`connect keeps port ${port}: its four-tuple is free`);
		} else {
			this.lines.push(`connect: ${explainVerdict(this.k, sk, port, verdict, sk2, false)}`);
		}
	}
}
