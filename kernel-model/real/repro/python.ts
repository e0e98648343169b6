// SPDX-License-Identifier: GPL-2.0-or-later
/** Prints a plan as a program in Python. It calls libc, so that arguments are those of the script. */
import { EINTR, errnoName } from "../../../include/uapi/asm-generic/errno.js";
import { constantNamed } from "../../script/operands.js";
import {
	type Argument,
	ATTEMPTS,
	type CallStep,
	checksOf,
	type Expected,
	type Fd,
	type Plan,
	type Port,
	SLEEP_LIMIT,
	type Step,
	sleepOf,
} from "./plan.js";
import { argumentsOf, calls, headOf, namesOf, rangeOf, taskOf, WORKER, worked } from "./text.js";

/** Names that the module socket has on every Linux. Others get their number. */
const COMMON =
	/^(AF_(INET6?|UNIX|UNSPEC|NETLINK)|SOCK_(STREAM|DGRAM|RAW|SEQPACKET|NONBLOCK|CLOEXEC)|IPPROTO_(IP|TCP|UDP|IPV6|SCTP)|SOL_(SOCKET|IP|TCP|UDP)|SO_(REUSEADDR|REUSEPORT|LINGER|ERROR|BINDTODEVICE|KEEPALIVE|BROADCAST|SNDBUF|RCVBUF)|SHUT_\w+|MSG_(PEEK|DONTWAIT|NOSIGNAL|ERRQUEUE)|IPV6_V6ONLY)$/;

/** Descriptors of the program itself have this number or a higher one. */
const OWN_DESCRIPTORS = 400;

/** A literal of bytes. "#" is escaped, because it means something in TAP. */
function bytes(value: Uint8Array): string {
	let text = "";
	for (const byte of value) {
		const char = String.fromCharCode(byte);
		text +=
			byte >= 32 && byte < 127 && !'"\\#'.includes(char)
				? char
				: `\\x${byte.toString(16).padStart(2, "0")}`;
	}
	return `b"${text}"`;
}

const text = (value: string) => bytes(new TextEncoder().encode(value)).slice(1);

function errno(result: number): string {
	const name = result < 0 ? errnoName(-result) : "";
	return /^E[A-Z]/.test(name) ? `-errno.${name}` : String(result);
}

const SAY = `def say(text):
    os.write(1, (text + "\\n").encode())
`;

const AGAIN = `# The kernel draws random numbers. "until": if the next result differs, the program begins anew.
# "while": it begins anew if the result is as expected.
again = None
attempt = int(os.environ.get("REPRO_ATTEMPT", 0))
said = []


def say(text):
    said.append(text + "\\n")


def try_again():
    if attempt == ${ATTEMPTS}:
        return
    os.environ["REPRO_ATTEMPT"] = str(attempt + 1)
    os.closerange(3, ${OWN_DESCRIPTORS + 100})
    os.execv(sys.executable, [sys.executable, __file__])
`;

const HEAD = (shared: number, checks: number, chance: boolean) => `
libc = ctypes.CDLL(None, use_errno=True)
CLONE_NEWUSER, CLONE_NEWNET = 0x10000000, 0x40000000
FD = "a descriptor"
${shared > 0 ? `# Shared by all processes: blocks done, checks, failures, and ports.\nshared = mmap.mmap(-1, 4096)\nstate = (ctypes.c_int * ${shared}).from_buffer(shared)` : "state = [0, 0, 0]"}
DONE, NUMBER, FAILED = 0, 1, 2


${chance ? AGAIN : SAY}

def skip(why):
    """Ends the program, because it cannot run here."""
    say("# %s: %s" % (why, os.strerror(ctypes.get_errno())))
    while state[NUMBER] < ${checks}:
        state[NUMBER] += 1
        say("ok %d # SKIP %s" % (state[NUMBER], why))
    ${chance ? 'os.write(1, "".join(said).encode())\n    ' : ""}os._exit(4)


def source(depth=2):
    """The line of this program that makes a check."""
    frame = sys._getframe(depth)
    return linecache.getline(__file__, frame.f_lineno).strip()


def report(ok, what, seen, expected):
    state[NUMBER] += 1
    say("%s %d - %s" % ("ok" if ok else "not ok", state[NUMBER], what))
    if not ok:
        state[FAILED] = 1
        why = " " + os.strerror(-seen) if seen < 0 else ""
        say("# is %d%s, expected %s" % (seen, why, expected))


def check(seen, *expected):
    """Checks that a result is one of some: a value, a negative errno, or any descriptor."""
    ok = seen in expected or (FD in expected and seen >= 0)
