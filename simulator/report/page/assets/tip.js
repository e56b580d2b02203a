// What is under the pointer, or under the keyboard's cursor, in words.

import { el, row, section } from "./dom.js";

export function showTip(title, rows, place) {
  const tip = section("tip");
  const table = rows.length ? el("table", {}, el("tbody", {}, rows.map((cells) => row(cells)))) : null;
  tip.replaceChildren(...[el("strong", {}, title), table].filter((child) => child));
  tip.hidden = false;
  const box = tip.getBoundingClientRect();
  const left = Math.min(place.x + 14, innerWidth - box.width - 8);
  const below = place.y + 16 + box.height < innerHeight;
  tip.style.left = `${Math.max(8, left)}px`;
  tip.style.top = `${Math.max(8, below ? place.y + 16 : place.y - box.height - 12)}px`;
}

export function hideTip() {
  section("tip").hidden = true;
}

// The middle of an element, for a tip that no pointer places.
export function middle(node) {
  const box = node.getBoundingClientRect();
  return { x: box.left + box.width / 2, y: box.top + box.height / 3 };
}

addEventListener("keydown", (event) => {
  if (event.key === "Escape") hideTip();
});
addEventListener("scroll", hideTip, { passive: true });
