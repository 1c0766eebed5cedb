"""The command line: the numbers it prints, and every mistake as one line and status 2."""

import importlib.util
import io
import json
import math
import subprocess
import sys

import numpy as np
import pytest

import robloss
from robloss import cli, datasets

needs_matplotlib = pytest.mark.skipif(
    importlib.util.find_spec("matplotlib") is None, reason="Matplotlib is the extra `plot`"
)

TABLE = """\
size,weight,price
1,2.0,3.1
2,1.0,4.9
3,5.0,7.2
4,2.5,9.1

5,3.5,10.8
6,0.5,13.1
7,1.5,40.0
"""


@pytest.fixture
def table(tmp_path):
    path = tmp_path / "table.csv"
    path.write_text(TABLE, encoding="utf-8")
    return path


@pytest.fixture
def run(capsys):
    """Run the command in this process: status, standard output, standard error."""

    def call(*argv):
        status = cli.main([str(word) for word in argv])
        printed = capsys.readouterr()
        return status, printed.out, printed.err

    return call


def fails(result) -> str:
    """Return the message of a failure after checking its form."""
    status, out, err = result
    assert status == 2
    assert out == ""
    assert err.startswith("robloss: error: ")
    assert err.count("\n") == 1
    assert err.endswith("\n")
    return err


def fit_json(run, *argv):
    status, out, err = run("fit", *argv, "--json")
    assert (status, err) == (0, "")
    return json.loads(out, parse_constant=pytest.fail)


# Joint maximum likelihood, computed independently of this library: alpha, scale, coefficients
# (intercept first), nll. The alpha of a fit on a bound is exact.
REFERENCE = {
    "stackloss": (0.07289, 0.69781, [-38.43818, 0.851492, 0.496453, -0.0722376], 49.4313071),
    "phones": (0.0, 0.8348719, [-53.8761291, 1.12288], 102.2800308),
    "stars": (2.0, 0.5524875, [6.7934673, -0.4133039], 38.8038611),
}


@pytest.mark.parametrize("name", REFERENCE)
def test_fit_of_a_data_set_is_the_reference(run, name):
    alpha, scale, coefficients, nll = REFERENCE[name]
    found = fit_json(run, "--dataset", name)
    # tolerances: half a unit of the last digit that the reference gives
    assert found["alpha"] == pytest.approx(alpha, abs=5.1e-6)
    assert found["scale"] == pytest.approx(scale, abs=5.1e-6)
    values = [found["intercept"], *found["coefficients"].values()]
    np.testing.assert_allclose(values, coefficients, rtol=1e-5 if name == "stackloss" else 1e-6)
    assert found["nll"] == pytest.approx(nll, abs=5.1e-8)
    assert found["converged"] is True


@pytest.mark.parametrize(("name", "bound"), [("phones", "lower"), ("stars", "upper")])
def test_fit_on_a_bound_says_so(run, name, bound):
    (flag,) = [text for text in fit_json(run, "--dataset", name)["flags"] if "alpha" in text]
    assert bound in flag
    status, out, _ = run("fit", "--dataset", name)
    assert status == 0
    assert flag in " ".join(out.split())


def test_json_is_the_whole_fit(run):
    data = datasets.load_stackloss()
    fit = robloss.fit_linear(data.X, data.y, feature_names=data.feature_names)
    names = ("intercept", "coefficients", "alpha", "scale")

    def by_name(values):
        constant, *coefficients, alpha, scale = values.tolist()
        group = dict(zip(data.feature_names, coefficients, strict=True))
        return dict(zip(names, (constant, group, alpha, scale), strict=True))

    assert fit_json(run, "--dataset", "stackloss") == {
        "intercept": fit.intercept,
        "coefficients": dict(zip(data.feature_names, fit.coef.tolist(), strict=True)),
        "alpha": fit.alpha,
        "scale": fit.scale,
        "standard_errors": by_name(fit.standard_errors),
        "conf_int": by_name(fit.conf_int()),
        "nll": fit.nll,
        "n_iter": fit.n_iter,
        "converged": True,
        "status": "converged",
        "message": fit.message,
        "flags": list(fit.flags),
        "weights": fit.weights.tolist(),
        "outliers": [0, 2, 3, 20],
    }


