#!/usr/bin/env -S python3 -IS
# SPDX-License-Identifier: GPL-2.0-or-later
"""storm6.py SEED CALLS [plain] [--with LIST]: CALLS random calls of TCP and UDP sockets.

Shows port allocation between protocols and address families: IPv4, IPv6 and
IPv4-mapped addresses, IPV6_V6ONLY, SO_REUSEPORT under several users, UDP ports
with more than ten sockets, and sockets that several processes hold. Some two dozen
sockets exist at a time, and the port ranges hold only a few ports. A getsockname
follows every call that may choose a port or an address, even if it failed. The
calls depend on SEED and on the kernel's answers, never on the clock. Processes
take turns, so no two calls overlap.

LIST is separated by commas. udplite, mptcp, dccp and sctp add sockets of the
protocol. vrf adds two dummy devices, one of them in a VRF, and sockets bound to
devices. plain leaves out calls whose results depend on single milliseconds.

Run it as root in a new network namespace (it makes devices and addresses). Under
unshare -rn the children of other users stay root:

    unshare -rn python3 -IS storm6.py 1 1500 --with udplite,mptcp
"""

import ctypes
import marshal
import os
import random
import socket
import struct
import sys

AF_UNSPEC, AF_UNIX, AF_INET, AF_INET6 = 0, 1, 2, 10
SOCK_STREAM, SOCK_DGRAM, SOCK_SEQPACKET, SOCK_DCCP, SOCK_NONBLOCK = 1, 2, 5, 6, 0o4000
IPPROTO_TCP, IPPROTO_UDP, IPPROTO_DCCP, IPPROTO_SCTP = 6, 17, 33, 132
IPPROTO_UDPLITE, IPPROTO_MPTCP = 136, 262
SOL_IP, SOL_SOCKET, SOL_IPV6 = 0, 1, 41
SO_REUSEADDR, SO_TYPE, SO_ERROR, SO_LINGER, SO_REUSEPORT = 2, 3, 4, 13, 15
SO_BINDTODEVICE, SO_ACCEPTCONN, SO_PROTOCOL, SO_DOMAIN = 25, 30, 38, 39
IP_FREEBIND, IP_BIND_ADDRESS_NO_PORT, IP_LOCAL_PORT_RANGE = 15, 24, 51
IPV6_V6ONLY, IPV6_FREEBIND = 26, 78
SOL_DCCP, DCCP_SOCKOPT_SERVICE = 269, 2
MSG_NOSIGNAL = 0x4000
EINPROGRESS = 115

LIVE = 20  # file descriptors of a process at a time
CHILDREN = 3
CROWD = 60  # actions that a crowd stays for
HERE = {
    AF_INET: ["0.0.0.0", "127.0.0.1", "127.0.0.2", "192.0.2.10"],
    AF_INET6: [
        "::", "::", "::1", "2001:db8::10",
        "::ffff:127.0.0.1", "::ffff:0.0.0.0", "::ffff:192.0.2.10",
    ],
}
# Addresses that are not local. A stream cannot be bound to most of them.
FOREIGN = {
    AF_INET: ["203.0.113.77", "203.0.113.77", "224.0.0.1"],
    AF_INET6: ["2001:db8::77", "2001:db8::77", "::ffff:203.0.113.77", "ff02::1", "::7f00:1"],
}
# The IPv4 addresses are routed to lo and lost there. The others have no route or a bad one.
AWAY = {
    AF_INET: [("198.51.100.1", 80), ("203.0.113.5", 80), ("203.0.113.200", 80)],
    AF_INET6: [
        ("::ffff:198.51.100.1", 80), ("::ffff:198.51.100.1", 443), ("::ffff:203.0.113.5", 80),
        ("::ffff:203.0.113.200", 80), ("2001:db8:2::1", 80), ("2001:db8:9::1", 80),
    ],
}
PORTS = [40000, 40001, 40003, 40006, 39999, 45000, 81]

