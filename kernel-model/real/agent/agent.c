// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * port-agent: makes system calls on a real kernel for inet-port-model. It has its own namespaces
 * and needs no privileges. The namespaces end with the agent.
 *
 * The agent does not trust its requests. Outside a virtual machine it can do only this, whoever
 * started it:
 *
 *   - It reads its standard input and writes its standard output and error.
 *   - It has its own user, network, mount and PID namespace. Each `reset` makes a new network
 *     namespace. No device of the machine leads into these namespaces.
 *   - It sees one directory, /proc/sys/net, which shows the settings of the reader's network
 *     namespace. It cannot name another file or mount. It opens files there only by normalised
 *     paths.
 *   - If root starts it, it has user ids that nobody else on the machine has, if the machine
 *     allows this. If another user starts it, it has the id of this user. It keeps the
 *     capabilities over its namespaces that tasks need for networks and user ids. It cannot get
 *     others.
 *   - A task may make the system calls of the table `calls` below, with arguments as `rules`
 *     allows, and the calls that it needs to wait, to fork and to end. Any other call ends the
 *     task. The agent itself may make a few more calls, to start and to end tasks.
 *   - A task has three descriptors of the agent, 0 to 2. All of them are /dev/null.
 *   - The first process of the agent stays outside the namespaces. It reads nothing and waits for
 *     the end of the others. When the first or the second process ends, all end. The agent also
 *     ends when nobody reads its answers any more.
 *
 * The agent does not prevent the kernel from loading its modules for protocols and devices. The
 * kernel does this for every user. It also does not limit the time and memory of a script. It does
 * not start if the kernel has no seccomp filters, or if this file does not know them for the
 * architecture. As /init of a virtual machine the agent can use the whole machine. It then has
 * filters only if the kernel has them, but it checks paths as well.
 *
 * gVisor is a kernel in a process, so it is a sandbox of its own. It has no mount namespaces and
 * its settings are those of its first network namespace. With the arguments "--inside gvisor" the
 * agent needs no namespaces of its own. It changes its root directory to /proc/sys/net. All other
 * rules are the same: the table of calls, the checks of arguments and paths, the capabilities and
 * the filters. The agent ends at once if it is started like this on another kernel: the first line
 * of the log of gVisor's kernel tells. No request can have the effect of these arguments.
 *
 * When a command starts it, the agent uses standard input and output. As /init of a virtual
 * machine it loads the modules that /modules/modules.order names. It then uses the device that the
 * kernel's command line names (agent=/dev/vport0p1).
 *
 * Protocol: each line is a request or an answer. Answers come in the order of the requests. A
 * request may be sent before the answer to the last one has arrived.
 *
 *   hello              port-agent 1 RELEASE USERS [SYSTEM]   USERS: user ids that tasks can have.
 *                                 RELEASE: the upstream release, even if uname -r names a series.
 *                                 SYSTEM: the argument of --inside
 *   reset              PID        ends all tasks; task 0 begins in a new namespace with lo down.
 *                                 Inside gVisor this works once, in gVisor's first namespace. A
 *                                 new sandbox is needed after the first call
 *   limit MS           0          interrupts calls that sleep longer (-EINTR); default 1000
 *   draws              0          from now on the answers to calls show the draws of port
 *                                 searches; in a virtual machine only, by kprobes
 *   perturb            HEX        table_perturb, 8 digits for each number; only after draws
 *   perturb INDEX...   HEX        the numbers at these indices; only after draws
 *   secrets            NAME=HEX...   the secrets of the kernel's hashes; "-" for one that cannot be
 *                                 had; others=PORT,PORT,MIX: the agent's own UDP sockets on
 *                                 127.0.0.1 and the hash_mix of its namespace; only after draws
 *   udp                N          slots of UDP's tables from the kernel's log; 0 if it does not
 *                                 have them; in a virtual machine only
 *   TASK fork NEW      PID        task TASK makes task NEW; tasks are 0 to 63
 *   TASK exit          0 BEGIN END    ends task TASK
 *   TASK NAME ARG...   RESULT BEGIN END [MEMORY...] [DRAW...]
 *   TASK repeat N NAME ARG... / NAME ARG... [/ ...]
 *                      RESULT NS RESULT NS...   makes these calls in turn, N times. NS is the
 *                                 duration of each. An ARG of $ is the result of the first call.
 *                                 All of them count as one call. Shows no MEMORY
 *
 * NAME is a system call. Each ARG is a number or memory: =HEX is memory with these bytes, ?SIZE is
 * empty memory. The answer shows memory of ?SIZE and =HEX? after the call as MEMORY in hex, "-" if
 * it is empty. Among the bytes, P3; stands for the two bytes of the port of socket 3, or for 0 if
 * it has none. RESULT is the kernel's result, a negative errno on an error. BEGIN and END are
 * CLOCK_MONOTONIC in ns.
 * DRAW is KIND@CALLER=VALUE: a random number that the function CALLER of the port allocator drew.
 * KIND is u8, u16, u32, below (VALUE/CEIL), or off4 and off6 for the u64 of
 * secure_ipv4_port_ephemeral and secure_ipv6_port_ephemeral. mix is the hash_mix of a network
 * namespace that was made since the last answer, by this call or by reset.
 * openat takes AT_FDCWD (-100) and a path below /proc/sys/net/, as =HEX with a 0 at its end. It
 * takes the flags O_RDONLY, O_WRONLY, O_RDWR, O_NONBLOCK and O_CLOEXEC.
 * The answer to a request that fails or is not allowed is "! REASON".
 *
 * A softirq receives packets over lo. On a busy machine this happens some milliseconds after the
 * call that sent them has returned. Results must not depend on this delay. So everything runs on
 * one CPU. After a call that may send, the agent sends datagrams of its own and answers only when
 * they have passed the queue of this CPU.
 *
 * MPTCP handles the end of a connection in a worker of the CPU, after the packets. So if a call may
 * concern an MPTCP connection, the agent also ends MPTCP connections of its own, one after the other,
 * and answers when the worker has handled them. Work is done in order.
 */
#define _GNU_SOURCE
#include <ctype.h>
#include <elf.h>
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <linux/audit.h>
#include <linux/capability.h>
#include <linux/filter.h>
#include <linux/futex.h>
#include <linux/netlink.h>
#include <linux/seccomp.h>
#include <limits.h>
#include <net/if.h>
#include <netinet/in.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/klog.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/reboot.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/utsname.h>
#include <sys/wait.h>
#include <termios.h>
#include <time.h>
#include <unistd.h>

#define TASKS 64
#define REQUEST 65536
#define ANSWER 262144
#define ARGS 6
#define ARENA 131072
#define REPEATED 4 /* most calls in a round of repeat */
#define NET "/proc/sys/net"

#ifndef SIOCGSKNS
#define SIOCGSKNS 0x894c
#endif
#ifndef SYS_openat2
#define SYS_openat2 437
#endif
#ifndef SYS_close_range
#define SYS_close_range 436
#endif
#ifndef SECCOMP_RET_KILL_PROCESS
#define SECCOMP_RET_KILL_PROCESS 0x80000000u
#endif
#ifndef SECCOMP_FILTER_FLAG_SPEC_ALLOW
#define SECCOMP_FILTER_FLAG_SPEC_ALLOW 4
#endif

/* The architecture as filters see it; 0 if this file does not know its filters. */
#if defined(__x86_64__) && !defined(__ILP32__)
#define ARCHITECTURE AUDIT_ARCH_X86_64
#elif defined(__aarch64__) && !defined(__AARCH64EB__)
#define ARCHITECTURE AUDIT_ARCH_AARCH64
#elif defined(__riscv) && __riscv_xlen == 64
#define ARCHITECTURE AUDIT_ARCH_RISCV64
#elif defined(__powerpc64__) && defined(__LITTLE_ENDIAN__)
#define ARCHITECTURE AUDIT_ARCH_PPC64LE
#elif defined(__loongarch64)
#define ARCHITECTURE AUDIT_ARCH_LOONGARCH64
#else
#define ARCHITECTURE 0
#endif

static const struct {
	const char *name;
	long number;
} calls[] = {
#define CALL(name) { #name, SYS_##name }
	CALL(socket), CALL(bind), CALL(listen), CALL(accept4), CALL(connect), CALL(getsockname),
	CALL(getpeername), CALL(setsockopt), CALL(getsockopt), CALL(shutdown), CALL(sendto),
	CALL(recvfrom), CALL(read), CALL(write), CALL(close), CALL(dup), CALL(dup3), CALL(fcntl),
	CALL(openat), CALL(unshare), CALL(setuid), CALL(setresuid), CALL(ioctl), CALL(nanosleep),
	CALL(prlimit64), CALL(setns),
#ifdef SYS_accept
	CALL(accept),
#endif
#ifdef SYS_dup2
	CALL(dup2),
#endif
};

#ifndef IPPROTO_MPTCP
#define IPPROTO_MPTCP 262
#endif
#define ANY -1 /* protocol */

/*
 * Memory that the agent shares with one task. The task sleeps until `turn` is 1 and sets it to
 * 0. A call may write to any memory of its task, so also to this. The agent reads only the answer
 * and the protocol from here and does not rely on them.
 */
struct slot {
	int turn;
	int limit;
	int protocol; /* of the call's socket before the call; ANY if several; 0 if none */
	char request[REQUEST];
	char answer[ANSWER];
};

static struct slot *slots;
static pid_t pids[TASKS]; /* by task; 0 for none */
static int input, output;
static int virtual; /* this is /init of a virtual machine */
static int gvisor; /* this kernel is gVisor */
static int used; /* a task has made a call */
static int limit_ms = 1000;
static char users[16] = "0";

/* Ends the agent. If it is /init, ends the machine. */
static void leave(int status)
{
	if (virtual)
		reboot(RB_AUTOBOOT); /* QEMU has -no-reboot */
	exit(status);
}

