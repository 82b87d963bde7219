// Use over time, out of the hourly samples.
"use strict";

for (const place of document.querySelectorAll("[data-samples]")) {
  fetch(place.dataset.samples)
    .then((answer) => (answer.ok ? answer.json() : Promise.reject(new Error(String(answer.status)))))
    .then(({ times, allocated }) => {
      if (times.length < 2) { place.textContent = "There are too few samples for a curve: one is taken each hour."; return; }
      const style = getComputedStyle(document.documentElement);
      const colour = (name) => style.getPropertyValue(name);
      const axis = { stroke: colour("--faint"), grid: { stroke: colour("--line") } };
      new uPlot({
        width: Math.min(place.clientWidth, 1000),
        height: 200,
        scales: { y: { range: (_, low, high) => [0, Math.max(high, 1) * 1.1] } },
        axes: [axis, axis],
        series: [{}, { label: "allocated", stroke: colour("--allocated"), fill: colour("--leased") + "55", width: 2 }],
      }, [times, allocated], place);
    })
    .catch(() => { place.textContent = "The samples cannot be read now."; });
}