FLAGS = [
    (SOL_SOCKET, SO_REUSEADDR), (SOL_SOCKET, SO_REUSEADDR),
    (SOL_SOCKET, SO_REUSEPORT), (SOL_SOCKET, SO_REUSEPORT),
    (SOL_IP, IP_BIND_ADDRESS_NO_PORT),
    (SOL_IP, IP_FREEBIND),
    (SOL_IPV6, IPV6_V6ONLY), (SOL_IPV6, IPV6_V6ONLY),
    (SOL_IPV6, IPV6_FREEBIND),
]
READABLE = FLAGS + [
    (SOL_IP, IP_LOCAL_PORT_RANGE),
    (SOL_SOCKET, SO_LINGER),
    (SOL_SOCKET, SO_BINDTODEVICE),
    (SOL_SOCKET, SO_ERROR), (SOL_SOCKET, SO_ERROR), (SOL_SOCKET, SO_ERROR),
    (SOL_SOCKET, SO_ACCEPTCONN),
    (SOL_SOCKET, SO_TYPE),
    (SOL_SOCKET, SO_PROTOCOL),
    (SOL_SOCKET, SO_DOMAIN),
]
# (lowest, highest) for IP_LOCAL_PORT_RANGE; 0 leaves a bound to the namespace.
RANGES = [
    (40000, 40003), (40002, 40003), (40004, 40004), (40001, 40005), (40000, 40015),
    (40005, 0), (0, 40002), (0, 0),
    (39990, 40001), (40006, 45000), (81, 83), (45000, 45001),
    (40005, 40001),  # upside down: EINVAL
]
SYSCTLS = {
    "ipv4/ip_local_port_range": [
        "40000 40015", "40000 40015", "40000 40023", "40000 40039", "40000 40007", "40001 40004",
        "40003 40003", "39999 40010", "40007 40000",
    ],
    "ipv4/ip_local_reserved_ports": [
        "", "", "40002-40003", "40000,40005,40010-40012", "40000-40015", "40001,45000",
    ],
    "ipv4/ip_autobind_reuse": ["0", "1"],
    "ipv4/ip_nonlocal_bind": ["0", "0", "0", "1"],
    "ipv4/tcp_tw_reuse": ["0", "1", "2"],
    "ipv6/bindv6only": ["0", "0", "1"],
    "ipv6/ip_nonlocal_bind": ["0", "0", "0", "1"],
}
VRF_SYSCTLS = {
    "ipv4/tcp_l3mdev_accept": ["0", "1"],
    "ipv4/udp_l3mdev_accept": ["0", "1"],
}
# Type and protocol of each kind of socket. The protocol may be 0 if this gives the same socket.
KINDS = {
    "tcp": (SOCK_STREAM, IPPROTO_TCP),
    "udp": (SOCK_DGRAM, IPPROTO_UDP),
    "udplite": (SOCK_DGRAM, IPPROTO_UDPLITE),
    "mptcp": (SOCK_STREAM, IPPROTO_MPTCP),
    "dccp": (SOCK_DCCP, IPPROTO_DCCP),
    "sctp": (SOCK_STREAM, IPPROTO_SCTP),
    "sctp-many": (SOCK_SEQPACKET, IPPROTO_SCTP),
}
DATAGRAMS = ("udp", "udplite", "sctp-many")

# Weights of the actions in each mood. The mood changes now and then.
ACTIONS = ["socket", "option", "read", "bind", "listen", "connect", "dissolve", "send", "receive",
           "accept", "peer", "shutdown", "close", "dup", "fork", "exit", "sysctl"]
MOODS = [
    # soc opt rea bin lis con dis sen rec acc pee shu clo dup for exi sys
    [  16, 12,  4, 22,  5, 10,  2,  6,  2,  5,  1,  2, 10,  1,  1,  1,  3],
    [  20, 10,  1,  8,  1, 34,  3,  8,  2,  1,  1,  1, 12,  1,  1,  1,  2],  # connects
    [  20, 14,  1, 40,  3,  2,  1,  4,  1,  1,  0,  0, 14,  1,  1,  1,  2],  # binds
    [  14,  6,  1, 10, 10, 22,  2,  4,  2, 14,  2,  5, 10,  2,  1,  1,  1],  # connections
    [   8, 16, 10,  8,  3,  6,  6,  8,  6,  4,  6,  6,  8,  4,  2,  2,  5],  # oddities
]

libc = ctypes.CDLL(None, use_errno=True)


