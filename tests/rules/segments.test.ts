// SPDX-License-Identifier: GPL-2.0-or-later
/** Segments that calls of programs seldom cause: invalid ones, crossed FINs, a SYN that is sent again. */
import { describe, expect, it } from "vitest";
import { icsk_retransmit_timer } from "../../include/net/inet_connection_sock.js";
import type { Segment } from "../../include/net/stack.js";
import {
	TCPHDR_ACK,
	TCPHDR_ACKS_FIN,
	TCPHDR_FIN,
	TCPHDR_RST,
	TCPHDR_SYN,
} from "../../include/net/tcp.js";
import {
	TCP_CLOSING,
	TCP_ESTABLISHED,
	TCP_NEW_SYN_RECV,
	TCP_TIME_WAIT,
} from "../../include/net/tcp_states.js";
import { IPPROTO_TCP } from "../../include/uapi/linux/in.js";
import { tcp_shutdown } from "../../net/ipv4/tcp.js";
import { tcp_rcv_state_process } from "../../net/ipv4/tcp_input.js";
import { tcp_check_req } from "../../net/ipv4/tcp_minisocks.js";
import { World } from "../world.js";

/** A listener on port 5000 and a client on port 6000 that runs `before` before it connects. */
function connected(before = "") {
	const world = new World({ version: "6.18.44" });
	world.run(`
		tcp s c
		s bind 127.0.0.1:5000
		s listen 4
		c bind 127.0.0.1:6000
		${before}
		c start 127.0.0.1:5000 = EINPROGRESS
	`);
	const k = world.kernel;
	const S = k.sock;
	const find = (port: number, state: number) => {
		const sk = S.handles().find((each) => S.skc_num[each] === port && S.skc_state[each] === state);
		if (sk === undefined) throw new Error(`no socket on port ${port} in state ${state}`);
		return sk;
	};
	/** A segment from the peer. */
	const segment = (flags: number, length: number, seq: number, ack: number): Segment => ({
		net: world.net.net,
		protocol: IPPROTO_TCP,
		flags,
		saddr: 0x7f000001,
		daddr: 0x7f000001,
		v6: null,
		sport: 6000,
		dport: 5000,
		dif: 1,
		local: true,
		length,
		seq,
		ack,
		acked: 0,
		write_seq: 0,
		isn_from: 0,
		tcp_tw_isn: false,
		service: 0,
	});
	return { world, k, S, find, segment };
}

describe("an invalid segment of a connection", () => {
	const { k, S, find, segment } = connected();
	const sk = find(6000, TCP_ESTABLISHED);
	/** The number of answers. */
	const answers = (flags: number, length: number) => {
		k.loopback.length = 0;
		tcp_rcv_state_process(k, sk, segment(flags, length, S.rcv_isn[sk] + 1, S.snd_isn[sk]));
		const { length: count } = k.loopback;
		k.loopback.length = 0;
		return count;
	};

	it("is answered with one ACK in half a second if it has neither data nor a FIN", () => {
		expect(answers(TCPHDR_ACK, 0)).toBe(1);
		expect(answers(TCPHDR_ACK, 0)).toBe(0);
		k.timers.now += 499;
		expect(answers(TCPHDR_ACK, 0)).toBe(0);
		k.timers.now += 1;
		expect(answers(TCPHDR_ACK, 0)).toBe(1);
	});

	it("is always answered if it has data or a FIN, and no SYN", () => {
		for (let i = 0; i < 3; i++) {
			expect(answers(TCPHDR_ACK, 5)).toBe(1);
			expect(answers(TCPHDR_ACK | TCPHDR_FIN, 0)).toBe(1);
			expect(answers(TCPHDR_ACK | TCPHDR_SYN, 5)).toBe(0);
		}
	});

	it("is not answered if it is a RST", () => {
		k.timers.now += 1000;
		expect(answers(TCPHDR_RST, 0)).toBe(0);
	});
});

describe("close() after shutdown()", () => {
	it("does not send the FIN again", () => {
		const { world, k, find } = connected();
		const timer = icsk_retransmit_timer(find(6000, TCP_ESTABLISHED));
		world.run("c shutdown wr");
		const expiry = k.timers.expiry(timer);
		expect(expiry).not.toBe(null);
		k.timers.now += 8;
		world.run("c close");
		expect(k.timers.expiry(timer)).toBe(expiry);
	});
});

describe("a connection that both sides close at the same time", () => {
	it("stays in CLOSING until the FIN is acknowledged, and then goes to TIME_WAIT", () => {
		const { k, S, find, segment } = connected();
		const sk = find(6000, TCP_ESTABLISHED);
		const receive = (flags: number) =>
			tcp_rcv_state_process(k, sk, segment(flags, 0, S.rcv_isn[sk], S.snd_isn[sk]));
		tcp_shutdown(k, sk, 2);
		k.loopback.length = 0; // The FIN is lost.
		receive(TCPHDR_ACK | TCPHDR_FIN);
		expect(S.skc_state[sk]).toBe(TCP_CLOSING);
		receive(TCPHDR_ACK);
		expect(S.skc_state[sk]).toBe(TCP_CLOSING);
		receive(TCPHDR_ACK | TCPHDR_ACKS_FIN);
		expect(find(6000, TCP_TIME_WAIT)).not.toBe(sk);
	});
});

describe("a request for a connection", () => {
	it("answers a SYN that is sent again with the SYN-ACK, at most twice a second", () => {
		const { k, S, find, segment } = connected("c set 6.12 0"); // TCP_QUICKACK
		const req = find(5000, TCP_NEW_SYN_RECV);
		const syn = segment(TCPHDR_SYN, 0, S.rcv_isn[req], 0);
		const answers = () => {
			k.loopback.length = 0;
			expect(tcp_check_req(k, S.rsk_listener.get(req), syn, req)).toBe(0);
			return k.loopback.map(({ flags }) => flags & (TCPHDR_SYN | TCPHDR_ACK));
		};
		expect(answers()).toEqual([TCPHDR_SYN | TCPHDR_ACK]);
		expect(answers()).toEqual([]);
		k.timers.now += 500;
		expect(answers()).toEqual([TCPHDR_SYN | TCPHDR_ACK]);
	});
});
