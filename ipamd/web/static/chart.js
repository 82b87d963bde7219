// Use over time, out of the hourly samples: as wide as there is room, in the reader's zone and colours.
"use strict";

const DAY = 86400;
const DATES = [
  [DAY, "{MM}-{DD}", "\n{YYYY}", null, null, null, null, null, 1],
  [60, "{HH}:{mm}", "\n{YYYY}-{MM}-{DD}", null, "\n{MM}-{DD}", null, null, null, 1],
];
const WIDEST = 1000;

function draw(place, samples) {
  const style = getComputedStyle(document.documentElement);
  const colour = (name) => style.getPropertyValue(name);
  const axis = { stroke: colour("--faint"), grid: { stroke: colour("--line"), width: 1 }, ticks: { stroke: colour("--line"), width: 1 } };
  const latest = samples[0].length - 1;
  const shown = (chart) => { if (chart.legend.idx == null) chart.setLegend({ idx: latest }, false); };
  return new uPlot({
    width: Math.min(place.clientWidth, WIDEST),
    height: 200,
    tzDate: inUtc() ? (seconds) => uPlot.tzDate(new Date(seconds * 1000), "Etc/UTC") : (seconds) => new Date(seconds * 1000),
    scales: { y: { range: (_, low, high) => [0, Math.max(high, 1) * 1.1] } },
    axes: [{ ...axis, values: DATES, space: 60 }, axis],
    hooks: { ready: [shown], setLegend: [shown] },
    series: [
      { label: "hour from", value: "{YYYY}-{MM}-{DD} {HH}:{mm}" },
      { label: "allocated", stroke: colour("--allocated"), fill: colour("--leased") + "55", width: 2 },
    ],
  }, samples, place);
}

for (const place of document.querySelectorAll("[data-samples]")) {
  fetch(place.dataset.samples)
    .then((answer) => (answer.ok ? answer.json() : Promise.reject(new Error(String(answer.status)))))
    .then(({ times, allocated }) => {
      if (times.length < 2) { place.textContent = "There are too few samples for a curve: one is taken each hour."; return; }
      let chart = draw(place, [times, allocated]);
      const again = () => { chart.destroy(); chart = draw(place, [times, allocated]); };
      matchMedia("(prefers-color-scheme: dark)").addEventListener("change", again);
      document.addEventListener("ipamd:zone", again);
      new ResizeObserver(() => chart.setSize({ width: Math.min(place.clientWidth, WIDEST), height: 200 })).observe(place);
    })
    .catch(() => { place.textContent = "The samples cannot be read now."; });
}
