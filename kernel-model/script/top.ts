// SPDX-License-Identifier: GPL-2.0-or-later
/**
 * The top of a recording that `record` made: what was there before the program began.
 *
 *     # inet-port-model recording, format 1
 *     # kernel: 6.1.0-18-amd64 #1 SMP PREEMPT_DYNAMIC Debian 6.1.76-1 (2024-02-01)
 *     # command: nc -l 127.0.0.1 5000
 *     # user: 1000, capabilities: net_bind_service
 *     # namespace: shared
 *     # threads of 612: 613 614
 *     # ss: tcp LISTEN 0 128 127.0.0.1:22 0.0.0.0:* users:(("sshd",pid=612,fd=3)) ino:3343
 *     $ ip link set dev lo up
 *     $ sysctl 'net.ipv4.ip_local_port_range=40000 50000'
 *     # end of the top
 *
 * Each line is a comment or a set-up command, so the file is a valid script. Lines that are not
 * known are passed over. A top without its last line ends before the first other line.
 */
import {
	CAP_FULL_SET,
	CAP_NET_ADMIN,
	CAP_NET_BIND_SERVICE,
	CAP_NET_RAW,
	CAP_SETUID,
} from "../../include/linux/capability.js";
import { HostError, type HostSocket, readSocket } from "./host.js";
import { words } from "./shell.js";
import { Stop } from "./source.js";

/** The contents of the top. */
export interface Top {
	/** `uname -r`. */
	release: string;
	/** `uname -v`; empty if it is not known. */
	build: string;
	/** The command that was recorded, or the process, in words. */
	command: string;
	/** The effective user; null if it is not known. */
	uid: number | null;
	/** The capabilities of the program over its network namespace, one bit each; null if unknown. */
	capabilities: number | null;
	/** Only the recorded processes use the network namespace. */
	alone: boolean;
	/** The threads of processes that existed before: the process of each thread. */
	threads: ReadonlyMap<number, number>;
	/** Commands of ip and sysctl that give the state of the host, word by word. */
	commands: string[][];
	/** Sockets that existed before. */
	sockets: HostSocket[];
	/** Lines that were not understood, in words, and what `record` left out. */
	left: string[];
	/** The number of its last line. */
	end: number;
}

/** The first line. */
export const TOP = "# inet-port-model recording, format 1";
const END = "# end of the top";

/** Most threads that a top may name: the default of kernel.pid_max on small machines. */
const MAX_THREADS = 32768;
const MAX_PID = 1 << 22;
const LAST_UID = 4294967294;

/** The capabilities that concern ports, by their names. */
const CAPABILITIES: readonly [name: string, bit: number][] = [
	["net_bind_service", CAP_NET_BIND_SERVICE],
	["net_admin", CAP_NET_ADMIN],
	["net_raw", CAP_NET_RAW],
	["setuid", CAP_SETUID],
];
const CONCERNED = CAPABILITIES.reduce((mask, [, bit]) => mask | (1 << bit), 0);

/** A word of a command, quoted if a shell needs it. */
export function quoted(word: string): string {
	return /^[\w%+,./:=@^-]+$/.test(word) ? word : `'${word.replaceAll("'", "'\\''")}'`;
}

/** A text on one line: control characters become "?". */
function plain(text: string): string {
	return text.replace(/[\p{Cc}\p{Cf}\u2028\u2029]/gu, "?");
}

/** The lines of a top. `ss` are lines of `ss -tuanpeoO` without its header. */
export function topLines(
	top: Omit<Top, "sockets" | "end"> & { strace: string; ss: readonly string[] },
): string[] {
	const { capabilities, uid } = top;
	const held = CAPABILITIES.filter(([, bit]) => ((capabilities ?? 0) & (1 << bit)) !== 0);
	const names = held.map(([name]) => name).join(" ");
	const able = held.length === CAPABILITIES.length ? "all" : names || "none";
	const caps = capabilities === null ? "" : `, capabilities: ${able}`;
	const lines = [
		TOP,
		`# kernel: ${top.release} ${top.build}`.trimEnd(),
		`# strace: ${top.strace}`,
		`# command: ${top.command}`,
		...(uid === null ? [] : [`# user: ${uid}${caps}`]),
		`# namespace: ${top.alone ? "own" : "shared"}`,
	];
	const threads = new Map<number, number[]>();
	for (const [tid, pid] of top.threads) threads.set(pid, [...(threads.get(pid) ?? []), tid]);
	for (const [pid, tids] of threads) lines.push(`# threads of ${pid}: ${tids.join(" ")}`);
	for (const socket of top.ss) lines.push(`# ss: ${socket.trimEnd()}`);
	for (const what of top.left) lines.push(`# left out: ${what}`);
	for (const command of top.commands) {
		if (command.some((word) => word !== plain(word))) continue;
		lines.push(`$ ${command.map(quoted).join(" ")}`);
	}
	lines.push(END);
	return lines.map(plain);
}

