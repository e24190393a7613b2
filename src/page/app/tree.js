// All parts as a tree, live. Only the rows that can be seen are drawn, so that thousands of parts cost what thirty do.
// The keys are those of the WAI-ARIA tree pattern; the focus stays on the tree, which names its current row.

/** @import {Part} from "./types.js" */
/** @import {Row as RowAt} from "./forest.js" */
import { html, useLayoutEffect, useMemo, useRef, useState } from "../vendor/preact-htm.js";
import { Empty, Gauge, Head, MailboxBar, State, linkTo, ticking, typing, useSeconds } from "./bits.js";
import { rows } from "./forest.js";
import { Icon } from "./icons.js";
import { troubleOf } from "./judge.js";
import { kernel, now, useKernel } from "./kernel.js";
import { plural, thousands } from "./words.js";

/** Rows above and below what can be seen. */
const SPARE = 6;
/** Up to so many parts, all is open at first. */
const OPEN_MAX = 200;
const TYPED_MS = 700;
/** A budget that is larger is as good as none. */
const BUDGET_MAX = 1000;

/** What is open and which row is current, kept while one looks at another view. */
const kept = { open: /** @type {Set<string> | null} */ (null), current: "/", search: "", only: false };

export function TreeView() {
  const { forest } = useKernel();
  useSeconds();
  const [search, setSearch] = useState(kept.search);
  const [only, setOnly] = useState(kept.only);
  const [open, setOpen] = useState(() => kept.open ?? firstOpen());
  Object.assign(kept, { open, search, only });
  const word = search.trim().toLowerCase();
  // Whether a part is in trouble changes without a change of the tree's shape, so such rows are found anew each time.
  const fits = (/** @type {Part} */ part) => (word === "" || `${part.path} ${part.kind ?? ""}`.toLowerCase().includes(word)) && (!only || inTrouble(part));
  const isNarrowed = word !== "" || only;
  const list = useMemo(() => rows(forest, open, isNarrowed ? fits : null), [forest.shape, open, word, only, only && now()]);
  const found = isNarrowed ? [...forest.parts.values()].filter(fits).length : 0;
  return html`<${Head} title="Parts" lead=${`${plural(forest.own.filter((part) => part.type === "worker").length, "part")} in ${plural(forest.own.filter((part) => part.type === "supervisor").length, "group")}, as they are now.`} />
    <div class="tools">
      <label class="search"><span>Search by name or kind</span><input type="search" value=${search} onInput=${typing(setSearch)} /></label>
      <label class="check"><input type="checkbox" checked=${only} onChange=${ticking(setOnly)} />Only what is in trouble</label>
      <p class="dim" role="status">${isNarrowed ? `${plural(found, "part")} found` : ""}</p>
    </div>
    ${list.length === 0 ? html`<${Empty} title=${only ? "Nothing is in trouble" : "No part is called that"}>${only ? "All parts work, or were stopped by somebody." : "Try a part of its name, as in “sensor”."}</${Empty}>` : html`<${Rows} list=${list} open=${open} setOpen=${setOpen} />`}`;
}

/** Everything is open where there is little of it; else the first level. */
function firstOpen() {
  const { forest } = kernel;
  const twigs = [...forest.parts.values()].filter((part) => part.kids.length > 0 && part.path !== "/system");
  if (forest.own.length <= OPEN_MAX) return new Set(twigs.map((part) => part.path));
  return new Set(["/", ...twigs.filter((part) => part.kids.length <= OPEN_MAX && !part.path.startsWith("/system")).map((part) => part.path)]);
}

/** @param {Part} part */
function inTrouble(part) {
  const trouble = troubleOf(part, kernel.forest.exits.get(part.path) ?? [], now());
  return trouble !== null && trouble.level !== "back";
}

/** @param {{list: RowAt[], open: Set<string>, setOpen: (open: Set<string>) => void}} props */
function Rows({ list, open, setOpen }) {
  const box = useRef(null);
  const [seen, setSeen] = useState({ top: 0, height: 800, row: 44 });
  const [current, setCurrent] = useState(kept.current);
  kept.current = current;
  const at = Math.max(0, list.findIndex((row) => row.path === current));
  useMeasure(box, setSeen);
  const move = (/** @type {number} */ to) => {
    const next = Math.max(0, Math.min(list.length - 1, to));
    setCurrent(list[next].path);
    reveal(box.current, next, seen.row);
  };
  const setOpenOf = (/** @type {string[]} */ paths, /** @type {boolean} */ isOpen) => {
    const next = new Set(open);
    for (const path of paths) isOpen ? next.add(path) : next.delete(path);
    setOpen(next);
  };
  const onKeyDown = useKeys(list, at, { move, setOpenOf, page: Math.max(1, Math.floor(seen.height / seen.row) - 1) });
  const first = Math.max(0, Math.floor(seen.top / seen.row) - SPARE);
  const last = Math.min(list.length, Math.ceil((seen.top + seen.height) / seen.row) + SPARE);
  // The current row is always drawn, since the tree names it to who hears the page.
  const drawn = [];
  if (at < first) drawn.push(at);
  for (let index = first; index < last; index += 1) drawn.push(index);
  if (at >= last) drawn.push(at);
  return html`<div class="frame"><div class="row caption" aria-hidden="true"><span>Part</span><span>State</span><span>Restarts used</span><span>Mailbox</span></div>
    <div class="treebox" ref=${box} role="tree" tabindex="0" aria-label="Parts" aria-activedescendant=${rowId(list[at].path)} onKeyDown=${onKeyDown}>
    <div class="rows" role="none" style=${{ height: `${list.length * seen.row}px` }}>
      ${drawn.map((index) => html`<${Row} key=${list[index].path} row=${list[index]} part=${kernel.forest.parts.get(list[index].path)} top=${index * seen.row} isCurrent=${index === at}
        select=${() => setCurrent(list[index].path)} toggle=${() => setOpenOf([list[index].path], !list[index].open)} />`)}
    </div></div></div>`;
}

