"""The npm package soundpost-resume as it is published: its forms, its size, its types."""

from __future__ import annotations

import gzip
import json
import subprocess
import tarfile
from pathlib import Path
from typing import Final

import pytest

import soundpost
from support.newcomer import blocks_of

ROOT: Final = Path(__file__).parents[2]
PACKAGE: Final = ROOT / "js"
MODULES: Final = Path(__file__).parent / "node_modules"
MAX_BYTES: Final = 2_000
"""Size of the module, minified and zipped."""

BUNDLER: Final = ("--module", "esnext", "--moduleResolution", "bundler")
"""Options of TypeScript for code that a bundler takes, as Vite does."""

CHECK: Final = """
const frames = [];
const channel = {};
const pusher = {
  connection: { socket_id: '1.1' },
  send_event: (name, data) => frames.push(data),
  channel: () => channel,
  allChannels: () => [],
};
const given = resume(pusher, { positions: { news: 'g.1' } });
pusher.send_event('pusher:subscribe', { channel: 'news' });
console.log(JSON.stringify([frames, given.positions(), resume(pusher) === given]));
"""
"""A program that prints what a subscription is sent with."""
PRINTED: Final = [[{"channel": "news", "resume": "g.1"}], {"news": "g.1"}, True]

TYPED: Final = """
import Echo from 'laravel-echo';
import Pusher from 'pusher-js';
import { resume, type GapReason, type Resumption } from 'soundpost-resume';

const pusher = new Pusher('key', { cluster: '' });
const echo = new Echo({ broadcaster: 'reverb', key: 'key', Pusher });
export const resumption: Resumption = resume(pusher, {
  positions: { 'private-orders.7': 'g7Qx.1795887678285000', news: null },
  rewind: { news: 20 },
  persist: true,
  onResumed: (channel: string, count: number) => console.log(channel, count),
  onGap: (channel: string, reason: GapReason) => console.log(channel, reason),
});
const positions: Record<string, string> = resume(echo).positions();
console.log(positions);
"""
TYPED_FOR_NODE: Final = """
import { resume, type PusherLike, type Resumption } from 'soundpost-resume';

export const attach = (pusher: PusherLike): Resumption => resume(pusher, { positions: { news: 'g7Qx.1' } });
"""
SOUNDPOST: Final = """
declare const Soundpost: { options: { broadcaster: 'reverb'; key: string }; positions: Record<string, string> };
"""
WRONG: Final = """
import Pusher from 'pusher-js';
import { resume } from 'soundpost-resume';

resume(new Pusher('key', { cluster: '' }), { positions: ['g7Qx.1795887678285000'], ongap: () => {} });
"""


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the package as npm would install it, beside the clients."""
    folder = tmp_path_factory.mktemp("project")
    packed = subprocess.run(
        ["npm", "pack", str(PACKAGE), "--json", "--offline", "--loglevel=error"],
        cwd=folder,
        check=True,
        capture_output=True,
        text=True,
    )
    (tarball,) = json.loads(packed.stdout)
    modules = folder / "node_modules"
    modules.mkdir()
    for name in ("laravel-echo", "pusher-js", "@types", "@laravel", "react", "vue", "@vue"):
        (modules / name).symlink_to(MODULES / name)
    with tarfile.open(folder / tarball["filename"]) as archive:
        archive.extractall(folder, filter="data")
    (folder / "package").rename(modules / "soundpost-resume")
    return folder


def printed_by(folder: Path, file: str, program: str) -> object:
    (folder / file).write_text(program)
    run = subprocess.run(["node", file], cwd=folder, check=True, capture_output=True, text=True)
    assert run.stderr == ""
    return json.loads(run.stdout)


def type_errors(folder: Path, file: str, program: str, *options: str) -> str:
    (folder / file).write_text(program)
    command = ["node", str(MODULES / "typescript" / "bin" / "tsc"), "--noEmit", "--strict", "--skipLibCheck"]
    command += ["--types", "", "--lib", "es2022,dom", *options, file]
    return subprocess.run(command, cwd=folder, check=False, capture_output=True, text=True).stdout


def test_built_files_are_those_of_the_source() -> None:
    check = ["node", str(ROOT / "scripts" / "build_js.mjs"), "--check"]
    run = subprocess.run(check, check=False, capture_output=True, text=True)
    assert (run.returncode, run.stderr) == (0, "")


def test_the_module_is_small() -> None:
    minified = (PACKAGE / "built" / "soundpost-resume.min.js").read_bytes()
    assert len(gzip.compress(minified, 9)) <= MAX_BYTES


def test_the_module_has_the_version_of_the_python_package() -> None:
    assert json.loads((PACKAGE / "package.json").read_text())["version"] == soundpost.__version__


def test_the_package_has_no_dependency() -> None:
    assert not [name for name in json.loads((PACKAGE / "package.json").read_text()) if "ependencies" in name]


def test_the_package_is_an_es_module(project: Path) -> None:
    assert printed_by(project, "a.mjs", "import { resume } from 'soundpost-resume';" + CHECK) == PRINTED


def test_the_package_is_a_commonjs_module(project: Path) -> None:
    assert printed_by(project, "a.cjs", "const { resume } = require('soundpost-resume');" + CHECK) == PRINTED


def test_two_copies_of_the_module_are_one(project: Path) -> None:
    load = "import { resume } from 'soundpost-resume'; import copy from 'soundpost-resume/built/resume.cjs';"
    again = CHECK.replace("pusher.send_event('", "copy.resume(pusher); pusher.send_event('")
    assert printed_by(project, "a.mjs", load + again) == PRINTED


@pytest.mark.parametrize("file", ["soundpost-resume.js", "soundpost-resume.min.js"])
def test_the_package_is_a_script(project: Path, file: str) -> None:
    script = (project / "node_modules" / "soundpost-resume" / "built" / file).read_text()
    before = "globalThis.Soundpost = { options: 1 };"
    after = "const { resume, options } = Soundpost; if (options !== 1) throw new Error('lost');"
    assert printed_by(project, "a.cjs", before + script + after + CHECK) == PRINTED


@pytest.mark.parametrize(
    ("program", "is_kept"),
    [
        ("import 'soundpost-resume/built/soundpost-resume.min.js';", True),  # it sets `Soundpost.resume`
        ("import { resume } from 'soundpost-resume'; console.log(resume);", True),
        ("import { resume } from 'soundpost-resume';", False),
    ],
    ids=["the script", "the module", "unused"],
)
def test_bundlers_keep_what_is_used(project: Path, program: str, is_kept: bool) -> None:
    (project / "page.js").write_text(program)
    bundler = json.dumps((MODULES / "rolldown" / "dist" / "index.mjs").as_uri())
    bundle = f"""
        import {{ rolldown }} from {bundler};
        const {{ output }} = await (await rolldown({{ input: 'page.js' }})).generate({{ format: 'iife' }});
        console.log(JSON.stringify(output[0].code.includes('__soundpostResume')));
    """
    assert printed_by(project, "bundle.mjs", bundle) is is_kept


def test_the_types_fit_pusher_js_and_laravel_echo(project: Path) -> None:
    assert type_errors(project, "typed.ts", TYPED, *BUNDLER) == ""


@pytest.mark.parametrize("section", ["With a bundler", "With React", "With Vue"])
def test_the_examples_of_the_page_fit_the_types(project: Path, section: str) -> None:
    (code,) = [
        block.text for block in blocks_of(ROOT / "docs/resume-js.md", section) if block.language in ("js", "jsx")
    ]
    assert type_errors(project, "page.ts", SOUNDPOST + code + "export {};", *BUNDLER) == ""


@pytest.mark.parametrize("file", ["typed.mts", "typed.cts"])
def test_the_types_are_found_from_both_kinds_of_modules(project: Path, file: str) -> None:
    assert type_errors(project, file, TYPED_FOR_NODE, "--module", "nodenext") == ""


def test_the_types_refuse_what_is_wrong(project: Path) -> None:
    errors = type_errors(project, "wrong.ts", WRONG, *BUNDLER)
    assert "'string[]' is not assignable to type 'Record<string, string | null>'" in errors
