"""`python -m simulator OPTIONS`: the simulator as a child process; OPTIONS is a JSON document.

It prints its URL once it is ready, and ends when its standard input does.
"""

import sys

from simulator import serving
from simulator.options import Options


def _say(url: str) -> None:
    sys.stdout.write(url + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    serving.serve(Options.model_validate_json(sys.argv[1]), _say, until_input_ends=True)
