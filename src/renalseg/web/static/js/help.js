// The help: what keys do.

import { button, h } from "./dom.js";
import { KEYS } from "./viewer/keyboard.js";

export function showHelp() {
  const dialog = h(
    "dialog", { class: "dialog", "aria-labelledby": "help-title" },
    h("div", { class: "row" }, h("h2", { id: "help-title", class: "grow" }, "Keys and mouse"), button("close", "Close the help", () => dialog.close())),
    h("div", { class: "keys" }, KEYS.map(([title, keys]) =>
      h("section", {}, h("h3", {}, title), h("dl", {}, keys.flatMap(([key, what]) => [h("dt", {}, key.split(" ").map((part) => h("kbd", {}, part))), h("dd", {}, what)]))),
    )),
  );
  dialog.addEventListener("close", () => dialog.remove());
  document.body.append(dialog);
  dialog.showModal();
}
