// SPDX-License-Identifier: GPL-2.0-or-later
/** The marks of a search: moments of the play to which it can return. */
import { nth } from "../machine/nth.js";
import type { Mark, Player } from "./play.js";

/** Most marks that are kept. */
const MARKS = 40;

export class Marks {
	/** The earliest first. */
	list: Mark[] = [];

	constructor(private readonly player: Player) {}

	/** The first mark. Events before it are not played again. */
	get first(): Mark {
		return nth(this.list, 0);
	}

	/** The last mark. */
	get last(): Mark {
		return nth(this.list, this.list.length - 1);
	}

	/** Adds a mark here if the last one is at least `events` events back. */
	addAfter(events: number): void {
		const { player, list } = this;
		if (list.length > 0 && player.cursor - this.last.cursor < events) return;
		list.push(player.mark());
		if (list.length > MARKS) this.thin();
	}

	/** Drops a mark, so that marks are dense near the cursor and sparse far back. */
	private thin(): void {
		const { list } = this;
		const { cursor } = this.last;
		let drop = 1;
		let least = Number.POSITIVE_INFINITY;
		for (let i = 1; i < list.length - 2; i++) {
			const gap = nth(list, i + 1).cursor - nth(list, i - 1).cursor;
			const share = gap / (cursor - nth(list, i).cursor);
			if (share < least) [drop, least] = [i, share];
		}
		list.splice(drop, 1);
	}

	/** The last mark that is at an index or before. The first mark, if there is none. */
	before(index: number): Mark {
		return this.list.findLast(({ cursor }) => cursor <= index) ?? this.first;
	}

	/** Drops the marks after an index, because the events from it on were played otherwise. */
	dropAfter(index: number): void {
		this.list = this.list.filter(({ cursor }) => cursor <= index);
	}

	/** Drops marks that are too far back. Keeps one that is at least `back` events back. */
	dropBeyond(back: number): void {
		const { player, list } = this;
		while (list.length > 1 && player.cursor - nth(list, 1).cursor >= back) list.shift();
	}
}
