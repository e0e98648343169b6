// SPDX-License-Identifier: GPL-2.0-or-later
/**
 * Compares a result with the recorded one. If they differ, says why the model cannot give the
 * recorded result, and whether something outside the recording may be the cause.
 */
import { RCV_SHUTDOWN, sk_net } from "../../include/net/sock.js";
import { TCP_CLOSE, TCP_CLOSE_WAIT, TCP_LISTEN } from "../../include/net/tcp_states.js";
import {
	CANDIDATE_OK,
	SEARCH_BIND,
	SEARCH_CONNECT,
	SEARCH_UDP,
} from "../../include/trace/events/port_search.js";
import { EINPROGRESS, ERESTARTSYS, errnoName } from "../../include/uapi/asm-generic/errno.js";
import {
	bindCandidate,
	inet_sk_get_local_port_range,
} from "../../net/ipv4/inet_connection_sock.js";
import { connectCandidate, skOverIpv6 } from "../../net/ipv4/inet_hashtables.js";
import { udpCandidate } from "../../net/ipv4/udp.js";
import { inet_sk_bound_l3mdev } from "../../net/l3mdev/l3mdev.js";
import { formatIpv4 } from "../machine/address.js";
import { describeSock, explainVerdict, sockDestination, sockSource } from "../machine/explain.js";
import type { Kernel } from "../machine/kernel.js";
import { nth } from "../machine/nth.js";
import { describeRange } from "../machine/sharing.js";
import type { Task } from "../machine/task.js";
import { choosesPort, EXHAUSTED } from "../script/calls.js";
import type { CallLine } from "../script/strace.js";
import type { Revealed } from "./evidence.js";
import { type Done, isUdp } from "./made.js";
import type { Outcome } from "./outcome.js";
import type { RangeWatch } from "./range_watch.js";
import type { World } from "./world.js";

/** How a result differs from the recorded one. */
export interface Difference {
	reason: string;
	/** The port in question; 0 if the difference is not about a port. */
	port: number;
	/** The sock that holds the port; 0 if none. */
	blocker: number;
	/** The rule that excludes the recorded result; null if the reason has none. */
	rule: string | null;
}

/** A call whose result is compared with the recorded one. */
export interface Judged {
	task: Task;
	call: CallLine;
	outcome: Outcome;
	/** The recorded result; null if there is none. */
	told: number | null;
	/** The port that its search is known to have chosen. */
	revealed: Revealed | null;
}

export class Judge {
	constructor(private readonly world: World) {}

	/**
	 * How a result differs from the recorded one; null if it does not. `overlaps` says whether other
	 * connects overlap the call, `timed` whether the line has a time.
	 */
	difference(
		{ task, call, outcome, told, revealed }: Judged,
		done: Done,
		overlaps: () => boolean,
		timed: boolean,
		watch: RangeWatch | null,
	): Difference | null {
		const { result } = done;
		const { kernel } = this.world;
		const blocker = kernel.blocker;
		if (result !== told) {
			const saw = outcome.recordedError ?? String(told);
			const model =
				result === -ERESTARTSYS ? "sleeps" : result < 0 ? errnoName(-result) : String(result);
			const why = this.explainFailure(task, call, revealed, result, watch);
			const reason = `the kernel says ${saw}, the model ${model}${why === null ? "" : `: ${why}`}`;
			const rule =
				watch?.clause ?? watch?.range ?? (result >= 0 ? why : null) ?? watch?.failure ?? why;
			const inTheWay = watch?.blocker || kernel.blocker || blocker;
			return { reason, port: revealed?.port ?? 0, blocker: inTheWay, rule };
		}
		if (done.difference != null)
			return { reason: done.difference, port: 0, blocker: 0, rule: null };
		const sk = this.world.sk(task, call);
		if (sk === 0 || kernel.sock.skc_num[sk] === 0) return null;
		if (revealed === null) {
			this.checkPerturb(this.world.subflow(sk), null, false);
			return null;
		}
		const port = kernel.sock.skc_num[sk];
		if (port !== revealed.port && this.world.draws !== null) {
			const reason = `the kernel chose port ${revealed.port}, the model with its draws ${port}`;
			return { reason, port: revealed.port, blocker: 0, rule: null };
		}
		if (port !== revealed.port) {
			const why = this.explainFailure(task, call, revealed, result, null);
			const reason = `the kernel chose port ${revealed.port}, the model cannot${why === null ? "" : `: ${why}`}`;
			return { reason, port: revealed.port, blocker: kernel.blocker, rule: why };
		}
		// All namespaces of a machine share the counters. Only live and campaigns know that nobody else
		// connects.
		const { settled, options } = this.world;
		const isAlone = settled && options.shared !== true;
		const certain = revealed.exact && timed && isAlone && !overlaps();
		const reason = this.checkPerturb(this.world.subflow(sk), revealed, certain);
		return reason === null ? null : { reason, port: revealed.port, blocker: 0, rule: reason };
	}

