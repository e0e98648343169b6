// SPDX-License-Identifier: GPL-2.0-or-later
/**
 * The checks after each call of a random program. A check throws Error if its rule does not hold.
 */
import { SS_CONNECTING, SS_UNCONNECTED } from "../../include/linux/net.js";
import { FASTREUSEPORT_STRICT } from "../../include/net/inet_hashtables.js";
import { TCP_CLOSE, TCP_LISTEN } from "../../include/net/tcp_states.js";
import {
	CANDIDATE_OK,
	SEARCH_BIND,
	SEARCH_CONNECT,
	SEARCH_UDP,
} from "../../include/trace/events/port_search.js";
import {
	AF_INET,
	EACCES,
	EADDRINUSE,
	EADDRNOTAVAIL,
	EAGAIN,
	EINPROGRESS,
	EINVAL,
	EOPNOTSUPP,
	type Kernel,
} from "../../kernel-model/index.js";
import { ANY4, ANY6, addr, addr4, addr6, asFamily } from "./addresses.js";
import {
	isConnection,
	marksOf,
	passes,
	portKey,
	type Scan,
	type Sock,
	type Verdict,
} from "./oracle.js";
import {
	boundTo,
	type Call,
	type Check,
	type OpenFile,
	type Run,
	type TracedScan,
	type TracedSearch,
} from "./run.js";

const MAPPED_WILDCARD = addr("::ffff:0.0.0.0");

function fail(what: string): never {
	throw new Error(what);
}

/** Fails where two values differ. */
function same(what: string, actual: unknown, expected: unknown): void {
	const [a, e] = [JSON.stringify(actual), JSON.stringify(expected)];
	if (a !== e) fail(`${what}: the model says ${a}, the rules say ${e}`);
}

function checkBlocker(what: string, blocker: number, verdict: Verdict): void {
	if (verdict.blockers.length === 0) {
		same(`${what}: socket in the way`, blocker, 0);
	} else if (!verdict.blockers.some((sock) => sock.sk === blocker)) {
		const named = verdict.blockers.map((sock) => sock.sk).join(", ");
		fail(`${what}: socket ${blocker} is said to be in the way, not one of ${named}`);
	}
}

/** Checks the port that the kernel chose, wherever it is visible. */
function chosenPort(run: Run, call: Call, search: TracedSearch): number {
	if (search.chosen === null) fail("a search does not say how it ended");
	if (search.chosen === 0 || call.name === "other") return search.chosen;
	if (call.name === "disconnect") fail("a search to disconnect");
	const port = run.kernel.sock.skc_num[call.file.sk];
	// A connection that was refused at once has released the port.
	const refused = port === 0 && call.name === "connect" && call.file.protocol === "tcp";
	if (!refused) same("port of the socket", port, search.chosen);
	return search.chosen;
}

export const chosenPortsLieInTheEffectiveRange: Check = (run, call) => {
	const { search } = call;
	if (search === null) return;
	const [low, high] = search.moment.effectiveRange(search.me);
	same("low end of the range", search.low, low);
	same("high end of the range", search.high, high);
	const port = chosenPort(run, call, search);
	if (port === 0) return;
	if (port < low || port > high) fail(`port ${port} was chosen outside ${low}-${high}`);
};

export const chosenPortsAreNotReserved: Check = (run, call) => {
	if (call.search === null) return;
	const { me, moment } = call.search;
	const port = chosenPort(run, call, call.search);
	if (port !== 0 && moment.isReserved(me, port)) fail(`reserved port ${port} was chosen`);
};

export const connectionsAreUnique: Check = (_run, { after }) => {
	const tuples = new Map<string, Sock>();
	for (const sock of after.sockets) {
		if (!isConnection(sock)) continue;
		const { net, device, port, peerPort } = sock;
		// IPv4 connections, of sockets of both families.
		const [address, peer] = [sock.address, sock.peer].map((end) => asFamily(end, 4).text);
		const tuple = [net, device, address, port, peer, peerPort].join(" ");
		const other = tuples.get(tuple);
		if (other !== undefined) {
			fail(`sockets ${other.sk} and ${sock.sk} are one connection: ${tuple}`);
		}
		tuples.set(tuple, sock);
	}
};

