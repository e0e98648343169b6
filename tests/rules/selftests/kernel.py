#!/usr/bin/env -S python3 -IS
# SPDX-License-Identifier: GPL-2.0-or-later
"""kernel.py NAME FILE [WORDS]: plays the tables of this folder on the running kernel.

FILE has a program a line, as JSON: what SELFTESTS=FILE makes npx vitest run tests/rules/selftests
write. NAME is the name of the running kernel in the tables, "6.1.176" for example; one that they
do not name gets the usual answers. WORDS: only programs with these words in their names. Prints
every call that is answered otherwise, then how many calls of how many programs were not.

Each program runs in a process and a network namespace of its own; run it as root, in a virtual
machine (tests/recordings/programs/vm.sh) for other protocols and kernels than those of the machine.
"""

import ctypes
import errno
import json
import os
import re
import select
import signal
import socket
import struct
import subprocess
import sys
import time

CLONE_NEWNET = 0x40000000
SOL_SOCKET, SOL_IP, SOL_IPV6 = 1, 0, 41
PROTOCOLS = {
    "tcp": (1, 6), "udp": (2, 17), "udplite": (2, 136),
    "mptcp": (1, 262), "sctp": (1, 132), "dccp": (6, 33),
}
OPTIONS = {
    "SO_REUSEADDR": (SOL_SOCKET, 2), "SO_REUSEPORT": (SOL_SOCKET, 15),
    "SO_BINDTODEVICE": (SOL_SOCKET, 25), "IP_FREEBIND": (SOL_IP, 15),
    "IP_BIND_ADDRESS_NO_PORT": (SOL_IP, 24), "IP_LOCAL_PORT_RANGE": (SOL_IP, 51),
    "IPV6_V6ONLY": (SOL_IPV6, 26),
}
MODELLED = "6.3", "6.1.176", "6.12.107", "6.18.44"
SOL_DCCP, DCCP_SOCKOPT_SERVICE = 269, 2
SETUP = """\
link set lo up
addr add 192.0.2.10/32 dev lo
addr add 2001:db8::10/128 dev lo nodad
route add 198.51.100.0/24 dev lo
"""

libc = ctypes.CDLL(None, use_errno=True)


class Unsupported(Exception):
    """The kernel has no such sockets or devices."""


def made(result):
    """A system call's result as the tables have it."""
    if result >= 0:
        return str(result)
    number = ctypes.get_errno()
    return "EOPNOTSUPP" if number == errno.EOPNOTSUPP else errno.errorcode[number]


def packed(text):
    host, port = text.rsplit(":", 1)
    if host.startswith("["):
        address = socket.inet_pton(socket.AF_INET6, host[1:-1])
        return struct.pack("=HHI16sI", socket.AF_INET6, socket.htons(int(port)), 0, address, 0)
    address = socket.inet_pton(socket.AF_INET, host)
    return struct.pack("=HH4s8x", socket.AF_INET, socket.htons(int(port)), address)


def unpacked(data):
    family, port = struct.unpack_from("=HH", data)
    port = socket.ntohs(port)
    if family == socket.AF_INET6:
        return f"[{socket.inet_ntop(family, data[8:24])}]:{port}"
    return f"{socket.inet_ntop(family, data[4:8])}:{port}"


def joined(ports):
    runs = []
    for port in sorted(ports):
        if runs and runs[-1][1] + 1 == port:
            runs[-1][1] = port
        else:
            runs.append([port, port])
    return ",".join(f"{low}" if low == high else f"{low}-{high}" for low, high in runs)


