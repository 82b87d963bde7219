"""What a machine of the Kubernetes in tests leaves of the folders that it hides; without a cluster."""

from pathlib import Path

from tests.kubernetes.machine import folders_to_hide


def test_folders_that_were_missing_are_gone_afterwards_and_others_stay(tmp_path: Path) -> None:
    (tmp_path / "etc").mkdir()
    hidden = [tmp_path / "etc" / "cni" / "net.d", tmp_path / "run" / "ipamd", tmp_path / "etc"]

    with folders_to_hide(map(str, hidden)):
        assert all(folder.is_dir() for folder in hidden)

    assert [*tmp_path.rglob("*")] == [tmp_path / "etc"]


def test_a_folder_that_somebody_has_used_meanwhile_stays_with_what_is_in_it(tmp_path: Path) -> None:
    used, other = tmp_path / "lib" / "cni", tmp_path / "lib" / "ipamd-node"

    with folders_to_hide(map(str, (used, other))):
        (used / "foreign").touch()

    assert {*tmp_path.rglob("*")} == {tmp_path / "lib", used, used / "foreign"}
