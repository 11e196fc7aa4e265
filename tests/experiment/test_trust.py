"""What comes from a file runs no code: names of registries alone, import paths only where the user trusts them."""

from __future__ import annotations

import copy
import json
import pickle
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import safetensors.torch
import torch
import yaml

from graphscore.experiment.build import build_model
from graphscore.experiment.config.schema import check_config, load_config
from graphscore.experiment.datasets import build_dataset
from graphscore.experiment.pretrained import load_model
from graphscore.experiment.sampling.pipeline import Pipeline
from graphscore.experiment.training.build import build_augment, build_task
from graphscore.registry import Trust, find
from graphscore.runtime.checkpoint import FORMAT_VERSION, Checkpoint, load_checkpoint

SMALL = [
    "fields.0.scale=2.0",
    "fields.0.sde={name: harmonic, schedule: {name: rectified}}",
    "network.backbone={name: egnn, hidden_channels: 4, num_layers: 1, cond_channels: 4, num_basis: 4}",
    "network.neighbors={name: knn, k: 3}",
    "sampling.guidance=[{name: particle, field: pos, group: digit, strength: 1.0, bandwidth: 1.0}]",
    "sampling.num_steps=2",
]

TRAP = """
from pathlib import Path
from graphscore.nn import EGNN
from graphscore.data.transforms import CompleteGraph

Path("owned").touch()

class Component:
    def __init__(self, *args, **kwargs):
        pass
    def __call__(self, *args, **kwargs):
        pass
    run = classmethod(__init__)

class Net(EGNN):
    pass
"""

HARMFUL = {"os.system", "os.exec", "os.fork", "os.posix_spawn", "subprocess.Popen", "os.remove", "os.mkdir"}
_seen: list[str] = []
_watching = False


def _hook(event: str, args: tuple[Any, ...]) -> None:
    if _watching and (event in HARMFUL or (event == "import" and args[0] == "trap")):
        _seen.append(f"{event} {args}")


@pytest.fixture(scope="session")
def _auditing() -> None:
    sys.addaudithook(_hook)  # for good: hooks cannot be taken back


