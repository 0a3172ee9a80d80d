// From a place on the screen to a voxel and back, pane by pane.

import { PANES, RENDER } from "./layout.js";

const AXES = [[0, 1], [0, 2], [1, 2]]; // what runs across and up in axial, coronal, sagittal

/** The panes as they are arranged; boxes in CSS pixels of the stage. */
export function panesOf(stage) {
  if (!stage.grid) return [];
  return stage.boxes.map((box) => {
    const pane = { ...PANES.find(({ type }) => type === box.type), ...box };
    return pane.type === RENDER ? pane : slicePane({ ...pane, voxel: stage.voxel }, stage.grid, stage.view);
  });
}

/**
 * A slice fills its pane as far as its shape lets it. The patient's right or front is on the left:
 * what runs across falls from left to right, as what runs up falls from top to bottom.
 */
function slicePane(pane, { size, spacing }, { middle, zoom }) {
  const axes = AXES[pane.type];
  const [across, up] = axes;
  const extent = axes.map((axis) => size[axis] * spacing[axis]);
  const scale = Math.min(pane.width / extent[0], pane.height / extent[1]) * zoom; // pixels per mm
  // where voxel -1/2 lies, the edge of the image
  const edge = [pane.left + pane.width / 2 + middle[across] * scale, pane.top + pane.height / 2 + middle[up] * scale];
  const step = axes.map((axis) => spacing[axis] * scale);
  return {
    ...pane,
    across,
    up,
    depth: 2 - pane.type,
    edge,
    step,
    mmPerPixel: 1 / scale,
    toScreen: (voxel) => axes.map((axis, i) => edge[i] - (voxel[axis] + 0.5) * step[i]),
    /** The place in voxels, fractions kept; the depth is the slice that is shown. */
    toVoxel(x, y) {
      const voxel = [...pane.voxel];
      voxel[across] = (edge[0] - x) / step[0] - 0.5;
      voxel[up] = (edge[1] - y) / step[1] - 0.5;
      return voxel;
    },
    /** A step on the screen in mm along the voxels' axes. */
    toMm(dx, dy) {
      const mm = [0, 0, 0];
      mm[across] = -dx / scale;
      mm[up] = -dy / scale;
      return mm;
    },
  };
}

/** The pane at a place on the screen. */
export function paneAt(panes, x, y) {
  return panes.find(({ left, top, width, height }) => x >= left && x < left + width && y >= top && y < top + height);
}
