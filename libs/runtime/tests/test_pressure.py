"""How much of the machine background work leaves to others."""

from pathlib import Path

import pytest

from sluice_runtime.pressure import Courtesy, waited_seconds


class Machine:
    """A clock, and what the kernel tells of waiting for processors."""

    def __init__(self) -> None:
        self.now = 100.0
        self.waited: float | None = 7.0

    def run(self, seconds: float, *, busy: float) -> None:
        self.now += seconds
        if self.waited is not None:
            self.waited += busy * seconds

    def courtesy(self) -> Courtesy:
        return Courtesy(waited=lambda: self.waited, clock=lambda: self.now)


def rests(machine: Machine, courtesy: Courtesy, *, busy: float, rounds: int = 12) -> list[float]:
    """Rests after rounds of 10 ms, one a second."""
    found: list[float] = []
    for _ in range(rounds):
        machine.run(1.0, busy=busy)
        found.append(courtesy.rest_after(0.01, 0.0))
    return found


class TestCourtesy:
    def test_soon_rests_long_where_others_wait(self) -> None:
        machine = Machine()
        found = rests(machine, machine.courtesy(), busy=0.9)
        assert found == sorted(found)
        assert found[0] == pytest.approx(0.32)
        assert found[-1] == pytest.approx(0.64)

    def test_hardly_rests_on_a_quiet_machine(self) -> None:
        machine = Machine()
        assert rests(machine, machine.courtesy(), busy=0.1)[-1] == pytest.approx(0.005)

    def test_is_quick_again_soon_after_the_others_are_done(self) -> None:
        machine = Machine()
        courtesy = machine.courtesy()
        rests(machine, courtesy, busy=0.9)
        assert rests(machine, courtesy, busy=0.0, rounds=4)[-1] == pytest.approx(0.005)

    def test_never_rests_longer_than_allowed(self) -> None:
        machine = Machine()
        courtesy = machine.courtesy()
        rests(machine, courtesy, busy=1.0)
        assert courtesy.rest_after(60.0, 0.0) == 2.0

    def test_work_that_waited_long_gets_its_share(self) -> None:
        machine = Machine()
        courtesy = machine.courtesy()
        rests(machine, courtesy, busy=1.0)
        assert courtesy.rest_after(0.01, 59.0) == pytest.approx(0.64)
        assert courtesy.rest_after(0.01, 61.0) == pytest.approx(0.04)

    def test_on_a_quiet_machine_it_hardly_rests_either(self) -> None:
        machine = Machine()
        courtesy = machine.courtesy()
        rests(machine, courtesy, busy=0.0)
        assert courtesy.rest_after(0.01, 61.0) == pytest.approx(0.005)

    def test_looks_that_follow_at_once_change_nothing(self) -> None:
        machine = Machine()
        courtesy = machine.courtesy()
        for _ in range(50):
            machine.run(0.0001, busy=1.0)
            assert courtesy.rest_after(0.01, 0.0) == pytest.approx(0.04)

    def test_rests_as_ever_where_the_kernel_does_not_tell(self) -> None:
        machine = Machine()
        courtesy = machine.courtesy()
        rests(machine, courtesy, busy=1.0)
        machine.waited = None
        assert set(rests(machine, courtesy, busy=1.0)) == {0.04}


class TestWaitedSeconds:
    def test_reads_what_the_kernel_tells(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        file = tmp_path / "cpu"
        file.write_text(
            "some avg10=1.27 avg60=0.42 avg300=0.10 total=2500000\n"
            "full avg10=0.00 avg60=0.00 avg300=0.00 total=9\n"
        )
        monkeypatch.setattr("sluice_runtime.pressure._FILE", file)
        assert waited_seconds() == 2.5

    @pytest.mark.parametrize("text", ["", "some\n"])
    def test_a_file_of_another_form_tells_nothing(
        self, text: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        file = tmp_path / "cpu"
        file.write_text(text)
        monkeypatch.setattr("sluice_runtime.pressure._FILE", file)
        assert waited_seconds() is None

    def test_a_kernel_without_the_file_tells_nothing(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("sluice_runtime.pressure._FILE", tmp_path / "cpu")
        assert waited_seconds() is None
