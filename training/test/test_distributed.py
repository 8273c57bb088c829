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
from dsad_training.distributed import Ranks
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

#: Gradients of a training step, before the optimiser takes it, by two ranks and by one that averages.
GRADIENTS = """
import sys
import torch
from dsad_training.data.batches import Batches
from dsad_training.data.sources import load_training_data
from dsad_training.distributed import joined_ranks
from dsad_training.recipe import load_recipe
from dsad_training.state import TrainingState
from dsad_training.train import training_step
recipe, data, out = sys.argv[1:]
recipe = load_recipe(recipe)
with joined_ranks("cpu") as ranks:
    images = load_training_data([data], recipe.data, 0)
    state = TrainingState.fresh(recipe, torch.device("cpu"), ranks)
    batches = Batches(images.kept, recipe.data.augmentation, state.generator)
    training_step(state, batches, recipe.phases[0], 0.0)
    gradients = [parameter.grad for parameter in state.trained]
    torch.save([gradients, list(state.network.buffers())], f"{out}/{ranks.rank}.pt")
"""


def start(folder, script, *words):
    """The script under torchrun, as two processes."""
    path = folder / "script.py"
    path.write_text(script)
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path), "OMP_NUM_THREADS": "1"}
    torchrun = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
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
        return process.communicate(timeout=120)[0]
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
    found = [torch.load(tmp_path / f"{rank}.pt") for rank in range(2)]

    recipe = load_recipe(tmp_path / "tiny.yaml", ["phases.0.batch=8"])
    images, alone = load_training_data([tiny_data], recipe.data, 0), []
    for rank in range(2):
        state = TrainingState.fresh(recipe, torch.device("cpu"))
        generator = torch.Generator().manual_seed(Ranks(rank, 2).seed(recipe.seed))
        batches = Batches(images.kept, recipe.data.augmentation, generator)
        training_step(state, batches, recipe.phases[0], 0.0)
        alone.append([[p.grad for p in state.trained], [b.float() for b in state.network.buffers()]])
    for part in range(2):
        for mine, other, one, two in zip(found[0][part], found[1][part], alone[0][part], alone[1][part]):
            assert torch.equal(mine, other)
            torch.testing.assert_close(mine.float(), (one + two) / 2, rtol=1e-4, atol=1e-6)


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
    for part in ("network", "ema", "distiller"):
        assert one[part] and all(torch.equal(one[part][name], other[part][name]) for name in one[part])
    assert len(one["generator"]) == 2 and not torch.equal(*one["generator"])
    assert load_weights(tmp_path / "whole")[2]["step"] == 4
    records = [json.loads(line) for line in (tmp_path / "whole" / "log.jsonl").read_text().splitlines()]
    assert [record["step"] for record in records if "task" in record] == [4]


def test_a_batch_that_cannot_be_shared_is_refused(tiny_recipe):
    check_shares(build_recipe(tiny_recipe), Ranks(0, 1))
    for size in (2, 3):
        with pytest.raises(UsageError, match=r"phases\.[01]\.batch") as caught:
            check_shares(build_recipe(tiny_recipe), Ranks(0, size))
        assert isinstance(caught.value, DsadError) and "\n" not in str(caught.value)


def test_ranks_have_seeds_of_their_own():
    seeds = {Ranks(rank, 8).seed(seed) for rank in range(8) for seed in range(20)}
    assert len(seeds) == 160 and max(seeds) < 1 << 63
    assert Ranks(0, 8).seed(5) == 5
