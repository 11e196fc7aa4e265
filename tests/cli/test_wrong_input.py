"""Wrong input: exit code 2 and one sentence that names what came and what was expected."""

from __future__ import annotations

import pytest

from graphscore.data import write

# (arguments, words that the sentence must hold); {model} is a checkpoint.
WRONG = {
    "unknown command": (["generate"], ["generate"]),
    "unknown option": (["demo", "--stepz", "3"], ["--stepz", "see graphscore demo --help"]),
    "mistyped command": (["data", "chekc"], ["'chekc'", "Did you mean 'check'?", "graphscore data --help"]),
    "mistyped option": (["sample", "CCO", "--chekpoint", "x", "--out", "x.sdf"], ["Did you mean --checkpoint?"]),
    "no number": (["sample", "CCO", "--num", "ten", "--out", "x.sdf"], ["--num", "'ten'", "sample --help"]),
    "number below the least": (["layout", "a.csv", "--num", "-1", "--out", "x.png"], ["--num", "'-1'"]),
    "mistyped file": (["validate", "god.smi"], ["There is no file god.smi", "did you mean 'good.smi'?"]),
    "mistyped folder": (["validate", "nowhere/good.smi"], ["There is no file", "no folder nowhere"]),
    "mistyped weights": (
        ["sample", "CCO", "--checkpoint", "conformer", "--out", "x.sdf"],
        ["conformer", "did you mean 'conformers'?"],
    ),
    "mistyped extension": (["sample", "CCO", "--out", "x.sdff"], ["x.sdff", "did you mean '.sdf'?"]),
    "mistyped choice": (["sample", "CCO", "--stereo", "anny", "--out", "x.sdf"], ["'anny'", "did you mean 'any'?"]),
    "a file as SMILES": (["sample", "a.smi", "--out", "x.sdf"], ["'a.smi' is not a SMILES", "--input a.smi"]),
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
    "missing option": (["sample", "--checkpoint", "{model}", "CCO"], ["--out"]),
    "no inputs": (["sample", "--checkpoint", "{model}", "--out", "x.sdf"], ["SMILES", "--input"]),
    "two kinds of inputs": (
        ["sample", "--checkpoint", "{model}", "CCO", "--input", "a.smi", "--out", "x.sdf"],
        ["not both"],
    ),
    "only bad SMILES": (["sample", "--checkpoint", "{model}", "C(C", "C1CC", "--out", "x.sdf"], ["SMILES 1", "C(C"]),
    "empty SMILES": (["sample", "--checkpoint", "{model}", "", "--out", "x.sdf"], ["SMILES 1"]),
    "unknown element": (
        ["sample", "--checkpoint", "{model}", "CCBr", "--out", "x.sdf"],
        ["CCBr", "atom 2 (Br)", "35", "[1, 6, 7, 8, 9]"],
    ),
    "folder of the output is a file": (
        ["sample", "--checkpoint", "{model}", "CCO", "--out", "a.csv/x.sdf"],
        ["a.csv/x.sdf", "a.csv is a file"],
    ),
    "report of unknown kind": (
        ["sample", "--checkpoint", "{model}", "CCO", "--out", "x.sdf", "--report", "x.txt"],
        ["x.txt", ".json"],
    ),
    "trajectory of unknown kind": (
        ["sample", "--checkpoint", "{model}", "CCO", "--out", "x.sdf", "--trajectory", "x.xyz"],
        ["x.xyz", ".sdf"],
    ),
    "samples and trajectory in one file": (
        ["sample", "--checkpoint", "{model}", "CCO", "--out", "x.sdf", "--trajectory", "x.sdf"],
        ["x.sdf", "different files"],
    ),
    "samples in place of the input": (
        ["sample", "--checkpoint", "{model}", "--input", "good.sdf", "--out", "../{folder}/good.sdf"],
        ["good.sdf", "replace the input"],
    ),
    "unfinished samples in place of the input": (
        ["sample", "--checkpoint", "{model}", "--input", "good.partial.sdf", "--out", "good.sdf"],
        ["good.sdf", "replace the input good.partial.sdf"],
    ),
    "samples in place of the template": (
        ["sample", "--checkpoint", "{model}", "CCO", "--fix", "CO", "--from", "good.sdf", "--out", "link.sdf"],
        ["link.sdf", "replace the input"],
    ),
    "trajectory of no molecule": (
        ["sample", "--checkpoint", "{model}", "--input", "cloud.pt", "--out", "x.pt", "--trajectory", "x.sdf"],
        ["x.sdf", ".pt", ".npz"],
    ),
    "unknown refinement": (
        ["sample", "--checkpoint", "{model}", "CCO", "--out", "x.sdf", "--refine", "uff"],
        ["'uff'", "mmff"],
    ),
    "refine no molecule": (
        ["sample", "--checkpoint", "{model}", "--input", "cloud.pt", "--out", "x.pt", "--refine", "mmff"],
        ["molecules", "input 1"],
    ),
    "no workers": (
        ["sample", "--checkpoint", "{model}", "CCO", "--out", "x.sdf", "--workers", "0"],
        ["workers", "0"],
    ),
    "no such device": (
        ["sample", "--checkpoint", "{model}", "CCO", "--out", "x.sdf", "--device", "tpu"],
        ["'tpu'", "cuda:N"],
    ),
    "negative seed": (["sample", "--checkpoint", "{model}", "CCO", "--out", "x.sdf", "--seed", "-1"], ["seed", "-1"]),
    "atoms to hold, but nowhere": (
        ["sample", "--checkpoint", "{model}", "CCO", "--out", "x.sdf", "--fix", "CC"],
        ["--fix", "--from"],
    ),
    "a place, but no atoms to hold": (
        ["sample", "--checkpoint", "{model}", "CCO", "--out", "x.sdf", "--from", "good.sdf"],
        ["--fix", "--from"],
    ),
    "no SMARTS": (
        ["sample", "--checkpoint", "{model}", "CCO", "--out", "x.sdf", "--fix", "C(", "--from", "good.sdf"],
        ["SMARTS", "'C('"],
    ),
    "no such template": (
        ["sample", "--checkpoint", "{model}", "CCO", "--out", "x.sdf", "--fix", "CO", "--from", "none.sdf"],
        ["none.sdf"],
    ),
    "template without coordinates": (
        ["sample", "--checkpoint", "{model}", "CCO", "--out", "x.sdf", "--fix", "CO", "--from", "good.smi"],
        ["template", "no coordinates"],
    ),
    "SMARTS that fits to nothing": (
        ["sample", "--checkpoint", "{model}", "CCO", "--out", "x.sdf", "--fix", "c1ccccc1", "--from", "good.sdf"],
        ["c1ccccc1", "no heavy atoms of the template"],
    ),
    "SMARTS that fits twice": (
        ["sample", "--checkpoint", "{model}", "CCO", "--out", "x.sdf", "--fix", "[#6]", "--from", "good.sdf"],
        ["'[#6]'", "2 sets of atoms (0; 1) of the template"],
    ),
    "SMARTS that fits to none of the molecules": (
        ["sample", "--checkpoint", "{model}", "CCN", "--out", "x.sdf", "--fix", "CO", "--from", "good.sdf"],
        ["CCN", "no heavy atoms of the molecule"],
    ),
    "no such checkpoint": (
        ["sample", "--checkpoint", "nowhere", "CCO", "--out", "x.sdf"],
        ["nowhere", "model.safetensors"],
    ),
    "checkpoint of another kind": (
        ["sample", "--checkpoint", "text.safetensors", "CCO", "--out", "x.sdf"],
        ["text.safetensors"],
    ),
    "output of unknown kind": (["sample", "--checkpoint", "{model}", "CCO", "--out", "x.pdb"], ["x.pdb", ".sdf"]),
    "zero samples": (["sample", "--checkpoint", "{model}", "CCO", "--num", "0", "--out", "x.sdf"], ["0", "1"]),
    "no such input": (["sample", "--checkpoint", "{model}", "--input", "none.smi", "--out", "x.sdf"], ["none.smi"]),
    "input of unknown kind": (
        ["sample", "--checkpoint", "{model}", "--input", "a.docx", "--out", "x.sdf"],
        ["a.docx", ".smi"],
    ),
    "empty input": (["sample", "--checkpoint", "{model}", "--input", "empty.smi", "--out", "x.sdf"], ["empty.smi"]),
    "only bad lines": (
        ["sample", "--checkpoint", "{model}", "--input", "bad.smi", "--out", "x.sdf"],
        ["bad.smi", "line 1"],
    ),
    "csv without smiles": (
        ["sample", "--checkpoint", "{model}", "--input", "a.csv", "--out", "x.sdf"],
        ["smiles", "formula"],
    ),
    "broken sdf": (
        ["sample", "--checkpoint", "{model}", "--input", "broken.sdf", "--out", "x.sdf"],
        ["broken.sdf", "record 1"],
    ),
    "broken xyz": (
        ["sample", "--checkpoint", "{model}", "--input", "broken.xyz", "--out", "x.sdf"],
        ["broken.xyz", "line 1"],
    ),
    "broken graphml": (
        ["sample", "--checkpoint", "{model}", "--input", "broken.graphml", "--out", "x.sdf"],
        ["broken.graphml"],
    ),
    "broken pt": (["sample", "--checkpoint", "{model}", "--input", "broken.pt", "--out", "x.sdf"], ["broken.pt"]),
    "a graph without atoms": (
        ["sample", "--checkpoint", "{model}", "--input", "cloud.pt", "--out", "x.pt"],
        ["'bond'"],
    ),
    "a graph as molecule": (
        ["sample", "--checkpoint", "{model}", "--input", "cloud.pt", "--out", "x.sdf"],
        ["input 1", ".pt"],
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
    "unknown sampler": (
        ["sample", "--checkpoint", "{model}", "CCO", "--sampler", "dpm", "--out", "x.sdf"],
        ["'dpm'", "dpm-solver++"],
    ),
    "steps below 1": (
        ["sample", "--checkpoint", "{model}", "CCO", "--steps", "0", "--out", "x.sdf"],
        ["at least 1 step", "0"],
    ),
    "unknown data set": (["data", "build", "qm8"], ["qm8", "small-molecules"]),
    "option of another recipe": (["data", "build", "small-molecules", "--limit", "3"], ["small-molecules", "--limit"]),
    "level of a recipe that has one": (["data", "build", "pdb-ligands", "--level", "gfn2"], ["--level"]),
    "unknown level": (["data", "build", "gfn2-ensembles", "--level", "dft"], ["'dft'", "mmff94"]),
    "a list without counts": (["data", "audit", "--counts", "a.csv"], ["n_conformers"]),
}


@pytest.fixture
def files(tmp_path):
    import torch
    from torch_geometric.data import Data

    from graphscore.molecules.embedding import embed
    from graphscore.molecules.graph import data_from_mol
    from graphscore.molecules.smiles import mol_from_smiles

    for name, text in {
        "text.safetensors": "no tensors here",
        "empty.smi": "",
        "bad.smi": "C(C one\nnonsense two\n",
        "good.smi": "CCO ethanol\n",
        "a.smi": "CCO\n",
        "a.docx": "CCO\n",
        "edges.csv": "source,target,weight\n0,1,1\n1,2,3\n",
        "a.csv": "name,formula\nethanol,C2H6O\n",
        "broken.sdf": "\n  nothing\n\n  x y z\nM  END\n$$$$\n",
        "broken.xyz": "three\n\nH 0 0 0\n",
        "broken.graphml": "<graphml><graph",
        "broken.pt": "not a tensor file",
    }.items():
        (tmp_path / name).write_text(text)
    write([data_from_mol(embed(mol_from_smiles("CCO"), 1, 0), 0)], tmp_path / "good.sdf")
    write([data_from_mol(embed(mol_from_smiles("CCN"), 1, 0), 0)], tmp_path / "other.sdf")
    (tmp_path / "good.partial.sdf").write_bytes((tmp_path / "good.sdf").read_bytes())
    (tmp_path / "link.sdf").symlink_to("good.sdf")
    write([Data(pos=torch.zeros(3, 2), edge_index=torch.zeros(2, 0, dtype=torch.long))], tmp_path / "cloud.pt")
    return {path.name for path in tmp_path.iterdir()}


@pytest.mark.parametrize("case", WRONG)
def test_wrong_input_is_one_sentence_and_exit_code_2(case, run, checkpoint, files, tmp_path):
    arguments, words = WRONG[case]
    places = {"{model}": str(checkpoint), "../{folder}/good.sdf": f"../{tmp_path.name}/good.sdf"}
    result = run(*[places.get(argument, argument) for argument in arguments])
    assert result.code == 2, (result.out, result.err)
    (line,) = result.err.strip().splitlines()
    assert line.startswith("graphscore: error: ")
    for word in words:
        assert word in line, line
    assert "Traceback" not in result.out + result.err
    assert "sampling" not in result.out, "work has begun before the error"
    assert {path.name for path in tmp_path.iterdir()} == files, "something was written"


def test_debug_shows_the_traceback(run, monkeypatch, files):
    import sys

    from graphscore import cli

    monkeypatch.setattr(sys, "argv", ["graphscore", "evaluate", "none.sdf", "good.sdf", "--debug"])
    with pytest.raises(FileNotFoundError):
        cli.main()


def test_errors_of_the_program_itself_have_another_exit_code(run, monkeypatch, checkpoint):
    from graphscore.experiment.sampling import pipeline

    monkeypatch.setattr(pipeline, "load_model", lambda path, trust: 1 / 0)
    result = run("sample", "--checkpoint", checkpoint, "CCO", "--out", "x.sdf")
    assert result.code == 1
    assert "ZeroDivisionError" in result.err
