"""The directory of one RSU's host: what `uavtwin rsu init` writes, and whoever starts or examines the RSU reads.

    host.yaml       all that the host says; everything in it is one of `EdgeHost`'s fields
    fastdds.xml     how Fast DDS uses the network
    keys/           the RSU's key and certificate, and the authority's certificate
    learners/       public keys of the learners whose policies are accepted
    plugins/        the files of the RSU's plug-ins
    store/          the twins
    .written/       host.yaml as it was written last: what differs, somebody changed
    sros2-policy.xml  what it may do on the network, for SROS2

No rclpy, so that a host can be examined where ROS is missing or broken.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any

from uav_twin_migration.deployment.discovery import with_profile
from uav_twin_migration.errors import InputError
from uav_twin_migration.market.messages import is_id
from uav_twin_migration.plugins import beside

HOST_FILE, FAST_DDS_FILE = "host.yaml", "fastdds.xml"
EARLIER_FILE = "rsu.yaml"  # where earlier versions had the parameters
KEYS, LEARNERS, PLUGINS, STORE, STORE_FILE = "keys", "learners", "plugins", "store", "twins.db"
WRITTEN = ".written"
DISCOVERY_PORT = 11811  # Fast DDS's own default
TWIN_PORT = 7811  # not 7447, which is that of rmw_zenoh's router; where an RSU listens for other RSUs
METRICS_PORT = 9464

Address = tuple[str, int]  # host, port
LISTS = ("discovery_servers", "peers")  # of host.yaml's fields


@dataclass(frozen=True)
class EdgeHost:
    """What one RSU's host says: how it takes part in the network, what runs on it, and its RSU's parameters."""

    rsu: str
    domain: int = 0  # ROS_DOMAIN_ID
    rmw: str = "rmw_fastrtps_cpp"
    discovery_servers: tuple[str, ...] = ()  # HOST or HOST:PORT, the same order on all hosts; none: simple discovery
    peers: tuple[str, ...] = ()  # HOSTs that simple discovery asks where no multicast goes
    log: str = "text"  # or json: what its nodes print
    at: str = ""  # where `install` puts the directory; empty: /etc/uavtwin/RSU
    user: str = "uavtwin"  # whom the services run as
    metrics: str = ""  # IP:PORT at which Prometheus is answered; empty: nowhere
    discovery: int | None = None  # the number of the discovery server that runs here
    parameters: Mapping[str, Any] = field(default_factory=dict)  # of the RSU's node, but for those of `files_in`

    @property
    def servers(self) -> tuple[Address, ...]:
        """The discovery servers' addresses."""
        return tuple(split_address(server, DISCOVERY_PORT) for server in self.discovery_servers)

    @property
    def home(self) -> Path:
        """Where the directory lies once it is installed."""
        return Path(self.at or f"/etc/uavtwin/{self.rsu}")

    @property
    def address(self) -> Address:
        """Where the RSU listens for others."""
        return str(self.parameters.get("twin_address", "127.0.0.1")), int(self.parameters.get("twin_port", TWIN_PORT))

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

    def node_parameters(self, directory: Path) -> dict[str, Any]:
        """All ROS parameters of the RSU's node. directory: where the host's directory lies."""
        directory = directory.absolute()
        places = files_in(self.rsu)
        own = {"rsu_id": self.rsu, "twin_port": TWIN_PORT, "drain_on_stop": True, **places, **self.parameters}
        for name, value in own.items():
            if isinstance(value, str) and value:
                own[name] = str(directory / value) if name in places else beside(value, directory)
        return own

    def document(self) -> dict[str, Any]:
        """What stands in host.yaml."""
        return asdict(self) | {name: list(getattr(self, name)) for name in LISTS}


def files_in(rsu: str) -> dict[str, str]:
    """The parameters of an RSU's node that are places in its host's directory, relative to that."""
    return {
        "signing_key": f"{KEYS}/{rsu}.signing",
        "market_key": f"{KEYS}/market.pub",
        "learners": LEARNERS,
        "policy_kept": f"{STORE}/policy.safetensors",
        "twin_store": f"{STORE}/{STORE_FILE}",
        "twin_keys": KEYS,
        "ledger": f"{STORE}/{rsu}.ledger",
    }


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
    """Read host.yaml, in an earlier version's directory with what is beside it. Raises InputError."""
    return host_of(read_settings(directory), str(directory / HOST_FILE))


