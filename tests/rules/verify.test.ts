// SPDX-License-Identifier: GPL-2.0-or-later
/** verify() names the fault in each kind of table. */
import { beforeEach, describe, expect, it } from "vitest";
import { icsk_retransmit_timer } from "../../include/net/inet_connection_sock.js";
import {
	AF_INET,
	IPPROTO_DCCP,
	IPPROTO_MPTCP,
	IPPROTO_SCTP,
	IPPROTO_UDPLITE,
	Kernel,
	SO_REUSEADDR,
	SO_REUSEPORT,
	SOCK_DCCP,
	SOCK_DGRAM,
	SOCK_STREAM,
	SOL_SOCKET,
	type Task,
} from "../../kernel-model/index.js";

const PROTOCOLS = {
	tcp: [SOCK_STREAM, 0],
	mptcp: [SOCK_STREAM, IPPROTO_MPTCP],
	udp: [SOCK_DGRAM, 0],
	udplite: [SOCK_DGRAM, IPPROTO_UDPLITE],
	sctp: [SOCK_STREAM, IPPROTO_SCTP],
	dccp: [SOCK_DCCP, IPPROTO_DCCP],
} as const;

let k: Kernel;
let task: Task;
function boot(version: string): void {
	k = new Kernel({ version, tables: { ehash: 64, bhash: 64, lhash2: 16, udp: 256 } });
	task = k.createTask({ net: k.createNet() });
}
beforeEach(() => boot("6.12"));

const at = (address: string, port: number) => ({ family: "AF_INET", address, port }) as const;

/** A descriptor of a socket that may share its port. */
function open(protocol: keyof typeof PROTOCOLS): number {
	const [type, number] = PROTOCOLS[protocol];
	const fd = task.socket(AF_INET, type, number);
	expect(fd).toBeGreaterThan(2);
	expect(task.setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, 1)).toBe(0);
	return fd;
}

function sk(fd: number): number {
	return k.socket.sk[task.socketOf(fd)];
}

/**
 * The bind buckets of a socket. Read them after every allocation, because it may replace columns.
 */
function bucket(sock: number): number {
	return k.sock.icsk_bind_hash[sock];
}

function bucket2(sock: number): number {
	return k.sock.icsk_bind2_hash[sock];
}

function bound(protocol: keyof typeof PROTOCOLS, port: number, address = "127.0.0.1"): number {
	const fd = open(protocol);
	expect(task.bind(fd, at(address, port))).toBe(0);
	return fd;
}

function listening(protocol: keyof typeof PROTOCOLS, port: number): number {
	const fd = bound(protocol, port);
	expect(task.listen(fd, 8)).toBe(0);
	return fd;
}

/** A connection that its listener has not accepted; the client's descriptor. */
function queued(protocol: keyof typeof PROTOCOLS, port: number): number {
	listening(protocol, port);
	const fd = open(protocol);
	expect(task.connect(fd, at("127.0.0.1", port))).toBe(0);
	return fd;
}

