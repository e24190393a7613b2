// The settings over time: what changed when and why, how it differs from now, and the way back.

/** @import {Doc} from "./types.js" */
import { html, useState } from "../vendor/preact-htm.js";
import { Act, Head, Panel, Problem, useRead } from "./bits.js";
import { Changes, Diff, WayBack } from "./changes.js";
import { kernel, useKernel } from "./kernel.js";
import { ago, clock } from "./words.js";

/** @type {Record<string, {word: string, tone: string}>} */
const STANDING = {
  good: { word: "proven good", tone: "good" },
  probation: { word: "being tried out", tone: "warn" },
  superseded: { word: "replaced by a later one", tone: "off" },
  rolled_back: { word: "taken back", tone: "bad" },
};

export function History() {
  useKernel();
  const number = kernel.health?.settings?.number;
  const { document, error, again } = useRead(["config", "history"], { limit: 50 }, { inputs: [number] });
  const laid = useRead(["config", "diff"], {}, { inputs: [number] });
  const versions = /** @type {Doc[]} */ (document?.versions ?? []);
  return html`<${Head} title="Settings" lead="Every change of settings is kept. Going back is itself a change, so nothing is lost by trying." />
    ${error && html`<${Problem} error=${error} />`}
    ${laid.document && html`<${Laid} document=${laid.document} />`}
    <section aria-labelledby="versions"><h2 id="versions">Versions, the newest first</h2>
    <ol class="versions">${versions.map((version) => html`<${Version} key=${version.number} version=${version} isNow=${version.number === document?.number} again=${again} />`)}</ol></section>`;
}

/** What was changed over the files. @param {{document: Doc}} props */
function Laid({ document }) {
  const saved = document.saved ?? [];
  const unsaved = document.unsaved ?? [];
  if (saved.length + unsaved.length === 0) return html`<p class="dim">What runs is what the files say${document.file ? html` (<code>${document.file}</code>)` : ""}.</p>`;
  return html`<${Panel} id="laid" title="Different from the files">
    ${unsaved.length > 0 && html`<h3>Until the kernel stops</h3><${Diff} changes=${unsaved} />`}
    ${saved.length > 0 && html`<h3>For good</h3><${Diff} changes=${saved} />`}</${Panel}>`;
}

/** @param {{version: Doc, isNow: boolean, again: () => void}} props */
function Version({ version, isNow, again }) {
  const [isOpen, setOpen] = useState(false);
  const { word, tone } = STANDING[version.state] ?? { word: String(version.state).replaceAll("_", " "), tone: "off" };
  return html`<li class="card">
    <p class="between"><strong>Version ${version.number}</strong> ${isNow && html`<span class="tag" data-tone="good">in force</span>`} <span class="tag" data-tone=${tone}>${word}</span>
      <span class="dim"><time datetime=${version.at}>${clock(version.at)}</time>, ${ago(version.ago_ms)}: ${version.because}</span></p>
    ${version.changes.length > 0 && html`<${Changes} lines=${version.changes} />`}
    ${!isNow && html`<details onToggle=${(/** @type {any} */ event) => setOpen(event.target.open)}><summary>How it differs from now, and back to it</summary>${isOpen && html`<${WayBack} to=${version.number} />
      <${Act} words=${["config", "rollback"]} args=${{ to: version.number }} label=${`Go back to version ${version.number}`} did=${`Went back to version ${version.number} of the settings`} after=${again}
        ask=${{ title: `Go back to version ${version.number}?`, text: "It can be undone as well.", yes: "Go back", more: html`<${WayBack} to=${version.number} />` }} />`}</details>`}
  </li>`;
}
