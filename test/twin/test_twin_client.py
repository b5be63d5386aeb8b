"""The UAV's side: when it asks for what."""

from __future__ import annotations

import itertools

from uav_twin_migration.twin.protocol.host_discovery import FinderTiming
from uav_twin_migration.twin.protocol.messages import (
    Holding,
    HostRequest,
    Presence,
    Stamp,
)
from uav_twin_migration.twin.protocol.twin_client import (
    FIRST_PAUSE,
    STANDBY_PATIENCE,
    Keeper,
    Move,
    Stop,
)

TIMING = FinderTiming(quarantine=1.0, rehost_after=5.0, ask_again=0.5, tries=2)


class Script:
    """A keeper whose host answers at once."""

    def __init__(self, draining: tuple[str, ...] = ()) -> None:
        self.now = 0.0
        self.keeper = Keeper("uav", 1000, 0.0, 1e9, TIMING, lambda rsu: rsu not in draining)
        self.keeper.want("a", ("a", "b"))

    def step(self, seconds: float = 0.25, rate: float = 10.0) -> list[object]:
        """Let time pass."""
        self.now += seconds
        return list(self.keeper.step(self.now, rate))

    def speak(self, rsu: str, epoch: int, life: int = 1) -> None:
        """An RSU says that it hosts."""
        self.keeper.hear(Presence("uav", rsu, Holding.HOSTING, epoch, 0, Stamp(life, self.now)), self.now)

    def settle(self) -> int:
        """Until `a` hosts. Returns the epoch."""
        (request,) = self.step(1.5)
        assert isinstance(request, HostRequest)
        assert (request.rsu, request.size) == ("a", 1000)
        self.speak("a", request.epoch)
        assert self.keeper.host == "a"
        return request.epoch


def test_it_listens_first_and_then_asks_the_rsu_that_it_wants() -> None:
    script = Script()
    assert script.step(0.9) == []
    script.settle()


def test_it_asks_no_rsu_that_takes_none() -> None:
    script = Script(draining=("a",))
    (request,) = script.step(1.5)
    assert isinstance(request, HostRequest)
    assert request.rsu == "b"


def test_it_moves_the_twin_when_it_wants_another_host_and_has_bandwidth() -> None:
    script = Script()
    epoch = script.settle()
    script.keeper.want("b", ("b", "a"))
    assert script.step(rate=0.0) == []
    assert script.step() == [Move("uav", "a", epoch, "b", 10.0)]
    assert script.step() == []  # one at a time
    script.speak("b", epoch + 1)
    assert script.keeper.host == "b"
    assert script.step() == []
    assert script.keeper.target == ""


def test_a_failed_migration_is_asked_for_again_after_a_longer_pause_each_time() -> None:
    script = Script()
    epoch = script.settle()
    script.keeper.want("b", ())
    asked: list[float] = []
    while len(asked) < 4:
        for output in script.step(0.01):
            assert isinstance(output, Move)
            asked.append(script.now)
            script.keeper.ended("a", "b", False, script.now)
        script.speak("a", epoch)
    pauses = [late - early for early, late in itertools.pairwise(asked)]
    assert all(late > 1.5 * early for early, late in itertools.pairwise(pauses))
    assert pauses[0] > FIRST_PAUSE


def test_a_migration_that_is_not_wanted_any_more_is_cancelled_once() -> None:
    script = Script()
    script.settle()
    script.keeper.want("b", ())
    script.step()
    script.keeper.want("a", ())
    assert script.step() == [Stop("uav", "a")]
    assert script.step() == []
    script.keeper.ended("a", "b", False, script.now)
    assert script.keeper.target == ""


def test_a_host_that_restarts_has_forgotten_the_migration() -> None:
    script = Script()
    epoch = script.settle()
    script.keeper.want("b", ())
    script.step()
    script.speak("a", epoch, life=2)
    script.step()
    assert script.keeper.target == ""
    script.speak("a", epoch, life=2)
    assert script.step(5.0 - 1e-3) == [Move("uav", "a", epoch, "b", 10.0)]


