// SPDX-License-Identifier: GPL-2.0-or-later
/** Texts that tests write and read: addresses as strace prints them, and verdicts. */
import type { Outcome } from "../kernel-model/check/outcome.js";

/** A sockaddr_in. */
export const in4 = (port: number | string, address = "127.0.0.1") =>
	`{sa_family=AF_INET, sin_port=htons(${port}), sin_addr=inet_addr("${address}")}`;

/** A sockaddr_in6. */
export const in6 = (port: number | string, address = "::1", scope: number | string = 0) =>
	`{sa_family=AF_INET6, sin6_port=htons(${port}), sin6_flowinfo=htonl(0), inet_pton(AF_INET6, "${address}", &sin6_addr), sin6_scope_id=${scope}}`;

/** The calls that are a mismatch or undecided: "4 mismatch: REASON". */
export const left = (outcomes: readonly Outcome[]): string[] =>
	outcomes
		.filter(({ verdict }) => verdict === "undecided" || verdict === "mismatch")
		.map(({ line, verdict, reason }) => `${line} ${verdict}: ${reason}`);
