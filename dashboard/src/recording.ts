// A recorded run in the page's own file: frames as a scheduler sent them, and answers to questions
// that were asked then. It takes the place of the connection.

import type { Source } from "./feed";
import * as format from "./format";
import { decode } from "./msgpack";
import type { Store } from "./store";

export interface Recording {
  title: string;
  pages: string[]; // those there is something to see on, the first one first
  frames: any[]; // the first one tells all, the others what changed
  answers: { [question: string]: any };
}

// Returns null for a page that has no recording: it is live then.
export async function readRecording(): Promise<Recording | null> {
  const held = document.getElementById("recording");
  if (!held) return null;
  const packed = Uint8Array.from(atob(held.textContent!.trim()), (letter) => letter.charCodeAt(0));
  held.textContent = "";
  const stream = new Blob([packed]).stream().pipeThrough(new DecompressionStream("gzip"));
  return decode(new Uint8Array(await new Response(stream).arrayBuffer())) as unknown as Recording;
}

export class Replay implements Source {
  readonly begin: number;
  readonly end: number;
  private at = -1; // the last frame that was applied

  constructor(readonly recording: Recording, private readonly store: Store) {
    const { frames } = recording;
    this.begin = frames.length > 1 ? frames[1].now : frames[0].now;
    this.end = frames[frames.length - 1].now;
    store.replay(frames);
  }

  get moves(): boolean {
    return this.store.moves;
  }

  // Show the cluster as it was at a time.
  go(time: number): void {
    const { frames } = this.recording;
    let wanted = 0;
    for (let low = 1, high = frames.length - 1; low <= high;) {
      const middle = (low + high) >> 1;
      if (frames[middle].now <= time) { wanted = middle; low = middle + 1; } else high = middle - 1;
    }
    if (wanted < this.at) this.at = -1;
    while (this.at < wanted) this.store.apply(frames[++this.at]);
    this.store.connected = true;
  }

  async ask(question: string, args: { [name: string]: unknown } = {}): Promise<any> {
    const { answers } = this.recording;
    const given = Object.entries(args).filter(([, value]) => value !== false && value !== "");
    const asked = given.length ? `${question} ${given.sort().map(([name, value]) => `${name}=${value}`).join(" ")}` : question;
    if (Object.hasOwn(answers, asked)) return answers[asked];
    if (question === "task") return this.task(String(args.key));
    if (question === "worker") return { address: args.address, gone: true };
    throw new Error(Object.hasOwn(answers, question)
      ? "The recording has this for the whole of its time only."
      : "The recording does not have this: it can be asked of a cluster that runs.");
  }

  // What the runs say of a task that nobody asked about at the time.
  private task(key: string): any {
    const { runs } = this.store, found: number[] = [];
    for (let i = 0; i < runs.length && found.length < 20; i++) if (runs.keys[i] === key) found.push(i);
    const told = found.map((i) =>
      `${runs.failed[i] ? "It failed" : "It ran"} on ${this.store.workerName(runs.worker[i]!)} from ${format.clock(runs.start[i]!)} for ` +
      `${format.duration(runs.stop[i]! - runs.start[i]!)}${runs.failed[i] ? "" : `; its result has ${format.bytes(runs.nbytes[i]!)}`}.`);
    return { key, why: told.join(" ") || "No run of it was recorded." };
  }
}
