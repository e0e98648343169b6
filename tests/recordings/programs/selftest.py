#!/usr/bin/env -S python3 -IS
# SPDX-License-Identifier: GPL-2.0-or-later
"""selftest.py [PART...]: the checks of the kernel's own tests of local ports, as calls.

The program asserts nothing. The recording shows the kernel's answers, and a line of
output for each part counts them. Each part runs in its own process and network
namespace. PART is one of the list below. Most names come from the tests in
tools/testing/selftests/net. Without PART all parts but vrf run.

range       IP_LOCAL_PORT_RANGE: refused values; ranges outside the namespace's range,
            over its edges, of one port, and used up; ports chosen by bind, connect or
            sendto; the value read back. For each protocol and family of the kernel.
wildcard    two sockets on one port: each pair of wildcard, loopback and mapped
            address, with and without IPV6_V6ONLY and the reuse options
bhash       many sockets with SO_REUSEPORT on one port, then one without the option
timewait    the port of a closed connection is bound again
conflict    a bucket's state with SO_REUSEADDR after an IPv6 socket joined it
exhausted   bind to port 0 with each pair of reuse options when every port is taken
listen      bind, connect by sendto with MSG_FASTOPEN, bind again, listen
any         lookup among sockets with SO_REUSEPORT: the address comes before the wildcard
share       ports of connect and bind: shared, blocked, free again after close
hash2       more than ten UDP sockets on a port, so that searches also use the address
users       SO_REUSEPORT under several users (needs uids: not under unshare -r)
vrf         the same port inside and outside a VRF, *_l3mdev_accept (needs the modules)

Run it as root in a new network namespace (each part makes another):

    unshare -rn python3 -IS selftest.py range wildcard
"""

import collections
import ctypes
import errno
import itertools
import os
import socket
import struct
import sys
from socket import (
    AF_INET, AF_INET6, IPPROTO_IP, IPPROTO_IPV6, IPV6_V6ONLY, SHUT_WR, SO_BINDTODEVICE,
    SO_REUSEADDR, SO_REUSEPORT, SOCK_DGRAM, SOCK_NONBLOCK, SOCK_STREAM, SOL_SOCKET,
)

CLONE_NEWNET = 0x40000000
SOCK_DCCP, IPPROTO_DCCP, IPPROTO_SCTP, IPPROTO_UDPLITE, IPPROTO_MPTCP = 6, 33, 132, 136, 262
IP_BIND_ADDRESS_NO_PORT, IP_LOCAL_PORT_RANGE = 24, 51
MSG_FASTOPEN = 0x20000000

PROTOCOLS = {
    "tcp": (SOCK_STREAM, 0),
    "udp": (SOCK_DGRAM, 0),
    "udplite": (SOCK_DGRAM, IPPROTO_UDPLITE),
    "mptcp": (SOCK_STREAM, IPPROTO_MPTCP),
    "sctp": (SOCK_STREAM, IPPROTO_SCTP),
    "dccp": (SOCK_DCCP, IPPROTO_DCCP),
}
LOOPBACK = {AF_INET: "127.0.0.1", AF_INET6: "::1"}
WILDCARD = {AF_INET: "0.0.0.0", AF_INET6: "::"}

REUSEADDR, REUSEPORT = (SOL_SOCKET, SO_REUSEADDR), (SOL_SOCKET, SO_REUSEPORT)
LATE = (IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT)
V6ONLY = (IPPROTO_IPV6, IPV6_V6ONLY)

libc = ctypes.CDLL(None, use_errno=True)
answers = collections.Counter()


def attempt(call, *arguments):
    """Return the result of the call, or None if it fails. Count it either way."""
    try:
        result = call(*arguments)
    except OSError as error:
        answers[errno.errorcode[error.errno]] += 1
        return None
    answers["ok"] += 1
    return result


def made(kind, family, *options):
    """A socket with these (level, name) options, or None if the kernel does not have it."""
    kind_type, protocol = PROTOCOLS[kind]
    sk = attempt(socket.socket, family, kind_type | SOCK_NONBLOCK, protocol)
    for level, name in options if sk else ():
        attempt(sk.setsockopt, level, name, 1)
    return sk


