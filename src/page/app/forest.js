// The tree as the kernel last told it: whole at first, then changes laid over it. Pure, and without the screen.

/** @import {Doc, Part} from "./types.js" */

/** How many exits of a part are remembered. */
const EXITS_KEPT = 20;
/** Of how many parts. */
const PARTS_KEPT = 20_000;

export class Forest {
  constructor() {
    /** @type {Map<string, Part>} */
    this.parts = new Map();
    /** @type {string[]} */
    this.roots = [];
    this.mode = "booting";
    /** Counts changes of which parts there are and where; what is drawn from them is made anew. */
    this.shape = 0;
    /** When parts exited, by the kernel's clock in milliseconds, oldest first. It outlives `load`.
     * @type {Map<string, {at: number, kind: string}[]>} */
    this.exits = new Map();
  }

  /** Takes the document of `uk tree --all` in place of all that was there. @param {Doc} document */
  load(document) {
    this.parts = new Map();
    this.roots = [];
    this.mode = document.mode;
    for (const top of [document.tree, document.system]) {
      if (!top) continue;
      this.roots.push(top.path);
      this.#plant(top, null);
    }
    this.shape += 1;
  }

  /** Lays changes over it. @param {Doc} change */
  apply(change) {
    if (change.mode) this.mode = change.mode;
    for (const path of change.removed ?? []) this.#remove(path);
    /** @type {Map<string, Map<string | null, string>>} */
    const placed = new Map();
    for (const node of change.changed ?? []) {
      this.#put(node);
      if (node.parent === undefined) continue;
      const siblings = placed.get(node.parent) ?? new Map();
      placed.set(node.parent, siblings.set(node.after, node.path));
    }
    for (const [parent, after] of placed) this.#place(parent, after);
  }

  /** All parts that are no part of the kernel itself. */
  get own() {
    return [...this.parts.values()].filter((part) => !isSystem(part.path));
  }

  /** @param {Doc} node @param {string | null} parent */
  #plant(node, parent) {
    const { children = [], ...rest } = node;
    const part = /** @type {Part} */ (/** @type {unknown} */ ({ ...rest, heard: Date.now(), parent, kids: children.map((/** @type {Doc} */ kid) => kid.path) }));
    this.parts.set(part.path, part);
    this.#note(part);
    for (const kid of children) this.#plant(kid, part.path);
  }

  /** @param {Doc} node */
  #put(node) {
    const was = this.parts.get(node.path);
    const { children: _, after: __, ...rest } = node;
    const parent = rest.parent === undefined ? (was?.parent ?? parentOf(node.path)) : rest.parent || null;
    // What it does not say is not so any more.
    const part = /** @type {Part} */ ({ ...rest, heard: Date.now(), parent, kids: was?.kids ?? [] });
    this.parts.set(part.path, part);
    this.#note(part);
  }

  /** Puts children where they are now: each comes after the id that it is said to, or that it came after before.
   * @param {string} parent @param {Map<string | null, string>} next what comes after an id */
  #place(parent, next) {
    const above = this.parts.get(parent);
    if (!above) return;
    const isPlaced = new Set(next.values());
    above.kids.forEach((kid, at) => isPlaced.has(kid) || next.set(at === 0 ? null : idOf(above.kids[at - 1]), kid));
    const kids = [];
    for (let kid = next.get(null); kid !== undefined && kids.length < next.size; kid = next.get(idOf(kid))) kids.push(kid);
    this.parts.set(parent, { ...above, kids });
    this.shape += 1;
  }

  /** @param {string} path */
  #remove(path) {
    const part = this.parts.get(path);
    if (!part) return;
    for (const kid of part.kids) this.#remove(kid);
    this.parts.delete(path);
    const above = part.parent === null ? null : this.parts.get(part.parent);
    if (above) this.parts.set(above.path, { ...above, kids: above.kids.filter((kid) => kid !== path) });
    this.shape += 1;
  }

  /** Remembers an exit that is new. @param {Part} part */
  #note(part) {
    if (!part.last_exit) return;
    const at = Date.parse(part.last_exit.at);
    const exits = this.exits.get(part.path) ?? [];
    if (exits.some((exit) => exit.at === at)) return;
    exits.push({ at, kind: part.last_exit.reason.kind });
    // The part that was heard of last stands last, so that the others go first.
    this.exits.delete(part.path);
    this.exits.set(part.path, exits.slice(-EXITS_KEPT));
    const [oldest] = this.exits.keys();
    if (this.exits.size > PARTS_KEPT) this.exits.delete(oldest);
  }
}

/** @param {string} path */
export const isSystem = (path) => path === "/system" || path.startsWith("/system/");

/** @param {string} path */
const idOf = (path) => path.slice(path.lastIndexOf("/") + 1);

/** @param {string} path */
export const parentOf = (path) => path.slice(0, path.lastIndexOf("/")) || "/";

/** @typedef {{path: string, level: number, at: number, of: number, open: boolean | null}} Row */

/** The paths of rows in the order they are drawn, with how deep each is. Where `keep` is given, only those and what is
 * above them, all open.
 * @param {Forest} forest @param {Set<string>} open @param {((part: Part) => boolean) | null} keep
 * @returns {Row[]} */
export function rows(forest, open, keep) {
  const kept = keep && above(forest, keep);
  /** @type {Row[]} */
  const out = [];
  /** @param {string[]} paths @param {number} level */
  const add = (paths, level) => {
    const shown = kept ? paths.filter((path) => kept.has(path)) : paths;
    shown.forEach((path, index) => {
      const part = forest.parts.get(path);
      if (!part) return;
      const isOpen = kept ? true : open.has(path);
      const twig = part.kids.length > 0;
      out.push({ path, level, at: index + 1, of: shown.length, open: twig ? isOpen : null });
      if (twig && isOpen) add(part.kids, level + 1);
    });
  };
  add(forest.roots, 1);
  return out;
}

/** @param {Forest} forest @param {(part: Part) => boolean} keep */
function above(forest, keep) {
  const kept = new Set();
  for (const part of forest.parts.values()) {
    if (!keep(part)) continue;
    for (let path = /** @type {string | null} */ (part.path); path !== null && !kept.has(path); ) {
      kept.add(path);
      path = forest.parts.get(path)?.parent ?? null;
    }
  }
  return kept;
}
