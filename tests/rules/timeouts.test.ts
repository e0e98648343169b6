// SPDX-License-Identifier: GPL-2.0-or-later
/**
 * Options and sysctls that decide when a connection without an answer ends, and so when its port is
 * free again. "1.9" is SO_KEEPALIVE, "1.20" SO_RCVTIMEO, "1.21" SO_SNDTIMEO; of SOL_TCP "6.4" is
 * TCP_KEEPIDLE, "6.5" TCP_KEEPINTVL, "6.6" TCP_KEEPCNT, "6.7" TCP_SYNCNT, "6.8" TCP_LINGER2, "6.9"
 * TCP_DEFER_ACCEPT, "6.18" TCP_USER_TIMEOUT, "6.44" TCP_RTO_MAX_MS, "6.45" TCP_RTO_MIN_US.
 */
import { describe } from "vitest";
import { rule } from "../world.js";

const VERSIONS = ["6.1.176", "6.3", "6.12", "6.18.44", "7.3"];

/**
 * 192.0.2.20 is an address of the host until `GONE`. Then packets to it are lost: they reach lo by
 * the default route, and no socket is there.
 */
const LOSES = `
	ip addr add 192.0.2.20/32 dev lo
	ip route add default dev lo
	s bind 192.0.2.20:7000
	s listen 4
	c bind 192.0.2.10:6000
`;
const GONE = "ip addr del 192.0.2.20/32 dev lo";

