"""Which order a number means: client order ids by the sender's number and by the broker's."""


class OrderNumbers:
    """Numbers of orders, as they were sent and as the broker names them.

    Examples
    --------
    >>> numbers = OrderNumbers()
    >>> numbers.note("O-1", 1, 7, 900)
    >>> numbers.ref(1, 7), numbers.ref(2, 7), numbers.ref(0, 0, 900), numbers.of("O-1")
    ('O-1', '', 'O-1', (1, 7))
    """

    def __init__(self) -> None:
        self._numbers: dict[str, tuple[int, int]] = {}
        self._refs: dict[tuple[int, int], str] = {}
        self._perm_refs: dict[int, str] = {}

    def note(self, name: str, client_id: int, order_id: int, perm_id: int) -> None:
        """Note an order's numbers; 0 is none."""
        if order_id > 0:
            self._numbers[name] = (client_id, order_id)
            self._refs[client_id, order_id] = name
        if perm_id:
            self._perm_refs[perm_id] = name

    def of(self, name: str) -> tuple[int, int] | None:
        """Sender and the sender's number of an order."""
        return self._numbers.get(name)

    def ref(self, client_id: int, order_id: int, perm_id: int = 0) -> str:
        """Client order id of an order; empty where it is not known."""
        return self._perm_refs.get(perm_id) or self._refs.get((client_id, order_id), "")
