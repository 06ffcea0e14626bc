// Pillow's bilinear reduction, as mixer_lib's `predict` uses it: a triangle as wide as the reduction, in fixed point,
// first along the rows and then along the columns, each rounded to whole numbers. (A browser's own drawImage differs.)
"use strict";

const Resize = (() => {
  const BITS = 22; // 32 bits less 8 of a pixel and 2 to spare, as in Pillow's Resample.c

  // For each of `size` outputs: the first of `length` inputs that it reads, and their weights times 2**BITS.
  function weights(length, size) {
    const scale = length / size, support = Math.max(scale, 1), found = [];
    for (let i = 0; i < size; i++) {
      const center = (i + 0.5) * scale;
      const first = Math.max(0, Math.trunc(center - support + 0.5));
      const last = Math.min(length, Math.trunc(center + support + 0.5));
      const row = [];
      for (let x = first; x < last; x++) row.push(Math.max(0, 1 - Math.abs((x - center + 0.5) / support)));
      const sum = row.reduce((a, b) => a + b);
      found.push({ first, weights: row.map((w) => Math.trunc(0.5 + (w / sum) * 2 ** BITS)) });
    }
    return found;
  }

  const whole = (sum) => Math.min(255, Math.max(0, Math.floor(sum / 2 ** BITS + 0.5)));

  // A square picture of side x side pixels -> size x size x 3 numbers from 0 to 255. `readRows(top, count)` gives rows as
  // RGBA bytes: so a large picture never has to be in memory as a whole.
  function reduce(side, size, readRows, rowsAtOnce = 256) {
    const table = weights(side, size), narrow = new Uint8Array(side * size * 3), small = new Uint8Array(size * size * 3);
    for (let top = 0; top < side; top += rowsAtOnce) {
      const count = Math.min(rowsAtOnce, side - top), rows = readRows(top, count);
      for (let y = 0; y < count; y++)
        for (let x = 0; x < size; x++) {
          const { first, weights: row } = table[x];
          for (let colour = 0; colour < 3; colour++) {
            let sum = 0, at = (y * side + first) * 4 + colour;
            for (let k = 0; k < row.length; k++, at += 4) sum += rows[at] * row[k];
            narrow[((top + y) * size + x) * 3 + colour] = whole(sum);
          }
        }
    }
    for (let y = 0; y < size; y++) {
      const { first, weights: column } = table[y];
      for (let at = 0; at < size * 3; at++) {
        let sum = 0;
        for (let k = 0; k < column.length; k++) sum += narrow[(first + k) * size * 3 + at] * column[k];
        small[y * size * 3 + at] = whole(sum);
      }
    }
    return small;
  }

  return { weights, reduce };
})();

if (typeof module === "object") module.exports = Resize;
