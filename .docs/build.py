"""The documentation: pages of this folder, and pages made from the code, put together and built by Zensical.

    python .docs/build.py [--pages]     build/docs/site; only build/docs/pages with --pages

Pages that lie elsewhere (model cards, data cards, notebooks, changes, the map of the package) are taken from there.
Links that lead to such a file lead to its page; those to other files of the repository become plain text.
"""

from __future__ import annotations

import argparse
import base64
import html
import json
import os
import posixpath
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

HERE = Path(__file__).parent
ROOT = HERE.parent
BUILD = ROOT / "build" / "docs"
PICTURES = {
    f".github/{name}": f"pictures/{name}"
    for name in ("sampling.svg", "conformers.png", "layouts.png", "bodies.png", "poses.png")
}
# A link to a file, unless it is part of code: whichever begins first counts.
_LINK = re.compile(
    r"^ *```.*?^ *```|(!?)\[((?:[^\[\]]|\[[^\]]*\])*)\]\((?!https?:|mailto:|#)([^)\s#]+)(#[^)]*)?\)|`[^`\n]+`",
    re.DOTALL | re.MULTILINE,
)
# The page in a frame that an outcome shows in a notebook.
_FRAME = re.compile(r'srcdoc="([^"]*)"')


def included() -> dict[str, str]:
    """List the pages that lie elsewhere in the repository: their paths on the site by those in the repository."""
    cards = {f"{path.parent.parent.name}": path for path in sorted(ROOT.glob("graphscore/*/weights/README.md"))}
    pages = {_inside(path): f"results/models/{name}.md" for name, path in cards.items()}
    data = sorted(ROOT.glob("datasets/*/README.md"))
    pages |= {_inside(path): f"results/data/{path.parent.name}.md" for path in data}
    notebooks = sorted(ROOT.glob("notebooks/*.ipynb"))
    pages |= {_inside(path): f"notebooks/{path.stem}.md" for path in notebooks}
    return pages | {
        "tests/benchmarks/README.md": "results/figures.md",
        ".github/CHANGELOG.md": "project/changes.md",
        ".github/CONTRIBUTING.md": "project/contributing.md",
    }


def _inside(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


def texts() -> Iterator[tuple[str, str, str]]:
    """Yield the pages: path in the repository, path on the site, Markdown."""
    for path in sorted((HERE / "pages").rglob("*.md")):
        yield _inside(path), path.relative_to(HERE / "pages").as_posix(), path.read_text(encoding="utf-8")
    for source, page in included().items():
        text = (ROOT / source).read_text(encoding="utf-8")
        yield source, page, notebook(text, Path(page).stem) if source.endswith(".ipynb") else text


def notebook(text: str, name: str) -> str:
    """Turn a notebook into Markdown, with its stored output; pictures are written to ``pictures/``."""
    parts = []
    for cell in json.loads(text)["cells"]:
        source = "".join(cell["source"])
        parts.append(f"```python\n{source}\n```" if cell["cell_type"] == "code" else source)
        for output in cell.get("outputs", ()):
            data = output.get("data", {})
            if "image/png" in data:
                picture = BUILD / "pages" / "pictures" / f"{name}-{len(parts)}.png"
                picture.parent.mkdir(parents=True, exist_ok=True)
                picture.write_bytes(base64.b64decode(data["image/png"]))
                parts.append(f"![Output of the cell above](../pictures/{picture.name})")
            elif shown := "".join(output.get("text", data.get("text/plain", ""))).rstrip():
                parts.append(f"```text\n{shown}\n```")
            if framed := _FRAME.search("".join(data.get("text/html", ""))):
                page = BUILD / "pages" / "pictures" / f"{name}-{len(parts)}.html"
                page.parent.mkdir(parents=True, exist_ok=True)
                page.write_text(html.unescape(framed[1]), encoding="utf-8")
                frame = f'sandbox="allow-scripts" src="../pictures/{page.name}"'
                parts.append(f'<iframe class="samples" title="Samples" {frame}></iframe>')
    return "\n\n".join(parts) + "\n"


def relink(text: str, source: str, page: str, pages: dict[str, str]) -> str:
    """Make links of a page lead to pages.

    Args:
        text: Markdown of the page.
        source: Its path in the repository, to which its links are relative.
        page: Its path on the site.
        pages: Paths on the site by paths in the repository.

    Raises:
        ValueError: If a link leads to no file.
    """

    def link(found: re.Match[str]) -> str:
        picture, label, path, anchor = found.groups()
        if path is None:  # code: Markdown of Python needs no escape of bars in it
            return found[0] if found[0].lstrip().startswith("```") else found[0].replace(r"\|", "|")
        target = posixpath.normpath(posixpath.join(posixpath.dirname(source), path))
        if target in pages:
            return f"{picture}[{label}]({posixpath.relpath(pages[target], posixpath.dirname(page))}{anchor or ''})"
        if path.startswith("../pictures/"):
            return found[0]  # of a notebook
        if not (ROOT / target).exists():
            raise ValueError(f"{source}: a link leads to {target}, which is not there")
        return label if label.startswith("`") else f"{label} (`{target}`)"

    return _LINK.sub(link, text)


def assemble() -> None:
    """Write all pages to ``build/docs/pages``, with the configuration beside."""
    from generated import generated  # needs the library, PyTorch included

    shutil.rmtree(BUILD, ignore_errors=True)
    shutil.copytree(HERE / "pages", BUILD / "pages")
    shutil.copy(HERE / "mkdocs.yml", BUILD)
    own = {_inside(path): path.relative_to(HERE / "pages").as_posix() for path in (HERE / "pages").rglob("*.md")}
    table = {"README.md": "concepts/what-works.md"}  # of the README, which others link to
    pages = own | included() | PICTURES | table
    for source, page in PICTURES.items():
        (BUILD / "pages" / page).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(ROOT / source, BUILD / "pages" / page)
    made = generated()
    for source, page, text in texts():
        code = page.replace("concepts/", "reference/")
        more = f"\n[Reference of `graphscore.{Path(page).stem}`](../{code})\n" if page != code in made else ""
        write(page, relink(text, source, page, pages) + more)
    for page, text in made.items():
        write(page, text)


def write(page: str, text: str) -> None:
    """Write a page."""
    path = BUILD / "pages" / page
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")


def main() -> None:
    """Assemble the pages and build the site; exit with the code of Zensical."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pages", action="store_true", help="stop before the site is built")
    arguments = parser.parse_args()
    assemble()
    if not arguments.pages:
        environment = os.environ | {"PYTHONPATH": str(HERE), "NO_COLOR": "1"}  # for markup.py
        command = [Path(sys.executable).with_name("zensical"), "build", "--strict", "--clean"]
        sys.exit(subprocess.run([*command, "-f", BUILD / "mkdocs.yml"], env=environment, check=False).returncode)


if __name__ == "__main__":
    main()
