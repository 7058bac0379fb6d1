#!/usr/bin/env python3
"""A sync client in one short program: one folder, one share, one round. Needs Python 3.11 and httpx.

Usage: SCAIDRIVE_URL=http://127.0.0.1:8000 TOKEN=... sync_client.py SHARE-ID FOLDER

Brings the folder up to the server, by a snapshot or by what the feed tells since the last round; then sends what changed
here through `apply`. What changed on both sides is sent with the version it was made of, and the server keeps both.
A client for large files and many would not hold them in memory, nor read them all in every round.
"""
import hashlib, json, os, socket, sys, time, uuid
from pathlib import Path
import httpx

BLOCK = 256 * 1024  # any cut up to the server's largest chunk will do; equal cuts find equal chunks

def sha256(data):
    return hashlib.sha256(data).hexdigest()

def checksum(path):
    return sha256(path.read_bytes()) if path.is_file() else None

def describe(path):
    """The content of a file as `apply` wants it."""
    data = path.read_bytes()
    blocks = [data[at:at + BLOCK] for at in range(0, len(data), BLOCK)]
    chunks = [{"sha256": sha256(block), "size": len(block)} for block in blocks]
    return {"size": len(data), "checksum_sha256": sha256(data), "chunks": chunks}

class Client:
    def __init__(self, url, token, share, folder):
        self.http = httpx.Client(base_url=f"{url}/api/v1", headers={"Authorization": f"Bearer {token}"}, timeout=120)
        self.share, self.root, self.sent = share, Path(folder), {}
        self.root.mkdir(parents=True, exist_ok=True)
        self.file, self.draft = Path(f"{folder}.sync.json"), Path(f"{folder}.draft")
        new = {"device": str(uuid.uuid4()), "cursor": None, "items": {}}
        self.state = json.loads(self.file.read_text()) if self.file.exists() else new
        self.items = self.state["items"]  # by id: type, parent_id, name; of files that are here: version_id, checksum
        self.call("POST", "/sync/devices", json={"device_id": self.state["device"], "device_name": socket.gethostname(),
                                                 "platform": sys.platform, "client_version": "example"})

    def call(self, method, path, expected=(), **kwargs):
        while (answer := self.http.request(method, path, **kwargs)).status_code in (429, 503):
            time.sleep(float(answer.headers.get("retry-after", 1)))
        if answer.is_error and answer.status_code not in expected:
            raise SystemExit(f"{method} {path}: {answer.text}")
        return answer

    def write(self, path, data):
        with self.draft.open("wb") as file:
            file.write(data)
            os.fsync(file.fileno())
        self.draft.replace(path)

    def path(self, item_id):
        """Paths are derived: when a folder moves, its row is the only one."""
        item = self.items.get(item_id)
        above = self.root if item_id is None else item and self.path(item["parent_id"])
        return above / item["name"] if item and above else above

    def upsert(self, kind, item_id, version, facts):
        before, item = self.path(item_id), self.items.setdefault(item_id, {"type": kind})
        item.update(parent_id=facts["parent_id"], name=facts["name"])
        if (after := self.path(item_id)) is None:
            return
        moves = before not in (None, after) and before.exists()
        if after.exists() and (moves or after.is_dir() != (kind == "folder")):
            after.rename(after.with_name(f"{after.name} ({uuid.uuid4()})"))  # in the way: sent as something new
        after.parent.mkdir(parents=True, exist_ok=True)
        if moves:
            before.rename(after)
        if kind == "folder":
            after.mkdir(exist_ok=True)
        elif version in self.sent:
            item.update(version_id=version, checksum=self.sent[version])
        elif item.get("version_id") != version:
            mine, theirs = checksum(after), facts["checksum_sha256"]
            if mine == theirs or (mine in (None, item.get("checksum")) and self.download(item_id, after, theirs)):
                item.update(version_id=version, checksum=theirs)

    def download(self, item_id, path, wanted):
        data = self.call("GET", f"/sync/download/{item_id}", expected=(404, 410)).content
        if is_right := sha256(data) == wanted:  # else it changed since, and a later row tells of that
            self.write(path, data)
        return is_right

    def remove(self, item_id):
        for child in [child for child, item in self.items.items() if item["parent_id"] == item_id]:
            self.remove(child)
        path, item = self.path(item_id), self.items.pop(item_id, None)
        if path and path.is_dir() and not any(path.iterdir()):
            path.rmdir()
        elif path and path.is_file() and checksum(path) == item.get("checksum"):
            path.unlink()  # what was changed here stays, and is sent as something new

    def snapshot(self):
        head, *lines = map(json.loads, self.call("GET", "/sync/snapshot", params={"share_id": self.share}).iter_lines())
        for gone in self.items.keys() - {line["resource_id"] for line in lines}:
            self.remove(gone)
        for line in sorted(lines, key=lambda line: line["path"].count("/")):
            self.upsert(line["resource_type"], line["resource_id"], line.get("version_id"), line)
        return head["cursor"]

    def pull(self):
        has_more = True
        while has_more or self.state["cursor"] is None:
            cursor = self.snapshot() if self.state["cursor"] is None else self.state["cursor"]
            asked = {"share_id": self.share, "cursor": cursor}
            page = self.call("GET", "/sync/changes", expected=(410,), params=asked).json()
            for change in page.get("changes", []):
                facts = change.get("metadata") or {}
                if change["change_type"] == "deleted":
                    self.remove(change["resource_id"])
                elif change["resource_type"] != "share":
                    self.upsert(change["resource_type"], change["resource_id"], change["version_id"], facts)
                if facts.get("access_changed") or facts.get("covers_subtree"):
                    page["cursor"] = None  # the one row for all that lies below: a snapshot lists it
            self.state["cursor"], has_more = page.get("cursor"), page.get("has_more")  # neither where it was too old
            self.write(self.file, json.dumps(self.state).encode())

    def push(self):
        known, changes = {self.path(item_id): (item_id, item) for item_id, item in self.items.items()}, []
        for path in sorted(path for path in self.root.rglob("*") if not path.is_symlink()):
            kind, content = ("folder", {}) if path.is_dir() else ("file", describe(path))
            item_id, item = known.pop(path) if path in known and known[path][1]["type"] == kind else (None, {})
            if not item or item.get("checksum") != content.get("checksum_sha256"):
                base, where = item.get("version_id"), f"/{path.relative_to(self.root).as_posix()}"
                changes.append({"change_type": "updated" if base else "created", "resource_type": kind, "new_path": where,
                                "resource_id": item_id, "base_version_id": base, **content})
        for path, (item_id, item) in sorted((path, known[path]) for path in known if path):
            if item["type"] == "folder" or item.get("version_id"):  # inserted in front: the deepest first
                changes.insert(0, {"change_type": "deleted", "resource_type": item["type"], "resource_id": item_id,
                                   "base_version_id": item.get("version_id")})
        self.upload(changes)
        changes = [{"client_change_id": str(uuid.uuid4()), **change} for change in changes]
        for start in range(0, len(changes), 1000):
            self.apply({change["client_change_id"]: change for change in changes[start:start + 1000]})
        return len(changes)

    def upload(self, changes):
        places = {chunk["sha256"]: (self.root / change["new_path"][1:], number * BLOCK)
                  for change in changes for number, chunk in enumerate(change.get("chunks", []))}
        for start in range(0, len(places), 128):  # as many as surely fit into one framed body
            asked, body = {"share_id": self.share, "hashes": list(places)[start:start + 128]}, bytearray()
            for missing in self.call("POST", "/sync/chunks/check", json=asked).json()["missing"]:
                path, offset = places[missing]
                block = path.read_bytes()[offset:offset + BLOCK]
                body += bytes.fromhex(missing) + len(block).to_bytes(4, "big") + block
            if body:
                self.call("POST", "/sync/chunks", params={"share_id": self.share}, content=bytes(body))

    def apply(self, changes):
        batch = {"device_id": self.state["device"], "share_id": self.share, "changes": list(changes.values())}
        answer = self.call("POST", "/sync/apply", json=batch).json()
        for done in answer["applied"]:
            asked = changes[done["client_change_id"]]
            self.sent[done["version_id"]] = asked.get("checksum_sha256")
            source, target = (self.root / path[1:] for path in (asked.get("new_path", done["path"]), done["path"]))
            if source != target and not target.exists():
                source.rename(target)  # a conflict copy; the snapshot brings what took its place
        for error in answer["errors"]:
            print("refused:", json.dumps(error), file=sys.stderr)
        if answer["conflicts"]:
            self.state["cursor"] = None

if __name__ == "__main__":
    client = Client(os.environ["SCAIDRIVE_URL"], os.environ["TOKEN"], *sys.argv[1:3])
    client.pull()
    print(client.push(), "changes sent")
    client.pull()
