// SPDX-License-Identifier: GPL-2.0-or-later
/** The model behind the page: the verdicts of `run`, and every line looked at in any order. */
import { existsSync, readFileSync } from "node:fs";
import { describe, expect, it } from "vitest";
import { CHANGES } from "../../include/linux/version.js";
import { playScript, readScript } from "../../kernel-model/check/player.js";
import { VERSIONS } from "../../kernel-model/machine/versions.js";
import { besides } from "../../kernel-model/page/beside.js";
import { Desk, type Request } from "../../kernel-model/page/desk.js";
import { examples } from "../../kernel-model/page/examples.js";
import { PORT_CONNECTED, PORT_RESERVED } from "../../kernel-model/page/grid.js";
import { type Loaded, noResults, take, VERDICTS } from "../../kernel-model/page/outcomes.js";
import { STEP_CHOSEN, STEP_SKIP } from "../../kernel-model/page/search_steps.js";
import { Session } from "../../kernel-model/page/session.js";
import { NO_SETTING, type Setting } from "../../kernel-model/page/setting.js";

function open(text: string, version: string | null = "7.3", setting = NO_SETTING) {
	const playing = Session.open({ text, version, seed: 1, setting });
	for (;;) {
		const next = playing.next();
		if (next.done === true) return next.value;
	}
}

function compared(text: string, versions: [string, string]) {
	const comparing = besides(text, versions);
	for (;;) {
		const next = comparing.next();
		if (next.done === true) return next.value;
	}
}

const recording = (name: string) => readFileSync(`tests/recordings/${name}.strace`, "utf8");
const verdictsOf = ({ verdicts }: Loaded) =>
	[...verdicts].flatMap((verdict, i) => (verdict === 0 ? [] : [`${i + 1} ${VERDICTS[verdict]}`]));
const example = (id: string) => examples().find((one) => one.id === id)?.text ?? "";