/** The end of a search. The call fails if it found no port. */
function searched(call: Call, error: number): number {
	return call.search?.chosen === 0 ? -error : 0;
}

function expectedBind(call: Extract<Call, { name: "bind" }>): number {
	const { before, file, address, port, valid, addressOnly } = call;
	const me = boundTo(before.find(file.sk), address);
	const privileged = port !== 0 && port < 1024 && call.uid !== 0;
	const active = me.state !== TCP_CLOSE || me.port !== 0;
	if (me.family === 4) {
		if (!valid) return -EADDRNOTAVAIL;
		if (privileged) return -EACCES;
		if (active) return -EINVAL;
	} else {
		if (privileged) return -EACCES;
		if (active || (address.kind === "mapped" && me.v6only)) return -EINVAL;
		if (!valid) return -EADDRNOTAVAIL;
	}
	if (port === 0) {
		if (addressOnly) return 0;
		if (call.search === null) fail("bind() to port 0 does not search");
		return searched(call, EADDRINUSE);
	}
	const verdict = before.explicit(me, port, "bind");
	checkBound(call, port, verdict);
	return verdict.verdict === CANDIDATE_OK ? 0 : -EADDRINUSE;
}

function expectedListen(call: Extract<Call, { name: "listen" }>): number {
	const me = call.before.find(call.file.sk);
	if (me.protocol !== "tcp") return -EOPNOTSUPP;
	if (call.socketState !== SS_UNCONNECTED) return -EINVAL;
	if (me.state === TCP_LISTEN) return 0;
	if (me.state !== TCP_CLOSE) return -EINVAL;
	if (me.port === 0) {
		if (call.search === null) fail("listen() without a port does not search");
		return searched(call, EADDRINUSE);
	}
	const verdict = call.before.explicit(me, me.port, "listen");
	checkBound(call, me.port, verdict);
	return verdict.verdict === CANDIDATE_OK ? 0 : -EADDRINUSE;
}

function checkBound(call: Call, port: number, verdict: Verdict & { fast: boolean }): void {
	if (call.bound === null) fail(`no look at port ${port}`);
	same("port looked at", call.bound.port, port);
	same(`whether there is a short cut at port ${port}`, call.bound.fast, verdict.fast);
	same(`verdict on port ${port}`, call.bound.verdict, verdict.verdict);
	checkBlocker(`port ${port}`, call.bound.blocker, verdict);
}

/** The address that a socket sends from. */
function sentFrom({ sock: S }: Kernel, { sk, family }: Sock): string {
	return (family === 4 ? addr4(S.inet_saddr[sk]) : addr6(S.np_saddr, sk * 4)).text;
}

export const bindAgreesWithTheRules: Check = ({ kernel }, call) => {
	if (call.name !== "bind") return;
	const { file, result, search } = call;
	same("result of bind()", result, expectedBind(call));
	const was = call.before.find(file.sk);
	const is = call.after.find(file.sk);
	if (result === 0) {
		same("address", is.address.text, call.address.text);
		same("port", is.port, search?.chosen ?? call.port);
		same("closed to IPv4", is.v6only, boundTo(was, call.address).v6only);
	} else {
		// A bind() that is refused because of its port forgets the address of an earlier bind().
		const old = result === -EADDRINUSE ? wildcardOf(was) : was.address;
		same("address", is.address.text, old.text);
		same("port", is.port, was.port);
		same("closed to IPv4", is.v6only, was.v6only);
	}
	if (result === 0 || result === -EADDRINUSE) {
		same("address that is sent from", sentFrom(kernel, is), is.address.text);
	}
};

export const listenAgreesWithTheRules: Check = (_run, call) => {
	if (call.name === "listen") same("result of listen()", call.result, expectedListen(call));
};

function wildcardOf({ family }: Sock) {
	return family === 4 ? ANY4 : ANY6;
}