class Socket:
    """What is known of one socket. It may have several descriptors."""

    def __init__(self, family, kind):
        self.family, self.kind = family, kind
        self.name = (wildcard(family), 0)  # address and port when last looked at
        self.listens = self.connected = False
        self.device = b""

    @property
    def inside(self):
        """Whether the socket is bound to the VRF or to the VRF's device."""
        return self.device in (b"vrf0", b"dummy0")

    @property
    def free(self):
        """Whether the socket has neither a port nor an address."""
        return self.name == (wildcard(self.family), 0)


class Process:
    """This process, or a child that makes the calls it is told to make."""

    def __init__(self, fds=(), pid=0, to=-1, back=-1):
        self.fds = dict(fds)  # file descriptor: Socket
        self.pid, self.to, self.back = pid, to, back

    def perform(self, name, arguments):
        if self.pid == 0:
            return perform(name, arguments)
        tell(self.to, (name, arguments))
        return hear(self.back)


def perform(name, arguments):
    """The call's result, or minus its errno, and the bytes in each argument [SIZE] after it."""
    buffers = []
    values = []
    for argument in arguments:
        if isinstance(argument, list):
            argument = ctypes.create_string_buffer(*argument)
            buffers.append(argument)
        values.append(argument)
    result = getattr(libc, name)(*values)
    if result < 0:
        result = -ctypes.get_errno()
    return result, [buffer.raw for buffer in buffers]


# Messages use writev() and read(), which the recordings leave out.
def tell(fd, message):
    data = marshal.dumps(message)
    os.writev(fd, [struct.pack("=I", len(data)), data])


def hear(fd):
    """The next message, or None if the sender has ended."""
    header = os.read(fd, 4)
    return marshal.loads(os.read(fd, *struct.unpack("=I", header))) if header else None


def serve(orders, answers):
    """The work of a child."""
    while (order := hear(orders)) is not None:
        tell(answers, perform(*order))
    os._exit(0)


def call(process, name, *arguments):
    """The system call's result, or minus its errno."""
    return call_with_buffers(process, name, *arguments)[0]


def call_with_buffers(process, name, *arguments):
    global left
    left -= 1
    return process.perform(name, arguments)


def length(value):
    """A socklen_t to pass by address."""
    return [struct.pack("=I", value), 4]


def wildcard(family):
    return "0.0.0.0" if family == AF_INET else "::"


def sockaddr(family, address, port, odd=False):
    """A sockaddr and its length. The family and the length may be odd."""
    said = family
    if family == AF_INET:
        size = 16
        data = struct.pack("!H", port) + socket.inet_pton(AF_INET, address)
    else:
        size = 28
        scope = rng.choice([0, 0, 0, 1]) if odd or address.startswith("ff") else 0
        data = struct.pack("!HI", port, 0) + socket.inet_pton(AF_INET6, address)
        data += struct.pack("=I", scope)
    if odd and rng.randrange(2):
        size = rng.choice([0, 1, 2, 4, 8, 15, 16, 20, 23, 24, 27, 28, 32, 128, 129, -1])
    elif odd:
        said = rng.choice([AF_UNSPEC, AF_UNSPEC, AF_UNIX, AF_INET, AF_INET6, 99])
    return (struct.pack("=H", said) + data).ljust(160, b"\0"), size


def named(process, fd, name="getsockname"):
    """The (address, port) that getsockname or getpeername returns, or None."""
    result, (buffer, _) = call_with_buffers(process, name, fd, [28], length(28))
    if result < 0:
        return None
    family, port = struct.unpack("=H", buffer[:2])[0], struct.unpack("!H", buffer[2:4])[0]
    address = buffer[4:8] if family == AF_INET else buffer[8:24]
    return socket.inet_ntop(family, address), port


def look(process, fd):
    """Ask for the name. The next calls depend on it."""
    name = named(process, fd)
    if name is not None and fd in process.fds:
        process.fds[fd].name = name


def sysctl(name, value):
    try:
        file = os.open("/proc/sys/net/" + name, os.O_WRONLY)
    except OSError:
        return  # this kernel does not have it
    try:
        os.write(file, value.encode() + b"\n")
    except OSError:
        pass  # a range upside down
    os.close(file)


def ip(*words):
    os.waitpid(os.posix_spawnp("ip", ["ip", *words], os.environ), 0)


def sockets():
    """Every socket that some process holds."""
    return list(dict.fromkeys(sk for process in processes for sk in process.fds.values()))


