// SPDX-License-Identifier: GPL-2.0-or-later
/**
 * Learns facts about the recorded host from results. An address that bind() accepted is an address
 * of the host. A destination that answered has a route. A refused port below 1024 means that the
 * user is not root. Nothing is learnt about a namespace that the recorded program made, because
 * everything in it is known.
 */
import { CAP_FULL_SET, CAP_NET_BIND_SERVICE } from "../../include/linux/capability.js";
import { TFO_CLIENT_ENABLE } from "../../include/net/tcp.js";
import {
	EACCES,
	EADDRNOTAVAIL,
	ENETUNREACH,
	ENODEV,
	EOPNOTSUPP,
	EPERM,
} from "../../include/uapi/asm-generic/errno.js";
import { SO_BINDTODEVICE, SOL_SOCKET } from "../../include/uapi/asm-generic/socket.js";
import {
	type Address,
	hostPrefix,
	isWildcard,
	parseIpv4,
	parseIpv6,
	unmapped,
} from "../machine/address.js";
import type { Task } from "../machine/task.js";
import { type CallLine, decodeString } from "../script/strace.js";
import type { World } from "./world.js";

/** Results of connect() that require a route. */
const ROUTED = new Set([
	"EINPROGRESS",
	"ECONNREFUSED",
	"ETIMEDOUT",
	"EHOSTUNREACH",
	"ECONNRESET",
	"EUSERS",
	"EBADRQC",
	"ENOMSG",
	"EINTR",
	"ERESTARTSYS",
]);

export class Host {
	constructor(private readonly world: World) {}

	/**
	 * The model's result is not the recorded one. Learns a fact about the host that explains the
	 * recorded result. Returns the fact in words; null if there is none. The failed call has
	 * changed nothing.
	 */
	learn(task: Task, call: CallLine, result: number, recorded: number | null): string | null {
		const { world } = this;
		const error = call.result?.errno ?? null;
		if (world.alone && !world.netDoubts.has(task.net.net.id)) return null;
		const operands = world.operands(call);
		const succeeded = recorded !== null && recorded >= 0;
		if (
			call.name === "bind" &&
			result === -EADDRNOTAVAIL &&
			(succeeded || error === "EADDRINUSE")
		) {
			const wanted = operands.shownAddress(1);
			return wanted === null ? null : this.learnAddress(task, wanted);
		}
		if (call.name === "bind" && result === -EACCES && succeeded) {
			this.becomeRoot(task);
			return "the user may bind to ports below 1024";
		}
		if (call.name === "setsockopt" && result === -ENODEV && succeeded) {
			if (operands.flags(1) !== SOL_SOCKET || operands.flags(2) !== SO_BINDTODEVICE) return null;
			const value = call.args[3]?.value;
			const name = value?.kind === "string" ? decodeString(value).replace(/\0.*$/s, "") : "";
			if (name === "" || task.net.addLink(name) < 0) return null;
			task.net.setLink(name, true);
			return `device ${name}`;
		}
		const sends = /^(connect|sendto|sendmsg|sendmmsg)$/.test(call.name);
		const unrouted = result === -ENETUNREACH || result === -EADDRNOTAVAIL;
		if (sends && unrouted && (succeeded || ROUTED.has(error ?? ""))) {
			const to =
				call.name === "connect"
					? operands.shownAddress(1)
					: (operands.messages()?.messages[0]?.to?.address ?? null);
			return to === null ? null : this.learnRoute(task, call, to);
		}
		const { ipv4 } = task.net.net;
		const fastopen = result === -EOPNOTSUPP && (succeeded || error === "EINPROGRESS");
		if (fastopen && (ipv4.sysctl_tcp_fastopen & TFO_CLIENT_ENABLE) === 0) {
			ipv4.sysctl_tcp_fastopen |= TFO_CLIENT_ENABLE;
			return `net.ipv4.tcp_fastopen is ${ipv4.sysctl_tcp_fastopen}`;
		}
		if (error === "EOPNOTSUPP" && result >= 0 && call.name === "setsockopt") {
			const option = operands.option()?.name;
			if (option !== "TCP_FASTOPEN_CONNECT") return null;
			ipv4.sysctl_tcp_fastopen &= ~TFO_CLIENT_ENABLE;
			return `net.ipv4.tcp_fastopen is ${ipv4.sysctl_tcp_fastopen}`;
		}
		if (result === -EPERM && succeeded) {
			this.becomeRoot(task);
			return "the user is root";
		}
		return null;
	}

