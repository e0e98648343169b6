// SPDX-License-Identifier: GPL-2.0-or-later
/** Examples to begin with. */

/** A script to choose from a list. */
interface Example {
	id: string;
	/** The heading of its group in the list. */
	group: string;
	title: string;
	text: string;
	version: string;
	/** A second version for which lines differ. */
	beside?: string;
}

const NEWEST = "7.3";

const at = (address: string, port: number | string) =>
	`{sa_family=AF_INET, sin_port=htons(${port}), sin_addr=inet_addr("${address}")}, 16`;
const socket = (type = "SOCK_STREAM") => `socket(AF_INET, ${type}, IPPROTO_IP)`;
const bind = (fd: number, address: string, port: number) => `bind(${fd}, ${at(address, port)})`;
const bind6 = (fd: number, address: string, port: number) =>
	`bind(${fd}, {sa_family=AF_INET6, sin6_port=htons(${port}), inet_pton(AF_INET6, "${address}", &sin6_addr)}, 28)`;
const connect = (fd: number, address: string, port: number) =>
	`connect(${fd}, ${at(address, port)})`;
const on = (fd: number, level: string, option: string, value: string | number = 1) =>
	`setsockopt(${fd}, ${level}, ${option}, [${value}], 4)`;
const reuseaddr = (fd: number) => on(fd, "SOL_SOCKET", "SO_REUSEADDR");
const reuseport = (fd: number) => on(fd, "SOL_SOCKET", "SO_REUSEPORT");
const noPort = (fd: number) => on(fd, "SOL_IP", "IP_BIND_ADDRESS_NO_PORT");
const range = (low: number, high: number) =>
	`$ sysctl -w net.ipv4.ip_local_port_range="${low} ${high}"`;

/** A server on every address of lo, descriptor 3. */
const SERVER = [socket(), bind(3, "0.0.0.0", 80), "listen(3, 128)"];

function fill(count: number, first: number, lines: (fd: number, i: number) => string[]): string[] {
	return Array.from({ length: count }, (_, i) => lines(first + i, i)).flat();
}

/** An Ethernet-like address of the host, and a route to hosts that accept every connection. */
const HOST = ["$ ip addr add 192.0.2.10/32 dev lo", "$ ip route add default dev lo answer accept"];

interface Written extends Omit<Example, "text"> {
	lines: readonly string[];
}

/** The range is used up, and two ways to see it. */
const FIRST: readonly Written[] = [
	{
		id: "exhausted",
		group: "Why does it fail?",
		title: "A connect() that fails: the range is used up",
		version: NEWEST,
		lines: [
			"# Twelve ports, two of them reserved. Ten clients of one server have the rest.",
			"# No port is left for the eleventh.",
			range(40000, 40011),
			"$ sysctl -w net.ipv4.ip_local_reserved_ports=40002,40005",
			...SERVER,
			...fill(10, 4, (fd) => [socket(), connect(fd, "127.0.0.1", 80)]),
			socket(),
			connect(14, "127.0.0.1", 80),
			"# Another destination is another four-tuple, so it shares a port:",
			connect(14, "127.0.0.2", 80),
		],
	},
	{
		id: "time-wait",
		group: "Why does it fail?",
		title: "TIME_WAIT: a closed connection keeps its port",
		version: NEWEST,
		lines: [
			"# One port. The client closes first, so its end stays in TIME_WAIT.",
			range(40000, 40000),
			...SERVER,
			socket(),
			connect(4, "127.0.0.1", 80),
			"accept(3, NULL, NULL)",
			"close(4)",
			"close(5)",
			"# At once the four-tuple is still held:",
			socket(),
			connect(4, "127.0.0.1", 80),
			"# tcp_tw_reuse lets a later connection over loopback take it:",
			"$ sleep 1.1",
			connect(4, "127.0.0.1", 80),
		],
	},
	{
		id: "default-range",
		group: "Why does it fail?",
		title: "The default range: 28,232 ports, some reserved",
		version: NEWEST,
		lines: [
			"# connect() takes even ports first. bind() to port 0 takes odd ones.",
			"$ sysctl -w net.ipv4.ip_local_reserved_ports=36000-39999,50000,50002",
			...SERVER,
			...fill(24, 4, (fd, i) => [
				socket(),
				i % 3 === 2 ? bind(fd, "127.0.0.1", 0) : connect(fd, "127.0.0.1", 80),
			]),
		],
	},
	{
		id: "impossible",
		group: "Why does it fail?",
		title: "A recorded result that no kernel can give",
		version: "6.3",
		lines: [
			"# The recording says that connect() chose 40001. But 40000 comes first.",
			"$ ip addr add 192.0.2.10/32 dev lo",
			"$ ip route add default dev lo",
			"$ sysctl -w net.ipv4.ip_local_reserved_ports=40002",
			`${socket("SOCK_STREAM|SOCK_NONBLOCK")} = 3`,
			`${on(3, "SOL_IP", "IP_LOCAL_PORT_RANGE", "40003<<16|40000")} = 0`,
			`${noPort(3)} = 0`,
			`${bind(3, "192.0.2.10", 0)} = 0`,
			`${connect(3, "198.51.100.1", 53)} = -1 EINPROGRESS (Operation now in progress)`,
			'getsockname(3, {sa_family=AF_INET, sin_port=htons(40001), sin_addr=inet_addr("192.0.2.10")}, [128 => 16]) = 0',
		],
	},
];

