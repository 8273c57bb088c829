from setuptools import find_packages, setup

setup(
    name="dsad_tools",
    version="0.1.0",
    description="Laboratory tools of the DSAD infrared suite: data, bags, evaluation, reports, benches",
    license="Apache-2.0",
    packages=find_packages(include=["dsad_tools", "dsad_tools.*"]),
    package_data={
        "dsad_tools.bags": ["msg/*.msg"],
        "dsad_tools.cards": ["*.md.j2", "*.yaml"],
        "dsad_tools.prove": ["*.html.j2"],
        "dsad_tools.report": ["*.html.j2", "theme.css"],
    },
    data_files=[
        ("share/ament_index/resource_index/packages", ["resource/dsad_tools"]),
        ("share/dsad_tools", ["package.xml"]),
    ],
    python_requires=">=3.10",
    install_requires=[
        "dsad_core",
        "jinja2",
        "matplotlib",
        "numpy",
        "onnx",
        "onnxruntime",
        "pillow",
        "psutil",
        "rich>=12.3",
        "rosbags>=0.11.6",
        "typer>=0.19",
    ],
    extras_require={
        # Runtimes that `dsad bench engine` compares with where they are installed, beside openvino
        "peers": ["MNN", "ncnn", "pnnx"],
        # `dsad gate --scheduler`
        "gate": ["distributed"],
        # HOTA, IDF1 and MOTA of `dsad evaluate --tracks`
        "tracks": ["trackeval"],
        "view": ["rerun-sdk>=0.24"],
        "test": ["pytest", "hypothesis"],
    },
    entry_points={
        "dsad.plugins": [
            "command.analyse = dsad_tools.cli.analyse:register",
            "command.bag = dsad_tools.cli.bag:register",
            "command.bench = dsad_tools.cli.bench:register",
            "command.card = dsad_tools.cli.card:register",
            "command.evaluate = dsad_tools.cli.evaluate:register",
            "command.gate = dsad_tools.cli.gate:register",
            "command.prove = dsad_tools.prove.cli:register",
            "command.quantise = dsad_tools.cli.quantise:register",
            "command.scenes = dsad_tools.cli.scenes:register",
            "command.view = dsad_tools.cli.view:register",
            "proof.bags = dsad_tools.prove.bags:prove",
            "proof.hostile = dsad_tools.prove.hostile:prove",
            "proof.security = dsad_tools.prove.security:prove",
        ],
    },
)
