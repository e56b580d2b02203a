// Bars per layer, stacked by part, the runs side by side: hover, choose, zoom.

import { change, quantity, ticks } from "./format.js";
import { announce, el, onWidth, row, scrolling, section, svg } from "./dom.js";
import { base, bound, choose, chosen, data, onChoice, partsOf, runs, value } from "./report.js";
import { hideTip, middle, showTip } from "./tip.js";
import { legend } from "./legend.js";
import { drawTotals } from "./totals.js";
import { dragging, zoomButtons, zoomKey } from "./zoom.js";

const letters = Math.max(...data.short_names.map((name) => name.length));
const MARGIN = { left: 58, right: 6, top: 10, bottom: 28 + 5.5 * letters }; // names are turned by 60 degrees
const HEIGHT = 233 + MARGIN.bottom;
const count = data.layers.length;

const state = { figure: data.figures[0], hidden: new Set(), from: 0, to: count, at: -1, width: 0 };

const shownParts = () => partsOf(state.figure).filter((part) => !state.hidden.has(part.key));
const sum = (run, layer, parts) => parts.reduce((all, part) => all + value(run, layer, part.key), 0);

function tipRows(layer) {
  const { figure } = state;
  const parts = shownParts();
  const line = (name, of) => [name, ...runs.map((run) => quantity(of(run), figure.unit)), ...(base ? [change(of(runs[1]), of(base))] : [])];
  const rows = parts.filter((part) => runs.some((run) => value(run, layer, part.key))).map((part) => line(part.name, (run) => value(run, layer, part.key)));
  if (rows.length > 1) rows.push(line("together", (run) => sum(run, layer, parts)));
  rows.push(["bound", ...runs.map((run) => bound(run, layer))]);
  return base ? [["", ...runs.map((run) => run.name), "change"], ...rows] : rows;
}

function label(layer) {
  const parts = shownParts();
  const texts = runs.map((run) => `${base ? `${run.name} ` : ""}${quantity(sum(run, layer, parts), state.figure.unit)}`);
  return `${layer}: ${texts.join(", ")}; bound by ${bound(runs[runs.length - 1], layer) || "nothing"}`;
}

function draw(chart) {
  const { width, figure } = state;
  if (!width) return;
  const parts = shownParts();
  const inner = { width: width - MARGIN.left - MARGIN.right, height: HEIGHT - MARGIN.top - MARGIN.bottom };
  const layers = data.layers.slice(state.from, state.to);
  const most = Math.max(...layers.flatMap((layer) => runs.map((run) => sum(run, layer, parts))), 0);
  const pitch = inner.width / layers.length;
  const y = (size) => MARGIN.top + inner.height * (1 - (most ? size / (most * 1.03) : 0));
  const nodes = ticks(most, 5).filter((tick) => y(tick) >= MARGIN.top - 1).flatMap((tick) => [
    svg("line", { class: "grid", x1: MARGIN.left, x2: width - MARGIN.right, y1: y(tick), y2: y(tick) }),
    svg("text", { class: "tick", x: MARGIN.left - 6, y: y(tick) + 4, "text-anchor": "end" }, quantity(tick, figure.unit).replace(" cycles", "")),
  ]);
  const every = Math.max(1, Math.ceil(13 / pitch));
  const thick = (pitch * 0.84) / runs.length;
  layers.forEach((layer, index) => {
    const number = state.from + index;
    const left = MARGIN.left + index * pitch;
    const group = svg("g", {
      id: `bar-${number}`, role: "option", "aria-label": label(layer), "aria-selected": String(layer === chosen.layer),
      class: `${number === state.at ? "at " : ""}${layer === chosen.layer ? "chosen" : ""}`,
    }, svg("rect", { class: "hit", x: left, width: pitch, y: MARGIN.top, height: inner.height }));
    runs.forEach((run, at) => {
      let below = 0;
      for (const part of parts) {
        const size = value(run, layer, part.key);
        if (size <= 0) continue;
        const [top, bottom] = [y(below + size), y(below)];
        group.append(svg("rect", {
          class: `part ${part.colour}${base && at === 0 ? " old" : ""}`, "pointer-events": "none",
          x: left + pitch * 0.08 + at * thick + 0.5, width: Math.max(0.5, thick - 1.5), y: top + 0.5, height: Math.max(0.1, bottom - top - 1),
        }));
        below += size;
      }
    });
    const tell = (event) => showTip(layer, tipRows(layer), { x: event.clientX, y: event.clientY });
    group.addEventListener("pointermove", tell);
    group.addEventListener("pointerleave", hideTip);
    group.addEventListener("click", (event) => {
      choose(layer);
      tell(event); // a finger has left by now, and took the tip along
    });
    nodes.push(group);
    if (index % every === 0) {
      const x = left + pitch / 2 + 4;
      nodes.push(svg("text", { class: "tick", "text-anchor": "end", transform: `translate(${x},${HEIGHT - MARGIN.bottom + 12}) rotate(-60)` }, data.short_names[number]));
    }
  });
  nodes.push(svg("line", { class: "axis", x1: MARGIN.left, x2: width - MARGIN.right, y1: y(0), y2: y(0) }));
  chart.setAttribute("viewBox", `0 0 ${width} ${HEIGHT}`);
  chart.setAttribute("height", HEIGHT);
  chart.setAttribute("aria-label", `${figure.name} of every layer. Arrow keys move, Enter chooses a layer, plus and minus zoom.`);
  if (state.at >= 0) chart.setAttribute("aria-activedescendant", `bar-${state.at}`);
  chart.replaceChildren(...nodes);
}

