// The task stream: a row a thread, time from left to right. A million runs are drawn as pixels, and
// only those that a pixel can show (see `Runs.level`): a picture costs its rows and columns.

import { AROUND, color, pixel, pixelOf } from "./colors";
import { css, fill, fit, h } from "./dom";
import * as format from "./format";
import { type Store, TRANSFER } from "./store";

const AXIS = 18;
const LABELS = 92;
const TALLEST = 24;
// Between two marks of the axis: what people count in.
const STEPS = [1e-4, 2e-4, 5e-4, 1e-3, 2e-3, 5e-3, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 1800, 3600, 7200, 21600];

export class Timeline {
  readonly element = h("div", { class: "timeline" });
  private readonly canvas = h("canvas", {
    tabindex: 0,
    role: "img",
    "aria-label": "Task stream: arrows move, plus and minus zoom, Home follows the present",
  });
  private readonly told = h("div", { class: "tip", role: "tooltip", hidden: true });
  private readonly image = document.createElement("canvas");
  private pixels = new Uint32Array(0);
  private from = 0;
  private to = 0;
  private follow = true;
  private window = 30;
  private drawn = "";
  private lanes: { rows: Int32Array; workers: number[] } = { rows: new Int32Array(0), workers: [] };
  private laneCount = -1;
  filter = "";
  lastDraw = 0; // milliseconds that the last picture took

  constructor(private readonly store: Store, private readonly onPick: (key: string) => void) {
    this.element.append(this.canvas, this.told);
    this.canvas.addEventListener("wheel", (event) => this.onWheel(event), { passive: false });
    this.canvas.addEventListener("pointerdown", (event) => this.onDown(event));
    this.canvas.addEventListener("pointermove", (event) => this.onHover(event));
    this.canvas.addEventListener("pointerleave", () => { this.told.hidden = true; });
    this.canvas.addEventListener("keydown", (event) => this.onKey(event));
  }

  // Look at a span of time, in seconds since the epoch.
  look(from: number, to: number): void {
    this.follow = false;
    this.from = from;
    this.to = to;
    this.draw();
  }

  lookAtAll(): void {
    const { runs } = this.store;
    if (runs.length) this.look(runs.earliest, runs.stop[runs.length - 1]! + 1e-3);
  }

  draw(): void {
    const { runs, now } = this.store;
    const { context, width, height } = fit(this.canvas);
    if (width < LABELS + 20) return;
    if (this.follow) {
      const last = runs.length ? runs.stop[runs.length - 1]! : now;
      // Idle clusters show the last work, not an empty minute.
      this.to = this.store.replayed ? now : Math.min(Math.max(last + 0.5, now - 5), Math.max(now, last));
      // Of a cluster that began just now: what there is, and not a window of nothing before it.
      this.from = Math.max(this.to - this.window, Math.min(runs.earliest - 0.2, this.to - 5));
    }
    const state = `${runs.length} ${runs.longest} ${this.from} ${this.to} ${width} ${height} ${this.filter} ${css("--back")}`;
    if (state === this.drawn) return;
    this.drawn = state;
    const begin = performance.now();
    if (runs.lanes.length !== this.laneCount) {
      this.laneCount = runs.lanes.length;
      this.lanes = runs.laneOrder((worker) => this.store.workerName(worker));
    }
    context.fillStyle = css("--back");
    context.fillRect(0, 0, width, height);
    this.drawRuns(context, width - LABELS, height - AXIS);
    this.drawAxis(context, width, height);
    this.lastDraw = performance.now() - begin;
  }

