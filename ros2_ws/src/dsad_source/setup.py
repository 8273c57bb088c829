from setuptools import find_packages, setup

setup(
    name="dsad_source",
    version="0.1.0",
    description="Infrared frames into ROS 2: camera, bag replay, image folder, video, scene generator.",
    license="Apache-2.0",
    packages=find_packages(include=["dsad_source", "dsad_source.*"]),
    data_files=[
        ("share/ament_index/resource_index/packages", ["resource/dsad_source"]),
        ("share/dsad_source", ["package.xml"]),
    ],
    python_requires=">=3.10",
    install_requires=["setuptools"],
    extras_require={"test": ["pytest"]},
    entry_points={
        "console_scripts": [
            "frame_source = dsad_source.start:frame_source",
            "bag_replay = dsad_source.start:bag_replay",
        ],
    },
)
