"""A W&B server for tests: openwandb behind a small gateway.

openwandb stores runs in SQLite, but accepts any key, drops groups and exit codes, has no sweeps and no artifacts that
are only used, and gives no usable answer when the SDK asks how far a run is. The gateway adds these: it checks the key,
records what passes, and answers from the record. It can also be disconnected, refuse uploads, or have no sweeps either.
"""

import base64
import contextlib
import http.client
import http.server
import json
import os
import shutil
import signal
import socket
import sqlite3
import subprocess
import threading
from pathlib import Path

HOW_TO = (
    "no openwandb: `pip install openwandb==0.5.25` in an environment of its own, then set YOLOSWEEP_OPENWANDB to it"
)


def find():
    """Return the openwandb executable, or None."""
    named = os.environ.get("YOLOSWEEP_OPENWANDB")
    return named if named and Path(named).is_file() else shutil.which("openwandb")


def free_port():
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


class Server:
    """openwandb with its data in a folder, and the gateway in front of it."""

    def __init__(self, folder, key):
        self.folder, self.key = folder, key
        self.port, self._inner = free_port(), free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self.refuse_uploads = False
        self.too_many = 0
        """Uploads that are answered with 429 before the next one is taken."""
        self.requests, self.groups, self.exit_codes, self.history, self.digests = 0, {}, {}, {}, set()
        self.used = {}
        """Artifact: the run that used it last."""
        self.aliases, self.summaries = {}, {}
        """Aliases of each model; the last summary sent of each run, which replaces the one before, as at W&B."""
        self.has_sweeps, self.sweeps, self.joined = True, {}, {}
        """Sweeps by id, each as it was sent last and with all its states; and the sweep that a run joined."""
        self._gateway = None
        arguments = ["serve", "--host", "127.0.0.1", "--port", str(self._inner), "--data-dir", str(folder)]
        self._log = (folder / "server.log").open("wb")
        self._process = subprocess.Popen(
            [find(), *arguments], stdout=self._log, stderr=subprocess.STDOUT, start_new_session=True
        )

    def ready(self):
        """Return whether openwandb accepts connections."""
        if self._process.poll() is not None:
            raise RuntimeError((self.folder / "server.log").read_text())
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", self._inner), 1):
            return True
        return False

    def connect(self):
        """Start the gateway; until then, connections to ``url`` are refused."""
        self._gateway = _Gateway(("127.0.0.1", self.port), _Handler)
        self._gateway.server = self
        threading.Thread(target=self._gateway.serve_forever, args=(0.05,), daemon=True).start()

    def disconnect(self):
        """Stop the gateway."""
        if self._gateway:
            self._gateway.shutdown()
            self._gateway.server_close()
            self._gateway = None

    def stop(self):
        self.disconnect()
        os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()
        self._log.close()

    def rows(self, query, *values):
        """Read openwandb's database."""
        with contextlib.closing(sqlite3.connect(self.folder / "openwandb.db")) as database:
            database.row_factory = sqlite3.Row
            return [dict(row) for row in database.execute(query, values)]

    def forward(self, command, path, headers, body):
        if path.startswith("/graphql") and self.has_sweeps and (answer := self.answer_about_sweeps(json.loads(body))):
            return 200, "application/json", json.dumps({"data": answer}).encode()
        if path.startswith("/graphql") and (answer := self.answer_about_use(json.loads(body))):
            return 200, "application/json", json.dumps({"data": answer}).encode()
        body = _with_producer(path, body)
        passed = {k: v for k, v in headers.items() if k.lower() not in ("content-length", "accept-encoding")}
        inner = http.client.HTTPConnection("127.0.0.1", self._inner, timeout=60)
        try:
            inner.request(command, path, body, passed)
            answer = inner.getresponse()
            return answer.status, answer.getheader("Content-Type") or "", self.note(path, body, answer.read())
        finally:
            inner.close()

    def answer_about_use(self, request):
        """Return what W&B answers to a run that uses an artifact; None to any other request."""
        if "useArtifact(" not in request["query"]:
            return None
        used = request["variables"].get("input") or request["variables"]
        self.used[used["artifactID"]] = used["runName"]
        return {"useArtifact": {"artifact": {"id": used["artifactID"]}}}

    def answer_about_sweeps(self, request):
        """Return what W&B answers to a request about sweeps; None to any other."""
        query, variables = request["query"], request.get("variables") or {}
        if "upsertSweep(" in query:
            sweep = variables["id"] or f"U3dlZXA6{len(self.sweeps)}"
            kept = self.sweeps.setdefault(sweep, {"id": sweep, "name": f"sweep{len(self.sweeps)}", "states": []})
            kept |= {"config": variables["config"], "display_name": variables["displayName"]}
            kept["states"].append(variables["state"])
            project = {"name": variables["projectName"], "entity": {"name": "team"}}
            return {"upsertSweep": {"sweep": {"id": sweep, "name": kept["name"], "project": project}}}
        if "sweepName }" in query:
            joined = self.joined.get(variables["run"])
            return {"project": {"run": joined and {"sweepName": joined}}}
        if "sweep(sweepName:" in query:
            found = next((one for one in self.sweeps.values() if one["name"] == variables["sweep"]), None)
            shown = found and {"id": found["id"], "name": found["name"], "state": found["states"][-1]}
            return {"project": {"sweep": shown}}
        return None

    def note(self, path, body, answer):
        """Record what passes; complete the answer where the SDK asks how far a run is."""
        if path.endswith("/file_stream"):
            upload, run = json.loads(body), path.split("/")[-2]
            lines = upload.get("files", {}).get("wandb-history.jsonl", {}).get("content", [])
            self.history.setdefault(run, []).extend(lines)
            for summary in upload.get("files", {}).get("wandb-summary.json", {}).get("content", []):
                self.summaries[run] = json.loads(summary)
            if upload.get("complete"):
                self.exit_codes[run] = upload["exitcode"]
        elif path.startswith("/graphql"):
            query = json.loads(body)
            if query.get("operationName") == "UpsertBucket" and query["variables"]["groupName"]:
                run = query["variables"]
                self.groups[run["name"]] = (run["groupName"], run["jobType"], run["displayName"])
                self.joined |= {run["name"]: run["sweep"]} if run["sweep"] else {}
            if query.get("operationName") == "CreateArtifact":
                made = query["variables"]["input"]
                if made["artifactTypeName"] == "model":
                    self.digests.add(made["digest"])
                    aliases = {alias["alias"] for alias in made["aliases"]} - {"latest"}
                    self.aliases.setdefault(made["artifactCollectionName"], set()).update(aliases)
            if query.get("operationName") == "RunResumeStatus":
                status = json.loads(answer)
                bucket = ((status.get("data") or {}).get("model") or {}).get("bucket")
                if bucket:
                    lines = self.history.get(bucket["name"], [])
                    bucket |= {"historyLineCount": len(lines), "historyTail": json.dumps(lines[-1:])}
                    bucket |= {"summaryMetrics": json.dumps(self.summaries.get(bucket["name"], {}))}
                    bucket |= {"eventsTail": "[]", "wandbConfig": json.dumps({"t": {}})}
                return json.dumps(status).encode()
        return answer


