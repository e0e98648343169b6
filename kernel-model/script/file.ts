// SPDX-License-Identifier: GPL-2.0-or-later
/** Files with scripts and recordings, of any size and perhaps compressed, line by line. */
import { closeSync, createWriteStream, mkdtempSync, openSync, readSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Readable, Transform } from "node:stream";
import { pipeline } from "node:stream/promises";
import { createGunzip } from "node:zlib";

/** Bytes of the longest line that is read. strace cuts strings, so a recording has none. */
export const LONGEST_LINE = 1 << 24;

const CHUNK = 1 << 18;
const NEWLINE = 10;

/** The file is not a script. The message says why in a few words. */
export class FileError extends Error {}

/** Compressed formats that cannot be read, with the first bytes of such files. */
const COMPRESSED: readonly [name: string, magic: readonly number[]][] = [
	["xz", [0xfd, 0x37, 0x7a, 0x58, 0x5a]],
	["zstd", [0x28, 0xb5, 0x2f, 0xfd]],
	["bzip2", [0x42, 0x5a, 0x68]],
];

/** Throws FileError if the first bytes are not those of a text. */
export function checkBegin(begun: Uint8Array): void {
	for (const [name, magic] of COMPRESSED) {
		if (magic.every((byte, i) => begun[i] === byte)) {
			throw new FileError(`compressed by ${name}: expected text, or a file compressed by gzip`);
		}
	}
}

/** Throws FileError at a NUL. `before` is the number of bytes of the file before these. */
export function checkText(bytes: Uint8Array, before = 0): void {
	const nul = bytes.indexOf(0);
	if (nul < 0) return;
	const where = `byte ${before + nul + 1} is NUL`;
	throw new FileError(`not a script or recording: expected text, but ${where}`);
}

/** An open file, decompressed. */
export interface OpenFile {
	/**
	 * The lines without their ends. They can be read once. Throws FileError if a line is too long.
	 */
	lines(): Generator<string>;
	close(): void;
}

/** Reads as many bytes as there are. A terminal or pipe may have none yet. */
function read(fd: number, into: Buffer, at: number): number {
	for (;;) {
		try {
			return readSync(fd, into, at, into.length - at, null);
		} catch (error) {
			const code = error instanceof Error && "code" in error ? error.code : null;
			if (code === "EOF") return 0;
			if (code !== "EAGAIN") throw error;
			Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 10);
		}
	}
}

/** The lines of `begun` followed by the rest of a file. */
function* linesOf(fd: number, begun: Buffer): Generator<string> {
	let buffer = Buffer.alloc(Math.max(CHUNK, begun.length));
	begun.copy(buffer);
	let [start, end, searched] = [0, begun.length, 0];
	/** Bytes of the file before the buffer. */
	let before = 0;
	checkText(buffer.subarray(0, end));
	for (;;) {
		const newline = buffer.indexOf(NEWLINE, searched);
		if (newline >= 0 && newline < end) {
			// Makes a new string. A slice of a longer string would keep the longer one in memory.
			yield buffer.toString("utf8", start, newline);
			start = newline + 1;
			searched = start;
			continue;
		}
		if (end - start > LONGEST_LINE) throw new FileError("a line has more than 16 MiB");
		const rest = end - start;
		const bigger = rest > buffer.length / 2 ? Buffer.alloc(buffer.length * 2) : buffer;
		buffer.copy(bigger, 0, start, end);
		buffer = bigger;
		before += start;
		[start, end, searched] = [0, rest, rest];
		const more = read(fd, buffer, end);
		if (more === 0) break;
		end += more;
		checkText(buffer.subarray(end - more, end), before + end - more);
	}
	if (end > start) yield buffer.toString("utf8", start, end);
}

/** Passes text on. Fails if a line is too long. */
function onlyLines(): Transform {
	let length = 0;
	return new Transform({
		transform(chunk: Buffer, _encoding, done) {
			const last = chunk.lastIndexOf(NEWLINE);
			length = last < 0 ? length + chunk.length : chunk.length - last;
			if (length > LONGEST_LINE) done(new FileError("a line has more than 16 MiB"));
			else done(null, chunk);
		},
	});
}

function* chunks(fd: number, begun: Buffer): Generator<Buffer> {
	yield begun;
	for (;;) {
		const buffer = Buffer.alloc(CHUNK);
		const more = read(fd, buffer, 0);
		if (more === 0) return;
		yield buffer.subarray(0, more);
	}
}

/**
 * Decompresses into an unlinked file. The kernel removes it when it is closed, even if the process
 * is killed.
 */
async function inflated(fd: number, begun: Buffer): Promise<number> {
	const folder = mkdtempSync(join(tmpdir(), "inet-port-model-"));
	const path = join(folder, "recording");
	const writing = openSync(path, "wx");
	const reading = openSync(path, "r");
	rmSync(folder, { recursive: true });
	try {
		const into = createWriteStream("", { fd: writing });
		await pipeline(Readable.from(chunks(fd, begun)), createGunzip(), onlyLines(), into);
	} catch (error) {
		closeSync(reading);
		throw error;
	}
	return reading;
}

/**
 * Opens a file to read its lines; "-" is standard input. A file compressed by gzip is recognized by
 * its first bytes. Throws FileError and the errors of the file system.
 */
export async function openFile(file: string): Promise<OpenFile> {
	let fd = file === "-" ? 0 : openSync(file, "r");
	let begun = Buffer.alloc(CHUNK);
	try {
		begun = begun.subarray(0, read(fd, begun, 0));
		if (begun[0] === 0x1f && begun[1] === 0x8b) {
			const plain = await inflated(fd, begun);
			if (fd !== 0) closeSync(fd);
			fd = plain;
			begun = Buffer.alloc(0);
		}
		checkBegin(begun);
	} catch (error) {
		if (fd !== 0) closeSync(fd);
		throw error;
	}
	return {
		lines: () => linesOf(fd, begun),
		close: () => {
			if (fd !== 0) closeSync(fd);
		},
	};
}
