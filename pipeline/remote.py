"""Files elsewhere: in the stores of a cloud (s3://, gs:// and abfs://) through pyarrow.fs, which has all three built in, and on
the web (https://, only read) through web.py.

Credentials, region and endpoint are found as those libraries find them (environment, profile, role of the machine); nothing of
that is a setting of ours. A store has no folders and no rename, but an object appears whole or not at all.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from fnmatch import fnmatchcase
from functools import cache
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, BinaryIO, TypeAlias, cast

from pipeline import web
from pipeline.errors import AccountRefused, ConfigInvalid, InputUnreadable, PipelineError, StorageFailed

if TYPE_CHECKING:
    import pyarrow as pa

SCHEMES = ("s3", "gs", "abfs", "abfss")
"""Stores: read and written."""
WEB = ("https", "http")
"""Read only; http on this machine only."""

_URL = re.compile(r"(?P<scheme>[A-Za-z][A-Za-z0-9+.-]*)://(?P<store>[^/]*)(?P<key>.*)", re.DOTALL)
_MAGIC = re.compile(r"[*?[]")
_DENIED = re.compile(
    r"ACCESS_DENIED|INVALID_ACCESS_KEY|SIGNATURE|EXPIRED_TOKEN|INVALID_CLIENT_TOKEN|UNRECOGNIZED_CLIENT|credential"
    r"|permission|forbidden|unauthori[sz]ed|unauthenticated|AuthenticationException|access token|\b40[13]\b",
    re.IGNORECASE,
)
_COPY_BYTES = 8 << 20
_OPTIONS = {"gs": "?retry_limit_seconds=60"}
"""Google's library asks for credentials for a quarter of an hour where there are none."""


@dataclass(frozen=True, slots=True)
class Found:
    """What a store says of an object, under the names of os.stat_result."""

    st_size: int
    st_mtime_ns: int
    """0 where the store does not say."""


@dataclass(frozen=True, slots=True)
class Remote:
    """One object, by its URL; what it has in common with Path has the same name."""

    url: str

    def __str__(self) -> str:
        return self.url

    @property
    def _pure(self) -> PurePosixPath:
        return PurePosixPath(self._parts["key"])

    @property
    def _parts(self) -> dict[str, str]:
        match = _URL.fullmatch(self.url)
        assert match is not None, "made by `place`"
        return match.groupdict()

    @property
    def is_on_the_web(self) -> bool:
        return self._parts["scheme"].lower() in WEB

    @property
    def name(self) -> str:
        return self._pure.name

    @property
    def suffix(self) -> str:
        return self._pure.suffix

    @property
    def suffixes(self) -> list[str]:
        return self._pure.suffixes

    def resolve(self) -> Remote:
        return self

    def stat(self) -> Found:
        """Raises FileNotFoundError where there is no such object, OSError otherwise."""
        if self.is_on_the_web:
            head = web.head(self.url)
            return Found(head.size, head.modified_ns)
        system, key = self.system()
        with _as_os_error():
            info = system.get_file_info(key)
        if not info.is_file:
            raise FileNotFoundError(2, "no such object", self.url)
        return Found(info.size, info.mtime_ns or 0)

    def is_file(self) -> bool:
        try:
            self.stat()
        except OSError:
            return False
        return True

    def open(self) -> BinaryIO:
        """For reading, at any place. The caller closes it."""
        if self.is_on_the_web:
            return cast("BinaryIO", web.opened(self.url))
        system, key = self.system()
        with _as_os_error():
            return cast("BinaryIO", system.open_input_file(key))

    def stream(self, codec: str | None) -> pa.NativeFile:
        """For reading from its begin, unpacked. The caller closes it."""
        if self.is_on_the_web:
            import pyarrow as pa

            return pa.input_stream(web.streamed(self.url), compression=codec)
        system, key = self.system()
        with _as_os_error():
            return system.open_input_stream(key, compression=codec)

    def system(self) -> tuple[pa.fs.FileSystem, str]:
        """The store, and the object's name in it. Raises OSError."""
        parts = self._parts
        system, root = _store(parts["scheme"].lower(), parts["store"])
        return system, root + parts["key"]

    def matching(self) -> Iterator[Remote]:
        """The objects that this URL names, read as a glob; sorted. Raises OSError."""
        if self.is_on_the_web:
            yield self
            return
        system, pattern = self.system()
        magic = _MAGIC.search(pattern)
        with _as_os_error():
            is_file = magic is not None and system.get_file_info(pattern).is_file
        if magic is None or is_file:
            yield self
            return
        from pyarrow import fs  # imported late: the libraries of the stores take 0.1 s

        fixed = pattern[: magic.start()].rpartition("/")[0]
        with _as_os_error():
            infos = system.get_file_info(fs.FileSelector(fixed, allow_not_found=True, recursive=True))
        begin = self.url[: len(self.url) - len(self._parts["key"])]
        for path in sorted(info.path for info in infos if info.is_file):
            if _matches(path, pattern):
                yield Remote(begin + path[len(pattern) - len(self._parts["key"]) :])

    def refuse_missing_store(self) -> None:
        """Raises where an object could not be put there: no such bucket, or no way in."""
        parts = self._parts
        try:
            system, root = _store(parts["scheme"].lower(), parts["store"])
            with _as_os_error():
                there = system.get_file_info(root).type.name != "NotFound"
        except OSError as error:
            raise refused(self, error, writing=True) from error
        if not there:
            raise StorageFailed(
                f"{self}: there is no bucket or container {parts['store']!r}",
                todo="make it or mend output.path, then run the same command again",
            )

    def put(self, file: Path) -> None:
        """Uploads a file of this machine: the object appears whole when all of it has arrived. Raises StorageFailed and
        AccountRefused; an older object then stands as it was."""
        from pyarrow import fs

        try:
            system, key = self.system()
            # One call: a loop in Python could be interrupted amid it, and closing the stream then would publish a part.
            with _as_os_error():
                fs.copy_files(str(file), key, fs.LocalFileSystem(), system, chunk_size=_COPY_BYTES, use_threads=False)
            arrived = self.stat().st_size
        except OSError as error:
            raise refused(self, error, writing=True) from error
        if arrived != file.stat().st_size:
            raise StorageFailed(f"{self}: {arrived} bytes have arrived of {file.stat().st_size}")


