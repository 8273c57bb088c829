import json
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest
import torch
import yaml
from torch import nn

from dsad_core.errors import UsageError
from dsad_tools.data.dataset import SirstDataset
from dsad_training.checkpoint import (
    STATE_FILE,
    WEIGHTS_FILE,
    CheckpointError,
    load_state,
    load_weights,
    save_state,
    save_weights,
)
from dsad_training.data.packed import pack
from dsad_training.evaluate import evaluate
from dsad_training.networks.build import build_network
from dsad_training.recipe import build_recipe
from dsad_training.schedule import averaged, schedule_of
from dsad_training.state import TrainingState
from dsad_training.train import train


@pytest.fixture
def recipe(tiny_recipe):
    return build_recipe(tiny_recipe)


def final(folder):
    state = load_state(folder)
    return {**state["network"], **{f"averaged.{k}": v for k, v in state["averaged"].items()}}


def test_a_stopped_run_resumes_to_the_same_weights(recipe, tiny_data, tmp_path):
    assert train(recipe, [tiny_data], tmp_path / "whole")
    # No time at all: every call makes one step, so the run is cut at each of them.
    finished, calls = train(recipe, [tiny_data], tmp_path / "cut", minutes=0), 1
    while not finished:
        finished, calls = train(None, [tiny_data], tmp_path / "cut", minutes=0), calls + 1
    assert calls == recipe.steps
    whole, cut = final(tmp_path / "whole"), final(tmp_path / "cut")
    assert whole.keys() == cut.keys()
    assert all(torch.equal(whole[name], cut[name]) for name in whole)
    assert load_state(tmp_path / "cut")["images"] == 4 * 4 + 2 * 2


def test_a_distilled_run_resumes_to_the_same_weights(tiny_recipe, tiny_data, tmp_path):
    train(build_recipe(tiny_recipe), [tiny_data], tmp_path / "teacher")
    # MGD draws random masks and has generators to train: all of it must survive the stop.
    content = {**tiny_recipe, "distillation": {"method": "mgd", "teacher": str(tmp_path / "teacher")}}
    assert train(build_recipe(content), [tiny_data], tmp_path / "whole")
    assert not train(build_recipe(content), [tiny_data], tmp_path / "cut", minutes=0)
    assert train(None, [tiny_data], tmp_path / "cut")
    whole, cut = (load_state(tmp_path / name) for name in ("whole", "cut"))
    for part in ("network", "averaged", "distiller"):
        assert whole[part] and all(torch.equal(whole[part][name], cut[part][name]) for name in whole[part])


@pytest.mark.parametrize("network", ["amfunet", "dmfnet"])
def test_the_other_networks_train_too(network, tiny_recipe, tiny_data, tmp_path):
    content = {**tiny_recipe, "network": {"name": network, "width": 4, "spatial": "none"}, "bf16": True}
    assert not train(build_recipe(content), [tiny_data], tmp_path, minutes=0)
    assert load_weights(tmp_path)[2]["step"] == 1


def test_a_compiled_run_leaves_the_same_files(tiny_recipe, tiny_data, tmp_path):
    for name in ("plain", "compiled"):
        # Compiled as far as torch goes without generating code, which takes minutes.
        with torch.compiler.set_stance("force_eager"):
            recipe = build_recipe({**tiny_recipe, "compile": name == "compiled", "kernels": False})
            train(recipe, [tiny_data], tmp_path / name, minutes=0)
    plain, compiled = (load_state(tmp_path / name) for name in ("plain", "compiled"))
    for part in ("network", "averaged"):
        assert plain[part].keys() == compiled[part].keys()
        assert all(torch.equal(plain[part][name], compiled[part][name]) for name in plain[part])
    assert train(None, [tiny_data], tmp_path / "compiled", overrides=["compile=false"])


def test_a_run_starts_from_the_weights_of_another(tiny_recipe, tiny_data, tmp_path):
    train(build_recipe(tiny_recipe), [tiny_data], tmp_path / "first")
    phase = {"steps": 2, "batch": 2, "crop": 32, "lr": 1e-12}  # so that the weights stay where they start
    content = {**tiny_recipe, "phases": [phase], "start": str(tmp_path / "first"), "seed": 9}
    assert not train(build_recipe(content), [tiny_data], tmp_path / "second", minutes=0)
    first = load_weights(tmp_path / "first")[0].state_dict()
    second = load_state(tmp_path / "second")["network"]
    for name in (name for name in first if "running" not in name and "num_batches" not in name):
        torch.testing.assert_close(second[name], first[name], rtol=0, atol=1e-9)
    shutil.rmtree(tmp_path / "first")  # a run that is under way needs it no more
    with pytest.raises(UsageError, match="before the first step"):
        train(None, [tiny_data], tmp_path / "second", overrides=["start=null"])
    assert train(None, [tiny_data], tmp_path / "second")
    assert len(load_weights(tmp_path / "second")[2]["start_sha256"]) == 64


