// Every layer with MACs under the roofs of DRAM and array, on logarithmic axes.

import { quantity } from "./format.js";
import { announce, el, onWidth, section, svg } from "./dom.js";
import { base, bound, choose, chosen, data, latest, onChoice, runs, value } from "./report.js";
import { hideTip, middle, showTip } from "./tip.js";
import { legend } from "./legend.js";
import { dragging, zoomButtons, zoomKey } from "./zoom.js";

const MARGIN = { left: 78, right: 12, top: 12, bottom: 44 };
const HEIGHT = 380;
const KINDS = [
  { key: "memory", name: "bound by DRAM", colour: "blue" },
  { key: "other", name: "bound by something else", colour: "orange" },
];

const state = { hidden: new Set(), view: null, width: 0, at: -1 };

function points() {
  return runs.flatMap((run) => data.layers.map((layer) => {
    const [macs, bytes, cycles] = ["macs_dense", "dram_bytes", "cycles"].map((column) => value(run, layer, column));
    if (!macs || !bytes || !cycles) return null;
    return { run, layer, cycles, x: macs / bytes, y: (macs * run.meta.clock_hz) / cycles, kind: bound(run, layer).startsWith("DRAM") ? "memory" : "other" };
  })).filter((point) => point);
}

const all = points();
const roofs = [...new Map(runs.map((run) => {
  const roof = { bandwidth: run.meta.dram_bandwidth_bytes_per_second, peak: run.meta.array_macs * run.meta.clock_hz };
  return [`${roof.bandwidth} ${roof.peak}`, roof];
})).values()];

function everything() {
  const xs = [...all.map((point) => point.x), ...roofs.flatMap((roof) => [roof.peak / roof.bandwidth / 4, (roof.peak / roof.bandwidth) * 4])];
  const ys = [...all.map((point) => point.y), ...roofs.map((roof) => roof.peak * 1.6)];
  const log = (values, pick) => Math.log10(pick(...values));
  return { x0: log(xs, Math.min) - 0.15, x1: log(xs, Math.max) + 0.15, y0: log(ys, Math.min) - 0.15, y1: log(ys, Math.max) + 0.1 };
}

function logTicks(from, to) {
  const found = [];
  const factors = to - from < 2.5 ? [1, 2, 5] : [1];
  for (let power = Math.floor(from); power <= to; power += 1) {
    for (const factor of factors) {
      const at = power + Math.log10(factor);
      if (at >= from && at <= to) found.push([at, factor * 10 ** power]);
    }
  }
  return found;
}

function mark(point, x, y, radius) {
  const place = { class: `part ${KINDS.find((kind) => kind.key === point.kind).colour}${base && point.run === base ? " old" : ""}` };
  if (point.kind === "memory") return svg("circle", { ...place, cx: x, cy: y, r: radius });
  return svg("rect", { ...place, x: x - radius * 0.9, y: y - radius * 0.9, width: radius * 1.8, height: radius * 1.8 });
}

function tipRows(point) {
  return [["intensity", `${point.x.toPrecision(3)} MACs per byte`], ["speed", quantity(point.y, "MAC/s")], ["cycles", quantity(point.cycles, "cycles")], ["bound", bound(point.run, point.layer)]];
}

function titleOf(point) {
  return base ? `${point.layer}, ${point.run.name}` : point.layer;
}

