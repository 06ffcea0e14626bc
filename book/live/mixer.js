// The forward pass of a trained Mixer, in plain JavaScript: the same steps, under the same names, as
// mixer_lib/layers.py and classifier.py. Everything is a pure function of Float32Arrays.
//
// Shapes: S patches, C channels, P the side of a patch, D the width of a hidden layer. A table of n rows and m columns
// is a flat array: row r begins at r * m.
"use strict";

const Mixer = (() => {
  const EPSILON = 1e-6; // of every LayerNorm
  const NORMALIZE_EPSILON = 1e-7; // Keras's, for a colour without variance

  // The tanh approximation, as in the paper's code.
  function gelu(x) {
    return 0.5 * x * (1 + Math.tanh(0.7978845608028654 * (x + 0.044715 * x * x * x)));
  }

  // Every row of x times the kernel (inputs x outputs), plus the bias. Four inputs at a time: half the time of one.
  function dense(x, { kernel, bias }) {
    const outputs = bias.length, inputs = kernel.length / outputs, rows = x.length / inputs;
    if (inputs % 4) throw new Error(`the inputs of a dense layer must be a multiple of 4; received: ${inputs}`);
    const y = new Float32Array(rows * outputs);
    for (let r = 0; r < rows; r++) {
      y.set(bias, r * outputs);
      for (let i = 0; i < inputs; i += 4) {
        const at = r * inputs + i, a = x[at], b = x[at + 1], c = x[at + 2], d = x[at + 3];
        for (let o = 0, k = i * outputs; o < outputs; o++, k++)
          y[r * outputs + o] +=
            a * kernel[k] + b * kernel[k + outputs] + c * kernel[k + 2 * outputs] + d * kernel[k + 3 * outputs];
      }
    }
    return y;
  }

  function transpose(x, rows, columns) {
    const y = new Float32Array(x.length);
    for (let r = 0; r < rows; r++) for (let c = 0; c < columns; c++) y[c * rows + r] = x[r * columns + c];
    return y;
  }

  // Each row: mean zero and variance one over its channels, then stretched and shifted.
  function layerNorm(x, { gamma, beta }) {
    const width = gamma.length, y = new Float32Array(x.length);
    for (let start = 0; start < x.length; start += width) {
      let mean = 0, variance = 0;
      for (let c = 0; c < width; c++) mean += x[start + c] / width;
      for (let c = 0; c < width; c++) variance += (x[start + c] - mean) ** 2 / width;
      const scale = 1 / Math.sqrt(variance + EPSILON);
      for (let c = 0; c < width; c++) y[start + c] = (x[start + c] - mean) * scale * gamma[c] + beta[c];
    }
    return y;
  }

  function add(x, y) {
    const sum = new Float32Array(x.length);
    for (let i = 0; i < x.length; i++) sum[i] = x[i] + y[i];
    return sum;
  }

  // H x W x 3 pixels, 0-255 -> the same, with each colour's mean taken off and divided by its spread.
  function normalize(image, { mean, variance }) {
    const spread = Array.from(variance, (v) => Math.max(Math.sqrt(v), NORMALIZE_EPSILON));
    const y = new Float32Array(image.length);
    for (let i = 0; i < y.length; i++) y[i] = (image[i] - mean[i % 3]) / spread[i % 3];
    return y;
  }

  // H x W x 3 -> S x (P*P*3): patches from left to right and top to bottom, pixels in each likewise.
  function patches(image, imageSize, patchSize) {
    const side = imageSize / patchSize, width = patchSize * 3, y = new Float32Array(image.length);
    let at = 0;
    for (let row = 0; row < side; row++)
      for (let column = 0; column < side; column++)
        for (let line = 0; line < patchSize; line++) {
          const start = ((row * patchSize + line) * imageSize + column * patchSize) * 3;
          y.set(image.subarray(start, start + width), at);
          at += width;
        }
    return y;
  }

  // live: code from here
  // Dense, GELU, Dense along the last axis. Returns the hidden layer, too: the page draws it.
  function mlpBlock(x, { hidden, out }) {
    const activations = dense(x, hidden);
    for (let i = 0; i < activations.length; i++) activations[i] = gelu(activations[i]);
    return { hidden: activations, out: dense(activations, out) };
  }

  // One MLP for all columns: what it adds to the table x, S x C.
  function tokenMixing(x, block, S, C) {
    const y = transpose(layerNorm(x, block.token_norm), S, C); // C x S
    const mlp = mlpBlock(y, block.token_mixing);
    return { hidden: mlp.hidden, added: transpose(mlp.out, C, S) }; // C x D, S x C
  }

  // One MLP for all rows: what it adds to the table x, S x C.
  function channelMixing(x, block) {
    const norm = block.channel_norm ?? block.token_norm; // the article's model has one for both
    const mlp = mlpBlock(layerNorm(x, norm), block.channel_mixing);
    return { hidden: mlp.hidden, added: mlp.out }; // S x D, S x C
  }

  // Equation 1 of the paper. A mixing that is off adds nothing.
  function mixerBlock(before, block, S, C, off = {}) {
    const zero = new Float32Array(S * C);
    const tokens = tokenMixing(before, block, S, C);
    if (off.tokens) tokens.added = zero;
    const afterTokens = add(before, tokens.added);
    const channels = channelMixing(afterTokens, block);
    if (off.channels) channels.added = zero;
    return { before, tokens, afterTokens, channels, afterChannels: add(afterTokens, channels.added) };
  }
  // live: to here

  // The mean of the table's rows.
  function pool(x, C) {
    const mean = new Float64Array(C), rows = x.length / C;
    for (let i = 0; i < x.length; i++) mean[i % C] += x[i] / rows;
    return Float32Array.from(mean);
  }

  // Pixels (H*W*3 numbers, 0-255) -> logits, with every table on the way. `off` has an entry for each block:
  // {tokens: true} leaves out its token mixing, {channels: true} its channel mixing.
  function forward(model, pixels, off = []) {
    const { config, layers } = model, S = (config.image_size / config.patch_size) ** 2, C = config.hidden_dim;
    const cut = patches(normalize(pixels, layers.normalize), config.image_size, config.patch_size); // S x P*P*3
    const embedded = dense(cut, layers.embed); // S x C
    const blocks = [];
    let table = embedded;
    for (let b = 0; b < config.num_blocks; b++) {
      blocks.push(mixerBlock(table, layers[`block_${b}`], S, C, off[b]));
      table = blocks[b].afterChannels;
    }
    if (layers.pre_head_norm) table = layerNorm(table, layers.pre_head_norm);
    const pooled = pool(table, C);
    return { patches: cut, embedded, blocks, table, pooled, logits: dense(pooled, layers.head) };
  }

  // What each patch would say alone, S x classes. Their mean is the logits: the head is linear.
  const votes = (model, result) => dense(result.table, model.layers.head);

  function softmax(logits) {
    const most = Math.max(...logits), powers = Array.from(logits, (value) => Math.exp(value - most));
    const sum = powers.reduce((a, b) => a + b);
    return powers.map((power) => power / sum);
  }

  // Class numbers of the k largest logits, the largest first.
  function topK(logits, k) {
    return Array.from(logits.keys()).sort((a, b) => logits[b] - logits[a] || a - b).slice(0, k);
  }

  // The model whose token mixing reads and writes the patches in another order, as probes.follow_orders does it.
  function followOrder(model, order) {
    const layers = { ...model.layers }, S = order.length;
    for (let b = 0; b < model.config.num_blocks; b++) {
      const block = layers[`block_${b}`], { hidden, out } = block.token_mixing, D = hidden.bias.length;
      const reads = new Float32Array(S * D), writes = new Float32Array(D * S);
      order.forEach((old, place) => {
        reads.set(hidden.kernel.subarray(old * D, old * D + D), place * D);
        for (let d = 0; d < D; d++) writes[d * S + place] = out.kernel[d * S + old];
      });
      const bias = Float32Array.from(order, (old) => out.bias[old]);
      const token_mixing = { hidden: { kernel: reads, bias: hidden.bias }, out: { kernel: writes, bias } };
      layers[`block_${b}`] = { ...block, token_mixing };
    }
    return { ...model, layers };
  }

  // A weights file's {config, tensors: [[name, length]], data: base64 of float32, little-endian} -> the same with
  // `layers`: embed.kernel, block_0.token_mixing.hidden.kernel and so on.
  function unpack(packed) {
    const text = atob(packed.data), bytes = new Uint8Array(text.length), layers = {};
    for (let i = 0; i < text.length; i++) bytes[i] = text.charCodeAt(i);
    let at = 0;
    for (const [name, length] of packed.tensors) {
      const path = name.split("/"), last = path.pop();
      path.reduce((parent, key) => (parent[key] ??= {}), layers)[last] = new Float32Array(bytes.buffer, at, length);
      at += 4 * length;
    }
    return { ...packed, data: null, layers };
  }

  return { gelu, dense, transpose, layerNorm, normalize, patches, mlpBlock, tokenMixing, channelMixing, mixerBlock,
    forward, votes, softmax, topK, followOrder, unpack };
})();

if (typeof module === "object") module.exports = Mixer;
