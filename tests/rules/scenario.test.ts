// SPDX-License-Identifier: GPL-2.0-or-later
/**
 * What programs see, rule by rule. A scenario is a list of calls with the result that the
 * kernel gives, one a line:
 *
 *     s bind 127.0.0.1:5000
 *     s listen 1
 *     c connect 127.0.0.1:5000
 *     c bind 127.0.0.1:6000 = EINVAL
 *
 * A line without "=" returns 0. `s` and `c` are sockets, made where they first appear. World
 * says which calls there are.
 */
import { describe, expect, it } from "vitest";
import { tcpStateName } from "../../include/net/tcp_states.js";
import {
	type Address,
	AF_INET,
	EADDRINUSE,
	EADDRNOTAVAIL,
	EAGAIN,
	EBADF,
	ECONNREFUSED,
	EINPROGRESS,
	EINVAL,
	ENETUNREACH,
	ENOTSOCK,
	EPROTONOSUPPORT,
	ERESTARTSYS,
	ESOCKTNOSUPPORT,
	errnoName,
	IP_BIND_ADDRESS_NO_PORT,
	IP_FREEBIND,
	IP_LOCAL_PORT_RANGE,
	Kernel,
	type NetNamespace,
	NotModelled,
	SO_ACCEPTCONN,
	SO_BINDTODEVICE,
	SO_DOMAIN,
	SO_ERROR,
	SO_LINGER,
	SO_PROTOCOL,
	SO_REUSEADDR,
	SO_REUSEPORT,
	SO_TYPE,
	SOCK_CLOEXEC,
	SOCK_NONBLOCK,
	SOCK_STREAM,
	SOL_IP,
	SOL_SOCKET,
	type Task,
} from "../../kernel-model/index.js";
import { inet_bind_bucket_find } from "../../net/ipv4/inet_hashtables.js";

const OPTIONS: Readonly<Record<string, readonly [level: number, name: number]>> = {
	SO_REUSEADDR: [SOL_SOCKET, SO_REUSEADDR],
	SO_REUSEPORT: [SOL_SOCKET, SO_REUSEPORT],
	SO_LINGER: [SOL_SOCKET, SO_LINGER],
	SO_BINDTODEVICE: [SOL_SOCKET, SO_BINDTODEVICE],
	SO_TYPE: [SOL_SOCKET, SO_TYPE],
	SO_PROTOCOL: [SOL_SOCKET, SO_PROTOCOL],
	SO_DOMAIN: [SOL_SOCKET, SO_DOMAIN],
	SO_ERROR: [SOL_SOCKET, SO_ERROR],
	SO_ACCEPTCONN: [SOL_SOCKET, SO_ACCEPTCONN],
	IP_FREEBIND: [SOL_IP, IP_FREEBIND],
	IP_BIND_ADDRESS_NO_PORT: [SOL_IP, IP_BIND_ADDRESS_NO_PORT],
	IP_LOCAL_PORT_RANGE: [SOL_IP, IP_LOCAL_PORT_RANGE],
};

const LINE = /^(?:(?<subject>[a-z]) )?(?<verb>[a-z]+)(?: (?<args>.*))?$/;

function parseAddress(text: string): Address {
	const [address, port] = text.split(":");
	return { family: "AF_INET", address, port: Number(port) };
}

const hex = (bytes: Uint8Array) =>
	bytes.length === 0 ? "nothing" : Buffer.from(bytes).toString("hex");
const unhex = (text: string) =>
	text === "NULL" ? null : Uint8Array.from(Buffer.from(text, "hex"));

/** One kernel with one namespace, and the calls that scenarios are made of. */
class World {
	readonly kernel: Kernel;
	readonly net: NetNamespace;
	private readonly tasks = new Map<number, Task>();
	private readonly sockets = new Map<string, { task: Task; fd: number }>();
	private readonly ports = new Map<string, string>();
	private user = 0;
	private readonly start: number;

	constructor(version: string, seed = 1) {
		this.kernel = new Kernel({ version, seed });
		this.start = this.kernel.now;
		this.net = this.kernel.createNet();
		this.net.addAddress("192.0.2.10/32", "lo");
		// Nobody answers there.
		this.net.addRoute({ to: "198.51.100.0/24", dev: "lo" });
	}

