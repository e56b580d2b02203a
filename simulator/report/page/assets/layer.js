// One layer: what bounds it, how it is tiled, and all of its counters.

import { change, percent, quantity, whole } from "./format.js";
import { announce, el, row, scrolling, section, svg } from "./dom.js";
import { base, bound, choose, chosen, data, latest, onChoice, runs } from "./report.js";
import { changed, labelled, shown, unitOf } from "./summary.js";

const MEANS = {
  array: "the array works for longer than DRAM needs",
  "vector unit": "the vector unit works for longer than DRAM needs",
  buffers: "the ports and banks of the buffers hold the array up for longer than it works",
  overhead: "the time before its first load is longer than its work",
  latency: "nothing is busy for more than half of the time: tiles wait for each other",
};

const LOOPS = {
  G: "groups", N: "images", P: "output rows", Q: "output columns", M: "output channels whose psums stay", K: "output channels",
  C: "input channels", R: "kernel rows", S: "kernel columns",
};

function meaning(by) {
  if (by.startsWith("DRAM")) return `DRAM is busy for longer than the array, which waits most for ${by.slice(6)}`;
  return MEANS[by] ?? "it takes no time of its own";
}

function busyBars(run, index) {
  const cycles = run.layers.cycles[index];
  const of = (name) => run.layers[name]?.[index] ?? 0;
  const lost = of("dram_turnaround_cycles") + of("dram_group_cycles") + of("dram_row_cycles") + of("dram_refresh_cycles");
  const uses = [["array or vector unit", of("compute_cycles"), "green"], ["held up by buffers", of("buffer_stall_cycles"), "sky"], ["DRAM moving data", of("dram_busy_cycles"), "orange"], ["DRAM losing time", lost, "vermillion"]];
  return el("div", { class: "busy" }, uses.filter(([name, busy]) => busy || !name.match(/held|losing/)).flatMap(([name, busy, colour]) => {
    const share = cycles ? busy / cycles : 0;
    return [el("span", {}, name), svg("svg", { viewBox: "0 0 100 12", preserveAspectRatio: "none", "aria-hidden": "true" },
      svg("rect", { class: "track", x: 0, y: 0, width: 100, height: 12 }),
      svg("rect", { class: `part ${colour}`, x: 0, y: 2, width: 100 * Math.min(share, 1), height: 8 })), el("span", {}, percent(share))];
  }));
}

function loopText(loop, tile, extent, tiles) {
  if (tiles > 1) return `for ${loop} in 0…${extent} by ${tile}`;
  return `all ${LOOPS[loop]}: ${loop} = ${extent}`;
}

// The loops of the schedule inside each other; those with a single tile are what one step takes at once.
function schedule(run, layer) {
  const { layer: names, loop, extent, tile, tiles } = run.schedule;
  const at = names.map((name, index) => (name === layer ? index : -1)).filter((index) => index >= 0);
  if (!at.length) return el("p", {}, "No schedule of its own: another layer writes its result on the way out, or its producers do.");
  const outside = at.filter((index) => tiles[index] > 1);
  const inside = at.filter((index) => tiles[index] === 1);
  const whole_ = inside.filter((index) => extent[index] > 1).map((index) => `${loop[index]} = ${extent[index]}`).join(", ");
  const cut = outside.map((index) => `${loop[index]} = ${tile[index]}`).join(", ");
  let nest = el("li", {}, `one tile: ${[cut, whole_].filter((text) => text).join("; whole: ") || "everything"}`);
  for (const index of outside.reverse()) {
    nest = el("li", {}, `${loopText(loop[index], tile[index], extent[index], tiles[index])} `,
      el("span", { class: "quiet" }, `(${LOOPS[loop[index]]}, ${whole(tiles[index])} tiles)`), el("ol", {}, nest));
  }
  return el("ol", { class: "loops" }, nest);
}

function traffic(layer) {
  const keys = [...new Set(runs.flatMap((run) => Object.keys(run.traffic)))];
  const of = (run, key) => (run.at.has(layer) ? run.traffic[key]?.[run.at.get(layer)] ?? 0 : 0);
  const rows = keys.filter((key) => runs.some((run) => of(run, key)));
  return el("table", {}, el("caption", {}, "Bytes moved"),
    el("thead", {}, row(["level, operand, direction", ...runs.map((run) => run.name), ...(base ? ["change"] : [])], true)),
    el("tbody", {}, rows.map((key) => row([key, ...runs.map((run) => quantity(of(run, key), "B")), ...(base ? [change(of(latest, key), of(base, key))] : [])]))));
}

function counters(layer) {
  const of = (run, name) => (run.at.has(layer) ? run.layers[name]?.[run.at.get(layer)] ?? 0 : 0);
  const names = Object.keys(latest.layers).filter((name) => runs.some((run) => typeof of(run, name) === "number" && of(run, name)));
  return el("table", {}, el("caption", {}, "All counters that are not 0; hover for column names"),
    el("thead", {}, row(["counter", ...runs.map((run) => run.name), ...(base ? ["change"] : [])], true)),
    el("tbody", {}, names.map((name) => row([labelled(name), ...runs.map((run) => shown(of(run, name), unitOf(name))), ...(base ? [changed(of(latest, name), of(base, name), unitOf(name))] : [])]))));
}

function show(panel, layer) {
  const index = latest.at.get(layer);
  const by = bound(latest, layer);
  const before = base ? bound(base, layer) : by;
  const into = index === undefined ? "" : latest.layers.fused_into[index];
  const parts = [el("h3", {}, `${layer} (${index === undefined ? "not in this run" : latest.layers.operator[index]})`)];
  if (into) parts.push(el("p", {}, `Done on the way out of ${into}, which has its costs.`));
  parts.push(el("p", {}, el("strong", {}, by ? `Bound by ${by}` : "Bound by nothing"), `: ${meaning(by)}.`,
    base && before !== by ? ` Before (${base.name}): ${before || "nothing"}.` : ""));
  if (index !== undefined && latest.layers.cycles[index]) {
    parts.push(el("div", { class: "columns" },
      el("div", {}, el("h3", {}, "Busy, of the layer's time"), busyBars(latest, index),
        el("p", { class: "quiet" }, `${whole(latest.layers.cycles[index])} cycles, ${whole(latest.layers.tiles[index])} tile steps`)),
      el("div", {}, el("h3", {}, "Tile schedule"), schedule(latest, layer))));
  }
  parts.push(el("div", { class: "columns" }, scrolling(`Bytes moved by ${layer}`, traffic(layer)), scrolling(`Counters of ${layer}`, counters(layer))));
  panel.replaceChildren(...parts);
}

export function drawLayer() {
  const panel = el("div", { id: "layer-panel" });
  const select = el("select", { id: "pick", onchange: () => choose(select.value) }, data.layers.map((name) => el("option", { value: name }, name)));
  const step = (by) => () => {
    const to = data.layers.indexOf(chosen.layer) + by;
    if (to >= 0 && to < data.layers.length) choose(data.layers[to]);
  };
  section("layer").append(el("div", { class: "controls" },
    el("label", { for: "pick" }, "Layer"), select,
    el("button", { type: "button", onclick: step(-1) }, "Previous"), el("button", { type: "button", onclick: step(1) }, "Next")), panel);
  onChoice((layer) => {
    select.value = layer;
    show(panel, layer);
    announce(`${layer}: bound by ${bound(latest, layer) || "nothing"}`);
  });
}
