"""Whatever is done to the file, it loads or its faults are listed; nothing else happens."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest
import yaml
from click.testing import CliRunner
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from ems.cli.check_config import check_config
from ems.domain.errors import ConfigurationError
from ems.domain.estate import Estate
from ems.settings import load_estate
from ems.settings.document import Findings, parse

from .conftest import DEMO, Site

BASE: dict[str, Any] = parse(DEMO.read_text(encoding="utf-8"), Findings())
for block in BASE["blocks"]:
    del block["dwellings"][2:]

Step = str | int
odd_values = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-(10**25), 10**25),
    st.floats(),
    st.text(max_size=12),
    st.sampled_from(["A", "gw-A", "A-01", "dynamic", "00:00", "..", "/", "data", "2023-12-01"]),
    st.lists(st.integers(0, 3), max_size=3),
    st.dictionaries(st.text(max_size=6), st.integers(0, 3), max_size=3),
)


def places(value: Any, path: tuple[Step, ...] = ()) -> Iterator[tuple[Step, ...]]:
    """Yield every place of the file below the top."""
    if path:
        yield path
    if isinstance(value, dict | list):
        for key, inner in value.items() if isinstance(value, dict) else enumerate(value):
            yield from places(inner, (*path, key))


PLACES = sorted(places(BASE), key=str)


def changed(value: Any, path: tuple[Step, ...], edit: Callable[[Any, Step], None]) -> Any:
    """Return a copy of ``value`` with ``edit`` done to the container at ``path[:-1]``."""
    copy = dict(value) if isinstance(value, dict) else list(value)
    if len(path) == 1:
        edit(copy, path[0])
        return copy
    copy[path[0]] = changed(copy[path[0]], path[1:], edit)
    return copy


@pytest.fixture(scope="module")
def small(make_site: Callable[[], Site]) -> Site:
    """Two homes a block, so that a load takes milliseconds."""
    site = make_site()
    site.file.write_text(yaml.safe_dump(BASE), encoding="utf-8")
    assert site.faults() == ()
    return site


def load(site: Site, text: str) -> None:
    site.file.write_bytes(text.encode("utf-8", "surrogatepass"))
    try:
        estate = load_estate(site.file)
    except ConfigurationError as error:
        assert error.faults
        assert all(fault.problem and fault.remedy for fault in error.faults)
    else:
        assert isinstance(estate, Estate)


quick = settings(
    max_examples=settings().max_examples // 2,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)


@quick
@given(edits=st.lists(st.tuples(st.sampled_from(PLACES), odd_values), min_size=1, max_size=4))
def test_values_replaced_by_anything(
    small: Site, edits: list[tuple[tuple[Step, ...], Any]]
) -> None:
    data: Any = BASE
    for path, value in edits:

        def put(container: Any, key: Step, value: Any = value) -> None:
            container[key] = value

        try:
            data = changed(data, path, put)
        except (KeyError, IndexError, TypeError, ValueError):
            continue  # an earlier edit took this place away
    load(small, yaml.safe_dump(data, allow_unicode=True))


@quick
@given(path=st.sampled_from(PLACES), name=st.text(max_size=8))
def test_keys_left_out_and_renamed(small: Site, path: tuple[Step, ...], name: str) -> None:
    def drop(container: Any, key: Step) -> None:
        value = container.pop(key)
        if isinstance(container, dict) and name:
            container[name] = value

    load(small, yaml.safe_dump(changed(BASE, path, drop), allow_unicode=True))


@quick
@given(data=st.data())
def test_text_cut_doubled_and_overwritten(small: Site, data: st.DataObject) -> None:
    text = yaml.safe_dump(BASE)
    start = data.draw(st.integers(0, len(text)))
    end = data.draw(st.integers(start, min(len(text), start + 200)))
    middle = data.draw(
        st.one_of(
            st.text(max_size=20),
            st.just(text[start:end] * 2),
            st.sampled_from(
                ["*a", "&a ", "!!x ", "{", "[", "\t", "? ", "---\n", "%", "<<: ", "\0"]
            ),
        )
    )
    load(small, text[:start] + middle + text[end:])


@quick
@given(text=st.text(max_size=200))
@example(text="~")
def test_any_text_at_all(small: Site, text: str) -> None:
    load(small, text)


@settings(quick, max_examples=settings().max_examples // 4)
@given(path=st.sampled_from(PLACES), value=odd_values, as_json=st.booleans())
def test_the_command_says_so_for_any_value(
    small: Site, path: tuple[Step, ...], value: Any, as_json: bool
) -> None:
    def put(container: Any, key: Step) -> None:
        container[key] = value

    text = yaml.safe_dump(changed(BASE, path, put), allow_unicode=True)
    small.file.write_bytes(text.encode("utf-8", "surrogatepass"))
    result = CliRunner().invoke(check_config, [str(small.file), *["--json"] * as_json])
    assert result.exit_code in (0, 2), result.output
    assert result.exception is None or isinstance(result.exception, SystemExit)


@pytest.mark.parametrize("text", ["[" * 5000, "a: " + "{b: " * 3000, "- " * 4000, "&a [*a]"])
def test_depth_and_loops_are_refused(small: Site, text: str) -> None:
    small.file.write_text(text, encoding="utf-8")
    assert small.faults()
