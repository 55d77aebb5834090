"""`scrapy verify`, `recover`, `label`, `compact` as a user calls them: what they print and the exit code."""

from __future__ import annotations

import fcntl
import json
import subprocess
import sys
from pathlib import Path
from typing import NamedTuple, Protocol

import pytest
from scrapy.cmdline import execute

from marketarchive.archive.book_checks import BookChecks
from marketarchive.archive.ledger import Ledger
from marketarchive.archive.paths import COMPACT_LOCK
from marketarchive.archive.reader import ArchiveReader
from marketarchive.archive.report import VerifyReport
from marketarchive.items import Response
from marketarchive.times import DAY
from marketarchive.venues.polymarket.clob import book_hash, parse_book
from tests.archive import museum
from tests.archive.writing import FEED, NOON, VENUE, cron, ledger_of, open_run, response, writer

LAST_YEAR = NOON - 365 * DAY


class Done(NamedTuple):
    returncode: int
    stdout: str
    stderr: str


class Scrapy(Protocol):
    def __call__(self, *arguments: str) -> Done: ...


@pytest.fixture
def scrapy(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Scrapy:
    """Scrapy's own command line, in this process: these commands start nothing that would stay."""
    monkeypatch.setenv("SCRAPY_PROJECT", "default")
    monkeypatch.setenv("SCRAPY_SETTINGS_MODULE", "settings.base")

    def call(*arguments: str) -> Done:
        capsys.readouterr()
        with pytest.raises(SystemExit) as ended:
            execute(["scrapy", *arguments])
        code = ended.value.code
        return Done(code if isinstance(code, int) else 1, *capsys.readouterr())

    return call


@pytest.mark.process
def test_the_commands_are_there_in_a_process_of_their_own(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "scrapy", "verify", "-s", f"OUTPUT_DIR={tmp_path}"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300)
    assert done.returncode == 1, "an unmounted disk or a mistyped folder is not verified"
    assert f"{tmp_path} is not an archive: nothing was recorded there, or its disk is" in done.stderr
    assert done.stdout.splitlines()[-1] == "nothing to check: 0 problems"


@pytest.mark.process
def test_unified_data_of_nothing_are_an_error_and_leave_no_file(tmp_path: Path) -> None:
    for root, code, why in (
        (tmp_path / "mistyped", 2, "there is no folder"),
        (tmp_path, 1, "nothing of perpetuals is archived in"),
    ):
        command = [sys.executable, "-m", "scrapy", "perps", "--no-crawl", "-s", f"OUTPUT_DIR={root}"]
        done = subprocess.run(command, capture_output=True, text=True, timeout=300)
        assert done.returncode == code
        assert f"{why} {root}" in done.stderr
        assert not (tmp_path / "mistyped").exists()
        assert not (tmp_path / "perps").exists()


@pytest.fixture
def root(tmp_path: Path) -> Path:
    folder = tmp_path / "archive"
    museum.build(folder)
    return folder


def test_verify_passes_fails_by_name_and_takes_a_head(scrapy: Scrapy, root: Path) -> None:
    output = f"OUTPUT_DIR={root}"
    passed = scrapy("verify", "-s", output)
    assert (passed.returncode, passed.stderr) == (0, "")
    *_, head, last = passed.stdout.splitlines()
    assert last == "passed: 0 problems"
    assert head.split() == ["head", str(Ledger(root).head())]
    damaged = museum.flip(museum.sealed(root), 8 * museum.member_offset(root, 1)).relative_to(root)
    failed = scrapy("verify", "-s", output, "--head", head.split()[1], "--json")
    assert failed.returncode == 1
    document = json.loads(failed.stdout)
    assert document["state"] == "failed"
    assert {problem["path"] for problem in document["problems"]} >= {str(damaged)}
    assert document["head"] == head.split()[1]
    text = scrapy("verify", "-s", output)
    assert f"PROBLEM  {damaged}" in text.stdout


def test_recover_seals_and_says_what(scrapy: Scrapy, tmp_path: Path) -> None:
    with writer(tmp_path) as made:
        run = open_run(made)
        run.write(response(run))
        run.flush().result()
    output = f"OUTPUT_DIR={tmp_path}"
    assert scrapy("verify", "-s", output).returncode == 1
    done = scrapy("recover", "-s", output)
    assert (done.returncode, done.stderr) == (0, "")
    said = done.stdout.splitlines()
    assert said[0] == f"{run.name}: crash, manifest manifests/{run.name}.json"
    assert [line.split()[0] for line in said[1:]] == ["recovered", "kept", "1"]
    assert scrapy("recover", "-s", output).stdout == "0 dead runs\n"
    assert scrapy("verify", "-s", output).returncode == 0


def test_a_disk_that_fails_is_exit_code_3(scrapy: Scrapy, tmp_path: Path) -> None:
    with writer(tmp_path) as made:
        open_run(made)
    (tmp_path / "manifests/recovery.lock").mkdir()
    done = scrapy("recover", "-s", f"OUTPUT_DIR={tmp_path}")
    assert done.returncode == 3
    assert "run it again" in done.stderr


def test_what_cannot_be_recovered_is_named_and_exit_code_1(scrapy: Scrapy, tmp_path: Path) -> None:
    with writer(tmp_path) as made:
        run = open_run(made)
    (tmp_path / "manifests/foo.lock").write_bytes(b"")
    (tmp_path / "raw").write_text("in the way of the folder that recovery has to make")
    done = scrapy("recover", "-s", f"OUTPUT_DIR={tmp_path}")
    assert (done.returncode, done.stderr) == (1, "")
    warning, failed, last = done.stdout.splitlines()
    assert warning == "warning  manifests/foo.lock is not a lock file of a run, and is left alone"
    assert failed.startswith(f"FAILED   {run.name}: ")
    assert last == "0 dead runs"
    (tmp_path / "raw").unlink()
    assert scrapy("recover", "-s", f"OUTPUT_DIR={tmp_path}").returncode == 0


def test_label_is_entered_and_honoured(scrapy: Scrapy, root: Path) -> None:
    path = museum.sealed(root).relative_to(root).as_posix()
    before = [entry["path"] for entry in ArchiveReader(root).segments()]
    done = scrapy("label", path, "--deprecated", "--why", "a test", "-s", f"OUTPUT_DIR={root}")
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout == f"labelled {path} deprecated; ledger head {Ledger(root).head()}\n"
    assert [entry["path"] for entry in ArchiveReader(root).segments()] == [
        one for one in before if one != path
    ]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["verify", "raw"], "takes no argument"),
        (["verify", "--since", "yesterday"], "is not a time like"),
        (["verify", "--head", "12"], "is not a ledger head"),
        (["verify", "-s", "OUTPUT_DIR=/nonexistent"], "there is no folder"),
        (["recover", "-s", "OUTPUT_DIR=/nonexistent"], "there is no folder"),
        (["recover", "now"], "takes no argument"),
        (["label", "raw/x", "--why", "x"], "give one file, and either"),
        (["label", "raw/x", "--invalid", "--why", "x"], "is not in"),
        (["label", "raw/x", "--invalid"], "give a reason"),
    ],
)
def test_a_wrong_argument_is_exit_code_2(
    scrapy: Scrapy, tmp_path: Path, arguments: list[str], message: str
) -> None:
    given = arguments if "-s" in arguments else [*arguments, "-s", f"OUTPUT_DIR={tmp_path}"]
    done = scrapy(*given)
    assert done.returncode == 2
    assert message in done.stdout + done.stderr


