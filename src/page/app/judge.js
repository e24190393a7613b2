// Which parts are in trouble, and how all is in one sentence. Pure.

/** @import {Doc, Part} from "./types.js" */
/** @import {Forest} from "./forest.js" */
import { nameOf, plural } from "./words.js";

/** For so long after its last failure a part that runs again is still looked after. */
const WATCHED_MS = 30_000;
/** How many names one sentence has. */
const NAMES_MAX = 3;

/**
 * @typedef {object} Trouble
 * @property {Part} part
 * @property {"bad" | "warn" | "back"} level `back` is one that failed and runs again
 * @property {string} verb as in "keeps failing"
 */

/** What is wrong with a part, if anything.
 * @param {Part} part @param {{at: number, kind: string}[]} exits @param {number} now @param {Doc | null} [unwell]
 * @returns {Trouble | null} */
export function troubleOf(part, exits, now, unwell) {
  const found = (/** @type {Trouble["level"]} */ level, /** @type {string} */ verb) => ({ part, level, verb });
  const recent = exits.filter((exit) => now - exit.at < WATCHED_MS && !["normal", "shutdown"].includes(exit.kind));
  // What happened before this page was opened is known by what is used of the budget.
  const isOwn = part.type === "worker" && part.last_exit !== null && part.last_exit.reason.kind !== "killed";
  const failures = Math.max(recent.filter((exit) => exit.kind !== "killed").length, isOwn ? (part.restarts?.used ?? 0) : 0);
  if (part.state === "quarantined") return found("bad", "is out of order");
  if (part.stall) return found("bad", "hangs");
  if (unwell?.waits_for) return found("warn", `waits for ${unwell.waits_for.path}`);
  if (isOff(part)) return null;
  if (failures >= 2) return found("bad", "keeps failing");
  if (["backoff", "restarting"].includes(part.state)) return found("warn", "is being started again");
  if (part.abandoned > 0) return found("warn", "had a stuck life cut off");
  if (recent.length > 0 && part.state === "running") return found("back", "failed and is back");
  return null;
}

/** All troubles, the worst first. @param {Forest} forest @param {number} now @param {Doc | null} health */
export function troubles(forest, now, health) {
  const unwell = new Map((health?.unwell ?? []).map((/** @type {Doc} */ entry) => [entry.path, entry]));
  const order = { bad: 0, warn: 1, back: 2 };
  const found = [];
  for (const part of forest.own) {
    const trouble = troubleOf(part, forest.exits.get(part.path) ?? [], now, unwell.get(part.path));
    if (trouble) found.push(trouble);
  }
  return withoutGroups(found).sort((a, b) => order[a.level] - order[b.level]);
}

/** A group fails because of what is in it: where that is told of, the group is not. @param {Trouble[]} found */
function withoutGroups(found) {
  const isTold = (/** @type {string} */ path) => found.some((its) => its.part.type === "worker" && its.part.path.startsWith(`${path}/`));
  return found.filter(({ part, level }) => part.type === "worker" || part.state === "quarantined" || !(isTold(part.path) || level === "back"));
}

/** How it is, in one sentence and a tone. @param {Forest} forest @param {Trouble[]} found @param {Doc | null} health
 * @returns {{text: string, tone: "good" | "warn" | "bad"}} */
export function sentence(forest, found, health) {
  const workers = forest.own.filter((part) => part.type === "worker");
  const broken = found.filter((trouble) => trouble.level !== "back");
  if (forest.mode === "safe") return { text: "Safe mode: only the essential parts are running.", tone: "bad" };
  if (forest.mode === "booting") return { text: "It is starting up.", tone: "warn" };
  if (forest.mode === "stopping") return { text: "It is shutting down.", tone: "warn" };
  if (broken.length > 0) return { text: brokenText(broken, workers.length), tone: broken.some((t) => t.level === "bad") ? "bad" : "warn" };
  const off = workers.filter(isOff);
  if (off.length > 0) return { text: `${workers.length - off.length} of ${plural(workers.length, "part")} are working; ${off.length} ${off.length === 1 ? "is" : "are"} switched off.`, tone: "good" };
  if (workers.length === 0) return { text: "It is running, with no parts yet.", tone: "good" };
  const alarms = (health?.alarms.length ?? 0) + (health?.settings.troubles.length ?? 0);
  if (alarms > 0) return { text: `All ${plural(workers.length, "part")} are working, but there ${alarms === 1 ? "is an alarm" : `are ${alarms} alarms`}.`, tone: "warn" };
  return { text: workers.length === 1 ? "The one part is working." : `All ${plural(workers.length, "part")} are working.`, tone: "good" };
}

/** Whether somebody switched it off. @param {Part} part */
export const isOff = ({ state }) => ["stopped", "ignored", "suspended"].includes(state);

/** The names of the first, and how many more. @param {Part[]} parts */
export function some(parts) {
  const more = parts.length > NAMES_MAX ? ` and ${parts.length - NAMES_MAX} more` : "";
  return parts.slice(0, NAMES_MAX).map(nameOf).join(", ") + more;
}

/** @param {Trouble[]} broken @param {number} all */
function brokenText(broken, all) {
  const names = some(broken.map((trouble) => trouble.part));
  const parts = plural(Math.max(all, broken.length), "part");
  const verbs = new Set(broken.map((trouble) => trouble.verb));
  if (broken.length === 1) return `1 of ${parts} ${broken[0].verb}: ${names}.`;
  if (verbs.size === 1 && verbs.has("keeps failing")) return `${broken.length} of ${parts} keep failing: ${names}.`;
  return `${broken.length} of ${parts} need attention: ${names}.`;
}

/** When a restart of a budget is free again: a sentence, or nothing. @param {Part} part */
export function freeAgain({ restarts, heard }) {
  if (typeof restarts?.free_in_ms !== "number") return "";
  return `free again in ${Math.max(1, Math.ceil((heard + restarts.free_in_ms - Date.now()) / 1000))} s`;
}
