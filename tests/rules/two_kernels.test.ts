// SPDX-License-Identifier: GPL-2.0-or-later
/**
 * Two kernels in one process are independent. Calls on one kernel during a call on the other do not
 * change this call. A tracer's callback runs during a call.
 */
import { describe, expect, it } from "vitest";
import type { PortSearchTrace } from "../../include/trace/events/port_search.js";
import {
	AF_INET,
	AF_INET6,
	EINPROGRESS,
	Kernel,
	SOCK_DGRAM,
	SOCK_STREAM,
	type Task,
} from "../../kernel-model/index.js";

/** A kernel with both families, where connections stay in SYN_SENT. */
function boot(seed: number, range: string): Task {
	const kernel = new Kernel({ version: "7.3", seed });
	const net = kernel.createNet();
	net.addAddress("192.0.2.10/32", "lo");
	net.addAddress("2001:db8::10/128", "lo");
	net.addRoute({ to: "default", dev: "lo" });
	expect(net.setSysctl("net.ipv4.ip_local_port_range", range)).toBe(0);
	return kernel.createTask({ net });
}

const ANY4 = { family: "AF_INET", address: "0.0.0.0", port: 0 } as const;
const ANY6 = { family: "AF_INET6", address: "::", port: 0 } as const;
const THERE4 = { family: "AF_INET", address: "198.51.100.1", port: 443 } as const;
const LO6 = { family: "AF_INET6", address: "::1", port: 0 } as const;

function nameOf(task: Task, fd: number): string {
	const name = task.getsockname(fd);
	return typeof name === "number" ? `${name}` : `${name.address} ${name.port}`;
}

type Call = (task: Task) => string;

function binds(family: number, type: number, to: typeof ANY4 | typeof ANY6 | typeof LO6): Call {
	return (task) => {
		const fd = task.socket(family, type, 0);
		const result = task.bind(fd, to);
		return `${result} ${nameOf(task, fd)}`;
	};
}

const connects: Call = (task) => {
	const fd = task.socket(AF_INET, SOCK_STREAM, 0);
	const result = task.connect(fd, THERE4, undefined, true);
	expect(result).toBe(-EINPROGRESS);
	return nameOf(task, fd);
};

/** A connection to its own listener, over loopback. */
const connects6: Call = (task) => {
	const listener = task.socket(AF_INET6, SOCK_STREAM, 0);
	expect(task.bind(listener, LO6)).toBe(0);
	expect(task.listen(listener, 1)).toBe(0);
	const to = task.getsockname(listener);
	if (typeof to === "number") throw new Error("no name");
	const fd = task.socket(AF_INET6, SOCK_STREAM, 0);
	return `${task.connect(fd, to)} ${nameOf(task, fd)}`;
};

const sends: Call = (task) => {
	const fd = task.socket(AF_INET, SOCK_DGRAM, 0);
	const result = task.connect(fd, THERE4);
	return `${result} ${nameOf(task, fd)}`;
};

const CALLS: Readonly<Record<string, Call>> = {
	"bind of a TCP socket": binds(AF_INET, SOCK_STREAM, ANY4),
	"bind of a TCP socket over IPv6": binds(AF_INET6, SOCK_STREAM, ANY6),
	"bind of a UDP socket": binds(AF_INET, SOCK_DGRAM, ANY4),
	"bind of a UDP socket over IPv6": binds(AF_INET6, SOCK_DGRAM, LO6),
	"connect of a TCP socket": connects,
	"connect of a TCP socket over IPv6": connects6,
	"connect of a UDP socket": sends,
};

/** Calls `meanwhile` at every trace point. */
function interrupting(meanwhile: () => void): PortSearchTrace {
	return {
		search: meanwhile,
		scan: meanwhile,
		pass: meanwhile,
		look: meanwhile,
		skip: meanwhile,
		chosen: meanwhile,
		bound: meanwhile,
		bucket: meanwhile,
		tuple: meanwhile,
	};
}

describe("a kernel that is used inside another kernel's trace points", () => {
	it("does not change the range of the other's search", () => {
		const first = boot(1, "60000 60007");
		const second = boot(2, "50000 50003");
		first.kernel.trace = interrupting(() => void CALLS["bind of a TCP socket"](second));
		const bind = CALLS["bind of a TCP socket"];
		expect(Number(bind(first).split(" ")[2])).toBeGreaterThanOrEqual(60000);
	});

	describe.each(Object.keys(CALLS))("does not change %s", (name) => {
		it.each(Object.keys(CALLS))("by %s", (other) => {
			const times = 12;
			const alone = boot(1, "60000 60031");
			const expected = Array.from({ length: times }, () => CALLS[name](alone));

			const first = boot(1, "60000 60031");
			const second = boot(2, "40000 49999");
			let inside = 0;
			first.kernel.trace = interrupting(() => {
				inside++;
				CALLS[other](second);
			});
			expect(Array.from({ length: times }, () => CALLS[name](first))).toEqual(expected);
			expect(inside).toBeGreaterThan(0);
			first.kernel.verify();
			second.kernel.verify();
		});
	});
});
