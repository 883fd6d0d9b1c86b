"""A stand-in for the Hugging Face Hub on the loopback: repositories in memory, and faults on request."""

import base64
import hashlib
import json
import re
import threading
from collections import Counter
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import unquote, urlsplit

TOKEN = "hf_" + "StandInSecretOfNobody"


@dataclass
class File:
    content: bytes
    is_lfs: bool

    @property
    def sha256(self):
        return hashlib.sha256(self.content).hexdigest()

    @property
    def known_as(self):
        """By what a client tells whether it has to send a file again."""
        return self.sha256 if self.is_lfs else self.oid

    @property
    def oid(self):
        stored = self.content
        if self.is_lfs:
            stored = (
                f"version https://git-lfs.github.com/spec/v1\noid sha256:{self.sha256}\nsize {len(stored)}\n"
            ).encode()
        return hashlib.sha1(b"blob %d\0" % len(stored) + stored).hexdigest()


@dataclass
class Repository:
    is_private: bool
    branches: dict = field(default_factory=lambda: {"main": {}})
    commits: list = field(default_factory=lambda: ["0" * 40])

    def at(self, revision):
        """The files of a branch; a commit's are those of main, where all that is pulled lies."""
        return self.branches.get(revision, self.branches["main"])

    def commit(self, branch, files):
        self.branches[branch] = files
        self.commits.append(hashlib.sha1(f"{branch}{len(self.commits)}".encode()).hexdigest())
        return self.commits[-1]


@dataclass
class Fault:
    """What happens to the next requests whose path matches.

    `action`: a status code, alone or with a reason, "drop" (close after half of the body), or "lose"
    (do it, and close unanswered).
    """

    path: str
    action: object
    times: int = 1


class StandIn:
    """The Hub. `requests` counts method and path pattern; `lfs` holds what was uploaded, committed or not."""

    def __init__(self, url):
        self.url = url
        self.repositories = {}
        self.lfs = {}
        self.faults = []
        self.requests = Counter()
        self.seen_bytes = b""
        self.role = "write"
        self.created_as_public = False
        self.yaml_errors = []

    def files(self, repo, branch="main"):
        return {name: file.content for name, file in self.repositories[repo].branches[branch].items()}

    def take_fault(self, path):
        for fault in self.faults:
            if fault.times and re.search(fault.path, path):
                fault.times -= 1
                return fault.action
        return None


