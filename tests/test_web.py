"""Input from the web: the program against a server on loopback."""

from __future__ import annotations

import io
import json
import ssl
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from pipeline.errors import AccountRefused, ConfigInvalid, InputUnreadable
from pipeline.read.fingerprint import fingerprint
from pipeline.read.source import open_source
from pipeline.remote import place
from tests.api import Asked, Canned, message, serving
from tests.elsewhere import CSV, ids, parquet
from tests.jobs import JobFolder, answer
from tests.web import Page, Site, site


@pytest.fixture
def server() -> Iterator[Site]:
    with site() as made:
        yield made


def right(asked: Asked) -> Canned:
    return message(answer(asked.text))


def test_every_format_is_read_from_the_web(server: Site) -> None:
    assert ids(server.put("/in.csv", CSV.encode())) == ["r1", "r2"]
    assert ids(server.put("/in%20put.csv.gz", pa.compress(CSV.encode(), codec="gzip", asbytes=True))) == ["r1", "r2"]
    assert ids(server.put("/in.jsonl", b'{"id":"1"}\n{"id":"2"}')) == ["1", "2"]
    assert ids(server.put("/in.parquet", parquet(25))) == [f"r{row}" for row in range(25)]
    assert {method for method, _, _ in server.asked} == {"HEAD", "GET"}
    assert not any("Authorization" in headers for _, _, headers in server.asked)


def test_a_parquet_file_is_read_in_parts(server: Site) -> None:
    url = server.put("/in.parquet", parquet(25))
    open_source([url])
    ranges = [headers.get("Range") for method, _, headers in server.asked if method == "GET"]
    assert ranges
    assert all(ranges)


def test_a_redirect_is_followed_but_not_away_from_tls(server: Site) -> None:
    server.put("/in.csv", CSV.encode())
    server.pages["/latest.csv"] = Page(status=302, location="/in.csv")
    assert ids(f"{server.url}/latest.csv") == ["r1", "r2"]
    server.pages["/loop.csv"] = Page(status=302, location="/loop.csv")
    server.pages["/open.csv"] = Page(status=302, location="http://files.example/in.csv")
    for path, said in (("loop", "more than 5 redirects"), ("open", "leads on to http://, which is not followed")):
        with pytest.raises(InputUnreadable) as caught:
            ids(f"{server.url}/{path}.csv")
        assert said in caught.value.message


@pytest.mark.parametrize(
    ("name", "page", "said"),
    [
        ("none.csv", Page(status=404), "no such object"),
        ("busy.csv", Page(status=503), "HTTP 503"),
        ("unsized.csv", Page(CSV.encode(), sized=False), "does not say how long it is (HTTP, Content-Length); download it"),
        ("whole.parquet", Page(parquet(5), parts=False), "gives whole files only (HTTP, Accept-Ranges: none); download it"),
        ("cut.csv", Page(CSV.encode() * 9, cut=50), "HTTP"),
        ("bad.parquet", Page(parquet(5)[:-20]), "cannot be read"),
        ("bad.csv.gz", Page(b"plain"), "cannot be read"),
    ],
)
def test_what_cannot_be_read_is_refused_by_its_url(server: Site, name: str, page: Page, said: str) -> None:
    server.pages[f"/{name}"] = page
    with pytest.raises(InputUnreadable) as caught:
        ids(f"{server.url}/{name}")
    assert f"{server.url}/{name}" in caught.value.message
    assert said in caught.value.message
    assert "Errno" not in caught.value.message


def test_a_server_that_sends_the_beginning_whatever_is_asked_for_is_told(server: Site) -> None:
    large = io.BytesIO()
    pq.write_table(pa.table({"id": [f"{row:0200}" for row in range(50_000)]}), large, compression="none", use_dictionary=False)
    server.pages["/in.parquet"] = Page(large.getvalue(), parts=False, owned_up=False)
    with pytest.raises(InputUnreadable) as caught:
        ids(f"{server.url}/in.parquet")
    assert "doesn't appear to support range requests" in caught.value.message
    server.pages["/in.parquet"] = Page(large.getvalue())
    assert len(ids(f"{server.url}/in.parquet")) == 50_000


