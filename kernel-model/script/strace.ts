// SPDX-License-Identifier: GPL-2.0-or-later
/**
 * The output syntax of strace 5.x and later, and the few additions for scripts. This is about
 * syntax only, not about the meaning of system calls.
 */
export { decodeString, formatCall, formatValue } from "./format.js";
export { ahead, parseLines, parseScript, readEvents } from "./reader.js";
export { argFd } from "./recorded_call.js";
export * from "./syntax.js";
