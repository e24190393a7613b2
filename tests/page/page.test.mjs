// The page in a real browser, against a real kernel. Each test is a claim; they run one after the other on one kernel.
import assert from "node:assert/strict";
import { test } from "node:test";
import { open, uk } from "./opened.mjs";
import { wellMade } from "./rig.mjs";

const VIEWS = ["", "tree", "part/sensors/host", "part/arm/driver", "part/arm", "part/talker", "events", "streams/system", "nodes", "letters", "settings", "health", "audit"];
/** What would run if a text were taken for markup. */
const EVIL = "<script>window.ran = 1</script><img src=x onerror='window.ran = 1'>";

test("Home says in one sentence how it is", async (t) => {
  const page = await open(t);

  await page.getByRole("heading", { level: 1, name: /^All \d+ parts are working\.$/ }).waitFor();
});

test("a part that is killed from the page comes back, and the page shows it", async (t) => {
  const page = await open(t, "part/sensors/slow");
  await page.getByText("number 1", { exact: true }).waitFor();

  await page.getByRole("button", { name: "Kill", exact: true }).click();
  const dialog = page.getByRole("dialog");
  await dialog.getByText("uk kill /sensors/slow").waitFor();
  await dialog.getByRole("button", { name: "Kill it" }).click();

  await page.getByRole("status").getByText("Killed /sensors/slow").waitFor();
  await page.getByText("number 2", { exact: true }).waitFor();
  await page.locator(".head").getByText("running", { exact: true }).waitFor();
  await page.getByText("Somebody killed it").first().waitFor();
});

test("leaving the question as it is kills nothing", async (t) => {
  const page = await open(t, "part/arm/gripper");
  await page.getByRole("button", { name: "Kill", exact: true }).click();
  await page.getByRole("dialog").waitFor();

  await page.keyboard.press("Escape");

  await page.getByRole("dialog").waitFor({ state: "detached" });
  assert.equal((await uk.read("why", { path: "/arm/gripper" })).exits.length, 0);
});

test("Home says what broke, why, what was done, and what to do", async (t) => {
  for (let times = 0; times < 2; times += 1) await uk.change("tell", { path: "/arm/driver", message: { crash: "no power" } });
  const page = await open(t);

  await page.getByRole("heading", { level: 1, name: /keeps? failing|need attention/ }).waitFor();
  const card = page.locator("article", { hasText: "/arm/driver" });
  await card.getByText(/It ended with an error: no power\./).waitFor();
  await card.getByText(/^It was started again at once/).waitFor();
  await card.locator(".advice .command").waitFor();
});

test("settings are changed after a look at the difference, and put back", async (t) => {
  const page = await open(t, "part/sensors/host");
  const every = page.getByRole("textbox", { name: /^every/ });
  const inForce = async () => (await uk.read("config/get", { target: "/sensors/host" })).value.every;

  await every.fill("nonsense");
  await page.getByRole("button", { name: "Show what would change" }).click();
  await page.getByRole("alert").getByText("is not a duration").waitFor();
  await every.fill("2s");
  await page.getByRole("button", { name: "Show what would change" }).click();
  await page.locator(".plan ins", { hasText: "2s" }).waitFor();
  assert.equal(await inForce(), "1s");
  await page.getByRole("button", { name: "Change it" }).click();
  await page.getByRole("button", { name: "Undo" }).waitFor();
  assert.equal(await inForce(), "2s");
  await page.getByRole("button", { name: "Undo" }).click();

  await page.getByRole("status").getByText("Put the settings back as they were").waitFor();
  assert.equal(await inForce(), "1s");
});

test("everything as it was is one button on Home", async (t) => {
  await uk.change("config/set", { target: "/sensors/host", settings: { every: "3s" } });
  const page = await open(t);

  await page.getByRole("button", { name: "Put it back as it was" }).click();
  await page.getByRole("dialog").getByRole("button", { name: "Put them back" }).click();

  await page.getByRole("status").getByText("Put the settings back as they were").waitFor();
  assert.equal((await uk.read("config/get", { target: "/sensors/host" })).value.every, "1s");
});

