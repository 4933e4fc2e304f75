"""What the simulator refuses."""

from zenmoon_edge.core.errors import EdgeError


class SimulatorError(EdgeError):
    """A life that cannot be simulated.

    Reasons: `zone` (no such zone), `trip` (journeys out of order, or across the date line), `child` (a parameter outside its
    range), `span` (a time without a zone, an end before its beginning, or too short). `detail` names cause and next action.
    """
