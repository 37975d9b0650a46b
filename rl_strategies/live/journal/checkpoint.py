"""The whole state of a session in one file, replaced in one step after every decision and every fill."""

import io
import os
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from catalogs.cache import told_if_unwritable, written_aside
from catalogs.errors import InputError
from rl_strategies.decision.core import DecisionCore
from rl_strategies.live.journal.rebuild import SEQ, session_state
from rl_strategies.policy.policies import OnnxPolicy


class Checkpoint:
    """File with the state of a session.

    Parameters
    ----------
    path : Path
    """

    def __init__(self, path: Path) -> None:
        self.path = path

    def write(self, core: DecisionCore, policy: OnnxPolicy, seq: int) -> None:
        """Write the state after ``seq`` rows of the journal.

        Raises
        ------
        InputError
            If the disk is full or the folder may not be written.
        """
        content = io.BytesIO()
        arrays: dict[str, Any] = {**session_state(core, policy), SEQ: np.array(seq)}
        np.savez(content, **arrays)
        with told_if_unwritable(self.path.parent), written_aside(self.path) as aside, aside.open("wb") as file:
            file.write(content.getbuffer())
            file.flush()
            os.fsync(file.fileno())

    def read(self) -> dict[str, NDArray[Any]] | None:
        """Named arrays that were written last, with ``journal_seq``; None if there is no file.

        Raises
        ------
        InputError
            If the file cannot be read.
        """
        try:
            with self.path.open("rb") as file, np.load(file, allow_pickle=False) as archive:
                kept = dict(archive)
        except FileNotFoundError:
            return None
        except (OSError, ValueError, EOFError, zipfile.BadZipFile) as error:
            raise InputError(f"checkpoint {self.path} cannot be read: {error}") from error
        if SEQ not in kept:
            raise InputError(f"checkpoint {self.path} must hold {SEQ}, holds {', '.join(sorted(kept))[:60]}")
        return kept
