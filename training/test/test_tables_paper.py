"""The paper's tables as data, and the recipes of their rows."""

from collections import defaultdict

import pytest
import torch
from table_rows import PAPER, ROWS

from dsad_core.errors import UsageError
from dsad_training.cost import cost, parameters
from dsad_training.distillers.build import DISTILLERS
from dsad_training.networks.build import build_network
from dsad_training.recipe import build_recipe, network_part
from dsad_training.tables.compose import compose, protocols

#: No counter that gives the paper's other ten costs gives these.
UNEXPLAINED = {"DNA-num16": "14.11", "AMFU-num16": "22.69"}


def test_tables_are_complete():
    assert [len(PAPER.tables[number].rows) for number in range(1, 7)] == [12, 7, 7, 5, 12, 9]
    for name, row in ROWS.items():
        assert row.network in PAPER.networks
        assert ("nuaa" in row.scores) == (not name.startswith("table5"))
        assert row.distiller is None or row.distiller in DISTILLERS
        for key, scores in row.scores.items():
            # One false pixel is the finest step of Fa, one target that of Pd.
            assert 70 < scores.iou < 90 < scores.pd < 100 and 0 < scores.fa < 5, (name, key)
    assert {row.distiller for row in PAPER.tables[1].rows.values()} == {None, *DISTILLERS}


def test_a_training_has_the_same_figures_in_every_table():
    figures = defaultdict(set)
    for row in ROWS.values():
        for key, scores in row.scores.items():
            figures[row.network, row.distiller, row.weights, key].add(scores)
    assert len(figures) < sum(len(row.scores) for row in ROWS.values())
    assert all(len(versions) == 1 for versions in figures.values())


@pytest.mark.parametrize("name", PAPER.networks)
def test_networks_are_as_large_as_the_paper_says(name):
    paper = PAPER.networks[name]
    with torch.device("meta"):
        built = build_network(network_part(name=paper.name, width=paper.width, spatial=paper.spatial))
        assert f"{parameters(built) / 1e6:.2f}" == str(paper.params)
        assert f"{cost(built) / 1e9:.2f}" == UNEXPLAINED.get(name, str(paper.flops))


def test_latencies_agree_with_themselves():
    for entries in PAPER.latency.platforms.values():
        assert len(entries) == len(PAPER.latency.pairs)
        for entry in entries:
            assert entry.teacher - entry.student == entry.decline
            assert abs(entry.teacher / entry.student - entry.speedup) < 0.01


@pytest.mark.parametrize("name", ROWS)
@pytest.mark.parametrize("protocol", protocols())
def test_every_row_has_a_recipe_that_trains_that_row(name, protocol):
    row = ROWS[name]
    for key in row.scores:
        teacher = "runs/teacher" if row.distiller else None
        recipe = build_recipe(compose(name, protocol, key, epochs=20, seed=3, teacher=teacher))
        network = PAPER.networks[row.network]
        assert (recipe.network.name, recipe.network.width) == (network.name, network.width)
        assert recipe.network.spatial == network.spatial and recipe.seed == 3
        assert (recipe.distillation and recipe.distillation.method) == row.distiller
        # Protocols under one budget cost the same.
        pixels = sum(phase.steps * phase.batch * phase.crop**2 for phase in recipe.phases)
        budget = 20 * PAPER.data_sets[key].train_images * 256**2
        assert pixels == pytest.approx(budget, rel=0.01)


def test_the_validation_part_is_a_share_of_the_training_split():
    def images(protocol, data_set):
        return compose("table1/dna-num4", protocol, data_set)["data"]["validation"]

    assert [images("best", "nudt"), images("best", "nuaa"), images("paper", "nuaa")] == [100, 32, 0]


def test_composed_distillers_are_built_as_the_row_says():
    recipe = build_recipe(compose("table4/sa", "best", teacher="runs/t"))
    assert recipe.distillation.options == {"weights": "sa"}
    assert not build_recipe(compose("table1/pkd", "best", teacher="runs/t")).distillation.options


@pytest.mark.parametrize(
    "arguments, named",
    [
        ({"name": "table1/none"}, "table1/none"),
        ({"name": "table7/dsad"}, "table7/dsad"),
        ({"name": "table1"}, "table1"),
        ({"name": "table1/kd"}, "--teacher"),
        ({"name": "table1/dna-num4", "teacher": "runs/t"}, "--teacher"),
        ({"name": "table5/dna-num4", "data_set": "nuaa"}, "nuaa"),
        ({"name": "table1/dna-num4", "protocol": "worst"}, "worst"),
        ({"name": "table1/dna-num4", "epochs": 0.001}, "0.001 epochs"),
    ],
)
def test_a_row_that_cannot_be_composed_says_why(arguments, named):
    with pytest.raises(UsageError, match=named) as caught:
        compose(**{"protocol": "best", **arguments})
    assert "\n" not in str(caught.value)
