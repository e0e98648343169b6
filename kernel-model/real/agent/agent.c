// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * port-agent: makes system calls on a real kernel for inet-port-model, in a user and
 * network namespace of its own, without privileges. Everything that it does there ends
 * with it.
 *
 * Started by hand it speaks on standard input and output. As /init of a virtual machine
 * it loads the modules that /modules/modules.order names, and speaks on the device that
 * the kernel's command line names (agent=/dev/vport0p1).
 *
 * Protocol: one request a line, one answer a line, in order; requests may be sent ahead.
 *
 *   hello              port-agent 1 RELEASE USERS   USERS: user ids that tasks can have;
 *                                 RELEASE is upstream's where uname -r names a whole series
 *   reset              PID        ends all tasks; task 0 begins in fresh namespaces, lo down
 *   limit MS           0          interrupts calls that sleep longer (-EINTR); 1000 at first
 *   draws              0          from now on calls' answers show the draws of port searches:
 *                                 in a virtual machine, by kprobes
 *   perturb            HEX        table_perturb, 8 digits for each of its numbers
 *   perturb INDEX...   HEX        these numbers of it; both after draws only
 *   TASK fork NEW      PID        a task, 0 to 63, begins another
 *   TASK exit          0          and ends
 *   TASK NAME ARG...   RESULT BEGIN END [MEMORY...] [DRAW...]
 *   TASK repeat N NAME ARG... / NAME ARG... [/ ...]
 *                      RESULT NS RESULT NS...   makes these calls in turn, N times, and
 *                                 says what each took; as an ARG, $ is what the first one
 *                                 has returned. Counts as one call; shows no MEMORY
 *
 * NAME is a system call, each ARG a number or memory: =HEX holds these bytes, ?SIZE and
 * =HEX? are shown after the call, as MEMORY in hex ("-" for none). Among the bytes, P3;
 * stands for the two of the port that socket 3 has, 0 if it is none. RESULT is what the
 * kernel returns, a negative errno on an error; BEGIN and END are CLOCK_MONOTONIC in ns.
 * DRAW is KIND@CALLER=VALUE: a random number that the port allocator drew, by the function
 * that drew it; KIND is u8, u16, u32, below (VALUE/CEIL), or off4 and off6 for the u64 of
 * secure_ipv4_port_ephemeral and secure_ipv6_port_ephemeral.
 * What cannot be done is answered by "! REASON".
 *
 * Packets over lo are received by a softirq, on a busy machine some milliseconds after the
 * call that sent them has returned. So that nothing hangs on that, everything runs on one
 * CPU, and a call that may send is answered once datagrams sent after it have come through
 * that CPU's queue.
 */
#define _GNU_SOURCE
#include <ctype.h>
#include <elf.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/futex.h>
#include <net/if.h>
#include <netinet/in.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
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
#define REPEATED 4 /* calls in a round of repeat, at most */
#define FIRST_FREE 1000 /* above the descriptors that the agent itself has */

static const struct {
	const char *name;
	long number;
} calls[] = {
#define CALL(name) { #name, SYS_##name }
	CALL(socket), CALL(bind), CALL(listen), CALL(accept4), CALL(connect), CALL(getsockname),
	CALL(getpeername), CALL(setsockopt), CALL(getsockopt), CALL(shutdown), CALL(sendto),
	CALL(recvfrom), CALL(read), CALL(write), CALL(close), CALL(dup), CALL(dup3), CALL(fcntl),
	CALL(openat), CALL(pread64), CALL(unshare), CALL(setuid), CALL(setresuid), CALL(setgid),
	CALL(mount), CALL(mkdirat), CALL(finit_module), CALL(ioctl), CALL(getpid),
	CALL(nanosleep),
#ifdef SYS_accept
	CALL(accept),
#endif
#ifdef SYS_dup2
	CALL(dup2),
#endif
};

/* What the agent and one task share. The task sleeps until `turn` is 1 and sets it to 0. */
struct slot {
	int turn;
	pid_t pid;
	int limit;
	char request[REQUEST];
	char answer[ANSWER];
};

static struct slot *slots;
static int input, output;
static int limit_ms = 1000;
static const char *users = "0";

/* Ends the agent, and the machine of which it is the first process. */
static void leave(int status)
{
	if (getpid() == 1)
		reboot(RB_AUTOBOOT); /* QEMU has -no-reboot */
	exit(status);
}

