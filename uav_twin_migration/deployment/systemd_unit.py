"""The systemd unit of an RSU: it restarts, is watched, and can do little else."""

from __future__ import annotations

from pathlib import Path

from uav_twin_migration.deployment.host_directory import STORE

WATCHDOG = 20  # s without a sign of life after which systemd restarts the node

UNIT = """\
# Written by `uavtwin rsu init`. To install it:
#   sudo useradd --system --user-group {user}; sudo chown -R {user}: {directory}
#   sudo systemctl enable --now {directory}/{name}
[Unit]
Description=UAV twin market, RSU {rsu}
Wants=network-online.target
After=network-online.target
# never gives up: what is wrong with the network or the disk today may be repaired tomorrow
StartLimitIntervalSec=0

[Service]
Type=notify
NotifyAccess=main
ExecStart=/bin/bash -c 'source {workspace}/setup.bash && exec python3 -m uav_twin_migration.cli rsu run {directory}'
WatchdogSec={watchdog}
TimeoutStartSec=90
TimeoutStopSec=60
Restart=always
RestartSec=2
# exit code 2: bad parameters, which no restart makes better
RestartPreventExitStatus=2

User={user}
Group={user}
WorkingDirectory={directory}
MemoryHigh=192M
MemoryMax=256M
CPUQuota=100%
TasksMax=64
LimitNOFILE=4096

ReadWritePaths={directory}/{store}
ProtectSystem=strict
ProtectHome=read-only
PrivateTmp=yes
PrivateDevices=yes
ProtectKernelTunables=yes
ProtectKernelModules=yes
ProtectControlGroups=yes
ProtectClock=yes
NoNewPrivileges=yes
CapabilityBoundingSet=
RestrictAddressFamilies=AF_INET AF_INET6 AF_UNIX AF_NETLINK
RestrictNamespaces=yes
RestrictRealtime=yes
RestrictSUIDSGID=yes
LockPersonality=yes
SystemCallArchitectures=native
UMask=0077

[Install]
WantedBy=multi-user.target
"""


def unit_name(rsu: str) -> str:
    """The unit's file name."""
    return f"uavtwin-rsu-{rsu}.service"


def unit(rsu: str, directory: Path, workspace: Path, user: str) -> str:
    """The unit file of an RSU. directory, workspace: where they lie on the RSU's host."""
    values = {"rsu": rsu, "directory": directory, "workspace": workspace, "user": user, "store": STORE}
    return UNIT.format(name=unit_name(rsu), watchdog=WATCHDOG, **values)
