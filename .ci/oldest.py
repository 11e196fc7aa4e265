"""Constraints that are the lower bounds of pyproject.toml, with which ``make oldest`` installs everything.

Needs packaging, and tomli on Python 3.10. What two extras bound must not differ.
"""

from __future__ import annotations

import sys
from pathlib import Path

from packaging.requirements import Requirement

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

# Tools of developers run at their pins alone; torch-scatter is compiled; the documentation needs a newer Python.
LEFT_OUT = ("dev", "scatter", "docs")


def main() -> None:
    """Print ``name==bound`` for each requirement of users and tests."""
    project = tomllib.loads((Path(__file__).parents[1] / "pyproject.toml").read_text("utf-8"))["project"]
    extras = [lines for name, lines in project["optional-dependencies"].items() if name not in LEFT_OUT]
    bounds: dict[str, str] = {}
    for requirement in map(Requirement, sum(extras, project["dependencies"])):
        if requirement.name == project["name"]:
            continue
        (bound,) = requirement.specifier
        if bound.operator != ">=" or bounds.setdefault(requirement.name, bound.version) != bound.version:
            sys.exit(f"{requirement} is no lower bound, or another than {requirement.name}>={bounds[requirement.name]}")
    print("\n".join(f"{name}=={version}" for name, version in sorted(bounds.items())))


if __name__ == "__main__":
    main()
