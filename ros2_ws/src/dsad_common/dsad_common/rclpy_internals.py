"""The parts of rclpy that it does not promise to keep, each behind a function with a test.

They have these names in Humble, Jazzy and Kilted. Where one changes, this file is the only one to mend.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

from rclpy.parameter import Parameter

Answer = Callable[[Any, Any], Any]


def guard_change_state(node, guard: Callable[[Answer], Callable[[Any, Any], Awaitable[Any]]]) -> None:
    """Put ``guard(answer)`` in the place of a lifecycle node's own answer to ``~/change_state``.

    Args:
        guard: takes ``answer(request, response) -> response``, which raises ``RuntimeError`` for a transition
            that the state does not allow; returns a coroutine function of the same arguments.
    """
    service = node._service_change_state
    service.callback = guard(service.callback)


def lifecycle_state(node) -> str:
    """Label of a lifecycle node's state: unconfigured, inactive, active, finalized, or the transition it is in."""
    return node._state_machine.current_state[1]


def given_parameters(node) -> dict[str, Parameter]:
    """What the command line and parameter files give a node, by name; an entry may be replaced before it is
    declared."""
    return node._parameter_overrides


def take(subscription) -> tuple[Any, Any] | None:
    """The next message that waits in a subscription, with its info; None where none waits."""
    with subscription.handle:
        return subscription.handle.take_message(subscription.msg_type, subscription.raw)
