// SPDX-License-Identifier: GPL-2.0-or-later
/**
 * A kernel with a search strategy of the laboratory. Has the system calls that concern ports, and
 * counts the candidates of each call.
 */

import { SS_UNCONNECTED } from "../include/linux/net.js";
import { SIZEOF_SOCKADDR_IN, type Sockaddr, sockaddr_in } from "../include/linux/socket.js";
import type { Draws } from "../include/net/draws.js";
import { RTN_BROADCAST, RTN_LOCAL, RTN_MULTICAST } from "../include/net/net_namespace.js";
import { TCP_CLOSE, TCP_SYN_SENT } from "../include/net/tcp_states.js";
import { CANDIDATE_OK, noTrace } from "../include/trace/events/port_search.js";
import {
	EINPROGRESS,
	IP_LOCAL_PORT_RANGE,
	Kernel,
	type KernelOptions,
	type NetNamespace,
	SOL_IP,
	type Task,
} from "../kernel-model/index.js";
import { bindCandidate, inet_sk_get_local_port_range } from "../net/ipv4/inet_connection_sock.js";
import { connectCandidate, INET_TABLE_PERTURB_SIZE } from "../net/ipv4/inet_hashtables.js";
import { ip_route_connect } from "../net/ipv4/route.js";
import { inet_sk_bound_l3mdev } from "../net/l3mdev/l3mdev.js";
import { __sys_bind, __sys_connect } from "../net/socket.js";
import { LookCounter } from "./looks.js";
import { type Chooser, LEAVE_TO_KERNEL, type Search, type Strategy } from "./strategy.js";

/** The addresses of the kernel: 192.0.2.10 and 192.0.2.11. */
export const HERE = 0xc000020a;
export const HERE_TOO = 0xc000020b;
/** 198.51.100.1, a host that does not answer, so connections stay in SYN_SENT. */
export const THERE = 0xc6336401;
/** 203.0.113.1, a host that accepts connections, and 203.0.113.129, one that refuses them. */
export const ACCEPTING = 0xcb007101;
export const REFUSING = 0xcb007181;

interface TrialOptions {
	/** Seed of every draw; 1 if not given. */
	seed?: number;
	/** ip_local_port_range, both bounds inclusive; the kernel's default if not given. */
	range?: readonly [number, number];
	/** ip_local_reserved_ports. */
	reserved?: string;
	/** Numbers of hash buckets. The defaults are the numbers of a machine with 24 GiB. */
	tables?: NonNullable<KernelOptions["tables"]>;
}

/** A bind() whose search has one port only and draws nothing. */
const TAKE: Draws = {
	bindOffset: () => 0,
	connectOffset: () => 0,
	connectStep: () => 0,
	sctpOffset: () => 0,
	udpRand: () => 0,
	secondTicked: (_sk, _port, ticked, unsure) => ticked && !unsure,
	remoteAnswer: (_sk, answer) => answer,
	remoteAcks: () => false,
	fastopenCookie: (_sk, known) => known,
};

/** The search as a strategy sees it. All searches of a trial share one object. */
class TrialSearch implements Search {
	kind: "connect" | "bind" = "connect";
	sk = 0;
	low = 0;
	high = 0;
	local = false;
	saddr = 0;
	daddr = 0;
	dport = 0;
	looks = 0;
	/** The last refused port; 0 if none was checked. */
	refused = 0;

	constructor(
		readonly kernel: Kernel,
		private readonly namespace: NetNamespace,
	) {}

	look(port: number): number {
		this.looks++;
		const { kernel, sk } = this;
		const { net } = this.namespace;
		const l3mdev = inet_sk_bound_l3mdev(net, kernel.sock.skc_bound_dev_if[sk]);
		const verdict =
			this.kind === "connect"
				? connectCandidate(kernel, net, sk, port, l3mdev)
				: bindCandidate(kernel, net, sk, port, l3mdev, false);
		if (verdict !== CANDIDATE_OK) this.refused = port;
		return verdict;
	}

	/**
	 * A port that is refused: the last refused one, or another one if the strategy checked none.
	 */
	useless(): number {
		if (this.refused !== 0) return this.refused;
		for (let port = this.low; port <= this.high; port++) {
			if (this.look(port) !== CANDIDATE_OK) return port;
		}
		throw new Error("every port of the range is free");
	}
}

/**
 * One kernel on which a strategy is tried. Sockets are file descriptors of one privileged task.
 * Calls return the kernel's results.
 */
export class Trial {
	readonly kernel: Kernel;
	readonly net: NetNamespace;
	readonly task: Task;
	/** Candidates of the last connect() or bind(), if `counting` is set. */
	looks = 0;
	/** For how many of them the kernel's own connect() took the lock of the bucket. */
	locks = 0;
	/**
	 * Whether to count candidates of the kernel's own searches. Counting makes them a little
	 * slower.
	 */
	counting = true;
	/** While set, the kernel's own search is used. */
	kernelOnly = false;
	private readonly chooser: Chooser | null;
	private readonly search: TrialSearch;
	private readonly counter = new LookCounter();