	/** Says why the model does not choose or accept the kernel's port. */
	private explainFailure(
		task: Task,
		call: CallLine,
		revealed: Revealed | null,
		result: number,
		watch: RangeWatch | null,
	): string | null {
		const sk = this.world.subflow(this.world.sk(task, call));
		if (sk === 0) return null;
		const k = this.world.kernel;
		if (watch !== null && watch.range !== null) {
			return watch.clause === null ? watch.range : `${watch.clause}; ${watch.range}`;
		}
		if (revealed === null) {
			const { blocker } = k;
			const range = this.describeOpen(task, call, result);
			if (range !== null) return range;
			return result < 0 && blocker !== 0 ? `last met ${describeSock(k, blocker)}` : null;
		}
		const { port } = revealed;
		inet_sk_get_local_port_range(k, sk);
		const { low, high } = k;
		if (port < low || port > high) return `port ${port} is not in ${low}-${high}`;
		const net = sk_net(k, sk);
		const l3mdev = inet_sk_bound_l3mdev(net, nth(k.sock.skc_bound_dev_if, sk));
		const udp = isUdp(nth(k.sock.sk_protocol, sk));
		const judge = (candidate: number) => {
			if (udp) return udpCandidate(k, net, sk, candidate);
			return call.name === "connect"
				? connectCandidate(k, net, sk, candidate, l3mdev)
				: bindCandidate(k, net, sk, candidate, l3mdev, false);
		};
		const verdict = judge(port);
		const clause = explainVerdict(k, sk, port, verdict, k.blocker, true);
		const chosen = nth(k.sock.skc_num, sk);
		if (verdict !== CANDIDATE_OK || chosen === 0 || udp) return clause;
		// The port is free, but its parity is searched second. Lists the ports that come first.
		const first: number[] = [];
		for (let other = low; other <= high && first.length < 8; other++) {
			if ((other - chosen) % 2 !== 0) continue;
			if (other === chosen || judge(other) === CANDIDATE_OK) first.push(other);
		}
		k.blocker = 0;
		return `${clause}, but a search reaches ${first.join(", ")}${first.length === 8 ? " …" : ""} first`;
	}

	/**
	 * The state of the range for a call that found a port on the model but none on the kernel; null
	 * if the call did not search.
	 */
	private describeOpen(task: Task, call: CallLine, result: number): string | null {
		if (result < 0 && result !== -EINPROGRESS && result !== -ERESTARTSYS) return null;
		if (!choosesPort(call.name) || !EXHAUSTED.has(call.result?.errno ?? "")) return null;
		const sk = this.world.subflow(this.world.sk(task, call));
		if (sk === 0) return null;
		const k = this.world.kernel;
		const port = nth(k.sock.skc_num, sk);
		if (call.name === "bind" && this.world.operands(call).shownAddress(1)?.port !== 0) return null;
		if (port === 0) return null;
		inet_sk_get_local_port_range(k, sk);
		const { low, high, blocker } = k;
		const kind = isUdp(nth(k.sock.sk_protocol, sk))
			? SEARCH_UDP
			: call.name === "connect"
				? SEARCH_CONNECT
				: SEARCH_BIND;
		const said = describeRange(k, kind, sk, low, high, false, port);
		k.blocker = blocker;
		return said;
	}

