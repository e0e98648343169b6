// SPDX-License-Identifier: GPL-2.0-or-later
/**
 * bind() to a port with a connection in TIME_WAIT. The time-wait socket conflicts as a socket that
 * is bound to its address. After the kernel's bind_timewait.c, over both families.
 */
import { describe } from "vitest";
import { lines, rule } from "../../world.js";
import { answers, made, matrixOf, optionNames, PLACES, place, SOME, shared } from "./matrices.js";

/** The server's address, the client's destination, and the address of the server's end. */
const CONNECTIONS = [
	["127.0.0.1", "127.0.0.1", "127.0.0.1"],
	["0.0.0.0", "127.0.0.1", "127.0.0.1"],
	["0.0.0.0", "127.0.0.2", "127.0.0.2"],
	["[::1]", "[::1]", "[::1]"],
	["[::]", "[::1]", "[::1]"],
	["[::] only", "[::1]", "[::1] only"],
	["[::1] only", "[::1]", "[::1] only"],
	["[::]", "[2001:db8::10]", "[2001:db8::10]"],
	["[::]", "127.0.0.1", "[::ffff:127.0.0.1]"],
	["[::]", "[::ffff:127.0.0.1]", "[::ffff:127.0.0.1]"],
	["[::ffff:0.0.0.0]", "127.0.0.2", "[::ffff:127.0.0.2]"],
	["[::ffff:127.0.0.1]", "127.0.0.1", "[::ffff:127.0.0.1]"],
] as const;

const client = (to: string) => (to.startsWith("[") ? "tcp6" : "tcp");

/** The server closes first, so its port stays in TIME_WAIT. */
const timewait = (at: string, to: string, options: string, port: number) => `
	${made("tcp", "s", place(at), options)}
	s bind ${place(at).address}:${port}
	s listen 1
	${client(to)} c
	c connect ${to}:${port}
	s accept t
	close t c s
`;

describe("bind_timewait", () => {
	for (const [at, to, end] of CONNECTIONS) {
		rule(
			`bind_timewait: ${at}, after a connection to ${to}: bind() conflicts as with a bound socket`,
			`
			${timewait(at, to, "", 5000)}
			${made("tcp", "a", place(at))}
			a bind ${place(at).address}:5000${answers((version) => meets(version, at, end, at))}
			`,
		);
		for (const [mine, yours] of SOME) {
			rule(
				`a time-wait socket at ${end} of a listener on ${at} with ${optionNames(mine)} conflicts as a bound socket, for bind() with ${optionNames(yours)}`,
				`
				${lines(PLACES, (name, i) => {
					const excused = shared("tcp", mine, yours, false);
					return `
						${timewait(at, to, mine, 5000 + i)}
						${made("tcp", "b", place(name), yours)}
						b bind ${place(name).address}:${5000 + i}${answers((version) => !excused && meets(version, at, end, name))}
						close b
					`;
				})}
				`,
			);
		}
	}
	/**
	 * Whether the end conflicts, as a socket that is bound to its address. A socket that is bound to
	 * an IPv6 address always has IPV6_V6ONLY, but the end of a connection to :: does not.
	 */
	function meets(version: string, at: string, end: string, name: string): boolean {
		const dual = at === "[::]" && !end.includes("ffff");
		if (dual && name === "0.0.0.0") return true;
		return matrixOf("tcp", version)[PLACES.indexOf(end)][PLACES.indexOf(name)] === "x";
	}

	rule(
		"a time-wait socket keeps its port for 60 s",
		`
		${lines(CONNECTIONS, ([at, to], i) => timewait(at, to, "", 5000 + i))}
		pass 59000
		${lines(CONNECTIONS, ([, , end], i) => {
			const { address } = place(end);
			return `${made("tcp", "a", place(end))}\na bind ${address}:${5000 + i} = EADDRINUSE\nclose a`;
		})}
		# Timers of a minute are some seconds late.
		pass 9000
		${lines(CONNECTIONS, ([at], i) => {
			const { address } = place(at);
			return `${made("tcp", "a", place(at))}\na bind ${address}:${5000 + i}\nclose a`;
		})}
		`,
	);
	rule(
		// fastreuseport comes from a closed socket while the bucket has an owner.
		"a time-wait socket keeps a bucket in which a socket with SO_REUSEPORT was, and a wildcard passes unchecked",
		`
		${timewait("[::1]", "[::1]", "", 5000)}
		tcp6 a with SO_REUSEPORT
		a bind [::]:5000 = EADDRINUSE
		tcp b with SO_REUSEPORT
		b bind 0.0.0.0:5000
		close b
		a bind [::]:5000
		`,
	);
	rule(
		"a time-wait socket with SO_REUSEPORT shares its port with every user",
		`
		user 1000
		tcp s with SO_REUSEPORT
		s bind 127.0.0.1:5000
		s listen 1
		tcp c
		c connect 127.0.0.1:5000
		s accept t
		user 1001
		tcp a with SO_REUSEPORT
		a bind 127.0.0.1:5000 = EADDRINUSE
		close t c s
		a bind 127.0.0.1:5000
		`,
	);
	for (const [family, lo] of [
		["", "127.0.0.1"],
		["6", "[::1]"],
	] as const) {
		rule(
			`a time-wait socket on a port that connect() chose shares it only if both have SO_REUSEADDR, over ${family === "" ? "IPv4" : "IPv6"}`,
			`
			tcp${family} s
			s bind ${lo}:5000
			s listen 4
			sysctl ipv4.ip_local_port_range 40000 40000
			tcp${family} c
			c connect ${lo}:5000
			c port = 40000
			s accept t
			close c t
			tcp${family} a
			a bind ${lo}:40000 = EADDRINUSE
			tcp${family} b with SO_REUSEADDR
			b bind ${lo}:40000 = EADDRINUSE
			tcp${family} d with SO_REUSEPORT
			d bind ${lo}:40000 = EADDRINUSE
			sysctl ipv4.ip_local_port_range 40001 40001
			tcp${family} e with SO_REUSEADDR
			e connect ${lo}:5000
			e port = 40001
			s accept u
			close e u
			tcp${family} f with SO_REUSEADDR
			f bind ${lo}:40001
			f listen 1
			`,
		);
	}
});
