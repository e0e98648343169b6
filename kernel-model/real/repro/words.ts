// SPDX-License-Identifier: GPL-2.0-or-later
/**
 * Set-up commands for a program: the words of `ip`, written anew from what the reader understood,
 * and writes to settings.
 */
import type { AddressOptions, FlushOptions, RouteOptions } from "../../machine/net.js";
import type { SetupTarget } from "../../script/setup.js";

type Action =
	| { kind: "ip"; words: string[] }
	| { kind: "sysctl"; name: string; value: string }
	| { kind: "sleep"; ms: number };

/** Collects the actions of set-up commands, in order. */
export class Actions implements SetupTarget {
	readonly actions: Action[] = [];

	private ip(...words: (string | undefined)[]): number {
		this.actions.push({
			kind: "ip",
			words: words.filter((word) => word !== undefined && word !== ""),
		} as Action);
		return 0;
	}

	/** The clock of set-up commands: `sleep`. */
	advance(ms: number): void {
		this.actions.push({ kind: "sleep", ms });
	}

	addLink(name: string, table: number, mac?: string): number {
		const address = mac === undefined ? [] : ["address", mac];
		const type = table === 0 ? ["dummy"] : ["vrf", "table", String(table)];
		return this.ip("link", "add", "name", name, ...address, "type", ...type);
	}

	delLink(name: string): number {
		return this.ip("link", "del", "dev", name);
	}

	private set(name: string, ...words: string[]): number {
		return this.ip("link", "set", "dev", name, ...words);
	}

	renameLink(name: string, to: string): number {
		return this.set(name, "name", to);
	}

	setLink(name: string, up: boolean): number {
		return this.set(name, up ? "up" : "down");
	}

	setMac(name: string, mac: string): number {
		return this.set(name, "address", mac);
	}

	setAddrGenMode(name: string, mode: "eui64" | "none"): number {
		return this.set(name, "addrgenmode", mode);
	}

	setMaster(name: string, master: string | null): number {
		return master === null ? this.set(name, "nomaster") : this.set(name, "master", master);
	}

	private address(verb: string, prefix: string, dev: string, options: AddressOptions): number {
		const { scope, broadcast, deprecated } = options;
		const words = ["addr", verb, "local", prefix, "dev", dev];
		if (scope !== undefined) words.push("scope", scope);
		if (broadcast !== undefined) words.push("broadcast", broadcast);
		if (deprecated === true) words.push("preferred_lft", "0");
		// An address that duplicate address detection still checks cannot be used.
		if (prefix.includes(":") && verb !== "del") words.push("nodad");
		return this.ip(...words);
	}

	addAddress(prefix: string, dev: string, options: AddressOptions): number {
		return this.address("add", prefix, dev, options);
	}

	replaceAddress(prefix: string, dev: string, options: AddressOptions): number {
		return this.address("replace", prefix, dev, options);
	}

	delAddress(prefix: string, dev: string): number {
		return this.address("del", prefix, dev, {});
	}

	flushAddresses({ dev, to, family, scope }: FlushOptions): number {
		const words = ["addr", "flush"];
		if (dev !== undefined) words.push("dev", dev);
		if (to !== undefined) words.push("to", to);
		if (scope !== undefined) words.push("scope", scope);
		return this.ip(family === undefined ? undefined : `-${family}`, ...words);
	}

	private route(verb: string, options: RouteOptions): number {
		const { to, family, type, via, dev, src, metric, scope, table, vrf, onlink } = options;
		const words = ["route", verb, type ?? "unicast", to];
		if (via !== undefined) words.push("via", via);
		if (dev !== undefined) words.push("dev", dev);
		if (src !== undefined) words.push("src", src);
		if (metric !== undefined) words.push("metric", String(metric));
		if (scope !== undefined) words.push("scope", scope);
		if (table !== undefined) words.push("table", String(table));
		if (vrf !== undefined) words.push("vrf", vrf);
		if (onlink === true) words.push("onlink");
		// A route is deleted whatever its type, unless the command names one.
		if (verb === "del" && type === undefined) words.splice(2, 1);
		return this.ip(family === undefined ? undefined : `-${family}`, ...words);
	}

	addRoute(options: RouteOptions): number {
		return this.route("add", options);
	}

	appendRoute(options: RouteOptions): number {
		return this.route("append", options);
	}

	replaceRoute(options: RouteOptions): number {
		return this.route("replace", options);
	}

	delRoute(options: RouteOptions): number {
		return this.route("del", options);
	}

	setSysctl(name: string, text: string): number {
		this.actions.push({ kind: "sysctl", name, value: text.trim() });
		return 0;
	}
}
