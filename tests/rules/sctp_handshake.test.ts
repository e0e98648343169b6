// SPDX-License-Identifier: GPL-2.0-or-later
/** SCTP: where an INIT goes, and which end refuses it. */
import { describe } from "vitest";
import { rule } from "../world.js";

describe("the INIT of an SCTP socket", () => {
	rule(
		"goes through lo to the address of a device in a VRF, if no better route exists",
		`
		ip link add vrf0 type vrf table 10
		ip link set vrf0 up
		ip link add dummy0 type dummy
		ip link set dummy0 master vrf0
		ip link set dummy0 up
		ip addr add 203.0.113.10/28 dev dummy0
		ip route add default dev lo
		sctp s a b
		s bind 0.0.0.0:5000
		s listen 4
		a connect 203.0.113.10:5000
		a peer = 203.0.113.10:5000
		b connect 203.0.113.10:5001 = ECONNREFUSED
		`,
	);
	rule(
		"reaches sockets that are bound to the device or to its VRF, since sctp-l3mdev",
		`
		ip link add vrf0 type vrf table 10
		ip link set vrf0 up
		ip link add dummy0 type dummy
		ip link set dummy0 master vrf0
		ip link set dummy0 up
		ip addr add 198.51.100.10/24 dev dummy0
		sctp s a
		s device vrf0
		a device dummy0
		s bind 0.0.0.0:5000
		s listen 4
		a bind 0.0.0.0:6000
		a start 198.51.100.10:5000 = EINPROGRESS
		a peer = 198.51.100.10:5000 | 6.1.176: ENOTCONN
		`,
	);
	rule(
		"has an answer before a listener whose queue is full refuses the COOKIE ECHO",
		`
		sctp s a b c
		s bind 0.0.0.0:5000
		s listen 1
		a connect 127.0.0.1:5000
		b connect 127.0.0.1:5000
		s name = 127.0.0.1:5000
		c connect 192.0.2.10:5000 = ECONNREFUSED
		s name = 192.0.2.10:5000
		`,
	);
});

/** A device in a VRF, and one outside. */
const DEVICES = `
		ip link add vrf0 type vrf table 10
		ip link set vrf0 up
		ip link add d0 address 02:00:00:00:00:01 type dummy
		ip link set d0 master vrf0
		ip link set d0 up
		ip link add d1 address 02:00:00:00:00:02 type dummy
		ip link set d1 up
		ip addr add fe80::1/64 dev lo nodad
		ip addr add 2001:db8:3::10/64 dev d1 nodad
		`;

describe("the INIT of an SCTP socket to a link-local address", () => {
	rule(
		"is answered by the device of the address, which the kernel makes the scope of the source",
		`${DEVICES}
		sctp6 s a b c
		s bind [::]:5000
		s listen 4
		a start [fe80::ff:fe00:1%d0]:5000 = EINPROGRESS
		a peer = [fe80::ff:fe00:1]:5000
		s name = [fe80::ff:fe00:1]:5000
		b connect [fe80::ff:fe00:2%d1]:5000
		s name = [fe80::ff:fe00:2]:5000
		c connect [fe80::1%lo]:5000
		s name = [fe80::1]:5000
		s accept d
		d name = [fe80::1]:5000
		`,
	);
	rule(
		"has no answer if the scope is not the device of the address",
		`${DEVICES}
		sctp6 s a b
		s bind [::]:5000
		s listen 4
		a start [fe80::ff:fe00:2%d0]:5000 = EINPROGRESS
		a peer = ENOTCONN
		b start [fe80::ff:fe00:1%lo]:5000 = EINPROGRESS
		b peer = ENOTCONN
		`,
	);
	rule(
		"gives the socket a soft error if lo has the prefix, but not the address; SO_ERROR takes it",
		`
		ip addr add fe80::1/64 dev lo nodad
		sctp6 a
		a start [fe80::9%lo]:80 = EINPROGRESS
		a error = ENETUNREACH
		a error = 0
		a start [fe80::9%lo]:80 = EALREADY
		`,
	);
	rule(
		"is refused if nobody listens, by the same device",
		`${DEVICES}
		sctp6 a b
		a connect [fe80::ff:fe00:1%d0]:5000 = ECONNREFUSED
		b connect [fe80::ff:fe00:2%d1]:5000 = ECONNREFUSED
		`,
	);
	rule(
		"does not meet a listener on an address with another scope",
		`${DEVICES}
		ip addr add fe80::1/64 dev d1 nodad
		sctp6 s a b
		s bind [fe80::1%lo]:5000
		s listen 4
		a connect [fe80::1%d1]:5000 = ECONNREFUSED
		b connect [fe80::1%lo]:5000
		b peer = [fe80::1]:5000
		`,
	);
	rule(
		"does not reach a socket that is bound to the VRF of the device",
		`${DEVICES}
		sctp6 s a t b
		s device vrf0
		s bind [::]:5000
		s listen 4
		a connect [fe80::ff:fe00:1%d0]:5000 = ECONNREFUSED
		t device d0
		t bind [::]:5001
		t listen 4
		b connect [fe80::ff:fe00:1%d0]:5001
		`,
	);
});

describe("an INIT ACK that comes from another address than its INIT went to", () => {
	rule(
		"does not add the address that it comes from, so the COOKIE ACK from there is lost",
		`${DEVICES}
		sctp6 s a
		s bind [::]:5000
		s listen 4
		a bind [fe80::ff:fe00:2%d1]:6000
		a start [2001:db8:3::10]:5000 = EINPROGRESS
		a peer = ENOTCONN
		s accept c
		c peer = [fe80::ff:fe00:2]:6000
		`,
	);
});

