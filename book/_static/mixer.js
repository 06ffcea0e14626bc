// Whatever scrolls by itself can be reached with the Tab key, and then scrolled with the arrows.
document.addEventListener("DOMContentLoaded", () => {
  const scrolling = "article table, article pre, article div.math, article mjx-container[display='true']";
  const reach = () =>
    document.querySelectorAll(scrolling).forEach((part) => {
      if (part.scrollWidth > part.clientWidth + 1) part.tabIndex = 0;
      else part.removeAttribute("tabindex");
    });
  reach();
  window.addEventListener("resize", reach);
  window.addEventListener("load", reach);
  document.addEventListener("toggle", reach, true); // a dropdown was opened
});