@pytest.fixture
def watched(_auditing, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Fail if a program is started, a file is made, or the trap in this folder is imported."""
    global _watching
    (tmp_path / "trap.py").write_text(TRAP)
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))
    sys.modules.pop("trap", None)
    _seen.clear()
    _watching = True
    try:
        yield
    finally:
        _watching = False
        sys.modules.pop("trap", None)
    assert not _seen and {path.name for path in tmp_path.iterdir()} <= {"trap.py", "model.safetensors"}


@pytest.fixture(scope="module")
def honest() -> Checkpoint:
    """A tiny model of clouds in the plane."""
    config = load_config("digits", SMALL)
    torch.manual_seed(0)
    model = build_model(config)
    return Checkpoint(
        {name: value.clone() for name, value in model.state_dict().items()},
        config.model_dump(mode="json"),
        {"known": {"digit": list(range(10))}},
    )


def _set(config: dict[str, Any], key: str, value: Any) -> None:
    *parents, last = key.split(".")
    place: Any = config
    for part in parents:
        place = place[int(part)] if isinstance(place, list) else place.setdefault(part, {})
    if isinstance(place, list):
        place[int(last) :] = [value]
    else:
        place[last] = value


def _session(path: Path) -> None:
    Pipeline.load(path)


def _from_values(build: Callable[..., Any]) -> Callable[[Path], Any]:
    return lambda path: build(check_config(load_checkpoint(path).config, "file"))


def _task(config: Any) -> Any:
    return build_task(config, build_model(config))


# Where a component is named, and what would build it.
SLOTS: dict[str, Callable[[Path], Any]] = {
    "data.dataset": _from_values(build_dataset),
    "transforms.0": _session,
    "fields.0.sde": _session,
    "fields.0.sde.schedule": _session,
    "fields.0.sde.schedule.name": _session,
    "network.backbone": _session,
    "network.neighbors": _session,
    "training.objective": _from_values(_task),
    "training.weight": _from_values(_task),
    "training.times": _from_values(_task),
    "training.augmentations.0": _from_values(build_augment),
    "sampling.guidance.0": _session,
    "sampling.sampler": _session,
    "sampling.grid": _session,
}
# Options that name something, inside of components that exist.
OPTIONS = {
    "sampling.sampler": [
        {"name": "resampling", "method": "NAME"},
        {"name": "resampling", "method": "resampling", "options": {"method": "NAME"}},
        {"name": "predictor-corrector", "predictor": "NAME"},
    ],
    "sampling.guidance.0": [
        {"name": "energy", "energy": "NAME"},
        {"name": "particle", "field": "pos", "group": "digit", "strength": 1.0, "bandwidth": 1.0, "kernel": "NAME"},
    ],
    "fields.0.sde": [{"name": "harmonic", "schedule": {"name": "harmonic", "schedule": "NAME"}}],
    "network.neighbors": [{"name": "knn", "k": 3, "fill": "NAME"}],
    "training.objective": [{"name": "explicit", "target": "NAME"}, {"name": "denoising", "align": {"pos": "NAME"}}],
}
PATHS = ["os:system", "builtins:exec", "subprocess:run", "trap:Component", "graphscore.data.transforms:CompleteGraph"]
TRICKS = [
    "trap:Component.run", "os:path.join", "graphscore.registry:importlib.import_module", ".trap:Component",
    "trap.:Component", "trap..x:Component", " trap:Component", "trap: Component", "trap:Component ", "trap:__loader__",
    "trap:Component:run", ":Component", "trap:", "trap:Compon\u212aent\u00a0", "\uff54rap:Component",
    "trap/x:Component",
    "graphscore.molecules.datasets.unpickling:pickle.loads", "trap:Component()", "", ":", "trap\n:Component",
    "x" * 100_000,
]  # fmt: skip


def _write(path: Path, state: dict[str, torch.Tensor], header: object) -> Path:
    """Write a model file as anybody could."""
    text = header if isinstance(header, str) else json.dumps(header)
    path.write_bytes(safetensors.torch.save(state, metadata={"graphscore": text}))
    return path


def _forged(honest: Checkpoint, path: Path, key: str, value: Any) -> Path:
    config = copy.deepcopy(honest.config)
    _set(config, key, value)
    return _write(path, honest.state, {"format_version": FORMAT_VERSION, "config": config, "info": honest.info})


@pytest.mark.parametrize("key", SLOTS)
def test_a_file_names_components_of_the_registries_alone(honest, watched, tmp_path, key):
    given = [{}, {"command": "touch owned"}, {"args": ["touch", "owned"]}]  # what the one or the other function takes
    for name, options in [(name, options) for name in PATHS for options in given] + [(name, {}) for name in TRICKS]:
        value = name if key.endswith(("name", "schedule")) else {"name": name, **options}
        path = _forged(honest, tmp_path / "model.safetensors", key, value)
        with pytest.raises(ValueError, match="^Unknown .*expected one of") as caught:
            SLOTS[key](path)
        assert ("import paths in a file are not followed" in str(caught.value)) == (name in PATHS)
        assert len(str(caught.value)) < 700 and "\n" not in str(caught.value)


@pytest.mark.parametrize(("key", "number"), [(key, number) for key in OPTIONS for number in range(len(OPTIONS[key]))])
def test_options_are_no_way_in_either(honest, watched, tmp_path, key, number):
    for name in (*PATHS, "trap.py", "/etc/passwd"):
        value = json.loads(json.dumps(OPTIONS[key][number]).replace("NAME", name))
        with pytest.raises(ValueError, match="expected|must|does not|cannot|should be") as caught:
            SLOTS[key](_forged(honest, tmp_path / "model.safetensors", key, value))
        assert "\n" not in str(caught.value)


OWN = """
from graphscore.molecules.features import MoleculeGraph
from graphscore.data.transforms import CompleteGraph
from graphscore.nn import EGNN
from os import system

print("own.py is imported")

class Net(EGNN):
    pass

class Graph(MoleculeGraph):
    pass
"""


@pytest.fixture
def own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A module of the user's own, in this folder."""
    (tmp_path / "own.py").write_text(OWN)
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))
    yield
    sys.modules.pop("own", None)


