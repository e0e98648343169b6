// SPDX-License-Identifier: GPL-2.0-or-later
import { describe, expect, test } from "vitest";
import { Kernel } from "../../kernel-model/machine/kernel.js";
import { netlinkAnswers, netlinkRequest } from "../../kernel-model/script/netlink.js";
import { runSetup } from "../../kernel-model/script/setup.js";
import { type CallLine, parseScript } from "../../kernel-model/script/strace.js";

function callOf(text: string): CallLine {
	const [line] = parseScript(text, "f").lines;
	if (line?.kind !== "call" || line.opaque) throw new Error(`not a call: ${text}`);
	return line;
}

const HEADER = "nlmsg_seq=1795846553, nlmsg_pid=0}";
const sendmsg = (message: string): string =>
	`sendmsg(3, {msg_name={sa_family=AF_NETLINK, nl_pid=0, nl_groups=00000000}, msg_namelen=12, ` +
	`msg_iov=[{iov_base=${message}, iov_len=40}], msg_iovlen=1, msg_controllen=0, msg_flags=0}, 0) = 40`;
const sendto = (message: string): string => `sendto(3, ${message}, 88, 0, NULL, 0) = 88`;
const NEW = "NLM_F_REQUEST|NLM_F_ACK|NLM_F_EXCL|NLM_F_CREATE";

function commands(text: string): string[] {
	const { commands: found, unmodelled } = netlinkRequest(callOf(text), (i) => ["", "lo"][i]);
	return [...found.map((words) => words.join(" ")), ...unmodelled.map((name) => `? ${name}`)];
}

// Messages of iproute2 6.1 as strace 6.1 -v prints them.
const ADDRESS = `[{nlmsg_len=40, nlmsg_type=RTM_NEWADDR, nlmsg_flags=${NEW}, ${HEADER}, {ifa_family=AF_INET, ifa_prefixlen=32, ifa_flags=0, ifa_scope=RT_SCOPE_UNIVERSE, ifa_index=if_nametoindex("lo")}, [[{nla_len=8, nla_type=IFA_LOCAL}, inet_addr("192.0.2.10")], [{nla_len=8, nla_type=IFA_ADDRESS}, inet_addr("192.0.2.10")]]]`;