class World:
    def __init__(self, kernel):
        self.kernel = kernel
        self.sockets = {}
        self.ports = {}
        self.user = 0
        if libc.unshare(CLONE_NEWNET):
            raise OSError(ctypes.get_errno(), "unshare")
        subprocess.run(["ip", "-batch", "-"], input=SETUP, text=True, check=True)

    def run(self, program):
        """How many calls there were, and what was answered otherwise."""
        wrong, before, count = [], [], 0
        for line in program.split("\n"):
            text = re.sub(r" *(^|\t| )#.*$", "", line).strip()
            if not text:
                continue
            call, _, answers = text.partition(" = ")
            usual, *others = (answers or "0").split(" | ")
            expected = dict(other.split(": ") for other in others).get(self.kernel, usual)
            result = self.call(call)
            count += 1
            if not self.matches(expected, result):
                wrong.append("; ".join([*before, f"{call} = {result}, not {expected}"]))
            before = [] if call.startswith("close ") else [*before, call][-8:]
        return count, wrong

    def matches(self, expected, result):
        span = re.fullmatch(r"(.*?)([0-9]+)\.\.([0-9]+)", expected)
        if span:
            front, low, high = span.groups()
            rest = result[len(front):]
            if not result.startswith(front) or not rest.isdigit():
                return False
            return int(low) <= int(rest) <= int(high)
        variable = re.search(r"\$[a-z]", expected)
        if not variable:
            return result == expected
        variable = variable[0]
        if variable not in self.ports:
            port = re.search("[0-9]+$", result)
            if not port or result != expected.replace(variable, port[0]):
                return False
            self.ports[variable] = port[0]
        return result == expected.replace(variable, self.ports[variable])

    def call(self, text):
        text = re.sub(r"\$[a-z]", lambda name: self.ports.get(name[0], name[0]), text)
        words = text.split()
        if words[0] not in self.sockets:
            return self.world_call(*words)
        fd, user, dgram = self.sockets[words[0]]
        if user:
            os.seteuid(user)
        try:
            return self.socket_call(words[0], fd, dgram, *words[1:])
        finally:
            if user:
                os.seteuid(0)

    def world_call(self, verb, *args):
        if verb == "user":
            self.user = int(args[0])
        elif verb == "pass":
            time.sleep(int(args[0]) / 1000)
        elif verb == "sysctl":
            try:
                with open("/proc/sys/net/" + args[0].replace(".", "/"), "w") as file:
                    file.write(" ".join(args[1:]) + "\n")
            except OSError as error:
                return errno.errorcode[error.errno]
        elif verb == "ip":
            if subprocess.run([verb, *args], stderr=subprocess.DEVNULL).returncode:
                raise Unsupported
        elif verb == "close":
            for name in list(self.sockets) if args == ("all",) else args:
                os.close(self.sockets.pop(name)[0])
        elif verb == "ports":
            return joined(int(self.name(self.sockets[name][0]).rsplit(":", 1)[1]) for name in args)
        elif verb == "heard":
            heard = [name for name in args if self.hears(name)]
            if not heard:
                # A packet may be on its way for a moment.
                time.sleep(0.03)
                heard = [name for name in args if self.hears(name)]
            return " ".join(heard) or "nobody"
        else:
            protocol, six = re.fullmatch("([a-z]+)(6?)", verb).groups()
            return self.create(*PROTOCOLS[protocol], six, args)
        return "0"

    def create(self, kind, protocol, six, args):
        at = args.index("with") if "with" in args else len(args)
        if self.user:
            os.seteuid(self.user)
        try:
            for name in args[:at]:
                fd = libc.socket(socket.AF_INET6 if six else socket.AF_INET, kind, protocol)
                if fd < 0:
                    if ctypes.get_errno() in (errno.EPROTONOSUPPORT, errno.ESOCKTNOSUPPORT):
                        raise Unsupported
                    return made(fd)
                self.sockets[name] = fd, self.user, kind == 2
                if protocol == 33:
                    self.set(fd, SOL_DCCP, DCCP_SOCKOPT_SERVICE, struct.pack("!I", 42))
                for option in args[at + 1:]:
                    result = self.set(fd, *OPTIONS[option], struct.pack("=i", 1))
                    if result != "0":
                        return result
        finally:
            if self.user:
                os.seteuid(0)
        return "0"

    def set(self, fd, level, option, data, size=None):
        size = len(data) if size is None else size
        return made(libc.setsockopt(fd, level, option, data, size))

    def name(self, fd, call=None):
        data, size = ctypes.create_string_buffer(128), ctypes.c_uint32(128)
        result = (call or libc.getsockname)(fd, data, ctypes.byref(size))
        return unpacked(data.raw) if result == 0 else made(result)

    def accept(self, fd, patience=1):
        ready = select.select([fd], [], [], patience)[0]
        if not ready and self.listens(fd):
            return "EAGAIN", -1
        result = libc.accept(fd, None, None)
        return ("0", result) if result >= 0 else (made(result), -1)

    def listens(self, fd):
        value, size = ctypes.c_int(0), ctypes.c_uint32(4)
        libc.getsockopt(fd, SOL_SOCKET, 30, ctypes.byref(value), ctypes.byref(size))
        return value.value

    def hears(self, name):
        fd, _, dgram = self.sockets[name]
        if dgram:
            return libc.recv(fd, ctypes.create_string_buffer(8), 8, 0x40) >= 0
        _, accepted = self.accept(fd, 0)
        if accepted >= 0:
            os.close(accepted)
        return accepted >= 0

    def connect(self, fd, data, blocking):
        os.set_blocking(fd, blocking)
        signal.alarm(20 if blocking else 0)
        result = made(libc.connect(fd, data, len(data)))
        signal.alarm(0)
        os.set_blocking(fd, True)
        return result

    def socket_call(self, name, fd, dgram, verb, *args):
        if verb == "bind":
            data = packed(args[0])
            return made(libc.bind(fd, data, len(data)))
        if verb == "listen":
            return made(libc.listen(fd, int(args[0])))
        if verb in ("connect", "start"):
            return self.connect(fd, packed(args[0]), verb == "connect")
        if verb == "dissolve":
            return self.connect(fd, bytes(16), True)
        if verb == "accept":
            result, accepted = self.accept(fd)
            if accepted >= 0:
                self.sockets[args[0]] = accepted, self.user, False
            return result
        if verb == "close":
            del self.sockets[name]
            os.close(fd)
            return "0"
        if verb == "send":
            data = packed(args[0]) if args else b""
            return made(libc.sendto(fd, b"a", 1, 0x4000, data or None, len(data)))
        if verb == "recv":
            return made(libc.recv(fd, ctypes.create_string_buffer(8), 1, 0x40))
        if verb == "name":
            return self.name(fd)
        if verb == "port":
            return self.name(fd).rsplit(":", 1)[1]
        if verb == "peer":
            return self.name(fd, libc.getpeername)
        if verb == "device":
            return self.set(fd, *OPTIONS["SO_BINDTODEVICE"], args[0].encode() + b"\0")
        if verb == "range":
            value = struct.pack("=HH", int(args[0]), int(args[1]))
            return self.set(fd, *OPTIONS["IP_LOCAL_PORT_RANGE"], value)
        option = OPTIONS.get(args[0]) or tuple(map(int, args[0].split(".")))
        if verb == "set":
            return self.set(fd, *option, struct.pack("=i", int(args[1])))
        if verb == "setopt":
            data = None if args[1] == "NULL" else bytes.fromhex(args[1].strip("-"))
            return self.set(fd, *option, data, int(args[2]))
        if verb == "getopt":
            data, size = ctypes.create_string_buffer(64), ctypes.c_uint32(int(args[1]))
            result = libc.getsockopt(fd, *option, data, ctypes.byref(size))
            return made(result) if result else data.raw[:size.value].hex() or "nothing"
        raise ValueError(f"no call: {verb}")