${chance ? '    global again\n    if again == ("while" if ok else "until"):\n        try_again()\n    again = None\n' : ""}    report(ok, source(), seen, " or ".join(map(str, expected)))
    return seen


def call(function, *args):
    """Makes a system call. Returns its result, or a negative errno."""
    settle()
    result = getattr(libc, function)(*args)
    return -ctypes.get_errno() if result < 0 else result
`;

const SETTLE = (worker: string) => `
# A softirq receives what was sent over lo, perhaps after the call has returned. This socket is
# connected to itself, in a network namespace of its own. All packets over lo of one CPU wait in one
# queue. So when its datagrams have arrived, those before have arrived as well: a SYN, and the
# answers to it.
loop = None


def settle():
    for _ in range(4 if loop else 0):
        loop.send(b".")
        loop.recv(1)
${worker}

def lo_up():
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as any_socket:
        fcntl.ioctl(any_socket, 0x8914, struct.pack("16sH14x", b"lo", 1))  # SIOCSIFFLAGS, IFF_UP


def open_loop():
    global loop
    os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
    lo_up()
    low = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    low.bind(("127.0.0.1", 0))
    low.connect(low.getsockname())
    loop = socket.socket(fileno=fcntl.fcntl(low, fcntl.F_DUPFD_CLOEXEC, ${OWN_DESCRIPTORS}))
    low.close()


def write_file(path, text):
    try:
        fd = os.open(path, os.O_WRONLY)
    except OSError as error:
        return -error.errno
    try:
        os.write(fd, text.encode())
    except OSError as error:
        return -error.errno
    finally:
        os.close(fd)
    return 0
`;

function enter(users: boolean, chance: boolean): string {
	const user = users
		? `    if os.geteuid() != 0:
        skip("root, who can become another user")
    if libc.unshare(CLONE_NEWNET) < 0:
        skip("a network namespace")
`
		: `    uid, gid = os.geteuid(), os.getegid()
    if libc.unshare(${chance ? "CLONE_NEWNET if attempt else " : ""}CLONE_NEWUSER | CLONE_NEWNET) < 0:
        skip("user and network namespaces")
    write_file("/proc/self/setgroups", "deny")
    if ${chance ? "attempt == 0 and (" : ""}write_file("/proc/self/uid_map", "0 %d 1" % uid) or write_file("/proc/self/gid_map", "0 %d 1" % gid)${chance ? ")" : ""}:
        skip("a user namespace")
`;
	return `
def enter():
    """Enters fresh namespaces."""
${user}    open_loop()
    if libc.unshare(CLONE_NEWNET) < 0:
        skip("a network namespace")
    lo_up()
`;
}

const IP = `
def ip(words):
    """Runs the command ip with these words."""
    try:
        status = subprocess.run(["ip"] + words.split(), stdout=2, close_fds=False).returncode
    except OSError:
        status = 127
    if status != 0:
        skip("the command ip failed")
`;

const ADDRESSES = `
def in4(address, port, length=16):
    name = struct.pack("=H", socket.AF_INET) + struct.pack(">H", port)
    return memory(name + socket.inet_aton(address) + bytes(8), length)


def in6(address, port, flowinfo=0, scope=0, length=28):
    name = struct.pack("=H", socket.AF_INET6) + struct.pack(">HI", port, flowinfo)
    name += socket.inet_pton(socket.AF_INET6, address) + struct.pack("=I", scope)
    return memory(name, length)
`;

const MEMORY = `
def memory(data, length):
    """Data that a call reads, and the length that it is told."""
    return ctypes.create_string_buffer(data, max(len(data), 256)), length


def ints(*numbers):
    return memory(struct.pack("=%di" % len(numbers), *numbers), 4 * len(numbers))


def port_range(low, high):
    return memory(struct.pack("=I", high << 16 | low), 4)
`;

const ROOM = `
filled = ctypes.create_string_buffer(1024)
filled_length = ctypes.c_uint(0)


def room(size):
    """Memory that a call fills in, and its length."""
    ctypes.memset(filled, 0, 1024)
    filled_length.value = size & 0xffffffff
    return filled, ctypes.byref(filled_length)


def name_is(address, port):
    """Whether a call has filled in this address. A port of -1 stands for every port."""
    family = struct.unpack_from("=H", filled)[0]
    data = filled.raw[4:8] if family == socket.AF_INET else filled.raw[8:24]
    seen = socket.inet_ntop(family, data), struct.unpack_from(">H", filled, 2)[0]
    if data == socket.inet_pton(family, address) and port in (-1, seen[1]):
        return True
    say("# the address is %s, port %d" % seen)
    return False