describe("values of the options:", () => {
	rule(
		"TCP_SYNCNT takes 1 to 127",
		`
		a set 6.7 -1 = EINVAL
		a set 6.7 0 = EINVAL
		a set 6.7 128 = EINVAL
		a set 6.7 -2147483648 = EINVAL
		a getopt 6.7 4 = 06000000
		a set 6.7 127
		a getopt 6.7 4 = 7f000000
		a setopt 6.7 010000 3 = EINVAL
		a setopt 6.7 NULL 4 = EFAULT
		`,
		VERSIONS,
	);
	rule(
		"TCP_LINGER2 takes every value: a negative one is -1, more than 120 s are 120 s",
		`
		a getopt 6.8 4 = 3c000000
		a set 6.8 -1
		a getopt 6.8 4 = ffffffff
		a set 6.8 -2147483648
		a getopt 6.8 4 = ffffffff
		a set 6.8 120
		a getopt 6.8 4 = 78000000
		a set 6.8 121
		a getopt 6.8 4 = 78000000
		a set 6.8 2147483647
		a getopt 6.8 4 = 78000000
		a set 6.8 0
		a getopt 6.8 4 = 3c000000
		write tcp_fin_timeout "7"
		a getopt 6.8 4 = 07000000
		a getopt 6.8 2 = 0700
		a setopt 6.8 0100 2 = EINVAL
		`,
		VERSIONS,
	);
	rule(
		"TCP_DEFER_ACCEPT is kept as a number of retransmissions",
		`
		a getopt 6.9 4 = 00000000
		a set 6.9 -1
		a getopt 6.9 4 = 00000000
		a set 6.9 1
		a getopt 6.9 4 = 01000000
		a set 6.9 2
		a getopt 6.9 4 = 03000000
		a set 6.9 3
		a getopt 6.9 4 = 03000000
		a set 6.9 4
		a getopt 6.9 4 = 07000000
		a set 6.9 128
		a getopt 6.9 4 = f7000000
		a set 6.9 2147483647
		a getopt 6.9 4 = bf740000
		a set 6.9 0
		a getopt 6.9 4 = 00000000
		`,
		VERSIONS,
	);
	rule(
		"TCP_USER_TIMEOUT takes every value that is not negative",
		`
		a getopt 6.18 4 = 00000000
		a set 6.18 -1 = EINVAL
		a set 6.18 2147483647
		a getopt 6.18 4 = ffffff7f
		a set 6.18 1
		a getopt 6.18 4 = 01000000
		a set 6.18 0
		a getopt 6.18 8 = 00000000
		a getopt 6.18 -1 = EINVAL
		a setopt 6.18 01 1 = EINVAL
		`,
		VERSIONS,
	);
	rule(
		"TCP_KEEPIDLE and TCP_KEEPINTVL take 1 to 32767 s, TCP_KEEPCNT 1 to 127 probes",
		`
		a getopt 6.4 4 = 201c0000
		a getopt 6.5 4 = 4b000000
		a getopt 6.6 4 = 09000000
		a set 6.4 0 = EINVAL
		a set 6.4 32768 = EINVAL
		a set 6.4 -1 = EINVAL
		a set 6.4 32767
		a getopt 6.4 4 = ff7f0000
		a set 6.5 0 = EINVAL
		a set 6.5 32768 = EINVAL
		a set 6.5 32767
		a getopt 6.5 4 = ff7f0000
		a set 6.6 0 = EINVAL
		a set 6.6 128 = EINVAL
		a set 6.6 127
		a getopt 6.6 4 = 7f000000
		write tcp_keepalive_time "11"
		write tcp_keepalive_intvl "12"
		write tcp_keepalive_probes "255"
		a getopt 6.4 4 = ff7f0000
		b getopt 6.4 4 = 0b000000
		b getopt 6.5 4 = 0c000000
		b getopt 6.6 4 = ff000000
		`,
		VERSIONS,
	);
	rule(
		"SO_KEEPALIVE reads back as 0 or 1, on every socket",
		`
		a getopt 1.9 4 = 00000000
		a set 1.9 -7
		a getopt 1.9 4 = 01000000
		a set 1.9 0
		a getopt 1.9 4 = 00000000
		udp u
		u set 1.9 256
		u getopt 1.9 4 = 01000000
		`,
		VERSIONS,
	);
	rule(
		"SO_RCVTIMEO and SO_SNDTIMEO are kept in jiffies of 4 ms",
		`
		a getopt 1.20 16 = 00000000000000000000000000000000
		a setopt 1.20 02000000000000000100000000000000 16
		a getopt 1.20 16 = 0200000000000000a00f000000000000
		a setopt 1.21 00000000000000003f420f0000000000 16
		a getopt 1.21 16 = 01000000000000000000000000000000
		a setopt 1.21 000000000000000040420f0000000000 16 = EDOM
		a setopt 1.21 0000000000000000ffffffffffffffff 16 = EDOM
		a setopt 1.21 0000000000000000 8 = EINVAL
		a setopt 1.21 NULL 16 = EFAULT
		a getopt 1.21 16 = 01000000000000000000000000000000
		a setopt 1.20 ffffffffffffffff0000000000000000 16
		a getopt 1.20 16 = 00000000000000000000000000000000
		a setopt 1.20 ffffffffffffff7f0000000000000000 16
		a getopt 1.20 9 = 000000000000000000
		a setopt 1.66 05000000000000000000000000000000 16
		a getopt 1.20 16 = 05000000000000000000000000000000
		`,
		VERSIONS,
	);
	rule(
		"TCP_RTO_MAX_MS takes 1 to 120 s, TCP_RTO_MIN_US 2 to 50 jiffies, since 6.15",
		`
		a set 6.44 999 = ENOPROTOOPT | 6.18.44: EINVAL | 7.3: EINVAL
		a set 6.44 120001 = ENOPROTOOPT | 6.18.44: EINVAL | 7.3: EINVAL
		a set 6.44 -1 = ENOPROTOOPT | 6.18.44: EINVAL | 7.3: EINVAL
		a getopt 6.44 4 = ENOPROTOOPT | 6.18.44: c0d40100 | 7.3: c0d40100
		a set 6.44 1001 = ENOPROTOOPT | 6.18.44: 0 | 7.3: 0
		a getopt 6.44 4 = ENOPROTOOPT | 6.18.44: ec030000 | 7.3: ec030000
		a getopt 6.45 4 = ENOPROTOOPT | 6.18.44: 400d0300 | 7.3: 400d0300
		a set 6.45 4000 = ENOPROTOOPT | 6.18.44: EINVAL | 7.3: EINVAL
		a set 6.45 0 = ENOPROTOOPT | 6.18.44: EINVAL | 7.3: EINVAL
		a set 6.45 -1 = ENOPROTOOPT | 6.18.44: EINVAL | 7.3: EINVAL
		a set 6.45 200001 = ENOPROTOOPT | 6.18.44: EINVAL | 7.3: EINVAL
		a set 6.45 4001 = ENOPROTOOPT | 6.18.44: 0 | 7.3: 0
		a getopt 6.45 4 = ENOPROTOOPT | 6.18.44: 401f0000 | 7.3: 401f0000
		a set 6.45 200000 = ENOPROTOOPT | 6.18.44: 0 | 7.3: 0
		`,
		VERSIONS,
	);
});