static void refuse(const char *what)
{
	fprintf(stderr, "port-agent: %s: %s\n", what, strerror(errno));
	leave(2);
}

/*
 * Filters of system calls. In these calls of the table, argument `arg` must be one of `values`.
 * Other values give ENOSYS. No call of the table returns ENOSYS itself.
 */
static const struct rule {
	long number;
	int arg;
	int count;
	unsigned int values[8];
} rules[] = {
	/* Only duplicates and flags. No owner that gets signals, no leases, no locks. */
	{ SYS_fcntl, 1, 6, { F_DUPFD, F_GETFD, F_SETFD, F_GETFL, F_SETFL, F_DUPFD_CLOEXEC } },
	{ SYS_unshare, 0, 2, { 0, CLONE_NEWNET } },
	/* A namespace that setns() enters is that of a socket of the task, so a task made it. */
	{ SYS_ioctl, 1, 2, { SIOCGIFINDEX, SIOCGSKNS } },
	{ SYS_setns, 1, 1, { CLONE_NEWNET } },
	{ SYS_clone, 0, 2, { SIGCHLD, CLONE_PARENT | SIGCHLD } },
};

/* Calls that a task needs itself, and more calls that the agent needs. */
static const long own_calls[] = {
	SYS_futex, SYS_setitimer, SYS_clock_gettime, SYS_rt_sigreturn, SYS_restart_syscall,
	SYS_exit, SYS_exit_group, SYS_openat2,
};
static const long agent_calls[] = {
	SYS_wait4, SYS_kill, SYS_ppoll, SYS_sched_setaffinity, SYS_sched_yield, SYS_getcpu,
	SYS_set_robust_list, SYS_rt_sigaction, SYS_rt_sigprocmask, SYS_uname, SYS_close_range,
	SYS_prctl, SYS_seccomp, SYS_getpid, SYS_gettid, SYS_munmap, SYS_rseq,
#ifdef SYS_poll
	SYS_poll,
#endif
};
#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

static struct sock_filter program[512];
static unsigned short program_length;

static void instruction(unsigned short code, unsigned int k, unsigned char yes, unsigned char no)
{
	if (program_length == COUNT(program))
		abort();
	program[program_length++] = (struct sock_filter){ code, yes, no, k };
}

#define LOAD(field) instruction(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, field), 0, 0)
#define LOAD_ARG(n) LOAD(args[n]) /* the low half: all these architectures are little-endian */
#define RETURN(what) instruction(BPF_RET | BPF_K, what, 0, 0)
/* Skips the next `length` instructions for other values. */
#define ONLY_IF(value, length) instruction(BPF_JMP | BPF_JEQ | BPF_K, value, 0, length)

static void let(long number)
{
	ONLY_IF(number, 1);
	RETURN(SECCOMP_RET_ALLOW);
}

static void let_some(const struct rule *rule)
{
	ONLY_IF(rule->number, 2 + 2 * rule->count);
	LOAD_ARG(rule->arg);
	for (int i = 0; i < rule->count; i++) {
		ONLY_IF(rule->values[i], 1);
		RETURN(SECCOMP_RET_ALLOW);
	}
	RETURN(SECCOMP_RET_ERRNO | ENOSYS);
}

/*
 * Allows sockets that are confined to the network namespace: internet, UNIX and rtnetlink. Allows
 * families that no kernel has.
 */
static void let_sockets(void)
{
	ONLY_IF(SYS_socket, 15);
	LOAD_ARG(0);
	let(AF_INET);
	let(AF_INET6);
	let(AF_UNIX);
	let(AF_UNSPEC);
	instruction(BPF_JMP | BPF_JGE | BPF_K, 64, 3, 0); /* to the last allow */
	ONLY_IF(AF_NETLINK, 3); /* else to ENOSYS */
	LOAD_ARG(2);
	let(NETLINK_ROUTE);
	RETURN(SECCOMP_RET_ERRNO | ENOSYS);
}

/* Allows a task to change its own limit of descriptors. */
static void let_limits(void)
{
	ONLY_IF(SYS_prlimit64, 6);
	LOAD_ARG(0);
	ONLY_IF(0, 3); /* else to ENOSYS */
	LOAD_ARG(1);
	let(RLIMIT_NOFILE);
	RETURN(SECCOMP_RET_ERRNO | ENOSYS);
}

/* Sets the filter of this process and of its later children. */
static int filter(int is_agent)
{
	struct sock_fprog all = { .filter = program };

	program_length = 0;
	LOAD(arch);
	instruction(BPF_JMP | BPF_JEQ | BPF_K, ARCHITECTURE, 1, 0);
	RETURN(SECCOMP_RET_KILL_PROCESS);
	LOAD(nr);
	/* Other calls are stopped at the end. They include the numbers of x86's other ABIs. */
	let_sockets();
	let_limits();
	for (size_t i = 0; i < COUNT(rules); i++)
		let_some(&rules[i]);
	for (size_t i = 0; i < COUNT(calls); i++)
		let(calls[i].number);
	for (size_t i = 0; i < COUNT(own_calls); i++)
		let(own_calls[i]);
	for (size_t i = 0; is_agent && i < COUNT(agent_calls); i++)
		let(agent_calls[i]);
	if (gvisor && !is_agent)
		let(SYS_ppoll);
	RETURN(is_agent ? SECCOMP_RET_ERRNO | EPERM : SECCOMP_RET_KILL_PROCESS);
	all.len = program_length;
	if (ARCHITECTURE == 0) {
		errno = ENOSYS;
		return -1;
	}
	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0)
		return -1;
	/* SPEC_ALLOW: no mitigation that slows down calls. All code that runs here is our own. */
	if (syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, SECCOMP_FILTER_FLAG_SPEC_ALLOW, &all) == 0)
		return 0;
	return prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &all, 0, 0);
}

/* The kernel of a virtual machine may have no filters. */
static void filter_task(void)
{
	if (filter(0) < 0 && !virtual)
		refuse("no seccomp filter of its own");
}

/*
 * Makes a system call. Returns a negative errno on an error. Task 0 of a virtual machine shares the
 * variable errno with the agent, which may run at the same time. So no task reads errno.
 */
static long system_call(long number, const long args[ARGS])
{
	long result;

#ifdef __x86_64__
	register long r10 __asm__("r10") = args[3];
	register long r8 __asm__("r8") = args[4];
	register long r9 __asm__("r9") = args[5];

	__asm__ volatile("syscall"
			 : "=a"(result)
			 : "a"(number), "D"(args[0]), "S"(args[1]), "d"(args[2]), "r"(r10), "r"(r8), "r"(r9)
			 : "rcx", "r11", "memory");
#else
	result = syscall(number, args[0], args[1], args[2], args[3], args[4], args[5]);
	if (result < 0)
		result = -errno;
#endif
	return result;
}

static void futex(int *word, int operation, int value, const struct timespec *timeout)
{
	syscall(SYS_futex, word, operation, value, timeout, NULL, 0);
}

static void pass_turn(struct slot *slot, int turn)
{
	__atomic_store_n(&slot->turn, turn, __ATOMIC_SEQ_CST);
	futex(&slot->turn, FUTEX_WAKE, 1, NULL);
}

static unsigned long long now(void)
{
	struct timespec time;

	clock_gettime(CLOCK_MONOTONIC, &time);
	return time.tv_sec * 1000000000ull + time.tv_nsec;
}

/* Tasks: the code of the processes that make the requested calls. */

static void interrupted(int signal)
{
	(void)signal;
}

struct memory {
	unsigned char *bytes;
	size_t size;
};

static unsigned char arena[ARENA] __attribute__((aligned(16)));

static int nibble(char c)
{
	return isdigit((unsigned char)c) ? c - '0' : tolower((unsigned char)c) - 'a' + 10;
}

static int port_of(int fd)
{
	struct sockaddr_in6 name = { 0 };
	socklen_t length = sizeof(name);

	/* Family and port have the same offsets as in struct sockaddr_in. */
	if (getsockname(fd, (struct sockaddr *)&name, &length) < 0 ||
	    (name.sin6_family != AF_INET && name.sin6_family != AF_INET6))
		return 0;
	return ntohs(name.sin6_port);
}

/* Reads one argument. Returns false if it is malformed or does not fit. */
static int read_argument(char *word, long *value, size_t *used, struct memory *shown, int *count)
{
	unsigned char *bytes = arena + *used;
	size_t size = 0;
	int show = 0;

	if (*word == '?') {
		size = strtoul(word + 1, NULL, 10);
		if (size > ARENA - *used)
			return 0;
		memset(bytes, 0, size);
		show = 1;
	} else if (*word == '=') {
		for (word++; *word != '\0' && *word != '?';) {
			if (*used + size + 2 > ARENA)
				return 0;
			if (*word == 'P') {
				int port = port_of(strtol(word + 1, &word, 10));

				bytes[size++] = port >> 8;
				bytes[size++] = port & 255;
				if (*word++ != ';')
					return 0;
			} else if (isxdigit((unsigned char)word[0]) &&
				   isxdigit((unsigned char)word[1])) {
				bytes[size++] = nibble(word[0]) << 4 | nibble(word[1]);
				word += 2;
			} else {
				return 0;
			}
		}
		show = *word == '?';
		if (word[show] != '\0')
			return 0;
	} else {
		const int negative = *word == '-';
		char *end;

		*value = negative ? strtol(word, &end, 0) : (long)strtoul(word, &end, 0);
		/* A number that does not fit becomes the largest or smallest one. */
		return end != word && *end == '\0' && *value != (negative ? LONG_MIN : (long)ULONG_MAX);
	}
	*value = (long)bytes;
	*used += (size + 15) & ~15ul;
	if (*used > ARENA)
		*used = ARENA;
	if (show)
		shown[(*count)++] = (struct memory){ bytes, size };
	return 1;
}

