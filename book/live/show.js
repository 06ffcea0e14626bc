// What the live page draws: everything that may have changed, once a frame, and what moves when a step begins.
"use strict";

const LabShow = (() => {
  const { COLOURS, calm, rgb, signed, pace, models, sentence, gridMarkup, pointable, mark } = LabParts;

  return (Base) => class extends Base {
    refresh() {
      if (this.waiting) return;
      this.waiting = requestAnimationFrame(() => {
        this.waiting = 0;
        const began = performance.now();
        this.show();
        this.root.dataset.milliseconds = (performance.now() - began).toFixed(1);
      });
    }

    goTo(step, animated = true) {
      const before = this.step;
      this.state.step = Math.max(0, Math.min(this.steps.length - 1, step));
      if (!this.part.walk) return this.refresh();
      this.enter = animated && !calm() && before !== this.step;
      this.buildStage();
      this.refresh();
      const tab = this.$(`[data-step="${this.state.step}"]`), strip = this.$(".ml-strip");
      const to = tab.getBoundingClientRect(), from = strip.getBoundingClientRect();
      strip.scrollBy({ left: to.left + to.width / 2 - from.left - from.width / 2, behavior: calm() ? "auto" : "smooth" });
    }

    show() {
      this.showChoice();
      if (this.part.walk) this.showStrip();
      this.showSeen();
      if (this.part.walk) this.showStage();
      if (this.part.answers) this.showAnswers();
      if (this.part.whatIf) this.showWhatIf();
      this.writeLink();
      this.root.dataset.shown = this.key();
    }

    showChoice() {
      this.$$("[data-picture]").forEach((button) =>
        button.setAttribute("aria-pressed", String(button.dataset.picture === this.state.picture)));
      const picture = MixerData.gallery.find((one) => one.name === this.state.picture);
      this.$(".ml-credit").textContent = picture ? `Picture: ${picture.by} (${picture.licence}).` : "";
      this.$$("[data-state]").forEach((field) => {
        const value = this.state[field.dataset.state];
        if (field.type === "radio") field.checked = field.value === value;
        else if (document.activeElement !== field || field.type !== "number") field.value = typeof value === "number" ? value + Number(field.dataset.from ?? 0) : value;
      });
      const grid = this.$('[data-grid="paint"]');
      if (grid && this.paint.length) {
        const image = new Float32Array(this.paint.length * 3);
        this.paint.forEach((colour, i) => image.set(rgb(COLOURS[colour][1]), i * 3));
        Draw.pixels(grid.querySelector("canvas"), image, this.config.image_size);
        mark(grid, this.cursor, this.config.image_size, this.config.image_size, "cell");
      }
    }

    showStrip() {
      this.steps.forEach((step, i) => {
        const tab = this.$(`[data-step="${i}"]`);
        tab.setAttribute("aria-selected", String(i === this.state.step));
        tab.tabIndex = i === this.state.step ? 0 : -1;
      });
      const key = `${this.state.model} ${this.key()} ${Draw.theme()}`;
      if (this.thumbsOf !== key) this.showThumbs();
      this.thumbsOf = key;
      const said = `<strong>${this.stepTitle()}.</strong> ${sentence(this.step, this.config)}`, place = this.$(".ml-sentence");
      if (place.innerHTML !== said) place.innerHTML = said; // else it would be read aloud again
      this.$('[data-do="back"]').disabled = this.state.step === 0;
      this.$('[data-do="next"]').disabled = this.state.step === this.steps.length - 1;
    }

    showThumbs() {
      const result = this.result(), C = this.config.hidden_dim;
      this.steps.forEach((step, i) => {
        const canvas = this.$(`[data-step="${i}"] canvas`);
        if (step.kind === "picture" || step.kind === "patches") Draw.pixels(canvas, this.input(), this.config.image_size);
        else if (step.kind === "average") Draw.heat(canvas, result.pooled, 16);
        else if (step.kind === "answer") this.bars(canvas, result.logits);
        else if (step.kind === "units") Draw.heat(canvas, result.blocks[step.block].tokens.hidden, this.config.tokens_mlp_dim);
        else Draw.heat(canvas, this.tableOf(step, "after"), C);
      });
    }

    stepTitle() {
      const { step } = this;
      const name = step.kind === "units" ? "the hidden units of token mixing" : step.name.toLowerCase();
      return "block" in step ? `Block ${step.block + 1}, ${name}` : step.name;
    }

    bars(canvas, logits) {
      const best = Mixer.topK(logits, 5), p = Mixer.softmax(logits);
      Object.assign(canvas, { width: 32, height: 32 });
      const context = canvas.getContext("2d");
      context.fillStyle = Draw.theme() === "dark" ? "#7ab8e6" : "#1f6fb2";
      best.forEach((k, i) => context.fillRect(2, 3 + i * 6, Math.max(1, p[k] * 28), 4));
    }

    tableOf(step, view) {
      const result = this.result(), block = result.blocks[step.block];
      if (step.kind === "tokens") return { before: block.before, added: block.tokens.added, after: block.afterTokens }[view];
      if (step.kind === "channels") return { before: block.afterTokens, added: block.channels.added, after: block.afterChannels }[view];
      if (step.kind === "units") return block.before;
      return step.kind === "average" ? result.table : result.embedded;
    }

    column(table, channel = this.state.channel) {
      return Float32Array.from({ length: this.S }, (_, s) => table[s * this.config.hidden_dim + channel]);
    }

    // --- the picture, and what lies over it

    showSeen() {
      const grid = this.$('[data-grid="picture"]'), [canvas, over] = grid.querySelectorAll("canvas");
      Draw.pixels(canvas, this.input(), this.config.image_size);
      mark(grid, [this.state.patch % this.side, Math.floor(this.state.patch / this.side)], this.side, this.side, "cell");
      const kind = this.state.over, legend = this.$('[data-legend="over"]');
      over.hidden = legend.hidden = kind === "none";
      grid.classList.toggle("ml-covered", kind !== "none");
      if (kind !== "occlusion") this.occluding = null;
      const name = () => models[this.state.model].classes[this.chosenClass()];
      if (kind === "channel") this.layOver(over, legend, this.column(this.tableOf(this.step.kind === "answer" ? { kind: "average" } : this.step, this.state.view)), `channel ${this.state.channel}`);
      if (kind === "votes") {
        const votes = this.votes(), classes = this.config.num_classes, one = this.chosenClass();
        this.layOver(over, legend, Float32Array.from({ length: this.S }, (_, s) => votes[s * classes + one]), `logit of ${name()}, each patch alone`);
      }
      if (kind === "occlusion") this.occlude(over, legend);
    }

    // the more, the less of the picture shows through
    layOver(canvas, legend, values, what) {
      const limit = Draw.largest(values), image = new ImageData(this.side, this.side);
      values.forEach((value, i) => image.data.set([...Draw.SIGNS[value > 0 ? 1 : 0], 225 * Math.min(1, Math.abs(value) / limit)], i * 4));
      Object.assign(canvas, { width: this.side, height: this.side });
      canvas.getContext("2d").putImageData(image, 0, 0);
      this.legend(legend, limit, what, `linear-gradient(90deg, rgb(${Draw.SIGNS[0]}), #aaa, rgb(${Draw.SIGNS[1]}))`);
    }

    legend(element, limit, what, gradient = Draw.gradient()) {
      const text = limit >= 100 ? limit.toFixed(0) : limit.toFixed(limit < 0.1 ? 3 : 2);
      element.innerHTML = `<span>−${text}</span><span class="ml-ramp" style="background:${gradient}"></span><span>+${text}</span>
        <small></small>`;
      element.querySelector("small").textContent = what;
    }

    // 64 forward passes, a few at a time; each patch's loss of logit appears when it is known
    async occlude(canvas, legend) {
      const one = this.chosenClass(), key = `occlusion ${this.state.model} ${one} ${this.key()}`;
      const what = `loss of logit (${models[this.state.model].classes[one]}) when a patch is covered with grey`;
      const known = this.cache.get(key);
      if (known) return this.layOver(canvas, legend, known, what);
      if (this.occluding === key) return;
      this.occluding = key;
      const values = new Float32Array(this.S), x = this.input(), model = this.model(), off = this.off();
      const full = this.result().logits[one], grey = Array.from(model.layers.normalize.mean, Math.round);
      let began = performance.now();
      for (let k = 0; k < this.S && this.occluding === key; k++) {
        const covered = Draw.greyOut(x, this.config.image_size, this.config.patch_size, k, grey);
        values[k] = full - Mixer.forward(model, covered, off).logits[one];
        if (k < this.S - 1 && performance.now() - began < 30) continue;
        this.layOver(canvas, legend, values, what);
        await pace(); // the page answers in between
        began = performance.now();
      }
      if (this.occluding !== key) return;
      this.cache.set(key, values);
      this.occluding = null;
    }

    // --- the stage: what a step shows

    buildStage() {
      const { step } = this, stage = this.$(".ml-stage"), C = this.config.hidden_dim;
      cancelAnimationFrame(this.moving);
      this.$(".ml-fly")?.remove();
      stage.setAttribute("aria-labelledby", this.id(`tab-${this.state.step}`));
      const number = (name, label, count) => `<label class="ml-field">${label} <input type="number" min="1" max="${count}"
        data-state="${name}" data-from="1"></label>`;
      const fields = `<div class="ml-fields">${number("patch", "Patch", this.S)}${number("channel", "Channel", C)}</div>`;
      const views = step.kind === "tokens" || step.kind === "channels" ? `<div class="ml-views" role="group" aria-label="Which table">
        ${[["before", "before"], ["added", "what is added"], ["after", "after"]].map(([value, label]) => `<label><input type="radio"
          name="${this.id("view")}" value="${value}" data-state="view"> ${label}</label>`).join("")}</div>` : "";
      const map = `<div class="ml-side"><p class="ml-head" data-text="map"></p>${gridMarkup("map", "The chosen channel as a map of the picture: the arrow keys choose a patch")}
        <div class="ml-legend" data-legend="table"></div></div>`;
      const table = `<div class="ml-wide">${gridMarkup("table", `Table of ${this.S} patches and ${C} channels: the arrow keys choose a cell`)}
        <p class="ml-axes"><span>↓ ${this.S} patches</span><span>${C} channels →</span></p></div>`;
      stage.innerHTML = {
        picture: () => `<div class="ml-original"><canvas width="256" height="256" aria-hidden="true"></canvas><p>original</p></div>
          <div class="ml-arrow" aria-hidden="true">→</div><div class="ml-original ml-pixels"><canvas aria-hidden="true"></canvas>
          <p>what the model sees</p></div>`,
        patches: () => `<div class="ml-wide">${gridMarkup("patches", `Table of ${this.S} patches and ${this.config.patch_size ** 2} pixels: the arrow keys choose a patch`)}
          <p class="ml-axes"><span>↓ ${this.S} patches</span><span>${this.config.patch_size ** 2} pixels, three numbers each →</span></p></div>
          <div class="ml-side"><p class="ml-head" data-text="patch"></p><canvas class="ml-patch" aria-hidden="true"></canvas><p class="ml-numbers"></p></div>`,
        units: () => `<div class="ml-wide"><p class="ml-head">Weights of the ${this.config.tokens_mlp_dim} hidden units, each a map of the picture</p>
          ${gridMarkup("units", "Hidden units: the arrow keys choose one")}<div class="ml-legend" data-legend="units"></div>
          <div class="ml-fields">${number("channel", "Channel", C)}${number("unit", "Unit", this.config.tokens_mlp_dim)}</div></div>
          <div class="ml-sum"><figure><span></span><canvas data-map="column" aria-hidden="true"></canvas><figcaption data-text="column"></figcaption></figure>
          <figure><span>×</span><canvas data-map="weights" aria-hidden="true"></canvas><figcaption data-text="unit"></figcaption></figure>
          <figure><span>=</span><canvas data-map="product" aria-hidden="true"></canvas><figcaption>their product, patch by patch</figcaption></figure>
          <p data-text="sum"></p></div>`,
        average: () => `<div class="ml-wide">${gridMarkup("table", `Table of ${this.S} patches and ${C} channels: the arrow keys choose a cell`)}
          <p class="ml-axes"><span>↓ mean of all rows</span></p><canvas class="ml-pooled" aria-hidden="true"></canvas>
          <div class="ml-legend" data-legend="table"></div>${fields}</div>
          <div class="ml-side"><p class="ml-head">What each patch would say</p>${gridMarkup("votes", "Votes of the patches: the arrow keys choose a patch")}
          <ul class="ml-key"></ul></div>`,
        answer: () => `<div class="ml-long"></div>`,
      }[step.kind]?.() ?? `${views}${table}${map}${fields}`;
      stage.className = `ml-stage ml-stage-${step.kind}`;
      stage.insertAdjacentHTML("beforeend", '<p class="ml-readout" role="status"></p>');
      const at = () => [this.state.channel, this.state.patch], side = this.side;
      const patchAt = () => [this.state.patch % side, Math.floor(this.state.patch / side)];
      const attach = (name, columns, rows, place, choose) => {
        const grid = this.$(`[data-grid="${name}"]`);
        if (grid) pointable(grid, columns, rows, place, choose);
      };
      attach("table", C, this.S, at, (channel, patch, key) => this.choose({ channel, patch }, key));
      attach("patches", 16, this.S, () => [0, this.state.patch], (_, patch, key) => this.choose({ patch }, key));
      for (const name of ["map", "votes"]) attach(name, side, side, patchAt, (x, y, key) => this.choose({ patch: y * side + x }, key));
      attach("units", 8, this.config.tokens_mlp_dim / 8, () => [this.state.unit % 8, Math.floor(this.state.unit / 8)],
        (x, y, key) => this.choose({ unit: y * 8 + x }, key));
    }

    text(name, value) { this.$(`[data-text="${name}"]`).textContent = value; }

    say(value) {
      const readout = this.$(".ml-readout");
      readout.setAttribute("aria-live", this.speak ? "polite" : "off"); // a mouse that moves isn't read aloud
      this.tell(readout, value);
    }

    showStage() {
      const { step } = this, enter = this.enter;
      this.enter = false;
      const show = { picture: "showPicture", patches: "showPatches", units: "showUnits", average: "showAverage", answer: "showAnswer" };
      this[show[step.kind] ?? "showTable"](step, enter);
    }

    showPicture() {
      const [before, after] = this.$$(".ml-original canvas"), image = this.source(), preview = this.pictures[this.state.picture]?.preview;
      before.style.imageRendering = preview ? "" : "pixelated"; // a drawing has no more than these pixels
      if (preview) {
        Object.assign(before, { width: 256, height: 256 });
        before.getContext("2d").drawImage(preview, 0, 0);
      } else Draw.pixels(before, image, this.config.image_size);
      Draw.pixels(after, this.input(), this.config.image_size);
      this.say(`${this.config.image_size} × ${this.config.image_size} × 3 numbers from 0 to 255`);
    }

    rows() { return Mixer.patches(this.input(), this.config.image_size, this.config.patch_size); }

    showPatches(step, enter) {
      const rows = this.rows(), grid = this.$('[data-grid="patches"]'), size = this.config.patch_size, width = size * size * 3;
      Draw.pixels(grid.querySelector("canvas"), rows, size * size);
      mark(grid, [0, this.state.patch], 1, this.S, "row");
      const patch = rows.subarray(this.state.patch * width, (this.state.patch + 1) * width);
      Draw.pixels(this.$(".ml-patch"), patch, size);
      this.text("patch", `Patch ${this.state.patch}`);
      this.$(".ml-numbers").textContent = `${Array.from(patch.subarray(0, 6), Math.round).join(", ")} … (${width} numbers)`;
      const [column, row] = [this.state.patch % this.side, Math.floor(this.state.patch / this.side)];
      this.say(`patch ${this.state.patch}: row ${row}, column ${column} of the picture`);
      if (enter) this.fly(grid);
    }

    // the patches leave the picture and become rows
    fly(grid) {
      const from = this.$('[data-grid="picture"] canvas'), to = grid.querySelector("canvas");
      const home = this.root.getBoundingClientRect(), a = from.getBoundingClientRect(), b = to.getBoundingClientRect();
      const layer = Object.assign(document.createElement("canvas"), { className: "ml-fly", width: home.width, height: home.height });
      this.root.append(layer);
      const context = layer.getContext("2d"), side = this.side, patch = this.config.patch_size, began = performance.now();
      context.imageSmoothingEnabled = false;
      to.style.visibility = "hidden";
      const mix = (u, v, t) => u + (v - u) * t, ease = (t) => t * t * (3 - 2 * t);
      const frame = (now) => {
        context.clearRect(0, 0, layer.width, layer.height);
        let last = 1;
        for (let k = 0; k < this.S; k++) {
          const t = ease(Math.max(0, Math.min(1, (now - began - k * 14) / 700))), x = k % side, y = Math.floor(k / side);
          last = t;
          context.drawImage(from, x * patch, y * patch, patch, patch,
            mix(a.left - home.left + (x * a.width) / side, b.left - home.left, t), mix(a.top - home.top + (y * a.height) / side, b.top - home.top + (k * b.height) / this.S, t),
            mix(a.width / side - 1, b.width, t), mix(a.height / side - 1, b.height / this.S, t));
        }
        if (last < 1) return void (this.moving = requestAnimationFrame(frame));
        layer.remove();
        to.style.visibility = "";
      };
      this.moving = requestAnimationFrame(frame);
    }

    showTable(step, enter) {
      const grid = this.$('[data-grid="table"]'), C = this.config.hidden_dim, canvas = grid.querySelector("canvas");
      const view = "block" in step ? this.state.view : "after", table = this.tableOf(step, view);
      const limit = Math.max(Draw.largest(table), view === "added" ? 0 : Draw.largest(this.tableOf(step, "before")));
      const { patch, channel } = this.state;
      Draw.heat(canvas, table, C, limit);
      const parts = { tokens: "column", channels: "row" }[step.kind] ?? "both";
      mark(grid, [channel, patch], C, this.S, "both");
      grid.dataset.reads = parts;
      const map = this.$('[data-grid="map"]'), column = this.column(table);
      Draw.heat(map.querySelector("canvas"), column, this.side, limit);
      mark(map, [patch % this.side, Math.floor(patch / this.side)], this.side, this.side, "cell");
      this.text("map", `Channel ${channel} as a map`);
      this.legend(this.$('[data-legend="table"]'), limit, "value in the table");
      this.say(`patch ${patch}, channel ${channel}: ${signed(column[patch], 3)}`);
      if (enter && "block" in step && view === "after") this.sweep(step, grid, canvas, limit);
    }

    // the mixing passes over the table: column by column, or row by row
    sweep(step, grid, canvas, limit) {
      const C = this.config.hidden_dim, before = this.tableOf(step, "before"), after = this.tableOf(step, "after");
      const began = performance.now(), byColumn = step.kind === "tokens", mixed = before.slice();
      const frame = (now) => {
        const t = Math.min(1, (now - began) / 1300), reached = Math.floor(t * (byColumn ? C : this.S));
        for (let i = 0; i < mixed.length; i++) mixed[i] = (byColumn ? i % C : Math.floor(i / C)) < reached ? after[i] : before[i];
        Draw.heat(canvas, mixed, C, limit);
        mark(grid, [reached, reached], C, this.S, byColumn ? "column" : "row");
        if (t < 1) return void (this.moving = requestAnimationFrame(frame));
        mark(grid, [this.state.channel, this.state.patch], C, this.S, "both");
      };
      this.moving = requestAnimationFrame(frame);
    }

    showUnits(step) {
      const { side, S } = this, { channel, unit } = this.state, D = this.config.tokens_mlp_dim;
      const block = this.model().layers[`block_${step.block}`], kernel = block.token_mixing.hidden.kernel;
      const grid = this.$('[data-grid="units"]'), across = 8, gap = side + 1, width = across * gap - 1;
      // all maps in one picture, with gaps that show the ground
      const rows = D / across, height = rows * gap - 1, all = new Float32Array(width * height).fill(NaN), limit = Draw.largest(kernel) * 0.8;
      for (let u = 0; u < D; u++)
        for (let s = 0; s < S; s++)
          all[(Math.floor(u / across) * gap + Math.floor(s / side)) * width + (u % across) * gap + (s % side)] = kernel[s * D + u];
      const canvas = grid.querySelector("canvas");
      Draw.heat(canvas, all, width, limit);
      const context = canvas.getContext("2d");
      for (let g = side; g < width; g += gap) context.clearRect(g, 0, 1, height);
      for (let g = side; g < height; g += gap) context.clearRect(0, g, width, 1);
      mark(grid, [unit % across, Math.floor(unit / across)], across, rows, "cell");
      this.legend(this.$('[data-legend="units"]'), limit, "weight of a patch");
      const normed = this.column(Mixer.layerNorm(this.result().blocks[step.block].before, block.token_norm));
      const weights = Float32Array.from({ length: S }, (_, s) => kernel[s * D + unit]), product = normed.map((value, s) => value * weights[s]);
      Draw.heat(this.$('[data-map="column"]'), normed, side);
      Draw.heat(this.$('[data-map="weights"]'), weights, side);
      Draw.heat(this.$('[data-map="product"]'), product, side);
      const bias = block.token_mixing.hidden.bias[unit], sum = product.reduce((a, b) => a + b) + bias;
      this.text("column", `channel ${channel}, after LayerNorm`);
      this.text("unit", `weights of unit ${unit}`);
      this.text("sum", `Sum plus bias: ${signed(sum)}. GELU makes it ${signed(Mixer.gelu(sum))}: the value of unit ${unit} for channel ${channel}.`);
      this.say("");
    }

    showAverage(step, enter) {
      const result = this.result(), C = this.config.hidden_dim, grid = this.$('[data-grid="table"]'), limit = Draw.largest(result.table);
      const { patch, channel } = this.state;
      Draw.heat(grid.querySelector("canvas"), result.table, C, limit);
      Draw.heat(this.$(".ml-pooled"), result.pooled, C, limit);
      this.legend(this.$('[data-legend="table"]'), limit, "value in the table, and of the mean");
      mark(grid, [channel, patch], C, this.S);
      const votes = this.votes(), classes = this.config.num_classes, names = models[this.state.model].classes;
      const said = Array.from({ length: this.S }, (_, s) => Mixer.topK(votes.subarray(s * classes, (s + 1) * classes), 1)[0]);
      const counts = new Map();
      said.forEach((one) => counts.set(one, (counts.get(one) ?? 0) + 1));
      const order = [...counts].sort((a, b) => b[1] - a[1] || a[0] - b[0]), shown = order.slice(0, 5).map(([one]) => one);
      const others = Draw.theme() === "dark" ? "#4a4f57" : "#d5d8dc", colour = (one) => (shown.includes(one) ? Draw.CLASS_COLOURS[shown.indexOf(one)] : others);
      const map = this.$('[data-grid="votes"]'), rgbs = new Float32Array(this.S * 3);
      said.forEach((one, s) => rgbs.set(rgb(colour(one)), s * 3));
      Draw.pixels(map.querySelector("canvas"), rgbs, this.side);
      mark(map, [patch % this.side, Math.floor(patch / this.side)], this.side, this.side, "cell");
      const rest = this.S - order.slice(0, 5).reduce((sum, [, count]) => sum + count, 0);
      this.$(".ml-key").innerHTML = [...order.slice(0, 5).map(([one, count]) => [colour(one), names[one], count]),
        ...(rest ? [[others, "others", rest]] : [])].map(([c, name, count]) => `<li><i style="background:${c}"></i>${name}: ${count}</li>`).join("");
      this.say(`patch ${patch} alone would say: ${names[said[patch]]}`);
      if (enter) grid.querySelector("canvas").animate([{ transform: "scaleY(1)" }, { transform: "scaleY(0.04)" }, { transform: "scaleY(1)" }],
        { duration: 1600, easing: "ease-in-out" });
    }

    showAnswer() {
      const logits = this.result().logits, p = Mixer.softmax(logits), names = models[this.state.model].classes, best = Mixer.topK(logits, 10);
      this.$(".ml-long").innerHTML = `<ol class="ml-bars">${best.map((k) => this.bar(k, names[k], p[k], `logit ${signed(logits[k])}`)).join("")}</ol>`;
      this.say("Choose a class to explain it.");
    }

    bar(k, name, p, note = "") {
      return `<li><button type="button" data-pick="${k}" aria-pressed="${this.state.class === k}"><span class="ml-name">${name}</span>
        <span class="ml-bar"><i style="width:${(100 * p).toFixed(1)}%"></i></span><span class="ml-p">${(100 * p).toFixed(p < 0.0995 ? 1 : 0)} %</span>
        ${note ? `<small>${note}</small>` : ""}</button></li>`;
    }

    // --- answers and what-ifs

    // a live region is written only when it changes: else it would be read aloud again
    tell(element, text) { if (element.textContent !== text) element.textContent = text; }

    showAnswers() {
      const key = [this.state.model, this.state.class, this.key(), this.names.filter((name) => models[name])].join();
      if (this.answersOf === key) return;
      this.answersOf = key;
      const focused = document.activeElement?.dataset?.pick && document.activeElement.closest(".ml-model")?.dataset.model;
      const pick = document.activeElement?.dataset?.pick;
      for (const name of this.names) {
        const element = this.$(`.ml-model[data-model="${name}"]`), chosen = name === this.state.model;
        element.classList.toggle("ml-chosen", chosen);
        const card = models[name]?.card;
        const head = this.part.walk || this.part.whatIf ? `<button type="button" class="ml-small ml-pick-model" data-model="${name}" aria-pressed="${chosen}"
          aria-label="${name}: show its tables">${name}</button>` : `<strong>${name}</strong>`;
        if (!card) { element.innerHTML = `<p class="ml-model-name">${head}</p><p class="ml-hint">loading …</p>`; continue; }
        const logits = this.result(name).logits, p = Mixer.softmax(logits), best = Mixer.topK(logits, 5);
        element.innerHTML = `<p class="ml-model-name">${head} <small title="On CIFAR-100's test pictures">test top-1 ${(100 * card.top1).toFixed(1)} %</small></p>
          <ol class="ml-bars">${best.map((k) => this.bar(k, models[name].classes[k], p[k])).join("")}</ol>`;
      }
      if (focused) this.$(`.ml-model[data-model="${focused}"] [data-pick="${pick}"]`)?.focus();
      const one = this.chosenClass(), name = models[this.state.model].classes[one];
      this.tell(this.$(".ml-logit"), `Logit of ${name}: ` + this.names.filter((model) => models[model]).map((model) =>
        `${signed(this.result(model).logits[one])} (${model})`).join(", "));
    }

    showWhatIf() {
      this.$$(".ml-range").forEach((label) => { label.querySelector("output").textContent = label.querySelector("input").value; });
      for (const name of ["tokens", "channels"])
        this.$$(`[data-off="${name}"]`).forEach((box) => { box.checked = this.state[name].includes(box.value); });
      const { model, order, right, down, noise, tokens, channels } = this.state;
      const now = this.result().logits, was = this.untouched(model).logits;
      const change = now.reduce((most, value, k) => Math.max(most, Math.abs(value - was[k])), 0);
      const touched = order !== "kept" || right || down || noise || tokens || channels;
      const small = change < 1e-3 ? `${change === 0 ? "0" : change.toExponential(0)}: rounding, nothing else` : change.toFixed(2);
      this.tell(this.$(".ml-change"), touched ? `Largest change of a logit: ${small}.` : "");
      this.$(".ml-sticky").textContent = this.names.filter((name) => models[name]).map((name) => {
        const logits = this.result(name).logits, best = Mixer.topK(logits, 1)[0];
        return `${name}: ${models[name].classes[best]} ${(100 * Mixer.softmax(logits)[best]).toFixed(0)} %`;
      }).join(" · ");
      const note = this.$(".ml-off-note");
      if (note) this.tell(note, tokens.length === this.config.num_blocks ? "No patch hears of another now: the answer is the mean of what each says alone. See the step Average." : "");
    }
  };
})();
