"""What to train: a plan file, and the runs and jobs that it stands for."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import yaml
from pydantic import Field, ValidationError

from dsad_core.errors import UsageError
from dsad_training.distillers.build import DISTILLERS
from dsad_training.recipe import Part, Recipe, build_recipe
from dsad_training.tables.paper import Network, Row, SetKey, load_paper

Kind = Literal["teacher", "sweep", "row", "longer"]


class Budget(Part):
    """What a kind of run sees."""

    share: float = Field(1.0, gt=0, description="times the plan's steps")
    batch: int = Field(32, ge=2)
    lr: float = Field(3e-3, gt=0, description="highest learning rate")


class Sweep(Part):
    """Short trainings that choose each method's weight by the validation IoU."""

    share: float = Field(0.25, gt=0, description="times the plan's steps")
    factors: list[float] = Field(min_length=1, description="times the method's default weight")
    data_set: SetKey = "nudt"


class Longer(Part):
    """Further runs at another budget, beside the rows of the tables."""

    share: float = Field(gt=0, description="times the plan's steps")
    networks: list[str]
    data_sets: list[SetKey]
    methods: list[str] = ["alone"]
    seeds: int = Field(1, ge=1)


class Plan(Part):
    """The trainings behind the paper's tables at one budget.

    Attributes:
        steps: the budget of a table's row, which every other budget is a share of.
        data: folder of each data set, under the folder that the command is given.
        validation: images cut from each training split; the weights are chosen on them.
        rows, teachers: how a table's row is trained, and its teacher.
        seeds: how many of a row, by method; "other" for those not named, "teacher" for every teacher.
        cohort: most students that share a batch and the teacher's pass over it.
    """

    steps: int = Field(ge=1)
    data: dict[SetKey, str] = {"nudt": "NUDT-SIRST", "nuaa": "NUAA-SIRST"}
    validation: dict[SetKey, int] = {"nudt": 100, "nuaa": 40}
    grid: int = Field(256, ge=16, multiple_of=16, description="side that images are brought to, px")
    crop: int = Field(64, ge=16, multiple_of=16)
    tables: list[int] = [1, 2, 3, 4, 5, 6]
    networks: list[str] = ["dnanet", "amfunet", "dmfnet"]
    teacher_width: int = 16
    student_width: int = 4
    teachers: Budget = Budget()
    teacher_share: dict[SetKey, float] = Field({}, description="times the teachers' steps, by data set")
    rows: Budget = Budget()
    sweep: Sweep | None = None
    longer: list[Longer] = []
    seeds: dict[str, int] = {"teacher": 1, "alone": 3, "dsad": 3, "other": 2}
    cohort: int = Field(8, ge=1)
    recipe: dict[str, Any] = Field(
        default_factory=dict, description="of every run: normalisation, losses, precision"
    )

    def stretch(self, share: float) -> int:
        """Steps of a budget."""
        return max(1, round(share * self.steps))

    def teacher_steps(self, data_set: SetKey) -> int:
        """Steps of a teacher."""
        return self.stretch(self.teachers.share * self.teacher_share.get(data_set, 1.0))


def load_plan(path: str | Path, steps: int | None = None) -> Plan:
    """Read a plan file; ``steps`` takes the place of the file's.

    Raises:
        UsageError: no such file, not YAML, an unknown key or a value out of range; the key is named.
    """
    path = Path(path)
    try:
        content = yaml.safe_load(path.read_text())
        if not isinstance(content, dict):
            raise UsageError(f"plan {path} is not a mapping of keys to values")
        return Plan.model_validate(content if steps is None else {**content, "steps": steps})
    except OSError as error:
        raise UsageError(f"cannot read plan {path}: {error.strerror}") from None
    except (yaml.YAMLError, UnicodeDecodeError):
        raise UsageError(f"plan {path} is not valid YAML") from None
    except ValidationError as error:
        first = error.errors()[0]
        key = ".".join(str(part) for part in first["loc"])
        raise UsageError(f"plan {path}: {key or 'value'}: {first['msg']}") from None


