"""Plug-ins: what others may bring in place of a part of this package, found by a name or a place; docs/plugins.md.

A plug-in is named by a text, wherever a setting or an option asks for one:

    nearest                         a name: a built-in, or an entry point that an installed package declares
    my_package.rules:Undercut       a module and a class in it
    rules.py:Undercut               a file and a class in it
    rules.py:Undercut(margin=0.1)   with options, which are literals and go to its constructor by name

Each kind of plug-in is a small protocol in the room of its concern. A plug-in is code: it can do whatever the process
can. So nothing is imported before a plug-in is used, and a class without the protocol's methods is never called.

Standard library only.
"""

from __future__ import annotations

import ast
import functools
import importlib
import importlib.util
import inspect
import sys
from collections import Counter
from collections.abc import Callable, Mapping
from hashlib import sha256
from pathlib import Path
from types import MappingProxyType, ModuleType
from typing import TYPE_CHECKING, Any, Generic, NamedTuple, TypeVar

from uav_twin_migration.errors import InputError, UavTwinError

if TYPE_CHECKING:
    from importlib.metadata import EntryPoint

PACKAGE = "uav_twin_migration"
PATTERN = r"([^()\s:]([^()\n]*[^()\s])?(\([^\n]*\))?)?"  # of the text, as far as a pattern can tell; empty: none
EXPECTED = "nothing, or a plug-in: a name, module:Class or file.py:Class, with options in parentheses"

T = TypeVar("T")
R = TypeVar("R")


class PluginError(InputError):
    """A plug-in cannot be found, is none of its kind, or failed; the message names it."""


class Kind(NamedTuple):
    """One kind of plug-in."""

    replaces: str  # what it is, in a few words
    protocol: str  # module:Class, where it is documented
    methods: tuple[str, ...]  # that a plug-in has
    setting: str  # of the scenario that names one
    built_in: Mapping[str, str]  # name -> module:Class
    default: str  # the built-in that is used where no plug-in is named, or has failed


def _kind(replaces: str, protocol: str, methods: str, setting: str, **built_in: str) -> Kind:
    names = {name: f"{PACKAGE}.{place}" for name, place in built_in.items()}
    return Kind(
        replaces, f"{PACKAGE}.{protocol}", tuple(methods.split()), setting, MappingProxyType(names), next(iter(names))
    )


KINDS: Mapping[str, Kind] = MappingProxyType(
    {
        "pricing": _kind(
            "pricing rule of an RSU",
            "market.leader:Pricer",
            "decide",
            "rsus[].pricing",
            elasticity="market.pricing:ElasticityPricer",
            markup="market.references:Markup",
            any_price="market.references:AnyPrice",
            equilibrium="market.references:AtEquilibrium",
        ),
        "utility": _kind(
            "what a rate is worth to a UAV's users",
            "game.utility:Utility",
            "worth",
            "uavs[].utility",
            weber_fechner="game.utility:WeberFechner",
        ),
        "hosting": _kind(
            "which RSU should host a UAV's twin",
            "market.hosting_decision:HostingDecision",
            "choose",
            "uavs[].hosting",
            longest_stay="market.hosting_decision:LongestStay",
            nearest="market.hosting_decision:Nearest",
            reactive="market.hosting_decision:Reactive",
            learned_stay="market.learned_stay:LearnedStay",
            cost_aware="market.hosting_decision:CostAware",
        ),
        "radio": _kind(
            "radio model: what each link carries",
            "radio.model:RadioModel",
            "links",
            "radio.model",
            three_gpp="radio.model:ThreeGpp",
        ),
        "mobility": _kind(
            "how a UAV moves",
            "vehicle.mobility:Mobility",
            "velocity",
            "uavs[].mobility",
            route="vehicle.mobility:Route",
        ),
        "admission": _kind(
            "which twins an RSU takes",
            "twin.hosting.admission:Admission",
            "admits",
            "rsus[].admission",
            all="twin.hosting.admission:AdmitAll",
        ),
        "transfer": _kind(
            "when a twin that moves stops being served",
            "twin.hosting.transfer_strategy:TransferStrategy",
            "stop",
            "rsus[].transfer",
            pre_copy="twin.hosting.transfer_strategy:PreCopy",
            stop_and_copy="twin.hosting.transfer_strategy:StopAndCopy",
        ),
        "application": _kind(
            "what a twin is",
            "twin.hosting.application:Application",
            "chunk_size create restore",
            "twins.application",
            uav_twin="twin.hosting.twin:UavTwins",
        ),
    }
)


