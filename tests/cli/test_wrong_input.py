"""Wrong input: exit code 2 and one sentence that names what came and what was expected."""

from __future__ import annotations

import pytest

# (arguments, words that the sentence must hold); {model} is a checkpoint.
WRONG = {
    "unknown command": (["generate"], ["generate"]),
    "unknown option": (["demo", "--stepz", "3"], ["--stepz", "see graphscore demo --help"]),
    "mistyped command": (["data", "chekc"], ["'chekc'", "Did you mean 'check'?", "graphscore data --help"]),
    "number below the least": (["layout", "a.csv", "--num", "-1", "--out", "x.png"], ["--num", "'-1'"]),
    "mistyped file": (["validate", "god.smi"], ["There is no file god.smi", "did you mean 'good.smi'?"]),
    "mistyped folder": (["validate", "nowhere/good.smi"], ["There is no file", "no folder nowhere"]),
    "drawing of no size": (["layout", "a.csv", "--scale", "0", "--out", "x.png"], ["--scale", "0"]),
    "attribute of no edge": (
        ["layout", "edges.csv", "--weight", "wieght", "--out", "x.png"],
        ["'wieght'", "--weight", "did you mean 'weight'?"],
    ),
    "model of other graphs": (
        ["likelihood", "good.sdf", "--model", "digits", "--out", "x.csv"],
        ["None of 1 graphs has a likelihood"],
    ),
    "a place that cannot be written": (["demo", "--out", "a.csv", "--groups", "1"], ["a.csv", "Not a directory"]),
    "key of a list": (
        ["train", "--config", "small-molecules", "--out", "r", "--set", "fields.7.sde.name=ve"],
        ["fields", "'7'", "below 1"],
    ),
    "unknown configuration": (["train", "--config", "smol", "--out", "r"], ["smol", "small-molecules"]),
    "no such configuration": (["train", "--config", "a.yaml", "--out", "r"], ["a.yaml"]),
    "unknown key": (
        ["train", "--config", "small-molecules", "--out", "r", "--set", "training.max_step=3"],
        ["training.max_step"],
    ),
    "value of wrong type": (
        ["train", "--config", "small-molecules", "--out", "r", "--set", "training.max_steps=many"],
        ["max_steps", "many"],
    ),
    "value out of range": (
        ["train", "--config", "small-molecules", "--out", "r", "--set", "training.ema_decay=2"],
        ["ema_decay", "2"],
    ),
    "set without value": (
        ["train", "--config", "small-molecules", "--out", "r", "--set", "training.seed"],
        ["key=value"],
    ),
    "unknown backbone": (
        ["train", "--config", "small-molecules", "--out", "r", "--set", "network.backbone.name=gat"],
        ["gat", "egnn"],
    ),
    "unknown option of a backbone": (
        ["train", "--config", "small-molecules", "--out", "r", "--set", "network.backbone.heads=3"],
        ["heads"],
    ),
    "nothing to resume": (
        ["train", "--resume", "r"],
        ["Nothing to resume", "r/config.yaml"],
    ),
    "resume and start anew": (
        ["train", "--config", "small-molecules", "--resume", "r", "--init", "{model}"],
        ["--resume r", "leave out --config and --init"],
    ),
    "a file to view of which nothing can be read": (
        ["view", "broken.sdf", "--out", "x.html"],
        ["No graph of broken.sdf can be read", "record 1"],
    ),
    "nowhere to write to": (["view", "good.sdf"], ["Missing option '--out'; see graphscore view --help"]),
    "a list that is spelled otherwise": (["benchmark", "pbd"], ["'pbd'", "geom-qm9", "did you mean 'pdb'?"]),
    "points that are nowhere": (["view", "nan.npy", "--out", "x.png"], ["nan.npy", "nothing to draw", "not finite"]),
    "points that are nowhere, in a page": (["view", "nan.npy", "--out", "x.html"], ["nan.npy", "not finite"]),
    "neither a new run nor one to resume": (["train", "--config", "small-molecules"], ["--out", "--resume DIR"]),
    "weights of another network": (
        ["train", "--config", "small-molecules", "--out", "r", "--init", "{model}"],
        ["weights to start from do not fit"],
    ),
    "data without coordinates": (
        ["train", "--config", "small-molecules", "--data", "good.smi", "--out", "r"],
        ["good.smi", "coordinates"],
    ),
    "evaluate nothing": (["evaluate", "none.sdf", "good.sdf"], ["none.sdf"]),
    "evaluate without coordinates": (["evaluate", "good.smi", "good.sdf"], ["good.smi", "coordinates"]),
    "evaluate other molecules": (["evaluate", "other.sdf", "good.sdf"], ["no molecule in common"]),
    "report of another kind": (["evaluate", "good.sdf", "good.sdf", "--out", "report.txt"], ["report.txt", ".json"]),
    "unknown protocol": (["evaluate", "good.sdf", "good.sdf", "--protocol", "td"], ["'td'", "torsional-diffusion"]),
    "unknown baseline": (["evaluate", "good.sdf", "good.sdf", "--baseline", "omega"], ["'omega'", "etkdg-mmff"]),
    "unknown energies": (["evaluate", "good.sdf", "good.sdf", "--energies", "dft"], ["'dft'", "gfn2"]),
    "unknown data set": (["data", "build", "qm8"], ["qm8", "small-molecules"]),
    "option of another recipe": (["data", "build", "small-molecules", "--limit", "3"], ["small-molecules", "--limit"]),
    "level of a recipe that has one": (["data", "build", "pdb-ligands", "--level", "gfn2"], ["--level"]),
    "unknown level": (["data", "build", "gfn2-ensembles", "--level", "dft"], ["'dft'", "mmff94"]),
    "a list without counts": (["data", "audit", "--counts", "a.csv"], ["n_conformers"]),
}


@pytest.mark.parametrize("case", WRONG)
def test_wrong_input_is_one_sentence_and_exit_code_2(case, refused):
    refused(*WRONG[case])


def test_debug_shows_the_traceback(run, monkeypatch, odd_files):
    import sys

    from graphscore import cli

    monkeypatch.setattr(sys, "argv", ["graphscore", "evaluate", "none.sdf", "good.sdf", "--debug"])
    with pytest.raises(FileNotFoundError):
        cli.main()