def bind(sk, address, port=0):
    """The port, or 0 if bind failed or chose no port."""
    attempt(sk.bind, (address, port))
    return sk.getsockname()[1]


def connect(sk, address, port):
    """The local port after a non-blocking connect, whatever its result."""
    attempt(sk.connect, (address, port))
    return sk.getsockname()[1]


def dissolve(sk):
    data = struct.pack("=H", socket.AF_UNSPEC).ljust(28, b"\0")
    libc.connect(sk.fileno(), data, 28)
    sk.getsockname()


def close_all(*sks):
    for sk in sks:
        if sk:
            sk.close()


def set_range(sk, low, high):
    attempt(sk.setsockopt, IPPROTO_IP, IP_LOCAL_PORT_RANGE, struct.pack("=I", high << 16 | low))


def sysctl(name, value):
    file = os.open("/proc/sys/net/" + name, os.O_WRONLY)
    os.write(file, value.encode() + b"\n")
    os.close(file)


def ip(*words):
    """Whether the command succeeds."""
    return os.waitpid(os.posix_spawnp("ip", ["ip", *words], os.environ), 0)[1] == 0


# range

def range_values(kind, family):
    sk = made(kind, family)
    for value in (
        b"", struct.pack("=H", 40000), struct.pack("=Q", 40444 << 16 | 40333),
        *(struct.pack("=I", high << 16 | low) for low, high in [
            (40222, 40111), (1, 0), (0, 1), (65535, 65535), (65535, 1), (0, 65535), (40000, 40000),
        ]),
    ):
        attempt(sk.setsockopt, IPPROTO_IP, IP_LOCAL_PORT_RANGE, value)
        attempt(sk.getsockopt, IPPROTO_IP, IP_LOCAL_PORT_RANGE, 4)
    for low, high in (12345, 54321), (0, 0):
        set_range(sk, low, high)
        for size in (4, 8, 2, 0):
            attempt(sk.getsockopt, IPPROTO_IP, IP_LOCAL_PORT_RANGE, size)
    sk.close()


def range_bounds(kind, family):
    for low, high in (
        (30000, 39999), (50000, 59999),  # outside
        (30000, 40000), (49999, 59999), (39999, 40001), (49998, 50000),  # across an edge
        (45000, 45000), (0, 40000), (49999, 0), (40000, 40000), (49999, 49999),  # one port
        (0, 39999), (50000, 0), (0, 40001), (49998, 0), (1, 65535),
    ):
        # Two sockets show whether a range of one port is used or ignored.
        sks = [made(kind, family), made(kind, family)]
        for sk in sks:
            set_range(sk, low, high)
            bind(sk, LOOPBACK[family])
        close_all(*sks)


def range_used_up(kind, family):
    def take(*options):
        sk = made(kind, family, *options)
        set_range(sk, 40000, 40007)
        bind(sk, LOOPBACK[family])
        return sk

    sks = [take() for _ in range(9)]
    sks += [take(REUSEADDR), take(REUSEPORT)]
    sks.pop(3).close()
    sks.append(take())
    sks.append(take())
    # The other family, the wildcard, the namespace's range.
    for other in AF_INET, AF_INET6:
        sk = made(kind, other)
        set_range(sk, 40000, 40007)
        bind(sk, WILDCARD[other])
        sks.append(sk)
    sk = made(kind, family)
    bind(sk, LOOPBACK[family])
    close_all(*sks, sk)
    sysctl("ipv4/ip_local_reserved_ports", "40002-40004")
    sks = [take() for _ in range(6)]
    close_all(*sks)
    sysctl("ipv4/ip_local_reserved_ports", "")