	constructor(
		readonly strategy: Strategy,
		options: TrialOptions = {},
	) {
		const { seed = 1, tables = {} } = options;
		this.kernel = new Kernel({ version: strategy.version, seed, tables });
		this.net = this.kernel.createNet();
		this.net.addAddress("192.0.2.10/32", "lo");
		this.net.addAddress("192.0.2.11/32", "lo");
		this.net.addRoute({ to: "default", dev: "lo" });
		this.net.addRoute({ to: "203.0.113.0/25", dev: "lo", answer: "accept" });
		this.net.addRoute({ to: "203.0.113.128/25", dev: "lo", answer: "refuse" });
		this.task = this.kernel.createTask({ net: this.net });
		// One connection draws every secret of the kernel, so strategies begin with the same state.
		const first = this.tcp();
		this.connectByKernel(first, sockaddr_in(0xc6336464, 1));
		this.task.close(first);

		if (options.range !== undefined) {
			this.sysctl("net.ipv4.ip_local_port_range", options.range.join(" "));
		}
		if (options.reserved !== undefined) {
			this.sysctl("net.ipv4.ip_local_reserved_ports", options.reserved);
		}
		for (const [name, value] of Object.entries(strategy.sysctls ?? {})) this.sysctl(name, value);
		this.search = new TrialSearch(this.kernel, this.net);
		this.chooser = strategy.start?.(this.kernel) ?? null;
	}

	/** The sock of a descriptor. */
	sk(fd: number): number {
		return this.kernel.socket.sk[this.task.socketOf(fd)];
	}

	/** The local port of a descriptor's socket, 0 if it has none. */
	port(fd: number): number {
		return this.kernel.sock.skc_num[this.sk(fd)];
	}

	sysctl(name: string, value: string): void {
		const result = this.net.setSysctl(name, value);
		if (result < 0) throw new Error(`${name} = ${value}: ${result}`);
		this.forget();
	}

	/** A TCP socket; with a range, IP_LOCAL_PORT_RANGE is set to it. */
	tcp(range?: readonly [number, number]): number {
		const fd = this.task.tcp();
		if (range !== undefined) {
			const result = this.task.setsockopt(
				fd,
				SOL_IP,
				IP_LOCAL_PORT_RANGE,
				(range[1] << 16) | range[0],
			);
			if (result !== 0) throw new Error(`IP_LOCAL_PORT_RANGE ${range.join("-")}: ${result}`);
		}
		return fd;
	}

	/** connect() without waiting. Returns -EINPROGRESS if the SYN is sent. */
	connect(fd: number, to: Sockaddr): number {
		const { kernel, chooser } = this;
		const sock = this.task.socketOf(fd);
		const sk = kernel.socket.sk[sock];
		const bound = kernel.sock.skc_num[sk] !== 0;
		if (chooser === null || this.kernelOnly || bound || !this.begin(sock, sk, to)) {
			const result = this.connectByKernel(fd, to);
			// Searches take ports and never free any; a connect() from a bound port may move it.
			if (bound || this.net.net.fl4.type === RTN_LOCAL || result !== -EINPROGRESS) this.forget();
			return result;
		}
		const local = this.net.net.fl4.type === RTN_LOCAL;
		const port = chooser.choose(this.search);
		this.looks = this.search.looks;
		if (port === 0) this.search.refused = this.search.useless();
		this.end();
		if (port === LEAVE_TO_KERNEL) {
			const result = this.connectByKernel(fd, to);
			if (local || result !== -EINPROGRESS) this.forget();
			return result;
		}
		const result = this.take(sk, port, () =>
			__sys_connect(kernel, sock, to, SIZEOF_SOCKADDR_IN, true),
		);
		if (port === 0) return result;
		chooser.taken?.(this.search, port, this.draw);
		if (local || kernel.sock.skc_state[sk] !== TCP_SYN_SENT) this.forget();
		return result;
	}

	/** bind() to an address of this kernel. The strategy chooses the port if it is 0. */
	bind(fd: number, to: Sockaddr): number {
		const { kernel, chooser, search } = this;
		const sock = this.task.socketOf(fd);
		const sk = kernel.socket.sk[sock];
		const S = kernel.sock;
		if (chooser === null || this.kernelOnly || to.sin_port !== 0 || S.skc_num[sk] !== 0) {
			return this.bindByKernel(sock, to);
		}
		this.range(sk, "bind");
		search.saddr = to.sin_addr;
		search.daddr = search.dport = 0;
		const saddr = S.skc_rcv_saddr[sk];
		S.skc_rcv_saddr[sk] = to.sin_addr;
		const port = chooser.choose(search);
		this.looks = search.looks;
		if (port === 0) search.refused = search.useless();
		S.skc_rcv_saddr[sk] = saddr;
		if (port === LEAVE_TO_KERNEL) return this.bindByKernel(sock, to);
		kernel.draws = TAKE;
		try {
			return this.take(sk, port, () => __sys_bind(kernel, sock, to, SIZEOF_SOCKADDR_IN));
		} finally {
			kernel.draws = kernel.ownDraws;
		}
	}

