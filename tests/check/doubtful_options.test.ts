// SPDX-License-Identifier: GPL-2.0-or-later
/** Options that are not modelled and decide when a connection ends. */
import { expect, it } from "vitest";
import { playScript, readScript } from "../../kernel-model/check/player.js";
import { in4 } from "../text.js";

it("SCTP: an option that decides when data is acknowledged makes the end of the peer's port doubtful", () => {
	const client = in4(6000);
	const recording = (
		option: string,
	) => `socket(AF_INET, SOCK_STREAM|SOCK_NONBLOCK, IPPROTO_SCTP) = 3
bind(3, ${in4(5000)}, 16) = 0
listen(3, 4) = 0
socket(AF_INET, SOCK_STREAM|SOCK_NONBLOCK, IPPROTO_SCTP) = 4
bind(4, ${client}, 16) = 0
connect(4, ${in4(5000)}, 16) = -1 EINPROGRESS
accept(3, ${client}, [16]) = 5
${option}sendto(4, "a", 1, 0, NULL, 0) = 1
sendto(4, "a", 1, 0, NULL, 0) = 1
close(4) = 0
socket(AF_INET, SOCK_STREAM|SOCK_NONBLOCK, IPPROTO_SCTP) = 6
bind(6, ${client}, 16) = 0
`;
	const verdict = (option: string) =>
		playScript(readScript(recording(option), "delay"), { version: "6.18" }).at(-1)?.verdict;
	expect(verdict("")).toBe("mismatch");
	expect(
		verdict(
			"setsockopt(5, SOL_SCTP, SCTP_DELAYED_SACK, {sack_assoc_id=0, sack_delay=0, sack_freq=1}, 12) = 0\n",
		),
	).toBe("undecided");
});