def close(process, fd):
    call(process, "close", fd)
    sk = process.fds.pop(fd)
    if sk not in sockets():
        sk.listens = sk.connected = False


def add(process, fd, sk):
    process.fds[fd] = sk
    if len(process.fds) > (2 * LIVE if focus else LIVE):
        close(process, rng.choice(list(process.fds)))


def set_flag(process, fd, level, option, value=1):
    call(process, "setsockopt", fd, level, option, struct.pack("=i", value), 4)


def set_option(process, fd):
    sk = process.fds[fd]
    kind = rng.randrange(10)
    if kind < 6:
        level, option = rng.choice(fitting(FLAGS, sk))
        value = struct.pack("=i", rng.choice([1, 1, 1, 0, 2, -1])).ljust(16, b"\0")
        size = rng.choice([4] * 16 + [1, 0, 8])
    elif kind < 8:
        lowest, highest = rng.choice(RANGES)
        level, option, size = SOL_IP, IP_LOCAL_PORT_RANGE, rng.choice([4] * 12 + [2, 8])
        value = struct.pack("=II", highest << 16 | lowest, 0)
    elif kind < 9 and "sctp" not in sk.kind:
        level, option, size = SOL_SOCKET, SO_LINGER, 8
        value = struct.pack("=ii", rng.choice([1, 1, 0]), 0)
    else:
        # Streams bound to different devices can have one four-tuple: see plain.
        if plain and sk.kind not in DATAGRAMS and "vrf" not in more:
            return
        level, option = SOL_SOCKET, SO_BINDTODEVICE
        value = rng.choice(DEVICES)
        size = len(value)
    failed = call(process, "setsockopt", fd, level, option, value, size)
    if option == SO_BINDTODEVICE and not failed:
        sk.device = value.rstrip(b"\0")


def fitting(options, sk):
    """Drop most of the options that an AF_INET socket does not have."""
    return [
        option for option in options
        if option[0] != SOL_IPV6 or sk.family == AF_INET6 or not rng.randrange(4)
    ]


def read_option(process, fd):
    sk = process.fds[fd]
    level, option = rng.choice(fitting(READABLE, sk))
    size = 16 if option in (SO_LINGER, SO_BINDTODEVICE) else rng.choice([4, 4, 4, 1])
    call(process, "getsockopt", fd, level, option, [16], length(size))


def here(sk, family):
    """Addresses for the socket, mostly those of its devices."""
    if "vrf" in more and rng.randrange(4):
        return [name for name in HERE[family] if VRF_ONLY.get(name, sk.inside) == sk.inside]
    return HERE[family]


def pick_port():
    if focus and rng.randrange(3):
        return focus
    return rng.choice([0] * len(PORTS) + PORTS)


def family_for(sk):
    """The socket's family, or now and then the other one."""
    return sk.family if rng.randrange(20) else AF_INET + AF_INET6 - sk.family


def bind(process, fd):
    sk = process.fds[fd]
    family = family_for(sk)
    address = rng.choice(here(sk, family) * 3 + FOREIGN[family][:3] + [rng.choice(FOREIGN[family])])
    call(process, "bind", fd, *sockaddr(family, address, pick_port(), rng.randrange(25) == 0))
    look(process, fd)


def listen(process, fd):
    if call(process, "listen", fd, rng.choice([0, 1, 2, 3, 3, 3])) == 0:
        process.fds[fd].listens = True
    look(process, fd)


def reach(sk, family, address):
    """An address of the family at which a socket with this name can be reached."""
    if rng.randrange(12) == 0 and (family == AF_INET6) == (":" in address):
        return address
    mapped = address[7:] if address.startswith("::ffff:") and "." in address else None
    if family == AF_INET:
        address = mapped or (address if ":" not in address else "127.0.0.1")
        return rng.choice(here(sk, AF_INET)) if address == "0.0.0.0" else address
    if ":" not in address or mapped:
        address = mapped or address
        return "::ffff:" + (rng.choice(here(sk, AF_INET)) if address == "0.0.0.0" else address)
    return rng.choice(here(sk, AF_INET6)) if address == "::" else address


