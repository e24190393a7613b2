// Health: the whole kernel at a glance, its alarms, and what is not well.

/** @import {Doc} from "./types.js" */
import { html } from "../vendor/preact-htm.js";
import { Empty, Head, Panel, PartLink, State } from "./bits.js";
import { Alarms } from "./home.js";
import { Logs } from "./logs.js";
import { kernel, useKernel } from "./kernel.js";
import { because, rough, size, stalled, stateOf, thousands } from "./words.js";

export function Health() {
  useKernel();
  const health = kernel.health;
  if (!health) return html`<p class="loading">Looking…</p>`;
  const isOk = health.status === "ok";
  const states = Object.entries(/** @type {Record<string, number>} */ (health.states));
  return html`<${Head} title="Health" lead=${isOk ? "All is well." : "Something is not well."}><span class="state" data-tone=${isOk ? "good" : "bad"}>${isOk ? "all well" : "needs a look"}</span></${Head}>
    <dl class="numbers">
      <div><dt>Up for</dt><dd>${rough(health.uptime_ms)}</dd></div>
      <div><dt>Mode</dt><dd>${health.mode}</dd></div>
      ${states.map(([state, count]) => html`<div key=${state}><dt>${stateOf(state).word}</dt><dd>${thousands(count)}</dd></div>`)}
      <div><dt><a href="#/letters">Dead letters</a></dt><dd>${thousands(health.dead_letters)}</dd></div>
      <div><dt>Stuck lives cut off</dt><dd>${health.abandoned} of ${health.max_abandoned}</dd></div>
      ${health.memory && html`<div><dt>Memory</dt><dd>${size(health.memory.used_bytes)} of ${size(health.memory.limit_bytes)}</dd></div>`}
      <div><dt><a href="#/settings">Settings</a></dt><dd>version ${health.settings.number}</dd></div>
    </dl>
    <${Alarms} health=${health} />
    <${Panel} id="unwell" title="Not well">
      ${health.unwell.length === 0 ? html`<${Empty} title="Nothing">Every part is as it should be.</${Empty}>` : html`<ul class="list">${health.unwell.slice(0, 50).map((/** @type {Doc} */ entry) => html`<li key=${entry.path}><${PartLink} path=${entry.path} /><${State} ...${entry} /><span class="dim">${reason(entry)}</span></li>`)}</ul>`}
    </${Panel}>
    <${Panel} id="warnings" title="Warnings"><${Logs} args=${{ level: "warn" }} /></${Panel}>
    <p class="dim">Kernel ${kernel.version}, node ${kernel.node}. You are ${kernel.who.name}, with the right to ${kernel.who.scope === "admin" ? "change everything" : kernel.who.scope}. <a href="#/nodes">Other kernels</a></p>`;
}

/** @param {Doc} entry */
function reason(entry) {
  if (entry.waits_for) return `waits for ${entry.waits_for.path}`;
  if (entry.stall) return stalled(entry.stall);
  return entry.reason ? because(entry.reason) : "";
}
