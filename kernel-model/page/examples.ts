// SPDX-License-Identifier: GPL-2.0-or-later
/** Examples to begin with. */

/** A script to choose from a list. */
export interface Example {
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

const EXAMPLES: readonly (Omit<Example, "text"> & { lines: readonly string[] })[] = [
	{
		id: "exhausted",
		group: "First",
		title: "A connect() that fails: the range is used up",
		version: NEWEST,
		lines: [
			"# Eight ports, two of them reserved. Six clients of one server have the rest.",
			"# Nothing is left for the seventh, although it could reach another server.",
			range(40000, 40007),
			"$ sysctl -w net.ipv4.ip_local_reserved_ports=40002,40005",
			...SERVER,
			...fill(6, 4, (fd) => [socket(), connect(fd, "127.0.0.1", 80)]),
			socket(),
			connect(10, "127.0.0.1", 80),
			"# Another destination is another four-tuple:",
			connect(10, "127.0.0.2", 80),
		],
	},
];

export function examples(): Example[] {
	return EXAMPLES.map(({ lines, ...rest }) => ({ ...rest, text: `${lines.join("\n")}\n` }));
}

void [reuseaddr, reuseport, noPort];
