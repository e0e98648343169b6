// SPDX-License-Identifier: GPL-2.0-or-later
/** A message of rtnetlink is the same command, whether strace decodes it or prints its bytes. */
import { describe, expect, test } from "vitest";
import { netlinkRequest } from "../../kernel-model/script/netlink.js";
import { rawMessages } from "../../kernel-model/script/netlink_bytes.js";
import { type CallLine, parseScript } from "../../kernel-model/script/strace.js";

const byIndex = (index: number) => ["", "lo", "dummy0"][index];

const FLAGS: Readonly<Record<string, number>> = {
	NLM_F_REPLACE: 0x100,
	NLM_F_EXCL: 0x200,
	NLM_F_CREATE: 0x400,
	NLM_F_APPEND: 0x800,
};
const TYPES: Readonly<Record<string, number>> = {
	RTM_NEWADDR: 20,
	RTM_DELADDR: 21,
	RTM_NEWROUTE: 24,
	RTM_DELROUTE: 25,
};

/** A message: its type, the names of its flags, its body and attributes in both forms. */
interface Message {
	type: string;
	flags: string;
	/** The body as strace prints it, and its bytes. */
	body: readonly [string, readonly number[]];
	attributes: readonly (readonly [name: string, number: number, text: string, bytes: number[]])[];
}

/** The command of the decoded message; "?" for one without a model. */
function decoded({ type, flags, body, attributes }: Message): string {
	const listed = attributes.map(([name, , text]) => `[{nla_len=8, nla_type=${name}}, ${text}]`);
	const header = `{nlmsg_len=40, nlmsg_type=${type}, nlmsg_flags=NLM_F_REQUEST|NLM_F_ACK${flags === "" ? "" : `|${flags}`}, nlmsg_seq=1, nlmsg_pid=0}`;
	const text = `sendto(3, [${header}, ${body[0]}, [${listed.join(", ")}]], 40, 0, NULL, 0) = 40`;
	const [line] = parseScript(text, "f").lines;
	const { commands } = netlinkRequest(line as CallLine, byIndex);
	return commands[0]?.join(" ") ?? "?";
}

/** The command of the bytes of a message. */
function raw({ type, flags, body, attributes }: Message): string {
	const given = flags === "" ? [] : flags.split("|");
	const bits = given.reduce((all, name) => all | FLAGS[name], 5);
	const data = [...body[1]];
	for (const [, number, , bytes] of attributes) {
		data.push(bytes.length + 4, 0, number, 0, ...bytes);
	}
	const length = data.length + 16;
	const header = [length, 0, 0, 0, TYPES[type], 0, bits & 255, bits >> 8, 1, 0, 0, 0, 0, 0, 0, 0];
	const [message] = rawMessages(Uint8Array.from([...header, ...data]), byIndex);
	return message.command?.join(" ") ?? "?";
}

const addressBody = (length: number, scope: readonly [string, number]) =>
	[
		`{ifa_family=AF_INET, ifa_prefixlen=${length}, ifa_flags=0, ifa_scope=${scope[0]}, ifa_index=if_nametoindex("dummy0")}`,
		[2, length, 0, scope[1], 2, 0, 0, 0],
	] as const;
const UNIVERSE = ["RT_SCOPE_UNIVERSE", 0] as const;
const LOCAL = ["IFA_LOCAL", 2, 'inet_addr("192.0.2.10")', [192, 0, 2, 10]] as const;
const ADDRESS = ["IFA_ADDRESS", 1, 'inet_addr("192.0.2.10")', [192, 0, 2, 10]] as const;
const BROADCAST = ["IFA_BROADCAST", 4, 'inet_addr("192.0.2.255")', [192, 0, 2, 255]] as const;
const CACHEINFO = [
	"IFA_CACHEINFO",
	6,
	"{ifa_prefered=0, ifa_valid=4294967295, cstamp=0, tstamp=0}",
	[0, 0, 0, 0, 255, 255, 255, 255, 0, 0, 0, 0, 0, 0, 0, 0],
] as const;

