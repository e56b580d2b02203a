// All layers in a table that sorts by any column and narrows to names that contain a text.

import { change, percent, quantity, whole } from "./format.js";
import { announce, el, scrolling, section } from "./dom.js";
import { base, bound, choose, chosen, data, latest, onChoice, value } from "./report.js";

const text = (column) => (layer) => (latest.at.has(layer) ? latest.layers[column][latest.at.get(layer)] : "");
const now = (column) => (layer) => value(latest, layer, column);
const changed = (column) => (layer) => {
  const before = value(base, layer, column);
  return before ? value(latest, layer, column) / before - 1 : 0;
};
const changeText = (column) => (_, layer) => change(value(latest, layer, column), value(base, layer, column));

function columns() {
  const compared = (name, column, unit) => [
    { name, of: now(column), show: (size) => quantity(size, unit) },
    ...(base ? [{ name: "change", label: `change of ${name}`, of: changed(column), show: changeText(column) }] : []),
  ];
  return [
    { name: "#", of: (layer) => data.layers.indexOf(layer) + 1, show: String },
    { name: "layer", of: (layer) => layer, words: true },
    { name: "operator", of: text("operator"), words: true },
    { name: base ? "bound now" : "bound", of: (layer) => bound(latest, layer), words: true },
    ...(base ? [{ name: "bound before", of: (layer) => bound(base, layer), words: true }] : []),
    ...compared("DRAM traffic", "dram_bytes", "B"),
    ...compared("cycles", "cycles", "cycles"),
    ...compared("energy", "energy_pj", "pJ"),
    { name: "array use", of: now("utilisation"), show: percent },
    { name: "MACs", of: now("macs_dense"), show: (size) => quantity(size, "MAC") },
    { name: "effectual", of: (layer) => (now("macs_dense")(layer) ? now("macs_effectual")(layer) / now("macs_dense")(layer) : 0), show: percent },
    { name: "tiles", of: now("tiles"), show: whole },
  ];
}

export function drawTable() {
  const shown = columns();
  const state = { by: 0, down: false, filter: "" };
  const heads = shown.map((column, at) => el("th", { scope: "col", class: column.words ? "words" : "" },
    el("button", { type: "button", "aria-label": column.label ?? null, onclick: () => sort(at) }, column.name)));
  const rows = new Map(data.layers.map((layer) => [layer, el("tr", {}, shown.map((column) => {
    const found = column.of(layer);
    if (column.name === "layer") return el("th", { scope: "row", class: "words" }, el("button", { type: "button", onclick: () => look(layer) }, layer));
    return el("td", { class: column.words ? "words" : "" }, column.words ? found : column.show(found, layer));
  }))]));
  const body = el("tbody");
  const count = el("span", { class: "quiet", role: "status" });
  const fill = () => {
    const { of } = shown[state.by];
    const order = data.layers.filter((layer) => layer.toLowerCase().includes(state.filter));
    order.sort((a, b) => {
      const [x, y] = [of(a), of(b)];
      const ways = typeof x === "string" ? x.localeCompare(y) : x - y;
      return state.down ? -ways : ways;
    });
    heads.forEach((head, at) => head.setAttribute("aria-sort", at !== state.by ? "none" : state.down ? "descending" : "ascending"));
    body.replaceChildren(...order.map((layer) => rows.get(layer)));
    count.textContent = `${order.length} of ${data.layers.length} layers`;
  };
  const sort = (at) => {
    state.down = at === state.by ? !state.down : !shown[at].words && at > 0;
    state.by = at;
    fill();
    announce(`Sorted by ${shown[at].label ?? shown[at].name}, ${state.down ? "largest" : "smallest"} first`);
  };
  const look = (layer) => {
    choose(layer);
    section("layer").scrollIntoView();
  };
  const filter = el("input", { id: "filter", type: "search", oninput: () => { state.filter = filter.value.toLowerCase(); fill(); } });
  section("table").append(
    el("div", { class: "controls" }, el("label", { for: "filter" }, "Names that contain"), filter, count),
    scrolling("All layers", el("table", {}, el("caption", {}, "Sort by the buttons in the headings; a layer's name shows its schedule."), el("thead", {}, el("tr", {}, heads)), body)));
  fill();
  onChoice((layer) => {
    for (const [name, row] of rows) row.classList.toggle("chosen", name === layer);
  });
  if (chosen.layer) rows.get(chosen.layer)?.classList.add("chosen");
}
