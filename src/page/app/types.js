// The shapes of what the kernel sends, for the types of the other files. Nothing of it runs.

/** @typedef {{used: number, intensity: number, period_ms: number, free_in_ms: number | null, total: number}} Restarts */
/** @typedef {{depth: number, capacity: number, dead_letters: number}} Mailbox */
/** @typedef {{kind: string, text?: string, location?: string}} Reason */
/** @typedef {{what: string, for_ms: number, in_hand?: string}} Stall */
/**
 * One part of the tree, as `uk tree --json` has it; its children are `kids`, their paths.
 * @typedef {object} Part
 * @property {string} path
 * @property {string} id
 * @property {"worker" | "supervisor"} type
 * @property {string | null} kind
 * @property {string | null} strategy
 * @property {string} state
 * @property {number} incarnation
 * @property {number} abandoned
 * @property {Restarts | null} restarts
 * @property {Mailbox | null} mailbox
 * @property {{reason: Reason, at: string} | null} last_exit
 * @property {Stall | null} [stall]
 * @property {{swap?: object} | null} [ladder]
 * @property {object} [rolled_back]
 * @property {{node: string | null, why?: string}} [placed] where it lives, if that is another node
 * @property {string | null} parent
 * @property {string[]} kids
 * @property {number} heard when the kernel told it, by this machine's clock
 */
/**
 * One exit, as `uk why --json` has it.
 * @typedef {object} ExitRecord
 * @property {string} action
 * @property {string} at
 * @property {number} ago_ms
 * @property {number} incarnation
 * @property {boolean} failed_start
 * @property {number} [pause_ms]
 * @property {string} [in_hand]
 * @property {Reason} reason
 */
/**
 * @typedef {object} Why
 * @property {string} path
 * @property {string | null} state
 * @property {boolean} deleted
 * @property {ExitRecord[]} exits
 * @property {ExitRecord[]} [earlier_exits]
 * @property {Restarts | null} [restarts]
 * @property {{path: string, strategy: string, restarts: Restarts} | null} [supervisor]
 * @property {{command: string, because: string}} next
 * @property {{path: string, state: string} | null} [waits_for]
 * @property {Stall | null} [stall]
 */
/** @typedef {{topic: string, source: string, time: string, id: string, priority: string, data: unknown}} Event_ */
/** @typedef {{time: string, level: string, path?: string, target: string, text: string, fields?: object}} LogLine */
/** @typedef {{key: string, from?: unknown, to?: unknown}} KeyChange */
/** @typedef {{path: string, what: string, how?: string, keys?: KeyChange[]}} Change */
/**
 * Another node, as `uk node list --json` has it.
 * @typedef {object} KnownNode
 * @property {string} name
 * @property {string | null} address
 * @property {"connecting" | "up" | "down" | "draining"} state
 * @property {string | null} since
 * @property {number | null} rtt_ms
 * @property {number | null} skew_ms
 * @property {Record<string, string>} labels
 * @property {number | null} epoch
 * @property {string | null} why
 */
/** @typedef {Record<string, any>} Doc */

export {};
