// The panel's part about what was measured: kidneys, and lesions in a table that leads to them.

import { h } from "../dom.js";
import { ml, mm } from "../format.js";
import { css, LABELS } from "../labels.js";

const LINES = { axial: "axial diameter", coronal: "coronal diameter", sagittal: "sagittal diameter", "3d": "3D diameter" };
const SIDES = { left: "left", right: "right" };

export class Findings {
  constructor(element, view) {
    this.element = element;
    this.view = view;
    this.chosen = null;
    this.lesions = [];
    element.replaceChildren(h("h2", {}, "Findings"), (this.body = h("div")));
  }

  /** @param {object|null} measurements as renalseg.clinical.records has them */
  show(measurements, note = "") {
    this.chosen = null;
    this.lesions = measurements?.lesions ?? [];
    if (!measurements) {
      this.body.replaceChildren(h("p", { class: "quiet" }, note));
      return;
    }
    const { kidneys, notes } = measurements;
    this.details = h("div", { class: "details", "aria-live": "polite" });
    this.body.replaceChildren(
      ...[
        kidneys.length ? this.#kidneys(kidneys) : null,
        this.lesions.length ? this.#table() : h("p", { class: "quiet" }, "No tumor or cyst was found."),
        this.details,
        ...notes.map((text) => h("p", { class: "quiet" }, text)),
      ].filter(Boolean),
    );
  }

  #kidneys(kidneys) {
    return h(
      "dl", { class: "kidneys" },
      kidneys.map((kidney) => [
        h("dt", {}, `${kidney.side === "left" ? "Left" : "Right"} kidney`),
        h("dd", {}, `${ml(kidney.volume_ml)} ml · ${mm(kidney.length_mm)} mm long`),
      ]),
    );
  }

  #table() {
    const head = [["#", "Number"], ["", "Kind"], ["Side"], ["Ø mm", "Largest axial diameter in mm"], ["ml", "Volume in ml"]];
    return h(
      "table", { class: "lesions" },
      h("caption", { class: "unseen" }, "Lesions; a button in each row goes there"),
      h("thead", {}, h("tr", {}, head.map(([text, title]) => h("th", { scope: "col", abbr: title }, text || h("span", { class: "unseen" }, title))))),
      h("tbody", {}, this.lesions.map((lesion, i) => this.#row(lesion, i))),
    );
  }

  #row(lesion, i) {
    const { color, name } = LABELS.find(({ key }) => key === lesion.label);
    const swatch = h("span", { class: "swatch" });
    swatch.style.background = css(color);
    return h(
      "tr", { "data-lesion": lesion.number },
      h("td", {}, String(lesion.number)),
      h("td", {}, h("button", { type: "button", class: "row-button", "aria-pressed": "false", onclick: () => this.choose(i) }, swatch, name)),
      h("td", {}, SIDES[lesion.side]),
      h("td", { class: "number" }, mm(lesion.largest_axial_diameter_mm)),
      h("td", { class: "number" }, ml(lesion.volume_ml)),
    );
  }

  /** Go to a lesion and show its diameters; beyond the last comes the first. */
  choose(i) {
    if (!this.lesions.length) return;
    this.chosen = (i + this.lesions.length) % this.lesions.length;
    const lesion = this.lesions[this.chosen];
    this.body.querySelectorAll("tbody tr").forEach((row, at) => {
      row.classList.toggle("chosen", at === this.chosen);
      row.querySelector("button").setAttribute("aria-pressed", String(at === this.chosen));
    });
    this.details.replaceChildren(h("dl", { class: "pairs" }, pairsOf(lesion).flatMap(([name, text]) => [h("dt", {}, name), h("dd", {}, text)])));
    this.view.goToLesion(lesion);
  }

  step(by) {
    this.choose(this.chosen === null ? (by > 0 ? 0 : -1) : this.chosen + by);
  }
}

function pairsOf(lesion) {
  const pairs = [
    ["Largest axial diameter", `${mm(lesion.largest_axial_diameter_mm)} mm`],
    ["Perpendicular", `${mm(lesion.short_axis_mm)} mm`],
    ["Largest in 3D", `${mm(lesion.largest_3d_diameter_mm)} mm`],
  ];
  if (lesion.sinus_distance_mm !== null) pairs.push(["From the sinus", `${mm(lesion.sinus_distance_mm)} mm`]);
  if (lesion.intensity) pairs.push(["Intensity", `${lesion.intensity.mean_hu.toFixed(0)} ± ${lesion.intensity.sd_hu.toFixed(0)} HU`]);
  if (lesion.scores?.length) pairs.push(["Scores by", LINES[lesion.scores[0].diameter ?? "3d"]]);
  for (const score of lesion.scores ?? []) pairs.push([score.system, score.text + (score.risk ? ` · ${score.risk}` : "")]);
  return pairs;
}
