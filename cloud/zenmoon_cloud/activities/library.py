"""What a child can do: ten activities, safe for children, each with what is known of it and nothing more.

None is a treatment. Where a study is named, it says what was measured in whom; where none is, nobody is known to have measured it.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import time
from typing import Literal

Kind = Literal["calming", "moving", "winding_down", "connecting"]
Place = Literal["home", "school", "anywhere"]


@dataclass(frozen=True, kw_only=True)
class Activity:
    """Something a child can do, alone or with its adult.

    Attributes:
        id: For the decision log; never given to another activity.
        name: As the guardians read it.
        minutes: How long it takes.
        ages: Youngest and oldest it suits, in years, both included.
        kind: What it is for.
        place: Where it can be done.
        begin: Local time of day from which on it fits.
        end: Local time of day until which it can begin.
        how: One sentence for a child and its adult.
        evidence: What is known, with its source where there is one.
    """

    id: str
    name: str
    minutes: int
    ages: tuple[int, int]
    kind: Kind
    place: Place
    begin: time
    end: time
    how: str
    evidence: str

    def described(self) -> dict[str, object]:
        """What of it is shown, as JSON values."""
        return {"id": self.id, "name": self.name, "minutes": self.minutes, "how": self.how}


LIBRARY: tuple[Activity, ...] = (
    Activity(
        id="slow_breathing",
        name="Slow breathing",
        minutes=3,
        ages=(5, 17),
        kind="calming",
        place="anywhere",
        begin=time(7),
        end=time(20, 30),
        how="Breathe in as if you smelled a flower and out as if you cooled hot soup, slowly and together.",
        evidence="342 children of about 7 years: heart rate fell while they took four slow breaths with a video, beside a video "
        "without breathing. One minute was measured, no longer effect. Obradović, Sulik and Armstrong-Carter, Developmental "
        "Psychobiology 63(8), e22214, 2021.",
    ),
    Activity(
        id="five_sounds",
        name="Five sounds",
        minutes=3,
        ages=(4, 17),
        kind="calming",
        place="anywhere",
        begin=time(7),
        end=time(20, 30),
        how="Close your eyes, find five different sounds, and tell each other which one was the quietest.",
        evidence="A common listening game. No study of it is known to us.",
    ),
    Activity(
        id="squeeze_and_let_go",
        name="Squeeze and let go",
        minutes=5,
        ages=(6, 17),
        kind="calming",
        place="anywhere",
        begin=time(7),
        end=time(20, 30),
        how="Make fists as if you pressed a lemon, count to five, let go, and do the same with shoulders and feet.",
        evidence="The children's form of muscle relaxation. Taught widely; no study of this short form is known to us.",
    ),
    Activity(
        id="drawing",
        name="Drawing or colouring",
        minutes=15,
        ages=(4, 17),
        kind="calming",
        place="home",
        begin=time(8),
        end=time(20),
        how="Take paper and pencils and draw whatever comes, without a goal and without marks.",
        evidence="52 children of about 11 years said that they felt calmer before a spelling test after colouring. There was no "
        "group without colouring. Carsley, Heath and Fajnerova, Journal of Applied School Psychology 31(3), 239-255, 2015.",
    ),
    Activity(
        id="stretching",
        name="Stretch like a cat",
        minutes=5,
        ages=(4, 17),
        kind="moving",
        place="anywhere",
        begin=time(7),
        end=time(20),
        how="Reach up as high as you can, roll down to your toes, and move only as far as is comfortable.",
        evidence="A short break for moving. No study of it is known to us.",
    ),
    Activity(
        id="walk_outside",
        name="A walk outside",
        minutes=20,
        ages=(4, 17),
        kind="moving",
        place="home",
        begin=time(8),
        end=time(18, 30),
        how="Go once around the block together and look for three things that you have never noticed.",
        evidence="Counts towards the 60 minutes of moving a day that the WHO recommends from 5 to 17 years (guidelines on physical "
        "activity, 2020). Its effect on strain is not known to us.",
    ),
    Activity(
        id="dancing",
        name="Dance to two songs",
        minutes=7,
        ages=(4, 17),
        kind="moving",
        place="home",
        begin=time(8),
        end=time(19, 30),
        how="Each of you picks one song, and both dance to it as they like.",
        evidence="Counts towards the same 60 minutes of moving a day (WHO, 2020). Its effect on strain is not known to us.",
    ),
    Activity(
        id="reading_together",
        name="A story together",
        minutes=20,
        ages=(4, 12),
        kind="winding_down",
        place="home",
        begin=time(18, 30),
        end=time(20, 45),
        how="Sit close, read a chapter aloud in turns, and stop where it is nicest to go on tomorrow.",
        evidence="Families with a steady bedtime routine report earlier and longer sleep: 10 085 children up to 5 years, asked "
        "once, so it is not shown that the routine is the cause. Mindell and others, Sleep 38(5), 717-722, 2015.",
    ),
    Activity(
        id="screens_away",
        name="Screens away, lights low",
        minutes=30,
        ages=(4, 17),
        kind="winding_down",
        place="home",
        begin=time(18, 30),
        end=time(21, 30),
        how="Everybody puts the screens in another room, and you do something quiet in soft light.",
        evidence="Children who use portable screens at bedtime sleep less and worse: 20 studies, 125 198 children from 6 to 19 "
        "years, all asked once, so it is not shown that screens are the cause. Carter and others, JAMA Pediatrics "
        "170(12), 1202-1208, 2016.",
    ),
    Activity(
        id="talk_time",
        name="Your topic, my ears",
        minutes=10,
        ages=(4, 17),
        kind="connecting",
        place="home",
        begin=time(7),
        end=time(20),
        how="The child chooses what to talk about, and the adult only listens and asks.",
        evidence="Time with an adult who listens. No study of this form is known to us.",
    ),
)

BY_ID: Mapping[str, Activity] = {activity.id: activity for activity in LIBRARY}
