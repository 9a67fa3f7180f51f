// Reads MessagePack, as the server writes it. Binary values are views on the message, not copies.

const text = new TextDecoder();

export type Value = null | boolean | number | string | Uint8Array | Value[] | { [key: string]: Value };

class Reader {
  private at = 0;
  private readonly view: DataView;

  constructor(private readonly bytes: Uint8Array) {
    this.view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  }

  get done(): boolean {
    return this.at >= this.bytes.length;
  }

  value(): Value {
    const first = this.uint(1);
    if (first < 0x80) return first;
    if (first < 0x90) return this.map(first & 0x0f);
    if (first < 0xa0) return this.array(first & 0x0f);
    if (first < 0xc0) return this.string(first & 0x1f);
    if (first >= 0xe0) return first - 0x100;
    switch (first) {
      case 0xc0: return null;
      case 0xc2: return false;
      case 0xc3: return true;
      case 0xc4: return this.take(this.uint(1));
      case 0xc5: return this.take(this.uint(2));
      case 0xc6: return this.take(this.uint(4));
      case 0xca: return this.float(4);
      case 0xcb: return this.float(8);
      case 0xcc: return this.uint(1);
      case 0xcd: return this.uint(2);
      case 0xce: return this.uint(4);
      case 0xcf: return this.uint(4) * 2 ** 32 + this.uint(4);
      case 0xd0: return this.int(1);
      case 0xd1: return this.int(2);
      case 0xd2: return this.int(4);
      case 0xd3: return this.int(4) * 2 ** 32 + this.uint(4);
      case 0xd9: return this.string(this.uint(1));
      case 0xda: return this.string(this.uint(2));
      case 0xdb: return this.string(this.uint(4));
      case 0xdc: return this.array(this.uint(2));
      case 0xdd: return this.array(this.uint(4));
      case 0xde: return this.map(this.uint(2));
      case 0xdf: return this.map(this.uint(4));
      default: throw new RangeError(`a message holds the byte 0x${first.toString(16)}`);
    }
  }

  private move(count: number): number {
    const at = this.at;
    if (at + count > this.bytes.length) throw new RangeError("a message ends too early");
    this.at += count;
    return at;
  }

  private uint(size: 1 | 2 | 4): number {
    const at = this.move(size);
    return size === 1 ? this.view.getUint8(at) : size === 2 ? this.view.getUint16(at) : this.view.getUint32(at);
  }

  private int(size: 1 | 2 | 4): number {
    const at = this.move(size);
    return size === 1 ? this.view.getInt8(at) : size === 2 ? this.view.getInt16(at) : this.view.getInt32(at);
  }

  private float(size: 4 | 8): number {
    const at = this.move(size);
    return size === 4 ? this.view.getFloat32(at) : this.view.getFloat64(at);
  }

  private take(count: number): Uint8Array {
    const at = this.move(count);
    return this.bytes.subarray(at, at + count);
  }

  private string(count: number): string {
    return text.decode(this.take(count));
  }

  private array(count: number): Value[] {
    const values: Value[] = [];
    for (let i = 0; i < count; i++) values.push(this.value());
    return values;
  }

  private map(count: number): { [key: string]: Value } {
    // Without a prototype: a key of the server's named "__proto__" is a key like any other.
    const found: { [key: string]: Value } = Object.create(null);
    for (let i = 0; i < count; i++) {
      const key = this.value();
      found[String(key)] = this.value();
    }
    return found;
  }
}

export function decode(bytes: Uint8Array): Value {
  const reader = new Reader(bytes);
  const value = reader.value();
  if (!reader.done) throw new RangeError("a message goes on after its end");
  return value;
}
