"""Reading a user's configuration file: a few keys in TOML that stand for settings.

Of a value that is given several times the command line's counts, then the environment's (a variable, or a
line in `.env`, of the setting's name), then the file's, then that of the settings' own files.
"""

from __future__ import annotations

import difflib
import os
import tomllib
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError, create_model
from scrapy.settings import BaseSettings

from marketarchive.collecting.route import check_address
from marketarchive.collecting.user_settings import environment_value
from marketarchive.exceptions import ConfigurationError
from marketarchive.venues import venues
from marketarchive.venues.endpoint import Address

VARIABLE = "COLLECTOR_CONFIG"
FROM_FILE, FROM_ENVIRONMENT = 25, 26
"""Priorities between those of the settings' files and a plan's (20, 21), and the command line's (40)."""
SWITCH = "enabled"
PLATFORMS = "CATALOG_PLATFORMS"

Minutes = Annotated[float, Field(gt=0, allow_inf_nan=False)]
Text = Annotated[str, Field(min_length=1)]


@dataclass(frozen=True)
class ConfigKey:
    """One key of the file."""

    section: str
    name: str
    kind: Any  # as pydantic checks it
    form: str  # in words, of what it may be
    setting: str  # that it stands for
    meaning: str
    convert: Callable[[Any], Any] = lambda value: value
    address: Address | None = None


def _master(path: str) -> str:
    from marketarchive.master.engine import sqlite_url  # here: SQLAlchemy is a tenth of a start

    return sqlite_url(Path(path).expanduser().absolute())


def _absolute(path: str) -> str:
    return str(Path(path).expanduser().absolute())


NUMBER, PATH, URL, BOOLEAN = "a number > 0", "a path, as text", "a URL, as text", "true or false"
GENERAL = (
    ConfigKey("general", "db_path", Text, PATH, "MASTER_URL", "SQLite file of the market master", _master),
    *(
        ConfigKey(
            "general", f"{name}_interval_minutes", Minutes, NUMBER, f"CATALOG_{name.upper()}_MINUTES", what
        )
        for name, what in (
            ("poll", "minutes between two discoveries of new markets"),
            ("snapshot", "minutes between two snapshots of all active markets; news follow them"),
            ("resolve", "minutes between two requests for results"),
        )
    ),
    ConfigKey("export", "output_dir", Text, PATH, "EXPORT_DIR", "folder of exports", _absolute),
    ConfigKey(
        "export", "wwatcher_db_path", Text, PATH, "WWATCHER_DB_PATH", "SQLite database of wwatcher", _absolute
    ),
)


def keys() -> tuple[ConfigKey, ...]:
    """Return every key that a file may have: the neutral ones, then those of venues."""
    found = list(GENERAL)
    for venue in venues().values():
        for section in dict.fromkeys(address.section for address in venue.addresses):
            own = [address for address in venue.addresses if address.section == section]
            found.append(_switch(section, own))
            found += [
                ConfigKey(section, each.key, Text, URL, each.setting, each.meaning, address=each)
                for each in own
            ]
    return tuple(found)


def _switch(section: str, own: Sequence[Address]) -> ConfigKey:
    """Return the key `enabled` of a section: of a platform, or of a server of the user's own."""
    if any(address.is_own_server for address in own):
        what = f"false: no request is sent there, whatever `{own[0].key}` is"
        return ConfigKey(section, SWITCH, bool, BOOLEAN, own[0].setting, what)
    what = "false: `scrapy catalog` leaves this platform out"
    return ConfigKey(section, SWITCH, bool, BOOLEAN, PLATFORMS, what)


def apply_configuration(settings: BaseSettings, path: str | None) -> None:
    """Complete `settings` by the environment and the file at `path`, or the one that VARIABLE names.

    Raises ConfigurationError that names file, key and remedy.
    """
    named = path or environment_value(VARIABLE)
    if named:
        source = f"--config {named}" if path else f"{VARIABLE}={named}"
        for name, value in read_configuration(Path(named).expanduser(), source).items():
            settings.set(name, value, FROM_FILE)
        os.environ[VARIABLE] = _absolute(named)  # for the processes that we start
    for name in dict.fromkeys(key.setting for key in keys()):
        if (value := environment_value(name)) is not None:
            settings.set(name, value, FROM_ENVIRONMENT)


