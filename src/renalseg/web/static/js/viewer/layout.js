// Which panes are on the canvas and where, as fractions of it.

export const AXIAL = 0;
export const CORONAL = 1;
export const SAGITTAL = 2;
export const RENDER = 4;
export const PANES = [
  { type: AXIAL, name: "Axial", key: "axial", letters: { left: "R", right: "L", top: "A", bottom: "P" } },
  { type: CORONAL, name: "Coronal", key: "coronal", letters: { left: "R", right: "L", top: "S", bottom: "I" } },
  { type: SAGITTAL, name: "Sagittal", key: "sagittal", letters: { left: "A", right: "P", top: "S", bottom: "I" } },
  { type: RENDER, name: "3D", key: "3d", letters: {} },
];
export const LAYOUTS = ["main", "grid", "axial", "coronal", "sagittal", "3d"];

/** Names an arrangement and turns it into NiiVue's tiles. */
export class Layout {
  name = "main";
  /** The pane that is large in "main". */
  large = AXIAL;

  /** @returns {{sliceType: number, position: number[]}[]} left, top, width, height */
  tiles(width, height) {
    return this.#boxes(width, height).map(([sliceType, ...position]) => ({ sliceType, position: gapped(position, width, height) }));
  }

  #boxes(width, height) {
    const alone = PANES.find(({ key }) => key === this.name);
    if (alone) return [[alone.type, 0, 0, 1, 1]];
    if (this.name === "grid") {
      return [[AXIAL, 0, 0, 0.5, 0.5], [CORONAL, 0.5, 0, 0.5, 0.5], [RENDER, 0, 0.5, 0.5, 0.5], [SAGITTAL, 0.5, 0.5, 0.5, 0.5]];
    }
    const others = [CORONAL, SAGITTAL, RENDER, AXIAL].filter((type) => type !== this.large).slice(0, 3);
    if (width < height * 1.05) {
      return [[this.large, 0, 0, 1, 0.66], ...others.map((type, i) => [type, i / 3, 0.66, 1 / 3, 0.34])];
    }
    const side = Math.min(0.38, (height / 3 / width) * 1.35);
    return [[this.large, 0, 0, 1 - side, 1], ...others.map((type, i) => [type, 1 - side, i / 3, side, 1 / 3])];
  }
}

/** Leave two pixels between panes. */
function gapped([left, top, w, h], width, height) {
  const x = left > 0 ? 2 / width : 0;
  const y = top > 0 ? 2 / height : 0;
  return [left + x, top + y, w - x - 1e-6, h - y - 1e-6];
}
