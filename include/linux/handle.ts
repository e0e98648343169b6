// SPDX-License-Identifier: GPL-2.0-or-later
/**
 * Handles stand for C's pointers. A handle is the row of a record in its table, 0 is NULL. The
 * brand tells the compiler which table. At run time a handle is a plain number. A plain number can
 * be assigned to any brand. A handle of one brand cannot be assigned to another brand, and cannot
 * index a column of another table.
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

/** The brands below are not handles. They keep other numbers apart that are easy to mix up. */

/** A port in host order, 0: none. */
export type Port = Branded<"Port">;
/** The ifindex of a device, 0: none. */
export type Ifindex = Branded<"Ifindex">;

/** A typed array that is indexed by the handles of one table. */
export type Column<A, Handle extends number, Value extends number = number> = Omit<A, number> & {
	[handle in Handle]: Value;
};

/** The first record of each chain of a hash table, by slot: struct hlist_head. */
export type Heads<Handle extends number> = Column<Int32Array, number, Handle>;
