// Nodes: which other kernels there are, how each is, what lives where, and what can be done about it.

/** @import {Doc, KnownNode, Part} from "./types.js" */
import { html, useEffect, useState } from "../vendor/preact-htm.js";
import { barred, run, typed } from "./acts.js";
import { Act, Command, Empty, Head, Panel, PartLink, Problem, Text, sentenceOf, typing, useRead, useSeconds } from "./bits.js";
import { Icon } from "./icons.js";
import { askNodes, kernel, now, useKernel } from "./kernel.js";
import { NAMED_MAX, NodeMap } from "./map.js";
import { ago, nodeStateOf, plural, rough, thousands } from "./words.js";

/** How often it is asked how far the others are, and how they are: that they come or go is told at once. */
const AGAIN_MS = 5000;
/** What lives on one node is named up to so many. */
const PARTS_MAX = 12;
/** So many labels of a node are shown. */
const LABELS_MAX = 24;
/** So many nodes have a card. */
const CARDS_MAX = 60;
/** Clocks that differ by more make times misleading. */
const SKEW_MAX_MS = 1000;
/** What other nodes run here is below it. */
const GUESTS = "/system/guests";

/** Whether this kernel has to do with others. */
export const isCluster = () => Boolean(kernel.nodes && (kernel.nodes.nodes.length > 0 || kernel.nodes.address || kernel.nodes.deaf));

/** How many of the others cannot be reached. */
export const lostNodes = () => (kernel.nodes?.nodes ?? []).filter((/** @type {KnownNode} */ node) => node.state === "down").length;

/** @param {KnownNode} node */
const isThere = ({ state }) => state === "up" || state === "draining";

export function Nodes() {
  useKernel();
  useSeconds();
  const beat = Math.floor(now() / AGAIN_MS);
  useEffect(askNodes, [beat]);
  const known = kernel.nodes;
  const nodes = /** @type {KnownNode[]} */ (known?.nodes ?? []);
  const { document: told } = useRead(["health"], { node: "all" }, { inputs: [Math.floor(beat / 3), nodes.map((node) => node.state).join()] });
  if (!known) return html`<p class="loading">Looking…</p>`;
  const health = new Map((told?.nodes ?? []).map((/** @type {Doc} */ one) => [one.node, one]));
  // Of many those that are lost come first; few stay where they are.
  const cards = nodes.length <= NAMED_MAX ? nodes : [...nodes].sort((a, b) => Number(b.state === "down") - Number(a.state === "down"));
  const workers = kernel.forest.own.filter((part) => part.type === "worker");
  const placed = workers.filter((part) => part.placed?.node);
  return html`<${Head} title="Nodes" lead=${sentenceOfAll(nodes)} />
    ${known.deaf && html`<${Problem} error=${{ message: known.deaf, hint: "other kernels cannot attach to this one until that is so no more" }} />`}
    ${nodes.length > 0 && html`<${NodeMap} name=${known.node} nodes=${cards} now=${now()} />`}
    <h2 class="heard" id="each">Each node</h2>
    <section class="cards" aria-labelledby="each">
      <${Here} known=${known} here=${workers.length - placed.length} away=${placed.length} />
      ${cards.slice(0, CARDS_MAX).map((node) => html`<${One} key=${node.name} node=${node} health=${health.get(node.name)} parts=${placed.filter((part) => part.placed?.node === node.name)} />`)}
    </section>
    ${cards.length > CARDS_MAX && html`<p class="dim">and ${plural(cards.length - CARDS_MAX, "more node")}: <code>uk node list</code> has them all.</p>`}
    <${Attach} />`;
}

/** @param {KnownNode[]} nodes */
function sentenceOfAll(nodes) {
  if (nodes.length === 0) return "This kernel works alone.";
  const there = nodes.filter(isThere).length;
  if (nodes.length === 1) return `This kernel and one other${there === 1 ? "" : ", which cannot be reached now"}.`;
  const some = there === nodes.length ? "All" : there === 0 ? "None" : thousands(there);
  return `This kernel and ${thousands(nodes.length)} others. ${some} of them can be reached now.`;
}

/** This kernel. @param {{known: Doc, here: number, away: number}} props */
const Here = ({ known, here, away }) => {
  const guests = kernel.forest.parts.get(GUESTS)?.kids.length ?? 0;
  return html`<article class="card node"><h3><${Icon} name="home" /><span>${known.node}</span><span class="tag">this kernel</span></h3>
    <dl><dt>Where others reach it</dt><dd>${known.address ? html`<code>${known.address}</code>` : "Nowhere: it opens the connections itself."}</dd>
      <dt>Its parts</dt><dd>${away > 0 ? `${here} here, ${away} on other nodes` : plural(here, "part")}</dd>
      ${guests > 0 && html`<dt>For other nodes</dt><dd>${plural(guests, "part")} of theirs ${guests === 1 ? "runs" : "run"} here</dd>`}
      ${known.draining && html`<dt>Taking parts</dt><dd>It takes no new parts of other nodes.</dd>`}</dl>
    ${(known.draining || guests > 0) && html`<div class="acts"><${Drain} name=${known.node} isDraining=${known.draining} /></div>`}</article>`;
};

