// SPDX-License-Identifier: GPL-2.0-or-later
/** Ports of a VRF and outside it, with tcp_l3mdev_accept and udp_l3mdev_accept off and on. */
import { describe } from "vitest";
import { kindsOf, lines, names, rule } from "../../world.js";

/** dummy0 is in vrf0, dummy1 is not. */
const DEVICES = `
	ip link add vrf0 type vrf table 10
	ip link set vrf0 up
	ip link add dummy0 type dummy
	ip link add dummy1 type dummy
	ip link set dummy0 master vrf0
	ip link set dummy0 up
	ip link set dummy1 up
	ip addr add 203.0.113.10/28 dev dummy0
	ip addr add 203.0.113.30/28 dev dummy1
	ip -6 addr add 2001:db8:1::10/64 dev dummy0 nodad
	ip -6 addr add 2001:db8:2::10/64 dev dummy1 nodad
`;

const PLACES = ["none", "vrf0", "dummy0", "dummy1", "lo"] as const;
type Device = (typeof PLACES)[number];

const on = (device: Device, socket: string) =>
	device === "none" ? "" : `${socket} device ${device}`;
/** The VRF that a device is in, itself included. */
const vrf = (device: Device) => (device === "vrf0" || device === "dummy0" ? "vrf0" : "none");

const inVrf = { 4: "203.0.113.10", 6: "[2001:db8:1::10]" };
const outside = { 4: "203.0.113.30", 6: "[2001:db8:2::10]" };

for (const name of ["tcp", "mptcp"]) {
	describe(`an ${name} socket that is bound to lo`, () => {
		rule(
			`${name}: connects through lo to the address of every device if somebody listens`,
			`
			${DEVICES}
			sysctl ipv4.ip_local_port_range 40000 40003
			${name} s t
			s bind 0.0.0.0:5000
			s listen 4
			t bind 203.0.113.30:5001
			t listen 4
			${lines(["203.0.113.30:5000", "203.0.113.10:5000", "203.0.113.30:5001"], (to) => {
				const socket = to.endsWith("0") ? "s" : "t";
				return `
					${name} a
					a device lo
					a connect ${to}
					a name = 192.0.2.10:40000..40003
					${socket} accept c
					c name = ${to}
					a send = 1
					c recv = 1
					close a c
				`;
			})}
			# Without a listener nobody answers, nor for an address of no device.
			${name} a b c
			a device lo
			a start 203.0.113.30:5002 = EINPROGRESS
			b device lo
			b start 203.0.113.31:5000 = EINPROGRESS
			a start 203.0.113.30:5002 = EALREADY
			b start 203.0.113.31:5000 = EALREADY
			c connect 203.0.113.30:5002 = ECONNREFUSED
			heard s t = nobody
			`,
		);
	});
}

