// SPDX-License-Identifier: GPL-2.0-or-later
/** The functions above the calls of a program in C: those that it needs. */
import { ATTEMPTS, type Plan, SLEEP_LIMIT, sleepOf } from "./plan.js";
import { argumentsOf, calls, rangeOf, worked } from "./text.js";

/** Descriptors of the program itself have this number or a higher one. */
const OWN_DESCRIPTORS = 400;

/** Text as it stands, without the indentation of the template. */
function lines(text: string): string[] {
	return text
		.replace(/^\n/, "")
		.replace(/\n\t*$/, "")
		.split("\n");
}

const BEGIN = (shared: string, checks: number, chance: boolean) => `
/* Ends the program, because it cannot run here. */
static void skip(const char *why)
{
	printf("# %s: %s\\n", why, strerror(errno));
	while (${shared}number < ${checks})
		printf("ok %d # SKIP %s\\n", ++${shared}number, why);
	fflush(stdout);
	_exit(4);
}

#define FD LONG_MAX /* any descriptor */

static long check(const char *call, const char *results, long seen, const long *expected, int count)
{
	int ok = 0;

	for (int i = 0; i < count; i++)
		ok |= expected[i] == FD ? seen >= 0 : seen == expected[i];
${chance ? "	if (again == (ok ? WHILE : UNTIL))\n		try_again();\n	again = NO;\n" : ""}	printf("%s %d - %s = %s\\n", ok ? "ok" : "not ok", ++${shared}number, call, results);
	if (!ok) {
		${shared}failed = 1;
		printf("# is %ld%s%s\\n", seen, seen < 0 ? " " : "", seen < 0 ? strerror(-seen) : "");
	}
${chance ? "" : "	fflush(stdout);\n"}	return seen;
}

/* Checks that a result is one of these: a value, a negative errno, or any descriptor. */
#define CHECK(call, ...)                                              \\
	check(#call, #__VA_ARGS__, (settle(), result(call)), (const long[]){ __VA_ARGS__ }, \\
	      sizeof((const long[]){ __VA_ARGS__ }) / sizeof(long))
`;

const RESULT = `
static long result(long value)
{
	return value < 0 ? -errno : value;
}
`;

const LO_UP = `
static int lo_up(void)
{
	struct ifreq lo = { .ifr_name = "lo", .ifr_flags = IFF_UP };
	int fd = socket(AF_INET, SOCK_DGRAM, 0);
	int err = ioctl(fd, SIOCSIFFLAGS, &lo);

	close(fd);
	return err;
}
`;

const WRITE_FILE = `
static int write_file(const char *path, const char *text)
{
	int fd = open(path, O_WRONLY);
	ssize_t done = fd < 0 ? -1 : write(fd, text, strlen(text));
	int error = errno;

	if (fd >= 0)
		close(fd);
	errno = error;
	return done < 0 ? -1 : 0;
}
`;

const SETTLE = (worker: string) => `
/*
 * A softirq receives what was sent over lo, perhaps after the call has returned. This socket is
 * connected to itself, in a network namespace of its own. All packets over lo of one CPU wait in one
 * queue. So when its datagrams have arrived, those before have arrived as well: a SYN, and the
 * answers to it.
 */
static int loop;

static void settle(void)
{
	char byte = 0;

	for (int i = 0; i < 4; i++)
		if (send(loop, &byte, 1, 0) != 1 || recv(loop, &byte, 1, 0) != 1)
			abort();
${worker}}

static int open_loop(void)
{
	struct sockaddr_in name = { .sin_family = AF_INET, .sin_addr = { htonl(INADDR_LOOPBACK) } };
	socklen_t length = sizeof(name);
	int fd = socket(AF_INET, SOCK_DGRAM, 0);
	cpu_set_t cpu;

	CPU_ZERO(&cpu);
	CPU_SET(sched_getcpu(), &cpu);
	sched_setaffinity(0, sizeof(cpu), &cpu);
	if (lo_up() < 0 || bind(fd, (struct sockaddr *)&name, length) < 0 ||
	    getsockname(fd, (struct sockaddr *)&name, &length) < 0 ||
	    connect(fd, (struct sockaddr *)&name, length) < 0)
		return -1;
	loop = fcntl(fd, F_DUPFD_CLOEXEC, ${OWN_DESCRIPTORS});
	close(fd);
	return loop;
}
`;