def test_the_books_of_clob_answers_are_judged(scrapy: Scrapy, tmp_path: Path) -> None:
    book = {
        "market": "0x1",
        "asset_id": "7",
        "timestamp": "1",
        "hash": "",
        "bids": [{"price": "0.4", "size": "10"}],
        "asks": [{"price": "0.6", "size": "5"}],
        "min_order_size": "5",
        "tick_size": "0.01",
        "neg_risk": False,
        "last_trade_price": "0.5",
    }
    right = json.dumps({**book, "hash": book_hash(parse_book({**book, "hash": "x"}))}, separators=(",", ":"))
    wrong = right.replace('"10"', '"11"')
    clob = "http://127.0.0.1:8900/clob.polymarket.com"
    answers = [
        ("https://clob.polymarket.com/book", 200, right),
        (f"{clob}/books", 200, f"[{right},{wrong}]"),
        (f"{clob}/books", 429, "slow down"),
        (f"{clob}/books", 200, "<html>"),
        ("https://gamma-api.polymarket.com/markets/keyset", 200, "{}"),
    ]
    with writer(tmp_path) as made:
        run = open_run(made)
        for url, status, text in answers:
            seq = run.next_seq(VENUE, FEED)
            run.write(Response(VENUE, FEED, NOON, seq, "GET", url, {}, status, {}, 1.0, text.encode()))
        run.close("finished", {}).result()
    found = []
    for message in ArchiveReader(tmp_path).messages():
        report = VerifyReport()
        BookChecks().look(message, report)
        found.append(dict(report.books))
    assert found == [{"ok": 1}, {"ok": 1, "failed": 1}, {}, {}, {}]
    done = scrapy("verify", "--books", "-s", f"OUTPUT_DIR={tmp_path}")
    assert done.returncode == 1
    assert "line 3: the book of 7 does not have the hash it states" in done.stdout
    assert "books    2 ok" in done.stdout


