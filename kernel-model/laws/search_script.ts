// SPDX-License-Identifier: GPL-2.0-or-later
/** Writes a socket that searches for its port as lines of a script. */
import { EADDRINUSE, EOPNOTSUPP } from "../../include/uapi/asm-generic/errno.js";
import { nth } from "../machine/nth.js";
import type { Kind } from "./kinds.js";
import { LISTEN_FAILED } from "./lab.js";
import { KINDS, type Protocol } from "./protocols.js";
import {
	BASE,
	chosenPlace,
	DESTINATION_PORTS,
	PEER,
	PENDING,
	type Range,
	type Search,
} from "./searches.js";
import { destinationOf, rangeValue } from "./searching.js";
import { resultText, sockaddrText } from "./sockaddr.js";

/** The lines of one socket, after socket() and the options of its kind. */
interface SearchLines {
	/** Commands that set the ranges, without "$ ". */
	readonly settings: readonly string[];
	readonly calls: readonly string[];
}

/**
 * Writes the sockets of one program. A kernel cannot be told where to begin. So a search that found
 * a port gets a range of this port alone: it leaves the same state behind.
 */
export class SearchScript {
	private readonly connected: string;
	private reserved = "";
	private shares = false;
	private width = 0;

	/** `stepWidth`: whether the kernel has ip_local_port_step_width. */
	constructor(
		protocol: Protocol,
		private readonly stepWidth: boolean,
	) {
		// The destinations do not answer.
		this.connected = KINDS[protocol].listens ? "-1 EINPROGRESS" : "0";
	}

	private settings(within: Range, chosen: number | null): string[] {
		const low = BASE + (chosen ?? within.low);
		const high = BASE + (chosen ?? within.high);
		const lines = [`sysctl -w net.ipv4.ip_local_port_range="${low} ${high}"`];
		const reserved = chosen === null ? within.reserved.map((place) => BASE + place).join(",") : "";
		if (reserved !== this.reserved) {
			lines.push(`sysctl -w net.ipv4.ip_local_reserved_ports="${reserved}"`);
			this.reserved = reserved;
		}
		if (within.shares !== this.shares) {
			lines.push(`sysctl -w net.ipv4.ip_autobind_reuse=${within.shares ? 1 : 0}`);
			this.shares = within.shares;
		}
		const width = chosen === null && this.stepWidth ? within.width : 0;
		if (width !== this.width) {
			lines.push(`sysctl -w net.ipv4.ip_local_port_step_width=${width}`);
			this.width = width;
		}
		return lines;
	}

	/** The lines of a socket of a kind with a descriptor; `answer` is the model's. */
	lines(kind: Kind, search: Search, fd: number, answer: number): SearchLines {
		const { how, range, to } = search;
		const chosen = chosenPlace(answer);
		const settings = how === "named" ? [] : this.settings(range, chosen);
		const calls: string[] = [];
		/** The answer if a call failed, and then -1 once the call is written. */
		let error = chosen === null ? answer : 0;
		const call = (text: string, fails: (errno: number) => boolean) => {
			if (error > 0 && fails(error)) {
				calls.push(
					`${text} = ${resultText(error > LISTEN_FAILED ? error - LISTEN_FAILED : error)}`,
				);
				error = -1;
			} else if (error >= 0) calls.push(`${text} = 0`);
		};
		const refused = (errno: number) => errno === EOPNOTSUPP;
		if (range.own !== null && chosen === null) {
			const value = rangeValue(range.own);
			call(`setsockopt(${fd}, SOL_IP, IP_LOCAL_PORT_RANGE, [${value}], 4)`, refused);
		}
		if (how === "late") {
			call(`setsockopt(${fd}, SOL_IP, IP_BIND_ADDRESS_NO_PORT, [1], 4)`, refused);
		}
		if (how !== "connect" && how !== "listen") {
			const port = how === "named" ? BASE + search.port : 0;
			// A socket without SOCK_BINDPORT_LOCK has no port after a connect() that failed, so the
			// answer does not tell the call.
			call(`bind(${fd}, ${sockaddrText(kind.place.address, port)})`, (errno) =>
				how === "named" ? errno < LISTEN_FAILED : errno === EADDRINUSE,
			);
		}
		if (how === "listen" || kind.listens) call(`listen(${fd}, 1)`, () => true);
		if (to !== null) {
			const port = nth(DESTINATION_PORTS, to);
			const connect = `connect(${fd}, ${sockaddrText(destinationOf(kind, to), port)})`;
			const connected = to === PEER && answer < PENDING ? "0" : this.connected;
			if (error === 0) calls.push(`${connect} = ${connected}`);
			else call(connect, () => true);
		}
		return { settings, calls };
	}
}
