"""Real Ansible inventories, read by the real `ansible-inventory`, and the resulting hosts."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from stormdesk.cli import ansible_cli, sources
from stormdesk.core.errors import RefusedError, StormdeskError, UsageError
from stormdesk.core.inventory import Inventory
from tests.support.invoking import environ, run_all

KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIAABAgMEBQYHCAkKCwwNDg8QERITFBUWFxgZGhscHR4f"
HERE = "stormdesk_environment=desk"
VAULT = str(Path(sys.executable).with_name("ansible-vault"))


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder to be in, with a key, a known_hosts file that has it for all of 192.0.2.0/24, and no other Ansible settings."""
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", tmp_path / "id"], check=True, timeout=20)
    (tmp_path / "known").write_text(f"192.0.2.* {KEY}\n[192.0.2.*]:* {KEY}\nweb*,db* {KEY}\n")
    (tmp_path / "ansible.cfg").write_text(
        f"[defaults]\nprivate_key_file={tmp_path}/id\n[ssh_connection]\n"
        f"ssh_common_args=-o UserKnownHostsFile={tmp_path}/known\n"
    )
    monkeypatch.chdir(tmp_path)
    for name in list(os.environ):
        if name.startswith("ANSIBLE_"):
            monkeypatch.delenv(name)
    return tmp_path