def meets(sk, other):
    """Whether one socket can send to the other."""
    streams = ("tcp", "mptcp")
    same = sk.kind[:4] == other.kind[:4] or (sk.kind in streams and other.kind in streams)
    if sk.inside != other.inside and other.device:
        return False
    return same and (other.listens or other.kind in ("udp", "udplite"))


def target(sk, family):
    """The (address, port) to connect or send to."""
    everyone = sockets()
    draw = rng.randrange(10)
    if draw < 6:
        names = [other.name for other in everyone if meets(sk, other)]
    elif draw < 7:
        names = [other.name for other in everyone]
    elif draw < 9:
        names = [(rng.choice(here(sk, family)), rng.choice(PORTS))]
    else:
        names = []
    if plain:
        # No MPTCP connection, from either end, and no DCCP connection.
        taken = [other.name[1] for other in everyone if other.kind == "mptcp"]
        names = [name for name in names if name[1] not in taken]
        if sk.kind in ("mptcp", "dccp"):
            names = []
    address, port = rng.choice([name for name in names if name[1]] or AWAY[family])
    return reach(sk, family, address), port


def connect(process, fd):
    sk = process.fds[fd]
    family = family_for(sk)
    address, port = target(sk, family)
    if rng.randrange(40) == 0:
        port = 0
    to = sockaddr(family, address, port, rng.randrange(30) == 0)
    if call(process, "connect", fd, *to) in (0, -EINPROGRESS):
        sk.connected = True
        called.add(port)
    look(process, fd)
    if rng.randrange(2):
        named(process, fd, "getpeername")


def dissolve(process, fd):
    sk = process.fds[fd]
    data = struct.pack("=H", AF_UNSPEC).ljust(28, b"\0")
    if call(process, "connect", fd, data, 16 if sk.family == AF_INET else 28) == 0:
        sk.listens = sk.connected = False
    look(process, fd)
    if rng.randrange(4) == 0:
        named(process, fd, "getpeername")


def send(process, fd):
    global posted
    sk = process.fds[fd]
    if sk.kind not in DATAGRAMS and plain:
        return
    data = b"storm"[:rng.choice([0, 1, 5])]
    if sk.kind in DATAGRAMS and rng.randrange(4):
        family = family_for(sk)
        address, posted = target(sk, family)
        to = sockaddr(family, address, posted, rng.randrange(30) == 0)
        call(process, "sendto", fd, data, len(data), MSG_NOSIGNAL, *to)
    else:
        call(process, "sendto", fd, data, len(data), MSG_NOSIGNAL, None, 0)
    look(process, fd)


def receive(process, fd):
    call(process, "recvfrom", fd, [16], 16, 0, [28], length(28))


def accept(process, fd):
    new = call(process, "accept4", fd, [28], length(28), SOCK_NONBLOCK)
    if new >= 0:
        sk = Socket(process.fds[fd].family, process.fds[fd].kind)
        sk.connected = True
        add(process, new, sk)
        look(process, new)
    else:
        called.discard(process.fds[fd].name[1])


def fork():
    """Make a child with every descriptor of this process, perhaps under another user."""
    orders, to = os.pipe()
    back, answers = os.pipe()
    pid = os.fork()
    if pid == 0:
        for fd in [to, back, *(end for child in processes[1:] for end in (child.to, child.back))]:
            os.close(fd)
        serve(orders, answers)
    os.close(orders)
    os.close(answers)
    child = Process(processes[0].fds, pid, to, back)
    processes.append(child)
    user = rng.choice([0, 1000, 1000, 1001])
    if user:
        call(child, "setuid", user)
    # The child keeps only some of the sockets.
    for fd in list(child.fds):
        if rng.randrange(3):
            close(child, fd)


def end(child):
    tell(child.to, None)  # later children may hold a copy of the pipe, so closing it is not enough
    os.waitpid(child.pid, 0)
    os.close(child.to)
    os.close(child.back)
    processes.remove(child)


def open_one(process, family, kind):
    kind_type, protocol = KINDS[kind]
    if kind in ("tcp", "udp"):
        protocol = rng.choice([0, protocol])
    fd = call(process, "socket", family, kind_type | SOCK_NONBLOCK, protocol)
    if fd >= 0:
        if kind == "dccp" and rng.randrange(4):
            set_flag(process, fd, SOL_DCCP, DCCP_SOCKOPT_SERVICE, 42)
        sk = Socket(family, kind)
        if "vrf" in more and rng.randrange(2):
            value = rng.choice([b"vrf0\0", b"vrf0\0", b"dummy0\0"])
            if call(process, "setsockopt", fd, SOL_SOCKET, SO_BINDTODEVICE, value, len(value)) == 0:
                sk.device = value.rstrip(b"\0")
        add(process, fd, sk)
    return fd


