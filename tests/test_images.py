"""Whole runs over pictures: what arrives at the server, what it costs, and what becomes of pictures that cannot be sent."""

from __future__ import annotations

import csv
import io
import json
import os
from base64 import b64decode, b64encode
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image

from tests.api import Api, Asked, Canned, message, serving
from tests.jobs import JobFolder
from tests.pictures import animated, encoded, noise, plain, png, png_bomb, turned

ANSWER = json.dumps({"label": "yes", "length": 1})
PHOTOS = {"user": "What is it?", "images": ["photo"]}


def answers(_: Asked) -> Canned:
    return message(ANSWER)


def blocks(asked: Asked) -> list[dict[str, Any]]:
    content: list[dict[str, Any]] = asked.body["messages"][0]["content"]
    return content


def pictures(asked: Asked) -> list[bytes]:
    return [b64decode(block["source"]["data"]) for block in blocks(asked) if block["type"] == "image"]


def job(folder: Path, api: Api, rows: dict[str, Any], **changes: Any) -> JobFolder:
    """A job over a Parquet file with these columns."""
    made = JobFolder(folder, [], api.url)
    first = next(iter(rows.values()))
    pq.write_table(pa.table({"id": [f"r{number}" for number in range(len(first))], **rows}), folder / "in.parquet")
    made.configure(input={"path": "in.parquet"}, prompt=PHOTOS, **changes)
    return made


@pytest.mark.parametrize("form", ["JPEG", "PNG", "GIF", "WEBP"])
def test_the_bytes_of_a_picture_arrive_as_they_are_before_the_text(tmp_path: Path, form: str) -> None:
    held = plain(form)
    with serving(answers) as api:
        assert job(tmp_path, api, {"photo": [held]}).run().code == 0
        first, text = blocks(api.asked[0])
    assert first == {
        "type": "image",
        "source": {"type": "base64", "media_type": f"image/{form.lower()}", "data": b64encode(held).decode()},
        "transformations": {"oversized_image": "error"},
    }
    assert text == {"type": "text", "text": "What is it?"}
    filed = b"".join(path.read_bytes() for path in (tmp_path / "runs").rglob("*") if path.is_file())
    assert held not in filed
    assert b64encode(held)[:60] not in filed


def test_each_way_to_name_a_picture_sends_its_bytes(tmp_path: Path) -> None:
    held = [plain("PNG", colour=colour) for colour in ("red", "green", "blue", "white")]
    (tmp_path / "scans" / "a").mkdir(parents=True)
    (tmp_path / "scans" / "a" / "1.jpg").write_bytes(held[2])  # a PNG by content, whatever its name
    struct = pa.array(
        [{"bytes": held[0], "path": "x.png"}, {"bytes": None, "path": "a/1.jpg"}],
        pa.struct([("bytes", pa.binary()), ("path", pa.string())]),
    )
    named = [f"data:image/jpeg;base64,{b64encode(held[1]).decode()}", "a/1.jpg"]
    several = pa.array([[held[3], held[0]], []], pa.list_(pa.large_binary()))
    with serving(answers) as api:
        made = job(tmp_path, api, {"photo": struct, "named": named, "several": several})
        made.configure(input={"root": "scans"}, prompt={"images": ["photo", "named", "several"]}, call={"concurrency": 1})
        assert made.run().code == 0
        first, second = api.asked
    assert pictures(first) == [held[0], held[1], held[3], held[0]]
    assert pictures(second) == [held[2], held[2]]
    assert {block["source"]["media_type"] for block in blocks(first) if block["type"] == "image"} == {"image/png"}


def test_the_same_picture_is_paid_once_in_a_run_and_not_at_all_in_the_next(tmp_path: Path) -> None:
    one, other = plain("PNG"), plain("PNG", colour="blue")
    with serving(answers) as api:
        made = job(tmp_path, api, {"photo": [one, other, one, one]})
        assert made.run().summary["reused"] == 2
        assert made.run().summary["requests"] == 0
        assert len(api.asked) == 2


def test_a_file_that_changes_under_its_name_is_asked_about_again_and_alone(tmp_path: Path) -> None:
    scans = tmp_path / "scans"
    scans.mkdir()
    for number, colour in enumerate(("red", "green", "blue")):
        (scans / f"{number}.png").write_bytes(plain("PNG", colour=colour))
    with serving(answers) as api:
        made = job(tmp_path, api, {"photo": [f"{number}.png" for number in range(3)]})
        made.configure(input={"root": "scans"})
        assert made.run().code == 0
        (scans / "1.png").write_bytes(plain("PNG", colour="white"))
        assert made.run().summary["requests"] == 1
        assert made.run().summary["requests"] == 0
        assert pictures(api.asked[-1]) == [plain("PNG", colour="white")]


