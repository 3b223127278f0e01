"""The deployed release: built whole, opened as one, listed, rolled back to, and what pauses it.

production_deployment/releases/000012/    all files of one release and their manifest.json
production_deployment/current             -> releases/000012: this link decides what is deployed
production_deployment/trainedmodel.pkl    -> current/trainedmodel.pkl, and so each file by name
state/deployment.json                     the release before it, and what pauses redeploying
"""

from __future__ import annotations

import contextlib
import errno
import os
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, NotRequired, TypedDict, cast

from risk.config import Config, PipelineError
from risk.files import (
    TEMPORARY,
    DamagedFile,
    StateFile,
    copy_file,
    file_sha256,
    make_folder,
    sha256,
    sync_folder,
    unreadable,
    utc_now,
)

KEPT_RELEASES = 5  # 20 kB each (the example); the rows stay in the current one alone
RELEASE_FILES = (
    "trainedmodel.pkl",
    "model.json",
    "latestscore.txt",
    "latestscore.json",
    "ingestedfiles.txt",
    "finaldata.csv",
)
BY_HAND, DATA_QUALITY = "by hand", "data quality"  # what pauses redeploying
IssueKey = tuple[str, tuple[str, ...]]  # a data quality issue: its kind and its columns


class Manifest(TypedDict):
    """What a release says of itself: where its model comes from, its score, its files' digests."""

    version: int
    deployed_at: str
    files: dict[str, str]
    finaldata_bytes: int
    columns: dict[str, str]
    recipe: str
    rows: int
    exits: int
    base_rate: float
    data_version: int
    day: str
    horizon_days: int
    data_sha256: str
    trained_at: str
    trainedmodel_sha256: str
    last_date: NotRequired[str]
    labels: NotRequired[str]
    f1: float
    f1_interval: list[float]
    n: int
    basis: str
    auc: float | None
    auc_interval: list[float] | None
    brier: float
    test_sha256: str
    # Where the evidence chose the model: the evaluation, what it did, and the release whose model
    # this one has below its recalibration.
    evaluation: NotRequired[str]
    action: NotRequired[str]
    base_model: NotRequired[int | None]


def _manifest_file(folder: Path) -> StateFile:
    return StateFile(folder / "manifest.json", 1, "it cannot be rolled back to; delete its folder")


@dataclass(frozen=True)
class Release:
    """One deployed version: its folder and its manifest."""

    version: int
    folder: Path
    manifest: Manifest

    def damage(self) -> list[str]:
        """What does not match its digest; an older release need not hold its rows any more."""
        found = []
        for name, digest in self.manifest["files"].items():
            path = self.folder / name
            if not path.exists():
                if name != "finaldata.csv":
                    found.append(f"{name} is missing")
            elif file_sha256(path) != digest:
                found.append(f"{name} does not match its digest")
        return found


def base_version(manifest: Manifest) -> int:
    """The release whose model this one has, but for recalibrations since."""
    return manifest.get("base_model") or manifest["version"]


class OpenRelease:
    """The release that was current when it was opened; every read comes from that one folder."""

    def __init__(self, config: Config) -> None:
        self._shown = config.production_folder
        current = config.production_folder / "current"
        try:
            # A descriptor, not a path: the link may move on while the files are being read.
            self._folder = os.open(current, os.O_RDONLY | os.O_DIRECTORY)
        except OSError as error:
            if not _is_absence(error):
                raise unreadable(current, error) from None
            if current.is_symlink():
                raise self.damaged(f"{os.readlink(current)}: {error.strerror}") from None
            raise PipelineError(
                f"nothing is deployed in {self._shown}; run training.py, scoring.py "
                "and deployment.py, or fullprocess.py"
            ) from None
        try:
            body = _manifest_file(current).parse(self._read("manifest.json"))
            self.manifest = _as_manifest(body)
        except BaseException as error:
            self.close()
            if isinstance(error, OSError) and not _is_absence(error):
                raise unreadable(current / "manifest.json", error) from None
            if isinstance(error, OSError | DamagedFile):
                raise self.damaged("manifest.json is missing or damaged") from None
            raise
        self.version = self.manifest["version"]

    def _read(self, name: str) -> bytes:
        with open(
            name, "rb", opener=lambda p, flags: os.open(p, flags, dir_fd=self._folder)
        ) as file:
            return file.read()

    def damaged(self, what: str) -> PipelineError:
        return PipelineError(
            f"the deployed release in {self._shown} is damaged: {what}; "
            "see diagnostics.py --doctor, then deployment.py --rollback"
        )

    def verified(self, name: str) -> bytes:
        """The file's bytes, only if their digest is the manifest's."""
        try:
            data = self._read(name)
        except OSError as error:
            if not _is_absence(error):
                raise unreadable(self._shown / name, error) from None
            raise self.damaged(f"{name}: {error.strerror}") from None
        if sha256(data) != self.manifest["files"][name]:
            raise self.damaged(f"{name} does not match its digest")
        return data

    def close(self) -> None:
        os.close(self._folder)

    def __enter__(self) -> OpenRelease:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


