// SPDX-License-Identifier: GPL-2.0-or-later
/** The profile for a kernel by any name, and what is said of it. */
import { describe, expect, it, test } from "vitest";
import { Kernel } from "../../kernel-model/machine/kernel.js";
import { misspeltChange, profileFor } from "../../kernel-model/machine/profile.js";
import { changesOf, VERSION_NAMES } from "../../kernel-model/machine/versions.js";

const EXACT = [
	["6.18.44-fc-v669", "6.18.44"],
	["6.18.44-cloud-amd64", "6.18.44"],
	["6.12.107+deb13-amd64", "6.12.107"],
	["6.3+orphan-uid", "6.3+orphan-uid"],
	// Built from a git tree at the base commit, which is older than 6.3.
	["6.2.0-rc5-01015-g91d0b78c5177", "6.3"],
	["6.3.8-g91d0b78c5177", "6.3"],
] as const;

const NEAREST = [
	["6.6.32", "", "6.6", /^which fixes of later kernels 6\.6\.32 has was not looked up$/],
	["6.7.4", "", "6.6", /6\.7\.4/],
	["6.18.50", "", "6.18.44", /6\.18\.50/],
	["6.2", "", "6.3", /^6\.2 lacks a change of 6\.3: ip-local-port-range$/],
	["6.1", "", "6.1.176", /6\.1 may lack them: ip-local-port-range, .* and [0-9]+ more$/],
	["5.15", "", "6.1.176", /^no kernel before 6\.1 is modelled/],
	["2.6.32-754.el6.x86_64", "", "6.1.176", /Red Hat takes changes .*no kernel before 6\.1/],
	["6.19.0-rc3", "", "6.19", /may lack changes of 6\.19/],
	["7.9.1", "", "7.3", /newer than every kernel/],
	["6.8.0-40-generic", "#40-Ubuntu SMP", "6.8", /does not name \(\/proc\/version_signature/],
	[
		"6.8.0-40-generic",
		"#40-Ubuntu SMP (Ubuntu 6.8.0-40.40-generic 6.8.12)",
		"6.8",
		/is stable 6\.8\.12; which fixes/,
	],
	["6.1.0-18-amd64", "", "6.1.176", /does not name \(uname -v shows it\); 6\.1\.176 has changes/],
	[
		"6.1.0-18-amd64",
		"#1 SMP PREEMPT_DYNAMIC Debian 6.1.76-1 (2024-02-01)",
		"6.1.176",
		/is stable 6\.1\.76; .* 6\.1\.76 may lack them/,
	],
	[
		"6.1.0-99-amd64",
		"#1 SMP PREEMPT_DYNAMIC Debian 6.1.176-1 (2026-02-01)",
		"6.1.176",
		/^Debian's 6\.1\.0-99-amd64 is stable 6\.1\.176$/,
	],
	["5.14.0-427.el9.x86_64", "", "6.1.176", /Red Hat takes changes/],
	["6.12.0-55.9.1.el10_0.x86_64", "", "6.12", /Red Hat takes changes/],
	["6.12.0-1.23.3.el9uek.x86_64", "", "6.12", /Oracle takes changes/],
	["6.1.102-111.182.amzn2023.x86_64", "", "6.1.176", /^Amazon adds/],
	["6.1.25-android14-11-gabc", "", "6.1.176", /^Android adds/],
	["6.6.87.2-microsoft-standard-WSL2", "", "6.6", /^Microsoft adds .*6\.6\.87/],
	["6.4.0-150600.23.17-default", "", "6.4", /SUSE takes changes/],
] as const;

describe("the profile of a kernel", () => {
	it("is the version of this name, and nothing is said", () => {
		for (const name of VERSION_NAMES) expect(profileFor(name)).toEqual({ name, doubt: null });
		for (const [release, name] of EXACT) expect(profileFor(release)).toEqual({ name, doubt: null });
	});

	for (const [release, build, name, doubt] of NEAREST) {
		it(`is ${name} for ${release}${build === "" ? "" : ` (${build})`}, and the doubt is said`, () => {
			const found = profileFor(release, build);
			expect(found?.name).toBe(name);
			expect(found?.doubt).toMatch(doubt);
			expect(changesOf(found?.name ?? "")).not.toBe(null);
		});
	}

	it("is none for a text that is no release", () => {
		for (const text of ["", "abc", "6", "99999.1", "6.1 b", "6.1\n", "-1.2"]) {
			expect(profileFor(text)).toBe(null);
		}
	});
});

test("a task's capabilities follow its user", () => {
	const kernel = new Kernel({ version: "6.18" });
	const task = kernel.createTask({ net: kernel.createNet(), uid: 1000 });
	const bind = () =>
		task.bind(task.socket(2, 1, 0), { family: "AF_INET", address: "0.0.0.0", port: 80 });
	expect(bind()).toBe(-13);
	task.capabilities = 1 << 10;
	expect(bind()).toBe(0);
	expect(task.fork().capabilities).toBe(1 << 10);
	// Without CAP_SETUID the task cannot become root. Root then has every capability.
	expect(task.setuid(0)).toBe(-1);
	task.uid = 0;
	expect(task.capabilities).toBe(-1);
	task.capabilities = 0;
	expect(task.setuid(1000)).toBe(-1);
});

describe("the name of a change that does not exist", () => {
	it.each([
		["6.3+orphan-uidd", "orphan-uid"],
		["6.3+orphan-ui", "orphan-uid"],
		["6.18.44-mptcp-subflow-shutdwn", "mptcp-subflow-shutdown"],
	])("%s is not taken for a release of this name", (name, meant) => {
		expect(misspeltChange(name)).toBe(meant);
	});

	it.each(["6.3+orphan-uid", "6.3+", "6.12.107+deb13-amd64", "6.18.44-cloud-amd64", "6.6.32-x"])(
		"%s is a name",
		(name) => {
			expect(misspeltChange(name)).toBeNull();
		},
	);
});
