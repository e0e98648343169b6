// SPDX-License-Identifier: GPL-2.0-or-later
/**
 * Intrusive lists over columns (include/linux/list.h: hlist, list_nulls.h).
 *
 * A chain is a slot of `first` (0: empty) and the columns `next` and `pprev` of its records. The
 * `pprev` of a record is the handle of the record before it, ~slot if it is the first, or 0 if it
 * is on no chain. So a record can be removed without a walk, as in the kernel. The order is the
 * kernel's: records are added at the head unless the function says tail.
 */

export function hlist_unhashed(pprev: Int32Array, node: number): boolean {
	return pprev[node] === 0;
}

/** Takes a record off its chain. Does nothing if the record is on no chain. */
export function hlist_del_init(
	first: Int32Array,
	next: Int32Array,
	pprev: Int32Array,
	node: number,
): void {
	const before = pprev[node];
	if (before === 0) return;
	const after = next[node];
	if (before < 0) first[~before] = after;
	else next[before] = after;
	if (after !== 0) pprev[after] = before;
	next[node] = 0;
	pprev[node] = 0;
}

export function hlist_add_head(
	first: Int32Array,
	next: Int32Array,
	pprev: Int32Array,
	slot: number,
	node: number,
): void {
	const head = first[slot];
	next[node] = head;
	pprev[node] = ~slot;
	if (head !== 0) pprev[head] = node;
	first[slot] = node;
}

/** include/net/sock.h: __sk_nulls_add_node_tail_rcu. */
export function hlist_add_tail_rcu(
	first: Int32Array,
	next: Int32Array,
	pprev: Int32Array,
	slot: number,
	node: number,
): void {
	let last = first[slot];
	if (last === 0) {
		hlist_add_head(first, next, pprev, slot, node);
		return;
	}
	while (next[last] !== 0) last = next[last];
	next[last] = node;
	next[node] = 0;
	pprev[node] = last;
}
