"""What every sampler promises: the loop, the template, the grid, and one stream of noise per graph."""

from __future__ import annotations

import itertools
import math

import pytest
import torch
from torch.testing import assert_close
from torch.utils._python_dispatch import TorchDispatchMode
from torch_geometric.data import Batch

from graphscore import ops, times
from graphscore.denoiser import Denoiser, NoiseAdapter, ScoreAdapter
from graphscore.fields import Field
from graphscore.nn import EGNN, Category, Feature, ScoreNetwork
from graphscore.process import ForwardProcess
from graphscore.rng import GraphGenerator
from graphscore.samplers import SAMPLERS, HeunSampler
from graphscore.sdes import SDE, SDES, VESDE, RectifiedSDE
from graphscore.testing import GaussianScore, ragged_batch

SIZES = (0, 4, 1, 0, 5, 3, 0)
GRID = times.karras_grid(3, VESDE(), end=1e-3)


def make(name, *arguments, **options):
    """A sampler by its name; Langevin dynamics with fewer steps than their accuracy, tested elsewhere, asks for."""
    quick = {"num_corrections": 2, "tolerance": math.inf} if name == "annealed-langevin" else {}
    return SAMPLERS[name](*arguments, **{**quick, **options})


@pytest.fixture
def model(vp) -> Denoiser:
    """A real network of random weights for positions and features."""
    process = ForwardProcess({Field("pos", scale=1.5, zero_mean=True): VESDE(), Field("x", width=2): vp})
    backbone = EGNN(8, 2, edge_channels=4, cond_channels=4)
    network = ScoreNetwork(backbone, {"pos": 3, "x": 2}, {"z": Category(4), "edge_attr": Feature(2, level="edge")})
    with torch.no_grad():
        for parameter in network.parameters():
            parameter += 0.2 * torch.randn_like(parameter)
    return Denoiser(network, process).double()


@pytest.mark.parametrize("name", SAMPLERS)
def test_a_sample_depends_neither_on_batch_mates_nor_on_order(name, model, device):
    model, sampler = model.to(device), make(name, model, GRID)
    graphs = ragged_batch(SIZES).to_data_list()
    seeds = [7, 1, 9, 4, 2**40, 11, 5]

    def sample(order):
        batch = Batch.from_data_list([graphs[i] for i in order]).to(device)
        return sampler(batch, GraphGenerator([seeds[i] for i in order])).batch

    together = sample(range(7))
    assert together.pos.dtype == torch.float64 and together.pos.device.type == device.type
    for order in ([6, 4, 0, 2, 5, 1, 3], [4], [2]):
        for place, graph in enumerate(sample(order).to_data_list()):
            for field in ("pos", "x"):
                assert_close(graph[field], together[order[place]][field], rtol=0, atol=1e-10)
    other = sampler(ragged_batch(SIZES).to(device), GraphGenerator(range(7))).batch
    assert not torch.allclose(other.pos, together.pos)


@pytest.mark.parametrize("name", SAMPLERS)
def test_zero_mean_fields_stay_so_through_all_steps(name, model):
    largest = []

    def callback(step, t, batch):
        largest.append(float(ops.mean(batch.pos, batch.batch, batch.num_graphs).abs().max()))

    sample = make(name, model, GRID)(ragged_batch(SIZES), GraphGenerator(range(7)), callback).batch
    assert len(largest) == len(GRID) and max(largest) < 1e-12
    assert float(ops.mean(sample.pos, sample.batch, 7).abs().max()) < 1e-12


