"""Rooted trees: counts (OEIS A000081), densities and symmetries (Hairer, Norsett, Wanner, II.2)."""

from fractions import Fraction
from math import factorial

from schemegen.series import Colour, Trees, rooted_trees

COUNTS = [1, 1, 2, 4, 9, 20, 48, 115, 286, 719]


def test_counts() -> None:
    trees = rooted_trees(10)
    assert [len(trees.level(n)) for n in range(1, 11)] == COUNTS


def test_names_densities_and_symmetries_up_to_four_nodes() -> None:
    trees = rooted_trees(4)
    table = {trees.text(t): (trees.density[t], trees.symmetry[t]) for t in range(len(trees))}
    assert table == {
        "f": (1, 1),
        "f[f]": (2, 1),
        "f[f,f]": (3, 2),
        "f[f[f]]": (6, 1),
        "f[f,f,f]": (4, 6),
        "f[f,f[f]]": (8, 1),
        "f[f[f,f]]": (12, 2),
        "f[f[f[f]]]": (24, 1),
    }


def test_labellings_of_all_trees_of_n_nodes_number_the_factorial() -> None:
    """Monotonically labelled trees: ``sum_t n!/(sigma gamma) = (n - 1)!`` (HNW, II.2, alpha(t))."""
    trees = rooted_trees(8)
    for n in range(1, 9):
        alpha = [
            Fraction(factorial(n), trees.symmetry[t] * trees.density[t]) for t in trees.level(n)
        ]
        assert all(a.denominator == 1 for a in alpha)
        assert sum(alpha) == factorial(n - 1)


def test_every_tree_of_n_nodes_has_n_minus_1_edges_to_cut() -> None:
    trees = rooted_trees(8)
    for tree in range(len(trees)):
        assert sum(m for m, *_ in trees.cuts(tree)) == trees.nodes[tree] - 1
        for _, branch, slot, trunk in trees.cuts(tree):
            assert slot == 0
            assert trees.nodes[branch] + trees.nodes[trunk] == trees.nodes[tree]


def test_cuts_of_a_small_tree() -> None:
    trees = rooted_trees(4)
    name = trees.text
    tree = next(t for t in trees.level(4) if name(t) == "f[f,f[f]]")
    cuts = sorted((m, name(b), name(r)) for m, b, _, r in trees.cuts(tree))
    assert cuts == [(1, "f", "f[f,f]"), (1, "f", "f[f[f]]"), (1, "f[f]", "f[f]")]


def test_partitioned_trees_alternate() -> None:
    """``x' = f(v), v' = g(x)``: children of f are g and the other way round."""
    trees = Trees(
        (Colour("f", (1,)), Colour("g", (0,))), (frozenset((0,)), frozenset((1,))), ("x", "v")
    )
    trees.grow(3)
    assert sorted(trees.text(t) for t in trees.level(3)) == [
        "f[g,g]",
        "f[g[f]]",
        "g[f,f]",
        "g[f[g]]",
    ]
    trees.grow(9)
    assert [len(trees.level(n)) for n in range(1, 10)] == [2 * count for count in COUNTS[:9]]


def test_two_fields_of_one_state() -> None:
    """Trees with two colours: 2, 4, 14, 52, 214, 916 (OEIS A000151)."""
    both = frozenset((0, 1))
    trees = Trees((Colour("f", (0,)), Colour("g", (0,))), (both,), ("u",))
    trees.grow(6)
    assert [len(trees.level(n)) for n in range(1, 7)] == [2, 4, 14, 52, 214, 916]


def test_linear_fields_have_one_child_at_most() -> None:
    both = frozenset((0, 1))
    trees = Trees((Colour("f", (0,)), Colour("u", (0,), identity=True)), (both,), ("u",))
    trees.grow(3)
    texts = {trees.text(t) for t in trees.level(3)}
    assert "f[u,u]" in texts
    assert "u[f[u]]" in texts
    assert not any(text.startswith("u[") and "," in text for text in texts)


def test_slots_are_told_apart_in_print_only_where_they_could_be_confused() -> None:
    """``x' = f(x, v), v' = g``: a child g fills the slot v, a child f the slot x."""
    trees = Trees(
        (Colour("f", (0, 1)), Colour("g", (0, 1))),
        (frozenset((0, 1)), frozenset((1,))),
        ("x", "v"),
    )
    trees.grow(2)
    assert sorted(trees.text(t) for t in trees.level(2)) == [
        "f[f]",
        "f[v:g]",
        "f[x:g]",
        "g[f]",
        "g[v:g]",
        "g[x:g]",
    ]
