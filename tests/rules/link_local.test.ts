// SPDX-License-Identifier: GPL-2.0-or-later
/** connect() to link-local addresses: the scope in the address, and the device of the socket. */
import { describe, expect, it } from "vitest";
import {
	type Address,
	AF_INET6,
	SO_BINDTODEVICE,
	SO_BINDTOIFINDEX,
	SOL_SOCKET,
} from "../../kernel-model/index.js";
import { outcome, PROTOCOLS, type Protocol, rule, World } from "../world.js";

const SETUP = [
	"ip link set lo up",
	"ip link add red type vrf table 10",
	"ip link set red up",
	"ip link add d0 address 02:00:00:00:00:00 type dummy",
	"ip link set d0 master red",
	"ip link set d0 up",
	"ip link add d1 address 02:00:00:00:00:01 type dummy",
	"ip link set d1 up",
];

/** connect() of a socket that is bound to `device` to fe80::9 with the scope of another device. */
function connect(protocol: Protocol, device: string, scope: string): [string | number, string] {
	const world = new World({ setup: SETUP });
	const index = (name: string) =>
		world.net.net.devices.find((dev) => dev.name === name)?.ifindex ?? 0;
	const [type, number] = PROTOCOLS[protocol];
	const fd = world.task.socket(AF_INET6, type, number);
	if (device !== "") {
		const name = new TextEncoder().encode(device);
		expect(world.task.setsockopt(fd, SOL_SOCKET, SO_BINDTODEVICE, name)).toBe(0);
	}
	const to: Address = { family: "AF_INET6", address: "fe80::9", port: 80, scope_id: index(scope) };
	const result = outcome(world.task.connect(fd, to, undefined, true));
	const bound = world.task.getsockopt(fd, SOL_SOCKET, SO_BINDTODEVICE, 16);
	world.check();
	if (typeof bound === "number") throw new Error(`getsockopt: ${bound}`);
	return [result, new TextDecoder().decode(bound).replace("\0", "")];
}

/** A destination of TCP on this host: a link-local address of a device, with its scope. */
describe.each([
	["outside VRFs", "d1", "fe80::ff:fe00:1"],
	["in a VRF", "d0", "fe80::ff:fe00:0"],
])("a link-local address of a device %s", (_where, device, address) => {
	function meet(listens: boolean): string | number {
		const world = new World({ setup: SETUP });
		const { task } = world;
		const scope_id = world.net.net.devices.find(({ name }) => name === device)?.ifindex ?? 0;
		const listener = task.socket(AF_INET6, 1, 0);
		expect(task.bind(listener, { family: "AF_INET6", address: "::", port: 5000 })).toBe(0);
		if (listens) expect(task.listen(listener, 1)).toBe(0);
		const client = task.socket(AF_INET6, 1, 0);
		const result = outcome(
			task.connect(client, { family: "AF_INET6", address, port: 5000, scope_id }),
		);
		const peer: Partial<Address> = {};
		if (listens) expect(task.accept4(listener, 0, peer, true)).toBeGreaterThan(0);
		if (listens) expect(peer).toMatchObject({ address, scope_id });
		world.check();
		return result;
	}

	it("reaches a listener on the wildcard, and the SYN-ACK leaves by the device of the SYN", () => {
		expect(meet(true)).toBe(0);
	});

	it("refuses a connection if nobody listens, by a RST through the same device", () => {
		expect(meet(false)).toBe("ECONNREFUSED");
	});
});

it("an address of lo that nobody has gives connect() a soft error, which SO_ERROR takes", () => {
	const world = new World({ setup: ["ip link set lo up", "ip addr add fe80::1/64 dev lo"] });
	const { task } = world;
	const fd = task.socket(AF_INET6, 1, 0);
	const to: Address = { family: "AF_INET6", address: "fe80::9", port: 80, scope_id: 1 };
	const error = () => new Uint8Array(Object.values(task.getsockopt(fd, SOL_SOCKET, 4)))[0];
	expect(outcome(task.connect(fd, to, undefined, true))).toBe("EINPROGRESS");
	expect(error()).toBe(101);
	expect(error()).toBe(0);
	// The socket still waits, until the answer to the second SYN.
	expect(outcome(task.send(fd, 1, true))).toBe("EAGAIN");
	world.kernel.advance(1100);
	expect(error()).toBe(101);
	expect(outcome(task.send(fd, 1, true))).toBe("EPIPE");
	world.check();
});

