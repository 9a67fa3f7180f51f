import assert from "node:assert/strict";
import { test } from "node:test";
import { decode } from "../src/msgpack";
import { layout } from "../src/nodelink";
import { Runs } from "../src/runs";
import { Store } from "../src/store";

const bytes = (array: Float64Array | Float32Array | Uint32Array) => new Uint8Array(array.buffer);

function full(extra: object = {}): any {
  return {
    kind: "full", now: 100, id: "s", address: "tcp://x", started: 50,
    states: ["memory", "erred"], statuses: ["running", "paused"], numbers: ["status", "cpu"],
    totals: { workers: 1 },
    history: { time: bytes(new Float64Array([1, 2])), columns: { cpu: bytes(new Float32Array([10, 20])) } },
    workers: [{ number: 7, address: "tcp://w", name: "w", threads: 2, limit: 0, host: "h", pid: 1 }],
    worker_rows: { number: bytes(new Uint32Array([7])), columns: [bytes(new Float32Array([1])), bytes(new Float32Array([55]))] },
    prefixes: ["inc"],
    prefix_rows: { number: bytes(new Uint32Array([0])), columns: [[3], [1], [0.5], [1024], [0]].map((column) => bytes(new Float64Array(column))) },
    streams: [], faults: [],
    ...extra,
  };
}

test("MessagePack of all kinds is read", () => {
  const message = new Uint8Array([
    0x85, 0xa1, 0x61, 0x01, 0xa1, 0x62, 0xcb, 0x3f, 0xf8, 0, 0, 0, 0, 0, 0, 0xa1, 0x63, 0xc4, 0x02, 9, 8,
    0xa1, 0x64, 0x93, 0xc0, 0xc3, 0xff, 0xa1, 0x65, 0xcf, 0, 0, 0, 1, 0, 0, 0, 2,
  ]);
  const found = decode(message) as any;
  assert.equal(found.a, 1);
  assert.equal(found.b, 1.5);
  assert.deepEqual([...found.c], [9, 8]);
  assert.deepEqual(found.d, [null, true, -1]);
  assert.equal(found.e, 4294967298);
});

test("what is cut short or goes on is refused", () => {
  assert.throws(() => decode(new Uint8Array([0x92, 0x01])), RangeError);
  assert.throws(() => decode(new Uint8Array([0x01, 0x02])), RangeError);
  assert.throws(() => decode(new Uint8Array([0xc1])), RangeError);
});

test("a key named __proto__ changes nothing but itself", () => {
  const found = decode(new Uint8Array([0x81, 0xa9, ...new TextEncoder().encode("__proto__"), 0x81, 0xa1, 0x78, 0x01])) as any;
  assert.equal(({} as any).x, undefined);
  assert.equal(Object.keys(found)[0], "__proto__");
});

test("a full frame says all", () => {
  const store = new Store();
  store.apply(full());
  const worker = store.workers.get(7)!;
  assert.equal(worker.status, "paused");
  assert.equal(worker.cpu, 55);
  assert.deepEqual(store.prefixes[0]!.states, { memory: 3, erred: 1 });
  assert.equal(store.prefixes[0]!.total, 4);
  assert.equal(store.prefixes[0]!.nbytes, 1024);
  assert.deepEqual(store.series.columns.cpu, [10, 20]);
});

test("a delta changes what it names, and a worker that left keeps its name", () => {
  const store = new Store();
  store.apply(full());
  store.apply({
    kind: "delta", now: 101, seen: 10, lag: 0, own: {}, totals: { workers: 1 }, went: [7],
    came: [{ number: 8, address: "tcp://v", name: "v", threads: 1, limit: 0, host: "h", pid: 2 }],
    worker_rows: { number: bytes(new Uint32Array([8])), columns: [bytes(new Float32Array([0])), bytes(new Float32Array([5]))] },
    prefixes: ["dec"],
    prefix_rows: { number: bytes(new Uint32Array([1])), columns: [[1], [0], [-1], [0], [0]].map((column) => bytes(new Float64Array(column))) },
  });
  assert.equal(store.workers.size, 1);
  assert.equal(store.workerName(7), "w");
  assert.equal(store.workerName(8), "v");
  assert.equal(store.prefixName(1), "dec");
  assert.equal(store.prefixes[0]!.total, 4);
  store.apply({ kind: "delta", now: 102, seen: 30, lag: 0, own: {}, totals: {} });
  assert.equal(store.rate, 20);
});