def test_json_of_an_estimate_on_a_bound_has_no_standard_error(run):
    found = fit_json(run, "--dataset", "stars", "--no-intercept", "--scale", "1")
    assert found["standard_errors"]["alpha"] == "nan"
    assert found["conf_int"]["alpha"] == ["nan", "nan"]
    assert list(found["standard_errors"]) == ["coefficients", "alpha"]


def test_summary_is_that_of_the_fit(run):
    data = datasets.load_phones()
    fit = robloss.fit_linear(data.X, data.y, feature_names=data.feature_names)
    assert run("fit", "--dataset", "phones") == (0, fit.summary() + "\n", "")


def test_fit_of_a_file_takes_every_other_column(run, table):
    found = fit_json(run, table, "--target", "price")
    assert list(found["coefficients"]) == ["size", "weight"]
    assert len(found["weights"]) == 7
    X = np.array([[1, 2], [2, 1], [3, 5], [4, 2.5], [5, 3.5], [6, 0.5], [7, 1.5]])
    y = np.array([3.1, 4.9, 7.2, 9.1, 10.8, 13.1, 40.0])
    # rounding depends on the order of the arrays in memory
    np.testing.assert_allclose(
        list(found["coefficients"].values()), robloss.fit_linear(X, y).coef, rtol=1e-9
    )


def test_features_choose_and_order_the_columns(run, table):
    both = fit_json(run, table, "--target", "price", "--features", "weight, size")
    assert list(both["coefficients"]) == ["weight", "size"]
    one = fit_json(run, table, "--target", "price", "--features", "size")
    assert list(one["coefficients"]) == ["size"]
    data_set = fit_json(run, "--dataset", "stackloss", "--features", "Water.Temp,Air.Flow")
    assert list(data_set["coefficients"]) == ["Water.Temp", "Air.Flow"]


def test_byte_order_mark_quotes_and_spaces_are_read(run, tmp_path):
    path = tmp_path / "excel.csv"
    path.write_text(
        '\ufeffa,"b, c", y \r\n1,2,3.1\r\n2,1,3\r\n\r\n3,3,7\r\n4,0, 5\r\n', encoding="utf-8"
    )
    found = fit_json(run, path, "--target", "y", "--features", '"b, c",a', "--alpha", "1")
    assert list(found["coefficients"]) == ["b, c", "a"]


@pytest.mark.parametrize("mark", [",", ";", "\t"], ids=["comma", "semicolon", "tab"])
def test_the_delimiter_is_that_of_the_header(run, tmp_path, mark):
    path = tmp_path / "table.txt"
    header = mark.join(["size", f'"a{mark} b; ,,"', "price"])
    rows = TABLE.partition("\n")[2].replace(",", mark)
    path.write_text(f"\n{header}\n{rows}", encoding="utf-8")
    found = fit_json(run, path, "--target", "price", "--alpha", "1")
    assert list(found["coefficients"]) == ["size", f"a{mark} b; ,,"]
    assert len(found["weights"]) == 7


def test_standard_input_is_a_file(run, monkeypatch, table):
    expected = fit_json(run, table, "--target", "price")
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(TABLE.encode())))
    assert fit_json(run, "-", "--target", "price") == expected
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(b"\xff")))
    assert "cannot read -: it is not UTF-8" in fails(run("fit", "-", "--target", "price"))


def test_truth_values_are_one_and_zero(run, tmp_path):
    path = tmp_path / "truths.csv"
    rows = "True,1.0\nFALSE,2.1\n true ,1.2\nfalse,2.0\nTrue,0.9\n"
    path.write_text("is_old,y\n" + rows, encoding="utf-8")
    fit = robloss.fit_linear(np.array([[1.0], [0], [1], [0], [1]]), [1.0, 2.1, 1.2, 2.0, 0.9])
    found = fit_json(run, path, "--target", "y")
    assert found["coefficients"]["is_old"] == pytest.approx(fit.coef[0], rel=1e-9)


