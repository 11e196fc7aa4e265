"""The estimator: scikit-learn's interface around training, sampling and likelihoods."""

from __future__ import annotations

import math

import pytest
import torch
from torch_geometric.data import Data

from graphscore import DiffusionEstimator
from graphscore.experiment.training.run import train_model

TINY = ["network.backbone={name: egnn, hidden_channels: 8, num_layers: 1}", "training.batch_size=16"]


def paths(num: int, seed: int = 0) -> list[Data]:
    """Paths of four nodes, one unit apart, bent by chance."""
    generator = torch.Generator().manual_seed(seed)
    ends = torch.tensor([[0, 1, 2], [1, 2, 3]])
    graphs = []
    for _ in range(num):
        turns = torch.cumsum(0.5 * torch.randn(3, generator=generator), 0)
        steps = torch.stack([turns.cos(), turns.sin()], 1)
        pos = torch.cat([torch.zeros(1, 2), steps.cumsum(0)])
        graphs.append(Data(pos=pos - pos.mean(0), edge_index=torch.cat([ends, ends.flip(0)], 1)))
    return graphs


@pytest.fixture(scope="module")
def fitted(tmp_path_factory: pytest.TempPathFactory) -> DiffusionEstimator:
    out = tmp_path_factory.mktemp("estimator") / "run"
    return DiffusionEstimator(changes=TINY, steps=20, out=out, seed=3).fit(paths(60))


def test_samples_come_graph_by_graph_and_the_seed_makes_them(fitted: DiffusionEstimator):
    graphs = paths(3, seed=1)
    graphs[1].name = "second"
    drawn = fitted.sample(graphs, num=2)
    assert len(drawn) == 6 and [one.get("name") for one in drawn] == [None, None, "second", "second", None, None]
    assert all(one.pos.shape == (4, 2) and one.pos.isfinite().all() for one in drawn)
    again = fitted.sample(graphs, num=2)
    assert all(torch.equal(one.pos, other.pos) for one, other in zip(drawn, again, strict=True))
    assert not torch.equal(fitted.sample(graphs, seed=4)[0].pos, drawn[0].pos)


def test_it_trains_as_the_same_configuration_does(fitted: DiffusionEstimator, tmp_path):
    """With the proposed configuration and the seed, the weights are those of ``train_model``."""
    config = fitted.pipeline_.checkpoint.with_name("config.yaml")
    run = train_model(config, tmp_path / "run", data=paths(60), progress=False)
    other = DiffusionEstimator(config=config, out=tmp_path / "other", seed=3).fit(paths(60))
    assert run.path.read_bytes() == fitted.pipeline_.checkpoint.read_bytes()
    assert other.pipeline_.checkpoint.read_bytes() == run.path.read_bytes()


def test_scores_are_log_likelihoods_in_nats(fitted: DiffusionEstimator):
    graphs = paths(2, seed=1)
    graphs.append(Data(pos=20 * graphs[0].pos, edge_index=graphs[0].edge_index))
    scores = fitted.score_samples(graphs, num_probes=None)
    expected = [one.nats for one in fitted.pipeline_.log_likelihood(graphs, num_probes=None, seed=3)]
    assert scores.tolist() == expected and scores[2] < scores[0] - 10
    assert fitted.score(graphs[:2]) == pytest.approx(fitted.score_samples(graphs[:2]).mean(), abs=1e-9)


def test_a_graph_that_cannot_be_used_is_named(fitted: DiffusionEstimator):
    broken = Data(pos=torch.full((4, 2), math.nan), edge_index=paths(1)[0].edge_index)
    with pytest.raises(ValueError, match="Graph 1 has no likelihood: "):
        fitted.score_samples([*paths(1), broken])
    with pytest.raises(ValueError, match="Graph 1 cannot be sampled: "):
        fitted.sample([*paths(1), Data(pos=torch.zeros(0, 2), edge_index=torch.zeros(2, 0, dtype=torch.long))])


def test_parameters_are_read_and_changed_as_scikit_learn_does():
    model = DiffusionEstimator("digits", steps=5)
    assert model.get_params() == {
        "config": "digits", "changes": (), "steps": 5, "out": None, "seed": 0, "progress": False,
    }  # fmt: skip
    assert (
        model.set_params(seed=2, steps=None) is model and repr(model) == "DiffusionEstimator(config='digits', seed=2)"
    )
    with pytest.raises(ValueError, match=r"Unknown parameters \['depth'\]; expected some of \['changes', 'config'"):
        model.set_params(depth=1)
    with pytest.raises(ValueError, match="not fitted yet"):
        model.sample(paths(1))
    base = pytest.importorskip("sklearn.base")
    copy = base.clone(DiffusionEstimator("digits", steps=5))
    assert copy.get_params() == DiffusionEstimator("digits", steps=5).get_params()


def test_scikit_learn_chains_it_and_searches_its_parameters():
    selection = pytest.importorskip("sklearn.model_selection")
    pipeline = pytest.importorskip("sklearn.pipeline")
    preprocessing = pytest.importorskip("sklearn.preprocessing")
    model, graphs = DiffusionEstimator(changes=TINY, steps=2), paths(8)
    chain = pipeline.make_pipeline(preprocessing.FunctionTransformer(lambda given: [*reversed(given)]), model)
    scores = chain.fit(graphs).score_samples(graphs)
    assert scores.tolist() == model.score_samples(graphs[::-1]).tolist()
    search = selection.GridSearchCV(model, {"steps": [1, 2]}, cv=2, refit=False, error_score="raise").fit(graphs)
    assert len(set(search.cv_results_["mean_test_score"])) == 2


def test_what_cannot_be_trained_on_is_said_at_once():
    with pytest.raises(ValueError, match="Nothing to diffuse"):
        DiffusionEstimator(steps=1).fit([Data(edge_index=torch.tensor([[0], [1]]), num_nodes=2)] * 4)
    with pytest.raises(ValueError, match="graphs"):
        DiffusionEstimator(steps=1).fit([])
