// SPDX-License-Identifier: GPL-2.0-or-later
/** `inet-port-model repro`: a script as a program that needs nothing else. */
import { writeFileSync } from "node:fs";
import { release } from "node:os";
import { readScript } from "../check/player.js";
import { DEFAULT_VERSION } from "../machine/versions.js";
import { LANGUAGES, type Language, planOf, programOf } from "../real/repro/repro.js";
import { errnoOf } from "../script/operands.js";
import {
	oneLine,
	parse,
	printable,
	readFile,
	reasonOf,
	sayNotUnderstood,
	UsageError,
	versionOf,
} from "./terminal.js";

const HELP = `usage: inet-port-model repro [OPTIONS] SCRIPT

Writes a program that makes the calls of a script (- is standard input) in a fresh user
and network namespace, and checks each result. The program needs nothing else, and can be
mailed. It prints TAP. Its exit status is 0 if all results are as expected, 1 if something
differs, and 4 if it cannot run: namespaces, ip, or a protocol is missing.

  --c               a program in C (default)
  --python          a program in Python 3.8 or later
  --kselftest       a test for tools/testing/selftests/net/ of the kernel's sources
  -o FILE           write the program to a file (default standard output)
  --kernel VERSION  the version whose answers lines without a result must have (default
                    ${DEFAULT_VERSION}); "running" is the version nearest to the running kernel
  --expect WHICH    script: recorded results are expected (default). model: the answers of
                    the version are expected, whatever the script says
  --should RESULT   the last call should give this instead: "success", a number of bytes, or an
                    error such as EADDRINUSE. So the program fails where the kernel has a fault

A port that the kernel chooses must be within the range of its search and not reserved.
Later lines that name it mean the same port. Where chance decides a result, each result
that the model can give is taken. Set-up commands are run by ip, or written to
/proc/sys/net. A call that a program cannot make is left out, and this is said.
A script with setuid() gives a program that root must run.

Exit status: 0 written, 2 bad input.
`;

/** The result that a text means: "success" is 0, an error is negative. Null if it means none. */
export function resultNamed(text: string): number | null {
	if (text === "success") return 0;
	if (/^[0-9]{1,9}$/.test(text)) return Number(text);
	const errno = errnoOf(text);
	return errno === null ? null : -errno;
}

/** The result of --should. Throws UsageError. */
function resultOf(text: unknown): number | undefined {
	if (text === undefined) return undefined;
	const result = resultNamed(String(text));
	if (result !== null) return result;
	throw new UsageError(
		`--should: expected success, a number or the name of an error, found ${oneLine(String(text))}`,
	);
}

export async function repro(args: string[]): Promise<number> {
	const { values, positionals } = parse(args, {
		c: { type: "boolean", default: false },
		python: { type: "boolean", default: false },
		kselftest: { type: "boolean", default: false },
		output: { type: "string", short: "o" },
		kernel: { type: "string" },
		expect: { type: "string", default: "script" },
		should: { type: "string" },
		help: { type: "boolean", default: false },
	});
	if (values.help === true) {
		process.stdout.write(HELP);
		return 0;
	}
	const [file, ...more] = positionals;
	if (file === undefined || more.length > 0) {
		throw new UsageError("repro: expected one script (see repro --help)");
	}
	const chosen = LANGUAGES.filter((name) => values[name] === true);
	if (chosen.length > 1) {
		throw new UsageError("repro: expected one of --c, --python and --kselftest");
	}
	const [language = "c" satisfies Language] = chosen;
	if (values.expect !== "script" && values.expect !== "model") {
		const found = oneLine(String(values.expect));
		throw new UsageError(`--expect: expected script or model, found ${found}`);
	}
	const version =
		values.kernel === undefined ? DEFAULT_VERSION : versionOf(String(values.kernel), release());
	const should = resultOf(values.should);
	const script = readScript(readFile(file), file);
	sayNotUnderstood(script);
	const plan = planOf(script, {
		version,
		own: values.expect === "model",
		...(should === undefined ? {} : { should }),
	});
	const left = plan.steps.filter((step) => step.kind === "left out");
	if (left.length > 0) {
		const said = left.slice(0, 5).map(({ line, what }) => `${what} of line ${line}`);
		const rest = left.length > 5 ? `, and ${left.length - 5} more` : "";
		process.stderr.write(printable(`repro: left out: ${said.join(", ")}${rest}\n`));
	}
	const program = programOf(plan, language);
	if (values.output === undefined) {
		process.stdout.write(program);
		return 0;
	}
	const output = String(values.output);
	try {
		writeFileSync(output, program);
	} catch (error) {
		throw new UsageError(`${output}: ${reasonOf(error)}`);
	}
	return 0;
}
