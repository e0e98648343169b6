// SPDX-License-Identifier: GPL-2.0-or-later
/**
 * Kernel versions as sets of behaviour changes. Ported code asks for a change by name
 * (`k.changes.has(...)`); nothing else knows about versions.
 */
import type { ChangeName } from "../../include/net/stack.js";

/** A difference between kernels that a program, or a reader of the source, can see. */
export interface BehaviourChange {
	name: string;
	/** Commit in mainline, where known. */
	commit: string | null;
	/** First mainline release that has it. */
	since: string;
	/** Stable releases that have it as well, as far as looked at. */
	backports: readonly string[];
	/** What it changes. */
	summary: string;
	/** Whether this model has the behaviour on both sides of the change. */
	modelled: boolean;
}

/** Every change found so far that touches port choice, bind conflicts or errors. */
export const CHANGES: readonly BehaviourChange[] = [
	{
		name: "ip-local-port-range",
		commit: "91d0b78c5177",
		since: "6.3",
		backports: ["6.1.176"],
		summary: "IP_LOCAL_PORT_RANGE: a socket narrows the namespace's ephemeral range",
		modelled: true,
	},
	{
		name: "sctp-l3mdev",
		commit: "0af03170637f",
		since: "6.2",
		backports: [],
		summary: "SCTP tells the sockets of a VRF from others: in bind conflicts and in lookups",
		modelled: true,
	},
	{
		name: "udp-child-hash-entries",
		commit: null,
		since: "6.2",
		backports: [],
		summary:
			"udp_child_hash_entries: namespaces made later get UDP tables of their own, of that size, which the search for a port takes its stride from",
		modelled: true,
	},
	{
		name: "bhash2-dual-stack-wildcard",
		commit: "d9ba99342855",
		since: "6.3",
		backports: ["6.1.176"],
		summary:
			"bind() to an IPv4 address meets a dual-stack IPv6 wildcard socket on the port (the base commit, before the release, lets both in)",
		modelled: true,
	},
	{
		name: "bhash2-v4mapped-wildcard",
		commit: "aa99e5f87bd5",
		since: "6.6",
		backports: ["6.1.176"],
		summary: "bind() to an IPv4 address meets a socket on ::ffff:0.0.0.0",
		modelled: true,
	},
	{
		name: "bhash2-v4mapped-address",
		commit: "c48ef9c4aed3",
		since: "6.6",
		backports: ["6.1.176"],
		summary: "bind() to an IPv4 address meets a socket on the same address, v4-mapped",
		modelled: true,
	},
	{
		name: "bhash2-v4mapped-on-bind",
		commit: "5e07e672412b",
		since: "6.8",
		backports: ["6.1.176"],
		summary: "bind() to a v4-mapped address looks into bhash2 instead of at every owner",
		modelled: true,
	},
	{
		name: "udp-reuseport-rescored",
		commit: "f0ea27e7bfe1",
		since: "6.6",
		backports: ["6.1.176"],
		summary:
			"a datagram that meets a reuseport group with connected members is scored by the member found",
		modelled: true,
	},
	{
		name: "udp-reuseport-rescored-upwards",
		commit: null,
		since: "6.10",
		backports: ["6.1.176"],
		summary:
			"that score only counts where it is higher; over IPv6 it is that of the member found as well (before, it was counted in vain)",
		modelled: true,
	},
	{
		name: "tcp-disconnect-busy",
		commit: "4faeee0cf8a5",
		since: "6.4",
		backports: ["6.3.8"],
		summary:
			"while a connect() of another thread sleeps, connect() with AF_UNSPEC and shutdown() say EBUSY, until tcp-disconnect-epipe",
		modelled: true,
	},
	{
		name: "tcp-disconnect-epipe",
		commit: "419ce133ab92",
		since: "6.6",
		backports: ["6.1.176"],
		summary: "connect() with AF_UNSPEC ends a connect() that sleeps in another thread with EPIPE",
		modelled: true,
	},
	{
		name: "sctp-listen-resets-state",
		commit: null,
		since: "6.11",
		backports: ["6.1.176"],
		summary: "an SCTP socket whose listen() finds no port does not count as listening",
		modelled: true,
	},
	{
		name: "sctp-listener-shutdown",
		commit: null,
		since: "6.11",
		backports: [],
		summary: "shutdown() of an SCTP listener's receiving end works, and accept() then says EINVAL",
		modelled: true,
	},
	{
		name: "connect-range-step-1",
		commit: null,
		since: "6.8",
		backports: [],
		summary:
			"connect() with a per-socket range scans every port in turn, without a pass for each parity; a set range counts as local even where it lies outside the namespace's",
		modelled: true,
	},
	{
		name: "bhash-holds-bhash2",
		commit: null,
		since: "6.8",
		backports: [],
		summary:
			"bind buckets hold bind2 buckets instead of sockets, time-wait sockets are among the owners: other costs; what a program sees of it are the next two",
		modelled: false,
	},
	{
		name: "first-bind-not-fast",
		commit: null,
		since: "6.8",
		backports: [],
		summary:
			"the first bind() of a port leaves no fastreuse and no FASTREUSEPORT_ANY: a socket that took SO_REUSEADDR or SO_REUSEPORT back after bind() conflicts",
		modelled: true,
	},
	{
		name: "bhash2-addr-type",
		commit: null,
		since: "6.8",
		backports: [],
		summary:
			"bind() of an AF_INET6 socket to a v4-mapped address meets another one on ::ffff:0.0.0.0 (which bhash2-v4mapped-on-bind alone, in 6.1.176, does not)",
		modelled: true,
	},
	{
		name: "bhash2-every-wildcard-bucket",
		commit: "d91ef1e1b55f",
		since: "6.9",
		backports: ["6.1.176"],
		summary:
			"bind() to an address looks at every wildcard bucket of the port, not only at the first that matches, be it IPv6-only",
		modelled: true,
	},
	{
		name: "bhash2-v6only-v4mapped",
		commit: "ea111449501e",
		since: "6.9",
		backports: ["6.1.176"],
		summary: "bind() to a v4-mapped address does not meet an IPv6-only wildcard socket",
		modelled: true,
	},
	{
		name: "sctp-accept-clones",
		commit: null,
		since: "6.19",
		backports: ["6.18.44"],
		summary:
			"an SCTP socket that accept() makes inherits SO_REUSEPORT, IPV6_V6ONLY and the options of level SOL_IP, so that others share its port",
		modelled: true,
	},
	{
		name: "udp-hash4",
		commit: "78c91ae2c6de",
		since: "6.13",
		backports: [],
		summary:
			"of UDP sockets with one four-tuple the last to connect gets the datagrams; a connected socket leaves its reuseport group",
		modelled: true,
	},
	{
		name: "udp-hash4-reconnect",
		commit: null,
		since: "7.3",
		backports: ["7.2.12"],
		summary:
			"a UDP socket bound to an address that dissolves its connection and connects again counts as the last to connect; until then it keeps its place",
		modelled: true,
	},
	{
		name: "dccp-removed",
		commit: "2a63dd0edf38",
		since: "6.16",
		backports: [],
		summary: "DCCP is gone",
		modelled: true,
	},
	{
		name: "udplite-removed",
		commit: null,
		since: "7.1",
		backports: [],
		summary: "UDP-Lite is gone",
		modelled: true,
	},
	{
		name: "syn-recv-shutdown-deferred",
		commit: "94062790aedb",
		since: "6.9",
		backports: ["6.1.176"],
		summary:
			"shutdown() of a socket in SYN_RECV, as in a connect to oneself, sends its FIN only once the connection is there",
		modelled: true,
	},
	{
		name: "simultaneous-synack-accepted",
		commit: "23e89e8ee7be",
		since: "6.11",
		backports: ["6.1.176"],
		summary:
			"a SYN+ACK completes a connect() to oneself, or two that cross, instead of being challenged",
		modelled: true,
	},
	{
		name: "tw-fin-wait2-not-reused",
		commit: "0d9e5df4a257",
		since: "6.12",
		backports: ["6.1.176"],
		summary: "connect()'s search does not take over a time-wait socket that is still in FIN_WAIT2",
		modelled: true,
	},
	{
		name: "connect-lookup-without-lock",
		commit: null,
		since: "6.15",
		backports: [],
		summary: "connect()'s search first looks without the bucket's lock: same answers, other cost",
		modelled: false,
	},
	{
		name: "ehash-adds-port",
		commit: null,
		since: "6.15",
		backports: [],
		summary: "the local port is added to the hash of a four-tuple: other chains, same answers",
		modelled: false,
	},
	{
		name: "prefsrc-removed-on-every-device",
		commit: null,
		since: "6.6",
		backports: [],
		summary:
			"an IPv6 address that is taken away stops being the preferred source of routes by way of other devices, too",
		modelled: true,
	},
	{
		name: "source-address-within-vrf",
		commit: null,
		since: "6.11",
		backports: ["6.1.176"],
		summary: "the source address of a destination in a VRF is chosen among the VRF's own addresses",
		modelled: true,
	},
	{
		name: "mptcp-local-port-range",
		commit: "ae5439658cce",
		since: "6.8",
		backports: [],
		summary: "MPTCP sockets take IP_LOCAL_PORT_RANGE and IP_BIND_ADDRESS_NO_PORT",
		modelled: true,
	},
	{
		name: "mptcp-set-up-while-closed",
		commit: null,
		since: "6.4",
		backports: [],
		summary:
			"bind() and the options that an MPTCP socket's first subflow takes say EINVAL once it connects, and are taken again once it is closed",
		modelled: true,
	},
	{
		name: "mptcp-accepted-set-up",
		commit: null,
		since: "6.6",
		backports: [],
		summary: "the same for an MPTCP socket that accept() made, once it is closed",
		modelled: true,
	},
	{
		name: "mptcp-getsockopt-flags",
		commit: null,
		since: "6.15",
		backports: ["6.1.176", "6.12.107"],
		summary:
			"getsockopt() of an MPTCP socket tells IP_FREEBIND, IP_TRANSPARENT, IPV6_FREEBIND, IPV6_TRANSPARENT and IPV6_V6ONLY instead of EOPNOTSUPP",
		modelled: true,
	},
	{
		name: "tcp-tw-reuse-delay",
		commit: null,
		since: "6.14",
		backports: [],
		summary: "tcp_tw_reuse_delay (ms, default 1000) replaces the rule of the next second",
		modelled: true,
	},
	{
		name: "orphan-uid",
		commit: null,
		since: "6.17",
		backports: ["6.16.12"],
		summary: "a socket without a file keeps the user that made it instead of counting as root's",
		modelled: true,
	},
	{
		name: "fastreuse-recomputed",
		commit: null,
		since: "6.18",
		backports: ["6.17.8"],
		summary:
			"a bind bucket that only connect() still uses, after others left, is open to its search again",
		modelled: true,
	},
	{
		name: "udp-wildcard-hash2-shortcut-fixed",
		commit: "e537dd15d0d4",
		since: "7.0",
		backports: ["6.1.176", "6.12.107", "6.18.44", "6.19.14"],
		summary: "UDP bind() to the wildcard with many sockets in a slot no longer misses conflicts",
		modelled: true,
	},
	{
		name: "port-step-width",
		commit: "7da62262ec96",
		since: "7.1",
		backports: [],
		summary: "ip_local_port_step_width: connect() scans with a random step",
		modelled: true,
	},
];

