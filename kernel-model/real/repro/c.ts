// SPDX-License-Identifier: GPL-2.0-or-later
/**
 * Prints a plan as a program in C: one of its own, or a test for tools/testing/selftests/net/, which
 * uses the harness of the kernel's selftests.
 */
import { EINTR, errnoName } from "../../../include/uapi/asm-generic/errno.js";
import { constantNamed } from "../../script/operands.js";
import { helpers } from "./c_helpers.js";
import {
	type Argument,
	type CallStep,
	checksOf,
	type Expected,
	type Fd,
	type Plan,
	type Port,
	type Step,
	sleepOf,
} from "./plan.js";
import { headOf, identifier, namesOf, rangeOf, taskOf, WORKER, worked } from "./text.js";

/** Names that every libc has, and that enter no `#ifndef`. */
const COMMON =
	/^(AF_(INET6?|UNIX|UNSPEC|NETLINK)|SOCK_(STREAM|DGRAM|RAW|SEQPACKET|NONBLOCK|CLOEXEC)|IPPROTO_(IP|TCP|UDP|IPV6)|SOL_SOCKET|SO_(REUSEADDR|REUSEPORT|LINGER|ERROR|BINDTODEVICE|KEEPALIVE|BROADCAST|SNDBUF|RCVBUF)|SHUT_\w+|MSG_(PEEK|DONTWAIT|NOSIGNAL|ERRQUEUE)|F_\w+|FD_CLOEXEC|O_\w+|CLONE_\w+|IPV6_V6ONLY)$/;

/** A string literal. "#" and "?" are escaped, because they mean something in TAP and in old C. */
function literal(bytes: Uint8Array): string {
	let text = "";
	for (const byte of bytes) {
		const char = String.fromCharCode(byte);
		text += byte >= 32 && byte < 127 && !'"\\#?'.includes(char) ? char : octal(byte);
	}
	return `"${text}"`;
}

function octal(byte: number): string {
	return `\\${byte.toString(8).padStart(3, "0")}`;
}

const text = (value: string) => literal(new TextEncoder().encode(value));

/** INT_MIN cannot be written as one literal. */
const int = (value: number) => (value === -0x80000000 ? "(-0x7fffffff - 1)" : String(value));

function errno(result: number): string {
	const name = result < 0 ? errnoName(-result) : "";
	return /^E[A-Z]/.test(name) ? `-${name}` : String(result);
}

class Printer {
	private readonly lines: string[] = [];
	private readonly shared: string;

	constructor(
		private readonly plan: Plan,
		private readonly harness: boolean,
	) {
		this.shared = plan.tasks > 1 ? "shared->" : "";
	}

	print(): string {
		const { plan, harness } = this;
		const body = this.body();
		const usage = harness
			? [
					"For tools/testing/selftests/net/. Run it as root, or where users may make user",
					"namespaces.",
				]
			: [
					"\tcc -Wall -o repro repro.c && ./repro",
					"",
					"It needs no privileges where users may make user namespaces. It prints TAP. Exit status:",
					"0 all results as expected, 1 something differs, 4 cannot run here.",
				];
		const head = headOf(plan, usage).map((line) => (line === "" ? " *" : ` * ${line}`));
		return [
			"// SPDX-License-Identifier: GPL-2.0-or-later",
			"/*",
			...head.map((line) => line.replace(" * \t", " *\t")),
			" */",
			...helpers(plan, harness, this.constants(), checksOf(plan).length),
			...body,
			"",
		].join("\n");
	}

	/** Constants that an older libc may lack. */
	private constants(): string[] {
		return namesOf(this.plan)
			.filter((name) => !COMMON.test(name))
			.flatMap((name) => {
				const value = constantNamed(name) ?? 0;
				return [`#ifndef ${name}`, `#define ${name} ${value}`, "#endif"];
			});
	}