@dataclass(frozen=True)
class Deployment:
    """What is deployed, what was before it, and why fullprocess.py may not replace it.

    paused: BY_HAND, DATA_QUALITY or "". issues: what pauses it. accepted: issues that a person
    took as they are, for as long as the base model of the release accepted_for is deployed.
    """

    current: int | None = None
    former: int | None = None
    paused: str = ""
    at: str = ""
    issues: tuple[IssueKey, ...] = ()
    accepted: tuple[IssueKey, ...] = ()
    accepted_for: int | None = None

    @property
    def by_hand(self) -> bool:
        """Whether a version chosen by hand is to stay."""
        return self.paused == BY_HAND

    def accepted_in(self, manifest: Manifest) -> tuple[IssueKey, ...]:
        """The issues that are taken as they are while this release is deployed."""
        return self.accepted if self.accepted_for == base_version(manifest) else ()


def read_deployment(config: Config) -> Deployment:
    """What is deployed by the link, which is right also after a crash between link and note."""
    note, current = _noted(config), current_version(config)
    return note if note.current == current else replace(note, current=current, former=note.current)


def write_deployment(config: Config, deployment: Deployment) -> None:
    _deployment_file(config).write(asdict(deployment))


def pause_for(config: Config, issues: Sequence[IssueKey]) -> None:
    """Note which data quality issues pause redeploying now, if any; a pause by hand stays."""
    note = _noted(config)
    now = replace(note, paused=DATA_QUALITY if issues else "", issues=tuple(issues))
    if note.current is not None and not note.by_hand and now != note:
        write_deployment(config, now)


def release_hold(config: Config) -> Deployment | None:
    """Let fullprocess.py deploy again, and accept what paused it; the state before, or None."""
    before = read_deployment(config)
    if not before.paused or before.current is None:
        return None
    with OpenRelease(config) as release:
        accepted = dict.fromkeys([*before.accepted_in(release.manifest), *before.issues])
        base = base_version(release.manifest) if accepted else None
    now = replace(before, paused="", issues=(), at=utc_now())
    write_deployment(config, replace(now, accepted=tuple(accepted), accepted_for=base))
    return before


def _noted(config: Config) -> Deployment:
    body = _deployment_file(config).read_or_empty()
    try:
        for name in ("issues", "accepted"):
            body[name] = tuple((kind, tuple(columns)) for kind, columns in body.get(name, []))
        return Deployment(**body)
    except (TypeError, ValueError):
        return Deployment()


def _deployment_file(config: Config) -> StateFile:
    return StateFile(config.deployment_state, 1)


def current_version(config: Config) -> int | None:
    """The deployed version by its link alone (one system call), None before the first.

    Unreadable where nobody can tell.
    """
    try:
        return int(os.path.basename(os.readlink(config.production_folder / "current")))
    except ValueError:
        return None
    except OSError as error:
        # EINVAL: somebody's file or folder instead of the link; nothing of ours is deployed.
        if _is_absence(error) or error.errno == errno.EINVAL:
            return None
        raise unreadable(config.production_folder / "current", error) from None


def _is_absence(error: OSError) -> bool:
    """Whether nothing is there; all else (a right, a disk) says nothing about what is."""
    return error.errno in (errno.ENOENT, errno.ENOTDIR, errno.ELOOP)


