"""A stand-in for an Ascend NPU: the functions of pyACL that are used, as their documentation has them.

It is strict: a call without a current context, or on a handle that was never made or is destroyed, fails the
test; what is still held can be asked for. The network it "runs" doubles its input.
"""

import ctypes
import threading
from pathlib import Path
from types import SimpleNamespace

import numpy as np

#: Functions of pyACL that return a value before their error code.
WITH_VALUE = (
    "mdl.load_from_file",
    "mdl.get_input_dims",
    "mdl.get_output_dims",
    "mdl.add_dataset_buffer",
    "rt.create_context",
    "rt.malloc",
)


class StandInAcl:
    """The module ``acl``. An .om is the text "om ", the input's shape, and what may tell builds apart.

    Attributes:
        failures: error code by function name.
        calls: names of the functions in the order they were called.
    """

    def __init__(self):
        self.failures = {}
        self.calls = []
        self.freed_bytes = 64 << 20
        self.memory, self.models, self.descriptions, self.datasets, self.buffers = {}, {}, {}, {}, {}
        self.contexts, self.devices, self.initialised = set(), 0, False
        self.current = threading.local()
        self.refused = set()
        self.serial = 0
        self.mdl = SimpleNamespace(
            **self._checked(
                "mdl.",
                "load_from_file",
                "unload",
                "create_desc",
                "destroy_desc",
                "get_desc",
                "get_num_inputs",
                "get_num_outputs",
                "get_input_dims",
                "get_output_dims",
                "get_input_data_type",
                "get_output_data_type",
                "get_input_size_by_index",
                "get_output_size_by_index",
                "create_dataset",
                "destroy_dataset",
                "add_dataset_buffer",
                "execute",
            )
        )
        self.rt = SimpleNamespace(
            **self._checked(
                "rt.",
                "set_device",
                "reset_device",
                "create_context",
                "destroy_context",
                "set_context",
                "malloc",
                "free",
                "memcpy",
                "get_mem_info",
            )
        )
        vars(self).update(self._checked("", "init", "finalize", "create_data_buffer", "destroy_data_buffer"))

    def get_soc_name(self):
        return "Ascend310B4"

    def get_recent_err_msg(self):
        return "EE9999: inner\n error"

    def _checked(self, prefix, *names):
        return {name: self._function(prefix + name, getattr(self, "_" + name)) for name in names}

    def _function(self, name, function):
        def called(*arguments):
            self.calls.append(name)
            needs_context = name.startswith(("mdl.", "rt.malloc", "rt.free", "rt.memcpy"))
            assert not needs_context or getattr(self.current, "context", None) in self.contexts, name
            if name in self.failures:
                return (None, self.failures[name]) if name in WITH_VALUE else self.failures[name]
            return function(*arguments)

        return called

    def _new(self, table, value=None):
        self.serial += 1
        table[self.serial] = value
        return self.serial

    def _init(self):
        assert not self.initialised
        self.initialised = True
        return 0

    def _finalize(self):
        return 0

    def _set_device(self, device):
        assert self.initialised and device == 0
        self.devices += 1
        return 0

    def _reset_device(self, device):
        raise AssertionError("what other engines hold would be freed")
        return 0

    def _create_context(self, device):
        assert self.devices
        context = self._new({})
        self.contexts.add(context)
        self.current.context = context
        return context, 0

    def _destroy_context(self, context):
        self.contexts.remove(context)
        return 0

    def _set_context(self, context):
        assert context in self.contexts
        self.current.context = context
        return 0

    def _load_from_file(self, path):
        content = Path(path).read_bytes()
        if content in self.refused or not content.startswith(b"om "):
            return 0, 145006
        shape = tuple(int(side) for side in content.split(b" ")[1].split(b","))
        return self._new(self.models, {"input": shape, "output": (1, 1, *shape[2:])}), 0

    def _unload(self, model):
        del self.models[model]
        return 0

    def _create_desc(self):
        return self._new(self.descriptions)

    def _destroy_desc(self, description):
        del self.descriptions[description]
        return 0

    def _get_desc(self, description, model):
        self.descriptions[description] = self.models[model]
        return 0

    def _get_num_inputs(self, description):
        return 1

    _get_num_outputs = _get_num_inputs

    def _get_input_dims(self, description, index, kind="input"):
        dims = self.descriptions[description][kind]
        return {"name": kind, "dimCount": len(dims), "dims": list(dims)}, 0

    def _get_output_dims(self, description, index):
        return self._get_input_dims(description, index, "output")

    def _get_input_data_type(self, description, index):
        return 0

    _get_output_data_type = _get_input_data_type

    def _get_input_size_by_index(self, description, index, kind="input"):
        return 4 * int(np.prod(self.descriptions[description][kind])) + 32

    def _get_output_size_by_index(self, description, index):
        return self._get_input_size_by_index(description, index, "output")

    def _malloc(self, size, policy):
        assert policy == 0
        block = (ctypes.c_char * size)()
        self.memory[ctypes.addressof(block)] = block
        return ctypes.addressof(block), 0

    def _free(self, address):
        del self.memory[address]
        return 0

    def _get_mem_info(self, attribute):
        return (0, 0, 107000) if attribute else (self.freed_bytes, 4 << 30, 0)

    def _memcpy(self, target, capacity, source, count, kind):
        assert count <= capacity
        device = self.memory[target if kind == 1 else source]
        assert count <= len(device) and kind in (1, 2)
        ctypes.memmove(target, source, count)
        return 0

    def _create_dataset(self):
        return self._new(self.datasets, [])

    def _destroy_dataset(self, dataset):
        del self.datasets[dataset]
        return 0

    def _create_data_buffer(self, address, size):
        assert size <= len(self.memory[address])
        return self._new(self.buffers, address)

    def _destroy_data_buffer(self, buffer):
        assert self.buffers.pop(buffer) in self.memory
        return 0

    def _add_dataset_buffer(self, dataset, buffer):
        self.datasets[dataset].append(self.buffers[buffer])
        return dataset, 0

    def _execute(self, model, inputs, outputs):
        [source], [target] = self.datasets[inputs], self.datasets[outputs]
        count = int(np.prod(self.models[model]["input"]))
        image = np.frombuffer(self.memory[source], np.float32, count)
        np.frombuffer(self.memory[target], np.float32, count)[:] = 2 * image
        return 0

    @property
    def held(self):
        return [*self.memory, *self.models, *self.descriptions, *self.datasets, *self.buffers, *self.contexts]
