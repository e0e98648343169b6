// SPDX-License-Identifier: GPL-2.0-or-later
/**
 * What C's pointers are here: a handle is a row of one table, 0 is NULL. The brand tells the
 * compiler which table. At run time every handle is a plain number. A plain number fits each
 * brand. One brand never fits another, and indexes no column of another table.
 */
declare const brand: unique symbol;
type Branded<Name extends string> = number & { readonly [brand]?: Name };

/** struct sock, inet_timewait_sock or request_sock: a row of SockTable. */
export type Sk = Branded<"Sk">;
/** struct socket: a row of SocketTable. */
export type Sock = Branded<"Sock">;
/** struct inet_bind_bucket: a row of BindBucketTable. */
export type Tb = Branded<"Tb">;
/** struct inet_bind2_bucket: a row of Bind2BucketTable. */
export type Tb2 = Branded<"Tb2">;

/** Numbers that are no handles, but are mixed up as easily. */

/** A port in host order, 0: none. */
export type Port = Branded<"Port">;
/** The index of a device, 0: none. */
export type Ifindex = Branded<"Ifindex">;

/** A typed array that is indexed by the handles of one table. */
export type Column<A, Handle extends number, Value extends number = number> = Omit<A, number> & {
	[handle in Handle]: Value;
};

/** The first record of each chain of a hash table, by slot: struct hlist_head. */
export type Heads<Handle extends number> = Column<Int32Array, number, Handle>;
