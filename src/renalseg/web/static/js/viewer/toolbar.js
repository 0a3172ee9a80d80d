// The bar above the panes: tools, brush, undo, saving, layout.

import { button, h } from "../dom.js";
import { css, LABELS } from "../labels.js";

const TOOLS = [
  ["navigate", "crosshair", "Crosshair (V)"],
  ["window", "contrast", "Window (W)"],
  ["pan", "move", "Move (G)"],
  ["zoom", "zoom", "Zoom (Z)"],
  ["measure", "ruler", "Measure (M)"],
];
const EDIT = [
  ["brush", "brush", "Brush (B)"],
  ["erase", "eraser", "Eraser (E)"],
];
const LAYOUTS = [
  ["main", "main", "One large pane (1)"],
  ["grid", "grid", "Four panes (2)"],
  ["axial", "single", "Axial alone (3)"],
];
export const RULES = { all: "paints over everything", free: "paints background only", mask: "repaints the mask only" };

/** Builds the bar; `view` is a StudyView. */
export class Toolbar {
  constructor(element, view) {
    this.view = view;
    const { state } = view;
    this.tools = [...TOOLS, ...EDIT].map(([name, sign, label]) =>
      button(sign, label, () => view.setTool(name), { "aria-pressed": "false", "data-tool": name }),
    );
    this.undo = button("undo", "Undo (Ctrl+Z)", () => view.mask.undo());
    this.redo = button("redo", "Redo (Ctrl+Shift+Z)", () => view.mask.redo());
    this.save = button("save", "Save as a new version", () => view.save(), { wide: true, class: "button primary" });
    this.layouts = LAYOUTS.map(([name, sign, label]) =>
      button(sign, label, () => view.stage.setLayout(name), { "aria-pressed": "false", "data-layout": name }),
    );
    this.size = h("input", {
      type: "range", min: 1, max: 30, step: 0.5, value: state.radius, "aria-label": "Brush radius in mm",
      oninput: () => view.setRadius(Number(this.size.value)),
    });
    this.sizeText = h("output", { class: "number" });
    this.labels = LABELS.map(({ value, name, color }) => {
      const swatch = h("span", { class: "swatch" });
      swatch.style.background = css(color);
      return h(
        "label", { class: "choice" },
        h("input", { type: "radio", name: "paint", value, checked: value === state.label, onchange: () => view.setLabel(value) }),
        swatch, name,
      );
    });
    this.rule = h(
      "select", { "aria-label": "What the brush may change", onchange: () => (state.only = this.rule.value) },
      Object.entries(RULES).map(([value, text]) => h("option", { value }, text)),
    );
    this.brushBar = h(
      "div", { class: "brush-bar", role: "group", "aria-label": "Brush", hidden: true },
      h("fieldset", { class: "choices" }, h("legend", { class: "unseen" }, "Label to paint"), this.labels),
      h("label", { class: "row" }, "Radius", this.size, this.sizeText),
      this.rule,
    );
    const groupOf = (name, ...parts) => h("div", { class: "group", role: "group", "aria-label": name }, parts);
    element.replaceChildren(
      groupOf("Tools", this.tools.slice(0, TOOLS.length)),
      (this.editGroup = groupOf("Correct", this.tools.slice(TOOLS.length), this.undo, this.redo, this.save)),
      h("span", { class: "spring" }),
      groupOf("Layout", this.layouts, button("reset", "Reset zoom and position (R)", () => view.resetView())),
    );
    element.after(this.brushBar);
    view.stage.addEventListener("layout", () => this.update());
    this.update();
  }

  update() {
    const { state, mask, stage } = this.view;
    const paints = state.tool === "brush" || state.tool === "erase";
    for (const tool of this.tools) {
      tool.setAttribute("aria-pressed", String(tool.dataset.tool === state.tool));
    }
    for (const layout of this.layouts) {
      layout.setAttribute("aria-pressed", String(layout.dataset.layout === stage.layout.name));
    }
    const edits = this.view.mayEdit(true);
    this.editGroup.hidden = !this.view.canSave;
    for (const tool of this.tools.slice(TOOLS.length)) tool.disabled = !edits;
    this.undo.disabled = !mask?.history.canUndo;
    this.redo.disabled = !mask?.history.canRedo;
    this.save.disabled = !mask?.edited || state.saving;
    this.brushBar.hidden = !paints;
    this.brushBar.querySelector("fieldset").hidden = state.tool === "erase";
    this.rule.hidden = state.tool === "erase";
    this.size.value = state.radius;
    this.sizeText.textContent = `${state.radius} mm`;
    for (const label of this.labels) {
      const input = label.querySelector("input");
      input.checked = Number(input.value) === state.label;
    }
  }
}
