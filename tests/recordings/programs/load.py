#!/usr/bin/env -S python3 -IS
# SPDX-License-Identifier: GPL-2.0-or-later
"""A load tool that uses up all ports from several processes.

The range of the namespace has 32 ports, 4 of them reserved. Three workers connect
to a listener until connect fails. Then the program connects to closed ports, uses
up the range by bind to port 0 and by listen without bind, and lets two processes
listen on one port with SO_REUSEPORT. It ends connections by RST, by a half-close,
and while a second file descriptor is open.

Run it as root in a new network namespace: unshare -rn.
"""

import errno
import os
import struct
from socket import (
    AF_INET, SHUT_RD, SHUT_WR, SO_LINGER, SO_REUSEADDR, SO_REUSEPORT, SOCK_STREAM, SOL_SOCKET, socket,
)

SERVER = ("127.0.0.1", 8080)
SHARED = ("127.0.0.1", 8081)
NO_LINGER = struct.pack("=ii", 1, 0)


def run(*words):
    os.waitpid(os.posix_spawnp(words[0], words, os.environ), 0)


def child(work, *arguments):
    """The id of a new process that does the work and ends."""
    pid = os.fork()
    if pid == 0:
        try:
            work(*arguments)
        finally:
            os._exit(0)
    return pid


def tcp():
    return socket(AF_INET, SOCK_STREAM)


def listen(address, *options):
    sk = tcp()
    for option in options:
        sk.setsockopt(SOL_SOCKET, option, 1)
    sk.bind(address)
    sk.listen(64)
    return sk


def connect(sockets, destination):
    """Add a connection to the list, or return the errno."""
    sk = tcp()
    error = sk.connect_ex(destination)
    if error:
        sk.close()
    else:
        sk.getsockname()
        sockets.append(sk)
    return error


def reset_all(sockets):
    for sk in sockets:
        sk.setsockopt(SOL_SOCKET, SO_LINGER, NO_LINGER)
        sk.close()
    sockets.clear()


def worker(told, tell):
    """Connect until no port is left, report it, and keep the connections until told."""
    sockets = []
    while connect(sockets, SERVER) != errno.EADDRNOTAVAIL:
        pass
    os.write(tell, b".")
    os.read(told, 1)
    reset_all(sockets)


def exhaust_from_workers():
    told, go = os.pipe()
    done, tell = os.pipe()
    workers = [child(worker, told, tell) for _ in range(3)]
    for _ in workers:
        os.read(done, 1)
    held = []
    if connect(held, SERVER) != errno.EADDRNOTAVAIL:
        raise AssertionError("a port was left")
    os.write(go, b"...")
    for pid in workers:
        os.waitpid(pid, 0)
    for descriptor in told, go, done, tell:
        os.close(descriptor)


def scan():
    for port in range(1, 41):
        if connect([], ("127.0.0.1", port)) != errno.ECONNREFUSED:
            raise AssertionError(f"port {port} answered")


def exhaust_by(take):
    """Take ports until none is left. Return their number."""
    sockets = []
    error = 0
    while not error:
        sk = tcp()
        sockets.append(sk)
        try:
            take(sk)
            sk.getsockname()
        except OSError as failure:
            error = failure.errno
    if error != errno.EADDRINUSE:
        raise OSError(error, os.strerror(error))
    for sk in sockets:
        sk.close()
    return len(sockets) - 1


def serve_one(told):
    """Keep a listener on the shared port until told."""
    sk = listen(SHARED, SO_REUSEPORT)
    os.read(told, 1)
    sk.close()


def share_a_port():
    told, go = os.pipe()
    mine = listen(SHARED, SO_REUSEPORT)
    server = child(serve_one, told)
    refused = tcp()
    try:
        refused.bind(SHARED)
    except OSError:
        pass
    refused.close()
    sockets = []
    for _ in range(8):
        connect(sockets, SHARED)
    reset_all(sockets)
    os.write(go, b".")
    os.waitpid(server, 0)
    mine.close()
    os.close(told)
    os.close(go)


def endings(listener):
    def connection():
        sockets = []
        connect(sockets, SERVER)
        server, _ = listener.accept()
        return sockets[0], server

    # A second file descriptor keeps the connection and its port.
    client, server = connection()
    spare = os.dup(client.fileno())
    port = client.getsockname()[1]
    client.close()
    again = tcp()
    try:
        again.bind(("127.0.0.1", port))
    except OSError:
        pass
    again.close()
    os.close(spare)
    server.close()

    # Half-close: the server sends after the client has shut down its side.
    client, server = connection()
    client.shutdown(SHUT_WR)
    server.send(b"still here")
    client.recv(16)
    client.shutdown(SHUT_RD)
    server.shutdown(SHUT_WR)
    client.close()
    server.close()

    # Unread data turns the close into a reset.
    client, server = connection()
    server.send(b"never read")
    client.close()
    server.close()


run("ip", "link", "set", "lo", "up")
run("sysctl", "-q", "-w", "net.ipv4.ip_local_port_range=50000 50031")
run("sysctl", "-q", "-w", "net.ipv4.ip_local_reserved_ports=50004-50007")
listener = listen(SERVER, SO_REUSEADDR)
exhaust_from_workers()
# The workers have reset these connections before they were accepted.
for _ in range(28):
    listener.accept()[0].close()
scan()
if exhaust_by(lambda sk: sk.bind(("127.0.0.1", 0))) != 28:
    raise AssertionError("bind did not find every port")
if exhaust_by(lambda sk: sk.listen()) != 28:
    raise AssertionError("listen did not find every port")
share_a_port()
endings(listener)
listener.close()
