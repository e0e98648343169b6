// SPDX-License-Identifier: GPL-2.0-or-later
/**
 * Error numbers, as system calls return them negated
 * (include/uapi/asm-generic/errno-base.h, errno.h; include/linux/errno.h).
 */

export const EPERM = 1;
export const ENOENT = 2;
export const ESRCH = 3;
export const EINTR = 4;
export const EBADF = 9;
export const EAGAIN = 11;
export const ENOMEM = 12;
export const EACCES = 13;
export const EFAULT = 14;
export const EBUSY = 16;
export const EEXIST = 17;
export const ENODEV = 19;
export const EINVAL = 22;
export const EMFILE = 24;
export const ENOTTY = 25;
export const EPIPE = 32;
export const EDOM = 33;
export const ENOMSG = 42;
export const EBADRQC = 56;
export const EUSERS = 87;
export const ENOTSOCK = 88;
export const EDESTADDRREQ = 89;
export const EMSGSIZE = 90;
export const EPROTOTYPE = 91;
export const ENOPROTOOPT = 92;
export const EPROTONOSUPPORT = 93;
export const ESOCKTNOSUPPORT = 94;
export const EOPNOTSUPP = 95;
export const EAFNOSUPPORT = 97;
export const EADDRINUSE = 98;
export const EADDRNOTAVAIL = 99;
export const ENETDOWN = 100;
export const ENETUNREACH = 101;
export const ECONNABORTED = 103;
export const ECONNRESET = 104;
export const ENOBUFS = 105;
export const EISCONN = 106;
export const ENOTCONN = 107;
export const ESHUTDOWN = 108;
export const ETIMEDOUT = 110;
export const ECONNREFUSED = 111;
export const EHOSTUNREACH = 113;
export const EALREADY = 114;
export const EINPROGRESS = 115;

/** include/linux/errno.h: here it means that the call would sleep. A program never sees it. */
export const ERESTARTSYS = 512;

const NAMES = new Map<number, string>(
	Object.entries({
		EPERM,
		ENOENT,
		ESRCH,
		EINTR,
		EBADF,
		EAGAIN,
		ENOMEM,
		EACCES,
		EFAULT,
		EBUSY,
		EEXIST,
		ENODEV,
		EINVAL,
		EMFILE,
		ENOTTY,
		EPIPE,
		EDOM,
		ENOMSG,
		EBADRQC,
		EUSERS,
		ENOTSOCK,
		EDESTADDRREQ,
		EMSGSIZE,
		EPROTOTYPE,
		ENOPROTOOPT,
		EPROTONOSUPPORT,
		ESOCKTNOSUPPORT,
		EOPNOTSUPP,
		EAFNOSUPPORT,
		EADDRINUSE,
		EADDRNOTAVAIL,
		ENETDOWN,
		ENETUNREACH,
		ECONNABORTED,
		ECONNRESET,
		ENOBUFS,
		EISCONN,
		ENOTCONN,
		ESHUTDOWN,
		ETIMEDOUT,
		ECONNREFUSED,
		EHOSTUNREACH,
		EALREADY,
		EINPROGRESS,
		ERESTARTSYS,
	}).map(([name, number]) => [number, name]),
);
const NUMBERS: ReadonlyMap<string, number> = new Map([
	...[...NAMES].map(([number, name]) => [name, number] as const),
	["EWOULDBLOCK", EAGAIN],
]);

/**
 * The name of an error: `errnoName(98)` is `"EADDRINUSE"`. A number without a name gives `"E"` and
 * the number.
 */
export function errnoName(errno: number): string {
	return NAMES.get(errno) ?? `E${errno}`;
}

/** The number of an error by its name, null if the model has no error of this name. */
export function errnoNumber(name: string): number | null {
	return NUMBERS.get(name) ?? null;
}
