"""``graphscore sample`` for molecules: inputs, options, outputs and what it says of failures."""

from __future__ import annotations

import hashlib
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import torch
from rdkit import Chem
from rdkit.Chem import rdDepictor

import graphscore
from graphscore.data import write
from graphscore.generate import jobs
from graphscore.molecules import files as molfiles
from graphscore.molecules.conformers import ConformerModel
from graphscore.molecules.embedding import embed
from graphscore.molecules.graph import data_from_mol
from graphscore.molecules.smiles import mol_from_smiles


@pytest.fixture
def sample(run, conformer_checkpoint):
    """Run ``graphscore sample`` with the tiny model; it must succeed."""

    def call(*arguments: object):
        result = run("sample", "--checkpoint", conformer_checkpoint, *arguments)
        assert result.code == 0, result.err
        return " ".join(result.out.split())

    return call


def read(path: str) -> list[Chem.Mol]:
    return list(Chem.SDMolSupplier(path, removeHs=False))


def test_a_bad_smiles_does_not_lose_the_others(sample, unclosed):
    out = sample("CCO", "C1CC", "CBr", "CN", "--num", 2, "--out", "x.sdf")
    assert [mol.GetProp("_Name") for mol in read("x.sdf")] == ["CCO", "CCO", "CN", "CN"]
    assert "Wrote 4 samples of 2 input(s)" in out and "Warning: 2 input(s) failed" in out
    assert f"SMILES 2: 'C1CC' is not a SMILES string: {unclosed}" in out
    assert "CBr: z of atom 1 (Br) is 35" in out
    entries = json.loads(Path("x.sdf.report.json").read_text())["inputs"]
    assert [entry["written"] for entry in entries] == [2, 0, 0, 2]
    assert [bool(entry["failure"]) for entry in entries] == [False, True, True, False]


def test_the_report_says_what_it_was_and_what_it_cost(sample, conformer_checkpoint, monkeypatch):
    monkeypatch.setattr(ConformerModel, "judge", lambda *_: 0.0)  # else all would be drawn again
    sample("CCO", "CC", "--num", 3, "--seed", 5, "--steps", 3, "--out", "x.xyz", "--report", "new/r.json")
    report = json.loads(Path("new/r.json").read_text())
    assert not Path("x.xyz.report.json").exists()
    assert (report["seed"], report["num"], report["num_steps"], report["sampler"]) == (5, 3, 3, "dpm-solver++")
    assert report["evaluations_per_sample"] == 4  # and one that removes the last noise
    assert set(report["seconds"]) == {"load", "sample", "hydrogens", "repair", "refine", "write"}
    assert report["checkpoint"] == str(conformer_checkpoint)
    assert report["sha256"] == hashlib.sha256(conformer_checkpoint.read_bytes()).hexdigest()
    assert report["versions"]["graphscore"] == graphscore.__version__
    assert report["versions"]["torch"] == torch.__version__


def test_energies_and_numbers_are_fields_of_the_output(sample):
    sample("CCCO", "CN", "--num", 4, "--seed", 3, "--energy-rank", "--refine", "mmff", "--out", "x.sdf")
    mols = read("x.sdf")
    for group in (mols[:4], mols[4:]):
        energies = [mol.GetDoubleProp("energy") for mol in group]
        assert energies == sorted(energies)
        for mol, energy in zip(group, energies, strict=True):
            assert mol.GetDoubleProp("relative_energy") == pytest.approx(energy - energies[0], abs=1e-6)
            assert mol.GetIntProp("seed") == 3
        assert sorted(mol.GetIntProp("sample") for mol in group) == [1, 2, 3, 4]
    sample("CCCO", "--num", 4, "--seed", 3, "--energy-rank", "--refine", "mmff", "--out", "x.xyz")
    comments = Path("x.xyz").read_text().splitlines()[1::14]
    assert [float(line.split("energy=")[1].split()[0]) for line in comments] == pytest.approx(
        [mol.GetDoubleProp("energy") for mol in mols[:4]], abs=1e-3
    )


