// SPDX-License-Identifier: GPL-2.0-or-later
/** A kernel: boot, clock, namespaces and tasks around the ported code. */

import { CAP_FULL_SET } from "../../include/linux/capability.js";
import { DccpSocks } from "../../include/linux/dccp.js";
import type { Random } from "../../include/linux/random.js";
import { newSiphashState } from "../../include/linux/siphash.js";
import type { Sockaddr } from "../../include/linux/socket.js";
import { JIFFY, TimerQueue } from "../../include/linux/timer.js";
import type { ChangeName } from "../../include/linux/version.js";
import { type Draws, KernelDraws } from "../../include/net/draws.js";
import type { PortGuide } from "../../include/net/guide.js";
import { InetHashinfo } from "../../include/net/inet_hashtables.js";
import { MptcpSocks } from "../../include/net/mptcp.js";
import {
	IFF_LOOPBACK,
	LOOPBACK_IFINDEX,
	type Net,
	newFl4,
	newFl6,
	newSaddrDst,
} from "../../include/net/net_namespace.js";
import { Protocols } from "../../include/net/protocol.js";
import { SctpGlobals } from "../../include/net/sctp.js";
import { SockTable } from "../../include/net/sock.js";
import type { SockReuseport } from "../../include/net/sock_reuseport.js";
import { SocketTable } from "../../include/net/socket.js";
import type { AcceptQueueGuest, SecretKind, Segment, Stack } from "../../include/net/stack.js";
import {
	TCP_KEEPALIVE_INTVL,
	TCP_KEEPALIVE_PROBES,
	TCP_KEEPALIVE_TIME,
	TCP_RETR1,
	TCP_RETR2,
	TCP_RTO_MAX,
	TCP_RTO_MIN,
	TCP_SYN_LINEAR_TIMEOUTS,
	TCP_SYN_RETRIES,
	TCP_SYNACK_RETRIES,
	TFO_CLIENT_ENABLE,
} from "../../include/net/tcp.js";
import { UDP_HTABLE_SIZE_DEFAULT, UdpTable } from "../../include/net/udp.js";
import { noTrace } from "../../include/trace/events/port_search.js";
import { dccp_v4_init } from "../../net/dccp/ipv4.js";
import { dccp_v6_init } from "../../net/dccp/ipv6.js";
import { inet_init } from "../../net/ipv4/af_inet.js";
import { GuidedSearch } from "../../net/ipv4/guided_search.js";
import { runTimers } from "../../net/ipv4/tcp_timer.js";
import { udp_set_table } from "../../net/ipv4/udp.js";
import { udplite4_register } from "../../net/ipv4/udplite.js";
import { inet6_init } from "../../net/ipv6/af_inet6.js";
import { udplitev6_init } from "../../net/ipv6/udplite.js";
import { mptcp_proto_init, mptcp_proto_v6_init } from "../../net/mptcp/protocol.js";
import { sctp_v6_protosw_init } from "../../net/sctp/ipv6.js";
import { sctp_v4_protosw_init } from "../../net/sctp/protocol.js";
import {
	checkInteger,
	checkObject,
	checkString,
	checkUint,
	checkWord,
	shownValue,
} from "./arguments.js";
import { FileTable } from "./fd_table.js";
import { NetNamespace } from "./net.js";
import { SeededRandom } from "./random.js";
import { type Snapshot, Snapshots } from "./snapshot.js";
import type { KernelTrace } from "./syscall.js";
import { Task, type TaskOptions } from "./task.js";
import { verify } from "./verify.js";
import { changesOf, DEFAULT_VERSION, VERSION_NAMES } from "./versions.js";

/** The clock's limit, ms. Below it a double holds every millisecond exactly. */
export const END_OF_TIME = Number.MAX_SAFE_INTEGER;

/** Most namespaces of a kernel: skc_net is a u16. */
const MAX_NETS = 65535;

/** The largest table, in buckets. */
const MAX_TABLE = 1 << 24;

/** Most jiffies that a timer may be late. */
const MAX_LATENESS = 1 << 20;

/** Buckets of DCCP's tables. net/dccp/proto.c: dccp_init makes more on a machine with 24 GiB. */
const DCCP_EHASH = 4096;
const DCCP_BHASH = 4096;
const INET_LHTABLE_SIZE = 32;

/** Fields that are not part of a kernel's state: its observers, and what never changes. */
export const HOOKS: ReadonlySet<string> = new Set([
	"accept_queues",
	"changes",
	"datagram_queues",
	"draws",
	"known",
	"ownDraws",
	// The player of a recording sets it, and may set it again after restore().
	"secretAnswers",
	"snapshots",
	"trace",
	// Filled at boot only.
	"protocols",
]);

