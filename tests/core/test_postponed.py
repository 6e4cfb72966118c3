"""A postponed module is imported when one of its attributes is read."""

import subprocess
import sys


def test_a_postponed_module_is_loaded_when_it_is_used():
    code = (
        "import sys\n"
        "from trueward.core.postponed import postpone\n"
        "postpone('colorsys')\n"
        "import colorsys\n"
        "assert type(sys.modules['colorsys']).__name__ == 'PostponedModule'\n"
        "assert colorsys.rgb_to_hsv(0.0, 0.0, 1.0) == (2 / 3, 1.0, 1.0)\n"
        "assert type(sys.modules['colorsys']).__name__ == 'module'\n"
        "postpone('colorsys')\n"
        "assert type(sys.modules['colorsys']).__name__ == 'module'\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
