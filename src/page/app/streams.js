// Streams: what is kept of events, newest first.

/** @import {Doc} from "./types.js" */
import { html, useState } from "../vendor/preact-htm.js";
import { Command, Empty, Head, Panel, Problem, useRead } from "./bits.js";
import { typed } from "./acts.js";
import { One } from "./events.js";
import { ago, plural, rough, size, thousands } from "./words.js";

const PAGE = 50;

/** @param {{rest: string}} props */
export function Streams({ rest }) {
  const { document, error, again } = useRead(["streams", "list"], {});
  const streams = /** @type {Doc[]} */ (document?.streams ?? []);
  return html`<${Head} title="Streams" lead="What is kept of the events, on this machine's disk."><span class="act"><button type="button" onClick=${again}>Look again</button><${Command} command="uk streams list" /></span></${Head}>
    ${error && html`<${Problem} error=${error} />`}
    ${document && streams.length === 0 && html`<${Empty} title="No streams yet">A stream is made by the first event that is kept in it.</${Empty}>`}
    <ul class="list big">${streams.map((stream) => html`<li key=${stream.stream} class=${stream.stream === rest ? "current" : ""}>
      <a href=${`#/streams/${encodeURIComponent(stream.stream)}`} aria-current=${stream.stream === rest ? "true" : undefined}><b>${stream.stream}</b></a>
      <span>${plural(stream.length, "event")}, ${size(stream.bytes)}</span>
      <span class="dim">${stream.last_ago_ms === null ? "empty" : `the newest ${ago(stream.last_ago_ms)}`} · ${keeps(stream.retention)}</span>
      ${stream.trouble && html`<span class="tag" data-tone="bad">${String(stream.trouble)}</span>`}
      ${behind(stream.groups)}</li>`)}</ul>
    ${rest && html`<${Entries} key=${rest} stream=${rest} />`}`;
}

/** @param {Doc} retention */
function keeps({ age_ms: age, length, bytes }) {
  const limits = [age && rough(age), length && plural(length, "event"), bytes && size(bytes)].filter(Boolean);
  return limits.length > 0 ? `keeps ${limits.join(", ")} at most` : "keeps all";
}

/** @param {Doc[]} groups */
const behind = (groups) => groups.map((group) => html`<span class="dim">${group.name}: ${thousands(group.lag)} not read, ${thousands(group.pending)} not yet handled</span>`);

/** The newest entries of a stream, and those before them. `one` draws an event.
 * @param {{stream: string, empty?: unknown, one?: (props: {event: any}) => unknown}} props */
export function Entries({ stream, empty, one = One }) {
  const [from, setFrom] = useState(/** @type {string[]} */ ([]));
  const args = { stream, reverse: true, limit: PAGE, ...(from.length > 0 ? { from: from[from.length - 1] } : {}) };
  const { document, error, again } = useRead(["streams", "read"], args, { method: "POST" });
  const entries = /** @type {Doc[]} */ (document?.entries ?? []);
  const last = entries[entries.length - 1];
  if (error && "status" in error && error.status === 404 && empty) return empty;
  return html`<${Panel} id="entries" title=${`In ${stream}`}>
    ${error && html`<${Problem} error=${error} />`}
    ${document && entries.length === 0 && html`<${Empty} title="Nothing here">There is nothing ${from.length > 0 ? "older" : "in it"}.</${Empty}>`}
    <ol class="events still">${entries.map((entry) => html`<${one} key=${entry.position} event=${entry.event} />`)}</ol>
    <div class="acts">
      ${from.length > 0 && html`<button type="button" onClick=${() => setFrom(from.slice(0, -1))}>Newer</button>`}
      ${entries.length === PAGE && last && html`<button type="button" onClick=${() => setFrom([...from, last.position])}>Older</button>`}
      <button type="button" onClick=${again}>Look again</button>
      <${Command} command=${typed(["streams", "read"], args)} />
    </div></${Panel}>`;
}
