// SPDX-License-Identifier: GPL-2.0-or-later
/** Addresses as programs write them. */
import { AF_INET, AF_UNIX, AF_UNSPEC } from "../include/linux/socket.js";
import type { SockaddrIn } from "../net/ipv4/af_inet.js";

/**
 * An address of a socket; `port` is 0 to 65535. AF_UNSPEC dissolves a connection;
 * AF_OTHER stands for every family that such a socket refuses.
 */
export interface Address {
	family: "AF_INET" | "AF_UNSPEC" | "AF_OTHER";
	/** Dotted decimal. */
	address: string;
	port: number;
}

/** u32 in host order of a dotted address, or null if it is none. */
export function parseIpv4(text: string): number | null {
	const parts = text.split(".");
	if (parts.length !== 4) return null;
	let addr = 0;
	for (const part of parts) {
		if (!/^[0-9]{1,3}$/.test(part) || Number(part) > 255) return null;
		addr = addr * 256 + Number(part);
	}
	return addr;
}

export function formatIpv4(addr: number): string {
	return [addr >>> 24, (addr >>> 16) & 255, (addr >>> 8) & 255, addr & 255].join(".");
}

/** As the ported code takes it; throws RangeError for a malformed address or port. */
export function toSockaddr(address: Address): SockaddrIn {
	const sin_addr = parseIpv4(address.address);
	if (sin_addr === null) throw new RangeError(`not an IPv4 address: ${address.address}`);
	const { port } = address;
	if (!Number.isInteger(port) || port < 0 || port > 65535) {
		throw new RangeError(`not a port: ${port}`);
	}
	const sin_family = { AF_INET, AF_UNSPEC, AF_OTHER: AF_UNIX }[address.family];
	return { sin_family, sin_addr, sin_port: port };
}

export function fromSockaddr(addr: SockaddrIn): Address {
	return { family: "AF_INET", address: formatIpv4(addr.sin_addr), port: addr.sin_port };
}
