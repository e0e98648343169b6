// SPDX-License-Identifier: GPL-2.0-or-later
/** The allowed imports between folders and rooms, checked in the sources. */
import { readdirSync, readFileSync } from "node:fs";
import { dirname, join, normalize } from "node:path";
import { fileURLToPath } from "node:url";
import { describe, expect, it } from "vitest";

const ROOT = fileURLToPath(new URL("..", import.meta.url));

/** Rooms of kernel-model in order. Each imports only itself and the rooms before it. */
const ROOMS = ["machine", "script", "check", "laws", "real", "page", "cli"];

/**
 * Import circles of net/ that C has as well. Each file of a circle calls a function of another
 * file. C hides this in headers. The reason names the calls that close the circle.
 */
const CIRCLES: readonly { files: readonly string[]; reason: string }[] = [
	{
		files: [
			"net/ipv4/devinet.ts",
			"net/ipv4/fib_frontend.ts",
			"net/ipv4/fib_semantics.ts",
			"net/ipv4/fib_trie.ts",
			"net/ipv4/route.ts",
		],
		reason:
			"devinet.c tells fib_frontend.c of addresses, fib_frontend.c asks devinet.c for them, puts " +
			"routes into fib_trie.c and flushes route.c's cache, fib_trie.c checks routes by " +
			"fib_semantics.c, which asks fib_frontend.c for the type of an address, route.c asks all",
	},
	{
		files: ["net/ipv6/addrconf.ts", "net/ipv6/route.ts"],
		reason: "addrconf.c adds routes by route.c, route.c chooses sources by ipv6_dev_get_saddr",
	},
	{
		files: ["net/dccp/input.ts", "net/dccp/ipv4.ts", "net/dccp/ipv6.ts", "net/dccp/minisocks.ts"],
		reason:
			"input.c and minisocks.c call ipv4.c and ipv6.c by icsk_af_ops and rsk_ops, which call " +
			"dccp_rcv_state_process and dccp_check_req",
	},
	{
		files: [
			"net/ipv4/af_inet.ts",
			"net/ipv4/inet_connection_sock.ts",
			"net/ipv4/inet_hashtables.ts",
			"net/ipv4/inet_timewait_sock.ts",
			"net/ipv4/syncookies.ts",
			"net/ipv4/tcp.ts",
			"net/ipv4/tcp_fastopen.ts",
			"net/ipv4/tcp_input.ts",
			"net/ipv4/tcp_ipv4.ts",
			"net/ipv4/tcp_metrics.ts",
			"net/ipv4/tcp_minisocks.ts",
			"net/ipv4/tcp_output.ts",
			"net/ipv4/tcp_timer.ts",
			"net/ipv4/udp.ts",
			"net/ipv6/af_inet6.ts",
			"net/ipv6/inet6_hashtables.ts",
			"net/ipv6/tcp_ipv6.ts",
			"net/ipv6/udp.ts",
			"net/mptcp/ctrl.ts",
			"net/mptcp/options.ts",
			"net/mptcp/protocol.ts",
			"net/mptcp/sockopt.ts",
			"net/mptcp/subflow.ts",
		],
		reason:
			"TCP's files call each other; inet_hashtables.c calls inet_sk_get_local_port_range of " +
			"inet_connection_sock.c, which calls inet_bind_bucket_create, and through twsk_unique " +
			"tcp_twsk_unique of tcp_ipv4.c; tcp_sendmsg_fastopen of tcp.c calls __inet_stream_connect of " +
			"af_inet.c, which registers tcp_prot and udp_prot, and udp.c calls " +
			"inet_sk_get_local_port_range; tcp_fastopen.c asks tcp_metrics.c for cookies; tcp_ipv4.c calls " +
			"syncookies.c, which makes children by tcp_ipv4.c; " +
			"tcp_input.c, tcp_output.c and tcp_timer.c call MPTCP's options.c and ctrl.c, and MPTCP's files " +
			"call TCP's and the operations of af_inet6.c",
	},
	{
		files: [
			"net/sctp/associola.ts",
			"net/sctp/bind_addr.ts",
			"net/sctp/endpointola.ts",
			"net/sctp/input.ts",
			"net/sctp/ipv6.ts",
			"net/sctp/output.ts",
			"net/sctp/outqueue.ts",
			"net/sctp/primitive.ts",
			"net/sctp/protocol.ts",
			"net/sctp/sm_make_chunk.ts",
			"net/sctp/sm_sideeffect.ts",
			"net/sctp/sm_statefuns.ts",
			"net/sctp/socket.ts",
			"net/sctp/transport.ts",
		],
		reason:
			"one module: bind_addr.c asks protocol.c for a family's functions, protocol.c registers " +
			"sctp_prot of socket.c, socket.c makes associations and endpoints, whose end puts the port; " +
			"input.c calls the functions of sm_statefuns.c, which send packets by output.c and change " +
			"associations",
	},
];

