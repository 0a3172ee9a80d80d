// Surfaces of labels for the 3D pane: surface nets (Gibson 1998), smoothed without shrinking
// (Taubin 1995). Works within the box that holds a label, every second voxel where it is large.

const MOST = 4e6; // voxels of a box before every second one is left out

onmessage = ({ data: { id, labels, size } }) => {
  const surfaces = [];
  for (const label of [1, 2, 3]) {
    const box = boxOf(labels, size, label);
    if (!box) continue;
    const extent = box.high.map((high, axis) => high - box.low[axis] + 1);
    const step = extent[0] * extent[1] * extent[2] > MOST ? 2 : 1;
    const { points, triangles } = surfaceOf(fieldOf(labels, size, label, box, step));
    if (!triangles.length) continue;
    smooth(points, triangles, 12);
    for (let i = 0; i < points.length; i += 3) {
      for (let axis = 0; axis < 3; axis++) points[i + axis] = box.low[axis] + (points[i + axis] - 1) * step;
    }
    surfaces.push({ label, points, triangles });
  }
  postMessage({ id, surfaces }, surfaces.flatMap(({ points, triangles }) => [points.buffer, triangles.buffer]));
};

function boxOf(labels, [nx, ny, nz], label) {
  const low = [nx, ny, nz];
  const high = [-1, -1, -1];
  let index = 0;
  for (let z = 0; z < nz; z++) {
    for (let y = 0; y < ny; y++) {
      for (let x = 0; x < nx; x++) {
        if (labels[index++] !== label) continue;
        if (x < low[0]) low[0] = x;
        if (x > high[0]) high[0] = x;
        if (y < low[1]) low[1] = y;
        if (y > high[1]) high[1] = y;
        if (z < low[2]) low[2] = z;
        high[2] = z;
      }
    }
  }
  return high[0] < 0 ? null : { low, high };
}

/** Inside (1) and outside (0) with a border of outside. */
function fieldOf(labels, [nx, ny], label, { low, high }, step) {
  const size = low.map((from, axis) => Math.ceil((high[axis] - from + 1) / step) + 2);
  const inside = new Uint8Array(size[0] * size[1] * size[2]);
  for (let z = low[2], c = 1; z <= high[2]; z += step, c++) {
    for (let y = low[1], b = 1; y <= high[1]; y += step, b++) {
      for (let x = low[0], a = 1; x <= high[0]; x += step, a++) {
        if (labels[(z * ny + y) * nx + x] === label) inside[(c * size[1] + b) * size[0] + a] = 1;
      }
    }
  }
  return { inside, size };
}

/** One point in each cell that the surface crosses, joined across every crossed edge. */
function surfaceOf({ inside, size: [nx, ny, nz] }) {
  const strides = [1, nx, nx * ny];
  const pointOf = new Int32Array(inside.length).fill(-1);
  const points = [];
  const triangles = [];
  for (let z = 0; z < nz - 1; z++) {
    for (let y = 0; y < ny - 1; y++) {
      for (let x = 0; x < nx - 1; x++) {
        const cell = x + y * nx + z * nx * ny;
        let count = 0;
        for (let corner = 0; corner < 8; corner++) {
          count += inside[cell + (corner & 1) + ((corner >> 1) & 1) * nx + (corner >> 2) * nx * ny];
        }
        if (count === 0 || count === 8) continue;
        pointOf[cell] = points.length / 3;
        points.push(...middleOfCrossings(inside, cell, strides, x, y, z));
      }
    }
  }
  for (let z = 1; z < nz - 1; z++) {
    for (let y = 1; y < ny - 1; y++) {
      for (let x = 1; x < nx - 1; x++) {
        const at = x + y * nx + z * nx * ny;
        for (let axis = 0; axis < 3; axis++) {
          const here = inside[at];
          if (here === inside[at + strides[axis]]) continue;
          const [u, v] = [strides[(axis + 1) % 3], strides[(axis + 2) % 3]];
          const corners = [pointOf[at - u - v], pointOf[at - v], pointOf[at], pointOf[at - u]];
          if (!here) corners.reverse();
          triangles.push(corners[0], corners[1], corners[2], corners[0], corners[2], corners[3]);
        }
      }
    }
  }
  return { points: new Float32Array(points), triangles: new Uint32Array(triangles) };
}

function middleOfCrossings(inside, cell, strides, x, y, z) {
  const sum = [0, 0, 0];
  let crossings = 0;
  for (let corner = 0; corner < 8; corner++) {
    const bits = [corner & 1, (corner >> 1) & 1, corner >> 2];
    const from = cell + bits[0] * strides[0] + bits[1] * strides[1] + bits[2] * strides[2];
    for (let axis = 0; axis < 3; axis++) {
      if (bits[axis] || inside[from] === inside[from + strides[axis]]) continue;
      crossings++;
      for (let other = 0; other < 3; other++) sum[other] += other === axis ? 0.5 : bits[other];
    }
  }
  return [x + sum[0] / crossings, y + sum[1] / crossings, z + sum[2] / crossings];
}

function smooth(points, triangles, rounds) {
  const count = points.length / 3;
  const mean = new Float32Array(points.length);
  const neighbours = new Float32Array(count);
  for (let round = 0; round < 2 * rounds; round++) {
    const weight = round % 2 ? -0.53 : 0.5;
    mean.fill(0);
    neighbours.fill(0);
    for (let i = 0; i < triangles.length; i += 3) {
      for (let j = 0; j < 3; j++) {
        const a = triangles[i + j];
        const b = triangles[i + ((j + 1) % 3)];
        neighbours[a]++;
        neighbours[b]++;
        for (let axis = 0; axis < 3; axis++) {
          mean[3 * a + axis] += points[3 * b + axis];
          mean[3 * b + axis] += points[3 * a + axis];
        }
      }
    }
    for (let i = 0; i < points.length; i++) {
      const n = neighbours[Math.floor(i / 3)];
      if (n) points[i] += weight * (mean[i] / n - points[i]);
    }
  }
}
