// What the live page is made of: its parts in chapters, its steps, the maps that can be pointed at, the loading of weights.
"use strict";

const LabParts = (() => {
  const FOLDER = document.currentScript.src.replace(/[^/]*$/, "");
  const START = { picture: "raccoon", model: "", step: 0, patch: 27, channel: 40, unit: 0, right: 0, down: 0, noise: 0,
    draw: 1, seed: 1, order: "kept", tokens: "", channels: "", class: -1, over: "none", view: "after" };
  const COLOURS = [["white", "#ffffff"], ["black", "#1a1a1a"], ["grey", "#8c8c8c"], ["red", "#c62828"],
    ["orange", "#ef8a17"], ["yellow", "#f4d03f"], ["green", "#2e7d32"], ["light blue", "#7ec8f2"], ["blue", "#1f4e9e"],
    ["brown", "#6d4321"]];
  // What each part of the page has; chapters embed the parts.
  const PARTS = {
    all: { tools: true, steps: () => true, answers: true, whatIf: true, walk: true },
    patches: { steps: (step) => ["picture", "patches", "table"].includes(step.kind), walk: true, step: 1, plain: true,
      title: "Try it: cut a picture into patches" },
    block: { steps: (step) => "block" in step, walk: true, title: "Try it: step through the four blocks" },
    answer: { steps: () => false, answers: true, title: "Try it: ask the model about a picture" },
    why: { steps: () => false, answers: true, whatIf: true, only: "disturb", over: "occlusion",
      title: "Try it: cover patches, shuffle them, move the picture" },
  };
  const calm = () => matchMedia("(prefers-reduced-motion: reduce)").matches;
  const rgb = (hex) => [1, 3, 5].map((i) => parseInt(hex.slice(i, i + 2), 16));
  const signed = (value, digits = 2) => value.toFixed(digits).replace("-", "−");
  const pace = () => new Promise((done) => setTimeout(done));

  const scripts = {};
  function loadScript(name) {
    return (scripts[name] ??= new Promise((done, fail) => {
      const script = document.createElement("script");
      Object.assign(script, { src: FOLDER + name, onload: done });
      script.onerror = () => fail(new Error(`${name} is missing beside the page: build the book again (make book).`));
      document.head.append(script);
    }));
  }

  const models = {}; // unpacked, shared by all parts of a page
  async function loadModel(name) {
    await loadScript(`weights-${name}.js`);
    models[name] ??= Mixer.unpack(MixerData.models[name]);
    return models[name];
  }

  function stepsOf(config) {
    const steps = [
      { kind: "picture", name: "Picture" }, { kind: "patches", name: "Patches" }, { kind: "table", name: "Table" }];
    for (let block = 0; block < config.num_blocks; block++)
      steps.push({ kind: "units", block, name: "Units" }, { kind: "tokens", block, name: "Token mixing" },
        { kind: "channels", block, name: "Channel mixing" });
    return [...steps, { kind: "average", name: "Average" }, { kind: "answer", name: "Top-5" }];
  }

  function sentence(step, { image_size, patch_size, hidden_dim, num_classes, tokens_mlp_dim }) {
    const S = (image_size / patch_size) ** 2, values = patch_size ** 2 * 3;
    return {
      picture: `The model sees ${image_size} × ${image_size} pixels, three numbers each. All that follows is computed in
        this page, from these numbers alone.`,
      patches: `The picture is cut into ${S} patches of ${patch_size} × ${patch_size} pixels. Each becomes one row:
        ${patch_size ** 2} pixels, ${values} numbers.`,
      table: `One dense layer, the same for every patch, turns its ${values} numbers into ${hidden_dim} channels. From here
        on there is a table: a row for each patch, a column for each channel.`,
      units: `Token mixing reads the table column by column. Each of its ${tokens_mlp_dim} hidden units has one weight for
        each patch, so its weights are a map of the picture: column times map, summed up, then GELU.`,
      tokens: `What the units found in a column is written back to its ${S} patches and added. Now patches know of one
        another.`,
      channels: `Channel mixing reads the table row by row: one MLP, the same for all patches, combines the channels of a
        patch. Its result is added, too.`,
      average: `The ${S} rows become one, their mean. The last layer is linear, so its answer is the mean of what each patch
        would have said alone: ${S} votes.`,
      answer: `One number for each of the ${num_classes} classes, a logit. Softmax turns them into probabilities, and the
        five largest are the answer.`,
    }[step.kind].replace(/\s+/g, " ");
  }

  // --- a heat map that can be pointed at: a canvas, a frame around the chosen row and column, keys and pointer

  function gridMarkup(name, label, extra = "") {
    return `<div class="ml-grid ml-grid-${name}" data-grid="${name}" role="application" tabindex="0"
      aria-roledescription="map" aria-label="${label}"><canvas aria-hidden="true"></canvas>${extra}
      <div class="ml-mark ml-mark-row"></div><div class="ml-mark ml-mark-column"></div></div>`;
  }

  // choose(column, row) is called with a place; at() gives the chosen one
  function pointable(element, columns, rows, at, choose) {
    const pick = (event) => {
      const box = element.querySelector("canvas").getBoundingClientRect();
      const place = (value, count) => Math.max(0, Math.min(count - 1, Math.floor(value * count)));
      choose(place((event.clientX - box.left) / box.width, columns), place((event.clientY - box.top) / box.height, rows));
    };
    element.addEventListener("pointermove", (event) => (event.pointerType !== "touch" || event.buttons) && pick(event));
    element.addEventListener("pointerdown", pick);
    element.addEventListener("keydown", (event) => {
      const step = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] }[event.key];
      if (!step || event.altKey || event.ctrlKey || event.metaKey) return;
      event.preventDefault();
      const [column, row] = at(), far = event.shiftKey ? 8 : 1;
      const keep = (value, count) => Math.max(0, Math.min(count - 1, value));
      choose(keep(column + step[0] * far, columns), keep(row + step[1] * far, rows), true);
    });
  }

  function mark(element, [column, row], columns, rows, parts = "both") {
    const [rowMark, columnMark] = element.querySelectorAll(":scope > .ml-mark");
    const cell = parts === "cell";
    Object.assign(rowMark.style, { display: parts === "column" ? "none" : "", top: `${(100 * row) / rows}%`,
      height: `${100 / rows}%`, left: cell ? `${(100 * column) / columns}%` : 0, width: cell ? `${100 / columns}%` : "100%" });
    Object.assign(columnMark.style, { display: cell || parts === "row" ? "none" : "", left: `${(100 * column) / columns}%`,
      width: `${100 / columns}%`, top: 0, height: "100%" });
  }

  return { FOLDER, START, COLOURS, PARTS, calm, rgb, signed, pace,
    loadScript, models, loadModel, stepsOf, sentence, gridMarkup, pointable, mark };
})();
