"""Keys of configurations and the JSON schema: complete, true to the code, and of use for what users write."""

from __future__ import annotations

import copy

import jsonschema
import pytest
import yaml

from graphscore.experiment.config.catalogue import KINDS
from graphscore.experiment.config.docstrings import arguments, summary
from graphscore.experiment.config.keys import json_schema, list_keys
from graphscore.experiment.config.schema import Config, check_config, config_text, named_configs

VALUES = {name: yaml.safe_load(config_text(name)) for name in named_configs()}


@pytest.fixture(scope="module")
def validator():
    schema = json_schema()
    jsonschema.Draft202012Validator.check_schema(schema)
    return jsonschema.Draft202012Validator(schema)


def test_every_key_has_a_meaning_and_every_component_its_names():
    keys = list_keys()
    assert not [key.name for key in keys if not key.meaning.strip()]
    # A key of components that is missing in the catalogue would be a mapping or text to editors.
    assert not [key.name for key in keys if key.type.startswith("name")]
    places = {".".join(part for part in key.name.split(".") if part != "0") for key in keys}
    assert KINDS.keys() <= places
    assert {name.split(".")[0] for name in places} == Config.model_fields.keys()


def test_keys_have_types_ranges_and_defaults():
    found = {key.name: key for key in list_keys("training")}
    assert found["training.max_steps"][1:3] == ("integer > 0", None)
    assert found["training.ema_decay"][1:3] == ("number >= 0 and < 1 or list of number >= 0 and < 1", "0.999")
    assert found["training.objective"][1:3] == ("objective", "denoising")
    best = {key.name.removeprefix("training.best"): key for key in list_keys("training.best")}
    assert best[""].default == "null" and best[".metric"].default is None and best[".num_steps"].default == "null"
    assert best[".every"][1:3] == ("integer > 0", "1000") and all(key.meaning for key in best.values())
    (key,) = list_keys("network.positions")
    assert key[1:3] == ("text or null", "pos")


@pytest.mark.parametrize(("place", "kind"), KINDS.items())
def test_components_and_their_options_are_explained(place, kind):
    listed = [key.name for key in list_keys(place)[1:]]
    assert listed == [f"{place}.{name}" for name in kind.registry()]
    for name in kind.registry():
        head, *options = list_keys(f"{place}.{name}")
        assert head.meaning, f"the {kind.name} {name} has no docstring"
        unexplained = [option.name for option in options if not option.meaning]
        # PyTorch does not document every option of its optimisers.
        assert not unexplained or kind.name == "optimizer", f"the {kind.name} {name} does not explain {unexplained}"


def test_options_are_those_of_the_constructor_alone():
    names = [key.name for key in list_keys("sampling.sampler.ddim")[1:]]
    assert names == ["sampling.sampler.denoise_last", "sampling.sampler.eta"]
    eta = list_keys("sampling.sampler.ddim")[2]
    assert (eta.type, eta.default, eta.meaning) == ("number", "0.0", "Share of the ancestral noise, 0 for none.")
    assert [key.name for key in list_keys("fields.1.sde.ve")[1:]] == ["fields.1.sde.sigma"]


@pytest.mark.parametrize(
    ("section", "words"),
    [
        ("trainin", "no key 'trainin'; did you mean 'training'"),
        ("training.max_step", "did you mean 'training.max_steps'"),
        ("network.backbone.egn", "Unknown backbone 'egn'; .*; did you mean 'egnn'"),
    ],
)
def test_a_wrong_section_is_met_with_the_one_that_is_meant(section, words):
    with pytest.raises(ValueError, match=words):
        list_keys(section)


@pytest.mark.parametrize("name", VALUES)
def test_shipped_configurations_are_valid_as_written_and_with_all_defaults(name, validator):
    validator.validate(VALUES[name])
    validator.validate(check_config(VALUES[name], name).model_dump(mode="json"))


@pytest.mark.parametrize(
    ("place", "value"),
    [
        (("network", "backbone", "hidden_chanels"), 64),
        (("network", "backbone", "hidden_channels"), "many"),
        (("network", "backbone", "name"), "egn"),
        (("training", "max_steps"), 0),
        (("training", "max_step"), 10),
        (("fields", 0, "width"), None),
        (("fields", 0, "sde"), {"name": "harmonic", "schedule": "vee"}),
        (("sampling", "grid"), "carras"),
    ],
)
def test_editors_see_what_is_wrong(place, value, validator):
    values = copy.deepcopy(VALUES["digits"])
    inner = values
    for part in place[:-1]:
        inner = inner[part]
    inner[place[-1]] = value
    assert not validator.is_valid(values)


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("backbone", "my_package.layers:Network"),
        ("backbone", "egnn"),
        ("neighbors", {"name": "knn", "k": 3, "fill": {"hops": 6}}),
    ],
)
def test_editors_accept_what_the_library_does(key, value, validator):
    values = copy.deepcopy(VALUES["digits"])
    values["network"][key] = value
    check_config(values, "own")
    validator.validate(values)


def test_docstrings_are_read_to_the_end_of_an_argument():
    def documented() -> None:
        """Do one thing, see :class:`~some.where.Other`.

        Args:
            first: A ``value``
                in two lines.
            second (int): Another.

        Returns:
            third: No argument.
        """

    assert summary(documented) == "Do one thing, see Other"
    assert arguments(documented) == {"first": "A value in two lines.", "second": "Another."}
