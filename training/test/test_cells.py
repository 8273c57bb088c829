"""A cell of the paper's tables computed again from the weights that are kept, where DSAD_DATA names the data sets."""

import os
from pathlib import Path

import pytest
import torch

from dsad_training.checkpoint import load_weights
from dsad_training.experiments.frames import load_frames, score
from dsad_training.experiments.plan import load_plan
from dsad_training.results import RESULTS, read

TRAINING = Path(__file__).parents[1]
#: DSAD's student on NUDT-SIRST, seed 0, as the queue left it.
KEPT = TRAINING / "results" / "row-dnanet4-nudt-dsad-s0"


@pytest.mark.skipif("DSAD_DATA" not in os.environ, reason="DSAD_DATA names no folder of data sets")
def test_the_kept_weights_score_what_the_csv_says():
    plan = load_plan(TRAINING / "plans" / "paper.yaml")
    network, recipe, facts = load_weights(KEPT)
    folder = Path(os.environ["DSAD_DATA"]) / plan.data["nudt"]
    frames = load_frames(folder, plan.grid, plan.validation["nudt"], torch.device("cpu"))
    lines = read(RESULTS)
    lines = lines[lines["run"] == KEPT.name].set_index("split")
    assert set(lines.index) == {"validation", "test"}
    for name, line in lines.iterrows():
        found = score(network, frames.parts[name], recipe.data, line["threshold"])
        assert frames.split_hash[name] == line["split_hash"]
        assert facts["images"] == line["images"]
        assert (found.hits, found.targets) == (line["hits"], line["targets"])
        # One pixel of 43 million changes Fa by 2e-8: other kernels of torch may round one over the threshold.
        assert found.iou == pytest.approx(line["iou"], abs=1e-4)
        assert found.fa == pytest.approx(line["fa"], abs=2e-7)