static long number_of(const char *name)
{
	for (size_t i = 0; i < sizeof(calls) / sizeof(calls[0]); i++)
		if (strcmp(calls[i].name, name) == 0)
			return calls[i].number;
	return -1;
}

/* Opens a file below /proc/sys/net. Returns -ENOSYS if a task may not open it. */
static long open_sysctl(const long *args)
{
	struct {
		uint64_t flags, mode, resolve;
	} how = { .flags = args[2], .resolve = 0x04 | 0x02 | 0x08 | 0x01 };
	/* RESOLVE_NO_SYMLINKS, NO_MAGICLINKS, BENEATH and NO_XDEV */
	const char *path = (const char *)args[1], *end = (const char *)arena + sizeof(arena);
	long resolving[ARGS] = { AT_FDCWD, 0, (long)&how, sizeof(how) };
	long plain[ARGS] = { AT_FDCWD, 0, (int)args[2] | O_NOFOLLOW };
	size_t length;
	long result;

	if ((int)args[0] != AT_FDCWD || path < (const char *)arena || path >= end ||
	    (args[2] & ~(long)(O_ACCMODE | O_NONBLOCK | O_CLOEXEC)) != 0)
		return -ENOSYS;
	length = strnlen(path, end - path);
	if (length >= PATH_MAX || path + length == end || strncmp(path, NET "/", strlen(NET "/")) != 0)
		return -ENOSYS;
	path += strlen(NET "/");
	for (const char *part = path;; part++) {
		size_t size = strcspn(part, "/");

		if (size == 0 || (size <= 2 && strncmp(part, "..", size) == 0))
			return -ENOSYS;
		part += size;
		if (*part == '\0')
			break;
	}
	/* The working directory is /proc/sys/net. */
	resolving[1] = plain[1] = (long)path;
	result = system_call(SYS_openat2, resolving);
	/* before Linux 5.6; the mount namespace is enough */
	return result == -ENOSYS ? system_call(SYS_openat, plain) : result;
}

/*
 * Whether a call on a descriptor never sleeps, so that it needs no timer. System calls of the agent
 * itself are slow in gVisor. accept() of SCTP yields the CPU even if the socket does not block, and
 * the signal of a timer would end it.
 */
static int never_sleeps(long number, int fd)
{
	static const long names[] = { SYS_socket, SYS_bind, SYS_listen, SYS_setsockopt, SYS_getsockopt,
				      SYS_getsockname, SYS_getpeername, SYS_dup };

	if (number == SYS_accept4) {
		const int flags = fcntl(fd, F_GETFL);

		return flags >= 0 && (flags & O_NONBLOCK) != 0;
	}
	for (size_t i = 0; gvisor && i < COUNT(names); i++)
		if (names[i] == number)
			return 1;
	return 0;
}

/* Waits until a connection in gVisor has its answer. It comes from the same host, if at all. */
static void await_connection(int fd)
{
	const struct timespec most = { 0, 200000000 };
	struct pollfd socket = { .fd = fd, .events = POLLOUT };

	syscall(SYS_ppoll, &socket, 1, &most, NULL, 0);
}

/* Makes one call. Returns its result and when it began and ended. */
static long make_call(const struct slot *slot, long number, const long *args,
		      unsigned long long *begin, unsigned long long *end)
{
	const int limit = never_sleeps(number, args[0]) ? 0 : slot->limit;
	struct itimerval timer = { .it_value = { limit / 1000, limit % 1000 * 1000 } };
	long result;

	timer.it_interval = timer.it_value; /* the first signal may arrive before the call sleeps */
	if (limit > 0)
		setitimer(ITIMER_REAL, &timer, NULL);
	*begin = now();
	if (number == SYS_openat) {
		result = open_sysctl(args);
	} else {
		result = system_call(number, args);
	}
	*end = now();
	if (gvisor && number == SYS_connect && result == -EINPROGRESS)
		await_connection(args[0]);
	if (limit > 0) {
		memset(&timer, 0, sizeof(timer));
		setitimer(ITIMER_REAL, &timer, NULL);
	}
	return result;
}

/* The protocol of a socket; 0 if the descriptor has none. */
static int protocol_of(int fd)
{
	int protocol = 0;
	socklen_t length = sizeof(protocol);

	return getsockopt(fd, SOL_SOCKET, SO_PROTOCOL, &protocol, &length) < 0 ? 0 : protocol;
}

static void answer_repeat(struct slot *slot, char *rest)
{
	struct {
		long number;
		long args[ARGS];
		int first[ARGS]; /* arguments that are the result of the first call */
	} round[REPEATED] = { 0 };
	struct memory shown[REPEATED * ARGS];
	char *word = strsep(&rest, " "), *out = slot->answer;
	long times = strtol(word, NULL, 10), first = 0;
	int count = 0, n = 0, length = 0;
	size_t used = 0;

	while ((word = strsep(&rest, " ")) != NULL) {
		if (strcmp(word, "/") == 0 && n > 0 && length < REPEATED - 1) {
			length++;
			n = 0;
		} else if (n == 0) {
			round[length].number = number_of(word);
			if (round[length].number < 0)
				break;
			n++;
		} else if (n > ARGS) {
			break;
		} else if (strcmp(word, "$") == 0) {
			round[length].first[n++ - 1] = 1;
		} else if (!read_argument(word, &round[length].args[n - 1], &used, shown, &count)) {
			break;
		} else {
			n++;
		}
	}
	if (word != NULL || n == 0) {
		snprintf(slot->answer, ANSWER, "! calls to repeat: %.40s", word == NULL ? "" : word);
		return;
	}
	for (long time = 0; time < times; time++) {
		for (int i = 0; i <= length; i++) {
			unsigned long long begin, end;
			long result;

			for (int at = 0; at < ARGS; at++)
				if (round[i].first[at])
					round[i].args[at] = first;
			result = make_call(slot, round[i].number, round[i].args, &begin, &end);
			if (i == 0)
				first = result;
			if (result == -ENOSYS) {
				snprintf(slot->answer, ANSWER, "! not let through: a call to repeat");
				return;
			}
			if (slot->answer + ANSWER - out < 64) {
				snprintf(slot->answer, ANSWER, "! more answers than can be shown");
				return;
			}
			out += sprintf(out, "%s%ld %llu", out == slot->answer ? "" : " ", result,
				       end - begin);
		}
	}
	if (out == slot->answer)
		strcpy(out, "! calls to repeat: none");
}

/* Whether a call may close another descriptor than its first argument. */
static int closes_another(const char *name)
{
	return strcmp(name, "dup2") == 0 || strcmp(name, "dup3") == 0;
}

static void answer_call(struct slot *slot, char *name, char *rest)
{
	static const char digits[] = "0123456789abcdef";
	struct memory shown[ARGS];
	long args[ARGS] = { 0 };
	unsigned long long begin, end;
	size_t used = 0;
	int count = 0, n = 0;
	long number = number_of(name), result;
	char *word, *out;

	if (number < 0) {
		snprintf(slot->answer, ANSWER, "! no system call %.40s", name);
		return;
	}
	while ((word = strsep(&rest, " ")) != NULL) {
		if (n == ARGS || !read_argument(word, &args[n++], &used, shown, &count)) {
			snprintf(slot->answer, ANSWER, "! argument %.40s", word);
			return;
		}
	}
	slot->protocol = closes_another(name) ? ANY : protocol_of(args[0]);
	result = make_call(slot, number, args, &begin, &end);
	if (result == -ENOSYS) { /* only filters return it */
		snprintf(slot->answer, ANSWER, "! not let through: %.40s with these arguments", name);
		return;
	}
	out = slot->answer + sprintf(slot->answer, "%ld %llu %llu", result, begin, end);
	for (int i = 0; i < count; i++) {
		if (shown[i].size * 2 + 2 > (size_t)(slot->answer + ANSWER - out)) {
			snprintf(slot->answer, ANSWER, "! more memory than can be shown");
			return;
		}
		*out++ = ' ';
		if (shown[i].size == 0)
			*out++ = '-';
		for (size_t at = 0; at < shown[i].size; at++) {
			*out++ = digits[shown[i].bytes[at] >> 4];
			*out++ = digits[shown[i].bytes[at] & 15];
		}
		*out = '\0';
	}
}

static void serve(struct slot *slot)
{
	for (;;) {
		char *rest, *name;

		while (__atomic_load_n(&slot->turn, __ATOMIC_SEQ_CST) != 1)
			futex(&slot->turn, FUTEX_WAIT, 0, NULL);
		rest = slot->request;
		name = strsep(&rest, " ");
		if (strcmp(name, "exit") == 0)
			_exit(0);
		if (strcmp(name, "fork") == 0) {
			struct slot *other = &slots[atoi(rest) & (TASKS - 1)];
			/* CLONE_PARENT: the agent must be able to wait for the new task. */
			const long clones[ARGS] = { CLONE_PARENT | SIGCHLD };
			long pid = system_call(SYS_clone, clones);

			if (pid == 0) {
				slot = other;
				continue;
			}
			sprintf(slot->answer, "%ld", pid);
		} else if (strcmp(name, "repeat") == 0 && rest != NULL) {
			slot->protocol = ANY;
			answer_repeat(slot, rest);
		} else {
			answer_call(slot, name, rest);
		}
		pass_turn(slot, 0);
	}
}

/* The agent. */

static int drain_from = -1, drain_to = -1;

/* Opens a pair of datagram sockets over lo in the agent's network namespace. */
static void open_drain(void)
{
	struct sockaddr_in name = { .sin_family = AF_INET, .sin_addr = { htonl(INADDR_LOOPBACK) } };
	struct ifreq lo = { .ifr_name = "lo" };
	socklen_t length = sizeof(name);
	int warm;

	if (gvisor)
		return;
	drain_to = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	drain_from = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	lo.ifr_flags = IFF_UP | IFF_RUNNING;
	if (ioctl(drain_to, SIOCSIFFLAGS, &lo) < 0 ||
	    bind(drain_from, (struct sockaddr *)&name, length) < 0 ||
	    getsockname(drain_from, (struct sockaddr *)&name, &length) < 0 ||
	    connect(drain_to, (struct sockaddr *)&name, length) < 0)
		refuse("datagrams over lo");
	/* The first connect() on a kernel fills table_perturb. It can be read after this one. */
	warm = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (connect(warm, (struct sockaddr *)&name, length) == 0)
		refuse("a connection to nobody");
	close(warm);
}

