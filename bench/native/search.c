// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The model's three searches in C, over the model's own tables. bench/native.ts writes the tables
 * to a file, compiles this program, runs it, and compares the ports that both choose.
 *
 * The functions follow bindScan, connectScan and udpScan of net/ipv4 line by line, and the functions
 * that take the port. bind() is the whole system call, from the descriptor on: here it can be short, so
 * its other work counts. connect() is the search and what takes the port, without the route and the SYN.
 * They serve AF_INET sockets without a device in one namespace, in the profile 6.3. The set-up of the
 * benchmark needs no more.
 *
 * usage: search TABLES bind|connect|udp fill|exhausted ROUNDS walk|remember
 *
 * walk: every search looks at each port in the tables, as the kernel does. remember: it passes over the
 * ports that an earlier search refused, as the model does (include/net/refused_ports.ts).
 *
 * It prints the chosen ports on one line (0 if there is none), on the next line the time of each round,
 * in ns, and then the lowest times of the first TOGETHER calls, the next ones, and so on.
 */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

typedef uint8_t u8;
typedef int8_t s8;
typedef uint16_t u16;
typedef uint32_t u32;
typedef int32_t s32;

#define AF_INET 2
#define TCP_TIME_WAIT 6
#define TCP_SYN_SENT 2
#define TCP_CLOSE 7
#define RTN_LOCAL 2
#define SOCK_BINDADDR_LOCK 4

/* Calls that are timed together. */
#define TOGETHER 50

/* A column in the file: this header, then `count` elements of `width` bytes, padded to 8 bytes. */
struct column {
	char name[40];
	u32 width;
	u32 count;
};

static char *tables, *pristine;
static size_t size;

static void die(const char *what, const char *which)
{
	fprintf(stderr, "search: %s %s\n", what, which);
	exit(1);
}

static void *column(const char *name, u32 width)
{
	for (size_t at = 0; at < size;) {
		struct column *c = (struct column *)(tables + at);

		if (!strcmp(c->name, name)) {
			if (c->width != width)
				die("another width than expected:", name);
			return c + 1;
		}
		at += sizeof(*c) + ((size_t)c->width * c->count + 7) / 8 * 8;
	}
	die("no column", name);
	return NULL;
}

static u32 scalar(const char *name)
{
	return *(u32 *)column(name, 4);
}

/* struct sock */
static u16 *skc_num, *skc_dport, *skc_net, *inet_sport, *local_port_range_lo, *local_port_range_hi;
static u8 *skc_family, *skc_state, *skc_ipv6only, *sk_userlocks;
static s32 *skc_bound_dev_if;
static u32 *skc_rcv_saddr, *skc_daddr, *skc_hash, *inet_saddr;
static s32 *node_next, *node_pprev, *bind_node_next, *bind_node_pprev;
static s32 *bind2_node_next, *bind2_node_pprev, *icsk_bind_hash, *icsk_bind2_hash;
/* struct inet_bind_bucket */
static u16 *tb_net, *tb_port;
static s32 *tb_l3mdev, *tb_next, *tb_pprev, *tb_owners;
static s8 *tb_fastreuse, *tb_fastreuseport;
/* struct inet_bind2_bucket */
static u16 *tb2_net, *tb2_port;
static u8 *tb2_family;
static u32 *tb2_rcv_saddr;
static s32 *tb2_l3mdev, *tb2_next, *tb2_pprev, *tb2_owners, *tb2_deathrow;
/* hash tables */
static s32 *bhash, *bhash2, *ehash, *udp_hash, *udp_hash2;
static u32 *udp_count, *udp_count2;
static u32 bhash_mask, ehash_mask, udp_mask, udp_log;
/* descriptors, files and sockets */
static s32 *descriptors, *file_socket, *socket_sk;
/* Routes: how many, then the address, the prefix length and the type of each. */
static u32 *routes;
/* the namespace, the range and the draws */
static u32 *reserved;
static u32 hash_mix, id, low, high, ehash_initval;
static u32 *fds, *draws;
static u32 host, peer, peer_port;
/* handles that were never allocated */
static s32 tb_limit, tb2_limit;

static u32 swab32(u32 x) { return __builtin_bswap32(x); }
static u32 swab16(u32 x) { return __builtin_bswap16(x); }
static u32 rol32(u32 x, int n) { return x << n | x >> (32 - n); }

