"""The UAV's side: when it asks for what."""

from __future__ import annotations

import itertools

import pytest

from uav_twin_migration.twin.protocol.epochs import LAST_TERM, make_epoch
from uav_twin_migration.twin.protocol.host_discovery import MOST_HEARD, HostDiscoveryTiming
from uav_twin_migration.twin.protocol.messages import (
    Holding,
    HostHeartbeat,
    HostReply,
    HostRequest,
    Reason,
    Stamp,
)
from uav_twin_migration.twin.protocol.twin_client import (
    FIRST_PAUSE,
    STANDBY_PATIENCE,
    Move,
    Stop,
    TwinClient,
)

TIMING = HostDiscoveryTiming(quarantine=1.0, rehost_after=5.0, ask_again=0.5, tries=2)


class Script:
    """A twin client whose host answers at once."""

    def __init__(self, draining: tuple[str, ...] = ()) -> None:
        self.now = 0.0
        self.twin_client = TwinClient("uav", 1000, 0.0, 1e9, TIMING, lambda rsu: rsu not in draining)
        self.twin_client.want("a", ("a", "b"))

    def step(self, seconds: float = 0.25, rate: float = 10.0) -> list[object]:
        """Let time pass."""
        self.now += seconds
        return list(self.twin_client.step(self.now, rate))

    def speak(self, rsu: str, epoch: int, incarnation: int = 1) -> None:
        """An RSU says that it hosts."""
        self.twin_client.hear(
            HostHeartbeat("uav", rsu, Holding.HOSTING, epoch, 0, Stamp(incarnation, self.now)), self.now
        )

    def settle(self) -> int:
        """Until `a` hosts. Returns the epoch."""
        (request,) = self.step(1.5)
        assert isinstance(request, HostRequest)
        assert (request.rsu, request.size) == ("a", 1000)
        self.speak("a", request.epoch)
        assert self.twin_client.host == "a"
        return request.epoch


@pytest.mark.parametrize("epoch", [(1 << 63) - 1, make_epoch(LAST_TERM - 1), make_epoch(LAST_TERM - 2, 7)])
def test_no_rsu_ends_a_twin_by_an_epoch_of_the_far_future(epoch: int) -> None:
    script = Script()
    first = script.settle()
    script.twin_client.hear(HostHeartbeat("uav", "a", Holding.HOSTING, epoch, 0, Stamp(9, 0.0)), script.now)
    assert script.twin_client.lease_renewal().epoch == first
    requests = [one for _ in range(30) for one in script.step() if isinstance(one, HostRequest)]
    for _ in range(20):  # an RSU with keys answers every request by the highest epoch there is
        script.twin_client.answer(
            HostReply("uav", requests[-1].rsu, requests[-1].epoch, Reason.STALE, epoch), script.now
        )
        requests += [one for one in script.step() if isinstance(one, HostRequest)]
    assert first < requests[-1].epoch < make_epoch(int(1e9) + 60)
    script.speak("b", requests[-1].epoch)


def test_invented_rsus_cost_no_memory() -> None:
    script = Script()
    epoch = script.settle()
    for number in range(10_000):
        script.twin_client.hear(
            HostHeartbeat("uav", f"rsu_{number}", Holding.FENCED, epoch, 0, Stamp(1, 0.0)), script.now
        )
    assert len(script.twin_client._host_discovery.heard) <= MOST_HEARD
    assert script.twin_client.host == "a"


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
    script.twin_client.want("b", ("b", "a"))
    assert script.step(rate=0.0) == []
    assert script.step() == [Move("uav", "a", epoch, "b", 10.0)]
    assert script.step() == []  # one at a time
    script.speak("b", epoch + 1)
    assert script.twin_client.host == "b"
    assert script.step() == []
    assert script.twin_client.target == ""


def test_a_failed_migration_is_asked_for_again_after_a_longer_pause_each_time() -> None:
    script = Script()
    epoch = script.settle()
    script.twin_client.want("b", ())
    asked: list[float] = []
    while len(asked) < 4:
        for output in script.step(0.01):
            assert isinstance(output, Move)
            asked.append(script.now)
            script.twin_client.ended("a", "b", False, script.now)
        script.speak("a", epoch)
    pauses = [late - early for early, late in itertools.pairwise(asked)]
    assert all(late > 1.5 * early for early, late in itertools.pairwise(pauses))
    assert pauses[0] > FIRST_PAUSE


def test_a_migration_that_is_not_wanted_any_more_is_cancelled_once() -> None:
    script = Script()
    script.settle()
    script.twin_client.want("b", ())
    script.step()
    script.twin_client.want("a", ())
    assert script.step() == [Stop("uav", "a")]
    assert script.step() == []
    script.twin_client.ended("a", "b", False, script.now)
    assert script.twin_client.target == ""