def put(path: Path, text: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    return path


def why(inventory: Inventory, name: str) -> str:
    """Why a host cannot be used, in one line."""
    with pytest.raises(StormdeskError) as caught:
        inventory.host(name)
    assert str(caught.value).isprintable()
    return str(caught.value)


def test_case_C50_a_file_that_ansible_inventory_printed(folder: Path) -> None:
    document = {
        "_meta": {
            "hostvars": {
                "web1": {"ansible_host": {"__ansible_unsafe": "192.0.2.7"}, "stormdesk_environment": "desk",
                         "stormdesk_paths": {"data": {"__ansible_unsafe": "/srv"}}, "ansible_ssh_private_key_file": f"{folder}/id",
                         "ansible_ssh_common_args": f"-o UserKnownHostsFile={folder}/known"},
                "web2": {"ansible_user": {"__ansible_vault": "$ANSIBLE_VAULT;1.1;AES256\n00"}},
            },
            "profile": "inventory_legacy",
        },
        "all": {"children": ["ungrouped", "web"]},
        "web": {"hosts": ["web1", "web2"]},
    }  # fmt: skip
    found = sources.read(f"ansible:{put(folder / 'hosts.json', json.dumps(document))}")
    host = found.host("web1")
    assert (host.address, host.role, host.paths) == ("192.0.2.7", "web", {"data": "/srv"})
    assert "ansible_user: encrypted" in why(found, "web2")


INI = f"[web]\nweb1 ansible_host=192.0.2.1\n[all:vars]\n{HERE}\n"
FORMS = {
    "ini": ("hosts.ini", INI),
    "no extension": ("hosts", INI),
    "comment after a group": ("hosts.ini", INI.replace("[web]", "[web] # front")),
    "yaml": ("hosts.yml", "all: {vars: {stormdesk_environment: desk}}\nweb: {hosts: {web1: {ansible_host: 192.0.2.1}}}\n"),
    "json": ("hosts.json", '{"web": {"hosts": {"web1": {"ansible_host": "192.0.2.1", "stormdesk_environment": "desk"}}}}'),
    "byte order mark": ("hosts.yml", "\ufeffweb: {hosts: {web1: {ansible_host: 192.0.2.1, stormdesk_environment: desk}}}\n"),
    "ranges": ("hosts.ini", INI.replace("web1", "web[1:1]")),
    "a nested group": ("hosts.ini", f"[outer:children]\nweb\n{INI}"),
    "a script": (
        "hosts.py",
        ('#!/bin/sh\necho warning >&2\necho \'{"web": {"hosts": ["web1"], "vars": {"stormdesk_environment": "desk",'
        '"ansible_host": "192.0.2.1"}}, "_meta": {"hostvars": {}}}\'\n'),
    ),
}  # fmt: skip


@pytest.mark.parametrize(("name", "text"), FORMS.values(), ids=FORMS)
def test_case_C51_each_form_of_an_inventory_says_the_same(folder: Path, name: str, text: str) -> None:
    file = put(folder / name, text)
    file.chmod(0o755 if text.startswith("#!") else 0o644)
    found = sources.read(f"ansible:{name}")
    host = found.host("web1")
    assert (found.environment, sorted(found.hosts)) == ("desk", ["web1"])
    assert (host.address, host.role, host.host_key, host.identity_file) == ("192.0.2.1", "web", KEY, f"{folder}/id")


def test_case_C51_a_port_in_the_name_and_a_range_of_letters(folder: Path) -> None:
    put(
        folder / "hosts",
        f"web1.example.com:2222 ansible_host=192.0.2.1\ndb-[a:c] ansible_host=192.0.2.2\n[all:vars]\n{HERE}\n",
    )
    (folder / "known").write_text(f"* {KEY}\n[192.0.2.1]:2222 {KEY}\n")
    found = sources.read("ansible:hosts")
    assert found.host("web1.example.com").port == 2222
    assert sorted(found.hosts) == ["db-a", "db-b", "db-c", "web1.example.com"]


def test_case_C51_variables_beside_the_inventory_count(folder: Path) -> None:
    put(folder / "inv/hosts", "[web]\nweb1\nweb2\n")
    put(folder / "inv/group_vars/all.yml", "stormdesk_environment: desk\nansible_user: ops\nansible_host: 192.0.2.3\n")
    put(folder / "inv/host_vars/web2/main.yml", 'ansible_user: "007"\nstormdesk_paths: {data: /srv}\n')
    put(folder / "inv/host_vars/web1.yml", "stormdesk_role: engine\nansible_port: 2200\n")
    found = sources.read("ansible:inv/hosts")
    assert (found.host("web1").user, found.host("web1").port, found.host("web1").role) == ("ops", 2200, "engine")
    assert found.hosts["web2"].paths == {"data": "/srv"}
    assert "user 007" in why(found, "web2")


def test_case_C51_the_priority_of_groups(folder: Path) -> None:
    groups = "[a]\nweb1\n[b]\nweb1\n[a:vars]\nansible_host=192.0.2.1\nansible_group_priority=10\n[b:vars]\nansible_host=192.0.2.2\n"
    put(folder / "hosts", f"{groups}[all:vars]\n{HERE}\n")
    assert sources.read("ansible:hosts").host("web1").address == "192.0.2.1"


@pytest.mark.parametrize("source", ["one,two", "two, one", "folder", "one,folder"])
def test_case_C51_several_sources_and_a_folder(folder: Path, source: str) -> None:
    for place in ("", "folder/"):
        put(folder / f"{place}one", f"[web]\nweb1 ansible_host=192.0.2.1\n[all:vars]\n{HERE}\n")
        put(folder / f"{place}two", "[db]\ndb1 ansible_host=192.0.2.2\n")
    put(folder / "folder/group_vars/db.yml", "ansible_user: postgres\n")
    found = sources.read(f"ansible:{source}")
    assert {name: host.role for name, host in found.hosts.items()} == {"db1": "db", "web1": "web"}
    assert found.host("db1").user == ("postgres" if "folder" in source else found.host("web1").user)


def test_case_C51_ansible_cfg_of_this_folder_counts(folder: Path) -> None:
    with (folder / "ansible.cfg").open("a") as file:
        file.write("ssh_extra_args=-o Port=2201\n[defaults]\n".replace("[defaults]\n", ""))
    text = (folder / "ansible.cfg").read_text().replace("[defaults]\n", "[defaults]\nremote_user=deploy\n")
    (folder / "ansible.cfg").write_text(text)
    put(
        folder / "hosts",
        f"web1 ansible_host=192.0.2.1\nweb2 ansible_host=192.0.2.2 ansible_user=own ansible_port=22\n[all:vars]\n{HERE}\n",
    )
    found = sources.read("ansible:hosts")
    assert (found.host("web1").user, found.host("web1").port) == ("deploy", 2201)
    assert (found.host("web2").user, found.host("web2").port) == ("own", 22)


def test_case_C51_only_what_is_asked_for_must_be_usable(folder: Path) -> None:
    put(
        folder / "hosts",
        "good ansible_host=192.0.2.1\nlocal ansible_connection=local\nnokey ansible_host=198.51.100.1\n"
        "template ansible_host='{{ ip }}'\nport ansible_port=99999\nrole ansible_host=192.0.2.1 stormdesk_role='a b'\n"
        "field ansible_host=192.0.2.1 stormdesk_services='{\"x\": 5}'\nargs ansible_ssh_extra_args='-o Nonsense=1'\n"
        f"[all:vars]\n{HERE}\n",
    )
    found = sources.read("ansible:hosts")
    assert found.host("good").address == "192.0.2.1"
    for name, says in {
        "local": "ansible_connection local", "nokey": "no host key of 198.51.100.1", "template": "a template",
        "port": "ort '99999'", "role": "role a b: must be", "field": "$.services", "args": "onsense",
    }.items():  # fmt: skip
        assert says in why(found, name), name
        assert name in why(found, name)
    whole = sources.resolved(found)
    assert sorted(whole.unusable) == ["args", "field", "local", "nokey", "port", "role", "template"]


def test_case_C51_tasks_continue_without_an_unusable_host_and_report_it(folder: Path) -> None:
    hosts = put(folder / "hosts", f"web1 ansible_host=192.0.2.1\nlocal ansible_connection=local\n[all:vars]\n{HERE}\n")
    where = ("--inventory", f"ansible:{hosts}")
    environment = {**environ(folder), "ANSIBLE_CONFIG": str(folder / "ansible.cfg")}
    export, fault, ssh, status = run_all(
        [
            ["env.export", *where, "--format", "json"],
            ["chaos.disk-full", "--host", "local", *where],
            ["env.exec", "--host", "local", "--command", "true", *where],
            ["env.status", *where, "--json"],
        ],
        environment,
    )
    line = f"{hosts}: host local: ansible_connection local: only hosts that are reached by ssh"
    assert (export.code, export.err, list(json.loads(export.out)["hosts"])) == (0, f"left out: {line}\n", ["web1"])
    assert (fault.code, fault.err) == (2, f"{line}\n")
    assert (ssh.code, ssh.err) == (2, f"{line}\n")
    rows = {row["name"]: row["state"] for row in json.loads(status.out)["hosts"]}
    assert rows == {"local": f"unusable: {line}", "web1": "unreachable"}


# ---- real: vault -----------------------------------------------------------------------------------------------------


def sealed(text: str, name: str, password: Path) -> str:
    """A `!vault` value, as ansible-vault writes it."""
    argv = [VAULT, "encrypt_string", "--vault-password-file", str(password), text, "--name", name]
    return subprocess.run(argv, capture_output=True, text=True, timeout=30, check=True).stdout


@pytest.fixture
def vaulted(folder: Path) -> Path:
    """Two hosts, of which one has an encrypted address, and both an encrypted password that nobody needs."""
    password = put(folder / "password", "sesame\n")
    put(folder / "hosts", "[web]\nweb1 ansible_host=192.0.2.1\n[db]\ndb1\n")
    put(
        folder / "group_vars/all.yml",
        f"stormdesk_environment: desk\n{sealed('hush', 'ansible_become_password', password)}",
    )
    put(folder / "group_vars/db.yml", sealed("192.0.2.9", "ansible_host", password))
    ansible_cli._reveal.cache_clear()
    return folder


def test_case_C51_without_a_password_only_who_needs_the_value_is_unusable(vaulted: Path) -> None:
    found = sources.read("ansible:hosts")
    assert found.host("web1").address == "192.0.2.1"
    assert "ansible_host: encrypted with Ansible Vault, and no password is here" in why(found, "db1")


@pytest.mark.parametrize("by", ["ANSIBLE_VAULT_PASSWORD_FILE", "ansible.cfg"])
def test_case_C51_with_a_password_it_is_decrypted(vaulted: Path, monkeypatch: pytest.MonkeyPatch, by: str) -> None:
    if by == "ansible.cfg":
        text = (vaulted / by).read_text().replace("[defaults]\n", "[defaults]\nvault_password_file=password\n")
        (vaulted / by).write_text(text)
    else:
        monkeypatch.setenv(by, str(vaulted / "password"))
    assert sources.read("ansible:hosts").host("db1").address == "192.0.2.9"


def test_case_C51_a_wrong_password_is_reported_in_one_line(vaulted: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ANSIBLE_VAULT_PASSWORD_FILE", str(put(vaulted / "wrong", "x\n")))
    found = sources.read("ansible:hosts")
    assert found.host("web1").address == "192.0.2.1"
    assert "ecryption failed" in why(found, "db1")


def test_case_C51_a_file_encrypted_as_a_whole(vaulted: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    put(vaulted / "group_vars/db.yml", "ansible_host: 192.0.2.8\n")
    argv = [VAULT, "encrypt", "--vault-password-file", "password", "group_vars/db.yml"]
    subprocess.run(argv, capture_output=True, timeout=30, check=True)
    with pytest.raises(UsageError, match=r"ansible-inventory says: .*no vault secrets found"):
        sources.read("ansible:hosts")
    monkeypatch.setenv("ANSIBLE_VAULT_PASSWORD_FILE", str(vaulted / "password"))
    assert sources.read("ansible:hosts").host("db1").address == "192.0.2.8"


# ---- real: what goes wrong -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "text", "says"),
    [
        ("hosts", "", "no host in it"),
        ("hosts", "[web:nonsense]\nx\n", "nonsense"),
        ("hosts", "web 'open\n", "hosts: ansible-inventory says: "),
        ("hosts.yml", "all: {hosts: 5}", "hosts.yml: ansible-inventory says: "),
        ("hosts.yml", "a: [\n", "hosts.yml: ansible-inventory says: "),
        ("hosts", "web\n", "stormdesk_environment"),
        ("hosts", f"web1 ansible_connection=docker {HERE}\n", "only hosts that are reached by ssh"),
        ("hosts.json", '{"_meta": {"hostvars": {}}}', "no host in it"),
        ("hosts.sh", "#!/bin/sh\necho no licence >&2\nexit 3\n", "script returned non-zero"),
    ],
)
def test_case_C51_a_mistake_in_an_inventory_is_reported_in_one_line(
    folder: Path, name: str, text: str, says: str
) -> None:
    put(folder / name, text).chmod(0o755 if text.startswith("#!") else 0o644)
    with pytest.raises(UsageError) as caught:
        sources.read(f"ansible:{name}")
    assert says in str(caught.value)
    assert str(caught.value).isprintable()
    assert len(str(caught.value)) < 800


def test_case_C51_one_of_several_files_that_cannot_be_read_is_named(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    put(folder / "inv/good", INI)
    put(folder / "inv/broken", "[web\n")
    assert sources.read("ansible:inv").host("web1").address == "192.0.2.1"
    assert "inv/broken" in capsys.readouterr().err


@pytest.mark.parametrize("source", ["nowhere", "nowhere,hosts", "hosts,nowhere"])
def test_case_C51_a_file_that_is_not_there_is_named(folder: Path, source: str) -> None:
    put(folder / "hosts", INI)
    with pytest.raises(UsageError, match="ansible:nowhere: No such file"):
        sources.read(f"ansible:{source}")


def program(folder: Path, name: str, body: str) -> None:
    put(folder / "bin" / name, f"#!/bin/sh\n{body}\n").chmod(0o755)


@pytest.mark.parametrize("said", ["", "null", "[]", "oops", '{"_meta": 5}', "\\377"])
def test_case_C51_invalid_output_of_ansible_is_one_line(
    folder: Path, monkeypatch: pytest.MonkeyPatch, said: str
) -> None:
    program(folder, "ansible-inventory", f"printf '{said}'")
    program(folder, "ansible-config", f"printf '{said}'")
    monkeypatch.setenv("PATH", f"{folder}/bin:{os.environ['PATH']}")
    put(folder / "hosts", INI)
    with pytest.raises(UsageError) as caught:
        sources.read("ansible:hosts")
    assert str(caught.value).isprintable()


def test_case_C51_warnings_of_ansible_are_not_errors_and_its_settings_change_nothing(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in {"FORCE_COLOR": "1", "INVENTORY_EXPORT": "1", "VERBOSITY": "3"}.items():
        monkeypatch.setenv(f"ANSIBLE_{name}", value)
    monkeypatch.setenv("LC_ALL", "C")
    put(folder / "hosts", f"[we-b]\nweb1 ansible_host=192.0.2.1\n[all:vars]\n{HERE}\n")
    assert sources.read("ansible:hosts").host("web1").address == "192.0.2.1"


def test_case_C51_an_ansible_that_hangs_is_ended(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    program(folder, "ansible-inventory", "exec sleep 60")
    monkeypatch.setenv("PATH", f"{folder}/bin:{os.environ['PATH']}")
    monkeypatch.setattr(ansible_cli, "LIST_S", 0.3)
    put(folder / "hosts", INI)
    with pytest.raises(RefusedError, match="no answer within"):
        sources.read("ansible:hosts")


def test_case_C51_without_ansible_one_line_says_what_to_type(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    put(folder / "hosts", INI)
    monkeypatch.setenv("PATH", str(folder))
    assert sources.read("ansible:hosts").host  # the one beside our own Python
    monkeypatch.setattr(sys, "executable", str(folder / "python"))
    with pytest.raises(RefusedError, match=r"pip install 'stormdesk\[ansible\]'"):
        sources.read("ansible:hosts")


def test_case_C51_ssh_is_asked_about_the_hosts_that_somebody_needs_and_once(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    program(folder, "ssh", f'echo x >>{folder}/calls; exec /usr/bin/ssh "$@"')
    monkeypatch.setenv("PATH", f"{folder}/bin:{os.environ['PATH']}")
    put(folder / "hosts", f"web[001:100] ansible_host=192.0.2.1\n[all:vars]\n{HERE}\n")
    found = sources.read("ansible:hosts")
    assert len(found.hosts) == 100
    assert not (folder / "calls").exists()
    for _ in range(3):
        assert found.host("web007").address == "192.0.2.1"
    assert (folder / "calls").read_text() == "x\n"