  private drawRuns(context: CanvasRenderingContext2D, width: number, height: number): void {
    const { runs } = this.store, rows = this.lanes.workers.length;
    if (!rows) return;
    const columns = Math.max(1, Math.round(width * (window.devicePixelRatio || 1)));
    const lines = this.lines(height), { from, to } = this;
    if (this.pixels.length !== columns * lines) this.pixels = new Uint32Array(columns * lines);
    else this.pixels.fill(0);
    const { pixels } = this, scale = columns / (to - from);
    const colors = Uint32Array.from(this.store.prefixes, (prefix) => pixel(prefix.name));
    const transfer = pixelOf(AROUND.transfer!), deserialize = pixelOf(AROUND.deserialize!);
    // Failures are what stands out most: black, and white where it is dark.
    const failure = css("--dark") === "1" ? 0xffffffff : 0xff000000;
    const wanted = this.filter.toLowerCase();
    const shown = this.store.prefixes.map((prefix) => prefix.name.toLowerCase().includes(wanted));
    const { start, stop, prefix, lane, failed, keys } = runs;
    // Where the line of each lane begins among the pixels; of lanes that share one, only the first
    // one is drawn, and failures of all of them.
    const bases = new Int32Array(this.lanes.rows.length), drawn = new Uint8Array(bases.length);
    this.lanes.rows.forEach((row, i) => {
      const line = this.lineOf(row, lines);
      bases[i] = line * columns;
      drawn[i] = +(row === 0 || this.lineOf(row - 1, lines) !== line);
    });
    // A filter looks at all runs: which of a bin it would choose no coarser view knows.
    const level = wanted ? null : runs.level((to - from) / columns);
    const list = level ? level.indexes : null, among = level ?? runs;
    const end = Math.min(among.length, among.firstEndingAt(to + runs.longest));
    for (let j = among.firstEndingAt(from); j < end; j++) {
      const i = list ? list[j]! : j, begin = start[i]!;
      if (begin > to) continue;
      const row = lane[i]!, bad = failed[i];
      if (!drawn[row] && !bad) continue;
      let left = ((begin - from) * scale) | 0, right = ((stop[i]! - from) * scale) | 0;
      if (left < 0) left = 0;
      if (right >= columns) right = columns - 1;
      const base = bases[row]!;
      // Thinner than two pixels: only where nothing is drawn yet.
      if (right - left < 2 && pixels[base + left] !== 0 && !bad) continue;
      const kind = prefix[i]!;
      if (wanted && !shown[kind] && !keys[i]!.toLowerCase().includes(wanted)) continue;
      // Between two runs side by side a pixel stays free, where there is room.
      if (right - left > 3) right--;
      const shade = bad ? failure : (colors[kind] ?? (kind === TRANSFER ? transfer : deserialize));
      for (let x = base + left, last = base + right; x <= last; x++) pixels[x] = shade;
    }
    if (this.image.width !== columns) this.image.width = columns;
    if (this.image.height !== lines) this.image.height = lines;
    const image = new ImageData(new Uint8ClampedArray(pixels.buffer as ArrayBuffer), columns, lines);
    this.image.getContext("2d")!.putImageData(image, 0, 0);
    context.imageSmoothingEnabled = false;
    const each = this.rowHeight(height + AXIS);
    context.drawImage(this.image, LABELS, 0, width, each * rows);
    if (each < 6) return;
    // Rows are told apart by a thin gap.
    context.fillStyle = css("--back");
    for (let row = 1; row <= rows; row++) context.fillRect(LABELS, Math.round(row * each) - 1, width, 1);
  }

  private lines(height: number): number {
    return Math.max(1, Math.min(this.lanes.workers.length, Math.floor(height)));
  }

  private lineOf(row: number, lines: number): number {
    const rows = this.lanes.workers.length;
    return lines === rows ? row : Math.floor((row * lines) / rows);
  }

  private rowHeight(height: number): number {
    return Math.min(height - AXIS, this.lanes.workers.length * TALLEST) / Math.max(1, this.lanes.workers.length);
  }

  private drawAxis(context: CanvasRenderingContext2D, width: number, height: number): void {
    context.fillStyle = css("--muted");
    context.font = "11px system-ui, sans-serif";
    context.textBaseline = "top";
    const span = this.to - this.from, room = width - LABELS;
    const step = STEPS.find((each) => each >= span / Math.max(2, Math.floor(room / 110))) ?? 86_400;
    const digits = step < 1 ? Math.ceil(-Math.log10(step)) : 0;
    context.textAlign = "center";
    for (let time = Math.ceil(this.from / step) * step; time <= this.to; time += step) {
      const x = LABELS + ((time - this.from) / span) * room;
      context.fillStyle = css("--line");
      context.fillRect(Math.round(x), height - AXIS, 1, 4);
      context.fillStyle = css("--muted");
      const label = digits ? format.clock(time + 1e-7) + ((time + 1e-7) % 1).toFixed(digits).slice(1) : format.clock(time + 1e-3);
      if (x > LABELS + 20 && x < width - 28) context.fillText(label, x, height - AXIS + 5);
    }
    context.textAlign = "left";
    const each = this.rowHeight(height);
    let last = -2, next = 0;
    this.lanes.workers.forEach((worker, row) => {
      const y = row * each;
      if (worker !== last && y >= next) {
        const name = this.store.workerName(worker);
        context.fillText(name.length > 14 ? `…${name.slice(-13)}` : name, 2, y + 1);
        next = y + 13;
      }
      last = worker;
    });
  }

  // -- the mouse and the keyboard