export interface KernelOptions {
	/** A name of VERSIONS, and changes to add or remove: "6.3+orphan-uid". "6.3" if not given. */
	version?: string;
	/** Its changes, to find out which ones are asked for (AskedChanges). Those of `version` if not given. */
	changes?: ReadonlySet<ChangeName>;
	/** Seed of every random draw; 1 if not given. */
	seed?: number;
	/** The source of random draws, instead of a seed. */
	random?: Random;
	/**
	 * The clock starts `phase` ms after a jiffy, from 0 to below 4. Timers run `lateness` jiffies
	 * late. Both are 0 if not given.
	 */
	clock?: { phase: number; lateness: number };
	/** The calls of askSecret() that return true, counted from 0; none if not given. */
	secrets?: readonly number[];
	/** Secrets that are those of a real kernel. askSecret() does not ask about them. */
	known?: ReadonlySet<SecretKind>;
	/**
	 * Numbers of hash buckets, powers of two. The defaults are the numbers of a machine with 24
	 * GiB.
	 */
	tables?: { ehash?: number; bhash?: number; lhash2?: number; udp?: number };
	/**
	 * How ports are searched. "linear" (the default): port by port, as the kernel does. "guided": the
	 * same ports from the same draws, but bitmaps show which ports need no look. It is faster in a
	 * full range, and takes 9 KB for each destination and each address of such a search.
	 */
	search?: "linear" | "guided";
}

/**
 * One kernel. Its options and the calls of its tasks determine everything that happens in it.
 * Nothing depends on the machine or on the time of day.
 */
export class Kernel implements Stack {
	readonly version: string;
	readonly changes: ReadonlySet<ChangeName>;
	readonly random: Random;
	readonly timers: TimerQueue;
	readonly protocols = new Protocols();
	readonly sock = new SockTable();
	readonly socket = new SocketTable();
	/** Open files of all tasks. */
	readonly file = new FileTable();
	readonly tcp_hashinfo: InetHashinfo;
	readonly sctp_globals = new SctpGlobals();
	readonly mptcp = new MptcpSocks();
	readonly dccp_hashinfo: InetHashinfo;
	readonly dccp = new DccpSocks();
	readonly udp_table: UdpTable;
	readonly udplite_table: UdpTable;
	readonly nets: Net[] = [];
	readonly reuseport = new Map<number, SockReuseport>();
	next_reuseport_id = 1;
	inet_ehash_secret: number | null = null;
	inet6_ehash_secret: number | null = null;
	ipv6_hash_secret: number | null = null;
	net_secret: Uint32Array | null = null;
	table_perturb: Uint32Array | null = null;
	readonly port_offset = new Uint32Array(2);
	readonly last_port_ephemeral = {
		secret: null,
		saddr: 0,
		daddr: 0,
		dport: 0,
		seed: 0,
		low: 0,
		high: 0,
	};
	readonly port_ephemeral_data = new Uint32Array(10);
	readonly siphash_state = newSiphashState();
	cap_effective = CAP_FULL_SET;
	low = 0;
	high = 0;
	blocker = 0;
	found_port = 0;
	found_tb = 0;
	found_tb2 = 0;
	found_tw = 0;
	held = 0;
	last_isn = 0;
	/** How often askSecret() was called. */
	secrets_asked = 0;
	private readonly secretAnswers: readonly number[];
	readonly known: ReadonlySet<SecretKind>;
	held_freed = false;
	readonly loopback: Segment[] = [];
	trace: KernelTrace = noTrace;
	/** The kernel's own draws, used unless a guest replaces `draws`. */
	readonly ownDraws: Draws = new KernelDraws(this);
	draws: Draws = this.ownDraws;
	msg_name: Sockaddr | null = null;
	recv_err = 0;
	accept_queues: AcceptQueueGuest | null = null;
	datagram_queues: Stack["datagram_queues"] = null;
	readonly guide: PortGuide | null;
	/** Every task that has not exited. */
	readonly tasks = new Set<Task>();
	private nextPid = 1;
	private snapshots: Snapshots | null = null;

