// SPDX-License-Identifier: GPL-2.0-or-later
/**
 * Kernel versions as sets of behaviour changes. Ported code asks for a change by name
 * (`k.changes.has(...)`); nothing else knows about versions.
 */
import type { ChangeName } from "../include/net/stack.js";

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
		name: "connect-range-step-1",
		commit: null,
		since: "6.8",
		backports: [],
		summary:
			"connect() with a per-socket range scans every port in turn, without a pass for each parity; a set range counts as local even where it lies outside the namespace's",
		modelled: false,
	},
	{
		name: "bhash-holds-bhash2",
		commit: null,
		since: "6.8",
		backports: [],
		summary:
			"bind buckets hold bind2 buckets instead of sockets; time-wait sockets are among the owners; AF_INET buckets are kept as v4-mapped addresses",
		modelled: false,
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
		since: "6.12",
		backports: ["6.1.176"],
		summary: "the source address of a destination in a VRF is chosen among the VRF's own addresses",
		modelled: true,
	},
	{
		name: "mptcp-local-port-range",
		commit: "ae5439658cce",
		since: "6.14",
		backports: [],
		summary: "MPTCP sockets take IP_LOCAL_PORT_RANGE and IP_BIND_ADDRESS_NO_PORT",
		modelled: true,
	},
	{
		name: "tcp-tw-reuse-delay",
		commit: null,
		since: "6.16",
		backports: [],
		summary: "tcp_tw_reuse_delay (ms, default 1000) replaces the rule of the next second",
		modelled: false,
	},
	{
		name: "orphan-uid",
		commit: null,
		since: "6.17",
		backports: [],
		summary: "a socket without a file keeps the user that made it instead of counting as root's",
		modelled: false,
	},
	{
		name: "fastreuse-recomputed",
		commit: null,
		since: "6.18",
		backports: ["6.17.8"],
		summary:
			"bind buckets compute fastreuse and fastreuseport anew when an owner leaves; sockets bound by connect() are marked",
		modelled: false,
	},
	{
		name: "udp-wildcard-hash2-shortcut-fixed",
		commit: "e537dd15d0d4",
		since: "7.1",
		backports: ["6.1.176", "6.12.107", "6.18.44"],
		summary: "UDP bind() to the wildcard with many sockets in a slot no longer misses conflicts",
		modelled: true,
	},
	{
		name: "port-step-width",
		commit: "7da62262ec96",
		since: "7.1",
		backports: [],
		summary: "ip_local_port_step_width: connect() scans with a random step",
		modelled: false,
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

export const VERSIONS: readonly KernelVersion[] = [
	{
		name: "6.1.176",
		description: "stable release with the option backported (Debian 12), TCP over IPv4",
		has: [
			"bhash2-dual-stack-wildcard",
			"bhash2-v4mapped-address",
			"bhash2-v4mapped-on-bind",
			"bhash2-v4mapped-wildcard",
			"ip-local-port-range",
			"simultaneous-synack-accepted",
			"source-address-within-vrf",
			"syn-recv-shutdown-deferred",
			"tw-fin-wait2-not-reused",
			"udp-reuseport-rescored",
			"udp-wildcard-hash2-shortcut-fixed",
		],
	},
	{
		name: "6.3",
		description: "the commit that added the option, 91d0b78c5177 (the default)",
		has: ["ip-local-port-range", "sctp-l3mdev"],
	},
];

export const DEFAULT_VERSION = "6.3";

/** Every name that ported code may ask for: the compiler sees to it that none is missing. */
const ASKED: Readonly<Record<ChangeName, true>> = {
	"bhash2-dual-stack-wildcard": true,
	"bhash2-v4mapped-address": true,
	"bhash2-v4mapped-on-bind": true,
	"bhash2-v4mapped-wildcard": true,
	"mptcp-local-port-range": true,
	"prefsrc-removed-on-every-device": true,
	"sctp-l3mdev": true,
	"simultaneous-synack-accepted": true,
	"source-address-within-vrf": true,
	"syn-recv-shutdown-deferred": true,
	"tw-fin-wait2-not-reused": true,
	"udp-reuseport-rescored": true,
	"udp-wildcard-hash2-shortcut-fixed": true,
};

function isChangeName(name: string): name is ChangeName {
	return name in ASKED;
}

/** The changes of a version that ported code asks for; null for a version that is not known. */
export function changesOf(version: string): ReadonlySet<ChangeName> | null {
	const found = VERSIONS.find((candidate) => candidate.name === version);
	if (found === undefined) return null;
	return new Set(found.has.filter(isChangeName));
}
