// SPDX-License-Identifier: GPL-2.0-or-later
/**
 * The behaviour changes between kernel versions that affect port choice, bind conflicts or errors.
 * Ported code asks for a change by its name (`k.changes.has("udp-hash4")`). A comment beside it
 * names the first release and the commit; tests/rules/changes.test.ts compares both with this
 * table. kernel-model/machine/versions.ts says which version has which changes.
 */

/** A difference between kernels that a program or a reader of the source can see. */
export interface BehaviourChange {
	readonly name: string;
	/** First mainline release that has the change. Null if only stable releases are known to have it. */
	readonly since: string | null;
	/** The commit in mainline; null if it is not known. */
	readonly commit: string | null;
	/** Further commits that belong to the change. */
	readonly also?: readonly string[];
	/** For each stable series that has the change as well: the first release known to have it. */
	readonly backports: readonly string[];
	/** What it changes, in one line. */
	readonly summary: string;
	/**
	 * Whether the model has the old and the new behaviour. If not, no ported code asks for the
	 * change.
	 */
	readonly modelled: boolean;
	/**
	 * Programs get the same answers with and without it. Only a choice that a secret decides may
	 * differ, and it differs from one boot to the next as well. `matrix` and `laws` leave it out.
	 */
	readonly internal?: true;
}

