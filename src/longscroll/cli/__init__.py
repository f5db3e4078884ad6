"""The ``longscroll`` command: names, options and help of every subcommand; the work is in the modules beside.

Those modules are imported when their command runs, so that ``longscroll --help`` loads none of the service.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated, Literal

import typer

from longscroll import __version__
from longscroll.errors import LongscrollError

app = typer.Typer(no_args_is_help=True, add_completion=False, pretty_exceptions_enable=False, rich_markup_mode=None)
files_app = typer.Typer(no_args_is_help=True, help="Put, list, get and delete the files of a running service.")
keys_app = typer.Typer(no_args_is_help=True, help="Create, list, rotate and revoke API keys.")
models_app = typer.Typer(no_args_is_help=True, help="The models of a configuration.")
app.add_typer(files_app, name="files")
app.add_typer(keys_app, name="keys")
app.add_typer(models_app, name="models")

DataDir = Annotated[
    Path | None, typer.Option(help="Folder that everything is kept in [default: $XDG_DATA_HOME/longscroll].")
]
ConfigFile = Annotated[Path | None, typer.Option("--config", help="TOML file with options.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON lines.")]
BaseUrl = Annotated[
    str | None, typer.Option(help="Address of the service [default: http://HOST:PORT of the configuration].")
]
Port = Annotated[
    int | None, typer.Option(min=0, max=65535, help="Port to listen on; 0 picks a free one [default: 7300].")
]
UpstreamUrl = Annotated[str | None, typer.Option("--upstream", help="Base URL of an OpenAI-compatible model server.")]
UpstreamModel = Annotated[str | None, typer.Option(help="Name of the model on that server.")]


def main() -> None:
    """Run the command line; an error of ours is one line on standard error and exit status 1."""
    try:
        app()
    except LongscrollError as error:
        sys.stderr.write(f"longscroll: {error}\n")
        sys.exit(1)


def _version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"longscroll {__version__}")
        raise typer.Exit


@app.callback()
def _root(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version and exit.")
    ] = False,
) -> None:
    """Long documents and the models that read them, on your own machine."""


@app.command()
def serve(
    host: Annotated[str | None, typer.Option(help="Address to listen on [default: 127.0.0.1].")] = None,
    port: Port = None,
    data_dir: DataDir = None,
    config: ConfigFile = None,
    upstream: UpstreamUrl = None,
    upstream_model: UpstreamModel = None,
) -> None:
    """Run the service until it is told to stop."""
    from longscroll.cli.serve import run  # noqa: PLC0415 - see the module's first lines

    run(config, data_dir, {"host": host, "port": port}, upstream=upstream, upstream_model=upstream_model)


@app.command()
def worker(data_dir: DataDir = None, config: ConfigFile = None) -> None:
    """Parse files of a running service in a process of its own, until it is told to stop."""
    from longscroll.cli.worker import run  # noqa: PLC0415 - see the module's first lines

    run(config, data_dir)


@app.command()
def ask(
    question: Annotated[str, typer.Argument(help="What to ask.")],
    files: Annotated[list[str], typer.Argument(help="Documents to read; - is standard input.")],
    data_dir: DataDir = None,
    config: ConfigFile = None,
    upstream: UpstreamUrl = None,
    upstream_model: UpstreamModel = None,
    chat: Annotated[bool, typer.Option("--chat", help="Go on asking until an empty line.")] = False,
    as_json: AsJson = False,
) -> None:
    """Ask about documents, without a server: parse, read, answer with citations."""
    from longscroll.cli.ask import run  # noqa: PLC0415 - see the module's first lines

    configured = (config, data_dir, upstream, upstream_model)
    run(question, files, configured, go_on=chat, as_json=as_json)


@app.command()
def doctor(
    data_dir: DataDir = None,
    config: ConfigFile = None,
    verify: Annotated[bool, typer.Option("--verify", help="Read every stored file and check it.")] = False,
    repair: Annotated[bool, typer.Option("--repair", help="With --verify: parse again what can be mended so.")] = False,
    as_json: AsJson = False,
) -> None:
    """Check this installation and say what to do about what is wrong."""
    from longscroll.cli.doctor import run  # noqa: PLC0415 - see the module's first lines

    run(config, data_dir, verify=verify, repair=repair, as_json=as_json)


@app.command()
def record(
    upstream: Annotated[str, typer.Option(help="Address of the service to record, without a path.")],
    to: Annotated[Path, typer.Option(help="File that exchanges are appended to; only its owner may read it.")],
    port: Annotated[int, typer.Option(min=0, max=65535, help="Port to listen on; 0 picks a free one.")] = 0,
) -> None:
    """Pass requests on to another service and keep every exchange, without keys, until it is told to stop."""
    from longscroll.cli.record import record as run  # noqa: PLC0415 - see the module's first lines

    run(to, upstream=upstream, port=port)


@app.command()
def replay(
    file: Annotated[Path, typer.Argument(help="File of recorded exchanges.")],
    port: Annotated[int, typer.Option(min=0, max=65535, help="Port to listen on; 0 picks a free one.")] = 0,
    pace: Annotated[
        Literal["original", "none"], typer.Option(help="With the pauses that were recorded, or without.")
    ] = "original",
) -> None:
    """Reply with recorded exchanges, byte for byte, until it is told to stop."""
    from longscroll.cli.record import replay as run  # noqa: PLC0415 - see the module's first lines

    run(file, port=port, pace=pace)


@app.command()
def usage(
    by: Annotated[str, typer.Option(help="key, model, day or workspace.")] = "model",
    workspace: Annotated[str | None, typer.Option(help="Of one workspace [default: of all].")] = None,
    since: Annotated[str | None, typer.Option(help="7d, 12h or 90m ago, a date of UTC, or a time.")] = None,
    until: Annotated[str | None, typer.Option(help="The same; requests that ended then or later are left out.")] = None,
    data_dir: DataDir = None,
    config: ConfigFile = None,
    as_json: AsJson = False,
) -> None:
    """Print how many tokens were used, by key, model, day or workspace."""
    from longscroll.cli.usage import print_usage  # noqa: PLC0415 - see the module's first lines
    from longscroll.services.usage import Period  # noqa: PLC0415 - see the module's first lines

    period = Period(since=since, until=until)
    print_usage(config, data_dir, by, workspace=workspace, period=period, as_json=as_json)


@files_app.command("put")
def files_put(
    files: Annotated[list[Path], typer.Argument(help="Files to upload.")],
    data_dir: DataDir = None,
    config: ConfigFile = None,
    base_url: BaseUrl = None,
    no_wait: Annotated[bool, typer.Option("--no-wait", help="Do not wait until they are parsed.")] = False,
    as_json: AsJson = False,
) -> None:
    """Upload files and wait until they are parsed; prints their ids."""
    from longscroll.cli.files import put  # noqa: PLC0415 - see the module's first lines

    put(files, (config, data_dir, base_url), wait=not no_wait, as_json=as_json)


@files_app.command("list")
def files_list(
    data_dir: DataDir = None, config: ConfigFile = None, base_url: BaseUrl = None, as_json: AsJson = False
) -> None:
    """List the files of the workspace, newest first."""
    from longscroll.cli.files import list_files  # noqa: PLC0415 - see the module's first lines

    list_files((config, data_dir, base_url), as_json=as_json)


@files_app.command("get")
def files_get(
    file_id: Annotated[str, typer.Argument(help="Id of the file.")],
    data_dir: DataDir = None,
    config: ConfigFile = None,
    base_url: BaseUrl = None,
    text: Annotated[bool, typer.Option("--text", help="Print the text of the document instead.")] = False,
    as_json: AsJson = False,
) -> None:
    """Print one file's state, or its text."""
    from longscroll.cli.files import get  # noqa: PLC0415 - see the module's first lines

    get(file_id, (config, data_dir, base_url), text=text, as_json=as_json)