/** How two programs share a range: what the option IP_LOCAL_PORT_RANGE was made for. */
const THREE_WAYS: readonly Written[] = [
	{
		id: "by-hand",
		group: "Three ways to share a range",
		title: "1. By hand: the program picks the ports",
		version: NEWEST,
		lines: [
			"# Two programs share 192.0.2.10. Each picks ports itself, and they collide.",
			...HOST,
			socket(),
			bind(3, "192.0.2.10", 40000),
			connect(3, "198.51.100.1", 443),
			"# The other program begins at the same port:",
			socket(),
			bind(4, "192.0.2.10", 40000),
			bind(4, "192.0.2.10", 40001),
			connect(4, "198.51.100.2", 443),
			"# A bound port is not shared, even if the destination is another one:",
			socket(),
			bind(5, "192.0.2.10", 40001),
		],
	},
	{
		id: "namespace-range",
		group: "Three ways to share a range",
		title: "2. By the namespace's range: everybody has the same",
		version: NEWEST,
		lines: [
			"# The sysctl is for all programs. One that uses up the range stops the others.",
			...HOST,
			range(40000, 40003),
			...fill(4, 3, (fd) => [socket(), connect(fd, "198.51.100.1", 443)]),
			"# Another program, same destination:",
			socket(),
			connect(7, "198.51.100.1", 443),
		],
	},
	{
		id: "socket-range",
		group: "Three ways to share a range",
		title: "3. By the socket: IP_LOCAL_PORT_RANGE",
		version: NEWEST,
		lines: [
			"# Each program has its part of the range, and shares ports within it.",
			...HOST,
			...fill(3, 3, (fd) => [
				socket(),
				on(fd, "SOL_IP", "IP_LOCAL_PORT_RANGE", "40001<<16|40000"),
				noPort(fd),
				bind(fd, "192.0.2.10", 0),
				connect(fd, "198.51.100.1", 443),
			]),
			"# The part of the other program is free:",
			socket(),
			on(6, "SOL_IP", "IP_LOCAL_PORT_RANGE", "40003<<16|40002"),
			noPort(6),
			bind(6, "192.0.2.10", 0),
			connect(6, "198.51.100.1", 443),
		],
	},
];

const RULES: readonly Written[] = [
	{
		id: "parity",
		group: "Rules",
		title: "Parity: connect() prefers even ports, bind() odd ones",
		version: NEWEST,
		lines: [
			range(40000, 40007),
			...SERVER,
			...fill(3, 4, (fd) => [socket(), bind(fd, "127.0.0.1", 0)]),
			...fill(4, 7, (fd) => [socket(), connect(fd, "127.0.0.1", 80)]),
			"# The even ports are used up. The second pass tries the odd ones:",
			socket(),
			connect(11, "127.0.0.1", 80),
		],
	},
	{
		id: "reuseport-group",
		group: "Rules",
		title: "A group of SO_REUSEPORT listeners",
		version: NEWEST,
		lines: [
			...fill(3, 3, (fd) => [
				socket(),
				reuseport(fd),
				bind(fd, "0.0.0.0", 8080),
				`listen(${fd}, 16)`,
			]),
			"# Without the option nobody joins:",
			socket(),
			bind(6, "0.0.0.0", 8080),
			"# SO_REUSEADDR does not share with a listener:",
			reuseaddr(6),
			bind(6, "0.0.0.0", 8080),
		],
	},
	{
		id: "backport",
		group: "Rules",
		title: "A port stays bound after its bind() is gone: 6.12 and 6.18",
		version: "6.18",
		beside: "6.12",
		lines: [
			"# A socket binds to a port that connections use, and is closed again.",
			range(50200, 50200),
			socket(),
			bind(3, "127.0.0.1", 80),
			"listen(3, 8)",
			socket(),
			bind(4, "127.0.0.1", 81),
			"listen(4, 8)",
			socket(),
			connect(5, "127.0.0.1", 80),
			socket(),
			bind(6, "127.0.0.2", 50200),
			"close(6)",
			"# Before 6.18 the bucket does not forget it:",
			socket(),
			connect(6, "127.0.0.1", 81),
		],
	},
	{
		id: "law",
		group: "Rules",
		title: "A broken law: into a port that another socket holds alone",
		version: NEWEST,
		lines: [
			"# An IPv4 socket has a port alone. After a third socket came in between, a",
			"# dual-stack socket gets into the port. Without the third it does not.",
			"socket(AF_INET, SOCK_STREAM, IPPROTO_TCP)",
			bind(3, "0.0.0.0", 5000),
			"socket(AF_INET6, SOCK_STREAM, IPPROTO_TCP)",
			"setsockopt(4, SOL_IPV6, IPV6_V6ONLY, [1], 4)",
			reuseport(4),
			bind6(4, "::", 5000),
			"socket(AF_INET6, SOCK_STREAM, IPPROTO_TCP)",
			reuseport(5),
			"# Should fail with EADDRINUSE:",
			bind6(5, "::", 5000),
		],
	},
];

