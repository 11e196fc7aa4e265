"""Judge generated point clouds: ``python tests/benchmarks/bench_clouds.py bodies|digits|household [--model MODEL]``.

One cloud for each cloud of a part, of as many points and the same class, compared with the part as a set by 1-NN
accuracy (0.5 is best) and other measures; beside simple baselines, and as many clouds of the training part.

Digits are also read by a support-vector machine (scikit-learn's ``SVC()``), trained on the pixels of the real digits of
the training part, each centered: the share whose class it tells as it was asked for.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import torch
from torch import Tensor
from torch_geometric.data import Data

from graphscore.clouds.comparison import compare_sets, occupancy_divergence
from graphscore.clouds.digits import SIDE, rasterize
from graphscore.data import Dataset, load_dataset
from graphscore.data.split import Part
from graphscore.experiment.sampling.pipeline import Pipeline

Clouds = Sequence[Data]
OPTIONS = {"bodies": {"num_points": 256}, "household": {"num_points": 512}, "digits": {}}
MEASURES = ("nearest_neighbor_accuracy", "coverage", "recall", "precision")


def of_training_part(dataset: Dataset, references: Clouds, random: np.random.Generator) -> list[Tensor]:
    """Clouds of the training part, of the same class where there are classes."""
    train, found = [item for group in dataset.groups("train") for item in group], []
    for item in references:
        own = [other for other in train if label(other) == label(item)]
        found.append(own[random.integers(len(own))].pos)
    return found


def gaussians(dataset: Dataset, references: Clouds, random: np.random.Generator) -> list[Tensor]:
    """Points of the normal distribution that has the mean and covariance of each reference."""
    clouds = [item.pos.double().numpy() for item in references]
    draws = [random.multivariate_normal(pos.mean(0), np.cov(pos.T), len(pos)) for pos in clouds]
    return [torch.from_numpy(points) for points in draws]


def independent_pixels(dataset: Dataset, references: Clouds, random: np.random.Generator) -> list[Tensor]:
    """Pixels that are lit independently, as often as in the digits of the class of each reference."""
    images = {digit: np.zeros((0, SIDE, SIDE)) for digit in range(10)}
    for item in dataset.split("train"):
        image = np.zeros((1, SIDE, SIDE))
        image[0, item.pos[:, 1].long(), item.pos[:, 0].long()] = 1
        images[label(item)] = np.concatenate([images[label(item)], image])
    shares = {digit: of_digit.mean(0) for digit, of_digit in images.items()}
    lit = [random.random((SIDE, SIDE)) < shares[label(item)] for item in references]
    return [torch.from_numpy(np.stack(pixels.nonzero()[::-1], axis=1)).double() for pixels in lit]


def label(item: Data) -> int:
    """Class of a cloud; 0 where there are none."""
    return int(item.digit[0]) if "digit" in item else int(item.category) if "category" in item else 0


def on_pixels(cloud: Tensor) -> Tensor:
    """The lit pixels of a digit that is drawn as an image: points move to the nearest pixels, equal ones are one."""
    rows, columns = rasterize(cloud).nonzero()
    return torch.from_numpy(np.stack([columns, SIDE - 1 - rows], axis=1)).double()


def reader(dataset: Dataset) -> Callable[[Sequence[Tensor]], np.ndarray]:
    """Train the machine that reads digits."""
    from sklearn.svm import SVC

    train = dataset.split("train")
    machine = SVC().fit([rasterize(item.pos).ravel() for item in train], [label(item) for item in train])
    return lambda clouds: machine.predict([rasterize(cloud).ravel() for cloud in clouds])


def generate(references: Clouds, arguments: argparse.Namespace) -> list[Tensor]:
    """Sample a cloud for each reference."""
    pipeline = Pipeline.load(arguments.model)
    torch.set_num_threads(1)
    options = {name: getattr(arguments, name) for name in ("seed", "sampler", "num_steps", "prior_scale")}
    # Equal inputs would get equal samples: several samples of one input differ.
    kinds: dict[tuple[int, int], list[int]] = {}
    for number, item in enumerate(references):
        kinds.setdefault((len(item.pos), label(item)), []).append(number)
    templates, nums = [references[numbers[0]] for numbers in kinds.values()], [*map(len, kinds.values())]
    found: dict[int, Tensor] = {}
    outcomes = pipeline.sample(templates, nums=nums, retries=0, changes=arguments.set, **options)
    for numbers, outcome in zip(kinds.values(), outcomes, strict=True):
        found |= {number: sample.pos for number, sample in zip(numbers, outcome.samples, strict=True)}
    return [found[number] for number in range(len(references))]


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", choices=OPTIONS)
    parser.add_argument(
        "--model", help="weights of the library, a model file or a run; the name of the data if missing"
    )
    parser.add_argument("--part", default="test")
    parser.add_argument("--distance", default="chamfer")
    parser.add_argument("--sampler")
    parser.add_argument("--num-steps", type=int)
    parser.add_argument("--prior-scale", type=float)
    parser.add_argument("--set", action="append", default=[], help="changes of the sampling section")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--only-model", action="store_true", help="no baselines")
    arguments = parser.parse_args()
    arguments.model = arguments.model or arguments.data
    part: Part = arguments.part
    dataset = load_dataset(arguments.data, **OPTIONS[arguments.data])
    references = [item for group in dataset.groups(part) for item in group]
    started = time.process_time()
    sets = {"model": generate(references, arguments)}
    seconds = time.process_time() - started
    if arguments.data == "digits":
        sets["model, on pixels"] = [on_pixels(cloud) for cloud in sets["model"]]
    if not arguments.only_model:
        baselines = [of_training_part, independent_pixels if arguments.data == "digits" else gaussians]
        for draw in baselines:
            sets[draw.__name__.replace("_", " ")] = draw(dataset, references, np.random.default_rng(arguments.seed))
    read = reader(dataset) if arguments.data == "digits" else None
    real = [item.pos for item in references]
    load = Path("/proc/loadavg")
    load = load.read_text().split()[0] if load.exists() else "unknown"
    print(f"{len(real)} clouds of {arguments.data}, {part}; {arguments.distance}; model {arguments.model}, "
          f"{seconds:.0f} s of the processor; load {load}")  # fmt: skip
    for name, clouds in sets.items():
        centered = [[cloud - cloud.mean(0) for cloud in side] for side in (real, clouds)]
        scores = compare_sets(*centered, distance=arguments.distance)
        low, high = scores["nearest_neighbor_accuracy_ci"]
        shown = " ".join(
            f"{name.replace('nearest_neighbor_accuracy', '1-NN'):} {scores[name]:.3f}" for name in MEASURES
        )
        print(f"{name:20} {shown} (1-NN {low:.3f} to {high:.3f}) JSD {occupancy_divergence(*centered):.4f}")
    if read is not None:
        wanted = np.array([label(item) for item in references])
        for name, clouds in {"real": real, **sets}.items():
            print(f"{name:20} read as asked for: {(read(clouds) == wanted).mean():.1%}")


if __name__ == "__main__":
    main()
