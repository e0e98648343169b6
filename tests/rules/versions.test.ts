// SPDX-License-Identifier: GPL-2.0-or-later
/**
 * Behaviour changes between kernels: for each the smallest program that shows it, the last version
 * with the old result and the first version with the new one.
 */
import { describe, expect, it } from "vitest";
import { MSG_FASTOPEN, MSG_MORE, SOL_TCP } from "../../include/linux/socket.js";
import {
	type Address,
	AF_INET,
	AF_INET6,
	CHANGES,
	EADDRINUSE,
	EADDRNOTAVAIL,
	EAGAIN,
	EBUSY,
	ECONNREFUSED,
	ECONNRESET,
	EINPROGRESS,
	EINVAL,
	EISCONN,
	ENOENT,
	ENOPROTOOPT,
	ENOTCONN,
	EOPNOTSUPP,
	EPIPE,
	EPROTONOSUPPORT,
	ERESTARTSYS,
	ESOCKTNOSUPPORT,
	IP_FREEBIND,
	IP_LOCAL_PORT_RANGE,
	IPPROTO_MPTCP,
	IPPROTO_SCTP,
	type Kernel,
	type NetNamespace,
	SO_ACCEPTCONN,
	SO_ERROR,
	SO_KEEPALIVE,
	SO_LINGER,
	SO_REUSEADDR,
	SO_REUSEPORT,
	SOCK_DCCP,
	SOCK_DGRAM,
	SOCK_STREAM,
	SOL_IP,
	SOL_SOCKET,
	type Task,
	VERSIONS,
} from "../../kernel-model/index.js";
import { versionFor } from "../../kernel-model/machine/versions.js";
import { World } from "../world.js";

const at = (address: string, port: number): Address => ({
	family: address.includes(":") ? "AF_INET6" : "AF_INET",
	address,
	port,
});

/** A kernel with lo alone, and a user's task. */
function boot(version: string, uid = 0): { kernel: Kernel; net: NetNamespace; task: Task } {
	const world = new World({ version, seed: 7, setup: [], tables: {} });
	return { kernel: world.kernel, net: world.net, task: world.user(uid) };
}

function listener(task: Task, address: string, port: number, ...options: number[]): number {
	const fd = task.tcp();
	for (const option of options) task.setsockopt(fd, SOL_SOCKET, option, 1);
	expect(task.bind(fd, at(address, port))).toBe(0);
	expect(task.listen(fd, 8)).toBe(0);
	return fd;
}

function portOf(task: Task, fd: number): number {
	const name = task.getsockname(fd);
	return typeof name === "number" ? name : name.port;
}

/** The result of bind() of a second socket after the first has cleared its option. */
function bindAfterOptionTakenBack(version: string, option: number, second: string): number {
	const { task } = boot(version);
	const a = task.tcp();
	task.setsockopt(a, SOL_SOCKET, option, 1);
	expect(task.bind(a, at("127.0.0.1", 5000))).toBe(0);
	task.setsockopt(a, SOL_SOCKET, option, 0);
	const b = task.tcp();
	task.setsockopt(b, SOL_SOCKET, option, 1);
	return task.bind(b, at(second, 5000));
}

const UNSPEC: Address = { family: "AF_UNSPEC", address: "0.0.0.0", port: 0 };

const mptcp = (task: Task) => task.socket(AF_INET, SOCK_STREAM, IPPROTO_MPTCP);
/** An MPTCP listener on 127.0.0.1:5000, a client of it and the accepted socket. */
function mptcpConnection(task: Task) {
	const server = mptcp(task);
	task.bind(server, at("127.0.0.1", 5000));
	task.listen(server, 1);
	const client = mptcp(task);
	task.connect(client, at("127.0.0.1", 5000));
	return { server, client, fd: task.accept(server) };
}

