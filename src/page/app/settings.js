// The settings of a part: a form made from their JSON Schema; first what would change, then the change, then the way back.

/** @import {Doc} from "./types.js" */
/** @import {Field} from "./schema.js" */
import { html, useState } from "../vendor/preact-htm.js";
import { Act, Command, Empty, Panel, Problem, Text, ticking, useRead } from "./bits.js";
import { typed as asTyped } from "./acts.js";
import { Diff } from "./changes.js";
import { call, kernel } from "./kernel.js";
import { fields, shown, value } from "./schema.js";
import { oneLine } from "./words.js";

/** @param {{path: string}} props */
export function SettingsForm({ path }) {
  const version = kernel.health?.settings?.number;
  const schema = useRead(["config", "schema"], { target: path });
  const inForce = useRead(["config", "explain"], { target: path }, { inputs: [version] });
  const error = schema.error ?? inForce.error;
  return html`<${Panel} id="settings" title="Settings">
    ${error ? html`<${Problem} error=${error} />` : schema.document && inForce.document && html`<${Form} path=${path} all=${fields(schema.document)} keys=${inForce.document.keys} />`}</${Panel}>`;
}

/** @param {{path: string, all: Field[], keys: Doc[]}} props */
function Form({ path, all, keys }) {
  const [typed, setTyped] = useState(/** @type {Record<string, string | boolean>} */ ({}));
  const [save, setSave] = useState(false);
  const [plan, setPlan] = useState(null);
  const [error, setError] = useState(null);
  const [undo, setUndo] = useState(null);
  if (all.length === 0) return html`<${Empty} title="None">Parts of this kind have no settings.</${Empty}>`;
  const now = new Map(keys.map((key) => [key.name, key]));
  const isChanged = (/** @type {Field} */ field) => field.name in typed && typed[field.name] !== shown(field, now.get(field.name)?.value);
  const dirty = all.filter(isChanged);
  const put = (/** @type {string} */ name, /** @type {string | boolean} */ its) => { setTyped({ ...typed, [name]: its }); setPlan(null); setError(null); };
  const preview = async (/** @type {Event} */ event) => {
    event.preventDefault();
    try {
      const settings = Object.fromEntries(dirty.map((field) => [field.name, value(field, typed[field.name])]));
      const document = await call("POST", ["config", "set"], { target: path, settings, "dry-run": true });
      setPlan({ ...document, settings });
      setError(null);
    } catch (thrown) {
      setPlan(null);
      setError(thrown);
    }
  };
  const applied = () => { setUndo(plan?.number ?? null); setPlan(null); setTyped({}); };
  return html`<form class="settings" onSubmit=${preview} novalidate>
    ${all.map((field) => html`<${Setting} key=${field.name} field=${field} key_=${now.get(field.name)} text=${typed[field.name] ?? shown(field, now.get(field.name)?.value)} isChanged=${isChanged(field)} put=${put} />`)}
    ${error && html`<${Problem} error=${error} />`}
    ${plan ? html`<div class="plan" role="status"><h3>This would change</h3><${Diff} changes=${plan.changes} />
        <label class="check"><input type="checkbox" checked=${save} onChange=${ticking(setSave)} />Keep it when the kernel is started again</label>
        <div class="acts"><${Act} words=${["config", "set"]} args=${{ target: path, settings: plan.settings, save: save || undefined }} label="Change it" did=${`Changed the settings of ${path}`} tone="main" after=${applied} />
        <button type="button" onClick=${() => { setPlan(null); setTyped({}); }}>Leave it as it is</button></div></div>`
      : html`<span class="act"><button data-tone="main" disabled=${dirty.length === 0}>Show what would change</button>${dirty.length > 0 && html`<${Command} command=${asTyped(["config", "set"], { target: path, settings: Object.fromEntries(dirty.map((field) => [field.name, typed[field.name]])), "dry-run": true })} />`}</span>`}
    ${undo !== null && dirty.length === 0 && html`<div class="plan" role="status"><p>Changed. If it does not do well with it, the kernel puts it back by itself.</p>
        <${Act} words=${["config", "rollback"]} args=${{ to: undo }} label="Undo" did="Put the settings back as they were" after=${() => setUndo(null)} /></div>`}
  </form>`;
}

/** @param {{field: Field, key_: Doc | undefined, text: string | boolean, isChanged: boolean, put: (name: string, text: string | boolean) => void}} props */
function Setting({ field, key_, text, isChanged, put }) {
  const id = `set-${field.name}`;
  const common = { id, "aria-describedby": `${id}-about`, onInput: (/** @type {any} */ event) => put(field.name, field.what === "switch" ? event.target.checked : event.target.value) };
  return html`<div class=${`field ${isChanged ? "changed" : ""}`}>
    <label for=${id}>${field.name}${isChanged && html` <span class="tag">changed</span>`}</label>
    ${control(field, text, common)}
    <p class="dim" id=${`${id}-about`}><${Text} text=${`${field.about} ${from(key_, field)}`} /></p></div>`;
}

/** @param {Field} field @param {string | boolean} text @param {object} common */
function control(field, text, common) {
  if (field.what === "switch") return html`<input type="checkbox" role="switch" checked=${text} ...${common} />`;
  if (field.what === "json") return html`<textarea rows=${Math.min(10, String(text).split("\n").length)} spellcheck="false" value=${text} ...${common} />`;
  if (field.what === "choice") {
    return html`<select ...${common} value=${text}>${field.optional && field.preset === undefined && html`<option value="">not set</option>`}
      ${field.choices.map((choice) => html`<option value=${String(choice.value)} selected=${String(choice.value) === text}>${String(choice.value)}${choice.about && `: ${choice.about}`}</option>`)}</select>`;
  }
  return html`<input type="text" inputmode=${field.what === "number" ? "decimal" : "text"} autocomplete="off" spellcheck="false" placeholder=${field.example ? `as in ${field.example}` : field.optional ? "not set" : ""} value=${text} ...${common} />`;
}

/** Where it comes from. @param {Doc | undefined} key @param {Field} field */
function from(key, field) {
  const preset = field.preset === undefined || field.preset === null ? "" : ` Preset: ${oneLine(field.preset)}.`;
  const source = key?.from;
  if (!source || source.layer === "default") return preset;
  if (source.file) return `From ${source.file}${source.line ? `, line ${source.line}` : ""}.${preset}`;
  return `Changed while it ran (${source.layer}).${preset}`;
}