describe("the sysctls beside them:", () => {
	rule(
		"numbers of one byte end at 255",
		`
		write tcp_synack_retries "255"
		write tcp_synack_retries "256" = EINVAL
		write tcp_retries1 "0"
		write tcp_retries1 "256" = EINVAL
		write tcp_retries2 "255"
		write tcp_retries2 "-1" = EINVAL
		write tcp_orphan_retries "255"
		write tcp_orphan_retries "256" = EINVAL
		write tcp_keepalive_probes "0"
		write tcp_keepalive_probes "256" = EINVAL
		write tcp_abort_on_overflow "255"
		write tcp_abort_on_overflow "256" = EINVAL
		write tcp_rfc1337 "255"
		write tcp_rfc1337 "256" = EINVAL
		`,
		VERSIONS,
	);
	rule(
		"times in seconds may be negative, up to what an int of jiffies holds",
		`
		write tcp_keepalive_time "-8589934"
		write tcp_keepalive_time "8589934"
		write tcp_keepalive_time "8589935" = EINVAL
		write tcp_keepalive_intvl "0"
		write tcp_keepalive_intvl "8589935" = EINVAL
		a getopt 6.5 4 = 00000000
		write tcp_max_orphans "1" = ENOENT
		`,
		VERSIONS,
	);
	rule(
		"tcp_rto_min_us and tcp_rto_max_ms hold for sockets that are made later",
		`
		write tcp_rto_min_us "0" = ENOENT | 6.12: EINVAL | 6.18.44: EINVAL | 7.3: EINVAL
		write tcp_rto_min_us "5000" = ENOENT | 6.12: 0 | 6.18.44: 0 | 7.3: 0
		write tcp_rto_max_ms "999" = ENOENT | 6.18.44: EINVAL | 7.3: EINVAL
		write tcp_rto_max_ms "120001" = ENOENT | 6.18.44: EINVAL | 7.3: EINVAL
		write tcp_rto_max_ms "1999" = ENOENT | 6.18.44: 0 | 7.3: 0
		a getopt 6.44 4 = ENOPROTOOPT | 6.18.44: d0070000 | 7.3: d0070000
		a getopt 6.45 4 = ENOPROTOOPT | 6.18.44: 401f0000 | 7.3: 401f0000
		`,
		VERSIONS,
	);
});

