// Home: how it is, in one sentence; what broke, why, what was done about it, and one thing to do.

/** @import {Doc, Why} from "./types.js" */
/** @import {Trouble} from "./judge.js" */
import { html } from "../vendor/preact-htm.js";
import { Advice } from "./advice.js";
import { Act, PartLink, Problem, State, Text, linkTo, sentenceOf, useRead, useSeconds, useSettled } from "./bits.js";
import { Changes, WayBack } from "./changes.js";
import { Icon } from "./icons.js";
import { isOff, sentence, some, troubles } from "./judge.js";
import { kernel, now, useKernel } from "./kernel.js";
import { ago, because, doneAbout, nameOf, plural, rough, stalled, stateOf, thousands } from "./words.js";

const CARDS_MAX = 12;
const TILES_MAX = 480;
/** A card is read again so often, and when its part has come to rest, so that no button changes under the pointer. */
const AGAIN_MS = 10_000;

export function Home() {
  useKernel();
  useSeconds();
  const { forest, health } = kernel;
  const found = troubles(forest, now(), health);
  const { text, tone } = sentence(forest, found, health);
  const broken = found.filter((trouble) => trouble.level !== "back");
  const back = found.filter((trouble) => trouble.level === "back");
  const off = forest.own.filter((part) => part.type === "worker" && isOff(part));
  return html`
    <section class="hero" data-tone=${tone}>
      <h1 tabindex="-1">${text}</h1>
      <p class="lead">${health ? `Up for ${rough(health.uptime_ms)}.` : ""} ${off.length > 0 && `Switched off: ${some(off)}.`} ${back.length > 0 && `Working again after a failure: ${some(back.map((trouble) => trouble.part))}.`}</p>
      <${Tiles} broken=${broken} />
    </section>
    ${health?.safe_reason && html`<${SafeMode} reason=${health.safe_reason} />`}
    ${broken.length > 0 && html`<section aria-labelledby="broken"><h2 id="broken">What needs you</h2>
      <div class="cards">${broken.slice(0, CARDS_MAX).map((trouble) => html`<${TroubleCard} key=${trouble.part.path} trouble=${trouble} />`)}</div>
      ${broken.length > CARDS_MAX && html`<p><a href="#/tree">${plural(broken.length - CARDS_MAX, "more part needs", "more parts need")} attention</a></p>`}
    </section>`}
    <${Alarms} health=${health} />
    ${back.length > 0 && html`<section aria-labelledby="back"><h2 id="back">Mended by itself</h2>
      <ul class="mended">${back.slice(0, CARDS_MAX).map((trouble) => html`<${Mended} key=${trouble.part.path} trouble=${trouble} />`)}</ul></section>`}
    <${AsItWas} />`;
}

/** One small mark for each part. Who hears the page has the sentence above it. @param {{broken: Trouble[]}} props */
function Tiles({ broken }) {
  const levels = new Map(broken.map((trouble) => [trouble.part.path, trouble.level]));
  const parts = kernel.forest.own.filter((part) => part.type === "worker");
  return html`<div class="tiles" aria-hidden="true">
    ${parts.slice(0, TILES_MAX).map((part) => html`<i key=${part.path} data-tone=${levels.get(part.path) ?? stateOf(part.state).tone} title=${part.path} />`)}
    ${parts.length > TILES_MAX && html`<span>+${thousands(parts.length - TILES_MAX)}</span>`}
  </div>`;
}

/** @param {{reason: string}} props */
const SafeMode = ({ reason }) => html`<article class="card" data-tone="bad"><h3><${Icon} name="cross" />Safe mode</h3>
  <dl><dt>Why</dt><dd>${reason}</dd><dt>What was done</dt><dd>All but the essential parts were stopped, so that nothing more breaks.</dd></dl>
  <${Advice} next=${{ command: "uk release --all", because: "once the cause is mended, this starts everything again" }} /></article>`;

/** @param {{trouble: Trouble}} props */
function TroubleCard({ trouble }) {
  const { part, level, verb } = trouble;
  const { document, error } = useRead(["why"], { path: part.path }, { inputs: [useSettled(`${part.state} ${part.incarnation}`), Math.floor(now() / AGAIN_MS)] });
  const why = /** @type {Why | null} */ (document);
  const exits = why ? [...why.exits, ...(why.earlier_exits ?? [])] : [];
  const exit = exits[0];
  return html`<article class="card" data-tone=${level}>
    <h3><${Icon} name=${level === "bad" ? "cross" : "clock"} /><span><a href=${linkTo(part.path)}>${nameOf(part)}</a> ${verb}</span></h3>
    <p class="where"><${PartLink} path=${part.path} /> <${State} ...${part} /></p>
    <dl>
      <dt>Why</dt><dd><${Text} text=${cause(why, exit)} /></dd>
      <dt>What was done</dt><dd>${done(why, exits)}</dd>
    </dl>
    ${error && html`<${Problem} error=${error} />`}
    ${why && html`<${Advice} next=${why.next} />`}
  </article>`;
}

