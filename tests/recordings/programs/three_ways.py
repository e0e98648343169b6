#!/usr/bin/env -S python3 -IS
# SPDX-License-Identifier: GPL-2.0-or-later
"""three_ways.py [PART]: three ways to keep connections to a range of ports.

by_hand          Bind to each port of the range with SO_REUSEADDR. Try the next
                 port if connect finds the four-tuple taken.
namespace_range  Set the namespace's range and let connect choose, with
                 IP_BIND_ADDRESS_NO_PORT.
socket_range     Set the socket's own range with IP_LOCAL_PORT_RANGE, for bind
                 and for connect.
closing          Close connections to a listener in every order, and bind to
                 their ports again.

Without PART all of them run. The destinations of the first three do not answer,
because lo is the default route. So their connections stay in SYN_SENT with the
chosen port. Run it as root in a new network namespace: unshare -rn.
"""

import errno
import itertools
import os
import resource
import struct
import sys
from socket import (
    AF_INET, IPPROTO_IP, SHUT_WR, SO_LINGER, SO_REUSEADDR, SOCK_NONBLOCK, SOCK_STREAM,
    SOL_SOCKET, socket,
)

IP_BIND_ADDRESS_NO_PORT, IP_LOCAL_PORT_RANGE = 24, 51
ADDRESS, SERVER = "192.0.2.10", "198.51.100.1"
DESTINATIONS = [("198.51.100.80", 443), ("203.0.113.80", 443)]


def run(*words):
    os.waitpid(os.posix_spawnp(words[0], words, os.environ), 0)


def sysctl(name, value):
    file = os.open("/proc/sys/net/ipv4/" + name, os.O_WRONLY)
    os.write(file, value.encode())
    os.close(file)


def tcp(*options, port_range=None):
    """A socket with these (level, name) options, and perhaps its own range."""
    sk = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK)
    for level, name in options:
        sk.setsockopt(level, name, 1)
    if port_range:
        lowest, highest = port_range
        sk.setsockopt(IPPROTO_IP, IP_LOCAL_PORT_RANGE, struct.pack("=I", highest << 16 | lowest))
    return sk


REUSE = (SOL_SOCKET, SO_REUSEADDR)
LATE = (IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT)


def bind(sk, port=0, address=ADDRESS):
    """The bound port, or None if this port or every port is in use."""
    try:
        sk.bind((address, port))
    except OSError as error:
        if error.errno != errno.EADDRINUSE:
            raise
        sk.close()
        return None
    return sk.getsockname()[1]


def connect(sk, destination):
    """The local port, or None if no four-tuple is free."""
    error = sk.connect_ex(destination)
    if error == errno.EINPROGRESS:
        return sk.getsockname()[1]
    sk.close()
    if error != errno.EADDRNOTAVAIL:
        raise OSError(error, os.strerror(error))
    return None


def close(*sockets):
    for sk in sockets:
        sk.close()


def fill(destination, **options):
    """Connect to the destination without bind until no port is left. Return sockets by port."""
    sockets = {}
    while True:
        sk = tcp(LATE, **options)
        sk.bind((ADDRESS, 0))
        port = connect(sk, destination)
        if port is None:
            return sockets
        sockets[port] = sk


def expect(got, wanted):
    if got != wanted:
        raise AssertionError(f"got {got}, wanted {wanted}")


def by_hand():
    ports = range(60000, 60032)
    turn = itertools.cycle(ports)

    def search(destination):
        for port in itertools.islice(turn, len(ports)):
            sk = tcp(REUSE)
            bind(sk, port)
            if connect(sk, destination):
                return sk
        return None

    sockets = [search(destination) for destination in DESTINATIONS for _ in ports]
    expect(None in sockets, False)
    expect(search(DESTINATIONS[0]), None)
    expect(bind(tcp(), 60000), None)
    sockets.pop(7).close()
    again = search(DESTINATIONS[0])
    expect(again.getsockname()[1], 60007)
    again.close()
    close(*sockets)
    # A socket without SO_REUSEADDR shares its port with no other socket.
    alone = tcp()
    expect(bind(alone, 60000), 60000)
    expect(bind(tcp(REUSE), 60000), None)
    alone.close()


