// Changes of settings, as a list that can be read.

/** @import {Change} from "./types.js" */
import { html } from "../vendor/preact-htm.js";
import { PartLink, Problem, useRead } from "./bits.js";
import { kernel } from "./kernel.js";
import { oneLine, reaches } from "./words.js";

/** The lines of a version in the history. @param {{lines: string[]}} props */
export const Changes = ({ lines }) => (lines.length === 0
  ? html`<p class="dim">No part was changed.</p>`
  : html`<ul class="changes">${lines.map((line) => html`<li><code>${line}</code></li>`)}</ul>`);

/** A difference, key by key. @param {{changes: Change[]}} props */
export function Diff({ changes }) {
  if (changes.length === 0) return html`<p class="dim">Nothing is different.</p>`;
  return html`<ul class="diff">${changes.map((change) => html`<li>
    <p><${PartLink} path=${change.path} /> <span class="dim">${change.what}${change.how ? ` · ${reaches(change.how)}` : ""}</span></p>
    ${change.keys?.map(({ key, from, to }) => html`<p class="keys"><span>${key.replace(/^settings\./, "")}</span>
      <del><span class="heard">from </span>${oneLine(from)}</del> <ins><span class="heard">to </span>${oneLine(to)}</ins></p>`)}
  </li>`)}</ul>`;
}

/** What going back to a version would change; without one, to that before. @param {{to?: number}} props */
export function WayBack({ to }) {
  const { document, error } = useRead(["config", "rollback"], { to, "dry-run": true }, { method: "POST", inputs: [kernel.health?.settings?.number] });
  if (error) return html`<${Problem} error=${error} />`;
  return document ? html`<${Diff} changes=${document.changes} />` : html`<p class="dim">Looking…</p>`;
}
