// The page: where one is, what is around it, and what is said above it.

import { html, render, useEffect, useRef, useState } from "../vendor/preact-htm.js";
import { Audit } from "./audit.js";
import { Command } from "./bits.js";
import { acting } from "./acts.js";
import { Deeds, Question } from "./deeds.js";
import { Events } from "./events.js";
import { Health } from "./health.js";
import { History } from "./history.js";
import { Home } from "./home.js";
import { Icon } from "./icons.js";
import { sentence, troubles } from "./judge.js";
import { connect, kernel, now, useKernel } from "./kernel.js";
import { Letters } from "./letters.js";
import { Nodes, isCluster, lostNodes } from "./nodes.js";
import { PartPage } from "./part.js";
import { Streams } from "./streams.js";
import { TreeView } from "./tree.js";
import { rough } from "./words.js";

const VIEWS = [
  { at: "", name: "Home", icon: "home", show: Home },
  { at: "tree", name: "Parts", icon: "tree", show: TreeView },
  { at: "nodes", name: "Nodes", icon: "nodes", show: Nodes },
  { at: "events", name: "Events", icon: "bolt", show: Events },
  { at: "streams", name: "Streams", icon: "rows", show: Streams },
  { at: "letters", name: "Dead letters", icon: "letter", show: Letters },
  { at: "settings", name: "Settings", icon: "undo", show: History },
  { at: "health", name: "Health", icon: "pulse", show: Health },
  { at: "audit", name: "Audit", icon: "book", show: Audit },
];

