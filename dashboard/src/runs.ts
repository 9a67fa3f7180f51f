// Runs of tasks, up to a million, in typed arrays: ordered by their end, oldest first.

export const CAPACITY = 1_000_000;
const NOBODY = 0xffffffff;

export interface Batch {
  worker: Uint32Array;
  thread?: Uint32Array | undefined; // where it is known on which thread of its worker a task ran: from 1
  prefix: Uint32Array;
  start: Float64Array;
  stop: Float64Array;
  nbytes: Float64Array;
  failed: Uint8Array;
  keys: string[];
}

// Seconds that a bin of the finest coarser view is wide; each next one's are twice as wide.
const FINEST = 5e-4;

// The runs that a picture needs of which a pixel stands for a bin or more: those that are as wide as
// a bin, the first one of each bin of a lane, and failures. In the order of `Runs`. All of them are
// in the next finer level, too, of which it is made.
class Level {
  indexes = new Int32Array(4096);
  length = 0;
  private seen = 0; // runs of the finer level that were looked at
  private last = new Float64Array(64).fill(NaN); // by lane: the last bin that has one

  constructor(private readonly runs: Runs, private readonly width: number, private readonly finer: Level | null) {}

  clear(): void {
    this.length = this.seen = 0;
    this.last.fill(NaN);
  }

  // Runs from this one on are not what they were. Finer levels are told first.
  forget(at: number): void {
    this.seen = Math.min(this.seen, this.finer ? this.finer.length : at);
    while (this.length && this.indexes[this.length - 1]! >= at) {
      this.last[this.runs.lane[this.indexes[--this.length]!]!] = NaN;
    }
  }

  // Finer levels are brought up to date first.
  update(): void {
    const { start, stop, lane, failed } = this.runs, { width, finer } = this;
    const among = finer ? finer.indexes : null, end = finer ? finer.length : this.runs.length;
    if (this.last.length < this.runs.lanes.length) {
      const more = new Float64Array(2 * this.runs.lanes.length).fill(NaN);
      more.set(this.last);
      this.last = more;
    }
    if (this.indexes.length < this.length + end - this.seen) {
      const more = new Int32Array(Math.max(2 * this.indexes.length, this.length + end - this.seen));
      more.set(this.indexes.subarray(0, this.length));
      this.indexes = more;
    }
    const { last, indexes } = this;
    let count = this.length;
    for (let j = this.seen; j < end; j++) {
      const i = among ? among[j]! : j, begin = start[i]!, row = lane[i]!, bin = Math.floor(begin / width);
      if (last[row] === bin && stop[i]! - begin < width && !failed[i]) continue;
      last[row] = bin;
      indexes[count++] = i;
    }
    this.length = count;
    this.seen = end;
  }

  firstEndingAt(time: number): number {
    const { stop } = this.runs;
    let low = 0, high = this.length;
    while (low < high) {
      const middle = (low + high) >> 1;
      if (stop[this.indexes[middle]!]! < time) low = middle + 1;
      else high = middle;
    }
    return low;
  }
}

export class Runs {
  length = 0;
  earliest = Infinity; // when the first one began
  private levels: Level[] = []; // finest first
  // Times are seconds since `origin`: 32 bits of a float keep 0.1 ms over some minutes only.
  readonly start: Float64Array;
  readonly stop: Float64Array;
  readonly worker: Uint32Array;
  readonly prefix: Uint32Array;
  readonly nbytes: Float32Array;
  readonly failed: Uint8Array;
  readonly lane: Uint32Array;
  keys: string[] = [];
  lanes: { worker: number; thread: number; until: number }[] = [];
  private readonly lanesOf = new Map<number | string, number[]>();
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
    this.earliest = Infinity;
    this.levels = [];
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
      for (const level of this.levels) level.forget(at);
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
    this.lane[at] = this.laneFor(batch.worker[i]!, batch.thread ? batch.thread[i]! : 0, start, stop);
    this.keys.splice(at, 0, batch.keys[i] ?? "");
    this.length++;
    this.longest = Math.max(this.longest, stop - start);
    this.earliest = Math.min(this.earliest, start);
  }

  // Each known thread has a lane of its own. Runs that overlap, of a worker of which no threads are
  // known, go into lanes of their own, at most as many as it has threads.
  private laneFor(worker: number, thread: number, start: number, stop: number): number {
    const place = thread ? `${worker} ${thread}` : worker;
    let own = this.lanesOf.get(place);
    if (!own) this.lanesOf.set(place, (own = []));
    if (thread && own.length) return own[0]!;
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
    this.lanes.push({ worker, thread, until: stop });
    return this.lanes.length - 1;
  }

  private drop(count: number): void {
    const rest = Math.max(0, this.length - count);
    for (const column of [this.start, this.stop, this.worker, this.prefix, this.nbytes, this.failed, this.lane]) {
      column.copyWithin(0, this.length - rest, this.length);
    }
    this.keys = this.keys.slice(this.length - rest);
    this.length = rest;
    this.earliest = rest ? this.stop[0]! : Infinity;
    for (const level of this.levels) level.clear();
  }

  // What suffices for a picture whose pixels stand for so many seconds each; null: all runs.
  level(seconds: number): Level | null {
    const wanted = Math.min(30, Math.floor(Math.log2(seconds / FINEST)));
    for (let i = this.levels.length; i <= wanted; i++) {
      this.levels.push(new Level(this, FINEST * 2 ** i, this.levels[i - 1] ?? null));
    }
    for (let i = 0; i <= wanted; i++) this.levels[i]!.update();
    return this.levels[wanted] ?? null;
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
    const all = this.lanes.map((lane, i) => ({ i, worker: lane.worker, thread: lane.thread, name: nameOf(lane.worker) }));
    const natural = new Intl.Collator(undefined, { numeric: true });
    all.sort((a, b) => natural.compare(a.name, b.name) || a.thread - b.thread || a.i - b.i);
    const rows = new Int32Array(all.length);
    all.forEach((each, row) => { rows[each.i] = row; });
    return { rows, workers: all.map((each) => (each.worker === NOBODY ? -1 : each.worker)) };
  }
}