function draw(chart) {
  const { width, view } = state;
  if (!width) return;
  const x = (value) => MARGIN.left + ((Math.log10(value) - view.x0) / (view.x1 - view.x0)) * (width - MARGIN.left - MARGIN.right);
  const y = (value) => HEIGHT - MARGIN.bottom - ((Math.log10(value) - view.y0) / (view.y1 - view.y0)) * (HEIGHT - MARGIN.top - MARGIN.bottom);
  const [left, right, top, bottom] = [MARGIN.left, width - MARGIN.right, MARGIN.top, HEIGHT - MARGIN.bottom];
  const nodes = [svg("clipPath", { id: "plot" }, svg("rect", { x: left, y: top, width: right - left, height: bottom - top }))];
  for (const [, tick] of logTicks(view.x0, view.x1)) {
    nodes.push(svg("line", { class: "grid", x1: x(tick), x2: x(tick), y1: top, y2: bottom }),
      svg("text", { class: "tick", x: x(tick), y: bottom + 16, "text-anchor": "middle" }, String(Number(tick.toPrecision(2)))));
  }
  for (const [, tick] of logTicks(view.y0, view.y1)) {
    nodes.push(svg("line", { class: "grid", x1: left, x2: right, y1: y(tick), y2: y(tick) }),
      svg("text", { class: "tick", x: left - 6, y: y(tick) + 4, "text-anchor": "end" }, quantity(tick, "MAC/s").replace("/s", "")));
  }
  nodes.push(svg("text", { x: (left + right) / 2, y: HEIGHT - 8, "text-anchor": "middle" }, "dense MACs per DRAM byte"),
    svg("text", { "text-anchor": "middle", transform: `translate(13,${(top + bottom) / 2}) rotate(-90)` }, "dense MACs per second"));
  const inside = svg("g", { "clip-path": "url(#plot)" });
  const labels = roofs.map(({ bandwidth, peak }, index) => svg("text", { // no layer is faster than DRAM: this corner is free
    class: "above", x: left + 8, y: top + 14 + 15 * index,
  }, `Roof${roofs.length > 1 ? ` of ${runs[index].name}` : ""}: array ${quantity(peak, "MAC/s")}, DRAM ${quantity(bandwidth, "B/s")}`));
  for (const { bandwidth, peak } of roofs) {
    const [start, ridge, end] = [10 ** view.x0, peak / bandwidth, 10 ** view.x1];
    const corners = [[Math.min(start, ridge), Math.min(start, ridge) * bandwidth], [ridge, peak], [Math.max(end, ridge), peak]];
    inside.append(svg("polyline", { class: "roof", points: corners.map(([cx, cy]) => `${x(cx)},${y(cy)}`).join(" ") }));
  }
  const longest = Math.max(...all.map((point) => point.cycles), 1);
  if (base) {
    const [old, now] = runs.map((run) => new Map(all.filter((point) => point.run === run).map((point) => [point.layer, point])));
    for (const [layer, from] of old) {
      const to = now.get(layer);
      if (to && !state.hidden.size) inside.append(svg("line", { class: "link", x1: x(from.x), y1: y(from.y), x2: x(to.x), y2: y(to.y) }));
    }
  }
  all.forEach((point, index) => {
    if (state.hidden.has(point.kind) || state.hidden.has(point.run.name)) return;
    const radius = 3 + 9 * Math.sqrt(point.cycles / longest);
    const marked = point.layer === chosen.layer || index === state.at;
    const group = svg("g", { id: `point-${index}`, role: "option", "aria-selected": String(point.layer === chosen.layer), "aria-label": `${titleOf(point)}: ${tipRows(point).map((cells) => cells.join(" ")).join(", ")}` },
      mark(point, x(point.x), y(point.y), radius),
      marked ? svg("circle", { class: "axis", cx: x(point.x), cy: y(point.y), r: radius + 3 }) : null);
    const tell = (event) => showTip(titleOf(point), tipRows(point), { x: event.clientX, y: event.clientY });
    group.addEventListener("pointermove", tell);
    group.addEventListener("pointerleave", hideTip);
    group.addEventListener("click", (event) => {
      choose(point.layer);
      tell(event);
    });
    inside.append(group);
  });
  nodes.push(inside, ...labels, svg("path", { class: "axis", d: `M${left},${top}V${bottom}H${right}` }));
  chart.setAttribute("viewBox", `0 0 ${width} ${HEIGHT}`);
  chart.setAttribute("height", HEIGHT);
  if (state.at >= 0) chart.setAttribute("aria-activedescendant", `point-${state.at}`);
  chart.replaceChildren(...nodes);
}

