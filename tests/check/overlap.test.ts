// SPDX-License-Identifier: GPL-2.0-or-later
/** Calls of two processes that overlap act in either order within the time that both run. */
import { expect, it } from "vitest";
import { playScript, readScript } from "../../kernel-model/index.js";

const NAME = '{sa_family=AF_INET, sin_port=htons(8080), sin_addr=inet_addr("127.0.0.1")}, 16';
const STREAM = "SOCK_STREAM|SOCK_NONBLOCK";

it("an accept() that found nobody acted before a connect() that began and ended earlier", () => {
	const text = `1 socket(AF_INET, ${STREAM}, IPPROTO_IP) = 3
1 bind(3, ${NAME}) = 0
1 listen(3, 5) = 0
2 socket(AF_INET, ${STREAM}, IPPROTO_IP) = 4
2 connect(4, ${NAME} <unfinished ...>
1 accept4(3,  <unfinished ...>
2 <... connect resumed>) = -1 EINPROGRESS (Operation now in progress)
1 <... accept4 resumed>0x7fff, [112], SOCK_NONBLOCK) = -1 EAGAIN (Resource temporarily unavailable)
`;
	const outcomes = playScript(readScript(text, "overlap.strace"), { version: "6.18", alone: true });
	expect(outcomes.map(({ verdict }) => verdict)).toEqual(Array(outcomes.length).fill("match"));
	const apart = text
		.replace(
			" <unfinished ...>\n1 accept4(3, ",
			") = -1 EINPROGRESS (Operation now in progress)\n1 accept4(3, ",
		)
		.replace(/2 <\.\.\. connect.*\n/, "2 getpid() = 2\n");
	const differs = playScript(readScript(apart, "apart.strace"), { version: "6.18", alone: true });
	expect(differs.some(({ verdict }) => verdict === "mismatch")).toBe(true);
});
