"""Wrong input of ``sample``: exit code 2 and one sentence that names what came and what was expected."""

from __future__ import annotations

import pytest

# (arguments, words that the sentence must hold); {model} is a checkpoint.
WRONG = {
    "mistyped option": (["sample", "CCO", "--chekpoint", "x", "--out", "x.sdf"], ["Did you mean --checkpoint?"]),
    "no number": (["sample", "CCO", "--num", "ten", "--out", "x.sdf"], ["--num", "'ten'", "sample --help"]),
    "mistyped weights": (
        ["sample", "CCO", "--checkpoint", "conformer", "--out", "x.sdf"],
        ["conformer", "did you mean 'conformers'?"],
    ),
    "mistyped extension": (["sample", "CCO", "--out", "x.sdff"], ["x.sdff", "did you mean '.sdf'?"]),
    "mistyped choice": (["sample", "CCO", "--stereo", "anny", "--out", "x.sdf"], ["'anny'", "did you mean 'any'?"]),
    "a file as SMILES": (["sample", "a.smi", "--out", "x.sdf"], ["'a.smi' is not a SMILES", "--input a.smi"]),
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
    "unknown sampler": (
        ["sample", "--checkpoint", "{model}", "CCO", "--sampler", "dpm", "--out", "x.sdf"],
        ["'dpm'", "dpm-solver++"],
    ),
    "steps below 1": (
        ["sample", "--checkpoint", "{model}", "CCO", "--steps", "0", "--out", "x.sdf"],
        ["at least 1 step", "0"],
    ),
    "steps without end": (
        ["sample", "--checkpoint", "{model}", "CCO", "--steps", "1000000000000", "--out", "x.sdf"],
        ["at most 100,000 steps", "num_steps is 1,000,000,000,000"],
    ),
}


@pytest.mark.parametrize("case", WRONG)
def test_wrong_input_of_sample_is_one_sentence_and_exit_code_2(case, refused):
    refused(*WRONG[case])


def test_errors_of_the_program_itself_have_another_exit_code(run, monkeypatch, checkpoint):
    from graphscore.experiment.sampling import pipeline

    monkeypatch.setattr(pipeline, "load_model", lambda path, trust: 1 / 0)
    result = run("sample", "--checkpoint", checkpoint, "CCO", "--out", "x.sdf")
    assert result.code == 1
    assert "ZeroDivisionError" in result.err