	/** Checks whether the port of a connect fits earlier connects to the same destination. */
	private checkPerturb(sk: number, revealed: Revealed | null, certain: boolean): string | null {
		const { observer, perturb, kernel: k } = this.world;
		const { window } = observer;
		if (window === null) return null;
		const destination = addressPair(k, sk);
		// With ip_local_port_step_width the steps of a search are not visible. If two calls
		// overlap, recordings do not show which search came first.
		const net = sk_net(k, sk);
		if (revealed === null || !certain || net.ipv4.sysctl_ip_local_port_step_width !== 0) {
			perturb.forget(destination);
			return null;
		}
		const l3mdev = inet_sk_bound_l3mdev(net, nth(k.sock.skc_bound_dev_if, sk));
		const acceptable = (port: number) =>
			connectCandidate(k, net, sk, port, l3mdev) === CANDIDATE_OK;
		return perturb.observe(destination, window, revealed.port, k.now, acceptable);
	}

	/**
	 * Why a differing result is undecided: something that the recording does not show may be the
	 * cause. Null if no such cause is known.
	 */
	doubt(
		task: Task,
		call: CallLine,
		outcome: Outcome,
		result: number,
		difference: Difference,
	): string | null {
		const { world } = this;
		const { doubts, netDoubts, kernel } = world;
		const own = netDoubts.get(task.net.net.id);
		if (own !== undefined) return own;
		const sk = world.subflow(world.sk(task, call));
		if (sk !== 0) {
			const reason = doubts.get(sk) ?? doubts.get(world.sk(task, call));
			if (reason !== undefined) return reason;
		}
		const { blocker } = difference;
		if (blocker !== 0) {
			const reason = doubts.get(blocker);
			if (reason !== undefined) return `${reason}, and it may be in the way`;
			if (!world.alone && world.strangers.has(nth(kernel.sock.skc_dport, blocker))) {
				return "a client outside the recording may have ended the connection that is in the way";
			}
		}
		if (world.recording.leavesFailuresOut && (outcome.recorded ?? -1) >= 0) {
			const state = sk === 0 ? -1 : kernel.sock.skc_state[sk];
			if (/^accept4?$/.test(call.name) || state === TCP_CLOSE) {
				return "a connect() that did not wait may be missing, because failed calls are not recorded";
			}
		}
		const doubtful = this.doubtfulListener(sk);
		if (doubtful !== null && /^(connect|accept4?|get(sock|peer)name)$/.test(call.name)) {
			return doubtful;
		}
		const error = outcome.recordedError;
		if (this.mayBeReset) {
			return "data that the socket held back (Nagle) may have met the peer's shutdown(), which answers with a RST";
		}
		const accept = world.unnamed.get(sk);
		if (accept !== undefined && /^(shutdown|getsockopt|send|recv|read|write)/.test(call.name)) {
			return `line ${accept} accepted one of several clients, and no line shows which one`;
		}
		if (world.alone) return this.closedUnseen(call, result, error);
		const searches = ["bind", "connect", "listen"].includes(call.name) || isAutobind(call.name);
		if (searches && EXHAUSTED.has(error ?? "") && (result >= 0 || result === -ERESTARTSYS)) {
			return "a socket outside the recording may hold the port";
		}
		const refused = result < 0 && errnoName(-result) === "ECONNREFUSED";
		if (
			refused &&
			((outcome.recorded ?? -1) >= 0 || error === "EINPROGRESS" || error === "EISCONN")
		) {
			return "a socket outside the recording may listen there";
		}
		// A later call may show the result of a connect() that did not wait.
		if (sk !== 0 && call.name !== "connect" && world.refusals.has(sk)) {
			return "a socket outside the recording may listen there";
		}
		const S = kernel.sock;
		if (
			sk !== 0 &&
			world.shared.has(nth(S.skc_state[sk] === TCP_LISTEN ? S.skc_num : S.skc_dport, sk))
		) {
			const elsewhere = error === "EAGAIN" && /^accept4?$/.test(call.name);
			if (elsewhere || (S.skc_state[sk] === TCP_CLOSE && call.name !== "connect")) {
				return "a listener outside the recording may share the port, and have the connection";
			}
		}
		if (/^accept4?$/.test(call.name) && (outcome.recorded ?? -1) >= 0) {
			return "a client outside the recording may have connected";
		}
		return this.closedUnseen(call, result, error);
	}