describe("a connect() without an answer", () => {
	rule(
		"ends after TCP_USER_TIMEOUT, but not before the first retransmission",
		`
		a set 6.18 300
		a bind 192.0.2.10:6000
		a start 198.51.100.1:80 = EINPROGRESS
		pass 800
		a start 198.51.100.1:80 = EALREADY
		pass 300
		a error = ETIMEDOUT
		b set 6.18 1500
		b start 198.51.100.1:80 = EINPROGRESS
		pass 1300
		b start 198.51.100.1:80 = EALREADY
		pass 300
		b error = ETIMEDOUT
		`,
		VERSIONS,
	);
	rule(
		"ends by TCP_SYNCNT, even if TCP_USER_TIMEOUT is longer",
		`
		a set 6.18 60000
		a set 6.7 1
		write tcp_syn_linear_timeouts "0" = ENOENT | 6.12: 0 | 6.18.44: 0 | 7.3: 0
		a start 198.51.100.1:80 = EINPROGRESS
		pass 2800
		a start 198.51.100.1:80 = EALREADY
		pass 400
		a error = ETIMEDOUT
		`,
		VERSIONS,
	);
	rule(
		"sends its SYNs at most TCP_RTO_MAX_MS apart, since 6.15",
		`
		a set 6.44 1000
		a set 6.7 3
		write tcp_syn_linear_timeouts "0"
		a start 198.51.100.1:80 = EINPROGRESS
		pass 3700 # SYNs at 0, 1, 2, 3 s
		a start 198.51.100.1:80 = EALREADY
		pass 500
		a error = ETIMEDOUT
		`,
		["6.18.44", "7.3"],
	);
	rule(
		"that sleeps returns EINPROGRESS after SO_SNDTIMEO, and EALREADY the second time",
		`
		a setopt 1.21 0000000000000000400d030000000000 16 # 200 ms
		a bind 192.0.2.10:6000
		a connect 198.51.100.1:80 = EINPROGRESS
		a connect 198.51.100.1:80 = EALREADY
		a setopt 1.21 ffffffffffffffff0000000000000000 16
		a connect 198.51.100.1:80 = EALREADY
		b setopt 1.21 ffffffffffffffff0000000000000000 16
		b connect 198.51.100.1:80 = EINPROGRESS
		`,
		VERSIONS,
	);
});

describe("data without an answer", () => {
	rule(
		"ends the connection after TCP_USER_TIMEOUT, counted from the first retransmission",
		`
		${LOSES}
		c set 6.18 500
		c start 192.0.2.20:7000 = EINPROGRESS
		${GONE}
		c send 1 = 1
		pass 700
		c start 192.0.2.20:7000 = 0
		pass 500
		c error = ETIMEDOUT
		`,
		VERSIONS,
	);
	rule(
		"ends it by tcp_retries2, whose retransmissions count as time",
		`
		${LOSES}
		write tcp_retries2 "1"
		c start 192.0.2.20:7000 = EINPROGRESS
		${GONE}
		c send 1 = 1
		pass 1300 # retransmissions at 0.4, 0.8 s
		c error = 0
		pass 800
		c error = ETIMEDOUT
		`,
		VERSIONS,
	);
	rule(
		"arrives by way of lo, but the peer cannot acknowledge it without its address",
		`
		${LOSES}
		c start 192.0.2.20:7000 = EINPROGRESS
		s accept t
		${GONE}
		c send 3 = 3
		t recv = 1
		t send = 1
		c recv = EAGAIN
		ip addr add 192.0.2.20/32 dev lo
		pass 1000
		t recv 9 = 2
		c recv = 1
		c close
		t recv = 0
		`,
		VERSIONS,
	);
	rule(
		"arrives when the way is there again",
		`
		${LOSES}
		c start 192.0.2.20:7000 = EINPROGRESS
		s accept t
		ip route del default dev lo
		${GONE}
		c send 3 = 3
		t recv = EAGAIN
		ip addr add 192.0.2.20/32 dev lo
		pass 1000
		t recv 9 = 3
		`,
		VERSIONS,
	);
	rule(
		"that has no route is tried again as often as tcp_retries2 says",
		`
		${LOSES}
		write tcp_retries2 "2"
		c start 192.0.2.20:7000 = EINPROGRESS
		ip route del default dev lo
		${GONE}
		c send 1 = 1
		pass 1200 # probes at 0.2, 0.6 s
		c error = 0
		pass 500
		c error = ETIMEDOUT
		`,
		VERSIONS,
	);
	rule(
		"that has no route is tried again for TCP_USER_TIMEOUT",
		`
		${LOSES}
		c set 6.18 500
		c start 192.0.2.20:7000 = EINPROGRESS
		ip route del default dev lo
		${GONE}
		c send 1 = 1
		pass 600
		c error = 0
		pass 400
		c error = ETIMEDOUT
		`,
		VERSIONS,
	);
	rule(
		"that was sent ends the connection with the error of the route, if there is one later",
		`
		${LOSES}
		c set 6.18 300
		c start 192.0.2.20:7000 = EINPROGRESS
		${GONE}
		c send 1 = 1
		ip route del default dev lo
		pass 1000
		c error = ENETUNREACH
		`,
		VERSIONS,
	);
});

