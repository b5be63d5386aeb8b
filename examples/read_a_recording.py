"""Read a recording: what is in it, and the prices of every round, without ROS.

    ./uavtwin sim small --duration 20 --real-time-factor 5 --record recording
    python3 examples/read_a_recording.py recording

Needs what `pip install uav_twin_migration[recording]` brings.
"""

import sys
from collections import Counter
from pathlib import Path

from uav_twin_migration.recording.decoding import Decoder
from uav_twin_migration.recording.reader import Reader

OFFERS = "uav_twin_migration/msg/PriceOffer"

recording = Reader(Path(sys.argv[1]))
counts: Counter[str] = Counter()
decoders: dict[str, Decoder] = {}
prices: dict[str, list[float]] = {}
for message in recording:
    counts[message.topic.name] += 1
    if message.topic.kind == OFFERS:
        name = message.topic.name
        decode = decoders[name] = decoders.get(name) or Decoder(message.topic)
        offer = decode(message.data)
        prices.setdefault(offer.rsu_id, []).append(offer.price)

for topic, count in sorted(counts.items()):
    print(f"{count:8d}  {topic}")
for rsu, posted in sorted(prices.items()):
    print(f"{rsu}: {len(posted)} prices, from {min(posted):.3g} to {max(posted):.3g} credit/MHz, last {posted[-1]:.3g}")
for sentence in recording.damage:
    print(f"damaged: {sentence}")
