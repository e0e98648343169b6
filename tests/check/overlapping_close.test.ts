// SPDX-License-Identifier: GPL-2.0-or-later
/** One thread closes a descriptor while another thread gets the same number. */
import { expect, it } from "vitest";
import { playScript, readScript } from "../../kernel-model/check/player.js";
import { Recording } from "../../kernel-model/check/recording.js";

const BEFORE = `1 socket(AF_INET, SOCK_STREAM, IPPROTO_IP) = 3
1 bind(3, {sa_family=AF_INET, sin_port=htons(8000), sin_addr=inet_addr("127.0.0.1")}, 16) = 0
1 listen(3, 5) = 0
1 clone3({flags=CLONE_VM|CLONE_FS|CLONE_FILES|CLONE_SIGHAND|CLONE_THREAD, exit_signal=0, stack=NULL, stack_size=0}, 88) = 2
1 socket(AF_INET, SOCK_STREAM, IPPROTO_IP) = 5
`;
const AFTER = `1 connect(5, {sa_family=AF_INET, sin_port=htons(8000), sin_addr=inet_addr("127.0.0.1")}, 16) = 0
1 accept4(3, {sa_family=AF_INET, sin_port=htons(39930), sin_addr=inet_addr("127.0.0.1")}, [16], SOCK_CLOEXEC) = 6
`;

/** The port that the connect() is known to have chosen. */
function chosen(between: string): number | null {
	const { evidence, events } = Recording.of(readScript(BEFORE + between + AFTER, "recording"));
	for (let at = 0; at < events.end; at++) {
		const { line } = events.get(at);
		if (line.kind === "call" && line.name === "connect") {
			return evidence.chosen.get(line)?.port ?? null;
		}
	}
	return null;
}

it("belongs to the new socket if socket() begins before the close() and returns after it", () => {
	expect(
		chosen(`1 socket(AF_INET, SOCK_STREAM, IPPROTO_IP <unfinished ...>
2 close(5 <unfinished ...>
1 <... socket resumed>) = 5
2 <... close resumed>) = 0
`),
	).toBe(39930);
});

it("belongs to no socket if the close() begins after socket() has returned", () => {
	expect(
		chosen(`2 close(5) = 0
1 socket(AF_INET, SOCK_STREAM, IPPROTO_IP) = 5
2 close(5) = 0
`),
	).toBe(null);
});

it("belongs to a file, and then to the socket whose socket() returns after the close of the file", () => {
	const text = `${BEFORE.replace("1 socket(AF_INET, SOCK_STREAM, IPPROTO_IP) = 5\n", "")}1 socket(AF_INET, SOCK_STREAM, IPPROTO_IP <unfinished ...>
2 openat(AT_FDCWD, "/tmp/file", O_RDONLY) = 5
2 close(5 <unfinished ...>
1 <... socket resumed>) = 5
2 <... close resumed>) = 0
${AFTER}`;
	const outcomes = playScript(readScript(text, "recording"), { version: "6.18.44", alone: true });
	expect(outcomes.map(({ call, verdict }) => `${call} ${verdict}`)).toContain("connect match");
	expect(outcomes.filter(({ verdict }) => verdict === "undecided")).toEqual([]);
	expect(outcomes.filter(({ verdict }) => verdict === "mismatch")).toEqual([]);
});
