// Zooming a figure: buttons, keys, and dragging over the part to look at.

import { el, svg } from "./dom.js";

export function zoomButtons(zoom) {
  const button = (text, label, factor) =>
    el("button", { type: "button", "aria-label": label, title: label, onclick: () => zoom(factor) }, text);
  return [button("+", "Zoom in", 0.5), button("−", "Zoom out", 2), button("All", "Show all", Infinity)];
}

export function zoomKey(event, zoom) {
  const factor = { "+": 0.5, "=": 0.5, "-": 2, 0: Infinity }[event.key];
  if (factor === undefined || event.ctrlKey || event.metaKey) return false;
  zoom(factor);
  event.preventDefault();
  return true;
}

// Calls `done(from, to)` with corners {x, y} in the figure's coordinates when somebody has dragged over a part of it.
export function dragging(chart, both, done) {
  let from = null;
  let band = null;
  const at = (event) => {
    const box = chart.getBoundingClientRect();
    return { x: event.clientX - box.left, y: event.clientY - box.top };
  };
  chart.addEventListener("pointerdown", (event) => {
    if (event.button === 0 && event.pointerType === "mouse") from = at(event);
  });
  chart.addEventListener("pointermove", (event) => {
    if (!from) return;
    const to = at(event);
    if (!band && Math.hypot(to.x - from.x, to.y - from.y) < 6) return;
    if (!band) {
      band = svg("rect", { class: "band" });
      chart.append(band);
      chart.setPointerCapture(event.pointerId);
    }
    band.setAttribute("x", Math.min(from.x, to.x));
    band.setAttribute("width", Math.abs(to.x - from.x));
    band.setAttribute("y", both ? Math.min(from.y, to.y) : 0);
    band.setAttribute("height", both ? Math.abs(to.y - from.y) : chart.clientHeight);
  });
  const end = (event) => {
    const was = band && { from, to: at(event) };
    band?.remove();
    from = band = null;
    if (!was || event.type === "pointercancel") return;
    const swallow = (click) => click.stopPropagation(); // the click that ends the drag chooses nothing
    chart.addEventListener("click", swallow, { capture: true });
    setTimeout(() => {
      chart.removeEventListener("click", swallow, { capture: true });
      done(was.from, was.to);
    });
  };
  chart.addEventListener("pointerup", end);
  chart.addEventListener("pointercancel", end);
}
