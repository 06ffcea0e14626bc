// Whatever scrolls by itself can be reached with the Tab key, and then scrolled with the arrows. Where more lies to the
// right, its edge fades (mixer.css).
document.addEventListener("DOMContentLoaded", () => {
  const scrolling = "article table, article pre, article div.math, article mjx-container[display='true']";
  const fade = (part) =>
    part.toggleAttribute("data-more", part.scrollLeft + part.clientWidth < part.scrollWidth - 1);
  const reach = () =>
    document.querySelectorAll(scrolling).forEach((part) => {
      if (part.scrollWidth > part.clientWidth + 1) part.tabIndex = 0;
      else part.removeAttribute("tabindex");
      fade(part);
    });
  reach();
  window.addEventListener("resize", reach);
  window.addEventListener("load", reach);
  document.addEventListener("toggle", reach, true); // a dropdown was opened
  document.addEventListener("scroll", ({ target }) => target.matches?.(scrolling) && fade(target), true);

  // What the search shows of a page is its article, without the contents and buttons beside it.
  if (typeof Search === "undefined") return;
  const textOf = Search.htmlToText;
  Search.htmlToText = (page, anchor) => {
    const article = new DOMParser().parseFromString(page, "text/html").querySelector("article");
    article?.querySelectorAll("details, .cell_input, script").forEach((part) => part.remove());
    return textOf(article ? `<div role="main">${article.innerHTML}</div>` : page, anchor);
  };
});
