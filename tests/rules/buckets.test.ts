// SPDX-License-Identifier: GPL-2.0-or-later
/** Buckets of a port: which sockets share one, and what it remembers of its owners. */
import { describe } from "vitest";
import { rule } from "../world.js";

describe("TCP:", () => {
	rule(
		"children of a wildcard listener that have one address share a bind2 bucket",
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
		r bind 127.0.0.1:5000 = EADDRINUSE # t does not share, and u shares
		t close
		`,
	);
	rule(
		"connect() shares a port that it chose again after the last socket that bind() put there has closed, since 6.18",
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
		"connect() does not share a port while a socket that called bind() has it on another address",
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
		"connect() does not share a port that bind() gave to a wildcard socket, also after this socket has connected",
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
		"a socket with SO_REUSEPORT shares the port of a listener that has cleared SO_REUSEPORT and has a child",
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
		"a socket with SO_REUSEADDR shares a port whose first socket had SO_REUSEADDR at its bind(), until 6.7",
		`
		tcp a with SO_REUSEADDR
		a bind 0.0.0.0:5000
		a set SO_REUSEADDR 0
		tcp b with SO_REUSEADDR
		b bind 127.0.0.1:5000 = EADDRINUSE | 6.3: 0 | 6.1.176: 0
		`,
	);
	rule(
		"a socket of AF_INET conflicts with a socket on ::ffff:0.0.0.0, whatever address another bucket has, since 6.6",
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
		"bind() checks every socket of a port after connect() has moved two of them to one address, since 6.8",
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
