// SPDX-License-Identifier: GPL-2.0-or-later
/**
 * Trace points of the port searches. They tell why each port was skipped. The kernel keeps its
 * trace points in include/trace/events/ as well, but has none for these searches. If nobody traces,
 * the tracer is noTrace.
 */
import type { Port, Sk, Tb } from "../../linux/handle.js";

/** Verdicts on a port that a search tried. */
export const CANDIDATE_OK = 0;
/** The port is in ip_local_reserved_ports. */
export const CANDIDATE_RESERVED = 1;
/**
 * connect(): the bucket has fastreuse or fastreuseport >= 0. A socket has bound the port by bind().
 */
export const CANDIDATE_NOT_SHAREABLE = 2;
/** connect(): a socket has the four-tuple. */
export const CANDIDATE_TUPLE_IN_USE = 3;
/** connect(): a time-wait socket has the four-tuple and may not be replaced. */
export const CANDIDATE_TIME_WAIT = 4;
/** bind(): conflict with a socket on the same address; for a wildcard bind on any address. */
export const CANDIDATE_CONFLICT = 5;
/** bind() to an address: conflict with a socket on the wildcard address. */
export const CANDIDATE_CONFLICT_ANY = 6;

/** The search that begins. */
export const SEARCH_BIND = 1;
export const SEARCH_CONNECT = 2;
/** The search of a UDP or UDP-Lite socket in any call: one scan, no passes by parity. */
export const SEARCH_UDP = 3;

export interface PortSearchTrace {
	/** A search begins. low and high are the effective range of the socket, inclusive. */
	search(kind: number, sk: Sk, low: number, high: number): void;
	/**
	 * A scan of [low, low + remaining) begins at `offset`. half: 0 the whole range, 1 or 2 a half.
	 */
	scan(low: number, remaining: number, offset: number, half: number, relax: boolean): void;
	/** A pass over the ports of one parity begins at a port. */
	pass(port: Port): void;
	/**
	 * connect() looks for the bucket of a port, and for the four-tuple if the bucket may be shared.
	 * Since 6.15 (connect-lookup-without-lock) it first looks without the lock of the bucket. Only if
	 * the port may be free, it looks again with the lock. Before, every look is with the lock.
	 */
	look(port: Port, locked: boolean): void;
	/** A port was skipped. sk2 is the socket that conflicts, 0 if none. */
	skip(port: Port, verdict: number, sk2: Sk): void;
	/** The search ended with this port, 0 if it found none. */
	chosen(port: Port): void;
	/**
	 * bind() to a given port, or listen(). `fast` says that the fields of the bucket decided,
	 * without a look at its owners. For UDP it says that the chains of the second hash were
	 * searched instead of the chain of the port.
	 */
	bound(sk: Sk, port: Port, fast: boolean, verdict: number, sk2: Sk): void;
	/** A socket was added to a bucket. fastreuse and fastreuseport are the values before. */
	bucket(tb: Tb, fastreuse: number, fastreuseport: number): void;
	/** connect() of a socket that has a port already: the check of its four-tuple. */
	tuple(sk: Sk, port: Port, verdict: number, sk2: Sk): void;
}

/** The tracer that does nothing. With it searches use their fast scans. */
export const noTrace: PortSearchTrace = Object.freeze({
	search() {},
	scan() {},
	pass() {},
	look() {},
	skip() {},
	chosen() {},
	bound() {},
	bucket() {},
	tuple() {},
});