test("a message is asked and its answer shown; what is no JSON is said", async (t) => {
  const page = await open(t, "part/arm/power");
  const message = page.getByLabel("Message, as JSON");

  await message.fill('{"echo": ');
  await page.getByText("This is not yet JSON").waitFor();
  await message.fill('{"echo": "anybody there?"}');
  await page.getByRole("button", { name: "Send and wait for the answer" }).click();

  await page.locator("pre", { hasText: '"anybody there?"' }).waitFor();
});

test("a dead letter is seen, and forgotten after a question", async (t) => {
  await uk.change("tell", { path: "/arm/driver", message: { panic: EVIL } });
  const page = await open(t, "letters");
  await page.locator(".letter pre", { hasText: EVIL }).first().waitFor();
  const before = await page.locator(".letter").count();

  await page.getByRole("button", { name: "Forget it" }).first().click();
  await page.getByRole("dialog").getByRole("button", { name: "Forget it" }).click();

  await page.waitForFunction((before) => document.querySelectorAll(".letter").length === before - 1, before);
});

test("no text of the kernel runs as a script", async (t) => {
  const page = await open(t, "events");
  await page.getByText("Nothing yet").or(page.locator(".events li").first()).first().waitFor();

  await uk.change("events/publish", { topic: "sensor.evil", data: { text: EVIL }, source: EVIL });
  await uk.change("tell", { path: "/arm/gripper", message: { panic: EVIL } });

  const event = page.locator(".events li", { hasText: "sensor.evil" }).first();
  await event.waitFor();
  await event.locator("summary").click();
  await event.locator("pre", { hasText: "<script>window.ran" }).waitFor();
  for (const view of ["part/arm/gripper", "part/talker", `part/${encodeURIComponent(EVIL)}`, `streams/${encodeURIComponent(EVIL)}`, "streams/sensor", "letters", ""]) {
    await page.goto(`${uk.base}/#/${view}`);
    await page.locator("main h1, main .problem").first().waitFor();
  }
  await page.goto(`${uk.base}/#/part/arm/gripper`);
  await page.getByText("It crashed: <script>").first().waitFor();
  assert.equal(await page.evaluate(() => window.ran), undefined);
  assert.equal(await page.locator("#app script, #app img[src='x']").count(), 0);
});

test("the tree is walked with the keyboard alone", async (t) => {
  const page = await open(t, "tree");
  const current = () => page.evaluate(() => {
    const tree = document.querySelector("[role=tree]");
    const row = document.getElementById(tree.getAttribute("aria-activedescendant"));
    return { text: row.querySelector(".name").textContent, level: row.getAttribute("aria-level"), open: row.getAttribute("aria-expanded") };
  });
  const press = async (...keys) => { for (const key of keys) await page.keyboard.press(key); return current(); };
  await page.getByRole("checkbox").focus();
  await page.keyboard.press("Tab");
  assert.equal(await page.evaluate(() => document.activeElement.getAttribute("role")), "tree");

  assert.match((await press("Home")).text, /everything/);
  assert.match((await press("ArrowDown")).text, /^sensors/);
  assert.equal((await press("ArrowLeft")).open, "false");
  assert.equal((await press("ArrowRight")).open, "true");
  assert.deepEqual(await press("ArrowRight"), { text: "hostsensor.host", level: "3", open: null });
  assert.match((await press("ArrowLeft")).text, /^sensors/);
  assert.match((await press("g")).text, /^gripper/);
  assert.match((await press("End")).text, /own services/);
  await press("Home", "ArrowDown", "ArrowDown");
  await page.keyboard.press("Enter");
  await page.getByRole("heading", { level: 1, name: "host" }).waitFor();
});

test("axe finds nothing, in light and in dark, wide and narrow, and nothing is wider than the screen", async (t) => {
  for (const colorScheme of ["light", "dark"]) {
    const page = await open(t, "", { colorScheme });
    for (const view of VIEWS) {
      await page.goto(`${uk.base}/#/${view}`);
      await page.locator("main h1").first().waitFor();
      for (const width of [1280, 320]) {
        await page.setViewportSize({ width, height: 800 });
        await wellMade(page, `${colorScheme} ${width} /${view}`);
      }
    }
    await page.getByRole("button", { name: "Menu" }).click();
    await wellMade(page, `${colorScheme} menu`);
    await page.goto(`${uk.base}/#/part/arm/power`);
    await page.getByRole("button", { name: "Stop", exact: true }).click();
    await page.getByRole("dialog").waitFor();
    await wellMade(page, `${colorScheme} question`);
  }
});
