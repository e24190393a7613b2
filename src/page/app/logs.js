// The last lines of the log, and those that come.

/** @import {Doc, LogLine} from "./types.js" */
import { html, useEffect, useState } from "../vendor/preact-htm.js";
import { typed } from "./acts.js";
import { Command, Empty, PartLink, Problem } from "./bits.js";
import { call, kernel } from "./kernel.js";
import { clock } from "./words.js";

const LINES_KEPT = 100;

/** Those about a part, or as grave as a level. @param {{args: {path?: string, level?: string}}} props */
export function Logs({ args }) {
  const [lines, setLines] = useState(/** @type {LogLine[]} */ ([]));
  const [error, setError] = useState(null);
  useEffect(() => {
    setLines([]);
    setError(null);
    const ended = new AbortController();
    const heard = (/** @type {Doc[]} */ more) => setLines((was) => [...was, .../** @type {LogLine[]} */ (more.filter((line) => line.text))].slice(-LINES_KEPT));
    call("GET", ["logs"], { ...args, limit: LINES_KEPT, follow: true }, heard, ended.signal).catch((thrown) => thrown.status && setError(thrown));
    return () => ended.abort();
  }, [args.path, args.level, kernel.times]);
  if (error) return html`<${Problem} error=${error} />`;
  return html`${lines.length === 0
      ? html`<${Empty} title="No lines">It has logged nothing that is kept. New lines appear here as they come.</${Empty}>`
      : html`<ol class="logs" tabindex="0" aria-label="Log lines, the newest last">${lines.map((line) => html`<${Line} line=${line} />`)}</ol>`}
    <${Command} command=${typed(["logs"], { ...args, follow: true })} />`;
}

/** @param {{line: LogLine}} props */
const Line = ({ line }) => html`<li data-level=${line.level.toLowerCase()}><time datetime=${line.time}>${clock(line.time)}</time> <b>${line.level}</b> ${line.path && html`<${PartLink} path=${line.path} /> `}${line.text}${line.fields && Object.keys(line.fields).length > 0 ? ` ${JSON.stringify(line.fields)}` : ""}</li>`;
