// Numbers as people read them, with decimal units.

const PREFIXES = {
  B: [[1e12, "TB"], [1e9, "GB"], [1e6, "MB"], [1e3, "kB"], [1, "B"]],
  pJ: [[1e12, "J"], [1e9, "mJ"], [1e6, "µJ"], [1e3, "nJ"], [1, "pJ"]],
  ns: [[1e6, "ms"], [1e3, "µs"], [1, "ns"]],
  s: [[1, "s"], [1e-3, "ms"], [1e-6, "µs"], [1e-9, "ns"]],
  cycles: [[1e9, "G cycles"], [1e6, "M cycles"], [1e3, "k cycles"], [1, "cycles"]],
  MAC: [[1e12, "TMAC"], [1e9, "GMAC"], [1e6, "MMAC"], [1e3, "kMAC"], [1, "MAC"]],
  "MAC/s": [[1e12, "TMAC/s"], [1e9, "GMAC/s"], [1e6, "MMAC/s"], [1e3, "kMAC/s"], [1, "MAC/s"]],
  "B/s": [[1e12, "TB/s"], [1e9, "GB/s"], [1e6, "MB/s"], [1e3, "kB/s"], [1, "B/s"]],
  "MAC/B": [[1, "MAC/B"]],
  "": [[1, ""]],
};

export function significant(value, digits = 3) {
  if (value === 0) return "0";
  const rounded = Number(value.toPrecision(digits));
  return rounded.toLocaleString("en", { maximumFractionDigits: Math.max(0, digits - 1 - Math.floor(Math.log10(Math.abs(rounded)))) });
}

export function quantity(value, unit) {
  const scales = PREFIXES[unit];
  const [scale, name] = scales.find(([scale]) => Math.abs(value) >= scale * 0.9995) ?? scales[scales.length - 1];
  return `${significant(value / scale)} ${name}`.trim();
}

export function whole(value) {
  return Math.round(value).toLocaleString("en");
}

export function percent(share) {
  return `${(100 * share).toFixed(share && share < 0.1 ? 1 : 0)} %`;
}

// The change from one number to another in percent, with its sign.
export function change(value, base) {
  if (!base) return value ? "new" : "=";
  const percents = (100 * (value - base)) / base;
  if (percents === 0) return "=";
  if (Math.abs(percents) < 0.05) return "≈";
  return `${percents > 0 ? "+" : "−"}${Math.abs(percents).toFixed(1)} %`;
}

// The change from one percentage to another in percentage points, with its sign.
export function points(value, base) {
  const found = value - base;
  if (found === 0) return "=";
  if (Math.abs(found) < 0.05) return "≈";
  return `${found > 0 ? "+" : "−"}${Math.abs(found).toFixed(1)} pp`;
}

// Round steps for an axis from 0 to `most`, about `count` of them.
export function ticks(most, count) {
  if (!(most > 0)) return [0];
  const raw = most / count;
  const power = 10 ** Math.floor(Math.log10(raw));
  const step = [1, 2, 5, 10].map((factor) => factor * power).find((each) => each >= raw);
  const found = [];
  for (let at = 0; at <= most * 1.0001; at += step) found.push(at);
  return found;
}