static u32 jhash_final(u32 a, u32 b, u32 c)
{
	c ^= b; c -= rol32(b, 14);
	a ^= c; a -= rol32(c, 11);
	b ^= a; b -= rol32(a, 25);
	c ^= b; c -= rol32(b, 16);
	a ^= c; a -= rol32(c, 4);
	b ^= a; b -= rol32(a, 14);
	c ^= b; c -= rol32(b, 24);
	return c;
}

static u32 jhash_3words(u32 a, u32 b, u32 c, u32 initval)
{
	u32 seed = initval + 0xdeadbeef + (3 << 2);

	return jhash_final(a + seed, b + seed, c + seed);
}

static u32 jhash_1word(u32 a, u32 initval)
{
	u32 seed = initval + 0xdeadbeef + (1 << 2);

	return jhash_final(a + seed, seed, seed);
}

static u32 portaddr_hash(u32 saddr, u32 port)
{
	return jhash_1word(swab32(saddr), hash_mix) ^ port;
}

static void add_head(s32 *first, s32 *next, s32 *pprev, s32 slot, s32 node)
{
	s32 head = first[slot];

	next[node] = head;
	pprev[node] = ~slot;
	if (head != 0)
		pprev[head] = node;
	first[slot] = node;
}

/*
 * include/net/refused_ports.ts. The benchmark searches for one address and one destination: there is
 * one key.
 */
static u32 refused[65536];
static int remembers;

static int is_refused(u32 port)
{
	return refused[port] == (1 << 16 | port);
}

static void remember(u32 port)
{
	if (remembers)
		refused[port] = 1 << 16 | port;
}

static int is_reserved(u32 port)
{
	return reserved[port >> 5] >> (port & 31) & 1;
}

static s32 create_tb(u32 port)
{
	s32 tb = tb_limit++;

	tb_net[tb] = id;
	tb_port[tb] = port;
	add_head(bhash, tb_next, tb_pprev, (port + hash_mix) & bhash_mask, tb);
	return tb;
}

static s32 find_tb(u32 port)
{
	s32 tb = bhash[(port + hash_mix) & bhash_mask];

	for (; tb != 0; tb = tb_next[tb])
		if (tb_net[tb] == id && tb_port[tb] == port && tb_l3mdev[tb] == 0)
			break;
	return tb;
}

static s32 find_or_create_tb2(u32 port, u32 saddr)
{
	s32 slot = portaddr_hash(saddr, port) & bhash_mask;
	s32 tb2 = bhash2[slot];

	for (; tb2 != 0; tb2 = tb2_next[tb2])
		if (tb2_net[tb2] == id && tb2_port[tb2] == port && tb2_l3mdev[tb2] == 0 &&
		    tb2_family[tb2] == AF_INET && tb2_rcv_saddr[tb2] == saddr)
			return tb2;
	tb2 = tb2_limit++;
	tb2_net[tb2] = id;
	tb2_port[tb2] = port;
	tb2_family[tb2] = AF_INET;
	tb2_rcv_saddr[tb2] = saddr;
	add_head(bhash2, tb2_next, tb2_pprev, slot, tb2);
	return tb2;
}

static void bind_hash(s32 sk, s32 tb, s32 tb2, u32 port)
{
	skc_num[sk] = port;
	add_head(tb_owners, bind_node_next, bind_node_pprev, tb, sk);
	icsk_bind_hash[sk] = tb;
	add_head(tb2_owners, bind2_node_next, bind2_node_pprev, tb2, sk);
	icsk_bind2_hash[sk] = tb2;
}

