// Audit: who changed what, newest first.

/** @import {Doc, Event_} from "./types.js" */
import { html } from "../vendor/preact-htm.js";
import { typed } from "./acts.js";
import { Command, Empty, Head, Text, sentenceOf } from "./bits.js";
import { Entries } from "./streams.js";
import { clock } from "./words.js";

export const Audit = () => html`<${Head} title="Audit" lead="Who changed what, and when. The newest comes first." />
  <${Entries} stream="audit" one=${Act} empty=${html`<${Empty} title="Nothing was changed yet">Once somebody changes something, by this page, a command or a program, it is listed here.</${Empty}>`} />`;

/** One thing that somebody did. @param {{event: Event_}} props */
function Act({ event }) {
  const { who, command, args, ok, error } = /** @type {Doc} */ (event.data);
  return html`<li><p class="between"><time datetime=${event.time}>${clock(event.time)}</time> <b>${who}</b> <span class="tag" data-tone=${ok ? "good" : "bad"}>${ok ? "done" : "refused"}</span>
    <${Command} command=${typed(String(command).split(" "), args ?? {})} /></p>
    ${error && html`<p class="dim"><${Text} text=${sentenceOf(String(error))} /></p>`}</li>`;
}