	private body(): string[] {
		const { plan, harness } = this;
		const seconds = Math.ceil(sleepOf(plan) / 1000);
		const test = identifier(plan.title);
		const head = harness
			? [
					seconds > 15
						? `TEST_F_TIMEOUT(repro, ${test}, ${seconds + 30})`
						: `TEST_F(repro, ${test})`,
					"{",
				]
			: ["int main(void)", "{"];
		const standard = new Set(plan.standard);
		const fds = plan.descriptors.map((fd) => {
			if (standard.has(fd)) return `fd${fd} = ${harness ? -1 : "null_device()"}`;
			return `fd${fd} = ${fd}`;
		});
		const used = plan.tasks > 1 ? [] : plan.ports.map((name) => `${name} = 0`);
		if (fds.length > 0) head.push(...wrapped("int ", fds));
		if (used.length > 0) head.push(...wrapped("int ", used));
		if (fds.length + used.length > 0) head.push("");
		if (harness) for (const fd of plan.standard) head.push(`\tfd${fd} = null_device();`);
		if (!harness) head.push("\tstart();");
		this.lines.push(...head);
		let task = -1;
		const { steps } = plan;
		for (const [at, step] of steps.entries()) {
			if (plan.tasks > 1 && taskOf(step) !== task) {
				if (task >= 0) this.lines.push("\t}");
				task = taskOf(step);
				this.lines.push("", `\tif (turn(${task})) {`);
			}
			if (worked(steps, at)) this.line(`sleep_ms(${WORKER}); /* routes of IPv6 addresses */`);
			this.step(step);
			if (step.kind === "fork" || step.kind === "exit") {
				this.lines.push("\t}");
				task = -1;
			}
		}
		if (task >= 0) this.lines.push("\t}");
		if (plan.tasks > 1) this.lines.push("", "\tlast_turn();");
		if (harness) this.lines.push("}", "", "TEST_HARNESS_MAIN");
		else this.lines.push(`\treturn ${this.shared}failed;`, "}");
		return this.lines;
	}

	private line(text: string): void {
		this.lines.push(`${this.plan.tasks > 1 ? "\t\t" : "\t"}${text}`);
	}

	private step(step: Step): void {
		switch (step.kind) {
			case "left out":
				this.line(`/* line ${step.line}: ${step.what} is left out */`);
				break;
			case "ip":
				this.line(`${this.harness ? "IP" : "ip"}(${text(step.words.join(" "))});`);
				break;
			case "sysctl": {
				const call = `write_file(${text(step.path)}, ${text(step.value)})`;
				this.check(call, [step.returns]);
				break;
			}
			case "sleep":
				this.line(`sleep_ms(${Math.round(step.ms)});`);
				break;
			case "fork":
				this.line(`start_task(${step.child});`);
				break;
			case "exit":
				this.line("end_task();");
				break;
			case "call":
				this.call(step);
				break;
		}
	}

	/** A check of a result. */
	private check(call: string, returns: readonly number[]): void {
		const results = returns.map(errno).join(", ");
		if (!this.harness) this.line(`CHECK(${call}, ${results});`);
		else if (returns.length === 1) this.line(`EXPECT_EQ(${results}, RET(${call}));`);
		else this.line(`EXPECT_TRUE(ONE_OF(RET(${call}), ${results}));`);
	}

	private call(step: CallStep): void {
		const { makes, sleeps, address, values, choice, others, again } = step;
		const returns = this.harness ? [...step.returns, ...others] : step.returns;
		if (again !== null && !this.harness) {
			const also = others.map(errno).join(" or ");
			this.line(`again = ${again.toUpperCase()}; /* by chance it is also ${also} */`);
		}
		const call = `${step.name}(${this.args(step.args)})`;
		if (sleeps) this.check(`SLEEPS(${call})`, [-EINTR]);
		else if (makes !== null && this.plan.descriptors.includes(makes)) {
			const fails = returns.filter((result) => result < 0).map(errno);
			if (!this.harness) {
				this.line(`fd${makes} = CHECK(${call}, ${["FD", ...fails].join(", ")});`);
			} else {
				this.line(`fd${makes} = RET(${call});`);
				const others = fails.map((fail) => ` || fd${makes} == ${fail}`).join("");
				if (others === "") this.line(`EXPECT_LE(0, fd${makes});`);
				else this.line(`EXPECT_TRUE(fd${makes} >= 0${others});`);
			}
		} else if (makes !== null) {
			const fails = returns.filter((result) => result < 0).map(errno);
			if (!this.harness) this.line(`CHECK(${call}, ${["FD", ...fails].join(", ")});`);
			else if (fails.length === 0) this.line(`EXPECT_LE(0, RET(${call}));`);
			else this.line(`EXPECT_TRUE(ONE_OF(RET(${call}), ${[makes, ...fails].join(", ")}));`);
		} else this.check(call, returns);
		if (choice !== null) {
			const { name, fd, low, high, reserved } = choice;
			const variable = name === null ? null : `${this.shared}${name}`;
			if (this.harness) {
				const port = variable ?? `port_of(${this.fd(fd)})`;
				if (variable !== null) this.line(`${variable} = port_of(${this.fd(fd)});`);
				if (low === high) this.line(`EXPECT_EQ(${low}, ${port});`);
				else {
					this.line(`EXPECT_LE(${low}, ${port});`);
					this.line(`EXPECT_GE(${high}, ${port});`);
				}
				for (const no of reserved) this.line(`EXPECT_NE(${no}, ${port});`);
			} else {
				const left = variable === null ? "" : `${variable} = `;
				const given = `${this.fd(fd)}, ${low}, ${high}`;
				const but = reserved.length === 0 ? "" : "_BUT";
				this.line(`${left}CHECK_PORT${but}(${[given, ...reserved].join(", ")});`);
			}
		}
		if (address !== null) {
			const is = `name_is(${this.expected(address)})`;
			this.line(this.harness ? `EXPECT_TRUE(${is});` : `CHECK(${is}, 1);`);
		}
		if (values.length > 0) this.values(values);
	}

