"""Names of the library for commands, loaded when first used.

Help and errors about options and files are thus shown before PyTorch is loaded, which takes seconds.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from graphscore.runtime.lazy import lazy_names

if TYPE_CHECKING:
    from graphscore.cli.inputs import Inputs as Inputs
    from graphscore.cli.inputs import read_fragment as read_fragment
    from graphscore.cli.likelihood_job import LikelihoodJob as LikelihoodJob
    from graphscore.cli.likelihood_job import write_table as write_table
    from graphscore.cli.run_parts import PartInputs as PartInputs
    from graphscore.cli.run_parts import evaluate_run as evaluate_run
    from graphscore.cli.sample import FileJob as FileJob
    from graphscore.cli.sample import Files as Files
    from graphscore.cli.show import show_datasets as show_datasets
    from graphscore.cli.show import show_demo as show_demo
    from graphscore.cli.show import show_evaluation as show_evaluation
    from graphscore.cli.show import show_methods as show_methods
    from graphscore.cli.show import show_sampled as show_sampled
    from graphscore.cli.show import show_validation as show_validation
    from graphscore.cli.show_check import show_check as show_check
    from graphscore.cli.show_config import show_configs as show_configs
    from graphscore.cli.show_config import show_keys as show_keys
    from graphscore.cli.show_config import show_proposal as show_proposal
    from graphscore.cli.show_facts import show_facts as show_facts
    from graphscore.cli.starts import StartedInputs as StartedInputs
    from graphscore.data.dataset import datasets as datasets
    from graphscore.data.packed.packing import pack as pack
    from graphscore.experiment.about import about as about
    from graphscore.experiment.config.keys import json_schema as json_schema
    from graphscore.experiment.config.keys import list_keys as list_keys
    from graphscore.experiment.config.schema import load_config as load_config
    from graphscore.experiment.config.shown import check_sampling as check_sampling
    from graphscore.experiment.config.shown import show_config as show_config
    from graphscore.experiment.data_check.check import check_data as check_data
    from graphscore.experiment.data_check.validation import validate_file as validate_file
    from graphscore.experiment.datasets import build_preparation as build_preparation
    from graphscore.experiment.demo import run_demo as run_demo
    from graphscore.experiment.evaluation.files import evaluate_files as evaluate_files
    from graphscore.experiment.evaluation.files import view_file as view_file
    from graphscore.experiment.evaluation.files import viewed_extensions as viewed_extensions
    from graphscore.experiment.proposal.configuration import propose as propose
    from graphscore.experiment.quantization import quantize as quantize
    from graphscore.experiment.sampling.cluster import Cluster as Cluster
    from graphscore.experiment.training.resumption import stored_config as stored_config
    from graphscore.experiment.training.run import train_model as train_model
    from graphscore.layouts.files import read_graph as read_graph
    from graphscore.layouts.files import write_layout as write_layout
    from graphscore.layouts.layout import layout as layout
    from graphscore.layouts.placement import MOST_DENSE as MOST_DENSE
    from graphscore.molecules.benchmark import benchmark as benchmark
    from graphscore.molecules.bound import NUMS as NUMS
    from graphscore.molecules.bound import benchmark_bound as benchmark_bound
    from graphscore.molecules.conformers import ConformerRequest as ConformerRequest
    from graphscore.molecules.contenders import requests_of as requests_of
    from graphscore.molecules.evaluate import Measures as Measures
    from graphscore.molecules.metrics.protocols import PROTOCOLS as PROTOCOLS
    from graphscore.molecules.recipes.audit import audit_counts as audit_counts
    from graphscore.molecules.recipes.audit import audit_second_seed as audit_second_seed
    from graphscore.molecules.references import PDB as PDB
    from graphscore.molecules.show.tables import show_audit as show_audit
    from graphscore.molecules.show.tables import show_benchmark as show_benchmark
    from graphscore.molecules.show.tables import show_bound as show_bound
    from graphscore.runtime.ranks import Ranks as Ranks
    from graphscore.runtime.settings import prepare as prepare
    from graphscore.testing.combinations import markdown as markdown
    from graphscore.testing.combinations import try_all as try_all
    from graphscore.testing.examination import examine as examine

_HOMES = {
    "cli.inputs": (
        "Inputs",
        "read_fragment",
    ),
    "cli.likelihood_job": (
        "LikelihoodJob",
        "write_table",
    ),
    "cli.run_parts": (
        "PartInputs",
        "evaluate_run",
    ),
    "cli.sample": (
        "FileJob",
        "Files",
    ),
    "cli.starts": ("StartedInputs",),
    "cli.show": (
        "show_datasets",
        "show_demo",
        "show_evaluation",
        "show_methods",
        "show_sampled",
        "show_validation",
    ),
    "cli.show_config": (
        "show_configs",
        "show_keys",
        "show_proposal",
    ),
    "cli.show_facts": ("show_facts",),
    "cli.show_check": ("show_check",),
    "data.dataset": ("datasets",),
    "data.packed.packing": ("pack",),
    "experiment.about": ("about",),
    "experiment.datasets": ("build_preparation",),
    "experiment.sampling.cluster": ("Cluster",),
    "experiment.data_check.check": ("check_data",),
    "experiment.demo": ("run_demo",),
    "experiment.evaluation.files": (
        "evaluate_files",
        "view_file",
        "viewed_extensions",
    ),
    "experiment.config.keys": (
        "json_schema",
        "list_keys",
    ),
    "experiment.proposal.configuration": ("propose",),
    "experiment.quantization": ("quantize",),
    "experiment.training.resumption": ("stored_config",),
    "experiment.training.run": ("train_model",),
    "experiment.config.schema": ("load_config",),
    "experiment.config.shown": (
        "check_sampling",
        "show_config",
    ),
    "experiment.data_check.validation": ("validate_file",),
    "layouts.files": (
        "read_graph",
        "write_layout",
    ),
    "layouts.layout": ("layout",),
    "layouts.placement": ("MOST_DENSE",),
    "molecules.benchmark": ("benchmark",),
    "molecules.bound": (
        "NUMS",
        "benchmark_bound",
    ),
    "molecules.contenders": ("requests_of",),
    "molecules.conformers": ("ConformerRequest",),
    "molecules.evaluate": ("Measures",),
    "molecules.metrics.protocols": ("PROTOCOLS",),
    "molecules.recipes.audit": (
        "audit_counts",
        "audit_second_seed",
    ),
    "molecules.references": ("PDB",),
    "molecules.show.tables": (
        "show_audit",
        "show_benchmark",
        "show_bound",
    ),
    "runtime.ranks": ("Ranks",),
    "runtime.settings": ("prepare",),
    "testing.combinations": (
        "markdown",
        "try_all",
    ),
    "testing.examination": ("examine",),
}

if not TYPE_CHECKING:
    __getattr__, __dir__ = lazy_names("graphscore", _HOMES)
