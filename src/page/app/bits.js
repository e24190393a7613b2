// Small pieces that all views use.

/** @import {Part} from "./types.js" */
/** @import {Plan} from "./acts.js" */
import { html, useEffect, useReducer, useState } from "../vendor/preact-htm.js";
import { barred, run, typed } from "./acts.js";
import { call, kernel } from "./kernel.js";
import { freeAgain } from "./judge.js";
import { Icon } from "./icons.js";
import { stateOf, thousands } from "./words.js";

const SETTLED_MS = 1500;

/** The link to a part's own page. @param {string} path */
export const linkTo = (path) => `#/part${path.split("/").map(encodeURIComponent).join("/")}`;

/** @param {{path: string, children?: unknown}} props */
export const PartLink = ({ path, children }) => html`<a class="path" href=${linkTo(path)}>${children ?? path}</a>`;

/** A state by colour, shape and word. @param {{state: string | null, stall?: unknown}} props */
export function State({ state, stall }) {
  const { word, tone, icon } = stateOf(state, stall);
  return html`<span class="state" data-tone=${tone}><${Icon} name=${icon} />${word}</span>`;
}

/** Restarts used of a budget. @param {{part: Part}} props */
export function Gauge({ part }) {
  const { used, intensity } = part.restarts ?? { used: 0, intensity: 0 };
  const cells = Math.min(intensity, 10);
  const full = intensity === 0 ? 0 : Math.min(cells, Math.ceil((used / intensity) * cells));
  const tone = used === 0 ? "good" : used * 10 >= intensity * 8 ? "bad" : "warn";
  const free = freeAgain(part);
  return html`<span class="gauge" data-tone=${tone}>
    <span class="cells" aria-hidden="true">${Array.from({ length: cells }, (_, at) => html`<i class=${at < full ? "on" : ""} />`)}</span>
    <span>${thousands(used)} of ${thousands(intensity)}<span class="long"> restarts used</span>${free && `, ${free}`}</span>
  </span>`;
}

/** How full a mailbox is. @param {{part: Part}} props */
export function MailboxBar({ part }) {
  const { depth, capacity } = part.mailbox ?? { depth: 0, capacity: 1 };
  const share = Math.min(1, depth / Math.max(1, capacity));
  const tone = share >= 0.8 ? "bad" : share >= 0.4 ? "warn" : "good";
  return html`<span class="mailbox" data-tone=${tone}>
    <span class="bar" aria-hidden="true"><i style=${{ width: `${Math.max(depth > 0 ? 3 : 0, share * 100)}%` }} /></span>
    <span>${depth === 0 ? html`<span class="none">empty</span>` : `${thousands(depth)} waiting`}</span>
  </span>`;
}

/** A command as it is typed, to copy. @param {{command: string}} props */
export function Command({ command }) {
  const [copied, setCopied] = useState(false);
  const copy = async () => {
    await navigator.clipboard?.writeText(command).catch(() => {});
    setCopied(true);
    setTimeout(() => setCopied(false), 1500);
  };
  return html`<span class="command"><code>${command}</code>
    <button type="button" class="copy" aria-label=${`Copy ${command}`} onClick=${copy}>${copied ? html`<${Icon} name="check" />` : html`<${Icon} name="copy" />`}</button>
  </span>`;
}

/** A button with the command that it runs.
 * @param {Plan & {label: string, tone?: string, small?: boolean, after?: (document: object) => void}} props */
export function Act({ label, tone = "", small = false, after, ...plan }) {
  const [busy, setBusy] = useState(false);
  const bar = barred(plan.words);
  const command = typed(plan.words, plan.args);
  const click = async () => {
    if (bar || busy) return;
    setBusy(true);
    const document = await run(plan);
    setBusy(false);
    if (document) after?.(document);
  };
  return html`<span class=${`act ${small ? "small" : ""}`}>
    <button type="button" data-tone=${tone} disabled=${Boolean(bar)} aria-busy=${busy} title=${bar || command} onClick=${click}>${label}</button>
    ${small
      ? html`<details class="shell"><summary aria-label=${`The command of “${label}”`} title="Show the command">›_</summary><${Command} command=${command} /></details>`
      : html`<${Command} command=${command} />`}
  </span>`;
}

