// SPDX-License-Identifier: GPL-2.0-or-later
/** Buckets of a port: the sockets that share one, and its memory of its owners. */
import { describe } from "vitest";
import { rule } from "../world.js";

describe("bind buckets of TCP", () => {
	rule(
		"children of a wildcard listener on one address share its bind2 bucket",
		`
		tcp s with SO_REUSEADDR
		s bind 0.0.0.0:5000
		s listen 8
		tcp a b
		a connect 127.0.0.1:5000
		s accept t
		t set SO_REUSEADDR 0
		b connect 127.0.0.1:5000
		s accept u
		s close
		tcp r with SO_REUSEADDR
		r bind 127.0.0.1:5000 = EADDRINUSE # t does not share; u, which came later, does
		t close
		`,
	);
	rule(
		"a bucket that connect() shared with bind() is connect's own after the last bind()er has gone, since 6.18",
		`
		sysctl ipv4.ip_local_port_range 50200 50200
		tcp p q d
		p bind 127.0.0.1:80
		p listen 8
		q bind 127.0.0.1:81
		q listen 8
		tcp a b c with SO_REUSEADDR
		a connect 127.0.0.1:80
		b bind 127.0.0.1:50200
		c bind 127.0.0.1:50200
		d connect 127.0.0.1:81 = EADDRNOTAVAIL
		b close
		d connect 127.0.0.1:81 = EADDRNOTAVAIL
		c close
		d connect 127.0.0.1:81 = 0 | 6.3: EADDRNOTAVAIL | 6.1.176: EADDRNOTAVAIL | 6.12.107: EADDRNOTAVAIL
		`,
	);
	rule(
		"a bucket is not connect's own as long as a bind()er of another address is in it",
		`
		sysctl ipv4.ip_local_port_range 50200 50200
		tcp p q d
		p bind 127.0.0.1:80
		p listen 8
		q bind 127.0.0.1:81
		q listen 8
		tcp a b c with SO_REUSEADDR
		a connect 127.0.0.1:80
		b bind 127.0.0.2:50200
		c bind 127.0.0.1:50200
		c close
		d connect 127.0.0.1:81 = EADDRNOTAVAIL
		b close
		d connect 127.0.0.1:81 = 0 | 6.3: EADDRNOTAVAIL | 6.1.176: EADDRNOTAVAIL | 6.12.107: EADDRNOTAVAIL
		`,
	);
	rule(
		"a port that bind() gave stays bind's when connect() moves the socket to another address",
		`
		sysctl ipv4.ip_local_port_range 50200 50200
		tcp p q a b c
		p bind 127.0.0.1:80
		p listen 8
		q bind 127.0.0.1:81
		q listen 8
		a bind 0.0.0.0:50200
		a connect 127.0.0.1:80
		b bind 127.0.0.2:50200
		b close
		c connect 127.0.0.1:81 = EADDRNOTAVAIL
		`,
	);
	rule(
		"a listener that has cleared SO_REUSEPORT shares its port with one that has it while a child is there",
		`
		tcp s with SO_REUSEPORT
		s bind 0.0.0.0:5000
		s listen 8
		s set SO_REUSEPORT 0
		tcp a
		a connect 127.0.0.1:5000
		tcp b with SO_REUSEPORT
		b bind 127.0.0.1:5000
		`,
	);
	rule(
		"a socket with SO_REUSEADDR passes without a search where the first of a port had it, until 6.7",
		`
		tcp a with SO_REUSEADDR
		a bind 0.0.0.0:5000
		a set SO_REUSEADDR 0
		tcp b with SO_REUSEADDR
		b bind 127.0.0.1:5000 = EADDRINUSE | 6.3: 0 | 6.1.176: 0
		`,
	);
	rule(
		"a socket of AF_INET meets one on ::ffff:0.0.0.0, whatever address another bucket has, since 6.6",
		`
		ip addr add 2001:db8:1:2::1/64 dev lo
		tcp6 a b
		tcp c
		a bind [2001:db8:1:2::1]:0
		b bind [::ffff:0.0.0.0]:5000
		c bind 127.0.0.1:5000 = EADDRINUSE | 6.3: 0
		`,
	);
	rule(
		"a bind() after two sockets that connect() moved to one address is searched for, since 6.8",
		`
		tcp p q
		p bind 127.0.0.1:80
		p listen 8
		q bind 127.0.0.1:81
		q listen 8
		tcp a b with SO_REUSEADDR
		a bind 0.0.0.0:5000
		b bind 0.0.0.0:5000
		a connect 127.0.0.1:80
		a set SO_REUSEADDR 0
		b connect 127.0.0.1:81
		tcp c with SO_REUSEADDR
		c bind 127.0.0.1:5000 = EADDRINUSE | 6.3: 0 | 6.1.176: 0
		`,
	);
});
