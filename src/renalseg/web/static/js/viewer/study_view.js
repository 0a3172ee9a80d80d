// One study in the viewer: what is loaded, shown, corrected and saved.

import * as api from "../api.js";
import { byId, h } from "../dom.js";
import { percent } from "../format.js";
import { LABELS } from "../labels.js";
import { ask, problem, say } from "../messages.js";
import { Display } from "./display.js";
import { Downloads } from "./downloads.js";
import { Findings } from "./findings.js";
import { apply, fromRas } from "./grid.js";
import { load } from "./load.js";
import { Mask } from "./mask.js";
import { gzip, writeLabels } from "./nifti.js";
import { Overlay } from "./overlay.js";
import { Pointer } from "./pointer.js";
import { Stage } from "./stage.js";
import { Surfaces } from "./surfaces.js";
import { Toolbar } from "./toolbar.js";
import { makeTools } from "./tools.js";
import { Versions } from "./versions.js";
import { windowOf } from "./windows.js";

const SURFACES_AFTER_MS = 400;

export class StudyView {
  study = null;
  mask = null;
  state = { tool: "navigate", radius: 6, label: 2, only: "all", version: "1", compare: "", saving: false };
  #opening = 0;

  /** @param {object} session of the server */
  constructor(session) {
    this.session = session;
    this.canSave = session.can_save ?? true;
  }

