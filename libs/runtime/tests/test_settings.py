"""Settings: what is missing, malformed or unknown is said at once, and no value is repeated."""

from pathlib import Path

import pytest
from pydantic import SecretStr

from sluice_runtime.settings import BadSettings, ServiceSettings, read_settings

SECRET = "hunter2-very-secret"
GOOD = {
    "SLUICE_PORT": "8000",
    "SLUICE_NATS_URL": "nats://localhost:4222",
    "SLUICE_NATS_USER": "gateway",
    "SLUICE_NATS_PASSWORD": SECRET,
}


@pytest.fixture(autouse=True)
def _own_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in GOOD:
        monkeypatch.delenv(name, raising=False)


def test_variables_become_typed_values() -> None:
    settings = read_settings(ServiceSettings, GOOD)
    assert settings.port == 8000
    assert settings.nats_password == SecretStr(SECRET)
    assert settings.environment == "production"


def test_what_has_no_prefix_is_none_of_our_business() -> None:
    assert read_settings(ServiceSettings, {**GOOD, "PORT": "1", "PATH": "/bin"}).port == 8000


def test_every_problem_is_said_at_once() -> None:
    with pytest.raises(BadSettings) as caught:
        read_settings(ServiceSettings, {"SLUICE_PORT": "x", "SLUICE_PROT": "1"})
    text = str(caught.value)
    for line in (
        "SLUICE_PORT: ",
        "SLUICE_PROT: no such setting",
        "SLUICE_NATS_URL: Field required",
        "SLUICE_NATS_USER: Field required",
        "SLUICE_NATS_PASSWORD: Field required",
    ):
        assert f"\n  {line}" in text


def test_a_secret_can_come_from_a_file(tmp_path: Path) -> None:
    file = tmp_path / "secret"
    file.write_text(SECRET + "\n")
    given = {**GOOD, "SLUICE_NATS_PASSWORD_FILE": str(file)}
    del given["SLUICE_NATS_PASSWORD"]
    assert read_settings(ServiceSettings, given).nats_password.get_secret_value() == SECRET


def test_a_file_that_cannot_be_read_is_a_problem(tmp_path: Path) -> None:
    given = {**GOOD, "SLUICE_NATS_PASSWORD_FILE": str(tmp_path / "none")}
    with pytest.raises(BadSettings, match="SLUICE_NATS_PASSWORD_FILE: cannot be read"):
        read_settings(ServiceSettings, given)


def test_a_file_for_no_setting_is_a_problem(tmp_path: Path) -> None:
    with pytest.raises(BadSettings, match="SLUICE_NONSENSE_FILE: no such setting"):
        read_settings(ServiceSettings, {**GOOD, "SLUICE_NONSENSE_FILE": str(tmp_path)})


def test_settings_do_not_change() -> None:
    settings = read_settings(ServiceSettings, GOOD)
    with pytest.raises(ValueError, match="frozen"):
        settings.port = 1  # type: ignore[misc]


def test_secrets_are_not_shown() -> None:
    settings = read_settings(ServiceSettings, GOOD)
    assert SECRET not in repr(settings) + str(settings)
