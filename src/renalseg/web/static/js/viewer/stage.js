// The canvas: NiiVue lays out axial, coronal, sagittal and 3D panes, knows where they lie in the
// patient and draws surfaces; the colours of slices come from slice_shader.js.

import { Niivue, NVImage, NVMesh, SLICE_TYPE } from "../../vendor/niivue.js";
import { Layout } from "./layout.js";
import { SLICE_SHADER } from "./slice_shader.js";
import { Textures } from "./textures.js";
import { apply } from "./grid.js";
import { LABELS } from "../labels.js";

const OPTIONS = {
  isRadiologicalConvention: true, // the patient's right is on the left
  sagittalNoseLeft: true,
  interactive: false, // pointer.js and keyboard.js do that
  dragAndDropEnabled: false,
  isOrientationTextVisible: false, // overlay.js
  isOrientCube: true,
  backColor: [0.02, 0.024, 0.03, 1],
  crosshairColor: [0.36, 0.72, 0.83, 0.8],
  crosshairWidthUnit: "mm",
  crosshairWidth: 0.8,
  crosshairGap: 0,
  meshThicknessOn2D: 0, // surfaces in 3D alone
  loadingText: "",
  logLevel: "error",
};

/** What is on the canvas. Places in the study are voxels of the RAS+ grid. */
export class Stage extends EventTarget {
  #waiting = 0;

  constructor(canvas) {
    super();
    this.canvas = canvas;
    this.nv = new Niivue({ ...OPTIONS });
    this.layout = new Layout();
    this.look = {
      low: -160, high: 240, fillOpacity: 0.35, lineOpacity: 1, lineWidth: 1.6, smoothEdges: 1,
      uncertainty: 0, compared: 0, shown: [0, 1, 1, 1],
    };
    this.grid = null;
    this.meshes = [];
  }

  async start() {
    const { nv } = this;
    await nv.attachToCanvas(this.canvas); // smooths edges where the machine has cores to spare
    this.#fillPanes();
    nv.setCustomSliceShader(SLICE_SHADER);
    this.textures = new Textures(nv.gl);
    this.textures.bind(nv.customSliceShader.program);
    LABELS.forEach(({ value, color }) => {
      nv.gl.uniform3fv(nv.customSliceShader.uniforms[`color${value}`], color.map((part) => part / 255));
    });
    const draw = nv.drawScene.bind(nv);
    nv.drawScene = () => {
      draw();
      this.dispatchEvent(new Event("draw"));
    };
    new ResizeObserver(() => this.arrange()).observe(this.canvas.parentElement);
  }