/** Every change found so far. */
export const CHANGES = [
	{
		name: "ip-local-port-range",
		since: "6.3",
		commit: "91d0b78c5177",
		backports: ["6.1.176"],
		summary: "The option IP_LOCAL_PORT_RANGE lets a socket narrow the namespace's ephemeral range.",
		modelled: false,
	},
	{
		name: "sctp-l3mdev",
		since: "6.2",
		commit: "0af03170637f",
		backports: [],
		summary: "SCTP's bind conflicts and lookups distinguish the sockets of a VRF from others.",
		modelled: true,
	},
	{
		name: "udp-child-hash-entries",
		since: "6.2",
		commit: "9804985bf27f",
		backports: [],
		summary:
			"With the sysctl udp_child_hash_entries, namespaces that are made later have their own UDP tables. The stride of the port search depends on their size.",
		modelled: true,
	},
	{
		name: "bhash2-dual-stack-wildcard",
		since: "6.3",
		commit: "d9ba99342855",
		backports: ["6.1.176"],
		summary:
			"bind() to an IPv4 address is checked against a dual-stack IPv6 wildcard socket on the port. The base commit, which is older than 6.3, allows both.",
		modelled: true,
	},
	{
		name: "bhash2-v4mapped-wildcard",
		since: "6.6",
		commit: "aa99e5f87bd5",
		backports: ["6.1.176"],
		summary: "bind() to an IPv4 address is checked against a socket on ::ffff:0.0.0.0.",
		modelled: true,
	},
	{
		name: "bhash2-v4mapped-address",
		since: "6.6",
		commit: "c48ef9c4aed3",
		backports: ["6.1.176"],
		summary:
			"bind() to an IPv4 address is checked against a socket on the same address in v4-mapped form.",
		modelled: true,
	},
	{
		name: "bhash2-v4mapped-on-bind",
		since: "6.8",
		commit: "5e07e672412b",
		backports: ["6.1.176"],
		summary:
			"bind() to a v4-mapped address searches bhash2 instead of checking every owner of the port.",
		modelled: true,
	},
	{
		name: "udp-reuseport-rescored",
		since: "6.6",
		commit: "f0ea27e7bfe1",
		backports: ["6.1.176"],
		summary:
			"If the lookup of a datagram finds a reuseport group with connected members, it goes on with the score of the selected member.",
		modelled: true,
	},
	{
		name: "udp-reuseport-rescored-upwards",
		since: "6.10",
		commit: "50aee97d1511",
		backports: ["6.1.176"],
		summary:
			"The score of the selected member is used only if it is higher, and over IPv6 as well. Over IPv6 it was computed but ignored before.",
		modelled: true,
	},
	{
		name: "tcp-disconnect-busy",
		since: "6.4",
		commit: "4faeee0cf8a5",
		backports: ["6.3.8"],
		summary:
			"While a connect() of another thread sleeps, connect() with AF_UNSPEC and shutdown() fail with EBUSY, until tcp-disconnect-epipe.",
		modelled: true,
	},
	{
		name: "so-linger-clamp",
		since: "6.6",
		commit: "bc1fb82ae117",
		backports: ["6.1.176"],
		summary: "SO_LINGER with a negative time lingers forever. Before, the time wrapped around.",
		modelled: true,
	},
	{
		name: "tcp-syn-linear-timeouts",
		since: "6.5",
		commit: "ccce324dabfe",
		backports: [],
		summary:
			"The first timeouts of a SYN are equal, as many as the sysctl tcp_syn_linear_timeouts (default 4) says and one more. So an unanswered connect() fails after 131 s instead of 127 s.",
		modelled: true,
	},
	{
		name: "tcp-disconnect-epipe",
		since: "6.6",
		commit: "419ce133ab92",
		backports: ["6.1.176"],
		summary:
			"connect() with AF_UNSPEC ends a connect() that sleeps in another thread. The sleeping call fails with EPIPE.",
		modelled: true,
	},
	{
		name: "sctp-listen-resets-state",
		since: "6.12",
		commit: "8beee4d8dee7",
		also: ["4d5c70e6155d"],
		backports: ["6.1.176", "6.11.4"],
		summary:
			"An SCTP socket whose listen() fails is not left in the listening state. It fails if no port is free, or if a listener with SO_REUSEPORT has some of its addresses, but not all.",
		modelled: true,
	},
	{
		name: "sctp-listener-shutdown",
		since: "6.11",
		commit: "cda91d5b911a",
		backports: [],
		summary:
			"shutdown() of an SCTP listener's receiving side succeeds, and accept() then fails with EINVAL.",
		modelled: true,
	},
	{
		name: "connect-range-step-1",
		since: "6.8",
		commit: "207184853dbd",
		also: ["41db7626b732"],
		backports: [],
		summary:
			"connect() with a per-socket range tries every port in turn, without a pass for each parity. A set range counts as local even if it lies outside the namespace's range.",
		modelled: true,
	},
	{
		name: "bhash-holds-bhash2",
		since: "6.8",
		commit: "b2cb9f9ef240",
		also: ["b82ba728ccfe", "770041d337a8"],
		backports: [],
		summary:
			"Bind buckets hold bind2 buckets instead of sockets, and time-wait sockets are among the owners. Costs differ, and the order in which bind() to the wildcard looks at the owners.",
		modelled: true,
		internal: true,
	},
	{
		name: "bind2-device-of-bucket",
		since: "6.8",
		commit: "822fb91fc724",
		backports: [],
		summary:
			"A socket that got another VRF after bind() keeps the VRF of its bind bucket when connect() sets its address. So it conflicts with a socket on this address and port outside of the VRF.",
		modelled: true,
	},
	{
		name: "first-bind-not-fast",
		since: "6.8",
		commit: "8002d44fe84d",
		backports: [],
		summary:
			"The first bind() of a port does not set fastreuse or FASTREUSEPORT_ANY. So a socket that cleared SO_REUSEADDR or SO_REUSEPORT after bind() conflicts.",
		modelled: true,
	},
	{
		name: "bhash2-addr-type",
		since: "6.8",
		commit: "5a22bba13d01",
		also: ["06a8c04f8994"],
		backports: [],
		summary:
			"bind() of an AF_INET6 socket to a v4-mapped address is checked against an AF_INET6 socket on ::ffff:0.0.0.0. With only bhash2-v4mapped-on-bind, as in 6.1.176, it is not.",
		modelled: true,
	},
	{
		name: "bhash2-every-wildcard-bucket",
		since: "6.9",
		commit: "d91ef1e1b55f",
		backports: ["6.1.176"],
		summary:
			"bind() to an address checks every wildcard bucket of the port, not only the first that matches. The first may be IPv6-only.",
		modelled: true,
	},
	{
		name: "bhash2-v6only-v4mapped",
		since: "6.9",
		commit: "ea111449501e",
		backports: ["6.1.176"],
		summary: "bind() to a v4-mapped address does not conflict with an IPv6-only wildcard socket.",
		modelled: true,
	},
	{
		name: "sctp-accept-clones",
		since: "6.19",
		commit: "16942cf4d3e3",
		backports: ["6.18.44"],
		summary:
			"An SCTP socket that accept() makes inherits SO_REUSEPORT, IPV6_V6ONLY and the options of level SOL_IP. So other sockets can share its port.",
		modelled: true,
	},
	{
		name: "udp-hash4",
		since: "6.13",
		commit: "78c91ae2c6de",
		backports: [],
		summary:
			"Among UDP sockets with the same four-tuple, the last to connect gets the datagrams. A connected socket leaves its reuseport group.",
		modelled: true,
	},
	{
		name: "udp-hash4-reconnect",
		since: "7.3",
		commit: "5fd0783b99d4",
		also: ["9e95b1a94c9c"],
		backports: ["7.2.9"],
		summary:
			"A UDP socket that is bound to an address, dissolves its connection and connects again counts as the last to connect. Before, it kept its place.",
		modelled: true,
	},
	{
		name: "datagram-connect-keeps-device",
		since: null,
		commit: null,
		backports: ["6.12.118"],
		summary:
			"A connect() of an IPv6 datagram socket to a link-local address that finds no route leaves the device of the socket as it was. Before, the socket was bound to the device of the scope.",
		modelled: true,
	},
	{
		name: "dccp-removed",
		since: "6.16",
		commit: "2a63dd0edf38",
		backports: [],
		summary: "DCCP is gone.",
		modelled: true,
	},
	{
		name: "udplite-removed",
		since: "7.1",
		commit: "56520b398e5e",
		also: ["62554a51c584"],
		backports: [],
		summary: "UDP-Lite is gone.",
		modelled: true,
	},
	{
		name: "syn-recv-shutdown-deferred",
		since: "6.9",
		commit: "94062790aedb",
		backports: ["6.1.176"],
		summary:
			"shutdown() of a socket in SYN_RECV, as in a connect to oneself, sends its FIN only after the connection is established.",
		modelled: true,
	},
	{
		name: "simultaneous-synack-accepted",
		since: "6.11",
		commit: "23e89e8ee7be",
		backports: ["6.1.176"],
		summary:
			"A SYN+ACK completes a connect() to oneself, or two connects that cross. Before, the kernel answered it with a challenge ACK.",
		modelled: true,
	},
	{
		name: "tw-fin-wait2-not-reused",
		since: "6.12",
		commit: "0d9e5df4a257",
		backports: ["6.1.176"],
		summary: "connect()'s search does not take over a time-wait socket that is still in FIN_WAIT2.",
		modelled: true,
	},
	{
		name: "connect-lookup-without-lock",
		since: "6.15",
		commit: "86c2bc293b81",
		also: ["ae9d5b19b322", "d186f405fdf4", "d4438ce68bf1"],
		backports: [],
		summary:
			"connect()'s search first looks at a port without the lock of its bucket, and takes the lock only if the port may be free. Costs differ.",
		modelled: true,
		internal: true,
	},
	{
		name: "ipv6-jhash-whole-address",
		since: "6.5",
		commit: "d11b0df7ddf1",
		backports: ["6.1.176"],
		summary:
			"The hash of an IPv6 address takes each of its four words. Before, two addresses had the same hash if the exclusive or of their first two words was the same. Chains and the selection from a reuseport group differ.",
		modelled: true,
		internal: true,
	},
	{
		name: "udp6-ehash-own-secret",
		since: "6.5",
		commit: "51d03e2f2203",
		backports: ["6.1.176"],
		summary:
			"The hash that selects from a group of IPv6 UDP sockets has a secret of its own. The selection differs.",
		modelled: true,
		internal: true,
	},
	{
		name: "ehash-adds-port",
		since: "6.15",
		commit: "9544d60a2605",
		backports: [],
		summary:
			"The hash of a four-tuple adds the local port instead of mixing it in. Chains and the selection from a reuseport group differ.",
		modelled: true,
		internal: true,
	},
	{
		name: "ehash6-whole-tuple",
		since: "7.1",
		commit: "854587e69ef3",
		backports: [],
		summary:
			"The hash of an IPv6 four-tuple takes every word of both addresses. Before, it took only the last word of the local address. Chains and the selection from a reuseport group differ.",
		modelled: true,
		internal: true,
	},
	{
		name: "prefsrc-removed-on-every-device",
		since: "6.6",
		commit: "b358f57f7db6",
		backports: [],
		summary:
			"An IPv6 address that is removed also stops being the preferred source of routes through other devices.",
		modelled: true,
	},
	{
		name: "source-address-within-vrf",
		since: "6.11",
		commit: "680735235356",
		also: ["252442f2ae31", "abb9a68d2c64"],
		backports: ["6.1.176"],
		summary:
			"The source address for a destination in a VRF is chosen among the VRF's own addresses.",
		modelled: true,
	},
	{
		name: "mptcp-defer-accept-succeeds",
		since: "6.2",
		commit: "caea64675d8b",
		also: ["e64d4deb4de0"],
		backports: [],
		summary:
			"TCP_DEFER_ACCEPT of an MPTCP socket never fails, and MPTCP takes the options of TCP fast open.",
		modelled: true,
	},
	{
		name: "mptcp-local-port-range",
		since: "6.8",
		commit: "ae5439658cce",
		backports: [],
		summary: "MPTCP sockets take IP_LOCAL_PORT_RANGE and IP_BIND_ADDRESS_NO_PORT.",
		modelled: true,
	},
	{
		name: "mptcp-set-up-while-closed",
		since: "6.4",
		commit: "ddb1a072f858",
		backports: [],
		summary:
			"bind() and the options of an MPTCP socket's first subflow fail with EINVAL once the socket connects. They work again once it is closed.",
		modelled: true,
	},
	{
		name: "mptcp-accepted-set-up",
		since: "6.6",
		commit: "3f326a821b99",
		backports: [],
		summary:
			"bind() and the options of the first subflow also work again on an MPTCP socket that accept() made, once it is closed.",
		modelled: true,
	},
	{
		name: "mptcp-subflow-shutdown",
		since: "6.17",
		commit: "f755be0b1ff4",
		backports: ["6.1.176", "6.12.107", "6.16.12"],
		summary:
			"Once both DATA_FINs of an MPTCP connection are acknowledged, its subflow ends as well, and the port may be free. Before, the subflow ended only when the program closed the socket.",
		modelled: true,
	},
	{
		name: "mptcp-syn-fallback",
		since: "6.12",
		commit: "6982826fe5e5",
		backports: [],
		summary:
			"An MPTCP socket becomes one of TCP if its SYN has no answer at its third timeout, after three seconds. Options can be set on it again.",
		modelled: true,
	},
	{
		name: "mptcp-tcp-options-refused",
		since: "6.9",
		commit: "7f71a337b515",
		backports: ["6.1.176"],
		summary:
			"setsockopt() of an option of SOL_TCP that MPTCP knows but does not have fails with EINVAL if the value is too short, else with ENOPROTOOPT. Before, it fails with EOPNOTSUPP.",
		modelled: true,
	},
	{
		name: "mptcp-keepalive",
		since: "6.10",
		commit: "bd11dc4fb969",
		also: ["a65198136eaa"],
		backports: ["6.1.176"],
		summary:
			"MPTCP sockets take TCP_KEEPIDLE, TCP_KEEPINTVL and TCP_KEEPCNT. The socket itself keeps SO_KEEPALIVE, so getsockopt() returns it and a later subflow gets it.",
		modelled: true,
	},
	{
		name: "backlog-zero-holds-one",
		since: "6.14",
		commit: "3479c7549fb1",
		backports: ["6.1.176", "6.12.107", "6.13.7"],
		summary:
			"A listener has room for one request more than its backlog, as its accept queue has. Before, a TCP listener with backlog 0 answered each SYN with a SYN cookie, and a DCCP listener refused all.",
		modelled: true,
	},
	{
		name: "mptcp-connect-ignores-fin",
		since: "6.15",
		commit: "c3349a22c200",
		backports: ["6.1.189"],
		summary:
			"MPTCP, after a fallback to TCP: a FIN that arrives before connect() has ended is not passed on. The program never reads the end of the data.",
		modelled: true,
	},
	{
		name: "mptcp-fallback-mapping",
		since: "6.19",
		commit: "2834f8edd74d",
		also: ["85f22b8e1e9d"],
		backports: ["6.12.93", "6.18.44"],
		summary:
			"An MPTCP socket that is connected to itself loses the first byte that it receives. Without mptcp-partial-packets it loses the first segment.",
		modelled: true,
	},
	{
		name: "mptcp-partial-packets",
		since: "7.1",
		commit: "50c2d91c5dfa",
		backports: ["6.1.176", "6.12.93", "6.18.44", "7.0.13"],
		summary: "MPTCP: of a segment whose first bytes are old the new bytes are kept.",
		modelled: true,
	},
	{
		name: "mptcp-getsockopt-flags",
		since: "6.15",
		commit: "e2f4ac7bab22",
		also: ["8c3963375988"],
		backports: ["6.1.176", "6.12.107"],
		summary:
			"getsockopt() of an MPTCP socket returns IP_FREEBIND, IP_TRANSPARENT, IPV6_FREEBIND, IPV6_TRANSPARENT and IPV6_V6ONLY instead of EOPNOTSUPP.",
		modelled: true,
	},
	{
		name: "tcp-rto-min-us",
		since: "6.11",
		commit: "f086edef71be",
		backports: [],
		summary: "The sysctl tcp_rto_min_us is the shortest retransmission timeout of new TCP sockets.",
		modelled: true,
	},
	{
		name: "tcp-tw-reuse-delay",
		since: "6.14",
		commit: "ca6a6f93867a",
		backports: [],
		summary:
			"The sysctl tcp_tw_reuse_delay (ms, default 1000) replaces the rule that a time-wait port can be reused from the next second on.",
		modelled: true,
	},
	{
		name: "mptcp-msg-fastopen",
		since: "6.2",
		commit: "1e777f39b4d7",
		backports: [],
		summary:
			"A send with MSG_FASTOPEN connects an MPTCP socket. If it fails, it disconnects the socket, even a listener. Before, it only failed with EOPNOTSUPP.",
		modelled: true,
	},
	{
		name: "mptcp-fastopen-unconnects",
		since: "6.4",
		commit: "c2b2ae3925b6",
		backports: ["6.1.176"],
		summary:
			"If a send with MSG_FASTOPEN fails, the MPTCP socket is unconnected and can connect again. Before, it stayed connected or connecting.",
		modelled: true,
	},
	{
		name: "mptcp-reset-is-no-end",
		since: "6.4",
		commit: "81c1d0290160",
		backports: ["6.1.176"],
		summary:
			"After a fallback to TCP, recv() of an MPTCP connection that the peer has reset fails with ENOTCONN once SO_ERROR was read. Before, it returned 0, as at the end of the data.",
		modelled: true,
	},
	{
		name: "ip-protocol-option",
		since: "6.4",
		commit: "3632679d9e4f",
		backports: ["6.1.176", "6.3.8"],
		summary:
			"getsockopt() knows IP_PROTOCOL. It is meant for raw sockets, and returns the local port of every other socket.",
		modelled: true,
	},
	{
		name: "tcp-rto-max",
		since: "6.15",
		commit: "54a378f43425",
		also: ["1280c26228bd"],
		backports: [],
		summary:
			"The option TCP_RTO_MAX_MS and the sysctl tcp_rto_max_ms limit the retransmission timeout of TCP. So a connect() without an answer ends earlier, and so does an orphan.",
		modelled: true,
	},
	{
		name: "tcp-rto-min-option",
		since: "6.15",
		commit: "f38805c5d26f",
		backports: [],
		summary: "The option TCP_RTO_MIN_US sets the shortest retransmission timeout of a TCP socket.",
		modelled: true,
	},
	{
		name: "synack-rto-max",
		since: "6.19",
		commit: "1e9d3005e02c",
		backports: [],
		summary: "The longest retransmission timeout of a listener holds for its SYN-ACKs as well.",
		modelled: true,
	},
	{
		name: "orphan-uid",
		since: "6.17",
		commit: "c51da3f7a161",
		backports: ["6.16.12"],
		summary: "A socket without a file keeps the user that made it. Before, it counted as root's.",
		modelled: true,
	},
	{
		name: "mptcp-fastclose-once",
		since: "6.18",
		commit: "ae155060247b",
		backports: ["6.1.176", "6.12.107", "6.17.13"],
		summary:
			"After a fallback to TCP, a disconnect of MPTCP only shuts the subflow down, and a connect() fails with EINVAL until the subflow has ended. A listener that ends tells the clients that wait for accept() with MP_FASTCLOSE. Before, they saw only their subflow end.",
		modelled: true,
	},
	{
		name: "mptcp-disconnect-resets",
		since: "6.19",
		commit: "86730ac255b0",
		backports: ["6.1.176", "6.12.107", "6.18.5"],
		summary: "A disconnect of MPTCP resets the subflow after a fallback to TCP as well.",
		modelled: true,
	},
	{
		name: "mptcp-linger-zero-aborts",
		since: "7.1",
		commit: "f14d6e9c3678",
		backports: ["6.1.176", "6.12.107", "6.18.44", "7.0.13"],
		summary: "MPTCP: close() with SO_LINGER of time 0 aborts the connection, as TCP does.",
		modelled: true,
	},
	{
		name: "fastreuse-recomputed",
		since: "6.18",
		commit: "d57f4b874946",
		backports: ["6.17.8"],
		summary:
			"connect()'s search can use a bind bucket again after all sockets that bind() put there have left it.",
		modelled: true,
	},
	{
		name: "udp-wildcard-hash2-shortcut-fixed",
		since: "7.0",
		commit: "e537dd15d0d4",
		backports: ["6.1.176", "6.12.107", "6.18.44", "6.19.14"],
		summary: "UDP bind() to the wildcard with many sockets in a slot no longer misses conflicts.",
		modelled: true,
	},
	{
		name: "udp6-connect-changes-cork",
		since: "7.0",
		commit: "4e6c91cf60f2",
		backports: [],
		summary:
			"connect() of a UDP socket over IPv6 also changes the destination of a datagram that MSG_MORE or UDP_CORK holds back, as over IPv4.",
		modelled: true,
	},
	{
		name: "port-step-width",
		since: "7.1",
		commit: "7da62262ec96",
		backports: [],
		summary:
			"The sysctl ip_local_port_step_width makes connect() scan with a random step of at most this width.",
		modelled: true,
	},
] as const satisfies readonly BehaviourChange[];

/** The first release and the commit of a change, for a reader: "6.8, 8002d44fe84d". */
export function firstOf({ since, commit, backports }: BehaviourChange): string {
	return [since ?? `stable ${backports.join(", ")}`, commit ?? "commit not known"].join(", ");
}

type Change = (typeof CHANGES)[number];

/** Names of behaviour changes that ported code may ask for. */
export type ChangeName = Extract<Change, { modelled: true }>["name"];