function zoomTo(chart, from, to) {
  state.from = Math.max(0, Math.min(from, count - 1));
  state.to = Math.min(count, Math.max(to, state.from + 1));
  draw(chart);
}

function zoomer(chart) {
  return (factor) => {
    const size = Math.max(2, Math.min(count, Math.round((state.to - state.from) * factor)));
    const inside = state.at >= state.from && state.at < state.to;
    const centre = inside ? state.at + 0.5 : (state.from + state.to) / 2;
    const from = Math.max(0, Math.min(count - size, Math.round(centre - size / 2)));
    zoomTo(chart, from, from + size);
    announce(`Layers ${state.from + 1} to ${state.to} of ${count}`);
  };
}

function keys(chart, zoom) {
  return (event) => {
    if (zoomKey(event, zoom)) return;
    const last = state.to - 1;
    const to = { ArrowRight: state.at + 1, ArrowLeft: state.at - 1, Home: 0, End: count - 1 }[event.key];
    if (to !== undefined) {
      state.at = Math.max(0, Math.min(count - 1, state.at < 0 ? state.from : to));
      const size = state.to - state.from;
      if (state.at > last) zoomTo(chart, state.at - size + 1, state.at + 1);
      else if (state.at < state.from) zoomTo(chart, state.at, state.at + size);
      else draw(chart);
      const layer = data.layers[state.at];
      showTip(layer, tipRows(layer), middle(section(`bar-${state.at}`)));
    } else if ((event.key === "Enter" || event.key === " ") && state.at >= 0) {
      choose(data.layers[state.at]);
    } else return;
    event.preventDefault();
  };
}

function asTable() {
  const parts = partsOf(state.figure);
  const columns = runs.flatMap((run) => parts.map((part) => [run, part]));
  const cells = (layer) => columns.map(([run, part]) => quantity(value(run, layer, part.key), state.figure.unit));
  return el("table", {},
    el("thead", {}, row(["layer", ...columns.map(([run, part]) => (base ? `${run.name}: ${part.name}` : part.name))], true)),
    el("tbody", {}, data.layers.map((layer) => row([layer, ...cells(layer)]))));
}

export function drawBars() {
  const chart = svg("svg", { class: "chart", id: "bars", role: "listbox", tabindex: 0 });
  const all = svg("svg", { class: "chart", id: "totals", role: "img" });
  const caption = el("figcaption");
  const keep = el("div");
  const numbers = el("details", {}, el("summary", {}, "The figure as a table"));
  const zoom = zoomer(chart);
  const redraw = () => {
    draw(chart);
    if (state.width) drawTotals(all, state.width, state.figure, shownParts());
  };
  const fill = () => {
    if (numbers.open) numbers.replaceChildren(numbers.firstChild, scrolling(`${state.figure.name} by layer`, asTable()));
  };
  const pick = (figure) => {
    state.figure = figure;
    state.hidden = new Set();
    keep.replaceChildren(legend("Parts to show", partsOf(figure), state.hidden, redraw));
    const side = base ? ` Of each pair of bars the paler, left one is ${base.name}.` : "";
    caption.textContent = `${figure.name} of the network above, of each layer below.${side} Hover or use the arrow keys for numbers, click or press Enter to look at a layer, drag or press + to zoom.`;
    redraw();
    fill();
  };
  const figures = data.figures.filter((figure) => partsOf(figure).length);
  const select = el("select", { id: "quantity", onchange: () => pick(figures[select.selectedIndex]) }, figures.map((figure) => el("option", {}, figure.name)));
  numbers.addEventListener("toggle", fill);
  chart.addEventListener("keydown", keys(chart, zoom));
  chart.addEventListener("blur", hideTip);
  chart.addEventListener("dblclick", () => zoom(Infinity));
  dragging(chart, false, (from, to) => {
    const pitch = (state.width - MARGIN.left - MARGIN.right) / (state.to - state.from);
    const layerAt = ({ x }) => state.from + Math.floor((x - MARGIN.left) / pitch);
    const [first, last] = [layerAt(from), layerAt(to)].sort((a, b) => a - b);
    zoomTo(chart, first, Math.min(state.to, last + 1));
  });
  const body = el("div", {}, all, chart);
  section("by-layer").append(
    el("div", { class: "controls" }, el("label", { for: "quantity" }, "Show"), select, zoomButtons(zoom)),
    el("figure", {}, keep, body, caption), numbers);
  pick(figures[0]);
  onWidth(body, (width) => {
    state.width = width;
    redraw();
  });
  onChoice((layer) => {
    state.at = data.layers.indexOf(layer);
    if (state.at < state.from || state.at >= state.to) zoomTo(chart, 0, count);
    draw(chart);
  });
}
