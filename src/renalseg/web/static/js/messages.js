// Short messages at the edge of the page, and questions that need an answer.

import { button, byId, h } from "./dom.js";

/** Say something; problems stay until they are closed. */
export function say(text, kind = "info") {
  const line = h("div", { class: `message ${kind}`, role: kind === "problem" ? "alert" : "status" }, h("span", {}, text));
  line.append(button("close", "Close this message", () => line.remove()));
  byId("messages").append(line);
  if (kind !== "problem") setTimeout(() => line.remove(), 6000);
}

export const problem = (error) => say(error.message ?? String(error), "problem");

/** Ask before something that cannot be taken back. @returns {Promise<boolean>} */
export function ask(question, yes, { detail = "", danger = false } = {}) {
  return new Promise((resolve) => {
    const dialog = h(
      "dialog",
      { class: "dialog small", "aria-labelledby": "ask-title" },
      h("h2", { id: "ask-title" }, question),
      detail ? h("p", {}, detail) : null,
      h(
        "div",
        { class: "row end" },
        h("button", { type: "button", class: "button", onclick: () => dialog.close("no") }, "Cancel"),
        h("button", { type: "button", class: `button ${danger ? "danger" : "primary"}`, onclick: () => dialog.close("yes") }, yes),
      ),
    );
    dialog.addEventListener("close", () => {
      dialog.remove();
      resolve(dialog.returnValue === "yes");
    });
    document.body.append(dialog);
    dialog.showModal();
  });
}
