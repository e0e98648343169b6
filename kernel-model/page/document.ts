// SPDX-License-Identifier: GPL-2.0-or-later
/**
 * The HTML file: one document that holds its program, its style and the script to begin with, and
 * may reach no network.
 */

import type { Setting } from "./setting.js";

/** What the page begins with. */
export interface Start {
	/** The name of the file; null for the playground. */
	file: string | null;
	/** The script; null for the first example. */
	text: string | null;
	version: string | null;
	beside: string | null;
	seed: number;
	setting: Setting;
}

/** The parts of the document. */
interface Parts {
	/** The bundled programs of the page, and of the model for its workers. */
	program: string;
	model: string;
	style: string;
	start: Start;
	/** The SHA-256 of a text, in base64. */
	sha256: (text: string) => string;
}

/**
 * Text as data in a script element: it cannot end the element or begin a comment. It is ASCII, which
 * browsers decode faster.
 */
export function scriptData(value: unknown): string {
	return JSON.stringify(value).replace(
		/[<>&]|[^ -~]/g,
		(char) => `\\u${char.charCodeAt(0).toString(16).padStart(4, "0")}`,
	);
}

/** Text as HTML, in ASCII. */
function htmlText(text: string): string {
	const entities: Readonly<Record<string, string>> = {
		"&": "&amp;",
		"<": "&lt;",
		">": "&gt;",
		'"': "&quot;",
		"'": "&#39;",
	};
	return text.replace(
		/[&<>"']|[^ -~]/gu,
		(char) => entities[char] ?? `&#${char.codePointAt(0) ?? 0};`,
	);
}

/** The document. Throws Error if a program cannot stand in a script element. */
export function pageHtml({ program, model, style, start, sha256 }: Parts): string {
	if (/<\/script|<!--|<script/i.test(program + model)) {
		throw new Error("a bundled program holds markup that would end its element");
	}
	if (/<\/style/i.test(style)) throw new Error("the style holds markup that would end its element");
	// No default: what is not named here is forbidden, the network with it.
	const policy = [
		"default-src 'none'",
		// The page runs the model itself where workers are forbidden.
		`script-src 'sha256-${sha256(program)}' 'sha256-${sha256(model)}'`,
		`style-src 'sha256-${sha256(style)}'`,
		"worker-src blob:",
		"base-uri 'none'",
		"form-action 'none'",
	].join("; ");
	const title =
		start.file === null ? "See a port search" : `${htmlText(start.file)} &ndash; port search`;
	return `<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="${policy}">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<meta name="referrer" content="no-referrer">
<title>${title}</title>
<style>${style}</style>
</head>
<body>
<noscript>This page plays a model of Linux's port allocator. It needs JavaScript.</noscript>
<script type="text/plain" id="model">${model}</script>
<script type="application/json" id="start">${scriptData(start)}</script>
<script>${program}</script>
</body>
</html>
`;
}
