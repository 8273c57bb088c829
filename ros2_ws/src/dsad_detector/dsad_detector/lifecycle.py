"""A lifecycle node that outlives bad requests and failing transitions."""

from __future__ import annotations

import functools
from collections.abc import Callable

from dsad_core.errors import DsadError
from rclpy.clock import Clock, ClockType
from rclpy.lifecycle import LifecycleNode, LifecycleState, TransitionCallbackReturn


def transition(callback: Callable[[SturdyLifecycleNode], None]):
    """Turn a plain method into an ``on_*`` callback.

    It succeeds when the method returns, fails on a ``DsadError`` (the node stays in the state it
    came from) and is an error on anything else (the node goes through ``on_error``). rclpy would
    swallow both without a word, so the reason goes to ``transition_failed`` first.
    """

    @functools.wraps(callback)
    def guarded(self: SturdyLifecycleNode, state: LifecycleState) -> TransitionCallbackReturn:
        try:
            callback(self)
        except DsadError as error:
            self.transition_failed(str(error))
            return TransitionCallbackReturn.FAILURE
        except Exception as error:
            # An unforeseen fault: its type belongs in the line, it is what a bug report needs.
            self.transition_failed(f"{callback.__name__}: {type(error).__name__}: {error}")
            return TransitionCallbackReturn.ERROR
        return TransitionCallbackReturn.SUCCESS

    return guarded


class SturdyLifecycleNode(LifecycleNode):
    """Answers a transition that its state does not allow with ``success=False``.

    Up to Jazzy rclpy lets rcl's error out of the executor instead, and the process dies of it.
    """

    def __init__(self, name: str, **arguments):
        super().__init__(name, **arguments)
        answer = self._service_change_state.callback

        def guarded(request, response):
            try:
                return answer(request, response)
            except RuntimeError as error:  # RCLError is one
                wish = request.transition.label or request.transition.id
                self.get_logger().warning(f"transition {wish} refused: {' '.join(str(error).split())}")
                response.success = False
                return response

        self._service_change_state.callback = guarded

    @property
    def state(self) -> str:
        """unconfigured, inactive, active, finalized, or the transition it is in, such as configuring."""
        return self._state_machine.current_state[1]

    def bring_up(self, ready: Callable[[], bool]) -> None:
        """Configure, and activate once ``ready``, as far as the node is still unconfigured and each step succeeds."""

        def activate() -> None:
            if ready():
                self.destroy_timer(timer)
                self._unless_outrun(self.trigger_activate)

        if self._unless_outrun(self.trigger_configure) == TransitionCallbackReturn.SUCCESS:
            timer = self.create_timer(0.02, activate, clock=Clock(clock_type=ClockType.STEADY_TIME))

    def _unless_outrun(self, transition_now: Callable[[], TransitionCallbackReturn]):
        try:
            return transition_now()
        except RuntimeError:
            # Somebody outside was faster and brings the node up.
            self.get_logger().info("autostart left to the node that requests the transitions")

    def transition_failed(self, reason: str) -> None:
        """Called with one line before a transition fails."""
        raise NotImplementedError
