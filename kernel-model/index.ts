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
export { Random } from "../include/linux/random.js";
export { AF_INET, AF_INET6, AF_UNSPEC, SOL_IP, SOL_IPV6 } from "../include/linux/socket.js";
export { type BehaviourChange, CHANGES, type ChangeName } from "../include/linux/version.js";
export type { PortSearchTrace } from "../include/trace/events/port_search.js";
export * from "../include/uapi/asm-generic/errno.js";
export * from "../include/uapi/asm-generic/socket.js";
export * from "../include/uapi/linux/in.js";
export { NotModelled } from "../net/core/sock.js";
export type { HostFile } from "./check/before.js";
export {
	type Answer,
	type CompareOptions,
	compareVersions,
	type Difference,
	formatDifference,
	formatVersions,
	type OnPlay,
} from "./check/matrix.js";
export type { Proof } from "./check/outcome.js";
export {
	type Choice,
	type Outcome,
	type OwnAnswers,
	Player,
	type PlayOptions,
	playScript,
	readScript,
	type Verdict,
} from "./check/player.js";
export { allBoundsOf } from "./laws/bounds.js";
export { type Cause, causesOf } from "./laws/causes.js";
export { type Broken, explore, type Found, type Longer } from "./laws/explore.js";
export type { Bound, Kind, Place, Step } from "./laws/kinds.js";
export type { Breach, Law, Program } from "./laws/law.js";
export { ALL_LAWS } from "./laws/laws.js";
export { PROTOCOLS, type Protocol } from "./laws/protocols.js";
export { type Report as LawReport, reportOf } from "./laws/report.js";
export type { Address } from "./machine/address.js";
export { SearchExplainer } from "./machine/explain.js";
export { Kernel, type KernelOptions } from "./machine/kernel.js";
export {
	type AddressOptions,
	type FlushOptions,
	NetNamespace,
	type RouteOptions,
} from "./machine/net.js";
export { type Profile, profileFor } from "./machine/profile.js";
export { type Draw, ReplayedRandom, SeededRandom } from "./machine/random.js";
export { Socket, SocketError, type SocketKind } from "./machine/socket.js";
export { Task, type TaskOptions } from "./machine/task.js";
export {
	AskedChanges,
	changesOf,
	DEFAULT_VERSION,
	type KernelVersion,
	VERSIONS,
	versionFor,
} from "./machine/versions.js";
export { Agent, AgentError, type CallAnswer, type Hello } from "./real/agent/agent.js";
export { isProgram, type PassedOver, recordProgram } from "./real/carried.js";
export { confirm } from "./real/causes.js";
export {
	DrawRecorder,
	judge,
	type Lack,
	type LiveOutcome,
	type Recording,
	readRecording,
	recordScript,
} from "./real/live.js";
export { RecordError, type Recorded, type RecordOptions, record } from "./real/record.js";
export { startAgent } from "./real/vm/machine.js";
export { type Host, HostError, type HostSocket, readHost } from "./script/host.js";
export {
	type Arg,
	type CallLine,
	type CommentLine,
	type ExitLine,
	formatCall,
	formatValue,
	type Parsed,
	type Problem,
	type Result,
	ScriptError,
	type ScriptLine,
	type SetupLine,
	type SignalLine,
	type UnknownLine,
	type Value,
} from "./script/strace.js";
