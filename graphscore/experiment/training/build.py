"""Construction of the training task and the options of the training loop from a configuration."""

from __future__ import annotations

from dataclasses import fields
from functools import partial

from torch_geometric.data import Batch

from graphscore.denoiser import ScoreModel
from graphscore.denoiser.self_conditioning import choose_self_conditioned
from graphscore.experiment.build import build_conditions
from graphscore.experiment.config.components import Component, bind, check_options, create
from graphscore.experiment.config.schema import Config
from graphscore.guidance import Condition, drop_conditions
from graphscore.objectives import OBJECTIVES, WEIGHTS, Objective, denoising_score_matching
from graphscore.registry import find
from graphscore.rng import GraphGenerator
from graphscore.times import DENSITIES
from graphscore.train.augmentation import AUGMENTATIONS
from graphscore.train.optimizers import OPTIMIZERS, SCHEDULES, make_optimizer
from graphscore.train.options import CALLBACKS, LOGGERS, TrainingOptions
from graphscore.train.parts import Budget
from graphscore.train.task import Augment, ScoreMatchingTask


def build_task(config: Config, model: ScoreModel) -> ScoreMatchingTask:
    """Build the training task: loss, density of times and augmentation of a model."""
    training = config.training
    density = bind(training.times, DENSITIES, "time density", config.trust)
    objective = build_objective(config)
    return ScoreMatchingTask(model, density, objective, training.reduce, training.seed, build_augment(config))


def build_options(config: Config) -> TrainingOptions:
    """Build the options of the training loop, with optimiser and schedule of the learning rate."""
    training, names = config.training, {field.name for field in fields(TrainingOptions)}
    kind = find(training.optimizer.name, OPTIMIZERS, "optimizer", config.trust)
    check_options(training.optimizer, kind, "optimizer")
    options = {name: value for name, value in training if name in names}
    return TrainingOptions(
        **options
        | {
            "budget": Budget(training.micro_batch_size, training.micro_batch_nodes, training.micro_batch_edges),
            "optimizer": partial(
                make_optimizer, kind=kind, learning_rate=training.learning_rate, weight_decay=training.weight_decay,
                **training.optimizer.options,
            ),
            "schedule": bind(training.schedule, SCHEDULES, "schedule", config.trust),
            "callbacks": [bind(each, CALLBACKS, "callback", config.trust) for each in training.callbacks],
            "loggers": [bind(each, LOGGERS, "logger", config.trust) for each in training.loggers],
            "ema_decays": training.ema_decay if isinstance(training.ema_decay, tuple) else (training.ema_decay,),
        }
    )  # fmt: skip


def build_augment(config: Config) -> Augment | None:
    """Build the chain of augmentations of a training batch; ``None`` if there are none."""
    training = config.training
    steps: list[Augment] = []
    if config.conditions:
        steps.append(partial(_drop, build_conditions(config), training.drop_probability))
    steps += [create(component, AUGMENTATIONS, "augmentation", config.trust) for component in training.augmentations]
    if config.network.self_condition:
        steps.append(choose_self_conditioned)
    return partial(_chain, steps) if steps else None


def _chain(steps: list[Augment], batch: Batch, generator: GraphGenerator) -> Batch:
    for step in steps:
        batch = step(batch, generator)
    return batch


def _drop(conditions: list[Condition], probability: float, batch: Batch, generator: GraphGenerator) -> Batch:
    return drop_conditions(batch, conditions, probability, generator)


def build_objective(config: Config) -> Objective:
    """Build the training objective with its options and weight; a custom function is called with clean data."""
    component, weight = config.training.objective, config.training.weight
    objective = find(component.name, OBJECTIVES, "objective", config.trust)
    if not isinstance(objective, Objective):
        objective = Objective(objective)
    options = component.options
    if "weight" in options:
        raise ValueError("The weight of an objective is not among its options; set training.weight")
    check_options(component, objective.function, "objective")
    if weight is None and objective.function is denoising_score_matching:
        weight = Component(name="edm")
    if weight is not None:
        options["weight"] = bind(weight, WEIGHTS, "weight", config.trust)
    if config.network.self_condition and objective.takes_samples:
        raise ValueError(
            "network.self_condition needs an objective that regresses on clean data, since no derivative goes through "
            f"the estimate; {objective.name} does not"
        )
    return objective.bind(**options)
