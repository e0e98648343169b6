// SPDX-License-Identifier: GPL-2.0-or-later
/**
 * Records a program by strace. The top of the recording holds what was there before: the kernel,
 * the user, and the addresses, routes, settings and sockets of the network namespace.
 */
import { spawn, spawnSync } from "node:child_process";
import {
	accessSync,
	closeSync,
	constants,
	createReadStream,
	createWriteStream,
	openSync,
	readdirSync,
	readFileSync,
	readlinkSync,
	readSync,
	renameSync,
	rmSync,
	statSync,
	writeFileSync,
} from "node:fs";
import { release, constants as system, version } from "node:os";
import { resolve } from "node:path";
import { pipeline } from "node:stream/promises";
import { createGzip } from "node:zlib";
import { Kernel } from "../machine/kernel.js";
import { profileFor } from "../machine/profile.js";
import { recordedCalls } from "../script/calls.js";
import { HostError, readHost } from "../script/host.js";
import { SYSCTL_NAMES } from "../script/setup.js";
import { concernedCapabilities, quoted, topLines } from "../script/top.js";

/** Something that record needs is missing. The message is one line. */
export class RecordError extends Error {}

/** Bytes of strings that strace prints. */
const STRING = 128;

/** Tables of a kernel that only tells its settings. */
const SMALL = { ehash: 16, bhash: 16, lhash2: 16, udp: 256 };

/** CAP_NET_ADMIN in /proc/PID/status. */
const NET_ADMIN = 1n << 12n;

export interface RecordOptions {
	/** The file to write. It is compressed if its name ends with .gz. */
	file: string;
	/** The program with its arguments; empty to attach to processes. */
	argv: readonly string[];
	/** The processes to attach to. */
	pids: readonly number[];
	/** Takes a line for the user: what is left out, and how to end. */
	onNote(line: string): void;
}

/** How a recording ended. */
export interface Recorded {
	/** The exit status of strace, which is that of the program; null if a signal ended it. */
	status: number | null;
	signal: NodeJS.Signals | null;
	/** Whether strace recorded a line. */
	any: boolean;
}

/** The options of strace: one -e trace= for all calls that check mode reads. */
function straceOptions(): string[] {
	// "?" lets strace pass over calls that this machine does not have.
	const calls = recordedCalls().map((name) => `?${name}`);
	return ["-f", "-q", "-ttt", "-s", String(STRING), "-e", `trace=${calls.join(",")}`];
}

/**
 * Runs a program under strace, or attaches strace to processes, until it ends. Throws RecordError
 * before anything is run.
 */
export async function record(options: RecordOptions): Promise<Recorded> {
	const { file, argv, pids, onNote } = options;
	const strace = straceVersion();
	for (const pid of pids) checkProcess(pid);
	const [program] = argv;
	if (program !== undefined) checkProgram(program);
	const lines = new Observer(pids, onNote).top(strace, argv);
	// strace appends to an uncompressed file. It is compressed at the end.
	const compressed = file.endsWith(".gz");
	const plain = resolve(compressed ? `${file}.part` : file);
	try {
		if (compressed) closeSync(openSync(file, "a"));
		writeFileSync(plain, `${lines.join("\n")}\n`);
	} catch (error) {
		throw new RecordError(`${file} cannot be written: ${reason(error)}`);
	}
	if (pids.length > 0) onNote(`recording process ${pids.join(", ")} in ${file}; Ctrl-C ends it`);
	const { size } = statSync(plain);
	const target = pids.length > 0 ? ["-p", pids.join(",")] : ["--", ...argv];
	const ended = await run([...straceOptions(), "-A", "-o", plain, ...target], plain, size, pids);
	const any = statSync(plain).size > size;
	if (compressed) await compress(plain, file);
	return { ...ended, any };
}

/** Compresses a file into another one, and removes it. */
async function compress(plain: string, file: string): Promise<void> {
	const making = `${plain}.gz`;
	try {
		await pipeline(createReadStream(plain), createGzip(), createWriteStream(making));
		renameSync(making, file);
		rmSync(plain);
	} catch (error) {
		rmSync(making, { force: true });
		throw new RecordError(
			`${file} cannot be written: ${reason(error)}; ${plain} has the recording`,
		);
	}
}

function reason(error: unknown): string {
	const text = error instanceof Error ? error.message : String(error);
	// "ENOENT: no such file or directory, open 'x'"
	return text.replace(/^E[A-Z0-9]+: /, "").replace(/, [a-z]+( '.*')?$/s, "");
}