	/** Every call of a scenario, and afterwards a look over the kernel's tables. */
	run(program: string): void {
		for (const [index, line] of program.split("\n").entries()) {
			const text = line.replace(/ *(^|\t| )#.*$/, "").trim();
			if (text === "") continue;
			const equals = text.indexOf(" = ");
			const call = equals < 0 ? text : text.slice(0, equals);
			const expected = equals < 0 ? "0" : text.slice(equals + 3);
			const result = this.call(call);
			if (!this.matches(expected, result)) {
				const lines = program.split("\n").slice(0, index + 1);
				throw new Error(`${lines.join("\n")}\nexpected ${expected}, got ${result}`);
			}
		}
		this.kernel.verify();
	}

	/** `$p` stands for any port where it is first seen, and for that one afterwards. */
	private matches(expected: string, result: string): boolean {
		const variable = /\$[a-z]/.exec(expected)?.[0];
		if (variable === undefined) return result === expected;
		const known = this.ports.get(variable);
		if (known !== undefined) return result === expected.replace(variable, known);
		const port = /[0-9]+$/.exec(result)?.[0];
		if (port === undefined || result !== expected.replace(variable, port)) return false;
		this.ports.set(variable, port);
		return true;
	}

	private task(): Task {
		const known = this.tasks.get(this.user);
		if (known !== undefined) return known;
		const task = this.kernel.createTask({ net: this.net, uid: this.user });
		this.tasks.set(this.user, task);
		return task;
	}

	private call(text: string): string {
		const groups = LINE.exec(text)?.groups;
		if (groups === undefined) throw new Error(`not a call: ${text}`);
		const args = (groups.args ?? "").replace(/\$[a-z]/g, (name) => this.ports.get(name) ?? name);
		const result =
			groups.subject === undefined
				? this.worldCall(groups.verb, args)
				: this.socketCall(groups.subject, groups.verb, args);
		if (typeof result === "string") return result;
		return result < 0 ? errnoName(-result) : String(result);
	}

	private worldCall(verb: string, args: string): string | number {
		const [word, ...rest] = args.split(" ");
		switch (verb) {
			case "user": // whose sockets the following ones are
				this.user = Number(word);
				return 0;
			case "pass": // milliseconds
				this.kernel.advance(Number(word));
				return 0;
			case "tick": // until the kernel's second changes
				this.kernel.advance(1000 - (this.kernel.now % 1000));
				return 0;
			case "clock": // seconds since the beginning
				return Math.floor((this.kernel.now - this.start) / 1000);
			case "write": // to a file of /proc/sys/net/ipv4
				return this.net.setSysctl(`net.ipv4.${word}`, JSON.parse(rest.join(" ")));
			case "read": {
				const read = this.net.getSysctl(`net.ipv4.${word}`);
				return typeof read === "number" ? read : JSON.stringify(read);
			}
			case "log": // how many lines the kernel has logged
				return this.net.log.length;
			case "at": // states of the sockets that have the port, but for closed ones
				return this.statesAt(Number(word));
			default:
				throw new Error(`no such call: ${verb}`);
		}
	}

	private statesAt(port: number): string {
		const k = this.kernel;
		const S = k.sock;
		const states: string[] = [];
		const tb = inet_bind_bucket_find(k.tcp_hashinfo, this.net.net, port, 0);
		let sk = tb === 0 ? 0 : k.tcp_hashinfo.bind_bucket_cachep.owners[tb];
		for (; sk !== 0; sk = S.bind_node_next[sk]) {
			const state = tcpStateName(S.skc_state[sk]);
			// As in /proc/net/tcp: a time-wait socket shows what it stands for.
			states.push(state === "TIME_WAIT" ? tcpStateName(S.tw_substate[sk]) : state);
		}
		const shown = states.filter((state) => state !== "CLOSE").sort();
		return shown.length === 0 ? "nothing" : shown.join(" ");
	}

	private socketCall(name: string, verb: string, args: string): string | number {
		const known = this.sockets.get(name);
		const { task, fd } = known ?? this.create(name);
		const [word, ...rest] = args.split(" ");
		switch (verb) {
			case "socket":
				return 0;
			case "bind": {
				const [family, ...others] =
					word === "AF_UNSPEC" ? [word, ...rest] : ["AF_INET", word, ...rest];
				const address = { ...parseAddress(others[0]), family: family as Address["family"] };
				return task.bind(fd, address, Number(others[1] ?? 16));
			}
			case "listen":
				return task.listen(fd, Number(word));
			case "connect": // and waits
				return task.connectAndWait(fd, parseAddress(word));
			case "start": // connect() that does not wait
				return task.connect(fd, parseAddress(word), Number(rest[0] ?? 16), true);
			case "dissolve": // connect() with AF_UNSPEC
				return task.connect(fd, { family: "AF_UNSPEC", address: "0.0.0.0", port: 0 });
			case "accept": {
				const accepted = task.accept4(fd, 0, {}, true);
				if (accepted < 0) return accepted;
				this.sockets.set(word, { task, fd: accepted });
				return 0;
			}
			case "dup":
				this.sockets.set(word, { task, fd: task.dup(fd) });
				return 0;
			case "close":
				this.sockets.delete(name);
				return task.close(fd);
			case "shutdown":
				return task.shutdown(fd, { rd: 0, wr: 1, rdwr: 2 }[word] ?? Number(word));
			case "send":
				return task.send(fd, Number(word), true);
			case "recv":
				return task.recv(fd, Number(word), true);
			case "name":
			case "peer": {
				const address = verb === "name" ? task.getsockname(fd) : task.getpeername(fd);
				return typeof address === "number" ? address : `${address.address}:${address.port}`;
			}
			case "state":
				return tcpStateName(this.kernel.sock.skc_state[this.kernel.socket.sk[task.socketOf(fd)]]);
			case "error": {
				const value = task.getsockopt(fd, SOL_SOCKET, SO_ERROR);
				return typeof value === "number" ? value : value[0] === 0 ? "0" : errnoName(value[0]);
			}
			case "set": {
				// An int.
				const [level, option] = OPTIONS[word];
				return task.setsockopt(fd, level, option, Number(rest[0]));
			}
			case "setopt": {
				// Bytes, and how many of them.
				const [level, option] = OPTIONS[word] ?? word.split(".").map(Number);
				return task.setsockopt(fd, level, option, unhex(rest[0]), Number(rest[1]));
			}
			case "getopt": {
				const [level, option] = OPTIONS[word] ?? word.split(".").map(Number);
				const value = task.getsockopt(fd, level, option, Number(rest[0]));
				return typeof value === "number" ? value : hex(value);
			}
			default:
				throw new Error(`no such call: ${verb}`);
		}
	}

	private create(name: string): { task: Task; fd: number } {
		const task = this.task();
		const socket = { task, fd: task.tcp() };
		this.sockets.set(name, socket);
		return socket;
	}
}

const BOTH = ["6.3", "6.1.176"];

/** A rule that the scenario shows, on the given versions. */
function rule(name: string, program: string, versions: readonly string[] = BOTH): void {
	it(name, () => {
		for (const version of versions) {
			try {
				new World(version).run(program);
			} catch (error) {
				const what = error instanceof Error ? error.message : String(error);
				throw new Error(`kernel ${version}\n${what}`, { cause: error });
			}
		}
	});
}

describe("options", () => {
	rule(
		"SO_REUSEADDR and SO_REUSEPORT are ints, of which only whether they are 0 is kept",
		`
		a getopt SO_REUSEADDR 4 = 00000000
		a setopt SO_REUSEADDR 01000000 4
		a getopt SO_REUSEADDR 4 = 01000000
		a setopt SO_REUSEADDR 00000080 4
		a getopt SO_REUSEADDR 4 = 01000000
		a setopt SO_REUSEADDR 0000000001 5
		a getopt SO_REUSEADDR 4 = 00000000
		a getopt SO_REUSEPORT 4 = 00000000
		a setopt SO_REUSEPORT 00010000 4
		a getopt SO_REUSEPORT 4 = 01000000
		a getopt SO_REUSEADDR 4 = 00000000
		a setopt SO_REUSEPORT 00000000 4
		a getopt SO_REUSEPORT 4 = 00000000
		`,
	);
	rule(
		"of SOL_SOCKET take no less than an int, and need its bytes",
		`
		a setopt SO_REUSEADDR 01 1 = EINVAL
		a setopt SO_REUSEADDR 010000 3 = EINVAL
		a setopt SO_REUSEADDR 01000000 0 = EINVAL
		a setopt SO_REUSEADDR 01000000 -1 = EINVAL
		a setopt SO_REUSEADDR NULL 4 = EFAULT
		a setopt SO_REUSEADDR NULL 3 = EINVAL
		a setopt SO_TYPE 010000 3 = EINVAL
		a getopt SO_REUSEADDR 4 = 00000000
		`,
	);
	rule(
		"of SOL_SOCKET are read as far as the buffer goes",
		`
		a set SO_REUSEADDR 1
		a getopt SO_REUSEADDR 8 = 01000000
		a getopt SO_REUSEADDR 3 = 010000
		a getopt SO_REUSEADDR 1 = 01
		a getopt SO_REUSEADDR 0 = nothing
		a getopt SO_REUSEADDR -1 = EINVAL
		`,
	);
	rule(
		"SO_TYPE, SO_PROTOCOL, SO_DOMAIN, SO_ERROR and SO_ACCEPTCONN can only be read",
		`
		a getopt SO_TYPE 4 = 01000000
		a getopt SO_PROTOCOL 4 = 06000000
		a getopt SO_DOMAIN 4 = 02000000
		a getopt SO_ERROR 4 = 00000000
		a getopt SO_ACCEPTCONN 4 = 00000000
		a set SO_TYPE 1 = ENOPROTOOPT
		a set SO_PROTOCOL 6 = ENOPROTOOPT
		a set SO_DOMAIN 2 = ENOPROTOOPT
		a set SO_ERROR 0 = ENOPROTOOPT
		a set SO_ACCEPTCONN 1 = ENOPROTOOPT
		`,
	);
	rule(
		"SO_ACCEPTCONN tells whether a socket listens",
		`
		a bind 127.0.0.1:5000
		a getopt SO_ACCEPTCONN 4 = 00000000
		a listen 1
		a getopt SO_ACCEPTCONN 4 = 01000000
		c connect 127.0.0.1:5000
		a accept t
		t getopt SO_ACCEPTCONN 4 = 00000000
		a shutdown rd
		a getopt SO_ACCEPTCONN 4 = 00000000
		`,
	);
	rule(
		"SO_ERROR tells an error once",
		`
		a start 127.0.0.1:5000 = EINPROGRESS
		a getopt SO_ERROR 4 = 6f000000
		a getopt SO_ERROR 4 = 00000000
		b start 127.0.0.1:5000 = EINPROGRESS
		b getopt SO_ERROR 1 = 6f
		b error
		`,
	);
	rule(
		"SO_LINGER is a struct of two ints",
		`
		a getopt SO_LINGER 8 = 0000000000000000
		a setopt SO_LINGER 0100000005000000 8
		a getopt SO_LINGER 8 = 0100000005000000
		a getopt SO_LINGER 16 = 0100000005000000
		a getopt SO_LINGER 5 = 0100000005
		a setopt SO_LINGER 0200000000000000 8
		a getopt SO_LINGER 8 = 0100000000000000
		a setopt SO_LINGER 0100000007000000 8
		# Switched off, it keeps the time.
		a setopt SO_LINGER 0000000009000000 8
		a getopt SO_LINGER 8 = 0000000007000000
		a setopt SO_LINGER 01000000 4 = EINVAL
		a setopt SO_LINGER 01000000030000 7 = EINVAL
		a setopt SO_LINGER NULL 8 = EFAULT
		a getopt SO_LINGER 8 = 0000000007000000
		`,
	);
	rule(
		"IP_FREEBIND takes an int or a byte, but not nothing",
		`
		a getopt IP_FREEBIND 4 = 00000000
		a setopt IP_FREEBIND 01000000 4
		a getopt IP_FREEBIND 4 = 01000000
		a setopt IP_FREEBIND 00 1
		a getopt IP_FREEBIND 4 = 00000000
		a setopt IP_FREEBIND ff 1
		a getopt IP_FREEBIND 4 = 01000000
		# Less than an int is a byte.
		a setopt IP_FREEBIND 000100 3
		a getopt IP_FREEBIND 4 = 00000000
		a setopt IP_FREEBIND 00010000 4
		a getopt IP_FREEBIND 4 = 01000000
		a setopt IP_FREEBIND 00000000ff 5
		a getopt IP_FREEBIND 4 = 00000000
		a setopt IP_FREEBIND 01 0 = EINVAL
		a setopt IP_FREEBIND 01 -1 = EINVAL
		a setopt IP_FREEBIND NULL 1 = EFAULT
		a setopt IP_FREEBIND NULL 4 = EFAULT
		`,
	);
	rule(
		"IP_BIND_ADDRESS_NO_PORT takes an int, a byte, or nothing for 0",
		`
		a getopt IP_BIND_ADDRESS_NO_PORT 4 = 00000000
		a setopt IP_BIND_ADDRESS_NO_PORT 01000000 4
		a getopt IP_BIND_ADDRESS_NO_PORT 4 = 01000000
		a setopt IP_BIND_ADDRESS_NO_PORT NULL 0
		a getopt IP_BIND_ADDRESS_NO_PORT 4 = 00000000
		a setopt IP_BIND_ADDRESS_NO_PORT 02 1
		a getopt IP_BIND_ADDRESS_NO_PORT 4 = 01000000
		`,
	);
	rule(
		"of SOL_IP are read as one byte where they fit and the buffer is less than an int",
		`
		a set IP_FREEBIND 1
		a getopt IP_FREEBIND 3 = 01
		a getopt IP_FREEBIND 1 = 01
		a getopt IP_FREEBIND 0 = nothing
		a getopt IP_FREEBIND 9 = 01000000
		a getopt IP_FREEBIND -1 = EINVAL
		a getopt IP_LOCAL_PORT_RANGE 3 = 00
		a setopt IP_LOCAL_PORT_RANGE ff000000 4
		a getopt IP_LOCAL_PORT_RANGE 2 = ff
		a setopt IP_LOCAL_PORT_RANGE 00010000 4
		a getopt IP_LOCAL_PORT_RANGE 2 = 0001
		# A high bound from 32768 up makes the value negative.
		a setopt IP_LOCAL_PORT_RANGE 010000ff 4
		a getopt IP_LOCAL_PORT_RANGE 1 = 01
		a getopt IP_LOCAL_PORT_RANGE 3 = 010000
		`,
	);
	rule(
		"IP_LOCAL_PORT_RANGE takes four bytes, no less and no more",
		`
		a setopt IP_LOCAL_PORT_RANGE 409cff9e 4
		a getopt IP_LOCAL_PORT_RANGE 4 = 409cff9e
		a setopt IP_LOCAL_PORT_RANGE 409c 2 = EINVAL
		a setopt IP_LOCAL_PORT_RANGE 409cff9e00000000 8 = EINVAL
		a setopt IP_LOCAL_PORT_RANGE NULL 0 = EINVAL
		a setopt IP_LOCAL_PORT_RANGE NULL 4 = EFAULT
		a setopt IP_LOCAL_PORT_RANGE ff9e409c 4 = EINVAL
		a getopt IP_LOCAL_PORT_RANGE 4 = 409cff9e
		`,
	);
	rule(
		"SO_BINDTODEVICE takes a name of up to 15 bytes",
		`
		a getopt SO_BINDTODEVICE 16 = nothing
		a getopt SO_BINDTODEVICE 0 = nothing
		a setopt SO_BINDTODEVICE 6c6f 2
		a getopt SO_BINDTODEVICE 16 = 6c6f00
		a getopt SO_BINDTODEVICE 15 = EINVAL
		a setopt SO_BINDTODEVICE NULL 0
		a getopt SO_BINDTODEVICE 16 = nothing
		# To the first NUL.
		a setopt SO_BINDTODEVICE 6c6f006162 5
		a getopt SO_BINDTODEVICE 64 = 6c6f00
		a setopt SO_BINDTODEVICE 00 1
		a getopt SO_BINDTODEVICE 16 = nothing
		# What comes behind the fifteenth is not looked at.
		a setopt SO_BINDTODEVICE 6c6f000000000000000000000000000000000000 20
		a getopt SO_BINDTODEVICE 16 = 6c6f00
		a setopt SO_BINDTODEVICE 6e6f7065 4 = ENODEV
		a setopt SO_BINDTODEVICE 6c 1 = ENODEV
		a setopt SO_BINDTODEVICE NULL 2 = EFAULT
		a setopt SO_BINDTODEVICE 6c6f -1 = EINVAL
		a getopt SO_BINDTODEVICE 16 = 6c6f00
		`,
	);
	rule(
		"SO_BINDTODEVICE lets everybody name a device, and only root another or none",
		`
		user 1000
		a setopt SO_BINDTODEVICE 6c6f 2
		a setopt SO_BINDTODEVICE 6c6f 2 = EPERM
		a setopt SO_BINDTODEVICE NULL 0 = EPERM
		a setopt SO_BINDTODEVICE 6e6f7065 4 = ENODEV
		a getopt SO_BINDTODEVICE 16 = 6c6f00
		b setopt SO_BINDTODEVICE NULL 0
		`,
	);
	rule(
		"of a level that nobody has cannot be set",
		`
		a setopt 999.1 01000000 4 = ENOPROTOOPT
		`,
	);
	rule(
		"of a listener are those of the sockets that it accepts",
		`
		s set SO_REUSEADDR 1
		s set SO_REUSEPORT 1
		s set IP_FREEBIND 1
		s setopt SO_LINGER 0100000005000000 8
		s setopt IP_LOCAL_PORT_RANGE 409cff9e 4
		s bind 127.0.0.1:5000
		s listen 1
		c connect 127.0.0.1:5000
		s accept t
		t getopt SO_REUSEADDR 4 = 01000000
		t getopt SO_REUSEPORT 4 = 01000000
		t getopt IP_FREEBIND 4 = 01000000
		t getopt SO_LINGER 8 = 0100000005000000
		t getopt IP_LOCAL_PORT_RANGE 4 = 409cff9e
		`,
	);
});

/** Texts written one after the other to one file, each with the result and what is read then. */
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

describe("sysctl files", () => {
	rule(
		"have the kernel's defaults",
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
	rule(
		"that do not exist cannot be read or written",
		`
		read ip_local_port_ranges = ENOENT
		write ip_local_port_ranges "1 2" = ENOENT
		`,
	);
	rule(
		"ip_local_port_range takes one or two numbers of any base, between white space",
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
		"ip_local_port_range refuses other text, and then changes nothing",
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
		"ip_local_port_range wants ports in order, the first not privileged",
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
		"ip_local_port_range advises an even number of ports, once",
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
		"ip_local_reserved_ports takes ports and ranges, and reads back without overlap",
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
		"ip_local_reserved_ports refuses other text, and then changes nothing",
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
		"ip_unprivileged_port_start stays below the range of ephemeral ports",
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
		"ip_local_port_range stays above ip_unprivileged_port_start",
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
		["tcp_fin_timeout", [60, 0, -1, 8589934, -8589934], [8589935, 2147483648]],
		["tcp_max_tw_buckets", [5, 0, -1, 2147483647, -2147483648], [2147483648, -2147483649]],
	] as const) {
		const last = allowed[allowed.length - 1];
		rule(
			`${file} takes ${allowed.join(", ")} and not ${refused.join(", ")}`,
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
		);
	}
});

describe("bind", () => {
	rule(
		"to a privileged port is for root",
		`
		user 1000
		a bind 127.0.0.1:1023 = EACCES
		a bind 127.0.0.1:1 = EACCES
		a bind 0.0.0.0:80 = EACCES
		a bind 127.0.0.1:1024
		b bind 127.0.0.1:0
		user 0
		c bind 127.0.0.1:1023
		d bind 127.0.0.1:1
		write ip_unprivileged_port_start "80"
		user 1000
		e bind 127.0.0.1:79 = EACCES
		e bind 127.0.0.1:80
		user 0
		write ip_unprivileged_port_start "2000"
		user 1000
		f bind 127.0.0.1:1999 = EACCES
		f bind 127.0.0.1:2000
		`,
	);
	rule(
		"wants an address that is local, or a reason to take another",
		`
		a bind 203.0.113.77:5000 = EADDRNOTAVAIL
		a bind 203.0.113.77:0 = EADDRNOTAVAIL
		a bind 198.51.100.1:5000 = EADDRNOTAVAIL
		a bind 192.0.2.11:5000 = EADDRNOTAVAIL
		a set IP_FREEBIND 1
		a bind 203.0.113.77:5000
		a name = 203.0.113.77:5000
		b bind 192.0.2.10:5000
		c bind 127.1.2.3:5000
		write ip_nonlocal_bind "1"
		d bind 203.0.113.77:5001
		e bind 203.0.113.77:5000 = EADDRINUSE
		`,
	);
	rule(
		"takes broadcast and multicast addresses",
		`
		a bind 255.255.255.255:5000
		b bind 224.0.0.1:5000
		c bind 239.1.2.3:5000
		d bind 127.255.255.255:5000
		a name = 255.255.255.255:5000
		f bind 240.0.0.1:5000 = EADDRNOTAVAIL
		`,
	);
	rule(
		"takes AF_UNSPEC for AF_INET, with the wildcard address alone",
		`
		a bind AF_UNSPEC 127.0.0.1:5000 = EAFNOSUPPORT
		a bind AF_UNSPEC 0.0.0.0:5000
		a name = 0.0.0.0:5000
		`,
	);
	rule(
		"wants at least a sockaddr_in, at most a sockaddr_storage",
		`
		a bind 127.0.0.1:5000 15 = EINVAL
		a bind 127.0.0.1:5000 2 = EINVAL
		a bind 127.0.0.1:5000 0 = EINVAL
		a bind 127.0.0.1:5000 -1 = EINVAL
		a bind 127.0.0.1:5000 129 = EINVAL
		a bind 127.0.0.1:5000 128
		b bind 127.0.0.2:5000 16
		`,
	);
	rule(
		"works once",
		`
		a bind 127.0.0.1:5000
		a bind 127.0.0.1:5000 = EINVAL
		a bind 127.0.0.1:5001 = EINVAL
		a bind 0.0.0.0:0 = EINVAL
		a name = 127.0.0.1:5000
		a listen 1
		a bind 127.0.0.1:5001 = EINVAL
		c connect 127.0.0.1:5000
		c bind 127.0.0.1:5002 = EINVAL
		n start 198.51.100.1:80 = EINPROGRESS
		n bind 127.0.0.1:5002 = EINVAL
		`,
	);
	rule(
		"works again while there is no port, and keeps the last address",
		`
		a set IP_BIND_ADDRESS_NO_PORT 1
		a bind 127.0.0.1:0
		a bind 192.0.2.10:0
		a name = 192.0.2.10:0
		a bind 127.0.0.2:5000
		a name = 127.0.0.2:5000
		a bind 127.0.0.3:0 = EINVAL
		`,
	);
	rule(
		"that fails leaves a socket as it was",
		`
		s bind 127.0.0.1:5000
		a bind 127.0.0.1:5000 = EADDRINUSE
		a name = 0.0.0.0:0
		a bind 127.0.0.2:5000
		a name = 127.0.0.2:5000
		`,
	);
	rule(
		"looks at the address before the port, and at the port before the socket",
		`
		user 1000
		a bind 203.0.113.77:80 = EADDRNOTAVAIL
		a bind AF_UNSPEC 203.0.113.77:80 = EAFNOSUPPORT
		a bind 127.0.0.1:5000
		a bind 127.0.0.1:80 = EACCES
		a bind 203.0.113.77:80 = EADDRNOTAVAIL
		`,
	);
	rule(
		"to 0 fails with EADDRINUSE where every port is taken or reserved",
		`
		write ip_local_port_range "40000 40003"
		write ip_local_reserved_ports "40001-40002"
		a bind 127.0.0.1:0
		b bind 127.0.0.1:0
		c bind 127.0.0.1:0 = EADDRINUSE
		# On another address all are free.
		d bind 127.0.0.2:0
		e bind 127.0.0.2:0
		f bind 127.0.0.2:0 = EADDRINUSE
		# A program may name a reserved port.
		g bind 127.0.0.1:40001
		# The wildcard meets every address.
		h bind 0.0.0.0:0 = EADDRINUSE
		write ip_local_reserved_ports "\\n"
		h bind 0.0.0.0:0
		h name = 0.0.0.0:40002
		i bind 127.0.0.3:0
		`,
	);
	rule(
		"to 0 does not share a port, unless ip_autobind_reuse says so",
		`
		write ip_local_port_range "40000 40001"
		a set SO_REUSEADDR 1
		a bind 127.0.0.1:0
		b set SO_REUSEADDR 1
		b bind 127.0.0.1:0
		c set SO_REUSEADDR 1
		c bind 127.0.0.1:0 = EADDRINUSE
		write ip_autobind_reuse "1"
		c bind 127.0.0.1:0
		# Both sides must want it.
		d bind 127.0.0.1:0 = EADDRINUSE
		# SO_REUSEPORT of the same user is a reason not to.
		e set SO_REUSEPORT 1
		e bind 127.0.0.1:0 = EADDRINUSE
		`,
	);
});

// Who may share port 5000 with whom. The first socket is made by root.
const SHARING = [
	// options of the first, of the second, user of the second, with a bound one, with a listener
	["", "", 0, "EADDRINUSE", "EADDRINUSE"],
	["SO_REUSEADDR", "", 0, "EADDRINUSE", "EADDRINUSE"],
	["", "SO_REUSEADDR", 0, "EADDRINUSE", "EADDRINUSE"],
	["SO_REUSEADDR", "SO_REUSEADDR", 0, "0", "EADDRINUSE"],
	["SO_REUSEADDR", "SO_REUSEADDR", 1000, "0", "EADDRINUSE"],
	["SO_REUSEPORT", "", 0, "EADDRINUSE", "EADDRINUSE"],
	["", "SO_REUSEPORT", 0, "EADDRINUSE", "EADDRINUSE"],
	["SO_REUSEPORT", "SO_REUSEPORT", 0, "0", "0"],
	["SO_REUSEPORT", "SO_REUSEPORT", 1000, "EADDRINUSE", "EADDRINUSE"],
	["SO_REUSEADDR", "SO_REUSEPORT", 0, "EADDRINUSE", "EADDRINUSE"],
	["SO_REUSEPORT", "SO_REUSEADDR", 0, "EADDRINUSE", "EADDRINUSE"],
	["SO_REUSEADDR SO_REUSEPORT", "SO_REUSEADDR", 1000, "0", "EADDRINUSE"],
	["SO_REUSEADDR SO_REUSEPORT", "SO_REUSEPORT", 0, "0", "0"],
	["SO_REUSEADDR SO_REUSEPORT", "SO_REUSEPORT", 1000, "EADDRINUSE", "EADDRINUSE"],
	["SO_REUSEADDR SO_REUSEPORT", "SO_REUSEADDR SO_REUSEPORT", 1000, "0", "EADDRINUSE"],
	["SO_REUSEADDR SO_REUSEPORT", "SO_REUSEADDR SO_REUSEPORT", 0, "0", "0"],
] as const;

const setAll = (socket: string, options: string) =>
	options === ""
		? ""
		: options
				.split(" ")
				.map((option) => `${socket} set ${option} 1`)
				.join("\n");

describe.each([
	["127.0.0.1", "127.0.0.1"],
	["0.0.0.0", "0.0.0.0"],
	["0.0.0.0", "127.0.0.1"],
	["127.0.0.1", "0.0.0.0"],
])("a port of %s", (first, second) => {
	for (const [mine, yours, user, bound, listening] of SHARING) {
		const title = `${mine || "no option"} and ${yours || "no option"} of ${user === 0 ? "the same" : "another"} user`;
		const program = (listen: string, result: string) => `
			${setAll("a", mine)}
			a bind ${first}:5000
			${listen}
			user ${user}
			${setAll("b", yours)}
			b bind ${second}:5000 = ${result}
		`;
		const means = (result: string) => (result === "0" ? "share" : "do not share");
		rule(`with ${second}: ${title} ${means(bound)} it`, program("", bound));
		rule(
			`with ${second}: ${title} ${means(listening)} it with a listener`,
			program("a listen 1", listening),
		);
	}
});

describe("a port of two addresses", () => {
	for (const listen of ["", "a listen 1"]) {
		rule(
			`is two ports${listen && ", with a listener as well"}`,
			`
			a bind 127.0.0.1:5000
			${listen}
			b bind 127.0.0.2:5000
			c bind 192.0.2.10:5000
			d bind 0.0.0.0:5000 = EADDRINUSE
			b listen 1
			`,
		);
	}
	rule(
		"bound to two devices is two ports",
		`
		a setopt SO_BINDTODEVICE 6c6f 2
		a bind 0.0.0.0:5000
		b bind 0.0.0.0:5000 = EADDRINUSE
		c setopt SO_BINDTODEVICE 6c6f 2
		c bind 127.0.0.1:5000 = EADDRINUSE
		`,
	);
});

describe("listen", () => {
	rule(
		"chooses a port where there is none",
		`
		write ip_local_port_range "40000 40001"
		a listen 1
		a name = 0.0.0.0:$p
		b listen 1
		b name = 0.0.0.0:$q
		c listen 1 = EADDRINUSE
		c state = CLOSE
		c name = 0.0.0.0:0
		d connect 127.0.0.1:$p = EADDRNOTAVAIL
		a close
		c listen 1
		c name = 0.0.0.0:$p
		`,
	);
	rule(
		"chooses a port of an address that was bound late",
		`
		write ip_local_port_range "40000 40000"
		a set IP_BIND_ADDRESS_NO_PORT 1
		a bind 127.0.0.1:0
		a listen 1
		a name = 127.0.0.1:40000
		b bind 127.0.0.2:0
		b listen 1
		c listen 1 = EADDRINUSE
		`,
	);
	rule(
		"looks at its port again, now that SO_REUSEADDR does not help",
		`
		a set SO_REUSEADDR 1
		a bind 127.0.0.1:5000
		b set SO_REUSEADDR 1
		b bind 127.0.0.1:5000
		a listen 1
		b listen 1 = EADDRINUSE
		# The socket that lost keeps its port, and may try again.
		b state = CLOSE
		b name = 127.0.0.1:5000
		c set SO_REUSEADDR 1
		c bind 127.0.0.1:5000 = EADDRINUSE
		a close
		c bind 127.0.0.1:5000
		b listen 1
		c listen 1 = EADDRINUSE
		`,
	);
	rule(
		"on a wildcard and on one address exclude each other, with SO_REUSEADDR as well",
		`
		a set SO_REUSEADDR 1
		a bind 0.0.0.0:5000
		b set SO_REUSEADDR 1
		b bind 127.0.0.1:5000
		a listen 1
		b listen 1 = EADDRINUSE
		a close
		b listen 1
		c set SO_REUSEADDR 1
		c bind 0.0.0.0:5000 = EADDRINUSE
		d set SO_REUSEADDR 1
		d bind 127.0.0.2:5000
		d listen 1
		`,
	);
	rule(
		"is for any number of sockets with SO_REUSEPORT of one user",
		`
		user 1000
		a set SO_REUSEPORT 1
		a bind 127.0.0.1:5000
		b set SO_REUSEPORT 1
		b bind 127.0.0.1:5000
		c set SO_REUSEPORT 1
		c bind 0.0.0.0:5000
		a listen 1
		b listen 1
		c listen 1
		user 1001
		d set SO_REUSEPORT 1
		d bind 127.0.0.1:5000 = EADDRINUSE
		at 5000 = LISTEN LISTEN LISTEN
		`,
	);
	rule(
		"on a socket that listens only changes the backlog",
		`
		s bind 127.0.0.1:5000
		s listen 0
		a connect 127.0.0.1:5000
		b start 127.0.0.1:5000 = EINPROGRESS
		b state = SYN_SENT
		s listen 5
		c connect 127.0.0.1:5000
		s name = 127.0.0.1:5000
		`,
	);
	rule(
		"is not for sockets that connect, or are connected",
		`
		s bind 127.0.0.1:5000
		s listen 1
		c connect 127.0.0.1:5000
		c listen 1 = EINVAL
		s accept t
		t listen 1 = EINVAL
		n start 198.51.100.1:80 = EINPROGRESS
		n listen 1 = EINVAL
		`,
	);
	rule(
		"is for a socket whose connect failed",
		`
		a connect 127.0.0.1:5000 = ECONNREFUSED
		a listen 1
		b bind 127.0.0.1:5001
		b connect 127.0.0.1:5000 = ECONNREFUSED
		b listen 1
		b name = 127.0.0.1:5001
		`,
	);
	rule(
		"ends with a shutdown for reading, and the port stays if bind named it",
		`
		s bind 127.0.0.1:5000
		s listen 1
		c connect 127.0.0.1:5000
		s shutdown wr
		s state = LISTEN
		s shutdown rd
		s state = CLOSE
		c recv 1 = ECONNRESET
		s name = 127.0.0.1:5000
		a bind 127.0.0.1:5000 = EADDRINUSE
		s listen 1
		d connect 127.0.0.1:5000
		# A port that listen chose is given up.
		write ip_local_port_range "40000 40000"
		u listen 1
		u shutdown rdwr
		v listen 1
		v name = 0.0.0.0:40000
		u listen 1 = EADDRINUSE
		`,
	);
	rule(
		"ends with a connect to AF_UNSPEC as well",
		`
		s bind 127.0.0.1:5000
		s listen 1
		c connect 127.0.0.1:5000
		s dissolve
		s state = CLOSE
		c recv 1 = ECONNRESET
		s name = 127.0.0.1:5000
		s listen 1
		`,
	);
	rule(
		"cannot be had by connecting",
		`
		s bind 127.0.0.1:5000
		s listen 1
		s connect 127.0.0.1:5001 = EISCONN
		s state = LISTEN
		s send 1 = EPIPE
		s recv 1 = ENOTCONN
		s peer = ENOTCONN
		`,
	);
});

describe("accept", () => {
	rule(
		"gives connections in the order in which they came",
		`
		s bind 127.0.0.1:5000
		s listen 2
		s accept t = EAGAIN
		a bind 127.0.0.1:6001
		a connect 127.0.0.1:5000
		b bind 127.0.0.1:6002
		b connect 127.0.0.1:5000
		c bind 127.0.0.1:6003
		c connect 127.0.0.1:5000
		s accept t
		s accept u
		s accept v
		s accept w = EAGAIN
		t peer = 127.0.0.1:6001
		u peer = 127.0.0.1:6002
		v peer = 127.0.0.1:6003
		t name = 127.0.0.1:5000
		a peer = 127.0.0.1:5000
		`,
	);
	rule(
		"wants a listener",
		`
		a accept t = EINVAL
		a bind 127.0.0.1:5000
		a accept t = EINVAL
		a listen 1
		c connect 127.0.0.1:5000
		c accept t = EINVAL
		`,
	);
	rule(
		"gives a connection that its client has closed",
		`
		s bind 127.0.0.1:5000
		s listen 1
		c connect 127.0.0.1:5000
		c send 3 = 3
		c close
		s accept t
		t state = CLOSE_WAIT
		t recv 9 = 3
		t recv 9 = 0
		t close
		`,
	);
	rule(
		"gives a connection that its client has reset",
		`
		s bind 127.0.0.1:5000
		s listen 1
		c setopt SO_LINGER 0100000000000000 8
		c bind 127.0.0.1:6000
		c connect 127.0.0.1:5000
		c close
		s accept t
		t state = CLOSE
		t peer = ENOTCONN
		t name = 127.0.0.1:5000
		t recv 1 = ECONNRESET
		t recv 1 = 0
		t send 1 = EPIPE
		`,
	);
	rule(
		"is no more after a close of the listener, which resets what nobody accepted",
		`
		s bind 127.0.0.1:5000
		s listen 5
		a connect 127.0.0.1:5000
		s accept t
		b connect 127.0.0.1:5000
		c connect 127.0.0.1:5000
		s close
		b recv 1 = ECONNRESET
		c send 1 = ECONNRESET
		a send 1 = 1
		t recv 9 = 1
		d connect 127.0.0.1:5000 = ECONNREFUSED
		at 5000 = ESTABLISHED
		`,
	);
	rule(
		"leaves a port in use by the connections of a listener that is gone",
		`
		s bind 127.0.0.1:5000
		s listen 5
		c connect 127.0.0.1:5000
		s accept t
		s close
		a bind 127.0.0.1:5000 = EADDRINUSE
		b set SO_REUSEADDR 1
		b bind 127.0.0.1:5000 = EADDRINUSE
		d bind 127.0.0.2:5000
		t close
		c close
		at 5000 = TIME_WAIT
		`,
	);
	rule(
		"hands SO_REUSEADDR down, so that a server can be started again beside its connections",
		`
		s set SO_REUSEADDR 1
		s bind 127.0.0.1:5000
		s listen 5
		c connect 127.0.0.1:5000
		s accept t
		s close
		a bind 127.0.0.1:5000 = EADDRINUSE
		b set SO_REUSEADDR 1
		b bind 127.0.0.1:5000
		b listen 5
		d connect 127.0.0.1:5000
		b accept u
		`,
	);
});

describe("a listener", () => {
	rule(
		"with a full queue does not answer, and the client asks again after 1 s, 3 s, 7 s",
		`
		s bind 127.0.0.1:5000
		s listen 0
		a connect 127.0.0.1:5000
		b start 127.0.0.1:5000 = EINPROGRESS
		b state = SYN_SENT
		s accept t
		b state = SYN_SENT
		pass 700
		b state = SYN_SENT
		pass 400
		b state = ESTABLISHED
		b connect 127.0.0.1:5000
		b connect 127.0.0.1:5000 = EISCONN
		c start 127.0.0.1:5000 = EINPROGRESS
		pass 2500
		c state = SYN_SENT
		s accept u
		pass 700
		c state = ESTABLISHED
		`,
	);
	rule(
		"has room for one connection more than its backlog",
		`
		s bind 127.0.0.1:5000
		s listen 2
		a connect 127.0.0.1:5000
		b connect 127.0.0.1:5000
		c connect 127.0.0.1:5000
		d start 127.0.0.1:5000 = EINPROGRESS
		d state = SYN_SENT
		`,
	);
	rule(
		"on one address goes before one on the wildcard, and one on a device before both",
		`
		w set SO_REUSEPORT 1
		w bind 0.0.0.0:5000
		w listen 5
		s set SO_REUSEPORT 1
		s bind 127.0.0.1:5000
		s listen 5
		c connect 127.0.0.1:5000
		w accept t = EAGAIN
		s accept t
		d connect 127.0.0.2:5000
		s accept u = EAGAIN
		w accept u
		x set SO_REUSEPORT 1
		x setopt SO_BINDTODEVICE 6c6f 2
		x bind 127.0.0.1:5000
		x listen 5
		e connect 127.0.0.1:5000
		s accept v = EAGAIN
		x accept v
		`,
	);
	rule(
		"on the wildcard hears every address of the namespace",
		`
		s bind 0.0.0.0:5000
		s listen 5
		a connect 127.0.0.1:5000
		b connect 192.0.2.10:5000
		c connect 127.9.9.9:5000
		d connect 0.0.0.0:5000
		s accept t
		s accept u
		s accept v
		s accept w
		t name = 127.0.0.1:5000
		u name = 192.0.2.10:5000
		v name = 127.9.9.9:5000
		w name = 127.0.0.1:5000
		d peer = 127.0.0.1:5000
		`,
	);
});

describe("connect", () => {
	rule(
		"chooses the source address by the route",
		`
		s bind 0.0.0.0:5000
		s listen 5
		a connect 127.0.0.1:5000
		a name = 127.0.0.1:$p
		b connect 127.0.0.9:5000
		b name = 127.0.0.1:$q
		c connect 192.0.2.10:5000
		c name = 192.0.2.10:$r
		d start 198.51.100.1:80 = EINPROGRESS
		d name = 192.0.2.10:$s
		e bind 127.0.0.5:0
		e connect 192.0.2.10:5000
		e name = 127.0.0.5:$t
		`,
	);
	rule(
		"is refused where nobody listens, and gives up a port that bind did not name",
		`
		write ip_local_port_range "40000 40000"
		a connect 127.0.0.1:5000 = ECONNREFUSED
		a state = CLOSE
		# What it last had is still shown.
		a name = 0.0.0.0:40000
		b bind 127.0.0.1:40000
		b connect 127.0.0.1:5000 = ECONNREFUSED
		b name = 127.0.0.1:40000
		a connect 127.0.0.1:5000 = EADDRNOTAVAIL
		b close
		c bind 127.0.0.1:0
		c connect 127.0.0.1:5000 = ECONNREFUSED
		c name = 127.0.0.1:40000
		# The address was named, the port was not.
		d bind 127.0.0.1:40000
		c listen 1 = EADDRINUSE
		`,
	);
	rule(
		"that is refused without waiting says so the next time",
		`
		a start 127.0.0.1:5000 = EINPROGRESS
		a state = CLOSE
		a start 127.0.0.1:5000 = ECONNREFUSED
		a start 127.0.0.1:5000 = EINPROGRESS
		a error = ECONNREFUSED
		a start 127.0.0.1:5000 = ECONNABORTED
		a start 127.0.0.1:5000 = EINPROGRESS
		a send 1 = ECONNREFUSED
		a send 1 = EPIPE
		`,
	);
	rule(
		"that does not wait ends in a connection at the next call",
		`
		s bind 127.0.0.1:5000
		s listen 1
		a start 127.0.0.1:5000 = EINPROGRESS
		a state = ESTABLISHED
		a start 127.0.0.1:5000
		a start 127.0.0.1:5000 = EISCONN
		b start 198.51.100.1:80 = EINPROGRESS
		b start 198.51.100.1:80 = EALREADY
		b start 127.0.0.1:5000 = EALREADY
		b send 1 = EAGAIN
		b recv 1 = EAGAIN
		b peer = ENOTCONN
		`,
	);
	rule(
		"to port 0 is refused, as to any that nobody has",
		`
		a connect 127.0.0.1:0 = ECONNREFUSED
		`,
	);
	rule(
		"wants a route",
		`
		a connect 203.0.113.1:80 = ENETUNREACH
		a name = 0.0.0.0:0
		b bind 127.0.0.1:6000
		b connect 203.0.113.1:80 = ENETUNREACH
		b name = 127.0.0.1:6000
		c connect 255.255.255.255:80 = ENETUNREACH
		c connect 127.255.255.255:80 = ENETUNREACH
		c connect 224.0.0.1:80 = ENETUNREACH
		`,
	);
	rule(
		"wants a family, and a whole address behind it",
		`
		a start 127.0.0.1:5000 1 = EINVAL
		a start 127.0.0.1:5000 15 = EINVAL
		a start 127.0.0.1:5000 129 = EINVAL
		a start 127.0.0.1:5000 -1 = EINVAL
		`,
	);
	rule(
		"gives up after tcp_syn_retries, the last time twice as long as the one before",
		`
		write tcp_syn_retries "1"
		a bind 192.0.2.10:0
		a connect 198.51.100.1:80 = ETIMEDOUT
		clock = 3
		a state = CLOSE
		a error = 0
		b start 198.51.100.1:80 = EINPROGRESS
		pass 2900
		b state = SYN_SENT
		pass 200
		b state = CLOSE
		b error = ETIMEDOUT
		`,
	);
	rule(
		"gives up after 127 s",
		`
		a start 198.51.100.1:80 = EINPROGRESS
		pass 126900
		a state = SYN_SENT
		pass 5100
		a state = CLOSE
		a error = ETIMEDOUT
		`,
	);
	rule(
		"to the own address and port connects a socket to itself",
		`
		a bind 127.0.0.1:6000
		a connect 127.0.0.1:6000
		a state = ESTABLISHED
		a name = 127.0.0.1:6000
		a peer = 127.0.0.1:6000
		a send 5 = 5
		a recv 9 = 5
		a close
		at 6000 = TIME_WAIT
		`,
	);
	rule(
		"to an ephemeral port may choose that very port, and so reach itself",
		`
		write ip_local_port_range "40000 40000"
		a connect 127.0.0.1:40000
		a name = 127.0.0.1:40000
		a peer = 127.0.0.1:40000
		b connect 127.0.0.1:40000 = EADDRNOTAVAIL
		`,
	);
	rule(
		"from two sockets to each other makes one connection",
		`
		a bind 127.0.0.1:6001
		b bind 127.0.0.1:6002
		c bind 127.0.0.1:6003
		c start 127.0.0.1:6001 = EINPROGRESS
		c error = ECONNREFUSED
		`,
	);
	rule(
		"to AF_UNSPEC dissolves a connection, and the socket can be used again",
		`
		s bind 127.0.0.1:5000
		s listen 5
		a bind 127.0.0.1:6000
		a connect 127.0.0.1:5000
		s accept t
		a dissolve
		t recv 1 = ECONNRESET
		a state = CLOSE
		a peer = ENOTCONN
		a name = 127.0.0.1:6000
		a error = ECONNRESET
		a connect 127.0.0.1:5000
		s accept u
		u peer = 127.0.0.1:6000
		`,
	);
	rule(
		"to AF_UNSPEC gives up what bind did not name",
		`
		write ip_local_port_range "40000 40000"
		s bind 127.0.0.1:5000
		s listen 5
		# Neither port nor address.
		a connect 127.0.0.1:5000
		a name = 127.0.0.1:40000
		a dissolve
		a name = 0.0.0.0:40000
		# The address.
		b bind 127.0.0.2:0
		b connect 127.0.0.1:5000
		b name = 127.0.0.2:40000
		b dissolve
		b name = 127.0.0.2:40000
		# The port.
		c bind 0.0.0.0:40000
		c connect 127.0.0.1:5000
		c name = 127.0.0.1:40000
		c dissolve
		c name = 0.0.0.0:40000
		a connect 127.0.0.1:5000 = EADDRNOTAVAIL
		c close
		a connect 127.0.0.1:5000
		`,
	);
	rule(
		"to AF_UNSPEC is for sockets in any state",
		`
		a dissolve
		a state = CLOSE
		a error = 0
		b bind 127.0.0.1:6000
		b dissolve
		b name = 127.0.0.1:6000
		n start 198.51.100.1:80 = EINPROGRESS
		n dissolve
		n error = ECONNRESET
		n start 198.51.100.1:80 = EINPROGRESS
		n error = 0
		# A port of bind's choice goes, although the socket was not connected.
		write ip_local_port_range "40000 40000"
		d bind 127.0.0.1:0
		d dissolve
		e bind 127.0.0.1:0 = EADDRINUSE
		`,
	);
	rule(
		"of an unconnected socket can be broken off with shutdown",
		`
		write ip_local_port_range "40000 40000"
		a shutdown rdwr = ENOTCONN
		n start 198.51.100.1:80 = EINPROGRESS
		n name = 192.0.2.10:40000
		n shutdown wr
		n state = CLOSE
		n error = ECONNRESET
		b start 198.51.100.1:80 = EINPROGRESS
		n start 198.51.100.1:80 = EADDRNOTAVAIL
		n shutdown 3 = EINVAL
		n shutdown -1 = EINVAL
		`,
	);
	rule(
		"keeps to its four-tuple on different devices",
		`
		s bind 127.0.0.1:5000
		s listen 5
		write ip_local_port_range "40000 40000"
		a connect 127.0.0.1:5000
		b connect 127.0.0.1:5000 = EADDRNOTAVAIL
		b connect 127.0.0.2:5000 = ECONNREFUSED
		c setopt SO_BINDTODEVICE 6c6f 2
		c connect 127.0.0.1:5000 = EADDRNOTAVAIL
		`,
	);
});

/** A connection from port 6000 to 5000: c, whose other end is t; s listens. */
const connected = (options = "", address = "127.0.0.1") => `
		s set SO_REUSEADDR 1
		s bind ${address}:5000
		s listen 5
		${options}
		c bind ${address}:6000
		c connect ${address}:5000
		s accept t
`;

/*
 * The kernel's timer wheel lets long timers expire late, those of half a minute and more by up
 * to 2 s (kernel/time/timer.c). So what is gone after 60 s is looked for after 62 s.
 */
describe("the end of a connection", () => {
	rule(
		"closed by the client first leaves the client's port in TIME_WAIT for 60 s",
		`
		${connected()}
		c close
		t state = CLOSE_WAIT
		t recv 1 = 0
		t close
		at 5000 = LISTEN
		at 6000 = TIME_WAIT
		pass 59900
		at 6000 = TIME_WAIT
		pass 2200
		at 6000 = nothing
		`,
	);
	rule(
		"closed by the server first leaves the server's port in TIME_WAIT for 60 s",
		`
		${connected()}
		t close
		c state = CLOSE_WAIT
		c close
		at 5000 = LISTEN TIME_WAIT
		at 6000 = nothing
		pass 59900
		at 5000 = LISTEN TIME_WAIT
		pass 2200
		at 5000 = LISTEN
		`,
	);
	rule(
		"comes in two halves where one side only shuts down",
		`
		${connected()}
		c shutdown wr
		c send 1 = EPIPE
		t state = CLOSE_WAIT
		t recv 9 = 0
		t send 5 = 5
		c recv 9 = 5
		c recv 9 = EAGAIN
		t close
		c recv 9 = 0
		# A time-wait socket stands for the connection, while c is still open.
		c state = CLOSE
		c name = 127.0.0.1:6000
		c peer = ENOTCONN
		at 6000 = TIME_WAIT
		at 5000 = LISTEN
		c close
		at 6000 = TIME_WAIT
		pass 62100
		at 6000 = nothing
		`,
	);
	rule(
		"comes from shutdown on both sides as from close",
		`
		${connected()}
		c shutdown rdwr
		t shutdown rdwr
		t state = CLOSE
		c state = CLOSE
		at 6000 = TIME_WAIT
		t close
		c close
		at 6000 = TIME_WAIT
		`,
	);
	rule(
		"does not come from a shutdown for reading",
		`
		${connected()}
		c shutdown rd
		c recv 9 = 0
		c state = ESTABLISHED
		t state = ESTABLISHED
		t send 3 = 3
		c recv 9 = 3
		c send 2 = 2
		t recv 9 = 2
		`,
	);
	rule(
		"is a reset where data was not read",
		`
		${connected()}
		t send 5 = 5
		c recv 3 = 3
		c close
		t state = CLOSE
		at 6000 = nothing
		at 5000 = LISTEN
		t recv 9 = ECONNRESET
		t recv 9 = 0
		t send 1 = EPIPE
		t peer = ENOTCONN
		`,
	);
	rule(
		"is no reset once everything was read",
		`
		${connected()}
		t send 5 = 5
		c recv 3 = 3
		c recv 3 = 2
		c close
		t recv 9 = 0
		t close
		at 6000 = TIME_WAIT
		`,
	);
	rule(
		"is a reset with SO_LINGER of 0 s",
		`
		${connected("c setopt SO_LINGER 0100000000000000 8")}
		c close
		t state = CLOSE
		t error = ECONNRESET
		t recv 9 = 0
		at 6000 = nothing
		at 5000 = LISTEN
		`,
	);
	rule(
		"with SO_LINGER of 0 s sends no FIN after the other side's",
		`
		${connected("c setopt SO_LINGER 0100000000000000 8")}
		t close
		c state = CLOSE_WAIT
		c close
		at 6000 = nothing
		at 5000 = LISTEN
		`,
	);
	rule(
		"waits with SO_LINGER of some seconds until the other side has heard of it",
		`
		${connected("c setopt SO_LINGER 0100000005000000 8")}
		c close
		clock = 0
		t state = CLOSE_WAIT
		at 6000 = FIN_WAIT2
		`,
	);
	rule(
		"is a reset for data that comes after close",
		`
		${connected()}
		c close
		t send 5 = 5
		t state = CLOSE
		t send 5 = EPIPE
		t error = 0
		t recv 9 = 0
		at 6000 = nothing
		at 5000 = LISTEN
		`,
	);
	rule(
		"is a reset for data that comes long after close",
		`
		${connected()}
		c close
		pass 300
		at 6000 = FIN_WAIT2
		t send 5 = 5
		t error = EPIPE
		t send 5 = EPIPE
		at 6000 = nothing
		`,
	);
	rule(
		"half done stays in FIN_WAIT2 for tcp_fin_timeout",
		`
		write tcp_fin_timeout "3"
		${connected()}
		c close
		pass 300
		at 6000 = FIN_WAIT2
		pass 2500
		at 6000 = FIN_WAIT2
		pass 500
		at 6000 = nothing
		t state = CLOSE_WAIT
		t send 1 = 1
		t send 1 = EPIPE
		`,
	);
	rule(
		"half done for 61 s takes 2 s: 1 s as a socket and 1 s as a time-wait socket",
		`
		write tcp_fin_timeout "61"
		${connected()}
		c close
		pass 300
		at 6000 = FIN_WAIT2
		pass 1400
		at 6000 = FIN_WAIT2
		pass 600
		at 6000 = nothing
		`,
	);
	rule(
		"half done for 90 s takes 60 s",
		`
		write tcp_fin_timeout "90"
		${connected()}
		c close
		pass 29900
		at 6000 = FIN_WAIT2
		pass 30000
		at 6000 = FIN_WAIT2
		pass 4300
		at 6000 = nothing
		`,
	);
	rule(
		"half done goes on to TIME_WAIT, for 60 s again, when the other side closes",
		`
		${connected()}
		c close
		pass 30000
		at 6000 = FIN_WAIT2
		t close
		at 6000 = TIME_WAIT
		pass 59900
		at 6000 = TIME_WAIT
		pass 2200
		at 6000 = nothing
		`,
	);
	rule(
		"half done stays with a socket that is not closed for as long as that is open",
		`
		write tcp_fin_timeout "1"
		${connected()}
		c shutdown wr
		pass 5000
		c state = FIN_WAIT2
		t send 1 = 1
		c recv 9 = 1
		c close
		pass 500
		at 6000 = FIN_WAIT2
		pass 700
		at 6000 = nothing
		`,
	);
	rule(
		"is a RST for what is sent to a connection that is gone",
		`
		write tcp_fin_timeout "1"
		${connected()}
		c close
		pass 1500
		at 6000 = nothing
		t close
		pass 10
		at 5000 = LISTEN
		`,
	);
});

describe("a port in TIME_WAIT", () => {
	rule(
		"is not bound again without SO_REUSEADDR on both sides",
		`
		${connected()}
		c close
		t close
		at 6000 = TIME_WAIT
		a bind 127.0.0.1:6000 = EADDRINUSE
		b set SO_REUSEADDR 1
		b bind 127.0.0.1:6000 = EADDRINUSE
		w set SO_REUSEADDR 1
		w bind 0.0.0.0:6000 = EADDRINUSE
		d bind 127.0.0.2:6000
		pass 62100
		a bind 127.0.0.1:6000
		`,
	);
	rule(
		"is bound again with SO_REUSEADDR on both sides, and listened on",
		`
		${connected("c set SO_REUSEADDR 1")}
		c close
		t close
		at 6000 = TIME_WAIT
		a bind 127.0.0.1:6000 = EADDRINUSE
		b set SO_REUSEADDR 1
		b bind 127.0.0.1:6000
		b listen 1
		at 6000 = LISTEN TIME_WAIT
		`,
	);
	rule(
		"lets a server start again at once, with SO_REUSEADDR alone",
		`
		${connected()}
		t close
		c close
		s close
		at 5000 = TIME_WAIT
		a bind 127.0.0.1:5000 = EADDRINUSE
		b set SO_REUSEADDR 1
		b bind 0.0.0.0:5000
		b listen 1
		d connect 127.0.0.1:5000
		b accept e
		`,
	);
	rule(
		"is shared with SO_REUSEPORT whoever the user is",
		`
		${connected("c set SO_REUSEPORT 1")}
		user 1000
		a set SO_REUSEPORT 1
		a bind 127.0.0.1:6000 = EADDRINUSE
		c close
		t close
		at 6000 = TIME_WAIT
		a bind 127.0.0.1:6000
		b bind 127.0.0.1:6000 = EADDRINUSE
		`,
	);
	rule(
		"is connected from again by a socket that is bound to it, whatever tcp_tw_reuse says",
		`
		write tcp_tw_reuse "0"
		${connected("c set SO_REUSEADDR 1")}
		c close
		t close
		at 6000 = TIME_WAIT
		a set SO_REUSEADDR 1
		a bind 127.0.0.1:6000
		a connect 127.0.0.1:5000
		at 6000 = ESTABLISHED
		s accept u
		u peer = 127.0.0.1:6000
		`,
	);
	rule(
		"is connected from again in FIN_WAIT2 as well by a socket that is bound to it",
		`
		write tcp_tw_reuse "0"
		${connected("c set SO_REUSEADDR 1")}
		c close
		pass 300
		at 6000 = FIN_WAIT2
		a set SO_REUSEADDR 1
		a bind 127.0.0.1:6000
		a start 127.0.0.1:5001 = EINPROGRESS
		a error = ECONNREFUSED
		at 6000 = FIN_WAIT2
		`,
	);
	rule(
		"of a server is no obstacle to a new connection from the same client port",
		`
		${connected("c set SO_REUSEADDR 1")}
		t close
		c close
		at 5000 = LISTEN TIME_WAIT
		a set SO_REUSEADDR 1
		a bind 127.0.0.1:6000
		a connect 127.0.0.1:5000
		at 5000 = ESTABLISHED LISTEN
		`,
	);

	/** A connection whose port connect() chose, in TIME_WAIT on the client's side. */
	const chosen = (address: string, reuse: number, options = "") => `
		write tcp_tw_reuse "${reuse}"
		write ip_local_port_range "40000 40000"
		s bind ${address}:5000
		s listen 5
		${options}
		tick
		c connect ${address}:5000
		s accept t
		c close
		t close
		at 40000 = TIME_WAIT
	`;
	rule(
		"is not chosen again with tcp_tw_reuse 0",
		`
		${chosen("127.0.0.1", 0)}
		d connect 127.0.0.1:5000 = EADDRNOTAVAIL
		tick
		d connect 127.0.0.1:5000 = EADDRNOTAVAIL
		pass 50000
		d connect 127.0.0.1:5000 = EADDRNOTAVAIL
		pass 12100
		d connect 127.0.0.1:5000
		`,
	);
	for (const [reuse, address] of [
		[1, "127.0.0.1"],
		[1, "192.0.2.10"],
		[2, "127.0.0.1"],
		[2, "127.0.0.2"],
	] as const) {
		rule(
			`of ${address} is chosen again with tcp_tw_reuse ${reuse} once the second has changed`,
			`
			${chosen(address, reuse)}
			d connect ${address}:5000 = EADDRNOTAVAIL
			tick
			d connect ${address}:5000
			at 40000 = ESTABLISHED
			`,
		);
	}
	rule(
		"of an address beyond 127/8 is not chosen again with tcp_tw_reuse 2",
		`
		${chosen("192.0.2.10", 2)}
		tick
		d connect 192.0.2.10:5000 = EADDRNOTAVAIL
		pass 5000
		d connect 192.0.2.10:5000 = EADDRNOTAVAIL
		write tcp_tw_reuse "1"
		d connect 192.0.2.10:5000
		`,
	);
	rule(
		"of a socket on the device lo is chosen again with tcp_tw_reuse 2, on that device",
		`
		${chosen("192.0.2.10", 2, "c setopt SO_BINDTODEVICE 6c6f 2")}
		tick
		d setopt SO_BINDTODEVICE 6c6f 2
		d connect 192.0.2.10:5000
		at 40000 = ESTABLISHED
		`,
	);
	rule(
		"is always chosen for another destination",
		`
		${chosen("127.0.0.1", 0)}
		u bind 127.0.0.1:5001
		u listen 5
		d connect 127.0.0.1:5001
		d name = 127.0.0.1:40000
		at 40000 = ESTABLISHED TIME_WAIT
		`,
	);

	/** The same with the other side still open. */
	const half = (reuse: number) => `
		write tcp_tw_reuse "${reuse}"
		write ip_local_port_range "40000 40000"
		s bind 127.0.0.1:5000
		s listen 5
		c connect 127.0.0.1:5000
		s accept t
		c close
		pass 300
		at 40000 = FIN_WAIT2
		tick
	`;
	rule(
		"in FIN_WAIT2 is chosen again, and the new SYN meets the old connection",
		`
		${half(1)}
		d start 127.0.0.1:5000 = EINPROGRESS
		`,
		["6.3"],
	);
	rule(
		"in FIN_WAIT2 is not chosen again, since 6.12 and 6.1.176",
		`
		${half(1)}
		d start 127.0.0.1:5000 = EADDRNOTAVAIL
		t close
		at 40000 = TIME_WAIT
		tick
		d start 127.0.0.1:5000 = EINPROGRESS
		d state = ESTABLISHED
		`,
		["6.1.176"],
	);
	rule(
		"is not kept beyond tcp_max_tw_buckets",
		`
		write tcp_max_tw_buckets "0"
		${connected()}
		c close
		t close
		at 6000 = nothing
		`,
	);
});

describe("descriptors", () => {
	rule(
		"that dup made keep a socket open until the last is closed",
		`
		s bind 127.0.0.1:5000
		s listen 1
		c connect 127.0.0.1:5000
		s accept t
		c dup d
		c close
		t state = ESTABLISHED
		d send 1 = 1
		t recv 9 = 1
		d close
		t state = CLOSE_WAIT
		s dup u
		s close
		e connect 127.0.0.1:5000
		u accept v
		u close
		f connect 127.0.0.1:5000 = ECONNREFUSED
		`,
	);

	function boot(uid = 0): Task {
		const kernel = new Kernel();
		return kernel.createTask({ net: kernel.createNet(), uid });
	}
	const local = (port: number): Address => ({ family: "AF_INET", address: "127.0.0.1", port });

	it("that are not open are EBADF to every call, and those of other files ENOTSOCK", () => {
		const task = boot();
		const other = task.openOther();
		const gone = task.tcp();
		task.close(gone);
		for (const [fd, errno] of [
			[gone, EBADF],
			[-1, EBADF],
			[0, ENOTSOCK],
			[other, ENOTSOCK],
		]) {
			expect(task.bind(fd, local(5000))).toBe(-errno);
			expect(task.bind(fd, local(5000), 3)).toBe(-errno);
			expect(task.listen(fd, 1)).toBe(-errno);
			expect(task.connect(fd, local(5000))).toBe(-errno);
			expect(task.accept(fd)).toBe(-errno);
			expect(task.getsockname(fd)).toBe(-errno);
			expect(task.getpeername(fd)).toBe(-errno);
			expect(task.setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, 1)).toBe(-errno);
			expect(task.getsockopt(fd, SOL_SOCKET, SO_REUSEADDR)).toBe(-errno);
			expect(task.shutdown(fd, 2)).toBe(-errno);
		}
		expect(task.close(gone)).toBe(-EBADF);
		expect(task.dup(gone)).toBe(-EBADF);
		expect(task.dup2(gone, gone)).toBe(-EBADF);
		expect(task.dup2(gone, 7)).toBe(-EBADF);
		expect(task.dup3(gone, 7, 0)).toBe(-EBADF);
		expect(task.accept4(task.tcp(), 1)).toBe(-EINVAL);
	});

	it("are the lowest that are free", () => {
		const task = boot();
		const fds = [task.tcp(), task.tcp(), task.tcp(), task.tcp()];
		expect(fds).toEqual([3, 4, 5, 6]);
		task.close(4);
		task.close(3);
		expect([task.tcp(), task.dup(6), task.tcp()]).toEqual([3, 4, 7]);
	});

	it("that dup2 and dup3 overwrite are closed first", () => {
		const task = boot();
		const [a, b] = [task.tcp(), task.tcp()];
		expect(task.bind(b, local(5000))).toBe(0);
		expect(task.dup2(a, a)).toBe(a);
		expect(task.dup3(a, a, 0)).toBe(-EINVAL);
		expect(task.dup3(a, 9, 1)).toBe(-EINVAL);
		expect(task.dup2(a, b)).toBe(b);
		expect(task.bind(a, local(5000))).toBe(0);
		expect(task.getsockname(b)).toEqual(local(5000));
		expect(task.dup3(a, 9, SOCK_CLOEXEC)).toBe(9);
		task.execve();
		expect(task.getsockname(9)).toBe(-EBADF);
		expect(task.getsockname(b)).toEqual(local(5000));
	});

	it("of a child are its own, the sockets behind them are shared", () => {
		const parent = boot();
		const server = parent.tcp();
		expect(parent.bind(server, local(5000))).toBe(0);
		expect(parent.listen(server, 8)).toBe(0);
		const child = parent.fork();
		expect(parent.close(server)).toBe(0);
		expect(parent.getsockname(server)).toBe(-EBADF);

		const client = parent.tcp();
		expect(parent.connect(client, local(5000))).toBe(0);
		const accepted = child.accept(server);
		expect(child.getsockname(accepted)).toEqual(local(5000));
		expect(parent.send(client, 3)).toBe(3);
		expect(child.recv(accepted, 9)).toBe(3);

		// The end of a process closes what only it had open.
		child.exit();
		expect(parent.recv(client, 9)).toBe(0);
		expect(parent.connect(parent.tcp(), local(5000))).toBe(-ECONNREFUSED);
		parent.kernel.verify();
	});

	it("of a process that ends are released the last one first", () => {
		const parent = boot();
		const child = parent.fork();
		const server = child.tcp();
		child.bind(server, local(5000));
		child.listen(server, 1);
		const client = child.tcp();
		child.bind(client, local(5001));
		child.connect(client, local(5000));
		expect(child.accept(server)).toBeGreaterThan(client);
		child.exit();
		// The accepted end closed first and is time-wait; that of the client is gone.
		expect(parent.bind(parent.tcp(), local(5000))).toBe(-EADDRINUSE);
		expect(parent.bind(parent.tcp(), local(5001))).toBe(0);
	});

	it("of a thread are those of its process", () => {
		const process = boot();
		const thread = process.fork(true);
		const fd = thread.tcp();
		expect(process.bind(fd, local(5000))).toBe(0);
		thread.exit();
		expect(process.getsockname(fd)).toEqual(local(5000));
		process.exit();
		expect(process.kernel.tcp_hashinfo.bind_bucket_cachep.used).toBe(0);
	});

	it("of a child with another user keep the user that made the socket", () => {
		const parent = boot();
		const first = parent.tcp();
		parent.setsockopt(first, SOL_SOCKET, SO_REUSEPORT, 1);
		expect(parent.bind(first, local(5000))).toBe(0);
		const second = parent.tcp();
		parent.setsockopt(second, SOL_SOCKET, SO_REUSEPORT, 1);
		const child = parent.fork();
		child.uid = 1000;
		const third = child.tcp();
		child.setsockopt(third, SOL_SOCKET, SO_REUSEPORT, 1);
		expect(child.bind(third, local(5000))).toBe(-EADDRINUSE);
		expect(child.bind(second, local(5000))).toBe(0);
	});

	it("that do not block tell so, the others say that they would sleep", () => {
		const task = boot();
		const server = task.socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
		expect(task.bind(server, local(5000))).toBe(0);
		expect(task.listen(server, 1)).toBe(0);
		expect(task.accept(server)).toBe(-EAGAIN);
		expect(task.setNonblock(server, false)).toBe(0);
		expect(task.accept(server)).toBe(-ERESTARTSYS);
		const client = task.tcp();
		expect(task.connect(client, local(5000))).toBe(0);
		expect(task.recv(client, 1)).toBe(-ERESTARTSYS);
		// accept4() takes the flag of the new descriptor from its argument alone.
		task.setNonblock(server, true);
		const accepted = task.accept4(server, 0);
		expect(task.recv(accepted, 1)).toBe(-ERESTARTSYS);
		task.setNonblock(accepted, true);
		expect(task.recv(accepted, 1)).toBe(-EAGAIN);
	});

	it("of other kinds of sockets are refused as the kernel does, or not modelled", () => {
		const task = boot();
		expect(task.socket(AF_INET, SOCK_STREAM | 0x100, 0)).toBe(-EINVAL);
		expect(task.socket(AF_INET, 15, 0)).toBe(-EINVAL);
		expect(task.socket(AF_INET, SOCK_STREAM, -1)).toBe(-EINVAL);
		expect(task.socket(AF_INET, SOCK_STREAM, 263)).toBe(-EINVAL);
		expect(task.socket(AF_INET, SOCK_STREAM, 17)).toBe(-EPROTONOSUPPORT);
		expect(task.socket(AF_INET, 4, 0)).toBe(-ESOCKTNOSUPPORT);
		expect(() => task.socket(AF_INET, 3, 17)).toThrow(NotModelled); // raw
		expect(() => task.socket(AF_INET, 2, 1)).toThrow(NotModelled); // ping
		expect(() => task.socket(16, 3, 0)).toThrow(NotModelled); // netlink
		expect(task.socket(AF_INET, SOCK_STREAM, 6)).toBeGreaterThan(2);
	});
});

