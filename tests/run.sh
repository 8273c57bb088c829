#!/usr/bin/env bash
# `run.sh PACKAGE` runs a package's own tests under `colcon test`, `run.sh system` those of the whole system. Called by
# `make test`.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
source env.sh

# Nothing leaves this machine and nothing on its network is heard; tests take a domain of their own below this.
export ROS_AUTOMATIC_DISCOVERY_RANGE=LOCALHOST

echo "== $1"
if [ "$1" = system ]; then
  exec python -m pytest -q tests
fi
cd ros2_ws
# Without logs: several of these run at the same time.
exec colcon --log-base /dev/null --log-level error test --packages-select "$1" --return-code-on-test-failure \
  --event-handlers console_cohesion- console_direct+ console_start_end- summary- \
  --pytest-args -q -p no:cacheprovider -W ignore::DeprecationWarning:lark.utils