function straceVersion(): string {
	const { status, stdout, error } = spawnSync("strace", ["-V"], { encoding: "utf8" });
	if (error !== undefined || status !== 0) {
		throw new RecordError("strace cannot be run: install the package strace");
	}
	return /version (\S+)/.exec(stdout)?.[1] ?? "of unknown version";
}

function checkProcess(pid: number): void {
	try {
		readdirSync(`/proc/${pid}/fd`);
	} catch (error) {
		const code = error instanceof Error && "code" in error ? error.code : null;
		const why =
			code === "ENOENT"
				? "there is no such process"
				: "it is not yours; root, or who has CAP_SYS_PTRACE, may attach to it";
		throw new RecordError(`process ${pid} cannot be recorded: ${why}`);
	}
}

function checkProgram(program: string): void {
	const folders = program.includes("/") ? [""] : (process.env.PATH ?? "").split(":");
	const found = folders.some((folder) => {
		const path = program.includes("/") ? program : `${folder || "."}/${program}`;
		try {
			accessSync(path, constants.X_OK);
			return statSync(path).isFile();
		} catch {
			return false;
		}
	});
	if (!found) throw new RecordError(`there is no program ${program} that can be run`);
}

/** Signals that a user or another program sends to end a program. */
const SIGNALS = ["SIGINT", "SIGTERM", "SIGHUP", "SIGQUIT"] as const;

/** Runs strace. Passes signals on to the program, or to strace if it is attached. */
function run(
	args: readonly string[],
	plain: string,
	size: number,
	pids: readonly number[],
): Promise<Omit<Recorded, "any">> {
	const child = spawn("strace", args, { stdio: "inherit" });
	const pass = (signal: NodeJS.Signals) => {
		// A terminal sends these to strace and the program as well.
		if (process.stdin.isTTY && (signal === "SIGINT" || signal === "SIGQUIT")) return;
		const to = pids.length > 0 ? child.pid : firstPid(plain, size);
		try {
			if (to !== undefined) process.kill(to, signal);
		} catch {
			// It has ended meanwhile.
		}
	};
	for (const signal of SIGNALS) process.on(signal, pass);
	return new Promise((done, failed) => {
		child.on("error", failed);
		child.on("close", (status, signal) => {
			for (const each of SIGNALS) process.off(each, pass);
			done({ status, signal });
		});
	});
}

/** The pid of the first line that strace wrote. */
function firstPid(plain: string, size: number): number | undefined {
	const fd = openSync(plain, "r");
	const bytes = Buffer.alloc(16);
	readSync(fd, bytes, 0, bytes.length, size);
	closeSync(fd);
	const [, pid] = /^([0-9]+) /.exec(bytes.toString("latin1")) ?? [];
	return pid === undefined ? undefined : Number(pid);
}

/** Reads a file of /proc; null if it cannot be read. */
function read(path: string): string | null {
	try {
		return readFileSync(path, "utf8");
	} catch {
		return null;
	}
}

function link(path: string): string | null {
	try {
		return readlinkSync(path);
	} catch {
		return null;
	}
}

function list(path: string): string[] {
	try {
		return readdirSync(path);
	} catch {
		return [];
	}
}

/** The numbers of the sockets of a process, as /proc/PID/fd shows them. */
function socketsOf(pid: number | string): string[] {
	return list(`/proc/${pid}/fd`).flatMap((fd) => {
		const [, inode] = /^socket:\[([0-9]+)\]$/.exec(link(`/proc/${pid}/fd/${fd}`) ?? "") ?? [];
		return inode === undefined ? [] : [inode];
	});
}

/** Finds out what is there before a recording. */
class Observer {
	/** Prefix of commands that look into the namespace of the processes. */
	private readonly enter: readonly string[];
	private readonly left: string[] = [];
	/** The process whose user and namespace count. */
	private readonly of: number | "self";

	constructor(
		private readonly pids: readonly number[],
		private readonly onNote: (line: string) => void,
	) {
		this.of = pids[0] ?? "self";
		const nets = pids.map((pid) => link(`/proc/${pid}/ns/net`));
		if (nets.some((net) => net !== nets[0])) {
			throw new RecordError("the processes are in different network namespaces");
		}
		const elsewhere = pids.length > 0 && nets[0] !== link("/proc/self/ns/net");
		this.enter = elsewhere ? ["nsenter", `--net=/proc/${this.of}/ns/net`] : [];
	}

