# The product on ROS 2 with apt's own launch. A board's CPU runs the engine, or a Jetson's GPU:
#   docker build -t dsad .
#   docker run --rm --network host --ipc host dsad
#   docker build -t dsad-jetson --build-arg BOARD=jetson .
#   docker run --rm --network host --ipc host --runtime nvidia dsad-jetson
# --ipc host lets frames travel through shared memory between containers.
# Both images build from tags; to hold one image for ever, give what `docker inspect` names as its digest:
#   --build-arg CPU_IMAGE=ros@sha256:<digest>
ARG BOARD=cpu
ARG CPU_IMAGE=ros:jazzy-ros-base-noble
# JetPack 6.1: Ubuntu 22.04 with CUDA 12.6, TensorRT 10.3 and their Python bindings.
ARG JETSON_IMAGE=nvcr.io/nvidia/l4t-jetpack:r36.4.0

FROM ${CPU_IMAGE} AS cpu
ENV TARGET=cpu REQUIREMENTS=robot-cpu.txt

FROM ${JETSON_IMAGE} AS jetson
ENV TARGET=agx REQUIREMENTS=jetson.txt ROS_DISTRO=humble DEBIAN_FRONTEND=noninteractive LANG=C.UTF-8
RUN apt-get update && apt-get install -y --no-install-recommends ca-certificates curl \
    && curl -fsSL https://raw.githubusercontent.com/ros/rosdistro/master/ros.key \
      -o /usr/share/keyrings/ros-archive-keyring.gpg \
    && echo "deb [signed-by=/usr/share/keyrings/ros-archive-keyring.gpg] http://packages.ros.org/ros2/ubuntu jammy main" \
      > /etc/apt/sources.list.d/ros2.list \
    && apt-get update && apt-get install -y --no-install-recommends ros-humble-ros-base \
    && rm -rf /var/lib/apt/lists/*

FROM ${BOARD}
RUN apt-get update && apt-get install -y --no-install-recommends \
      build-essential python3-colcon-common-extensions python3-numpy python3-opencv python3-pip python3-rich python3-yaml \
    && rm -rf /var/lib/apt/lists/*

COPY requirements /tmp/requirements
# Ubuntu 24.04 guards its Python against pip; in a container there is nothing to guard.
ENV PIP_BREAK_SYSTEM_PACKAGES=1
RUN python3 -m pip install --no-cache-dir -r /tmp/requirements/${REQUIREMENTS} -c /tmp/requirements/image.txt

WORKDIR /opt/dsad
COPY dsad_core dsad_core
COPY edge_engines edge_engines
COPY launch launch
COPY ros2_ws/src ros2_ws/src
RUN . /opt/ros/${ROS_DISTRO}/setup.sh && cd ros2_ws && colcon build --packages-up-to dsad_bringup

# Whoever runs it needs no rights of root; the cache of plans lies in this user's home. Group video: a Jetson's GPU.
RUN useradd --create-home --groups video dsad
USER dsad

# The launch ends its nodes at SIGINT; at SIGTERM the kernel does, once the launch is gone.
STOPSIGNAL SIGINT
ENTRYPOINT ["/bin/bash", "-c", "source /opt/ros/$ROS_DISTRO/setup.bash && source /opt/dsad/ros2_ws/install/setup.bash && exec \"$0\" \"$@\""]
CMD ["bash", "-c", "exec ros2 launch --noninteractive dsad_bringup detector.launch.py target:=$TARGET"]