def test_a_host_that_restarts_has_forgotten_the_migration() -> None:
    script = Script()
    epoch = script.settle()
    script.twin_client.want("b", ())
    script.step()
    script.speak("a", epoch, incarnation=2)
    script.step()
    assert script.twin_client.target == ""
    script.speak("a", epoch, incarnation=2)
    assert script.step(5.0 - 1e-3) == [Move("uav", "a", epoch, "b", 10.0)]


def test_a_silent_host_is_replaced() -> None:
    script = Script()
    epoch = script.settle()
    script.twin_client.want("b", ("b",))
    assert any(isinstance(output, Move) for output in script.step())
    requests = [output for _ in range(40) for output in script.step() if isinstance(output, HostRequest)]
    assert requests
    assert {request.rsu for request in requests} <= {"a", "b"}
    newest = requests[-1]
    assert newest.epoch > epoch
    script.speak(newest.rsu, newest.epoch)
    assert script.twin_client.host == newest.rsu


def test_only_a_sensible_host_is_believed() -> None:
    script = Script()
    epoch = script.settle()
    script.speak("c", epoch + 1)
    script.speak("c", epoch << 3)
    assert script.twin_client.host == "a"
    assert script.twin_client.lease_renewal().host == "a"


# -- the replica -----------------------------------------------------------------------------------------------------


class Warm(Script):
    """A twin client that wants a replica, and has a host."""

    def __init__(self, draining: list[str]) -> None:
        super().__init__()
        self.twin_client = TwinClient("uav", 1000, 0.0, 1e9, TIMING, lambda rsu: rsu not in draining, replica=True)
        self.twin_client.want("a", ("a", "b", "c"))
        self.epoch = self.settle()

    def replicate(self, rsu: str, version: int, of: int) -> None:
        """The host says how far the replica is."""
        said = HostHeartbeat("uav", "a", Holding.HOSTING, self.epoch, of, Stamp(1, self.now), "", rsu, version)
        self.twin_client.hear(said, self.now)


def test_no_replica_is_asked_for_unless_it_is_wanted() -> None:
    script = Script()
    script.settle()
    script.step()
    assert script.twin_client.lease_renewal().replica_host == ""


def test_the_best_rsu_that_is_not_the_host_keeps_the_replica_and_goes_on_keeping_it() -> None:
    script = Warm([])
    script.step()
    assert script.twin_client.lease_renewal().replica_host == script.twin_client.replica_host == "b"
    script.twin_client.want("a", ("a", "c", "b"))
    script.step()
    assert script.twin_client.replica_host == "b"
    script.twin_client.want("a", ("a",))  # out of reach; it has the copy all the same
    script.step()
    assert script.twin_client.replica_host == "b"


def test_a_replica_host_that_goes_down_is_replaced() -> None:
    draining: list[str] = []
    script = Warm(draining)
    script.step()
    draining.append("b")
    script.step()
    assert script.twin_client.replica_host == "c"


def test_a_replica_host_that_does_not_keep_up_is_replaced_unless_there_is_no_bandwidth() -> None:
    script = Warm([])
    script.step()
    for version in range(1, int(STANDBY_PATIENCE) + 5):
        script.replicate("b", 1, of=version + 1)
        script.step(1.0, rate=0.0)
    assert script.twin_client.replica_host == "b"
    for version in range(int(STANDBY_PATIENCE) - 2):
        script.replicate("b", 1, of=100 + version)
        script.step(1.0)
        assert script.twin_client.replica_host == "b"
    for version in range(5):
        script.replicate("b", 1, of=200 + version)
        script.step(1.0)
    assert script.twin_client.replica_host == "c"


def test_a_replica_host_that_has_all_keeps_up_even_if_nothing_changes() -> None:
    script = Warm([])
    for _ in range(3 * int(STANDBY_PATIENCE)):
        script.replicate("b", 7, of=7)
        script.step(1.0)
    assert script.twin_client.replica_host == "b"


def test_host_and_replica_host_change_places_when_the_twin_moves_to_its_replica_host() -> None:
    script = Warm([])
    script.twin_client.want("b", ("b", "a", "c"))
    assert script.step() == [Move("uav", "a", script.epoch, "b", 10.0)]
    script.speak("b", script.epoch + 1)
    script.step()
    assert (script.twin_client.host, script.twin_client.replica_host) == ("b", "a")
    assert script.twin_client.rsus == {"a", "b"}  # whom it must hear, in whichever region they are
