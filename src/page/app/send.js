// A message to a part, told or asked.

import { html, useState } from "../vendor/preact-htm.js";
import { Act, Panel, Problem, typing } from "./bits.js";

/** JSON, or the text itself where it is none, as a shell has it. @param {string} text */
export function read(text) {
  try {
    return JSON.parse(text);
  } catch {
    return text.trim();
  }
}

/** Whether a text looks like JSON, and what is wrong with it if it is none. @param {string} text */
export function fault(text) {
  if (!/^\s*[[{"]/.test(text)) return null;
  try {
    JSON.parse(text);
    return null;
  } catch (error) {
    return { message: `this is not yet JSON: ${/** @type {Error} */ (error).message}`, hint: 'as in {"echo": 1}: names and texts in double quotes' };
  }
}

/** @param {{path: string}} props */
export function Send({ path }) {
  const [text, setText] = useState("");
  const [answer, setAnswer] = useState(undefined);
  const wrong = fault(text);
  const args = { path, message: read(text) };
  const isReady = text.trim() !== "" && !wrong;
  return html`<${Panel} id="send" title="Send it a message">
    <label class="field"><span>Message, as JSON</span>
      <textarea rows="3" spellcheck="false" placeholder='{"echo": "hello"}' value=${text} onInput=${typing(setText)} /></label>
    ${wrong && html`<${Problem} error=${wrong} />`}
    ${isReady && html`<div class="acts">
      <${Act} words=${["ask"]} args=${args} label="Send and wait for the answer" did=${`Asked ${path}`} tone="main" after=${(/** @type {any} */ document) => setAnswer(document.answer)} />
      <${Act} words=${["tell"]} args=${args} label="Only send" did=${`Sent a message to ${path}`} /></div>`}
    ${answer !== undefined && html`<h3>Its answer</h3><pre tabindex="0">${JSON.stringify(answer, null, 2)}</pre>`}
  </${Panel}>`;
}
