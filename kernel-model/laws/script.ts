// SPDX-License-Identifier: GPL-2.0-or-later
/** Writes a program as a script, with the answers that the model gives. */
import { EINPROGRESS, ERESTARTSYS } from "../../include/uapi/asm-generic/errno.js";
import { nth } from "../machine/nth.js";
import { changesOf } from "../machine/versions.js";
import { type Action, CLIENTS, CROWD, HOST, type Kind, type Step, VRF_HOST } from "./kinds.js";
import {
	deviceOf,
	hasPort,
	LISTEN_FAILED,
	NOBODY,
	OTHER_PORT,
	optionsOf,
	PEER_PORT,
	PORT,
	peerOf,
	SOCKET,
	USERS,
} from "./lab.js";
import { KINDS, type Protocol } from "./protocols.js";
import { SearchScript } from "./search_script.js";
import { chosenPlace, PEER, PENDING, SEARCH_HOST } from "./searches.js";
import { resultText, sockaddrText } from "./sockaddr.js";

/** Pid of root, who makes the processes of two users. */
const ROOT = 100;

const RESULTS: Readonly<Record<Action, string>> = {
	close: "close(FD)",
	listen: "listen(FD, 1)",
	connect: "",
	accept: "",
	disconnect: `connect(FD, {sa_family=AF_UNSPEC, sa_data="${"\\0".repeat(14)}"}, 16)`,
	reuse: "setsockopt(FD, SOL_SOCKET, SO_REUSEADDR, [1], 4)",
	noreuse: "setsockopt(FD, SOL_SOCKET, SO_REUSEADDR, [0], 4)",
	reuseport: "setsockopt(FD, SOL_SOCKET, SO_REUSEPORT, [1], 4)",
	noreuseport: "setsockopt(FD, SOL_SOCKET, SO_REUSEPORT, [0], 4)",
};

function optionText(name: string, kind: Kind): string {
	if (name === "IPV6_V6ONLY") return "SOL_IPV6, IPV6_V6ONLY, [1], 4";
	if (name === "SO_BINDTODEVICE") {
		const device = deviceOf(kind) ?? "";
		return `SOL_SOCKET, SO_BINDTODEVICE, "${device}\\0", ${device.length + 1}`;
	}
	return `SOL_SOCKET, ${name}, [1], 4`;
}

/** A program as text. */
class Writer {
	private readonly lines: string[] = [];
	private readonly sockets: { fd: number; pid: number | null; kind: Kind }[] = [];
	/** Open descriptors of each process. */
	private readonly opened = new Map<number | null, Set<number>>();
	private readonly forks: boolean;
	/** The descriptor of the peer of connections. */
	private peer = -1;
	/** Descriptors of the other ends of connections. */
	private readonly children: { fd: number; pid: number | null }[] = [];
	private readonly searches: SearchScript;

	constructor(
		private readonly protocol: Protocol,
		private readonly steps: readonly Step[],
		private readonly answers: readonly number[],
		stepWidth: boolean,
	) {
		this.searches = new SearchScript(protocol, stepWidth);
		const kinds = steps.flatMap((step) => (step.do === "bind" ? [step.kind] : []));
		this.forks = new Set(kinds.map(({ user }) => user)).size > 1;
		if (kinds.some(({ place }) => place.address === "2001:db8::2")) {
			for (const command of HOST) this.lines.push(`$ ${command}`);
		}
		if (kinds.some(({ stranger }) => stranger.endsWith("vrf"))) {
			for (const command of VRF_HOST) this.lines.push(`$ ${command}`);
		}
		if (kinds.some(({ search }) => search !== undefined && search.to !== PEER)) {
			for (const command of SEARCH_HOST) this.lines.push(`$ ${command}`);
		}
		// Before 6.17 a connection that waits counts as root's, so root's programs do not show it.
		const waits = KINDS[protocol].listens && steps.some((step) => step.do === "client");
		if (waits && !this.forks) this.write(null, `setuid(${USERS[0]}) = 0`);
		if (!this.forks) return;
		for (const uid of USERS) {
			this.write(ROOT, `fork() = ${ROOT + uid}`);
			this.write(ROOT + uid, `setuid(${uid}) = 0`);
		}
	}

	private pidOf(kind: Kind | null): number | null {
		return this.forks ? ROOT + nth(USERS, kind?.user ?? 0) : null;
	}

	private write(pid: number | null, text: string): void {
		this.lines.push(pid === null ? text : `${pid} ${text}`);
	}