/** @param {Why | null} why @param {import("./types.js").ExitRecord | undefined} exit */
function cause(why, exit) {
  if (!why) return "…";
  if (why.stall) return `${stalled(why.stall)}.`;
  if (why.waits_for) return `It needs ${why.waits_for.path}, which is ${stateOf(why.waits_for.state).word}.`;
  return exit ? `${because(exit.reason, exit.failed_start)}.` : "It has not said.";
}

/** @param {Why | null} why @param {import("./types.js").ExitRecord[]} exits */
function done(why, exits) {
  if (!why) return "…";
  if (exits.length === 0) return "Nothing yet.";
  const first = doneAbout(exits[0]);
  const times = exits.length > 1 ? ` It ended ${plural(exits.length, "time")} in ${rough(exits[exits.length - 1].ago_ms)}.` : "";
  return `It was ${first}, ${ago(exits[0].ago_ms)}.${times}${why.state === "quarantined" || !why.supervisor ? "" : ` ${leftOf(why.supervisor.restarts)}`}`;
}

/** What is left of a group's budget. @param {import("./types.js").Restarts} restarts */
function leftOf({ used, intensity, period_ms: period }) {
  const left = Math.max(0, intensity - used);
  const budget = `of ${plural(intensity, "restart")} within ${rough(period)}`;
  return left === 0 ? `None ${budget} is left: the next time its whole group is restarted.` : `${thousands(left)} ${budget} ${left === 1 ? "is" : "are"} left before its whole group is restarted.`;
}

/** @param {{trouble: Trouble}} props */
function Mended({ trouble: { part } }) {
  const exit = part.last_exit;
  return html`<li><${State} state=${part.state} /><strong><a href=${linkTo(part.path)}>${nameOf(part)}</a></strong>
    <span>${exit ? `${because(exit.reason)}, ${ago(now() - Date.parse(exit.at))}. It runs again.` : "It runs again."}</span></li>`;
}

/** @param {{health: Doc | null}} props */
export function Alarms({ health }) {
  const alarms = health?.alarms ?? [];
  const troubles = health?.settings?.troubles ?? [];
  if (alarms.length + troubles.length === 0) return null;
  return html`<section aria-labelledby="alarms"><h2 id="alarms">Alarms</h2><div class="cards">
    ${alarms.map((/** @type {Doc} */ alarm) => html`<article class="card" data-tone="warn"><h3><${Icon} name="clock" /><span><${Text} text=${alarm.text} /></span></h3><p><${Text} text=${sentenceOf(alarm.hint)} /></p></article>`)}
    ${troubles.map((/** @type {Doc} */ trouble) => html`<article class="card" data-tone="warn"><h3><${Icon} name="clock" /><span><${Text} text=${trouble.what} /></span></h3>${trouble.shown && html`<pre tabindex="0">${trouble.shown}</pre>`}${trouble.hint && html`<p><${Text} text=${sentenceOf(trouble.hint)} /></p>`}</article>`)}
  </div></section>`;
}

/** The way back: the last change of settings, undone. */
function AsItWas() {
  const { document, again } = useRead(["config", "history"], { limit: 2 }, { inputs: [kernel.health?.settings?.number] });
  const versions = /** @type {Doc[]} */ (document?.versions ?? []);
  const last = versions[0];
  if (!last || versions.length < 2) return null;
  return html`<section aria-labelledby="undo" class="card quiet"><h2 id="undo">Everything as it was</h2>
    <p>The last change of settings, ${ago(last.ago_ms)}, because ${last.because}:</p>
    <${Changes} lines=${last.changes} />
    <${Act} words=${["config", "rollback"]} label="Put it back as it was" did="Put the settings back as they were" after=${again}
      ask=${{ title: "Put the settings back as they were?", text: `This undoes version ${last.number}. It can be undone as well.`, yes: "Put them back", more: html`<${WayBack} />` }} />
  </section>`;
}