/** Files below a folder, from the root. */
function sources(folder: string): string[] {
	return readdirSync(join(ROOT, folder), { recursive: true, encoding: "utf8" })
		.filter((name) => name.endsWith(".ts"))
		.map((name) => `${folder}/${name}`)
		.sort();
}

const IMPORT = /^(?:import|export)\s(type\s)?(?:([^;"]*?)\sfrom\s)?"(\.[^"]+)"/gm;

/** The imports of a file. `types` includes imports of types. */
function importsOf(file: string, types: boolean): string[] {
	const found: string[] = [];
	for (const [, type, names, path] of readFileSync(join(ROOT, file), "utf8").matchAll(IMPORT)) {
		const braces = /^\{(.*)\}$/s.exec(names ?? "");
		const onlyTypes =
			type !== undefined ||
			(braces?.[1]
				.split(",")
				.map((name) => name.trim())
				.every((name) => name === "" || name.startsWith("type ")) ??
				false);
		if (onlyTypes && !types) continue;
		found.push(normalize(join(dirname(file), path.replace(/\.js$/, ".ts"))));
	}
	return found;
}

/** Strongly connected components with more than one file (Tarjan). */
function circles(files: readonly string[], types: boolean): string[][] {
	const index = new Map<string, number>();
	const low = new Map<string, number>();
	const stack: string[] = [];
	const found: string[][] = [];
	const visit = (file: string): number => {
		const mine = index.size;
		index.set(file, mine);
		stack.push(file);
		let lowest = mine;
		for (const other of importsOf(file, types)) {
			if (!files.includes(other)) continue;
			if (!index.has(other)) lowest = Math.min(lowest, visit(other));
			else if (stack.includes(other)) lowest = Math.min(lowest, index.get(other) ?? mine);
		}
		low.set(file, lowest);
		if (lowest === mine) {
			const members = stack.splice(stack.indexOf(file));
			if (members.length > 1) found.push(members.sort());
		}
		return lowest;
	};
	for (const file of files) if (!index.has(file)) visit(file);
	return found.sort();
}

/** The room of a file in kernel-model. index.ts is in no room. */
function room(file: string): string | null {
	const [, name, rest] = file.split("/");
	return rest === undefined ? null : name;
}

describe("layout", () => {
	it("include/ imports only include/", () => {
		const against = sources("include").flatMap((file) =>
			importsOf(file, true)
				.filter((other) => !other.startsWith("include/"))
				.map((other) => `${file} imports ${other}`),
		);
		expect(against).toEqual([]);
	});

	it("include/ has no circle of imports", () => {
		expect(circles(sources("include"), false)).toEqual([]);
	});

	it("net/ imports only include/ and net/", () => {
		const against = sources("net").flatMap((file) =>
			importsOf(file, true)
				.filter((other) => !/^(include|net)\//.test(other))
				.map((other) => `${file} imports ${other}`),
		);
		expect(against).toEqual([]);
	});

	it("a room of kernel-model imports itself and those before it", () => {
		const against = sources("kernel-model").flatMap((file) => {
			const own = room(file);
			if (own === null) return [];
			expect(ROOMS).toContain(own);
			return importsOf(file, true)
				.filter((other) => other.startsWith("kernel-model/"))
				.filter((other) => {
					const its = room(other);
					return its === null || ROOMS.indexOf(its) > ROOMS.indexOf(own);
				})
				.map((other) => `${file} imports ${other}`);
		});
		expect(against).toEqual([]);
	});

	it("net/ has no circle of imports but those that C has", () => {
		const listed = CIRCLES.map(({ files }) => [...files].sort()).sort();
		expect(circles(sources("net"), false)).toEqual(listed);
	});
});
