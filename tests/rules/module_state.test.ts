// SPDX-License-Identifier: GPL-2.0-or-later
/**
 * State lives in kernels. Values that a module declares do not change after it is loaded. Otherwise
 * one kernel would see the state of another. The test analyses the sources.
 */
import { readdirSync } from "node:fs";
import { join, relative } from "node:path";
import { fileURLToPath } from "node:url";
import ts from "typescript";
import { describe, expect, it } from "vitest";

const ROOT = fileURLToPath(new URL("../..", import.meta.url));

/** Methods that change the array, Map, Set or typed array that they are called on. */
const MUTATORS: ReadonlySet<string> = new Set(
	"add clear copyWithin delete fill pop push reverse set shift sort splice unshift".split(" "),
);
/** Functions of Object that change their first argument. */
const OBJECT_MUTATORS: ReadonlySet<string> = new Set(
	"assign defineProperties defineProperty setPrototypeOf".split(" "),
);

function sources(): string[] {
	return ["include", "net", "kernel-model"].flatMap((folder) =>
		readdirSync(join(ROOT, folder), { recursive: true, encoding: "utf8" })
			.filter((name) => name.endsWith(".ts"))
			.map((name) => join(ROOT, folder, name)),
	);
}

/** Resolves names only, without types, which is fast. */
function programOf(files: Readonly<Record<string, string>> | null): ts.Program {
	const options: ts.CompilerOptions = {
		allowJs: false,
		module: ts.ModuleKind.NodeNext,
		moduleResolution: ts.ModuleResolutionKind.NodeNext,
		noLib: true,
		target: ts.ScriptTarget.ES2022,
		types: [],
	};
	const host = ts.createCompilerHost(options, true);
	if (files === null) return ts.createProgram(sources(), options, host);
	const path = (name: string) => join(ROOT, name);
	const texts = new Map(Object.entries(files).map(([name, text]) => [path(name), text]));
	return ts.createProgram([...texts.keys()], options, {
		...host,
		fileExists: (name) => texts.has(name) || host.fileExists(name),
		readFile: (name) => texts.get(name) ?? host.readFile(name),
		getSourceFile: (name, version) => {
			const text = texts.get(name);
			return text === undefined ? undefined : ts.createSourceFile(name, text, version, true);
		},
	});
}

function strip(node: ts.Expression): ts.Expression {
	let at = node;
	while (
		ts.isParenthesizedExpression(at) ||
		ts.isAsExpression(at) ||
		ts.isNonNullExpression(at) ||
		ts.isSatisfiesExpression(at)
	) {
		at = at.expression;
	}
	return at;
}

/** The name that `a.b[c]` begins with; null if it begins with something else. */
function rootOf(node: ts.Expression): ts.Identifier | null {
	let at = strip(node);
	while (ts.isPropertyAccessExpression(at) || ts.isElementAccessExpression(at)) {
		at = strip(at.expression);
	}
	return ts.isIdentifier(at) ? at : null;
}

function isAssignment(kind: ts.SyntaxKind): boolean {
	return kind >= ts.SyntaxKind.FirstAssignment && kind <= ts.SyntaxKind.LastAssignment;
}

function inNoFunction(node: ts.Node): boolean {
	for (let at = node.parent; at !== undefined; at = at.parent) {
		if (ts.isFunctionLike(at)) return false;
	}
	return true;
}