describe("an orphan whose FIN is not answered", () => {
	rule(
		"ends by tcp_orphan_retries, whose retransmissions count as time",
		`
		${LOSES}
		write tcp_orphan_retries "1"
		c start 192.0.2.20:7000 = EINPROGRESS
		${GONE}
		c close
		pass 1300 # retransmissions at 0.4, 0.8 s
		d bind 192.0.2.10:6000 = EADDRINUSE
		pass 700
		d bind 192.0.2.10:6000
		`,
		VERSIONS,
	);
	rule(
		"ends by TCP_USER_TIMEOUT, if it is set",
		`
		${LOSES}
		c set 6.18 500
		c start 192.0.2.20:7000 = EINPROGRESS
		${GONE}
		c close
		pass 700
		d bind 192.0.2.10:6000 = EADDRINUSE
		pass 500
		d bind 192.0.2.10:6000
		`,
		VERSIONS,
	);
	rule(
		"ends after as many tries as tcp_orphan_retries says if there is no route",
		`
		${LOSES}
		write tcp_orphan_retries "2"
		c start 192.0.2.20:7000 = EINPROGRESS
		ip route del default dev lo
		${GONE}
		c close
		pass 1200 # probes at 0.2, 0.6 s
		d bind 192.0.2.10:6000 = EADDRINUSE
		pass 500
		d bind 192.0.2.10:6000
		`,
		VERSIONS,
	);
	rule(
		"sends its FIN sooner with a shorter TCP_RTO_MIN_US, since 6.15",
		`
		${LOSES}
		write tcp_orphan_retries "1"
		c set 6.45 20000
		c start 192.0.2.20:7000 = EINPROGRESS
		${GONE}
		c close
		pass 500 # retransmissions at 0.05, 0.1, 0.2, 0.4 s
		d bind 192.0.2.10:6000 = EADDRINUSE
		pass 500
		d bind 192.0.2.10:6000
		`,
		["6.18.44", "7.3"],
	);
});

describe("SO_KEEPALIVE", () => {
	rule(
		"ends an idle connection whose peer does not answer TCP_KEEPCNT probes",
		`
		${LOSES}
		c set 1.9 1
		c set 6.4 1
		c set 6.5 1
		c set 6.6 2
		c start 192.0.2.20:7000 = EINPROGRESS
		${GONE}
		pass 2700 # probes after 1 and 2 s
		c error = 0
		pass 700
		c error = ETIMEDOUT
		`,
		VERSIONS,
	);
	rule(
		"does not end a connection whose peer answers",
		`
		s bind 127.0.0.1:7000
		s listen 4
		c set 1.9 1
		c set 6.4 1
		c set 6.5 1
		c set 6.6 1
		c start 127.0.0.1:7000 = EINPROGRESS
		pass 4500
		c send 1 = 1
		c error = 0
		`,
		VERSIONS,
	);
	rule(
		"finds that the peer has forgotten the connection",
		`
		s bind 127.0.0.1:7000
		s listen 4
		c bind 127.0.0.1:6000
		c set 6.4 1
		c start 127.0.0.1:7000 = EINPROGRESS
		s accept t
		write tcp_fin_timeout "1"
		t close
		pass 1500 # the peer's FIN_WAIT2 is over
		c set 1.9 1
		pass 1500
		c error = EPIPE
		`,
		VERSIONS,
	);
	rule(
		"is inherited by accepted connections, with its times",
		`
		${LOSES}
		s set 1.9 1
		s set 6.4 1
		s set 6.5 1
		s set 6.6 1
		s set 6.18 1234
		c start 192.0.2.20:7000 = EINPROGRESS
		s accept t
		t getopt 1.9 4 = 01000000
		t getopt 6.4 4 = 01000000
		t getopt 6.18 4 = d2040000
		t set 6.18 0
		ip addr del 192.0.2.10/32 dev lo
		pass 1600
		t error = 0
		pass 900
		t error = ETIMEDOUT
		`,
		VERSIONS,
	);
	rule(
		"ends by TCP_USER_TIMEOUT, if it is set, whatever TCP_KEEPCNT says",
		`
		${LOSES}
		c set 1.9 1
		c set 6.4 1
		c set 6.5 1
		c set 6.18 1500
		c start 192.0.2.20:7000 = EINPROGRESS
		${GONE}
		pass 1700
		c error = 0
		pass 700
		c error = ETIMEDOUT
		`,
		VERSIONS,
	);
	rule(
		"that is switched off, or whose time grows, probes no more or later",
		`
		${LOSES}
		c set 1.9 1
		c set 6.4 1
		c set 6.5 1
		c set 6.6 1
		c start 192.0.2.20:7000 = EINPROGRESS
		${GONE}
		pass 500
		c set 1.9 0
		pass 2500
		c error = 0
		c set 1.9 1
		c set 6.4 4
		pass 500
		c error = 0
		pass 2500
		c error = ETIMEDOUT
		`,
		VERSIONS,
	);
});

