// SPDX-License-Identifier: GPL-2.0-or-later
/**
 * Boots the kernel of a play: its version, secrets and clock, as the options and the draws of a
 * recording say.
 */
import { JIFFY } from "../../include/linux/timer.js";
import { Kernel } from "../machine/kernel.js";
import { SteadyRandom } from "../machine/random.js";
import { changesOf, DEFAULT_VERSION } from "../machine/versions.js";
import {
	type Draws,
	EPOCH,
	type ExactRandom,
	knownSecrets,
	perturbTable,
	placeOthers,
	placeSecrets,
	type Secrets,
} from "./exact.js";
import type { PlayOptions } from "./outcome.js";

/** The recorded draws of a kernel, and the source that replays them. Both null if there are none. */
interface Replayed {
	draws: Draws | null;
	random: ExactRandom | null;
}

/**
 * Boots the kernel of a play. `answers` are the decided answers to questions to secrets
 * (Facts.secrets). `firstTime` is the first recorded time, in seconds since boot for a recording
 * with draws; null if there is none. Throws RangeError for an unknown version.
 */
export function bootKernel(
	options: PlayOptions,
	answers: readonly number[],
	{ draws, random }: Replayed,
	firstTime: number | null,
): Kernel {
	const { own, clock } = options;
	const secrets = draws?.secrets ?? null;
	const changes = options.changes ?? changesOf(options.version ?? DEFAULT_VERSION);
	const k = new Kernel({
		...(options.version === undefined ? {} : { version: options.version }),
		...(options.changes === undefined ? {} : { changes: options.changes }),
		...(options.seed === undefined ? {} : { seed: options.seed }),
		...(options.search === undefined ? {} : { search: options.search }),
		...(clock === undefined ? {} : { clock }),
		secrets: answers,
		...(secrets === null || changes === null ? {} : { known: knownSecrets(secrets, changes) }),
		...(own === undefined || own.draws === true ? {} : { random: new SteadyRandom() }),
		...(random === null ? {} : { random }),
		...(draws?.udp == null ? {} : { tables: { udp: draws.udp } }),
	});
	if (own !== undefined || random !== null) drawSecrets(k);
	if (draws === null) return k;
	k.table_perturb = perturbTable(draws);
	if (secrets !== null) placeRecordedSecrets(k, secrets, random);
	if (firstTime !== null) setClock(k, firstTime, clock?.phase ?? 0);
	return k;
}

/** Draws the secrets of hashes now. Else the order of first uses would differ between kernels. */
function drawSecrets(k: Kernel): void {
	k.inet_ehash_secret = k.random.get_random_u32();
	k.inet6_ehash_secret = k.random.get_random_u32();
	k.ipv6_hash_secret = k.random.get_random_u32();
}

/** Sets the secrets of a recording with draws. */
function placeRecordedSecrets(k: Kernel, secrets: Secrets, random: ExactRandom | null): void {
	placeSecrets(k, secrets);
	if (random === null) return;
	random.hashMix = secrets.others?.hashMix ?? null;
	if (secrets.others !== null) placeOthers(k, secrets.others);
	random.hashMix = secrets.hashMix;
}

/**
 * Sets the kernel's clock and jiffies to those of the recording. `time` is in seconds since boot. A
 * second begins with the first jiffy in it, so `phase` shifts it by up to one jiffy.
 */
function setClock(k: Kernel, time: number, phase: number): void {
	const { timers } = k;
	k.advance((time % 1) * 1000 + (phase === 0 ? 0 : 1000 - JIFFY));
	// A kernel begins to count jiffies 300 s before they overflow: INITIAL_JIFFIES.
	const jiffies = Math.floor(((time % EPOCH) * 1000) / JIFFY) - (300 * 1000) / JIFFY;
	timers.wheel = jiffies - Math.floor(timers.now / JIFFY);
}