def group(kind: str) -> str:
    """The entry points' group of a kind: uav_twin_migration.pricing."""
    return f"{PACKAGE}.{kind}"


# --- finding ----------------------------------------------------------------------------------------------------------


class Spec(NamedTuple):
    """A plug-in's text, taken apart."""

    place: str  # name, module:Class or file.py:Class
    options: dict[str, Any]


def read(kind: str, text: str) -> Spec:
    """Take a plug-in's text apart. Raises PluginError."""
    place, bracket, rest = text.strip().partition("(")
    try:
        if bracket and not rest.endswith(")"):
            raise ValueError
        call = ast.parse(f"f({rest}" if bracket else "f()", mode="eval").body
        if not isinstance(call, ast.Call) or call.args or not place or None in [one.arg for one in call.keywords]:
            raise ValueError
        options = {str(one.arg): ast.literal_eval(one.value) for one in call.keywords}
    except (ValueError, SyntaxError, TypeError, MemoryError, RecursionError):
        raise _error(kind, text, text, f"{EXPECTED}, as rules.py:Undercut(margin=0.1)") from None
    return Spec(place.strip(), options)


def beside(text: str, folder: Path) -> str:
    """The same plug-in by an absolute path, where it is a file that is given relative to `folder`."""
    file, colon, rest = text.partition(".py:")
    return f"{(folder / file).resolve()}.py:{rest}" if colon and not Path(file).is_absolute() else text


def file_of(text: str) -> Path | None:
    """The file of a plug-in that is in one."""
    file, colon, _ = text.partition(".py:")
    return Path(f"{file}.py") if colon else None


def found(kind: str) -> dict[str, EntryPoint]:
    """The entry points of a kind that installed packages declare, by name."""
    from importlib.metadata import entry_points  # 3.5 MB, which a node without such plug-ins has no use for

    return {point.name: point for point in entry_points(group=group(kind))}


@functools.lru_cache(maxsize=256)
def load(kind: str, place: str) -> type[Any]:
    """The class of a plug-in; checked to have its kind's methods. Raises PluginError."""
    try:
        loaded = _object(kind, place)
    except PluginError:
        raise
    except Exception as error:  # of somebody's module, while it is imported
        raise _error(kind, place, f"{type(error).__name__}: {error}", "a module that can be imported") from error
    missing = [name for name in KINDS[kind].methods if not callable(getattr(loaded, name, None))]
    if not inspect.isclass(loaded) or missing:
        expected = f"a class with {', '.join(KINDS[kind].methods)}, see {KINDS[kind].protocol}"
        raise _error(kind, place, f"without {missing[0]}" if missing else type(loaded).__name__, expected)
    return loaded


def _object(kind: str, place: str) -> Any:
    built_in, colon = KINDS[kind].built_in, ":" in place
    if not colon and place not in built_in:
        point = found(kind).get(place)
        if point is None:
            known = ", ".join([*built_in, *found(kind)])
            raise _error(kind, place, place, f"one of {known}; or module:Class, or file.py:Class")
        return point.load()
    where, _, name = built_in.get(place, place).rpartition(":")
    module = _file(kind, place, where) if where.endswith(".py") else importlib.import_module(where)
    if not hasattr(module, name):
        raise _error(kind, place, name, f"a class of {where}")
    return getattr(module, name)


