// SPDX-License-Identifier: GPL-2.0-or-later
/** Lines of scripts in a short form for lists. The whole line is shown when it is selected. */

const V4 =
	/\{sa_family=AF_INET, sin_port=htons\(([^()]*(?:\([^()]*\))?)\), sin_addr=inet_addr\("([^"]*)"\)\}(?:, \[?(?:16|28)(?: => 16)?\]?)?/g;
const V6 =
	/\{sa_family=AF_INET6, sin6_port=htons\(([^()]*(?:\([^()]*\))?)\),(?: sin6_flowinfo=[^,]*,)? inet_pton\(AF_INET6, "([^"]*)", &sin6_addr\)(?:, sin6_scope_id=[^}]*)?\}(?:, \[?28(?: => 28)?\]?)?/g;
/** A pid and a time at the start of a line of a recording. */
const LEADER = /^(?:\[pid +\d+\] |\d+ +)?(?:\d+:\d\d:\d\d(?:\.\d+)? |\d+\.\d{6} )?/;
/** An option that strace did not know. */
const RANGE = /\b0x33 \/\* IP_\?\?\? \*\//;
const RESULT = /\)\s+= (?:\?|-?\d|0x).*$/s;

/** Longest text that is shortened. A longer one is cut. */
const LONGEST = 2000;

/** A line without leader and result, addresses as ADDRESS:PORT. */
export function shortLine(text: string): string {
	const cut = text.length > LONGEST ? `${text.slice(0, LONGEST)}…` : text;
	if (/^\s*[#$]/.test(cut)) return cut.trimEnd();
	return cut
		.replace(LEADER, "")
		.replace(V4, "$2:$1")
		.replace(V6, "[$2]:$1")
		.replace(RANGE, "IP_LOCAL_PORT_RANGE")
		.replace(RESULT, ")")
		.trimEnd();
}