describe("a request to rtnetlink", () => {
	test.each([
		["addr add 192.0.2.10/32 dev lo scope global", ADDRESS],
		[
			"addr add 2001:db8::1/128 dev lo",
			`[{nlmsg_len=64, nlmsg_type=RTM_NEWADDR, nlmsg_flags=${NEW}, ${HEADER}, {ifa_family=AF_INET6, ifa_prefixlen=128, ifa_flags=IFA_F_NODAD, ifa_scope=RT_SCOPE_UNIVERSE, ifa_index=if_nametoindex("lo")}, [[{nla_len=20, nla_type=IFA_LOCAL}, inet_pton(AF_INET6, "2001:db8::1")], [{nla_len=20, nla_type=IFA_ADDRESS}, inet_pton(AF_INET6, "2001:db8::1")]]]`,
		],
		[
			"addr add 192.0.2.20/24 dev lo broadcast 192.0.2.255 scope host",
			`[{nlmsg_len=60, nlmsg_type=RTM_NEWADDR, nlmsg_flags=${NEW}, ${HEADER}, {ifa_family=AF_INET, ifa_prefixlen=24, ifa_flags=0, ifa_scope=RT_SCOPE_HOST, ifa_index=if_nametoindex("lo")}, [[{nla_len=8, nla_type=IFA_LOCAL}, inet_addr("192.0.2.20")], [{nla_len=9, nla_type=IFA_LABEL}, "lo:1"], [{nla_len=8, nla_type=IFA_ADDRESS}, inet_addr("192.0.2.20")], [{nla_len=8, nla_type=IFA_BROADCAST}, inet_addr("192.0.2.255")]]]`,
		],
		[
			"addr replace 192.0.2.10/32 dev lo scope global preferred_lft 0",
			`[{nlmsg_len=60, nlmsg_type=RTM_NEWADDR, nlmsg_flags=NLM_F_REQUEST|NLM_F_ACK|NLM_F_REPLACE, ${HEADER}, {ifa_family=AF_INET, ifa_prefixlen=32, ifa_flags=0, ifa_scope=RT_SCOPE_UNIVERSE, ifa_index=1}, [[{nla_len=8, nla_type=IFA_LOCAL}, inet_addr("192.0.2.10")], [{nla_len=8, nla_type=IFA_ADDRESS}, inet_addr("192.0.2.10")], [{nla_len=20, nla_type=IFA_CACHEINFO}, {ifa_prefered=0, ifa_valid=4294967295, cstamp=0, tstamp=0}]]]`,
		],
		[
			"addr del 192.0.2.10/32 dev lo",
			`[{nlmsg_len=40, nlmsg_type=RTM_DELADDR, nlmsg_flags=NLM_F_REQUEST|NLM_F_ACK, ${HEADER}, {ifa_family=AF_INET, ifa_prefixlen=32, ifa_flags=0, ifa_scope=RT_SCOPE_UNIVERSE, ifa_index=if_nametoindex("lo")}, [[{nla_len=8, nla_type=IFA_LOCAL}, inet_addr("192.0.2.10")], [{nla_len=8, nla_type=IFA_ADDRESS}, inet_addr("192.0.2.10")]]]`,
		],
		[
			"-4 route add unicast default dev lo table main scope link",
			`[{nlmsg_len=36, nlmsg_type=RTM_NEWROUTE, nlmsg_flags=${NEW}, ${HEADER}, {rtm_family=AF_INET, rtm_dst_len=0, rtm_src_len=0, rtm_tos=0, rtm_table=RT_TABLE_MAIN, rtm_protocol=RTPROT_BOOT, rtm_scope=RT_SCOPE_LINK, rtm_type=RTN_UNICAST, rtm_flags=0}, [{nla_len=8, nla_type=RTA_OIF}, if_nametoindex("lo")]]`,
		],
		[
			"-4 route replace unreachable default metric 8192 table 1101 scope global",
			`[{nlmsg_len=44, nlmsg_type=RTM_NEWROUTE, nlmsg_flags=NLM_F_REQUEST|NLM_F_ACK|NLM_F_REPLACE|NLM_F_CREATE, ${HEADER}, {rtm_family=AF_INET, rtm_dst_len=0, rtm_src_len=0, rtm_tos=0, rtm_table=RT_TABLE_UNSPEC, rtm_protocol=RTPROT_BOOT, rtm_scope=RT_SCOPE_UNIVERSE, rtm_type=RTN_UNREACHABLE, rtm_flags=0}, [[{nla_len=8, nla_type=RTA_TABLE}, 0x44d], [{nla_len=8, nla_type=RTA_PRIORITY}, 8192]]]`,
		],
		[
			"-6 route add unicast 2001:db8:1::/48 dev lo src 2001:db8::1 table main",
			`[{nlmsg_len=76, nlmsg_type=RTM_NEWROUTE, nlmsg_flags=${NEW}, ${HEADER}, {rtm_family=AF_INET6, rtm_dst_len=48, rtm_src_len=0, rtm_tos=0, rtm_table=RT_TABLE_MAIN, rtm_protocol=RTPROT_BOOT, rtm_scope=RT_SCOPE_UNIVERSE, rtm_type=RTN_UNICAST, rtm_flags=0}, [[{nla_len=20, nla_type=RTA_DST}, inet_pton(AF_INET6, "2001:db8:1::")], [{nla_len=20, nla_type=RTA_PREFSRC}, inet_pton(AF_INET6, "2001:db8::1")], [{nla_len=8, nla_type=RTA_OIF}, if_nametoindex("lo")]]]`,
		],
		[
			"-4 route del default dev lo table main",
			`[{nlmsg_len=36, nlmsg_type=RTM_DELROUTE, nlmsg_flags=NLM_F_REQUEST|NLM_F_ACK, ${HEADER}, {rtm_family=AF_INET, rtm_dst_len=0, rtm_src_len=0, rtm_tos=0, rtm_table=RT_TABLE_MAIN, rtm_protocol=RTPROT_UNSPEC, rtm_scope=RT_SCOPE_NOWHERE, rtm_type=RTN_UNSPEC, rtm_flags=0}, [{nla_len=8, nla_type=RTA_OIF}, if_nametoindex("lo")]]`,
		],
		[
			"link add name d0 type dummy",
			`[{nlmsg_len=56, nlmsg_type=RTM_NEWLINK, nlmsg_flags=${NEW}, ${HEADER}, {ifi_family=AF_UNSPEC, ifi_type=ARPHRD_NETROM, ifi_index=0, ifi_flags=0, ifi_change=0}, [[{nla_len=7, nla_type=IFLA_IFNAME}, "d0"], [{nla_len=16, nla_type=IFLA_LINKINFO}, [{nla_len=9, nla_type=IFLA_INFO_KIND}, "dummy"...]]]]`,
		],
		[
			"link set dev lo up",
			`[{nlmsg_len=32, nlmsg_type=RTM_NEWLINK, nlmsg_flags=NLM_F_REQUEST|NLM_F_ACK, ${HEADER}, {ifi_family=AF_UNSPEC, ifi_type=ARPHRD_NETROM, ifi_index=if_nametoindex("lo"), ifi_flags=IFF_UP, ifi_change=0x1}]`,
		],
		[
			"link set dev lo address 02:00:00:00:00:01",
			`[{nlmsg_len=44, nlmsg_type=RTM_NEWLINK, nlmsg_flags=NLM_F_REQUEST|NLM_F_ACK, ${HEADER}, {ifi_family=AF_UNSPEC, ifi_type=ARPHRD_NETROM, ifi_index=if_nametoindex("lo"), ifi_flags=0, ifi_change=0}, [{nla_len=10, nla_type=IFLA_ADDRESS}, 02:00:00:00:00:01]]`,
		],
	])("is read as the command: ip %s", (command, message) => {
		expect(commands(sendmsg(message))).toEqual([`ip ${command}`]);
		expect(commands(sendto(message))).toEqual([`ip ${command}`]);
	});

	test("gives no command if it only reads, or changes what does not concern ports", () => {
		const asks = `[[{nlmsg_len=24, nlmsg_type=RTM_GETADDR, nlmsg_flags=NLM_F_REQUEST|NLM_F_DUMP, nlmsg_seq=1795846556, nlmsg_pid=0}, {ifa_family=AF_INET, ifa_prefixlen=0, ifa_flags=0, ifa_scope=RT_SCOPE_UNIVERSE, ifa_index=if_nametoindex("lo")}], {nlmsg_len=0, nlmsg_type=0 /* NLMSG_??? */, nlmsg_flags=0, nlmsg_seq=0, nlmsg_pid=0}]`;
		expect(commands(sendto(asks)).filter((text) => !text.includes("NLMSG_???"))).toEqual([]);
		const mtu = `[{nlmsg_len=40, nlmsg_type=RTM_NEWLINK, nlmsg_flags=NLM_F_REQUEST|NLM_F_ACK, ${HEADER}, {ifi_family=AF_UNSPEC, ifi_type=ARPHRD_NETROM, ifi_index=if_nametoindex("lo"), ifi_flags=0, ifi_change=0}, [{nla_len=8, nla_type=IFLA_MTU}, 1500]]`;
		expect(commands(sendmsg(mtu))).toEqual([]);
	});

	test("is not modelled if it is a rule, or bytes that strace did not decode", () => {
		const rule = `[{nlmsg_len=36, nlmsg_type=RTM_NEWRULE, nlmsg_flags=${NEW}, ${HEADER}, {family=AF_INET, dst_len=0, src_len=32, tos=0, table=0x64 /* RT_TABLE_??? */, action=FR_ACT_TO_TBL, flags=0}, [{nla_len=8, nla_type=FRA_SRC}, inet_addr("192.0.2.1")]]`;
		expect(commands(sendmsg(rule))).toEqual(["? RTM_NEWRULE"]);
		expect(commands(sendmsg(String.raw`",\0\0\0\25\0\5\090\0"...`))).toEqual([
			"? a netlink message",
		]);
	});

	test("gives a command that the model can run", () => {
		const kernel = new Kernel();
		const net = kernel.createNet();
		net.setLink("lo", true);
		for (const words of netlinkRequest(callOf(sendmsg(ADDRESS))).commands) {
			runSetup(kernel, net, words);
		}
		const task = kernel.createTask({ net });
		const fd = task.socket(2, 1, 0);
		expect(task.bind(fd, { family: "AF_INET", address: "192.0.2.10", port: 80 }, 16)).toBe(0);
	});

	test("is answered by a message with its number and its error", () => {
		const answer = (error: string) =>
			`recvmsg(3, {msg_name={sa_family=AF_NETLINK, nl_pid=0, nl_groups=00000000}, msg_namelen=12, msg_iov=[{iov_base=[{nlmsg_len=36, nlmsg_type=NLMSG_ERROR, nlmsg_flags=NLM_F_CAPPED, nlmsg_seq=7, nlmsg_pid=5}, {error=${error}, msg={nlmsg_len=40, nlmsg_type=RTM_NEWADDR, nlmsg_flags=NLM_F_REQUEST, nlmsg_seq=7, nlmsg_pid=0}}], iov_len=32768}], msg_iovlen=1, msg_controllen=0, msg_flags=0}, 0) = 36`;
		expect(netlinkAnswers(callOf(answer("0")))).toEqual([{ seq: 7, error: null }]);
		expect(netlinkAnswers(callOf(answer("-EEXIST")))).toEqual([{ seq: 7, error: "EEXIST" }]);
	});
});
