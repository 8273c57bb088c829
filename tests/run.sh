#!/usr/bin/env bash
# Every package's own tests under `colcon test`, then the whole-system tests. Called by `make test`.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
source env.sh

# Nothing leaves this machine and nothing on its network is heard; tests that start several
# processes pick a domain of their own below this.
export ROS_AUTOMATIC_DISCOVERY_RANGE=LOCALHOST

status=0
cd ros2_ws
# One package at a time: the tests of two would take the cores from each other's deadlines.
colcon --log-level error test --executor sequential --return-code-on-test-failure \
  --event-handlers console_cohesion- summary+ --pytest-args -q -p no:cacheprovider -W ignore::DeprecationWarning:lark.utils || status=$?
# Shows each failure with its traceback, and the totals.
colcon test-result --verbose || status=1
cd ..

python -m pytest -q tests || status=$?
exit "$status"
