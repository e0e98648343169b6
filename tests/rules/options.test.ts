// SPDX-License-Identifier: GPL-2.0-or-later
/** Socket options: their names, the values that they accept, and the values that they return. */
import { describe } from "vitest";
import { rule } from "../world.js";

describe("socket options:", () => {
	rule(
		"SO_REUSEADDR and SO_REUSEPORT are ints, and every value but 0 reads back as 1",
		`
		a getopt SO_REUSEADDR 4 = 00000000
		a setopt SO_REUSEADDR 01000000 4
		a getopt SO_REUSEADDR 4 = 01000000
		a setopt SO_REUSEADDR 00000080 4
		a getopt SO_REUSEADDR 4 = 01000000
		a setopt SO_REUSEADDR 0000000001 5
		a getopt SO_REUSEADDR 4 = 00000000
		a getopt SO_REUSEPORT 4 = 00000000
		a setopt SO_REUSEPORT 00010000 4
		a getopt SO_REUSEPORT 4 = 01000000
		a getopt SO_REUSEADDR 4 = 00000000
		a setopt SO_REUSEPORT 00000000 4
		a getopt SO_REUSEPORT 4 = 00000000
		`,
	);
	rule(
		"setsockopt() of SOL_SOCKET needs a length of at least an int, and the bytes of an int",
		`
		a setopt SO_REUSEADDR 01 1 = EINVAL
		a setopt SO_REUSEADDR 010000 3 = EINVAL
		a setopt SO_REUSEADDR 01000000 0 = EINVAL
		a setopt SO_REUSEADDR 01000000 -1 = EINVAL
		a setopt SO_REUSEADDR NULL 4 = EFAULT
		a setopt SO_REUSEADDR NULL 3 = EINVAL
		a setopt SO_TYPE 010000 3 = EINVAL
		a getopt SO_REUSEADDR 4 = 00000000
		`,
	);
	rule(
		"getsockopt() of SOL_SOCKET fills the buffer up to its length",
		`
		a set SO_REUSEADDR 1
		a getopt SO_REUSEADDR 8 = 01000000
		a getopt SO_REUSEADDR 3 = 010000
		a getopt SO_REUSEADDR 1 = 01
		a getopt SO_REUSEADDR 0 = nothing
		a getopt SO_REUSEADDR -1 = EINVAL
		`,
	);
	rule(
		"SO_TYPE, SO_PROTOCOL, SO_DOMAIN, SO_ERROR and SO_ACCEPTCONN can only be read",
		`
		a getopt SO_TYPE 4 = 01000000
		a getopt SO_PROTOCOL 4 = 06000000
		a getopt SO_DOMAIN 4 = 02000000
		a getopt SO_ERROR 4 = 00000000
		a getopt SO_ACCEPTCONN 4 = 00000000
		a set SO_TYPE 1 = ENOPROTOOPT
		a set SO_PROTOCOL 6 = ENOPROTOOPT
		a set SO_DOMAIN 2 = ENOPROTOOPT
		a set SO_ERROR 0 = ENOPROTOOPT
		a set SO_ACCEPTCONN 1 = ENOPROTOOPT
		`,
	);
	rule(
		"SO_ACCEPTCONN shows whether a socket listens",
		`
		a bind 127.0.0.1:5000
		a getopt SO_ACCEPTCONN 4 = 00000000
		a listen 1
		a getopt SO_ACCEPTCONN 4 = 01000000
		c connect 127.0.0.1:5000
		a accept t
		t getopt SO_ACCEPTCONN 4 = 00000000
		a shutdown rd
		a getopt SO_ACCEPTCONN 4 = 00000000
		`,
	);
	rule(
		"SO_ERROR returns an error once",
		`
		a start 127.0.0.1:5000 = EINPROGRESS
		a getopt SO_ERROR 4 = 6f000000
		a getopt SO_ERROR 4 = 00000000
		b start 127.0.0.1:5000 = EINPROGRESS
		b getopt SO_ERROR 1 = 6f
		b error
		`,
	);
	rule(
		"SO_BROADCAST allows sends to broadcast addresses while it is set",
		`
		udp a
		a send 127.255.255.255:9 = EACCES
		a set 1.6 1
		a send 127.255.255.255:9 = 1
		a set 1.6 0
		a send 127.255.255.255:9 = EACCES
		`,
	);
	rule(
		"SO_LINGER is a struct of two ints",
		`
		a getopt SO_LINGER 8 = 0000000000000000
		a setopt SO_LINGER 0100000005000000 8
		a getopt SO_LINGER 8 = 0100000005000000
		a getopt SO_LINGER 16 = 0100000005000000
		a getopt SO_LINGER 5 = 0100000005
		a setopt SO_LINGER 0200000000000000 8
		a getopt SO_LINGER 8 = 0100000000000000
		a setopt SO_LINGER 0100000007000000 8
		# SO_LINGER that is switched off keeps the time.
		a setopt SO_LINGER 0000000009000000 8
		a getopt SO_LINGER 8 = 0000000007000000
		a setopt SO_LINGER 01000000 4 = EINVAL
		a setopt SO_LINGER 01000000030000 7 = EINVAL
		a setopt SO_LINGER NULL 8 = EFAULT
		a getopt SO_LINGER 8 = 0000000007000000
		`,
	);
	rule(
		"IP_FREEBIND accepts an int or a byte, and refuses an empty value",
		`
		a getopt IP_FREEBIND 4 = 00000000
		a setopt IP_FREEBIND 01000000 4
		a getopt IP_FREEBIND 4 = 01000000
		a setopt IP_FREEBIND 00 1
		a getopt IP_FREEBIND 4 = 00000000
		a setopt IP_FREEBIND ff 1
		a getopt IP_FREEBIND 4 = 01000000
		# A value shorter than an int counts as a byte.
		a setopt IP_FREEBIND 000100 3
		a getopt IP_FREEBIND 4 = 00000000
		a setopt IP_FREEBIND 00010000 4
		a getopt IP_FREEBIND 4 = 01000000
		a setopt IP_FREEBIND 00000000ff 5
		a getopt IP_FREEBIND 4 = 00000000
		a setopt IP_FREEBIND 01 0 = EINVAL
		a setopt IP_FREEBIND 01 -1 = EINVAL
		a setopt IP_FREEBIND NULL 1 = EFAULT
		a setopt IP_FREEBIND NULL 4 = EFAULT
		`,
	);
	rule(
		"IP_BIND_ADDRESS_NO_PORT accepts an int, a byte, or an empty value, which counts as 0",
		`
		a getopt IP_BIND_ADDRESS_NO_PORT 4 = 00000000
		a setopt IP_BIND_ADDRESS_NO_PORT 01000000 4
		a getopt IP_BIND_ADDRESS_NO_PORT 4 = 01000000
		a setopt IP_BIND_ADDRESS_NO_PORT NULL 0
		a getopt IP_BIND_ADDRESS_NO_PORT 4 = 00000000
		a setopt IP_BIND_ADDRESS_NO_PORT 02 1
		a getopt IP_BIND_ADDRESS_NO_PORT 4 = 01000000
		`,
	);
	rule(
		"getsockopt() of SOL_IP returns one byte if the value fits and the buffer is shorter than an int",
		`
		a set IP_FREEBIND 1
		a getopt IP_FREEBIND 3 = 01
		a getopt IP_FREEBIND 1 = 01
		a getopt IP_FREEBIND 0 = nothing
		a getopt IP_FREEBIND 9 = 01000000
		a getopt IP_FREEBIND -1 = EINVAL
		a getopt IP_LOCAL_PORT_RANGE 3 = 00
		a setopt IP_LOCAL_PORT_RANGE ff000000 4
		a getopt IP_LOCAL_PORT_RANGE 2 = ff
		a setopt IP_LOCAL_PORT_RANGE 00010000 4
		a getopt IP_LOCAL_PORT_RANGE 2 = 0001
		# A high bound from 32768 up makes the value negative.
		a setopt IP_LOCAL_PORT_RANGE 010000ff 4
		a getopt IP_LOCAL_PORT_RANGE 1 = 01
		a getopt IP_LOCAL_PORT_RANGE 3 = 010000
		`,
	);
	rule(
		"IP_LOCAL_PORT_RANGE accepts exactly four bytes",
		`
		a setopt IP_LOCAL_PORT_RANGE 409cff9e 4
		a getopt IP_LOCAL_PORT_RANGE 4 = 409cff9e
		a setopt IP_LOCAL_PORT_RANGE 409c 2 = EINVAL
		a setopt IP_LOCAL_PORT_RANGE 409cff9e00000000 8 = EINVAL
		a setopt IP_LOCAL_PORT_RANGE NULL 0 = EINVAL
		a setopt IP_LOCAL_PORT_RANGE NULL 4 = EFAULT
		a setopt IP_LOCAL_PORT_RANGE ff9e409c 4 = EINVAL
		a getopt IP_LOCAL_PORT_RANGE 4 = 409cff9e
		`,
	);
	rule(
		"SO_BINDTODEVICE accepts a name of up to 15 bytes",
		`
		a getopt SO_BINDTODEVICE 16 = nothing
		a getopt SO_BINDTODEVICE 0 = nothing
		a setopt SO_BINDTODEVICE 6c6f 2
		a getopt SO_BINDTODEVICE 16 = 6c6f00
		a getopt SO_BINDTODEVICE 15 = EINVAL
		a setopt SO_BINDTODEVICE NULL 0
		a getopt SO_BINDTODEVICE 16 = nothing
		# The name ends at the first NUL.
		a setopt SO_BINDTODEVICE 6c6f006162 5
		a getopt SO_BINDTODEVICE 64 = 6c6f00
		a setopt SO_BINDTODEVICE 00 1
		a getopt SO_BINDTODEVICE 16 = nothing
		# Bytes after the fifteenth are ignored.
		a setopt SO_BINDTODEVICE 6c6f000000000000000000000000000000000000 20
		a getopt SO_BINDTODEVICE 16 = 6c6f00
		a setopt SO_BINDTODEVICE 6e6f7065 4 = ENODEV
		a setopt SO_BINDTODEVICE 6c 1 = ENODEV
		a setopt SO_BINDTODEVICE NULL 2 = EFAULT
		a setopt SO_BINDTODEVICE 6c6f -1 = EINVAL
		a getopt SO_BINDTODEVICE 16 = 6c6f00
		`,
	);
	rule(
		"SO_BINDTODEVICE can be set once by every user, and changed or cleared only by root",
		`
		user 1000
		a setopt SO_BINDTODEVICE 6c6f 2
		a setopt SO_BINDTODEVICE 6c6f 2 = EPERM
		a setopt SO_BINDTODEVICE NULL 0 = EPERM
		a setopt SO_BINDTODEVICE 6e6f7065 4 = ENODEV
		a getopt SO_BINDTODEVICE 16 = 6c6f00
		b setopt SO_BINDTODEVICE NULL 0
		`,
	);
	rule(
		"setsockopt() of SOL_IPV6 takes NULL as 0",
		`
		tcp6 a
		a set IPV6_V6ONLY 1
		a setopt IPV6_V6ONLY NULL 3 = EINVAL
		a getopt IPV6_V6ONLY 4 = 01000000
		a setopt IPV6_V6ONLY NULL 4
		a getopt IPV6_V6ONLY 4 = 00000000
		`,
	);
	rule(
		"an option of an unknown level fails with ENOPROTOOPT",
		`
		a setopt 999.1 01000000 4 = ENOPROTOOPT
		`,
	);
	rule(
		"an accepted socket has the options of its listener",
		`
		s set SO_REUSEADDR 1
		s set SO_REUSEPORT 1
		s set IP_FREEBIND 1
		s setopt SO_LINGER 0100000005000000 8
		s setopt IP_LOCAL_PORT_RANGE 409cff9e 4
		s bind 127.0.0.1:5000
		s listen 1
		c connect 127.0.0.1:5000
		s accept t
		t getopt SO_REUSEADDR 4 = 01000000
		t getopt SO_REUSEPORT 4 = 01000000
		t getopt IP_FREEBIND 4 = 01000000
		t getopt SO_LINGER 8 = 0100000005000000
		t getopt IP_LOCAL_PORT_RANGE 4 = 409cff9e
		`,
	);
});