  async start() {
    this.stage = new Stage(byId("stage"), byId("solid"));
    await this.stage.start();
    this.overlay = new Overlay(byId("overlay"), this.stage);
    this.surfaces = new Surfaces(this.stage);
    this.toolbar = new Toolbar(byId("toolbar"), this);
    this.display = new Display(byId("display"), this);
    this.findings = new Findings(byId("findings"), this);
    this.versions = new Versions(byId("versions"), this);
    this.downloads = new Downloads(byId("downloads"), this, this.session.formats);
    this.pointer = new Pointer(byId("stage"), this.stage, makeTools(this), () => this.state.tool);
    this.stage.addEventListener("move", () => this.#sayPlace());
    this.stage.addEventListener("look", () => this.#sayPlace());
    this.stage.addEventListener("surfaces", () => (byId("stage").dataset.surfaces = this.state.version));
    return this;
  }

  /** Whether a study is still the one that is shown; the server may have sent it anew. */
  #shows({ id }) {
    return this.study?.id === id;
  }

  get newest() {
    return this.study.versions.at(-1)?.number ?? 0;
  }

  get hasRaw() {
    return (this.study?.has_raw ?? true) && this.study?.versions.length > 0;
  }

  /** Load a study and show its newest mask. */
  async open(study) {
    const opening = ++this.#opening;
    this.close();
    this.study = study;
    this.overlay.lines = [];
    this.#loading("Loading the scan", 0);
    try {
      const image = await load(api.urls.image(study.id), "ct", (fraction) => opening === this.#opening && this.#loading("Loading the scan", fraction));
      if (opening !== this.#opening) return;
      this.image = image;
      this.mask = new Mask(image.grid);
      this.mask.addEventListener("change", ({ low, high }) => this.#changed(low, high));
      this.mask.addEventListener("stroke", () => this.#stroked());
      this.#loading("Preparing the view", 1);
      await this.stage.show(image.grid, image.voxels, this.mask.bits);
      this.stage.setLook({ shown: [0, 1, 1, 1], uncertainty: 0, compared: 0 });
      this.#loading(null);
      this.state.compare = "";
      await this.showVersion(String(this.newest || ""), { first: true });
      byId("stage").dataset.ready = study.id;
    } catch (error) {
      if (opening === this.#opening) this.#loading(null, 0, error);
    }
  }

  close() {
    this.surfaces.drop();
    this.stage.clear();
    this.image = this.mask = this.study = null;
    for (const name of ["ready", "surfaces", "lesion"]) delete byId("stage").dataset[name];
  }

  #loading(text, fraction = 0, error = null) {
    const cover = byId("cover");
    cover.hidden = !text && !error;
    cover.replaceChildren(
      error
        ? h("div", { class: "box" }, h("h2", {}, "This study cannot be shown"), h("p", {}, error.message), h("button", { type: "button", class: "button", onclick: () => this.open(this.study) }, "Try again"))
        : h("p", { class: "quiet", role: "status" }, text ? `${text}${fraction > 0 && fraction < 1 ? ` · ${percent(fraction)}` : " …"}` : ""),
    );
  }

  /** The label map of a version in RAS+ order. */
  async #labels(version) {
    if (!version) return null;
    const { voxels, grid } = await load(api.urls.mask(this.study.id, version), "labels");
    if (grid.count !== this.image.grid.count) throw new Error("the mask does not lie on the scan's grid");
    return voxels;
  }

  async showVersion(version, { first = false } = {}) {
    if (!first && this.mask.edited && !(await this.#mayLeave())) {
      this.versions.update();
      return;
    }
    const { study } = this;
    try {
      const labels = await this.#labels(version);
      if (!this.#shows(study)) return;
      this.state.version = version;
      if (this.state.compare === version) await this.compareWith("");
      this.mask.setLabels(labels);
      byId("stage").dataset.version = version;
      this.#refreshSurfaces(0);
      this.versions.update();
      this.downloads.update();
      this.setTool(this.mayEdit(true) ? this.state.tool : "navigate");
      this.#showAgreement();
      await this.#measured(first);
    } catch (error) {
      problem(error);
      this.versions.update();
    }
  }

  async #measured(first) {
    const { study, state } = this;
    this.overlay.lines = [];
    if (!state.version) {
      this.findings.show(null, "There is no mask yet. Draw one with the brush.");
      return;
    }
    if (state.version === "raw") {
      this.findings.show(null, "Nothing is measured before post-processing.");
      return;
    }
    this.findings.show(null, "Measuring …");
    try {
      const measurements = await api.measurements(study.id, state.version);
      if (!this.#shows(study)) return;
      this.findings.show(measurements);
      this.#linesOf(measurements);
      if (first) this.#lookAtFirst(measurements);
    } catch (error) {
      this.findings.show(null, error.message);
    }
  }

  #lookAtFirst({ lesions, kidneys }) {
    const place = lesions[0]?.centroid ?? kidneys[0]?.centroid;
    if (place) this.stage.goTo(this.#voxelOf(place));
  }

  #linesOf({ lesions }) {
    this.overlay.lines = lesions.flatMap((lesion) => [
      { ends: lesion.axial_diameter.ends.map((end) => this.#voxelOf(end)), text: `${lesion.axial_diameter.length_mm.toFixed(1)} mm`, kind: "long" },
      { ends: lesion.short_axis.ends.map((end) => this.#voxelOf(end)), text: "", kind: "short" },
    ]);
    this.stage.draw();
  }

  #voxelOf({ mm }) {
    return apply(this.image.grid.inverse, mm);
  }

  /** Go to the slice of a lesion's largest axial diameter, and look closer. */
  goToLesion(lesion) {
    const [a, b] = lesion.axial_diameter.ends.map((end) => this.#voxelOf(end));
    this.stage.goTo(a.map((at, axis) => (at + b[axis]) / 2));
    byId("stage").dataset.lesion = lesion.number;
  }

  async compareWith(version) {
    this.state.compare = version;
    try {
      this.mask.setOther(version ? await this.#labels(version) : null);
      this.stage.setLook({ compared: version ? 1 : 0 });
    } catch (error) {
      this.state.compare = "";
      problem(error);
    }
    this.versions.update();
    this.#showAgreement();
  }

  #showAgreement() {
    const { spacing } = this.image.grid;
    const voxelMl = (spacing[0] * spacing[1] * spacing[2]) / 1000;
    this.versions.compare(this.state.compare ? this.mask.agreement() : null, voxelMl);
  }

  async setUncertainty(on) {
    if (on && !this.study.has_uncertainty) return;
    const { mask, study } = this;
    try {
      if (on && mask.hasUncertainty !== true) {
        const { voxels } = await load(api.urls.entropy(study.id), "entropy");
        mask.setUncertainty(voxels);
        mask.hasUncertainty = true;
      }
      this.stage.setLook({ uncertainty: on ? 0.75 : 0 });
      byId("stage").dataset.uncertainty = on ? "on" : "off";
    } catch (error) {
      problem(error);
      this.display.update();
    }
  }

  toggleLabel(value) {
    const shown = [...this.stage.look.shown];
    shown[value] = shown[value] ? 0 : 1;
    this.stage.setLook({ shown });
    this.stage.showSurfaces(shown);
  }

  /** Hide all labels, or show them again. */
  toggleMask() {
    const shown = this.stage.look.shown.some(Boolean) ? [0, 0, 0, 0] : [0, 1, 1, 1];
    this.stage.setLook({ shown });
    this.stage.showSurfaces(shown);
  }

  setSmooth(on) {
    this.smooth = on;
    this.#smoothNow();
  }

  #smoothNow() {
    const paints = this.state.tool === "brush" || this.state.tool === "erase";
    // who paints sees voxels as they are
    this.stage.setLook({ smoothEdges: (this.smooth ?? true) && !paints ? 1 : 0 });
  }

  setTool(tool) {
    if ((tool === "brush" || tool === "erase") && !this.mayEdit()) tool = "navigate";
    this.state.tool = tool;
    byId("stage").dataset.tool = tool;
    this.#smoothNow();
    this.toolbar.update();
  }

  setRadius(radius) {
    this.state.radius = Math.max(1, Math.min(30, radius));
    this.toolbar.update();
  }

  setLabel(label) {
    this.state.label = label;
    this.toolbar.update();
  }

  /** Whether the mask that is shown may be corrected; says why not unless it is only asked. */
  mayEdit(onlyAsked = false) {
    if (!this.mask || !this.canSave) return false;
    if (this.state.version !== "raw") return true;
    if (!onlyAsked) say("The mask before post-processing is only to look at. Choose a version to correct.");
    return false;
  }

  /** Which voxels a stroke may change. */
  mayChange(only, tool) {
    if (tool === "erase" || only === "all") return undefined;
    return only === "free" ? (index, old) => old === 0 : (index, old) => old !== 0;
  }

  #changed(low, high) {
    this.stage.refreshBits(low, high);
  }

  #stroked() {
    this.display.update();
    this.toolbar.update();
    this.#refreshSurfaces(SURFACES_AFTER_MS);
    if (this.state.compare) this.#showAgreement();
  }

  #refreshSurfaces(after) {
    clearTimeout(this.surfacesTimer);
    const { mask } = this;
    this.display.update();
    this.surfacesTimer = setTimeout(() => this.mask === mask && this.surfaces.update(mask), after);
  }

  /** Save the corrected mask as a new version; it is measured again. */
  async save() {
    const { study, image, mask, state } = this;
    if (!mask?.edited || state.saving) return;
    state.saving = true;
    this.toolbar.update();
    try {
      const labels = fromRas(mask.bits, new Uint8Array(image.grid.count), image.grid, (byte) => byte & 3);
      const body = await gzip(writeLabels(image.header, image.little, labels));
      const version = await api.saveMask(study.id, state.version || 0, body);
      if (!this.#shows(study)) return;
      const { versions } = this.study; // the server may have told of it before it answered
      if (!versions.some(({ number }) => number === version.number)) versions.push(version);
      mask.edited = false;
      mask.history.clear();
      say(version.saved_as ? `Saved as ${version.saved_as}.` : `Saved as version ${version.number}.`);
      state.version = String(version.number);
      this.versions.update();
      this.downloads.update();
      await this.#measured(false);
    } catch (error) {
      problem(error);
    } finally {
      state.saving = false;
      this.toolbar.update();
    }
  }

  async #mayLeave() {
    return ask("Leave your corrections?", "Leave them", { detail: "They are not saved as a version yet.", danger: true });
  }

  /** Whether the study may be left: asks where corrections would be lost. */
  async mayClose() {
    return !this.mask?.edited || this.#mayLeave();
  }

  /** The server knows more of the study, such as a version that someone saved. */
  refreshed(study) {
    this.study = study;
    this.versions.update();
  }

  resetView() {
    this.stage.resetView();
    this.stage.goTo(this.stage.voxel);
  }

  onHover(pane, place) {
    this.hovered = pane?.toVoxel ? pane.type : this.hovered;
    this.place = place?.map(Math.round);
    this.#sayPlace();
  }

  #sayPlace() {
    const { stage } = this;
    if (!stage.grid) return;
    const inside = this.place?.every((at, axis) => at >= 0 && at < stage.grid.size[axis]);
    const voxel = inside ? this.place : stage.voxel;
    const label = LABELS.find(({ value }) => value === this.mask?.labelAt(voxel));
    const { width, level } = windowOf(stage.look);
    byId("place").textContent = [`${stage.huAt(voxel)} HU`, label?.name ?? "", `W ${width} L ${level}`, stage.zoom === 1 ? "" : `${stage.zoom.toFixed(1)}×`].filter(Boolean).join("   ");
  }
}
