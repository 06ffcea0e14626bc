// The live page's elements, written once.
"use strict";

const LabMarkup = (() => {
  const { FOLDER, COLOURS, models, gridMarkup, pointable } = LabParts;

  return (Base) => class extends Base {
    build() {
      const { part } = this;
      this.shownBlocks = this.config.num_blocks;
      this.root.innerHTML = `
        ${part.title ? `<p class="ml-title">${part.title}</p>` : ""}
        <div class="ml-choose">
          <div class="ml-gallery" role="group" aria-label="Pictures">${MixerData.gallery.map((picture) => `
            <button type="button" data-picture="${picture.name}" aria-pressed="false" title="${picture.title}">
              <img src="${picture.src}" alt="${picture.alt}" width="56" height="56"></button>`).join("")}</div>
          <div class="ml-own">
            <label class="ml-button">Your picture…<input type="file" accept="image/*" class="ml-file"
              aria-describedby="${this.id("alert")}"></label>
            ${part.tools ? `<button type="button" class="ml-button" data-do="draw" aria-expanded="false">Draw</button>` : ""}
            <p class="ml-alert" id="${this.id("alert")}" role="alert"></p>
          </div>
        </div>
        ${part.tools ? this.drawingMarkup() : ""}
        ${part.walk ? `<div class="ml-walk"><div class="ml-strip" role="tablist" aria-label="Steps">${this.stripMarkup()}</div>
          <div class="ml-say"><div class="ml-move">
            <button type="button" class="ml-button" data-do="back" aria-label="Step back">◀</button>
            <button type="button" class="ml-button ml-main" data-do="play" aria-label="Play all steps">▶ Play</button>
            <button type="button" class="ml-button" data-do="next" aria-label="Next step">▶</button></div>
            <p class="ml-sentence" aria-live="polite"></p></div></div>` : ""}
        <div class="ml-main-grid${part.walk ? "" : " ml-no-stage"}">
          <div class="ml-seen">
            <p class="ml-head">What the model sees</p>
            ${gridMarkup("picture", "Patches of the picture: the arrow keys choose one", '<canvas class="ml-over" aria-hidden="true"></canvas>')}
            <label class="ml-field"${part.plain ? " hidden" : ""}>Lay over it <select data-state="over">
              <option value="none">nothing</option>${part.walk ? '<option value="channel">the chosen channel</option>' : ""}
              <option value="occlusion">occlusion</option><option value="votes">the votes of the patches</option></select></label>
            <div class="ml-legend" data-legend="over" hidden></div>
          </div>
          ${part.walk ? `<div class="ml-stage" role="tabpanel" id="${this.id("stage")}"></div>` : ""}
          ${part.answers ? `<div class="ml-answers"><p class="ml-head">What it says</p>
            <div class="ml-models">${this.names.map((name) => `<div class="ml-model" data-model="${name}"></div>`).join("")}</div>
            <label class="ml-field">Explain <select data-state="class"><option value="-1">the best guess</option>
              ${models[this.names[0]].classes.map((name, i) => [name, i]).sort().map(([name, i]) =>
                `<option value="${i}">${name}</option>`).join("")}</select></label>
            <p class="ml-logit" aria-live="polite"></p></div>` : ""}
        </div>
        ${part.whatIf ? this.whatIfMarkup() : ""}
        ${part.whatIf ? '<p class="ml-sticky" aria-hidden="true"></p>' : ""}
        <div class="ml-foot">
          ${part.tools ? `<button type="button" class="ml-button" data-do="copy">Copy a link to this state</button>
            <input class="ml-link" readonly aria-label="Link to this state" hidden> ` : ""}
          <span class="ml-status" role="status"></span>
          <span class="ml-credit"></span>
          <span>Nothing is sent anywhere: your picture stays in this browser.</span>
          ${this.whole ? "" : `<a href="${FOLDER}../book/at_work.html">The whole model at work</a>`}
        </div>
        ${part.tools ? `<details class="ml-code"><summary>Show me the code</summary><div class="ml-code-pair">
          <div><p class="ml-head">This page: mixer.js</p>${MixerData.code.javascript}</div>
          <div><p class="ml-head">The library: layers.py</p>${MixerData.code.python}</div></div></details>` : ""}`;
      this.watchTheme();
      this.listen();
      if (this.part.tools) this.listenDrawing();
      pointable(this.$('[data-grid="picture"]'), this.side, this.side,
        () => [this.state.patch % this.side, Math.floor(this.state.patch / this.side)],
        (column, row, byKey) => this.choose({ patch: row * this.side + column }, byKey));
    }

    id(name) { return `ml-${this.root.dataset.part ?? "all"}-${name}`; }

    stripMarkup() {
      let block = -1, html = "";
      this.steps.forEach((step, i) => {
        if ((step.block ?? -1) !== block) {
          if (block >= 0) html += "</span>";
          block = step.block ?? -1;
          if (block >= 0) html += `<span class="ml-block" data-title="Block ${block + 1}">`;
        }
        const inBlock = "block" in step ? `<span class="ml-hidden">Block ${step.block + 1}, </span>` : "";
        html += `<button type="button" role="tab" data-step="${i}" id="${this.id(`tab-${i}`)}" aria-selected="false" aria-controls="${this.id("stage")}" tabindex="-1"><canvas class="ml-thumb ml-thumb-${step.kind}" width="1"
          height="1" aria-hidden="true"></canvas><span>${inBlock}${{ tokens: "Tokens", channels: "Channels" }[step.kind] ?? step.name}</span></button>`;
      });
      return html + (block >= 0 ? "</span>" : "");
    }

    whatIfMarkup() {
      const range = (name, label, low, high, step = 1) => `<label class="ml-range"><span>${label}</span>
        <input type="range" min="${low}" max="${high}" step="${step}" data-state="${name}"><output></output></label>`;
      const radio = (value, label) => `<label><input type="radio" name="${this.id("order")}" value="${value}"
        data-state="order"> ${label}</label>`;
      const boxes = (name, label) => `<div class="ml-boxes" role="group" data-boxes="${name}" data-label="${label}"
        aria-label="${label} off">${this.boxesMarkup(name, label)}</div>`;
      return `<div class="ml-what-if" role="group" aria-label="What if">
        <fieldset><legend>What if the picture moves, or is noisy?</legend>
          ${range("right", "Right", -8, 8)}${range("down", "Down", -8, 8)}${range("noise", "Noise", 0, 60, 5)}
          <button type="button" class="ml-small" data-do="noise">Draw the noise again</button></fieldset>
        <fieldset><legend>What if its patches are shuffled?</legend>
          ${radio("kept", "as they are")}${radio("patches", "shuffled")}
          ${radio("both", "shuffled, and the weights that read them")}
          <button type="button" class="ml-small" data-do="again">Shuffle again</button>
          <p class="ml-change" aria-live="polite"></p></fieldset>
        ${this.part.only ? "" : `<fieldset><legend>What if a mixing is off?</legend>
          <p class="ml-hint">Switch it off in block</p>
          ${boxes("tokens", "Token mixing")}${boxes("channels", "Channel mixing")}
          <p class="ml-off-note" aria-live="polite"></p></fieldset>`}
        <button type="button" class="ml-button" data-do="reset">Reset</button></div>`;
    }

    boxesMarkup(name, label) {
      return `<span>${label}</span>
        ${Array.from({ length: this.config.num_blocks }, (_, b) => `<label><input type="checkbox" data-off="${name}"
          value="${b}" aria-label="${label} off in block ${b + 1}"> ${b + 1}</label>`).join("")}
        <button type="button" class="ml-small" data-all="${name}" aria-label="${label} off in all blocks, or on">all</button>`;
    }

    drawingMarkup() {
      return `<div class="ml-drawing" hidden>
        <div class="ml-grid ml-grid-paint" data-grid="paint" role="application" tabindex="0" aria-roledescription="canvas"
          aria-label="Drawing, 32 by 32 pixels: the arrow keys move, the space bar paints"><canvas aria-hidden="true"></canvas>
          <div class="ml-mark"></div><div class="ml-mark" style="display:none"></div></div>
        <div><fieldset class="ml-palette"><legend>Colour</legend>${COLOURS.map(([name, colour], i) => `
          <label title="${name}" style="--colour:${colour}"><input type="radio" name="${this.id("colour")}" value="${i}"
          aria-label="${name}" ${i === 3 ? "checked" : ""}></label>`).join("")}</fieldset>
          <label class="ml-field">Brush <select class="ml-brush"><option value="1">1 pixel</option>
            <option value="2" selected>2 pixels</option><option value="4">4 pixels</option></select></label>
          <button type="button" class="ml-button" data-do="fill">Fill everything</button>
          <p class="ml-hint">The model was trained on photographs: a large thing on a plain ground works best.</p></div></div>`;
    }
  };
})();