def play(kernel, program):
    """[calls, wrong answers] of one program, or None for what the kernel has not."""
    reader, writer = os.pipe()
    pid = os.fork()
    if pid == 0:
        try:
            result = World(kernel).run(program)
        except Unsupported:
            result = None
        except Exception as error:  # told to the parent, with the program's name
            result = 0, [repr(error)]
        os.write(writer, json.dumps(result).encode())
        os._exit(0)
    os.close(writer)
    with os.fdopen(reader) as pipe:
        text = pipe.read()
    os.waitpid(pid, 0)
    return json.loads(text or '[0, ["died"]]')


def main():
    if len(sys.argv) < 3:
        sys.exit(__doc__)
    kernel, file, *words = sys.argv[1:]
    signal.signal(signal.SIGALRM, lambda *_: None)
    signal.siginterrupt(signal.SIGALRM, True)
    programs, calls, wrong, left_out = 0, 0, 0, 0
    with open(file) as lines:
        for line in lines:
            entry = json.loads(line)
            if not all(word in entry["name"] for word in words):
                continue
            if not {kernel, "" if kernel in MODELLED else "*"} & set(entry["versions"]):
                continue
            result = play(kernel, entry["program"])
            if result is None:
                left_out += 1
                continue
            programs += 1
            calls += result[0]
            wrong += len(result[1])
            for text in result[1]:
                print(f"{entry['name']}: {text}", flush=True)
    print(f"{kernel}: {calls} calls of {programs} programs, {wrong} answered otherwise;"
          f" {left_out} programs left out")


main()