def test_pictures_that_cannot_be_sent_end_their_rows_alone(tmp_path: Path) -> None:
    good = plain("JPEG")
    odd = {
        "good": good,
        "null": None,
        "empty": b"",
        "cut short": good[:-40],
        "no picture": b"hello, world",
        "PDF": b"%PDF-1.7 something",
        "TIFF": plain("TIFF"),
        "animated GIF": animated("GIF"),
        "animated PNG": animated("PNG"),
        "animated WEBP": animated("WEBP"),
        "bomb": png_bomb(),
        "damaged": plain("PNG")[:50] + b"\xff" + plain("PNG")[51:],
        "not decodable": png(6_000, 10, b"no deflate stream"),
    }
    fine = {
        "CMYK": encoded(noise(40, 30, mode="CMYK"), "JPEG"),
        "16 bits": encoded(Image.new("I;16", (40, 30), 40_000), "PNG"),
        "palette": plain("GIF"),
    }
    with serving(answers) as api:
        made = job(tmp_path, api, {"name": [*odd, *fine], "photo": pa.array([*odd.values(), *fine.values()], pa.binary())})
        assert made.run().code == 1
        rows = {row["name"]: row for row in made.rows()}
    assert [name for name, row in rows.items() if row["_status"] == "ok"] == ["good", *fine]
    assert {row["_status"] for row in rows.values()} == {"ok", "input_error"}
    said = {name: row["_error"] for name, row in rows.items() if row["_error"] is not None}
    assert {name: words in said[name] for name, words in _SAID.items()} == dict.fromkeys(_SAID, True), said
    assert said.keys() == _SAID.keys()


_SAID = {
    "null": "nothing stands in photo",
    "empty": "photo: what it holds is empty: 0 bytes",
    "cut short": "is a JPEG that is cut short",
    "no picture": "is no picture: it begins with b'hello, w'; JPEG, PNG, GIF and WEBP are taken",
    "PDF": "is a PDF; name its column in prompt.documents",
    "TIFF": "is a TIFF",
    "animated GIF": "the model sees its first frame only; save the frame that is meant",
    "animated PNG": "is animated",
    "animated WEBP": "is animated",
    "bomb": "has 50000 × 50000 pixels, more than 8000 × 8000; scale it down",
    "damaged": "is a damaged PNG: the checksum of its part 'IDAT' is wrong",
    "not decodable": "must be scaled down or turned upright, and cannot be decoded: ",
}


@pytest.mark.parametrize("form", ["JPEG", "PNG", "WEBP"])
def test_a_picture_on_its_side_is_sent_upright_and_without_its_metadata(tmp_path: Path, form: str) -> None:
    with serving(answers) as api:
        made = job(tmp_path, api, {"photo": [turned(form, orientation) for orientation in range(2, 9)]})
        assert made.run().code == 0
        sent = [data for asked in api.asked for data in pictures(asked)]
    assert len(sent) == 7
    for data in sent:
        assert b"CANARY" not in data
        with Image.open(io.BytesIO(data)) as seen:
            assert (seen.size, len(seen.getexif())) == ((60, 40), 0)
            assert [_colour(seen, at) for at in ((5, 5), (5, 35), (55, 5), (55, 35))] == ["red", "red", "blue", "white"]


def _colour(image: Image.Image, at: tuple[int, int]) -> str:
    pixel = image.convert("RGB").getpixel(at)
    assert isinstance(pixel, tuple)
    return {"100": "red", "001": "blue", "111": "white"}["".join(str(int(band > 150)) for band in pixel)]


@pytest.mark.parametrize(("model", "size"), [("claude-haiku-5-5", (2576, 1288)), ("claude-haiku-4-5", (1568, 784))])
def test_a_picture_is_sent_as_large_as_the_model_sees_it(tmp_path: Path, model: str, size: tuple[int, int]) -> None:
    with serving(answers) as api:
        made = job(tmp_path, api, {"photo": [plain("PNG", 4000, 2000)]}, model={"name": model})
        assert made.run().code == 0
        (sent,) = pictures(api.asked[0])
        assert made.run().summary["requests"] == 0
    with Image.open(io.BytesIO(sent)) as seen:
        assert (seen.format, seen.size) == ("PNG", size)


