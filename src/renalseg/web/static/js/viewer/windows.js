// CT windows, in HU.

export const WINDOWS = [
  { name: "Abdomen", width: 400, level: 40 },
  { name: "Kidney", width: 250, level: 60 },
  { name: "Soft tissue", width: 350, level: 50 },
  { name: "Bone", width: 1800, level: 400 },
  { name: "Lung", width: 1500, level: -600 },
];

export const limits = ({ width, level }) => ({ low: level - width / 2, high: level + width / 2 });
export const windowOf = ({ low, high }) => ({ width: Math.round(high - low), level: Math.round((low + high) / 2) });
