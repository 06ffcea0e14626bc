// Runs the page's scripts in Node: one JSON question on stdin, one JSON answer on stdout.
//   node forward.js MIXER.JS WEIGHTS.JS    {do, images: [base64 of bytes], ...}
"use strict";
const path = require("node:path");
const Mixer = require(path.resolve(process.argv[2]));
require(path.resolve(process.argv[3]));
const Draw = require(path.resolve(__dirname, "../../book/live/draw.js"));
const model = Mixer.unpack(Object.values(MixerData.models)[0]);
const asked = JSON.parse(require("node:fs").readFileSync(0, "utf8"));
const images = (asked.images ?? []).map((text) => Float32Array.from(Buffer.from(text, "base64")));
const numbers = (array) => Array.from(array);

const answers = {
  logits() {
    const asWas = asked.follow ? Mixer.followOrder(model, asked.follow) : model;
    return images.map((image) => numbers(Mixer.forward(asWas, image, asked.off).logits));
  },
  tables() {
    const result = Mixer.forward(model, images[0]), tables = { patches: result.patches, embedded: result.embedded };
    result.blocks.forEach((block, b) => {
      tables[`hidden_${b}`] = block.tokens.hidden;
      tables[`tokens_${b}`] = block.afterTokens;
      tables[`channels_${b}`] = block.afterChannels;
    });
    tables.votes = Mixer.votes(model, result);
    return Object.fromEntries(Object.entries(tables).map(([name, table]) => [name, numbers(table)]));
  },
  disturbed: () => images.map((image) => numbers(
    asked.order ? Draw.reorder(image, 32, 4, asked.order) : Draw.shift(image, 32, asked.right, asked.down))),
  animated: () => asked.files.map((text) => Draw.isAnimated(new Uint8Array(Buffer.from(text, "base64")))),
};
process.stdout.write(JSON.stringify(answers[asked.do]()));