	private expected({ address, port }: Expected): string {
		return `${text(address)}, ${port === null ? "-1" : this.port(port)}`;
	}

	private values(values: readonly Uint8Array[]): void {
		if (values.every((value) => value.length === 4)) {
			const ints = values.map((value) =>
				new DataView(value.buffer, value.byteOffset).getInt32(0, true),
			);
			if (!this.harness) this.line(`CHECK(int_value(), ${ints.map(int).join(", ")});`);
			else if (ints.length === 1) this.line(`EXPECT_EQ(${ints.map(int)}, int_value());`);
			else this.line(`EXPECT_TRUE(ONE_OF(int_value(), ${ints.map(int).join(", ")}));`);
			return;
		}
		const any = values.map((value) => `value_is(${literal(value)}, ${value.length})`).join(" || ");
		this.line(this.harness ? `EXPECT_TRUE(${any});` : `CHECK(${any}, 1);`);
	}

	private fd({ number, known }: Fd): string {
		return known ? `fd${number}` : String(number);
	}

	private port(port: Port): string {
		if (port.kind === "variable") return `${this.shared}${port.name}`;
		return port.kind === "socket" ? `port_of(${this.fd(port.fd)})` : String(port.value);
	}

	private args(args: readonly Argument[]): string {
		const words = args.map((arg, at) => {
			const range = rangeOf(args, at);
			if (range === null || arg.kind !== "ints" || arg.length !== 4) return this.arg(arg);
			const [low, high] = range;
			return `RANGE(${low}, ${high})`;
		});
		return words.join(", ");
	}

	private arg(arg: Argument): string {
		switch (arg.kind) {
			case "int":
				return int(arg.value);
			case "names": {
				const extra = arg.extra === 0 ? [] : [`0x${(arg.extra >>> 0).toString(16)}`];
				return [...arg.names, ...extra].join(" | ");
			}
			case "fd":
				return this.fd(arg.fd);
			case "limit":
				return `&(struct rlimit){ ${arg.cur}, ${arg.max} }`;
			case "path":
				return text(arg.path);
			case "in4": {
				const given = `${text(arg.address)}, ${this.port(arg.port)}`;
				return arg.length === 16 ? `IN4(${given})` : `in4(${given}), ${arg.length}`;
			}
			case "in6": {
				const given = `${text(arg.address)}, ${this.port(arg.port)}`;
				const { scope, flowinfo } = arg;
				const plain = scope === 0 && flowinfo === 0;
				if (plain && arg.length === 28) return `IN6(${given})`;
				const device = typeof scope === "number" ? scope : `if_nametoindex(${text(scope.device)})`;
				return `in6(${given}, ${flowinfo}, ${device}), ${arg.length}`;
			}
			case "bytes":
				return arg.bytes.every((byte) => byte === 0)
					? `(void *)zeros, ${arg.length}`
					: `(void *)${literal(arg.bytes)}, ${arg.length}`;
			case "ints": {
				if (arg.ints.length === 1 && arg.length === 4) return `INT(${arg.ints.map(int)})`;
				return `(int[]){ ${arg.ints.map(int).join(", ")} }, ${arg.length}`;
			}
			case "zeros":
				return `zeros, ${arg.length}`;
			case "pointer":
				return `${arg.value === 0 ? "NULL" : `(void *)${arg.value}L`}, ${arg.length}`;
			case "room":
				return `data, ${arg.size}`;
			case "name":
				return `NAME(${arg.room})`;
			case "value":
				return `VALUE(${arg.room})`;
			case "nothing":
				return "NULL, NULL";
		}
	}
}

/** Declarations, several a line. */
function wrapped(type: string, names: readonly string[]): string[] {
	const lines: string[] = [];
	for (let at = 0; at < names.length; at += 6) {
		lines.push(`\t${type}${names.slice(at, at + 6).join(", ")};`);
	}
	return lines;
}

/** The C program of a plan. */
export function printC(plan: Plan): string {
	return new Printer(plan, false).print();
}

/** The selftest of a plan. */
export function printKselftest(plan: Plan): string {
	return new Printer(plan, true).print();
}
