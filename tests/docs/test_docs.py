"""Documentation is tested: what it names exists, and what exists is named."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import click
import pytest
from click.testing import CliRunner

from ems.cli import COMMANDS, main

ROOT = Path(__file__).parents[2]
DOCUMENTS = sorted([ROOT / "README.md", ROOT / "CHANGELOG.md", *ROOT.glob("docs/**/*.md")])
LINK = re.compile(r"\[[^\]]*\]\(([^)\s]+)\)")
SHELL = re.compile(r"```(?:sh|shell|bash|console)\n(.*?)```", re.S)


def commands() -> dict[str, click.Command]:
    """Every command with its full name, groups opened."""
    found: dict[str, click.Command] = {}

    def walk(command: click.Command, name: str) -> None:
        found[name] = command
        if isinstance(command, click.Group):
            context = click.Context(command)
            for child in command.list_commands(context):
                inner = command.get_command(context, child)
                assert inner is not None
                walk(inner, f"{name} {child}")

    walk(main, "ems")
    return found


ALL_COMMANDS = commands()
LEAVES = {
    name: command
    for name, command in ALL_COMMANDS.items()
    if not isinstance(command, click.Group) or command.invoke_without_command
}
"""Commands that do something by themselves."""


@pytest.mark.parametrize("path", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_links_inside_the_project_lead_somewhere(path: Path) -> None:
    for target in LINK.findall(path.read_text(encoding="utf-8")):
        if "://" in target or target.startswith("#"):
            continue
        assert (path.parent / target.split("#")[0]).exists(), f"{path.name} links to {target}"


@pytest.mark.parametrize("path", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_commands_in_documents_exist(path: Path) -> None:
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.M))
    for block in SHELL.findall(path.read_text(encoding="utf-8")):
        for line in block.splitlines():
            words = line.strip().removeprefix("$ ").split()
            words = [word for word in words if "=" not in word or word.startswith("-")]
            if words[:1] == ["make"] and len(words) > 1:
                assert words[1] in targets, f"{path.name}: make {words[1]}"
            if words[:1] == ["ems"] and len(words) > 1:
                known = [
                    name for name in ALL_COMMANDS if line.split("ems ", 1)[1].startswith(name[4:])
                ]
                assert known, f"{path.name}: {line}"


@pytest.mark.parametrize("name", sorted(LEAVES))
def test_every_command_has_help_with_examples(name: str) -> None:
    result = CliRunner().invoke(main, [*name.split()[1:], "--help"], prog_name="ems")
    assert result.exit_code == 0, result.output
    assert "Examples:" in result.output
    assert f"  {name}" in result.output.split("Examples:")[1]


@pytest.mark.parametrize("name", sorted(LEAVES))
def test_every_command_and_option_is_documented(name: str) -> None:
    text = (ROOT / "docs" / "cli.md").read_text(encoding="utf-8")
    section = re.search(rf"^## `{re.escape(name)}`\n(.*?)(?=^## |\Z)", text, re.M | re.S)
    assert section, f"docs/cli.md has no section for `{name}`"
    shared = set(re.findall(r"^\| `(--[a-z]+)`", text.split("\n## ")[0], re.M))
    assert shared == {"--config", "--state", "--json"}
    for parameter in LEAVES[name].params:
        if isinstance(parameter, click.Option) and parameter.opts[0] not in shared:
            assert f"`{parameter.opts[0]}`" in section.group(1), f"{name} {parameter.opts[0]}"


def test_the_top_level_names_every_command() -> None:
    result = CliRunner().invoke(main, ["--help"], prog_name="ems")
    for name in COMMANDS:
        assert re.search(rf"^  {name}\s", result.output, re.M), name


def test_every_decision_record_is_listed() -> None:
    index = (ROOT / "docs/decisions/README.md").read_text(encoding="utf-8")
    for record in (ROOT / "docs/decisions").glob("0*.md"):
        assert f"({record.name})" in index, record.name


def test_every_document_can_be_reached_from_the_readme() -> None:
    reached: set[Path] = set()
    waiting = [ROOT / "README.md"]
    while waiting:
        path = waiting.pop().resolve()
        if path in reached or path.suffix != ".md" or not path.exists():
            continue
        reached.add(path)
        waiting.extend(
            path.parent / target.split("#")[0]
            for target in LINK.findall(path.read_text(encoding="utf-8"))
            if "://" not in target
        )
    missing = [str(path.relative_to(ROOT)) for path in DOCUMENTS if path.resolve() not in reached]
    assert missing == []


def test_no_file_names_a_development_machine() -> None:
    tracked = subprocess.run(
        ["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, check=True
    ).stdout.split(b"\0")
    pattern = re.compile(rb"/(?:work|root|home/\w+)/[\w.]")
    for name in filter(None, tracked):
        path = ROOT / name.decode()
        if path.suffix in {".py", ".pyx", ".md", ".yaml", ".toml", ".html", ".css", ".js"}:
            assert not pattern.search(path.read_bytes()), name.decode()