def _file(kind: str, place: str, path: str) -> ModuleType:
    """The module in a file; the same one each time."""
    file = Path(path).resolve()
    if not file.is_file():
        raise _error(kind, place, str(file), "a file that exists")
    name = f"plugin_{file.stem}_{sha256(str(file).encode()).hexdigest()[:12]}"
    if name in sys.modules:
        return sys.modules[name]
    spec = importlib.util.spec_from_file_location(name, file)
    assert spec is not None  # it ends in .py
    assert spec.loader is not None
    module = sys.modules[name] = importlib.util.module_from_spec(spec)  # dataclasses look their module up
    try:
        spec.loader.exec_module(module)
    except BaseException:
        del sys.modules[name]
        raise
    return module


def make(kind: str, text: str, **given: Any) -> Any:
    """A plug-in: its class, called with its options and with those of the given arguments that it takes.

    Raises PluginError, also for what goes wrong in its constructor.
    """
    spec = read(kind, text)
    made = load(kind, spec.place)
    try:
        takes = inspect.signature(made).parameters
    except ValueError:  # none that can be told
        takes = MappingProxyType({})
    anything = any(one.kind is inspect.Parameter.VAR_KEYWORD for one in takes.values())
    for name in spec.options:
        if name not in takes and not anything:
            raise _error(kind, text, name, f"an option that it takes: {', '.join(takes) or 'it takes none'}")
    arguments = {name: value for name, value in given.items() if name in takes or anything}
    try:
        return made(**arguments | spec.options)
    except Exception as error:
        raise _error(kind, text, f"{type(error).__name__}: {error}", "no error in its constructor") from error


def check(kind: str, text: str) -> None:
    """Find a plug-in before anything relies on it; an empty text is none. Raises PluginError."""
    if text:
        spec = read(kind, text)
        load(kind, spec.place)


def _error(kind: str, text: str, value: object, expected: str) -> PluginError:
    return PluginError(f"plug-in {text}", kind, value, expected)


# --- using ------------------------------------------------------------------------------------------------------------


class Plugged(Generic[T]):
    """A plug-in in use, behind a last catch: where it fails, the built-in answers, and that is counted and said once.

    A study must not go on with something else than it was asked for: without `tell`, a failure is raised.

    Attributes:
        errors: how often it has failed; loading it counts, too.
    """

    def __init__(
        self, kind: str, text: str, fallback: T, tell: Callable[[str], None] | None = None, **given: Any
    ) -> None:
        """text: the plug-in; empty for the fallback alone. given: arguments of its constructor. Raises PluginError."""
        self.kind, self.text, self.fallback, self.tell = kind, text, fallback, tell
        self.errors = 0
        self._own: T | None = None
        self._given = given
        if text:
            self.renew()

    def renew(self, **given: Any) -> None:
        """Make it anew, with other arguments where some are given. Raises PluginError without `tell`."""
        self._given |= given
        try:
            self._own = make(self.kind, self.text, **self._given)
        except PluginError as error:
            self._own = None
            self._failed(error)

    @property
    def own(self) -> T | None:
        """The plug-in; None where there is none, or it could not be made."""
        return self._own

    @property
    def name(self) -> str:
        """For people."""
        return f"plug-in {self.text}" if self.text else f"built-in {KINDS[self.kind].default}"

    def ask(self, question: Callable[[T], R]) -> R:
        """The plug-in's answer, or the built-in's where it has none. The question checks what it is answered."""
        if self._own is not None:
            try:
                return question(self._own)
            except Exception as error:
                self._failed(error)
        return question(self.fallback)

    def _failed(self, error: Exception) -> None:
        self.errors += 1
        what = str(error) if isinstance(error, PluginError) else f"{self.name}: {type(error).__name__}: {error}"
        if self.tell is None:
            raise error if isinstance(error, PluginError) else UavTwinError(f"{what} ({self.kind})") from error
        if self.errors == 1:
            self.tell(f"{what}; the built-in {KINDS[self.kind].default} answers instead, here and wherever it fails")


def describe(*plugged: Plugged[Any]) -> dict[str, int]:
    """How often plug-ins failed, for /diagnostics."""
    failed: Counter[str] = Counter()
    for one in plugged:
        failed[f"plugin_errors/{one.kind}"] += one.errors
    return {key: count for key, count in failed.items() if count}