	/**
	 * Throws RangeError for an unknown version or a table size that is not a power of two,
	 * TypeError or RangeError for another bad option. The message names the option.
	 */
	constructor(options: KernelOptions = {}) {
		checkObject("options", options);
		this.version = checkString("version", options.version ?? DEFAULT_VERSION);
		const changes = options.changes ?? changesOf(this.version);
		if (changes === null) {
			const known = VERSION_NAMES.join(", ");
			throw new RangeError(`unknown kernel version ${shownValue(this.version)}; known: ${known}`);
		}
		this.changes = changes;
		const { phase, lateness } = { phase: 0, lateness: 0, ...options.clock };
		if (!(phase >= 0 && phase < JIFFY)) {
			throw new RangeError(
				`clock.phase: expected milliseconds from 0 to below ${JIFFY}, found ${shownValue(phase)}`,
			);
		}
		checkInteger("clock.lateness", lateness, 0, MAX_LATENESS, "a number of jiffies");
		this.timers = new TimerQueue(phase, lateness);
		this.known = options.known ?? new Set();
		this.secretAnswers = options.secrets ?? [];
		if (!Array.isArray(this.secretAnswers)) throw new TypeError("secrets: expected an array");
		if (options.random !== undefined) checkObject("random", options.random, "a source of draws");
		this.random = options.random ?? new SeededRandom(checkUint("seed", options.seed ?? 1));
		const udp = UDP_HTABLE_SIZE_DEFAULT;
		const sizes = { ehash: 262_144, bhash: 65_536, lhash2: 16_384, udp, ...options.tables };
		for (const [table, size] of Object.entries(sizes)) {
			if (!Number.isInteger(size) || size < 1 || size > MAX_TABLE || (size & (size - 1)) !== 0) {
				throw new RangeError(
					`size of ${table} must be a power of two up to ${MAX_TABLE}, is ${shownValue(size)}`,
				);
			}
		}
		this.tcp_hashinfo = new InetHashinfo(sizes.ehash, sizes.bhash, sizes.lhash2);
		this.udp_table = new UdpTable(sizes.udp);
		this.udplite_table = new UdpTable(sizes.udp);
		this.dccp_hashinfo = new InetHashinfo(DCCP_EHASH, DCCP_BHASH, INET_LHTABLE_SIZE);
		const search = checkWord("search", options.search ?? "linear", ["linear", "guided"]);
		this.guide = search === "guided" ? new GuidedSearch(this) : null;
		this.initcalls();
	}

	/** Families and protocols register themselves: init/main.c: do_initcalls. */
	private initcalls(): void {
		inet_init(this);
		inet6_init(this);
		// since 7.1, 56520b398e5e
		if (!this.changes.has("udplite-removed")) {
			udplite4_register(this);
			udplitev6_init(this);
		}
		mptcp_proto_init(this);
		mptcp_proto_v6_init(this);
		sctp_v4_protosw_init(this);
		sctp_v6_protosw_init(this);
		// since 6.16, 2a63dd0edf38
		if (!this.changes.has("dccp-removed")) {
			dccp_v4_init(this);
			dccp_v6_init(this);
		}
	}

	/** Milliseconds since boot, on the virtual clock. */
	get now(): number {
		return this.timers.now;
	}

	/** See Stack. */
	askSecret(of: SecretKind): boolean {
		if (this.known.has(of)) return false;
		return this.secretAnswers.includes(this.secrets_asked++);
	}

	/**
	 * Lets `ms` milliseconds pass: SYNs are retransmitted, delayed ACKs are sent, TIME_WAIT ends.
	 * Throws RangeError if `ms` is negative or leads beyond END_OF_TIME.
	 */
	advance(ms: number): void {
		if (typeof ms !== "number" || Number.isNaN(ms)) {
			throw new TypeError(`ms: expected milliseconds, found ${shownValue(ms)}`);
		}
		if (ms < 0) throw new RangeError(`ms: time does not go back: ${ms} ms`);
		if (this.timers.now + ms > END_OF_TIME) {
			throw new RangeError(`ms: the clock ends at ${END_OF_TIME} ms, found ${ms}`);
		}
		runTimers(this, this.timers.now + ms);
	}

