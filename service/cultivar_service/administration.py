"""What an administrator does beside the service: `cultivar-service tokens ...`, `audit`, `backup` and `restore`."""

import argparse
import json
import re
import time
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path

import sqlalchemy as sa

from cultivar_service import tokens
from cultivar_service.backup.contents import BackupRefused
from cultivar_service.backup.restoring import restore
from cultivar_service.backup.writing import back_up
from cultivar_service.catalog import audit
from cultivar_service.catalog.database import read_only
from cultivar_service.config import Config
from cultivar_service.tokens import UnusableTokens

_OTHERS = "CULTIVAR_WEIGHTS_DIR, CULTIVAR_DATASETS_ROOT and CULTIVAR_TOKENS_FILE"
_SHOWN = 5
_SECONDS = {"m": 60, "h": 3600, "d": 86400}


def run(arguments: Sequence[str], environment: Mapping[str, str]) -> None:
    """Run a command and print what it answers.

    Raises:
        ValueError: it can't be done; the message says why.
    """
    asked = _parser(environment).parse_args(arguments)
    if asked.command == "backup":
        _back_up(_config(asked), Path(asked.folder))
        return
    if asked.command == "restore":
        config = _config(asked)
        listing = restore(config, Path(asked.folder))
        print(f"restored {len(listing.files)} files, {_megabytes(listing.size_bytes)}, into {config.data_dir}")
        print(f"bring back weight files and sources of data sets where they were: {_OTHERS}")
        return
    if asked.command == "audit":
        _print_audit(Path(asked.data_dir), before=asked.before, caller=asked.caller, limit=asked.limit)
        return
    if not asked.tokens_file:
        raise ValueError("which tokens file? Set CULTIVAR_TOKENS_FILE or --tokens-file")
    path = Path(asked.tokens_file)
    if asked.action == "add":
        lifetime_s = None if asked.expires_in is None else _duration(asked.expires_in)
        print(tokens.add(path, asked.name, tokens.read_scope(asked.scope), lifetime_s=lifetime_s))
    elif asked.action == "revoke":
        tokens.revoke(path, asked.name)
    else:
        _print_tokens(path)


def _config(asked: argparse.Namespace) -> Config:
    data_dir = Path(asked.data_dir).absolute()
    return Config(data_dir=data_dir, weights_dir=data_dir / "weights", datasets_root=data_dir / "sources")


def _back_up(config: Config, target: Path) -> None:
    summary = back_up(config, target)
    print(f"backed up {summary.num_files} files, {_megabytes(summary.size_bytes)}, to {target}")
    print(f"not in it: caches, downloads, imports and uploads under way; {_OTHERS}")
    if summary.problems:
        listed = "; ".join(summary.problems[:_SHOWN])
        raise BackupRefused(f"the backup is made, but {len(summary.problems)} folder(s) were not sound: {listed}")


def _megabytes(size_bytes: int) -> str:
    return f"{size_bytes / 1e6:.1f} MB"


def _print_tokens(path: Path) -> None:
    if not path.exists():
        raise UnusableTokens(f"there is no {path}: `cultivar-service tokens add NAME --scope SCOPE` makes it")
    for token in tokens.read(path):
        values = token.to_json()
        expires = values.get("expire_time", "never")
        state = "  expired" if token.expire_time is not None and token.expire_time <= time.time() else ""
        print(f"{token.name:24}{values['scope']:10}made {values['create_time']}  expires {expires}{state}")


def _print_audit(data_dir: Path, *, before: int | None, caller: str | None, limit: int) -> None:
    path = data_dir / "catalog.sqlite"
    if not path.is_file():
        raise ValueError(f"there is no catalog in {data_dir}: set CULTIVAR_DATA_DIR or --data-dir")
    try:
        rows = read_only(path, lambda connection: audit.page(connection, before=before, caller=caller, limit=limit))
    except sa.exc.OperationalError as error:
        raise ValueError(f"{path} can't be read ({error.orig}): has this service been started with it?") from error
    for number, entry in rows:
        at = datetime.fromtimestamp(entry.time_ns / 1e9, UTC).isoformat(timespec="milliseconds")
        fields = {"number": number, "time": at.replace("+00:00", "Z")}
        fields |= {name: getattr(entry, name) for name in entry.__slots__ if name != "time_ns"}
        print(json.dumps(fields, ensure_ascii=False))


def _parser(environment: Mapping[str, str]) -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="cultivar-service", allow_abbrev=False)
    commands = parser.add_subparsers(dest="command", required=True)

    file = argparse.ArgumentParser(add_help=False)
    file.add_argument(
        "--tokens-file",
        metavar="FILE",
        default=environment.get("CULTIVAR_TOKENS_FILE"),
        help="default: CULTIVAR_TOKENS_FILE",
    )
    actions = commands.add_parser("tokens", help="make, list and revoke tokens").add_subparsers(
        dest="action", required=True
    )
    add = actions.add_parser("add", parents=[file], help="make a token and print it, for the only time")
    add.add_argument("name", help="whom it is for; jobs, data sets, model versions and the audit log show it")
    add.add_argument("--scope", required=True, help="predict, train (predicts too) or admin (may do everything)")
    add.add_argument("--expires-in", metavar="TIME", help="such as 90d, 12h or 30m (default: it does not)")
    actions.add_parser("list", parents=[file], help="list tokens' names, scopes and ends")
    revoke = actions.add_parser("revoke", parents=[file], help="let a token in no more")
    revoke.add_argument("name")

    data = argparse.ArgumentParser(add_help=False)
    data.add_argument(
        "--data-dir",
        metavar="DIR",
        default=environment.get("CULTIVAR_DATA_DIR") or "cultivar-data",
        help="the service's (default: CULTIVAR_DATA_DIR, then ./cultivar-data)",
    )
    backup = commands.add_parser("backup", parents=[data], help="keep models, data sets and jobs; the service may run")
    backup.add_argument("folder", metavar="DIR", help="a new folder; on the data directory's disk it takes little room")
    back = commands.add_parser("restore", parents=[data], help="make an empty data directory of a backup")
    back.add_argument("folder", metavar="DIR", help="the backup")
    log = commands.add_parser(
        "audit", parents=[data], help="print who changed what, newest first, one JSON object a line"
    )
    log.add_argument("--before", type=int, metavar="NUMBER", help="only rows numbered below: the next page")
    log.add_argument("--caller", metavar="NAME", help="only rows of one token")
    log.add_argument("--limit", type=int, default=100, metavar="ROWS", help="default: 100")
    return parser


def _duration(text: str) -> float:
    found = re.fullmatch(r"([0-9]{1,6})([mhd])", text)
    if found is None or not int(found[1]):
        raise ValueError(f"{text!r} is no time: use such as 90d, 12h or 30m")
    return int(found[1]) * float(_SECONDS[found[2]])