def _with_producer(path, body):
    """Name a run in requests for an artifact that no run makes, only uses: openwandb makes none without."""
    if not path.startswith("/graphql") or b"CreateArtifact" not in body:
        return body
    request = json.loads(body)
    if request.get("operationName") == "CreateArtifact":
        asked = request["variables"]["input"]
        asked["runName"] = asked.get("runName") or "nobody"
    return json.dumps(request).encode()


class _Gateway(http.server.ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, request, client_address):
        """Ignore clients that disconnected."""


class _Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def _handle(self):
        server = self.server.server
        server.requests += 1
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        expected = "Basic " + base64.b64encode(f"api:{server.key}".encode()).decode()
        needs_key = not self.path.startswith(("/sdk/", "/artifacts/"))
        refused = needs_key and self.headers.get("Authorization") != expected
        if refused or (server.refuse_uploads and self.path.endswith("/file_stream")):
            status, kind, answer = 401, "application/json", b'{"error": "invalid key"}'
        elif server.too_many and self.path.endswith("/file_stream"):
            server.too_many -= 1
            status, kind, answer = 429, "application/json", b'{"error": "slow down"}'
        else:
            status, kind, answer = server.forward(self.command, self.path, self.headers, body)
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(answer)))
        self.end_headers()
        self.wfile.write(answer)

    do_GET = do_POST = do_PUT = _handle

    def log_message(self, *arguments):
        """Log nothing."""