const routeBody = (flags: readonly [string, number] = ["0", 0], family = 2) =>
	[
		`{rtm_family=${family === 2 ? "AF_INET" : "AF_INET6"}, rtm_dst_len=24, rtm_src_len=0, rtm_tos=0, rtm_table=RT_TABLE_MAIN, rtm_protocol=RTPROT_BOOT, rtm_scope=RT_SCOPE_UNIVERSE, rtm_type=RTN_UNICAST, rtm_flags=${flags[0]}}`,
		[family, 24, 0, 0, 254, 3, 0, 1, flags[1], 0, 0, 0],
	] as const;
const DST = ["RTA_DST", 1, 'inet_addr("198.51.100.0")', [198, 51, 100, 0]] as const;
const SRC = ["RTA_SRC", 2, 'inet_addr("192.0.2.10")', [192, 0, 2, 10]] as const;
const GATEWAY = ["RTA_GATEWAY", 5, 'inet_addr("192.0.2.1")', [192, 0, 2, 1]] as const;
const OIF = ["RTA_OIF", 4, 'if_nametoindex("dummy0")', [2, 0, 0, 0]] as const;

const address = (
	type: string,
	flags: string,
	attributes: Message["attributes"],
	scope: readonly [string, number] = UNIVERSE,
): Message => ({ type, flags, body: addressBody(24, scope), attributes }) as Message;
const route = (
	flags: string,
	attributes: readonly unknown[],
	rtmFlags: readonly [string, number] = ["0", 0],
): Message =>
	({ type: "RTM_NEWROUTE", flags, body: routeBody(rtmFlags), attributes }) as unknown as Message;

describe("a message of rtnetlink", () => {
	const any = (value: readonly unknown[]) => value as Message["attributes"];
	test.each<[string, Message]>([
		[
			"ip addr add 192.0.2.10/24 dev dummy0 scope global",
			address("RTM_NEWADDR", "NLM_F_EXCL|NLM_F_CREATE", any([LOCAL, ADDRESS])),
		],
		[
			"ip addr add 192.0.2.10/24 dev dummy0 broadcast 192.0.2.255 scope host",
			address("RTM_NEWADDR", "NLM_F_CREATE", any([LOCAL, ADDRESS, BROADCAST]), [
				"RT_SCOPE_HOST",
				254,
			]),
		],
		[
			"ip addr replace 192.0.2.10/24 dev dummy0 scope global preferred_lft 0",
			address("RTM_NEWADDR", "NLM_F_REPLACE|NLM_F_CREATE", any([LOCAL, ADDRESS, CACHEINFO])),
		],
		// inet_rtm_newaddr() does not look at NLM_F_APPEND.
		[
			"ip addr add 192.0.2.10/24 dev dummy0 scope global",
			address("RTM_NEWADDR", "NLM_F_CREATE|NLM_F_APPEND", any([LOCAL])),
		],
		[
			"ip addr del 192.0.2.10/24 dev dummy0",
			address("RTM_DELADDR", "", any([LOCAL, ADDRESS, BROADCAST])),
		],
		// Without IFA_ADDRESS the prefix is not compared.
		["ip addr del 192.0.2.10 dev dummy0", address("RTM_DELADDR", "", any([LOCAL]))],
		[
			"ip -4 route add unicast 198.51.100.0/24 dev dummy0 table main scope global",
			route("NLM_F_EXCL|NLM_F_CREATE", [DST, OIF]),
		],
		[
			"ip -4 route append unicast 198.51.100.0/24 dev dummy0 table main scope global",
			route("NLM_F_CREATE|NLM_F_APPEND", [DST, OIF]),
		],
		[
			"ip -4 route prepend unicast 198.51.100.0/24 dev dummy0 table main scope global",
			route("NLM_F_CREATE", [DST, OIF]),
		],
		[
			"ip -4 route replace unicast 198.51.100.0/24 dev dummy0 table main scope global",
			route("NLM_F_REPLACE|NLM_F_CREATE", [DST, OIF]),
		],
		[
			"ip -4 route add unicast 198.51.100.0/24 via 192.0.2.1 dev dummy0 table main scope global onlink",
			route("NLM_F_EXCL|NLM_F_CREATE", [DST, GATEWAY, OIF], ["RTNH_F_ONLINK", 4]),
		],
		["?", route("NLM_F_EXCL|NLM_F_CREATE", [DST, SRC, OIF])],
	])("is read as the command, decoded or not: %s", (command, message) => {
		expect([decoded(message), raw(message)]).toEqual([command, command]);
	});
});
