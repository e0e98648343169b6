// SPDX-License-Identifier: GPL-2.0-or-later
/** The example of README.md: a program reads the port, and then asks how it was chosen. */
import { expect, it } from "vitest";
import { Kernel, Socket } from "../../kernel-model/index.js";

it("Socket.explain() tells of connect() after the program read the addresses", () => {
	const kernel = new Kernel({ version: "6.3", seed: 1 });
	const net = kernel.createNet();
	net.setSysctl("net.ipv4.ip_local_port_range", "60000 60003");
	const task = kernel.createTask({ net, uid: 1000 });
	new Socket(task).bind("127.0.0.1", 8080).listen(16);
	const client = new Socket(task).connect("127.0.0.1", 8080);
	expect(client.localAddress).toEqual({ family: "AF_INET", address: "127.0.0.1", port: 60002 });
	expect(client.remoteAddress.port).toBe(8080);
	expect(client.explain()[0]).toBe("connect searches 60000-60003 (the namespace's)");
});
