"""Addresses of servers: one rule for endpoints and for vLLM."""

import pytest

from trueward.core.errors import UsageError
from trueward.exporting.vllm_server import server_address
from trueward.features.named_servers import allow_endpoint


@pytest.mark.parametrize("take", [server_address, allow_endpoint])
@pytest.mark.parametrize(
    "address", ["http://[HOST", "http://HOST:port", "HOST:8000", "file:///etc", "http://a:b@HOST"]
)
def test_what_is_no_plain_address_is_one_sentence(take, address):
    with pytest.raises(UsageError, match="http://HOST"):
        take(address)