/** Riddles: may a second socket have the port? The range has one port only. */
const RIDDLES: readonly Written[] = [
	{
		id: "riddle-connect",
		group: "Riddles: may two sockets have one local port?",
		title: "1. connect(), connect()",
		version: NEWEST,
		lines: [
			"# The only port of the range is 40000. Two sockets connect. May both have it?",
			range(40000, 40000),
			...SERVER,
			socket(),
			connect(4, "127.0.0.1", 80),
			"# To another address: yes, the four-tuple is another one.",
			socket(),
			connect(5, "127.0.0.2", 80),
			"# To the same address: no.",
			socket(),
			connect(6, "127.0.0.1", 80),
		],
	},
	{
		id: "riddle-bind-first",
		group: "Riddles: may two sockets have one local port?",
		title: "2. bind() and connect(), then connect()",
		version: NEWEST,
		lines: [
			"# The first socket asks for its port by bind(). May the second connect()",
			"# to another address share it?",
			range(40000, 40000),
			...SERVER,
			socket(),
			bind(4, "127.0.0.1", 0),
			connect(4, "127.0.0.1", 80),
			"# No: the bucket belongs to a bind(). connect() does not look further.",
			socket(),
			connect(5, "127.0.0.2", 80),
		],
	},
	{
		id: "riddle-no-port",
		group: "Riddles: may two sockets have one local port?",
		title: "3. The same with IP_BIND_ADDRESS_NO_PORT",
		version: NEWEST,
		lines: [
			"# bind() sets the address only. connect() chooses the port.",
			range(40000, 40000),
			...SERVER,
			socket(),
			noPort(4),
			bind(4, "127.0.0.1", 0),
			connect(4, "127.0.0.1", 80),
			"# Yes: now the bucket belongs to connections alone.",
			socket(),
			connect(5, "127.0.0.2", 80),
		],
	},
	{
		id: "riddle-connect-first",
		group: "Riddles: may two sockets have one local port?",
		title: "4. connect(), then bind() to its port",
		version: NEWEST,
		lines: [
			"# A connection has the port. May another socket bind to it by its number?",
			range(40000, 40000),
			...SERVER,
			socket(),
			connect(4, "127.0.0.1", 80),
			socket(),
			bind(5, "127.0.0.1", 40000),
			"# SO_REUSEADDR on one of them is not enough:",
			reuseaddr(5),
			bind(5, "127.0.0.1", 40000),
			"# On both it is:",
			reuseaddr(4),
			bind(5, "127.0.0.1", 40000),
			"# And now the port belongs to a bind(). No connect() gets it:",
			socket(),
			connect(6, "127.0.0.3", 80),
		],
	},
	{
		id: "riddle-late",
		group: "Riddles: may two sockets have one local port?",
		title: "5. SO_REUSEADDR after bind()",
		version: NEWEST,
		lines: [
			"# The first socket sets the option only after it is bound. Does it count?",
			socket(),
			bind(3, "127.0.0.1", 40000),
			reuseaddr(3),
			socket(),
			reuseaddr(4),
			"# The bucket has fastreuse 0. But its owners are asked again, and both have it:",
			bind(4, "127.0.0.1", 40000),
			"# A listener takes it back:",
			"listen(3, 8)",
			socket(),
			reuseaddr(5),
			bind(5, "127.0.0.1", 40000),
		],
	},
];

/** All examples, in the order of the list. */
export function examples(): Example[] {
	const all = [...FIRST, ...THREE_WAYS, ...RULES, ...RIDDLES];
	return all.map(({ lines, ...rest }) => ({ ...rest, text: `${lines.join("\n")}\n` }));
}