/*
 * The listener of the agent's own MPTCP connections; -1 if the kernel has no MPTCP. Their clients
 * bind to one port after the other, because a search for a port would show in the draws. On some
 * kernels (6.18.15) a port stays in TIME_WAIT, so a fast machine needs more addresses than one.
 */
#define WORK_PORT_FIRST 2000
#define WORK_PORT_LAST 32000
#define WORK_ADDRESSES 200 /* of 127.0.0.0/24 */
static int work_to = -1;
static struct sockaddr_in work_name = { .sin_family = AF_INET };
static int work_port = WORK_PORT_FIRST;
static in_addr_t work_from = INADDR_LOOPBACK; /* the address of the next connections */
static int has_mptcp; /* an MPTCP socket may have been in use since the last reset */

static void open_work(void)
{
	socklen_t length = sizeof(work_name);

	work_name.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	work_to = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, IPPROTO_MPTCP);
	if (work_to < 0)
		return;
	if (bind(work_to, (struct sockaddr *)&work_name, length) < 0 || listen(work_to, 8) < 0 ||
	    getsockname(work_to, (struct sockaddr *)&work_name, &length) < 0)
		refuse("an MPTCP listener");
}

/* How often the work of one end causes work of the other: both DATA_FINs and their ACKs. */
#define WORKS 4
#define ENDS 2 /* of a connection */

/* Connects an MPTCP socket to the agent's listener. */
static int connect_work(void)
{
	const struct linger reset = { 1, 0 };
	struct sockaddr_in name = { .sin_family = AF_INET };

	for (int tries = 0; tries <= WORK_PORT_LAST - WORK_PORT_FIRST; tries++) {
		int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, IPPROTO_MPTCP);

		name.sin_port = htons(work_port);
		name.sin_addr.s_addr = htonl(work_from);
		if (++work_port > WORK_PORT_LAST) {
			work_port = WORK_PORT_FIRST;
			work_from = INADDR_LOOPBACK + (work_from + 1 - INADDR_LOOPBACK) % WORK_ADDRESSES;
		}
		setsockopt(fd, SOL_SOCKET, SO_LINGER, &reset, sizeof(reset));
		if (bind(fd, (struct sockaddr *)&name, sizeof(name)) == 0 &&
		    connect(fd, (struct sockaddr *)&work_name, sizeof(work_name)) == 0)
			return fd;
		if (errno != EADDRINUSE && errno != EADDRNOTAVAIL)
			break;
		close(fd);
	}
	refuse("an MPTCP connection");
	return -1;
}

/*
 * Ends an MPTCP connection of the agent's, first at one end, then at the other. Returns when the
 * worker has told each end that its peer has ended.
 */
static void wait_for_work(void)
{
	int end[ENDS];

	end[0] = connect_work();
	end[1] = accept(work_to, NULL, NULL);
	for (int i = 0; i < ENDS; i++) {
		struct pollfd peer = { .fd = end[ENDS - 1 - i], .events = POLLRDHUP };

		if (shutdown(end[i], SHUT_WR) < 0 || poll(&peer, 1, 10000) != 1)
			refuse("the end of an MPTCP connection");
	}
	close(end[0]);
	close(end[1]);
}

/* How many packets may follow each other: SYN, SYN ACK, ACK, FIN and its ACKs. */
#define ROUNDS 4

/* Whether an MPTCP socket may have work after a call. A plain TCP socket may be its peer. */
static int may_work(int protocol)
{
	return has_mptcp && (protocol == ANY || protocol == IPPROTO_TCP || protocol == IPPROTO_MPTCP);
}

/* Waits for the packets of a request, and for their work. */
static void drain(const char *request, int protocol)
{
	/* Goroutines of gVisor receive packets. Nothing tells when they have done it. */
	const int shakes = strncmp(request, "close", 5) != 0 && strncmp(request, "exit", 4) != 0;
	const struct timespec pause = { 0, shakes ? 5000000 : 1000000 };
	char byte = '.';

	if (gvisor)
		nanosleep(&pause, NULL);
	for (int i = 0; !gvisor && i < ROUNDS; i++)
		if (send(drain_to, &byte, 1, 0) != 1 || recv(drain_from, &byte, 1, 0) != 1)
			refuse("datagrams over lo");
	for (int i = 0; may_work(protocol) && i < WORKS; i += ENDS)
		wait_for_work();
}

static int may_send(const char *request)
{
	static const char *const names[] = { "connect ", "sendto ", "close ", "shutdown ", "dup2 ",
					     "dup3 ", "repeat ", "exit" };

	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		if (strncmp(request, names[i], strlen(names[i])) == 0)
			return 1;
	return 0;
}

/* Whether a request may begin to use an MPTCP socket. Before it no packet concerns MPTCP. */
static int uses_mptcp(const char *request, int protocol)
{
	if (strncmp(request, "repeat ", 7) == 0)
		return 1;
	return protocol == IPPROTO_MPTCP && (strncmp(request, "connect ", 8) == 0 ||
					     strncmp(request, "listen ", 7) == 0 ||
					     strncmp(request, "sendto ", 7) == 0);
}

/* Binds the agent to its current CPU. The scheduler may move it to another one first. */
static void stay(void)
{
	cpu_set_t all, one;
	int cpu;

	CPU_ZERO(&all);
	for (cpu = 0; cpu < CPU_SETSIZE; cpu++)
		CPU_SET(cpu, &all);
	sched_setaffinity(0, sizeof(all), &all);
	sched_yield();
	CPU_ZERO(&one);
	cpu = sched_getcpu();
	CPU_SET(cpu < 0 ? 0 : cpu, &one);
	if (sched_setaffinity(0, sizeof(one), &one) < 0)
		refuse("sched_setaffinity");
}

/* Closes all descriptors from `first` on. */
static void close_from(int first)
{
	struct rlimit files;

	if (syscall(SYS_close_range, first, INT_MAX, 0) == 0)
		return;
	if (getrlimit(RLIMIT_NOFILE, &files) < 0 || files.rlim_cur == RLIM_INFINITY)
		files.rlim_cur = 1 << 20;
	for (rlim_t fd = first; fd < files.rlim_cur; fd++)
		close(fd);
}

static int write_file(int pid, const char *name, const char *text)
{
	char path[64];
	int fd, done;

	snprintf(path, sizeof(path), "/proc/%d/%s", pid, name);
	fd = open(path, O_WRONLY | O_CLOEXEC);
	done = fd >= 0 && write(fd, text, strlen(text)) == (ssize_t)strlen(text);
	if (fd >= 0)
		close(fd);
	return done;
}

/*
 * Maps user ids. If root runs the agent, maps many ids that nobody else on the machine has, because
 * the machine's root owns files and settings. Else maps the own user to root.
 */
static void map_users(pid_t pid)
{
	static const struct {
		unsigned int first, count;
	} ranges[] = { { 0x70000000, 65535 }, { 100000, 65535 }, { 1, 65534 } };
	char line[64];

	for (size_t i = 0; geteuid() == 0 && i < COUNT(ranges); i++) {
		snprintf(line, sizeof(line), "0 %u %u", ranges[i].first, ranges[i].count);
		if (!write_file(pid, "uid_map", line))
			continue;
		if (!write_file(pid, "gid_map", line))
			refuse("/proc/PID/gid_map");
		snprintf(users, sizeof(users), "0-%u", ranges[i].count - 1);
		return;
	}
	snprintf(line, sizeof(line), "0 %u 1", geteuid());
	if (!write_file(pid, "uid_map", line))
		refuse("/proc/PID/uid_map");
	write_file(pid, "setgroups", "deny"); /* some kernels do not have this file */
	snprintf(line, sizeof(line), "0 %u 1", getegid());
	if (!write_file(pid, "gid_map", line))
		refuse("/proc/PID/gid_map");
}

static void namespace_of(const char *path, struct stat *stat_of)
{
	if (stat(path, stat_of) < 0)
		refuse(path);
}

/* The first process. It stays outside the namespaces, maps user ids and waits for the end. */
static void stay_outside(pid_t pid, int go)
{
	int status;

	map_users(pid);
	if (write(go, users, sizeof(users)) != sizeof(users))
		refuse("pipe");
	close(input);
	close(output);
	while (waitpid(pid, &status, 0) < 0)
		if (errno != EINTR)
			exit(2);
	exit(WIFEXITED(status) ? WEXITSTATUS(status) : 2);
}

/* Makes /proc/sys/net the root directory. No other file can be seen from now on. */
static void hide_files(void)
{
	if (mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0 ||
	    mount(NET, NET, NULL, MS_BIND | MS_REC, NULL) < 0 || chdir(NET) < 0)
		refuse("no mount namespace of its own");
	/* Mounts the old root over the new one and unmounts it. Not possible on an initramfs. */
	if (syscall(SYS_pivot_root, ".", ".") == 0) {
		if (umount2(".", MNT_DETACH) < 0 || chdir("/") < 0)
			refuse("cannot leave the machine's files");
	} else if (errno != EINVAL || chroot(".") < 0 || chdir("/") < 0) {
		refuse("cannot leave the machine's files");
	}
}

