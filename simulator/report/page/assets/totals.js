// One stacked bar per run: what the whole network takes, by part.

import { change, percent, quantity } from "./format.js";
import { el, svg } from "./dom.js";
import { base, runs, total } from "./report.js";
import { hideTip, showTip } from "./tip.js";

const LINE = 20;
const BAR = 22;

export function drawTotals(chart, width, figure, parts) {
  const sums = runs.map((run) => parts.reduce((sum, part) => sum + total(run, part.key), 0));
  const most = Math.max(...sums, 1e-30);
  const height = runs.length * (LINE + BAR + 8);
  chart.setAttribute("viewBox", `0 0 ${width} ${height}`);
  chart.setAttribute("height", height);
  chart.replaceChildren(...runs.flatMap((run, at) => {
    const top = at * (LINE + BAR + 8);
    const changed = base && run !== base ? ` (${change(sums[at], sums[0])})` : "";
    let left = 0;
    const bars = parts.map((part) => {
      const size = total(run, part.key);
      const length = (size / most) * (width - 2);
      const bar = svg("rect", { class: `part ${part.colour}${base && run === base ? " old" : ""}`, x: left + 1, y: top + LINE, width: Math.max(0, length - 1), height: BAR });
      const text = [part.name, quantity(size, figure.unit), percent(sums[at] ? size / sums[at] : 0)];
      bar.addEventListener("pointermove", (event) => showTip(run.name, [text], { x: event.clientX, y: event.clientY }));
      bar.addEventListener("pointerleave", hideTip);
      left += length;
      return size > 0 ? bar : null;
    }).filter((bar) => bar);
    return [svg("text", { x: 0, y: top + 14 }, `${run.name}: ${quantity(sums[at], figure.unit)}${changed}`), ...bars];
  }));
  chart.setAttribute("aria-label", runs.map((run, at) => `${run.name}: ${quantity(sums[at], figure.unit)}, of which ${parts.map((part) => `${part.name} ${quantity(total(run, part.key), figure.unit)}`).join(", ")}`).join(". "));
}
