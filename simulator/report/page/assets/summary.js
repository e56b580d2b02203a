// What the run costs in a few figures, each with its change, and all totals as a table.

import { change, percent, points, quantity, significant, whole } from "./format.js";
import { el, row, scrolling, section } from "./dom.js";
import { base, bound, data, latest, runs } from "./report.js";

const CARDS = [
  ["DRAM traffic", "dram_bytes", "B", -1],
  ["Time", "seconds", "s", -1],
  ["Cycles", "cycles", "cycles", -1],
  ["Energy", "energy_pj", "pJ", -1],
  ["Frames per second", "frames_per_second", "", 1],
  ["Array utilisation", "utilisation", "share", 1],
  ["MACs performed", "macs_performed", "MAC", 0],
];

export function shown(value, unit) {
  if (unit === "share") return `${(100 * value).toFixed(1)} %`;
  if (unit === "percent") return `${significant(value)} %`;
  return unit === "whole" ? whole(value) : quantity(value, unit);
}

// The change of a column or total: shares change by percentage points, all else by percent.
export function changed(value, base, unit) {
  if (unit === "share") return points(100 * value, 100 * base);
  return unit === "percent" ? points(value, base) : change(value, base);
}

// What a column or total is called; its name in the tables and files shows on hovering.
export function labelled(name) {
  return el("span", { title: name }, data.labels[name] ?? name);
}

// Which unit a column of totals or layers has, by the end of its name.
export function unitOf(name) {
  if (name === "seconds") return "s";
  if (name.endsWith("bytes") || name.endsWith("bytes_per_second")) return name.endsWith("second") ? "B/s" : "B";
  if (name.endsWith("_pj")) return "pJ";
  if (name === "utilisation" || name.endsWith("_share")) return "share";
  if (name.endsWith("_percent")) return "percent";
  if (name.endsWith("_ns")) return "ns";
  if (name.startsWith("macs_")) return "MAC";
  return name.endsWith("cycles") || name.startsWith("row_") || name.endsWith("_elements") || name === "tiles" ? "whole" : "";
}

function card([label, key, unit, better]) {
  const now = latest.totals[key];
  const lines = [];
  if (base) {
    const before = base.totals[key];
    const text = changed(now, before, unit);
    const good = better * (now - before);
    const kind = text === "=" || text === "≈" || !good ? "" : good > 0 ? "better" : "worse";
    lines.push(el("small", { class: kind }, text), el("small", {}, `${base.name}: ${shown(before, unit)}`));
  }
  return el("div", {}, el("dt", {}, label), el("dd", {}, shown(now, unit), lines));
}

function accuracyCard() {
  const accuracy = latest.meta.accuracy;
  if (!accuracy) return null;
  const known = [["top-1", accuracy.top1], ["top-5", accuracy.top5], ["as unpruned", accuracy.agreement]].filter(([, share]) => share != null);
  if (!known.length) return null;
  const [[label, share], ...others] = known;
  return el("div", {}, el("dt", {}, `Accuracy, ${label}`), el("dd", {}, percent(share),
    others.map(([label, share]) => el("small", {}, `${label}: ${percent(share)}`)),
    el("small", {}, `of ${accuracy.images} images`)));
}

export function drawAbout() {
  const { meta, pruning } = latest;
  const against = base ? `; held against ${base.name}` : "";
  const zeros = meta.trace_has_maps ? (meta.trace_statistical ? "zeros drawn at random" : "recorded zeros") : "shapes only: every value counts as non-zero";
  const batch = meta.batch === 1 ? "per image" : `per batch of ${meta.batch} images`;
  section("about").textContent = `${pruning}${against}; ${zeros}; all figures ${batch}; fmapsim ${meta.fmapsim}`;
}

function boundsSentence() {
  const cycles = new Map();
  for (const layer of data.layers) {
    const by = bound(latest, layer);
    if (by) cycles.set(by, (cycles.get(by) ?? 0) + latest.layers.cycles[latest.at.get(layer)]);
  }
  const all = latest.totals.cycles;
  const parts = [...cycles].sort((a, b) => b[1] - a[1]).map(([by, of]) => `${by} for ${percent(of / all)}`);
  return parts.length ? `What bounds the layers, by their share of the time: ${parts.join(", ")}.` : "";
}

export function drawSummary() {
  const names = [...new Set(runs.flatMap((run) => Object.keys(run.totals)))].filter((name) => runs.some((run) => run.totals[name]));
  const table = el("table", {},
    el("caption", {}, "Sums over all layers, and the most that buffers held. Hover for a total's name in report.json."),
    el("thead", {}, row(["total", ...runs.map((run) => run.name), ...(base ? ["change"] : [])], true)),
    el("tbody", {}, names.map((name) => row([
      labelled(name),
      ...runs.map((run) => shown(run.totals[name] ?? 0, unitOf(name))),
      ...(base ? [changed(latest.totals[name] ?? 0, base.totals[name] ?? 0, unitOf(name))] : []),
    ]))));
  section("summary").append(
    el("dl", { class: "cards" }, CARDS.map(card), accuracyCard()),
    el("p", {}, boundsSentence()),
    el("details", {}, el("summary", {}, "All totals"), scrolling("All totals", table)));
}
