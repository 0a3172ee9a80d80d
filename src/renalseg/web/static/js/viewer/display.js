// The panel's part about how things look: labels, opacity, window, uncertainty.

import { h, icon } from "../dom.js";
import { ml } from "../format.js";
import { css, LABELS } from "../labels.js";
import { limits, windowOf, WINDOWS } from "./windows.js";

export class Display {
  constructor(element, view) {
    this.view = view;
    const { stage } = view;
    this.rows = LABELS.map(({ value, name, color, key }) => {
      const swatch = h("span", { class: "swatch" });
      swatch.style.background = css(color);
      const volume = h("span", { class: "number" });
      const toggle = h(
        "button",
        { type: "button", class: "label-row", "aria-pressed": "true", "data-label": key, title: `Show or hide (${name[0]})`, onclick: () => view.toggleLabel(value) },
        swatch, h("span", { class: "grow" }, name), volume, h("span", { class: "eye" }, icon("eye")),
      );
      return { value, toggle, volume };
    });
    this.fill = slider("Fill", 0, 100, 35, (value) => stage.setLook({ fillOpacity: value / 100 }), "%");
    this.line = slider("Outline", 0, 100, 100, (value) => stage.setLook({ lineOpacity: value / 100 }), "%");
    this.smooth = check("Smooth edges", true, (on) => view.setSmooth(on));
    this.uncertainty = check("Uncertainty of the ensemble (U)", false, (on) => view.setUncertainty(on));
    this.preset = h(
      "select",
      { id: "window-preset", onchange: () => this.choose(Number(this.preset.value)) },
      WINDOWS.map(({ name, width, level }, i) => h("option", { value: i }, `${name}: ${width} / ${level}`)),
      h("option", { value: -1, hidden: true }, "Own window"),
    );
    this.wl = h("output", { class: "number wide", for: "window-preset" });
    element.replaceChildren(
      h("h2", {}, "Display"),
      h("div", { class: "labels" }, this.rows.map(({ toggle }) => toggle)),
      this.fill.row, this.line.row, this.smooth.row, this.uncertainty.row,
      h("div", { class: "field" }, h("label", { for: "window-preset" }, "Window"), this.preset, this.wl),
    );
    stage.addEventListener("look", () => this.update());
    this.update();
  }

  choose(number) {
    if (WINDOWS[number]) this.view.stage.setLook(limits(WINDOWS[number]));
  }

  update() {
    const { stage, mask, study } = this.view;
    const { look } = stage;
    const voxel = stage.grid ? (stage.grid.spacing[0] * stage.grid.spacing[1] * stage.grid.spacing[2]) / 1000 : 0;
    for (const { value, toggle, volume } of this.rows) {
      toggle.setAttribute("aria-pressed", String(Boolean(look.shown[value])));
      toggle.querySelector(".eye").replaceChildren(icon(look.shown[value] ? "eye" : "hidden"));
      volume.textContent = mask ? `${ml(mask.counts[value] * voxel)} ml` : "";
    }
    const { width, level } = windowOf(look);
    const number = WINDOWS.findIndex((each) => each.width === width && each.level === level);
    this.preset.value = String(number);
    this.wl.textContent = `W ${width} L ${level}`;
    this.uncertainty.row.hidden = !study?.has_uncertainty;
    this.uncertainty.input.checked = look.uncertainty > 0;
    this.fill.set(Math.round(look.fillOpacity * 100));
    this.line.set(Math.round(look.lineOpacity * 100));
  }
}

function slider(name, min, max, value, onValue, unit) {
  const text = h("output", { class: "number" });
  const input = h("input", { type: "range", min, max, value, oninput: () => onValue(Number(input.value)) });
  const set = (now) => {
    input.value = now;
    text.textContent = `${now} ${unit}`;
  };
  set(value);
  return { row: h("label", { class: "field" }, h("span", { class: "name" }, name), input, text), input, set };
}

function check(name, checked, onValue) {
  const input = h("input", { type: "checkbox", checked, onchange: () => onValue(input.checked) });
  return { row: h("label", { class: "check" }, input, name), input };
}
