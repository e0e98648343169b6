// SPDX-License-Identifier: GPL-2.0-or-later
/**
 * Why a result that differs is undecided and no mismatch: something that the recording does not show
 * may be the cause. Doubt.reason() asks for each possible cause in turn.
 */
import { RCV_SHUTDOWN } from "../../include/net/sock.js";
import { TCP_CLOSE, TCP_CLOSE_WAIT, TCP_LISTEN } from "../../include/net/tcp_states.js";
import { ERESTARTSYS, errnoName } from "../../include/uapi/asm-generic/errno.js";
import { nth } from "../machine/nth.js";
import { EXHAUSTED } from "../script/calls.js";
import type { Outcome } from "./outcome.js";
import type { Contradiction, Turn } from "./turn.js";
import type { World } from "./world.js";

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

/** Calls that search a port if their socket has none. */
const SEARCHES: ReadonlySet<string> = new Set([
	"bind",
	"connect",
	"listen",
	"send",
	"sendmmsg",
	"sendmsg",
	"sendto",
	"write",
	"writev",
]);

/** Errors of a call on a connection that the peer has reset. */
const RESET: ReadonlySet<string> = new Set(["ENOTCONN", "EPIPE", "ECONNRESET"]);

const isAccept = (name: string) => name === "accept" || name === "accept4";

/** A result that differs. */
interface Differing {
	/** Name of the call. */
	name: string;
	/** The sock that has the port of the call's descriptor; 0 if it has none. */
	sk: number;
	/** The model's result. */
	result: number;
	/** The recorded call succeeded. */
	succeeded: boolean;
	/** Name of the recorded error; empty if the call succeeded. */
	error: string;
}

export class Doubt {
	/** A RST for data that was held back may be the cause of the recorded error. */
	private mayBeReset = false;

	constructor(private readonly world: World) {}

	/** Looks at the state before a call on the model changes it. reason() needs this. */
	lookBefore({ task, call, outcome }: Turn): void {
		const { world } = this;
		const error = outcome.recordedError;
		this.mayBeReset =
			error !== null && RESET.has(error) && this.peerReadsNoMore(world.portSk(task, call));
	}

	/** Why a differing result is undecided; null if it is a mismatch. */
	reason(contradiction: Contradiction, outcome: Outcome): string | null {
		const { world } = this;
		const { task, call, result, blocker } = contradiction;
		const sk = world.portSk(task, call);
		const differing: Differing = {
			name: call.name,
			sk,
			result,
			succeeded: (outcome.recorded ?? -1) >= 0,
			error: outcome.recordedError ?? "",
		};
		return (
			world.netDoubts.get(task.net.net.id) ??
			(sk === 0 ? null : world.doubts.get(sk)) ??
			(sk === 0 ? null : world.doubts.get(world.sk(task, call))) ??
			this.aboutBlocker(blocker) ??
			this.missingConnect(differing) ??
			this.aboutListener(differing) ??
			this.resetByHeldBackData() ??
			this.unnamedClient(differing) ??
			(world.alone ? null : this.outsider(differing)) ??
			this.missingClose(differing)
		);
	}

	/** The socket in the way may have another state, and so may the other end of its connection. */
	private aboutBlocker(blocker: number): string | null {
		const { world } = this;
		if (blocker === 0) return null;
		const reason = world.doubts.get(blocker);
		if (reason !== undefined) return `${reason}, and it may be in the way`;
		const client = nth(world.kernel.sock.skc_dport, blocker);
		for (const [other, why] of world.doubts) {
			if (client !== 0 && this.areEnds(other, blocker)) {
				return `${why}, and it may have ended the connection that is in the way`;
			}
		}
		return !world.alone && world.outsideClientPorts.has(client)
			? "a client outside the recording may have ended the connection that is in the way"
			: null;
	}

	/** Without failed calls (strace -z), a connect() that returned EINPROGRESS is not recorded. */
	private missingConnect({ name, sk, succeeded }: Differing): string | null {
		if (!this.world.recording.leavesFailuresOut || !succeeded) return null;
		const unconnected = sk !== 0 && this.world.kernel.sock.skc_state[sk] === TCP_CLOSE;
		return isAccept(name) || unconnected
			? "a connect() that did not wait may be missing, because failed calls are not recorded"
			: null;
	}

