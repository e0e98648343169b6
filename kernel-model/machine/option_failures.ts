// SPDX-License-Identifier: GPL-2.0-or-later
/** Says why setsockopt() or getsockopt() failed. failures.ts has the other calls. */
import { DCCP_SERVICE_LIST_MAX_LEN } from "../../include/linux/dccp.js";
import {
	AF_INET6,
	SOL_DCCP,
	SOL_IP,
	SOL_IPV6,
	SOL_SCTP,
	SOL_TCP,
	SOL_UDP,
} from "../../include/linux/socket.js";
import { ipv6_only_sock } from "../../include/net/inet_sock.js";
import { SCTP_SOCKOPT_BINDX_ADD, SCTP_SOCKOPT_BINDX_REM } from "../../include/net/sctp.js";
import { TFO_CLIENT_ENABLE } from "../../include/net/tcp.js";
import * as E from "../../include/uapi/asm-generic/errno.js";
import {
	SO_ACCEPTCONN,
	SO_BINDTODEVICE,
	SO_BINDTOIFINDEX,
	SO_DOMAIN,
	SO_ERROR,
	SO_LINGER,
	SO_PROTOCOL,
	SO_RCVTIMEO_NEW,
	SO_RCVTIMEO_OLD,
	SO_REUSEADDR,
	SO_REUSEPORT,
	SO_SNDTIMEO_NEW,
	SO_SNDTIMEO_OLD,
	SO_TYPE,
	SOL_SOCKET,
} from "../../include/uapi/asm-generic/socket.js";
import { IFNAMSIZ } from "../../include/uapi/linux/if.js";
import {
	IP_LOCAL_PORT_RANGE,
	IP_TRANSPARENT,
	IPPROTO_DCCP,
	IPPROTO_MPTCP,
	IPPROTO_TCP,
	IPPROTO_UDP,
	IPPROTO_UDPLITE,
	IPV6_ADDRFORM,
	IPV6_FREEBIND,
	IPV6_TRANSPARENT,
	IPV6_V6ONLY,
} from "../../include/uapi/linux/in.js";
import {
	TCP_FASTOPEN,
	TCP_FASTOPEN_CONNECT,
	TCP_FASTOPEN_NO_COOKIE,
} from "../../include/uapi/linux/tcp.js";
import {
	type Asked,
	optionLevel,
	ownFamily,
	type Reason,
	state,
	subflowReasons,
	without,
} from "./asked.js";
import { deviceName, plural } from "./describe.js";
import { nth } from "./nth.js";
import { isSctp, isUdp } from "./sharing.js";

const READ_ONLY = new Set([SO_TYPE, SO_PROTOCOL, SO_DOMAIN, SO_ERROR, SO_ACCEPTCONN]);

/** Options of SOL_SOCKET that MPTCP passes to its first subflow. */
const ON_SUBFLOW = new Set([SO_REUSEADDR, SO_REUSEPORT, SO_BINDTODEVICE, SO_BINDTOIFINDEX]);

function needsNetAdmin(a: Asked, where: string, option: string): Reason {
	const why = `${option} needs CAP_NET_RAW or CAP_NET_ADMIN, and user ${a.task.uid} has neither`;
	return [E.EPERM, where, why];
}

function view(bytes: Uint8Array): DataView {
	return new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
}

/** The first int of a value. */
function intAt(optval: Uint8Array | null, otherwise: number): number {
	return optval === null || optval.length < 4 ? otherwise : view(optval).getInt32(0, true);
}

/** A C string as text for a message. */
function text(bytes: Uint8Array | null): string {
	const chars = [...(bytes ?? [])];
	const end = chars.indexOf(0);
	const shown = (end === -1 ? chars : chars.slice(0, end)).slice(0, 15);
	return JSON.stringify(String.fromCharCode(...shown));
}

/** Whether the socket is one of MPTCP that did not fall back to TCP. */
function isMptcp({ k, sk }: Asked): boolean {
	return k.sock.sk_protocol[sk] === IPPROTO_MPTCP && k.mptcp.socks.get(sk)?.fallback !== true;
}

