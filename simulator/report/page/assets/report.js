// The data of the page, and how figures look up values in it.

export const data = JSON.parse(document.getElementById("data").textContent);

export const runs = data.runs;
export const latest = runs[runs.length - 1];
export const base = runs.length > 1 ? runs[0] : null;

for (const run of runs) run.at = new Map(run.layers.layer.map((name, index) => [name, index]));

// A column of a layer's row, 0 where a run does not have the layer.
export function value(run, layer, column) {
  const index = run.at.get(layer);
  const column_ = run.values[column] ?? run.layers[column];
  return index === undefined || column_ === undefined ? 0 : column_[index];
}

export function total(run, column) {
  const values = run.values[column] ?? run.layers[column] ?? [];
  return values.reduce((sum, each) => sum + each, 0);
}

export function bound(run, layer) {
  return run.at.has(layer) ? run.layers.bound[run.at.get(layer)] : "";
}

// Parts of a figure that are not 0 everywhere.
export function partsOf(figure) {
  return figure.parts.filter((part) => runs.some((run) => total(run, part.key) > 0));
}

// One layer is chosen for the whole page; whoever shows it is told when another one is.
const listeners = [];
export const chosen = { layer: null };

export function onChoice(listener) {
  listeners.push(listener);
}

export function choose(layer) {
  chosen.layer = layer;
  for (const listener of listeners) listener(layer);
}
