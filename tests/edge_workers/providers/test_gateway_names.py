"""The name of a gateway or supplier stands in its folder, the registry, data and tests alone."""

from __future__ import annotations

import io
import re
import tokenize
from pathlib import Path

import pytest

from edge_workers.providers import registry

ROOT = Path(__file__).parents[3]
PLANNED = ("mtn", "orange", "paygate", "payfast")
NAMES = sorted({*registry.PAYMENT_GATEWAYS, *PLANNED})
NAME = re.compile(rf"(?<![A-Za-z0-9_])({'|'.join(NAMES)})(?![A-Za-z0-9_])")
SUPPLIER = re.compile(rf"""["']({"|".join(registry.SUPPLIERS)})["']""")
ADDRESS = re.compile(r"""["']https?://[^"'\s]+["']\Z""")
PROVIDERS = ROOT / "edge_workers" / "providers"


def python_files() -> list[Path]:
    own = [PROVIDERS / name for name in (*NAMES, *registry.SUPPLIERS)]
    found = [*ROOT.glob("edge_workers/**/*.py"), *ROOT.glob("worker/**/*.py")]
    return sorted(
        file
        for file in found
        if file != PROVIDERS / "registry.py" and not any(folder in file.parents for folder in own)
    )


def sql_files() -> list[Path]:
    """Logic only: `90_rows.sql` files are data."""
    return sorted(file for file in ROOT.glob("sql/**/*.sql") if not file.name.endswith("_rows.sql"))


def without_comments(source: str) -> str:
    """Python without comments, docstrings and addresses: a name there decides nothing."""
    kept: list[str] = []
    previous = tokenize.NEWLINE
    for token in tokenize.generate_tokens(io.StringIO(source).readline):
        if token.type in (tokenize.COMMENT, tokenize.NL):
            continue
        is_docstring = token.type == tokenize.STRING and previous in (
            tokenize.NEWLINE,
            tokenize.INDENT,
            tokenize.DEDENT,
            tokenize.ENCODING,
        )
        if not is_docstring:
            kept.append("" if ADDRESS.match(token.string) else token.string)
        previous = token.type
    return "\n".join(kept)


def without_sql_comments(source: str) -> str:
    """SQL without comments, texts of `comment on`, and CHECKs that list a column's values: data."""
    text = re.sub(r"--[^\n]*|/\*.*?\*/", "", source, flags=re.DOTALL)
    text = re.sub(r"check \(\w+ in \([^()]*\)\)", "", text)
    return re.sub(r"comment on [^;]*? is\s+'(?:[^']|'')*'", "", text, flags=re.IGNORECASE)


@pytest.mark.parametrize("file", python_files(), ids=lambda file: str(file.relative_to(ROOT)))
def test_no_python_outside_knows_a_gateway(file: Path) -> None:
    source = without_comments(file.read_text(encoding="utf-8"))
    assert NAME.findall(source) == []
    assert SUPPLIER.findall(source) == []


@pytest.mark.parametrize("file", sql_files(), ids=lambda file: str(file.relative_to(ROOT)))
def test_no_sql_outside_data_knows_a_gateway(file: Path) -> None:
    source = without_sql_comments(file.read_text(encoding="utf-8"))
    assert NAME.findall(source) == []
    assert SUPPLIER.findall(source) == []


def test_the_search_finds_what_it_should() -> None:
    name = NAMES[0]
    assert NAME.findall(without_comments(f'if gateway == "{name}":\n    pass\n')) == [name]
    assert NAME.findall(without_comments(f"import edge_workers.providers.{name}\n")) == [name]
    assert NAME.findall(without_comments(f'"""About {name}."""\n# {name}\nx = 1\n')) == []
    assert NAME.findall(without_comments(f'url = "https://{name}.example/{name}/v1"\n')) == []
    assert NAME.findall(without_sql_comments(f"select '{name}' -- {name}")) == [name]
    assert NAME.findall(without_sql_comments(f"check (channel in ('{name}', 'x'))")) == []
    assert NAME.findall(without_sql_comments(f"case when channel in ('{name}')")) == [name]
    assert SUPPLIER.findall("if platform == 'aliexpress'") == ["aliexpress"]
    assert SUPPLIER.findall('images = "aliexpress-media.com"') == []
    assert NAME.findall(f"{name}_checkout {name}_pay_secret_key") == []
