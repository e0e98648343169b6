// SPDX-License-Identifier: GPL-2.0-or-later
/** struct socket: the part of a socket that a file refers to (include/linux/net.h). */
import type { Sk, Sock } from "../linux/handle.js";
import { Slab } from "../linux/slab.js";

export class SocketTable extends Slab<Sock> {
	/** SS_UNCONNECTED … SS_DISCONNECTING. */
	state = this.u8();
	/** SOCK_STREAM … */
	type = this.u8();
	/** INET_STREAM_OPS … */
	ops = this.u8();
	/** The sock, 0 after the last close(). */
	sk = this.i32<Sk>();
	/** O_NONBLOCK of its file. */
	flags = this.u32();
	/** User of its inode: the fsuid of the task that made the socket. */
	i_uid = this.u32();
}
