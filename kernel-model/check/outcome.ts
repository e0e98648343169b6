// SPDX-License-Identifier: GPL-2.0-or-later
/** What becomes of a line of a script or recording. */
import type { PortSearchTrace } from "../../include/trace/events/port_search.js";
import type { Address } from "../machine/address.js";
import type { CallLine, ScriptError } from "../script/strace.js";
import type { HostFile } from "./before.js";

/**
 * "match": there is a way for the modelled kernel to give the recorded result. "mismatch":
 * there is none. "undecided": the recording cannot tell. "unrecorded": it has no result.
 * "ignored": the call bears on no port.
 */
export type Verdict = "match" | "mismatch" | "undecided" | "unrecorded" | "ignored";

/** Why a line cannot be. */
export interface Proof {
	/** The rule that the model follows and the recorded result breaks. */
	rule: string;
	/** The lines that it rests on, in order; the last is the line that cannot be. */
	lines: number[];
	/** What each of them did, but for the last: "line 12 bound 127.0.0.1:8080 …". */
	grounds: string[];
}

/** What became of one line. */
export interface Outcome {
	line: number;
	pid: number | null;
	/** Name of the system call, or "$" for a set-up command. */
	call: string;
	verdict: Verdict;
	/** As the kernel returns it, a negative errno on an error; null where it would sleep or was ignored. */
	result: number | null;
	/** The recorded one; null where there is none or strace shows `?`. */
	recorded: number | null;
	/** Name of the recorded error. */
	recordedError: string | null;
	/** What the call tells of an address. */
	address: Address | null;
	/** Why a mismatch, or why undecided, in one sentence. */
	reason: string | null;
	/** Of a mismatch: what shows that it is one. */
	proof: Proof | null;
	/** How the result came about, with the option `explain`. */
	explanation: string[];
	/** The line in strace's syntax, with the model's result. */
	readonly text: string;
	/** The port that the call chose for its socket. */
	chosen: number | null;
	/** What getsockopt() gives. */
	value: Uint8Array | null;
	/** With `own`: why the line means nothing here, or is refused. */
	error: ScriptError | null;
	/** What the line taught of the host: an address, a route, a user. */
	learnt: string | null;
}

/** A port that a search came to, or that it came to none. */
export interface Choice {
	port: number | null;
	exhausted: boolean;
}

/** How a kernel gives its own answers; see PlayOptions. */
export interface OwnAnswers {
	/** Seed of the searches that no wish is for; null: each comes to the highest port that it can. */
	seed: number | null;
	/** What searches come to if some draw leads there. */
	wishes: ReadonlyMap<CallLine, Choice>;
}

export interface PlayOptions {
	version?: string;
	seed?: number;
	explain?: boolean;
	/** Told of every search, if `explain` is not set. */
	trace?: PortSearchTrace;
	/** Try what a recording leaves open, if something differs; true if not given. */
	variants?: boolean;
	/** See KernelOptions. */
	clock?: { phase: number; lateness: number };
	/** See KernelOptions. */
	secrets?: readonly number[];
	/**
	 * What no recorded call received was never read. Not given: programs of which the
	 * recording shows no call that receives have read everything, by read().
	 */
	unread?: boolean;
	/**
	 * Nobody but the recorded processes uses the network namespaces. Not given: playScript()
	 * says so where the recording begins with the making of its namespace, or with set-up
	 * commands; a Player of its own always does.
	 */
	alone?: boolean;
	/** The user whose processes were recorded; not given: root, unless the recording shows another. */
	uid?: number;
	/** What was there before the recording began. It does not say that nothing else was. */
	host?: readonly HostFile[];
	/**
	 * Nothing is compared: each line gets the kernel's own answer. A recorded result then says
	 * only what the program had and met: descriptors, processes, whether it slept, other hosts'
	 * answers, and which port a search comes to if some draw leads there.
	 */
	own?: OwnAnswers;
}
