"""What the machine is given to do: end its own day. The script really runs here, against a curl that plays Azure."""

from __future__ import annotations

import shutil
import subprocess
from datetime import datetime, timedelta, timezone

import pytest
import yaml

from customai.errors import SpecError
from customai.provisioning import azure_names, dsvm

MACHINE = "/subscriptions/s/resourceGroups/g/providers/Microsoft.Compute/virtualMachines/m"
CURL = """\
#!/bin/bash
# Plays Azure's metadata service and Resource Manager.
for argument; do
  case $argument in
    *userData*) base64 --wrap 0 "$FAKE/user-data"; exit ;;
    *resourceId*) printf %s "$MACHINE"; exit ;;
    *oauth2*) printf %s '{"access_token":"eyJ0.token","expires_in":"3599","resource":"https://management.azure.com/"}'; exit ;;
  esac
done
{ printf '%s\\n' "$*"; cat; } > "$FAKE/asked"
"""


def on_the_machine():
    given = yaml.safe_load(dsvm.cloud_init())
    return {file["path"]: file for file in given["write_files"]}, given["runcmd"]


@pytest.fixture
def shut_down(tmp_path):
    """(what the user data says, hours since the machine was started) -> what was asked of Azure, or None."""
    if shutil.which("bash") is None or subprocess.run(["date", "--version"], capture_output=True).returncode:  # noqa: PLW1510
        pytest.skip("the script is for Linux: it needs bash and GNU date")
    script = tmp_path / "customai-shut-down"
    script.write_text(on_the_machine()[0]["/usr/local/sbin/customai-shut-down"]["content"])
    (tmp_path / "curl").write_text(CURL)
    (tmp_path / "curl").chmod(0o755)

    def run(said, hours):
        (tmp_path / "asked").unlink(missing_ok=True)
        (tmp_path / "user-data").write_text(said)
        (tmp_path / "uptime").write_text(f"{hours * 3600:.2f} 1.00\n")
        env = {"PATH": f"{tmp_path}:/usr/bin:/bin", "FAKE": str(tmp_path), "MACHINE": MACHINE}
        env["CUSTOMAI_UPTIME"] = str(tmp_path / "uptime")
        done = subprocess.run(["bash", script], env=env, capture_output=True, text=True, check=True)
        assert "token" not in done.stdout + done.stderr
        return (tmp_path / "asked").read_text() if (tmp_path / "asked").exists() else None

    return run


def ago(hours):
    return f"{datetime.now(timezone.utc) - timedelta(hours=hours):%H:%M}"


def test_it_deallocates_itself_once_the_time_has_passed(shut_down):
    asked = shut_down(f"{ago(1)} UTC", hours=2)
    arguments, config = asked.splitlines()
    assert "--request POST" in arguments
    assert arguments.endswith(f"https://management.azure.com{MACHINE}/deallocate?api-version=2024-07-01")
    assert config == 'header = "Authorization: Bearer eyJ0.token"'
    assert "token" not in arguments, "every user of the machine can read a process's arguments"


@pytest.mark.parametrize(
    ("said", "hours", "ends"),
    [
        (f"{ago(1)} UTC", 0.5, False),  # started after it: somebody works late
        (f"{ago(-2)} UTC", 3, False),  # started in the morning
        (f"{ago(-2)} UTC", 23, True),  # yesterday's was missed
        (f"{ago(-1)} Etc/GMT-2", 2, True),  # two hours east of UTC it was an hour ago
        (f"{ago(1)} Etc/GMT+2", 2, False),  # two hours west of UTC it is to come
        ("never", 500, False),
    ],
)
def test_it_looks_at_when_it_was_started(shut_down, said, hours, ends):
    assert (shut_down(said, hours) is not None) == ends


def test_the_script_is_run_every_few_minutes():
    files, commands = on_the_machine()
    assert files["/usr/local/sbin/customai-shut-down"]["permissions"] == "0755"
    assert (
        "ExecStart=/usr/local/sbin/customai-shut-down"
        in files["/etc/systemd/system/customai-shut-down.service"]["content"]
    )
    assert "OnUnitActiveSec=5min" in files["/etc/systemd/system/customai-shut-down.timer"]["content"]
    assert ["systemctl", "enable", "--now", "customai-shut-down.timer"] in commands


def test_without_a_key_nothing_is_asked():
    place = azure_names.place(subscription=None, group="g", region="eastus", deployment="digits")
    step = dsvm.step(
        "vm",
        place=place,
        name="digits",
        size="Standard_D4ds_v5",
        image="dsvm",
        user="azureuser",
        ssh_key=None,
        disk={"name": "disk", "gb": 64, "type": "premium"},
        spot=False,
        zone=None,
        shut_down=dsvm.NEVER,
        interface="/nic",
        identity="/identity",
        after=(),
        why="",
    )
    with pytest.raises(SpecError, match="no ssh key") as told:
        dsvm.azure(step.inputs)
    assert "ssh-keygen" in told.value.hint
    assert told.value.where == "azure.vm.ssh_key"
