// Which voxels a brush covers on its way across a slice.

/**
 * Call `touch` for every voxel within a disc that moves from one place to another.
 * @param {object} pane a slice's pane (see panes.js)
 * @param {number[]} from voxel, fractions kept
 * @param {number[]} to voxel
 * @param {number} radius in mm
 * @param {object} grid
 * @param {(index: number, x: number, y: number, z: number) => void} touch
 */
export function sweep(pane, from, to, radius, grid, touch) {
  const { across, up, depth } = pane;
  const mmU = grid.spacing[across];
  const mmV = grid.spacing[up];
  const reach = Math.max(radius, Math.min(mmU, mmV) * 0.5);
  const [u0, v0, u1, v1] = [from[across] * mmU, from[up] * mmV, to[across] * mmU, to[up] * mmV];
  const length = (u1 - u0) ** 2 + (v1 - v0) ** 2;
  const bounds = (a, b, mm, axis) => [
    Math.max(0, Math.ceil((Math.min(a, b) - reach) / mm)),
    Math.min(grid.size[axis] - 1, Math.floor((Math.max(a, b) + reach) / mm)),
  ];
  const [lowU, highU] = bounds(u0, u1, mmU, across);
  const [lowV, highV] = bounds(v0, v1, mmV, up);
  const strides = [1, grid.size[0], grid.size[0] * grid.size[1]];
  const voxel = [0, 0, 0];
  voxel[depth] = Math.round(to[depth]);
  if (voxel[depth] < 0 || voxel[depth] >= grid.size[depth]) return;
  for (let v = lowV; v <= highV; v++) {
    for (let u = lowU; u <= highU; u++) {
      const [x, y] = [u * mmU, v * mmV];
      const along = length ? Math.max(0, Math.min(1, ((x - u0) * (u1 - u0) + (y - v0) * (v1 - v0)) / length)) : 0;
      if ((x - u0 - along * (u1 - u0)) ** 2 + (y - v0 - along * (v1 - v0)) ** 2 > reach * reach) continue;
      voxel[across] = u;
      voxel[up] = v;
      touch(voxel[0] * strides[0] + voxel[1] * strides[1] + voxel[2] * strides[2], voxel[0], voxel[1], voxel[2]);
    }
  }
}
