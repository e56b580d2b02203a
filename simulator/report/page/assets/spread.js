// How the time of a network is distributed over the images that it was simulated for.

import { quantity, ticks } from "./format.js";
import { el, onWidth, row, scrolling, section, svg } from "./dom.js";
import { base, latest, runs } from "./report.js";
import { hideTip, showTip } from "./tip.js";
import { legend } from "./legend.js";
import { labelled } from "./summary.js";

const MARGIN = { left: 48, right: 18, top: 10, bottom: 44 };
const HEIGHT = 260;
const QUANTITIES = [
  ["Time", (run) => run.images.cycles.map((cycles) => cycles / run.meta.clock_hz), "s"],
  ["DRAM traffic", (run) => run.images.dram_bytes, "B"],
  ["Energy", (run) => run.images.energy_pj, "pJ"],
];
const look = (run) => `blue${base && run === base ? " old" : ""}`; // the base is pale, as in all figures
const state = { which: 0, hidden: new Set(), width: 0 };

function draw(chart) {
  const { width } = state;
  if (!width) return;
  const [name, of, unit] = QUANTITIES[state.which];
  const curves = runs.map((run) => ({ run, images: of(run).map((value, index) => [value, run.images.images[index]]).sort((a, b) => a[0] - b[0]) }))
    .filter(({ run }) => !state.hidden.has(run.name));
  const values = curves.flatMap((curve) => curve.images.map(([value]) => value));
  const [low, high] = [Math.min(...values), Math.max(...values)];
  const room = (high - low || high || 1) * 0.05;
  const [from, to] = [Math.max(0, low - room), high + room];
  const x = (value) => MARGIN.left + ((value - from) / (to - from)) * (width - MARGIN.left - MARGIN.right);
  const y = (share) => HEIGHT - MARGIN.bottom - share * (HEIGHT - MARGIN.top - MARGIN.bottom);
  const nodes = [0, 0.25, 0.5, 0.75, 1].flatMap((share) => [
    svg("line", { class: "grid", x1: MARGIN.left, x2: width - MARGIN.right, y1: y(share), y2: y(share) }),
    svg("text", { class: "tick", x: MARGIN.left - 6, y: y(share) + 4, "text-anchor": "end" }, `${100 * share} %`),
  ]);
  const step = ticks(to - from, Math.max(2, width / 150))[1] ?? to;
  for (let tick = Math.ceil(from / step) * step; tick <= to; tick += step) {
    nodes.push(svg("line", { class: "grid", x1: x(tick), x2: x(tick), y1: MARGIN.top, y2: y(0) }),
      svg("text", { class: "tick", x: x(tick), y: y(0) + 16, "text-anchor": "middle" }, quantity(Number(tick.toPrecision(6)), unit)));
  }
  nodes.push(svg("text", { x: width / 2, y: HEIGHT - 6, "text-anchor": "middle" }, `${name}: share of images that take at most so much`));
  for (const { run, images } of curves) {
    const corners = images.map(([value], at) => `${x(value)},${y(at / images.length)} ${x(value)},${y((at + 1) / images.length)}`);
    nodes.push(svg("polyline", { class: `curve ${look(run)}`, stroke: "currentColor", points: corners.join(" ") }));
    images.forEach(([value, image], at) => {
      const dot = svg("circle", { class: `part ${look(run)}`, cx: x(value), cy: y((at + 1) / images.length), r: 5 });
      const tell = (event) => showTip(base ? `${run.name}, image ${image}` : `image ${image}`, [[name, quantity(value, unit)]], { x: event.clientX, y: event.clientY });
      dot.addEventListener("pointermove", tell);
      dot.addEventListener("click", tell);
      dot.addEventListener("pointerleave", hideTip);
      nodes.push(dot);
    });
  }
  chart.setAttribute("viewBox", `0 0 ${width} ${HEIGHT}`);
  chart.setAttribute("height", HEIGHT);
  const tails = curves.map(({ run, images }) => `${run.name}: ${quantity(images[0][0], unit)} to ${quantity(images[images.length - 1][0], unit)}`);
  chart.setAttribute("aria-label", `${name} over ${latest.images.images.length} images. ${tails.join("; ")}`);
  chart.replaceChildren(...nodes);
}

function table() {
  const rows = runs.flatMap((run) => run.spread.layer.map((layer, at) => [run, layer, at]).filter(([, layer]) => layer === "(network)").map(([, , at]) => {
    const unit = { dram_bytes: "B", energy_pj: "pJ", cycles: "cycles", macs_performed: "MAC" }[run.spread.quantity[at]];
    const cells = ["mean", "p5", "p50", "p95", "worst"].map((key) => quantity(run.spread[key][at], unit));
    return row([el("span", {}, base ? `${run.name}: ` : "", labelled(run.spread.quantity[at])), ...cells, run.spread.worst_images[at]]);
  }));
  return el("table", {}, el("caption", {}, "Over the images, for the whole network"),
    el("thead", {}, row(["quantity", "mean", "5th percentile", "median", "95th percentile", "worst", "worst image"], true)), el("tbody", {}, rows));
}

export function drawSpread() {
  if (!runs.every((run) => run.images.images.length > 1)) {
    section("spread").remove();
    section("to-spread").remove();
    return;
  }
  const chart = svg("svg", { class: "chart", id: "spread-chart", role: "img" });
  const select = el("select", { id: "spread-of", onchange: () => { state.which = select.selectedIndex; draw(chart); } }, QUANTITIES.map(([name]) => el("option", {}, name)));
  const keep = base ? legend("Runs to show", runs.map((run) => ({ key: run.name, name: run.name, colour: "blue", old: run === base })), state.hidden, () => draw(chart)) : null;
  const body = el("div", {}, chart);
  section("spread").append(el("div", { class: "controls" }, el("label", { for: "spread-of" }, "Show"), select),
    el("figure", {}, keep, body, el("figcaption", {}, "Zeros depend on the image, and so does the cost: size for the right end.")),
    scrolling("Spread over images", table()));
  onWidth(body, (width) => {
    state.width = width;
    draw(chart);
  });
}