/** A corruption of a table, and the message of verify(). */
const CASES: [table: string, corrupt: () => void, says: RegExp][] = [
	[
		"socks: a sock is freed twice",
		() => {
			const fd = open("tcp");
			k.sock.kmem_cache_free(sk(fd));
			k.sock.kmem_cache_free(sk(fd));
		},
		/socks in use, -?[0-9]+ counted/,
	],
	[
		"bhash: a bucket on another chain",
		() => {
			const tb = bucket(sk(bound("tcp", 80)));
			k.tcp_hashinfo.bind_bucket_cachep.port[tb]++;
		},
		/bucket of port 81 is on the wrong chain/,
	],
	[
		"bhash: a broken link",
		() => {
			const tb = bucket(sk(bound("tcp", 80)));
			k.tcp_hashinfo.bind_bucket_cachep.node_pprev[tb] = 7;
		},
		/bhash [0-9]+: link back of [0-9]+ is broken/,
	],
	[
		"bhash: two buckets of one key",
		() => {
			const [a, b] = [bound("tcp", 80), bound("tcp", 80 + 64)].map((fd) => sk(fd));
			const T = k.tcp_hashinfo.bind_bucket_cachep;
			T.port[bucket(b)] = T.port[bucket(a)];
		},
		/port 80 has two bind buckets of one key/,
	],
	[
		"bhash: a bucket without an owner",
		() => {
			const tb = bucket(sk(bound("tcp", 80)));
			k.tcp_hashinfo.bind_bucket_cachep.bhash2[tb] = 0;
		},
		/bucket of port 80 has no owner/,
	],
	[
		"bhash, base: a bucket without an owner",
		() => {
			boot("6.3");
			const tb = bucket(sk(bound("tcp", 80)));
			k.tcp_hashinfo.bind_bucket_cachep.owners[tb] = 0;
		},
		/bucket of port 80 has no owner/,
	],
	[
		"bhash: a bucket that has owners of its own",
		() => {
			const sock = sk(bound("tcp", 80));
			k.tcp_hashinfo.bind_bucket_cachep.owners[bucket(sock)] = sock;
		},
		/bucket of port 80 has a list of another version/,
	],
	[
		"bhash, base: a bucket that holds bind2 buckets",
		() => {
			boot("6.3");
			const sock = sk(bound("tcp", 80));
			k.tcp_hashinfo.bind_bucket_cachep.bhash2[bucket(sock)] = bucket2(sock);
		},
		/bucket of port 80 has a list of another version/,
	],
	[
		"bhash: a bucket that holds the bind2 bucket of another one",
		() => {
			const [a, b] = [bound("tcp", 80), bound("tcp", 81)].map((fd) => sk(fd));
			const { bhash2 } = k.tcp_hashinfo.bind_bucket_cachep;
			bhash2[bucket(a)] = bucket2(b);
		},
		/bind2 buckets of [0-9]+: link back of [0-9]+ is broken/,
	],
	[
		"refused four-tuples: a port without a connection",
		() => k.tcp_hashinfo.refused_tuples.remember(1, 2, 3, 4, 80, 1),
		/connect\(\) refuses a free four-tuple: 1,2,3,4,80/,
	],
	[
		"refused ports of bind(): a port whose owner has another address",
		() => {
			bound("tcp", 80);
			k.tcp_hashinfo.refused_binds.remember(1, 2, 0, 0, 80, 1);
		},
		/bind\(\) to 2 refuses port 80 for no reason/,
	],
	[
		"refused ports of UDP: a port without a sock",
		() => k.udp_table.refused.remember(1, 2, 0, 0, 80, 1),
		/bind\(\) to 2 refuses port 80 for no reason/,
	],
	[
		"bhash: a bucket that lost a bind2 bucket, whose socket has none then",
		() => {
			const [a, b] = [bound("tcp", 80), bound("tcp", 80, "127.0.0.2")].map((fd) => sk(fd));
			const { bhash2 } = k.tcp_hashinfo.bind_bucket_cachep;
			const { bhash_node_next, bhash_node_pprev } = k.tcp_hashinfo.bind2_bucket_cachep;
			bhash2[bucket(a)] = bucket2(a);
			bhash_node_pprev[bucket2(a)] = bhash_node_pprev[bucket2(b)];
			bhash_node_next[bucket2(a)] = 0;
		},
		/2 bind2 buckets, 1 in bind buckets/,
	],
	[
		"bhash2: a bind2 bucket with a list of time-wait sockets",
		() => {
			const sock = sk(bound("tcp", 80));
			k.tcp_hashinfo.bind2_bucket_cachep.deathrow[bucket2(sock)] = sock;
		},
		/bind2 bucket of port 80 has a deathrow/,
	],
	[
		"bhash2: a bucket on another chain",
		() => {
			const tb2 = bucket2(sk(bound("tcp", 80)));
			k.tcp_hashinfo.bind2_bucket_cachep.port[tb2]++;
		},
		/bind2 bucket of port 81 is on the wrong chain/,
	],
	[
		"bhash2: two buckets of one key",
		() => {
			const tb2 = bucket2(sk(bound("tcp", 80)));
			const T = k.tcp_hashinfo.bind2_bucket_cachep;
			const twin = T.kmem_cache_zalloc();
			T.in6Alloc(twin);
			T.copy(twin, tb2);
			T.node_next[tb2] = twin;
			T.node_pprev[twin] = tb2;
		},
		/port 80 has two bind2 buckets of one key/,
	],
	[
		"bhash: a bucket with an owner of another bucket",
		() => {
			const sock = sk(bound("tcp", 80));
			const T = k.tcp_hashinfo.bind2_bucket_cachep;
			const other = sk(bound("tcp", 81));
			T.owners[bucket2(sock)] = other;
		},
		/link back of [0-9]+ is broken/,
	],
	[
		"ehash: a connection on another chain",
		() => {
			const sock = sk(queued("tcp", 80));
			k.sock.skc_dport[sock]++;
		},
		/is on the wrong chain of ehash/,
	],
	[
		"lhash2: a listener on another chain",
		() => {
			const sock = sk(listening("tcp", 80));
			k.sock.skc_num[sock]++;
		},
		/in the bucket of another port/,
	],
	[
		"lhash2: a socket does not listen",
		() => {
			const sock = sk(listening("tcp", 80));
			k.sock.skc_state[sock] = 7;
		},
		/is among the listeners/,
	],
	[
		"accept queue: a connection that waits is in no queue",
		() => {
			queued("tcp", 80);
			const child = k.sock.handles().find((handle) => k.sock.rsk_listener.get(handle) !== 0) ?? 0;
			k.sock.rskq_accept_head.set(k.sock.rsk_listener.get(child), 0);
			k.sock.rskq_accept_tail.set(k.sock.rsk_listener.get(child), 0);
		},
		/is in no queue/,
	],
	[
		"accept queue: the end of the queue is lost",
		() => {
			const listener = listening("tcp", 80);
			expect(task.connect(open("tcp"), at("127.0.0.1", 80))).toBe(0);
			k.sock.rskq_accept_tail.set(sk(listener), 0);
		},
		/has lost the end of its queue/,
	],
	[
		"accept queue: a wrong length",
		() => {
			const listener = listening("tcp", 80);
			expect(task.connect(open("tcp"), at("127.0.0.1", 80))).toBe(0);
			k.sock.sk_ack_backlog.add(sk(listener), 1);
		},
		/miscounts its queue/,
	],
	[
		"timers: a timer of a freed socket",
		() => k.timers.mod_timer(icsk_retransmit_timer(999), 10),
		/a timer of freed socket 999 runs/,
	],
	[
		"TIME_WAIT: a wrong count",
		() => {
			task.net.net.tw_count++;
		},
		/miscounts TIME_WAIT/,
	],
	[
		"UDP's hash: a wrong count",
		() => {
			bound("udp", 80);
			k.udp_table.count[k.udp_table.count.findIndex((count) => count !== 0)]++;
		},
		/udp hash [0-9]+ miscounts/,
	],
	[
		"UDP's hash2: a socket on another chain",
		() => {
			const sock = sk(bound("udp", 80));
			k.sock.skc_rcv_saddr[sock]++;
		},
		/is on the wrong chain of udp hash2/,
	],
	[
		"UDP's hash4: a wrong count",
		() => {
			k.udp_table.hash4_cnt[5]++;
		},
		/udp hash2 5 miscounts the sockets on chains of hash4/,
	],
	[
		"UDP-Lite's hash: a broken link",
		() => {
			const sock = sk(bound("udplite", 80));
			k.sock.node_pprev[sock] = 7;
		},
		/udp hash [0-9]+: link back of [0-9]+ is broken/,
	],
	[
		"DCCP's bhash: two buckets of one key",
		() => {
			const [a, b] = [bound("dccp", 80), bound("dccp", 80 + 4096)].map((fd) => sk(fd));
			const T = k.dccp_hashinfo.bind_bucket_cachep;
			T.port[bucket(b)] = T.port[bucket(a)];
		},
		/port 80 has two bind buckets of one key/,
	],
	[
		"SCTP's ports: a bucket on another chain",
		() => {
			const pp = bucket(sk(bound("sctp", 80)));
			k.sctp_globals.bucket_cachep.port[pp]++;
		},
		/SCTP: bucket of port 81 is misplaced/,
	],
	[
		"SCTP's ports: a bucket without an owner",
		() => {
			const pp = bucket(sk(bound("sctp", 80)));
			k.sctp_globals.bucket_cachep.owner[pp] = 0;
		},
		/SCTP: bucket of port 80 has no owner/,
	],
	[
		"SCTP's ports: two buckets of one key",
		() => {
			const [a, b] = [bound("sctp", 80), bound("sctp", 80 + 512)].map((fd) => sk(fd));
			const T = k.sctp_globals.bucket_cachep;
			T.port[bucket(b)] = T.port[bucket(a)];
		},
		/SCTP: bucket of port 80: (there is a second one|socket [0-9]+ has another port)/,
	],
	[
		"SCTP's endpoints: an endpoint listens twice",
		() => {
			listening("sctp", 80);
			const { ep_hashtable } = k.sctp_globals;
			const list = ep_hashtable.find(({ length }) => length > 0) ?? [];
			list.push(list[0]);
		},
		/SCTP: socket [0-9]+ is listed 2 times/,
	],
	[
		"SCTP's endpoints: an endpoint that is freed",
		() => {
			const { ep } = [...k.sctp_globals.socks.values()][0] ?? { ep: null };
			expect(ep).toBe(null);
			const fd = listening("sctp", 80);
			const { ep_hashtable } = k.sctp_globals;
			const slot = ep_hashtable.findIndex(({ length }) => length > 0);
			const [gone] = ep_hashtable[slot];
			task.close(fd);
			ep_hashtable[slot].push(gone);
		},
		/SCTP: an endpoint that is no more listens/,
	],
	[
		"SCTP's associations: an association without its transport",
		() => {
			queued("sctp", 80);
			k.sctp_globals.transport_hashtable.clear();
		},
		/SCTP: socket [0-9]+ has too many ways, or too few/,
	],
	[
		"SCTP's socks: a sock without an endpoint",
		() => {
			k.sctp_globals.socks.delete(sk(open("sctp")));
		},
		/SCTP: socket [0-9]+ has no endpoint/,
	],
	[
		"MPTCP: a subflow of another sock",
		() => {
			const fd = open("mptcp");
			k.mptcp.conn.set(k.mptcp.socks.get(sk(fd))?.first ?? 0, 999);
		},
		/the subflow of MPTCP sock [0-9]+ is another's/,
	],
	[
		"reuseport groups: a member that does not know its group",
		() => {
			const fd = open("udp");
			task.setsockopt(fd, SOL_SOCKET, SO_REUSEPORT, 1);
			task.bind(fd, at("127.0.0.1", 80));
			expect(k.sock.sk_reuseport_cb[sk(fd)]).not.toBe(0);
			k.sock.sk_reuseport_cb[sk(fd)] = 0;
		},
		/is in a group it does not know/,
	],
	[
		"files: a file that no descriptor names",
		() => {
			k.file.kmem_cache_zalloc();
		},
		/file 4 is open, and nothing names it/,
	],
	[
		"files: a wrong count of descriptors",
		() => {
			k.file.f_count[task.openFiles()[0]]++;
		},
		/file [0-9]+ has 1 descriptors, not 2/,
	],
	[
		"struct sockets: a struct socket that no file names",
		() => {
			k.socket.kmem_cache_zalloc();
		},
		/struct socket [0-9]+ is leaked/,
	],
	[
		"struct sockets: the sock of another socket",
		() => {
			const fd = open("tcp");
			k.socket.sk[task.socketOf(fd)] = sk(open("tcp"));
		},
		/struct socket [0-9]+ has a stranger's sock|is not its socket's/,
	],
	[
		"routes: a cached route that is wrong",
		() => {
			queued("tcp", 80);
			const cached = task.net.net.rt_cache.find((entry) => entry?.connect_genid !== undefined);
			if (cached === undefined || cached === null) throw new Error("no route is remembered");
			cached.err = -101;
		},
		/the route to [0-9]+ is another by now/,
	],
];

describe("verify() names the fault", () => {
	it.each(CASES)("in %s", (_table, corrupt, says) => {
		k.verify();
		corrupt();
		expect(() => k.verify()).toThrow(says);
	});
});
