// What the kernel advises in `uk why`, as a button or a link.

import { html } from "../vendor/preact-htm.js";
import { Act, Command, Text, linkTo, sentenceOf } from "./bits.js";

/** What is asked before a part is killed. @param {string} path */
export const askKill = (path) => ({
  title: `Kill ${path}?`,
  text: "It is cut off at once and loses what it was doing. Its group then starts it again, and counts this as a failure.",
  yes: "Kill it",
});

/** Commands that become a button. @type {Record<string, (path: string) => {label: string, did: string, ask?: object}>} */
const BUTTONS = {
  release: (path) => ({ label: "Put it back to work", did: `Put ${path} back to work` }),
  start: (path) => ({ label: "Start it now", did: `Started ${path}` }),
  resume: (path) => ({ label: "Let it go on", did: `Let ${path} go on` }),
  restart: (path) => ({ label: "Restart it", did: `Restarted ${path}` }),
  kill: (path) => ({ label: "Start it anew", did: `Killed ${path}, so that it starts anew`, ask: askKill(path) }),
};

/** Commands that become a link, by what they begin with. @type {[RegExp, string, (found: RegExpMatchArray) => string][]} */
const LINKS = [
  [/^uk dlq list(?: --path (\S+))?/, "See the message it failed on", ([, path]) => `#/letters/${encodeURIComponent(path ?? "")}`],
  [/^uk config (?:diff|history|rollback)/, "See what was changed", () => "#/settings"],
  [/^uk health/, "See how all is", () => "#/health"],
  [/^uk (?:why|state|logs) (\/\S*)/, "Look at it", ([, path]) => linkTo(path)],
  [/^uk tree/, "Watch the parts", () => "#/tree"],
];

/** @param {{next: {command: string, because: string}, here?: string}} props `here` is the part whose page this is on. */
export function Advice({ next, here = "" }) {
  return html`<div class="advice">${way(next.command, here)}<p><${Text} text=${sentenceOf(next.because)} /></p></div>`;
}

/** @param {string} command @param {string} here */
function way(command, here) {
  if (/^uk release --all$/.test(command)) {
    return html`<${Act} words=${["release"]} args=${{ all: true }} label="End safe mode" did="Ended safe mode" tone="main" />`;
  }
  const [, word, path] = /^uk (\w+) (\/\S*)$/.exec(command) ?? [];
  const button = word && Object.hasOwn(BUTTONS, word) ? BUTTONS[word](path) : null;
  if (button) return html`<${Act} words=${[word]} args=${{ path }} tone="main" ...${button} />`;
  for (const [pattern, label, to] of LINKS) {
    const found = pattern.exec(command);
    if (found && to(found) === linkTo(here)) break;
    if (found) return html`<span class="act"><a class="button" data-tone="main" href=${to(found)}>${label}</a><${Command} command=${command} /></span>`;
  }
  return html`<${Command} command=${command} />`;
}