const USER_MAPS = `	snprintf(uid_map, sizeof(uid_map), "0 %u 1", geteuid());
	snprintf(gid_map, sizeof(gid_map), "0 %u 1", getegid());
`;
const WRITE_MAPS = `	write_file("/proc/self/setgroups", "deny");
	if (write_file("/proc/self/uid_map", uid_map) < 0 ||
	    write_file("/proc/self/gid_map", gid_map) < 0)
`;

const AGAIN = `
/*
 * The kernel draws random numbers. UNTIL: if the next result differs, the program begins anew. WHILE:
 * it begins anew if the result is as expected.
 */
static enum { NO, UNTIL, WHILE } again;

static int attempt(void)
{
	const char *text = getenv("REPRO_ATTEMPT");

	return text == NULL ? 0 : atoi(text);
}

static void try_again(void)
{
	char text[16];

	if (attempt() == ${ATTEMPTS})
		return;
	snprintf(text, sizeof(text), "%d", attempt() + 1);
	setenv("REPRO_ATTEMPT", text, 1);
	for (int fd = 3; fd < ${OWN_DESCRIPTORS + 100}; fd++)
		close(fd);
	/* What is in the buffer of stdout is forgotten. */
	execl("/proc/self/exe", "repro", (char *)NULL);
}
`;

/** The namespaces. A program that takes other users must have them, so it stays in its own. */
function enter(users: boolean, chance: boolean): string {
	const flags = users ? "CLONE_NEWNET" : "CLONE_NEWUSER | CLONE_NEWNET";
	const maps = users ? "" : `\tchar uid_map[32], gid_map[32];\n\n${USER_MAPS}`;
	const root = users
		? '	if (geteuid() != 0)\n		return "root, who can become another user";\n'
		: "";
	const write = chance
		? WRITE_MAPS.replace("if (", "if (attempt() == 0 && (").replace(/\)\n$/, "))\n")
		: WRITE_MAPS;
	const map = users ? "" : `${write}		return "a user namespace";\n`;
	const entered = chance && !users ? `attempt() == 0 ? ${flags} : CLONE_NEWNET` : flags;
	return `
/* Enters fresh namespaces. Returns what is missing. */
static const char *enter(void)
{
${maps}${root}	if (unshare(${entered}) < 0)
		return "${users ? "a network namespace" : "user and network namespaces"}";
${map}	if (open_loop() < 0)
		return "datagrams over lo";
	if (unshare(CLONE_NEWNET) < 0 || lo_up() < 0)
		return "a network namespace";
	return NULL;
}
`;
}

const IP = (fails: string) => `
/* Runs the command ip with these words. */
static ${fails === "" ? "void" : "int"} ip(const char *words)
{
	char text[512], *argv[64] = { "ip" };
	int status = -1, n = 1;
	pid_t pid;

	snprintf(text, sizeof(text), "%s", words);
	for (char *word = strtok(text, " "); word != NULL && n < 63; word = strtok(NULL, " "))
		argv[n++] = word;
	pid = fork();
	if (pid == 0) {
		dup2(STDERR_FILENO, STDOUT_FILENO);
		execvp("ip", argv);
		_exit(127);
	}
	waitpid(pid, &status, 0);
${fails === "" ? '	if (status != 0)\n		skip("the command ip failed");' : "	return status;"}
}
`;

const ADDRESS = (variables: string) => `
static union {
	struct sockaddr any;
	struct sockaddr_in in4;
	struct sockaddr_in6 in6;
	char room[256];
} ${variables};
`;

const IN4 = `
static struct sockaddr *in4(const char *address, int port)
{
	to.in4 = (struct sockaddr_in){ .sin_family = AF_INET, .sin_port = htons(port) };
	inet_pton(AF_INET, address, &to.in4.sin_addr);
	return &to.any;
}

#define IN4(address, port) in4(address, port), sizeof(struct sockaddr_in)
`;

