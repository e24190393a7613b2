// One part: how it is, what happened to it, what can be done with it, its settings, what it says.

/** @import {ExitRecord, Part, Why} from "./types.js" */
import { html } from "../vendor/preact-htm.js";
import { typed } from "./acts.js";
import { Advice, askKill } from "./advice.js";
import { Act, Command, Empty, Gauge, Head, MailboxBar, Panel, PartLink, Problem, State, Text, linkTo, sentenceOf, useRead, useSeconds } from "./bits.js";
import { kernel, useKernel } from "./kernel.js";
import { Logs } from "./logs.js";
import { Send } from "./send.js";
import { SettingsForm } from "./settings.js";
import { ago, because, clock, doneAbout, plural } from "./words.js";

/** @param {{rest: string}} props */
export function PartPage({ rest: path }) {
  useKernel();
  useSeconds();
  const part = kernel.forest.parts.get(path);
  const { document, error } = useRead(["why"], { path }, { inputs: [part?.last_exit?.at, part?.state, part?.incarnation] });
  const why = /** @type {Why | null} */ (document);
  if (!part && !why) {
    return error ? html`<${Head} title="No such part" /><${Problem} error=${error} /><p><a href="#/tree">All parts</a></p>` : html`<p class="loading">Looking for ${path}…</p>`;
  }
  const isWorker = part?.type === "worker";
  return html`<${Crumbs} path=${path} />
    <${Head} title=${part?.id ?? path} lead=${part ? lead(part) : "It was removed; this is what is remembered of it."}>${part && html`<${State} ...${part} />`}</${Head}>
    ${part && html`<div class="facts">
      <div><span class="dim">${isWorker ? "Its restarts" : "Restarts of what is in it"}</span><${Gauge} part=${part} /></div>
      ${part.mailbox && html`<div><span class="dim">Its mailbox</span><${MailboxBar} part=${part} /></div>`}
      ${part.placed && html`<div><span class="dim">Lives on</span><span>${part.placed.node ? html`<a href="#/nodes">${part.placed.node}</a>` : `no node: ${part.placed.why ?? "none is found"}`}</span></div>`}
      <div><span class="dim">Life</span><span>number ${part.incarnation}</span></div>
    </div>`}
    ${why && html`<section class="card next"><h2>What to do next</h2><${Advice} next=${why.next} here=${path} /></section>`}
    ${part && html`<${Controls} part=${part} />`}
    <div class="columns">
      <div><${Timeline} why=${why} />${isWorker && html`<${Send} path=${path} />`}</div>
      <div>${isWorker && html`<${SettingsForm} path=${path} /><${Says} path=${path} incarnation=${part.incarnation} />`}${part && !isWorker && html`<${Members} part=${part} />`}</div>
    </div>
    ${isWorker && html`<${Lines} path=${path} />`}`;
}

/** @param {Part} part */
function lead(part) {
  if (part.type === "supervisor") return `A group of ${plural(part.kids.length, "part")}. ${groupRule(part.strategy)}`;
  return `A part of kind ${part.kind}.`;
}

/** @param {string | null} strategy */
function groupRule(strategy) {
  if (strategy === "one_for_all") return "If one fails, all of them are restarted.";
  if (strategy === "rest_for_one") return "If one fails, those after it are restarted too.";
  return "If one fails, only that one is restarted.";
}

/** @param {{path: string}} props */
function Crumbs({ path }) {
  const words = path.split("/").filter(Boolean);
  return html`<nav class="crumbs" aria-label="Where it is"><ol><li><a href="#/tree">Parts</a></li>${words.slice(0, -1).map((word, at) => html`<li><a href=${linkTo(`/${words.slice(0, at + 1).join("/")}`)}>${word}</a></li>`)}<li aria-current="page"><code>${path}</code></li></ol></nav>`;
}

