// One colour a prefix, the same in each pane and each visit: made from the name.

const known = new Map<string, [number, number, number]>();

function hash(name: string): number {
  let value = 2166136261;
  for (let i = 0; i < name.length; i++) {
    value = Math.imul(value ^ name.charCodeAt(i), 16777619);
  }
  return value >>> 0;
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
    color = fromHsl(value % 360, 0.45 + ((value >>> 9) % 4) * 0.1, 0.5 + ((value >>> 12) % 3) * 0.07);
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

export const FAILED = 0xff000000;

export const STATE_COLORS: { [state: string]: string } = {
  memory: "#4c9f50",
  processing: "#e0a030",
  queued: "#8899aa",
  waiting: "#a9b4c0",
  "no-worker": "#c05050",
  erred: "#1a1a1a",
  released: "#d8dde2",
};
