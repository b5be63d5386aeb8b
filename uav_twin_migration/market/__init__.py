"""The round protocol as two state machines, a leader (RSU) and a follower (UAV), without any I/O.

Theory of operation
===================

Every `round_period` a leader posts an *offer*: a round number, a unit price, how long it may be answered. Followers
answer with a *demand*: one bandwidth per offer they want to answer, zero included. When everybody who is expected to
answer has done so, or at the offer's deadline, the leader closes the round: it rations what was demanded to what it
has, sends one *grant* with everybody's share, books its profit, and lets its pricer choose the next round's price.

Nobody waits for anybody for ever:

- A leader expects an answer from those who answered (or came too late) last round, and closes at the deadline anyhow.
- A follower answers as soon as every leader it would bid to has posted a new offer, and a quarter of the window after
  the first one anyhow, with the last known prices of the others.
- A grant is a *lease*. It is soft state: renewed by answering the next round, gone when its duration is over. A
  follower that vanishes frees its share without anybody doing anything; one lost message costs nobody his share.
  The leader's ledger is the truth, and never holds more than the capacity: where a grant is lost, the follower believes
  in its earlier share until the next round, and the RSU, which gives the bandwidth, in the new one.

Time is whatever clock the caller has. Only durations travel (an offer is valid *for* a time, a lease holds *for* a
time), each counted from reception on the receiver's own clock, so no two clocks need to agree. The leader keeps a lease
`offer_window` longer than it says, for the time the grant takes to arrive. A clock that jumps back shortens nothing to
zero and prolongs nothing beyond its full duration, counted anew from the jump.

Round numbers of a leader never repeat: a process starts from a number above all that it used before (nodes take the
boot time in ms), so a demand for another life's round is a past or a future round, and is refused.

Both machines take events with the time, return what to send, and name in `wake_at` when they want to be called next.
They never sleep, read a clock, draw a random number that was not seeded, or touch a socket. Everything that comes from
outside is checked before it changes anything; what fails is counted in `refusals` by reason.
"""