def range_late(kind, family):
    """Let connect, sendto or listen choose the port."""
    for destination in ((WILDCARD[family], 0), (LOOPBACK[family], 9), ("203.0.113.9", 9)):
        if ":" not in destination[0] and family == AF_INET6:
            destination = ("::ffff:" + destination[0], destination[1])
        for address in (LOOPBACK[family], WILDCARD[family], None):
            sk = made(kind, family, LATE)
            set_range(sk, 40100, 40199)
            if address:
                bind(sk, address)
            connect(sk, *destination)
            sk.close()
    sks = []
    for _ in range(5):
        sk = made(kind, family)
        set_range(sk, 40200, 40203)
        if PROTOCOLS[kind][0] == SOCK_DGRAM:
            attempt(sk.sendto, b"", (LOOPBACK[family], 9))
        else:
            attempt(sk.listen, 1)
        sk.getsockname()
        sks.append(sk)
    close_all(*sks)
    sks = []
    for _ in range(5):
        sk = made(kind, family, LATE)
        set_range(sk, 40200, 40203)
        bind(sk, LOOPBACK[family])
        connect(sk, LOOPBACK[family], 9)
        sks.append(sk)
    close_all(*sks)


def part_range():
    ip("route", "add", "default", "dev", "lo")
    sysctl("ipv4/ip_local_port_range", "40000 49999")
    for kind, family in itertools.product(PROTOCOLS, (AF_INET, AF_INET6)):
        sk = made(kind, family)
        if sk:
            sk.close()
            range_values(kind, family)
            range_bounds(kind, family)
            range_used_up(kind, family)
            range_late(kind, family)


# wildcard

PLACES = [
    (AF_INET, "0.0.0.0"), (AF_INET, "127.0.0.1"),
    (AF_INET6, "::"), (AF_INET6, "::", V6ONLY), (AF_INET6, "::1"), (AF_INET6, "::1", V6ONLY),
    (AF_INET6, "::ffff:0.0.0.0"), (AF_INET6, "::ffff:127.0.0.1"),
]


def part_wildcard():
    sysctl("ipv4/ip_local_port_range", "40000 40031")
    for kind, reuse in (
        ("tcp", []), ("tcp", [REUSEADDR]), ("tcp", [REUSEPORT]), ("udp", []), ("udp", [REUSEPORT]),
    ):
        for first, second in itertools.product(PLACES, PLACES):
            sks = []
            port = 0
            for family, address, *only in first, second:
                sk = made(kind, family, *only, *reuse)
                port = bind(sk, address, port)
                sks.append(sk)
            close_all(*sks)


# bhash

def part_bhash():
    port = 443
    for family, other in (AF_INET, "127.0.0.2"), (AF_INET6, "2001:db8::10"):
        sks = []
        for index in range(60):
            sk = made("tcp", family, REUSEPORT)
            bind(sk, LOOPBACK[family], port)
            if index == 0:
                attempt(sk.listen, 100)
            sks.append(sk)
        for address in (other, WILDCARD[family], LOOPBACK[family]):
            for options in ([], [REUSEADDR], [REUSEPORT]):
                sk = made("tcp", family, *options)
                bind(sk, address, port)
                sk.close()
        close_all(*sks)


# timewait

def part_timewait():
    for family, address, to in (
        (AF_INET, "127.0.0.1", "127.0.0.1"),
        (AF_INET, "0.0.0.0", "127.0.0.1"),
        (AF_INET6, "::1", "::1"),
        (AF_INET6, "::", "::1"),
        (AF_INET6, "::", "::ffff:127.0.0.1"),
        (AF_INET6, "::ffff:127.0.0.1", "::ffff:127.0.0.1"),
    ):
        for order in itertools.permutations(range(3)):
            server = made("tcp", family)
            port = bind(server, address)
            attempt(server.listen, 1)
            client = made("tcp", family)
            local = connect(client, to, port)
            accepted = attempt(server.accept)
            ends = [server, client, accepted[0] if accepted else None]
            close_all(*(ends[index] for index in order))
            for again, options in itertools.product((port, local), ([], [REUSEADDR], [REUSEPORT])):
                sk = made("tcp", family, *options)
                bind(sk, address, again)
                sk.close()
            # The other family's wildcard.
            sk = made("tcp", AF_INET + AF_INET6 - family)
            bind(sk, WILDCARD[AF_INET + AF_INET6 - family], port)
            sk.close()


# conflict

