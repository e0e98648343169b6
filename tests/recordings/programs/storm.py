#!/usr/bin/env -S python3 -IS
# SPDX-License-Identifier: GPL-2.0-or-later
"""storm.py SEED CALLS [plain]: CALLS random socket calls over few ports and addresses.

Shows TCP/IPv4 port allocation under conflict. At most a dozen sockets exist at
a time, and the port ranges hold only a few ports. A getsockname follows every
successful bind, connect, listen and accept. The calls depend on SEED and on the
kernel's answers, never on the clock.

Run it as root in a new network namespace (it sets lo up):

    unshare -rn python3 -IS storm.py 1 1500
"""

import ctypes
import os
import random
import struct
import sys

AF_UNSPEC, AF_INET, SOCK_STREAM, SOCK_NONBLOCK, IPPROTO_TCP = 0, 2, 1, 0o4000, 6
SOL_IP, SOL_SOCKET = 0, 1
SO_REUSEADDR, SO_TYPE, SO_ERROR, SO_LINGER, SO_REUSEPORT = 2, 3, 4, 13, 15
SO_BINDTODEVICE, SO_ACCEPTCONN, SO_PROTOCOL, SO_DOMAIN = 25, 30, 38, 39
IP_FREEBIND, IP_BIND_ADDRESS_NO_PORT, IP_LOCAL_PORT_RANGE = 15, 24, 51
EINPROGRESS = 115

LIVE = 12  # file descriptors at a time
HERE = ["0.0.0.0", "127.0.0.1", "127.0.0.2", "192.0.2.10"]
UNBOUND = ("0.0.0.0", 0)
NOT_LOCAL = "203.0.113.77"
BLACKHOLE = [("198.51.100.1", 80), ("198.51.100.1", 443), ("203.0.113.5", 80)]
PORTS = [40000, 40001, 40003, 40006, 39999, 45000, 81]

FLAGS = [
    (SOL_SOCKET, SO_REUSEADDR),
    (SOL_SOCKET, SO_REUSEPORT),
    (SOL_IP, IP_BIND_ADDRESS_NO_PORT),
    (SOL_IP, IP_FREEBIND),
]
READABLE = FLAGS + [
    (SOL_IP, IP_LOCAL_PORT_RANGE),
    (SOL_SOCKET, SO_LINGER),
    (SOL_SOCKET, SO_BINDTODEVICE),
    (SOL_SOCKET, SO_ERROR),
    (SOL_SOCKET, SO_ACCEPTCONN),
    (SOL_SOCKET, SO_TYPE),
    (SOL_SOCKET, SO_PROTOCOL),
    (SOL_SOCKET, SO_DOMAIN),
]
# (lowest, highest) for IP_LOCAL_PORT_RANGE; 0 leaves a bound to the namespace.
RANGES = [
    (40000, 40003), (40002, 40003), (40004, 40004), (40001, 40005),
    (40005, 0), (0, 40002), (0, 0),
    (39990, 40001), (40006, 45000), (81, 83), (45000, 45001),
    (40005, 40001),  # upside down: EINVAL
]
SYSCTLS = {
    "ip_local_port_range": [
        "40000 40007", "40000 40007", "40000 40006", "40001 40004", "40000 40001",
        "40003 40003", "39999 40010", "40007 40000",
    ],
    "ip_local_reserved_ports": ["", "", "40002-40003", "40000,40005", "40000-40007", "40001,45000"],
    "ip_autobind_reuse": ["0", "1"],
    "tcp_tw_reuse": ["0", "1", "2"],
    "ip_nonlocal_bind": ["0", "0", "1"],
}

# Weights of the actions in each mood. The mood changes now and then.
ACTIONS = ["socket", "option", "read", "bind", "listen", "connect", "dissolve",
           "accept", "peer", "shutdown", "close", "dup", "sysctl"]
MOODS = [
    # soc opt rea bin lis con dis acc pee shu clo dup sys
    [  16, 12,  3, 22,  6, 12,  1,  6,  1,  2, 10,  1,  2],
    [  20, 10,  1, 10,  1, 40,  1,  1,  1,  1, 12,  1,  2],  # connects
    [  20, 14,  1, 40,  3,  2,  1,  1,  0,  0, 14,  1,  2],  # binds
    [  14,  6,  1, 10, 12, 24,  2, 16,  2,  5, 10,  2,  1],  # connections
    [   6, 14, 10,  8,  4,  8,  6,  4,  6,  6,  8,  4,  4],  # oddities
]

libc = ctypes.CDLL(None, use_errno=True)


def call(name, *arguments):
    """The system call's result, or minus its errno."""
    global left
    left -= 1
    result = getattr(libc, name)(*arguments)
    return result if result >= 0 else -ctypes.get_errno()


def sockaddr(address, port, family=AF_INET):
    quad = bytes(int(byte) for byte in address.split("."))
    return struct.pack("=H", family) + struct.pack("!H", port) + quad + bytes(8)


def getsockname(fd):
    """The socket's (address, port)."""
    buffer, length = ctypes.create_string_buffer(16), ctypes.c_uint32(16)
    call("getsockname", fd, buffer, ctypes.byref(length))
    return ".".join(str(byte) for byte in buffer.raw[4:8]), int.from_bytes(buffer.raw[2:4], "big")


def sysctl(name, value):
    file = os.open("/proc/sys/net/ipv4/" + name, os.O_WRONLY)
    try:
        os.write(file, value.encode() + b"\n")
    except OSError:
        pass  # a range upside down
    os.close(file)


def ip(*words):
    os.waitpid(os.posix_spawnp("ip", ["ip", *words], os.environ), 0)