	/** The lines of the top. */
	top(strace: string, argv: readonly string[]): string[] {
		const signature = read("/proc/version_signature")?.trim();
		const build = version() + (signature === undefined ? "" : ` (${signature})`);
		const commands = [...this.settings(build), ...this.addresses()];
		const ss = this.sockets();
		const threads = new Map<number, number>();
		for (const pid of this.pids) {
			for (const tid of list(`/proc/${pid}/task`).map(Number)) {
				if (tid !== pid) threads.set(tid, pid);
			}
		}
		const command =
			argv.length > 0 ? argv.map(quoted).join(" ") : `attached to ${this.pids.join(" ")}`;
		return topLines({
			strace,
			release: release(),
			build,
			command,
			...this.user(),
			alone: this.alone(),
			threads,
			commands,
			ss,
			left: this.left,
		});
	}

	private leaves(what: string): void {
		this.left.push(what);
		this.onNote(`${what}; run learns from the calls what it can`);
	}

	/** The output of a command in the namespace; null if it cannot be had. */
	private output(argv: readonly string[], gives: string): string | null {
		const [command = "", ...args] = [...this.enter, ...argv];
		const { status, stdout, stderr, error } = spawnSync(command, args, {
			encoding: "utf8",
			maxBuffer: 1 << 30,
		});
		if (error === undefined && status === 0) return stdout;
		const missing = error !== undefined && "code" in error && error.code === "ENOENT";
		const why = missing
			? `there is no ${command}`
			: `${argv.join(" ")}: ${stderr?.trim().split("\n")[0] || error?.message || `status ${status}`}`;
		this.leaves(`the ${gives} (${why})`);
		return null;
	}

	/** The user and the capabilities over the network namespace. */
	private user(): { uid: number | null; capabilities: number | null } {
		const status = read(`/proc/${this.of}/status`) ?? "";
		const [, uid] = /^Uid:\s+[0-9]+\s+([0-9]+)/m.exec(status) ?? [];
		const [, effective] = /^CapEff:\s+([0-9a-f]+)/m.exec(status) ?? [];
		if (uid === undefined || effective === undefined) return { uid: null, capabilities: null };
		const set = BigInt(`0x${effective}`);
		// In a user namespace of its own, root has capabilities that do not count in another namespace.
		const powerless = this.of === "self" && (set & NET_ADMIN) !== 0n && isPowerless();
		return { uid: Number(uid), capabilities: powerless ? 0 : concernedCapabilities(set) };
	}

	/** Settings that are not those of a new namespace of the model. */
	private settings(build: string): string[][] {
		const profile = profileFor(release(), build)?.name;
		const net = new Kernel({
			...(profile === undefined ? {} : { version: profile }),
			tables: SMALL,
		}).createNet();
		const names = SYSCTL_NAMES.filter((name) => typeof net.getSysctl(name) === "string");
		const paths = names.map((name) => `/proc/sys/${name.replaceAll(".", "/")}`);
		const known = paths.map((path, i) => ({ path, name: names[i] ?? "" }));
		const there = known.filter(({ path }) => read(path) !== null);
		const values =
			this.enter.length === 0
				? there.map(({ path }) => read(path) ?? "")
				: this.contents(there.map(({ path }) => path));
		return there.flatMap(({ name }, i) => {
			const value = (values[i] ?? "").trim().replace(/\s+/g, " ");
			const own = String(net.getSysctl(name)).trim().replace(/\s+/g, " ");
			return value === own || values[i] === undefined ? [] : [["sysctl", `${name}=${value}`]];
		});
	}

	/** The contents of files in another namespace, each of one line. */
	private contents(paths: readonly string[]): string[] {
		const text = this.output(["grep", "-H", "", ...paths], "settings");
		if (text === null) return [];
		return paths.map((path) => {
			const line = text.split("\n").find((each) => each.startsWith(`${path}:`));
			return line?.slice(path.length + 1) ?? "";
		});
	}

	private addresses(): string[][] {
		const commands: string[][] = [];
		for (const [argv, gives] of [
			[["ip", "-d", "-j", "addr"], "addresses"],
			[["ip", "-4", "-j", "route", "show", "table", "all"], "routes"],
			[["ip", "-6", "-j", "route", "show", "table", "all"], "IPv6 routes"],
		] as const) {
			const text = this.output(argv, gives);
			// ip prints nothing if there is none.
			if (text === null || text.trim() === "") continue;
			try {
				commands.push(...readHost(text).commands);
			} catch (error) {
				if (!(error instanceof HostError)) throw error;
				this.leaves(`the ${gives} (${argv.join(" ")}: ${error.message})`);
			}
		}
		this.rules();
		return commands;
	}