/* connectScan for an AF_INET socket without a device; step 2. */
static s32 connect_scan(s32 sk, s32 port, s32 end, s32 remaining, u32 *found)
{
	u32 daddr = skc_rcv_saddr[sk], saddr = skc_daddr[sk], dport = skc_dport[sk];
	s32 i;

	for (i = 0; i < remaining; i += 2, port += 2) {
		s32 tb, sk2;
		u32 hash;

		if (port >= end)
			port -= remaining;
		if (remembers && is_refused(port))
			continue;
		/* Usually the first owner of the bucket has the four-tuple. */
		tb = bhash[(port + hash_mix) & bhash_mask];
		sk2 = tb_owners[tb];
		if (tb_port[tb] == port && tb_l3mdev[tb] == 0 && tb_net[tb] == id && skc_daddr[sk2] == saddr && skc_rcv_saddr[sk2] == daddr && skc_dport[sk2] == dport &&
		    skc_state[sk2] < TCP_TIME_WAIT && skc_family[sk2] == AF_INET &&
		    skc_bound_dev_if[sk2] == 0) {
			remember(port);
			continue;
		}
		if (is_reserved(port))
			continue;
		for (; tb != 0; tb = tb_next[tb])
			if (tb_port[tb] == port && tb_net[tb] == id && tb_l3mdev[tb] == 0)
				break;
		if (tb == 0)
			break;
		if (tb_fastreuse[tb] >= 0 || tb_fastreuseport[tb] >= 0)
			continue;
		hash = jhash_3words(swab32(daddr), swab32(saddr), (u32)port << 16 | swab16(dport),
				    ehash_initval);
		for (sk2 = ehash[hash & ehash_mask]; sk2 != 0; sk2 = node_next[sk2])
			if (skc_hash[sk2] == hash && skc_daddr[sk2] == saddr &&
			    skc_rcv_saddr[sk2] == daddr && skc_dport[sk2] == dport &&
			    skc_num[sk2] == port && skc_net[sk2] == id && skc_bound_dev_if[sk2] == 0)
				break;
		if (sk2 == 0)
			break;
		/* The benchmark has no time-wait sockets. */
		remember(port);
	}
	*found = i < remaining ? port : 0;
	return i;
}

/* The sock of a descriptor. */
static s32 sock_of(u32 fd)
{
	return socket_sk[file_socket[descriptors[fd]]];
}

/* inet_sk_get_local_port_range. The last one is excluded. */
static void port_range(s32 sk, s32 *from, s32 *to)
{
	s32 lo = low, hi = high;

	if (lo <= local_port_range_lo[sk] && local_port_range_lo[sk] <= hi)
		lo = local_port_range_lo[sk];
	if (lo <= local_port_range_hi[sk] && local_port_range_hi[sk] <= hi)
		hi = local_port_range_hi[sk];
	*from = lo;
	*to = hi + 1;
}

/* tcp_v4_connect's addresses, __inet_hash_connect and __inet_check_established. */
static u32 do_connect(u32 fd, u32 offset)
{
	s32 sk = sock_of(fd);
	s32 from, end, remaining, tb;
	u32 port, hash;

	port_range(sk, &from, &end);
	remaining = (end - from) & ~1;
	skc_rcv_saddr[sk] = host;
	skc_daddr[sk] = peer;
	skc_dport[sk] = peer_port;
	offset &= ~1u;
	if (connect_scan(sk, from + offset, end, remaining, &port) >= remaining &&
	    connect_scan(sk, from + offset + 1, end, remaining, &port) >= remaining)
		return 0;
	tb = find_tb(port);
	if (tb == 0) {
		tb = create_tb(port);
		tb_fastreuse[tb] = -1;
		tb_fastreuseport[tb] = -1;
	}
	bind_hash(sk, tb, find_or_create_tb2(port, host), port);
	hash = jhash_3words(swab32(host), swab32(peer), port << 16 | swab16(peer_port), ehash_initval);
	skc_hash[sk] = hash;
	skc_state[sk] = TCP_SYN_SENT;
	add_head(ehash, node_next, node_pprev, hash & ehash_mask, sk);
	return port;
}

/* inet_bhash2_conflict for a search: a port that bind() chooses is never shared by reuseport. */
static s32 bhash2_conflict(s32 sk, s32 sk2, s32 tw2)
{
	for (; sk2 != 0; sk2 = bind2_node_next[sk2])
		if (!skc_ipv6only[sk2] && sk2 != sk)
			return sk2;
	for (; tw2 != 0; tw2 = bind2_node_next[tw2])
		if (!skc_ipv6only[tw2])
			return tw2;
	return 0;
}

