"""A decision made again from its own row of the log."""

from collections.abc import Mapping

from zenmoon_cloud.decisions.log import Choice, DecisionPoint, Policy
from zenmoon_cloud.errors import CloudError


def replay(point: DecisionPoint, policies: Mapping[str, Policy]) -> Choice:
    """Make a decision again and compare: the same options, the same probabilities to the last bit, the same choice.

    Args:
        point: As it was read from the log.
        policies: What chooses, by the name that the log gives; the caller hands in every policy that was ever used.

    Raises:
        CloudError: ``unknown-policy``, or ``replay-differs``: the policy's code has changed under its name, or the log has.
    """
    policy = policies.get(point.policy)
    if policy is None:
        raise CloudError("unknown-policy", f"Decision {point.id} was made by {point.policy!r}, which is not at hand. Add it.")
    again = policy(point.state["features"], point.state["u"])
    if (again.options, again.chosen, again.available) != (point.options, point.chosen, point.available):
        raise CloudError(
            "replay-differs",
            f"Decision {point.id} cannot be made again: {point.policy!r} answers something else for the logged state. "
            "A changed policy needs a new name; the log's rows stay as they are.",
        )
    return again
