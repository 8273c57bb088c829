import json
import os
import shutil

import pytest

from dsad_core import machine
from dsad_core.machine import cpu_flags, cpu_model, machine_facts, usable_cores

ARM_CORE = """processor\t: {number}
BogoMIPS\t: 62.50
Features\t: fp asimd evtstrm aes pmull sha1 sha2 crc32 atomics fphp asimdhp cpuid asimdrdm lrcpc dcpop asimddp
CPU implementer\t: 0x41
CPU architecture: 8
CPU variant\t: 0x0
CPU part\t: {part}
CPU revision\t: 1

"""


def test_cores_are_at_least_one_and_no_more_than_this_process_may_use():
    assert 1 <= usable_cores() <= len(os.sched_getaffinity(0))


def test_cores_follow_the_affinity():
    before = os.sched_getaffinity(0)
    try:
        os.sched_setaffinity(0, {min(before)})
        assert usable_cores() == 1
    finally:
        os.sched_setaffinity(0, before)


def test_facts_are_plain_json_and_name_the_machine():
    facts = json.loads(json.dumps(machine_facts()))
    assert facts["cpu"] and facts["cores"] == usable_cores()
    assert "CPUExecutionProvider" in facts["onnxruntime_providers"]


@pytest.fixture
def arm_board(tmp_path, monkeypatch):
    """A function (parts of the cores): from then on this is an ARM board whose kernel lists such cores."""
    lscpu = shutil.which("lscpu")
    if lscpu is None:
        pytest.skip("no lscpu")

    def become(*parts):
        info = tmp_path / "proc/cpuinfo"
        info.parent.mkdir()
        info.write_text(
            "".join(ARM_CORE.format(number=number, part=part) for number, part in enumerate(parts))
        )
        for number in range(len(parts)):
            topology = tmp_path / f"sys/devices/system/cpu/cpu{number}/topology"
            topology.mkdir(parents=True)
            for name in ("thread_siblings", "core_siblings"):
                (topology / name).write_text(f"{1 << number:x}\n")
        for name in ("possible", "present", "online"):
            (topology.parents[1] / name).write_text(f"0-{len(parts) - 1}\n")
        there = tmp_path / "bin/lscpu"
        there.parent.mkdir()
        there.write_text(f"#!/bin/sh\nexec {lscpu} --sysroot {tmp_path}\n")
        there.chmod(0o755)
        monkeypatch.setenv("PATH", str(there.parent))
        read = machine._read
        monkeypatch.setattr(machine, "_read", lambda path: read(tmp_path / str(path).lstrip("/")))
        monkeypatch.setattr(machine.platform, "machine", lambda: "aarch64")

    return become


def test_the_cores_of_an_arm_board_have_names(arm_board):
    arm_board("0xd42", "0xd42")
    assert cpu_model() == "Cortex-A78AE"
    assert {"asimd", "asimdhp", "asimddp"} <= cpu_flags()
    assert machine_facts()["cpu_flags"] == ["asimd", "asimdhp", "asimddp"]


def test_cores_that_nobody_knows_are_of_their_architecture(arm_board, monkeypatch):
    arm_board("0xfff")
    assert cpu_model() == "aarch64"
    monkeypatch.setenv("PATH", "")
    assert cpu_model() == "aarch64"
