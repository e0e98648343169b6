// SPDX-License-Identifier: GPL-2.0-or-later

/** Waits until other events are handled. */
export const pause = () => new Promise<void>((go) => setTimeout(go, 0));