def test_a_start_from_another_network_is_refused(tiny_recipe, tiny_data, tmp_path):
    train(build_recipe(tiny_recipe), [tiny_data], tmp_path / "first", minutes=0)
    wider = {**tiny_recipe, "network": {"name": "dnanet", "width": 3}, "start": str(tmp_path / "first")}
    with pytest.raises(CheckpointError, match="another network"):
        train(build_recipe(wider), [tiny_data], tmp_path / "second")
    assert not (tmp_path / "second").exists()


def test_a_start_from_another_spatial_attention_leaves_that_alone_fresh(tiny_recipe, tiny_data, tmp_path):
    train(build_recipe(tiny_recipe), [tiny_data], tmp_path / "first", minutes=0)
    first = load_weights(tmp_path / "first")[0].state_dict()
    network = {**tiny_recipe["network"], "spatial": "dsa"}
    content = {**tiny_recipe, "network": network, "seed": 9}
    state = TrainingState.fresh(build_recipe(content), torch.device("cpu"))
    before = {name: weight.clone() for name, weight in state.network.state_dict().items()}
    state.start_from(tmp_path / "first")
    for name, weight in state.network.state_dict().items():
        assert torch.equal(weight, before[name] if ".spatial." in name else first[name]), name
        assert torch.equal(weight, state.ema.state_dict()[name])


def test_a_teacher_of_other_normalisation_is_refused(tiny_recipe, tmp_path):
    recipe = build_recipe({**tiny_recipe, "data": {"mean": 0.3}})
    save_weights(tmp_path, build_network(recipe.network).state_dict(), recipe, {})
    content = {**tiny_recipe, "distillation": {"method": "kd", "teacher": str(tmp_path)}}
    with pytest.raises(UsageError, match="mean 0.3 and std 0.225, the recipe has 0.45"):
        TrainingState.fresh(build_recipe(content), torch.device("cpu"))


def test_a_change_on_the_way_is_recorded(recipe, tiny_data, tmp_path):
    train(recipe, [tiny_data], tmp_path, minutes=0)
    assert train(None, [tiny_data], tmp_path, overrides=["phases.1.steps=1"])
    assert load_state(tmp_path)["step"] == 5
    assert load_weights(tmp_path)[2]["changes"] == ["from step 1: phases.1.steps=1"]


def test_log_has_losses_and_validation(recipe, tiny_data, tmp_path):
    train(recipe, [tiny_data], tmp_path)
    records = [json.loads(line) for line in (tmp_path / "log.jsonl").read_text().splitlines()]
    assert [record["step"] for record in records if "task" in record] == [4, 6]
    validation = next(record["validation"] for record in records if "validation" in record)
    assert validation["frames"] == 2 and validation["targets"] == 2


def test_learning_rate_rises_then_falls_phase_by_phase(recipe):
    rates = [0.005, 0.01, 0.01, 0.005, 0.005, 0.0025]
    state = TrainingState.fresh(recipe, torch.device("cpu"))
    for step, rate in enumerate(rates):
        assert state.schedule.get_last_lr() == pytest.approx([rate, rate])
        # Wherever it is picked up it goes on alike.
        assert schedule_of(recipe, state.optimiser, step).get_last_lr() == pytest.approx([rate, rate])
        state.optimiser.step()
        state.schedule.step()


def test_the_average_follows_faster_at_first(recipe):
    network = nn.Linear(1, 1, bias=False)
    nn.init.zeros_(network.weight)
    model, expected = averaged(network, 0.3), 0.0
    for step in range(1, 5):
        nn.init.constant_(network.weight, step)
        model.update_parameters(network)
        decay = 0 if step == 1 else min(0.3, (1 + step) / (10 + step))
        expected = decay * expected + (1 - decay) * step
        assert model.module.weight.item() == pytest.approx(expected)


def test_biases_and_scales_are_not_decayed(recipe):
    state = TrainingState.fresh(recipe, torch.device("cpu"))
    decayed = {
        id(p): group["weight_decay"] for group in state.optimiser.param_groups for p in group["params"]
    }
    for name, parameter in state.network.named_parameters():
        assert decayed[id(parameter)] == (recipe.weight_decay if parameter.ndim > 1 else 0), name


