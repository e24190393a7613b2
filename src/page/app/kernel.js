// The one line to the kernel: calls, and the stream of what happens. What it knows is in `kernel`; `useKernel` draws anew
// when that changes, at most once a frame.

/** @import {Doc} from "./types.js" */
import { useEffect, useReducer } from "../vendor/preact-htm.js";
import { Forest } from "./forest.js";

/** Pauses between attempts to reach a kernel that is lost. */
const RETRY_MS = [500, 1000, 2000, 4000];
/** A difference between the clocks that is worth more than the delays on the way. */
const SKEW_MIN_MS = 2000;

/** What a listener wants of the stream. @typedef {{events: string, heard: (batch: Doc) => void, open?: () => void}} Want */

export const kernel = {
  forest: new Forest(),
  /** @type {"connecting" | "live" | "lost" | "denied"} */
  line: "connecting",
  /** Why who is somebody may not look, in the kernel's words. @type {Refusal | null} */
  refusal: null,
  /** When it was lost. */
  lostAt: 0,
  /** How often it came back, for what has to be read again then. */
  times: 0,
  node: "",
  version: "",
  who: { name: "", scope: "read" },
  /** The kernel's clock minus ours. */
  skewMs: 0,
  /** @type {Doc | null} */
  health: null,
  /** The other nodes, as `uk node list` has them. @type {Doc | null} */
  nodes: null,
};

export const now = () => Date.now() + kernel.skewMs;

/** @type {Set<() => void>} */
const watchers = new Set();
let isDue = false;

/** Has everything that watches the kernel drawn anew. */
export function changed() {
  if (isDue) return;
  isDue = true;
  requestAnimationFrame(() => {
    isDue = false;
    for (const watcher of watchers) watcher();
  });
}

/** Draws a component anew whenever the kernel has changed. */
export function useKernel() {
  const [, again] = useReducer((count) => count + 1, 0);
  useEffect(() => {
    const watcher = () => again(null);
    watchers.add(watcher);
    return () => void watchers.delete(watcher);
  }, []);
  return kernel;
}

/** Something that the kernel refused, or could not do, in its own words. */
export class Refusal extends Error {
  /** @param {string} message @param {string | null} hint @param {number} status */
  constructor(message, hint, status) {
    super(message);
    this.hint = hint;
    this.status = status;
  }
}

/** Calls a command. One that answers with many documents has them `heard` as they come, until `signal` ends it.
 * @param {"GET" | "POST"} method @param {string[]} words @param {Doc} [args] @param {(documents: Doc[]) => void} [heard] @param {AbortSignal} [signal]
 * @returns {Promise<Doc>} */
export async function call(method, words, args = {}, heard, signal) {
  let path = `/api/v1/${words.join("/")}`;
  /** @type {RequestInit} */
  const request = { method, headers: { "X-UK-Page": "1" }, credentials: "same-origin", cache: "no-store", signal };
  if (method === "GET") path += query(args);
  else Object.assign(request, { body: JSON.stringify(args), headers: { "X-UK-Page": "1", "Content-Type": "application/json" } });
  let response;
  try {
    response = await fetch(path, request);
  } catch {
    throw new Refusal("the kernel does not answer", "it may have stopped; this page tries to reach it again", 0);
  }
  noteClock(response.headers.get("date"));
  if (response.status === 401) deny();
  if (response.ok && heard) return lines(response, heard);
  const document = await response.json().catch(() => null);
  if (response.ok && document) return document;
  const error = document?.error ?? { message: `the kernel answered with status ${response.status}`, hint: null };
  throw new Refusal(error.message, error.hint, response.status);
}

/** Reads a document a line. @param {Response} response @param {(documents: Doc[]) => void} heard */
async function lines(response, heard) {
  const reader = response.body?.pipeThrough(new TextDecoderStream()).getReader();
  for (let rest = ""; reader; ) {
    const { value, done } = await reader.read();
    if (done) break;
    const whole = (rest + value).split("\n");
    rest = whole.pop() ?? "";
    heard(whole.map((line) => JSON.parse(line)));
  }
  return {};
}

/** @param {Doc} args */
function query(args) {
  const given = Object.entries(args).filter(([, value]) => value !== undefined && value !== "" && value !== false);
  return given.length === 0 ? "" : `?${new URLSearchParams(given.map(([key, value]) => [key, String(value)]))}`;
}