@contextmanager
def running():
    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    server.hub = StandIn(f"http://127.0.0.1:{server.server_address[1]}")
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    try:
        yield server.hub
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    @property
    def hub(self):
        return self.server.hub

    def log_message(self, *_):
        pass

    def do_GET(self):
        self._serve()

    do_HEAD = do_POST = do_PUT = do_GET  # noqa: N815

    def _serve(self):
        self.path_only = unquote(urlsplit(self.path).path)
        self.hub.requests[f"{self.command} {self.path_only}"] += 1
        self.action = self.hub.take_fault(f"{self.command} {self.path_only}")
        length = int(self.headers.get("Content-Length") or 0)
        if self.action == "drop":
            self.rfile.read(length // 2)
            return self._hang_up()
        self.body = self._read_chunks() if self.headers.get("Transfer-Encoding") else self.rfile.read(length)
        if isinstance(self.action, int):
            return self._answer({"error": f"the stand-in says {self.action}"}, self.action)
        if isinstance(self.action, tuple):
            return self._answer({"error": self.action[1]}, self.action[0])
        if self.path_only.startswith("/lfs/"):
            return self._put_lfs()
        if "/resolve/" in self.path_only:
            return self._resolve()
        if self.headers.get("Authorization") != f"Bearer {TOKEN}":
            return self._answer({"error": "Invalid credentials in Authorization header"}, 401)
        return self._api()

    def _read_chunks(self):
        body = b""
        while size := int(self.rfile.readline(), 16):
            body += self.rfile.read(size)
            self.rfile.readline()
        self.rfile.readline()
        return body

    def _api(self):
        path = self.path_only
        if path == "/api/whoami-v2":
            token = {"displayName": "t", "role": self.hub.role}
            return self._answer({"name": "me", "type": "user", "auth": {"accessToken": token}})
        if path == "/api/validate-yaml":
            errors = [{"message": message} for message in self.hub.yaml_errors]
            return self._answer({"errors": errors, "warnings": []}, 400 if errors else 200)
        if path == "/api/repos/create":
            return self._create(json.loads(self.body))
        if match := re.fullmatch(r"/(datasets/)?([^/]+/[^/]+)\.git/info/lfs/objects/batch", path):
            return self._batch(json.loads(self.body))
        match = re.fullmatch(r"/api/(?:models|datasets)/([^/]+/[^/]+)(?:/(\w+)/(.+))?", path)
        repository = self.hub.repositories.get(match[1]) if match else None
        if repository is None:
            return self._answer({"error": "Repository not found"}, 404, {"X-Error-Code": "RepoNotFound"})
        self.repository, what, rest = repository, match[2], match[3]
        calls = {None: self._info, "revision": self._info, "preupload": self._preupload, "tree": self._tree,
                 "commit": self._commit, "branch": self._branch}  # fmt: skip
        return calls[what](*([match[1]] if what in (None, "revision") else []), rest)

    def _create(self, wanted):
        owner = wanted.get("organization") or "me"
        name = f"{owner}/{wanted['name']}"
        if name in self.hub.repositories:
            return self._answer({"error": "You already created this repo", "url": ""}, 409)
        is_private = wanted.get("visibility", "private" if wanted.get("private") else "public") == "private"
        if self.hub.created_as_public:
            is_private = False
        self.hub.repositories[name] = Repository(is_private=is_private)
        return self._answer({"url": f"{self.hub.url}/{name}", "name": name, "id": name})

    def _info(self, name, revision):
        head = self.repository.commits[-1]
        files = self.repository.at(revision or "main")
        siblings = [{"rfilename": path, "size": len(file.content)} for path, file in files.items()]
        info = {"_id": "1", "id": name, "modelId": name, "sha": head, "private": self.repository.is_private}
        return self._answer({**info, "siblings": siblings, "tags": [], "downloads": 0, "likes": 0})

    def _branch(self, branch):
        if branch in self.repository.branches:
            return self._answer({"error": "Reference already exists"}, 409)
        self.repository.branches[branch] = dict(self.repository.branches["main"])
        return self._answer({})

    def _preupload(self, branch):
        there = self.repository.branches[branch]
        files = [
            {
                "path": each["path"],
                "uploadMode": "lfs"
                if each["path"].endswith((".safetensors", ".gguf", ".png"))
                else "regular",
                "shouldIgnore": False,
                "oid": there[each["path"]].known_as if each["path"] in there else None,
            }
            for each in json.loads(self.body)["files"]
        ]
        return self._answer({"files": files})

    def _batch(self, wanted):
        objects = []
        for each in wanted["objects"]:
            known = {"oid": each["oid"], "size": each["size"]}
            upload = {"href": f"{self.hub.url}/lfs/{each['oid']}", "header": {}}
            objects.append(known if each["oid"] in self.hub.lfs else {**known, "actions": {"upload": upload}})
        return self._answer({"transfer": "basic", "objects": objects})

    def _put_lfs(self):
        oid = self.path_only.removeprefix("/lfs/")
        if hashlib.sha256(self.body).hexdigest() != oid:
            return self._answer({"error": "other bytes than announced"}, 400)
        self.hub.lfs[oid] = self.body
        return self._answer({})

    def _commit(self, branch):
        lines = [json.loads(line) for line in self.body.splitlines()]
        header = lines[0]["value"]
        if header.get("parentCommit") not in (None, self.repository.commits[-1]):
            return self._answer({"error": "the head has moved"}, 412)
        files = dict(self.repository.branches[branch])
        for line in lines[1:]:
            value = line["value"]
            if line["key"] == "file":
                files[value["path"]] = File(base64.b64decode(value["content"]), is_lfs=False)
            elif line["key"] == "lfsFile":
                files[value["path"]] = File(self.hub.lfs[value["oid"]], is_lfs=True)
            elif line["key"] == "deletedFile":
                del files[value["path"]]
        oid = self.repository.commit(branch, files)
        if self.action == "lose":
            return self._hang_up()
        place = self.path_only.removeprefix("/api/").removeprefix("models/").partition("/commit/")[0]
        url = f"{self.hub.url}/{place}/commit/{oid}"
        return self._answer({"success": True, "commitOid": oid, "commitUrl": url})

    def _tree(self, branch):
        if "/" in branch and branch not in self.repository.branches:
            return self._answer({"error": "Entry not found"}, 404, {"X-Error-Code": "EntryNotFound"})
        entries = []
        for path, file in self.repository.at(branch).items():
            entry = {"type": "file", "path": path, "size": len(file.content), "oid": file.oid}
            if file.is_lfs:
                entry["lfs"] = {"oid": file.sha256, "size": len(file.content), "pointerSize": 130}
            entries.append(entry)
        return self._answer(entries)

    def _resolve(self):
        match = re.fullmatch(r"/(?:datasets/)?([^/]+/[^/]+)/resolve/([^/]+)/(.+)", self.path_only)
        repository = self.hub.repositories[match[1]]
        if repository.is_private and self.headers.get("Authorization") != f"Bearer {TOKEN}":
            return self._answer({"error": "Repository not found"}, 401, {"X-Error-Code": "RepoNotFound"})
        known = match[2] if match[2] in repository.commits else repository.commits[-1]
        head = {"X-Repo-Commit": known}
        file = repository.branches["main"].get(match[3])
        if file is None:
            return self._answer({"error": "Entry not found"}, 404, {"X-Error-Code": "EntryNotFound", **head})
        self.send_response(200)
        for name, value in {
            **head,
            "ETag": f'"{file.oid}"',
            "Content-Length": str(len(file.content)),
        }.items():
            self.send_header(name, value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(file.content)
        return None

    def _answer(self, content, status=200, headers=None):
        body = json.dumps(content).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        for name, value in (headers or {}).items():
            self.send_header(name, value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def _hang_up(self):
        self.close_connection = True
        self.connection.close()