/** The second client restarts the association of the first one, whose packets nobody answers. */
const RESTARTED = `
		sctp s a with SO_REUSEADDR
		sctp6 b with SO_REUSEADDR
		sctp t x
		s bind 127.0.0.1:5000
		s listen 4
		a bind 0.0.0.0:6000
		b bind [::]:6000
		a connect 127.0.0.1:5000
		s accept c
		b connect [::ffff:127.0.0.1]:5000
		`;

describe("an SCTP INIT that meets an association", () => {
	rule(
		"restarts it, and the first socket's packets have no answer until the association is gone",
		`${RESTARTED}
		b peer = [::ffff:127.0.0.1]:5000
		a peer = 127.0.0.1:5000
		s accept d = EAGAIN
		close a
		x bind 127.0.0.1:6000 = EADDRINUSE
		close b
		c recv = 0
		x bind 127.0.0.1:6000 = EADDRINUSE
		pass 2000
		x bind 127.0.0.1:6000 = EADDRINUSE
		pass 1400
		x bind 127.0.0.1:6000
		`,
	);
	rule(
		"is refused if it adds an address of the peer",
		`
		sctp s a with SO_REUSEADDR
		sctp6 b with SO_REUSEADDR
		s bind 127.0.0.1:5000
		s listen 4
		a bind 127.0.0.1:6000
		b bind [::]:6000
		a connect 127.0.0.1:5000
		b connect [::ffff:127.0.0.1]:5000 = ECONNREFUSED
		a peer = 127.0.0.1:5000
		`,
	);
	rule(
		"does so by the address that it came from, even if it was sent to another one",
		`
		sctp6 s b
		sctp a
		a set SO_REUSEADDR 1
		b set SO_REUSEADDR 1
		s bind [::]:5000
		s listen 4
		a bind 127.0.0.1:6000
		b bind [::]:6000
		a connect 127.0.0.1:5000
		b connect [::ffff:127.0.0.2]:5000 = ECONNREFUSED
		`,
	);
	rule(
		"is refused at the address by which it met the association, so its client may not notice",
		`
		sctp6 s b with SO_REUSEADDR
		sctp a with SO_REUSEADDR
		s bind [::]:5000
		s listen 4
		a bind 0.0.0.0:6000
		b bind [::]:6000
		a connect 127.0.0.1:5000
		b start [2001:db8::10]:5000 = EINPROGRESS
		b getopt SO_ERROR 4 = 00000000
		b start [2001:db8::10]:5000 = EALREADY
		`,
	);
	rule(
		"completes the association that has had no answer",
		`
		sctp s a b with SO_REUSEADDR
		s bind 0.0.0.0:5000
		s listen 4
		a bind 127.0.0.1:6000
		a start 127.0.0.2:5000 = EINPROGRESS
		a peer = ENOTCONN
		a start 127.0.0.2:5000 = EALREADY
		close s
		b bind 127.0.0.2:5000
		b connect 127.0.0.1:6000
		b peer = 127.0.0.1:6000
		a peer = 127.0.0.2:5000
		a start 127.0.0.2:5000 = EISCONN
		`,
	);
	rule(
		"is sent again after 3 s",
		`
		sctp s t a with SO_REUSEADDR
		s bind 0.0.0.0:5000
		s listen 4
		a bind 127.0.0.1:6000
		a start 127.0.0.2:5000 = EINPROGRESS
		close s
		t bind 127.0.0.2:5000
		t listen 4
		pass 2000
		a peer = ENOTCONN
		pass 1400
		a peer = 127.0.0.2:5000
		t accept c
		`,
	);
	rule(
		"begins no second association while an ended one waits for accept()",
		`
		sctp s a b
		s bind 127.0.0.1:5000
		s listen 4
		a bind 127.0.0.1:6000
		a connect 127.0.0.1:5000
		close a
		b bind 127.0.0.1:6000
		b start 127.0.0.1:5000 = EINPROGRESS
		b peer = ENOTCONN
		s accept c
		s accept d = EAGAIN
		close c
		pass 3400
		b peer = 127.0.0.1:5000
		s accept d
		`,
	);
});

describe("the shutdown of an SCTP association whose peer has restarted", () => {
	rule(
		"leaves the socket closing, and close() does not end it",
		`${RESTARTED}
		a shutdown wr
		a start 127.0.0.1:5000 = EISCONN
		a error = 0
		close a
		close b
		close c
		close s
		t bind 127.0.0.1:5000
		x bind 127.0.0.1:6000 = EADDRINUSE
		pass 3400
		x bind 127.0.0.1:6000
		`,
	);
	rule(
		"ends at once with SO_LINGER of 0 s",
		`${RESTARTED}
		a setopt SO_LINGER 0100000000000000 8
		close a
		close b
		x bind 127.0.0.1:6000
		`,
	);
	rule(
		"is answered by ABORT when it is sent again and nobody has the association",
		`${RESTARTED}
		close b
		close c
		a shutdown wr
		a error = ECONNRESET
		a peer = 127.0.0.1:5000
		`,
	);
});

describe("accept() of an SCTP socket that listens after it has connected", () => {
	rule(
		"returns the association that has had no answer, and then the queue counts as full",
		`
		sctp s a
		s start 198.51.100.1:80 = EINPROGRESS
		s listen 3
		s port = $p
		s accept c
		a connect 127.0.0.1:$p = ECONNREFUSED
		s accept d = EAGAIN
		`,
	);
});