/** A version that can be modelled. */
export interface KernelVersion {
	/** As `--kernel` and `new Kernel({ version })` take it. */
	name: string;
	description: string;
	/** Names of CHANGES that it has. */
	has: readonly string[];
}

/** Numbers of a release: "6.12.107" is [6, 12, 107]. */
function numbers(release: string): [number, number, number] {
	const [a = 0, b = 0, c = 0] = release.split(/[.-]/).map((part) => Number.parseInt(part, 10) || 0);
	return [a, b, c];
}

/** Below 0 if a release is older than another one, above 0 if it is newer. */
function compareReleases(one: string, other: string): number {
	const [a, b] = [numbers(one), numbers(other)];
	return a[0] - b[0] || a[1] - b[1] || a[2] - b[2];
}

/** The changes of a mainline release, and of a stable one those that it got beside. */
function changesSince(release: string): string[] {
	const [major, minor] = numbers(release);
	const mainline = `${major}.${minor}`;
	return CHANGES.filter(
		({ since, backports }) => compareReleases(since, mainline) <= 0 || backports.includes(release),
	).map(({ name }) => name);
}

const BASE: KernelVersion = {
	name: "6.3",
	description: "the commit that added the option, 91d0b78c5177 (the default)",
	has: [...changesSince("6.2"), "ip-local-port-range"],
};

