// SPDX-License-Identifier: GPL-2.0-or-later
/** Makes elements. Text of scripts only ever becomes text nodes and attributes, never markup. */

type Child = Node | string | null;

/** An element with attributes and children. An attribute that is null is left out. */
export function el<K extends keyof HTMLElementTagNameMap>(
	tag: K,
	attributes: Readonly<Record<string, string | number | boolean | null>> = {},
	...children: readonly Child[]
): HTMLElementTagNameMap[K] {
	const element = document.createElement(tag);
	for (const [name, value] of Object.entries(attributes)) {
		if (value === null || value === false) continue;
		element.setAttribute(name, value === true ? "" : String(value));
	}
	for (const child of children) if (child !== null) element.append(child);
	return element;
}

/** Replaces the children of an element. */
export function fill(parent: Element, ...children: readonly Child[]): void {
	parent.replaceChildren(...children.filter((child) => child !== null));
}

const SVG = "http://www.w3.org/2000/svg";

/** The paths of the icons, in a box of 16 by 16. */
const ICONS = {
	first: "M3 3h2v10H3zM13 3v10L6 8z",
	back: "M12 3v10L4 8z",
	next: "M4 3v10l8-5z",
	last: "M11 3h2v10h-2zM3 3v10l7-5z",
	play: "M4 2.5v11l9-5.5z",
	pause: "M4 3h3v10H4zM9 3h3v10H9z",
	previousPass: "M13 3v10L8 8zM8 3v10L3 8z",
	nextPass: "M3 3v10l5-5zM8 3v10l5-5z",
} as const;

export type Icon = keyof typeof ICONS;

function iconOf(icon: Icon): SVGElement {
	const svg = document.createElementNS(SVG, "svg");
	svg.setAttribute("viewBox", "0 0 16 16");
	svg.setAttribute("aria-hidden", "true");
	const path = document.createElementNS(SVG, "path");
	path.setAttribute("d", ICONS[icon]);
	svg.append(path);
	return svg;
}

/** A button with an icon. Its label is read out and shown when the pointer rests on it. */
export function iconButton(icon: Icon, label: string, press: () => void): HTMLButtonElement {
	const button = el("button", { type: "button", class: "icon" });
	setIcon(button, icon, label);
	button.addEventListener("click", press);
	return button;
}

export function setIcon(button: HTMLButtonElement, icon: Icon, label: string): void {
	if (button.getAttribute("aria-label") === label) return;
	button.setAttribute("aria-label", label);
	button.title = label;
	fill(button, iconOf(icon));
}

/** Calls a function at the next frame, however often it is asked to. */
export function atNextFrame(act: () => void): () => void {
	let asked = false;
	return () => {
		if (asked) return;
		asked = true;
		requestAnimationFrame(() => {
			asked = false;
			act();
		});
	};
}
