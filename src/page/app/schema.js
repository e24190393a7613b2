// What a JSON Schema says of each setting: which field it gets, and what is read from that. Pure.

/** @import {Doc} from "./types.js" */

/**
 * @typedef {object} Field
 * @property {string} name
 * @property {"switch" | "number" | "choice" | "text" | "json"} what
 * @property {string} about
 * @property {boolean} optional whether it may be left out
 * @property {{value: unknown, about: string}[]} choices
 * @property {string} [pattern]
 * @property {string} [example]
 * @property {unknown} preset what counts where nothing is set
 */

/** @param {Doc} schema @returns {Field[]} */
export function fields(schema) {
  const required = new Set(schema.required ?? []);
  return Object.entries(schema.properties ?? {}).map(([name, property]) => field(schema, name, property, required.has(name)));
}

/** @param {Doc} schema @param {string} name @param {Doc} property @param {boolean} isRequired @returns {Field} */
function field(schema, name, property, isRequired) {
  const optional = !isRequired;
  const about = (property.description ?? "").replaceAll("\n", " ");
  let shape = resolve(schema, property);
  const others = (shape.anyOf ?? []).filter((/** @type {Doc} */ its) => its.type !== "null");
  if (shape.anyOf && others.length === 1) shape = resolve(schema, others[0]);
  const types = [shape.type].flat().filter((type) => type !== "null");
  const choices = choicesOf(shape);
  const base = { name, about: about || shape.description || "", optional, choices, pattern: shape.pattern, example: example(shape), preset: property.default };
  if (choices.length > 0) return { ...base, what: "choice" };
  if (types.length === 1 && types[0] === "boolean") return { ...base, what: "switch" };
  if (types.length === 1 && ["integer", "number"].includes(types[0])) return { ...base, what: "number" };
  if (types.length === 1 && types[0] === "string") return { ...base, what: "text" };
  return { ...base, what: "json" };
}

/** @param {Doc} schema @param {Doc} property @returns {Doc} */
function resolve(schema, property) {
  const name = /^#\/\$defs\/(.+)$/.exec(property.$ref ?? "")?.[1];
  return name === undefined ? property : { ...resolve(schema, schema.$defs?.[name] ?? {}), ...property };
}

/** @param {Doc} shape */
function choicesOf(shape) {
  if (Array.isArray(shape.enum)) return shape.enum.map((value) => ({ value, about: "" }));
  const consts = (shape.oneOf ?? []).filter((/** @type {Doc} */ its) => "const" in its);
  return consts.length > 0 && consts.length === shape.oneOf.length ? consts.map((/** @type {Doc} */ its) => ({ value: its.const, about: its.description ?? "" })) : [];
}

/** @param {Doc} shape */
function example(shape) {
  if (shape.examples?.length > 0) return String(shape.examples[0]);
  return shape.pattern?.includes("(ms|s|m|h|d)") ? "250ms or 5s" : undefined;
}

/** What a field shows for a value. @param {Field} field @param {unknown} value */
export function shown(field, value) {
  const its = value === undefined ? field.preset : value;
  if (field.what === "switch") return its === true;
  if (its === undefined || its === null) return "";
  return field.what === "json" ? JSON.stringify(its, null, 1) : String(its);
}

/** What is set by what a field shows; an error says what is wrong. @param {Field} field @param {string | boolean} text @returns {unknown} */
export function value(field, text) {
  if (typeof text === "boolean") return text;
  if (text === "") return null;
  if (field.what === "number") {
    if (Number.isNaN(Number(text))) throw new Error(`“${field.name}” must be a number`);
    return Number(text);
  }
  if (field.what === "choice") return field.choices.find((choice) => String(choice.value) === text)?.value;
  if (field.what !== "json") return text;
  try {
    return JSON.parse(text);
  } catch (error) {
    throw new Error(`“${field.name}” is not yet JSON: ${/** @type {Error} */ (error).message}`);
  }
}
