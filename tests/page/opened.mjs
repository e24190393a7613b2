// A browser and a kernel for all tests of the file that imports this, closed after them.
import { after, before } from "node:test";
import { browser, kernel, openPage } from "./rig.mjs";

export let chromium;
export let uk;
before(async () => {
  [chromium, uk] = await Promise.all([browser(), kernel()]);
});
after(async () => {
  await chromium?.close();
  await uk?.end();
});

/** A page that is logged in, at a view. */
export const open = (t, view, options) => openPage(t, chromium, uk, view, options);
