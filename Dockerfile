# The product on ROS 2 with apt's own launch, for x86-64 and Jetson-class arm64 machines:
#   docker build -t dsad --build-arg ROS_DISTRO=humble .
#   docker run --rm --network host --ipc host dsad
# --ipc host lets frames travel through shared memory between containers.
ARG ROS_DISTRO=jazzy
FROM ros:${ROS_DISTRO}-ros-base

RUN apt-get update && apt-get install -y --no-install-recommends \
      python3-colcon-common-extensions python3-numpy python3-opencv python3-pip python3-rich python3-yaml \
    && rm -rf /var/lib/apt/lists/*

COPY requirements/robot.txt /tmp/robot.txt
# Ubuntu 24.04 guards its Python against pip; in a container there is nothing to guard.
ENV PIP_BREAK_SYSTEM_PACKAGES=1
RUN python3 -m pip install --no-cache-dir -r /tmp/robot.txt

WORKDIR /opt/dsad
COPY dsad_core dsad_core
COPY edge_engines edge_engines
COPY launch launch
COPY ros2_ws/src ros2_ws/src
RUN . /opt/ros/${ROS_DISTRO}/setup.sh && cd ros2_ws && colcon build --packages-up-to dsad_bringup \
    && sed -i 's#^exec#source /opt/dsad/ros2_ws/install/setup.bash\nexec#' /ros_entrypoint.sh

CMD ["ros2", "launch", "dsad_bringup", "detector.launch.py", "target:=cpu"]
