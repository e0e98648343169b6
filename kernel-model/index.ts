// SPDX-License-Identifier: GPL-2.0-or-later
/**
 * A model of how Linux chooses local ports, and of when bind() and connect() fail.
 *
 *     const kernel = new Kernel({ version: "6.3", seed: 1 });
 *     const task = kernel.createTask({ net: kernel.createNet() });
 *     new Socket(task).bind("127.0.0.1").localAddress.port;
 */

export {
	SOCK_CLOEXEC,
	SOCK_DCCP,
	SOCK_DGRAM,
	SOCK_NONBLOCK,
	SOCK_SEQPACKET,
	SOCK_STREAM,
} from "../include/linux/net.js";
export { AF_INET, AF_INET6, AF_UNSPEC, SOL_IP, SOL_IPV6 } from "../include/linux/socket.js";
export { type BehaviourChange, CHANGES, type ChangeName } from "../include/linux/version.js";
export type { PortSearchTrace } from "../include/trace/events/port_search.js";
export * from "../include/uapi/asm-generic/errno.js";
export * from "../include/uapi/asm-generic/socket.js";
export * from "../include/uapi/linux/in.js";
export { NotModelled } from "../net/core/sock.js";
export { type Answer, compareVersions, type Difference } from "./check/matrix.js";
export {
	type Outcome,
	Player,
	type PlayOptions,
	playScript,
	readScript,
	type Verdict,
} from "./check/player.js";
export type { Address } from "./machine/address.js";
export { SearchExplainer } from "./machine/explain.js";
export { Kernel, type KernelOptions } from "./machine/kernel.js";
export { NetNamespace, type RouteOptions } from "./machine/net.js";
export { type Draw, ReplayedRandom, SeededRandom } from "./machine/random.js";
export { Socket, SocketError, type SocketKind } from "./machine/socket.js";
export { Task, type TaskOptions } from "./machine/task.js";
export { DEFAULT_VERSION, type KernelVersion, VERSIONS } from "./machine/versions.js";
export { ScriptError } from "./script/strace.js";
