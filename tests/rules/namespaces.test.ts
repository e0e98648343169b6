// SPDX-License-Identifier: GPL-2.0-or-later
/** Network namespaces and VRFs. */
import { describe, expect, it } from "vitest";
import {
	type Address,
	EADDRINUSE,
	EADDRNOTAVAIL,
	EBADF,
	ECONNREFUSED,
	EINPROGRESS,
	EMFILE,
	ENETUNREACH,
	ENOTTY,
	EPERM,
	Kernel,
	SO_BINDTODEVICE,
	SOL_SOCKET,
	type Task,
} from "../../kernel-model/index.js";

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

	it("have separate ports", () => {
		const { kernel, a, b } = two();
		for (const task of [a, b]) {
			const fd = task.tcp();
			expect(task.bind(fd, local(5000))).toBe(0);
			expect(task.listen(fd, 1)).toBe(0);
			expect(task.bind(task.tcp(), local(5000))).toBe(-EADDRINUSE);
		}
		kernel.verify();
	});

	it("have separate ports, also on one chain of the table", () => {
		const kernel = new Kernel({ tables: { ehash: 1, bhash: 1, lhash2: 1, udp: 256 } });
		for (const name of ["a", "b"]) {
			const net = kernel.createNet({ name });
			net.addRoute({ to: "198.51.100.0/24", dev: "lo" });
			net.setSysctl("net.ipv4.ip_local_port_range", "40000 40001");
			const task = kernel.createTask({ net });
			expect(task.bind(task.tcp(), { ...local(0), address: "0.0.0.0" })).toBe(0);
			expect(task.connect(task.tcp(), remote, 16, true)).toBe(-EINPROGRESS);
			expect(task.bind(task.tcp(), local(0))).toBe(-EADDRINUSE);
			expect(task.connect(task.tcp(), remote, 16, true)).toBe(-EADDRNOTAVAIL);
		}
		kernel.verify();
	});

	it("do not receive each other's connections", () => {
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

	it("use up their ephemeral ports separately", () => {
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

	it("count time-wait sockets separately", () => {
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

	it("keep a socket when its task moves to another namespace", () => {
		const { a, b } = two();
		const old = a.tcp();
		a.net = b.net;
		const moved = a.tcp();
		expect(a.bind(old, local(5000))).toBe(0);
		expect(a.bind(moved, local(5000))).toBe(0);
		expect(b.bind(b.tcp(), local(5000))).toBe(-EADDRINUSE);
	});

	it("of a socket are opened by ioctl(SIOCGSKNS)", () => {
		const { kernel, a, b } = two();
		const old = a.tcp();
		expect(a.bind(old, local(5000))).toBe(0);
		const first = a.net.net;
		a.unshareNet();
		const file = a.socketNamespace(old);
		const net = a.pathOf(file)?.net;
		expect(net?.net).toBe(first);
		if (net != null) a.net = net;
		expect(a.bind(a.tcp(), local(5000))).toBe(-EADDRINUSE);
		expect(a.socketNamespace(99)).toBe(-EBADF);
		expect(a.socketNamespace(file)).toBe(-ENOTTY);
		expect(b.setrlimit(4, 1024)).toBe(0);
		expect(b.socketNamespace(b.tcp())).toBe(-EMFILE);
		b.uid = 1000;
		expect(b.socketNamespace(3)).toBe(-EPERM);
		kernel.verify();
	});

	it("that are new have lo down and no address", () => {
		const { a } = two();
		a.unshareNet();
		const fd = a.tcp();
		// A namespace that never had an address has no local table, so every address counts as
		// broadcast.
		expect(a.bind(fd, local(5000))).toBe(0);
		expect(a.connect(fd, local(5000))).toBe(-ENETUNREACH);
		expect(a.net.setLink("lo", true)).toBe(0);
		const later = a.tcp();
		const other: Address = { family: "AF_INET", address: "192.0.2.1", port: 5001 };
		expect(a.bind(later, other)).toBe(-EADDRNOTAVAIL);
		expect(a.bind(later, local(5001))).toBe(0);
	});

	it("with VRFs have separate ports for each VRF", () => {
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