/** @param {string | null} date */
function noteClock(date) {
  const skew = date === null ? 0 : Date.parse(date) - Date.now();
  kernel.skewMs = Math.abs(skew) > SKEW_MIN_MS ? skew : 0;
}

/** @type {Set<Want>} */
const wants = new Set();
/** @type {EventSource | null} */
let source = null;
let asked = "";
let greeted = "";
let attempts = 0;

/** Has events come as long as it is wanted; returns what ends that. @param {Want} want */
export function listen(want) {
  wants.add(want);
  queueMicrotask(connect);
  return () => {
    wants.delete(want);
    queueMicrotask(connect);
  };
}

/** Opens the stream, or another one if something else is wanted of it. */
export function connect() {
  const topics = [...new Set([...wants].map((want) => want.events))].sort();
  const url = `/api/v1/stream?${new URLSearchParams([["tree", "true"], ...topics.map((topic) => ["events", topic])])}`;
  if (source && url === asked && source.readyState !== EventSource.CLOSED) return void (greeted === url && opened());
  source?.close();
  asked = url;
  greeted = "";
  const mine = new EventSource(url);
  source = mine;
  /** @param {string} name @param {(document: Doc) => void} heard */
  const on = (name, heard) => mine.addEventListener(name, (event) => {
    if (mine === source) heard(JSON.parse(/** @type {MessageEvent} */ (event).data));
  });
  on("hello", hello);
  on("tree", (document) => { kernel.forest.load(document); kernel.node = document.node; live(); });
  on("change", (change) => { kernel.forest.apply(change); askHealth(); changed(); });
  on("nodes", askNodes);
  on("events", (batch) => { for (const want of wants) want.heard(batch); });
  mine.onerror = () => { if (mine === source) void lost(mine); };
}

/** @param {Doc} document */
function hello(document) {
  kernel.node = document.node;
  kernel.version = document.kernel.version;
  kernel.who = document.who;
  greeted = asked;
  opened();
  // The browser goes on where it was: what was missed follows, and no tree if that is still so.
  if (kernel.times > 0) live();
}

/** From now on nothing is missed. */
function opened() {
  for (const want of wants) want.open?.();
}

function live() {
  attempts = 0;
  if (kernel.line !== "live") kernel.times += 1;
  kernel.line = "live";
  askHealth();
  askNodes();
  changed();
}

/** @param {Refusal | null} [refusal] */
function deny(refusal = null) {
  source?.close();
  source = null;
  kernel.refusal = refusal;
  kernel.line = "denied";
  changed();
}

/** The stream broke off. The browser tries again by itself unless it has given up. @param {EventSource} mine */
async function lost(mine) {
  if (kernel.line === "live" || kernel.line === "connecting") {
    kernel.line = "lost";
    kernel.lostAt = Date.now();
    changed();
  }
  if (mine.readyState !== EventSource.CLOSED) return;
  const pause = RETRY_MS[Math.min(attempts, RETRY_MS.length - 1)];
  attempts += 1;
  // A stream does not say with which status it was refused; a call that takes the same rights does, and marks us as denied.
  await call("GET", ["count"], { path: "/" }).catch((error) => error.status === 403 && deny(error));
  if (/** @type {string} */ (kernel.line) !== "denied") setTimeout(() => { if (mine === source) connect(); }, pause);
}

/** Makes what reads a document for `kernel`, so often at most, and one at a time. @param {"health" | "nodes"} into @param {string[]} words @param {number} ms */
function reading(into, words, ms) {
  let isDue = false, isBusy = false;
  const begin = () => setTimeout(async () => {
    isDue = false;
    isBusy = true;
    const document = await call("GET", words).catch(() => null);
    isBusy = false;
    if (document) { kernel[into] = document; changed(); }
    if (isDue) begin();
  }, kernel[into] ? ms : 0);
  return () => {
    if (isDue) return;
    isDue = true;
    if (!isBusy) begin();
  };
}

/** Reads how the kernel is, at most once a second. */
export const askHealth = reading("health", ["health"], 1000);

/** Reads which other nodes there are and how each is. */
export const askNodes = reading("nodes", ["node", "list"], 250);
