"""The own test suites of client libraries, straight at a broker and through an agent: script/client-suites."""
