// What it takes to make the run again: the command, the accelerator, where the trace came from, and all data.

import { announce, el, section } from "./dom.js";
import { data, latest, runs } from "./report.js";

function block(title, text, file) {
  const copy = el("button", { type: "button", onclick: async () => {
    try {
      await navigator.clipboard.writeText(text);
      announce(`${title} copied`);
    } catch {
      getSelection().selectAllChildren(shown);
      announce("Selected: copy with the keyboard");
    }
  } }, "Copy");
  const save = file ? el("a", { download: file, href: URL.createObjectURL(new Blob([text], { type: "text/plain" })) }, `Save as ${file}`) : null;
  const shown = el("pre", { tabindex: 0, role: "region", "aria-label": title }, text);
  return el("div", {}, el("h3", {}, title), el("div", { class: "controls" }, copy, save), shown);
}

export function drawAgain() {
  const settings = JSON.stringify(latest.meta.accelerator_settings, null, 1);
  const { accelerator_settings, ...provenance } = latest.meta;
  const { trace, trace_reference, trace_sha256 } = latest.meta;
  const origin = trace_reference ? `The trace's content has SHA-256 ${trace_sha256}.`
    : `The report does not say where its trace came from: where ${trace} is no name that fmapsim knows, put its file there instead.`;
  section("again").append(...[
    block("Command", data.command),
    el("p", {}, data.accelerator_file ? "accelerator.yaml is the file below, and lies in the report's folder: run the command there." : "The accelerator's settings are below; quantities are in B, Hz, B/s, ps, pJ, mW and bit."),
    el("p", { id: "origin" }, origin),
    data.accelerator_file
      ? block("Accelerator", data.accelerator_file, "accelerator.yaml")
      : block("Accelerator", settings, "accelerator.json"),
    block("Provenance", JSON.stringify(provenance, null, 1), "provenance.json"),
    el("p", {}, el("a", { download: "report-data.json", href: URL.createObjectURL(new Blob([JSON.stringify({ layers: data.layers, runs }, (key, value) => (key === "at" ? undefined : value))], { type: "application/json" })) }, "All numbers of this page as JSON")),
  ]);
}