@pytest.mark.parametrize("argv", [["--alpha", "1"], ["--alpha=1"]])
def test_alpha_and_scale_can_be_given(run, argv):
    found = fit_json(run, "--dataset", "stackloss", *argv)
    assert found["alpha"] == 1.0
    assert found["scale"] == pytest.approx(1.723067, abs=5e-7)
    assert fit_json(run, "--dataset", "stackloss", *argv, "--scale", "2.5")["scale"] == 2.5


@pytest.mark.parametrize("alpha", ["-inf", "-2", "-1e-3", "-1.5e1"])
def test_negative_alpha_is_a_value_and_not_an_option(run, alpha):
    data = datasets.load_stackloss()
    fit = robloss.fit_linear(data.X, data.y, alpha=float(alpha), scale=2.0)
    found = fit_json(run, "--dataset", "stackloss", "--alpha", alpha, "--scale", "2")
    assert list(found["coefficients"].values()) == fit.coef.tolist()
    assert float(found["alpha"]) == float(alpha)


def test_no_intercept_goes_through_the_origin(run):
    data = datasets.load_stackloss()
    fit = robloss.fit_linear(data.X, data.y, intercept=False)
    found = fit_json(run, "--dataset", "stackloss", "--no-intercept")
    assert list(found["coefficients"].values()) == fit.coef.tolist()
    assert found["intercept"] == 0.0


def test_not_converging_is_one_line_and_status_0(run):
    status, out, err = run("fit", "--dataset", "stackloss", "--max-iter", "2", "--json")
    assert status == 0
    assert err.startswith("robloss: warning: ")
    assert err.count("\n") == 1
    found = json.loads(out)
    assert found["converged"] is False
    assert found["status"] == "max_iter"


def test_a_looser_tolerance_stops_earlier(run):
    tight = fit_json(run, "--dataset", "stackloss", "--tol", "1e-8")
    loose = fit_json(run, "--dataset", "stackloss", "--tol", "1e-2")
    assert loose["n_iter"] < tight["n_iter"]


def test_json_has_strings_for_what_it_has_no_number_for():
    value = {"a": [math.inf, -math.inf, math.nan, 1.5], "b": {"c": math.inf}, "d": True}
    assert cli._jsonable(value) == {
        "a": ["inf", "-inf", "nan", 1.5],
        "b": {"c": "inf"},
        "d": True,
    }


@needs_matplotlib
def test_plot_is_written_and_overwritten(run, tmp_path):
    path = tmp_path / "fit.png"
    path.write_bytes(b"old")
    status, out, err = run("fit", "--dataset", "phones", "--plot", path)
    assert (status, err) == (0, "")
    assert out
    assert path.read_bytes().startswith(b"\x89PNG")


@needs_matplotlib
def test_curves_are_written(run, tmp_path):
    path = tmp_path / "curves.svg"
    assert run("curves", "--out", path) == (0, "", "")
    assert "<svg" in path.read_text(encoding="utf-8")


@needs_matplotlib
@pytest.mark.parametrize("command", [["fit", "--dataset", "phones", "--plot"], ["curves", "--out"]])
def test_unwritable_output(run, tmp_path, command):
    assert "cannot write" in fails(run(*command, tmp_path / "missing" / "out.png"))
    assert "cannot write" in fails(run(*command, tmp_path / "out.xyz"))


@pytest.mark.parametrize("command", [["fit", "--dataset", "phones", "--plot"], ["curves", "--out"]])
def test_missing_matplotlib_names_the_extra(run, monkeypatch, tmp_path, command):
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    assert "pip install 'robloss[cli]'" in fails(run(*command, tmp_path / "out.png"))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "is empty"),
        ("\n\n", "is empty"),
        ("size,price\n", "has a header, but no rows"),
        ("size,price\n1,2\n3,four\n", "line 3, column 'price': 'four' is not a finite number"),
        ("size,price\n\n1,2\n3,\n", "line 4, column 'price': '' is not a finite number"),
        ("size,price\n1,nan\n", "line 2, column 'price': 'nan' is not a finite number"),
        ("size,price\n1,2\n3\n", "line 3: 1 cells, but the header has 2"),
        ("size,size,price\n1,2,3\n", "more than one column named 'size'"),
        ("a,b\n1,2\n", "no column 'price'; its columns are 'a', 'b'"),
    ],
)
def test_bad_tables(run, tmp_path, text, message):
    path = tmp_path / "bad.csv"
    path.write_text(text, encoding="utf-8")
    assert message in fails(run("fit", path, "--target", "price"))


