import shutil

import numpy as np
import pytest
import torch
from PIL import Image

from dsad_core.errors import DataError, UsageError
from dsad_tools.data.dataset import SirstDataset
from dsad_training import results
from dsad_training.checkpoint import load_weights
from dsad_training.evaluate import evaluate
from dsad_training.experiments.cohort import Cohort
from dsad_training.experiments.frames import load_frames, on_grid, score
from dsad_training.experiments.graphs import recorded
from dsad_training.experiments.plan import Plan, Run, load_plan, plan_jobs, plan_runs
from dsad_training.experiments.queue import run_plan
from dsad_training.recipe import DataPart
from dsad_training.tables.paper import load_paper

CPU = torch.device("cpu")
PLAN = {
    "steps": 3,
    "tables": [4],
    "networks": ["dnanet"],
    "teacher_width": 4,
    "student_width": 2,
    "validation": {"nudt": 2, "nuaa": 2},
    "grid": 64,
    "crop": 32,
    "rows": {"batch": 2},
    "teachers": {"batch": 2},
    "sweep": {"share": 0.3, "factors": [0.1, 1.0]},
    "seeds": {"other": 1},
    "recipe": {"bce": 0.5},
}


@pytest.fixture(scope="module")
def sets(tiny_data, tmp_path_factory):
    """A folder with both data sets."""
    folder = tmp_path_factory.mktemp("sets")
    for name in ("NUDT-SIRST", "NUAA-SIRST"):
        shutil.copytree(tiny_data, folder / name)
    return folder


def run(method="alone", width=2, kind="row", seed=0, steps=3):
    return Run(kind, "dnanet", width, "cbam", "nudt", method, "dsa" if method == "dsad" else "", seed, steps)


def cohort(methods, sets, out, plan=Plan(**PLAN)):
    """Students under a teacher that is made for them, the same each time."""
    frames, teacher = load_frames(sets / "NUDT-SIRST", 64, 2, CPU), run(width=4, kind="teacher")
    if not (out / teacher.name).exists():
        own = Cohort([(teacher, teacher.recipe(plan, None, None))], frames, None, out, CPU)
        own.step()
        own.save()
    runs = [run(method) for method in methods]
    recipes = [each.recipe(plan, out / teacher.name, 1.0) for each in runs]
    return Cohort(list(zip(runs, recipes)), frames, out / teacher.name, out, CPU)


def finish(cohort):
    while not cohort.done:
        cohort.step()
    return {student.run.method: student.state.ema.state_dict() for student in cohort.students}


def test_the_papers_plan_has_every_row_of_every_table():
    plan = load_plan("plans/paper.yaml")
    runs = {
        (each.network, each.width, each.spatial, each.data_set, each.method, each.map)
        for each in plan_runs(plan)
        if each.kind in ("row", "teacher")
    }
    paper = load_paper()
    for number in range(1, 7):
        for row in paper.table(number).rows.values():
            network = paper.networks[row.network]
            key = (network.name, network.width, network.spatial)
            map = row.weights if row.distiller == "dsad" else ""
            assert all((*key, data_set, row.distiller or "alone", map) in runs for data_set in row.scores)
    counts = {}
    for each in plan_runs(plan):
        if (
            each.kind == "row"
            and each.network == "dnanet"
            and each.spatial == "cbam"
            and each.map in ("", "dsa")
        ):
            counts[each.method] = counts.get(each.method, 0) + 1
    assert counts["alone"] == counts["dsad"] == 6 and counts["kd"] == counts["rkd"] == 4


def test_jobs_wait_for_their_teacher_and_their_weights():
    plan = Plan(**PLAN)
    jobs = plan_jobs(plan, plan_runs(plan))
    done = set()
    for job in jobs:
        assert job.needs <= done, job.name
        assert len({(each.network, each.data_set, each.seed, each.steps) for each in job.runs}) == 1
        done |= {each.name for each in job.runs}
    row = next(job for job in jobs if any(each.kind == "row" and each.method == "dsad" for each in job.runs))
    assert any(name.startswith("sweep") for name in row.needs) and row.teacher in row.needs


def test_every_job_learns_from_a_teacher_that_the_plan_trains():
    plan = load_plan("plans/paper.yaml")
    teachers = {each.name: each for each in plan_runs(plan) if each.kind == "teacher"}
    jobs = [job for job in plan_jobs(plan, plan_runs(plan)) if job.teacher]
    assert jobs and all(teachers[job.teacher].data_set == job.runs[0].data_set for job in jobs)
    steps = {each.data_set: each.steps for each in teachers.values()}
    assert steps["nuaa"] == plan.teacher_share["nuaa"] * steps["nudt"]


def test_one_number_is_the_budget():
    short, long = (load_plan("plans/paper.yaml", steps) for steps in (100, 200))
    pairs = list(zip(plan_runs(short), plan_runs(long)))
    assert all(b.steps == pytest.approx(2 * a.steps, abs=1) for a, b in pairs)
    assert {each.kind for each, _ in pairs} == {"teacher", "sweep", "row", "longer"}