const IN6 = `
static struct sockaddr *in6(const char *address, int port, unsigned int flowinfo, unsigned int scope)
{
	to.in6 = (struct sockaddr_in6){ .sin6_family = AF_INET6, .sin6_port = htons(port) };
	to.in6.sin6_flowinfo = htonl(flowinfo);
	to.in6.sin6_scope_id = scope;
	inet_pton(AF_INET6, address, &to.in6.sin6_addr);
	return &to.any;
}

#define IN6(address, port) in6(address, port, 0, 0), sizeof(struct sockaddr_in6)
`;

const NAME = `
static socklen_t *length(socklen_t size)
{
	static socklen_t length;

	memset(&name, 0, sizeof(name));
	length = size;
	return &length;
}

/* Memory for an address, and its length. */
#define NAME(size) &name.any, length(size)
`;

const NAME_IS = `
/* Whether a call has filled in this address. A port of -1 stands for every port. */
static int name_is(const char *address, int port)
{
	unsigned char wanted[16];
	int v4 = name.any.sa_family == AF_INET;
	void *seen = v4 ? (void *)&name.in4.sin_addr : (void *)&name.in6.sin6_addr;
	char text[INET6_ADDRSTRLEN];

	/* The port has the same offset in both. */
	if (inet_pton(name.any.sa_family, address, wanted) == 1 &&
	    memcmp(wanted, seen, v4 ? 4 : 16) == 0 &&
	    (port < 0 || port == ntohs(name.in4.sin_port)))
		return 1;
	if (inet_ntop(name.any.sa_family, seen, text, sizeof(text)) != NULL)
		printf("# the address is %s, port %d\\n", text, ntohs(name.in4.sin_port));
	return 0;
}
`;

const PORT_OF = `
static int port_of(int fd)
{
	struct sockaddr_in6 name = { 0 };
	socklen_t length = sizeof(name);

	/* Family and port have the same offsets in struct sockaddr_in. */
	if (getsockname(fd, (struct sockaddr *)&name, &length) < 0)
		return 0;
	return ntohs(name.sin6_port);
}
`;

const CHECK_PORT = (shared: string) => `
/* Checks that a port that the kernel chose is within a range, and not a reserved one. */
static int check_port(const char *what, int fd, int low, int high, const int *reserved)
{
	int port = port_of(fd), ok = port >= low && port <= high;

	for (; *reserved != 0; reserved++)
		ok &= port != *reserved;
	printf("%s %d - %s chosen by the kernel\\n", ok ? "ok" : "not ok", ++${shared}number, what);
	if (!ok) {
		${shared}failed = 1;
		printf("# is %d\\n", port);
	}
	fflush(stdout);
	return port;
}

#define CHECK_PORT(fd, low, high) \\
	check_port("port " #low " to " #high, fd, low, high, (const int[]){ 0 })
`;

const CHECK_PORT_BUT = `
#define CHECK_PORT_BUT(fd, low, high, ...)                              \\
	check_port("port " #low " to " #high " but not " #__VA_ARGS__, fd, low, high, \\
		   (const int[]){ __VA_ARGS__, 0 })
`;

const VALUE = `
static char value[1024];
static socklen_t value_length;

static socklen_t *value_room(socklen_t size)
{
	memset(value, 0, sizeof(value));
	value_length = size;
	return &value_length;
}

/* Memory for an option, and its length. */
#define VALUE(size) value, value_room(size)
`;

const INT_VALUE = `
static int int_value(void)
{
	int number;

	memcpy(&number, value, sizeof(number));
	return number;
}
`;

const VALUE_IS = `
static int value_is(const char *wanted, socklen_t length)
{
	return value_length == length && memcmp(value, wanted, length) == 0;
}
`;