@pytest.mark.process
def test_offload_says_what_it_would_do_and_what_it_did(scrapy: Scrapy, root: Path, tmp_path: Path) -> None:
    output, target = f"OUTPUT_DIR={root}", str(tmp_path / "target")
    before = sorted(root.rglob("*"))
    dry = scrapy("offload", target, "-s", output, "--dry-run", "--prune", "--older-than", "1d")
    assert (dry.returncode, dry.stderr) == (0, "")
    files = sum(1 for entry in Ledger(root).entries() if entry.get("bytes"))
    assert f"to copy    {files} files, " in dry.stdout
    assert "to prune   at most 10 files, " in dry.stdout
    assert sorted(root.rglob("*")) == before
    assert not Path(target).exists()

    done = scrapy("offload", target, "-s", output, "--bwlimit", "50M", "--prune", "--older-than", "1s")
    assert (done.returncode, done.stderr) == (0, "")
    assert "pruned     10 files, " in done.stdout
    assert done.stdout.splitlines()[-1] == "all copies are verified"
    shown = scrapy("verify", "-s", output)
    assert shown.returncode == 0
    assert shown.stdout.count("\nmoved    ") + shown.stdout.startswith("moved    ") == 10
    assert "8 of them, " in scrapy("status", "-s", output).stdout
    back = scrapy("offload", "--restore", "raw/venue=polymarket/feed=stream", "-s", output)
    assert (back.returncode, back.stdout.split(",")[0]) == (0, "restored  4 files")

    stored = next(Path(target).rglob("*.json"))
    museum.flip(stored, 40)
    wrong = scrapy("offload", target, "-s", output, "--recheck-after", "1ms")
    assert wrong.returncode == 1
    assert f"PROBLEM    manifests/{stored.name}: the remote states sha256" in wrong.stdout


@pytest.mark.process
def test_offload_says_why_it_stopped_and_what_to_do(scrapy: Scrapy, root: Path, tmp_path: Path) -> None:
    (root / "manifests" / "offload.lock").mkdir()
    done = scrapy("offload", str(tmp_path / "target"), "-s", f"OUTPUT_DIR={root}")
    assert (done.returncode, done.stdout) == (3, "")
    assert done.stderr.startswith("offload: offload stopped: [Errno 21] Is a directory: '")
    assert "Free space or mend the disk, then run it again" in done.stderr


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ([], "name one remote"),
        (["a", "b"], "name one remote"),
        (["a", "--prune"], "--prune and --older-than SPAN need each other"),
        (["a", "--older-than", "1d"], "--prune and --older-than SPAN need each other"),
        (["a", "--since", "1d"], "--since needs --restore"),
        (["a", "--recheck-after", "soon"], "--recheck-after='soon' is not a time span"),
        (["--prune", "--older-than", "1d", "--restore"], "--restore takes only"),
    ],
)
def test_offload_refuses_what_makes_no_sense(
    scrapy: Scrapy, tmp_path: Path, arguments: list[str], said: str
) -> None:
    done = scrapy("offload", *arguments, "-s", f"OUTPUT_DIR={tmp_path}")
    assert (done.returncode, done.stdout) == (2, "")
    assert said in done.stderr