/** What an MPTCP socket that is connected to itself receives of two sends, and without a send. */
function toItself(version: string): number[] {
	const { task } = boot(version);
	const fd = mptcp(task);
	task.bind(fd, at("127.0.0.1", 5000));
	task.connect(fd, at("127.0.0.1", 5000));
	const received = [5, 3].map((size) => {
		task.send(fd, size);
		return task.recv(fd, 16, true);
	});
	const other = mptcp(task);
	task.bind(other, at("127.0.0.1", 5001));
	task.connect(other, at("127.0.0.1", 5001));
	task.shutdown(other, 1);
	return [...received, task.recv(other, 16, true)];
}
const sctp = (task: Task) => task.socket(AF_INET, SOCK_STREAM, IPPROTO_SCTP);

/** The results of a sleeping connect() and of another thread's connect() with AF_UNSPEC. */
function disconnectedConnect(version: string): number[] {
	const { net, task } = boot(version);
	net.addRoute({ to: "198.51.100.0/24", dev: "lo" });
	const fd = task.tcp();
	expect(task.connect(fd, at("198.51.100.1", 80))).toBe(-ERESTARTSYS);
	const thread = task.fork(true);
	return [thread.connect(fd, UNSPEC), task.connectSleeping(fd)];
}

/**
 * Two UDP sockets on 127.0.0.1:5000. "a" and "b" connect to a peer, "A" and "B" disconnect. Returns
 * which of them then gets the peer's datagrams: "a" or "b".
 */
function reached(version: string, option: number, steps: string): string {
	const { task } = boot(version);
	const peer = task.socket(AF_INET, SOCK_DGRAM, 0);
	task.bind(peer, at("127.0.0.1", 5001));
	const [a, b] = [0, 1].map(() => {
		const fd = task.socket(AF_INET, SOCK_DGRAM, 0);
		task.setsockopt(fd, SOL_SOCKET, option, 1);
		expect(task.bind(fd, at("127.0.0.1", 5000))).toBe(0);
		return fd;
	});
	for (const step of steps) {
		const dissolve = step < "a";
		const to = dissolve ? UNSPEC : at("127.0.0.1", 5001);
		expect(task.connect("aA".includes(step) ? a : b, to)).toBe(0);
	}
	expect(task.sendto(peer, 1, at("127.0.0.1", 5000))).toBe(1);
	return `${task.recv(a, 1, true) === 1 ? "a" : ""}${task.recv(b, 1, true) === 1 ? "b" : ""}`;
}

/**
 * The change, the last version without it, the first version with it, and its effect on a program.
 */
