"""Every fixture of every product is imported to the same rows, counts and exit code as before."""

import pytest
from golden.imports import CASES, imported
from golden.world import differences, read


@pytest.mark.parametrize("name", CASES)
def test_an_import_writes_the_same_rows(name, tmp_path):
    if "--redact" in CASES[name]:
        pytest.importorskip("phonenumbers", reason="redaction needs the extra `redact`")
    found = imported(CASES[name], tmp_path)
    wanted = read(f"imports/{name.replace(' ', '_')}.json")
    wrong = differences(found, wanted, atol=0.0)
    assert not wrong, "\n".join(wrong[:10])