def test_a_fragment_is_held(sample):
    template = data_from_mol(embed(mol_from_smiles("CC(=O)NC"), 1, seed=3))
    write([template], "t.sdf")
    out = sample("CCNC(C)=O", "CCO", "--num", 3, "--fix", "CC(=O)NC", "--from", "t.sdf", "--out", "x.sdf")
    assert "CCO: 'CC(=O)NC' fits to no heavy atoms of the molecule" in out
    for mol in read("x.sdf"):
        pos = torch.from_numpy(mol.GetConformer().GetPositions()[[4, 3, 5, 2, 1]]).float()
        torch.testing.assert_close(pos, template.pos[:5], atol=1e-3, rtol=0)
        assert mol.GetDoubleProp("fixed_rmsd") < 1e-3
    report = json.loads(Path("x.sdf.report.json").read_text())
    assert report["fix"] == {"smarts": "CC(=O)NC", "from": "t.sdf"}
    assert report["inputs"][0]["fixed_rmsd"] < 1e-3 and "fixed_rmsd" not in report["inputs"][1]


def test_a_trajectory_leads_to_each_sample(sample, monkeypatch):
    """Unless the conformer is repaired."""
    from graphscore.molecules.show.records import read_trajectories

    monkeypatch.setattr(ConformerModel, "judge", lambda *_: 0.0)
    monkeypatch.setattr(ConformerModel, "repair", lambda self, outcome, *_: outcome)
    sample("CCO", "C[NH3+]", "--num", 2, "--trajectory", "t.sdf", "--out", "x.sdf")
    trajectories, failures = read_trajectories("t.sdf")
    assert not failures and set(trajectories) == {("CCO", 1), ("CCO", 2), ("C[NH3+]", 1), ("C[NH3+]", 2)}
    ends = {(mol.GetProp("SMILES"), mol.GetIntProp("sample")): mol for mol in read("x.sdf")}
    for key, frames in trajectories.items():
        assert [frame.step for frame in frames] == list(range(6))
        heavy = frames[-1].data.z > 1
        end = torch.from_numpy(ends[key].GetConformer().GetPositions()).float()
        torch.testing.assert_close(frames[-1].data.pos[heavy], end[heavy], atol=2e-4, rtol=0)
        assert frames[-1].level == 0 and frames[0].level > 10


def test_all_options_at_once_with_a_model_that_places_hydrogens(run, checkpoint):
    template = data_from_mol(embed(mol_from_smiles("CC(=O)NC"), 1, seed=3))
    write([template], "t.sdf")
    options = ("--fix", "CC(=O)NC", "--from", "t.sdf", "--diverse", "--energy-rank", "--refine", "mmff")
    result = run(
        "sample",
        "--checkpoint",
        checkpoint,
        "CCNC(C)=O",
        "--num",
        3,
        *options,
        "--trajectory",
        "s.sdf",
        "--out",
        "x.sdf",
    )
    assert result.code == 0, result.err
    for mol in read("x.sdf"):
        pos = torch.from_numpy(mol.GetConformer().GetPositions()[[4, 3, 5, 2, 1]]).float()
        torch.testing.assert_close(pos, template.pos[:5], atol=1e-3, rtol=0)
    assert {mol.GetNumAtoms() for mol in read("s.sdf")} == {15}


ISOMERS = ["C[C@H](N)C(=O)O", "C[C@@H](F)O", "F/C=C/N", "F/C=C\\N", "C[C@H]1CC[C@@H](O)CC1", "C/C(F)=N/O"]