for (const { name, protocol, any, family } of kindsOf("tcp", "udp", "udplite", "mptcp", "dccp")) {
	const dgram = protocol.startsWith("udp");
	const file = `sysctl ipv4.${dgram ? "udp" : "tcp"}_l3mdev_accept`;
	describe(`a port of ${name} with VRFs`, () => {
		for (const accept of [0, 1]) {
			rule(
				`${name}: l3mdev_accept ${accept}: conflicts on the same device and with no device, ${accept === 0 && !dgram ? "within one VRF" : "also across VRFs"}`,
				`
				${DEVICES}
				${file} ${accept}
				${lines(PLACES, (first) =>
					lines(PLACES, (second) => {
						const devices = first === "none" || second === "none" || first === second;
						const buckets = dgram || accept === 1 || vrf(first) === vrf(second);
						return `
							${name} a b
							${on(first, "a")}
							${on(second, "b")}
							a bind ${any}:5000
							b bind ${any}:5000 = ${devices && buckets ? "EADDRINUSE" : "0"}
							close a b
						`;
					}),
				)}
				`,
			);
			// Whether a socket sees the ports that another socket has taken.
			rule(
				`${name}: l3mdev_accept ${accept}: is ${accept === 0 && !dgram ? "separate in each VRF" : "the same in each VRF, but not on a device"}`,
				`
				${DEVICES}
				${file} ${accept}
				sysctl ipv4.ip_local_port_range 40000 40003
				${name} ${names("a", 4).join(" ")}
				${lines(names("a", 4), (a) => `${a} bind ${any}:0`)}
				${lines(PLACES, (device) => {
					const own = !dgram && accept === 0 && vrf(device) === "vrf0";
					return `
						${name} b
						${on(device, "b")}
						b bind ${any}:0 = ${own ? "0" : "EADDRINUSE"}
						close b
					`;
				})}
				close ${names("a", 4).join(" ")}
				${name} ${names("a", 5).join(" ")}
				${lines(names("a", 5), (a, i) => `${a} device vrf0\n${a} bind ${any}:0${i === 4 ? " = EADDRINUSE" : ""}`)}
				${lines(PLACES, (device) => {
					const meets = device === "vrf0" || (device === "none" && (dgram || accept === 1));
					return `
						${name} b
						${on(device, "b")}
						b bind ${any}:0 = ${meets ? "EADDRINUSE" : "0"}
						close b
					`;
				})}
				`,
			);
		}
		rule(
			`${name}: can be bound on an address only in the VRF of the address`,
			`
			${DEVICES}
			${lines(PLACES, (device) => {
				// A socket without a device has no addresses of VRFs. A socket in a VRF has the
				// addresses of the VRF.
				const bind = (address: string, here: boolean) => `
					${name} a
					${on(device, "a")}
					a bind ${address}:5000 = ${here ? "0" : "EADDRNOTAVAIL"}
					close a
				`;
				return family === 4
					? bind(inVrf[4], vrf(device) === "vrf0") + bind(outside[4], vrf(device) === "none")
					: bind(inVrf[6], vrf(device) === "vrf0") + bind(outside[6], vrf(device) === "none");
			})}
			`,
		);
		if (protocol === "mptcp" || protocol === "dccp") return;
		for (const accept of [0, 1]) {
			rule(
				`${name}: l3mdev_accept ${accept}: without a device receives ${accept === 0 ? "nothing" : "everything"} that comes in a VRF`,
				`
				${DEVICES}
				${file} ${accept}
				${name} s
				s bind ${any}:5000
				${dgram ? "" : "s listen 4"}
				${name} c d
				c device vrf0
				c bind ${inVrf[family]}:6000
				${
					dgram
						? `c send ${inVrf[family]}:5000 = 1`
						: `c connect ${inVrf[family]}:5000 = ${accept === 0 ? "ECONNREFUSED" : "0"}`
				}
				heard s = ${accept === 0 ? "nobody" : "s"}
				d bind ${outside[family]}:6000
				${dgram ? `d send ${outside[family]}:5000 = 1` : `d connect ${outside[family]}:5000`}
				heard s = s
				`,
			);
			// A group ends TCP's search, even if another socket is a better match. Over IPv4 the
			// last group comes first, over IPv6 the first one.
			const missed = !dgram && accept === 1 && family === 6;
			rule(
				`${name}: l3mdev_accept ${accept}: in a VRF receives what comes in the VRF${missed ? ", unless a group without a device was there before" : ""}`,
				`
				${DEVICES}
				${file} ${accept}
				${name} s v with ${dgram ? "SO_REUSEADDR" : "SO_REUSEPORT"}
				v device vrf0
				s bind ${any}:5000
				v bind ${any}:5000
				${dgram ? "" : "s listen 4\nv listen 4"}
				${name} c d
				c device vrf0
				c bind ${inVrf[family]}:6000
				${dgram ? `c send ${inVrf[family]}:5000 = 1` : `c connect ${inVrf[family]}:5000`}
				heard s v = ${missed ? "s" : "v"}
				d bind ${outside[family]}:6000
				${dgram ? `d send ${outside[family]}:5000 = 1` : `d connect ${outside[family]}:5000`}
				heard s v = s
				`,
			);
		}
	});
}

for (const { name, any } of kindsOf("sctp")) {
	describe(`a port of ${name} with VRFs`, () => {
		rule(
			`${name}: conflicts on the same device and with no device, and everywhere before sctp-l3mdev`,
			`
			${DEVICES}
			${lines(PLACES, (first) =>
				lines(PLACES, (second) => {
					const devices = first === "none" || second === "none" || first === second;
					return `
						${name} a b
						${on(first, "a")}
						${on(second, "b")}
						a bind ${any}:5000
						b bind ${any}:5000 = ${devices ? "EADDRINUSE" : "0 | 6.1.176: EADDRINUSE"}
						close a b
					`;
				}),
			)}
			`,
		);
	});
}