def part_conflict():
    port = 9999
    for reuse in REUSEADDR, REUSEPORT:
        listener = made("tcp", AF_INET, reuse)
        bind(listener, "127.0.0.1", port)
        attempt(listener.listen, 1)
        sks = []
        for family in AF_INET, AF_INET6, AF_INET:
            sk = made("tcp", family, *([V6ONLY] if family == AF_INET6 else []), reuse)
            bind(sk, WILDCARD[family], port)
            sks.append(sk)
        sks[1].close()
        sk = made("tcp", AF_INET, reuse)
        bind(sk, "0.0.0.0", port)
        close_all(sk, sks[0], sks[2], listener)


# exhausted

def under(user, work, *arguments):
    """Run the action under this effective user, if there are users other than root."""
    if user:
        attempt(os.seteuid, user)
    result = work(*arguments)
    if user:
        attempt(os.seteuid, 0)
    return result


def part_exhausted():
    sysctl("ipv4/ip_local_port_range", "32768 32768")
    for family, autobind, users in (
        (AF_INET, "0", (0, 0)), (AF_INET, "1", (0, 0)), (AF_INET, "1", (10, 20)),
        (AF_INET6, "1", (0, 0)), (AF_INET6, "1", (10, 20)),
    ):
        sysctl("ipv4/ip_autobind_reuse", autobind)
        for choice in itertools.product((0, 1), repeat=4):
            sks = []
            for index in 0, 1:
                options = [REUSEADDR] * choice[index] + [REUSEPORT] * choice[2 + index]
                sk = under(users[index], made, "tcp", family, *options)
                under(users[index], bind, sk, LOOPBACK[family])
                sks.append(sk)
            for sk in sks:
                if sk.getsockname()[1]:
                    attempt(sk.listen, 5)
            close_all(*sks)


# listen

def part_listen():
    port = 20000
    for family, address, to in (
        (AF_INET6, "::", "::"),
        (AF_INET6, "::1", "::1"),
        (AF_INET, "0.0.0.0", "0.0.0.0"),
        (AF_INET, "127.0.0.1", "127.0.0.1"),
        (AF_INET6, "::", "::ffff:127.0.0.1"),
    ):
        sks = []
        for _ in range(2):
            sk = made("tcp", family, REUSEADDR)
            bind(sk, address, port)
            attempt(sk.sendto, b"", MSG_FASTOPEN, (to, port))
            sk.getsockname()
            sks.append(sk)
        attempt(sks[1].listen, 0)
        sks[1].getsockname()
        close_all(sks[1], sks[0])
        port += 1


# any

def part_any():
    port = 8888
    for kind, (family, address) in itertools.product(
        ("udp", "tcp"), ((AF_INET, "127.0.0.1"), (AF_INET6, "::1"), (AF_INET6, "::ffff:127.0.0.1"))
    ):
        sks = []
        for place in (
            *[(AF_INET, "0.0.0.0")] * 2, *[(AF_INET6, "::")] * 2, (family, address),
            *[(AF_INET, "0.0.0.0")] * 2, *[(AF_INET6, "::")] * 2,
        ):
            sk = made(kind, place[0], REUSEPORT)
            bind(sk, place[1], port)
            if kind == "tcp":
                attempt(sk.listen, 10)
            sks.append(sk)
        to = address.removeprefix("::ffff:")
        client = made(kind, AF_INET6 if ":" in to else AF_INET)
        bind(client, WILDCARD[client.family])
        connect(client, to, port)
        client.getpeername()
        if kind == "udp":
            attempt(client.send, b"a")
        for sk in sks:
            if kind == "udp":
                attempt(sk.recv, 8)
            else:
                accepted = attempt(sk.accept)
                close_all(accepted and accepted[0])
        close_all(client, *sks)


# share

