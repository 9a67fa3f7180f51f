// What is known of the cluster, brought up to date by frames. Nothing here draws or asks.

import { float32, float64, uint32 } from "./columns";
import { Runs } from "./runs";

export interface Worker {
  number: number;
  address: string;
  name: string;
  threads: number;
  limit: number;
  host: string;
  pid: number;
  status: string;
  [number: string]: string | number;
}

export interface Prefix {
  name: string;
  states: { [state: string]: number };
  seconds: number;
  nbytes: number;
  suspicious: number;
  total: number;
}

export interface Fault {
  time: number;
  topic: string;
  action: string;
  worker: string;
  text: string;
}

const SAMPLES = 3600;

// Numbers in place of a prefix's, of what goes on around tasks.
export const TRANSFER = 0xfffffffe;
const DESERIALIZE = 0xfffffffd;
const FAULTS = 1000;

// Columns of numbers over time; the oldest eighth goes when there are too many.
export class Series {
  time: number[] = [];
  columns: { [name: string]: number[] } = {};

  clear(): void {
    this.time = [];
    this.columns = {};
  }

  add(time: number, row: { [name: string]: number }): void {
    if (this.time.length >= SAMPLES) {
      const drop = SAMPLES >> 3;
      this.time.splice(0, drop);
      for (const column of Object.values(this.columns)) column.splice(0, drop);
    }
    this.time.push(time);
    for (const name of Object.keys(row)) {
      const column = (this.columns[name] ??= new Array(this.time.length - 1).fill(NaN));
      column.push(row[name]!);
    }
    for (const column of Object.values(this.columns)) {
      while (column.length < this.time.length) column.push(NaN);
    }
  }

  last(name: string): number {
    const column = this.columns[name];
    return column && column.length ? column[column.length - 1]! : 0;
  }
}

export class Store {
  version = 0; // counts frames
  connected = false;
  id = "";
  address = "";
  started = 0;
  now = 0;
  seen = 0;
  rate = 0;
  totals: { [name: string]: number } = {};
  workers = new Map<number, Worker>();
  gone = new Map<number, string>(); // names of workers that left, for the task stream
  prefixes: Prefix[] = [];
  series = new Series();
  runs = new Runs(undefined, (worker) => this.workers.get(worker)?.threads || 64);
  faults: Fault[] = [];
  private states: string[] = [];
  private statuses: string[] = [];
  private numbers: string[] = [];
  private lastSample = 0;
  private rates: [number, number][] = [];
  replayed = false; // all runs are there from the beginning; `now` says how far one is

  moves = false; // whether there is more than one moment

  // Take the runs of all frames at once; `apply` then leaves them as they are.
  replay(frames: any[]): void {
    this.replayed = true;
    this.moves = frames.length > 2;
    for (const frame of frames) {
      for (const each of [...(frame.workers ?? []), ...(frame.came ?? [])]) this.gone.set(each.number, each.name ?? each.address);
      for (const stream of frame.kind === "full" ? (frame.streams ?? []) : [frame.stream ?? []]) {
        if (stream.stop) this.addRuns(stream);
      }
    }
  }

  apply(frame: any): void {
    if (frame.kind === "full") this.begin(frame);
    else this.change(frame);
    this.version++;
  }

  workerName(number: number): string {
    return this.workers.get(number)?.name ?? this.gone.get(number) ?? "?";
  }

  prefixName(number: number): string {
    return number === TRANSFER ? "transfer" : number === DESERIALIZE ? "deserialize" : (this.prefixes[number]?.name ?? "?");
  }

  // Rows of a worker's address, what it did, start, stop, bytes and key.
  addAround(rows: [string, string, number, number, number, string][]): void {
    const numbers = new Map([...this.workers.values()].map((worker) => [worker.address, worker.number]));
    const found = rows.filter((row) => numbers.has(row[0]));
    this.runs.add({
      worker: Uint32Array.from(found, (row) => numbers.get(row[0])!),
      thread: Uint32Array.from(found, () => TRANSFER),
      prefix: Uint32Array.from(found, (row) => (row[1] === "transfer" ? TRANSFER : DESERIALIZE)),
      start: Float64Array.from(found, (row) => row[2]),
      stop: Float64Array.from(found, (row) => row[3]),
      nbytes: Float64Array.from(found, (row) => row[4]),
      failed: new Uint8Array(found.length),
      keys: found.map((row) => row[5]),
    });
  }

