// SPDX-License-Identifier: GPL-2.0-or-later
import { describe, expect, test } from "vitest";
import { type HostFile, placeHost } from "../../kernel-model/check/before.js";
import { compareVersions } from "../../kernel-model/check/matrix.js";
import { playScript, readScript } from "../../kernel-model/check/player.js";
import { describeSock } from "../../kernel-model/machine/explain.js";
import { Kernel } from "../../kernel-model/machine/kernel.js";
import { readHost } from "../../kernel-model/script/host.js";
import { in4 } from "../text.js";

// Output of ss of iproute2 6.1 in a new namespace, with narrower columns.
const SS = `Netid State Recv-Q Send-Q Local Address:Port Peer Address:Port Process
udp UNCONN 0 0 127.0.0.1:53 0.0.0.0:* users:(("a",pid=50,fd=9),("a",pid=8,fd=9)) ino:1
udp ESTAB 0 0 127.0.0.1:37085 127.0.0.1:53 users:(("a",pid=8,fd=12)) ino:2
tcp LISTEN 0 8 127.0.0.1:8080 0.0.0.0:* users:(("a",pid=8,fd=3)) uid:33 ino:3
tcp LISTEN 0 8 192.0.2.10:8081 0.0.0.0:* users:(("a",pid=8,fd=7)) ino:4
tcp LISTEN 0 8 192.0.2.10:8081 0.0.0.0:* users:(("a",pid=8,fd=8)) ino:5
tcp CLOSE-WAIT 1 0 127.0.0.1:8080 127.0.0.1:36518 users:(("a",pid=8,fd=16)) ino:6
tcp FIN-WAIT-2 0 0 127.0.0.1:36518 127.0.0.1:8080 timer:(timewait,59sec,0) ino:0
tcp TIME-WAIT 0 0 127.0.0.1:36514 127.0.0.1:8080 timer:(timewait,20sec,0) ino:0
tcp ESTAB 0 0 192.0.2.10:41000 198.51.100.7:443 users:(("a",pid=8,fd=20)) ino:7
tcp ESTAB 0 0 127.0.0.1:8080 198.51.100.7:5000 users:(("a",pid=8,fd=21)) ino:8
tcp ESTAB 0 0 127.0.0.1:8080 127.0.0.1:36530 users:(("a",pid=8,fd=22)) ino:9
tcp LISTEN 0 8 *:443 *:* users:(("a",pid=8,fd=5)) ino:10 v6only:0
tcp ESTAB 0 0 [::ffff:127.0.0.1]:36530 [::ffff:127.0.0.1]:8080 users:(("a",pid=8,fd=19)) ino:11
`;
const file = (text: string, name = "ss.txt"): HostFile => ({ file: name, ...readHost(text) });

function placed() {
	const kernel = new Kernel({ version: "6.18.44" });
	const net = kernel.createNet();
	const found = placeHost(kernel, net, [file(SS)], 0);
	kernel.verify();
	const held = (pid: number, fd: number) => {
		const task = found.tasks.get(pid);
		const sock = task?.socketOf(fd) ?? -1;
		return sock < 0 ? "none" : describeSock(kernel, kernel.socket.sk[sock]).replace(/^[^(]*/, "");
	};
	return { kernel, net, found, held };
}

describe("the state of the host before", () => {
	test("is made, with each socket in its state and in its processes", () => {
		const { found, held } = placed();
		expect(found.left).toEqual([]);
		expect(found.sockets).toBe(13);
		expect(held(50, 9)).toBe("(127.0.0.1:53 CLOSE)");
		expect(held(8, 9)).toBe("(127.0.0.1:53 CLOSE)");
		expect(held(8, 12)).toBe("(127.0.0.1:37085 -> 127.0.0.1:53 ESTABLISHED)");
		expect(held(8, 7)).toBe("(192.0.2.10:8081 LISTEN, SO_REUSEPORT)");
		expect(held(8, 16)).toBe("(127.0.0.1:8080 -> 127.0.0.1:36518 CLOSE_WAIT)");
		expect(held(8, 20)).toBe("(192.0.2.10:41000 -> 198.51.100.7:443 ESTABLISHED)");
		expect(held(8, 21)).toBe("(127.0.0.1:8080 -> 198.51.100.7:5000 ESTABLISHED)");
		expect(held(8, 22)).toBe("(127.0.0.1:8080 -> 127.0.0.1:36530 ESTABLISHED)");
		expect(held(8, 19)).toMatch(/127\.0\.0\.1\]?:36530 -> .*127\.0\.0\.1\]?:8080 ESTABLISHED/);
	});

	test("leaves its puppets no port", () => {
		const { kernel, net } = placed();
		const task = kernel.createTask({ net, uid: 0 });
		const bind = (port: number) =>
			task.bind(task.tcp(), { family: "AF_INET", address: "127.0.0.1", port });
		expect([8080, 36514, 36530, 5000, 41000].map(bind)).toEqual([-98, -98, -98, 0, 0]);
		const other = task.bind(task.tcp(), { family: "AF_INET", address: "198.51.100.7", port: 443 });
		expect(other).toBe(-99);
	});

	test("ends a TIME_WAIT when ss -o says", () => {
		const { kernel, net } = placed();
		const task = kernel.createTask({ net, uid: 0 });
		const bind = () =>
			task.bind(task.tcp(), { family: "AF_INET", address: "127.0.0.1", port: 36514 });
		kernel.advance(19_000);
		expect(bind()).toBe(-98);
		kernel.advance(1_500);
		expect(bind()).toBe(0);
	});

	test("is reported if it cannot be made", () => {
		const kernel = new Kernel();
		const bad = "tcp LISTEN 0 8 127.0.0.1:80 0.0.0.0:*\n".repeat(2).replace("80 ", "80 ");
		const routes = '[{"dst":"203.0.113.0/24","gateway":"198.18.0.1","dev":"lo","flags":[]}]';
		const { left } = placeHost(kernel, kernel.createNet(), [file(bad), file(routes, "r.json")], 0);
		expect(left).toEqual([expect.stringMatching(/^r\.json: ip -4 route append 203\.0\.113\.0/)]);
	});
});

