// SPDX-License-Identifier: GPL-2.0-or-later
/** Numbers in words. The first toLocaleString() of a program would take 50 ms. */

/** A whole number as a person reads it: "28,232". */
export const count = (n: number): string => String(n).replace(/\B(?=(?:\d{3})+$)/g, ",");

/** "1 port", "28,232 ports". */
export const plural = (n: number, what: string): string =>
	`${count(n)} ${what}${n === 1 ? "" : "s"}`;