describe("searches", () => {
	const ADDRESS = "127.0.0.1";

	/** Sockets that bind() or connect() gave ports in the range, until there is no more. */
	function take(
		call: "bind" | "connect",
		range: string,
		seed: number,
		options: {
			taken?: readonly number[];
			count?: number;
			version?: string;
			reuseaddr?: boolean;
		} = {},
	): number[] {
		const { taken = [], count = 1000, version = "6.3" } = options;
		const kernel = new Kernel({ version, seed });
		const net = kernel.createNet();
		net.addRoute({ to: "198.51.100.0/24", dev: "lo" });
		expect(net.setSysctl("net.ipv4.ip_local_port_range", range)).toBe(0);
		const task = kernel.createTask({ net });
		for (const port of taken) {
			expect(task.bind(task.tcp(), { family: "AF_INET", address: ADDRESS, port })).toBe(0);
		}
		const ports: number[] = [];
		while (ports.length < count) {
			const fd = task.tcp();
			if (options.reuseaddr === true) task.setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, 1);
			const result =
				call === "bind"
					? task.bind(fd, { family: "AF_INET", address: ADDRESS, port: 0 })
					: task.connect(fd, { family: "AF_INET", address: "198.51.100.1", port: 80 }, 16, true);
			if (result === -EADDRINUSE || result === -EADDRNOTAVAIL) break;
			expect(result).toBe(call === "bind" ? 0 : -EINPROGRESS);
			const name = task.getsockname(fd);
			if (typeof name === "number") throw new Error(errnoName(-name));
			ports.push(name.port);
		}
		return ports;
	}
	const sorted = (ports: readonly number[]) => [...ports].sort((a, b) => a - b);
	const seeds = Array.from({ length: 64 }, (_, seed) => seed);

	it.each([
		["40000 40011", 40000],
		["40001 40012", 40001],
	])("of bind leave the ports of the parity of the low bound to connect: %s", (range, low) => {
		const favored = Array.from({ length: 6 }, (_, i) => low + 2 * i);
		const others = favored.map((port) => port + 1);
		for (const seed of seeds) {
			const bound = take("bind", range, seed);
			expect(sorted(bound.slice(0, 6))).toEqual(others);
			expect(sorted(bound.slice(6))).toEqual(favored);
			const connected = take("connect", range, seed);
			expect(sorted(connected.slice(0, 6))).toEqual(favored);
			expect(sorted(connected.slice(6))).toEqual(others);
		}
	});

	it("of bind with SO_REUSEADDR look at the lower half of the range first", () => {
		for (const seed of seeds) {
			const ports = take("bind", "40000 40011", seed, { reuseaddr: true });
			// A quarter of the range, made even, and twice that: 40000-40005.
			expect(sorted(ports.slice(0, 3))).toEqual([40001, 40003, 40005]);
			expect(sorted(ports.slice(3, 6))).toEqual([40000, 40002, 40004]);
			expect(sorted(ports.slice(6, 9))).toEqual([40007, 40009, 40011]);
			expect(sorted(ports.slice(9))).toEqual([40006, 40008, 40010]);
		}
	});

	it.each(["bind", "connect"] as const)("of %s find the port of a range of one", (call) => {
		for (const seed of seeds) expect(take(call, "40000 40000", seed)).toEqual([40000]);
	});

	it.each(["bind", "connect"] as const)("of %s never reach the top of three ports", (call) => {
		for (const seed of seeds) {
			expect(sorted(take(call, "40000 40002", seed))).toEqual([40000, 40001]);
		}
	});

	it.each(["bind", "connect"] as const)(
		"of %s reach either the bottom or the top of five ports, by where they start",
		(call) => {
			const taken = [40001, 40002, 40003];
			const seen = new Set(
				seeds.map((seed) => take(call, "40000 40004", seed, { taken, count: 1 })[0]),
			);
			expect(seen).toEqual(new Set([40000, 40004]));
			// With the bottom taken as well, some starts miss the top.
			const last = seeds.map((seed) =>
				take(call, "40000 40004", seed, { taken: [40000, ...taken], count: 1 }),
			);
			expect(new Set(last.map((ports) => ports.join()))).toEqual(new Set(["40004", ""]));
		},
	);

	it("start where the seed says, each time the same", () => {
		for (const call of ["bind", "connect"] as const) {
			const first = take(call, "32768 60999", 7, { count: 20 });
			expect(take(call, "32768 60999", 7, { count: 20 })).toEqual(first);
			expect(take(call, "32768 60999", 8, { count: 20 })).not.toEqual(first);
		}
	});

	it("of connect to one destination go on a few ports further each time", () => {
		for (const seed of seeds.slice(0, 16)) {
			const ports = take("connect", "32768 60999", seed, { count: 20 });
			for (const [i, port] of ports.slice(1).entries()) {
				// Two ports, and up to seven draws of two; over the top of the range to its bottom.
				const step = (port - ports[i] + 28_232) % 28_232;
				expect(step % 2).toBe(0);
				expect(step).toBeGreaterThanOrEqual(2);
				expect(step).toBeLessThanOrEqual(16);
			}
		}
	});
});