  private at(event: PointerEvent | WheelEvent): { time: number; row: number } {
    const box = this.canvas.getBoundingClientRect();
    const share = (event.clientX - box.left - LABELS) / (box.width - LABELS);
    return {
      time: this.from + share * (this.to - this.from),
      row: Math.floor((event.clientY - box.top) / this.rowHeight(box.height)),
    };
  }

  private zoom(around: number, factor: number): void {
    const span = Math.min(86_400, Math.max(1e-4, (this.to - this.from) * factor));
    if (this.follow) {
      this.window = span;
    } else {
      const share = (around - this.from) / (this.to - this.from);
      this.from = around - share * span;
      this.to = this.from + span;
    }
    this.draw();
  }

  private onWheel(event: WheelEvent): void {
    event.preventDefault();
    if (event.shiftKey || Math.abs(event.deltaX) > Math.abs(event.deltaY)) {
      this.move(((event.deltaX || event.deltaY) / 600) * (this.to - this.from));
      return;
    }
    const { time } = this.at(event);
    if (this.follow && time < this.to - 0.2 * (this.to - this.from)) this.follow = false;
    this.zoom(time, Math.exp(event.deltaY / 400));
  }

  private move(seconds: number): void {
    this.follow = false;
    this.from += seconds;
    this.to += seconds;
    this.draw();
  }

  private onDown(event: PointerEvent): void {
    this.canvas.setPointerCapture(event.pointerId);
    let x = event.clientX, moved = 0;
    const drag = (next: PointerEvent) => {
      moved += Math.abs(next.clientX - x);
      if (moved > 3) this.move(((x - next.clientX) / (this.canvas.clientWidth - LABELS)) * (this.to - this.from));
      x = next.clientX;
    };
    const up = () => {
      this.canvas.removeEventListener("pointermove", drag);
      if (moved <= 3) {
        const found = this.find(event);
        if (found >= 0) this.onPick(this.store.runs.keys[found]!);
      }
    };
    this.canvas.addEventListener("pointermove", drag);
    this.canvas.addEventListener("pointerup", up, { once: true });
  }

  private find(event: PointerEvent): number {
    const { runs } = this.store, { time, row } = this.at(event);
    const slack = (this.to - this.from) / 400;
    const lines = this.lines(this.canvas.clientHeight - AXIS), line = this.lineOf(row, lines);
    let best = -1, distance = slack;
    const end = runs.firstEndingAt(time + runs.longest + slack);
    for (let i = runs.firstEndingAt(time - slack); i < end; i++) {
      if (this.lineOf(this.lanes.rows[runs.lane[i]!]!, lines) !== line) continue;
      const away = Math.max(runs.start[i]! - time, time - runs.stop[i]!, 0);
      if (away < distance || (away === 0 && best < 0)) { best = i; distance = away; }
    }
    return best;
  }

  private onHover(event: PointerEvent): void {
    const i = this.find(event), { runs } = this.store;
    this.told.hidden = i < 0;
    if (i < 0) return;
    const name = this.store.prefixName(runs.prefix[i]!), dot = h("i", { class: "dot" });
    dot.style.background = color(name);
    fill(this.told,
      h("b", {}, dot, runs.keys[i]! || name),
      h("div", {}, `${format.duration(runs.stop[i]! - runs.start[i]!)}, ${runs.failed[i] ? "failed" : format.bytes(runs.nbytes[i]!)}`),
      h("div", { class: "muted" }, `${this.store.workerName(runs.worker[i]!)}, from ${format.clock(runs.start[i]!)}`));
    const box = this.element.getBoundingClientRect(), x = event.clientX - box.left, y = event.clientY - box.top;
    this.told.style.left = `${Math.max(0, Math.min(x + 12, box.width - this.told.offsetWidth - 4))}px`;
    this.told.style.top = `${y + 16 + this.told.offsetHeight > box.height ? y - this.told.offsetHeight - 8 : y + 16}px`;
  }

  private onKey(event: KeyboardEvent): void {
    const span = this.to - this.from;
    const actions: { [key: string]: () => void } = {
      ArrowLeft: () => this.move(-span / 5),
      ArrowRight: () => this.move(span / 5),
      "+": () => this.zoom((this.from + this.to) / 2, 1 / 1.4),
      "-": () => this.zoom((this.from + this.to) / 2, 1.4),
      Home: () => { this.follow = true; this.draw(); },
    };
    const action = actions[event.key];
    if (action) {
      event.preventDefault();
      action();
    }
  }

  present(): void {
    this.follow = true;
    this.draw();
  }
}