def kept_releases(config: Config) -> list[Release]:
    """The kept releases, oldest first; one whose manifest is damaged is left out."""
    found = []
    for folder in release_folders(config).values():
        with contextlib.suppress(DamagedFile):
            found.append(read_release(folder))
    return found


def release_folders(config: Config) -> dict[int, Path]:
    """Version -> folder, oldest first, whatever is in it."""
    folders = (config.production_folder / "releases").glob("[0-9]*")
    return dict(sorted((int(folder.name), folder) for folder in folders if folder.name.isdecimal()))


def read_release(folder: Path) -> Release:
    """The release of one folder by its manifest, whose files may be damaged nevertheless."""
    manifest = _as_manifest(_manifest_file(folder).read())
    if manifest["version"] != int(folder.name):
        raise _manifest_file(folder).damaged()
    return Release(manifest["version"], folder, manifest)


def _as_manifest(body: dict[str, Any]) -> Manifest:
    """The body as a manifest; DamagedFile unless it has a version and every file's digest."""
    files = body.get("files")
    named = isinstance(files, dict) and all(isinstance(files.get(n), str) for n in RELEASE_FILES)
    if type(body.get("version")) is not int or not named:
        raise DamagedFile("manifest.json is damaged")
    return cast(Manifest, body)


def next_version(config: Config) -> int:
    """A number that no release has had, not even one that was deployed and is gone."""
    note = _noted(config)
    # History, list and score history name models by number: one used twice would mix two.
    return max([*release_folders(config), note.current or 0, note.former or 0]) + 1


def deploy_release(
    config: Config, sources: dict[str, bytes | Path], lineage: Mapping[str, Any], *, pause: bool
) -> Release:
    """The new release that these files make, now the current one; pause: as chosen by hand."""
    kept_releases(config)  # a newer software's among them is refused before anything changes
    _refuse_without_links(config)
    before = read_deployment(config)
    release = build_release(config, sources, lineage)
    make_current(config, release.version)
    now = replace(before, current=release.version, former=before.current, at=utc_now(), issues=())
    paused = BY_HAND if pause or before.by_hand else ""
    write_deployment(config, replace(now, paused=paused))
    prune(config, keep=before.current)
    return release


def _refuse_without_links(config: Config) -> None:
    """PipelineError on a file system such as exFAT, before a release is built that none can see."""
    probe = make_folder(config.production_folder) / f"{TEMPORARY}link"
    probe.unlink(missing_ok=True)
    try:
        probe.symlink_to("nowhere")
    except OSError as error:
        if error.errno not in (errno.ENOSYS, errno.EPERM, errno.EOPNOTSUPP):
            raise
        raise PipelineError(
            f"{config.production_folder}: this file system has no symbolic links "
            f"({error.strerror}); put prod_deployment_path on a Linux one, as ext4"
        ) from None
    probe.unlink()


def build_release(
    config: Config, sources: dict[str, bytes | Path], lineage: Mapping[str, Any]
) -> Release:
    """A new release folder, whole and on disk, not yet current.

    Refused unless it holds the very rows that its model was trained on.
    """
    version = next_version(config)
    parent = make_folder(config.production_folder / "releases")
    folder, building = parent / f"{version:06d}", parent / f"{TEMPORARY}{version:06d}"
    shutil.rmtree(building, ignore_errors=True)
    building.mkdir()
    try:
        digests = {name: _place(source, building / name) for name, source in sources.items()}
        if digests["finaldata.csv"] != lineage.get("data_sha256"):
            raise PipelineError(
                f"{config.finaldata} has changed since the model was trained; run training.py and "
                "scoring.py, then deployment.py again"
            )
        own = {
            "version": version,
            "deployed_at": utc_now(),
            "files": digests,
            "finaldata_bytes": (building / "finaldata.csv").stat().st_size,
        }
        _manifest_file(building).write({**lineage, **own})  # the last file: syncs the folder too
        os.rename(building, folder)
    except BaseException:
        shutil.rmtree(building, ignore_errors=True)
        raise
    sync_folder(parent)
    return read_release(folder)


def _place(source: bytes | Path, target: Path) -> str:
    """Write or copy one file into a release being built; its SHA-256."""
    if isinstance(source, Path):
        copy_file(source, target)
        return file_sha256(target)
    with open(target, "xb") as file:
        file.write(source)
        file.flush()
        os.fsync(file.fileno())
    return sha256(source)


