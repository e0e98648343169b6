// SPDX-License-Identifier: GPL-2.0-or-later
/**
 * What a reproducer does, in no language: the steps of a script, and what must hold after each. The
 * printers of this room make programs of it. A plan has nothing of the script's own text but the
 * comments above its first line.
 */

/** A port of an argument or of an expected address. */
export type Port =
	| { kind: "number"; value: number }
	/** A port that the kernel chose before. */
	| { kind: "variable"; name: string }
	/** The port of a socket at this moment. */
	| { kind: "socket"; fd: Fd };

/** A descriptor of the script. */
export interface Fd {
	number: number;
	/** The program has a variable for it. Else no call of the script opened this number. */
	known: boolean;
}

/** An index of a device: a number, or a name to look up. */
export type Scope = number | { device: string };

/** An argument. Some kinds stand for two arguments of the call: memory and its length. */
export type Argument =
	| { kind: "int"; value: number }
	/** Constants by name, and further bits. */
	| { kind: "names"; names: readonly string[]; extra: number }
	| { kind: "fd"; fd: Fd }
	/** A struct rlimit. */
	| { kind: "limit"; cur: number; max: number }
	/** A path below /proc/sys/net/, or /dev/null. */
	| { kind: "path"; path: string }
	/** An IPv4 address and the length of the sockaddr. */
	| { kind: "in4"; address: string; port: Port; length: number }
	| {
			kind: "in6";
			address: string;
			port: Port;
			flowinfo: number;
			scope: Scope;
			length: number;
	  }
	/** Memory with these bytes, and a length. */
	| { kind: "bytes"; bytes: Uint8Array; length: number }
	/** The same, whose bytes are ints. */
	| { kind: "ints"; ints: readonly number[]; length: number }
	/** So many bytes of data that do not matter, and their number. */
	| { kind: "zeros"; length: number }
	/** A pointer without memory, and a length. */
	| { kind: "pointer"; value: number; length: number }
	/** Memory for data, and its size. */
	| { kind: "room"; size: number }
	/** Memory for an address, and for its length, which is `room` before the call. */
	| { kind: "name"; room: number }
	/** Memory for an option, and for its length, which is `room` before the call. */
	| { kind: "value"; room: number }
	/** No memory for an address, and none for its length. */
	| { kind: "nothing" };

/** An address that a call must return. */
export interface Expected {
	address: string;
	/** Null if the port cannot be known. */
	port: Port | null;
}

/** A port that a call chooses. */
export interface Choice {
	/** The variable that holds it; null if no later step needs it. */
	name: string | null;
	/** The socket. */
	fd: Fd;
	/** The effective range of the search, inclusive. */
	low: number;
	high: number;
	/** Reserved ports within the range. */
	reserved: readonly number[];
}

export interface CallStep {
	kind: "call";
	line: number;
	task: number;
	name: string;
	args: readonly Argument[];
	/** The results that the kernel may give; negative errnos. Every descriptor is alike. */
	returns: readonly number[];
	/** Results that the kernel may also give, by chance. */
	others: readonly number[];
	/**
	 * With others: the whole program is tried again until the result is as expected, or for as
	 * long as it is.
	 */
	again: "until" | "while" | null;
	/** The descriptor that the call makes. */
	makes: number | null;
	/** The call sleeps until it is interrupted. */
	sleeps: boolean;
	/** The address that the call must fill in. */
	address: Expected | null;
	/** The values of an option, one of which the call must fill in. */
	values: readonly Uint8Array[];
	choice: Choice | null;
}

export type Step =
	| CallStep
	/** `ip` with these words. */
	| { kind: "ip"; line: number; words: readonly string[] }
	/** A write of `value` to a file below /proc/sys/. Returns 0 or a negative errno. */
	| { kind: "sysctl"; line: number; path: string; value: string; returns: number }
	| { kind: "sleep"; line: number; ms: number }
	| { kind: "fork"; line: number; task: number; child: number }
	/** The process ends, or closes all its descriptors if it is the first one. */
	| { kind: "exit"; line: number; task: number }
	/** A line that is left out, and why. */
	| { kind: "left out"; line: number; what: string };

export interface Plan {
	/** The name of the script, without folders. */
	title: string;
	/** The comments above the first line. */
	comments: readonly string[];
	/** The version whose answers lines without a result must have. */
	version: string;
	/** Whose results are expected: those of the script, or those of the model, or both. */
	sources: ReadonlySet<"script" | "model">;
	steps: readonly Step[];
	/** Descriptors that have a variable, because arguments name them. */
	descriptors: readonly number[];
	/** Descriptors below 3 that calls use. In the program they are /dev/null. */
	standard: readonly number[];
	/** Variables of ports. */
	ports: readonly string[];
	/** Number of processes. */
	tasks: number;
	/** A process takes another user, so that the program must be run by root. */
	users: boolean;
	/** Protocols that a kernel may lack and that sockets of the script have. */
	protocols: readonly { family: number; type: number; protocol: number; name: string }[];
}

/** A check that a program reports: the line of the script, and what it is about. */
export interface Check {
	line: number;
	about: "result" | "port" | "address" | "value";
}

/** The checks of a plan, in the order in which programs report them. */
export function checksOf({ steps }: Plan): Check[] {
	const checks: Check[] = [];
	for (const step of steps) {
		const { line } = step;
		if (step.kind === "sysctl") checks.push({ line, about: "result" });
		if (step.kind !== "call") continue;
		checks.push({ line, about: "result" });
		if (step.choice !== null) checks.push({ line, about: "port" });
		if (step.address !== null) checks.push({ line, about: "address" });
		if (step.values.length > 0) checks.push({ line, about: "value" });
	}
	return checks;
}

/** Milliseconds that the steps sleep. */
export function sleepOf({ steps }: Plan): number {
	let ms = 0;
	for (const step of steps) {
		if (step.kind === "sleep") ms += step.ms;
		if (step.kind === "call" && step.sleeps) ms += SLEEP_LIMIT;
	}
	return ms;
}

/** Most times that a program is tried again. */
export const ATTEMPTS = 100;

/** A call that must sleep is interrupted after so many ms. */
export const SLEEP_LIMIT = 250;