def test_callbacks_see_every_step(model):
    seen = []
    sampler = HeunSampler(model, GRID, denoise_last=False)
    sample = sampler(ragged_batch(SIZES), GraphGenerator(range(7)), lambda *arguments: seen.append(arguments)).batch
    assert [step for step, _, _ in seen] == list(range(len(GRID)))
    assert [t for _, t, _ in seen] == GRID.tolist()
    prior = model.process.prior(ragged_batch(SIZES), GraphGenerator(range(7)), torch.float64)
    assert_close(seen[0][2].pos, prior.pos * 1.5)  # in data units
    assert_close(seen[-1][2].pos, sample.pos)
    assert_close(seen[-1][2].x, sample.x)
    inside = []
    end = sampler.integrate(prior, GraphGenerator(range(7)), lambda *arguments: inside.append(arguments)).batch
    assert_close(inside[-1][2].pos * 1.5, sample.pos)  # in units of the field's scale
    assert end.pos is inside[-1][2].pos


@pytest.mark.parametrize("name", SAMPLERS)
def test_the_prior_can_be_narrowed(name, model):
    starts = []
    for scale in (1.0, 0.25):
        sampler = make(name, model, GRID, prior_scale=scale)
        sampler(ragged_batch(SIZES), GraphGenerator(range(7)), lambda step, _, batch: step or starts.append(batch))
    for field in ("pos", "x"):
        assert_close(0.25 * starts[0][field], starts[1][field])
    for wrong in (0.0, -1.0, math.inf, math.nan):
        with pytest.raises(ValueError, match="prior_scale must be positive and finite, but is"):
            make(name, model, GRID, prior_scale=wrong)


@pytest.mark.parametrize("name", SAMPLERS)
def test_the_template_is_not_touched_and_its_fields_are_ignored(name, model):
    template = ragged_batch(SIZES)
    copies = {key: value.clone() for key, value in template.to_dict().items() if isinstance(value, torch.Tensor)}
    sampler = make(name, model, GRID)
    sample = sampler(template, GraphGenerator(range(7))).batch
    assert all(torch.equal(template[key], value) for key, value in copies.items())
    assert sample.z is template.z and sample.edge_index is template.edge_index
    template.pos = torch.full_like(template.pos, math.nan)
    assert torch.equal(sampler(template, GraphGenerator(range(7))).batch.pos, sample.pos)


def test_templates_need_not_have_the_fields(model):
    graphs = ragged_batch(SIZES).to_data_list()
    for graph in graphs:
        del graph.x
    sample = HeunSampler(model, GRID)(Batch.from_data_list(graphs), GraphGenerator(range(7))).batch
    assert sample.x.shape == (13, 2) and sample.x.isfinite().all()
    assert [len(graph.x) for graph in sample.to_data_list()] == list(SIZES)


@pytest.mark.parametrize("name", SAMPLERS)
@pytest.mark.parametrize("sizes", [(0,), (1, 0)])
def test_batches_of_nearly_nothing(name, model, sizes):
    sample = make(name, model, GRID)(ragged_batch(sizes), GraphGenerator(range(len(sizes)))).batch
    assert sample.pos.shape == (sum(sizes), 3) and sample.num_graphs == len(sizes)
    assert (sample.pos == 0).all() and sample.x.isfinite().all()


class SameDraws(GraphGenerator):
    """Noise that depends on the row alone: what a field gets does not depend on what else is drawn."""

    def __init__(self) -> None:
        super().__init__([])

    def randn(self, index, num_graphs, width, dtype):
        return torch.arange(1, 1 + len(index) * width, dtype=dtype).cos().view(-1, width)


class Straight(SDE):
    """The straight path with the noise levels of another process."""

    def __init__(self, other: SDE) -> None:
        self.other = other

    def alpha(self, t):
        return 1 / (1 + self.other.level(t))

    def std(self, t):
        return self.other.level(t) / (1 + self.other.level(t))


@pytest.mark.parametrize("name", [name for name in SAMPLERS if name != "adaptive"])
def test_each_field_is_sampled_by_its_own_process(name, vp):
    """Fields of two levels and processes, which know nothing of each other: together as each of them alone.

    The adaptive solver, whose steps depend on all fields, is compared with the exact flow of three in its own tests.
    """
    processes = {Field("edge_attr", "edge"): vp, Field("y", "graph", scale=3.0): Straight(vp)}
    grid = times.karras_grid(3, vp, start=0.99, end=1e-2)

    def sample(fields):
        model = GaussianScore(ForwardProcess({field: processes[field] for field in fields}), mean=0.5, std=0.5)
        return make(name, model, grid)(ragged_batch(SIZES), SameDraws()).batch

    together = sample(processes)
    for field in processes:
        assert_close(sample([field])[field.name], together[field.name], rtol=0, atol=1e-12)