export function drawRoofline() {
  const home = section("roofline");
  if (!all.length) {
    home.append(el("p", {}, "No layer has both MACs and DRAM traffic."));
    return;
  }
  state.view = everything();
  const chart = svg("svg", { class: "chart", id: "roofline-chart", role: "listbox", tabindex: 0, "aria-label": "Roofline: layers by operational intensity and speed. Arrow keys move, Enter chooses a layer, plus and minus zoom." });
  const zoom = (factor) => {
    if (factor === Infinity) state.view = everything();
    else {
      const { x0, x1, y0, y1 } = state.view;
      const point = all[state.at];
      const [cx, cy] = point ? [Math.log10(point.x), Math.log10(point.y)] : [(x0 + x1) / 2, (y0 + y1) / 2];
      const [dx, dy] = [((x1 - x0) * factor) / 2, ((y1 - y0) * factor) / 2];
      state.view = { x0: cx - dx, x1: cx + dx, y0: cy - dy, y1: cy + dy };
    }
    draw(chart);
    announce(factor === Infinity ? "All layers" : factor < 1 ? "Zoomed in" : "Zoomed out");
  };
  const shown = (index) => index >= 0 && index < all.length && !state.hidden.has(all[index].kind) && !state.hidden.has(all[index].run.name);
  chart.addEventListener("keydown", (event) => {
    if (zoomKey(event, zoom)) return;
    const by = { ArrowRight: 1, ArrowDown: 1, ArrowLeft: -1, ArrowUp: -1 }[event.key];
    if (by) {
      let to = state.at + by;
      while (to >= 0 && to < all.length && !shown(to)) to += by;
      if (!shown(to)) return;
      state.at = to;
      draw(chart);
      showTip(titleOf(all[to]), tipRows(all[to]), middle(section(`point-${to}`)));
    } else if ((event.key === "Enter" || event.key === " ") && shown(state.at)) choose(all[state.at].layer);
    else return;
    event.preventDefault();
  });
  chart.addEventListener("blur", hideTip);
  chart.addEventListener("dblclick", () => zoom(Infinity));
  dragging(chart, true, (from, to) => {
    const { x0, x1, y0, y1 } = state.view;
    const atX = (place) => x0 + ((place - MARGIN.left) / (state.width - MARGIN.left - MARGIN.right)) * (x1 - x0);
    const atY = (place) => y0 + ((HEIGHT - MARGIN.bottom - place) / (HEIGHT - MARGIN.top - MARGIN.bottom)) * (y1 - y0);
    const [ax, bx] = [atX(from.x), atX(to.x)].sort((a, b) => a - b);
    const [ay, by] = [atY(from.y), atY(to.y)].sort((a, b) => a - b);
    if (bx - ax > 1e-3 && by - ay > 1e-3) state.view = { x0: ax, x1: bx, y0: ay, y1: by };
    draw(chart);
  });
  const parts = [...KINDS, ...(base ? runs.map((run) => ({ key: run.name, name: run.name, colour: "grey", old: run === base })) : [])];
  const memory = all.filter((point) => point.run === latest && point.kind === "memory").length;
  const of = all.filter((point) => point.run === latest).length;
  const body = el("div", {}, chart);
  home.append(el("div", { class: "controls" }, zoomButtons(zoom)),
    el("figure", {}, legend("Layers to show", parts, state.hidden, () => draw(chart)), body,
      el("figcaption", {}, `Of the ${of} layers that have MACs, DRAM traffic and time of their own, ${memory} are bound by DRAM. Circles are bound by DRAM, squares by something else; the area grows with cycles.${base ? ` Pale marks are ${base.name}; a line leads to the same layer now.` : ""} Both axes count dense MACs, so skipped work lifts a layer, even above the array's roof.`)));
  onWidth(body, (width) => {
    state.width = width;
    draw(chart);
  });
  onChoice(() => draw(chart));
}
