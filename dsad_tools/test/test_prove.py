"""The proofs that need no ROS, in a form of seconds; and that they see what is broken."""

import json
from random import Random

import pytest

from dsad_core.errors import DsadError
from dsad_tools.prove import bags, hostile, inputs, security
from dsad_tools.prove.cli import JSON_FILE, PAGE_FILE, write
from dsad_tools.prove.mutate import damaged, rewritten
from dsad_tools.prove.proof import Check, Setting, run


@pytest.fixture
def setting(tmp_path) -> Setting:
    folder = tmp_path / "scratch"
    folder.mkdir()
    return Setting(folder, "local-contrast", share=1e-9)


@pytest.mark.parametrize("proof", [security.prove, bags.prove])
def test_a_proof_holds(proof, setting):
    checks = list(run("proof", proof, setting))
    assert len(checks) >= 2
    assert [check for check in checks if not check.passed] == []


@pytest.mark.parametrize("kind", inputs.KINDS)
def test_hostile_input_is_refused_in_one_line(kind, tmp_path):
    feed, refused = inputs.KINDS[kind](tmp_path), 0
    for case in range(40):
        try:
            feed(Random(f"test {case}"))
        except DsadError as error:
            refused += 1
            assert str(error) and "\n" not in str(error)
    assert refused or kind == "videos", "nothing hostile was in it"


@pytest.mark.parametrize(
    "what, says",
    [
        ("raise ValueError('broken')", "ValueError"),
        ("os.kill(os.getpid(), signal.SIGSEGV)", "status -11"),
        ("while True: pass", "hung"),
    ],
)
def test_an_input_that_breaks_the_process_is_named(what, says, tmp_path, monkeypatch):
    (tmp_path / "sitecustomize.py").write_text(
        "import os, signal\n"
        "from dsad_tools.prove import inputs\n"
        "def kind(folder):\n"
        "    cases = iter(range(100))\n"
        "    def feed(random):\n"
        f"        if next(cases) == 3:\n            {what}\n"
        "    return feed\n"
        "inputs.KINDS['broken'] = kind\n"
    )
    monkeypatch.setenv("PYTHONPATH", str(tmp_path), prepend=":")
    monkeypatch.setattr(hostile, "HANG_SECONDS", 0.3)
    (tmp_path / "out").mkdir()
    check = hostile._prove("broken", 6, 0, tmp_path / "out")
    assert not check.passed and "case 3" in check.seen and says in check.seen


def test_a_proof_that_fails_itself_is_a_failed_check(setting):
    def proof(setting):
        yield Check("first", 1, "", True, "")
        raise OSError("no disk")

    first, second = run("broken", proof, setting)
    assert first.passed and not second.passed and "no disk" in second.seen


def test_damage_is_the_same_for_the_same_seed():
    content = bytes(range(256))
    assert damaged(content, Random(1)) == damaged(content, Random(1)) != damaged(content, Random(2))
    assert rewritten("a: 1\nb: 2\n", Random(1)) == rewritten("a: 1\nb: 2\n", Random(1))


def test_figures_and_page_are_written(tmp_path):
    checks = [
        Check("<b>one", 3, "frames", True, "none", "soak", 1.0),
        Check("two", 1, "", False, "", "faults"),
        Check("three", 0, "", None, "no mount", "faults"),
    ]
    facts = {"share": 0.5, "engine": "e", "seed": 0, "machine": {"cpu": "c", "cores": 2, "load_average": [0]}}
    write(tmp_path, checks, facts)
    content = json.loads((tmp_path / JSON_FILE).read_text())
    assert [check["passed"] for check in content["checks"]] == [True, False, None]
    page = (tmp_path / PAGE_FILE).read_text()
    assert (
        "Promises: 1 of 3 hold, 1 not run" in page
        and '<td class="no">not run</td>' in page
        and "&lt;b&gt;one" in page
        and "http" not in page
    )