	/** Gives a task every capability. */
	private becomeRoot(task: Task): void {
		task.uid = 0;
		task.capabilities = CAP_FULL_SET;
	}

	/**
	 * A bind() that failed shows that the user is not root. This is learnt before the call is made,
	 * because the socket must not be bound. Returns the fact in words; null if nothing is learnt.
	 */
	learnUser(task: Task, call: CallLine, recorded: number | null): string | null {
		const { world } = this;
		if (
			recorded !== -EACCES ||
			call.name !== "bind" ||
			world.alone ||
			world.privileged ||
			!task.capable(CAP_NET_BIND_SERVICE)
		)
			return null;
		if (world.options.uid !== undefined) return null;
		const wanted = world.operands(call).shownAddress(1);
		const first = task.net.net.ipv4.sysctl_ip_prot_sock;
		if (wanted === null || wanted.port === 0 || wanted.port >= first) return null;
		world.becomeUser();
		return "the user is not root";
	}

	private learnAddress(task: Task, { family, address: shown }: Address): string | null {
		if (family !== "AF_INET" && family !== "AF_INET6") return null;
		const address = unmapped(shown);
		const lo = task.net.net.devices.find(({ name }) => name === "lo");
		if (lo !== undefined && (lo.flags & 1) === 0) {
			task.net.setLink("lo", true);
			return "device lo is up";
		}
		if (task.net.addAddress(hostPrefix(address), "lo") < 0) return null;
		return `address ${address}`;
	}

	/** Learns a route to one destination, with the source address that the socket shows later. */
	private learnRoute(task: Task, call: CallLine, to: Address): string | null {
		const mapped = unmapped(to.address);
		const v4 = parseIpv4(mapped) !== null;
		if (!v4 && parseIpv6(mapped) === null) return null;
		const lo = task.net.net.devices.find(({ name }) => name === "lo");
		if (lo !== undefined && (lo.flags & 1) === 0) {
			task.net.setLink("lo", true);
			return "device lo is up";
		}
		const source = this.world.evidence.sources.get(call) ?? null;
		const shown = source === null ? undefined : unmapped(source.address);
		// A socket that shows an address of the other family tells nothing about this route.
		const src = shown !== undefined && (parseIpv4(shown) !== null) === v4 ? shown : undefined;
		if (src === mapped) return this.learnAddress(task, { ...to, address: src });
		if (src !== undefined && !isWildcard(src)) {
			task.net.addAddress(hostPrefix(src), "lo");
		} else if (!this.hasAddress(task, v4)) {
			// The host needs an address as a source.
			task.net.addAddress(v4 ? "192.0.2.1/32" : "2001:db8::1/128", "lo");
		}
		const options = {
			to: hostPrefix(mapped),
			dev: "lo",
			family: v4 ? (4 as const) : (6 as const),
			...(src === undefined || isWildcard(src) ? {} : { src }),
		};
		if (task.net.replaceRoute({ ...options, answer: "blackhole" }) < 0) return null;
		return `a route to ${mapped}${src === undefined ? "" : ` from ${src}`}`;
	}

	private hasAddress(task: Task, v4: boolean): boolean {
		return task.net.net.devices.some(({ ifa_list, addr_list }) =>
			v4 ? ifa_list.some(({ ifa_local }) => ifa_local >>> 24 !== 127) : addr_list.length > 1,
		);
	}
}
