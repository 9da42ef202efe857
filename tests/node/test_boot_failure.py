"""The reason of a failed start, out of outputs that RabbitMQ 3.10.8 and 4.0.5 wrote (shortened)."""

from __future__ import annotations

from letrade_topo.node.boot_failure import port_was_taken, why_it_ended

UNKNOWN_KEY = """\
2026-11-23 09:15:03.938659+00:00 [error] <0.132.0> You've tried to set no_such_key.
2026-11-23 09:15:03.996628+00:00 [error] <0.132.0>   Did you mean one of these?
2026-11-23 09:15:04.035837+00:00 [error] <0.132.0>     default_user

BOOT FAILED
2026-11-23 09:15:04.039867+00:00 [error] <0.132.0>
===========
Error during startup: {error,failed_to_prepare_configuration}

2026-11-23 09:15:05.051587+00:00 [error] <0.132.0>     supervisor: {local,rabbit_prelaunch_sup}

Crash dump is being written to: /tmp/n/log/erl_crash.dump...done
"""
PORT_TAKEN = """\
  Starting broker...
BOOT FAILED
===========
Error during startup: {error,
                       {could_not_start_listener,"127.0.0.1",36675,
                                eaddrinuse}}

{"init terminating in do_boot",{error,{could_not_start_listener,"127.0.0.1",36675,{}}}}
"""


def test_an_unknown_key() -> None:
    """The words that name the key, without time stamps and without the supervisor's report."""
    assert why_it_ended(UNKNOWN_KEY).splitlines() == [
        "You've tried to set no_such_key.",
        "Did you mean one of these?",
        "default_user",
        "Error during startup: {error,failed_to_prepare_configuration}",
    ]
    assert not port_was_taken(UNKNOWN_KEY)


def test_a_taken_port() -> None:
    """The listener and its address; and it is known for what it is."""
    reason = why_it_ended(PORT_TAKEN)

    assert "36675" in reason
    assert "init terminating" not in reason
    assert port_was_taken(PORT_TAKEN)
    assert port_was_taken("epmd: Thu: failed to bind on address/port: Address already in use")


def test_no_reason_given() -> None:
    """Without a mark the last lines that say something are shown."""
    output = "\n\n".join(f"line {i}" for i in range(100))

    assert why_it_ended(output).splitlines()[-1] == "line 99"
    assert len(why_it_ended(output).splitlines()) == 15
    assert why_it_ended("") == ""
