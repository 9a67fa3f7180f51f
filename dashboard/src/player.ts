// The bar below a recorded run: play, and where in time one is.

import { h } from "./dom";
import * as format from "./format";
import type { Replay } from "./recording";

const SPEEDS = [1, 2, 5, 10, 60];

export function player(replay: Replay, draw: () => void): HTMLElement {
  const length = Math.max(0.01, replay.end - replay.begin);
  let time = replay.end, playing = false, before = 0;
  const slider = h("input", { type: "range", min: 0, max: 1000, step: 1, value: 1000, "aria-label": "Time in the recording" });
  const clock = h("span", { class: "clock" });
  const speed = h("select", { "aria-label": "Speed" }, ...SPEEDS.map((each) => h("option", { value: each }, `${each} ×`)));
  const button = h("button", { type: "button", "aria-label": "Play or pause" }, "▶");
  const show = () => {
    clock.textContent = `${format.clock(time)} (${format.duration(Math.max(0, time - replay.begin)) || "0 s"} of ${format.duration(length)})`;
    slider.value = String(Math.round((1000 * (time - replay.begin)) / length));
    slider.setAttribute("aria-valuetext", clock.textContent);
    replay.go(time);
    draw();
  };
  const step = (now: number) => {
    if (!playing) return;
    time = Math.min(replay.end, time + (Number(speed.value) * (now - before)) / 1000);
    before = now;
    show();
    if (time >= replay.end) stop();
    else requestAnimationFrame(step);
  };
  const stop = () => {
    playing = false;
    button.textContent = "▶";
  };
  button.addEventListener("click", () => {
    if (playing) return stop();
    if (time >= replay.end) time = replay.begin;
    playing = true;
    button.textContent = "⏸";
    before = performance.now();
    requestAnimationFrame(step);
  });
  slider.addEventListener("input", () => {
    stop();
    time = replay.begin + (Number(slider.value) / 1000) * length;
    show();
  });
  queueMicrotask(show);
  return h("footer", { class: "player" }, button, slider, clock, speed);
}
