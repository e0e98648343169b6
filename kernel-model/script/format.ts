// SPDX-License-Identifier: GPL-2.0-or-later
/** Prints calls and values as strace does. */
import { isDigit } from "./chars.js";
import type { Arg, Value } from "./syntax.js";

/** Decodes a string as UTF-8 if it is valid, else as Latin-1, so no byte is lost. */
export function decodeString(value: Extract<Value, { kind: "string" }>): string {
	const { ascii = null } = value;
	if (ascii !== null) return ascii;
	try {
		return UTF8.decode(value.bytes);
	} catch {
		let text = "";
		for (const byte of value.bytes) text += String.fromCharCode(byte);
		return text;
	}
}

const UTF8 = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });

const LETTERS = new Map([
	[9, "\\t"],
	[10, "\\n"],
	[11, "\\v"],
	[12, "\\f"],
	[13, "\\r"],
	[34, '\\"'],
	[92, "\\\\"],
]);

function formatString(bytes: Uint8Array): string {
	let text = "";
	for (const [n, byte] of bytes.entries()) {
		const letter = LETTERS.get(byte);
		if (letter !== undefined) {
			text += letter;
		} else if (byte >= 32 && byte < 127) {
			text += String.fromCharCode(byte);
		} else {
			const octal = byte.toString(8);
			// A digit after a short escape would become part of the escape.
			text += `\\${isDigit(bytes[n + 1] ?? 0) ? octal.padStart(3, "0") : octal}`;
		}
	}
	return `"${text}"`;
}

/** Formats an integer without the exponents of Number's own notation. */
function formatInt(value: number, radix: 10 | 16): string {
	const digits = BigInt(Math.abs(value)).toString(radix);
	return `${value < 0 ? "-" : ""}${radix === 16 ? "0x" : ""}${digits}`;
}

function formatList(items: string[], truncated: boolean): string {
	return (truncated ? [...items, "..."] : items).join(", ");
}

/** Formats a value as strace prints it. */
export function formatValue(value: Value): string {
	switch (value.kind) {
		case "int":
			return value.symbol === null
				? formatInt(value.value, 10)
				: `${formatInt(value.value, 16)} /* ${value.symbol} */`;
		case "flags": {
			const names = value.names.join("|");
			return value.extra === 0 ? names : `${names}|${formatInt(value.extra, 16)}`;
		}
		case "string":
			return `${formatString(value.bytes)}${value.truncated ? "..." : ""}`;
		case "array": {
			const list = formatList(value.items.map(formatValue), value.truncated);
			return `${value.negated ? "~" : ""}[${list}]`;
		}
		case "struct": {
			const fields = value.fields.map(
				(field) => `${field.name === null ? "" : `${field.name}=`}${formatValue(field.value)}`,
			);
			return `{${formatList(fields, value.truncated)}}`;
		}
		case "call":
			return `${value.name}(${value.args.map(formatValue).join(", ")})`;
		case "change":
			return `${formatValue(value.before)} => ${formatValue(value.after)}`;
		case "null":
			return "NULL";
		case "other":
			return value.text;
	}
}

/** Formats a call as strace does, without a result. Reading the text gives the same tree again. */
export function formatCall(name: string, args: Arg[]): string {
	const printed = args.map(
		(arg) =>
			`${arg.name === null ? "" : `${arg.name}=`}${formatValue(arg.value)}` +
			`${arg.fd === null ? "" : `<${arg.fd}>`}`,
	);
	return `${name}(${printed.join(", ")})`;
}