/** @param {string} path */
const rowId = (path) => `row${path.replace(/[^\w/-]/g, (char) => `_${char.codePointAt(0)}`)}`;

/** Follows how far the tree is scrolled, and how high it and its rows are. @param {{current: HTMLElement | null}} box @param {(seen: {top: number, height: number, row: number}) => void} setSeen */
function useMeasure(box, setSeen) {
  useLayoutEffect(() => {
    const element = box.current;
    if (!element) return undefined;
    const measure = () => setSeen({ top: element.scrollTop, height: element.clientHeight, row: Number.parseFloat(getComputedStyle(element).getPropertyValue("--row")) || 44 });
    measure();
    const observer = new ResizeObserver(measure);
    observer.observe(element);
    element.addEventListener("scroll", measure, { passive: true });
    return () => { observer.disconnect(); element.removeEventListener("scroll", measure); };
  }, []);
}

/** @param {HTMLElement | null} box @param {number} index @param {number} row */
function reveal(box, index, row) {
  if (!box) return;
  const top = index * row;
  if (top < box.scrollTop) box.scrollTop = top;
  else if (top + row > box.scrollTop + box.clientHeight) box.scrollTop = top + row - box.clientHeight;
}

/** The keys of a tree.
 * @param {RowAt[]} list @param {number} at
 * @param {{move: (to: number) => void, setOpenOf: (paths: string[], isOpen: boolean) => void, page: number}} acts */
function useKeys(list, at, { move, setOpenOf, page }) {
  const typed = useRef({ text: "", at: 0 });
  const row = list[at];
  const parentAt = () => {
    for (let index = at - 1; index >= 0; index -= 1) if (list[index].level < row.level) return index;
    return at;
  };
  /** @type {Record<string, () => void>} */
  const keys = {
    ArrowDown: () => move(at + 1),
    ArrowUp: () => move(at - 1),
    PageDown: () => move(at + page),
    PageUp: () => move(at - page),
    Home: () => move(0),
    End: () => move(list.length - 1),
    ArrowRight: () => (row.open === false ? setOpenOf([row.path], true) : row.open ? move(at + 1) : undefined),
    ArrowLeft: () => (row.open ? setOpenOf([row.path], false) : move(parentAt())),
    Enter: () => { location.hash = linkTo(row.path).slice(1); },
    " ": () => { location.hash = linkTo(row.path).slice(1); },
    "*": () => setOpenOf(list.filter((its) => its.level === row.level && its.open === false).map((its) => its.path), true),
  };
  return (/** @type {KeyboardEvent} */ event) => {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    const act = keys[event.key] ?? (event.key.length === 1 ? () => move(find(list, at, typed.current, event.key)) : null);
    if (!act) return;
    event.preventDefault();
    act();
  };
}

/** The next row whose name begins with what is typed. @param {RowAt[]} list @param {number} at @param {{text: string, at: number}} typed @param {string} key */
function find(list, at, typed, key) {
  const isFresh = Date.now() - typed.at > TYPED_MS;
  typed.text = (isFresh ? "" : typed.text) + key.toLowerCase();
  typed.at = Date.now();
  for (let step = isFresh ? 1 : 0; step <= list.length; step += 1) {
    const index = (at + step) % list.length;
    const id = list[index].path.split("/").at(-1) ?? "";
    if (id.toLowerCase().startsWith(typed.text)) return index;
  }
  return at;
}

/** @param {{row: RowAt, part: Part | undefined, top: number, isCurrent: boolean, select: () => void, toggle: () => void}} props */
function Row({ row, part, top, isCurrent, select, toggle }) {
  if (!part) return null;
  const click = (/** @type {any} */ event) => {
    select();
    if (event.target.closest(".twist")) toggle();
    else location.hash = linkTo(part.path).slice(1);
  };
  const name = part.parent === null ? (part.path === "/" ? "/ everything" : "the kernel's own services") : part.id;
  return html`<div class=${`row ${isCurrent ? "current" : ""}`} role="treeitem" id=${rowId(row.path)} aria-level=${row.level} aria-posinset=${row.at} aria-setsize=${row.of}
    aria-expanded=${row.open === null ? undefined : row.open} aria-selected=${isCurrent} style=${{ top: `${top}px`, "--level": row.level - 1 }} onClick=${click}>
    <span class="name"><span class=${`twist ${row.open ? "open" : ""}`} aria-hidden="true">${row.open !== null && html`<${Icon} name="right" />`}</span>
      <span class=${part.type}>${name}</span>${row.open === false && html`<span class="dim count">${thousands(part.kids.length)}</span>`}<span class="dim kind">${part.kind ?? ""}${part.placed && ` · on ${part.placed.node ?? "no node"}`}</span></span>
    <${State} ...${part} />
    <span class="extra">${hasGauge(part) && html`<${Gauge} part=${part} />`}</span>
    <span class="extra">${part.mailbox && html`<${MailboxBar} part=${part} />`}</span>
  </div>`;
}

/** A group's budget is shown always, a part's share once it has used any. @param {Part} part */
function hasGauge({ type, restarts }) {
  if (!restarts) return false;
  return restarts.used > 0 || (type === "supervisor" && restarts.intensity <= BUDGET_MAX);
}
