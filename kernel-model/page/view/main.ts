// SPDX-License-Identifier: GPL-2.0-or-later
/** The program of the page. The same program runs in its workers, where there is no document. */
import { serve } from "./model.js";
import { Page } from "./page.js";

if (typeof document === "undefined") serve();
else new Page(document.body).begin();
