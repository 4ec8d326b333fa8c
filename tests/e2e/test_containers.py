"""Containers as a user meets them, through the API of a real server with real sandboxes."""

from __future__ import annotations

import base64
import hashlib
import os
import time

from tests.servers import Api, RunningServer


def test_a_persistent_container_keeps_its_state_and_is_gone_afterwards(server: RunningServer, api: Api) -> None:
    created = api.create(environment={"GREETING": "hello"}, name="state", metadata={"team": "a"})
    assert created["status"] in ("QUEUED", "STARTING", "RUNNING")
    first = api.exec(
        created["id"],
        "python3",
        "app.py",
        files=[
            {"name": "app.py", "content": "import os\nopen('kept', 'w').write(os.environ['GREETING'])\nprint('done')"},
            {"name": "sub/bin", "content": base64.b64encode(bytes(range(256))).decode(), "encoding": "base64"},
        ],
        working_directory="/workspace",
    )
    assert (first["output"], first["exitCode"], first["filesUploaded"]) == ("done\n", 0, 2)
    second = api.exec(created["id"], "sh", "-c", "cat kept; wc -c < sub/bin", workingDirectory="/workspace")
    assert second["output"] == "hello256\n"
    container = api.container(created["id"])
    assert (container["status"], container["isolation"]) == ("RUNNING", "gvisor")
    assert container["data"]["id"] == created["id"]
    assert 0 < container["actualCostCredits"] < 1
    cancelled = api.delete(f"/containers/{created['id']}").json()
    assert (cancelled["status"], cancelled["id"]) == ("CANCELLED", created["id"])
    refused = api.post(f"/containers/{created['id']}/exec", json={"command": ["true"]})
    assert (refused.status_code, refused.json()["code"]) == (409, "conflict")
    assert created["id"] not in str(server.traces())


def test_a_one_shot_container_runs_its_command_and_ends(api: Api) -> None:
    good = api.create(
        persistent=False, command=["python", "-c", "import sys; print('hi'); print('no', file=sys.stderr)"]
    )
    container = api.ended(good["id"])
    assert (container["status"], container["reason"], container["exitCode"]) == ("COMPLETED", "exit", 0)
    logs = api.get(f"/containers/{good['id']}/logs").json()["logs"]
    assert sorted(logs.splitlines()) == ["hi", "no"]
    bad = api.create(persistent=False, command=["sh", "-c", "exit 7"])
    container = api.ended(bad["id"])
    assert (container["status"], container["reason"], container["exitCode"]) == ("FAILED", "exit", 7)


def test_why_it_ended_is_said(api: Api) -> None:
    missing = api.ended(api.create(persistent=False, command=["no-such-command"])["id"])
    assert (missing["status"], missing["exitCode"]) == ("FAILED", 127)
    assert "no-such-command" in missing["errorMessage"]
    assert "python:3.11-slim" in missing["errorMessage"]
    slow = api.ended(api.create(persistent=False, command=["sleep", "60"], timeoutSeconds=1)["id"])
    assert (slow["status"], slow["reason"]) == ("TIMEOUT", "timeout")
    greedy = "x = [bytearray(10_000_000) for _ in range(200)]"
    full = api.ended(api.create(persistent=False, command=["python", "-c", greedy], memoryMb=256)["id"])
    assert (full["status"], full["reason"]) == ("FAILED", "oom")
    assert "256 MiB" in full["errorMessage"]
    dear = api.create(persistent=False, command=["sleep", "60"], maxCostCredits=0.001)
    container = api.ended(dear["id"])
    assert (container["status"], container["reason"]) == ("TERMINATED", "budget")
    assert container["actualCostCredits"] <= 0.001
    unknown = api.ended(api.create(image="localhost/no-such-image:1")["id"])
    assert (unknown["status"], unknown["reason"]) == ("FAILED", "image")
    assert "no-such-image" in unknown["errorMessage"]


def test_a_timeout_kills_the_whole_tree_and_keeps_what_was_printed(api: Api) -> None:
    container = api.create()
    script = "echo before; (setsid sleep 300 &) ; sleep 300"
    result = api.exec(container["id"], "sh", "-c", script, timeout_seconds=1)
    assert (result["status"], result["exitCode"], result["output"]) == ("timeout", 124, "before\n")
    left = api.exec(container["id"], "sh", "-c", "cat /proc/[0-9]*/cmdline | tr '\\0' ' '")
    assert "sleep 300" not in left["output"]
    api.delete(f"/containers/{container['id']}")


