// SPDX-License-Identifier: GPL-2.0-or-later
/**
 * Trace points of the port searches (as include/trace/events/ holds a kernel's): why each
 * candidate was passed over. Where nobody listens the tracer is noTrace.
 */
import type { Port, Sk, Tb } from "../../linux/handle.js";

/** Verdicts on a candidate port. */
export const CANDIDATE_OK = 0;
/** In ip_local_reserved_ports. */
export const CANDIDATE_RESERVED = 1;
/** connect: the bucket has fastreuse or fastreuseport >= 0, so a bind() uses the port. */
export const CANDIDATE_NOT_SHAREABLE = 2;
/** connect: the four-tuple is taken by a socket. */
export const CANDIDATE_TUPLE_IN_USE = 3;
/** connect: the four-tuple is taken by a time-wait socket that may not be reused. */
export const CANDIDATE_TIME_WAIT = 4;
/** bind: conflict with a socket on the same address, or anywhere for a wildcard bind. */
export const CANDIDATE_CONFLICT = 5;
/** bind: conflict with a socket on the wildcard address. */
export const CANDIDATE_CONFLICT_ANY = 6;

/** Which system call's search it is. */
export const SEARCH_BIND = 1;
export const SEARCH_CONNECT = 2;
/** Of a UDP or UDP-Lite socket, whatever the call: one scan, no passes by parity. */
export const SEARCH_UDP = 3;

export interface PortSearchTrace {
	/** A search begins for a socket; low and high are the inclusive effective range. */
	search(kind: number, sk: Sk, low: number, high: number): void;
	/** A scan of [low, low + remaining) begins at an offset; half is 0 (whole range), 1 or 2. */
	scan(low: number, remaining: number, offset: number, half: number, relax: boolean): void;
	/** A pass over one parity begins at a port. */
	pass(port: Port): void;
	/** A candidate was passed over; sk2 is the socket in the way, 0 if none. */
	skip(port: Port, verdict: number, sk2: Sk): void;
	/** A port was chosen, 0: none. */
	chosen(port: Port): void;
	/**
	 * bind to a given port, or listen: the bucket decides without or with a search of its
	 * owners. For UDP `fast` says that the second hash's chains were searched instead of the
	 * port's whole chain.
	 */
	bound(sk: Sk, port: Port, fast: boolean, verdict: number, sk2: Sk): void;
	/** The bucket's fastreuse and fastreuseport before and after a socket was added. */
	bucket(tb: Tb, fastreuse: number, fastreuseport: number): void;
	/** connect from a port chosen before: the four-tuple decides. */
	tuple(sk: Sk, port: Port, verdict: number, sk2: Sk): void;
}

/** The tracer that hears nothing. Searches that are not heard may go fast. */
export const noTrace: PortSearchTrace = Object.freeze({
	search() {},
	scan() {},
	pass() {},
	skip() {},
	chosen() {},
	bound() {},
	bucket() {},
	tuple() {},
});
