// SPDX-License-Identifier: GPL-2.0-or-later
/** The calls of a random program in strace's syntax, so that `run` and `live` can play them. */
import { type Address, errnoName } from "../../kernel-model/index.js";

export function sockaddrText({ family, address, port }: Address): string {
	if (family === "AF_UNSPEC") return '{sa_family=AF_UNSPEC, sa_data=""}, 16';
	if (family === "AF_INET")
		return `{sa_family=AF_INET, sin_port=htons(${port}), sin_addr=inet_addr("${address}")}, 16`;
	return (
		`{sa_family=AF_INET6, sin6_port=htons(${port}), sin6_flowinfo=htonl(0), ` +
		`inet_pton(AF_INET6, "${address}", &sin6_addr), sin6_scope_id=0}, 28`
	);
}

/** The name that a call returned, with the length before and after. */
export function returnedText(name: Address): string {
	const text = sockaddrText(name);
	const at = text.lastIndexOf(", ");
	const length = text.slice(at + 2);
	return `${text.slice(0, at)}, [${length} => ${length}]`;
}

const MESSAGES: Readonly<Record<string, string>> = {
	EADDRINUSE: "Address already in use",
	EADDRNOTAVAIL: "Cannot assign requested address",
};

export function resultText(result: number): string {
	if (result >= 0) return String(result);
	const name = errnoName(-result);
	return `-1 ${name} (${MESSAGES[name] ?? name})`;
}