describe("a session", () => {
	it.each(["three_ways-closing", "time_wait", "odd"])("gives the verdicts of run: %s", (name) => {
		const text = recording(name);
		const played = playScript(readScript(text, name), { version: "6.1.176", seed: 1 });
		const expected = played.map(({ line, verdict }) => `${line} ${verdict}`);
		const byLine = (a: string, b: string) => Number.parseInt(a, 10) - Number.parseInt(b, 10);
		expect(verdictsOf(open(text, "6.1.176").loaded)).toEqual(expected.sort(byLine));
	});

	it("tells the results while it plays", () => {
		const text = "socket(AF_INET, SOCK_STREAM, 0)\nclose(3)\n".repeat(1000);
		const playing = Session.open({ text, version: "7.3", seed: 1, setting: NO_SETTING });
		const told = noResults(2000);
		let most = 0;
		for (;;) {
			const next = playing.next();
			if (next.done === true) {
				const { verdicts, results, failed } = next.value.loaded;
				expect(most).toBeGreaterThan(1000);
				expect([...told.verdicts.slice(0, most)]).toEqual([...verdicts.slice(0, most)]);
				expect(told.results.slice(0, most)).toEqual(results.slice(0, most));
				expect(told.failed).toEqual(failed);
				return;
			}
			for (const shown of next.value.news()) {
				take(told, shown);
				most = Math.max(most, shown.line);
			}
		}
	});

	it("shows a line in the same way whatever was looked at before", () => {
		const text = recording("three_ways-closing");
		const { session, loaded } = open(text, "6.1.176");
		const calls = [...loaded.verdicts].flatMap((one, i) => (one === 1 ? [i + 1] : []));
		const some = calls.filter((_, i) => i % 17 === 0);
		const before = some.map((line) => JSON.stringify(session.look(line)));
		expect(some.length).toBeGreaterThan(5);
		for (const [i, line] of [...some.entries()].reverse()) {
			expect(JSON.stringify(session.look(line)) === before[i], `line ${line}`).toBe(true);
			session.words(0, 1);
			session.port(40000, i % 2 === 0);
		}
	});

	it("records every candidate that the explanation counts", () => {
		const { session, loaded } = open(example("exhausted"));
		expect(loaded.opens).toBe(29);
		const view = session.look(29);
		const steps = view?.steps;
		const skips = [...(steps?.kinds ?? [])].filter((kind) => kind === STEP_SKIP);
		expect(skips.length).toBe(12);
		expect(view?.explanation).toContain(
			"6 even ports passed over: 5 four-tuple in use, 1 reserved",
		);
		expect([steps?.low, steps?.high, steps?.kinds.at(-1)]).toEqual([40000, 40011, STEP_CHOSEN]);
		expect(view?.before.states[40002]).toBe(PORT_RESERVED);
		expect(view?.before.states[40000]).toBe(PORT_CONNECTED);
		const words = session.words(0, steps?.kinds.length ?? 0);
		expect(words.map(({ where }) => where)).toContain("inet_is_local_reserved_port");
		expect(words[2]?.text).toMatch(/^pass 1 over the even ports, up from 400[0-9]+ and around$/);
		expect(words.at(-1)).toEqual({ where: "__inet_hash_connect", text: "no port is left" });
	});

	it.each(["6.3", "6.12", "7.3"])("shows a port before and after the line, %s", (version) => {
		const { session } = open(example("riddle-connect"), version);
		// The first connect() takes the only port.
		session.look(7);
		expect(session.port(40000, false).buckets).toEqual([]);
		const [bucket] = session.port(40000, true).buckets;
		expect([bucket?.fastreuse, bucket?.fastreuseport]).toEqual([-1, -1]);
		expect(bucket?.owners?.count).toBe(version === "6.3" ? 1 : undefined);
		const fields = bucket?.bind2.map(({ address, fastreuse, owners: { count } }) => [
			address,
			fastreuse,
			count,
		]);
		expect(fields).toEqual([["127.0.0.1", version === "7.3" ? -1 : null, 1]]);
	});

	it.each(["6.3", "6.12"])("shows time-wait sockets of a port, %s", (version) => {
		const text = example("time-wait");
		const { session } = open(text, version);
		session.look(text.split("\n").indexOf("close(5)") + 1);
		const [bucket] = session.port(40000, true).buckets;
		const said = bucket?.bind2.map(({ owners, deathrow }) => [owners.count, deathrow.count]);
		expect(said).toEqual([version === "6.3" ? [0, 1] : [1, 0]]);
	});

	it("shows no search in a call that accepts a client from outside", () => {
		const { session } = open(
			readFileSync("tests/recordings/cases/begins-mid-life.strace", "utf8"),
			null,
		);
		expect(session.look(1)?.call).toBe("accept4");
		expect([...(session.look(1)?.steps.kinds ?? [1])]).toEqual([]);
		expect([...(session.look(4)?.steps.kinds ?? [])]).toContain(STEP_CHOSEN);
	});

	it("shows what is open in TIME_WAIT, with the time left", () => {
		const text = example("time-wait");
		const { session } = open(text);
		const line = text.split("\n").indexOf("close(5)") + 1;
		const view = session.look(line);
		expect(view?.after.left[40000]).toBe(60);
		const rows = view?.sockets.rows.filter(({ state }) => state === "TIME-WAIT") ?? [];
		expect(rows.map(({ local, notes }) => [local, notes])).toEqual([
			["127.0.0.1:40000", "60.0 s left"],
		]);
	});

	it("lists sockets as ss does", () => {
		const text = example("riddle-connect");
		const { session } = open(text);
		const rows = session
			.look(9)
			?.sockets.rows.map(({ netid, state, recvQ, sendQ, local, peer, users }) =>
				[netid, state, recvQ, sendQ, local, peer, users].join(" ").trim(),
			);
		expect(rows).toEqual([
			"tcp LISTEN 1 128 0.0.0.0:80 0.0.0.0:* fd 3",
			"tcp ESTAB 0 0 127.0.0.1:80 127.0.0.1:40000",
			"tcp ESTAB 0 0 127.0.0.1:40000 127.0.0.1:80 fd 4",
			"tcp UNCONN 0 0 0.0.0.0:* 0.0.0.0:* fd 5",
		]);
	});

	it("plays the lines above a mistake, and says where it is", () => {
		const { loaded } = open(
			"socket(AF_INET, SOCK_STREAM, 0)\nlisten(3, 1)\nbind(3, oops\nclose(3)\n",
		);
		expect(loaded.results).toEqual(["= 3", "= 0", "", ""]);
		expect([loaded.mistake?.line, loaded.mistake?.column]).toEqual([3, 13]);
	});

	it("plays and looks at a recording that run would read in pieces", () => {
		const at = (address: string, port: number) =>
			`{sa_family=AF_INET, sin_port=htons(${port}), sin_addr=inet_addr("${address}")}, 16`;
		const lines = ["socket(AF_INET, SOCK_STREAM, IPPROTO_TCP) = 3"];
		while (lines.length < 22_000) {
			lines.push("socket(AF_INET, SOCK_STREAM, IPPROTO_TCP) = 4");
			lines.push(`bind(4, ${at("127.0.0.1", 5000)}) = 0`, "close(4) = 0");
		}
		lines[15_003] = `bind(3, ${at("127.0.0.1", 6000)}) = 0`;
		lines[21_000] = `bind(3, ${at("127.0.0.1", 6000)}) = 0`;
		const { session, loaded } = open(`${lines.join("\n")}\n`);
		expect(loaded.opens).toBe(21_001);
		expect(session.look(21_001)?.verdict).toBe("mismatch");
		expect(session.look(15_004)?.port).toBe(6000);
		expect(session.look(15_003)?.after.states[6000]).toBe(0);
	});

	it("opens on the line that differs", () => {
		const { session, loaded } = open(example("impossible"), "6.3");
		const view = session.look(loaded.opens);
		expect(view?.verdict).toBe("mismatch");
		expect(view?.reason).toContain("the kernel chose port 40001, the model cannot");
		expect(view?.lines.length).toBeGreaterThan(0);
	});

	it("plays with the user and the files about the host that are known beside the script", () => {
		const bind = (fd: number, port: number) =>
			`bind(${fd}, {sa_family=AF_INET, sin_port=htons(${port}), sin_addr=inet_addr("127.0.0.1")}, 16)`;
		const text = `socket(AF_INET, SOCK_STREAM, 0)\n${bind(3, 80)}\n${bind(3, 8080)}\n`;
		const host = [
			{
				file: "ss.txt",
				text: "Netid State Recv-Q Send-Q Local Address:Port Peer Address:Port Process\ntcp LISTEN 0 128 127.0.0.1:8080 0.0.0.0:*\n",
			},
		];
		const results = (setting: Setting) => open(text, "7.3", setting).loaded.results.slice(1);
		expect(results(NO_SETTING)).toEqual(["= 0", "EINVAL"]);
		expect(results({ ...NO_SETTING, uid: 1000 })).toEqual(["EACCES", "= 0"]);
		expect(results({ uid: 1000, alone: true, host })).toEqual(["EACCES", "EADDRINUSE"]);
	});

	it("opens a script without a call, and an empty one", () => {
		expect(open("").loaded.opens).toBe(0);
		const { session, loaded } = open("# nothing\n");
		expect([loaded.opens, session.look(1)?.call]).toEqual([0, ""]);
	});
});

