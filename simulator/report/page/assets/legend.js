// Parts of a figure as buttons that show and hide them.

import { el, svg } from "./dom.js";

export function swatch(colour, old = false) {
  return svg("svg", { class: "swatch", viewBox: "0 0 14 14", "aria-hidden": "true" },
    svg("rect", { class: `part ${colour}${old ? " old" : ""}`, x: 1, y: 1, width: 12, height: 12 }));
}

// hidden: a set of keys, changed by the buttons, after which `changed` is called.
export function legend(label, parts, hidden, changed) {
  return el("div", { class: "controls legend", role: "group", "aria-label": label }, parts.map((part) => {
    const button = el("button", { type: "button", "aria-pressed": String(!hidden.has(part.key)) }, swatch(part.colour, part.old), part.name);
    button.addEventListener("click", () => {
      if (!hidden.delete(part.key)) hidden.add(part.key);
      button.setAttribute("aria-pressed", String(!hidden.has(part.key)));
      changed();
    });
    return button;
  }));
}
