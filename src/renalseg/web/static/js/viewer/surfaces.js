// Asks the surface worker; a later request makes earlier ones void.

let worker;
let last = 0;

/** Keep the 3D pane's surfaces to what a mask holds. */
export class Surfaces {
  constructor(stage) {
    this.stage = stage;
  }

  /** @param {Mask} mask */
  update(mask) {
    worker ??= new Worker(new URL("./surfaces_worker.js", import.meta.url), { type: "module" });
    const id = ++last;
    worker.onmessage = ({ data }) => {
      if (data.id !== last || this.stage.grid !== mask.grid) return;
      const { shown } = this.stage.look;
      const hasLesions = data.surfaces.some(({ label }) => label > 1);
      this.stage.setSurfaces(
        data.surfaces
          .map((surface) => ({ ...surface, visible: Boolean(shown[surface.label]), opacity: surface.label === 1 && hasLesions ? 0.72 : 1 }))
          .sort((a, b) => b.label - a.label), // what is seen through is drawn last
      );
      this.stage.dispatchEvent(new Event("surfaces"));
    };
    const labels = mask.labels();
    worker.postMessage({ id, labels, size: mask.grid.size }, [labels.buffer]);
  }

  drop() {
    last++;
  }
}
