// Which panes are on the stage and where.

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

/** Names an arrangement and says where its panes lie. */
export class Layout {
  name = "main";
  /** The pane that is large in "main". */
  large = AXIAL;

  /** @returns {{type: number, left: number, top: number, width: number, height: number}[]} in whole pixels */
  boxes(width, height) {
    return this.#fractions(width, height).map(([type, left, top, w, h]) => {
      // two pixels are left between panes
      const box = { type, left: left > 0 ? Math.round(left * width) + 2 : 0, top: top > 0 ? Math.round(top * height) + 2 : 0 };
      return { ...box, width: Math.round((left + w) * width) - box.left, height: Math.round((top + h) * height) - box.top };
    });
  }

  #fractions(width, height) {
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