const PROGRAMS: Record<string, [string, string, (version: string) => unknown, unknown, unknown]> = {
	"connect-range-step-1": [
		"6.6",
		"6.8",
		(version) => {
			const { task } = boot(version);
			listener(task, "127.0.0.1", 80);
			const results: number[] = [];
			for (let i = 0; i < 3; i++) {
				const fd = task.tcp();
				task.setsockopt(fd, SOL_IP, IP_LOCAL_PORT_RANGE, (50_002 << 16) | 50_000);
				results.push(task.connect(fd, at("127.0.0.1", 80)));
			}
			return results;
		},
		[0, 0, -EADDRNOTAVAIL],
		[0, 0, 0],
	],
	"first-bind-not-fast": [
		"6.6",
		"6.8",
		(version) => [
			bindAfterOptionTakenBack(version, SO_REUSEADDR, "127.0.0.1"),
			bindAfterOptionTakenBack(version, SO_REUSEPORT, "0.0.0.0"),
			bindAfterOptionTakenBack(version, SO_REUSEPORT, "127.0.0.1"),
		],
		[0, 0, 0],
		[-EADDRINUSE, -EADDRINUSE, 0],
	],
	"bhash2-addr-type": [
		"6.1.176",
		"6.8",
		(version) => {
			const { task } = boot(version);
			const bind = (address: string) => task.bind(task.socket(10, 1, 0), at(address, 5000));
			return [bind("::ffff:0.0.0.0"), bind("::ffff:127.0.0.1")];
		},
		[0, 0],
		[0, -EADDRINUSE],
	],
	"bhash2-every-wildcard-bucket": [
		"6.8",
		"6.9",
		(version) => {
			const { net, task } = boot(version);
			const a = task.bind(task.tcp(), at("0.0.0.0", 5000));
			net.setSysctl("net.ipv6.bindv6only", "1");
			const c = task.bind(task.socket(10, 1, 0), at("::", 5000));
			return [a, c, task.bind(task.tcp(), at("127.0.0.1", 5000))];
		},
		[0, 0, 0],
		[0, 0, -EADDRINUSE],
	],
	"bhash2-dual-stack-wildcard": [
		"6.3",
		"6.4",
		(version) => {
			const { task } = boot(version);
			task.bind(task.socket(10, 1, 0), at("::", 5000));
			return task.bind(task.tcp(), at("127.0.0.1", 5000));
		},
		0,
		-EADDRINUSE,
	],
	"bhash2-v4mapped-address": [
		"6.5",
		"6.6",
		(version) => {
			const { task } = boot(version);
			task.bind(task.socket(10, 1, 0), at("::ffff:127.0.0.1", 5000));
			return task.bind(task.tcp(), at("127.0.0.1", 5000));
		},
		0,
		-EADDRINUSE,
	],
	"fastreuse-recomputed": [
		"6.17",
		"6.17.8",
		(version) => {
			const { net, task } = boot(version);
			net.setSysctl("net.ipv4.ip_local_port_range", "50200 50200");
			listener(task, "127.0.0.1", 80);
			listener(task, "127.0.0.1", 81);
			const first = task.connect(task.tcp(), at("127.0.0.1", 80));
			const b = task.tcp();
			const second = task.bind(b, at("127.0.0.2", 50_200));
			task.close(b);
			return [first, second, task.connect(task.tcp(), at("127.0.0.1", 81))];
		},
		[0, 0, -EADDRNOTAVAIL],
		[0, 0, 0],
	],
	"orphan-uid": [
		"6.16",
		"6.17",
		(version) => {
			const { task } = boot(version, 1000);
			listener(task, "127.0.0.1", 5000, SO_REUSEPORT);
			task.connect(task.tcp(), at("127.0.0.1", 5000)); // its other end is not accepted
			task.bind(task.tcp(), at("127.0.0.9", 5000)); // no fastreuseport any more
			const b = task.tcp();
			task.setsockopt(b, SOL_SOCKET, SO_REUSEPORT, 1);
			return task.bind(b, at("127.0.0.1", 5000));
		},
		-EADDRINUSE,
		0,
	],
	"tcp-tw-reuse-delay": [
		"6.13",
		"6.14",
		(version) => {
			const { kernel, net, task } = boot(version);
			net.setSysctl("net.ipv4.ip_local_port_range", "50200 50200");
			const server = listener(task, "127.0.0.1", 80);
			const client = task.tcp();
			task.connect(client, at("127.0.0.1", 80));
			const accepted = task.accept(server);
			kernel.advance(1000 - (kernel.now % 1000) + 900); // late in a second
			task.close(client);
			task.close(accepted);
			const again = () => task.connect(task.tcp(), at("127.0.0.1", 80));
			kernel.advance(200); // the next second has begun
			const soon = again();
			kernel.advance(900);
			return [soon, soon === 0 ? 0 : again()];
		},
		[0, 0],
		[-EADDRNOTAVAIL, 0],
	],
	"tcp-syn-linear-timeouts": [
		"6.4",
		"6.5",
		(version) => {
			const { kernel, net, task } = boot(version);
			const set = net.setSysctl("net.ipv4.tcp_syn_linear_timeouts", "4");
			net.setSysctl("net.ipv4.ip_local_port_range", "50200 50200");
			net.addRoute({ to: "198.51.100.0/24", dev: "lo" });
			task.connect(task.tcp(), at("198.51.100.1", 80), undefined, true);
			kernel.advance(129_000);
			return [set, task.bind(task.tcp(), at("0.0.0.0", 50200))];
		},
		[-ENOENT, 0],
		[0, -EADDRINUSE],
	],
	"port-step-width": [
		"7.0",
		"7.1",
		(version) => {
			const { net, task } = boot(version);
			const known = ["-1", "4294967296", "4294967295", "1000"].map((width) =>
				net.setSysctl("net.ipv4.ip_local_port_step_width", width),
			);
			net.setSysctl("net.ipv4.ip_local_port_range", "50000 50999");
			// All even ports are taken except one. A search passes the taken ports by drawn steps.
			net.setSysctl("net.ipv4.ip_local_reserved_ports", "50000-50199,50300-50999");
			net.addRoute({ to: "198.51.100.0/24", dev: "lo" });
			const ports = new Set<number>();
			for (let i = 0; i < 100; i++) {
				const fd = task.tcp();
				expect(task.connect(fd, at("198.51.100.1", 80), undefined, true)).toBe(-EINPROGRESS);
				ports.add(portOf(task, fd));
			}
			return [known, ports.size];
		},
		[[-ENOENT, -ENOENT, -ENOENT, -ENOENT], 100],
		[[-EINVAL, -EINVAL, 0, 0], 100],
	],
	"udp-reuseport-rescored-upwards": [
		"6.9",
		"6.10",
		(version) => {
			// All except `first` have received a datagram while connected, so `first` scores one
			// less. If the lookup meets the other member and the group selects `first`, the lookup
			// goes on to `alone`.
			const { task } = boot(version);
			const make = (...options: number[]) => {
				const fd = task.socket(AF_INET, SOCK_DGRAM, 0);
				for (const option of options) task.setsockopt(fd, SOL_SOCKET, option, 1);
				expect(task.bind(fd, at("127.0.0.1", 5000))).toBe(0);
				return fd;
			};
			const hears = (fd: number) => {
				const peer = task.socket(AF_INET, SOCK_DGRAM, 0);
				expect(task.connect(fd, at("127.0.0.1", 5001))).toBe(0);
				expect(task.bind(peer, at("127.0.0.1", 5001))).toBe(0);
				expect(task.sendto(peer, 1, at("127.0.0.1", 5000))).toBe(1);
				expect(task.recv(fd, 1, true)).toBe(1);
				expect(task.connect(fd, UNSPEC)).toBe(0);
				task.close(peer);
			};
			const alone = make(SO_REUSEADDR);
			const first = make(SO_REUSEADDR, SO_REUSEPORT);
			const second = make(SO_REUSEADDR, SO_REUSEPORT);
			hears(second); // so that the group has connections
			hears(alone);
			const heard = [0, 0, 0];
			for (let i = 0; i < 100; i++) {
				const peer = task.socket(AF_INET, SOCK_DGRAM, 0);
				task.sendto(peer, 1, at("127.0.0.1", 5000));
				task.close(peer);
				for (const [j, fd] of [alone, first, second].entries()) {
					if (task.recv(fd, 1, true) === 1) heard[j]++;
				}
			}
			return heard.map((count) => count > 0);
		},
		[true, false, true],
		[false, true, true],
	],
	"tcp-disconnect-busy": [
		"6.3",
		"6.4",
		disconnectedConnect,
		[0, -ECONNRESET],
		[-EBUSY, -ERESTARTSYS],
	],
	"tcp-disconnect-epipe": ["6.5", "6.6", disconnectedConnect, [-EBUSY, -ERESTARTSYS], [0, -EPIPE]],
	"sctp-listen-resets-state": [
		"6.11",
		"6.11.11",
		(version) => {
			const { net, task } = boot(version);
			net.setSysctl("net.ipv4.ip_local_port_range", "50200 50200");
			expect(task.bind(sctp(task), at("127.0.0.1", 0))).toBe(0);
			const fd = sctp(task);
			return [task.listen(fd, 1), task.listen(fd, 1)];
		},
		[-EAGAIN, 0],
		[-EAGAIN, -EAGAIN],
	],
	"sctp-accept-clones": [
		"6.18",
		"6.18.44",
		(version) => {
			const { task } = boot(version);
			const make = (option: number | null, address: string) => {
				const fd = sctp(task);
				if (option !== null) task.setsockopt(fd, SOL_SOCKET, option, 1);
				return [fd, task.bind(fd, at(address, 5000))];
			};
			const [server] = make(SO_REUSEPORT, "127.0.0.1");
			task.listen(server, 1);
			expect(task.connect(sctp(task), at("127.0.0.1", 5000))).toBe(0);
			expect(task.accept(server)).toBeGreaterThan(0);
			const [, other] = make(null, "127.0.0.9"); // now each owner is looked at
			return [other, make(SO_REUSEPORT, "127.0.0.1")[1]];
		},
		[0, -EADDRINUSE],
		[0, 0],
	],
	"sctp-listener-shutdown": [
		"6.1.176",
		"6.11",
		(version) => {
			const { task } = boot(version);
			const fd = sctp(task);
			task.listen(fd, 1);
			return [task.shutdown(fd, 0), task.accept4(fd, 0, {}, true)];
		},
		[-EOPNOTSUPP, -EAGAIN],
		[0, -EINVAL],
	],
	"mptcp-set-up-while-closed": [
		"6.3",
		"6.4",
		(version) => {
			const { net, task } = boot(version);
			net.addRoute({ to: "198.51.100.0/24", dev: "lo" });
			const fd = mptcp(task);
			const set = () => task.setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, 1);
			task.connect(fd, at("198.51.100.1", 80), undefined, true);
			// The first subflow is made when it is first needed.
			const late = task.socket(AF_INET6, SOCK_STREAM, IPPROTO_MPTCP);
			net.setSysctl("net.ipv6.bindv6only", "1");
			const bound = task.bind(late, at("::ffff:127.0.0.1", 5000));
			return [set(), task.connect(fd, UNSPEC), set(), bound];
		},
		[0, 0, 0, 0],
		[-EINVAL, 0, 0, -EINVAL],
	],
	"mptcp-accepted-set-up": [
		"6.5",
		"6.6",
		(version) => {
			const { task } = boot(version);
			const { client, fd } = mptcpConnection(task);
			const set = () => task.setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, 1);
			return [set(), task.connect(client, UNSPEC), set()];
		},
		[-EINVAL, 0, -EINVAL],
		[-EINVAL, 0, 0],
	],
	"mptcp-subflow-shutdown": [
		"6.16",
		"6.17",
		(version) => {
			const { task } = boot(version);
			const { server, client, fd } = mptcpConnection(task);
			task.close(server);
			const late = task.tcp();
			return [
				task.shutdown(client, 1),
				task.shutdown(fd, 1),
				// Both sockets are closed. The subflow of the client is not.
				task.bind(client, at("127.0.0.1", 5001)),
				task.bind(late, at("127.0.0.1", 5000)),
			];
		},
		[0, 0, -EINVAL, -EADDRINUSE],
		[0, 0, 0, 0],
	],
	"mptcp-connect-ignores-fin": [
		"6.14",
		"6.15",
		(version) => {
			const { task } = boot(version);
			const server = task.tcp();
			task.shutdown(server, 2);
			task.bind(server, at("127.0.0.1", 5000));
			task.listen(server, 1);
			const client = mptcp(task);
			// The connection of this listener begins with a FIN.
			return [task.connect(client, at("127.0.0.1", 5000)), task.recv(client, 16, true)];
		},
		[0, 0],
		[0, -EAGAIN],
	],
	"mptcp-reset-is-no-end": [
		"6.3",
		"6.4",
		(version) => {
			const { task } = boot(version);
			const server = mptcp(task);
			task.bind(server, at("127.0.0.1", 5000));
			task.listen(server, 1);
			const client = mptcp(task);
			task.connect(client, at("127.0.0.1", 5000), undefined, true);
			task.connect(server, UNSPEC);
			const error = task.getsockopt(client, SOL_SOCKET, SO_ERROR);
			return [error, task.recv(client, 16, true)];
		},
		[Uint8Array.of(104, 0, 0, 0), 0],
		[Uint8Array.of(104, 0, 0, 0), -ENOTCONN],
	],
	"udp6-connect-changes-cork": [
		"6.19",
		"7.0",
		(version) => {
			const { task } = boot(version);
			const [receiver, sender] = [0, 1].map(() => task.socket(AF_INET6, SOCK_DGRAM, 0));
			task.bind(receiver, at("::1", 5001));
			task.connect(sender, at("::1", 5001));
			task.sendto(sender, 2, null, 0, undefined, MSG_MORE);
			task.connect(sender, at("::1", 5002));
			task.send(sender, 1);
			return task.send(sender, 1);
		},
		1,
		-ECONNREFUSED,
	],
	"mptcp-fastopen-unconnects": [
		"6.3",
		"6.4",
		(version) => {
			const { task } = boot(version);
			const listener = task.tcp();
			task.bind(listener, at("127.0.0.1", 5000));
			task.listen(listener, 1);
			const fd = mptcp(task);
			task.connect(fd, at("127.0.0.1", 5000));
			const child = task.accept(listener);
			task.setsockopt(child, SOL_SOCKET, SO_LINGER, Uint8Array.of(1, 0, 0, 0, 0, 0, 0, 0));
			task.close(child);
			task.sendto(fd, 1, null, 0, true, MSG_FASTOPEN);
			return task.connect(fd, at("127.0.0.1", 5000), 16, true);
		},
		-EISCONN,
		-EINPROGRESS,
	],
	"mptcp-msg-fastopen": [
		"6.1.189",
		"6.3",
		(version) => {
			const { task } = boot(version);
			const fd = mptcp(task);
			task.bind(fd, at("127.0.0.1", 5000));
			task.listen(fd, 1);
			const sent = task.sendto(fd, 1, null, 0, true, MSG_FASTOPEN);
			return [sent, task.getsockopt(fd, SOL_SOCKET, SO_ACCEPTCONN)];
		},
		[-EOPNOTSUPP, Uint8Array.of(1, 0, 0, 0)],
		[-EISCONN, Uint8Array.of(0, 0, 0, 0)],
	],
	"mptcp-fallback-mapping": ["6.18", "6.19", toItself, [5, 3, 0], [-EAGAIN, -EAGAIN, 0]],
	"mptcp-partial-packets": ["7.0", "7.1", toItself, [-EAGAIN, -EAGAIN, 0], [4, 3, 0]],
	"mptcp-syn-fallback": [
		"6.11",
		"6.12",
		(version) => {
			const { kernel, net, task } = boot(version);
			net.addRoute({ to: "198.51.100.0/24", dev: "lo" });
			const fd = mptcp(task);
			task.connect(fd, at("198.51.100.1", 80), undefined, true);
			const set = () => task.setsockopt(fd, SOL_IP, IP_FREEBIND, 1);
			const early = set();
			kernel.advance(8000);
			return [early, set()];
		},
		[-EINVAL, -EINVAL],
		[-EINVAL, 0],
	],
	"mptcp-tcp-options-refused": [
		"6.8",
		"6.9",
		(version) => {
			const { task } = boot(version);
			const fd = mptcp(task);
			const set = (length: number) => task.setsockopt(fd, SOL_TCP, 7, new Uint8Array(length));
			return [set(4), set(2)];
		},
		[-EOPNOTSUPP, -EOPNOTSUPP],
		[-ENOPROTOOPT, -EINVAL],
	],
	"mptcp-keepalive": [
		"6.9",
		"6.10",
		(version) => {
			const { task } = boot(version);
			const fd = mptcp(task);
			return [
				task.setsockopt(fd, SOL_TCP, 4, 30),
				task.setsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, 1),
				task.getsockopt(fd, SOL_SOCKET, SO_KEEPALIVE),
			];
		},
		[-ENOPROTOOPT, 0, Uint8Array.of(0, 0, 0, 0)],
		[0, 0, Uint8Array.of(1, 0, 0, 0)],
	],
	"mptcp-getsockopt-flags": [
		"6.14",
		"6.15",
		(version) => {
			const { task } = boot(version);
			const fd = mptcp(task);
			return [
				task.setsockopt(fd, SOL_IP, IP_FREEBIND, 1),
				task.getsockopt(fd, SOL_IP, IP_FREEBIND),
			];
		},
		[0, -EOPNOTSUPP],
		[0, Uint8Array.of(1, 0, 0, 0)],
	],
	"udp-child-hash-entries": [
		"6.1.176",
		"6.3",
		(version) => {
			// In a table of 256 slots more starts lead to 40400 than in a table of 16,384 slots.
			const { net, task } = boot(version);
			const known = net.setSysctl("net.ipv4.udp_child_hash_entries", "129");
			const child = task.unshareNet();
			child.setLink("lo", true);
			child.setSysctl("net.ipv4.ip_local_port_range", "40000 40511");
			const reserved = "40000-40299,40301-40399,40401-40511";
			child.setSysctl("net.ipv4.ip_local_reserved_ports", reserved);
			let far = 0;
			for (let i = 0; i < 200; i++) {
				const fd = task.socket(AF_INET, SOCK_DGRAM, 0);
				expect(task.bind(fd, at("127.0.0.1", 0))).toBe(0);
				if (portOf(task, fd) === 40_400) far++;
				task.close(fd);
			}
			return [known, far > 58];
		},
		[-ENOENT, false],
		[0, true],
	],
	"udp-hash4": [
		"6.12",
		"6.13",
		(version) =>
			[SO_REUSEADDR, SO_REUSEPORT].map((option) =>
				["ab", "ba", "aba", "bab"].map((steps) => reached(version, option, steps)).join(" "),
			),
		["b b b b", "b b b b"],
		["b a b a", "b a b a"],
	],
	"udp-hash4-reconnect": [
		"7.2",
		"7.3",
		(version) =>
			["ba", "baA", "baBb", "baABb"]
				.map((steps) => reached(version, SO_REUSEADDR, steps))
				.join(" "),
		"a b a b",
		"a b b b",
	],
	"dccp-removed": [
		"6.15",
		"6.16",
		(version) => boot(version).task.socket(AF_INET, SOCK_DCCP, 33),
		3,
		-ESOCKTNOSUPPORT,
	],
	"udplite-removed": [
		"7.0",
		"7.1",
		(version) => boot(version).task.socket(AF_INET, SOCK_DGRAM, 136),
		3,
		-EPROTONOSUPPORT,
	],
};

