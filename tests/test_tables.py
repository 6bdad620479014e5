"""Tables of scans, and what a study may say of its figure."""

import pytest
import xarray
from synthetic import LOADS, simulated, with_holes

from physlearn import Status
from physlearn.inputs import InputError
from physlearn.scan.figures import check_figure
from physlearn.scan.tables import table

AXES = {"alpha": LOADS, "N": [11, 101]}
SOLVERS = {"solver": ["AMP", "annealing"]}


@pytest.mark.filterwarnings("error")
def test_a_table_has_dashes_where_the_scan_has_no_point():
    theory = xarray.Dataset(
        {"overlap": (("theory", "alpha"), [[0.2, 0.4, 0.6], [1.0, 1.0, 1.0]])},
        coords={"theory": ["low", "high"], "alpha": LOADS[:3]},
    )
    shown = table(with_holes(simulated({**SOLVERS, **AXES}), 101, "AMP"), theory)
    blocks = shown.split("\n\n")
    assert [line.split()[0] for line in blocks[0].split("\n")[2:]] == ["0.5", "1", "1.5", "2"]
    assert blocks[0].split("\n")[3].split()[1:4] == ["0.4000", "1.0000", "-"]
    assert blocks[0].split("\n")[5].split()[1:4] == ["-", "-", "-"]
    # Loads that a solver has at no size are left out.
    assert [line.split()[0] for line in blocks[2].split("\n")[2:]] == ["0.5", "1.5"]
    assert "status of AMP: DONE 36 (12 of 48 places in the grid are not part of the scan)" in shown
    assert "status of annealing: DONE 24 (24 of 48 places" in shown


def test_tables_of_other_axes():
    data = simulated({"margin": [0.0, 0.5], "alpha": LOADS})
    assert table(data).split("\n")[1] == "alpha  margin = 0  margin = 0.5"
    data = simulated({"margin": [0.0, 0.5], **AXES})
    panels = [{"variable": "overlap", "select": {"margin": 0.5}}]
    first, head, row, *_ = table(data, panels=panels).split("\n")
    assert head.split() == ["alpha", "N", "=", "11", "N", "=", "101"]
    assert first == "overlap, margin = 0.5 (mean and standard error of 6 instances)"
    mean = float(data["overlap"].sel(margin=0.5, alpha=0.5, N=11).mean())
    assert abs(float(row.split()[1].split("(")[0]) - mean) < 1e-3
    assert table(data).count("status: DONE 96") == 1
    data["status"][0, 0, 0, 0] = Status.NOT_RUN.code
    assert Status.NOT_RUN.advice in table(data)
    with pytest.raises(InputError, match=r"^select\.margin: got 0\.3; allowed: one of 0\.0, 0\.5\.$"):
        table(data, panels=[{"variable": "overlap", "select": {"margin": 0.3}}])


def test_a_study_may_leave_its_panels_out():
    names = ["overlap"], ["AMP", "annealing"]
    check_figure({"call": "plotting.phase_diagram"}, *names, ["alpha"])
    axes = {"alpha": [1.0], "margin": [0.0, 0.5], "N": [11, 101]}
    for panel, field in (
        ({"select": {"margin": 0.5}}, None),
        ({"variable": "overlap"}, None),
        ({"select": {"margin": 0.3}}, r"\.select\.margin"),
        ({"select": {"beta": 0.3}}, r"\.select\.beta"),
        ({"select": {"N": 101}}, None),
        ({"select": {"N": 12}}, r"\.select\.N"),
        ({"x": "N"}, r"\.x"),
        ({"select": 0.3}, r"\.select"),
    ):
        figure = {"call": "plotting.phase_diagram", "arguments": {"panels": [panel]}}
        if field is None:
            check_figure(figure, *names, axes)
            continue
        with pytest.raises(InputError, match=r"^figure\.arguments\.panels\[0\]" + field + ": got"):
            check_figure(figure, *names, axes)