const recording = (lines: string) => readScript(lines, "r.strace");
const verdicts = (lines: string, host: HostFile[]) =>
	playScript(recording(lines), { version: "6.18.44", host }).map(({ verdict, reason }) => ({
		verdict,
		reason,
	}));
const BIND = (port: number, result: string) => `8 socket(AF_INET, SOCK_STREAM, IPPROTO_IP) = 30
8 bind(30, ${in4(port)}, 16) = ${result}
`;

describe("a recording with --host files", () => {
	test("has the sockets of the host", () => {
		const [, bind] = verdicts(BIND(8080, "-1 EADDRINUSE (Address already in use)"), [file(SS)]);
		expect(bind).toEqual({ verdict: "match", reason: null });
	});

	test("is undecided if a socket of the host may be closed, or have an option", () => {
		const [, bind] = verdicts(BIND(8080, "0"), [file(SS)]);
		expect(bind.verdict).toBe("undecided");
		expect(bind.reason).toMatch(/^it depends on the socket of ss\.txt:[0-9]+,/);
	});

	test("is not alone: another socket may still hold a port", () => {
		const [, bind] = verdicts(BIND(7777, "-1 EADDRINUSE (Address already in use)"), [file(SS)]);
		expect(bind.verdict).toBe("undecided");
	});

	test("has the descriptors that its processes had", () => {
		const [name] = verdicts(
			'8 getsockname(7, {sa_family=AF_INET, sin_port=htons(8081), sin_addr=inet_addr("192.0.2.10")}, [16]) = 0\n',
			[file(SS)],
		);
		expect(name).toEqual({ verdict: "match", reason: null });
	});

	test("takes its range from sysctl -a", () => {
		const lines = `8 socket(AF_INET, SOCK_STREAM, IPPROTO_IP) = 30
8 bind(30, {sa_family=AF_INET, sin_port=htons(0), sin_addr=inet_addr("127.0.0.1")}, 16) = 0
8 getsockname(30, {sa_family=AF_INET, sin_port=htons(20001), sin_addr=inet_addr("127.0.0.1")}, [16]) = 0
`;
		const host = [file("net.ipv4.ip_local_port_range = 20000\t20009\n", "sysctl.txt")];
		expect(verdicts(lines, host).map(({ verdict }) => verdict)).toEqual([
			"match",
			"match",
			"match",
		]);
		expect(verdicts(lines, [])[1].verdict).toBe("mismatch");
	});

	test("runs its own commands afterwards, which may repeat the state", () => {
		const host = [
			file(
				'[{"ifname":"lo","flags":["UP"],"addr_info":[{"family":"inet","local":"192.0.2.1","prefixlen":32,"scope":"global"}]}]',
				"a",
			),
		];
		const script = recording(
			"$ ip addr add 192.0.2.1/32 dev lo\nsocket(AF_INET, SOCK_STREAM, 0)\n",
		);
		expect(playScript(script, { host })).toHaveLength(2);
		expect(() =>
			playScript(recording("$ ip addr add 192.0.2.1/32 dev x\nsocket(2, 1, 0)\n"), { host }),
		).toThrow();
	});

	test("is compared on every version with the state of the host, for the given user", () => {
		const script = recording(
			'socket(AF_INET, SOCK_STREAM, 0) = 3\nbind(3, {sa_family=AF_INET, sin_port=htons(80), sin_addr=inet_addr("0.0.0.0")}, 16)\n',
		);
		expect(compareVersions(script, () => {}, { uid: 1000, host: [file(SS)] })).toEqual([]);
	});
});
