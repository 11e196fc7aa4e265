"""The script of the documentation, in a real browser: what scrolls can be reached by the keyboard, and nothing else."""

from __future__ import annotations

from pathlib import Path

SCRIPT = Path(__file__).parents[2] / ".docs" / "pages" / "scroll.js"
PAGE = """<!doctype html><html data-made="yes"><body style="margin: 0"><main class="md-typeset">
<style>pre > code, math, .md-typeset__scrollwrap {{ display: block; overflow: auto; width: 100vw }}</style>
<pre><code id="narrow">x = 1</code></pre>
<pre><code id="wide">x = "{line}"</code></pre>
<math id="equation" display="block"><mtext>{line}</mtext></math>
</main><script>{script}</script>
<script>
const table = document.createElement("div");
table.className = "md-typeset__scrollwrap", table.id = "late", table.innerHTML = "<table><td>{line}</table>";
document.querySelector("main").append(table);
</script></body></html>"""
REACHED = "[...document.querySelectorAll('[tabindex=\"0\"]')].map(region => region.id).sort().join()"


def test_what_scrolls_is_reached_by_the_keyboard(browser, tmp_path):
    page = tmp_path / "page.html"
    page.write_text(PAGE.format(line="wide" * 50, script=SCRIPT.read_text(encoding="utf-8")), encoding="utf-8")
    browser.open(page, size=(375, 700))
    browser.wait(f"{REACHED} === 'equation,late,wide'")
    browser.open(page, size=(5000, 700))
    browser.wait(f"document.readyState === 'complete' && {REACHED} === ''")
    assert not browser.errors