/** The view that the address names, and what comes after it. */
function place() {
  const words = location.hash.replace(/^#\/?/, "").split("/").map(decoded);
  if (words[0] === "part") return { at: "tree", show: PartPage, name: words.at(-1) ?? "", rest: `/${words.slice(1).join("/")}` };
  const view = VIEWS.find((view) => view.at === words[0]) ?? VIEWS[0];
  return { ...view, rest: words.slice(1).join("/") };
}

/** @param {string} word */
function decoded(word) {
  try {
    return decodeURIComponent(word);
  } catch {
    return word;
  }
}

function usePlace() {
  const [here, setHere] = useState(place);
  useEffect(() => {
    const moved = () => {
      setHere(place());
      window.scrollTo(0, 0);
      // Who hears the page is told where they are; who sees it is not shown a frame around the heading.
      requestAnimationFrame(() => /** @type {HTMLElement | null} */ (document.querySelector("main h1"))?.focus({ preventScroll: true }));
    };
    addEventListener("hashchange", moved);
    return () => removeEventListener("hashchange", moved);
  }, []);
  return here;
}

function App() {
  const { line, node, times } = useKernel();
  const here = usePlace();
  const [isOpen, setOpen] = useState(false);
  const button = useRef(null);
  useEffect(() => setOpen(false), [here]);
  useEffect(() => { document.title = `${here.name}${node ? ` · ${node}` : ""} · UnityKernel`; }, [here, node]);
  const close = (/** @type {KeyboardEvent} */ event) => {
    if (event.key !== "Escape" || !isOpen) return;
    setOpen(false);
    button.current?.focus();
  };
  return html`
    <a class="skip" href="#main" onClick=${skip}>Skip to the content</a>
    <header class="top">
      <a class="brand" href="#/"><img src="/page/icon.svg" alt="" width="28" height="28" /><span>${node || "UnityKernel"}</span></a>
      <${Line} />
      <button ref=${button} type="button" class="menu" aria-expanded=${isOpen} aria-controls="nav" onClick=${() => setOpen(!isOpen)}><${Icon} name="rows" />Menu</button>
    </header>
    <nav id="nav" class=${isOpen ? "open" : ""} aria-label="Views" onKeyDown=${close}>
      ${VIEWS.filter((view) => view.show !== Nodes || isCluster() || here.at === view.at).map((view) => html`<a key=${view.at} href=${`#/${view.at}`} aria-current=${view.at === here.at ? "page" : undefined}><${Icon} name=${view.icon} /><span>${view.name}</span>${view.show === Nodes && lostNodes() > 0 && html`<span class="tag" data-tone="bad">${lostNodes()} lost</span>`}</a>`)}
    </nav>
    <main id="main" tabindex="-1" class=${line === "lost" ? "lost" : ""} aria-busy=${line === "connecting"}>
      <${Banner} />
      ${line === "denied" ? html`<${Denied} />` : times === 0 ? html`<p class="loading">Looking at the kernel…</p>` : html`<${here.show} key=${here.show === PartPage ? here.rest : here.at} rest=${here.rest} />`}
    </main>
    <${Deeds} />
    <${Live} />
    ${acting.question && html`<${Question} question=${acting.question} />`}`;
}

/** @param {MouseEvent} event */
function skip(event) {
  // The address is where one is, so the link itself must not change it.
  event.preventDefault();
  document.getElementById("main")?.focus();
}

function Line() {
  const words = { connecting: "connecting", live: "live", lost: "no connection", denied: kernel.refusal ? "not allowed" : "signed out" };
  return html`<span class="line" data-line=${kernel.line}><i aria-hidden="true" />${words[kernel.line]}</span>`;
}

function Banner() {
  const [back, setBack] = useState(false);
  const seen = useRef(kernel.times);
  useEffect(() => {
    if (kernel.times === seen.current || seen.current === 0) { seen.current = kernel.times; return; }
    seen.current = kernel.times;
    setBack(true);
    const timer = setTimeout(() => setBack(false), 6000);
    return () => clearTimeout(timer);
  }, [kernel.times]);
  if (kernel.line === "lost") {
    const since = new Date(kernel.lostAt).toLocaleTimeString("en-GB");
    return html`<div class="banner" data-tone="bad" role="status"><${Icon} name="cross" /><p><strong>The kernel cannot be reached.</strong> What is shown here is from ${since}. This page tries again by itself; there is nothing to do here. If it stays like this, start the kernel again with <code>uk run</code>.</p></div>`;
  }
  if (kernel.line === "live" && kernel.who.scope === "read") return html`<div class="banner" data-tone="off"><${Icon} name="pause" /><p><strong>You may look at everything here, but not change it.</strong> Who may change things can sign you in with <code>uk open</code>.</p></div>`;
  if (back && kernel.line === "live") return html`<div class="banner" data-tone="good" role="status"><${Icon} name="check" /><p><strong>Connected again.</strong> It was away for ${rough(Date.now() - kernel.lostAt)}; all that is shown is new.</p></div>`;
  return null;
}

function Denied() {
  // `uk open` signs in another tab: this one looks again when somebody comes back to it.
  useEffect(() => {
    addEventListener("focus", connect);
    return () => removeEventListener("focus", connect);
  }, []);
  const { refusal, times } = kernel;
  const why = () => {
    if (refusal) return `It is for a part of it: ${refusal.hint}. Programs can use it for that; this page is for people who may use this machine.`;
    return times > 0 ? "The kernel was started again, or you were away for long, and it has forgotten who you are." : "This page is only for people who may use this machine.";
  };
  return html`<section class="denied"><h1 tabindex="-1">${refusal ? "This token may not look at the whole tree" : "You are not signed in"}</h1>
    <p>${why()} Type this in a terminal on it; your browser then opens with you signed in:</p>
    <p><${Command} command="uk open" /></p>
    <button type="button" data-tone="main" onClick=${connect}>I have done that</button></section>`;
}

/** Says to who hears the page what has changed, at most every three seconds. */
function Live() {
  const [said, setSaid] = useState("");
  const newest = useRef("");
  newest.current = kernel.line === "live" ? sentence(kernel.forest, troubles(kernel.forest, now(), kernel.health), kernel.health).text : "";
  useEffect(() => {
    const timer = setInterval(() => setSaid(newest.current), 3000);
    return () => clearInterval(timer);
  }, []);
  return html`<p class="heard" aria-live="polite">${said}</p>`;
}

const app = document.getElementById("app");
if (app) {
  app.replaceChildren();
  render(html`<${App} />`, app);
  connect();
}
