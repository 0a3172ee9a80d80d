// The list of studies at the left: what is sent, waits, runs, is done or failed.

import * as api from "../api.js";
import { button, h } from "../dom.js";
import { percent, when } from "../format.js";
import { ask, problem } from "../messages.js";

const STATES = { uploading: "Sending", queued: "Waiting", running: "Working", done: "Ready", failed: "Failed", cancelled: "Cancelled" };

/** Shows studies; "choose" is dispatched with the id when one is chosen. */
export class StudyList extends EventTarget {
  studies = new Map();
  #cards = new Map();
  #sending = new Map();

  constructor(element, { fixed = false } = {}) {
    super();
    this.element = element;
    this.fixed = fixed;
    this.chosen = null;
  }

  /** Show all that the server has. */
  setAll(studies) {
    const here = new Set(studies.map(({ id }) => id));
    for (const id of [...this.studies.keys()]) if (!here.has(id)) this.#forget(id);
    studies.forEach((study) => this.set(study));
    this.element.classList.toggle("empty", this.studies.size === 0);
  }

  /** A study is new or has changed. */
  set(study) {
    if (study.state === "deleted") {
      this.#forget(study.id);
      return;
    }
    this.studies.set(study.id, study);
    this.#render(study);
    this.dispatchEvent(Object.assign(new Event("change"), { study }));
  }

  sending(id, fraction) {
    this.#sending.set(id, fraction);
    const study = this.studies.get(id);
    if (study?.state === "uploading") this.#render(study);
  }

  choose(id) {
    this.chosen = id;
    for (const [each, card] of this.#cards) {
      card.querySelector(".card-main").setAttribute("aria-current", each === id ? "true" : "false");
    }
  }

  #forget(id) {
    this.studies.delete(id);
    this.#sending.delete(id);
    this.#cards.get(id)?.remove();
    this.#cards.delete(id);
    this.element.classList.toggle("empty", this.studies.size === 0);
    this.dispatchEvent(Object.assign(new Event("gone"), { id }));
  }

  #render(study) {
    const old = this.#cards.get(study.id);
    const key = JSON.stringify([study.name, study.state, study.problem, study.versions?.length]);
    if (old?.dataset.key === key) {
      this.#progress(old, study);
      return;
    }
    const focused = old?.contains(document.activeElement) ? document.activeElement.dataset.part : null;
    const card = h("li", { class: `card ${study.state}`, "data-id": study.id, "data-key": key }, this.#main(study), this.#actions(study));
    this.#cards.set(study.id, card);
    if (old) old.replaceWith(card);
    else this.element.prepend(card);
    this.#progress(card, study);
    if (focused) (card.querySelector(`[data-part="${focused}"]`) ?? card.querySelector(".card-main")).focus();
    this.element.classList.remove("empty");
  }

  #main(study) {
    const picture = study.state === "done" || study.shape
      ? h("img", { src: api.urls.thumbnail(study.id), alt: "", loading: "lazy", width: 64, height: 64, onerror: ({ target }) => target.remove() })
      : null;
    return h(
      "button",
      {
        type: "button", class: "card-main", "data-part": "main", "aria-current": String(study.id === this.chosen),
        onclick: () => this.dispatchEvent(Object.assign(new Event("choose"), { id: study.id })),
      },
      h("span", { class: "thumb" }, picture),
      h(
        "span",
        { class: "card-text" },
        h("span", { class: "card-name" }, study.name),
        h("span", { class: "card-state" }),
        h("span", { class: "bar", hidden: true }, h("span", { class: "bar-fill" })),
      ),
    );
  }

  #progress(card, study) {
    const moving = study.state === "running" || study.state === "uploading";
    const fraction = study.state === "uploading" ? (this.#sending.get(study.id) ?? study.progress ?? 0) : (study.progress ?? 0);
    const details = {
      uploading: percent(fraction),
      queued: study.position ? `${study.position} before it` : "",
      running: [study.step, percent(fraction)].filter(Boolean).join(" · "),
      done: [study.created ? when(study.created) : "", study.versions.length > 1 ? `${study.versions.length} versions` : ""].filter(Boolean).join(" · "),
    }[study.state];
    const doing = study.state === "running" && study.step ? "" : STATES[study.state]; // the step says it
    const text = [doing, details].filter(Boolean).join(" · ");
    const state = card.querySelector(".card-state");
    if (state.textContent !== text) state.textContent = text;
    card.querySelector(".bar").hidden = !moving;
    card.querySelector(".bar-fill").style.width = percent(fraction).replace(" ", "");
  }

  #actions(study) {
    if (this.fixed) return null;
    const act = (work) => () => work(study.id).catch(problem);
    const waits = ["queued", "running"].includes(study.state);
    return h(
      "span",
      { class: "card-actions" },
      waits ? button("stop", `Cancel ${study.name}`, act(api.cancel), { "data-part": "cancel" }) : null,
      ["failed", "cancelled"].includes(study.state) ? button("retry", `Try ${study.name} again`, act(api.retry), { "data-part": "retry" }) : null,
      waits ? null : button("trash", `Delete ${study.name}`, () => this.delete(study), { "data-part": "delete" }),
    );
  }

  async delete(study) {
    const detail = "The scan, its masks and its measurements are removed from the server for good.";
    if (!(await ask(`Delete ${study.name}?`, "Delete", { detail, danger: true }))) return;
    try {
      await api.remove(study.id);
      this.#forget(study.id);
    } catch (error) {
      problem(error);
    }
  }
}
