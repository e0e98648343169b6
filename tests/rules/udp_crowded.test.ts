// SPDX-License-Identifier: GPL-2.0-or-later
/**
 * UDP: bind() of a port whose chain is long. It searches only the chains of the second hash: of the
 * socket's address and of the wildcard. Before 7.0 a wildcard socket does so as well. It conflicts
 * with a socket on another address only if a secret puts this socket on one of these chains.
 */
import { describe, expect, it } from "vitest";
import {
	AF_INET,
	IPPROTO_UDP,
	Kernel,
	SO_REUSEADDR,
	SOCK_DGRAM,
	SOL_SOCKET,
	type Task,
} from "../../kernel-model/index.js";
import { outcome } from "../world.js";

const PORT = 5000;

function bind(task: Task, address: string, reuse = false): string | number {
	const fd = task.socket(AF_INET, SOCK_DGRAM, IPPROTO_UDP);
	if (reuse) task.setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, 1);
	return outcome(task.bind(fd, { family: "AF_INET", address, port: PORT }));
}

/** A kernel with eleven sockets on the port, each on another address. */
function crowded(version: string, secrets: readonly number[], reuse = false) {
	const kernel = new Kernel({ version, seed: 1, secrets });
	const task = kernel.createTask({ net: kernel.createNet() });
	for (let n = 1; n <= 11; n++) expect(bind(task, `127.0.0.${n}`, reuse)).toBe(0);
	return { kernel, task };
}

describe("bind() of a crowded port", () => {
	it("to the wildcard succeeds or fails as a secret decides, until 7.0", () => {
		for (const [secrets, result] of [
			[[], 0],
			[[0], "EADDRINUSE"],
			[[1], 0],
		] as const) {
			const { kernel, task } = crowded("6.18", secrets);
			expect(bind(task, "0.0.0.0")).toBe(result);
			expect(kernel.secrets_asked).toBe(1);
			kernel.verify();
		}
	});

	it("to the wildcard fails and asks for no secret, since 7.0", () => {
		for (const secrets of [[], [0]]) {
			const { kernel, task } = crowded("7.0", secrets);
			expect(bind(task, "0.0.0.0")).toBe("EADDRINUSE");
			expect(kernel.secrets_asked).toBe(0);
		}
	});

	it("to an address that is taken fails and asks for no secret", () => {
		for (const version of ["6.18", "7.0"]) {
			const { kernel, task } = crowded(version, [0]);
			expect(bind(task, "127.0.0.7")).toBe("EADDRINUSE");
			expect(kernel.secrets_asked).toBe(0);
		}
	});

	it("to an address fails and asks for no secret if the wildcard is taken", () => {
		for (const version of ["6.18", "7.0"]) {
			const { kernel, task } = crowded(version, [0], true);
			expect(bind(task, "0.0.0.0", true)).toBe(0);
			expect(bind(task, "127.0.0.99")).toBe("EADDRINUSE");
			expect(kernel.secrets_asked).toBe(0);
		}
	});

	it("to an address that no socket has succeeds and asks for no secret", () => {
		for (const version of ["6.18", "7.0"]) {
			const { kernel, task } = crowded(version, [0]);
			expect(bind(task, "127.0.0.99")).toBe(0);
			expect(kernel.secrets_asked).toBe(0);
		}
	});
});