Place: TypeAlias = Path | Remote


def is_remote(name: str) -> bool:
    return _URL.fullmatch(name) is not None


def place(name: str) -> Place:
    """A path of this machine, or an object of a store. Raises ConfigInvalid for a URL that is neither."""
    match = _URL.fullmatch(name)
    if match is None:
        return Path(name)
    if match["scheme"].lower() not in (*SCHEMES, *WEB):
        known = ", ".join(f"{scheme}://" for scheme in (*SCHEMES, "https"))
        raise ConfigInvalid(f"{name}: {match['scheme']}:// is not available; known are {known}")
    if ":" in match["store"].partition("@")[0] and "@" in match["store"]:
        raise ConfigInvalid(
            "a URL in the config holds a password",
            todo="remove it, and give the credentials in the environment as the store's own tools take them",
        )
    if not match["store"] or not match["key"].strip("/"):
        raise ConfigInvalid(f"{name}: expected {match['scheme']}://bucket/name")
    if match["scheme"].lower() in WEB:
        _refuse_odd(name)
    return Remote(name)


def _refuse_odd(url: str) -> None:
    """What of the web is not read."""
    if "?" in url or "#" in url:
        plain = re.split("[?#]", url)[0]
        raise ConfigInvalid(
            f"{plain}: a URL with ? or # is not read: what follows is often a secret, and a config holds none",
            todo="name the file by a plain URL, or download it",
        )
    if not web.is_safe(url):
        raise ConfigInvalid(f"{url}: is not read: only https:// is, so that nobody on the way can change it")
    if not url.isascii() or not url.isprintable() or " " in url:
        raise ConfigInvalid(f"{url!r}: a URL has no spaces and no letters beyond ASCII; write them as %20 and the like")
    if _MAGIC.search(url):
        raise ConfigInvalid(f"{url}: a web server has no list of its files to find * in; give a list of URLs")


def refused(where: Remote, error: OSError, *, writing: bool = False) -> PipelineError:
    """What an error of a store means for a run."""
    said = error.strerror or str(error)
    reason = said.splitlines()[0] if said else type(error).__name__
    if isinstance(error, FileNotFoundError):
        reason = "no such object, or no such bucket"
    elif _DENIED.search(reason):
        return AccountRefused(
            f"{where}: the {'server' if where.is_on_the_web else 'store'} refuses: {reason}",
            todo="mend the store's credentials or rights (not those of the API), then run the same command again: "
            "finished rows are kept",
        )
    if writing:
        return StorageFailed(
            f"cannot write {where}: {reason}",
            todo="mend the store or output.path, then run the same command again: finished rows are kept",
        )
    return InputUnreadable(
        f"{where}: cannot be read: {reason}", todo="check input.path and the store, then run the same command again"
    )


@cache
def _store(scheme: str, store: str) -> tuple[pa.fs.FileSystem, str]:
    """By bucket, since each may lie in another region. Raises OSError."""
    from pyarrow import fs

    with _as_os_error():
        system, root = fs.FileSystem.from_uri(f"{scheme}://{store}/{_OPTIONS.get(scheme, '')}")
    return system, root.rstrip("/")


@contextmanager
def _as_os_error() -> Iterator[None]:
    """What pyarrow raises: Azure's library has errors of its own, of which it says no more than that they are unknown."""
    import pyarrow as pa

    try:
        yield
    except OSError:
        raise
    except pa.ArrowException as error:
        raise OSError(str(error)) from error


def _matches(path: str, pattern: str) -> bool:
    """As a glob does: `*` stays within one step of the path, `**` does not."""
    if "**" in pattern:
        return fnmatchcase(path, pattern.replace("**/", "*").replace("**", "*"))
    steps, wanted = path.split("/"), pattern.split("/")
    return len(steps) == len(wanted) and all(map(fnmatchcase, steps, wanted))
