// Keys of the viewer. They work wherever the focus is, but for fields that take text or arrows.

import { WINDOWS, limits } from "./windows.js";

/** Groups of [keys, what they do]; the help lists them. */
export const KEYS = [
  ["Slices", [["↑ ↓", "one slice up or down"], ["Page ↑ ↓", "ten slices"], ["Home End", "first or last slice"], ["← →", "crosshair one voxel"]]],
  ["View", [["1 2 3", "one large pane, four panes, axial alone"], ["4 5 6", "coronal, sagittal, 3D alone"], ["+ −", "zoom"], ["R", "reset zoom and position"], ["H", "crosshair on or off"], ["F1 – F5", "windows: abdomen, kidney, soft tissue, bone, lung"]]],
  ["Mask", [["Space", "mask on or off"], ["K T C", "kidney, tumor, cyst on or off"], ["P", "before post-processing"], ["U", "uncertainty"], ["N", "next lesion (with Shift: the one before)"]]],
  ["Tools", [["V", "crosshair"], ["W", "window"], ["G", "move"], ["Z", "zoom"], ["M", "measure"], ["B", "brush"], ["E", "eraser"], ["[ ]", "smaller or larger brush"], ["Alt 1 2 3", "paint kidney, tumor, cyst"]]],
  ["Corrections", [["Ctrl Z", "undo"], ["Ctrl Shift Z", "redo"], ["Ctrl S", "save as a new version"]]],
  ["Mouse", [["Wheel", "slices"], ["Ctrl wheel", "zoom"], ["Right button", "window"], ["Middle, Shift left", "move"], ["Double click", "one pane alone, and back"]]],
];

const TOOLS = { v: "navigate", w: "window", g: "pan", z: "zoom", m: "measure", b: "brush", e: "erase" };
const LAYOUTS = { 1: "main", 2: "grid", 3: "axial", 4: "coronal", 5: "sagittal", 6: "3d" };
const LABEL_KEYS = { k: 1, t: 2, c: 3 };

export function listenToKeys(view, showHelp) {
  addEventListener("keydown", (event) => {
    if (document.querySelector("dialog[open]") || takesText(event)) return;
    if (event.key === "?") {
      event.preventDefault();
      showHelp();
      return;
    }
    if (!view.mask) return;
    const action = actionOf(event, view);
    if (!action) return;
    event.preventDefault();
    action();
  });
}

function takesText({ target, key }) {
  const isField = target.closest?.("input:not([type=checkbox], [type=radio]), select, textarea");
  if (isField) return true;
  const isControl = target.closest?.("button, a, input, summary");
  return Boolean(isControl) && (key === " " || key === "Enter" || (target.type === "radio" && key.startsWith("Arrow")));
}

function actionOf(event, view) {
  const { stage, state } = view;
  const key = event.key.length === 1 ? event.key.toLowerCase() : event.key;
  if (event.ctrlKey || event.metaKey) {
    if (key === "z") return () => (event.shiftKey ? view.mask.redo() : view.mask.undo());
    if (key === "y") return () => view.mask.redo();
    if (key === "s") return () => view.save();
    return null;
  }
  if (event.altKey) {
    const number = Number(event.code?.replace("Digit", ""));
    return number >= 1 && number <= 3 ? () => view.setLabel(number) : null;
  }
  const pane = paneOf(view);
  const arrows = { ArrowUp: 1, ArrowDown: -1, PageUp: 10, PageDown: -10, Home: 1e6, End: -1e6 };
  if (key in arrows) return () => stage.scroll(pane, arrows[key]);
  if (key === "ArrowLeft" || key === "ArrowRight") return () => sideways(stage, pane, key === "ArrowLeft" ? -1 : 1);
  if (key in TOOLS) return () => view.setTool(TOOLS[key]);
  if (key in LAYOUTS) return () => stage.setLayout(LAYOUTS[key]);
  if (key in LABEL_KEYS) return () => view.toggleLabel(LABEL_KEYS[key]);
  const window = /^F([1-5])$/.exec(key);
  if (window) return () => stage.setLook(limits(WINDOWS[window[1] - 1]));
  return {
    "+": () => stage.zoomBy(1.2),
    "=": () => stage.zoomBy(1.2),
    "-": () => stage.zoomBy(1 / 1.2),
    r: () => view.resetView(),
    h: () => toggleCrosshair(view),
    " ": () => view.toggleMask(),
    p: () => view.hasRaw && view.showVersion(state.version === "raw" ? String(view.newest) : "raw"),
    u: () => view.setUncertainty(stage.look.uncertainty === 0),
    n: () => view.findings.step(event.shiftKey ? -1 : 1),
    "[": () => view.setRadius(state.radius - 1),
    "]": () => view.setRadius(state.radius + 1),
    Escape: () => view.setTool("navigate"),
  }[key];
}

/** The pane that keys scroll: where the mouse is, or the large one. */
function paneOf({ hovered, stage }) {
  const alone = ["axial", "coronal", "sagittal"].indexOf(stage.layout.name);
  return alone >= 0 ? alone : (hovered ?? stage.layout.large);
}

function sideways(stage, pane, by) {
  const voxel = stage.voxel;
  const axis = pane === 2 ? 1 : 0;
  voxel[axis] -= by; // the patient's right, and front, are on the left
  stage.goTo(voxel);
}

function toggleCrosshair({ overlay, stage }) {
  overlay.showCrosshair = !overlay.showCrosshair;
  stage.showCrosshair3d(overlay.showCrosshair);
}
