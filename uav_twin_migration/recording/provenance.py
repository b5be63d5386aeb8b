"""What a recording is of: words, and the files that a run was made from. Whoever has it needs nothing else."""

from __future__ import annotations

import hashlib
import os
import platform
from collections.abc import Mapping
from datetime import datetime, timezone
from pathlib import Path

from uav_twin_migration import __version__
from uav_twin_migration.policy.choice import DEFAULT, NONE, SHIPPED, UNTRAINED
from uav_twin_migration.recording.metadata import Attachment
from uav_twin_migration.scenario.load import dump, load, loads
from uav_twin_migration.scenario.model import Scenario
from uav_twin_migration.shipped import shipped_file

SCENARIO_FILE, POLICY_FILE = "scenario.yaml", "policy.safetensors"  # what they are called within a recording


def provenance(
    scenario: str | Scenario, policy: str, seed: int, simulated: bool
) -> tuple[dict[str, str], list[Attachment]]:
    """Words and files that say what a run was made from.

    Args:
        scenario: or its file, whose routes may stand in files of their own: what is kept is whole; "" for none.
        policy: what RSUs price with at first: a file, or a name as `policy.choice.choose` has them; "" for none.
        seed: of everything random; below 0 where nobody told.
        simulated: whether times are those of the simulation.

    Raises:
        InputError: the scenario cannot be read.
        OSError: the policy's file, or the radio map's, cannot be read.
    """
    about = {
        "version": __version__,
        "ros_distro": os.environ.get("ROS_DISTRO", "unknown"),
        "python": platform.python_version(),
        "machine": platform.machine(),
        "time": "simulated" if simulated else "since the epoch",
        "started": datetime.now(timezone.utc).isoformat(timespec="seconds"),
    }
    files = []
    if seed >= 0:
        about["seed"] = str(seed)
    if scenario:
        held = load(scenario) if isinstance(scenario, str) else scenario
        about["scenario"] = held.name
        if held.radio.map:
            about["radio map sha256"] = hashlib.sha256(Path(held.radio.map).read_bytes()).hexdigest()
        files.append(Attachment(SCENARIO_FILE, "application/yaml", dump(held).encode()))
    if policy:
        about["policy"] = policy
        file = shipped_file(SHIPPED) if policy == DEFAULT else None if policy in (NONE, UNTRAINED) else Path(policy)
        if file is not None:
            files.append(Attachment(POLICY_FILE, "application/octet-stream", file.read_bytes()))
    about |= {f"{one.name} sha256": hashlib.sha256(one.data).hexdigest() for one in files}
    return about, files


def scenario_of(attachments: Mapping[str, Attachment]) -> Scenario | None:
    """The scenario that a recording holds; None where it holds none.

    Raises:
        InputError: it is one that this version does not read.
    """
    held = attachments.get(SCENARIO_FILE)
    return None if held is None else loads(held.data.decode(errors="replace"), SCENARIO_FILE)
