// SPDX-License-Identifier: GPL-2.0-or-later
/**
 * Notes which lines of a recording made a socket, gave it its port and set its options. No line
 * makes a time-wait socket, or a connection that is not accepted yet. The line of such a sock is
 * the one that made its connection.
 */
import { SOCK_DEAD } from "../../include/net/sock.js";
import { TCP_LISTEN, TCP_TIME_WAIT } from "../../include/net/tcp_states.js";
import { sockDestination, sockSource } from "../machine/explain.js";
import type { Kernel } from "../machine/kernel.js";
import type { NetNamespace } from "../machine/net.js";

/** Options that decide which ports a socket gets, and with whom it shares them. */
const OPTIONS: readonly string[] = [
	"SO_REUSEADDR",
	"SO_REUSEPORT",
	"SO_BINDTODEVICE",
	"SO_BINDTOIFINDEX",
	"IP_LOCAL_PORT_RANGE",
	"IP_BIND_ADDRESS_NO_PORT",
	"IPV6_V6ONLY",
];

/** The default range of a namespace. */
const DEFAULT_RANGE = "32768-60999";

/** How a call gave a socket its port, in words. */
const DEEDS = ["bound", "connected", "made listen", "accepted", "sent from"] as const;

/** A line and what it did, in words. */
export interface Ground {
	line: number;
	what: string;
}

/** Lines by sock; 0 for none. Grows when a line is noted. */
class Column {
	private lines = new Float64Array(0);

	get(sk: number): number {
		return this.lines[sk] ?? 0;
	}

	set(sk: number, line: number): void {
		if (sk >= this.lines.length) {
			if (line === 0) return;
			const grown = new Float64Array(Math.max(64, sk * 2));
			grown.set(this.lines);
			this.lines = grown;
		}
		this.lines[sk] = line;
	}
}

export class Origins {
	/** The line that made a sock. */
	private readonly made = new Column();
	/** The line that gave a sock its port, the port, and an index into DEEDS. */
	private readonly ported = new Column();
	private readonly port = new Column();
	private readonly deed = new Column();
	private readonly listens = new Column();
	private readonly options = OPTIONS.map(() => new Column());
	/** The last line that connected from a local port, and the destination's port. */
	private readonly joined = new Column();
	private readonly peer = new Column();
	/** The range of a namespace, and the line that set it. */
	private readonly ranges = new Map<number, string>();
	private readonly rangeLines = new Map<number, number>();

	constructor(private readonly k: Kernel) {}

	/** The line that made a sock; 0 if it is not known. */
	lineOf(sk: number): number {
		return this.made.get(sk);
	}

	/** A line made a sock. Drops what was noted about an older sock with the same number. */
	isNew(sk: number, line: number): void {
		if (sk === 0) return;
		this.made.set(sk, line);
		for (const column of [this.ported, this.port, this.deed, this.listens, ...this.options]) {
			column.set(sk, 0);
		}
	}

	/** After a call on a sock: notes a change of its port, a connection, and listening. */
	called(name: string, sk: number, line: number): void {
		const S = this.k.sock;
		const port = S.skc_num[sk] ?? 0;
		const deed = name === "bind" ? 0 : name === "connect" ? 1 : name === "listen" ? 2 : 4;
		if (this.port.get(sk) !== port) {
			this.port.set(sk, port);
			this.ported.set(sk, port === 0 ? 0 : line);
			this.deed.set(sk, deed);
		}
		if (name === "connect" && port !== 0 && S.skc_dport[sk] !== 0) this.join(sk, line);
		if (name === "listen" && S.skc_state[sk] === TCP_LISTEN) this.listens.set(sk, line);
	}

	/** A line accepted a sock. */
	accepted(sk: number, line: number): void {
		this.isNew(sk, line);
		this.port.set(sk, this.k.sock.skc_num[sk] ?? 0);
		this.ported.set(sk, line);
		this.deed.set(sk, 3);
	}

	/** A line set an option. */
	set(sk: number, option: string, line: number): void {
		this.options[OPTIONS.indexOf(option)]?.set(sk, line);
	}

