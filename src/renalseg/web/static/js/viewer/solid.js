// The 3D pane: NiiVue draws surfaces, and the crosshair among them.

import { Niivue, NVImage, NVMesh, SLICE_TYPE } from "../../vendor/niivue.js";
import { apply } from "./grid.js";
import { LABELS } from "../labels.js";

const OPTIONS = {
  sliceType: SLICE_TYPE.RENDER,
  interactive: false, // pointer.js and keyboard.js do that
  dragAndDropEnabled: false,
  isOrientationTextVisible: false,
  isOrientCube: true,
  show3Dcrosshair: true,
  backColor: [0.02, 0.024, 0.03, 1],
  crosshairColor: [0.36, 0.72, 0.83, 0.8],
  crosshairWidthUnit: "mm",
  crosshairWidth: 0.8,
  crosshairGap: 0,
  loadingText: "",
  logLevel: "error",
};

/** Draws when something of it has changed and it is seen. */
export class Solid {
  #isNew = true;

  /** @param {HTMLElement} frame with a canvas that fills it */
  constructor(frame) {
    this.frame = frame;
    this.nv = new Niivue({ ...OPTIONS });
    this.meshes = [];
  }

  async start() {
    const { nv } = this;
    await nv.attachToCanvas(this.frame.querySelector("canvas")); // smooths edges where the machine has cores to spare
    nv.drawImage3D = () => {}; // surfaces without the CT
    const pivot = nv.setPivot3D.bind(nv);
    nv.setPivot3D = () => {
      pivot();
      if (this.middle) nv.pivot3D = this.middle;
    };
  }

  async show(grid) {
    const { nv } = this;
    this.clear();
    this.grid = grid;
    nv.addVolume(await placeholder(grid));
    nv.scene.renderAzimuth = 200;
    nv.scene.renderElevation = 12;
    this.isFitted = false;
    this.middle = null;
    this.resetView();
  }

  clear() {
    const { nv } = this;
    this.#remove();
    nv.volumes.slice().forEach((volume) => nv.removeVolume(volume));
  }

  /** Draw, if there is something new. */
  draw() {
    const { frame, nv } = this;
    if (!this.#isNew || frame.style.visibility === "hidden") return;
    this.#isNew = false;
    nv.drawScene();
  }

  changed() {
    this.#isNew = true;
  }

  /** Take a place on the stage, in CSS pixels; none hides it. */
  place(box) {
    const { style } = this.frame;
    style.visibility = box ? "" : "hidden";
    if (!box) return;
    const old = [style.width, style.height].join();
    for (const name of ["left", "top", "width", "height"]) style[name] = `${box[name]}px`;
    if (old !== [style.width, style.height].join()) this.nv.resizeListener(); // at once, not a frame later
    this.changed();
  }

  /** Put the crosshair at a place, in fractions of the study. */
  point(fractions) {
    this.nv.scene.crosshairPos = new Float32Array(fractions);
    this.changed();
  }

  showCrosshair(on) {
    this.nv.opts.show3Dcrosshair = on;
    this.changed();
  }

  resetView() {
    this.nv.scene.volScaleMultiplier = 1;
    if (this.meshes.length) this.#fit();
    this.changed();
  }

  rotate(dx, dy) {
    const { scene } = this.nv;
    scene.renderAzimuth = (scene.renderAzimuth + dx + 360) % 360;
    scene.renderElevation = Math.max(-90, Math.min(90, scene.renderElevation + dy));
    this.changed();
  }

  zoomBy(factor) {
    const { scene } = this.nv;
    scene.volScaleMultiplier = Math.max(0.4, Math.min(6, scene.volScaleMultiplier * factor));
    this.changed();
  }

  /** Show surfaces: [{ label, points (voxels), triangles, opacity, visible }]. */
  setSurfaces(surfaces) {
    const { nv } = this;
    this.#remove();
    this.meshes = surfaces.map(({ label, points, triangles, opacity, visible }) => {
      const mm = new Float32Array(points.length);
      for (let i = 0; i < points.length; i += 3) mm.set(apply(this.grid.affine, points.subarray(i, i + 3)), i);
      // shading darkens surfaces: a little light makes up for it
      const color = new Uint8Array([...LABELS[label - 1].color.map((part) => part + (255 - part) * 0.22), 255]);
      const mesh = new NVMesh(mm, triangles, LABELS[label - 1].name, color, opacity, visible, nv.gl);
      mesh.label = label;
      nv.addMesh(mesh);
      return mesh;
    });
    if (!this.isFitted && this.meshes.length) this.#fit();
    this.changed();
  }

  #remove() {
    this.meshes.forEach((mesh) => this.nv.removeMesh(mesh));
    this.meshes = [];
  }

  showSurfaces(shown) {
    this.meshes.forEach((mesh) => (mesh.visible = Boolean(shown[mesh.label])));
    this.changed();
  }

  /** Turn about the surfaces, as close as the pane holds them whichever way they are turned. */
  #fit() {
    const { nv } = this;
    const low = [Infinity, Infinity, Infinity];
    const high = [-Infinity, -Infinity, -Infinity];
    for (const { pts } of this.meshes) {
      for (let i = 0; i < pts.length; i++) {
        low[i % 3] = Math.min(low[i % 3], pts[i]);
        high[i % 3] = Math.max(high[i % 3], pts[i]);
      }
    }
    this.middle = low.map((from, axis) => (from + high[axis]) / 2);
    const radius = Math.hypot(...low.map((from, axis) => high[axis] - from)) / 2;
    nv.setPivot3D();
    // NiiVue shows 0.8 of the way to the corner of all that there is, divided by this factor
    nv.scene.volScaleMultiplier = Math.max(1, (0.8 * nv.furthestFromPivot) / (0.95 * radius));
    this.isFitted = true;
  }
}

/** An image of 2 x 2 x 2 voxels that fills the study's space: it tells NiiVue where things lie. */
async function placeholder(grid) {
  const file = new ArrayBuffer(352 + 8);
  const view = new DataView(file);
  view.setInt32(0, 348, true);
  [3, 2, 2, 2, 1, 1, 1, 1].forEach((n, i) => view.setInt16(40 + 2 * i, n, true));
  view.setInt16(70, 2, true);
  view.setInt16(72, 8, true);
  [1, ...grid.spacing.map((mm, axis) => (mm * grid.size[axis]) / 2)].forEach((mm, i) => view.setFloat32(76 + 4 * i, mm, true));
  view.setFloat32(108, 352, true);
  view.setFloat32(112, 1, true);
  view.setUint8(123, 2); // mm
  view.setInt16(254, 1, true);
  const half = grid.size.map((n) => n / 2);
  grid.affine.forEach((row, i) => {
    const origin = row[3] + [0, 1, 2].reduce((sum, axis) => sum + row[axis] * (half[axis] / 2 - 0.5), 0);
    [row[0] * half[0], row[1] * half[1], row[2] * half[2], origin].forEach((value, j) =>
      view.setFloat32(280 + 16 * i + 4 * j, value, true),
    );
  });
  view.setUint32(344, 0x00312b6e, true);
  return NVImage.new(file, "study.nii", "gray", 1);
}