/* Keeps standard input and output under other numbers. Descriptors 0 and 1 become /dev/null. */
static void keep_descriptors(void)
{
	int null;

	for (int fd = 0; fd < 3; fd++) /* a later open() would reuse a closed number */
		if (fcntl(fd, F_GETFD) < 0 && open("/dev/null", O_RDWR) != fd)
			refuse("/dev/null");
	close_from(3);
	input = fcntl(STDIN_FILENO, F_DUPFD_CLOEXEC, 3);
	output = fcntl(STDOUT_FILENO, F_DUPFD_CLOEXEC, 3);
	null = open("/dev/null", O_RDWR | O_CLOEXEC);
	if (null < 0 || dup2(null, STDIN_FILENO) < 0 || dup2(null, STDOUT_FILENO) < 0)
		refuse("/dev/null");
	close(null);
}

/* Enters namespaces that no packet, path or signal leaves. Not used in a virtual machine. */
static void enter_box(void)
{
	struct stat before, after;
	struct pollfd outside;
	int go[2];
	pid_t pid;

	keep_descriptors();
	namespace_of("/proc/self/ns/net", &before);
	if (pipe2(go, O_CLOEXEC) < 0)
		refuse("pipe");
	pid = syscall(SYS_clone, CLONE_NEWUSER | CLONE_NEWNET | CLONE_NEWNS | CLONE_NEWPID | SIGCHLD,
		      0, 0, 0, 0);
	if (pid < 0)
		refuse("no user, network, mount and PID namespaces of its own");
	if (pid > 0) {
		close(go[0]);
		stay_outside(pid, go[1]);
	}
	close(go[1]);
	if (read(go[0], users, sizeof(users)) != sizeof(users))
		_exit(2);
	namespace_of("/proc/self/ns/net", &after);
	if (before.st_ino == after.st_ino && before.st_dev == after.st_dev) {
		errno = EPERM;
		refuse("still in the network namespace of the machine");
	}
	setgroups(0, NULL); /* fails if another user than root started the agent */
	if (setresgid(0, 0, 0) < 0 || setresuid(0, 0, 0) < 0)
		refuse("setresuid");
	hide_files();
	/* setresuid() would clear the signal. The first process may have ended before this. */
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	outside = (struct pollfd){ .fd = go[0] };
	if (poll(&outside, 1, 0) != 0)
		_exit(2);
	close(go[0]);
}

/*
 * Whether this kernel is gVisor. Linux writes the time of a line with one more space, so no
 * program can make Linux say this.
 */
static int is_gvisor(void)
{
	static const char first[] = "<6>[   0.000000] Starting gVisor...\n";
	static char log[65536];
	int length = klogctl(3, log, sizeof(log)); /* SYSLOG_ACTION_READ_ALL */

	return length >= (int)strlen(first) && memcmp(log, first, strlen(first)) == 0;
}

/* Hides files from tasks in gVisor's sandbox. */
static void enter_sandbox(void)
{
	unsigned long from, to, count;
	FILE *map;

	keep_descriptors();
	errno = EINVAL;
	if (!is_gvisor())
		refuse("--inside gvisor: this kernel is not gVisor");
	map = fopen("/proc/self/uid_map", "re");
	if (map != NULL && fscanf(map, "%lu %lu %lu", &from, &to, &count) == 3 && from == 0 && count > 1)
		snprintf(users, sizeof(users), "0-%lu", count > 65535 ? 65534 : count - 1);
	if (map != NULL)
		fclose(map);
	if (chdir(NET) < 0 || chroot(".") < 0 || chdir("/") < 0)
		refuse("cannot leave the sandbox's files");
}

/* Gives up capabilities and calls that only the start needed. */
static void give_up_the_rest(void)
{
	uint64_t kept = 1ull << CAP_KILL | 1ull << CAP_SETUID | 1ull << CAP_NET_BIND_SERVICE |
			      1ull << CAP_NET_ADMIN | 1ull << CAP_NET_RAW | 1ull << CAP_SYS_ADMIN;
	struct __user_cap_header_struct header = { .version = _LINUX_CAPABILITY_VERSION_3 };
	struct __user_cap_data_struct data[2] = { { 0 }, { 0 } };

	if (syscall(SYS_capget, &header, data) < 0)
		refuse("capabilities");
	kept &= data[0].permitted; /* all kept ones are in the low half; gVisor may lack some */
	memset(data, 0, sizeof(data));
	data[0].effective = data[0].permitted = kept;
	for (int cap = 0; prctl(PR_CAPBSET_READ, cap, 0, 0, 0) >= 0; cap++)
		if ((kept >> cap & 1) == 0 && prctl(PR_CAPBSET_DROP, cap, 0, 0, 0) < 0)
			refuse("capabilities");
	if (syscall(SYS_capset, &header, data) < 0 || prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) < 0)
		refuse("capabilities");
	if (filter(1) < 0)
		refuse("no seccomp filter of its own (a virtual machine needs none)");
}

/*
 * Whether a process is a task and has not ended. Only tasks are children of the agent, so waitpid()
 * refuses other pids. gVisor may not have CLONE_PARENT. There a task that a task made is no child
 * of the agent, but the sandbox has no other processes.
 */
static int is_task(pid_t pid)
{
	int ended = waitpid(pid, NULL, WNOHANG | __WALL);

	return ended == 0 || (gvisor && ended < 0 && errno == ECHILD && pid != getpid() &&
			      kill(pid, 0) == 0);
}

static void end_task(int task)
{
	if (pids[task] <= 0)
		return;
	kill(pids[task], SIGKILL);
	while (waitpid(pids[task], NULL, __WALL) < 0 && errno == EINTR)
		continue;
	pids[task] = 0;
	slots[task].turn = 0;
}

/* Runs in the process that becomes task 0. */
static int begin_task(void *unused)
{
	struct sigaction action = { .sa_handler = interrupted };

	(void)unused;
	if (!gvisor && unshare(CLONE_NEWNET) < 0)
		refuse("no network namespace of its own");
	sigaction(SIGALRM, &action, NULL);
	if (gvisor)
		signal(SIGCHLD, SIG_IGN); /* for tasks that are not the agent's children */
	dup2(STDIN_FILENO, STDERR_FILENO);
	close_from(3);
	filter_task();
	serve(&slots[0]);
	return 0;
}

/*
 * Makes the process of task 0. In a virtual machine it shares the agent's memory: software emulation
 * loses much time when the address space changes, and each call changes it twice.
 */
static pid_t make_task(void)
{
#ifdef __x86_64__
	static char stack[1 << 18] __attribute__((aligned(16)));

	if (virtual)
		return clone(begin_task, stack + sizeof(stack), CLONE_VM | SIGCHLD, NULL);
#endif
	pid_t pid = syscall(SYS_clone, SIGCHLD, 0, 0, 0, 0);

	if (pid == 0)
		begin_task(NULL);
	return pid;
}

static int begin(void)
{
	pid_t pid;

	for (int task = 0; task < TASKS; task++)
		end_task(task);
	has_mptcp = 0;
	stay();
	pid = make_task();
	if (pid < 0)
		refuse("fork");
	pids[0] = pid;
	return pid;
}

/* Draws. */

#define TRACING "/sys/kernel/tracing/"
#define PERTURB 65536

static int trace_pipe = -1, kcore = -1;
static off_t perturb_at;

static int write_event(const char *path, const char *text, int flags)
{
	int fd = open(path, O_WRONLY | O_CLOEXEC | flags);
	int done = fd >= 0 && write(fd, text, strlen(text)) == (ssize_t)strlen(text);

	if (fd >= 0)
		close(fd);
	return done;
}

/* The offset of a kernel address in /proc/kcore; -1 if there is none. */
static off_t kcore_offset(uint64_t address)
{
	Elf64_Ehdr header;
	Elf64_Phdr segment;

	if (pread(kcore, &header, sizeof(header), 0) != sizeof(header))
		return -1;
	for (int i = 0; i < header.e_phnum; i++) {
		if (pread(kcore, &segment, sizeof(segment), header.e_phoff + i * header.e_phentsize) !=
		    sizeof(segment))
			return -1;
		if (segment.p_type == PT_LOAD && address >= segment.p_vaddr &&
		    address - segment.p_vaddr < segment.p_memsz)
			return segment.p_offset + (address - segment.p_vaddr);
	}
	return -1;
}

/* Kernel variables. The address is 0 if there is no symbol. */
static struct {
	const char *name;
	uint64_t address;
} symbols[] = {
	{ "table_perturb", 0 },	   { "net_hotdata", 0 },	  { "inet_ehash_secret", 0 },
	{ "inet6_ehash_secret", 0 }, { "ipv6_hash_secret", 0 },	  { "tcp_ipv6_hash_secret", 0 },
	{ "udp_ehash_secret", 0 }, { "udp6_ehash_secret", 0 }, { "udp_ipv6_hash_secret", 0 },
	{ "net_secret", 0 },
};

/* Finds the addresses of symbols. Compilers add ".N" to the names of variables in functions. */
static void find_symbols(void)
{
	FILE *file = fopen("/proc/kallsyms", "re");
	unsigned long long address;
	char line[512], name[256], type;

	while (file != NULL && fgets(line, sizeof(line), file) != NULL) {
		if ((strstr(line, "_secret") == NULL && strstr(line, "t_hotdata") == NULL &&
		     strstr(line, "_perturb") == NULL) ||
		    sscanf(line, "%llx %c %255s", &address, &type, name) != 3)
			continue;
		name[strcspn(name, ".")] = '\0';
		for (size_t i = 0; i < COUNT(symbols); i++)
			if (symbols[i].address == 0 && strcmp(name, symbols[i].name) == 0)
				symbols[i].address = address;
	}
	if (file != NULL)
		fclose(file);
}

static uint64_t symbol(const char *name)
{
	for (size_t i = 0; i < COUNT(symbols); i++)
		if (strcmp(symbols[i].name, name) == 0)
			return symbols[i].address;
	return 0;
}

/* Reads kernel memory. Returns false if it cannot be read. */
static int read_kernel(uint64_t address, void *to, size_t size)
{
	off_t at = address == 0 ? -1 : kcore_offset(address);

	return at >= 0 && pread(kcore, to, size, at) == (ssize_t)size;
}