def test_a_plan_names_what_is_wrong(tmp_path):
    path = tmp_path / "plan.yaml"
    path.write_text("steps: 3\ncolour: red\n")
    with pytest.raises(UsageError, match="colour"):
        load_plan(path)
    path.write_text("- 3\n")
    with pytest.raises(UsageError, match="mapping"):
        load_plan(path)


def test_a_student_is_trained_in_company_as_alone(sets, tmp_path):
    together = finish(cohort(["alone", "kd", "dsad", "crosskd"], sets, tmp_path))
    for method in ("alone", "kd", "dsad", "crosskd"):
        apart = finish(cohort([method], sets, tmp_path))[method]
        for name, value in apart.items():
            torch.testing.assert_close(together[method][name], value, msg=f"{method} {name}")


def test_a_cohort_goes_on_to_the_same_weights(sets, tmp_path):
    whole = finish(cohort(["alone", "dsad"], sets, tmp_path))
    first = cohort(["alone", "dsad"], sets, tmp_path)
    first.step()
    first.save()
    second = cohort(["alone", "dsad"], sets, tmp_path)
    assert second.resume() and second.step_number == 1
    for method, weights in finish(second).items():
        for name, value in weights.items():
            torch.testing.assert_close(value, whole[method][name], msg=f"{method} {name}")
    assert not cohort(["kd", "dsad"], sets, tmp_path).resume()


def test_frames_are_brought_to_the_grid_as_pillow_does_it(tiny_data):
    source = SirstDataset(tiny_data, "test")
    for (name, image, mask), sample in zip(on_grid(source, 64), source):
        assert name == sample.name and image.shape == mask.shape == (64, 64)
        assert set(np.unique(mask)) <= {0, 255}
        assert np.array_equal(mask, np.asarray(Image.fromarray(sample.mask).resize((64, 64), 0)))


def test_scores_are_those_of_the_training(sets):
    frames = load_frames(sets / "NUDT-SIRST", 64, 2, CPU)
    network = cohort_network()
    for part in frames.parts.values():
        mine, theirs = score(network, part, DataPart()), evaluate(network, part, DataPart())
        assert mine == theirs


def cohort_network():
    from dsad_training.networks.build import build_network
    from dsad_training.recipe import NetworkPart

    torch.manual_seed(0)
    network = build_network(NetworkPart(name="dnanet", width=2))
    with torch.no_grad():
        network.heads[-1].bias.fill_(-0.5)
    return network


def test_work_that_cannot_be_recorded_runs_as_it_is(monkeypatch):
    monkeypatch.setattr(torch.cuda, "synchronize", lambda: None)
    said = []
    work = recorded(lambda: 7, said.append, "teacher")  # a CPU build has no graphs
    assert work() == 7 and "teacher: not recorded" in said[0]


def test_a_plan_runs_stops_and_goes_on(sets, tmp_path):
    plan = Plan(**PLAN)
    stopped = run_plan(plan, sets, tmp_path, minutes=0.0)
    assert stopped.done == 0 and not (tmp_path / "results.csv").exists()
    outcome = run_plan(plan, sets, tmp_path, commit="abc")
    assert outcome.done == outcome.runs and not outcome.failed
    lines = results.read(tmp_path / "results.csv")
    rows = lines[lines["kind"] == "row"]
    assert set(rows["method"]) == {"alone", "dsad"} and set(rows["map"]) == {"", "dsa", "sa", "ones"}
    assert set(lines[lines["kind"] == "sweep"]["split"]) == {"validation"}
    assert (rows["images"] == 6).all() and (rows["minutes"] > 0).all() and set(lines["commit"]) == {"abc"}
    chosen = results.best_weights(lines)["dnanet", "dsad"]
    assert set(rows[rows["method"] == "dsad"]["weight"]) == {chosen}
    # Every cell can be had again from the run's own weights.
    cell = rows[(rows["split"] == "test") & (rows["data_set"] == "nudt")].iloc[0]
    network, recipe, _ = load_weights(tmp_path / cell["run"])
    part = load_frames(sets / "NUDT-SIRST", plan.grid, 2, CPU).parts["test"]
    again = score(network, part, recipe.data)
    assert (again.iou, again.pd, again.fa) == pytest.approx((cell["iou"], cell["pd"], cell["fa"]), abs=1e-9)
    # Nothing is done twice; a new budget is new work.
    assert run_plan(plan, sets, tmp_path).done == outcome.runs
    assert len(results.read(tmp_path / "results.csv")) == len(lines)
    (tmp_path / "results.csv").write_text("a,b\n1,2\n")
    with pytest.raises(DataError, match="columns"):
        run_plan(plan, sets, tmp_path)
