// SPDX-License-Identifier: GPL-2.0-or-later
/**
 * Compares a result with the recorded one. If they differ, says why the model cannot give the
 * recorded result. doubt.ts says whether something outside the recording may be the cause.
 */
import { sk_net } from "../../include/net/sock.js";
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
import { isUdp, type ModelResult } from "./model_call.js";
import type { RangeWatch } from "./range_watch.js";
import type { Difference, Turn } from "./turn.js";
import type { World } from "./world.js";

export class Judge {
	constructor(private readonly world: World) {}

	/**
	 * How a result differs from the recorded one; null if it does not. `startIsKnown` says whether it
	 * is known when the search of a connect() began: the line has a time, and no other connect()
	 * overlaps it. `watch` has seen the call fail once more; null if this was not asked for.
	 */
	difference(
		turn: Turn,
		done: ModelResult,
		startIsKnown: () => boolean,
		watch: RangeWatch | null,
	): Difference | null {
		if (done.result !== turn.recorded) return this.resultDifference(turn, done.result, watch);
		if (done.difference != null) {
			return { reason: done.difference, port: 0, blocker: 0, rule: null };
		}
		return this.portDifference(turn, done.result, startIsKnown);
	}

	/** The call returned something else on the kernel. */
	private resultDifference(turn: Turn, result: number, watch: RangeWatch | null): Difference {
		const { outcome, recorded, revealed } = turn;
		const { kernel } = this.world;
		const { blocker } = kernel;
		const saw = outcome.recordedError ?? String(recorded);
		const model =
			result === -ERESTARTSYS ? "sleeps" : result < 0 ? errnoName(-result) : String(result);
		const why = this.explainFailure(turn, result, watch);
		const reason = `the kernel says ${saw}, the model ${model}${why === null ? "" : `: ${why}`}`;
		const rule =
			watch?.clause ?? watch?.range ?? (result >= 0 ? why : null) ?? watch?.failure ?? why;
		const inTheWay = watch?.blocker || kernel.blocker || blocker;
		return { reason, port: revealed?.port ?? 0, blocker: inTheWay, rule };
	}

	/** The socket got another port on the kernel, or a port that its search cannot begin at. */
	private portDifference(
		turn: Turn,
		result: number,
		startIsKnown: () => boolean,
	): Difference | null {
		const { task, call, revealed } = turn;
		const { world } = this;
		const { kernel } = world;
		const sk = world.sk(task, call);
		const port = kernel.sock.skc_num[sk] ?? 0;
		if (sk === 0 || port === 0) return null;
		if (revealed === null) {
			this.checkPerturb(world.subflow(sk), null, false);
			return null;
		}
		if (port !== revealed.port && world.draws !== null) {
			const reason = `the kernel chose port ${revealed.port}, the model with its draws ${port}`;
			return { reason, port: revealed.port, blocker: 0, rule: null };
		}
		if (port !== revealed.port) {
			const why = this.explainFailure(turn, result, null);
			const reason = `the kernel chose port ${revealed.port}, the model cannot${why === null ? "" : `: ${why}`}`;
			return { reason, port: revealed.port, blocker: kernel.blocker, rule: why };
		}
		// All namespaces of a machine share the counters. Only live and campaigns know that nobody else
		// connects.
		const isAlone = world.settled && world.options.shared !== true;
		const certain = revealed.exact && isAlone && startIsKnown();
		const reason = this.checkPerturb(world.subflow(sk), revealed, certain);
		return reason === null ? null : { reason, port: revealed.port, blocker: 0, rule: reason };
	}

	/** Says why the model does not choose or accept the kernel's port; null if nothing is known. */
	private explainFailure(turn: Turn, result: number, watch: RangeWatch | null): string | null {
		const { task, call, revealed } = turn;
		const sk = this.world.portSk(task, call);
		if (sk === 0) return null;
		const k = this.world.kernel;
		if (watch !== null && watch.range !== null) {
			return watch.clause === null ? watch.range : `${watch.clause}; ${watch.range}`;
		}
		if (revealed !== null) return this.explainPort(call, sk, revealed.port);
		const { blocker } = k;
		const range = this.describeOpen(task, call, result);
		if (range !== null) return range;
		return result < 0 && blocker !== 0 ? `last met ${describeSock(k, blocker)}` : null;
	}

	/** Why the search of a call for a sock does not choose a port. Sets Kernel.blocker. */
	private explainPort(call: CallLine, sk: number, port: number): string {
		const k = this.world.kernel;
		inet_sk_get_local_port_range(k, sk);
		const { low, high } = k;
		if (port < low || port > high) return `port ${port} is not in ${low}-${high}`;
		const net = sk_net(k, sk);
		const l3mdev = inet_sk_bound_l3mdev(net, nth(k.sock.skc_bound_dev_if, sk));
		const udp = isUdp(nth(k.sock.sk_protocol, sk));
		const verdictOn = (candidate: number) => {
			if (udp) return udpCandidate(k, net, sk, candidate);
			return call.name === "connect"
				? connectCandidate(k, net, sk, candidate, l3mdev)
				: bindCandidate(k, net, sk, candidate, l3mdev, false);
		};
		const verdict = verdictOn(port);
		const clause = explainVerdict(k, sk, port, verdict, k.blocker, true);
		const chosen = nth(k.sock.skc_num, sk);
		if (verdict !== CANDIDATE_OK || chosen === 0 || udp) return clause;
		// The port is free, but its parity is searched second. Lists the ports that come first.
		const first: number[] = [];
		for (let other = low; other <= high && first.length < FIRST_PORTS; other++) {
			if ((other - chosen) % 2 !== 0) continue;
			if (other === chosen || verdictOn(other) === CANDIDATE_OK) first.push(other);
		}
		k.blocker = 0;
		const more = first.length === FIRST_PORTS ? " …" : "";
		return `${clause}, but a search reaches ${first.join(", ")}${more} first`;
	}

	/**
	 * The state of the range for a call that found a port on the model but none on the kernel; null
	 * if the call did not search.
	 */
	private describeOpen(task: Task, call: CallLine, result: number): string | null {
		if (result < 0 && result !== -EINPROGRESS && result !== -ERESTARTSYS) return null;
		if (!choosesPort(call.name) || !EXHAUSTED.has(call.result?.errno ?? "")) return null;
		const sk = this.world.portSk(task, call);
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

	/**
	 * Checks whether the port of a connect fits earlier connects to the same destination. Returns why
	 * it does not; null if it does. Unless it is `certain` when the search began, nothing follows.
	 */
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
}

/** Most ports that a reason lists. */
const FIRST_PORTS = 8;

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