def read_settings(directory: Path) -> dict[str, Any]:
    """What stands in host.yaml, in an earlier version's directory with what is beside it. Raises InputError."""
    document = read_yaml(directory / HOST_FILE)
    if "parameters" not in document and is_earlier(directory):
        from uav_twin_migration.deployment.earlier_directories import joined

        return joined(document, directory)
    return document


def is_earlier(directory: Path) -> bool:
    """Whether a directory is as an earlier version wrote it."""
    return (directory / EARLIER_FILE).exists()


def host_of(document: Mapping[str, Any], where: str) -> EdgeHost:
    """The host that a document describes. Raises InputError that names `where`."""
    known = {field_.name for field_ in fields(EdgeHost)}
    for key in document:
        if key not in known:
            raise InputError(where, str(key), document[key], f"one of {', '.join(sorted(known))}")
    if "rsu" not in document:
        raise InputError(where, "rsu", None, "the id of this host's RSU")
    return check_host(EdgeHost(**{**document, **{name: _texts(where, document, name) for name in LISTS}}), where)


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
    if not (isinstance(host.at, str) and re.fullmatch(r"(/[\w.@+-]+)*", host.at)):
        raise InputError(where, "at", host.at, "an absolute path without spaces: systemd and the shell read it")
    if not (isinstance(host.user, str) and re.fullmatch(r"[a-z_][a-z0-9_-]{0,31}", host.user)):
        raise InputError(where, "user", host.user, "the name of a user")
    try:
        if host.metrics:
            split_address(host.metrics, METRICS_PORT)
    except (ValueError, AttributeError):
        raise InputError(where, "metrics", host.metrics, "IP:PORT, or nothing") from None
    if host.discovery not in (None, 0, 1) or isinstance(host.discovery, bool):
        raise InputError(where, "discovery", host.discovery, "0 or 1, the number of a discovery server, or nothing")
    if not isinstance(host.parameters, Mapping):
        raise InputError(where, "parameters", host.parameters, "the parameters of the RSU's node")
    return host


def check_parameters(host: EdgeHost, directory: Path, where: str = "") -> dict[str, Any]:
    """The parameters of the RSU's node, as it reads them. directory: where the host's directory lies.

    Raises InputError that names `where` (the directory's file) where the node would refuse one, or does not know it.
    """
    from uav_twin_migration.scenario.parameters import parameters_of
    from uav_twin_migration.scenario.settings import RSU, Refusal, check_rules

    where = where or str(directory / (EARLIER_FILE if is_earlier(directory) else HOST_FILE))
    settings = {setting.name: setting for setting in parameters_of(RSU)}
    read = host.node_parameters(directory)
    if "rsu_id" in host.parameters:
        raise InputError(where, "parameters.rsu_id", host.parameters["rsu_id"], "nothing: `rsu` says it")
    for name, value in read.items():
        setting = settings.get(name)
        if setting is None and name != "use_sim_time":
            import difflib  # for mistakes alone

            near = difflib.get_close_matches(name, settings, n=1)
            hint = f"; is it {near[0]}?" if near else ""
            raise InputError(where, f"parameters.{name}", value, f"a parameter of an RSU, see docs/parameters.md{hint}")
        try:
            read[name] = setting.read(value) if setting else value
        except Refusal as refusal:
            raise InputError(where, f"parameters.{name}", value, refusal.expected) from None
    missing = [setting for setting in settings.values() if setting.required and setting.name not in read]
    if missing:
        expected = f"{missing[0].expected}: {missing[0].meaning}"
        raise InputError(where, f"parameters.{missing[0].name}", None, expected)
    try:
        check_rules(read)
    except Refusal as refusal:
        raise InputError(where, f"parameters.{refusal.where()}", refusal.value, refusal.expected) from None
    return read


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


def _texts(where: str, document: Mapping[str, Any], name: str) -> tuple[str, ...]:
    texts = document.get(name) or []
    if not isinstance(texts, list):
        raise InputError(where, name, texts, "a list of hosts")
    return tuple(texts)
