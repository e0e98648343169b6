// SPDX-License-Identifier: GPL-2.0-or-later
import type { PortSearchTrace } from "../include/trace/events/port_search.js";

/** Counts the candidates of the kernel's own searches. */
export class LookCounter implements PortSearchTrace {
	looks = 0;
	search(): void {}
	scan(): void {}
	pass(): void {}
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