@pytest.mark.parametrize("place", ["_sample", "_finish"])
def test_an_interrupted_job_leaves_whole_files(sample, run, conformer_checkpoint, monkeypatch, tmp_path, place):
    """Those of an earlier job stay as they were, and what was made is beside them."""
    sample("CC", "--out", "a.sdf")
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir()}

    def interrupt(*args):
        raise KeyboardInterrupt

    monkeypatch.setattr(f"graphscore.cli.sample.FileJob.{place}", interrupt)
    result = run("sample", "--checkpoint", conformer_checkpoint, "CCO", "--num", 2, "--out", "a.sdf")
    after = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    assert result.code == 130 and before.items() <= after.items()
    if place == "_sample":
        assert result.err.endswith("stopped before an input was done; a.sdf was not written\n") and after == before
        return
    assert "1 of 1 inputs are done, and kept in a.partial.sdf. The same command with --resume goes on" in result.err
    assert len(read("a.partial.sdf")) == 2
    monkeypatch.undo()
    monkeypatch.chdir(tmp_path)
    sample("CCO", "--num", 2, "--out", "a.sdf", "--resume")
    assert len(read("a.sdf")) == 2 and {path.name for path in tmp_path.iterdir()} == set(before)


def running(pid: str) -> bool:
    """Whether there is such a process, five seconds from now at the latest."""
    end = time.monotonic() + 5
    while (stat := Path("/proc", pid, "stat")).exists() and stat.read_text().rpartition(")")[2].split()[0] != "Z":
        if time.monotonic() > end:
            return True
        time.sleep(0.05)
    return False


@pytest.mark.skipif(sys.platform != "linux", reason="processes are looked up in /proc")
def test_ctrl_c_ends_a_job_of_several_processes_at_once(conformer_checkpoint, tmp_path):
    command = ["sample", "--checkpoint", str(conformer_checkpoint), "--out", "a.sdf", "--workers", "2", "--num", "5000"]
    process = subprocess.Popen(
        [sys.executable, "-m", "graphscore", *command, *["C" * n for n in range(2, 9)]],
        cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
    )  # fmt: skip
    children = Path(f"/proc/{process.pid}/task/{process.pid}/children")
    while process.poll() is None and len(children.read_text().split()) < 3:  # and the tracker of resources
        time.sleep(0.05)
    pids = children.read_text().split()
    os.killpg(process.pid, signal.SIGINT)
    started = time.monotonic()
    _, err = process.communicate(timeout=60)
    assert process.returncode == 130 and time.monotonic() - started < 10
    stopped = "graphscore: error: stopped before an input was done; a.sdf was not written"
    assert err.splitlines()[-1] == stopped
    assert "Traceback" not in err and not list(tmp_path.iterdir())
    assert not any(map(running, pids))


def test_a_sample_that_cannot_be_written_is_a_failure_of_its_input(sample, monkeypatch):
    real = molfiles.mol_record

    def record(mol, data, smiles):
        if data.smiles == "CCO" and data.sample == 1:
            raise ValueError("RDKit fails: something")
        return real(mol, data, smiles)

    monkeypatch.setattr(molfiles, "mol_record", record)
    sample("CC", "CCO", "--num", 2, "--out", "a.sdf")
    report = json.loads(Path("a.sdf.report.json").read_text())
    assert len(read("a.sdf")) == report["num_written"] == 3
    assert [entry["written"] for entry in report["inputs"]] == [2, 1]
    assert report["inputs"][1]["failure"].startswith("1 of 2 samples could not be written: RDKit fails")


def test_a_job_goes_on_in_smaller_batches_where_memory_runs_out(sample, monkeypatch):
    """With the same samples, one warning, and a failure of what does not fit in alone."""
    large, smiles = "CC(C)Cc1ccc(cc1)C(C)C(=O)O", ["CCO", "CCCCN", "c1ccccc1O", "CCCl", "CC(C)CO"]
    assert "memory" not in sample(*smiles, "--num", "4", "--out", "whole.sdf")
    drawn = jobs._sample

    def scarce(sampler, batch, *rest):
        if batch.num_edges > 100:
            raise RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried to allocate 9600000000 bytes.")
        return drawn(sampler, batch, *rest)

    monkeypatch.setattr(jobs, "_sample", scarce)
    out = sample(*smiles, large, "--num", "4", "--out", "made.sdf")
    assert out.count("memory ran out; batches have had at most") == 1
    for one, other in zip(read("made.sdf"), read("whole.sdf"), strict=True):
        positions = [mol.GetConformer().GetPositions() for mol in (one, other)]
        np.testing.assert_allclose(*positions, atol=2e-3)
    report = json.loads(Path("made.sdf.report.json").read_text())
    assert report["memory_ran_out"]["input"] == "CCO" and report["memory_ran_out"]["max_edges"] <= 100
    assert report["inputs"][-1]["failure"] == "memory does not suffice for it alone, with 15 nodes and 210 edges"
    assert json.loads(Path("whole.sdf.report.json").read_text())["memory_ran_out"] is None