  /** Panes are filled by the image's surroundings too, and 3D shows surfaces without the CT. */
  #fillPanes() {
    const { nv } = this;
    let frame = [0, 0, 1, 1];
    nv.draw2D = (box, axis, at) => nv.draw2DMain((frame = box), axis, at);
    for (const name of ["screenFieldOfViewExtendedVox", "screenFieldOfViewExtendedMM"]) {
      const original = nv[name].bind(nv);
      nv[name] = (axis) => widened(original(axis), frame[2] / frame[3]);
    }
    nv.drawImage3D = () => {};
    const pivot = nv.setPivot3D.bind(nv);
    nv.setPivot3D = () => {
      pivot();
      if (this.middle) nv.pivot3D = this.middle;
    };
    const crosshair = nv.drawCrosshairs3D.bind(nv);
    nv.drawCrosshairs3D = (depth, alpha, matrix, isSlice, ...more) => {
      if (!isSlice) crosshair(depth, alpha, matrix, isSlice, ...more);
    };
  }

  /** Show a study; `bits` is looked at again whenever `refreshBits` is called. */
  async show(grid, hu, bits) {
    const { nv } = this;
    this.grid = grid;
    this.hu = hu;
    this.bits = bits;
    this.setSurfaces([]);
    nv.volumes.slice().forEach((volume) => nv.removeVolume(volume));
    this.textures.fill(grid.size, hu, bits);
    nv.addVolume(await placeholder(grid));
    nv.scene.renderAzimuth = 200;
    nv.scene.renderElevation = 12;
    this.isFitted = false;
    this.middle = null;
    this.resetView();
    this.goTo(grid.size.map((n) => Math.floor(n / 2)));
  }

  clear() {
    const { nv } = this;
    this.grid = null;
    this.setSurfaces([]);
    nv.volumes.slice().forEach((volume) => nv.removeVolume(volume));
  }

  /** Draw in the next frame. */
  draw() {
    if (this.#waiting) return;
    this.#waiting = requestAnimationFrame(() => {
      this.#waiting = 0;
      if (!this.grid) return;
      this.#tellLook();
      this.nv.drawScene();
    });
  }

  #tellLook() {
    const { gl, customSliceShader: shader } = this.nv;
    shader.use(gl);
    for (const [name, value] of Object.entries(this.look)) {
      if (Array.isArray(value)) gl.uniform4fv(shader.uniforms[name], value);
      else gl.uniform1f(shader.uniforms[name], value);
    }
  }

  /** Change how it looks: window, opacities, what is shown. */
  setLook(change) {
    Object.assign(this.look, change);
    this.draw();
    this.dispatchEvent(new Event("look"));
  }

  refreshBits(low, high) {
    if (low) this.textures.refreshBox(this.bits, low, high);
    else this.textures.refresh(this.bits);
    this.draw();
  }

  arrange() {
    const { clientWidth, clientHeight } = this.canvas.parentElement;
    if (!clientWidth || !clientHeight) return;
    this.nv.customLayout = this.layout.tiles(clientWidth, clientHeight);
    this.draw();
  }

  setLayout(name) {
    this.layout.name = name;
    this.arrange();
    this.dispatchEvent(new Event("layout"));
  }

  /** The voxel under the crosshair. */
  get voxel() {
    return [0, 1, 2].map((axis) => {
      const at = Math.floor(this.nv.scene.crosshairPos[axis] * this.grid.size[axis]);
      return Math.max(0, Math.min(this.grid.size[axis] - 1, at));
    });
  }

  /** Move the crosshair to the middle of a voxel. */
  goTo(voxel) {
    const { size } = this.grid;
    this.nv.scene.crosshairPos = new Float32Array(
      [0, 1, 2].map((axis) => (Math.max(0, Math.min(size[axis] - 1, Math.round(voxel[axis]))) + 0.5) / size[axis]),
    );
    this.draw();
    this.dispatchEvent(new Event("move"));
  }

  /** Scroll through the slices of a pane: 0 axial, 1 coronal, 2 sagittal. */
  scroll(pane, by) {
    const voxel = this.voxel;
    voxel[2 - pane] += by;
    this.goTo(voxel);
  }

  get zoom() {
    return this.nv.scene.pan2Dxyzmm[3];
  }

  /** Zoom the slices by a factor, about the crosshair. */
  zoomBy(factor) {
    const pan = this.nv.scene.pan2Dxyzmm;
    const zoom = Math.max(0.5, Math.min(20, pan[3] * factor));
    const at = this.orthoMm(this.voxel);
    // NiiVue shows [(low - pan) / zoom, (high - pan) / zoom]: the crosshair keeps its place
    const change = zoom - pan[3];
    this.nv.scene.pan2Dxyzmm = [...[0, 1, 2].map((axis) => pan[axis] - at[axis] * change), zoom];
    this.draw();
  }

  /** Move the slices by millimetres of NiiVue's straightened space. */
  panBy(mm) {
    const pan = this.nv.scene.pan2Dxyzmm;
    this.nv.scene.pan2Dxyzmm = [...[0, 1, 2].map((axis) => pan[axis] + mm[axis] * pan[3]), pan[3]];
    this.draw();
  }

  resetView() {
    this.nv.scene.pan2Dxyzmm = [0, 0, 0, 1];
    this.nv.scene.volScaleMultiplier = 1;
    if (this.meshes.length) this.fit3d();
    this.draw();
  }

  rotate(dx, dy) {
    const { scene } = this.nv;
    scene.renderAzimuth = (scene.renderAzimuth + dx + 360) % 360;
    scene.renderElevation = Math.max(-90, Math.min(90, scene.renderElevation + dy));
    this.draw();
  }

  zoom3d(factor) {
    const { scene } = this.nv;
    scene.volScaleMultiplier = Math.max(0.4, Math.min(6, scene.volScaleMultiplier * factor));
    this.draw();
  }

  /** A voxel in NiiVue's straightened millimetres, which its slices are drawn in. */
  orthoMm(voxel) {
    const fraction = voxel.map((at, axis) => (at + 0.5) / this.grid.size[axis]);
    return Array.from(this.nv.frac2mm(fraction, 0, false)).slice(0, 3);
  }

  /** HU of a voxel. */
  huAt([x, y, z]) {
    const [nx, ny] = this.grid.size;
    return this.hu[(z * ny + y) * nx + x];
  }

  /** Show surfaces: [{ label, points (voxels), triangles, opacity, visible }]. */
  setSurfaces(surfaces) {
    const { nv } = this;
    this.meshes.forEach((mesh) => nv.removeMesh(mesh));
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
    if (!this.isFitted && this.meshes.length) this.fit3d();
    this.draw();
  }

  /** Turn the 3D pane about the surfaces, as close as it holds them whichever way they are turned. */
  fit3d() {
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

  showSurfaces(shown) {
    this.meshes.forEach((mesh) => (mesh.visible = Boolean(shown[mesh.label])));
    this.draw();
  }
}

/** Widen a field of view to a pane's shape. */
function widened(view, aspect) {
  const wanted = view.fovMM[0] / view.fovMM[1];
  const axis = wanted < aspect ? 0 : 1;
  const factor = wanted < aspect ? aspect / wanted : wanted / aspect;
  const middle = (view.mnMM[axis] + view.mxMM[axis]) / 2;
  const half = (view.fovMM[axis] / 2) * factor;
  view.mnMM[axis] = middle - half;
  view.mxMM[axis] = middle + half;
  view.fovMM[axis] = 2 * half;
  return view;
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

export { SLICE_TYPE };
