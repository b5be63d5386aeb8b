"""The ledgers of real nodes: what an RSU sold is what the UAV got, and it is signed."""

from __future__ import annotations

import json
import signal
from pathlib import Path

import pytest

from test.ros.conftest import PATIENCE, RSU, UAV, Probe, Processes
from uav_twin_migration.cli.main import main
from uav_twin_migration.market.ledger import receipt_of
from uav_twin_migration.market.messages import Grant
from uav_twin_migration.nodes.ros import convert
from uav_twin_migration.nodes.ros.signatures import content

pytest.importorskip("nacl")


def test_a_receipt_has_all_that_was_signed() -> None:
    message = convert.grant_to_message(Grant("rsu_0", 2**40, 2.5, {"uav_0": 3.25, "uav_1": 0.0}, 1.5), 1234.5678)
    assert receipt_of(message, 0.0).content() == content(message)


def test_both_sides_keep_what_was_sold_and_agree(
    processes: Processes, probe: Probe, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    from uav_twin_migration.security.authority import make_signing_keys

    keys, ledgers = tmp_path / "keys", tmp_path / "ledgers"
    make_signing_keys(keys, ["rsu_0"])
    ledgers.mkdir()
    market = {"market_key": str(keys / "market.pub")}
    own = {"signing_key": str(keys / "rsu_0.signing"), "ledger": str(ledgers / "rsu_0.ledger")}
    rsu = processes.start("rsu", "/rsu/rsu_0", **RSU, **own, **market)
    uav = processes.start("uav", "/uav/uav_0", **UAV, ledger=str(ledgers / "uav_0.ledger"), **market)
    probe.fly()
    probe.wait_for_trade(rounds=10)
    for process in (uav, rsu):
        process.send_signal(signal.SIGINT)
        process.wait(timeout=PATIENCE)

    arguments = ["ledger", str(ledgers), "--market-key", market["market_key"], "--leeway", "1.5", "--json", "-"]
    assert main(arguments) == 0
    document = json.loads(capsys.readouterr().out)
    assert document["compared"] >= 7
    assert {one["rsu"] or one["uavs"][0] for one in document["ledgers"]} == {"rsu_0", "uav_0"}

    cheated = ledgers / "rsu_0.ledger"
    lines = cheated.read_text().splitlines()
    sold = [number for number, line in enumerate(lines) if "round" in line]
    receipt = json.loads(lines[sold[4]])
    receipt["mhz"] = [2.0 * share for share in receipt["mhz"]]
    lines[sold[4]] = json.dumps(receipt)
    cheated.write_text("\n".join(lines) + "\n")
    assert main(arguments) == 1
    document = json.loads(capsys.readouterr().out)
    assert [one["round"] for one in document["differences"]] == [receipt["round"]]
    assert [(one["round"], one["why"]) for one in document["forged"]] == [(receipt["round"], "forged")]
