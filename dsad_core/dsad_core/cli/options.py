"""Command-line options that several commands share."""

PLATFORM_HELP = "cpu, cuda, agx or ascend."
BACKEND_HELP = "direct, openvino, onnxruntime, tensorrt or acl. Default: the target's first that can run."
