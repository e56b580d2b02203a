// Elements are made from names and values; text always goes in as text, never as markup.

const SVG = "http://www.w3.org/2000/svg";

function filled(node, attributes, children) {
  for (const [name, value] of Object.entries(attributes)) {
    if (name.startsWith("on")) node.addEventListener(name.slice(2), value);
    else if (value === true) node.setAttribute(name, "");
    else if (value !== false && value != null) node.setAttribute(name, value);
  }
  node.append(...children.flat().filter((child) => child != null));
  return node;
}

export function el(tag, attributes = {}, ...children) {
  return filled(document.createElement(tag), attributes, children);
}

export function svg(tag, attributes = {}, ...children) {
  return filled(document.createElementNS(SVG, tag), attributes, children);
}

export function section(id) {
  return document.getElementById(id);
}

// A row of a plain table: its first cell is the row's header.
export function row(cells, head = false) {
  return el("tr", {}, cells.map((cell, at) => {
    const header = head || at === 0;
    return el(header ? "th" : "td", header ? { scope: head ? "col" : "row" } : {}, head ? el("span", {}, cell) : cell);
  }));
}

// A table that scrolls on its own where it is wider than the page.
export function scrolling(label, table) {
  return el("div", { class: "wide", role: "region", "aria-label": label, tabindex: 0 }, table);
}

// Calls `draw` with the width of `node` now and whenever it changes.
export function onWidth(node, draw) {
  let last = 0;
  new ResizeObserver(([entry]) => {
    const width = Math.floor(entry.contentRect.width);
    if (width && width !== last) draw((last = width));
  }).observe(node);
}

export function announce(text) {
  section("announce").textContent = text;
}
