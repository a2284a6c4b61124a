"""How background work waits for others."""

from pathlib import Path

import pytest

from sluice_runtime.pressure import Courtesy, waited_seconds


class Machine:
    """A clock, and what the kernel tells of waiting for processors."""

    def __init__(self, *, busy: float = 0.0) -> None:
        self.busy = busy
        self.now = 100.0
        self.waited: float | None = 7.0
        self.looks: list[float] = []

    async def sleep(self, seconds: float) -> None:
        self.looks.append(seconds)
        self.run(seconds)

    def run(self, seconds: float) -> None:
        self.now += seconds
        if self.waited is not None:
            self.waited += self.busy * seconds

    def courtesy(self) -> Courtesy:
        return Courtesy(waited=lambda: self.waited, clock=lambda: self.now, sleep=self.sleep)


async def waits(machine: Machine, courtesy: Courtesy, *, age: float = 0.0) -> float:
    """For how long a round of work waits."""
    began = machine.now
    await courtesy.wait(age)
    return machine.now - began


class TestCourtesy:
    async def test_a_look_is_enough_on_a_quiet_machine(self) -> None:
        machine = Machine()
        courtesy = machine.courtesy()
        machine.run(60.0)
        assert await waits(machine, courtesy) == pytest.approx(0.05)

    async def test_round_after_round_it_does_not_wait_there(self) -> None:
        machine = Machine()
        courtesy = machine.courtesy()
        await waits(machine, courtesy)
        for _ in range(20):
            machine.run(0.02)
            assert await waits(machine, courtesy) == 0.0

    async def test_not_even_the_first_round_begins_where_others_wait(self) -> None:
        machine = Machine(busy=0.9)
        courtesy = machine.courtesy()
        machine.run(60.0)
        assert await waits(machine, courtesy) == pytest.approx(5.0)

    async def test_an_hour_without_work_does_not_hide_that_others_wait_now(self) -> None:
        machine = Machine()
        courtesy = machine.courtesy()
        machine.run(3600.0)
        machine.busy = 1.0
        assert await waits(machine, courtesy) == pytest.approx(5.0)

    async def test_looks_less_and_less_often(self) -> None:
        machine = Machine(busy=1.0)
        await waits(machine, machine.courtesy())
        assert machine.looks == pytest.approx([0.05, 0.1, 0.2, 0.4, 0.8, 1.0, 1.0, 1.0, 0.45])

    async def test_goes_on_as_soon_as_the_others_are_done(self) -> None:
        machine = Machine(busy=1.0)

        async def sleep(seconds: float) -> None:
            if machine.now > 101.0:
                machine.busy = 0.0
            machine.run(seconds)

        courtesy = Courtesy(waited=lambda: machine.waited, clock=lambda: machine.now, sleep=sleep)
        assert 1.0 < await waits(machine, courtesy) < 3.0

    async def test_work_that_waited_long_gets_its_share(self) -> None:
        machine = Machine(busy=1.0)
        courtesy = machine.courtesy()
        courtesy.note_round(0.01)
        assert await waits(machine, courtesy, age=9.0) == pytest.approx(5.0)
        assert await waits(machine, courtesy, age=11.0) == pytest.approx(0.04)
        courtesy.note_round(60.0)
        assert await waits(machine, courtesy, age=11.0) == pytest.approx(2.0)

    async def test_on_a_quiet_machine_it_does_not_wait_either(self) -> None:
        machine = Machine()
        courtesy = machine.courtesy()
        courtesy.note_round(60.0)
        await waits(machine, courtesy)
        machine.run(0.02)
        assert await waits(machine, courtesy, age=11.0) == 0.0

    async def test_looks_that_follow_at_once_change_nothing(self) -> None:
        machine = Machine()
        courtesy = machine.courtesy()
        await waits(machine, courtesy)
        machine.busy = 1.0
        for _ in range(50):
            machine.run(0.0001)
            assert await waits(machine, courtesy) == 0.0

    async def test_waits_its_share_where_the_kernel_does_not_tell(self) -> None:
        machine = Machine()
        machine.waited = None
        courtesy = machine.courtesy()
        courtesy.note_round(0.01)
        assert await waits(machine, courtesy) == pytest.approx(0.04)
        assert await waits(machine, courtesy, age=11.0) == pytest.approx(0.04)


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
