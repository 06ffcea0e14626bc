// The live page's state and what a reader does to it: pictures, links, what is computed. The forward pass is in mixer.js.
// Everything happens in the reader's browser; nothing is sent anywhere.
"use strict";

(() => {
  const { START, COLOURS, PARTS, calm, rgb, pace, loadScript, models, loadModel, stepsOf, pointable, mark } = LabParts;

  class Lab extends LabShow(LabMarkup(Object)) {
    constructor(root) {
      super();
      this.root = root;
      this.part = PARTS[root.dataset.part] ?? PARTS.all;
      this.whole = this.part === PARTS.all;
      this.state = { ...START, step: this.part.step ?? 0, over: this.part.over ?? "none" };
      this.pictures = {}; // name -> {small, preview}
      this.paint = []; // pixels of the reader's drawing: indices into COLOURS
      this.cache = new Map();
    }

    async start() {
      try {
        await Promise.all([loadScript("models.js"), loadScript("gallery.js")]);
        this.names = MixerData.names;
        START.model ||= this.names[0];
        this.state.model ||= this.names[0];
        await loadModel(this.names[0]);
        this.build();
        await this.readLink();
        await this.choosePicture(this.state.picture);
        this.goTo(this.state.step, false);
        this.root.dataset.ready = "first";
        for (const name of this.names.slice(1)) { await pace(); await loadModel(name); this.refresh(); }
        this.root.dataset.ready = "all";
      } catch (error) {
        this.root.innerHTML = '<p class="ml-alert" role="alert"></p>';
        this.root.firstChild.textContent = error.message;
      }
    }

    $(selector) { return this.root.querySelector(selector); }
    $$(selector) { return [...this.root.querySelectorAll(selector)]; }
    // of the chosen model: models may differ in blocks and widths
    get config() { return (models[this.state.model] ?? models[this.names[0]]).config; }
    get steps() { return this.keep(`steps ${this.config.num_blocks}`, () => stepsOf(this.config).filter(this.part.steps)); }
    get step() { return this.steps[this.state.step] ?? { kind: "none" }; }
    get side() { return this.config.image_size / this.config.patch_size; }
    get S() { return this.side ** 2; }

    // --- what the reader does

    listen() {
      this.root.addEventListener("click", (event) => {
        const button = event.target.closest("button");
        if (!button) return;
        const { picture, step, all, model, pick } = button.dataset;
        if (picture) this.choosePicture(picture);
        else if (step) this.goTo(Number(step));
        else if (all) {
          const every = Array.from({ length: this.config.num_blocks }, (_, b) => b).join("");
          this.set({ [all]: this.state[all] === every ? "" : every });
        } else if (model) this.chooseModel(model);
        else if (pick) this.set({ class: Number(pick) });
        else this[`do_${button.dataset.do}`]?.(button);
      });
      this.root.addEventListener("input", ({ target }) => {
        if (target.dataset.off) {
          const boxes = this.$$(`[data-off="${target.dataset.off}"]`);
          this.set({ [target.dataset.off]: boxes.filter((box) => box.checked).map((box) => box.value).join("") });
        } else if (target.dataset.state) {
          const name = target.dataset.state, number = typeof START[name] === "number";
          if (number && !Number.isInteger(Number(target.value))) return;
          const low = target.min === "" || target.min === undefined ? -Infinity : Number(target.min);
          const value = number ? Number(target.value) - Number(target.dataset.from ?? 0) : target.value;
          if (number && (Number(target.value) < low || (target.max && Number(target.value) > Number(target.max)))) return;
          this.set({ [name]: value });
        } else if (target.classList.contains("ml-file") && target.files[0]) {
          this.ownPicture(target.files[0]);
          target.value = "";
        }
      });
      this.root.addEventListener("keydown", (event) => {
        if (event.target.getAttribute("role") !== "tab") return;
        const to = { ArrowRight: this.state.step + 1, ArrowLeft: this.state.step - 1, Home: 0, End: this.steps.length - 1 };
        if (!(event.key in to)) return;
        event.preventDefault();
        this.goTo(Math.max(0, Math.min(this.steps.length - 1, to[event.key])));
        this.$(`[data-step="${this.state.step}"]`).focus();
      });
      this.root.addEventListener("dragover", (event) => event.preventDefault());
      this.root.addEventListener("drop", (event) => {
        event.preventDefault();
        if (event.dataTransfer.files[0]) this.ownPicture(event.dataTransfer.files[0]);
      });
      if (!this.whole) return;
      document.addEventListener("click", (event) => {
        const link = event.target.closest?.("a[data-lab]");
        if (!link) return;
        event.preventDefault();
        if (location.hash.slice(1) !== link.dataset.lab) location.hash = link.dataset.lab;
        else this.root.scrollIntoView();
      });
      window.addEventListener("hashchange", async () => {
        if (location.hash.slice(1) === this.link() || !location.hash.includes("=")) return;
        await this.readLink();
        await this.choosePicture(this.state.picture);
        this.goTo(this.state.step, false);
        this.root.scrollIntoView({ behavior: calm() ? "auto" : "smooth" });
      });
    }

    watchTheme() {
      new MutationObserver(() => this.refresh()).observe(document.documentElement, { attributeFilter: ["data-theme"] });
    }

    do_back() { this.stop(); this.goTo(Math.max(0, this.state.step - 1)); }
    do_next() { this.stop(); this.goTo(Math.min(this.steps.length - 1, this.state.step + 1)); }
    do_play() {
      if (this.playing) return this.stop();
      if (this.state.step === this.steps.length - 1) this.goTo(0);
      const forward = () => {
        if (this.state.step >= this.steps.length - 1) return this.stop();
        this.goTo(this.state.step + 1);
        this.playing = setTimeout(forward, 3200);
      };
      this.playing = setTimeout(forward, calm() ? 1600 : 400);
      this.showPlaying();
    }
    stop() { clearTimeout(this.playing); this.playing = 0; this.showPlaying(); }
    showPlaying() {
      const button = this.$('[data-do="play"]');
      if (!button) return;
      button.textContent = this.playing ? "❚❚ Pause" : "▶ Play";
      button.setAttribute("aria-label", this.playing ? "Pause" : "Play all steps");
    }
    do_noise() { this.set({ draw: this.state.draw + 1, noise: this.state.noise || 20 }); }

    do_again() { this.set({ seed: this.state.seed + 1, order: this.state.order === "kept" ? "patches" : this.state.order }); }
    do_reset() {
      const { right, down, noise, draw, seed, order, tokens, channels } = START;
      this.set({ right, down, noise, draw, seed, order, tokens, channels });
    }
    async do_copy() {
      const field = this.$(".ml-link"), address = location.href.split("#")[0] + "#" + this.link(true);
      Object.assign(field, { hidden: false, value: address });
      field.select();
      let said = "Copy it from the field.";
      try { await navigator.clipboard.writeText(address); said = "Copied."; } catch { /* not allowed here: the field is selected */ }
      if (this.state.picture === "own") said += " Your own picture is not in it: it stays with you.";
      this.status(said);
    }
    status(text) { this.$(".ml-status").textContent = text; }
    alert(text) { this.$(".ml-own .ml-alert").textContent = text; }

    set(changes) {
      Object.assign(this.state, changes);
      this.refresh();
    }

    // Another model: the step goes on if it has it, and what it does not have is left.
    chooseModel(model) {
      if (!models[model]) return; // not loaded yet
      const { kind, block } = this.step;
      this.set({ model });
      this.fitShape();
      const same = this.steps.findIndex((step) => step.kind === kind && step.block === block);
      this.goTo(same < 0 ? this.steps.length - 1 : same, false);
    }

    // The elements and the state for the blocks and widths of the chosen model.
    fitShape() {
      const { num_blocks, hidden_dim, tokens_mlp_dim } = this.config, { state } = this;
      const fitting = (blocks) => [...blocks].filter((block) => Number(block) < num_blocks).join("");
      Object.assign(state, { channel: Math.min(state.channel, hidden_dim - 1), unit: Math.min(state.unit, tokens_mlp_dim - 1),
        tokens: fitting(state.tokens), channels: fitting(state.channels) });
      if (this.shownBlocks === num_blocks) return;
      this.shownBlocks = num_blocks;
      this.thumbsOf = "";
      if (this.part.walk) this.$(".ml-strip").innerHTML = this.stripMarkup();
      this.$$(".ml-boxes").forEach((boxes) => { boxes.innerHTML = this.boxesMarkup(boxes.dataset.boxes, boxes.dataset.label); });
    }

    // A place in the table: its frame moves at once, numbers follow; keys say the number aloud.
    choose(place, byKey) {
      if (Object.entries(place).every(([name, value]) => this.state[name] === value)) return;
      Object.assign(this.state, place);
      this.speak = byKey;
      this.refresh();
    }

    // --- pictures

    async choosePicture(name) {
      const listed = MixerData.gallery.find((picture) => picture.name === name);
      if (name.startsWith("draw.")) this.readDrawing(name);
      else if (name === "own" && !this.pictures.own) {
        this.alert("That link was made with a picture of somebody's own, which stayed there. Choose one.");
        return this.choosePicture(START.picture);
      } else if (name !== "own") {
        const picture = listed ?? MixerData.gallery[0];
        name = picture.name;
        this.pictures[name] ??= Draw.fromImage(await Draw.load(picture.src), this.config.image_size);
      }
      if (listed) this.alert("");
      this.set({ picture: name });
    }

    async ownPicture(file) {
      this.status("Reading the picture …");
      try {
        const found = await Draw.fromFile(file, this.config.image_size);
        this.pictures.own = found;
        this.alert(found.note);
        this.version = (this.version ?? 0) + 1;
        this.set({ picture: "own" });
      } catch (error) {
        this.alert(error.message);
      }
      this.status("");
    }

    source() {
      const name = this.state.picture;
      if (!name.startsWith("draw.")) return this.pictures[name].small;
      const image = new Float32Array(this.paint.length * 3);
      this.paint.forEach((colour, i) => image.set(rgb(COLOURS[colour][1]), i * 3));
      return image;
    }

    // --- drawing

    do_draw(button) {
      const panel = this.$(".ml-drawing");
      panel.hidden = !panel.hidden;
      button.setAttribute("aria-expanded", String(!panel.hidden));
      if (panel.hidden) return;
      if (!this.paint.length) {
        this.paint = Array.from({ length: this.config.image_size ** 2 }, (_, i) => (i < 640 ? 7 : 6));
      }
      this.cursor ??= [16, 16];
      this.paintPlace = this.cursor;
      this.showDrawing();
    }
    do_fill() { this.paint.fill(this.colour()); this.showDrawing(); }
    colour() { return Number(this.$(".ml-palette input:checked").value); }

    listenDrawing() {
      const grid = this.$('[data-grid="paint"]'), size = this.config.image_size;
      pointable(grid, size, size, () => this.cursor, (column, row) => {
        this.cursor = [column, row];
        if (this.brushDown) this.stroke();
        mark(grid, this.cursor, size, size, "cell");
      });
      grid.addEventListener("pointerdown", (event) => { this.brushDown = true; grid.setPointerCapture(event.pointerId); this.stroke(); });
      for (const end of ["pointerup", "pointercancel"]) grid.addEventListener(end, () => { this.brushDown = false; });
      grid.addEventListener("keydown", (event) => {
        if (event.key !== " " && event.key !== "Enter") return;
        event.preventDefault();
        this.stroke();
      });
    }

    stroke() {
      const brush = Number(this.$(".ml-brush").value), size = this.config.image_size, from = Math.floor((brush - 1) / 2);
      for (let y = this.cursor[1] - from; y < this.cursor[1] - from + brush; y++)
        for (let x = this.cursor[0] - from; x < this.cursor[0] - from + brush; x++)
          if (x >= 0 && y >= 0 && x < size && y < size) this.paint[y * size + x] = this.colour();
      this.showDrawing();
    }

    showDrawing() {
      let text = "", run = 0;
      this.paint.forEach((colour, i) => {
        run++;
        if (this.paint[i + 1] !== colour) { text += String.fromCharCode(97 + colour) + (run > 1 ? run : ""); run = 0; }
      });
      this.set({ picture: `draw.${text}` });
    }

    readDrawing(name) {
      const size = this.config.image_size ** 2, found = [];
      for (const [, colour, run] of name.slice(5).matchAll(/([a-j])(\d*)/g))
        for (let i = 0; i < Math.min(size, Number(run || 1)); i++) found.push(colour.charCodeAt(0) - 97);
      this.paint = Array.from({ length: size }, (_, i) => found[i] ?? 0);
      this.cursor ??= [16, 16];
    }

    // --- the link

    link(toShare = false) {
      const parts = Object.entries(this.state).filter(([name, value]) => value !== START[name]);
      const kept = parts.filter(([name, value]) => !(toShare && name === "picture" && value === "own"));
      return kept.map(([name, value]) => `${name}=${encodeURIComponent(value)}`).join("&");
    }

    async readLink() {
      if (!this.whole || !location.hash.includes("=")) return;
      const asked = new URLSearchParams(location.hash.slice(1)), state = { ...START };
      this.state.model = this.names.includes(asked.get("model")) ? asked.get("model") : START.model;
      await loadModel(this.state.model);
      const limits = { step: this.steps.length, patch: this.S, channel: this.config.hidden_dim, noise: 61,
        unit: this.config.tokens_mlp_dim, class: this.config.num_classes };
      for (const [name, value] of asked) {
        if (typeof START[name] === "number") {
          const number = Number(value), far = name === "right" || name === "down" ? 9 : limits[name] ?? 1e9;
          if (Number.isInteger(number) && number < far && number > (far === 9 ? -9 : -2)) state[name] = name === "class" ? number : far === 9 ? number : Math.max(0, number);
        } else if (name in START) state[name] = value;
      }
      const oneOf = { model: this.names, order: ["kept", "patches", "both"], view: ["before", "added", "after"],
        over: ["none", "channel", "occlusion", "votes"] };
      for (const [name, values] of Object.entries(oneOf)) if (!values.includes(state[name])) state[name] = START[name];
      for (const name of ["tokens", "channels"]) if (!/^[0-9]*$/.test(state[name])) state[name] = "";
      this.state = state;
      this.fitShape();
    }

    writeLink() {
      if (!this.whole) return;
      clearTimeout(this.writing);
      this.writing = setTimeout(() => {
        const link = this.link();
        if (link === location.hash.slice(1)) return;
        try { history.replaceState(null, "", link ? `#${link}` : location.href.split("#")[0]); } catch { /* some browsers, from disk */ }
      }, 250);
    }

    // --- computing

    input(image = this.source()) {
      const { right, down, noise, draw, order } = this.state, size = this.config.image_size;
      let x = image;
      if (right || down) x = Draw.shift(x, size, right, down);
      if (noise) x = Draw.noise(x, noise, draw);
      if (order !== "kept") x = Draw.reorder(x, size, this.config.patch_size, this.order());
      return x;
    }
    order() { return Draw.permutation(this.S, this.state.seed + 100); }
    off() {
      return Array.from({ length: this.config.num_blocks }, (_, b) => ({
        tokens: this.state.tokens.includes(b), channels: this.state.channels.includes(b) }));
    }
    model(name = this.state.model) {
      const model = models[name];
      if (!model || this.state.order !== "both") return model;
      return this.keep(`follow ${name} ${this.state.seed}`, () => Mixer.followOrder(model, this.order()));
    }
    keep(key, make) {
      if (!this.cache.has(key)) {
        if (this.cache.size > 40) this.cache.clear();
        this.cache.set(key, make());
      }
      return this.cache.get(key);
    }
    pictureKey() { return this.state.picture + (this.state.picture === "own" ? this.version : ""); }
    key() {
      const { right, down, noise, draw, seed, order, tokens, channels } = this.state;
      return [this.pictureKey(), right, down, noise, draw, seed, order, tokens, channels].join("|");
    }
    result(name = this.state.model) {
      return this.keep(`${name} ${this.key()}`, () => Mixer.forward(this.model(name), this.input(), this.off()));
    }
    // of the picture and the model as they were
    untouched(name) { return this.keep(`${name} ${this.pictureKey()}`, () => Mixer.forward(models[name], this.source())); }
    votes() { return this.keep(`votes ${this.state.model} ${this.key()}`, () => Mixer.votes(this.model(), this.result())); }
    chosenClass(name = this.state.model) {
      return this.state.class >= 0 ? this.state.class : Mixer.topK(this.result(name).logits, 1)[0];
    }
  }

  function wake(root) {
    const lab = new Lab(root);
    root.mixerLab = lab;
    const start = () => lab.start();
    if (lab.whole || !("IntersectionObserver" in window)) return start();
    // a chapter's part loads the weights when the reader comes near
    const watch = new IntersectionObserver((seen) => {
      if (!seen.some((entry) => entry.isIntersecting)) return;
      watch.disconnect();
      start();
    }, { rootMargin: "600px" });
    watch.observe(root);
  }

  const begin = () => document.querySelectorAll(".mixer-lab").forEach(wake);
  if (document.readyState === "loading") document.addEventListener("DOMContentLoaded", begin);
  else begin();
})();
