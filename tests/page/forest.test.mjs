// The tree of the page follows that of the kernel, whatever changes in it.
import assert from "node:assert/strict";
import { test } from "node:test";
import { Forest, rows } from "../../src/page/app/forest.js";

const node = (path, children = []) => ({ path, id: path.split("/").at(-1), state: "running", children });
const document = (children) => ({ mode: "normal", tree: node("/", children), system: null });
const shown = (forest) => rows(forest, new Set(forest.parts.keys()), null).map((row) => row.path);

/** What the kernel says has changed between two trees: where a node comes after another sibling, that too. */
function difference(before, after) {
  const flat = (top) => {
    const all = new Map();
    const add = ({ children, ...rest }, parent, previous) => {
      all.set(rest.path, { ...rest, parent, after: previous });
      children.forEach((child, at) => add(child, rest.path, children[at - 1]?.id ?? null));
    };
    add(top, "", null);
    return all;
  };
  const [old, now] = [flat(before.tree), flat(after.tree)];
  const changed = [...now.values()].filter((its) => JSON.stringify(old.get(its.path)) !== JSON.stringify(its));
  // In the order of their names, as the kernel sends them: a sibling may be named before it is there.
  changed.sort((a, b) => (a.path < b.path ? -1 : 1));
  return { mode: "normal", changed, removed: [...old.keys()].filter((path) => !now.has(path)) };
}

test("what is added, moved and removed is where the kernel has it", () => {
  const a = node("/a");
  const b = node("/b", [node("/b/x"), node("/b/y")]);
  const c = node("/c");
  const trees = [[a, b], [b, a], [c, b, a], [], [a, node("/b", [node("/b/z"), node("/b/y")]), c], [node("/b", [node("/b/y"), node("/b/x"), node("/b/z")])]];
  const forest = new Forest();
  forest.load(document([a]));

  let before = document([a]);
  for (const children of trees) {
    const after = document(children);
    forest.apply(difference(before, after));
    before = after;

    const fresh = new Forest();
    fresh.load(after);
    assert.deepEqual(shown(forest), shown(fresh));
  }
});

test("any order of siblings is followed", () => {
  let seed = 7;
  const chance = (below) => {
    seed = (seed * 1_103_515_245 + 12_345) % 2_147_483_648;
    return Math.floor((seed / 2_147_483_648) * below);
  };
  const forest = new Forest();
  let before = document([]);
  forest.load(before);
  for (let round = 0; round < 500; round += 1) {
    const ids = Array.from({ length: 12 }, (_, at) => at + 1).filter(() => chance(3) > 0);
    for (let at = ids.length - 1; at > 0; at -= 1) {
      const other = chance(at + 1);
      [ids[at], ids[other]] = [ids[other], ids[at]];
    }
    const after = document(ids.map((id) => node(`/${id}`)));
    forest.apply(difference(before, after));
    before = after;
    assert.deepEqual(shown(forest), ["/", ...ids.map((id) => `/${id}`)], `round ${round}`);
  }
});

test("a part without a new place keeps its own, and exits are remembered", () => {
  const forest = new Forest();
  forest.load(document([node("/a", [node("/a/b")])]));

  const exit = { reason: { kind: "error", text: "x" }, at: "2026-01-01T00:00:00Z" };
  forest.apply({ mode: "safe", changed: [{ path: "/a", id: "a", state: "backoff", last_exit: exit }], removed: [] });

  assert.equal(forest.parts.get("/a").state, "backoff");
  assert.deepEqual(forest.parts.get("/a").kids, ["/a/b"]);
  assert.deepEqual(forest.exits.get("/a"), [{ at: Date.parse(exit.at), kind: "error" }]);
  assert.equal(forest.mode, "safe");
});

test("what a part no longer says is not so any more", () => {
  const forest = new Forest();
  forest.load(document([{ ...node("/a"), stall: { what: "holds_thread", for_ms: 900 }, placed: { node: "edge-1" } }]));

  forest.apply({ mode: "normal", changed: [{ path: "/a", id: "a", state: "running" }], removed: [] });

  const { stall, placed } = forest.parts.get("/a");
  assert.deepEqual([stall, placed], [undefined, undefined]);
});
