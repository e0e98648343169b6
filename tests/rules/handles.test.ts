// SPDX-License-Identifier: GPL-2.0-or-later
/**
 * Handles are branded, so the type checker tells tables apart. The expected errors are those of the
 * type checker.
 */
import { expect, it } from "vitest";
import type { Port, Sk, Tb, Tb2 } from "../../include/linux/handle.js";
import { AF_INET, Kernel, SOCK_STREAM } from "../../kernel-model/index.js";

const kernel = new Kernel();
const task = kernel.createTask({ net: kernel.createNet() });
const fd = task.socket(AF_INET, SOCK_STREAM, 0);
task.bind(fd, { family: "AF_INET", address: "127.0.0.1", port: 40_000 });

const S = kernel.sock;
const T = kernel.tcp_hashinfo.bind_bucket_cachep;
const sk: Sk = kernel.socket.sk[task.socketOf(fd)];
const tb: Tb = S.icsk_bind_hash[sk];
const tb2: Tb2 = S.icsk_bind2_hash[sk];

it("a handle of one table cannot index a column of another table", () => {
	const port: Port = T.port[tb];
	// @ts-expect-error
	const ofSock: unknown = T.port[sk];
	// @ts-expect-error
	const ofBind2: unknown = S.skc_num[tb2];
	expect([port, S.skc_num[sk]]).toEqual([40_000, 40_000]);
	expect([typeof ofSock, typeof ofBind2]).toEqual(["number", "number"]);
});

it("a handle of one table cannot be assigned to a variable for another table", () => {
	// @ts-expect-error
	const owner: Tb = T.owners[tb];
	// @ts-expect-error
	const bucket: Tb2 = S.icsk_bind_hash[sk];
	// @ts-expect-error
	const port: Port = sk;
	expect([owner, bucket, port]).toEqual([sk, tb, sk]);
});

it("a plain number can be a handle of every table", () => {
	const first: Sk = 1;
	expect(S.skc_num[first]).toBe(S.skc_num[1]);
});
