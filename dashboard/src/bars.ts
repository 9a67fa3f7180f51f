// Bars, one a worker, or how many workers have how much where there are too many for that.

import { css, fit, h } from "./dom";

export interface Bar {
  label: string;
  parts: { value: number; color: string }[];
  text: string;
  pick?: () => void;
}

const MOST = 50;
const BINS = 24;

export class Bars {
  readonly element = h("div", { class: "fill scroll" });
  private readonly canvas = h("canvas", { role: "img" });
  private bars: Bar[] = [];
  private row = 18;

  constructor(title: string) {
    this.canvas.setAttribute("aria-label", title);
    this.element.append(this.canvas);
    this.canvas.addEventListener("click", (event) => {
      if (this.bars.length > MOST) return;
      this.bars[Math.floor((event.clientY - this.canvas.getBoundingClientRect().top) / this.row)]?.pick?.();
    });
  }

  // `most`: what a full bar stands for; 0: the largest there is.
  show(bars: Bar[], most: number, label: (value: number) => string): void {
    this.bars = bars;
    const sum = (bar: Bar) => bar.parts.reduce((total, part) => total + part.value, 0);
    const whole = Math.max(most, ...bars.map(sum), 1e-9);
    this.canvas.setAttribute("data-summary", bars.slice(0, MOST).map((bar) => `${bar.label}: ${bar.text}`).join("; "));
    if (bars.length > MOST) this.histogram(bars.map(sum), whole, label);
    else this.rows(whole);
  }

  private rows(whole: number): void {
    this.canvas.style.height = `${Math.max(1, this.bars.length) * this.row}px`;
    const { context, width, height } = fit(this.canvas);
    context.clearRect(0, 0, width, height);
    context.font = "11px system-ui, sans-serif";
    context.textBaseline = "middle";
    const left = 84, room = width - left - 4;
    this.bars.forEach((bar, i) => {
      const y = i * this.row;
      context.fillStyle = css("--muted");
      context.fillText(bar.label.length > 12 ? `…${bar.label.slice(-11)}` : bar.label, 2, y + this.row / 2);
      context.fillStyle = css("--line");
      context.fillRect(left, y + 2, room, this.row - 4);
      let x = left;
      for (const part of bar.parts) {
        const wide = (room * Math.max(0, part.value)) / whole;
        context.fillStyle = part.color;
        context.fillRect(x, y + 2, wide, this.row - 4);
        x += wide;
      }
      context.fillStyle = css("--text");
      context.fillText(bar.text, left + 6, y + this.row / 2 + 0.5);
    });
  }

  private histogram(values: number[], whole: number, label: (value: number) => string): void {
    this.canvas.style.height = "100%";
    const { context, width, height } = fit(this.canvas);
    context.clearRect(0, 0, width, height);
    const bins = new Array(BINS).fill(0);
    for (const value of values) bins[Math.min(BINS - 1, Math.floor((value / whole) * BINS))]++;
    const tallest = Math.max(...bins), room = height - 34;
    context.font = "11px system-ui, sans-serif";
    context.textBaseline = "top";
    context.fillStyle = css("--accent");
    bins.forEach((count, i) => {
      const high = (room * count) / tallest;
      context.fillRect((i * width) / BINS + 1, 16 + room - high, width / BINS - 2, high);
    });
    context.fillStyle = css("--muted");
    context.textAlign = "left";
    context.fillText(`${values.length} workers; the tallest bar: ${tallest}`, 2, 0);
    context.fillText(label(0), 2, height - 14);
    context.textAlign = "right";
    context.fillText(label(whole), width - 2, height - 14);
    context.textAlign = "left";
  }
}
