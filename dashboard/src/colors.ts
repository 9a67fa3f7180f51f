// One colour a prefix, the same in each pane: those that are easily told apart first, chosen by the
// name, so that it is mostly the same in each visit too.

const PALETTE = [
  "#4e79a7", "#f28e2b", "#59a14f", "#edc948", "#b07aa1", "#76b7b2", "#9c755f", "#5f9ed1", "#d37295", "#8cd17d",
  "#b6992d", "#499894", "#d4a6c8", "#ffbe7d", "#a0cbe8", "#6b5b95", "#c3a38a", "#2f9e8f", "#f1ce63", "#86618f",
].map(fromHex);

// What goes on around tasks, as users of the incumbent know it.
export const AROUND: { [action: string]: string } = { transfer: "#d65f5f", deserialize: "#9a9aa5" };

const taken = new Set<number>();
const known = new Map<string, [number, number, number]>();

function hash(name: string): number {
  let value = 2166136261;
  for (let i = 0; i < name.length; i++) {
    value = Math.imul(value ^ name.charCodeAt(i), 16777619);
  }
  return value >>> 0;
}

function fromHex(text: string): [number, number, number] {
  const value = parseInt(text.slice(1), 16);
  return [value >> 16, (value >> 8) & 255, value & 255];
}

function fromHsl(hue: number, saturation: number, light: number): [number, number, number] {
  const a = saturation * Math.min(light, 1 - light);
  const part = (n: number) => {
    const k = (n + hue / 30) % 12;
    return Math.round(255 * (light - a * Math.max(-1, Math.min(k - 3, 9 - k, 1))));
  };
  return [part(0), part(8), part(4)];
}

export function rgb(name: string): [number, number, number] {
  let color = known.get(name);
  if (!color) {
    const value = hash(name);
    let slot = value % PALETTE.length;
    for (let i = 0; i < PALETTE.length && taken.has(slot); i++) slot = (slot + 1) % PALETTE.length;
    if (AROUND[name]) color = fromHex(AROUND[name]!);
    else if (!taken.has(slot)) {
      taken.add(slot);
      color = PALETTE[slot]!;
    } else color = fromHsl(value % 360, 0.45 + ((value >>> 9) % 4) * 0.1, 0.5 + ((value >>> 12) % 3) * 0.07);
    known.set(name, color);
  }
  return color;
}

export function color(name: string): string {
  const [red, green, blue] = rgb(name);
  return `rgb(${red} ${green} ${blue})`;
}

// As a pixel of an ImageData's buffer on a little-endian machine.
export function pixel(name: string): number {
  const [red, green, blue] = rgb(name);
  return ((255 << 24) | (blue << 16) | (green << 8) | red) >>> 0;
}

export function pixelOf(text: string): number {
  const [red, green, blue] = fromHex(text);
  return ((255 << 24) | (blue << 16) | (green << 8) | red) >>> 0;
}

// Frames of a profile: warm colours, so that a picture of hundreds is calm.
export function warm(name: string): string {
  const value = hash(name), [red, green, blue] = fromHsl(16 + (value % 38), 0.62 + ((value >>> 8) % 3) * 0.1, 0.62 + ((value >>> 12) % 4) * 0.04);
  return `rgb(${red} ${green} ${blue})`;
}

export const STATE_COLORS: { [state: string]: string } = {
  memory: "#4c9f50",
  processing: "#e0a030",
  queued: "#8899aa",
  waiting: "#b4bec8",
  "no-worker": "#b05fc0",
  erred: "#c0392b",
  released: "#cdd3d9",
};
