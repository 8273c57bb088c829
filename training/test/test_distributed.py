"""Two processes under torchrun train as one: the same weights on both, stops and resumes included."""

import json
import os
import signal
import subprocess
import sys

import pytest
import torch
import yaml

from dsad_core.errors import DsadError, UsageError
from dsad_training.checkpoint import CheckpointError, load_state, load_weights
from dsad_training.data.batches import Batches
from dsad_training.data.sources import load_training_data
from dsad_training.distributed import seed_of
from dsad_training.recipe import build_recipe, load_recipe
from dsad_training.state import TrainingState
from dsad_training.train import check_shares, train, training_step

#: A run, whole or resumed ("-"); rank 1 may be told to stop, by a signal to itself while it draws a batch.
TRAIN = """
import os, signal, sys
from dsad_training.data.batches import Batches
from dsad_training.recipe import load_recipe
from dsad_training.train import train
recipe, data, out, last_draw = sys.argv[1:]
draw, draws = Batches.draw, []
def counted(batches, *arguments):
    draws.append(None)
    if os.environ["RANK"] == "1" and len(draws) == int(last_draw):
        os.kill(os.getpid(), signal.SIGTERM)
    return draw(batches, *arguments)
Batches.draw = counted
sys.exit(0 if train(None if recipe == "-" else load_recipe(recipe), [data], out) else 3)
"""

#: Gradients and statistics of a training step, by two ranks.
GRADIENTS = """
import sys
import torch
from dsad_training.data.batches import Batches
from dsad_training.data.sources import load_training_data
from dsad_training.distributed import joined_ranks, rank
from dsad_training.recipe import load_recipe
from dsad_training.state import TrainingState
from dsad_training.train import training_step
torch.set_num_threads(1)
recipe, data, out = sys.argv[1:]
recipe = load_recipe(recipe)
with joined_ranks("cpu"):
    images = load_training_data([data], recipe.data, 0)
    state = TrainingState.fresh(recipe, torch.device("cpu"))
    batches = Batches(images.kept, recipe.data.augmentation, state.generator)
    training_step(state, batches, recipe.phases[0])
    gradients = {name: parameter.grad for name, parameter in state.network.named_parameters()}
    torch.save([gradients, dict(state.network.named_buffers())], f"{out}/{rank()}.pt")
"""


def start(folder, script, *words, processes=2):
    """The script under torchrun."""
    path = folder / "script.py"
    path.write_text(script)
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path), "OMP_NUM_THREADS": "1"}
    torchrun = [
        sys.executable,
        "-m",
        "torch.distributed.run",
        "--standalone",
        "--nproc-per-node",
        str(processes),
    ]
    return subprocess.Popen(
        [*torchrun, *map(str, [path, *words])],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        env=environment,
        start_new_session=True,
    )


def finish(process):
    try:
        return process.communicate(timeout=600)[0]
    finally:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)


@pytest.fixture
def recipe_file(tiny_recipe, tmp_path):
    def write(name="tiny", **changes):
        path = tmp_path / f"{name}.yaml"
        path.write_text(yaml.safe_dump({**tiny_recipe, "name": "tiny", **changes}))
        return path

    return write


def test_gradients_are_those_of_one_process_averaged(recipe_file, tiny_data, tmp_path):
    phase = {"steps": 1, "batch": 16, "crop": 32, "lr": 0.01}
    output = finish(process := start(tmp_path, GRADIENTS, recipe_file(phases=[phase]), tiny_data, tmp_path))
    assert process.returncode == 0, output
    (first, statistics), (second, _) = (torch.load(tmp_path / f"{rank}.pt") for rank in range(2))

    recipe = load_recipe(tmp_path / "tiny.yaml", ["phases.0.batch=8"])
    images, alone = load_training_data([tiny_data], recipe.data, 0), []
    for rank in range(2):
        state = TrainingState.fresh(recipe, torch.device("cpu"))
        generator = torch.Generator().manual_seed(seed_of(recipe.seed, rank))
        training_step(state, Batches(images.kept, recipe.data.augmentation, generator), recipe.phases[0])
        alone.append(state.network)
    for (name, one), (_, two) in zip(*(network.named_parameters() for network in alone)):
        # Bit for bit: halves of two numbers have one sum, in whatever order.
        assert torch.equal(first[name], (one.grad + two.grad) / 2), name
        assert torch.equal(first[name], second[name])
    for name, statistic in alone[0].named_buffers():
        assert torch.equal(statistics[name], statistic), name


def test_one_process_under_torchrun_trains_as_one_without(recipe_file, tiny_recipe, tiny_data, tmp_path):
    output = finish(
        process := start(tmp_path, TRAIN, recipe_file(), tiny_data, tmp_path / "one", 0, processes=1)
    )
    assert process.returncode == 0, output
    train(build_recipe(tiny_recipe), [tiny_data], tmp_path / "none")
    one, none = (load_state(tmp_path / name) for name in ("one", "none"))
    for part in ("network", "averaged"):
        assert all(torch.equal(one[part][name], none[part][name]) for name in none[part])


def test_sigterm_at_one_rank_stops_all_and_the_run_resumes_to_the_same_weights(
    recipe_file, tiny_recipe, tiny_data, tmp_path
):
    # MGD draws random masks on each rank and has generators to train.
    train(build_recipe(tiny_recipe), [tiny_data], tmp_path / "teacher", minutes=0)
    phases = [{"steps": 4, "batch": 4, "crop": 32, "lr": 0.01}]
    recipe = recipe_file(phases=phases, distillation={"method": "mgd", "teacher": str(tmp_path / "teacher")})
    both = [
        start(tmp_path, TRAIN, recipe, tiny_data, tmp_path / name, last_draw)
        for name, last_draw in (("whole", 0), ("cut", 2))
    ]
    whole, cut = map(finish, both)
    assert whole.count("validation on") == 1, whole
    assert cut.count("stopped at step 2 of 4") == 1 and load_state(tmp_path / "cut")["step"] == 2, cut
    with pytest.raises(CheckpointError, match="trained by 2 processes"):
        train(None, [tiny_data], tmp_path / "cut")
    resumed = finish(start(tmp_path, TRAIN, "-", tiny_data, tmp_path / "cut", 0))
    one, other = (load_state(tmp_path / name) for name in ("whole", "cut"))
    assert one["step"] == other["step"] == 4 and one["images"] == 16, resumed
    for part in ("network", "averaged", "distiller"):
        assert one[part] and all(torch.equal(one[part][name], other[part][name]) for name in one[part])
    assert len(one["random"]) == 2 and not torch.equal(*(each["generator"] for each in one["random"]))
    assert load_weights(tmp_path / "whole")[2]["step"] == 4
    records = [json.loads(line) for line in (tmp_path / "whole" / "log.jsonl").read_text().splitlines()]
    assert [record["step"] for record in records if "task" in record] == [4]


def test_a_batch_that_cannot_be_shared_is_refused(tiny_recipe):
    check_shares(build_recipe(tiny_recipe), 1)
    for size in (2, 3):
        with pytest.raises(UsageError, match=r"phases\.[01]\.batch") as caught:
            check_shares(build_recipe(tiny_recipe), size)
        assert isinstance(caught.value, DsadError) and "\n" not in str(caught.value)


def test_ranks_have_seeds_of_their_own():
    seeds = {seed_of(seed, rank) for rank in range(8) for seed in range(20)}
    assert len(seeds) == 160 and max(seeds) < 1 << 63
    assert seed_of(5, 0) == 5