	close(fd: number): number {
		const S = this.kernel.sock;
		const sk = this.sk(fd);
		const port = S.skc_num[sk];
		const alone = S.skc_state[sk] === TCP_SYN_SENT || S.skc_state[sk] === TCP_CLOSE;
		const result = this.task.close(fd);
		if (this.chooser === null || port === 0) return result;
		if (alone) this.chooser.released?.(port);
		else this.forget();
		return result;
	}

	/** Makes another call by `call`. */
	other(call: (task: Task) => number): number {
		const result = call(this.task);
		this.forget();
		return result;
	}

	/** Lets time pass. */
	advance(ms: number): void {
		this.kernel.advance(ms);
		this.forget();
	}

	private forget(): void {
		this.chooser?.forget?.();
	}

	private draw = 0;

	/**
	 * Takes a port by the model's own call, whose search gets a range of this one port. The amount
	 * that the call adds to table_perturb shows its draw, and is then undone. With port 0 the call
	 * must fail as in the kernel, so its range is a refused port.
	 */
	private take(sk: number, port: number, call: () => number): number {
		const { kernel } = this;
		let S = kernel.sock;
		const lo = S.local_port_range_lo[sk];
		const hi = S.local_port_range_hi[sk];
		const table = kernel.table_perturb;
		if (table === null) throw new Error("table_perturb was never drawn");
		const slot = kernel.port_offset[0] & (INET_TABLE_PERTURB_SIZE - 1);
		const before = table[slot];
		const only = port === 0 ? this.search.refused : port;
		S.local_port_range_lo[sk] = only;
		S.local_port_range_hi[sk] = only;
		const result = call();
		S = kernel.sock;
		if (port === 0 && S.skc_num[sk] !== 0) {
			throw new Error(`${this.strategy.name} found no port, but ${only} is free`);
		}
		S.local_port_range_lo[sk] = lo;
		S.local_port_range_hi[sk] = hi;
		const step = kernel.changes.has("connect-range-step-1") ? 1 : 2;
		this.draw = ((table[slot] - before) >>> 0) / step - 1;
		table[slot] = before;
		return result;
	}

	private range(sk: number, kind: "connect" | "bind"): void {
		const { search } = this;
		const { kernel } = this;
		search.local = inet_sk_get_local_port_range(kernel, sk);
		search.kind = kind;
		search.sk = sk;
		search.low = kernel.low;
		search.high = kernel.high;
		search.looks = 0;
		search.refused = 0;
	}

	private readonly old = { rcv_saddr: 0, daddr: 0, dport: 0 };
	/**
	 * Gives the sock the four-tuple that tcp_v4_connect sets before its search. Returns false if
	 * connect() would fail before the search.
	 */
	private begin(sock: number, sk: number, to: Sockaddr): boolean {
		const { kernel, search, old } = this;
		const S = kernel.sock;
		if (S.skc_state[sk] !== TCP_CLOSE || kernel.socket.state[sock] !== SS_UNCONNECTED) return false;
		const oif = S.skc_bound_dev_if[sk];
		if (ip_route_connect(this.net.net, to.sin_addr, S.inet_saddr[sk], oif) < 0) return false;
		if (this.net.net.fl4.type === RTN_MULTICAST || this.net.net.fl4.type === RTN_BROADCAST)
			return false;
		old.rcv_saddr = S.skc_rcv_saddr[sk];
		old.daddr = S.skc_daddr[sk];
		old.dport = S.skc_dport[sk];
		S.skc_rcv_saddr[sk] = S.inet_saddr[sk] || this.net.net.fl4.saddr;
		S.skc_daddr[sk] = this.net.net.fl4.daddr;
		S.skc_dport[sk] = to.sin_port;
		this.range(sk, "connect");
		search.saddr = S.skc_rcv_saddr[sk];
		search.daddr = this.net.net.fl4.daddr;
		search.dport = to.sin_port;
		return true;
	}

	private end(): void {
		const S = this.kernel.sock;
		const { sk } = this.search;
		S.skc_rcv_saddr[sk] = this.old.rcv_saddr;
		S.skc_daddr[sk] = this.old.daddr;
		S.skc_dport[sk] = this.old.dport;
	}

	private connectByKernel(fd: number, to: Sockaddr): number {
		const sock = this.task.socketOf(fd);
		return this.counted(() => __sys_connect(this.kernel, sock, to, SIZEOF_SOCKADDR_IN, true));
	}

	private bindByKernel(sock: number, to: Sockaddr): number {
		return this.counted(() => __sys_bind(this.kernel, sock, to, SIZEOF_SOCKADDR_IN));
	}

	private counted(call: () => number): number {
		if (!this.counting) return call();
		this.counter.looks = 0;
		this.counter.locks = 0;
		this.kernel.trace = this.counter;
		const result = call();
		this.kernel.trace = noTrace;
		this.looks = this.counter.looks;
		this.locks = this.counter.locks;
		return result;
	}
}