const SLEEPS = (alarm: string) => `
static void interrupted(int signal)
{
	(void)signal;
}

/* From now on a call that sleeps is interrupted. */
static void interrupt(void)
{
	struct itimerval timer = { { 0, ${SLEEP_LIMIT * 1000} }, { 0, ${SLEEP_LIMIT * 1000} } };
	struct sigaction action = { .sa_handler = interrupted };

	sigaction(SIGALRM, &action, NULL);
	setitimer(ITIMER_REAL, &timer, NULL);
}

static long until(long result)
{
	struct itimerval none = { { 0, 0 }, { 0, 0 } };
	int error = errno;

	setitimer(ITIMER_REAL, &none, NULL);
	signal(SIGALRM, SIG_DFL);
${alarm}	errno = error;
	return result;
}

/* The result of a call that must sleep: EINTR. */
#define SLEEPS(call) (interrupt(), until(call))
`;

const SLEEP = `
static void sleep_ms(long ms)
{
	struct timespec time = { ms / 1000, ms % 1000 * 1000000 };

	while (nanosleep(&time, &time) < 0 && errno == EINTR)
		continue;
}
`;

const NULL_DEVICE = `
/* A descriptor of /dev/null, for a script that uses its standard input or output. */
static int null_device(void)
{
	int fd = open("/dev/null", O_RDWR), high = fcntl(fd, F_DUPFD, ${OWN_DESCRIPTORS});

	close(fd);
	return high;
}
`;

const TASKS = (alarm: string) => `
/*
 * Every process runs through the whole program. The steps of a process are in blocks. The others
 * wait at a block until it is done.
 */
static int me, block, mine;

static void last_turn(void)
{
	if (mine)
		__atomic_store_n(&shared->done, block, __ATOMIC_SEQ_CST);
	mine = 0;
	if (me != 0)
		_exit(0);
	while (wait(NULL) > 0)
		continue;
}

/* Begins a block. Returns whether it is one of this process. */
static int turn(int task)
{
	if (mine)
		__atomic_store_n(&shared->done, block, __ATOMIC_SEQ_CST);
	block++;
	mine = task == me;
	/* A new process would be done before the block that made it. */
	while (__atomic_load_n(&shared->done, __ATOMIC_SEQ_CST) < (mine ? block - 1 : block))
		usleep(100);
	return mine;
}

static void start_task(int task)
{
	fflush(stdout);
	if (fork() != 0)
		return;
	prctl(PR_SET_PDEATHSIG, SIGKILL);
${alarm}	me = task;
	mine = 0;
}
`;

const END_TASK = `
/* Closes the descriptors of this process, and ends it unless it is the first one. */
static void end_task(void)
{
	for (int fd = 3; fd < ${OWN_DESCRIPTORS}; fd++)
		close(fd);
	if (me == 0)
		return;
	__atomic_store_n(&shared->done, block, __ATOMIC_SEQ_CST);
	_exit(0);
}
`;

const END_ALONE = `
static void end_task(void)
{
	for (int fd = 3; fd < ${OWN_DESCRIPTORS}; fd++)
		close(fd);
}
`;

function start(
	plan: Plan,
	shared: boolean,
	checks: number,
	seconds: number,
	chance: boolean,
): string {
	const needs = plan.protocols.map(({ family, type, protocol, name }) => {
		return `	close_or_skip(socket(${family}, ${type}, ${protocol}), "no ${name} here");\n`;
	});
	const share = shared
		? `	shared = mmap(NULL, sizeof(*shared), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1,
		      0);
	if (shared == MAP_FAILED)
		abort();
`
		: "";
	const probe =
		needs.length === 0
			? ""
			: `
static void close_or_skip(int fd, const char *why)
{
	if (fd < 0)
		skip(why);
	close(fd);
}
`;
	return `${probe}
static void start(void)
{
	const char *missing;

${share}${chance ? "	setvbuf(stdout, NULL, _IOFBF, 1 << 20);\n" : ""}	printf("TAP version 13\\n1..${checks}\\n");
	alarm(${seconds});
	missing = enter();
	if (missing != NULL)
		skip(missing);
${needs.join("")}}
`;
}