	/** A line may have changed the range of a namespace. */
	changed({ net }: NetNamespace, line: number): void {
		const { range } = net.ipv4.ip_local_ports;
		const now = range.join("-");
		const before = this.ranges.get(net.id) ?? DEFAULT_RANGE;
		this.ranges.set(net.id, now);
		if (before !== now) this.rangeLines.set(net.id, line);
	}

	private join(sk: number, line: number): void {
		const S = this.k.sock;
		this.joined.set(S.skc_num[sk] ?? 0, line);
		this.peer.set(S.skc_num[sk] ?? 0, S.skc_dport[sk] ?? 0);
	}

	/** The line that made the connection between two ports; 0 if it is not known. */
	connection(a: number, b: number): number {
		if (this.peer.get(a) === b) return this.joined.get(a);
		return this.peer.get(b) === a ? this.joined.get(b) : 0;
	}

	/** The line that last connected from a port. */
	connectedFrom(port: number): number {
		return this.joined.get(port);
	}

	/** The lines that made a sock, gave it its port and set its options. */
	of(sk: number): Ground[] {
		const S = this.k.sock;
		const port = S.skc_num[sk] ?? 0;
		const grounds: Ground[] = [];
		const source = `${sockSource(this.k, sk)}:${port}`;
		const to = S.skc_dport[sk] === 0 ? "" : ` to ${sockDestination(this.k, sk)}`;
		if (S.skc_state[sk] === TCP_TIME_WAIT || S.rsk_listener.get(sk) !== 0) {
			const line = this.connection(port, S.skc_dport[sk] ?? 0);
			const left = S.skc_state[sk] === TCP_TIME_WAIT ? ", which is in TIME_WAIT" : "";
			if (line !== 0) grounds.push({ line, what: `made the connection of ${source}${to}${left}` });
			return grounds;
		}
		const options = OPTIONS.flatMap((name, i) => {
			const line = this.options[i]?.get(sk) ?? 0;
			return line === 0 ? [] : [{ line, what: `set ${name}` }];
		});
		grounds.push(...options);
		const line = this.ported.get(sk);
		if (port !== 0 && line !== 0 && this.port.get(sk) === port) {
			const deed = DEEDS[this.deed.get(sk)] ?? "bound";
			const peer = deed === "accepted" ? to.replace(" to ", " from ") : to;
			grounds.push({ line, what: `${deed} ${source}${peer}${this.without(sk)}${this.state(sk)}` });
		} else grounds.push(...this.maker(sk));
		const listens = this.listens.get(sk);
		if (listens !== 0 && S.skc_state[sk] === TCP_LISTEN && this.deed.get(sk) !== 2) {
			grounds.push({ line: listens, what: `made ${source} listen` });
		}
		return grounds;
	}

	/** The line that made a sock. */
	maker(sk: number): Ground[] {
		const line = this.made.get(sk);
		return line === 0 ? [] : [{ line, what: "made the socket" }];
	}

	/** The options for sharing a port that a sock does not have, in words. */
	private without(sk: number): string {
		const S = this.k.sock;
		const lacks = [
			...(S.skc_reuse[sk] === 0 ? ["SO_REUSEADDR"] : []),
			...(S.skc_reuseport[sk] === 0 ? ["SO_REUSEPORT"] : []),
		];
		return S.skc_dport[sk] !== 0 || lacks.length === 0 ? "" : ` without ${lacks.join(" and ")}`;
	}

	private state(sk: number): string {
		const { sk_flags } = this.k.sock;
		return ((sk_flags[sk] ?? 0) & SOCK_DEAD) !== 0 ? ", which was closed since" : "";
	}

	/** The line that set an option of a sock; 0 if none did. */
	private option(sk: number, option: string): number {
		return this.options[OPTIONS.indexOf(option)]?.get(sk) ?? 0;
	}

	/** The lines that set the range of a sock. */
	range(sk: number): Ground[] {
		const own = this.option(sk, "IP_LOCAL_PORT_RANGE");
		const net = this.rangeLines.get(this.k.sock.skc_net[sk] ?? 0) ?? 0;
		return [
			...(net === 0 ? [] : [{ line: net, what: "set ip_local_port_range" }]),
			...(own === 0 ? [] : [{ line: own, what: "set IP_LOCAL_PORT_RANGE" }]),
		];
	}
}