/** Reads the top of a file from its first lines; null if `record` did not make it. */
export function readTop(texts: Iterable<string>): Top | null {
	const threads = new Map<number, number>();
	let top: Top | null = null;
	let line = 0;
	for (const text of texts) {
		line++;
		if (top === null) {
			if (text !== TOP) return null;
			top = empty(threads);
			continue;
		}
		if (!/^\s*([#$]|$)/.test(text)) break;
		top.end = line;
		if (text === END) break;
		read(text, line, top, threads);
	}
	return top?.release === "" ? null : top;
}

function empty(threads: ReadonlyMap<number, number>): Top {
	return {
		release: "",
		build: "",
		command: "",
		uid: null,
		capabilities: null,
		alone: false,
		threads,
		commands: [],
		sockets: [],
		left: [],
		end: 1,
	};
}

const FACT = /^# ([a-z]+(?: [a-z]+)*(?: [0-9]+)?): (.*)$/;

function read(text: string, line: number, top: Top, threads: Map<number, number>): void {
	if (text.trimStart().startsWith("$")) {
		readCommand(text, line, top);
		return;
	}
	const [, name = "", value = ""] = FACT.exec(text) ?? [];
	const bad = (expected: string) => top.left.push(`line ${line}: expected ${expected}`);
	if (name === "kernel") {
		const [, release, build = ""] = /^([!-~]{1,200})(?: (.*))?$/.exec(value) ?? [];
		if (release === undefined) bad("a release of uname -r");
		else [top.release, top.build] = [release, build];
	} else if (name === "command") top.command = value;
	else if (name === "left out") top.left.push(value);
	else if (name === "namespace") top.alone = value === "own";
	else if (name === "user") {
		const [, uid, names] = /^([0-9]{1,10})(?:, capabilities: ([a-z_ ]+))?$/.exec(value) ?? [];
		if (uid === undefined || Number(uid) > LAST_UID) bad("the number of a user");
		else top.uid = Number(uid);
		if (names !== undefined) top.capabilities = capabilitiesOf(names);
	} else if (name.startsWith("threads of ")) {
		const pid = Number(name.slice(11));
		for (const tid of value.split(" ").slice(0, MAX_THREADS).map(Number)) {
			if (!isPid(pid) || !isPid(tid) || threads.size >= MAX_THREADS) {
				bad(`at most ${MAX_THREADS} threads, each a number`);
				break;
			}
			if (tid !== pid) threads.set(tid, pid);
		}
	} else if (name === "ss") {
		try {
			const [protocol = ""] = value.split(" ");
			if (protocol === "tcp" || protocol === "udp") top.sockets.push(readSocket(value, line));
			else top.left.push(`line ${line}: a socket of protocol ${protocol}`);
		} catch (error) {
			if (!(error instanceof HostError)) throw error;
			bad("a line of ss -tuanpeo");
		}
	}
}

const isPid = (pid: number) => Number.isInteger(pid) && pid > 0 && pid <= MAX_PID;

function readCommand(text: string, line: number, top: Top): void {
	try {
		const { argv } = words(text, text.indexOf("$") + 1);
		if (argv[0] === "ip" || argv[0] === "sysctl") top.commands.push(argv);
		else top.left.push(`line ${line}: expected ip or sysctl`);
	} catch (error) {
		if (!(error instanceof Stop)) throw error;
		top.left.push(`line ${line}: expected ${error.expected}`);
	}
}

/** The bits of names of capabilities. Unknown names are passed over. */
function capabilitiesOf(names: string): number {
	if (names === "all") return CAP_FULL_SET;
	const given = names.split(" ");
	return CAPABILITIES.reduce(
		(mask, [name, bit]) => (given.includes(name) ? mask | (1 << bit) : mask),
		0,
	);
}

/** The capabilities that concern ports, from a set as /proc/PID/status shows it. */
export function concernedCapabilities(set: bigint): number {
	return Number(set & 0xffffffffn) & CONCERNED;
}
