// SPDX-License-Identifier: GPL-2.0-or-later
/** The interface of this room: reads and plays scripts and recordings. */
export { EXHAUSTED, isRelevant } from "../script/calls.js";
export type { Choice, Outcome, OwnAnswers, PlayOptions, Verdict } from "./outcome.js";
export { Player, readScript } from "./play.js";
export type { Way } from "./search.js";
export { findLongWay, type Part, type Played, partsOf, playLines, playWhole } from "./stream.js";
export { findWay, playScript } from "./ways.js";
