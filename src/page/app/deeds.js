// What was just done here, and the question before what cannot be taken back easily.

import { html, useEffect, useRef, useState } from "../vendor/preact-htm.js";
import { acting } from "./acts.js";
import { Command, Text, sentenceOf } from "./bits.js";
import { Icon } from "./icons.js";

const SHOWN_MS = 20_000;

export function Deeds() {
  const [gone, setGone] = useState(0);
  const newest = acting.deeds[0];
  const isShown = newest !== undefined && newest.at > gone;
  // What went well goes by itself; what did not stays until it is closed.
  useEffect(() => {
    if (!newest?.ok) return undefined;
    const timer = setTimeout(() => setGone(newest.at), SHOWN_MS);
    return () => clearTimeout(timer);
  }, [newest]);
  return html`<aside class="deeds" aria-label="What you just did" role="status" data-tone=${newest?.ok ? "good" : "bad"} hidden=${!isShown}>
    ${isShown && html`
      <${Icon} name=${newest.ok ? "check" : "cross"} />
      <div class="deed">
        <p><strong>${newest.ok ? newest.did : `Not done: ${newest.did.charAt(0).toLowerCase()}${newest.did.slice(1)}`}</strong>${newest.text && html`. <${Text} text=${sentenceOf(newest.text)} />`}${newest.hint && html` <${Text} text=${sentenceOf(newest.hint)} />`}</p>
        <${Command} command=${newest.command} />
        ${acting.deeds.length > 1 && html`<details><summary>${acting.deeds.length - 1} before that</summary><ul>${acting.deeds.slice(1).map((deed) => html`<li>${deed.ok ? "" : "Not done: "}${deed.did} <${Command} command=${deed.command} /></li>`)}</ul></details>`}
      </div>
      <button type="button" class="close" aria-label="Close" onClick=${() => setGone(newest.at)}><${Icon} name="cross" /></button>`}
  </aside>`;
}

/** @param {{question: NonNullable<typeof acting.question>}} props */
export function Question({ question }) {
  const dialog = useRef(null);
  useEffect(() => {
    const back = /** @type {HTMLElement | null} */ (document.activeElement);
    dialog.current?.showModal();
    return () => back?.focus();
  }, []);
  const no = (/** @type {Event} */ event) => { event.preventDefault(); question.answer(false); };
  return html`<dialog ref=${dialog} class="question" aria-labelledby="question" onCancel=${no}>
    <h2 id="question">${question.title}</h2>
    <p>${question.text}</p>
    ${question.more}
    <${Command} command=${question.command} />
    <div class="buttons">
      <button type="button" autofocus onClick=${() => question.answer(false)}>Leave it as it is</button>
      <button type="button" data-tone="danger" onClick=${() => question.answer(true)}>${question.yes}</button>
    </div>
  </dialog>`;
}