@dataclass(frozen=True)
class Run:
    """One training.

    Attributes:
        kind: what it is for: ``teacher``, ``sweep`` of a weight, ``row`` of a table, ``longer`` budget.
        method: a distiller's name, or ``alone``; map: DSAD's map M, empty for other methods.
        weight: the distiller's, 0 for ``alone``; None where the sweep has to choose it first.
    """

    kind: Kind
    network: str
    width: int
    spatial: str
    data_set: SetKey
    method: str
    map: str
    seed: int
    steps: int
    weight: float | None = 0.0

    def images(self, plan: Plan) -> int:
        """Crops that it is trained on."""
        return self.steps * (plan.teachers if self.kind == "teacher" else plan.rows).batch

    @property
    def name(self) -> str:
        module = "-dsa" if self.spatial == "dsa" else ""
        method = self.method + (f"-{self.map}" if self.map not in ("", "dsa") else "")
        tail = f"-w{self.weight:g}" if self.kind == "sweep" else ""
        tail += f"-{self.steps}" if self.kind == "longer" else ""
        return f"{self.kind}-{self.network}{self.width}{module}-{self.data_set}-{method}{tail}-s{self.seed}"

    def recipe(self, plan: Plan, teacher: Path | None, weight: float | None) -> Recipe:
        """What it is trained by; ``weight`` takes the place of one still to be chosen."""
        budget = plan.teachers if self.kind == "teacher" else plan.rows
        phase = {"steps": self.steps, "batch": budget.batch, "crop": plan.crop, "lr": budget.lr}
        content = {
            **plan.recipe,
            "name": self.name,
            "network": {"name": self.network, "width": self.width, "spatial": self.spatial},
            "data": {**plan.recipe.get("data", {}), "validation": plan.validation[self.data_set]},
            "seed": self.seed,
            "phases": [{**phase, "final_lr": budget.lr / 30, "warm_up": max(1, self.steps // 20)}],
        }
        if self.method != "alone":
            options = {"weights": self.map} if self.method == "dsad" else {}
            content["distillation"] = {
                "method": self.method,
                "teacher": str(teacher),
                "weight": self.weight if self.weight is not None else weight,
                "options": options,
            }
        return build_recipe(content, origin=self.name)


@dataclass(frozen=True)
class Job:
    """Runs that are trained side by side: one network and data set, the same batches and the same teacher.

    Attributes:
        teacher: name of the run whose weights they learn from, or None.
        needs: names of the runs that have to be done before.
    """

    runs: tuple[Run, ...]
    teacher: str | None
    needs: frozenset[str]

    @property
    def name(self) -> str:
        first = self.runs[0]
        return first.name if len(self.runs) == 1 else f"{first.name} and {len(self.runs) - 1} more"


def plan_runs(plan: Plan) -> list[Run]:
    """Every run of a plan, the most needed first."""
    paper, every = load_paper(), dict[str, Run]()
    for number in plan.tables:
        for row in paper.table(number).rows.values():
            network = paper.networks[row.network]
            if network.name in plan.networks:
                for data_set in row.scores:
                    for run in _row(plan, row, network, data_set):
                        every[run.name] = run
    teachers = [run for run in every.values() if run.kind == "teacher"]
    rows = [run for run in every.values() if run.kind == "row"]
    # Whatever is cut off by a limit of time is a later seed, not a whole row.
    ordered = [run for run in teachers if run.seed == 0 and run.spatial != "dsa"]
    ordered += _sweep(plan, rows)
    rest = [run for run in teachers if run not in ordered]
    for seed in range(max(plan.seeds.values())):
        ordered += [run for run in rows if run.seed == seed]
        ordered += [run for run in rest if run.seed == seed]
        ordered += [run for run in _longer(plan, rows) if run.seed == seed]
    return ordered


def _row(plan: Plan, row: Row, network: Network, data_set: SetKey) -> list[Run]:
    teacher = network.teacher is None
    method = row.distiller or "alone"
    kind: Kind = "teacher" if teacher else "row"
    steps = plan.teacher_steps(data_set) if teacher else plan.stretch(plan.rows.share)
    count = plan.seeds.get("teacher" if teacher else "other", plan.seeds["other"])
    if not teacher and network.spatial != "dsa" and row.weights == "dsa":
        count = plan.seeds.get(method, count)
    return [
        Run(
            kind=kind,
            network=network.name,
            width=plan.teacher_width if teacher else plan.student_width,
            spatial=network.spatial,
            data_set=data_set,
            method=method,
            map=row.weights if method == "dsad" else "",
            seed=seed,
            steps=steps,
            weight=0.0 if method == "alone" else None,
        )
        for seed in range(count)
    ]


def _sweep(plan: Plan, rows: list[Run]) -> list[Run]:
    """Each network's own methods, each weight, on one data set. All maps of DSAD share one weight."""
    if plan.sweep is None:
        return []
    found = {}
    for run in rows:
        if run.method != "alone" and run.map in ("", "dsa") and run.spatial != "dsa":
            for factor in plan.sweep.factors:
                weight = factor * DISTILLERS[run.method].default_weight
                content = {**run.__dict__, "kind": "sweep", "data_set": plan.sweep.data_set, "seed": 0}
                swept = Run(**{**content, "steps": plan.stretch(plan.sweep.share), "weight": weight})
                found[swept.name] = swept
    return list(found.values())


def _longer(plan: Plan, rows: list[Run]) -> list[Run]:
    found = {}
    for longer in plan.longer:
        for run in rows:
            plain = run.spatial != "dsa" and run.map in ("", "dsa") and run.seed < longer.seeds
            wanted = run.network in longer.networks and run.data_set in longer.data_sets
            if plain and wanted and run.method in longer.methods:
                run = Run(**{**run.__dict__, "kind": "longer", "steps": plan.stretch(longer.share)})
                found[run.name] = run
    return list(found.values())


def plan_jobs(plan: Plan, runs: list[Run]) -> list[Job]:
    """Runs that share batches and teacher together, at most ``plan.cohort`` of them; the order is kept."""
    groups: dict[tuple, list[Run]] = {}
    for run in runs:
        alone = run.kind == "teacher" or (run.kind == "longer" and run.method == "alone")
        key = (run.kind, run.network, run.data_set, run.seed, run.steps, run.name if alone else "")
        groups.setdefault(key, []).append(run)
    jobs = []
    for group in groups.values():
        parts = -(-len(group) // plan.cohort)
        for part in range(parts):
            members = tuple(group[part::parts])
            jobs.append(_job(plan, members))
    return jobs


def _job(plan: Plan, runs: tuple[Run, ...]) -> Job:
    if all(run.method == "alone" for run in runs):
        return Job(runs, None, frozenset())
    first = runs[0]
    spatial = "none" if first.network == "dmfnet" else "cbam"
    teacher = Run(
        "teacher",
        first.network,
        plan.teacher_width,
        spatial,
        first.data_set,
        "alone",
        "",
        0,
        plan.teacher_steps(first.data_set),
    )
    needs = {teacher.name}
    if plan.sweep and any(run.weight is None for run in runs):
        swept = [run for run in plan_runs(plan) if run.kind == "sweep" and run.network == first.network]
        needs |= {run.name for run in swept}
    return Job(runs, teacher.name, frozenset(needs))
