// SPDX-License-Identifier: GPL-2.0-or-later
/** The calls of a random program in strace's syntax. `run` and `live` can play them. */
import { type Address, errnoName } from "../../kernel-model/index.js";
import { parseIpv4 } from "../../kernel-model/machine/address.js";
import { formatValue } from "../../kernel-model/script/strace.js";
import { sockaddrValue } from "../../kernel-model/script/values.js";

const lengthOf = ({ family }: Address) => (family === "AF_INET6" ? 28 : 16);
/** The bytes of an AF_UNSPEC sockaddr after the family: the port, an IPv4 address, and zeros. */
function unspecified({ address, port }: Address): string {
	const bytes = Buffer.alloc(14);
	bytes.writeUInt16BE(port);
	bytes.writeUInt32BE(parseIpv4(address) ?? 0, 2);
	return formatValue({ kind: "string", bytes, truncated: false, column: 0 });
}

/** The name of a device. */
export type DeviceName = (ifindex: number) => string | undefined;
const noName: DeviceName = () => undefined;

const textOf = (name: Address, nameOf = noName) =>
	name.family === "AF_UNSPEC"
		? `{sa_family=AF_UNSPEC, sa_data=${unspecified(name)}}`
		: formatValue(sockaddrValue(name, nameOf));

/** A name that a program passes, with its length. */
export const sockaddrText = (name: Address, nameOf = noName) =>
	`${textOf(name, nameOf)}, ${lengthOf(name)}`;

/** The name that a call returned, with the length before and after. */
export const returnedText = (name: Address) =>
	`${textOf(name)}, [${lengthOf(name)} => ${lengthOf(name)}]`;

export const resultText = (result: number) =>
	result < 0 ? `-1 ${errnoName(-result)}` : String(result);