describe("a connect() of UDP that finds no route to a link-local address", () => {
	/** The result, and the device of the socket after it. `own` is bound first, if it is not "". */
	function fail(version: string, own: string, ...[address, scope_id]: [string, number]) {
		const world = new World({
			version,
			setup: [
				"ip link set lo up",
				"ip addr add fe80::1/64 dev lo",
				"ip route add unreachable fe80::9/128 dev lo",
			],
		});
		const { task } = world;
		const fd = task.socket(AF_INET6, 2, 0);
		const local: Address = { family: "AF_INET6", address: own, port: 5000 };
		if (own !== "") expect(task.bind(fd, local)).toBe(0);
		const to: Address = { family: "AF_INET6", address, port: 80, scope_id };
		const result = outcome(task.connect(fd, to));
		const bound = task.getsockopt(fd, SOL_SOCKET, SO_BINDTOIFINDEX, 4);
		world.check();
		return [result, typeof bound === "number" ? bound : bound[0]];
	}

	const CASES = [
		["::ffff:127.0.0.1", "fe80::1", 1, "EAFNOSUPPORT"],
		["", "fe80::9", 1, "EHOSTUNREACH"],
		["", "fe80::1", 99, "ENETUNREACH"],
	] as const;

	it.each(["6.3", "6.1.176", "6.12.107", "6.18.44", "7.3"])("binds it to the device in %s", (v) => {
		for (const [own, to, scope, error] of CASES) {
			expect(fail(v, own, to, scope)).toEqual([error, scope]);
		}
	});

	it("leaves its device as it was in 6.12.118", () => {
		for (const [own, to, scope, error] of CASES) {
			expect(fail("6.12.118", own, to, scope)).toEqual([error, 0]);
		}
	});
});

it("the soft error of a connect() outlasts a disconnect and the next connect()", () => {
	const world = new World({ setup: ["ip link set lo up", "ip addr add fe80::1/64 dev lo"] });
	const { task } = world;
	const fd = task.socket(AF_INET6, 1, 0);
	const error = () => new Uint8Array(Object.values(task.getsockopt(fd, SOL_SOCKET, 4)))[0];
	const to = (address: string, scope_id: number): Address => {
		return { family: "AF_INET6", address, port: 80, scope_id };
	};
	expect(outcome(task.connect(fd, to("fe80::9", 1), undefined, true))).toBe("EINPROGRESS");
	task.connect(fd, { family: "AF_UNSPEC", address: "0.0.0.0", port: 0 }, 16);
	// Nobody listens there.
	expect(outcome(task.connect(fd, to("::1", 0), undefined, true))).toBe("EINPROGRESS");
	expect(error()).toBe(111);
	expect(error()).toBe(101);
	expect(error()).toBe(0);
	world.check();
});

describe.each([
	["tcp", "EINPROGRESS"],
	["udp", 0],
	["dccp", "EINPROGRESS"],
] as const)("connect() of %s to a link-local address", (protocol, success) => {
	it("binds the socket to the device of the scope", () => {
		expect(connect(protocol, "", "d1")).toEqual([success, "d1"]);
		expect(connect(protocol, "d1", "d1")).toEqual([success, "d1"]);
	});

	it("uses the socket's device if the address has no scope", () => {
		expect(connect(protocol, "d1", "")).toEqual([success, "d1"]);
	});

	it("fails with EINVAL without a device, and for a scope that is not the socket's device", () => {
		expect(connect(protocol, "", "")).toEqual(["EINVAL", ""]);
		expect(connect(protocol, "d0", "d1")).toEqual(["EINVAL", "d0"]);
		expect(connect(protocol, "red", "d1")).toEqual(["EINVAL", "red"]);
	});

	it(`${protocol === "dccp" ? "refuses" : "accepts"} the scope of a device in the socket's VRF`, () => {
		expect(connect(protocol, "red", "d0")).toEqual(
			protocol === "dccp" ? ["EINVAL", "red"] : [success, "d0"],
		);
	});
});

describe("a datagram to the link-local address of a device in a VRF", () => {
	rule(
		"reaches sockets of the device and sockets of no device, not those of the VRF",
		`
		ip link add red type vrf table 10
		ip link set red up
		ip link add d0 address 02:00:00:00:00:01 type dummy
		ip link set d0 master red
		ip link set d0 up
		udp6 r q u s
		r device red
		q device d0
		s device red
		r bind [::]:5001
		q bind [::]:5002
		u bind [::]:5003
		s send 1 [fe80::ff:fe00:1%d0]:5001 = 1
		r recv 9 = EAGAIN
		s send 2 [fe80::ff:fe00:1%d0]:5002 = 2
		q recv 9 = 2
		s send 3 [fe80::ff:fe00:1%d0]:5003 = 3
		u recv 9 = 3
		`,
	);
});