const STABLE: Readonly<Record<string, string>> = {
	"6.1.176": "stable, with the option and later fixes (Debian 12)",
	"6.3.0": "mainline, the release: with a fix that is younger than the commit",
	"6.3.8": "stable, with 6.4's tcp-disconnect-busy",
	"6.12.107": "stable (Debian 13)",
	"6.16.12": "stable, with 6.17's orphan-uid",
	"6.17.8": "stable, with 6.18's fastreuse-recomputed",
	"6.18.44": "stable, with 7.0's UDP fix",
	"6.19.14": "stable, with 7.0's UDP fix",
	"7.2.12": "stable, with 7.3's udp-hash4-reconnect",
};

const RELEASES =
	"6.1.176 6.3.0 6.3.8 6.4 6.5 6.6 6.8 6.9 6.10 6.11 6.12 6.12.107 6.13 6.14 6.15 6.16 6.16.12 6.17 6.17.8 6.18 6.18.44 6.19 6.19.14 7.0 7.1 7.2 7.2.12 7.3";

/** Every version that can be modelled, oldest first. */
export const VERSIONS: readonly KernelVersion[] = [
	BASE,
	...RELEASES.split(" ").map((name) => ({
		name,
		description: STABLE[name] ?? "mainline",
		has: changesSince(name),
	})),
].sort((a, b) => compareReleases(a.name, b.name));

