// Elements in one expression.

const SVG = "http://www.w3.org/2000/svg";

/**
 * Make an element. Properties that start with "on" are listeners, others attributes; false and null
 * leave an attribute out. Text is always text: nothing is read as HTML.
 */
export function h(name, attributes = {}, ...children) {
  const element = document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) {
    if (value === null || value === undefined || value === false) continue;
    if (key.startsWith("on")) element.addEventListener(key.slice(2), value);
    else element.setAttribute(key, value === true ? "" : value);
  }
  element.append(...children.flat(Infinity).filter((child) => child !== null && child !== undefined && child !== false));
  return element;
}

export const byId = (id) => document.getElementById(id);

const PATHS = {
  upload: "M12 16V4M7 9l5-5 5 5M4 17v2a1 1 0 0 0 1 1h14a1 1 0 0 0 1-1v-2",
  folder: "M3 7a2 2 0 0 1 2-2h4l2 2h8a2 2 0 0 1 2 2v8a2 2 0 0 1-2 2H5a2 2 0 0 1-2-2z",
  crosshair: "M12 2v7M12 15v7M2 12h7M15 12h7",
  contrast: "M12 3a9 9 0 1 0 0 18zM12 3a9 9 0 0 1 0 18",
  move: "M12 3v18M3 12h18M12 3l-3 3M12 3l3 3M12 21l-3-3M12 21l3-3M3 12l3-3M3 12l3 3M21 12l-3-3M21 12l-3 3",
  zoom: "M10.5 4a6.5 6.5 0 1 0 0 13 6.5 6.5 0 0 0 0-13M15.5 15.5L21 21M8 10.5h5M10.5 8v5",
  ruler: "M3 16L16 3l5 5L8 21zM7 12l2 2M10 9l2 2M13 6l2 2",
  brush: "M14 4l6 6-8 8H6l-2-2 10-12zM6 18l-3 3M11 8l5 5",
  eraser: "M8 20h12M5 15l9-10 6 6-8 9H9zM9.5 10.5l5.5 5.5",
  undo: "M9 7L4 12l5 5M4 12h10a6 6 0 0 1 6 6v1",
  redo: "M15 7l5 5-5 5M20 12H10a6 6 0 0 0-6 6v1",
  save: "M5 4h11l3 3v13H5zM8 4v5h7V4M8 20v-6h8v6",
  main: "M3 4h18v16H3zM14 4v16M14 9.3h7M14 14.6h7",
  grid: "M3 4h18v16H3zM12 4v16M3 12h18",
  single: "M3 4h18v16H3z",
  reset: "M4 12a8 8 0 1 0 2.5-5.8M4 4v5h5",
  help: "M12 3a9 9 0 1 0 0 18 9 9 0 0 0 0-18M9.5 9.5a2.5 2.5 0 1 1 3.5 2.3c-.7.3-1 .8-1 1.7M12 17v.1",
  trash: "M5 7h14M10 7V4h4v3M7 7l1 13h8l1-13M10.5 11v5M13.5 11v5",
  retry: "M20 12a8 8 0 1 1-2.5-5.8M20 4v5h-5",
  stop: "M6 6h12v12H6z",
  eye: "M2.5 12S6 5.5 12 5.5 21.5 12 21.5 12 18 18.5 12 18.5 2.5 12 2.5 12M12 9a3 3 0 1 0 0 6 3 3 0 0 0 0-6",
  hidden: "M4 4l16 16M9.8 5.8a9 9 0 0 1 2.2-.3c6 0 9.5 6.5 9.5 6.5a17 17 0 0 1-2.7 3.4M6.4 7.6A16 16 0 0 0 2.5 12S6 18.5 12 18.5a9 9 0 0 0 4.3-1.1",
  download: "M12 4v12M7 11l5 5 5-5M4 19h16",
  list: "M4 6h16M4 12h16M4 18h16",
  panel: "M3 4h18v16H3zM15 4v16",
  warn: "M12 4l9 16H3zM12 10v4M12 17v.1",
  close: "M6 6l12 12M18 6L6 18",
};

/** A drawn sign, hidden from screen readers: the control that has it carries the name. */
export function icon(name) {
  const svg = document.createElementNS(SVG, "svg");
  svg.setAttribute("viewBox", "0 0 24 24");
  svg.setAttribute("aria-hidden", "true");
  svg.setAttribute("class", "icon");
  const path = document.createElementNS(SVG, "path");
  path.setAttribute("d", PATHS[name]);
  svg.append(path);
  return svg;
}

/** A button with a sign and a name; `label` is shown where `wide` is set. */
export function button(sign, label, onclick, { wide = false, ...attributes } = {}) {
  return h(
    "button",
    { type: "button", class: wide ? "button" : "button square", "aria-label": wide ? null : label, title: label, onclick, ...attributes },
    sign ? icon(sign) : null,
    wide ? label : null,
  );
}
