// Columns of numbers in a message, as typed arrays. Their bytes lie anywhere in it, so are copied.

function aligned(bytes: Uint8Array | undefined): ArrayBuffer {
  return bytes ? (bytes.slice().buffer as ArrayBuffer) : new ArrayBuffer(0);
}

export const float64 = (bytes?: Uint8Array) => new Float64Array(aligned(bytes));
export const float32 = (bytes?: Uint8Array) => new Float32Array(aligned(bytes));
export const uint32 = (bytes?: Uint8Array) => new Uint32Array(aligned(bytes));
