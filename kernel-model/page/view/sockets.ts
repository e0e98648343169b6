// SPDX-License-Identifier: GPL-2.0-or-later
/** The sockets as a table of ss. */

import { count } from "../../machine/count.js";
import type { LineView } from "../session.js";
import { el, fill } from "./dom.js";

export class SocketTable {
	readonly element = el("div", { class: "sockets" });
	private readonly rows: { row: HTMLElement; port: number }[] = [];

	/** `inspect` is called with the port of a row that is chosen. */
	constructor(private readonly inspect: (port: number) => void) {}

	/** Marks the sockets of a port. */
	mark(current: number): void {
		for (const { row, port } of this.rows) {
			row.classList.toggle("current", port !== 0 && port === current);
		}
	}

	show({ sockets: { rows, count: all } }: LineView): void {
		this.rows.length = 0;
		if (all === 0) {
			fill(this.element, el("p", { class: "note" }, "No socket."));
			return;
		}
		const head = ["Netid", "State", "Recv-Q", "Send-Q", "Local", "Peer", "Users", ""];
		const table = el(
			"table",
			{},
			el("caption", { class: "unseen" }, "Sockets after the line, as ss prints them"),
			el("thead", {}, el("tr", {}, ...head.map((name) => el("th", { scope: "col" }, name)))),
			el(
				"tbody",
				{},
				...rows.map((row) => {
					const local = el("button", { type: "button", class: "link" }, row.local);
					local.addEventListener("click", () => this.inspect(row.port));
					const own = row.port === 0 ? row.local : local;
					const queues = [String(row.recvQ), String(row.sendQ)];
					const cells = [row.netid, row.state, ...queues, own, row.peer, row.users, row.notes];
					const line = el("tr", {}, ...cells.map((cell) => el("td", {}, cell)));
					this.rows.push({ row: line, port: row.port });
					return line;
				}),
			),
		);
		const more = all - rows.length;
		fill(
			this.element,
			el("div", { class: "scrolls", tabindex: 0, role: "region", "aria-label": "Sockets" }, table),
			more > 0 ? el("p", { class: "note" }, `and ${count(more)} more sockets`) : null,
		);
	}
}