/* bindScan for an AF_INET socket with one address, no device, and no SO_REUSEADDR. */
static s32 bind_scan(s32 sk, s32 port, s32 end, s32 remaining, u32 *found)
{
	u32 saddr = skc_rcv_saddr[sk];
	u32 any_slot = portaddr_hash(0, 0), saddr_slot = portaddr_hash(saddr, 0);
	s32 i;

	for (i = 0; i < remaining; i += 2, port += 2) {
		s32 tb, tb2, sk2 = 0;

		if (port >= end)
			port -= remaining;
		if (remembers && is_refused(port))
			continue;
		/* Usually the first owner on this address conflicts. */
		tb = bhash[(port + hash_mix) & bhash_mask];
		tb2 = bhash2[(saddr_slot ^ port) & bhash_mask];
		if (tb_port[tb] == port && tb_l3mdev[tb] == 0 && tb_net[tb] == id &&
		    tb2_port[tb2] == port && tb2_rcv_saddr[tb2] == saddr && tb2_family[tb2] == AF_INET &&
		    tb2_l3mdev[tb2] == 0 && tb2_net[tb2] == id && tb2_owners[tb2] != 0 &&
		    !skc_ipv6only[tb2_owners[tb2]]) {
			remember(port);
			continue;
		}
		if (is_reserved(port))
			continue;
		for (tb2 = bhash2[(any_slot ^ port) & bhash_mask]; tb2 != 0; tb2 = tb2_next[tb2]) {
			if (tb2_port[tb2] != port || tb2_net[tb2] != id || tb2_l3mdev[tb2] != 0 ||
			    tb2_family[tb2] != AF_INET || tb2_rcv_saddr[tb2] != 0)
				continue;
			sk2 = bhash2_conflict(sk, tb2_owners[tb2], tb2_deathrow[tb2]);
			break;
		}
		if (sk2 != 0)
			continue;
		for (tb = bhash[(port + hash_mix) & bhash_mask]; tb != 0; tb = tb_next[tb])
			if (tb_port[tb] == port && tb_net[tb] == id && tb_l3mdev[tb] == 0)
				break;
		if (tb == 0)
			break;
		for (tb2 = bhash2[(saddr_slot ^ port) & bhash_mask]; tb2 != 0; tb2 = tb2_next[tb2])
			if (tb2_port[tb2] == port && tb2_net[tb2] == id && tb2_l3mdev[tb2] == 0 &&
			    tb2_family[tb2] == AF_INET && tb2_rcv_saddr[tb2] == saddr)
				break;
		if (tb2 != 0)
			sk2 = bhash2_conflict(sk, tb2_owners[tb2], tb2_deathrow[tb2]);
		if (sk2 == 0)
			break;
		remember(port);
	}
	*found = i < remaining ? port : 0;
	return i;
}

/* inet_csk_find_open_port and inet_csk_get_port. */
static u32 tcp_get_port(s32 sk, u32 offset)
{
	s32 from, end, remaining, tb;
	u32 port;

	port_range(sk, &from, &end);
	remaining = (end - from) & ~1;
	offset |= 1;
	if (bind_scan(sk, from + offset, end, remaining, &port) >= remaining &&
	    bind_scan(sk, from + offset - 1, end, remaining, &port) >= remaining)
		return 0;
	tb = find_tb(port);
	if (tb == 0)
		tb = create_tb(port);
	tb_fastreuse[tb] = 0;
	tb_fastreuseport[tb] = 0;
	bind_hash(sk, tb, find_or_create_tb2(port, host), port);
	return port;
}

static int chain_is_refused(u32 first)
{
	for (u32 port = low + ((first - low) & udp_mask); port <= high; port += udp_mask + 1)
		if (!is_refused(port))
			return 0;
	return 1;
}

/* udpScan for an AF_INET socket without a device and options. */
static s32 udp_scan(s32 sk, u32 first, u32 last)
{
	u32 saddr = skc_rcv_saddr[sk];

	for (; first != last; first = (first + 1) & 0xffff) {
		u32 bits = 0;
		s32 sk2;

		if (remembers && chain_is_refused(first))
			continue;
		for (sk2 = udp_hash[(first + hash_mix) & udp_mask]; sk2 != 0; sk2 = node_next[sk2]) {
			u32 saddr2 = skc_rcv_saddr[sk2];

			if (skc_net[sk2] != id || sk2 == sk || skc_ipv6only[sk2])
				continue;
			if (saddr2 != saddr && saddr2 != 0 && saddr != 0)
				continue;
			bits |= 1u << ((skc_hash[sk2] & 0xffff) >> udp_log);
			remember(skc_hash[sk2] & 0xffff);
		}
		for (u32 port = low + ((first - low) & udp_mask); port <= high; port += udp_mask + 1)
			if (!(bits >> (port >> udp_log) & 1) && !is_reserved(port))
				return first;
	}
	return -1;
}