/**
 * The version to model for a kernel by its `uname -r`: the newest of its series that is not
 * newer, else the newest mainline release before it; null before 6.3.
 */
export function versionFor(release: string): string | null {
	const [major, minor] = numbers(release);
	const older = VERSIONS.filter(({ name }) => compareReleases(name, release) <= 0);
	const series = older.filter(
		({ name }) => name.split(".").slice(0, 2).join(".") === `${major}.${minor}`,
	);
	const mainline = older.filter(({ name }) => name.split(".").length === 2);
	return (series.at(-1) ?? mainline.at(-1))?.name ?? null;
}

export const DEFAULT_VERSION = "6.3";

/** Every name that ported code may ask for: the compiler sees to it that none is missing. */
const ASKED: Readonly<Record<ChangeName, true>> = {
	"bhash2-addr-type": true,
	"bhash2-dual-stack-wildcard": true,
	"bhash2-every-wildcard-bucket": true,
	"bhash2-v4mapped-address": true,
	"bhash2-v4mapped-on-bind": true,
	"bhash2-v4mapped-wildcard": true,
	"bhash2-v6only-v4mapped": true,
	"connect-range-step-1": true,
	"dccp-removed": true,
	"fastreuse-recomputed": true,
	"first-bind-not-fast": true,
	"mptcp-getsockopt-flags": true,
	"mptcp-accepted-set-up": true,
	"mptcp-local-port-range": true,
	"mptcp-set-up-while-closed": true,
	"orphan-uid": true,
	"port-step-width": true,
	"prefsrc-removed-on-every-device": true,
	"sctp-l3mdev": true,
	"simultaneous-synack-accepted": true,
	"source-address-within-vrf": true,
	"syn-recv-shutdown-deferred": true,
	"tcp-tw-reuse-delay": true,
	"tw-fin-wait2-not-reused": true,
	"udp-child-hash-entries": true,
	"udp-hash4": true,
	"udp-hash4-reconnect": true,
	"sctp-accept-clones": true,
	"sctp-listen-resets-state": true,
	"sctp-listener-shutdown": true,
	"tcp-disconnect-busy": true,
	"tcp-disconnect-epipe": true,
	"udp-reuseport-rescored": true,
	"udp-reuseport-rescored-upwards": true,
	"udp-wildcard-hash2-shortcut-fixed": true,
	"udplite-removed": true,
};

function isChangeName(name: string): name is ChangeName {
	return name in ASKED;
}

/** One more change, or one less: longer names first, as one may begin another. */
const EDIT = new RegExp(
	`([+-])(${Object.keys(ASKED)
		.sort((a, b) => b.length - a.length)
		.join("|")})(?![^+-])`,
	"gy",
);

/**
 * The changes of a version that ported code asks for; null for a version that is not known.
 * `6.3+one-other` is 6.3 with the change `one` and without `other`.
 */
export function changesOf(version: string): ReadonlySet<ChangeName> | null {
	const [release] = version.split(/[+-]/, 1);
	const found = VERSIONS.find((candidate) => candidate.name === release);
	if (found === undefined) return null;
	const changes = new Set(found.has.filter(isChangeName));
	let end = release.length;
	EDIT.lastIndex = end;
	for (let edit = EDIT.exec(version); edit !== null; edit = EDIT.exec(version)) {
		const [, sign, name] = edit;
		if (!isChangeName(name)) return null;
		if (sign === "+") changes.add(name);
		else changes.delete(name);
		end = EDIT.lastIndex;
	}
	return end === version.length ? changes : null;
}
