// Events: which there are, those that come by, and one of one's own.

/** @import {Doc, Event_} from "./types.js" */
import { html, useEffect, useRef, useState } from "../vendor/preact-htm.js";
import { Act, Command, Empty, Head, Panel, PartLink, Problem, sentenceOf, typing, useRead } from "./bits.js";
import { typed as asTyped } from "./acts.js";
import { listen } from "./kernel.js";
import { fault, read } from "./send.js";
import { clock, plural, thousands } from "./words.js";

const EVENTS_KEPT = 200;
const PATTERN = /^(\*|[A-Za-z0-9_-]+)(\.(\*|[A-Za-z0-9_-]+))*$/;

export const Events = () => html`<${Head} title="Events" lead="What the parts tell each other. Anybody may listen; nothing is changed by looking." />
  <${Tail} />
  <div class="columns"><${Publish} /><${Catalog} /></div>`;

function Tail() {
  const [pattern, setPattern] = useState("*");
  const [typed, setTyped] = useState("*");
  const [paused, setPaused] = useState(false);
  const [events, setEvents] = useState(/** @type {Event_[]} */ ([]));
  const [missed, setMissed] = useState(0);
  const [isOpen, setOpen] = useState(false);
  const isPaused = useRef(paused);
  isPaused.current = paused;
  useEffect(() => {
    setEvents([]);
    setMissed(0);
    setOpen(false);
    return listen({ events: pattern, open: () => setOpen(true), heard: (batch) => {
      if (isPaused.current) return;
      setMissed((was) => was + (batch.missed ?? 0));
      setEvents((was) => [...[...batch.events].reverse(), ...was].slice(0, EVENTS_KEPT));
    } });
  }, [pattern]);
  const isFine = PATTERN.test(typed);
  const submit = (/** @type {Event} */ event) => { event.preventDefault(); if (isFine) setPattern(typed); };
  return html`<${Panel} id="tail" title="As they come">
    <form class="tools" onSubmit=${submit}>
      <label class="search"><span>Which topics, as in sensor.*</span><input type="text" spellcheck="false" autocomplete="off" aria-invalid=${!isFine} value=${typed} onInput=${typing(setTyped, true)} /></label>
      <button disabled=${!isFine || typed === pattern}>Listen</button>
      <button type="button" aria-pressed=${paused} onClick=${() => setPaused(!paused)}>${paused ? "Go on" : "Pause"}</button>
    </form>
    <${Command} command=${asTyped(["events", "tail"], { topic: pattern })} />
    ${!isFine && html`<${Problem} error=${{ message: `“${typed}” is no pattern of topics`, hint: "words with dots between, and * for any: sensor.*, or * for all" }} />`}
    ${missed > 0 && html`<p class="dim">${plural(missed, "event")} came faster than they can be shown.</p>`}
    ${events.length === 0 || !isOpen ? html`<${Empty} title=${isOpen ? "Nothing yet" : "Connecting"}>Events that fit <code>${pattern}</code> appear here as they come.</${Empty}>` : html`<ol class="events" tabindex="0" aria-label="Events">${events.map((event) => html`<${One} key=${event.id} event=${event} />`)}</ol>`}
  </${Panel}>`;
}

/** @param {{event: Event_}} props */
export const One = ({ event }) => html`<li><details><summary><time datetime=${event.time}>${clock(event.time)}</time> <b>${event.topic}</b> <span class="dim data">${JSON.stringify(event.data)}</span></summary>
  <p class="dim">from ${event.source?.startsWith("/") ? html`<${PartLink} path=${event.source} />` : event.source} · ${event.priority}</p><pre tabindex="0">${JSON.stringify(event.data, null, 2)}</pre></details></li>`;

function Publish() {
  const [topic, setTopic] = useState("");
  const [text, setText] = useState("{}");
  const wrong = fault(text);
  const isReady = PATTERN.test(topic) && !topic.includes("*") && text.trim() !== "" && !wrong;
  return html`<${Panel} id="publish" title="Publish one">
    <label class="field"><span>Topic</span><input type="text" spellcheck="false" autocomplete="off" placeholder="sensor.lab.door" value=${topic} onInput=${typing(setTopic, true)} /></label>
    <label class="field"><span>What there is to say, as JSON</span><textarea rows="3" spellcheck="false" value=${text} onInput=${typing(setText)} /></label>
    ${wrong && html`<${Problem} error=${wrong} />`}
    ${topic.includes("*") && html`<${Problem} error=${{ message: "one event has one topic", hint: "write it without a *" }} />`}
    ${isReady ? html`<${Act} words=${["events", "publish"]} args=${{ topic, data: read(text) }} label="Publish" did=${`Published an event on ${topic}`} tone="main" />` : html`<p class="dim">Name a topic first.</p>`}
  </${Panel}>`;
}

function Catalog() {
  const { document, error } = useRead(["events", "list"], {});
  const [search, setSearch] = useState("");
  const types = /** @type {Doc[]} */ (document?.types ?? []).filter((type) => `${type.topic} ${type.description}`.toLowerCase().includes(search.toLowerCase()));
  return html`<${Panel} id="catalog" title="Which there are">
    ${error && html`<${Problem} error=${error} />`}
    <label class="search"><span>Search the catalog</span><input type="search" value=${search} onInput=${typing(setSearch)} /></label>
    <ul class="catalog" tabindex="0" aria-label="Catalog of events">${types.map((type) => html`<li key=${type.topic}><p><b>${type.topic}</b> <span class="dim">${type.published > 0 ? `${thousands(type.published)} so far` : ""}</span></p>
      <p class="dim">${type.description ? sentenceOf(type.description) : "No description."} ${type.persist ? html`Kept in <a href=${`#/streams/${encodeURIComponent(type.persist.stream)}`}>${type.persist.stream}</a>.` : "Not kept."}</p></li>`)}</ul>
    ${document && types.length === 0 && html`<${Empty} title="None">No type of event is called that.</${Empty}>`}
  </${Panel}>`;
}