	/** The lowest descriptor that a process has not open. */
	private lowest(pid: number | null): number {
		const open = this.opened.get(pid);
		let fd = 3;
		while (open?.has(fd)) fd++;
		return fd;
	}

	/** Notes an open descriptor. */
	private keep(fd: number, pid: number | null): void {
		this.opened.set(pid, (this.opened.get(pid) ?? new Set()).add(fd));
	}

	/** A new socket. */
	private open(pid: number | null, family: string, words: string): number {
		const fd = this.lowest(pid);
		this.keep(fd, pid);
		this.write(pid, `socket(${family}, ${words}) = ${fd}`);
		return fd;
	}

	text(): string {
		for (const [i, step] of this.steps.entries()) this.step(step, nth(this.answers, i), i);
		return `${this.lines.join("\n")}\n`;
	}

	private step(step: Step, answer: number, at: number): void {
		if (step.do === "bind") this.bind(step.kind, answer);
		else if (step.do === "act") this.act(step.action, step.socket, answer);
		else if (step.do === "client") this.client(step.to, answer);
		else if (step.do === "who") this.who(answer, at);
		else if (step.do === "ask") this.ask(step.to, answer, at);
		else if (step.do === "part") this.part();
		else this.lines.push(`$ sleep ${step.seconds}`);
	}

	/** The other ends of connections close. */
	private part(): void {
		for (const { fd, pid } of this.children) {
			this.write(pid, `close(${fd}) = 0`);
			this.opened.get(pid)?.delete(fd);
		}
		this.children.length = 0;
	}

	/** Takes a connection that waits, if there is one. */
	private take(listener: number, pid: number | null, errno: number): void {
		const fd = this.lowest(pid);
		const result = errno === 0 ? `${fd}` : resultText(errno);
		this.write(pid, `accept4(${listener}, NULL, NULL, 0) = ${result}`);
		if (errno !== 0) return;
		this.keep(fd, pid);
		this.children.push({ fd, pid });
	}

	/** Whether the sockets must not sleep in accept(). */
	private get asks(): boolean {
		return this.steps.some(
			(step, i) =>
				step.do === "who" ||
				(step.do === "act" && step.action === "accept" && this.answers[i] !== 0),
		);
	}

	private bind(kind: Kind, answer: number): void {
		const pid = this.pidOf(kind);
		const other = kind.stranger === "protocol" ? KINDS[this.protocol].other : this.protocol;
		if (kind.stranger === "namespace") this.write(pid, "unshare(CLONE_NEWNET) = 0");
		const { words } = KINDS[other];
		// The destinations of searches do not answer, or not at once.
		const waits = (kind.search?.to ?? null) !== null;
		if (kind.search?.to === PEER) this.listenForPeer(pid);
		const fd = this.open(
			pid,
			kind.place.family,
			this.asks || waits || this.sleeps() ? words.replace(",", "|SOCK_NONBLOCK,") : words,
		);
		this.sockets.push({ fd, pid, kind });
		this.options(fd, pid, kind);
		if (kind.search !== undefined) {
			const { settings, calls } = this.searches.lines(kind, kind.search, fd, answer);
			for (const command of settings) this.lines.push(`$ ${command}`);
			for (const call of calls) this.write(pid, call);
			const connected = kind.search.to === PEER && chosenPlace(answer) !== null;
			if (connected && answer < PENDING && this.parts) this.take(this.peer, pid, 0);
			return;
		}
		const port = kind.stranger === "port" ? OTHER_PORT : PORT;
		this.named(fd, pid, kind, port, answer);
		for (const address of kind.crowd === true && hasPort(answer) ? CROWD : []) {
			const one = this.open(pid, kind.place.family, words);
			this.options(one, pid, kind);
			// Whether the crowd gets the port is not a part of the answer.
			this.write(pid, `bind(${one}, ${sockaddrText(address, port)})`);
			if (kind.listens) this.write(pid, `listen(${one}, 1)`);
		}
	}

	/** Sets the options of a kind. */
	private options(fd: number, pid: number | null, kind: Kind): void {
		for (const { name } of optionsOf(kind)) {
			this.write(pid, `setsockopt(${fd}, ${optionText(name, kind)}) = 0`);
		}
	}

	/** bind() to a named port, and listen() if the kind listens. */
	private named(fd: number, pid: number | null, kind: Kind, port: number, answer: number): void {
		const bound = answer > LISTEN_FAILED ? 0 : answer;
		const { address } = kind.place;
		this.write(pid, `bind(${fd}, ${sockaddrText(address, port)}) = ${resultText(bound)}`);
		if (!kind.listens || bound !== 0) return;
		const listens = answer > LISTEN_FAILED ? answer - LISTEN_FAILED : 0;
		this.write(pid, `listen(${fd}, 1) = ${resultText(listens)}`);
	}