/*
 * Secrets of hashes. Until 6.8 each is a variable of its own. Since 6.9 those of ehash and UDP are
 * words of net_hotdata, and no symbol has their offsets. So the agent sends packets, looks at the
 * hashes by which the kernel selects from a reuseport group, and searches for words with which the
 * hash comes out. The same search finds the offset of hash_mix in struct net.
 */

#define WORDS 256

struct words {
	uint32_t word[WORDS];
	int count;
};

/* A packet that was received, and the hash for which the kernel selected the receiver. */
struct hashed {
	uint32_t laddr[4], faddr[4]; /* as in memory; only the last word of IPv4 */
	uint32_t lport, fport; /* fport is big-endian */
	uint32_t hash;
	uint64_t net;
};

static int hash_mix_at = -1; /* offset in struct net; -1 if not known */
static char secrets[512];

static uint32_t turned(uint32_t word, int bits)
{
	return word << bits | word >> (32 - bits);
}

/* include/linux/jhash.h: __jhash_final(). */
static uint32_t jhash_final(uint32_t a, uint32_t b, uint32_t c)
{
	c = (c ^ b) - turned(b, 14);
	a = (a ^ c) - turned(c, 11);
	b = (b ^ a) - turned(a, 25);
	c = (c ^ b) - turned(b, 16);
	a = (a ^ c) - turned(c, 4);
	b = (b ^ a) - turned(a, 14);
	return (c ^ b) - turned(b, 24);
}

/* __jhash_mix() */
static void jhash_mix(uint32_t *a, uint32_t *b, uint32_t *c)
{
	static const int bits[] = { 4, 6, 8, 16, 19, 4 };
	uint32_t *x = a, *y = b, *z = c;

	for (int i = 0; i < 6; i++) {
		uint32_t *first = x;

		*x = (*x - *z) ^ turned(*z, bits[i]);
		*z += *y;
		x = y;
		y = z;
		z = first;
	}
}

static uint32_t jhash_3words(uint32_t a, uint32_t b, uint32_t c, uint32_t initval)
{
	initval += 0xdeadbeef + 12;
	return jhash_final(a + initval, b + initval, c + initval);
}

/* __ipv6_addr_jhash(): jhash2() of the four words. Before 6.5 the first two words were one. */
static uint32_t jhash_address(const uint32_t *word, uint32_t initval, int folded)
{
	uint32_t a, b, c;

	if (folded)
		return jhash_3words(word[0] ^ word[1], word[2], word[3], initval);
	a = b = c = initval + 0xdeadbeef + 16;
	a += word[0];
	b += word[1];
	c += word[2];
	jhash_mix(&a, &b, &c);
	return jhash_final(a + word[3], b, c);
}

/* inet_ehashfn() and its kin: until 6.14 the port is mixed in, since 6.15 TCP adds it. */
static int is_hash(const struct hashed *packet, uint32_t faddr, uint32_t initval)
{
	uint32_t l = packet->laddr[3];

	return packet->hash ==
		       jhash_3words(l, faddr, packet->lport << 16 | packet->fport, initval) ||
	       packet->hash == packet->lport + jhash_3words(l, faddr, packet->fport, initval);
}

/* inet6_ehashfn() since 7.1 */
static int is_whole_hash(const struct hashed *packet, uint32_t secret, uint32_t mix)
{
	const uint32_t *l = packet->laddr, *f = packet->faddr;
	uint32_t a, b, c;

	a = b = c = secret;
	a += l[0] ^ mix;
	b += l[1];
	c += l[2];
	jhash_mix(&a, &b, &c);
	a += l[3];
	b += f[0];
	c += f[1];
	jhash_mix(&a, &b, &c);
	return packet->hash ==
	       packet->lport + jhash_final(a + f[2], b + f[3], c + packet->fport);
}

/* The last event of the probe "group": hash and namespace. Returns false if there is none. */
static int read_group(struct hashed *packet)
{
	static char events[65536];
	ssize_t n = read(trace_pipe, events, sizeof(events) - 1);
	char *at = events, *next;
	int found = 0;

	events[n > 0 ? n : 0] = '\0';
	while ((next = strstr(at, " group: (")) != NULL) {
		char *hash = strstr(next, ") arg1="), *net = strstr(next, " arg2=");

		at = next + 1;
		if (hash == NULL || net == NULL)
			continue;
		packet->hash = strtoul(hash + strlen(") arg1="), NULL, 0);
		packet->net = strtoull(net + strlen(" arg2="), NULL, 0);
		found = 1;
	}
	return found;
}

/* Sends a packet to a group over lo. Returns false if something is missing. */
static int send_hashed(int family, int type, struct hashed *packet)
{
	struct sockaddr_in6 to = { .sin6_family = family }, from;
	const struct timeval patience = { 2, 0 };
	const int one = 1;
	socklen_t length = sizeof(to);
	int server = socket(family, type | SOCK_CLOEXEC, 0), accepted = -1, done;
	int client = socket(family, type | SOCK_CLOEXEC, 0);
	char byte = '.';

	if (family == AF_INET6)
		to.sin6_addr = in6addr_loopback;
	else
		((struct sockaddr_in *)&to)->sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	setsockopt(server, SOL_SOCKET, SO_REUSEPORT, &one, sizeof(one));
	setsockopt(server, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience));
	read_group(packet);
	memset(packet, 0, sizeof(*packet));
	done = bind(server, (struct sockaddr *)&to, sizeof(to)) == 0 &&
	       getsockname(server, (struct sockaddr *)&to, &length) == 0 &&
	       (type == SOCK_DGRAM || listen(server, 1) == 0) &&
	       connect(client, (struct sockaddr *)&to, sizeof(to)) == 0;
	if (done && type == SOCK_DGRAM)
		done = send(client, &byte, 1, 0) == 1 && recv(server, &byte, 1, 0) == 1;
	else if (done)
		done = (accepted = accept(server, NULL, NULL)) >= 0;
	length = sizeof(from);
	done = done && getsockname(client, (struct sockaddr *)&from, &length) == 0 && read_group(packet);
	packet->lport = ntohs(to.sin6_port);
	packet->fport = from.sin6_port;
	if (family == AF_INET6) {
		memcpy(packet->laddr, &to.sin6_addr, 16);
		memcpy(packet->faddr, &from.sin6_addr, 16);
	} else {
		packet->laddr[3] = packet->faddr[3] = htonl(INADDR_LOOPBACK);
	}
	close(accepted);
	close(client);
	close(server);
	return done;
}

/* Reads the values that a secret may have: its variable, or all words of net_hotdata. */
static void read_candidates(const char *name, struct words *words)
{
	const uint64_t hotdata = symbol("net_hotdata");

	words->count = 0;
	if (read_kernel(symbol(name), words->word, 4))
		words->count = 1;
	else if (hotdata != 0)
		while (words->count < WORDS &&
		       read_kernel(hotdata + 4 * words->count, &words->word[words->count], 4))
			words->count++;
}

/* Whether both packets over IPv4 have the hash of this initial value. */
static int fits(const struct hashed packets[2], uint32_t initval)
{
	return is_hash(&packets[0], packets[0].faddr[3], initval) &&
	       is_hash(&packets[1], packets[1].faddr[3], initval);
}

/* The same over IPv6. The foreign address has a secret of its own. */
static int fits6(const struct hashed packets[2], uint32_t initval, uint32_t address_secret)
{
	for (int folded = 0; folded < 2; folded++) {
		uint32_t first = jhash_address(packets[0].faddr, address_secret, folded);
		uint32_t second = jhash_address(packets[1].faddr, address_secret, folded);

		if (is_hash(&packets[0], first, initval) && is_hash(&packets[1], second, initval))
			return 1;
	}
	return 0;
}

static void say_secret(const char *name, int known, uint32_t value)
{
	const size_t used = strlen(secrets);

	if (known)
		snprintf(secrets + used, sizeof(secrets) - used, " %s=%08x", name, value);
	else
		snprintf(secrets + used, sizeof(secrets) - used, " %s=-", name);
}

/* Finds the secret of inet_ehashfn() or udp_ehashfn(), and hash_mix if it is not known yet. */
static void find_secret(int type, const char *name, uint32_t *mix)
{
	struct hashed packets[2];
	struct words found, net = { .word = { *mix }, .count = 1 };
	int done = send_hashed(AF_INET, type, &packets[0]) && send_hashed(AF_INET, type, &packets[1]);

	read_candidates(name, &found);
	if (done && hash_mix_at < 0 && read_kernel(packets[0].net, net.word, sizeof(net.word)))
		net.count = WORDS;
	for (int at = 0; done && at < net.count; at++) {
		for (int i = 0; i < found.count; i++) {
			if (!fits(packets, found.word[i] + net.word[at]))
				continue;
			*mix = net.word[at];
			if (hash_mix_at < 0)
				hash_mix_at = 4 * at;
			say_secret(name, 1, found.word[i]);
			return;
		}
	}
	say_secret(name, 0, 0);
}

/*
 * Finds the two secrets of inet6_ehashfn() or udp6_ehashfn(). inet6_ehashfn() has only the second
 * one since 7.1, udp6_ehashfn() until 6.4.
 */
static void find_secrets_of_ipv6(int type, const char *name, const char *address_name,
				 const uint32_t *mix)
{
	struct hashed packets[2];
	struct words first, second;
	int done = hash_mix_at >= 0 && send_hashed(AF_INET6, type, &packets[0]) &&
		   send_hashed(AF_INET6, type, &packets[1]);

	read_candidates(name, &first);
	read_candidates(address_name, &second);
	for (int j = 0; done && j < second.count; j++) {
		const uint32_t *with = &second.word[j];

		if ((is_whole_hash(&packets[0], *with, *mix) && is_whole_hash(&packets[1], *with, *mix)) ||
		    fits6(packets, *with + *mix, *with)) {
			say_secret(address_name, 1, *with);
			return;
		}
		for (int i = 0; i < first.count; i++) {
			if (!fits6(packets, first.word[i] + *mix, *with))
				continue;
			say_secret(name, 1, first.word[i]);
			say_secret(address_name, 1, *with);
			return;
		}
	}
	say_secret(name, 0, 0);
	say_secret(address_name, 0, 0);
}

