"""An archive as a tree of files that an import reads."""

from bisect import bisect_left
from pathlib import Path

from cultivar_contract.image_folder import is_image
from cultivar_trainer.datasets.archives.members import Members, unusable
from cultivar_trainer.datasets.archives.tars import plain_tar, tar_members
from cultivar_trainer.datasets.archives.zips import zip_members
from cultivar_trainer.datasets.folders import MAX_FILE_BYTES
from cultivar_trainer.journal import Journal

_ZIP = (b"PK\x03\x04", b"PK\x05\x06")


class ArchiveFiles:
    """The files of an archive. Each read opens it anew, so nothing needs to be closed."""

    def __init__(self, archive: Path, members: Members) -> None:
        self._archive = archive
        self._files, folders = members.finish()
        self._images = sorted(path for path in self._files if is_image(path))
        self._folders: dict[str, list[str]] = {}
        for path in sorted(folders):
            above, _, name = path.rpartition("/")
            self._folders.setdefault(above, []).append(name)

    def folders(self, path: str) -> list[str]:
        """Return the names of the folders in a folder, sorted."""
        return self._folders.get(path, [])

    def images(self, path: str) -> list[str]:
        """Return the paths of the files below a folder that look like images, sorted."""
        if not path:
            return self._images
        # `0` comes after `/`: between the two is what lies in the folder.
        return self._images[bisect_left(self._images, f"{path}/") : bisect_left(self._images, f"{path}0")]

    def read(self, path: str, max_bytes: int = MAX_FILE_BYTES) -> bytes:
        """Return a file's bytes.

        Raises:
            OSError: it is missing or too large.
            TaskFailed: UNUSABLE_ARCHIVE; it is damaged, or somebody deleted the archive.
        """
        member = self._files.get(path)
        if member is None:
            raise OSError("is not in the archive")
        if member.size > max_bytes:
            raise OSError(f"has {member.size} bytes, more than {max_bytes}")
        try:
            return member.read(self._archive, path)
        except FileNotFoundError as error:
            raise unusable("it was deleted while it was read", "send it again") from error


def open_archive(archive: Path, scratch: Path, journal: Journal) -> ArchiveFiles:
    """Read an archive's directory: tar, plain or compressed by gzip, bzip2 or xz, or zip.

    Args:
        archive: the file, of any name.
        scratch: folder for the plain tar of a compressed one.
        journal: gets the progress.

    Raises:
        TaskFailed: UNUSABLE_ARCHIVE or INSUFFICIENT_DISK.
    """
    with archive.open("rb") as file:
        first_bytes = file.read(8)
    if first_bytes.startswith(_ZIP):
        return ArchiveFiles(archive, zip_members(archive))
    plain = plain_tar(archive, first_bytes, scratch, journal)
    return ArchiveFiles(plain, tar_members(plain))
