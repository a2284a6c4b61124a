"""The committed NATS configuration: `.venv/bin/python tests/contract/nats_file.py` writes it."""

from pathlib import Path

from sluice_runtime.nats_conf import USERS, render

FILE = Path(__file__).parents[2] / "deploy/nats.conf"
RENEW = ".venv/bin/python tests/contract/nats_file.py"
_HEAD = f"""\
# Written by `{RENEW}`; do not edit.
# Each password is an environment variable of the server. NATS reads its value as configuration
# text: use letters and digits and begin with a letter.
"""


def variable(user: str) -> str:
    return f"NATS_{user.upper()}_PASSWORD"


def expected() -> str:
    passwords = {user: f"${variable(user)}" for user in USERS}
    return _HEAD + render(
        passwords, host="0.0.0.0", port=4222, store_dir=Path("/data"), monitor_port=8222
    )


if __name__ == "__main__":
    FILE.write_text(expected(), encoding="utf-8")