	/**
	 * Why the result of a call may depend on a close() that the recording leaves out. A close frees a
	 * port, so it does not explain that a port was in use.
	 */
	private closedUnseen({ name }: CallLine, result: number, error: string | null): string | null {
		const { recording, settled } = this.world;
		if (settled || !recording.leavesClosesOut || !ON_OTHERS.has(name)) return null;
		if (/^(bind|connect|listen)$/.test(name) && result >= 0 && EXHAUSTED.has(error ?? ""))
			return null;
		return "the recording shows no close(), so a socket that the model has may be closed";
	}

	/** A RST for data that was held back may be the cause of the recorded error. */
	private mayBeReset = false;

	/** Looks at the state before a call on the model changes it. */
	looksBefore(task: Task, call: CallLine, error: string | null): void {
		const { world } = this;
		this.mayBeReset =
			error !== null &&
			RESET.has(error) &&
			this.peerReadsNoMore(world.subflow(world.sk(task, call)));
	}

	/** Whether the peer of a connection has sent its FIN and reads no more. */
	private peerReadsNoMore(sk: number): boolean {
		const S = this.world.kernel.sock;
		if (sk === 0 || S.skc_state[sk] !== TCP_CLOSE_WAIT) return false;
		for (const peer of S.handles()) {
			if (S.skc_num[peer] !== S.skc_dport[sk] || S.skc_dport[peer] !== S.skc_num[sk]) continue;
			const reads = (nth(S.sk_shutdown, peer) & RCV_SHUTDOWN) === 0;
			if (S.skc_net[peer] === S.skc_net[sk] && reads) return false;
		}
		return true;
	}

	/** The doubt about the listener on a sock's port, or about a client of this listener. */
	private doubtfulListener(sk: number): string | null {
		if (sk === 0 || this.world.doubts.size === 0) return null;
		const S = this.world.kernel.sock;
		for (const [other, reason] of this.world.doubts) {
			const port = S.skc_num[other];
			if (port !== 0 && (port === S.skc_dport[sk] || port === S.skc_num[sk])) return reason;
			if (S.skc_dport[other] !== 0 && S.skc_dport[other] === S.skc_num[sk]) return reason;
		}
		return null;
	}
}

/** Calls whose result depends on other sockets. */
const ON_OTHERS: ReadonlySet<string> = new Set([
	"accept",
	"accept4",
	"bind",
	"connect",
	"listen",
	"read",
	"readv",
	"recv",
	"recvfrom",
	"recvmmsg",
	"recvmsg",
	"send",
	"sendmmsg",
	"sendmsg",
	"sendto",
	"shutdown",
	"write",
	"writev",
]);

/** Errors of a call on a connection that the peer has reset. */
const RESET: ReadonlySet<string> = new Set(["ENOTCONN", "EPIPE", "ECONNRESET"]);

function isAutobind(name: string): boolean {
	return /^(send|sendto|sendmsg|sendmmsg|write|writev)$/.test(name);
}

/**
 * The addresses that the start of connect()'s search depends on. A v4-mapped address counts as
 * IPv4.
 */
function addressPair(k: Kernel, sk: number): string {
	const S = k.sock;
	if (skOverIpv6(S, sk)) return `${sockSource(k, sk)} -> ${sockDestination(k, sk)}`;
	const source = formatIpv4(nth(S.skc_rcv_saddr, sk));
	return `${source} -> ${formatIpv4(nth(S.skc_daddr, sk))}:${S.skc_dport[sk]}`;
}
