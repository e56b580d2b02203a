// Draws the page from its data, the first layer chosen being the one with the most DRAM traffic.

import { choose, data, latest, value } from "./report.js";
import { drawAbout, drawSummary } from "./summary.js";
import { drawBars } from "./bars.js";
import { drawLayer } from "./layer.js";
import { drawRoofline } from "./roofline.js";
import { drawSpread } from "./spread.js";
import { drawTable } from "./table.js";
import { drawAgain } from "./again.js";

drawAbout();
drawSummary();
drawBars();
drawLayer();
drawRoofline();
drawSpread();
drawTable();
drawAgain();
const heaviest = data.layers.reduce((most, layer) => (value(latest, layer, "dram_bytes") > value(latest, most, "dram_bytes") ? layer : most));
choose(heaviest);
document.documentElement.dataset.ready = Math.round(performance.now()); // milliseconds since the page was asked for
