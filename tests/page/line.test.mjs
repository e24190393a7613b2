// The page when the kernel is lost, when nobody is signed in, and when there is much of everything; and what it weighs.
import assert from "node:assert/strict";
import { test } from "node:test";
import { chromium, open, uk } from "./opened.mjs";
import { wellMade } from "./rig.mjs";

const BYTES_MAX = 150_000;
const PARTS = 2000;
const MEASURED_MS = 4000;

test("the page is small and painted at once", async (t) => {
  const page = await open(t);
  const context = page.context();
  const session = await context.newCDPSession(page);
  await session.send("Network.setCacheDisabled", { cacheDisabled: true });
  await page.reload();
  await page.locator("main h1").waitFor();

  const { bytes, paint, shown } = await page.evaluate(() => {
    const files = [...performance.getEntriesByType("navigation"), ...performance.getEntriesByType("resource")];
    const own = files.filter((file) => !file.name.includes("/api/"));
    return {
      // A file that is asked for twice counts once.
      bytes: [...new Map(own.map((file) => [file.name, file.encodedBodySize])).values()].reduce((sum, size) => sum + size, 0),
      paint: Math.round(performance.getEntriesByName("first-contentful-paint")[0].startTime),
      shown: Math.round(performance.now()),
    };
  });

  t.diagnostic(`${bytes} bytes, first paint after ${paint} ms, Home is there after at most ${shown} ms`);
  assert.ok(bytes > 50_000 && bytes < BYTES_MAX, `${bytes} bytes`);
});

test("who is not signed in is told how", async (t) => {
  const page = await open(t);
  await page.context().clearCookies();

  await page.goto(`${uk.base}/?again`);

  await page.getByRole("heading", { name: "You are not signed in" }).waitFor();
  await page.getByText("uk open").waitFor();
});

test("who has a token for a part of the tree is told so, and not that the kernel is lost", async (t) => {
  const { token } = await uk.change("token/create", { scope: "operate", path: "/arm" });
  const context = await chromium.newContext({ extraHTTPHeaders: { authorization: `Bearer ${token}` } });
  t.after(() => context.close());
  const page = await context.newPage();

  await page.goto(uk.base);

  await page.getByRole("heading", { name: "This token may not look at the whole tree" }).waitFor();
  await page.getByText("its paths: /arm").waitFor();
  await page.getByText("uk open").waitFor();
  assert.equal(await page.getByText("cannot be reached").count(), 0);
  await wellMade(page, "a token for a part");
});

test("a kernel that is lost is said to be, and found again when it is back", async (t) => {
  const page = await open(t, "part/arm/power");
  assert.equal(await page.getByRole("button", { name: "Kill", exact: true }).isEnabled(), true);

  uk.cut();

  await page.getByText("The kernel cannot be reached.").waitFor();
  assert.equal(await page.getByRole("button", { name: "Kill", exact: true }).isDisabled(), true);
  await wellMade(page, "lost");
  await uk.mend();
  await page.getByText("Connected again.").waitFor();
  assert.equal(await page.getByRole("button", { name: "Kill", exact: true }).isEnabled(), true);
});

test("a kernel that was started again has forgotten who was signed in, and the page says so", async (t) => {
  const page = await open(t, "part/arm/power");

  await uk.crash();
  await uk.boot();

  await page.getByText("The kernel was started again").waitFor();
  await page.getByText("uk open").waitFor();
});

test("two thousand parts are scrolled while they change", async (t) => {
  await uk.change("spawn", { under: "/crowd", count: PARTS });
  const page = await open(t, "tree", { reducedMotion: "no-preference" });
  await page.getByLabel("Search by name or kind").fill("crowd");
  await page.getByText(/^2,00\d parts found$/).waitFor();
  assert.ok((await page.getByRole("treeitem").count()) < 80, "only what can be seen is drawn");

  let isOver = false;
  const killing = (async () => {
    for (let at = 1; !isOver; at = (at % PARTS) + 1) await uk.change("kill", { path: `/crowd/${at}` });
  })();
  const { frames, longest } = await page.evaluate((measured) => new Promise((resolve) => {
    const tree = document.querySelector("[role=tree]");
    const from = performance.now();
    let last = from, frames = 0, longest = 0;
    const frame = (now) => {
      frames += 1;
      longest = Math.max(longest, now - last);
      last = now;
      tree.scrollTop = (tree.scrollTop + 90) % (tree.scrollHeight - tree.clientHeight);
      if (now - from < measured) requestAnimationFrame(frame);
      else resolve({ frames: (frames * 1000) / (now - from), longest: Math.round(longest) });
    };
    requestAnimationFrame(frame);
  }), MEASURED_MS);
  isOver = true;
  await killing;

  t.diagnostic(`${PARTS} parts: ${frames.toFixed(1)} frames a second, the longest took ${longest} ms`);
  assert.ok(frames > 1);
});
