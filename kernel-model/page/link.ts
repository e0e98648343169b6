// SPDX-License-Identifier: GPL-2.0-or-later
/** A link that holds a script, its versions and its seed: compressed, in the fragment. */

import { type HostText, isPlain, NO_SETTING, type Setting } from "./setting.js";

/** What a link holds. */
interface Linked {
	text: string;
	/** A name of VERSIONS; null for the one nearest to the recorded kernel. */
	version: string | null;
	/** The second version; null for none. */
	beside: string | null;
	seed: number;
	/** The line that is looked at; 0 for the one that the page chooses. */
	line: number;
	setting: Setting;
}

const PREFIX = "#s=";
/** Most characters of a script in a link. A longer one is an attack, or does not fit anyway. */
const LONGEST = 8 << 20;

/** The fragment for a script. */
export async function fragmentOf(linked: Linked): Promise<string> {
	const { text, version, beside, seed, line, setting } = linked;
	const { uid, alone, host } = setting;
	const more = [uid, alone, host.map((each) => [each.file, each.text])];
	const plain = [text, version, beside, seed, line];
	const json = JSON.stringify(isPlain(setting) ? [1, ...plain] : [2, ...plain, ...more]);
	const packed = await through(
		new TextEncoder().encode(json),
		new CompressionStream("deflate-raw"),
	);
	let binary = "";
	for (const byte of packed) binary += String.fromCharCode(byte);
	const base64 = btoa(binary).replace(/\+/g, "-").replace(/\//g, "_").replace(/=+$/, "");
	return `${PREFIX}${base64}`;
}

/** What a fragment holds; null if it is none of ours or damaged. */
export async function linkedIn(fragment: string): Promise<Linked | null> {
	if (!fragment.startsWith(PREFIX)) return null;
	try {
		const base64 = fragment.slice(PREFIX.length).replace(/-/g, "+").replace(/_/g, "/");
		const packed = Uint8Array.from(atob(base64), (char) => char.charCodeAt(0));
		const json = await through(packed, new DecompressionStream("deflate-raw"));
		return read(JSON.parse(new TextDecoder().decode(json)));
	} catch {
		return null;
	}
}

function read(value: unknown): Linked | null {
	if (!Array.isArray(value)) return null;
	const [format, text, version, beside, seed, line]: unknown[] = value;
	const name = (what: unknown): what is string | null => what === null || typeof what === "string";
	const u32 = (what: unknown): what is number =>
		typeof what === "number" && Number.isInteger(what) && what >= 0 && what <= 0xffffffff;
	if ((format !== 1 && format !== 2) || typeof text !== "string") return null;
	if (!name(version) || !name(beside) || !u32(seed) || !u32(line)) return null;
	const setting = format === 1 ? NO_SETTING : readSetting(value.slice(6));
	return setting === null ? null : { text, version, beside, seed, line, setting };
}

function readSetting([uid, alone, files]: unknown[]): Setting | null {
	const isUid = (what: unknown): what is number | null =>
		what === null || (typeof what === "number" && Number.isInteger(what) && what >= 0);
	if (!isUid(uid) || typeof alone !== "boolean" || !Array.isArray(files)) return null;
	const host: HostText[] = [];
	for (const each of files) {
		const [file, text]: unknown[] = Array.isArray(each) ? each : [];
		if (typeof file !== "string" || typeof text !== "string") return null;
		host.push({ file, text });
	}
	return { uid, alone, host };
}

/** Sends bytes through a stream. Throws RangeError if the result is too long. */
async function through(
	bytes: Uint8Array<ArrayBuffer>,
	stream: CompressionStream | DecompressionStream,
): Promise<Uint8Array> {
	const writer = stream.writable.getWriter();
	// An error of the stream is thrown by read() below.
	writer.write(bytes).catch(() => {});
	writer.close().catch(() => {});
	const reader = stream.readable.getReader();
	const pieces: Uint8Array[] = [];
	let length = 0;
	for (;;) {
		const { done, value } = await reader.read();
		if (done) break;
		length += value.length;
		if (length > LONGEST) {
			await reader.cancel();
			throw new RangeError("the link holds too much");
		}
		pieces.push(value);
	}
	const all = new Uint8Array(length);
	let at = 0;
	for (const piece of pieces) {
		all.set(piece, at);
		at += piece.length;
	}
	return all;
}
