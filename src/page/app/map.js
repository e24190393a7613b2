// The nodes as a picture: this kernel in the middle, the others at its sides, and a line to each. Who hears the page is told
// the same by the cards below it.

/** @import {KnownNode} from "./types.js" */
import { html } from "../vendor/preact-htm.js";
import { Icon } from "./icons.js";
import { nodeStateOf, plural, rough } from "./words.js";

/** Up to so many stand at the sides with their names. More stand around as points, and of those so many. */
export const NAMED_MAX = 12;
export const DRAWN_MAX = 240;
/** The height of one node at a side, and of a picture. A node stands a bit above the middle of its row: its name is below it. */
const ROW_PX = 112;
const LEAST_PX = 212;
const AROUND_PX = 440;
const EDGE_PX = 12;
const LIFT_PX = 22;
/** Where the sides and the middle are, in hundredths of the width. */
const SIDES = [84, 16];
const MIDDLE = 50;
/** How far from the middle points stand, in turns, in hundredths of width and height. */
const RINGS = [44, 33];

/** Where each of so many nodes stands, in hundredths: right and left in turns, from above; one alone faces this kernel.
 * @param {number} count */
export function places(count) {
  if (count > NAMED_MAX) return around(count);
  const rows = [Math.ceil(count / 2), Math.floor(count / 2)];
  const height = Math.max(LEAST_PX, rows[0] * ROW_PX + 2 * EDGE_PX);
  const down = (/** @type {number} */ share) => ((EDGE_PX + share * (height - 2 * EDGE_PX) - LIFT_PX) / height) * 100;
  const at = Array.from({ length: count }, (_, index) => {
    const side = index % 2;
    return { x: SIDES[side], y: down((Math.floor(index / 2) + 0.5) / rows[side]) };
  });
  return { at, here: { x: count === 1 ? SIDES[1] + 10 : MIDDLE, y: down(0.5) }, height };
}

/** @param {number} count */
function around(count) {
  const at = Array.from({ length: count }, (_, index) => {
    const angle = (index / count) * 2 * Math.PI - Math.PI / 2;
    const far = RINGS[index % RINGS.length];
    return { x: MIDDLE + far * Math.cos(angle), y: MIDDLE + far * Math.sin(angle) };
  });
  return { at, here: { x: MIDDLE, y: MIDDLE }, height: AROUND_PX };
}

/** A line that leaves and arrives level. @param {{x: number, y: number}} from @param {{x: number, y: number}} to */
function bow(from, to) {
  const half = (from.x + to.x) / 2;
  return `M${from.x} ${from.y}C${half} ${from.y} ${half} ${to.y} ${to.x} ${to.y}`;
}

/** @param {{x: number, y: number}} at */
const placed = ({ x, y }) => ({ left: `${x}%`, top: `${y}%` });

/** @param {{name: string, nodes: KnownNode[], now: number}} props */
export function NodeMap({ name, nodes, now }) {
  const drawn = nodes.slice(0, DRAWN_MAX);
  const { at, here, height } = places(drawn.length);
  const isNamed = drawn.length <= NAMED_MAX;
  return html`<div class=${`map card ${isNamed ? "" : "points"}`} role="img" aria-label=${`${name}, this kernel, in the middle; ${said(nodes)}`} style=${{ height: `${height}px` }}>
    <svg viewBox="0 0 100 100" preserveAspectRatio="none" aria-hidden="true">${drawn.map((node, index) => html`<path key=${node.name} data-state=${node.state} data-tone=${nodeStateOf(node).tone} d=${bow(here, at[index])} />`)}</svg>
    ${isNamed && drawn.map((node, index) => html`<span key=${`way ${node.name}`} class="onway" data-tone=${nodeStateOf(node).tone} style=${placed({ x: (here.x + at[index].x) / 2, y: (here.y + at[index].y) / 2 })}>${onWay(node)}</span>`)}
    <span class="node here" style=${placed(here)}><img src="/page/icon.svg" alt="" /><b>${name}</b><small>this kernel</small></span>
    ${drawn.map((node, index) => html`<span key=${node.name} class="node" title=${node.name} data-state=${node.state} data-tone=${nodeStateOf(node).tone} style=${placed(at[index])}>
      <i>${isNamed && html`<${Icon} name=${nodeStateOf(node).icon} />`}</i>${isNamed && html`<b>${node.name}</b><small>${nodeStateOf(node).word}${node.state === "down" && node.since && ` for ${rough(now - Date.parse(node.since))}`}</small>`}</span>`)}
  </div>`;
}

/** How the others are, in words. @param {KnownNode[]} nodes */
function said(nodes) {
  if (nodes.length <= NAMED_MAX) return nodes.map((node) => `${node.name} is ${nodeStateOf(node).word}`).join(", ");
  const lost = nodes.filter((node) => node.state === "down");
  return `${plural(nodes.length, "other kernel")} around it, ${lost.length === 0 ? "none" : lost.length} of them lost`;
}

/** What stands on a line: how far it is, or that it is cut. @param {KnownNode} node */
function onWay({ state, rtt_ms: rtt }) {
  if (state === "down") return html`<${Icon} name="cross" />`;
  return rtt === null ? html`<${Icon} name="turn" />` : `${rtt < 10 ? rtt.toFixed(1) : Math.round(rtt)} ms`;
}