test("rows of workers and prefixes that are not known are passed over", () => {
  const store = new Store();
  store.apply(full());
  store.apply({
    kind: "delta", now: 101, seen: 0, lag: 0, own: {}, totals: {},
    worker_rows: { number: bytes(new Uint32Array([99])), columns: [bytes(new Float32Array([0])), bytes(new Float32Array([5]))] },
    prefix_rows: { number: bytes(new Uint32Array([99])), columns: [[1], [0], [-1], [0], [0]].map((column) => bytes(new Float64Array(column))) },
  });
  assert.equal(store.workers.size, 1);
});

function batch(rows: [worker: number, start: number, stop: number][]) {
  return {
    worker: new Uint32Array(rows.map((row) => row[0])), prefix: new Uint32Array(rows.length),
    start: new Float64Array(rows.map((row) => row[1])), stop: new Float64Array(rows.map((row) => row[2])),
    nbytes: new Float64Array(rows.length), failed: new Uint8Array(rows.length), keys: rows.map((row) => `k-${row[1]}`),
  };
}

test("runs are kept by their end, whatever order they come in", () => {
  const runs = new Runs(100);
  runs.add(batch([[0, 5, 6], [0, 1, 2]]));
  runs.add(batch([[1, 3, 4]]));
  assert.deepEqual([...runs.stop.subarray(0, runs.length)], [2, 4, 6]);
  assert.deepEqual(runs.keys, ["k-1", "k-3", "k-5"]);
  assert.equal(runs.firstEndingAt(3), 1);
});

test("runs that overlap on a worker get lanes of their own, at most one a thread", () => {
  const runs = new Runs(100, () => 2);
  runs.add(batch([[0, 0, 2], [0, 1, 3], [0, 1.5, 4], [0, 5, 6]]));
  assert.equal(runs.lanes.length, 2);
});

test("a full store drops the oldest runs", () => {
  const runs = new Runs(8);
  for (let i = 0; i < 20; i++) runs.add(batch([[0, i, i + 0.5]]));
  assert.ok(runs.length <= 8);
  assert.equal(runs.stop[runs.length - 1], 19.5);
  assert.equal(runs.keys.length, runs.length);
});

test("nodes lie right of what they need, and none on another", () => {
  const found = layout(4, [0, 2, 1, 2, 2, 3]);
  assert.deepEqual([...found.x], [0, 0, 1, 2]);
  const places = new Set([...found.x].map((x, i) => `${x} ${found.y[i]}`));
  assert.equal(places.size, 4);
});

test("a graph with a cycle is drawn all the same", () => {
  const found = layout(3, [0, 1, 1, 0, 1, 2]);
  assert.equal(found.x.length, 3);
  assert.ok([...found.y].every((y) => Number.isFinite(y)));
});

test("a coarser view has the first run of each bin of a lane, wide ones and failures", () => {
  const runs = new Runs(1000), none = new Uint32Array(1);
  const one = (start: number, stop: number, failed = 0) => runs.add({
    worker: none, thread: new Uint32Array([1]), prefix: none, start: new Float64Array([start]), stop: new Float64Array([stop]),
    nbytes: new Float64Array(1), failed: new Uint8Array([failed]), keys: [`${start}`],
  });
  const shown = (seconds: number) => {
    const level = runs.level(seconds)!;
    return [...level.indexes.subarray(0, level.length)].map((i) => runs.start[i]!);
  };
  for (let i = 0; i < 100; i++) one(i / 100, i / 100 + 0.005, +(i === 55));
  one(1, 9);
  assert.equal(runs.level(1e-5), null);
  assert.equal(shown(1e-3).length, 101);
  // Bins of 0.512 s.
  assert.deepEqual(shown(0.6), [0, 0.52, 0.55, 1]);
  // One that arrives late takes its place in all levels.
  one(0.51, 0.5155, 1);
  assert.deepEqual(shown(0.6), [0, 0.51, 0.52, 0.55, 1]);
  assert.equal(shown(1e-3).length, 102);
  one(9.5, 9.6);
  assert.deepEqual(shown(0.6), [0, 0.51, 0.52, 0.55, 1, 9.5]);
});

test("when the oldest runs go, coarser views follow", () => {
  const runs = new Runs(64);
  for (let i = 0; i < 200; i++) {
    runs.add({
      worker: new Uint32Array(1), prefix: new Uint32Array(1), start: new Float64Array([i]), stop: new Float64Array([i + 0.5]),
      nbytes: new Float64Array(1), failed: new Uint8Array(1), keys: [""],
    });
    const level = runs.level(0.3)!;
    assert.equal(level.length, runs.length);
    assert.equal(level.indexes[level.length - 1], runs.length - 1);
  }
});
