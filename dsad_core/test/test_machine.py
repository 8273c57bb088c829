import json
import os

from dsad_core.machine import machine_facts, usable_cores


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
