// What buttons do: a command of the kernel, how it would be typed, what it asks before, and what came of it.

/** @import {Doc} from "./types.js" */
import { call, changed, kernel } from "./kernel.js";
import { stateOf } from "./words.js";

/** @typedef {{title: string, text: string, yes: string, more?: unknown}} Question */
/** @typedef {{words: string[], args?: Doc, did: string, ask?: Question}} Plan */
/** @typedef {{did: string, command: string, ok: boolean, text: string, hint: string | null, at: number}} Deed */

/** What stands by its position in a shell, in this order. */
const BY_POSITION = ["path", "which", "address", "target", "topic", "stream", "ids", "id", "from", "to", "message", "data", "settings"];
/** Options that have the name of what other commands have by position. @type {Record<string, string[]>} */
const OPTIONS = { "streams read": ["from"], "dlq retry": ["path", "to", "message"], "dlq drop": ["path"], "dlq list": ["path"] };
const ADMIN = ["node attach", "node detach", "node drain", "spawn", "delete", "config set", "config unset", "config apply", "config rollback", "shutdown"];

export const acting = {
  /** What was done here last. @type {Deed | null} */
  deed: null,
  /** What is asked just now. @type {(Question & {command: string, answer: (yes: boolean) => void}) | null} */
  question: null,
};

/** How a command is typed. @param {string[]} words @param {Doc} [args] */
export function typed(words, args = {}) {
  const options = OPTIONS[words.join(" ")] ?? [];
  const given = Object.entries(args).filter(([, value]) => value !== undefined && value !== false);
  const isFirst = (/** @type {string} */ key) => BY_POSITION.includes(key) && !options.includes(key);
  const first = given.filter(([key]) => isFirst(key)).sort(([a], [b]) => BY_POSITION.indexOf(a) - BY_POSITION.indexOf(b));
  const rest = given.filter(([key]) => !isFirst(key));
  const placed = first.flatMap(([key, value]) => {
    if (key === "settings") return Object.entries(value).map(([name, its]) => quote(`${name}=${plainOrJson(its)}`));
    if (Array.isArray(value)) return value.map((its) => quote(String(its)));
    return quote(key === "message" || key === "data" ? JSON.stringify(value) : String(value));
  });
  const named = rest.map(([key, value]) => (value === true ? `--${key}` : `--${key} ${quote(typeof value === "string" ? value : JSON.stringify(value))}`));
  return ["uk", ...words, ...placed, ...named].join(" ");
}

/** @param {unknown} value */
const plainOrJson = (value) => (typeof value === "string" && !isJson(value) ? value : JSON.stringify(value));

/** @param {string} text */
function isJson(text) {
  try {
    JSON.parse(text);
    return true;
  } catch {
    return false;
  }
}

/** @param {string} text */
const quote = (text) => (/^[\w/.:=,@%+-]+$/.test(text) ? text : `'${text.replaceAll("'", "'\\''")}'`);

/** Why a command cannot be run from here, or nothing. @param {string[]} words */
export function barred(words) {
  if (kernel.line !== "live") return "there is no connection to the kernel";
  const scope = kernel.who.scope;
  const needed = ADMIN.includes(words.join(" ")) ? "admin" : "operate";
  const may = scope === "admin" || scope === needed;
  return may ? "" : `your login may only ${scope}; this needs “${needed}”`;
}

/** Asks if it must, runs the command and notes what came of it. Answers with the document, or null. @param {Plan} plan */
export async function run(plan) {
  const command = typed(plan.words, plan.args);
  if (plan.ask && !(await answerTo(plan.ask, command))) return null;
  /** @type {Deed} */
  const deed = { did: plan.did, command, ok: true, text: "", hint: null, at: Date.now() };
  let document = null;
  try {
    document = await call("POST", plan.words, plan.args);
    deed.text = outcome(document);
  } catch (error) {
    const { message, hint = null } = /** @type {import("./kernel.js").Refusal} */ (error);
    Object.assign(deed, { ok: false, text: message, hint });
  }
  acting.deed = deed;
  changed();
  return document;
}

/** @param {Question} question @param {string} command @returns {Promise<boolean>} */
function answerTo(question, command) {
  return new Promise((resolve) => {
    const answer = (/** @type {boolean} */ yes) => {
      acting.question = null;
      changed();
      resolve(yes);
    };
    acting.question = { ...question, command, answer };
    changed();
  });
}

/** What came of it, in words. @param {Doc} document */
function outcome(document) {
  if (document.done === "requested") return "it is busy; it ends as soon as it lets go, or is cut off after 5 s";
  if (document.waits_for) return `it waits for ${document.waits_for.path}, which is ${stateOf(document.waits_for.state).word}`;
  if (typeof document.state === "string") return `it is now ${stateOf(document.state).word}`;
  if (document.number !== undefined) return document.done === "unchanged" ? "nothing was different" : `this is version ${document.number} of the settings`;
  if (document.address && document.name) return `it is called ${document.name}`;
  if (document.refusals?.length > 0) return `${document.refusals.length} could not be delivered: ${document.refusals[0].why}`;
  if (document.answer !== undefined) return "it answered";
  return "";
}