	/** The doubt about the listener on a sock's port, or about a client of this listener. */
	private aboutListener({ name, sk }: Differing): string | null {
		if (sk === 0 || !/^(connect|accept4?|get(sock|peer)name)$/.test(name)) return null;
		const S = this.world.kernel.sock;
		for (const [other, reason] of this.world.doubts) {
			const port = S.skc_num[other];
			if (port !== 0 && (port === S.skc_dport[sk] || port === S.skc_num[sk])) return reason;
			if (S.skc_dport[other] !== 0 && S.skc_dport[other] === S.skc_num[sk]) return reason;
		}
		return null;
	}

	/** See lookBefore(). */
	private resetByHeldBackData(): string | null {
		return this.mayBeReset
			? "data that the socket held back (Nagle) may have met the peer's shutdown(), which answers with a RST"
			: null;
	}

	/** How the connection of one of several clients ends, if no line shows which one it is. */
	private unnamedClient({ name, sk }: Differing): string | null {
		const accept = this.world.unnamedClients.get(sk);
		return accept !== undefined && /^(shutdown|getsockopt|send|recv|read|write)/.test(name)
			? `line ${accept} accepted one of several clients, and no line shows which one`
			: null;
	}

	/** A socket of a process that is not recorded, in a namespace that is not the program's own. */
	private outsider({ name, sk, result, succeeded, error }: Differing): string | null {
		const { world } = this;
		const S = world.kernel.sock;
		const foundPort = result >= 0 || result === -ERESTARTSYS;
		if (SEARCHES.has(name) && EXHAUSTED.has(error) && foundPort) {
			return "a socket outside the recording may hold the port";
		}
		const refused = result < 0 && errnoName(-result) === "ECONNREFUSED";
		const answered = succeeded || error === "EINPROGRESS" || error === "EISCONN";
		// A later call may show the result of a connect() that did not wait.
		const refusedBefore = sk !== 0 && name !== "connect" && world.refusals.has(sk);
		if ((refused && answered) || refusedBefore) {
			return "a socket outside the recording may listen there";
		}
		if (sk !== 0) {
			const listens = S.skc_state[sk] === TCP_LISTEN;
			const shares = world.reuseportPorts.has(nth(listens ? S.skc_num : S.skc_dport, sk));
			const elsewhere = isAccept(name) && error === "EAGAIN";
			const closed = S.skc_state[sk] === TCP_CLOSE && name !== "connect";
			if (shares && (elsewhere || closed)) {
				return "a listener outside the recording may share the port, and have the connection";
			}
		}
		return isAccept(name) && succeeded ? "a client outside the recording may have connected" : null;
	}

	/**
	 * The result may depend on a close() that the recording leaves out. A close frees a port, so it
	 * does not explain that a port was in use.
	 */
	private missingClose({ name, result, error }: Differing): string | null {
		const { recording, settled } = this.world;
		if (settled || !recording.leavesClosesOut || !ON_OTHERS.has(name)) return null;
		const names = name === "bind" || name === "connect" || name === "listen";
		if (names && result >= 0 && EXHAUSTED.has(error)) return null;
		return "the recording shows no close(), so a socket that the model has may be closed";
	}

	/** Whether the peer of a connection has sent its FIN and reads no more. */
	private peerReadsNoMore(sk: number): boolean {
		const S = this.world.kernel.sock;
		if (sk === 0 || S.skc_state[sk] !== TCP_CLOSE_WAIT) return false;
		for (const peer of S.handles()) {
			const reads = (nth(S.sk_shutdown, peer) & RCV_SHUTDOWN) === 0;
			if (reads && this.areEnds(peer, sk)) return false;
		}
		return true;
	}

	/** Whether two socks are the ends of one connection, by their ports and namespace. */
	private areEnds(one: number, other: number): boolean {
		const { skc_num, skc_dport, skc_net } = this.world.kernel.sock;
		return (
			skc_num[one] === skc_dport[other] &&
			skc_dport[one] === skc_num[other] &&
			skc_net[one] === skc_net[other]
		);
	}
}
