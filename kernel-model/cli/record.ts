// SPDX-License-Identifier: GPL-2.0-or-later
/** `inet-port-model record`: runs a program under strace, with the state of the host on top. */
import { basename } from "node:path";
import { RecordError, record as recordProgram, signalNumber } from "../real/record.js";
import { oneLine, parse, UsageError } from "./terminal.js";

const HELP = `usage: inet-port-model record [-o FILE] [--] PROGRAM ARGS...
       inet-port-model record [-o FILE] -p PID

Runs a program under strace and records the system calls that run checks. The state
of the host is on top of the recording: release of the kernel, user and capabilities,
addresses, routes, settings that differ from the defaults, and sockets (ip, ss). So
run FILE needs no option. The recording is text and a valid script.

  -o FILE   the file to write (default PROGRAM.strace); compressed if its name
            ends with .gz
  -p PID    attach to a running process instead, until Ctrl-C. Give it once for each
            process. Calls on a socket that ss does not show are undecided

strace is needed; ip and ss should be there. The program's input and output are its own.
Signals go to the program. A program with set-user-ID or file capabilities does not get
them under strace, unless root records it. The recording holds the first 128 bytes of
each message and each write(), so it may hold secrets.

Exit status: that of the program (128 + N for signal N), 2 if nothing was recorded.
With -p: 0.
`;

/** Splits the arguments into the options and the program with its own arguments. */
function split(args: readonly string[]): [options: string[], program: string[]] {
	let at = 0;
	for (; at < args.length; at++) {
		const arg = args[at] ?? "";
		if (arg === "--") return [args.slice(0, at), args.slice(at + 1)];
		if (!arg.startsWith("-")) break;
		if (/^(-[op]|--output|--attach)$/.test(arg)) at++;
	}
	return [args.slice(0, at), args.slice(at)];
}

function pidOf(text: string): number {
	const pid = /^[0-9]{1,9}$/.test(text) ? Number(text) : 0;
	if (pid === 0) throw new UsageError(`record: expected a process after -p, found ${text}`);
	return pid;
}

export async function record(args: string[]): Promise<number> {
	const [options, argv] = split(args);
	const { values } = parse(options, {
		output: { type: "string", short: "o" },
		attach: { type: "string", short: "p", multiple: true },
		help: { type: "boolean", default: false },
	});
	if (values.help === true) {
		process.stdout.write(HELP);
		return 0;
	}
	const pids = Array.isArray(values.attach) ? values.attach.map((each) => pidOf(String(each))) : [];
	const [program] = argv;
	if (program === undefined && pids.length === 0) {
		throw new UsageError("record: expected a program, or a process with -p (see record --help)");
	}
	if (program !== undefined && pids.length > 0) {
		throw new UsageError(`record: expected a program or a process with -p, found both`);
	}
	const file = String(values.output ?? `${basename(program ?? pids.join("-"))}.strace`);
	const onNote = (line: string) => {
		process.stderr.write(`inet-port-model: record: ${oneLine(line)}\n`);
	};
	let ended: Awaited<ReturnType<typeof recordProgram>>;
	try {
		ended = await recordProgram({ file, argv, pids, onNote });
	} catch (error) {
		if (error instanceof RecordError) throw new UsageError(`record: ${error.message}`);
		throw error;
	}
	const { status, signal, any } = ended;
	if (!any && (pids.length === 0 || (status !== 0 && signal === null))) {
		throw new UsageError(`record: strace recorded nothing, so ${file} has only the top`);
	}
	onNote(`${file} has the recording; inet-port-model run checks it`);
	if (pids.length > 0) return 0;
	return signal === null ? (status ?? 0) : 128 + signalNumber(signal);
}