def test_cells_of_columns_that_are_not_used_may_be_anything(run, tmp_path):
    path = tmp_path / "notes.csv"
    path.write_text("x,note,y\n1,a,1\n2,b,2.1\n3,,2.9\n4,d,9\n", encoding="utf-8")
    argv = (path, "--target", "y", "--features", "x", "--alpha", "1")
    assert list(fit_json(run, *argv)["coefficients"]) == ["x"]


def test_files_that_cannot_be_read(run, tmp_path):
    assert "cannot read" in fails(run("fit", tmp_path / "none.csv", "--target", "y"))
    assert "cannot read" in fails(run("fit", tmp_path, "--target", "y"))
    binary = tmp_path / "binary.csv"
    binary.write_bytes(b"\xff\xfe\x00y\n1\n")
    assert "not UTF-8" in fails(run("fit", binary, "--target", "y"))


@pytest.mark.parametrize(
    ("argv", "message"),
    [
        ([], "COMMAND"),
        (["fly"], "fly"),
        (["fit"], "FILE.csv --dataset"),
        (["fit", "--dataset", "iris"], "iris"),
        (["fit", "--dataset", "phones", "--target", "calls"], "--target belongs to FILE.csv"),
        (["fit", "--dataset", "phones", "--features", "month"], "no column 'month'"),
        (["fit", "--dataset", "phones", "--features", "year,year"], "different names"),
        (["fit", "--dataset", "phones", "--features", ""], "different names"),
        (["fit", "--dataset", "phones", "--alpha", "two"], "'adapt' or a number"),
        (["fit", "--dataset", "phones", "--alpha", "nan"], "'adapt' or a number"),
        (["fit", "--dataset", "phones", "--scale", "-1"], "scale"),
        (["fit", "--dataset", "phones", "--max-iter", "-1"], "max_iter"),
        (["fit", "--dataset", "phones", "--tol", "-1"], "tol"),
        (["fit", "--dataset", "phones", "--max-iter", "many"], "many"),
        (["fit", "--dataset", "phones", "--bogus"], "--bogus"),
        (["curves"], "--out"),
        (["curves", "--out", "x.png", "--scale", "0"], "positive"),
    ],
)
def test_bad_calls(run, argv, message):
    assert message in fails(run(*argv))


def test_target_is_asked_for(run, table):
    assert "its columns are 'size', 'weight', 'price'" in fails(run("fit", table))
    assert "cannot be one of the features" in fails(
        run("fit", table, "--target", "price", "--features", "size,price")
    )


def test_version_and_help(capsys):
    for argv, text in ((["--version"], f"robloss {robloss.__version__}\n"), (["--help"], "usage")):
        with pytest.raises(SystemExit) as stop:
            cli.main(argv)
        assert stop.value.code == 0
        assert text in capsys.readouterr().out


def test_module_is_the_command():
    command = [sys.executable, "-P", "-m", "robloss"]
    version = subprocess.run([*command, "--version"], capture_output=True, text=True, check=True)
    assert version.stdout == f"robloss {robloss.__version__}\n"
    bad = subprocess.run([*command, "fit"], capture_output=True, text=True, check=False)
    assert bad.returncode == 2
    assert bad.stderr.startswith("robloss: error: ")


def test_a_reader_that_leaves_early_is_no_traceback():
    run = subprocess.run(
        f'"{sys.executable}" -P -m robloss fit --dataset stackloss --json | true',
        shell=True,
        capture_output=True,
        text=True,
        check=True,
    )
    assert run.stderr == ""


def test_a_column_without_a_name_is_no_feature_by_accident(run, tmp_path):
    path = tmp_path / "index.csv"
    path.write_text(",x,y\n0,1,2.0\n1,2,4.1\n2,3,5.8\n3,4,8.3\n", encoding="utf-8")
    assert "column 1 has no name" in fails(run("fit", path, "--target", "y"))
    status, out, _ = run("fit", path, "--target", "y", "--features", "x")
    assert status == 0
    assert "std err" in out
