// SPDX-License-Identifier: GPL-2.0-or-later
/**
 * SO_ATTACH_REUSEPORT_CBPF: a program selects the member of a reuseport group. Both recordings were
 * made on 6.18.44. The program returns the number 1.
 */
import { describe, expect, it } from "vitest";
import { playScript, readScript } from "../../kernel-model/check/player.js";

/** Lines that do not match, with their reasons. */
function others(text: string): string[] {
	return playScript(readScript(text, "program.strace"), { version: "6.18.44" })
		.filter(({ verdict }) => verdict !== "match" && verdict !== "ignored")
		.map(({ line, verdict, reason }) => `${line}: ${verdict} ${reason}`);
}

const BINDS = `
socket(AF_INET, SOCK_STREAM|SOCK_CLOEXEC, IPPROTO_IP) = 3
setsockopt(3, SOL_SOCKET, SO_ATTACH_REUSEPORT_CBPF, {len=1, filter=0x7f5af98ba530}, 16) = -1 EINVAL (Invalid argument)
socket(AF_INET, SOCK_STREAM|SOCK_CLOEXEC, IPPROTO_IP) = 4
setsockopt(4, SOL_SOCKET, SO_REUSEPORT, [1], 4) = 0
setsockopt(4, SOL_SOCKET, SO_ATTACH_REUSEPORT_CBPF, {len=1, filter=0x7f5af98ba530}, 16) = 0
bind(4, {sa_family=AF_INET, sin_port=htons(8000), sin_addr=inet_addr("127.0.0.1")}, 16) = 0
socket(AF_INET, SOCK_STREAM|SOCK_CLOEXEC, IPPROTO_IP) = 5
setsockopt(5, SOL_SOCKET, SO_REUSEPORT, [1], 4) = 0
bind(5, {sa_family=AF_INET, sin_port=htons(8000), sin_addr=inet_addr("127.0.0.1")}, 16) = 0
socket(AF_INET, SOCK_STREAM|SOCK_CLOEXEC, IPPROTO_IP) = 6
setsockopt(6, SOL_SOCKET, SO_REUSEPORT, [1], 4) = 0
setsockopt(6, SOL_SOCKET, SO_ATTACH_REUSEPORT_CBPF, {len=1, filter=0x7f5af98ba530}, 16) = 0
bind(6, {sa_family=AF_INET, sin_port=htons(8000), sin_addr=inet_addr("127.0.0.1")}, 16) = -1 EADDRINUSE (Address already in use)
socket(AF_INET, SOCK_DGRAM|SOCK_CLOEXEC, IPPROTO_IP) = 7
setsockopt(7, SOL_SOCKET, SO_REUSEPORT, [1], 4) = 0
bind(7, {sa_family=AF_INET, sin_port=htons(8000), sin_addr=inet_addr("127.0.0.1")}, 16) = 0
socket(AF_INET, SOCK_DGRAM|SOCK_CLOEXEC, IPPROTO_IP) = 8
setsockopt(8, SOL_SOCKET, SO_REUSEPORT, [1], 4) = 0
setsockopt(8, SOL_SOCKET, SO_ATTACH_REUSEPORT_CBPF, {len=1, filter=0x7f5af98ba530}, 16) = 0
bind(8, {sa_family=AF_INET, sin_port=htons(8000), sin_addr=inet_addr("127.0.0.1")}, 16) = -1 EADDRINUSE (Address already in use)
socket(AF_INET, SOCK_DGRAM|SOCK_CLOEXEC, IPPROTO_IP) = 9
setsockopt(9, SOL_SOCKET, SO_REUSEPORT, [1], 4) = 0
bind(9, {sa_family=AF_INET, sin_port=htons(8000), sin_addr=inet_addr("127.0.0.1")}, 16) = 0
setsockopt(9, SOL_SOCKET, SO_ATTACH_REUSEPORT_CBPF, {len=1, filter=0x7f5af98ba530}, 16) = 0
listen(4, 5)                            = -1 EADDRINUSE (Address already in use)
getsockname(3, {sa_family=AF_INET, sin_port=htons(0), sin_addr=inet_addr("0.0.0.0")}, [16]) = 0
getsockname(4, {sa_family=AF_INET, sin_port=htons(8000), sin_addr=inet_addr("127.0.0.1")}, [16]) = 0
getsockname(5, {sa_family=AF_INET, sin_port=htons(8000), sin_addr=inet_addr("127.0.0.1")}, [16]) = 0
getsockname(6, {sa_family=AF_INET, sin_port=htons(0), sin_addr=inet_addr("0.0.0.0")}, [16]) = 0
getsockname(7, {sa_family=AF_INET, sin_port=htons(8000), sin_addr=inet_addr("127.0.0.1")}, [16]) = 0
getsockname(8, {sa_family=AF_INET, sin_port=htons(0), sin_addr=inet_addr("0.0.0.0")}, [16]) = 0
getsockname(9, {sa_family=AF_INET, sin_port=htons(8000), sin_addr=inet_addr("127.0.0.1")}, [16]) = 0
`;

