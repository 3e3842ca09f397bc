"""Schemes side by side on the same data: runs over seeds, a table with intervals and tests, pictures, a page.

::

    plan = planned(Request((arm_of("resnet"), arm_of("lm_resnet")), networks=("tiny",)))
    results = execute(Worker(Path("runs"), Path("data")), plan.runs, jobs=2, told=print)
    print(comparison_text(comparison_of(plan, results)))
"""

from __future__ import annotations

from schemegen.comparison.execute import Worker, execute, finished
from schemegen.comparison.model import Arm, Group, Measures, Run, RunResult, Size
from schemegen.comparison.report import comparison_html, comparison_text, pictures
from schemegen.comparison.request import Plan, Request, arm_of, planned
from schemegen.comparison.summary import Comparison, comparison_data, comparison_of, runs_csv

__all__ = [
    "Arm",
    "Comparison",
    "Group",
    "Measures",
    "Plan",
    "Request",
    "Run",
    "RunResult",
    "Size",
    "Worker",
    "arm_of",
    "comparison_data",
    "comparison_html",
    "comparison_of",
    "comparison_text",
    "execute",
    "finished",
    "pictures",
    "planned",
    "runs_csv",
]