/* udp_lib_get_port. The table has so many slots that a chain has at most 32 ports. */
static u32 udp_get_port(s32 sk, u32 rand)
{
	s32 from, end, found, sk2;
	u32 first, last, port, bits = 0, hash2;

	port_range(sk, &from, &end);
	first = ((uint64_t)rand * (end - from) >> 32) + from;
	last = (first + udp_mask + 1) & 0xffff;
	rand = (rand | 1) * (udp_mask + 1);
	found = udp_scan(sk, first, last);
	if (found < 0)
		return 0;
	for (sk2 = udp_hash[(found + hash_mix) & udp_mask]; sk2 != 0; sk2 = node_next[sk2])
		if (skc_net[sk2] == id && sk2 != sk && !skc_ipv6only[sk2] &&
		    (skc_rcv_saddr[sk2] == host || skc_rcv_saddr[sk2] == 0 || host == 0))
			bits |= 1u << ((skc_hash[sk2] & 0xffff) >> udp_log);
	port = found;
	while (port < low || port > high || bits >> (port >> udp_log) & 1 || is_reserved(port))
		port = (port + rand) & 0xffff;
	remember(port);
	hash2 = portaddr_hash(host, port);
	skc_num[sk] = port;
	skc_hash[sk] = hash2 << 16 | port;
	add_head(udp_hash, node_next, node_pprev, (port + hash_mix) & udp_mask, sk);
	udp_count[(port + hash_mix) & udp_mask]++;
	hash2 = (hash2 & 0xffff) & udp_mask;
	add_head(udp_hash2, bind_node_next, bind_node_pprev, hash2, sk);
	udp_count2[hash2]++;
	return port;
}

/* inet_addr_type_table, fib_table_lookup: the type of the longest prefix. */
static u32 addr_type(u32 addr)
{
	s32 best = -1;
	u32 type = 0;

	for (u32 n = 0; n < routes[0]; n++) {
		u32 *route = routes + 1 + 3 * n;
		u32 mask = route[1] == 0 ? 0 : ~0u << (32 - route[1]);

		if (((route[0] ^ addr) & mask) == 0 && (s32)route[1] > best) {
			best = route[1];
			type = route[2];
		}
	}
	return type;
}

/* __inet_bind */
static u32 inet_bind(u32 fd, u32 draw, u32 (*get_port)(s32 sk, u32 draw))
{
	s32 sk = sock_of(fd);
	u32 port;

	if (addr_type(host) != RTN_LOCAL || skc_state[sk] != TCP_CLOSE || skc_num[sk] != 0)
		return 0;
	skc_rcv_saddr[sk] = host;
	inet_saddr[sk] = host;
	port = get_port(sk, draw);
	if (port == 0) {
		skc_rcv_saddr[sk] = 0;
		inet_saddr[sk] = 0;
		return 0;
	}
	sk_userlocks[sk] |= SOCK_BINDADDR_LOCK;
	inet_sport[sk] = port;
	skc_daddr[sk] = 0;
	skc_dport[sk] = 0;
	return port;
}

static u32 do_bind(u32 fd, u32 draw)
{
	return inet_bind(fd, draw, tcp_get_port);
}

static u32 do_udp(u32 fd, u32 draw)
{
	return inet_bind(fd, draw, udp_get_port);
}