const SELECTS = `
socket(AF_INET, SOCK_STREAM|SOCK_CLOEXEC, IPPROTO_IP) = 3
setsockopt(3, SOL_SOCKET, SO_REUSEPORT, [1], 4) = 0
bind(3, {sa_family=AF_INET, sin_port=htons(8000), sin_addr=inet_addr("127.0.0.1")}, 16) = 0
listen(3, 5)                            = 0
socket(AF_INET, SOCK_STREAM|SOCK_CLOEXEC, IPPROTO_IP) = 4
setsockopt(4, SOL_SOCKET, SO_REUSEPORT, [1], 4) = 0
bind(4, {sa_family=AF_INET, sin_port=htons(8000), sin_addr=inet_addr("127.0.0.1")}, 16) = 0
listen(4, 5)                            = 0
setsockopt(4, SOL_SOCKET, SO_ATTACH_REUSEPORT_CBPF, {len=1, filter=0x7f53b2f5a4a0}, 16) = 0
socket(AF_INET, SOCK_STREAM|SOCK_CLOEXEC, IPPROTO_IP) = 5
connect(5, {sa_family=AF_INET, sin_port=htons(8000), sin_addr=inet_addr("127.0.0.1")}, 16) = -1 EINPROGRESS (Operation now in progress)
socket(AF_INET, SOCK_STREAM|SOCK_CLOEXEC, IPPROTO_IP) = 6
connect(6, {sa_family=AF_INET, sin_port=htons(8000), sin_addr=inet_addr("127.0.0.1")}, 16) = -1 EINPROGRESS (Operation now in progress)
socket(AF_INET, SOCK_STREAM|SOCK_CLOEXEC, IPPROTO_IP) = 7
connect(7, {sa_family=AF_INET, sin_port=htons(8000), sin_addr=inet_addr("127.0.0.1")}, 16) = -1 EINPROGRESS (Operation now in progress)
accept4(3, 0x7fff00b79270, [16], SOCK_CLOEXEC) = -1 EAGAIN (Resource temporarily unavailable)
accept4(4, {sa_family=AF_INET, sin_port=htons(55596), sin_addr=inet_addr("127.0.0.1")}, [16], SOCK_CLOEXEC) = 8
getsockname(8, {sa_family=AF_INET, sin_port=htons(8000), sin_addr=inet_addr("127.0.0.1")}, [128 => 16]) = 0
accept4(4, {sa_family=AF_INET, sin_port=htons(55612), sin_addr=inet_addr("127.0.0.1")}, [16], SOCK_CLOEXEC) = 9
getsockname(9, {sa_family=AF_INET, sin_port=htons(8000), sin_addr=inet_addr("127.0.0.1")}, [128 => 16]) = 0
accept4(4, {sa_family=AF_INET, sin_port=htons(55616), sin_addr=inet_addr("127.0.0.1")}, [16], SOCK_CLOEXEC) = 11
getsockname(11, {sa_family=AF_INET, sin_port=htons(8000), sin_addr=inet_addr("127.0.0.1")}, [128 => 16]) = 0
accept4(4, 0x7fff00b79270, [16], SOCK_CLOEXEC) = -1 EAGAIN (Resource temporarily unavailable)
socket(AF_INET, SOCK_DGRAM|SOCK_CLOEXEC, IPPROTO_IP) = 12
setsockopt(12, SOL_SOCKET, SO_REUSEPORT, [1], 4) = 0
bind(12, {sa_family=AF_INET, sin_port=htons(9000), sin_addr=inet_addr("127.0.0.1")}, 16) = 0
setsockopt(12, SOL_SOCKET, SO_ATTACH_REUSEPORT_CBPF, {len=1, filter=0x7f53b2f5a4a0}, 16) = 0
socket(AF_INET, SOCK_DGRAM|SOCK_CLOEXEC, IPPROTO_IP) = 13
setsockopt(13, SOL_SOCKET, SO_REUSEPORT, [1], 4) = 0
bind(13, {sa_family=AF_INET, sin_port=htons(9000), sin_addr=inet_addr("127.0.0.1")}, 16) = 0
socket(AF_INET, SOCK_DGRAM|SOCK_CLOEXEC, IPPROTO_IP) = 14
sendto(14, "x", 1, 0, {sa_family=AF_INET, sin_port=htons(9000), sin_addr=inet_addr("127.0.0.1")}, 16) = 1
sendto(14, "x", 1, 0, {sa_family=AF_INET, sin_port=htons(9000), sin_addr=inet_addr("127.0.0.1")}, 16) = 1
sendto(14, "x", 1, 0, {sa_family=AF_INET, sin_port=htons(9000), sin_addr=inet_addr("127.0.0.1")}, 16) = 1
recvfrom(12, 0x7f53b2d38da0, 9, 0, NULL, NULL) = -1 EAGAIN (Resource temporarily unavailable)
recvfrom(13, "x", 9, 0, NULL, NULL)     = 1
recvfrom(13, "x", 9, 0, NULL, NULL)     = 1
recvfrom(13, "x", 9, 0, NULL, NULL)     = 1
recvfrom(13, 0x7f53b2d38b30, 9, 0, NULL, NULL) = -1 EAGAIN (Resource temporarily unavailable)
getsockname(3, {sa_family=AF_INET, sin_port=htons(8000), sin_addr=inet_addr("127.0.0.1")}, [16]) = 0
getsockname(4, {sa_family=AF_INET, sin_port=htons(8000), sin_addr=inet_addr("127.0.0.1")}, [16]) = 0
getsockname(5, {sa_family=AF_INET, sin_port=htons(55596), sin_addr=inet_addr("127.0.0.1")}, [16]) = 0
getsockname(6, {sa_family=AF_INET, sin_port=htons(55612), sin_addr=inet_addr("127.0.0.1")}, [16]) = 0
getsockname(7, {sa_family=AF_INET, sin_port=htons(55616), sin_addr=inet_addr("127.0.0.1")}, [16]) = 0
getsockname(12, {sa_family=AF_INET, sin_port=htons(9000), sin_addr=inet_addr("127.0.0.1")}, [16]) = 0
getsockname(13, {sa_family=AF_INET, sin_port=htons(9000), sin_addr=inet_addr("127.0.0.1")}, [16]) = 0
getsockname(14, {sa_family=AF_INET, sin_port=htons(51226), sin_addr=inet_addr("0.0.0.0")}, [16]) = 0
getsockname(8, {sa_family=AF_INET, sin_port=htons(8000), sin_addr=inet_addr("127.0.0.1")}, [16]) = 0
getsockname(9, {sa_family=AF_INET, sin_port=htons(8000), sin_addr=inet_addr("127.0.0.1")}, [16]) = 0
getsockname(11, {sa_family=AF_INET, sin_port=htons(8000), sin_addr=inet_addr("127.0.0.1")}, [16]) = 0
`;

describe("a reuseport group with a program", () => {
	it("is left alone by a socket that got a program before its bind()", () => {
		expect(others(BINDS)).toEqual([]);
	});

	it("conflicts with such a socket: another result of its bind() is a mismatch", () => {
		const failed = /(bind\(6, .*\)) += -1 EADDRINUSE.*/;
		expect(BINDS).toMatch(failed);
		const [first] = others(BINDS.replace(failed, "$1 = 0"));
		expect(first).toMatch(/^14: mismatch .*the model EADDRINUSE/);
	});

	it("gives connections and datagrams to any member", () => {
		expect(others(SELECTS)).toEqual([]);
	});
});