def test_stereochemistry_is_read_from_depictions(sample):
    mols = [Chem.MolFromSmiles(smiles) for smiles in ISOMERS]
    for mol in mols:
        rdDepictor.Compute2DCoords(mol)
    Path("flat.sdf").write_text("".join(Chem.MolToMolBlock(mol) + "$$$$\n" for mol in mols))
    sample("--input", "flat.sdf", "--out", "x.sdf")
    assert [mol.GetProp("SMILES") for mol in read("x.sdf")] == [Chem.CanonSmiles(smiles) for smiles in ISOMERS]
    Path("one.mol").write_text(Chem.MolToMolBlock(mols[0]))
    sample("--input", "one.mol", "--out", "y.sdf")
    assert read("y.sdf")[0].GetProp("SMILES") == Chem.CanonSmiles(ISOMERS[0])


def test_inputs_of_all_kinds_give_the_same_samples(sample):
    item = data_from_mol(embed(mol_from_smiles("CC(C)O"), 1, seed=1))
    write([item], "a.sdf")
    write([item], "a.pt")
    Path("a.smi").write_text("CC(C)O propanol\n")
    Path("a.csv").write_text("id,SMILES\n1,CC(C)O\n")
    sample("CC(C)O", "--out", "x.sdf")
    expected = torch.from_numpy(read("x.sdf")[0].GetConformer().GetPositions())
    for name in ("a.sdf", "a.pt", "a.smi", "a.csv"):
        sample("--input", name, "--out", "x.sdf")
        found = torch.from_numpy(read("x.sdf")[0].GetConformer().GetPositions())
        torch.testing.assert_close(found, expected, atol=2e-4, rtol=0)


def test_one_molecule_alone_and_among_thirty_others(sample):
    """Coordinates as written, hydrogens included."""
    mine, others = "C[C@H](N)C(=O)NCC", ["C" * n for n in range(1, 31)]
    sample(mine, "--num", 2, "--seed", 9, "--out", "a.sdf")
    sample(*others[:11], mine, *others[11:], "--num", 2, "--seed", 9, "--out", "b.sdf")
    alone, among = read("a.sdf"), read("b.sdf")[22:24]
    for one, other in zip(alone, among, strict=True):
        a, b = (torch.from_numpy(mol.GetConformer().GetPositions()) for mol in (one, other))
        torch.testing.assert_close(a, b, atol=2e-4, rtol=0)


PROGRAM = """
import sys
import torch_geometric
needed = set(sys.modules)
from graphscore import cli
sys.argv = ["graphscore", "sample", "--checkpoint", {checkpoint!r}, "CCO", "--out", "x.sdf", "--refine", "mmff"]
try:
    cli.main()
finally:
    heavy = ("lightning", "tensorboard", "matplotlib", "pandas", "sympy", "torch._dynamo.symbolic_convert")
    print("loaded", [name for name in heavy if name in sys.modules and name not in needed])
"""


def test_starts_without_what_sampling_does_not_need(conformer_checkpoint, tmp_path):
    program = PROGRAM.format(checkpoint=str(conformer_checkpoint))
    environment = os.environ | {"PYTHONPATH": str(Path(graphscore.__file__).parents[1])}
    result = subprocess.run(
        [sys.executable, "-c", program], cwd=tmp_path, env=environment, capture_output=True, text=True, check=False
    )
    assert result.returncode == 0, result.stderr
    assert "loaded []" in result.stdout and (tmp_path / "x.sdf").exists()