describe("a second version", () => {
	const changes = CHANGES.filter(({ name }) =>
		existsSync(`tests/examples/changes/${name}.strace`),
	).map(({ name }) => name);

	it.each(changes)("differs by the change that makes it differ: %s", (name) => {
		const text = readFileSync(`tests/examples/changes/${name}.strace`, "utf8");
		const [oldest] = VERSIONS;
		const found = VERSIONS.slice(1).flatMap((version, i) =>
			[VERSIONS[i], oldest].flatMap((before) => {
				const has = (one?: (typeof VERSIONS)[number]) => one?.has.includes(name) === true;
				if (has(version) === has(before)) return [];
				const differing = compared(text, [version.name, before?.name ?? ""]);
				return differing.flatMap(({ changes: names }) => names.map((change) => change.name));
			}),
		);
		expect(found).toContain(name);
	});
});

describe("a desk", () => {
	const text = example("by-hand");
	const request: Request<"beside"> = {
		id: 1,
		kind: "beside",
		ask: { text, versions: ["6.3", "7.3"], setting: NO_SETTING },
	};

	it("compares versions in slices", async () => {
		let pauses = 0;
		const pause = async () => {
			pauses++;
		};
		const desk = new Desk(0, pause, () => {});
		expect(await desk.answer(request)).toEqual({
			id: 1,
			kind: "done",
			get: compared(text, ["6.3", "7.3"]),
		});
		expect(pauses).toBeGreaterThan(1);
	});

	it("ends a comparison that is no longer wanted at its next pause", async () => {
		const desk: Desk = new Desk(
			0,
			async () => desk.stop(),
			() => {},
		);
		expect(await desk.answer(request)).toEqual({ id: 1, kind: "replaced" });
	});
});

/** The calls that fail in each example. */
const FAILS: Readonly<Record<string, string[]>> = {
	exhausted: ["connect(14"],
	"time-wait": ["connect(4"],
	"by-hand": ["bind(4", "bind(5"],
	"namespace-range": ["connect(7"],
	"socket-range": ["connect(5"],
	"reuseport-group": ["bind(6", "bind(6"],
	"riddle-connect": ["connect(6"],
	"riddle-bind-first": ["connect(5"],
	"riddle-connect-first": ["bind(5", "bind(5", "connect(6"],
	"riddle-late": ["bind(5"],
};

describe("an example", () => {
	it.each(examples())("$id ends as its remarks say", ({ id, text, version, beside }) => {
		const { loaded } = open(text, version);
		expect(loaded.mistake).toBeNull();
		const failed = text.split("\n").filter((_, i) => loaded.failed[i] === 1);
		expect(failed.map((line) => /^\w+\(\d+/.exec(line)?.[0])).toEqual(FAILS[id] ?? []);
		if (beside === undefined) return;
		const differing = compared(text, [version, beside]);
		expect(differing.flatMap(({ changes }) => changes.map(({ name }) => name))).toEqual([
			"fastreuse-recomputed",
		]);
	});
});
