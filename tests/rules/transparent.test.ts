// SPDX-License-Identifier: GPL-2.0-or-later
/** IP_TRANSPARENT and IPV6_TRANSPARENT: addresses of other hosts, with the capability. */
import { describe, expect, it } from "vitest";
import { IP_TRANSPARENT, Kernel, SOCK_STREAM, SOL_IP } from "../../kernel-model/index.js";
import { rule } from "../world.js";

const IPV4 = "0.19";
const IPV6 = "41.75";

describe("IP_TRANSPARENT", () => {
	rule(
		"needs a privilege to be set, and none to be cleared",
		`
		user 1000
		a setopt ${IPV4} 01000000 4 = EPERM
		# A negative length is refused before the privilege is checked.
		a setopt ${IPV4} 01000000 -1 = EINVAL
		a setopt ${IPV4} 00000000 4
		a setopt ${IPV4} 00 0 = EINVAL
		a getopt ${IPV4} 4 = 00000000
		user 0
		b setopt ${IPV4} 01000000 4
		b getopt ${IPV4} 4 = 01000000
		b setopt ${IPV4} NULL 4 = EFAULT
		b setopt ${IPV4} 00 1
		b getopt ${IPV4} 4 = 00000000
		b setopt ${IPV4} 07 1
		b getopt ${IPV4} 1 = 01
		`,
	);
	rule(
		"lets bind() use an address that no device has",
		`
		a bind 203.0.113.5:5000 = EADDRNOTAVAIL
		a setopt ${IPV4} 01000000 4
		a bind 203.0.113.5:5000
		a name = 203.0.113.5:5000
		b setopt ${IPV4} 01000000 4
		b bind 203.0.113.5:5000 = EADDRINUSE
		b bind 203.0.113.6:5000
		udp u
		u setopt ${IPV4} 01000000 4
		u bind 203.0.113.5:5000
		`,
	);
	rule(
		"lets connect() use a source address that no device has, and IP_FREEBIND does not",
		`
		ip route add default dev lo
		a set IP_FREEBIND 1
		a bind 203.0.113.5:5000
		a start 198.51.100.1:80 = ENETUNREACH
		b setopt ${IPV4} 01000000 4
		b bind 203.0.113.5:5001
		b start 198.51.100.1:80 = EINPROGRESS
		b name = 203.0.113.5:5001
		`,
	);
	rule(
		"does not change a connection from an address of the namespace",
		`
		a bind 127.0.0.1:5000
		a listen 1
		b setopt ${IPV4} 01000000 4
		b connect 127.0.0.1:5000
		`,
	);
});

it("a connection to this host from an address that it does not have is not modelled", () => {
	const kernel = new Kernel();
	const net = kernel.createNet();
	net.setLink("lo", true);
	const task = kernel.createTask({ net });
	const fd = task.socket(2, SOCK_STREAM, 0);
	task.setsockopt(fd, SOL_IP, IP_TRANSPARENT, 1);
	const bound = task.bind(fd, { family: "AF_INET", address: "203.0.113.5", port: 0 });
	expect(bound).toBe(0);
	const local = { family: "AF_INET", address: "127.0.0.1", port: 80 } as const;
	expect(() => task.connect(fd, local)).toThrow("from an address that it does not have");
	kernel.verify();
});

describe("IPV6_TRANSPARENT", () => {
	rule(
		"needs a privilege to be set, and a value of an int",
		`
		user 1000
		tcp6 a
		a setopt ${IPV6} 01000000 4 = EPERM
		a setopt ${IPV6} 00000000 4
		a setopt ${IPV6} 00 1 = EINVAL
		user 0
		tcp6 b
		b setopt ${IPV6} 01000000 4
		b getopt ${IPV6} 4 = 01000000
		`,
	);
	rule(
		"is the same flag as IP_TRANSPARENT",
		`
		tcp6 a b
		a bind [2001:db8::5]:5000 = EADDRNOTAVAIL
		a setopt ${IPV6} 01000000 4
		a getopt ${IPV4} 4 = 01000000
		a bind [2001:db8::5]:5000
		b setopt ${IPV4} 01000000 4
		b bind [::ffff:203.0.113.5]:5000
		`,
	);
});
