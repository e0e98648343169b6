// SPDX-License-Identifier: GPL-2.0-or-later
/** One port: its bucket with owners, and the bind2 buckets. */

import { count } from "../../machine/count.js";
import type { Named, PortView } from "../bucket.js";
import { type Cells, portWords } from "../grid.js";
import { el, fill } from "./dom.js";

export class PortPanel {
	readonly element = el("div", { class: "port" });

	show(view: PortView, cells: Cells, when: string): void {
		const { port, buckets, sockets } = view;
		const [, words = ""] = /^port [0-9]+: (.*)$/.exec(portWords(cells, port)) ?? [];
		const empty = buckets.length === 0 && sockets.count === 0;
		fill(
			this.element,
			el("h3", {}, `Port ${port}`, el("span", { class: "note" }, ` ${words}, ${when}`)),
			empty ? el("p", { class: "note" }, "No bucket: no socket has this port.") : null,
			...buckets.map(({ l3mdev, fastreuse, fastreuseport, meaning, owners, bind2 }) =>
				el(
					"section",
					{},
					el("h4", {}, el("code", {}, "inet_bind_bucket"), l3mdev === 0 ? "" : ` of VRF ${l3mdev}`),
					fastFields(fastreuse, fastreuseport),
					el("p", { class: "note" }, `${meaning.charAt(0).toUpperCase()}${meaning.slice(1)}.`),
					owners === null ? null : listOf("owner", owners),
					...bind2.map(
						({ address, fastreuse: fast2, fastreuseport: port2, owners: full, deathrow }) =>
							el(
								"section",
								{ class: "bind2" },
								el("h4", {}, el("code", {}, "inet_bind2_bucket"), ` ${address}`),
								fast2 === null ? null : fastFields(fast2, port2 ?? 0),
								full.count === 0 ? null : listOf("owner", full),
								deathrow.count === 0 ? null : listOf("socket in TIME_WAIT", deathrow),
							),
					),
				),
			),
			sockets.count === 0 ? null : listOf("socket", sockets),
		);
	}
}

function fastFields(fastreuse: number, fastreuseport: number): HTMLElement {
	return el(
		"dl",
		{},
		el("dt", {}, "fastreuse"),
		el("dd", {}, String(fastreuse)),
		el("dt", {}, "fastreuseport"),
		el("dd", {}, String(fastreuseport)),
	);
}

function listOf(what: string, { first, count: all }: Named): HTMLElement {
	const more = all - first.length;
	return el(
		"div",
		{ class: "owners" },
		el("h5", {}, all === 1 ? `1 ${what}` : `${count(all)} ${what.replace(/^[a-z]+/, "$&s")}`),
		el(
			"ul",
			{},
			...first.map((text) => el("li", {}, text)),
			more > 0 ? el("li", { class: "note" }, `and ${count(more)} more`) : null,
		),
	);
}
