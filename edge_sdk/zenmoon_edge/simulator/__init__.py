"""A simulated child with the truth: seeded days, a body at one value a second, and what a band on its wrist would say.

For demonstrations, tests and evaluations that need to know what really happened. Simulated, not validated on people: nothing here
says anything about children. Needs `pip install zenmoon-edge[simulator]`.

    child = Child.drawn(7, calendar=Calendar(zone="Europe/Berlin"))
    items = history(child, begin, end, source_of(child))     # epoch and sleep items for a cloud
    known = truth(child, begin, end)                         # strain, engagement, sleep stages, wanted alarms, minutes as sent
    write_recording(child, begin, 3600, folder)              # an Empatica E4 folder for the virtual wearable
    write_lesson_with_test(child, folder)                    # an hour in which strain rises, for a demonstration
"""

try:
    import numpy  # noqa: F401, ICN001 - only whether it is there
except ModuleNotFoundError as error:
    raise ModuleNotFoundError("the simulator needs numpy. Next: pip install 'zenmoon-edge[simulator]'", name=error.name) from None

from zenmoon_edge.simulator.calendar import Calendar, Day, Trip
from zenmoon_edge.simulator.child import Child, Event
from zenmoon_edge.simulator.errors import SimulatorError
from zenmoon_edge.simulator.items import history, source_of
from zenmoon_edge.simulator.life import Life
from zenmoon_edge.simulator.nights import Night, Stage
from zenmoon_edge.simulator.plans import Activity
from zenmoon_edge.simulator.recordings import lesson_with_test, write_lesson_with_test, write_recording
from zenmoon_edge.simulator.truth import Truth, truth

__all__ = [
    "Activity",
    "Calendar",
    "Child",
    "Day",
    "Event",
    "Life",
    "Night",
    "SimulatorError",
    "Stage",
    "Trip",
    "Truth",
    "history",
    "lesson_with_test",
    "source_of",
    "truth",
    "write_lesson_with_test",
    "write_recording",
]