describe("an IPv6 connection", () => {
	rule(
		"has the timeouts of the sysctls and of SO_KEEPALIVE as well",
		`
		tcp6 s c
		c getopt 6.44 4 = ENOPROTOOPT | 6.18.44: c0d40100 | 7.3: c0d40100
		c getopt 6.45 4 = ENOPROTOOPT | 6.18.44: 400d0300 | 7.3: 400d0300
		s bind [::1]:7000
		s listen 4
		c set 6.4 1
		c start [::1]:7000 = EINPROGRESS
		s accept t
		write tcp_fin_timeout "1"
		t close
		pass 1500 # the peer's FIN_WAIT2 is over
		c set 1.9 1
		pass 1500
		c error = EPIPE
		`,
		VERSIONS,
	);
});

describe("accept()", () => {
	rule(
		"of a full queue resets the client with tcp_abort_on_overflow",
		`
		write tcp_abort_on_overflow "1"
		s bind 127.0.0.1:7000
		s listen 0
		a bind 127.0.0.1:6000
		b bind 127.0.0.1:6001
		a start 127.0.0.1:7000 = EINPROGRESS
		b start 127.0.0.1:7000 = EINPROGRESS
		a error = 0
		b error
		`,
		VERSIONS,
	);
});

/** With versions before and after MPTCP got the options of keepalive. */
const MPTCP_VERSIONS = ["6.1.176", "6.3", "6.8", "6.9", "6.10", "6.12", "6.18.44", "7.3"];

