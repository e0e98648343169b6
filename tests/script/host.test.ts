// SPDX-License-Identifier: GPL-2.0-or-later
import { describe, expect, test } from "vitest";
import { Kernel } from "../../kernel-model/machine/kernel.js";
import { HostError, readHost } from "../../kernel-model/script/host.js";
import { runSetup } from "../../kernel-model/script/setup.js";

// As iproute2 6.1 prints them in a namespace of its own.
const ADDR =
	'[{"ifindex":1,"ifname":"lo","flags":["LOOPBACK","UP","LOWER_UP"],"mtu":65536,"address":"00:00:00:00:00:00","addr_info":[{"family":"inet","local":"127.0.0.1","prefixlen":8,"scope":"host","label":"lo"},{"family":"inet","local":"192.0.2.1","prefixlen":24,"scope":"global","label":"lo"},{"family":"inet6","local":"2001:db8::1","prefixlen":128,"scope":"global"},{"family":"inet6","local":"::1","prefixlen":128,"scope":"host"}]}]';
const ROUTE =
	'[{"dst":"198.51.100.0/24","gateway":"192.0.2.9","dev":"lo","flags":[]},{"type":"blackhole","dst":"203.0.113.0/24","flags":[]},{"dst":"2001:db8::1","dev":"lo","protocol":"kernel","metric":256,"flags":[],"pref":"medium"}]';

describe("the host", () => {
	test("has the addresses and routes that ip -j shows", () => {
		const kernel = new Kernel();
		const net = kernel.createNet();
		for (const { commands } of [readHost(ADDR), readHost(ROUTE)]) {
			for (const words of commands) runSetup(kernel, net, words);
		}
		const task = kernel.createTask({ net });
		const bind = (family: "AF_INET" | "AF_INET6", address: string) =>
			task.bind(task.socket(family === "AF_INET" ? 2 : 10, 1, 0), { family, address, port: 0 });
		expect(bind("AF_INET", "192.0.2.1")).toBe(0);
		expect(bind("AF_INET6", "2001:db8::1")).toBe(0);
		expect(bind("AF_INET", "198.18.0.1")).toBe(-99);
		const connect = (address: string) =>
			task.connect(task.socket(2, 2, 0), { family: "AF_INET", address, port: 9 });
		expect(connect("198.51.100.7")).toBe(0);
		expect(connect("203.0.113.7")).toBe(-22);
		expect(connect("198.18.0.1")).toBe(-101);
	});

	test("has the settings that sysctl -a shows, those that are modelled", () => {
		const text =
			"kernel.hostname = x\nnet.ipv4.ip_local_port_range = 40000\t40999\nnet.ipv4.tcp_sack = 1\n";
		expect(readHost(text).commands).toEqual([
			["sysctl", "net.ipv4.ip_local_port_range=40000\t40999"],
		]);
	});

	test("has the sockets that ss -tuanp shows", () => {
		const text = `Netid State Recv-Q Send-Q Local Address:Port Peer Address:PortProcess
udp   UNCONN    0      0      127.0.0.53%lo:53     0.0.0.0:*    users:(("dns",pid=7,fd=12))
tcp   LISTEN    0      5            [::1]:8080       [::]:*
tcp   ESTAB     0      0        127.0.0.1:8080  127.0.0.1:40000 users:(("a",pid=9,fd=4))
tcp   LISTEN    0      5                *:80            *:*
`;
		const none = { device: null, peer: null, pid: null, fd: null };
		expect(readHost(text).sockets).toEqual([
			{
				...none,
				protocol: "udp",
				state: "UNCONN",
				address: "127.0.0.53",
				port: 53,
				device: "lo",
				pid: 7,
				fd: 12,
			},
			{ ...none, protocol: "tcp", state: "LISTEN", address: "::1", port: 8080 },
			{
				...none,
				protocol: "tcp",
				state: "ESTAB",
				address: "127.0.0.1",
				port: 8080,
				peer: { address: "127.0.0.1", port: 40000 },
				pid: 9,
				fd: 4,
			},
			{ ...none, protocol: "tcp", state: "LISTEN", address: "*", port: 80 },
		]);
	});

	test("is not told by another file", () => {
		expect(() => readHost("hello\n")).toThrow(HostError);
		expect(() => readHost("[nothing")).toThrow(HostError);
	});
});
