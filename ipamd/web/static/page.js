// The reader's own time zone, and views that are live. Without this file everything can still be read.
"use strict";

const zone = document.getElementById("zone");

function inUtc() {
  try { return localStorage.getItem("ipamd-zone") === "utc"; } catch { return false; }
}

function writeTimes(within) {
  for (const time of within.querySelectorAll("time")) {
    const moment = new Date(time.dateTime);
    const parts = inUtc()
      ? moment.toISOString().slice(0, 19).replace("T", " ") + " UTC"
      : new Intl.DateTimeFormat("sv-SE", { dateStyle: "short", timeStyle: "medium" }).format(moment);
    if (time.textContent !== parts) time.textContent = parts;
    time.title = moment.toISOString();
  }
}

if (zone) {
  const local = Intl.DateTimeFormat().resolvedOptions().timeZone;
  const name = () => { zone.lastElementChild.textContent = inUtc() ? "UTC" : local; };
  zone.hidden = false;
  zone.addEventListener("click", () => {
    try { localStorage.setItem("ipamd-zone", inUtc() ? "local" : "utc"); } catch { return; }
    name();
    writeTimes(document);
    document.dispatchEvent(new Event("ipamd:zone"));
  });
  name();
}
writeTimes(document);
document.addEventListener("htmx:after:swap", () => writeTimes(document));

// Rows stay where they are: what changed is replaced in its place, what is gone is struck out, and what is new
// waits until the reader asks for it.
function merge(old, fresh, note) {
  const before = new Map([...old.querySelectorAll("[id]")].map((each) => [each.id, each]));
  let added = 0;
  for (const each of fresh.querySelectorAll("[id]")) {
    const known = before.get(each.id);
    before.delete(each.id);
    if (!known) { added += 1; continue; }
    const differs = known.dataset.text !== each.textContent.trim();
    known.classList.remove("gone");
    if (differs && !each.querySelector("[id]")) {
      const focused = known.contains(document.activeElement);
      const chosen = known.querySelector("input:checked") !== null;
      if (!focused) known.innerHTML = each.innerHTML;
      if (chosen && known.querySelector("input")) known.querySelector("input").checked = true;
      if (known.dataset.text !== undefined) known.classList.toggle("fresh", true);
      known.className = [each.className, known.classList.contains("fresh") ? "fresh" : ""].join(" ").trim();
    } else {
      known.classList.remove("fresh");
    }
    if (each.querySelector("[id]") === null) known.dataset.text = each.textContent.trim();
    if (each.title) known.title = each.title;
    if (each.matches(".cell")) known.className = each.className;
  }
  for (const each of before.values()) if (each.matches("tr")) each.classList.add("gone");
  note(added);
  writeTimes(old);
}

for (const bar of document.querySelectorAll("[data-live]")) {
  const state = bar.querySelector(".state");
  const button = bar.querySelector("button");
  const target = document.getElementById("live");
  let source = null;
  let paused = false;
  let lost = "";
  const show = (text, kind) => { state.textContent = text; bar.className = `live ${kind}`; };
  const stop = () => { source?.close(); source = null; };
  const start = () => {
    stop();
    source = new EventSource(`/ui/live?of=${encodeURIComponent(bar.dataset.live)}`);
    lost = "Connection lost: trying again";
    source.addEventListener("rows", (event) => {
      const fresh = new DOMParser().parseFromString(JSON.parse(event.data), "text/html").body;
      lost = "Connection lost: trying again";
      merge(target, fresh, (added) => show(added ? `Live, ${added} new: load the page again to see them` : "Live", ""));
    });
    source.addEventListener("failed", (event) => show(JSON.parse(event.data), "lost"));
    source.addEventListener("full", (event) => { lost = JSON.parse(event.data); show(lost, "lost"); });
    source.addEventListener("ended", (event) => { stop(); show(JSON.parse(event.data), "lost"); });
    source.addEventListener("error", () => {
      show(source?.readyState === EventSource.CLOSED ? "Not live: load the page again" : lost, "lost");
    });
  };
  button.addEventListener("click", () => {
    paused = !paused;
    if (paused) { stop(); show("Paused", "paused"); } else { start(); }
    button.textContent = paused ? "Go on" : "Pause";
  });
  // A browser has few connections to one host: a window that nobody sees needs none.
  document.addEventListener("visibilitychange", () => {
    if (document.visibilityState === "hidden") stop(); else if (!paused) start();
  });
  addEventListener("pagehide", stop);
  bar.hidden = false;
  if (document.visibilityState !== "hidden") start();
}

// A chosen file is read into the field from which the form sends it.
for (const input of document.querySelectorAll("input[data-into]")) {
  input.addEventListener("change", async () => {
    const file = input.files[0];
    const why = document.getElementById(`${input.id}-why`);
    const fits = !file || file.size <= Number(input.dataset.most);
    why.textContent = fits ? "" : `${file.name} has ${(file.size / 1048576).toFixed(1)} MiB: it is not read.`;
    if (file && fits) document.getElementById(input.dataset.into).value = await file.text();
  });
}

// Tick all boxes of a form at once, or none if all are ticked.
for (const button of document.querySelectorAll("[data-all]")) {
  const boxes = () => [...button.form.querySelectorAll('input[type="checkbox"][name="id"]')];
  button.hidden = boxes().length === 0;
  button.addEventListener("click", () => {
    const none = boxes().every((box) => box.checked);
    for (const box of boxes()) box.checked = !none;
  });
}