/* Finds the secrets and writes them to `secrets`. */
static void find_secrets(void)
{
	const char *tcp6 = symbol("ipv6_hash_secret") != 0 ? "ipv6_hash_secret" : "tcp_ipv6_hash_secret";
	uint32_t mix = 0, key[4];

	write_event(TRACING "kprobe_events",
		    "p:group reuseport_select_sock arg1=$arg2:u32 arg2=+48($arg1):x64", O_APPEND);
	write_event(TRACING "events/kprobes/group/enable", "1", 0);
	find_secret(SOCK_DGRAM, "udp_ehash_secret", &mix);
	find_secret(SOCK_STREAM, "inet_ehash_secret", &mix);
	find_secrets_of_ipv6(SOCK_DGRAM, "udp6_ehash_secret", "udp_ipv6_hash_secret", &mix);
	find_secrets_of_ipv6(SOCK_STREAM, "inet6_ehash_secret", tcp6, &mix);
	write_event(TRACING "events/kprobes/group/enable", "0", 0);
	write_event(TRACING "kprobe_events", "-:group", O_APPEND);
	if (read_kernel(symbol("net_secret"), key, sizeof(key)))
		sprintf(secrets + strlen(secrets), " net_secret=%08x%08x%08x%08x", key[0], key[1], key[2],
			key[3]);
	else
		say_secret("net_secret", 0, 0);
	if (hash_mix_at >= 0)
		sprintf(secrets + strlen(secrets), " others=%d,%d,%08x", port_of(drain_to),
			port_of(drain_from), mix);
}

/* Begins to record draws. Returns what failed; NULL if nothing did. */
static const char *begin_draws(void)
{
	static const char *const probes[] = {
		"p:ceil __get_random_u32_below arg1=$arg1:u32",
		"r:below __get_random_u32_below $retval:u32",
		"r:u8 get_random_u8 $retval:u8",
		"r:u16 get_random_u16 $retval:u16",
		"r:u32 get_random_u32 $retval:u32",
		"r:off4 secure_ipv4_port_ephemeral $retval:x64",
		"r:off6 secure_ipv6_port_ephemeral $retval:x64",
	};
	uint64_t table;
	char probe[64];

	if (trace_pipe >= 0)
		return NULL;
	kcore = open("/proc/kcore", O_RDONLY | O_CLOEXEC);
	find_symbols();
	table = symbol("table_perturb"); /* a pointer */
	if (!read_kernel(table, &table, sizeof(table)))
		return "cannot read table_perturb";
	perturb_at = kcore_offset(table);
	if (perturb_at < 0)
		return "cannot read table_perturb";
	trace_pipe = open(TRACING "trace_pipe", O_RDONLY | O_NONBLOCK | O_CLOEXEC);
	if (trace_pipe < 0)
		return "cannot open trace_pipe";
	find_secrets();
	for (size_t i = 0; i < sizeof(probes) / sizeof(probes[0]); i++)
		if (!write_event(TRACING "kprobe_events", probes[i], O_APPEND))
			return "cannot set kprobes";
	snprintf(probe, sizeof(probe), "r:mix copy_net_ns +%d($retval):x32", hash_mix_at);
	if (hash_mix_at >= 0)
		write_event(TRACING "kprobe_events", probe, O_APPEND);
	if (!write_event(TRACING "events/kprobes/enable", "1", 0))
		return "cannot enable kprobes";
	return NULL;
}

/* Whether a function searches ports. Compilers may inline functions into others or rename them. */
static int searches_ports(const char *caller)
{
	return strstr(caller, "get_port") != NULL || strstr(caller, "hash_connect") != NULL ||
	       strstr(caller, "open_port") != NULL || strstr(caller, "scan_step") != NULL;
}

/*
 * The bounds of draws that have begun, by process. An interrupt during a draw, or another process,
 * may draw as well.
 */
static struct drawer {
	long pid;
	int depth;
	unsigned long ceil[8];
} drawers[64];

/* The drawer of a trace line "COMMAND-PID [CPU] ...". */
static struct drawer *drawer_of(const char *line)
{
	const char *end = strchr(line, '['), *start;
	struct drawer *idle = &drawers[0];
	long pid;

	while (end > line && end[-1] == ' ')
		end--;
	for (start = end; start > line && isdigit((unsigned char)start[-1]);)
		start--;
	pid = start == NULL ? 0 : strtol(start, NULL, 10);
	for (size_t i = 0; i < sizeof(drawers) / sizeof(drawers[0]); i++) {
		if (drawers[i].pid == pid)
			return &drawers[i];
		if (drawers[i].depth == 0)
			idle = &drawers[i];
	}
	idle->pid = pid;
	idle->depth = 0;
	return idle;
}

/* Reads one line of the trace. Writes its draw, if any, to `to`. Returns the length. */
static int read_event(char *line, char *to, size_t size)
{
	struct drawer *drawer = drawer_of(line);
	unsigned long ceil = 0;
	char *open = strstr(line, ": ("), *kind, *caller, *value;

	if (open == NULL || (value = strstr(open, ") arg1=")) == NULL)
		return 0;
	*open = '\0';
	kind = strrchr(line, ' ') == NULL ? line : strrchr(line, ' ') + 1;
	caller = open + strlen(": (");
	value += strlen(") arg1=");
	caller[strcspn(caller, "+ )")] = '\0';
	if (strcmp(kind, "ceil") == 0) {
		drawer->ceil[drawer->depth] = strtoul(value, NULL, 0);
		if (drawer->depth < 7)
			drawer->depth++;
		return 0;
	}
	if (strcmp(kind, "below") == 0 && drawer->depth > 0)
		ceil = drawer->ceil[--drawer->depth];
	if (strcmp(kind, "mix") == 0 && value[0] != '0') /* unshare() failed */
		return 0;
	if (strcmp(kind, "mix") != 0 && !searches_ports(caller))
		return 0;
	if (strcmp(kind, "below") == 0)
		return snprintf(to, size, " %s@%s=%s/%lu", kind, caller, value, ceil);
	return snprintf(to, size, " %s@%s=%s", kind, caller, value);
}

/* Adds the draws since the last call to the answer of a call. */
static void add_draws(char *text, size_t size)
{
	static char events[65536];
	size_t used = 0, length = strlen(text);
	ssize_t n;

	while ((n = read(trace_pipe, events + used, sizeof(events) - 1 - used)) > 0) {
		char *line = events, *end;

		used += n;
		events[used] = '\0';
		while ((end = strchr(line, '\n')) != NULL) {
			*end = '\0';
			if (strstr(line, "[LOST ") != NULL || size - length < 256) {
				strcpy(text, "! draws were lost");
				return;
			}
			length += read_event(line, text + length, size - length);
			line = end + 1;
		}
		used -= line - events;
		memmove(events, line, used);
	}
	if (n < 0 && errno != EAGAIN)
		refuse("trace_pipe");
}

static char out[1 << 20];
static size_t filled;

static void flush(void)
{
	struct pollfd reader = { .fd = output, .events = POLLOUT };

	for (size_t done = 0; done < filled;) {
		ssize_t n;

		/* A virtual port without a reader would never become writable. */
		if (poll(&reader, 1, -1) == 1 && (reader.revents & POLLHUP) != 0)
			leave(0);
		n = write(output, out + done, filled - done);
		if (n <= 0)
			leave(0);
		done += n;
	}
	filled = 0;
}

static void answer(const char *text)
{
	size_t length = strlen(text);

	if (filled + length + 1 > sizeof(out))
		flush();
	memcpy(out + filled, text, length);
	out[filled + length] = '\n';
	filled += length + 1;
}

static void answerf(const char *format, ...)
{
	char text[256];
	va_list args;

	va_start(args, format);
	vsnprintf(text, sizeof(text), format, args);
	va_end(args);
	answer(text);
}

/* Whether nobody reads answers any more. */
static int is_alone(void)
{
	struct pollfd reader = { .fd = output };

	return poll(&reader, 1, 0) == 1 && (reader.revents & (POLLERR | POLLHUP | POLLNVAL)) != 0;
}

/* Waits for a task's answer. Returns NULL if the task has ended. */
static const char *await_task(int task)
{
	static char text[ANSWER];
	const struct timespec while_asleep = { 0, 100000000 };
	struct slot *slot = &slots[task];
	size_t length;

	pass_turn(slot, 1);
	while (__atomic_load_n(&slot->turn, __ATOMIC_SEQ_CST) == 1) {
		futex(&slot->turn, FUTEX_WAIT, 1, &while_asleep);
		if (__atomic_load_n(&slot->turn, __ATOMIC_SEQ_CST) != 1)
			break;
		/* The call sleeps. Earlier answers need not wait for it. */
		if (filled > 0)
			flush();
		else if (is_alone())
			leave(0);
		if (!is_task(pids[task])) {
			pids[task] = 0;
			slot->turn = 0;
			answerf("! task %d has ended", task);
			return NULL;
		}
	}
	/* The task may still write to the answer. */
	length = strnlen(slot->answer, ANSWER - 1);
	memcpy(text, slot->answer, length);
	text[length] = '\0';
	for (char *at = text; at < text + length; at++)
		if (*at < ' ' || *at > '~')
			*at = '?';
	if (trace_pipe >= 0)
		add_draws(text, ANSWER);
	answer(text);
	return text;
}

