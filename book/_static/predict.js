// Predict-first questions: their options become buttons, and a click shows the reason of that option alone. What was
// chosen is kept in this browser, where it allows that, and counted at the top of the chapter, in the contents and on the
// first page. book/_ext/predictions.py marks the questions; without this script they are read as they were written.
(() => {
  const KEY = "mixer-predictions";
  const element = (tag, className, text = "") =>
    Object.assign(document.createElement(tag), { className, textContent: text });
  let chosen = {}; // {question: letter}
  try {
    chosen = JSON.parse(localStorage.getItem(KEY)) ?? {};
  } catch { /* blocked, or not ours: begin anew */ }
  const keep = () => {
    try {
      localStorage.setItem(KEY, JSON.stringify(chosen));
    } catch { /* blocked: it lasts as long as the page */ }
  };

  const all = JSON.parse(document.getElementById("predictions")?.textContent ?? "{}");
  const root = new URL(document.documentElement.dataset.content_root ?? "./", location.href);
  const pageOf = (address) => new URL(address, location.href).pathname.replace(root.pathname, "").replace(/\.html$/, "");
  const here = pageOf(location.href);
  const made = (names) => names.filter((name) => chosen[name]).length;
  const questions = []; // those of this page, each a function that shows its state

  const letterOf = (item) => item.textContent.trim()[0];

  function prepare(list) {
    const name = [...list.classList].find((one) => one.startsWith("predict-")).slice("predict-".length);
    let box = list.nextElementSibling;
    while (box && !box.querySelector(".predict-reasons")) box = box.nextElementSibling;
    if (!box) return;
    const reasons = new Map([...box.querySelectorAll(".predict-reasons > li")].map((item) => [letterOf(item), item]));
    const answer = element("div", "predict-answer");
    answer.setAttribute("role", "status"); // a screen reader says what is put into it
    list.after(answer);
    const buttons = [...list.children].map((item) => {
      const button = element("button", "predict-option");
      button.type = "button";
      const letter = letterOf(item);
      const text = item.querySelector("p") ?? item;
      button.append(...text.childNodes);
      text.append(button);
      button.addEventListener("click", () => {
        if (chosen[name] === letter) delete chosen[name];
        else chosen[name] = letter;
        keep();
        show();
      });
      return [letter, button];
    });
    questions.push(() => {
      for (const [letter, button] of buttons) {
        const pressed = chosen[name] === letter;
        button.setAttribute("aria-pressed", pressed);
        button.classList.toggle("predict-is-right", pressed && reasons.get(letter).matches(".predict-right"));
      }
      if (answer.dataset.letter === (chosen[name] ?? "")) return;
      answer.dataset.letter = chosen[name] ?? "";
      answer.replaceChildren(...(reasons.has(chosen[name]) ? verdict(reasons.get(chosen[name]), chosen[name]) : []));
    });
  }

  function verdict(reason, letter) {
    const right = reason.matches(".predict-right");
    const told = element("p", right ? "predict-told predict-is-right" : "predict-told");
    told.textContent = right ? `You predicted ${letter}, which is right.` : `You predicted ${letter}, which is not right.`;
    const copy = element("div", "predict-reason");
    copy.append(...reason.cloneNode(true).childNodes);
    copy.querySelectorAll("[id]").forEach((part) => part.removeAttribute("id"));
    return [told, copy, element("p", "predict-more", "“Each answer, and why” has the reasons for the others.")];
  }

  function forgetButton(text, names) {
    const button = element("button", "predict-forget", text);
    button.type = "button";
    button.addEventListener("click", () => {
      names.forEach((name) => delete chosen[name]);
      keep();
      show();
      line.focus(); // the button is gone
    });
    return button;
  }

  // the line below a chapter's title, and that of the first page
  const line = element("p", "predict-progress");
  line.tabIndex = -1;
  function showLine() {
    const names = Object.values(all).flat();
    if (all[here]) {
      line.replaceChildren(`${made(all[here])} of ${all[here].length} questions predicted`);
      if (made(all[here])) line.append(". ", forgetButton("Forget this chapter’s answers", all[here]));
    } else {
      line.replaceChildren(`You have predicted ${made(names)} of ${names.length} answers`);
      const begun = [...contents].filter(([page]) => all[page] && made(all[page]));
      begun.forEach(([page, link], place) => {
        const to = Object.assign(element("a", "", link.dataset.title), { href: link.href });
        line.append(place ? "; " : ": ", to, ` ${made(all[page])} of ${all[page].length}`);
      });
      line.append(". ", forgetButton("Forget all answers", names));
      line.hidden = !begun.length;
    }
  }

  const contents = new Map(); // {page: its link in the sidebar}
  function showContents() {
    for (const [page, link] of contents) {
      link.querySelector(".predict-count")?.remove();
      if (!all[page] || !made(all[page])) continue;
      const [count, total] = [made(all[page]), all[page].length];
      const mark = element("span", "predict-count", count === total ? "✓" : `${count}/${total}`);
      mark.title = `${count} of ${total} questions predicted`;
      mark.append(element("span", "visually-hidden", ` ${mark.title}`));
      link.append(" ", mark);
    }
  }

  function show() {
    questions.forEach((one) => one());
    showContents();
    showLine();
  }

  document.addEventListener("DOMContentLoaded", () => {
    document.querySelectorAll("ul.predict").forEach(prepare);
    document.querySelectorAll("nav.bd-links li > a.internal").forEach((link) => {
      link.dataset.title = link.textContent.trim();
      contents.set(pageOf(link.href.split("#")[0] || location.href), link);
    });
    const title = document.querySelector("article h1");
    if (all[here]) title?.after(line);
    else if (here === "book/index") (document.querySelector("article h2") ?? title)?.before(line);
    show();
  });
  window.addEventListener("storage", (event) => { // another tab chose or forgot
    if (event.key !== KEY) return;
    try {
      chosen = JSON.parse(event.newValue) ?? {};
    } catch { return; }
    show();
  });
})();
