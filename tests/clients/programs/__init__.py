"""One program for each Python library, as its documentation writes it; none knows of an agent.

    python -m tests.clients.programs.LIBRARY consume URL QUEUE [line]
    python -m tests.clients.programs.LIBRARY publish URL EXCHANGE KIND

A publisher publishes each line of its standard input, a key, a space, a body, and says `ok` when its library has taken
it. Nothing is caught: what a library raises ends the program, as it would end a tutorial's. KIND is `confirms`,
`confirms,mandatory`, `plain` or `plain,mandatory`; `,line` behind
it: with the line that libraries.py has for a program that is to stay. A consumer says `got NUMBER` (`work.py`).
"""