/** A part of a view with its own heading. @param {{id: string, title: string, children?: unknown}} props */
export const Panel = ({ id, title, children }) => html`<section class="card" aria-labelledby=${id}><h2 id=${id}>${title}</h2>${children}</section>`;

/** Puts what is typed into a field somewhere. @param {(text: string) => void} put */
export const typing = (put, trim = false) => (/** @type {any} */ { target }) => put(trim ? target.value.trim() : target.value);

/** Puts whether a box is ticked somewhere. @param {(isOn: boolean) => void} put */
export const ticking = (put) => (/** @type {any} */ { target }) => put(target.checked);

/** A heading with a line below it. @param {{title: string, lead?: string, children?: unknown}} props */
export const Head = ({ title, lead, children }) => html`<header class="head"><div><h1 tabindex="-1">${title}</h1>${lead && html`<p class="lead">${lead}</p>`}</div>${children}</header>`;

/** A text of the kernel, with what stands in `backticks` as code. @param {{text: string}} props */
export const Text = ({ text }) => text.split("`").map((piece, at) => (at % 2 === 1 ? html`<code>${piece}</code>` : piece));

/** What is shown where there is nothing. @param {{title: string, children?: unknown}} props */
export const Empty = ({ title, children }) => html`<div class="empty"><strong>${title}</strong><p>${children}</p></div>`;

/** What went wrong. @param {{error: {message: string, hint?: string | null}}} props */
export const Problem = ({ error }) => html`<div class="problem" role="alert"><${Icon} name="cross" /><div><strong><${Text} text=${sentenceOf(error.message)} /></strong>${error.hint && html`<p><${Text} text=${sentenceOf(error.hint)} /></p>`}</div></div>`;

/** @param {string} text */
export const sentenceOf = (text) => text.charAt(0).toUpperCase() + text.slice(1) + (/[.?!]$/.test(text) ? "" : ".");

/** Reads a document again whenever `inputs` or the line to the kernel change. `again` reads it once more.
 * @param {string[]} words @param {import("./types.js").Doc} args @param {{method?: "GET" | "POST", inputs?: unknown[]}} [how]
 * @returns {{document: import("./types.js").Doc | null, error: Error & {hint?: string | null, status?: number} | null, again: () => void}} */
export function useRead(words, args, { method = "GET", inputs = [] } = {}) {
  const [answer, setAnswer] = useState(/** @type {any} */ ({ document: null, error: null }));
  const [count, again] = useReducer((count) => count + 1, 0);
  const key = JSON.stringify(args);
  useEffect(() => {
    let current = true;
    call(method, words, args).then(
      (document) => current && setAnswer({ document, error: null, key }),
      // A kernel that is away takes nothing from what was read: that is said above all.
      (error) => current && setAnswer((/** @type {any} */ was) => (error.status === 0 ? was : { document: was.key === key ? was.document : null, error, key })),
    );
    return () => { current = false; };
  }, [key, count, kernel.times, ...inputs]);
  return { ...answer, again: () => again(null) };
}

/** A value once it has stayed the same for a while. @template T @param {T} value @returns {T} */
export function useSettled(value) {
  const [settled, settle] = useState(value);
  useEffect(() => {
    const timer = setTimeout(() => settle(value), SETTLED_MS);
    return () => clearTimeout(timer);
  }, [value]);
  return settled;
}

/** Draws anew every second, for what counts down. */
export function useSeconds() {
  const [, again] = useReducer((count) => count + 1, 0);
  useEffect(() => {
    const timer = setInterval(() => again(null), 1000);
    return () => clearInterval(timer);
  }, []);
}
