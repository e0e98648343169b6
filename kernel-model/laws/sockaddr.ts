// SPDX-License-Identifier: GPL-2.0-or-later
/** Addresses of programs: for the ported code, and as text of scripts. */
import {
	AF_INET6,
	SIZEOF_SOCKADDR_IN,
	SIZEOF_SOCKADDR_IN6,
	type Sockaddr,
} from "../../include/linux/socket.js";
import { errnoName } from "../../include/uapi/asm-generic/errno.js";
import { type Address, toSockaddr } from "../machine/address.js";
import { formatValue } from "../script/strace.js";
import { sockaddrValue } from "../script/values.js";

function named(address: string, port: number): Address {
	return { family: address.includes(":") ? "AF_INET6" : "AF_INET", address, port };
}

/** The address that a call passes to the ported code. */
export function sockaddrOf(address: string, port: number): Sockaddr {
	return toSockaddr(named(address, port));
}

/** Its length, bytes. */
export function lengthOf({ sin_family }: Sockaddr): number {
	return sin_family === AF_INET6 ? SIZEOF_SOCKADDR_IN6 : SIZEOF_SOCKADDR_IN;
}

/** The address and its length, as strace prints the arguments of a call. */
export function sockaddrText(address: string, port: number): string {
	const text = formatValue(sockaddrValue(named(address, port), () => undefined));
	return `${text}, ${lengthOf(sockaddrOf(address, port))}`;
}

/** The result of a call as strace prints it; 0 is success, another number an errno. */
export function resultText(errno: number): string {
	return errno === 0 ? "0" : `-1 ${errnoName(errno)}`;
}
