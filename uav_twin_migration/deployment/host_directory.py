"""The directory of one RSU's host: what `uavtwin rsu init` writes, and whoever starts or examines the RSU reads.

    host.yaml       how the host takes part in the network; everything in it is one of `EdgeHost`'s fields
    rsu.yaml        the RSU's ROS parameters
    fastdds.xml     how Fast DDS uses the network
    keys/           the RSU's key and certificate, and the authority's certificate
    learners/       public keys of the learners whose policies are accepted
    plugins/        the files of the RSU's plug-ins
    store/          the twins
    *.service       the systemd unit
    .written/       host.yaml and rsu.yaml as they were written last: what differs, somebody changed
    sros2-policy.xml  what it may do on the network, for SROS2

No rclpy, so that a host can be examined where ROS is missing or broken.
"""

from __future__ import annotations

import re
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

from uav_twin_migration.deployment.discovery import with_profile
from uav_twin_migration.errors import InputError
from uav_twin_migration.market.messages import is_id

HOST_FILE, PARAMETERS_FILE, FAST_DDS_FILE = "host.yaml", "rsu.yaml", "fastdds.xml"
KEYS, LEARNERS, PLUGINS, STORE, STORE_FILE = "keys", "learners", "plugins", "store", "twins.db"
WRITTEN = ".written"
DISCOVERY_PORT = 11811  # Fast DDS's own default
TWIN_PORT = 7811  # not 7447, which is that of rmw_zenoh's router; where an RSU listens for other RSUs

Address = tuple[str, int]  # host, port
LISTS = ("discovery_servers", "peers")  # of host.yaml's fields


@dataclass(frozen=True)
class EdgeHost:
    """How one RSU's host takes part in the network."""

    rsu: str
    domain: int = 0  # ROS_DOMAIN_ID
    rmw: str = "rmw_fastrtps_cpp"
    discovery_servers: tuple[str, ...] = ()  # HOST or HOST:PORT, the same order on all hosts; none: simple discovery
    peers: tuple[str, ...] = ()  # HOSTs that simple discovery asks where no multicast goes
    log: str = "text"  # or json: what its nodes print

    @property
    def servers(self) -> tuple[Address, ...]:
        """The discovery servers' addresses."""
        return tuple(split_address(server, DISCOVERY_PORT) for server in self.discovery_servers)

    def variables(self, directory: Path) -> dict[str, str]:
        """The environment variables that make ROS use the network so."""
        variables = {
            "ROS_DOMAIN_ID": str(self.domain),
            "RMW_IMPLEMENTATION": self.rmw,
            # the node's matrices are small: threads of numpy's libraries would cost memory and gain nothing
            "OPENBLAS_NUM_THREADS": "1",
            "OMP_NUM_THREADS": "1",
        }
        if self.peers:
            variables["ROS_STATIC_PEERS"] = ";".join(self.peers)
        if self.rmw.startswith("rmw_fastrtps"):
            variables |= with_profile(str(directory.absolute() / FAST_DDS_FILE))
            if self.discovery_servers:
                variables["ROS_DISCOVERY_SERVER"] = ";".join(f"{host}:{port}" for host, port in self.servers)
        return variables

    def document(self) -> dict[str, Any]:
        """What stands in host.yaml."""
        return asdict(self) | {name: list(getattr(self, name)) for name in LISTS}

    def save(self, directory: Path) -> None:
        """Write host.yaml."""
        import yaml

        (directory / HOST_FILE).write_text(yaml.safe_dump(self.document(), sort_keys=False))


def split_address(text: str, port: int) -> Address:
    """HOST, HOST:PORT or [IPV6]:PORT. Raises ValueError."""
    if text.startswith("["):
        host, _, rest = text[1:].partition("]")
        rest = rest.removeprefix(":")
    else:
        host, _, rest = text.partition(":")
    if not host or (rest and not (rest.isdecimal() and 0 < int(rest) < 65536)):
        raise ValueError(text)
    return host, int(rest) if rest else port


