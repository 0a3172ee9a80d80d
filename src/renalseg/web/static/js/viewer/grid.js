// Where voxels lie: a file's own order, RAS+ order, and millimetres in the patient.

/**
 * The RAS+ grid of a file.
 * @param {number[]} dims the file's dimensions
 * @param {number[][]} affine the file's voxel to RAS+ mm, three rows
 */
export function gridOf(dims, affine) {
  const axes = nearestAxes(affine); // axes[world] = the file's axis
  const flips = axes.map((axis, world) => affine[world][axis] < 0);
  const strides = [1, dims[0], dims[0] * dims[1]];
  const size = axes.map((axis) => dims[axis]);
  const steps = axes.map((axis, world) => (flips[world] ? -strides[axis] : strides[axis]));
  const start = axes.reduce((sum, axis, world) => sum + (flips[world] ? (dims[axis] - 1) * strides[axis] : 0), 0);
  const ras = affine.map((row) => {
    let origin = row[3];
    const columns = axes.map((axis, world) => {
      if (!flips[world]) return row[axis];
      origin += row[axis] * (dims[axis] - 1);
      return -row[axis];
    });
    return [...columns, origin];
  });
  const spacing = [0, 1, 2].map((axis) => Math.hypot(ras[0][axis], ras[1][axis], ras[2][axis]));
  return { size, spacing, affine: ras, inverse: inverted(ras), steps, start, count: size[0] * size[1] * size[2] };
}

/** For each world axis the file's axis that runs along it; each is taken once. */
function nearestAxes(affine) {
  const lengths = [0, 1, 2].map((axis) => Math.hypot(affine[0][axis], affine[1][axis], affine[2][axis]) || 1);
  let best = [0, 1, 2];
  let most = -1;
  for (const order of [[0, 1, 2], [0, 2, 1], [1, 0, 2], [1, 2, 0], [2, 0, 1], [2, 1, 0]]) {
    const along = order.reduce((sum, axis, world) => sum + Math.abs(affine[world][axis]) / lengths[axis], 0);
    if (along > most + 1e-6) [best, most] = [order, along];
  }
  return best;
}

/** Copy voxels from the file's order to RAS+ order; `change` maps each value. */
export function toRas(source, target, grid, change = (value) => value) {
  const [nx, ny, nz] = grid.size;
  const [sx, sy, sz] = grid.steps;
  let to = 0;
  for (let z = 0; z < nz; z++) {
    for (let y = 0; y < ny; y++) {
      let from = grid.start + z * sz + y * sy;
      for (let x = 0; x < nx; x++, from += sx) target[to++] = change(source[from]);
    }
  }
  return target;
}

/** Copy voxels from RAS+ order back to the file's order. */
export function fromRas(source, target, grid, change = (value) => value) {
  const [nx, ny, nz] = grid.size;
  const [sx, sy, sz] = grid.steps;
  let from = 0;
  for (let z = 0; z < nz; z++) {
    for (let y = 0; y < ny; y++) {
      let to = grid.start + z * sz + y * sy;
      for (let x = 0; x < nx; x++, to += sx) target[to] = change(source[from++]);
    }
  }
  return target;
}

/** Apply three rows of an affine to a point. */
export function apply(affine, [x, y, z]) {
  return affine.map((row) => row[0] * x + row[1] * y + row[2] * z + row[3]);
}

function inverted(m) {
  const [[a, b, c, p], [d, e, f, q], [g, h, i, r]] = m;
  const det = a * (e * i - f * h) - b * (d * i - f * g) + c * (d * h - e * g);
  const inverse = [
    [(e * i - f * h) / det, (c * h - b * i) / det, (b * f - c * e) / det],
    [(f * g - d * i) / det, (a * i - c * g) / det, (c * d - a * f) / det],
    [(d * h - e * g) / det, (b * g - a * h) / det, (a * e - b * d) / det],
  ];
  return inverse.map((row) => [...row, -(row[0] * p + row[1] * q + row[2] * r)]);
}