/** A value that is too short for the option. */
function tooShort({ call }: Asked, where: string, least: number): Reason {
	return [
		E.EINVAL,
		where,
		`a value of ${plural(call.length ?? 0, "byte")} is too short: the option has ${least}`,
	];
}

/** A value that cannot be read. */
function unreadable({ call: { optval = null, length = 0 } }: Asked, where: string): Reason {
	const why =
		optval === null
			? "the value is at NULL"
			: `only ${optval.length} of ${length} bytes can be read`;
	return [E.EFAULT, where, why];
}

/** net/core/sock.c: sk_setsockopt, and the functions that it calls. */
function* socketLevel(a: Asked): Iterable<Reason> {
	const { k, call, ssk } = a;
	const { optname = 0, optval = null, length = 0 } = call;
	const where = "sk_setsockopt";
	const present = optval?.length ?? 0;
	const device = nth(k.sock.skc_bound_dev_if, ssk);
	if (optname === SO_BINDTODEVICE) {
		if (length > 0 && present < Math.min(length, IFNAMSIZ - 1)) {
			yield unreadable(a, "sock_setbindtodevice");
		}
		yield [E.ENODEV, "sock_setbindtodevice", `this namespace has no device ${text(optval)}`];
	} else {
		if (length < 4) yield tooShort(a, where, 4);
		if (present < 4) yield unreadable(a, where);
	}
	if (device !== 0 && (optname === SO_BINDTODEVICE || optname === SO_BINDTOIFINDEX)) {
		const bound = deviceName(k, ssk, device);
		const why = `the socket is bound to ${bound}, and user ${a.task.uid} has no CAP_NET_RAW`;
		yield [E.EPERM, "sock_bindtoindex_locked", why];
	}
	if (optname === SO_BINDTOIFINDEX) {
		yield [E.EINVAL, "sock_bindtoindex_locked", "the device number is negative"];
	}
	if (READ_ONLY.has(optname)) yield [E.ENOPROTOOPT, where, "the option can only be read"];
	if (optname === SO_LINGER) {
		if (length < 8) yield tooShort(a, where, 8);
		yield unreadable(a, where);
	}
	if (TIMEOUTS.has(optname)) {
		if (length < 16) yield tooShort(a, "sock_copy_user_timeval", 16);
		if (present < 16) yield unreadable(a, "sock_copy_user_timeval");
		yield [E.EDOM, "sock_set_timeout", "the microseconds are not between 0 and 999999"];
	}
	yield [E.ENOPROTOOPT, where, `SOL_SOCKET has no option ${optname}`];
}

/** Options whose value is a struct timeval. */
const TIMEOUTS: ReadonlySet<number> = new Set([
	SO_RCVTIMEO_OLD,
	SO_RCVTIMEO_NEW,
	SO_SNDTIMEO_OLD,
	SO_SNDTIMEO_NEW,
]);

/** net/ipv4/ip_sockglue.c: do_ip_setsockopt. */
function* ipLevel(a: Asked): Iterable<Reason> {
	const { call } = a;
	const { optname = 0, optval = null, length = 0 } = call;
	const where = "do_ip_setsockopt";
	const present = optval?.length ?? 0;
	if (length > 0 && present < Math.min(length, 4)) yield unreadable(a, where);
	if (optname === IP_LOCAL_PORT_RANGE) {
		if (length !== 4) yield [E.EINVAL, where, `the value has ${plural(length, "byte")}, not 4`];
		const value = present < 4 || optval === null ? 0 : view(optval).getUint32(0, true);
		const [lo, hi] = [value & 0xffff, value >>> 16];
		if (lo !== 0 && hi !== 0 && lo > hi) {
			const why = `the low bound ${lo} is above the high bound ${hi}`;
			yield [E.EINVAL, where, `${why} (the high bound is the upper half of the value)`];
		}
	}
	if (optname === IP_TRANSPARENT) yield needsNetAdmin(a, where, "IP_TRANSPARENT");
	yield [E.EINVAL, where, `a value of ${plural(length, "byte")} is too short`];
	yield [E.ENOPROTOOPT, where, `SOL_IP has no option ${optname}`];
}