	/** Notes rules that are not those of a new namespace. The model has no others. */
	private rules(): void {
		for (const family of ["-4", "-6"]) {
			const text = this.output(["ip", family, "-j", "rule"], "rules");
			const rules = /"priority":([0-9]+)/g;
			const others = [...(text ?? "").matchAll(rules)].filter(
				([, priority]) => !["0", "1000", "32766", "32767"].includes(priority ?? ""),
			);
			if (others.length > 0) this.leaves(`rules for routes (ip ${family} rule)`);
		}
	}

	/** The sockets, as ss shows them. */
	private sockets(): string[] {
		const text = this.output(["ss", "-tuanpeoOH"], "sockets");
		const lines = (text ?? "").split("\n").filter((line) => line.trim() !== "");
		return lines.map((line) => line.trimEnd().replace(/ {2,}/g, " "));
	}

	/**
	 * Whether only the recorded processes use the namespace: all others in it that can be seen are
	 * those that started us, and the kernel counts no socket that they do not have.
	 */
	private alone(): boolean {
		const net = link(`/proc/${this.of}/ns/net`);
		const own = new Set<number>([process.pid, ...this.pids, ...ancestors()]);
		const inodes = new Set<string>();
		for (const name of list("/proc")) {
			const pid = Number(name);
			if (!Number.isInteger(pid) || link(`/proc/${name}/ns/net`) !== net || net === null) continue;
			if (!own.has(pid) && !this.pids.includes(pid)) return false;
			for (const inode of socketsOf(pid)) inodes.add(inode);
		}
		// Each table lists only sockets of the namespace. No table lists a TCP socket that is only bound.
		const listed = new Set<string>();
		for (const table of ["unix", "netlink", "packet", "tcp", "tcp6", "udp", "udp6"]) {
			for (const [inode] of this.proc(table).matchAll(/[0-9]+/g)) {
				if (inodes.has(inode)) listed.add(inode);
			}
		}
		// The kernel frees a netlink socket some time after its close: that of ip or ss counts still.
		for (let tries = 0; tries < SOCKSTAT_TRIES; tries++) {
			if (tries > 0) pause(SOCKSTAT_WAIT);
			const [, used] = /^sockets: used ([0-9]+)/.exec(this.proc("sockstat")) ?? [];
			if (used === undefined) return false;
			if (Number(used) <= listed.size) return true;
		}
		return false;
	}

	private proc(table: string): string {
		return read(`/proc/${this.of}/net/${table}`) ?? "";
	}
}

/** How often the count of sockets is read, and how long in between, ms. */
const SOCKSTAT_TRIES = 10;
const SOCKSTAT_WAIT = 30;

function pause(ms: number): void {
	Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, ms);
}

/** The map of users in the first user namespace. */
const ALL_USERS = /^\s*0\s+0\s+4294967295\s*$/;

/**
 * Whether the capabilities do not count in the network namespace, because it belongs to another
 * user namespace. The kernel refuses to remove a route that does not exist with another error to
 * who has no capability.
 */
function isPowerless(): boolean {
	if (ALL_USERS.test(read("/proc/self/uid_map") ?? "")) return false;
	const words = [
		"route",
		"del",
		"unreachable",
		"192.0.2.255/32",
		"table",
		"4294967",
		"metric",
		"1",
	];
	const { stderr } = spawnSync("ip", words, {
		encoding: "utf8",
		env: { ...process.env, LC_ALL: "C" },
	});
	return stderr?.includes("Operation not permitted") === true;
}

/** The processes that started this one. */
function ancestors(): number[] {
	const found: number[] = [];
	let pid = process.ppid;
	while (pid > 0 && found.length < 1000) {
		found.push(pid);
		const status = read(`/proc/${pid}/status`) ?? "";
		pid = Number(/^PPid:\s+([0-9]+)/m.exec(status)?.[1] ?? 0);
	}
	return found;
}

/** The number of a signal; 0 for an unknown one. */
export function signalNumber(signal: NodeJS.Signals): number {
	return system.signals[signal] ?? 0;
}
