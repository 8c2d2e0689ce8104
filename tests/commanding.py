"""Commands of kistack in this process, as a user types them."""

from contextlib import contextmanager

from kistack.cli import main
from kistack.cli.output import out


@contextmanager
def commands(capsys):
    """A function that runs one and returns code, stdout and stderr; what options set is undone at the end."""

    def call(*arguments):
        capsys.readouterr()
        code = main.run([str(a) for a in arguments])
        captured = capsys.readouterr()
        return code, captured.out, captured.err

    yield call
    out.quiet = out.debug = out.strict = False
