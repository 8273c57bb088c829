"""The proofs that need no ROS, in a form of seconds; and that they see what is broken."""

import json
import subprocess
import sys
from dataclasses import replace
from random import Random

import pytest

from dsad_core.errors import DsadError, UsageError
from dsad_tools.prove import bags, hostile, inputs, security
from dsad_tools.prove.cli import PAGE_FILE, write_page
from dsad_tools.prove.journal import JSON_FILE, Journal
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
def test_an_input_that_breaks_the_process_is_named(what, says, setting, tmp_path, monkeypatch):
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
    check = hostile._prove("broken", 6, setting, setting.folder)
    assert not check.passed and "case 3" in check.seen and says in check.seen and check.count == 6


def test_a_case_is_fed_again_in_a_folder_of_its_own(tmp_path):
    """Of 50,000 bags this one failed once: a damaged topic's type had line breaks, and so had the refusal."""
    command = ("-m", "dsad_tools.prove.victim", "bags, sqlite3", "0", "10930", "10931", tmp_path / "again")
    subprocess.run([sys.executable, *map(str, command)], check=True)
    seen = json.loads((tmp_path / "again" / "result.json").read_text())
    assert (seen["next"], seen["failures"]) == (10931, 0)


def test_a_kind_that_always_breaks_is_given_up(setting, monkeypatch):
    monkeypatch.setattr(hostile, "MOST_FAULTS", 2)
    check = hostile._prove("no such kind", 1000, setting, setting.folder)
    assert not check.passed and check.count == 2 and "KeyError" in check.seen


def test_hostile_input_goes_on_where_it_was_stopped(setting, tmp_path, monkeypatch):
    noted = "from dsad_tools.prove import result\nresult.NOTE_SECONDS = 0.0\n"
    (tmp_path / "sitecustomize.py").write_text(noted)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path), prepend=":")
    monkeypatch.setattr(hostile, "COUNTS", {"sizes in parameters": 400, "CameraInfo messages": 30})
    facts = {"share": 1.0}

    def stop(line):
        raise KeyboardInterrupt

    def started(journal, tell):
        folder = tmp_path / f"scratch{len(list(tmp_path.iterdir()))}"
        folder.mkdir()
        return replace(setting, folder=folder, share=1.0, proof="hostile", journal=journal, tell=tell)

    with pytest.raises(KeyboardInterrupt):
        list(run("hostile", hostile.prove, started(Journal(tmp_path / "out", facts), stop)))
    journal = Journal(tmp_path / "out", facts)
    part = journal.part("hostile", "sizes in parameters")
    assert 0 < part["next"] < 400 and not journal.checks
    told = []
    for check in run("hostile", hostile.prove, started(journal, told.append)):
        journal.add(check)
    whole = list(run("hostile", hostile.prove, started(None, told.append)))
    journal = Journal(tmp_path / "out", facts)
    assert [(check.name, check.count, check.passed) for check in journal.checks] == [
        (check.name, check.count, check.passed) for check in whole
    ]
    assert journal.checks[0].seen.split(" in ")[0] == whole[0].seen.split(" in ")[0], "refused"
    assert not list(run("hostile", hostile.prove, started(journal, stop))), "all rows are done"


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


FACTS = {"share": 0.5, "engine": "e", "seed": 0}
MACHINE = {"machine": {"cpu": "c", "cores": 2, "load_average": [0]}}


def test_figures_and_page_are_written(tmp_path):
    journal = Journal(tmp_path, FACTS, MACHINE)
    for check in (
        Check("<b>one", 3, "frames", True, "none", "soak", 1.0),
        Check("two", 1, "", False, "", "faults"),
        Check("three", 0, "", None, "no mount", "faults"),
    ):
        journal.add(check)
    write_page(tmp_path, journal)
    content = json.loads((tmp_path / JSON_FILE).read_text())
    assert [check["passed"] for check in content["checks"]] == [True, False, None]
    page = (tmp_path / PAGE_FILE).read_text()
    assert (
        "Promises: 1 of 3 hold, 1 not run" in page
        and '<td class="no">not run</td>' in page
        and "&lt;b&gt;one" in page
        and "http" not in page
    )


def test_a_run_goes_on_with_the_proofs_that_it_lacks(tmp_path):
    journal = Journal(tmp_path, FACTS)
    assert journal.begin(["bags", "soak"]) == ["bags", "soak"]
    journal.add(Check("one", 1, "", False, "", "bags"))
    journal.end("bags")
    journal.add(Check("two", 1, "", True, "", "soak"))
    journal.keep("soak", "three", {"next": 3})

    journal = Journal(tmp_path, FACTS)
    assert journal.begin(["bags", "soak"]) == ["soak"] and journal.part("soak", "three") == {"next": 3}
    journal.add(Check("two", 2, "", True, "", "soak"))
    journal.add(Check("three", 3, "", True, "", "soak"))
    journal.end("soak")
    assert [(check.name, check.count) for check in Journal(tmp_path, FACTS).checks] == [
        ("one", 1),
        ("two", 2),
        ("three", 3),
    ]
    journal = Journal(tmp_path, FACTS)
    assert journal.begin(["soak"]) == ["soak"], "what is whole is begun anew"
    assert [check.name for check in journal.checks] == ["one"] and journal.part("soak", "three") == {}


@pytest.mark.parametrize(
    "content, says", [(None, "of share 0.5, not 0.25"), ("{}", "no proofs"), ("[", "no proofs")]
)
def test_a_folder_of_other_proofs_is_left_alone(content, says, tmp_path):
    journal = Journal(tmp_path, FACTS)
    journal.end("bags")
    if content is not None:
        (tmp_path / JSON_FILE).write_text(content)
    before = (tmp_path / JSON_FILE).read_text()
    with pytest.raises(UsageError, match=says):
        Journal(tmp_path, FACTS | {"share": 0.25})
    assert (tmp_path / JSON_FILE).read_text() == before
