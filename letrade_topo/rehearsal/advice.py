"""What to do about each reason for which an agent in mode `enforce` would refuse a message."""

from __future__ import annotations

ADVICE = {
    # what the agent of a publisher says
    "undeclared": "add a message type with this key to the topology, or correct the key that the service uses",
    "not_allowed": "add the type to the service's `publishes`, or stop publishing it there",
    "copies": "publish once for each key instead of with the headers CC and BCC",
    "envelope": "give the envelope what it lacks; with `envelope: complete` at the exchange or service the agent does",
    "schema": "correct what the service publishes at the place named, or the schema of the type",
    "no_key": "make the service's keys: `letrade-topo keys init`, and give its agent the folder",
    "encrypt": "make the keys for encryption of those who consume the type: `letrade-topo keys init`",
    # what the agent of a consumer says
    "token_missing": "whoever publishes this has no agent, or publishes in mode `off`: put an agent beside it",
    "token_duplicate": "somebody adds a second token to messages: find out who, and stop it",
    "token_malformed": "something between the agents changes headers: find out what, and stop it",
    "key_unknown": "give this agent the publisher's public key: distribute the key set of `letrade-topo keys`",
    "algorithm": "sign with an algorithm that `security.jwt.algorithms` allows",
    "type": "only tokens of agents and of `letrade-topo` count: find out who signs otherwise",
    "signature": "the key set of this agent and the publisher's key differ, or somebody forges: compare the key ids",
    "claims": "the publisher's agent is of another version: bring both to the same one",
    "issuer": "its key belongs to another service: give each agent the key of its own service",
    "audience": "publisher and consumer have topologies of different environments, names or vhosts: give them the same",
    "hop_malformed": "something between the agents changes headers: find out what, and stop it",
    "hop_signature": "whoever handed the message on has a key that this agent does not know: distribute the key set",
    "hop_role": "whoever handed the message on may not do that: see `security.jwt` in the topology",
    "hop_queue": "the message was handed on to another queue than the one it is in: find out who moved it",
    "expired": "messages wait longer than the lifetime of their type: raise it, or consume faster",
    "not_yet_valid": "the clocks of publisher and consumer differ: set them by NTP",
    "content": "something changes messages after they are signed: find out what, and stop it",
    "destination": "messages reach this queue by a way that the topology does not have: add the binding, or remove it",
    "lifetime": "the publisher's agent has another topology: give both the same",
    "repeat": "the same message was published or moved twice: publish each once, with an id of its own",
    "claim_missing": "the object is not in the store: see `claim_check`, and who deletes objects there",
    "claim_altered": "the object in the store is not what was published: see who may write there",
    "decrypt": "give this agent the key for decryption that the publisher encrypted to: `letrade-topo keys show`",
    "oversize": "raise `limits.message_size`, or publish less at once",
}
"""By the word for the reason, of both directions."""

UNKNOWN = "see the log of this agent: this `letrade-topo` does not know the reason"


def advice(reason: str) -> str:
    """What to do about it."""
    return ADVICE.get(reason, UNKNOWN)
