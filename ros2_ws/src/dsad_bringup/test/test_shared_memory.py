import fcntl
import os
import time

from dsad_bringup.shared_memory import YOUNG_SECONDS, remove_stale_segments


def segment(folder, name, age=2 * YOUNG_SECONDS):
    lock = folder / f"{name}_el"
    lock.touch()
    (folder / name).write_bytes(b"frame")
    then = time.time() - age
    os.utime(lock, (then, then))
    return lock


def test_only_segments_without_an_owner_go(tmp_path):
    segment(tmp_path, "fastrtps_dead")
    owned = segment(tmp_path, "fastrtps_alive")
    segment(tmp_path, "fastrtps_young", age=0)
    segment(tmp_path, "fastrtps_port7400")
    segment(tmp_path, "somebody_elses")
    with open(owned) as stream:
        fcntl.flock(stream, fcntl.LOCK_EX)
        assert remove_stale_segments(tmp_path) == 1
    left = {path.name for path in tmp_path.iterdir() if not path.name.endswith("_el")}
    assert left == {"fastrtps_alive", "fastrtps_young", "fastrtps_port7400", "somebody_elses"}