def test_who_is_not_let_in_is_told_so(server: Site) -> None:
    server.pages["/in.csv"] = Page(status=403)
    with pytest.raises(AccountRefused) as caught:
        ids(f"{server.url}/in.csv")
    assert "the server refuses: HTTP 403; no credentials are sent but those in .netrc" in caught.value.message


@pytest.mark.parametrize(
    ("url", "said"),
    [
        ("http://files.example/in.csv", "only https:// is"),
        ("https://files.example/in.csv?token=secret", "what follows is often a secret"),
        ("http://files.example/in.csv#token=secret", "what follows is often a secret"),
        ("https://user:secret@files.example/in.csv", "holds a password"),
        ("https://files.example/in put.csv", "no spaces"),
        ("https://files.example/ü.csv", "no letters beyond ASCII"),
        ("https://files.example/*.csv", "no list of its files"),
        ("https://files.example/", "expected https://"),
        ("https:///in.csv", "expected https://"),
    ],
)
def test_a_url_that_is_not_read_is_refused_before_anybody_is_asked(url: str, said: str) -> None:
    with pytest.raises(ConfigInvalid) as caught:
        place(url)
    assert said in caught.value.message
    assert "secret@" not in caught.value.message
    assert "token" not in caught.value.message


def test_a_file_that_changed_has_another_fingerprint(server: Site) -> None:
    at = place(server.put("/in.csv", CSV.encode(), modified=1_790_000_000.0))
    before = fingerprint([at])
    assert not fingerprint([at]).changes(before)
    server.put("/in.csv", CSV.encode(), modified=1_790_000_060.0)
    assert len(fingerprint([at]).changes(before)) == 1
    server.put("/in.csv", CSV.encode() + b"r3,c\n", modified=1_790_000_000.0)
    assert len(fingerprint([at]).changes(before)) == 1


def test_a_job_reads_from_the_web_and_writes_here(server: Site, tmp_path: Path) -> None:
    url = server.put("/in.parquet", parquet(30))
    with serving(right) as api:
        job = JobFolder(tmp_path / "job", [], api.url, input={"path": url})
        assert job.run().code == 0
        assert [row["id"] for row in job.rows()] == [f"r{row}" for row in range(30)]
        assert job.run().summary["requests"] == 0
        job.configure(output={"path": f"{server.url}/out.parquet"})
        refused = job.run()
    assert refused.code == 78
    assert "expected a path on this machine, or s3://" in refused.err


def test_a_file_that_changes_while_it_is_read_ends_the_run(server: Site, tmp_path: Path) -> None:
    def changing(asked: Asked) -> Canned:
        server.put("/in.csv", CSV.encode() + b"r3,good\n")
        return right(asked)

    url = server.put("/in.csv", CSV.encode())
    with serving(changing) as api:
        ended = JobFolder(tmp_path / "job", [], api.url, input={"path": url}).run()
    assert ended.code == 65
    assert f"the input changed while it was read: {url}" in ended.err


def test_tls_is_checked(tmp_path: Path) -> None:
    """By the authorities of this machine: in processes of their own, since they are read once."""
    held = tmp_path / "localhost.pem"
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    certify(held)
    tls.load_cert_chain(held)
    with site(tls) as server, serving(right) as api:
        job = JobFolder(tmp_path / "job", [], api.url, input={"path": server.put("/in.csv", CSV.encode())})
        known = job.start("run", "--json", environment={"SSL_CERT_FILE": str(held)})
        unknown = job.start("check")
        out, err = known.communicate(timeout=60)
        assert (known.returncode, json.loads(out)["ok"]) == (0, 2), err
        assert "CERTIFICATE_VERIFY_FAILED" in unknown.communicate(timeout=60)[1]
        assert unknown.returncode == 65


def certify(path: Path) -> None:
    """A certificate of localhost that is its own authority, and its key."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "localhost")])
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(datetime(2026, 1, 1, tzinfo=UTC))
        .not_valid_after(datetime(2036, 1, 1, tzinfo=UTC))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName("localhost")]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    form = serialization.PrivateFormat.PKCS8
    secret = key.private_bytes(serialization.Encoding.PEM, form, serialization.NoEncryption())
    path.write_bytes(secret + made.public_bytes(serialization.Encoding.PEM))