/* Answers with all numbers of table_perturb, or with those at the given indices. */
static void answer_perturb(char *indices)
{
	static char text[PERTURB * 8 + 1];
	static uint32_t table[PERTURB];
	char *to = text, *word;

	if (indices == NULL) {
		if (kcore < 0 || pread(kcore, table, sizeof(table), perturb_at) != sizeof(table)) {
			answer("! cannot read table_perturb");
			return;
		}
		for (int i = 0; i < PERTURB; i++)
			to += sprintf(to, "%08x", table[i]);
	}
	while ((word = strsep(&indices, " ")) != NULL && to < text + PERTURB * 8) {
		uint32_t index = strtoul(word, NULL, 10) % PERTURB, value;

		if (kcore < 0 || pread(kcore, &value, 4, perturb_at + index * 4) != 4) {
			answer("! cannot read table_perturb");
			return;
		}
		to += sprintf(to, "%08x", value);
	}
	answer(text);
}

/* The number of a task; -1 if the word is not one. */
static int task_of(const char *word)
{
	char *end;
	long task = strtol(word, &end, 10);

	return *word == '\0' || *end != '\0' || task < 0 || task >= TASKS ? -1 : task;
}

static void to_task(const char *word, const char *rest)
{
	int task = task_of(word), other = -1;
	const char *said;

	if (task < 0 || rest == NULL) {
		answerf("! request %.40s", word);
		return;
	}
	if (pids[task] <= 0) {
		answerf("! no task %d", task);
		return;
	}
	if (strlen(rest) >= REQUEST) {
		answer("! a request that is too long");
		return;
	}
	if (strcmp(rest, "exit") == 0) {
		unsigned long long begin = now();

		end_task(task);
		answerf("0 %llu %llu", begin, now());
		drain(rest, ANY);
		return;
	}
	if (strncmp(rest, "fork", 4) == 0 && (rest[4] == ' ' || rest[4] == '\0')) {
		other = rest[4] == ' ' ? task_of(rest + 5) : -1;
		if (other < 0 || pids[other] > 0) {
			answerf("! task %.40s exists, or cannot", rest[4] == ' ' ? rest + 5 : "");
			return;
		}
		slots[other].turn = 0;
	}
	used = 1;
	slots[task].protocol = 0;
	slots[task].limit = limit_ms;
	strcpy(slots[task].request, rest);
	said = await_task(task);
	if (other >= 0 && said != NULL) {
		long pid = strtol(said, NULL, 10);

		if (pid > 1 && is_task(pid))
			pids[other] = pid;
	}
	if (work_to >= 0 && uses_mptcp(rest, slots[task].protocol))
		has_mptcp = 1;
	if (may_send(rest))
		drain(rest, slots[task].protocol);
}

/* The slots of UDP's tables from the kernel's log; 0 if it does not have them. */
static long udp_slots(void)
{
	static const char said[] = "UDP hash table entries: ";
	char record[8192], *at;
	long slots_said = 0;
	int log = open("/dev/kmsg", O_RDONLY | O_NONBLOCK | O_CLOEXEC);

	while (log >= 0 && slots_said == 0) {
		ssize_t n = read(log, record, sizeof(record) - 1);

		if (n < 0 && errno == EPIPE) /* the kernel has overwritten records */
			continue;
		if (n <= 0)
			break;
		record[n] = '\0';
		at = strstr(record, said);
		if (at != NULL)
			slots_said = strtol(at + strlen(said), NULL, 10);
	}
	close(log);
	return slots_said;
}

/* Debian's release 6.1.0-56 is 6.1.192 upstream, for example. Only its version has this number. */
static const char *release_of(struct utsname *system)
{
	char *version = strstr(system->version, " Debian ");

	if (version == NULL || !isdigit((unsigned char)version[strlen(" Debian ")]))
		return system->release;
	version += strlen(" Debian ");
	version[strcspn(version, "-~ ")] = '\0';
	return version;
}

static void request(char *line)
{
	char *rest = line, *word = strsep(&rest, " ");
	struct utsname system;

	if (strcmp(word, "hello") == 0) {
		uname(&system);
		answerf("port-agent 1 %s %s%s", release_of(&system), users, gvisor ? " gvisor" : "");
	} else if (strcmp(word, "reset") == 0 && gvisor && used) {
		answer("! reset: a new network namespace needs a new sandbox");
	} else if (strcmp(word, "reset") == 0) {
		flush();
		answerf("%d", begin());
	} else if (strcmp(word, "limit") == 0 && rest != NULL) {
		long limit = strtol(rest, NULL, 10);

		limit_ms = limit < 0 || limit > 3600000 ? 0 : limit;
		answer("0");
	} else if (strcmp(word, "draws") == 0) {
		const char *fault = virtual ? begin_draws() : "this is no virtual machine";

		answerf(fault == NULL ? "0" : "! %s", fault);
	} else if (strcmp(word, "udp") == 0) {
		answerf(virtual ? "%ld" : "! this is no virtual machine", virtual ? udp_slots() : 0);
	} else if (strcmp(word, "secrets") == 0) {
		answer(secrets[0] == '\0' ? "! only after draws" : secrets + 1);
	} else if (strcmp(word, "perturb") == 0) {
		answer_perturb(rest);
	} else {
		to_task(word, rest);
	}
}

static void load_modules(void)
{
	FILE *order = fopen("/modules/modules.order", "re");
	char name[128], path[256];

	while (order != NULL && fscanf(order, "%127s", name) == 1) {
		/* Without this option the module makes a device dummy0. */
		const char *options = strcmp(name, "dummy.ko") == 0 ? "numdummies=0" : "";
		int fd;

		snprintf(path, sizeof(path), "/modules/%s", name);
		fd = open(path, O_RDONLY | O_CLOEXEC);
		if (syscall(SYS_finit_module, fd, options, 0) < 0 && errno != EEXIST)
			refuse(path);
		close(fd);
	}
	if (order != NULL)
		fclose(order);
}

/* Opens a device. The kernel may need some time to make it. */
static int open_device(const char *device)
{
	const struct timespec pause = { 0, 10000000 };
	int fd;

	for (int tries = 0; tries < 1000; tries++) {
		fd = open(device, O_RDWR | O_NOCTTY | O_CLOEXEC);
		if (fd >= 0)
			return fd;
		nanosleep(&pause, NULL);
	}
	refuse(device);
	return -1;
}

/* /init of a virtual machine: mounts file systems and opens the device for requests. */
static void become_init(void)
{
	static char line[4096];
	struct termios raw;
	char *device;
	ssize_t length;
	int fd;

	mkdir("/proc", 0755);
	mkdir("/sys", 0755);
	mkdir("/dev", 0755);
	mount("proc", "/proc", "proc", 0, NULL);
	mount("sysfs", "/sys", "sysfs", 0, NULL);
	mount("devtmpfs", "/dev", "devtmpfs", 0, NULL);
	mount("tracefs", "/sys/kernel/tracing", "tracefs", 0, NULL);
	fd = open("/proc/cmdline", O_RDONLY);
	length = read(fd, line, sizeof(line) - 1);
	close(fd);
	device = length > 0 ? strstr(line, "agent=") : NULL;
	device = device == NULL ? "/dev/ttyS0" : device + strlen("agent=");
	device[strcspn(device, " \n")] = '\0';
	/* Opens the console as descriptors 0 to 2, so that errors can be seen. */
	do
		fd = open("/dev/console", O_RDWR);
	while (fd >= 0 && fd < STDERR_FILENO);
	if (fd > STDERR_FILENO)
		close(fd);
	load_modules();
	fd = open_device(device);
	if (tcgetattr(fd, &raw) == 0) {
		cfmakeraw(&raw);
		tcsetattr(fd, TCSANOW, &raw);
	}
	input = output = fd;
	strcpy(users, "0-65534");
	fd = open("/dev/null", O_RDWR);
	if (fd < 0 || dup2(fd, STDIN_FILENO) < 0 || dup2(fd, STDOUT_FILENO) < 0)
		refuse("/dev/null");
	close(fd);
	if (unshare(CLONE_NEWNET) < 0)
		refuse("no network namespace of its own");
	if (chdir(NET) < 0)
		refuse(NET);
}

int main(int argc, char **argv)
{
	static char in[1 << 20];
	const struct rlimit none = { 0, 0 };
	size_t used = 0;
	struct rlimit files;

	/* The first process of a container also has pid 1, but is not called /init. */
	virtual = getpid() == 1 && argc > 0 && strcmp(argv[0], "/init") == 0;
	gvisor = !virtual && argc == 3 && strcmp(argv[1], "--inside") == 0 &&
		 strcmp(argv[2], "gvisor") == 0;
	if (!virtual && !gvisor && argc > 1) {
		errno = EINVAL;
		refuse("expected no arguments, or --inside gvisor");
	}
	if (getrlimit(RLIMIT_NOFILE, &files) == 0) {
		files.rlim_cur = files.rlim_max;
		setrlimit(RLIMIT_NOFILE, &files);
	}
	setrlimit(RLIMIT_CORE, &none);
	signal(SIGPIPE, SIG_IGN);
	if (virtual)
		become_init();
	else if (gvisor)
		enter_sandbox();
	else
		enter_box();
	slots = mmap(NULL, TASKS * sizeof(*slots), PROT_READ | PROT_WRITE,
		     MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (slots == MAP_FAILED)
		refuse("mmap");
	open_drain();
	if (!gvisor)
		open_work();
	if (!virtual)
		give_up_the_rest();
	begin();
	for (;;) {
		char *line = in, *newline;
		ssize_t n = read(input, in + used, sizeof(in) - used);

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			break;
		used += n;
		while ((newline = memchr(line, '\n', in + used - line)) != NULL) {
			*newline = '\0';
			request(line);
			line = newline + 1;
		}
		used -= line - in;
		memmove(in, line, used);
		if (used == sizeof(in)) {
			answer("! a line without an end");
			used = 0;
		}
		flush();
	}
	for (int task = 0; task < TASKS; task++)
		end_task(task);
	leave(0);
}
