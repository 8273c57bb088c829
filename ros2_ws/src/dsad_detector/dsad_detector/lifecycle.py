"""A lifecycle node that outlives bad requests and failing transitions, and answers while it configures."""

from __future__ import annotations

import functools
from collections.abc import Callable

from lifecycle_msgs.msg import Transition
from rclpy.callback_groups import ReentrantCallbackGroup
from rclpy.clock import Clock, ClockType
from rclpy.lifecycle import LifecycleNodeMixin, LifecycleState, TransitionCallbackReturn
from rclpy.node import Node

from dsad_common.rclpy_internals import guard_change_state, lifecycle_state
from dsad_core.errors import DsadError, one_line, unexpected
from dsad_detector.worker import Worker

#: The one transition that may take minutes.
_SLOW_ID, _SLOW_LABEL = Transition.TRANSITION_CONFIGURE, "configure"


def transition(callback: Callable[[SafeLifecycleNode], None]):
    """Turn a plain method into an ``on_*`` callback.

    It succeeds when the method returns, fails on a ``DsadError`` (the node stays in the state it
    came from) and is an error on anything else (the node goes through ``on_error``). rclpy would
    swallow both without a word, so the reason goes to ``transition_failed`` first.
    """

    @functools.wraps(callback)
    def guarded(self: SafeLifecycleNode, state: LifecycleState) -> TransitionCallbackReturn:
        try:
            callback(self)
        except DsadError as error:
            self.transition_failed(str(error))
            return TransitionCallbackReturn.FAILURE
        except Exception as error:
            # An unforeseen fault: its type belongs in the line, it is what a bug report needs.
            self.transition_failed(f"{callback.__name__}: {unexpected(error)}")
            return TransitionCallbackReturn.ERROR
        return TransitionCallbackReturn.SUCCESS

    return guarded


class SafeLifecycleNode(LifecycleNodeMixin, Node):
    """Runs *configure* in a worker thread, so that services, parameters and diagnostics go on meanwhile.

    A transition that its state does not allow is answered with ``success=False``: up to Jazzy rclpy lets
    rcl's error out of the executor instead, and the process dies of it. All other transitions run on the
    executor's thread.

    Attributes:
        worker: runs *configure*.
    """

    def __init__(self, name: str, **arguments):
        Node.__init__(self, name, **arguments)
        # A group in which callbacks may overlap: the one that waits for the worker must not hold up others.
        LifecycleNodeMixin.__init__(
            self, enable_communication_interface=True, callback_group=ReentrantCallbackGroup()
        )
        # Up to Jazzy an executor looks at a waiting coroutine again only when something else happens.
        self.worker = Worker(self.create_guard_condition(lambda: None).trigger)
        guard_change_state(self, self._guarded)

    @property
    def state(self) -> str:
        """unconfigured, inactive, active, finalized, or the transition it is in, such as configuring."""
        return lifecycle_state(self)

    def bring_up(self, ready: Callable[[], bool], refused: Callable[[], None]) -> None:
        """Configure, and activate once ``ready``, as far as the node is still unconfigured and each step succeeds.

        Where it cannot be configured, ``refused`` is called.
        """
        configured = self.worker.run(lambda: self._unless_outrun(self.trigger_configure))

        def activate() -> None:
            if not configured.done():
                return
            if configured.result() != TransitionCallbackReturn.SUCCESS:
                self.destroy_timer(timer)
                # None: somebody else configures it.
                if configured.result() is not None:
                    refused()
            elif ready():
                self.destroy_timer(timer)
                self._unless_outrun(self.trigger_activate)

        timer = self.create_timer(0.02, activate, clock=Clock(clock_type=ClockType.STEADY_TIME))

    def transition_failed(self, reason: str) -> None:
        """Called with one line before a transition fails, in the thread of the transition."""
        raise NotImplementedError

    def _guarded(self, answer):
        def refusing(request, response):
            try:
                return answer(request, response)
            except RuntimeError as error:  # RCLError is one
                wish = request.transition.label or request.transition.id
                self.get_logger().warning(f"transition {wish} refused: {one_line(error)}")
                response.success = False
                return response

        async def guarded(request, response):
            label = request.transition.label
            slow = label == _SLOW_LABEL if label else request.transition.id == _SLOW_ID
            if slow and self.state == "unconfigured":
                return await self.worker.run(lambda: refusing(request, response))
            return refusing(request, response)

        return guarded

    def _unless_outrun(self, transition_now: Callable[[], TransitionCallbackReturn]):
        try:
            return transition_now()
        except RuntimeError:
            # Somebody outside was faster and brings the node up.
            self.get_logger().info("autostart left to the node that requests the transitions")