def test_what_is_too_long_in_base64_is_sent_as_a_jpeg(tmp_path: Path) -> None:
    held = encoded(noise(300, 300), "PNG")
    with serving(answers) as api:
        made = job(tmp_path / "taken", api, {"photo": [held]})
        made.configure(input={"max_image_mb": 0.2})
        assert made.run().code == 0
        (sent,) = pictures(api.asked[0])
        made = job(tmp_path / "refused", api, {"photo": [held]})
        made.configure(input={"max_image_mb": 0.01})
        assert made.run().code == 1
    assert len(held) > 150_000 > len(sent)
    assert sent.startswith(b"\xff\xd8")
    assert "even scaled down; see input.max_image_mb" in made.rows()[0]["_error"]


def test_a_row_that_holds_too_much_ends_alone(tmp_path: Path) -> None:
    small, large = encoded(noise(100, 100), "PNG"), encoded(noise(150, 150), "PNG")
    with serving(answers) as api:
        made = job(tmp_path, api, {"photo": pa.array([[small], [small, large]], pa.list_(pa.binary()))})
        made.configure(input={"max_row_mb": 0.1})
        assert made.run().code == 1
        assert [row["_status"] for row in made.rows()] == ["ok", "input_error"]
        assert "more than the 0.1 of input.max_row_mb" in made.rows()[1]["_error"]
        made.configure(input={"max_row_mb": 1})
        assert made.run().summary["requests"] == 1, "the row that was too large is looked at again, the other is paid"
        assert [row["_status"] for row in made.rows()] == ["ok", "ok"]


def test_urls_go_to_the_api_only_where_their_host_is_listed_and_are_never_fetched(tmp_path: Path) -> None:
    with serving(answers) as api, serving(answers) as elsewhere:
        port = elsewhere.url.rsplit(":", 1)[1]
        refused = [
            f"http://127.0.0.1:{port}/a.png",
            f"https://127.0.0.1:{port}/a.png",
            "https://169.254.169.254/latest",
            "https://2130706433/a.png",
            "https://[::]/a.png",
            "https://images.example.org@evil.example/a.png",
            "https://images.example.org.evil.example/a.png",
            "https://images.example.org\\@evil.example/a.png",
            "http://images.example.org/a.png",
            "file:///etc/passwd",
        ]
        made = job(tmp_path, api, {"photo": ["https://images.example.org/a.png", *refused]})
        assert made.run().code == 1
        assert {row["_status"] for row in made.rows()} == {"input_error"}
        made.configure(input={"allow_urls": ["images.example.org"]})
        assert made.run().code == 1
        assert [row["_status"] for row in made.rows()] == ["ok", *["input_error"] * len(refused)]
        assert blocks(api.asked[0])[0]["source"] == {"type": "url", "url": "https://images.example.org/a.png"}
        assert (elsewhere.connections, elsewhere.looked, len(api.asked)) == (0, [], 1)


def test_rows_that_name_what_is_not_theirs_end_alone(tmp_path: Path) -> None:
    scans = tmp_path / "scans"
    (scans / "inner").mkdir(parents=True)
    (tmp_path / "secret.png").write_bytes(plain("PNG"))
    (scans / "inner" / "good.png").write_bytes(plain("PNG"))
    (scans / "inside").symlink_to(scans / "inner")
    (scans / "outside").symlink_to(tmp_path)
    (scans / "zero").symlink_to("/dev/zero")
    os.mkfifo(scans / "pipe")
    bad = [
        "../secret.png",
        str(tmp_path / "secret.png"),
        "outside/secret.png",
        "zero",
        "pipe",
        "inner",
        "none.png",
        "~/x",
        "a\0b",
    ]
    with serving(answers) as api:
        made = job(tmp_path, api, {"photo": ["inner/good.png", "inside/good.png", *bad]})
        made.configure(input={"root": "scans"})
        assert made.run().code == 1
    assert [row["_status"] for row in made.rows()] == ["ok", "ok", *["input_error"] * len(bad)]
    assert "CANARY" not in (made.rows()[2]["_error"] or "")


