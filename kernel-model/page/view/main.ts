// SPDX-License-Identifier: GPL-2.0-or-later
/** The program of the page. The model has a program of its own, program.ts. */
import { Page } from "./page.js";

new Page(document.body).begin();