def value():
    return filled.raw[: filled_length.value]


def int_value():
    return struct.unpack_from("=i", filled)[0]
`;

const PORTS = `
def port_of(fd):
    name, length = ctypes.create_string_buffer(128), ctypes.c_uint(128)
    if libc.getsockname(fd, name, ctypes.byref(length)) < 0:
        return 0
    return struct.unpack_from(">H", name, 2)[0]


def check_port(fd, low, high, *reserved):
    """Checks that a port that the kernel chose is within a range, and not a reserved one."""
    port = port_of(fd)
    report(low <= port <= high and port not in reserved, source(), port, "a port of the range")
    return port
`;

const SLEEPS = (seconds: number) => `
def sleeps(function, *args):
    """The result of a call that must sleep. A signal interrupts it."""
    settle()
    signal.signal(signal.SIGALRM, lambda *_: None)
    signal.setitimer(signal.ITIMER_REAL, ${SLEEP_LIMIT / 1000}, ${SLEEP_LIMIT / 1000})
    result = getattr(libc, function)(*args)
    result = -ctypes.get_errno() if result < 0 else result
    signal.setitimer(signal.ITIMER_REAL, 0)
    signal.signal(signal.SIGALRM, signal.SIG_DFL)
    signal.alarm(${seconds})
    return result
`;

const NULL_DEVICE = `
def null_device():
    """A descriptor of /dev/null, for a script that uses its standard input or output."""
    fd = os.open("/dev/null", os.O_RDWR)
    high = fcntl.fcntl(fd, fcntl.F_DUPFD, ${OWN_DESCRIPTORS})
    os.close(fd)
    return high
`;

const TASKS = (seconds: number) => `
# Every process runs through the whole program. The steps of a process are in blocks. The others
# wait at a block until it is done.
me, block, mine = 0, 0, False


def turn(task):
    """Begins a block. Returns whether it is one of this process."""
    global block, mine
    if mine:
        state[DONE] = block
    block += 1
    mine = task == me
    # A new process would be done before the block that made it.
    while state[DONE] < (block - 1 if mine else block):
        time.sleep(0.0001)
    return mine


def last_turn():
    if mine:
        state[DONE] = block
    if me != 0:
        os._exit(0)
    try:
        while True:
            os.wait()
    except ChildProcessError:
        pass


def start_task(task):
    global me, mine
    if os.fork() == 0:
        libc.prctl(1, 9)  # PR_SET_PDEATHSIG, SIGKILL
        signal.alarm(${seconds})
        me, mine = task, False
`;

const END_TASK = `
def end_task():
    """Closes the descriptors of this process, and ends it unless it is the first one."""
    for fd in range(3, ${OWN_DESCRIPTORS}):
        libc.close(fd)
    if me != 0:
        state[DONE] = block
        os._exit(0)
`;

const END_ALONE = `
def end_task():
    os.closerange(3, ${OWN_DESCRIPTORS})