def test_fields_of_every_level(vp):
    process = ForwardProcess({Field("edge_attr", "edge"): VESDE(), Field("y", "graph", scale=3.0): vp})
    grid = times.karras_grid(100, vp, end=1e-4)
    sampler = SAMPLERS["ancestral"](GaussianScore(process, mean=0.5, std=0.5), grid)
    sample = sampler(ragged_batch((0, 4, 1) * 200), torch.Generator().manual_seed(0)).batch
    for x, scale in ((sample.edge_attr, 1), (sample.y, 3)):
        assert float(x.std()) == pytest.approx(0.5 * scale, rel=4 / (2 * x.numel()) ** 0.5 + 0.03)
    assert float(sample.y.mean()) == pytest.approx(1.5, abs=4 * 1.5 / sample.y.numel() ** 0.5)


@pytest.mark.parametrize("name", SAMPLERS)
def test_the_type_is_that_of_the_model(name, model):
    model.float()
    template = ragged_batch(SIZES, dtype=torch.float32)
    sample = make(name, model, GRID)(template, GraphGenerator(range(7))).batch
    assert sample.pos.dtype == sample.x.dtype == torch.float32 and not sample.pos.requires_grad


def test_sampling_starts_with_the_noise_of_the_first_time():
    """A grid that starts below 1 must not start from the noise of time 1, of which the model is not told."""
    model, first = GaussianScore(ForwardProcess({Field("pos"): VESDE()})), []
    HeunSampler(model, times.linear_grid(2, start=0.4))(
        ragged_batch((30,) * 100, edgeless=(30,)), callback=lambda step, t, batch: first.append(batch.pos)
    )
    std = float(VESDE().std(torch.tensor(0.4)))
    assert float(first[0].std()) == pytest.approx(std, rel=4 / (2 * first[0].numel()) ** 0.5)