def crowd(process):
    """Open more than ten datagram sockets on one port, so that searches also use the address."""
    global focus, focused
    focus, focused = rng.choice([40000, 40001, 40003, 45000]), CROWD
    kind = rng.choice([kind for kind in kinds if kind in ("udp", "udplite")])
    shared = rng.randrange(3)
    for index in range(rng.randrange(11, 15)):
        family = rng.choice([AF_INET, AF_INET, AF_INET6])
        fd = open_one(process, family, kind)
        if rng.randrange(3) < shared:
            option = rng.choice([SO_REUSEADDR, SO_REUSEPORT, SO_REUSEPORT])
            set_flag(process, fd, SOL_SOCKET, option)
        address = f"127.0.0.{3 + index}"
        if family == AF_INET6:
            address = rng.choice(["::1", "2001:db8::10", "::ffff:" + address, "::ffff:" + address])
        if rng.randrange(6) == 0:
            address = rng.choice(HERE[family])
        if fd in process.fds:
            call(process, "bind", fd, *sockaddr(family, address, focus))
            look(process, fd)


def disperse(process):
    global focus
    focus = 0
    while len(process.fds) > LIVE * 2 // 3:
        close(process, rng.choice(list(process.fds)))


def act(process, action):
    fds = process.fds
    if action == "sysctl":
        name = rng.choice(list(SYSCTLS))
        sysctl(name, rng.choice(SYSCTLS[name]))
        return
    if action == "fork":
        if len(processes) <= CHILDREN:
            fork()
        return
    if action == "exit":
        if len(processes) > 1:
            end(rng.choice(processes[1:]))
        return
    if action == "socket" or not fds:
        family = rng.choice([AF_INET, AF_INET6])
        fd = open_one(process, family, rng.choice(kinds))
        # Most sockets get one or two options before they are bound.
        while fd in fds and rng.randrange(2):
            set_option(process, fd)
        return
    idle = [fd for fd, sk in fds.items() if not sk.connected and not sk.listens]
    streams = [fd for fd, sk in fds.items() if sk.kind not in ("udp", "udplite")]
    datagrams = [fd for fd, sk in fds.items() if sk.kind in DATAGRAMS]
    connected = [fd for fd, sk in fds.items() if sk.connected]
    ready = [fd for fd in idle if fd in streams and any(meets(fds[fd], sk) for sk in sockets())]
    listeners = [fd for fd, sk in fds.items() if sk.listens]
    likely = {
        "accept": [fd for fd in listeners if fds[fd].name[1] in called],
        "bind": [fd for fd, sk in fds.items() if sk.free],
        "listen": [fd for fd in idle if fd in streams],
        "connect": ready if ready and rng.randrange(4) else idle,
        "send": datagrams if plain else datagrams + connected,
        "receive": [fd for fd in datagrams if fds[fd].name[1] == posted] or datagrams,
        "shutdown": connected,
        "peer": connected,
    }.get(action)
    if likely == [] and action in ("accept", "bind", "send") and rng.randrange(4):
        return
    fd = rng.choice(likely if likely and rng.randrange(8) else list(fds))
    if action == "read":
        read_option(process, fd)
    elif action == "option":
        set_option(process, fd)
    elif action == "peer":
        named(process, fd, "getpeername")
    elif action == "shutdown":
        call(process, "shutdown", fd, rng.randrange(3))
    elif action == "close":
        close(process, fd)
    elif action == "dup":
        add(process, call(process, "dup", fd), fds[fd])
    else:
        globals()[action](process, fd)


def usage():
    sys.exit("usage: storm6.py SEED CALLS [plain] [--with udplite,mptcp,dccp,sctp,vrf]")


