"""The systemd units of a host: each restarts what it runs, watches it where it can, and lets it do little else."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

from uav_twin_migration.deployment.host_directory import STORE

WATCHDOG = 20  # s without a sign of life after which systemd restarts the node

HEAD = """\
# Written by `uavtwin rsu install`, which writes it anew: what is to differ belongs into {name}.d/*.conf
[Unit]
Description={description}
Wants=network-online.target
After=network-online.target
# never gives up: what is wrong with the network or the disk today may be repaired tomorrow
StartLimitIntervalSec=0
{unit}
[Service]
{environment}ExecStart={command}
Restart=always
RestartSec=2
# exit code 2: bad configuration, which no restart makes better
RestartPreventExitStatus=2
{service}
User={user}
Group={user}
LimitNOFILE=4096
ProtectSystem=strict
ProtectHome=read-only
PrivateTmp=yes
PrivateDevices=yes
ProtectKernelTunables=yes
ProtectKernelModules=yes
ProtectKernelLogs=yes
ProtectControlGroups=yes
ProtectClock=yes
ProtectHostname=yes
ProtectProc=invisible
NoNewPrivileges=yes
CapabilityBoundingSet=
RestrictAddressFamilies=AF_INET AF_INET6 AF_UNIX AF_NETLINK
RestrictNamespaces=yes
RestrictRealtime=yes
RestrictSUIDSGID=yes
LockPersonality=yes
RemoveIPC=yes
SystemCallArchitectures=native
SystemCallFilter=@system-service
SystemCallErrorNumber=EPERM
UMask=0077

[Install]
WantedBy=multi-user.target
"""

RSU_UNIT = "RequiresMountsFor={directory}\n"
RSU_SERVICE = """\
Type=notify
NotifyAccess=main
WatchdogSec={watchdog}
TimeoutStartSec=90
# drain_limit, and a little; the node asks for more where that is longer
TimeoutStopSec=60
MemoryHigh=192M
MemoryMax=256M
CPUQuota=100%
TasksMax=64
WorkingDirectory={directory}
ReadWritePaths={directory}/{store}
"""
BESIDE = "MemoryMax=256M\nTasksMax=64\n"
DISCOVERY_SERVICE = BESIDE + "# SIGTERM ends Fast DDS's server without a goodbye\nKillSignal=SIGINT\n"


class Launcher(NamedTuple):
    """How the command line is started on a host."""

    command: str  # and arguments follow
    environment: str = ""  # a file of variables


def unit_name(rsu: str) -> str:
    """The file name of an RSU's unit."""
    return f"uavtwin-rsu-{rsu}.service"


def unit(rsu: str, directory: Path, launcher: Launcher, user: str) -> str:
    """The unit file of an RSU. directory: where it lies on the RSU's host."""
    return _unit(
        unit_name(rsu),
        f"UAV twin market, RSU {rsu}",
        launcher,
        f"rsu run {directory}",
        user,
        RSU_UNIT.format(directory=directory),
        RSU_SERVICE.format(watchdog=WATCHDOG, directory=directory, store=STORE),
    )


def metrics_unit(directory: Path, launcher: Launcher, user: str, where: str) -> tuple[str, str]:
    """Name and content of the unit that answers Prometheus. where: ADDRESS:PORT."""
    name = "uavtwin-metrics.service"
    arguments = f"rsu metrics {directory} --listen {where}"
    return name, _unit(name, "UAV twin market, metrics", launcher, arguments, user, "", BESIDE)


def discovery_unit(number: int, address: str, port: int, launcher: Launcher, user: str) -> tuple[str, str]:
    """Name and content of the unit of a discovery server. address: of its host, without which it does not begin."""
    name = f"uavtwin-discovery-{number}.service"
    arguments = f"rsu discovery --number {number} --port {port} --wait-for {address}"
    title = f"UAV twin market, discovery server {number}"
    return name, _unit(name, title, launcher, arguments, user, "", DISCOVERY_SERVICE)


def _unit(name: str, description: str, launcher: Launcher, arguments: str, user: str, unit: str, service: str) -> str:
    environment = f"EnvironmentFile={launcher.environment}\n" if launcher.environment else ""
    return HEAD.format(
        name=name,
        description=description,
        unit=unit,
        environment=environment,
        command=f"{launcher.command} {arguments}",
        service=service.rstrip(),
        user=user,
    )
