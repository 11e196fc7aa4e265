"""Measure the pose model, and what it is compared with: ``python tests/benchmarks/bench_poses.py``.

Generation: errors of bone lengths, 1-NN accuracy against held-out frames of the training clips, and the distance to the
nearest training pose, in millimetres; of samples as they are and with bones fitted to their lengths; of a mixture of 50
Gaussians; and of training poses, as a model that memorises gives them. Completion by clip: arms (with the
shoulder) and legs (with the hip) of poses of the test part, or of ``--part val``, are hidden and sampled ten times; the
mean error of their joints in millimetres, over samples and for the best of ten, and that of the ten nearest training
poses.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Sequence
from copy import copy
from pathlib import Path

import numpy as np
import torch
from torch import Tensor
from torch_geometric.data import Data

from graphscore.data import load_dataset
from graphscore.poses.metrics import compare_poses, mean_joint_distances
from graphscore.poses.model import PoseModel
from graphscore.poses.skeleton import JOINTS, lengths_of, with_bone_lengths

LIMBS = {
    "arm": ("shoulder", "elbow", "wrist", "hand", "fingers", "thumb"),
    "leg": ("hip", "knee", "ankle", "foot", "toes"),
}
SIDES = ("left", "right")
NUM = 10


def fitted(item: Data) -> Data:
    """A pose with bones fitted to the lengths of its skeleton."""
    out = copy(item)
    out.pos = with_bone_lengths(item.pos, item.parent, lengths_of(item))
    return out


def with_pos(template: Data, poses: Tensor) -> list[Data]:
    """Poses of a skeleton at other positions."""
    items = [copy(template) for _ in poses]
    for item, pos in zip(items, poses, strict=True):
        item.pos = pos
    return items


def gaussians(train: Sequence[Data], num: int, seed: int) -> list[Data]:
    """Samples of a mixture of 50 Gaussians."""
    from sklearn.mixture import GaussianMixture

    flat = torch.stack([item.pos for item in train]).flatten(1)[:, 3:].double().numpy()  # hips are at the origin
    mixture = GaussianMixture(50, covariance_type="full", reg_covar=1e-6, random_state=seed).fit(flat)
    poses = torch.from_numpy(mixture.sample(num)[0]).float().view(num, -1, 3)
    return with_pos(train[0], torch.nn.functional.pad(poses, (0, 0, 1, 0)))


def generation(model: PoseModel, num: int, seed: int, baselines: bool) -> None:
    """Print the table of generated poses."""
    data = load_dataset("cmu-poses")
    train, held_out = data.split("train"), data.held_out_frames()
    some = np.random.default_rng(seed)
    held_out = [held_out[row] for row in some.permutation(len(held_out))[:num]]
    started = time.process_time()
    (outcome,) = model.sample([train[0]], num=num, seed=seed, repair=False)
    seconds = time.process_time() - started
    rows = {"model": outcome.samples, "model, bones fitted": [fitted(item) for item in outcome.samples]}
    if baselines:
        rows["mixture of 50 Gaussians"] = gaussians(train, num, seed)
        rows["training poses"] = [train[row] for row in some.permutation(len(train))[:num]]
    print(f"{num} poses against {len(held_out)} held-out frames; {1e3 * seconds / num:.1f} ms a pose, one thread")
    print(f"{'':26}{'bones off by':>14}{'1-NNA':>9}{'nearest training: generated':>30}{'held-out':>10}")
    for name, items in rows.items():
        row = compare_poses(held_out, items, train)
        low, high = row["nearest_neighbor_accuracy_ci"]
        print(
            f"{name:26}{row['bone_length_error']:>13.2%}{row['nearest_neighbor_accuracy']:>9.1%}"
            f"{1e3 * row['nearest_training']:>27.1f} mm{1e3 * row['nearest_training_of_references']:>7.1f} mm"
            f"   (1-NNA {low:.1%} to {high:.1%})",
            flush=True,
        )


def completion(model: PoseModel, part: str, limit: int, method: str, seed: int) -> None:
    """Print the table of completed poses."""
    data = load_dataset("cmu-poses")
    poses, train = data.split(part), data.split("train")
    poses = [poses[int(row)] for row in np.linspace(0, len(poses) - 1, min(limit, len(poses)))]
    known = torch.stack([item.pos for item in train])
    print(f"{len(poses)} poses of {part}, {method}, {NUM} samples each of both sides")
    print(f"{'':6}{'model: mean':>14}{'best of ten':>13}{'nearest poses: mean':>22}{'best of ten':>13}{'ms':>8}")
    for limb, names in LIMBS.items():
        errors: list[list[Tensor]] = [[], []]
        seconds = 0.0
        for side in SIDES:
            hidden = torch.tensor([JOINTS.index(f"{side}_{name}") for name in names])
            partial = [copy(item) for item in poses]
            for item in partial:
                item.pos = item.pos.clone()
                item.pos[hidden] = torch.nan
            started = time.process_time()
            outcomes = list(model.sample(partial, num=NUM, seed=seed, complete=method, repair=False))
            seconds += time.process_time() - started
            drawn = torch.stack([torch.stack([sample.pos[hidden] for sample in one.samples]) for one in outcomes])
            seen = torch.ones(known.shape[1], dtype=torch.bool).index_fill(0, hidden, False)
            truth = torch.stack([item.pos for item in poses])
            nearest = mean_joint_distances(truth[:, seen], known[:, seen]).argsort(1)[:, :NUM]
            for place, found in enumerate((drawn, known[torch.from_numpy(nearest.copy())][:, :, hidden])):
                errors[place].append((found - truth[:, None, hidden]).norm(dim=-1).mean(-1))
        of = [1e3 * torch.cat(values) for values in errors]
        shown = [f"{each.mean():.0f} mm" for values in of for each in (values, values.min(1).values)]
        cost = 1e3 * seconds / (len(SIDES) * len(poses) * NUM)
        print(f"{limb:6}{shown[0]:>14}{shown[1]:>13}{shown[2]:>22}{shown[3]:>13}{cost:8.0f}", flush=True)


def main() -> None:
    """Print both tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default="poses", help="weights of the library, a model file or a run")
    parser.add_argument("--num", type=int, default=1000, help="generated poses; 0 for none")
    parser.add_argument("--baselines", action="store_true", help="also the mixture of Gaussians and training poses")
    parser.add_argument("--part", default="test", choices=("val", "test"))
    parser.add_argument("--limit", type=int, default=100, help="poses to complete; 0 for none")
    parser.add_argument("--method", default="moments", help="method of completion")
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE", help="change of a sampling option")
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    model = PoseModel.load(arguments.model, device="cpu")
    model.config = model.config.with_sampling(None, None, changes=arguments.set)
    load = Path("/proc/loadavg")
    print(f"seed {arguments.seed}; load {load.read_text().split()[0] if load.exists() else 'unknown'}")
    if arguments.num:
        generation(model, arguments.num, arguments.seed, arguments.baselines)
    if arguments.limit:
        completion(model, arguments.part, arguments.limit, arguments.method, arguments.seed)


if __name__ == "__main__":
    main()