def load_host(directory: Path) -> EdgeHost:
    """Read host.yaml. Raises InputError."""
    file = directory / HOST_FILE
    document = read_yaml(file)
    known = {field.name for field in fields(EdgeHost)}
    for key in document:
        if key not in known:
            raise InputError(str(file), str(key), document[key], f"one of {', '.join(sorted(known))}")
    if "rsu" not in document:
        raise InputError(str(file), "rsu", None, "the id of this host's RSU")
    return check_host(EdgeHost(**document | {name: _texts(file, document, name) for name in LISTS}), str(file))


def check_host(host: EdgeHost, where: str) -> EdgeHost:
    """The same, if it makes sense. Raises InputError that names `where`."""
    if not (isinstance(host.rsu, str) and is_id(host.rsu)):
        raise InputError(where, "rsu", host.rsu, "a ROS name token of at most 64 characters")
    if not (isinstance(host.domain, int) and 0 <= host.domain <= 101):
        raise InputError(where, "domain", host.domain, "a whole number from 0 to 101")
    if not (isinstance(host.rmw, str) and host.rmw.startswith("rmw_")):
        raise InputError(where, "rmw", host.rmw, "the name of a ROS middleware, as rmw_fastrtps_cpp")
    if host.log not in ("text", "json"):
        raise InputError(where, "log", host.log, "text or json")
    for server in host.discovery_servers:
        try:
            split_address(server, DISCOVERY_PORT)
        except (ValueError, AttributeError):
            raise InputError(where, "discovery_servers", server, "HOST or HOST:PORT") from None
    for peer in host.peers:
        if not (isinstance(peer, str) and re.fullmatch(r"[\w.:-]+", peer)):
            raise InputError(where, "peers", peer, "an address, or the name of a host")
    if host.peers and host.discovery_servers:
        raise InputError(where, "peers", ", ".join(host.peers), "none where there are discovery_servers")
    return host


def read_parameters(directory: Path) -> dict[str, Any]:
    """The RSU's ROS parameters out of rsu.yaml. Raises InputError."""
    file = directory / PARAMETERS_FILE
    for entry in read_yaml(file).values():
        if isinstance(entry, dict) and isinstance(entry.get("ros__parameters"), dict):
            return dict(entry["ros__parameters"])
    raise InputError(str(file), "ros__parameters", None, "the RSU's parameters, as `uavtwin rsu init` writes them")


def check_parameters(values: dict[str, Any], where: str) -> None:
    """Raises InputError where the RSU's node would refuse a parameter, or does not know it."""
    from uav_twin_migration.scenario.parameters import parameters_of
    from uav_twin_migration.scenario.settings import RSU, Refusal, check_rules

    settings = {setting.name: setting for setting in parameters_of(RSU)}
    read = {}
    for name, value in values.items():
        setting = settings.get(name)
        if setting is None and name != "use_sim_time":
            import difflib  # for mistakes alone

            near = difflib.get_close_matches(name, settings, n=1)
            hint = f"; is it {near[0]}?" if near else ""
            raise InputError(where, name, value, f"a parameter of an RSU, see docs/parameters.md{hint}")
        try:
            read[name] = setting.read(value) if setting else value
        except Refusal as refusal:
            raise InputError(where, name, value, refusal.expected) from None
    missing = [setting.name for setting in settings.values() if setting.required and setting.name not in values]
    if missing:
        raise InputError(where, missing[0], None, f"{settings[missing[0]].expected}: {settings[missing[0]].meaning}")
    try:
        check_rules(read)
    except Refusal as refusal:
        raise InputError(where, refusal.where(), refusal.value, refusal.expected) from None


def read_yaml(file: Path, wanted: str = "a file that `uavtwin rsu init` writes") -> dict[Any, Any]:
    """A YAML file with a mapping. Raises InputError."""
    import yaml

    try:
        document = yaml.safe_load(file.read_text())
    except OSError as error:
        raise InputError(str(file), "file", error.strerror, wanted) from error
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise InputError(str(file), "file", str(error).splitlines()[0], "YAML") from error
    if not isinstance(document, dict):
        raise InputError(str(file), "file", document, "a YAML mapping")
    return document


def _texts(file: Path, document: dict[Any, Any], name: str) -> tuple[str, ...]:
    texts = document.get(name) or []
    if not isinstance(texts, list):
        raise InputError(str(file), name, texts, "a list of hosts")
    return tuple(texts)
