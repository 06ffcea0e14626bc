// What the page draws and reads: heat maps, small pictures, a reader's own file. No state of its own.
"use strict";

const Draw = (() => {
  const MAX_PIXELS = 89478485; // as in mixer_lib: what a canvas can hold on a phone ends sooner
  // Blue below zero, red above: told apart with any colour vision. Zero is the page's ground.
  const STOPS = {
    light: [[5, 48, 97], [67, 147, 195], [247, 247, 247], [214, 96, 77], [103, 0, 31]],
    dark: [[158, 214, 255], [44, 123, 190], [30, 33, 38], [205, 84, 60], [255, 196, 170]],
  };
  // Okabe and Ito's colours, for classes
  const CLASS_COLOURS = ["#0072b2", "#e69f00", "#009e73", "#cc79a7", "#d55e00"];

  const SIGNS = [[33, 102, 196], [220, 50, 32]]; // below and above zero, over a picture

  const theme = () => (document.documentElement.dataset.theme === "dark" ? "dark" : "light");

  // 256 colours from -1 to 1, each as the four bytes of a canvas pixel.
  function ramp(stops) {
    const bytes = new Uint8ClampedArray(256 * 4).fill(255);
    for (let i = 0; i < 256; i++) {
      const at = (i / 255) * (stops.length - 1), k = Math.min(stops.length - 2, Math.floor(at));
      for (let c = 0; c < 3; c++) bytes[i * 4 + c] = stops[k][c] + (at - k) * (stops[k + 1][c] - stops[k][c]);
    }
    return new Uint32Array(bytes.buffer);
  }
  const RAMPS = { light: ramp(STOPS.light), dark: ramp(STOPS.dark) };
  const gradient = () => `linear-gradient(90deg, ${STOPS[theme()].map((stop) => `rgb(${stop})`).join(", ")})`;

  const largest = (values) => values.reduce((most, value) => Math.max(most, Math.abs(value)), 1e-9);

  // A table of numbers as a heat map, one canvas pixel a number; CSS makes it larger.
  function heat(canvas, values, columns, limit = largest(values)) {
    const rows = values.length / columns, colours = RAMPS[theme()];
    if (canvas.width !== columns || canvas.height !== rows) Object.assign(canvas, { width: columns, height: rows });
    const image = new ImageData(columns, rows), cells = new Uint32Array(image.data.buffer), scale = 127.5 / limit;
    for (let i = 0; i < values.length; i++)
      cells[i] = colours[Math.max(0, Math.min(255, Math.round(127.5 + scale * values[i]))) || 0];
    canvas.getContext("2d").putImageData(image, 0, 0);
    return limit;
  }

  // RGB numbers (rows * columns * 3) as a picture of that many canvas pixels.
  function pixels(canvas, values, columns) {
    const rows = values.length / 3 / columns;
    if (canvas.width !== columns || canvas.height !== rows) Object.assign(canvas, { width: columns, height: rows });
    const context = canvas.getContext("2d"), image = context.createImageData(columns, rows);
    for (let i = 0; i < rows * columns; i++) {
      for (let c = 0; c < 3; c++) image.data[i * 4 + c] = values[i * 3 + c];
      image.data[i * 4 + 3] = 255;
    }
    context.putImageData(image, 0, 0);
  }

  // A repeatable source of numbers from 0 to 1 (mulberry32).
  function random(seed) {
    return () => {
      seed = (seed + 0x6d2b79f5) | 0;
      let t = Math.imul(seed ^ (seed >>> 15), 1 | seed);
      t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
      return ((t ^ (t >>> 14)) >>> 0) / 4294967296;
    };
  }

  function permutation(length, seed) {
    const order = Array.from({ length }, (_, i) => i), draw = random(seed);
    for (let i = length - 1; i > 0; i--) {
      const j = Math.floor(draw() * (i + 1));
      [order[i], order[j]] = [order[j], order[i]];
    }
    return order;
  }

  // As probes.shift_images: what comes in at the edge repeats the edge.
  function shift(image, side, right, down) {
    const moved = new Float32Array(image.length), inside = (i) => Math.min(side - 1, Math.max(0, i));
    for (let y = 0; y < side; y++)
      for (let x = 0; x < side; x++)
        for (let c = 0; c < 3; c++)
          moved[(y * side + x) * 3 + c] = image[(inside(y - down) * side + inside(x - right)) * 3 + c];
    return moved;
  }

  // Normal noise of that standard deviation on every value, cut to 0-255 and rounded, as probes.add_noise.
  function noise(image, deviation, seed) {
    const draw = random(seed);
    return image.map((value) => {
      const normal = Math.sqrt(-2 * Math.log(1 - draw())) * Math.cos(2 * Math.PI * draw());
      return Math.round(Math.min(255, Math.max(0, value + deviation * normal)));
    });
  }

  // Place k of the new picture holds patch order[k] of the old one, as probes.reorder.
  function reorder(image, side, patch, order) {
    const moved = new Float32Array(image.length), across = side / patch;
    order.forEach((old, place) => {
      for (let line = 0; line < patch; line++) {
        const from = ((Math.floor(old / across) * patch + line) * side + (old % across) * patch) * 3;
        const to = ((Math.floor(place / across) * patch + line) * side + (place % across) * patch) * 3;
        moved.set(image.subarray(from, from + patch * 3), to);
      }
    });
    return moved;
  }

  // The picture's patch k in one colour.
  function greyOut(image, side, patch, k, colour) {
    const copy = image.slice(), across = side / patch, top = Math.floor(k / across) * patch, left = (k % across) * patch;
    for (let y = top; y < top + patch; y++)
      for (let x = left; x < left + patch; x++) copy.set(colour, (y * side + x) * 3);
    return copy;
  }

  // An <img> of any size -> {small: size x size x 3, preview: canvas}: its central square, on white, reduced as Pillow does.
  function fromImage(img, size) {
    const edge = Math.min(img.naturalWidth, img.naturalHeight);
    const left = Math.floor((img.naturalWidth - edge) / 2), top = Math.floor((img.naturalHeight - edge) / 2);
    const band = document.createElement("canvas"), context = band.getContext("2d", { willReadFrequently: true });
    const rowsAtOnce = Math.max(1, Math.min(edge, Math.floor(4e6 / edge)));
    Object.assign(band, { width: edge, height: rowsAtOnce });
    const readRows = (start, count) => {
      context.fillStyle = "#fff";
      context.fillRect(0, 0, edge, rowsAtOnce);
      context.drawImage(img, -left, -top - start);
      return context.getImageData(0, 0, edge, count).data;
    };
    const small = Resize.reduce(edge, size, readRows, rowsAtOnce);
    const preview = document.createElement("canvas");
    Object.assign(preview, { width: 256, height: 256 });
    const view = preview.getContext("2d");
    view.fillStyle = "#fff";
    view.fillRect(0, 0, 256, 256);
    view.drawImage(img, left, top, edge, edge, 0, 0, 256, 256);
    return { small: Float32Array.from(small), preview };
  }

  function load(src) {
    return new Promise((done, fail) => {
      const img = new Image();
      img.onload = () => done(img);
      img.onerror = () => fail(new Error("not a picture"));
      img.src = src;
    });
  }

  // Whether a file holds several frames, from its bytes: GIF, APNG, animated WebP.
  function isAnimated(bytes) {
    const text = (from, length) => String.fromCharCode(...bytes.subarray(from, from + length));
    if (text(0, 4) === "GIF8") {
      const table = (flags) => (flags & 128 ? 3 * 2 ** ((flags & 7) + 1) : 0);
      let at = 13 + table(bytes[10]), frames = 0;
      const skip = () => { while (bytes[at]) at += bytes[at] + 1; at++; };
      while (at < bytes.length && frames < 2) {
        if (bytes[at] === 0x21) { at += 2; skip(); }
        else if (bytes[at] === 0x2c) { frames++; at += 10 + table(bytes[at + 9]) + 1; skip(); }
        else break;
      }
      return frames > 1;
    }
    if (text(1, 3) === "PNG") {
      for (let at = 8; at + 8 < bytes.length; ) {
        const kind = text(at + 4, 4);
        if (kind === "acTL") return true;
        if (kind === "IDAT") return false;
        at += 12 + new DataView(bytes.buffer, bytes.byteOffset + at, 4).getUint32(0);
      }
    }
    return text(0, 4) === "RIFF" && text(8, 8) === "WEBPVP8X" && (bytes[20] & 2) !== 0;
  }

  // The largest side and the pixels of a PNG, GIF or JPEG that says so in its head; null where it doesn't.
  function announced(bytes) {
    const view = new DataView(bytes.buffer, bytes.byteOffset);
    if (bytes[0] === 0x89 && bytes.length > 24) return [view.getUint32(16), view.getUint32(20)];
    if (bytes[0] === 0x47 && bytes.length > 10) return [view.getUint16(6, true), view.getUint16(8, true)];
    if (bytes[0] === 0xff && bytes[1] === 0xd8)
      for (let at = 2; at + 9 < bytes.length && bytes[at] === 0xff; at += 2 + view.getUint16(at + 2)) {
        const mark = bytes[at + 1];
        if (mark >= 0xc0 && mark <= 0xcf && ![0xc4, 0xc8, 0xcc].includes(mark))
          return [view.getUint16(at + 7), view.getUint16(at + 5)];
      }
    return null;
  }

  // A reader's file -> {small, preview, note}. An Error's message says what to do.
  async function fromFile(file, size) {
    const bytes = new Uint8Array(await file.arrayBuffer());
    const name = file.name || "The file";
    const sides = announced(bytes);
    if (sides && sides[0] * sides[1] > MAX_PIXELS)
      throw new Error(`${name} has ${sides[0]} x ${sides[1]} pixels, too many to open here. Make it smaller first.`);
    if (isAnimated(bytes)) throw new Error(`${name} is animated. Save one of its frames as a PNG, and choose that.`);
    const brand = String.fromCharCode(...bytes.subarray(4, 12));
    const url = URL.createObjectURL(file);
    try {
      const img = await load(url);
      if (!img.naturalWidth || !img.naturalHeight)
        throw new Error(`${name} does not say how large it is. Save it as PNG or JPEG, and choose that.`);
      if (img.naturalWidth * img.naturalHeight > MAX_PIXELS)
        throw new Error(`${name} has too many pixels to open here. Make it smaller first.`);
      const found = fromImage(img, size);
      return { ...found, note: hasAlpha(img) ? "Transparent parts became white." : "" };
    } catch (error) {
      if (error.message !== "not a picture") throw error;
      if (/^ftyp(hei|hev|mif|msf)/.test(brand))
        throw new Error(`${name} is a HEIC picture, which this browser can't read. Export it as JPEG, and choose that.`);
      throw new Error(`${name} can't be read as a picture. Choose a PNG, JPEG or WebP file.`);
    } finally {
      URL.revokeObjectURL(url);
    }
  }

  function hasAlpha(img) {
    const canvas = document.createElement("canvas"), context = canvas.getContext("2d");
    Object.assign(canvas, { width: 64, height: 64 });
    context.drawImage(img, 0, 0, 64, 64);
    return context.getImageData(0, 0, 64, 64).data.some((value, i) => i % 4 === 3 && value < 255);
  }

  return { theme, heat, pixels, gradient, largest, permutation, shift, noise, reorder, greyOut, fromImage, fromFile, load,
    isAnimated, CLASS_COLOURS, SIGNS };
})();

if (typeof module === "object") module.exports = Draw;
