"""Errors of files and vendors, as users see them."""

_REASONS = {
    400: "the request is not valid",
    401: "the key is wrong or missing",
    402: "the account or its plan does not pay for this",
    403: "the key is not entitled to this data",
    404: "there is no such thing",
    422: "the request is not valid",
}


class SourceError(ValueError):
    """A file or a vendor that cannot give what was asked: one line naming the thing, the rule and the value."""


def refusal(service: str, status: int, said: str = "", what: str = "") -> SourceError:
    """Error of a request that a vendor refused for good.

    Parameters
    ----------
    service : str
    status : int
        HTTP status.
    said : str
        The vendor's own words, empty for none.
    what : str
        What was asked for, empty if the vendor's words name it.

    Examples
    --------
    >>> str(refusal("Massive", 403, "upgrade your plan", "/v2/aggs"))
    'Massive refused /v2/aggs with status 403: the key is not entitled to this data (upgrade your plan)'
    """
    reason = _REASONS.get(status, "it gave no known reason")
    words = " ".join(said.split())
    asked = f" {what}" if what else ""
    return SourceError(f"{service} refused{asked} with status {status}: {reason}{f' ({words})' if words else ''}")
