// SPDX-License-Identifier: GPL-2.0-or-later
/** Texts that tests write and read: addresses as strace prints them, and verdicts. */
import type { Outcome } from "../kernel-model/check/outcome.js";

/** A sockaddr_in. */
export const in4 = (port: number | string, address = "127.0.0.1") =>
	`{sa_family=AF_INET, sin_port=htons(${port}), sin_addr=inet_addr("${address}")}`;

/** A sockaddr_in6. */
export const in6 = (port: number | string, address = "::1", scope: number | string = 0) =>
	`{sa_family=AF_INET6, sin6_port=htons(${port}), sin6_flowinfo=htonl(0), inet_pton(AF_INET6, "${address}", &sin6_addr), sin6_scope_id=${scope}}`;

/**
 * The begin of a recording, eight lines. Process 9 is alone in its namespace. It listens at
 * descriptor 3 on port 8080. Its descriptor 4, at port 40000, is connected to this port.
 */
export const CLIENT_AND_LISTENER: readonly string[] = [
	"9 1.10 unshare(CLONE_NEWNET) = 0",
	'9 1.11 execve("/sbin/ip", ["ip", "link", "set", "lo", "up"], 0x7ffd /* 9 vars */) = 0',
	"9 1.12 socket(AF_INET, SOCK_STREAM, IPPROTO_TCP) = 3",
	`9 1.13 bind(3, ${in4(8080)}, 16) = 0`,
	"9 1.14 listen(3, 5) = 0",
	"9 1.15 socket(AF_INET, SOCK_STREAM, IPPROTO_TCP) = 4",
	`9 1.16 connect(4, ${in4(8080)}, 16) = 0`,
	`9 1.17 getsockname(4, ${in4(40000)}, [16]) = 0`,
];

/** The calls that are a mismatch or undecided: "4 mismatch: REASON". */
export const left = (outcomes: readonly Outcome[]): string[] =>
	outcomes
		.filter(({ verdict }) => verdict === "undecided" || verdict === "mismatch")
		.map(({ line, verdict, reason }) => `${line} ${verdict}: ${reason}`);
