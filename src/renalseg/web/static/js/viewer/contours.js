// Where labels end: outlines along the edges of a slice's voxels.

// Going round a label with it on the left hand: right, up, left, down, in voxels
const DX = [1, 0, -1, 0];
const DY = [0, 1, 0, -1];
const CORNER = [[0, 0], [1, 0], [1, 1], [0, 1]]; // where an edge of a voxel begins

/**
 * The outlines of labels 1 to 3, in voxels; voxel 0 reaches from 0 to 1.
 * @param {Uint8Array} labels of a slice with a border of one zero all around
 * @param {number} width of the slice without the border
 * @param {number} height
 * @param {boolean} isSmooth cut corners, or follow the voxels' edges
 * @returns {Path2D[]} by label
 */
export function contours(labels, width, height, isSmooth) {
  const row = width + 2;
  const paths = [0, 1, 2, 3].map(() => new Path2D());
  const begun = new Uint8Array(labels.length);
  for (let y = 0; y < height; y++) {
    for (let x = 0, at = (y + 1) * row + 1; x < width; x++, at++) {
      const label = labels[at];
      // every outline goes right somewhere, below one of its voxels
      if (label && labels[at - row] !== label && !begun[at]) trace(paths[label], labels, begun, row, at, x, y, isSmooth);
    }
  }
  return paths;
}

function trace(path, labels, begun, row, start, x, y, isSmooth) {
  const label = labels[start];
  const ahead = [1, row, -1, -row];
  let [at, way, isBent] = [start, 0, true];
  let isFirst = true;
  do {
    if (way === 0) begun[at] = 1;
    const left = at + ahead[way];
    const right = left + ahead[(way + 3) & 3];
    const turn = labels[left] !== label ? 1 : labels[right] !== label ? 0 : 3;
    if (isBent || (isSmooth && turn)) {
      const px = x + CORNER[way][0] + (isSmooth ? DX[way] / 2 : 0);
      const py = y + CORNER[way][1] + (isSmooth ? DY[way] / 2 : 0);
      if (isFirst) path.moveTo(px, py);
      else path.lineTo(px, py);
      isFirst = false;
    }
    if (turn !== 1) {
      x += DX[way];
      y += DY[way];
      at = left;
    }
    if (turn === 3) {
      way = (way + 3) & 3;
      x += DX[way];
      y += DY[way];
      at = right;
    } else if (turn === 1) {
      way = (way + 1) & 3;
    }
    isBent = turn !== 0;
  } while (at !== start || way !== 0);
  path.closePath();
}
