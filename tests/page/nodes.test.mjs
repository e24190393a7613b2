// The view of nodes with two kernels that are attached over the loopback. The tests run one after the other.
import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { NAMED_MAX, places } from "../../src/page/app/map.js";
import { open, uk } from "./opened.mjs";
import { freePort, kernel, wellMade } from "./rig.mjs";

/** What a node of the picture takes above and below where it stands, and how wide the picture is on a phone, in pixels. */
const ABOVE_PX = 35;
const BELOW_PX = 76;
const PHONE_PX = 288;
const PART = "far";

let address;
let edge;
before(async () => {
  address = `127.0.0.1:${await freePort()}`;
  edge = await kernel(["--name", "edge-1", "--node-listen", address, "--label", "role=edge"]);
});
after(() => edge?.end());

const card = (page) => page.locator("article[data-node='edge-1']");
const state = (page, word) => card(page).locator(".state", { hasText: word }).first().waitFor();
const entry = (page) => page.getByRole("navigation", { name: "Views" }).getByRole("link", { name: "Nodes" });
const said = (page) => page.getByRole("status", { name: "What you just did" });

async function attach(page, where) {
  await page.getByLabel(/^Its address/).fill(where);
  await page.getByRole("button", { name: "Attach", exact: true }).click();
}

test("no two nodes of the picture lie over each other, not on a phone either", () => {
  for (let count = 1; count <= NAMED_MAX; count += 1) {
    const { at, here, height } = places(count);
    const all = [here, ...at].map(({ x, y }) => ({ x: (x / 100) * PHONE_PX, y: (y / 100) * height }));
    assert.equal(at.length, count);
    for (const [index, one] of all.entries()) {
      assert.ok(one.y >= ABOVE_PX && one.y <= height - BELOW_PX, `${index} of ${count} is cut off`);
      for (const other of all.slice(index + 1)) {
        const isApart = Math.abs(one.x - other.x) >= 0.3 * PHONE_PX || Math.abs(one.y - other.y) >= ABOVE_PX + BELOW_PX;
        assert.ok(isApart, `${count}: ${JSON.stringify([one, other])}`);
      }
    }
  }
});

test("a kernel that works alone has no nodes in its menu, and says how to get one", async (t) => {
  const page = await open(t, "health");
  assert.equal(await entry(page).count(), 0);

  await page.getByRole("link", { name: "Other kernels" }).click();

  await page.getByText("This kernel works alone.").waitFor();
  await page.getByText("uk run FILE --node-listen ADDRESS").waitFor();
});

test("a wrong address is said in one sentence, and nothing is attached", async (t) => {
  const page = await open(t, "nodes");
  const nobody = `127.0.0.1:${await freePort()}`;

  for (const [where, why] of [["edge one", "is no address of a node"], [nobody, `${nobody} was not attached`]]) {
    await attach(page, where);

    const deed = said(page).filter({ hasText: `Not done: attached the kernel at ${where}.` });
    await deed.getByText(why).waitFor();
    assert.equal(await page.getByLabel(/^Its address/).inputValue(), where, "it can be mended");
  }
  assert.deepEqual((await uk.read("node/list")).nodes, []);
});

test("a node that is attached is in the picture, with what it is and how it is", async (t) => {
  const page = await open(t, "nodes");

  await attach(page, address);

  await said(page).getByText("It is called edge-1.").waitFor();
  await state(page, "attached");
  await page.getByRole("img", { name: "page-rig, this kernel, in the middle; edge-1 is attached" }).waitFor();
  await page.locator(".map path[data-state='up']").waitFor({ state: "attached" });
  await page.locator(".map .onway", { hasText: /^\d+(\.\d)? ms$/ }).waitFor();
  await card(page).getByText(address).waitFor();
  await card(page).getByText("role=edge").waitFor();
  await card(page).getByText(/^\d+ parts, all well; up for/).waitFor();
  await card(page).getByText(/^Agrees with this one/).waitFor();
  await entry(page).waitFor();
});

test("what lives on a node is named there, and says itself where it lives", async (t) => {
  const page = await open(t, "nodes");
  await card(page).getByText("Nothing", { exact: true }).waitFor();

  await uk.change("spawn", { kind: "probe", under: "/", id: PART, spec: { place: { node: "edge-1" } } });

  await card(page).getByRole("link", { name: `/${PART}` }).click();
  await page.getByRole("heading", { level: 1, name: PART }).waitFor();
  await page.locator(".facts").getByRole("link", { name: "edge-1" }).waitFor();
  await page.goto(`${uk.base}/#/tree`);
  await page.getByRole("treeitem").filter({ hasText: "on edge-1" }).waitFor();
});

test("a node that is lost is said to be, at once, and so is its return", async (t) => {
  const page = await open(t, "nodes");
  await state(page, "attached");

  await edge.crash();

  await state(page, "lost");
  await card(page).getByText(/^Lost (just now|\d+ s ago)\..* It may still be running\./).waitFor();
  await page.getByRole("img", { name: /edge-1 is lost/ }).waitFor();
  await page.locator(".map path[data-state='down']").waitFor({ state: "attached" });
  await entry(page).getByText("1 lost").waitFor();
  await page.getByText("which cannot be reached now").waitFor();
  assert.equal(await card(page).getByRole("button", { name: "Drain" }).count(), 0, "nobody there could be told");
  for (const colorScheme of ["light", "dark"]) {
    await page.emulateMedia({ colorScheme });
    for (const width of [1280, 320]) {
      await page.setViewportSize({ width, height: 800 });
      await wellMade(page, `lost, ${colorScheme} ${width}`);
    }
  }
  await page.setViewportSize({ width: 1280, height: 800 });

  await edge.boot();

  await state(page, "attached");
  await card(page).getByText(/^Attached (just now|\d+ s ago)\./).waitFor();
  await page.getByRole("img", { name: /edge-1 is attached/ }).waitFor();
  await entry(page).getByText("lost").waitFor({ state: "detached" });
});

test("a node is drained after a question, and takes parts again", async (t) => {
  const page = await open(t, "nodes");

  await card(page).getByRole("button", { name: "Drain" }).click();
  const dialog = page.getByRole("dialog");
  await dialog.getByText("uk node drain edge-1").waitFor();
  await dialog.getByRole("button", { name: "Drain it" }).click();

  await state(page, "takes nothing new");
  assert.equal((await edge.read("node/list")).draining, true);
  await wellMade(page, "drained");
  await card(page).getByRole("button", { name: "Take parts again" }).click();
  await state(page, "attached");
  assert.equal((await edge.read("node/list")).draining, false);
});

test("a node is detached after a question", async (t) => {
  const page = await open(t, "nodes");

  await card(page).getByRole("button", { name: "Detach" }).click();
  await page.getByRole("dialog").waitFor();
  await page.keyboard.press("Escape");
  await page.getByRole("dialog").waitFor({ state: "detached" });
  assert.equal((await uk.read("node/list")).nodes.length, 1);
  await card(page).getByRole("button", { name: "Detach" }).click();
  await page.getByRole("dialog").getByRole("button", { name: "Detach it" }).click();

  await card(page).waitFor({ state: "detached" });
  await page.getByText("This kernel works alone.").waitFor();
  assert.deepEqual((await uk.read("node/list")).nodes, []);
});