	private act(action: Action, socket: number, answer: number): void {
		const { fd, pid, kind } = nth(this.sockets, socket);
		if (action === "connect") {
			this.listenForPeer(pid);
			const to = sockaddrText(peerOf(kind.place), PEER_PORT);
			const errno = answer === ERESTARTSYS ? EINPROGRESS : answer;
			this.write(pid, `connect(${fd}, ${to}) = ${resultText(errno)}`);
			if (answer === 0 && this.parts) this.take(this.peer, pid, 0);
			return;
		}
		if (action === "accept") {
			this.take(fd, pid, answer);
			return;
		}
		if (action === "close") this.opened.get(pid)?.delete(fd);
		this.write(pid, `${RESULTS[action].replace("FD", `${fd}`)} = ${resultText(answer)}`);
	}

	/** Whether a connect() of the next socket sleeps. */
	private sleeps(): boolean {
		const socket = this.sockets.length;
		return this.steps.some(
			(step, i) =>
				step.do === "act" &&
				step.action === "connect" &&
				step.socket === socket &&
				this.answers[i] === ERESTARTSYS,
		);
	}

	/** Whether the other ends of connections close in the program. */
	private get parts(): boolean {
		return this.steps.some((step) => step.do === "part");
	}

	private listenForPeer(pid: number | null): void {
		const { listens, words } = KINDS[this.protocol];
		if (!listens || this.peer >= 0) return;
		this.peer = this.open(pid, "AF_INET6", words);
		this.write(pid, `bind(${this.peer}, ${sockaddrText("::", PEER_PORT)}) = 0`);
		this.write(pid, `listen(${this.peer}, 16) = 0`);
	}

	private client(to: number, answer: number): void {
		const pid = this.pidOf(null);
		const address = nth(CLIENTS, to);
		const family = address.includes(":") ? "AF_INET6" : "AF_INET";
		const { listens, words } = KINDS[this.protocol];
		const fd = this.open(pid, family, words);
		const name = sockaddrText(address, PORT);
		if (listens) this.write(pid, `connect(${fd}, ${name}) = ${resultText(answer)}`);
		else {
			const sent = answer === 0 ? "1" : resultText(answer);
			this.write(pid, `sendto(${fd}, "a", 1, MSG_NOSIGNAL, ${name}) = ${sent}`);
		}
	}

	/** The peer sends a datagram. */
	private ask(to: number, answer: number, at: number): void {
		const pid = this.pidOf(null);
		const address = nth(CLIENTS, to);
		const ipv6 = address.includes(":");
		const fd = this.open(pid, ipv6 ? "AF_INET6" : "AF_INET", KINDS[this.protocol].words);
		this.write(pid, `bind(${fd}, ${sockaddrText(ipv6 ? "::1" : "127.0.0.1", PEER_PORT)}) = 0`);
		this.write(pid, `sendto(${fd}, "a", 1, MSG_NOSIGNAL, ${sockaddrText(address, PORT)}) = 1`);
		this.who(answer, at);
	}

	/** Asks the sockets in turn until one has the client. */
	private who(answer: number, at: number): void {
		const { listens } = KINDS[this.protocol];
		const closed = new Set(
			this.steps.flatMap((step, i) =>
				i < at && step.do === "act" && step.action === "close" ? [step.socket] : [],
			),
		);
		for (const [i, { fd, pid }] of this.sockets.entries()) {
			if (closed.has(i)) continue;
			const has = answer === SOCKET + i;
			const gives = listens ? `${this.lowest(pid)}` : "1";
			const call = listens
				? `accept4(${fd}, NULL, NULL, 0)`
				: `recvfrom(${fd}, "a", 1, MSG_DONTWAIT, NULL, NULL)`;
			this.write(pid, `${call} = ${has ? gives : "-1 EAGAIN"}`);
			if (has) return;
		}
		if (answer !== NOBODY) throw new RangeError(`no socket for the answer ${answer}`);
	}
}

/** The script of a program in a version; `answers` has the answer of each step. */
export function scriptOf(
	version: string,
	protocol: Protocol,
	steps: readonly Step[],
	answers: readonly number[],
): string {
	const stepWidth = changesOf(version)?.has("port-step-width") ?? false;
	return new Writer(protocol, steps, answers, stepWidth).text();
}
