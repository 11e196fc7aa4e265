"""Molecules: conformers, data sets, files, metrics and pictures, on RDKit (``pip install "graphscore[mol]"``).

To generate conformers, begin with :mod:`~graphscore.molecules.conformers`; to evaluate them, with
:mod:`~graphscore.molecules.evaluate`; to look at them, with :mod:`~graphscore.molecules.show`. The layout of a molecule
as a graph is described in :mod:`~graphscore.molecules.graph`.

=================  ======================================================================================
``smiles``         SMILES strings to RDKit molecules, and RDKit's errors
``elements``       symbols of elements, names of atoms for messages
``graph``          RDKit molecules to PyG graphs and back
``notes``          notes on molecules that were read, such as radicals
``labels``         isotopes, atom maps and data fields
``representable``  checks of molecules from elsewhere, for what a graph can hold
``axes``           chiral axes of atropisomers and allenes, stereo marks that are not used
``cumulenes``      cumulated double bonds, and their marks in SMILES strings
``stereo_groups``  enhanced stereochemistry: racemic and relative centres
``isomers``        stereoisomers of molecules that are not all marked
``wedges``         wedges of flat depictions that RDKit leaves unused
``marks``          stereo marks of graphs, on RDKit molecules and from coordinates
``perception``     stereo marks perceived from coordinates
``fields``         data fields of records: those of a graph, and how SDF and XYZ hold them
``files``          the text of SDF records, in and out, and of XYZ frames, out
``xyz``            the text of XYZ files, in: plain, extended, of QM9
``frames``         lines of XYZ frames, told apart
``mol2``           the text of MOL2 files, in
``pdb``            the text of PDB files of ligands, in
``readers``        files of molecules with coordinates, record by record: sdf, mol, mol2, pdb, xyz
``formats``        formats of files, recognised by their first lines
``smiles_files``   lists and tables of SMILES strings, record by record: smi, txt, csv, tsv
``rows``           rows of tables of text: lines, cells in quotation marks, comments
``columns``        columns of SMILES strings and of names in lists and tables
``parquet``        tables of SMILES strings in parquet files
``networkx``       molecules from networkx graphs
``check``          faults of conformers: bond lengths, angles, contacts, planes, stereo marks
``repair``         repair of conformers that fail the check: mirrored, relaxed, made anew, or marked
``bonding``        bonds for atoms that have only coordinates
``split``          keys by which molecules are split into training, validation and test
``datasets``       QM9, GEOM, rMD17, and the data that come with the package
``recipes``        rebuilding and auditing the data that come with the package
``features``       input features of atoms and bonds for a network
``torsions``       rotatable bonds, their angles as a diffusing field, scores of them by torques
``turning``        conformers whose bonds a second model, of torsions, turns
``conformers``     conformers by a trained model
``shipped``        the models that come with the package, for small and for larger molecules
``starts``         samples that start from given conformers
``request``        options for generating conformers, and presets of them
``outcome``        conformers of one molecule, as an RDKit molecule and as ASE atoms and back
``embedder``       conformer models behind the call of RDKit's ``EmbedMultipleConfs``
``exact``          geometry of molecules of one to three atoms
``polyhedra``       centres with five or more electron pairs, by VSEPR
``components``     components of molecules: split, sampled one by one and joined
``packing``        places of components side by side, at van der Waals or ionic contact
``fragments``      atoms that are fixed at the coordinates of a template
``hydrogens``      hydrogens for molecules whose other atoms have coordinates
``hydrogen_marks`` stereo marks that hydrogens decide, as in imines
``forcefield``     MMFF94 (or UFF): energies and minima
``relaxation``     samples relaxed by MMFF94, GFN-FF or GFN2-xTB, with energies
``completion``     from all samples of a molecule to those given back: relaxed, checked again, selected, ranked
``ensemble``       distinct conformers of low energy among samples, and their Boltzmann weights
``xtb``            GFN2-xTB: energies, relaxation, properties, by the program ``xtb``
``embedding``      conformers by RDKit's distance geometry
``baselines``      RDKit's conformers as baselines for a model
``metrics``        RMSD, coverage, stereochemistry, bond lengths and torsions, energies, validity
``evaluate``       all metrics, for several methods, from files or in Python
``benchmark``      a model against ensembles of test molecules
``references``     reference conformers of a benchmark: embedded lists, and files
``contenders``     methods that a benchmark compares: the model and baselines
``bound``          benchmark on the shapes of ligands bound to proteins
``trajectory``     sampling trajectories, from noise to a conformer, as a file
``show``           pages, pictures and tables
``configs``        configurations of runs on molecules
``weights``        the model that comes with the package
``domain``         the entry of molecules in the registry of domains
=================  ======================================================================================
"""
