// Icons, drawn here so that nothing has to be fetched. Each has a shape of its own, so that colour is never all that tells.
import { html } from "../vendor/preact-htm.js";

/** @type {Record<string, string>} */
const PATHS = {
  check: "M5 10.5 8.5 14 15 6.5",
  turn: "M15.5 8A6 6 0 1 0 16 12M16 4v4h-4",
  clock: "M10 4a6 6 0 1 0 0 12 6 6 0 0 0 0-12M10 7v3.5l2.2 1.6",
  cross: "M6 6l8 8M14 6l-8 8",
  stop: "M6 6h8v8H6z",
  pause: "M7.5 5.5v9M12.5 5.5v9",
  copy: "M7.5 7.5h8v8h-8zM12.5 7.5v-3h-8v8h3",
  home: "M4 10 10 4.5 16 10M6 9v6.5h8V9",
  tree: "M5 4.5v9.5h4M5 8h4M11 6.5h5v3h-5zM11 12.5h5v3h-5z",
  bolt: "M11 3.5 5 11h4.5L9 16.5 15 9h-4.5z",
  rows: "M4 6h12M4 10h12M4 14h12",
  letter: "M4 5.5h12v9H4zM4 6l6 5 6-5",
  undo: "M7 5 4 8l3 3M4 8h8a4 4 0 0 1 0 8h-3",
  pulse: "M3 10.5h3l2-5 3.5 9 2-4H17",
  book: "M5 4h10v12H5zM8 7.5h4M8 10.5h4",
  nodes: "M8 7.5h4v5H8zM8 10H3.5M12 10h4.5M3.5 8.5v3M16.5 8.5v3M10 7.5v-4M10 12.5v4",
  right: "M8 5.5 12.5 10 8 14.5",
};

/** @param {{name: string}} props */
export const Icon = ({ name }) => html`<svg class="icon" viewBox="0 0 20 20" aria-hidden="true" focusable="false"><path d=${PATHS[name]} /></svg>`;