/** connect() of a socket that has a port. */
export const connectAgreesWithTheRules: Check = (_run, call) => {
	if (call.name !== "connect" || call.file.protocol !== "tcp") return;
	const { before, file, result, search, tuple } = call;
	const old = before.find(file.sk);
	if (search !== null) {
		if (old.port !== 0) fail("a socket with a port searches for another");
		if (search.chosen === 0) same("result of connect()", result, -EADDRNOTAVAIL);
	}
	if (tuple !== null) {
		if (old.port === 0) fail("a socket without a port does not search");
		same("port", tuple.port, old.port);
		const verdict = before.tuple(tuple.me, old.port, true);
		same(`verdict on the four-tuple with port ${old.port}`, tuple.verdict, verdict.verdict);
		checkBlocker(`port ${old.port}`, tuple.blocker, verdict);
		if (verdict.verdict !== CANDIDATE_OK) same("result of connect()", result, -EADDRNOTAVAIL);
	}
	const chosen = tuple?.verdict === CANDIDATE_OK || (search?.chosen ?? 0) !== 0;
	const began = call.socketState === SS_UNCONNECTED && old.state === TCP_CLOSE;
	if (began && (result === 0 || result === -EINPROGRESS)) same("has a port", chosen, true);
	if (result === -EADDRNOTAVAIL) same("has a port", chosen, false);
};

/**
 * UDP: connect() and sendto() first find a port for a socket without one. The socket keeps it even
 * if the call fails.
 */
export const udpTakesAPortBeforeItSends: Check = (_run, call) => {
	if (call.name !== "connect" && call.name !== "send") return;
	const { before, after, file, result, search, tuple, bound } = call;
	if (file.protocol === "tcp") return;
	const { port } = before.find(file.sk);
	same("searches", search !== null, port === 0);
	same("looks at a port", tuple !== null || bound !== null, false);
	if (search?.chosen === 0) same("result", result, -EAGAIN);
	else if (port === 0) same("finds none", result === -EAGAIN, false);
	same("port", after.find(file.sk).port, search?.chosen ?? port);
};

interface Candidate {
	port: number;
	verdict: Verdict;
}

/** The candidates that a scan passes over, then the candidate that it takes, if any. */
function walk(
	search: TracedSearch,
	relax: boolean,
	order: readonly (readonly number[])[],
): { starts: TracedScan["passes"]; skipped: Candidate[]; taken: number } {
	const starts: TracedScan["passes"] = [];
	const skipped: Candidate[] = [];
	for (const ports of order) {
		starts.push({ port: ports[0], after: skipped.length });
		for (const port of ports) {
			const verdict = search.moment.candidate(search.kind, search.me, port, relax);
			if (verdict.verdict === CANDIDATE_OK) return { starts, skipped, taken: port };
			skipped.push({ port, verdict });
		}
	}
	return { starts, skipped, taken: 0 };
}

function kindOf(call: Call, me: Sock): number {
	if (me.protocol !== "tcp") return SEARCH_UDP;
	return call.name === "connect" ? SEARCH_CONNECT : SEARCH_BIND;
}

/** A search equals the walk that the rules describe, from the drawn starts. */
export const searchesTakeTheFirstAcceptablePort: Check = (run, call) => {
	const { search } = call;
	if (search === null) return;
	same("kind of search", search.kind, kindOf(call, search.me));
	const traced = [...search.scans];
	let taken = 0;
	for (const expected of search.moment.scans(search.kind, search.me)) {
		const scan = traced.shift();
		if (scan === undefined) fail(`no scan of half ${expected.half}, relax ${expected.relax}`);
		const { low, remaining, half, relax, offset } = scan;
		same("low end of the scan", low, expected.low);
		same("length of the scan", remaining, expected.remaining);
		same("half of the range", half, expected.half);
		same("whether ports of reusable sockets count", relax, expected.relax);
		if (!(offset >= 0 && offset < remaining)) fail(`start ${offset} of ${remaining}`);
		const udp = search.kind === SEARCH_UDP;
		const order = udp
			? [search.moment.udpOrder(search.me, search.rand)]
			: passes(search.kind, expected, offset);
		const found = walk(search, relax, order);
		const skipped = found.skipped.map(({ port, verdict }) => [port, verdict.verdict]);
		same(
			"ports passed over, with reasons",
			scan.skips.map((skip) => [skip.port, skip.verdict]),
			skipped,
		);
		if (udp) same("start of the scan", low + offset, order[0][0]);
		else same("starts of passes", startsOf(scan), found.starts);
		for (const [i, { port, verdict }] of found.skipped.entries()) {
			checkBlocker(`port ${port}`, scan.skips[i].blocker, verdict);
		}
		taken = found.taken;
		if (taken !== 0) break;
	}
	if (traced.length > 0) fail(`${traced.length} scans too many`);
	same("port chosen", chosenPort(run, call, search), taken);
};