/** What can be done with a part as it is. @param {{part: Part}} props */
function Controls({ part: { path, state, type, ladder, parent } }) {
  if (parent === null) return null;
  const isDown = ["stopped", "ignored", "backoff"].includes(state);
  const isOut = state === "quarantined" || Boolean(ladder?.swap);
  const list = [
    isOut && { label: "Put back to work", words: ["release"], did: `Put ${path} back to work`, say: "Starts it with its own settings and forgets its failures.", tone: "main" },
    isDown && { label: "Start", words: ["start"], did: `Started ${path}`, say: "Starts it now.", tone: "main" },
    state === "suspended" && { label: "Go on", words: ["resume"], did: `Let ${path} go on`, say: "It takes messages again.", tone: "main" },
    !isDown && !isOut && { label: "Restart", words: ["restart"], did: `Restarted ${path}`, say: "Stops it in order and starts it. Does not count as a failure." },
    state === "running" && type === "worker" && { label: "Pause", words: ["suspend"], did: `Paused ${path}`, say: "It takes no messages until you let it go on. They wait." },
    state !== "stopped" && { label: "Stop", words: ["stop"], did: `Stopped ${path}`, say: "It stays down until somebody starts it.", tone: "danger", ask: { title: `Stop ${path}?`, text: "It stays down until somebody starts it again. What needs it stops working.", yes: "Stop it" } },
    state !== "stopped" && state !== "quarantined" && { label: "Kill", words: ["kill"], did: `Killed ${path}`, say: "Cuts it off at once. Its group starts it again.", tone: "danger", ask: askKill(path) },
  ].filter((its) => its !== false);
  return html`<${Panel} id="controls" title="Controls">
    <ul class="controls">${list.map(({ say, ...plan }) => html`<li key=${plan.label}><${Act} ...${plan} args=${{ path }} /><p>${say}</p></li>`)}</ul></${Panel}>`;
}

/** @param {{why: Why | null}} props */
function Timeline({ why }) {
  const exits = why ? [...why.exits, ...(why.earlier_exits ?? [])] : [];
  return html`<${Panel} id="timeline" title="What happened">
    ${why && exits.length === 0 && html`<${Empty} title="Nothing">It has run without a break since it was first started.</${Empty}>`}
    ${exits.length > 0 && html`<ol class="timeline" tabindex="0" aria-label="Exits, the newest first">${exits.slice(0, 20).map((exit) => html`<${Exit} key=${exit.at} exit=${exit} />`)}</ol>`}
    ${exits.length > 20 && html`<p class="dim">and ${exits.length - 20} older</p>`}
  </${Panel}>`;
}

/** @param {{exit: ExitRecord}} props */
function Exit({ exit }) {
  const isClean = ["normal", "shutdown"].includes(exit.reason.kind);
  return html`<li data-tone=${isClean ? "off" : exit.action === "quarantined" || exit.action === "gave_up" ? "bad" : "warn"}>
    <p class="dim"><time datetime=${exit.at}>${clock(exit.at)}</time> · ${ago(exit.ago_ms)} · life ${exit.incarnation}</p>
    <p><${Text} text=${sentenceOf(because(exit.reason, exit.failed_start))} /></p>
    ${exit.in_hand && html`<p class="dim">It had the message “${exit.in_hand}” in hand.</p>`}
    ${exit.reason.location && html`<p class="dim">At <code>${exit.reason.location}</code></p>`}
    <p>→ ${doneAbout(exit)}</p></li>`;
}

/** @param {{part: Part}} props */
function Members({ part }) {
  const kids = part.kids.slice(0, 50).flatMap((path) => kernel.forest.parts.get(path) ?? []);
  return html`<${Panel} id="members" title="What is in it">
    ${kids.length === 0 ? html`<${Empty} title="Nothing yet">Parts are added with <code>uk spawn --under ${part.path}</code>.</${Empty}>` : html`<ul class="list">${kids.map((kid) => html`<li key=${kid.path}><${PartLink} path=${kid.path}>${kid.id}</${PartLink}><${State} ...${kid} /></li>`)}</ul>`}
    ${part.kids.length > kids.length && html`<p><a href="#/tree">and ${part.kids.length - kids.length} more</a></p>`}</${Panel}>`;
}

/** What it says of itself. @param {{path: string, incarnation: number}} props */
function Says({ path, incarnation }) {
  const { document, error, again } = useRead(["state"], { path, timeout_ms: 2000 }, { inputs: [incarnation] });
  return html`<${Panel} id="says" title="What it says of itself">
    ${error ? html`<${Problem} error=${error} />` : html`<pre tabindex="0">${document ? JSON.stringify(document.state, null, 2) : "…"}</pre>`}
    <span class="act"><button type="button" onClick=${again}>Ask again</button><${Command} command=${typed(["state"], { path })} /></span></${Panel}>`;
}

/** Its newest log lines. @param {{path: string}} props */
const Lines = ({ path }) => html`<${Panel} id="lines" title="What it logged"><${Logs} args=${{ path }} /></${Panel}>`;