/** net/ipv6/ipv6_sockglue.c: do_ipv6_setsockopt. */
function* ipv6Level(a: Asked): Iterable<Reason> {
	const { k, call, sk, ssk } = a;
	const { optname = 0, optval = null, length = 0 } = call;
	const where = "do_ipv6_setsockopt";
	if (length >= 4 && optval !== null && optval.length < 4) yield unreadable(a, where);
	if (optname === IPV6_TRANSPARENT) yield needsNetAdmin(a, where, "IPV6_TRANSPARENT");
	if (length < 4) yield tooShort(a, where, 4);
	if (optname === IPV6_V6ONLY && k.sock.skc_num[ssk] !== 0) {
		const why = `the socket has port ${k.sock.skc_num[ssk]} already`;
		yield [E.EINVAL, where, `${why}: IPV6_V6ONLY must be set before bind()`];
	}
	if (optname === IPV6_ADDRFORM) {
		yield [E.EINVAL, where, "IPV6_ADDRFORM takes AF_INET only"];
		yield [E.EBUSY, where, "the socket's protocol was replaced"];
		yield [E.ENOPROTOOPT, where, "only TCP and UDP sockets change their family"];
		yield [E.ENOTCONN, where, `the socket is in state ${state(a)}, not ESTABLISHED`];
		if (ipv6_only_sock(k, sk)) yield [E.EADDRNOTAVAIL, where, "the socket is IPV6_V6ONLY"];
		const why = "the socket is connected to an IPv6 address that is not v4-mapped";
		yield [E.EADDRNOTAVAIL, where, why];
	}
	yield [E.ENOPROTOOPT, where, `SOL_IPV6 has no option ${optname}`];
}

/** net/sctp/socket.c: sctp_setsockopt. */
function* sctpLevel(a: Asked, bindService: Reason): Iterable<Reason> {
	const where = "sctp_setsockopt";
	const { optval = null, length = 0 } = a.call;
	if (length > (optval?.length ?? 0)) yield unreadable(a, where);
	const late = `the socket has port ${a.k.sock.skc_num[a.sk]} already: set the option before bind()`;
	yield [E.EFAULT, "sctp_setsockopt_reuse_port", late];
	yield [E.EADDRNOTAVAIL, "sctp_do_bind", "an address is not an address of this host"];
	yield [E.EADDRINUSE, "sctp_get_port_local", "another socket has an address and the port"];
	yield bindService;
	yield [E.EBUSY, "sctp_bindx_rem", "the last address cannot be removed"];
	const many = "one-to-many sockets do not have this option";
	yield [E.EOPNOTSUPP, "sctp_setsockopt_reuse_port", many];
	if (a.call.optname === SCTP_SOCKOPT_BINDX_ADD || a.call.optname === SCTP_SOCKOPT_BINDX_REM) {
		const why = "the value does not consist of whole addresses with the port of the socket or 0";
		yield [E.EINVAL, "sctp_setsockopt_bindx", why];
	}
	yield [E.EINVAL, where, `a value of ${plural(length, "byte")} is too short`];
	yield [E.ENOPROTOOPT, where, `SOL_SCTP has no option ${a.call.optname}`];
}

/** net/dccp/proto.c: do_dccp_setsockopt. */
function* dccpLevel(a: Asked): Iterable<Reason> {
	const where = "do_dccp_setsockopt";
	const { length = 0, optname = 0 } = a.call;
	if (length < 4) yield tooShort(a, where, 4);
	yield unreadable(a, where);
	const codes = `a service code is 0xffffffff, or there are more than ${DCCP_SERVICE_LIST_MAX_LEN}`;
	yield [E.EINVAL, "dccp_setsockopt_service", codes];
	yield [E.EFAULT, "dccp_setsockopt_service", codes];
	yield [E.EOPNOTSUPP, where, "the socket is not one that accept() returned"];
	yield [E.ENOPROTOOPT, where, `SOL_DCCP has no option ${optname}`];
}

