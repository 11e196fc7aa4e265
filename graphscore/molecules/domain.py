"""The domain of molecules; importing it loads neither PyTorch nor RDKit."""

from __future__ import annotations

from graphscore.attributes import Attribute
from graphscore.domains import Domain

_READERS = {
    ".sdf": "graphscore.molecules.readers:read_sdf",
    ".mol": "graphscore.molecules.readers:read_sdf",
    ".xyz": "graphscore.molecules.readers:read_xyz",
    ".mol2": "graphscore.molecules.readers:read_mol2",
    ".pdb": "graphscore.molecules.readers:read_pdb",
    ".ent": "graphscore.molecules.readers:read_pdb",
    ".csv": "graphscore.molecules.smiles_files:read_table",
    ".tsv": "graphscore.molecules.smiles_files:read_table",
    ".smi": "graphscore.molecules.smiles_files:read_list",
    ".smiles": "graphscore.molecules.smiles_files:read_list",
    ".ism": "graphscore.molecules.smiles_files:read_list",
    ".can": "graphscore.molecules.smiles_files:read_list",
    ".txt": "graphscore.molecules.smiles_files:read_list",
}

MOLECULES = Domain(
    name="molecules",
    keys=("z", "charge", "bond"),
    package="graphscore.molecules",
    attributes={
        "z": Attribute("node", "[N]", "atomic number"),
        "charge": Attribute("node", "[N]", "formal charge, in elementary charges", beside="bond"),
        "bond": Attribute("edge", "[E]", "1 single, 2 double, 3 triple, 4 aromatic, 0 for no bond"),
        "chirality": Attribute("node", "[N]", "1 or -1 at marked centres, else 0: the sign of a volume", beside="bond"),
        "chiral_index": Attribute("none", "[4, T]", "centre and three neighbors that turn one way", indices=True),
        "torsion_index": Attribute("none", "[4, T]", "atoms of the torsion about each rotatable bond", indices=True),
        "moved_index": Attribute("none", "[M]", "atoms that a turn about a rotatable bond moves", indices=True),
        "moved_by": Attribute("none", "[M]", "number of the torsion within its graph that moves each of them"),
        "torsion": Attribute("none", "[T, 1]", "dihedral angle about each rotatable bond, in radians"),
        "isotope": Attribute("node", "[N]", "mass number of a labelled isotope, else 0", beside="bond", is_label=True),
        "atom_map": Attribute("node", "[N]", "atom map number, else 0", beside="bond", is_label=True),
        "cis_trans_index": Attribute("none", "[2, P]", "substituents across a marked double bond", indices=True),
        "cis_trans": Attribute("none", "[P]", "1 if the two are on the same side, 2 if on opposite sides"),
        "axis_index": Attribute("none", "[4, A]", "substituent, ends, substituent of a chiral axis", indices=True),
    },
    derive="graphscore.molecules.networkx:derive",
    derived_from=("order", "bond_order", "bond_type", "hcount", "num_explicit_hs", "formal_charge"),
    complete="graphscore.molecules.networkx:complete",
    datasets={
        "small-molecules": "graphscore.molecules.datasets.small_molecules:SmallMolecules",
        "conformer-ensembles": "graphscore.molecules.datasets.ensembles:ConformerEnsembles",
        "gfn2-ensembles": "graphscore.molecules.datasets.ensembles:GFN2Ensembles",
        "pdb-ligands": "graphscore.molecules.datasets.ensembles:PDBLigands",
        "geom": "graphscore.molecules.datasets.geom:GEOM",
        "qm9": "graphscore.molecules.datasets.qm9:QM9",
        "rmd17": "graphscore.molecules.datasets.md17:MD17",
    },
    checksums={  # for their sources, see datasets/{geom,qm9,rmd17}/README.md
        "rdkit_folder.tar.gz": "md5:e8f2168b7050652db22c976be25c450e",
        "dsgdb9nsd.xyz.tar.bz2": "sha256:3a63848ac80691bdb8d41834b575afad345b9300d7a2db0c38adb7f6eaa8360c",
        "uncharacterized.txt": "sha256:3aa5115d540b356de94791d4a74c3bf1ed91c469ecf52a4f5d7cc0506fe02e24",
        "gdb9.sdf": "sha256:98c4e97d50ac549b8c9f0b2114b348a9a944718e17e50d9a724b729f1deaa28e",
        "gdb9.sdf.csv": "sha256:73a67793e3cfa9660f001278bd019c143f57e4785db537a01811cf2ce72aa7eb",
        "rmd17.tar.bz2": "sha256:cddeea2ec2c4b22a9de16a9a65a3eeedac5b29da9c99c20bbff0153912bf922b",
    },
    transforms={
        "molecule-graph": "graphscore.molecules.features:MoleculeGraph",
        "torsions": "graphscore.molecules.torsions:Torsions",
    },
    denoisers={"torsions": "graphscore.molecules.torsions:TorsionDenoiser"},
    recipes={
        "small-molecules": "graphscore.molecules.recipes.small_molecules:build",
        "gfn2-ensembles": "graphscore.molecules.recipes.ensembles:build_from_files",
        "wide-ensembles": "graphscore.molecules.recipes.ensembles:build_wide",
        "pdb-ligands": "graphscore.molecules.recipes.ligands:build",
    },
    parse="graphscore.molecules.readers:iterate_smiles",
    weights="conformers",
    starter="conformers-small",
    unknown="graphscore.molecules.elements:unknown_elements",
    pipeline="graphscore.molecules.conformers:ConformerModel",
    readers={extension + packed: reader for extension, reader in _READERS.items() for packed in ("", ".gz")}
    | {".parquet": "graphscore.molecules.parquet:read"},
    guess="graphscore.molecules.formats:guess",
    folder_extensions=(".sdf", ".mol", ".xyz", ".sdf.gz", ".mol.gz", ".xyz.gz"),
    writers={
        ".sdf": "graphscore.molecules.files:sdf_record",
        ".xyz": "graphscore.molecules.files:xyz_record",
    },
    row="graphscore.molecules.fields:row",
    cell="graphscore.molecules.show.cell:cell",
    viewers={
        ".html": "graphscore.molecules.show.view:view",
        ".svg": "graphscore.molecules.show.animation:view",
    },
    trajectories="graphscore.molecules.trajectory:MoleculeTrajectories",
    splits={
        "molecule": "graphscore.molecules.split:by_molecule",
        "scaffold": "graphscore.molecules.split:by_scaffold",
    },
    group="graphscore.molecules.split:group",
    identity="graphscore.molecules.starts:identity",
    label="graphscore.molecules.elements:row_label",
    evaluate="graphscore.molecules.evaluate:evaluate",
    scores={
        "amr_[rp].m*n": "lowest",  # mean and median
        "cov_[rp].*.m*n": "highest",
        "stereo.*.share": "highest",
    },
    report="graphscore.molecules.show.report:report",
    tables="graphscore.molecules.show.tables:show_conformers",
)
