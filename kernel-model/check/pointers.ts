// SPDX-License-Identifier: GPL-2.0-or-later
/** Arguments that are pointers: those that the kernel cannot follow, and memory for an address. */
import { SIZEOF_SA_FAMILY, SIZEOF_SOCKADDR_STORAGE } from "../../include/linux/socket.js";
import { EFAULT } from "../../include/uapi/asm-generic/errno.js";
import type { CallLine, Value } from "../script/strace.js";
import type { ModelCall } from "./model_call.js";

/**
 * Whether a bind() or connect() without an address cannot read it: net/socket.c:
 * move_addr_to_kernel. A pointer that strace printed as a number may be good if the address is
 * shorter than its family.
 */
export function isFault(call: CallLine, length: number): boolean {
	const least = call.args[1]?.value.kind === "null" ? 1 : SIZEOF_SA_FAMILY;
	return length >= least && length <= SIZEOF_SOCKADDR_STORAGE;
}

/** The error of a send that cannot read its address. The length is checked before, or later: 0. */
export function faultOfSend(addrlen: number): number {
	return addrlen >= SIZEOF_SA_FAMILY && addrlen <= SIZEOF_SOCKADDR_STORAGE ? -EFAULT : 0;
}

/** Whether an argument is a pointer that strace could not follow. It prints a number or NULL. */
export function passesBarePointer(call: CallLine): boolean {
	const bare = (value: Value): boolean =>
		value.kind === "null" || (value.kind === "int" && (value.value >= 4096 || value.value < 0));
	return call.args.some(({ value }, index) => {
		if (index === 0) return false;
		if (value.kind === "int" && value.value === 1 && index !== call.args.length - 1) return true;
		if (value.kind === "int" && value.value === 1 && /^get|^accept/.test(call.name)) return true;
		return bare(value);
	});
}

/**
 * The size of the memory for an address that the kernel fills in, bytes; null for a bad pointer. A
 * script may leave the last arguments out.
 */
export function roomFor({ call, operands, recorded }: ModelCall): number | null | undefined {
	const length = call.args[2]?.value;
	if (recorded === -EFAULT && passesBarePointer(call)) return null;
	if (length === undefined) return undefined;
	return length.kind === "null" ? null : operands.length(2, "an address length");
}
