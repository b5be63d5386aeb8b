"""Ledgers: what one side says and the other does not is named, and what is told alike is left in peace."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from uav_twin_migration.cli.main import main
from uav_twin_migration.market import ledger
from uav_twin_migration.market.ledger import Ledger, Receipt
from uav_twin_migration.market.ledger_file import MOST_GATHERED, LedgerFile, read_file
from uav_twin_migration.market.reconciliation import LEEWAY, reconcile

ROUNDS = 40  # one a second


class Seller:
    """An RSU that signs what it sells."""

    def __init__(self, keys: Path, rsu: str) -> None:
        pytest.importorskip("nacl")
        from uav_twin_migration.security.authority import make_signing_keys
        from uav_twin_migration.security.message_signature import MessageSigner

        make_signing_keys(keys, [rsu])
        self._signer, self.rsu = MessageSigner(keys / f"{rsu}.signing"), rsu

    def receipt(self, round_: int, **shares: float) -> Receipt:
        bare = sale(round_, self.rsu, **shares)
        return bare._replace(signature=self._signer.signature(bare.content()))


def sale(round_: int, rsu: str = "rsu_1", **shares: float) -> Receipt:
    at = float(round_)
    return Receipt(at, rsu, round_, 2.5, shares or {"uav_1": 3.0, "uav_2": 1.0}, (2, 0), (round_, 0))


def books(sales: list[Receipt]) -> tuple[Ledger, Ledger]:
    """The RSU's and the first UAV's, both honest."""
    spans = [(sales[0].at, sales[-1].at)]
    got = [one._replace(counts_for=("uav_1",)) for one in sales]
    return Ledger("rsu", "rsu_1", (), list(sales), spans), Ledger("uav", "", ("uav_1",), got, list(spans))


@pytest.fixture
def honest() -> tuple[Ledger, Ledger]:
    return books([sale(round_) for round_ in range(ROUNDS)])


def test_honest_ledgers_agree_and_add_up(honest: tuple[Ledger, Ledger]) -> None:
    outcome = reconcile(honest)
    assert not outcome.differences
    assert outcome.compared == ROUNDS
    own, others, got = outcome.accounts
    assert (own.rsu, own.uav, own.rounds, own.bandwidth, own.paid) == ("rsu_1", "uav_1", ROUNDS, 3.0, ROUNDS * 7.5)
    assert (others.uav, others.paid) == ("uav_2", ROUNDS * 2.5)
    assert got[3:6] == own[3:6]


def more(receipt: Receipt) -> Receipt:
    return receipt._replace(shares=receipt.shares | {"uav_1": 4.0})


def dearer(receipt: Receipt) -> Receipt:
    return receipt._replace(price=3.0)


@given(st.sampled_from(["rsu", "uav"]), st.integers(6, ROUNDS - 7), st.sampled_from([more, dearer, None]))
def test_whatever_one_changes_or_leaves_out_is_named(
    who: str, round_: int, how: Callable[[Receipt], Receipt] | None
) -> None:
    rsu, uav = books([sale(round_) for round_ in range(ROUNDS)])
    liar = rsu if who == "rsu" else uav
    liar.receipts[round_ : round_ + 1] = [how(liar.receipts[round_])] if how else []
    (difference,) = reconcile((rsu, uav)).differences
    assert (difference.rsu, difference.uav, difference.round) == ("rsu_1", "uav_1", round_)
    if how is None:
        assert difference.lacks == who
    assert reconcile((uav, rsu)).differences == [difference]


def test_what_a_ledger_cannot_know_is_no_difference(honest: tuple[Ledger, Ledger]) -> None:
    rsu, uav = honest
    del uav.receipts[15:25]
    uav.spans = [(0.0, 15.0), (24.0, float(ROUNDS))]  # it was restarted
    assert not reconcile(honest).differences
    uav.spans = [(0.0, float(ROUNDS))]  # it was not
    assert len(reconcile(honest).differences) == 10
    del uav.receipts[:]
    uav.spans = [(0.0, 4.0)]
    rsu.receipts += [sale(1000 + number) for number in range(3)]  # the UAV has ended long before
    assert not reconcile(honest).differences


def test_sales_to_others_and_of_others_are_not_compared(honest: tuple[Ledger, Ledger]) -> None:
    _, uav = honest
    uav.receipts += [sale(20, "rsu_2")._replace(counts_for=("uav_1",))]
    assert not reconcile(honest).differences


# -- signed ------------------------------------------------------------------------------------------------------------


def refusing(keys: Path) -> Callable[[Receipt], str]:
    from uav_twin_migration.security.message_signature import MessageVerifier

    verifier = MessageVerifier.from_file(keys / "market.pub")

    def refusal(receipt: Receipt) -> str:
        reason = verifier.refusal(receipt.rsu, receipt.content(), receipt.signature, 0.0)
        return reason.value if reason else ""

    return refusal


def test_a_cheating_rsu_is_convicted_by_what_it_has_signed(tmp_path: Path) -> None:
    """It sold 3 MHz, and says it had sold 4: as it is, or signed anew."""
    seller = Seller(tmp_path, "rsu_1")
    sales = [seller.receipt(round_, uav_1=3.0) for round_ in range(ROUNDS)]
    rsu, uav = books(sales)
    rsu.receipts[20] = more(sales[20])
    outcome = reconcile((rsu, uav), refusing(tmp_path))
    assert [(source, receipt.round, why) for source, receipt, why in outcome.forged] == [("rsu", 20, "forged")]
    assert [(one.round, one.signed) for one in outcome.differences] == [(20, False)]

    rsu.receipts[20] = seller.receipt(20, uav_1=4.0)
    outcome = reconcile((rsu, uav), refusing(tmp_path))
    assert not outcome.forged
    (difference,) = outcome.differences
    assert "rsu_1 has signed both" in difference.what

    del rsu.receipts[20]  # or it says nothing of it at all
    (difference,) = reconcile((rsu, uav), refusing(tmp_path)).differences
    assert (difference.says, difference.lacks, difference.signed) == ("uav", "rsu", True)


def test_a_cheating_uav_cannot_prove_what_it_was_not_granted(tmp_path: Path) -> None:
    seller = Seller(tmp_path, "rsu_1")
    rsu, uav = books([seller.receipt(round_, uav_1=3.0) for round_ in range(ROUNDS)])
    uav.receipts[20] = dearer(more(uav.receipts[20]))
    uav.receipts[21] = sale(21)._replace(counts_for=("uav_1",), price=0.1)
    uav.receipts.insert(23, sale(22, uav_1=9.0)._replace(counts_for=("uav_1",), round=1022))
    outcome = reconcile((rsu, uav), refusing(tmp_path))
    assert [(receipt.round, why) for _, receipt, why in outcome.forged] == [
        (20, "forged"),
        (21, "unsigned"),
        (1022, "unsigned"),
    ]
    assert [(one.round, one.says, one.signed) for one in outcome.differences] == [
        (20, "rsu", True),
        (21, "rsu", True),
        (1022, "uav", False),
    ]


# -- files -------------------------------------------------------------------------------------------------------------


def keep(file: Path, sales: list[Receipt], size: float = 64.0, uavs: tuple[str, ...] = ()) -> LedgerFile:
    """A ledger that is written when the test says so; its clock is that of the sales."""
    clock = iter([sales[0].at - LEEWAY, *[sales[-1].at + LEEWAY] * 1000]).__next__
    kept = LedgerFile(file, size, "" if uavs else "rsu_1", uavs, clock, period=1e6)
    kept.flush()
    for one in sales:
        kept.add(one._replace(counts_for=uavs))
    return kept


def test_a_ledger_is_read_as_it_was_written(tmp_path: Path) -> None:
    sales = [sale(round_)._replace(price=0.1 + round_ / 3.0, signature=bytes(range(168))) for round_ in range(20, 60)]
    keep(tmp_path / "rsu_1.ledger", sales).close()
    found = read_file(tmp_path / "rsu_1.ledger")
    assert (found.rsu, found.uavs, found.damaged) == ("rsu_1", (), 0)
    assert found.receipts == sales
    assert found.spans == [(20.0 - LEEWAY, 59.0 + LEEWAY)]


def test_each_start_is_in_it_and_a_line_that_a_crash_cut_off_spoils_no_other(tmp_path: Path) -> None:
    file = tmp_path / "rsu_1.ledger"
    keep(file, [sale(round_) for round_ in range(20, 40)]).close()
    with file.open("a") as cut:
        cut.write('{"at": 41.0, "rsu": "rs')
    keep(file, [sale(round_) for round_ in range(100, 120)]).close()
    found = read_file(file)
    assert found.damaged == 1
    assert len(found.receipts) == 40
    assert found.spans == [(20.0 - LEEWAY, 39.0 + LEEWAY), (100.0 - LEEWAY, 119.0 + LEEWAY)]


def test_a_ledger_is_bounded_and_keeps_the_newest(tmp_path: Path) -> None:
    file = tmp_path / "rsu_1.ledger"
    kept = keep(file, [sale(0)], size=0.02)
    for round_ in range(1, 2000):
        kept.add(sale(round_))
        if round_ % 20 == 0:
            kept.flush()
            assert sum(part.stat().st_size for part in tmp_path.iterdir()) <= 20_000 + 500
    kept.close()
    found = read_file(file)
    assert 30 < len(found.receipts) < 2000
    assert found.receipts == [sale(round_) for round_ in range(2000 - len(found.receipts), 2000)]


def test_a_disk_that_refuses_is_told_and_what_it_missed_is_written_later(tmp_path: Path) -> None:
    folder = tmp_path / "later"
    kept = keep(folder / "rsu_1.ledger", [sale(round_) for round_ in range(10)])
    kept.flush()
    assert "later" in kept.trouble
    for _ in range(MOST_GATHERED // 100):
        kept.add(sale(11))
    assert kept.lost > 0
    folder.mkdir()
    kept.close()
    assert not kept.trouble
    assert read_file(folder / "rsu_1.ledger").receipts[:10] == [sale(round_) for round_ in range(10)]


@given(st.binary(max_size=300) | st.from_regex(rb'\{"(at|rsu|round|uavs|mhz)": ?[^\n]{0,60}\}', fullmatch=True))
def test_whatever_a_ledger_holds_it_is_read_or_refused(line: bytes) -> None:
    head = ledger.heading("rsu_1", (), 0.0, began=True).encode()
    assert ledger.read("a file", [head, line]).damaged <= 1
    with contextlib.suppress(ValueError):
        ledger.read("a file", [line])


# -- the command -------------------------------------------------------------------------------------------------------


def told(capsys: pytest.CaptureFixture[str], code: int, *arguments: str) -> dict[str, Any]:
    assert main(["ledger", *arguments, "--json", "-"]) == code
    document: dict[str, Any] = json.loads(capsys.readouterr().out)
    return document


def test_the_command_compares_a_folder_of_ledgers(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    seller = Seller(tmp_path / "keys", "rsu_1")
    sales = [seller.receipt(round_, uav_1=3.0) for round_ in range(ROUNDS)]
    key = ("--market-key", str(tmp_path / "keys" / "market.pub"))
    keep(tmp_path / "rsu_1.ledger", sales).close()
    keep(tmp_path / "uav_1.ledger", sales, uavs=("uav_1",)).close()
    document = told(capsys, 0, str(tmp_path), *key)
    assert (document["compared"], document["verified"], document["differences"]) == (ROUNDS, True, [])

    (tmp_path / "rsu_1.ledger").unlink()
    keep(tmp_path / "rsu_1.ledger", [*sales[:20], more(sales[20]), *sales[22:]]).close()
    document = told(capsys, 1, str(tmp_path), *key)
    assert [one["round"] for one in document["differences"]] == [20, 21]
    assert [one["round"] for one in document["forged"]] == [20]
    assert main(["ledger", str(tmp_path), *key]) == 1
    said = capsys.readouterr()
    assert "rsu_1 to uav_1, round 21" in said.out
    assert "told differently" in said.err


def test_what_is_no_ledger_is_bad_input(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    text, newer = tmp_path / "text.ledger", tmp_path / "newer.ledger"
    text.write_text("holiday pictures\n")
    newer.write_text('{"ledger":2,"rsu":"rsu_1","at":1.0}\n')
    for path in (text, newer, tmp_path / "missing.ledger"):
        assert main(["ledger", str(path)]) == 2
        said = capsys.readouterr().err
        assert said.count("\n") == 1
        assert str(path) in said


def test_a_recording_is_compared_with_a_ledger(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """An RSU's ledger that is what a recording heard agrees with it; with a line left out, it does not."""
    pytest.importorskip("rosbags")
    from uav_twin_migration.recording.grants import ledger_of

    recording = Path(__file__).parents[1] / "monitor" / "recording"
    heard = ledger_of(recording)
    assert len(heard.receipts) > 10
    rsu = heard.receipts[0].rsu
    own = [one for one in heard.receipts if one.rsu == rsu and any(one.shares.values())]
    clock = iter([own[0].at, *[own[-1].at] * 10]).__next__
    file = LedgerFile(tmp_path / "own.ledger", 64.0, rsu, (), clock, period=1e6)
    file.flush()
    for one in own:
        file.add(one)
    file.close()
    document = told(capsys, 0, str(recording), str(tmp_path / "own.ledger"), "--leeway", "0")
    assert document["compared"] >= len(own)
    lines = (tmp_path / "own.ledger").read_text().splitlines(keepends=True)
    (tmp_path / "own.ledger").write_text("".join(lines[:5] + lines[6:]))
    assert told(capsys, 1, str(recording), str(tmp_path / "own.ledger"), "--leeway", "0")["differences"]
