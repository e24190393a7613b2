// A browser, and a kernel in a folder of its own that is reached on the loopback, as a person's is.
import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtemp, readFile, rm } from "node:fs/promises";
import { request } from "node:http";
import { createRequire } from "node:module";
import { connect, createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as pause } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import { chromium } from "playwright-core";

const AXE = await readFile(createRequire(import.meta.url).resolve("axe-core/axe.min.js"), "utf8");

const TREE = fileURLToPath(new URL("tree.yaml", import.meta.url));
/** Chromium alone: no sandbox, as tests may run as root, and nothing that would ask the network. */
const FLAGS = ["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking", "--disable-component-update", "--disable-sync"];
/** How this machine is must not make a kernel of a test degraded. */
const ENVIRONMENT = { UK_ALARMS__DISK: "off", UK_ALARMS__MEMORY: "off", UK_ALARMS__TEMPERATURE: "off", NO_COLOR: "1" };
/** How often it is asked whether the kernel is ready, and how long between. */
const TRIES = 600;
const TRY_MS = 25;
/** How long a page is given to show what it is to show. */
const WAIT_MS = 15_000;

export const browser = () => chromium.launch({ executablePath: process.env.CHROMIUM, args: FLAGS });

/** A kernel with the tree of these tests, and a way to it that can be cut. `options` are more of `uk run`. */
export async function kernel(options = []) {
  const folder = await mkdtemp(join(tmpdir(), "uk-page-"));
  const socketPath = join(folder, "uk.sock");
  const port = await freePort();
  const call = (method, path, body) => overSocket(socketPath, method, `/api/v1/${path}`, body);
  let child;
  const boot = async () => {
    const args = ["run", TREE, "--socket", socketPath, "--data-dir", join(folder, "data"), "--listen", `127.0.0.1:${port}`, ...options];
    child = spawn(process.env.UK, args, { stdio: "ignore", env: { ...process.env, ...ENVIRONMENT } });
    for (let tries = 0; tries < TRIES; tries += 1) {
      const isReady = await overSocket(socketPath, "GET", "/readyz").then(() => true, () => false);
      if (isReady) return;
      assert.equal(child.exitCode, null, "the kernel ended while it booted");
      await pause(TRY_MS);
    }
    throw new Error("the kernel is not ready");
  };
  const crash = async () => {
    const ended = once(child, "exit");
    child.kill("SIGKILL");
    await ended;
  };
  await boot();
  const way = await wayTo(port);
  return {
    base: `http://localhost:${way.port}`,
    boot,
    crash,
    cut: way.cut,
    mend: way.mend,
    /** A link that logs a browser in, once. */
    login: async () => (await call("POST", "open", {})).url.replace(`:${port}/`, `:${way.port}/`),
    read: (path, args = {}) => call("GET", `${path}?${new URLSearchParams(args)}`),
    change: (path, args = {}) => call("POST", path, args),
    end: async () => {
      if (child.exitCode === null && child.signalCode === null) await crash();
      way.cut();
      await rm(folder, { recursive: true, force: true });
    },
  };
}

/** A page that is logged in, at a view. A fault in it, or something that its policy refused, fails the test. */
export async function openPage(t, chromium, uk, view = "", options = {}) {
  const context = await chromium.newContext({ viewport: { width: 1280, height: 900 }, reducedMotion: "reduce", ...options });
  context.setDefaultTimeout(WAIT_MS);
  const page = await context.newPage();
  const faults = [];
  t.after(async () => {
    await context.close();
    assert.deepEqual(faults, []);
  });
  page.on("pageerror", (error) => faults.push(error.message));
  page.on("console", (message) => /Content Security Policy|Refused to/.test(message.text()) && faults.push(message.text()));
  await page.goto(await uk.login());
  await page.goto(`${uk.base}/#/${view}`);
  await page.locator("main h1").first().waitFor();
  return page;
}

/** A port of its own that leads to another, until it is cut. */
async function wayTo(port) {
  const ends = new Set();
  const server = createServer((near) => {
    const far = connect(port, "127.0.0.1");
    for (const [end, other] of [[near, far], [far, near]]) {
      ends.add(end);
      end.pipe(other);
      end.on("error", () => other.destroy());
      end.on("close", () => { other.destroy(); ends.delete(end); });
    }
  });
  const listen = async (at) => {
    server.listen(at, "127.0.0.1");
    await once(server, "listening");
    return server.address().port;
  };
  const own = await listen(0);
  return {
    port: own,
    cut: () => { server.close(); for (const end of ends) end.destroy(); },
    mend: () => listen(own),
  };
}

/** A request to the control socket, whose answer is JSON. */
function overSocket(socketPath, method, path, body) {
  return new Promise((resolve, reject) => {
    const asked = request({ socketPath, method, path }, async (response) => {
      const chunks = await response.toArray();
      const text = Buffer.concat(chunks).toString();
      if (response.statusCode === 200) resolve(JSON.parse(text));
      else reject(new Error(`${method} ${path}: ${response.statusCode} ${text}`));
    });
    asked.on("error", reject);
    asked.end(body === undefined ? undefined : JSON.stringify(body));
  });
}

/** A port that is free now. */
export async function freePort() {
  const server = createServer().listen(0, "127.0.0.1");
  await once(server, "listening");
  const { port } = server.address();
  server.close();
  await once(server, "close");
  return port;
}

/** Fails unless axe finds nothing in the page as it is, and nothing is wider than the screen. */
export async function wellMade(page, where) {
  // Through the debugger, since the page's policy lets no other script in.
  await page.evaluate(AXE);
  const [over, found] = await page.evaluate(async () => {
    const result = await window.axe.run();
    const root = document.documentElement;
    const said = result.violations.map((its) => `${its.id}: ${its.nodes.map((node) => node.html.slice(0, 120)).join(" | ")}`);
    return [root.scrollWidth - root.clientWidth, result.passes.length > 10 ? said : ["axe looked at nothing"]];
  });
  assert.deepEqual(found, [], where);
  assert.ok(over <= 0, `${where} is ${over} px too wide`);
}
