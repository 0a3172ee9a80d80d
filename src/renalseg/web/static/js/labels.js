// What is said about a label on the page (renalseg/labels.py says the same).

export const LABELS = [
  { value: 1, name: "Kidney", key: "kidney", color: [214, 48, 49] },
  { value: 2, name: "Tumor", key: "tumor", color: [46, 184, 76] },
  { value: 3, name: "Cyst", key: "cyst", color: [52, 116, 235] },
];

export const css = (color) => `rgb(${color.join(" ")})`;