def test_executions_are_recorded(api: Api) -> None:
    container = api.create()
    ran = api.exec(container["id"], "sh", "-c", "echo out; echo err >&2; exit 3")
    assert (ran["stdout"], ran["stderr"], ran["exitCode"]) == ("out\n", "err\n", 3)
    found = api.get(f"/containers/executions/{ran['executionId']}").json()
    assert (found["status"], found["exit_code"], found["container_id"]) == ("failed", 3, container["id"])
    assert api.get(f"/containers/{ran['executionId']}").json()["id"] == ran["executionId"]
    listed = api.get(f"/containers/{container['id']}/executions").json()
    assert ran["executionId"] in [execution["id"] for execution in listed["executions"]]
    api.delete(f"/containers/{container['id']}")


def test_the_guest_sees_its_own_limits(api: Api) -> None:
    container = api.create(cpuCores=1, memoryMb=384, storageGb=1)
    seen = api.exec(
        container["id"],
        "sh",
        "-c",
        "nproc; grep MemTotal /proc/meminfo; tail -n +3 /proc/net/dev | cut -d: -f1 | tr -d ' '; id -u",
    )
    processors, memory, interface, user = seen["output"].splitlines()
    assert (processors, memory.split()[1], interface, user) == ("1", str(384 * 1024), "lo", "0")
    filled = api.exec(container["id"], "sh", "-c", "head -c 1200000000 /dev/zero > /big; echo $?; ls -l /big; rm /big")
    assert "No space left on device" in filled["output"]
    assert api.exec(container["id"], "echo", "alive")["output"] == "alive\n"
    api.delete(f"/containers/{container['id']}")


def test_the_deadline_can_be_moved(api: Api) -> None:
    container = api.create(timeoutSeconds=2)
    api.exec(container["id"], "true")
    changed = api.patch(f"/containers/{container['id']}", json={"timeout_seconds": 600})
    assert changed.status_code == 200
    assert changed.json()["timeoutSeconds"] == 600
    time.sleep(3)
    assert api.container(container["id"])["status"] == "RUNNING"
    api.delete(f"/containers/{container['id']}")


def test_accounts_do_not_see_each_other(server: RunningServer, api: Api) -> None:
    container = api.create()
    with server.client(server.new_key("other", account="other")) as other:
        assert other.get(f"/containers/{container['id']}").status_code == 404
        assert other.delete(f"/containers/{container['id']}").status_code == 404
        assert other.post(f"/containers/{container['id']}/exec", json={"command": ["true"]}).status_code == 404
        assert other.get("/containers").json()["total"] == 0
    api.delete(f"/containers/{container['id']}")


def test_the_same_request_twice_is_done_once(api: Api) -> None:
    body = {"image": "docker.io/library/python:3.11-slim", "cpuCores": 1, "memoryMb": 256, "maxCostCredits": 1}
    body |= {"command": ["true"]}
    headers = {"Idempotency-Key": f"once-{time.time_ns()}"}
    first, second = (api.post("/containers", json=body, headers=headers) for _ in range(2))
    assert first.json()["id"] == second.json()["id"]
    other = api.post("/containers", json=body | {"memoryMb": 300}, headers=headers)
    assert (other.status_code, other.json()["code"]) == (409, "idempotency_conflict")
    api.ended(first.json()["id"])


def test_output_beyond_the_limit_is_cut_in_the_middle(api: Api) -> None:
    container = api.create()
    result = api.exec(container["id"], "sh", "-c", "echo first; head -c 100000000 /dev/zero; echo last")
    assert result["exitCode"] == 0
    assert result["truncated"] is True
    assert result["output"].startswith("first\n")
    assert result["output"].endswith("last\n")
    assert "bytes left out" in result["output"]
    assert len(result["output"]) < 11 << 20
    api.delete(f"/containers/{container['id']}")


def test_a_large_file_is_written_from_the_body(api: Api) -> None:
    container = api.create(storageGb=1)
    content = os.urandom(20_000_000)
    files = f"/containers/{container['id']}/files"
    assert api.put(files, params={"path": "/data/large"}, content=content).json()["size"] == len(content)
    sums = api.exec(container["id"], "sha256sum", "/data/large")["output"].split()
    assert sums[0] == hashlib.sha256(content).hexdigest()
    refused = api.put(files, params={"path": "/data"}, content=b"x")
    assert (refused.status_code, refused.json()["code"]) == (422, "file_rejected")
    api.delete(f"/containers/{container['id']}")
    assert api.put(files, params={"path": "/x"}, content=b"x").status_code == 409