static void refuse(const char *what)
{
	fprintf(stderr, "port-agent: %s: %s\n", what, strerror(errno));
	leave(2);
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

/* Tasks: what runs in the processes whose calls are looked at. */

static void interrupted(int signal)
{
	(void)signal;
}

/* Ends with the agent. Changing the user undoes it, so it is said again. */
static void end_with_agent(void)
{
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	prctl(PR_SET_DUMPABLE, 1);
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

	/* Port and family lie where those of a struct sockaddr_in do. */
	if (getsockname(fd, (struct sockaddr *)&name, &length) < 0 ||
	    (name.sin6_family != AF_INET && name.sin6_family != AF_INET6))
		return 0;
	return ntohs(name.sin6_port);
}

/* Reads one argument; false for one that is no argument or does not fit. */
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
		char *end;

		errno = 0;
		*value = *word == '-' ? strtol(word, &end, 0) : (long)strtoul(word, &end, 0);
		return errno == 0 && end != word && *end == '\0';
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

/* Makes one call; what it returns, and when it began and ended. */
static long make_call(const struct slot *slot, long number, const long *args,
		      unsigned long long *begin, unsigned long long *end)
{
	struct itimerval timer = { .it_value = { slot->limit / 1000, slot->limit % 1000 * 1000 } };
	long result;

	timer.it_interval = timer.it_value; /* should it come before the call sleeps */
	if (slot->limit > 0)
		setitimer(ITIMER_REAL, &timer, NULL);
	*begin = now();
	result = syscall(number, args[0], args[1], args[2], args[3], args[4], args[5]);
	if (result < 0)
		result = -errno;
	*end = now();
	if (slot->limit > 0) {
		memset(&timer, 0, sizeof(timer));
		setitimer(ITIMER_REAL, &timer, NULL);
	}
	return result;
}

static void answer_repeat(struct slot *slot, char *rest)
{
	struct {
		long number;
		long args[ARGS];
		int first[ARGS]; /* arguments that are what the first call has returned */
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
	result = make_call(slot, number, args, &begin, &end);
	if (number == SYS_setuid || number == SYS_setresuid)
		end_with_agent();
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
			struct slot *other = &slots[atoi(rest)];
			/* A sibling, so that the agent can wait for it. */
			long pid = syscall(SYS_clone, CLONE_PARENT | SIGCHLD, 0, 0, 0, 0);

			if (pid == 0) {
				slot = other;
				end_with_agent();
				continue;
			}
			other->pid = pid;
			sprintf(slot->answer, "%ld", pid < 0 ? (long)-errno : pid);
		} else if (strcmp(name, "repeat") == 0 && rest != NULL) {
			answer_repeat(slot, rest);
		} else {
			answer_call(slot, name, rest);
		}
		pass_turn(slot, 0);
	}
}

/* The agent. */

static int drain_from = -1, drain_to = -1;

/* In a child: makes a pair of datagram sockets in a network of its own and passes them on. */
static void make_drain(int virtual, int channel)
{
	struct sockaddr_in name = { .sin_family = AF_INET, .sin_addr = { htonl(INADDR_LOOPBACK) } };
	char control[CMSG_SPACE(2 * sizeof(int))] = { 0 }, byte = '.';
	struct iovec data = { &byte, 1 };
	struct msghdr message = { .msg_iov = &data, .msg_iovlen = 1, .msg_control = control,
				  .msg_controllen = sizeof(control) };
	struct ifreq lo = { .ifr_name = "lo" };
	socklen_t length = sizeof(name);
	struct cmsghdr *header;
	int fds[2], warm;

	if (unshare(virtual ? CLONE_NEWNET : CLONE_NEWUSER | CLONE_NEWNET) < 0)
		refuse("no network namespace of its own");
	fds[0] = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	fds[1] = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	lo.ifr_flags = IFF_UP | IFF_RUNNING;
	if (ioctl(fds[0], SIOCSIFFLAGS, &lo) < 0 ||
	    bind(fds[1], (struct sockaddr *)&name, length) < 0 ||
	    getsockname(fds[1], (struct sockaddr *)&name, &length) < 0 ||
	    connect(fds[0], (struct sockaddr *)&name, length) < 0)
		refuse("datagrams over lo");
	/* The first connect() of a kernel's life fills table_perturb, so that it can be read. */
	warm = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (connect(warm, (struct sockaddr *)&name, length) == 0)
		refuse("a connection to nobody");
	header = CMSG_FIRSTHDR(&message);
	header->cmsg_level = SOL_SOCKET;
	header->cmsg_type = SCM_RIGHTS;
	header->cmsg_len = CMSG_LEN(sizeof(fds));
	memcpy(CMSG_DATA(header), fds, sizeof(fds));
	if (sendmsg(channel, &message, 0) != 1)
		refuse("sendmsg");
	_exit(0);
}