@pytest.mark.parametrize("name", SAMPLERS)
def test_score_functions_of_the_users_own(name):
    adapter = ScoreAdapter(lambda batch, t: -batch.pos / (1 + VESDE().std(t)[batch.batch, None] ** 2),
                           ForwardProcess({Field("pos"): VESDE()}))  # fmt: skip
    exact = GaussianScore(adapter.process)
    template = ragged_batch(SIZES)
    samples = [make(name, m, GRID)(template, GraphGenerator(range(7))).batch.pos for m in (adapter, exact)]
    assert_close(*(sample.double() for sample in samples), rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize(
    "grid", [[0.5], [0.1, 0.5], [1.0, 0.5, 0.5], [1.0, 0.0], [1.1, 0.5], [1.0, math.nan, 0.1], [[1.0, 0.5]], []]
)
def test_bad_grids_are_rejected(grid):
    with pytest.raises(ValueError, match="must fall strictly"):
        HeunSampler(GaussianScore(ForwardProcess({Field("pos"): VESDE()})), torch.tensor(grid))


def test_wrong_number_of_seeds_is_rejected(model):
    with pytest.raises(ValueError, match="3 seeds, but the batch has 7 graphs"):
        HeunSampler(model, GRID)(ragged_batch(SIZES), GraphGenerator(range(3)))


class NoWaiting(TorchDispatchMode):
    """Fails at every operation for which a device would have to be waited for."""

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        assert function not in (
            torch.ops.aten._local_scalar_dense.default,
            torch.ops.aten.nonzero.default,
            torch.ops.aten.item.default,
            torch.ops.aten.is_nonzero.default,
        ), f"{function} waits for the device"
        return function(*args, **(kwargs or {}))


@pytest.mark.parametrize("name", [name for name in SAMPLERS if name != "adaptive"])
def test_steps_never_wait_for_the_device(name, model, monkeypatch):
    """The adaptive solver has to ask whether it has arrived; all others go on without a look, and so do networks."""
    monkeypatch.setattr(ops, "on_host", lambda values: False)
    sampler, batch = make(name, model, GRID), model.process.prior(ragged_batch(SIZES), dtype=torch.float64)
    generator, memory = GraphGenerator(range(7)), None
    with torch.no_grad(), NoWaiting():
        for t, s in itertools.pairwise(GRID):
            batch, memory = sampler.step(model, batch, t.expand(7), s.expand(7), memory, generator)
    with pytest.raises(AssertionError, match="waits"), NoWaiting():
        bool(batch.pos.sum() > 0)


@pytest.mark.parametrize("name", SAMPLERS)
def test_what_cannot_start_from_pure_noise_says_so(name):
    """At time 1 the straight path has lost its data: methods and models that divide by alpha refuse to start there."""
    process, grid = ForwardProcess({Field("pos", width=3): RectifiedSDE()}), torch.tensor([1.0, 0.5, 0.1])
    model = GaussianScore(process)
    if name in ("euler-maruyama", "predictor-corrector", "annealed-langevin", "edm-heun"):
        with pytest.raises(ValueError, match=r"divides by alpha.*start the grid at most at 0.999"):
            make(name, model, grid)
    else:
        sample = make(name, model, grid)(ragged_batch(SIZES), GraphGenerator(range(7))).batch
        assert sample.pos.isfinite().all() and float(sample.pos.abs().max()) < 10
    for adapter in (ScoreAdapter, NoiseAdapter):
        with pytest.raises(ValueError, match=f"{adapter.__name__}|{SAMPLERS[name].__name__}"):
            make(name, adapter(lambda batch, t: batch.pos, process), grid)
    make(name, model, torch.tensor([0.999, 0.5, 0.1]))


# Each sampler and each process; every pair of them is tried in tests/testing/test_combinations.py.
PAIRS = list(itertools.islice(zip(itertools.cycle(SAMPLERS), itertools.cycle(SDES)), len(SAMPLERS)))


@pytest.mark.parametrize(("name", "process"), PAIRS)
def test_a_network_samples_with_every_process(name, process, model):
    """The process can be exchanged after training: the same network, in float32, with any process and sampler."""
    sde = SDES[process]()
    start, end = sde.time(torch.tensor([5.0, 0.01], dtype=torch.float64)).tolist()
    grid = times.karras_grid(4, sde, start=start, end=end)
    fields = {Field("pos", scale=1.5, zero_mean=True): sde, Field("x", width=2): VESDE()}
    exchanged = Denoiser(model.network.float(), ForwardProcess(fields))
    sample = make(name, exchanged, grid)(ragged_batch(SIZES, dtype=torch.float32), GraphGenerator(range(7))).batch
    assert sample.pos.dtype == torch.float32 and sample.pos.isfinite().all() and sample.x.isfinite().all()
    assert float(ops.mean(sample.pos, sample.batch, 7).abs().max()) < 1e-5


@pytest.mark.parametrize(
    ("name", "options"),
    [(name, {}) for name in SAMPLERS]
    + [("ancestral", {"eta": 0.0}), ("ddim", {"eta": 1.0}), ("karras", {"churn": 0.0})]
    + [("resampling", {"method": "heun", **options}) for options in ({}, {"num_resamples": 1}, {"jump": 9})]
    + [("resampling", {"num_resamples": 1})],
)
def test_whether_steps_draw_noise_is_told_as_it_is(name, options, model):
    sampler, generator = make(name, model, GRID, **options), GraphGenerator(range(7))
    sampler(ragged_batch(SIZES), generator)
    assert sampler.stochastic == (generator.num_draws > len(model.fields))  # more than the prior of each field
