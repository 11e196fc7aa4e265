// Wide code, tables and equations scroll by themselves: those that do can be reached, and then scrolled, by the keyboard.
// Others stay out of the order of the tabulator.
"use strict";

const REGIONS = ".md-typeset pre > code, .md-typeset__scrollwrap, .md-typeset math[display='block']";

function mark() {
  for (const region of document.querySelectorAll(REGIONS)) {
    if (region.scrollWidth > region.clientWidth) region.setAttribute("tabindex", "0");
    else region.removeAttribute("tabindex");
  }
}

// The theme wraps tables after this script has run, and windows are resized.
new MutationObserver(mark).observe(document.body, { childList: true, subtree: true });
new ResizeObserver(mark).observe(document.body);
