// SPDX-License-Identifier: GPL-2.0-or-later
/**
 * Ports are apart for each protocol and each network namespace (network_namespaces(7)), and a port
 * is apart from every other port. A socket on another one never matters. Ports are apart for each
 * VRF as well: a socket without a device belongs to the default VRF alone, and "processes may bind
 * to the same port if they bind to an l3mdev" (Documentation/networking/vrf.rst).
 *
 * Meant exceptions: the sysctls tcp_l3mdev_accept and udp_l3mdev_accept, which are off here.
 */
import type { Law } from "./law.js";

export const strangers: Law = {
	id: "strangers",
	rule: "A socket on another port, of another protocol, namespace or VRF never matters",
	harm: "A program in another namespace or VRF, or on another port, decides who gets a port.",
	judge(program) {
		if (program.length < 2 || program.kind === null) return null;
		const { stranger } = program.kind;
		const strange = program.sockets.filter(({ kind }) => kind.stranger !== stranger);
		if (strange.length === 0) return null;
		const gone = new Set(strange.map(({ at }) => at));
		const beside = program.without(gone);
		const other = beside === null ? null : program.ask(beside);
		if (beside === null || other === null || other === program.answer) return null;
		return { expected: other === 0 ? "success" : "failure", beside };
	},
};