/** Places in modules that may change after loading, each with the reason. */
function changing(program: ts.Program): string[] {
	const checker = program.getTypeChecker();
	const files = program.getSourceFiles().filter(({ isDeclarationFile }) => !isDeclarationFile);
	const found: string[] = [];
	const report = (node: ts.Node, reason: string): void => {
		const file = node.getSourceFile();
		const { line } = file.getLineAndCharacterOfPosition(node.getStart());
		const text = node.getText().split("\n")[0];
		found.push(`${relative(ROOT, file.fileName)}:${line + 1}: ${reason}: ${text}`);
	};
	const symbolOf = (name: ts.Node): ts.Symbol | undefined => {
		const symbol = checker.getSymbolAtLocation(name);
		if (symbol === undefined || (symbol.flags & ts.SymbolFlags.Alias) === 0) return symbol;
		return checker.getAliasedSymbol(symbol);
	};

	// Names of values of a module: its declarations, and other names for these values in functions.
	const tracked = new Set<ts.Symbol>();
	const track = (name: ts.Node): boolean => {
		const symbol = symbolOf(name);
		if (symbol === undefined || tracked.has(symbol)) return false;
		tracked.add(symbol);
		return true;
	};
	const isTracked = (node: ts.Expression): boolean => {
		const root = rootOf(node);
		const symbol = root === null ? undefined : symbolOf(root);
		return symbol !== undefined && tracked.has(symbol);
	};
	for (const file of files) {
		for (const statement of file.statements) {
			if (!ts.isVariableStatement(statement)) continue;
			const { declarations, flags } = statement.declarationList;
			if ((flags & ts.NodeFlags.Const) === 0) report(statement, "not const");
			for (const { name } of declarations) if (ts.isIdentifier(name)) track(name);
		}
	}
	/** Adds names that a value of a module gets in functions: a const, a parameter. True if new. */
	const spread = (node: ts.Node): boolean => {
		let more = false;
		if (ts.isVariableDeclaration(node) && node.initializer !== undefined) {
			if (isTracked(node.initializer)) {
				const { name } = node;
				if (ts.isIdentifier(name)) more = track(name);
				else {
					for (const element of name.elements) {
						if (!ts.isBindingElement(element) || !ts.isIdentifier(element.name)) continue;
						if (track(element.name)) more = true;
					}
				}
			}
		}
		if (ts.isCallExpression(node) && ts.isIdentifier(node.expression)) {
			const callee = symbolOf(node.expression)?.declarations?.find(ts.isFunctionDeclaration);
			node.arguments.forEach((argument, i) => {
				const name = callee?.parameters[i]?.name;
				if (name === undefined || !ts.isIdentifier(name) || !isTracked(argument)) return;
				if (track(name)) more = true;
			});
		}
		ts.forEachChild(node, (child) => {
			if (spread(child)) more = true;
		});
		return more;
	};
	let more = true;
	while (more) {
		more = false;
		for (const file of files) if (spread(file)) more = true;
	}

	/** Whether `name.lastIndex = …` stands before a use, in the same function. */
	const isRewound = (use: ts.CallExpression, name: ts.Identifier): boolean => {
		let body: ts.Node = use;
		while (body.parent !== undefined && !ts.isFunctionLike(body)) body = body.parent;
		const symbol = symbolOf(name);
		let rewound = false;
		const visit = (node: ts.Node): void => {
			if (node.getStart() >= use.getStart()) return;
			if (ts.isBinaryExpression(node) && node.operatorToken.kind === ts.SyntaxKind.EqualsToken) {
				const { left } = node;
				if (
					ts.isPropertyAccessExpression(left) &&
					left.name.text === "lastIndex" &&
					symbolOf(left.expression) === symbol
				) {
					rewound = true;
				}
			}
			ts.forEachChild(node, visit);
		};
		visit(body);
		return rewound;
	};

	/** Whether a name is that of a regular expression without the flags g and y. */
	const isStateless = (name: ts.Identifier): boolean => {
		const declared = symbolOf(name)?.valueDeclaration;
		if (declared === undefined || !ts.isVariableDeclaration(declared)) return false;
		const value = declared.initializer;
		if (value === undefined || !ts.isRegularExpressionLiteral(value)) return false;
		return !/[gy]/.test(value.text.slice(value.text.lastIndexOf("/")));
	};

	// Functions that may be called after loading: other modules or functions use their names.
	const later = new Set<ts.Symbol>();
	const findLater = (node: ts.Node): void => {
		if (ts.isIdentifier(node)) {
			const symbol = symbolOf(node);
			const declared = symbol?.declarations?.find(ts.isFunctionDeclaration);
			if (symbol !== undefined && declared !== undefined && declared.name !== node) {
				const called = ts.isCallExpression(node.parent) && node.parent.expression === node;
				if (!called || !inNoFunction(node)) later.add(symbol);
			}
		}
		ts.forEachChild(node, findLater);
	};
	for (const file of files) findLater(file);
	/** Whether a node runs only while its module is loaded. */
	const atLoad = (node: ts.Node): boolean => {
		for (let at = node.parent; at !== undefined; at = at.parent) {
			if (!ts.isFunctionLike(at)) continue;
			if (!ts.isFunctionDeclaration(at) || at.name === undefined) return false;
			if (at.modifiers?.some(({ kind }) => kind === ts.SyntaxKind.ExportKeyword)) return false;
			const symbol = symbolOf(at.name);
			return symbol !== undefined && !later.has(symbol);
		}
		return true;
	};

	const visit = (node: ts.Node): void => {
		if (
			ts.isPropertyDeclaration(node) &&
			node.modifiers?.some(({ kind }) => kind === ts.SyntaxKind.StaticKeyword) &&
			!node.modifiers.some(({ kind }) => kind === ts.SyntaxKind.ReadonlyKeyword)
		) {
			report(node, "static, not readonly");
		}
		let target: ts.Expression | null = null;
		if (ts.isBinaryExpression(node) && isAssignment(node.operatorToken.kind)) target = node.left;
		else if (ts.isDeleteExpression(node)) target = node.expression;
		else if (ts.isPrefixUnaryExpression(node) || ts.isPostfixUnaryExpression(node)) {
			const { operator } = node;
			if (operator === ts.SyntaxKind.PlusPlusToken || operator === ts.SyntaxKind.MinusMinusToken) {
				target = node.operand;
			}
		} else if (ts.isCallExpression(node) && ts.isPropertyAccessExpression(node.expression)) {
			const { expression, name } = node.expression;
			if (MUTATORS.has(name.text)) {
				// A call that changes its object, which is part of a module's value.
				if (isTracked(expression) && !atLoad(node)) report(node, "changed");
			} else if (name.text === "exec" || name.text === "test") {
				const of = strip(expression);
				if (ts.isIdentifier(of) && isTracked(of) && !isStateless(of) && !isRewound(node, of)) {
					report(node, "begins at the lastIndex that the use before left");
				}
			}
			if (
				ts.isIdentifier(expression) &&
				expression.text === "Object" &&
				OBJECT_MUTATORS.has(name.text) &&
				node.arguments.length > 0 &&
				isTracked(node.arguments[0]) &&
				!atLoad(node)
			) {
				report(node, "changed");
			}
		}
		if (target !== null) {
			const at = strip(target);
			const rewinds = ts.isPropertyAccessExpression(at) && at.name.text === "lastIndex";
			const whole = ts.isIdentifier(at) && !isModuleLevel(at);
			if (!rewinds && !whole && isTracked(at) && !atLoad(node)) report(node, "changed");
		}
		ts.forEachChild(node, visit);
	};
	/** Whether a module declares a name. Assigning to a name of a function changes no module. */
	const isModuleLevel = (name: ts.Identifier): boolean => {
		const declared = symbolOf(name)?.valueDeclaration;
		return declared?.parent?.parent?.parent?.kind === ts.SyntaxKind.SourceFile;
	};
	for (const file of files) visit(file);
	return found;
}