def read_configuration(path: Path, source: str = "") -> dict[str, Any]:
    """Return the settings that a file stands for.

    source: how the user named it. Raises ConfigurationError.
    """
    try:
        document = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise ConfigurationError(f"{source or path} cannot be read: {error.strerror}") from error
    except (UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise ConfigurationError(f"{path} is not TOML: {error}") from error
    known = keys()
    try:
        _model(known).model_validate(document)
    except ValidationError as error:
        raise ConfigurationError("; ".join(_problems(path, error, known))) from None
    found: dict[str, Any] = {}
    for key in known:
        value = document.get(key.section, {}).get(key.name)
        if value is not None and key.name != SWITCH:
            _check(path, key, value)
            found[key.setting] = key.convert(value)
    return found | _switched(path, document, known)


def _model(known: Iterable[ConfigKey]) -> type[BaseModel]:
    """Return the model of a whole file: sections of optional keys, and nothing else."""
    strict = ConfigDict(extra="forbid", strict=True)
    sections: dict[str, dict[str, Any]] = {}
    for key in known:
        sections.setdefault(key.section, {})[key.name] = (key.kind | None, None)
    made: dict[str, Any] = {
        name: (create_model(name, __config__=strict, **fields) | None, None)
        for name, fields in sections.items()
    }
    return create_model("Configuration", __config__=strict, **made)


def _problems(path: Path, error: ValidationError, known: Iterable[ConfigKey]) -> Iterable[str]:
    """Yield the problems of a configuration file, a sentence for each."""
    by_place = {(key.section, key.name): key for key in known}
    sections = list(dict.fromkeys(section for section, _ in by_place))
    for each in error.errors():
        section, *rest = (str(part) for part in each["loc"])
        if not rest:
            if section in sections:
                yield f"{path}: {section} is a section: write [{section}], and its keys below it"
            else:
                yield f"{path}: there is no section {section!r}{_meant(section, sections)}"
            continue
        key = by_place.get((section, rest[0]))
        names = [name for there, name in by_place if there == section]
        if key is None:
            yield f"{path}: [{section}] has no key {rest[0]!r}{_meant(rest[0], names)}"
        else:
            yield f"{path}: [{section}] {key.name} = {each['input']!r} is not {key.form}"


def _meant(name: str, names: list[str]) -> str:
    near = difflib.get_close_matches(name, names, n=1, cutoff=0.6)
    return f"; do you mean {near[0]}?" if near else f"; there are {', '.join(names)}"


def _check(path: Path, key: ConfigKey, value: str) -> None:
    if key.address is None:
        return
    try:
        check_address(key.address, value.rstrip("/"))
    except ConfigurationError as error:
        raise ConfigurationError(f"{path}: [{key.section}] {key.name}: {error}") from None


def _switched(
    path: Path, document: Mapping[str, Mapping[str, Any]], known: Iterable[ConfigKey]
) -> dict[str, str]:
    """Return the settings that `enabled` stands for: the platforms, and servers of one's own."""
    found: dict[str, str] = {}
    switches = [key for key in known if key.name == SWITCH]
    is_on = {key.section: document.get(key.section, {}).get(SWITCH) for key in switches}
    for key in switches:
        if key.setting == PLATFORMS:
            continue
        [address] = [each for each in known if each.section == key.section and each.address is not None]
        if is_on[key.section] is False:
            found[key.setting] = ""
        elif is_on[key.section] and not document[key.section].get(address.name):
            raise ConfigurationError(
                f"{path}: [{key.section}] is enabled and has no {address.name}: {address.meaning}"
            )
    platforms = [key.section for key in switches if key.setting == PLATFORMS]
    if any(is_on[name] is False for name in platforms):
        chosen = [name for name in platforms if is_on[name] is not False]
        if not chosen:
            raise ConfigurationError(f"{path}: no platform is enabled; enable one of {', '.join(platforms)}")
        found[PLATFORMS] = ",".join(chosen)
    return found