for (const mptcp of ["mptcp", "mptcp6"]) {
	const lo = mptcp === "mptcp" ? "127.0.0.1" : "[::1]";
	describe(`an ${mptcp} socket`, () => {
		rule(
			`${mptcp}: TCP_SYNCNT, TCP_LINGER2 and TCP_USER_TIMEOUT are known and refused`,
			`
			${mptcp} a
			a set 6.7 3 = ENOPROTOOPT | 6.3: EOPNOTSUPP | 6.8: EOPNOTSUPP
			a set 6.8 3 = ENOPROTOOPT | 6.3: EOPNOTSUPP | 6.8: EOPNOTSUPP
			a set 6.18 3 = ENOPROTOOPT | 6.3: EOPNOTSUPP | 6.8: EOPNOTSUPP
			a setopt 6.7 0300 2 = EINVAL | 6.3: EOPNOTSUPP | 6.8: EOPNOTSUPP
			a setopt 6.18 NULL 4 = EFAULT | 6.3: EOPNOTSUPP | 6.8: EOPNOTSUPP
			a set 6.44 2000 = ENOPROTOOPT
			a getopt 6.7 4 = EOPNOTSUPP
			a getopt 6.8 4 = EOPNOTSUPP
			a getopt 6.18 4 = EOPNOTSUPP
			`,
			MPTCP_VERSIONS,
		);
		rule(
			`${mptcp}: TCP_KEEPIDLE, TCP_KEEPINTVL and TCP_KEEPCNT are refused before 6.10`,
			`
			${mptcp} a
			a set 6.4 30 = EOPNOTSUPP | 6.9: ENOPROTOOPT
			a set 6.5 30 = EOPNOTSUPP | 6.9: ENOPROTOOPT
			a set 6.6 30 = EOPNOTSUPP | 6.9: ENOPROTOOPT
			a set 6.4 0 = EOPNOTSUPP | 6.9: ENOPROTOOPT
			a setopt 6.4 1e00 2 = EOPNOTSUPP | 6.9: EINVAL
			a setopt 6.4 NULL 4 = EOPNOTSUPP | 6.9: EFAULT
			a getopt 6.4 4 = EOPNOTSUPP
			a getopt 6.5 4 = EOPNOTSUPP
			a getopt 6.6 4 = EOPNOTSUPP
			`,
			["6.3", "6.6", "6.8", "6.9"],
		);
		rule(
			`${mptcp}: nobody checks TCP_KEEPIDLE before the socket is used, since 6.10`,
			`
			${mptcp} a
			a getopt 6.4 4 = 201c0000
			a set 6.4 -5 = 0 | 6.1.176: EINVAL
			a getopt 6.4 4 = fbffffff | 6.1.176: 201c0000
			a set 6.6 7
			a getopt 6.6 4 = 07000000
			a getopt 6.6 2 = 07
			a getopt 6.4 2 = fbff | 6.1.176: 201c
			a set SO_REUSEADDR 1
			a set 6.4 -6 = EINVAL
			a set 6.5 32768 = EINVAL
			a set 6.5 9
			a getopt 6.5 4 = 09000000
			`,
			["6.1.176", "6.10", "6.12", "6.18.44", "7.3"],
		);
		rule(
			`${mptcp}: TCP_DEFER_ACCEPT never fails, since 6.2`,
			`
			${mptcp} a
			a setopt 6.9 01 1 = 0 | 6.1.176: EINVAL
			a setopt 6.9 NULL 4 = 0 | 6.1.176: EFAULT
			a set 6.9 4
			a getopt 6.9 4 = 07000000
			a bind ${lo}:5000
			a listen 1
			a set 6.9 1
			a getopt 6.9 4 = 01000000
			`,
			VERSIONS,
		);
		rule(
			`${mptcp}: SO_KEEPALIVE, SO_RCVTIMEO and SO_SNDTIMEO are options of the socket itself`,
			`
			${mptcp} a
			a set 1.9 5
			a getopt 1.9 4 = 01000000 | 6.3: 00000000 | 6.8: 00000000 | 6.9: 00000000
			a setopt 1.9 01 1 = EINVAL
			a setopt 1.20 02000000000000000100000000000000 16
			a getopt 1.20 16 = 0200000000000000a00f000000000000
			a setopt 1.21 000000000000000040420f0000000000 16 = EDOM
			`,
			MPTCP_VERSIONS,
		);
	});
}

describe("an mptcp6 socket on which an option was set", () => {
	rule(
		"gives IPV6_V6ONLY to its subflow, whatever net.ipv6.bindv6only says by then",
		`
		sysctl ipv6.bindv6only 1
		mptcp6 a b
		a set 1.9 1
		sysctl ipv6.bindv6only 0
		a bind [::]:5000
		b bind [::]:5001
		tcp c d
		c bind 127.0.0.1:5000 = 0
		d bind 127.0.0.1:5001 = EADDRINUSE
		`,
		["6.12", "6.18.44", "7.3"],
	);
});
