"""The domain of molecules: where everything chemical is found. Importing it needs neither PyTorch nor RDKit."""

from __future__ import annotations

from graphscore.attributes import Attribute
from graphscore.domains import Domain

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
        "cis_trans_index": Attribute("none", "[2, P]", "substituents across a marked double bond", indices=True),
        "cis_trans": Attribute("none", "[P]", "1 if the two are on the same side, 2 if on opposite sides"),
    },
    derive="graphscore.molecules.networkx:derive",
    datasets={
        "small-molecules": "graphscore.molecules.datasets.small_molecules:SmallMolecules",
        "gfn2-ensembles": "graphscore.molecules.datasets.ensembles:GFN2Ensembles",
        "geom": "graphscore.molecules.datasets.geom:GEOM",
        "qm9": "graphscore.molecules.datasets.qm9:QM9",
        "rmd17": "graphscore.molecules.datasets.md17:MD17",
    },
    transforms={"molecule-graph": "graphscore.molecules.features:MoleculeGraph"},
    recipes={
        "small-molecules": "graphscore.molecules.recipes.small_molecules:build",
        "gfn2-ensembles": "graphscore.molecules.recipes.ensembles:build_from_files",
    },
    parse="graphscore.molecules.readers:read_smiles",
    readers={
        ".smi": "graphscore.molecules.readers:read_smi",
        ".csv": "graphscore.molecules.readers:read_csv",
        ".sdf": "graphscore.molecules.readers:read_sdf",
        ".mol": "graphscore.molecules.readers:read_sdf",
        ".xyz": "graphscore.molecules.readers:read_xyz",
    },
    folder_extensions=(".sdf", ".mol", ".xyz"),
    writers={
        ".sdf": "graphscore.molecules.files:sdf_record",
        ".xyz": "graphscore.molecules.files:xyz_record",
    },
    viewers={".html": "graphscore.molecules.show.view:view"},
    splits={
        "molecule": "graphscore.molecules.split:by_molecule",
        "scaffold": "graphscore.molecules.split:by_scaffold",
    },
    group="graphscore.molecules.split:group",
    label="graphscore.molecules.elements:row_label",
    accept="graphscore.molecules.metrics.stereo:is_as_asked",
    evaluate="graphscore.molecules.evaluate:evaluate",
    report="graphscore.molecules.show.report:report",
    tables="graphscore.molecules.show.tables:show_conformers",
)
