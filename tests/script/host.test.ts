// SPDX-License-Identifier: GPL-2.0-or-later
import { describe, expect, test } from "vitest";
import { Kernel } from "../../kernel-model/machine/kernel.js";
import { HostError, readHost } from "../../kernel-model/script/host.js";
import { runSetup } from "../../kernel-model/script/setup.js";

// Output of iproute2 6.1 in a new namespace.
const ADDR =
	'[{"ifindex":1,"ifname":"lo","flags":["LOOPBACK","UP","LOWER_UP"],"mtu":65536,"address":"00:00:00:00:00:00","addr_info":[{"family":"inet","local":"127.0.0.1","prefixlen":8,"scope":"host","label":"lo"},{"family":"inet","local":"192.0.2.1","prefixlen":24,"scope":"global","label":"lo"},{"family":"inet6","local":"2001:db8::1","prefixlen":128,"scope":"global"},{"family":"inet6","local":"::1","prefixlen":128,"scope":"host"}]}]';
const ROUTE =
	'[{"dst":"198.51.100.0/24","gateway":"192.0.2.9","dev":"lo","flags":[]},{"type":"blackhole","dst":"203.0.113.0/24","flags":[]},{"dst":"2001:db8::1","dev":"lo","protocol":"kernel","metric":256,"flags":[],"pref":"medium"}]';

describe("the description of a host", () => {
	test("is read from the addresses and routes of ip -j", () => {
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

	test("is read from the sysctls of sysctl -a that are modelled", () => {
		const text =
			"kernel.hostname = x\nnet.ipv4.ip_local_port_range = 40000\t40999\nnet.ipv4.tcp_sack = 1\n";
		expect(readHost(text).commands).toEqual([
			["sysctl", "net.ipv4.ip_local_port_range=40000\t40999"],
		]);
	});

	test("is read from the sockets of ss -tuanp", () => {
		const text = `Netid State Recv-Q Send-Q Local Address:Port Peer Address:PortProcess
udp   UNCONN    0      0      127.0.0.53%lo:53     0.0.0.0:*    users:(("dns",pid=7,fd=12))
tcp   LISTEN    0      5            [::1]:8080       [::]:*
tcp   ESTAB     0      0        127.0.0.1:8080  127.0.0.1:40000 users:(("a",pid=9,fd=4))
tcp   LISTEN    0      5                *:80            *:*
`;
		const none = { device: null, backlog: 0, peer: null, users: [], uid: null, timer: null };
		expect(readHost(text).sockets).toEqual([
			{
				...none,
				line: 2,
				protocol: "udp",
				state: "UNCONN",
				address: "127.0.0.53",
				port: 53,
				device: "lo",
				users: [{ pid: 7, fd: 12 }],
			},
			{
				...none,
				line: 3,
				protocol: "tcp",
				state: "LISTEN",
				address: "::1",
				port: 8080,
				backlog: 5,
			},
			{
				...none,
				line: 4,
				protocol: "tcp",
				state: "ESTAB",
				address: "127.0.0.1",
				port: 8080,
				peer: { address: "127.0.0.1", port: 40000 },
				users: [{ pid: 9, fd: 4 }],
			},
			{ ...none, line: 5, protocol: "tcp", state: "LISTEN", address: "*", port: 80, backlog: 5 },
		]);
	});

	test("has the users, processes and timers that ss -e, -o and -p show", () => {
		const text = `tcp   LISTEN    0  8  0.0.0.0%lo:8090  0.0.0.0:*  users:(("a",pid=49,fd=18),("a",pid=8,fd=19)) uid:33 ino:3172980 sk:1454 cgroup:/ <->
tcp   LISTEN    0  8  [::]:444  [::]:*  ino:3172966 sk:1463 cgroup:/ v6only:1 <->
\t skmem:(r0,rb131072,t0)
tcp   TIME-WAIT 0  0  127.0.0.1:36514  127.0.0.1:8080  timer:(timewait,1min12sec,0) ino:0 sk:145e
tcp   FIN-WAIT-2 0 0  127.0.0.1:36518  127.0.0.1:8080  timer:(timewait,440ms,0) ino:0 sk:145f
`;
		const { sockets } = readHost(text);
		expect(sockets.map(({ line }) => line)).toEqual([1, 2, 4, 5]);
		expect(sockets.map(({ uid }) => uid)).toEqual([33, 0, 0, 0]);
		expect(sockets.map(({ timer }) => timer)).toEqual([null, null, 72_000, 440]);
		const [{ users, device }] = sockets;
		expect(users).toEqual([
			{ pid: 49, fd: 18 },
			{ pid: 8, fd: 19 },
		]);
		expect(device).toBe("lo");
	});

	test("may come from ss for one protocol, which follows from the states of the sockets", () => {
		const header = "State Recv-Q Send-Q Local Address:Port Peer Address:PortProcess\n";
		expect(readHost(`${header}UNCONN 0 0 127.0.0.1:53 0.0.0.0:*\n`).sockets[0].protocol).toBe(
			"udp",
		);
		expect(readHost(`${header}LISTEN 0 0 127.0.0.1:53 0.0.0.0:*\n`).sockets[0].protocol).toBe(
			"tcp",
		);
		expect(() => readHost(`${header}ESTAB 0 0 127.0.0.1:53 127.0.0.1:9\n`)).toThrow(HostError);
	});

	test("needs ports as numbers", () => {
		expect(() => readHost("udp UNCONN 0 0 127.0.0.1:domain 0.0.0.0:*\n")).toThrow("ss -n");
	});

	test("counts sockets of other protocols that have ports, and passes over the rest", () => {
		const text = `Netid State Recv-Q Send-Q Local Address:Port Peer Address:PortProcess
nl    UNCONN 0 0 0:0 *
sctp  LISTEN 0 0 127.0.0.1:9 0.0.0.0:*
`;
		expect(readHost(text)).toEqual({ commands: [], sockets: [], left: ["1 of protocol sctp"] });
	});

	test("has the VRFs that ip -d -j addr shows, and their devices", () => {
		const text =
			'[{"ifname":"eth0","flags":[],"master":"red","addr_info":[]},{"ifname":"red","flags":["UP"],"linkinfo":{"info_kind":"vrf","info_data":{"table":10}},"addr_info":[]}]';
		expect(readHost(text).commands).toEqual([
			["ip", "link", "add", "name", "eth0", "type", "dummy"],
			["ip", "link", "set", "dev", "eth0", "addrgenmode", "none"],
			["ip", "link", "set", "dev", "eth0", "down"],
			["ip", "link", "add", "name", "red", "type", "vrf", "table", "10"],
			["ip", "link", "set", "dev", "red", "addrgenmode", "none"],
			["ip", "link", "set", "dev", "red", "up"],
			["ip", "link", "set", "dev", "eth0", "master", "red"],
		]);
	});

	test("is not read from a file of another kind", () => {
		expect(() => readHost("hello\n")).toThrow(HostError);
		expect(() => readHost("[nothing")).toThrow(HostError);
	});
});
