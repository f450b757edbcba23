# Copyright (c) 2026, the pgsftp authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A stand-in for AWX's interface: it keeps what the modules of awx.awx send, and gives it back.

It checks nothing that AWX would check. What it shows is that a playbook comes through to its end,
that all it refers to is there already, and that a second run changes nothing.
"""

from __future__ import annotations

import http.server
import json
import threading
import typing as t
import urllib.parse

Row = dict[str, t.Any]

_SEARCHED_TOGETHER = ("job_templates", "workflow_job_templates", "projects")
_LINKS = ("success_nodes", "failure_nodes", "always_nodes", "credentials", "labels")


class Controller:
    """Serves on a port of its own while used as a context manager."""

    def __init__(self) -> None:
        self.rows: dict[str, dict[int, Row]] = {
            "credential_types": {
                number: {"id": number, "name": name, "type": "credential_type"}
                for number, name in ((1, "Machine"), (3, "Vault"))
            }
        }
        self.changes: list[str] = []
        self._next = 10
        controller = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def log_message(self, *_words: object) -> None:
                pass

            def _do(self) -> None:
                length = int(self.headers.get("Content-Length") or 0)
                body = self.rfile.read(length)
                code, answer = controller.answer(
                    self.command, self.path, json.loads(body) if body else {}
                )
                data = b"" if answer is None else json.dumps(answer).encode()
                self.send_response(code)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(data)))
                self.end_headers()
                self.wfile.write(data)

            do_GET = do_POST = do_PATCH = do_DELETE = _do

        self._server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_port}"

    def __enter__(self) -> Controller:
        self._thread = threading.Thread(target=self._server.serve_forever, daemon=True)
        self._thread.start()
        return self

    def __exit__(self, *_error: object) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def named(self, endpoint: str) -> dict[str, Row]:
        """What was made of one kind, by name."""
        return {row["name"]: row for row in self.rows.get(endpoint, {}).values()}

    def answer(self, method: str, path: str, data: Row) -> tuple[int, object]:
        """Status and body."""
        url = urllib.parse.urlsplit(path)
        parts = [part for part in url.path.split("/") if part][2:]
        query = dict(urllib.parse.parse_qsl(url.query))
        if method != "GET":
            self.changes.append(f"{method} {url.path}")
        endpoint, number, sub = (*parts, "", "", "")[:3]
        if endpoint == "project_updates":
            return 200, {"id": 1, "status": "successful", "finished": "now", "elapsed": 1}
        if not number:
            return (
                (200, self._listed(endpoint, query))
                if method == "GET"
                else (
                    201,
                    self._made(endpoint, data),
                )
            )
        row = self.rows[endpoint][int(number)]
        if sub == "survey_spec":
            if method == "POST":
                row["_survey"] = data
            return 200, row.get("_survey", {})
        if sub == "create_approval_template":
            made = self._made("workflow_approval_templates", data)
            row["unified_job_template"] = made["id"]
            row["related"]["unified_job_template"] = made["url"]
            return 201, made
        if sub in _LINKS:
            linked = row.setdefault(f"_{sub}", [])
            if method == "POST":
                linked.append(data["id"])
                return 204, None
            return 200, _page([{"id": number} for number in linked])
        if method == "PATCH":
            row.update(data)
        return 200, row

    def _listed(self, endpoint: str, query: Row) -> Row:
        names = _SEARCHED_TOGETHER if endpoint == "unified_job_templates" else (endpoint,)
        rows = [row for name in names for row in self.rows.get(name, {}).values()]
        wanted = {key: value for key, value in query.items() if not key.startswith("or__")}
        return _page(
            [row for row in rows if all(str(row.get(k, "")) == v for k, v in wanted.items())]
        )

    def _made(self, endpoint: str, data: Row) -> Row:
        self._next += 1
        url = f"/api/v2/{endpoint}/{self._next}/"
        kind = endpoint.rstrip("s") if endpoint != "inventories" else "inventory"
        related = {"survey_spec": f"{url}survey_spec/"}
        related.update({name: f"{url}{name}/" for name in _LINKS})
        row = {"status": "successful", **data, "id": self._next, "type": kind, "url": url}
        row["related"] = related
        if endpoint == "projects":
            # It was fetched from git at once.
            job = {"id": 1, "status": "successful", "type": "project_update"}
            row["scm_revision"] = "0"
            row["summary_fields"] = {"last_update": job}
        self.rows.setdefault(endpoint, {})[self._next] = row
        return row


def _page(rows: list[Row]) -> Row:
    return {"count": len(rows), "next": None, "previous": None, "results": rows}
