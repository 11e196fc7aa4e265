"""Molecules: all the chemistry of this library, on RDKit (``pip install "graphscore[mol]"``).

To generate conformers, begin with :mod:`~graphscore.molecules.conformers`; to measure them, with
:mod:`~graphscore.molecules.evaluate`; to look at them, with :mod:`~graphscore.molecules.show`. The layout of a molecule
as a graph is described in :mod:`~graphscore.molecules.graph`.

=================  ======================================================================================
``smiles``         SMILES strings to RDKit molecules, and RDKit's errors
``elements``       symbols of elements, names of atoms for messages
``graph``          RDKit molecules to PyG graphs and back
``files``          the text of SDF and XYZ records, in and out
``readers``        files of molecules, record by record: smi, csv, sdf, mol, xyz
``networkx``       molecules among networkx graphs
``bonding``        bonds for atoms that have only coordinates
``split``          keys by which molecules are split into training, validation and test
``datasets``       QM9, GEOM, rMD17, and the data that come with the package
``recipes``        how those that come with the package are made anew, and audited
``features``       what a network sees of a molecule
``conformers``     conformers by a trained model
``fragments``      atoms that are held where a template has them
``hydrogens``      hydrogens for molecules whose other atoms have coordinates
``forcefield``     MMFF94: energies, relaxing, ranking
``xtb``            GFN2-xTB: energies, relaxing, properties, by the program ``xtb``
``embedding``      conformers by RDKit's distance geometry
``baselines``      RDKit's conformers, to measure a model against
``metrics``        RMSD, coverage, stereochemistry, bond lengths and torsions, energies, validity
``evaluate``       all metrics, for several methods, from files or in Python
``benchmark``      a model against ensembles that are kept for testing
``trajectory``     the steps from noise to a conformer, as a file
``show``           pages, pictures and tables
``configs``        configurations of runs on molecules
``weights``        the model that comes with the package
``domain``         what the rest of the library asks for molecules
=================  ======================================================================================
"""