describe("a change between versions", () => {
	it.each(Object.keys(PROGRAMS))("shows in a program: %s", (name) => {
		const [last, first, program, old, now] = PROGRAMS[name];
		expect(program(last), `old, ${last}`).toEqual(old);
		expect(program(first), `new, ${first}`).toEqual(now);
	});

	it("is in the versions from its release on, and in its backports", () => {
		const numbers = (release: string) => release.split(".").map(Number);
		const newer = (one: string, other: string) => {
			const [a, b] = [numbers(one), numbers(other)];
			return a[0] - b[0] || a[1] - b[1] || (a[2] ?? 0) - (b[2] ?? 0);
		};
		for (const { name, since, backports } of CHANGES) {
			const known: readonly string[] = backports;
			for (const version of VERSIONS) {
				const [major, minor] = version.name.split(".");
				// The base commit is older than the release that it is named after.
				const base = version.name === "6.3" && name !== "ip-local-port-range";
				const has =
					(since !== null && newer(base ? "6.2" : version.name, since) >= 0) ||
					known.some(
						(first) => first.startsWith(`${major}.${minor}.`) && newer(version.name, first) >= 0,
					);
				expect([name, version.name, version.has.includes(name)]).toEqual([name, version.name, has]);
			}
		}
	});

	it("is in the model of a running kernel if the nearest older version has it", () => {
		expect(versionFor("6.18.44-cloud-amd64")).toBe("6.18.44");
		expect(versionFor("6.18.50")).toBe("6.18.44");
		expect(versionFor("6.18.15-1-generic")).toBe("6.18.5");
		expect(versionFor("6.18.4")).toBe("6.18");
		expect(versionFor("6.11.3")).toBe("6.11");
		expect(versionFor("6.11.12-arch1-1")).toBe("6.11.11");
		expect(versionFor("6.7.4")).toBe("6.6");
		expect(versionFor("7.9.1")).toBe("7.3");
		expect(versionFor("5.10.0")).toBe(null);
	});
});