`;

class Printer {
	private readonly lines: string[] = [];
	private readonly chance: boolean;
	private readonly ports = new Map<string, string>();

	constructor(private readonly plan: Plan) {
		this.chance = calls(plan).some(({ again }) => again !== null);
		for (const [i, name] of plan.ports.entries()) {
			this.ports.set(name, plan.tasks > 1 ? `state[${i + 3}]` : name);
		}
	}

	print(): string {
		const { plan } = this;
		const seconds = 60 + Math.ceil(sleepOf(plan) / 1000);
		const some = calls(plan);
		const args = argumentsOf(plan);
		const checks = checksOf(plan).length;
		const { steps } = plan;
		const has = (kind: Step["kind"]) => steps.some((step) => step.kind === kind);
		const shared = plan.tasks > 1;
		const sleeps = some.some((call) => call.sleeps);
		const addresses = args.some(({ kind }) => kind === "in4" || kind === "in6");
		const filled = args.some(({ kind }) => ["name", "value", "room"].includes(kind));
		const sockets = args.some((arg) => "port" in arg && arg.port.kind === "socket");
		const chosen = some.some(({ choice }) => choice !== null);
		const { chance } = this;
		const mptcp = plan.protocols.some(({ name }) => name === "MPTCP");
		const parts = [
			HEAD(shared ? plan.ports.length + 3 : 0, checks, chance),
			SETTLE(mptcp ? "    time.sleep(0.02)  # MPTCP has a worker\n" : ""),
			enter(plan.users, chance),
			...(has("ip") ? [IP] : []),
			...(addresses ? [ADDRESSES] : []),
			MEMORY,
			...(filled ? [ROOM] : []),
			...(chosen || sockets ? [PORTS] : []),
			...(sleeps ? [SLEEPS(seconds)] : []),
			...(plan.standard.length > 0 ? [NULL_DEVICE] : []),
			...(shared ? [TASKS(seconds)] : []),
			...(has("exit") ? [shared ? END_TASK : END_ALONE] : []),
		];
		const modules = ["ctypes", "errno", "fcntl", "linecache", "os", "signal", "socket", "struct"];
		if (shared) modules.push("mmap");
		if (has("ip")) modules.push("subprocess");
		modules.push("sys");
		if (shared || mptcp || has("sleep") || has("ip")) modules.push("time");
		const usage = [
			"Run it with python3. It needs no privileges where users may make user namespaces. It",
			"prints TAP. Exit status: 0 all results as expected, 1 something differs, 4 cannot run here.",
		];
		return [
			"#!/usr/bin/env python3",
			"# SPDX-License-Identifier: GPL-2.0-or-later",
			"#",
			...headOf(plan, usage).map((line) => (line === "" ? "#" : `# ${line}`)),
			"",
			...modules.sort().map((name) => `import ${name}`),
			...this.constants(),
			...parts.flatMap((part, at) => [
				...(at === 0 ? [""] : ["", ""]),
				...part.replace(/^\n/, "").replace(/\n$/, "").split("\n"),
			]),
			"",
			"",
			...this.body(checks, seconds),
			"",
		].join("\n");
	}

	private constants(): string[] {
		const names = namesOf(this.plan);
		const known = names.filter((name) => COMMON.test(name));
		const lines: string[] = [];
		for (let at = 0; at < known.length; at += 5) {
			lines.push(`from socket import ${known.slice(at, at + 5).join(", ")}`);
		}
		for (const name of names) {
			if (COMMON.test(name) || /^CLONE_NEW(NET|USER)$/.test(name)) continue;
			lines.push(`${name} = ${constantNamed(name) ?? 0}`);
		}
		return lines;
	}

	private body(checks: number, seconds: number): string[] {
		const { plan } = this;
		const { steps } = plan;
		const standard = new Set(plan.standard);
		for (const fd of plan.descriptors) {
			this.lines.push(`fd${fd} = ${standard.has(fd) ? "null_device()" : fd}`);
		}
		for (const { family, type, protocol, name } of plan.protocols) {
			this.lines.push(`needed = libc.socket(${family}, ${type}, ${protocol})`);
			this.lines.push("if needed < 0:", `    skip("no ${name} here")`, "libc.close(needed)");
		}
		const start = [`say("TAP version 13\\n1..${checks}")`, `signal.alarm(${seconds})`, "enter()"];
		this.lines.unshift(...start);
		this.lines.push("");
		let task = -1;
		for (const [at, step] of steps.entries()) {
			if (plan.tasks > 1 && taskOf(step) !== task) {
				task = taskOf(step);
				this.lines.push("", `if turn(${task}):`, "    pass");
				if (step.kind !== "left out") this.lines.pop();
			}
			if (worked(steps, at)) this.line(`time.sleep(${WORKER / 1000})  # routes of IPv6 addresses`);
			this.step(step);
			if (step.kind === "fork" || step.kind === "exit") task = -1;
		}
		if (plan.tasks > 1) this.lines.push("", "last_turn()");
		this.lines.push(
			...(this.chance ? ['os.write(1, "".join(said).encode())'] : []),
			"os._exit(state[FAILED])",
		);
		return this.lines;
	}

	private line(text: string): void {
		this.lines.push(`${this.plan.tasks > 1 ? "    " : ""}${text}`);
	}

	private step(step: Step): void {
		switch (step.kind) {
			case "left out":
				this.line(`# line ${step.line}: ${step.what} is left out`);
				break;
			case "ip":
				this.line(`ip(${text(step.words.join(" "))})`);
				break;
			case "sysctl": {
				const call = `write_file(${text(step.path)}, ${text(step.value)})`;
				this.line(`check(${call}, ${errno(step.returns)})`);
				break;
			}
			case "sleep":
				this.line(`time.sleep(${step.ms / 1000})`);
				break;
			case "fork":
				this.line(`start_task(${step.child})`);
				break;
			case "exit":
				this.line("end_task()");
				break;
			case "call":
				this.call(step);
				break;
		}
	}

	private call(step: CallStep): void {
		const { makes, returns, sleeps, address, values, choice, others, again } = step;
		if (again !== null) {
			const also = others.map(errno).join(" or ");
			this.line(`again = "${again}"  # by chance it is also ${also}`);
		}
		const args = [`"${step.name}"`, ...this.args(step.args)].join(", ");
		if (sleeps) this.line(`check(sleeps(${args}), ${errno(-EINTR)})`);
		else {
			const results = returns.map((result) =>
				makes !== null && result >= 0 ? "FD" : errno(result),
			);
			const left = makes !== null && this.plan.descriptors.includes(makes) ? `fd${makes} = ` : "";
			this.line(`${left}check(call(${args}), ${[...new Set(results)].join(", ")})`);
		}
		if (choice !== null) {
			const { name, fd, low, high, reserved } = choice;
			const left = name === null ? "" : `${this.ports.get(name)} = `;
			this.line(`${left}check_port(${[this.fd(fd), low, high, ...reserved].join(", ")})`);
		}
		if (address !== null) this.line(`check(name_is(${this.expected(address)}), True)`);
		if (values.length === 0) return;
		if (values.every((value) => value.length === 4)) {
			const ints = values.map((one) => new DataView(one.buffer, one.byteOffset).getInt32(0, true));
			this.line(`check(int_value(), ${ints.join(", ")})`);
		} else this.line(`check(value() in (${values.map(bytes).join(", ")},), True)`);
	}

	private expected({ address, port }: Expected): string {
		return `${text(address)}, ${port === null ? "-1" : this.port(port)}`;
	}

	private fd({ number, known }: Fd): string {
		return known ? `fd${number}` : String(number);
	}

	private port(port: Port): string {
		if (port.kind === "variable") return this.ports.get(port.name) ?? "0";
		return port.kind === "socket" ? `port_of(${this.fd(port.fd)})` : String(port.value);
	}

	private args(args: readonly Argument[]): string[] {
		return args.map((arg, at) => {
			const range = rangeOf(args, at);
			if (range === null || arg.kind !== "ints" || arg.length !== 4) return this.arg(arg);
			const [low, high] = range;
			return `*port_range(${low}, ${high})`;
		});
	}

	private arg(arg: Argument): string {
		switch (arg.kind) {
			case "int":
				return String(arg.value);
			case "names": {
				const extra = arg.extra === 0 ? [] : [`0x${(arg.extra >>> 0).toString(16)}`];
				return [...arg.names.map((name) => (name === "NULL" ? "0" : name)), ...extra].join(" | ");
			}
			case "fd":
				return this.fd(arg.fd);
			case "limit":
				return `struct.pack("=2Q", ${arg.cur}, ${arg.max})`;
			case "path":
				return bytes(new TextEncoder().encode(arg.path));
			case "in4": {
				const length = arg.length === 16 ? "" : `, length=${arg.length}`;
				return `*in4(${text(arg.address)}, ${this.port(arg.port)}${length})`;
			}
			case "in6": {
				const { scope, flowinfo } = arg;
				const device =
					typeof scope === "number" ? scope : `socket.if_nametoindex(${text(scope.device)})`;
				const more = scope === 0 && flowinfo === 0 ? "" : `, ${flowinfo}, ${device}`;
				const length = arg.length === 28 ? "" : `, length=${arg.length}`;
				return `*in6(${text(arg.address)}, ${this.port(arg.port)}${more}${length})`;
			}
			case "bytes": {
				const zero = arg.bytes.length > 4 && arg.bytes.every((byte) => byte === 0);
				const data = zero ? `bytes(${arg.bytes.length})` : bytes(arg.bytes);
				return `*memory(${data}, ${arg.length})`;
			}
			case "ints":
				if (arg.length === 4 * arg.ints.length) return `*ints(${arg.ints.join(", ")})`;
				return `*memory(struct.pack("=${arg.ints.length}i", ${arg.ints.join(", ")}), ${arg.length})`;
			case "zeros":
				return `*memory(bytes(${arg.length}), ${arg.length})`;
			case "pointer":
				return `${arg.value === 0 ? "None" : `ctypes.c_void_p(${arg.value})`}, ${arg.length}`;
			case "room":
				return `ctypes.create_string_buffer(${Math.max(arg.size, 1)}), ${arg.size}`;
			case "name":
			case "value":
				return `*room(${arg.room})`;
			case "nothing":
				return "None, None";
		}
	}
}

/** The Python program of a plan. */
export function printPython(plan: Plan): string {
	return new Printer(plan).print();
}
