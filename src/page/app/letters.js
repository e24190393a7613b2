// Dead letters: messages that nobody will handle, to send again or to forget.

/** @import {Doc} from "./types.js" */
import { html } from "../vendor/preact-htm.js";
import { Act, Empty, Head, PartLink, Problem, useRead } from "./bits.js";
import { kernel, useKernel } from "./kernel.js";
import { ago, because, plural } from "./words.js";

const SHOWN = 100;

/** @param {{rest: string}} props */
export function Letters({ rest: path }) {
  useKernel();
  const { document, error, again } = useRead(["dlq", "list"], { limit: SHOWN, ...(path ? { path } : {}) }, { inputs: [kernel.health?.dead_letters] });
  const letters = /** @type {Doc[]} */ (document?.letters ?? []);
  const only = path ? { path } : {};
  return html`<${Head} title="Dead letters" lead="Messages that could not be handled. They wait here until somebody sends them again or forgets them." />
    ${path && html`<p>Only those for <${PartLink} path=${path} />. <a href="#/letters">Show all</a></p>`}
    ${error && html`<${Problem} error=${error} />`}
    ${document && letters.length === 0 && html`<${Empty} title="None">Every message has found somebody who took it.</${Empty}>`}
    ${letters.length > 1 && html`<div class="acts">
      <${Act} words=${["dlq", "retry"]} args=${{ all: true, ...only }} label="Send all again" did="Sent all dead letters again" after=${again}
        ask=${{ title: "Send all of them again?", text: "A message that made its receiver crash may do so again.", yes: "Send them" }} />
      <${Act} words=${["dlq", "drop"]} args=${{ all: true, ...only }} label="Forget all" did="Forgot all dead letters" tone="danger" after=${again}
        ask=${{ title: "Forget all of them?", text: "Nobody will handle these messages. This cannot be undone.", yes: "Forget them" }} /></div>`}
    <ul class="list big">${letters.map((letter) => html`<${Letter} key=${letter.id} letter=${letter} again=${again} />`)}</ul>
    ${document && document.kept > letters.length && html`<p class="dim">The newest ${plural(letters.length, "letter")} of ${document.kept}.</p>`}`;
}

/** @param {{letter: Doc, again: () => void}} props */
function Letter({ letter, again }) {
  const ids = [String(letter.id)];
  return html`<li class="letter">
    <p><b>${letter.id}</b> for <${PartLink} path=${letter.path} /> <span class="dim">${ago(letter.ago_ms)} · ${whyDead(letter)}</span></p>
    <pre tabindex="0">${letter.message === undefined ? `only its name was kept: ${letter.name}` : JSON.stringify(letter.message, null, 2)}</pre>
    <div class="acts">
      <${Act} small words=${["dlq", "retry"]} args=${{ ids }} label="Send it again" did=${`Sent dead letter ${letter.id} again`} after=${again} />
      <${Act} small words=${["dlq", "drop"]} args=${{ ids }} label="Forget it" did=${`Forgot dead letter ${letter.id}`} tone="danger" after=${again}
        ask=${{ title: `Forget dead letter ${letter.id}?`, text: "Nobody will handle this message. This cannot be undone.", yes: "Forget it" }} />
    </div></li>`;
}

/** @param {Doc} letter */
function whyDead(letter) {
  const exit = letter.exit ? `. ${because(letter.exit)}` : "";
  /** @type {Record<string, string>} */
  const words = { crashed: "its receiver crashed with it in hand", dropped: "the mailbox was full", expired: "it was too old", stopped: "its receiver stopped" };
  return `${words[letter.reason] ?? String(letter.reason).replaceAll("_", " ")}${exit}`;
}
