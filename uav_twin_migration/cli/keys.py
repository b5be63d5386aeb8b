"""Make keys for RSUs, UAVs and learners, and the authorities that vouch for them: what they need to trust each other.

DIR gets authority.pem and authority.key, market.pub and market.key, and for each RSU ID.pem and ID.key, with which it
moves twins, and ID.signing, with which it signs what it says. An RSU's host needs authority.pem, market.pub, its own
ID.pem, ID.key and ID.signing, and nothing else. Keep authority.key and market.key away from all of them. Run again with
more ids to add RSUs: the authorities that are there are used.

A UAV gets ID.signing, too, with which it signs what it says, and a UAV container NAME.signing, which is for all its
UAVs; each needs that file and market.pub.

A learner gets NAME.key, with which it signs the policies that it publishes, and NAME.pub, which goes into the directory
`learners` of each RSU's host that shall believe it.

`--revoke ID` takes back all keys that were ever made here for an RSU, a UAV or a UAV container: they are named in the
signed file `revoked`, which goes beside market.pub of all hosts and UAVs. The ID can then be given new ones.
"""

from __future__ import annotations

import argparse
from collections.abc import Mapping, Sequence
from pathlib import Path

from uav_twin_migration.errors import InputError
from uav_twin_migration.security.authority import (
    AUTHORITY,
    make_keys,
    make_learner_key,
    make_signing_keys,
    make_uav_signing_keys,
    revoke,
)
from uav_twin_migration.twin.protocol.wire import is_name


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Options of `uavtwin keys`."""
    parser.add_argument("directory", metavar="DIR", type=Path)
    parser.add_argument("--rsus", metavar="ID", nargs="+", default=[])
    parser.add_argument("--uavs", metavar="ID", nargs="+", default=[], help="UAVs that are nodes of their own")
    parser.add_argument(
        "--uav-container",
        metavar=("NAME", "ID"),
        nargs="+",
        action="append",
        default=[],
        help="a UAV container and its UAVs",
    )
    parser.add_argument("--learner", metavar="NAME", action="append", default=[], help="a learner's signing key")
    parser.add_argument("--revoke", metavar="ID", nargs="+", default=[], help="take back all keys of an RSU or a UAV")
    parser.add_argument("--days", type=int, default=825, help="validity of certificates and signatures (default 825)")
    parser.add_argument("--renew", action="store_true", help="replace the keys of those who have some")


def run(arguments: argparse.Namespace) -> int:
    """Write the files. Returns the exit code."""
    uav_containers = {uav: [uav] for uav in arguments.uavs} | {name: uavs for name, *uavs in arguments.uav_container}
    if not (arguments.rsus or uav_containers or arguments.learner or arguments.revoke):
        raise InputError(
            "command line", "--rsus", None, "ids of RSUs, or --uavs, --uav-container, --learner or --revoke"
        )
    _check_names(arguments, uav_containers)
    made: list[Path] = []
    if arguments.revoke:
        made += revoke(arguments.directory, arguments.revoke)
    if arguments.rsus:
        made += make_keys(arguments.directory, arguments.rsus, arguments.days, arguments.renew)
        made += make_signing_keys(arguments.directory, arguments.rsus, arguments.days, arguments.renew)
    if uav_containers:
        made += make_uav_signing_keys(arguments.directory, uav_containers, arguments.days, arguments.renew)
    for learner in arguments.learner:
        made += make_learner_key(arguments.directory, learner, arguments.renew)
    for file in made:
        print(file)
    return 0


def _check_names(arguments: argparse.Namespace, uav_containers: Mapping[str, Sequence[str]]) -> None:
    """Raises InputError."""
    token = "a letter, then letters, digits and _, at most 64"
    for learner in arguments.learner:
        if not is_name(learner):
            raise InputError("--learner", "NAME", learner, token)
    for rsu in arguments.rsus:
        if not is_name(rsu) or rsu == AUTHORITY:
            raise InputError("--rsus", "ID", rsu, f"{token}; not 'authority'")
    for name, uavs in uav_containers.items():
        if not uavs:
            raise InputError("--uav-container", name, "no UAV", "a name, and the ids of the UAV container's UAVs")
        for one in (name, *uavs):
            if not is_name(one) or one in arguments.rsus:
                raise InputError("--uavs or --uav-container", "ID", one, f"{token}; not an RSU's")
    if arguments.days < 1:
        raise InputError("--days", "validity", arguments.days, "at least 1 day")
