// SPDX-License-Identifier: GPL-2.0-or-later
/** recv() and recvfrom(): lengths, senders and flags. */
import { describe, expect, it } from "vitest";
import {
	MSG_DONTWAIT,
	MSG_OOB,
	MSG_PEEK,
	MSG_TRUNC,
	MSG_WAITALL,
} from "../../include/linux/socket.js";
import { EAGAIN, ENOTCONN, ERESTARTSYS } from "../../include/uapi/asm-generic/errno.js";
import type { Address } from "../../kernel-model/machine/address.js";
import { Kernel } from "../../kernel-model/machine/kernel.js";
import { NotModelled } from "../../net/core/sock.js";

const v4 = (port: number): Address => ({ family: "AF_INET", address: "127.0.0.1", port });
const v6 = (port: number, address = "::1"): Address => ({ family: "AF_INET6", address, port });

function task() {
	const kernel = new Kernel({ version: "6.18.44" });
	return kernel.createTask({ net: kernel.createNet() });
}

describe("recvfrom of a datagram", () => {
	it("returns the sender, v4-mapped on an AF_INET6 socket", () => {
		const t = task();
		const [six, four, other] = [t.socket(10, 2, 0), t.socket(2, 2, 0), t.socket(10, 2, 0)];
		t.bind(six, v6(5000, "::"));
		t.bind(four, v4(5001));
		t.bind(other, v6(5002));
		t.sendto(four, 3, v4(5000));
		t.sendto(other, 2, v6(5000));
		const senders = [3, 2].map((size) => {
			const sender: Partial<Address> = {};
			expect(t.recvfrom(six, 9, 0, sender)).toBe(size);
			return `${sender.address} ${sender.port}`;
		});
		expect(senders).toEqual(["::ffff:127.0.0.1 5001", "::1 5002"]);
	});

	it("leaves it in the queue with MSG_PEEK, and returns its length with MSG_TRUNC", () => {
		const t = task();
		const fd = t.socket(2, 2, 0);
		t.bind(fd, v4(5000));
		t.sendto(fd, 5, v4(5000));
		expect(t.recv(fd, 2, true, MSG_PEEK)).toBe(2);
		expect(t.recv(fd, 2, true, MSG_PEEK | MSG_TRUNC)).toBe(5);
		expect(t.recv(fd, 2)).toBe(2);
		expect(t.recv(fd, 2, false, MSG_DONTWAIT)).toBe(-ERESTARTSYS);
		expect(t.recv(fd, 2, undefined, MSG_DONTWAIT)).toBe(-EAGAIN);
	});
});

describe("recv of a stream", () => {
	function pair() {
		const t = task();
		const [listener, client] = [t.tcp(), t.tcp()];
		t.bind(listener, v4(5000));
		t.listen(listener, 1);
		t.connect(client, v4(5000));
		return { t, client, server: t.accept(listener) };
	}

	it("leaves the data with MSG_PEEK, and has no sender", () => {
		const { t, client, server } = pair();
		t.send(client, 3);
		const sender: Partial<Address> = {};
		expect(t.recvfrom(server, 9, MSG_PEEK, sender)).toBe(3);
		expect(t.recvfrom(server, 9, 0, sender)).toBe(3);
		expect(sender).toEqual({});
	});

	it("waits for all bytes with MSG_WAITALL, unless the peer has sent its FIN", () => {
		const { t, client, server } = pair();
		t.send(client, 3);
		expect(t.recv(server, 9, false, MSG_WAITALL)).toBe(-ERESTARTSYS);
		expect(t.recv(server, 3, false, MSG_WAITALL)).toBe(3);
		t.send(client, 3);
		t.shutdown(client, 1);
		expect(t.recv(server, 9, false, MSG_WAITALL)).toBe(3);
		expect(t.recv(server, 9, false, MSG_WAITALL)).toBe(0);
	});

	it("fails with ENOTCONN without a connection", () => {
		const t = task();
		expect(t.recv(t.tcp(), 1, true)).toBe(-ENOTCONN);
	});

	it("does not have out-of-band data", () => {
		const { t, server } = pair();
		expect(() => t.recv(server, 1, true, MSG_OOB)).toThrow(NotModelled);
	});
});
