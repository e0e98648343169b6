// SPDX-License-Identifier: GPL-2.0-or-later
/** The outcome of a line of a script or recording. */
import type { ChangeName } from "../../include/linux/version.js";
import type { PortSearchTrace } from "../../include/trace/events/port_search.js";
import type { Address } from "../machine/address.js";
import type { CallLine, ScriptError } from "../script/strace.js";
import type { HostFile } from "./before.js";

/**
 * "match": the modelled kernel can give the recorded result. "mismatch": it cannot. "undecided":
 * the recording does not show enough. "unrecorded": there is no recorded result. "ignored": the
 * call does not concern ports.
 */
export type Verdict = "match" | "mismatch" | "undecided" | "unrecorded" | "ignored";

/** Why a recorded result is impossible. */
export interface Proof {
	/** The rule that the model follows and the recorded result breaks. */
	rule: string;
	/** The lines that the proof needs, in order. The last one is the mismatch. */
	lines: number[];
	/** What each line but the last did: "line 12 bound 127.0.0.1:8080 …". */
	grounds: string[];
}

/** The outcome of one line. */
export interface Outcome {
	line: number;
	pid: number | null;
	/** Name of the system call, or "$" for a set-up command. */
	call: string;
	verdict: Verdict;
	/**
	 * The kernel's return value, or a negative errno; null if the call would sleep or was ignored.
	 */
	result: number | null;
	/** The recorded result; null if there is none or strace shows `?`. */
	recorded: number | null;
	/** Name of the recorded error. */
	recordedError: string | null;
	/** The address that the call returns. */
	address: Address | null;
	/** Why the line is a mismatch or undecided, in one sentence. */
	reason: string | null;
	/** The proof of a mismatch; null for other verdicts. */
	proof: Proof | null;
	/** How the result came about, with the option `explain`. */
	explanation: string[];
	/** The line in strace's syntax, with the model's result. */
	readonly text: string;
	/** The port that the call chose for its socket. */
	chosen: number | null;
	/** The value that getsockopt() returns. */
	value: Uint8Array | null;
	/** With `own`: why the line has no meaning on this version, or is refused. */
	error: ScriptError | null;
	/** The fact about the host that the line showed: an address, a route, a user. */
	learnt: string | null;
}

/** The port that a search chose, or that it found none. */
export interface Choice {
	port: number | null;
	exhausted: boolean;
}

/** How a kernel gives its own results; see PlayOptions. */
export interface OwnAnswers {
	/** Seed of searches without a wish. Null: such a search chooses the highest possible port. */
	seed: number | null;
	/** Wished choices. A search makes its choice if some draw leads to it. */
	wishes: ReadonlyMap<CallLine, Choice>;
	/** Searches draw as on a kernel, from PlayOptions.seed. There are no wishes. */
	draws?: boolean;
}

export interface PlayOptions {
	version?: string;
	/** See KernelOptions. */
	changes?: ReadonlySet<ChangeName>;
	seed?: number;
	/** See KernelOptions. A search that is traced is always linear. */
	search?: "linear" | "guided";
	explain?: boolean;
	/** A tracer of every search, unless `explain` is set. */
	trace?: PortSearchTrace;
	/** Called now and then while a recording is played, with the line that is played. */
	onStep?: (line: number) => void;
	/** Called with the outcome of each line that is played. The search for a way may correct it. */
	onOutcome?: (outcome: Outcome) => void;
	/** Whether to search for a way if something differs; true if not given. */
	variants?: boolean;
	/** See KernelOptions. */
	clock?: { phase: number; lateness: number };
	/** See KernelOptions. */
	secrets?: readonly number[];
	/**
	 * True: data that no recorded call received was never read. If not given, a program without
	 * recorded receives is assumed to have read everything by read().
	 */
	unread?: boolean;
	/**
	 * True: packets over loopback arrive before the next call begins, and every call that sends or
	 * receives is recorded. So what a receive returns is certain. If not given, only recordings with
	 * draws are like this.
	 */
	settled?: boolean;
	/**
	 * True: other programs of the machine connect at the same time. They advance the counters of
	 * table_perturb, so where a search may begin is not checked.
	 */
	shared?: boolean;
	/**
	 * Only the recorded processes use the network namespaces. If not given, playScript() assumes it
	 * if the recording begins by making its namespace or with set-up commands. A Player that is
	 * used directly always assumes it.
	 */
	alone?: boolean;
	/**
	 * The user of the recorded processes. If not given, root, unless the recording shows another
	 * user.
	 */
	uid?: number;
	/** The state of the host before the recording. It need not be complete. */
	host?: readonly HostFile[];
	/**
	 * Nothing is compared. Each line gets the kernel's own result. Recorded results supply only
	 * descriptors, pids, whether a call slept, the answers of other hosts, and wished ports.
	 */
	own?: OwnAnswers;
}