describe("namespaces", () => {
	const local = (port: number): Address => ({ family: "AF_INET", address: "127.0.0.1", port });
	const remote: Address = { family: "AF_INET", address: "198.51.100.1", port: 80 };

	function two(): { kernel: Kernel; a: Task; b: Task } {
		const kernel = new Kernel();
		const [a, b] = ["a", "b"].map((name) => {
			const net = kernel.createNet({ name });
			net.addRoute({ to: "198.51.100.0/24", dev: "lo" });
			return kernel.createTask({ net });
		});
		return { kernel, a, b };
	}

	it("have each port once", () => {
		const { kernel, a, b } = two();
		for (const task of [a, b]) {
			const fd = task.tcp();
			expect(task.bind(fd, local(5000))).toBe(0);
			expect(task.listen(fd, 1)).toBe(0);
			expect(task.bind(task.tcp(), local(5000))).toBe(-EADDRINUSE);
		}
		kernel.verify();
	});

	it("do not hear each other's connections", () => {
		const { a, b } = two();
		const server = a.tcp();
		expect(a.bind(server, local(5000))).toBe(0);
		expect(a.listen(server, 1)).toBe(0);
		expect(b.connect(b.tcp(), local(5000))).toBe(-ECONNREFUSED);
		expect(a.connect(a.tcp(), local(5000))).toBe(0);
	});

	it("have their own files below /proc/sys/net", () => {
		const { a, b } = two();
		for (const [file, value] of [
			["ip_local_port_range", "40000\t40001\n"],
			["ip_local_reserved_ports", "5,7-9\n"],
			["ip_unprivileged_port_start", "80\n"],
			["ip_nonlocal_bind", "1\n"],
			["ip_autobind_reuse", "1\n"],
			["tcp_tw_reuse", "0\n"],
			["tcp_fin_timeout", "7\n"],
			["tcp_syn_retries", "3\n"],
			["tcp_max_tw_buckets", "8\n"],
		]) {
			const before = b.net.getSysctl(`net.ipv4.${file}`);
			expect(a.net.setSysctl(`net.ipv4.${file}`, value)).toBe(0);
			expect(a.net.getSysctl(`net.ipv4.${file}`)).toBe(value);
			expect(b.net.getSysctl(`net.ipv4.${file}`)).toBe(before);
		}
	});

	it("use up their ephemeral ports each for itself", () => {
		const { kernel, a, b } = two();
		for (const task of [a, b]) {
			task.net.setSysctl("net.ipv4.ip_local_port_range", "40000 40003");
			for (let i = 0; i < 4; i++)
				expect(task.connect(task.tcp(), remote, 16, true)).toBe(-EINPROGRESS);
			expect(task.connect(task.tcp(), remote, 16, true)).toBe(-EADDRNOTAVAIL);
			const other = { ...remote, port: 81 };
			for (let i = 0; i < 4; i++)
				expect(task.connect(task.tcp(), other, 16, true)).toBe(-EINPROGRESS);
		}
		kernel.verify();
	});

	it("count time-wait sockets each for itself", () => {
		const { kernel, a, b } = two();
		for (const task of [a, b]) task.net.setSysctl("net.ipv4.tcp_max_tw_buckets", "1");
		const finish = (task: Task, port: number) => {
			const server = task.tcp();
			expect(task.bind(server, local(port))).toBe(0);
			expect(task.listen(server, 1)).toBe(0);
			const client = task.tcp();
			expect(task.connect(client, local(port))).toBe(0);
			const accepted = task.accept(server);
			for (const fd of [client, accepted, server]) task.close(fd);
		};
		finish(a, 5000);
		finish(a, 5001);
		finish(b, 5000);
		expect([a.net.net.tw_count, b.net.net.tw_count]).toEqual([1, 1]);
		kernel.advance(63_000);
		expect([a.net.net.tw_count, b.net.net.tw_count]).toEqual([0, 0]);
		kernel.verify();
	});

	it("stay with a socket when its task goes to another", () => {
		const { a, b } = two();
		const old = a.tcp();
		a.net = b.net;
		const moved = a.tcp();
		expect(a.bind(old, local(5000))).toBe(0);
		expect(a.bind(moved, local(5000))).toBe(0);
		expect(b.bind(b.tcp(), local(5000))).toBe(-EADDRINUSE);
	});

	it("that are new have lo down and no address", () => {
		const { a } = two();
		a.unshareNet();
		const fd = a.tcp();
		// Without a single address there is no local table, and every address counts as broadcast.
		expect(a.bind(fd, local(5000))).toBe(0);
		expect(a.connect(fd, local(5000))).toBe(-ENETUNREACH);
		expect(a.net.setLink("lo", true)).toBe(0);
		const later = a.tcp();
		const other: Address = { family: "AF_INET", address: "192.0.2.1", port: 5001 };
		expect(a.bind(later, other)).toBe(-EADDRNOTAVAIL);
		expect(a.bind(later, local(5001))).toBe(0);
	});

	it("with VRFs have each port once in every one of them", () => {
		const kernel = new Kernel();
		const net = kernel.createNet();
		for (const [vrf, device, table, address] of [
			["red", "dummy0", 10, "192.0.2.1/24"],
			["blue", "dummy1", 20, "192.0.2.2/24"],
		] as const) {
			expect(net.addLink(vrf, table)).toBe(0);
			expect(net.addLink(device)).toBe(0);
			expect(net.setMaster(device, vrf)).toBe(0);
			for (const name of [vrf, device]) expect(net.setLink(name, true)).toBe(0);
			expect(net.addAddress(address, device)).toBe(0);
		}
		const task = kernel.createTask({ net });
		const bind = (device: string, address: string) => {
			const fd = task.tcp();
			const name = Uint8Array.from(Buffer.from(device));
			if (device !== "") expect(task.setsockopt(fd, SOL_SOCKET, SO_BINDTODEVICE, name)).toBe(0);
			return task.bind(fd, { family: "AF_INET", address, port: 5000 });
		};
		expect(bind("red", "0.0.0.0")).toBe(0);
		expect(bind("red", "0.0.0.0")).toBe(-EADDRINUSE);
		expect(bind("blue", "0.0.0.0")).toBe(0);
		expect(bind("", "127.0.0.1")).toBe(0);
		// An address is local only in the VRF that it is in.
		expect(bind("red", "192.0.2.2")).toBe(-EADDRNOTAVAIL);
		expect(bind("", "192.0.2.1")).toBe(-EADDRNOTAVAIL);
		expect(bind("red", "192.0.2.1")).toBe(-EADDRINUSE);
		kernel.verify();
	});
});
