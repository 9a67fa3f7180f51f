// Runs of tasks, up to a million, in typed arrays: ordered by their end, oldest first.

export const CAPACITY = 1_000_000;
const NOBODY = 0xffffffff;

export interface Batch {
  worker: Uint32Array;
  prefix: Uint32Array;
  start: Float64Array;
  stop: Float64Array;
  nbytes: Float64Array;
  failed: Uint8Array;
  keys: string[];
}

export class Runs {
  length = 0;
  // Times are seconds since `origin`: 32 bits of a float keep 0.1 ms over some minutes only.
  readonly start: Float64Array;
  readonly stop: Float64Array;
  readonly worker: Uint32Array;
  readonly prefix: Uint32Array;
  readonly nbytes: Float32Array;
  readonly failed: Uint8Array;
  readonly lane: Uint32Array;
  keys: string[] = [];
  lanes: { worker: number; until: number }[] = [];
  private readonly lanesOf = new Map<number, number[]>();
  longest = 0; // seconds of the longest run: how far before a time one must look

  constructor(
    private readonly capacity: number = CAPACITY,
    private readonly threadsOf: (worker: number) => number = () => 64,
  ) {
    this.start = new Float64Array(capacity);
    this.stop = new Float64Array(capacity);
    this.worker = new Uint32Array(capacity);
    this.prefix = new Uint32Array(capacity);
    this.nbytes = new Float32Array(capacity);
    this.failed = new Uint8Array(capacity);
    this.lane = new Uint32Array(capacity);
  }

  clear(): void {
    this.length = 0;
    this.keys = [];
    this.lanes = [];
    this.lanesOf.clear();
    this.longest = 0;
  }

  add(batch: Batch): void {
    const order = Array.from(batch.stop.keys()).sort((a, b) => batch.stop[a]! - batch.stop[b]!);
    if (this.length + order.length > this.capacity) this.drop(Math.max(order.length, this.capacity >> 3));
    for (const i of order) {
      if (this.length >= this.capacity) break;
      this.insert(batch, i);
    }
  }

  private insert(batch: Batch, i: number): void {
    const stop = batch.stop[i]!, start = Math.min(batch.start[i]!, stop);
    // Clocks of workers differ, and frames arrive late: most belong at the end or close to it.
    let at = this.length;
    while (at > 0 && this.stop[at - 1]! > stop) at--;
    if (at < this.length) {
      for (const column of [this.start, this.stop, this.worker, this.prefix, this.nbytes, this.failed, this.lane]) {
        column.copyWithin(at + 1, at, this.length);
      }
    }
    this.start[at] = start;
    this.stop[at] = stop;
    this.worker[at] = batch.worker[i]!;
    this.prefix[at] = batch.prefix[i]!;
    this.nbytes[at] = batch.nbytes[i]!;
    this.failed[at] = batch.failed[i]!;
    this.lane[at] = this.laneFor(batch.worker[i]!, start, stop);
    this.keys.splice(at, 0, batch.keys[i] ?? "");
    this.length++;
    this.longest = Math.max(this.longest, stop - start);
  }

  // Runs of a worker that overlap go into lanes of their own, at most as many as it has threads.
  private laneFor(worker: number, start: number, stop: number): number {
    let own = this.lanesOf.get(worker);
    if (!own) this.lanesOf.set(worker, (own = []));
    for (const lane of own) {
      if (this.lanes[lane]!.until <= start + 1e-4) {
        this.lanes[lane]!.until = stop;
        return lane;
      }
    }
    if (own.length >= this.threadsOf(worker)) {
      const first = own.reduce((a, b) => (this.lanes[b]!.until < this.lanes[a]!.until ? b : a));
      this.lanes[first]!.until = Math.max(this.lanes[first]!.until, stop);
      return first;
    }
    own.push(this.lanes.length);
    this.lanes.push({ worker, until: stop });
    return this.lanes.length - 1;
  }

  private drop(count: number): void {
    const rest = Math.max(0, this.length - count);
    for (const column of [this.start, this.stop, this.worker, this.prefix, this.nbytes, this.failed, this.lane]) {
      column.copyWithin(0, this.length - rest, this.length);
    }
    this.keys = this.keys.slice(this.length - rest);
    this.length = rest;
  }

  // The first run that ends at a time or later.
  firstEndingAt(time: number): number {
    let low = 0, high = this.length;
    while (low < high) {
      const middle = (low + high) >> 1;
      if (this.stop[middle]! < time) low = middle + 1;
      else high = middle;
    }
    return low;
  }

  // Lanes in the order in which they are shown: those of a worker side by side.
  laneOrder(nameOf: (worker: number) => string): { rows: Int32Array; workers: number[] } {
    const all = this.lanes.map((lane, i) => ({ i, worker: lane.worker, name: nameOf(lane.worker) }));
    const natural = new Intl.Collator(undefined, { numeric: true });
    all.sort((a, b) => natural.compare(a.name, b.name) || a.i - b.i);
    const rows = new Int32Array(all.length);
    all.forEach((each, row) => { rows[each.i] = row; });
    return { rows, workers: all.map((each) => (each.worker === NOBODY ? -1 : each.worker)) };
  }
}
