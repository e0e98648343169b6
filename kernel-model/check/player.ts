// SPDX-License-Identifier: GPL-2.0-or-later
/** The door of this room: scripts and recordings, read and played. */
export { EXHAUSTED, isRelevant } from "../script/calls.js";
export type { Choice, Outcome, OwnAnswers, PlayOptions, Verdict } from "./outcome.js";
export { Player, readScript } from "./play.js";
export { playScript } from "./search.js";
export { type Part, type Played, partsOf, playLines, playWhole } from "./stream.js";
