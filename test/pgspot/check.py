"""Runs pgspot over an install script and holds its findings against a list.

usage: check.py ACCEPTED SCRIPT

The list has a finding a line, as pgspot prints it without the line's number, each below
a comment that gives the reason. A finding that is not listed fails, and so does an entry
that is found no more.

Three things of PostgreSQL are beyond pgspot, and are brought into its reach here:
- SQL-standard bodies (BEGIN ATOMIC, RETURN) are parsed when the function is created, so
  they are looked at as statements of the script itself.
- Its parser of PL/pgSQL knows no table, hence no field of a variable that is declared by
  a table's name; such a variable is read as a record.
- It takes an expression of PL/pgSQL for a statement in places that it does not know.
"""
import argparse
import re
import sys

from pgspot import state, visitors

class Findings(state.Counter):
    """Keeps pgspot's findings, each with the function that it is in."""

    def __init__(self):
        super().__init__(Arguments())
        self.script = state.State(self)
        self.function = ""
        self.lines = {}

    def print_issue(self, code, context):
        """Notes a finding."""
        where = f" in {self.function}" if self.function and self.function not in context else ""
        finding = f"{code}: {state.codes[code]['title']}: {' '.join(context.split())}{where}"
        self.lines.setdefault(finding, self.line_number())

    def unknown(self, message):
        """Refuses to be told that something was not understood."""
        raise ValueError(f"pgspot: {message}")


class Arguments(argparse.Namespace):
    """What pgspot's command line gives by default."""

    def __init__(self):
        super().__init__(append=False, proc_without_search_path=[], summary_only=False, plpgsql=True,
                         ignore=[], ignore_lang=[], sql_fn=[])


class ScriptVisitor(visitors.SQLVisitor):
    """pgspot's visitor, which also takes functions with an SQL-standard body."""

    def visit_RawStmt(self, ancestors, node):
        """Leaves the function before, where a statement of the script itself begins."""
        if self.state is self.state.counter.script:
            self.state.counter.function = ""

    def visit_CreateFunctionStmt(self, ancestors, node):
        """Looks at a function; the statements of an SQL-standard body are visited as what they are."""
        self.state.counter.function = visitors.format_name(node.funcname)
        if node.sql_body is None:
            super().visit_CreateFunctionStmt(ancestors, node)
        elif node.replace:
            self.state.warn("PS002", visitors.format_function(node))


def records_for_rows(source):
    """Returns PL/pgSQL with variables of tables' types declared as records."""
    # pgspot prints the names of arguments without their quotes.
    source = re.sub(r"(?<=[(, ])(values(?= text\[\])|precision(?= (?:float8|double precision)))", r'"\1"', source)
    return re.sub(r"(?m)^(\s+\w+ )(?:fraud\.\w+)(?=( :=[^;]*)?;)", r"\1record", source)


def visit_statement_or_expression(state, sql, toplevel=False, visit=visitors.visit_sql):
    """Visits SQL; what is no statement is taken for an expression."""
    try:
        visit(state, sql, toplevel)
    except visitors.ParseError:
        if toplevel:
            raise
        visit(state, "SELECT " + sql)


def findings(script):
    """Returns {finding: line} of a script."""
    visitors.SQLVisitor = ScriptVisitor
    visitors.visit_sql = visit_statement_or_expression
    parse = visitors.parse_plpgsql
    visitors.parse_plpgsql = lambda source: parse(records_for_rows(source))
    found = Findings()
    visitors.visit_sql(found.script, script, toplevel=True)
    return found.lines


def accepted(path):
    """Returns the entries of the list; one without a reason above it is an error."""
    entries, reason = [], False
    with open(path, encoding="utf-8") as file:
        for line in file:
            if line.startswith("#"):
                reason = True
            elif line.strip():
                if not reason:
                    raise ValueError(f"{path}: no reason is given for: {line.strip()}")
                entries.append(line.strip())
            else:
                reason = False
    return entries


def main():
    listed = accepted(sys.argv[1])
    with open(sys.argv[2], encoding="utf-8") as file:
        found = findings(file.read())
    new = [f"{finding} at line {line}" for finding, line in found.items() if finding not in listed]
    stale = [entry for entry in listed if entry not in found]
    for finding in new:
        print(f"not accepted: {finding}")
    for entry in stale:
        print(f"found no more, take it off {sys.argv[1]}: {entry}")
    print(f"{len(listed) - len(stale) + (not new)} passed, {len(new) + len(stale)} failed")
    return 1 if new or stale else 0


if __name__ == "__main__":
    sys.exit(main())