@pytest.mark.process
def test_offload_neither_copies_an_archive_into_itself_nor_without_rclone(
    scrapy: Scrapy, root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    inside = scrapy("offload", str(root / "copy"), "-s", f"OUTPUT_DIR={root}")
    assert (inside.returncode, "lies within the archive" in inside.stderr) == (2, True)
    monkeypatch.setenv("PATH", str(root))
    without = scrapy("offload", "x:y", "-s", f"OUTPUT_DIR={root}")
    assert (without.returncode, without.stdout) == (2, "")
    assert without.stderr.startswith("offload: rclone is not installed")
    assert len(without.stderr.splitlines()) == 1


def test_compact_joins_by_option_or_setting_and_says_what(scrapy: Scrapy, tmp_path: Path) -> None:
    cron(tmp_path, start=LAST_YEAR)
    output = f"OUTPUT_DIR={tmp_path}"
    nothing = scrapy("compact", "-s", output, "--older-than", "900000")
    assert (nothing.returncode, nothing.stderr) == (0, "")
    assert nothing.stdout == "0 segments joined into 0 files; 0 small files removed, 0 bytes\n"
    assert scrapy("compact", "-s", output, "-s", "COMPACT_SMALLER_THAN_MB=0.0001").stdout == nothing.stdout
    done = scrapy("compact", "-s", output)
    assert (done.returncode, done.stderr) == (0, "")
    first, last = done.stdout.splitlines()
    assert first.startswith("joined   raw/venue=polymarket/feed=orderbook/date=2025-11-21/hour=12/compact-")
    assert ".jsonl.gz: 3 segments, " in first
    assert last == "3 segments joined into 1 files; 0 small files removed, 0 bytes"
    assert scrapy("compact", "-s", output, "--remove").stdout.startswith(
        "0 segments joined into 0 files; 3 small files removed, "
    )
    assert scrapy("verify", "-s", output).stdout.splitlines()[-1] == "passed: 0 problems"
    cron(tmp_path, start=LAST_YEAR)
    museum.flip(tmp_path / ledger_of(tmp_path)[-1]["path"], 800)
    refused = scrapy("compact", "-s", output)
    assert refused.returncode == 1
    assert "REFUSED  raw/" in refused.stdout
    assert "is not the file that was sealed: run `" in refused.stdout


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--older-than", "1d"), "--older-than '1d' is not a number from 0 to 1,000,000"),
        (("--smaller-than", "-1"), "--smaller-than '-1' is not a number from 0 to 1,000,000"),
        (
            ("-s", "COMPACT_OLDER_THAN_H=nan"),
            "COMPACT_OLDER_THAN_H='nan' is not a number from 0 to 1,000,000",
        ),
    ],
)
def test_compact_refuses_other_thresholds(
    scrapy: Scrapy, tmp_path: Path, words: tuple[str, str], said: str
) -> None:
    done = scrapy("compact", "-s", f"OUTPUT_DIR={tmp_path}", *words)
    assert (done.returncode, done.stdout, done.stderr) == (2, "", f"compact: {said}\n")


@pytest.mark.process
def test_compact_that_waits_says_so(scrapy: Scrapy, tmp_path: Path) -> None:
    cron(tmp_path, start=LAST_YEAR)
    lock = tmp_path / COMPACT_LOCK
    with lock.open("w") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        command = [sys.executable, "-m", "scrapy", "compact", "-s", f"OUTPUT_DIR={tmp_path}"]
        with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as waiting:
            assert waiting.stderr is not None
            assert waiting.stdout is not None
            said = waiting.stderr.readline()
            fcntl.flock(held, fcntl.LOCK_UN)
            assert waiting.stdout.read().splitlines()[-1].startswith("3 segments joined into 1 files")
            assert waiting.wait(60) == 0
    assert said.rstrip().endswith(f"waiting for another process to end its work: it holds {lock}")


@pytest.mark.parametrize("command", ["offload remote:", "compact", "recover", "validate"])
def test_a_folder_that_is_no_archive_is_refused_and_does_not_become_one(
    command: str, tmp_path: Path, scrapy: Scrapy
) -> None:
    (tmp_path / "manifests").mkdir()
    for name in ("compact.lock", "offload.lock", "recovery.lock"):  # as earlier versions left behind
        (tmp_path / "manifests" / name).touch()
    before = sorted(tmp_path.rglob("*"))
    done = scrapy(*command.split(), "-s", f"OUTPUT_DIR={tmp_path}")
    assert (done.returncode, done.stdout) == (2, "")
    assert f"{tmp_path} is not an archive: nothing was recorded there, or its disk is not" in done.stderr
    assert sorted(tmp_path.rglob("*")) == before
    assert scrapy("verify", "-s", f"OUTPUT_DIR={tmp_path}").returncode == 1
    assert "no_archive" in scrapy("status", "--check", "-s", f"OUTPUT_DIR={tmp_path}").stdout


@pytest.mark.parametrize("command", ["normalize", "ground-truth", "canonical", "rebuild-master", "report"])
def test_what_is_derived_makes_no_archive(command: str, tmp_path: Path, scrapy: Scrapy) -> None:
    scrapy(command, "-s", f"OUTPUT_DIR={tmp_path}", "-s", "MASTER_URL=sqlite://")
    assert "no_archive" in scrapy("status", "--check", "-s", f"OUTPUT_DIR={tmp_path}").stdout


def test_an_archive_whose_only_run_has_sealed_nothing_yet_is_one(tmp_path: Path, scrapy: Scrapy) -> None:
    output = f"OUTPUT_DIR={tmp_path}"
    with writer(tmp_path) as made:
        open_run(made)
        assert scrapy("compact", "-s", output).returncode == 0
        assert scrapy("recover", "-s", output).stdout == "0 dead runs\n"
        assert scrapy("verify", "-s", output).returncode == 0
        assert "no_archive" not in scrapy("status", "--check", "-s", output).stdout
