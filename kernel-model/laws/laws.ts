// SPDX-License-Identifier: GPL-2.0-or-later
/** Every law, in the order in which they are shown. */
import { closed } from "./closed.js";
import { disconnect } from "./disconnect.js";
import { dual } from "./dual.js";
import { failed } from "./failed.js";
import { held } from "./held.js";
import { keeps } from "./keeps.js";
import type { Law } from "./law.js";
import { mapped } from "./mapped.js";
import { named } from "./named.js";
import { options } from "./options.js";
import { order } from "./order.js";
import { reach } from "./reach.js";
import { shared } from "./shared.js";
import { strangers } from "./strangers.js";
import { v6only } from "./v6only.js";

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
];
