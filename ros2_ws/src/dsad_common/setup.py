from setuptools import find_packages, setup

setup(
    name="dsad_common",
    version="0.1.0",
    description="What the nodes of the DSAD infrared suite share: parameters, QoS, diagnostics, shutdown.",
    license="Apache-2.0",
    packages=find_packages(include=["dsad_common", "dsad_common.*"]),
    data_files=[
        ("share/ament_index/resource_index/packages", ["resource/dsad_common"]),
        ("share/dsad_common", ["package.xml"]),
    ],
    python_requires=">=3.10",
    install_requires=["setuptools"],
    extras_require={"test": ["pytest"]},
    entry_points={
        "console_scripts": [],
    },
)