def test_a_silent_host_is_replaced() -> None:
    script = Script()
    epoch = script.settle()
    script.keeper.want("b", ("b",))
    assert any(isinstance(output, Move) for output in script.step())
    requests = [output for _ in range(40) for output in script.step() if isinstance(output, HostRequest)]
    assert requests
    assert {request.rsu for request in requests} <= {"a", "b"}
    newest = requests[-1]
    assert newest.epoch > epoch
    script.speak(newest.rsu, newest.epoch)
    assert script.keeper.host == newest.rsu


def test_only_a_sensible_host_is_believed() -> None:
    script = Script()
    epoch = script.settle()
    script.speak("c", epoch + 1)
    script.speak("c", epoch << 3)
    assert script.keeper.host == "a"
    assert script.keeper.recognition().host == "a"


# -- the warm copy -----------------------------------------------------------------------------------------------------


class Warm(Script):
    """A keeper that wants a warm copy, and has a host."""

    def __init__(self, draining: list[str]) -> None:
        super().__init__()
        self.keeper = Keeper("uav", 1000, 0.0, 1e9, TIMING, lambda rsu: rsu not in draining, replica=True)
        self.keeper.want("a", ("a", "b", "c"))
        self.epoch = self.settle()

    def replicate(self, rsu: str, mark: int, of: int) -> None:
        """The host says how far the warm copy is."""
        said = Presence("uav", "a", Holding.HOSTING, self.epoch, of, Stamp(1, self.now), "", rsu, mark)
        self.keeper.hear(said, self.now)


def test_no_warm_copy_is_asked_for_unless_it_is_wanted() -> None:
    script = Script()
    script.settle()
    script.step()
    assert script.keeper.recognition().standby == ""


def test_the_best_rsu_that_is_not_the_host_keeps_the_warm_copy_and_goes_on_keeping_it() -> None:
    script = Warm([])
    script.step()
    assert script.keeper.recognition().standby == script.keeper.standby == "b"
    script.keeper.want("a", ("a", "c", "b"))
    script.step()
    assert script.keeper.standby == "b"
    script.keeper.want("a", ("a",))  # out of reach; it has the copy all the same
    script.step()
    assert script.keeper.standby == "b"


def test_a_standby_that_goes_down_is_replaced() -> None:
    draining: list[str] = []
    script = Warm(draining)
    script.step()
    draining.append("b")
    script.step()
    assert script.keeper.standby == "c"


def test_a_standby_that_does_not_keep_up_is_replaced_unless_there_is_no_bandwidth() -> None:
    script = Warm([])
    script.step()
    for mark in range(1, int(STANDBY_PATIENCE) + 5):
        script.replicate("b", 1, of=mark + 1)
        script.step(1.0, rate=0.0)
    assert script.keeper.standby == "b"
    for mark in range(int(STANDBY_PATIENCE) - 2):
        script.replicate("b", 1, of=100 + mark)
        script.step(1.0)
        assert script.keeper.standby == "b"
    for mark in range(5):
        script.replicate("b", 1, of=200 + mark)
        script.step(1.0)
    assert script.keeper.standby == "c"


def test_a_standby_that_has_all_keeps_up_even_if_nothing_changes() -> None:
    script = Warm([])
    for _ in range(3 * int(STANDBY_PATIENCE)):
        script.replicate("b", 7, of=7)
        script.step(1.0)
    assert script.keeper.standby == "b"


def test_host_and_standby_change_places_when_the_twin_moves_to_its_standby() -> None:
    script = Warm([])
    script.keeper.want("b", ("b", "a", "c"))
    assert script.step() == [Move("uav", "a", script.epoch, "b", 10.0)]
    script.speak("b", script.epoch + 1)
    script.step()
    assert (script.keeper.host, script.keeper.standby) == ("b", "a")