def close_one():
    fd = rng.choice(sorted(names))
    call("close", fd)
    del names[fd]
    listeners.discard(fd)
    connected.discard(fd)


def add(fd, name):
    names[fd] = name
    if len(names) > LIVE:
        close_one()


def set_option(fd):
    kind = rng.randrange(9 if plain else 10)
    if kind < 6:
        level, option = rng.choice(FLAGS)
        value = struct.pack("=i", rng.choice([1, 1, 1, 0, 2]))
        length = rng.choice([4] * 12 + [1, 0])
    elif kind < 8:
        lowest, highest = rng.choice(RANGES)
        level, option, length = SOL_IP, IP_LOCAL_PORT_RANGE, rng.choice([4] * 12 + [2, 8])
        value = struct.pack("=II", highest << 16 | lowest, 0)
    elif kind < 9:
        level, option, length = SOL_SOCKET, SO_LINGER, 8
        value = struct.pack("=ii", rng.choice([1, 1, 0]), 0)
    else:
        level, option = SOL_SOCKET, SO_BINDTODEVICE
        value = rng.choice([b"lo\0", b"lo\0", b"\0", b"none\0"])
        length = len(value)
    call("setsockopt", fd, level, option, value, length)


def read_option(fd):
    level, option = rng.choice(READABLE)
    length = ctypes.c_uint32(rng.choice([16] if option in (SO_LINGER, SO_BINDTODEVICE) else [4, 4, 4, 1]))
    call("getsockopt", fd, level, option, ctypes.create_string_buffer(16), ctypes.byref(length))


def bind(fd):
    address = rng.choice(HERE * 3 + [NOT_LOCAL])
    port = rng.choice([0] * len(PORTS) + PORTS)
    family = AF_INET if rng.randrange(50) else AF_UNSPEC
    if call("bind", fd, sockaddr(address, port, family), 16) == 0:
        names[fd] = getsockname(fd)


def listen(fd):
    if call("listen", fd, rng.randrange(4)) == 0:
        names[fd] = getsockname(fd)
        listeners.add(fd)


def connect(fd):
    targets = BLACKHOLE
    kind = rng.randrange(8)
    if kind < 4 and listeners:
        targets = [names[listener] for listener in sorted(listeners)]
    elif kind < 5:
        targets = [name for name in names.values() if name[1]] or BLACKHOLE
    elif kind < 6:
        targets = [(rng.choice(HERE), rng.choice(PORTS))]
    if call("connect", fd, sockaddr(*rng.choice(targets)), 16) in (0, -EINPROGRESS):
        names[fd] = getsockname(fd)
        connected.add(fd)


def accept(fd):
    peer, length = ctypes.create_string_buffer(16), ctypes.c_uint32(16)
    new = call("accept4", fd, peer, ctypes.byref(length), SOCK_NONBLOCK)
    if new >= 0:
        connected.add(new)
        add(new, getsockname(new))


def act(action):
    if action == "sysctl":
        name = rng.choice(list(SYSCTLS))
        sysctl(name, rng.choice(SYSCTLS[name]))
        return
    if action == "socket" or not names:
        fd = call("socket", AF_INET, SOCK_STREAM | SOCK_NONBLOCK, rng.choice([0, IPPROTO_TCP]))
        add(fd, UNBOUND)
        # Most sockets get one or two options before they are bound.
        while fd in names and rng.randrange(2):
            set_option(fd)
        return
    likely = {
        "accept": listeners,
        "bind": [fd for fd in names if names[fd] == UNBOUND],
        "listen": set(names) - connected - listeners,
        "connect": set(names) - connected - listeners,
        "shutdown": connected,
        "peer": connected,
    }.get(action)
    fd = rng.choice(sorted(likely if likely and rng.randrange(8) else names))
    if action == "option":
        set_option(fd)
    elif action == "read":
        read_option(fd)
    elif action == "bind":
        bind(fd)
    elif action == "listen":
        listen(fd)
    elif action == "connect":
        connect(fd)
    elif action == "dissolve":
        if call("connect", fd, sockaddr("0.0.0.0", 0, AF_UNSPEC), 16) == 0:
            listeners.discard(fd)
            connected.discard(fd)
            names[fd] = getsockname(fd)
    elif action == "accept":
        accept(fd)
    elif action == "peer":
        buffer, length = ctypes.create_string_buffer(16), ctypes.c_uint32(16)
        call("getpeername", fd, buffer, ctypes.byref(length))
    elif action == "shutdown":
        call("shutdown", fd, rng.randrange(3))
    elif action == "close":
        close_one()
    elif action == "dup":
        add(call("dup", fd), names[fd])


# Sockets of different devices can have the same four-tuple. The end of their connections
# depends on timers, and a recording does not show these to the millisecond. "plain" leaves
# such sockets out.
plain = sys.argv[3:] == ["plain"]
if len(sys.argv) - plain != 3 or not all(word.isdigit() for word in sys.argv[1:3]):
    sys.exit("usage: storm.py SEED CALLS [plain]")
rng, left = random.Random(int(sys.argv[1])), int(sys.argv[2])
names = {}  # file descriptor: (address, port) when last looked at
listeners = set()
connected = set()

ip("link", "set", "lo", "up")
ip("addr", "add", "192.0.2.10/32", "dev", "lo")
ip("route", "add", "default", "dev", "lo")
sysctl("ip_local_port_range", "40000 40007")
mood = MOODS[0]
while left > 0:
    if rng.randrange(80) == 0:
        mood = rng.choice(MOODS)
    act(rng.choices(ACTIONS, mood)[0])
