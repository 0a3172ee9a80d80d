// The panel's part about masks: which one is shown, what it is compared with, what it was before
// post-processing.

import { h } from "../dom.js";
import { ml, when } from "../format.js";
import { LABELS } from "../labels.js";

export class Versions {
  constructor(element, view) {
    this.view = view;
    this.shown = h("select", { id: "version", onchange: () => view.showVersion(this.shown.value) });
    this.other = h("select", { id: "compare", onchange: () => view.compareWith(this.other.value) });
    this.before = h("input", { type: "checkbox", onchange: () => view.showVersion(this.before.checked ? "raw" : String(view.newest)) });
    this.result = h("div", { class: "compared", "aria-live": "polite" });
    this.beforeRow = h("label", { class: "check" }, this.before, "Before post-processing (P)");
    element.replaceChildren(
      h("h2", {}, "Versions"),
      h("div", { class: "field" }, h("label", { for: "version" }, "Shown"), this.shown),
      h("div", { class: "field" }, h("label", { for: "compare" }, "Compare"), this.other),
      this.beforeRow,
      this.result,
    );
  }

  update() {
    const { study, state } = this.view;
    const options = study.versions.map((version) => [String(version.number), nameOf(version)]);
    const raw = this.view.hasRaw ? [["raw", "Before post-processing"]] : [];
    fill(this.shown, [...options, ...raw], state.version);
    fill(this.other, [["", "nothing"], ...[...options, ...raw].filter(([value]) => value !== state.version)], state.compare);
    this.before.checked = state.version === "raw";
    this.beforeRow.hidden = !this.view.hasRaw;
  }

  /** Show how much two masks have in common. */
  compare(agreement, voxelMl) {
    if (!agreement) {
      this.result.replaceChildren();
      return;
    }
    const rows = agreement.filter(({ dice }) => Number.isFinite(dice)).map(({ label, dice, theirs }) =>
      h("tr", {}, h("th", { scope: "row" }, LABELS[label - 1].name), h("td", { class: "number" }, dice.toFixed(3)), h("td", { class: "number" }, `${ml(theirs * voxelMl)} ml`)),
    );
    this.result.replaceChildren(
      h("p", { class: "quiet" }, "The other version's outline is pale."),
      h("table", { class: "lesions" },
        h("thead", {}, h("tr", {}, ["Label", "Dice", "Other"].map((text) => h("th", { scope: "col" }, text)))),
        h("tbody", {}, rows)),
    );
  }
}

const nameOf = ({ number, by, at }) => `${number} · ${by}${at ? ` · ${when(at)}` : ""}`;

function fill(select, options, value) {
  select.replaceChildren(...options.map(([each, text]) => h("option", { value: each }, text)));
  select.value = value;
}
