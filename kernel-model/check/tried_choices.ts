// SPDX-License-Identifier: GPL-2.0-or-later
/**
 * The sets of choices that the search tries for one contradiction. Remedies that are applied in
 * another order can come to the same choices. These need not be played twice.
 */
import type { Remedy } from "./facts.js";
import type { Event, Events } from "./order.js";

export class TriedChoices {
	/** The remedies that are applied now, in order. */
	private readonly path: Remedy[] = [];
	/** Where moved events acted before. */
	private readonly placesBefore = new Map<Event, number>();
	/** Sets of choices that were played. */
	private readonly played = new Set<string>();
	/** Those of them from which the search went on, by the least depth. */
	private readonly explored = new Map<string, number>();
	/** Sets of choices from which the search did not go on, because they were met too deep. */
	private readonly tooDeep = new Set<string>();

	constructor(private readonly events: Events) {}

	/** A new contradiction: no choice was tried. */
	begin(): void {
		this.path.length = 0;
		this.placesBefore.clear();
		this.played.clear();
		this.explored.clear();
		this.tooDeep.clear();
		this.played.add("");
		this.explored.set("", -1);
	}

	/** Applies a remedy. Returns the choices that the applied remedies now come to, as a text. */
	apply(remedy: Remedy): string {
		for (const event of remedy.moves ?? []) {
			if (!this.placesBefore.has(event)) this.placesBefore.set(event, event.at);
		}
		remedy.apply();
		this.path.push(remedy);
		return this.choices();
	}

	/** Undoes the remedy that was applied last. */
	undo(): void {
		this.path.pop()?.undo();
	}

	/** Whether these choices were played. */
	wasPlayed(choices: string): boolean {
		return this.played.has(choices);
	}

	/** These choices are played. */
	plays(choices: string): void {
		this.played.add(choices);
	}

	/** Whether the search went on from these choices at this depth or at a smaller one. */
	wasExplored(choices: string, depth: number): boolean {
		const least = this.explored.get(choices);
		return least !== undefined && least <= depth;
	}

	/** The search goes on from these choices. */
	explores(choices: string, depth: number): void {
		this.explored.set(choices, depth);
		this.tooDeep.delete(choices);
	}

	/** The search would go on from these choices, but they are at the greatest depth. */
	endsAt(choices: string): void {
		if (!this.explored.has(choices)) this.tooDeep.add(choices);
	}

	/** Whether the search did not go on from some choices because of the depth. */
	get endedTooDeep(): boolean {
		return this.tooDeep.size > 0;
	}

	/**
	 * The choices that the applied remedies come to, in whatever order they were applied. Of moved
	 * events only the order matters, and whether an event acts when its call returns.
	 */
	private choices(): string {
		const { placesBefore, path, events } = this;
		const choices = new Map<string, number>();
		const moved = new Set<Event>();
		for (const { decides = {}, moves = [] } of path) {
			for (const [choice, value] of Object.entries(decides)) choices.set(choice, value);
			for (const event of moves) moved.add(event);
		}
		const placeOf = (event: Event) => placesBefore.get(event) ?? event.at;
		const compare = (a: Event, b: Event) => {
			if (placeOf(a) < placeOf(b) === a.at < b.at) return;
			choices.set(`order ${Math.min(a.begin, b.begin)} ${Math.max(a.begin, b.begin)}`, 1);
		};
		for (const event of moved) {
			if (event.at >= event.end) choices.set(`late ${event.begin}`, 1);
			const place = placeOf(event);
			const last = Math.max(place, event.at);
			for (let i = events.from(Math.min(place, event.at)); i < events.end; i++) {
				const other = events.get(i);
				if (other.at > last) break;
				if (other !== event && !moved.has(other)) compare(event, other);
			}
			for (const other of moved) if (other !== event) compare(event, other);
		}
		return [...choices]
			.map(([choice, value]) => `${choice} ${value}`)
			.sort()
			.join("\n");
	}
}
