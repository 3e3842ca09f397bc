"""The checked scheme: frozen, exact, valid by construction, and the checks that build it."""
