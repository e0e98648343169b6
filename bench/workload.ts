// SPDX-License-Identifier: GPL-2.0-or-later
/** The workloads of the port searches, for the model and a real kernel. */
import { SOCK_DGRAM, SOCK_STREAM } from "../include/linux/net.js";
import { AF_INET } from "../include/linux/socket.js";
import { EADDRINUSE, EADDRNOTAVAIL, EINPROGRESS } from "../include/uapi/asm-generic/errno.js";
import type * as Model from "../kernel-model/index.js";

/** A range of 16,000 ports: a process may often have no more than 20,000 files. */
export const PORTS = 16_000;
export const LOW = 40_000;
export const PORT_RANGE = `${LOW} ${LOW + PORTS - 1}`;

/** The address that sockets bind to and connect from, and a destination that never answers. */
export const HOST = "192.0.2.10";
export const PEER = { family: "AF_INET", address: "198.51.100.1", port: 53 } as const;
export const ANY_PORT = { family: "AF_INET", address: HOST, port: 0 } as const;

export interface Workload {
	name: "bind" | "connect" | "udp";
	type: "SOCK_STREAM" | "SOCK_DGRAM";
	call: "bind" | "connect";
	/** The results of the call while there are ports, and when there are none. */
	success: number;
	full: number;
}

export const WORKLOADS: readonly Workload[] = [
	{ name: "bind", type: "SOCK_STREAM", call: "bind", success: 0, full: -EADDRINUSE },
	{
		name: "connect",
		type: "SOCK_STREAM",
		call: "connect",
		success: -EINPROGRESS,
		full: -EADDRNOTAVAIL,
	},
	{ name: "udp", type: "SOCK_DGRAM", call: "bind", success: 0, full: -EADDRINUSE },
];

const TYPES = { SOCK_STREAM, SOCK_DGRAM };

/**
 * A task on a new host that has the address, a range of `ports` ports and the way to the
 * destination.
 */
export function hostTask(
	model: typeof Model,
	ports = PORTS,
	low = LOW,
	options: Model.KernelOptions = {},
): Model.Task {
	const kernel = new model.Kernel(options);
	const net = kernel.createNet();
	net.addAddress(`${HOST}/32`, "lo");
	net.addRoute({ to: "default", dev: "lo" });
	net.setSysctl("net.ipv4.ip_local_port_range", `${low} ${low + ports - 1}`);
	return kernel.createTask({ net });
}

/** A socket of a workload without a port. */
export const openSocket = ({ type }: Workload, task: Model.Task): number =>
	task.socket(AF_INET, TYPES[type], 0);

/** The call of a workload. */
export const attempt = ({ call }: Workload, task: Model.Task, fd: number): number =>
	call === "bind" ? task.bind(fd, ANY_PORT) : task.connect(fd, PEER, undefined, true);
