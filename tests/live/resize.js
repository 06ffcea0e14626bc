// The page's reduction in Node: {side, size, rgba: base64, rowsAtOnce} on stdin, the bytes in base64 on stdout.
"use strict";
const Resize = require("../../book/live/resize.js");
const { side, size, rgba, rowsAtOnce } = JSON.parse(require("node:fs").readFileSync(0, "utf8"));
const bytes = new Uint8Array(Buffer.from(rgba, "base64"));
const readRows = (top, count) => bytes.subarray(top * side * 4, (top + count) * side * 4);
process.stdout.write(Buffer.from(Resize.reduce(side, size, readRows, rowsAtOnce)).toString("base64"));