	/**
	 * Makes a network namespace with the device lo only. lo is up unless `lo` is "down". `parent`
	 * is the namespace of the task that makes it. Throws TypeError or RangeError for bad options.
	 */
	createNet(
		options: { name?: string; lo?: "up" | "down"; parent?: NetNamespace } = {},
	): NetNamespace {
		checkObject("options", options);
		if (options.name !== undefined) checkString("name", options.name);
		if (options.lo !== undefined) checkWord("lo", options.lo, ["up", "down"]);
		const { parent } = options;
		if (parent !== undefined) {
			const mine = parent instanceof NetNamespace && this.nets[parent.net.id - 1] === parent.net;
			if (!mine) throw new TypeError("parent: expected a namespace of this kernel");
		}
		if (this.nets.length === MAX_NETS) {
			throw new RangeError(`a kernel has at most ${MAX_NETS} namespaces`);
		}
		const id = this.nets.length + 1;
		const net: Net = {
			id,
			name: options.name ?? `net${id}`,
			hash_mix: this.random.netHashMix(),
			udp_table: udp_set_table(this, options.parent?.net ?? null),
			changes: this.changes,
			ipv4: {
				ip_local_ports: { range: [32768, 60999], warned: false },
				sysctl_local_reserved_ports: new Uint32Array(65536 / 32),
				sysctl_ip_prot_sock: 1024,
				sysctl_ip_nonlocal_bind: 0,
				sysctl_ip_autobind_reuse: 0,
				sysctl_tcp_tw_reuse: 2,
				sysctl_tcp_tw_reuse_delay: 1000,
				sysctl_ip_local_port_step_width: 0,
				sysctl_tcp_fin_timeout: 60,
				sysctl_tcp_fastopen: TFO_CLIENT_ENABLE,
				sysctl_tcp_l3mdev_accept: 0,
				sysctl_udp_l3mdev_accept: 0,
				sysctl_tcp_syn_retries: TCP_SYN_RETRIES,
				sysctl_tcp_syn_linear_timeouts: TCP_SYN_LINEAR_TIMEOUTS,
				sysctl_udp_child_hash_entries: 0,
				sysctl_tcp_max_tw_buckets: (this.tcp_hashinfo.ehash_mask + 1) / 2,
				sysctl_tcp_synack_retries: TCP_SYNACK_RETRIES,
				sysctl_tcp_retries1: TCP_RETR1,
				sysctl_tcp_retries2: TCP_RETR2,
				sysctl_tcp_orphan_retries: 0,
				sysctl_tcp_keepalive_time: TCP_KEEPALIVE_TIME,
				sysctl_tcp_keepalive_intvl: TCP_KEEPALIVE_INTVL,
				sysctl_tcp_keepalive_probes: TCP_KEEPALIVE_PROBES,
				sysctl_tcp_abort_on_overflow: 0,
				sysctl_tcp_rfc1337: 0,
				sysctl_tcp_rto_min_us: TCP_RTO_MIN * 1000,
				sysctl_tcp_rto_max_ms: TCP_RTO_MAX,
			},
			ipv6: { bindv6only: 0, ip_nonlocal_bind: 0 },
			devices: [],
			routes: [],
			rt_genid: 1,
			rt_cache: [],
			source: { genid: 0, saddr: 0, valid: false },
			fl4: newFl4(),
			fl6: newFl6(),
			probe4: { oif: 0, l3mdev: 0 },
			probe6: { daddr: new Uint32Array(4), oif: 0, l3mdev: 0 },
			saddr_dst: newSaddrDst(),
			last_ifa_serial: 0,
			routes6: [],
			tw_count: 0,
			tcp_metrics: new Set(),
			log: [],
		};
		this.nets.push(net);
		const namespace = new NetNamespace(net);
		net.devices.push({
			ifindex: LOOPBACK_IFINDEX,
			name: "lo",
			flags: IFF_LOOPBACK,
			master: 0,
			l3mdev_table: 0,
			ifa_list: [],
			addr_list: [],
		});
		if (options.lo !== "down") namespace.setLink("lo", true);
		return namespace;
	}

	/**
	 * Makes a task with open files 0, 1 and 2. Throws TypeError or RangeError for bad options.
	 */
	createTask(options: TaskOptions): Task {
		return new Task(this, options);
	}

	/** @internal */
	takePid(): number {
		return this.nextPid++;
	}

	/**
	 * Takes a snapshot of tables, queues, timers, clock, random state, tasks, descriptors and
	 * namespaces. It can be restored into this kernel only. It leaves out the fields in HOOKS.
	 */
	snapshot(): Snapshot {
		this.snapshots ??= new Snapshots([this], HOOKS);
		return this.snapshots.take();
	}

	/** Restores a snapshot of this kernel. */
	restore(snapshot: Snapshot): void {
		this.snapshots ??= new Snapshots([this], HOOKS);
		this.snapshots.restore(snapshot);
	}

	/**
	 * Checks every table and count against every other; throws an Error that names the first fault.
	 */
	verify(): void {
		verify(this);
	}
}