/** The findings in a module, with another module beside it. */
function foundIn(text: string): string[] {
	const files = {
		"include/a.ts": `export const list = [1]; export const re = /a/y;`,
		"net/b.ts": text,
	};
	return changing(programOf(files)).map((line) => line.replace(/^[^ ]* /, ""));
}

describe("module state", () => {
	it("does not change after the module was loaded", { timeout: 600_000 }, () => {
		expect(changing(programOf(null))).toEqual([]);
	});

	it.each([
		["let n = 0;", "not const: let n = 0;"],
		["const t = new Uint32Array(4); export function f() { t[0]++; }", "changed: t[0]++"],
		["const o = { a: { b: 1 } }; export function f() { o.a.b += 1; }", "changed: o.a.b += 1"],
		["const o = { a: 1 }; export function f() { delete o.a; }", "changed: delete o.a"],
		["const m = new Map(); export const f = () => m.set(1, 2);", "changed: m.set(1, 2)"],
		[
			'import { list } from "../include/a.js"; export function f() { list.push(2); }',
			"changed: list.push(2)",
		],
		["const o = { a: [1] }; export function f() { const { a } = o; a.pop(); }", "changed: a.pop()"],
		[
			"const o = [1]; function g(p) { p[0] = 2; } export function f() { g(o); }",
			"changed: p[0] = 2",
		],
		[
			"const o = {}; export function f() { Object.assign(o, { a: 1 }); }",
			"changed: Object.assign(o, { a: 1 })",
		],
		["const m = new Set(); function g() { m.add(1); } g(); export { g };", "changed: m.add(1)"],
		["export class C { static n = 0; }", "static, not readonly: static n = 0;"],
		[
			'import { re } from "../include/a.js"; export const f = (s) => re.exec(s);',
			"begins at the lastIndex that the use before left: re.exec(s)",
		],
	])("that changes is found: %s", (text, place) => {
		expect(foundIn(text)).toEqual([place]);
	});

	it.each([
		"const m = new Map(); for (const n of [1, 2]) m.set(n, n);",
		"const m = new Set(); function g() { m.add(1); } g();",
		"const o = [1]; export function f() { const own = [...o]; own.push(2); return own; }",
		"const o = [1]; export function f(o) { o.push(2); }",
		"const r = /a/y; export function f(s, at) { r.lastIndex = at; return r.exec(s); }",
		"const r = /a/; export const f = (s) => r.test(s);",
	])("that does not change is not reported: %s", (text) => {
		expect(foundIn(text)).toEqual([]);
	});
});