def test_a_component_of_ones_own_is_used_if_its_module_is_trusted(honest, own, tmp_path, capsys):
    backbone = {**honest.config["network"]["backbone"], "name": "own:Net"}
    path = _forged(honest, tmp_path / "model.safetensors", "network.backbone", backbone)
    with pytest.raises(ValueError, match=r"--trust own, or in Python by trust=\['own'\]"):
        load_model(path)
    assert "own" not in sys.modules
    for trust in (["own"], ["json", "own:Net"]):
        assert type(load_model(path, trust)[0].network.backbone).__name__ == "Net"
        assert "own.py is imported" in capsys.readouterr().out
        module = sys.modules.pop("own")
    # As objects, without an import.
    for trust in ([module], [module.Net]):
        if trust == [module]:
            sys.modules["own"] = module
        assert type(load_model(path, trust)[0].network.backbone) is module.Net
        sys.modules.pop("own", None)
    for trust in (["ow"], ["own.Net"], ["own:Graph"], ["os"], [module.Graph]):
        with pytest.raises(ValueError, match="import paths in a file are not followed"):
            load_model(path, trust)
    with pytest.raises(ValueError, match="trust takes a list of modules"):
        load_model(path, "own")


@pytest.mark.parametrize("item", ["os:path.join", "own.", "", "own Net", "own:__init__", 3, "".join])
def test_trust_is_put_in_modules_and_what_they_define(item):
    with pytest.raises(ValueError, match="Trust is put in"):
        Trust([item])


def test_trust_in_a_module_is_no_trust_in_what_it_imports(own, honest, tmp_path):
    path = tmp_path / "model.safetensors"
    _forged(honest, path, "transforms.0", {"name": "own:system", "command": "touch owned"})
    with pytest.raises(ValueError, match=r"not defined in own, which is trusted, but in \w+: .*--trust own:system"):
        Pipeline.load(path, trust=["own"])
    _forged(honest, path, "transforms.0", {"name": "own:CompleteGraph"})
    with pytest.raises(ValueError, match="but in graphscore.data.transforms"):
        Pipeline.load(path, trust=["own"])
    for trust in (["own:CompleteGraph"], ["own", "graphscore.data.transforms"]):
        Pipeline.load(path, trust=trust)
    assert not Path("owned").exists()


def test_a_configuration_that_the_user_wrote_tells_what_it_imports_before_it_does(own, tmp_path, capsys):
    Path("mine.yaml").write_text(yaml.safe_dump(load_config("digits", SMALL).model_dump(mode="json")))
    changes = ["network.backbone.name=own:Net", "fields.0.sde.schedule=graphscore.sdes:RectifiedSDE"]
    config = load_config("mine.yaml", changes)
    out, err = capsys.readouterr()
    assert "own" not in sys.modules and not out
    assert err.splitlines() == [
        "Configuration mine.yaml: fields.0.sde.schedule imports graphscore.sdes:RectifiedSDE",
        "Configuration mine.yaml: network.backbone.name imports own:Net",
    ]
    assert type(build_model(config).network.backbone).__name__ == "Net"
    # The file that it is written to is one that anybody can have written.
    with pytest.raises(ValueError, match="--trust own"):
        build_model(check_config(config.model_dump(mode="json"), "dump"))


def test_names_are_looked_up_without_import_by_default():
    with pytest.raises(ValueError, match=r"^Unknown thing 'os:system'; expected one of \['a'\], since"):
        find("os:system", {"a": 1}, "thing")


@pytest.mark.parametrize("key", ["trust", "_trust", "__pydantic_private__"])
def test_a_file_brings_no_trust_along(honest, key):
    with pytest.raises(ValueError, match=f"{key}: there is no such key"):
        check_config({**honest.config, key: ["os"]}, "file")
    assert list(check_config(honest.config, "file").trust) == []
    trusting = check_config(honest.config, "file").trusting(["own"])
    for same in (trusting.with_sampling("ddim", 3), pickle.loads(pickle.dumps(trusting))):
        assert same.trust == Trust(["own"])
    assert "own" not in str(trusting.model_dump(mode="json"))