def namespace_range():
    sysctl("ip_local_port_range", "60000 60511")
    first, second = [fill(destination) for destination in DESTINATIONS]
    expect([len(first), len(second)], [512, 512])
    # Connect passes over a port that a socket is bound to, even if the port can be shared.
    port = min(first)
    first.pop(port).close()
    second.pop(port).close()
    bound = tcp(REUSE)
    expect(bind(bound, port), port)
    expect(fill(DESTINATIONS[0]), {})
    bound.close()
    last = fill(DESTINATIONS[0])
    expect(list(last), [port])
    close(*first.values(), *second.values(), *last.values())


def socket_range():
    run("sysctl", "-q", "-w", "net.ipv4.ip_local_port_range=32768 60999")
    own = (40000, 40063)
    sockets, bound = [], True
    while bound:
        sockets.append(tcp(port_range=own))
        bound = bind(sockets[-1])
    expect(len(sockets), 65)
    expect(bind(tcp(REUSE, port_range=own)), None)
    close(*sockets)
    first, second = [fill(destination, port_range=own) for destination in DESTINATIONS]
    expect([len(first), len(second)], [64, 64])
    close(*first.values(), *second.values())

    # A bound outside the namespace's range is ignored. Zero means no bound.
    run("sysctl", "-q", "-w", "net.ipv4.ip_local_port_range=40000 40015")
    for own in (100, 40007), (40010, 61000), (40012, 0), (0, 40002), (100, 200), (0, 0):
        sk = tcp(port_range=own)
        sk.getsockopt(IPPROTO_IP, IP_LOCAL_PORT_RANGE)
        sockets = [sk]
        while bind(sk):
            sk = tcp(port_range=own)
            sockets.append(sk)
        close(*sockets)
        close(*fill(DESTINATIONS[0], port_range=own).values())
    sysctl("ip_local_port_range", "32768\t60999\n")

    sk = tcp()
    for value in b"", b"\1", b"\1\0", struct.pack("=II", 40063 << 16 | 40000, 0), struct.pack("=I", 40000 << 16 | 40001):
        try:
            sk.setsockopt(IPPROTO_IP, IP_LOCAL_PORT_RANGE, value)
        except OSError as error:
            expect(error.errno, errno.EINVAL)
        sk.getsockopt(IPPROTO_IP, IP_LOCAL_PORT_RANGE, 4)
    sk.close()


def closing():
    run("ip", "addr", "add", SERVER + "/32", "dev", "lo")
    listener = tcp(REUSE)
    bind(listener, 8080, SERVER)
    listener.listen(16)
    listener.getsockname()

    def connection(port):
        client = tcp(REUSE)
        bind(client, port)
        connect(client, (SERVER, 8080))
        server, _ = listener.accept()
        client.getpeername()
        return client, server

    def rebind(port, address=ADDRESS):
        for options in (), (REUSE,):
            sk = tcp(*options)
            bind(sk, port, address)
            sk.close()

    def client_first(client, server):
        client.close()
        server.close()

    def server_first(client, server):
        server.close()
        client.close()

    def half(client, server):
        client.shutdown(SHUT_WR)
        server.shutdown(SHUT_WR)
        rebind(client.getsockname()[1])
        server.close()
        client.close()

    def reset(client, server):
        client.setsockopt(SOL_SOCKET, SO_LINGER, struct.pack("=ii", 1, 0))
        client.close()
        server.close()

    for port, order in (45000, client_first), (45001, server_first), (45002, half), (45003, reset):
        client, server = connection(port)
        rebind(port)
        order(client, server)
        rebind(port)
    # Uses the same four-tuple again while one end is in TIME_WAIT.
    for port in 45000, 45001, 45002, 45003:
        client = tcp(REUSE)
        bind(client, port)
        if connect(client, (SERVER, 8080)):
            client.close()
    rebind(8080, SERVER)
    listener.close()
    rebind(8080, SERVER)


parts = [by_hand, namespace_range, socket_range, closing]
if len(sys.argv) > 1:
    parts = [part for part in parts if part.__name__ == sys.argv[1]]
if not parts or len(sys.argv) > 2:
    sys.exit("usage: three_ways.py [by_hand | namespace_range | socket_range | closing]")
resource.setrlimit(resource.RLIMIT_NOFILE, (4096, 4096))
run("ip", "link", "set", "lo", "up")
run("ip", "addr", "add", ADDRESS + "/32", "dev", "lo")
run("ip", "route", "add", "default", "dev", "lo")
for part in parts:
    part()