def test_learns_the_tiny_data_set(tiny_recipe, tiny_data, tmp_path):
    phase = {"steps": 150, "batch": 8, "crop": 32, "lr": 0.02, "warm_up": 5}
    train(build_recipe({**tiny_recipe, "phases": [phase], "ema": 0.9}), [tiny_data], tmp_path)
    records = [json.loads(line) for line in (tmp_path / "log.jsonl").read_text().splitlines()]
    (held_out,) = (record["validation"] for record in records if "validation" in record)
    assert held_out["iou"] > 0.5 and held_out["pd"] == 1
    network, recipe, _ = load_weights(tmp_path)
    data = pack((s.name, s.image, s.mask) for s in SirstDataset(tiny_data, "test"))
    result = evaluate(network, data, recipe.data)
    assert result.frames == 4 and result.targets == 4 and result.pd == 1


def test_refuses_to_overwrite_a_run(recipe, tiny_data, tmp_path):
    train(recipe, [tiny_data], tmp_path, minutes=0)
    with pytest.raises(UsageError, match="already holds a run"):
        train(recipe, [tiny_data], tmp_path)


def test_refuses_a_device_that_is_not_there(recipe, tiny_data, tmp_path, monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(UsageError, match="no usable NVIDIA GPU"):
        train(recipe, [tiny_data], tmp_path, device="cuda")
    with pytest.raises(UsageError, match="'gpu' is not one of"):
        train(recipe, [tiny_data], tmp_path, device="gpu")


def test_refuses_to_resume_on_another_split(recipe, tiny_data, tmp_path):
    train(recipe, [tiny_data], tmp_path / "run", minutes=0)
    other = tmp_path / "other"
    shutil.copytree(tiny_data, other)
    (other / "50_50" / "train.txt").write_text("000\n001\n002\n003\n")
    with pytest.raises(UsageError, match=r"was trained on .*\(\w{12}\), not on other \(\w{12}\)"):
        train(None, [other], tmp_path / "run")


def test_sigterm_leaves_a_state_to_resume(tiny_recipe, tiny_data, tmp_path):
    content = {**tiny_recipe, "phases": [{"steps": 100000, "batch": 2, "crop": 32, "lr": 0.001}]}
    (tmp_path / "long.yaml").write_text(yaml.safe_dump(content))
    script = (
        "import sys; from dsad_training.recipe import load_recipe; from dsad_training.train import train;"
        "sys.exit(0 if train(load_recipe(sys.argv[1]), [sys.argv[2]], sys.argv[3]) else 3)"
    )
    out = tmp_path / "run"
    command = [sys.executable, "-c", script, str(tmp_path / "long.yaml"), str(tiny_data), str(out)]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path), "OMP_NUM_THREADS": "1"}
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment)
    try:
        assert process.stdout.readline().startswith("step ")
        process.send_signal(signal.SIGTERM)
        output, _ = process.communicate(timeout=60)
    finally:
        process.kill()
    assert process.returncode == 3
    assert "resume with" in output
    assert load_state(out)["step"] >= 1


@pytest.mark.parametrize("damage", ["missing", "truncated", "foreign", "code"])
def test_a_bad_state_is_one_clear_error(damage, recipe, tiny_data, tmp_path):
    train(recipe, [tiny_data], tmp_path, minutes=0)
    path = tmp_path / STATE_FILE
    if damage == "missing":
        path.unlink()
    elif damage == "truncated":
        path.write_bytes(path.read_bytes()[:1000])
    elif damage == "foreign":
        save_state(tmp_path, {"weights": torch.zeros(1)})
    else:
        torch.save({"recipe": Path("/tmp"), "step": os.system}, path)
    with pytest.raises(CheckpointError) as caught:
        train(None, [tiny_data], tmp_path)
    assert str(path) in str(caught.value) and "\n" not in str(caught.value)


@pytest.mark.parametrize("damage", ["missing", "truncated", "foreign"])
def test_bad_weights_are_one_clear_error(damage, recipe, tiny_data, tmp_path):
    train(recipe, [tiny_data], tmp_path, minutes=0)
    path = tmp_path / WEIGHTS_FILE
    if damage == "missing":
        path.unlink()
    elif damage == "truncated":
        path.write_bytes(path.read_bytes()[:-1000])
    else:
        import safetensors.torch

        path.write_bytes(safetensors.torch.save({"a": torch.zeros(3)}))
    with pytest.raises(CheckpointError) as caught:
        load_weights(tmp_path)
    assert str(path) in str(caught.value) and "\n" not in str(caught.value)
