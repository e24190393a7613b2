// What was just done here, and the question before what cannot be taken back easily.

import { html, useEffect, useLayoutEffect, useRef, useState } from "../vendor/preact-htm.js";
import { acting } from "./acts.js";
import { Command, Text, sentenceOf } from "./bits.js";
import { Icon } from "./icons.js";

const SHOWN_MS = 20_000;

export function Deeds() {
  const [gone, setGone] = useState(0);
  const deed = acting.deed;
  const isShown = deed !== null && deed.at > gone;
  // What went well goes by itself; what did not stays until it is closed.
  useEffect(() => {
    if (!deed?.ok) return undefined;
    const timer = setTimeout(() => setGone(deed.at), SHOWN_MS);
    return () => clearTimeout(timer);
  }, [deed]);
  return html`<div class="deeds" aria-label="What you just did" role="status" data-tone=${deed?.ok ? "good" : "bad"} hidden=${!isShown}>
    ${isShown && html`
      <${Icon} name=${deed.ok ? "check" : "cross"} />
      <div class="deed">
        <p><strong>${deed.ok ? deed.did : `Not done: ${deed.did.charAt(0).toLowerCase()}${deed.did.slice(1)}`}</strong>${deed.text && html`. <${Text} text=${sentenceOf(deed.text)} />`}${deed.hint && html` <${Text} text=${sentenceOf(deed.hint)} />`}</p>
        <${Command} command=${deed.command} />
      </div>
      <button type="button" class="close" aria-label="Close" onClick=${() => setGone(deed.at)}><${Icon} name="cross" /></button>`}
  </div>`;
}

/** @param {{question: NonNullable<typeof acting.question>}} props */
export function Question({ question }) {
  const dialog = useRef(null);
  useLayoutEffect(() => {
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