def part_share():
    sysctl("ipv4/ip_local_port_range", "40000 40000")
    for name in "2001:db8::1/128", "2001:db8::2/128", "2001:db8::3/128":
        ip("-6", "addr", "add", name, "dev", "lo", "nodad")
    ipv4 = ("127.0.0.1", "127.1.1.1", "127.2.2.2", "127.3.3.3")
    for family, to, first, second, block in (
        (AF_INET, *ipv4),
        (AF_INET6, "::1", "2001:db8::1", "2001:db8::2", "2001:db8::3"),
        (AF_INET6, *("::ffff:" + address for address in ipv4)),
    ):
        def connected(address):
            sk = made("tcp", family, LATE)
            bind(sk, address)
            connect(sk, to, 30000)
            return sk

        listener = made("tcp", family, REUSEADDR)
        bind(listener, to, 30000)
        attempt(listener.listen, 2)

        # Connections share the port, bind blocks it, and close frees it.
        client = connected(first)
        blocker = made("tcp", family, REUSEADDR)
        bind(blocker, block, 40000)
        late = connected(second)
        blocker.close()
        connect(late, to, 30000)
        close_all(late, client)

        # A socket blocks the port if connect chose it and bind then names it again.
        client = connected(first)
        dissolve(client)
        attempt(client.setsockopt, *REUSEADDR, 1)
        bind(client, block, 40000)
        blocker = made("tcp", family, REUSEADDR)
        bind(blocker, block, 40000)
        blocker.close()
        late = connected(second)
        close_all(late, client, listener)


# hash2

