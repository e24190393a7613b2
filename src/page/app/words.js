// Plain English for what the kernel says in terms of its own. Pure.

/** @import {ExitRecord, KnownNode, Part, Reason, Stall} from "./types.js" */

/** By state: its word, its tone, and its icon. @type {Record<string, {word: string, tone: string, icon: string}>} */
export const STATES = {
  running: { word: "running", tone: "good", icon: "check" },
  starting: { word: "starting", tone: "warn", icon: "turn" },
  restarting: { word: "restarting", tone: "warn", icon: "turn" },
  backoff: { word: "waiting to restart", tone: "warn", icon: "clock" },
  stopping: { word: "stopping", tone: "warn", icon: "turn" },
  stopped: { word: "stopped", tone: "off", icon: "stop" },
  ignored: { word: "nothing to do", tone: "off", icon: "stop" },
  quarantined: { word: "out of order", tone: "bad", icon: "cross" },
  suspended: { word: "paused", tone: "off", icon: "pause" },
};

/** @param {string | null} state @param {unknown} [stall] */
export const stateOf = (state, stall) => stall ? { word: "hangs", tone: "bad", icon: "clock" } : STATES[state ?? ""] ?? { word: state ?? "gone", tone: "off", icon: "stop" };

/** The same of another node. @type {Record<KnownNode["state"], {word: string, tone: string, icon: string}>} */
const NODE_STATES = {
  up: { word: "attached", tone: "good", icon: "check" },
  draining: { word: "takes nothing new", tone: "warn", icon: "pause" },
  connecting: { word: "connecting", tone: "warn", icon: "turn" },
  down: { word: "lost", tone: "bad", icon: "cross" },
};

/** @param {KnownNode} node */
export const nodeStateOf = ({ state, epoch }) => (state === "down" && epoch === null ? { ...NODE_STATES.down, word: "not found" } : NODE_STATES[state]);

/** `8 s`, `3 min`, `2 h`: rough. @param {number} ms */
export function rough(ms) {
  const seconds = Math.max(0, Math.round(ms / 1000));
  if (seconds < 90) return `${seconds} s`;
  if (seconds < 5400 && seconds !== 3600) return `${Math.round(seconds / 60)} min`;
  if (seconds < 172_800) return `${Math.round(seconds / 3600)} h`;
  return `${Math.round(seconds / 86_400)} days`;
}

/** @param {number} ms */
export const ago = (ms) => (ms < 1500 ? "just now" : `${rough(ms)} ago`);

/** `1,234`. @param {number} count */
export const thousands = (count) => count.toLocaleString("en");

/** `1 part`, `2 parts`. @param {number} count @param {string} one @param {string} [many] */
export const plural = (count, one, many) => `${thousands(count)} ${count === 1 ? one : (many ?? `${one}s`)}`;

/** `324 B`, `1.5 MiB`. @param {number} bytes */
export function size(bytes) {
  const units = ["B", "KiB", "MiB", "GiB", "TiB"];
  let unit = 0;
  for (; bytes >= 1024 && unit < units.length - 1; unit += 1) bytes /= 1024;
  return `${unit === 0 ? bytes : bytes.toFixed(1)} ${units[unit]}`;
}

/** The time of day here, of an RFC 3339 time. @param {string} time */
export function clock(time) {
  const at = new Date(time);
  const today = new Date().toDateString() === at.toDateString();
  const said = at.toLocaleTimeString("en-GB");
  return today ? said : `${at.toLocaleDateString("en-GB", { day: "numeric", month: "short" })} ${said}`;
}

/** Why it ended, as a sentence without its full stop. @param {Reason} reason @param {boolean} [failedStart] */
export function because(reason, failedStart = false) {
  const said = reason.text ? `: ${reason.text}` : "";
  const start = failedStart ? "It could not start. " : "";
  switch (reason.kind) {
    case "normal": return `${start}It had finished its work${said}`;
    case "shutdown": return `${start}It was asked to stop${said}`;
    case "killed": return `${start}Somebody killed it${said}`;
    case "error": return `${start}It ended with an error${said}`;
    case "panic": return `${start}It crashed${said}`;
    case "stalled": return `${start}It hung and was cut off${said}`;
    case "gave_up": return `${start}Too much failed below it${said}`;
    case "node_down": return `${start}Its machine was lost${said}`;
    default: return `${start}${reason.kind.replaceAll("_", " ")}${said}`;
  }
}

/** What was done about an exit. @param {ExitRecord} exit */
export function doneAbout(exit) {
  switch (exit.action) {
    case "restarted": return "started again at once";
    case "backoff": return `started again after ${pause(exit.pause_ms ?? 0)}`;
    case "rolled_back": return "started again with its former settings";
    case "left_down": return "left stopped, as its rules ask for";
    case "stopped": return "stopped on request";
    case "stop_failed": return "stopped, but not in good order";
    case "deleted": return "removed";
    case "quarantined": return "taken out of order";
    case "gave_up": return "restarted with its whole group, which had given up";
    case "auto_shutdown": return "stopped, and its group with it";
    default: return exit.action.replaceAll("_", " ");
  }
}

/** @param {number} ms */
const pause = (ms) => (ms < 1000 ? `${ms} ms` : rough(ms));

/** @param {Stall} stall */
export function stalled(stall) {
  const what = stall.what === "holds_thread" ? "It has been busy without a break" : "It has not answered";
  const hand = stall.in_hand ? `, with the message “${stall.in_hand}” in hand` : "";
  return `${what} for ${rough(stall.for_ms)}${hand}`;
}

/** How a change of settings reaches a part. @param {string | undefined} how */
export function reaches(how) {
  switch (how) {
    case "live": return "taken over while it runs";
    case "restart": return "it is restarted with it";
    case "asks": return "it takes it over as it runs, or is restarted";
    case "start": return "it is started";
    case "stop": return "it is stopped and removed";
    case "later": return "counts from its next start";
    default: return "";
  }
}

/** A name for people: the last word of the path. @param {Pick<Part, "path" | "id">} part */
export const nameOf = (part) => (part.path === "/" ? "everything" : part.id);

/** A value as one line of text. @param {unknown} value */
export const oneLine = (value) => (value === undefined ? "nothing" : typeof value === "string" ? value : JSON.stringify(value));
