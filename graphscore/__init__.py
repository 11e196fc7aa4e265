"""Score matching and diffusion models on PyTorch Geometric graphs.

Where to begin:

- a model on your own graphs: the example below, then ``help(graphscore.Denoiser)`` and ``graphscore.nn``;
- a run from a configuration, with checkpoints: ``graphscore train --help``, or
  ``gs.train_model("digits", "runs/digits")`` and ``gs.load("runs/digits")``; and ``graphscore.experiment``;
- conformers of molecules by the model that comes with the package: ``graphscore sample CCO --num 10``,
  ``graphscore.ConformerModel.load().sample(["CCO"], num=10)``, and ``graphscore.molecules``;
- layers for your own networks: ``graphscore.nn``, which is independent of the rest.

A first example, from graphs to a loss to samples:

    >>> import torch
    >>> import graphscore as gs
    >>> from torch_geometric.data import Batch, Data
    >>> waters = [Data(z=torch.tensor([8, 1, 1]), pos=torch.randn(3, 3)) for _ in range(8)]
    >>> batch = Batch.from_data_list([gs.CompleteGraph()(water) for water in waters])
    >>> process = gs.ForwardProcess({gs.Field("pos", zero_mean=True): gs.VESDE(sigma=25.0)})
    >>> network = gs.ScoreNetwork(gs.nn.EGNN(64, 3), process, inputs={"z": gs.nn.Category(119)})
    >>> model = gs.Denoiser(network, process)
    >>> model.loss(batch).backward()  # stratified times, denoising, sum over fields, mean over graphs
    >>> gs.HeunSampler(model, 20)(batch)  # 20 steps on the Karras grid of the process
    SamplerResult(8 graphs: pos [24, 3]; 41 network evaluations)

The folders, in the order in which data flow:

==================  ====================================================================================================
``data``            graphs from files and networkx, data sets, splits, transforms
``fields``          the attributes of a batch that diffuse: of nodes, edges or graphs
``sdes``            noise processes: alpha(t) and std(t)
``process``         forward process: one SDE for each field of a batch
``times``           densities of training times, grids of sampling times
``nn``              networks: backbones, layers, edges; tensors in, tensors out
``denoiser``        score models: the estimate E[x0 | xt] of a network, and its loss
``objectives``      losses: denoising, implicit and sliced score matching, flow matching
``train``           the training loop
``guidance``        conditions, inpainting, energies, restraints: score models around score models
``samplers``        from noise to samples, and log-densities
``generate``        many graphs by one sampler
``experiment``      configurations, runs in folders, model files
``molecules``       molecules and their conformers; ``clouds`` is the same for point clouds
``layouts``         drawings of graphs, ``graphscore.layout(G)``
``poses``           joints of skeletons: motion files, sampling and completion
``cli``             the command line
``ops``             per-graph sums, means, maxima; used by all others, as are ``rng``, ``linalg`` and ``runtime``
``testing``         exact scores, symmetry and order of convergence, for your own tests
==================  ====================================================================================================

Modules are loaded when they are first used: importing this package imports neither PyTorch nor RDKit.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from graphscore.runtime.lazy import lazy_names
from graphscore.runtime.version import __version__ as __version__

if TYPE_CHECKING:
    from graphscore import clouds as clouds
    from graphscore import data as data
    from graphscore import denoiser as denoiser
    from graphscore import experiment as experiment
    from graphscore import fields as fields
    from graphscore import guidance as guidance
    from graphscore import layouts as layouts
    from graphscore import molecules as molecules
    from graphscore import nn as nn
    from graphscore import objectives as objectives
    from graphscore import ops as ops
    from graphscore import poses as poses
    from graphscore import process as process
    from graphscore import rng as rng
    from graphscore import samplers as samplers
    from graphscore import sdes as sdes
    from graphscore import testing as testing
    from graphscore import times as times
    from graphscore.data import CompleteGraph, from_networkx, load_dataset, read, to_networkx, write
    from graphscore.denoiser import DataAdapter, Denoiser, NoiseAdapter, ScoreAdapter, VelocityAdapter
    from graphscore.experiment.estimator import DiffusionEstimator
    from graphscore.experiment.evaluation.graphs import compare_graphs
    from graphscore.experiment.pretrained import load
    from graphscore.experiment.sampling.pipeline import Pipeline
    from graphscore.experiment.training.run import train_model
    from graphscore.experiment.training.split_record import load_part
    from graphscore.fields import Field
    from graphscore.guidance import Autoguidance, ClassifierFreeGuidance, Condition, EnergyGuidance, Inpainting
    from graphscore.layouts.layout import layout
    from graphscore.molecules.conformers import ConformerModel
    from graphscore.nn import ScoreNetwork
    from graphscore.objectives import Objective, denoising_score_matching, flow_matching
    from graphscore.process import ForwardProcess
    from graphscore.rng import GraphGenerator
    from graphscore.samplers import (
        AdaptiveSampler,
        AncestralSampler,
        DDIMSampler,
        DPMSolverSampler,
        EulerSampler,
        HeunSampler,
        SamplerResult,
        log_density,
    )
    from graphscore.sdes import (
        EDMSDE,
        VESDE,
        VPSDE,
        CosineVPSDE,
        GeometricVESDE,
        HarmonicSDE,
        RectifiedSDE,
        SubVPSDE,
    )

# Public names of the library by their module. A name must not be that of a folder, such as `train`: importing the
# folder would replace it.
_HOMES = {
    "fields": ("Field",),
    "sdes": (
        "VESDE",
        "GeometricVESDE",
        "EDMSDE",
        "VPSDE",
        "CosineVPSDE",
        "SubVPSDE",
        "RectifiedSDE",
        "HarmonicSDE",
    ),
    "process": ("ForwardProcess",),
    "nn": ("ScoreNetwork",),
    "denoiser": ("Denoiser", "ScoreAdapter", "NoiseAdapter", "DataAdapter", "VelocityAdapter"),
    "objectives": ("Objective", "denoising_score_matching", "flow_matching"),
    "guidance": ("Autoguidance", "ClassifierFreeGuidance", "Condition", "EnergyGuidance", "Inpainting"),
    "samplers": (
        "AdaptiveSampler",
        "AncestralSampler",
        "DDIMSampler",
        "DPMSolverSampler",
        "EulerSampler",
        "HeunSampler",
        "SamplerResult",
        "log_density",
    ),
    "rng": ("GraphGenerator",),
    "data": ("CompleteGraph", "from_networkx", "load_dataset", "read", "to_networkx", "write"),
    "experiment.estimator": ("DiffusionEstimator",),
    "experiment.pretrained": ("load",),
    "experiment.training.run": ("train_model",),
    "experiment.training.split_record": ("load_part",),
    "experiment.evaluation.graphs": ("compare_graphs",),
    "experiment.sampling.pipeline": ("Pipeline",),
    "layouts.layout": ("layout",),
    "molecules.conformers": ("ConformerModel",),
}
# Modules that need more than the core dependencies: the package that they import, and the extra that installs it.
_NEEDS = {
    "experiment.estimator": ("lightning", "train"),
    "experiment.training.run": ("lightning", "train"),
    "experiment.training.split_record": ("pydantic", "train"),
    "experiment.pretrained": ("pydantic", "train"),
    "experiment.sampling.pipeline": ("pydantic", "train"),
    "layouts.layout": ("pydantic", "cli"),
    "molecules.conformers": ("rdkit", "mol"),
}
_MODULES = (
    "clouds",
    "data",
    "denoiser",
    "experiment",
    "fields",
    "guidance",
    "layouts",
    "molecules",
    "nn",
    "objectives",
    "ops",
    "poses",
    "process",
    "rng",
    "samplers",
    "sdes",
    "testing",
    "times",
)

__all__ = [
    "EDMSDE",
    "VESDE",
    "VPSDE",
    "AdaptiveSampler",
    "AncestralSampler",
    "Autoguidance",
    "ClassifierFreeGuidance",
    "CompleteGraph",
    "Condition",
    "ConformerModel",
    "CosineVPSDE",
    "DDIMSampler",
    "DPMSolverSampler",
    "DataAdapter",
    "Denoiser",
    "DiffusionEstimator",
    "EnergyGuidance",
    "EulerSampler",
    "Field",
    "ForwardProcess",
    "GeometricVESDE",
    "GraphGenerator",
    "HarmonicSDE",
    "HeunSampler",
    "Inpainting",
    "NoiseAdapter",
    "Objective",
    "Pipeline",
    "RectifiedSDE",
    "SamplerResult",
    "ScoreAdapter",
    "ScoreNetwork",
    "SubVPSDE",
    "VelocityAdapter",
    "compare_graphs",
    "denoising_score_matching",
    "flow_matching",
    "from_networkx",
    "layout",
    "load",
    "load_dataset",
    "load_part",
    "log_density",
    "read",
    "to_networkx",
    "train_model",
    "write",
]

if not TYPE_CHECKING:  # a type checker would accept any name of the package
    __getattr__, __dir__ = lazy_names(__name__, _HOMES, _MODULES, _NEEDS)