/** Starts of passes. In a range of one port the start lies after the port and wraps around. */
function startsOf(scan: TracedScan): TracedScan["passes"] {
	const { low, remaining, passes } = scan;
	return remaining > 1 ? passes : passes.map(({ after }) => ({ port: low, after }));
}

/** The ports of a scan that are acceptable, by their distance from its low end. */
export function acceptable({ moment, me, kind }: TracedSearch, scan: Scan): number[] {
	const places: number[] = [];
	for (let place = 0; place < scan.high - scan.low; place++) {
		const { verdict } = moment.candidate(kind, me, scan.low + place, scan.relax);
		if (verdict === CANDIDATE_OK) places.push(place);
	}
	return places;
}

/** Whether a scan passed over one of these places: TCP leaves one end of an odd range out. */
function overlooked(kind: number, scan: Scan, places: readonly number[]): boolean {
	const last = scan.high - scan.low - 1;
	if (last === 0 || last % 2 === 1 || kind === SEARCH_UDP) return places.length > 0;
	return places.length > 1 || places.some((place) => place !== 0 && place !== last);
}

/** The errno of a call whose search finds no port. */
export function searchError(kind: number, name: Call["name"]): number {
	if (name === "bind" || name === "listen") return EADDRINUSE;
	return kind === SEARCH_UDP ? EAGAIN : EADDRNOTAVAIL;
}

/** A search that found no port had no acceptable port, in every order. */
export const searchesFailOnlyIfNoPortIsAcceptable: Check = (_run, { name, search, result }) => {
	if (search === null || search.chosen !== 0) return;
	const { kind } = search;
	same("result", result, -searchError(kind, name));
	for (const scan of search.moment.scans(kind, search.me)) {
		const places = acceptable(search, scan);
		if (overlooked(kind, scan, places))
			fail(`nothing was found, but ${scan.low} + ${places} was there`);
	}
};

/** A call takes a port of the other parity only if every port of its preferred parity is taken. */
export const parityIsKept: Check = (_run, { search }) => {
	if (search === null || !search.chosen || search.kind === SEARCH_UDP) return;
	const { kind, moment, me, chosen } = search;
	const scan = moment.scans(kind, me)[search.scans.length - 1];
	const favored = kind === SEARCH_BIND ? 1 : 0;
	if (scan.remaining === 1 || (chosen - scan.low) % 2 === favored) return;
	const places = acceptable(search, scan).filter((place) => place % 2 === favored);
	if (overlooked(kind, scan, places))
		fail(`${chosen} was chosen, but ${scan.low} + ${places} was there`);
};

/** Every bucket agrees with the diary of its port, and each diary has a bucket. */
export const bucketsRememberTheirOwners: Check = ({ kernel }, { after }) => {
	const T = kernel.tcp_hashinfo.bind_bucket_cachep;
	const buckets = new Map(
		T.handles().map((tb) => [portKey(T.ib_net[tb], T.l3mdev[tb], T.port[tb]), tb]),
	);
	same("ports with owners", [...buckets.keys()].sort(), [...after.diaries.keys()].sort());
	for (const [key, tb] of buckets) {
		const marks = marksOf(after.diaries.get(key) ?? []);
		same(`fastreuse of ${key}`, T.fastreuse[tb], marks.fastreuse);
		same(`fastreuseport of ${key}`, T.fastreuseport[tb], marks.fastreuseport);
		if (marks.fastreuseport <= 0) continue;
		const { who } = marks;
		same(`fastuid of ${key}`, T.fastuid[tb], who.uid);
		if (marks.fastreuseport === FASTREUSEPORT_STRICT) {
			const v4 = T.fast_sk_family[tb] === AF_INET;
			const fast = v4 ? addr4(T.fast_rcv_saddr[tb]) : addr6(T.fast_v6_rcv_saddr, tb * 4);
			same(`address that ${key} remembers`, fast.text, who.address.text);
			same(`fast_ipv6_only of ${key}`, T.fast_ipv6_only[tb] !== 0, who.v6only);
		}
	}
};

/**
 * If a call ends a connection, its socket keeps only the address and the port that bind() named. A
 * named address is never removed.
 */
