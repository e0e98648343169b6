// SPDX-License-Identifier: GPL-2.0-or-later
/** Files below /proc/sys/net/ipv4: the texts that they accept, and their contents. */
import { describe } from "vitest";
import { EVERY, EXPONENTIAL, LINEAR, rule } from "../world.js";

/** Texts written to a file in turn, each with the result and the contents afterwards. */
function writes(
	file: string,
	rows: readonly (readonly [text: string, result: string, read: string])[],
) {
	return rows
		.map(
			([text, result, read]) =>
				`write ${file} ${JSON.stringify(text)} = ${result}\nread ${file} = ${JSON.stringify(read)}`,
		)
		.join("\n");
}

describe("sysctls:", () => {
	rule(
		"files that the model has begin with the kernel's defaults",
		`
		read ip_local_port_range = "32768\\t60999\\n"
		read ip_local_reserved_ports = "\\n"
		read ip_unprivileged_port_start = "1024\\n"
		read ip_nonlocal_bind = "0\\n"
		read ip_autobind_reuse = "0\\n"
		read tcp_tw_reuse = "2\\n"
		read tcp_fin_timeout = "60\\n"
		read tcp_syn_retries = "6\\n"
		`,
	);
	rule("tcp_syn_linear_timeouts begins with 4", `read tcp_syn_linear_timeouts = "4\\n"`, LINEAR);
	rule(
		"tcp_syn_linear_timeouts does not exist before 6.5",
		`
		read tcp_syn_linear_timeouts = ENOENT
		write tcp_syn_linear_timeouts "4" = ENOENT
		`,
		EXPONENTIAL,
	);
	rule(
		"files that do not exist cannot be read or written",
		`
		read ip_local_port_ranges = ENOENT
		write ip_local_port_ranges "1 2" = ENOENT
		`,
	);
	rule(
		"ip_local_port_range accepts one or two numbers of base 8, 10 or 16, separated by white space",
		writes("ip_local_port_range", [
			["40000 40011\n", "0", "40000\t40011\n"],
			["40001\t40012", "0", "40001\t40012\n"],
			["  \t40002 \n  40013 \n", "0", "40002\t40013\n"],
			["40003", "0", "40003\t40013\n"],
			["0x9c40 0X9C4F", "0", "40000\t40015\n"],
			["0116101 0116120", "0", "40001\t40016\n"],
			["40000 40017 nonsense", "0", "40000\t40017\n"],
			["40002 40019 40021", "0", "40002\t40019\n"],
			["", "0", "40002\t40019\n"],
		]),
	);
	rule(
		"ip_local_port_range refuses other text, and keeps its value",
		writes("ip_local_port_range", [
			["40000 40011", "0", "40000\t40011\n"],
			...[
				"\n",
				" ",
				"nonsense",
				"40002 nonsense",
				"40002,40013",
				"40002-40013",
				"40002 40013x",
				"40002\v40013",
				"08 40013",
				"0x 40013",
				"+40002 40013",
				"- 40013",
				"40002.0 40013",
				"4000000000 40013",
				"18446744073709551616 40013",
			].map((text) => [text, "EINVAL", "40000\t40011\n"] as const),
		]),
	);
	rule(
		"ip_local_port_range needs ports in order, and the first may not be privileged",
		writes("ip_local_port_range", [
			["1024 65535", "0", "1024\t65535\n"],
			["65535 65535", "0", "65535\t65535\n"],
			["1024 1024", "0", "1024\t1024\n"],
			["1023 65535", "EINVAL", "1024\t1024\n"],
			["40011 40000", "EINVAL", "1024\t1024\n"],
			["40000", "EINVAL", "1024\t1024\n"],
			["0 40000", "EINVAL", "1024\t1024\n"],
			["-40000 40000", "EINVAL", "1024\t1024\n"],
			["1024 65536", "EINVAL", "1024\t1024\n"],
			["1024 0", "EINVAL", "1024\t1024\n"],
		]),
	);
	rule(
		"ip_local_port_range logs once that the number of ports should be even",
		`
		write ip_local_port_range "40000 40011"
		log = 0
		write ip_local_port_range "40012 40000" = EINVAL
		log = 0
		write ip_local_port_range "40000 40010"
		log = 1
		write ip_local_port_range "40000 40012"
		write ip_local_port_range "40000 40000"
		log = 1
		`,
	);
	rule(
		"ip_local_reserved_ports accepts ports and ranges, and reads back without overlap",
		writes("ip_local_reserved_ports", [
			["8080,9148\n", "0", "8080,9148\n"],
			["5-9", "0", "5-9\n"],
			["9,5,7,6,8", "0", "5-9\n"],
			["5-9,1-6", "0", "1-9\n"],
			["10-12,1-9,20", "0", "1-12,20\n"],
			["31-33,63,64,65,4095-4097", "0", "31-33,63-65,4095-4097\n"],
			["443\n80\n", "0", "80,443\n"],
			["80,443,", "0", "80,443\n"],
			["1-2,", "0", "1-2\n"],
			["0x10-0x12,020", "0", "16-18\n"],
			["0", "0", "0\n"],
			["0-65535", "0", "0-65535\n"],
			["65535,65535-65535", "0", "65535\n"],
			["", "0", "65535\n"],
			["\n", "0", "\n"],
			["\n\n7\n\n", "0", "7\n"],
		]),
	);
	rule(
		"ip_local_reserved_ports refuses other text, and keeps its value",
		writes("ip_local_reserved_ports", [
			["80,443", "0", "80,443\n"],
			...[
				"65536",
				"1,65536",
				"1-65536",
				"9-5",
				"5-",
				"-5",
				"5--9",
				"5-9-12",
				"5,,6",
				",5",
				"5, 6",
				" 5",
				"5 ",
				"5;6",
				"nonsense",
				"1,2,nonsense",
				"0x",
				"08",
			].map((text) => [text, "EINVAL", "80,443\n"] as const),
		]),
	);
	rule(
		"ip_unprivileged_port_start may not exceed the low bound of ip_local_port_range",
		writes("ip_unprivileged_port_start", [
			["80\n", "0", "80\n"],
			["0", "0", "0\n"],
			["32768", "0", "32768\n"],
			["32769", "EINVAL", "32768\n"],
			["-1", "EINVAL", "32768\n"],
			["65536", "EINVAL", "32768\n"],
			["nonsense", "EINVAL", "32768\n"],
		]),
	);
	rule(
		"ip_local_port_range may not begin below ip_unprivileged_port_start",
		`
		write ip_unprivileged_port_start "20000"
		write ip_local_port_range "19999 30000" = EINVAL
		write ip_local_port_range "20000 30000"
		write ip_unprivileged_port_start "20001" = EINVAL
		write ip_unprivileged_port_start "1"
		write ip_local_port_range "1 30000"
		`,
	);
	for (const [file, allowed, refused] of [
		["ip_nonlocal_bind", [0, 1, 2, 255], [-1, 256, 65536]],
		["ip_autobind_reuse", [0, 1], [-1, 2, 256]],
		["tcp_tw_reuse", [0, 1, 2], [-1, 3, 256]],
		["tcp_syn_retries", [1, 6, 127], [0, -1, 128, 257]],
		["tcp_syn_linear_timeouts", [0, 4, 127], [-1, 128, 257]],
		["tcp_fin_timeout", [60, 0, -1, 8589934, -8589934], [8589935, 2147483648]],
		["tcp_max_tw_buckets", [5, 0, -1, 2147483647, -2147483648], [2147483648, -2147483649]],
	] as const) {
		const last = allowed[allowed.length - 1];
		rule(
			`${file} accepts ${allowed.join(", ")} and refuses ${refused.join(", ")}`,
			writes(file, [
				...allowed.map((value) => [`${value}\n`, "0", `${value}\n`] as const),
				...refused.map((value) => [`${value}\n`, "EINVAL", `${last}\n`] as const),
				...["nonsense", "1nonsense", " ", "\n"].map(
					(text) => [text, "EINVAL", `${last}\n`] as const,
				),
				["", "0", `${last}\n`],
				// Only the first number counts.
				["0x1 9", "0", "1\n"],
			]),
			file === "tcp_syn_linear_timeouts" ? LINEAR : EVERY,
		);
	}
});