static void read_tables(const char *file)
{
	FILE *f = fopen(file, "rb");
	size_t got;

	if (f == NULL || fseek(f, 0, SEEK_END) != 0)
		die("cannot read", file);
	size = ftell(f);
	rewind(f);
	tables = aligned_alloc(64, (size + 63) / 64 * 64);
	pristine = malloc(size);
	got = fread(tables, 1, size, f);
	if (got != size)
		die("cannot read", file);
	fclose(f);
	memcpy(pristine, tables, size);

	skc_num = column("sk.skc_num", 2);
	skc_dport = column("sk.skc_dport", 2);
	skc_net = column("sk.skc_net", 2);
	skc_family = column("sk.skc_family", 1);
	skc_state = column("sk.skc_state", 1);
	skc_ipv6only = column("sk.skc_ipv6only", 1);
	skc_bound_dev_if = column("sk.skc_bound_dev_if", 4);
	skc_rcv_saddr = column("sk.skc_rcv_saddr", 4);
	skc_daddr = column("sk.skc_daddr", 4);
	skc_hash = column("sk.skc_hash", 4);
	inet_sport = column("sk.inet_sport", 2);
	inet_saddr = column("sk.inet_saddr", 4);
	sk_userlocks = column("sk.sk_userlocks", 1);
	local_port_range_lo = column("sk.local_port_range_lo", 2);
	local_port_range_hi = column("sk.local_port_range_hi", 2);
	descriptors = column("descriptors", 4);
	file_socket = column("file.socket", 4);
	socket_sk = column("socket.sk", 4);
	routes = column("routes", 4);
	node_next = column("sk.node_next", 4);
	node_pprev = column("sk.node_pprev", 4);
	bind_node_next = column("sk.bind_node_next", 4);
	bind_node_pprev = column("sk.bind_node_pprev", 4);
	bind2_node_next = column("sk.bind2_node_next", 4);
	bind2_node_pprev = column("sk.bind2_node_pprev", 4);
	icsk_bind_hash = column("sk.icsk_bind_hash", 4);
	icsk_bind2_hash = column("sk.icsk_bind2_hash", 4);
	tb_net = column("tb.ib_net", 2);
	tb_port = column("tb.port", 2);
	tb_l3mdev = column("tb.l3mdev", 4);
	tb_fastreuse = column("tb.fastreuse", 1);
	tb_fastreuseport = column("tb.fastreuseport", 1);
	tb_next = column("tb.node_next", 4);
	tb_pprev = column("tb.node_pprev", 4);
	tb_owners = column("tb.owners", 4);
	tb2_net = column("tb2.ib_net", 2);
	tb2_port = column("tb2.port", 2);
	tb2_l3mdev = column("tb2.l3mdev", 4);
	tb2_family = column("tb2.family", 1);
	tb2_rcv_saddr = column("tb2.rcv_saddr", 4);
	tb2_next = column("tb2.node_next", 4);
	tb2_pprev = column("tb2.node_pprev", 4);
	tb2_owners = column("tb2.owners", 4);
	tb2_deathrow = column("tb2.deathrow", 4);
	bhash = column("bhash", 4);
	bhash2 = column("bhash2", 4);
	ehash = column("ehash", 4);
	udp_hash = column("udp.hash", 4);
	udp_hash2 = column("udp.hash2", 4);
	udp_count = column("udp.count", 4);
	udp_count2 = column("udp.count2", 4);
	bhash_mask = scalar("bhash_mask");
	ehash_mask = scalar("ehash_mask");
	udp_mask = scalar("udp.mask");
	udp_log = scalar("udp.log");
	reserved = column("reserved", 4);
	hash_mix = scalar("hash_mix");
	id = scalar("net");
	low = scalar("low");
	high = scalar("high");
	ehash_initval = scalar("ehash_initval");
	host = scalar("host");
	peer = scalar("peer");
	peer_port = scalar("peer_port");
	fds = column("fds", 4);
	draws = column("draws", 4);
}

static void restore(void)
{
	memcpy(tables, pristine, size);
	memset(refused, 0, sizeof(refused));
	tb_limit = scalar("tb.limit");
	tb2_limit = scalar("tb2.limit");
}

static uint64_t now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec * 1000000000ull + t.tv_nsec;
}

int main(int argc, char **argv)
{
	u32 (*call)(u32 fd, u32 draw);
	int rounds, fills, calls;
	u32 *ports;
	uint64_t *ns, *lowest;

	if (argc != 6)
		die("usage:", "TABLES bind|connect|udp fill|exhausted ROUNDS walk|remember");
	remembers = !strcmp(argv[5], "remember");
	read_tables(argv[1]);
	call = !strcmp(argv[2], "bind") ? do_bind : !strcmp(argv[2], "connect") ? do_connect : do_udp;
	fills = !strcmp(argv[3], "fill");
	rounds = atoi(argv[4]);
	calls = scalar("calls");
	ports = calloc(calls, sizeof(*ports));
	ns = calloc(rounds, sizeof(*ns));
	lowest = calloc(calls / TOGETHER + 1, sizeof(*lowest));
	for (int round = 0; round < rounds; round++) {
		uint64_t begin, last;

		restore();
		if (!fills)
			call(fds[0], draws[0]); /* restore() took the tables out of the caches */
		begin = last = now();
		for (int n = 0; n < calls; n++) {
			ports[n] = call(fds[n], draws[n]);
			if ((n + 1) % TOGETHER == 0 || n + 1 == calls) {
				uint64_t *low = &lowest[n / TOGETHER], t = now();

				if (round == 0 || t - last < *low)
					*low = t - last;
				last = t;
			}
		}
		ns[round] = last - begin;
	}
	for (int n = 0; n < calls; n++)
		printf("%u%c", ports[n], n + 1 < calls ? ' ' : '\n');
	for (int round = 0; round < rounds; round++)
		printf("%llu%c", (unsigned long long)ns[round], round + 1 < rounds ? ' ' : '\n');
	for (int n = 0; n < calls; n += TOGETHER)
		printf("%llu%c", (unsigned long long)lowest[n / TOGETHER],
		       n + TOGETHER < calls ? ' ' : '\n');
	return 0;
}