export const disconnectingKeepsOnlyWhatBindNamed: Check = ({ kernel }, call) => {
	if (call.name !== "disconnect" && call.name !== "connect") return;
	const { file, before, after, result } = call;
	const was = before.find(file.sk);
	const is = after.find(file.sk);
	if (file.protocol !== "tcp") {
		if (call.name === "disconnect") checkUdpDisconnected(kernel, call, was, is);
		return;
	}
	const refused = call.name === "connect" && (call.search !== null || call.tuple !== null);
	// A connect() that fails, or reports a later failure, also disconnects.
	const over =
		result !== -EINPROGRESS &&
		(refused ||
			call.name === "disconnect" ||
			(call.socketState === SS_CONNECTING && was.state === TCP_CLOSE));
	if (!over) return;
	same("state", is.state, TCP_CLOSE);
	checkKept(kernel, call, is);
	const gaveUp = was.state !== TCP_CLOSE || refused;
	same("port", is.port, gaveUp && !file.portNamed ? 0 : was.port);
};

/** The address after a connection. */
function checkKept(kernel: Kernel, { file }: { file: OpenFile }, is: Sock): void {
	const wildcard = wildcardOf(is);
	if (!file.addressNamed) {
		same("address", is.address.text, wildcard.text);
		same("address that is sent from", sentFrom(kernel, is), wildcard.text);
	} else if (file.bound === MAPPED_WILDCARD) {
		// The address that connect() has set counts as named.
		same("kind of address", is.address.kind, "mapped");
	} else if (file.bound !== wildcard) {
		same("address", is.address.text, file.bound.text);
	}
}

/** A UDP socket is also on no device any more. */
function checkUdpDisconnected(
	kernel: Kernel,
	call: { file: OpenFile; result: number },
	was: Sock,
	is: Sock,
): void {
	same("result", call.result, 0);
	same("state", is.state, TCP_CLOSE);
	same("device", is.device, 0);
	checkKept(kernel, call, is);
	same("port", is.port, call.file.portNamed ? was.port : 0);
}

export const kernelVerifies: Check = ({ kernel }) => kernel.verify();

/** After the last close() and the last timer. */
export function isEmpty(kernel: Kernel): void {
	same("socks in use", kernel.sock.used, 0);
	same("sockets in use", kernel.socket.used, 0);
	same("bind buckets in use", kernel.tcp_hashinfo.bind_bucket_cachep.used, 0);
	same("bind2 buckets in use", kernel.tcp_hashinfo.bind2_bucket_cachep.used, 0);
	same("reuseport groups", kernel.reuseport.size, 0);
	same("timers that run", kernel.timers.pending, 0);
	for (const table of [kernel.udp_table, kernel.udplite_table]) {
		same(
			"slots in use",
			table.count.some((count) => count !== 0),
			false,
		);
		same("queues of datagrams", table.receive_queue.size, 0);
	}
}

/** Steps between the starts of two searches for one destination: a random number from 2 to 16. */
const STEPS = [0, 1, 2, 3, 4, 5, 6, 7].map((draw) => draw * 2);

/**
 * For programs that only connect() from one namespace. A search for a destination starts after the
 * end of the last search for it, or a little later.
 */
export function startsMoveOn(): Check {
	const last = new Map<string, { offset: number; remaining: number; tried: number }>();
	return (_run, { search }) => {
		if (search === null || search.kind !== SEARCH_CONNECT) return;
		const { me, scans, chosen } = search;
		const [{ offset, remaining, skips, passes }] = scans;
		const ends = [me.address, me.peer].map((end) => asFamily(end, 4).text);
		const key = [me.net, ...ends, me.peerPort].join(" ");
		const before = last.get(key);
		if (before !== undefined && before.remaining === remaining) {
			const moved = (offset - before.offset + remaining) % remaining;
			const steps = STEPS.map((step) => (Math.max(step, before.tried) + 2) % remaining);
			if (!steps.includes(moved)) fail(`the start moved on by ${moved}, not one of ${steps}`);
		}
		if (!chosen) return;
		// In the last pass, by two ports each.
		const tried = 2 * (skips.length - (passes.at(-1)?.after ?? 0));
		last.set(key, { offset, remaining, tried });
	};
}