/** Another kernel. @param {{node: KnownNode, health: Doc | undefined, parts: Part[]}} props */
function One({ node, health, parts }) {
  const { word, tone, icon } = nodeStateOf(node);
  const isUp = isThere(node);
  const labels = Object.entries(node.labels);
  return html`<article class="card node" data-tone=${tone} data-node=${node.name}>
    <h3><${Icon} name=${icon} /><span>${node.name}</span><span class="state">${word}</span></h3>
    <p><${Text} text=${story(node)} /></p>
    <dl>
      <dt>Address</dt><dd>${node.address ? html`<code>${node.address}</code>` : "Not known: it opened the connection itself."}</dd>
      ${isUp && html`<dt>Its own parts</dt><dd>${partsOf(health)}</dd>`}
      <dt>What of this kernel lives there</dt><dd>${parts.length === 0 ? "Nothing" : html`<${Living} parts=${parts} />`}</dd>
      ${labels.length > 0 && html`<dt>Marked with</dt><dd class="between">${labels.slice(0, LABELS_MAX).map(([key, value]) => html`<span key=${key} class="tag" data-tone="off">${key}=${value}</span>`)}${labels.length > LABELS_MAX ? ` and ${labels.length - LABELS_MAX} more` : ""}</dd>`}
      ${node.skew_ms !== null && html`<dt>Its clock</dt><dd>${clockOf(node.skew_ms)}</dd>`}
    </dl>
    <div class="acts">
      ${isUp && html`<${Drain} name=${node.name} isDraining=${node.state === "draining"} />`}
      <${Act} words=${["node", "detach"]} args=${{ which: node.name }} label="Detach" small=${true} tone="danger" did=${`Detached ${node.name}`} after=${askNodes}
        ask=${{ title: `Detach ${node.name}?`, text: "The connection ends and is not opened again from here. What it runs goes on running there. It can be attached again.", yes: "Detach it" }} />
    </div></article>`;
}

/** How it came to be as it is. @param {KnownNode} node */
function story({ state, since, why, epoch }) {
  const when = since === null ? "" : ago(now() - Date.parse(since));
  if (state === "connecting") return "It is being looked for.";
  if (state !== "down") return `Attached ${when}.${state === "draining" ? " It takes no new parts, so that it can be stopped." : ""}`;
  const cause = why ? ` ${sentenceOf(why)}` : "";
  return `${epoch === null ? `Not reached since it was first tried, ${when}.` : `Lost ${when}.`}${cause} It may still be running. This kernel tries again by itself until it is back.`;
}

/** @param {Doc | undefined} health */
function partsOf(health) {
  if (!health?.states) return health?.error ? "It has not answered." : "…";
  const states = /** @type {Record<string, number>} */ (health.states);
  const all = Object.values(states).reduce((sum, count) => sum + count, 0);
  const wrong = health.unwell.length;
  return `${plural(all, "part")}${wrong > 0 ? `, ${wrong} not well` : health.status === "ok" ? ", all well" : ", but something needs a look"}; up for ${rough(health.uptime_ms)}`;
}

/** @param {number} ms */
function clockOf(ms) {
  const far = Math.abs(ms);
  if (far < SKEW_MAX_MS) return `Agrees with this one (${far < 10 ? far.toFixed(1) : Math.round(far)} ms ${ms < 0 ? "behind" : "ahead"})`;
  return html`<span class="state" data-tone="warn"><${Icon} name="clock" />${rough(far)} ${ms < 0 ? "behind" : "ahead"}</span> Times of the two cannot be compared.`;
}

/** @param {{parts: Part[]}} props */
const Living = ({ parts }) => html`<ul class="between">${parts.slice(0, PARTS_MAX).map((part) => html`<li key=${part.path}><${PartLink} path=${part.path} /></li>`)}
  ${parts.length > PARTS_MAX && html`<li>and ${parts.length - PARTS_MAX} more</li>`}</ul>`;

/** @param {{name: string, isDraining: boolean}} props */
function Drain({ name, isDraining }) {
  if (isDraining) return html`<${Act} words=${["node", "drain"]} args=${{ which: name, undo: true }} label="Take parts again" small=${true} did=${`Had ${name} take parts again`} after=${askNodes} />`;
  return html`<${Act} words=${["node", "drain"]} args=${{ which: name }} label="Drain" small=${true} did=${`Had ${name} take no new parts`} after=${askNodes}
    ask=${{ title: `Drain ${name}?`, text: "It takes no new parts of other nodes from now on. Those that it runs move to other nodes that fit, one after the other; what fits nowhere else goes on there. It is what one does before a machine is switched off.", yes: "Drain it" }} />`;
}

function Attach() {
  const [address, setAddress] = useState("");
  const [busy, setBusy] = useState(false);
  const words = ["node", "attach"];
  const bar = barred(words);
  const isReady = address !== "" && !busy && !bar;
  const submit = async (/** @type {Event} */ event) => {
    event.preventDefault();
    if (!isReady) return;
    setBusy(true);
    const document = await run({ words, args: { address }, did: `Attached the kernel at ${address}` });
    setBusy(false);
    askNodes();
    if (document) setAddress("");
  };
  return html`<${Panel} id="attach" title="Attach another kernel">
    ${!isCluster() && html`<${Empty} title="There is none yet">Somebody starts it on its machine with <code>uk run FILE --node-listen ADDRESS</code>. With that address it is attached here; then each can run parts for the other.</${Empty}>`}
    <form class="tools" onSubmit=${submit}>
      <label class="search"><span>Its address, as in edge-1.local:4697</span><input type="text" inputmode="url" spellcheck="false" autocomplete="off" autocapitalize="none" value=${address} onInput=${typing(setAddress, true)} /></label>
      <button data-tone="main" disabled=${!isReady} aria-busy=${busy} title=${bar}>${busy ? "Looking for it…" : "Attach"}</button>
    </form>
    <${Command} command=${typed(words, { address: address || "ADDRESS" })} /></${Panel}>`;
}