static void open_drain(int virtual)
{
	char control[CMSG_SPACE(2 * sizeof(int))], byte;
	struct iovec data = { &byte, 1 };
	struct msghdr message = { .msg_iov = &data, .msg_iovlen = 1, .msg_control = control,
				  .msg_controllen = sizeof(control) };
	struct cmsghdr *header;
	int channel[2], fds[2];
	pid_t pid;

	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, channel) < 0)
		refuse("socketpair");
	pid = fork();
	if (pid == 0) {
		close(channel[0]);
		make_drain(virtual, channel[1]);
	}
	close(channel[1]);
	if (recvmsg(channel[0], &message, MSG_CMSG_CLOEXEC) != 1)
		leave(2); /* it said why */
	header = CMSG_FIRSTHDR(&message);
	if (header == NULL || header->cmsg_len != CMSG_LEN(sizeof(fds)))
		leave(2);
	memcpy(fds, CMSG_DATA(header), sizeof(fds));
	drain_to = fds[0];
	drain_from = fds[1];
	waitpid(pid, NULL, 0);
	close(channel[0]);
}

/* How often a packet calls for another one, at most: SYN, SYN ACK, ACK, FIN and its ACKs. */
#define ROUNDS 4

static void drain(void)
{
	char byte = '.';

	for (int i = 0; i < ROUNDS; i++)
		if (send(drain_to, &byte, 1, 0) != 1 || recv(drain_from, &byte, 1, 0) != 1)
			refuse("datagrams over lo");
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

/* On the CPU where it is, which may be another one than before. */
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

static void write_file(const char *path, const char *text)
{
	int fd = open(path, O_WRONLY | O_CLOEXEC);

	if (fd < 0 || write(fd, text, strlen(text)) < 0)
		refuse(path);
	close(fd);
}

static void namespace_of(const char *path, struct stat *stat_of)
{
	if (stat(path, stat_of) < 0)
		refuse(path);
}

/* In the process that becomes task 0: leaves every namespace in which a packet could get out. */
static void enter_namespaces(int virtual, int ready[2], int go[2])
{
	struct stat before, after;
	struct sigaction action = { .sa_handler = interrupted };
	char byte = '.';

	end_with_agent();
	namespace_of("/proc/self/ns/net", &before);
	if (unshare(virtual ? CLONE_NEWNET : CLONE_NEWUSER | CLONE_NEWNET) < 0)
		refuse("no network namespace of its own");
	namespace_of("/proc/self/ns/net", &after);
	if (before.st_ino == after.st_ino && before.st_dev == after.st_dev) {
		errno = EPERM;
		refuse("still in the network namespace of the machine");
	}
	if (write(ready[1], &byte, 1) != 1 || read(go[0], &byte, 1) != 1)
		_exit(2);
	sigaction(SIGALRM, &action, NULL);
	signal(SIGPIPE, SIG_IGN);
	if (!virtual && setresuid(0, 0, 0) < 0)
		refuse("setresuid");
	end_with_agent();
	for (int fd = 3; fd < FIRST_FREE; fd++)
		close(fd);
	for (int fd = 0; fd < 3; fd++) {
		close(fd);
		if (open("/dev/null", O_RDWR) < 0)
			_exit(2);
	}
}

/* All users if the agent is privileged, its own as root if not. */
static void map_users(pid_t pid)
{
	char path[64], line[64];
	uid_t uid = geteuid();
	gid_t gid = getegid();
	int fd;

	snprintf(path, sizeof(path), "/proc/%d/uid_map", pid);
	fd = open(path, O_WRONLY | O_CLOEXEC);
	if (fd >= 0 && uid == 0 && write(fd, "0 0 65535", 9) == 9) {
		users = "0-65534";
	} else {
		snprintf(line, sizeof(line), "0 %u 1", uid);
		write_file(path, line);
	}
	close(fd);
	snprintf(path, sizeof(path), "/proc/%d/setgroups", pid);
	fd = open(path, O_WRONLY | O_CLOEXEC);
	if (fd >= 0 && write(fd, "deny", 4) < 0)
		errno = 0; /* some kernels have none */
	close(fd);
	snprintf(path, sizeof(path), "/proc/%d/gid_map", pid);
	snprintf(line, sizeof(line), "0 %u 1", gid);
	write_file(path, line);
}

static void end_task(struct slot *slot)
{
	if (slot->pid <= 0)
		return;
	kill(slot->pid, SIGKILL);
	while (waitpid(slot->pid, NULL, __WALL) < 0 && errno == EINTR)
		continue;
	slot->pid = 0;
	slot->turn = 0;
}

static int begin(int virtual)
{
	int ready[2], go[2], status;
	char byte;
	pid_t pid;

	for (int task = 0; task < TASKS; task++)
		end_task(&slots[task]);
	stay();
	if (pipe2(ready, O_CLOEXEC) < 0 || pipe2(go, O_CLOEXEC) < 0)
		refuse("pipe");
	pid = fork();
	if (pid < 0)
		refuse("fork");
	if (pid == 0) {
		enter_namespaces(virtual, ready, go);
		serve(&slots[0]);
	}
	close(ready[1]);
	if (read(ready[0], &byte, 1) != 1) {
		waitpid(pid, &status, 0);
		leave(2); /* it said why */
	}
	if (!virtual)
		map_users(pid);
	if (write(go[1], &byte, 1) != 1)
		refuse("pipe");
	close(ready[0]);
	close(go[0]);
	close(go[1]);
	slots[0].pid = pid;
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

/* Where memory of the kernel lies in /proc/kcore; -1 if nowhere. */
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

static uint64_t symbol(const char *wanted)
{
	FILE *file = fopen("/proc/kallsyms", "re");
	unsigned long long address, found = 0;
	char line[512], name[256], type;

	while (file != NULL && found == 0 && fgets(line, sizeof(line), file) != NULL)
		if (sscanf(line, "%llx %c %255s", &address, &type, name) == 3 &&
		    strcmp(name, wanted) == 0)
			found = address;
	if (file != NULL)
		fclose(file);
	return found;
}

/* What could not be done, NULL if nothing. */
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
	uint64_t table = symbol("table_perturb"); /* a pointer */

	if (trace_pipe >= 0)
		return NULL;
	kcore = open("/proc/kcore", O_RDONLY | O_CLOEXEC);
	if (table == 0 || pread(kcore, &table, sizeof(table), kcore_offset(table)) != sizeof(table))
		return "cannot read table_perturb";
	perturb_at = kcore_offset(table);
	if (perturb_at < 0)
		return "cannot read table_perturb";
	for (size_t i = 0; i < sizeof(probes) / sizeof(probes[0]); i++)
		if (!write_event(TRACING "kprobe_events", probes[i], O_APPEND))
			return "cannot set kprobes";
	if (!write_event(TRACING "events/kprobes/enable", "1", 0))
		return "cannot enable kprobes";
	trace_pipe = open(TRACING "trace_pipe", O_RDONLY | O_NONBLOCK | O_CLOEXEC);
	return trace_pipe < 0 ? "cannot open trace_pipe" : NULL;
}

/* The functions that search ports draw, and what compilers may put in their place. */
static int searches_ports(const char *caller)
{
	return strstr(caller, "get_port") != NULL || strstr(caller, "hash_connect") != NULL ||
	       strstr(caller, "open_port") != NULL || strstr(caller, "scan_step") != NULL;
}

/*
 * The bounds of draws that have begun, by who makes them: what interrupts one, or another
 * process that runs meanwhile, may draw as well.
 */
static struct drawer {
	long pid;
	int depth;
	unsigned long ceil[8];
} drawers[64];

/* Of the process that a line of the trace, "COMMAND-PID [CPU] ...", is about. */
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

/* One line of the trace; to `to` what it says of a draw. Returns its length. */
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
	if (!searches_ports(caller))
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

		/* A virtual port that nobody reads any more would never be writable. */
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

/* Waits for a task's answer, which does not come if the task has ended. */
static void await_task(struct slot *slot)
{
	const struct timespec second = { 1, 0 };
	int task = slot - slots;

	pass_turn(slot, 1);
	while (__atomic_load_n(&slot->turn, __ATOMIC_SEQ_CST) == 1) {
		futex(&slot->turn, FUTEX_WAIT, 1, &second);
		if (__atomic_load_n(&slot->turn, __ATOMIC_SEQ_CST) == 1 &&
		    waitpid(slot->pid, NULL, WNOHANG | __WALL) != 0) {
			slot->pid = 0;
			slot->turn = 0;
			answerf("! task %d has ended", task);
			return;
		}
	}
	if (trace_pipe >= 0)
		add_draws(slot->answer, ANSWER);
	answer(slot->answer);
}

/* Numbers of table_perturb, all or those of the given indices. */
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

static void to_task(char *word, char *rest)
{
	char *end;
	long task = strtol(word, &end, 10), other;
	struct slot *slot = &slots[task >= 0 && task < TASKS ? task : 0];
	int sends;

	if (*end != '\0' || task < 0 || task >= TASKS || rest == NULL) {
		answerf("! request %.40s", word);
		return;
	}
	if (slot->pid <= 0) {
		answerf("! no task %ld", task);
		return;
	}
	if (strlen(rest) >= REQUEST) {
		answer("! a request that is too long");
		return;
	}
	if (strcmp(rest, "exit") == 0) {
		strcpy(slot->request, rest);
		pass_turn(slot, 1);
		while (waitpid(slot->pid, NULL, __WALL) < 0 && errno == EINTR)
			continue;
		slot->pid = 0;
		slot->turn = 0;
		drain();
		answer("0");
		return;
	}
	if (strncmp(rest, "fork ", 5) == 0) {
		other = strtol(rest + 5, NULL, 10);
		if (other < 0 || other >= TASKS || slots[other].pid > 0) {
			answerf("! task %ld exists, or cannot", other);
			return;
		}
		slots[other].turn = 0;
	} else {
		slot->limit = limit_ms;
	}
	sends = may_send(rest);
	strcpy(slot->request, rest);
	await_task(slot);
	if (sends)
		drain();
}

/* Debian's 6.1.0-56 is 6.1.192, say, which it names in its version alone. */
static const char *release_of(struct utsname *system)
{
	char *version = strstr(system->version, " Debian ");

	if (version == NULL || !isdigit((unsigned char)version[strlen(" Debian ")]))
		return system->release;
	version += strlen(" Debian ");
	version[strcspn(version, "-~ ")] = '\0';
	return version;
}

static void request(char *line, int virtual)
{
	char *rest = line, *word = strsep(&rest, " ");
	struct utsname system;

	if (strcmp(word, "hello") == 0) {
		uname(&system);
		answerf("port-agent 1 %s %s", release_of(&system), users);
	} else if (strcmp(word, "reset") == 0) {
		flush();
		answerf("%d", begin(virtual));
	} else if (strcmp(word, "limit") == 0 && rest != NULL) {
		limit_ms = atoi(rest);
		answer("0");
	} else if (strcmp(word, "draws") == 0) {
		const char *fault = virtual ? begin_draws() : "this is no virtual machine";

		answerf(fault == NULL ? "0" : "! %s", fault);
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
		/* dummy makes a device of its own else. */
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

/* A device may take a while to be there. */
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

/* As the first process of a virtual machine: its file systems, and the device to speak on. */
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
	/* A console, should there be none: 0 to 2 are taken, and errors can be seen. */
	while (open("/dev/console", O_RDWR) == 0)
		continue;
	load_modules();
	fd = open_device(device);
	if (tcgetattr(fd, &raw) == 0) {
		cfmakeraw(&raw);
		tcsetattr(fd, TCSANOW, &raw);
	}
	input = output = fd;
	users = "0-65534";
}

int main(void)
{
	static char in[1 << 20];
	size_t used = 0;
	int virtual = getpid() == 1;
	struct rlimit files;

	if (getrlimit(RLIMIT_NOFILE, &files) == 0) {
		files.rlim_cur = files.rlim_max;
		setrlimit(RLIMIT_NOFILE, &files);
	}
	signal(SIGPIPE, SIG_IGN);
	if (virtual) {
		become_init();
	} else {
		input = fcntl(STDIN_FILENO, F_DUPFD_CLOEXEC, 3);
		output = fcntl(STDOUT_FILENO, F_DUPFD_CLOEXEC, 3);
	}
	slots = mmap(NULL, TASKS * sizeof(*slots), PROT_READ | PROT_WRITE,
		     MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (slots == MAP_FAILED)
		refuse("mmap");
	open_drain(virtual);
	begin(virtual);
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
			request(line, virtual);
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
		end_task(&slots[task]);
	leave(0);
}
