// SPDX-License-Identifier: GPL-2.0-or-later
import type { PortSearchTrace } from "../include/trace/events/port_search.js";

/** Counts the candidates of the kernel's own searches. */
export class LookCounter implements PortSearchTrace {
	looks = 0;
	/** Looks of connect() with the lock of the bucket. */
	locks = 0;
	search(): void {}
	scan(): void {}
	pass(): void {}
	look(_port: number, locked: boolean): void {
		if (locked) this.locks++;
	}
	skip(): void {
		this.looks++;
	}
	chosen(port: number): void {
		if (port !== 0) this.looks++;
	}
	bound(): void {}
	bucket(): void {}
	tuple(): void {}
}
