"""Addresses as they may be shown."""

from __future__ import annotations

import pytest

from pytest_parallelism.addresses import scrubbed, shown
from pytest_parallelism.settings import Settings
from pytest_parallelism.strategy import StrategyOptions

SECRET = "redis://:pass%2Fword@host:6379/0?token=abc123"


@pytest.mark.parametrize(
    ("address", "wanted"),
    [
        ("tcp://host:8786", "tcp://host:8786"),
        (SECRET, "redis://host:6379"),
        ("ray://me:x@[::1]:10001", "ray://[::1]:10001"),
        ("spark://host", "spark://host"),
        ("tcp://host:many", "an address that cannot be read"),
        ("dask_jobqueue.SLURMCluster(cores=1, password='x')", "…"),
        ("local:x", "local:…"),
        ("head:6379", "head:6379"),
        ("[::1]:6379", "[::1]:6379"),
        (":word@head:6379", "…"),
        ("", "…"),
        ("amqp://me:x@a;amqp://me:y@b:1,redis://:z@c", "amqp://a;amqp://b:1,redis://c"),
    ],
)
def test_only_scheme_host_and_port_are_shown(address: str, wanted: str) -> None:
    assert shown(address) == wanted


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        (f"cannot reach {SECRET}", "cannot reach redis://host:6379"),
        ("invalid password 'pass/word'", "invalid password '…'"),
        ("invalid password 'pass%2Fword'", "invalid password '…'"),
        ("bad abc123, but not xabc123", "bad …, but not xabc123"),
    ],
)
def test_texts_of_others_lose_what_is_secret(text: str, wanted: str) -> None:
    assert scrubbed(text, SECRET) == wanted


def test_no_part_of_an_address_of_several_keeps_its_secrets() -> None:
    address = "amqp://me:first@a:5672,redis://:sec%2Fond@b:6379/0"
    text = "redis://:sec%2Fond@b:6379/0: no, sec/ond and first of me are wrong"
    assert scrubbed(text, address) == "redis://b:6379: no, … and … of … are wrong"
    assert scrubbed(f"at {address}", address) == "at amqp://a:5672,redis://b:6379"


def test_arguments_of_a_class_are_secret() -> None:
    address = "cloud.Cluster(key='k-1234', name=\"mine\")"
    assert scrubbed(f"{address}: key k-1234 of mine is wrong", address) == "…: key … of … is wrong"


def test_no_repr_has_an_address() -> None:
    settings = Settings.parse({"address": ("x", [f"celery={SECRET}"])})
    assert settings.address == {"celery": SECRET}
    assert "pass" not in repr(settings) + repr(StrategyOptions(address=SECRET))
