// The cluster as a map: the scheduler in the middle, a circle a worker around it, as large as it has
// threads and as full as these are at work; each run that ends flies to the middle.

import { color } from "../colors";
import { css, fit, h } from "../dom";
import * as format from "../format";
import type { MakePane } from "../pane";
import type { Worker } from "../store";

const FLIGHT = 700; // milliseconds
const MOST = 400; // runs in flight

export const clusterMap: MakePane = (context) => {
  const canvas = h("canvas", { class: "fill", role: "img", "aria-label": "Map of the cluster" });
  const told = h("div", { class: "told", "aria-live": "polite" });
  const places = new Map<number, { x: number; y: number; radius: number; worker: Worker }>();
  let seen = -1, closed = false, flights: { worker: number; prefix: string; failed: boolean; begun: number }[] = [];
  const { store } = context;
  const natural = new Intl.Collator(undefined, { numeric: true });

  const arrange = (width: number, height: number) => {
    places.clear();
    const workers = [...store.workers.values()].sort((a, b) => natural.compare(a.host, b.host) || natural.compare(a.name, b.name));
    // More rings where there are too many for one.
    const room = Math.min(width, height) / 2 - 24, rings = Math.max(1, Math.ceil(workers.length / 60)), ring = Math.ceil(workers.length / rings);
    workers.forEach((worker, i) => {
      const level = Math.floor(i / ring), count = Math.min(ring, workers.length - level * ring);
      const away = (room * (rings - level * 0.8)) / rings;
      const angle = (2 * Math.PI * (i - level * ring)) / count + level * 0.3 - Math.PI / 2;
      const radius = Math.max(3, Math.min(22, (Math.PI * away) / count * 0.8, 6 + 2 * Math.sqrt(worker.threads)));
      places.set(worker.number, { x: width / 2 + away * Math.cos(angle), y: height / 2 + away * Math.sin(angle), radius, worker });
    });
  };

  const draw = () => {
    const { context: pen, width, height } = fit(canvas), now = performance.now();
    arrange(width, height);
    pen.clearRect(0, 0, width, height);
    pen.strokeStyle = css("--line");
    pen.beginPath();
    for (const place of places.values()) {
      pen.moveTo(width / 2, height / 2);
      pen.lineTo(place.x, place.y);
    }
    pen.stroke();
    pen.font = "11px system-ui, sans-serif";
    pen.textAlign = "center";
    pen.textBaseline = "top";
    for (const { x, y, radius, worker } of places.values()) {
      const busy = Math.min(1, Number(worker.executing ?? 0) / Math.max(1, worker.threads));
      pen.fillStyle = css("--panel");
      pen.beginPath();
      pen.arc(x, y, radius, 0, 7);
      pen.fill();
      pen.fillStyle = worker.status === "running" ? css("--accent") : css("--warn");
      pen.beginPath();
      pen.moveTo(x, y);
      pen.arc(x, y, radius, -Math.PI / 2, -Math.PI / 2 + 2 * Math.PI * busy);
      pen.fill();
      pen.strokeStyle = worker.status === "running" ? css("--accent") : css("--warn");
      pen.lineWidth = 1.5;
      pen.beginPath();
      pen.arc(x, y, radius, 0, 7);
      pen.stroke();
      pen.lineWidth = 1;
      if (places.size <= 60) {
        pen.fillStyle = css("--muted");
        pen.fillText(worker.name.length > 14 ? `…${worker.name.slice(-13)}` : worker.name, x, y + radius + 3);
      }
    }
    pen.fillStyle = css("--text");
    pen.beginPath();
    pen.arc(width / 2, height / 2, 9, 0, 7);
    pen.fill();
    flights = flights.filter((flight) => now - flight.begun < FLIGHT);
    for (const flight of flights) {
      const place = places.get(flight.worker), share = Math.max(0, (now - flight.begun) / FLIGHT);
      if (!place) continue;
      pen.globalAlpha = 1 - 0.6 * share;
      pen.fillStyle = flight.failed ? css("--bad") : color(flight.prefix);
      pen.beginPath();
      pen.arc(place.x + (width / 2 - place.x) * share, place.y + (height / 2 - place.y) * share, 3.5, 0, 7);
      pen.fill();
    }
    pen.globalAlpha = 1;
    if (flights.length && !closed && !document.hidden) requestAnimationFrame(draw);
  };

  canvas.addEventListener("pointermove", (event) => {
    const found = find(event);
    told.textContent = found
      ? `${found.worker.name}   ${found.worker.address}   ${found.worker.threads} threads, ${found.worker.executing ?? 0} tasks run   ${format.bytes(Number(found.worker.memory ?? 0))}`
      : "";
  });
  canvas.addEventListener("click", (event) => {
    const found = find(event);
    if (found) context.open("worker", { address: found.worker.address });
  });
  const find = (event: MouseEvent) => {
    const box = canvas.getBoundingClientRect(), x = event.clientX - box.left, y = event.clientY - box.top;
    return [...places.values()].find((place) => Math.hypot(place.x - x, place.y - y) < place.radius + 4);
  };
  return {
    element: h("div", { class: "fill column" }, canvas, told),
    update: () => {
      const { runs } = store, first = seen < 0 || seen > runs.length ? runs.length : seen, idle = !flights.length;
      const now = performance.now(), count = runs.length - first;
      // Spread over the time until the next frame, so that they do not fly in a pack.
      for (let i = first; i < runs.length && flights.length < MOST; i++) {
        flights.push({ worker: runs.worker[i]!, prefix: store.prefixName(runs.prefix[i]!), failed: !!runs.failed[i], begun: now + (250 * (i - first)) / Math.max(1, count) });
      }
      seen = runs.length;
      if (idle) draw();
    },
    close: () => { closed = true; },
  };
};
