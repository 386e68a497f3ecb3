"""`docker-compose.yml` can be read, hangs together, and names only what is there."""

import ast
import importlib.util
import re
import shlex
import subprocess
import sys
from pathlib import Path

import click
import pytest
import yaml

import broker
from cli import children
from settings import Settings

ROOT = Path(__file__).parent.parent
TEXT = (ROOT / "docker-compose.yml").read_text()
COMPOSE = yaml.safe_load(TEXT)
SERVICES = COMPOSE["services"]

OURS = {name: service for name, service in SERVICES.items() if "build" in service}
COMMANDS = {name: shlex.split(service["command"]) for name, service in OURS.items()}
CELERY = {name: words for name, words in COMMANDS.items() if words[0] == "celery"}
WORKERS = {name: words for name, words in CELERY.items() if "worker" in words}

OF_THE_CLIENT = {"DARKROOM_API_URL", "DARKROOM_API_KEY", "DARKROOM_API_SECRET"}


def test_it_holds_what_darkroom_up_starts():
    assert set(SERVICES) == {
        "postgres",
        "redis",
        "migrate",
        "api",
        "worker-remote",
        "worker-local",
        "worker-control",
        "worker-deliver",
        "beat",
        "flower",
    }


# --- how the parts depend on each other -----------------------------------------------------------


@pytest.mark.parametrize("name", OURS)
def test_a_service_waits_for_services_that_can_become_ready(name):
    for awaited, how in SERVICES[name]["depends_on"].items():
        match how["condition"]:
            case "service_healthy":
                assert "healthcheck" in SERVICES[awaited]
            case "service_completed_successfully":
                assert SERVICES[awaited]["restart"] == "no", "what restarts for ever never completes"
            case other:
                pytest.fail(f"{name} waits for {awaited} to be {other}: started is not ready")


@pytest.mark.parametrize("name", sorted(OURS.keys() - {"migrate"}))
def test_nothing_of_ours_starts_before_the_schema_is_there(name):
    assert SERVICES[name]["depends_on"]["migrate"]["condition"] == "service_completed_successfully"


@pytest.mark.parametrize("name", sorted(SERVICES.keys() - {"migrate"}))
def test_what_dies_is_started_again(name):
    assert SERVICES[name]["restart"] == "unless-stopped"


def test_volumes_are_declared():
    mounted = {
        volume.split(":")[0]
        for service in SERVICES.values()
        for volume in service.get("volumes", [])
        if re.match(r"[a-z]", volume)
    }

    assert mounted == set(COMPOSE["volumes"])


# --- the servers ----------------------------------------------------------------------------------


def test_redis_survives_a_restart_and_drops_no_message():
    words = SERVICES["redis"]["command"]

    assert words[words.index("--appendonly") + 1] == "yes"
    assert words[words.index("--maxmemory-policy") + 1] == "noeviction"


def test_postgres_keeps_its_data_where_version_18_puts_it():
    """Mounted at /var/lib/postgresql/data, as up to 17, the data would go with the container."""
    assert SERVICES["postgres"]["image"].startswith("postgres:18")
    assert "postgres:/var/lib/postgresql" in SERVICES["postgres"]["volumes"]


# --- secrets and doors ----------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["POSTGRES_PASSWORD", "FLOWER_BASIC_AUTH"])
def test_no_secret_has_a_default(name):
    uses = re.findall(rf"\$\{{{name}([^}}]*)\}}", TEXT)

    assert uses
    assert all(use.startswith(":?") for use in uses)


def test_no_door_is_open_to_the_network():
    published = [port for service in SERVICES.values() for port in service.get("ports", [])]

    assert published
    assert all(port.startswith("127.0.0.1:") for port in published)


@pytest.mark.parametrize("name", OURS)
def test_a_container_of_ours_can_gain_no_privilege(name):
    assert SERVICES[name]["cap_drop"] == ["ALL"]
    assert "no-new-privileges:true" in SERVICES[name]["security_opt"]


def test_every_setting_reaches_some_container():
    given = {variable for service in OURS.values() for variable in service["environment"]}
    in_the_image = set(re.findall(r"^ +(DARKROOM_\w+)=", (ROOT / "Dockerfile").read_text(), re.MULTILINE))
    read = {str(field.validation_alias) for field in Settings.model_fields.values()}

    assert given | in_the_image >= read - OF_THE_CLIENT
    assert given <= read, "a variable nobody reads"


# --- commands -------------------------------------------------------------------------------------


def test_the_containers_run_what_darkroom_up_runs():
    everywhere = "0.0.0.0"  # noqa: S104 - inside a container
    started = {
        "api": children.api(everywhere, 8000, {}),
        "worker-remote": children.remote_worker("remote", 100, "", {}),
        "worker-control": children.control_worker("control", "", {}),
        "worker-deliver": children.deliver_worker("deliver", "", {}),
        "beat": children.beat({}),
        "flower": children.flower(everywhere, 5555, {}),
    }

    assert {name: COMMANDS[name] for name in started} == {
        name: list(child.argv[child.argv.index("-m") + 1 :]) for name, child in started.items()
    }


@pytest.mark.parametrize("name", CELERY)
def test_celery_finds_the_app(name):
    words = CELERY[name]

    assert words[1:3] == ["-A", "workers.app"]
    assert "app" in names_defined_in("workers.app")


@pytest.mark.parametrize("name", CELERY)
def test_celery_knows_the_command_and_its_options(name):
    from celery.bin.celery import celery

    command = celery.get_command(click.Context(celery), CELERY[name][3])
    known = {option for parameter in command.params for option in parameter.opts + parameter.secondary_opts}

    given = {word.split("=")[0] for word in CELERY[name][4:] if word.startswith("-")}
    assert given - known <= ({"--address", "--port"} if name == "flower" else set())


@pytest.mark.parametrize("name", WORKERS)
def test_a_worker_listens_to_queues_that_exist(name):
    words = WORKERS[name]

    assert set(words[words.index("-Q") + 1].split(",")) <= set(broker.QUEUES)


def test_every_queue_has_a_worker():
    listened = {queue for words in WORKERS.values() for queue in words[words.index("-Q") + 1].split(",")}

    assert listened == set(broker.QUEUES)


def test_scaled_workers_have_names_of_their_own():
    names = [words[words.index("-n") + 1] for words in WORKERS.values()]

    assert len(set(names)) == len(names)
    assert all(name.endswith("@%h") for name in names)


def test_uvicorn_finds_the_factory():
    words = COMMANDS["api"]
    module, _, factory = words[1].partition(":")

    assert words[0] == "uvicorn"
    assert "--factory" in words
    assert factory in names_defined_in(module)


def test_darkroom_knows_the_command_that_migrates():
    darkroom = Path(sys.executable).with_name("darkroom")

    asked = subprocess.run(
        [darkroom, *COMMANDS["migrate"][1:], "--help"], check=False, capture_output=True, text=True
    )

    assert asked.returncode == 0, asked.stderr


def names_defined_in(module: str) -> set[str]:
    """What a module defines at its top; read, not imported: an app must not be made in a test."""
    spec = importlib.util.find_spec(module)
    assert spec is not None, f"there is no {module}"
    nodes = ast.parse(Path(spec.origin).read_text()).body
    functions = {node.name for node in nodes if isinstance(node, ast.FunctionDef)}
    targets = [target for node in nodes if isinstance(node, ast.Assign) for target in node.targets]
    annotated = [node.target for node in nodes if isinstance(node, ast.AnnAssign)]
    return functions | {target.id for target in targets + annotated if isinstance(target, ast.Name)}
