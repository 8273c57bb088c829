"""Names of nodes as the graph gives them: a namespace and a name."""


def resolve_node(name: str, namespace: str) -> tuple[str, str]:
    """Namespace and name of a node that is named from within ``namespace``, or fully, from ``/`` on."""
    if not name.startswith("/"):
        return namespace, name
    outer, _, last = name.rpartition("/")
    return outer or "/", last