/** net/mptcp/sockopt.c: mptcp_setsockopt, before it passes the option on. */
function* mptcpOptions(a: Asked): Iterable<Reason> {
	const { level = 0, optname = 0, length = 0 } = a.call;
	const none = `MPTCP does not take option ${optname} of ${optionLevel(level)}`;
	switch (level) {
		case SOL_SOCKET:
			if (ON_SUBFLOW.has(optname)) yield* subflowReasons(a, "mptcp_setsockopt_sol_socket");
			if (optname === SO_LINGER) {
				const where = "mptcp_setsockopt_sol_socket_linger";
				if (length < 8) yield tooShort(a, where, 8);
				yield unreadable(a, where);
			}
			yield [E.EOPNOTSUPP, "mptcp_setsockopt_sol_socket", none];
			return;
		case SOL_IP:
			yield [E.EOPNOTSUPP, "mptcp_setsockopt_v4", none];
			break;
		case SOL_IPV6:
			yield [E.EOPNOTSUPP, "mptcp_setsockopt_v6", none];
			if (![IPV6_V6ONLY, IPV6_TRANSPARENT, IPV6_FREEBIND].includes(optname)) break;
			yield* subflowReasons(a, "mptcp_setsockopt_v6");
			// An AF_INET subflow has no options of IPv6.
			if (ownFamily(a) !== "AF_INET6") yield noLevel(a);
			return;
		case SOL_TCP:
			// since 6.9, 7f71a337b515
			if (!a.k.changes.has("mptcp-tcp-options-refused")) {
				yield [E.EOPNOTSUPP, "mptcp_setsockopt_sol_tcp", none];
			}
			break;
		default:
	}
	yield [E.ENOPROTOOPT, "mptcp_setsockopt", none];
}

/** A level that belongs neither to the socket's protocol nor to its family. */
function noLevel(a: Asked): Reason {
	const six = ownFamily(a) === "AF_INET6";
	const { level = 0 } = a.call;
	const why = `${without(a, level)} has no options of ${optionLevel(level)}`;
	return [E.ENOPROTOOPT, six ? "ipv6_setsockopt" : "ip_setsockopt", why];
}

/** net/ipv4/tcp.c: do_tcp_setsockopt. The options of TCP fast open. */
function* fastopenOptions(a: Asked): Iterable<Reason> {
	const where = "do_tcp_setsockopt";
	const { optname = 0, optval = null } = a.call;
	const { sysctl_tcp_fastopen } = a.net.ipv4;
	const val = intAt(optval, -1);
	if (optname === TCP_FASTOPEN_CONNECT) {
		const why = `net.ipv4.tcp_fastopen is ${sysctl_tcp_fastopen}, without ${TFO_CLIENT_ENABLE}`;
		yield [E.EOPNOTSUPP, where, why];
	}
	const switches = optname === TCP_FASTOPEN_CONNECT || optname === TCP_FASTOPEN_NO_COOKIE;
	if (optname === TCP_FASTOPEN ? val >= 0 : switches && (val === 0 || val === 1)) {
		yield [E.EINVAL, where, `the socket is in state ${state(a)}`];
	}
	yield [E.EINVAL, where, `${val} is no value of the option`];
}

/** `bindService` is the reason of a port that needs CAP_NET_BIND_SERVICE. */
export function* setsockoptReasons(a: Asked, bindService: Reason): Iterable<Reason> {
	const { k, call, sk } = a;
	const { level = 0, optname = 0, length = 0 } = call;
	if (length < 0) yield [E.EINVAL, "__sys_setsockopt", `the length is ${length}`];
	const mptcp = isMptcp(a);
	if (mptcp) yield* mptcpOptions(a);
	if (level === SOL_SOCKET) yield* socketLevel(a);
	else if (level === SOL_IP) {
		yield* ipLevel(a);
		// MPTCP sets the option on its own sock first, then on the subflow.
		if (mptcp) yield* subflowReasons(a, "mptcp_setsockopt_sol_ip_set_transparent");
	} else if (level === SOL_IPV6 && k.sock.skc_family[sk] === AF_INET6) yield* ipv6Level(a);
	else if (level === SOL_SCTP && isSctp(k, sk)) yield* sctpLevel(a, bindService);
	else if (level === SOL_DCCP && k.sock.sk_protocol[sk] === IPPROTO_DCCP) yield* dccpLevel(a);
	else if (level === SOL_TCP && k.sock.sk_protocol[a.ssk] === IPPROTO_TCP) {
		const where = mptcp ? "mptcp_setsockopt_sol_tcp" : "do_tcp_setsockopt";
		if (length < 4) yield tooShort(a, where, 4);
		yield unreadable(a, where);
		yield* fastopenOptions(a);
		yield [E.ENOPROTOOPT, where, `SOL_TCP has no option ${optname}`];
	} else if (level === SOL_UDP && isUdp(k, sk)) {
		if (length < 4) yield tooShort(a, "udp_lib_setsockopt", 4);
		yield unreadable(a, "udp_lib_setsockopt");
	} else yield noLevel(a);
}

