// A NIfTI file's header and voxels, and the way between its own axes and RAS+.
// Arrays here are flat, first axis fastest; in RAS+ order x grows to the patient's right, y to the
// front, z to the head.

const TYPES = {
  2: [Uint8Array, "getUint8"],
  4: [Int16Array, "getInt16"],
  8: [Int32Array, "getInt32"],
  16: [Float32Array, "getFloat32"],
  64: [Float64Array, "getFloat64"],
  256: [Int8Array, "getInt8"],
  512: [Uint16Array, "getUint16"],
  768: [Uint32Array, "getUint32"],
};

/** Unpack gzip, where it is gzip. */
export async function gunzip(buffer) {
  const start = new Uint8Array(buffer, 0, Math.min(2, buffer.byteLength));
  if (start[0] !== 0x1f || start[1] !== 0x8b) return buffer;
  const stream = new Blob([buffer]).stream().pipeThrough(new DecompressionStream("gzip"));
  return new Response(stream).arrayBuffer();
}

/** Pack with gzip. */
export function gzip(buffer) {
  return new Response(new Blob([buffer]).stream().pipeThrough(new CompressionStream("gzip"))).blob();
}

/**
 * Read a NIfTI-1 file that is unpacked.
 * @returns {{header: ArrayBuffer, dims: number[], affine: number[][], voxels: TypedArray,
 *   slope: number, intercept: number}} affine: voxel to RAS+ mm, three rows
 */
export function readNifti(buffer) {
  const view = new DataView(buffer);
  if (buffer.byteLength < 352) throw new Error("the image is cut short");
  const little = view.getInt32(0, true) === 348;
  if (!little && view.getInt32(0, false) !== 348) throw new Error("the image is not NIfTI-1");
  const int16 = (at) => view.getInt16(at, little);
  const float = (at) => view.getFloat32(at, little);
  const dims = [int16(42), int16(44), int16(46)];
  const [Type, getter] = TYPES[int16(70)] ?? [];
  if (!Type) throw new Error(`the image's data type ${int16(70)} is not known`);
  const offset = Math.max(352, Math.round(float(108)));
  const count = dims[0] * dims[1] * dims[2];
  const bytes = Type.BYTES_PER_ELEMENT;
  if (buffer.byteLength < offset + count * bytes) throw new Error("the image is cut short");
  let voxels;
  if (little) {
    voxels = offset % bytes ? new Type(buffer.slice(offset, offset + count * bytes)) : new Type(buffer, offset, count);
  } else {
    voxels = new Type(count);
    for (let i = 0; i < count; i++) voxels[i] = view[getter](offset + i * bytes, false);
  }
  const slope = float(112);
  return {
    header: buffer.slice(0, 352),
    little,
    dims,
    affine: affineOf(int16, float),
    voxels,
    slope: slope === 0 || !Number.isFinite(slope) ? 1 : slope,
    intercept: slope === 0 || !Number.isFinite(slope) ? 0 : float(116),
  };
}

function affineOf(int16, float) {
  if (int16(254) > 0) {
    return [280, 296, 312].map((at) => [0, 4, 8, 12].map((more) => float(at + more)));
  }
  const [dx, dy, dz] = [float(80), float(84), float(88)];
  if (int16(252) <= 0) return [[dx, 0, 0, 0], [0, dy, 0, 0], [0, 0, dz, 0]];
  const [b, c, d] = [float(256), float(260), float(264)];
  const a = Math.sqrt(Math.max(0, 1 - b * b - c * c - d * d));
  const k = float(76) < 0 ? -dz : dz;
  return [
    [(a * a + b * b - c * c - d * d) * dx, 2 * (b * c - a * d) * dy, 2 * (b * d + a * c) * k, float(268)],
    [2 * (b * c + a * d) * dx, (a * a + c * c - b * b - d * d) * dy, 2 * (c * d - a * b) * k, float(272)],
    [2 * (b * d - a * c) * dx, 2 * (c * d + a * b) * dy, (a * a + d * d - b * b - c * c) * k, float(276)],
  ];
}

/**
 * A label map as a NIfTI file with the geometry of another file's header.
 * @param {ArrayBuffer} header of the image that the map lies on (352 bytes)
 * @param {Uint8Array} labels in that file's own order
 */
export function writeLabels(header, little, labels) {
  const file = new Uint8Array(352 + labels.length);
  file.set(new Uint8Array(header, 0, 348));
  const view = new DataView(file.buffer);
  view.setInt16(40, 3, little); // three axes, and no more
  for (const at of [48, 50, 52, 54]) view.setInt16(at, 1, little);
  view.setInt16(70, 2, little); // uint8
  view.setInt16(72, 8, little);
  view.setFloat32(108, 352, little);
  view.setFloat32(112, 1, little);
  view.setFloat32(116, 0, little);
  view.setFloat32(124, 0, little); // no display range
  view.setFloat32(128, 0, little);
  view.setUint32(344, little ? 0x00312b6e : 0x6e2b3100, little); // "n+1"
  file.set(labels, 352);
  return file.buffer;
}
