"""Which file systems a run folder may lie on."""

from __future__ import annotations

from pathlib import Path, PurePath

import pytest

from pipeline.errors import ConfigInvalid
from pipeline.write import filesystem
from pipeline.write.filesystem import is_network, kind_at, refuse_network

MOUNTS = r"""27 1 254:0 / / rw,relatime - ext4 /dev/vda rw,discard
22 27 0:21 / /proc rw,relatime shared:5 - proc proc rw
30 27 0:40 / /home rw,relatime shared:1 master:2 - autofs systemd-1 rw
31 30 0:41 / /home rw,relatime - nfs4 server:/home rw,vers=4.2
32 27 0:42 / /mnt/my\040share rw - cifs //server/share rw
33 31 0:43 / /home/ann/scratch rw - xfs /dev/sdb rw
34 27 0:44 / /mnt/s rw - fuse.sshfs ann@server:/ rw
a line that says nothing
"""


@pytest.mark.parametrize(
    ("place", "kind"),
    [
        ("/", "ext4"),
        ("/srv/runs", "ext4"),
        ("/homestead", "ext4"),
        ("/home", "nfs4"),
        ("/home/ann/runs/job", "nfs4"),
        ("/home/ann/scratch/runs", "xfs"),
        ("/mnt/my share/runs", "cifs"),
        ("/mnt/s/runs", "fuse.sshfs"),
    ],
)
def test_the_deepest_and_last_mount_above_a_path_is_its_own(place: str, kind: str) -> None:
    assert kind_at(PurePath(place), MOUNTS) == kind


def test_where_no_mount_is_known_nothing_is() -> None:
    assert kind_at(PurePath("/a"), "") is None


def test_a_root_that_a_sandbox_lends_counts_as_its_disk() -> None:
    """gVisor shows its own root as 9p; a 9p mount anywhere else is a folder of the host."""
    mounts = "1 0 0:1 / / rw - 9p none rw\n2 1 0:2 / /mnt/c rw - 9p drvfs rw\n"
    assert kind_at(PurePath("/srv"), mounts) is None
    assert kind_at(PurePath("/mnt/c/runs"), mounts) == "9p"


@pytest.mark.parametrize(
    "kind", ["nfs", "nfs4", "cifs", "smb3", "9p", "ceph", "lustre", "fuse.sshfs", "fuse.s3fs", "fuse.rclone", "fuse", "vboxsf"]
)
def test_file_systems_of_other_machines_are_network(kind: str) -> None:
    assert is_network(kind)


@pytest.mark.parametrize(
    "kind", ["ext4", "xfs", "btrfs", "zfs", "tmpfs", "overlay", "apfs", "f2fs", "virtiofs", "fuseblk", "fuse.gocryptfs"]
)
def test_disks_of_this_machine_are_not(kind: str) -> None:
    assert not is_network(kind)


def test_a_run_folder_on_a_network_is_refused_with_advice(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    mounts = tmp_path / "mountinfo"
    mounts.write_text(f"1 0 0:1 / / rw - ext4 /dev/vda rw\n2 1 0:2 / {tmp_path}/share rw - nfs4 server:/x rw\n")
    monkeypatch.setattr(filesystem, "MOUNTS", mounts)
    (tmp_path / "share").mkdir()
    (tmp_path / "link").symlink_to("share")
    refuse_network(tmp_path / "runs" / "job")
    with pytest.raises(ConfigInvalid, match=r"lies on a network file system \(nfs4\)") as refused:
        refuse_network(tmp_path / "link" / "runs" / "job")
    assert "put run.folder on a local disk" in refused.value.next_step


def test_a_system_that_does_not_tell_refuses_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(filesystem, "MOUNTS", tmp_path / "none")
    refuse_network(tmp_path)


def test_this_machine_can_be_read(tmp_path: Path) -> None:
    if not filesystem.MOUNTS.exists():
        pytest.skip("no /proc here")
    assert kind_at(PurePath("/proc/self"), filesystem.MOUNTS.read_text()) == "proc"
