// SPDX-License-Identifier: GPL-2.0-or-later
import { expect, test } from "vitest";
import { SetupError } from "../../kernel-model/script/setup.js";
import { TWO_DEVICES, World } from "../world.js";

test("ip -6 route prepend puts a route after those with the same metric, as append does", () => {
	const world = new World({ setup: TWO_DEVICES });
	world.run(`
		ip -6 route add blackhole 2001:db8:1::/64 metric 7
		ip -6 route prepend 2001:db8:1::/64 dev dummy0 metric 7
		tcp6 a b
		a start [2001:db8:1::5]:80 = EINVAL
		ip -6 route del blackhole 2001:db8:1::/64 metric 7
		b start [2001:db8:1::5]:80 = EINPROGRESS
	`);
});

test("ip -4 route prepend is not modelled if there is a route with the same metric", () => {
	const world = new World({ setup: TWO_DEVICES });
	world.run("ip route add blackhole 198.18.0.0/24 metric 7");
	expect(() => world.call("ip route prepend 198.18.0.0/24 dev dummy0 metric 7")).toThrow(
		SetupError,
	);
});
