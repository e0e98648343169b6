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

it("connects that overlap came in either order: the later lines of their connections tell", () => {
	const to = NAME.replace("8080", "9000");
	const text = `9 unshare(CLONE_NEWNET) = 0
$ ip link set lo up
9 socket(AF_INET, SOCK_STREAM, IPPROTO_IP) = 3
9 bind(3, ${to}) = 0
9 listen(3, 511) = 0
9 clone(child_stack=NULL, flags=SIGCHLD) = 10
9 clone(child_stack=NULL, flags=SIGCHLD) = 11
10 socket(AF_INET, SOCK_STREAM, IPPROTO_IP) = 6
11 socket(AF_INET, SOCK_STREAM, IPPROTO_IP) = 16
10 connect(6, ${to} <unfinished ...>
11 connect(16, ${to}) = 0
10 <... connect resumed>) = 0
11 writev(16, [{iov_base="\\1\\1\\0\\1", iov_len=4}], 1) = 4
10 close(6) = 0
9 accept(3, ${to.replace("9000", "53372").replace(", 16", ", [112 => 16]")}) = 5
9 read(5, "\\1\\1\\0\\1", 4) = 4
9 write(5, "\\1\\6\\0\\1\\0", 5) = 5
9 shutdown(5, SHUT_WR) = 0
9 accept(3, ${to.replace("9000", "53376").replace(", 16", ", [112 => 16]")}) = 6
9 read(6, "", 8) = 0
`;
	const outcomes = playScript(readScript(text, "overlap.strace"), { version: "6.18" });
	const judged = outcomes.filter(({ verdict }) => !/ignored|unrecorded/.test(verdict));
	expect(judged.map(({ verdict }) => verdict)).toEqual(Array(judged.length).fill("match"));
	// The connects do not overlap, so they came in the order of their lines.
	const apart = text
		.replace(" <unfinished ...>", ") = 0")
		.replace("10 <... connect resumed>) = 0\n", "");
	const differs = playScript(readScript(apart, "apart.strace"), { version: "6.18" });
	expect(differs.some(({ line, verdict }) => line === 17 && verdict === "mismatch")).toBe(true);
});

/** A connection from 2's descriptor 3 to 1's descriptor 4, and two UDP sockets. */
const CONNECTED = `1 socket(AF_INET, SOCK_STREAM, IPPROTO_IP) = 3
1 bind(3, ${NAME}) = 0
1 listen(3, 5) = 0
2 socket(AF_INET, SOCK_STREAM, IPPROTO_IP) = 3
2 connect(3, ${NAME}) = 0
1 accept(3, NULL, NULL) = 4
1 socket(AF_INET, SOCK_DGRAM, IPPROTO_IP) = 5
1 bind(5, ${NAME}) = 0
2 socket(AF_INET, SOCK_DGRAM, IPPROTO_IP) = 5
`;
const AGAIN = "-1 EAGAIN (Resource temporarily unavailable)";

it.each([
	["a send", 'sendto(3, "hello", 5, 0, NULL, 0', "5", "recvfrom(4, "],
	["a datagram", `sendto(5, "hello", 5, 0, ${NAME}`, "5", "recvfrom(5, "],
	["a close", "close(3", "0", "recvfrom(4, "],
	["a shutdown", "shutdown(3, SHUT_WR", "0", "recvfrom(4, "],
])("a receive that found nothing acted before %s that overlaps it", (_, send, sent, receive) => {
	const name = send.replace(/\(.*/, "");
	const sends = [`2 ${send} <unfinished ...>`, `2 <... ${name} resumed>) = ${sent}`] as const;
	const all = `0x7fff, 8192, MSG_DONTWAIT, NULL, NULL) = ${AGAIN}`;
	const receives = [`1 ${receive} <unfinished ...>`, `1 <... recvfrom resumed>${all}`] as const;
	const play = (...lines: string[]) =>
		playScript(readScript(`${CONNECTED}${lines.join("\n")}\n`, "overlap.strace"), {
			version: "6.18",
			alone: true,
		})
			.filter(({ verdict }) => verdict !== "match")
			.map(({ call, verdict }) => `${call} ${verdict}`);
	const shown = '1 read(9, "", 1) = 0';
	const whole = [`2 ${send}) = ${sent}`, `1 ${receive}${all}`] as const;
	const ignored = ["read ignored"];
	expect(play(shown, sends[0], receives[0], sends[1], receives[1])).toEqual(ignored);
	expect(play(shown, sends[0], receives[0], receives[1], sends[1])).toEqual(ignored);
	expect(play(shown, receives[0], sends[0], sends[1], receives[1])).toEqual(ignored);
	expect(play(shown, receives[0], sends[0], receives[1], sends[1])).toEqual(ignored);
	expect(play(shown, sends[0], whole[1], sends[1])).toEqual(ignored);
	expect(play(shown, receives[0], whole[0], receives[1])).toEqual(ignored);
	// The send is over before the receive begins.
	expect(play(shown, whole[0], whole[1])).toEqual([...ignored, "recvfrom undecided"]);
});