function setup(plan: Plan, shared: boolean): string {
	const needs = plan.protocols.map(({ family, type, protocol, name }) => {
		return `	fd = socket(${family}, ${type}, ${protocol});
	if (fd < 0)
		SKIP(return, "no ${name} here: %s", strerror(errno));
	close(fd);
`;
	});
	const share = shared
		? `	shared = mmap(NULL, sizeof(*shared), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1,
		      0);
	ASSERT_NE(MAP_FAILED, shared);
`
		: "";
	const declare = needs.length > 0 ? "	int fd;\n" : "";
	return `
FIXTURE(repro) {};

FIXTURE_SETUP(repro)
{
	const char *missing;
${declare}
${share}	missing = enter();
	if (missing != NULL)
		SKIP(return, "%s: %s", missing, strerror(errno));
${needs.join("")}}

FIXTURE_TEARDOWN(repro)
{
}
`;
}

/** Lines from the first include to the last function before the calls. */
export function helpers(
	plan: Plan,
	harness: boolean,
	constants: readonly string[],
	checks: number,
): string[] {
	const args = argumentsOf(plan);
	const has = (kind: (typeof args)[number]["kind"]) => args.some((arg) => arg.kind === kind);
	const some = calls(plan);
	const { steps } = plan;
	const step = (kind: (typeof steps)[number]["kind"]) => steps.some((one) => one.kind === kind);
	const shared = plan.tasks > 1;
	const seconds = 60 + Math.ceil(sleepOf(plan) / 1000);
	const sleeps = some.some((call) => call.sleeps);
	const in4 = has("in4");
	const in6 = has("in6");
	const names = has("name");
	const chosen = some.some(({ choice }) => choice !== null);
	const sockets = args.some((arg) => "port" in arg && arg.port.kind === "socket");
	const values = some.flatMap((call) => [call.values].filter((all) => all.length > 0));
	const four = (all: readonly Uint8Array[]) => all.every((value) => value.length === 4);
	const zeros = Math.max(
		0,
		...args.map((arg) => {
			if (arg.kind === "bytes" && arg.bytes.every((byte) => byte === 0)) return arg.bytes.length;
			return arg.kind === "zeros" ? arg.length : 0;
		}),
	);
	const rooms = Math.max(0, ...args.map((arg) => (arg.kind === "room" ? arg.size : 0)));
	const needsZeros =
		has("zeros") ||
		args.some((arg) => arg.kind === "bytes" && arg.bytes.every((byte) => byte === 0));
	const but = some.some(({ choice }) => (choice?.reserved.length ?? 0) > 0);
	const isRange = some.flatMap(({ args }) =>
		args.flatMap((arg, at) =>
			arg.kind === "ints" && arg.length === 4 ? [rangeOf(args, at) !== null] : [],
		),
	);
	const headers = new Set(["arpa/inet.h", "errno.h", "fcntl.h", "net/if.h", "netinet/in.h"]);
	for (const name of ["sched.h", "stdio.h", "stdlib.h", "string.h", "sys/ioctl.h"]) {
		headers.add(name);
	}
	for (const name of ["sys/socket.h", "unistd.h"]) headers.add(name);
	if (!harness) headers.add("limits.h");
	if (
		args.some((arg) => arg.kind === "names" && arg.names.some((name) => /^(SOL_)?TCP/.test(name)))
	)
		headers.add("netinet/tcp.h");
	if (shared) for (const name of ["sys/mman.h", "sys/prctl.h", "signal.h"]) headers.add(name);
	if (args.some(({ kind }) => kind === "limit")) headers.add("sys/resource.h");
	if (shared || step("ip")) headers.add("sys/wait.h");
	if (sleeps) for (const name of ["signal.h", "sys/time.h"]) headers.add(name);
	const waits = step("sleep") || steps.some((_, at) => worked(steps, at));
	if (waits) headers.add("time.h");
	const order = (a: string, b: string) => (a < b ? -1 : 1);
	const state = ["done", "number", "failed"].filter((name) => !harness || name === "done");
	const port = plan.ports.map((name) => `, ${name}`).join("");
	const chance = !harness && some.some(({ again }) => again !== null);
	const mptcp = plan.protocols.some(({ name }) => name === "MPTCP");
	const alarm = harness ? "" : `	alarm(${seconds});\n`;
	const parts: string[] = [
		...(shared ? [`\nstatic struct {\n	int ${state.join(", ")}${port};\n} *shared;\n`] : []),
		...(!shared && !harness ? ["\nstatic int number, failed;\n"] : []),
		RESULT,
		...(harness ? [] : [""]),
		LO_UP,
		WRITE_FILE,
		SETTLE(mptcp ? "	usleep(20000); /* MPTCP has a worker */\n" : ""),
		...(chance ? [AGAIN] : []),
		enter(plan.users, chance),
	];
	const kept = parts.filter((part) => part !== "");
	if (plan.users && !step("sysctl")) kept.splice(kept.indexOf(WRITE_FILE), 1);
	if (!harness) kept.push(BEGIN(shared ? "shared->" : "", checks, chance));
	else kept.push("\n#define RET(call) (settle(), result(call))\n");
	if (
		harness &&
		(some.some(({ returns, others }) => returns.length + others.length > 1) ||
			values.some((all) => all.length > 1))
	)
		kept.push(ONE_OF);
	if (step("ip")) kept.push(IP(harness ? "harness" : ""));
	if (step("ip") && harness) kept.push(IP_MACRO);
	const variables = [...(in4 || in6 ? ["to"] : []), ...(names ? ["name"] : [])];
	if (variables.length > 0) kept.push(ADDRESS(variables.join(", ")));
	if (in4) kept.push(IN4);
	if (in6) kept.push(IN6);
	if (names) kept.push(NAME);
	if (some.some(({ address }) => address !== null)) kept.push(NAME_IS);
	if (chosen || sockets) kept.push(PORT_OF);
	if (chosen && !harness) {
		kept.push(CHECK_PORT(shared ? "shared->" : ""));
		if (but) kept.push(CHECK_PORT_BUT);
	}
	if (has("value")) kept.push(VALUE);
	if (values.some(four)) kept.push(INT_VALUE);
	if (values.some((all) => !four(all))) kept.push(VALUE_IS);
	if (isRange.includes(false)) kept.push("\n#define INT(number) &(int){ number }, sizeof(int)\n");
	if (isRange.includes(true)) {
		kept.push("\n#define RANGE(low, high) &(unsigned int){ (high) << 16 | (low) }, 4\n");
	}
	if (needsZeros) kept.push(`\nstatic char zeros[${Math.max(zeros, 1)}];\n`);
	if (rooms > 0 || has("room")) kept.push(`\nstatic char data[${Math.max(rooms, 1)}];\n`);
	if (sleeps) kept.push(SLEEPS(alarm));
	if (waits) kept.push(SLEEP);
	if (plan.standard.length > 0) kept.push(NULL_DEVICE);
	if (shared) kept.push(TASKS(alarm));
	if (step("exit")) kept.push(shared ? END_TASK : END_ALONE);
	kept.push(harness ? setup(plan, shared) : start(plan, shared, checks, seconds, chance));
	const own = [...headers].sort(order).map((name) => `#include <${name}>`);
	return [
		"#define _GNU_SOURCE",
		...own,
		...(harness ? ["", '#include "../kselftest_harness.h"'] : []),
		...(constants.length > 0 ? ["", ...constants] : []),
		...kept.flatMap((part) => ["", ...lines(part)]),
		"",
	];
}

const ONE_OF = `
static int one_of(long seen, const long *wanted, int count)
{
	while (count > 0 && wanted[count - 1] != seen)
		count--;
	return count > 0;
}

#define ONE_OF(seen, ...)                             \\
	one_of(seen, (const long[]){ __VA_ARGS__ }, \\
	       sizeof((const long[]){ __VA_ARGS__ }) / sizeof(long))
`;

const IP_MACRO = `
#define IP(words)                                          \\
	do {                                               \\
		if (ip(words) != 0)                        \\
			SKIP(return, "ip %s failed", words); \\
	} while (0)
`;
