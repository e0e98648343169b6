// SPDX-License-Identifier: GPL-2.0-or-later
/** Measures how much a bitmap-guided search saves: `npm run bench -- --only bitmap`. */
import { fillFigures, fillTimes } from "./fill.js";
import { output } from "./output.js";

const out = output(process.argv.includes("--json"));
const times = fillTimes(out.progress);
out.print(out.json ? `${JSON.stringify({ case: "bitmap-fill", ...times })}\n` : fillFigures(times));
