"""Errors of this package inside of what torch raises around them."""

from contextlib import contextmanager

import pytest


@contextmanager
def raises_within(error, match):
    """The block raises an error of this type and text, perhaps inside of one of torch's own.

    Dynamo keeps the text, and the type in the chain of exceptions or in words.
    """
    with pytest.raises(Exception, match=match) as caught:
        yield
    chain, link = [], caught.value
    while link is not None and link not in chain:
        chain.append(link)
        link = link.__cause__ or link.__context__
    assert any(isinstance(link, error) for link in chain) or f"{error.__name__}(" in str(caught.value), chain