def test_a_budget_counts_a_picture_by_its_tokens_and_not_by_its_bytes(tmp_path: Path) -> None:
    held = encoded(noise(300, 300), "PNG")  # 270,000 bytes, 121 tokens
    with serving(answers) as api:
        made = job(tmp_path, api, {"photo": [held]}, run={"budget_usd": 0.01})
        assert made.run().code == 0
        plan = json.loads(made.do("plan", "--json", "--sample", "0").out)
        assert plan["rows"] == 1


def test_check_shows_the_picture_and_a_column_that_holds_none_is_refused(tmp_path: Path) -> None:
    with serving(answers) as api:
        made = job(tmp_path, api, {"photo": [plain("PNG", 560, 280)], "number": [1]})
        assert "[image/png, " in (shown := made.do("check").out)
        assert "about 200 tokens]" in shown
        assert "more than 2,576 pixels a side or 4,784 tokens are scaled down" in shown
        made.configure(prompt={"images": ["number"]})
        assert "column 'number' holds int64, which is neither bytes nor a path" in made.do("check").err
        made.configure(prompt={"images": ["phot"]})
        assert "prompt.images: the input has no column 'phot'; did you mean 'photo'?" in made.do("check").err
        made.configure(prompt={"images": ["photo"]}, input={"root": "nowhere"})
        assert "input.root: nowhere is no folder" in made.do("check").err


def test_a_csv_may_be_a_list_of_pictures(tmp_path: Path) -> None:
    (tmp_path / "scans").mkdir()
    (tmp_path / "scans" / "1.png").write_bytes(plain("PNG"))
    with serving(answers) as api:
        made = JobFolder(tmp_path, [], api.url)
        with (tmp_path / "in.csv").open("w", newline="") as file:
            csv.writer(file).writerows([["id", "photo"], ["a", "1.png"], ["b", ""]])
        made.configure(input={"root": "scans"}, prompt=PHOTOS)
        assert made.run().code == 1
        assert [row["_status"] for row in made.rows()] == ["ok", "input_error"]


def test_a_folder_gives_a_row_a_file_and_leaves_the_bytes_where_they_are(tmp_path: Path) -> None:
    scans = tmp_path / "scans"
    (scans / "a").mkdir(parents=True)
    held = {name: plain("PNG", colour=colour) for name, colour in (("a/1.png", "red"), ("a/2.jpg", "green"), ("b.png", "blue"))}
    for name, content in held.items():
        (scans / name).write_bytes(content)
    (scans / "notes").write_text("no picture")
    with serving(answers) as api:
        made = JobFolder(tmp_path, [], api.url)
        prompt = {"user": "What is {{ name }}?", "images": ["bytes"]}
        made.configure(input={"path": "scans/", "key": "path"}, prompt=prompt, call={"concurrency": 1})
        assert made.run().code == 1
        assert [pictures(asked) for asked in api.asked] == [[content] for content in held.values()]
        assert [(row["path"], row["_status"]) for row in made.rows()] == [
            *((name, "ok") for name in held),
            ("notes", "input_error"),
        ]
        assert "bytes" not in made.table().column_names
        (scans / "a" / "0.png").write_bytes(plain("PNG", colour="white"))
        (scans / "a" / "2.jpg").write_bytes(plain("GIF"))
        (scans / "b.png").unlink()
        assert made.run().summary["requests"] == 2
        assert made.run().summary["requests"] == 0
        assert [row["path"] for row in made.rows()] == ["a/0.png", "a/1.png", "a/2.jpg", "notes"]


def test_a_folder_is_its_own_root(tmp_path: Path) -> None:
    (tmp_path / "scans").mkdir()
    (tmp_path / "scans" / "1.png").write_bytes(plain("PNG"))
    with serving(answers) as api:
        made = JobFolder(tmp_path, [], api.url)
        made.configure(input={"path": "scans/*.png", "key": None, "root": "."}, prompt={"user": "What?", "images": ["bytes"]})
        assert "input.root: has no use where input.path is a folder" in made.do("check").err
        made.configure(input={"root": None}, prompt={"documents": ["bytes"]})
        assert "'bytes' is in prompt.documents too" in made.do("check").err


def test_the_small_model_is_not_shown_pictures_and_a_rehearsal_is(tmp_path: Path) -> None:
    with serving(answers) as api:
        made = job(tmp_path, api, {"photo": [plain("PNG")]}, call={"base_url": "local"})
        assert made.run().summary["ok"] == 1
        assert api.asked == []
        made.configure(model={"name": "smollm2-135m"})
        assert "prompt.images: smollm2-135m reads text only" in made.do("check").err