def part_hash2():
    sysctl("ipv4/ip_local_port_range", "40000 40003")
    for kind, family, reuse in itertools.product(
        ("udp", "udplite"), (AF_INET, AF_INET6), ([], [REUSEADDR], [REUSEPORT])
    ):
        for size in (10, 11) if kind == "udp" else (12,):
            sks = []
            for index in range(size):
                address = f"127.0.0.{index + 1}"
                if family == AF_INET6:
                    own = ("::1", "2001:db8::10")[index // 3 % 2]
                    address = f"::ffff:{address}" if index % 3 else own
                sk = made(kind, family, *reuse)
                bind(sk, address, 40001)
                sks.append(sk)
            for family_too, address in (
                (AF_INET, "0.0.0.0"), (AF_INET6, "::"),
                (AF_INET6, "::ffff:0.0.0.0"), (AF_INET6, "::1"),
                (AF_INET, "127.0.0.2"), (AF_INET, "127.0.0.99"), (AF_INET6, "::ffff:127.0.0.3"),
            ):
                for options in ([], reuse) if reuse else ([],):
                    sk = made(kind, family_too, *options)
                    bind(sk, address, 40001)
                    sk.close()
            # Port 0 gives the only port of the range.
            for family_too in AF_INET, AF_INET6:
                sk = made(kind, family_too)
                set_range(sk, 40001, 40001)
                bind(sk, WILDCARD[family_too])
                sk.close()
            close_all(*sks)


# users

def part_users():
    for kind, family in itertools.product(("tcp", "udp"), (AF_INET, AF_INET6)):
        for users in (0, 0), (0, 1000), (1000, 0), (1000, 1000), (1000, 1001):
            for options in ([REUSEPORT], [REUSEADDR, REUSEPORT]):
                for addresses in (
                    [LOOPBACK[family]] * 2, [WILDCARD[family], LOOPBACK[family]],
                    [LOOPBACK[family], WILDCARD[family]],
                ):
                    sks = []
                    for user, address in zip(users, addresses):
                        sk = under(user, made, kind, family, *options)
                        under(user, bind, sk, address, 40000)
                        sks.append(sk)
                    if kind == "tcp":
                        for sk in sks:
                            attempt(sk.listen, 1)
                    close_all(*sks)


# vrf

def part_vrf():
    if not ip("link", "add", "vrf0", "type", "vrf", "table", "10"):
        answers["no VRF"] += 1
        return
    ip("link", "set", "vrf0", "up")
    for name in "dummy0", "dummy1":
        ip("link", "add", name, "type", "dummy")
    ip("link", "set", "dummy0", "master", "vrf0")
    for number, name in enumerate(("dummy0", "dummy1")):
        ip("link", "set", name, "up")
        ip("addr", "add", ("198.51.100.10/24", "203.0.113.10/24")[number], "dev", name)
        ip("-6", "addr", "add", f"2001:db8:{number + 1}::10/64", "dev", name, "nodad")
    ip("addr", "add", "127.0.0.1/8", "dev", "vrf0")
    # Without this the kernel sends at most one ICMP error a second over a dummy device.
    sysctl("ipv4/icmp_ratelimit", "0")
    sysctl("ipv6/icmp/ratelimit", "0")
    sysctl("ipv4/ip_local_port_range", "40000 40003")
    devices = (None, "vrf0", "dummy0", "dummy1", "lo")
    here = {
        AF_INET: ("0.0.0.0", "127.0.0.1", "198.51.100.10", "203.0.113.10"),
        AF_INET6: ("::", "::1", "2001:db8:1::10", "2001:db8:2::10"),
    }

    def on(device, kind, family, *options):
        sk = made(kind, family, *options)
        if device:
            attempt(sk.setsockopt, SOL_SOCKET, SO_BINDTODEVICE, device.encode() + b"\0")
        return sk

    # Which device has which address.
    for family in AF_INET, AF_INET6:
        for kind, device, address in itertools.product(("tcp", "udp"), devices, here[family]):
            sk = on(device, kind, family)
            bind(sk, address, 40000)
            sk.close()
    # Which sockets conflict.
    for kind, accept, family in itertools.product(("tcp", "udp"), ("0", "1"), (AF_INET, AF_INET6)):
        sysctl(f"ipv4/{kind}_l3mdev_accept", accept)
        for first, second in itertools.product(devices, repeat=2):
            for options in ([], [REUSEPORT]):
                sks = []
                for device in first, second:
                    sk = on(device, kind, family, *options)
                    bind(sk, WILDCARD[family], 40000)
                    sks.append(sk)
                close_all(*sks)
    # Connects inside and outside the VRF. Each has its own ports.
    sysctl("ipv4/ip_local_port_range", "40001 40060")
    for accept, family in itertools.product(("0", "1"), (AF_INET, AF_INET6)):
        for kind in "tcp", "udp":
            sysctl(f"ipv4/{kind}_l3mdev_accept", accept)
        for server, client, address in itertools.product(
            devices[:4], devices[:4], here[family][1:]
        ):
            for kind in "tcp", "udp":
                listener = on(server, kind, family, REUSEADDR)
                bind(listener, WILDCARD[family], 40000)
                if kind == "tcp":
                    attempt(listener.listen, 4)
                sk = on(client, kind, family)
                connect(sk, address, 40000)
                if kind == "udp":
                    attempt(sk.send, b"a")
                    attempt(sk.send, b"b")
                    attempt(listener.recv, 8)
                else:
                    attempt(sk.getpeername)
                    accepted = attempt(listener.accept)
                    close_all(accepted and accepted[0])
                close_all(sk, listener)
        for kind, device in itertools.product(("tcp", "udp"), devices):
            sks = []
            for _ in range(5):
                sk = on(device, kind, family)
                set_range(sk, 40041, 40044)
                bind(sk, WILDCARD[family])
                sks.append(sk)
            close_all(*sks)


PARTS = {
    name.removeprefix("part_"): work
    for name, work in list(globals().items())
    if name.startswith("part_")
}


def run(name):
    """Run one part in its own process and namespace."""
    pid = os.fork()
    if pid:
        if os.waitpid(pid, 0)[1]:
            sys.exit(f"selftest.py: {name} failed")
        return
    if libc.unshare(CLONE_NEWNET):
        raise OSError(ctypes.get_errno(), "unshare")
    ip("link", "set", "lo", "up")
    ip("-6", "addr", "add", "2001:db8::10/128", "dev", "lo", "nodad")
    PARTS[name]()
    print(f"{name}:", ", ".join(f"{answer} {number}" for answer, number in answers.most_common()))
    sys.stdout.flush()
    os._exit(0)


wanted = sys.argv[1:] or [name for name in PARTS if name != "vrf"]
if not set(wanted) <= set(PARTS):
    sys.exit(f"usage: selftest.py [{'|'.join(PARTS)}]...")
for part in wanted:
    run(part)