  private begin(frame: any): void {
    this.id = frame.id;
    this.address = frame.address;
    this.started = frame.started;
    this.now = frame.now;
    this.states = frame.states;
    this.statuses = frame.statuses;
    this.numbers = frame.numbers;
    this.totals = { ...frame.totals };
    this.workers.clear();
    this.prefixes = [];
    if (!this.replayed) this.runs.clear();
    this.series.clear();
    this.lastSample = 0;
    this.rates = [];
    this.readHistory(frame.history);
    this.meet(frame.workers);
    this.updateWorkers(frame.worker_rows);
    this.name(frame.prefixes);
    this.updatePrefixes(frame.prefix_rows);
    if (!this.replayed) for (const stream of frame.streams ?? []) this.addRuns(stream);
    this.faults = [...frame.faults];
  }

  private change(frame: any): void {
    this.now = frame.now;
    this.totals = { ...frame.totals };
    for (const number of frame.went ?? []) {
      const worker = this.workers.get(number);
      if (worker) this.gone.set(number, worker.name);
      this.workers.delete(number);
    }
    this.meet(frame.came ?? []);
    if (frame.worker_rows) this.updateWorkers(frame.worker_rows);
    this.name(frame.prefixes ?? []);
    if (frame.prefix_rows) this.updatePrefixes(frame.prefix_rows);
    if (frame.stream && !this.replayed) this.addRuns(frame.stream);
    if (frame.faults) this.faults = [...this.faults, ...frame.faults].slice(-FAULTS);
    this.measureRate(frame.now, frame.seen);
    if (frame.now - this.lastSample >= 0.99) {
      this.lastSample = frame.now;
      const own: { [name: string]: number } = {};
      for (const [name, value] of Object.entries(frame.own ?? {})) own[`own.${name}`] = value as number;
      this.series.add(frame.now, { ...this.totals, ...own, rate: this.rate, lag: frame.lag ?? 0 });
    }
  }

  // Tasks a second, over the last two seconds.
  private measureRate(now: number, seen: number): void {
    this.seen = seen;
    this.rates.push([now, seen]);
    while (this.rates.length > 2 && now - this.rates[0]![0] > 2) this.rates.shift();
    const [then, before] = this.rates[0]!;
    this.rate = now > then ? (seen - before) / (now - then) : 0;
  }

  private readHistory(history: any): void {
    if (!history) return;
    const times = float64(history.time);
    this.series.time = Array.from(times);
    for (const [name, column] of Object.entries(history.columns)) {
      this.series.columns[name] = Array.from(float32(column as Uint8Array));
    }
  }

  private meet(told: any[]): void {
    for (const each of told) {
      this.workers.set(each.number, {
        name: each.address, threads: 0, limit: 0, host: "", pid: 0, status: "running", ...each,
      });
    }
  }

  private updateWorkers(rows: any): void {
    const numbers = uint32(rows.number);
    const columns: Float32Array[] = rows.columns.map((column: Uint8Array) => float32(column));
    numbers.forEach((number, i) => {
      const worker = this.workers.get(number);
      if (!worker) return;
      this.numbers.forEach((name, c) => {
        const value = columns[c]![i]!;
        worker[name] = name === "status" ? (this.statuses[value] ?? "?") : value;
      });
    });
  }

  private name(names: string[]): void {
    for (const name of names) {
      this.prefixes.push({ name, states: {}, seconds: -1, nbytes: 0, suspicious: 0, total: 0 });
    }
  }

  private updatePrefixes(rows: any): void {
    const numbers = uint32(rows.number);
    const columns: Float64Array[] = rows.columns.map((column: Uint8Array) => float64(column));
    const count = this.states.length;
    numbers.forEach((number, i) => {
      const prefix = this.prefixes[number];
      if (!prefix) return;
      prefix.total = 0;
      this.states.forEach((state, c) => {
        prefix.states[state] = columns[c]![i]!;
        prefix.total += columns[c]![i]!;
      });
      prefix.seconds = columns[count]![i]!;
      prefix.nbytes = columns[count + 1]![i]!;
      prefix.suspicious = columns[count + 2]![i]!;
    });
  }

  private addRuns(stream: any): void {
    this.runs.add({
      worker: uint32(stream.worker),
      thread: stream.thread && uint32(stream.thread),
      prefix: uint32(stream.prefix),
      start: float64(stream.start),
      stop: float64(stream.stop),
      nbytes: float64(stream.nbytes),
      failed: stream.failed,
      keys: stream.keys ?? [],
    });
  }
}
