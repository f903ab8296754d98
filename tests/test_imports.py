"""Imports go down only, ``import neurograph`` is cheap, and every public name is there."""

import ast
import re
import subprocess
import sys
from functools import cache
from pathlib import Path

import pytest

import neurograph as ng

ROOT = Path(__file__).parent.parent
PACKAGE = ROOT / "neurograph"

# each room, and the rooms below it that it may import from (itself always)
GROUND = {"errors", "lines", "options", "functions", "layer_functions", "parameter",
          "initializers", "regularizers", "noise", "samples", "words"}  # fmt: skip
GRAPH = GROUND | {"graph", "kernels"}
MIDDLE = GRAPH | {"interpret", "layers", "compiler"}
TRAIN = MIDDLE | {"train", "storage"}
UPPER = TRAIN | {"check", "render", "interop", "inspect", "perceptron"}
ALLOWED = {
    **dict.fromkeys(GROUND, GROUND),
    "kernels": {"errors"},
    "graph": GROUND | {"kernels"},
    "interpret": GRAPH,
    "layers": GRAPH,
    "compiler": GRAPH,
    "perceptron": GRAPH,
    "storage": GRAPH | {"layers"},
    "train": TRAIN,
    "check": UPPER,
    "render": UPPER,
    "interop": UPPER,
    "inspect": UPPER,
    "datasets": UPPER,
    "zoo": UPPER,
    "bench": UPPER | {"datasets", "zoo"},
    "cli": UPPER | {"datasets", "zoo", "bench"},
}
VERBS = PACKAGE / "graph" / "verbs.py"  # whose methods import upper rooms when they are called
TOP = ("__init__.py", "__main__.py")


@cache
def imports_of(path):
    """Return (room, whether it runs at import, line) for the imports from neurograph."""
    found = []

    def visit(node, runs):
        for child in ast.iter_child_nodes(node):
            if isinstance(child, ast.expr):  # which holds no import
                continue
            if isinstance(child, ast.If) and "TYPE_CHECKING" in ast.unparse(child.test):
                continue
            modules = []
            if isinstance(child, ast.ImportFrom):
                assert child.level == 0, f"{path}: write the whole name of what is imported"
                modules = [child.module]
                if child.module == "neurograph":
                    modules = [f"neurograph.{each.name}" for each in child.names]
            elif isinstance(child, ast.Import):
                modules = [each.name for each in child.names]
            inside = [each for each in modules if each.startswith("neurograph.")]
            found.extend((each.split(".")[1], runs, child.lineno) for each in inside)
            function = isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef)
            visit(child, runs and not function)

    visit(ast.parse(path.read_text(encoding="utf-8")), True)
    return found


def room_of(path):
    return path.relative_to(PACKAGE).parts[0].removesuffix(".py")


def modules():
    return [each for each in sorted(PACKAGE.rglob("*.py")) if each.parent != PACKAGE or
            each.name not in TOP]  # fmt: skip


def test_imports_go_down_only():
    wrong = []
    for path in modules():
        room = room_of(path)
        for other, runs, line in imports_of(path):
            if path == VERBS and not runs:
                continue
            if other not in {room, *ALLOWED[room], "__version__"}:
                wrong.append(f"{path.relative_to(ROOT)}:{line}: {room} imports {other}")
    assert not wrong, "\n".join(wrong)


def test_the_three_in_the_middle_do_not_import_each_other():
    middle = {"interpret", "layers", "compiler"}
    for path in modules():
        room = room_of(path)
        if room in middle:
            others = {other for other, _, _ in imports_of(path)}
            assert not others & (middle - {room}), path


def test_a_wrong_import_would_be_found(tmp_path):
    (tmp_path / "bad.py").write_text("def f():\n    from neurograph.cli import main\n")
    assert imports_of(tmp_path / "bad.py") == [("cli", False, 2)]


def test_import_loads_nothing_heavy():
    script = (
        "import sys, time; start = time.perf_counter(); import neurograph; "
        "seconds = time.perf_counter() - start; "
        "heavy = {'networkx', 'graphviz', 'matplotlib', 'scipy', 'rich', 'pooch', 'PIL', "
        "'safetensors', 'torch'}; print(sorted(heavy & set(sys.modules)), seconds)"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True
    )
    loaded, _, seconds = done.stdout.strip().rpartition(" ")
    assert loaded == "[]"
    assert float(seconds) < 3  # 0.3 on a quiet machine; here only to catch the absurd


def test_building_a_network_loads_no_pictures():
    script = (
        "import sys, neurograph as ng; ng.Network([ng.Input((3,)), ng.Dense(2)]).compile(); "
        "print(sorted({'matplotlib', 'graphviz', 'PIL', 'rich', 'pooch'} & set(sys.modules)))"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "[]"


@pytest.mark.parametrize("name", ng.__all__)
def test_public_name_is_there(name):
    found = getattr(ng, name)
    assert name in dir(ng)
    if callable(found) and not isinstance(found, type(ng)):
        assert found.__doc__, f"{name} has no docstring"


def committed_files():
    done = subprocess.run(
        ["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, check=False
    )
    if done.returncode:
        pytest.skip("not in a git repository")
    return [ROOT / each for each in done.stdout.split("\0") if each]


def test_no_file_names_places_of_one_machine():
    pattern = re.compile("/(?:work|root|home|tmp|Users)/" + r"[\w.-]+")
    wrong = []
    for path in committed_files():
        if path.suffix in (".npz", ".gz", ".npy", ".png", ".safetensors") or not path.is_file():
            continue
        text = path.read_text(encoding="utf-8", errors="replace")
        wrong += [f"{path.relative_to(ROOT)}: {each}" for each in pattern.findall(text)]
    assert not wrong, "\n".join(wrong)


def test_links_in_the_documents_lead_somewhere():
    for document in [ROOT / "README.md", ROOT / "CHANGELOG.md", *(ROOT / "docs").glob("*.md")]:
        text = document.read_text(encoding="utf-8")
        text = re.sub(r"```.*?```|`[^`\n]*`|^ {4}[^\n]*$", "", text, flags=re.DOTALL | re.MULTILINE)
        for target in re.findall(r"\]\(([^)#:]+)\)", text):
            assert (document.parent / target).exists(), f"{document.name} links to {target}"


def test_the_index_lists_every_document():
    index = (ROOT / "docs" / "index.md").read_text(encoding="utf-8")
    for document in (ROOT / "docs").glob("*.md"):
        assert document.name == "index.md" or f"({document.name})" in index, document.name


def test_a_misspelt_name_gets_a_suggestion():
    with pytest.raises(AttributeError) as caught:
        ng.Densee  # noqa: B018
    assert (caught.value.name, caught.value.obj) == ("Densee", ng)  # what Python suggests from
    assert "Dense" in dir(ng)
