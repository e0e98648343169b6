#!/usr/bin/env -S python3 -IS
# SPDX-License-Identifier: GPL-2.0-or-later
"""odd.py: passes addresses, lengths, families and values that few programs pass.

Binds and connects to the wildcard network, to broadcast, multicast and foreign
addresses and to port 0. Uses sockaddrs of every length and of other families, and
odd backlogs, socket types and protocols. Shuts down unconnected sockets.
"""

import ctypes
import os
import socket
import struct

libc = ctypes.CDLL(None)


def tcp():
    return socket.socket(socket.AF_INET, socket.SOCK_STREAM | socket.SOCK_NONBLOCK)


def bound(address, port=0):
    sock = tcp()
    try:
        sock.bind((address, port))
    except OSError:
        pass
    return sock


def connect(sock, address, port):
    sock.connect_ex((address, port))
    sock.getsockname()
    try:
        sock.getpeername()
    except OSError:
        pass


def sockaddr(family, port, address):
    return struct.pack("=H", family) + struct.pack("!H", port) + socket.inet_aton(address) + bytes(208)


os.system("ip link set lo up; ip addr add 192.0.2.10/24 dev lo; ip route add default dev lo")

for address in [
    "0.1.2.3",
    "127.255.255.255",
    "224.0.0.1",
    "255.255.255.255",
    "192.0.2.255",
    "192.0.2.0",
    "192.0.2.77",
    "127.3.4.5",
    "198.51.100.1",
    "240.0.0.1",
]:
    sock = bound(address)
    sock.getsockname()
    connect(sock, "127.0.0.1", 1)
    connect(sock, "198.51.100.1", 80)

listener = bound("127.0.0.1", 8080)
listener.listen(1)
for address in [
    "255.255.255.255",
    "224.0.0.1",
    "239.1.2.3",
    "192.0.2.255",
    "192.0.2.0",
    "192.0.2.99",
    "0.0.0.0",
    "0.1.2.3",
    "240.0.0.1",
    "127.255.255.255",
    "127.9.9.9",
]:
    for port in (0, 8080):
        connect(tcp(), address, port)
        connect(bound("127.0.0.1"), address, port)
        connect(bound("192.0.2.10"), address, port)

for length in (0, 1, 2, 8, 15, 16, 20, 128, 129, -1):
    libc.bind(tcp().detach(), sockaddr(2, 0, "127.0.0.1"), length)
    libc.connect(tcp().detach(), sockaddr(2, 9, "127.0.0.1"), length)
for family in (0, 1, 3, 10, 99):
    sock = tcp()
    libc.bind(sock.fileno(), sockaddr(family, 0, "0.0.0.0"), 16)
    sock.getsockname()
    libc.bind(tcp().detach(), sockaddr(family, 0, "127.0.0.1"), 16)
    libc.connect(tcp().detach(), sockaddr(family, 9, "127.0.0.1"), 16)

for backlog in (-1, 0, 5000):
    sock = tcp()
    libc.listen(sock.fileno(), backlog)
    sock.getsockname()
    libc.listen(sock.fileno(), 0)
for kind, protocol in (
    [(1, protocol) for protocol in (6, 17, 1, -1, 263, 267)]
    + [(kind, 0) for kind in (4, 5, 10, 11, 1 | 0x100)]
    + [(2, 6)]
):
    libc.socket(2, kind, protocol)
for how in (-1, 0, 1, 2, 3, 99):
    libc.shutdown(tcp().detach(), how)
libc.close(999)
libc.bind(999, sockaddr(2, 0, "127.0.0.1"), 16)
libc.listen(1, 1)
