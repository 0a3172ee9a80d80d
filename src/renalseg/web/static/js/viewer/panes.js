// From a place on the screen to a voxel and back, pane by pane.

import { PANES, RENDER } from "./layout.js";

const AXES = [[0, 1], [0, 2], [1, 2]]; // what runs across and up in axial, coronal, sagittal

/** The panes as last drawn; boxes in CSS pixels of the canvas. */
export function panesOf(stage) {
  const { nv } = stage;
  if (!stage.grid) return [];
  const ratio = nv.uiData.dpr || 1;
  const zero = stage.orthoMm([0, 0, 0]);
  const one = stage.orthoMm([1, 1, 1]);
  const step = one.map((mm, axis) => mm - zero[axis]);
  return nv.screenSlices.map((tile) => {
    const [left, top, width, height] = tile.leftTopWidthHeight.map((pixels) => pixels / ratio);
    const kind = PANES.find(({ type }) => type === tile.axCorSag);
    return tile.axCorSag === RENDER
      ? { ...kind, left, top, width, height }
      : slicePane({ ...kind, left, top, width, height, voxel: stage.voxel }, tile, zero, step);
  });
}

function slicePane(pane, tile, zero, step) {
  const [across, up] = AXES[pane.type];
  const { leftTopMM: from, fovMM: extent } = tile;
  return {
    ...pane,
    across,
    up,
    depth: 2 - pane.type,
    /** Millimetres per pixel. */
    mmPerPixel: Math.abs(extent[0]) / pane.width,
    toScreen(voxel) {
      const mm = (axis) => zero[axis] + step[axis] * voxel[axis];
      return [
        pane.left + ((mm(across) - from[0]) / extent[0]) * pane.width,
        pane.top + (1 - (mm(up) - from[1]) / extent[1]) * pane.height,
      ];
    },
    /** The place in voxels, fractions kept; the depth is the slice that is shown. */
    toVoxel(x, y) {
      const voxel = [...pane.voxel];
      const mmAcross = from[0] + ((x - pane.left) / pane.width) * extent[0];
      const mmUp = from[1] + (1 - (y - pane.top) / pane.height) * extent[1];
      voxel[across] = (mmAcross - zero[across]) / step[across];
      voxel[up] = (mmUp - zero[up]) / step[up];
      return voxel;
    },
    /** A step on the screen in straightened millimetres. */
    toMm(dx, dy) {
      const mm = [0, 0, 0];
      mm[across] = (dx / pane.width) * extent[0];
      mm[up] = (-dy / pane.height) * extent[1];
      return mm;
    },
  };
}

/** The pane at a place on the screen. */
export function paneAt(panes, x, y) {
  return panes.find(({ left, top, width, height }) => x >= left && x < left + width && y >= top && y < top + height);
}
