// SPDX-License-Identifier: GPL-2.0-or-later
/** The laws of programs whose sockets name their port, in the order in which they are shown. */
import { alive } from "./alive.js";
import { apart } from "./apart.js";
import { changed } from "./changed.js";
import { closed } from "./closed.js";
import { crowd } from "./crowd.js";
import { disconnect } from "./disconnect.js";
import { dual } from "./dual.js";
import { failed } from "./failed.js";
import { forgotten } from "./forgotten.js";
import { found } from "./found.js";
import { guests } from "./guests.js";
import { held } from "./held.js";
import { keeps } from "./keeps.js";
import type { Bound } from "./kinds.js";
import { late } from "./late.js";
import type { Law } from "./law.js";
import { mapped } from "./mapped.js";
import { named } from "./named.js";
import { options } from "./options.js";
import { order } from "./order.js";
import { peer } from "./peer.js";
import { reach } from "./reach.js";
import { recycled } from "./recycled.js";
import { restart } from "./restart.js";
import { shared } from "./shared.js";
import { start } from "./start.js";
import { strangers } from "./strangers.js";
import { tuple } from "./tuple.js";
import { twins } from "./twins.js";
import { unshared } from "./unshared.js";
import { users } from "./users.js";
import { v6only } from "./v6only.js";
import { whichever } from "./whichever.js";
import { wider } from "./wider.js";
import { within } from "./within.js";

export const LAWS: readonly Law[] = [
	held,
	shared,
	order,
	strangers,
	failed,
	closed,
	options,
	disconnect,
	named,
	mapped,
	dual,
	v6only,
	reach,
	keeps,
	changed,
	users,
	crowd,
	guests,
	restart,
	forgotten,
	alive,
	peer,
];

/** The laws of programs whose sockets search for ports, in the order in which they are shown. */
export const SEARCH_LAWS: readonly Law[] = [
	twins,
	found,
	unshared,
	tuple,
	late,
	within,
	wider,
	start,
	whichever,
	apart,
];

/** The laws of programs whose connections end, and whose ports are searched for again. */
const TIME_LAWS: readonly Law[] = [alive, forgotten, recycled];

/** Every law. */
export const ALL_LAWS: readonly Law[] = [...new Set([...LAWS, ...SEARCH_LAWS, ...TIME_LAWS])];

/** The laws that judge the programs of a bound. */
export function lawsOf(bound: Bound): readonly Law[] {
	if (bound.reconnects) return TIME_LAWS;
	return bound.searches ? SEARCH_LAWS : LAWS;
}
