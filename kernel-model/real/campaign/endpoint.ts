// SPDX-License-Identifier: GPL-2.0-or-later
/** Addresses with ports, and how a script shows them. */

/** An address with a port. */
export interface Endpoint {
	readonly six: boolean;
	/** It may have a scope: "fe80::1%lo". */
	readonly address: string;
	readonly port: number;
	/** The port as the script shows it: a number, or the port of a descriptor. */
	readonly shown: string;
}

export function endpoint(six: boolean, address: string, port: number, shown = `${port}`): Endpoint {
	return { six, address, port, shown };
}

/** The size of an address for the calls, bytes. */
export function sizeOf(six: boolean): number {
	return six ? 28 : 16;
}

/** An endpoint as a script has it. */
export function sockaddr({ six, address, shown }: Endpoint): string {
	return six ? in6(shown, address) : in4(shown, address);
}

/** A sockaddr_in as a script has it. */
export const in4 = (port: string, address: string) =>
	`{sa_family=AF_INET, sin_port=htons(${port}), sin_addr=inet_addr("${address}")}`;

/** A sockaddr_in6 as a script has it. The address may have a scope: "fe80::1%lo", "fe80::1%9". */
export function in6(port: string, address: string): string {
	const [text, scope = "0"] = address.split("%");
	const id = /^[0-9]+$/.test(scope) ? scope : `if_nametoindex("${scope}")`;
	return `{sa_family=AF_INET6, sin6_port=htons(${port}), sin6_flowinfo=htonl(0), inet_pton(AF_INET6, "${text}", &sin6_addr), sin6_scope_id=${id}}`;
}