def make_current(config: Config, version: int) -> None:
    """Swap the link that decides what is deployed: nothing has changed before, all after."""
    production = make_folder(config.production_folder)
    for name in (*RELEASE_FILES, "manifest.json"):
        # By way of `current`, so that all names move at once, with one rename.
        _link(production / name, f"current/{name}")
    _link(production / "current", f"releases/{version:06d}")
    sync_folder(production)


def _link(link: Path, target: str) -> None:
    if link.is_symlink() and os.readlink(link) == target:
        return
    if link.exists() and not link.is_symlink():
        # Files of an older set-up: nothing a person put there is overwritten.
        aside = link.with_name(f"{link.name}.before-{utc_now().replace(':', '')}")
        while os.path.lexists(aside):
            aside = aside.with_name(f"{aside.name}x")
        os.rename(link, aside)
    new = link.with_name(f"{TEMPORARY}{link.name}")
    new.unlink(missing_ok=True)
    new.symlink_to(target)
    os.replace(new, link)


def refuse_broken_links(config: Config) -> None:
    """PipelineError where a file of the deployed release is not what people see under its name."""
    for name in (*RELEASE_FILES, "manifest.json"):
        link = config.production_folder / name
        if not link.is_symlink() or os.readlink(link) != f"current/{name}":
            raise PipelineError(f"{config.shown(link)} is not the link to current/{name}")


def former_release(config: Config, version: int | None) -> Release:
    """The kept, whole release of this number, by default the one before the present one."""
    now = read_deployment(config)
    wanted = version if version is not None else now.former
    kept = {release.version: release for release in kept_releases(config)}
    if wanted is None or wanted not in kept or wanted == now.current:
        why = "is deployed already" if wanted == now.current else "is not kept"
        what = f"version {wanted} {why}" if wanted is not None else "there is no former version"
        raise PipelineError(
            f"{what}; kept: {', '.join(map(str, kept)) or 'none'} (deployment.py --list)"
        )
    if broken := kept[wanted].damage():
        others = ", ".join(str(v) for v in kept if v not in (wanted, now.current))
        raise PipelineError(
            f"version {wanted} is damaged ({broken[0]}); choose another: {others or 'none is left'}"
        )
    return kept[wanted]


def roll_back(config: Config, release: Release) -> bool:
    """Make a kept release current again, paused by hand; whether its rows could be put back."""
    before = read_deployment(config)
    has_rows = _restore_rows(config, release)
    now = replace(before, current=release.version, former=before.current, at=utc_now(), issues=())
    # The note first: a crash before the link moves leaves the present version, but paused.
    write_deployment(config, replace(now, paused=BY_HAND))
    make_current(config, release.version)
    prune(config, keep=before.current)
    return has_rows


def _restore_rows(config: Config, release: Release) -> bool:
    """Put the rows back that an older release was trained on: they are the beginning of today's."""
    target, digest = release.folder / "finaldata.csv", release.manifest["files"]["finaldata.csv"]
    if target.exists():
        return True
    size = release.manifest["finaldata_bytes"]
    if not config.finaldata.exists() or config.finaldata.stat().st_size < size:
        return False
    building = target.with_name(f"{TEMPORARY}finaldata.csv")
    try:
        copy_file(config.finaldata, building, size=size)
        if file_sha256(building) != digest:
            return False
        building.replace(target)
    finally:
        building.unlink(missing_ok=True)
    sync_folder(release.folder)
    return True


def prune(config: Config, keep: int | None) -> None:
    """Delete releases that are neither new nor `keep`, and the rows in all but the current one."""
    present, current = kept_releases(config), current_version(config)  # a damaged one stays
    newest = {release.version for release in present[-KEPT_RELEASES:]}
    for release in present:
        if release.version not in newest | {keep, current}:
            # Renamed first: what a crash leaves of it is a temporary folder, no damaged release.
            doomed = release.folder.with_name(f"{TEMPORARY}{release.folder.name}")
            os.rename(release.folder, doomed)
            shutil.rmtree(doomed)
        elif release.version != current:
            (release.folder / "finaldata.csv").unlink(missing_ok=True)