@files_app.command("delete")
def files_delete(
    file_ids: Annotated[list[str], typer.Argument(help="Ids of the files.")],
    data_dir: DataDir = None,
    config: ConfigFile = None,
    base_url: BaseUrl = None,
) -> None:
    """Delete files: their bytes and everything that was made of them."""
    from longscroll.cli.files import delete  # noqa: PLC0415 - see the module's first lines

    delete(file_ids, (config, data_dir, base_url))


@keys_app.command("create")
def keys_create(
    workspace: Annotated[str, typer.Option(help="Workspace that the key opens.")] = "default",
    name: Annotated[str, typer.Option(help="What the key is for.")] = "",
    scope: Annotated[
        list[str] | None, typer.Option(help="chat, files:read, files:write, admin [default: all but admin].")
    ] = None,
    model: Annotated[list[str] | None, typer.Option(help="Model that the key may use [default: every model].")] = None,
    expires: Annotated[str | None, typer.Option(help="Life of the key, as 30d, 12h or 90m.")] = None,
    data_dir: DataDir = None,
    config: ConfigFile = None,
) -> None:
    """Create a key and print it, alone, on standard output; it is not shown again."""
    from longscroll.cli.keys import create  # noqa: PLC0415 - see the module's first lines

    wanted = {"workspace": workspace, "name": name, "scopes": scope, "models": model, "expires": expires}
    create(config, data_dir, wanted)


@keys_app.command("list")
def keys_list(data_dir: DataDir = None, config: ConfigFile = None, as_json: AsJson = False) -> None:
    """List the keys of all workspaces; never the keys themselves."""
    from longscroll.cli.keys import list_keys  # noqa: PLC0415 - see the module's first lines

    list_keys(config, data_dir, as_json=as_json)


@keys_app.command("rotate")
def keys_rotate(
    key_id: Annotated[str, typer.Argument(help="Id of the key, as `keys list` shows it.")],
    overlap: Annotated[
        str, typer.Option(help="How long the old key goes on working, as 24h, 90m or 0 [default: 24h].")
    ] = "24h",
    data_dir: DataDir = None,
    config: ConfigFile = None,
) -> None:
    """Create the successor of a key and print it, alone, on standard output; the old one ends after the overlap."""
    from longscroll.cli.keys import rotate  # noqa: PLC0415 - see the module's first lines

    rotate(key_id, overlap, config, data_dir)


@keys_app.command("revoke")
def keys_revoke(
    key_id: Annotated[str, typer.Argument(help="Id of the key, as `keys list` shows it.")],
    data_dir: DataDir = None,
    config: ConfigFile = None,
) -> None:
    """Revoke a key; a running service refuses it within five seconds."""
    from longscroll.cli.keys import revoke  # noqa: PLC0415 - see the module's first lines

    revoke(key_id, config, data_dir)


@models_app.command("list")
def models_list(data_dir: DataDir = None, config: ConfigFile = None, as_json: AsJson = False) -> None:
    """List the model names of this configuration and who answers to them."""
    from longscroll.cli.models import list_models  # noqa: PLC0415 - see the module's first lines

    list_models(config, data_dir, as_json=as_json)


@models_app.command("pull")
def models_pull(name: Annotated[str, typer.Argument(help="Name of the model.")]) -> None:
    """Say how a model without weights can be served; this version cannot install any."""
    from longscroll.cli.models import pull  # noqa: PLC0415 - see the module's first lines

    pull(name)
