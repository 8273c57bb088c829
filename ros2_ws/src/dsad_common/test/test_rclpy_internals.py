"""What we touch inside rclpy is there and does what we think, in the release that is installed."""

import threading
import time

import pytest
import rclpy
from lifecycle_msgs.msg import Transition
from lifecycle_msgs.srv import ChangeState
from rclpy.executors import SingleThreadedExecutor
from rclpy.lifecycle import LifecycleNode
from rclpy.parameter import Parameter
from std_msgs.msg import String

from dsad_common.qos import reliable
from dsad_common.rclpy_internals import given_parameters, guard_change_state, lifecycle_state, take


@pytest.fixture
def context():
    context = rclpy.Context()
    rclpy.init(context=context)
    yield context
    rclpy.shutdown(context=context)


def until(condition, step=lambda: time.sleep(0.01)):
    end = time.monotonic() + 60.0
    while not (result := condition()):
        assert time.monotonic() < end
        step()
    return result


def test_given_parameters_can_be_replaced_before_they_are_declared(context):
    node = rclpy.create_node("n", context=context, parameter_overrides=[Parameter("rate", value=25)])
    given = given_parameters(node)
    assert given["rate"].value == 25 and "other" not in given
    given["rate"] = Parameter("rate", value=25.0)
    assert node.declare_parameter("rate", 1.0).value == 25.0
    node.destroy_node()


def test_the_state_of_a_lifecycle_node_has_the_label_that_services_use(context):
    node = LifecycleNode("n", context=context)
    assert lifecycle_state(node) == "unconfigured"
    node.trigger_configure()
    assert lifecycle_state(node) == "inactive"
    node.destroy_node()


def test_a_guard_may_wait_while_other_callbacks_go_on(context):
    node, client_node = LifecycleNode("n", context=context), rclpy.create_node("c", context=context)
    asked, seen = threading.Event(), []

    def guard(answer):
        async def guarded(request, response):
            asked.set()
            seen.append(request.transition.id)
            return answer(request, response)

        return guarded

    guard_change_state(node, guard)
    executor = SingleThreadedExecutor(context=context)
    executor.add_node(node)
    executor.add_node(client_node)
    client = client_node.create_client(ChangeState, "n/change_state")
    until(client.service_is_ready, lambda: executor.spin_once(timeout_sec=0.05))
    future = client.call_async(ChangeState.Request(transition=Transition(id=Transition.TRANSITION_CONFIGURE)))
    until(future.done, lambda: executor.spin_once(timeout_sec=0.05))
    assert asked.is_set() and seen == [Transition.TRANSITION_CONFIGURE]
    assert future.result().success and lifecycle_state(node) == "inactive"
    executor.shutdown()
    for each in (node, client_node):
        each.destroy_node()


def test_messages_that_wait_can_be_taken_without_an_executor(context):
    node = rclpy.create_node("n", context=context)
    subscription = node.create_subscription(String, "topic", lambda message: None, reliable(10))
    publisher = node.create_publisher(String, "topic", reliable(10))
    until(lambda: publisher.get_subscription_count())
    assert take(subscription) is None
    for text in ("a", "b"):
        publisher.publish(String(data=text))
    taken = [until(lambda: take(subscription))[0].data for _ in range(2)]
    assert taken == ["a", "b"] and take(subscription) is None
    node.destroy_node()
