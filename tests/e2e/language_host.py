"""A language host for Python, so that the tests can type `pulumi up` with an engine that comes without one.

It finds Python, and the plugins that a program is said to need, as the Pulumi CLI's own host does: `virtualenv` counts
from the project's folder, and each installed package with a pulumi-plugin.json of a resource plugin needs that plugin.
`launcher` is the other half, which the engine starts for dynamic resources: there `virtualenv` counts from its folder,
which is the program's.

    language_host.py ENGINE       the host: prints its port and serves
    language_host.py --run JSON   one run of a program, in the Python of the project
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import runpy
import subprocess
import sys
import threading
import traceback
from concurrent import futures
from pathlib import Path
from typing import Any

import grpc
import pulumi
from pulumi.runtime.proto import language_pb2, language_pb2_grpc, plugin_pb2

DEADLINE_S = 600
NEEDED = """
import glob, json, os, sys
for path in (path for folder in sys.path for path in glob.glob(os.path.join(folder, "*", "pulumi-plugin.json"))):
    found = json.load(open(path))
    package = os.path.basename(os.path.dirname(path))
    if found.get("resource"):
        print(json.dumps([found.get("name") or package.removeprefix("pulumi_"), found.get("version", "")]))
"""
LAUNCHER = """#!/bin/sh
venv=${PULUMI_RUNTIME_VIRTUALENV:-}
[ -n "$venv" ] || exec python3 -u -m pulumi.dynamic "$@"
case $venv in /*) ;; *) venv=$PWD/$venv ;; esac
[ -f "$venv/bin/python" ] && exec "$venv/bin/python" -u -m pulumi.dynamic "$@"
echo "The 'virtualenv' option in Pulumi.yaml is set to $venv, which does not exist" >&2
exit 1
"""


def install(folder: Path) -> None:
    """Put the host and the launcher into `folder`, where an engine beside them, or with it on PATH, finds them."""
    host = f'#!/bin/sh\nexec "{sys.executable}" -P "{__file__}" "$@"\n'
    for name, text in (("pulumi-language-python", host), ("pulumi-resource-pulumi-python", LAUNCHER)):
        (folder / name).write_text(text)
        (folder / name).chmod(0o755)


def python_of(info: Any) -> str:
    """The Python of a project."""
    venv = dict(info.options).get("virtualenv")
    return os.path.join(info.root_directory, venv, "bin/python") if venv else "python3"


class Host(language_pb2_grpc.LanguageRuntimeServicer):
    """What the engine asks for."""

    def __init__(self, engine: str) -> None:
        self.engine = engine

    def GetPluginInfo(self, request: Any, context: Any) -> Any:
        return plugin_pb2.PluginInfo(version="1.0.0")

    def GetRequiredPackages(self, request: Any, context: Any) -> Any:
        done = subprocess.run([python_of(request.info), "-c", NEEDED], capture_output=True, text=True, check=True)
        found = [json.loads(line) for line in done.stdout.splitlines()]
        packages = [plugin_pb2.PackageDependency(name=n, version=f"v{v}", kind="resource") for n, v in found]
        return language_pb2.GetRequiredPackagesResponse(packages=packages)

    def Run(self, request: Any, context: Any) -> Any:
        settings = {
            "project": request.project, "stack": request.stack, "parallel": request.parallel, "dry_run": request.dryRun,
            "monitor": request.monitor_address, "engine": self.engine, "organization": request.organization,
            "root_directory": request.info.root_directory,
        }  # fmt: skip
        program = [request.info.program_directory, request.info.entry_point, dict(request.config)]
        command = [python_of(request.info), __file__, "--run", json.dumps([settings, *program])]
        try:
            code = subprocess.run(command, timeout=DEADLINE_S, check=False).returncode
        except OSError as error:
            return language_pb2.RunResponse(error=str(error))
        return language_pb2.RunResponse(
            error=f"program exited with code {code}" if code not in (0, 32) else "", bail=code == 32
        )


def serve(engine: str) -> None:
    """Serve until the engine ends us, by SIGINT."""
    server = grpc.server(futures.ThreadPoolExecutor(max_workers=4))
    language_pb2_grpc.add_LanguageRuntimeServicer_to_server(Host(engine), server)
    print(server.add_insecure_port("127.0.0.1:0"), flush=True)
    server.start()
    with contextlib.suppress(KeyboardInterrupt):
        threading.Event().wait()
    os._exit(0)


def run(settings: dict[str, Any], folder: str, entry: str, config: dict[str, str]) -> int:
    """Run a program as one run of the stack's; the exit code."""
    pulumi.runtime.set_all_config(config, [])
    pulumi.runtime.configure(pulumi.runtime.Settings(**settings))
    os.chdir(folder)
    sys.argv = [entry]
    sys.path[0] = folder
    loop = asyncio.new_event_loop()
    asyncio.set_event_loop(loop)
    try:
        loop.run_until_complete(
            pulumi.runtime.run_in_stack(lambda: runpy.run_path(entry, run_name="__main__") and None)
        )
    except pulumi.RunError as error:
        pulumi.log.error(str(error))
        return 1
    except Exception:  # noqa: BLE001  whatever it is, the user reads it
        pulumi.log.error(f"Program failed with an unhandled exception:\n{traceback.format_exc()}")
        return 32
    return 0


if __name__ == "__main__":
    words = sys.argv[1:]
    if words[0] == "--run":
        sys.exit(run(*json.loads(words[1])))
    serve(words[-1])
