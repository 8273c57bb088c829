# Source this file (bash) to use the suite from a shell: `source env.sh`, then `dsad --help`.
# It puts the local venv, the ROS 2 it holds and the built workspace on the paths. Where apt's
# ROS 2 is sourced already (a robot), only the workspace is added.

_dsad_root="$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)"
if [ -z "${ROS_DISTRO:-}" ] && [ -d "$_dsad_root/.venv" ]; then
  export PATH="$_dsad_root/.venv/bin:$PATH"
  export AMENT_PREFIX_PATH="$_dsad_root/.venv" CMAKE_PREFIX_PATH="$_dsad_root/.venv"
fi
if [ -f "$_dsad_root/ros2_ws/install/setup.bash" ]; then
  # The generated script reads variables that may be unset.
  case $- in *u*) set +u; _dsad_nounset=1 ;; esac
  source "$_dsad_root/ros2_ws/install/setup.bash"
  if [ -n "${_dsad_nounset:-}" ]; then set -u; fi
fi
unset _dsad_root _dsad_nounset