/** The function that returns an error of getsockopt(), for levels other than SOL_SOCKET. */
function getsockoptFunction(a: Asked): string {
	const { k, call, sk, ssk } = a;
	const { level = 0 } = call;
	if (isMptcp(a)) {
		if (level === SOL_IP) return "mptcp_getsockopt_v4";
		// since 6.15, e2f4ac7bab22
		if (level === SOL_IPV6 && k.changes.has("mptcp-getsockopt-flags")) return "mptcp_getsockopt_v6";
		return level === SOL_TCP ? "mptcp_getsockopt_sol_tcp" : "mptcp_getsockopt";
	}
	if (level === SOL_SCTP && isSctp(k, sk)) return "sctp_getsockopt";
	if (level === SOL_DCCP && k.sock.sk_protocol[sk] === IPPROTO_DCCP) return "do_dccp_getsockopt";
	if (level === SOL_TCP && k.sock.sk_protocol[ssk] === IPPROTO_TCP) return "do_tcp_getsockopt";
	if (k.sock.skc_family[sk] !== AF_INET6) return "do_ip_getsockopt";
	if (level === SOL_IPV6) return "do_ipv6_getsockopt";
	return level === SOL_IP ? "do_ip_getsockopt" : "ipv6_getsockopt";
}

export function* getsockoptReasons(a: Asked): Iterable<Reason> {
	const { k, call, sk } = a;
	const { level = 0, optname = 0, length = 0 } = call;
	const negative = `the length of the buffer is ${length}`;
	if (level === SOL_SOCKET) {
		const where = "sk_getsockopt";
		if (length < 0) yield [E.EINVAL, where, negative];
		if (optname === SO_BINDTODEVICE) {
			const why = `a buffer of ${plural(length, "byte")} is too short for a name of a device: it needs ${IFNAMSIZ}`;
			yield [E.EINVAL, "sock_getbindtodevice", why];
			yield [E.ENODEV, "sock_getbindtodevice", "the device of the socket is gone"];
		}
		yield [E.ENOPROTOOPT, where, `SOL_SOCKET has no option ${optname}`];
		return;
	}
	const where = getsockoptFunction(a);
	if (length < 0) {
		yield [E.EINVAL, isMptcp(a) ? "mptcp_put_int_option" : where, negative];
	}
	if (where === "do_ipv6_getsockopt" && optname === IPV6_ADDRFORM) {
		const protocol = nth(k.sock.sk_protocol, sk);
		if (![IPPROTO_TCP, IPPROTO_UDP, IPPROTO_UDPLITE].includes(protocol)) {
			yield [E.ENOPROTOOPT, where, "only TCP and UDP sockets change their family"];
		}
		yield [E.ENOTCONN, where, `the socket is in state ${state(a)}, not ESTABLISHED`];
	}
	const none = isMptcp(a)
		? `MPTCP does not show option ${optname} of ${optionLevel(level)}`
		: `${without(a, level)} has no option ${optname} of ${optionLevel(level)}`;
	yield [E.EOPNOTSUPP, where, none];
	yield [E.ENOPROTOOPT, where, none];
	yield [E.EINVAL, where, `a buffer of ${plural(length, "byte")} is too short`];
}
