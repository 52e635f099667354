"""Learns a SentencePiece model from the lines of standard input, and writes it to standard output.

python learn_pieces.py OPTIONS, which are those of the trainer in JSON. What goes wrong is written to standard error.
"""

import io
import json
import sys

import sentencepiece

model = io.BytesIO()
lines = (line.rstrip("\n") for line in io.TextIOWrapper(sys.stdin.buffer, encoding="utf-8", newline="\n"))
try:
    options = json.loads(sys.argv[1])
    sentencepiece.SentencePieceTrainer.train(sentence_iterator=lines, model_writer=model, **options)
except RuntimeError as error:
    sys.exit(str(error))
sys.stdout.buffer.write(model.getvalue())
