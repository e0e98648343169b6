#!/usr/bin/env -S python3 -IS
# SPDX-License-Identifier: GPL-2.0-or-later
"""Ports in TIME_WAIT over time, from one process on loopback addresses.

The range of the namespace has two ports. The program connects from them to a
listener and closes one end first, either the client or the server. Then it tries
connect, bind to the port and bind to port 0: at once, after two seconds, with each
value of tcp_tw_reuse, and after a minute. It takes some 80 seconds.

Run it as root in a new network namespace with lo up.
"""

import errno
import os
import time
from socket import AF_INET, SO_REUSEADDR, SOCK_NONBLOCK, SOCK_STREAM, SOL_SOCKET, socket

SERVER = ("127.0.0.1", 8080)


def sysctl(name, value):
    file = os.open("/proc/sys/net/ipv4/" + name, os.O_WRONLY)
    os.write(file, value.encode())
    os.close(file)


def tcp(reuse=False):
    sk = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK)
    if reuse:
        sk.setsockopt(SOL_SOCKET, SO_REUSEADDR, 1)
    return sk


def connection(bound=None):
    """Both ends of a connection to the listener, or None if no port is free."""
    client = tcp(reuse=True)
    if bound:
        client.bind(bound)
    if client.connect_ex(SERVER) != errno.EINPROGRESS:
        client.close()
        return None
    client.getsockname()
    server, _ = listener.accept()
    return client, server


def close(*sockets):
    for sk in sockets:
        sk.close()


def try_all():
    """Bind and connect with the ports that are left, and close all sockets."""
    for reuse in False, True:
        for address in ("127.0.0.1", 41000), ("127.0.0.2", 41001), ("0.0.0.0", 41000), ("127.0.0.1", 0), ("127.0.0.2", 0):
            sk = tcp(reuse)
            try:
                sk.bind(address)
                sk.getsockname()
            except OSError:
                pass
            sk.close()
    pair = connection()
    if pair:
        reset(*pair)


def client_first(pair):
    if pair:
        close(*pair)


def reset(client, server):
    """Close without a TIME_WAIT at either end."""
    client.setsockopt(SOL_SOCKET, 13, b"\1\0\0\0\0\0\0\0")  # SO_LINGER: on, 0 s
    close(client, server)


sysctl("ip_local_port_range", "41000 41001")
sysctl("tcp_tw_reuse", "0")
listener = tcp(reuse=True)
listener.bind(SERVER)
listener.listen(8)

# The client closes two connections first. Its ports stay in TIME_WAIT.
client_first(connection())
client_first(connection())
client_first(connection())
sysctl("tcp_tw_reuse", "1")
client_first(connection())
time.sleep(2.5)
sysctl("tcp_tw_reuse", "0")
client_first(connection())
sysctl("tcp_tw_reuse", "2")
client_first(connection())
# If a port in TIME_WAIT was bound, even for a moment, connect does not choose it.
try_all()
time.sleep(2.5)
try_all()
# tcp_tw_reuse does not matter for a bound port. The four-tuple may be used again.
sysctl("tcp_tw_reuse", "0")
again = connection(("127.0.0.1", 41000))
if again:
    reset(*again)
try_all()

# The server closes first. The TIME_WAIT is at the listener's port.
pair = connection()
if pair:
    client, server = pair
    close(server, client)
try_all()
other = tcp()
try:
    other.bind(SERVER)
except OSError:
    pass
other.close()

# The other end never closes. FIN_WAIT2 lasts for tcp_fin_timeout.
sysctl("tcp_fin_timeout", "3")
pair = connection()
if pair:
    client, server = pair
    client.close()
    try_all()
    time.sleep(6)
    server.close()
    try_all()

time.sleep(65)
try_all()
listener.close()
for reuse in False, True:
    sk = tcp(reuse)
    sk.bind(SERVER)
    sk.close()