def make_devices():
    ip("link", "set", "lo", "up")
    ip("addr", "add", "192.0.2.10/32", "dev", "lo")
    ip("-6", "addr", "add", "2001:db8::10/128", "dev", "lo", "nodad")
    ip("route", "add", "default", "dev", "lo")
    ip("route", "add", "prohibit", "203.0.113.200/32")
    ip("-6", "route", "add", "unreachable", "2001:db8:2::/48")
    if "vrf" not in more:
        return
    ip("link", "add", "vrf0", "type", "vrf", "table", "10")
    ip("link", "set", "vrf0", "up")
    for name in "dummy0", "dummy1":
        ip("link", "add", name, "type", "dummy")
    ip("link", "set", "dummy0", "master", "vrf0")
    for name in "dummy0", "dummy1":
        ip("link", "set", name, "up")
    if rng.randrange(2):
        ip("addr", "add", "127.0.0.1/8", "dev", "vrf0")
    ip("addr", "add", "198.51.100.10/24", "dev", "dummy0")
    ip("-6", "addr", "add", "2001:db8:1::10/64", "dev", "dummy0", "nodad")
    ip("addr", "add", "203.0.113.10/24", "dev", "dummy1")
    ip("-6", "addr", "add", "2001:db8:3::10/64", "dev", "dummy1", "nodad")


words = sys.argv[1:]
more = []
if "--with" in words:
    at = words.index("--with")
    more = "".join(words[at + 1:at + 2]).split(",")
    words[at:at + 2] = []
# Streams of different devices can have the same four-tuple. A close with unread data sends a
# reset. MPTCP and DCCP end connections after some time. The end of such connections depends on
# timers, and a recording does not show these to the millisecond. "plain" leaves them out.
plain = words[2:] == ["plain"]
if len(words) - plain != 2 or not all(word.isdigit() for word in words[:2]):
    usage()
if not set(more) <= {"udplite", "mptcp", "dccp", "sctp", "vrf"}:
    usage()
rng, left = random.Random(int(words[0])), int(words[1])
kinds = ["tcp"] * 4 + ["udp"] * 4
if "udplite" in more:
    kinds += ["udplite"] * 3
if "mptcp" in more:
    kinds += ["mptcp"] * 4
if "dccp" in more:
    kinds += ["dccp"] * 4
if "sctp" in more:
    kinds += ["sctp"] * 4 + ["sctp-many"] * 2
DEVICES = [b"lo\0", b"lo\0", b"\0", b"none\0"]
# Addresses that exist only inside the VRF (True) or only outside it (False).
VRF_ONLY = {"198.51.100.10": True, "2001:db8:1::10": True, "::ffff:198.51.100.10": True}
VRF_ONLY |= dict.fromkeys(("127.0.0.2", "192.0.2.10", "203.0.113.10", "2001:db8::10"), False)
VRF_ONLY |= dict.fromkeys(("::1", "::ffff:192.0.2.10", "2001:db8:3::10"), False)
if "vrf" in more:
    DEVICES = [b"lo\0", b"vrf0\0", b"vrf0\0", b"dummy0\0", b"dummy1\0", b"\0", b"none\0"]
    HERE[AF_INET] += ["198.51.100.10", "198.51.100.10", "203.0.113.10"]
    HERE[AF_INET6] += ["2001:db8:1::10", "2001:db8:1::10", "::ffff:198.51.100.10", "2001:db8:3::10"]
    AWAY[AF_INET6] += [("2001:db8:1::1", 80), ("2001:db8:3::1", 80)]
    SYSCTLS.update(VRF_SYSCTLS)
processes = [Process()]
focus = focused = 0  # the crowd's port, and how many actions are left for the crowd
posted = 0  # the port that something was last sent to
called = set()  # ports that were connected to

make_devices()
sysctl("ipv4/ip_local_port_range", "40000 40015")
if "vrf" in more:
    # Without this the kernel sends at most one ICMP error a second over a dummy device.
    sysctl("ipv4/icmp_ratelimit", "0")
    sysctl("ipv6/icmp/ratelimit", "0")
mood = MOODS[0]
while left > 0:
    if rng.randrange(80) == 0:
        mood = rng.choice(MOODS)
    if focus:
        focused -= 1
        if focused == 0:
            disperse(processes[0])
    elif rng.randrange(250) == 0:
        crowd(processes[0])
    act(rng.choice(processes + [processes[0]] * 3), rng.choices(ACTIONS, mood)[0])
for child in processes[1:]:
    end(child)
