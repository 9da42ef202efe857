"""What mode `enforce` would refuse, out of what agents in mode `warn` have counted.

`agents` asks them; `report` puts together what they say, pure; `advice` has what to do about each reason. Nothing here
knows a topology or a broker: an agent's answer says which exchanges are in which mode.
"""
